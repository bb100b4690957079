"""Language models in the whole graph, asked by the real worker over a socket: accepted, changed, too dear, gone; replayed."""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from graph_world import AFTER, NEXT, ROOT, Home, command

sys.path.append(str(Path(__file__).parents[1] / "llm"))

from provider_server import Asked, ProviderServer, Reply

from marketbot_assets.commands.llm import status_lines, status_now
from marketbot_assets.commands.mandate import approve_now
from marketbot_assets.replay import Outcome, Replay
from marketbot_resources.ledger.examine import first_fault
from marketbot_resources.store.inspection import unreferenced

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
def test_asked_changed_and_replayed(
    whole: bool, home: Home, tmp_path: Path, mandate: Path, server: ProviderServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Views, then another model behind the name; rebuilt offline. Whole: the change in a session of its own, and `dark`."""
    with monkeypatch.context() as patch:
        patch.setenv("MARKETBOT_HOME", str(home.path))
        assert approve_now("ask for views")["needed"]
    dark = home.copy(tmp_path / "dark") if whole else None

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
    kept_by_kind(home, row)

    server.script(changed)
    last = AFTER if whole else NEXT  # the short way: the same session is asked again, which changes no order
    assert home.run(AFTER) if whole else home.run(NEXT, only="llm_answers", refetch=True)
    (row,) = home.frame("llm_answers", last).to_dict("records")
    assert (row["outcome"], row["drifted"], row["fingerprint"]) == ("ACCEPTED", True, "fp_2")
    (incident,) = home.lake.ledger.entries("llm_incident")
    assert (incident.body["code"], incident.body["session"]) == ("LLM_MODEL_CHANGED", last)

    server.__exit__()
    assert rebuilt(home, last) == EQUAL
    if dark is not None:
        by_rules(dark, home)
        said = command(home.path, "replay", "--session", NEXT, "--json", mandate=mandate)
        assert said.returncode == 0, said.stderr
        assert json.loads(said.stdout)["proved"] == "bits"
    for place in (home, dark) if dark is not None else (home,):
        assert first_fault(place.lake.ledger) is None
        assert unreferenced(place.lake) == []
        assert KEY not in "".join(str(dict(row.entry().body)) for row in place.lake.ledger.rows())
    with monkeypatch.context() as patch:
        patch.setenv("MARKETBOT_HOME", str(home.path))
        view = status_now(20)
    assert [one["session"] for one in view["sessions"] if one["tries"]] == sorted({NEXT, last})  # type: ignore[attr-defined]
    lines = status_lines(view)
    assert lines[0].startswith("openai gpt-test: key present; knows until 2018-10-31; openai:gpt-test-2018-09@fp_2")
    assert lines[1].startswith("anthropic claude-test: no key: set ANTHROPIC_API_KEY")
    assert KEY not in "".join(lines)


def kept_by_kind(home: Home, row: Mapping[str, object]) -> None:
    """The manifest says which body is the question and which the answer; each is described once, and none was refused."""
    newest = home.lake.index.newest("llm_answers", NEXT)
    assert newest is not None
    manifest = home.lake.manifest(newest)
    kept = {str(one["parser"]): one["blob_sha256"] for one in manifest["kept"]}  # type: ignore[index, union-attr]
    assert kept == {"llm_request/1": row["request_sha256"], "llm_answer/1": row["answer_sha256"]}
    assert manifest["refused_blobs"] == []
    described = [blob.blob_sha256 for blob in home.lake.index.blobs("llm_answers", NEXT)]
    assert len(described) == len(set(described)) == 3  # with the try itself


def by_rules(dark: Home, home: Home) -> None:
    """No provider and no money: the rules stand in, incidents say why, the session ends as the other, and is rebuilt."""
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
    assert rebuilt(dark, NEXT) == EQUAL
