"""A body of Yahoo's chart service, read strictly: description, bars, events. Pure.

What the recorded bodies show, and what is made of it:

- OHLC and volume are adjusted for every split up to the day of the answer, also for splits after the last bar, but not for
  dividends: AAPL closes 2020-01-02 at 75.0875 with volume 135,480,400 in an answer of 2025, a quarter of and four times what
  was traded; NVDA closes 2021-02-01 at 13.237, a fortieth, in an answer whose only event is a 4:1 split. So a split is undone
  only in a body that reaches to the last trade that the body itself tells of (`regularMarketTime`): then it holds every split
  after each of its bars. Any other body is served as it is, with `close_adjusted_by_source`. Requests always reach to the
  present.
- A split that takes effect after the last bar, as on its own morning, is refused: the bars may or may not know of it.
- Dividends are adjusted for later splits like the bars. Where `adjclose` allows, that is checked before it is undone.
- A null bar is no bar. A single null stays missing.
- The answer may hold the live quote as a bar of its own behind the day's bar, stamped `regularMarketTime`: the day's bar
  counts.
- The bar of the day of `regularMarketTime` is still running until the close has passed. Exchanges with a closing auction
  stamp the last trade a little before the official close (ORSTED.CO: 16:59:32 for 17:00), hence FINISHED_WITHIN.
"""

import datetime as dt
import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from marketbot_resources.errors import ProviderError
from marketbot_resources.market.question import Listing
from marketbot_resources.market.vendor_json import Json, read_json
from marketbot_resources.market.vendor_rows import BAR_FIELDS, agreed_currency
from marketbot_resources.market.venues import VENUES

