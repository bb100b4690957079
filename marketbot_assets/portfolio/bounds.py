"""Bounds of each single weight: position cap, size of a buy, liquidity, no-buys, exits, rungs (RC-08, 10, 30, 31, 41, 60). Pure.

A name is bought by at most the name cap and 1 % of its traded value, and never when it may not be. It is sold by at most 1 %
of its traded value, by `exits_hard` when it must go (stop, a rung that reduces, more than the trim level), never by more than the
hard order value. Selling within these sizes is always allowed, so that the book can always be made smaller.
"""

from dataclasses import dataclass

import numpy as np

from marketbot_assets.book.state import Rung
from marketbot_assets.portfolio.facts import Facts
from marketbot_assets.portfolio.inputs import Flags, Floats, PortfolioInputs
from marketbot_resources.mandate import Mandate


@dataclass(frozen=True, slots=True)
class Bounds:
    """lower <= weights <= upper, (n,) each, fractions of NAV. `must_go`: names that leave the book as fast as liquidity allows."""

    lower: Floats
    upper: Floats
    must_go: Flags
    trimmed: Flags


def to_cash(inputs: PortfolioInputs) -> bool:
    """Whether the ladder sells the whole book."""
    return inputs.book.rung in (Rung.TO_CASH, Rung.HALT)


def sell_capacity(inputs: PortfolioInputs, mandate: Mandate, urgent: Flags) -> Floats:
    """(n,) fraction of NAV that one session may sell; of unknown traded value a protective exit alone, up to the order cap."""
    limits = mandate.limits
    share = np.where(urgent, limits.participation.exits_hard, limits.participation.target)
    with np.errstate(invalid="ignore", divide="ignore"):
        liquid = share * inputs.adv / inputs.nav
    unknown = np.where(inputs.force_exit, limits.order_value.hard, 0.0)
    return np.asarray(
        np.minimum(np.where(np.isfinite(liquid), np.maximum(liquid, 0.0), unknown), limits.order_value.hard)
    )


def bounds_of(inputs: PortfolioInputs, facts: Facts, mandate: Mandate, *, cures_only: bool = False) -> Bounds:
    """The bounds of the session; with `cures_only` no name is bought and the position cap acts from the trim level (RC-31) on."""
    limits, now = mandate.limits, facts.weights_now
    must_go = np.asarray((inputs.force_exit | np.bool_(to_cash(inputs))) & (now > 0.0))
    trimmed = np.asarray(now > limits.passive_breach.trim)
    urgent = np.asarray(must_go | trimmed | np.bool_(inputs.book.risk_reducing_only))
    capacity = np.where(facts.sellable, sell_capacity(inputs, mandate, urgent), 0.0)
    lower = np.where(now > 0.0, np.maximum(now - capacity, 0.0), now)
    cap = limits.position.constraint
    if cures_only:
        buyable, ceiling = np.zeros_like(facts.buyable), np.where(trimmed, np.minimum(cap, now), now)
    else:
        buyable, ceiling = facts.buyable, np.minimum(cap, now)
    with np.errstate(invalid="ignore", divide="ignore"):
        size = np.minimum(
            limits.turnover.name_buy_per_day.constraint, limits.participation.target * inputs.adv / inputs.nav
        )
    grown = np.minimum(cap, now + np.where(np.isfinite(size), size, 0.0))
    upper = np.where(buyable, np.maximum(grown, np.minimum(cap, now)), ceiling)
    upper = np.where(must_go, lower, np.maximum(upper, lower))
    return Bounds(lower=lower, upper=upper, must_go=must_go, trimmed=trimmed)
