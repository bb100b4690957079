"""The factor model as one frozen result: what the optimizer, the risk engine and the stress tests read.

Not here: how it is estimated (`factor_model`), how it is stored (`schema`).
"""

import datetime as dt
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FactorModel:
    """Risk of n instruments at one cutoff, in the base currency.

    `exposures` (n, k); `factor_covariance` (k, k) and `specific_variance` (n,) per year. `returns` (T, n): simple
    base-currency returns of the last T sessions (T <= 756), a missing one is 0 and counted in `observations` (n,).
    `beta` (n,) to the index, shrunk; `sigma_daily` (n,): EWMA standard deviation of `returns`, per session.
    The two estimators of the covariance per session are (a) EWMA over `returns` with `ewma_halflife`, (b) Ledoit-Wolf over
    the last `ledoit_wolf_sessions` rows: (1 - shrinkage) * sample + shrinkage * shrink_variance * identity.
    `scenario_returns` (S, n): simple return of each instrument in each stress scenario that ended before the cutoff;
    `scenario_kinds`: crash, bear, budget, instant or history; `scenario_proxied` (S, n): True where peers or the index stand in.
    `scenario_factor_returns` (S, n): the same by factors; `scenario_paths` (S, P, n): cumulative replay at P sessions of the
    window, its end last; `scenario_years` (S,): its length, 0 for an instant.
    """

    session: dt.date
    instruments: tuple[str, ...]
    factors: tuple[str, ...]
    exposures: Floats
    factor_covariance: Floats
    specific_variance: Floats
    returns: Floats
    observations: Floats
    beta: Floats
    sigma_daily: Floats
    ewma_halflife: int
    ledoit_wolf_sessions: int
    shrinkage: float
    shrink_variance: float
    index_vol_20d: float
    scenarios: tuple[str, ...]
    scenario_kinds: tuple[str, ...]
    scenario_returns: Floats
    scenario_proxied: NDArray[np.bool_]
    scenario_factor_returns: Floats
    scenario_paths: Floats
    scenario_years: Floats

    def __post_init__(self) -> None:
        n, k, s = len(self.instruments), len(self.factors), len(self.scenarios)
        assert list(self.instruments) == sorted(set(self.instruments)), "instruments must be sorted and unique"
        assert self.exposures.shape == (n, k)
        assert self.factor_covariance.shape == (k, k)
        assert self.returns.shape[1] == n
        assert self.scenario_returns.shape == (s, n) == self.scenario_proxied.shape
        assert self.scenario_factor_returns.shape == (s, n)
        assert self.scenario_paths.ndim == 3
        assert (len(self.scenario_paths), self.scenario_paths.shape[2]) == (s, n)
        assert self.scenario_years.shape == (s,) == (len(self.scenario_kinds),)

    def ewma_root(self) -> Floats:
        """(T, n) matrix R with R'R the EWMA covariance per session (mean zero, weights sum to 1)."""
        age = np.arange(len(self.returns))[::-1]
        weights = 0.5 ** (age / self.ewma_halflife)
        return np.asarray(self.returns * np.sqrt(weights / weights.sum())[:, None])

    def ledoit_wolf_root(self) -> Floats:
        """(T' + n, n) matrix R with R'R the Ledoit-Wolf covariance per session (mean zero)."""
        window = self.returns[-self.ledoit_wolf_sessions :]
        sessions, n = window.shape
        root = np.zeros((sessions + n, n))
        np.multiply(window, np.sqrt((1.0 - self.shrinkage) / sessions), out=root[:sessions])
        np.fill_diagonal(root[sessions:], np.sqrt(self.shrinkage * self.shrink_variance))
        return root
