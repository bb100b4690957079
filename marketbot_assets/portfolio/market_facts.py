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
from marketbot_assets.normalization.action_book import ActionBook, book_of
from marketbot_assets.normalization.currencies import Fixings, stale_currencies
from marketbot_assets.normalization.freshness import BarAges
from marketbot_assets.normalization.listing_ends import listing_ends
from marketbot_assets.normalization.listings import Listings, listings_of
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
    instruments: pd.DataFrame | Listings,
    window: MarketWindow,
    features: pd.DataFrame,
    forecasts: pd.DataFrame,
    factor_model: FactorModel,
    ages: BarAges,
    quarantined: Collection[str],
    fx: pd.DataFrame | Fixings,
    actions: pd.DataFrame | ActionBook,
    mandate: Mandate,
    session: dt.date,
    cutoff: dt.datetime,
    forecasts_before: pd.DataFrame | None = None,
) -> Market:
    """The market at `cutoff`. `fx`, `actions`: FX and CORPORATE_ACTIONS rows known then.

    `forecasts_before`: FORECASTS of the newest session before; None when there is none.
    """
    base, listed, book = mandate.base_currency, listings_of(instruments), book_of(actions)
    currencies = listed.texts("currency")
    stale = stale_currencies(fx, set(currencies) - {base}, session, mandate.limits.fx_stale_sessions)
    age, history = ages.at(cutoff)
    rates = dict(zip(currencies, window.fx[-1].tolist(), strict=True))
    return Market(
        instruments=listed.rows,
        window=window,
        features=features,
        forecasts=forecasts,
        factor_model=factor_model,
        quarantined=frozenset(quarantined),
        price_age=age,
        history_sessions=history,
        fx_rates={**dict(sorted(rates.items())), base: 1.0},
        stale_currencies=frozenset(stale),
        ends=listing_ends(book, listed, cutoff, mandate.calendar.closed),
        forecasts_before=forecasts_before,
        events=near_events(book, listed, cutoff, mandate.calendar.closed),
        listings=listed,
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
    fresh = (market.price_age < mandate.limits.price_freshness.stale_sessions).tolist()
    priced = {
        name: own and name not in market.quarantined for name, own in zip(market.window.instruments, fresh, strict=True)
    }
    return any(not priced.get(name, False) and not (name in priced and name in market.ends.ended) for name in shares)
