"""The chain of vendors: who serves whom, what is kept of those who did not, and that a subject's bodies are of one vendor."""

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fetch.harness import PatientTime, make_fetcher
from fetch.json_vendor import WINDOW, JsonVendor, body, subjects
from fetch.vendor_server import Answer, VendorServer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marketbot_resources.chain import Chain
from marketbot_resources.errors import ProviderError
from marketbot_resources.fetch.policy import Terms
from marketbot_resources.provider import Columns, Delivery, Refusal, Request, Response, Subject, Window

KEY = "key-canary-0123456789"


class SeriesVendor(JsonVendor):
    """The same for a table without source_id."""

    def parse(self, content: bytes, asked: Mapping[str, str]) -> Columns:
        return {"value": super().parse(content, asked)["close"]}


def ask(fetcher: Any, ids: str, *vendors: JsonVendor) -> Delivery:
    return Chain("raw_prices", vendors, fetcher).deliver(subjects(ids), WINDOW)


def urls(delivery: Delivery) -> list[tuple[str, str]]:
    return [(found.provider, found.url.partition("ids=")[2]) for found in delivery.bodies]


def test_the_first_vendor_serves_and_the_second_is_not_asked(tmp_path: Path) -> None:
    """Bodies are as received, with parser and what it was asked; sorted whatever the order of the question."""
    with VendorServer({"/one?ids=a": body("a"), "/one?ids=b": body("b"), "/two": body("ab")}) as server:
        vendors = JsonVendor("one", server.url), JsonVendor("two", server.url)
        delivery = ask(make_fetcher(tmp_path), "ba", *vendors)
        assert urls(delivery) == [("one", "a"), ("one", "b")]
        assert delivery.refused == delivery.refusals == ()
        first = delivery.bodies[0]
        assert (first.content, first.status, first.content_type) == (body("a"), 200, "application/json")
        assert (first.parser, first.asked) == ("json/1", {"unit": "USD", "ids": "a"})
        assert server.asked("/two") == 0
        assert ask(make_fetcher(tmp_path), "ab", *vendors) == delivery


@pytest.mark.parametrize("trouble", ["503", "404", "reset", "truncated", "html", "empty", "gzip-truncated", "redirect"])
def test_what_one_vendor_fails_at_is_asked_of_the_next(tmp_path: Path, trouble: str) -> None:
    """Only that subject; the refusal says who, whom and why; a body that the parser refused is kept."""
    with VendorServer({"/one?ids=a": body("a"), "/one?ids=b": body("b"), "/two?ids=b": body("b")}) as server:
        server.misbehave(trouble, route="/one?ids=b")
        delivery = ask(make_fetcher(tmp_path), "ab", JsonVendor("one", server.url), JsonVendor("two", server.url))
        assert urls(delivery) == [("one", "a"), ("two", "b")]
        assert [(one.provider, one.subject) for one in delivery.refusals] == [("one", "b")]
        assert "\n" not in delivery.refusals[0].reason
        kept = {"503", "404", "html", "empty"}
        assert [found.url.partition("ids=")[2] for found in delivery.refused] == (["b"] if trouble in kept else [])
        if kept & {trouble}:
            assert delivery.refused[0].status == (int(trouble) if trouble.isdigit() else 200)


def test_pages_are_followed_to_their_end(tmp_path: Path) -> None:
    """All pages of a subject or none: the last one refused means the next vendor, from the beginning."""
    with VendorServer({"/one?ids=a": body("a", "p2"), "/two": body("a")}) as server:
        server.serve("/one?ids=a&page_token=p2", body("a", "p3") + b" ")
        server.serve("/one?ids=a&page_token=p3", body("a") + b"  ")
        vendors = JsonVendor("one", server.url), JsonVendor("two", server.url)
        delivery = ask(make_fetcher(tmp_path), "a", *vendors)
        assert urls(delivery) == [("one", "a"), ("one", "a&page_token=p2"), ("one", "a&page_token=p3")]
        server.serve("/one?ids=a&page_token=p3", b"<html>")
        delivery = ask(make_fetcher(tmp_path), "a", *vendors)
        assert urls(delivery) == [("two", "a")]
        assert [found.content for found in delivery.refused] == [b"<html>"]


