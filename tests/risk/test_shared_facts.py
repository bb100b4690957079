"""What the controls of one projected book share says what each would find alone: numbers beyond a limit, distances, p."""

import math
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstwo

from marketbot_assets.risk.control import beyond, within
from marketbot_assets.risk.feature_drift import Compared, Section, compared_features, has_drifted, population_stability
from marketbot_assets.risk.operation_facts import FeatureDrift
from marketbot_assets.risk.projection import numbers, project, texts
from tests.risk.risk_world import MANDATE, inputs

ODD = [math.nan, math.inf, -math.inf, 0.0, -0.0, 0.05, math.nextafter(0.05, 1.0), 0.05 + 1e-9, 0.05 + 2e-9, -1.0, 1e300]


@pytest.mark.parametrize("limit", [*ODD, 2, -3.5])
def test_numbers_are_beyond_a_limit_where_each_is_not_within_it(limit: float) -> None:
    """G3 and G9 hold for arrays as for numbers: what is not finite is beyond every limit, the tolerance is the same."""
    assert beyond(np.array(ODD), limit).tolist() == [not within(value, limit) for value in ODD]


@given(
    st.lists(
        st.sampled_from([Decimal("1.5"), Decimal("NaN"), Decimal("sNaN"), Decimal("1e999"), 0.25, 7, True, None, "3"])
    )
)
def test_a_column_is_read_as_its_values_are(values: list[object]) -> None:
    """What is no number is NaN, a signalling NaN and a flag too; a column of another length is unknown as a whole."""
    told = {"1.5": 1.5, "NaN": math.nan, "sNaN": math.nan, "1E+999": math.inf}
    wanted = [
        told[str(v)] if isinstance(v, Decimal) else math.nan if isinstance(v, bool | str) or v is None else float(v)  # type: ignore[arg-type]
        for v in values
    ]
    np.testing.assert_array_equal(numbers(tuple(values), len(values)), wanted)
    assert np.isnan(numbers(tuple(values), len(values) + 1)).all()


def test_texts_that_are_none_are_empty() -> None:
    """A value that is no text is an empty one; a column of another length is empty as a whole."""
    assert texts(("a", "", "b"), 3) == texts(["a", "", "b"], 3) == ("a", "", "b")
    assert texts(("a", None, 3), 3) == ("a", "", "")
    assert texts(("a", "b"), 3) == texts(None, 3) == ("", "", "")


def test_orders_that_add_risk_are_those_in_the_flagged_names_and_in_unknown_ones() -> None:
    """A limit cuts the buys that it counts; an order in a name that nobody knows always counts."""
    facts = inputs()
    p = project(facts, (), MANDATE)
    names = np.zeros(len(facts.instruments), dtype=bool)
    assert p.increasing_in(names) == ()
    found = replace(
        p, increasing=np.array([True, True, False, True]), rows=np.array([0, -1, 0, 1]), increasing_ids=("a", "b", "d")
    )
    names[0] = True
    assert found.increasing_in(names) == ("a", "b")
    assert found.increasing_in(~names) == ("b", "d")
    assert p.adv.tolist() == numbers(facts.adv, len(names)).tolist()
    assert (p.sectors, p.countries) == (facts.sector, facts.country)


def _two_sided(now: np.ndarray, before: np.ndarray) -> float:
    """The largest gap of two distribution functions, asked at every value of both."""
    points = np.concatenate([now, before])
    return max(abs(float((now <= x).mean()) - float((before <= x).mean())) for x in points)


def test_features_compared_together_are_compared_as_one_by_one() -> None:
    """A feature's numbers do not depend on which others have as many values, nor on values that come twice."""
    rng = np.random.default_rng(5)
    sections = []
    for day in range(4):
        smooth, wide = rng.normal(size=40), rng.normal(size=40) * (1.0 + day)
        steps = np.round(rng.normal(size=40), 1)
        scores = {
            "smooth": smooth,
            "steps": steps,
            "wide": wide,
            "few": rng.normal(size=31),
            "gone": rng.normal(size=40),
        }
        sections.append(Section(tuple(scores), {name: np.sort(x) for name, x in scores.items()}))
    now, past = sections[-1], sections[:-1]
    met = {
        **now.scores,
        "gone": np.empty(0),
        "smooth": np.sort(np.append(now.scores["smooth"][1:], past[0].scores["smooth"][3])),
    }
    now = Section(now.columns, met)
    found = {one.feature: one for one in compared_features(now, past)}
    assert list(found) == sorted(met)
    assert (found["gone"].psi, found["gone"].ks, found["gone"].ks_p) == (0.0, 1.0, 0.0)
    for name in ("smooth", "steps", "wide", "few"):
        before = np.concatenate([one.scores[name] for one in past])
        (alone,) = compared_features(Section((name,), {name: met[name]}), past)
        assert alone == found[name]
        assert alone.ks == pytest.approx(_two_sided(met[name], before), abs=1e-15)
        assert alone.psi == population_stability(met[name], before)
        assert alone.drift == FeatureDrift(name, alone.psi, float(kstwo.sf(alone.ks, alone.size)))


@pytest.mark.parametrize(
    ("now", "before", "distance"),
    [
        ([0, 1, 2], [0, 1, 2], 0.0),  # the same values
        ([0, 0, 0, 3], [1, 2, 4], 0.75),  # twice in one
        (
            [0, 1, 1, 3],
            [1, 1, 1, 2, 4],
            0.25,
        ),  # in both: 1/4 against 0 below 1; on 1 it is 3/4 against 3/5, on 3 all against 4/5
        ([5, 6, 7], [1, 2, 3, 4], 1.0),
    ],
)
def test_values_that_come_twice_count_on_their_step(now: list[float], before: list[float], distance: float) -> None:
    """The distribution functions are compared on the steps, not between them."""
    past, day = (
        Section(("x",), {"x": np.array(before, dtype=float)}),
        Section(("x",), {"x": np.array(now, dtype=float)}),
    )
    (found,) = compared_features(day, [past])
    assert found.ks == pytest.approx(distance, abs=1e-15)


@pytest.mark.parametrize("p_min", [1e-6, 0.001, 0.05, 0.4, 0.9, 1.0, 1.5, math.nan])
def test_a_distance_that_is_too_small_for_its_p_to_matter_says_what_its_p_says(p_min: float) -> None:
    """A feature has drifted or not, whether or not p is worked out: above, below and next to its limit."""
    for size in (1, 2, 17, 59, 455):
        distances = [0.0, 1.0, *np.linspace(0.01, 0.6, 25)]
        if 0.0 < p_min < 1.0:
            edge = float(kstwo.isf(p_min, size))
            distances += [edge, math.nextafter(edge, 0.0), math.nextafter(edge, 1.0), 0.99 * edge]
        for psi in (0.25, 0.26):
            for ks in map(float, distances):
                plain = FeatureDrift("x", psi, float(np.clip(kstwo.sf(ks, size), 0.0, 1.0)))
                assert has_drifted(Compared("x", psi, ks, size), 0.25, p_min) == has_drifted(plain, 0.25, p_min)


def test_a_distance_that_is_no_number_is_an_error() -> None:
    """A feature that cannot be compared is never calm."""
    with pytest.raises(ValueError, match="p of x is not known"):
        has_drifted(Compared("x", 0.1, math.nan, 59), 0.25, 0.001)
    with pytest.raises(ValueError, match="PSI of x is not known"):
        has_drifted(Compared("x", math.nan, 0.1, 59), 0.25, 0.001)
