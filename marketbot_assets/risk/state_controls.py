"""Controls on the state of the book: RC-31 passive breaches, RC-60 drawdown ladder, RC-61 loss rules, RC-62 and RC-63 stops,
RC-64 blocked names.

A state control says what the batch holds that the state forbids; once it holds none of it, WARN. Not here: how the state
moves from session to session (the book stage), limits on weights (`book_controls`).
"""

import math
from collections.abc import Callable

import numpy as np

from marketbot_assets.book.state import Rung
from marketbot_assets.risk.control import FRACTION, TOLERANCE, ControlResult, Rule, beyond, within
from marketbot_assets.risk.projection import WITHOUT, Projection, members, number
from marketbot_resources.model import Status

PASSIVE = Rule(
    "RC-31",
    "passive breach",
    Status.SHRINK,
    formula="|w_i| before the batch <= no_buys, else not bought; > trim for more than cure_sessions without a trim: no buys at all",
    answers="RTS 6 Art. 15(4), 17; house",
)
LADDER = Rule(
    "RC-60",
    "drawdown ladder",
    Status.HALT,
    formula="1 - NAV / reference high: scaled from full_below, no risk added from reduce_only, to cash, HALT",
    answers="SEC 15c3-5(c)(1)(i); RTS 6 Art. 12",
)
LOSS = Rule(
    "RC-61",
    "loss of the day and week",
    Status.HALT,
    formula="loss of the day < day, of five sessions < week, else no buys; loss of the day < halt_day, else HALT",
    answers="SEC 15c3-5(c)(1)(i); RTS 6 Art. 12",
)
STOP = Rule(
    "RC-62",
    "stop loss",
    Status.SHRINK,
    "exits missing",
    formula="close > entry * (1 - max(min_fraction, atr20_multiple * ATR20 / entry)), else the exit must be in the plan",
    answers="house",
)
TRAIL = Rule(
    "RC-63",
    "trailing stop",
    Status.SHRINK,
    "exits missing",
    formula="close > highest close since entry - max(min_fraction of it, atr20_multiple * ATR20), else its exit in the plan",
    answers="house",
)
BLOCKED = Rule(
    "RC-64",
    "re-entry",
    Status.REJECT_ORDER,
    "orders",
    formula="a stopped name is not bought for so many sessions",
    answers="house",
)

WEEK_SESSIONS = 5
SEVERITY = (Rung.FULL, Rung.SCALED, Rung.REDUCE_ONLY, Rung.TO_CASH, Rung.HALT)


def passive(p: Projection) -> tuple[ControlResult, ...]:
    """RC-31: a name that drifted beyond 5 % is not bought; beyond 6 % for too long and without a trim, nothing is."""
    rule, book = p.mandate.limits.passive_breach, p.inputs.book
    age, results = dict(members(book.passive)), []
    weights = np.abs(p.weights[:, WITHOUT])
    for row in np.flatnonzero(beyond(weights, rule.no_buys)).tolist():
        name, weight = p.inputs.instruments[row], float(weights[row])
        trimmed = bool((p.reducing & (p.rows == row)).any())
        overdue = not within(weight, rule.trim) and age.get(name, 0) > rule.cure_sessions and not trimmed
        everything = overdue or not math.isfinite(weight)
        here = np.arange(len(p.inputs.instruments)) == row
        ids = p.increasing_ids if everything else p.increasing_in(here)
        status = PASSIVE.fail if ids else Status.WARN
        text = f"{name} stands at {weight:.6g}{', its trim is overdue' if overdue else ''}"
        limit = rule.trim if overdue else rule.no_buys
        results.append(PASSIVE.result(status, text, key=name, observed=weight, limit=limit, order_ids=ids, keep=0.0))
    return tuple(results) or (PASSIVE.result(Status.PASS, limit=rule.no_buys),)


def drawdown(p: Projection) -> float:
    """The ladder's drawdown: the book's own and the one from this NAV, whichever is worse. Raises ValueError when unknown."""
    book = p.inputs.book
    if book.session != p.inputs.session:
        raise ValueError(f"book state of {book.session}, expected {p.inputs.session}")
    high = number(book.reference_high)
    both = (number(book.drawdown), 1.0 - p.nav / high if high > 0 else math.nan)
    if not all(math.isfinite(x) for x in (*both, number(book.nav))):
        raise ValueError("the drawdown is unknown")
    return max(*both, 0.0)


def reached(seen: float, at: float) -> bool:
    """Whether a drawdown or a loss has come to a step, the tolerance included; a step that is no number is always reached."""
    return not (math.isfinite(at) and seen + TOLERANCE < at)


