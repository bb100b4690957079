"""RC-18 on whole lots: buys are cut until cash, legs and planned sells pay for them; then the currency legs. Pure, exact.

Per currency and auction: buys at limit with costs <= spendable cash + leg + (margin account) 95 % of the sells that open no
later, valued at their limits after costs. Legs convert base cash that is on hand, before the first auction. Not here: the same
limit as numbers for the optimizer (`funding`).
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import numpy as np

from marketbot_assets.portfolio.draft import FX, Desk, Draft
from marketbot_assets.portfolio.funding import margin_share
from marketbot_assets.portfolio.inputs import PlannedOrder
from marketbot_assets.portfolio.rounding import exact, money_down, money_up
from marketbot_resources.broker_table import BROKERS
from marketbot_resources.model import BASIS_POINT, Side

ZERO = Decimal(0)
SWEEP_BUFFER_FRACTION = 0.001


def spendable(desk: Desk, currency: str) -> Decimal:
    """Spendable cash of one currency; a debt in full, an amount of unknown value or NaN as nothing."""
    amount = desk.inputs.cash.get(currency, ZERO)
    if not amount.is_finite() or rate_of(desk, currency) is None:
        return ZERO
    return amount * exact(desk.mandate.limits.cash.spendable) if amount > 0 else amount


def rate_of(desk: Desk, currency: str) -> Decimal | None:
    """Base currency per unit; None when unknown."""
    if currency == desk.mandate.base_currency:
        return Decimal(1)
    rate = desk.inputs.fx_rates.get(currency, np.nan)
    return exact(rate) if np.isfinite(rate) and rate > 0.0 else None


def waves(desk: Desk, drafts: Sequence[Draft], currency: str) -> list[dt.datetime]:
    """Auctions in which something is bought in a currency, in order."""
    own = [d for d in drafts if desk.inputs.currency[d.row] == currency and d.side is Side.BUY]
    return sorted({desk.until(d) for d in own})


def need(desk: Desk, buys: Sequence[Draft], sells: Sequence[Draft], currency: str, until: dt.datetime) -> Decimal:
    """Buys less planned sells of one currency up to an auction, before cash."""
    share = exact(margin_share(desk.mandate))

    def total(drafts: Sequence[Draft]) -> Decimal:
        own = (d for d in drafts if desk.inputs.currency[d.row] == currency and desk.until(d) <= until)
        return sum((desk.paid(d) for d in own), ZERO)

    return total(buys) - share * total(sells)


def leg_need(
    desk: Desk, buys: Sequence[Draft], sells: Sequence[Draft], currency: str
) -> tuple[Decimal, dt.datetime | None]:
    """(units of a foreign currency to be bought, rounded up; the auction that needs them, None for a debt)."""
    cash = spendable(desk, currency)
    needs = [(need(desk, buys, sells, currency, at) - cash, at) for at in waves(desk, buys, currency)]
    most, at = max(needs, key=lambda pair: pair[0], default=(ZERO, None))
    debt = max(-cash, ZERO)
    return (money_up(most, currency), at) if most > debt else (money_up(debt, currency), None)


def foreign(desk: Desk) -> list[str]:
    """Currencies other than the base with a known rate, sorted."""
    names = {*desk.inputs.currency, *desk.inputs.cash} - {desk.mandate.base_currency}
    return sorted(c for c in names if rate_of(desk, c) is not None)


def _leg_costs(desk: Desk, buys: Sequence[Draft], sells: Sequence[Draft]) -> Decimal:
    fee = 1 + exact(desk.mandate.costs_bps.fx * BASIS_POINT)
    return sum((leg_need(desk, buys, sells, c)[0] * (rate_of(desk, c) or ZERO) * fee for c in foreign(desk)), ZERO)


def shortage(desk: Desk, buys: Sequence[Draft], sells: Sequence[Draft]) -> tuple[Decimal, set[int]]:
    """(base currency missing in the worst base wave, rows of the buys that it pays for)."""
    base = desk.mandate.base_currency
    cash, legs = max(spendable(desk, base), ZERO), _leg_costs(desk, buys, sells)
    abroad: set[int] = set()
    for currency in foreign(desk):
        at = leg_need(desk, buys, sells, currency)[1]
        if at is not None:
            abroad |= {d.row for d in buys if desk.inputs.currency[d.row] == currency and desk.until(d) <= at}
    worst, rows = legs - cash, abroad
    for at in waves(desk, buys, base):
        missing = legs + need(desk, buys, sells, base, at) - cash
        if missing > worst:
            own = {d.row for d in buys if desk.inputs.currency[d.row] == base and desk.until(d) <= at}
            worst, rows = missing, abroad | own
    return worst, rows


def funded(desk: Desk, buys: Sequence[Draft], sells: Sequence[Draft]) -> list[Draft]:
    """The buys that can be paid for. The buy with the smallest benefit is cut first, by whole lots; caps stay kept."""
    known = {desk.mandate.base_currency, *foreign(desk)}
    left = [d for d in buys if desk.inputs.currency[d.row] in known]
    while left:
        missing, rows = shortage(desk, left, sells)
        if missing <= 0 or not rows:
            return left
        place = desk.least_useful(left, rows)
        draft = left[place]
        unit = desk.paid(replace(draft, quantity=Decimal(1))) * (rate_of(desk, desk.inputs.currency[draft.row]) or ZERO)
        quantity = desk.cut(draft, missing / unit)
        left[place : place + 1] = [replace(draft, quantity=quantity)] if quantity > 0 else []
    return left


def currency_legs(desk: Desk, buys: Sequence[Draft], sells: Sequence[Draft]) -> list[PlannedOrder]:
    """BUY legs for what foreign buys and debts need, SELL legs for foreign cash that nothing needs; sorted by currency.

    None at a broker that converts no currency. A debt is covered as far as base cash on hand goes. Sweeps happen on rebalance
    sessions, above the smallest order.
    """
    legs: list[PlannedOrder] = []
    if not BROKERS[desk.mandate.broker.name].currency_legs:
        return legs
    fee = 1 + exact(desk.mandate.costs_bps.fx * BASIS_POINT)
    purse = max(spendable(desk, desk.mandate.base_currency), ZERO)
    for currency in foreign(desk):
        rate = rate_of(desk, currency)
        assert rate is not None
        amount = leg_need(desk, buys, sells, currency)[0]
        if amount > 0:
            amount = min(amount, money_down(purse / (rate * fee), currency))
            purse -= amount * rate * fee
            if amount > 0:
                legs.append(_leg(desk, currency, Side.BUY, amount, rate, f"pays for buys and debts in {currency}"))
        elif desk.inputs.rebalance:
            spare = _spare(desk, buys, currency, rate)
            if spare > 0:
                legs.append(_leg(desk, currency, Side.SELL, spare, rate, f"{currency} that no order needs"))
    return legs


def _spare(desk: Desk, buys: Sequence[Draft], currency: str, rate: Decimal) -> Decimal:
    nav, smallest = desk.inputs.nav, min_order(desk)
    own = sum((desk.paid(d) for d in buys if desk.inputs.currency[d.row] == currency), ZERO)
    spare = money_down(spendable(desk, currency) - own - exact(SWEEP_BUFFER_FRACTION * nav) / rate, currency)
    return spare if float(spare * rate) >= smallest else ZERO


def min_order(desk: Desk) -> float:
    """Smallest worthwhile order in base currency. Without a rate of the dollar the fraction of NAV decides."""
    rule = desk.mandate.portfolio.min_order
    rate = rate_of(desk, "USD")
    return max(rule.usd * float(rate) if rate is not None else 0.0, rule.fraction * desk.inputs.nav)


def _leg(desk: Desk, currency: str, side: Side, amount: Decimal, rate: Decimal, reason: str) -> PlannedOrder:
    inputs = desk.inputs
    return PlannedOrder(
        instrument=f"FX:{currency}",
        kind="FX",
        leg="F",
        side=side.value,
        quantity=amount,
        limit_price=None,
        reference_price=float(rate),
        currency=currency,
        mic="",
        value_base=float(amount * rate),
        cost_bps=desk.mandate.costs_bps.fx,
        purpose=FX,
        reason=reason,
        send_from=inputs.fx_send_from,
        send_until=inputs.fx_send_until,
    )
