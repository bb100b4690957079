"""Controls on models: RC-50, 52, 54, 71, 72, with their boundaries and what closes them."""

import math
from dataclasses import replace

import numpy as np
import pytest
from risk_world import (
    MANDATE,
    NAMES,
    answers,
    batch,
    book_state,
    buys,
    crashes,
    factor_model,
    inputs,
    model_facts,
    order,
    tweaked,
)

from marketbot_assets.book.state import Forecast, RiskDay
from marketbot_assets.features.model import FactorModel
from marketbot_assets.portfolio import model_state as portfolio_state
from marketbot_assets.risk.inputs import RiskInputs
from marketbot_assets.risk.model_controls import backtest, correlation, influence, plausibility, rank_correlation, ratio
from marketbot_assets.risk.model_state import comovement, model_multiple, var_multiple
from marketbot_assets.risk.projection import project
from marketbot_assets.risk.tail_controls import value_at_risk
from marketbot_assets.risk.verdict import judge, run_controls
from marketbot_resources.model import Status

N = len(NAMES)
PASS, WARN, SHRINK = Status.PASS, Status.WARN, Status.SHRINK


# RC-50


def one_factor(correlation: float, days: int = 300) -> FactorModel:
    rng = np.random.default_rng(11)
    common, own = rng.standard_normal((days, 1)), rng.standard_normal((days, N))
    return factor_model(returns=0.01 * (math.sqrt(correlation) * common + math.sqrt(1.0 - correlation) * own))


@pytest.mark.parametrize("correlation_given", [0.2, 0.5, 0.9])
def test_comovement_is_that_of_the_correlation_matrix(correlation_given: float) -> None:
    """Both paths against numpy's own correlation matrix and its eigenvalues."""
    model, rule = one_factor(correlation_given), MANDATE.limits.correlation
    matrix = np.corrcoef(model.returns[-60:].T)
    mean = (matrix.sum() - N) / (N * (N - 1))
    first = np.linalg.eigvalsh(matrix)[-1] / N
    found = comovement(model, rule)
    assert (found.mean, found.first, found.names) == (pytest.approx(mean), pytest.approx(first), N)
    other = portfolio_state.comovement(model.returns[-60:], np.ones(N, dtype=bool))
    assert other == (pytest.approx(mean), pytest.approx(first))


@pytest.mark.parametrize(("mean", "first", "multiple"), [(1.0, 1.0, 1.0), (0.01, 1.0, 0.75), (1.0, 0.01, 0.75)])
def test_lost_diversification_lowers_the_target_on_both_paths(mean: float, first: float, multiple: float) -> None:
    """Either limit alone is enough; the control itself notes, RC-42 and the optimizer keep the lower target."""
    mandate = tweaked(tweaked(MANDATE, "limits.correlation.mean_pairwise", mean), "limits.correlation.pc1_share", first)
    facts = inputs()
    with np.errstate(all="ignore"):
        assert model_multiple(project(facts, (), mandate)) == multiple
    assert portfolio_state.correlation_multiple(facts.factor_model, mandate) == multiple
    found = answers(correlation, facts, (), mandate)
    assert {r.status for r in found.values()} == ({PASS} if multiple == 1.0 else {PASS, WARN})
    upper = next(r for r in run_controls(facts, (), mandate) if r.control == "RC-42" and r.key == "upper")
    assert upper.limit == pytest.approx(0.11 * multiple)


@pytest.mark.parametrize(
    "changes",
    [{"observations": np.full(N, 59.0)}, {"observations": np.full(N, np.nan)}, {"returns": np.zeros((300, N))}],
    ids=["too young", "unknown", "nothing moves"],
)
def test_correlations_that_cannot_be_measured_count_as_lost(changes: dict[str, object]) -> None:
    """The verdict allows no buys, the optimizer keeps the lower target."""
    facts = inputs(factor_model=factor_model(**changes))
    assert not buys(judge(facts, batch(), MANDATE).approved)
    assert portfolio_state.correlation_multiple(facts.factor_model, MANDATE) == 0.75


# RC-52


def tilted(influence_by_name: dict[str, float] | None) -> RiskInputs:
    moved = None if influence_by_name is None else np.array([influence_by_name.get(name, 0.0) for name in NAMES])
    return inputs(models=model_facts(llm_tilt=np.full(N, 0.01), llm_influence=moved))


