"""The last-line gate (G6): a second look at orders right before the broker, with ceilings of its own. Pure.

It shares no code with the risk stage or the optimizer and reads no mandate: its ceilings are constants, looser than the default
mandate but hard. Whatever is missing, not a number, infinite or unreadable is a fault; a comparison says what must hold, so that
NaN fails it; values are exact decimals. Slices of an order (legs T1, T2, ...) are one order to every ceiling; the child of their
rest (TC) is in them and may be less. Not here: facts (`gate_facts`), reading an order (`gate_orders`), sending, the verdict.
"""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Context, Decimal, localcontext

from marketbot_assets.execution.gate_facts import GateFacts
from marketbot_assets.execution.gate_orders import PRICES, REST_LEG, is_part, place, priced, siblings
from marketbot_resources.model import Kind, Order, OrderType, Side, batch_sha256

ORDERS_PER_BATCH_MAX, PRICE_AGE_SESSIONS, _DIGITS = 200, 2, 100
ORDER_VALUE_MAX, LIMIT_BEYOND_REFERENCE_MAX = Decimal("0.07"), Decimal("0.06")
BUYS_MAX, FX_BUY_LEG_MAX, GROSS_MAX = Decimal("0.25"), Decimal("0.25"), Decimal("1.50")
APPROVED, FX_LEG, MONEY, SKEW_MAX = "APPROVED", "F", ("paper", "live"), dt.timedelta(seconds=30)
HALT_OFF, HALT_SELLS = ("off", "no-new-runs"), ("reduce-only", "flatten")
BEYOND_REFERENCE_UNLIMITED = Decimal("0.04")
_MAPPINGS = ("reference_price", "fx", "price_age", "decided_positions", "broker_positions", "own_fills")


class _Unreadable(Exception):
    """A fact that cannot be read; its text says which and what was found."""


def faults(orders: Sequence[Order], facts: GateFacts) -> tuple[str, ...]:
    """Why these orders may not be sent, one sentence each; empty = they may. Never raises: what goes wrong is a fault."""
    with localcontext(Context(prec=_DIGITS)):
        checks = (_permission, _account, _batch, _totals, _orders)
        return tuple(text for check in checks for text in _run("batch: ", check, orders, facts))


def _orders(orders: Sequence[Order], facts: GateFacts) -> Iterator[str]:
    facts = facts if facts.batch is not None else replace(facts, batch=tuple(orders))
    for order, check in ((order, check) for order in orders for check in (_place, _size)):
        yield from _run(f"order {order.client_order_id!s:.48}: ", check, order, facts)


def _run(name: str, check: Callable[..., Iterator[str]], subject: object, facts: GateFacts) -> list[str]:
    found: list[str] = []
    try:
        found.extend(name + text for text in check(subject, facts))
    except Exception as error:
        why = str(error) if type(error) is _Unreadable else f"expected readable facts, found {type(error).__name__}"
        found.append(name + why)
    return found


def _number(value: object, what: str, *, positive: bool = False) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise _Unreadable(f"expected {what} as a number, found {type(value).__name__}")
    found = Decimal(repr(float(value))) if isinstance(value, float) else Decimal(value)
    if not (found.is_finite() and (found > 0 or not positive)):
        raise _Unreadable(f"expected {what} finite{' and above 0' if positive else ''}, found {found}")
    return found


def _value(order: Order, facts: GateFacts) -> Decimal:
    """Fraction of NAV; shares at the higher of limit and reference price, without a limit at 4 % beyond the latter."""
    value = _number(order.quantity, "the quantity", positive=True)
    value *= _number(facts.fx.get(order.currency), f"the rate of {order.currency}", positive=True)
    if order.kind is not Kind.FX:
        reference = _number(facts.reference_price.get(order.instrument), "the reference price", positive=True)
        beyond = reference * (1 + BEYOND_REFERENCE_UNLIMITED) if order.limit_price is None else order.limit_price
        value *= max(reference, _number(beyond, "the limit", positive=True))
    return value / _number(facts.nav, "the NAV", positive=True)


