"""Whole answers of the limits on exposures, tails and stresses, on books whose risk adds up by hand.

After the ordinary batch MBA, MBH and MBL hold 1 % and seven names 2 % (MBB, C, D, E, G, I, K). In the model of `swings` their
patterns carry 3, 2, 4, 3, 2, 0, 2 and 1 %: squares of 47 basis points of a percent in all.
"""

import math
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest
from answer_rows import BUYS, NAN, PASS, SHRINK, WARN, N, holding, limits, projected, row, swings
from risk_world import MANDATE, NAMES, answers, batch, book_state, factor_model, inputs, model_facts, order

from marketbot_assets.book.state import Forecast, RiskDay
from marketbot_assets.features.model import FactorModel
from marketbot_assets.risk.exposure_controls import exposures, factors, risk_share, risk_shares
from marketbot_assets.risk.inputs import RiskInputs
from marketbot_assets.risk.scenario import Scenario
from marketbot_assets.risk.stress import historical, stress, stress_results
from marketbot_assets.risk.tail_controls import all_methods, largest_share, scenarios, value_at_risk
from marketbot_resources.model import Order, Status

Z = NormalDist().inv_cdf(0.99)
BETA = np.linspace(0.8, 1.2, N)
W = np.array([0.01, 0.02, 0.02, 0.02, 0.02, 0.0, 0.02, 0.01, 0.02, 0.0, 0.02, 0.01])


# RC-47


def styled(**changes: object) -> RiskInputs:
    """A market, a style of k / 10 for the k-th name and a sector of the first two; half the benchmark is MBA, half MBL."""
    columns = np.column_stack([np.ones(N), np.arange(N) / 10.0, np.arange(N) < 2])
    model = factor_model(factors=("market", "value", "sector X"), exposures=columns, factor_covariance=np.eye(3))
    benchmark = np.zeros(N)
    benchmark[[0, -1]] = 0.5
    return inputs(factor_model=model, models=model_facts(**{"benchmark": benchmark, **changes}))


def test_exposures_of_the_book_and_of_a_benchmark_of_its_size() -> None:
    """Value: 8.6 % against 17 % of 0.55; sector: 3 % against half of 17 %; beta: 0.8 on 17 % and 0.4/11 on 86 % against 17 %."""
    names, own, theirs = exposures(projected(styled()))
    assert names == ("beta", "value", "sector X")
    assert own.tolist() == pytest.approx([0.136 + 0.4 / 11 * 0.86, 0.086, 0.03])
    assert theirs.tolist() == pytest.approx([0.17, 0.0935, 0.085])


def test_a_benchmark_of_one_name_needs_no_other() -> None:
    """The whole of it in MBA, and a name that is neither held nor in it is not even in the model."""
    whole = np.where(np.array(NAMES) == "MBA", 1.0, 0.0)
    known = tuple(name for name in NAMES if name != "MBJ")
    facts = inputs(factor_model=factor_model(known), models=model_facts(benchmark=whole))
    _, _, theirs = exposures(projected(facts))
    assert theirs.tolist() == pytest.approx([0.17 * 0.8])


@pytest.mark.parametrize(("gap", "known"), [(5e-7, True), (-5e-7, True), (2e-6, False), (-2e-6, False), (NAN, False)])
def test_a_benchmark_that_does_not_add_up_is_unknown(gap: float, known: bool) -> None:
    """Sum 1 to a millionth, no weight below zero."""
    weights = np.full(N, 1.0 / N)
    weights[0] += gap
    if known:
        assert len(exposures(projected(styled(benchmark=weights)))[0]) == 3
    else:
        with pytest.raises(ValueError, match="benchmark"):
            exposures(projected(styled(benchmark=weights)))
    weights[:2] = (-0.1, 2.0 / N + 0.1)
    with pytest.raises(ValueError, match="benchmark"):
        exposures(projected(styled(benchmark=weights)))


@pytest.mark.parametrize("told", ["warn", "report"])
def test_an_exposure_is_told_beyond_its_band(told: str) -> None:
    """RC-47: 0.75 points of style, 5.5 % of sector and 0.0027 of beta, each against a band just above and just below."""
    seen = {"beta": 0.17 - 0.136 - 0.4 / 11 * 0.86, "value": 0.0075, "sector X": 0.055}
    units = {"beta": "beta", "value": "standard deviations", "sector X": "fraction of NAV"}
    for name, field in (("beta", "beta"), ("value", "style"), ("sector X", "sector")):
        for band in (seen[name] + 1e-8, seen[name] - 1e-8):
            mandate = limits((f"limits.factor.{field}", band), ("limits.factor.status", told))
            found = answers(factors, styled(), batch(), mandate)[name]
            status = WARN if told == "warn" and band < seen[name] else PASS
            edge, room = (band, band - seen[name]) if told == "warn" else (None, None)
            assert row(found) == (status, (), 1.0, seen[name], edge, room)
            assert (found.unit, found.message == "") == (units[name], band > seen[name])


