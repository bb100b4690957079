"""Attribution against Bacon's example (2008, tables 5.1 to 5.5, 8.2 to 8.6), and identities that every method must hold."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketbot_assets.audit.brinson import Sectors, brinson_fachler, brinson_hood_beebower, geometric
from marketbot_assets.audit.currency_effects import karnosky_singer
from marketbot_assets.audit.factor_effects import factor_effects
from marketbot_assets.audit.linking import carino, frongello, grap, linked_effects, menchero, total_excess
from marketbot_assets.audit.signal_effects import shapley, subsets, without_each

WEIGHT = [[0.4, 0.3, 0.3], [0.7, 0.2, 0.1], [0.3, 0.5, 0.2], [0.3, 0.5, 0.2]]
BENCHMARK = [[0.4, 0.2, 0.4], [0.4, 0.3, 0.3], [0.5, 0.4, 0.1], [0.4, 0.4, 0.2]]
RETURNED = [[0.20, -0.05, 0.06], [-0.05, 0.03, -0.05], [-0.20, 0.08, -0.15], [0.10, -0.07, 0.25]]
MARKET = [[0.10, -0.04, 0.08], [-0.07, 0.04, -0.10], [-0.25, 0.05, -0.20], [0.05, -0.05, 0.10]]
QUARTERS = [Sectors.of(*four) for four in zip(WEIGHT, BENCHMARK, RETURNED, MARKET, strict=True)]
MINE, THEIRS = [0.083, -0.034, -0.050, 0.045], [0.064, -0.046, -0.125, 0.020]


def near(values: object, within: float = 5e-7) -> object:
    """Published figures have six digits."""
    return pytest.approx(values, abs=within)


def test_returns_of_the_quarters_and_of_the_year() -> None:
    """Arithmetic and geometric excess of the year."""
    assert [q.total for q in QUARTERS] == near(MINE, 1e-12)
    assert [q.benchmark_total for q in QUARTERS] == near(THEIRS, 1e-12)
    assert total_excess(MINE, THEIRS) == near(0.13265573, 5e-9)
    assert math.prod(1 + r for r in MINE) / math.prod(1 + b for b in THEIRS) - 1 == near(0.14642923, 5e-9)


def test_one_quarter_by_sector() -> None:
    """Both models; only the allocation differs."""
    hood, fachler = brinson_hood_beebower(QUARTERS[0]), brinson_fachler(QUARTERS[0])
    assert list(hood.allocation) == near([0, -0.004, -0.008], 1e-12)
    assert list(hood.selection) == near([0.04, -0.002, -0.008], 1e-12)
    assert list(hood.interaction) == near([0, -0.001, 0.002], 1e-12)
    assert hood.total == near(0.019, 1e-12)
    assert list(fachler.allocation) == near([0, -0.0104, -0.0016], 1e-12)
    assert list(fachler.selected) == near([0.04, -0.003, -0.006], 1e-12)


def test_the_quarters() -> None:
    """Allocation and selection with interaction, per quarter."""
    effects = [brinson_fachler(q) for q in QUARTERS]
    assert [math.fsum(e.allocation) for e in effects] == near([-0.012, -0.005, 0.035, -0.010], 1e-12)
    assert [math.fsum(e.selected) for e in effects] == near([0.031, 0.017, 0.040, 0.035], 1e-12)


@pytest.mark.parametrize(
    ("method", "factors", "allocation", "selection"),
    [
        (carino, [0.904313, 1.011216, 1.064441, 0.940245], 0.01194514, 0.12071059),
        (menchero, [0.990844, 0.986159, 1.028324, 0.994860], 0.00922181, 0.12343392),
        (grap, [0.851445, 0.966578, 1.067102, 0.993869], 0.01235964, 0.12029609),
    ],
    ids=["carino", "menchero", "grap"],
)
def test_linked(method, factors: list[float], allocation: float, selection: float) -> None:  # type: ignore[no-untyped-def]
    """The factors of each quarter, and the year's effects."""
    effects = [brinson_fachler(q) for q in QUARTERS]
    rows = [[math.fsum(e.allocation), math.fsum(e.selected)] for e in effects]
    assert list(method(MINE, THEIRS)) == near(factors)
    assert list(linked_effects(rows, method(MINE, THEIRS))) == near([allocation, selection], 5e-9)


def test_frongello_gives_the_totals_of_grap() -> None:
    """As Bacon states."""
    rows = [[math.fsum(e.allocation), math.fsum(e.selected)] for e in map(brinson_fachler, QUARTERS)]
    assert list(frongello(rows, MINE, THEIRS)) == near([0.01235964, 0.12029609], 5e-9)