@pytest.mark.parametrize(
    ("moved", "statuses"),
    [
        (None, {"book": SHRINK}),
        ({}, {"book": PASS}),
        ({"MBD": 0.01, "MBL": -0.01}, {"book": PASS}),
        ({"MBD": 0.0100001}, {"book": PASS, "MBD": SHRINK}),
        (dict.fromkeys(NAMES[:6], 0.009), {"book": SHRINK}),
        ({"MBD": math.nan}, {"book": SHRINK, "MBD": SHRINK}),
    ],
)
def test_what_language_model_features_move(moved: dict[str, float] | None, statuses: dict[str, Status]) -> None:
    """1 % per name, 5 % in the book; a tilt whose effect was not measured by a second solve allows no buys."""
    found = answers(influence, tilted(moved), batch())
    assert {key: result.status for key, result in found.items()} == statuses


def test_without_a_tilt_the_influence_is_exactly_zero() -> None:
    """Today's graph: nothing to solve twice."""
    found = answers(influence, inputs(), batch())["book"]
    assert (found.status, found.observed) == (PASS, 0.0)


# RC-54


def scored(before: object, now: object = None) -> RiskInputs:
    scores = np.linspace(-1.5, 1.5, N) if now is None else now
    return inputs(models=model_facts(scores=scores, scores_before=before))


def test_rank_correlation_by_hand() -> None:
    """1 - 6 sum d^2 / (n (n^2 - 1)) without ties; with ties the mean rank; no spread gives no number."""
    assert rank_correlation(np.array([1.0, 2, 3, 4]), np.array([10.0, 30, 20, 40])) == pytest.approx(0.8)
    assert rank_correlation(np.array([1.0, 1, 2]), np.array([1.0, 1, 5])) == pytest.approx(1.0)
    assert math.isnan(rank_correlation(np.ones(4), np.arange(4.0)))


def test_scores_that_turned_over_halve_each_buy_and_only_once() -> None:
    """Buys of 200, 100 and 100 go half their way; the sell is untouched; the second round finds nothing left to do."""
    judged = judge(scored(np.linspace(1.5, -1.5, N)), batch(), MANDATE)
    assert judged.verdict == "APPROVED"
    assert {o.instrument: int(o.quantity) for o in buys(judged.approved)} == {"MBD": 100, "MBL": 50, "MBH": 50}
    assert [int(o.quantity) for o in judged.approved if o.instrument == "MBA"] == [100]
    last = next(r for r in judged.results if r.control == "RC-54" and r.key == "scores")
    assert (last.status, last.observed) == (WARN, pytest.approx(-1.0))


@pytest.mark.parametrize(
    ("before", "now", "status"),
    [
        (None, None, PASS),
        (np.linspace(-1.4, 1.6, N), None, PASS),
        (np.full(N, np.nan), None, SHRINK),
        ("", None, SHRINK),
        (np.full(N, np.inf), None, SHRINK),
        (np.arange(9.0), None, SHRINK),
        (np.ones(N), None, SHRINK),
    ],
    ids=["first session", "the same order", "unknown", "text", "infinite", "other names", "no spread"],
)
def test_scores_that_cannot_be_compared(before: object, now: object, status: Status) -> None:
    """The first session has nothing to compare with; whatever else cannot be compared is doubted."""
    assert answers(plausibility, scored(before, now), batch())["scores"].status is status


def test_a_name_without_a_score_is_not_bought() -> None:
    """Its own buy goes, the others stay."""
    now = np.where(np.array(NAMES) == "MBD", np.nan, np.linspace(-1.5, 1.5, N))
    judged = judge(scored(np.linspace(-1.5, 1.5, N), now), batch(), MANDATE)
    assert {o.instrument for o in buys(judged.approved)} == {"MBL", "MBH"}


# RC-71 and RC-72


def history(exceptions: int, days: int = 250, loss: float = 0.001, vol: float = 0.001) -> tuple[RiskDay, ...]:
    """Days of an unremarkable loss, the oldest of them beyond the forecast."""
    return tuple(RiskDay(0.02 if k < exceptions else loss, Forecast(0.01, vol)) for k in range(days))


def after(days: tuple[RiskDay, ...]) -> RiskInputs:
    return inputs(book=book_state(risk_days=days))


@pytest.mark.parametrize(
    ("exceptions", "days", "status", "var", "vol", "text"),
    [
        (0, 0, PASS, 1.0, 1.0, "0 of 250 sessions"),
        (4, 249, PASS, 1.0, 1.0, "249 of 250 sessions"),
        (4, 250, PASS, 1.0, 1.0, ""),
        (5, 250, WARN, 1.25, 1.0, "yellow zone"),
        (9, 250, WARN, 1.25, 1.0, "Kupiec p 0.00138"),
        (10, 250, WARN, 1.25, 0.5, "red zone"),
        (10, 100, WARN, 1.25, 0.5, "100 of 250 sessions; red zone"),
    ],
)
def test_the_zones_of_the_back_test(
    exceptions: int, days: int, status: Status, var: float, vol: float, text: str
) -> None:
    """Yellow raises value at risk, red halves the volatility target as well, on both paths; a short record says so."""
    facts = after(history(exceptions, days))
    found = answers(backtest, facts)[""]
    assert (found.status, found.observed, text in found.message) == (status, exceptions, True)
    p = project(facts, (), MANDATE)
    assert (var_multiple(p), model_multiple(p)) == (var, vol)
    assert portfolio_state.backtest_multiple(facts.book.risk_days, MANDATE.limits.var_backtest) == vol


