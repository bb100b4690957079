"""The misbehaving vendor itself: what it says on the wire is what its name promises."""

import socket
import zlib
from pathlib import Path

import pytest
from fetch.vendor_server import TROUBLES, Answer, VendorServer, alpaca, cassette, routes_of, yahoo

WIRE = Path(__file__).parents[2] / "../shared/data/wire"


def raw(server: VendorServer, target: str, *, limit: int = 1 << 20) -> bytes:
    """Every byte that one GET is answered with, until the server hangs up, up to a limit."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        connection.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        parts = []
        while (part := connection.recv(65536)) and (limit := limit - len(part)) > 0:
            parts.append(part)
        return b"".join(parts)


def test_a_route_is_found_with_its_query_in_any_order_and_a_path_with_any_query() -> None:
    """Vendors order parameters as they like; what is no route is a 404; what was asked is kept."""
    with VendorServer({"/a?x=1&y=2": b"both", "/a": b"any", "https://v.com/q?s=1": Answer(b"far", 201)}) as server:
        assert raw(server, "/a?y=2&x=1").endswith(b"both")
        assert raw(server, "/a?y=3").endswith(b"any")
        assert server.local("https://v.com/q?s=1") == f"{server.url}/v.com/q?s=1"
        assert raw(server, "/v.com/q?s=1").startswith(b"HTTP/1.1 201 ")
        assert raw(server, "/v.com/q?s=2").startswith(b"HTTP/1.1 404 ")
        assert [asked.query.get("y") for asked in server.requests] == ["2", "3", None, None]
        assert server.asked("/a") == 2
        assert server.asked() == 4


def test_troubles_are_counted_and_wait_in_line() -> None:
    """`times` troubles, then the next trouble, then the truth; a trouble of one route leaves the others alone."""
    with VendorServer({"/a": b"A", "/b": b"B"}) as server:
        server.misbehave("429", times=2, argument="7", route="/a")
        server.misbehave("empty", times=1, route="/a")
        first = raw(server, "/a")
        assert first.startswith(b"HTTP/1.1 429 ")
        assert b"Retry-After: 7\r\n" in first
        assert raw(server, "/b").endswith(b"\r\n\r\nB")
        assert raw(server, "/a").startswith(b"HTTP/1.1 429 ")
        assert raw(server, "/a").endswith(b"\r\n\r\n")
        assert raw(server, "/a").endswith(b"\r\n\r\nA")


def test_bodies_lie_as_promised() -> None:
    """Truncated bodies are shorter than their length, a bomb is small on the wire and large when opened."""
    with VendorServer({"/a": b'{"a":1}'}) as server:
        server.misbehave("truncated", times=1)
        assert b"content-length: 107\r\n" in raw(server, "/a")
        server.misbehave("gzip-bomb", times=1, argument="8")
        head, _, body = raw(server, "/a").partition(b"\r\n\r\n")
        assert b"Content-Encoding: gzip" in head
        assert len(body) < 20_000
        assert len(zlib.decompress(body, 31)) == 8 << 20
        server.misbehave("duplicate-headers", times=1)
        assert raw(server, "/a").count(b"X-Request-Id: ") == 2
        server.misbehave("redirect", times=1)
        assert b"Location: /a\r\n" in raw(server, "/a")
        server.misbehave("reset", times=1)
        with pytest.raises(ConnectionResetError):
            raw(server, "/a")


@pytest.mark.parametrize(
    "trouble", sorted(set(TROUBLES) - {"hang", "drip", "reset", "gzip-bomb", "deflate-bomb", "endless"})
)
def test_every_trouble_says_something_and_the_next_answer_is_good(trouble: str) -> None:
    """A trouble harms one answer, never the server."""
    with VendorServer({"/a": b'{"a":1}'}) as server:
        server.misbehave(trouble, times=1)
        try:
            assert raw(server, "/a")
        except ConnectionResetError:
            assert trouble == "reset-midway"
        assert raw(server, "/a").endswith(b'{"a":1}')


@pytest.mark.shared_data
@pytest.mark.skipif(not WIRE.is_dir(), reason="needs ../shared/data/wire beside the project")
def test_recorded_traffic_is_served_under_its_addresses() -> None:
    """Cassettes of three vendors and two JSON forms load, and a loaded answer is what the server sends."""
    price = cassette(WIRE / "tiingo" / "ticker_price.yaml")
    assert [(one.method, one.status) for one in price] == [("GET", 200)]
    assert price[0].url == "https://api.tiingo.com/tiingo/daily/GOOGL/prices?format=json&resampleFreq=daily"
    assert len(cassette(WIRE / "fred" / "test_get_series[json].yaml")) == 4
    facts = cassette(WIRE / "sec-edgar" / "submissions_and_tickers_aapl.yaml")
    assert all(one.headers["content-type"].startswith("application/json") for one in facts)
    chart = yahoo(WIRE / "yahoo" / "chart-AAPL-2020-01-01-to-2020-01-03.json")
    assert chart.status == 200
    assert b'"close":[75.0875015258789]' in chart.body
    exchanges = alpaca(WIRE / "alpaca-py" / "exchanges.json")
    assert {one.status for one in exchanges} >= {200, 404}
    with VendorServer(dict(routes_of([*price, chart]))) as server:
        target = server.local(price[0].url).removeprefix(server.url)
        assert raw(server, target).endswith(price[0].body)
