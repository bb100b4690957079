"""The decision as one pure function: facts at the cutoff -> target -> plan -> verdict -> batch.

The assets call the same functions one by one, the backtest and the opening balance call this composition in a loop, the
replay calls it on stored inputs. Only the clock, the broker and the store differ. Not here: how the facts come about.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from marketbot_assets.portfolio.calibration import NO_MULTIPLES, CostMultiples
from marketbot_assets.portfolio.eligibility import Account, Market, charged, portfolio_inputs
from marketbot_assets.portfolio.groundwork import groundwork_of
from marketbot_assets.portfolio.influence import is_target_without, solve_with_influence
from marketbot_assets.portfolio.inputs import PlannedOrder, PortfolioInputs
from marketbot_assets.portfolio.market_facts import unpriced_held
from marketbot_assets.portfolio.order_plan import plan_orders, to_orders
from marketbot_assets.portfolio.second_opinion import asked
from marketbot_assets.portfolio.target import Target
from marketbot_assets.risk.build import Platform, risk_inputs
from marketbot_assets.risk.control import Judgement
from marketbot_assets.risk.inputs import RiskInputs
from marketbot_assets.risk.operation_facts import OperationFacts
from marketbot_assets.risk.verdict import judge
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import SELLING_LEVELS, HaltLevel, Order


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything that one decision may know. `days`: decision sessions up to this one; `environment`: part of order ids.

    `operations`: what the verdict alone reads; the assets read it with the verdict (`operations`). `multiples`: what live fills
    say of the mandate's costs; a backtest has none. `decided`: the newest session decided before; None in the first,
    and in a backtest, which misses none.
    """

    session: dt.date
    cutoff: dt.datetime
    environment: str
    days: tuple[dt.date, ...]
    market: Market
    account: Account
    platform: Platform
    operations: OperationFacts | None = None
    multiples: CostMultiples = NO_MULTIPLES
    decided: dt.date | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided, with every step on the way."""

    inputs: PortfolioInputs
    target: Target
    planned: tuple[PlannedOrder, ...]
    orders: tuple[Order, ...]
    risk: RiskInputs
    judgement: Judgement

    @property
    def batch(self) -> tuple[Order, ...]:
        """The approved orders; empty unless the verdict is APPROVED."""
        return self.judgement.approved


def inputs_of(situation: Situation, mandate: Mandate) -> PortfolioInputs:
    """What the optimizer and the plan read. A halt level that lets sells go refuses every buy; FLATTEN asks for every exit."""
    account, word = situation.account, situation.platform.halt_flag
    if word in SELLING_LEVELS:
        account = replace(account, book=replace(account.book, no_buys=f"RC-80 {word}"))
    every = sorted(account.shares) if word == HaltLevel.FLATTEN.value else ()
    found = portfolio_inputs(
        situation.market,
        account,
        mandate,
        session=situation.session,
        cutoff=situation.cutoff,
        environment=situation.environment,
        force_exit=[
            *(hit.instrument for hit in account.book.stop_hits),
            *sorted(situation.market.ends.leaving),
            *every,
        ],
        unpriced_held=unpriced_held(situation.market, account.shares, mandate),
        decided=situation.decided,
    )
    return without_locked(charged(found, situation.multiples, mandate), situation.platform.locked)


def without_locked(inputs: PortfolioInputs, locked: Mapping[str, str]) -> PortfolioInputs:
    """The inputs with no trade in the names that the reconciliation locked (RC-67): neither a buy nor a sell."""
    if not locked:
        return inputs
    free = np.array([name not in locked for name in inputs.instruments])
    pairs = zip(inputs.instruments, inputs.reasons, strict=True)
    return replace(
        inputs,
        can_buy=inputs.can_buy & free,
        can_trade=inputs.can_trade & free,
        reasons=tuple("RC-67 locked by the reconciliation" if name in locked else reason for name, reason in pairs),
    )


def risk_of(situation: Situation, target: Target, mandate: Mandate, *, rebalance: bool) -> RiskInputs:
    """What the risk engine reads; of the target its status, method and residual, and its weights for RC-09 and RC-52 alone.

    With views in the forecasts the target without them is solved anew: where the stored one differs, RC-52 knows of no influence.
    """
    found = risk_inputs(
        situation.market,
        situation.account,
        situation.platform,
        target,
        mandate,
        session=situation.session,
        cutoff=situation.cutoff,
        days=situation.days,
        rebalance=rebalance,
        multiples=situation.multiples,
    )
    told = found.models.llm_influence is not None and bool((found.models.llm_tilt != 0.0).any())
    if told and not is_target_without(inputs_of(situation, mandate), target.without_llm, mandate):
        found = replace(found, models=replace(found.models, llm_influence=None))
    return replace(found, operations=situation.operations)


def decide(situation: Situation, mandate: Mandate) -> Decision:
    """The whole decision. The same situation and mandate give the same orders, bit for bit on the same environment."""
    inputs = inputs_of(situation, mandate)
    ground = groundwork_of(inputs, mandate)
    target = solve_with_influence(inputs, mandate, second_opinion=asked(situation.session), ground=ground)
    planned = plan_orders(inputs, target, mandate, ground=ground)
    orders = to_orders(planned, inputs)
    risk = risk_of(situation, target, mandate, rebalance=inputs.rebalance)
    return Decision(inputs, target, planned, orders, risk, judge(risk, orders, mandate))
