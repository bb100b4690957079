"""The market that the paper broker trades in, over tables in memory: listings, bars, reference rates, corporate actions. Pure.

Facts only. Not here: what a corporate action does (`corporate_actions`), the account and its orders (`paper`), who asks a
provider for them (`broker.provider_market`).
"""

import bisect
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from marketbot_resources import calendars
from marketbot_resources.closures import NO_CLOSURES, Closed
from marketbot_resources.corporate_actions import DELISTING, RENAME, SPLIT, CorporateAction, first_open, tellings
from marketbot_resources.errors import BrokerError
from marketbot_resources.fill_rules import Bar

LIQUIDITY_BARS_MAX, LIQUIDITY_BARS_MIN = 20, 5
_FIELDS = ("open", "high", "low", "close", "volume")
_DAY_ZERO = dt.date(1970, 1, 1).toordinal()
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PaperListing:
    """What an order of one listing must respect: its exchange, currency, lot in shares, tick in the major unit."""

    instrument: str
    mic: str
    currency: str
    is_fund: bool
    quantity_step: Decimal
    tick_size: Decimal


class AuctionMarket(Protocol):
    """What the paper broker asks of a market. Prices in the listing currency's major unit."""

    def listing(self, instrument: str) -> PaperListing | None:
        """The listing, or None when it is unknown."""
        ...

    def bar(self, instrument: str, session: dt.date) -> Bar | None:
        """The bar of one session of the own exchange; None when the listing did not trade or the bar is not known yet."""
        ...

    def liquidity(self, instrument: str, session: dt.date) -> tuple[float | None, float | None]:
        """(sigma_daily, adv_shares) from the bars before the session; None when there are too few."""
        ...

    def close_before(self, instrument: str, session: dt.date) -> float | None:
        """The last close before the session, per share of that time; None when there is none."""
        ...

    def rate(self, currency: str, at: dt.datetime) -> float | None:
        """Base currency per unit, the newest known at or before the instant; None when none is."""
        ...

    def actions(self, after: dt.datetime, until: dt.datetime) -> tuple[CorporateAction, ...]:
        """Events effective in (after, until] and known at `until`, in the order in which they take effect."""
        ...


@dataclass(frozen=True, slots=True)
class _Bars:
    """Bars of one instrument, own sessions ascending. `split`: product of the ratios up to each session."""

    mic: str
    days: Ints
    fields: Mapping[str, Floats]
    split_days: Ints
    splits: Floats

    def factor(self, days: Ints) -> Floats:
        """New shares on each day per share of the first day."""
        return self.splits[np.searchsorted(self.split_days, days, side="right")]


