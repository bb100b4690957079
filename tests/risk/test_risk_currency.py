"""What rates alone do to a book: against a slow covariance, by hand where two rates move as one, and with gaps."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketbot_assets.risk.currency_risk import currency_risk
from marketbot_resources.model import SESSIONS_PER_YEAR

YEAR = math.sqrt(SESSIONS_PER_YEAR)
UP = [1.0 if n % 2 else -1.0 for n in range(40)]


def test_two_rates_that_move_as_one() -> None:
    """10 % in one that moves 1 % a session and 20 % in one that moves 0.5 %: 0.1 + 0.1 = 0.2 % of NAV a session, half each."""
    found = currency_risk({"A": 0.1, "B": 0.2}, {"A": [0.01 * x for x in UP], "B": [0.005 * x for x in UP]}, 33.0)
    assert found.volatility == pytest.approx(0.002 * YEAR)
    assert found.parts == pytest.approx({"A": 0.001 * YEAR, "B": 0.001 * YEAR})
    assert found.rates == pytest.approx({"A": 0.01 * YEAR, "B": 0.005 * YEAR})
    hedged = currency_risk({"A": 0.1, "B": -0.2}, {"A": [0.01 * x for x in UP], "B": [0.005 * x for x in UP]}, 33.0)
    assert (hedged.volatility, hedged.sessions) == (pytest.approx(0.0, abs=1e-9), 40)


@given(
    st.lists(st.tuples(*[st.floats(-0.05, 0.05)] * 3), min_size=1, max_size=30),
    st.tuples(*[st.floats(-0.5, 0.5)] * 3),
    st.floats(1.0, 100.0),
)
def test_against_a_slow_covariance(rows: list[tuple[float, ...]], held: tuple[float, ...], halflife: float) -> None:
    """The book's own moves, squared and weighted one by one; the parts add up."""
    names = ("A", "B", "C")
    moves = {name: [row[k] for row in rows] for k, name in enumerate(names)}
    found = currency_risk(dict(zip(names, held, strict=True)), moves, halflife)
    weights = [0.5 ** ((len(rows) - 1 - t) / halflife) for t in range(len(rows))]
    book = [sum(e * x for e, x in zip(held, row, strict=True)) for row in rows]
    variance = sum(w * x * x for w, x in zip(weights, book, strict=True)) / sum(weights)
    assert found.volatility == pytest.approx(math.sqrt(variance) * YEAR, rel=1e-6, abs=1e-7)
    assert math.fsum(found.parts.values()) == pytest.approx(found.volatility, rel=1e-6, abs=1e-7)


@pytest.mark.parametrize(
    "moves", [{}, {"A": UP}, {"A": UP, "B": [math.nan] * 40}, {"A": UP, "B": UP[:-1]}, {"A": UP, "B": []}]
)
def test_an_unknown_rate_is_not_zero_risk(moves: dict[str, list[float]]) -> None:
    """A currency without moves makes its part and the whole unknown; a book at home has none of it."""
    found = currency_risk({"A": 0.1, "B": 0.1}, moves, 33.0)
    assert math.isnan(found.volatility)
    assert math.isnan(found.parts["B"])
    assert currency_risk({}, moves, 33.0).volatility == 0.0
    assert np.isnan(currency_risk({"A": math.nan}, {"A": UP}, 33.0).volatility)
    # a rate that is not known harms nothing where nothing is held
    assert currency_risk({"A": 0.1, "B": 0.0}, {"A": [0.01 * x for x in UP]}, 33.0).volatility == pytest.approx(
        0.001 * YEAR
    )
