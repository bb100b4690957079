"""Rows of a sweep by hand, who is whose neighbour, and pictures that show every number."""

import datetime as dt
import json
import math

import numpy as np
import pandas as pd
import pytest

from marketbot_assets.research.promotion import searched
from marketbot_assets.research.sweep_charts import surfaces
from marketbot_assets.research.sweep_page import best_lines, sweep_page
from marketbot_assets.research.sweep_table import Told, axes_of, best_of, neighbours, returns_of, sweep_rows

FIRST, LAST = dt.date(2018, 12, 3), dt.date(2018, 12, 6)


def days(*nav: float) -> pd.DataFrame:
    """BACKTEST columns that a row of SWEEP reads."""
    n = len(nav)
    return pd.DataFrame(
        {
            "nav": nav,
            "drawdown": np.linspace(0.0, 0.02, n),
            "buys": [0.1] * n,
            "sells": [0.02] * n,
            "costs_base": [1.0] * n,
            "invested": np.linspace(0.0, 0.6, n),
            "verdict": ["APPROVED"] * (n - 1) + ["REJECTED"],
        }
    )


def point(number: int, frame: pd.DataFrame | None, **choices: object) -> Told:
    name = ", ".join(f"{axis}={value}" for axis, value in choices.items())
    content = "" if frame is None else f"{number:064x}"
    why = "ValueError: no answer" if frame is None else ""
    return Told(number, name, choices, FIRST, LAST, "m" * 64, "i" * 64, f"{number:032x}", content, frame, why)


SEARCHES = {f"{'i' * 64}/2018-12-03": searched(7, 0.01, None, includes=True, records=7)}


def test_a_row_by_hand() -> None:
    """NAV 100, 101, 100: returns 0, 1 %, -1/101; ratio, compound return, turnover and costs over 3 of 252 sessions."""
    row = sweep_rows([point(1, days(100.0, 101.0, 100.0), a=1)], SEARCHES).iloc[0]
    returns = [0.0, 0.01, 100 / 101 - 1]
    mean = sum(returns) / 3
    deviation = math.sqrt(sum((r - mean) ** 2 for r in returns) / 2)
    assert returns_of(days(100.0, 101.0, 100.0)) == pytest.approx(returns)
    assert row["sharpe_per_year"] == pytest.approx(math.sqrt(252) * mean / deviation)
    assert row["volatility_per_year"] == pytest.approx(math.sqrt(252) * deviation)
    assert row["return_per_year"] == pytest.approx(0.0)
    assert row["turnover_per_year"] == pytest.approx(3 * 0.12 / 2 * 84)
    assert row["costs_per_year"] == pytest.approx(3 / (301 / 3) * 84)
    assert (row["invested"], row["drawdown_max"], row["trials"]) == (pytest.approx(0.3), 0.02, 7)
    assert (row["approved"], row["sessions"], row["state"]) == (pytest.approx(2 / 3), 3, "done")
    assert 0.0 < row["deflated_sharpe"] < 0.5


def test_a_point_that_failed_has_its_reason_and_no_numbers() -> None:
    row = sweep_rows([point(1, None, a=1)], {}).iloc[0]
    assert (row["state"], row["message"], row["content_sha256"], row["sessions"]) == (
        "failed",
        "ValueError: no answer",
        "",
        0,
    )
    assert math.isnan(row["sharpe_per_year"])
    assert best_of(sweep_rows([point(1, None, a=1)], {})) is None


@pytest.fixture(scope="module")
def plane() -> pd.DataFrame:
    """Three values of a, two names of b; a peak at a=2, b=y; one point failed."""
    end = {(1, "x"): 100.5, (2, "x"): 101.0, (3, "x"): 100.4, (1, "y"): 100.6, (2, "y"): 109.0, (3, "y"): None}
    told = [
        point(number, None if last is None else days(100.0, 100.2, last), a=a, b=b)
        for number, ((a, b), last) in enumerate(end.items(), start=1)
    ]
    return sweep_rows(told, SEARCHES)


def test_neighbours_are_one_step_away_on_one_axis(plane: pd.DataFrame) -> None:
    """Numbers by their order, names to any other; axes with one value do not count."""
    assert axes_of(plane) == {"a": [1, 2, 3], "b": ["x", "y"]}
    found = {int(number): neighbours(plane, int(number)) for number in plane["point"]}
    assert found == {1: [2, 4], 2: [1, 3, 5], 3: [2, 6], 4: [1, 5], 5: [2, 4, 6], 6: [3, 5]}


def test_the_best_point_is_told_with_its_neighbours_and_the_trials(plane: pd.DataFrame) -> None:
    best = best_of(plane)
    assert best is not None
    assert json.loads(best["parameters"]) == {"a": 3, "b": "x"}, (
        "0.2 % twice: hardly any deviation, a ratio beyond the peak's"
    )
    lines = best_lines(plane)
    assert lines[0] == "1 of 6 points could not be run; they count as trials."
    assert "at point 3 (a=3, b=x); deflated by 7 trials on record" in lines[1]
    assert lines[2].startswith("Its 1 neighbours, one step away: median ")


def test_pictures_show_every_number_and_the_page_every_point(plane: pd.DataFrame) -> None:
    (chart,) = surfaces(plane, "return_per_year")
    for value in plane["return_per_year"].dropna():
        assert f": {value:.1%}<" in chart
    assert "a 3, b y: -<" in chart
    page = sweep_page(plane, None, synthetic=True)
    body = page[page.index("<body>") :]
    assert body.index("NOT TESTED against overfitting") < body.index("<h1>")
    assert "a=3, b=y: ValueError: no answer" in page
    assert page.index("NOT TESTED") < page.index("Partly simulated data") < page.index("<h1>")
    assert 'class="banner bad"' in page
    assert "http" not in page.replace("http://www.w3.org", "")


def test_one_axis_is_a_line_of_numbers_or_bars_of_names() -> None:
    told = [point(n, days(100.0, 101.0, 100.0 + n), a=n) for n in (1, 2, 3)]
    assert "<path" in surfaces(sweep_rows(told, SEARCHES), "return_per_year")[0]
    named = [point(n, days(100.0, 101.0, 100.0 + n), a=name) for n, name in enumerate(("u", "v"), start=1)]
    assert ">u<" in surfaces(sweep_rows(named, SEARCHES), "return_per_year")[0]
    assert surfaces(sweep_rows(told[:1], SEARCHES), "return_per_year") == []
