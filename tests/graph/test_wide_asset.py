"""The declared features as an asset: on from a kept state and built in full with the same bits, rebuilt by the replay; no leak."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import dagster as dg
import numpy as np
import pytest
from graph_world import FIRST, QUIET, SECOND, Home

from marketbot_assets import rebuild
from marketbot_assets.alerting import found_now
from marketbot_assets.commands import leakcheck_home
from marketbot_assets.commands.features import build_lines, build_range
from marketbot_assets.commands.leakcheck_home import graph_results, home_rows
from marketbot_assets.definitions import build_definitions
from marketbot_assets.features.catalogue import names
from marketbot_assets.normalization.schema import PRICES
from marketbot_assets.replay import Outcome, Replay, tables
from marketbot_assets.replay_versions import versions
from marketbot_assets.research.wide_layer import GROUP, WideLayer
from marketbot_resources.errors import UsageError
from marketbot_resources.sessions import end_state
from marketbot_resources.store.index import Origin
from marketbot_resources.store.lake import Lake
from marketbot_resources.store.objects import blob_key
from marketbot_resources.store.reader import Reader

pytestmark = pytest.mark.graph
ASSET = "wide_features"


@pytest.fixture(scope="module")
def wide(base: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """The two sessions of the base with their declared features."""
    home = base.copy(tmp_path_factory.mktemp("wide") / "home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MARKETBOT_HOME", str(home.path))
        for session in (FIRST, SECOND):
            made(session)
        yield home


def made(session: str) -> dict[str, dg.MetadataValue]:
    """The page after a run of job `declared`."""
    with dg.DagsterInstance.ephemeral() as instance:
        job = build_definitions().resolve_job_def("declared")
        run = job.execute_in_process(partition_key=session, instance=instance, run_config=QUIET)
    (event,) = run.asset_materializations_for_node(ASSET)
    return dict(event.metadata)


def told(home: Home, session: str) -> str:
    row = home.lake.index.newest(ASSET, session)
    assert row is not None
    return str(home.lake.manifest(row)["made"])


def values(home: Home, session: str) -> np.ndarray:
    return home.frame(ASSET, session)[list(names())].to_numpy()


def test_the_next_session_goes_on_from_the_state_with_the_bits_of_the_whole(wide: Home) -> None:
    """Both as `leakcheck` works them out from tidy rows, by another way to the inputs and without blocks or states."""
    assert told(wide, FIRST) == "in full: no state is kept of the sessions before"
    assert told(wide, SECOND) == f"on from the state of {FIRST}, 1 session"
    found = home_rows(wide.lake)
    assert found is not None
    layer = WideLayer(found[2])
    for session in (FIRST, SECOND):
        day = dt.date.fromisoformat(session)
        expected = layer.make(found[1], [day])[day, GROUP]
        assert list(wide.frame(ASSET, session)["instrument"]) == list(expected.index)
        assert np.array_equal(values(wide, session), expected.to_numpy(), equal_nan=True)


def test_the_replay_builds_in_full_what_went_on_from_a_state(wide: Home) -> None:
    for session in (FIRST, SECOND):
        lake = wide.lake
        (version,) = [
            x for x in versions(lake, session, {name: n for n, name in enumerate(tables())}) if x.asset == ASSET
        ]
        replayed = Replay(lake)._of(version)
        assert (replayed.outcome, replayed.message) == (Outcome.EQUAL, "")


def test_a_version_names_its_state_and_what_it_went_on_from(wide: Home) -> None:
    """The state is a body that the manifest and the blob index name; the version before is among the inputs."""
    lake = wide.lake
    first, second = (lake.index.newest(ASSET, session) for session in (FIRST, SECOND))
    assert first is not None
    assert second is not None
    manifest: Any = lake.manifest(first)
    described = [row.blob_sha256 for row in lake.index.blobs(ASSET, FIRST)]
    assert manifest["state"]["bodies"] == manifest["blobs"] == described
    read = {(x["asset"], x["partition"], x["manifest_sha256"]) for x in lake.manifest(second)["inputs"]}  # type: ignore[union-attr, index, call-overload]
    assert (ASSET, FIRST, first.manifest_sha256) in read


def test_a_cut_home_gives_the_same_features(wide: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """`leakcheck` rebuilds the asset without what came after the session."""
    assert ASSET in leakcheck_home.ASSETS
    monkeypatch.setattr(leakcheck_home, "ASSETS", [ASSET])
    found = graph_results(wide.lake, dt.date.fromisoformat(FIRST))
    assert {r.status for r in found if r.output.split(".")[2] in names()} == {"ok"}


def test_the_command_builds_sessions_that_have_their_data(
    wide: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line per session; a session without data and a word that names no place are refused before anything runs."""
    (tmp_path / "dagster").mkdir()
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    first, second = (dt.date.fromisoformat(session) for session in (FIRST, SECOND))
    with pytest.raises(UsageError, match="backfill 2018-12-14 2018-12-14 --data"):
        build_range([first, second, dt.date(2018, 12, 14)], "local", quiet=True)
    with pytest.raises(UsageError, match="workers"):
        build_range([first], "nowhere", quiet=True)
    (line,) = build_lines(build_range([second], "local", quiet=True))
    assert line.startswith(f"{SECOND}  257 features of 65 instruments, 99.")
    assert line.endswith(f"on from the state of {FIRST}, 1 session")


