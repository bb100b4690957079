"""The feature matrix of one session. Pure. It slices the window to LOOKBACK_SESSIONS first, so a longer window changes no bit."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import pandas as pd

from marketbot_assets.features.liquidity import median
from marketbot_assets.features.price_features import price_features
from marketbot_assets.features.registry import LOOKBACK_SESSIONS, NAMES, REQUIRED
from marketbot_assets.normalization.listings import Listings, listings_of
from marketbot_assets.normalization.window import Flags, Floats, MacroWindow, MarketWindow

Figures: TypeAlias = Mapping[str, Floats]
_REQUIRED_ROWS = [NAMES.index(name) for name in REQUIRED]
FILED_FIELDS = ("EQUITY", "NET_INCOME", "GROSS_PROFIT", "TOTAL_ASSETS", "TOTAL_DEBT")


def build_features(
    window: MarketWindow,
    macro: MacroWindow,
    fundamentals: pd.DataFrame | Figures,
    instruments: pd.DataFrame | Listings,
    session: dt.date,
) -> pd.DataFrame:
    """One row per instrument in the FEATURES columns.

    `fundamentals`: rows known at the cutoff, or the figures of them; `instruments`: the INSTRUMENTS table, sorted like the window's
    columns.
    """
    listed = listings_of(instruments)
    assert listed.instrument == window.instruments, "instruments must be the window's, in its order"
    end = len(window.sessions) - 1
    recent, world = window.upto(end, LOOKBACK_SESSIONS), macro.upto(end, LOOKBACK_SESSIONS)
    columns = price_features(recent, world.series["SP500"])
    columns |= sector_features(columns, list(listed.members("sector").values()))
    columns |= filed_features(fundamentals, listed, recent.close[-1] * recent.fx[-1], recent.fx[-1])
    columns |= macro_features(world, len(window.instruments))
    values = clean(np.array([columns[name] for name in NAMES]))
    frame = pd.DataFrame(values.T, columns=list(NAMES))
    frame.insert(0, "session", np.full(len(window.instruments), np.datetime64(session, "s")))
    frame.insert(1, "instrument", listed.labels)
    frame["complete"] = np.isfinite(values[_REQUIRED_ROWS]).all(axis=0)
    return frame


def clean(values: Floats) -> Floats:
    """Infinities are no values."""
    return np.asarray(np.where(np.isfinite(values), values, np.nan))


def sector_features(columns: dict[str, Floats], sectors: Sequence[Flags]) -> dict[str, Floats]:
    """Returns beyond the sector's median, (n,); NaN in a sector where nothing is known. `sectors`: (n,) the rows of each."""
    out = {}
    for name, source, sign in (("sector_momentum_126d", "return_126d", 1.0), ("sector_reversal_5d", "return_5d", -1.0)):
        values = np.full(len(columns[source]), np.nan)
        for mine in sectors:
            own = columns[source][mine]
            known = own[np.isfinite(own)]
            values[mine] = sign * (own - median(known)) if len(known) else np.nan
        out[name] = values
    return out


def filed_figures(fundamentals: pd.DataFrame, instruments: Listings) -> dict[str, Floats]:
    """Field -> (n,) the newest period's newest filing; unknown when in another currency than the listing."""
    newest = newest_filings(fundamentals)
    listed = newest["instrument"].map(instruments.currencies)
    same = newest[newest["currency"].to_numpy() == listed.to_numpy()]
    wide = same.pivot(index="instrument", columns="field", values="value").reindex(
        index=list(instruments.instrument), columns=list(FILED_FIELDS)
    )
    return {name: wide[name].to_numpy(dtype=float) for name in FILED_FIELDS}


def newest_filings(fundamentals: pd.DataFrame) -> pd.DataFrame:
    """Of FUNDAMENTALS rows each instrument's and field's newest period's newest one; of rows known at once the last."""
    ordered = fundamentals.sort_values(["instrument", "field", "period_end", "known_at"])
    return ordered.drop_duplicates(["instrument", "field"], keep="last")


def filed_features(
    fundamentals: pd.DataFrame | Figures, instruments: pd.DataFrame | Listings, price_base: Floats, rate: Floats
) -> dict[str, Floats]:
    """Value, quality and size from FUNDAMENTALS rows, or from the `filed_figures` of them."""
    listed = listings_of(instruments)
    figures = filed_figures(fundamentals, listed) if isinstance(fundamentals, pd.DataFrame) else fundamentals
    value = price_base * listed.shares_outstanding
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            "book_to_price": figures["EQUITY"] * rate / value,
            "earnings_yield": figures["NET_INCOME"] * rate / value,
            "gross_profitability": figures["GROSS_PROFIT"] / figures["TOTAL_ASSETS"],
            "debt_to_assets": figures["TOTAL_DEBT"] / figures["TOTAL_ASSETS"],
            "log_market_value": np.log(np.where(value > 0, value, np.nan)),
        }


def macro_features(macro: MacroWindow, count: int) -> dict[str, Floats]:
    """The regime, the same for every instrument."""
    series = {name: values[-1] for name, values in macro.series.items()}
    index = macro.series["SP500"][-200:]
    trend = index[-1] / index.mean() - 1.0 if len(index) == 200 else np.nan
    facts = {
        "vix_level": series.get("VIX", np.nan),
        "index_trend_200d": trend,
        "term_slope": series.get("US10Y", np.nan) - series.get("US2Y", np.nan),
        "credit_spread": series.get("BAA", np.nan) - series.get("AAA", np.nan),
    }
    return {name: np.full(count, value) for name, value in facts.items()}
