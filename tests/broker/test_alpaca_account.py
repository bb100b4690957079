"""Alpaca's rows as an account at any instant, against a ledger kept by hand; and the server as a process of its own."""

import datetime as dt
import random
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import alpaca_server
import pytest
from alpaca_world import HEADERS, LISTED, QUICK
from hypothesis import given, settings
from hypothesis import strategies as st
from paper_world import OPENED, SENT, order

from marketbot_resources.alpaca_terms import ALPACA_CAPABILITIES
from marketbot_resources.broker.alpaca import AlpacaBroker
from marketbot_resources.broker.alpaca_account import Listings, Told, booked_at, report_of
from marketbot_resources.broker.broker_json import Row
from marketbot_resources.broker.http import BrokerHttp
from marketbot_resources.errors import BrokerError

D = Decimal
START = dt.datetime(2018, 12, 11, 14, 30, tzinfo=dt.UTC)
SECOND = dt.timedelta(seconds=1)
LAST = START + 100 * SECOND

MOVE = st.tuples(
    st.sampled_from(["fill", "bust", "correct", "dividend", "transfer"]),
    st.integers(1, 500),  # shares, or dollars
    st.integers(1, 99_999),  # price in cents
    st.booleans(),  # buy
)


def row(number: int, **fields: object) -> Row:
    at = START + number * SECOND
    common = {"id": f"2018121109{number:07d}::{number}", "symbol": "AAA", "transaction_time": at.isoformat()}
    return {**common, **fields}


def history(moves: list[tuple[str, int, int, bool]]) -> tuple[list[Row], list[tuple[dt.datetime, Decimal, Decimal]]]:
    """(activities, what each moved: instant, shares, cash) by the rules of a bookkeeper, not of the code under test."""
    rows: list[Row] = []
    book: list[tuple[dt.datetime, Decimal, Decimal]] = []
    standing: list[tuple[str, Decimal, Decimal, int]] = []
    for number, (kind, size, cents, buys) in enumerate(moves, start=1):
        at, sign, price = START + number * SECOND, 1 if buys else -1, D(cents) / 100
        if kind in ("bust", "correct") and not standing:
            kind = "fill"
        if kind in ("bust", "correct"):
            old, shares, paid, side = standing.pop()
            fields = {"activity_type": "FILL", "previous_execution_id": old, "side": "buy" if side > 0 else "sell",
                      "qty": str(shares), "order_id": "b1", "type": f"trade_{kind}"}  # fmt: skip
            rows.append(row(number, price=str(price), **fields))
            book.append((at, -side * shares, side * paid))
            if kind == "correct":
                standing.append((str(rows[-1]["id"]), shares, shares * price, side))
                book.append((at, side * shares, -side * shares * price))
        elif kind == "fill":
            fields = {"activity_type": "FILL", "type": "fill", "side": "buy" if buys else "sell", "order_id": "b1"}
            rows.append(row(number, qty=str(size), price=str(price), **fields))
            standing.append((str(rows[-1]["id"]), D(size), size * price, sign))
            book.append((at, D(sign * size), -sign * size * price))
        elif kind == "dividend":
            rows.append(row(number, activity_type="DIV", net_amount=str(price), qty="50"))
            book.append((at, D(0), price))
        else:
            rows.append(row(number, activity_type="JNLS", net_amount="0", qty=str(sign * size)))
            book.append((at, D(sign * size), D(0)))
    return rows, book