def rung(p: Projection) -> Rung:
    """The stricter of the book's rung and the one its drawdown asks for."""
    ladder, now = p.mandate.ladder, drawdown(p)
    steps = (
        (ladder.halt.at, Rung.HALT),
        (ladder.to_cash.at, Rung.TO_CASH),
        (ladder.reduce_only.at, Rung.REDUCE_ONLY),
        (ladder.full_below, Rung.SCALED),
    )
    asked = next((step for at, step in steps if reached(now, at)), Rung.FULL)
    if not below_floor(p):
        return max(asked, p.inputs.book.rung, key=SEVERITY.index)
    return Rung.HALT


def ladder_multiple(p: Projection) -> float:
    """Factor on the volatility target: the book's own, but never more than the drawdown allows (RC-60).

    Between `scale.from` and `scale.to` it falls in a straight line. Raises ValueError when the book's is not in [0, 1].
    """
    own, now, rules = number(p.inputs.book.multiple), drawdown(p), p.mandate.ladder
    if not 0.0 <= own <= 1.0:
        raise ValueError(f"the ladder's multiple is {own}")
    scale, step = rules.scale, rung(p)
    if step in (Rung.TO_CASH, Rung.HALT):
        return 0.0
    if step is Rung.REDUCE_ONLY:
        return min(own, rules.reduce_only.vol_multiple)
    share = min(1.0, max(0.0, (now - scale.from_) / (scale.to - scale.from_))) if scale.to > scale.from_ else 1.0
    return min(own, scale.from_multiple + share * (scale.to_multiple - scale.from_multiple))


def below_floor(p: Projection) -> bool:
    """Whether the loss since inception reached the absolute floor; an unknown one counts."""
    floor = p.mandate.ladder.absolute_floor.drawdown_from_inception_high
    high, lost = number(p.inputs.book.inception_high), number(p.inputs.book.drawdown_inception)
    worst = max(lost, 1.0 - p.nav / high) if high > 0 else math.nan
    return not worst + TOLERANCE < floor or not (math.isfinite(lost) and math.isfinite(floor))


def _halt(p: Projection, rule: Rule, text: str, observed: float, limit: float, *, key: str = "") -> ControlResult:
    """HALT, except that from the drawdown of `to_cash` on sells go on until the book is flat."""
    deep = reached(drawdown(p), p.mandate.ladder.to_cash.at) or below_floor(p)
    status = Status.HALT
    ids: tuple[str, ...] = ()
    if deep and bool((p.reducing & (p.signs < 0)).any()):
        ids = p.increasing_ids
        status, text = (Status.REDUCE_ONLY if ids else Status.WARN), f"{text}; sells to cash go on"
    return rule.result(status, text, key=key, observed=observed, limit=limit, order_ids=ids, keep=0.0)


def ladder(p: Projection) -> tuple[ControlResult, ...]:
    """RC-60: SCALED is noted, REDUCE_ONLY and TO_CASH let no risk be added, HALT sends nothing but sells to cash."""
    now, step, rules = drawdown(p), rung(p), p.mandate.ladder
    if p.inputs.book.halt_class not in ("", "B", "C"):
        raise ValueError(f"unknown halt class {p.inputs.book.halt_class!r}")
    limits = {Rung.HALT: rules.halt.at, Rung.TO_CASH: rules.to_cash.at, Rung.REDUCE_ONLY: rules.reduce_only.at}
    limit, text = limits.get(step, rules.full_below), f"drawdown {now:.6g}, rung {step.value}"
    if step is Rung.HALT or p.inputs.book.halt_class == "C":
        return (_halt(p, LADDER, text, now, limit),)
    if step in (Rung.FULL, Rung.SCALED):
        status = Status.PASS if step is Rung.FULL else Status.WARN
        return (LADDER.result(status, text if status else "", observed=now, limit=limit),)
    ids = p.increasing_ids
    status = Status.REDUCE_ONLY if ids else Status.WARN
    return (LADDER.result(status, text, observed=now, limit=limit, order_ids=ids, keep=0.0),)


def _losses(p: Projection) -> tuple[float, float]:
    """(loss of the day, loss of the week) from the NAV history, the worse of its last value and this NAV; 0 without history."""
    history = [number(x) for x in p.inputs.book.nav_history]
    if not history or not all(math.isfinite(x) and x > 0 for x in history):
        raise ValueError("the NAV history is missing or not readable")
    if not math.isfinite(p.nav):
        raise ValueError("no NAV")
    now = min(history[-1], p.nav)
    day = 1.0 - now / history[-2] if len(history) > 1 else 0.0
    return day, 1.0 - now / history[-min(len(history), WEEK_SESSIONS + 1)]