def _permission(orders: Sequence[Order], facts: GateFacts) -> Iterator[str]:
    """Verdict, broker, halt flag (two levels let sells go), NAV, the present; a text would pass for a collection of texts."""
    off = HALT_OFF + (HALT_SELLS if all(order.side is Side.SELL for order in orders) else ())
    money = facts.permitted_environment
    words = (
        ("verdict", facts.verdict, (APPROVED,)),
        ("halt flag", facts.halt_status, off),
        ("permission", money, MONEY),
    )
    for what, word, wanted in (*words, ("broker", facts.environment, (money,))):
        if not (isinstance(word, str) and word in wanted):
            yield f"expected the {what} to be {wanted[0]}, found {word!s:.40}"
    if type(facts.session) is not dt.date or facts.now.utcoffset() is None:
        yield f"expected a session and an instant with zone, found {facts.session} and {facts.now}"
    if not (isinstance(facts.broker_at, dt.datetime) and abs(facts.broker_at - facts.now) <= SKEW_MAX):
        yield f"expected the broker's clock within {SKEW_MAX} of ours, found {facts.broker_at} at {facts.now}"
    kinds = {tuple: ("open_orders",), frozenset: ("already_sent", "known_instruments"), Mapping: _MAPPINGS}
    for name, kind in ((name, kind) for kind, names in kinds.items() for name in names):
        if not isinstance(getattr(facts, name), kind):
            yield f"expected {name} as {kind.__name__}, found {type(getattr(facts, name)).__name__}"
    _number(facts.nav, "the NAV", positive=True)


def _account(_: object, facts: GateFacts) -> Iterator[str]:
    """The account is the one that was decided upon, but for our own fills; nothing short, nothing unknown."""
    sources = (facts.decided_positions, facts.own_fills, facts.broker_positions)
    for name in sorted({name for source in sources for name in source}):
        decided, fills, found = (_number(source.get(name, 0), f"the shares of {name}") for source in sources)
        if not decided + fills == found:
            yield f"expected {decided + fills} shares of {name} at the broker, found {found}"
        if not (found >= 0 and name in facts.known_instruments):
            yield f"expected known names held long, found {found} shares of {name}"
    for order in facts.open_orders:
        is_leg = order.instrument == f"FX:{order.currency}" and order.currency in facts.fx
        remaining = _number(order.remaining, f"what remains of open order {order.client_order_id}")
        is_known = is_leg or order.instrument in facts.known_instruments
        if not (is_known and type(order.side) is Side and remaining >= 0):
            yield f"expected readable open orders in known names, found {order}"


def _batch(orders: Sequence[Order], facts: GateFacts) -> Iterator[str]:
    """Orders out are orders approved, one per name, not too many."""
    batch = orders if facts.batch is None else facts.batch
    if not all(isinstance(held, list | tuple) and all(type(o) is Order for o in held) for held in (orders, batch)):
        yield "expected a sequence of orders, found something else"
    digest, approved = batch_sha256(batch), set(batch)
    if not (digest == facts.approved_sha256 and digest == facts.frozen_sha256):
        yield f"expected the approved batch {facts.approved_sha256} as frozen {facts.frozen_sha256}, found {digest}"
    if not len(batch) <= ORDERS_PER_BATCH_MAX:
        yield f"found {len(batch)} orders, limit {ORDERS_PER_BATCH_MAX}"
    known = {replace(o, quantity=Decimal(0)): o.quantity for o in batch if o.leg == REST_LEG}
    for order in orders:
        rest = order.leg == REST_LEG and 0 < order.quantity <= known.get(replace(order, quantity=Decimal(0)), 0)
        if not (rest or order in approved):
            yield f"expected approved orders, found {order.client_order_id}"
    for held in (batch, orders):
        parts = [o for o in held if is_part(o)]
        whole = [o for o in held if not is_part(o)] + list({(o.instrument, o.side): o for o in parts}.values())
        keys = [(place(o.instrument, o.side), o if o.leg == FX_LEG else o.instrument) for o in whole]
        counts = Counter((*(key for row in keys for key in row), *(o.client_order_id for o in held)))
        counts.update(f"{o.instrument} leg {o.leg}" for o in parts)
        yield from (f"expected every order once, found {key} {n} times" for key, n in counts.items() if not n == 1)


