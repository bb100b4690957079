"""Stops that quotes broke while the market was open: which held names must be sold whole. Never a buy. Pure.

A single bad print must not sell anything: a quote counts only when it is of the exchange's hours, fresh, two-sided, not crossed
and near the last close, and only two quotes in a row break a stop. Whatever is unknown breaks nothing. Not here: asking for
quotes (`ingestion`), recording and exits at the close (`stops`, `protective_exits`).
"""

import math
from collections.abc import Collection, Iterable, Mapping
from itertools import pairwise

import pandas as pd

from marketbot_assets.book.rows import rows_frame
from marketbot_assets.book.schema import INTRADAY_EXITS, STOP_LOSS, TRAILING
from marketbot_assets.book.state import Lot
from marketbot_assets.book.stops import stop_levels
from marketbot_resources.mandate_limits import Stops

QUOTE_AGE_MAX = pd.Timedelta(seconds=120)  # RC-05
COLLAR = 0.20  # a further move from the last close is a split or a bad print until its bar says otherwise


def usable_quotes(quotes: pd.DataFrame, close: Mapping[str, float]) -> pd.Series:
    """Per row of INTRADAY_QUOTES whether it may count; NaN in any number makes it unusable."""
    bid, ask = quotes["bid"].astype(float), quotes["ask"].astype(float)
    age = quotes["known_at"] - quotes["quoted_at"]
    last = quotes["instrument"].map(dict(close)).astype(float)
    fresh = (age >= pd.Timedelta(0)) & (age <= QUOTE_AGE_MAX) & quotes["session"].notna()
    sided = (bid > 0.0) & (ask > 0.0) & (bid <= ask) & (ask < math.inf)
    near = ((bid / last - 1.0).abs() <= COLLAR) & ((ask / last - 1.0).abs() <= COLLAR)
    return fresh & sided & near


def crossed_stops(
    quotes: pd.DataFrame,
    lots: Iterable[Lot],
    close: Mapping[str, float],
    atr20: Mapping[str, float],
    rules: Stops,
    *,
    unjudged: Collection[str] = (),
) -> pd.DataFrame:
    """INTRADAY_EXITS: lots of which two quotes in a row, of one session, bid below stop or trail; the first pair counts.

    `quotes`: INTRADAY_QUOTES of the day in any order; an unusable one in between ends a row of two. `close` and `atr20`: of the
    last decided session, listing currency. `unjudged`: names whose prices of today are on another scale (an ex date).
    """
    ordered = quotes.assign(usable=usable_quotes(quotes, close)).sort_values(
        ["instrument", "quoted_at", "known_at", "usable", "bid", "ask"], ascending=[True, True, True, True, False, True]
    )  # of several for one instant the first known counts, of equally early ones what breaks nothing
    groups = {str(name): rows.drop_duplicates("quoted_at") for name, rows in ordered.groupby("instrument")}
    found = []
    for lot in lots:
        if lot.instrument in groups and lot.instrument not in unjudged:
            levels = stop_levels(lot, atr20.get(lot.instrument, math.nan), rules)
            found += _first_pair(groups[lot.instrument], lot, levels)
    return rows_frame(INTRADAY_EXITS, found)


def _first_pair(rows: pd.DataFrame, lot: Lot, levels: tuple[float, float]) -> list[dict[str, object]]:
    quotes = list(rows.itertuples(index=False))
    for before, quote in pairwise(quotes):
        if not (before.usable and quote.usable and before.session == quote.session):
            continue
        higher = max(before.bid, quote.bid)
        for control, level in zip((STOP_LOSS, TRAILING), levels, strict=True):
            if higher < level:
                return [
                    {
                        "instrument": lot.instrument,
                        "quantity": lot.quantity,
                        "control": control,
                        "bid": float(quote.bid),
                        "level": level,
                        "first_quoted_at": before.quoted_at,
                        "quoted_at": quote.quoted_at,
                        "reason": f"{control}: bids {before.bid:.6g} and {quote.bid:.6g} below {level:.6g}",
                    }
                ]
    return []
