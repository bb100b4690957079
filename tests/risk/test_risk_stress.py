"""RC-46: both versions of a window, what is shown beside it, formulas by hand, and the reverse question by other means."""

from dataclasses import replace

import numpy as np
import pytest
from risk_world import LISTINGS, MANDATE, NAMES, NAV, batch, buys, drawn_down, factor_model, inputs, tweaked
from scipy.optimize import minimize

from marketbot_assets.book.state import Rung
from marketbot_assets.risk.control import ControlResult
from marketbot_assets.risk.inputs import RiskInputs
from marketbot_assets.risk.projection import WITH, project
from marketbot_assets.risk.reverse_stress import reverse_shocks
from marketbot_assets.risk.schema import STRESS_RESULTS
from marketbot_assets.risk.stress import historical, path_drawdown, stress_results
from marketbot_assets.risk.verdict import judge, run_controls
from marketbot_resources.model import Status

BETA = np.linspace(0.8, 1.2, 12)
W = np.array([0.01, 0.02, 0.02, 0.02, 0.02, 0.0, 0.02, 0.01, 0.02, 0.0, 0.02, 0.01])


def answers(facts: RiskInputs) -> dict[str, ControlResult]:
    return {r.key: r for r in run_controls(facts, batch(), MANDATE) if r.control == "RC-46"}


def with_scenario(name: str, kind: str, replay: object, factors: object) -> RiskInputs:
    """The calm world with one more scenario."""
    model = factor_model()
    rows = [np.broadcast_to(np.asarray(move, dtype=float), (12,)) for move in (replay, factors)]
    return inputs(
        factor_model=replace(
            model, scenarios=(*model.scenarios, name), scenario_kinds=(*model.scenario_kinds, kind),
            scenario_returns=np.vstack([model.scenario_returns, rows[0]]),
            scenario_factor_returns=np.vstack([model.scenario_factor_returns, rows[1]]),
            scenario_proxied=np.vstack([model.scenario_proxied, np.zeros((1, 12), dtype=bool)]),
            scenario_paths=np.concatenate([model.scenario_paths, np.tile(rows[0], (1, 3, 1))]),
            scenario_years=np.append(model.scenario_years, 0.25),
        )
    )  # fmt: skip


VERSIONS = [
    ("replay is worse", -0.5, -0.2, 0.5), ("factors are worse", -0.2, -0.5, 0.5), ("a gain and a loss", 0.3, -0.1, 0.1),
    ("both gain", 0.3, 0.1, -0.1),
]  # fmt: skip


@pytest.mark.parametrize(
    ("replay_move", "factor_move", "loss"), [v[1:] for v in VERSIONS], ids=[v[0] for v in VERSIONS]
)
def test_the_loss_is_the_larger_of_replay_and_factors(replay_move: float, factor_move: float, loss: float) -> None:
    """Application rule 4, with the batch's weights frozen; both numbers stand in the table."""
    facts = with_scenario("X", "crash", replay_move, factor_move)
    assert answers(facts)["X"].observed == pytest.approx(loss * W.sum(), abs=1e-12)
    row = stress_results(facts, batch(), MANDATE).set_index("scenario").loc["X"]
    assert row["replay_loss"] == pytest.approx(-replay_move * W.sum())
    assert row["factor_loss"] == pytest.approx(-factor_move * W.sum())
    assert row["idiosyncratic"] == pytest.approx(2.33 * np.sqrt((W**2).sum() * 0.04 * 0.25))


def test_the_factor_version_alone_makes_the_batch_smaller() -> None:
    """A window whose replay is harmless refuses buys when the factors lose too much; the reductions go."""
    move = -0.249 / W.sum() * np.ones(12)
    assert answers(with_scenario("X", "crash", 0.0, move))["X"].status is Status.WARN
    facts = with_scenario("X", "crash", 0.0, -0.3 / W.sum())
    assert answers(facts)["X"].status is Status.SHRINK
    approved = judge(facts, batch(), MANDATE).approved
    assert sum(o.quantity for o in buys(approved)) < sum(o.quantity for o in buys(batch()))
    mended = judge(facts, approved, MANDATE)
    assert {r.status for r in mended.results if r.control == "RC-46"} <= {Status.PASS, Status.WARN}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_unknown_version_is_no_loss_of_the_other(value: float) -> None:
    """G3: a version that is no number fails the window, whatever the other one says."""
    for replay_move, factor_move in ((value, -0.1), (-0.1, value)):
        facts = with_scenario("X", "crash", replay_move, factor_move)
        assert answers(facts)["X"].observed is None
        assert buys(judge(facts, batch(), MANDATE).approved) == ()


