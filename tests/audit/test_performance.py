"""A period's numbers follow published definitions, add up, and never join what must stay apart."""

import datetime as dt
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_world import framed

from marketbot_assets.audit import performance_ratios as ratios
from marketbot_assets.audit.performance import FLOWS, Point, performance
from marketbot_assets.audit.report_performance import performance_page
from marketbot_assets.audit.schema import ATTRIBUTION
from marketbot_resources.errors import UsageError

NAN = math.nan
GOLDEN = Path(__file__).parent / "golden" / "performance.json"


def days(count: int) -> list[dt.date]:
    return [dt.date(2020, 1, 1) + dt.timedelta(days=n) for n in range(count)]


def attribution(name: str, price: float, cash: float = 0.0, fee: float = 0.0) -> pd.DataFrame:
    """One name and one currency's cash of a session, with the sums of both."""
    own = {"price": price, "fee": fee, "total": price - fee}
    money = {"residual": cash, "total": cash}
    both = {**own, "residual": cash, "total": price - fee + cash}
    rows = [
        {"dimension": "INSTRUMENT", "name": name, "kind": "POSITION", "sector": "Energy", "currency": "USD", **own},
        {"dimension": "INSTRUMENT", "name": "CASH:USD", "kind": "CASH", "sector": "CASH", "currency": "USD", **money},
        {"dimension": "SECTOR", "name": "Energy", "kind": "GROUP", **own},
        {"dimension": "SECTOR", "name": "CASH", "kind": "GROUP", **money},
        {"dimension": "CURRENCY", "name": "USD", "kind": "GROUP", **both},
        {"dimension": "TOTAL", "name": "TOTAL", "kind": "GROUP", **both},
    ]
    zero = dict.fromkeys(("price", "fx", "dividend", "trading", "fee", "tax", "residual"), 0.0)
    return framed(ATTRIBUTION, [{**zero, **row} for row in rows])


def example() -> list[Point]:
    """100 grows to 110, 50 is put in, 160 becomes 176, then falls to 165: 10 % twice, then -6.25 %."""
    first, *rest = [dt.date(2020, 1, 30), dt.date(2020, 1, 31), dt.date(2020, 2, 3), dt.date(2020, 2, 4)]
    return [
        Point(first, 100.0, "paper", synthetic=False),
        Point(rest[0], 110.0, "paper", False, 0.0, attribution("A", 11.0, fee=1.0), 40.0, 1.5, 0.05),
        Point(rest[1], 176.0, "paper", False, 50.0, attribution("B", 16.0, cash=50.0), 32.0, 0.5, 0.02),
        Point(rest[2], 165.0, "paper", False, 0.0, attribution("A", -11.0), 0.0, 0.0, NAN),
    ]


def test_return_with_a_cash_flow_by_hand() -> None:
    """1.1 * 1.1 * 0.9375 - 1 = 13.4375 %; profit 165 - 100 - 50 = 15; what was put in is no profit in any dimension."""
    found = performance(example())
    n = found.numbers
    assert found.returns == pytest.approx((0.1, 0.1, -0.0625))
    assert n["time_weighted_return"] == pytest.approx(0.134375)
    assert (n["flows"], n["profit"], n["unattributed"]) == (50.0, 15.0, 0.0)
    for rows in found.by.values():
        assert math.fsum(float(str(row["total"])) for row in rows) == pytest.approx(15.0, abs=1e-12)
    assert {row["name"]: row["total"] for row in found.by["INSTRUMENT"]} == {
        "B": 16.0, "A": -1.0, "CASH:USD": 50.0, FLOWS: -50.0,
    }  # fmt: skip
    assert found.parts["price"] - found.parts["fee"] + found.parts["residual"] == pytest.approx(found.parts["total"])
    assert (found.parts["price"], found.parts["fee"], found.parts["residual"]) == (16.0, 1.0, 0.0)