def test_geometric() -> None:
    """The effects of the quarters compound to those of the year, and those to the geometric excess."""
    effects = [geometric(q) for q in QUARTERS]
    allocation = [math.fsum(e.allocation) for e in effects]
    selection = [math.fsum(e.selection) for e in effects]
    assert allocation == near([-0.011278, -0.005241, 0.040, -0.009804])
    assert selection == near([0.029468, 0.017914, 0.043956, 0.034653])
    a, s = (math.prod(1 + e for e in effect) - 1 for effect in (allocation, selection))
    assert (a, s) == near((0.01285317, 0.13188098), 5e-9)
    assert (1 + a) * (1 + s) - 1 == near(0.14642923, 5e-9)


LOCAL, MOVES, CASH = QUARTERS[0], np.array([0.0, 0.10, 0.20]), np.array([0.05, 0.01, 0.03])


def test_currencies() -> None:
    """Karnosky and Singer on the first quarter."""
    found = karnosky_singer(LOCAL, MOVES, CASH)
    assert list(found.allocation) == near([0, -0.007819, -0.001999])
    assert list(found.selection) == near([0.034805, -0.003141, -0.005608])
    assert list(found.currency) == near([0, -0.002006, -0.008656])
    assert found.logarithmic == near(0.005576)
    assert found.total == near(0.0055, 1e-12)  # 17.51 % less 16.96 %


@pytest.mark.parametrize(
    ("forwards", "hedges", "currency", "total"),
    [([0.2, -0.1, -0.1], None, -0.032618, -0.016380), ([0.2, -0.1, -0.1], [0.3, -0.1, -0.2], 0.005647, 0.021885)],
)
def test_forwards(forwards: list[float], hedges: list[float] | None, currency: float, total: float) -> None:
    """Currency bought and sold forward moves the currency effect alone."""
    theirs = None if hedges is None else np.array(hedges)
    found = karnosky_singer(LOCAL, MOVES, CASH, forwards=np.array(forwards), benchmark_forwards=theirs)
    assert (math.fsum(found.currency), found.logarithmic) == near((currency, total), 2e-6)
    bare = karnosky_singer(LOCAL, MOVES, CASH)
    assert list(found.allocation) == list(bare.allocation)
    assert list(found.selection) == list(bare.selection)


@pytest.mark.parametrize(
    ("four", "words"),
    [
        (([0.5, 0.4], [0.5, 0.5], [0.0, 0.0], [0.0, 0.0]), "portfolio weights that add up to 1"),
        (([0.5, 0.5], [0.5, 0.6], [0.0, 0.0], [0.0, 0.0]), "benchmark weights that add up to 1"),
        (([0.5, 0.5], [0.5, 0.5], [math.nan, 0.0], [0.0, 0.0]), "a return for every sector"),
        (([0.5, math.nan], [0.5, 0.5], [0.0, 0.0], [0.0, 0.0]), "found nan"),
        (([0.5, 0.5], [0.5, 0.5], [0.0], [0.0, 0.0]), "one length"),
        (([], [], [], []), "at least one sector"),
    ],
)
def test_what_is_unknown_is_refused(four: tuple[list[float], ...], words: str) -> None:
    """No effect is made of a number that is not there."""
    with pytest.raises(ValueError, match=words):
        Sectors.of(*four)


