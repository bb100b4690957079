"""Controls for people, on a real home: what the broker names afterwards decides, and every action stands in the ledger."""

import datetime as dt
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from views_world import BODY, LAST, Command, intents, one_line, query

from marketbot_assets.commands.home import load_mandate
from marketbot_resources.ledger.sqlite import SqliteLedger
from marketbot_resources.model import OrderState, Side, order_from_record
from marketbot_resources.sessions import record_event
from marketbot_resources.wiring import BrokerResource, ClockResource, Ports

pytestmark = pytest.mark.graph
ROW = "update halt set level = '{}', reason = 'from the database'"


def actions(home: Path) -> list[dict[str, Any]]:
    rows = query(home / "ledger.sqlite", f"select {BODY} from entry where kind = 'operator_action' order by seq")
    return [json.loads(row[0]) for row in rows]


def set_row(home: Path, level: str) -> None:
    connection = sqlite3.connect(home / "ledger.sqlite", isolation_level=None)
    assert connection.execute(ROW.format(level)).rowcount == 1
    connection.close()


class AtBroker:
    """The paper broker of a home, at the instant of sending of its last session."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MARKETBOT_HOME", str(home))
        self.broker = BrokerResource().open(load_mandate(), Ports())
        self.at = ClockResource().open().sending(dt.date.fromisoformat(LAST)) + dt.timedelta(seconds=1)

    def open(self, side: Side | None = None) -> list[str]:
        orders = self.broker.report(self.at, self.at).open_orders
        return sorted(o.client_order_id for o in orders if side in (None, o.side))


@pytest.fixture
def desk(home: Path, monkeypatch: pytest.MonkeyPatch) -> AtBroker:
    return AtBroker(home, monkeypatch)


def intent(home: Path, name: str) -> dict[str, Any]:
    entry = SqliteLedger(home / "ledger.sqlite").get("order_intent", name)
    assert entry is not None
    return dict(entry.body)


def test_cancel_all_is_proven_and_told(home: Path, marketbot: Command, desk: AtBroker) -> None:
    """RC-80: the broker names no order afterwards; the entry says what it named before and after, who and why."""
    before = desk.open()
    assert before != []
    said = marketbot(home, "halt", "--level", "cancel-all", "--reason", "a drill")
    assert said.code == 0
    assert f"open orders: {len(before)} canceled, 0 left, by the broker's own report" in said.out
    assert desk.open() == []
    halted, canceled = actions(home)
    assert (halted["action"], halted["reason"], halted["level"]) == ("halt", "a drill", "cancel-all")
    assert (canceled["action"], canceled["operator"], canceled["user"]) == ("cancel", "cli", halted["user"])
    assert canceled["before"]["open_orders"] == canceled["canceled"] == before
    assert (canceled["after"]["open_orders"], canceled["left"], canceled["in_doubt"]) == ([], [], [])
    view = marketbot(home, "status", "--json").json
    assert view["flatten"] == {
        "positions": canceled["after"]["positions_count"],
        "open_orders": 0,
        "flat": canceled["after"]["positions_count"] == 0,
        "problem": "",
    }
    assert "halted by     file HALT (cancel-all)" in marketbot(home, "status").out
    assert marketbot(home, "resume", "--reason", "drill over").code == 0
    assert (actions(home)[-1]["action"], actions(home)[-1]["before"]["open_orders"]) == ("resume", [])


def test_a_broker_that_cannot_be_asked_is_told_with_what_to_do(home: Path, marketbot: Command) -> None:
    """F41: the flag stands, exit 1, one line, an entry; resume is refused for the same reason."""
    (home / "broker.sqlite").write_bytes(b"no database" * 1000)
    said = marketbot(home, "halt", "--level", "cancel-all", "--reason", "fire", "--json")
    assert (said.code, said.json["halted"]) == (1, True)
    assert "open orders may be left" in said.err
    assert "marketbot halt --level cancel-all" in said.err
    assert len(said.err.strip().splitlines()) == 1
    assert [body["action"] for body in actions(home)] == ["halt", "cancel"]
    assert "open orders may be left" in actions(home)[1]["problem"]
    assert "not known" in marketbot(home, "status").out
    said = marketbot(home, "resume", "--reason", "x")
    assert said.code == 1
    assert "the broker could not tell what is open" in said.err
    assert (home / "HALT").exists()


def test_an_order_without_an_answer_may_still_arrive(home: Path, marketbot: Command, desk: AtBroker) -> None:
    """F41: the broker does not know it now; that is no proof, and it is said."""
    ledger = SqliteLedger(home / "ledger.sqlite")
    body = {**intent(home, desk.open()[0]), "client_order_id": "mb1-lost"}
    ledger.append("order_intent", "mb1-lost", body)
    for n, state in enumerate(("SENDING", "UNKNOWN"), start=1):
        ledger.append("order_event", f"mb1-lost/{n}", {"state": state, "at": "2018-12-12T23:16:00Z"})
    said = marketbot(home, "halt", "--level", "cancel-all", "--json")
    assert (said.code, said.json["open_orders"], said.json["in_doubt"]) == (1, [], ["mb1-lost"])
    assert "mb1-lost was sent without an answer and may still arrive" in said.err
    said = marketbot(home, "resume", "--reason", "x")
    assert (said.code, "mb1-lost" in said.err) == (1, True)


def test_resume_names_the_source_that_still_halts(home: Path, marketbot: Command) -> None:
    """RC-80: the file stays, no entry; with the row off it resumes. A row alone halts as well."""
    marketbot(home, "halt", "--reason", "a doubt")
    set_row(home, "reduce-only")
    said = marketbot(home, "resume", "--reason", "x")
    assert said.code == 1
    assert one_line(said)
    assert "database row reduce-only (from the database)" in said.err
    assert (home / "HALT").exists()
    assert [body["action"] for body in actions(home)] == ["halt"]
    (home / "HALT").unlink()
    view = marketbot(home, "status", "--json").json
    assert view["halt"] == {"status": "on", "level": "reduce-only", "reason": "database row: from the database"}
    assert view["halt_sources"] == {"file HALT": "off", "database row": "reduce-only"}
    assert marketbot(home, "resume", "--reason", "x").code == 1
    set_row(home, "off")
    assert marketbot(home, "resume", "--reason", "x").code == 0
    assert marketbot(home, "status").code == 0


def test_doctor_names_every_source(home: Path, marketbot: Command) -> None:
    """What is configured and how it stands."""
    marketbot(home, "status")
    set_row(home, "stop")
    said = marketbot(home, "doctor", "--json")
    found = {row["name"]: row for row in said.json["findings"]}
    assert (found["halt file HALT"]["good"], found["halt database row"]["good"]) == (True, False)
    assert "expected off" in found["halt database row"]["found"]
    assert found["halt flag"]["good"] is False
    assert (found["money"]["good"], found["money"]["found"]) == (True, "paper")


def test_resume_is_refused_for_an_order_that_is_not_ours(home: Path, marketbot: Command, desk: AtBroker) -> None:
    """RC-80: someone else's order at the broker; cancel-all ends it, too."""
    name = next(body["client_order_id"] for body in intents(home, session=LAST))
    made = order_from_record({**intent(home, name), "client_order_id": "by-hand"})
    told = desk.broker.submit(made, desk.at - dt.timedelta(seconds=1))
    assert told.state is OrderState.ACKED, told
    assert "by-hand" in desk.open()
    marketbot(home, "halt", "--reason", "a doubt")
    said = marketbot(home, "resume", "--reason", "x")
    assert said.code == 1
    assert "the broker works order by-hand, which is none of ours" in said.err
    assert marketbot(home, "halt", "--level", "cancel-all").code == 0
    assert marketbot(home, "resume", "--reason", "x").code == 0


