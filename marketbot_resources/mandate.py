"""The mandate: the user's limits as typed, frozen facts. Pure: it parses text that others have read.

Lives here: the model of `mandate.yaml`, its validation and its canonical hash. Not here: where the file lies
(`settings`), what a limit does (`marketbot_assets.portfolio`, `marketbot_assets.risk`).
"""

import datetime as dt
import hashlib
import json
from decimal import Decimal
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from marketbot_resources.errors import MandateError

Fraction = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Bps = Annotated[float, Field(ge=0.0, le=1000.0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=10_000)]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
Mic = Annotated[str, Field(pattern=r"^[A-Z0-9]{4}$")]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Limit(_Section):
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


class Floor(_Section):
    """A floor: target >= warn >= hard."""

    target: Fraction
    warn: Fraction
    hard: Fraction

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.target >= self.warn >= self.hard:
            raise ValueError("expected target >= warn >= hard for a floor")
        return self


class Account(_Section):
    id: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")]
    type: Literal["margin", "cash"]
    leverage: Annotated[float, Field(ge=0.1, le=1.0)]


class Calendar(_Section):
    """Bounds of the decision calendar; read at definition time together with `Schedule`."""

    mic: Mic
    go_live: dt.date
    last_session: dt.date

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.go_live > self.last_session:
            raise ValueError("go_live lies after last_session")
        return self


class Schedule(_Section):
    decide_at: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
    timezone: Literal["America/New_York", "Europe/London", "Europe/Berlin", "Asia/Tokyo", "Asia/Hong_Kong", "UTC"]
    landing_minutes_max: Annotated[int, Field(ge=1, le=240)]
    execute: Literal["next_open"]


class Providers(_Section):
    clock: Literal["replay", "live"]
    market: Literal["sample"]
    macro: Literal["sample"]
    fundamentals: Literal["sample"]
    news: Literal["sample"]


class Broker(_Section):
    name: Literal["paper"]
    participation_max: Fraction
    settle_sessions: Count


class UniverseFloor(_Section):
    adv_usd: Positive
    age_sessions: Count
    min_price_usd_us_listings: Positive
    max_lot_value_fraction: Fraction


class Universe(_Section):
    listings: dict[Mic, Literal["all"] | Annotated[list[str], Field(min_length=1)]] = Field(min_length=1)
    floor: UniverseFloor
    fund_bucket: Cap
    unknown_sector_cap: Fraction


class MinOrder(_Section):
    usd: Positive
    fraction: Fraction


class Portfolio(_Section):
    method: Literal["mean_variance", "risk_parity"]
    risk_aversion: Positive
    prior_excess_return_per_year: Fraction
    forecast_tilt_per_sd_per_year: Fraction
    score_weights: dict[str, float]
    cost_amortization_per_year: Positive
    risk_parity_budget_base: Fraction
    min_order: MinOrder


class Costs(_Section):
    half_spread_and_fee: dict[str, Bps]
    fx: Bps
    tax_buy: dict[Currency, Bps]
    tax_sell: dict[Currency, Bps]
    impact_coefficient: Positive


class Volatility(_Section):
    target_per_year: Fraction
    ewma_halflife_sessions: Count
    ledoit_wolf_sessions: Count


class PriceFreshness(_Section):
    stale_sessions: Count
    book_stale_hard: Fraction


class Collar(_Section):
    floor: Fraction
    sigma_multiple: Positive
    ceiling: Fraction
    fund_ceiling: Fraction


class Participation(_Section):
    target: Fraction
    hard: Fraction
    exits_hard: Fraction
    min_observations: Count


class Cash(_Section):
    spendable: Fraction
    planned_sells_fund: Fraction


class PassiveBreach(_Section):
    no_buys: Fraction
    trim: Fraction
    cure_sessions: Count


class Turnover(_Section):
    buys_per_day: Cap
    name_buy_per_day: Cap
    one_way_21_sessions: Limit
    build_up_sessions: Count


class ExAnteVol(_Section):
    target_multiple: Positive
    warn_multiple: Positive
    hard_multiple: Positive
    low_warn_multiple: Positive


class Shortfall(Cap):
    scenarios: Count


class FedSevere(Cap):
    equity_loss: Fraction


class DrawdownBudget(_Section):
    hard: Fraction
    warn: Fraction
    target_margin: Fraction
    floor: Fraction


class Residual(_Section):
    hard: Positive


class Coverage(_Section):
    universe: Fraction
    held: Fraction


