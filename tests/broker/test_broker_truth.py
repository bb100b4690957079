"""The book-keeping behind the misbehaving servers, by hand-computed numbers."""

import datetime as dt
from decimal import Decimal
from pathlib import Path

import pytest
from broker_truth import Asked, Truth

D = Decimal
START = dt.datetime(2018, 12, 10, 23, 16, tzinfo=dt.UTC)
OPEN = dt.datetime(2018, 12, 11, 14, 30, tzinfo=dt.UTC)


def asked(name: str = "a", side: str = "buy", qty: str = "100", limit: str | None = "10.50", tif: str = "opg") -> Asked:
    price = None if limit is None else D(limit)
    return Asked(name, "A", side, D(qty), "market" if limit is None else "limit", tif, price, None, {})


def truth(path: Path, *, dedupes: bool = True) -> Truth:
    return Truth(path / "t.sqlite", now=START, cash={"USD": "10000"}, shares={"A": "50"}, dedupes=dedupes)


def test_a_fill_moves_cash_to_the_cent_and_survives_reopening(tmp_path: Path) -> None:
    """3 x 9.995 = 29.985 -> 29.98 (half to even); the file keeps it all."""
    one = truth(tmp_path)
    order = one.accept(asked(qty="3"))
    assert order is not None
    one.fill(order["id"], D(3), D("9.995"))
    again = truth(tmp_path)
    assert (again.cash(), again.positions()) == (D("9970.02"), {"A": D(53)})
    assert again.order(order["id"])["status"] == "filled"  # type: ignore[index]


def test_an_auction_fills_what_its_limit_allows_and_the_rest_ends(tmp_path: Path) -> None:
    """Volume 120 at 10.00: the first buy of 100 whole, of the second 20; the third is too cheap."""
    one = truth(tmp_path)
    for name, limit in (("a", "10.50"), ("b", "10.00"), ("c", "9.99")):
        one.accept(asked(name, limit=limit))
    one.print_at(OPEN, "A", "10", "120", "open")
    one.pass_to(OPEN)
    assert [(o["filled"], o["status"]) for o in one.orders()] == [
        ("100", "filled"),
        ("20", "partially_filled"),
        ("0", "new"),
    ]
    one.pass_to(OPEN + dt.timedelta(hours=1))
    assert [o["status"] for o in one.orders()] == ["filled", "expired", "expired"]
    assert one.cash() == D("8800")


@pytest.mark.parametrize(("dedupes", "taken"), [(True, 1), (False, 2)])
def test_a_late_arrival_meets_the_rule_of_its_broker(tmp_path: Path, dedupes: bool, taken: int) -> None:
    """An id that came twice is one order or two, and the late one comes when it is due."""
    one = truth(tmp_path, dedupes=dedupes)
    one.arrive(asked(), 90)
    one.pass_to(START + dt.timedelta(seconds=89))
    assert one.told()["by_client_id"] == {}
    one.accept(asked())
    one.pass_to(START + dt.timedelta(seconds=90))
    assert one.told()["by_client_id"] == {"a": taken}


def test_a_bust_gives_back_and_its_successor_stands(tmp_path: Path) -> None:
    """100 x 10 is taken back, 100 x 9.90 stands."""
    one = truth(tmp_path)
    order = one.accept(asked())
    assert order is not None
    first = one.fill(order["id"], D(100), D(10))
    one.bust(first, "9.90")
    assert (one.cash(), one.positions()) == (D("9010.00"), {"A": D(150)})
    (successor,) = one.fills(standing=True)
    one.bust(successor["id"], None)
    assert (one.cash(), one.positions()) == (D(10000), {"A": D(50)})


def test_events_move_cash_and_shares(tmp_path: Path) -> None:
    """A dividend of 16.75 and a split of two for one on 50 shares."""
    one = truth(tmp_path)
    one.event("DIV", "A", D("16.75"))
    one.event("SPLIT", "A", D(0), D(50))
    assert (one.cash(), one.positions()) == (D("10016.75"), {"A": D(100)})
