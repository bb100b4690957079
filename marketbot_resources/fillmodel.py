"""How an order fills over a daily bar and what that costs; the same arithmetic for paper broker and backtest. Pure.

Costs follow the mandate: of `half_spread_and_fee`, SPREAD_SHARE moves the price against us and the rest is a cash fee; impact
(square-root law) moves the price, too; stamp duties are cash. Not here: at which price a type of order meets a bar
(`fill_rules`), when it does, cash and positions (`paper`), what a fill cost compared with the plan (`execution.costs`).
"""

import datetime as dt
import math
from dataclasses import dataclass, replace
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Decimal

from marketbot_resources.errors import MarketbotError
from marketbot_resources.fill_rules import Bar, Path, bracket_exit, met_at, path_of
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import Execution, Kind, Order, OrderType, Side, to_money
from marketbot_resources.order_types import price_problem

SPREAD_SHARE = Decimal("0.6")
FUND_COSTS = "FUND"
_BPS = Decimal(10_000)
_RATE_STEP = Decimal("1e-10")


@dataclass(frozen=True, slots=True)
class FillTerms:
    """What trading one instrument costs and allows.

    Costs in basis points of the traded value; `participation_max`: fraction of the session's volume; `sigma_daily`: standard
    deviation of daily returns, None or NaN = estimated from the bar's range; `adv_shares`: None or NaN = the bar's volume.
    """

    half_spread_and_fee_bps: float
    tax_buy_bps: float
    tax_sell_bps: float
    impact_coefficient: float
    participation_max: float
    sigma_daily: float | None
    adv_shares: float | None
    quantity_step: Decimal
    tick_size: Decimal


@dataclass(frozen=True, slots=True)
class Fill:
    """What one bar did to an order: the execution, the shares left over and why they were (empty when none).

    `closing`: the execution of a bracket's stop or take-profit, None when it has none or neither was met.
    """

    execution: Execution
    remaining: Decimal
    reason: str
    closing: Execution | None = None


def fill_terms(
    mandate: Mandate,
    currency: str,
    *,
    is_fund: bool,
    sigma_daily: float | None,
    adv_shares: float | None,
    quantity_step: Decimal,
    tick_size: Decimal,
) -> FillTerms:
    """Terms of one listing under a mandate. Raises MarketbotError when the mandate names no cost for the currency."""
    costs = mandate.costs_bps
    key = FUND_COSTS if is_fund and FUND_COSTS in costs.half_spread_and_fee else currency
    if key not in costs.half_spread_and_fee:
        raise MarketbotError(f"expected costs_bps.half_spread_and_fee for {key}, found none; add it to the mandate")
    return FillTerms(
        half_spread_and_fee_bps=costs.half_spread_and_fee[key],
        tax_buy_bps=costs.tax_buy.get(currency, 0.0),
        tax_sell_bps=costs.tax_sell.get(currency, 0.0),
        impact_coefficient=costs.impact_coefficient,
        participation_max=mandate.broker.participation_max,
        sigma_daily=sigma_daily,
        adv_shares=adv_shares,
        quantity_step=quantity_step,
        tick_size=tick_size,
    )


def order_fill(
    order: Order, bar: Bar, terms: FillTerms, *, elapsed: float = 0.0, taken: Decimal = Decimal(0)
) -> Fill | None:
    """Fill of an order by the rules of its type over `bar`; None when nothing fills (see `unfilled_reason`).

    Price = what the type meets in the bar (`fill_rules`) * (1 +- (spread share + impact)), nearest tick, never beyond a limit;
    quantity = at most `participation_max` of the session's volume less what was `taken` of it, floored to the lot. What is left
    expires with the auction or the day. `elapsed`: fraction of the session that is over when the order begins to work.
    """
    outcome = _outcome(order, bar, terms, elapsed, taken)
    return outcome if isinstance(outcome, Fill) else None