def test_a_sector_that_one_side_does_not_hold() -> None:
    """Its whole effect is allocation; an idle sector has none."""
    nan = math.nan
    found = brinson_fachler(Sectors.of([0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [0.02, 0.10, nan], [0.02, nan, nan]))
    assert list(found.allocation) == near([0.0, 0.04, 0.0], 1e-15)
    assert list(found.selected) == [0.0, 0.0, 0.0]


returns = st.floats(-0.6, 0.9)
shares = st.lists(st.floats(-1.0, 1.0), min_size=4, max_size=4).map(lambda w: [*w, 1.0 - math.fsum(w)])
fives = st.lists(returns, min_size=5, max_size=5)


@given(shares, shares, fives, fives)
def test_effects_add_up_to_the_excess(w: list[float], v: list[float], r: list[float], b: list[float]) -> None:
    """Short positions and leverage included; and in any order of the sectors the same effects."""
    sectors = Sectors.of(w, v, r, b)
    simple = math.fsum(x * y for x, y in zip(w, r, strict=True)) - math.fsum(x * y for x, y in zip(v, b, strict=True))
    for model in (brinson_fachler, brinson_hood_beebower):
        assert model(sectors).total == pytest.approx(simple, abs=1e-12)
    order = [3, 0, 4, 1, 2]
    turned = brinson_fachler(Sectors.of(*([each[i] for i in order] for each in (w, v, r, b))))
    assert list(turned.allocation) == list(brinson_fachler(sectors).allocation[order])
    idle = brinson_fachler(Sectors.of(v, v, b, b))
    assert [*idle.allocation, *idle.selection, *idle.interaction] == [0.0] * 15


@pytest.mark.long
def test_ten_thousand_random_books_add_up() -> None:
    """Of two to twelve sectors, short positions and leverage included: to 1e-12 in one period, to 1e-10 linked over four."""
    draw = np.random.default_rng(2008)
    for _ in range(10_000):
        n = int(draw.integers(2, 13))
        periods = []
        for _ in range(4):
            sides = [np.append(side, 1.0 - math.fsum(side)) for side in draw.uniform(-0.5, 0.5, (2, n - 1))]
            periods.append(Sectors.of(*sides, *draw.uniform(-0.2, 0.2, (2, n))))
        for one in periods:
            simple = math.fsum([*(one.weight * one.returned), *(-one.benchmark_weight * one.benchmark_returned)])
            assert brinson_fachler(one).total == pytest.approx(simple, abs=1e-12)
        mine, theirs = [one.total for one in periods], [one.benchmark_total for one in periods]
        if min(*mine, *theirs) <= -0.95:
            continue
        effects = [brinson_fachler(one) for one in periods]
        rows = [[math.fsum(e.allocation), math.fsum(e.selection), math.fsum(e.interaction)] for e in effects]
        whole = math.prod(1.0 + r for r in mine) - math.prod(1.0 + b for b in theirs)
        for link in (carino, menchero, grap):
            assert math.fsum(linked_effects(rows, link(mine, theirs))) == pytest.approx(whole, abs=1e-10)
        assert math.fsum(frongello(rows, mine, theirs)) == pytest.approx(whole, abs=1e-10)


series = st.lists(st.tuples(st.lists(returns, min_size=3, max_size=3), returns), min_size=1, max_size=12)


@given(series, st.booleans())
def test_linked_effects_add_up_to_the_total_excess(periods: list[tuple[list[float], float]], equal: bool) -> None:
    """Each method, over any number of periods, also where a period or the whole has no excess."""
    effects = [[0.0, 0.0, 0.0] if equal else [e / 3.0 for e in parts] for parts, _ in periods]
    theirs = [b for _, b in periods]
    mine = [max(b + math.fsum(row), -0.9) for b, row in zip(theirs, effects, strict=True)]
    effects = [
        [row[0] + (m - b) - math.fsum(row), row[1], row[2]] for row, m, b in zip(effects, mine, theirs, strict=True)
    ]
    total = total_excess(mine, theirs)
    size = max(1.0, math.prod(1 + abs(m) for m in mine), math.prod(1 + abs(b) for b in theirs))
    for method in (carino, menchero, grap):
        assert math.fsum(linked_effects(effects, method(mine, theirs))) == pytest.approx(total, abs=1e-10 * size)
    assert math.fsum(frongello(effects, mine, theirs)) == pytest.approx(total, abs=1e-10 * size)


@pytest.mark.parametrize("step", [0.0, 1e-15, 1e-12, 1e-9, 2e-8, 1e-6])
def test_equal_returns_are_no_division_by_zero(step: float) -> None:
    """k is 1 / (1 + r) where both returns are one, and continuous there."""
    factors = carino([0.25 + step, 0.1], [0.25, 0.1])
    whole = math.log1p(step / 1.25) / (step * 1.1) if step >= 1e-9 else 1.0 / (1.25 * 1.1)
    assert list(factors) == pytest.approx([1 / 1.25 / whole, 1 / 1.1 / whole], rel=2e-6)


@pytest.mark.parametrize("step", [0.0, 1e-12, 1e-9, 1e-7, 1e-5])
def test_menchero_without_a_total_excess_by_hand(step: float) -> None:
    """10, 20, 5 % against 20, 10, 5 %: both grow to 1.386; M tends to 1.386^(2/3) and nothing is left to correct."""
    factors = menchero([0.10, 0.20 + step, 0.05], [0.20, 0.10, 0.05])
    assert list(factors) == pytest.approx([1.386 ** (2.0 / 3.0)] * 3, rel=2e-4)


@given(shares, shares, fives, fives, fives, fives)
def test_currency_effects_add_up(
    w: list[float], v: list[float], r: list[float], b: list[float], moves: list[float], cash: list[float]
) -> None:
    """To the simple excess in base currency, whatever the rates; equal sides have no effect at all."""
    pairs = [
        math.fsum(x * ((1 + y) * (1 + c) - 1) for x, y, c in zip(weights, local, moves, strict=True))
        for weights, local in ((w, r), (v, b))
    ]
    exchange, money = np.array(moves), np.array(cash)
    assert karnosky_singer(Sectors.of(w, v, r, b), exchange, money).total == pytest.approx(
        pairs[0] - pairs[1], abs=1e-12
    )
    same = karnosky_singer(Sectors.of(v, v, b, b), exchange, money)
    assert [*same.allocation, *same.selection, *same.currency, same.compounding] == [0.0] * 15 + [0.0]


@pytest.mark.parametrize(
    ("exchange", "cash", "forwards"),
    [
        ([0.0, math.nan, 0.0], [0.0] * 3, [0.0] * 3),
        ([0.0] * 3, [0.0, -1.0, 0.0], [0.0] * 3),
        ([0.0] * 3, [0.0] * 3, [0.1, 0.0, 0.0]),
    ],
)
def test_currency_effects_refuse_the_unknown(exchange: list[float], cash: list[float], forwards: list[float]) -> None:
    """A rate that is not there, a loss of everything, forwards that are bought from nobody."""
    with pytest.raises(ValueError, match="expected"):
        karnosky_singer(LOCAL, np.array(exchange), np.array(cash), forwards=np.array(forwards))


def test_factor_effects_by_hand() -> None:
    """Two names, two factors: 10 % over in the first, 10 % under in the second."""
    loads = np.array([[1.0, 0.5], [1.0, -0.5], [math.nan, math.nan]])
    found = factor_effects(np.array([0.1, -0.1, 0.0]), loads, np.array([0.01, 0.02]), np.array([0.03, -0.01, math.nan]))
    assert list(found.exposures) == near([0.0, 0.1], 1e-15)
    assert list(found.factors) == near([0.0, 0.002], 1e-15)
    assert list(found.specific) == near([0.001, 0.001, 0.0], 1e-15)
    assert found.total == near(0.004, 1e-15)
    assert found.unexplained == near(0.5, 1e-12)


@given(st.integers(0, 2**32 - 1))
def test_factor_effects_add_up_to_the_excess(seed: int) -> None:
    """For any factor returns, good or bad."""
    draw = np.random.default_rng(seed)
    active, loads = draw.normal(size=7) * 0.1, draw.normal(size=(7, 3))
    moves = draw.normal(size=7) * 0.05
    found = factor_effects(active, loads, draw.normal(size=3) * 0.02, moves)
    assert found.total == pytest.approx(math.fsum(active * moves), abs=1e-12)


@pytest.mark.parametrize("place", ["active", "loads", "factors", "returns"])
def test_factor_effects_refuse_the_unknown(place: str) -> None:
    """A held name without a number has no attribution."""
    given_ = {"active": np.ones(2), "loads": np.ones((2, 1)), "factors": np.ones(1), "returns": np.ones(2)}
    given_[place].flat[0] = math.nan
    with pytest.raises(ValueError, match="expected"):
        factor_effects(given_["active"], given_["loads"], given_["factors"], given_["returns"])


def test_shapley_by_hand() -> None:
    """Two signals that help only together share what they bring; the third brings 3 alone."""
    results = {s: 3.0 * ("c" in s) + 4.0 * ({"a", "b"} <= set(s)) for s in subsets(["c", "b", "a"])}
    assert shapley(["a", "b", "c"], results) == {"a": 2.0, "b": 2.0, "c": 3.0}
    assert without_each(["a", "b", "c"], results) == {"a": 4.0, "b": 4.0, "c": 3.0}


@given(st.lists(st.floats(-1, 1), min_size=16, max_size=16))
def test_shapley_is_the_mean_over_all_orders(values: list[float]) -> None:
    """As defined: added in each of the 24 orders; the shares add up to all less none."""
    names = ["a", "b", "c", "d"]
    results = dict(zip(subsets(names), values, strict=True))
    found = shapley(names, results)
    for name in names:
        gains = []
        for order in itertools.permutations(names):
            before = tuple(sorted(order[: order.index(name)]))
            gains.append(results[tuple(sorted((*before, name)))] - results[before])
        assert found[name] == pytest.approx(math.fsum(gains) / 24, abs=1e-12)
    assert math.fsum(found.values()) == pytest.approx(results["a", "b", "c", "d"] - results[()], abs=1e-12)


def test_too_many_families_and_a_missing_result() -> None:
    """Seven families would need 128 decisions; a result that is not there is no zero."""
    with pytest.raises(ValueError, match="at most 6 families, found 7"):
        list(subsets("abcdefg"))
    with pytest.raises(ValueError, match="found none"):
        shapley(["a"], {(): 0.0})
