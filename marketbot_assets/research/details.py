"""What a report of a backtest needs beyond one row per session: holdings, fills, controls, and the market beside them. Pure.

Kept as plain columns while the loop runs (`columns`), never as frames, and written as files beside the asset (`detail_files`).
Fractions count of the NAV with which the session began. Not here: the row per session (`outcomes`), what follows (`tear_sheet`).
"""

import math
from collections.abc import Iterable, Iterator, Mapping

import pandas as pd

from marketbot_assets.audit.attribution import attributed_rows, exchanges, valued_side
from marketbot_assets.audit.benchmark import benchmark_markets, benchmark_weights
from marketbot_assets.audit.cash_earned import cash_earned
from marketbot_assets.audit.compared import factor_move, held_weights, rate_moves
from marketbot_assets.audit.report_book import STATES, headroom_share
from marketbot_assets.book.positions import session_closes
from marketbot_assets.book.roll import session_rates
from marketbot_assets.research.columns import Columns
from marketbot_assets.research.loop import Day
from marketbot_assets.research.outcomes import share_value
from marketbot_assets.risk.control import ControlResult
from marketbot_resources.corporate_actions import SPLIT
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import Execution, Kind, Order
from marketbot_resources.order_slices import CLOSE_LEG

NAN = math.nan
HOLDINGS, FILLS, CONTROLS, MARKET = "holdings", "fills", "controls", "market"
PARTS = ("price", "fx", "dividend", "trading", "fee", "tax", "residual", "total")
USED, BOUND, PREVENTED = "USED", "BOUND", "PREVENTED"
BENCHMARK, FACTOR, SPECIFIC, RATE, WHOLE = "BENCHMARK", "FACTOR", "SPECIFIC", "RATE", "WHOLE"
CASH_RATE = "CASH_RATE"
UNSENT = "verdict"
LAYOUT: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    HOLDINGS: (("instrument", "ticker", "sector", "currency"), ("weight", "begun", *PARTS, "days_to_exit")),
    FILLS: (
        ("instrument", "currency"),
        (
            "side",
            "quantity",
            "price",
            "value_base",
            "fee_base",
            "tax_base",
            "slippage_bps",
            "delay_bps",
            "adv_share",
            "units",
        ),
    ),
    CONTROLS: (("kind", "control", "item"), ("observed", "limit", "used", "planned", "approved")),
    MARKET: (("kind", "item", "currency"), ("weight", "active", "returned")),
}


