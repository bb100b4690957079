"""The ports over web services: each asks a chain of vendors, in the mandate's order, about what the mandate names.

Not here: what a vendor asks and reads (`vendors`), how a chain falls back (`chain`), how requests are sent (`fetch`).
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from marketbot_resources.chain import Chain
from marketbot_resources.errors import MandateError
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import listing_id
from marketbot_resources.provider import Body, Delivery, MarketProvider, NothingServed, Refusal, Subject, Vendor, Window
from marketbot_resources.vendors import vendors

if TYPE_CHECKING:
    from marketbot_resources.fetch.fetcher import Fetcher

PROBED, SEC, NO_CIK = 3, "sec", "no CIK is known for it"
DESCRIBED = dt.timedelta(days=1)  # a description needs no history
Rates = Callable[[dt.datetime | None, dt.datetime], Delivery]
FILING_MICS = frozenset({"XNYS", "XNAS", "XASE", "ARCX", "BATS"})


def listings(mandate: Mandate, known: Mapping[str, Mapping[str, str]] | None = None) -> tuple[Subject, ...]:
    """The mandate's listings as subjects, with what the home knows of them already (`known`, by source id).

    Raises MandateError for `all`: a web service cannot be asked for everything.
    """
    found = []
    for mic, tickers in sorted(mandate.universe.listings.items()):
        if tickers == "all":
            raise MandateError(
                f"mandate: universe.listings.{mic}: expected tickers, since web services serve the listings, found all"
            )
        former = mandate.universe.formerly.get(mic, {})
        for ticker in sorted(tickers):
            name = listing_id(mic, former.get(ticker, ticker))
            found.append(Subject(name, mic, ticker, more=(known or {}).get(name, {})))
    return tuple(found)


def serving(table: str, names: Sequence[str]) -> list[Vendor]:
    """The descriptions of a table by vendors, in their order. Raises MandateError when none of them has that table."""
    found = vendors(table, names)
    if not found:
        raise MandateError(f"mandate: providers: expected a vendor of {table} among {', '.join(names)}, found none")
    return found


class Asked:
    """One fetcher, and chains over it. `make`: another fetcher of the same home, that remembers no answer."""

    def __init__(self, fetcher: "Fetcher", make: "Callable[[], Fetcher]") -> None:
        self._fetcher, self._make = fetcher, make

    def anew(self) -> "Asked":
        """The same without what was answered before: for a question that is asked again because the answer may have changed."""
        return type(self)(self._make(), self._make)

    def ask(
        self,
        table: str,
        names: Sequence[str],
        subjects: Sequence[Subject],
        since: dt.datetime | None,
        until: dt.datetime,
    ) -> Delivery:
        """What the chain of these vendors delivers. Raises ProviderError when nothing was served."""
        return Chain(table, serving(table, names), self._fetcher).deliver(subjects, Window(since, until))


def rates_of_vendors(asked: Asked, names: Sequence[str]) -> Rates:
    """Reference rates of a chain: all currencies in one answer."""
    return lambda since, until: asked.ask("raw_fx", names, (Subject("EUR"),), since, until)


class VendorMarket:
    """Listings, bars, actions; `listed_by` serves the listings where the mandate says so, `rates` the rates."""

    def __init__(
        self,
        asked: Asked,
        mandate: Mandate,
        subjects: Sequence[Subject],
        listed_by: MarketProvider | None = None,
        rates: Rates | None = None,
    ) -> None:
        self._asked, self._mandate, self._listed_by, self._rates = asked, mandate, listed_by, rates
        self._subjects = tuple(subjects)
        assert isinstance(mandate.providers.market, tuple), "a market of vendors is a list"
        self._names: tuple[str, ...] = mandate.providers.market

    def instruments(self, as_of: dt.datetime) -> Delivery:
        """The listings as the vendors describe them now; a listing that no vendor describes is a refusal."""
        if self._listed_by is not None:
            return self._listed_by.instruments(as_of)
        chain = self._mandate.providers.instruments or self._names
        assert isinstance(chain, tuple), "another source serves them"
        return self._asked.ask("raw_instruments", chain, self._subjects, as_of - DESCRIBED, as_of)

    def prices(self, since: dt.datetime | None, until: dt.datetime) -> Delivery:
        """Daily bars, with a few sessions from before the window."""
        return self._asked.ask("raw_prices", self._names, self._subjects, since, until)

    def corporate_actions(self, since: dt.datetime | None, until: dt.datetime) -> Delivery:
        """Corporate actions, by those vendors of the chain that tell them."""
        return self._asked.ask("raw_corporate_actions", self._names, self._subjects, since, until)

    def fx(self, since: dt.datetime | None, until: dt.datetime) -> Delivery:
        """Reference rates."""
        assert self._rates is not None, "the mandate names a source of rates beside web services"
        return self._rates(since, until)

    def probe(self, mic: str) -> "VendorMarket":
        """The same vendors, asked anew for a few listings of one exchange: a sensor's process lives long."""
        some = [one for one in self._subjects if one.mic == mic][:PROBED]
        return VendorMarket(self._asked.anew(), self._mandate, some, self._listed_by, self._rates)