@settings(max_examples=150)
@given(st.lists(MOVE, max_size=15), st.integers(0, 16), st.integers(0, 16), st.integers(0, 10_000))
def test_the_account_at_any_instant_is_the_bookkeepers(
    moves: list[tuple[str, int, int, bool]], since: int, until: int, seed: int
) -> None:
    """F06, F08: activities shuffled and repeated; shares and cash of then, and each activity in exactly one window."""
    rows, book = history(moves)
    now = [sum((move[place] for move in book), D(0)) for place in (1, 2)]
    held = D(10_000) + now[0]
    shown = rows * 2
    random.Random(seed).shuffle(shown)
    told = Told(
        {"currency": "USD", "cash": str(now[1])},
        [{"symbol": "AAA", "qty": str(held), "side": "long"}] if held else [],
        [],
        shown,
        {"b1": "mb1-x"},
        LAST,
    )
    first, last = START + since * SECOND, START + until * SECOND
    report = report_of(told, Listings(LISTED), environment="paper", since=first, until=last)
    shares = D(10_000) + sum((move[1] for move in book if move[0] <= last), D(0))
    assert report.positions == ({"A": shares} if shares else {})
    assert report.cash == {"USD": sum((move[2] for move in book if move[0] <= last), D(0))}
    names = [str(r["id"]) for r in rows if first < booked_at(r) <= last and r.get("type") != "trade_bust"]
    assert sorted([x.execution_id for x in report.executions] + [e.event_id for e in report.events]) == names


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("20190524113406977::8efc7b9a", "2019-05-24T15:34:06.977000+00:00"),  # Alpaca's own sample, in summer
        ("20190201011955195::5f596936", "2019-02-01T06:19:55.195000+00:00"),  # in winter
    ],
)
def test_the_instant_in_an_id_is_new_yorks(name: str, expected: str) -> None:
    """Alpaca's sample fill of 15:34:06.977Z has the id 20190524113406977."""
    assert booked_at({"id": name}).isoformat() == expected


@pytest.mark.parametrize("name", ["x", "20191324113406977::a", "2019::a", "20190524113406977"])
def test_an_activity_without_an_instant_is_an_error(name: str) -> None:
    """What has no place in time cannot be booked."""
    with pytest.raises(BrokerError):
        booked_at({"id": name})


BAD: dict[str, dict[str, object]] = {
    "two versions": {
        "rows": [row(1, activity_type="DIV", net_amount="1"), row(1, activity_type="DIV", net_amount="2")]
    },
    "no quantity": {"rows": [row(1, activity_type="FILL", type="fill", side="buy", price="1", order_id="b1")]},
    "negative": {"rows": [row(1, activity_type="FILL", type="fill", side="buy", qty="-1", price="1", order_id="b1")]},
    "no side": {"rows": [row(1, activity_type="FILL", type="fill", side="x", qty="1", price="1", order_id="b1")]},
    "no kind": {
        "rows": [row(1, activity_type="FILL", type="levitated", side="buy", qty="1", price="1", order_id="b1")]
    },
    "currency": {"account": {"currency": "EUR", "cash": "1"}},
    "no cash": {"account": {"currency": "USD", "cash": None}},
    "NaN": {"account": {"currency": "USD", "cash": "NaN"}},
    "position twice": {"positions": [{"symbol": "AAA", "qty": "1"}] * 2},
    "position of nothing": {"positions": [{"symbol": "AAA", "qty": None}]},
}


@pytest.mark.parametrize("name", BAD)
def test_what_contradicts_or_lacks_is_an_error(name: str) -> None:
    """Fail closed: no account is better than a wrong one."""
    case = {"account": {"currency": "USD", "cash": "1"}, "positions": [], "rows": [], **BAD[name]}
    told = Told(case["account"], case["positions"], [], case["rows"], {}, LAST)  # type: ignore[arg-type]
    with pytest.raises(BrokerError):
        report_of(told, Listings(LISTED), environment="paper", since=START, until=LAST)


def test_the_server_outlives_its_clients_and_itself(tmp_path: Path) -> None:
    """A process on a file: killed and started again it knows its orders."""
    state = tmp_path / "alpaca.sqlite"
    known: list[str | None] = []
    for _ in range(2):
        command = [sys.executable, alpaca_server.__file__, "--state", str(state), "--shares", '{"AAA": "50"}']
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            base = process.stdout.readline().split()[-1]
            http = BrokerHttp(base, headers=HEADERS, limits=QUICK)
            broker = AlpacaBroker(
                http,
                lambda: LISTED,
                account=alpaca_server.NUMBER,
                environment="paper",
                capabilities=ALPACA_CAPABILITIES,
            )
            found = broker.find("o1")
            known.append(None if found is None else found.broker_order_id)
            known.append(broker.submit(order(), SENT).broker_order_id)
            assert len(broker.report(OPENED, SENT).open_orders) == 1
        finally:
            process.kill()
            process.communicate()
    assert known[0] is None
    assert known[1] == known[2] == known[3]