FINISHED_WITHIN = dt.timedelta(seconds=60)
RATIO_MAX = 1e9
_EVENTS = {"dividends", "splits", "capitalGains", "earnings"}
_DIVIDEND_TOLERANCE = 0.2


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar as received. Prices in the quotation currency, NaN for null."""

    session: dt.date
    open: float
    high: float
    low: float
    close: float
    volume: float

    @property
    def is_empty(self) -> bool:
        """No price at all."""
        return all(math.isnan(value) for value in (self.open, self.high, self.low, self.close))


@dataclass(frozen=True, slots=True)
class Payment:
    """A dividend or capital gain, per share as of today; `currency` empty when the event does not say."""

    session: dt.date
    amount: float
    currency: str


@dataclass(frozen=True, slots=True)
class Chart:
    """One body. `bars`: ascending, without null, live and running ones. `reaches_present`: whether all later splits are in it."""

    meta: Json
    currency: str
    bars: tuple[Bar, ...]
    splits: Mapping[dt.date, float]
    dividends: tuple[Payment, ...]
    gains: tuple[Payment, ...]
    reaches_present: bool
    adjusted_closes: Mapping[dt.date, tuple[float, float]]

    def undo(self, session: dt.date) -> float:
        """The factor that undoes the splits after a session in its prices; 1 in a body that does not reach the present."""
        later = (self.splits[day] for day in sorted(self.splits) if day > session) if self.reaches_present else ()
        return math.prod(later)


def read_chart(provider: str, content: bytes, listing: Listing) -> Chart:
    """The body of one listing. Raises ProviderError when it is an error, of another symbol, currency, exchange or shape."""
    chart = read_json(provider, content)
    if "chart" not in chart.fields():
        said = next((inner for _, inner in chart.members()), chart)
        raise _refusal(provider, said) or chart.wrong("a chart")
    chart = chart.get("chart")
    error = _refusal(provider, chart)
    if error is not None:
        raise error
    results = chart.get("result").rows()
    if len(results) != 1:
        raise ProviderError(f"{provider}: expected one result for {listing.symbol}, found {len(results)}")
    result = results[0]
    meta = result.get("meta")
    _same_listing(meta, listing)
    currency = agreed_currency(provider, listing.currency, meta.get("currency").text())
    zone = ZoneInfo(VENUES[listing.mic].timezone)
    return _chart(result, meta, currency, zone, listing)


def _refusal(provider: str, node: Json) -> ProviderError | None:
    error = node.maybe("error") if isinstance(node.value, dict) else None
    if error is None:
        return None
    said = [str(error.fields().get(name, ""))[:80] for name in ("code", "description")]
    return ProviderError(f"{provider}: expected data, found the error {': '.join(said)!a}")


def _same_listing(meta: Json, listing: Listing) -> None:
    symbol = meta.get("symbol").text()
    if symbol != listing.symbol:
        raise meta.get("symbol").wrong(f"the symbol {listing.symbol} as asked")
    venue = VENUES[listing.mic]
    if meta.get("exchangeTimezoneName").text() != venue.timezone:
        raise meta.get("exchangeTimezoneName").wrong(f"the time zone {venue.timezone} of {listing.mic}")
    if meta.get("dataGranularity").text() != "1d":
        raise meta.get("dataGranularity").wrong("daily bars, 1d")


def _chart(result: Json, meta: Json, currency: str, zone: ZoneInfo, listing: Listing) -> Chart:
    stamps = [stamp.seconds() for stamp in result.get("timestamp").rows()] if result.maybe("timestamp") else []
    days = [_day(stamp, zone) for stamp in stamps]
    quoted = _quotes(result, len(stamps))
    traded_at = meta.get("regularMarketTime").seconds()
    bars = [Bar(day, *(quoted[name][n] for name in BAR_FIELDS)) for n, day in enumerate(days)]
    splits, dividends, gains = _events(result, zone)
    last = days[-1] if days else None
    reaches = last is not None and last >= _day(traded_at, zone)
    if reaches and any(day > last for day in splits if last is not None):
        raise result.wrong("no split after the last bar: whether the bars know of it cannot be told")
    kept = _one_per_session(result, bars, stamps, traded_at)
    return Chart(
        meta=meta,
        currency=currency,
        bars=tuple(bar for bar in kept if not bar.is_empty and _is_finished(bar.session, traded_at, zone, listing)),
        splits=splits,
        dividends=dividends,
        gains=gains,
        reaches_present=reaches,
        adjusted_closes=_adjusted(result, days, quoted["close"]),
    )


def _day(stamp: int, zone: ZoneInfo) -> dt.date:
    return dt.datetime.fromtimestamp(stamp, zone).date()


def _quotes(result: Json, length: int) -> dict[str, list[float]]:
    quotes = result.get("indicators").get("quote").rows()
    if len(quotes) != 1:
        raise result.get("indicators").get("quote").wrong("one set of quotes")
    if length == 0 and not quotes[0].fields():
        return {name: [] for name in BAR_FIELDS}
    return {name: quotes[0].get(name).numbers(length) for name in BAR_FIELDS}


def _adjusted(result: Json, days: list[dt.date], closes: list[float]) -> dict[dt.date, tuple[float, float]]:
    """Session -> (close, adjusted close), where both are there."""
    series = result.get("indicators").maybe("adjclose")
    if series is None or len(series.rows()) != 1 or not series.rows()[0].fields():
        return {}
    adjusted = series.rows()[0].get("adjclose").numbers(len(days))
    pairs = zip(days, closes, adjusted, strict=True)
    return {day: (close, adj) for day, close, adj in pairs if close > 0 and adj > 0}


def _one_per_session(result: Json, bars: list[Bar], stamps: list[int], traded_at: int) -> list[Bar]:
    """Bars of ascending sessions; of the last two of one session the live copy falls away, unless the other one is empty."""
    if len(bars) >= 2 and bars[-1].session == bars[-2].session and stamps[-1] == traded_at:
        bars = [*bars[:-2], bars[-1] if bars[-2].is_empty else bars[-2]]
    for n, (before, after) in enumerate(itertools.pairwise(bars), start=1):
        if after.session <= before.session:
            raise ProviderError(
                f"{result.provider}: {result.place}.timestamp[{n}]: expected a session after {before.session}, "
                f"found {after.session}"
            )
    return bars


def _is_finished(session: dt.date, traded_at: int, zone: ZoneInfo, listing: Listing) -> bool:
    traded_on = _day(traded_at, zone)
    if session != traded_on:
        return session < traded_on
    return dt.datetime.fromtimestamp(traded_at, dt.UTC) >= listing.close_at(session) - FINISHED_WITHIN


def _events(result: Json, zone: ZoneInfo) -> tuple[dict[dt.date, float], tuple[Payment, ...], tuple[Payment, ...]]:
    events = result.maybe("events")
    if events is None:
        return {}, (), ()
    for name, node in events.members():
        if name not in _EVENTS:
            raise node.wrong(f"events among {', '.join(sorted(_EVENTS))}")
    splits: dict[dt.date, float] = {}
    for day, event in _dated(events, "splits", zone):
        if day in splits:
            raise event.wrong("one split per session")
        splits[day] = event.get("numerator").positive() / event.get("denominator").positive()
        if not 1 / RATIO_MAX <= math.prod(splits.values()) <= RATIO_MAX:
            raise event.wrong("splits of a sane size")
    return splits, _payments(events, "dividends", zone), _payments(events, "capitalGains", zone)


def _dated(events: Json, name: str, zone: ZoneInfo) -> Iterator[tuple[dt.date, Json]]:
    found = events.maybe(name)
    for _, event in found.members() if found is not None else ():
        yield _day(event.get("date").seconds(), zone), event


def _payments(events: Json, name: str, zone: ZoneInfo) -> tuple[Payment, ...]:
    paid: dict[dt.date, Payment] = {}
    for day, event in _dated(events, name, zone):
        if day in paid:
            raise event.wrong(f"one entry of {name} per session")
        said = event.maybe("currency")
        paid[day] = Payment(day, event.get("amount").positive(), said.text() if said else "")
    return tuple(paid[day] for day in sorted(paid))


def dividend_in_chart_units(chart: Chart, paid: Payment) -> bool:
    """Whether a dividend is per share of today, like the bars, as far as the body can tell: False only when `adjclose` denies it.

    The adjusted close falls behind the close by the factor 1 - amount / close of the session before.
    """
    days = sorted(chart.adjusted_closes)
    before = [day for day in days if day < paid.session]
    after = [day for day in days if day >= paid.session]
    if not before or not after:
        return True
    close, adjusted = chart.adjusted_closes[before[-1]]
    ex_close, ex_adjusted = chart.adjusted_closes[after[0]]
    implied = close * (1.0 - (adjusted / close) / (ex_adjusted / ex_close))
    return abs(implied - paid.amount) <= _DIVIDEND_TOLERANCE * paid.amount
