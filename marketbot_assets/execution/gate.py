"""The last-line gate (G6): a second look at orders right before the broker, with ceilings of its own. Pure.

It shares no code with the risk stage or the optimizer and reads no mandate: its ceilings are constants, looser than the default
mandate but hard. What is missing, not a number, infinite or unreadable is a fault; a comparison says what must hold, so NaN fails
it; values are exact decimals. Slices (legs T1, T2, ...) are one order to every ceiling; the child of their rest (TC) is in them.
Not here: facts (`gate_facts`), reading an order or a number (`gate_orders`), sending, the verdict.
"""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Context, Decimal, localcontext
from functools import cached_property

from marketbot_assets.execution.gate_facts import COLLECTIONS, GateFacts
from marketbot_assets.execution.gate_orders import REST_LEG, Unreadable, by_key, is_part, number, place, priced, sliced
from marketbot_resources.model import Kind, OpenOrder, Order, Side, batch_sha256

ORDERS_PER_BATCH_MAX, PRICE_AGE_SESSIONS, _DIGITS, _ZERO = 200, 2, 100, Decimal(0)
ORDER_VALUE_MAX, LIMIT_BEYOND_REFERENCE_MAX, BEYOND_REFERENCE_UNLIMITED = map(Decimal, ("0.07", "0.06", "0.04"))
BUYS_MAX, FX_BUY_LEG_MAX, GROSS_MAX = Decimal("0.25"), Decimal("0.25"), Decimal("1.50")
APPROVED, FX_LEG, MONEY, SKEW_MAX = "APPROVED", "F", ("paper", "live"), dt.timedelta(seconds=30)
HALT_OFF, HALT_SELLS = ("off", "no-new-runs"), ("reduce-only", "flatten")


class _Asked:
    """One call: the orders asked about, the facts, and what more than one check asks of them, worked out once."""

    def __init__(self, orders: Sequence[Order], facts: GateFacts) -> None:
        self.orders, self.facts, self._values = orders, facts, dict[int, Decimal]()

    @cached_property
    def batch(self) -> Sequence[Order]:
        return self.orders if self.facts.batch is None else self.facts.batch

    @cached_property
    def _slices(self) -> Mapping[str, Sequence[Order]]:
        return by_key((order for order in self.batch if sliced(order)), "instrument")

    @cached_property
    def working(self) -> Mapping[str, Sequence[OpenOrder]]:
        return by_key(self.facts.open_orders, "instrument", "client_order_id")

    def siblings(self, order: Order) -> Sequence[Order]:
        """The slices of the parent that an order is a slice or the rest of, itself included; none for any other order."""
        return [o for o in self._slices.get(order.instrument, ()) if o.side == order.side] if is_part(order) else ()

    def value(self, order: Order) -> Decimal:
        """Fraction of NAV; shares at the higher of limit and reference price, without a limit at 4 % beyond the latter."""
        if id(order) not in self._values:
            value = number(order.quantity, "the quantity", positive=True)
            value *= number(self.facts.fx.get(order.currency), "the rate of ", order.currency, positive=True)
            if order.kind is not Kind.FX:
                price = number(self.facts.reference_price.get(order.instrument), "the reference price", positive=True)
                beyond = price * (1 + BEYOND_REFERENCE_UNLIMITED) if order.limit_price is None else order.limit_price
                value *= max(price, number(beyond, "the limit", positive=True))
            self._values[id(order)] = value / number(self.facts.nav, "the NAV", positive=True)
        return self._values[id(order)]


def faults(orders: Sequence[Order], facts: GateFacts) -> tuple[str, ...]:
    """Why these orders may not be sent, one sentence each; empty = they may. Never raises: what goes wrong is a fault."""
    with localcontext(Context(prec=_DIGITS)):
        checks, asked = (_permission, _account, _batch, _totals, _orders), _Asked(orders, facts)
        return tuple(f"batch: {text}" for check in checks for text in _run(check, asked, facts))


def _orders(asked: _Asked, facts: GateFacts) -> Iterator[str]:
    for order in asked.orders:
        found = [text for check in (_place, _size) for text in _run(check, order, asked, facts)]
        yield from (f"order {order.client_order_id!s:.48}: {text}" for text in found)


def _run(check: Callable[..., Iterator[str]], *known: object) -> list[str]:
    found: list[str] = []
    try:
        found.extend(check(*known))
    except Exception as error:
        why = str(error) if type(error) is Unreadable else f"expected readable facts, found {type(error).__name__}"
        found.append(why)
    return found


