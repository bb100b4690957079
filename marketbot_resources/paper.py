"""The paper broker's rules as an account in memory: the backtest uses it as it is, `broker.paper` keeps it in a file. Pure.

The account's own time only moves forward. An instant up to which it advanced is closed: whatever becomes known later happens
at the earliest one microsecond after it, so that reports over adjoining windows tell everything exactly once.
Not here: the market (`paper_market`), an order (`paper_order`), how an auction fills (`fillmodel`).
"""

import datetime as dt
from bisect import bisect_right, insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Self, cast

from marketbot_resources import calendars
from marketbot_resources.corporate_actions import ENDS, SPLIT, CorporateAction, account_events
from marketbot_resources.errors import BrokerError, MarketbotError
from marketbot_resources.fillmodel import FillTerms, fill_terms, fx_fill, order_fill, unfilled_reason
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import (
    PAPER,
    TERMINAL_STATES,
    AccountEvent,
    AccountReport,
    Acknowledgement,
    Execution,
    Kind,
    OpenOrder,
    Order,
    OrderState,
    Side,
    order_from_record,
    order_record,
    plain,
    utc_text,
)
from marketbot_resources.order_types import Phase, phase_of
from marketbot_resources.paper_book import add, book_fill, decimals, without_zeros
from marketbot_resources.paper_market import AuctionMarket, PaperListing
from marketbot_resources.paper_order import (
    WorkingOrder,
    currency_refusal,
    due_in,
    elapsed_of,
    equity_refusal,
    split_order,
    working_from_record,
    working_record,
)
from marketbot_resources.paper_terms import PAPER_CAPABILITIES

BAR_LAG = dt.timedelta(minutes=15)
NO_BAR = "the listing did not trade"
CANCELED = "canceled as asked"
_MOMENT = dt.timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class StateChange:
    """The state that an order entered at an instant."""

    answer: Acknowledgement
    at: dt.datetime


