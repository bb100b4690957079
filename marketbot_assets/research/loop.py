"""`decision.py` in a loop over past sessions, with the paper broker's own rules as the market. Pure.

It stops at a halt of class C, which only an operator can lift, and says so. Not here: windows (`history`), tables of results
(`outcomes`), storage.
"""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol

import pandas as pd

from marketbot_assets.book.positions import Holdings, session_closes
from marketbot_assets.book.roll import Held, Rolled, atr_levels, roll
from marketbot_assets.book.state import BookState
from marketbot_assets.book.step import opening_state, step_book
from marketbot_assets.decision import Decision, Situation, decide
from marketbot_assets.insight.forecasts import forecast
from marketbot_assets.insight.return_model import ReturnModel, fit_return_model, model_in_force, spec_sha256
from marketbot_assets.portfolio.market_facts import account_facts, market_facts
from marketbot_assets.research.circumstances import NOTHING_HAPPENED, Circumstances
from marketbot_assets.research.history import History, Known, Tables
from marketbot_assets.research.operations import Past, facts_of_day, past_after
from marketbot_assets.risk.build import Platform
from marketbot_assets.risk.forecasting import with_record
from marketbot_assets.risk.operation_facts import Breach
from marketbot_assets.risk.trade_build import Traffic
from marketbot_resources.calendars import decision_sessions
from marketbot_resources.errors import HaltError
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import AccountReport, Acknowledgement, Execution, Order, OrderState
from marketbot_resources.order_types import PROTECTIVE_LEGS, STOP_LEG
from marketbot_resources.paper import PaperAccount
from marketbot_resources.paper_market import TabularMarket

SEND_DELAY = dt.timedelta(minutes=1)
AHEAD = dt.timedelta(days=60)
ENVIRONMENT = "backtest"


class Account(Protocol):
    """What the loop asks of an account at a broker."""

    def report(self, since: dt.datetime, until: dt.datetime) -> AccountReport:
        """The account at an instant, and what happened after another one."""
        ...

    def advance(self, until: dt.datetime) -> None:
        """Lets everything happen up to an instant."""
        ...

    def submit(self, order: Order, at: dt.datetime) -> Acknowledgement:
        """Takes or refuses an order."""
        ...


@dataclass(frozen=True, slots=True)
class Day:
    """One session of the loop: what was filled, the book after it, what was decided on it."""

    known: Known
    fills: tuple[Execution, ...]
    rolled: Rolled
    state: BookState
    decision: Decision
    refused: int
    breaches: tuple[Breach, ...]


@dataclass(slots=True)
class Running:
    """What one session hands to the next. `fitted`: place of the model's fit in the history's sessions; < 0: before them."""

    held: Held
    state: BookState
    model: ReturnModel | None
    fitted: int
    planned: dict[str, Decimal] = field(default_factory=dict)
    forecasts: pd.DataFrame | None = None
    past: Past = field(default_factory=Past)


def market_of(tables: Tables, mandate: Mandate) -> TabularMarket:
    """The market in which a paper account trades: prices, events and rates of the tables."""
    return TabularMarket(
        tables.prices,
        tables.corporate_actions,
        tables.fx,
        tables.instruments,
        base_currency=mandate.base_currency,
        off=mandate.calendar.closed,
    )


def opening_account(mandate: Mandate, history: History) -> PaperAccount:
    """A broker account with the mandate's opening cash, opened at the cutoff before the first session."""
    market = market_of(history.tables, mandate)
    cash = {mandate.base_currency: mandate.opening_cash}
    opened = history.at(history.sessions[0]).previous_cutoff
    return PaperAccount(mandate, market, cash=cash, shares={}, opened_at=opened)


def run_days(
    history: History,
    mandate: Mandate,
    account: PaperAccount,
    *,
    environment: str = ENVIRONMENT,
    seen: Callable[[Day], None] = lambda day: None,
) -> Iterator[Day]:
    """Every session of the history in turn, from cash. `seen` is called after each (a progress bar)."""
    before = history.days_to(history.sessions[0])[-2]
    cash = {mandate.base_currency: Decimal(mandate.opening_cash)}
    now = Running(
        Held(Holdings({}, cash), {}, {mandate.base_currency: 1.0}),
        opening_state(before, float(mandate.opening_cash)),
        None,
        0,
    )
    for session in history.sessions:
        day = decide_session(history, mandate, account, now, session, environment)
        seen(day)
        yield day
        flat = not day.rolled.valuation.holdings.shares
        if (day.state.halt_class == "C" and flat) or any(breach.halt_class == "C" for breach in day.breaches):
            return


