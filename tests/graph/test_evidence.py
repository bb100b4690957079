"""What a real home gives away: a proof of each kind of order, and an export; each is checked alone."""

import json
from pathlib import Path

import pytest
from graph_world import FIRST, SECOND, Home, command

from marketbot_resources.auditor import Audit

pytestmark = pytest.mark.graph


def vkey(home: Home) -> str:
    """The log's public key, from the signer's own folder."""
    return (home.path / "signer" / "vkey").read_text(encoding="utf-8").split()[0]


@pytest.mark.parametrize("kind", ["EQUITY", "FX"])
def test_an_order_is_proven(home: Home, tmp_path: Path, kind: str) -> None:
    """From the intent to the bytes as received, signed before it was sent, of the session that decided and what is before it."""
    sent = home.sent(SECOND)
    name = sorted(name for name, body in sent.items() if body["kind"] == kind)[0]
    done = command(home.path, "prove", name, "--json", "--out", str(tmp_path / "proof"))
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["order"], told["sessions"], told["signed_before_sending"], told["not_covered"]) == (
        name,
        [SECOND],
        True,
        [],
    )
    audit = Audit(tmp_path / "proof", [vkey(home)])
    assert audit.faults == []
    assets = {row["asset"] for row in audit.lake.values()}
    decided = {"orders", "risk_verdict", "order_plan", "target_portfolio", "forecasts", "return_model", "book_state"}
    assert (
        decided | {"mandate", "features", "prices", "raw_prices", "raw_fx", "price_history", "account_snapshot"}
        <= assets
    )
    assert audit.described


def test_the_home_is_exported(home: Home, tmp_path: Path) -> None:
    """Both sessions as one archive; the platform's own command and the standalone verifier agree that it is whole."""
    out = tmp_path / "audit.tar"
    done = command(home.path, "export-audit", FIRST, SECOND, "--json", "--out", str(out))
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    intents = home.lake.ledger.entries("order_intent")
    assert (told["sessions"], told["counts"]["orders"]) == ([FIRST, SECOND], len(intents))
    assert told["size"] == home.lake.ledger.size()
    done = command(home.path, "verify", "--export", str(out), "--key", vkey(home), "--json")
    assert done.returncode == 0, done.stdout
    assert json.loads(done.stdout)["fine"] is True
