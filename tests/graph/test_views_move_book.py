"""A session whose views have earned their weight: asked by the real worker, tilted, solved twice, capped, judged, told, replayed.

The same below the graph, for every run of the tests: `simulation/test_views_decided.py`.
"""

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from graph_world import AFTER, NEXT, ROOT, SECOND, Home, command

sys.path.append(str(Path(__file__).parents[1] / "llm"))

from injection_campaign import oracle
from provider_server import Asked, ProviderServer, Reply

from marketbot_assets import rebuild
from marketbot_assets.commands.explain import explain
from marketbot_assets.commands.explain_text import explain_lines
from marketbot_assets.commands.mandate import approve_now
from marketbot_assets.insight.prompt import version_of_prompt
from marketbot_assets.insight.schema import LLM_EVIDENCE
from marketbot_assets.portfolio.schema import TARGET_PORTFOLIO
from marketbot_assets.replay import Outcome, Replay
from marketbot_resources.store.index import Origin
from marketbot_resources.store.reader import Reader
from marketbot_resources.store.resource import session_from_key

pytestmark = [pytest.mark.graph, pytest.mark.long]
CASH, LATER = "CASH", "2018-12-18"
NAME, BOOK, GRID = 0.01, 0.05, 1e-6
SECTION = {
    "chain": [
        {
            "provider": "openai",
            "model": "gpt-test",
            "knowledge_cutoff": "2018-10-31",
            "usd_per_million_input": 2.5,
            "usd_per_million_output": 10.0,
        }
    ],
    "usd_per_day": 1.0,
    "tilt_max_per_year": 0.05,
}
FROM_VIEWS = {
    "context_pack",
    "llm_context",
    "llm_evidence",
    "forecasts",
    "target_portfolio",
    "order_plan",
    "risk_verdict",
}
VERSION_OF_VIEWS = f"openai:gpt-test-2018-09@fp_1#{version_of_prompt()}"
PLACE = Origin("test", "0", "", {})


def views(asked: Asked) -> Reply:
    """1 and -1 in turn on every instrument that has a fact, each on its first one, at full confidence."""
    lines = [json.loads(line) for line in asked.turns[-1][1].splitlines() if line.startswith("{")]
    rows = [line for line in lines if line.get("facts") and line.get("is", "").count(",") > 1]
    said = [
        {"subject": row["subject"], "score": (-1.0) ** place, "confidence": 1.0, "evidence": [min(row["facts"])]}
        for place, row in enumerate(rows)
    ]
    text = json.dumps({"themes": [], "sentiments": said, "risk_on": None, "quotes": []})
    return Reply(text=text, model="gpt-test-2018-09", fingerprint="fp_1", tokens=(9000, 2000))