def test_resume_is_refused_for_an_order_that_the_ledger_ended(home: Path, marketbot: Command, desk: AtBroker) -> None:
    """RC-80: broker and ledger say opposite things of one order."""
    name = desk.open()[0]
    record_event(SqliteLedger(home / "ledger.sqlite"), name, OrderState.CANCELED, {"reason": "so it was said"})
    marketbot(home, "halt", "--reason", "a doubt")
    said = marketbot(home, "resume", "--reason", "x")
    assert (said.code, f"{name}, which the ledger says has ended" in said.err) == (1, True)


@pytest.mark.parametrize("level", ["cancel-all", "flatten", "halt"])
def test_what_a_level_should_have_ended_forbids_to_resume(
    home: Path, marketbot: Command, desk: AtBroker, level: str
) -> None:
    """RC-80: under cancel-all any open order, under flatten an open buy; a plain halt leaves our orders alone."""
    named = {"cancel-all": desk.open(), "flatten": desk.open(Side.BUY), "halt": []}[level]
    (home / "HALT").write_text(json.dumps({"reason": "by hand", "level": level}), encoding="utf-8")
    said = marketbot(home, "resume", "--reason", "x")
    assert said.code == (1 if named else 0)
    if named:
        assert f"the broker still works order {', '.join(named[:3])}" in said.err


def test_a_flatten_that_another_source_forbids_is_said(home: Path, marketbot: Command, desk: AtBroker) -> None:
    """RC-80: the most severe source counts, so nothing will be sold; buys are canceled all the same."""
    marketbot(home, "status")
    set_row(home, "halt")
    said = marketbot(home, "halt", "--level", "flatten", "--reason", "out")
    assert said.code == 1
    assert "nothing will be sold, because the halt flag stays on" in said.err
    assert desk.open(Side.BUY) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["halt", "--level", "everything"],
        ["halt", "--level", "no-new-runs"],
        ["live", "enable", "--reason", "x"],
        ["live", "enable", "--days", "8", "--reason", "x"],
        ["live", "enable", "--days", "0", "--reason", "x"],
        ["live", "enable", "--days", "one", "--reason", "x"],
        ["live", "enable", "--days", "7"],
        ["live", "enable", "--days", "7", "--reason", "x"],
        ["live", "disable"],
        ["live", "nothing"],
    ],
    ids=lambda arguments: "_".join(arguments),
)
def test_wrong_input_is_one_line_and_exit_2(home: Path, marketbot: Command, arguments: list[str]) -> None:
    """Nothing is written. A level that would let more go, a mandate of paper money."""
    (home / "HALT").write_text('{"reason": "x"}', encoding="utf-8")
    before = query(home / "ledger.sqlite", "select count(*) from entry")
    said = marketbot(home, *arguments)
    assert said.code == 2
    assert one_line(said)
    assert query(home / "ledger.sqlite", "select count(*) from entry") == before


def test_live_show_says_whose_money_it_is(home: Path, marketbot: Command) -> None:
    """The default mandate: paper."""
    said = marketbot(home, "live", "show")
    assert said.code == 0
    assert "may move      paper money: the mandate names no live account" in said.out
    assert "MARKETBOT_LIVE_ACCOUNTS is empty" in said.out
    view = marketbot(home, "live", "show", "--json").json
    assert (view["environment"], view["records"], view["accounts"]) == ("paper", [], [])
