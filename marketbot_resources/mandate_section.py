"""What the limits of the mandate are made of: sections, fractions, caps and floors. Pure.

Not here: the limits themselves (`mandate_limits`, `mandate_model_limits`).
"""

from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from marketbot_resources.errors import MandateError

Fraction = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Bps = Annotated[float, Field(ge=0.0, le=1000.0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=10_000)]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
Mic = Annotated[str, Field(pattern=r"^[A-Z0-9]{4}$")]
SCORES = ("low_volatility_126d", "momentum_12_1", "reversal_5d")


def _known_score(name: str) -> str:
    if name not in SCORES:
        raise ValueError(f"expected a score of the return model: {', '.join(SCORES)}")
    return name


Score = Annotated[str, AfterValidator(_known_score)]


class Section(BaseModel):
    """A section of the mandate: unknown keys are refused, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Limit(Section):
    """A cap as fractions of NAV: target <= warn <= hard; what is absent follows from the next one."""

    target: Fraction | None = None
    warn: Fraction | None = None
    hard: Fraction | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        given = [v for v in (self.target, self.warn, self.hard) if v is not None]
        if given != sorted(given):
            raise ValueError(f"expected target <= warn <= hard, found {given}")
        return self

    @property
    def constraint(self) -> float:
        """What the optimizer keeps: the target, or 95 % of hard where none is given."""
        if self.target is not None:
            return self.target
        if self.hard is None:
            raise MandateError("a limit without target and hard cannot constrain")
        return 0.95 * self.hard


class Cap(Limit):
    """A limit whose hard value is required."""

    hard: Fraction


class Floor(Section):
    """A floor: target >= warn >= hard."""

    target: Fraction
    warn: Fraction
    hard: Fraction

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.target >= self.warn >= self.hard:
            raise ValueError("expected target >= warn >= hard for a floor")
        return self
