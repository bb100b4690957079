"""An order before it is final: row, side, whole lots, limit price. And the plan's numbers around it. Named types.

Not here: which drafts there are (`order_plan`), how they are paid (`cash_legs`).
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from marketbot_assets.portfolio.facts import Facts
from marketbot_assets.portfolio.inputs import Floats, PortfolioInputs
from marketbot_assets.portfolio.rounding import exact, lots_down
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import OrderType, Side

TARGET, PROTECTIVE, LIMIT_CURE, FX = "TARGET", "PROTECTIVE", "LIMIT_CURE", "FX"
PROTECTION = "PROTECTION"
EXITS = (PROTECTIVE, LIMIT_CURE)


@dataclass(frozen=True, slots=True)
class Draft:
    """One order in instrument `row`: quantity in shares, limit per share in the listing currency."""

    row: int
    side: Side
    quantity: Decimal
    limit: Decimal
    purpose: str

    @property
    def value(self) -> Decimal:
        """Quantity * limit, listing currency."""
        return self.quantity * self.limit


@dataclass(frozen=True, slots=True)
class Desk:
    """What every step of the plan needs: inputs, cleaned numbers, mandate, collars (n,) and the benefit of buying (n,).

    `collar`: of orders on the way to the target, `exit_collar`: of exits and cures; how far a limit lies beyond the last close.

    `benefit`: utility per year and unit of weight at today's book; buys with the smallest benefit are cut first.
    """

    inputs: PortfolioInputs
    facts: Facts
    mandate: Mandate
    collar: Floats
    benefit: Floats
    exit_collar: Floats

    def step(self, row: int) -> Decimal:
        """The lot of a row, shares."""
        return self.inputs.quantity_step[row]

    def base_value(self, row: int, shares: Decimal, price: Decimal) -> float:
        """Shares at a price as a fraction of NAV."""
        return float(shares * price) * float(self.inputs.fx[row]) / self.inputs.nav

    def shares(self, row: int, weight: float) -> Decimal:
        """A weight as shares at the last close, not rounded."""
        return exact(weight * self.inputs.nav / (float(self.inputs.price[row]) * float(self.inputs.fx[row])))

    def paid(self, draft: Draft) -> Decimal:
        """What a buy costs at its limit with costs, or what a sell brings at its limit after costs, listing currency."""
        if draft.side is Side.BUY:
            return draft.value * (1 + exact(self.inputs.cost_buy[draft.row]))
        return draft.value * (1 - exact(self.facts.cost_sell[draft.row]))

    def type_of(self, purpose: str) -> OrderType:
        """The type of the orders of a purpose: exits and cures may have their own."""
        rules = self.mandate.execution
        return rules.exit_type if purpose in EXITS else rules.target_type

    def window(self, draft: Draft) -> tuple[dt.datetime, dt.datetime]:
        """When a draft may be sent."""
        inputs, row = self.inputs, draft.row
        if draft.purpose in EXITS and inputs.exit_send_until:
            return inputs.exit_send_from[row], inputs.exit_send_until[row]
        return inputs.send_from[row], inputs.send_until[row]

    def until(self, draft: Draft) -> dt.datetime:
        """When the auction of a draft closes to new orders."""
        return self.window(draft)[1]

    def least_useful(self, drafts: list[Draft], rows: set[int]) -> int:
        """Position of the buy among `rows` that is missed least; ties by row."""
        found = [(float(self.benefit[d.row]), d.row, k) for k, d in enumerate(drafts) if d.row in rows]
        return min(found)[2]

    def cut(self, draft: Draft, shares: Decimal) -> Decimal:
        """The draft's quantity less at least `shares` and at least one lot, in whole lots; 0 when nothing is left."""
        step = self.step(draft.row)
        return lots_down(min(draft.quantity - shares, draft.quantity - step), step)


def projected(desk: Desk, buys: Sequence[Draft], sells: Sequence[Draft]) -> Floats:
    """(n,) weights after all orders: buys at their limit with costs, sells at the last close."""
    weights = desk.facts.weights_now.copy()
    for draft in buys:
        weights[draft.row] += float(desk.paid(draft)) * float(desk.inputs.fx[draft.row]) / desk.inputs.nav
    for draft in sells:
        weights[draft.row] -= desk.base_value(draft.row, draft.quantity, exact(desk.inputs.price[draft.row]))
    return np.asarray(weights)