# RC-49


def test_shares_of_risk_by_hand() -> None:
    """Weight times the pattern's weight over 47; with a target of four times the variance at half, 1 : 4 of 47 and 31."""
    base = dict(zip([n for n in NAMES if n not in ("MBF", "MBJ")], (3, 4, 8, 6, 4, 4, 1, 6, 8, 3), strict=True))
    shares, sigma = risk_shares(projected(inputs(factor_model=swings())))
    assert shares[:, 0].tolist() == pytest.approx([part / 47 for part in base.values()], abs=1e-6)
    assert sigma[0] == pytest.approx(0.01 * math.sqrt(0.0047), rel=1e-6)
    shares, sigma = risk_shares(projected(inputs(factor_model=swings(shrinkage=0.5, shrink_variance=4e-4))))
    own = (1, 4, 4, 4, 4, 4, 1, 4, 4, 1)
    expected = [(a + 4 * b) / 171 for a, b in zip(base.values(), own, strict=True)]
    assert shares[:, 0].tolist() == pytest.approx(expected, abs=1e-9)
    assert sigma[0] == pytest.approx(math.sqrt(0.5e-4 * 0.0171), rel=1e-9)
    late = swings().returns * np.where(np.arange(256) < 128, 1.0, 2.0)[:, None]
    shares, sigma = risk_shares(projected(inputs(factor_model=swings(returns=late, ledoit_wolf_sessions=128))))
    assert shares[:, 0].tolist() == pytest.approx([part / 47 for part in base.values()], abs=1e-9)
    assert sigma[0] == pytest.approx(0.02 * math.sqrt(0.0047), rel=1e-9)
    flat = inputs(factor_model=swings(returns=np.zeros((256, N))))
    assert [part.tolist() for part in risk_shares(projected(flat))] == [[[0.0] * 3] * 10, [0.0] * 3]


PAIR = (order("MBC", "BUY", 100), order("MBE", "BUY", 1))
# 3 and 2 % on the pattern of MBC and MBK, 4 % on that of MBA and MBI: 15 parts of 53.0401; before the batch 8 of 44.
TOP, BEFORE = 15 / 53.0401, 8 / 44


@pytest.mark.parametrize(
    ("method", "pairs", "expected"),
    [
        ("mean_variance", [("warn", 0.28)], (WARN, (), 1.0, TOP, 0.28, 0.28 - TOP)),
        ("mean_variance", [("warn", 0.29)], (PASS, (), 1.0, TOP, 0.29, 0.29 - TOP)),
        ("mean_variance", [("warn", 0.28), ("invested_min", 0.1501)], (PASS, (), 1.0, TOP, 0.28, 0.28 - TOP)),
        ("mean_variance", [("warn", 0.28), ("invested_min", 0.15)], (WARN, (), 1.0, TOP, 0.28, 0.28 - TOP)),
        ("risk_parity", [("hard", 0.2), ("warn", 0.1)],
         (SHRINK, ("mb1-mbc-buy",), (0.2 - BEFORE) / (TOP - BEFORE), TOP, 0.2, 0.2 - TOP)),
        ("risk_parity", [("hard", 0.07)], (SHRINK, ("mb1-mbc-buy", "mb1-mbe-buy"), 0.0, TOP, 0.07, 0.07 - TOP)),
        ("risk_parity", [("hard", 0.29)], (PASS, (), 1.0, TOP, 0.29, 0.29 - TOP)),
        ("risk_parity", [("hard", 0.2), ("warn", 0.28), ("invested_min", 0.2)], (PASS, (), 1.0, TOP, 0.28, 0.28 - TOP)),
    ],
)  # fmt: skip
def test_the_name_that_carries_most(method: str, pairs: list[tuple[str, float]], expected: tuple[object, ...]) -> None:
    """RC-49: noted, or cut where equal shares are promised, by the answer or by the mandate; only once enough is invested."""
    values = {"invested_min": 0.1, **dict(pairs)}
    mandate = limits(*((f"limits.risk_share.{name}", value) for name, value in values.items()))
    facts = inputs(factor_model=swings())
    by_answer = replace(facts, optimizer=replace(facts.optimizer, method=method))
    by_mandate = limits(*((f"limits.risk_share.{n}", v) for n, v in values.items()), ("portfolio.method", method))
    for given, rules in ((by_answer, mandate), (facts, by_mandate)):
        (found,) = answers(risk_share, given, PAIR, rules).values()
        assert found.key == "MBC"
        seen = row(found)
        assert seen[:2] == expected[:2]
        assert [found.keep, found.observed, found.limit, found.headroom] == pytest.approx(list(expected[2:]), abs=1e-6)


