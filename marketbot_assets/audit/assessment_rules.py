"""The mandate's rules session by session: kept, acted, eased, breached, cured, or not judged. Pure.

Not here: counts by control (`assessment`), what a control judges (`risk`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from marketbot_assets.audit.assessment import BREACH, PASS, WARN, Row, SessionRead, by_control, cut_orders, worst_of
from marketbot_assets.risk.breaches import PASSIVE_PREFIX
from marketbot_resources.model import Status

MONTH = len("2018-12")


class Standing(StrEnum):
    """How a rule stood in a session.

    KEPT: it passed, or warned inside its limit. ACTED: it made orders smaller, refused some, or holds trading down. EASED: the
    optimizer could not reach it by selling and said so. BREACHED: the book is beyond it and may only come back. CURED: the register
    closed its breach. NOT_JUDGED: the verdict has no answer of it, or none that could be computed. NO_VERDICT: none.
    In this order: of the controls that keep a rule the one that stands latest here speaks for it.
    """

    KEPT = "kept"
    ACTED = "acted"
    EASED = "eased"
    CURED = "cured"
    NOT_JUDGED = "not judged"
    BREACHED = "breached"
    NO_VERDICT = "no verdict"


@dataclass(frozen=True, slots=True)
class MandateRule:
    """A rule as a person calls it, the controls that keep it, and the mandate's keys that state it.

    `when`: a key without which the rule does not bind.
    """

    name: str
    controls: tuple[str, ...]
    keys: tuple[str, ...]
    when: str = ""


RULES = (
    MandateRule("restricted list", ("RC-03",), ("restricted",)),
    MandateRule("product rules of the jurisdiction", ("RC-03",), ("jurisdiction",), when="jurisdiction"),
    MandateRule("universe and its floors", ("RC-01", "RC-02", "RC-25"), ("universe.floor",)),
    MandateRule(
        "position and issuer", ("RC-30", "RC-31", "RC-33"), ("limits.RC-30_position", "limits.RC-31_passive_breach")
    ),
    MandateRule("funds", ("RC-34",), ("universe.fund_bucket",)),
    MandateRule("sector", ("RC-32",), ("limits.RC-32_sector",)),
    MandateRule(
        "currency and country",
        ("RC-35",),
        ("limits.RC-35_currency", "limits.RC-35_non_base", "limits.RC-35_country_ex_home"),
    ),
    MandateRule(
        "leverage and cash",
        ("RC-36", "RC-37", "RC-38"),
        ("account.leverage", "limits.RC-36_gross", "limits.RC-38_cash_floor"),
    ),
    MandateRule("concentration", ("RC-39", "RC-40"), ("limits.RC-39_hhi", "limits.RC-40_top10")),
    MandateRule("turnover", ("RC-41",), ("limits.RC-41_turnover",)),
    MandateRule("volatility", ("RC-42",), ("volatility.target_per_year", "limits.RC-42_ex_ante_vol")),
    MandateRule("value at risk", ("RC-43", "RC-44"), ("limits.RC-43_var_99_1d", "limits.RC-44_es_975_1d")),
    MandateRule("stress losses", ("RC-46",), ("limits.RC-46_crash_replay", "limits.RC-46_bear_replay")),
    MandateRule("drawdown", ("RC-60",), ("ladder.reduce_only", "ladder.to_cash", "ladder.halt")),
    MandateRule("loss of a day and a week", ("RC-61",), ("loss_rules",)),
    MandateRule("stops", ("RC-62", "RC-63", "RC-64"), ("stops",)),
)
# Their WARN says that they hold trading down: a breach is not theirs to have.
STATE_CONTROLS = frozenset({"RC-60", "RC-61", "RC-62", "RC-63", "RC-64"})


@dataclass(frozen=True, slots=True)
class Stretch:
    """Sessions in a row, among those of the period, in which a rule stood otherwise than kept, in the words of the first."""

    rule: str
    standing: str
    first: str
    last: str
    sessions: int
    control: str
    message: str


@dataclass(slots=True)
class RuleCount:
    """One rule over the period: sessions by standing, in total and by month (YYYY-MM). `binds`: the mandate states it."""

    rule: MandateRule
    binds: bool
    counts: dict[str, int] = field(default_factory=dict)
    months: dict[str, dict[str, int]] = field(default_factory=dict)


class Compliance:
    """Judges sessions as they come, oldest first. `binding`: names of the rules that the mandates of the period state."""

    def __init__(self, binding: Iterable[str]) -> None:
        names = set(binding)
        self._rules = [RuleCount(rule, rule.name in names) for rule in RULES]
        self._open: dict[str, Stretch] = {}
        self._ended: list[Stretch] = []

    def add(self, read: SessionRead) -> None:
        """Judges every binding rule in one session."""
        answers, cut = by_control(read.rows), cut_orders(read.rows)
        for count in self._rules:
            if not count.binds:
                continue
            standing, control, message = standing_of(count.rule, read, answers, cut)
            for counts in (count.counts, count.months.setdefault(read.session[:MONTH], {})):
                counts[standing] = counts.get(standing, 0) + 1
            self._note(count.rule.name, standing, read.session, control, message)

    def _note(self, rule: str, standing: Standing, session: str, control: str, message: str) -> None:
        known = self._open.get(rule)
        if known is not None and known.standing == standing and known.control == control:
            self._open[rule] = Stretch(rule, standing, known.first, session, known.sessions + 1, control, known.message)
            return
        if known is not None:
            self._ended.append(self._open.pop(rule))
        if standing is not Standing.KEPT:
            self._open[rule] = Stretch(rule, standing, session, session, 1, control, message)

    def rules(self) -> tuple[RuleCount, ...]:
        """Every rule, in the order of RULES."""
        return tuple(self._rules)

    def stretches(self) -> tuple[Stretch, ...]:
        """All of them, by their first session and the order of RULES."""
        order = {rule.name: place for place, rule in enumerate(RULES)}
        return tuple(sorted((*self._ended, *self._open.values()), key=lambda e: (e.first, order[e.rule], e.last)))


def standing_of(
    rule: MandateRule, read: SessionRead, answers: Mapping[str, Sequence[Row]], cut: Mapping[str, Sequence[Row]]
) -> tuple[Standing, str, str]:
    """(standing, the control that it rests on, its words) of one rule in one session: the worst that any control gives."""
    if not read.verdict:
        return Standing.NO_VERDICT, "", read.reason or "nothing recorded"
    found = [_standing(control, read, answers.get(control, ()), cut.get(control, ())) for control in rule.controls]
    order = list(Standing)
    return max(found, key=lambda one: order.index(one[0]))


def _standing(control: str, read: SessionRead, answers: Sequence[Row], cut: Sequence[Row]) -> tuple[Standing, str, str]:
    if not answers:
        return Standing.NOT_JUDGED, control, f"the verdict holds no answer of {control}"
    worst = worst_of(answers)
    loud = Status[str(worst["status"])] > Status.WARN
    register = [row for row in read.rows if row["kind"] == BREACH and row["control"] == control]
    if loud and (worst["observed"] is None or worst["observed"] != worst["observed"]):
        return Standing.NOT_JUDGED, control, str(worst["message"])
    open_ = [row for row in register if row["status"] != PASS]
    passive = [row for row in answers if row["status"] == WARN and str(row["message"]).startswith(PASSIVE_PREFIX)]
    if open_ or passive:
        return Standing.BREACHED, control, str((open_ or passive)[0]["message"])
    if register:
        return Standing.CURED, control, f"the breach of {register[0]['opened']} is closed"
    eased = [text for text in read.eased if text.startswith(control)]
    if eased:
        return Standing.EASED, control, eased[0]
    acting = control in STATE_CONTROLS and worst["status"] == WARN
    if loud or cut or acting:
        words = str(worst["message"]) or next((str(row["message"]) for row in cut if row["message"]), "")
        return Standing.ACTED, control, words or f"{len(cut)} orders made smaller"
    return Standing.KEPT, "", ""