class Details:
    """Collects the tables of `LAYOUT` from the days of a loop; holds one day beside the columns. `synthetic`: whether any price is
    simulated; taken for true until someone says otherwise. `described_later`: as in `History`. `units` of a fill: its shares
    as if no split had come since the start.
    """

    def __init__(self, mandate: Mandate) -> None:
        self._mandate = mandate
        self.synthetic, self.described_later = True, 0
        self._before: Day | None = None
        self._split: dict[str, float] = {}
        self._tables = {name: Columns(*layout) for name, layout in LAYOUT.items()}

    def watching(self, days: Iterable[Day]) -> Iterator[Day]:
        """The same days, each seen on its way."""
        for day in days:
            self.see(day)
            yield day

    def see(self, day: Day) -> None:
        """Adds the rows of one session; its profit is that since the day seen before."""
        if self._before is not None:
            self._held(self._before, day)
            self._market(self._before, day)
        self._fills(self._before, day)
        self._controls(day)
        self._before = day

    def frames(self) -> dict[str, pd.DataFrame]:
        """Name -> table."""
        return {name: columns.frame() for name, columns in self._tables.items()}

    def _held(self, before: Day, day: Day) -> None:
        value, nav = day.rolled.valuation, before.rolled.valuation.nav
        begun = started(before)
        days, listed = _days_to_exit(day, self._mandate), day.known.instruments
        tickers = dict(zip(listed["instrument"], listed["mic"] + ":" + listed["ticker"], strict=True))
        for row in profit_rows(before, day, self._mandate):
            name = str(row["name"])
            parts = [_number(row[part]) / nav for part in PARTS]
            held = value.values.get(name, 0.0) if row["kind"] != "CASH" else _cash_value(day, str(row["currency"]))
            texts = (name, str(tickers.get(name, "")), str(row["sector"]), str(row["currency"]))
            numbers = (held / value.nav, begun.get(name, 0.0) / nav, *parts, days.get(name, NAN))
            self._tables[HOLDINGS].add(day.state.session, texts, numbers)

    def _market(self, before: Day, day: Day) -> None:
        window, listed, session = day.known.window, day.known.instruments, day.state.session
        rows, weights = self._tables[MARKET], benchmark_weights(window, listed)
        whole = math.fsum(weight * move for weight, move in weights.values()) if weights else NAN
        rows.add(session, (WHOLE, "", ""), (NAN, NAN, whole))
        for (sector, currency), (weight, local) in benchmark_markets(window, listed).items():
            rows.add(session, (BENCHMARK, sector, currency), (weight, NAN, local))
        moves = rate_moves(before.rolled.valuation.rates, day.rolled.valuation.rates)
        for currency, move in sorted(moves.items()):
            rows.add(session, (RATE, currency, currency), (NAN, NAN, move))
        macro, currencies = day.known.macro, [self._mandate.base_currency, *moves]
        for currency, earned in cash_earned(macro.series, macro.sessions, currencies).items():
            rows.add(session, (CASH_RATE, currency, currency), (NAN, NAN, earned))
        held = held_weights(started(before), before.rolled.valuation.nav)
        returns = dict(zip(window.instruments, window.base_return[-1].tolist(), strict=True))
        found = factor_move(before.known.factor_model, before.known.features, held, weights, returns)
        if found is not None:
            for name, numbers in found.factors.items():
                rows.add(session, (FACTOR, name, ""), numbers)
            rows.add(session, (SPECIFIC, "", ""), (NAN, NAN, found.specific))

    def _fills(self, before: Day | None, day: Day) -> None:
        facts = day.decision.risk.operations
        slipped = {} if facts is None else {fill.execution_id: fill.slippage_bps for fill in facts.fills}
        asked = {} if before is None else {o.client_order_id: o for o in before.decision.batch}
        inputs = day.decision.inputs
        adv = dict(zip(inputs.instruments, inputs.adv.tolist(), strict=True))
        rates = day.rolled.valuation.rates
        splits = [action for action in day.rolled.actions if action.kind == SPLIT]
        for fill in day.fills:
            rate, one = rates.get(fill.currency, NAN), 1.0 if fill.kind is Kind.FX else rates.get(fill.currency, NAN)
            value = float(fill.quantity * fill.price) * one
            slip = slipped.get(fill.execution_id, NAN)
            name = f"FX:{fill.currency}" if fill.kind is Kind.FX else fill.instrument
            share = value / adv[name] if adv.get(name, 0.0) > 0.0 else NAN
            delay = _delay_bps(fill, asked.get(fill.client_order_id), before, slip)
            costs = (float(fill.fee) * one, float(fill.tax) * rate)
            told = [x.ratio for x in splits if x.instrument == name and x.effective_at <= fill.executed_at]
            units = float(fill.quantity) / math.prod(told, start=self._split.get(name, 1.0))
            numbers = (float(fill.side.sign), float(fill.quantity), float(fill.price), value, *costs)
            self._tables[FILLS].add(day.state.session, (name, fill.currency), (*numbers, slip, delay, share, units))
        for split in splits:
            self._split[split.instrument] = self._split.get(split.instrument, 1.0) * split.ratio

    def _controls(self, day: Day) -> None:
        rows, session, judgement = self._tables[CONTROLS], day.state.session, day.decision.judgement
        for control, (item, result, used) in sorted(most_used(judgement.results).items()):
            observed, limit = result.observed, result.limit
            assert observed is not None
            assert limit is not None
            rows.add(session, (USED, control, item), (observed, limit, used, NAN, NAN))
        for state in day.decision.target.limits:
            if state.binding:
                used = state.left / state.bound if state.bound else NAN
                rows.add(session, (BOUND, state.control, state.name), (state.left, state.bound, used, NAN, NAN))
        for control, name, planned, approved in prevented(day):
            rows.add(session, (PREVENTED, control, name), (NAN, NAN, NAN, planned, approved))


