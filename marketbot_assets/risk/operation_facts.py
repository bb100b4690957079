"""What the controls after trading and on the platform judge on: fills, cash, earnings, orders, the register, the broker, the model.

Facts alone, filled the same way by the assets, the backtest and the replay (`operation_build`). Not here: limits and answers
(`post_trade_controls`, `platform_controls`).
"""

import datetime as dt
from dataclasses import dataclass
from typing import Protocol

from marketbot_resources.model import PAPER

UNREGISTERED, CHAMPION = "unregistered", "champion"


@dataclass(frozen=True, slots=True)
class Breach:
    """One breach. `sessions`: verdicts since the one that opened it; `cure_sessions`: how many it may stay, None = no deadline.

    `cause`: active or passive. `halt_class`: empty when it does not halt, else A, B or C; `clean`: verdicts in a row that no
    longer found its cause.
    """

    control: str
    key: str
    cause: str
    opened: dt.date
    sessions: int
    cure_sessions: int | None
    halt_class: str
    clean: int
    message: str

    @property
    def overdue(self) -> bool:
        """Whether its deadline has passed."""
        return self.cure_sessions is not None and self.sessions > self.cure_sessions


@dataclass(frozen=True, slots=True)
class FillQuality:
    """One fill in shares against its order and its session's bar; NaN where the bar is not known.

    `slippage_bps`: against the auction's price, positive is worse; `beyond_limit`: fraction of the limit by which the price is
    worse than it, negative when better; `beyond_range`: fraction of the price by which it lies outside [low, high], negative
    inside.
    """

    execution_id: str
    instrument: str
    slippage_bps: float
    beyond_limit: float
    beyond_range: float


@dataclass(frozen=True, slots=True)
class TradeCost:
    """One fill's shortfall (slippage against the auction's price, fee, tax) and what its plan expected, bps of its value."""

    execution_id: str
    instrument: str
    shortfall_bps: float
    expected_bps: float


class MeasuredDrift(Protocol):
    """What RC-89 reads of a feature; `risk.feature_drift.Compared` works p out only where it is asked for."""

    @property
    def feature(self) -> str:
        """Its name."""
        ...

    @property
    def psi(self) -> float:
        """PSI of this session's cross-section against those of the sessions before."""
        ...

    @property
    def ks_p(self) -> float:
        """P of Kolmogorov-Smirnov of the same two."""
        ...


@dataclass(frozen=True, slots=True)
class FeatureDrift:
    """One feature's cross-section of this session against those of the sessions before: PSI and p of Kolmogorov-Smirnov."""

    feature: str
    psi: float
    ks_p: float


@dataclass(frozen=True, slots=True)
class ChampionFacts:
    """The registry's champion. `spec`: specification that moves the forecasts, empty without one; `weight`: how far, above 0 to 1;
    `state`: where the registry had it when the batch was frozen; `silent`: why one moves nothing, empty where none is silent.
    """

    spec: str
    weight: float
    state: str
    silent: str


NO_CHAMPION = ChampionFacts("", 0.0, UNREGISTERED, "")


@dataclass(frozen=True, slots=True)
class OperationFacts:
    """One session's facts of operation.

    `environment`: whose money the broker says it moves; `permitted_environment`: whose the mandate and its record allow;
    `clock_skew_seconds`: broker's clock less ours at the cutoff.
    `fills`: fills in shares since the session before; `overfills`, `unknown_fills`: messages of fills beyond their order, or
    without one. `cash_differences`: (currency, unexplained difference in base currency). `overdue_orders`: open orders whose
    auction is over or that are not ours. `pnl_unexplained`: base currency. `trades`: the newest fills with a cost, oldest first.
    `breaches`: open before this verdict; `operator`: whether an operator re-armed since the session before.
    `other_sessions`: sessions of this book that another run has begun and not ended. `heartbeat_sessions`: decision sessions
    since the last one that ended, 1 when it is the one before, 0 in the first. `refused_in_a_row`, `refused`, `sent`: of the
    batch before, as the broker answered. `model_spec`, `mandate_spec`: hashes of the model in force and of the one that the
    mandate asks for; `model_scores`: what it reads, `features`: what there is. `drift`: per watched feature;
    `drift_sessions`: how many sessions it is compared with. `llm_answers`, `llm_refused`: answers of language models in this run,
    and those that the gate refused. `alert_channels`: channels of the mandate; `alerts_unheard`: alerts of sessions before that
    none of them acknowledged; `watched`: whether a watcher outside is told of ends; `beats_unheard`: the session of whose end it
    did not hear. `model_state`: where the registry has the mandate's specification, or that it does not know it. `champion`: what
    the forecasts took from the registry.
    """

    session: dt.date
    environment: str
    clock_skew_seconds: float
    fills: tuple[FillQuality, ...]
    overfills: tuple[str, ...]
    unknown_fills: tuple[str, ...]
    cash_differences: tuple[tuple[str, float], ...]
    overdue_orders: tuple[str, ...]
    pnl_unexplained: float
    trades: tuple[TradeCost, ...]
    breaches: tuple[Breach, ...]
    operator: bool
    other_sessions: tuple[str, ...]
    heartbeat_sessions: int
    refused_in_a_row: int
    refused: int
    sent: int
    model_spec: str
    mandate_spec: str
    model_scores: tuple[str, ...]
    features: tuple[str, ...]
    drift: tuple[MeasuredDrift, ...]
    drift_sessions: int
    permitted_environment: str = PAPER
    llm_answers: int = 0
    llm_refused: int = 0
    alert_channels: int = 0
    alerts_unheard: tuple[str, ...] = ()
    watched: bool = False
    beats_unheard: tuple[str, ...] = ()
    model_state: str = UNREGISTERED
    champion: ChampionFacts = NO_CHAMPION
