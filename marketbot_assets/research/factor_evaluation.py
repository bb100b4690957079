"""What each score was worth over a past range: every measure by horizon, within sectors, in calm and stormy sessions. Pure.

One row is one number with its error and what it rests on; a number that rests on too little says so instead. Not here: how a
measure is worked out (`factor_evaluation_measures`), where scores come from (`factor_evaluation_panel`), plots and the page
(`factor_evaluation_charts`, `factor_evaluation_report`).
"""

import datetime as dt
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from marketbot_assets.book.rows import rows_frame
from marketbot_assets.features.past import NO_SECTOR
from marketbot_assets.normalization.window import Flags, Floats
from marketbot_assets.research import factor_evaluation_measures as measures
from marketbot_assets.research.factor_evaluation_measures import HORIZONS_MIN, QUANTILES, SESSIONS_MIN, Estimate
from marketbot_assets.research.schema import FACTOR_EVALUATION

HORIZONS = (1, 5, 10, 21)
DECAY_LAGS = (1, 2, 3, 5, 10, 15, 21, 42, 63)
DELAY = 1
NEAREST = 8
ALL, NEUTRAL, HIGH, LOW = "all", "sector neutral", "high volatility", "low volatility"
IC, DECAY, QUANTILE, SPREAD, MONOTONICITY = "ic", "ic_decay", "quantile_return", "spread", "monotonicity"
TURNOVER, AUTOCORRELATION, COVERAGE, CROWDING = "turnover", "rank_autocorrelation", "coverage", "crowding"
VARIANCE_SHARE, IC_MONTH, SPREAD_MONTH = "variance_share", "ic_month", "spread_month"
TOP, BOTTOM = "top", "bottom"
Row = dict[str, object]


@dataclass(frozen=True, slots=True)
class Panel:
    """T sessions and n instruments, sorted.

    `scores`: factor -> (T, n), known at each session's cutoff; `returns` (T, n): simple per session, base currency;
    `universe` (T, n): names that the mandate's universe held then; `sectors` (n,); `stormy` (T,): 1 above the usual volatility of
    the index, 0 not, NaN unknown; `book` (T,): returns of a book per session, NaN unknown.
    """

    sessions: tuple[dt.date, ...]
    instruments: tuple[str, ...]
    scores: Mapping[str, Floats]
    returns: Floats
    universe: Flags
    sectors: tuple[str, ...]
    stormy: Floats
    book: Floats

    def __post_init__(self) -> None:
        shape = (len(self.sessions), len(self.instruments))
        assert list(self.instruments) == sorted(set(self.instruments)), "instruments must be sorted and unique"
        assert list(self.sessions) == sorted(set(self.sessions)), "sessions must ascend"
        assert self.returns.shape == self.universe.shape == shape
        assert all(one.shape == shape for one in self.scores.values()), "scores must be (sessions, instruments)"
        assert len(self.sectors) == shape[1]
        assert self.stormy.shape == self.book.shape == (shape[0],)

    def known(self, factor: str) -> Floats:
        """(T, n) scores of names in the universe; NaN for others and for what is not finite."""
        scores = self.scores[factor]
        return np.where(self.universe & np.isfinite(scores), scores, np.nan)


def evaluate(panel: Panel, horizons: Sequence[int] = HORIZONS, delay: int = DELAY) -> pd.DataFrame:
    """FACTOR_EVALUATION rows of every score of a panel."""
    names = sorted(panel.scores)
    ahead = {horizon: measures.forward_returns(panel.returns, horizon, delay) for horizon in horizons}
    rows: list[Row] = []
    for name in names:
        scores = panel.known(name)
        rows += _information(name, panel, scores, ahead)
        rows += _decay(name, panel, scores, delay)
        rows += _quantiles(name, panel, scores, ahead)
        rows += _stability(name, scores, horizons)
        share = measures.estimate(measures.coverage(scores, panel.universe))
        rows.append(_row(name, COVERAGE, _level(share)))
        rows += _over_time(name, panel, scores, delay)
    rows += _crowding(names, panel)
    return rows_frame(FACTOR_EVALUATION, rows)


