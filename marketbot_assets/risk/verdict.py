"""The engine: runs every control on a batch, makes orders smaller where they ask for it, and judges again. Pure.

It never makes an order larger and never adds one. Not here: the controls (`*_controls`, `funding`, `stress`), the frame of
a judgement and the way back to a batch (`schema`).
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from decimal import ROUND_FLOOR, Decimal

import numpy as np

from marketbot_assets.risk.account_controls import ACCOUNT_CONTROLS
from marketbot_assets.risk.accounted import ACCOUNTED, unaccounted
from marketbot_assets.risk.book_controls import BOOK_CONTROLS
from marketbot_assets.risk.control import ControlResult, Judgement, Rule, worst
from marketbot_assets.risk.exposure_controls import EXPOSURE_CONTROLS
from marketbot_assets.risk.funding import CASH, cash
from marketbot_assets.risk.inputs import RiskInputs
from marketbot_assets.risk.model_controls import MODEL_CONTROLS
from marketbot_assets.risk.model_facts import ModelFacts
from marketbot_assets.risk.order_controls import IDENTITY, ORDER_CONTROLS, ORDER_VALUE
from marketbot_assets.risk.permission_controls import ORDER_TYPE, PERMISSION_CONTROLS
from marketbot_assets.risk.platform_controls import PLATFORM_CONTROLS
from marketbot_assets.risk.post_trade_controls import POST_TRADE_CONTROLS
from marketbot_assets.risk.projection import Projection, is_unlimited, number, numbers, project, trading_cost
from marketbot_assets.risk.size_controls import SIZE_CONTROLS
from marketbot_assets.risk.state_controls import STATE_CONTROLS
from marketbot_assets.risk.stress import STRESS_CONTROLS
from marketbot_assets.risk.system_controls import SYSTEM_CONTROLS
from marketbot_assets.risk.tail_controls import TAIL_CONTROLS
from marketbot_resources.currencies import minor_digits
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import Kind, Order, Side, Status, batch_sha256
from marketbot_resources.order_slices import CLOSE_LEG, siblings
from marketbot_resources.order_types import MARKET_MARGIN, STOP_LEG

Test = Callable[[Projection], tuple[ControlResult, ...]]

CONTROLS: tuple[tuple[Rule, Test], ...] = tuple(
    sorted(
        (
            *PERMISSION_CONTROLS,
            *ORDER_CONTROLS,
            *SIZE_CONTROLS,
            (CASH, cash),
            *ACCOUNT_CONTROLS,
            *BOOK_CONTROLS,
            *TAIL_CONTROLS,
            *EXPOSURE_CONTROLS,
            *STRESS_CONTROLS,
            *STATE_CONTROLS,
            *MODEL_CONTROLS,
            *SYSTEM_CONTROLS,
            *POST_TRADE_CONTROLS,
            *PLATFORM_CONTROLS,
        ),
        key=lambda pair: pair[0].id,
    )
)
ROUNDS_MAX = 3
SHRINKING = (Status.SHRINK, Status.REJECT_ORDER, Status.REDUCE_ONLY)
# G5: what a batch of risk-reducing orders alone bypasses; RC-60 and RC-61 know it themselves.
BYPASSED = frozenset(f"RC-{n}" for n in (*range(30, 48), 49, 50, 52, 54, 71, 72))
# A batch that names what does not exist, or has an impossible size, is corrupt as a whole: not even its reductions go.
FINAL = frozenset({IDENTITY.id, ORDER_VALUE.id})
LOT_TOLERANCE = Decimal("1e-9")


def run_controls(
    inputs: RiskInputs,
    orders: Sequence[Order],
    mandate: Mandate,
    controls: Sequence[tuple[Rule, Test]] = CONTROLS,
) -> tuple[ControlResult, ...]:
    """All controls on one batch, none skipped. A control that raises answers its fail status with the reason (G2, G3).

    A limit without its control, or a control without its limit, halts.
    """
    problems = unaccounted(mandate, [rule.id for rule, _ in controls])
    halts = (
        (ACCOUNTED.result(ACCOUNTED.fail, "; ".join(problems), observed=len(problems), limit=0),) if problems else ()
    )
    with np.errstate(all="ignore"):
        try:
            projection = project(inputs, orders, mandate)
        # Whatever cannot even be read fails every control; the reason is kept, nothing is sent.
        except Exception as error:
            text = f"the book cannot be projected: {type(error).__name__}: {error}"
            return (*halts, *(rule.result(rule.fail, text) for rule, _ in controls))
        return (*halts, *(result for rule, test in controls for result in _answers(rule, test, projection)))


def _answers(rule: Rule, test: Test, projection: Projection) -> tuple[ControlResult, ...]:
    try:
        results = test(projection)
    # A control must not be skipped for any reason whatever.
    except Exception as error:
        text = f"{rule.name} cannot be computed: {type(error).__name__}: {error}"
        results = (rule.result(rule.fail, text, order_ids=projection.increasing_ids, keep=0.0),)
    if rule.id not in BYPASSED or projection.increasing_ids:
        return results
    return tuple(_bypassed(result) for result in results)


def _bypassed(result: ControlResult) -> ControlResult:
    if result.status <= Status.WARN:
        return result
    return replace(result, status=Status.WARN, message=f"passive, only risk-reducing orders: {result.message}")


def _floor(quantity: Decimal, keep: float, step: Decimal) -> Decimal:
    lots = (quantity * Decimal(repr(keep)) / step + LOT_TOLERANCE).to_integral_value(rounding=ROUND_FLOOR)
    return min(quantity, lots * step)


def _step(inputs: RiskInputs, order: Order) -> Decimal:
    if order.kind is Kind.FX:
        return Decimal(1).scaleb(-minor_digits(order.currency))
    return dict(zip(inputs.instruments, inputs.quantity_step, strict=True))[order.instrument]


def shrink(
    inputs: RiskInputs,
    mandate: Mandate,
    batch: Sequence[Order],
    results: Sequence[ControlResult],
    ids: Collection[str] | None = None,
) -> tuple[tuple[Order, ...], dict[str, str]]:
    """(the batch with every named order cut to the smallest share asked for, in whole lots; client order id -> control).

    An order whose lot is unknown is dropped. FX legs follow the buys and sells they serve. `ids`: cut these alone.
    """
    keep: dict[str, tuple[float, str]] = {}
    for result in results:
        if result.status in SHRINKING:
            for order_id in result.order_ids:
                share = result.keep if 0.0 <= result.keep <= 1.0 else 0.0
                if ids is None or order_id in ids:
                    keep[order_id] = min(keep.get(order_id, (2.0, "")), (share, result.control))
    left, causes = [], {}
    for order in batch:
        share, control = keep.get(order.client_order_id, (1.0, ""))
        quantity = _cut(inputs, order, share) if control else order.quantity
        if quantity != order.quantity:
            causes[order.client_order_id] = control
        if not quantity.is_nan() and quantity > 0:
            left.append(replace(order, quantity=quantity))
    left = _bounded(left, causes)
    return _refit_legs(inputs, mandate, batch, left, causes), causes


def _bounded(orders: Sequence[Order], causes: dict[str, str]) -> list[Order]:
    """What takes the rest of slices takes no more than all of them; without slices there is nothing to take."""
    found = []
    for order in orders:
        if order.kind is Kind.FX or order.leg != CLOSE_LEG:
            found.append(order)
            continue
        most = sum((child.quantity for child in siblings(order, orders)), Decimal(0))
        if most < order.quantity:
            causes.setdefault(order.client_order_id, ORDER_TYPE.id)
        if most > 0:
            found.append(replace(order, quantity=min(order.quantity, most)))
    return found


def _cut(inputs: RiskInputs, order: Order, keep: float) -> Decimal:
    try:
        return _floor(order.quantity, keep, _step(inputs, order))
    except (ArithmeticError, KeyError, TypeError, ValueError):
        return Decimal(0)


def _paid(order: Order, closes: Mapping[str, float]) -> float:
    """The limit; for an order without one its last close and MARKET_MARGIN more."""
    margin = 1.0 + float(MARKET_MARGIN)
    return closes.get(order.instrument, float("nan")) * margin if is_unlimited(order) else number(order.limit_price)


def _traded(orders: Sequence[Order], inputs: RiskInputs, mandate: Mandate) -> Mapping[tuple[str, Side], float]:
    """Value of equity orders at their limits per currency and side, in that currency, costs of buys included."""
    closes = dict(zip(inputs.instruments, numbers(inputs.price, len(inputs.instruments)), strict=True))
    total: dict[tuple[str, Side], float] = {}
    for order in orders:
        if order.kind is not Kind.FX and order.leg not in (CLOSE_LEG, STOP_LEG):
            key, buying = (order.currency, order.side), order.side is Side.BUY
            cost = trading_cost(mandate, order.currency, is_fund=False, sign=1.0) if buying else 0.0
            value = number(order.quantity) * _paid(order, closes) * (1.0 + cost)
            total[key] = total.get(key, 0.0) + value
    return total


def _refit_legs(
    inputs: RiskInputs, mandate: Mandate, before: Sequence[Order], after: Sequence[Order], causes: dict[str, str]
) -> tuple[Order, ...]:
    """FX legs after equity orders shrank: a BUY leg pays for what is left to buy, a SELL leg converts what is left to come."""
    had, has = _traded(before, inputs, mandate), _traded(after, inputs, mandate)
    refitted = []
    for order in after:
        quantity = order.quantity
        if order.kind is Kind.FX:
            key = (order.currency, Side.BUY if order.side is Side.BUY else Side.SELL)
            old, new = had.get(key, 0.0), has.get(key, 0.0)
            if new != old:
                quantity = min(quantity, _leg_quantity(inputs, order, old, new))
        if quantity != order.quantity:
            causes.setdefault(order.client_order_id, CASH.id)
        if quantity > 0:
            refitted.append(replace(order, quantity=quantity))
    return tuple(refitted)


def _leg_quantity(inputs: RiskInputs, leg: Order, old: float, new: float) -> Decimal:
    """A leg of size L that served trades worth `old` and now serves `new` < `old`, in its currency.

    A BUY leg that covered its trades keeps its spare in proportion and never falls below what `new` needs; one that did not
    keeps what `new` needs and no more. Debts stay covered as far as they were.
    """
    size = number(leg.quantity)
    cash_now = number(inputs.cash.get(leg.currency, 0)) if isinstance(inputs.cash, Mapping) else float("nan")
    if not all(np.isfinite(x) for x in (size, cash_now, old, new)) or old <= 0.0 or size <= 0.0:
        return Decimal(0)
    rest = max(0.0, size - (old - new))
    if leg.side is Side.BUY:
        debt, spare = min(size, max(0.0, -cash_now)), max(0.0, cash_now)
        if size + spare >= old + debt:
            rest = min(debt + (size - debt) * new / old, max(debt, rest))
        else:
            rest = min(size, max(debt, debt + new - spare))
    return _cut(inputs, leg, min(1.0, rest / size))


def _reductions(inputs: RiskInputs, batch: tuple[Order, ...], mandate: Mandate) -> tuple[Order, ...]:
    """The risk-reducing orders of a batch with the FX legs that they need."""
    try:
        with np.errstate(all="ignore"):
            increasing = project(inputs, batch, mandate).increasing_ids
    # Without a projection no order is known to reduce anything.
    except Exception:
        return ()
    dropped = set(increasing)
    left = tuple(order for order in batch if order.client_order_id not in dropped)
    if all(order.kind is Kind.FX for order in left):
        return ()
    kept = _refit_legs(inputs, mandate, batch, left, {})
    paid = {order.currency for order in kept if order.kind is not Kind.FX and order.side is Side.BUY}
    return tuple(order for order in kept if not _pays_nothing(inputs, order, paid))


def _pays_nothing(inputs: RiskInputs, order: Order, paid: Collection[str]) -> bool:
    """Whether this is a BUY leg of a currency in which nothing is bought and nothing is owed."""
    cash = number(inputs.cash.get(order.currency, 0)) if isinstance(inputs.cash, Mapping) else float("nan")
    return order.kind is Kind.FX and order.side is Side.BUY and order.currency not in paid and not cash < 0.0


def _hash(orders: Sequence[Order]) -> str:
    """The batch's hash; empty for a batch that has none, so that nothing can ever match it."""
    try:
        return batch_sha256(orders)
    except Exception:
        return ""


