"""Grids: every combination in order, and one clear line per error before anything runs."""

import datetime as dt
import json

import numpy as np
import pytest
from research_world import MANDATE_TEXT, ROOT

from marketbot_assets.insight.return_model import SCORE_LOOKBACK, raw_scores
from marketbot_assets.sweep_grid import parse_grid, points_of
from marketbot_resources.errors import UsageError
from marketbot_resources.mandate import Mandate, mandate_of, parse_mandate
from marketbot_resources.mandate_section import SCORES

WEEK = "periods: [[2018-12-01, 2018-12-09]]\n"
VOL = "volatility.target_per_year"


@pytest.fixture(scope="module")
def base() -> Mandate:
    return parse_mandate(MANDATE_TEXT)


def test_a_mandate_comes_back_from_its_canonical_form(base: Mandate) -> None:
    assert mandate_of(json.loads(base.canonical())).sha256 == base.sha256


def test_every_combination_period_by_period_in_the_order_of_the_file(base: Mandate) -> None:
    grid = parse_grid(
        "periods: [[2018-12-01, 2018-12-09], [2018-12-10, 2018-12-11]]\n"
        "features: {mom: {momentum_12_1: 1.0}, low: {low_volatility_126d: 1.0}}\n"
        "models: {parity: {portfolio.method: risk_parity, portfolio.risk_parity_budget_base: 0.5}}\n"
        "change: {portfolio.risk_aversion: [5.0, 2.5]}\n"
    )
    points = points_of(grid, base, {})
    assert [point.number for point in points] == list(range(1, 9))
    assert [point.name for point in points[:2]] == [
        "features=mom, model=parity, portfolio.risk_aversion=5.0",
        "features=mom, model=parity, portfolio.risk_aversion=2.5",
    ]
    assert {(p.first, p.last) for p in points[:4]} == {(dt.date(2018, 12, 3), dt.date(2018, 12, 7))}
    assert {(p.first, p.last) for p in points[4:]} == {(dt.date(2018, 12, 10), dt.date(2018, 12, 11))}
    portfolio = points[1].mandate.portfolio
    assert (portfolio.method, portfolio.risk_parity_budget_base) == ("risk_parity", 0.5)
    assert (portfolio.score_weights, portfolio.risk_aversion) == ({"momentum_12_1": 1.0}, 2.5)
    unchanged = points[1].mandate.model_copy(update={"portfolio": base.portfolio})
    assert unchanged.sha256 == base.sha256, "nothing else changes"


def test_what_a_grid_can_name_is_what_the_return_model_makes() -> None:
    """Each of them, and with these three no others: a name that is missing here would be refused or fail in every session."""
    returns = np.random.default_rng(0).normal(scale=0.01, size=(SCORE_LOOKBACK, 4))
    assert np.isfinite(raw_scores(returns, SCORES)).all()
    assert set(SCORES) == {"low_volatility_126d", "momentum_12_1", "reversal_5d"}


def test_a_grid_of_periods_alone_is_the_base_mandate(base: Mandate) -> None:
    (point,) = points_of(parse_grid(WEEK), base, {})
    assert (point.name, point.mandate.sha256) == ("base", base.sha256)


