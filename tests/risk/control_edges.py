"""Where each control with a number turns: a world as a function of its limit, the limits that let it pass and those that do not.

The house's comparison (G9): a cap passes up to limit + 1e-9 * max(1, |limit|); the ladder and the loss rules fire from
limit - 1e-9 on; counts are exact. Left sides are computed here by hand from the calm book unless `seen` asks the control.
"""

import datetime as dt
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np
from risk_world import (
    MANDATE,
    NAMES,
    NAV,
    SESSION,
    answers,
    batch,
    book_state,
    inputs,
    model_facts,
    operations,
    order,
    trade,
    tweaked,
)

from marketbot_assets.book.state import Forecast, Lot, RiskDay
from marketbot_assets.risk.control import ControlResult
from marketbot_assets.risk.inputs import OptimizerAnswer, RiskInputs
from marketbot_assets.risk.operation_facts import Breach, FeatureDrift, FillQuality, TradeCost
from marketbot_assets.risk.trade_facts import Filled
from marketbot_assets.risk.verdict import CONTROLS
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import Order, Side, Status

World = tuple[RiskInputs, tuple[Order, ...], Mandate]
JUDGE = {rule.id: judge for rule, judge in CONTROLS}
TOLERANCE = 1e-9


@dataclass(frozen=True)
class Edge:
    """`build`: the world under a limit; `quiet` and `loud`: limits on either side; `status`: what it answers when loud."""

    control: str
    name: str
    build: Callable[[float], World]
    quiet: tuple[float, ...]
    loud: tuple[float, ...]
    status: Status

    def answer(self, limit: float) -> dict[str, ControlResult]:
        facts, orders, mandate = self.build(limit)
        return answers(JUDGE[self.control], facts, orders, mandate)


def under(
    facts: RiskInputs | None = None, orders: tuple[Order, ...] | None = None, **tweaks: object
) -> Callable[..., World]:
    """A world whose mandate has `x` at the dotted paths given as `None`, and other values at the other paths."""

    def build(limit: float, paths: Mapping[str, object]) -> World:
        mandate = MANDATE
        for path, value in {**tweaks, **paths}.items():
            mandate = tweaked(mandate, path, limit if value is None else value)
        world = replace(facts or inputs(), mandate_sha256=mandate.sha256)
        return world, batch() if orders is None else orders, mandate

    return build


def edge(
    control: str,
    name: str,
    paths: tuple[str, ...],
    sides: tuple[tuple[float, ...], tuple[float, ...]],
    status: Status,
    facts: RiskInputs | None = None,
    orders: tuple[Order, ...] | None = None,
    fixed: Mapping[str, object] | None = None,
) -> Edge:
    """An edge of the limit at `paths` of the mandate."""
    build = under(facts, orders, **(fixed or {}))
    return Edge(control, name, lambda x: build(x, dict.fromkeys(paths)), *sides, status)


def cap(seen: float, unit: float | None = None) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Limits around a left side that may not be larger. `unit`: the tolerance in units of the limit, where it is another."""
    slack = TOLERANCE * max(1.0, abs(seen)) if unit is None else unit
    ulps = (math.nextafter(seen, -math.inf), seen, math.nextafter(seen, math.inf))
    return (*ulps, seen - 0.5 * slack, seen + slack), (seen - 1.5 * slack, 0.5 * seen)


def floor(seen: float, unit: float | None = None) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Limits around a left side that may not be smaller."""
    slack = TOLERANCE * max(1.0, abs(seen)) if unit is None else unit
    ulps = (math.nextafter(seen, -math.inf), seen, math.nextafter(seen, math.inf))
    return (*ulps, seen + 0.5 * slack, seen - slack), (seen + 1.5 * slack, seen + 0.01 * max(1.0, abs(seen)))


