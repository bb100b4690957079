"""What must hold of any home after any run, whatever went wrong: orders, verdicts, ledger and store tell one story."""

import json

from graph_world import Home

from marketbot_assets.portfolio.order_frame import orders_from_frame
from marketbot_resources.ledger.examine import first_fault


def assert_sound(home: Home) -> None:
    """The ledger's chain verifies; every order at the broker has its intent, its frozen batch and an APPROVED verdict."""
    ledger = home.lake.ledger
    assert first_fault(ledger) is None
    intents = {entry.key: entry.body for entry in ledger.entries("order_intent")}
    frozen = [order["client_order_id"] for e in ledger.entries("batch_frozen") for order in e.body["orders"]]  # type: ignore[union-attr, index, call-overload]
    assert sorted(frozen) == sorted(intents), "each intent belongs to one frozen batch"
    at_broker = home.at_broker()
    assert {name: json.loads(json.dumps(dict(intents[name]))) for name in at_broker} == at_broker
    for session in {str(body["session"]) for body in at_broker.values()}:
        assert home.verdict(session) == "APPROVED", f"orders of {session} were sent without a verdict"
        approved = {order.client_order_id for order in orders_from_frame(home.frame("orders", session))}
        assert set(home.sent(session)) <= approved
    assert set(home.filled()) <= set(intents)
    _assert_tables(home, set(intents))


def _assert_tables(home: Home, intents: set[str]) -> None:
    """Every fill in our tables has its intent; every decision that was replayed came out equal."""
    for asset, part in home.contents():
        if asset == "fills":
            assert set(home.frame("fills", part)["client_order_id"]) <= intents
        if asset == "replay_check":
            replay = home.frame("replay_check", part)
            assert replay["same"].all(), replay.loc[~replay["same"], ["asset", "message"]].to_string()


def assert_nothing_sent(home: Home, session: str, *, state: str) -> None:
    """Not one order of the session at the broker, its end recorded, exit 1."""
    assert home.sent(session) == {}
    assert home.end(session).state == state
    assert not home.result(session, failed=state == "failed").good
    assert_sound(home)
