"""How early a row of each table may have become known: no source knows a thing before it happened. Pure.

A source that stamps its rows too early would leak through every cut, for cuts believe the stamps. Not here: cuts (`leakcheck`).
Listings and corporate actions are announced before they take effect and have no earliest instant.
"""

import datetime as dt
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from marketbot_assets.research.leakcheck import Result
from marketbot_resources.calendars import close_at, is_session

EMBARGO = "embargo"


def _closes(frame: pd.DataFrame) -> pd.Series:
    """The close of the own exchange; the end of the day, UTC, where it was not a session."""
    pairs = frame[["mic", "session"]].drop_duplicates()
    ends = [_close(mic, stamp.date()) for mic, stamp in zip(pairs["mic"], pairs["session"], strict=True)]
    known = pairs.assign(earliest=pd.Series(ends, pairs.index, dtype="datetime64[us, UTC]"))
    return frame[["mic", "session"]].merge(known, on=["mic", "session"], how="left")["earliest"].set_axis(frame.index)


def _close(mic: str, day: dt.date) -> dt.datetime:
    end = dt.datetime(day.year, day.month, day.day, tzinfo=dt.UTC) + dt.timedelta(days=1)
    return close_at(mic, day) if is_session(mic, day) else end


def _start_of(column: str) -> Callable[[pd.DataFrame], pd.Series]:
    return lambda frame: frame[column].dt.tz_localize("UTC")


RULES: Mapping[str, tuple[str, Callable[[pd.DataFrame], pd.Series]]] = {
    "prices": ("not before the close of the own exchange", _closes),
    "fx": ("not before the date of the fixing", _start_of("session")),
    "macro": ("not before the period begins that it describes", _start_of("period")),
    "fundamentals": ("not before the end of the period", _start_of("period_end")),
    "news": ("not before it was published", lambda frame: frame["published_at"]),
}


def known_at_respects_embargo(tables: Mapping[str, pd.DataFrame]) -> list[Result]:
    """One result per table that has a rule: how many rows were looked at, and the first that claims to be known too early.

    A row that does not say when it was known counts as too early.
    """
    out = []
    for name, (rule, earliest) in RULES.items():
        if name not in tables:
            continue
        frame = tables[name]
        early = np.asarray(~(frame["known_at"] >= earliest(frame)))
        why = f"{int(early.sum())} rows are known too early: expected {rule}" if early.any() else ""
        row = frame[early].iloc[0] if early.any() else None
        cut = None if row is None or pd.isna(row["known_at"]) else row["known_at"].date()
        key = "" if row is None else " ".join(str(row[column]) for column in frame.columns[:3])
        out.append(
            Result(EMBARGO, f"{name}.known_at", 0, len(frame), np.inf if early.any() else 0.0, cut, key, 0.0, why)
        )
    return out
