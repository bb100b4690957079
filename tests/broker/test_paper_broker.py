"""The paper broker's file: seed once, append only, whole after a death at any point, shared by two processes."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from broker_contract import CASH, SHARES
from paper_world import CLOSED, MINUTE, OPENED, SENT, TUESDAY, D, HandMarket, currency_order, mandate, order

from marketbot_resources.broker.paper import PaperBroker
from marketbot_resources.errors import BrokerError, HomeError
from marketbot_resources.model import OrderState, Side

MANDATE = mandate()
TABLES = ("seed", "orders", "order_states", "executions", "events", "state")


def open_broker(path: Path, market: HandMarket | None = None) -> PaperBroker:
    if market is None:
        market = HandMarket()
        market.trade("A", TUESDAY, 10.0)
    return PaperBroker(path / "paper.sqlite", MANDATE, lambda since, until: market)


def seeded(path: Path, market: HandMarket | None = None) -> PaperBroker:
    broker = open_broker(path, market)
    broker.seed(CASH, SHARES, OPENED)
    return broker


def rows(path: Path, query: str) -> list[tuple]:
    connection = sqlite3.connect(path / "paper.sqlite")
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def full(path: Path) -> PaperBroker:
    """An account with a row in every table."""
    market = HandMarket()
    market.trade("A", TUESDAY, 10.0)
    market.happen("CASH_DIVIDEND", amount=0.5)
    broker = seeded(path, market)
    broker.submit(order(), SENT)
    broker.report(OPENED, CLOSED)
    return broker


def test_seed_rules(tmp_path: Path) -> None:
    """Nothing works before the seed; the same seed again changes nothing; another one is an error."""
    broker = open_broker(tmp_path)
    for call in (
        lambda: broker.submit(order(), SENT),
        lambda: broker.report(OPENED, CLOSED),
        lambda: broker.advance(CLOSED),
    ):
        with pytest.raises(BrokerError, match="seed it first"):
            call()
    assert broker.find("o1") is None
    broker.seed(CASH, SHARES, OPENED)
    broker.submit(order(), SENT)
    broker.seed({"USD": D("10000.00")}, SHARES, OPENED)
    for cash, shares, at in ((CASH, {}, OPENED), ({"USD": D(1)}, SHARES, OPENED), (CASH, SHARES, OPENED + MINUTE)):
        with pytest.raises(BrokerError, match="seed"):
            broker.seed(cash, shares, at)
    assert len(broker.report(OPENED, SENT).open_orders) == 1


def test_seed_refuses_negative_shares(tmp_path: Path) -> None:
    """A refused seed leaves the account unseeded."""
    broker = open_broker(tmp_path)
    with pytest.raises(BrokerError, match="not negative"):
        broker.seed(CASH, {"A": D(-1)}, OPENED)
    broker.seed(CASH, SHARES, OPENED)


def test_everything_survives_reopening(tmp_path: Path) -> None:
    """A later process knows orders, fills, events, cash and shares."""
    report = full(tmp_path).report(OPENED, CLOSED)
    again = open_broker(tmp_path).report(OPENED, CLOSED)
    assert again == report
    assert (len(again.executions), len(again.events)) == (1, 1)
    found = open_broker(tmp_path).find("o1")
    assert found is not None
    assert found.state is OrderState.FILLED


@pytest.mark.parametrize("table", TABLES)
def test_tables_are_append_only(tmp_path: Path, table: str) -> None:
    """No row of any table can be changed or deleted."""
    full(tmp_path)
    assert rows(tmp_path, f"select count(*) from {table}")[0][0] > 0
    column = rows(tmp_path, f"select name from pragma_table_info('{table}')")[-1][0]
    for statement in (f"update {table} set {column} = 'x'", f"delete from {table}"):
        connection = sqlite3.connect(tmp_path / "paper.sqlite")
        with pytest.raises(sqlite3.IntegrityError, match="append only"):
            connection.execute(statement)
        connection.close()


def test_states_tell_the_whole_way(tmp_path: Path) -> None:
    """A partial fill leaves ACKED, PARTIAL, EXPIRED; a repeated order leaves nothing."""
    market = HandMarket()
    market.trade("A", TUESDAY, 10.0, volume=3000.0)
    broker = seeded(tmp_path, market)
    broker.submit(order(), SENT)
    before = rows(tmp_path, "select count(*) from state")
    broker.submit(order(), SENT)
    broker.submit(order(quantity="7"), SENT)
    broker.report(OPENED, OPENED)
    assert rows(tmp_path, "select count(*) from state") == before
    broker.report(OPENED, CLOSED)
    states = [state for (state,) in rows(tmp_path, "select state from order_states order by seq")]
    assert states == ["ACKED", "PARTIAL", "EXPIRED"]


def test_a_failing_market_changes_nothing(tmp_path: Path) -> None:
    """What cannot be asked is not booked: the call fails and the next one finds the state before it."""
    seeded(tmp_path).submit(order(), SENT)

    def fails(since: object, until: object) -> HandMarket:
        raise BrokerError("no answer")

    with pytest.raises(BrokerError, match="no answer"):
        PaperBroker(tmp_path / "paper.sqlite", MANDATE, fails).report(OPENED, CLOSED)
    assert len(open_broker(tmp_path).report(OPENED, CLOSED).executions) == 1


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    """A folder that does not exist and a file that is no database are named."""
    with pytest.raises(HomeError, match="absent"):
        open_broker(tmp_path / "absent")
    (tmp_path / "paper.sqlite").write_text("no database, but long enough to be taken for one" * 20)
    with pytest.raises(BrokerError, match=r"paper\.sqlite"):
        open_broker(tmp_path)


def test_the_market_is_asked_for_the_window(tmp_path: Path) -> None:
    """The callable gets the account's instant and the instant of the call, once for several orders."""
    market, asked = HandMarket(), []
    market.rates["GBP"] = 1.25

    def known(since: object, until: object) -> HandMarket:
        asked.append((since, until))
        return market

    seeded(tmp_path)
    broker = PaperBroker(tmp_path / "paper.sqlite", MANDATE, known)
    for number in range(3):
        broker.submit(currency_order(number=str(number)), SENT)
    broker.report(OPENED, CLOSED)
    broker.report(OPENED, OPENED)
    assert asked == [(OPENED, SENT), (OPENED, CLOSED), (CLOSED, CLOSED)]


