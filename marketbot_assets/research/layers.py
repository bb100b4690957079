"""The layers of the graph as functions from a world to outputs, each by the very functions that assets and backtest call. Pure.

Normalization and quality on raw rows; the window, every feature, the factor model, context, return model and forecasts on tidy
tables; the decision with its book, fills and verdict in the loop. Not here: the checks (`leakcheck`), a home's own objects, which
the readers of the assets serve (`commands.leakcheck_home`).
"""

import datetime as dt
import json
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd

from marketbot_assets.features.build import build_features
from marketbot_assets.features.factor_model import estimate_factor_model, shrunk_beta
from marketbot_assets.features.model import FactorModel
from marketbot_assets.features.past import past_of
from marketbot_assets.features.registry import FEATURES
from marketbot_assets.features.scenarios import scenario_returns
from marketbot_assets.insight.forecasts import forecast
from marketbot_assets.insight.heuristic import heuristic_context
from marketbot_assets.insight.return_model import ReturnModel, fit_return_model
from marketbot_assets.normalization import quality, schema, series
from marketbot_assets.normalization.build_window import build_macro, build_window
from marketbot_assets.normalization.identity import normalize_instruments
from marketbot_assets.normalization.window import MacroWindow, MarketWindow
from marketbot_assets.research.history import NORMALIZED, History, Known, Tables
from marketbot_assets.research.leakcheck import Key, Outputs
from marketbot_assets.research.loop import Day, opening_account, run_days
from marketbot_assets.research.outcomes import row_of
from marketbot_assets.research.worlds import World
from marketbot_resources.calendars import cutoffs, decision_sessions, previous_session
from marketbot_resources.holidays import FIRST
from marketbot_resources.mandate import Mandate

LEVELS = ("open", "high", "low", "close", "volume", "price_level", "total_return", "base_return", "fx", "fresh")
PANEL_SESSIONS = 65
WARM_SESSIONS = {feature.name: feature.lookback_sessions for feature in FEATURES}
MODEL_OUTPUTS = ("beta", "sigma_daily", "specific_variance", "observations")
ACROSS = (
    "factor_model.",
    "factors.",
    "factor_scalars.",
    "forecasts.",
    "context.",
    "return_model.",
    "scenarios.",
    "features.sector_",
)
Made = dict[Key, pd.DataFrame]


def own(output: str) -> bool:
    """Whether an output of the market layer concerns one name alone, whatever other names there are."""
    return not output.startswith(ACROSS)


def tables_of(world: World) -> Tables:
    """The tidy tables of a world as the history takes them."""
    return Tables(**{name: world[name] for name in NORMALIZED})


def tidy(raw: World, mandate: Mandate, until: dt.datetime) -> World:
    """Raw rows normalized, as known at an instant."""
    listed = normalize_instruments(raw["raw_instruments"], mandate.universe.listings, until)
    return {
        "instruments": listed,
        "prices": series.normalize_prices(raw["raw_prices"], listed),
        "corporate_actions": series.normalize_corporate_actions(raw["raw_corporate_actions"], listed),
        "fx": series.normalize_fx(raw["raw_fx"], mandate.base_currency),
        "macro": series.normalize_macro(raw["raw_macro"]),
        "fundamentals": series.normalize_fundamentals(raw["raw_fundamentals"], listed),
        "news": series.normalize_news(raw["raw_news"], listed),
    }


