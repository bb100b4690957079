"""RC-18: buys are paid by cash on hand, currency legs and, on a margin account, by planned sells that open no later. Pure.

Lives here: the limit as numbers for weights, and the price collar (RC-07) that values orders. Not here: the same rule on
whole lots and money (`order_plan`). Amounts are fractions of NAV in base currency; currency legs are done before the first
auction, from cash on hand alone.
"""

from dataclasses import dataclass

import numpy as np

from marketbot_assets.portfolio.facts import Facts
from marketbot_assets.portfolio.inputs import Floats, PortfolioInputs
from marketbot_assets.portfolio.limit import message_of
from marketbot_resources.mandate import Mandate
from marketbot_resources.mandate_execution import Edge, edge_of, type_of
from marketbot_resources.model import BASIS_POINT
from marketbot_resources.order_types import MARKET_MARGIN, UNLIMITED


@dataclass(frozen=True, slots=True)
class Wave:
    """What one currency needs up to one auction beyond its own sells: buys @ b - sells @ s - cash; rows (n,).

    `cash`: spendable foreign cash, a debt in full; 0 for the base currency, whose cash is the limit's bound.
    """

    currency: str
    buys: Floats
    sells: Floats
    cash: float

    def need(self, bought: Floats, sold: Floats) -> float:
        """Fraction of NAV that must come from elsewhere for buys and sells (n,); negative when there is more than enough."""
        return float(self.buys @ bought - self.sells @ sold) - self.cash


@dataclass(frozen=True, slots=True)
class Funding:
    """Largest need of the base waves + (1 + leg_cost) * sum of the foreign currencies' largest needs <= bound.

    Each need counts at least as its currency's debt, at least 0. `bound`: spendable base cash, not below the debts, so that
    selling stays feasible in an overdrawn book.
    """

    base: str
    waves: tuple[Wave, ...]
    debts: tuple[tuple[str, float], ...]
    bound: float
    leg_cost: float
    control: str = "RC-18"
    name: str = "funding"
    unit: str = "NAV"

    @property
    def hard(self) -> float:
        """The verdict allows no more than the plan: cash never goes negative."""
        return self.bound

    @property
    def formula(self) -> str:
        """Like "largest need of USD + 1.0002 * needs of EUR, JPY <= 0.98"."""
        others = ", ".join(currency for currency, _ in self.debts)
        legs = f" + {1.0 + self.leg_cost:.6g} * largest needs of {others}" if others else ""
        return f"largest need of {self.base}{legs} <= {self.bound:.6g}"

    def message(self, left: float) -> str:
        """Like "RC-18 funding 1.02 > 0.98 NAV"."""
        return message_of(self, left)

    def worst(self, currency: str, weights: Floats, weights_now: Floats) -> tuple[float, Wave | None]:
        """The largest need of one currency, not below its debt, and the wave it comes from, None for the debt."""
        return self._worst(currency, *_trades(weights, weights_now))

    def _worst(self, currency: str, bought: Floats, sold: Floats) -> tuple[float, Wave | None]:
        needs = [(wave.need(bought, sold), wave) for wave in self.waves if wave.currency == currency]
        need, wave = max(needs, key=lambda pair: pair[0], default=(0.0, None))
        debt = dict(self.debts).get(currency, 0.0)
        return (need, wave) if need > debt else (debt, None)

    def left(self, weights: Floats, weights_now: Floats) -> float:
        """What base cash must pay in the worst wave."""
        trades = _trades(weights, weights_now)
        legs = sum(self._worst(currency, *trades)[0] for currency, _ in self.debts)
        return self._worst(self.base, *trades)[0] + (1.0 + self.leg_cost) * legs

    def gradient(self, weights: Floats, weights_now: Floats) -> Floats:
        """Slope of the worst waves."""
        slope = np.zeros_like(weights)
        for currency, rate in ((self.base, 1.0), *((c, 1.0 + self.leg_cost) for c, _ in self.debts)):
            wave = self.worst(currency, weights, weights_now)[1]
            if wave is not None:
                slope += rate * np.where(weights > weights_now, wave.buys, wave.sells)
        return slope


def _trades(weights: Floats, weights_now: Floats) -> tuple[Floats, Floats]:
    """((n,) bought, (n,) sold) fractions of NAV, both at least 0."""
    moved = weights - weights_now
    return np.maximum(moved, 0.0), np.maximum(-moved, 0.0)


def collars(inputs: PortfolioInputs, mandate: Mandate, style: str | None = None) -> Floats:
    """(n,) how far beyond the last close an order of a style may trade, as a fraction; None = the style of targets.

    At the collar's edge: RC-07, min(max(floor, multiple * sigma), ceiling), an unknown sigma gives the floor; a limit at the last
    close: 0; without a limit: what such an order is worth beyond the close (`MARKET_MARGIN`).
    """
    style = style or mandate.execution.targets
    if type_of(style) in UNLIMITED:
        return np.full(len(inputs.instruments), float(MARKET_MARGIN))
    if edge_of(style) is Edge.CLOSE:
        return np.zeros(len(inputs.instruments))
    rule = mandate.limits.collar
    sigma = np.where(np.isfinite(inputs.sigma_daily), inputs.sigma_daily, 0.0)
    ceiling = np.where(inputs.is_fund, rule.fund_ceiling, rule.ceiling)
    return np.asarray(np.minimum(np.maximum(rule.floor, rule.sigma_multiple * sigma), ceiling))


def margin_share(mandate: Mandate) -> float:
    """Share of planned sells that may pay for buys: nothing on a cash account, nor while large orders are sliced over hours."""
    waits = mandate.account.type != "margin" or mandate.execution.sliced
    return 0.0 if waits else mandate.limits.cash.planned_sells_fund


def funding_of(inputs: PortfolioInputs, facts: Facts, mandate: Mandate) -> Funding:
    """The funding limit: a buy costs at most 1 + collar plus costs, a sell brings at least 1 - collar less costs."""
    collar, base = collars(inputs, mandate), mandate.base_currency
    buy_rate = (1.0 + collar) * (1.0 + facts.cost_buy)
    sell_rate = margin_share(mandate) * (1.0 - collar) * (1.0 - facts.cost_sell)
    cash = {c: spendable(inputs, mandate, c) for c in sorted({*inputs.currency, *inputs.cash, base})}
    waves = []
    for currency in sorted(set(inputs.currency)):
        own = np.array([c == currency for c in inputs.currency])
        for until in sorted({u for u, mine in zip(inputs.send_until, own, strict=True) if mine}):
            open_by = own & np.array([u <= until for u in inputs.send_until])
            on_hand = 0.0 if currency == base else cash[currency]
            waves.append(Wave(currency, np.where(open_by, buy_rate, 0.0), np.where(open_by, sell_rate, 0.0), on_hand))
    leg_cost = mandate.costs_bps.fx * BASIS_POINT
    debts = tuple((c, max(-amount, 0.0)) for c, amount in cash.items() if c != base)
    owed = (1.0 + leg_cost) * sum(debt for _, debt in debts)
    return Funding(base, tuple(waves), debts, max(cash[base], owed, 0.0), leg_cost)


def spendable(inputs: PortfolioInputs, mandate: Mandate, currency: str) -> float:
    """Spendable cash of one currency, fraction of NAV; a debt counts in full, an unknown amount as nothing."""
    amount = float(inputs.cash.get(currency, 0)) * inputs.fx_rates.get(currency, np.nan) / inputs.nav
    if not np.isfinite(amount):
        return 0.0
    return amount * mandate.limits.cash.spendable if amount > 0.0 else amount
