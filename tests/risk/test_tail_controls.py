"""Controls on the tail and on what risk is made of: RC-43, 45, 47, 49, with their boundaries."""

import math
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from risk_world import (
    MANDATE,
    NAMES,
    answers,
    batch,
    book_state,
    crashes,
    factor_model,
    inputs,
    model_facts,
    order,
    tweaked,
)

from marketbot_assets.risk.exposure_controls import factors, risk_share, risk_shares
from marketbot_assets.risk.inputs import RiskInputs
from marketbot_assets.risk.projection import project
from marketbot_assets.risk.tail_controls import all_methods, largest_share, value_at_risk
from marketbot_assets.risk.verdict import run_controls
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import Status

N = len(NAMES)
PASS, WARN, SHRINK = Status.PASS, Status.WARN, Status.SHRINK
CASH_ONLY = {
    "positions": (Decimal(0),) * N,
    "cash": {"USD": Decimal(1_000_000)},
    "book": book_state(lots=(), forecast=None),
}


def limited(hard: float) -> Mandate:
    return tweaked(tweaked(MANDATE, "limits.var.hard", hard), "limits.var.warn", None)


# RC-43 and RC-45


@pytest.mark.parametrize(("gap", "status"), [(2e-9, PASS), (0.0, PASS), (-2e-9, SHRINK)])
def test_value_at_risk_at_its_limit(gap: float, status: Status) -> None:
    """From cash, one buy of 2 % of NAV; the fourth worst of 300 sessions lost 25 %: 0.5 % of NAV."""
    facts = inputs(**CASH_ONLY, factor_model=crashes(0.25))
    found = answers(value_at_risk, facts, (order("MBD", "BUY", 200),), limited(0.005 + gap))[""]
    assert found.observed == pytest.approx(0.005, rel=1e-9)
    assert found.status is status


def test_three_bad_days_in_300_are_within_one_percent() -> None:
    """1 % of 300 sessions is 3: the fourth worst loses nothing."""
    facts = inputs(**CASH_ONLY, factor_model=crashes(0.25, days=3))
    assert answers(value_at_risk, facts, (order("MBD", "BUY", 200),))[""].observed == 0.0


def test_the_share_that_stays_is_exact_for_a_book_from_cash() -> None:
    """Value at risk is homogeneous: 0.5 % against 0.2 % leaves two fifths of the buys, and the verdict accepts just that."""
    facts = inputs(**CASH_ONLY, factor_model=crashes(0.25))
    found = answers(value_at_risk, facts, (order("MBD", "BUY", 200),), limited(0.002))[""]
    assert found.keep == pytest.approx(0.4, abs=1e-9)
    assert found.order_ids == ("mb1-mbd-buy",)


def test_a_share_that_breaks_the_limit_on_its_way_is_not_passed_over() -> None:
    """Not convex: fine at 0 and at 1, broken between: what stays lies before the break."""
    assert largest_share(lambda s: 2.0 if 0.3 < s < 0.6 else 0.5, 1.0) == pytest.approx(0.3, abs=0.02)
    assert largest_share(lambda s: s, 1.0) == 1.0
    assert largest_share(lambda s: 2.0, 1.0) == 0.0
    assert largest_share(lambda s: math.nan if s > 0.5 else 0.0, 1.0) == pytest.approx(0.5, abs=1e-9)


def test_a_book_beyond_the_limit_may_still_be_sold() -> None:
    """Passive: without a buy it is noted; with one, the buy goes."""
    facts = inputs(factor_model=crashes(0.25))
    mandate = limited(0.02)
    assert answers(value_at_risk, facts, (order("MBA", "SELL", 100),), mandate)[""].status is WARN
    bought = answers(value_at_risk, facts, (order("MBD", "BUY", 10),), mandate)[""]
    assert (bought.status, bought.keep) == (SHRINK, 0.0)


def test_the_filtered_history_counts_when_it_is_worse() -> None:
    """Calm for 500 sessions, then twice as wild: the old losses are doubled and beyond the plain history's."""
    rng = np.random.default_rng(2)
    moves = rng.normal(0.0, 0.01, 600) * np.where(np.arange(600) < 560, 1.0, 3.0)
    model = factor_model(returns=np.repeat(moves[:, None], N, axis=1))
    found = answers(value_at_risk, inputs(**CASH_ONLY, factor_model=model), (order("MBD", "BUY", 200),))[""]
    plain = 0.02 * -np.sort(moves)[int(0.01 * 600)]
    assert found.observed is not None
    assert found.observed > 1.3 * plain


