"""The inputs of the session before, from what it stored, in today's listings, prices and NAV. Pure.

Taken from the session before: forecasts, factor model, state of the book, permissions, cadence, weights and cash as shares of NAV.
Liquidity, listings, linear costs and the mandate are today's. A name that had no forecast or no risk then is unknown, which no
method buys. Not here: what the difference means (`change`).
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

import numpy as np
import pandas as pd

from marketbot_assets.book.positions import Valuation
from marketbot_assets.book.state import BookState
from marketbot_assets.features.model import FactorModel
from marketbot_assets.portfolio.cadence import is_rebalance
from marketbot_assets.portfolio.inputs import Flags, Floats, PortfolioInputs
from marketbot_resources.mandate import Mandate

CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Earlier:
    """What the session before stored. `target`: TARGET_PORTFOLIO; `expected_return`: instrument -> excess per year.

    `llm_tilt`: instrument -> what views of a language model add in it, empty when it stored none.
    `decided`: the newest session decided before it.
    """

    session: dt.date
    target: pd.DataFrame
    expected_return: Mapping[str, float]
    factor_model: FactorModel
    book: BookState
    valuation: Valuation
    llm_tilt: Mapping[str, float] = field(default_factory=dict)
    decided: dt.date | None = None

    def weights(self, column: str, instruments: Sequence[str]) -> Floats:
        """(n,) `weight_now` or `weight_target` of the session before; 0 for a name that it did not know."""
        found = dict(zip(self.target["instrument"], self.target[column].astype(float), strict=True))
        return np.array([found.get(name, 0.0) for name in instruments])

    def flags(self, column: str, instruments: Sequence[str]) -> Flags:
        """(n,) a permission of the session before; False for a name that it did not know."""
        found = dict(zip(self.target["instrument"], self.target[column], strict=True))
        return np.array([bool(found.get(name, False)) for name in instruments], dtype=np.bool_)


def earlier_inputs(today: PortfolioInputs, earlier: Earlier, mandate: Mandate) -> PortfolioInputs:
    """The decision's inputs of the session before for today's instruments."""
    names = today.instruments
    model = aligned(earlier.factor_model, names)
    can_buy = earlier.flags("can_buy", names)
    return replace(
        today,
        expected_return=np.array([earlier.expected_return.get(name, np.nan) for name in names]),
        llm_tilt=np.array([earlier.llm_tilt.get(name, 0.0) for name in names if earlier.llm_tilt]),
        factor_model=model,
        sigma_daily=model.sigma_daily,
        book=earlier.book,
        can_buy=can_buy,
        can_trade=earlier.flags("can_trade", names),
        force_exit=earlier.flags("force_exit", names),
        reasons=tuple("" if free else "not bought in the session before" for free in can_buy),
        rebalance=is_rebalance(mandate, earlier.session, earlier.decided),
        positions=_shares(today, earlier.weights("weight_now", names)),
        open_quantity=(Decimal(0),) * len(names),
        cash=_cash(today, earlier.valuation),
    )


def aligned(model: FactorModel, instruments: Sequence[str]) -> FactorModel:
    """The model for other names, in their order; NaN for those that it does not know."""
    place = {name: n for n, name in enumerate(model.instruments)}
    rows = np.array([place.get(name, -1) for name in instruments], dtype=np.intp)
    if tuple(instruments) == model.instruments:
        return model

    def taken(values: Floats) -> Floats:
        """Along the last axis."""
        if values.shape[-1] == 0:
            return np.full((*values.shape[:-1], len(rows)), np.nan)
        return np.where(rows >= 0, values[..., rows], np.nan)

    return replace(
        model,
        instruments=tuple(instruments),
        exposures=taken(model.exposures.T).T,
        specific_variance=taken(model.specific_variance),
        returns=taken(model.returns),
        observations=taken(model.observations),
        beta=taken(model.beta),
        sigma_daily=taken(model.sigma_daily),
        scenario_returns=taken(model.scenario_returns),
        scenario_proxied=taken(model.scenario_proxied.astype(float)) == 1.0,
        scenario_factor_returns=taken(model.scenario_factor_returns),
        scenario_paths=taken(model.scenario_paths),
    )


def _shares(today: PortfolioInputs, weights: Floats) -> tuple[Decimal, ...]:
    """Weights as shares at today's prices and NAV; none where a number is unknown."""
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = weights * today.nav / (today.price * today.fx)
    return tuple(Decimal(repr(float(x))) if np.isfinite(x) else Decimal(0) for x in shares)


def _cash(today: PortfolioInputs, before: Valuation) -> dict[str, Decimal]:
    """Cash per currency that is the same share of today's NAV; a currency of unknown value is left out."""
    found = {}
    for currency in sorted(before.holdings.cash):
        rate, then = today.fx_rates.get(currency, np.nan), before.rates.get(currency, np.nan)
        amount = (
            float(before.holdings.cash[currency]) * then / before.nav * today.nav / rate if before.nav > 0 else np.nan
        )
        if np.isfinite(amount):
            found[currency] = Decimal(repr(float(amount))).quantize(CENT)
    return found
