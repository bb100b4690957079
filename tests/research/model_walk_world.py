"""A home whose market is planted: real store, ledger and registry; panels of a simulated world in place of those of prices."""

import datetime as dt
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from marketbot_assets import champion_facts, model_watch_facts
from marketbot_assets.audit.schema import MODEL_WATCH
from marketbot_assets.book.rows import rows_frame
from marketbot_assets.ingestion.parse_mandate import mandate_frame
from marketbot_assets.ingestion.schema import MANDATE
from marketbot_assets.insight import schema
from marketbot_assets.insight.champion import chosen_row
from marketbot_assets.insight.families import ridge_spec
from marketbot_assets.insight.forecast_fit import fit_model
from marketbot_assets.insight.forecast_panel import Panel, labels_of, standardized
from marketbot_assets.insight.lead import Lead, lead_of
from marketbot_assets.insight.model_card import ModelSpec
from marketbot_assets.insight.price_panel import SCORES, feature_versions
from marketbot_assets.insight.training import TrainingRule
from marketbot_assets.model_registry import RETURN_MODEL, ModelRegistry
from marketbot_assets.research.forecast_trial import evaluate_forecasts
from marketbot_assets.risk.schema import RISK_VERDICT
from marketbot_resources.calendars import computed_cutoff, decision_sessions
from marketbot_resources.mandate import parse_mandate
from marketbot_resources.store.index import STATIC, Origin
from marketbot_resources.store.lake import Lake
from marketbot_resources.store.reader import Reader
from marketbot_resources.store.table import Table

TEXT = (Path(__file__).parents[2] / "mandate.yaml").read_text(encoding="utf-8")
RULES = parse_mandate(TEXT)
NAMES = 24
DAYS = decision_sessions(RULES.calendar, dt.date(2014, 1, 2), dt.date(2018, 12, 28))
_EMPTY = {
    "text": "",
    "number": float("nan"),
    "integer": 0,
    "flag": False,
    "decimal": None,
    "date": None,
    "instant": None,
}


def planted(turns_at: int | None) -> Panel:
    """A lasting score is worth a fifth of a deviation of a session's return; from row `turns_at` on as much the other way."""
    draw, rows = np.random.default_rng(11), len(DAYS)
    score = np.zeros((rows, NAMES))
    for row in range(1, rows):
        score[row] = 0.98 * score[row - 1] + draw.standard_normal(NAMES)
    values = standardized(np.stack([score, *draw.standard_normal((2, rows, NAMES))], axis=2))
    worth = np.full((rows, 1), 0.2)
    worth[len(DAYS) if turns_at is None else turns_at :] = -0.2
    returns = np.zeros((rows, NAMES))
    returns[1:] = 0.01 * ((worth * values[:, :, 0])[:-1] + draw.standard_normal((rows - 1, NAMES)))
    after = np.vstack([returns[1:], np.full(NAMES, np.nan)])
    names = tuple(f"I{n:02d}" for n in range(NAMES))
    return Panel(DAYS, names, SCORES, values, labels_of(returns, 21), after, 21)


def known(panel: Panel, session: dt.date) -> Panel:
    """What of it is known at a session: no return after it, no label that had not ended."""
    end = panel.sessions.index(session) + 1
    labels, returns = panel.labels[:end].copy(), panel.returns[:end].copy()
    labels[end - panel.horizon_rows :], returns[end - 1] = np.nan, np.nan
    return replace(panel, sessions=panel.sessions[:end], values=panel.values[:end], labels=labels, returns=returns)


@dataclass
class Walk:
    """The home, session by session, as `return_model` and `model_watch` run in the graph. `at`: row of the next session."""

    lake: Lake
    panel: Panel
    at: int
    share: float = 0.05

    @classmethod
    def begin(cls, home: Path, patch: pytest.MonkeyPatch, at: int, turns_at: int | None = None) -> "Walk":
        """A home with the mandate and nothing else."""
        panel, lake = planted(turns_at), Lake(home)

        def of(read: Reader, spec: ModelSpec, features: tuple[str, ...], sessions: int) -> Panel:
            return known(panel, read.session).of(tuple(dict.fromkeys(features)))

        patch.setattr(champion_facts, "panel", of)
        walk = cls(lake, panel, at)
        walk.commit(MANDATE, STATIC, mandate_frame(RULES))
        return walk

    @property
    def registry(self) -> ModelRegistry:
        return ModelRegistry(self.lake, RETURN_MODEL)

    def commit(self, table: Table, part: str, frame: pd.DataFrame) -> None:
        self.lake.commit(frame, table, part, reads=[], blobs=[], origin=Origin("walk", "c", "", {}))

    def register(self) -> ModelSpec:
        """A ridge on the planted score is fitted, tried by the real trial and registered at the session before the next."""
        day = DAYS[self.at - 1]
        spec = ridge_spec(feature_versions(SCORES), {SCORES[0]: 1.0}, TrainingRule())
        past, at = known(self.panel, day), computed_cutoff(RULES.schedule, day)
        trial = evaluate_forecasts(spec, past, cost_bps=1.0)
        self.registry.register(spec, day)
        self.registry.submit(trial.evidence, code_version="c", session=day, at=at)
        for age in (10, 5, 0):
            fit = fit_model(
                spec,
                known(self.panel, DAYS[self.at - 1 - age]),
                half_width=trial.half_width,
                metrics=trial.metrics,
                code_version="c",
            )
            assert self.registry.refit(
                fit, lambda one: past.values[-1] @ [one.coefficients[name] for name in SCORES], session=day, at=at
            ).accepted
        return spec

    def session(self) -> Lead | None:
        """One session: the cutoff, the champion, the verdict, the watch; what the forecasts took from the registry."""
        day = DAYS[self.at]
        part, self.at = day.isoformat(), self.at + 1
        cutoff = computed_cutoff(RULES.schedule, day)
        self.lake.ledger.append("session_cutoff", part, {"cutoff_at": cutoff.isoformat()})
        read = Reader(self.lake, day, allowed=None)
        chosen = champion_facts.champion(read, self.lake.ledger)
        champion_facts.keep_refit(read, self.lake, chosen)
        row = None if chosen is None else chosen_row(chosen, day)
        if row is not None:
            self.commit(schema.RETURN_MODEL, part, row)
            self._verdict(part)
        frame, watched = model_watch_facts.watched(read, self.lake.ledger)
        model_watch_facts.record(read, self.lake, frame, watched)
        self.commit(MODEL_WATCH, part, frame)
        again = Reader(self.lake, day, allowed=None)
        assert champion_facts.champion(again, self.lake.ledger) == chosen, "a replay sees what the session saw"
        return None if row is None else lead_of(row)

    def _verdict(self, part: str) -> None:
        row = {column.name: _EMPTY[column.kind] for column in RISK_VERDICT.columns}
        row |= {"key": "RC-89|", "observed": self.share, "status": "PASS"}
        self.commit(RISK_VERDICT, part, rows_frame(RISK_VERDICT, [row]))

    def watch(self) -> pd.DataFrame:
        """MODEL_WATCH of the newest session."""
        return Reader(self.lake, DAYS[self.at - 1], allowed=None).read("model_watch")