def _totals(orders: Sequence[Order], facts: GateFacts) -> Iterator[str]:
    """Of the whole batch buys (shares) and gross (legs, too), fractions of NAV; long only: sells within free shares."""
    batch = orders if facts.batch is None else facts.batch
    values = [(order, _value(order, facts)) for order in batch if order.leg != REST_LEG]
    for rest in (order for order in batch if order.leg == REST_LEG):
        slices = sum(o.quantity for o in siblings(rest, batch))
        if not rest.quantity <= slices:
            yield f"found a rest of {rest.quantity} shares of {rest.instrument}, limit {slices}"
    buys = sum((v for o, v in values if o.side is not Side.SELL and o.kind is not Kind.FX), Decimal(0))
    gross = sum((v for _, v in values), Decimal(0))
    if not (buys <= BUYS_MAX and gross <= GROSS_MAX):
        yield f"found buys of {buys:.6g} and all orders of {gross:.6g} of NAV, limits {BUYS_MAX} and {GROSS_MAX}"
    for rest in (order for order in orders if order.leg == REST_LEG):
        done = _number(facts.own_fills.get(rest.instrument, 0), f"own fills of {rest.instrument}") * rest.side.sign
        ids = {o.client_order_id for o in siblings(rest, batch)}
        waiting = (_number(o.remaining, "what remains") for o in facts.open_orders if o.client_order_id in ids)
        most = sum((o.quantity for o in siblings(rest, batch)), Decimal(0)) - max(done, Decimal(0)) - sum(waiting)
        if not rest.quantity <= most:
            yield f"found a rest of {rest.quantity} shares of {rest.instrument} to send, limit {most}"
    sold = [o for o in orders if o.kind is not Kind.FX and o.side is not Side.BUY]
    for name in sorted({o.instrument for o in sold}):
        shares = sum(o.quantity for o in sold if o.instrument == name)
        open_ = (o.remaining for o in facts.open_orders if o.instrument == name and o.side is Side.SELL)
        free = _number(facts.broker_positions.get(name), f"the position in {name}") - sum(open_)
        if not shares <= free:
            yield f"found sells of {shares} shares of {name}, limit {free}"


def _place(order: Order, facts: GateFacts) -> Iterator[str]:
    """Orders in known shares, or currency legs; of this session, in the window, but for its slices nothing open in the name."""
    if not (isinstance(order.client_order_id, str) and order.client_order_id and isinstance(order.side, Side)):
        yield "expected an id and a side, found none"
    is_leg = order.kind is Kind.FX and order.leg == FX_LEG and order.instrument == f"FX:{order.currency}"
    is_share = order.kind is Kind.EQUITY and order.leg != FX_LEG and order.instrument in facts.known_instruments
    bare = order.type is OrderType.LIMIT_ON_OPEN and all(getattr(order, name) is None for name in PRICES)
    if not ((is_share and priced(order)) or (is_leg and bare)):
        yield f"expected known shares at a limit or by their type, or a bare currency leg, found {order.kind} {order.instrument}"
    if not order.session == facts.session:
        yield f"expected session {facts.session}, found {order.session}"
    if not order.send_from <= facts.now <= order.send_until:
        yield f"found now {facts.now}, window {order.send_from} to {order.send_until}"
    own = {o.client_order_id for o in siblings(order, facts.batch or ())} - {order.client_order_id}
    others = [o for o in facts.open_orders if o.client_order_id not in own]
    taken = {key for o in others for key in (o.client_order_id, *(place(o.instrument, s) for s in Side))}
    if found := {order.client_order_id, place(order.instrument, order.side)} & (taken | facts.already_sent):
        yield f"expected a new order, found {' and '.join(sorted(found))} open or sent already"


def _size(order: Order, facts: GateFacts) -> Iterator[str]:
    """Value of one order (of a currency leg when it buys), a fresh price, a limit that is not far beyond it."""
    share, is_fx = _value(order, facts), order.kind is Kind.FX
    share = max(share, sum((_value(child, facts) for child in siblings(order, facts.batch or ())), Decimal(0)))
    most = FX_BUY_LEG_MAX if is_fx else ORDER_VALUE_MAX
    if not (share <= most or (is_fx and order.side is Side.SELL)):
        yield f"found a value of {share:.6g} of NAV, limit {most}"
    age = _number(facts.price_age.get(order.instrument), "the age of the price")
    if not 0 <= age < PRICE_AGE_SESSIONS:
        yield f"found a price {age} sessions old, limit below {PRICE_AGE_SESSIONS}"
    if not is_fx and order.limit_price is not None:
        reference, limit = (_number(n, "a price") for n in (facts.reference_price[order.instrument], order.limit_price))
        if not order.side.sign * (limit - reference) <= LIMIT_BEYOND_REFERENCE_MAX * reference:
            yield f"found limit {limit} at price {reference}, limit {LIMIT_BEYOND_REFERENCE_MAX} beyond it"
