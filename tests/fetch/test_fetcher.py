"""The fetcher against a real server that misbehaves: what is retried, what is refused, what is never said."""

import datetime as dt
import logging
import resource
import time as clock
from email.utils import format_datetime
from pathlib import Path

import pytest
from fetch.harness import START, PatientTime, bad, good, make_fetcher, one
from fetch.vendor_server import TROUBLES, Answer, VendorServer

from marketbot_resources.fetch.policy import Failure, Terms
from marketbot_resources.provider import Request, Response

BODY = b'{"close": 1.5}'


def test_a_good_answer_comes_back_as_it_was_sent(tmp_path: Path) -> None:
    """Bytes, status and headers in lower case; cookies are not kept."""
    with VendorServer({"/a?x=1": Answer(BODY, headers=[("ETag", '"7"'), ("Set-Cookie", "s=1")])}) as server:
        answer = good(one(make_fetcher(tmp_path), f"{server.url}/a", params={"x": "1"}))
        assert (answer.status, answer.content, answer.headers["etag"]) == (200, BODY, '"7"')
        assert "set-cookie" not in answer.headers
        assert server.requests[0].headers["accept-encoding"] == "gzip, deflate"
        assert server.requests[0].headers["host"] == f"127.0.0.1:{server.port}"


@pytest.mark.parametrize("trouble", ["429", "500", "502", "503", "504", "reset", "reset-midway", "truncated", "not-http",
                                     "bad-chunks", "chunks-truncated"])  # fmt: skip
def test_what_may_pass_is_tried_again(tmp_path: Path, trouble: str) -> None:
    """429, 5xx and broken connections are tried again, at most `attempts_max` times in all."""
    with VendorServer({"/a": BODY}) as server:
        server.misbehave(trouble, times=2)
        assert good(one(make_fetcher(tmp_path), f"{server.url}/a")).content == BODY
        assert server.asked() == 3
        server.behave()
        server.misbehave(trouble)
        failure = bad(one(make_fetcher(tmp_path / "b"), f"{server.url}/a"))
        assert "(4 attempts)" in failure.reason
        assert server.asked() == 3 + 4


@pytest.mark.parametrize("trouble", ["400", "401", "403", "404", "410", "422", "451", "501", "204", "206", "304"])
def test_what_will_not_pass_is_asked_once(tmp_path: Path, trouble: str) -> None:
    """Any other status than 200 is a failure at once, and its body is kept as evidence."""
    with VendorServer({"/a": BODY}) as server:
        server.misbehave(trouble)
        failure = bad(one(make_fetcher(tmp_path), f"{server.url}/a"))
        assert f"status {trouble}" in failure.reason
        assert failure.response is not None
        assert failure.response.status == int(trouble)
        assert server.asked() == 1


@pytest.mark.parametrize("trouble", ["encoding", "gzip-truncated", "redirect"])
def test_bodies_and_redirects_of_no_use_are_not_tried_again(tmp_path: Path, trouble: str) -> None:
    """An encoding that was not asked for, a packed body without its end, a redirect loop."""
    with VendorServer({"/a": BODY}) as server:
        server.misbehave(trouble)
        assert "expected" in bad(one(make_fetcher(tmp_path), f"{server.url}/a")).reason
        assert server.asked() == (4 if trouble == "redirect" else 1)


@pytest.mark.parametrize("trouble", ["html", "wrong-type", "empty", "duplicate-headers"])
def test_the_content_is_not_judged(tmp_path: Path, trouble: str) -> None:
    """A whole answer of status 200 is handed on, whatever it is: parsers judge it."""
    with VendorServer({"/a": BODY}) as server:
        server.misbehave(trouble)
        answer = good(one(make_fetcher(tmp_path), f"{server.url}/a"))
        assert (answer.content == BODY) == (trouble in ("wrong-type", "duplicate-headers"))
        assert answer.headers.get("x-request-id", "1, 2") == "1, 2"