def reach(seen: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Limits around a left side that fires from the limit on, the tolerance included."""
    ulps = (math.nextafter(seen, -math.inf), seen, math.nextafter(seen, math.inf))
    return (seen + 1.5 * TOLERANCE, seen + 0.01), (*ulps, seen + 0.5 * TOLERANCE, seen - 0.001)


def up_to(count: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """A count that may be as large as its limit, exactly."""
    return (count, count + 1), (count - 1,)


def below(count: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """A count that must stay below its limit, exactly."""
    return (count + 1,), (count, count - 1)


def seen(
    control: str, key: str, facts: RiskInputs | None = None, wanted: tuple[Order, ...] | None = None, **tweaks: object
) -> float:
    """What the control measures: its formula is proven elsewhere, here only where it turns."""
    world, orders, mandate = under(facts, wanted, **tweaks)(0.0, {})
    found = answers(JUDGE[control], world, orders, mandate)[key].observed
    assert found is not None
    return found


def of(name: str, value: float, others: float) -> np.ndarray:
    """(12,) one value for a name and another one for the rest."""
    return np.array([value if other == name else others for other in NAMES])


AT = dt.datetime(2018, 12, 11, 15, 0, tzinfo=dt.UTC)
MBD = (order("MBD", "BUY", 200),)
MBB = (order("MBB", "BUY", 10),)
MBE = (order("MBE", "BUY", 100),)
EXIT = (replace(order("MBA", "SELL", 100), leg="P"),)
SELLS = (order("MBA", "SELL", 200),)
GROSS = 0.17  # seven names of 2 %, buys of 4 %, a sale of 1 %
CASH_AFTER = (860_000 - 20_007 - 10_002.5 - 10_007.5 + 9_996.5 - 2.025) / NAV
NEEDED = 20_007 + 10_002.5 + 10_125 * 1.0002  # two buys in dollars with costs, and the leg for the third
DEEP = book_state(drawdown=0.03, reference_high=NAV / 0.97)
LOST = book_state(nav_history=(NAV / 0.96, NAV, NAV, NAV, NAV / 0.985, NAV))
SIDEWAYS = np.array([(7 * n) % 12 for n in range(12)], dtype=float)
DAYS = tuple(RiskDay(0.02 if n < 6 else 0.001 * (-1) ** n, Forecast(0.01, 0.003)) for n in range(80))
HELD_BACK = {"limits.liquidation.name_days_warn": 0.001}


def _cash_account(limit: float) -> World:
    mandate = tweaked(MANDATE, "account.type", "cash")
    return inputs(mandate, cash={"USD": Decimal(repr(limit))}), batch(), mandate


def _net(limit: float) -> World:
    return inputs(nav=GROSS * NAV / limit), batch(), MANDATE


def _position(limit: float) -> World:
    return inputs(positions=tuple(Decimal(int(limit) if n == "MBA" else 0) for n in NAMES)), (*SELLS, *MBD), MANDATE


def _blocked(limit: float) -> World:
    until = SESSION + dt.timedelta(days=int(limit))
    return inputs(book=book_state(blocked=(("MBD", until),))), MBD, MANDATE


def _breach(limit: float) -> World:
    breach = Breach("RC-30", "MBB", "passive", SESSION, 3, int(limit), "", 0, "told")
    return inputs(operations=operations(breaches=(breach,))), batch(), MANDATE


def _trades(excess: float) -> tuple[TradeCost, ...]:
    return tuple(TradeCost(f"e{n:02d}", "MBB", 3.0 + excess, 3.0) for n in range(20))


ORDERS: tuple[Edge, ...] = (
    edge("RC-05", "stale share", ("limits.price_freshness.book_stale_hard",), cap(0.02), Status.REJECT_BATCH,
         inputs(price_age_sessions=of("MBB", 1.0, 0.0))),
    edge("RC-06", "shares", ("limits.price_cross_check.hard",), cap(0.015), Status.REJECT_ORDER,
         inputs(trade=trade(price_difference={"MBD": 0.015}))),
    edge("RC-06", "funds", ("limits.price_cross_check.fund_hard",), cap(0.015), Status.REJECT_ORDER,
         inputs(trade=trade(price_difference={"MBL": 0.015}))),
    edge("RC-07", "floor", ("limits.collar.floor",), cap(0.04), Status.REJECT_ORDER,
         orders=(order("MBD", "BUY", 200, "104"),)),
    edge("RC-07", "ceiling", ("limits.collar.ceiling",), cap(0.04), Status.REJECT_ORDER,
         inputs(sigma_daily=np.full(12, 0.03)), (order("MBD", "BUY", 200, "104"),)),
    edge("RC-07", "funds", ("limits.collar.fund_ceiling",), cap(0.02), Status.REJECT_ORDER,
         orders=(order("MBL", "BUY", 200, "102"),)),
    edge("RC-07", "a sale", ("limits.collar.floor",), cap(0.04), Status.REJECT_ORDER,
         orders=(order("MBB", "SELL", 100, "96"),)),
    edge("RC-08", "value", ("limits.order_value.hard",), cap(0.02), Status.REJECT_BATCH),
    edge("RC-09", "held and wanted", ("limits.order_quantity.multiple",), cap(0.4, 0.4e-9), Status.REJECT_BATCH, orders=MBD),
    edge("RC-09", "volume", ("limits.order_quantity.adv",), cap(4e-4, 4e-13), Status.REJECT_BATCH, orders=MBD),
    edge("RC-10", "participation", ("limits.participation.hard",), cap(4e-4), Status.SHRINK, orders=MBD),
    edge("RC-11", "one name", ("limits.liquidation.name_days",), cap(0.004), Status.SHRINK, fixed=HELD_BACK),
    edge("RC-12", "spread", ("limits.spread.hard",), cap(0.4 / 100.0), Status.REJECT_ORDER,
         inputs(trade=trade(quotes={"MBD": (99.8, 100.2)}))),
    edge("RC-14", "session", ("limits.order_count.per_session",), up_to(5), Status.HALT),
    edge("RC-15", "batches", ("limits.repeats.batches",), up_to(1), Status.HALT),
    edge("RC-15", "exit legs", ("limits.repeats.exit_legs_per_name",), up_to(1), Status.HALT, orders=EXIT),
    edge("RC-15", "flips", ("limits.repeats.flips",), up_to(1), Status.HALT,
         inputs(trade=trade(fills=(Filled("x", "MBA", Side.BUY, 100.0, 100.0, 100.0, AT),)))),
    edge("RC-15", "filled", ("limits.repeats.filled_of_planned",), cap(1.1), Status.HALT,
         inputs(trade=trade(fills=(Filled("x", "MBB", Side.SELL, 110.0, 100.0, 100.0, AT),)))),
    edge("RC-18", "spendable", ("limits.cash.spendable",), cap((NEEDED - 9_500) / 100_000, 1e-8), Status.SHRINK,
         inputs(cash={"USD": Decimal(100_000)})),
    Edge("RC-19", "settled", _cash_account, *cap(NEEDED, 1e-3), Status.SHRINK),
    Edge("RC-20", "shares", _position, *up_to(200), Status.REJECT_BATCH),
    edge("RC-22", "days", ("limits.wash_sale.days",), ((4, 0), (5, 30)), Status.REJECT_ORDER,
         inputs(book=book_state(bought=(("MBA", SESSION - dt.timedelta(days=5)),),
                                lots=(Lot("MBA", Decimal(200), 120.0, 120.0, 0.0, SESSION),))),
         fixed={"account.tax_mode": "avoid"}),
    edge("RC-23", "maintenance", ("limits.round_trips.maintenance",), floor(1.0 / GROSS, 1e-9 / GROSS), Status.REJECT_ORDER),
    edge("RC-24", "jump", ("limits.event_guard.jump",), cap(0.18), Status.REJECT_ORDER,
         inputs(trade=trade(move=of("MBD", -0.18, 0.01)))),
    edge("RC-25", "traded value", ("universe.floor.adv_usd",), floor(5e7), Status.REJECT_ORDER),
    edge("RC-25", "age", ("universe.floor.age_sessions",), ((299, 300), (301,)), Status.REJECT_ORDER),
    edge("RC-25", "price", ("universe.floor.min_price_usd_us_listings",), floor(100.0), Status.REJECT_ORDER),
    edge("RC-25", "lot", ("universe.floor.max_lot_value_fraction",), cap(1e-4), Status.REJECT_ORDER),
    edge("RC-26", "cost", ("limits.expected_cost_bps.hard", "limits.expected_cost_bps.warn"),
         cap(3.5 + 120.0 * 0.02), Status.SHRINK, orders=MBD),
)  # fmt: skip
BOOK: tuple[Edge, ...] = (
    edge("RC-30", "position", ("limits.position.hard", "limits.position.warn"), cap(0.02), Status.SHRINK),
    edge("RC-31", "no buys", ("limits.passive_breach.no_buys",), cap(0.02), Status.SHRINK, orders=MBB),
    edge("RC-31", "trim", ("limits.passive_breach.trim",), cap(0.02), Status.SHRINK, inputs(book=book_state(passive=(("MBB", 3),))),
         MBD, {"limits.passive_breach.no_buys": 0.01}),
    edge("RC-31", "cure", ("limits.passive_breach.cure_sessions",), up_to(3), Status.SHRINK,
         inputs(book=book_state(passive=(("MBB", 3),))), MBD,
         {"limits.passive_breach.no_buys": 0.01, "limits.passive_breach.trim": 0.01}),
    edge("RC-32", "sector", ("limits.sector.hard",), cap(0.04), Status.SHRINK),
    edge("RC-32", "unknown sector", ("universe.unknown_sector_cap",), cap(0.02), Status.SHRINK,
         inputs(sector=tuple("UNKNOWN" if n == "MBD" else s for n, s in zip(NAMES, inputs().sector, strict=True)))),
    edge("RC-33", "issuer", ("limits.position.hard",), cap(0.04), Status.SHRINK,
         inputs(trade=trade(issuer=tuple("One" if n in ("MBC", "MBD") else n for n in NAMES)))),
    edge("RC-34", "funds", ("universe.fund_bucket.hard",), cap(0.03), Status.SHRINK),
    edge("RC-35", "one currency", ("limits.currency.hard",), cap(0.03), Status.SHRINK),
    edge("RC-35", "country", ("limits.country_ex_home.hard",), cap(0.03), Status.SHRINK),
    edge("RC-35", "non-base", ("limits.non_base.hard",), cap(0.05), Status.SHRINK),
    edge("RC-36", "gross", ("limits.gross.hard",), cap(GROSS), Status.REJECT_BATCH),
    edge("RC-36", "leverage", ("account.leverage",), cap(GROSS), Status.REJECT_BATCH),
    Edge("RC-37", "net", _net, *(((1.0, 1.0 + 2e-16, 1.0 + 0.5e-9, 0.5)), (1.0 + 1.5e-9, 1.1)), Status.REJECT_BATCH),
    edge("RC-38", "cash floor", ("limits.cash_floor.hard",), floor(CASH_AFTER), Status.REJECT_BATCH),
    edge("RC-39", "squares", ("limits.hhi.hard",), cap(7 * 0.0004 + 3 * 0.0001, 1e-9), Status.SHRINK),
    edge("RC-40", "ten largest", ("limits.top10.hard",), cap(GROSS), Status.SHRINK),
    edge("RC-41", "buys of the day", ("limits.turnover.buys_per_day.hard",), cap(0.04), Status.SHRINK),
    edge("RC-41", "one name", ("limits.turnover.name_buy_per_day.hard",), cap(0.02), Status.SHRINK),
    edge("RC-41", "one way", ("limits.turnover.one_way_21_sessions.hard",), cap(0.20 + 0.5 * 0.05), Status.SHRINK),
    edge("RC-42", "volatility", ("limits.ex_ante_vol.hard_multiple",), cap(seen("RC-42", "upper") / 0.1, 1e-8), Status.SHRINK),
    edge("RC-43", "value at risk", ("limits.var.hard",), cap(seen("RC-43", "")), Status.SHRINK),
    edge("RC-44", "shortfall", ("limits.es.hard",), cap(seen("RC-44", "")), Status.SHRINK),
    edge("RC-45", "all methods", ("limits.var.hard",), cap(seen("RC-45", "")), Status.SHRINK,
         fixed={"limits.var_all_methods.on_fail": "shrink"}),
    edge("RC-46", "crash", ("limits.crash_replay.hard",), cap(seen("RC-46", "H2008L")), Status.SHRINK),
    edge("RC-46", "bear", ("limits.bear_replay.hard",), cap(seen("RC-46", "H2008")), Status.SHRINK),
    edge("RC-46", "budget", ("limits.drawdown_budget.hard",), cap(seen("RC-46", "WORST5") + 0.03), Status.SHRINK,
         inputs(book=DEEP)),
    edge("RC-46", "budget's floor", ("limits.drawdown_budget.floor",), cap(seen("RC-46", "WORST5")), Status.SHRINK,
         fixed={"limits.drawdown_budget.hard": 0.0}),
    edge("RC-49", "risk share", ("limits.risk_share.hard",), cap(seen("RC-49", "MBE", None, MBE)), Status.SHRINK, orders=MBE,
         fixed={"portfolio.method": "risk_parity", "limits.risk_share.invested_min": 0.1}),
)  # fmt: skip
STATE: tuple[Edge, ...] = (
    edge("RC-47", "beta", ("limits.factor.beta",), cap(seen("RC-47", "beta")), Status.WARN, fixed={"limits.factor.status": "warn"}),
    edge("RC-50", "pairwise", ("limits.correlation.mean_pairwise",), cap(seen("RC-50", "mean pairwise")), Status.WARN),
    edge("RC-50", "first component", ("limits.correlation.pc1_share",), cap(seen("RC-50", "first component")), Status.WARN),
    edge("RC-52", "book", ("limits.llm_influence.book",), cap(0.008), Status.SHRINK,
         inputs(models=model_facts(llm_tilt=of("MBD", 0.1, 0.0), llm_influence=of("MBD", -0.008, 0.0)))),
    edge("RC-52", "name", ("limits.llm_influence.name",), cap(0.008), Status.SHRINK,
         inputs(models=model_facts(llm_tilt=of("MBD", 0.1, 0.0), llm_influence=of("MBD", 0.008, 0.0)))),
    edge("RC-53", "residual", ("limits.residual.hard",), cap(2e-7, 2e-16), Status.REDUCE_ONLY,
         inputs(optimizer=OptimizerAnswer("optimal", "mean_variance", 2e-7))),
    edge("RC-54", "rank correlation", ("limits.plausibility.rank_corr",),
         floor(seen("RC-54", "scores", inputs(models=model_facts(scores_before=SIDEWAYS)))), Status.SHRINK,
         inputs(models=model_facts(scores_before=SIDEWAYS))),
    edge("RC-60", "scaled", ("ladder.full_below",), reach(0.03), Status.WARN, inputs(book=DEEP)),
    edge("RC-60", "reduce only", ("ladder.reduce_only.at",), reach(0.03), Status.REDUCE_ONLY, inputs(book=DEEP)),
    edge("RC-60", "to cash", ("ladder.to_cash.at",), reach(0.03), Status.REDUCE_ONLY, inputs(book=DEEP)),
    edge("RC-60", "halt", ("ladder.halt.at",), reach(0.03), Status.HALT, inputs(book=DEEP)),
    edge("RC-60", "floor", ("ladder.absolute_floor.drawdown_from_inception_high",), reach(0.03), Status.HALT,
         inputs(book=book_state(drawdown_inception=0.03)), MBD),
    edge("RC-61", "day", ("loss_rules.day",), reach(0.015), Status.REDUCE_ONLY, inputs(book=LOST), fixed={"loss_rules.week": 0.5}),
    edge("RC-61", "week", ("loss_rules.week",), reach(0.04), Status.REDUCE_ONLY, inputs(book=LOST)),
    edge("RC-61", "halt", ("loss_rules.halt_day",), reach(0.015), Status.HALT, inputs(book=LOST),
         fixed={"loss_rules.day": 0.5, "loss_rules.week": 0.5}),
    Edge("RC-64", "until", _blocked, (0, -1), (1, 9), Status.REJECT_ORDER),
    edge("RC-65", "slippage", ("limits.execution_quality.slippage_bps",), cap(2.0), Status.WARN),
    edge("RC-65", "range", ("limits.execution_quality.range",), cap(5e-4), Status.WARN,
         inputs(operations=operations(fills=(FillQuality("e1", "MBA", 2.0, -0.01, 5e-4),)))),
    edge("RC-68", "halt", ("limits.cash_difference.halt_bps",), cap(3.0, 3e-9), Status.HALT,
         inputs(operations=operations(cash_differences=(("USD", -300.0),)))),
    edge("RC-68", "noted", ("limits.cash_difference.units",), cap(70.0), Status.WARN,
         inputs(operations=operations(cash_differences=(("USD", 70.0),)))),
    edge("RC-70", "explained", ("limits.earnings.nav_bps",), cap(0.005, 1e-5), Status.WARN),
    edge("RC-71", "yellow", ("limits.var_backtest.yellow",), below(6), Status.WARN, inputs(book=book_state(risk_days=DAYS))),
    edge("RC-72", "high", ("limits.vol_ratio.high",), cap(1.0 / 3.0), Status.WARN, inputs(book=book_state(risk_days=DAYS)),
         fixed={"limits.vol_ratio.low": 0.1}),
    edge("RC-72", "low", ("limits.vol_ratio.low",), floor(1.0 / 3.0), Status.WARN, inputs(book=book_state(risk_days=DAYS))),
    edge("RC-73", "drift", ("limits.cost_drift.least_bps",), cap(8.0), Status.WARN,
         inputs(operations=operations(trades=_trades(8.0)))),
    Edge("RC-74", "deadline", _breach, *below(3), Status.REDUCE_ONLY),
    edge("RC-83", "clock", ("limits.clock_skew.hard_seconds",), cap(20.0), Status.HALT,
         inputs(operations=operations(clock_skew_seconds=-20.0))),
    edge("RC-83", "noted", ("limits.clock_skew.warn_seconds",), cap(1.5), Status.WARN,
         inputs(operations=operations(clock_skew_seconds=1.5))),
    edge("RC-85", "sessions", ("limits.heartbeat.sessions",), up_to(2), Status.WARN,
         inputs(operations=operations(heartbeat_sessions=2))),
    edge("RC-87", "universe", ("limits.coverage.universe",), floor(0.985), Status.REDUCE_ONLY, inputs(coverage_universe=0.985)),
    edge("RC-87", "held", ("limits.coverage.held",), floor(0.985), Status.REDUCE_ONLY, inputs(coverage_held=0.985)),
    edge("RC-89", "share", ("limits.drift.share",), cap(0.25), Status.WARN, inputs(operations=operations(
        drift=(FeatureDrift("a", 0.9, 0.4), *(FeatureDrift(n, 0.05, 0.4) for n in "bcd"))))),
    edge("RC-89", "answers", ("limits.drift.llm_refused",), cap(0.04), Status.WARN,
         inputs(operations=operations(llm_answers=25, llm_refused=1))),
    edge("RC-89", "index", ("limits.drift.psi",), cap(0.05), Status.WARN),
    edge("RC-89", "p", ("limits.drift.ks_p",), ((0.4, math.nextafter(0.4, 0.0), 0.1), (math.nextafter(0.4, 1.0), 0.5)),
         Status.WARN),
    edge("RC-90", "in a row", ("limits.refusals.in_a_row",), below(2), Status.HALT,
         inputs(operations=operations(refused_in_a_row=2, refused=2, sent=40))),
    edge("RC-90", "share", ("limits.refusals.share",), cap(0.05), Status.HALT,
         inputs(operations=operations(refused_in_a_row=1, refused=2, sent=40))),
)  # fmt: skip
EDGES: tuple[Edge, ...] = (*ORDERS, *BOOK, *STATE)