def judge(
    inputs: RiskInputs,
    orders: Sequence[Order],
    mandate: Mandate,
    controls: Sequence[tuple[Rule, Test]] = CONTROLS,
) -> Judgement:
    """The verdict on a planned batch (DESIGN: the verdict; G1 to G5).

    At most three rounds of judging and shrinking; if the last still fails, the risk-reducing orders alone are judged once.
    APPROVED only when the last round holds PASS and WARN; HALT ends it at once. Never raises on bad facts: they fail.
    """
    planned = tuple(sorted(orders, key=lambda order: str(order.client_order_id)))
    seen, batch = _hash(planned), planned
    if isinstance(inputs, RiskInputs) and isinstance(inputs.models, ModelFacts):
        inputs = replace(inputs, models=inputs.models.with_plan(planned))
    rounds: list[tuple[ControlResult, ...]] = []
    causes: dict[str, str] = {}
    for number_of_round in range(ROUNDS_MAX):
        rounds.append(run_controls(inputs, batch, mandate, controls))
        status = worst(rounds[-1])
        if status <= Status.WARN or status is Status.HALT or _is_final(rounds[-1]):
            return _judgement(planned, batch, rounds, causes, seen)
        first = _cut_sells(batch, rounds[-1]) if number_of_round == 0 else ()
        smaller, why = shrink(inputs, mandate, batch, rounds[-1], first or None)
        causes.update(why)
        # A rejected batch is not shrunk back into shape: a tighter limit elsewhere could then approve what a looser one
        # does not (G7).
        stuck = smaller == batch or any(result.status is Status.REJECT_BATCH for result in rounds[-1])
        batch = smaller
        if stuck:
            break
    last = _reductions(inputs, batch, mandate)
    if last:
        blame = max(rounds[-1], key=lambda result: result.status).control
        causes.update(
            {o.client_order_id: blame for o in batch if o.client_order_id not in {x.client_order_id for x in last}}
        )
        batch = last
        rounds.append(run_controls(inputs, batch, mandate, controls))
    return _judgement(planned, batch, rounds, causes, seen)