@pytest.mark.parametrize("trouble", ["gzip-bomb", "deflate-bomb", "endless"])
def test_a_bomb_stops_early(tmp_path: Path, trouble: str) -> None:
    """A body beyond the bound is given up while it arrives: a gigabyte is neither unpacked nor read."""
    terms = Terms(per_second=1e6, body_bytes_max=2_000_000)
    with VendorServer({"/a": BODY}) as server:
        server.misbehave(trouble, argument="1024" if "bomb" in trouble else "")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        failure = bad(one(make_fetcher(tmp_path, default_terms=terms), f"{server.url}/a"))
        assert "at most 2000000 bytes" in failure.reason
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024
        assert server.asked() == 1
    assert server.bytes_sent < (500_000 if "bomb" in trouble else 30_000_000)


@pytest.mark.parametrize(
    ("trouble", "read_seconds", "seconds_max", "reason"),
    [("hang", 0.1, 120.0, "no answer in time (ReadTimeout)"), ("drip", 30.0, 0.15, "no whole answer within 0.15 s")],
)
def test_a_slow_answer_ends_with_its_time(
    tmp_path: Path, trouble: str, read_seconds: float, seconds_max: float, reason: str
) -> None:
    """Silence ends with the read timeout, a drip with the time of one attempt; both are tried again."""
    terms = Terms(per_second=1e6, burst=1000, seconds_max=seconds_max)
    with VendorServer({"/a": BODY}) as server:
        fetcher = make_fetcher(tmp_path, default_terms=terms, read_seconds=read_seconds, attempts_max=2)
        server.misbehave(trouble, times=1)
        assert good(one(fetcher, f"{server.url}/a", params={"n": "1"})).content == BODY
        server.misbehave(trouble)
        assert bad(one(fetcher, f"{server.url}/a")).reason.startswith(f"{reason} (2 attempts)")


def test_a_closed_port_is_a_failure(tmp_path: Path) -> None:
    """Nobody listens: tried again, then given up."""
    with VendorServer({}) as server:
        url = server.url
    assert "the connection failed" in bad(one(make_fetcher(tmp_path), f"{url}/a")).reason


def test_the_wait_a_provider_asks_for_is_kept(tmp_path: Path) -> None:
    """Retry-After in seconds and as a date; nobody else asks that host meanwhile; beyond the bound the request fails."""
    time = PatientTime()
    with VendorServer({"/a": BODY, "/b": BODY}) as server:
        server.misbehave("429", times=1, argument="37")
        good(one(make_fetcher(tmp_path, time), f"{server.url}/a"))
        assert 37 <= max(time.waits) <= 38
        before = time.clock
        server.misbehave("503", times=1, argument=format_datetime(time.now() + dt.timedelta(seconds=61), usegmt=True))
        good(one(make_fetcher(tmp_path, time), f"{server.url}/a"))
        assert 60 <= time.clock - before <= 63
        server.misbehave("429", times=1, argument="3600")
        failure = bad(one(make_fetcher(tmp_path, time), f"{server.url}/a"))
        assert "asks to wait 3600 s, more than 120 s" in failure.reason
        fetcher = make_fetcher(tmp_path, time)
        server.misbehave("429", argument="50", route="/a")
        before = time.clock
        fetcher.fetch_all([Request(f"{server.url}/a")], "vendor", time.clock + 10)
        good(one(fetcher, f"{server.url}/b"))
        assert time.clock - before >= 50


def test_backoff_is_seeded(tmp_path: Path) -> None:
    """The same seed waits the same, another one does not, never beyond base * 2^n."""
    waits = []
    for run, seed in enumerate((1, 1, 2)):
        time = PatientTime()
        with VendorServer({"/a": BODY}) as server:
            server.misbehave("503")
            bad(one(make_fetcher(tmp_path / str(run), time, seed=seed), f"{server.url}/a"))
        waits.append([wait for wait in time.waits if wait > 0.001])
    assert waits[0] == waits[1] != waits[2]
    assert all(wait <= 2.0**n for n, wait in enumerate(waits[0]))


def test_hosts_are_asked_at_their_pace(tmp_path: Path) -> None:
    """Ten requests at two per second with a burst of three take three and a half seconds, all the same."""
    time, terms = PatientTime(), Terms(per_second=2.0, burst=3, connections=10)
    with VendorServer({"/a": BODY}) as server:
        fetcher = make_fetcher(tmp_path, time, default_terms=terms, concurrency=1)
        answers = fetcher.fetch_all([Request(f"{server.url}/a", {"n": str(n)}) for n in range(10)], "vendor")
        assert [good(answer).content for answer in answers] == [BODY] * 10
    assert time.clock - 1000.0 >= 3.5