def child(path: Path, name: str, count: int, report: str) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        str(Path(__file__).with_name("paper_child.py")),
        str(path / "paper.sqlite"),
        name,
        str(count),
        report,
    ]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})


@pytest.mark.parametrize("after", [1, 4, 9])
def test_kill_loses_nothing_that_was_acknowledged(tmp_path: Path, after: int) -> None:
    """After kill -9 every acknowledged order is there, resending all of them makes no order double, cash is conserved."""
    seeded(tmp_path)
    process = child(tmp_path, "k", 500, "")
    assert process.stdout is not None
    acknowledged = [process.stdout.readline().strip() for _ in range(after)]
    process.kill()
    acknowledged += process.stdout.read().split()
    process.stdout.close()
    assert process.wait() == -9
    broker = open_broker(tmp_path)
    assert rows(tmp_path, "pragma integrity_check") == [("ok",)]
    for name in acknowledged:
        found = broker.find(name)
        assert found is not None
        assert found.state is OrderState.ACKED
    resent = len(acknowledged) + 2
    for number in range(resent):
        broker.submit(order(quantity="1", number=f"k-{number}"), SENT)
    report = broker.report(OPENED, CLOSED)
    assert report.positions == {"A": D(50 + resent)}
    assert report.cash == {"USD": D(10000) - 10 * resent}  # a fee of 10 * 1.4 bps = 0.0014 is no cent


def test_two_processes_share_the_account(tmp_path: Path) -> None:
    """Orders of both are all there once, the books agree with them, and both reports advance the account once."""
    seeded(tmp_path)
    children = [child(tmp_path, name, 12, "report") for name in ("x", "y")]
    told = [process.communicate(timeout=60)[0].split() for process in children]
    assert [process.returncode for process in children] == [0, 0]
    assert [lines[-1] for lines in told] == ["reported", "reported"]
    broker = open_broker(tmp_path)
    report = broker.report(OPENED, CLOSED)
    states = [broker.find(f"o{name}-{number}") for name in ("x", "y") for number in range(12)]
    assert all(found is not None for found in states)
    filled = sum(1 for found in states if found is not None and found.state is OrderState.FILLED)
    assert filled == len(report.executions) >= 12
    assert report.positions == {"A": D(50 + filled)}
    assert report.cash == {"USD": D(10000) - 10 * filled}
    assert all(fill.side is Side.BUY for fill in report.executions)
