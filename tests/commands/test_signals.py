"""What a session tells readers outside: equal to what is stored, whole, with its origin, and only once it has ended."""

import hashlib
import json
import math
import sqlite3
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from views_world import FIRST, LAST, Command

from marketbot_assets.alerting import found_now
from marketbot_assets.audit.assets import ASSETS
from marketbot_assets.definitions import defs
from marketbot_assets.signal_hooks import hooks_of, publish_signals
from marketbot_assets.signals import publish, publish_safely, signals_of
from marketbot_resources.errors import UsageError
from marketbot_resources.signal_publisher import HEADER, encoded
from marketbot_resources.store.lake import Lake


def stored(home: Path, asset: str, part: str) -> list[dict[str, Any]]:
    """Rows of the newest object, read past the product."""
    with sqlite3.connect(home / "index.sqlite") as index:
        query = "select uri from lake_index where asset = ? and part = ? order by seq desc limit 1"
        (uri,) = index.execute(query, (asset, part)).fetchone()
    return pq.read_table(home / "store" / uri).to_pylist()


def known(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


@pytest.mark.parametrize("part", [FIRST, LAST])
def test_signals_are_what_is_stored(finished: Path, part: str) -> None:
    """Each instrument of the target and CASH once: score of the forecasts, weight of the target; the weights are a book."""
    header, *told = signals_of(Lake(finished, read_only=True), part)
    targets = {row["instrument"]: row for row in stored(finished, "target_portfolio", part)}
    scores = {row["instrument"]: row["score"] for row in stored(finished, "forecasts", part)}
    tickers = {row["instrument"]: row["ticker"] for row in stored(finished, "instruments", part)}
    assert [one["instrument"] for one in told] == sorted(targets)
    assert (header["instrument"], header["instruments"]) == (HEADER, len(targets))
    for one in told:
        name = one["instrument"]
        assert one["weight_target"] == known(targets[name]["weight_target"])
        assert one["score"] == known(scores.get(name))
        assert one["ticker"] == tickers.get(name, "")
        encoded(one)
    assert "CASH" in targets
    assert sum(one["weight_target"] for one in told) == pytest.approx(1.0, abs=1e-9)  # type: ignore[misc]
    assert {(one["session"], one["synthetic"], one["state"]) for one in [header, *told]} == {(part, True, "sent")}


def test_a_signal_leads_back_to_the_bytes(finished: Path) -> None:
    """Its origin is the manifest of the target, whose own hash is its name and which names the forecasts that were read."""
    header = signals_of(Lake(finished, read_only=True), LAST)[0]
    root = str(header["lineage_root"])
    manifest = (finished / "store" / "manifests" / "target_portfolio" / LAST / f"{root}.json").read_bytes()
    assert hashlib.sha256(manifest).hexdigest() == root
    assert ("forecasts", LAST) in {(one["asset"], one["partition"]) for one in json.loads(manifest)["inputs"]}
    with sqlite3.connect(finished / "ledger.sqlite") as ledger:
        (leaf,) = ledger.execute("select leaf from entry where kind = 'decision' and key = ?", (LAST,)).fetchone()
    assert header["decision"] == leaf.hex()
    assert str(header["model"]).startswith("ridge-to-mandate fitted on")


def test_a_session_without_an_end_tells_nothing(finished: Path) -> None:
    with pytest.raises(UsageError, match="decided and has ended, found 2018-12-31"):
        signals_of(Lake(finished, read_only=True), "2018-12-31")


def test_without_a_table_nothing_is_published(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MARKETBOT_SIGNALS_TABLE", raising=False)
    with pytest.raises(UsageError, match="MARKETBOT_SIGNALS_TABLE"):
        publish(Lake(finished, read_only=True), LAST)


class Log:
    """What a run's log would have been told."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def __getattr__(self, level: str) -> Any:
        return lambda text: self.lines.append((level, text))


def test_a_table_that_cannot_be_reached_is_a_warning(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real publisher, refused: no exception; the ledger says why, and the same failure again is the same alert."""
    for name, value in {
        "MARKETBOT_SIGNALS_TABLE": "signals",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": "not-a-key",
        "AWS_SECRET_ACCESS_KEY": "not-a-secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    lake, log = Lake(home), Log()
    before = lake.ledger.size()
    publish_safely(lake, log, LAST)  # type: ignore[arg-type]
    (level, text) = log.lines[0]
    assert (level, len(log.lines)) == ("warning", 1)
    assert text.startswith(f"signals of {LAST} are not published: the table refused an item: EndpointConnectionError")
    (entry,) = lake.ledger.entries("signals_failed")
    assert (entry.seq, entry.key) == (before, f"{LAST}/1")
    assert str(entry.body["reason"]) in text
    assert [alert.code for alert in found_now(lake) if alert.code == "SIGNALS_FAILED"] == ["SIGNALS_FAILED"]
    publish_safely(lake, log, LAST)  # type: ignore[arg-type]
    assert [one.key for one in lake.ledger.entries("signals_failed")] == [f"{LAST}/1", f"{LAST}/2"]
    assert len([alert for alert in found_now(lake) if alert.code == "SIGNALS_FAILED"]) == 1


def test_it_happens_after_the_last_step_alone() -> None:
    """The session has ended and is sealed when the hook runs: no other asset has it, and none waits for the one that has it."""
    keys = [key for definition in defs.resolve_all_asset_specs() for key in [definition.key.to_user_string()]]
    having = [name for name in keys if publish_signals in (hooks_of(name) or set())]
    assert having == ["proof"]
    graph = defs.resolve_asset_graph()
    (last,) = [key for key in graph.get_all_asset_keys() if key.to_user_string() == "proof"]
    assert graph.get(last).child_keys == set()
    hooks = {hook.name for one in ASSETS if one.key == last for hook in one.hook_defs}
    assert hooks == {"publish_signals", "tell_alerts"}


def test_the_command_shows_and_does_not_publish(finished: Path, marketbot: Command) -> None:
    said = marketbot(finished, "signals", "--json")
    view = json.loads(said.out)
    assert (said.code, view["session"], view["published"]) == (0, LAST, None)
    assert "SIMULATED" in marketbot(finished, "signals", "--session", FIRST).out
    refused = marketbot(finished, "signals", "--publish")
    assert (refused.code, "MARKETBOT_SIGNALS_TABLE" in refused.err) == (2, True)
