"""`explain` tells of an order's name whose views stood behind it, what they rest on in words, and what they moved."""

import sys
from pathlib import Path

import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "audit"))
import llm_world as world
from report_world import IDS, instruments, small_frames, target
from test_markdown_text import BARE

from marketbot_assets.audit.dossier_views import views_table
from marketbot_assets.commands.decided import Case, Decided
from marketbot_assets.commands.evidence import Evidence
from marketbot_assets.commands.explain_views import views_lines, views_of
from marketbot_assets.commands.own_rows import OwnRows, Records
from marketbot_assets.insight.schema import CONTEXT_PACK, FORECASTS, LLM_CONTEXT
from marketbot_assets.normalization.schema import INSTRUMENTS
from marketbot_assets.portfolio.schema import TARGET_PORTFOLIO
from marketbot_resources.ledger.record import Entry
from marketbot_resources.store.closure import Link
from marketbot_resources.store.index import IndexRow, Origin
from marketbot_resources.store.lake import Lake
from marketbot_resources.store.table import Table

PART = "2018-12-14"
WEIGHED = {"llm_weight": 0.25, "llm_weight_reason": "earned by 80 sessions"}


def case(home: Path, ticker: str, context: pd.DataFrame, pack: pd.DataFrame) -> Case:
    """An order's case over stored tables; what it does not need of a decision is left empty."""
    lake = Lake(home)

    def keep(frame: pd.DataFrame, table: Table, extra: dict[str, object] | None = None) -> IndexRow:
        origin = Origin("test", "test", "", extra or {})  # type: ignore[arg-type]
        return lake.commit(frame, table, PART, reads=[], blobs=[], origin=origin)

    rows = {
        "llm_context": keep(context, LLM_CONTEXT),
        "context_pack": keep(pack, CONTEXT_PACK),
        "instruments": keep(instruments(), INSTRUMENTS),
        "target_portfolio": keep(world.moved(target()), TARGET_PORTFOLIO),
        "forecasts": keep(small_frames()["forecasts"], FORECASTS, dict(WEIGHED)),
    }
    records, evidence = Records(lake), Evidence(PART, tuple(Link(row, (), ()) for row in rows.values()), {}, ())
    decision = Entry(1, "decision", PART, {}, "")
    decided = Decided(
        lake=lake, decision=decision, rows=rows, evidence=evidence, records=records, own=OwnRows(records, evidence),
        orders={}, batches={}, fills=(), size=1, root="",
    )  # fmt: skip
    return Case(decided, Entry(2, "order_intent", "mb1-x", {"instrument": IDS[ticker]}, ""))


def test_views_of_the_name_with_their_headlines(tmp_path: Path) -> None:
    """The name's own view with headline and fact in words, the weight and why, +40 bp of NAV by hand."""
    found = views_of(case(tmp_path, "AAPL", world.context(), world.pack()))
    assert found is not None
    assert (found["influence"], found["weight"]) == (pytest.approx(0.0040), 0.25)
    assert found["said"] == [
        {"level": "instrument", "subject": IDS["AAPL"], "score": 0.5, "confidence": 0.6, "evidence": [
            {"item": "H1", "about": "", "text": world.HEADLINE, "publisher": "Wire"},
            {"item": "F1", "about": IDS["AAPL"], "text": "return 21d -3.1%", "publisher": ""},
        ]}
    ]  # fmt: skip
    without = float(target().set_index("instrument")["weight_target"][IDS["AAPL"]]) - 0.0040
    assert views_lines(found) == [
        f"Views of {world.VERSION}, accepted at the second try.",
        "weight 0.25: earned by 80 sessions",
        f"moved this weight by +0.40% of NAV, it would be {without:.2%}; clamped to 0.8 of the views by the cap",
        "instrument AAPL: +0.50 at confidence 0.60",
        "  H1: Apple wins record order (Wire)",
        "  F1 AAPL: return 21d -3.1%",
    ]


def test_views_of_the_sector_count_for_the_name(tmp_path: Path) -> None:
    """A name of which nothing is said inherits what is said of its sector and its country, in that order."""
    listed = instruments().set_index("instrument").loc[IDS["BAC"]]
    context = world.context()
    first = context["kind"] == "SENTIMENT"
    context.loc[first, "subject"] = [str(listed["country"]), str(listed["sector"])]
    found = views_of(case(tmp_path, "BAC", context, world.pack()))
    assert found is not None
    assert [view["level"] for view in found["said"]] == ["sector", "country"]  # type: ignore[attr-defined]
    none = views_of(case(tmp_path / "other", "BAC", world.context(), world.pack()))
    assert views_lines(none)[-1] == "of this name, its sector and its country nothing is said"


def test_without_a_model_there_are_no_views(tmp_path: Path) -> None:
    """Rules that stand in for nobody are no views of a model; rules that stand in for one say why."""
    assert views_of(case(tmp_path, "KO", world.by_rules(), world.pack())) is None
    assert views_lines(None) == ["no language model was asked"]
    found = views_of(case(tmp_path / "other", "KO", world.by_rules("LLM_PROVIDER: nobody answered"), world.pack()))
    assert "LLM_PROVIDER: nobody answered" in views_lines(found)[0]


def test_hostile_headlines_stay_text(tmp_path: Path) -> None:
    """No control character reaches a terminal, no element the dossier."""
    evil = world.pack().assign(text="\x1b[31m<img src=x onerror=y> http://evil.example\u202e")
    found = views_of(case(tmp_path, "KO", world.context(), evil))
    assert all(line.isprintable() for line in views_lines(found))
    page = views_table(found, str)
    assert "<img" not in page
    assert "\u202e" not in page
    assert BARE.search(page), "the address is there, as text"
    assert "href" not in page
    assert views_table(None, str) == ""
