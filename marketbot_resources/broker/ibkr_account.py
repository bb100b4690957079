"""The account as Interactive Brokers tells it: cash, positions, open orders, executions and what it took back. Pure.

Not here: the questions themselves (`ibkr`), what becomes of the report (`book`). The Web API names no dividends, fees or
interest; they come with the broker's statements, and until then their cash is a difference that reconciliation shows.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from marketbot_resources.broker.ibkr_gateway import Json, number, record, text
from marketbot_resources.broker.ibkr_orders import FOREIGN, STATES, side_of
from marketbot_resources.errors import BrokerError
from marketbot_resources.model import Bust, Execution, Kind, OpenOrder, OrderState, Side, to_money

_WHOLE = frozenset({"BASE"})  # the sum of all in the base currency, not a currency
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
Instrument = Callable[[str, str, str, str], str]
"""Our instrument of (conid, ticker, listing exchange, currency); FOREIGN and the conid where there is none."""


@dataclass(frozen=True, slots=True)
class Trades:
    """What a list of trades says: the executions that stand, and those that the broker corrected or took back."""

    executions: tuple[Execution, ...]
    busts: tuple[Bust, ...]


def cash_of(ledger: Mapping[str, Json]) -> dict[str, Decimal]:
    """Cash per currency, to its minor unit, sorted; the sum in the base currency is left out."""
    found = {}
    for currency in sorted(set(ledger) - _WHOLE):
        amount = to_money(number(record(ledger[currency], currency).get("cashbalance"), "cashbalance"), currency)
        if amount:
            found[currency] = amount
    return found


def positions_of(pages: Iterable[Sequence[Json]], account: str, instrument: Instrument) -> dict[str, Decimal]:
    """Shares per instrument, sorted. Raises BrokerError for another account's position and for one that is told twice."""
    found: dict[str, Decimal] = {}
    for page in pages:
        for each in page:
            entry = record(each, "position")
            if text(entry.get("acctId")) != account:
                raise BrokerError("Interactive Brokers: expected positions of the mandate's account, found another's")
            shares = number(entry.get("position"), "position")
            if not shares:
                continue
            ticker = text(entry.get("ticker")) or text(entry.get("contractDesc"))
            name = instrument(
                text(entry.get("conid")), ticker, text(entry.get("listingExchange")), text(entry.get("currency"))
            )
            if text(entry.get("assetClass")) != "STK":
                name = FOREIGN + text(entry.get("conid"))
            if name in found:
                raise BrokerError(f"Interactive Brokers: expected one position of {name}, found two")
            found[name] = shares
    return dict(sorted(found.items()))


def open_orders_of(
    orders: Iterable[Mapping[str, Json]], instrument: Instrument, name: Callable[[Mapping[str, Json]], str]
) -> tuple[OpenOrder, ...]:
    """What the broker still works; an order in a state of which nobody knows the meaning counts as open. By client order id."""
    found = []
    for told in orders:
        state = STATES.get(text(told.get("status")), OrderState.UNKNOWN)
        if state not in (OrderState.ACKED, OrderState.UNKNOWN):
            continue
        currency = text(told.get("cashCcy"))
        place = (text(told.get("conid")), text(told.get("ticker")), text(told.get("listingExchange")), currency)
        price = told.get("price")
        found.append(
            OpenOrder(
                client_order_id=name(told),
                instrument=instrument(*place),
                side=side_of(told.get("side")),
                remaining=number(told.get("remainingQuantity"), "remainingQuantity"),
                limit_price=None if price in (None, "") else number(price, "price"),
                currency=currency,
            )
        )
    return tuple(sorted(found, key=lambda order: order.client_order_id))


def filled_of(trades: Iterable[Mapping[str, Json]], ref: str, side: Side | None) -> Decimal:
    """The size that stands under one order reference on one side (None: both), corrections counted once.

    A bracket's exits carry the reference of their entry and stand on the other side.
    """
    mine = [told for told in trades if text(told.get("order_ref")) == ref]
    newest = _newest([told for told in mine if side is None or side_of(told.get("side")) is side])
    return sum((number(told.get("size"), "size") for told in newest.values()), Decimal(0))


