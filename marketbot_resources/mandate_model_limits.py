"""Limits of the mandate on risk numbers and on the models behind them: RC-43, 45, 47, 49, 50, 52, 54, 71, 72. Pure.

Not here: every other limit (`mandate_limits`, which inherits these), what a limit does (`marketbot_assets.risk`).
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from marketbot_resources.mandate_section import Cap, Count, Fraction, Positive, Section

Level = Annotated[float, Field(ge=0.0, le=10.0, allow_inf_nan=False)]


class ValueAtRisk(Cap):
    """Keys of the mandate's section value at risk; `mandate.yaml` says what each value does."""

    scenarios: Annotated[int, Field(ge=100, le=10_000)]


class AllMethods(Section):
    """Keys of the mandate's section all methods; `mandate.yaml` says what each value does."""

    on_fail: Literal["warn", "shrink"]


class FactorBands(Section):
    """Keys of the mandate's section factor bands; `mandate.yaml` says what each value does."""

    style: Level
    sector: Fraction
    beta: Level
    status: Literal["report", "warn"]


class RiskShare(Section):
    """Keys of the mandate's section risk share; `mandate.yaml` says what each value does."""

    warn: Fraction
    hard: Fraction
    invested_min: Fraction


class Correlation(Section):
    """Keys of the mandate's section correlation; `mandate.yaml` says what each value does."""

    sessions: Annotated[int, Field(ge=20, le=756)]
    mean_pairwise: Fraction
    pc1_share: Fraction
    vol_multiple: Fraction


class LlmInfluence(Section):
    """Keys of the mandate's section LLM influence; `mandate.yaml` says what each value does."""

    name: Fraction
    book: Fraction


class Plausibility(Section):
    """Keys of the mandate's section plausibility; `mandate.yaml` says what each value does."""

    rank_corr: Fraction
    keep: Fraction


class VarBacktest(Section):
    """Keys of the mandate's section VaR back-test: zones by the number of exceptions in `sessions` at 99 %."""

    sessions: Annotated[int, Field(ge=50, le=999)]
    yellow: Count
    red: Count
    var_multiple: Annotated[float, Field(ge=1.0, le=10.0, allow_inf_nan=False)]
    vol_multiple: Fraction

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.yellow < self.red <= self.sessions:
            raise ValueError("expected yellow < red <= sessions")
        return self


class VolatilityRatio(Section):
    """Keys of the mandate's section volatility ratio; `mandate.yaml` says what each value does."""

    sessions: Annotated[int, Field(ge=20, le=250)]
    low: Positive
    high: Positive

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low < 1.0 < self.high:
            raise ValueError("expected low < 1 < high")
        return self


class ModelLimits(Section):
    """The part of the mandate's limits that watches risk numbers and models."""

    var: ValueAtRisk = Field(alias="RC-43_var_99_1d")
    var_all_methods: AllMethods = Field(alias="RC-45_var_all_methods")
    factor: FactorBands = Field(alias="RC-47_factor")
    risk_share: RiskShare = Field(alias="RC-49_risk_share")
    correlation: Correlation = Field(alias="RC-50_correlation")
    llm_influence: LlmInfluence = Field(alias="RC-52_llm_influence")
    plausibility: Plausibility = Field(alias="RC-54_plausibility")
    var_backtest: VarBacktest = Field(alias="RC-71_var_backtest")
    vol_ratio: VolatilityRatio = Field(alias="RC-72_vol_ratio")