def test_the_deadline_ends_a_batch(tmp_path: Path) -> None:
    """Requests for which no time is left fail, and are not sent."""
    time = PatientTime()
    with VendorServer({"/a": BODY}) as server:
        fetcher = make_fetcher(tmp_path, time, default_terms=Terms(per_second=1.0, burst=1), batch_seconds=5.0)
        answers = fetcher.fetch_all([Request(f"{server.url}/a", {"n": str(n)}) for n in range(20)], "vendor")
        assert 4 <= sum(isinstance(answer, Response) for answer in answers) <= 6
        assert server.asked() <= 6
        assert time.clock - 1000.0 <= 5.0
        sent = server.asked()
        late = fetcher.fetch_all([Request(f"{server.url}/a", {"n": "21"})], "vendor", time.clock)
        assert "deadline of the batch has passed" in bad(late[0]).reason
        assert server.asked() == sent


def test_the_deadline_ends_what_is_under_way(tmp_path: Path) -> None:
    """An answer that does not come is not waited for: time that the machine measures."""
    with VendorServer({"/a": BODY}) as server:
        server.misbehave("hang")
        started = clock.monotonic()
        failure = bad(one(make_fetcher(tmp_path, batch_seconds=0.2), f"{server.url}/a"))
        assert clock.monotonic() - started < 5.0
        assert "deadline of the batch" in failure.reason


@pytest.mark.parametrize(("connections", "concurrency", "most"), [(2, 8, 2), (8, 3, 3), (1, 1, 1)])
def test_no_more_requests_at_once_than_agreed(tmp_path: Path, connections: int, concurrency: int, most: int) -> None:
    """Per host, and in all."""
    terms = Terms(per_second=1e6, burst=1000, connections=connections)
    with VendorServer({"/a": BODY}, drip_seconds=0.002) as server:
        server.misbehave("drip")
        fetcher = make_fetcher(tmp_path, default_terms=terms, concurrency=concurrency)
        answers = fetcher.fetch_all([Request(f"{server.url}/a", {"n": str(n)}) for n in range(12)], "vendor")
        assert [good(answer).content for answer in answers] == [BODY] * 12
        assert server.open_max == most


def test_no_control_character_comes_through(tmp_path: Path) -> None:
    """A reason ends up in terminals and logs: what a provider says there is printable."""
    with VendorServer({"/a": Answer(b"\x1b[2J\x07 no\x00t \xe2\x80\xae today", 404)}) as server:
        failure = bad(one(make_fetcher(tmp_path), f"{server.url}/a"))
        assert failure.reason.isprintable()
        assert "today" in failure.reason


def test_equal_requests_are_sent_once(tmp_path: Path) -> None:
    """Within a batch and a run; what only the parser is asked does not make a difference; failures are asked again."""
    with VendorServer({"/a": BODY}) as server:
        fetcher = make_fetcher(tmp_path)
        url = f"{server.url}/a"
        pair = [Request(url, {"x": "1"}, asked={"table": table}) for table in ("prices", "actions")]
        assert [good(answer).content for answer in fetcher.fetch_all([*pair, Request(url, {"x": "2"})], "vendor")] == [
            BODY
        ] * 3
        good(one(fetcher, url, params={"x": "1"}))
        assert server.asked() == 2
        server.misbehave("404", times=1)
        bad(one(fetcher, url, params={"x": "3"}))
        good(one(fetcher, url, params={"x": "3"}))
        assert server.asked() == 4
        full = make_fetcher(tmp_path, memo_bytes_max=10)
        good(one(full, url))
        good(one(full, url))
        assert server.asked() == 6


SECRET = "Sq7-canary/+ä key0123456789"


