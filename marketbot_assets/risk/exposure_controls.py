"""Controls on what the projected book's risk is made of: RC-47 exposures against the benchmark, RC-49 risk per name.

RC-47 only notes: its fail status is WARN. Not here: how exposures are estimated (`features.factor_model`).
"""

from collections.abc import Callable

import numpy as np

from marketbot_assets.risk.book_controls import active_returns, aligned
from marketbot_assets.risk.control import ControlResult, Rule, cap, within
from marketbot_assets.risk.forecasting import variances
from marketbot_assets.risk.inputs import Floats
from marketbot_assets.risk.projection import WITH, Projection, numbers
from marketbot_assets.risk.value_at_risk import ewma_weights
from marketbot_resources.model import Status

FACTORS = Rule(
    "RC-47",
    "exposure against the benchmark",
    Status.WARN,
    formula="|book - benchmark at the book's size| per style, per sector and for beta <= band",
    answers="house",
)
RISK_SHARE = Rule(
    "RC-49",
    "one name's share of the volatility",
    Status.SHRINK,
    "fraction of the volatility",
    formula="max w_i (S w)_i / w'Sw <= hard in risk parity, elsewhere warn",
    answers="house",
)

MARKET, SECTOR = "market", "sector "
BETA = "beta"
CLOSED = 1e-6
RISK_PARITY = "risk_parity"


def exposures(p: Projection) -> tuple[tuple[str, ...], Floats, Floats]:
    """(names: beta, then the model's factors but the market; (f,) of the book; (f,) of the benchmark at the book's own size).

    The book's cash has no exposure, so the benchmark is scaled to what is invested: a book half in cash is not counted as a
    bet against every factor. Raises ValueError without a benchmark.
    """
    model, (columns, every) = p.inputs.factor_model, aligned(p)
    weights = every[:, WITH]
    whole = numbers(p.inputs.models.benchmark, len(p.price))
    place = {name: column for column, name in enumerate(model.instruments)}
    rows = np.flatnonzero(whole != 0.0)
    if not within(abs(float(whole.sum()) - 1.0), CLOSED) or (whole < 0.0).any():
        raise ValueError("the benchmark's weights are unknown")
    there = [place[p.inputs.instruments[row]] for row in rows]
    kept = [k for k, name in enumerate(model.factors) if name != MARKET]
    matrix = np.column_stack([model.beta, model.exposures[:, kept]])
    names = (BETA, *(model.factors[k] for k in kept))
    return names, weights @ matrix[columns], float(weights.sum()) * (whole[rows] @ matrix[there])


def factors(p: Projection) -> tuple[ControlResult, ...]:
    """RC-47: |book - benchmark| per style, sector and for beta; beyond a band it is told: as WARN against a limit, or as
    a PASS without one where the mandate only reports.
    """
    rule = p.mandate.limits.factor
    found = []
    for name, own, theirs in zip(*exposures(p), strict=True):
        is_sector, active = name.startswith(SECTOR), abs(float(own) - float(theirs))
        limit = rule.beta if name == BETA else rule.sector if is_sector else rule.style
        unit = "fraction of NAV" if is_sector else "beta" if name == BETA else "standard deviations"
        inside = within(active, limit)
        text = "" if inside else f"{name}: {own:.4g} against {theirs:.4g} of the benchmark, band {limit:.4g}"
        status = Status.PASS if inside or rule.status == "report" else Status.WARN
        edge = limit if rule.status == "warn" else None
        found.append(FACTORS.result(status, text, key=name, observed=active, limit=edge, unit=unit))
    return tuple(found)


def risk_shares(p: Projection) -> tuple[Floats, Floats]:
    """((k, 3) share of each name with any weight in the book's volatility, (3,) that volatility per session).

    Euler's contributions w_i (S w)_i / w'Sw under the estimator that sees more risk; 0 for a book without risk. Raises
    ValueError when the contributions do not add up to the volatility.
    """
    model, (_, weights), returns = p.inputs.factor_model, aligned(p), active_returns(p)
    moves = returns @ weights
    both = variances(model, moves, weights)
    ewma = returns.T @ (moves * ewma_weights(len(moves), model.ewma_halflife)[:, None])
    window = model.ledoit_wolf_sessions
    tail, recent = returns[-window:], moves[-window:]
    shrunk = (1.0 - model.shrinkage) * (tail.T @ recent) / len(recent)
    shrunk = shrunk + model.shrinkage * model.shrink_variance * weights
    variance = np.maximum(both["ewma"], both["ledoit_wolf"])
    marginal = np.where(both["ewma"] >= both["ledoit_wolf"], ewma, shrunk)
    sigma = np.sqrt(variance)
    parts = np.divide(weights * marginal, sigma, out=np.zeros_like(weights), where=sigma != 0.0)
    if not all(within(float(gap), CLOSED) for gap in np.abs(parts.sum(axis=0) - sigma)):
        raise ValueError("the contributions to risk do not add up to the volatility")
    return np.divide(parts, sigma, out=np.zeros_like(parts), where=sigma != 0.0), sigma


def risk_share(p: Projection) -> tuple[ControlResult, ...]:
    """RC-49: the largest share, once enough is invested: hard where the answer is a risk-parity one, elsewhere noted."""
    rule = p.mandate.limits.risk_share
    shares, _ = risk_shares(p)
    rows = np.flatnonzero((p.weights != 0.0).any(axis=1))
    if not len(rows):
        return (RISK_SHARE.result(Status.PASS, observed=0.0, limit=rule.hard),)
    row = int(rows[int(shares[:, WITH].argmax())])
    name, most = p.inputs.instruments[row], shares.max(axis=0)
    invested = float(np.abs(p.weights[:, WITH]).sum())
    judged = not within(invested, rule.invested_min)
    if judged and RISK_PARITY in (p.inputs.optimizer.method, p.mandate.portfolio.method):
        names = np.zeros(len(p.inputs.instruments), dtype=bool)
        names[rows[shares[:, WITH] > rule.hard]] = True
        return (cap(RISK_SHARE, p, most, hard=rule.hard, key=name, counted=p.increasing_in(names)),)
    if not np.isfinite(most[WITH]):
        return (cap(RISK_SHARE, p, most, hard=rule.warn, key=name),)
    noted = judged and not within(float(most[WITH]), rule.warn)
    text = f"{name} carries {most[WITH]:.3g} of the volatility" if noted else ""
    status = Status.WARN if noted else Status.PASS
    return (RISK_SHARE.result(status, text, key=name, observed=float(most[WITH]), limit=rule.warn),)


EXPOSURE_CONTROLS: tuple[tuple[Rule, Callable[[Projection], tuple[ControlResult, ...]]], ...] = (
    (FACTORS, factors),
    (RISK_SHARE, risk_share),
)
