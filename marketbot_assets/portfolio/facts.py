"""The numbers of one decision after every doubt was settled: what is unknown cannot be bought. Pure.

Lives here: the cleaned arrays that the limits, the optimizer and its fallbacks read, and why buying is refused. Not here:
who may be bought by the rules of the universe (`eligibility`), the limits themselves (`limits`, `bounds`).
"""

from dataclasses import dataclass, field

import numpy as np

from marketbot_assets.portfolio.benchmark import of_known_risk
from marketbot_assets.portfolio.inputs import Flags, Floats, PortfolioInputs
from marketbot_resources.mandate import Mandate

COST_UNKNOWN = 0.01


@dataclass(frozen=True, slots=True)
class Facts:
    """Finite numbers for n instruments; names whose risk or price is unknown have zero columns and are not `buyable`.

    `weights_now` fraction of NAV, 0 for a held name without price. `expected_return` per year. `cost_buy`, `cost_sell`
    fractions of the traded value, impact included. `factor_root` (k, n) and `specific` (n,) per year: the covariance is
    factor_root' factor_root + diag(specific). `vol_roots`: per estimator (name, root (m, n)) with root'root the covariance
    per session. `returns` (T, n) per session, `scenario_returns` and `scenario_factor_returns` (S, n), `beta` (n,).
    `sellable`: priced, not short, without open order. `no_buys` is empty or the reason why nothing may be bought.
    `benchmark`: (n,) weights that sum to 1, empty when unknown.
    """

    weights_now: Floats
    expected_return: Floats
    cost_buy: Floats
    cost_sell: Floats
    factor_root: Floats
    specific: Floats
    vol_roots: tuple[tuple[str, Floats], ...]
    returns: Floats
    scenario_returns: Floats
    scenario_factor_returns: Floats
    beta: Floats
    buyable: Flags
    sellable: Flags
    no_buys: str
    benchmark: Floats = field(default_factory=lambda: np.zeros(0))


def held(inputs: PortfolioInputs) -> Flags:
    """(n,) whether shares are held or ordered."""
    pairs = zip(inputs.positions, inputs.open_quantity, strict=True)
    return np.array([bool(p != 0 or o != 0) for p, o in pairs], dtype=np.bool_)


def priced(inputs: PortfolioInputs) -> Flags:
    """(n,) whether price and rate are finite and positive; NaN fails."""
    with np.errstate(invalid="ignore"):
        value = inputs.price * inputs.fx
        return np.asarray(np.isfinite(value) & (inputs.price > 0.0) & (inputs.fx > 0.0))


def nav_known(inputs: PortfolioInputs) -> bool:
    """Whether the NAV is a positive finite number."""
    return bool(np.isfinite(inputs.nav) and inputs.nav > 0.0)


def facts_of(inputs: PortfolioInputs, mandate: Mandate) -> Facts:
    """Cleans the inputs. A name with any NaN that a buy needs is not buyable; a held name of unknown risk stops all buys."""
    model, has_price, holds = inputs.factor_model, priced(inputs), held(inputs)
    returns, ewma, wolf = model.returns, model.ewma_root(), model.ledoit_wolf_root()
    parts = (
        model.exposures.T,
        model.specific_variance[None],
        model.beta[None],
        ewma,
        wolf,
        model.scenario_returns,
        model.scenario_factor_returns,
        returns,
    )
    risk_known = np.all([_finite_columns(part) for part in parts], axis=0) & (model.specific_variance >= 0.0)
    weights = inputs.weights_now() if nav_known(inputs) else np.zeros(len(inputs.instruments))
    weights = np.where(np.isfinite(weights) & has_price, weights, 0.0)
    amounts = (inputs.adv, inputs.sigma_daily, inputs.cost_buy, inputs.cost_sell, inputs.expected_return)
    complete = risk_known & has_price & np.all([np.isfinite(part) for part in amounts], axis=0) & (inputs.adv > 0.0)
    refusal = refusal_of_all(inputs, holds, has_price, risk_known)
    idle = np.array([o == 0 and p >= 0 for p, o in zip(inputs.positions, inputs.open_quantity, strict=True)])
    tradable = inputs.can_trade & has_price & idle
    buyable = inputs.can_buy & tradable & complete & ~inputs.force_exit & np.bool_(not refusal)
    root, specific = factor_root(inputs, risk_known), np.where(risk_known, model.specific_variance, 0.0)
    cost_buy, cost_sell = costs(inputs, mandate)
    return Facts(
        weights_now=weights,
        expected_return=expected_return(inputs, mandate, root, specific, weights),
        cost_buy=cost_buy,
        cost_sell=cost_sell,
        factor_root=root,
        specific=specific,
        vol_roots=(("ewma", _zero_unless(risk_known, ewma)), ("ledoit_wolf", _zero_unless(risk_known, wolf))),
        returns=_zero_unless(risk_known, returns),
        scenario_returns=np.where(risk_known, model.scenario_returns, 0.0),
        scenario_factor_returns=np.where(risk_known, model.scenario_factor_returns, 0.0),
        beta=np.where(risk_known, model.beta, 0.0),
        buyable=np.asarray(buyable),
        sellable=np.asarray(tradable),
        no_buys=refusal,
        benchmark=of_known_risk(inputs.benchmark, np.asarray(risk_known), mandate.limits.coverage.universe),
    )


