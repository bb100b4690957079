"""Sweeps on a real home: the real loop over a small synthetic world, counted before it is seen, broken off and gone on with."""

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from marketbot_assets import backtest_points, tested_runs
from marketbot_assets.backtest import tables_until
from marketbot_assets.backtest_points import STRESS, frames, run_points
from marketbot_assets.backtest_task import Work, larger, run_point, work_of
from marketbot_assets.model_trials import BACKTEST, search, trials
from marketbot_assets.research.history import History
from marketbot_assets.research.loop import opening_account, run_days
from marketbot_assets.research.null_history import NullHistory, successors
from marketbot_assets.research.outcomes import outcomes
from marketbot_assets.research.sweep_table import returns_of
from marketbot_assets.sweep import Swept, sweep
from marketbot_resources.calendars import computed_cutoff
from marketbot_resources.errors import StoreError, UsageError
from marketbot_resources.ledger.record import Json
from marketbot_resources.mandate import Mandate, mandate_of, parse_mandate
from marketbot_resources.parallel import REFUSED, call, fingerprint
from marketbot_resources.store.content import decode, to_frame
from marketbot_resources.store.index import IndexRow
from marketbot_resources.store.lake import Lake
from marketbot_resources.wiring import Ports

ROOT = Path(__file__).parents[2]
WORLD = {"instruments": 12, "exchanges": ["XNYS"], "first": "2016-01-04", "last": "2018-12-28", "seed": 7}
GRID = "periods: [[2018-10-06, 2018-10-10]]\nchange:\n  portfolio.risk_aversion: [2.0, 5.0, 8.0]\n"
FIRST, LAST = dt.date(2018, 10, 8), dt.date(2018, 10, 10)


class Killed(Exception):
    """As if the process had died there."""


