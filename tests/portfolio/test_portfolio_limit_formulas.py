"""A limit says what it is: formula, message, and a slope that is the slope of its left side."""

import numpy as np
import pytest

from marketbot_assets.portfolio.funding import Funding, Wave
from marketbot_assets.portfolio.limit import AbsoluteLimit, ConeLimit, Limit, LinearLimit, ShortfallLimit, TopLimit

ONES, EYE = np.ones(3), np.eye(3)
WAVE = Wave("USD", ONES, ONES, 0.0)


@pytest.mark.parametrize(
    ("limit", "formula"),
    [
        (LinearLimit("RC-32", "sector IT", np.array([1.0, 0, 1.0]), 0.19, 0.2), "sum of w in sector IT <= 0.19"),
        (LinearLimit("RC-36", "gross", ONES, 0.98, 1.0), "sum of w <= 0.98"),
        (LinearLimit("RC-41", "buys of the day", ONES, 0.15, 0.16, on_buys=True), "sum of buys <= 0.15"),
        (LinearLimit("RC-46", "crash H2008L", 0.3 * ONES, 0.24, 0.25), "sum of a w, a of crash H2008L, <= 0.24"),
        (AbsoluteLimit("RC-36", "gross", ONES, 0.98, 1.0), "sum of |w| <= 0.98"),
        (ConeLimit("RC-42", "volatility ewma", EYE, 0.097, 0.11, "per year"), "|R w| <= 0.097, R of volatility ewma"),
        (
            ConeLimit("RC-39", "sum of squares", EYE, 0.022, 0.05, "1", squared=True),
            "|R w|^2 <= 0.022, R of sum of squares",
        ),
        (
            ConeLimit("TE", "tracking error", EYE, 0.06, 0.06, "per year", centre=ONES),
            "|R (w - c)| <= 0.06, R of tracking error",
        ),
        (TopLimit("RC-40", "top ten", 10, 0.43, 0.45), "sum of the 10 largest w <= 0.43"),
        (ShortfallLimit("RC-44", "x", EYE, 0.025, 0.028, 0.03), "mean of the worst 2.5 % of losses -r'w <= 0.028"),
        (Funding("USD", (WAVE,), (), 0.98, 2e-4), "largest need of USD <= 0.98"),
        (
            Funding("USD", (WAVE,), (("EUR", 0.0), ("JPY", 0.0)), 0.98, 2e-4),
            "largest need of USD + 1.0002 * largest needs of EUR, JPY <= 0.98",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else value.control,
)
def test_a_limit_is_written_as_a_formula(limit: Limit, formula: str) -> None:
    """Left side in words, bound as a number."""
    assert limit.formula == formula


@pytest.mark.parametrize(
    ("left", "message"),
    [
        (0.195, "RC-32 sector IT 0.195 > 0.19 NAV"),
        (0.19, "RC-32 sector IT 0.19 <= 0.19 NAV"),
        (float("inf"), "RC-32 sector IT inf > 0.19 NAV"),
        (float("nan"), "RC-32 sector IT unknown against 0.19 NAV"),
    ],
)
def test_a_message_is_one_line(left: float, message: str) -> None:
    """Control, name, left side against bound, unit; what is not a number is never called kept."""
    assert LinearLimit("RC-32", "sector IT", ONES, 0.19, 0.2).message(left) == message


def test_every_shape_has_a_message() -> None:
    """The shapes share one wording."""
    shapes = [
        AbsoluteLimit("A", "a", ONES, 1.0, 1.0),
        ConeLimit("A", "a", EYE, 1.0, 1.0, "NAV"),
        TopLimit("A", "a", 1, 1.0, 1.0),
        ShortfallLimit("A", "a", EYE, 0.1, 1.0, 1.0, "NAV"),
        Funding("USD", (WAVE,), (), 1.0, 0.0, "A", "a"),
    ]
    assert {limit.message(2.0) for limit in shapes} == {"A a 2 > 1 NAV"}


@pytest.mark.parametrize(
    "limit",
    [
        AbsoluteLimit("RC-36", "gross", np.array([1.0, 0.5, 2.0]), 1.0, 1.0),
        ConeLimit(
            "TE", "te", np.array([[0.2, 0.1, 0.0], [0.0, 0.3, 0.1]]), 1, 1, "1", centre=np.array([0.5, 0.2, 0.3])
        ),
    ],
    ids=["absolute", "centred cone"],
)
def test_the_gradient_is_the_slope(limit: Limit) -> None:
    """Central differences at a book with a short."""
    weights, step = np.array([0.3, -0.2, 0.4]), 1e-6
    for i in range(3):
        move = step * np.eye(3)[i]
        slope = (limit.left(weights + move, ONES) - limit.left(weights - move, ONES)) / (2 * step)
        assert limit.gradient(weights, ONES)[i] == pytest.approx(slope, abs=1e-8)


def test_left_sides_by_hand() -> None:
    """1 * 0.3 + 0.5 * 0.2; a 3-4-5 triangle around the centre."""
    absolute = AbsoluteLimit("RC-36", "gross", np.array([1.0, 0.5]), 1.0, 1.0)
    assert absolute.left(np.array([0.3, -0.2]), np.zeros(2)) == pytest.approx(0.4)
    cone = ConeLimit("TE", "te", np.eye(2), 1.0, 1.0, "1", centre=np.array([0.1, 0.2]))
    assert cone.left(np.array([0.4, 0.6]), np.zeros(2)) == pytest.approx(0.5)
    assert cone.left(np.array([0.1, 0.2]), np.zeros(2)) == 0.0
    assert (cone.gradient(np.array([0.1, 0.2]), np.zeros(2)) == 0.0).all()