def test_what_is_invested_counts_by_its_size() -> None:
    """RC-49: 10 % long and 4 % short are 14 %; the long carries 100 of 116 parts."""
    facts = inputs(positions=holding(MBA=1000, MBB=-400), factor_model=swings())
    for least, status in ((0.1399, WARN), (0.14, PASS)):
        found = answers(risk_share, facts, (), limits(("limits.risk_share.invested_min", least)))["MBA"]
        assert (found.status, found.observed) == (status, pytest.approx(100 / 116, abs=1e-6))


def test_an_empty_book_carries_no_risk() -> None:
    """RC-49: nothing held, nothing bought."""
    found = answers(risk_share, inputs(positions=holding()), ())[""]
    assert row(found) == (PASS, (), 1.0, 0.0, 0.10, 0.10)


# RC-43 and RC-45: third largest of 256 losses; 15 basis points after the batch, 14 before, 13 with its sale alone


def tail(hard: float, warn: float = 1.0, **more: object) -> object:
    pairs = [(f"limits.{name.replace('__', '.')}", value) for name, value in more.items()]
    return limits(("limits.var.hard", hard), ("limits.var.warn", warn), *pairs)


@pytest.mark.parametrize(
    ("hard", "warn", "expected"),
    [
        (0.0016, 0.0015001, (PASS, (), 1.0, 0.0015, 0.0016, 0.0001)),
        (0.0016, 0.00149, (WARN, (), 1.0, 0.0015, 0.0016, 0.0001)),
        (0.0014, 0.0014, (SHRINK, BUYS, 0.5, 0.0015, 0.0014, -0.0001)),
        (0.0012, 0.0012, (SHRINK, BUYS, 0.0, 0.0015, 0.0012, -0.0003)),
    ],
)
def test_value_at_risk_by_hand(hard: float, warn: float, expected: tuple[object, ...]) -> None:
    """RC-43: with the share s of the buys it is (13 + 2 s) basis points."""
    facts = inputs(factor_model=swings())
    assert row(answers(value_at_risk, facts, batch(), tail(hard, warn))[""]) == expected  # type: ignore[arg-type]


def test_value_at_risk_grows_with_the_back_test_and_with_the_filter() -> None:
    """RC-43, RC-45: a quarter more in the yellow zone; the filtered history counts where it is worse."""
    days = tuple(RiskDay(0.02 if k < 5 else 0.001, Forecast(0.01, 0.001)) for k in range(250))
    facts = inputs(factor_model=swings(), book=book_state(risk_days=days))
    assert answers(value_at_risk, facts, batch())[""].observed == pytest.approx(0.001875, abs=1e-9)
    normal = Z * 0.01 * math.sqrt(0.0047)
    assert answers(all_methods, facts, batch())[""].observed == pytest.approx(1.25 * normal, abs=1e-9)
    late = swings().returns * np.where(np.arange(256) < 255, 1.0, 4.0)[:, None]
    facts = inputs(factor_model=swings(returns=late, ewma_halflife=1.0, ledoit_wolf_sessions=256))
    seen = answers(value_at_risk, facts, batch())[""].observed
    # After a fourfold last day half of it counts: sqrt((1 + 16) / 2) times every loss but the last.
    assert seen == pytest.approx(0.0015 * math.sqrt(8.5), rel=1e-6)


def test_all_methods_by_hand() -> None:
    """RC-45: the normal one is the largest, 2.326 times sqrt(0.47) %; noted, or cut to where it meets the limit."""
    facts, normal = inputs(factor_model=swings()), Z * 0.01 * math.sqrt(0.0047)
    found = answers(all_methods, facts, batch(), tail(0.0015, 0.0015))[""]  # type: ignore[arg-type]
    assert row(found) == (WARN, (), 1.0, normal, 0.0015, 0.0015 - normal)
    assert found.message.endswith("(normal)")
    assert answers(all_methods, facts, batch(), tail(0.002))[""].message == ""  # type: ignore[arg-type]
    strict = tail(0.0015, 0.0015, var_all_methods__on_fail="shrink")
    share = math.sqrt(((15.0 / Z) ** 2 - 37.0) / 10.0)
    found = answers(all_methods, facts, batch(), strict)[""]  # type: ignore[arg-type]
    assert row(found)[:2] == (SHRINK, BUYS)
    assert found.keep == pytest.approx(share, rel=1e-5)
    lost = swings().returns.copy()
    lost[3, 0] = NAN
    for control in (value_at_risk, all_methods):
        gone = answers(control, inputs(factor_model=swings(returns=lost)), batch())[""]
        assert row(gone) == (SHRINK, BUYS, 0.0, None, 0.025, None)


