"""How the drawdown ladder (RC-60) and the loss rules (RC-61) move with the session's NAV.

A rung falls at once and rises slowly: the multiple of the volatility target follows the drawdown down in the same
session and goes up by at most one step after `min_sessions` without any change. Not here: what a rung forbids (`risk`),
lots (`stops`).
"""

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from marketbot_assets.book.state import BookState, Rung
from marketbot_resources.calendars import decision_sessions
from marketbot_resources.errors import HaltError
from marketbot_resources.mandate import Mandate
from marketbot_resources.mandate_limits import Ladder, LossRules

TOLERANCE = 1e-9
MULTIPLE_DIGITS = 9
WEEK_SESSIONS = 5
SEVERITY = (Rung.FULL, Rung.SCALED, Rung.REDUCE_ONLY, Rung.TO_CASH, Rung.HALT)


@dataclass(frozen=True, slots=True)
class LadderStep:
    """Where the ladder stands after a session; fields as in `BookState`. `reason`: why it re-armed or halted, or empty.

    Both counters are 0 in the session in which the rung, or the multiple, changed.
    """

    inception_high: float
    reference_high: float
    drawdown: float
    drawdown_inception: float
    rung: Rung
    multiple: float
    sessions_in_rung: int
    sessions_since_step: int
    rearms: tuple[dt.date, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Losses:
    """RC-61: losses as positive fractions; `no_buys` empty or why nothing may be bought; `halt` is class B."""

    day: float
    week: float
    no_buys: str
    halt: bool


def rung_of(drawdown: float, ladder: Ladder) -> Rung:
    """The rung that a drawdown asks for; a value within 1e-9 of a rung counts as reaching it."""
    reached = drawdown + TOLERANCE
    rungs = (
        (ladder.halt.at, Rung.HALT),
        (ladder.to_cash.at, Rung.TO_CASH),
        (ladder.reduce_only.at, Rung.REDUCE_ONLY),
        (ladder.full_below, Rung.SCALED),
    )
    return next((rung for at, rung in rungs if reached >= at), Rung.FULL)


def multiple_of(drawdown: float, rung: Rung, ladder: Ladder) -> float:
    """Factor on the volatility target that rung and drawdown ask for; linear within SCALED, 0 where all is sold.

    Rounded to 1e-9, so that noise in the last bits of NAV is no fall, which would start the wait for a rise anew.
    """
    scale = ladder.scale
    if rung in (Rung.TO_CASH, Rung.HALT):
        return 0.0
    if rung is Rung.REDUCE_ONLY:
        return ladder.reduce_only.vol_multiple
    share = min(max((drawdown - scale.from_) / (scale.to - scale.from_), 0.0), 1.0)
    return round(scale.from_multiple + share * (scale.to_multiple - scale.from_multiple), MULTIPLE_DIGITS)


def step_ladder(
    previous: BookState,
    nav: float,
    *,
    session: dt.date,
    index_vol_20d: float,
    clean: bool,
    operator_rearm: bool,
    mandate: Mandate,
) -> LadderStep:
    """The ladder after `session`. `index_vol_20d` per year, NaN = unknown; `clean`: reconciliation without breaks.

    - Down at once. TO_CASH holds until the drawdown is below the REDUCE_ONLY rung or the ladder re-arms; HALT holds
      until an operator re-arms it.
    - Class B re-arm, by rule: `after_sessions` in REDUCE_ONLY or TO_CASH, clean, a calm index. The one that would be
      the `halt_after_rearms`-th within `within_sessions` halts instead (class C).
    - Class C re-arm, by an operator, clean only; it starts the count of re-arms anew. Nothing forgives the absolute
      floor.

    Raises HaltError when NAV is not a positive number.
    """
    if not (math.isfinite(nav) and nav > 0.0):
        raise HaltError(f"{session}: expected a positive NAV, found {nav}; check prices, rates and cash of the book")
    rules = mandate.ladder
    inception, reference = max(previous.inception_high, nav), max(previous.reference_high, nav)
    start = LadderStep(
        inception_high=inception,
        reference_high=reference,
        drawdown=1.0 - nav / reference,
        drawdown_inception=1.0 - nav / inception,
        rung=previous.rung,
        multiple=previous.multiple,
        sessions_in_rung=previous.sessions_in_rung + 1,
        sessions_since_step=previous.sessions_since_step + 1,
        rearms=previous.rearms,
        reason="",
    )
    floor = rules.absolute_floor.drawdown_from_inception_high
    if start.drawdown_inception + TOLERANCE >= floor:
        return _halted(start, f"{start.drawdown_inception:.4f} below the inception high, floor {floor}")
    if previous.rung is Rung.HALT:
        if not (operator_rearm and clean):
            return _halted(start, "halted, class C")
        return _rearmed(start, nav, rules, (session,), "re-armed by an operator (class C)")
    asked = rung_of(start.drawdown, rules)
    if asked is Rung.HALT:
        return _halted(start, f"drawdown {start.drawdown:.4f} reached {rules.halt.at}")
    waited = start.sessions_in_rung >= rules.rearm.after_sessions
    calm = index_vol_20d < rules.rearm.index_vol_20d_below_per_year
    if _reduced(previous.rung) and _reduced(asked) and waited and clean and calm:
        return _rearm_by_rule(start, nav, session, mandate)
    return _moved(start, asked, rules)


def _reduced(rung: Rung) -> bool:
    return rung in (Rung.REDUCE_ONLY, Rung.TO_CASH)


def _moved(start: LadderStep, asked: Rung, rules: Ladder) -> LadderStep:
    """Rung and multiple by the drawdown alone."""
    rung = Rung.TO_CASH if start.rung is Rung.TO_CASH and asked is Rung.REDUCE_ONLY else asked
    target, now = multiple_of(start.drawdown, rung, rules), start.multiple
    if target > now:
        may_rise = start.sessions_since_step >= rules.step_up.min_sessions
        target = min(target, now + rules.step_up.step) if may_rise else now
    return replace(
        start,
        rung=rung,
        multiple=target,
        sessions_in_rung=start.sessions_in_rung if rung is start.rung else 0,
        sessions_since_step=start.sessions_since_step if target == now else 0,
    )


def _halted(start: LadderStep, reason: str) -> LadderStep:
    stays = start.rung is Rung.HALT
    return replace(
        start,
        rung=Rung.HALT,
        multiple=0.0,
        sessions_in_rung=start.sessions_in_rung if stays else 0,
        sessions_since_step=start.sessions_since_step if stays else 0,
        reason=reason,
    )


def _rearm_by_rule(start: LadderStep, nav: float, session: dt.date, mandate: Mandate) -> LadderStep:
    rules = mandate.ladder.rearm
    recent = tuple(day for day in start.rearms if _age(mandate, day, session) < rules.within_sessions)
    if len(recent) + 1 >= rules.halt_after_rearms:
        text = f"re-arm number {len(recent) + 1} within {rules.within_sessions} sessions"
        return _halted(start, text)
    return _rearmed(start, nav, mandate.ladder, (*recent, session), "re-armed by rule (class B)")


def _age(mandate: Mandate, day: dt.date, session: dt.date) -> int:
    """Decision sessions in (day, session]."""
    return len(decision_sessions(mandate.calendar, day + dt.timedelta(days=1), session))


def _rearmed(start: LadderStep, nav: float, rules: Ladder, rearms: tuple[dt.date, ...], reason: str) -> LadderStep:
    """The re-base: reference := NAV / divisor, so the drawdown starts at the first rung; never above the old high."""
    reference = min(start.reference_high, nav / rules.rearm.reference_nav_divisor)
    drawdown = 1.0 - nav / reference
    rung = rung_of(drawdown, rules)
    return replace(
        start,
        reference_high=reference,
        drawdown=drawdown,
        rung=rung,
        multiple=min(rules.rearm.start_multiple, multiple_of(drawdown, rung, rules)),
        sessions_in_rung=0,
        sessions_since_step=0,
        rearms=rearms,
        reason=reason,
    )


def losses(nav_history: Sequence[float], rules: LossRules) -> Losses:
    """RC-61 on NAVs of consecutive sessions, oldest first, this one last; a week is 5 sessions or what there is."""
    now = nav_history[-1]
    day = 1.0 - now / nav_history[-2] if len(nav_history) > 1 else 0.0
    week = 1.0 - now / nav_history[-min(len(nav_history), WEEK_SESSIONS + 1)]
    reasons = [
        f"RC-61 loss of the {name} {seen:.4f}"
        for name, seen, limit in (("day", day, rules.day), ("week", week, rules.week))
        if seen + TOLERANCE >= limit
    ]
    return Losses(day, week, "; ".join(reasons), day + TOLERANCE >= rules.halt_day)