class Layers:
    """The layers under one mandate. `fits`: sessions at which the return model is fitted; None: at each."""

    def __init__(self, mandate: Mandate, fits: Collection[dt.date] | None = None) -> None:
        self.mandate, self._fits = mandate, fits

    def limits(self, sessions: Sequence[dt.date]) -> dict[dt.date, tuple[dt.datetime, dt.datetime]]:
        """Session -> (cutoff before it, its cutoff)."""
        calendar, schedule = self.mandate.calendar, self.mandate.schedule
        before = [previous_session(calendar, day) for day in sessions]
        ends = zip(cutoffs(calendar, schedule, before), cutoffs(calendar, schedule, sessions), strict=True)
        return dict(zip(sessions, ends, strict=True))

    def normalization(self, raw: World, sessions: Sequence[dt.date]) -> Outputs:
        """The rows of every tidy table that each session adds, by key; the universe as of its cutoff."""
        out: Made = {}
        limits = self.limits(sessions)
        made = tidy(raw, self.mandate, limits[sessions[-1]][1])
        for day, (after, until) in limits.items():
            listed = _until(normalize_instruments(raw["raw_instruments"], self.mandate.universe.listings, until), until)
            out[day, "instruments"] = by_key(listed, schema.INSTRUMENTS.key)
            for table in schema.DAILY[1:]:
                rows = _until(made[table.asset], until)
                fresh = rows["known_at"] > after
                if "instrument" in rows:  # what was filed or said about a listing that does not exist yet waits for it
                    fresh &= rows["instrument"].isin(set(listed["instrument"]))
                out[day, table.asset] = by_key(rows[fresh], table.key)
        return out

    def quality(self, raw: World, sessions: Sequence[dt.date]) -> Outputs:
        """DATA_QUALITY of each session, its bars judged by the bars known before it."""
        out: Made = {}
        for day, (after, until) in self.limits(sessions).items():
            known = tidy(raw, self.mandate, until)
            prices, rates, world = known["prices"], known["fx"], known["macro"]
            start = decision_sessions(self.mandate.calendar, day - dt.timedelta(days=2 * PANEL_SESSIONS), day)[0]
            far = cutoffs(self.mandate.calendar, self.mandate.schedule, [start])[0]
            quoted = raw["raw_fx"]
            tables = quality.Tables(
                bars=prices[(prices["known_at"] > after) & (prices["known_at"] <= until)],
                recent=quality.recent_bars(prices[(prices["known_at"] > far) & (prices["known_at"] <= after)], day),
                restatements=schema.RESTATEMENTS.arrow_schema.empty_table().to_pandas(),
                actions=_until(known["corporate_actions"], until),
                instruments=known["instruments"],
                fx=_until(rates[rates["known_at"] > far], until),
                raw_fx=quoted[(quoted["known_at"] > after) & (quoted["known_at"] <= until)],
                macro=_until(world, until),
            )
            found = quality.assess(
                tables,
                session=day,
                cutoff=until,
                previous_cutoff=after,
                base=self.mandate.base_currency,
                off=self.mandate.calendar.closed,
            )
            out[day, "data_quality"] = by_key(found, schema.DATA_QUALITY.key)
        return out

    def market(self, world: World, sessions: Sequence[dt.date]) -> Outputs:
        """What every session knows: window, features, factor model, context, a fit of the return model, forecasts."""
        out: Made = {}
        history = History(tables_of(world), self.mandate, sessions[0], sessions[-1])
        for day in sessions:
            known = history.at(day)
            context = heuristic_context(known.features, known.instruments, world["news"], known.cutoff)
            names = list(known.instruments["instrument"])
            age, count = known.ages.at(known.cutoff)
            out[day, "window"] = window_row(known.window).assign(age=age, bars=count)
            out[day, "window"]["quarantined"] = [name in known.quarantined for name in names]
            out[day, "instruments"] = known.instruments.set_index("instrument")
            out[day, "macro"] = pd.DataFrame({"level": {n: v[-1] for n, v in known.macro.series.items()}}, dtype=float)
            out[day, "features"] = known.features.set_index("instrument").drop(columns="session")
            out.update({(day, name): frame for name, frame in model_frames(known.factor_model).items()})
            out[day, "context"] = by_key(context, ("kind", "subject"))
            if self._fits is None or day in self._fits:
                model = fit_return_model(known.training, self.mandate)
                expected = forecast(model, known.features, known.factor_model, self.mandate)
                out[day, "return_model"], out[day, "forecasts"] = _return_model(model), expected.set_index("instrument")
        return out

    def decision(self, world: World, sessions: Sequence[dt.date]) -> Outputs:
        """The loop over the sessions from cash: fills, book, target, plan, verdict."""
        history = History(tables_of(world), self.mandate, sessions[0], sessions[-1])
        out: Made = {}
        for day in run_days(history, self.mandate, opening_account(self.mandate, history)):
            out.update(_decided(day, day.known))
        return out

    def warm_features(self, world: World, session: dt.date, sessions: int) -> pd.DataFrame:
        """Features of a session from a window of so many sessions, at most those that there are."""
        window, macro, listed, day = self._built(world, session, sessions)
        filed = _until(world["fundamentals"], day)
        return build_features(window, macro, filed, listed, session).set_index("instrument")

    def warm_factor_model(self, world: World, session: dt.date, sessions: int) -> pd.DataFrame:
        """The factor model's numbers per name from a window of so many sessions; stress windows need all of the past."""
        window, macro, listed, day = self._built(world, session, sessions)
        features = build_features(window, macro, _until(world["fundamentals"], day), listed, session)
        beta = shrunk_beta(window.base_return, macro.series["SP500"])
        none = scenario_returns(past_of((), window.base_return[:0], macro.series["SP500"][:0]), beta, session)
        model = estimate_factor_model(window, macro, features, listed, self.mandate, none)
        return model_frames(model)["factor_model"][list(MODEL_OUTPUTS)]

    def _built(
        self, world: World, session: dt.date, sessions: int
    ) -> tuple[MarketWindow, MacroWindow, pd.DataFrame, dt.datetime]:
        days = decision_sessions(self.mandate.calendar, FIRST, session)[-sessions:]
        limits = cutoffs(self.mandate.calendar, self.mandate.schedule, days)
        listed = _until(world["instruments"], limits[-1])
        window = build_window(
            *(world[name] for name in ("prices", "corporate_actions", "fx")),
            instruments=list(listed["instrument"]),
            currencies=dict(zip(listed["instrument"], listed["currency"], strict=True)),
            base=self.mandate.base_currency,
            sessions=days,
            cutoffs=limits,
        )
        return window, build_macro(world["macro"], days, limits), listed, limits[-1]