def test_pages_that_never_end_are_given_up(tmp_path: Path) -> None:
    """The address of a page that was read, a page token again, the same bytes again, another host, more than a thousand."""
    with VendorServer({"/two": body("a")}) as server, VendorServer({"/one": body("a")}) as other:
        itself = f"{server.url}/one?ids=a"
        cases = {
            "address of one that was read": [("/one", body("a", itself))],
            "found the bytes of the page before": [
                ("/one", body("a", "x")),
                ("/one?ids=a&page_token=x", body("a", "x")),
            ],
            "found page_token repeated": [
                ("/one", body("a", f"{itself}&n=1&page_token=x")),
                ("/one?ids=a&n=1&page_token=x", body("a", f"{itself}&n=2&page_token=x")),
            ],
            "expected the next page at": [("/one", body("a", f"{other.url}/one"))],
        }
        for reason, routes in cases.items():
            for route, content in routes:
                server.serve(route, content)

            class Unasked(JsonVendor):
                def parse(self, content: bytes, asked: Mapping[str, str]) -> Columns:
                    return super().parse(content, {"unit": "USD"})

            delivery = ask(make_fetcher(tmp_path), "a", Unasked("one", server.url), JsonVendor("two", server.url))
            assert urls(delivery) == [("two", "a")]
            assert reason in delivery.refusals[0].reason
        assert other.asked() == 0


def test_a_thousand_pages_are_enough(tmp_path: Path) -> None:
    """Each page new, without end."""

    class Endless(JsonVendor):
        pages = itertools.count()

        def following(self, request: Request, response: Response) -> Request | None:
            return Request(f"{self.url}/one", {"n": str(next(self.pages))}, asked={"unit": "USD"})

    class Local:
        """Answers at once, another body each time: a thousand exchanges are tested elsewhere."""

        def __init__(self) -> None:
            self.real, self.asked = make_fetcher(tmp_path), 0

        def __getattr__(self, name: str) -> Any:
            return getattr(self.real, name)

        def fetch_all(self, requests: Sequence[Request], provider: str, deadline: float) -> list[Response]:
            self.asked += len(requests)
            return [Response(200, {}, body("a") + b" " * self.asked) for _ in requests]

    fetcher = Local()
    with pytest.raises(ProviderError, match="at most 1000 pages"):
        ask(fetcher, "a", Endless("one", "http://127.0.0.1:1"))
    assert fetcher.asked == 1000


def test_a_request_for_several_counts_for_those_it_mentions(tmp_path: Path) -> None:
    """The others are asked of the next vendor; rows of a table without source_id count for all."""
    with VendorServer({"/one?ids=a,b,c": body("ac"), "/two?ids=b": body("b")}) as server:
        delivery = ask(
            make_fetcher(tmp_path), "abc", JsonVendor("one", server.url, size=3), JsonVendor("two", server.url)
        )
        assert urls(delivery) == [("one", "a%2Cb%2Cc"), ("two", "b")]
        assert delivery.refusals == (Refusal("one", "b", "its answers do not mention it"),)
        series = ask(make_fetcher(tmp_path), "abc", SeriesVendor("one", server.url, size=3))
        assert series.refusals == ()


def test_no_rows_answer_for_a_subject_that_was_asked_alone(tmp_path: Path) -> None:
    """Nothing happened to it; but rows of somebody else are no answer."""
    with VendorServer({"/one?ids=a": body(""), "/one?ids=b": body("x")}) as server:
        delivery = ask(make_fetcher(tmp_path), "ab", JsonVendor("one", server.url))
        assert urls(delivery) == [("one", "a")]
        assert [found.content for found in delivery.refused] == [body("x")]
        assert [one.subject for one in delivery.refusals] == ["b"]


def test_a_body_that_answers_for_a_subject_of_another_vendor_is_not_used(tmp_path: Path) -> None:
    """a is served by the first vendor; the second one's body for b holds rows of a too: a would have two sources."""
    with VendorServer({"/one?ids=a": body("a"), "/two?ids=b": body("ab"), "/three?ids=b": body("b")}) as server:
        vendors = [
            JsonVendor("one", server.url, covers="a"),
            *(JsonVendor(name, server.url) for name in ("two", "three")),
        ]
        delivery = ask(make_fetcher(tmp_path), "ab", *vendors)
        assert urls(delivery) == [("one", "a"), ("three", "b")]
        assert [found.content for found in delivery.refused] == [body("ab")]
        assert any("also answers for a" in one.reason for one in delivery.refusals)


