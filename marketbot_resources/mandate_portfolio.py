"""How each method of portfolio construction is tuned, as typed, frozen facts. Pure.

Lives here: what the sections inside `portfolio` may say. Not here: the whole mandate and its parsing (`mandate`), what a method
does (`marketbot_assets.portfolio`).
"""

from typing import Annotated, Literal

from pydantic import Field

from marketbot_resources.mandate_section import Fraction, Positive, Section

Method = Literal[
    "mean_variance",
    "risk_parity",
    "min_variance",
    "black_litterman",
    "cvar",
    "tracking_error",
    "multi_period",
    "long_short",
]
Share = Annotated[float, Field(gt=0.0, lt=1.0, allow_inf_nan=False)]


class Calibration(Section):
    """Keys of costs_bps.calibration: the factor that live fills put on the costs; below 1 only where `floor` lets it."""

    enabled: bool = True
    fills_min: Annotated[int, Field(ge=2, le=250)] = 20
    shrink: Annotated[float, Field(ge=0.0, le=10_000.0, allow_inf_nan=False)] = 20.0
    floor: Annotated[float, Field(ge=0.5, le=1.0, allow_inf_nan=False)] = 1.0
    ceiling: Annotated[float, Field(ge=1.0, le=3.0, allow_inf_nan=False)] = 3.0


class BlackLitterman(Section):
    """Keys of the mandate's section black_litterman; `mandate.yaml` says what each value does."""

    tau: Share = 0.05
    confidence: Share = 0.5
    tilt_max_per_year: Positive = 0.06


class Cvar(Section):
    """Keys of the mandate's section cvar; `mandate.yaml` says what each value does."""

    tail: Annotated[float, Field(gt=0.0, le=0.5, allow_inf_nan=False)] = 0.025
    aversion: Positive = 0.1


class MultiPeriod(Section):
    """Keys of the mandate's section multi_period; `mandate.yaml` says what each value does."""

    steps: Annotated[int, Field(ge=2, le=5)] = 3
    decay_per_step: Fraction = 0.5


class LongShort(Section):
    """Keys of the mandate's section long_short; `mandate.yaml` says what each value does."""

    enabled: bool = False
    short_max: Share = 0.02
    shorts_max: Share = 0.20
    borrow_cost_per_year: Fraction = 0.03
