"""What the risk stage judges on: facts about the account, the market and the platform at the cutoff. Named result types.

Every left side is recomputed from positions, prices and orders (`projection`); of the optimizer's weights only RC-09 knows, as the
size that an order may not exceed by much, and RC-52, as what views of a language model moved.
Not here: how assets and the backtest fill it (`decision`), the limits (the mandate), the controls (`*_controls`).
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from marketbot_assets.book.state import BookState
from marketbot_assets.features.model import FactorModel
from marketbot_assets.risk.model_facts import ModelFacts
from marketbot_assets.risk.operation_facts import OperationFacts
from marketbot_assets.risk.trade_facts import TradeFacts
from marketbot_resources.model import Side

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

HALT_FLAG_OFF = "off"
OPTIMAL = "optimal"


@dataclass(frozen=True, slots=True)
class ReconciliationBreak:
    """A difference between our book and the broker's. `subject`: an instrument or CASH:<currency>.

    `explained`: True only when a known event (corporate action, fee, dividend) accounts for all of it.
    """

    subject: str
    message: str
    explained: bool


@dataclass(frozen=True, slots=True)
class OptimizerAnswer:
    """How the target came about: `status` is `optimal` or says what went wrong, `method` which fallback answered.

    `residual`: largest violation of any constraint, recomputed in numpy, fraction of NAV; NaN when there is no answer.
    `doubts`: why a usable answer deserves a look.
    """

    status: str
    method: str
    residual: float
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RiskInputs:
    """One judgement's facts about n sorted instruments: everything held, in the universe, or ordered and known.

    `known`: instrument master as of the session. `price`: last close in the listing currency, NaN when there is none;
    `price_age_sessions`: sessions of the own exchange since that bar, 0 when fresh, NaN when unknown.
    `fx_rates`: base per unit; `stale_currencies`: their newest rate is too old. `adv`: base currency per session, median of
    20, with `adv_observations` sessions behind it; `sigma_daily` per session. `positions` and `open_quantity` in shares
    (open orders signed, buys positive). `cash` per currency; `nav` base currency, reconciled.
    `coverage_universe`, `coverage_held`: fractions of names with complete data; NaN fails. `quality_halts`: messages of
    data quality rules whose outcome is halt; `quarantined`: names whose newest bar was rejected; `incomplete`: names that miss
    a required feature. `halt_flag`: off, on, unreadable or a halt level. `sent_client_order_ids`: already sent this session.
    `rebalance`: False on sessions on which the cadence allows protective exits and limit cures only.
    `cost_multiples`: (currency or FUND, side) -> factor of the calibration on half-spread, fee and impact; 1 for what is not named.
    `open_buys`: per currency quantity * limit of the buys that the broker still works; a currency that is missing although
    `open_quantity` holds buys in it counts at the last close and the widest collar.
    `models`: what the controls on models judge on.
    `trade`: what the controls on single orders know beyond that.
    `locked`: names that the reconciliation allows no order in.
    `operations`: what RC-65 to RC-92 read beyond that; None, as for stress losses alone, halts a verdict.
    The fields are not validated here: a control that cannot read one answers with its fail status.
    """

    session: dt.date
    mandate_sha256: str
    instruments: tuple[str, ...]
    known: frozenset[str]
    mic: tuple[str, ...]
    currency: tuple[str, ...]
    sector: tuple[str, ...]
    country: tuple[str, ...]
    is_fund: Flags
    quantity_step: tuple[Decimal, ...]
    tick_size: tuple[Decimal, ...]
    price: Floats
    price_age_sessions: Floats
    fx_rates: Mapping[str, float]
    stale_currencies: frozenset[str]
    adv: Floats
    adv_observations: Floats
    sigma_daily: Floats
    positions: tuple[Decimal, ...]
    open_quantity: tuple[Decimal, ...]
    open_client_order_ids: tuple[str, ...]
    cash: Mapping[str, Decimal]
    nav: float
    book: BookState
    factor_model: FactorModel
    coverage_universe: float
    coverage_held: float
    quality_halts: tuple[str, ...]
    quarantined: frozenset[str]
    incomplete: frozenset[str]
    breaks: tuple[ReconciliationBreak, ...]
    halt_flag: str
    ledger_ready: bool
    optimizer: OptimizerAnswer
    rebalance: bool
    sent_client_order_ids: frozenset[str]
    unknown_broker_instruments: tuple[str, ...]
    models: ModelFacts
    trade: TradeFacts
    cost_multiples: Mapping[tuple[str, Side], float] = field(default_factory=dict)
    open_buys: Mapping[str, Decimal] = field(default_factory=dict)
    operations: OperationFacts | None = None
    locked: frozenset[str] = frozenset()
