"""The synthetic world behind the providers' ports: rows by the instant at which they became knowable, as CSV.

A provider keeps the rows of the years that it was last asked for, and makes years when it is asked for them: the world up to
the last one's end, block by block, of which the years' rows stay. Small worlds keep all of their years.
"""

import dataclasses
import datetime as dt
from collections import OrderedDict
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from marketbot_resources.market.shelf import csv_bytes
from marketbot_resources.model import utc_text
from marketbot_resources.provider import Body, Delivery, whole
from marketbot_resources.store.scratch import kept_table
from marketbot_resources.synthetic.actions import Action
from marketbot_resources.synthetic.grid import Grid, grid_of
from marketbot_resources.synthetic.life import Life, life_of
from marketbot_resources.synthetic.macro import fx_table, known_between, macro_table, sorted_by_release
from marketbot_resources.synthetic.spec import SPLIT, WorldSpec
from marketbot_resources.synthetic.tables import DAY, STAMP, TEXT
from marketbot_resources.synthetic.venues import SECTOR_NAMES, VENUES
from marketbot_resources.synthetic.world import Truth, chunks

KEPT_ROWS_MAX, PROBED = 3_000_000, 8
SESSIONS_MAX, PASSES = 260, 12  # a year has at most so many; a pass makes at most a twelfth of what is kept
_KEYS = {
    "prices": ("source_id", "session"),
    "corporate_actions": ("source_id", "ex_session", "kind"),
    "filings": ("source_id", "field", "period_end"),
    "headlines": ("source_id", "headline_id"),
}


def answer(kind: str, table: pa.Table, since: dt.datetime | None, until: dt.datetime) -> Delivery:
    """A table as the provider's answer."""
    url = f"synthetic://{kind}?since={utc_text(since) if since else ''}&until={utc_text(until)}"
    return whole(Body("synthetic", url, "text/csv", 200, csv_bytes(table)))


def _by_release(parts: list[pa.Table], keys: tuple[str, ...]) -> pa.Table:
    """One table by `known_at`, then keys, without more copies than the result."""
    table = pa.concat_tables(parts).unify_dictionaries()
    order = pa.table(
        {name: table[name].cast(TEXT) if name == "source_id" else table[name] for name in ("known_at", *keys)}
    )
    return table.take(pc.sort_indices(order, [(name, "ascending") for name in order.column_names]))