class PaperAccount:
    """One account in the shape of BrokerPort. `cash` per currency, `shares` per instrument, open from `opened_at` on.

    `changes` lists every state that an order entered, in order; it starts empty when the account is loaded from a record.
    """

    capabilities = PAPER_CAPABILITIES

    def __init__(
        self,
        mandate: Mandate,
        market: AuctionMarket,
        *,
        cash: Mapping[str, Decimal],
        shares: Mapping[str, Decimal],
        opened_at: dt.datetime,
    ) -> None:
        if any(not (quantity.is_finite() and quantity >= 0) for quantity in shares.values()):
            raise BrokerError(f"paper broker: expected shares that are not negative, found {dict(shares)}")
        self._mandate, self._market = mandate, market
        self._cash, self._shares = dict(cash), dict(shares)
        self._instant = _aware(opened_at)
        self._received: dict[str, Order] = {}
        self._answers: dict[str, Acknowledgement] = {}
        self._working: dict[str, WorkingOrder] = {}
        self._taken: dict[str, tuple[dt.date, Decimal]] = {}
        self._executions: list[Execution] = []
        self._events: list[AccountEvent] = []
        self.changes: list[StateChange] = []

    @property
    def instant(self) -> dt.datetime:
        """The instant up to which the account has advanced."""
        return self._instant

    # --- the port ---

    def submit(self, order: Order, at: dt.datetime) -> Acknowledgement:
        """Takes an order at an instant (never earlier than the account's own). A refusal is REJECTED with its reason.

        A known id with the same fields gives its present acknowledgement again and changes nothing; with other fields it is
        REJECTED and the first order stays as it is. An equity order works in the next auction or session of its exchange, a
        currency leg fills at once. Does not advance: sells are checked against what was held at the account's instant.
        """
        known = self._received.get(order.client_order_id)
        if known is not None:
            if known == order:
                return self._answers[order.client_order_id]
            return _answer(order.client_order_id, OrderState.REJECTED, "the id is taken by an order with other fields")
        now = max(_aware(at), self._instant)
        late = f"the window closed at {utc_text(order.send_until)}" if now > order.send_until else ""
        self._received[order.client_order_id] = order
        moment = max(now, self._instant + _MOMENT)
        if order.kind is Kind.FX:
            return self._submit_currency(order, late, now, moment)
        refusal = late or self._refusal(order)
        if refusal:
            return self._change(order.client_order_id, OrderState.REJECTED, refusal, moment)
        session, due_at = due_in(order, now, self._mandate.calendar.closed)
        self._working[order.client_order_id] = WorkingOrder(order, moment, session, due_at)
        return self._change(order.client_order_id, OrderState.ACKED, "", moment)

    def find(self, client_order_id: str) -> Acknowledgement | None:
        """The state of an order at the account's instant; None when it never came."""
        return self._answers.get(client_order_id)

    def cancel(self, client_order_id: str, at: dt.datetime) -> Acknowledgement | None:
        """Advances to `at`, then cancels an order that waits for its auction; its state at that instant, None when unknown.

        Once its auction has begun it is too late: the order stays as it is, also while its bar has not come.
        """
        self.advance(at)
        due = self._working.get(client_order_id)
        if due is None or due.auction_at <= self._instant:
            return self.find(client_order_id)
        del self._working[client_order_id]
        return self._change(client_order_id, OrderState.CANCELED, CANCELED, self._instant + _MOMENT)

    def report(self, since: dt.datetime, until: dt.datetime) -> AccountReport:
        """Advances to `until`, then tells the account of that instant, executions and events in (since, until].

        Of an instant that lies behind, cash and positions are still those of then; open orders are those open now.
        """
        self.advance(until)
        first = min(since, until)
        executions = self._executions[bisect_right(self._executions, first, key=_executed_at) :]
        events = self._events[bisect_right(self._events, first, key=_effective_at) :]
        return self.report_of(since, until, executions, events)

    # --- time ---

    def advance(self, until: dt.datetime) -> None:
        """Lets everything happen up to an instant, in its order; at one instant corporate actions come before fills.

        An earlier or equal instant is a no-op. Raises HaltError when a split's fraction of a share has no price.
        """
        if _aware(until) <= self._instant:
            return
        moves: list[tuple[tuple[dt.datetime, int, str, int], CorporateAction | str]] = [
            ((at, 0, name, rank), action)
            for action in self._market.actions(self._instant, until)
            for at, name, rank in [action.order]
        ]
        moves += [
            ((due.auction_at, 1, name, 0), name) for name, due in self._working.items() if due.auction_at <= until
        ]
        for _, move in sorted(moves, key=lambda pair: pair[0]):
            if isinstance(move, CorporateAction):
                self._act(move)
            elif move in self._working:  # an action may have ended it
                self._auction(self._working[move], until)
        self._instant = until

    def executions_and_events(self) -> tuple[tuple[Execution, ...], tuple[AccountEvent, ...]]:
        """Everything booked since the account was opened or loaded, by instant and id."""
        return tuple(self._executions), tuple(self._events)

    def report_of(
        self,
        since: dt.datetime,
        until: dt.datetime,
        executions: Sequence[Execution],
        events: Sequence[AccountEvent],
    ) -> AccountReport:
        """The report over (since, until] out of everything that happened after the earlier of the two, sorted."""
        cash, shares = dict(self._cash), dict(self._shares)
        for execution in executions:
            if execution.executed_at > until:
                book_fill(execution, cash, shares, self._mandate.base_currency, sign=-1)
        for event in events:
            if event.effective_at > until:
                add(cash, event.currency, -event.amount)
                add(shares, event.instrument, -event.quantity)
        return AccountReport(
            as_of_at=until,
            cash=without_zeros(cash),
            positions=without_zeros(shares),
            open_orders=tuple(_open(w.order) for _, w in sorted(self._working.items()) if w.submitted_at <= until),
            executions=tuple(execution for execution in executions if since < execution.executed_at <= until),
            events=tuple(event for event in events if since < event.effective_at <= until),
            environment=PAPER,
            broker_at=until,
        )

    # --- orders ---

    def _submit_currency(self, order: Order, late: str, now: dt.datetime, moment: dt.datetime) -> Acknowledgement:
        refusal = late or currency_refusal(order, self._mandate.base_currency)
        rate = None if refusal else self._market.rate(order.currency, now)
        if rate is None:
            refusal = refusal or f"no reference rate of {order.currency} is known"
            return self._change(order.client_order_id, OrderState.REJECTED, refusal, moment)
        self._execute(fx_fill(order, rate, self._mandate.costs_bps.fx, moment))
        return self._change(order.client_order_id, OrderState.FILLED, "", moment)

    def _refusal(self, order: Order) -> str:
        listing = self._market.listing(order.instrument)
        refusal = equity_refusal(order, listing, self._free(order.instrument))
        if refusal or listing is None:
            return refusal
        try:
            self._terms(listing, None, None)
        except MarketbotError as error:
            return str(error)
        return ""

    def _free(self, instrument: str) -> Decimal:
        orders = (working.order for working in self._working.values())
        offered = (o.quantity for o in orders if o.instrument == instrument and o.side is Side.SELL)
        return self._shares.get(instrument, Decimal(0)) - sum(offered, Decimal(0))

    def _terms(self, listing: PaperListing, sigma_daily: float | None, adv_shares: float | None) -> FillTerms:
        return fill_terms(
            self._mandate,
            listing.currency,
            is_fund=listing.is_fund,
            sigma_daily=sigma_daily,
            adv_shares=adv_shares,
            quantity_step=listing.quantity_step,
            tick_size=listing.tick_size,
        )

    def _auction(self, working: WorkingOrder, until: dt.datetime) -> None:
        order, session = working.order, working.auction_session
        moment = max(working.auction_at, self._instant + _MOMENT)
        listing, bar = self._market.listing(order.instrument), self._market.bar(order.instrument, session)
        if listing is None or bar is None:
            if until >= calendars.close_at(order.mic, session) + BAR_LAG:  # before that, its bar may still come
                self._end(order, NO_BAR, moment)
            return
        held = self._shares.get(order.instrument, Decimal(0))
        if order.side is Side.SELL and order.quantity > held:
            self._end(order, f"sells {order.quantity}, held are {held}", moment)
            return
        terms = self._terms(listing, *self._market.liquidity(order.instrument, session))
        bar = replace(bar, opened_at=moment)
        elapsed, taken = elapsed_of(working, self._mandate.calendar.closed), self._taken_of(order, session)
        fill = order_fill(order, bar, terms, elapsed=elapsed, taken=taken)
        if fill is None:
            self._end(order, unfilled_reason(order, bar, terms, elapsed=elapsed, taken=taken), moment)
            return
        self._execute(fill.execution)
        if phase_of(order.type) is not Phase.OPEN:
            self._taken[order.instrument] = (session, taken + fill.execution.quantity)
        if fill.closing is not None:
            self._execute(fill.closing)
        if fill.remaining:
            self._change(order.client_order_id, OrderState.PARTIAL, fill.reason, moment)
            self._end(order, fill.reason, moment)
        else:
            del self._working[order.client_order_id]
            self._change(order.client_order_id, OrderState.FILLED, "", moment)

    def _taken_of(self, order: Order, session: dt.date) -> Decimal:
        """Shares that earlier day and closing orders took of the session's volume: all of them share it."""
        day, taken = self._taken.get(order.instrument, (session, Decimal(0)))
        return taken if day == session and phase_of(order.type) is not Phase.OPEN else Decimal(0)

    def _execute(self, execution: Execution) -> None:
        book_fill(execution, self._cash, self._shares, self._mandate.base_currency, sign=1)
        insort(self._executions, execution, key=lambda e: (e.executed_at, e.execution_id))

    def _end(self, order: Order, reason: str, at: dt.datetime) -> None:
        del self._working[order.client_order_id]
        self._change(order.client_order_id, OrderState.EXPIRED, reason, at)

    def _change(self, client_order_id: str, state: OrderState, reason: str, at: dt.datetime) -> Acknowledgement:
        before = self._answers.get(client_order_id)
        assert before is None or before.state not in TERMINAL_STATES, f"{client_order_id} had ended: {before}"
        self._answers[client_order_id] = _answer(client_order_id, state, reason)
        self.changes.append(StateChange(self._answers[client_order_id], at))
        return self._answers[client_order_id]

    # --- corporate actions ---

    def _act(self, action: CorporateAction) -> None:
        held = self._shares.get(action.instrument, Decimal(0))
        for event in account_events(action, held, self._market.close_before(action.instrument, action.ex_session)):
            add(self._cash, event.currency, event.amount)
            add(self._shares, event.instrument, event.quantity)
            insort(self._events, event, key=lambda e: (e.effective_at, e.event_id))
        for working in [w for w in self._working.values() if w.order.instrument == action.instrument]:
            self._adjust(working, action)

    def _adjust(self, working: WorkingOrder, action: CorporateAction) -> None:
        """A split makes an open order one in new shares, an end cancels it; a dividend or a spin-off leaves its limit as it is."""
        listing = self._market.listing(action.instrument)
        if listing is None or not working.submitted_at < action.effective_at <= working.auction_at:
            return
        if action.kind in ENDS:
            self._end(working.order, f"the listing ended on {action.ex_session}", action.effective_at)
        if action.kind != SPLIT:
            return
        adjusted = split_order(working, action, listing)
        if adjusted is None:
            reason = f"the split of {action.ex_session} leaves less than a lot or a tick"
            self._end(working.order, reason, action.effective_at)
        else:
            self._working[working.order.client_order_id] = adjusted

    # --- records ---

    def to_record(self) -> dict[str, object]:
        """What the account needs to go on, as JSON values; executions and events are told by reports, not by the record."""
        taken = {name: [day.isoformat(), str(shares)] for name, (day, shares) in sorted(self._taken.items())}
        return {
            "instant": utc_text(self._instant),
            "cash": {name: str(amount) for name, amount in sorted(self._cash.items())},
            "shares": {name: plain(quantity) for name, quantity in sorted(self._shares.items()) if quantity},
            "working": {name: working_record(working) for name, working in sorted(self._working.items())},
            **({"taken": taken} if taken else {}),
            "orders": {
                name: {"received": order_record(order), "state": answer.state.value, "reason": answer.reason}
                for name, order, answer in sorted((n, o, self._answers[n]) for n, o in self._received.items())
            },
        }

    @classmethod
    def from_record(cls, record: Mapping[str, object], mandate: Mandate, market: AuctionMarket) -> Self:
        """The inverse of `to_record`. Raises BrokerError when the record cannot be read."""
        try:
            cash, shares = (decimals(record[name]) for name in ("cash", "shares"))
            opened_at = dt.datetime.fromisoformat(str(record["instant"]))
            account = cls(mandate, market, cash=cash, shares=shares, opened_at=opened_at)
            for name, told in cast("Mapping[str, Mapping[str, object]]", record["orders"]).items():
                account._received[name] = order_from_record(cast("Mapping[str, object]", told["received"]))
                account._answers[name] = _answer(name, OrderState(str(told["state"])), str(told["reason"]))
            for name, (day, taken) in cast("Mapping[str, tuple[str, str]]", record.get("taken", {})).items():
                account._taken[name] = (dt.date.fromisoformat(day), Decimal(taken))
            for name, work in cast("Mapping[str, Mapping[str, str]]", record["working"]).items():
                account._working[name] = working_from_record(account._received[name], work)
        except (KeyError, ValueError, TypeError, AttributeError, ArithmeticError) as error:
            raise BrokerError(f"paper broker: expected an account's record, found {error!r} in it") from error
        return account


def _aware(at: dt.datetime) -> dt.datetime:
    if at.tzinfo is None:
        raise BrokerError(f"paper broker: expected an instant with a time zone, found {at}")
    return at


def _answer(client_order_id: str, state: OrderState, reason: str) -> Acknowledgement:
    return Acknowledgement(client_order_id, state, f"paper-{client_order_id}", reason)


def _executed_at(execution: Execution) -> dt.datetime:
    return execution.executed_at


def _effective_at(event: AccountEvent) -> dt.datetime:
    return event.effective_at


def _open(order: Order) -> OpenOrder:
    return OpenOrder(
        client_order_id=order.client_order_id,
        instrument=order.instrument,
        side=order.side,
        remaining=order.quantity,
        limit_price=order.limit_price,
        currency=order.currency,
    )