def decide_session(
    history: History,
    mandate: Mandate,
    account: Account,
    now: Running,
    session: dt.date,
    environment: str,
    told: Circumstances = NOTHING_HAPPENED,
) -> Day:
    """One session: fills and actions are booked, the state steps on, the decision is made and its batch submitted; `now` moves on.

    Raises HaltError when book and account disagree, unless `told` holds a reconciliation that judged that.
    """
    known = history.at(session)
    report = account.report(known.previous_cutoff, known.cutoff)
    rolled = book_after(history, mandate, now.held, report, known)
    if told.reconciliation is None:
        _check_same(rolled, report, known)
    state = _stepped(history, mandate, now, rolled, report.executions, known, told)
    _refit(now, mandate, known, history)
    assert now.model is not None
    forecasts = forecast(now.model, known.features, known.factor_model, mandate, told.leaning, told.lead)
    situation = Situation(
        session=session,
        cutoff=known.cutoff,
        environment=environment,
        days=history.days_to(session),
        market=market_facts(
            instruments=known.listings,
            window=known.window,
            features=known.features,
            forecasts=forecasts,
            forecasts_before=now.forecasts,
            factor_model=known.factor_model,
            ages=known.ages,
            quarantined=known.quarantined | told.closed,
            fx=known.fx,
            actions=history.actions_of(known.listings),
            mandate=mandate,
            session=session,
            cutoff=known.cutoff,
        ),
        account=account_facts(rolled.valuation, report.open_orders, state),
        platform=_platform(report, now.planned, told),
        operations=facts_of_day(now.past, history, mandate, now.model, known, report, now.held, rolled, told),
        multiples=told.multiples,
        decided=told.decided,
    )
    decision = decide(situation, mandate)
    at = known.cutoff + SEND_DELAY
    account.advance(at)  # whoever sends looks at the account first
    answers = [account.submit(order, at) for order in decision.batch]
    now.held, now.state, now.forecasts = rolled.held, state, forecasts
    now.past = past_after(now.past, decision, answers, known, report, mandate)
    now.planned = _still_waited_for(now.planned, report) | {o.client_order_id: o.quantity for o in decision.batch}
    refused = sum(answer.state is OrderState.REJECTED for answer in answers)
    return Day(known, report.executions, rolled, state, decision, refused, now.past.breaches)


def _platform(report: AccountReport, planned: Mapping[str, Decimal], told: Circumstances) -> Platform:
    return Platform(
        breaks=told.breaks,
        halt_flag=told.halt_flag,
        ledger_ready=True,
        quality_halts=told.quality_halts,
        unknown_instruments=told.unknown_instruments,
        open_orders=report.open_orders,
        traffic=Traffic(report.executions, planned, told.sent, told.price_difference),
        locked=told.locked,
    )


def _still_waited_for(planned: dict[str, Decimal], report: AccountReport) -> dict[str, Decimal]:
    """Quantities of the orders that the broker still works."""
    return {o.client_order_id: planned[o.client_order_id] for o in report.open_orders if o.client_order_id in planned}


def book_after(history: History, mandate: Mandate, held: Held, report: AccountReport, known: Known) -> Rolled:
    """The book before a session with the fills that the account reports and the corporate actions that have become due."""
    return roll(
        held,
        report.executions,
        history.actions_of(known.listings),
        known.window,
        instruments=known.listings,
        base=mandate.base_currency,
        off=mandate.calendar.closed,
        after=known.previous_cutoff,
        until=known.cutoff,
    )


def _check_same(rolled: Rolled, report: AccountReport, known: Known) -> None:
    ours, theirs = rolled.valuation.holdings, report
    if ours.shares != dict(theirs.positions) or ours.cash != {c: a for c, a in theirs.cash.items() if a != 0}:
        raise HaltError(f"{known.session}: our book and the simulated broker disagree: {ours} and {theirs.positions}")


def _stepped(
    history: History,
    mandate: Mandate,
    now: Running,
    rolled: Rolled,
    fills: tuple[Execution, ...],
    known: Known,
    told: Circumstances,
) -> BookState:
    session, sent = known.session, [order for batch in now.past.batches for order in batch]
    state = step_book(
        now.state,
        session=session,
        valuation=rolled.valuation,
        fills=fills,
        actions=rolled.actions,
        close=session_closes(known.window),
        atr20=atr_levels(known.features, known.window),
        index_vol_20d=known.factor_model.index_vol_20d,
        clean=told.clean,
        operator_rearm=told.operator,
        quoted=told.quoted,
        decision_sessions=decision_sessions(mandate.calendar, session, session + AHEAD),
        mandate=mandate,
        protective_ids=frozenset(order.client_order_id for order in sent if order.leg in PROTECTIVE_LEGS),
        stopped_ids=frozenset(order.client_order_id for order in sent if order.leg == STOP_LEG),
    )
    return with_record(
        state,
        now.state,
        before=now.held,
        rolled=rolled,
        model=known.factor_model,
        currencies=known.listings.currencies,
        follows=history.days_to(session)[-2] == now.state.session,
        mandate=mandate,
    )


def _refit(now: Running, mandate: Mandate, known: Known, history: History) -> None:
    place = history.place(known.session)
    age = place - now.fitted if now.model is not None else 0
    made = model_in_force(
        now.model,
        lambda: fit_return_model(known.training, mandate, history.samples),
        sessions_since_fit=age,
        spec=spec_sha256(mandate),
    )
    now.model, now.fitted = made, now.fitted if made is now.model else place
