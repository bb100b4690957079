"""The registry's champion in a session: which fit is used, what sends the decision back to the baseline, what it adds by hand."""

import datetime as dt
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from marketbot_assets.insight.champion import Chosen, Registered, choose, chosen_row, refitted
from marketbot_assets.insight.families import ridge_spec
from marketbot_assets.insight.forecast_fit import fit_model
from marketbot_assets.insight.forecast_panel import Panel, labels_of, standardized
from marketbot_assets.insight.lead import Lead, baseline_rows, lead_of
from marketbot_assets.insight.model_card import Fit
from marketbot_assets.insight.price_panel import SCORES
from marketbot_assets.insight.training import TrainingRule

ROWS, NAMES = 320, 20
DAYS = tuple(dt.date(2017, 1, 2) + dt.timedelta(n) for n in range(ROWS))
VERSIONS = dict.fromkeys(SCORES, "1")
SPEC = ridge_spec(VERSIONS, {SCORES[0]: 1.0}, TrainingRule(first_rows=63))
METRICS = {"residual_deviation": 0.9, "information_coefficient": 0.2}


def world(rows: int = ROWS) -> Panel:
    """The first score is worth something: a tenth of a deviation of a session's return."""
    draw = np.random.default_rng(3)
    raw = draw.standard_normal((ROWS, NAMES, 3))
    raw[:, :, 0] = np.cumsum(draw.standard_normal((ROWS, NAMES)), axis=0)
    values = standardized(raw)
    returns = np.vstack([np.zeros(NAMES), 0.01 * (0.1 * values[:-1, :, 0] + draw.standard_normal((ROWS - 1, NAMES)))])
    after = np.vstack([returns[1:], np.full(NAMES, np.nan)])
    names = tuple(f"I{n:02d}" for n in range(NAMES))
    return Panel(DAYS[:rows], names, SCORES, values[:rows], labels_of(returns[:rows], 21), after[:rows], 21)


PANEL = world()
BEFORE = [fit_model(SPEC, world(ROWS - n), half_width=1.0, metrics=METRICS, code_version="c") for n in (11, 6)]


def made(
    *,
    age: int = 6,
    fits: list[Fit] | None = None,
    live: Callable[[], Panel] = lambda: PANEL,
    training=lambda: PANEL,
    **more,
) -> Chosen:  # type: ignore[no-untyped-def]
    found = Registered(
        more.get("spec", SPEC), tuple(fits or BEFORE), more.get("weight", 1.0), "champion", more.get("fault", "")
    )
    return choose(found, DAYS[-1], age, training, live, more.get("versions", VERSIONS), "c")


def never() -> Panel:
    raise AssertionError("no panel to train on is asked for when no fit is due")


def test_a_fit_that_is_due_is_made_judged_and_used_at_once() -> None:
    """Four sessions: the newest stands and nothing is fitted; five: a new one, with the metrics and interval of the one before."""
    young = made(age=4, training=never)
    assert (young.fit, young.refit, young.weight) == (BEFORE[-1], None, 1.0)
    new = made(age=5)
    assert new.refit is not None
    assert new.fit == new.refit.fit
    assert new.refit.judgement.accepted
    assert new.fit is not None
    assert new.fit.fitted_on == DAYS[-1]
    assert (new.fit.card.metrics, new.fit.parameters["interval"]) == (METRICS, [0.8, 1.0])
    assert new.fit == refitted(SPEC, BEFORE[-1], PANEL, "c"), "the same session again makes the same bytes"
    z = PANEL.values[-1] @ [new.fit.coefficients[name] for name in SCORES]
    assert new.expected == pytest.approx(dict(zip(PANEL.instruments, z.tolist(), strict=True)), abs=1e-9)


def strange(fit: Fit) -> Fit:
    """A fit whose ranks the next one does not share."""
    return replace(fit, coefficients={SCORES[0]: -0.2, SCORES[1]: 0.0, SCORES[2]: 0.0})