def test_all_methods_warn_by_default_and_shrink_where_the_mandate_says_so() -> None:
    """The largest of four: with four crash days the map of Cornish and Fisher does not rise, the filtered one leads."""
    facts, orders = inputs(**CASH_ONLY, factor_model=crashes(0.25)), (order("MBD", "BUY", 200),)
    warned = answers(all_methods, facts, orders, limited(0.002))[""]
    assert (warned.status, warned.order_ids, warned.observed) == (WARN, (), pytest.approx(0.005, rel=1e-9))
    shrunk = answers(all_methods, facts, orders, tweaked(limited(0.002), "limits.var_all_methods.on_fail", "shrink"))[
        ""
    ]
    assert (shrunk.status, shrunk.keep) == (SHRINK, pytest.approx(0.4, abs=1e-9))


# RC-47 and RC-49


def styled(mandate: str = "report") -> tuple[RiskInputs, Mandate]:
    exposures = np.column_stack([np.ones(N), np.arange(N, dtype=float), np.array([1.0] * 4 + [0.0] * (N - 4))])
    model = factor_model(
        factors=("market", "size", "sector ENERGY"),
        exposures=exposures,
        factor_covariance=0.02 * np.eye(3),
        beta=np.ones(N),
    )
    return inputs(factor_model=model), tweaked(MANDATE, "limits.factor.status", mandate)


@pytest.mark.parametrize(("status", "expected"), [("report", PASS), ("warn", WARN)])
def test_exposures_against_the_benchmark_at_the_books_own_size(status: str, expected: Status) -> None:
    """Seven names of 2 %: size 0.02*(0+1+2+4+6+8+10) = 0.62 against 0.14 times 5.5; energy 0.06 against 0.14 * 4/12."""
    facts, mandate = styled(status)
    found = answers(factors, facts, (), tweaked(mandate, "limits.factor.style", 0.1))
    assert found["size"].observed == pytest.approx(abs(0.62 - 0.14 * 5.5))
    assert found["sector ENERGY"].observed == pytest.approx(abs(0.06 - 0.14 / 3))
    assert found["beta"].observed == pytest.approx(0.0, abs=1e-12)
    assert (found["size"].status, found["sector ENERGY"].status) == (expected, PASS)
    assert found["size"].limit == (0.1 if status == "warn" else None)
    assert "band 0.1" in found["size"].message


@pytest.mark.parametrize(
    "benchmark", [None, np.full(N, np.nan), np.zeros(N), np.ones(N), np.eye(N)[0] * 2 - np.eye(N)[1]]
)
def test_without_a_benchmark_the_exposures_are_unknown_and_refuse_nothing(benchmark: object) -> None:
    """RC-47 only tells: its fail status is WARN."""
    facts = inputs(models=model_facts(benchmark=benchmark))
    found = [r for r in run_controls(facts, batch(), MANDATE) if r.control == "RC-47"]
    assert [(r.status, "cannot be computed" in r.message) for r in found] == [(WARN, True)]


def test_contributions_to_risk_add_up_and_are_those_of_the_covariance() -> None:
    """Shares are w_i (S w)_i / w'Sw under the larger estimator, written out here as matrices."""
    facts = inputs()
    model, weights = (
        facts.factor_model,
        np.array([0.02 if name in "MBA MBB MBC MBE MBG MBI MBK" else 0.0 for name in NAMES]),
    )
    age = np.arange(300)[::-1]
    decay = 0.5 ** (age / 33.0)
    ewma = (model.returns * (decay / decay.sum())[:, None]).T @ model.returns
    recent = model.returns[-252:]
    wolf = 0.9 * recent.T @ recent / 252 + 0.1 * 1.4e-4 * np.eye(N)
    covariance = max(ewma, wolf, key=lambda s: weights @ s @ weights)
    with np.errstate(all="ignore"):
        shares, sigma = risk_shares(project(facts, (), MANDATE))
    expected = weights * (covariance @ weights) / (weights @ covariance @ weights)
    np.testing.assert_allclose(shares[:, 0], expected[weights > 0], rtol=1e-9)
    assert shares[:, 0].sum() == pytest.approx(1.0, abs=1e-12)
    assert sigma[0] == pytest.approx(math.sqrt(weights @ covariance @ weights), rel=1e-12)


@pytest.mark.parametrize(
    ("method", "invested_min", "status"),
    [
        ("mean_variance", 0.5, PASS),
        ("mean_variance", 0.1, WARN),
        ("risk_parity", 0.5, PASS),
        ("risk_parity", 0.1, SHRINK),
    ],
)
def test_one_name_that_carries_the_book(method: str, invested_min: float, status: Status) -> None:
    """Noted once enough is invested; only risk parity, which promises equal shares, is held to it."""
    model = factor_model()
    returns = model.returns.copy()
    returns[:, NAMES.index("MBD")] *= 5.0
    facts = inputs(factor_model=replace(model, returns=returns), optimizer=replace(inputs().optimizer, method=method))
    mandate = tweaked(MANDATE, "limits.risk_share.invested_min", invested_min)
    found = answers(risk_share, facts, (order("MBD", "BUY", 200), order("MBL", "BUY", 10)), mandate)["MBD"]
    assert found.status is status
    assert found.order_ids == (("mb1-mbd-buy",) if status is SHRINK else ())