class DyingLake(Lake):
    """A store whose process dies when it is about to store its `after`-th backtest."""

    after = 2

    def commit(self, frame, table, part, **more):  # type: ignore[no-untyped-def]
        if table.asset == "backtest":
            self.after -= 1
            if self.after == 0:
                raise Killed
        return super().commit(frame, table, part, **more)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mandate]:
    """A mandate over twelve synthetic names, which the ports find, too."""
    plain = yaml.safe_load((ROOT / "examples" / "synthetic" / "mandate.yaml").read_text(encoding="utf-8"))
    plain["providers"]["synthetic"], plain["universe"]["listings"] = WORLD, {"XNYS": "all"}
    path = tmp_path_factory.mktemp("sweep") / "mandate.yaml"
    path.write_text(yaml.safe_dump(plain), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MARKETBOT_MANDATE", str(path))
        yield parse_mandate(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sweep") / "home"


@pytest.fixture(scope="module")
def broken_off(home: Path, base: Mandate) -> Path:
    """The home of a sweep whose process died between the trial and the rows of its second point."""
    with pytest.raises(Killed):
        sweep(DyingLake(home), Ports(), base, GRID, {}, "local", run_id="first")
    lake = Lake(home)
    assert len(trials(lake.ledger, BACKTEST)) == 2, "each is counted before its rows are stored"
    assert len(list((home / "store" / "backtest").iterdir())) == 1
    return home


@pytest.fixture(scope="module")
def swept(broken_off: Path, base: Mandate) -> tuple[Lake, Swept]:
    lake = Lake(broken_off)
    return lake, sweep(lake, Ports(), base, GRID, {}, "local", run_id="second")


def work(lake: Lake, made: Swept, base: Mandate, **changes: object) -> Work:
    """The work of the grid's second point."""
    mandate = mandate_of({**json.loads(base.canonical()), **changes})
    inputs = str(made.frame["inputs_sha256"].iloc[0])
    return Work(str(lake.home.resolve()), None, inputs, mandate.canonical().decode(), FIRST, LAST)


def test_a_sweep_that_was_broken_off_goes_on_where_it_was(swept: tuple[Lake, Swept]) -> None:
    lake, made = swept
    assert (made.ran, made.stored) == (2, 1)
    assert list(made.frame["state"]) == ["done"] * 3
    assert len(trials(lake.ledger, BACKTEST)) == 3, "the one that died is the same trial"
    assert list(made.frame["trials"]) == [3] * 3


def test_rows_are_those_of_the_loop_over_what_the_providers_serve(swept: tuple[Lake, Swept], base: Mandate) -> None:
    """The way of `marketbot backtest`: no store, no task."""
    lake, made = swept
    assert base.portfolio.risk_aversion == 5.0, "the second point is the base mandate"
    tables = tables_until(Ports(), base, computed_cutoff(base.schedule, LAST), lambda body: body.provider)
    history = History(tables, base, FIRST, LAST)
    alone = outcomes(run_days(history, base, opening_account(base, history)))
    stored = lake.index.newest("backtest", made.frame["backtest"].iloc[1])
    assert stored is not None
    assert lake.load(stored).to_dict("list") == alone.to_dict("list")
    assert alone["fills"].sum() > 0
    assert made.frame["mandate_sha256"].iloc[1] == base.sha256


def test_every_point_proves_where_it_came_from(swept: tuple[Lake, Swept]) -> None:
    """From the table to the object, from its manifest to mandate, bodies and code; the trial has the same names."""
    lake, made = swept
    counted = {trial.spec_sha256: trial for trial in trials(lake.ledger, BACKTEST)}
    for row, read in zip(made.frame.to_dict("records"), made.reads, strict=True):
        version = lake.index.newest("backtest", row["backtest"])
        assert version is not None
        assert (read.file_sha256, version.content_sha256) == (version.file_sha256, row["content_sha256"])
        facts = lake.manifest(version)
        mandate = mandate_of(json.loads(lake.objects.get_blob(row["mandate_sha256"])))
        assert mandate.sha256 == facts["mandate_content_sha256"] == row["mandate_sha256"]
        assert mandate.portfolio.risk_aversion == json.loads(row["parameters"])["portfolio.risk_aversion"]
        blobs = facts["blobs"]
        assert isinstance(blobs, list)
        assert row["inputs_sha256"] in blobs
        assert all(lake.objects.get_blob(str(name)) for name in blobs)
        assert facts["fingerprint"] == dict(fingerprint("marketbot_assets.backtest_task"))
        trial = counted[mandate.sha256]
        kept = json.loads(lake.objects.get_blob(trial.returns))
        assert kept == returns_of(lake.load(version)).tolist()
        found = search(lake, BACKTEST, spec_sha256=mandate.sha256, data_sha256=trial.data_sha256)
        assert (found.includes, found.count) == (True, 3)


def test_a_point_that_cannot_be_run_is_a_trial_with_a_reason(swept: tuple[Lake, Swept], base: Mandate) -> None:
    """A range without a session: no fault of the worker, so the other points go on."""
    lake, made = swept
    saturday, seen = LAST + dt.timedelta(days=5 - LAST.weekday()), list[tuple[int, bool]]()
    own = replace(work(lake, made, base), first=saturday, last=saturday + dt.timedelta(days=1))
    (why,) = run_points(lake, [own], "local", run_id="x", slot="odd", seen=lambda *one: seen.append(one))
    assert isinstance(why, str)
    assert "expected sessions of XNYS" in why
    assert seen == [(0, True)]
    (trial,) = trials(lake.ledger, "odd")
    assert (trial.sharpe, trial.returns) == (None, "")


def test_a_node_that_does_not_see_the_bodies_gives_no_answer(
    swept: tuple[Lake, Swept], base: Mandate, tmp_path: Path
) -> None:
    lake, made = swept
    with pytest.raises(
        StoreError, match=rf"^every node must read {tmp_path}/store \(the same folder\); on .*: store: expected"
    ):
        run_point(replace(work(lake, made, base), home=str(tmp_path)).argument())


def test_a_worker_with_other_code_refuses_a_point(swept: tuple[Lake, Swept], base: Mandate) -> None:
    lake, made = swept
    sender = {**fingerprint("marketbot_assets.backtest_task"), "code": "0123456789abcdef"}
    kind, told = call("marketbot_assets.backtest_task:run_point", json.dumps(work(lake, made, base).argument()), sender)
    assert kind == REFUSED
    assert "for 0123456789abcdef" in str(told)


def test_work_comes_back_from_json_and_every_part_of_it_names_the_rows(
    swept: tuple[Lake, Swept], base: Mandate
) -> None:
    lake, made = swept
    own = replace(work(lake, made, base), costs=2.0, null=3, bucket="s3://b/p")
    argument: Json = json.loads(json.dumps(own.argument()))
    assert work_of(argument) == own
    others = [
        own,
        replace(own, inputs="0" * 64),
        replace(own, first=LAST),
        replace(own, costs=1.0),
        replace(own, null=4),
        larger(own, 10),
    ]
    assert len({backtest_points.key_of(one) for one in others}) == len(others)
    assert backtest_points.key_of(replace(own, home="/elsewhere", bucket=None)) == backtest_points.key_of(own)


def test_a_dearer_market_charges_twice_unknown_to_the_decision_and_scores_of_others_buy_otherwise(
    swept: tuple[Lake, Swept], base: Mandate
) -> None:
    lake, made = swept
    own = replace(work(lake, made, base), first=dt.date(2018, 10, 9))
    cheap, dear = (to_frame(decode(run_point(replace(own, costs=costs).argument()), None)) for costs in (1.0, 2.0))
    assert cheap["planned"].iloc[0] == dear["planned"].iloc[0] > 0
    assert cheap["buys"].iloc[0] == dear["buys"].iloc[0]
    first = int(np.flatnonzero(cheap["fills"])[0])
    assert dear["costs_base"].iloc[first] == pytest.approx(2.0 * cheap["costs_base"].iloc[first], rel=0.02)
    assert dear["nav"].iloc[first] < cheap["nav"].iloc[first]
    null = to_frame(decode(run_point(replace(own, null=1).argument()), None))
    assert null["planned"].iloc[0] > 0
    assert null["nav"].iloc[first] != cheap["nav"].iloc[first], "with the scores of others it buys otherwise"
    assert mandate_of(json.loads(larger(own, 100).mandate)).opening_cash == 100 * base.opening_cash


@settings(max_examples=40)
@given(names=st.lists(st.text(min_size=1, max_size=5), min_size=2, max_size=12, unique=True), seed=st.integers(0, 99))
def test_scores_change_hands_for_good(names: list[str], seed: int) -> None:
    """Nobody keeps its own, everybody's go to somebody, the order of names does not matter, one that leaves moves one other."""
    taken = successors(names, seed)
    assert sorted(taken) == list(range(len(names)))
    assert all(place != other for place, other in enumerate(taken))
    given_to = {name: names[other] for name, other in zip(names, taken, strict=True)}
    turned = names[::-1]
    assert {n: turned[o] for n, o in zip(turned, successors(turned, seed), strict=True)} == given_to
    fewer = names[1:]
    after = {n: fewer[o] for n, o in zip(fewer, successors(fewer, seed), strict=True)}
    assert sum(after[name] != given_to[name] for name in fewer) == 1


def test_only_the_scores_change_hands(swept: tuple[Lake, Swept], base: Mandate) -> None:
    tables = tables_until(Ports(), base, computed_cutoff(base.schedule, LAST), lambda body: "")
    true, null = History(tables, base, FIRST, LAST).at(LAST), NullHistory(tables, base, FIRST, LAST, seed=1).at(LAST)
    scores = set(base.portfolio.score_weights)
    complete = true.features["complete"]
    assert complete.sum() > 2
    for name in true.features.columns:
        old, new = true.features[name], null.features[name]
        if name in scores:
            assert sorted(old[complete]) == sorted(new[complete])
            assert (old[complete] != new[complete]).any()
            assert old[~complete].equals(new[~complete])
        else:
            assert old.equals(new)
    assert true.window is not null.window
    assert np.array_equal(true.window.close, null.window.close, equal_nan=True)


def first_point(lake: Lake, made: Swept) -> tuple[IndexRow, Mandate]:
    row = lake.index.newest("backtest", made.frame["backtest"].iloc[0])
    assert isinstance(row, IndexRow)
    return row, mandate_of(json.loads(lake.objects.get_blob(made.frame["mandate_sha256"].iloc[0])))


def test_what_a_backtest_has_been_through_is_on_record(swept: tuple[Lake, Swept]) -> None:
    """By its own returns and the ledger's count; what needs further backtests is open; the newest answer counts."""
    lake, made = swept
    row, _ = first_point(lake, made)
    assert tested_runs.newest_tested(lake, row.content_sha256) is None
    found = tested_runs.judged(lake, row)
    assert found is not None
    assert (found.trials, found.rows[0].passed, found.backtest) == (3, True, row.content_sha256)
    assert found.open == ("doubled costs", "capacity", "random signal")
    for one in (replace(found, trials=2), found, found):
        tested_runs.record_tested(lake, one)
    assert tested_runs.newest_tested(lake, row.content_sha256) == found
    assert len(lake.ledger.entries(tested_runs.KIND)) == 2


@pytest.mark.long
def test_tests_run_what_they_need_and_count_it_apart(swept: tuple[Lake, Swept], base: Mandate) -> None:
    lake, made = swept
    row, mandate = first_point(lake, made)
    with pytest.raises(UsageError, match="expected the backtest of this mandate"):
        tested_runs.run_tests(lake, row, base, "local", random_runs=0, run_id="t")
    before = len(trials(lake.ledger, BACKTEST))
    found = tested_runs.run_tests(lake, row, mandate, "local", random_runs=1, run_id="t")
    assert tested_runs.newest_tested(lake, row.content_sha256) == found
    assert (len(trials(lake.ledger, BACKTEST)), len(trials(lake.ledger, STRESS))) == (before, 4)
    assert found.open == ()
    assert found.rows[-1].value.endswith("of 1 runs")


def test_what_was_run_as_a_stress_is_a_trial_once_it_may_be_picked(swept: tuple[Lake, Swept], base: Mandate) -> None:
    """Ten times the cash, first to test a capacity, then as the point of a grid: stored rows are counted, too, and once."""
    lake, made = swept
    larger_book = work(lake, made, base, opening_cash=str(base.opening_cash * 10))
    before = len(trials(lake.ledger, BACKTEST))
    (stress,) = run_points(lake, [larger_book], "local", run_id="r", slot=STRESS)
    assert len(trials(lake.ledger, BACKTEST)) == before
    for _ in range(2):
        assert run_points(lake, [larger_book], "local", run_id="r") == [stress]
        assert len(trials(lake.ledger, BACKTEST)) == before + 1


def test_frames_of_outcomes_are_none_where_it_failed(swept: tuple[Lake, Swept]) -> None:
    lake, _ = swept
    assert list(frames(lake, ["ValueError: no"])) == [None]
