"""Models of market impact, as fractions of price: the mandate's square-root law and, to compare with, Almgren et al. Pure.

Square root: cost = Y * sigma * sqrt(Q / ADV); the exponent is 0.489 +- 0.002 over all Tokyo stocks (arXiv 2411.13965).
Almgren, Thum, Hauptmann, Li 2005, "Direct estimation of equity market impact": exponents 1/4, 1 and 3/5 and coefficients from
US brokerage orders of 2001 to 2003. Not here: what an order did cost (`shortfall`), which law a plan is charged by (`portfolio`).
"""

from dataclasses import dataclass

from marketbot_resources.fillmodel import square_root_impact

GAMMA, ETA = 0.314, 0.142
TURNOVER_POWER, SPEED_POWER = 0.25, 0.6


@dataclass(frozen=True, slots=True)
class Impact:
    """`permanent`: how far the price moves for good; `realised`: mean cost of the order against its arrival; fractions."""

    permanent: float
    realised: float


def square_root(quantity: float, adv: float, sigma_daily: float, coefficient: float = 1.0) -> float:
    """Mean cost of an order as a fraction of price. `quantity`, `adv` in one unit; `sigma_daily` per session."""
    return square_root_impact(quantity, adv, sigma_daily, coefficient)


def almgren(quantity: float, adv: float, shares_outstanding: float, sigma_daily: float, days: float) -> Impact:
    """Almgren et al. 2005: I = gamma sigma (X/V) (Theta/V)^(1/4), J = I/2 + eta sigma (X/(V T))^(3/5).

    X `quantity`, V `adv`, Theta `shares_outstanding`, all in shares and positive; T `days`: how long the order is worked,
    sessions. Raises ValueError for anything that is not positive.
    """
    if not (quantity > 0.0 and adv > 0.0 and shares_outstanding > 0.0 and sigma_daily >= 0.0 and days > 0.0):
        raise ValueError("expected positive quantity, volume, shares outstanding and days")
    share = quantity / adv
    permanent = GAMMA * sigma_daily * share * (shares_outstanding / adv) ** TURNOVER_POWER
    return Impact(permanent, permanent / 2.0 + ETA * sigma_daily * (share / days) ** SPEED_POWER)