def test_a_loss_equal_to_its_forecast_is_no_exception_and_an_unknown_one_is() -> None:
    """The border belongs to the forecast; NaN never does."""
    edge = RiskDay(0.01, Forecast(0.01, 0.001))
    beyond = RiskDay(math.nextafter(0.01, 1.0), Forecast(0.01, 0.001))
    unknown = (RiskDay(math.nan, Forecast(0.01, 0.001)), RiskDay(0.0, Forecast(math.nan, 0.001)))
    assert answers(backtest, after((edge, beyond, *unknown)))[""].observed == 3


def test_yellow_raises_what_rc_43_sees() -> None:
    """The same book, a quarter more."""
    green, yellow = (answers(value_at_risk, after(history(n)))[""].observed for n in (4, 5))
    assert green is not None
    assert yellow == pytest.approx(1.25 * green, rel=1e-12)


@pytest.mark.parametrize(
    ("loss", "days", "status", "multiple"),
    [
        (0.001, 59, PASS, 1.0),
        (0.001, 60, PASS, 1.0),
        (0.0014, 60, PASS, 1.0),
        (0.00141, 60, WARN, 1 / 1.41),
        (0.003, 60, WARN, 0.5),
        (-0.0007, 60, PASS, 1.0),
        (0.00069, 60, WARN, 1.0),
    ],
)
def test_realised_against_expected_volatility(loss: float, days: int, status: Status, multiple: float) -> None:
    """0.7 to 1.4 is trusted; above, the target is divided by the ratio, at most halved; below, it is only noted."""
    facts = after(history(0, days, loss=loss))
    assert answers(ratio, facts)[""].status is status
    assert model_multiple(project(facts, (), MANDATE)) == pytest.approx(multiple, rel=1e-9)
    own = portfolio_state.ratio_multiple(facts.book.risk_days, MANDATE.limits.vol_ratio)
    assert own == pytest.approx(multiple, rel=1e-9)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("field", ["loss", "volatility"])
def test_an_unknown_day_among_the_last_sixty_allows_no_buys(bad: float, field: str) -> None:
    """On the optimizer's side the target is halved."""
    day = RiskDay(bad, Forecast(0.01, 0.001)) if field == "loss" else RiskDay(0.001, Forecast(0.01, bad))
    facts = after((*history(0, 100), day))
    assert not buys(judge(facts, batch(), MANDATE).approved)
    assert portfolio_state.ratio_multiple(facts.book.risk_days, MANDATE.limits.vol_ratio) == (
        0.5 if not (bad == math.inf and field == "volatility") else 1.0
    )


@pytest.mark.parametrize("forecast", [None, Forecast(math.nan, 0.002), Forecast(0.004, math.nan)])
def test_a_book_whose_risk_is_unknown_buys_nothing(forecast: Forecast | None) -> None:
    """What is held must have been forecast; a book in cash need not."""
    assert not buys(judge(inputs(book=book_state(forecast=forecast)), batch(), MANDATE).approved)


GARBAGE = (None, float("nan"), float("inf"), float("-inf"), "", ())


@pytest.mark.parametrize("value", GARBAGE, ids=repr)
@pytest.mark.parametrize("field", ["scores", "scores_before", "llm_tilt", "planned"])
def test_a_garbage_model_fact_never_buys_more(field: str, value: object) -> None:
    """Each fact that can refuse, replaced as a whole: no buys, or half of them where only the comparison is lost."""
    if (field, value) in (("scores_before", None),):
        return  # the first session of a home
    facts = inputs(models=model_facts(**{field: value}))
    approved = buys(judge(facts, batch(), MANDATE).approved)
    if field == "scores_before":
        assert {o.instrument: int(o.quantity) for o in approved} == {"MBD": 100, "MBL": 50, "MBH": 50}
    elif field != "planned":  # the engine writes the plan itself
        assert approved == ()


def test_reductions_pass_whatever_the_models_say() -> None:
    """A sell is never held back by a doubt about models."""
    facts = replace(tilted(None), book=book_state(forecast=None), factor_model=crashes(0.25))
    facts = replace(facts, models=replace(facts.models, scores=np.full(N, np.nan)))
    judged = judge(facts, (order("MBA", "SELL", 100),), MANDATE)
    assert (judged.verdict, len(judged.approved)) == ("APPROVED", 1)
