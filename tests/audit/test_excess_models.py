"""The excess by markets, currencies and factors: published numbers, one session by hand, and what must hold for any sessions."""

import datetime as dt
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketbot_assets.audit.cash_earned import cash_earned
from marketbot_assets.audit.compared import Compared, FactorMove, compared, factor_move, rate_moves
from marketbot_assets.audit.excess_models import (
    by_factor,
    by_market,
    by_method,
    by_sector,
    cash_rates_told,
    is_comparable,
    without_cash_rate,
)
from marketbot_assets.features.model import FactorModel
from marketbot_resources.cash_rates import CASH_RATES

NAN = math.nan
NAMES = ("UK", "JP", "US")
WEIGHTS = [(0.4, 0.3, 0.3), (0.7, 0.2, 0.1), (0.3, 0.5, 0.2), (0.3, 0.5, 0.2)]
BENCHMARK = [(0.4, 0.2, 0.4), (0.4, 0.3, 0.3), (0.5, 0.4, 0.1), (0.4, 0.4, 0.2)]
RETURNS = [(0.20, -0.05, 0.06), (-0.05, 0.03, -0.05), (-0.20, 0.08, -0.15), (0.10, -0.07, 0.25)]
THEIRS = [(0.10, -0.04, 0.08), (-0.07, 0.04, -0.10), (-0.25, 0.05, -0.20), (0.05, -0.05, 0.10)]


def quarter(n: int) -> Compared:
    """One quarter of Bacon (2008), tables 5.1 to 5.5: three sectors in the base currency, no cash."""
    rows = list(zip(NAMES, WEIGHTS[n], BENCHMARK[n], RETURNS[n], THEIRS[n], strict=True))
    return Compared(
        returned=math.fsum(w * r for _, w, _, r, _ in rows),
        benchmark_returned=math.fsum(v * b for _, _, v, _, b in rows),
        weights={(name, "USD"): w for name, w, *_ in rows},
        local={(name, "USD"): w * r for name, w, _, r, _ in rows},
        moves={"USD": 0.0},
        trading=0.0,
        costs=0.0,
        benchmark={(name, "USD"): (v, b) for name, _, v, _, b in rows},
        base_currency="USD",
    )


YEAR = [quarter(n) for n in range(4)]


@pytest.mark.parametrize(
    ("method", "allocation", "selection", "total"),
    [
        ("Brinson-Fachler, Carino", 0.01194514, 0.12071059, 0.13265573),
        ("Brinson-Fachler, Menchero", 0.00922181, 0.12343392, 0.13265573),
        ("Brinson-Fachler, GRAP", 0.01235964, 0.12029609, 0.13265573),
        ("Brinson-Fachler, Frongello", 0.01235964, 0.12029609, 0.13265573),
        ("geometric, compounded", 0.01285317, 0.13188098, 0.14642923),
    ],
)
def test_totals_of_the_book(method: str, allocation: float, selection: float, total: float) -> None:
    """Bacon (2008), tables 8.2 to 8.6."""
    row = next(row for row in by_method(YEAR) if row["method"] == method)
    assert [row[name] for name in ("allocation", "selection", "total")] == pytest.approx(
        [allocation, selection, total], abs=6e-9
    )
    assert row["other"] == pytest.approx(0.0, abs=1e-12)


def test_first_quarter_by_sector() -> None:
    """Brinson-Fachler allocates -.0104 and -.0016, Brinson-Hood-Beebower -.004 and -.008; selection and interaction are one."""
    rows = {row["name"]: row for row in by_sector([YEAR[0]])}
    assert [rows[n]["allocation"] for n in NAMES] == pytest.approx([0.0, -0.0104, -0.0016], abs=1e-15)
    assert [rows[n]["hood"] for n in NAMES] == pytest.approx([0.0, -0.004, -0.008], abs=1e-15)
    assert [rows[n]["selection"] for n in NAMES] == pytest.approx([0.04, -0.002, -0.008], abs=1e-15)
    assert [rows[n]["interaction"] for n in NAMES] == pytest.approx([0.0, -0.001, 0.002], abs=1e-15)
    assert rows["total"]["total"] == pytest.approx(0.019, abs=1e-15)


