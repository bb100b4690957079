"""Alpaca's corporate actions of US listings, one listing per request. Pure.

One listing per request, because an answer without events must count as an answer for it. `start` and `end` are taken as
bounds of the process date, which for dividends is the day of payment: the recorded dividend of FCF has ex date 2023-05-04 and
process date 2023-05-19. So requests reach LOOKAHEAD beyond the window; what is not yet known by the rule below is not served.

known_at: the earliest of the ends of `declaration_date` and `process_date` in New York, where the body has them, and the open
of the ex session; nothing is known earlier than that. Mergers, renames and removals take effect on `effective_date`, else
`process_date`; a date without a session counts for the next one. Amounts are US dollars per old share, ratios new per old
share.

What has no kind of its own: a stock dividend is a split; a rights distribution a spin-off; a unit split a merger into the new
symbol; a redemption a delisting. The value of what is distributed is never told: NaN.
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from marketbot_resources.market.alpaca import CURRENCY, HEADERS, NAME, covered, next_page, read_body
from marketbot_resources.market.question import Listing, Question, first_date, listing_of, local_instant
from marketbot_resources.market.vendor_json import NAN, Json
from marketbot_resources.market.vendor_rows import (
    CASH_DIVIDEND,
    DELISTING,
    MERGER,
    RENAME,
    SPECIAL_DIVIDEND,
    SPIN_OFF,
    SPLIT,
    ActionRow,
    columns,
)
from marketbot_resources.provider import Columns, Request, Response, Subject, Window

ADDRESS = "https://data.alpaca.markets/v1/corporate-actions"
LOOKAHEAD = dt.timedelta(days=90)
_DAY = dt.timedelta(days=1)
_SYMBOLS = (
    "symbol",
    "old_symbol",
    "new_symbol",
    "source_symbol",
    "acquiree_symbol",
    "acquirer_symbol",
    "alternate_symbol",
)


@dataclass(frozen=True, slots=True)
class Event:
    """What one entry of one group says. `symbol`: whose holders it concerns; `other`: the counterpart's symbol or a reason."""

    symbol: str
    kind: str
    amount: float
    ratio: float
    other: str = ""


def _rate(node: Json, name: str) -> float:
    return node.get(name).positive(texts=True)


def _split(node: Json) -> Event:
    return Event(node.get("symbol").text(), SPLIT, 0.0, _rate(node, "new_rate") / _rate(node, "old_rate"))


def _stock_dividend(node: Json) -> Event:
    return Event(node.get("symbol").text(), SPLIT, 0.0, 1.0 + _rate(node, "rate"))


def _cash_dividend(node: Json) -> Event:
    special = node.get("special")
    if not isinstance(special.value, bool):
        raise special.wrong("true or false")
    kind = SPECIAL_DIVIDEND if special.value else CASH_DIVIDEND
    return Event(node.get("symbol").text(), kind, _rate(node, "rate"), 1.0)


def _spin_off(node: Json) -> Event:
    ratio = _rate(node, "new_rate") / _rate(node, "source_rate")
    return Event(node.get("source_symbol").text(), SPIN_OFF, NAN, ratio, node.get("new_symbol").text())


def _rights(node: Json) -> Event:
    return Event(node.get("source_symbol").text(), SPIN_OFF, NAN, _rate(node, "rate"), node.get("new_symbol").text())


def _unit_split(node: Json) -> Event:
    ratio = _rate(node, "new_rate") / _rate(node, "old_rate")
    return Event(node.get("old_symbol").text(), MERGER, NAN, ratio, node.get("new_symbol").text())


def _cash_merger(node: Json) -> Event:
    return Event(node.get("acquiree_symbol").text(), MERGER, _rate(node, "rate"), 0.0)


def _stock_merger(node: Json) -> Event:
    ratio = _rate(node, "acquirer_rate") / _rate(node, "acquiree_rate")
    return Event(node.get("acquiree_symbol").text(), MERGER, 0.0, ratio, node.get("acquirer_symbol").text())


def _mixed_merger(node: Json) -> Event:
    return replace(_stock_merger(node), amount=_rate(node, "cash_rate") / _rate(node, "acquiree_rate"))


def _redemption(node: Json) -> Event:
    return Event(node.get("symbol").text(), DELISTING, _rate(node, "rate"), 0.0, "VOLUNTARY")


def _name_change(node: Json) -> Event:
    return Event(node.get("old_symbol").text(), RENAME, 0.0, 1.0, node.get("new_symbol").text())


def _worthless(node: Json) -> Event:
    return Event(node.get("symbol").text(), DELISTING, 0.0, 0.0, "BANKRUPTCY")