def _row(
    factor: str, measure: str, found: Estimate, *, horizon: int = 0, variant: str = ALL, item: str = "", why: str = ""
) -> Row:
    few = f"{found.observations} sessions, {found.apart} horizons apart; {SESSIONS_MIN} and {HORIZONS_MIN} are needed"
    message = "" if found.known else f"not known: {why or few}"
    return {
        "factor": factor,
        "measure": measure,
        "variant": variant,
        "horizon": horizon,
        "item": item,
        "mean": found.mean,
        "sd": found.sd,
        "ratio": found.ratio if math.isfinite(found.error) else math.nan,
        "error": found.error,
        "t": found.t,
        "observations": found.observations,
        "apart": found.apart,
        "message": message,
    }


def _level(found: Estimate) -> Estimate:
    """A mean for which zero is no hypothesis: without error and t."""
    return Estimate(found.mean, found.sd, math.nan, math.nan, found.observations, found.apart)


def _plain(value: float, observations: int) -> Estimate:
    """A number that is no mean over sessions: without error."""
    return Estimate(value, math.nan, math.nan, math.nan, observations, observations)


def _variants(panel: Panel, scores: Floats, ahead: Floats) -> Iterator[tuple[str, Floats, Floats]]:
    """(variant, scores, outcomes): all, within sectors, and in sessions of each regime."""
    yield ALL, scores, ahead
    yield (
        NEUTRAL,
        measures.within_groups(scores, panel.sectors, NO_SECTOR),
        measures.within_groups(ahead, panel.sectors, NO_SECTOR),
    )
    for name, state in ((HIGH, 1.0), (LOW, 0.0)):
        yield name, np.where((panel.stormy == state)[:, None], scores, np.nan), ahead


def _information(name: str, panel: Panel, scores: Floats, ahead: Mapping[int, Floats]) -> Iterator[Row]:
    for horizon, came in ahead.items():
        for variant, own, outcome in _variants(panel, scores, came):
            found = measures.estimate(measures.rank_correlations(own, outcome), horizon)
            yield _row(name, IC, found, horizon=horizon, variant=variant)


def _decay(name: str, panel: Panel, scores: Floats, delay: int) -> Iterator[Row]:
    """Coefficients against the return of one session, ever further ahead."""
    for lag in DECAY_LAGS:
        came = measures.forward_returns(panel.returns, 1, delay + lag - 1)
        found = measures.estimate(measures.rank_correlations(scores, came))
        yield _row(name, DECAY, found, horizon=1, item=f"{lag:03d}")


def _quantiles(name: str, panel: Panel, scores: Floats, ahead: Mapping[int, Floats]) -> Iterator[Row]:
    for horizon, came in ahead.items():
        for variant, own, outcome in _variants(panel, scores, came):
            earned = measures.quantile_returns(measures.quantile_numbers(own), outcome)
            spread = measures.estimate(earned[:, -1] - earned[:, 0], horizon)
            yield _row(name, SPREAD, spread, horizon=horizon, variant=variant)
            if variant not in (ALL, NEUTRAL):
                continue
            each = [measures.estimate(earned[:, place], horizon) for place in range(QUANTILES)]
            for place, found in enumerate(each, start=1):
                yield _row(name, QUANTILE, found, horizon=horizon, variant=variant, item=str(place))
            steps = measures.monotonicity([found.mean for found in each])
            rests = min(found.observations for found in each)
            yield _row(
                name, MONOTONICITY, _plain(steps, rests), horizon=horizon, variant=variant, why="a quantile is not"
            )