def test_a_window_without_limit_is_shown_and_judges_nothing() -> None:
    """H1929: a loss of the whole book is a row of the table, no answer of the control."""
    facts = with_scenario("H1929", "history", -0.9, -0.95)
    assert "H1929" not in answers(facts)
    row = stress_results(facts, batch(), MANDATE).set_index("scenario").loc["H1929"]
    assert (row["status"], np.isnan(row["limit"])) == ("PASS", True)
    assert row["loss"] == pytest.approx(0.95 * W.sum())
    with pytest.raises(ValueError, match="unknown kind"):
        historical(project(with_scenario("X", "drama", -0.1, -0.1), batch(), MANDATE))


def test_the_deepest_fall_on_the_way() -> None:
    """Against the definition: the largest fall from any earlier high, the start included."""
    rng = np.random.default_rng(2)
    gains = np.cumsum(0.05 * rng.standard_normal((20, 9)), axis=1)
    for row, found in zip(gains, path_drawdown(gains), strict=True):
        values = [1.0, *(1.0 + row)]
        assert found == pytest.approx(max(1.0 - b / a for k, a in enumerate(values) for b in values[k:]))
    assert path_drawdown(np.array([[0.0, 0.1, 0.2], [-0.2, 0.1, -0.1]])).tolist() == pytest.approx([0.0, 0.2])


def test_the_market_falls_by_ten_twenty_and_thirty_percent() -> None:
    """Y1: linear in beta."""
    found = answers(inputs())
    for key, shock in (("Y1 -10 %", 0.1), ("Y1 -20 %", 0.2), ("Y1", 0.3)):
        assert found[key].observed == pytest.approx(shock * float(BETA @ W)), key


def liquidated(adv: np.ndarray) -> float:
    """Y8 by hand: per name tax, five times half-spread and fee, impact at a quarter of the volume, all of it at most."""
    total = 0.0
    for name, w, volume in zip(NAMES, W, adv, strict=True):
        _, currency, *_, fund, _, _, _ = LISTINGS[name]
        fee = {"USD": 3.5, "EUR": 7.5, "JPY": 8.5}[currency] if not fund else 2.5
        cost = 5 * fee * 1e-4 + 0.012 * (w * NAV / (0.25 * volume)) ** 0.5
        total += w * min(cost, 1.0)
    return total


def test_selling_everything_in_a_thin_market() -> None:
    """Y8: closed form; a held name of unknown volume or volatility is lost as a whole, one that is not held costs nothing."""
    adv = np.full(12, 5e7)
    assert answers(inputs())["Y8 liquidation"].observed == pytest.approx(liquidated(adv), rel=1e-9)
    thin = np.where(np.arange(12) == 1, 5_000.0, adv)
    assert answers(inputs(adv=thin))["Y8 liquidation"].observed == pytest.approx(liquidated(thin), rel=1e-9)
    for unknown in (np.nan, 0.0, -1.0, np.inf):
        facts = inputs(adv=np.where(np.arange(12) == 1, unknown, adv))
        expected = liquidated(adv) - 0.02 * (5 * 3.5e-4 + 0.012 * (20_000 / 1.25e7) ** 0.5)
        lost = expected + (0.02 * 5 * 3.5e-4 if unknown == np.inf else 0.02)
        assert answers(facts)["Y8 liquidation"].observed == pytest.approx(lost, rel=1e-9)
    free = inputs(adv=np.where(np.arange(12) == 5, np.nan, adv))
    assert answers(free)["Y8 liquidation"].observed == pytest.approx(liquidated(adv), rel=1e-9)


def three_factors(**changes: object) -> RiskInputs:
    rng = np.random.default_rng(9)
    exposures = np.column_stack([np.ones(12), rng.standard_normal((12, 2))])
    root = rng.standard_normal((3, 3)) * 0.1
    model = factor_model(factors=("market", "size", "sector X"), exposures=exposures, factor_covariance=root @ root.T)
    return inputs(factor_model=model, **changes)


