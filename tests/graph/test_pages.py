"""What people look at: the daily report and Dagster's pages of a home that has run one session, by the auditors' server."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from graphql_world import ask, mutations

from marketbot_assets.markdown_text import cell, quoted

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium")
SESSION, OTHER = "2018-12-24", "2018-12-21"
pytestmark = pytest.mark.graph
no_browser = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed; `make services` installs it")
ALWAYS = {"dagster/row_count", "change", "preview", "file_sha256", "manifest_sha256", "object", "next"}
STATED = {
    "data_quality": {"no_rule_halts"},
    "factor_model": {"portfolios_move_as_forecast"},
    "llm_context": {"asked_models_gave_views"},
    "reconciliation": {"broker_agrees"},
    "replay_check": {"replays_equal"},
    "risk_verdict": {"batch_is_approved", "no_breach_is_open"},
    "submissions": {"nothing_in_doubt"},
    "target_portfolio": {"optimizer_answered"},
}
# the fall of late 2018 after a calm year: every long-only portfolio moved more than half as much again as was forecast
WARNED = {"factor_model": {"portfolios_move_as_forecast"}}
# jobs of their own
NOT_RUN = {
    "backtest",
    "factor_evaluation",
    "intraday_exits",
    "intraday_quotes",
    "parity_check",
    "sweep",
    "wide_features",
}
ASSETS = """{assetNodes{assetKey{path} description groupName kinds owners{__typename} isPartitioned
 metadataEntries{... on TableSchemaMetadataEntry{schema{columns{name type description}}}}
 assetMaterializations(limit: 1){partition metadataEntries{__typename label ... on PathMetadataEntry{path}
  ... on MarkdownMetadataEntry{mdStr} ... on IntMetadataEntry{intValue}}}
 assetChecksOrError{... on AssetChecks{checks{name description blocking executionForLatestMaterialization{status}}}}}}"""
STATE = """{runsOrError{... on Runs{results{id status}}} partitionBackfillsOrError{... on PartitionBackfills{results{id}}}
 workspaceOrError{... on Workspace{locationEntries{updatedTimestamp locationOrLoadError{... on RepositoryLocation{
 repositories{schedules{name scheduleState{status}} sensors{name sensorState{status}}}}}}}}
 assetNodes{assetKey{path} assetMaterializations{runId timestamp}}}"""


def environment(home: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "MARKETBOT_HOME": str(home),
        "DAGSTER_HOME": str(home / "dagster"),
        "HOME": str(home),
    }


def page(address: str) -> str:
    """The page's text after its scripts have run."""
    with tempfile.TemporaryDirectory() as profile:
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
        flags += ["--disable-background-networking", "--disable-component-update", f"--user-data-dir={profile}"]
        command = [str(CHROMIUM), *flags, "--virtual-time-budget=20000", "--dump-dom", address]
        return subprocess.run(command, capture_output=True, text=True, timeout=90, check=False).stdout


