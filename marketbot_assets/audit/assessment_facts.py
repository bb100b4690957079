"""What a yearly self-assessment tells of: its period, controls, sessions, changes, people's acts, alerts. Pure.

Not here: counting (`assessment`, `assessment_rules`), what regulation asks (`assessment_review`), reading a home
(`commands.assess`, `commands.assess_ledger`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from marketbot_assets.audit.assessment import BreachSpan, ControlCount, Counted
from marketbot_assets.audit.assessment_rules import RuleCount, Standing, Stretch

NOT_NAMED = "not named"
LOOSER, UNKNOWN = "looser", "unknown"
CANCELLING = frozenset({"cancel-all", "flatten"})


@dataclass(frozen=True, slots=True)
class ControlFact:
    """One control: what it guards, what it answers when it fails, the rule that asks for it, and its record in the period.

    `limits`: the mandate's key -> its value as JSON text, as in force at the end; `touched`: numbers of the mandate changes of the
    period that touched its limits; `tests`: test files that name it, None when the page of controls is not at hand.
    """

    id: str
    name: str
    fails_with: str
    guards: str
    asked_by: str
    limits: Mapping[str, str]
    owner: str
    count: ControlCount
    touched: tuple[int, ...]
    tests: tuple[str, ...] | None

    @property
    def proves_nothing(self) -> bool:
        """Whether it never spoke in the period and no test names it."""
        return not (self.count.fired or self.count.warned) and not self.tests


@dataclass(frozen=True, slots=True)
class Gap:
    """A session of the period that is no plain decision: without verdict, or with one that no decision names."""

    session: str
    state: str
    reason: str
    has_verdict: bool


@dataclass(frozen=True, slots=True)
class ChangeFact:
    """A change of the mandate: who, why, from when, taken in which session (empty: never), and whether it was signed.

    `paths`: (key, old, new, direction) of at most 100 keys; `controls`: those whose limits it touches.
    """

    n: int
    by: str
    direction: str
    reason: str
    effective: str
    taken: str
    signed: bool
    paths: tuple[tuple[str, str, str, str], ...]
    count: int
    controls: tuple[str, ...]

    @property
    def loosens(self) -> bool:
        """Whether it needed a signed record."""
        return self.direction in (LOOSER, UNKNOWN)


@dataclass(frozen=True, slots=True)
class Act:
    """What an operator did: halt, resume, cancel. `after`: the session whose cutoff stands before it in the ledger.

    `drill`: its reason begins with the word drill.
    """

    n: int
    after: str
    action: str
    level: str
    by: str
    reason: str
    drill: bool


@dataclass(frozen=True, slots=True)
class AlertFacts:
    """Alerts of the period. `by_code`: code -> (raised, acknowledged by a channel), weekly tests left out.

    `weeks`: ISO weeks with a session; `tested`: those in which a channel acknowledged a weekly test; `beats`: sessions of which the
    outside watcher took the heartbeat. `channels`: of the mandate in force at the end.
    """

    channels: tuple[str, ...]
    by_code: Mapping[str, tuple[int, int]]
    weeks: tuple[str, ...]
    tested: tuple[str, ...]
    beats: int
    failures: int


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that the assessment of a period tells, from stored verdicts and ledger entries alone.

    `first`, `last`: the period as asked for; `begins`, `ends`: its first and newest recorded session, empty without one.
    `ledger_size`, `ledger_root`: the ledger's head that this was read at; `page_sha256`: of the page of controls, empty without it.
    """

    first: str
    last: str
    begins: str
    ends: str
    account: str
    base_currency: str
    ledger_size: int
    ledger_root: str
    page_sha256: str
    mandates: tuple[tuple[str, str], ...]
    codes: tuple[str, ...]
    orders: int
    counted: Counted
    controls: tuple[ControlFact, ...]
    rules: tuple[RuleCount, ...]
    stretches: tuple[Stretch, ...]
    gaps: tuple[Gap, ...]
    changes: tuple[ChangeFact, ...]
    acts: tuple[Act, ...]
    permissions: tuple[tuple[int, str, str], ...]
    alerts: AlertFacts
    run_failures: tuple[tuple[str, int], ...]
    replay_breaches: tuple[tuple[str, str], ...]

    @property
    def verdicts(self) -> int:
        """Sessions with a verdict."""
        return sum(self.counted.verdicts.values())

    @property
    def cancel_drills(self) -> tuple[Act, ...]:
        """Drills of a level that cancels what is open."""
        return tuple(act for act in self.drills if act.level in CANCELLING)

    @property
    def drills(self) -> tuple[Act, ...]:
        """Halts that were drills."""
        return tuple(act for act in self.acts if act.drill and act.action == "halt")

    def control(self, name: str) -> ControlFact | None:
        """One control of the catalogue."""
        return next((fact for fact in self.controls if fact.id == name), None)

    def open_breaches(self) -> tuple[BreachSpan, ...]:
        """Breaches that no verdict of the period closed."""
        return tuple(breach for breach in self.counted.breaches if not breach.closed)


