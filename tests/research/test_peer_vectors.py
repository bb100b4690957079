"""Published numbers that no other test holds, and the page that says which test holds which."""

import math
import re
from pathlib import Path

import numpy as np
import pytest

from marketbot_assets.audit.brinson import Sectors
from marketbot_assets.audit.currency_effects import karnosky_singer
from marketbot_assets.audit.performance_ratios import linked

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "vectors.md").read_text(encoding="utf-8")
ROWS = [line.strip("|").split("|") for line in PAGE.splitlines() if "`tests/" in line and line.startswith("|")]


def test_the_years_of_bacons_portfolio_and_benchmark() -> None:
    """Bacon 2008: 8.3, -3.4, -5, 4.5 % make 3.859321 %; 6.4, -4.6, -12.5, 2 % lose 9.406252 %."""
    assert linked(np.array([0.083, -0.034, -0.050, 0.045])) == pytest.approx(0.03859321, abs=5e-9)
    assert linked(np.array([0.064, -0.046, -0.125, 0.020])) == pytest.approx(-0.09406252, abs=5e-9)


def test_the_sums_of_the_currency_effects() -> None:
    """Karnosky and Singer on Bacon's first quarter: base returns 17.51 and 16.96 %, the effects add up to the log excess."""
    weights, benchmark = [0.4, 0.3, 0.3], [0.4, 0.2, 0.4]
    local = Sectors.of(weights, benchmark, [0.20, -0.05, 0.06], [0.10, -0.04, 0.08])
    found = karnosky_singer(local, np.array([0.0, 0.10, 0.20]), np.array([0.05, 0.01, 0.03]))
    sums = [math.fsum(effect) for effect in (found.allocation, found.selection, found.currency)]
    assert sums == pytest.approx([-0.009817, 0.026056, -0.010662], abs=1e-6)
    assert math.fsum(sums) == pytest.approx(0.005576, abs=1e-6)
    assert found.total == pytest.approx(0.1751 - 0.1696, abs=1e-12)


def test_the_page_has_its_rows() -> None:
    """A row that is written in another way would not be read."""
    assert len(ROWS) == sum(line.startswith("| ") for line in PAGE.splitlines()) - PAGE.count("\n|---")
    assert all(len(cells) == 5 for cells in ROWS)


@pytest.mark.parametrize("cells", ROWS, ids=[cells[0].strip() for cells in ROWS])
def test_every_number_is_where_the_page_says(cells: list[str]) -> None:
    """The code exists; the test exists; the numbers stand in its file."""
    expected, code, test = cells[2:5]
    numbers = re.findall(r"`([^`]+)`", expected)
    (module,) = re.findall(r"`([^`]+)`", code)
    file, name = re.findall(r"`([^`]+)`", test)
    assert any((ROOT / top / module).is_file() for top in ("marketbot_assets", "marketbot_resources")), module
    source = (ROOT / file).read_text(encoding="utf-8")
    assert re.search(rf"^def {name}\(", source, re.MULTILINE), name
    plain = source.replace("_", "")
    assert [n for n in numbers if n not in plain] == []
