"""The projected book: positions, open orders and proposed orders as numbers, by the risk stage's own path.

Buys count at their limit price, without one at the last close and MARKET_MARGIN more, everything else at the last close. The slices
of one parent count as one order where a rule is about one order; the child that takes what they leave is in them already and
counts as nothing. Whatever cannot be read becomes NaN, and NaN fails every
comparison. Not here: limits and statuses (`control` and the `*_controls`).
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from marketbot_assets.risk.inputs import Flags, Floats, RiskInputs
from marketbot_assets.risk.trade_facts import guarded
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import BASIS_POINT, Kind, Order, Side
from marketbot_resources.order_slices import CLOSE_LEG, is_slice
from marketbot_resources.order_types import MARKET_MARGIN, STOP_LEG, UNLIMITED

T = TypeVar("T")
WITH, WITHOUT, REDUCTIONS = 0, 1, 2
NAN = float("nan")


@dataclass(frozen=True, slots=True)
class Projection:
    """One batch of m orders on a book of n instruments.

    `rows` (m,): the order's instrument, -1 for FX legs and unknown names; `signs` (m,): +1 buy, -1 sell, 0 unreadable.
    `parents` (m,): number of the order that each is a slice of, its own where it is none; `spare` (m,): takes only what slices
    leave, its `quantity` and `value` are 0. `parent_quantity`, `parent_value` (m,): of all slices of the order's parent together.
    `rate` (n,): base per unit of the listing currency. `value` (m,): base currency, buys at limit; `cost` (m,): fraction of it.
    `pre` (n,): shares with open orders filled; `available` (n,): shares that can be sold (open sells gone, open buys not there).
    `reducing` (m,): |post| < |pre| with the same sign (a full exit included); FX legs are neither reducing nor increasing.
    `increasing` (m,) and `increasing_ids`: the orders that add risk.
    `weights` (n, 3): fraction of NAV with the batch, without it, and with its risk-reducing orders alone.
    `positions`, `opened`, `fund` (n,) and `currencies` (n): the inputs' fields as numbers and texts; more of them as properties.
    """

    inputs: RiskInputs
    orders: tuple[Order, ...]
    mandate: Mandate
    nav: float
    rows: NDArray[np.int64]
    signs: Floats
    is_fx: Flags
    parents: NDArray[np.int64]
    spare: Flags
    quantity: Floats
    parent_quantity: Floats
    parent_value: Floats
    limit: Floats
    price: Floats
    rate: Floats
    age: Floats
    value: Floats
    cost: Floats
    pre: Floats
    available: Floats
    reducing: Flags
    weights: Floats
    increasing: Flags
    increasing_ids: tuple[str, ...]
    positions: Floats
    opened: Floats
    fund: Floats
    currencies: tuple[str, ...]
    _kept: dict[str, object] = field(default_factory=dict, init=False, repr=False, compare=False)

    def once(self, key: str, make: Callable[[], T]) -> T:
        """What `make` said when it was first asked for this key: what several controls read of one batch is worked out once."""
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]  # type: ignore[return-value]

    @property
    def adv(self) -> Floats:
        """(n,) average daily value, base currency; NaN where it cannot be read."""
        return self.once("adv", lambda: numbers(self.inputs.adv, len(self.price)))

    @property
    def sigma_daily(self) -> Floats:
        """(n,) volatility per session; NaN where it cannot be read."""
        return self.once("sigma_daily", lambda: numbers(self.inputs.sigma_daily, len(self.price)))

    @property
    def sectors(self) -> tuple[str, ...]:
        """(n,) sectors, empty where one cannot be read."""
        return self.once("sectors", lambda: texts(self.inputs.sector, len(self.price)))

    @property
    def countries(self) -> tuple[str, ...]:
        """(n,) countries, empty where one cannot be read."""
        return self.once("countries", lambda: texts(self.inputs.country, len(self.price)))

    def ids(self, flags: Flags) -> tuple[str, ...]:
        """Client order ids of the flagged orders."""
        return tuple(order.client_order_id for order, flag in zip(self.orders, flags, strict=True) if flag)

    def increasing_in(self, names: Flags) -> tuple[str, ...]:
        """Client order ids of orders that add risk in the flagged instruments (n,); unknown names always count."""
        return tuple(name for name, row in self.once("adding", self._adding) if row < 0 or names[row])

    def _adding(self) -> list[tuple[str, int]]:
        """(client order id, row) of the orders that add risk."""
        rows = self.rows[self.increasing].tolist()
        return list(zip(self.increasing_ids, rows, strict=True))

    def tradeable(self, row: int) -> bool:
        """Whether an order in this instrument can exist at all: fresh price, fresh rate, no quarantine, no event ahead (RC-24)."""
        fresh = 0.0 <= self.age[row] < self.mandate.limits.price_freshness.stale_sessions
        priced = np.isfinite(self.price[row]) and np.isfinite(self.rate[row])
        stale = self.inputs.currency[row] in members(self.inputs.stale_currencies)
        closed = {*members(self.inputs.quarantined), *members(self.inputs.trade.ended), *guarded(self.inputs.trade)}
        return bool(fresh and priced and not stale and self.inputs.instruments[row] not in closed)


def number(value: object) -> float:
    """A float; NaN for whatever is no number (None, text, a flag, a signalling NaN)."""
    if type(value) is float:
        return value
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return NAN
    try:
        return float(value)
    except (ValueError, OverflowError):
        return NAN


def numbers(values: object, n: int) -> Floats:
    """(n,) floats; all NaN when the length differs or the values are no numbers."""
    if isinstance(values, tuple | list):
        values = _read(values)
    try:
        array = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        return np.full(n, NAN)
    return array if array.shape == (n,) else np.full(n, NAN)


def _read(values: Sequence[object]) -> list[float]:
    """`number` of each."""
    if set(map(type, values)) <= {float, Decimal}:
        try:
            return list(map(float, values))  # type: ignore[arg-type]
        except ValueError:  # a signalling NaN
            pass
    return [number(value) for value in values]


def texts(values: object, n: int) -> tuple[str, ...]:
    """N texts; empty ones when the length differs or a value is no text."""
    if not isinstance(values, tuple | list) or len(values) != n:
        return ("",) * n
    if set(map(type, values)) == {str}:
        return tuple(values)
    return tuple(value if isinstance(value, str) else "" for value in values)


def members(values: Iterable[T]) -> Collection[T]:
    """The collection itself; raises TypeError for None or a bare text, which would look like an empty collection."""
    if not isinstance(values, tuple | list | set | frozenset | dict):
        raise TypeError(f"expected a collection, found {type(values).__name__}")
    return values


def base_rate(inputs: RiskInputs, mandate: Mandate, currency: str) -> float:
    """Base currency per unit; NaN when unknown or not positive."""
    if currency == mandate.base_currency:
        return 1.0
    rate = number(inputs.fx_rates.get(currency))
    return rate if 0.0 < rate < float("inf") else NAN


def trading_cost(mandate: Mandate, currency: str, *, is_fund: bool, sign: float) -> float:
    """Spread, fee and tax of one order as a fraction of its value; an unlisted currency costs the worst rate."""
    costs = mandate.costs_bps
    fees = costs.half_spread_and_fee
    spread = fees.get("FUND" if is_fund else currency, max(fees.values()))
    tax = (costs.tax_buy if sign > 0 else costs.tax_sell).get(currency, 0.0)
    return (spread + tax) * BASIS_POINT


def times(shares: Floats, price: Floats) -> Floats:
    """Product in which no shares are worth 0 even without a price."""
    return np.asarray(np.where(shares == 0.0, 0.0, shares * price))


def _per_instrument(rows: NDArray[np.int64], amounts: Floats, n: int) -> Floats:
    total = np.zeros(n + 1)
    np.add.at(total, rows, amounts)
    return total[:n]


def _reducing(rows: NDArray[np.int64], signed: Floats, pre: Floats, available: Floats, is_fx: Flags) -> Flags:
    n = len(pre)
    sold = _per_instrument(rows, np.where(signed < 0, -signed, 0.0), n)
    bought = _per_instrument(rows, np.where(signed > 0, signed, 0.0), n)
    sells_reduce = np.append((available > 0) & (sold <= available) & (pre > 0) & (sold <= pre), False)
    buys_reduce = np.append((pre < 0) & (bought <= -pre) & (sold == 0), False)
    return np.asarray(~is_fx & np.where(signed < 0, sells_reduce[rows], (signed > 0) & buys_reduce[rows]))


def _apart(orders: Sequence[Order]) -> tuple[Flags, Flags]:
    """((m,) protective orders, (m,) these and what takes the rest of slices): orders that count as no amount of their own."""
    guards = [is_guard(order) for order in orders]
    rests = [order.kind is not Kind.FX and order.leg == CLOSE_LEG for order in orders]
    return np.array(guards, dtype=bool), np.array(guards, dtype=bool) | np.array(rests, dtype=bool)


def _free(rows: NDArray[np.int64], signs: Floats, asked: Floats, pre: Floats, available: Floats) -> Flags:
    """(m,) sells of shares that are held and free."""
    free = np.append(np.where(pre > 0, available, 0.0), 0.0)[rows]
    return np.asarray((signs < 0) & (asked > 0) & (asked <= free))


def is_unlimited(order: Order) -> bool:
    """Whether an order for shares is of a type without limit, and has none."""
    return order.kind is not Kind.FX and order.limit_price is None and order.type in UNLIMITED


def is_guard(order: Order) -> bool:
    """Whether an order protects at the broker: until it is hit it changes nothing, so it counts in no weight and no cash."""
    return order.kind is not Kind.FX and order.leg == STOP_LEG


def _parents(orders: Sequence[Order]) -> NDArray[np.int64]:
    """(m,) one number per parent: slices of one name and side share it, every other order has its own."""
    found: dict[tuple[object, ...], int] = {}
    keys = [
        (o.instrument, o.side) if o.kind is not Kind.FX and (is_slice(o.leg) or o.leg == CLOSE_LEG) else (j,)
        for j, o in enumerate(orders)
    ]
    return np.array([found.setdefault(key, len(found)) for key in keys], dtype=np.int64)


def _of_parents(parents: NDArray[np.int64], amounts: Floats) -> Floats:
    """(m,) the sum over the order's parent."""
    total = np.zeros(len(parents))
    np.add.at(total, parents, amounts)
    return np.asarray(total[parents])


