"""From tries to views: the newest accepted answer of each pass, two passes joined so that disagreement shrinks, else the rules."""

import datetime as dt
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llm_gate_world import pack_of, sentiment, text_of, theme

from marketbot_assets.insight.context import context_of, is_contaminated
from marketbot_assets.insight.schema import LLM_CONTEXT
from marketbot_resources.mandate import Mandate, parse_mandate
from marketbot_resources.mandate_llm import Llm, LlmModel

WITHOUT = parse_mandate((Path(__file__).parents[2] / "mandate.yaml").read_text(encoding="utf-8"))
PACK = pack_of()
SESSION = dt.date(2018, 11, 1)
BEFORE, AFTER = pd.Timestamp("2018-10-31"), pd.Timestamp("2024-06-30")


def mandate(passes: int = 1) -> Mandate:
    model = LlmModel(
        provider="openai",
        model="gpt-x",
        knowledge_cutoff=dt.date(2018, 1, 1),
        usd_per_million_input=1.0,
        usd_per_million_output=2.0,
    )
    return WITHOUT.model_copy(update={"llm": Llm(chain=(model,), usd_per_day=1.0, passes=passes)})


def row(attempt: int, outcome: str = "ACCEPTED", layer: str = "", **parts: Any) -> dict[str, Any]:
    """One LLM_ANSWERS row; only what views are made of."""
    shared = {
        "run": 1,
        "repair": False,
        "provider": "openai",
        "model": "gpt-x",
        "knowledge_cutoff": BEFORE,
        "prompt": "views-1",
    }
    heard = {"answered_by": "gpt-x-0613", "fingerprint": "fp_1", "answer": text_of() if outcome == "ACCEPTED" else ""}
    return {"attempt": attempt, **shared, **heard, "outcome": outcome, "layer": layer, **parts}


def made(*rows: dict[str, Any], passes: int = 1, session: dt.date = SESSION) -> pd.DataFrame | str:
    """The views, or the reason why the rules stand in."""
    reasons: list[str] = []

    def by_rules(reason: str) -> pd.DataFrame:
        reasons.append(reason)
        return pd.DataFrame({"rules": [1]})

    columns = list(row(1))
    found = context_of(PACK, pd.DataFrame(list(rows), columns=columns), by_rules, session, mandate(passes))
    return reasons[0] if "rules" in found else found


def unused(reason: str) -> pd.DataFrame:
    """Rules that nobody should ask."""
    raise AssertionError(reason)


def views(*rows: dict[str, Any], passes: int = 1, session: dt.date = SESSION) -> pd.DataFrame:
    found = made(*rows, passes=passes, session=session)
    assert isinstance(found, pd.DataFrame), found
    return found


def test_without_the_section_no_model_is_asked_and_no_reason_given() -> None:
    """The rules serve; stored tries of another mandate change nothing."""
    told = []
    tries = pd.DataFrame([row(1)])
    context_of(PACK, tries, lambda reason: told.append(reason) or pd.DataFrame(), SESSION, WITHOUT)
    assert told == [""]


@pytest.mark.parametrize(
    ("day", "ask", "reason"),
    [
        ("2018-01-01", False, "the session lies before the knowledge cut-off of openai gpt-x (2018-01-01)"),
        ("2018-01-02", False, "no model was asked"),
        ("2018-01-01", True, "no model was asked"),
    ],
)
def test_rules_say_that_the_session_is_too_early(day: str, ask: bool, reason: str) -> None:
    """Without a try, in a session that no model of the chain is asked about; tries that are on record are judged as ever."""
    named = mandate()
    assert named.llm is not None
    named = named.model_copy(update={"llm": named.llm.model_copy(update={"ask_contaminated": ask})})
    none, session = pd.DataFrame([row(1)]).iloc[:0], dt.date.fromisoformat(day)
    told: list[str] = []
    context_of(PACK, none, lambda said: told.append(said) or pd.DataFrame(), session, named)
    assert told == [reason]
    kept = context_of(PACK, pd.DataFrame([row(1)]), unused, session, named)
    assert set(kept["contaminated"]) == {pd.Timestamp(day) <= row(1)["knowledge_cutoff"]}