def test_secrets_are_sent_and_never_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Keys by parameter and header arrive; nothing that comes back or is logged holds them, in any form."""
    caplog.set_level(logging.DEBUG)
    plain = "tok-canary-9876543210"
    keys = {"secret_params": {"apikey": "VENDOR_KEY"}, "secret_headers": {"X-Api": "VENDOR_TOKEN"}}
    secrets = {"VENDOR_KEY": SECRET, "VENDOR_TOKEN": plain}
    said: list[object] = []
    with VendorServer({"/a": BODY, "/echo": Answer(f'{{"your key": "{SECRET}"}}'.encode(), 200)}) as server:
        server.serve("/fail", Answer(f"no such key {SECRET}".encode(), 403))
        server.serve("/header", Answer(BODY, headers=[("X-Said", plain)]))
        for path in ("/a", "/echo", "/fail", "/header", "/none"):
            said.append(one(make_fetcher(tmp_path, secrets=secrets), f"{server.url}{path}", **keys))
        for trouble in sorted(set(TROUBLES) - {"hang", "drip", "endless", "gzip-bomb", "deflate-bomb"}):
            server.misbehave(trouble, times=1)
            said.append(one(make_fetcher(tmp_path, secrets=secrets, attempts_max=1), f"{server.url}/a", **keys))
        assert {asked.query["apikey"] for asked in server.requests if "apikey" in asked.query} == {SECRET}
        assert {asked.headers["x-api"] for asked in server.requests} == {plain}
    assert isinstance(said[0], Response)
    assert isinstance(said[1], Failure)
    assert "one of our own secrets" in said[1].reason
    assert said[1].response is None
    text = repr(said) + caplog.text
    for form in ("Sq7", "canary", "0123456789", "9876543210"):
        assert form not in text, form


def test_a_key_that_cannot_be_a_header_is_not_said(tmp_path: Path) -> None:
    """A key with a line break is refused by the client; its error would quote it."""
    secrets = {"VENDOR_TOKEN": "tok-canary\n-9876543210"}
    with VendorServer({"/a": BODY}) as server:
        failure = bad(
            one(make_fetcher(tmp_path, secrets=secrets), f"{server.url}/a", secret_headers={"X": "VENDOR_TOKEN"})
        )
        assert "canary" not in repr(failure)
        assert server.asked() == 0


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    """The variable is in the reason and nothing is sent."""
    with VendorServer({"/a": BODY}) as server:
        fetcher = make_fetcher(tmp_path)
        request = Request(f"{server.url}/a", secret_params={"k": "B_KEY"}, secret_headers={"h": "A_KEY"})
        assert fetcher.lacking([request]) == ["A_KEY", "B_KEY"]
        assert "set B_KEY" in bad(fetcher.fetch_all([request], "vendor")[0]).reason
        assert server.asked() == 0


def test_redirects_stay_on_their_host(tmp_path: Path) -> None:
    """The same host is followed with its keys; another host, port or scheme is not asked."""
    key = {"secret_headers": {"X": "K"}}
    secrets = {"K": "tok-canary-9876543210"}
    with VendorServer({"/a": b"", "/b": BODY}) as server, VendorServer({"/b": BODY}) as other:
        server.misbehave("redirect", times=1, argument="/b")
        assert good(one(make_fetcher(tmp_path, secrets=secrets), f"{server.url}/a", **key)).content == BODY
        assert server.requests[-1].headers["x"] == secrets["K"]
        for target in (f"{other.url}/b", "https://169.254.169.254/b", f"https://127.0.0.1:{server.port}/b", "//[::1]/b",
                       "file:///etc/passwd", "http://u:p@127.0.0.1/b"):  # fmt: skip
            server.behave()
            server.misbehave("redirect", times=1, argument=target)
            assert "expected" in bad(one(make_fetcher(tmp_path, secrets=secrets), f"{server.url}/a", **key)).reason
        assert other.asked() == 0


def test_the_breaker_opens_rests_and_closes(tmp_path: Path) -> None:
    """After five failed requests nothing is sent; after its rest one request is tried: its failure opens it again, its success
    closes it; a new fetcher on the same home knows."""
    time = PatientTime()
    with VendorServer({"/a": BODY}) as server:
        server.misbehave("503")
        fetcher = make_fetcher(tmp_path, time, attempts_max=1)
        answers = fetcher.fetch_all([Request(f"{server.url}/a", {"n": str(n)}) for n in range(30)], "vendor")
        assert server.asked() <= 5 + fetcher.policy.concurrency
        assert "failed in a row" in bad(answers[-1]).reason
        sent = server.asked()
        again = make_fetcher(tmp_path, time, attempts_max=3)
        assert again.refusal("vendor") is not None
        assert again.refusal("another") is None
        bad(one(again, f"{server.url}/a"))
        assert server.asked() == sent
        time.pass_by(301)
        assert again.refusal("vendor") is None
        again.fetch_all([Request(f"{server.url}/a", {"n": str(n)}) for n in range(30)], "vendor")
        assert server.asked() == sent + 1
        server.behave()
        time.pass_by(301)
        answers = fetcher.fetch_all([Request(f"{server.url}/a", {"n": str(n)}) for n in range(30)], "vendor")
        assert all(isinstance(answer, Response) for answer in answers)
        assert server.asked() == sent + 1 + 30


def test_what_a_provider_does_not_have_opens_no_breaker(tmp_path: Path) -> None:
    """Thirty times 404 are no failure of the provider; a refused key is."""
    with VendorServer({}) as server:
        fetcher = make_fetcher(tmp_path)
        fetcher.fetch_all([Request(f"{server.url}/a", {"n": str(n)}) for n in range(30)], "vendor")
        assert server.asked() == 30
        assert fetcher.refusal("vendor") is None
        server.misbehave("401")
        fetcher.fetch_all([Request(f"{server.url}/a", {"m": str(n)}) for n in range(30)], "vendor")
        assert fetcher.refusal("vendor") is not None
        assert server.asked() <= 30 + 5 + fetcher.policy.concurrency


def test_the_daily_limit_is_never_exceeded(tmp_path: Path) -> None:
    """Retries count too; the count lives in the home; the next UTC day starts anew; what the provider says is left is kept."""
    time, terms = PatientTime(), Terms(per_second=1e6, burst=1000, per_day=7)
    answer = Answer(BODY, headers=[("X-RateLimit-Remaining", "42")])
    with VendorServer({"/a": answer}) as server:
        server.misbehave("503", times=2)
        requests = [Request(f"{server.url}/a", {"n": str(n)}) for n in range(20)]
        answers = make_fetcher(tmp_path, time, default_terms=terms).fetch_all(requests, "vendor")
        assert server.asked() == 7
        assert sum(isinstance(answer, Response) for answer in answers) == 5
        assert "7 requests of this UTC day are used up" in bad(make_fetcher(tmp_path, time, default_terms=terms).fetch_all(
            [Request(f"{server.url}/a")], "vendor")[0]).reason  # fmt: skip
        states = make_fetcher(tmp_path).states
        quota = states.quota("vendor", START.date())
        assert (quota.requests, quota.remaining) == (7, 42)
        assert quota.bytes == 5 * len(BODY) + 2 * len(b'{"error":"come back later"}')
        time.pass_by(12 * 3600)
        good(one(make_fetcher(tmp_path, time, default_terms=terms), f"{server.url}/a"))


def test_a_damaged_file_of_states_is_a_failure_that_names_it(tmp_path: Path) -> None:
    """Breakers and limits that cannot be read let nothing pass."""
    with VendorServer({"/a": BODY}) as server:
        fetcher = make_fetcher(tmp_path)
        for file in tmp_path.glob("providers.sqlite*"):
            file.write_bytes(b"not a database" * 1000)
        failure = bad(fetcher.fetch_all([Request(f"{server.url}/a")], "vendor")[0])
        assert "providers.sqlite" in failure.reason
        assert server.asked() == 0


def test_parallel_answers_keep_the_order_of_their_requests(tmp_path: Path) -> None:
    """Two hundred requests, some slow, some tried twice: each gets its own answer."""
    routes = {f"/{n}": str(n).encode() for n in range(200)}
    with VendorServer(routes, drip_seconds=0.001) as server:
        for n in range(0, 200, 20):
            server.misbehave("drip", times=1, route=f"/{n}")
            server.misbehave("503", times=2, route=f"/{n + 7}")
        answers = make_fetcher(tmp_path).fetch_all([Request(f"{server.url}/{n}") for n in range(200)], "vendor")
        assert [good(answer).content for answer in answers] == list(routes.values())
