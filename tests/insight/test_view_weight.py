"""What takes the weight of views away, alone and together, and that forecasts without views are what they were."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from test_insight import MANDATE, factor_model, features, world
from test_llm_evidence import VERSION, listed, record, sentiments

from marketbot_assets.insight.forecasts import forecast
from marketbot_assets.insight.return_model import fit_return_model
from marketbot_assets.insight.view_weight import NO_LEANING, Leaning, ViewWeight, leaning_of, view_weight
from marketbot_resources.mandate import parse_mandate

MODEL = {
    "provider": "local", "model": "m", "address": "http://127.0.0.1:1", "knowledge_cutoff": "2024-01-01",
    "usd_per_million_input": 0.0, "usd_per_million_output": 0.0,
}  # fmt: skip
LLM = parse_mandate(yaml.safe_dump(MANDATE.model_dump(mode="json", by_alias=True) | {
    "llm": {"chain": [MODEL], "usd_per_day": 1.0, "tilt_max_per_year": 0.02}
}))  # fmt: skip
PROVEN = record([0.5, 0.6] * 60)
SAID = sentiments([("N0", 1.0, 0.5), ("N1", -1.0, 1.0)])


def answers(*outcomes: str, drifted: bool = False) -> pd.DataFrame:
    return pd.DataFrame({"outcome": list(outcomes), "drifted": drifted})


def weigh(
    context: pd.DataFrame = SAID, tries: pd.DataFrame | None = None, evidence: pd.DataFrame = PROVEN, **other: Any
) -> ViewWeight:
    return view_weight(context, answers("ACCEPTED") if tries is None else tries, evidence, other.get("mandate", LLM))


def test_proven_views_have_their_weight() -> None:
    """The control group of the table below: with everything in order the weight is whole."""
    assert weigh().weight == 1.0
    assert weigh().facts()["llm_weight"] == 1.0
    assert weigh(tries=answers("FAILED", "FAILED", "ACCEPTED")).weight == 1.0


TAKEN: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("no model named", {"mandate": MANDATE}, "names no language model"),
    ("rules", {"context": sentiments([("N0", 1, 1)], source="fallback", version="rules-1")}, "rules"),
    ("no views", {"context": SAID.iloc[:0]}, "rules"),
    ("contaminated", {"context": SAID.assign(contaminated=[True, False])}, "contaminated"),
    ("another model behind the name", {"tries": answers("ACCEPTED", drifted=True)}, "behind the name"),
    ("repaired", {"tries": answers("REFUSED", "ACCEPTED")}, "RC-89: the gate refused 1 of 2"),
    ("one of nineteen", {"tries": answers("REFUSED", *["ACCEPTED"] * 18)}, "RC-89"),
    ("views from nowhere", {"tries": answers("FAILED")}, "RC-89"),
    ("no evidence", {"evidence": PROVEN.iloc[:0]}, "0 judged sessions"),
    ("evidence of another version", {"evidence": PROVEN.assign(version="x")}, "0 judged sessions"),
    ("evidence of what it knew", {"evidence": PROVEN.assign(contaminated=True)}, "0 judged sessions"),
    ("evidence without skill", {"evidence": record([0.1, -0.1] * 60)}, "not above zero"),
)


@pytest.mark.parametrize(("what", "changes", "reason"), TAKEN, ids=[row[0] for row in TAKEN])
def test_each_doubt_takes_the_weight_away(what: str, changes: dict[str, Any], reason: str) -> None:
    """One doubt is enough, and it is named."""
    found = weigh(**changes)
    assert found.weight == 0.0
    assert reason in found.reason


def test_one_of_twenty_may_be_refused() -> None:
    """RC-89: 0.05 exactly may be."""
    assert weigh(tries=answers("REFUSED", *["ACCEPTED"] * 19)).weight == 1.0


def test_two_doubts_are_both_told() -> None:
    """Whoever mends one knows of the other."""
    found = weigh(context=SAID.assign(contaminated=True), tries=answers("ACCEPTED", drifted=True))
    assert "contaminated" in found.reason
    assert "behind the name" in found.reason


def test_an_oracle_of_its_past_moves_nothing_before_or_after() -> None:
    """L8: a thousand perfect sessions before the cut-off are no evidence on the first day after it, nor on one of them."""
    perfect = record([1.0] * 1000, contaminated=True)
    assert weigh(evidence=perfect).weight == 0.0
    assert weigh(evidence=perfect, context=SAID.assign(contaminated=True)).weight == 0.0


def test_a_view_adds_its_share_of_the_largest_tilt() -> None:
    """Half a view of 1 at weight 0.5 of 2 % a year: 0.5 * 0.5 * 0.02; silence adds nothing and is told apart from neutral."""
    weighed = ViewWeight(0.5, "", VERSION, weigh().worth, 1, 0)
    leaning = leaning_of(weighed, SAID, listed(), LLM)
    np.testing.assert_allclose(leaning.tilt_of(["N0", "N1", "N2"]), [0.005, -0.01, 0.0])
    np.testing.assert_allclose(leaning.views_of(["N0", "N1", "N2"]), [0.5, -1.0, np.nan])
    assert leaning_of(ViewWeight(0.0, "the views are those of rules"), SAID, listed(), LLM) is NO_LEANING
    assert leaning_of(weighed, SAID, listed(), MANDATE) is NO_LEANING


def made(leaning: Leaning) -> pd.DataFrame:
    window, _ = world()
    return forecast(fit_return_model(window, MANDATE), features(), factor_model(), MANDATE, leaning)


def test_without_views_forecasts_are_bit_for_bit_what_they_were() -> None:
    """No model, or views without weight: the same bits; the views are shown."""
    plain = made(NO_LEANING)
    names = list(plain["instrument"])
    weightless = made(Leaning({names[0]: -1.0}, 0.0))
    assert plain["llm_view"].isna().all()
    assert weightless["llm_view"].iloc[0] == -1.0
    for frame in (plain, weightless):
        assert frame["llm_tilt"].to_numpy().tobytes() == np.zeros(len(frame)).tobytes()
        expected = (frame["prior"] + frame["tilt"]).to_numpy()
        assert frame["expected_return"].to_numpy().tobytes() == expected.tobytes()


def test_a_name_without_forecast_gets_none_from_a_view() -> None:
    """A view is a tilt of something known."""
    window, _ = world()
    frame = features()
    frame.loc[1, ["momentum_12_1", "complete"]] = [np.nan, False]
    names = list(frame["instrument"])
    made = forecast(
        fit_return_model(window, MANDATE), frame, factor_model(), MANDATE, Leaning({names[0]: 1.0, names[1]: 1.0}, 0.02)
    )
    assert (made.loc[1, "llm_tilt"], math.isnan(made.loc[1, "expected_return"])) == (0.0, True)
    assert made.loc[0, "expected_return"] == made.loc[0, "prior"] + made.loc[0, "tilt"] + 0.02


@settings(max_examples=50)
@given(st.lists(st.floats(), min_size=3, max_size=3), st.floats(0, 1))
def test_no_view_tilts_by_more_than_the_mandate_says(values: list[float], per_year: float) -> None:
    """Whatever a view is, NaN and infinity with it: a finite tilt within the bound, never a negative zero."""
    tilt = Leaning(dict(zip("ABC", values, strict=True)), per_year).tilt_of("ABC")
    assert np.isfinite(tilt).all()
    assert (np.abs(tilt) <= per_year).all()
    assert not (np.signbit(tilt) & (tilt == 0.0)).any()