@pytest.fixture
def mandate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A mandate that asks one model."""
    text = (ROOT / "mandate.yaml").read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.startswith("llm: null"))
    path = tmp_path / "mandate.yaml"
    path.write_text(text.replace(line, f"llm: {json.dumps(SECTION)}"), encoding="utf-8")
    monkeypatch.setenv("MARKETBOT_MANDATE", str(path))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-1f2e3d4c5b6a79880917")
    return path


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ProviderServer]:
    with ProviderServer(views) as running:
        monkeypatch.setenv("MARKETBOT_LLM_URL", running.url)
        yield running


@pytest.fixture
def proven(home: Home, mandate: Path, server: ProviderServer, monkeypatch: pytest.MonkeyPatch) -> Home:
    """The base, with a record that gives the views of this very version their whole weight, and NEXT decided with them."""
    with monkeypatch.context() as patch:
        patch.setenv("MARKETBOT_HOME", str(home.path))
        assert approve_now("ask for views")["needed"]
    record = oracle(VERSION_OF_VIEWS)
    home.lake.commit(record, LLM_EVIDENCE, SECOND, reads=[], blobs=[], origin=PLACE)
    assert home.run(NEXT)
    return home


def answers(frame: pd.DataFrame, control: str) -> dict[str, tuple[str, float]]:
    """Key -> (status, observed) of one control."""
    rows = frame[(frame["control"] == control) & (frame["kind"] == "CONTROL")]
    return dict(zip(rows["key"], zip(rows["status"], rows["observed"], strict=True), strict=True))


def orders(frame: pd.DataFrame, column: str) -> dict[str, float]:
    """Order -> quantity in a column of a verdict."""
    rows = frame[frame["kind"] == "ORDER"]
    return dict(zip(rows["key"], rows[column].astype(float), strict=True))


def judged_with(home: Home, folder: Path, without: pd.Series) -> pd.DataFrame:
    """The verdict on the stored plan when someone stores another target without views, in a copy of the home."""
    other = home.copy(folder)
    frame = other.frame("target_portfolio", NEXT).assign(weight_without_llm=without)
    lake = other.lake
    lake.commit(frame, TARGET_PORTFOLIO, NEXT, reads=[], blobs=[], origin=PLACE)
    return rebuild.risk_verdict(Reader(lake, session_from_key(NEXT), allowed=None), lake.ledger)


def test_views_that_have_earned_it_move_weights_within_the_cap(proven: Home, tmp_path: Path, mandate: Path) -> None:
    """1 and -1 in turn by 5 % a year: tilted, two targets, within 1 % and 5 %, judged, told, replayed; forgers buy nothing."""
    forecasts = proven.frame("forecasts", NEXT).set_index("instrument")
    known = forecasts[forecasts["expected_return"].notna()]
    assert set(known["llm_tilt"].round(9)) == {0.05, -0.05}
    assert (known["llm_tilt"] == 0.05 * known["llm_view"]).all()
    told = proven.lake.manifest(proven.lake.index.newest("forecasts", NEXT))  # type: ignore[arg-type]
    assert (told["llm_weight"], told["llm_version"]) == (1.0, VERSION_OF_VIEWS)

    target = proven.frame("target_portfolio", NEXT).set_index("instrument").drop(index=CASH)
    moved = (target["weight_target"] - target["weight_without_llm"]).abs()
    assert 0.001 < moved.max() <= NAME + GRID
    assert moved.max() < moved.sum() <= BOOK + GRID
    assert target["llm_note"].str.startswith("clamped by RC-52").all()

    verdict = proven.frame("risk_verdict", NEXT)
    ((status, observed),) = answers(verdict, "RC-52").values()
    assert (status, proven.verdict(NEXT)) == ("PASS", "APPROVED")
    assert observed == pytest.approx(moved.sum(), abs=1e-9)
    (shadow,) = proven.frame("shadow_book", NEXT).to_dict("records")
    assert (shadow["influence"], shadow["difference_bps"]) == (0.0, 0.0), "targets before were solved once"
    found = Replay(proven.lake).some(NEXT, FROM_VIEWS)
    assert {row.version.asset: row.outcome for row in found} == dict.fromkeys(FROM_VIEWS, Outcome.EQUAL)
    assert_told(proven, moved[moved > 0.0].index.to_list(), mandate)
    assert_forgers_buy_nothing(proven, tmp_path)


def assert_told(home: Home, moved: list[str], mandate: Path) -> None:
    """`explain` of an order in a name that views moved names them, their weight, their evidence and what they moved."""
    made = home.frame("orders", NEXT)
    order = made.loc[made["instrument"].isin(moved), "client_order_id"].iloc[0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MARKETBOT_HOME", str(home.path))
        patch.setenv("MARKETBOT_MANDATE", str(mandate))
        text = "\n".join(explain_lines(explain(order)))
    assert f"Views of {VERSION_OF_VIEWS}" in text
    assert "weight 1.00: information coefficient 0.4000 over 250 sessions" in text
    assert "moved this weight by" in text
    assert "at confidence 1.00" in text


def assert_forgers_buy_nothing(home: Home, tmp_path: Path) -> None:
    """A stored target without views that is too far away, that is gone, or that hides what views moved: no buy in shares."""
    frame, made = home.frame("target_portfolio", NEXT), home.frame("orders", NEXT)
    bought = set(made.loc[(made["side"] == "BUY") & (made["kind"] == "EQUITY"), "client_order_id"])
    first = made.loc[made["client_order_id"].isin(bought), "instrument"].iloc[0]
    target, without = frame["weight_target"], frame["weight_without_llm"]
    forged = {
        "far": without.mask(frame["instrument"] == first, target - 0.02),
        "gone": without * math.nan,
        "hidden": target,
    }
    assert orders(home.frame("risk_verdict", NEXT), "approved_quantity").keys() >= bought != set()
    for name, column in forged.items():
        verdict = judged_with(home, tmp_path / name, column)
        planned, approved = orders(verdict, "planned_quantity"), orders(verdict, "approved_quantity")
        assert all(planned[order] > approved[order] == 0.0 for order in bought), name
        assert {status for status, _ in answers(verdict, "RC-52").values()} != {"PASS"}, name


def test_shadow_books_part_when_a_moved_target_is_held(proven: Home, mandate: Path) -> None:
    """A target trades at the close after its session: two sessions on the books differ; the session replays in another process."""
    for day in (AFTER, LATER):
        assert proven.run(day)
    (shadow,) = proven.frame("shadow_book", LATER).to_dict("records")
    target = proven.frame("target_portfolio", NEXT).set_index("instrument").drop(index=CASH)
    moved = (target["weight_target"] - target["weight_without_llm"]).abs().sum()
    assert (shadow["decided_on"].date().isoformat(), shadow["influence"]) == (NEXT, pytest.approx(moved, abs=1e-9))
    assert shadow["nav_with"] != shadow["nav_without"]
    said = command(proven.path, "replay", "--session", NEXT, "--json", mandate=mandate)
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout)["proved"] == "bits"
