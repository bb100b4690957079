"""Two runs of one session in one home: one sends, the other says so in one line; nothing leaves before the head is signed."""

import os
import subprocess
import sys
from typing import Any

import pytest
from command_world import sent_once
from graph_invariants import assert_sound
from graph_world import NEXT, ROOT, Home

from marketbot_resources.clock import machine_now
from marketbot_resources.errors import SignerRefused
from marketbot_resources.mandate import Mandate, parse_mandate
from marketbot_resources.mandate_file import read_mandate_text
from marketbot_resources.model import utc_text
from marketbot_resources.notary import Notarized
from marketbot_resources.store.lake import Lake
from marketbot_resources.wiring import NotaryResource

pytestmark = pytest.mark.graph
LINE = "another run is sending, since "


class _Refusing:
    def __init__(self, lake: Lake) -> None:
        self._lake = lake

    def checkpoint(self) -> Notarized:
        frozen = self._lake.ledger.entries("batch_frozen")[-1]
        assert f"/{NEXT}/" in frozen.key, "the batch that is signed is this session's"
        raise SignerRefused("the signer knows another history")


class RefusingNotary(NotaryResource):
    """It will not sign."""

    def open(self, lake: Lake, mandate: Mandate) -> Any:
        return _Refusing(lake)


def account() -> str:
    return parse_mandate(read_mandate_text()).account.id


def test_nothing_leaves_unsigned_and_one_run_at_a_time_sends(home: Home) -> None:
    """RC-84: a signer that refuses stops the session before its first order. RC-81: so does another run that is sending."""
    assert not home.run(NEXT, {"notary": RefusingNotary()})
    assert (home.sent(NEXT), home.end(NEXT).state) == ({}, "failed")
    assert "knows another history" in home.end(NEXT).reason
    (home.path / "HALT").unlink()
    ledger = home.lake.ledger
    tokens = len(ledger.entries("sending_fence"))
    with ledger.alone(f"sending/{account()}"):
        body = {
            "session": NEXT,
            "batch_no": 1,
            "holder": "another",
            "locked": True,
            "machine_at": utc_text(machine_now()),
        }
        ledger.append("sending_fence", f"{account()}/{tokens + 1}", body)
        assert not home.run(NEXT, only="submissions")
    assert (home.sent(NEXT), home.end(NEXT).state) == ({}, "failed")
    assert LINE in home.end(NEXT).reason
    assert "\n" not in home.end(NEXT).reason
    assert home.run(NEXT, only="submissions")
    assert home.end(NEXT).state == "sent"
    assert len(home.sent(NEXT)) > 3
    assert_sound(home)


@pytest.mark.long
def test_two_commands_at_once(home: Home, undisturbed: Home) -> None:
    """F34: `marketbot run` twice at the same moment: one book, no order twice; whoever lost says why in one line."""
    kernels = {name: value for name, value in os.environ.items() if name.startswith(("OPENBLAS_", "OMP_"))}
    environment = {"PATH": os.environ["PATH"], "MARKETBOT_HOME": str(home.path), **kernels}
    script = [sys.executable, "-W", "ignore", "-m", "marketbot_assets.cli", "run", "--session", NEXT]
    runs = [
        subprocess.Popen(script, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, cwd=ROOT)
        for _ in range(3)
    ]
    said = [run.communicate()[0] for run in runs]
    codes = [run.returncode for run in runs]
    assert 0 in codes, said
    for code, text in zip(codes, said, strict=True):
        assert code == 0 or sum(LINE in line for line in text.splitlines()) == 1, text
    assert home.at_broker() == undisturbed.at_broker()
    assert home.end(NEXT).state == "sent"
    assert sent_once(home)
