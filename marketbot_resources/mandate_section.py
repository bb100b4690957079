"""What every section of the mandate is made of: a frozen model that refuses unknown keys, and the numbers it may hold. Pure.

Not here: any section (`mandate`, `mandate_limits`, `mandate_operation_limits`).
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Bps = Annotated[float, Field(ge=0.0, le=1000.0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=10_000)]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
Mic = Annotated[str, Field(pattern=r"^[A-Z0-9]{4}$")]


class Section(BaseModel):
    """A section of the mandate: unknown keys are refused, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
