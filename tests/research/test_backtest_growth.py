"""The benchmark's tables of growing sizes: years of a run, what is beyond the runs, a picture of what was measured."""

import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
from backtest_decision import WARM_DAYS, YEAR, by_year
from backtest_report import growth


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        (5, [5]),
        (YEAR, [YEAR]),
        (YEAR + 10, [YEAR + 10]),
        (2 * YEAR, [YEAR, YEAR]),
        (2 * YEAR + YEAR // 2, [YEAR, YEAR, YEAR // 2]),
        (3 * YEAR - 200, [YEAR, 2 * YEAR - 200]),
    ],
)
def test_years_take_every_session_after_the_warm_ones_once(days: int, expected: list[int]) -> None:
    """A session costs its number in ms: the means times the lengths add up to all of them, and only to them."""
    costs = [1e9] * WARM_DAYS + [float(n) / 1e3 for n in range(days)]
    means = by_year(costs)
    assert len(means) == len(expected)
    assert sum(mean * count for mean, count in zip(means, expected, strict=True)) == pytest.approx(sum(range(days)))


def decision(listings: int, years: int, days: int, **more: object) -> dict[str, object]:
    bars = listings * (days + 500)
    return {
        "task": "size", "who": "run_days", "asked": listings, "sessions": years * YEAR, "years": years, "days": days,
        "cpu": days * listings * 1e-3, "cpu ms a day": float(listings), "ms by year": [1.0, 2.0, 3.0, 4.0, 5.5, 6.5],
        "world": 1.0, "panel": 1.0, "bars": bars, "laid out": 300.0, "peak": 400.0 + bars / 2**10, "orders": 7, **more,
    }  # fmt: skip


CORE = {"task": "size", "who": "array core", "names": 20, "years": 1, "days": YEAR, "cpu": 0.1, "peak": 200.0}


def test_the_section_shows_first_fifth_and_last_year_and_what_was_not_run() -> None:
    """Memory by the slope of the runs: a KiB per bar here; time by the day of the largest number of listings."""
    rows = [CORE, decision(20, 1, YEAR), decision(500, 30, 6912), decision(3000, 1, 5)]
    text = growth(rows).text
    (row,) = (line for line in text.splitlines() if line.startswith("| 500 "))
    cells = [cell.strip() for cell in row.split("|")[1:-1]]
    assert cells[1:7] == ["27.4", "6912", "500", "1", "5.5", "6.5"]
    bars = 3000 * (6912 + 500)
    assert f"{400 / 1024 + bars / 2**20:.0f} GiB" in text
    assert f"{6912 * 3000 / 3.6e6:.0f} hours" in text


def test_a_run_that_failed_is_a_row_that_says_why_and_no_point() -> None:
    """Neither the table nor the picture needs every row."""
    broken = {"task": "size", "who": "run_days", "asked": 65, "sessions": 252, "years": 1, "missing": "no answer"}
    for rows in ([CORE, broken], [CORE, decision(20, 1, YEAR), broken, decision(3000, 1, 5)], [CORE]):
        made = growth(rows)
        assert ("no answer" in made.text) == (broken in rows)
        drawn = ET.fromstring(made.svg)
        words = [node.text for node in drawn.iter("{http://www.w3.org/2000/svg}text")]
        assert not {"65 names", "3000 names"} & set(words)
