"""Whole answers of the controls on models: RC-50, 52, 54, 71, 72. Every number is written out by hand."""

import math
from decimal import Decimal

import numpy as np
import pytest
from answer_rows import (
    BUYS,
    NAN,
    PASS,
    SHRINK,
    WARN,
    D,
    H,
    L,
    N,
    limits,
    row,
    swings,
)
from risk_world import NAMES, answers, batch, book_state, inputs, model_facts, order

from marketbot_assets.book.state import Forecast, RiskDay
from marketbot_assets.risk import model_controls as models
from marketbot_assets.risk.inputs import RiskInputs
from marketbot_resources.model import Order

SALE = (order("MBA", "SELL", 100),)
LEG, SOLD = "mb1-fx-eur-buy", "mb1-mba-sell"


# RC-50, RC-52, RC-54, RC-71, RC-72


def test_names_that_move_as_one() -> None:
    """RC-50: every correlation is 1 and one component carries all; a limit of 1 is kept."""
    alike = swings(returns=np.tile(swings().returns[:, :1], (1, N)))
    found = answers(models.correlation, inputs(factor_model=alike))
    assert {key: row(r) for key, r in found.items()} == {
        "mean pairwise": (WARN, (), 1.0, 1.0, 0.7, -0.3), "first component": (WARN, (), 1.0, 1.0, 0.6, -0.4),
    }  # fmt: skip
    assert all("12 names" in r.message and r.message.endswith("target times 0.75") for r in found.values())
    whole = limits(("limits.correlation.mean_pairwise", 1.0), ("limits.correlation.pc1_share", 1.0))
    found = answers(models.correlation, inputs(factor_model=alike), (), whole)
    assert {(r.status, r.message) for r in found.values()} == {(PASS, "")}


def tilted(moved: dict[str, float] | None, tilt: float = 0.01) -> RiskInputs:
    values = None if moved is None else np.array([moved.get(name, 0.0) for name in NAMES])
    tilts = np.where(np.array(NAMES) == "MBF", tilt, 0.0)
    return inputs(models=model_facts(llm_tilt=tilts, llm_influence=values))


@pytest.mark.parametrize(
    ("facts", "orders", "expected"),
    [
        (tilted(None, 0.0), batch(), {"book": (PASS, (), 1.0, 0.0, 0.05, 0.05)}),
        (tilted({"MBD": 0.9}, 0.0), batch(), {"book": (PASS, (), 1.0, 0.0, 0.05, 0.05)}),
        (tilted(None), batch(), {"book": (SHRINK, BUYS, 0.0, None, 0.05, None)}),
        (tilted(None), SALE, {"book": (WARN, (), 0.0, None, 0.05, None)}),
        (tilted({"MBD": 0.0625}), SALE,
         {"book": (SHRINK, (), 0.8, 0.0625, 0.05, -0.0125), "MBD": (SHRINK, (), 0.16, 0.0625, 0.01, -0.0525)}),
        (tilted({}, NAN), batch(), {"book": (SHRINK, BUYS, 0.0, None, 0.05, None)}),
        (tilted({"MBD": 0.0125, "MBL": -0.01}), batch(),
         {"book": (PASS, (), 1.0, 0.0225, 0.05, 0.0275), "MBD": (SHRINK, (D,), 0.8, 0.0125, 0.01, -0.0025)}),
        (tilted({"MBD": -0.0625}), batch(),
         {"book": (SHRINK, BUYS, 0.8, 0.0625, 0.05, -0.0125), "MBD": (SHRINK, (D,), 0.16, 0.0625, 0.01, -0.0525)}),
    ],
)  # fmt: skip
def test_language_model_features(
    facts: RiskInputs, orders: tuple[Order, ...], expected: dict[str, tuple[object, ...]]
) -> None:
    """RC-52: 5 % in the book, 1 % per name, by size; unmeasured it allows no buys."""
    assert {key: row(r) for key, r in answers(models.influence, facts, orders).items()} == expected


def scored(planned: dict[str, object] | None = None, *, finite: int = N, before: object = "turned") -> RiskInputs:
    now = np.where(np.arange(N) < finite, np.linspace(-1.5, 1.5, N), NAN)
    then = np.linspace(1.5, -1.5, N) if isinstance(before, str) else before
    return inputs(models=model_facts(scores=now, scores_before=then, planned=planned or {}))


@pytest.mark.parametrize(
    ("planned", "orders", "ids", "keep"),
    [
        ({}, batch(), BUYS, 0.5), ({D: Decimal(400)}, batch(), (H, L), 0.5), ({D: Decimal(300)}, batch()[:1], (D,), 0.75),
        ({D: Decimal(300), H: Decimal(160)}, batch()[:3], BUYS, 0.5), ({D: 400 * (1 - 5e-10)}, batch()[:1], (), 1.0),
        ({D: 400 * (1 - 5e-9)}, batch()[:1], (D,), 1 - 5e-9), ({D: NAN}, batch()[:1], (D,), 0.0), ({}, SALE, (), 1.0),
        ({D: None}, batch()[:1], (D,), 0.0),
        ({D: Decimal(-1)}, (order("MBD", "BUY", 0),), (D,), 0.0),
        ({D: math.inf}, (order("MBD", "BUY", "Infinity"),), (), 1.0),
    ],
)  # fmt: skip
def test_scores_that_turned_over(
    planned: dict[str, object], orders: tuple[Order, ...], ids: tuple[str, ...], keep: float
) -> None:
    """RC-54: a rank correlation of -1; each planned buy goes half its way, a billionth of a lot aside."""
    found = answers(models.plausibility, scored(planned), orders)["scores"]
    assert (found.status, found.order_ids, found.keep) == (SHRINK if ids else WARN, ids, pytest.approx(keep, abs=1e-12))
    assert [found.observed, found.limit, found.headroom] == pytest.approx([-1.0, 0.3, -1.3])


