"""Yahoo's chart service: daily bars, dividends and splits, and the description of a listing, all from one GET. Pure.

The three vendors ask for the same address, so that one answer serves them. Units: prices in the quotation currency that the
body names (GBp is served as GBX), volume in shares. known_at: a bar DELAY after its session's close; an event at the open of
its ex session, because Yahoo does not tell when it was announced, so nobody here knows a split or dividend earlier. See
`yahoo_chart.py` for how bodies are read, and `question.py` for windows.

Short of the exchange's own words: a listing whose last trade of the day comes well before the close keeps its last bar to
itself until it trades again, because the body does not tell when it was made.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from urllib.parse import quote
from zoneinfo import ZoneInfo

from marketbot_resources.errors import ProviderError
from marketbot_resources.market.question import Question, first_date, listing_of, local_instant, lot_and_tick
from marketbot_resources.market.symbols import yahoo_symbol
from marketbot_resources.market.vendor_rows import (
    CASH_DIVIDEND,
    SPECIAL_DIVIDEND,
    SPLIT,
    ActionRow,
    BarRow,
    InstrumentRow,
    bar_row,
    columns,
    quotation_currency,
)
from marketbot_resources.market.venues import VENUES
from marketbot_resources.market.yahoo_chart import Bar, Chart, Payment, dividend_in_chart_units, read_chart
from marketbot_resources.provider import Columns, Request, Response, Subject, Window

NAME = "yahoo"
DELAY = dt.timedelta(minutes=15)
ADDRESS = "https://query2.finance.yahoo.com/v8/finance/chart/"
PRESENT = 9_999_999_999
_KINDS = {"EQUITY": "EQUITY", "ETF": "FUND", "MUTUALFUND": "FUND"}


class _YahooChart:
    """What the three tables have in common: one GET per listing, no pages."""

    name = NAME

    def requests(self, subjects: Sequence[Subject], window: Window) -> Sequence[tuple[tuple[Subject, ...], Request]]:
        """One request per listing whose exchange Yahoo covers, from the overlap to the present."""
        found = []
        for subject in subjects:
            symbol = yahoo_symbol(subject.mic, subject.ticker)
            if symbol is None or not self._covers(subject):
                continue
            first = local_instant(subject.mic, first_date(window, [subject.mic], subject.source_id), 0)
            asked = Question(NAME, (listing_of(subject, symbol),), window.since, window.until).asked()
            params = {
                "period1": str(int(first.timestamp())),
                "period2": str(PRESENT),
                "interval": "1d",
                "includePrePost": "false",
                "events": "div,splits,capitalGains",
            }
            found.append(((subject,), Request(ADDRESS + quote(symbol, safe=""), params, asked=asked)))
        return found

    def following(self, request: Request, response: Response) -> Request | None:
        """There is one page."""
        return None

    def _covers(self, subject: Subject) -> bool:
        return True


class YahooPrices(_YahooChart):
    """raw_prices: unadjusted bars, or bars marked `close_adjusted_by_source` where the body cannot be undone."""

    table = "raw_prices"
    parser = "yahoo-chart-prices/1"

    def parse(self, content: bytes, asked: Mapping[str, str]) -> Columns:
        """Finished bars. Raises ProviderError when there is none: a window always reaches back over several sessions."""
        question = Question.read(NAME, asked)
        listing = question.only
        chart = read_chart(NAME, content, listing)
        if not chart.bars:
            raise ProviderError(f"{NAME}: expected finished bars of {listing.symbol}, found none")
        rows = []
        for bar in chart.bars:
            known_at = question.known_at(listing.close_at(bar.session) + DELAY)
            if known_at is not None:
                rows.append(_bar_row(listing.source_id, chart, bar, known_at))
        return columns(NAME, BarRow, rows)


def _bar_row(source_id: str, chart: Chart, bar: Bar, known_at: dt.datetime) -> BarRow:
    undo = chart.undo(bar.session)
    values = (bar.open * undo, bar.high * undo, bar.low * undo, bar.close * undo, bar.volume / undo)
    adjusted = not chart.reaches_present
    return bar_row(source_id, bar.session, values, currency=chart.currency, adjusted=adjusted, known_at=known_at)


class YahooActions(_YahooChart):
    """raw_corporate_actions: splits, dividends, and capital gains of funds as SPECIAL_DIVIDEND."""

    table = "raw_corporate_actions"
    parser = "yahoo-chart-actions/1"

    def parse(self, content: bytes, asked: Mapping[str, str]) -> Columns:
        """Events. Raises ProviderError when a payment's unit is unclear: later splits may be missing, or `adjclose` denies it."""
        question = Question.read(NAME, asked)
        listing = question.only
        chart = read_chart(NAME, content, listing)
        events = [(day, SPLIT, 0.0, ratio, chart.currency) for day, ratio in sorted(chart.splits.items())]
        for kind, payments in ((CASH_DIVIDEND, chart.dividends), (SPECIAL_DIVIDEND, chart.gains)):
            for paid in payments:
                currency = quotation_currency(paid.currency) or chart.currency
                events.append((paid.session, kind, _amount(chart, paid, kind), 1.0, currency))
        rows = []
        for day, kind, amount, ratio, currency in events:
            known_at = question.known_at(listing.open_at(day))
            if known_at is not None:
                rows.append(
                    ActionRow(
                        source_id=listing.source_id,
                        ex_session=day,
                        kind=kind,
                        amount=amount,
                        ratio=ratio,
                        currency=currency,
                        known_at=known_at,
                    )
                )
        return columns(NAME, ActionRow, rows)


