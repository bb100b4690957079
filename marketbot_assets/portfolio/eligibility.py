"""Who may be bought, traded, must be sold: the market, the book and the mandate become `PortfolioInputs`. Pure.

Every doubt closes a door: a missing required feature, a missing or stale price, a stale rate, a quarantined bar, a blocked
name or a rule on the universe forbid to buy; no price or no rate forbids to trade at all. The reason is kept.
"""

import datetime as dt
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np
import pandas as pd

from marketbot_assets.book.roll import atr_levels
from marketbot_assets.book.state import BookState
from marketbot_assets.book.stops import stop_levels
from marketbot_assets.features.liquidity import traded_value
from marketbot_assets.features.model import FactorModel
from marketbot_assets.normalization.listing_ends import NO_ENDS, ListingEnds
from marketbot_assets.normalization.listings import Listings
from marketbot_assets.normalization.near_events import NearEvent
from marketbot_assets.normalization.window import MarketWindow
from marketbot_assets.portfolio.benchmark import market_weights
from marketbot_assets.portfolio.broker_windows import broker_windows
from marketbot_assets.portfolio.cadence import is_rebalance
from marketbot_assets.portfolio.calibration import NO_MULTIPLES, CostMultiples
from marketbot_assets.portfolio.inputs import Flags, Floats, PortfolioInputs
from marketbot_assets.portfolio.settlement import unsettled
from marketbot_resources.jurisdictions import Product, product_rule
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import BASIS_POINT

HELD_UNPRICED = "a held name has no price"
US_MICS = frozenset({"XNYS", "XNAS", "BATS", "ARCX"})
LEVEL_LOW = "price level below the floor"


@dataclass(frozen=True, slots=True)
class Market:
    """What is known of the market at the cutoff: static facts by row of `instruments`, matrices in its order.

    `instruments`: frame with the columns of the INSTRUMENTS table, sorted by instrument. `quarantined`: names whose newest bar
    a quality rule rejected. `price_age`: (n,) own sessions since the last bar, 0 when fresh, NaN when there is none.
    `stale_currencies`: currencies whose newest rate is too old. `ends`: listings that are over or known to end.
    `forecasts_before`: the forecasts of the newest session before, None when there is none.
    `events`: splits, renames and ends close to the next auction. `listings`: the columns of `instruments`, from which they are
    taken when they are not given.
    """

    instruments: pd.DataFrame
    window: MarketWindow
    features: pd.DataFrame
    forecasts: pd.DataFrame
    factor_model: FactorModel
    quarantined: Collection[str]
    price_age: Floats
    history_sessions: Floats
    fx_rates: Mapping[str, float]
    stale_currencies: Collection[str]
    ends: ListingEnds = NO_ENDS
    forecasts_before: pd.DataFrame | None = None
    events: tuple[NearEvent, ...] = ()
    listings: Listings | None = None

    def __post_init__(self) -> None:
        if self.listings is None or self.listings.rows is not self.instruments:
            object.__setattr__(self, "listings", Listings(self.instruments))

    @property
    def listed(self) -> Listings:
        """The columns of `instruments`."""
        assert self.listings is not None
        return self.listings

    @property
    def guarded(self) -> frozenset[str]:
        """Names in which an order would meet an event that prices and shares do not show yet (RC-24)."""
        return frozenset(event.instrument for event in self.events if not event.applied)


@dataclass(frozen=True, slots=True)
class Account:
    """What is held at the cutoff: shares, signed open orders, cash per currency, NAV in base currency, the book's state.

    `reserved`: per currency what the open buys cost at their limits; it is not there for anything else.
    """

    shares: Mapping[str, Decimal]
    open_quantity: Mapping[str, Decimal]
    cash: Mapping[str, Decimal]
    nav: float
    book: BookState
    reserved: Mapping[str, Decimal]


