"""Two model books that differ in one thing: one holds the targets with a language model's views, one those without. Pure.

A model book, not the account: it holds weights, not shares; it has no lots, stops between sessions, dividends in cash or interest.
A target is thought to be traded at the close of the session after its own, for its orders go into that session and what was in
the price when the views were made counts for neither book; it pays the mandate's linear costs on the change of weights, and is
held to the session's close. Both books follow the same rule, so their difference is what the views did; the levels prove nothing.
Not here: how the two targets come about (`portfolio`), what views earn by being right (`insight.evidence`).
"""

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from marketbot_assets.audit.schema import SHADOW_BOOK
from marketbot_assets.book.rows import rows_frame
from marketbot_assets.normalization.window import Floats, MarketWindow
from marketbot_assets.portfolio.schema import CASH
from marketbot_resources.model import BASIS_POINT

WITH, WITHOUT = "weight_target", "weight_without_llm"


@dataclass(frozen=True, slots=True)
class HeldTarget:
    """TARGET_PORTFOLIO rows of one session."""

    session: dt.date
    frame: pd.DataFrame

    def weights(self, column: str, instruments: Sequence[str]) -> Floats:
        """(n,) weights, 0 where there is none or the price was unknown.

        A target that no views tilted was solved once: it stores no number without views, or no such column, and both books hold it.
        """
        rows = self.frame[self.frame["instrument"] != CASH]
        known = column if column in rows and rows[column].notna().any() else WITH
        found = dict(zip(rows["instrument"], rows[known].astype(float), strict=True))
        values = np.array([found.get(name, 0.0) for name in instruments], dtype=float)
        return np.where(np.isfinite(values), values, 0.0)


def held_targets(
    targets: Sequence[tuple[dt.date, pd.DataFrame]], before: pd.DataFrame | None
) -> tuple[HeldTarget | None, HeldTarget | None]:
    """(target held since the row before, target held until then) of earlier targets, oldest first; None where there is none."""
    if before is None:
        return None, None
    since = before["session"].iloc[0].date()
    traded = [HeldTarget(session, frame) for session, frame in targets if session < since]
    return (traded[-1] if traded else None), (traded[-2] if len(traded) > 1 else None)


def shadow_row(
    before: pd.DataFrame | None,
    now: HeldTarget | None,
    earlier: HeldTarget | None,
    window: MarketWindow,
    *,
    costs: tuple[Floats, Floats],
    nav: float,
    contaminated: bool,
) -> pd.DataFrame:
    """SHADOW_BOOK row of the window's last session. `costs`: (buy, sell) per name, fractions of the value; `nav`: the book's.

    The first row opens both books at `nav`. A name whose return is not known earns nothing in both.
    """
    session = window.sessions[-1]
    if before is None:
        return _row(session, session, None, (nav, nav), (0.0, 0.0), (0.0, 0.0), 0.0, False, "both books open, in cash")
    last = before.iloc[0]
    values, since = (float(last["nav_with"]), float(last["nav_without"])), last["session"].date()
    opened = last["opened_on"].date()
    if now is None:
        return _row(session, opened, None, values, (0.0, 0.0), (0.0, 0.0), 0.0, False, "no target was traded yet")
    if since not in window.sessions:
        text = f"the row before is of {since}, too long ago: nothing is earned since"
        return _row(session, opened, now.session, values, (0.0, 0.0), (0.0, 0.0), 0.0, contaminated, text)
    names, start = window.instruments, window.sessions.index(since)
    grown = np.prod(1.0 + window.base_return[start + 1 :], axis=0) - 1.0
    grown = np.where(np.isfinite(grown), grown, 0.0)
    paid, earned = [], []
    for column in (WITH, WITHOUT):
        held = now.weights(column, names)
        moved = held - (np.zeros(len(names)) if earlier is None else earlier.weights(column, names))
        cost = math.fsum(np.maximum(moved, 0.0) * costs[0] + np.maximum(-moved, 0.0) * costs[1])
        paid.append(cost)
        earned.append((1.0 - cost) * (1.0 + math.fsum(held * grown)) - 1.0)
    influence = math.fsum(np.abs(now.weights(WITH, names) - now.weights(WITHOUT, names)))
    after = (values[0] * (1.0 + earned[0]), values[1] * (1.0 + earned[1]))
    return _row(
        session, opened, now.session, after, (earned[0], earned[1]), (paid[0], paid[1]), influence, contaminated, ""
    )


def _row(
    session: dt.date,
    opened_on: dt.date,
    decided_on: dt.date | None,
    navs: tuple[float, float],
    earned: tuple[float, float],
    paid: tuple[float, float],
    influence: float,
    contaminated: bool,
    message: str,
) -> pd.DataFrame:
    row = {
        "session": pd.Timestamp(session),
        "opened_on": pd.Timestamp(opened_on),
        "decided_on": pd.NaT if decided_on is None else pd.Timestamp(decided_on),
        "nav_with": navs[0],
        "nav_without": navs[1],
        "return_with": earned[0],
        "return_without": earned[1],
        "cost_with": paid[0],
        "cost_without": paid[1],
        "difference_bps": (earned[0] - earned[1]) / BASIS_POINT,
        "cumulated_bps": (navs[0] / navs[1] - 1.0) / BASIS_POINT if navs[1] > 0.0 else 0.0,
        "influence": influence,
        "contaminated": contaminated,
        "message": message,
    }
    return rows_frame(SHADOW_BOOK, [row])