def test_bodies_stand_in_the_order_of_their_names_not_of_the_vendors(tmp_path: Path) -> None:
    """By provider and address, whoever was asked first."""
    with VendorServer({"/z?ids=b": body("b"), "/a?ids=c": body("c"), "/a?ids=d": body("d")}) as server:
        vendors = JsonVendor("z", server.url, covers="b"), JsonVendor("a", server.url)
        assert urls(ask(make_fetcher(tmp_path), "dcb", *vendors)) == [("a", "c"), ("a", "d"), ("z", "b")]


class YearlyVendor(JsonVendor):
    """Two requests for each group of subjects, one a year."""

    def requests(self, subjects: Sequence[Subject], window: Window) -> list[tuple[tuple[Subject, ...], Request]]:
        return [
            (group, replace(request, params={"year": year, **request.params}))
            for group, request in super().requests(subjects, window)
            for year in ("2024", "2025")
        ]


def test_a_subject_needs_all_of_its_requests(tmp_path: Path) -> None:
    """Half of its years are no answer: none of its bodies is used, and the next vendor serves it whole."""
    with VendorServer({"/one": body("ab"), "/two?ids=a": body("a"), "/two?ids=b": body("b")}) as server:
        server.serve("/one?ids=a&year=2024", body("a"))
        server.serve("/one?ids=a&year=2025", body("a"))
        server.serve("/one?ids=b&year=2024", body("b"))
        server.misbehave("404", route="/one?ids=b&year=2025")
        server.misbehave("404", route="/one?ids=a,b&year=2025")
        two = JsonVendor("two", server.url)
        alone = ask(make_fetcher(tmp_path), "ab", YearlyVendor("one", server.url), two)
        assert urls(alone) == [("one", "a"), ("one", "a"), ("two", "b")]
        together = ask(make_fetcher(tmp_path), "ab", YearlyVendor("one", server.url, size=2), two)
        assert urls(together) == [("two", "a"), ("two", "b")]


def test_a_missing_key_refuses_a_vendor_by_its_name(tmp_path: Path) -> None:
    """Nothing is sent; the variable is named; the next vendor is asked; a key that is there is not shown."""
    with VendorServer({"/two": body("a")}) as server:
        one = JsonVendor("one", server.url, secret_params={"k": "ONE_KEY"})
        two = JsonVendor("two", server.url, secret_headers={"Authorization": "TWO_KEY"})
        delivery = ask(make_fetcher(tmp_path, secrets={"TWO_KEY": KEY}), "a", one, two)
        assert delivery.refusals == (Refusal("one", "*", "its key is missing: set ONE_KEY"),)
        assert server.asked("/one") == 0
        assert server.requests[0].headers["authorization"] == KEY
        assert KEY not in repr(delivery)


def test_an_open_breaker_refuses_a_vendor(tmp_path: Path) -> None:
    """As a whole, without a request."""
    time = PatientTime()
    with VendorServer({"/two": body("a")}) as server:
        fetcher = make_fetcher(tmp_path, time)
        for _ in range(5):
            fetcher.states.failed("one", time.now(), 5)
        delivery = ask(fetcher, "a", JsonVendor("one", server.url), JsonVendor("two", server.url))
        assert [(one.provider, one.subject) for one in delivery.refusals] == [("one", "*")]
        assert server.asked("/one") == 0


def test_nobody_served_is_an_error_with_few_reasons(tmp_path: Path) -> None:
    """And nobody asked is no error."""
    with VendorServer({}) as server:
        with pytest.raises(ProviderError, match=r"raw_prices: .*one a: status 404.*; and 3 more"):
            ask(make_fetcher(tmp_path), "abcdefgh", JsonVendor("one", server.url))
        assert ask(make_fetcher(tmp_path), "", JsonVendor("one", server.url)) == Delivery(())
        with pytest.raises(ProviderError, match="no vendor is configured"):
            ask(make_fetcher(tmp_path), "a")


def test_what_no_vendor_covers_is_said(tmp_path: Path) -> None:
    """A subject that all leave out has a refusal too."""
    with VendorServer({"/one": body("a")}) as server:
        delivery = ask(make_fetcher(tmp_path), "ax", JsonVendor("one", server.url))
        assert delivery.refusals == (Refusal("*", "x", "covered by none of: one"),)


@pytest.mark.parametrize("method", ["requests", "following", "parse"])
@pytest.mark.parametrize("error", [KeyError("x"), RecursionError("deep"), ValueError("a\nb"), ProviderError("no")])
def test_a_vendor_that_fails_does_not_harm_the_next(tmp_path: Path, method: str, error: Exception) -> None:
    """Whatever its code raises is a refusal in one line."""

    def fail(*args: object) -> None:
        raise error

    with VendorServer({"/one": body("a"), "/two": body("a")}) as server:
        one = JsonVendor("one", server.url)
        setattr(one, method, fail)
        delivery = ask(make_fetcher(tmp_path), "a", one, JsonVendor("two", server.url))
        assert urls(delivery) == [("two", "a")]
        assert len(delivery.refusals) == 1
        assert "\n" not in delivery.refusals[0].reason


