"""What the controls did in a period, counted from stored verdicts, one session at a time. Pure.

Counts only add up: those of the months give those of the year. Not here: rules of the mandate by session (`assessment_rules`), what
regulation asks (`assessment_review`), the page (`assessment_page`), reading a home (`commands.assess`).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal

from marketbot_resources.model import Status

Row = Mapping[str, object]
CONTROL, ORDER, BREACH = "CONTROL", "ORDER", "BREACH"
LEG = "FX:"
CENT = Decimal("0.01")
PASS, WARN = Status.PASS.name, Status.WARN.name


@dataclass(frozen=True, slots=True)
class SessionRead:
    """What one session of the period stored.

    `state`: how it ended, empty when nothing is recorded; `verdict`: APPROVED, REJECTED or HALT, empty without one; `bound`: the
    ledger's decision names this very verdict. `rows`: of RISK_VERDICT; `values`: client order id -> value of the planned order in
    base currency, of orders that the verdict made smaller; `eased`: limits that the optimizer eased, in its words.
    """

    session: str
    state: str
    reason: str
    verdict: str = ""
    bound: bool = False
    rows: Sequence[Row] = ()
    values: Mapping[str, float] = field(default_factory=dict)
    eased: Sequence[str] = ()


@dataclass(slots=True)
class ControlCount:
    """One control over the period; all counts are of sessions but those of orders.

    `evaluated` = `passed` + `warned` + `fired`: by its worst answer on the last round, and fired when it made an order smaller.
    `not_computed`: it fired because its number could not be computed; `absent`: a verdict without its answer. `smaller`, `dropped`:
    orders in securities that it cut, or took out whole; `legs`: currency orders; `value`: what was not sent of them, at the limit,
    in base currency, legs left out; `unvalued`: cut orders whose value is not known.
    """

    control: str
    evaluated: int = 0
    passed: int = 0
    warned: int = 0
    fired: int = 0
    not_computed: int = 0
    absent: int = 0
    smaller: int = 0
    dropped: int = 0
    legs: int = 0
    value: Decimal = Decimal(0)
    unvalued: int = 0
    by_status: dict[str, int] = field(default_factory=dict)
    last_warned: str = ""
    last_fired: str = ""
    last_status: str = ""
    last_message: str = ""
    unchecked: int = 0
    last_unchecked: str = ""
    nearest: "Nearest | None" = None
    not_computed_in: list[tuple[str, str]] = field(default_factory=list)
    absent_in: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Nearest:
    """Where a control came nearest to its limit: `share` is the room left over the limit's size, negative beyond it."""

    session: str
    key: str
    observed: float
    limit: float
    share: float
    unit: str


@dataclass(frozen=True, slots=True)
class BreachSpan:
    """One breach of the register. `closed`: the session whose verdict closed it, empty while it is open.

    `began_before`: it was open already when the period began; `overdue`: it stayed longer than its limit allows.
    """

    control: str
    subject: str
    opened: str
    closed: str
    cause: str
    halt_class: str
    sessions: int
    overdue: bool
    began_before: bool
    message: str


@dataclass(frozen=True, slots=True)
class Counted:
    """A period: how many sessions had a verdict, of which kind, and what every control and breach did."""

    sessions: int
    verdicts: Mapping[str, int]
    states: Mapping[str, int]
    controls: tuple[ControlCount, ...]
    breaches: tuple[BreachSpan, ...]


class Assessment:
    """Counts sessions as they come, oldest first; no session is kept. `catalogue`: every control that should answer."""

    def __init__(self, catalogue: Iterable[str], first: str) -> None:
        self._first = first
        self._catalogue = tuple(catalogue)
        self._controls = {control: ControlCount(control) for control in self._catalogue}
        self._breaches: dict[tuple[str, str, str], BreachSpan] = {}
        self._sessions = 0
        self._verdicts: dict[str, int] = {}
        self._states: dict[str, int] = {}

    def add(self, read: SessionRead) -> None:
        """Counts one session."""
        self._sessions += 1
        _up(self._states, read.state or "nothing recorded")
        if not read.verdict:
            return
        _up(self._verdicts, read.verdict)
        answers = by_control(read.rows)
        cut = cut_orders(read.rows)
        for control in sorted({*self._catalogue, *answers, *cut}):
            count = self._controls.setdefault(control, ControlCount(control))
            _count(count, read, answers.get(control, ()), cut.get(control, ()))
        for row in read.rows:
            if row["kind"] == BREACH:
                self._breach(row, read.session)

    def _breach(self, row: Row, session: str) -> None:
        key = (str(row["control"]), str(row["name"]), str(row["opened"]))
        known, closed = self._breaches.get(key), str(row["status"]) == PASS
        sessions, limit = number(row["observed"]), number(row["limit"])
        overdue = math.isfinite(limit) and sessions > limit
        self._breaches[key] = BreachSpan(
            control=key[0],
            subject=key[1],
            opened=key[2],
            closed=session if closed else "",
            cause=str(row["cause"]),
            halt_class=max(str(row["halt_class"]), known.halt_class if known else ""),
            sessions=int(sessions) if math.isfinite(sessions) else 0,
            overdue=overdue or (known is not None and known.overdue),
            began_before=key[2] < self._first,
            message=known.message if known else str(row["message"]),
        )

    def counted(self) -> Counted:
        """What was counted so far."""
        return Counted(
            sessions=self._sessions,
            verdicts=dict(sorted(self._verdicts.items())),
            states=dict(sorted(self._states.items())),
            controls=tuple(self._controls[control] for control in sorted(self._controls)),
            breaches=tuple(sorted(self._breaches.values(), key=lambda b: (b.opened, b.control, b.subject))),
        )


