"""Interactive Brokers through its Web API: the adapter of the broker port, one POST per order, every doubt an error.

The person's gateway (`ibkr_gateway`) must be signed in. Nothing is sent again by itself; what the broker's answer leaves open is
a BrokerError, which the sender records as unknown. Not here: wire shapes (`ibkr_orders`, `ibkr_account`), contract ids
(`ibkr_contracts`), questions and their answers (`ibkr_questions`), what became of an order (`ibkr_lookup`).
"""

import datetime as dt
from collections.abc import Callable, Mapping
from pathlib import Path

from marketbot_resources import settings
from marketbot_resources.broker.http import Answer, NoAnswer, one_line
from marketbot_resources.broker.ibkr_account import (
    cash_of,
    currency_execution,
    open_orders_of,
    positions_of,
    share_execution,
    trades_of,
)
from marketbot_resources.broker.ibkr_contracts import Contracts, instrument_of
from marketbot_resources.broker.ibkr_gateway import GATEWAY, IbkrGateway, Json, listed, parsed, record, text
from marketbot_resources.broker.ibkr_lookup import TRADES_DAYS, Lookup, acknowledged, listed_as
from marketbot_resources.broker.ibkr_memory import IbkrMemory
from marketbot_resources.broker.ibkr_orders import (
    FOREIGN,
    Leg,
    another,
    currency_leg,
    differences,
    live_differences,
    refusal,
    share_leg,
    tickets,
)
from marketbot_resources.broker.ibkr_questions import QUESTIONS_MAX, question_in
from marketbot_resources.broker.symbols import Symbol, Symbols, symbols_of
from marketbot_resources.broker.wire_log import WireLog
from marketbot_resources.errors import BrokerError
from marketbot_resources.ibkr_terms import IBKR_CAPABILITIES
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import (
    TERMINAL_STATES,
    AccountReport,
    Acknowledgement,
    Execution,
    Kind,
    Order,
    OrderState,
    utc_text,
)

GATEWAY_VARIABLE, CERTIFICATE_VARIABLE = "MARKETBOT_IBKR_GATEWAY", "MARKETBOT_IBKR_CERTIFICATE"
PAGES_MAX, PAGE_SIZE = 100, 100
CANCEL_LOOKS, CANCEL_PAUSE = 5, 1.0
_REFUSING = frozenset({200, 400, 401, 403, 404, 422})
_KNOWN = "is already registered"
# Words of a refusal that may have come before or after the order was taken.
_DOUBTFUL = ("timeout", "timed out", "unavailable", "no bridge", "try again", "internal", "failed to send")


def open_ibkr(mandate: Mandate, home: Path) -> "IbkrBroker":
    """The adapter of the mandate's account. Raises BrokerError when account and environment disagree (RC-82).

    MARKETBOT_IBKR_GATEWAY: the gateway's address; MARKETBOT_IBKR_CERTIFICATE: its certificate as a PEM file.
    """
    from marketbot_resources.store.lake import open_lake

    certificate = settings.variable(CERTIFICATE_VARIABLE)
    gateway = IbkrGateway(
        settings.variable(GATEWAY_VARIABLE) or GATEWAY,
        mandate.broker.account,
        mandate.broker.environment,
        certificate=Path(certificate) if certificate else None,
        seen=WireLog(home, "ibkr").keep,
    )
    lake = open_lake(home)
    return IbkrBroker(gateway, IbkrMemory(home), mandate.base_currency, lambda: symbols_of(lake))