def test_an_accepted_answer_becomes_rows() -> None:
    """Every row by hand, in the table's columns, types and order."""
    found = views(row(1))
    assert list(found.columns) == [column.name for column in LLM_CONTEXT.columns]
    shown = [tuple(line) for line in found.iloc[:, :6].itertuples(index=False)]
    assert shown == [
        ("RISK_ON", "market", 0, -0.1, 0.5, "M1 F3"),
        ("SENTIMENT", "AAPL", 0, 0.3, 0.6, "H1 F1"),
        ("SENTIMENT", "Energy", 0, -0.25, 0.5, "H3"),
        ("THEME", "growth", 2, 0.1, 0.4, "F3 H7"),
        ("THEME", "volatility", 1, -0.2, 0.5, "M1"),
    ]
    rest = found.iloc[:, 6:].drop_duplicates().to_dict("records")
    version = "openai:gpt-x-0613@fp_1#views-1"
    assert rest == [{"source": "llm", "version": version, "contaminated": False, "reason": ""}]
    LLM_CONTEXT.pandera_schema.validate(found)


def test_scores_are_rounded_to_six_digits_and_never_minus_zero() -> None:
    """What is smaller than half a millionth is 0."""
    said = [sentiment("AAPL", -4e-7, 4e-7), sentiment("US", -0.1234567, 0.9999994)]
    found = views(row(1, answer=text_of(themes=[], risk_on=None, sentiments=said)))
    assert str(found[["score", "confidence"]].to_numpy().tolist()) == "[[0.0, 0.0], [-0.123457, 0.999999]]"


def test_the_newest_accepted_answer_counts() -> None:
    """Attempts decide, not places in the frame; a try that was refused or failed later does not take it back."""
    old, new = row(1), row(3, answer=text_of(sentiments=[sentiment("AAPL", 0.1)]), repair=True)
    for rows in ([old, row(2, "REFUSED", "json"), new], [new, old], [old, new, row(4, "FAILED", "timeout")]):
        found = views(*rows)
        assert list(found.loc[found["kind"] == "SENTIMENT", "score"]) == [0.1]
        assert set(found["source"]) == {"repaired"}
    assert set(views(row(1, repair=False))["source"]) == {"llm"}


def test_a_recorded_version_stands_above_the_answered_one() -> None:
    """Where the record says whose evidence counts, that is the version."""
    old, answered = "openai:gpt-x-0101@fp_0#views-1", "openai:gpt-x-0613@fp_1#views-1"
    for recorded, version in ((old, old), ("", answered)):
        found = context_of(PACK, pd.DataFrame([{**row(1), "version": recorded}]), unused, SESSION, mandate())
        assert set(found["version"]) == {version}


@pytest.mark.parametrize(
    ("cutoff", "contaminated"),
    [
        (pd.Timestamp("2018-10-31"), False),
        (dt.date(2018, 10, 31), False),
        (pd.Timestamp("2018-11-01"), True),
        (dt.date(2018, 11, 1), True),
        (AFTER, True),
        (pd.NaT, True),
        (None, True),
        (float("nan"), True),
        ("2018-01-01", True),
    ],
)
def test_sessions_up_to_the_knowledge_cutoff_are_contaminated(cutoff: Any, contaminated: bool) -> None:
    """On the very day, too; an unknown cutoff counts as one."""
    assert is_contaminated(SESSION, cutoff) is contaminated
    assert set(views(row(1, knowledge_cutoff=cutoff))["contaminated"]) == {contaminated}


@pytest.mark.parametrize(
    ("rows", "passes", "reason"),
    [
        ([], 1, "no model was asked"),
        ([], 2, "no model was asked"),
        ([row(1, "FAILED", "timeout")], 1, "openai gpt-x: timeout"),
        ([row(1, "FAILED", "rate_limit")], 1, "openai gpt-x: rate limit"),
        ([row(1, "FAILED", "")], 1, "openai gpt-x: unknown"),
        (
            [
                row(1, "FAILED", "timeout"),
                row(2, "REFUSED", "evidence", provider="local", model="m"),
                row(3, "REFUSED", "shape", provider="local", model="m", repair=True),
            ],
            1,
            "openai gpt-x: timeout; local m: refused by evidence, then refused by shape",
        ),
        ([row(1, run=2)], 1, "no model was asked"),
        ([row(1), row(2, "FAILED", "budget", run=2)], 2, "pass 2: openai gpt-x: budget"),
        ([row(1)], 2, "pass 2: no model was asked"),
        (
            [row(1, "REFUSED", "size"), row(2, "FAILED", "worker_died", run=2)],
            2,
            "pass 1: openai gpt-x: refused by size; pass 2: openai gpt-x: worker died",
        ),
        ([row(1), row(2, run=2, fingerprint="fp_2")], 2, "the two passes were answered by different models"),
        ([row(1, answer="[]")], 1, "openai gpt-x: the stored answer is refused by shape"),
        (
            [row(1), row(2, run=2, answer=text_of(themes=[theme("credit")], sentiments=[], risk_on=None))],
            2,
            "the two passes agree on no view",
        ),
    ],
)
def test_the_rules_stand_in_and_say_why(rows: list[dict[str, Any]], passes: int, reason: str) -> None:
    """Words for people; nothing half-known is used."""
    assert made(*rows, passes=passes) == reason


