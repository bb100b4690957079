"""The limits of what happens after trading and of the platform itself, RC-65 to RC-90. Pure.

A mandate without these keys has the defaults. Not here: the other limits (`mandate_limits`), what a limit does (the risk stage).
"""

from typing import Annotated, Self

from pydantic import Field, model_validator

from marketbot_resources.mandate_section import Bps, Count, Fraction, Positive, Section

Seconds = Annotated[float, Field(gt=0.0, le=3600.0, allow_inf_nan=False)]


class ExecutionQuality(Section):
    """RC-65: slippage against the auction's price, basis points; how far outside of the day's range, fraction of the price."""

    slippage_bps: Bps
    range: Fraction


class CashDifference(Section):
    """RC-68: a difference up to the larger of `units` of base currency and `nav_bps` counts as none; beyond `halt_bps` it halts."""

    units: Positive
    nav_bps: Bps
    halt_bps: Bps

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.nav_bps <= self.halt_bps:
            raise ValueError("expected nav_bps <= halt_bps")
        return self


class Earnings(Section):
    """RC-70: what of a session's change of NAV may stay unexplained, basis points of NAV."""

    nav_bps: Bps


class CostDrift(Section):
    """RC-73: over so many fills, standard errors beyond the expected shortfall, at least `least_bps` basis points, and what the
    participation of buys is multiplied by then.
    """

    fills: Count
    standard_errors: Positive
    least_bps: Bps
    participation_multiple: Fraction


class BreachRules(Section):
    """RC-74: verdicts within which a breach by drift must be cured; clean verdicts after which a halt of class A ends."""

    cure_sessions: Count
    clean_checks: Count


class ClockSkew(Section):
    """RC-83: seconds between the broker's clock and ours."""

    warn_seconds: Seconds
    hard_seconds: Seconds

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.warn_seconds <= self.hard_seconds:
            raise ValueError("expected warn_seconds <= hard_seconds")
        return self


class Heartbeat(Section):
    """RC-85: sessions without an end after which it is noted."""

    sessions: Count


class Drift(Section):
    """RC-89: a feature has drifted beyond this PSI or below this p of Kolmogorov-Smirnov; the share of features that may.

    `llm_refused`: share of a run's answers of language models that the gate may refuse before their views move nothing.
    """

    psi: Positive
    ks_p: Fraction
    share: Fraction
    llm_refused: Fraction = 0.05


class Refusals(Section):
    """RC-90: the broker's refusals of the batch before: so many in a row, or beyond this share of it, halt."""

    in_a_row: Count
    share: Fraction


class OperationLimits(Section):
    """The part of the mandate's section limits that RC-65 to RC-90 read."""

    execution_quality: ExecutionQuality = Field(
        default=ExecutionQuality(slippage_bps=100.0, range=0.001), alias="RC-65_execution_quality"
    )
    cash_difference: CashDifference = Field(
        default=CashDifference(units=1.0, nav_bps=0.5, halt_bps=5.0), alias="RC-68_cash_difference"
    )
    earnings: Earnings = Field(default=Earnings(nav_bps=1.0), alias="RC-70_earnings")
    cost_drift: CostDrift = Field(
        default=CostDrift(fills=20, standard_errors=2.0, least_bps=5.0, participation_multiple=0.5),
        alias="RC-73_cost_drift",
    )
    breaches: BreachRules = Field(default=BreachRules(cure_sessions=2, clean_checks=1), alias="RC-74_breaches")
    clock_skew: ClockSkew = Field(default=ClockSkew(warn_seconds=2.0, hard_seconds=30.0), alias="RC-83_clock_skew")
    heartbeat: Heartbeat = Field(default=Heartbeat(sessions=2), alias="RC-85_heartbeat")
    drift: Drift = Field(default=Drift(psi=0.25, ks_p=0.001, share=0.20), alias="RC-89_drift")
    refusals: Refusals = Field(default=Refusals(in_a_row=3, share=0.20), alias="RC-90_refusals")