def _permission(asked: _Asked, facts: GateFacts) -> Iterator[str]:
    """Verdict, broker, halt flag (two levels let sells go), NAV, the present; a text would pass for a collection of texts."""
    go = HALT_OFF + (HALT_SELLS if all(order.side is Side.SELL for order in asked.orders) else ())
    paid = facts.permitted_environment
    words = (("verdict", facts.verdict, (APPROVED,)), ("halt flag", facts.halt_status, go), ("permission", paid, MONEY))
    for what, word, wanted in (*words, ("broker", facts.environment, (paid,))):
        if not (isinstance(word, str) and word in wanted):
            yield f"expected the {what} to be {wanted[0]}, found {word!s:.40}"
    if type(facts.session) is not dt.date or facts.now.utcoffset() is None:
        yield f"expected a session and an instant with zone, found {facts.session} and {facts.now}"
    if not (isinstance(facts.broker_at, dt.datetime) and abs(facts.broker_at - facts.now) <= SKEW_MAX):
        yield f"expected the broker's clock within {SKEW_MAX} of ours, found {facts.broker_at} at {facts.now}"
    for name, kind in COLLECTIONS.items():
        if not isinstance(getattr(facts, name), kind):
            yield f"expected {name} as {kind.__name__}, found {type(getattr(facts, name)).__name__}"
    number(facts.nav, "the NAV", positive=True)


def _account(_: _Asked, facts: GateFacts) -> Iterator[str]:
    """The account is the one that was decided upon, but for our own fills; nothing short, nothing unknown."""
    sources, known = (facts.decided_positions, facts.own_fills, facts.broker_positions), facts.known_instruments
    for name in sorted({name for source in sources for name in source}):
        decided, fills, found = [number(source.get(name, _ZERO), "the shares of ", name) for source in sources]
        if not decided + fills == found:
            yield f"expected {decided + fills} shares of {name} at the broker, found {found}"
        if not (found >= _ZERO and name in known):
            yield f"expected known names held long, found {found} shares of {name}"
    for order in facts.open_orders:
        is_leg = order.instrument == f"FX:{order.currency}" and order.currency in facts.fx
        remaining = number(order.remaining, "what remains of open order ", order.client_order_id)
        if not ((is_leg or order.instrument in known) and type(order.side) is Side and remaining >= _ZERO):
            yield f"expected readable open orders in known names, found {order}"


def _batch(asked: _Asked, facts: GateFacts) -> Iterator[str]:
    """Orders out are orders approved, one per name, not too many."""
    orders, batch = asked.orders, asked.batch
    if not all(isinstance(held, list | tuple) and all(type(o) is Order for o in held) for held in (orders, batch)):
        yield "expected a sequence of orders, found something else"
    digest, approved, same = batch_sha256(batch), set(batch), {id(order) for order in batch}
    if not (digest == facts.approved_sha256 and digest == facts.frozen_sha256):
        yield f"expected the approved batch {facts.approved_sha256} as frozen {facts.frozen_sha256}, found {digest}"
    if not len(batch) <= ORDERS_PER_BATCH_MAX:
        yield f"found {len(batch)} orders, limit {ORDERS_PER_BATCH_MAX}"
    known = {replace(o, quantity=_ZERO): o.quantity for o in batch if o.leg == REST_LEG}
    for order in orders:
        rest = order.leg == REST_LEG and 0 < order.quantity <= known.get(replace(order, quantity=_ZERO), _ZERO)
        if not (id(order) in same or rest or order in approved):
            yield f"expected approved orders, found {order.client_order_id}"
    for held in (batch, orders) if not list(map(id, orders)) == list(map(id, batch)) else (batch,):
        parts = [o for o in held if is_part(o)]
        whole = [o for o in held if not is_part(o)] + list({(o.instrument, o.side): o for o in parts}.values())
        counts = Counter[object](place(o.instrument, o.side) for o in whole)
        counts.update(o if o.leg == FX_LEG else o.instrument for o in whole)
        counts.update([*(o.client_order_id for o in held), *(f"{o.instrument} leg {o.leg}" for o in parts)])
        yield from (f"expected every order once, found {key} {n} times" for key, n in counts.items() if not n == 1)


