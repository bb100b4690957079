"""The back-test's statistics against published numbers, scipy and hand counts."""

import math

import pytest
from scipy import stats

from marketbot_assets.risk.var_backtest import Zone, basel_zone, binomial_cdf, chi_square_tail, christoffersen, kupiec


@pytest.mark.parametrize(("count", "cumulative"), [(4, 0.8922), (5, 0.9588), (10, 0.9999)])
def test_the_cumulative_binomial(count: int, cumulative: float) -> None:
    """Basel's table of 250 sessions at 99 %, and scipy's."""
    assert binomial_cdf(count, 250, 0.01) == pytest.approx(cumulative, abs=5e-5)
    assert binomial_cdf(count, 250, 0.01) == pytest.approx(stats.binom.cdf(count, 250, 0.01), rel=1e-12)


@pytest.mark.parametrize(
    ("count", "zone"),
    [(0, Zone.GREEN), (4, Zone.GREEN), (5, Zone.YELLOW), (9, Zone.YELLOW), (10, Zone.RED), (60, Zone.RED)],
)
def test_the_zones(count: int, zone: Zone) -> None:
    """Green to 4, yellow to 9, red from 10: the Basel Committee's borders."""
    assert basel_zone(count) is zone


@pytest.mark.parametrize(("count", "ratio", "tail"), [(9, 10.23, 0.0014), (4, 0.77, 0.38)])
def test_kupiec(count: int, ratio: float, tail: float) -> None:
    """Published: x = 9 and x = 4 of 250 at 99 %."""
    found = kupiec(count, 250)
    assert found[0] == pytest.approx(ratio, abs=0.005)
    assert found[1] == pytest.approx(tail, rel=0.02)


def test_kupiec_at_its_ends() -> None:
    """No exception: -2 * 250 * ln 0.99; exactly as many as forecast: 0; only exceptions: -2 * n * ln 0.01."""
    assert kupiec(0, 250)[0] == pytest.approx(-500.0 * math.log(0.99), rel=1e-12)
    assert kupiec(5, 500)[0] == pytest.approx(0.0, abs=1e-12)
    assert kupiec(20, 20)[0] == pytest.approx(-40.0 * math.log(0.01), rel=1e-12)


@pytest.mark.parametrize("value", [0.0, 0.5, 3.841, 10.23, 40.0])
def test_the_chi_square_tail(value: float) -> None:
    """One degree of freedom, as scipy has it."""
    assert chi_square_tail(value) == pytest.approx(stats.chi2.sf(value, 1), rel=1e-10)


def test_christoffersen_by_hand() -> None:
    """Ten days, exceptions on the third, fourth and eighth: n00 4, n01 2, n10 2, n11 1."""
    hits = [False, False, True, True, False, False, False, True, False, False]
    together = 3 * math.log(3 / 9) + 6 * math.log(6 / 9)
    apart = 2 * math.log(2 / 6) + 4 * math.log(4 / 6) + math.log(1 / 3) + 2 * math.log(2 / 3)
    assert christoffersen(hits)[0] == pytest.approx(2.0 * (apart - together), abs=1e-12)


def test_clusters_are_seen_and_silence_is_not_judged() -> None:
    """Five exceptions in a row cannot be chance, five apart can; without any there is nothing to test."""
    row, apart = [120 <= k < 125 for k in range(250)], [k % 50 == 25 for k in range(250)]
    assert christoffersen(row)[1] < 1e-6
    assert christoffersen(apart)[1] > 0.5
    assert christoffersen([False] * 250) == (0.0, 1.0)
    assert christoffersen([True]) == (0.0, 1.0)
