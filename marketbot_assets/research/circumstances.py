"""What is known of a session beside data and account: what people, the platform and other processes did. Pure.

A backtest knows nothing of it: nothing happened. Parity hands the loop what was recorded of a live session, so that the loop
decides the same case. Not here: what data, account and model say; the loop makes that itself.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from marketbot_assets.book.state import StopHit
from marketbot_assets.insight.view_weight import NO_LEANING, Leaning
from marketbot_assets.portfolio.calibration import NO_MULTIPLES, CostMultiples
from marketbot_assets.risk.inputs import ReconciliationBreak
from marketbot_assets.risk.operation_facts import UNREGISTERED
from marketbot_assets.risk.trade_facts import SentOrder
from marketbot_resources.model import PAPER


@dataclass(frozen=True, slots=True)
class Circumstances:
    """As recorded of one session; the defaults say that nothing happened.

    `reconciliation`: None where the loop itself compares book and account, exactly. `clean`: book and broker agreed; `operator`: an
    operator re-armed; `quoted`: stops that quotes broke. `closed`: names that rules on whole tables closed beside those whose bar
    was rejected. `heartbeat_sessions`: None where the loop counts its own days. `decided`: the newest session decided before, where
    one may have been missed. The rest as `Platform`, `Sources`, `Situation` and the forecasts name it.
    """

    reconciliation: pd.DataFrame | None = None
    clean: bool = True
    operator: bool = False
    quoted: tuple[StopHit, ...] = ()
    closed: frozenset[str] = frozenset()
    breaks: tuple[ReconciliationBreak, ...] = ()
    locked: Mapping[str, str] = field(default_factory=dict)
    halt_flag: str = "off"
    quality_halts: tuple[str, ...] = ()
    unknown_instruments: tuple[str, ...] = ()
    sent: tuple[SentOrder, ...] = ()
    price_difference: Mapping[str, float] = field(default_factory=dict)
    multiples: CostMultiples = NO_MULTIPLES
    leaning: Leaning = NO_LEANING
    decided: dt.date | None = None
    other_sessions: tuple[str, ...] = ()
    heartbeat_sessions: int | None = None
    permitted_environment: str = PAPER
    llm: tuple[int, int] = (0, 0)
    alerts_unheard: tuple[str, ...] = ()
    beats_unheard: tuple[str, ...] = ()
    model_state: str = UNREGISTERED


NOTHING_HAPPENED = Circumstances()
