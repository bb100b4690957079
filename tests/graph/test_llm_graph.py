"""Language models in the whole graph, asked by the real worker over a socket: accepted, killed, too dear, changed; replayed."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from graph_world import AFTER, NEXT, ROOT, Home, command

sys.path.append(str(Path(__file__).parents[1] / "llm"))

from provider_server import Asked, ProviderServer, Reply

from marketbot_assets.commands.llm import status_lines, status_now
from marketbot_assets.commands.mandate import approve_now
from marketbot_assets.replay import Outcome, Replay
from marketbot_resources.ledger.examine import first_fault

pytestmark = pytest.mark.graph
KEY = "sk-test-9f8e7d6c5b4a39281706"
CHEAP = {"provider": "openai", "model": "gpt-test", "knowledge_cutoff": "2018-10-31"}
DEAR = {"provider": "anthropic", "model": "claude-test", "knowledge_cutoff": "2018-10-31"}
SECTION = {
    "chain": [
        {**CHEAP, "usd_per_million_input": 2.5, "usd_per_million_output": 10.0},
        {**DEAR, "usd_per_million_input": 1000.0, "usd_per_million_output": 1000.0},
    ],
    "usd_per_day": 0.5,
}
OF_VIEWS = {"context_pack", "llm_answers", "llm_context", "llm_evidence", "forecasts", "target_portfolio", "orders"}


def views(asked: Asked) -> Reply:
    """Ten instruments of the question, each on its first fact; the model as it is named, on its first fingerprint."""
    lines = [json.loads(line) for line in asked.turns[-1][1].splitlines() if line.startswith("{")]
    rows = [line for line in lines if line.get("facts") and "subject" in line][-10:]
    said = [
        {"subject": row["subject"], "score": 0.3, "confidence": 0.6, "evidence": [min(row["facts"])]} for row in rows
    ]
    text = json.dumps({"themes": [], "sentiments": said, "risk_on": None, "quotes": []})
    return Reply(text=text, model="gpt-test-2018-09", fingerprint="fp_1", tokens=(9000, 700))


def changed(asked: Asked) -> Reply:
    """The same under another fingerprint."""
    return Reply(**{**views(asked).__dict__, "fingerprint": "fp_2"})


@pytest.fixture
def mandate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A mandate that asks, and one key."""
    text = (ROOT / "mandate.yaml").read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.startswith("llm: null"))
    path = tmp_path / "mandate.yaml"
    path.write_text(text.replace(line, f"llm: {json.dumps(SECTION)}"), encoding="utf-8")
    monkeypatch.setenv("MARKETBOT_MANDATE", str(path))
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    return path


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ProviderServer]:
    with ProviderServer(views) as running:
        monkeypatch.setenv("MARKETBOT_LLM_URL", running.url)
        yield running


def rebuilt(home: Home, session: str) -> dict[str, Outcome]:
    """What a replay in this process finds of a session's views and what followed from them."""
    return {row.version.asset: row.outcome for row in Replay(home.lake).some(session, OF_VIEWS)}


EQUAL = dict.fromkeys(OF_VIEWS, Outcome.EQUAL)


@pytest.mark.parametrize("whole", [False, pytest.param(True, marks=pytest.mark.long)], ids=["views", "whole"])
def test_asked_changed_killed_and_replayed(
    whole: bool, home: Home, tmp_path: Path, mandate: Path, server: ProviderServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Views, then another model behind the name; in a copy no provider and no money: rules and incidents; all rebuilt offline."""
    with monkeypatch.context() as patch:
        patch.setenv("MARKETBOT_HOME", str(home.path))
        assert approve_now("ask for views")["needed"]
    dark = home.copy(tmp_path / "dark")

    assert home.run(NEXT)
    (asked,) = server.requests
    assert (asked.body["temperature"], asked.body.get("tools")) == (0, None)
    (row,) = home.frame("llm_answers", NEXT).to_dict("records")
    assert (row["outcome"], row["version"], row["tokens_in"]) == (
        "ACCEPTED",
        f"openai:gpt-test-2018-09@fp_1#{row['prompt']}",
        9000,
    )
    assert str(row["cost_usd"])[:6] == "0.0295"  # 9,000 at 2.5 and 700 at 10 dollars per million
    seen = home.frame("llm_context", NEXT)
    assert (set(seen["source"]), set(seen["version"]), len(seen)) == ({"llm"}, {row["version"]}, 10)

    server.script(changed)
    assert home.run(AFTER)
    (row,) = home.frame("llm_answers", AFTER).to_dict("records")
    assert (row["outcome"], row["drifted"], row["fingerprint"]) == ("ACCEPTED", True, "fp_2")
    (incident,) = home.lake.ledger.entries("llm_incident")
    assert (incident.body["code"], incident.body["session"]) == ("LLM_MODEL_CHANGED", AFTER)

    server.__exit__()
    assert dark.run(NEXT)
    tries = dark.frame("llm_answers", NEXT)
    assert list(zip(tries["provider"], tries["outcome"], tries["layer"], strict=True)) == [
        ("openai", "FAILED", "connection"),
        ("anthropic", "FAILED", "budget"),
    ]
    seen = dark.frame("llm_context", NEXT)
    assert set(seen["source"]) == {"fallback"}
    assert set(seen["reason"]) == {"openai gpt-test: connection; anthropic claude-test: budget"}
    assert [entry.body["code"] for entry in dark.lake.ledger.entries("llm_incident")] == ["LLM_BUDGET", "LLM_PROVIDER"]
    assert dark.end(NEXT).state == home.end(NEXT).state

    assert rebuilt(home, AFTER) == rebuilt(dark, NEXT) == EQUAL
    if whole:
        said = command(home.path, "replay", "--session", NEXT, "--json", mandate=mandate)
        assert said.returncode == 0, said.stderr
        assert json.loads(said.stdout)["proved"] == "bits"
    for place in (home, dark):
        assert first_fault(place.lake.ledger) is None
        assert KEY not in "".join(str(dict(row.entry().body)) for row in place.lake.ledger.rows())
    with monkeypatch.context() as patch:
        patch.setenv("MARKETBOT_HOME", str(home.path))
        view = status_now(20)
    assert [one["cost_usd"] > 0 for one in view["sessions"] if one["tries"]] == [True, True]  # type: ignore[attr-defined, operator]
    lines = status_lines(view)
    assert lines[0].startswith("openai gpt-test: key present; knows until 2018-10-31; openai:gpt-test-2018-09@fp_2")
    assert lines[1].startswith("anthropic claude-test: no key: set ANTHROPIC_API_KEY")
    assert KEY not in "".join(lines)
