"""`status` tells in one line where the language models stand; `doctor` what they need, without a key in any line."""

import datetime as dt
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "audit"))
import llm_world as world
from report_world import small_frames, the_mandate

from marketbot_assets.commands import doctor_llm
from marketbot_assets.commands.doctor_llm import llm_findings
from marketbot_assets.commands.llm_state import NOT_NAMED, llm_line, llm_state
from marketbot_assets.insight.schema import FORECASTS, LLM_ANSWERS, LLM_CONTEXT
from marketbot_resources.ledger.record import Json
from marketbot_resources.mandate_llm import Llm, LlmModel
from marketbot_resources.store.index import Origin
from marketbot_resources.store.lake import Lake

PART, TODAY = "2018-12-14", dt.date(2018, 12, 15)
KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


def lake(home: Path, facts: dict[str, Json]) -> Lake:
    """A home with the tables of one session."""
    made = Lake(home)
    for frame, table, extra in (
        (world.context(), LLM_CONTEXT, {}),
        (world.answers(), LLM_ANSWERS, {}),
        (small_frames()["forecasts"], FORECASTS, facts),
    ):
        made.commit(frame, table, PART, reads=[], blobs=[], origin=Origin("test", "test", "", extra))
    return made


def test_one_line_of_status(tmp_path: Path) -> None:
    """Who is asked, the weight and why, tries and cost, the day's budget with an open reservation in full, the incident."""
    home = lake(tmp_path, {"llm_weight": 0.25, "llm_weight_reason": "earned by 80 sessions"})
    for n, code in enumerate(("LLM_WORKER", "LLM_PROVIDER")):
        body: dict[str, Json] = {"session": PART, "code": code, "reason": f"nobody\x1b[31m answered {n}"}
        home.ledger.append("llm_incident", f"{PART}/{code}/1", body)
    home.ledger.append("session_cutoff", PART, {"cutoff_at": "2018-12-15T00:30:00+00:00"})
    home.ledger.append("llm_reserved", "2018-12-15/1", {"request_sha256": "ab", "worst_usd": "0.02"})
    home.ledger.append("llm_reserved", "2018-12-14/1", {"request_sha256": "cd", "worst_usd": "0.4"})
    found = llm_state(home, world.mandate())
    assert found is not None
    assert (found["weight"], found["tries"], found["accepted"], found["cost_usd"]) == (0.25, 3, 1, "0.0042")
    assert llm_line(found) == (
        "openai:gpt-x, then local:tiny-1b: weight 0.25 (earned by 80 sessions); session 2018-12-14: 1 of 3 tries accepted "
        "for 0.0042 US dollars, 0.02 of 0.5 used up on 2018-12-15; last incident 2018-12-14 LLM_PROVIDER: nobody [31m answered 1"
    )


def test_status_without_models_sessions_or_weight(tmp_path: Path) -> None:
    """No model named; named and not asked yet; a weight that is not recorded."""
    assert llm_line(llm_state(Lake(tmp_path / "new"), the_mandate())) == NOT_NAMED
    told = llm_line(llm_state(Lake(tmp_path / "new"), world.mandate()))
    assert told == "openai:gpt-x, then local:tiny-1b: no session has asked yet"
    assert ": weight not known; session 2018-12-14:" in llm_line(llm_state(lake(tmp_path / "old", {}), world.mandate()))


class Silent(BaseHTTPRequestHandler):
    asked: list[tuple[str, dict[str, str]]] = []  # noqa: RUF012 - one list for all requests

    def do_GET(self) -> None:
        Silent.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        self.send_response(302)
        self.send_header("location", "http://evil.example/")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    """A server that answers with a redirect."""
    server = HTTPServer(("127.0.0.1", 0), Silent)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()
    thread.join()


def model(provider: str, **given: object) -> LlmModel:
    named = {"provider": provider, "model": "m", "knowledge_cutoff": "2018-06-01", "usd_per_million_input": 1.0,
             "usd_per_million_output": 1.0}  # fmt: skip
    return LlmModel.model_validate({**named, **given})


def findings(*chain: LlmModel, usd: float = 1.0) -> dict[str, tuple[bool, str, str]]:
    found = llm_findings(Llm(chain=chain, usd_per_day=usd), TODAY)
    return {finding.name: (finding.good, finding.found, finding.mend) for finding in found}


def test_a_local_server_is_asked_whether_it_is_there(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One GET without a key; a redirect is an answer and is not followed; a closed port is none."""
    monkeypatch.setenv("MARKETBOT_LLM_LOCAL_KEY", "sk-local-1234567890")
    Silent.asked.clear()
    free = {"usd_per_million_input": 0.0, "usd_per_million_output": 0.0}
    found = findings(model("local", address=address, **free), usd=0.0)
    assert found["llm local:m"][:2] == (True, f"{address} answers with 302")
    assert found["llm budget"][0], "what costs nothing needs no budget"
    ((path, headers),) = Silent.asked
    assert (path, "authorization" in headers) == ("/v1/models", False)
    assert "sk-local" not in str(found)
    good, told, mend = findings(model("local", address="http://127.0.0.1:9/v1"))["llm local:m"]
    assert (good, told) == (False, "http://127.0.0.1:9/v1 does not answer: ConnectionRefusedError")
    assert mend.startswith("start the model's server")


@pytest.mark.parametrize(
    ("provider", "given", "missing"),
    [
        ("openai", (), "OPENAI_API_KEY"),
        ("anthropic", (), "ANTHROPIC_API_KEY"),
        ("bedrock", ("AWS_ACCESS_KEY_ID",), "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
        ("openai", ("OPENAI_API_KEY",), ""),
        ("bedrock", ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), ""),
    ],
)
def test_keys_are_looked_for_and_never_shown(
    monkeypatch: pytest.MonkeyPatch, provider: str, given: tuple[str, ...], missing: str
) -> None:
    """What is missing is named by its variable; what is there is not shown."""
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)
    for name in given:
        monkeypatch.setenv(name, "sk-secret-value-1234567890")
    more = {"region": "eu-west-1"} if provider == "bedrock" else {}
    good, told, mend = findings(model(provider, **more))[f"llm {provider}:m"]
    assert good == (not missing)
    assert told == (f"no key: {missing} not set" if missing else "its key is set")
    assert mend.startswith("export ")
    assert "sk-secret" not in f"{told}{mend}"


def test_budget_and_cutoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model with a price needs a budget; one that knows today knows what it is asked to judge."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-value-1234567890")
    assert findings(model("openai"), usd=0.0)["llm budget"][0] is False
    assert findings(model("openai"), usd=0.01)["llm budget"][0] is True
    for cutoff, good in (("2018-12-14", True), ("2018-12-15", False), ("2030-01-01", False)):
        found = findings(model("openai", knowledge_cutoff=cutoff))["llm openai:m knowledge"]
        assert found[0] is good
        assert found[1] == f"until {cutoff}; sessions up to then count as no evidence"


def test_the_package_is_the_pinned_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another version is told, with what is expected; without models nothing is looked at."""
    assert findings(model("openai"))["litellm"][0] is True
    monkeypatch.setattr(doctor_llm, "version", lambda _: "1.82.7")
    assert findings(model("openai"))["litellm"][:2] == (False, "1.82.7, 1.110.2 is expected")
    assert llm_findings(None, TODAY) == []
