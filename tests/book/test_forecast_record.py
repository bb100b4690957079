"""The record of forecasts: whose losses count, when, and that it survives the store."""

import datetime as dt
import math
from dataclasses import replace
from decimal import Decimal

import pytest

from marketbot_assets.book.forecast_record import held_loss, held_weights, recorded
from marketbot_assets.book.frames import state_frame, state_of
from marketbot_assets.book.positions import Holdings
from marketbot_assets.book.roll import Held
from marketbot_assets.book.state import BookState, Forecast, Lot, RiskDay
from marketbot_assets.book.step import opening_state
from marketbot_resources.errors import HaltError

DAY, NEXT = dt.date(2018, 10, 1), dt.date(2018, 10, 2)
EXPECTED, NOW = Forecast(0.02, 0.008), Forecast(0.025, 0.009)


def state(session: dt.date = DAY, **changes: object) -> BookState:
    lots = (Lot("A", Decimal(10), 100.0, 100.0, 0.0, DAY),)
    return replace(opening_state(session, 1e6), **{"lots": lots, "forecast": EXPECTED, **changes})  # type: ignore[arg-type]


def test_weights_and_loss_of_the_book_as_held() -> None:
    """100 shares at 50 in pounds at 1.25 are 6,250 of 100,000; with 2 % of the other name at -3 % and +1 %: 0.0625*3 - 0.02 %."""
    held = Held(Holdings({"L": Decimal(100), "A": Decimal(20)}, {}), {"L": 50.0, "A": 100.0}, {"GBP": 1.25, "USD": 1.0})
    weights = held_weights(held, {"L": "GBP", "A": "USD"}, 100_000.0)
    assert weights == pytest.approx({"L": 0.0625, "A": 0.02})
    assert held_loss(weights, {"L": -0.03, "A": 0.01}) == pytest.approx(0.0625 * 0.03 - 0.02 * 0.01)
    assert held_loss({}, {}) == 0.0


@pytest.mark.parametrize("missing", ["price", "rate", "currency", "return"])
def test_what_is_unknown_is_no_loss_of_zero(missing: str) -> None:
    """A hole anywhere gives NaN, which counts against the forecast."""
    held = Held(
        Holdings({"A": Decimal(20)}, {}),
        {} if missing == "price" else {"A": 1.0},
        {} if missing == "rate" else {"USD": 1.0},
    )
    weights = held_weights(held, {} if missing == "currency" else {"A": "USD"}, 100.0)
    assert math.isnan(held_loss(weights, {} if missing == "return" else {"A": 0.0}))


def test_a_session_that_was_forecast_is_recorded() -> None:
    """The loss stands beside the forecast of the close before; the new forecast waits for the next session."""
    after = recorded(state(NEXT), state(), loss=0.03, forecast=NOW, sessions=250)
    assert (after.forecast, after.risk_days) == (NOW, (RiskDay(0.03, EXPECTED),))


@pytest.mark.parametrize(
    ("previous", "loss"),
    [(state(forecast=None), 0.01), (state(lots=()), 0.0), (state(), None)],
    ids=["never forecast", "in cash", "a session skipped"],
)
def test_what_was_not_forecast_proves_nothing(previous: BookState, loss: float | None) -> None:
    """No forecast, nothing held, or a forecast of another session: the record stays as it is."""
    earlier = (RiskDay(0.001, EXPECTED),)
    after = recorded(state(NEXT), replace(previous, risk_days=earlier), loss=loss, forecast=NOW, sessions=250)
    assert (after.forecast, after.risk_days) == (NOW, earlier)


def test_the_record_keeps_the_last_sessions() -> None:
    """The oldest day goes when the record is full."""
    days = tuple(RiskDay(k / 1000, EXPECTED) for k in range(250))
    after = recorded(state(NEXT), state(risk_days=days), loss=0.5, forecast=NOW, sessions=250)
    assert after.risk_days == (*days[1:], RiskDay(0.5, EXPECTED))


def test_the_record_survives_the_store() -> None:
    """250 days to the bit, in any order of rows; an unknown loss stays unknown; a state of before the record has none."""
    full = state(risk_days=tuple(RiskDay(k / 7, Forecast(k / 3, k / 9)) for k in range(250)))
    frame = state_frame(full)
    assert state_of(frame) == full
    assert state_of(frame.iloc[::-1]) == full
    unknown = state_of(state_frame(state(risk_days=(RiskDay(math.nan, EXPECTED),))))
    assert math.isnan(unknown.risk_days[0].loss)
    assert state_of(state_frame(opening_state(DAY, 1e6))).forecast is None


@pytest.mark.parametrize("item", ["risk_loss.001", "risk_var_99.000", "risk_volatility.002", "forecast.var_99"])
def test_a_hole_in_the_record_stops(item: str) -> None:
    """A state with a hole is no state."""
    frame = state_frame(state(risk_days=(RiskDay(0.1, EXPECTED),) * 3))
    with pytest.raises(HaltError, match="every fact of the state"):
        state_of(frame[frame["item"] != item])