def _stability(name: str, scores: Floats, horizons: Sequence[int]) -> Iterator[Row]:
    numbers = measures.quantile_numbers(scores)
    for horizon in horizons:
        for item, number in ((BOTTOM, 1), (TOP, QUANTILES)):
            changed = measures.estimate(measures.quantile_turnover(numbers, number, horizon), horizon)
            yield _row(name, TURNOVER, _level(changed), horizon=horizon, item=item)
        lasting = measures.estimate(measures.rank_autocorrelation(scores, horizon), horizon)
        yield _row(name, AUTOCORRELATION, _level(lasting), horizon=horizon)


def _over_time(name: str, panel: Panel, scores: Floats, delay: int) -> Iterator[Row]:
    """Per month of the forecast: mean coefficient and summed spread over one session; and the share of the book's variance."""
    came = measures.forward_returns(panel.returns, 1, delay)
    ics = measures.rank_correlations(scores, came)
    earned = measures.quantile_returns(measures.quantile_numbers(scores), came)
    spread = earned[:, -1] - earned[:, 0]
    months = np.array([f"{day:%Y-%m}" for day in panel.sessions])
    for month in sorted(set(months)):
        for measure, values, total in ((IC_MONTH, ics, False), (SPREAD_MONTH, spread, True)):
            own = values[(months == month) & np.isfinite(values)]
            number = math.nan if not len(own) else float(own.sum() if total else own.mean())
            yield _row(name, measure, _plain(number, len(own)), horizon=1, item=month, why="no session of it is")
    realized = np.full(len(spread), np.nan)
    realized[delay + 1 :] = spread[: -delay - 1]  # the session in which it was earned
    share, sessions = measures.variance_share(panel.book, realized)
    why = f"{sessions} sessions of a book and the spread"
    yield _row(name, VARIANCE_SHARE, _plain(share, sessions), horizon=1, why=why)


def _crowding(names: Sequence[str], panel: Panel) -> Iterator[Row]:
    """Mean rank correlations with the NEAREST other scores; exposures last, so no error is claimed."""
    means, sessions = measures.pairwise_correlations([panel.known(name) for name in names])
    for place, name in enumerate(names):
        others = [other for other in range(len(names)) if other != place and math.isfinite(means[place, other])]
        nearest = sorted(others, key=lambda other: (-abs(means[place, other]), names[other]))[:NEAREST]
        for other in nearest:
            yield _row(
                name, CROWDING, _plain(float(means[place, other]), int(sessions[place, other])), item=names[other]
            )
        if not nearest:
            yield _row(name, CROWDING, _plain(math.nan, 0), why="no other score is compared with it")


def crowded(frame: pd.DataFrame, factor: str) -> tuple[str, float]:
    """(the other score that a factor resembles most, their mean rank correlation); ("", NaN) when none is known."""
    rows = frame[(frame["factor"] == factor) & (frame["measure"] == CROWDING) & np.isfinite(frame["mean"])]
    if not len(rows):
        return "", math.nan
    best = int(rows["mean"].abs().to_numpy().argmax())
    return str(rows["item"].iloc[best]), float(rows["mean"].iloc[best])


def of(frame: pd.DataFrame, factor: str, measure: str, horizon: int | None = None, variant: str = ALL) -> list[Row]:
    """Rows of one measure, in the table's order."""
    kept = (frame["factor"] == factor) & (frame["measure"] == measure) & (frame["variant"] == variant)
    rows = frame[kept if horizon is None else kept & (frame["horizon"] == horizon)]
    return [{str(name): value for name, value in row.items()} for row in rows.to_dict("records")]


def number(frame: pd.DataFrame, key: tuple[str, str, int, str, str], column: str = "mean") -> float:
    """One number by (factor, measure, horizon, variant, item); NaN when it is not known."""
    factor, measure, horizon, variant, item = key
    own = [row for row in of(frame, factor, measure, horizon, variant) if row["item"] == item]
    assert len(own) <= 1, f"expected one row of {key}, found {len(own)}"
    return float(str(own[0][column])) if own and own[0][column] is not None else math.nan
