"""`marketbot leakcheck` on a home: every asset is rebuilt without what came later; it writes nothing; what leaks is one line."""

import datetime as dt
import json

import pandas as pd
import pytest
from graph_world import FIRST, SECOND, Home

from marketbot_assets import rebuild
from marketbot_assets.commands.home import load_mandate
from marketbot_assets.commands.leakcheck import Checked, leakcheck, view_of
from marketbot_assets.commands.leakcheck_home import ASSETS, graph_results, home_rows
from marketbot_assets.commands.leakcheck_text import leakcheck_lines
from marketbot_assets.commands.views_cli import json_value
from marketbot_assets.research.layers import tidy
from marketbot_assets.research.leakcheck import Result
from marketbot_resources.errors import UsageError
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.store.reader import Reader
from marketbot_resources.store.resource import session_from_key

pytestmark = pytest.mark.graph


def test_no_asset_of_a_home_needs_what_came_later(base: Home) -> None:
    """Every asset from tidy tables to orders, rebuilt as if the home ended with the session, has the same bits."""
    found = graph_results(base.lake, None)
    assert [(r.output, r.worst, r.raised) for r in found if r.leaks] == []
    assert {r.output.split(".")[1] for r in found} == set(ASSETS)
    compared = {r.output.split(".")[1] for r in found if r.status == "ok"}
    assert compared >= {"prices", "data_quality", "features", "factor_model", "forecasts", "target_portfolio", "orders"}


def test_an_asset_that_reads_a_later_session_is_named(base: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tomorrow's features in today's, by a reader of tomorrow: found by name, whether the asset answers without it or not."""
    honest = rebuild.features

    def tomorrow(read: Reader, ledger: Ledger) -> pd.DataFrame:
        return Reader(read._lake, session_from_key(SECOND), allowed=None).read("features")

    def either(read: Reader, ledger: Ledger) -> pd.DataFrame:
        later = Reader(read._lake, session_from_key(SECOND), allowed=None)
        return later.read("features") if later.has("features") else honest(read, ledger)

    for leak, raised in ((tomorrow, True), (either, False)):
        monkeypatch.setitem(rebuild.REBUILDS, "features", leak)
        monkeypatch.setattr("marketbot_assets.commands.leakcheck_home.ASSETS", ["features"])
        leaks = [result for result in graph_results(base.lake, session_from_key(FIRST)) if result.leaks]
        assert leaks
        assert all(bool(result.raised) is raised for result in leaks)


def test_a_homes_rows_are_what_it_received(base: Home) -> None:
    """Raw rows normalized again are the tidy rows that the home's readers serve: nothing is missing and nothing is twice."""
    found = home_rows(base.lake)
    assert found is not None
    raw, known, mandate, last = found
    assert last == session_from_key(SECOND)
    again = tidy(raw, mandate, Reader(base.lake, last, allowed=None).cutoff)
    for name in ("prices", "fx", "macro", "fundamentals", "corporate_actions"):
        columns = [column for column in known[name].columns if column != "quarantine"]
        ours, theirs = (
            frame[columns].sort_values(columns[:3], ignore_index=True) for frame in (again[name], known[name])
        )
        pd.testing.assert_frame_equal(ours, theirs, check_exact=True)


def test_the_command_writes_nothing_and_says_what_it_checked(base: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """One feature of a home: six checks, all passed, no byte changed; what does not exist is refused in one line."""
    monkeypatch.setenv("MARKETBOT_HOME", str(base.path))
    before = {path: path.read_bytes() for path in sorted(base.path.rglob("*.sqlite"))}, base.files()
    view = leakcheck(1, "return_5d", SECOND)
    found = {
        row["check"]: (row["output"], row["status"]) for row in json.loads(json.dumps(json_value(view)))["results"]
    }
    checks = ("truncation", "perturbation", "canary", "order", "removal", "warm-up")
    assert found == dict.fromkeys(checks, ("features.return_5d", "ok"))
    assert (view["fine"], view["findings"], view["world"]) == (True, [], str(base.path))
    lines = leakcheck_lines(view)
    assert len(lines) == 8
    assert lines[-1].startswith("result: feature return_5d does not depend on what became known later; 6 rows ok")
    for feature, session in (("return_6d", SECOND), ("return_5d", "2018-12-15"), ("return_5d", "yesterday")):
        with pytest.raises(UsageError, match=r"^[^\n]* expected [^\n]*$"):
            leakcheck(1, feature, session)
    assert before == ({path: path.read_bytes() for path in sorted(base.path.rglob("*.sqlite"))}, base.files())


def test_a_finding_is_one_line() -> None:
    """What leaks stands first in the table and once more as one line with check, cut, place and size; exit code says so."""
    day = dt.date(2018, 11, 14)
    results = [
        Result("truncation", "features.a", 9, 90, 0.0, None, ""),
        Result("truncation", "features.b", 9, 90, 0.25, day, "MB1"),
        Result("warm-up", "features.c", 2, 0, 0.0, None, "", 1e-4),
    ]
    view = view_of(results, Checked({}, {}, load_mandate(), day, None), None, [day])
    lines = leakcheck_lines(view)
    assert not view["fine"]
    assert [line.split()[0] for line in lines[1:4]] == ["leaks", "unverified", "ok"]
    assert lines[4] == (
        "LEAK features.b: truncation at 2018-11-14: MB1 differs by 0.25 (allowed 0); "
        "it depends on rows that this cut may not see"
    )
    assert lines[5].startswith("result: something depends on the future; 1 rows ok, 1 leak, 1 unverified; 1 cuts")
