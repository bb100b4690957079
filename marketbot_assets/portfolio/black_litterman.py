"""Black and Litterman: forecasts as views on an equilibrium, each believed as far as its confidence. Pure.

    prior       pi = excess * S r / (r'S r)     the returns at which the reference book r is optimal and earns `excess`
    views       P m = q + error,  error ~ N(0, Omega)
    posterior   m = pi + tau S P' (P tau S P' + Omega)^-1 (q - P pi)             (He and Litterman 1999)

Here every name has one view of its own, P = I: its forecast, at most `tilt_max_per_year` beside the prior, with
Omega = (1 - c) / c * tau * diag(S) for the confidence c: 0 keeps the prior, 1 trusts the view (a single name has the posterior
m = pi + c (q - pi)). The reference book is the benchmark, or the inverse-volatility book when the benchmark is unknown. The
posterior feeds mean variance. Not here: that solver (`optimizer`).
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from marketbot_assets.portfolio.facts import Facts
from marketbot_assets.portfolio.inputs import Floats
from marketbot_assets.portfolio.target import Answer, Problem


def posterior(prior: Floats, scaled: Floats, picks: Floats, views: Floats, omega: Floats) -> Floats:
    """(n,) mean after the views. `scaled` (n, n) = tau S, `picks` (v, n), `views` (v,), `omega` (v,) variances; dense.

    Raises numpy.linalg.LinAlgError when views without error contradict each other.
    """
    shared = scaled @ picks.T
    return np.asarray(prior + shared @ np.linalg.solve(picks @ shared + np.diag(omega), views - picks @ prior))


def posterior_of_names(
    root: Floats, specific: Floats, prior: Floats, views: Floats, tau: float, omega: Floats
) -> Floats:
    """The same for P = I and S = root'root + diag(specific), root (k, n), in O(n k^2) by Woodbury; `omega` (n,) positive."""
    inverse = 1.0 / (tau * specific + omega)
    surprise = inverse * (views - prior)
    inner = np.eye(len(root)) / tau + (root * inverse) @ root.T
    pull = surprise - inverse * (root.T @ np.linalg.solve(inner, root @ surprise))
    return np.asarray(prior + tau * (root.T @ (root @ pull) + specific * pull))


def equilibrium(root: Floats, specific: Floats, reference: Floats, excess: float) -> Floats:
    """(n,) returns per year proportional to the covariance with the reference book (n,), which earns `excess`.

    Raises ArithmeticError when the reference book has no risk.
    """
    covariance = root.T @ (root @ reference) + specific * reference
    variance = float(reference @ covariance)
    if not (np.isfinite(variance) and variance > 0.0):
        raise ArithmeticError("equilibrium: expected a reference book of positive variance")
    return np.asarray(excess * covariance / variance)


def reference_book(facts: Facts) -> Floats:
    """(n,) weights that sum to 1: the benchmark, or inverse volatility over all names of known risk. Raises ArithmeticError."""
    if facts.benchmark.shape == facts.weights_now.shape:
        return facts.benchmark
    volatility = np.sqrt((facts.factor_root**2).sum(axis=0) + facts.specific)
    known = volatility > 0.0
    if not known.any():
        raise ArithmeticError("reference book: expected a name of known risk")
    inverse = np.where(known, 1.0 / np.where(known, volatility, 1.0), 0.0)
    return np.asarray(inverse / inverse.sum())


def believed_returns(problem: Problem) -> Floats:
    """(n,) posterior expected returns per year. Raises ArithmeticError without any name of known risk."""
    facts, rule = problem.facts, problem.mandate.portfolio
    views_rule, excess = rule.black_litterman, rule.prior_excess_return_per_year
    prior = equilibrium(facts.factor_root, facts.specific, reference_book(facts), excess)
    tilt = np.clip(facts.expected_return - prior, -views_rule.tilt_max_per_year, views_rule.tilt_max_per_year)
    variance = (facts.factor_root**2).sum(axis=0) + facts.specific
    doubt = (1.0 - views_rule.confidence) / views_rule.confidence * views_rule.tau
    # A name of unknown risk has no covariance with anything: its view moves nothing, whatever its error.
    omega = np.where(variance > 0.0, doubt * variance, 1.0)
    return posterior_of_names(facts.factor_root, facts.specific, prior, prior + tilt, views_rule.tau, omega)


def black_litterman(problem: Problem, solver: Callable[[Problem], Answer]) -> Answer:
    """Mean variance on the posterior: `solver` is any that makes the utility largest."""
    return solver(replace(problem, facts=replace(problem.facts, expected_return=believed_returns(problem))))
