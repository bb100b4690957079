"""The mandate: the user's limits as typed, frozen facts. Pure: it parses text that others have read.

Lives here: the model of `mandate.yaml`, its validation and its canonical hash. Not here: where the file lies
(`settings`), what a limit does (`marketbot_assets.portfolio`, `marketbot_assets.risk`).
"""

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Literal, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from marketbot_resources.closures import NO_CLOSURES, Closed, expanded
from marketbot_resources.errors import MandateError
from marketbot_resources.holiday_table import refusal
from marketbot_resources.jurisdictions import Jurisdiction, days_too_few, too_low
from marketbot_resources.mandate_execution import CLOSE_AUCTION, NEXT_SESSION, ExecutionRules
from marketbot_resources.mandate_limits import Ladder, Limits, LossRules, Stops
from marketbot_resources.mandate_llm import Llm
from marketbot_resources.mandate_notification import Notification
from marketbot_resources.mandate_portfolio import BlackLitterman, Calibration, Cvar, LongShort, Method, MultiPeriod
from marketbot_resources.mandate_section import Bps, Cap, Count, Currency, Fraction, Mic, Positive, Score, Section
from marketbot_resources.mandate_trade_limits import Restricted
from marketbot_resources.once import once


def _refuse_unknown(mics: Iterable[str]) -> None:
    reasons = [reason for reason in map(refusal, mics) if reason]
    if reasons:
        raise ValueError(reasons[0])


class Account(Section):
    """Keys of the mandate's section account; `mandate.yaml` says what each value does."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")]
    type: Literal["margin", "cash"]
    leverage: Annotated[float, Field(ge=0.1, le=1.0)]
    margin_regime: Literal["intraday_margin", "pdt_legacy"]
    tax_mode: Literal["ignore", "note", "avoid"]


class Calendar(Section):
    """Bounds of the decision calendar; read at definition time together with `Schedule`.

    `closures`: exchange -> dates on which it does not trade although the calendar library says so.
    """

    mic: Mic
    go_live: dt.date
    last_session: dt.date
    closures: dict[Mic, tuple[dt.date, ...]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.go_live > self.last_session:
            raise ValueError("go_live lies after last_session")
        _refuse_unknown(self.closures)
        return self

    @property
    def closed(self) -> Closed:
        """The closures as `calendars` takes them."""
        return expanded(self.closures) if self.closures else NO_CLOSURES


class Schedule(Section):
    """Keys of the mandate's section schedule; `mandate.yaml` says what each value does."""

    decide_at: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
    timezone: Literal["America/New_York", "Europe/London", "Europe/Berlin", "Asia/Tokyo", "Asia/Hong_Kong", "UTC"]
    landing_minutes_max: Annotated[int, Field(ge=1, le=240)]
    execute: Literal["next_open"]


PriceVendor = Literal["yahoo", "tiingo", "alpaca", "stooq"]
NewsVendor = Literal["alpaca", "tiingo", "feeds"]


class Feed(Section):
    """One RSS or Atom feed and the listing that it is about, as exchange and ticker."""

    address: Annotated[str, Field(pattern=r"^https://\S+$", max_length=400)]
    mic: Mic
    ticker: str


class SyntheticWorld(Section):
    """Size, range and seed of the synthetic world."""

    instruments: Annotated[int, Field(ge=1, le=20_000)] = 100
    exchanges: Annotated[tuple[Mic, ...], Field(min_length=1)] = ("XNYS", "XLON", "XETR", "XTKS")
    first: dt.date = dt.date(2014, 1, 2)
    last: dt.date = dt.date(2022, 12, 28)
    seed: Annotated[int, Field(ge=0)] = 1


