"""Reverse stress: the smallest shock that carries the book through the drawdown at which it halts. Pure; shown, never a limit.

With L = halt - drawdown (RC-60), w the weights after the batch, b betas, B exposures, F the factor covariance of 21 sessions:
- R1: the fall of the market s with s * b'w = L;
- R2: the most likely factor move, min f'F^-1 f subject to -w'B f >= L: f = -L F B'w / (w'B F B'w), at the distance
  sqrt(f'F^-1 f) = L / sqrt(w'B F B'w) standard deviations, with each factor's share of the loss;
- R3, R4: the fall of the largest sector, of the largest name alone. A shock above 1 cannot happen: that one alone breaks nothing.
"""

from dataclasses import dataclass

import numpy as np

from marketbot_assets.risk.book_controls import aligned
from marketbot_assets.risk.projection import WITH, Projection
from marketbot_assets.risk.state_controls import drawdown
from marketbot_resources.model import SESSIONS_PER_YEAR

MONTH_SESSIONS = 21
FACTORS_SHOWN = 5
MARKET, FACTORS, SECTOR, NAME = "R1 market", "R2 factors", "R3 largest sector", "R4 largest name"


@dataclass(frozen=True, slots=True)
class ReverseShock:
    """`shock`: a fraction of the market, sector or name, or standard deviations of 21 sessions (R2); None when no shock of
    this kind loses anything. `loss`: what it loses, fraction of NAV. `text`: of what it is made.
    """

    name: str
    loss: float
    shock: float | None
    text: str


def reverse_shocks(p: Projection) -> list[ReverseShock]:
    """The four shocks. Raises ValueError when a number that they need is unknown."""
    room = max(p.mandate.ladder.halt.at - drawdown(p), 0.0)
    if not np.isfinite(p.weights).all():
        raise ValueError("a weight is unknown")
    columns, active = aligned(p)
    weights, model = active[:, WITH], p.inputs.factor_model
    return [
        _single(MARKET, room, float(model.beta[columns] @ weights), "of the market"),
        _factors(p, room, columns),
        *_largest(p, room),
    ]


def _single(name: str, room: float, exposure: float, of: str) -> ReverseShock:
    if not np.isfinite(exposure):
        raise ValueError(f"{name}: the exposure is unknown")
    if exposure <= 0.0:
        return ReverseShock(name, room, None, "no fall of it loses anything")
    shock = room / exposure
    alone = "" if shock <= 1.0 else ", more than all: it alone cannot break the limit"
    return ReverseShock(name, room, shock, f"-{100.0 * shock:.1f} % {of}{alone}")


def _factors(p: Projection, room: float, columns: list[int]) -> ReverseShock:
    model, (_, active) = p.inputs.factor_model, aligned(p)
    exposure = model.exposures[columns].T @ active[:, WITH]
    pull = (model.factor_covariance * (MONTH_SESSIONS / SESSIONS_PER_YEAR)) @ exposure
    variance = float(exposure @ pull)
    if not np.isfinite(variance):
        raise ValueError("the factor risk is unknown")
    if variance <= 0.0:
        return ReverseShock(FACTORS, room, None, "the book has no factor risk")
    move, share = -room * pull / variance, exposure * pull / variance
    order = np.argsort(-share, kind="stable")[:FACTORS_SHOWN]
    parts = ", ".join(f"{model.factors[k]} {100.0 * move[k]:+.1f} % ({100.0 * share[k]:.0f} % of it)" for k in order)
    return ReverseShock(FACTORS, room, room / float(np.sqrt(variance)), parts)


def _largest(p: Projection, room: float) -> list[ReverseShock]:
    n, weights = len(p.price), np.maximum(p.weights[:, WITH], 0.0)
    fund = p.fund
    sectors = ["FUND" if flag == 1.0 else name for name, flag in zip(p.sectors, fund, strict=True)]
    totals = {name: float(weights[[own == name for own in sectors]].sum()) for name in sorted(set(sectors))}
    sector = max(totals, key=lambda name: totals[name], default="")
    row = int(np.argmax(weights)) if n else 0
    found = [_single(SECTOR, room, totals.get(sector, 0.0), f"of {sector}")]
    return [
        *found,
        _single(NAME, room, float(weights[row]) if n else 0.0, f"of {p.inputs.instruments[row] if n else ''}"),
    ]
