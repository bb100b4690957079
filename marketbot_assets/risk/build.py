"""Facts of the account, the market and the platform become `RiskInputs`. Pure. The optimizer's weights reach RC-09 and RC-52 alone.

A name without a valid price has price NaN here: its last known price is good enough to value the book, never to trade on.
Not here: what the controls make of the facts (`*_controls`), where the facts are stored (`assets`).
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np
import pandas as pd

from marketbot_assets.book.schema import BREAK, CASH, EXPLAINED
from marketbot_assets.features.registry import FEATURES
from marketbot_assets.normalization.window import MarketWindow
from marketbot_assets.portfolio.calibration import NO_MULTIPLES, CostMultiples
from marketbot_assets.portfolio.eligibility import Account, Market
from marketbot_assets.portfolio.target import Target
from marketbot_assets.risk.inputs import Flags, Floats, OptimizerAnswer, ReconciliationBreak, RiskInputs
from marketbot_assets.risk.model_facts import model_facts
from marketbot_assets.risk.trade_build import Traffic, trade_facts
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import OpenOrder, Side

LIQUIDITY_SESSIONS, LIQUIDITY_SPAN = 20, 40
MATURE_SESSIONS = max(feature.lookback_sessions for feature in FEATURES if feature.required) + 1


@dataclass(frozen=True, slots=True)
class Platform:
    """What the platform says at the cutoff. `breaks`: differences with the broker; `halt_flag`: off, on or unreadable.

    `quality_halts`: messages of quality rules that halt. `unknown_instruments`: held at the broker, not in our master.
    `traffic`: what broker and ledger say of orders. `locked`: instrument -> why the reconciliation allows no order in it.
    """

    breaks: tuple[ReconciliationBreak, ...]
    halt_flag: str
    ledger_ready: bool
    quality_halts: tuple[str, ...]
    unknown_instruments: tuple[str, ...]
    open_orders: tuple[OpenOrder, ...]
    traffic: Traffic
    locked: Mapping[str, str] = field(default_factory=dict)


def breaks_of(reconciliation: pd.DataFrame) -> tuple[ReconciliationBreak, ...]:
    """RECONCILIATION rows that do not match, as facts for RC-67."""
    rows = reconciliation[reconciliation["outcome"].isin([BREAK, EXPLAINED])]
    return tuple(
        ReconciliationBreak(f"{CASH}:{row.key}" if row.kind == CASH else row.key, row.message, row.outcome == EXPLAINED)
        for row in rows.itertuples(index=False)
    )


def halts_of(quality: pd.DataFrame) -> tuple[str, ...]:
    """Messages of the DATA_QUALITY findings that halt, sorted."""
    rows = quality[quality["outcome"] == "halt"]
    return tuple(sorted(f"{row.rule} {row.subject}: {row.message}" for row in rows.itertuples(index=False)))


def strangers(snapshot: pd.DataFrame, instruments: pd.DataFrame) -> tuple[str, ...]:
    """Instruments of positions and open orders in an ACCOUNT_SNAPSHOT that our master does not know, sorted."""
    rows = snapshot[snapshot["kind"].isin(["POSITION", "OPEN_ORDER"])]
    known = set(instruments["instrument"])
    return tuple(sorted({n for n in rows["instrument"] if n not in known and not str(n).startswith("FX:")}))


def open_buys(orders: Sequence[OpenOrder]) -> dict[str, Decimal]:
    """Quantity * limit of open buys per currency; an open buy without a limit is left out, so that the last close counts."""
    unlimited = {order.currency for order in orders if order.side is Side.BUY and order.limit_price is None}
    found: dict[str, Decimal] = {}
    for order in orders:
        if order.side is Side.BUY and order.limit_price is not None and order.currency not in unlimited:
            value = order.remaining * order.limit_price
            found[order.currency] = found.get(order.currency, Decimal(0)) + value
    return found


def liquidity(window: MarketWindow) -> tuple[Floats, Floats]:
    """((n,) average daily value, base currency: median of the newest 20 bars among the last 40 sessions; (n,) how many)."""
    value = window.close[-LIQUIDITY_SPAN:] * window.volume[-LIQUIDITY_SPAN:] * window.fx[-LIQUIDITY_SPAN:]
    traded = window.fresh[-LIQUIDITY_SPAN:] & np.isfinite(value) & (value > 0.0)
    counts = np.minimum(traded.sum(axis=0), LIQUIDITY_SESSIONS)
    middle = np.full(value.shape[1], np.nan)
    steady = (counts == LIQUIDITY_SESSIONS) & traded[-LIQUIDITY_SESSIONS:].all(axis=0)  # nearly all names
    middle[steady] = np.median(value[-LIQUIDITY_SESSIONS:, steady], axis=0)
    places = np.where(traded, np.arange(len(traded))[:, None], -1)
    for count in np.unique(counts[(counts > 0) & ~steady]):
        own = np.flatnonzero((counts == count) & ~steady)
        newest = np.sort(places[:, own], axis=0)[-count:]
        middle[own] = np.median(value[newest, own], axis=0)
    return middle, counts.astype(float)


def valid_prices(market: Market, mandate: Mandate) -> Floats:
    """(n,) last close in the listing currency of names with a fresh bar; of a listing that has ended, by rule; NaN otherwise."""
    ended = np.array([name in market.ends.ended for name in market.window.instruments])
    fresh = (market.price_age < mandate.limits.price_freshness.stale_sessions) | ended
    accepted = np.array([name not in market.quarantined for name in market.window.instruments])
    return np.asarray(np.where(fresh & accepted, market.window.close[-1], np.nan))


def mature(market: Market, days: Sequence[dt.date]) -> Flags:
    """(n,) universe names listed long enough that every required feature can exist. `days`: decision sessions, this one last."""
    listed = market.listed
    if len(days) < MATURE_SESSIONS:
        return np.zeros(len(listed.in_universe), dtype=bool)
    return np.asarray(listed.in_universe & (listed.listed_days < np.datetime64(days[-MATURE_SESSIONS])))


def coverage(
    market: Market,
    complete: Mapping[str, bool],
    shares: Mapping[str, Decimal],
    price: Floats,
    days: Sequence[dt.date],
) -> tuple[float, float]:
    """RC-87: fraction of mature universe names, and of held names, with a valid price and every required feature.

    A book that holds nothing is covered; a universe without a mature name is not (0). Shares of a listing that has ended wait for
    their payment and need no features. `complete`: name -> whether it has every required feature.
    """
    names = market.window.instruments
    good = np.isfinite(price) & np.array([complete.get(name, False) for name in names], dtype=bool)
    old = mature(market, days)
    held = np.array([name in shares and name not in market.ends.ended for name in names]) & old
    universe = float(good[old].mean()) if old.any() else 0.0
    return universe, float(good[held].mean()) if held.any() else 1.0


def answer_of(target: Target) -> OptimizerAnswer:
    """What RC-53 hears of the target; limits that cannot be kept as the mandate states them are a doubt, too."""
    return OptimizerAnswer(target.status, target.method, target.residual, (*target.doubts, *target.conflicts))


def risk_inputs(
    market: Market,
    account: Account,
    platform: Platform,
    target: Target,
    mandate: Mandate,
    *,
    session: dt.date,
    cutoff: dt.datetime,
    days: Sequence[dt.date],
    rebalance: bool,
    multiples: CostMultiples = NO_MULTIPLES,
) -> RiskInputs:
    """The facts of one judgement, in the order of the window's instruments. `days`: decision sessions up to this one."""
    listed, names = market.listed, market.window.instruments
    price, zero = valid_prices(market, mandate), Decimal(0)
    adv, observations = liquidity(market.window)
    featured = market.features["instrument"].tolist()
    complete = dict(zip(featured, market.features["complete"].to_numpy(dtype=bool).tolist(), strict=True))
    covered, held = coverage(market, complete, account.shares, price, days)
    return RiskInputs(
        session=session,
        mandate_sha256=mandate.sha256,
        instruments=names,
        known=frozenset(listed.instrument),
        mic=listed.texts("mic"),
        currency=listed.texts("currency"),
        sector=listed.texts("sector"),
        country=listed.texts("country"),
        is_fund=listed.is_fund,
        quantity_step=listed.quantity_step,
        tick_size=listed.tick_size,
        price=price,
        price_age_sessions=market.price_age,
        fx_rates=market.fx_rates,
        stale_currencies=frozenset(market.stale_currencies),
        adv=adv,
        adv_observations=observations,
        sigma_daily=market.factor_model.sigma_daily,
        positions=tuple(account.shares.get(name, zero) for name in names),
        open_quantity=tuple(account.open_quantity.get(name, zero) for name in names),
        open_client_order_ids=tuple(sorted(order.client_order_id for order in platform.open_orders)),
        cash=account.cash,
        nav=account.nav,
        book=account.book,
        factor_model=market.factor_model,
        coverage_universe=covered,
        coverage_held=held,
        quality_halts=platform.quality_halts,
        quarantined=frozenset(market.quarantined),
        incomplete=frozenset(name for name, whole in complete.items() if not whole),
        breaks=platform.breaks,
        halt_flag=platform.halt_flag,
        ledger_ready=platform.ledger_ready,
        optimizer=answer_of(target),
        cost_multiples=multiples.factors,
        rebalance=rebalance,
        sent_client_order_ids=frozenset(),
        unknown_broker_instruments=platform.unknown_instruments,
        models=model_facts(market, target),
        trade=trade_facts(market, account, platform.traffic, platform.open_orders, target.weights, mandate, cutoff),
        open_buys=open_buys(platform.open_orders),
        locked=frozenset(platform.locked),
    )