def profit_rows(before: Day, day: Day, mandate: Mandate) -> list[dict[str, object]]:
    """The session's profit and loss by instrument and cash, as the asset `attribution` splits it."""
    known, rolled = day.known, day.rolled
    listed = known.instruments
    currencies = listed["currency"].astype(str).tolist()
    names = listed["instrument"].astype(str).tolist()
    sectors = listed["sector"].astype(str).tolist()
    dividends: dict[str, float] = {}
    for event in rolled.events:
        dividends[event.instrument] = dividends.get(event.instrument, 0.0) + float(event.amount)
    return attributed_rows(
        valued_side(before.rolled.valuation),
        valued_side(rolled.valuation),
        day.fills,
        dividends={name: amount for name, amount in dividends.items() if amount != 0.0},
        splits={action.instrument: action.ratio for action in rolled.actions if action.kind == SPLIT},
        listings=dict(zip(names, zip(sectors, currencies, strict=True), strict=True)),
        base_currency=mandate.base_currency,
        exchanged=exchanges(rolled.actions, rolled.events, before.rolled.valuation.prices),
        closes=session_closes(known.window),
        rates=session_rates(known.window, currencies, mandate.base_currency),
    )


def started(day: Day) -> dict[str, float]:
    """Instrument or CASH:currency -> value in base currency at the end of a day: what the next one starts with."""
    value = day.rolled.valuation
    cash = {f"CASH:{currency}": _cash_value(day, currency) for currency in value.holdings.cash}
    return {**value.values, **cash}


def most_used(results: Iterable[ControlResult]) -> dict[str, tuple[str, ControlResult, float]]:
    """Control -> (key, result, share of its limit used) of the answer that uses most; 1 is at the limit."""
    found: dict[str, tuple[str, ControlResult, float]] = {}
    for result in results:
        if result.control in STATES or result.observed is None or not result.limit:
            continue
        row = {"observed": result.observed, "limit": result.limit, "headroom": result.headroom}
        used = 1.0 - headroom_share(row)
        if math.isfinite(used) and (result.control not in found or used > found[result.control][2]):
            found[result.control] = (result.key, result, used)
    return found


def prevented(day: Day) -> Iterator[tuple[str, str, float, float]]:
    """(control, instrument, planned, approved) of each order made smaller or not sent, fraction of NAV, signed as the order.

    What takes the rest of slices is counted with them.
    """
    judgement = day.decision.judgement
    orders = {order.client_order_id: order for order in judgement.planned if order.leg != CLOSE_LEG}
    approved = {order.client_order_id for order in judgement.approved}
    changed = set()
    for name, planned, left, control in judgement.changes:
        order = orders.get(name)
        changed.add(name)
        if order is not None and order.kind is Kind.EQUITY:
            each = _each(order, day)
            yield control, order.instrument, float(planned) * each, float(left) * each * (name in approved)
    for name in sorted(set(orders) - approved - changed):
        if orders[name].kind is Kind.EQUITY:
            yield UNSENT, orders[name].instrument, float(orders[name].quantity) * _each(orders[name], day), 0.0


def _each(order: Order, day: Day) -> float:
    """Value of one share of an order, fraction of NAV, negative for a sale."""
    return order.side.sign * share_value(order, day) / day.state.nav


def _delay_bps(fill: Execution, order: Order | None, before: Day | None, slippage_bps: float) -> float:
    """What the price moved between the decision's close and the auction, bps, positive is worse; NaN where unknown."""
    if order is None or before is None or fill.kind is Kind.FX:
        return NAN
    decided = before.rolled.valuation.prices.get(fill.instrument, session_close(before, fill.instrument))
    auction = float(fill.price) / (1.0 + fill.side.sign * slippage_bps * 1e-4)
    return fill.side.sign * (auction / decided - 1.0) * 1e4 if decided > 0.0 else NAN


def session_close(day: Day, name: str) -> float:
    """Last close of an instrument known on a day, listing currency; NaN when there is none."""
    window = day.known.window
    return float(window.close[-1][window.instruments.index(name)]) if name in window.instruments else NAN


def _cash_value(day: Day, currency: str) -> float:
    value = day.rolled.valuation
    return float(value.holdings.cash.get(currency, 0)) * value.rates.get(currency, NAN)


def _days_to_exit(day: Day, mandate: Mandate) -> dict[str, float]:
    """Instrument -> sessions to sell all of it at the participation of RC-11."""
    inputs, share = day.decision.inputs, mandate.limits.liquidation.participation
    adv = dict(zip(inputs.instruments, inputs.adv.tolist(), strict=True))
    values = day.rolled.valuation.values
    return {name: value / (share * adv[name]) for name, value in values.items() if adv.get(name, 0.0) > 0.0}


def _number(value: object) -> float:
    assert isinstance(value, float)
    return value
