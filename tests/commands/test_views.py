"""The commands that look at a home: each on a real home of two sessions, expectations from the files by other means."""

import getpass
import gzip
import hashlib
import json
import sqlite3
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
from views_world import BODY, FIRST, LAST, NEXT, Command, commit, flip, intents, one_line, query, table, tree_root

from marketbot_assets.book.schema import BOOK_STATE, POSITIONS, RECONCILIATION
from marketbot_resources.ledger.sqlite import SqliteLedger

pytestmark = pytest.mark.graph


def with_break(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(outcome="break", message="ten shares are missing")


def class_c(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(text=frame["text"].mask(frame["item"] == "halt_class", "C"))


def test_status_says_where_the_book_stands(finished: Path, marketbot: Command) -> None:
    """Sessions, NAV, cash, orders, ledger and store as the files have them."""
    said = marketbot(finished, "status", "--json")
    view = said.json
    (end,) = query(
        finished / "ledger.sqlite", f"select {BODY} from entry where kind = 'session_end' and key = '{LAST}'"
    )
    assert said.code == 0
    assert view["sessions"] == {
        "first": FIRST,
        "last": LAST,
        "last_state": "sent",
        "last_reason": json.loads(end[0])["reason"],
        "next": NEXT,
    }
    positions = table(finished, "positions", LAST)
    money = positions[positions["kind"] == "CASH"]
    book = view["book"]
    assert book["nav"] == pytest.approx(positions["value_base"].sum(), abs=1e-6)
    assert book["positions"] == (positions["kind"] == "POSITION").sum() > 0
    assert book["invested"] == pytest.approx(1.0 - money["value_base"].sum() / book["nav"], abs=1e-9)
    assert {row["currency"]: Decimal(row["amount"]) for row in book["cash"]} == dict(
        zip(money["currency"], money["amount"], strict=True)
    )
    assert (book["rung"], book["multiple"], book["stop_hits"], book["blocked"]) == ("FULL", 1.0, [], [])
    ((working,),) = query(finished / "broker.sqlite", "select body from state order by seq desc limit 1")
    assert {row["client_order_id"] for row in view["open_orders"]} == set(json.loads(working)["working"])
    assert view["in_doubt_orders"] == []
    records = [bytes(row[0]) for row in query(finished / "ledger.sqlite", "select record from entry order by seq")]
    root = tree_root(records).hex()
    assert view["ledger"] == {"size": len(records), "root": root, "whole": True, "problem": ""}
    assert view["store_objects"] == sum(path.is_file() for path in (finished / "store").rglob("*"))
    assert (view["halt"]["status"], view["failure"], view["fine"]) == ("off", None, True)
    assert view["next"] == f"marketbot run --session {NEXT}"


def test_status_names_the_limits_used_most(finished: Path, marketbot: Command) -> None:
    """Five, the most used first; a cap is used by observed / limit, and no cap of the verdict is used more than the last."""
    shown = marketbot(finished, "status", "--json").json["limits"]
    used = [row["used"] for row in shown]
    assert len(used) == 5
    assert used == sorted(used, reverse=True)
    verdict = table(finished, "risk_verdict", LAST)
    caps = verdict[(verdict["limit"] > 0) & (verdict["headroom"] > 0) & (verdict["observed"] < verdict["limit"])]
    shares = dict(zip(caps["key"], caps["observed"] / caps["limit"], strict=True))
    both = [row for row in shown if row["key"] in shares]
    assert both
    assert all(row["used"] == pytest.approx(shares[row["key"]]) for row in both)
    left_out = [share for key, share in shares.items() if key not in {row["key"] for row in shown}]
    assert max(left_out) <= used[-1] + 1e-12


def test_status_for_people_is_aligned(finished: Path, marketbot: Command) -> None:
    """One fact per line, and the next command at the end."""
    said = marketbot(finished, "status")
    lines = said.out.splitlines()
    assert (said.code, said.err) == (0, "")
    assert lines[-1] == f"{'next':<14}marketbot run --session {NEXT}"
    assert all(len(line) > 14 and line[13] == " " for line in lines)


def test_explain_leads_from_an_order_to_the_bytes(finished: Path, marketbot: Command) -> None:
    """Order, plan, verdict, fills and a chain down to the raw tables; every hash is that of the file that lies there."""
    intent = intents(finished)[0]
    said = marketbot(finished, "explain", intent["client_order_id"][:10], "--json")
    view = said.json
    assert said.code == 0
    assert {name: view["order"][name] for name in intent} == intent
    assert (view["order"]["state"], view["verdict"]["verdict"], view["target"]["status"]) == (
        "FILLED",
        "APPROVED",
        "optimal",
    )
    assert {
        "raw_prices",
        "raw_fx",
        "mandate",
        "return_model",
        "price_history",
        "risk_verdict",
        "order_plan",
        "orders",
    } <= {link["asset"] for link in view["chain"]}
    for link in view["chain"]:
        path = finished / "store" / link["asset"] / link["partition"] / f"{link['file_sha256']}.parquet"
        assert hashlib.sha256(path.read_bytes()).hexdigest() == link["file_sha256"]
    assert view["blobs"]
    for name in view["blobs"]:
        body = gzip.decompress((finished / "store" / "blobs" / name[:2] / f"{name}.gz").read_bytes())
        assert hashlib.sha256(body).hexdigest() == name
    plan = table(finished, "order_plan", FIRST).set_index("client_order_id").loc[intent["client_order_id"]]
    assert (view["plan"]["reason"], view["plan"]["purpose"]) == (plan["reason"], plan["purpose"])


def test_explain_tells_fills_and_their_cost(finished: Path, marketbot: Command) -> None:
    """The fills are the broker's executions; their cost that of the session that learned of them."""
    intent = intents(finished)[0]
    view = marketbot(finished, "explain", intent["client_order_id"], "--json").json
    bodies = [json.loads(row[0]) for row in query(finished / "broker.sqlite", "select body from executions")]
    own = [body for body in bodies if body["client_order_id"] == intent["client_order_id"]]
    assert [(f["execution_id"], Decimal(f["price"]), f["executed_at"]) for f in view["fills"]] == [
        (body["execution_id"], Decimal(body["price"]), body["executed_at"]) for body in own
    ]
    costs = table(finished, "execution_costs", LAST).set_index("execution_id")
    assert own
    assert view["fills"][0]["cost"]["total_base"] == pytest.approx(costs.loc[own[0]["execution_id"], "total_base"])
    events = view["ledger"]["events"]
    assert [event["state"] for event in events] == ["SENDING", "ACKED", "FILLED"]
    assert view["ledger"]["final"]["state"] == "FILLED"


def test_explain_a_currency_leg(finished: Path, marketbot: Command) -> None:
    """A currency leg has a reason and no target of its own; its text names the raw tables, too."""
    leg = intents(finished, "FX")[0]
    assert marketbot(finished, "explain", leg["client_order_id"], "--json").json["target"] is None
    said = marketbot(finished, "explain", leg["client_order_id"])
    assert said.code == 0
    assert leg["reason"] in said.out
    assert "raw_fx" in said.out


@pytest.mark.parametrize("order", ["mb1-zzzzzz", "mb1-zzz", "zzzzzz", "", "mb1-______"])
def test_an_unknown_order_is_one_line(finished: Path, marketbot: Command, order: str) -> None:
    """Exit 2: no such order, too short, not an id, a wildcard."""
    said = marketbot(finished, "explain", order)
    assert said.code == 2
    assert one_line(said)


def test_an_ambiguous_order_is_one_line(home: Path, marketbot: Command) -> None:
    """Two orders that begin alike: exit 2, both named."""
    for name in ("mb1-aaaaaaa2", "mb1-aaaaaaa3"):
        SqliteLedger(home / "ledger.sqlite").append("order_intent", name, {"session": FIRST})
    said = marketbot(home, "explain", "mb1-aaaaaa")
    assert said.code == 2
    assert one_line(said)
    assert "mb1-aaaaaaa2, mb1-aaaaaaa3" in said.err


@pytest.mark.parametrize("asset", ["raw_prices", "risk_verdict", "blobs", "manifests/features"])
def test_a_flipped_byte_is_named(home: Path, marketbot: Command, asset: str) -> None:
    """A table, a body as received, a manifest: exit 1 with the name of what was altered."""
    order = intents(home)[0]["client_order_id"]
    if asset == "blobs":
        name = marketbot(home, "explain", order, "--json").json["blobs"][0]
        path = home / "store" / "blobs" / name[:2] / f"{name}.gz"
    else:
        path = next((home / "store" / asset / FIRST).iterdir())
    flip(path)
    said = marketbot(home, "explain", order)
    assert said.code == 1
    assert one_line(said)
    assert (path.name.split(".")[0][:12]) in said.err


@pytest.mark.parametrize("arguments", [["status"], ["explain", "mb1-aaaaaa"], ["report"], ["resume"], ["reconcile"]])
def test_without_a_home_nothing_is_written(tmp_path: Path, marketbot: Command, arguments: list[str]) -> None:
    """Exit 2, one line, no folder."""
    for more in ([], ["--json"]):
        said = marketbot(tmp_path / "none", *arguments, *more)
        assert said.code == 2
        assert one_line(said)
        assert not (tmp_path / "none").exists()


def test_report_writes_the_stored_page(home: Path, tmp_path: Path, marketbot: Command) -> None:
    """The newest session by default, into the home; another one where --out says; the numbers are those stored."""
    said = marketbot(home, "report", "--json")
    stored = table(home, "daily_report", LAST).iloc[0]
    assert said.code == 0
    assert said.json["path"] == str(home / "reports" / f"{LAST}.html")
    assert Path(said.json["path"]).read_text(encoding="utf-8") == stored["html"]
    assert said.json["summary"] == json.loads(stored["summary_json"])
    out = tmp_path / "deep" / "page.html"
    said = marketbot(home, "report", "--session", FIRST, "--out", str(out))
    assert out.read_text(encoding="utf-8") == table(home, "daily_report", FIRST).iloc[0]["html"]
    assert str(out) in said.out


@pytest.mark.parametrize(
    "arguments", [["--session", NEXT], ["--session", "2018-12-25"], ["--out", "{home}/HALT/page.html"]]
)
def test_a_report_that_cannot_be(home: Path, marketbot: Command, arguments: list[str]) -> None:
    """A session without report, no session at all, a path under a file: exit 2, one line."""
    (home / "HALT").write_text("x", encoding="utf-8")
    said = marketbot(home, "report", *[argument.format(home=home) for argument in arguments])
    assert said.code == 2
    assert one_line(said)


def test_halt_then_resume(home: Path, marketbot: Command) -> None:
    """Halted: status is exit 1. Resumed: exit 0. The ledger has one entry each, also after a second halt."""
    actions = f"select {BODY} from entry where kind = 'operator_action' order by seq"
    for _ in range(2):
        assert marketbot(home, "halt", "--reason", "a doubt", "--json").json["halted"] is True
    said = marketbot(home, "status", "--json")
    assert (said.code, said.json["halt"]) == (1, {"status": "on", "reason": "a doubt", "level": "halt"})
    assert "marketbot resume" in said.json["next"]
    assert marketbot(home, "resume", "--reason", "settled").code == 0
    assert not (home / "HALT").exists()
    assert marketbot(home, "status").code == 0
    halted, resumed = (json.loads(row[0]) for row in query(home / "ledger.sqlite", actions))
    assert halted == {"operator": "cli", "action": "halt", "reason": "a doubt", "n": 1, "user": getpass.getuser()}
    assert resumed.pop("before")["open_orders"] != [], "what the broker said"
    assert resumed == {"operator": "cli", "action": "resume", "reason": "settled", "n": 2, "user": getpass.getuser()}
    assert marketbot(home, "resume").code == 0
    assert len(query(home / "ledger.sqlite", actions)) == 2


def test_halt_works_without_a_home(tmp_path: Path, marketbot: Command) -> None:
    """Only the flag is written; resume takes it away again."""
    assert marketbot(tmp_path / "new", "halt").code == 0
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["HALT"]
    assert marketbot(tmp_path / "new", "resume").code == 0
    assert list((tmp_path / "new").iterdir()) == []


def test_halt_works_when_the_ledger_does_not(home: Path, marketbot: Command) -> None:
    """The flag stands, the failure is said, exit 1; for status such a home is unreadable, exit 2."""
    (home / "ledger.sqlite").write_bytes(b"no database" * 1000)
    said = marketbot(home, "halt", "--reason", "fire", "--json")
    assert (said.code, said.json["halted"], said.json["entry"]) == (1, True, None)
    assert "the ledger was not told" in said.err
    assert json.loads((home / "HALT").read_text(encoding="utf-8")) == {"level": "halt", "reason": "fire"}
    said = marketbot(home, "status")
    assert said.code == 2
    assert one_line(said)


def test_resume_is_refused_with_a_break(home: Path, marketbot: Command) -> None:
    """The last session's reconciliation has a break: exit 1, why in one line, the flag stays and nothing is appended."""
    commit(home, RECONCILIATION, LAST, with_break)
    marketbot(home, "halt")
    before = query(home / "ledger.sqlite", "select count(*) from entry")
    said = marketbot(home, "resume")
    assert said.code == 1
    assert one_line(said)
    assert "ten shares are missing" in said.err
    assert (home / "HALT").exists()
    assert query(home / "ledger.sqlite", "select count(*) from entry") == before
    assert marketbot(home, "resume", "--json").json["resumed"] is False


def test_resume_is_refused_with_an_order_in_doubt(home: Path, marketbot: Command) -> None:
    """An order without an answer: exit 1; status shows it in doubt."""
    order = intents(home, session=LAST)[0]["client_order_id"]
    SqliteLedger(home / "ledger.sqlite").append("order_event", f"{order}/3", {"state": "UNKNOWN", "reason": "silence"})
    marketbot(home, "halt")
    said = marketbot(home, "resume")
    assert said.code == 1
    assert order in said.err
    doubt = marketbot(home, "status", "--json").json["in_doubt_orders"]
    assert [(row["client_order_id"], row["state"]) for row in doubt] == [(order, "UNKNOWN")]


def test_a_broken_chain_is_no_place_to_go_on(home: Path, marketbot: Command) -> None:
    """An altered entry: status exit 1 and shows nothing that rests on it; resume exit 1."""
    connection = sqlite3.connect(home / "ledger.sqlite")
    connection.execute("drop trigger entry_keeps")
    connection.execute("update entry set record = x'7b7d' where kind = 'session_end'")
    connection.commit()
    connection.close()
    said = marketbot(home, "status", "--json")
    assert (said.code, said.json["ledger"]["whole"], said.json["sessions"]) == (1, False, None)
    assert "does not have its leaf hash" in said.json["ledger"]["problem"]
    assert marketbot(home, "status").code == 1
    marketbot(home, "halt")
    said = marketbot(home, "resume")
    assert said.code == 1
    assert "does not have its leaf hash" in said.err


def test_a_class_c_halt_needs_a_reason(home: Path, marketbot: Command) -> None:
    """Without --reason exit 2 and nothing appended; with one the entry is there for the next session, flag or not."""
    commit(home, BOOK_STATE, LAST, class_c)
    said = marketbot(home, "resume")
    assert said.code == 2
    assert one_line(said)
    said = marketbot(home, "resume", "--reason", "the loss is understood", "--json")
    assert said.code == 0
    ((body,),) = query(home / "ledger.sqlite", f"select {BODY} from entry where kind = 'operator_action'")
    assert (json.loads(body)["action"], json.loads(body)["reason"]) == ("resume", "the loss is understood")


@pytest.mark.parametrize(("state", "fine"), [("rejected", 1), ("halted", 1), ("skipped", 0)])
def test_status_follows_how_the_last_session_ended(home: Path, marketbot: Command, state: str, fine: int) -> None:
    """A session after the last one that was rejected or halted is exit 1, a skipped one is not."""
    ledger = SqliteLedger(home / "ledger.sqlite")
    ledger.append("session_cutoff", NEXT, {"session": NEXT, "cutoff_at": f"{NEXT}T23:15:00Z"})
    ledger.append("session_end", NEXT, {"state": state, "reason": "RC-99 says no"})
    said = marketbot(home, "status", "--json")
    assert said.code == fine
    assert (said.json["sessions"]["last_state"], said.json["sessions"]["last_reason"]) == (state, "RC-99 says no")


def test_status_names_the_run_that_failed(home: Path, marketbot: Command) -> None:
    """The newest run failed: exit 1 with step and reason; once a later end is recorded it is over."""
    ledger = SqliteLedger(home / "ledger.sqlite")
    ledger.append("run_failed", f"{NEXT}/run/prices", {"step": "prices", "reason": "run ended at prices: no bars"})
    said = marketbot(home, "status", "--json")
    assert said.code == 1
    assert said.json["failure"] == {"session": NEXT, "step": "prices", "reason": "run ended at prices: no bars"}
    ledger.append("session_end", NEXT, {"state": "skipped", "reason": "run ended at prices: no bars"})
    said = marketbot(home, "status", "--json")
    assert (said.code, said.json["failure"]) == (0, None)


def test_reconcile_is_clean_and_moves_nothing(home: Path, marketbot: Command) -> None:
    """Every position and currency matches, exit 0, and the broker's file has the same rows before and after."""
    rows = "select count(*), (select count(*) from executions) from state"
    before = query(home / "broker.sqlite", rows)
    said = marketbot(home, "reconcile", "--json")
    assert (said.code, said.json["clean"], said.json["session"]) == (0, True, LAST)
    positions = table(home, "positions", LAST)
    assert sorted((row["kind"], row["key"]) for row in said.json["rows"]) == sorted(
        zip(positions["kind"], positions["key"], strict=True)
    )
    assert {row["outcome"] for row in said.json["rows"]} == {"match"}
    assert query(home / "broker.sqlite", rows) == before


def test_reconcile_names_a_break(home: Path, marketbot: Command) -> None:
    """One share more in our book than at the broker: exit 1, and the name."""
    named: list[str] = []

    def one_more(frame: pd.DataFrame) -> pd.DataFrame:
        at = frame.index[frame["kind"] == "POSITION"][0]
        named.append(str(frame.loc[at, "key"]))
        frame.at[at, "quantity"] = frame.at[at, "quantity"] + 1
        return frame

    commit(home, POSITIONS, LAST, one_more)
    said = marketbot(home, "reconcile", "--json")
    assert said.code == 1
    assert [(row["key"], row["difference"]) for row in said.json["rows"] if row["outcome"] == "break"] == [
        (named[0], "1")
    ]
    assert marketbot(home, "reconcile").code == 1