def test_the_newest_sessions_count() -> None:
    """RC-43: as many as the mandate says, filtered over the whole history."""
    weights, returns, rescaled = scenarios(
        projected(inputs(factor_model=swings()), limits(("limits.var.scenarios", 100)))
    )
    assert (weights.shape, returns.shape, rescaled.shape) == ((10, 3), (100, 10), (100, 10))
    assert returns[:, 0].tolist() == swings().returns[-100:, 0].tolist()
    assert rescaled == pytest.approx(returns, abs=1e-8)


def test_the_largest_share_is_searched_with_a_bound() -> None:
    """Up to the first step of a 64th that breaks the limit, then forty halvings; the limit itself is kept."""
    calls: list[float] = []

    def rising(share: float) -> float:
        calls.append(share)
        return share

    assert largest_share(rising, 0.3) == pytest.approx(0.3, abs=1e-12)
    assert (calls[:3], len(calls)) == ([0.0, 1 / 64, 2 / 64], 1 + 20 + 40)
    assert largest_share(rising, 0.3) <= 0.3
    assert (largest_share(rising, 1.0), largest_share(rising, 0.0)) == (1.0, pytest.approx(0.0, abs=1e-13))
    assert [largest_share(lambda s: s - 1.0, limit) for limit in (-2.0, -1.0)] == [0.0, pytest.approx(0.0, abs=1e-13)]
    assert largest_share(lambda s: 1.0 if 0.5 <= s < 0.6 else 0.0, 0.5) == pytest.approx(0.5, abs=1e-12)
    assert largest_share(lambda s: NAN if s > 0.25 else -math.inf if s > 0.2 else 0.0, 1.0) == pytest.approx(
        0.2, abs=1e-12
    )
    assert largest_share(lambda s: NAN, 1.0) == 0.0


# RC-46


def windows(**changes: object) -> dict[str, Scenario]:
    return {s.name: s for s in historical(projected(inputs(factor_model=factor_model(**changes))))}


def test_every_number_of_a_window() -> None:
    """A fall of 0.3, 0.5 and 0.18 times beta, a tenth more on the way, by factors a tenth less; 31 basis points of squares."""
    size = float(BETA @ W)
    assert size == pytest.approx(0.136 + 0.4 / 11 * 0.86)
    proxied = np.zeros((3, N), dtype=bool)
    proxied[1, [1, 5]] = True
    found = windows(scenario_proxied=proxied)
    for name, kind, fall, years, hard, warn, stand_in in (
        ("H2008L", "crash", 0.3, 0.19, 0.25, 0.245, 0.0),
        ("H2008", "bear", 0.5, 1.41, 0.45, 0.44, 2 / 17),
        ("WORST5", "budget", 0.18, 0.02, 0.20, 0.15, 0.0),
    ):
        s = found[name]
        assert (s.kind, s.hard, s.warn, s.proxied) == (kind, hard, warn, pytest.approx(stand_in))
        before = size - 0.02 * BETA[3] - 0.01 * BETA[7] - 0.01 * BETA[11]
        assert s.losses.tolist() == pytest.approx([fall * size, fall * (before + 0.01 * BETA[0]), fall * before])
        assert (s.replay, s.factors) == (pytest.approx(fall * size), pytest.approx(0.9 * fall * size))
        assert s.contributions == pytest.approx(fall * BETA * W)
        assert s.idiosyncratic == pytest.approx(2.33 * math.sqrt(0.0031 * 0.04 * years))
        assert s.path_drawdown == pytest.approx(1.1 * fall * size)


def test_contributions_are_those_of_the_worse_version() -> None:
    """By factors the second window falls further: 0.6 times beta."""
    moves = np.outer([-0.27, -0.6, -0.162], BETA)
    found = windows(scenario_factor_returns=moves)
    assert found["H2008"].contributions == pytest.approx(0.6 * BETA * W)
    assert found["H2008L"].contributions == pytest.approx(0.3 * BETA * W)
    with pytest.raises(ValueError, match="budget"):
        windows(scenario_kinds=("crash", "bear", "crash"))