class IbkrBroker:
    """A BrokerPort on one account. `symbols` is asked anew for every question; `base`: ISO 4217 of conversions."""

    capabilities = IBKR_CAPABILITIES

    def __init__(self, gateway: IbkrGateway, memory: IbkrMemory, base: str, symbols: Callable[[], Symbols]) -> None:
        self._gateway, self._memory, self._base, self._symbols = gateway, memory, base, symbols
        self._contracts, self._lookup = Contracts(gateway, memory), Lookup(gateway, memory)

    # --- orders ---

    def submit(self, order: Order, at: dt.datetime) -> Acknowledgement:
        """Posts an order once. REJECTED when it was certainly not taken; everything that leaves a doubt raises BrokerError."""
        _aware(at)
        why = refusal(order, self.capabilities)
        if not why and at > order.send_until:
            why = f"the window closed at {utc_text(order.send_until)}"
        if why:
            return _refused(order, why)
        self._gateway.signed_in(again=True)
        known = self._memory.tried(order.client_order_id)
        if known is not None and known.order != order:
            return _refused(order, "the id was used for an order with other fields")
        if known is not None and known.broker_order_id:
            return self._known(order)
        try:
            leg = known.leg if known is not None else self._leg(order, at.date())
            body = {"orders": tickets(order, leg, self._gateway.account)}
        except BrokerError as error:
            return _refused(order, str(error))
        if not leg.size > 0:
            return _refused(order, "the conversion is worth less than one unit of the pair's first currency")
        self._memory.trying(order, leg, at)
        answer = self._gateway.post(f"/iserver/account/{self._gateway.account}/orders", body)
        return self._answered(order, leg, answer)

    def find(self, client_order_id: str) -> Acknowledgement | None:
        """The broker's view; None when it does not know the id. Raises BrokerError when it cannot be told."""
        self._gateway.signed_in()
        return self._lookup.order(client_order_id)

    def cancel(self, client_order_id: str, at: dt.datetime) -> Acknowledgement | None:
        """Asks once for an order's end, then looks until it has ended, a few seconds at most."""
        _aware(at)
        self._gateway.signed_in()
        before = self._lookup.order(client_order_id)
        if before is None or before.state in TERMINAL_STATES or not before.broker_order_id:
            return before
        account, number_there = self._gateway.account, before.broker_order_id
        answer = self._gateway.delete(f"/iserver/account/{account}/order/{number_there}")
        if isinstance(answer, NoAnswer) or answer.status not in _REFUSING:
            raise BrokerError(f"order {client_order_id}: no usable answer to its cancel; {_told(answer)}")
        for _ in range(CANCEL_LOOKS):
            told = self._lookup.status(number_there)
            state = None if told is None else acknowledged(client_order_id, number_there, told)
            if state is not None and state.state is OrderState.CANCELED:
                return Acknowledgement(client_order_id, state.state, number_there, "canceled as asked")
            if state is not None and state.state in TERMINAL_STATES:
                return state
            self._gateway.wait(CANCEL_PAUSE)
        return self._lookup.order(client_order_id)

    # --- account ---

    def report(self, since: dt.datetime, until: dt.datetime) -> AccountReport:
        """The account as it is now, told for `until`, with executions in (since, until]. Raises BrokerError when untold."""
        _aware(since)
        _aware(until)
        self._gateway.signed_in()
        account, symbols = self._gateway.account, self._symbols()

        def instrument(conid: str, ticker: str, exchange: str, currency: str) -> str:
            found = instrument_of(symbols, self._memory, conid, ticker=ticker, exchange=exchange, currency=currency)
            return found or FOREIGN + conid

        orders = self._gateway.live_orders()
        trades = trades_of(self._gateway.trades(TRADES_DAYS), lambda told: self._execution(told, symbols, instrument))
        positions = positions_of(self._pages(), account, instrument)
        cash = cash_of(record(self._gateway.read(f"/portfolio/{account}/ledger"), "ledger"))
        return AccountReport(
            as_of_at=until,
            cash=cash,
            positions=positions,
            open_orders=open_orders_of(orders, instrument, self._named),
            executions=tuple(fill for fill in trades.executions if since < fill.executed_at <= until),
            events=(),
            environment=self._gateway.environment,
            broker_at=self._gateway.broker_at,
            busts=tuple(bust for bust in trades.busts if since < bust.told_at <= until),
        )

    # --- how ---

    def _leg(self, order: Order, day: dt.date) -> Leg:
        """What the order is at the broker. Raises BrokerError when that is not certain."""
        if order.kind is Kind.FX:
            conid, quoted_first = self._contracts.pair(self._base, order.currency)
            rate = None if quoted_first else self._contracts.rate(self._base, order.currency, self._ledger())
            return currency_leg(order, conid, quoted_first=quoted_first, rate=rate)
        symbol: Symbol = self._symbols().of(order.instrument)
        if (symbol.mic, symbol.currency) != (order.mic, order.currency):
            raise BrokerError(
                f"{symbol.ticker} trades in {symbol.currency} on {symbol.mic}, the order says {order.currency} on {order.mic}"
            )
        return share_leg(order, self._contracts.conid(symbol, day))

    def _answered(self, order: Order, leg: Leg, answer: Answer | NoAnswer) -> Acknowledgement:
        """What the broker's answer to a POST means, its questions answered on the way."""
        for asked in range(QUESTIONS_MAX + 1):
            told = self._entries(order, answer)
            if isinstance(told, Acknowledgement):
                return told
            question = question_in(told[0], order)
            if question is None:
                return self._taken(order, leg, told)
            if not question.reply_id.replace("-", "").isalnum():
                raise BrokerError(f"order {order.client_order_id}: a question without an id to answer it by")
            declined = question.declined or ("" if asked < QUESTIONS_MAX else f"more than {QUESTIONS_MAX} questions")
            answer = self._gateway.post(f"/iserver/reply/{question.reply_id}", {"confirmed": not declined})
            if declined:
                return self._declined(order, declined, answer)
        raise AssertionError("the last question is declined")

    def _entries(self, order: Order, answer: Answer | NoAnswer) -> list[dict[str, Json]] | Acknowledgement:
        """The entries of an answer that went through; a refusal as its end. Raises BrokerError for all that leaves a doubt."""
        name = order.client_order_id
        if isinstance(answer, NoAnswer) or answer.status not in _REFUSING:
            raise BrokerError(f"order {name}: {_told(answer)}")
        told = parsed(answer.body, f"order {name}")
        if isinstance(told, list) and told and answer.status == 200:
            return [record(entry, f"order {name}") for entry in told]
        why = one_line(text(told.get("error")) if isinstance(told, dict) else "")
        if not why or any(word in why.lower() for word in _DOUBTFUL):
            raise BrokerError(f"order {name}: {_told(answer)}")
        return self._refusal(order, f"status {answer.status}: {why}", registered=_KNOWN in why)

    def _refusal(self, order: Order, why: str, *, registered: bool) -> Acknowledgement:
        """A refusal is believed once the broker does not list the order; what it lists under the id must agree with ours.

        `registered`: the broker says that it knows the id.
        """
        name, tried = order.client_order_id, self._memory.tried(order.client_order_id)
        entry = self._lookup.entry(name, tried)
        if entry is None and not registered:
            return _refused(order, why)
        if tried is None or entry is None:
            raise BrokerError(f"order {name}: its id is registered, but the broker does not show the order")
        faults = live_differences(order, tried.leg, entry)
        if faults and registered:
            return _refused(order, f"the id was used for an order with other fields: {faults}")
        if faults:
            return another(order, text(entry.get("orderId")), faults, entry)
        self._memory.took(name, {text(entry.get("orderId")): False})
        return listed_as(name, entry)

    def _taken(self, order: Order, leg: Leg, entries: list[dict[str, Json]]) -> Acknowledgement:
        """The order was accepted: its own status must say what was asked, else nobody knows what trades."""
        name, ids = order.client_order_id, [text(entry.get("order_id")) for entry in entries]
        if not all(number_there.isascii() and number_there.isdigit() for number_there in ids):
            raise BrokerError(f"order {name}: expected the broker's id of it, found {one_line(str(ids))}")
        self._memory.took(name, {number_there: place > 0 for place, number_there in enumerate(ids)})
        status = self._lookup.status(ids[0])
        if status is None:
            raise BrokerError(f"order {name}: taken as {ids[0]}, but the broker does not show it")
        faults = differences(order, leg, self._gateway.account, status)
        if faults:
            return another(order, ids[0], faults, status)
        return acknowledged(name, ids[0], status)

    def _declined(self, order: Order, why: str, answer: Answer | NoAnswer) -> Acknowledgement:
        """An order whose question was answered no. Raises BrokerError when that answer did not arrive or an order came of it."""
        if isinstance(answer, NoAnswer) or answer.status not in _REFUSING or b"order_id" in answer.body:
            raise BrokerError(
                f"order {order.client_order_id}: a question was declined without a clear end; {_told(answer)}"
            )
        return _refused(order, why)

    def _known(self, order: Order) -> Acknowledgement:
        """An order that the broker has taken before: it is not posted again."""
        found = self._lookup.order(order.client_order_id)
        assert found is not None, "an order that was taken is found or in doubt"
        return found

    def _pages(self) -> list[list[Json]]:
        """All pages of positions, fresh ones: the gateway keeps them until it is told to forget."""
        account = self._gateway.account
        self._gateway.read("/portfolio/accounts")
        self._gateway.post(f"/portfolio/{account}/positions/invalidate", None)
        pages = []
        for page in range(PAGES_MAX):
            told = listed(self._gateway.read(f"/portfolio/{account}/positions/{page}"), "positions")
            pages.append(told)
            if len(told) < PAGE_SIZE:
                return pages
        raise BrokerError(f"Interactive Brokers: expected at most {PAGES_MAX} pages of positions, found more")

    def _ledger(self) -> dict[str, Json]:
        return record(self._gateway.read(f"/portfolio/{self._gateway.account}/ledger"), "ledger")

    def _named(self, told: Mapping[str, Json]) -> str:
        """Our id of a listed order; the broker's number, marked as foreign, where it is none of ours."""
        number_there = text(told.get("orderId"))
        return text(told.get("order_ref")) or self._memory.owner(number_there) or FOREIGN + number_there

    def _execution(
        self, told: Mapping[str, Json], symbols: Symbols, instrument: Callable[[str, str, str, str], str]
    ) -> Execution:
        """One trade in our terms."""
        number_there = text(told.get("order_id"))
        ref = text(told.get("order_ref")) or self._memory.owner(number_there) or FOREIGN + number_there
        tried = self._memory.tried(ref)
        if text(told.get("sec_type")) == "CASH" and tried is not None and tried.order.kind is Kind.FX:
            quoted_first = tried.leg.side is tried.order.side
            return currency_execution(
                told, client_order_id=ref, currency=tried.order.currency, base=self._base, quoted_first=quoted_first
            )
        conid = text(told.get("conid"))
        if tried is not None and str(tried.leg.conid) == conid:
            return share_execution(
                told, client_order_id=ref, instrument=tried.order.instrument, currency=tried.order.currency
            )
        currency = text(told.get("currency")) or self._base
        name = instrument(conid, text(told.get("symbol")), text(told.get("listing_exchange")), currency)
        return share_execution(told, client_order_id=ref, instrument=name, currency=currency)


def _aware(at: dt.datetime) -> None:
    if at.tzinfo is None:
        raise BrokerError(f"Interactive Brokers: expected an instant with a time zone, found {at}")


def _refused(order: Order, why: str) -> Acknowledgement:
    return Acknowledgement(order.client_order_id, OrderState.REJECTED, "", one_line(why))


def _told(answer: Answer | NoAnswer) -> str:
    """An answer in a line of a reason."""
    if isinstance(answer, NoAnswer):
        return answer.reason
    return one_line(f"status {answer.status}: {answer.body[:200].decode('utf-8', 'replace')}")
