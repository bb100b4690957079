"""Tiingo's descriptions of US listings: the head of one ticker, and the file of all supported tickers. Pure.

Neither tells everything. The head of a ticker has its name but not whether it is a share or a fund: it serves listings whose
`kind` was told (`Subject.more`). The file has kind and currency but no name: it serves listings whose `name` was told. Both
know the first date; the last date of prices is no delisting, which is left to corporate actions. Trading units are as told,
or the exchange's (`venues.py`); country is the exchange's; sector is empty (FUND for funds); issuer is the name. known_at:
the end of the window.
"""

import csv
import datetime as dt
import io
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence

from marketbot_resources.errors import ProviderError
from marketbot_resources.market.question import Listing, Question, listing_of, lot_and_tick
from marketbot_resources.market.tiingo import ADDRESS, CURRENCY, KEY, NAME, covered
from marketbot_resources.market.vendor_json import SIZE_MAX, Json, read_json, shown, text_of
from marketbot_resources.market.vendor_rows import InstrumentRow, agreed_currency, columns
from marketbot_resources.market.venues import VENUES
from marketbot_resources.provider import Columns, Request, Response, Subject, Window

FILE_ADDRESS = "https://apimedia.tiingo.com/docs/tiingo/daily/supported_tickers.zip"
_MEMBER = "supported_tickers.csv"
_HEADER = ["ticker", "exchange", "assetType", "priceCurrency", "startDate", "endDate"]
_EXCHANGES = {
    "NYSE": "XNYS",
    "NASDAQ": "XNAS",
    "NYSE ARCA": "ARCX",
    "NYSE MKT": "XASE",
    "AMEX": "XASE",
    "BATS": "BATS",
}
_KINDS = {"Stock": "EQUITY", "ETF": "FUND", "Mutual Fund": "FUND"}


def _row(listing: Listing, question: Question, kind: str, name: str, listed_on: dt.date) -> InstrumentRow:
    units = lot_and_tick(Subject(listing.source_id, listing.mic, more=dict(listing.more)))
    if units is None or kind not in ("EQUITY", "FUND"):
        raise ProviderError(f"{NAME}: expected kind and units of {listing.symbol} to be told, found {shown(kind)}")
    return InstrumentRow(
        source_id=listing.source_id,
        ticker=listing.ticker,
        name=name,
        mic=listing.mic,
        currency=CURRENCY,
        country=VENUES[listing.mic].country,
        sector="FUND" if kind == "FUND" else "",
        kind=kind,
        issuer=name,
        quantity_step=units[0],
        tick_size=units[1],
        listed_on=listed_on,
        delisted_on=None,
        shares_outstanding=None,
        known_at=question.until,
    )


class TiingoHead:
    """raw_instruments from the head of each ticker, for listings whose `kind` was told."""

    name = NAME
    table = "raw_instruments"
    parser = "tiingo-head/1"

    def requests(self, subjects: Sequence[Subject], window: Window) -> Sequence[tuple[tuple[Subject, ...], Request]]:
        """One request per listing."""
        found = []
        for subject in subjects:
            symbol = covered(subject)
            if symbol is not None and subject.more.get("kind") in ("EQUITY", "FUND"):
                asked = Question(NAME, (listing_of(subject, symbol),), window.since, window.until).asked()
                found.append(((subject,), Request(ADDRESS + symbol, asked=asked, secret_params={"token": KEY})))
        return found

    def following(self, request: Request, response: Response) -> Request | None:
        """There is one page."""
        return None

    def parse(self, content: bytes, asked: Mapping[str, str]) -> Columns:
        """One row."""
        question = Question.read(NAME, asked)
        listing = question.only
        body = read_json(NAME, content)
        said = body.maybe("detail")
        if said is not None:
            raise said.wrong("a description instead of this message")
        if body.get("ticker").text().upper() != listing.symbol:
            raise body.get("ticker").wrong(f"{listing.symbol} as asked")
        if _EXCHANGES.get(body.get("exchangeCode").text()) != listing.mic:
            raise body.get("exchangeCode").wrong(f"the exchange {listing.mic} as asked")
        row = _row(listing, question, listing.told("kind"), body.get("name").name(), body.get("startDate").day())
        return columns(NAME, InstrumentRow, [row])