def test_scores_at_the_borders() -> None:
    """RC-54: a limit that is met, ten scores and nine, nine common ones, none before; names without a score."""
    met = answers(models.plausibility, scored(), batch(), limits(("limits.plausibility.rank_corr", -1.0)))["scores"]
    assert row(met) == (PASS, (), 1.0, -1.0, -1.0, 0.0)
    same = answers(models.plausibility, scored(before=np.arange(12.0)), batch())["scores"]
    assert row(same) == (PASS, (), 1.0, 1.0, 0.3, 0.7)
    ten = answers(models.plausibility, scored(finite=10), batch())
    assert (ten["scores"].status, ten["scores"].observed) == (SHRINK, pytest.approx(-1.0))
    assert row(ten["unscored"]) == (SHRINK, (L,), 0.0, 1.0, 0.0, -1.0)
    nine = answers(models.plausibility, scored(finite=9), batch())["scores"]
    assert row(nine) == (PASS, (), 1.0, None, 0.3, None)
    half = np.where(np.arange(N) < 9, np.arange(N), NAN)
    assert row(answers(models.plausibility, scored(before=half), batch())["scores"]) == (
        SHRINK,
        BUYS,
        0.5,
        None,
        0.3,
        None,
    )
    more = np.where(np.arange(N) < 10, -np.arange(N), NAN)
    assert answers(models.plausibility, scored(before=more), batch())["scores"].observed == pytest.approx(-1.0)
    assert row(answers(models.plausibility, scored(before=None), batch())["scores"]) == (PASS, (), 1.0, None, 0.3, None)
    every = answers(models.plausibility, scored(), batch())["unscored"]
    assert (row(every), every.unit, every.message) == ((PASS, (), 0.0, 0.0, 0.0, 0.0), "orders", "")


def test_ranks_and_their_correlation() -> None:
    """Spearman (1904), ties at their mean; 1 - 6 * 8 / 60 for d = (0, 2, 0, 2)."""
    assert models.ranks(np.array([30.0, 10.0, 30.0, 20.0])).tolist() == [3.5, 1.0, 3.5, 2.0]
    assert models.rank_correlation(np.array([1.0, 2, 3, 4]), np.array([1.0, 4, 3, 2])) == pytest.approx(0.2)
    assert models.rank_correlation(np.array([1.0, 2]), np.array([7.0, 5])) == pytest.approx(-1.0)
    assert math.isnan(models.rank_correlation(np.arange(4.0), np.ones(4)))


def after(loss: float, days: int, exceptions: int = 0) -> RiskInputs:
    record = tuple(RiskDay(0.02 if k < exceptions else loss, Forecast(0.01, 0.001)) for k in range(days))
    return inputs(book=book_state(risk_days=record))


@pytest.mark.parametrize(
    ("exceptions", "expected", "told", "silent"),
    [
        (4, (PASS, (), 1.0, 4.0, 4.0, 0.0), "", "zone"), (5, (WARN, (), 1.0, 5.0, 4.0, -1.0), "yellow zone", "volatility"),
        (10, (WARN, (), 1.0, 10.0, 4.0, -6.0), "volatility target times 0.5", "of 250"),
    ],
)  # fmt: skip
def test_the_back_test(exceptions: int, expected: tuple[object, ...], told: str, silent: str) -> None:
    """RC-71: four exceptions are green; a full record does not say how long it is."""
    found = answers(models.backtest, after(0.001, 250, exceptions))[""]
    assert row(found) == expected
    assert told in found.message
    assert silent not in found.message


@pytest.mark.parametrize(
    ("loss", "days", "expected", "divided"),
    [
        (0.001, 59, (PASS, (), 1.0, None, 1.4, None), False), (0.0014, 60, (PASS, (), 1.0, 1.4, 1.4, 0.0), False),
        (0.00141, 60, (WARN, (), 1.0, 1.41, 1.4, -0.01), True), (0.0007, 60, (PASS, (), 1.0, 0.7, 1.4, 0.7), False),
        (0.00069, 60, (WARN, (), 1.0, 0.69, 1.4, 0.71), False),
    ],
)  # fmt: skip
def test_realised_over_expected(loss: float, days: int, expected: tuple[object, ...], divided: bool) -> None:
    """RC-72: both ends of the band belong to it; only above it the target is divided."""
    found = answers(models.ratio, after(loss, days))[""]
    assert row(found) == expected
    assert ("divided" in found.message) is divided