def added(move: dict[str, float], kind: str = "history") -> FactorModel:
    model, moves = factor_model(), np.array([[move.get(name, 0.0) for name in NAMES]])
    return replace(
        model, scenarios=(*model.scenarios, "X"), scenario_kinds=(*model.scenario_kinds, kind),
        scenario_returns=np.vstack([model.scenario_returns, moves]),
        scenario_factor_returns=np.vstack([model.scenario_factor_returns, moves]),
        scenario_proxied=np.vstack([model.scenario_proxied, np.zeros((1, N), dtype=bool)]),
        scenario_paths=np.concatenate([model.scenario_paths, np.tile(moves, (1, 3, 1))]),
        scenario_years=np.append(model.scenario_years, 0.25),
    )  # fmt: skip


def test_the_table_names_the_worst_and_the_sectors() -> None:
    """RC-46: five names at most, no gains among them; sectors by size, gains last, nothing below half a basis point."""
    facts = inputs(factor_model=added({"MBA": -0.1, "MBB": 0.1, "MBE": -0.0026, "MBG": -0.0024, "MBC": -0.1}))
    rows = stress_results(facts, batch(), MANDATE).set_index("scenario")
    told = rows.loc["H2008L"]
    assert told["worst_contributors"] == "MBK 0.0070, MBI 0.0065, MBG 0.0061, MBE 0.0057, MBD 0.0055"
    assert told["by_sector"] == (
        "HEALTH 0.0107, FUND 0.0106, STAPLES 0.0093, TECHNOLOGY 0.0074, INDUSTRIALS 0.0065, ENERGY 0.0057"
    )
    assert rows.loc["X", "worst_contributors"] == "MBC 0.0020, MBA 0.0010, MBE 0.0001, MBG 0.0000"
    assert rows.loc["X", "by_sector"] == "HEALTH 0.0020, ENERGY 0.0001, TECHNOLOGY -0.0010"
    assert (rows.loc["X", "loss"], rows.loc["X", "status"]) == (pytest.approx(0.0011), "PASS")
    assert list(rows.index) == sorted(rows.index)
    nameless = tuple("" if name in ("MBC", "MBD") else s for name, s in zip(NAMES, facts.sector, strict=True))
    rows = stress_results(replace(facts, sector=nameless), batch(), MANDATE).set_index("scenario")
    assert rows.loc["X", "by_sector"].startswith("UNKNOWN 0.0020")


@pytest.mark.parametrize(
    ("fall", "expected", "status"),
    [
        (10.0, (PASS, (), 1.0, 0.20, 0.25, 0.05), "PASS"),
        (12.4, (WARN, (), 1.0, 0.248, 0.25, 0.002), "WARN"),
        (15.0, (SHRINK, BUYS, 0.25 / 0.3, 0.30, 0.25, -0.05), "SHRINK"),
    ],
)
def test_a_window_against_its_limit(fall: float, expected: tuple[object, ...], status: str) -> None:
    """RC-46: MBD alone falls, 2 % bought; 25 % of the book is the limit of a crash; the table says the same."""
    facts = inputs(factor_model=added({"MBD": -fall}, "crash"))
    assert row(answers(stress, facts, batch())["X"]) == expected
    shown = stress_results(facts, batch(), MANDATE).set_index("scenario").loc["X"]
    assert (shown["status"], shown["limit"], shown["loss"]) == (status, 0.25, pytest.approx(expected[3]))


def test_a_loss_that_is_no_number_is_shown_as_none() -> None:
    """RC-46: the row stays, without its numbers; every buy is refused."""
    facts = inputs(factor_model=added({"MBD": NAN}, "crash"))
    shown = stress_results(facts, batch(), MANDATE).set_index("scenario").loc["X"]
    assert shown[["loss", "replay_loss", "factor_loss", "path_drawdown"]].isna().all()
    assert (shown["status"], shown["limit"]) == ("SHRINK", 0.25)
    assert row(answers(stress, facts, batch())["X"]) == (SHRINK, BUYS, 0.0, None, 0.25, None)


def test_what_cannot_be_computed_stands_in_the_table() -> None:
    """RC-46: one row per family, status SHRINK; the reverse question passes and says why."""
    rows = stress_results(inputs(factor_model=None), batch(), MANDATE).set_index("scenario")  # type: ignore[arg-type]
    assert {rows.loc[name, "status"] for name in ("historical windows", "market and FED")} == {"SHRINK"}
    reverse = rows[rows["kind"] == "reverse"]
    assert set(reverse["status"]) == {"PASS"}
    orders: tuple[Order, ...] = ()
    assert Status.PASS.name in set(stress_results(inputs(), orders, MANDATE)["status"])
