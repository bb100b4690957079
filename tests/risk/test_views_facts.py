"""What RC-52 hears of views: the tilt of the forecasts, and the difference of two stored books, worked out by the verdict."""

import datetime as dt
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from risk_world import NAMES, answers, batch, inputs, model_facts, order

from marketbot_assets.normalization.window import MarketWindow
from marketbot_assets.portfolio.eligibility import Market
from marketbot_assets.portfolio.target import Target
from marketbot_assets.risk import model_facts as facts
from marketbot_assets.risk.model_controls import influence
from marketbot_resources.model import Status

N, CAP, BOOK = len(NAMES), 0.01, 0.05
NAN, INF = float("nan"), float("inf")
PASS, WARN, SHRINK = Status.PASS, Status.WARN, Status.SHRINK


def target(weights: list[float], without: list[float]) -> Target:
    given = np.array(weights)
    return Target(
        given, given, 0.0, "mean_variance", "optimal", 0.0, 0.0, (), (), "", "planted", without_llm=np.array(without)
    )


@pytest.mark.parametrize(
    ("weights", "without", "moved"),
    [
        ([0.02, 0.03], [0.01, 0.05], [0.01, -0.02]),
        ([0.02, NAN], [0.02, NAN], [0.0, 0.0]),
        ([0.02, NAN], [0.02, 0.0], [0.0, NAN]),
        ([0.02, 0.03], [0.02, NAN], [0.0, NAN]),
        ([0.02, INF], [0.02, 0.0], [0.0, INF]),
        ([0.02, 0.03], [], None),
        ([0.02, 0.03], [0.02], None),
    ],
)
def test_the_difference_is_that_of_the_two_books(
    weights: list[float], without: list[float], moved: list[float] | None
) -> None:
    """Weight by weight; unknown in both is no move, unknown in one is unknown, one book alone is no measurement."""
    found = facts.moved_by_views(target(weights, without))
    if moved is None:
        assert found is None
    else:
        assert found is not None
        np.testing.assert_allclose(found, moved, atol=1e-15)


def market(**columns: list[float]) -> Market:
    """Two names with forecasts; nothing else that models are judged on."""
    names = pd.DataFrame({"instrument": ["MBA", "MBB"], "in_universe": True})
    columns_of_window = ("open", "high", "low", "close", "volume", "price_level", "total_return", "base_return", "fx")
    window = MarketWindow(
        sessions=(dt.date(2018, 12, 11),),
        instruments=("MBA", "MBB"),
        fresh=np.ones((1, 2), dtype=np.bool_),
        **dict.fromkeys(columns_of_window, np.ones((1, 2))),
    )
    scored = pd.DataFrame({"instrument": ["MBB", "MBA"], "score": [1.0, -1.0], **columns})
    features = names.assign(log_market_value=1.0)
    return Market(names, window, features, scored, None, (), np.zeros(2), np.zeros(2), {}, ())  # type: ignore[arg-type]


def test_the_tilt_is_that_of_the_forecasts() -> None:
    """By name; forecasts of before there were views have none."""
    book = target([0.02, 0.03], [0.01, 0.03])
    found = facts.model_facts(market(llm_tilt=[0.004, NAN]), book)
    np.testing.assert_array_equal(found.llm_tilt, [NAN, 0.004])
    np.testing.assert_allclose(found.llm_influence, [0.01, 0.0], atol=1e-15)  # type: ignore[arg-type]
    np.testing.assert_array_equal(facts.model_facts(market(), book).llm_tilt, [0.0, 0.0])


BUYS = batch()
EACH = BOOK / 10


@pytest.mark.parametrize(
    ("moved", "name_status", "book_status"),
    [
        ([CAP], PASS, PASS),
        ([CAP + 1e-9], PASS, PASS),
        ([CAP + 2e-9], SHRINK, PASS),
        ([-CAP - 2e-9], SHRINK, PASS),
        ([EACH] * 10, PASS, PASS),
        ([EACH] * 9 + [EACH + 9e-10], PASS, PASS),
        ([EACH] * 9 + [EACH + 3e-9], PASS, SHRINK),
        ([NAN], SHRINK, SHRINK),
        ([INF], SHRINK, SHRINK),
    ],
)
def test_the_edges_of_both_caps(moved: list[float], name_status: Status, book_status: Status) -> None:
    """A cap is kept to 1e-9; NaN and infinite are beyond it. What is beyond lets no buy through as planned."""
    values = np.zeros(N)
    values[: len(moved)] = moved
    given = inputs(models=model_facts(llm_tilt=np.full(N, 0.01), llm_influence=values))
    found = answers(influence, given, BUYS)
    names = {key: r.status for key, r in found.items() if key != "book"}
    assert found["book"].status is book_status
    assert max(names.values(), default=PASS) is name_status
    assert set(names) <= {NAMES[0]}


@pytest.mark.parametrize("tilt", [0.01, 1e-300, NAN, INF])
def test_a_tilt_without_a_second_book_buys_nothing(tilt: float) -> None:
    """However small the tilt: buys are dropped; a batch of sells alone is told, not stopped."""
    tilts = np.where(np.arange(N) == 0, tilt, 0.0)
    given = inputs(models=replace(model_facts(), llm_tilt=tilts, llm_influence=None))
    found = answers(influence, given, BUYS)["book"]
    assert (found.status, found.keep) == (SHRINK, 0.0)
    assert found.order_ids
    assert answers(influence, given, (order("MBA", "SELL", 100),))["book"].status is WARN