def evil(word: str) -> str:
    place = f"evil.example/{word}"
    return (
        f"![x](http://{place}/a.png) [b](http://{place}/b) <img src='http://{place}/c'> http://{place}/d www.{place}/e"
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pages") / "home"
    command = [sys.executable, "-W", "ignore", "-m", "marketbot_assets.cli"]
    for arguments in (["run", "--session", SESSION], ["report"]):
        subprocess.run([*command, *arguments], env=environment(path), cwd=ROOT, check=True, capture_output=True)
    texts = {"control": evil("control"), "cell": cell(evil("cell")), "quoted": quoted(evil("quoted"))}
    told = {name: dg.MetadataValue.md(f"| a |\n|---|\n| {text} |") for name, text in texts.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(path / "dagster"))
        with dg.DagsterInstance.get() as instance:  # the newest event of this asset without a partition
            instance.report_runless_asset_event(dg.AssetMaterialization("raw_news", partition=OTHER, metadata=told))
    return path


def files(home: Path) -> dict[str, str]:
    return {
        path.relative_to(home).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(home.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[str]:
    """The auditors' server of the home. Whatever is asked of it, the home holds the same bytes, and its copy goes with it."""
    before = files(home)
    command = [sys.executable, "-W", "ignore", "-m", "marketbot_assets.cli", "audit-ui", "--port", "0", "--json"]
    copies = home.parent / "copies"
    copies.mkdir()
    told = environment(home) | {"TMPDIR": str(copies), "PYTHONPATH": str(ROOT), "SOME_API_KEY": "canary-Pq72-Lw19"}
    process = subprocess.Popen(command, env=told, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        yield str(json.loads(process.stdout.readline())["address"])
        (copy,) = copies.iterdir()
        (pid,) = [p for p in Path("/proc").glob("[0-9]*") if owns(p, copy)][:1]
        assert b"canary-Pq72-Lw19" not in (pid / "environ").read_bytes()
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
        process.stdout.close()
    assert files(home) == before
    assert list(copies.iterdir()) == []


def owns(process: Path, folder: Path) -> bool:
    try:
        return f"DAGSTER_HOME={folder}\0".encode() in (process / "environ").read_bytes()
    except OSError:
        return False


def nodes(server: str) -> dict[str, dict[str, Any]]:
    return {node["assetKey"]["path"][0]: node for node in ask(server, ASSETS)["data"]["assetNodes"]}


def test_every_asset_says_what_it_is_and_whether_it_is_right(server: str, home: Path) -> None:
    """Description, group, owner, kinds, every column with type and meaning; checks with results; rows, versions, where to go on."""
    found = nodes(server)
    assert len(found) > 50
    for name, node in found.items():
        assert "One row: " in node["description"], name
        assert node["groupName"], name
        assert node["kinds"], name
        assert node["owners"], name
        (columns,) = [entry["schema"]["columns"] for entry in node["metadataEntries"] if "schema" in entry]
        assert all(column["type"] and column["description"] for column in columns), name
        checks = {one["name"]: one for one in node["assetChecksOrError"]["checks"]}
        assert set(checks) == {"matches_schema", *STATED.get(name, ())}, name
        assert {one["name"] for one in checks.values() if one["blocking"]} == {"matches_schema"}, name
        if name in NOT_RUN:
            continue
        told = {one["label"]: one for one in node["assetMaterializations"][0]["metadataEntries"]}
        if name == "raw_news":  # its newest event is the stranger's
            assert set(told) == {"control", "cell", "quoted"}
            continue
        ended = {check: one["executionForLatestMaterialization"]["status"] for check, one in checks.items()}
        assert set(ended.values()) <= {"SUCCEEDED", "FAILED"}, name
        assert {check for check, status in ended.items() if status == "FAILED"} == WARNED.get(name, set()), name
        assert set(told) >= ALWAYS, name
        assert "`marketbot blast-radius " in told["next"]["mdStr"], name
        assert sum(len(json.dumps(one)) for one in told.values() if "svg+xml" not in str(one)) < 20_000, name
        if node["isPartitioned"]:
            assert Path(told["report"]["path"]).read_text(encoding="utf-8").count("<svg") >= 4
            assert Path(told["dossiers"]["path"]) == home / "dossiers" / SESSION / "index.html"
            assert Path(told["dossiers"]["path"]).exists()


def test_the_auditors_server_refuses_every_mutation(server: str) -> None:
    """Every mutation that this version of Dagster has, and those that matter with values that would work elsewhere; then REST."""
    before = ask(server, STATE)
    run = before["data"]["runsOrError"]["results"][0]["id"]
    calls = mutations(server)
    assert {"launchRun", "deleteRun", "wipeAssets", "startSensor", "reloadWorkspace", "setSensorCursor"} <= set(calls)
    for name, call in calls.items():
        answer = ask(server, call)
        result = (answer.get("data") or {}).get(name)
        if result is None:
            assert "UnauthorizedError" in str(answer["errors"]), (name, answer)
        elif name != "setNuxSeen":  # a file of the copy says that the greeting was seen
            several = {"LaunchMultipleRunsResult", "TerminateRunsResult"}
            assert result["__typename"] in {"UnauthorizedError", "PythonError", *several}, (name, answer)
    for call in real_calls(run):
        assert "UnauthorizedError" in str(ask(server, call)), call
    event = json.dumps({"check_name": "matches_schema", "passed": True}).encode()
    for path in ("materialization", "check", "observation"):
        address, told = f"{server}/report_asset_{path}/prices", {"content-type": "application/json"}
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(urllib.request.Request(address, event, told), timeout=60)
        assert refused.value.code == 401
        refused.value.close()
    assert ask(server, STATE) == before


def real_calls(run: str) -> list[str]:
    """Calls that a server which is not read-only would obey."""
    where = 'repositoryLocationName: "marketbot", repositoryName: "__repository__"'
    again = f'executionMetadata: {{rootRunId: "{run}", parentRunId: "{run}"}}'
    params = f'selector: {{{where}, jobName: "daily"}}, mode: "default", runConfigData: "{{}}"'
    several = "launchMultipleRuns"
    event = 'eventType: ASSET_MATERIALIZATION, assetKey: {path: ["prices"]}'
    filled = f'assetSelection: [{{path: ["prices"]}}], partitionNames: ["{SESSION}"]'
    told = "{__typename ... on Error{message}}"
    return [
        f"mutation{{launchRun(executionParams: {{{params}}}){told}}}",
        f"mutation{{{several}(executionParamsList: [{{{params}}}]){{... on LaunchMultipleRunsResult{{{several}Result{told}}}}}}}",
        f"mutation{{launchRunReexecution(executionParams: {{{params}, {again}}}){told}}}",
        f'mutation{{deleteRun(runId: "{run}"){told}}}',
        f'mutation{{wipeAssets(assetPartitionRanges: [{{assetKey: {{path: ["prices"]}}}}]){told}}}',
        f"mutation{{reportRunlessAssetEvents(eventParams: {{{event}}}){told}}}",
        f'mutation{{startSensor(sensorSelector: {{{where}, sensorName: "daily_sensor"}}){told}}}',
        f"mutation{{launchPartitionBackfill(backfillParams: {{{filled}}}){told}}}",
        f"mutation{{reloadWorkspace{told}}}",
    ]


@pytest.mark.browser
@no_browser
def test_the_report_shows_its_sections(home: Path) -> None:
    """The page opens from the disk without a server, with its plots, and says that data are simulated."""
    text = page((home / "reports" / f"{SESSION}.html").as_uri())
    assert f"Session {SESSION}" in text
    assert text.count("<svg") >= 4
    for words in ("APPROVED", "demonstration on partly simulated data", "Limits", "Orders", "Attribution", "not known"):
        assert words.lower() in text.lower()
    for words in (
        "Trading state",
        "nearest to its limit: by sector",
        "R2 factors",
        "What the risk is made of",
        "Kupiec",
    ):
        assert words in text


@pytest.mark.browser
@no_browser
def test_the_graph_and_an_asset_page(server: str) -> None:
    """The lineage page shows the groups; an asset page says what a row is, that its check passed, and what it holds."""
    groups = page(f"{server}/asset-groups")
    for name in (
        "ingestion",
        "normalization",
        "features",
        "insight",
        "book",
        "portfolio",
        "risk",
        "execution",
        "audit",
    ):
        assert name in groups
    asset = page(f"{server}/assets/target_portfolio?view=partitions&partition={SESSION}")
    for words in ("target_portfolio", SESSION, "Materialized", "file_sha256", "mean_variance"):
        assert words in asset
    risk = page(f"{server}/assets/risk_verdict?view=partitions&partition={SESSION}")
    for words in ("trading state", "headroom", "Drawdown ladder (RC-60)"):
        assert words in risk


@pytest.mark.browser
@no_browser
def test_text_of_strangers_is_text_in_the_web_page(server: str) -> None:
    """The web page makes links and images of Markdown; of a headline shown by us it makes neither."""
    text = page(f"{server}/assets/raw_news?view=partitions&partition={OTHER}")
    found = re.findall(r"<(?:a|img)\b[^>]*evil\.example/(\w+)", text)  # in text a bracket is written &lt;
    assert set(found) == {"control"}
    assert "evil.example/cell/a.png" in text
    assert "evil.example/quoted/a.png" in text