def test_a_currency_by_hand() -> None:
    """Half in a euro market that stands still while the euro gains 10 %, half in cash; the benchmark is the same market whole.

    Logs: the market earns nothing on either side; currency: weight -0.5 less, times (ln 1.1 - ln 1.1) and cash 0.5 times
    (0 - ln 1.1); what is left of the simple excess 0.05 - 0.1 is compounding.
    """
    one = Compared(0.05, 0.10, {("A", "EUR"): 0.5}, {("A", "EUR"): 0.0}, {"EUR": 0.1, "USD": 0.0}, 0.0, 0.0,
                   {("A", "EUR"): (1.0, 0.0)}, "USD")  # fmt: skip
    rows = {(row["kind"], row["name"]): row for row in by_market([one])}
    assert rows["currency", "USD"]["total"] == pytest.approx(-0.5 * math.log(1.1), abs=1e-15)
    assert rows["currency", "EUR"]["total"] == pytest.approx(0.0, abs=1e-15)
    assert rows["market", "A"]["total"] == pytest.approx(0.0, abs=1e-15)
    assert rows["other", "compounding"]["total"] == pytest.approx(-0.05 + 0.5 * math.log(1.1), abs=1e-15)
    assert rows["other", "unexplained"]["total"] == pytest.approx(0.0, abs=1e-15)


def test_karnosky_and_singer_with_cash_rates_by_market_and_currency() -> None:
    """Their log form on Bacon's first quarter: local cash of 5, 1 and 3 %, rates of exchange that move 0, 10 and 20 %.

    17.51 less 16.96 %; the effects in logs are 0.005576, the rest is compounding.
    """
    keys = [("UK", "GBP"), ("JP", "JPY"), ("US", "USD")]
    one = replace(
        YEAR[0],
        returned=0.1751,
        benchmark_returned=0.1696,
        weights=dict(zip(keys, WEIGHTS[0], strict=True)),
        local={key: w * r for key, w, r in zip(keys, WEIGHTS[0], RETURNS[0], strict=True)},
        moves={"GBP": 0.0, "JPY": 0.10, "USD": 0.20},
        benchmark=dict(zip(keys, zip(BENCHMARK[0], THEIRS[0], strict=True), strict=True)),
        base_currency="GBP",
        cash={"GBP": 0.05, "JPY": 0.01, "USD": 0.03},
    )
    rows = {(row["kind"], row["name"]): row for row in by_market([one])}
    assert [rows["market", n]["allocation"] for n in NAMES] == pytest.approx([0, -0.007819, -0.001999], abs=5e-7)
    assert [rows["market", n]["selection"] for n in NAMES] == pytest.approx([0.034805, -0.003141, -0.005608], abs=5e-7)
    found = [rows["currency", currency]["total"] for currency in ("GBP", "JPY", "USD")]
    assert found == pytest.approx([0, -0.002006, -0.008656], abs=5e-7)
    assert rows["other", "compounding"]["total"] == pytest.approx(0.0055 - 0.005576, abs=1e-6)
    assert rows["other", "unexplained"]["total"] == pytest.approx(0.0, abs=1e-12)
    assert without_cash_rate([one]) == {}
    bare = {(row["kind"], row["name"]): row for row in by_market([replace(one, cash={})])}
    assert bare["market", "UK"]["selection"] == pytest.approx(0.4 * math.log(1.2 / 1.1), abs=1e-15)
    assert bare["currency", "JPY"]["total"] != pytest.approx(-0.002006, abs=1e-4)


def test_idle_cash_by_hand() -> None:
    """All in cash that earns nothing while its rate is 1 %; the benchmark's market returns 3 %, its currency is the base.

    Allocation: 1 times (0 less ln 1.03/1.01) for cash, 0 less the same times -1 for the market; selection: ln 1 / 1.01.
    """
    one = Compared(0.0, 0.03, {}, {}, {"USD": 0.0}, 0.0, 0.0, {("A", "USD"): (1.0, 0.03)}, "USD", cash={"USD": 0.01})
    rows = {row["name"]: row for row in by_market([one])}
    assert rows["CASH"]["allocation"] == pytest.approx(-math.log(1.03 / 1.01), abs=1e-15)
    assert rows["CASH"]["selection"] == pytest.approx(-math.log(1.01), abs=1e-15)
    assert rows["A"]["allocation"] == pytest.approx(0.0, abs=1e-15)
    assert rows["USD"]["total"] == pytest.approx(0.0, abs=1e-15)
    assert rows["compounding"]["total"] == pytest.approx(-0.03 + math.log(1.03), abs=1e-15)
    assert rows["total"]["total"] == pytest.approx(-0.03, abs=1e-15)


@pytest.mark.parametrize(
    ("currency", "percent", "earned"),
    [("USD", 3.65, 0.0003), ("EUR", 3.6, 0.0003), ("GBP", -0.365, -0.00003), ("JPY", 0.0, 0.0)],
)
def test_cash_from_friday_to_monday(currency: str, percent: float, earned: float) -> None:
    """Three days of the rate known on Friday, over 365 days, the euro's over 360; what Monday knows comes too late."""
    series = {CASH_RATES[currency].series: np.array([9.0, percent, 9.0])}
    days = [dt.date(2024, 1, 4), dt.date(2024, 1, 5), dt.date(2024, 1, 8)]
    assert cash_earned(series, days, [currency, "HKD"]) == {currency: pytest.approx(earned, abs=1e-18)}


