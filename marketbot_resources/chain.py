"""Asks the vendors of one table in the mandate's order, until every subject is served or none is left to ask.

A subject is served by the bodies of exactly one vendor: the first one whose pages all arrived and were read by its parser.
Not here: sending (`fetch.fetcher`), requests and parsers (the vendors).
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from marketbot_resources.errors import ProviderError
from marketbot_resources.fetch.policy import Failure, one_line
from marketbot_resources.fetch.query import full_address
from marketbot_resources.provider import (
    Body,
    Columns,
    Delivery,
    NothingServed,
    Refusal,
    Request,
    Response,
    Subject,
    Vendor,
    Window,
)

if TYPE_CHECKING:
    from marketbot_resources.fetch.fetcher import Fetcher

ALL = "*"
PAGES_MAX = 1000
REASONS_MAX = 5
_TOKENS = ("token", "cursor")
QUIET = frozenset({"raw_news"})  # having nothing to say about a subject is an answer here, even in a batch of subjects


class Chain:
    """The vendors of one raw table. Deterministic: the same answers give the same delivery, in the same order."""

    def __init__(self, table: str, vendors: Sequence[Vendor], fetcher: "Fetcher") -> None:
        wrong = sorted(vendor.name for vendor in vendors if vendor.table != table)
        if wrong:
            raise ValueError(f"expected vendors of {table}, found others: {', '.join(wrong)}")
        self._table, self._vendors, self._fetcher = table, tuple(vendors), fetcher

    def deliver(self, subjects: Sequence[Subject], window: Window) -> Delivery:
        """The bodies of every subject that a vendor serves; the others are refusals.

        Raises NothingServed when at least one subject was asked for and none was served.
        """
        asked = {subject.source_id: subject for subject in sorted(subjects, key=lambda one: one.source_id)}
        left, deadline = dict(asked), self._fetcher.deadline()
        bodies: list[Body] = []
        refused: list[Body] = []
        refusals: list[Refusal] = []
        for vendor in self._vendors:
            if not left:
                break
            answer = _Asking(vendor, self._fetcher, deadline).ask(tuple(left.values()), window, set(asked))
            bodies += answer.bodies
            refused += answer.refused
            refusals += answer.refusals
            left = {name: subject for name, subject in left.items() if name not in answer.served}
        refusals += self._uncovered(left, refusals)
        if asked and len(left) == len(asked):
            raise NothingServed(self._none_served(refusals), _sorted(refused))
        order = sorted(refusals, key=lambda one: (one.provider, one.subject, one.reason))
        return Delivery(_sorted(bodies), _sorted(refused), tuple(order))

    def _uncovered(self, left: Mapping[str, Subject], refusals: Sequence[Refusal]) -> list[Refusal]:
        """Subjects that every vendor left out."""
        if any(one.subject == ALL for one in refusals):
            return []
        known = {one.subject for one in refusals}
        names = ", ".join(vendor.name for vendor in self._vendors) or "no vendor is configured"
        return [Refusal(ALL, name, f"covered by none of: {names}") for name in left if name not in known]

    def _none_served(self, refusals: Sequence[Refusal]) -> str:
        reasons = list(dict.fromkeys(f"{one.provider} {one.subject}: {one.reason}" for one in refusals))
        more = f"; and {len(reasons) - REASONS_MAX} more" if len(reasons) > REASONS_MAX else ""
        return f"{self._table}: expected an answer of a provider, found none: {'; '.join(reasons[:REASONS_MAX])}{more}"


@dataclass(frozen=True, slots=True)
class _Answer:
    """What one vendor gave: `served` are source ids."""

    served: frozenset[str] = frozenset()
    bodies: tuple[Body, ...] = ()
    refused: tuple[Body, ...] = ()
    refusals: tuple[Refusal, ...] = ()


@dataclass(slots=True)
class _Reading:
    """One first request and its pages as they arrive. `reason`: why it failed.

    `mentions`: source ids of the rows; None where the table has no source_id or is QUIET.
    """

    subjects: tuple[str, ...]
    first: Request
    following: Request | None
    bodies: list[Body] = field(default_factory=list)
    refused: list[Body] = field(default_factory=list)
    mentions: set[str] | None = None
    reason: str | None = None
    urls: set[str] = field(default_factory=set)
    tokens: set[tuple[str, str]] = field(default_factory=set)

    def serves(self) -> set[str]:
        """Source ids that its rows answer for, of those that it was asked for; no rows answer for one that was asked alone."""
        if self.mentions is None or (len(self.subjects) == 1 and not self.mentions):
            return set(self.subjects)
        return set(self.subjects) & self.mentions

    def fail(self, reason: str, *evidence: Body) -> None:
        """Gives the request up; what is evidence of it is kept."""
        self.reason, self.following = reason, None
        self.refused += evidence


class _Asking:
    """One vendor asked once."""

    def __init__(self, vendor: Vendor, fetcher: "Fetcher", deadline: float) -> None:
        self._vendor, self._fetcher, self._deadline = vendor, fetcher, deadline

    def ask(self, subjects: tuple[Subject, ...], window: Window, asked: set[str]) -> _Answer:
        """What the vendor serves of the subjects. `asked`: all that the delivery is about, also those served by others."""
        try:
            found = list(self._vendor.requests(subjects, window))
        except Exception as error:  # this edge trusts no provider: a bug in one is not the end of the others
            return self._refused_as_a_whole(f"its requests could not be made: {_said(error)}")
        names = {subject.source_id for subject in subjects}
        readings = []
        for covered, request in found:
            if mine := tuple(sorted({one.source_id for one in covered} & names)):
                readings.append(_Reading(mine, request, request))
        requests = [one.first for one in readings]
        if lacking := self._fetcher.lacking(requests):
            return self._refused_as_a_whole(f"its key is missing: set {', '.join(lacking)}")
        if requests and (refusal := self._fetcher.refusal(self._vendor.name)) is not None:
            return self._refused_as_a_whole(refusal)
        self._mask = self._fetcher.redactor(requests).text
        self._read(readings)
        return self._judged(readings, asked)

    def _refused_as_a_whole(self, reason: str) -> _Answer:
        return _Answer(refusals=(Refusal(self._vendor.name, ALL, one_line(reason)),))

    def _read(self, readings: Sequence[_Reading]) -> None:
        """Follows the pages of all requests, one page of each at a time."""
        for _ in range(PAGES_MAX):
            waiting = [(one, one.following) for one in readings if one.following is not None]
            if not waiting:
                return
            answers = self._fetcher.fetch_all([page for _, page in waiting], self._vendor.name, self._deadline)
            for (one, page), answer in zip(waiting, answers, strict=True):
                self._page(one, page, answer)
        for one in readings:
            if one.following is not None:
                one.fail(f"expected at most {PAGES_MAX} pages, found more")

    def _page(self, one: _Reading, page: Request, answer: Response | Failure) -> None:
        """Takes one page in, or gives the request up."""
        if isinstance(answer, Failure):
            one.fail(answer.reason, *([self._body(page, answer.response)] if answer.response else []))
            return
        body = self._body(page, answer)
        if one.bodies and _digest(one.bodies[-1]) == _digest(body):
            one.fail("expected another page, found the bytes of the page before", body)
            return
        try:
            columns = self._vendor.parse(body.content, body.asked)
            mentioned = _mentioned(columns)
            following = self._vendor.following(page, answer)
        except Exception as error:  # a body is never trusted, and neither is the parser that reads it
            one.fail(_said(error), body)
            return
        one.bodies.append(body)
        if mentioned is not None and self._vendor.table not in QUIET:
            one.mentions = (one.mentions or set()) | mentioned
        if following is not None and (reason := _wrong_page(one, page, following)) is not None:
            one.fail(reason, body)
            return
        one.following = following

    def _body(self, page: Request, response: Response) -> Body:
        url = full_address(page.url, page.params)
        kind = response.headers.get("content-type", "")
        return Body(self._vendor.name, url, kind, response.status, response.content, self._vendor.parser, page.asked)

    def _judged(self, readings: Sequence[_Reading], asked: set[str]) -> _Answer:
        """Who is served: all requests of a subject are whole and one mentions it. A body that also answers for a subject that
        is not served here is not used: that subject's rows come from somebody else.
        """
        while True:
            good = [one for one in readings if one.reason is None]
            failed = {name for one in readings if one.reason is not None for name in one.subjects}
            served = {name for one in good for name in one.serves()} - failed
            foreign = [(one, ((one.mentions or set()) & asked) - served) for one in good]
            if not any(names for _, names in foreign):
                break
            for one, names in foreign:
                if names:
                    one.fail(f"its body also answers for {min(names)}, which is not served by it", *one.bodies)
        refusals = [
            Refusal(self._vendor.name, name, one_line(self._mask(reason)))
            for name, reason in _reasons(readings, served)
        ]
        used = [one for one in good if served & one.serves()]
        unused = [one for one in good if not served & one.serves()]
        return _Answer(
            frozenset(served),
            tuple(body for one in used for body in one.bodies),
            tuple(body for one in readings for body in one.refused)
            + tuple(body for one in unused for body in one.bodies),
            tuple(refusals),
        )


def _reasons(readings: Sequence[_Reading], served: set[str]) -> Iterator[tuple[str, str]]:
    """One reason for each subject that was asked and is not served: of the first request that failed."""
    reasons: dict[str, str] = {}
    for one in readings:
        for name in one.subjects:
            if name not in served and one.reason is not None:
                reasons.setdefault(name, one.reason)
    for one in readings:
        for name in one.subjects:
            if name not in served:
                reasons.setdefault(name, "its answers do not mention it")
    yield from sorted(reasons.items())


def _mentioned(columns: Columns) -> set[str] | None:
    """Source ids of the rows; None for a table that has none. Raises ProviderError for columns of unequal length."""
    lengths = {len(values) for values in columns.values()}
    if len(lengths) > 1:
        raise ProviderError(f"expected columns of one length, found {sorted(lengths)}")
    return {str(name) for name in columns["source_id"]} if "source_id" in columns else None


def _wrong_page(one: _Reading, page: Request, following: Request) -> str | None:
    """Why a next page is not asked for: it was seen before, or it lies on another host, where no key is sent."""
    one.urls.add(full_address(page.url, page.params))
    one.tokens |= _tokens(page)
    url, first = full_address(following.url, following.params), urlsplit(one.first.url)
    if urlsplit(following.url)[:2] != first[:2]:
        return f"expected the next page at {first.netloc}, found {urlsplit(following.url).netloc or 'no address'}"
    if url in one.urls:
        return "expected another page, found the address of one that was read"
    again = (_tokens(following) & one.tokens) - _tokens(one.first)
    return f"expected a new page token, found {min(again)[0]} repeated" if again else None


def _tokens(request: Request) -> set[tuple[str, str]]:
    """Parameters that say where a page begins, with their values."""
    given = [*parse_qsl(urlsplit(request.url).query), *request.params.items()]
    return {(name, value) for name, value in given if any(word in name.lower() for word in _TOKENS)}


def _digest(body: Body) -> bytes:
    return hashlib.sha256(body.content).digest()


def _sorted(bodies: Sequence[Body]) -> tuple[Body, ...]:
    return tuple(sorted(bodies, key=lambda one: (one.provider, one.url, sorted(one.asked.items()), one.content)))


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, ProviderError) else f"{type(error).__name__}: {error}"
