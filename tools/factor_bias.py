"""Bias statistics of the factor model's two estimators over a past range: does a portfolio move as much as was forecast.

Usage: python tools/factor_bias.py FIRST LAST [--real]. The world is the one of the mandate (MARKETBOT_MANDATE); `--real` leaves the
simulated exchanges of the sample out. Forecasts are made every fifth session from what was known then and compared with the next
session and the next five, over disjoint windows of 60 forecasts. Nothing is stored.
"""

import argparse
import datetime as dt
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from twenty_years import SIMULATED, real_mandate

from marketbot_assets.backtest import tables_until
from marketbot_assets.features.factor_bias import (
    Risk,
    band,
    factor_portfolios,
    optimized_portfolios,
    random_portfolios,
    standardized_returns,
    table_of,
)
from marketbot_assets.features.factor_model import estimated_risk
from marketbot_assets.normalization.window import Floats
from marketbot_assets.research.history import History, Known, Tables
from marketbot_resources.calendars import computed_cutoff
from marketbot_resources.mandate import Mandate, parse_mandate
from marketbot_resources.mandate_file import read_mandate_text
from marketbot_resources.model import SESSIONS_PER_YEAR
from marketbot_resources.wiring import Ports

STEP, WINDOW = 5, 60
ESTIMATORS = ("minimum_norm", "constrained")


@dataclass(frozen=True, slots=True)
class Outcome:
    """Standardized returns of one forecast: estimator, family, horizon in sessions, (m,) values."""

    estimator: str
    family: str
    horizon: int
    values: Floats


def without_simulated(tables: Tables) -> Tables:
    """The tables of the real names and funds alone."""
    listings = tables.instruments[~tables.instruments["mic"].isin(SIMULATED)].reset_index(drop=True)
    prices = tables.prices[tables.prices["instrument"].isin(listings["instrument"])].reset_index(drop=True)
    return replace(tables, instruments=listings, prices=prices)


def moves_after(known: Known, later: Known) -> Floats:
    """(STEP, n) returns of the STEP sessions between two forecasts in the earlier one's order; NaN for a name that has gone."""
    places = {name: place for place, name in enumerate(later.training.instruments)}
    rows = later.training.base_return[-STEP:]
    return np.column_stack(
        [rows[:, places[name]] if name in places else np.full(STEP, np.nan) for name in known.training.instruments]
    )


def outcomes(known: Known, moves: Floats, mandate: Mandate) -> Iterator[Outcome]:
    """Every estimator's forecasts at a session against what came. Names without any return are left out."""
    model, returns = known.factor_model, known.training.base_return
    alive = np.isfinite(returns[-252:]).sum(axis=0) >= 126
    for estimator in ESTIMATORS:
        chosen = mandate.volatility.model_copy(update={"factor_model": estimator})
        names, features, listed = model.factors, known.features, known.instruments
        covariance, specific = estimated_risk(returns, model.exposures, names, features, listed, chosen)
        exposures, own, ahead = model.exposures[alive], specific[alive], moves[:, alive]
        for horizon in (1, STEP):
            scale = horizon / SESSIONS_PER_YEAR
            risk = Risk(exposures, covariance * scale, own * scale)
            earned = np.prod(1.0 + np.nan_to_num(ahead[:horizon]), axis=0) - 1.0
            for family, weights in (
                ("factor", factor_portfolios(risk)),
                ("random", random_portfolios(len(own))),
                ("optimized", optimized_portfolios(risk)),
            ):
                yield Outcome(estimator, family, horizon, standardized_returns(risk, weights, earned))


def report(found: Sequence[Outcome]) -> Iterator[str]:
    """The table, one row per horizon, family and estimator."""
    low, high = band(WINDOW)
    yield f"| horizon | portfolios | estimator | windows | mean bias | inside {low:.3f} to {high:.3f} | mean distance from 1 |"
    yield "|" + " --- |" * 7
    rows: dict[tuple[int, str, str], list[Floats]] = defaultdict(list)
    for one in found:
        rows[one.horizon, one.family, one.estimator].append(one.values)
    for (horizon, family, estimator), values in rows.items():
        shortest = min(len(row) for row in values)
        told = table_of(family, np.array([row[:shortest] for row in values]), WINDOW)
        numbers = f"{told.mean:.3f} | {told.inside:.0%} | {told.deviation:.3f}"
        yield f"| {horizon} | {family} | {estimator} | {told.windows} | {numbers} |"


def main(arguments: Sequence[str]) -> None:
    """Prints the table of a range."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("first", type=dt.date.fromisoformat)
    parser.add_argument("last", type=dt.date.fromisoformat)
    parser.add_argument("--real", action="store_true", help="without the simulated exchanges of the sample world")
    chosen = parser.parse_args(arguments)
    text = read_mandate_text()
    mandate = real_mandate(text, chosen.first) if chosen.real else parse_mandate(text)
    tables = tables_until(Ports(), mandate, computed_cutoff(mandate.schedule, chosen.last), lambda body: "")
    tables = without_simulated(tables) if chosen.real else tables
    history = History(tables, mandate, chosen.first, chosen.last)
    sessions = history.sessions[::STEP]
    found: list[Outcome] = []
    known = history.at(sessions[0])
    for session in sessions[1:]:
        later = history.at(session)
        found += outcomes(known, moves_after(known, later), mandate)
        known = later
    print(
        f"{len(sessions) - 1} forecasts, {sessions[0]} to {sessions[-2]}; {len(known.instruments)} names at the end.\n"
    )
    print("\n".join(report(found)))


if __name__ == "__main__":
    main(sys.argv[1:])