class Providers(Section):
    """Keys of the mandate's section providers; `mandate.yaml` says what each value does.

    A list is a chain: what the first vendor cannot serve is asked of the next. `instruments` and `fx` absent: as `market`.
    """

    clock: Literal["replay", "live"]
    market: Literal["sample", "synthetic", "import"] | Annotated[tuple[PriceVendor, ...], Field(min_length=1)]
    instruments: Literal["import"] | Annotated[tuple[PriceVendor, ...], Field(min_length=1)] | None = None
    fx: Literal["import", "sample"] | Annotated[tuple[Literal["ecb", "eurofxref"], ...], Field(min_length=1)] | None = (
        None
    )
    macro: (
        Literal["sample", "synthetic", "import"] | Annotated[tuple[Literal["yahoo", "fred"], ...], Field(min_length=1)]
    )
    fundamentals: (
        Literal["sample", "synthetic", "import", "none"] | Annotated[tuple[Literal["sec"], ...], Field(min_length=1)]
    )
    news: Literal["sample", "synthetic", "import", "none"] | Annotated[tuple[NewsVendor, ...], Field(min_length=1)]
    feeds: tuple[Feed, ...] = ()
    daily_requests: dict[str, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)
    synthetic: SyntheticWorld = SyntheticWorld()

    def vendors(self) -> tuple[str, ...]:
        """Every web service that is asked, sorted."""
        chains = (self.market, self.instruments, self.fx, self.macro, self.fundamentals, self.news)
        return tuple(sorted({name for chain in chains if isinstance(chain, tuple) for name in chain}))

    @model_validator(mode="after")
    def _complete(self) -> Self:
        for name in ("market", "instruments", "fx", "macro", "fundamentals", "news"):
            chain = getattr(self, name)
            if isinstance(chain, tuple) and len(set(chain)) != len(chain):
                raise ValueError(f"{name}: a vendor is named twice")
        if isinstance(self.market, tuple) and self.fx is None:
            raise ValueError("fx: expected a source of exchange rates beside price vendors, like [ecb]")
        if isinstance(self.market, str) and self.instruments is not None:
            raise ValueError("instruments: expected none beside a market of whole tables, which has its own listings")
        if isinstance(self.news, tuple) and "feeds" in self.news and not self.feeds:
            raise ValueError("feeds: expected at least one address, since news names feeds")
        if self.feeds and (not isinstance(self.news, tuple) or "feeds" not in self.news):
            raise ValueError("feeds: expected feeds among the vendors of news")
        return self


class Broker(Section):
    """Keys of the mandate's section broker; `mandate.yaml` says what each value does."""

    name: Literal["paper", "alpaca", "ibkr"]
    participation_max: Fraction
    environment: Literal["paper", "live"] = "paper"
    account: Annotated[str, Field(max_length=64)] = ""
    dedupes_client_id: bool = False
    resend: bool = False

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.name != "paper" and not self.account:
            raise ValueError("account: expected the broker's own id of the account that may be traded")
        if self.name == "paper" and (self.environment != "paper" or self.account or self.dedupes_client_id):
            raise ValueError("environment, account, dedupes_client_id: the paper broker has none of them")
        return self


Anchor = Annotated[str, Field(pattern=r"^(file:/|s3://|witness:https?://)\S+$", max_length=400)]


class Intraday(Section):
    """Keys of the mandate's section intraday: how often held names are quoted while their exchange trades."""

    minutes: Annotated[int, Field(ge=1, le=60)]


class UniverseFloor(Section):
    """Keys of the mandate's section universe floor; `mandate.yaml` says what each value does."""

    adv_usd: Positive
    age_sessions: Count
    min_price_usd_us_listings: Positive
    max_lot_value_fraction: Fraction


class Universe(Section):
    """Keys of the mandate's section universe; `mandate.yaml` says what each value does."""

    listings: dict[Mic, Literal["all"] | Annotated[list[str], Field(min_length=1)]] = Field(min_length=1)
    formerly: dict[Mic, dict[str, str]] = Field(default_factory=dict)
    floor: UniverseFloor
    fund_bucket: Cap
    unknown_sector_cap: Fraction

    @model_validator(mode="after")
    def _known_exchanges(self) -> Self:
        _refuse_unknown(self.listings)
        return self


class MinOrder(Section):
    """Keys of the mandate's section min order; `mandate.yaml` says what each value does."""

    usd: Positive
    fraction: Fraction


class Portfolio(Section):
    """Keys of the mandate's section portfolio; `mandate.yaml` says what each value does."""

    method: Method
    risk_aversion: Positive
    prior_excess_return_per_year: Fraction
    forecast_tilt_per_sd_per_year: Fraction
    score_weights: dict[Score, float]
    cost_amortization_per_year: Positive
    risk_parity_budget_base: Fraction
    invested_target: Fraction = 0.95
    tracking_error_per_year: Positive = 0.06
    black_litterman: BlackLitterman = BlackLitterman()
    cvar: Cvar = Cvar()
    multi_period: MultiPeriod = MultiPeriod()
    long_short: LongShort = LongShort()
    min_order: MinOrder


class Costs(Section):
    """Keys of the mandate's section costs; `mandate.yaml` says what each value does."""

    half_spread_and_fee: dict[str, Bps]
    fx: Bps
    tax_buy: dict[Currency, Bps]
    tax_sell: dict[Currency, Bps]
    impact_coefficient: Positive
    calibration: Calibration = Calibration()