def trades_of(trades: Iterable[Mapping[str, Json]], make: Callable[[Mapping[str, Json]], Execution]) -> Trades:
    """Executions by time and id, each once, and what was corrected.

    The broker corrects an execution by another one whose id differs in its last part alone, one higher; a correction to nothing
    takes it back. Raises BrokerError when one id is told with two contents.
    """
    told = _unique(trades)
    newest, busts = _newest(told.values()), []
    for execution_id, entry in sorted(told.items()):
        last = newest[_stem(execution_id)]
        final = text(last.get("execution_id"))
        if final != execution_id:
            busts.append(_bust(execution_id, last, entry))
    for stem, last in sorted(newest.items()):
        final = text(last.get("execution_id"))
        first = _revision(final)
        for number_before in range(1, first):  # corrected before we ever asked
            earlier = f"{stem}.{number_before:02d}"
            if earlier not in told:
                busts.append(_bust(earlier, last, last))
    standing = [make(entry) for entry in newest.values() if number(entry.get("size"), "size") != 0]
    return Trades(
        tuple(sorted(standing, key=lambda fill: (fill.executed_at, fill.execution_id))),
        tuple(sorted(busts, key=lambda bust: (bust.told_at, bust.execution_id))),
    )


def share_execution(told: Mapping[str, Json], *, client_order_id: str, instrument: str, currency: str) -> Execution:
    """One execution of shares. Its commission is told without a currency; it is charged in the listing's.

    Taxes and exchange fees that the broker passes on stand in the commission.
    """
    return Execution(
        execution_id=text(told.get("execution_id")),
        client_order_id=client_order_id,
        kind=Kind.EQUITY,
        instrument=instrument,
        side=side_of(told.get("side")),
        quantity=number(told.get("size"), "size"),
        price=number(told.get("price"), "price"),
        currency=currency,
        fee=_commission(told),
        tax=Decimal(0),
        executed_at=executed_at(told),
    )


def currency_execution(
    told: Mapping[str, Json], *, client_order_id: str, currency: str, base: str, quoted_first: bool
) -> Execution:
    """One conversion in our terms: units of `currency`, base per unit; a pair quoted in the base first is turned round."""
    size, price = number(told.get("size"), "size"), number(told.get("price"), "price")
    side = side_of(told.get("side"))
    if not price > 0:
        raise BrokerError(f"Interactive Brokers: expected a rate above 0, found {price}")
    if not quoted_first:
        side = Side.SELL if side is Side.BUY else Side.BUY
        size, price = to_money(size * price, currency), 1 / price
    return Execution(
        execution_id=text(told.get("execution_id")),
        client_order_id=client_order_id,
        kind=Kind.FX,
        instrument=f"FX:{currency}",
        side=side,
        quantity=size,
        price=price,
        currency=currency,
        fee=to_money(_commission(told), base),
        tax=Decimal(0),
        executed_at=executed_at(told),
    )


def executed_at(told: Mapping[str, Json]) -> dt.datetime:
    """When an execution happened; the broker writes milliseconds since 1970."""
    return _EPOCH + dt.timedelta(milliseconds=int(number(told.get("trade_time_r"), "trade_time_r")))


def _commission(told: Mapping[str, Json]) -> Decimal:
    """What it cost; zero while the broker has not reckoned it, which shows in cash until it has."""
    said = told.get("commission")
    return Decimal(0) if said is None or said == "" else number(said, "commission")


def _bust(execution_id: str, last: Mapping[str, Json], entry: Mapping[str, Json]) -> Bust:
    void = number(last.get("size"), "size") == 0
    return Bust(
        execution_id=execution_id,
        replaced_by="" if void else text(last.get("execution_id")),
        reason="taken back by the broker" if void else "corrected by the broker",
        told_at=max(executed_at(last), executed_at(entry)),
    )


def _unique(trades: Iterable[Mapping[str, Json]]) -> dict[str, Mapping[str, Json]]:
    found: dict[str, Mapping[str, Json]] = {}
    for told in trades:
        execution_id = text(told.get("execution_id"))
        known = found.setdefault(execution_id, told)
        names = ("conid", "side", "size", "price", "order_ref", "trade_time_r")
        if not execution_id or any(known.get(name) != told.get(name) for name in names):
            raise BrokerError(
                f"Interactive Brokers: expected one execution {execution_id}, found two with other contents"
            )
    return found


def _newest(trades: Iterable[Mapping[str, Json]]) -> dict[str, Mapping[str, Json]]:
    """The last correction of each execution, by the id without its last part."""
    found: dict[str, Mapping[str, Json]] = {}
    for told in trades:
        execution_id = text(told.get("execution_id"))
        stem = _stem(execution_id)
        if stem not in found or _revision(execution_id) > _revision(text(found[stem].get("execution_id"))):
            found[stem] = told
    return found


def _stem(execution_id: str) -> str:
    head, _, tail = execution_id.rpartition(".")
    return head if head and tail.isascii() and tail.isdigit() else execution_id


def _revision(execution_id: str) -> int:
    head, _, tail = execution_id.rpartition(".")
    return int(tail) if head and tail.isascii() and tail.isdigit() else 1