def _amount(chart: Chart, paid: Payment, kind: str) -> float:
    if not chart.reaches_present:
        raise ProviderError(
            f"{NAME}: expected a body that reaches its last trade, found one that ends before: "
            f"the unit of the payment of {paid.session} is unclear"
        )
    undo = chart.undo(paid.session)
    if undo != 1.0 and kind == CASH_DIVIDEND and not dividend_in_chart_units(chart, paid):
        raise ProviderError(
            f"{NAME}: expected the dividend of {paid.session} to agree with adjclose, found {paid.amount}"
        )
    return paid.amount * undo


class YahooInstruments(_YahooChart):
    """raw_instruments: what the chart's head tells of a listing.

    Yahoo tells no country, sector, issuer or trading unit here: country is the exchange's, sector empty (FUND for funds), issuer
    the long name, units as told or the exchange's (`venues.py`); listings in Hong Kong are served only when the lot was told.
    """

    table = "raw_instruments"
    parser = "yahoo-chart-instruments/1"

    def _covers(self, subject: Subject) -> bool:
        return lot_and_tick(subject) is not None

    def parse(self, content: bytes, asked: Mapping[str, str]) -> Columns:
        """One row, known at the end of the window."""
        question = Question.read(NAME, asked)
        listing = question.only
        chart = read_chart(NAME, content, listing)
        meta, venue = chart.meta, VENUES[listing.mic]
        code = meta.get("exchangeName").text()
        if code not in venue.yahoo_codes:
            raise meta.get("exchangeName").wrong(f"{' or '.join(venue.yahoo_codes)} for {listing.mic}")
        kind = _KINDS.get(meta.get("instrumentType").text())
        if kind is None:
            raise meta.get("instrumentType").wrong(f"one of {', '.join(sorted(_KINDS))}")
        units = lot_and_tick(Subject(listing.source_id, listing.mic, more=dict(listing.more)))
        if units is None:
            raise ProviderError(f"{NAME}: expected the lot of {listing.symbol} to be told, found nothing")
        name = (meta.maybe("longName") or meta.get("shortName")).name()
        row = InstrumentRow(
            source_id=listing.source_id,
            ticker=listing.ticker,
            name=name,
            mic=listing.mic,
            currency=chart.currency,
            country=venue.country,
            sector="FUND" if kind == "FUND" else "",
            kind=kind,
            issuer=name,
            quantity_step=units[0],
            tick_size=units[1],
            listed_on=_first_trade(chart, listing.mic),
            delisted_on=None,
            shares_outstanding=None,
            known_at=question.until,
        )
        return columns(NAME, InstrumentRow, [row])


def _first_trade(chart: Chart, mic: str) -> dt.date:
    return dt.datetime.fromtimestamp(chart.meta.get("firstTradeDate").seconds(), ZoneInfo(VENUES[mic].timezone)).date()


VENDORS = (YahooPrices(), YahooActions(), YahooInstruments())