def unfilled_reason(
    order: Order, bar: Bar, terms: FillTerms, *, elapsed: float = 0.0, taken: Decimal = Decimal(0)
) -> str:
    """Why `order_fill` gives None; empty when it fills."""
    outcome = _outcome(order, bar, terms, elapsed, taken)
    return "" if isinstance(outcome, Fill) else outcome


def _outcome(order: Order, bar: Bar, terms: FillTerms, elapsed: float, taken: Decimal) -> Fill | str:
    _check(order, bar, terms)
    path = path_of(order.type, bar, elapsed)
    if isinstance(path, str):
        return path
    met = met_at(order, path)
    if isinstance(met, str):
        return met
    if not (math.isfinite(bar.volume) and bar.volume > 0.0):
        return "no volume"
    sigma = _sigma(bar, terms.sigma_daily)
    if sigma is None:
        return "no volatility to price the impact with"
    quantity = _participation(order.quantity, bar.volume, terms, taken)
    if quantity <= 0:
        return f"participation limit: {terms.participation_max} of {bar.volume:.0f} shares is less than one lot"
    price = _price(order, met, bar, terms, quantity, sigma)
    if price <= 0:
        return "auction price is below one tick"
    remaining = order.quantity - quantity
    reason = f"participation limit: {quantity} of {order.quantity} filled" if remaining else ""
    entry = _execution(order, bar, terms, quantity, price)
    return Fill(entry, remaining, reason, _closing(order, path, met, bar, terms, quantity, sigma))


def _closing(
    order: Order, path: Path, met: float, bar: Bar, terms: FillTerms, quantity: Decimal, sigma: float
) -> Execution | None:
    """What closes a bracket on the bar of its entry: the stop at the market, or the take-profit at its limit."""
    found = bracket_exit(order, path, met) if order.type is OrderType.BRACKET else None
    if found is None:
        return None
    raw, limit = found
    side = Side.SELL if order.side is Side.BUY else Side.BUY
    child = replace(order, side=side, limit_price=limit, quantity=quantity)
    price = max(_price(child, raw, bar, terms, quantity, sigma), terms.tick_size)
    return replace(_execution(child, bar, terms, quantity, price), execution_id=f"{order.client_order_id}-2")


def _check(order: Order, bar: Bar, terms: FillTerms) -> None:
    if order.kind is not Kind.EQUITY or not order.quantity > 0 or price_problem(order):
        raise MarketbotError(
            f"order {order.client_order_id}: expected shares with the prices of their type, found {order}"
        )
    if bar.instrument != order.instrument:
        raise MarketbotError(f"order {order.client_order_id}: expected a bar of {order.instrument}, found {bar}")
    if not (terms.tick_size > 0 and terms.quantity_step > 0):
        raise MarketbotError(f"{order.instrument}: expected a positive tick and lot, found {terms}")


def _sigma(bar: Bar, sigma_daily: float | None) -> float | None:
    """Daily volatility; from the bar's range (Parkinson 1980: ln(high/low) / (2 sqrt(ln 2))) when the listing has none yet."""
    if sigma_daily is not None and math.isfinite(sigma_daily) and sigma_daily >= 0.0:
        return sigma_daily
    if math.isfinite(bar.high) and math.isfinite(bar.low) and bar.high >= bar.low > 0.0:
        return math.log(bar.high / bar.low) / (2.0 * math.sqrt(math.log(2.0)))
    return None


def _participation(wanted: Decimal, volume: float, terms: FillTerms, taken: Decimal) -> Decimal:
    """Shares that the session's volume allows. An order that fits is filled whole, odd lots (after a split) included."""
    allowed = _decimal(terms.participation_max) * _decimal(volume) - taken
    if wanted <= allowed:
        return wanted
    return (allowed / terms.quantity_step).to_integral_value(ROUND_FLOOR) * terms.quantity_step


