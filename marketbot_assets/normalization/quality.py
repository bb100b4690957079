"""What the quality rules find in one session, and what follows: flags on bars and the DATA_QUALITY table. Pure.

A rule never edits data. Quarantine closes one name, halt the whole session; a value that cannot be measured is never a pass.
Not here: the rules themselves (`bar_rules`, `table_rules`).
"""

import datetime as dt
from collections.abc import Sequence

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
from marketbot_assets.normalization.bar_rules import BAR_RULES, Finding, market_of, observe
from marketbot_assets.normalization.schema import DATA_QUALITY, OUTCOMES
from marketbot_resources.closures import NO_CLOSURES, Closed

RECENT_DAYS = 120


def bar_findings(bars: pd.DataFrame, recent: pd.DataFrame, actions: pd.DataFrame, session: dt.date) -> pd.DataFrame:
    """Findings on each bar of this session, one row per rule and instrument in the DATA_QUALITY columns.

    `bars`: the session's normalized bars; `recent`: earlier bars with their flags (`recent_bars`), of which the rejected
    ones are no yardstick but may confirm a new level; `actions`: corporate actions known by now.
    """
    seen = observe(bars, recent[recent["session"] <= pd.Timestamp(session)], actions)
    market, told = market_of(seen), told_of(bars, recent, actions)
    rows = [rule(item, market) for item in seen for rule in BAR_RULES]
    rows += [rule(item, told.get(item.instrument, SILENT), market) for item in seen for rule in ACTION_RULES]
    return data_quality([_frame(rows)])


def recent_bars(panel: pd.DataFrame, session: dt.date) -> pd.DataFrame:
    """Bars with a close of the last four months before a session, rejected ones included, marked by `quarantine`."""
    start = pd.Timestamp(session) - pd.Timedelta(days=RECENT_DAYS)
    return panel[(panel["session"] >= start) & np.isfinite(panel["close"])]


def flag_quarantine(bars: pd.DataFrame, findings: pd.DataFrame) -> pd.DataFrame:
    """Bars whose instrument a bar rule quarantined or worse carry the flag; of two bars of one name that landed together, both."""
    bad = set(findings.loc[findings["outcome"].isin(["quarantine", "halt"]), "subject"])
    return bars.assign(quarantine=bars["instrument"].isin(bad).astype(bool))


def table_findings(
    bars: pd.DataFrame,
    panel: pd.DataFrame,
    actions: pd.DataFrame,
    instruments: pd.DataFrame,
    fx: pd.DataFrame,
    macro: pd.DataFrame,
    *,
    cutoff: dt.datetime,
    previous_cutoff: dt.datetime,
    base: str,
    off: Closed = NO_CLOSURES,
) -> pd.DataFrame:
    """Findings of the table rules. `panel`: recent bars and this session's, with their flags."""
    universe = instruments[instruments["in_universe"]]
    foreign = sorted(set(universe["currency"]) - {base})
    tables = {"prices": bars, "corporate_actions": actions, "fx": fx, "macro": macro}
    rows = [
        *table_rules.bars_have_no_gaps(panel, universe, cutoff, off),
        *table_rules.universe_is_covered(bars, universe, cutoff, previous_cutoff, off),
        *table_rules.fx_is_fresh(fx, foreign, cutoff),
        *table_rules.fx_moves_plausibly(fx, foreign),
        *table_rules.macro_is_fresh(macro, cutoff),
        *ends_match_last_prices(panel, actions, pd.Timestamp(cutoff.date())),
        *delistings_are_told(instruments, actions, pd.Timestamp(cutoff.date())),
        *table_rules.keys_are_unique(bars),
        *table_rules.no_row_from_the_future(tables, cutoff),
    ]
    return _frame(rows)


def data_quality(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """All findings as one table, the worst outcome per rule and subject."""
    frame = pd.concat(parts, ignore_index=True)
    rank = {outcome: place for place, outcome in enumerate(OUTCOMES)}
    frame = frame.assign(rank=[rank[outcome] for outcome in frame["outcome"]])
    worst = frame.sort_values(["rule", "subject", "rank"], kind="stable").drop_duplicates(
        ["rule", "subject"], keep="last"
    )
    return worst.drop(columns="rank").reset_index(drop=True)


def assess(
    *,
    bars: pd.DataFrame,
    panel: pd.DataFrame,
    actions: pd.DataFrame,
    instruments: pd.DataFrame,
    fx: pd.DataFrame,
    macro: pd.DataFrame,
    session: dt.date,
    cutoff: dt.datetime,
    previous_cutoff: dt.datetime,
    base: str,
    off: Closed = NO_CLOSURES,
) -> pd.DataFrame:
    """Every rule on one session: the DATA_QUALITY table. `panel`: flagged bars before this session; `off`: closures."""
    recent = recent_bars(panel, session)
    own = bar_findings(bars, recent, actions, session)
    together = pd.concat([frame for frame in (recent, bars) if len(frame)] or [recent], ignore_index=True)
    whole = table_findings(
        bars,
        together,
        actions,
        instruments,
        fx,
        macro,
        cutoff=cutoff,
        previous_cutoff=previous_cutoff,
        base=base,
        off=off,
    )
    return data_quality([own, whole])


def _frame(rows: Sequence[Finding]) -> pd.DataFrame:
    frame = pd.DataFrame(list(rows), columns=[column.name for column in DATA_QUALITY.columns])
    kinds = {"number": "float64", "text": "str"}
    return frame.astype({column.name: kinds[column.kind] for column in DATA_QUALITY.columns})
