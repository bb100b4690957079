"""The opening balance of a book at a real broker: what the broker holds, at its cost, or a refusal."""

import dataclasses
import datetime as dt
from decimal import Decimal
from pathlib import Path

import pytest

from marketbot_assets.book.frames import state_of
from marketbot_assets.research.opening import from_broker, positions_of, seed_of, states_of
from marketbot_resources.broker.opening_snapshot import OpeningSnapshot, opening_snapshot, record_opening
from marketbot_resources.errors import BrokerError, HaltError
from marketbot_resources.ledger.sqlite import SqliteLedger
from marketbot_resources.mandate import parse_mandate
from marketbot_resources.model import AccountReport, OpenOrder, Side

D = Decimal
BEFORE, AT = dt.date(2018, 12, 11), dt.datetime(2018, 12, 12, 1, tzinfo=dt.UTC)
MANDATE = parse_mandate((Path(__file__).parents[2] / "mandate.yaml").read_text(encoding="utf-8"))
KNOWN = {
    "closes": {"A": 10.0, "B": 4.0},
    "rates": {"USD": 1.0, "GBP": 1.25},
    "currencies": {"A": "USD", "B": "GBP", "C": "USD"},
}


def opened(shares: dict[str, Decimal], costs: dict[str, Decimal] | None = None):  # type: ignore[no-untyped-def]
    cash = {"USD": D("1000.50")}
    return from_broker(MANDATE, BEFORE, cash=cash, shares=shares, costs=costs or {}, **KNOWN)


def test_it_holds_what_the_broker_holds_at_its_cost() -> None:
    """NAV by hand: 1000.50 + 30 * 10 + 20 * 4 * 1.25 = 1400.50; A at the broker's cost, B at the last close."""
    frame = opened({"B": D(20), "A": D(30)}, {"A": D("8.25")})
    assert seed_of(frame) == ({"USD": D("1000.50")}, {"A": D(30), "B": D(20)})
    state = state_of(states_of(frame))
    assert (state.session, state.nav, state.inception_high) == (BEFORE, 1400.5, 1400.5)
    assert [(lot.instrument, lot.quantity, lot.entry_price, lot.extreme) for lot in state.lots] == [
        ("A", D(30), 8.25, 10.0),
        ("B", D(20), 4.0, 4.0),
    ]
    assert positions_of(frame)["value_base"].tolist() == [1000.5, 300.0, 100.0]


@pytest.mark.parametrize(
    ("shares", "message"),
    [({"ALPACA:ZZZ": D(1)}, "ALPACA:ZZZ"), ({"A": D(-1)}, "long position"), ({"C": D(1)}, "known close"), ({"A": D("NaN")}, "A:")],
    ids=["not listed", "short", "no price", "NaN"],
)  # fmt: skip
def test_what_this_book_cannot_hold_refuses_the_opening(shares: dict[str, Decimal], message: str) -> None:
    """Fail closed: a position that nobody decided and nobody can judge is no start of a book."""
    with pytest.raises((HaltError, ArithmeticError), match=message):
        opened(shares)


class Broker:
    """Tells one report."""

    def __init__(self, report: AccountReport) -> None:
        self.told, self.asked = report, 0

    def report(self, since: dt.datetime, until: dt.datetime) -> AccountReport:
        self.asked += 1
        return self.told


COSTS = {"A": D("8.2500"), "GONE": D(1)}
HELD = AccountReport(AT, {"USD": D("1000.50")}, {"A": D(30)}, (), (), (), "paper", AT, average_price=COSTS)


def test_what_it_holds_is_written_down_once(tmp_path: Path) -> None:
    """The balance follows from the ledger: a second run asks nobody, a replay needs no broker."""
    ledger, broker = SqliteLedger(tmp_path / "ledger.sqlite"), Broker(HELD)
    assert opening_snapshot(ledger, "acc") is None
    record_opening(ledger, broker, "acc", AT)  # type: ignore[arg-type]
    broker.told = dataclasses.replace(HELD, cash={"USD": D(5)})
    record_opening(ledger, broker, "acc", AT)  # type: ignore[arg-type]
    assert broker.asked == 1
    assert opening_snapshot(ledger, "acc") == OpeningSnapshot({"USD": D("1000.50")}, {"A": D(30)}, {"A": D("8.25")})


def test_open_orders_refuse_the_opening(tmp_path: Path) -> None:
    """A trade that nobody decided may still happen."""
    working = OpenOrder("by-hand", "A", Side.BUY, D(1), D(9), "USD")
    broker = Broker(dataclasses.replace(HELD, open_orders=(working,)))
    with pytest.raises(BrokerError, match="by-hand"):
        record_opening(SqliteLedger(tmp_path / "ledger.sqlite"), broker, "acc", AT)  # type: ignore[arg-type]
