"""The limits of the mandate as typed, frozen facts: caps, floors, ladder, stops. Pure.

Lives here: what a limit's values may be. Not here: what caps and floors are (`mandate_section`), the limits of orders beyond the
first ones, on models and on operations (`mandate_trade_limits`, `mandate_model_limits`, `mandate_operation_limits`), the whole
mandate and its parsing (`mandate`).
"""

from typing import Self

from pydantic import Field, model_validator

from marketbot_resources.mandate_model_limits import ModelLimits
from marketbot_resources.mandate_operation_limits import OperationLimits
from marketbot_resources.mandate_section import Cap, Count, Floor, Fraction, Limit, Positive, Section
from marketbot_resources.mandate_trade_limits import TradeLimits


class PriceFreshness(Section):
    """Keys of the mandate's section price freshness; `mandate.yaml` says what each value does."""

    stale_sessions: Count
    book_stale_hard: Fraction


class Collar(Section):
    """Keys of the mandate's section collar; `mandate.yaml` says what each value does."""

    floor: Fraction
    sigma_multiple: Positive
    ceiling: Fraction
    fund_ceiling: Fraction


class Participation(Section):
    """Keys of the mandate's section participation; `mandate.yaml` says what each value does."""

    target: Fraction
    hard: Fraction
    exits_hard: Fraction
    min_observations: Count


class Cash(Section):
    """Keys of the mandate's section cash; `mandate.yaml` says what each value does."""

    spendable: Fraction
    planned_sells_fund: Fraction


class PassiveBreach(Section):
    """Keys of the mandate's section passive breach; `mandate.yaml` says what each value does."""

    no_buys: Fraction
    trim: Fraction
    cure_sessions: Count


class Turnover(Section):
    """Keys of the mandate's section turnover; `mandate.yaml` says what each value does."""

    buys_per_day: Cap
    name_buy_per_day: Cap
    one_way_21_sessions: Limit
    build_up_sessions: Count


class ExAnteVol(Section):
    """Keys of the mandate's section ex ante vol; `mandate.yaml` says what each value does."""

    target_multiple: Positive
    warn_multiple: Positive
    hard_multiple: Positive
    low_warn_multiple: Positive


class Shortfall(Cap):
    """Keys of the mandate's section shortfall; `mandate.yaml` says what each value does."""

    scenarios: Count


class FedSevere(Cap):
    """Keys of the mandate's section fed severe; `mandate.yaml` says what each value does."""

    equity_loss: Fraction


class DrawdownBudget(Section):
    """Keys of the mandate's section drawdown budget; `mandate.yaml` says what each value does."""

    hard: Fraction
    warn: Fraction
    target_margin: Fraction
    floor: Fraction


class Residual(Section):
    """Keys of the mandate's section residual; `mandate.yaml` says what each value does."""

    hard: Positive


class Coverage(Section):
    """Keys of the mandate's section coverage; `mandate.yaml` says what each value does."""

    universe: Fraction
    held: Fraction


class Limits(TradeLimits, ModelLimits, OperationLimits):
    """Keys of the mandate's section limits; `mandate.yaml` says what each value does."""

    price_freshness: PriceFreshness = Field(alias="RC-05_price_freshness")
    collar: Collar = Field(alias="RC-07_collar")
    order_value: Cap = Field(alias="RC-08_order_value")
    participation: Participation = Field(alias="RC-10_participation")
    cash: Cash = Field(alias="RC-18_cash")
    position: Cap = Field(alias="RC-30_position")
    passive_breach: PassiveBreach = Field(alias="RC-31_passive_breach")
    sector: Cap = Field(alias="RC-32_sector")
    currency: Cap = Field(alias="RC-35_currency")
    non_base: Cap = Field(alias="RC-35_non_base")
    country_ex_home: Cap = Field(alias="RC-35_country_ex_home")
    gross: Cap = Field(alias="RC-36_gross")
    cash_floor: Floor = Field(alias="RC-38_cash_floor")
    hhi: Cap = Field(alias="RC-39_hhi")
    top10: Cap = Field(alias="RC-40_top10")
    turnover: Turnover = Field(alias="RC-41_turnover")
    ex_ante_vol: ExAnteVol = Field(alias="RC-42_ex_ante_vol")
    es: Shortfall = Field(alias="RC-44_es_975_1d")
    crash_replay: Cap = Field(alias="RC-46_crash_replay")
    bear_replay: Cap = Field(alias="RC-46_bear_replay")
    fed_severe: FedSevere = Field(alias="RC-46_fed_severe")
    instant: Cap = Field(alias="RC-46_instant")
    drawdown_budget: DrawdownBudget = Field(alias="RC-46_drawdown_budget")
    residual: Residual = Field(alias="RC-53_residual")
    coverage: Coverage = Field(alias="RC-87_coverage")
    fx_stale_sessions: Count


class LadderScale(Section):
    """Keys of the mandate's section ladder scale; `mandate.yaml` says what each value does."""

    from_: Fraction = Field(alias="from")
    to: Fraction
    from_multiple: Fraction
    to_multiple: Fraction


class LadderReduce(Section):
    """Keys of the mandate's section ladder reduce; `mandate.yaml` says what each value does."""

    at: Fraction
    vol_multiple: Fraction


class LadderCash(Section):
    """Keys of the mandate's section ladder cash; `mandate.yaml` says what each value does."""

    at: Fraction


class LadderHalt(Section):
    """Keys of the mandate's section ladder halt; `mandate.yaml` says what each value does."""

    at: Fraction


class StepUp(Section):
    """Keys of the mandate's section step up; `mandate.yaml` says what each value does."""

    min_sessions: Count
    step: Fraction


class Rearm(Section):
    """Keys of the mandate's section rearm; `mandate.yaml` says what each value does."""

    after_sessions: Count
    index_vol_20d_below_per_year: Positive
    reference_nav_divisor: Fraction
    start_multiple: Fraction
    halt_after_rearms: Count
    within_sessions: Count


class AbsoluteFloor(Section):
    """Keys of the mandate's section absolute floor; `mandate.yaml` says what each value does."""

    drawdown_from_inception_high: Fraction


class Ladder(Section):
    """Keys of the mandate's section ladder; `mandate.yaml` says what each value does."""

    full_below: Fraction
    scale: LadderScale
    reduce_only: LadderReduce
    to_cash: LadderCash
    halt: LadderHalt
    step_up: StepUp
    rearm: Rearm
    absolute_floor: AbsoluteFloor

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        rungs = [
            self.full_below,
            self.scale.to,
            self.to_cash.at,
            self.halt.at,
            self.absolute_floor.drawdown_from_inception_high,
        ]
        if rungs != sorted(rungs) or self.reduce_only.at != self.scale.to or self.scale.from_ != self.full_below:
            raise ValueError(f"expected rungs that rise and touch, found {rungs}")
        return self


class LossRules(Section):
    """Keys of the mandate's section loss rules; `mandate.yaml` says what each value does."""

    day: Fraction
    week: Fraction
    halt_day: Fraction


class Stop(Section):
    """Keys of the mandate's section stop; `mandate.yaml` says what each value does."""

    atr20_multiple: Positive
    min_fraction: Fraction


class Stops(Section):
    """Keys of the mandate's section stops; `mandate.yaml` says what each value does."""

    stop_loss: Stop = Field(alias="RC-62_stop_loss")
    trailing: Stop = Field(alias="RC-63_trailing")
    block_sessions: Count = Field(alias="RC-64_block_sessions")
