"""Rules on corporate actions against prices: what was told must show in the bars, and a listing that ended must not trade. Pure.

A rule turns one new bar, or one instrument, into a finding; `bar_findings` joins them with the rules on bars. Splits, doubled
dividends and jumps that nobody told of stand in `bar_rules`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from marketbot_assets.normalization.bar_rules import SPLIT_CONFIRMED_BY, Finding, finding
from marketbot_assets.normalization.observation import Market, Seen
from marketbot_resources.corporate_actions import (
    ACQUIRED,
    DELISTING,
    ENDS,
    MERGER,
    SPECIAL_DIVIDEND,
    SPIN_OFF,
    TRANSFER,
)

DISTRIBUTED_OFF_MAX, END_OFF_MAX = 0.10, 0.15


@dataclass(frozen=True, slots=True)
class Told:
    """What was told of one instrument by a new bar's session, that its last usable bar did not show yet.

    `distributed`: a special dividend or a spin-off of known value is due; `unvalued`: a spin-off of unknown value is; `ended`: the
    listing ended by the bar's session.
    """

    distributed: bool
    unvalued: bool
    ended: bool


def told_of(bars: pd.DataFrame, recent: pd.DataFrame, actions: pd.DataFrame) -> dict[str, Told]:
    """Per instrument with a new bar; of several versions of an action the last known counts. `recent`: earlier bars with flags."""
    kinds = actions[actions["kind"].isin([SPECIAL_DIVIDEND, SPIN_OFF, *sorted(ENDS)])]
    ordered = kinds.sort_values(["instrument", "ex_session", "kind", "known_at"], kind="stable")
    last = ordered.drop_duplicates(["instrument", "ex_session", "kind"], keep="last")
    priced = recent[~recent["quarantine"] & (recent["close"] > 0)]
    usable = priced.groupby("instrument")["session"].max().to_dict()
    newest = bars.groupby("instrument")["session"].max().to_dict()
    found = {}
    for name, rows in last[last["instrument"].isin(newest)].groupby("instrument"):
        until = newest[name]
        since = usable.get(name, until - pd.Timedelta(days=1))
        due = rows[(rows["ex_session"] <= until) & (rows["ex_session"] > since)]
        over = rows[rows["kind"].isin(sorted(ENDS)) & (rows["other"] != TRANSFER) & (rows["ex_session"] <= until)]
        paid = due[due["kind"].isin([SPECIAL_DIVIDEND, SPIN_OFF])]
        known = paid["amount"] > 0
        unvalued = bool(((paid["kind"] == SPIN_OFF) & ~known).any())
        found[str(name)] = Told(bool(known.any()), unvalued, len(over) > 0)
    return found


def payouts_match_price_jumps(seen: Seen, told: Told, market: Market) -> Finding:
    """Observed: by which fraction the price missed the fall that special dividends and spin-offs ask for."""
    name = "payouts_match_price_jumps"
    if not told.distributed or not len(seen.closes):
        return finding(name, seen.instrument, "pass", 0.0, DISTRIBUTED_OFF_MAX, "")
    move = seen.move
    if abs(move) <= DISTRIBUTED_OFF_MAX:
        return finding(name, seen.instrument, "pass", abs(move), DISTRIBUTED_OFF_MAX, "")
    explained = np.isfinite(move) and move > -1.0 and market.explains(float(np.log1p(move)))
    stands = len(seen.pending) >= SPLIT_CONFIRMED_BY
    text = f"with what was distributed the price moved {move:+.1%}: the amount may be wrong"
    outcome = "warn" if explained or stands else "quarantine"
    return finding(name, seen.instrument, outcome, abs(move), DISTRIBUTED_OFF_MAX, text)


def spin_offs_have_a_value(seen: Seen, told: Told, market: Market) -> Finding:
    """Observed: 1 when a spin-off of unknown value is due: the fall of the price cannot be told from a loss."""
    stands = len(seen.pending) >= SPLIT_CONFIRMED_BY
    outcome = "pass" if not told.unvalued else "warn" if stands else "quarantine"
    text = f"a spin-off of unknown value is due; {len(seen.pending)} of {SPLIT_CONFIRMED_BY} earlier bars stand on the new level"
    return finding("spin_offs_have_a_value", seen.instrument, outcome, float(told.unvalued), 0.0, text)


def bars_end_with_the_listing(seen: Seen, told: Told, market: Market) -> Finding:
    """Observed: 1 for a bar of a listing that had ended: the symbol may be used again, or the end was told wrongly."""
    outcome = "quarantine" if told.ended else "pass"
    text = "a bar of a listing that has ended: another instrument's, or the end is wrong"
    return finding("bars_end_with_the_listing", seen.instrument, outcome, float(told.ended), 0.0, text)


ACTION_RULES: tuple[Callable[[Seen, Told, Market], Finding], ...] = (
    payouts_match_price_jumps,
    spin_offs_have_a_value,
    bars_end_with_the_listing,
)
SILENT = Told(False, False, False)


def ends_match_last_prices(panel: pd.DataFrame, actions: pd.DataFrame, session: pd.Timestamp) -> list[Finding]:
    """Per end in cash that is known and at most a week away or past. Observed: deal price over the last usable close, less 1."""
    cash = ((actions["kind"] == MERGER) & (actions["ratio"] == 0)) | (
        (actions["kind"] == DELISTING) & (actions["other"] == ACQUIRED)
    )
    near = ((actions["ex_session"] - session).abs() <= pd.Timedelta(days=7)) & actions["amount"].notna()
    last = actions[cash & near].sort_values("known_at", kind="stable").drop_duplicates("instrument", keep="last")
    priced = panel[~panel["quarantine"] & (panel["close"] > 0)].sort_values("session", kind="stable")
    closes = priced.groupby("instrument")["close"].last().to_dict()
    found = []
    for row in last.sort_values("instrument").itertuples(index=False):
        off = abs(row.amount / closes.get(row.instrument, np.nan) - 1.0)
        outcome = "pass" if off <= END_OFF_MAX else "warn"
        text = f"the end pays {row.amount:.6g} per share, {off:.1%} away from the last close"
        found.append(finding("ends_match_last_prices", str(row.instrument), outcome, float(off), END_OFF_MAX, text))
    return found


def delistings_are_told(instruments: pd.DataFrame, actions: pd.DataFrame, session: pd.Timestamp) -> list[Finding]:
    """Per listing whose last session is over. Observed: 1 when no action says what became of it: its value is by rule."""
    over = instruments[instruments["delisted_on"] < session]
    told = set(actions.loc[actions["kind"].isin(sorted(ENDS)), "instrument"])
    text = "the listing is over and no action tells what was paid: it is valued by rule"
    return [
        finding(
            "delistings_are_told", str(name), "pass" if name in told else "warn", float(name not in told), 0.0, text
        )
        for name in over["instrument"]
    ]