def _cut_sells(batch: Sequence[Order], results: Sequence[ControlResult]) -> tuple[str, ...]:
    """Sells that become smaller. They go first: how much may be bought depends on what is sold, and not the other way round."""
    named = {i for result in results if result.status in SHRINKING for i in result.order_ids}
    return tuple(
        o.client_order_id for o in batch if o.kind is not Kind.FX and o.side is Side.SELL and o.client_order_id in named
    )


def _is_final(results: Sequence[ControlResult]) -> bool:
    return any(result.control in FINAL and result.status is Status.REJECT_BATCH for result in results)


def _judgement(
    planned: tuple[Order, ...],
    batch: tuple[Order, ...],
    rounds: Sequence[tuple[ControlResult, ...]],
    causes: Mapping[str, str],
    seen: str,
) -> Judgement:
    status = worst(rounds[-1])
    verdict = "APPROVED" if status <= Status.WARN and seen else "HALT" if status is Status.HALT else "REJECTED"
    approved = batch if verdict == "APPROVED" else ()
    blame = "" if approved else max(rounds[-1], key=lambda result: result.status).control
    left = {str(order.client_order_id): order.quantity for order in approved}
    changes = tuple(
        (i, o.quantity, left.get(i, Decimal(0)), causes.get(i, blame))
        for i, o in ((str(order.client_order_id), order) for order in planned)
        if left.get(i) != o.quantity
    )
    return Judgement(
        verdict=verdict,
        results=tuple(rounds[-1]),
        rounds=tuple(rounds),
        planned=planned,
        approved=approved,
        batch_seen_sha256=seen,
        batch_approved_sha256=seen if approved is planned else _hash(approved),
        changes=changes,
    )