def findings(facts: Facts) -> tuple[str, ...]:
    """What the period leaves to mend or to explain, in plain sentences, most telling first."""
    found = [*_of_sessions(facts), *_of_breaches(facts), *_of_controls(facts), *_of_people(facts), *_of_alerts(facts)]
    return tuple(found)


def _of_sessions(facts: Facts) -> list[str]:
    silent = [gap for gap in facts.gaps if not gap.has_verdict]
    loose = [gap for gap in facts.gaps if gap.has_verdict]
    found = []
    if not facts.counted.sessions:
        found.append("No session of the period is recorded: nothing is assessed.")
    if silent:
        found.append(f"Sessions without a verdict: {counted_names([gap.session for gap in silent])}.")
    if loose:
        found.append(f"Verdicts that no recorded decision names: {counted_names([gap.session for gap in loose])}.")
    if facts.replay_breaches:
        names = counted_names([session for session, _ in facts.replay_breaches])
        found.append(f"Decisions that could not be rebuilt as they were stored: {names}.")
    return found


def _of_breaches(facts: Facts) -> list[str]:
    found = []
    still, late = facts.open_breaches(), [b for b in facts.counted.breaches if b.overdue]
    if still:
        found.append(f"Breaches open at the end: {counted_names([f'{b.control} {b.subject}'.strip() for b in still])}.")
    if late:
        found.append(
            f"Breaches that stayed longer than allowed: {counted_names([f'{b.control} of {b.opened}' for b in late])}."
        )
    for rule in facts.rules:
        unknown = rule.counts.get(Standing.NOT_JUDGED, 0)
        if unknown:
            found.append(f"Rule not judged in every session: {rule.rule.name}, {unknown}.")
    return found


def _of_controls(facts: Facts) -> list[str]:
    found = []
    nothing = [fact.id for fact in facts.controls if fact.proves_nothing and fact.tests is not None]
    unknown = [fact.id for fact in facts.controls if fact.tests is None]
    absent = [fact.id for fact in facts.controls if fact.count.absent]
    failed = [f"{fact.id} {fact.count.not_computed}" for fact in facts.controls if fact.count.not_computed]
    if nothing:
        found.append(
            f"Controls that never spoke and that no test names, so that they prove nothing: {counted_names(nothing, 99)}."
        )
    if unknown:
        found.append("The page of controls is not at hand: which tests stand behind the controls is not known.")
    if absent:
        found.append(f"Controls missing in verdicts of the period: {counted_names(absent)}.")
    if failed:
        found.append(f"Controls that could not be computed and failed closed, with sessions: {some(failed)}.")
    return found


def _of_people(facts: Facts) -> list[str]:
    found = []
    unsigned = [str(change.n) for change in facts.changes if change.loosens and change.taken and not change.signed]
    if unsigned:
        found.append(f"Loosenings of the mandate that were not signed: {some(unsigned)}.")
    if not facts.drills:
        found.append("No drill of the kill switch is recorded (a halt whose reason begins with drill).")
    found.append("No drill of restoring a backup is recorded: the ledger has no entry for one.")
    found.append("No control has a named owner: the mandate has no key for one.")
    return found


def _of_alerts(facts: Facts) -> list[str]:
    alerts, found = facts.alerts, []
    if not alerts.channels:
        found.append("Nobody is told of alerts: the mandate names no channel.")
    missed = [week for week in alerts.weeks if week not in alerts.tested]
    if missed:
        found.append(f"Weeks without an acknowledged test alert, of {len(alerts.weeks)}: {counted_names(missed)}.")
    lost = sum(raised - heard for raised, heard in alerts.by_code.values())
    if lost:
        found.append(f"Alerts that no channel acknowledged: {lost}.")
    return found


def counted_names(names: Sequence[str], most: int = 6) -> str:
    """How many, and the first of them: 2 (a, b)."""
    return f"{len(names)} ({some(names, most)})"


def some(names: Iterable[object], most: int = 6) -> str:
    """The first names, and how many more there are."""
    listed = [str(name) for name in names]
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more