def loss(p: Projection) -> tuple[ControlResult, ...]:
    """RC-61: -2 % on the day or -4 % in the week: no buys; -4 % on the day: HALT class B."""
    rules, book = p.mandate.loss_rules, p.inputs.book
    day, week = _losses(p)
    if not isinstance(book.no_buys, str):
        raise TypeError("no_buys is no text")
    # On REDUCE_ONLY and TO_CASH class B names the kind of re-arming, elsewhere a halt of its own.
    halted = book.halt_class == "B" and book.rung not in (Rung.REDUCE_ONLY, Rung.TO_CASH)
    if reached(day, rules.halt_day) or halted:
        return (_halt(p, LOSS, f"loss of the day {day:.6g}", day, rules.halt_day, key="halt"),)
    results = []
    for key, seen, limit in (("day", day, rules.day), ("week", week, rules.week)):
        results.append(_no_buys(p, key, reached(seen, limit), f"loss of the {key} {seen:.6g}", seen, limit))
    results.append(_no_buys(p, "rest of the period", bool(book.no_buys), f"no buys: {book.no_buys}", None, None))
    return tuple(results)


def _no_buys(p: Projection, key: str, on: bool, text: str, seen: float | None, limit: float | None) -> ControlResult:
    ids = p.increasing_ids if on else ()
    status = Status.REDUCE_ONLY if ids else Status.WARN if on else Status.PASS
    return LOSS.result(
        status, text if on else "", key=key, observed=seen, limit=limit, order_ids=ids, keep=0.0, unit=FRACTION
    )


def _exit_due(p: Projection, row: int) -> bool:
    """Whether an exit could be sent and neither the plan nor an open order holds one."""
    sellable = p.tradeable(row) and float(p.available[row]) > 0.0
    selling = bool(((p.rows == row) & p.reducing).any()) or number(p.inputs.open_quantity[row]) < 0
    return sellable and not selling


def _stops(p: Projection, rule: Rule) -> tuple[ControlResult, ...]:
    place = {name: row for row, name in enumerate(p.inputs.instruments)}
    results = []
    for hit in members(p.inputs.book.stop_hits):
        if hit.control.startswith(TRAIL.id) != (rule is TRAIL):
            continue
        row = place.get(hit.instrument)
        here = np.array([name == hit.instrument for name in p.inputs.instruments], dtype=bool)
        # A due exit that is missing comes first: until it is there, nothing is bought.
        due = row is not None and _exit_due(p, row)
        ids = p.increasing_ids if due else p.increasing_in(here)
        status = rule.fail if ids else Status.WARN
        text = (
            f"{hit.instrument} closed at {hit.close:.6g}, level {hit.level:.6g}{'; its exit is missing' if due else ''}"
        )
        results.append(
            rule.result(status, text, key=hit.instrument, observed=float(due), limit=0, order_ids=ids, keep=0.0)
        )
    return tuple(results) or (rule.result(Status.PASS, observed=0, limit=0),)


def stop(p: Projection) -> tuple[ControlResult, ...]:
    """RC-62: a name whose stop was hit is not bought, and its exit must be in the plan unless the name cannot be traded."""
    return _stops(p, STOP)


def trail(p: Projection) -> tuple[ControlResult, ...]:
    """RC-63: the same for trailing stops."""
    return _stops(p, TRAIL)


def blocked(p: Projection) -> tuple[ControlResult, ...]:
    """RC-64: a name that was stopped out is not bought before its session has come."""
    results = []
    for name, until in members(p.inputs.book.blocked):
        if p.inputs.session >= until:
            continue
        ids = p.increasing_in(np.array([other == name for other in p.inputs.instruments], dtype=bool))
        status = BLOCKED.fail if ids else Status.WARN
        text = f"{name} is blocked until {until.isoformat()}"
        results.append(BLOCKED.result(status, text, key=name, observed=len(ids), limit=0, order_ids=ids, keep=0.0))
    return tuple(results) or (BLOCKED.result(Status.PASS, observed=0, limit=0),)


STATE_CONTROLS: tuple[tuple[Rule, Callable[[Projection], tuple[ControlResult, ...]]], ...] = (
    (PASSIVE, passive),
    (LADDER, ladder),
    (LOSS, loss),
    (STOP, stop),
    (TRAIL, trail),
    (BLOCKED, blocked),
)
