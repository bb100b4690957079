"""Alpaca's description of a US listing. Pure.

Alpaca tells name, exchange and state, but neither whether a listing is a share or a fund, nor its first session: it serves
listings whose `kind` and `listed_on` were told (`Subject.more`). Units are as told or the exchange's (`venues.py`), country
is the exchange's, sector is empty (FUND for funds), issuer is the name. known_at: the end of the window.
"""

from collections.abc import Mapping, Sequence

from marketbot_resources.errors import ProviderError
from marketbot_resources.market.alpaca import CURRENCY, HEADERS, NAME, covered, read_body
from marketbot_resources.market.question import Question, listing_of, lot_and_tick
from marketbot_resources.market.vendor_json import Json
from marketbot_resources.market.vendor_rows import InstrumentRow, columns
from marketbot_resources.market.venues import VENUES
from marketbot_resources.provider import Columns, Request, Response, Subject, Window

ADDRESS = "https://paper-api.alpaca.markets/v2/assets/"
_EXCHANGES = {"NYSE": "XNYS", "NASDAQ": "XNAS", "ARCA": "ARCX", "AMEX": "XASE", "BATS": "BATS"}
_KINDS = ("EQUITY", "FUND")


class AlpacaInstruments:
    """raw_instruments, one request per listing. `address`: of the paper or the live account, whose keys are used."""

    name = NAME
    table = "raw_instruments"
    parser = "alpaca-assets/1"

    def __init__(self, address: str = ADDRESS) -> None:
        self._address = address

    def requests(self, subjects: Sequence[Subject], window: Window) -> Sequence[tuple[tuple[Subject, ...], Request]]:
        """One request per listing whose `kind` and `listed_on` were told."""
        found = []
        for subject in subjects:
            symbol = covered(subject)
            if symbol is not None and subject.more.get("kind") in _KINDS and subject.more.get("listed_on"):
                asked = Question(NAME, (listing_of(subject, symbol),), window.since, window.until).asked()
                found.append(((subject,), Request(self._address + symbol, asked=asked, secret_headers=HEADERS)))
        return found

    def following(self, request: Request, response: Response) -> Request | None:
        """There is one page."""
        return None

    def parse(self, content: bytes, asked: Mapping[str, str]) -> Columns:
        """One row. Raises ProviderError for another symbol, exchange or class, or a listing that is not active."""
        question = Question.read(NAME, asked)
        listing, body = question.only, read_body(content)
        for field, expected in (("symbol", listing.symbol), ("class", "us_equity"), ("status", "active")):
            if body.get(field).text() != expected:
                raise body.get(field).wrong(expected)
        if _EXCHANGES.get(body.get("exchange").text()) != listing.mic:
            raise body.get("exchange").wrong(f"the exchange {listing.mic} as asked")
        units = lot_and_tick(Subject(listing.source_id, listing.mic, more=dict(listing.more)))
        kind = listing.told("kind")
        if units is None or kind not in _KINDS:
            raise ProviderError(f"{NAME}: expected kind and units of {listing.symbol} to be told, found neither")
        name = body.get("name").name()
        row = InstrumentRow(
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
            listed_on=Json(listing.told("listed_on"), NAME, f"the first session told of {listing.symbol}").day(),
            delisted_on=None,
            shares_outstanding=None,
            known_at=question.until,
        )
        return columns(NAME, InstrumentRow, [row])


VENDORS = (AlpacaInstruments(),)