def _finite_columns(values: Floats) -> Flags:
    """(n,) columns of values (m, n) without NaN or infinity; a finite sum has only finite terms."""
    with np.errstate(invalid="ignore", over="ignore"):
        if np.isfinite(values.sum()):
            return np.ones(values.shape[1], dtype=bool)
    return np.asarray(np.isfinite(values).all(axis=0))


def _zero_unless(known: Flags, values: Floats) -> Floats:
    """(m, n) values with the columns that are not known zero; the values themselves when all are."""
    return values if known.all() else np.where(known, values, 0.0)


def refusal_of_all(inputs: PortfolioInputs, holds: Flags, has_price: Flags, risk_known: Flags) -> str:
    """Why nothing at all may be bought; empty when something may. Unknown state counts as a refusal."""
    book = inputs.book
    unpriced = [name for name, bad in zip(inputs.instruments, holds & ~has_price, strict=True) if bad]
    unknown = [name for name, bad in zip(inputs.instruments, holds & ~risk_known, strict=True) if bad]
    rateless = [
        c for c, amount in sorted(inputs.cash.items()) if amount != 0 and not inputs.fx_rates.get(c, np.nan) > 0.0
    ]
    tests = (
        (not nav_known(inputs), "the NAV is unknown"),
        (bool(unpriced), f"held name without price: {' '.join(unpriced[:3])}"),
        (bool(unknown), f"held name of unknown risk: {' '.join(unknown[:3])}"),
        (bool(rateless) or not finite_cash(inputs), f"cash of unknown value: {' '.join(rateless)}"),
        (not np.isfinite([book.multiple, book.drawdown, *book.turnover]).all(), "the state of the book is unknown"),
        (len(inputs.factor_model.returns) == 0, "no history of returns"),
        (not np.isfinite(inputs.factor_model.factor_covariance).all(), "the factor covariance is unknown"),
        (book.risk_reducing_only, f"RC-60 {book.rung.value}"),
        (bool(book.halt_class), f"halted, class {book.halt_class}"),
        (bool(book.no_buys), book.no_buys),
    )
    return next((text for fails, text in tests if fails), "")


def finite_cash(inputs: PortfolioInputs) -> bool:
    """Whether every cash amount is a finite number."""
    return all(amount.is_finite() for amount in inputs.cash.values())


def factor_root(inputs: PortfolioInputs, risk_known: Flags) -> Floats:
    """(k, n) root of the factor part of the covariance; zeros when the factor covariance is unknown (then nothing is bought)."""
    model = inputs.factor_model
    exposures = np.where(risk_known[:, None], model.exposures, 0.0)
    if not np.isfinite(model.factor_covariance).all():
        return np.zeros((model.exposures.shape[1], len(inputs.instruments)))
    values, vectors = np.linalg.eigh(model.factor_covariance)
    return np.asarray(np.sqrt(np.maximum(values, 0.0))[:, None] * (vectors.T @ exposures.T))


def costs(inputs: PortfolioInputs, mandate: Mandate) -> tuple[Floats, Floats]:
    """(buy, sell) fractions of the traded value, (n,) each: linear cost plus the square-root impact as a chord.

    The chord of Y * sigma * sqrt(q / ADV) runs to the largest buy that a day allows, so no buy costs more than it is charged.
    Factors of the calibration are on half-spread, fee and impact. An unknown cost counts as 1 %: such a name cannot be bought and
    is not sold for nothing.
    """
    limits = mandate.limits
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.minimum(
            limits.turnover.name_buy_per_day.constraint * inputs.nav / inputs.adv, limits.participation.target
        )
        impact = mandate.costs_bps.impact_coefficient * inputs.sigma_daily * np.sqrt(np.maximum(share, 0.0))
    impact = np.where(np.isfinite(impact), impact, COST_UNKNOWN)
    buy, sell = (np.where(np.isfinite(c), c, COST_UNKNOWN) for c in (inputs.cost_buy, inputs.cost_sell))
    buy_factor, sell_factor = inputs.multiples()
    return buy + buy_factor * impact, sell + sell_factor * impact


def expected_return(
    inputs: PortfolioInputs, mandate: Mandate, root: Floats, specific: Floats, weights: Floats
) -> Floats:
    """(n,) per year. A name without forecast gets what its marginal risk asks for: it is neither chased nor dumped."""
    neutral = mandate.portfolio.risk_aversion * (root.T @ (root @ weights) + specific * weights)
    return np.asarray(np.where(np.isfinite(inputs.expected_return), inputs.expected_return, neutral))
