"""How approved orders are to be traded: the mandate's section execution, as typed, frozen facts. Pure.

Every default is an order at a limit in the next opening auction. Not here: what a type means (`order_types`), which of them a
broker has (`broker_table`), the windows and slices themselves (`marketbot_assets.portfolio`).
"""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from marketbot_resources.mandate_section import Positive, Section
from marketbot_resources.model import OrderType
from marketbot_resources.order_slices import SLICES_MAX
from marketbot_resources.order_types import Phase, phase_of

Style = Literal["limit_on_open", "limit_on_close", "market_on_open", "market_on_close", "limit", "marketable_limit"]
AllowedType = Literal[
    "limit_on_open",
    "market_on_open",
    "limit_on_close",
    "market_on_close",
    "limit",
    "market",
    "stop",
    "stop_limit",
    "trailing_stop",
    "bracket",
]
NONE, TWAP, VWAP, POV = "none", "twap", "vwap", "pov"
CANCEL, NEXT_SESSION, CLOSE_AUCTION = "cancel", "next_session", "close_auction"


class Edge(StrEnum):
    """Where a limit lies: at the collar's edge (RC-07), or at the last close."""

    COLLAR = "collar"
    CLOSE = "close"


def type_of(style: str) -> OrderType:
    """The order type of a style; a marketable limit is a limit at the collar's edge."""
    return OrderType.LIMIT if style == "marketable_limit" else OrderType(style.upper())


def edge_of(style: str) -> Edge:
    """Where the limit of a style lies."""
    return Edge.CLOSE if style == "limit" else Edge.COLLAR


class Slices(Section):
    """Keys of the mandate's section slices; `mandate.yaml` says what each value does."""

    algorithm: Literal["none", "twap", "vwap", "pov"] = "none"
    count: Annotated[int, Field(ge=2, le=SLICES_MAX)] = 6
    minutes: Annotated[int, Field(ge=5, le=120)] = 30
    participation_max: Annotated[float, Field(gt=0.0, le=0.05, allow_inf_nan=False)] = 0.05
    interval_participation_max: Annotated[float, Field(gt=0.0, le=0.10, allow_inf_nan=False)] = 0.10
    from_value: Positive | None = None
    from_adv: Annotated[float, Field(gt=0.0, le=1.0, allow_inf_nan=False)] | None = None

    @model_validator(mode="after")
    def _large_is_said(self) -> Self:
        if self.algorithm != NONE and self.from_value is None and self.from_adv is None:
            raise ValueError("expected from_value or from_adv, from which an order is large enough to be sliced")
        return self


class ExecutionRules(Section):
    """Keys of the mandate's section execution; `mandate.yaml` says what each value does."""

    targets: Style = "limit_on_open"
    exits: Style = "limit_on_open"
    allowed: Annotated[tuple[AllowedType, ...], Field(min_length=1)] = ("limit_on_open", "limit_on_close", "limit")
    slices: Slices = Slices()
    remainder: Literal["cancel", "next_session", "close_auction"] = "cancel"
    protective: Literal["none", "stop", "trailing", "bracket"] = "none"

    @property
    def target_type(self) -> OrderType:
        """The type of orders on the way to the target."""
        return type_of(self.targets)

    @property
    def exit_type(self) -> OrderType:
        """The type of protective exits and limit cures."""
        return type_of(self.exits)

    @property
    def protective_type(self) -> OrderType | None:
        """The type of orders that wait at the broker to protect what is held; None when there are none."""
        return {"stop": OrderType.STOP, "trailing": OrderType.TRAILING_STOP}.get(self.protective)

    @property
    def sliced(self) -> bool:
        """Whether large orders become slices."""
        return self.slices.algorithm != NONE

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        used = {"targets": self.target_type, "exits": self.exit_type}
        if self.remainder == CLOSE_AUCTION:
            used["remainder"] = OrderType.LIMIT_ON_CLOSE
        if self.protective == "bracket":
            raise ValueError("protective: expected none, stop or trailing; brackets are not planned yet")
        if self.protective_type is not None:
            used["protective"] = self.protective_type
        for key, kind in used.items():
            if kind.value.lower() not in self.allowed:
                raise ValueError(f"allowed: expected {kind.value.lower()}, which {key} asks for, in the list")
        if not phase_of(self.exit_type) <= phase_of(self.target_type):
            raise ValueError(
                "exits: expected a type that trades no later than that of targets, which exits may pay for"
            )
        if self.sliced and phase_of(self.target_type) is not Phase.DAY:
            raise ValueError(
                "slices: expected targets: limit or marketable_limit, since slices trade within the session"
            )
        if self.remainder == CLOSE_AUCTION and not self.sliced:
            raise ValueError("remainder: close_auction expects slices, of whose orders it takes what is left")
        return self
