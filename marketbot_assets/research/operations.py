"""The facts of operation in the backtest: the assets' builder, fed with what the loop remembers of the days before. Pure.

Not here: the facts themselves (`risk.operation_build`), the loop (`loop`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from marketbot_assets.book.positions import position_rows
from marketbot_assets.book.roll import Held, Rolled
from marketbot_assets.decision import Decision
from marketbot_assets.insight.return_model import ReturnModel, spec_sha256
from marketbot_assets.research.circumstances import NOTHING_HAPPENED, Circumstances
from marketbot_assets.research.history import History, Known
from marketbot_assets.risk.feature_drift import Section
from marketbot_assets.risk.operation_build import Sources, Traded, operation_facts, splits_of
from marketbot_assets.risk.operation_facts import Breach, OperationFacts, TradeCost
from marketbot_assets.risk.verdict_frame import register_after
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import AccountReport, Acknowledgement, Execution, Order, OrderState

PLANS_WATCHED, DRIFT_SESSIONS = 5, 10
BATCHES_KEPT = 30  # an exchange may be closed for two weeks


@dataclass(frozen=True, slots=True)
class Past:
    """What the days before left: batches and their expected costs (newest last), fills, answers, features, register, costs.

    `days`: how many sessions were decided.
    """

    batches: tuple[tuple[Order, ...], ...] = ()
    expected: tuple[dict[str, float], ...] = ()
    fills: tuple[tuple[Execution, ...], ...] = ()
    answers: tuple[bool, ...] = ()
    features: tuple[Section, ...] = ()
    breaches: tuple[Breach, ...] = ()
    trades: tuple[TradeCost, ...] = ()
    days: int = 0


def facts_of_day(
    past: Past,
    history: History,
    mandate: Mandate,
    model: ReturnModel,
    known: Known,
    report: AccountReport,
    before: Held,
    rolled: Rolled,
    told: Circumstances = NOTHING_HAPPENED,
) -> OperationFacts:
    """The facts of one session. A backtest knows of no operator and of one run alone, and compares book and broker itself."""
    recent = [*past.fills[1 - PLANS_WATCHED :], report.executions]
    traded = Traded(
        fills=report.executions,
        recent=tuple({fill.execution_id: fill for fills in recent for fill in fills}.values()),
        orders={order.client_order_id: order for batch in past.batches for order in batch},
        expected_bps={name: cost for costs in past.expected for name, cost in costs.items()},
        splits=splits_of(history.actions, known.cutoff),
        bars=history.bars.known_by(known.cutoff),
        closed=mandate.calendar.closed,
    )
    value = rolled.valuation
    sources = Sources(
        session=known.session,
        cutoff=known.cutoff,
        environment=report.environment,
        broker_at=report.broker_at,
        before=before,
        positions=position_rows(value, rolled.events),
        rates=value.rates,
        reconciliation=told.reconciliation,
        open_orders=report.open_orders,
        breaches=past.breaches,
        trades=past.trades,
        operator=told.operator,
        other_sessions=told.other_sessions,
        heartbeat_sessions=min(past.days, 1) if told.heartbeat_sessions is None else told.heartbeat_sessions,
        answers=past.answers,
        model_spec=model.spec_sha256,
        model_scores=model.scores,
        features=known.section,
        past_features=past.features,
        permitted_environment=told.permitted_environment,
        llm=told.llm,
        alerts_unheard=told.alerts_unheard,
        beats_unheard=told.beats_unheard,
        model_state=told.model_state,
    )
    return operation_facts(sources, traded, mandate, spec_sha256(mandate))


def past_after(
    past: Past,
    decision: Decision,
    answers: Sequence[Acknowledgement],
    known: Known,
    report: AccountReport,
    mandate: Mandate,
) -> Past:
    """What this day adds."""
    facts = decision.risk.operations
    costs = {(planned.instrument, planned.leg): planned.cost_bps for planned in decision.planned}
    expected = {order.client_order_id: costs[order.instrument, order.leg] for order in decision.orders}
    return Past(
        batches=(*past.batches, decision.batch)[-BATCHES_KEPT:],
        expected=(*past.expected, expected)[-PLANS_WATCHED:],
        fills=(*past.fills, report.executions)[-PLANS_WATCHED:],
        answers=tuple(answer.state is OrderState.REJECTED for answer in answers),
        features=(*past.features, known.section)[-DRIFT_SESSIONS:],
        breaches=register_after(decision.judgement, decision.risk, mandate).open,
        trades=() if facts is None else facts.trades,
        days=past.days + 1,
    )