def test_a_restated_row_and_an_altered_state_mean_a_full_build(wide: Home) -> None:
    """The page says why; the values are those of the new rows, and those that a whole state gave."""
    before = values(wide, SECOND)
    lake = wide.lake
    row = lake.index.newest(ASSET, FIRST)
    assert row is not None
    (digest,) = cast("list[str]", lake.manifest(row)["blobs"])
    path = wide.path / "store" / blob_key(digest)
    body = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(body[:-9] + bytes([body[-9] ^ 1]) + body[-8:])
    page = made(SECOND)
    assert str(page["made"].value).startswith("in full: ")
    assert np.array_equal(values(wide, SECOND), before, equal_nan=True)
    path.write_bytes(body)
    restate(Lake(wide.path))
    page = made(SECOND)
    assert page["made"].value == f"in full: prices {FIRST} was restated (state of {FIRST})"
    assert not np.array_equal(values(wide, SECOND), before, equal_nan=True)
    again = rebuild.wide_features(Reader(wide.lake, dt.date.fromisoformat(SECOND), allowed=None), wide.lake.ledger)
    assert np.array_equal(values(wide, SECOND), again[list(names())].to_numpy(), equal_nan=True)


def test_a_failed_run_is_an_alert_and_leaves_the_session_as_it_was(wide: Home) -> None:
    """A session without data: the ledger says at which step and why, once, and `run_failed` of the session is not touched."""
    lake, day = wide.lake, "2018-12-14"
    assert not wide.run(day, job="declared")
    (entry,) = lake.ledger.entries("job_failed")
    assert (entry.key.split("/")[0], entry.body["job"]) == (day, "declared")
    assert str(entry.body["reason"]).startswith(f"{ASSET}: ")
    (alert,) = [one for one in found_now(lake) if one.code == "JOB_FAILED"]
    assert (alert.subject, alert.session) == ("declared", day)
    assert str(entry.body["reason"]) in alert.message
    assert lake.ledger.entries("run_failed", day) == []
    assert end_state(lake.ledger, dt.date.fromisoformat(day)) is None


def restate(lake: Lake) -> None:
    """Another version of the first session's prices, one close 1 % higher."""
    row = lake.index.newest("prices", FIRST)
    assert row is not None
    frame = lake.load(row).copy()
    frame.loc[frame.index[0], "close"] *= 1.01
    lake.commit(frame, PRICES, FIRST, reads=[], blobs=[], origin=Origin("r", row.code_version, row.written_at, {}))
