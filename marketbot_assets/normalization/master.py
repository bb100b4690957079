"""The security master: by which names an instrument was known, and when. History grows session by session. Pure.

An instrument is its internal id; ticker, exchange, name, issuer, sector and the source's own id are dated facts about it. A ticker
that is used again belongs to another instrument in another span. Not here: who is in the universe (`identity`).
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from marketbot_assets.normalization.schema import IDENTIFIERS
from marketbot_resources.corporate_actions import DELISTING, ENDS, RENAME, TRANSFER
from marketbot_resources.errors import UsageError

TICKER, MIC, NAME, ISSUER, SECTOR, SOURCE = "TICKER", "MIC", "NAME", "ISSUER", "SECTOR", "SOURCE"
OF_THE_LISTING = (TICKER, MIC)  # these end with the listing; who the issuer is does not
LAG_DAYS = 30  # how long a source may still tell the ticker from before a rename
_DAY = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class _Span:
    """One value from `start` to `end`, both inclusive; `end` None while it holds."""

    value: str
    start: dt.date
    end: dt.date | None
    known_at: dt.datetime


@dataclass(frozen=True, slots=True)
class _Rename:
    """A new ticker, from its ex session on."""

    ticker: str
    ex: dt.date
    known_at: dt.datetime


_History = tuple[_Span, ...]


def identifiers(
    before: pd.DataFrame | None, instruments: pd.DataFrame, actions: pd.DataFrame, day: dt.date, cutoff: dt.datetime
) -> pd.DataFrame:
    """IDENTIFIERS after session `day`: those of the session before (None: there was none), with what this session says.

    `instruments`: INSTRUMENTS of the session; `actions`: CORPORATE_ACTIONS known by the cutoff. A rename or an end counts from its
    ex session, a change that no action tells of from the session in which it was first seen. At first sight a value is held to
    be true since the listing, a ticker since the last rename that is known. Facts of instruments not listed here stay.
    """
    known = {} if before is None else _histories(before)
    renames, ends = _renames(actions), _last_sessions(instruments, actions, day)
    for row in instruments.itertuples(index=False):
        since, ended = min(row.listed_on.date(), day), ends.get(row.instrument)
        for kind, value in _facts(row):
            history = known.get((row.instrument, kind), ())
            if kind in OF_THE_LISTING and history and history[-1].end is not None:
                continue  # the listing is over
            if kind == TICKER:
                history = _ticker(history, value, renames.get(row.instrument, ()), since, day, cutoff)
            else:
                history = _observed(history, value, since, day, cutoff)
            if kind in OF_THE_LISTING and ended is not None and history:
                history = _closed(history, ended)
            known[row.instrument, kind] = history
    return _frame(known)


def _facts(row: object) -> Iterable[tuple[str, str]]:
    for kind in (TICKER, MIC, NAME, ISSUER, SECTOR):
        yield kind, str(getattr(row, kind.lower()))
    yield SOURCE, "|".join(str(getattr(row, name)) for name in ("source", "source_id"))


def _observed(history: _History, value: str, since: dt.date, day: dt.date, cutoff: dt.datetime) -> _History:
    if not history:
        return (_Span(value, since, None, cutoff),)
    return history if history[-1].value == value else (*_closed(history, day - _DAY), _Span(value, day, None, cutoff))


def _ticker(
    history: _History, value: str, renames: Sequence[_Rename], since: dt.date, day: dt.date, cutoff: dt.datetime
) -> _History:
    due = [rename for rename in renames if rename.ex <= day]
    for rename in due:
        newer = not history or rename.ex > history[-1].start
        if newer and not (history and history[-1].value == rename.ticker):
            history = (*_closed(history, rename.ex - _DAY), _Span(rename.ticker, rename.ex, None, rename.known_at))
    late = due and due[-1].ticker == history[-1].value and (day - due[-1].ex).days <= LAG_DAYS
    early = any(rename.ticker == value and rename.ex > day for rename in renames)
    return history if late or early else _observed(history, value, since, day, cutoff)


def _closed(history: _History, last: dt.date) -> _History:
    """The newest span ends on a day, at the earliest on its first."""
    if not history or history[-1].end is not None:
        return history
    return (*history[:-1], replace(history[-1], end=max(last, history[-1].start)))


def _renames(actions: pd.DataFrame) -> dict[str, list[_Rename]]:
    """Per instrument, by ex session; of several versions the last known."""
    rows = actions[actions["kind"] == RENAME].sort_values(["instrument", "ex_session", "known_at"], kind="stable")
    found: dict[str, list[_Rename]] = {}
    for row in rows.drop_duplicates(["instrument", "ex_session"], keep="last").itertuples(index=False):
        rename = _Rename(row.other, row.ex_session.date(), row.known_at.to_pydatetime())
        found.setdefault(row.instrument, []).append(rename)
    return found


def _last_sessions(instruments: pd.DataFrame, actions: pd.DataFrame, day: dt.date) -> dict[str, dt.date]:
    """Instrument -> last day of a listing that is over by `day`."""
    over = actions["kind"].isin(sorted(ENDS)) & ~((actions["kind"] == DELISTING) & (actions["other"] == TRANSFER))
    rows = actions[over].sort_values("ex_session", kind="stable")
    found = {row.instrument: row.ex_session.date() - _DAY for row in rows.itertuples(index=False)}
    listed = instruments[instruments["delisted_on"].notna()]
    found |= {row.instrument: row.delisted_on.date() for row in listed.itertuples(index=False)}
    return {name: last for name, last in found.items() if last < day}


def _histories(frame: pd.DataFrame) -> dict[tuple[str, str], _History]:
    found: dict[tuple[str, str], _History] = {}
    for row in frame.sort_values(["instrument", "kind", "valid_from"]).itertuples(index=False):
        end = None if pd.isna(row.valid_to) else row.valid_to.date()
        span = _Span(row.value, row.valid_from.date(), end, row.known_at.to_pydatetime())
        found[row.instrument, row.kind] = (*found.get((row.instrument, row.kind), ()), span)
    return found


def _frame(known: dict[tuple[str, str], _History]) -> pd.DataFrame:
    rows = [
        (
            name,
            kind,
            span.value,
            pd.Timestamp(span.start),
            pd.Timestamp(span.end) if span.end else pd.NaT,
            span.known_at,
        )
        for (name, kind), history in sorted(known.items())
        for span in history
    ]
    frame = pd.DataFrame(rows, columns=[column.name for column in IDENTIFIERS.columns])
    kinds = {"text": "str", "date": "datetime64[ms]", "instant": "datetime64[us, UTC]"}
    typed = frame.astype({column.name: kinds[column.kind] for column in IDENTIFIERS.columns})
    return typed.sort_values(list(IDENTIFIERS.key), ignore_index=True)


def instrument_at(table: pd.DataFrame, kind: str, value: str, day: dt.date, *, mic: str | None = None) -> str | None:
    """The instrument that had a value on a day, on one exchange if one is named; None when there was none.

    `table`: IDENTIFIERS. Raises UsageError when several had it: a name alone does not say which is meant.
    """
    found = sorted(set(_at(table, day, kind, value)["instrument"]))
    if mic is not None:
        found = [name for name in found if value_at(table, name, MIC, day) == mic]
    if len(found) > 1:
        raise UsageError(
            f"{kind} {value} on {day}: expected one instrument, found {', '.join(found)}; name the exchange"
        )
    return found[0] if found else None


def value_at(table: pd.DataFrame, instrument: str, kind: str, day: dt.date) -> str | None:
    """The value of one kind that an instrument had on a day; None when it is not known. `table`: IDENTIFIERS."""
    rows = _at(table, day, kind)
    found = rows.loc[rows["instrument"] == instrument, "value"]
    return str(found.iloc[0]) if len(found) else None


def share_classes(table: pd.DataFrame, instrument: str, day: dt.date) -> tuple[str, ...]:
    """All instruments of the same issuer on a day, sorted, the instrument itself included. `table`: IDENTIFIERS."""
    issuer = value_at(table, instrument, ISSUER, day)
    return () if issuer is None else tuple(sorted(set(_at(table, day, ISSUER, issuer)["instrument"])))


def _at(table: pd.DataFrame, day: dt.date, kind: str, value: str | None = None) -> pd.DataFrame:
    at = pd.Timestamp(day)
    holds = (table["kind"] == kind) & (table["valid_from"] <= at) & ~(table["valid_to"] < at)
    return table[holds if value is None else holds & (table["value"] == value)]