GROUPS: dict[str, tuple[str, Callable[[Json], Event]]] = {
    # group in the answer: (type in the request, reading)
    "forward_splits": ("forward_split", _split),
    "reverse_splits": ("reverse_split", _split),
    "unit_splits": ("unit_split", _unit_split),
    "stock_dividends": ("stock_dividend", _stock_dividend),
    "cash_dividends": ("cash_dividend", _cash_dividend),
    "spin_offs": ("spin_off", _spin_off),
    "cash_mergers": ("cash_merger", _cash_merger),
    "stock_mergers": ("stock_merger", _stock_merger),
    "stock_and_cash_mergers": ("stock_and_cash_merger", _mixed_merger),
    "redemptions": ("redemption", _redemption),
    "name_changes": ("name_change", _name_change),
    "worthless_removals": ("worthless_removal", _worthless),
    "rights_distributions": ("rights_distribution", _rights),
}


class AlpacaActions:
    """raw_corporate_actions of every kind."""

    name = NAME
    table = "raw_corporate_actions"
    parser = "alpaca-actions/1"

    def requests(self, subjects: Sequence[Subject], window: Window) -> Sequence[tuple[tuple[Subject, ...], Request]]:
        """One request per US listing, from the overlap to LOOKAHEAD beyond the window."""
        found = []
        for subject in subjects:
            symbol = covered(subject)
            if symbol is None:
                continue
            params = {
                "symbols": symbol,
                "types": ",".join(kind for kind, _ in GROUPS.values()),
                "start": first_date(window, [subject.mic]).isoformat(),
                "end": (window.until + LOOKAHEAD).date().isoformat(),
                "limit": "1000",
                "sort": "asc",
            }
            asked = Question(NAME, (listing_of(subject, symbol),), window.since, window.until).asked()
            found.append(((subject,), Request(ADDRESS, params, asked=asked, secret_headers=HEADERS)))
        return found

    def following(self, request: Request, response: Response) -> Request | None:
        """The next page."""
        return next_page(request, response)

    def parse(self, content: bytes, asked: Mapping[str, str]) -> Columns:
        """Events of the listings asked. Raises ProviderError for a group or listing that was not asked."""
        question = Question.read(NAME, asked)
        listings = {listing.symbol: listing for listing in question.listings}
        body = read_body(content)
        body.get("next_page_token")
        rows: dict[tuple[str, dt.date, str], tuple[ActionRow, set[str]]] = {}
        for group, entries in body.get("corporate_actions").members():
            if group not in GROUPS:
                raise entries.wrong(f"a group among {', '.join(sorted(GROUPS))}")
            for node in entries.rows():
                event = GROUPS[group][1](node)
                if not _is_asked(node, listings):
                    raise node.wrong(f"events of {', '.join(sorted(listings))}")
                listing = listings.get(event.symbol)
                if listing is None and event.kind == RENAME:
                    listing = listings.get(event.other)
                row = None if listing is None else _row(node, event, listing, question, listings)
                if row is not None:
                    _add(rows, row, node)
        return columns(NAME, ActionRow, [row for row, _ in rows.values()])


def _is_asked(node: Json, listings: Mapping[str, Listing]) -> bool:
    return any(
        isinstance(value, str) and name in _SYMBOLS and value in listings for name, value in node.fields().items()
    )


def _row(
    node: Json, event: Event, listing: Listing, question: Question, listings: Mapping[str, Listing]
) -> ActionRow | None:
    """The event as a row, None when it is not known by the end of the window."""
    dated = node.maybe("ex_date") or node.maybe("effective_date") or node.get("process_date")
    ex_session = listing.session_from(dated.day())
    told = [node.maybe(name) for name in ("declaration_date", "process_date")]
    told_at = [local_instant(listing.mic, said.day() + _DAY, 0) for said in told if said is not None]
    known_at = question.known_at(min([listing.open_at(ex_session), *told_at]))
    if known_at is None:
        return None
    counterpart = listings.get(event.other)
    return ActionRow(
        source_id=listing.source_id,
        ex_session=ex_session,
        kind=event.kind,
        amount=event.amount,
        ratio=event.ratio,
        currency=CURRENCY,
        other=counterpart.source_id if counterpart is not None and event.kind in (MERGER, SPIN_OFF) else event.other,
        known_at=known_at,
    )


def _add(rows: dict[tuple[str, dt.date, str], tuple[ActionRow, set[str]]], row: ActionRow, node: Json) -> None:
    """Several dividends of one kind and session add up; the same entry twice counts once; another second event is refused."""
    key, entry = (row.source_id, row.ex_session, row.kind), node.get("id").text()
    if key not in rows:
        rows[key] = (row, {entry})
        return
    before, entries = rows[key]
    if entry in entries:
        return
    if row.kind not in (CASH_DIVIDEND, SPECIAL_DIVIDEND):
        raise node.wrong(f"one {row.kind} per listing and session")
    known_at = max(before.known_at, row.known_at)
    rows[key] = (replace(before, amount=before.amount + row.amount, known_at=known_at), entries | {entry})


VENDORS = (AlpacaActions(),)