def both(one: str, other: str) -> pd.DataFrame:
    return views(row(1, answer=one), row(2, run=2, answer=other), passes=2)


def test_disagreement_shrinks() -> None:
    """By hand: scores 0.5 and 0.1 (0.8 and 0.6 sure) give 0.3, (0.8 + 0.6) / 2 * (1 - 0.4 / 2) = 0.56 sure."""
    one = text_of(
        themes=[theme("credit", 1, 1, 1, "H7", "M1"), theme("curve", 2, 0.2, 0.5), theme("trend", 3, 0, 1)],
        sentiments=[sentiment("AAPL", 0.5, 0.8, "H1", "F1"), sentiment("US", 0.2, 0.5)],
        risk_on={"score": 0.3333334, "confidence": 1, "evidence": ["M1"]},
    )
    other = text_of(
        themes=[theme("curve", 1, 0.2, 0.5), theme("credit", 2, -1, 1, "F3")],
        sentiments=[sentiment("DE", 0.2, 0.5), sentiment("AAPL", 0.1, 0.6, "M1", "H1")],
        risk_on={"score": 0.3333338, "confidence": 1, "evidence": ["M1"]},
    )
    for found in (both(one, other), both(other, one)):
        assert [tuple(line) for line in found.iloc[:, :6].itertuples(index=False)] == [
            ("RISK_ON", "market", 0, 0.333334, 1.0, "M1"),  # to six digits
            ("SENTIMENT", "AAPL", 0, 0.3, 0.56, "F1 M1 H1"),
            ("THEME", "credit", 1, 0.0, 0.0, "F3 M1 H7"),  # opposite extremes leave no confidence
            ("THEME", "curve", 2, 0.2, 0.5, "M1"),
        ]
        LLM_CONTEXT.pandera_schema.validate(found)


def test_the_joined_source_and_mark_are_the_worse_ones() -> None:
    """One repaired or contaminated pass marks both."""
    first, second = row(1), row(2, run=2, repair=True, knowledge_cutoff=AFTER)
    for rows in ((first, second), (second, first)):
        found = views(*rows, passes=2)
        assert set(found["source"]) == {"repaired"}
        assert set(found["contaminated"]) == {True}


scores = st.floats(-0.5, 0.5, allow_nan=False)
shares = st.floats(0, 1, allow_nan=False)
said = st.dictionaries(st.sampled_from(["AAPL", "XOM", "US", "DE"]), st.tuples(scores, shares), min_size=1)


@given(said, said)
@settings(max_examples=60, deadline=None)
def test_joining_is_symmetric_and_never_surer_than_its_passes(one: dict[str, Any], other: dict[str, Any]) -> None:
    """No subject but common ones; score between the two; confidence at most their mean; equal passes change nothing."""
    texts = [
        text_of(themes=[], risk_on=None, sentiments=[sentiment(name, *pair) for name, pair in part.items()])
        for part in (one, other)
    ]
    rows = [row(1, answer=texts[0]), row(2, run=2, answer=texts[1])]
    found = made(*rows, passes=2)
    common = set(one) & set(other)
    if not common:
        assert found == "the two passes agree on no view"
        return
    assert isinstance(found, pd.DataFrame)
    assert set(found["subject"]) == common
    pd.testing.assert_frame_equal(found, both(texts[1], texts[0]))
    for line in found.to_dict("records"):
        (a, sure_a), (b, sure_b) = one[line["subject"]], other[line["subject"]]
        assert min(a, b) - 1e-6 <= line["score"] <= max(a, b) + 1e-6
        assert 0 <= line["confidence"] <= (sure_a + sure_b) / 2 + 1e-6
    alone = views(row(1, answer=texts[0]))
    pd.testing.assert_frame_equal(alone, both(texts[0], texts[0]))