class Volatility(Section):
    """Keys of the mandate's section volatility; `mandate.yaml` says what each value does."""

    target_per_year: Fraction
    ewma_halflife_sessions: Count
    ledoit_wolf_sessions: Count
    factor_model: Literal["minimum_norm", "constrained"] = "minimum_norm"


class Mandate(Section):
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
    execution: ExecutionRules = ExecutionRules()
    benchmark: Literal["market_value"]
    universe: Universe
    restricted: Restricted
    portfolio: Portfolio
    costs_bps: Costs
    volatility: Volatility
    limits: Limits
    ladder: Ladder
    loss_rules: LossRules
    stops: Stops
    anchors: tuple[Anchor, ...] = ()
    intraday: Intraday | None = None
    llm: Llm | None = None
    jurisdiction: Jurisdiction | None = None
    notification: Notification | None = None

    @model_validator(mode="after")
    def _weekly_has_weekday(self) -> Self:
        if (self.cadence == "weekly") != (self.rebalance_weekday is not None):
            raise ValueError("rebalance_weekday belongs to cadence: weekly, and to it alone")
        return self

    @model_validator(mode="after")
    def _web_services_are_asked_by_ticker(self) -> Self:
        whole = [mic for mic, tickers in sorted(self.universe.listings.items()) if tickers == "all"]
        if isinstance(self.providers.market, tuple) and whole:
            raise ValueError(f"universe.listings.{whole[0]}: expected tickers beside web services, found all")
        return self

    @model_validator(mode="after")
    def _next_session_decides(self) -> Self:
        if self.execution.remainder == CLOSE_AUCTION and self.broker.name == "paper":
            raise ValueError(
                "execution.remainder: the paper broker takes all orders at once, before slices leave anything"
            )
        if self.execution.remainder == NEXT_SESSION and self.cadence != "daily":
            raise ValueError(
                "execution.remainder: next_session expects cadence: daily, the next plan takes what is left"
            )
        return self

    @model_validator(mode="after")
    def _shorts_have_an_account(self) -> Self:
        rule = self.portfolio.long_short
        if self.portfolio.method == "long_short" and not rule.enabled:
            raise ValueError("portfolio.method: long_short expects portfolio.long_short.enabled: true")
        if rule.enabled and self.account.type != "margin":
            raise ValueError("portfolio.long_short.enabled: expected a margin account for shorts, found a cash account")
        if rule.enabled and self.broker.name == "paper":
            raise ValueError("portfolio.long_short.enabled: the paper broker has no shorts, set it to false")
        return self

    @model_validator(mode="after")
    def _keeps_the_rules_of_the_residence(self) -> Self:
        if self.jurisdiction is None:
            return self
        costs, days, span = self.costs_bps, self.limits.wash_sale.days, self.calendar
        taxes = {"tax_buy": costs.tax_buy, "tax_sell": costs.tax_sell}
        low = too_low(taxes, self.universe.listings, span.go_live, span.last_session)
        if problem := low or days_too_few(self.jurisdiction, days, self.account.tax_mode):
            raise ValueError(problem)
        return self

    def canonical(self) -> bytes:
        """The mandate as canonical JSON bytes: the same meaning gives the same bytes."""
        plain = self.model_dump(mode="json", by_alias=True)
        return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    @property
    def sha256(self) -> str:
        """Hash of the canonical bytes; orders and verdicts pin it. Worked out once per object."""
        return once(self, lambda: hashlib.sha256(self.canonical()).hexdigest())


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
    if problem["type"] == "value_error" and not problem["loc"]:
        return f"mandate: {problem['ctx']['error']}"
    where = ".".join(str(part) for part in problem["loc"] if part != "list[str]") or "mandate"
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"mandate: {where}: {problem['msg'].lower()}, found {problem['input']!r:.80}{more}"


@lru_cache(maxsize=8)
def parse_mandate(text: str) -> Mandate:
    """Validates the text of a mandate file. Raises MandateError with one line that names the key."""
    return mandate_of(_plain(text))


def mandate_of(plain: Mapping[str, object]) -> Mandate:
    """Validates a mandate given as a mapping, in the keys of the file. Raises MandateError with one line that names the key."""
    try:
        return Mandate.model_validate(plain)
    except ValidationError as error:
        raise MandateError(_first(error)) from error


@lru_cache(maxsize=8)
def parse_calendar(text: str) -> tuple[Calendar, Schedule]:
    """Reads only `calendar` and `schedule`, which is all that definitions may know of the mandate."""
    data = _plain(text)
    try:
        return Calendar.model_validate(data.get("calendar")), Schedule.model_validate(data.get("schedule"))
    except ValidationError as error:
        raise MandateError(_first(error)) from error
