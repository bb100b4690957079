"""Scores of a past range as each session knew them, with what came: the panel that `factor_evaluation` judges. Pure.

Decision features and forecasts are those of every session's own window, as the backtest makes them: nothing that became known after
the cutoff takes part. Declared features come from one build of the range, which reads every row as of its own session; those that
read shares outstanding are left out, because that build knows only the newest number. Not here: what the numbers are worth
(`factor_evaluation`), the rows of the past (`history`).
"""

import datetime as dt
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from marketbot_assets.features.catalogue import declared
from marketbot_assets.features.declaration import SERIES_INPUTS, SHARES, Declared
from marketbot_assets.features.market_inputs import feature_inputs
from marketbot_assets.features.past import INDEX_SERIES
from marketbot_assets.features.plan import inputs_of, plan_of, reach_of
from marketbot_assets.features.registry import FEATURES, MACRO
from marketbot_assets.features.wide_features import build_features, first_number, number_of
from marketbot_assets.insight.forecasts import forecast
from marketbot_assets.insight.return_model import ReturnModel, fit_return_model, model_in_force, spec_sha256
from marketbot_assets.normalization.build_window import build_macro, build_window
from marketbot_assets.normalization.window import Floats
from marketbot_assets.research.factor_evaluation import Panel
from marketbot_assets.research.factor_evaluation_measures import above_usual_volatility
from marketbot_assets.research.history import History, Known, Tables
from marketbot_resources.calendars import cutoffs, decision_sessions
from marketbot_resources.errors import UsageError
from marketbot_resources.holidays import FIRST
from marketbot_resources.mandate import Mandate

DECISION_FEATURES = tuple(feature.name for feature in FEATURES if feature.source != MACRO)
FORECASTS = ("score", "expected_return")
EVERY = "declared"


def panel_of(
    history: History,
    mandate: Mandate,
    *,
    more: Sequence[str] = (),
    book: pd.DataFrame | None = None,
    seen: Callable[[dt.date], None] = lambda day: None,
) -> Panel:
    """The panel of a history's sessions. `more`: declared features, groups of them, or EVERY; `book`: BACKTEST rows.

    `seen` is called after each session (a progress bar). Raises UsageError for a declared feature that cannot be judged.
    """
    wanted = chosen(more)
    instruments, returns = history.outcomes()
    place = {name: column for column, name in enumerate(instruments)}
    shape = (len(history.sessions), len(instruments))
    scores = {name: np.full(shape, np.nan) for name in (*DECISION_FEATURES, *FORECASTS)}
    universe, stormy = np.zeros(shape, dtype=bool), np.full(shape[0], np.nan)
    model, fitted = None, 0
    for row, session in enumerate(history.sessions):
        known = history.at(session)
        made = _model(model, known, mandate, row - fitted)
        model, fitted = made, fitted if made is model else row
        columns = [place[str(name)] for name in known.instruments["instrument"]]
        expected = forecast(made, known.features, known.factor_model, mandate)
        for frame, names in ((known.features, DECISION_FEATURES), (expected, FORECASTS)):
            for name in names:
                scores[name][row, columns] = frame[name].to_numpy(dtype=float)
        universe[row, columns] = known.instruments["in_universe"].to_numpy(dtype=bool)
        stormy[row] = above_usual_volatility(known.macro.series[INDEX_SERIES])
        seen(session)
    scores |= declared_scores(history.tables, mandate, history.sessions, instruments, wanted)
    sector = history.tables.instruments.set_index("instrument")["sector"]
    sectors = tuple(str(sector[name]) for name in instruments)
    earned = book_returns(book, history.sessions)
    return Panel(history.sessions, instruments, scores, returns, universe, sectors, stormy, earned)


def _model(before: ReturnModel | None, known: Known, mandate: Mandate, age: int) -> ReturnModel:
    return model_in_force(
        before,
        lambda: fit_return_model(known.training, mandate),
        sessions_since_fit=age if before is not None else 0,
        spec=spec_sha256(mandate),
    )


def book_returns(book: pd.DataFrame | None, sessions: Sequence[dt.date]) -> Floats:
    """(T,) returns of a backtest's NAV in the sessions that follow one of its own; NaN elsewhere and without a book."""
    out = np.full(len(sessions), np.nan)
    if book is None or not len(book):
        return out
    nav = {day.date(): float(value) for day, value in zip(book["session"], book["nav"], strict=True)}
    for row in range(1, len(sessions)):
        before, now = nav.get(sessions[row - 1]), nav.get(sessions[row])
        if before is not None and now is not None and before > 0.0:
            out[row] = now / before - 1.0
    return out


def dated(feature: Declared) -> bool:
    """Whether a build over a range knows every input as each session knew it."""
    return SHARES not in inputs_of(feature.tree)


def chosen(wanted: Sequence[str]) -> tuple[Declared, ...]:
    """Declared features by name, by group, or with EVERY all that can be judged. Raises UsageError for any other word."""
    every = declared()
    words = {EVERY, *(feature.name for feature in every), *(feature.group for feature in every)}
    unknown = sorted(set(wanted) - words)
    if unknown:
        raise UsageError(f"expected declared features, groups of them or {EVERY}, found {', '.join(unknown)}")
    undated = [feature.name for feature in every if feature.name in wanted and not dated(feature)]
    if undated:
        raise UsageError(
            f"{', '.join(undated)}: reads shares outstanding, of which a range knows only the newest number"
        )
    return tuple(f for f in every if dated(f) and {EVERY, f.name, f.group}.intersection(wanted))


def declared_scores(
    tables: Tables,
    mandate: Mandate,
    sessions: Sequence[dt.date],
    instruments: Sequence[str],
    features: Sequence[Declared],
) -> dict[str, Floats]:
    """Feature -> (sessions, instruments) of one build over the range; `instruments`: all listings of the tables, sorted."""
    if not features:
        return {}
    plan = plan_of([feature.tree for feature in features], SERIES_INPUTS)
    lookback = 1 + max(reach_of(feature.tree) for feature in features)
    calendar, base = mandate.calendar, mandate.base_currency
    start = first_number(number_of(calendar, sessions[0]), lookback)
    days = decision_sessions(calendar, FIRST, sessions[-1])[start:]
    limits = cutoffs(calendar, mandate.schedule, days)
    listed = tables.instruments.sort_values("instrument", ignore_index=True)
    assert tuple(listed["instrument"]) == tuple(instruments), "instruments must be the tables' listings, sorted"
    window = build_window(
        *(tables.prices, tables.corporate_actions, tables.fx),
        instruments=list(instruments),
        currencies=dict(zip(listed["instrument"], listed["currency"], strict=True)),
        base=base,
        sessions=days,
        cutoffs=limits,
    )
    macro = build_macro(tables.macro, days, limits)
    inputs = feature_inputs(window, macro, tables.fundamentals, listed, limits, base)
    values, _ = build_features(plan, inputs, start)
    rows = slice(len(days) - len(sessions), None)
    return {feature.name: values[place, rows] for place, feature in enumerate(features)}
