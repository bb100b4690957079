"""Measures of many series against empyrical's numbers, hand counts, and the platform's own numbers of one series."""

import math

import numpy as np
import pytest
from peer_series import SERIES, golden, market, series

from marketbot_assets.audit import performance_ratios as one
from marketbot_assets.research.return_measures import AGAINST, ALONE, BLOCK, growth_per_year, losses, measures

NAN = math.nan
HEALTHY = np.array([0.02, -0.01] * 200)


@pytest.mark.parametrize("name", [*ALONE, *AGAINST])
def test_twenty_series_are_as_empyrical_measures_them(name: str) -> None:
    """To 1e-10; the kept numbers come from empyrical-reloaded 0.7.1 and scipy in an environment of their own."""
    found, expected = measures(series(), market())[name], golden()[name]
    assert len(expected) == SERIES
    assert found == pytest.approx(expected, rel=1e-10, abs=1e-10)


def test_four_returns_by_hand() -> None:
    """10, -10, 20, -5 %: wealth 1.1, .99, 1.188, 1.1286; largest fall 10 %; mean 3.75 %; gains 30 over losses 15."""
    returns = np.array([[0.10], [-0.10], [0.20], [-0.05]])
    found = {name: float(values[0]) for name, values in measures(returns).items()}
    spread = [0.0625, -0.1375, 0.1625, -0.0875]
    down = math.sqrt((0.01 + 0.0025) / 4)
    assert found["total_return"] == pytest.approx(0.1286)
    assert found["max_drawdown"] == pytest.approx(0.10)
    assert found["omega"] == pytest.approx(2.0)
    assert found["volatility"] == pytest.approx(math.sqrt(sum(x * x for x in spread) / 3 * 252))
    assert found["sharpe"] == pytest.approx(0.0375 / math.sqrt(sum(x * x for x in spread) / 3) * math.sqrt(252))
    assert found["sortino"] == pytest.approx(0.0375 / down * math.sqrt(252))
    assert found["value_at_risk"] == pytest.approx(0.10 - 0.15 * 0.05)  # at .15 of the first of three steps
    assert found["expected_shortfall"] == pytest.approx(0.10)
    assert math.isnan(found["return_per_year"])  # less than a year
    assert math.isnan(found["calmar"])


def test_growth_and_tails_by_hand() -> None:
    """21 % in half a year are 46.41 % a year; of 11 sessions the worst 20 % are three, the quantile is the third worst."""
    assert growth_per_year(np.array([0.21, -1.0]), 126) == pytest.approx([1.1**4 - 1.0, NAN], nan_ok=True)
    returns = np.array([0.5, -0.03, -0.01, -0.02, *[0.01] * 7])[:, None]
    at_risk, shortfall = losses(returns, 0.2)
    assert (at_risk[0], shortfall[0]) == (pytest.approx(0.01), pytest.approx(0.02))
    wider = losses(returns, 0.25)  # half way from the third to the fourth worst, -1 and 1 %
    assert (wider[0][0], wider[1][0]) == (pytest.approx(0.0, abs=1e-15), pytest.approx(0.02))


def test_twice_the_market_and_a_bit_by_hand() -> None:
    """r = 2 m + 0.0001: beta 2, alpha 1.0001^252 - 1; active returns m + 0.0001."""
    m = np.array([0.01, -0.02, 0.015, 0.0])
    found = {name: float(values[0]) for name, values in measures((2 * m + 0.0001)[:, None], m).items()}
    active = m + 0.0001
    assert found["beta"] == pytest.approx(2.0)
    assert found["alpha"] == pytest.approx(1.0001**252 - 1)
    assert found["tracking_error"] == pytest.approx(float(np.std(active, ddof=1)) * math.sqrt(252))
    assert found["information_ratio"] == pytest.approx(float(active.mean()) / float(np.std(active, ddof=1)))


