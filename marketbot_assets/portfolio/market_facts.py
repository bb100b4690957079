"""What is known of the market at the cutoff, put together for the decision: `eligibility.Market` from frames. Pure.

Not here: who may be bought (`eligibility`), how windows and features come about (earlier stages).
"""

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal

import pandas as pd

from marketbot_assets.book.positions import Valuation
from marketbot_assets.book.state import BookState
from marketbot_assets.features.model import FactorModel
from marketbot_assets.normalization.currencies import stale_currencies
from marketbot_assets.normalization.freshness import BarAges
from marketbot_assets.normalization.listing_ends import listing_ends
from marketbot_assets.normalization.near_events import near_events
from marketbot_assets.normalization.window import MarketWindow
from marketbot_assets.portfolio.eligibility import Account, Market
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import OpenOrder, Side

REJECTED = ("quarantine", "halt")


def quarantined_names(quality: pd.DataFrame, instruments: Collection[str]) -> frozenset[str]:
    """Instruments with a finding that closes them, from DATA_QUALITY rows."""
    bad = quality.loc[quality["outcome"].isin(REJECTED), "subject"]
    return frozenset(set(bad) & set(instruments))


def market_facts(
    *,
    instruments: pd.DataFrame,
    window: MarketWindow,
    features: pd.DataFrame,
    forecasts: pd.DataFrame,
    factor_model: FactorModel,
    ages: BarAges,
    quarantined: Collection[str],
    fx: pd.DataFrame,
    actions: pd.DataFrame,
    mandate: Mandate,
    session: dt.date,
    cutoff: dt.datetime,
    forecasts_before: pd.DataFrame | None = None,
) -> Market:
    """The market at `cutoff`. `fx`, `actions`: FX and CORPORATE_ACTIONS rows known then.

    `forecasts_before`: FORECASTS of the newest session before; None when there is none.
    """
    base = mandate.base_currency
    currencies = set(instruments["currency"]) - {base}
    stale = stale_currencies(fx, currencies, session, mandate.limits.fx_stale_sessions)
    age, history = ages.at(cutoff)
    rates = {currency: float(rate) for currency, rate in zip(instruments["currency"], window.fx[-1], strict=True)}
    return Market(
        instruments=instruments,
        window=window,
        features=features,
        forecasts=forecasts,
        factor_model=factor_model,
        quarantined=frozenset(quarantined),
        price_age=age,
        history_sessions=history,
        fx_rates={**dict(sorted(rates.items())), base: 1.0},
        stale_currencies=frozenset(stale),
        ends=listing_ends(actions, instruments, cutoff, mandate.calendar.closed),
        forecasts_before=forecasts_before,
        events=near_events(actions, instruments, cutoff, mandate.calendar.closed),
    )


def account_facts(valuation: Valuation, open_orders: Sequence[OpenOrder], book: BookState) -> Account:
    """The account at the cutoff: our reconciled holdings, the broker's open orders (signed), the book's state."""
    holdings, zero = valuation.holdings, Decimal(0)
    amounts: dict[str, Decimal] = {}
    reserved: dict[str, Decimal] = {}
    for order in open_orders:
        amounts[order.instrument] = amounts.get(order.instrument, zero) + order.side.sign * order.remaining
        if order.side is Side.BUY and order.limit_price is not None:
            value = order.remaining * order.limit_price
            reserved[order.currency] = reserved.get(order.currency, zero) + value
    return Account(holdings.shares, amounts, holdings.cash, valuation.nav, book, reserved)


def unpriced_held(market: Market, shares: Mapping[str, object], mandate: Mandate) -> bool:
    """Whether a held name has no valid price: no bar, an old bar, or one that a quality rule rejected.

    Shares of a listing that has ended are valued by rule until they are paid: they do not count.
    """
    held = [name in shares and name not in market.ends.ended for name in market.window.instruments]
    fresh = market.price_age < mandate.limits.price_freshness.stale_sessions
    rejected = [name in market.quarantined for name in market.window.instruments]
    known = set(market.window.instruments)
    return any(h and (not f or r) for h, f, r in zip(held, fresh, rejected, strict=True)) or not set(shares) <= known
