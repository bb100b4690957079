"""The optimizer keeps the volatility target that the models' record leaves: RC-50, RC-71 and RC-72 as inputs."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from marketbot_assets.book.state import BookState, Forecast, RiskDay
from marketbot_assets.portfolio.facts import facts_of
from marketbot_assets.portfolio.inputs import PortfolioInputs
from marketbot_assets.portfolio.limits import all_limits
from marketbot_assets.portfolio.model_state import volatility_multiple
from marketbot_resources.mandate import Mandate

Build = Callable[..., PortfolioInputs]


def independent(inputs: PortfolioInputs) -> PortfolioInputs:
    """The same names, moving on their own."""
    model = inputs.factor_model
    returns = np.random.default_rng(4).normal(0.0, 0.01, model.returns.shape)
    return replace(inputs, factor_model=replace(model, returns=returns))


def days(exceptions: int, loss: float) -> tuple[RiskDay, ...]:
    """250 of them, the exceptions oldest."""
    return tuple(RiskDay(0.05 if k < exceptions else loss, Forecast(0.03, 0.01)) for k in range(250))


@pytest.mark.parametrize(
    ("ladder", "exceptions", "loss", "multiple"),
    [
        (1.0, 0, 0.010, 1.0),
        (1.0, 9, 0.010, 1.0),
        (1.0, 10, 0.010, 0.5),
        (1.0, 0, 0.016, 1 / 1.6),
        (1.0, 0, 0.030, 0.5),
        (1.0, 0, 0.001, 1.0),
        (0.6, 10, 0.016, 0.6 * 0.5 / 1.6),
        (1.0, 0, math.nan, 0.25),
    ],
)
def test_both_cones_follow_the_record(
    build: Build,
    state: Callable[..., BookState],
    mandate: Mandate,
    ladder: float,
    exceptions: int,
    loss: float,
    multiple: float,
) -> None:
    """Ladder times zone times ratio; an unknown record is red and at its worst. The bound is 0.97 of 10 % times that."""
    inputs = replace(independent(build(1)), book=state(multiple=ladder, risk_days=days(exceptions, loss)))
    assert volatility_multiple(inputs, mandate) == pytest.approx(multiple, rel=1e-9)
    cones = [x for x in all_limits(inputs, facts_of(inputs, mandate), mandate) if x.control == "RC-42"]
    assert [x.bound for x in cones] == pytest.approx([0.097 * multiple] * 2, rel=1e-9)


def test_names_that_move_as_one_lower_the_target(build: Build, mandate: Mandate) -> None:
    """RC-50: one series for all names, three quarters of the target; on their own, all of it."""
    inputs = independent(build(2))
    assert volatility_multiple(inputs, mandate) == inputs.book.multiple
    model = inputs.factor_model
    alike = replace(model, returns=np.repeat(model.returns[:, :1], model.returns.shape[1], axis=1))
    assert volatility_multiple(replace(inputs, factor_model=alike), mandate) == 0.75 * inputs.book.multiple