def by_control(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Control -> its answers in one verdict."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        if row["kind"] == CONTROL:
            found.setdefault(str(row["control"]), []).append(row)
    return found


def cut_orders(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Control -> the planned orders that it made smaller or took out, in one verdict."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        if row["kind"] == ORDER and str(row["control"]) and quantity(row, "approved") < quantity(row, "planned"):
            found.setdefault(str(row["control"]), []).append(row)
    return found


def quantity(row: Row, which: str) -> Decimal:
    """The planned or approved quantity of an order's row. Raises ValueError when there is none."""
    value = row[f"{which}_quantity"]
    if not isinstance(value, Decimal) or not value.is_finite():
        raise ValueError(f"order {row['key']}: expected a {which} quantity, found {value}")
    return value


def worst_of(answers: Iterable[Row]) -> Row:
    """The first of the answers with the worst status."""
    return max(answers, key=lambda row: Status[str(row["status"])])


def _count(count: ControlCount, read: SessionRead, answers: Sequence[Row], cut: Sequence[Row]) -> None:
    for row in cut:
        _count_cut(count, row, read.values)
    if not answers:
        count.absent += 1
        count.absent_in.append(read.session)
        return
    worst = worst_of(answers)
    status = str(worst["status"])
    count.evaluated += 1
    _up(count.by_status, status)
    _nearer(count, answers, read.session)
    silent = [str(row["message"]) for row in answers if row["status"] == PASS and row["message"]]
    if silent:
        count.unchecked += 1
        count.last_unchecked = silent[0]
    if cut or Status[status] > Status.WARN:
        count.fired += 1
        loudest = worst_of([worst, *cut])
        count.last_fired, count.last_status = read.session, str(loudest["status"])
        count.last_message = str(loudest["message"])
    elif status == WARN:
        count.warned += 1
        count.last_warned = read.session
    else:
        count.passed += 1
    unknown = [
        r for r in answers if Status[str(r["status"])] > Status.WARN and not math.isfinite(number(r["observed"]))
    ]
    if unknown:
        count.not_computed += 1
        count.not_computed_in.append((read.session, str(unknown[0]["message"])))


def _count_cut(count: ControlCount, row: Row, values: Mapping[str, float]) -> None:
    planned, approved = quantity(row, "planned"), quantity(row, "approved")
    if str(row["name"]).startswith(LEG):
        count.legs += 1
        return
    if approved > 0:
        count.smaller += 1
    else:
        count.dropped += 1
    value = values.get(str(row["key"]), math.nan)
    if not math.isfinite(value):
        count.unvalued += 1
        return
    share = (planned - approved) / planned
    count.value += (Decimal(repr(value)) * share).quantize(CENT, ROUND_HALF_EVEN)


def _nearer(count: ControlCount, answers: Sequence[Row], session: str) -> None:
    for row in answers:
        observed, limit, room = (number(row[name]) for name in ("observed", "limit", "headroom"))
        if not all(map(math.isfinite, (observed, limit, room))) or limit == 0.0:
            continue
        share = room / abs(limit)
        if count.nearest is None or share < count.nearest.share:
            key = str(row["key"]).partition("|")[2]
            count.nearest = Nearest(session, key, observed, limit, share, str(row["unit"]))


def number(value: object) -> float:
    """A stored number; NaN for none."""
    return float(value) if isinstance(value, int | float) else math.nan


def _up(counts: dict[str, int], key: str) -> None:
    counts[key] = counts.get(key, 0) + 1