@pytest.mark.parametrize("values", [[NAN, 1.0], [math.inf, 1.0], [-1e9, 1.0], None], ids=["nan", "inf", "lost", "none"])
def test_a_cash_rate_that_is_not_known_is_not_made_up(values: list[float] | None) -> None:
    """No value at the start, no number, a loss of more than all, no series, no session before."""
    series = {} if values is None else {"US1M": np.array(values)}
    assert cash_earned(series, [dt.date(2024, 1, 4), dt.date(2024, 1, 5)], ["USD"]) == {}
    assert cash_earned({"US1M": np.array([1.0])}, [dt.date(2024, 1, 5)], ["USD"]) == {}


def test_currencies_without_a_cash_rate_are_named() -> None:
    """Held or in the benchmark, in which of the sessions; what is too small to count does not count."""
    one = Compared(
        0.0, 0.0, {("A", "EUR"): 0.5, ("A", "JPY"): 1e-15}, {}, {}, 0.0, 0.0, {("B", "HKD"): (1.0, 0.0)}, "USD"
    )
    days = [replace(one, cash={"USD": 0.0001, "EUR": 0.0}), replace(one, cash={"USD": 0.0001})]
    assert without_cash_rate(days) == {"EUR": 1, "HKD": 2}
    assert cash_rates_told(days) == (
        "cash rates of EUR, USD as known at the session before; that of EUR in 1 of 2 sessions, HKD counts as zero."
    )
    assert cash_rates_told([one]) == "no cash rate is known: they count as zero (EUR, HKD, USD)."
    assert cash_rates_told([replace(YEAR[0], cash={"USD": 0.0})]) == "cash rates of USD as known at the session before."


moves = st.floats(-0.1, 0.1)
sizes = st.floats(0.0, 0.3)
MARKETS = [("A", "USD"), ("B", "EUR"), ("B", "JPY"), ("CASH", "EUR")]


@st.composite
def sessions(draw: st.DrawFn) -> Compared:
    """Any session: tiny positions, foreign cash, a benchmark of other markets, some cash rates, profits that no part explains."""
    share = draw(st.floats(0.0, 1.0))
    weights = {key: draw(sizes) for key in MARKETS[:3]} | {MARKETS[3]: draw(st.sampled_from([0.0, 1e-9, 0.02, -0.01]))}
    bench = {MARKETS[0]: (share, draw(moves)), MARKETS[1]: (1.0 - share, draw(moves))}
    rates = {"EUR": draw(moves), "JPY": draw(moves), "USD": 0.0}
    whole = math.fsum(w * ((1 + b) * (1 + rates[key[1]]) - 1) for key, (w, b) in bench.items())
    factors = FactorMove({"market": (draw(sizes), draw(moves), draw(moves))}, draw(moves))
    local = {key: weight * draw(moves) if key[0] != "CASH" else 0.0 for key, weight in weights.items()}
    costs = -abs(draw(moves))
    cash = draw(st.dictionaries(st.sampled_from(["EUR", "JPY", "USD"]), moves))
    return Compared(draw(moves), whole, weights, local, rates, draw(moves), costs, bench, "USD", factors, cash)


@settings(max_examples=50)
@given(st.lists(sessions(), min_size=1, max_size=6), st.sampled_from(["Carino", "Menchero", "GRAP"]))
def test_rows_add_up_to_the_excess(days: list[Compared], link: str) -> None:
    """Of every view, linked any way; the geometric effects compound to the geometric excess."""
    assert all(is_comparable(day) for day in days)
    mine, theirs = (math.prod(1 + getattr(day, name) for day in days) for name in ("returned", "benchmark_returned"))
    for view in (by_market, by_factor, by_sector):
        *parts, total = [float(str(row["total"])) for row in view(days, link)]
        assert total == pytest.approx(mine - theirs, abs=1e-12)
        assert math.fsum(parts) == pytest.approx(mine - theirs, abs=1e-12)
    for row in by_method(days):
        parts = [float(str(row[name])) for name in ("allocation", "selection", "other")]
        if row["method"] == "geometric, compounded":
            assert math.prod(1 + part for part in parts) == pytest.approx(mine / theirs, abs=1e-12)
        else:
            assert math.fsum(parts) == pytest.approx(mine - theirs, abs=1e-12)