def _until(frame: pd.DataFrame, at: dt.datetime) -> pd.DataFrame:
    return frame[frame["known_at"] <= at]


def by_key(frame: pd.DataFrame, key: Sequence[str]) -> pd.DataFrame:
    """The rows of a table under their key, its columns joined by a bar."""
    names = pd.Index(["|".join(str(part) for part in parts) for parts in zip(*(frame[k] for k in key), strict=True)])
    return frame.drop(columns=list(key)).set_axis(names)


def window_row(window: MarketWindow) -> pd.DataFrame:
    """The last row of a window, instruments down."""
    return pd.DataFrame({name: getattr(window, name)[-1] for name in LEVELS}, index=list(window.instruments))


def model_frames(model: FactorModel) -> dict[str, pd.DataFrame]:
    """A factor model as frames: per name, per factor, per scenario, and its scalars."""
    names, factors = list(model.instruments), list(model.factors)
    each = pd.DataFrame({name: getattr(model, name) for name in MODEL_OUTPUTS}, index=names)
    exposures = pd.DataFrame(model.exposures, index=names, columns=[f"exposure {name}" for name in factors])
    each["return"], each["spread"] = model.returns[-1], np.sqrt((model.returns**2).sum(axis=0))
    scenarios = pd.DataFrame(
        {"loss": np.nansum(model.scenario_returns, axis=1), "proxied": model.scenario_proxied.sum(axis=1)},
        index=list(model.scenarios),
    )
    stressed = pd.DataFrame(model.scenario_returns.T, index=names, columns=[f"scenario {s}" for s in model.scenarios])
    by_factors = pd.DataFrame(
        model.scenario_factor_returns.T, index=names, columns=[f"factor scenario {s}" for s in model.scenarios]
    )
    deepest = pd.DataFrame(
        model.scenario_paths.min(axis=1, initial=0.0).T, index=names, columns=[f"path {s}" for s in model.scenarios]
    )
    scalars = {name: [getattr(model, name)] for name in ("shrinkage", "shrink_variance", "index_vol_20d")}
    return {
        "factor_model": pd.concat([each, exposures, stressed, by_factors, deepest], axis=1),
        "factors": pd.DataFrame(model.factor_covariance, index=factors, columns=factors),
        "scenarios": scenarios,
        "factor_scalars": pd.DataFrame(scalars, index=["model"]),
    }


def _return_model(model: ReturnModel) -> pd.DataFrame:
    card = json.dumps(dict(model.card), sort_keys=True)
    frame = pd.DataFrame({"coefficient": model.coefficients}, index=list(model.scores), dtype=float)
    return frame.assign(residual_sd=model.residual_sd, card=card)


def _decided(day: Day, known: Known) -> Mapping[Key, pd.DataFrame]:
    """One day of the loop as outputs."""
    decision, names = day.decision, list(known.instruments["instrument"])
    when, weights = known.session, day.decision.target.weights
    row = {name: [value] for name, value in row_of(day).items() if name != "session"}
    planned = [
        (o.client_order_id, o.instrument, o.side.value, float(o.quantity), float(o.limit_price or 0))
        for o in decision.orders
    ]
    sent = [(o.client_order_id, float(o.quantity)) for o in decision.batch]
    fills = [(f.execution_id, float(f.quantity), float(f.price), float(f.fee)) for f in day.fills]
    held = day.rolled.valuation
    return {
        (when, "target"): pd.DataFrame({"weight": weights}, index=names),
        (when, "plan"): _listed(planned, ("instrument", "side", "quantity", "limit")),
        (when, "batch"): _listed(sent, ("quantity",)),
        (when, "fills"): _listed(fills, ("quantity", "price", "fee")),
        (when, "book"): pd.DataFrame({"value": dict(held.values)}, dtype=float),
        (when, "verdict"): pd.DataFrame(
            {
                **row,
                "batch_seen": decision.judgement.batch_seen_sha256,
                "batch_approved": decision.judgement.batch_approved_sha256,
            },
            index=["session"],
        ),
    }


def _listed(rows: Sequence[tuple], columns: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame([row[1:] for row in rows], index=[row[0] for row in rows], columns=list(columns))