class Limits(_Section):
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


class LadderScale(_Section):
    from_: Fraction = Field(alias="from")
    to: Fraction
    from_multiple: Fraction
    to_multiple: Fraction


class LadderReduce(_Section):
    at: Fraction
    vol_multiple: Fraction


class LadderCash(_Section):
    at: Fraction
    sessions: Count


class LadderHalt(_Section):
    at: Fraction


class StepUp(_Section):
    min_sessions: Count
    step: Fraction


class Rearm(_Section):
    after_sessions: Count
    index_vol_20d_below_per_year: Positive
    reference_nav_divisor: Fraction
    start_multiple: Fraction
    halt_after_rearms: Count
    within_sessions: Count


class AbsoluteFloor(_Section):
    drawdown_from_inception_high: Fraction


class Ladder(_Section):
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


class LossRules(_Section):
    day: Fraction
    week: Fraction
    halt_day: Fraction


class Stop(_Section):
    atr20_multiple: Positive
    min_fraction: Fraction


class Stops(_Section):
    stop_loss: Stop = Field(alias="RC-62_stop_loss")
    trailing: Stop = Field(alias="RC-63_trailing")
    block_sessions: Count = Field(alias="RC-64_block_sessions")


class Mandate(_Section):
    """The whole mandate. Field names are the Python side; the YAML keys of limits carry their control's id."""

    mandate_version: Literal[1]
    base_currency: Currency
    home_country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
    opening_cash: Annotated[Decimal, Field(gt=0)]
    account: Account
    calendar: Calendar
    schedule: Schedule
    cadence: Literal["daily", "weekly"]
    rebalance_weekday: Literal["monday", "tuesday", "wednesday", "thursday", "friday"] | None = None
    providers: Providers
    broker: Broker
    benchmark: Literal["market_value"]
    universe: Universe
    portfolio: Portfolio
    costs_bps: Costs
    volatility: Volatility
    limits: Limits
    ladder: Ladder
    loss_rules: LossRules
    stops: Stops

    @model_validator(mode="after")
    def _weekly_has_weekday(self) -> Self:
        if (self.cadence == "weekly") != (self.rebalance_weekday is not None):
            raise ValueError("rebalance_weekday belongs to cadence: weekly, and to it alone")
        return self

    def canonical(self) -> bytes:
        """The mandate as canonical JSON bytes: the same meaning gives the same bytes."""
        plain = self.model_dump(mode="json", by_alias=True)
        return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    @property
    def sha256(self) -> str:
        """Hash of the canonical bytes; orders and verdicts pin it."""
        return hashlib.sha256(self.canonical()).hexdigest()


class _UniqueKeyLoader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice instead of taking the last one."""


def _unique_mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[object, object]:
    seen: set[object] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in seen:
            raise MandateError(f"mandate: key {key!r} is given twice (line {key_node.start_mark.line + 1})")
        seen.add(key)
    mapping: dict[object, object] = loader.construct_mapping(node, deep=True)
    return mapping


_UniqueKeyLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _unique_mapping)


def _plain(text: str) -> dict[str, object]:
    try:
        data = _UniqueKeyLoader(text).get_single_data()
    except (yaml.YAMLError, ValueError) as error:
        raise MandateError(
            f"mandate: expected YAML with possible dates, found: {' '.join(str(error).split())}"
        ) from error
    if not isinstance(data, dict):
        raise MandateError("mandate: expected a mapping of keys, found something else")
    return data


def _first(error: ValidationError) -> str:
    problems = sorted(error.errors(), key=lambda p: p["type"] != "extra_forbidden")
    problem = problems[0]
    where = ".".join(str(part) for part in problem["loc"] if part != "list[str]") or "mandate"
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"mandate: {where}: {problem['msg'].lower()}, found {problem['input']!r:.80}{more}"


def parse_mandate(text: str) -> Mandate:
    """Validates the text of a mandate file. Raises MandateError with one line that names the key."""
    try:
        return Mandate.model_validate(_plain(text))
    except ValidationError as error:
        raise MandateError(_first(error)) from error


def parse_calendar(text: str) -> tuple[Calendar, Schedule]:
    """Reads only `calendar` and `schedule`, which is all that definitions may know of the mandate."""
    data = _plain(text)
    try:
        return Calendar.model_validate(data.get("calendar")), Schedule.model_validate(data.get("schedule"))
    except ValidationError as error:
        raise MandateError(_first(error)) from error
