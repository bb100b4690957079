"""What the quality rules find in one session, and what follows: flags on bars and the DATA_QUALITY table. Pure.

A rule never edits data. Quarantine closes one name, halt the whole session; a value that cannot be measured is never a pass.
Not here: the rules themselves (`bar_rules`, `table_rules`, `restatement`), their list (`rules`).
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from marketbot_assets.normalization import table_rules
from marketbot_assets.normalization.action_rules import (
    ACTION_RULES,
    SILENT,
    delistings_are_told,
    ends_match_last_prices,
    told_of,
)
from marketbot_assets.normalization.bar_rules import (
    BAR_RULES,
    Finding,
    bars_have_plausible_ranges,
    bars_have_positive_prices,
    bars_respect_ohlc_order,
)
from marketbot_assets.normalization.observation import RECENT_DAYS, market_of, observe
from marketbot_assets.normalization.restatement import history_is_not_restated, providers_agree
from marketbot_assets.normalization.schema import DATA_QUALITY, OUTCOMES, PRICES
from marketbot_resources.closures import NO_CLOSURES, Closed

OVERLAY_RULES = (bars_have_positive_prices, bars_respect_ohlc_order, bars_have_plausible_ranges)


def bar_findings(bars: pd.DataFrame, recent: pd.DataFrame, actions: pd.DataFrame, session: dt.date) -> pd.DataFrame:
    """Findings on each bar of this session, one row per rule and instrument in the DATA_QUALITY columns.

    `bars`: the session's normalized bars; `recent`: earlier bars with their flags (`recent_bars`), of which the rejected
    ones are no yardstick but may confirm a new level; `actions`: corporate actions known by now.
    """
    seen = observe(bars, recent[recent["session"] <= pd.Timestamp(session)], actions)
    market, told = market_of(np.array([item.move for item in seen])), told_of(bars, recent, actions)
    rows = [rule(item, market) for item in seen for rule in BAR_RULES]
    rows += [rule(item, told.get(item.instrument, SILENT), market) for item in seen for rule in ACTION_RULES]
    return data_quality([_frame(rows)])


def overlay_findings(bars: pd.DataFrame, actions: pd.DataFrame) -> pd.DataFrame:
    """Findings on corrected bars: their prices must be possible; that they may jump is what someone vouched for."""
    seen, market = observe(bars, bars.iloc[:0], actions.iloc[:0]), market_of(np.array([]))
    return _frame([rule(item, market) for item in seen for rule in OVERLAY_RULES])


def recent_bars(panel: pd.DataFrame, session: dt.date) -> pd.DataFrame:
    """Bars with a close of the last four months before a session, rejected ones included, marked by `quarantine`."""
    start = pd.Timestamp(session) - pd.Timedelta(days=RECENT_DAYS)
    return panel[(panel["session"] >= start) & np.isfinite(panel["close"])]


def flag_quarantine(bars: pd.DataFrame, findings: pd.DataFrame) -> pd.DataFrame:
    """Bars whose instrument a bar rule quarantined or worse carry the flag; of two bars of one name that landed together, both."""
    bad = set(findings.loc[findings["outcome"].isin(["quarantine", "halt"]), "subject"])
    return bars.assign(quarantine=bars["instrument"].isin(bad).astype(bool))


@dataclass(frozen=True, slots=True)
class Tables:
    """What the rules of one session judge. `bars`: this session's, flagged; `recent`: usable and rejected ones before it
    (`recent_bars`); `raw_fx`: this session's quotes; `restatements`: what was sent again; the rest as known at the cutoff.
    """

    bars: pd.DataFrame
    recent: pd.DataFrame
    restatements: pd.DataFrame
    actions: pd.DataFrame
    instruments: pd.DataFrame
    fx: pd.DataFrame
    raw_fx: pd.DataFrame
    macro: pd.DataFrame


def table_findings(
    tables: Tables,
    *,
    session: dt.date,
    cutoff: dt.datetime,
    previous_cutoff: dt.datetime,
    base: str,
    off: Closed = NO_CLOSURES,
) -> pd.DataFrame:
    """Findings of the rules on whole tables."""
    bars, fresh = tables.bars, tables.bars[tables.bars["overlay"] == 0]
    panel = joined_bars(tables.recent, bars)
    universe = tables.instruments[tables.instruments["in_universe"]]
    foreign = sorted(set(universe["currency"]) - {base})
    known = {"prices": bars, "corporate_actions": tables.actions, "fx": tables.fx, "macro": tables.macro}
    rows = [
        *table_rules.bars_have_no_gaps(panel, universe, cutoff, off),
        *table_rules.universe_is_covered(fresh, universe, cutoff, previous_cutoff, off),
        *table_rules.row_counts_are_steady(panel, session),
        *table_rules.fx_is_fresh(tables.fx, foreign, cutoff),
        *table_rules.fx_moves_plausibly(tables.fx, foreign),
        *table_rules.rates_triangulate(tables.fx, tables.raw_fx, foreign, base),
        *table_rules.macro_is_fresh(tables.macro, cutoff),
        *table_rules.macro_is_not_early(tables.macro),
        *ends_match_last_prices(panel, tables.actions, pd.Timestamp(cutoff.date())),
        *delistings_are_told(tables.instruments, tables.actions, pd.Timestamp(cutoff.date())),
        *table_rules.keys_are_unique(bars),
        *table_rules.no_row_from_the_future(known, cutoff),
        *history_is_not_restated(tables.restatements),
    ]
    return _frame(rows)


def joined_bars(earlier: pd.DataFrame, later: pd.DataFrame) -> pd.DataFrame:
    """Bars of two frames, either of which may be empty."""
    return pd.concat([frame for frame in (earlier, later) if len(frame)] or [earlier], ignore_index=True)


def data_quality(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """All findings as one table, the worst outcome per rule and subject."""
    frame = pd.concat(parts, ignore_index=True)
    rank = {outcome: place for place, outcome in enumerate(OUTCOMES)}
    frame = frame.assign(rank=[rank[outcome] for outcome in frame["outcome"]])
    worst = frame.sort_values(["rule", "subject", "rank"], kind="stable").drop_duplicates(
        ["rule", "subject"], keep="last"
    )
    return worst.drop(columns="rank").reset_index(drop=True)


def judged_bars(
    fresh: pd.DataFrame,
    corrected: pd.DataFrame,
    recent: pd.DataFrame,
    restatements: pd.DataFrame,
    actions: pd.DataFrame,
    session: dt.date,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(the session's bars with their flags, the findings behind them). `corrected`: bars that accepted overlays made."""
    overlaid = overlay_findings(corrected, actions)
    corrected = flag_quarantine(corrected, overlaid)
    known = joined_bars(recent, corrected)
    found = data_quality(
        [bar_findings(fresh, known, actions, session), _frame(providers_agree(fresh, recent, restatements))]
    )
    bars = joined_bars(flag_quarantine(fresh, found), corrected).sort_values(list(PRICES.key), ignore_index=True)
    return bars, data_quality([overlaid, found])


def assess(
    tables: Tables,
    *,
    session: dt.date,
    cutoff: dt.datetime,
    previous_cutoff: dt.datetime,
    base: str,
    off: Closed = NO_CLOSURES,
) -> pd.DataFrame:
    """Every rule on one session: the DATA_QUALITY table. `off`: closures that the user knows of."""
    fresh, corrected = (tables.bars[(tables.bars["overlay"] > 0) == flag] for flag in (False, True))
    own = judged_bars(fresh, corrected, tables.recent, tables.restatements, tables.actions, session)[1]
    whole = table_findings(tables, session=session, cutoff=cutoff, previous_cutoff=previous_cutoff, base=base, off=off)
    return data_quality([own, whole])


def _frame(rows: Sequence[Finding]) -> pd.DataFrame:
    frame = pd.DataFrame(list(rows), columns=[column.name for column in DATA_QUALITY.columns])
    kinds = {"number": "float64", "text": "str"}
    return frame.astype({column.name: kinds[column.kind] for column in DATA_QUALITY.columns})