@pytest.mark.parametrize(("age", "stays"), [(5, True), (20, True), (21, False), (400, False)])
def test_a_refused_refit_leaves_the_fit_before_for_twenty_sessions(age: int, stays: bool) -> None:
    """Then the baseline decides; the refused fit is there to be recorded all the same."""
    found = made(age=age, fits=[strange(one) for one in BEFORE])
    assert found.refit is not None
    assert not found.refit.judgement.accepted
    assert (found.fit is not None, found.weight) == (stays, 1.0 if stays else 0.0)
    assert ("refused: " if stays else "no accepted fit for") in found.why
    assert bool(found.expected) == stays


def gap() -> Panel:
    """Three of the twenty names lack a feature: the champion knows 85 %."""
    values = PANEL.values.copy()
    values[-1, :3, 1] = np.nan
    return replace(PANEL, values=values, features=("other", *SCORES[1:]))


def fails(error: Exception) -> Callable[[], Panel]:
    def panel() -> Panel:
        raise error

    return panel


def other(**changes: object) -> dict[str, object]:
    """Another specification, with a fit of its own."""
    spec = replace(SPEC, **changes)  # type: ignore[arg-type]
    return {"spec": spec, "fits": [replace(BEFORE[-1], spec_sha256=spec.sha256)]}