def test_months_costs_and_benchmark_by_hand() -> None:
    """January 10 %, February 1.1 * 0.9375 - 1 = 3.125 %; the benchmark knows 5 % and 2 %; turnover 20 / 100 + 16 / 160."""
    found = performance(example())
    n = found.numbers
    assert [(row["month"], row["return"]) for row in found.months] == [
        ("2020-01", pytest.approx(0.1)),
        ("2020-02", pytest.approx(0.03125)),
    ]
    assert math.isnan(float(str(found.months[1]["benchmark"])))
    assert n["benchmark_return"] == pytest.approx(1.05 * 1.02 - 1)
    assert n["tracking_difference"] == pytest.approx(0.21 - 0.071)
    assert n["tracking_error"] == pytest.approx(np.std([0.05, 0.08], ddof=1) * math.sqrt(252))
    assert (n["turnover"], n["trading_cost"], n["fees"]) == (pytest.approx(0.3), 2.0, 1.0)
    assert (n["hit_rate_sessions"], n["hit_rate_names"]) == (pytest.approx(2 / 3), 0.5)
    assert any("1 of 3 sessions is not known" in note for note in found.notes)
    assert math.isnan(n["time_weighted_per_year"])


def test_return_before_fees_and_taxes_by_hand() -> None:
    """A fee of 1 on 100: 1.11 * 1.1 * 0.9375 - 1, the book's own is net of it. Not known where a session was not attributed."""
    n = performance(example()).numbers
    assert n["time_weighted_gross"] == pytest.approx(1.11 * 1.1 * 0.9375 - 1, abs=1e-12)
    assert n["time_weighted_gross"] > n["time_weighted_return"]
    unknown = [replace(point, attribution=None) if place == 2 else point for place, point in enumerate(example())]
    assert math.isnan(performance(unknown).numbers["time_weighted_gross"])