def _price(order: Order, met: float, bar: Bar, terms: FillTerms, quantity: Decimal, sigma: float) -> Decimal:
    spread = float(SPREAD_SHARE) * terms.half_spread_and_fee_bps / float(_BPS)
    known = terms.adv_shares is not None and math.isfinite(terms.adv_shares) and terms.adv_shares > 0.0
    adv = terms.adv_shares if known and terms.adv_shares is not None else bar.volume
    impact = square_root_impact(float(quantity), adv, sigma, terms.impact_coefficient)
    price = to_tick(_decimal(met * (1.0 + order.side.sign * (spread + impact))), terms.tick_size)
    if order.limit_price is None:
        return price
    return min(price, order.limit_price) if order.side is Side.BUY else max(price, order.limit_price)


def square_root_impact(quantity: float, adv: float, sigma_daily: float, coefficient: float) -> float:
    """Impact as a fraction of price: coefficient * sigma_daily * sqrt(quantity / adv); `quantity` and `adv` in one unit."""
    return coefficient * sigma_daily * math.sqrt(quantity / adv)


def to_tick(price: Decimal, tick: Decimal) -> Decimal:
    """The nearest multiple of a tick, half to even."""
    return (price / tick).to_integral_value(ROUND_HALF_EVEN) * tick


def _execution(order: Order, bar: Bar, terms: FillTerms, quantity: Decimal, price: Decimal) -> Execution:
    value = quantity * price
    tax_bps = terms.tax_buy_bps if order.side is Side.BUY else terms.tax_sell_bps
    return Execution(
        execution_id=f"{order.client_order_id}-1",
        client_order_id=order.client_order_id,
        kind=Kind.EQUITY,
        instrument=order.instrument,
        side=order.side,
        quantity=quantity,
        price=price,
        currency=order.currency,
        fee=to_money(value * fee_fraction(terms.half_spread_and_fee_bps), order.currency),
        tax=to_money(value * _decimal(tax_bps) / _BPS, order.currency),
        executed_at=bar.opened_at,
    )


def fee_fraction(half_spread_and_fee_bps: float) -> Decimal:
    """The cash fee as a fraction of the traded value: what SPREAD_SHARE leaves of `half_spread_and_fee`."""
    return _decimal(half_spread_and_fee_bps) * (1 - SPREAD_SHARE) / _BPS


def fx_fill(order: Order, rate: float, fx_bps: float, executed_at: dt.datetime) -> Execution:
    """Fill of a currency leg, whole, at the reference rate (base per unit) moved against us by `fx_bps`; no other fee."""
    if order.kind is not Kind.FX or not (math.isfinite(rate) and rate > 0.0) or not order.quantity > 0:
        raise MarketbotError(
            f"order {order.client_order_id}: expected a currency leg and a rate, found {rate}, {order}"
        )
    price = _decimal(rate) * (1 + order.side.sign * _decimal(fx_bps) / _BPS)
    return Execution(
        execution_id=f"{order.client_order_id}-1",
        client_order_id=order.client_order_id,
        kind=Kind.FX,
        instrument=order.instrument,
        side=order.side,
        quantity=order.quantity,
        price=price.quantize(_RATE_STEP, rounding=ROUND_HALF_EVEN),
        currency=order.currency,
        fee=Decimal(0),
        tax=Decimal(0),
        executed_at=executed_at,
    )


def cash_changes(execution: Execution, base_currency: str) -> tuple[tuple[str, str, Decimal], ...]:
    """(currency, part, signed amount) of one fill; part is TRADE, FEE or TAX; every amount is rounded on its own.

    Shares: the price leaves (BUY) or enters (SELL) in the listing currency. FX: `quantity` enters or leaves in the currency,
    its price the other way round in base. Zero fees and taxes give no row.
    """
    sign = execution.side.sign
    paid_in = base_currency if execution.kind is Kind.FX else execution.currency
    changes = [(paid_in, "TRADE", -sign * to_money(execution.quantity * execution.price, paid_in))]
    if execution.kind is Kind.FX:
        changes.insert(0, (execution.currency, "TRADE", sign * execution.quantity))
    costs = ((paid_in, "FEE", -execution.fee), (execution.currency, "TAX", -execution.tax))
    return (*changes, *(cost for cost in costs if cost[2] != 0))


def _decimal(value: float) -> Decimal:
    return Decimal(repr(float(value)))