ACROSS = "expected sessions of XNYS from 2018-10-01 to 2022-12-28, found"
CASES: list[tuple[str, list[str]]] = [
    ("- 1", ["file: input should be"]),
    ("", ["periods: field required"]),
    ("periods: []", ["periods: list should have at least 1 item"]),
    (WEEK + "change: {fx: 1}\nextra: 1", ["change.fx: input should be a valid list", "extra: extra inputs"]),
    (WEEK + "change: {a: [1]}\nchange: {b: [1]}", ["expected YAML, found: key 'change' is given twice"]),
    (
        WEEK + "change: {portfolio.risk: [1]}",
        ["portfolio.risk=1: portfolio.risk: expected a key of portfolio (black_l"],
    ),
    (
        WEEK + "features: {x: {reversal_5d: 1, kmid: 1}, y: {momentum_12_1: 1}, z: {beta: 1}}",
        [
            "features=x: mandate: portfolio.score_weights.kmid.[key]: value error, expected a score of the return model: "
            "low_volatility_126d, momentum_12_1, reversal_5d, found 'kmid'",
            "features=z: mandate: portfolio.score_weights.beta",
        ],
    ),
    (WEEK + "change: {llm.usd: [1]}", ["change.llm.usd: expected a key that a backtest reads, found llm"]),
    (WEEK + "change: {calendar.go_live: [2018-12-03]}", ["change.calendar.go_live: expected a key that leaves the i"]),
    (WEEK + "models: {x: {schedule: 1}}", ["models.x.schedule: expected a key that leaves the inputs alone"]),
    (
        WEEK + f"change: {{{VOL}: [-1, 2, 0.1]}}",
        [f"{VOL}=-1: mandate: {VOL}: input should be greater", f"{VOL}=2: mandate: {VOL}: input should be less"],
    ),
    (
        WEEK + "change: {portfolio.risk_aversion: [1, 1.0]}",
        ["points 1 and 2 (portfolio.risk_aversion=1.0) are the same"],
    ),
    (
        WEEK + "models: {x: {cadence: a}}\nchange: {cadence: [b]}",
        ["models.x.cadence: expected it there or under change"],
    ),
    (
        WEEK + "features: {x: {reversal_5d: 1}}\nchange: {portfolio.score_weights.reversal_5d: [1]}",
        ["change.portfolio.score_weights.reversal_5d: expected it under features alone"],
    ),
    (
        "periods: [[2018-12-01, 2018-12-02], [2017-01-03, 2017-01-09]]",
        [f"periods: {ACROSS} 2018-12-01 to 2018-12-02", f"periods: {ACROSS} 2017-01-03 to 2017-01-09"],
    ),
    ("periods: [[2018-12-01, 2018-12-09], [2018-12-03, 2018-12-07]]", ["periods: 2018-12-03 to 2018-12-07 is given"]),
    (
        WEEK + f"change: {{a: {list(range(200))}, b: {list(range(200))}}}",
        ["expected at most 10000 points, found 40000"],
    ),
]


@pytest.mark.parametrize(("text", "lines"), CASES, ids=[str(number) for number in range(len(CASES))])
def test_one_clear_line_per_error(base: Mandate, text: str, lines: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        points_of(parse_grid(text), base, {})
    found = str(caught.value).splitlines()
    assert len(found) == len(lines), found
    assert all(line.startswith(f"grid: {expected}") for line, expected in zip(found, lines, strict=True)), found


def test_a_mandate_file_of_other_inputs_is_refused(base: Mandate) -> None:
    """All points of a sweep rest on the bodies that the base mandate's providers gave."""
    grid = parse_grid(WEEK + "mandates: {mine: a.yaml, other: b.yaml}")
    texts = {"mine": MANDATE_TEXT.replace("risk_aversion: 5.0", "risk_aversion: 9.0")}
    texts["other"] = MANDATE_TEXT.replace("base_currency: USD", "base_currency: EUR")
    with pytest.raises(UsageError, match=r"^grid: mandates.other: base_currency: expected the base mandate's"):
        points_of(grid, base, texts)
    only = parse_grid(WEEK + "mandates: {mine: a.yaml}\nchange: {volatility.target_per_year: [0.07]}")
    (point,) = points_of(only, base, texts)
    assert (point.mandate.portfolio.risk_aversion, point.mandate.volatility.target_per_year) == (9.0, 0.07)


def test_the_grid_of_the_docs_is_one(base: Mandate) -> None:
    """docs/sweeps.md shows a grid and says how many points it has."""
    page = (ROOT / "docs" / "sweeps.md").read_text(encoding="utf-8")
    text = page.split("```yaml\n")[1].split("```")[0]
    assert len(points_of(parse_grid(text), base, {})) == 48
    assert "= 48." in page