def month_ends(count: int) -> list[dt.date]:
    """The last weekday of each month from December 2016 on."""
    ends = [dt.date(2017 + n // 12, n % 12 + 1, 1) - dt.timedelta(days=1) for n in range(count + 1)]
    return [day - dt.timedelta(days=max(0, day.weekday() - 4)) for day in ends]


@pytest.mark.parametrize(("count", "known"), [(35, False), (36, True), (40, True)])
def test_deviation_of_thirty_six_months_by_hand(count: int, known: bool) -> None:
    """Up 1 %, down 1 % in turn: mean 0, 36 squares of 0.0001 over 35, times the root of 12; older months do not count."""
    nav, points = 100.0, [Point(month_ends(0)[0], 100.0, "paper", synthetic=False)]
    for place, day in enumerate(month_ends(count)[1:]):
        nav *= 1.5 if count - place > 36 else 1.01 if place % 2 else 0.99
        points.append(Point(day, nav, "paper", synthetic=False))
    found = performance(points)
    told = any("36 whole months" in note for note in found.notes)
    if known:
        expected = math.sqrt(36 * 0.0001 / 35) * math.sqrt(12)
        assert found.numbers["volatility_36_months"] == pytest.approx(expected, rel=1e-12)
    assert math.isfinite(found.numbers["volatility_36_months"]) is known is not told
    cut = performance([*points[:-1], replace(points[-1], session=points[-1].session - dt.timedelta(days=9))])
    late = performance([replace(points[0], session=points[0].session + dt.timedelta(days=9)), *points[1:]])
    whole = count - 1 >= 36
    for less in (cut, late):
        assert math.isfinite(less.numbers["volatility_36_months"]) is whole


def test_money_weighted_return_by_hand() -> None:
    """100 for a year at 10 % is 10 %. 100 twice, a year apart, 231 after two: x = 1.1 solves x^2 + x = 2.31."""
    year = dt.timedelta(days=365)
    start = dt.date(2021, 1, 1)
    assert ratios.money_weighted([(start, -100.0), (start + year, 110.0)]) == pytest.approx(0.1, abs=1e-12)
    two = [(start, -100.0), (start + year, -100.0), (start + 2 * year, 231.0)]
    assert ratios.money_weighted(two) == pytest.approx(0.21, abs=1e-12)
    assert math.isnan(ratios.money_weighted([(start, -100.0), (start + year, 230.0), (start + 2 * year, -132.0)]))
    assert math.isnan(ratios.money_weighted([(start, -100.0), (start, 100.0)]))


def test_sharpe_and_its_error_by_hand() -> None:
    """Returns 1 % and 3 % in turn, four each: mean 2 %, deviation 1 % * sqrt(8 / 7). Lo's error: sqrt((1 + s^2 / 2) / 8)."""
    returns = np.array([0.01, 0.03] * 4)
    s = 0.02 / (0.01 * math.sqrt(8 / 7))
    assert ratios.sharpe(returns) == pytest.approx(
        (s * math.sqrt(252), math.sqrt((1 + s * s / 2) / 8) * math.sqrt(252))
    )
    assert all(map(math.isnan, ratios.sharpe(np.full(5, 0.25))))
    assert all(map(math.isnan, ratios.sortino(returns)))  # nothing below zero


@pytest.mark.parametrize(
    ("seed", "total", "per_year", "deviation", "sharpe", "sortino", "deepest", "apart"),
    [
        (
            1,
            -0.209153472087,
            -0.178897341416,
            0.161202406861,
            -1.14191483991,
            -1.53925133892,
            0.272423864759,
            0.210158391389,
        ),
        (
            2,
            -0.0725526360254,
            -0.0613082784119,
            0.177749403217,
            -0.267337246564,
            -0.37646978847,
            0.202182096236,
            0.239357643459,
        ),
        (
            3,
            0.303173833878,
            0.249113709939,
            0.177058714719,
            1.3450077713,
            2.03478398665,
            0.112666983866,
            0.240070517916,
        ),
    ],
)
def test_numbers_of_empyrical(
    seed: int,
    total: float,
    per_year: float,
    deviation: float,
    sharpe: float,
    sortino: float,
    deepest: float,
    apart: float,
) -> None:
    """What empyrical-reloaded gives for the same 300 returns, to eleven digits."""
    returns = np.random.default_rng(seed).normal(0.0004, 0.011, 300)
    other = np.random.default_rng(seed + 10).normal(0.0003, 0.010, 300)
    found = (
        ratios.linked(returns), ratios.annualized(ratios.linked(returns), 300), ratios.volatility(returns),
        ratios.sharpe(returns)[0], ratios.sortino(returns)[0],
        ratios.drawdowns([str(n) for n in range(301)], returns)[0].depth, ratios.volatility(returns - other),
    )  # fmt: skip
    assert found == pytest.approx((total, per_year, deviation, sharpe, sortino, deepest, apart), rel=2e-11)


def test_sortino_and_its_error() -> None:
    """-1 % and 3 % in turn: downside deviation 1 % / sqrt(2). The error agrees with what many drawn samples scatter by."""
    value, _ = ratios.sortino(np.array([-0.01, 0.03] * 4))
    assert value == pytest.approx(0.01 / (0.01 / math.sqrt(2)) * math.sqrt(252))
    draws = np.random.default_rng(2).normal(0.001, 0.01, (400, 1000))
    found = np.array([ratios.sortino(row) for row in draws])
    assert found[:, 1].mean() == pytest.approx(found[:, 0].std(), rel=0.1)
    sharpes = np.array([ratios.sharpe(row) for row in draws])
    assert sharpes[:, 1].mean() == pytest.approx(sharpes[:, 0].std(), rel=0.1)


def test_drawdowns_by_hand() -> None:
    """100 110 99 104.5 110 88 96.8: 10 % from b, over in four; 20 % from e, not over."""
    wealth = np.array([100, 110, 99, 104.5, 110, 88, 96.8])
    falls = ratios.drawdowns("abcdefg", wealth[1:] / wealth[:-1] - 1)
    assert [(d.high, d.low, d.recovered, d.sessions) for d in falls] == [("e", "f", None, 2), ("b", "c", "e", 3)]
    assert [d.depth for d in falls] == pytest.approx([0.2, 0.1])
    assert ratios.drawdowns("abc", np.array([0.1, 0.0])) == []


@given(st.lists(st.floats(-0.2, 0.2), min_size=2, max_size=60))
def test_the_deepest_drawdown_is_that_of_a_slow_search(values: list[float]) -> None:
    """Over all pairs of a high and a later low."""
    returns = np.array(values)
    wealth = np.concatenate([[1.0], np.cumprod(1 + returns)])
    slow = max(1 - wealth[j] / wealth[i] for i in range(len(wealth)) for j in range(i, len(wealth)))
    falls = ratios.drawdowns([str(n) for n in range(len(wealth))], returns)
    assert (falls[0].depth if falls else 0.0) == pytest.approx(slow, abs=1e-9)


@given(st.lists(st.tuples(st.floats(-0.3, 0.3), st.floats(0.0, 50.0)), min_size=1, max_size=30))
def test_flows_move_neither_return_nor_profit(steps: list[tuple[float, float]]) -> None:
    """With the same returns, money put in leaves the linked return; profit is what the money that was there earned."""
    nav, points, earned = 100.0, [Point(days(1)[0], 100.0, "live", synthetic=False)], []
    for day, (move, flow) in zip(days(len(steps) + 1)[1:], steps, strict=True):
        earned.append((nav + flow) * move)
        nav = (nav + flow) * (1 + move)
        points.append(Point(day, nav, "live", False, flow))
    n = performance(points).numbers
    assert n["time_weighted_return"] == pytest.approx(np.prod([1 + move for move, _ in steps]) - 1, abs=1e-9)
    assert n["profit"] == pytest.approx(math.fsum(earned), abs=1e-6)


def bad(**changed: object) -> list[Point]:
    first, second, *_ = example()
    fields = {name: getattr(second, name) for name in Point.__slots__}
    return [first, Point(**{**fields, **changed})]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("points", "words"),
    [
        (bad(environment="live"), "live and paper, which never form one series"),
        (bad(environment=""), "not told and paper"),
        (bad(nav=0.0), "positive NAV"),
        (bad(nav=NAN), "positive NAV"),
        (bad(flow=NAN), "known flows"),
        (bad(flow=-200.0), "after each cash flow"),
        (example()[:1], "found 1 in all"),
    ],
)
def test_what_cannot_be_told_is_refused(points: list[Point], words: str) -> None:
    """Live and paper are never joined; a number that is not known gives no return."""
    with pytest.raises(UsageError, match=words):
        performance(points)


def test_page_and_numbers_as_agreed() -> None:
    """The golden holds the numbers; the page shows them, marks what is simulated, and has no script."""
    found = performance(example())
    kept = {name: NAN if value is None else value for name, value in json.loads(GOLDEN.read_text()).items()}
    assert found.numbers == pytest.approx(kept, rel=0, abs=1e-12, nan_ok=True)
    limit = {"control": "cap", "key": "cap|A", "name": "position cap", "observed": 0.04, "limit": 0.05, "unit": "NAV",
             "status": "PASS", "used": 0.8}  # fmt: skip
    view = {
        "base_currency": "USD",
        "inception": "2020-01-30",
        "opened": "for 2020-01-30, with cash",
        "ledger": {"size": 9, "root": "ab" * 32},
        "exposures": [limit],
        "restated": [],
    }
    page = performance_page(found, view, {"A": "<b>ACME"})
    assert "No report of these sessions" in page
    told = {"session": "2020-01-31", "number": "nav", "old": 110.0, "new": 109.5, "reason": "other <code>", "entry": 4}
    other = performance_page(found, {**view, "restated": [told]}, {})
    assert "other &lt;code&gt;" in other
    assert "109.5" in other
    for words in (
        "2020-01-31 to 2020-02-04",
        "13.44",
        "paper account",
        FLOWS.replace("'", "&#x27;"),
        "&lt;b&gt;ACME",
        "position cap",
    ):
        assert words in page
    assert "<script" not in page
    assert "Partly simulated" not in page