@pytest.mark.parametrize(
    ("case", "told"),
    [
        ({"age": -1}, "or before"),
        ({"live": lambda: world(ROWS - 1), "age": 1}, "at its end"),
        (
            {"live": fails(ValueError("panel: expected a session that knows every feature")), "age": 1},
            "knows every feature",
        ),
        ({"live": lambda: PANEL.of(SCORES[:2]), "age": 1}, "expected a feature among"),
        ({"versions": VERSIONS | {SCORES[1]: "2"}, "age": 1}, "versions of the features"),
        ({**other(family="oracle"), "age": 1}, "family: expected one of"),
        ({**other(training={}), "age": 1}, "version"),
        ({"spec": replace(SPEC, hyper={}), "age": 1}, "no accepted fit"),
        ({"fits": [replace(BEFORE[-1], coefficients={SCORES[0]: 0.1})], "age": 1}, "coefficients of its features"),
        ({"fits": [replace(BEFORE[-1], parameters={})], "age": 1}, "forecast family"),
        ({"fits": [replace(BEFORE[-1], coefficients=dict.fromkeys(SCORES, math.nan))], "age": 1}, "found 0%"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_whatever_goes_wrong_leaves_the_decision_to_the_baseline(case: dict, told: str) -> None:  # type: ignore[type-arg]
    """And says so; nothing is raised."""
    found = made(**case)
    assert (found.fit, found.weight, dict(found.expected)) == (None, 0.0, {})
    assert told in found.why
    assert found.why.endswith("the baseline decides")


def test_a_refit_that_fails_or_cannot_be_compared_is_not_used() -> None:
    """Nothing to learn from, a missing library, an earlier fit whose file is altered: the fit before stays, and why."""
    for error in (FloatingPointError("sample: too few"), ImportError("no sklearn"), np.linalg.LinAlgError("singular")):
        failed = made(age=7, training=fails(error))
        assert (failed.fit, failed.refit) == (BEFORE[-1], None)
        assert f"its refit failed: {error}" in failed.why
    faulty = made(age=7, fault="an earlier fit is refused")
    assert faulty.fit == BEFORE[-1]
    assert faulty.refit is not None
    assert faulty.refit.judgement.refusals == ("an earlier fit is refused",)
    assert made(age=7, weight=0.0).fit is not None, "without trust it is watched and refitted, and moves nothing"


def test_too_few_names_are_no_forecast() -> None:
    """Nineteen of twenty are enough, seventeen are not; a name whose feature is missing has no number."""
    values = PANEL.values.copy()
    values[-1, 0] = np.nan
    assert made(age=1, live=lambda: replace(PANEL, values=values)).weight == 1.0, "the baseline lacks that name, too"
    more = np.concatenate([PANEL.values, PANEL.values[:, :, :1]], axis=2)
    spec = ridge_spec({**VERSIONS, "extra": "1"}, {SCORES[0]: 1.0}, TrainingRule(first_rows=63))
    wide = replace(PANEL, values=more, features=(*SCORES, "extra"))
    fit = fit_model(spec, wide, half_width=1.0, metrics=METRICS, code_version="c")
    for missing, decides in ((1, True), (2, True), (3, False)):
        lacking = more.copy()
        lacking[-1, :missing, 3] = np.nan
        found = made(
            age=1,
            fits=[fit],
            spec=spec,
            versions={**VERSIONS, "extra": "1"},
            live=lambda lacking=lacking: replace(wide, values=lacking),  # type: ignore[misc]
        )
        assert (found.weight == 1.0) is decides, missing
        assert len(found.expected) == (NAMES - missing if decides else 0)


def test_the_row_is_read_as_it_was_written() -> None:
    """One more row beside the mandate's; a card without a residual counts as one that explains nothing."""
    found = made(age=1)
    baseline = pd.DataFrame({"name": ["ridge-to-mandate"], "model_json": ["{}"], "card_json": ["{}"]})
    both = pd.concat([baseline, chosen_row(found, DAYS[0])], ignore_index=True)
    lead = lead_of(both)
    assert lead == Lead(SPEC.sha256, BEFORE[-1].sha256, 1.0, "champion", found.expected, 0.9)
    assert baseline_rows(both)["name"].tolist() == ["ridge-to-mandate"]
    assert lead_of(baseline) is None
    silent = lead_of(chosen_row(made(age=-1), DAYS[0]))
    assert silent is not None
    assert (silent.fit, silent.weight, silent.decides, silent.residual_sd) == ("", 0.0, False, 1.0)


def test_scores_by_hand() -> None:
    """Forecasts .1 0 -.1: deviation .0816, above .05, so z-scores 1.2247 0 -1.2247; a hundredth of that counts by .0163."""
    names, all_known = ("a", "b", "c", "d"), np.array([True, True, True, True])
    lead = Lead("s", "f", 0.5, "", {"a": 0.1, "b": 0.0, "c": -0.1}, 0.8)
    z = math.sqrt(1.5)
    assert lead.scores(names, all_known)[:3].tolist() == pytest.approx([z, 0.0, -z])
    assert math.isnan(lead.scores(names, all_known)[3])
    weak = replace(lead, expected={name: value / 100 for name, value in lead.expected.items()})
    assert weak.scores(names, all_known)[0] == pytest.approx(z * 0.1 * math.sqrt(2 / 3) / 100 / 0.05)
    base = np.array([1.0, 2.0, 3.0, 4.0])
    mixed = lead.mixed(base, names, all_known)
    assert mixed.tolist() == pytest.approx([0.5 * z + 0.5, 1.0, -0.5 * z + 1.5, 4.0])
    assert lead.residual(1.0) == pytest.approx(0.9)
    assert np.isnan(lead.mixed(np.array([np.nan, 2.0, 3.0, 4.0]), names, all_known)[0]), (
        "no number for what is incomplete"
    )
    same = replace(lead, expected=dict.fromkeys(names, 0.2))
    assert same.scores(names, all_known).tolist() == [0.0] * 4, "an ensemble that has proven nothing says nothing"


@pytest.mark.parametrize("weight", [0.0, math.nan, math.inf, -1.0, 1.01])
def test_a_weight_that_is_none_changes_no_bit(weight: float) -> None:
    lead, base = Lead("s", "f", weight, "", {"a": 1.0, "b": 2.0, "c": 3.0}, 0.1), np.array([0.1, 0.2, 0.3])
    assert lead.mixed(base, ("a", "b", "c"), np.ones(3, dtype=bool)) is base
    assert lead.residual(0.7) == 0.7