class TiingoFile:
    """raw_instruments from the file of all tickers, for listings whose `name` was told. One request for all."""

    name = NAME
    table = "raw_instruments"
    parser = "tiingo-tickers/1"

    def requests(self, subjects: Sequence[Subject], window: Window) -> Sequence[tuple[tuple[Subject, ...], Request]]:
        """One request for all listings; the file needs no key."""
        pairs = [(subject, covered(subject)) for subject in subjects if subject.more.get("name")]
        served = [(subject, symbol) for subject, symbol in pairs if symbol is not None]
        if not served:
            return []
        listings = tuple(listing_of(subject, symbol) for subject, symbol in served)
        asked = Question(NAME, listings, window.since, window.until).asked()
        return [(tuple(subject for subject, _ in served), Request(FILE_ADDRESS, asked=asked))]

    def following(self, request: Request, response: Response) -> Request | None:
        """There is one page."""
        return None

    def parse(self, content: bytes, asked: Mapping[str, str]) -> Columns:
        """One row per listing that the file has on its exchange; of a re-used ticker the line with the latest prices."""
        question = Question.read(NAME, asked)
        latest: dict[tuple[str, str], dict[str, str]] = {}
        wanted = {(listing.symbol, listing.mic) for listing in question.listings}
        for line in _lines(content):
            key = (line["ticker"].upper(), _EXCHANGES.get(line["exchange"], ""))
            if key in wanted and line["startDate"] and line["endDate"]:
                if key not in latest or latest[key]["endDate"] < line["endDate"]:
                    latest[key] = line
        rows = []
        for listing in question.listings:
            line = latest.get((listing.symbol, listing.mic), {})
            if line:
                agreed_currency(NAME, CURRENCY, line["priceCurrency"])
                kind = _KINDS.get(line["assetType"], line["assetType"])
                began = Json(line["startDate"], NAME, f"{_MEMBER}: {listing.symbol}: startDate").day()
                name = Json(listing.told("name"), NAME, f"the name told of {listing.symbol}").name()
                rows.append(_row(listing, question, kind, name, began))
        return columns(NAME, InstrumentRow, rows)


def _lines(content: bytes) -> list[dict[str, str]]:
    """Lines of the file. Raises ProviderError for what is no zip of one sane CSV with the known header."""
    if len(content) > SIZE_MAX:
        raise ProviderError(f"{NAME}: expected at most {SIZE_MAX} bytes, found {len(content)}")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if archive.namelist() != [_MEMBER]:
                raise ProviderError(f"{NAME}: expected a zip of {_MEMBER}, found {shown(str(archive.namelist()[:3]))}")
            with archive.open(_MEMBER) as member:
                data = member.read(SIZE_MAX + 1)
    except (
        zipfile.BadZipFile,
        zlib.error,
        struct.error,
        OSError,
        EOFError,
        RuntimeError,
        ValueError,
        OverflowError,
    ) as error:
        raise ProviderError(f"{NAME}: expected a readable zip, found {shown(str(error))}") from error
    try:
        table = list(csv.reader(io.StringIO(text_of(NAME, data), newline=""), strict=True))
    except csv.Error as error:
        raise ProviderError(f"{NAME}: {_MEMBER}: expected CSV, found {shown(str(error))}") from error
    if not table or table[0] != _HEADER:
        raise ProviderError(
            f"{NAME}: {_MEMBER}: expected the columns {', '.join(_HEADER)}, found {shown(str(table[:1]))}"
        )
    for n, cells in enumerate(table[1:], start=1):
        if len(cells) != len(_HEADER):
            raise ProviderError(f"{NAME}: {_MEMBER}: row {n}: expected {len(_HEADER)} cells, found {len(cells)}")
    return [dict(zip(_HEADER, cells, strict=True)) for cells in table[1:]]


VENDORS = (TiingoHead(), TiingoFile())
