"""Tiingo's end-of-day service for US listings: bars, dividends and splits, and the description of a listing. Pure.

Bars are taken from the raw fields (`open`, `close`, ...), never from the adjusted ones beside them. Units: US dollars,
shares. The body of prices names neither symbol nor currency: only the address ties it to a listing. known_at: bars at
READY_HOUR New York on their session (Tiingo publishes end-of-day prices in the evening); `divCash` and `splitFactor` of the
ex session at its open, because Tiingo does not tell when they were announced. Special dividends are not told apart. See
`question.py` for windows.
"""

import datetime as dt
import itertools
import re
from collections.abc import Mapping, Sequence

from marketbot_resources.errors import ProviderError
from marketbot_resources.market.question import Question, first_date, listing_of, local_instant
from marketbot_resources.market.symbols import tiingo_symbol
from marketbot_resources.market.vendor_json import Json, read_json
from marketbot_resources.market.vendor_rows import BAR_FIELDS, CASH_DIVIDEND, SPLIT, ActionRow, BarRow, bar_row, columns
from marketbot_resources.provider import Columns, Request, Response, Subject, Window

NAME = "tiingo"
READY_HOUR = 20
ADDRESS = "https://api.tiingo.com/tiingo/daily/"
KEY = "TIINGO_API_KEY"
CURRENCY = "USD"
_MIDNIGHT = re.compile(r"T00:00:00(?:\.0+)?(?:Z|\+00:00)\Z")


def covered(subject: Subject) -> str | None:
    """Tiingo's symbol of a listing, None when it is not one of the US or not quoted in dollars."""
    return tiingo_symbol(subject.mic, subject.ticker) if subject.currency in ("", CURRENCY) else None


class _TiingoDaily:
    """What prices and actions have in common: one GET per listing, no pages."""

    name = NAME

    def requests(self, subjects: Sequence[Subject], window: Window) -> Sequence[tuple[tuple[Subject, ...], Request]]:
        """One request per US listing, from the overlap to the end of the window."""
        found = []
        for subject in subjects:
            symbol = covered(subject)
            if symbol is None:
                continue
            params = {
                "startDate": first_date(window, [subject.mic], subject.source_id).isoformat(),
                "endDate": window.until.date().isoformat(),
                "format": "json",
                "resampleFreq": "daily",
            }
            asked = Question(NAME, (listing_of(subject, symbol),), window.since, window.until).asked()
            request = Request(f"{ADDRESS}{symbol}/prices", params, asked=asked, secret_params={"token": KEY})
            found.append(((subject,), request))
        return found

    def following(self, request: Request, response: Response) -> Request | None:
        """There is one page."""
        return None


def _days(content: bytes) -> list[tuple[dt.date, Json]]:
    """Rows by session, ascending. Raises ProviderError for an error body or another order."""
    body = read_json(NAME, content)
    said = body.maybe("detail") if isinstance(body.value, dict) else None
    if said is not None:
        raise said.wrong("prices instead of this message")
    rows = [(_session(row.get("date")), row) for row in body.rows()]
    if not rows:
        raise ProviderError(f"{NAME}: expected daily prices, found none")
    for (before, _), (after, row) in itertools.pairwise(rows):
        if not after > before:
            raise row.get("date").wrong(f"a session after {before}")
    return rows


def _session(node: Json) -> dt.date:
    text = node.text()
    if not _MIDNIGHT.search(text):
        raise node.wrong("a date at midnight UTC")
    return Json(text[:10], node.provider, node.place).day()


class TiingoPrices(_TiingoDaily):
    """raw_prices: unadjusted bars."""

    table = "raw_prices"
    parser = "tiingo-daily-prices/1"

    def parse(self, content: bytes, asked: Mapping[str, str]) -> Columns:
        """Bars; a null price stays missing."""
        question = Question.read(NAME, asked)
        listing = question.only
        rows = []
        for session, row in _days(content):
            values = [row.get(name).number_or_missing() for name in BAR_FIELDS]
            row.get("adjClose").number_or_missing()  # its absence means that `close` may be another thing
            known_at = question.known_at(local_instant(listing.mic, session, READY_HOUR))
            if known_at is not None:
                rows.append(
                    bar_row(listing.source_id, session, values, currency=CURRENCY, adjusted=False, known_at=known_at)
                )
        return columns(NAME, BarRow, rows)


class TiingoActions(_TiingoDaily):
    """raw_corporate_actions: cash per share and splits of the rows' dates."""

    table = "raw_corporate_actions"
    parser = "tiingo-daily-actions/1"

    def parse(self, content: bytes, asked: Mapping[str, str]) -> Columns:
        """Rows with cash, and rows with a factor other than one."""
        question = Question.read(NAME, asked)
        listing = question.only
        rows = []
        for session, row in _days(content):
            cash, factor = row.get("divCash"), row.get("splitFactor").positive()
            if not cash.number() >= 0:
                raise cash.wrong("cash per share, not negative")
            known_at = question.known_at(listing.open_at(session))
            events = ((CASH_DIVIDEND, cash.number(), 1.0), (SPLIT, 0.0, factor))
            for kind, amount, ratio in events if known_at is not None else ():
                if amount > 0 or ratio != 1.0:
                    rows.append(
                        ActionRow(
                            source_id=listing.source_id,
                            ex_session=session,
                            kind=kind,
                            amount=amount,
                            ratio=ratio,
                            currency=CURRENCY,
                            known_at=known_at or question.until,
                        )
                    )
        return columns(NAME, ActionRow, rows)


VENDORS = (TiingoPrices(), TiingoActions())
