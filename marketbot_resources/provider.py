"""The ports of the data providers: they hand over bodies as received, parsing happens later and elsewhere.

A provider never repairs, converts or drops anything. `since` and `until` bound `known_at`: since < known_at <= until;
`since` None means everything that the provider has. What a provider could not serve is a refusal, with its reason; when
nothing at all could be served it raises ProviderError.

A whole-table provider (sample, synthetic, import) serves one body per table. A `Vendor` describes one table of one web service:
which requests to make, and how its bodies become rows; `chain.py` asks vendors in the mandate's order.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from marketbot_resources.errors import ProviderError

Columns = Mapping[str, Sequence[object]]


@dataclass(frozen=True, slots=True)
class Body:
    """One body as received. `url` carries no secret; `content` is what the blob store hashes.

    `parser`: name and version of what reads it; `asked`: what that parser must know of the request (never a secret).
    """

    provider: str
    url: str
    content_type: str
    status: int
    content: bytes
    parser: str = "csv/1"
    asked: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a provider could not serve: a listing, series, issuer or feed, or `*` for all, and why in one line."""

    provider: str
    subject: str
    reason: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """The answer to one question: bodies that are used, others that are kept as evidence (mostly refused ones), and why.

    A subject is served by the bodies of exactly one provider. `kept`: bodies of which the used ones tell, like the question and the
    answer of a language model; their `parser` says what they are.
    """

    bodies: tuple[Body, ...]
    refused: tuple[Body, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    kept: tuple[Body, ...] = ()


@dataclass(frozen=True, slots=True)
class Subject:
    """What a vendor is asked about. `source_id` is ours and stays when a ticker changes; the rest is as of now.

    Listings have mic, ticker and currency (the quotation currency as last reported, empty when unknown); macro series, issuers,
    and feeds have a `source_id` and what `more` says (a series id, a CIK, an address).
    """

    source_id: str
    mic: str = ""
    ticker: str = ""
    currency: str = ""
    more: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Window:
    """What is wanted: rows that became known in (since, until]; `since` None: everything up to `until`."""

    since: dt.datetime | None
    until: dt.datetime


@dataclass(frozen=True, slots=True)
class Request:
    """One GET. `url` and `params` carry no secret: keys are added by name (`secret_params`, `secret_headers`) when it is sent.

    `asked` goes into the Body. `secret_*` map a parameter or header to the environment variable that holds its value.
    """

    url: str
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    asked: Mapping[str, str] = field(default_factory=dict)
    secret_params: Mapping[str, str] = field(default_factory=dict)
    secret_headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Response:
    """What came back: final status, headers in lower case, the body after transfer decoding."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class Vendor(Protocol):
    """One table of one web service, pure: requests out, rows in. Sending is the fetcher's business."""

    name: str
    table: str
    parser: str

    def requests(self, subjects: Sequence[Subject], window: Window) -> "Sequence[tuple[tuple[Subject, ...], Request]]":
        """First requests, each with the subjects that it serves; subjects that this vendor does not cover are left out."""
        ...

    def following(self, request: Request, response: Response) -> Request | None:
        """The request of the next page, None after the last. Raises ProviderError for a page that cannot be read."""
        ...

    def parse(self, content: bytes, asked: Mapping[str, str]) -> Columns:
        """Rows of a body in the columns of the raw table without `source` and `blob_sha256`; all columns equally long.

        Raises ProviderError that names provider, field and row when the body is not what this version expects: also for a
        status 200 that says quota exhausted, and for a body of other units than asked.
        """
        ...


class MarketProvider(Protocol):
    """Listings, bars, corporate actions, reference rates."""

    def instruments(self, as_of: dt.datetime) -> Delivery:
        """The listings as described at the instant."""
        ...

    def prices(self, since: dt.datetime | None, until: dt.datetime) -> Delivery:
        """Daily bars."""
        ...

    def corporate_actions(self, since: dt.datetime | None, until: dt.datetime) -> Delivery:
        """Splits, dividends and other events by announcement."""
        ...

    def fx(self, since: dt.datetime | None, until: dt.datetime) -> Delivery:
        """Reference rates against the euro."""
        ...

    def probe(self, mic: str) -> "MarketProvider":
        """The same market, of which a few listings of an exchange are enough: to see whether its bars have landed."""
        ...


class MacroProvider(Protocol):
    """Macro series with vintages."""

    def series(self, since: dt.datetime | None, until: dt.datetime) -> Delivery:
        """Observations by release."""
        ...


class FundamentalsProvider(Protocol):
    """Reported figures by filing."""

    def filings(self, since: dt.datetime | None, until: dt.datetime) -> Delivery:
        """Figures by filing instant."""
        ...


class NewsProvider(Protocol):
    """Headlines by crawl time."""

    def headlines(self, since: dt.datetime | None, until: dt.datetime) -> Delivery:
        """Headlines."""
        ...


class QuoteProvider(Protocol):
    """What is bid and asked while exchanges trade; for protective exits only."""

    def quotes(self, source_ids: Sequence[str], at: dt.datetime) -> Delivery:
        """The newest quote of each of these listings at the instant; none of a listing whose exchange is closed."""
        ...


class NothingServed(ProviderError):
    """No provider had an answer that could be used. `refused`: what they answered, to be kept as evidence."""

    def __init__(self, message: str, refused: Sequence[Body] = ()) -> None:
        super().__init__(message)
        self.refused = tuple(refused)


def whole(body: Body) -> Delivery:
    """The answer of a whole-table provider."""
    return Delivery((body,))