def _totals(asked: _Asked, facts: GateFacts) -> Iterator[str]:
    """Of the whole batch buys (shares) and gross (legs, too), fractions of NAV; long only: sells within free shares."""
    values = [(order, asked.value(order)) for order in asked.batch if order.leg != REST_LEG]
    for rest in (order for order in asked.batch if order.leg == REST_LEG):
        if not rest.quantity <= (slices := sum(o.quantity for o in asked.siblings(rest))):
            yield f"found a rest of {rest.quantity} shares of {rest.instrument}, limit {slices}"
    buys = sum((v for o, v in values if o.side is not Side.SELL and o.kind is not Kind.FX), _ZERO)
    gross = sum((v for _, v in values), _ZERO)
    if not (buys <= BUYS_MAX and gross <= GROSS_MAX):
        yield f"found buys of {buys:.6g} and all orders of {gross:.6g} of NAV, limits {BUYS_MAX} and {GROSS_MAX}"
    for rest in (order for order in asked.orders if order.leg == REST_LEG):
        done = number(facts.own_fills.get(rest.instrument, _ZERO), "own fills of ", rest.instrument) * rest.side.sign
        ids = {o.client_order_id for o in asked.siblings(rest)}
        waiting = (number(o.remaining, "what remains") for o in facts.open_orders if o.client_order_id in ids)
        most = sum((o.quantity for o in asked.siblings(rest)), _ZERO) - max(done, _ZERO) - sum(waiting)
        if not rest.quantity <= most:
            yield f"found a rest of {rest.quantity} shares of {rest.instrument} to send, limit {most}"
    sold = by_key((o for o in asked.orders if o.kind is not Kind.FX and o.side is not Side.BUY), "instrument")
    for name in sorted(sold):
        open_ = (o.remaining for o in asked.working.get(name, ()) if o.instrument == name and o.side is Side.SELL)
        free = number(facts.broker_positions.get(name), "the position in ", name) - sum(open_)
        if not (shares := sum(o.quantity for o in sold[name])) <= free:
            yield f"found sells of {shares} shares of {name}, limit {free}"


def _place(order: Order, asked: _Asked, facts: GateFacts) -> Iterator[str]:
    """Orders in known shares, or currency legs; of this session, in the window, but for its slices nothing open in the name."""
    name, side = order.client_order_id, order.side
    if not (isinstance(name, str) and name and isinstance(side, Side)):
        yield "expected an id and a side, found none"
    is_leg = order.kind is Kind.FX and order.leg == FX_LEG and order.instrument == f"FX:{order.currency}"
    is_share = order.kind is Kind.EQUITY and order.leg != FX_LEG and order.instrument in facts.known_instruments
    if not ((is_share or is_leg) and priced(order)):
        yield f"expected known shares at a limit or by their type, or a bare currency leg, found {order.kind} {order.instrument}"
    if not order.session == facts.session:
        yield f"expected session {facts.session}, found {order.session}"
    if not order.send_from <= facts.now <= order.send_until:
        yield f"found now {facts.now}, window {order.send_from} to {order.send_until}"
    own = {o.client_order_id for o in asked.siblings(order)} - {name}
    others = [o for key in (name, order.instrument) for o in asked.working.get(key, ()) if o.client_order_id not in own]
    taken = {key for o in others for key in (o.client_order_id, *(place(o.instrument, s) for s in Side))}
    if found := {name, place(order.instrument, side)} & (taken | facts.already_sent):
        yield f"expected a new order, found {' and '.join(sorted(found))} open or sent already"


def _size(order: Order, asked: _Asked, facts: GateFacts) -> Iterator[str]:
    """Value of one order (of a currency leg when it buys), a fresh price, a limit that is not far beyond it."""
    share = max(asked.value(order), sum(map(asked.value, asked.siblings(order)), _ZERO))
    most = FX_BUY_LEG_MAX if (is_fx := order.kind is Kind.FX) else ORDER_VALUE_MAX
    if not (share <= most or (is_fx and order.side is Side.SELL)):
        yield f"found a value of {share:.6g} of NAV, limit {most}"
    age = number(facts.price_age.get(order.instrument), "the age of the price")
    if not _ZERO <= age < PRICE_AGE_SESSIONS:
        yield f"found a price {age} sessions old, limit below {PRICE_AGE_SESSIONS}"
    if not is_fx and order.limit_price is not None:
        reference, limit = (number(n, "a price") for n in (facts.reference_price[order.instrument], order.limit_price))
        if not order.side.sign * (limit - reference) <= LIMIT_BEYOND_REFERENCE_MAX * reference:
            yield f"found limit {limit} at price {reference}, limit {LIMIT_BEYOND_REFERENCE_MAX} beyond it"
