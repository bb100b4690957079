"""The book's state from one session to the next: ladder, losses, lots, stops, blocks, counters in one pure step.

Not here: how holdings and NAV come about (`positions`), the parts themselves (`ladder`, `stops`), storage (`frames`).
"""

import datetime as dt
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal

from marketbot_assets.book.ladder import WEEK_SESSIONS, LadderStep, losses, step_ladder
from marketbot_assets.book.positions import Valuation
from marketbot_assets.book.state import BookState, Lot, Rung, StopHit
from marketbot_assets.book.stops import blocked_names, judge_stops, passive_breaches, roll_lots, with_extremes
from marketbot_assets.book.trades import buy_days, last_days, loss_days, sales
from marketbot_resources.corporate_actions import CorporateAction
from marketbot_resources.errors import HaltError
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import Execution, Kind, Side

TURNOVER_SESSIONS = 20


def opening_state(session: dt.date, nav: float) -> BookState:
    """A book that starts in cash; `session` is the one before the first that `step_book` judges. NAV in base."""
    if not (math.isfinite(nav) and nav > 0.0):
        raise HaltError(f"{session}: expected a positive NAV to open the book, found {nav}")
    return BookState(
        session=session,
        nav=nav,
        inception_high=nav,
        reference_high=nav,
        drawdown=0.0,
        drawdown_inception=0.0,
        rung=Rung.FULL,
        multiple=1.0,
        sessions_in_rung=0,
        sessions_since_step=0,
        rearms=(),
        halt_class="",
        no_buys="",
        sessions_since_build=0,
        nav_history=(nav,),
        turnover=(),
        lots=(),
        stop_hits=(),
        blocked=(),
        passive=(),
    )


def step_book(
    previous: BookState,
    *,
    session: dt.date,
    valuation: Valuation,
    fills: Sequence[Execution],
    actions: Sequence[CorporateAction],
    close: Mapping[str, float],
    atr20: Mapping[str, float],
    index_vol_20d: float,
    clean: bool,
    operator_rearm: bool,
    decision_sessions: Sequence[dt.date],
    mandate: Mandate,
    protective_ids: Collection[str] = frozenset(),
    stopped_ids: Collection[str] = frozenset(),
    quoted: Iterable[StopHit] = (),
) -> BookState:
    """The state after `session`.

    `valuation`: holdings after the fills and actions, with NAV; `close`: of bars that landed this session only, `atr20`
    in price units, both in listing currency, NaN = unknown; `index_vol_20d` per year. `decision_sessions` reach beyond
    the block of RC-64. `protective_ids`: client order ids of exits and cures: no discretionary turnover.
    `stopped_ids`: of protective orders at the broker: their names are blocked as after a hit.
    `quoted`: stops that quotes broke since `previous`; they count like hits at the close of the session before.
    The state has no forecast yet (`forecast_record`). Raises HaltError when the session does not follow, NAV is no positive
    number, or lots and holdings disagree.
    """
    if session <= previous.session:
        raise HaltError(f"book_state: expected a session after {previous.session}, found {session}")
    nav = valuation.nav
    ladder = step_ladder(
        previous, nav, session=session, index_vol_20d=index_vol_20d, clean=clean, operator_rearm=operator_rearm,
        mandate=mandate,
    )  # fmt: skip
    history = (*previous.nav_history, nav)[-(WEEK_SESSIONS + 1) :]
    loss = losses(history, mandate.loss_rules)
    rolled = roll_lots(previous.lots, fills, actions, session=session)
    _assert_same(rolled, valuation.holdings.shares, session)
    lots = with_extremes(rolled, close)
    hits = judge_stops(lots, close, atr20, mandate.stops, previous=(*quoted, *previous.stop_hits))
    entries = {lot.instrument: lot.entry_price for lot in roll_lots(previous.lots, (), actions, session=session)}
    today = discretionary_turnover(fills, previous, valuation, protective_ids)
    return BookState(
        session=session,
        nav=nav,
        inception_high=ladder.inception_high,
        reference_high=ladder.reference_high,
        drawdown=ladder.drawdown,
        drawdown_inception=ladder.drawdown_inception,
        rung=ladder.rung,
        multiple=ladder.multiple,
        sessions_in_rung=ladder.sessions_in_rung,
        sessions_since_step=ladder.sessions_since_step,
        rearms=ladder.rearms,
        halt_class=_halt_class(ladder, previous, loss.halt, clean),
        no_buys=loss.no_buys,
        sessions_since_build=previous.sessions_since_build + 1 if lots else 0,
        nav_history=history,
        turnover=(*previous.turnover, today)[-TURNOVER_SESSIONS:],
        lots=lots,
        stop_hits=hits,
        blocked=blocked_names(
            previous.blocked,
            hits,
            session=session,
            decision_sessions=decision_sessions,
            block_sessions=mandate.stops.block_sessions,
            stopped=[fill.instrument for fill in fills if fill.client_order_id in stopped_ids],
        ),
        passive=passive_breaches(previous.passive, valuation.weights(), mandate.limits.passive_breach),
        risk_days=previous.risk_days,
        bought=last_days(previous.bought, buy_days(fills), session),
        sold_at_loss=last_days(previous.sold_at_loss, loss_days(fills, entries), session),
        unsettled=sales(previous.unsettled, fills, session, mandate.base_currency),
    )


def _halt_class(ladder: LadderStep, previous: BookState, loss_halt: bool, clean: bool) -> str:
    """C while the ladder is halted; B after the day's loss, until the next session that reconciles."""
    if ladder.rung is Rung.HALT:
        return "C"
    return "B" if loss_halt or (previous.halt_class == "B" and not clean) else ""


def _assert_same(lots: Iterable[Lot], shares: Mapping[str, Decimal], session: dt.date) -> None:
    ours = {lot.instrument: lot.quantity for lot in lots}
    if ours != dict(shares):
        names = sorted(name for name in {*ours, *shares} if ours.get(name, 0) != shares.get(name, 0))
        raise HaltError(f"{session}: expected lots that add up to the positions, found others in {', '.join(names)}")


def discretionary_turnover(
    fills: Iterable[Execution], previous: BookState, valuation: Valuation, protective_ids: Collection[str]
) -> float:
    """One-way turnover of the fills that the target asked for, fraction of NAV: half of bought and sold base value.

    Not counted: currency legs, orders in `protective_ids`, sells of names whose stop was hit, sells ordered on TO_CASH
    or HALT. Raises HaltError when a traded currency has no rate.
    """
    due = {hit.instrument for hit in previous.stop_hits}
    emptied = previous.rung in (Rung.TO_CASH, Rung.HALT)
    traded = []
    for fill in fills:
        forced = fill.side is Side.SELL and (emptied or fill.instrument in due)
        if fill.kind is Kind.FX or forced or fill.client_order_id in protective_ids:
            continue
        rate = valuation.rates.get(fill.currency, math.nan)
        if not rate > 0.0:
            raise HaltError(f"execution {fill.execution_id}: expected a rate of {fill.currency}, found {rate}")
        traded.append(float(fill.quantity * fill.price) * rate)
    return 0.5 * math.fsum(traded) / valuation.nav
