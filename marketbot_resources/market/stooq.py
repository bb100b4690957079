"""Stooq's daily CSV: bars as a last resort. Pure.

The body tells neither symbol nor currency nor adjustment, and Stooq adjusts its US history for splits and dividends: every
row is marked `close_adjusted_by_source`, and only listings whose quotation currency is known are asked for. Errors arrive as
short texts with status 200. Units: prices in the currency asked, volume in shares, missing where the file leaves it out.
known_at: DELAY after the close; Stooq does not say when a day's file is complete, so this is cautious. There are no corporate
actions and descriptions.
"""

import csv
import datetime as dt
import io
from collections.abc import Mapping, Sequence

from marketbot_resources.errors import ProviderError
from marketbot_resources.market.question import Question, first_date, listing_of
from marketbot_resources.market.symbols import stooq_symbol
from marketbot_resources.market.vendor_json import NAN, Json, decimal_number, shown, text_of, words
from marketbot_resources.market.vendor_rows import BarRow, bar_row, columns, quotation_currency
from marketbot_resources.provider import Columns, Request, Response, Subject, Window

NAME = "stooq"
DELAY = dt.timedelta(hours=6)
ADDRESS = "https://stooq.com/q/d/l/"
_HEADER = ["Date", "Open", "High", "Low", "Close", "Volume"]


class StooqPrices:
    """raw_prices: bars adjusted by the source."""

    name = NAME
    table = "raw_prices"
    parser = "stooq-daily-prices/1"

    def requests(self, subjects: Sequence[Subject], window: Window) -> Sequence[tuple[tuple[Subject, ...], Request]]:
        """One request per listing of a covered exchange with a known currency, from the overlap to the end of the window."""
        found = []
        for subject in subjects:
            symbol = stooq_symbol(subject.mic, subject.ticker)
            if symbol is None or not subject.currency:
                continue
            first = first_date(window, [subject.mic], subject.source_id)
            params = {"s": symbol, "d1": f"{first:%Y%m%d}", "d2": f"{window.until:%Y%m%d}", "i": "d"}
            asked = Question(NAME, (listing_of(subject, symbol),), window.since, window.until).asked()
            found.append(((subject,), Request(ADDRESS, params, asked=asked)))
        return found

    def following(self, request: Request, response: Response) -> Request | None:
        """There is one page."""
        return None

    def parse(self, content: bytes, asked: Mapping[str, str]) -> Columns:
        """Bars. Raises ProviderError for a message instead of a table."""
        question = Question.read(NAME, asked)
        listing = question.only
        if not listing.currency:
            raise ProviderError(f"{NAME}: expected the currency of {listing.symbol} in what was asked, found none")
        currency, rows = quotation_currency(listing.currency), []
        for session, values in _days(content):
            known_at = question.known_at(listing.close_at(session) + DELAY)
            if known_at is not None:
                rows.append(
                    bar_row(listing.source_id, session, values, currency=currency, adjusted=True, known_at=known_at)
                )
        return columns(NAME, BarRow, rows)


def _days(content: bytes) -> list[tuple[dt.date, list[float]]]:
    """(session, open, high, low, close, volume) ascending; volume NaN where the file has no such column."""
    try:
        table = list(csv.reader(io.StringIO(text_of(NAME, content), newline=""), strict=True))
    except csv.Error as error:
        raise ProviderError(f"{NAME}: expected CSV, found {shown(str(error))}") from error
    if not table or table[0] not in (_HEADER, _HEADER[:5]):
        raise ProviderError(f"{NAME}: expected the columns {', '.join(_HEADER)}, found: {words(content)}")
    found: list[tuple[dt.date, list[float]]] = []
    for n, cells in enumerate(table[1:], start=1):
        if len(cells) != len(table[0]):
            raise ProviderError(f"{NAME}: row {n}: expected {len(table[0])} cells, found {len(cells)}")
        session = Json(cells[0], NAME, f"row {n}: Date").day()
        if found and not session > found[-1][0]:
            raise ProviderError(f"{NAME}: row {n}: Date: expected a session after {found[-1][0]}, found {session}")
        found.append(
            (session, [_number(n, _HEADER[k], cell) for k, cell in enumerate(cells) if k] + [NAN] * (6 - len(cells)))
        )
    if not found:
        raise ProviderError(f"{NAME}: expected daily prices, found only the header")
    return found


def _number(row: int, column: str, cell: str) -> float:
    """A cell; an empty one is missing."""
    value = NAN if cell == "" else decimal_number(cell)
    if value is None:
        raise ProviderError(f"{NAME}: row {row}: {column}: expected a number, found {shown(cell)}")
    return value


VENDORS = (StooqPrices(),)