def _micros(at: dt.datetime) -> int:
    return (at - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class _Year:
    """The rows of one year by kind, and the true splits known until its end."""

    rows: dict[str, pa.Table]
    splits: tuple[Action, ...]


class Years:
    """The rows of the world by the year in which they became knowable, made on demand, the oldest request forgotten first.

    Each pass over the world makes as many of the years asked for as fit a share of what may be kept: a pass begins with the
    world's first session whatever its years, so that a long past made year by year would cost the square of its length.
    """

    def __init__(self, spec: WorldSpec, kept_rows_max: int = KEPT_ROWS_MAX) -> None:
        self._spec = spec
        self._kept: OrderedDict[int, _Year] = OrderedDict()
        per_year = spec.instruments * SESSIONS_MAX
        self._most = max(1, kept_rows_max // per_year)
        self._pass = max(1, kept_rows_max // (PASSES * per_year))

    def rows(self, kind: str, since: dt.datetime | None, until: dt.datetime) -> pa.Table:
        """Rows with since < known_at <= until, by `known_at`."""
        last = self._clamped(until.year)
        first = self._clamped(since.year if since is not None else self._spec.first.year)
        after = None if since is None else _micros(since)
        parts = [
            known_between(self._year(year, last).rows[kind], after, _micros(until)) for year in range(first, last + 1)
        ]
        return pa.concat_tables(parts)

    def splits(self, year: int) -> tuple[Action, ...]:
        """True splits of all listings known until the end of a year."""
        year = self._clamped(year)
        return self._year(year, year).splits

    def _clamped(self, year: int) -> int:
        return min(max(year, self._spec.first.year), self._spec.last.year + 1)

    def _year(self, year: int, last: int) -> _Year:
        """A year; with it, if it must be made, those up to `last` that the pass has room for."""
        if year not in self._kept:
            wanted = [each for each in range(year, min(last, year + self._pass - 1) + 1) if each not in self._kept]
            for each, made in self._made(wanted).items():
                self._kept[each] = made
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        self._kept.move_to_end(year)
        return self._kept[year]

    def _made(self, years: list[int]) -> dict[int, _Year]:
        until = dataclasses.replace(self._spec, last=min(self._spec.last, dt.date(years[-1], 12, 31)))
        bounds = {year: (_new_year(year) - 1, _new_year(year + 1) - 1) for year in years}
        found: dict[int, dict[str, list[pa.Table]]] = {year: {kind: [] for kind in _KEYS} for year in years}
        splits: list[Action] = []
        for chunk in chunks(until, announced=True):
            served = {"prices": chunk.bars, "corporate_actions": chunk.actions}
            served |= {"filings": chunk.filings, "headlines": chunk.headlines}
            for kind, table in served.items():
                for year in years:
                    found[year][kind].append(known_between(table, *bounds[year]))
            splits += [action for action in chunk.true_actions if action.kind == SPLIT]
        return {
            year: _Year(
                {kind: kept_table(_by_release(found[year].pop(kind), _KEYS[kind])) for kind in _KEYS},
                tuple(action for action in splits if action.known <= bounds[year][1]),
            )
            for year in years
        }


def _new_year(year: int) -> int:
    return _micros(dt.datetime(year, 1, 1, tzinfo=dt.UTC))


class SyntheticMarket:
    """Listings, bars, corporate actions and reference rates of a synthetic world."""

    def __init__(self, spec: WorldSpec, years: Years) -> None:
        self._spec = spec
        self._years = years

    def instruments(self, as_of: dt.datetime) -> Delivery:
        """Listings that had begun to trade at the instant, with the ticker and state of then; the dead remain, as dead."""
        instant = _micros(as_of)
        splits: dict[int, list[Action]] = {}
        for action in self._years.splits(as_of.year):
            splits.setdefault(action.number, []).append(action)
        rows = []
        for number in range(self._spec.instruments):
            life = life_of(self._spec, number)
            grid = grid_of(life.mic, self._spec.first, self._spec.last)
            if life.born < grid.count and grid.opens[life.born] <= instant:
                rows.append(_listing(life, grid, instant, splits.get(number, [])))
        table = pa.Table.from_pylist(rows, schema=_LISTING_SCHEMA)
        return answer("instruments", table, None, as_of)

    def prices(self, since: dt.datetime | None, until: dt.datetime) -> Delivery:
        """Daily bars."""
        return answer("prices", self._years.rows("prices", since, until), since, until)

    def corporate_actions(self, since: dt.datetime | None, until: dt.datetime) -> Delivery:
        """Corporate actions by announcement."""
        return answer("corporate_actions", self._years.rows("corporate_actions", since, until), since, until)

    def probe(self, mic: str) -> "SyntheticMarket":
        """The first few listings of every exchange: a smaller world holds the same rows."""
        few = dataclasses.replace(self._spec, instruments=min(self._spec.instruments, PROBED * len(self._spec.mics)))
        return SyntheticMarket(few, Years(few))

    def fx(self, since: dt.datetime | None, until: dt.datetime) -> Delivery:
        """Reference rates."""
        return _slice("fx", sorted_by_release(fx_table(self._spec), ("currency",)), since, until)


_LISTING_SCHEMA = pa.schema(
    [
        *((name, TEXT) for name in ("source_id", "ticker", "name", "mic", "currency", "country", "sector")),
        *((name, TEXT) for name in ("kind", "issuer", "quantity_step", "tick_size")),
        ("listed_on", DAY),
        ("delisted_on", DAY),
        ("shares_outstanding", pa.float64()),
        ("known_at", STAMP),
        ("synthetic", pa.bool_()),
    ]
)


def _listing(life: Life, grid: Grid, instant: int, splits: list[Action]) -> dict[str, object]:
    """One row as described at the instant; `known_at` is when that description last changed."""
    venue, changes = VENUES[life.mic], [int(grid.opens[life.born])]
    renamed = life.renamed is not None and life.renamed < grid.count and grid.opens[life.renamed] <= instant
    ended = life.end < grid.count and grid.closes[life.end] <= instant
    if renamed and life.renamed is not None:
        changes.append(int(grid.opens[life.renamed]))
    if ended:
        changes.append(int(grid.closes[life.end]))
    shares = life.shares
    for action in splits:
        at = int(grid.opens[grid.sessions.index(action.ex_session)])
        if at <= instant:
            shares *= action.ratio
            changes.append(at)
    return {
        "source_id": life.source_id,
        "ticker": life.new_ticker if renamed else life.ticker,
        "name": life.name,
        "mic": life.mic,
        "currency": venue.currency,
        "country": venue.country,
        "sector": SECTOR_NAMES[life.sector],
        "kind": "EQUITY",
        "issuer": life.name,
        "quantity_step": str(venue.lot),
        "tick_size": format(Decimal(str(life.tick)).normalize(), "f"),
        "listed_on": grid.sessions[life.born],
        "delisted_on": grid.sessions[life.end] if ended else None,
        "shares_outstanding": float(np.round(shares)),
        "known_at": dt.datetime.fromtimestamp(max(changes) / 1e6, tz=dt.UTC),
        "synthetic": True,
    }


def _slice(kind: str, table: pa.Table, since: dt.datetime | None, until: dt.datetime) -> Delivery:
    return answer(kind, known_between(table, None if since is None else _micros(since), _micros(until)), since, until)


class SyntheticMacro:
    """Macro series of a synthetic world."""

    def __init__(self, spec: WorldSpec) -> None:
        self._table = sorted_by_release(macro_table(spec), ("series", "period"))

    def series(self, since: dt.datetime | None, until: dt.datetime) -> Delivery:
        """Observations and vintages by release."""
        return _slice("series", self._table, since, until)


class SyntheticFundamentals:
    """Filed figures of a synthetic world."""

    def __init__(self, years: Years) -> None:
        self._years = years

    def filings(self, since: dt.datetime | None, until: dt.datetime) -> Delivery:
        """Figures by filing instant."""
        return answer("filings", self._years.rows("filings", since, until), since, until)


class SyntheticNews:
    """Headlines of a synthetic world."""

    def __init__(self, years: Years) -> None:
        self._years = years

    def headlines(self, since: dt.datetime | None, until: dt.datetime) -> Delivery:
        """Headlines by crawl time."""
        return answer("headlines", self._years.rows("headlines", since, until), since, until)


class SyntheticWorld:
    """One world: its four providers, and its truth. `kept_rows_max`: bars that the providers may keep; more is faster."""

    def __init__(self, spec: WorldSpec, kept_rows_max: int = KEPT_ROWS_MAX) -> None:
        years = Years(spec, kept_rows_max)
        self.spec = spec
        self.market = SyntheticMarket(spec, years)
        self.macro = SyntheticMacro(spec)
        self.fundamentals = SyntheticFundamentals(years)
        self.news = SyntheticNews(years)
        self.truth = Truth(spec)