def test_the_most_likely_factor_shock_by_a_numeric_search() -> None:
    """R2: min f'F^-1 f subject to -w'Bf >= 15 %, by SLSQP from several starts, F of 21 sessions."""
    facts = three_factors()
    model = facts.factor_model
    exposure = model.exposures.T @ W
    root = np.linalg.cholesky(model.factor_covariance * 21 / 252)
    pull = root.T @ exposure  # f = root z, f'F^-1 f = z'z
    found = []
    for start in np.random.default_rng(1).standard_normal((5, 3)):
        least = minimize(
            lambda z: z @ z, start, jac=lambda z: 2 * z, method="SLSQP",
            constraints={"type": "ineq", "fun": lambda z: -pull @ z - 0.15, "jac": lambda z: -pull},
        )  # fmt: skip
        assert least.success
        found.append(least.fun)
    rows = {r.name: r for r in reverse_shocks(project(facts, batch(), MANDATE))}
    assert rows["R2 factors"].shock == pytest.approx(min(found) ** 0.5, rel=1e-5)
    shares = [float(part.split("(")[1].split(" %")[0]) for part in rows["R2 factors"].text.split(", ")]
    assert sum(shares) == pytest.approx(100, abs=1.5)


def test_each_single_shock_loses_what_the_ladder_leaves() -> None:
    """R1, R3, R4: the shock times the exposure is 15 % less the drawdown; FUND, STAPLES: the largest bucket by weight."""
    for depth, rung in ((0.0, Rung.FULL), (0.06, Rung.SCALED), (0.149, Rung.TO_CASH)):
        facts = inputs(book=drawn_down(depth, rung))
        rows = {r.name: r for r in reverse_shocks(project(facts, batch(), MANDATE))}
        room = 0.15 - depth
        assert all(r.loss == pytest.approx(room) for r in rows.values())
        assert rows["R1 market"].shock == pytest.approx(room / float(BETA @ W))
        assert rows["R3 largest sector"].shock == pytest.approx(room / 0.04)
        assert rows["R4 largest name"].shock == pytest.approx(room / 0.02)
        assert ("more than all" in rows["R4 largest name"].text) == (room / 0.02 > 1.0)
        assert "HEALTH" in rows["R3 largest sector"].text


def test_a_book_that_must_halt_breaks_without_a_shock_and_an_empty_one_never() -> None:
    """Drawdown beyond the halt: shock 0. Nothing held: no shock at all."""
    lost = inputs(book=drawn_down(0.19, Rung.HALT))
    assert [r.shock for r in reverse_shocks(project(lost, batch(), MANDATE))] == [0.0] * 4
    empty = inputs(positions=(0,) * 12)
    assert [r.shock for r in reverse_shocks(project(empty, (), MANDATE))] == [None] * 4


@pytest.mark.parametrize("field", ["beta", "exposures", "factor_covariance"])
def test_an_unknown_number_is_said_in_the_table(field: str) -> None:
    """The rows without a limit name what is missing; the table keeps its schema."""
    model = three_factors().factor_model
    frame = stress_results(
        inputs(factor_model=replace(model, **{field: np.full_like(getattr(model, field), np.nan)})), batch(), MANDATE
    )
    STRESS_RESULTS.pandera_schema.validate(frame)
    told = frame[frame["kind"] == "reverse"]
    assert "cannot be computed" in told["worst_contributors"].iloc[0]
    assert told["loss"].isna().all()


def test_reverse_rows_of_the_table() -> None:
    """Kind reverse, no limit, status PASS, in the schema; the halt of the mandate decides how much."""
    frame = stress_results(three_factors(), batch(), tweaked(MANDATE, "ladder.halt.at", 0.10))
    STRESS_RESULTS.pandera_schema.validate(frame)
    rows = frame[frame["kind"] == "reverse"].set_index("scenario")
    assert list(rows.index) == ["R1 market", "R2 factors", "R3 largest sector", "R4 largest name"]
    assert rows["loss"].tolist() == pytest.approx([0.10] * 4)
    assert rows["limit"].isna().all()
    assert set(rows["status"]) == {"PASS"}
    weights = project(three_factors(), batch(), MANDATE).weights[:, WITH]
    assert weights == pytest.approx(W)