def _costs(orders: Sequence[Order], rows: NDArray[np.int64], signs: Floats, fund: Floats, mandate: Mandate) -> Floats:
    """(m,) cost of each order as a fraction of its value."""
    cost = [
        mandate.costs_bps.fx * BASIS_POINT
        if order.kind is Kind.FX
        else trading_cost(mandate, order.currency, is_fund=row >= 0 and fund[row] == 1.0, sign=sign)
        for order, row, sign in zip(orders, rows, signs, strict=True)
    ]
    return np.array(cost, dtype=float)


def project(inputs: RiskInputs, orders: Sequence[Order], mandate: Mandate) -> Projection:
    """The book after `orders`. Orders are sorted by id first, so that their sequence changes nothing."""
    ordered = tuple(sorted(orders, key=lambda order: str(order.client_order_id)))
    names = inputs.instruments
    n, base = len(names), mandate.base_currency
    place = {name: row for row, name in enumerate(names)}
    is_fx = np.array([order.kind is Kind.FX for order in ordered], dtype=bool)
    rows = np.array(
        [-1 if order.kind is Kind.FX else place.get(order.instrument, -1) for order in ordered], dtype=np.int64
    )
    signs = np.array([{Side.BUY: 1.0, Side.SELL: -1.0}.get(order.side, 0.0) for order in ordered], dtype=float)
    guards, spare = _apart(ordered)
    asked = np.array([number(order.quantity) for order in ordered], dtype=float)
    quantity = np.where(spare, 0.0, asked)
    limit = np.array([number(order.limit_price) for order in ordered], dtype=float)
    price = numbers(inputs.price, n)
    price = np.where((price > 0) & np.isfinite(price), price, NAN)
    currencies = texts(inputs.currency, n)
    rates = {c: base_rate(inputs, mandate, c) for c in {*currencies, base, *(str(order.currency) for order in ordered)}}
    rate = np.array([rates[c] for c in currencies], dtype=float)
    fund = numbers(inputs.is_fund, n)
    order_rate = np.array([rates[str(order.currency)] for order in ordered], dtype=float)
    last = np.append(price, NAN)[rows]
    unlimited = np.array([is_unlimited(order) for order in ordered], dtype=bool)
    worth = np.where(unlimited, last * (1.0 + float(MARKET_MARGIN)), limit)
    paid = np.where(is_fx, 1.0, np.where(signs > 0, worth, last))
    value = quantity * paid * order_rate
    positions, opened = numbers(inputs.positions, n), numbers(inputs.open_quantity, n)
    pre, available = positions + opened, positions + np.minimum(opened, 0.0)
    sells = guards & _free(rows, signs, asked, pre, available)
    reducing = _reducing(rows, signs * quantity, pre, available, is_fx) | sells
    nav = number(inputs.nav)
    nav = nav if 0.0 < nav < float("inf") else NAN
    signed_value = np.where(is_fx, 0.0, signs * value)
    without = times(pre, price * rate)
    flow = _per_instrument(rows, signed_value, n)
    reductions = _per_instrument(rows, np.where(reducing, signed_value, 0.0), n)
    weights = np.stack([without + flow, without, without + reductions], axis=1) / nav
    increasing, parents = ~reducing & ~is_fx, _parents(ordered)
    return Projection(
        inputs=inputs,
        orders=ordered,
        mandate=mandate,
        nav=nav,
        rows=rows,
        signs=signs,
        is_fx=is_fx,
        parents=parents,
        spare=spare,
        quantity=quantity,
        parent_quantity=_of_parents(parents, quantity),
        parent_value=_of_parents(parents, value),
        limit=limit,
        price=price,
        rate=rate,
        age=numbers(inputs.price_age_sessions, n),
        value=value,
        cost=_costs(ordered, rows, signs, fund, mandate),
        pre=pre,
        available=available,
        reducing=reducing,
        weights=weights,
        increasing=increasing,
        increasing_ids=tuple(o.client_order_id for o, adds in zip(ordered, increasing, strict=True) if adds),
        positions=positions,
        opened=opened,
        fund=fund,
        currencies=currencies,
    )