def test_one_series_has_the_numbers_of_the_performance_page() -> None:
    """`audit.performance_ratios` says the same of each column."""
    returns = series()
    found = measures(returns)
    for place, column in enumerate(returns.T):
        labels = [str(n) for n in range(len(column) + 1)]
        expected = {
            "total_return": one.linked(column),
            "return_per_year": one.annualized(one.linked(column), len(column)),
            "volatility": one.volatility(column),
            "sharpe": one.sharpe(column)[0],
            "sortino": one.sortino(column)[0],
            "max_drawdown": one.drawdowns(labels, column)[0].depth,
        }
        for name, value in expected.items():
            assert found[name][place] == pytest.approx(value, rel=1e-12, abs=1e-14), name


@pytest.mark.parametrize("bad", [NAN, math.inf, -math.inf, -1.0, -1.5])
def test_a_return_that_is_none_makes_its_column_unknown_and_no_other(bad: float) -> None:
    """Unknown, infinite, or more than all was lost: every measure of that portfolio is NaN."""
    returns = np.column_stack([HEALTHY, HEALTHY, HEALTHY])
    returns[7, 1] = bad
    found, clean = measures(returns, HEALTHY * 0.5), measures(HEALTHY[:, None], HEALTHY * 0.5)
    for name, values in found.items():
        assert math.isnan(values[1]), name
        assert values[0] == values[2] == clean[name][0], name


@pytest.mark.parametrize(
    ("returns", "unknown"),
    [
        (np.full(300, 0.001), {"sharpe", "sortino", "calmar", "omega", "skewness", "kurtosis"}),
        (np.zeros(300), {"sharpe", "sortino", "calmar", "omega", "stability", "tail_ratio", "skewness", "kurtosis"}),
        (np.array([0.01, 0.02]), set(ALONE) - {"total_return", "max_drawdown"}),
        (np.zeros(0), set(ALONE)),
    ],
    ids=["steady", "nothing", "too short", "none"],
)
def test_what_cannot_be_computed_is_not_known(returns: np.ndarray, unknown: set[str]) -> None:
    """No ratio over nothing; of two returns what was earned and lost, and nothing at all of none."""
    found = measures(returns[:, None])
    assert {name for name, values in found.items() if math.isnan(values[0])} == unknown


def test_an_unknown_benchmark_leaves_the_rest() -> None:
    """Only what is measured against it is NaN; one that does not move has no beta."""
    alone = measures(HEALTHY[:, None])
    for benchmark in (np.full(400, 0.01), np.where(np.arange(400) == 5, NAN, 0.01)):
        found = measures(HEALTHY[:, None], benchmark)
        assert all(math.isnan(found[name][0]) for name in AGAINST)
        assert all(found[name][0] == alone[name][0] or math.isnan(alone[name][0]) for name in ALONE)


def test_neighbours_do_not_matter() -> None:
    """Every bit of a portfolio's numbers is the same alone, among others, and in another order."""
    rng = np.random.default_rng(4)
    returns, benchmark = rng.standard_normal((300, 2 * BLOCK + 3)) * 0.01, rng.standard_normal(300) * 0.01
    order = rng.permutation(returns.shape[1])
    whole, mixed = measures(returns, benchmark), measures(returns[:, order], benchmark)
    single = measures(returns[:, [BLOCK]], benchmark)
    for name, values in whole.items():
        assert values[order].tobytes() == mixed[name].tobytes(), name
        assert values[BLOCK] == single[name][0], name


@pytest.mark.parametrize("shapes", [((5,), None), ((5, 2), (4,)), ((5, 2), (5, 1))])
def test_shapes_that_do_not_match(shapes: tuple[tuple[int, ...], tuple[int, ...] | None]) -> None:
    """Portfolios across, one benchmark."""
    with pytest.raises(ValueError, match="expected returns"):
        measures(np.zeros(shapes[0]), None if shapes[1] is None else np.zeros(shapes[1]))