@pytest.mark.parametrize(
    "change",
    [
        {"benchmark": {}},
        {"returned": NAN},
        {"returned": -1.0},
        {"trading": NAN},
        {"moves": {"USD": 0.0}, "weights": {("A", "EUR"): 0.5}, "local": {("A", "EUR"): 0.0}},
        {"local": {("UK", "USD"): -0.5, ("JP", "USD"): 0.0, ("US", "USD"): 0.0}},
    ],
    ids=["no benchmark", "no return", "all lost", "no trading", "no rate", "a market that lost more than all"],
)
def test_what_cannot_be_compared_is_told(change: dict[str, object]) -> None:
    """Nothing is made of a number that is not there."""
    assert is_comparable(YEAR[0])
    assert not is_comparable(replace(YEAR[0], **change))  # type: ignore[arg-type]
    assert by_market([]) == by_factor([]) == by_sector([]) == by_method([]) == []


def test_rows_of_a_session_become_markets() -> None:
    """A euro name of 30 earns price 3, fx 1 and dividend 2.2 at a rate that rose 10 %: locally (3 + 2) of 100; base cash is what is
    left and no row; trading and costs are the sums of all rows.
    """
    zero = dict.fromkeys(("price", "fx", "dividend", "trading", "fee", "tax"), 0.0)
    name = {
        **zero,
        "name": "X",
        "sector": "Energy",
        "currency": "EUR",
        "price": 3.0,
        "fx": 1.0,
        "dividend": 2.2,
        "fee": 0.5,
    }
    cash = {**zero, "name": "CASH:USD", "sector": "CASH", "currency": "USD", "trading": 0.25}
    found = compared(0.06, 0.01, 100.0, [name, cash], {"X": 30.0, "CASH:USD": 70.0}, {"EUR": 0.1}, {}, "USD")
    assert found.weights == {("Energy", "EUR"): 0.3}
    assert found.local == {("Energy", "EUR"): pytest.approx(0.05, abs=1e-15)}
    assert (found.trading, found.costs, found.moves["USD"]) == (0.0025, -0.005, 0.0)


def test_moves_of_rates() -> None:
    """A rate that is not known before or after has no move."""
    found = rate_moves({"EUR": 1.0, "JPY": NAN}, {"EUR": 1.1, "JPY": 1.0, "GBP": 1.3})
    assert found["EUR"] == pytest.approx(0.1)
    assert math.isnan(found["JPY"])
    assert math.isnan(found["GBP"])


def model(exposures: np.ndarray, factors: tuple[str, ...]) -> FactorModel:
    """A model of which only exposures count."""
    n, k = exposures.shape
    empty = np.zeros((0, n))
    fields = {name: np.ones(n) for name in ("specific_variance", "observations", "beta", "sigma_daily")}
    return FactorModel(
        session=pd.Timestamp("2020-01-02").date(), instruments=tuple("ABCDEF"[:n]), factors=factors, exposures=exposures,
        factor_covariance=np.eye(k), returns=np.zeros((1, n)), ewma_halflife=1, ledoit_wolf_sessions=1, shrinkage=0.0,
        shrink_variance=0.0, index_vol_20d=0.1, scenarios=(), scenario_kinds=(), scenario_returns=empty,
        scenario_proxied=empty.astype(bool), scenario_factor_returns=empty, scenario_paths=np.zeros((0, 1, n)),
        scenario_years=np.zeros(0), **fields,
    )  # fmt: skip


def test_factor_returns_by_hand() -> None:
    """Equal sizes, market alone: the factor return is the mean 2 %, and specific is active weight times what is left."""
    features = pd.DataFrame({"log_market_value": [1.0, 1.0, 1.0]})
    bench = {"A": (0.5, 0.01), "B": (0.5, 0.02)}
    returns = {"A": 0.01, "B": 0.02, "C": 0.03}
    found = factor_move(model(np.ones((3, 1)), ("market",)), features, {"C": 0.8}, bench, returns)
    assert found is not None
    own, active, move = found.factors["market"]
    assert (own, active, move) == pytest.approx((0.8, -0.2, 0.02), abs=1e-15)
    assert found.specific == pytest.approx(-0.5 * -0.01 - 0.5 * 0.0 + 0.8 * 0.01, abs=1e-15)
    assert found.total == pytest.approx(0.8 * 0.03 - 0.5 * 0.01 - 0.5 * 0.02, abs=1e-15)
    assert factor_move(model(np.ones((3, 1)), ("market",)), features, {"C": 0.8}, {}, returns) is None


def test_a_name_of_unknown_return_counts_in_neither_part() -> None:
    """Its effect stays in what is unexplained."""
    features = pd.DataFrame({"log_market_value": [1.0, NAN, 2.0]})
    bench = {"A": (0.5, 0.01), "C": (0.5, 0.03)}
    found = factor_move(
        model(np.ones((3, 1)), ("market",)), features, {"B": 0.5, "Z": 0.1}, bench, {"A": 0.01, "B": NAN, "C": 0.03}
    )
    assert found is not None
    assert found.total == pytest.approx(-0.5 * 0.01 - 0.5 * 0.03, abs=1e-15)
