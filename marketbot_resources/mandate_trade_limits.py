"""Limits on single orders and on what may be ordered at all: the restricted list, RC-06 to RC-26. Pure.

Not here: limits on the book (`mandate_limits`), the account's regime and tax mode (`mandate`).
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from marketbot_resources.mandate_section import Bps, Count, Fraction, Positive, Section

RestrictedClass = Literal["leveraged", "inverse", "etn", "spac", "otc"]


class Restricted(Section):
    """RC-03: what may not be ordered. `names`: tickers, `MIC:TICKER` or issuers; `classes` and `min_days_listed`: no buys."""

    names: tuple[Annotated[str, Field(min_length=1)], ...]
    classes: tuple[RestrictedClass, ...]
    min_days_listed: Annotated[int, Field(ge=0, le=10_000)]


class PriceCrossCheck(Section):
    """Keys of the mandate's section price cross check; `mandate.yaml` says what each value does."""

    warn: Fraction
    hard: Fraction
    fund_warn: Fraction
    fund_hard: Fraction

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not (self.warn <= self.hard and self.fund_warn <= self.fund_hard):
            raise ValueError("expected warn <= hard")
        return self


class OrderQuantity(Section):
    """Keys of the mandate's section order quantity; `mandate.yaml` says what each value does."""

    multiple: Positive
    adv: Fraction


class Liquidation(Section):
    """Keys of the mandate's section liquidation; `mandate.yaml` says what each value does."""

    participation: Annotated[float, Field(gt=0.0, le=1.0)]
    name_days_warn: Positive
    name_days: Positive
    book_first_day: Fraction
    book_days: Positive


class Spread(Section):
    """Keys of the mandate's section spread; `mandate.yaml` says what each value does."""

    warn: Fraction
    hard: Fraction


class OrderCount(Section):
    """Keys of the mandate's section order count; `mandate.yaml` says what each value does."""

    per_name: Count
    per_session: Count
    warn: Fraction


class Repeats(Section):
    """Keys of the mandate's section repeats; `mandate.yaml` says what each value does."""

    batches: Count
    exit_legs_per_name: Count
    flips: Annotated[int, Field(ge=0, le=100)]
    filled_of_planned: Positive


class WashSale(Section):
    """Keys of the mandate's section wash sale; `mandate.yaml` says what each value does."""

    days: Annotated[int, Field(ge=0, le=30)]


class RoundTrips(Section):
    """Keys of the mandate's section round trips; `mandate.yaml` says what each value does."""

    maintenance: Fraction
    pdt_equity_usd: Positive


class EventGuard(Section):
    """Keys of the mandate's section event guard; `mandate.yaml` says what each value does."""

    warn: Fraction
    jump: Fraction


class ExpectedCost(Section):
    """Keys of the mandate's section expected cost; `mandate.yaml` says what each value does."""

    warn: Bps
    hard: Bps


class TradeLimits(Section):
    """The part of the mandate's section limits that is about orders; `Limits` has the rest."""

    price_cross_check: PriceCrossCheck = Field(alias="RC-06_price_cross_check")
    order_quantity: OrderQuantity = Field(alias="RC-09_order_quantity")
    liquidation: Liquidation = Field(alias="RC-11_liquidation")
    spread: Spread = Field(alias="RC-12_spread")
    order_count: OrderCount = Field(alias="RC-14_order_count")
    repeats: Repeats = Field(alias="RC-15_repeats")
    wash_sale: WashSale = Field(alias="RC-22_wash_sale")
    round_trips: RoundTrips = Field(alias="RC-23_round_trips")
    event_guard: EventGuard = Field(alias="RC-24_event_guard")
    expected_cost_bps: ExpectedCost = Field(alias="RC-26_expected_cost_bps")