def test_columns_of_unequal_length_are_refused(tmp_path: Path) -> None:
    """A parser that lost a value."""
    with VendorServer({"/one": body("a"), "/two": body("a")}) as server:
        one = JsonVendor("one", server.url)
        one.parse = lambda content, asked: {"source_id": ["a", "a"], "close": [1.0]}  # type: ignore[method-assign]
        delivery = ask(make_fetcher(tmp_path), "a", one, JsonVendor("two", server.url))
        assert "columns of one length" in delivery.refusals[0].reason


def test_prices_and_actions_share_the_bytes_of_one_request(tmp_path: Path) -> None:
    """Two tables of one run that ask the same are answered by one exchange."""
    with VendorServer({"/one": body("a")}) as server:
        fetcher = make_fetcher(tmp_path)
        prices = ask(fetcher, "a", JsonVendor("one", server.url))
        actions = JsonVendor("one", server.url)
        actions.table = "raw_corporate_actions"
        found = Chain("raw_corporate_actions", [actions], fetcher).deliver(subjects("a"), WINDOW)
        assert found.bodies[0].content == prices.bodies[0].content
        assert server.asked() == 1
        with pytest.raises(ValueError, match="expected vendors of raw_fx"):
            Chain("raw_fx", [actions], fetcher)


def test_one_deadline_holds_for_all_vendors_and_pages(tmp_path: Path) -> None:
    """A chain of three vendors with pages ends when a batch would."""
    time = PatientTime()
    with VendorServer({}) as server:
        server.misbehave("503")
        fetcher = make_fetcher(tmp_path, time, batch_seconds=30.0, default_terms=Terms(per_second=0.5, burst=1))
        with pytest.raises(ProviderError, match="none"):
            ask(fetcher, "abcdefgh", *(JsonVendor(name, server.url) for name in ("one", "two", "three")))
        assert time.clock - 1000.0 <= 30.0


Fate = Callable[[str, str], bytes]
FATES = ("good", "404", "garbage", "empty", "others")


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_every_subject_is_served_once_or_refused(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Any fates of any requests of three vendors: a subject has bodies of at most one vendor, is in no other used body, and a
    subject without a body has a refusal; the order of the question makes no difference."""
    names = data.draw(st.text("abcdef", min_size=1, max_size=6).map(lambda text: "".join(sorted(set(text)))))
    with VendorServer({}) as server:
        vendors = []
        for vendor_name in ("one", "two", "three"):
            vendor = JsonVendor(
                vendor_name,
                server.url,
                size=data.draw(st.integers(1, 3)),
                covers=data.draw(st.sampled_from(["abcdef", "abc"])),
            )
            vendors.append(vendor)
        for vendor in vendors:
            for size in range(1, 4):
                for group in itertools.combinations(names, size):
                    fate = data.draw(st.sampled_from(FATES))
                    content = {
                        "good": body("".join(group)),
                        "empty": body(""),
                        "others": body("".join(group[:1]) + "af"),
                    }
                    answer = Answer(content.get(fate, b"garbage"), 404 if fate == "404" else 200)
                    server.serve(f"/{vendor.name}?ids={','.join(group)}", answer)
        results = []
        for order in (names, names[::-1]):
            try:
                fetcher = make_fetcher(tmp_path_factory.mktemp("home"), breaker_failures=1000)
                results.append(Chain("raw_prices", vendors, fetcher).deliver(subjects(order), WINDOW))
            except ProviderError as error:
                results.append(str(error))
    assert results[0] == results[1]
    if isinstance(results[0], str):
        return
    delivery, rows, asked = results[0], {}, {}  # type: ignore[var-annotated]
    for found in delivery.bodies:
        for row in json.loads(found.content)["rows"]:
            if row[0] in names:
                rows.setdefault(row[0], set()).add(found.provider)
        for name in found.asked["ids"].split(","):
            asked.setdefault(name, set()).add(found.provider)
    assert all(len(providers) == 1 for providers in rows.values())
    refused = {one.subject for one in delivery.refusals}
    assert all(name in rows or name in refused or name in asked for name in names)