class RatesFrom:
    """A whole-table market whose rates another source serves, as the mandate's `fx` says."""

    def __init__(self, market: MarketProvider, rates: Rates) -> None:
        self._market, self._rates = market, rates
        self.instruments, self.prices = market.instruments, market.prices
        self.corporate_actions = market.corporate_actions

    def fx(self, since: dt.datetime | None, until: dt.datetime) -> Delivery:
        """Reference rates of the other source."""
        return self._rates(since, until)

    def probe(self, mic: str) -> MarketProvider:
        """The market alone: rates say nothing of bars."""
        return self._market.probe(mic)


class VendorQuotes:
    """Quotes of held listings, by those vendors of the market's chain that have them."""

    def __init__(self, asked: Asked, names: Sequence[str], subjects: Sequence[Subject]) -> None:
        self._asked, self._names = asked, names
        self._subjects = {one.source_id: one for one in subjects}

    def quotes(self, source_ids: Sequence[str], at: dt.datetime) -> Delivery:
        """The newest quotes; a listing that is not the mandate's any more cannot be asked for."""
        known = [self._subjects[name] for name in sorted(source_ids) if name in self._subjects]
        return self._asked.ask("raw_quotes", self._names, known, None, at)


class VendorMacro:
    """Macro series."""

    def __init__(self, asked: Asked, names: Sequence[str], series: Sequence[str]) -> None:
        self._asked, self._names, self._series = asked, names, series

    def series(self, since: dt.datetime | None, until: dt.datetime) -> Delivery:
        """Observations by release, each vintage."""
        subjects = tuple(Subject(name) for name in sorted(self._series))
        return self._asked.ask("raw_macro", self._names, subjects, since, until)


class VendorFundamentals:
    """Figures as filed by the issuers of the listings in the United States, by their CIK."""

    def __init__(self, asked: Asked, names: Sequence[str], subjects: Sequence[Subject]) -> None:
        self._asked, self._names, self._subjects = asked, names, tuple(subjects)

    def filings(self, since: dt.datetime | None, until: dt.datetime) -> Delivery:
        """Figures by filing instant; a listing without CIK is a refusal. The list of tickers is kept as evidence."""
        from marketbot_resources.fundamentals.sec_issuers import edgar_ticker
        from marketbot_resources.vendors import parser_of

        ours = [one for one in self._subjects if one.mic in FILING_MICS]
        if not ours:
            return Delivery((), refusals=tuple(Refusal(SEC, one.source_id, NO_CIK) for one in self._subjects))
        tickers = self._asked.ask("sec_tickers", self._names, ours, None, until)
        (body,) = tickers.bodies
        rows = parser_of(body.parser)(body.content, body.asked)
        ciks = {str(ticker): str(cik) for ticker, cik in zip(rows["ticker"], rows["cik"], strict=True)}
        known = [
            replace(one, more={**one.more, "cik": ciks[edgar_ticker(one.ticker)]})
            for one in ours
            if edgar_ticker(one.ticker) in ciks
        ]
        delivery = self._asked.ask("raw_fundamentals", self._names, known, since, until)
        unknown = sorted({one.source_id for one in self._subjects} - {one.source_id for one in known})
        missing = tuple(Refusal(SEC, name, NO_CIK) for name in unknown)
        return replace(delivery, refused=(*delivery.refused, *tickers.bodies), refusals=(*delivery.refusals, *missing))


class VendorNews:
    """Headlines: every vendor is asked, since each has its own."""

    def __init__(
        self, asked: Asked, names: Sequence[str], subjects: Sequence[Subject], feeds: Sequence[Subject]
    ) -> None:
        self._asked, self._names, self._subjects, self._feeds = asked, names, tuple(subjects), tuple(feeds)

    def headlines(self, since: dt.datetime | None, until: dt.datetime) -> Delivery:
        """Headlines. Raises NothingServed when no vendor answered."""
        deliveries: list[Delivery] = []
        failures: list[str] = []
        refused: list[Body] = []
        for name in self._names:
            try:
                about = self._feeds if name == "feeds" else self._subjects
                deliveries.append(self._asked.ask("raw_news", (name,), about, since, until))
            except NothingServed as error:
                failures.append(str(error))
                refused += error.refused
        if not deliveries:
            told = f"raw_news: expected an answer of a vendor, found none: {'; '.join(failures)}"
            raise NothingServed(told, refused)
        return Delivery(
            tuple(body for one in deliveries for body in one.bodies),
            (*(body for one in deliveries for body in one.refused), *refused),
            tuple(refusal for one in deliveries for refusal in one.refusals),
        )