def free_cash(account: Account, mandate: Mandate, waiting: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """Cash per currency less what open buys may still cost with fees and taxes, sorted; a reserve alone makes no debt.

    `waiting`: proceeds of sales that have not settled: no cash on a cash account (RC-19).
    """
    free, zero = {}, Decimal(0)
    for currency in sorted({*account.cash, *account.reserved}):
        cash, costs = account.cash.get(currency, zero), mandate.costs_bps
        fees = costs.half_spread_and_fee.get(currency, max(costs.half_spread_and_fee.values()))
        bps = Decimal(repr(fees + costs.tax_buy.get(currency, 0.0)))
        reserve = account.reserved.get(currency, zero) * (1 + bps / 10_000)
        reserve += waiting.get(currency, zero) if mandate.account.type == "cash" else zero
        free[currency] = max(cash - reserve, min(cash, zero))
    return free


def linear_costs(
    mandate: Mandate, currencies: Sequence[str], is_fund: Flags, multiples: CostMultiples = NO_MULTIPLES
) -> tuple[Floats, Floats]:
    """(buy, sell) costs as fractions of the traded value: half-spread, fee, conversion, tax; (n,), (n,).

    `multiples`: factors of the calibration on half-spread and fee.
    """
    costs, base = mandate.costs_bps, mandate.base_currency
    worst = max(costs.half_spread_and_fee.values())
    half = [
        costs.half_spread_and_fee["FUND"] if fund else costs.half_spread_and_fee.get(ccy, worst)
        for ccy, fund in zip(currencies, is_fund, strict=True)
    ]
    on_top = [0.0 if fund or ccy == base else costs.fx for ccy, fund in zip(currencies, is_fund, strict=True)]
    buy_factor, sell_factor = multiples.arrays(currencies, is_fund)
    buy_tax, sell_tax = (np.array([tax.get(ccy, 0.0) for ccy in currencies]) for tax in (costs.tax_buy, costs.tax_sell))
    buy, sell = (np.array(half) * factor + np.array(on_top) for factor in (buy_factor, sell_factor))
    return (buy + buy_tax) * BASIS_POINT, (sell + sell_tax) * BASIS_POINT


def charged(inputs: PortfolioInputs, multiples: CostMultiples, mandate: Mandate) -> PortfolioInputs:
    """The inputs with the costs that live fills ask for: the factors on half-spread and fee here, on impact in `facts`."""
    if not multiples.factors:
        return inputs
    buy, sell = linear_costs(mandate, inputs.currency, inputs.is_fund, multiples)
    factors = multiples.arrays(inputs.currency, inputs.is_fund)
    return replace(inputs, cost_buy=buy, cost_sell=sell, calibrated=factors)


def newest_moves(window: MarketWindow) -> Floats:
    """(n,) total return of the newest session, splits and dividends included; 0 when no bar landed, NaN without two bars."""
    return np.asarray(window.total_return[-1])


def barred_products(listed: Listings, mandate: Mandate, session: dt.date) -> list[str]:
    """Per instrument the rule of the mandate's jurisdiction that bars a buy of it (RC-03); empty text when none does."""
    where, tax_mode = mandate.jurisdiction, mandate.account.tax_mode
    if where is None:
        return [""] * len(listed.instrument)
    columns = (listed.texts(name) for name in ("mic", "country", "name", "kind"))
    found = (
        product_rule(where, Product(mic, country, name, kind != "EQUITY"), session, tax_mode)
        for mic, country, name, kind in zip(*columns, strict=True)
    )
    return [str(rule) if rule is not None and rule.bars else "" for rule in found]


def buy_refusals(
    market: Market, account: Account, mandate: Mandate, session: dt.date, *, adv: Floats, expected: Floats
) -> list[str]:
    """Per instrument why it may not be bought, the first reason that holds; empty text when it may.

    `adv` (n,): value traded; `expected` (n,): forecast return; NaN where unknown.
    """
    listed, window, floor, guard = market.listed, market.window, mandate.universe.floor, mandate.limits.event_guard
    names, currencies, mics = listed.instrument, listed.texts("currency"), listed.texts("mic")
    price, fx, moves = window.close[-1], window.fx[-1], newest_moves(window)
    complete = dict(zip(market.features["instrument"].tolist(), market.features["complete"].tolist(), strict=True))
    blocked = {name for name, until in dict(account.book.blocked).items() if session < until}
    with np.errstate(all="ignore"):
        lot_value = listed.steps * price * fx
    barred, small = barred_products(listed, mandate, session), floor.max_lot_value_fraction * account.nav
    young, stale = market.history_sessions, mandate.limits.price_freshness.stale_sessions
    tests: tuple[tuple[Flags, str | Callable[[int], str]], ...] = (
        (~listed.in_universe, "not in the universe"),
        (~(np.isfinite(price) & np.isfinite(fx)), "no price or no rate"),
        (~(market.price_age < stale), "RC-05 stale price"),
        (_among(names, market.ends.ended), "RC-24 the listing has ended"),
        (_among(names, market.ends.ending), "RC-24 the listing is known to end"),
        (_among(names, market.guarded), "RC-24 an event takes effect with the next session"),
        (~(np.abs(moves) <= guard.jump), "RC-24 the price jumped without an event"),
        (np.array([bool(rule) for rule in barred], dtype=bool), lambda row: f"RC-03 {barred[row]}"),
        (_among(currencies, market.stale_currencies), lambda row: f"stale rate of {currencies[row]}"),
        (_among(names, market.quarantined), "quarantined by data quality"),
        (~np.array([complete.get(name, False) for name in names], dtype=bool), "a required feature is missing"),
        (~np.isfinite(expected), "no forecast"),
        (_among(names, blocked), "RC-64 stopped out, blocked"),
        (~(adv >= floor.adv_usd), "traded value below the floor"),
        (~(young >= floor.age_sessions), "too young"),
        (~(lot_value <= small), "a lot is too big"),
        (_among(mics, US_MICS) & ~(window.price_level[-1] >= floor.min_price_usd_us_listings), LEVEL_LOW),
        (np.full(len(names), bool(account.book.no_buys)), account.book.no_buys),
    )
    reasons = [""] * len(names)
    for fails, text in reversed(tests):
        for row in np.flatnonzero(fails).tolist():
            reasons[row] = text if isinstance(text, str) else text(row)
    return reasons


def _among(values: Sequence[str], members: Collection[str]) -> Flags:
    """(n,) which of the values are among the members."""
    if not members:
        return np.zeros(len(values), dtype=bool)
    return np.array([value in members for value in values], dtype=bool)


def _in_order(numbers: Mapping[str, float], names: Sequence[str]) -> Floats:
    """(n,) the numbers of the names, NaN where there is none."""
    return np.array([numbers.get(name, np.nan) for name in names], dtype=float)


def tradable(market: Market, currencies: Sequence[str], mandate: Mandate) -> Flags:
    """(n,) names with a fresh, accepted price and rate that have not ended and meet no event that is not booked yet."""
    price, fx, names = market.window.close[-1], market.window.fx[-1], market.window.instruments
    fresh = np.array(market.price_age < mandate.limits.price_freshness.stale_sessions)
    closed = _among(currencies, market.stale_currencies) | _among(names, market.quarantined)
    over = _among(names, market.ends.ended) | _among(names, market.guarded)
    return np.asarray(np.isfinite(price) & np.isfinite(fx) & fresh & ~closed & ~over)


def portfolio_inputs(
    market: Market,
    account: Account,
    mandate: Mandate,
    *,
    session: dt.date,
    cutoff: dt.datetime,
    environment: str,
    force_exit: Collection[str],
    unpriced_held: bool,
    decided: dt.date | None = None,
    batch_no: int = 1,
) -> PortfolioInputs:
    """What the optimizer and the order plan need; `decided`: as in `is_rebalance`. A held name without price refuses every buy."""
    listed, window = market.listed, market.window
    names, currencies, is_fund = listed.instrument, listed.texts("currency"), listed.is_fund
    assert names == window.instruments == market.factor_model.instruments, "instruments must agree everywhere"
    (adv, counts), (buy, sell) = traded_value(window), linear_costs(mandate, currencies, is_fund)
    terms, held = broker_windows(listed, currencies, mandate, cutoff), HELD_UNPRICED if unpriced_held else ""
    expected = _in_order(expected_returns(market.forecasts), names)
    refused = buy_refusals(market, account, mandate, session, adv=adv, expected=expected)
    reasons = [reason or held or why for reason, why in zip(refused, terms.buy_refusals, strict=True)]
    can_trade = tradable(market, currencies, mandate) & terms.can_exit()
    waiting = unsettled(account.book.unsettled, listed.mics, cutoff, mandate.calendar.closed)
    enough = counts >= mandate.limits.participation.min_observations
    return PortfolioInputs(
        session=session,
        environment=environment,
        account=mandate.account.id,
        batch_no=batch_no,
        instruments=names,
        sector=listed.texts("sector"),
        country=listed.texts("country"),
        currency=currencies,
        issuer=listed.issuers,
        mic=listed.texts("mic"),
        is_fund=is_fund,
        quantity_step=listed.quantity_step,
        tick_size=listed.tick_size,
        price=window.close[-1],
        fx=window.fx[-1],
        adv=np.where(enough, adv, np.nan),
        sigma_daily=market.factor_model.sigma_daily,
        cost_buy=buy,
        cost_sell=sell,
        expected_return=expected,
        factor_model=market.factor_model,
        positions=tuple(account.shares.get(name, Decimal(0)) for name in names),
        open_quantity=tuple(account.open_quantity.get(name, Decimal(0)) for name in names),
        cash=free_cash(account, mandate, waiting),
        fx_rates=market.fx_rates,
        nav=account.nav,
        can_buy=np.array([not reason for reason in reasons]) & can_trade & enough,
        can_trade=can_trade,
        force_exit=_among(names, force_exit),
        reasons=tuple(reasons),
        send_from=terms.targets.send_from,
        send_until=terms.targets.send_until,
        fx_send_from=cutoff,
        fx_send_until=terms.legs_until,
        rebalance=is_rebalance(mandate, session, decided),
        book=account.book,
        benchmark=market_weights(window, listed),
        exit_send_from=terms.exits.send_from,
        exit_send_until=terms.exits.send_until,
        target_refusals=terms.target_refusals,
        slice_windows=terms.slices,
        protective_windows=terms.protective,
        stop_level=stop_level(market, account, mandate),
        llm_tilt=llm_tilts(market.forecasts, names),
    )


def expected_returns(forecasts: pd.DataFrame) -> dict[str, float]:
    """Instrument -> expected return per year."""
    return dict(zip(forecasts["instrument"].tolist(), forecasts["expected_return"].tolist(), strict=True))


def llm_tilts(forecasts: pd.DataFrame, names: Sequence[str]) -> Floats:
    """(n,) what views of a language model add per year, 0 for a name without forecast; empty when FORECASTS has no such column."""
    if "llm_tilt" not in forecasts:
        return np.zeros(0)
    found = dict(zip(forecasts["instrument"].tolist(), forecasts["llm_tilt"].tolist(), strict=True))
    return np.array([float(found.get(name, 0.0)) for name in names])


def stop_level(market: Market, account: Account, mandate: Mandate) -> Floats:
    """(n,) the higher of the levels of RC-62 and RC-63, listing currency; NaN for what is not held or has no ATR."""
    atr, lots = atr_levels(market.features, market.window), {lot.instrument: lot for lot in account.book.lots}
    return np.array(
        [
            max(stop_levels(lots[name], atr[name], mandate.stops)) if name in lots else np.nan
            for name in market.window.instruments
        ]
    )