class TabularMarket:
    """An AuctionMarket over frames with the columns of the normalized tables PRICES, CORPORATE_ACTIONS, FX, INSTRUMENTS.

    Of two bars of one session the first known counts, of several versions of an event what `tellings` says. The frames are read
    once.
    """

    def __init__(
        self,
        prices: pd.DataFrame,
        actions: pd.DataFrame,
        fx: pd.DataFrame,
        instruments: pd.DataFrame,
        *,
        base_currency: str,
        off: Closed = NO_CLOSURES,
    ) -> None:
        self._base, self._off = base_currency, off
        self._listings = _listings(instruments)
        order, self._starts = _bar_order(prices)
        self._days = _days(prices["session"])[order]
        self._fields = {name: prices[name].to_numpy(dtype=np.float64)[order] for name in _FIELDS}
        self._bars: dict[str, _Bars] = {}
        self._rates = _rates(fx)
        self._actions = actions
        self._splits = _splits(self._actions)
        self._events: tuple[list[dt.datetime], list[tuple[dt.datetime, CorporateAction]]] | None = None

    def listing(self, instrument: str) -> PaperListing | None:
        """The listing, or None when it is unknown."""
        return self._listings.get(instrument)

    def bar(self, instrument: str, session: dt.date) -> Bar | None:
        """The bar of one session, NaN where a value is not known; None when there is none."""
        bars = self._of(instrument)
        day = session.toordinal() - _DAY_ZERO
        place = int(bars.days.searchsorted(day)) if bars is not None else 0
        if bars is None or place == len(bars.days) or bars.days[place] != day:
            return None
        values = {name: float(bars.fields[name][place]) for name in _FIELDS}
        return Bar(instrument, session, **values, opened_at=calendars.open_at(bars.mic, session))

    def liquidity(self, instrument: str, session: dt.date) -> tuple[float | None, float | None]:
        """(sigma_daily, adv_shares) from the up to LIQUIDITY_BARS_MAX own bars before the session.

        sigma_daily: standard deviation (ddof 1) of the simple close returns between these bars; adv_shares: median volume.
        Both split-adjusted, volumes to shares of `session`; values that are not finite and positive are left out. None with
        fewer than LIQUIDITY_BARS_MIN bars, or when too little of them is known.
        """
        bars = self._of(instrument)
        if bars is None:
            return None, None
        day = session.toordinal() - _DAY_ZERO
        end = int(bars.days.searchsorted(day))
        start = max(0, end - LIQUIDITY_BARS_MAX)
        if end - start < LIQUIDITY_BARS_MIN:
            return None, None
        factor = bars.factor(bars.days[start:end])
        close = bars.fields["close"][start:end] * factor
        close = close[np.isfinite(close) & (close > 0.0)]
        volume = bars.fields["volume"][start:end] * (float(bars.factor(np.array([day]))[0]) / factor)
        volume = volume[np.isfinite(volume) & (volume > 0.0)]
        sigma = float(np.std(close[1:] / close[:-1] - 1.0, ddof=1)) if len(close) >= LIQUIDITY_BARS_MIN else None
        return sigma, float(np.median(volume)) if len(volume) else None

    def close_before(self, instrument: str, session: dt.date) -> float | None:
        """The last finite, positive close before the session, as reported; None when there is none."""
        bars = self._of(instrument)
        if bars is None:
            return None
        close = bars.fields["close"]
        for place in range(int(bars.days.searchsorted(session.toordinal() - _DAY_ZERO)) - 1, -1, -1):
            if np.isfinite(close[place]) and close[place] > 0.0:
                return float(close[place])
        return None

    def rate(self, currency: str, at: dt.datetime) -> float | None:
        """Base per unit: the newest fixing among those known at the instant; 1 for the base currency."""
        if currency == self._base:
            return 1.0
        if currency not in self._rates:
            return None
        known, values = self._rates[currency]
        place = int(known.searchsorted((at - _EPOCH) // _MICROSECOND, side="right")) - 1
        return float(values[place]) if place >= 0 else None

    def actions(self, after: dt.datetime, until: dt.datetime) -> tuple[CorporateAction, ...]:
        """Events effective in (after, until] and known at `until`, by instant, instrument and kind.

        An ex date on which the exchange is closed counts from its next session on. Raises BrokerError for an event of no
        known listing.
        """
        if self._events is None:
            events = _events(self._actions, self._listings, self._off)
            self._events = ([action.effective_at for _, action in events], events)
        instants, events = self._events
        found = events[bisect.bisect_right(instants, after) : bisect.bisect_right(instants, until)]
        return tuple(action for known_at, action in found if known_at <= until)

    def _of(self, instrument: str) -> _Bars | None:
        if instrument not in self._bars:
            listing, rows = self._listings.get(instrument), self._starts.get(instrument)
            if listing is None or rows is None:
                return None
            days, splits = self._splits.get(instrument, (np.empty(0, np.int64), np.ones(1)))
            fields = {name: values[rows] for name, values in self._fields.items()}
            self._bars[instrument] = _Bars(listing.mic, self._days[rows], fields, days, splits)
        return self._bars[instrument]


def _listings(instruments: pd.DataFrame) -> dict[str, PaperListing]:
    columns = ("instrument", "mic", "currency", "kind", "quantity_step", "tick_size")
    rows = zip(*(instruments[name] for name in columns), strict=True)
    return {
        name: PaperListing(name, mic, currency, kind == "FUND", Decimal(step), Decimal(tick))
        for name, mic, currency, kind, step, tick in rows
    }


def _bar_order(prices: pd.DataFrame) -> tuple[Ints, dict[str, slice]]:
    """(rows by instrument and session, the first known of each; the place of each instrument among them)."""
    codes, names = pd.factorize(prices["instrument"])
    days = _days(prices["session"])
    order = np.lexsort((_micros(prices["known_at"]), days, codes))
    repeated = (np.diff(codes[order]) == 0) & (np.diff(days[order]) == 0)
    order = order[np.concatenate([[True], ~repeated])] if len(order) else order
    ends = np.searchsorted(codes[order], np.arange(len(names)), side="right")
    starts = np.concatenate([[0], ends[:-1]])
    places = {str(name): slice(int(a), int(b)) for name, a, b in zip(names, starts, ends, strict=True)}
    return order.astype(np.int64), places


def _days(values: pd.Series) -> Ints:
    return values.to_numpy().astype("datetime64[D]").astype(np.int64)


def _micros(values: pd.Series) -> Ints:
    return values.dt.as_unit("us").astype("int64").to_numpy()


def _rates(fx: pd.DataFrame) -> dict[str, tuple[Ints, Floats]]:
    """Per currency: instants at which a newer fixing became known, ascending, and its rate."""
    rate = fx["rate"].to_numpy(dtype=np.float64)
    usable = fx[np.isfinite(rate) & (rate > 0.0)].sort_values(["known_at", "session"], kind="stable")
    found = {}
    for currency, rows in usable.groupby("currency", sort=True):
        days = _days(rows["session"])
        newest = days >= np.maximum.accumulate(days)  # an old fixing that came late changes nothing
        found[str(currency)] = (_micros(rows["known_at"])[newest], rows["rate"].to_numpy(dtype=np.float64)[newest])
    return found


def _splits(actions: pd.DataFrame) -> dict[str, tuple[Ints, Floats]]:
    """Per instrument with splits: ex days ascending, and the product of the ratios before the first, from each on."""
    splits = actions[actions["kind"] == SPLIT].sort_values(["ex_session", "known_at"], kind="stable")
    splits = splits.drop_duplicates(["instrument", "ex_session"])
    return {
        str(name): (
            _days(rows["ex_session"]),
            np.concatenate([[1.0], np.cumprod(rows["ratio"].to_numpy(dtype=np.float64))]),
        )
        for name, rows in splits.groupby("instrument", sort=True)
    }


def _events(
    actions: pd.DataFrame, listings: Mapping[str, PaperListing], off: Closed
) -> list[tuple[dt.datetime, CorporateAction]]:
    told = []
    for row in actions.itertuples(index=False):
        if row.instrument not in listings:
            raise BrokerError(f"corporate actions: expected a known listing, found {row.instrument}; add the listing")
        mic, day = listings[row.instrument].mic, row.ex_session.date()
        at = first_open(mic, day, off)
        if at is None:
            continue  # beyond the end of the calendar, hence never effective
        other = row.other if row.kind in (DELISTING, RENAME) or row.other in listings else ""
        numbers = (float(row.amount), float(row.ratio), row.currency)
        told.append(
            (row.known_at.to_pydatetime(), CorporateAction(row.instrument, day, row.kind, *numbers, at, other, mic))
        )
    return tellings(told)
