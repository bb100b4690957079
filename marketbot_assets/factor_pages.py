"""Scores judged over a past range, for the asset, and the asset's page. Not here: any arithmetic (`research.factor_evaluation`)."""

import datetime as dt
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dagster as dg

from marketbot_assets.backtest import tables_until
from marketbot_assets.lineage import keep_body
from marketbot_assets.pages import Shows, markdown, picture
from marketbot_resources.calendars import computed_cutoff
from marketbot_resources.provider import Body
from marketbot_resources.store.resource import StoreResource
from marketbot_resources.wiring import Ports

if TYPE_CHECKING:
    import pandas as pd

    from marketbot_resources.mandate import Mandate

ASSET, BOOK = "factor_evaluation", "backtest"
ROWS_SHOWN = 15


@dataclass(frozen=True, slots=True)
class Judged:
    """FACTOR_EVALUATION rows, the hashes of the bodies behind them, how many sessions, whether rows were simulated."""

    frame: "pd.DataFrame"
    blobs: list[str]
    sessions: int
    synthetic: bool


def judge(
    context: dg.AssetExecutionContext,
    store: StoreResource,
    ports: Ports,
    mandate: "Mandate",
    sessions: tuple[dt.date, dt.date],
    declared: Sequence[str],
) -> Judged:
    """Every score of the sessions first..last; `declared`: features beyond those that decisions read."""
    from tqdm import tqdm

    from marketbot_assets.research.factor_evaluation import evaluate
    from marketbot_assets.research.factor_evaluation_panel import panel_of
    from marketbot_assets.research.history import History

    read = store.reader(context)
    book = read.read(BOOK) if read.has(BOOK) else None
    blobs: list[str] = []
    until = computed_cutoff(mandate.schedule, sessions[1])

    def keep(body: Body) -> str:
        blobs.append(keep_body(context, store, ASSET, body, until))
        return blobs[-1]

    tables = tables_until(ports, mandate, until, keep)
    history = History(tables, mandate, *sessions)
    with tqdm(total=len(history.sessions), unit="session", desc="factors", disable=not sys.stderr.isatty()) as bar:

        def seen(day: dt.date) -> None:
            bar.update()

        panel = panel_of(history, mandate, more=declared, book=book, seen=seen)
    rows = tables.prices["session"] >= history.sessions[0].isoformat()
    synthetic = bool(tables.prices.loc[rows, "synthetic"].any())
    return Judged(evaluate(panel), blobs, len(history.sessions), synthetic)


def factors(frame: "pd.DataFrame") -> Shows:
    """How many scores were judged, the strongest ones, how their information fades."""
    from marketbot_assets.markdown_text import cell
    from marketbot_assets.research import factor_evaluation as facts
    from marketbot_assets.research.factor_evaluation_charts import by_strength, decay_chart, strength_chart
    from marketbot_assets.research.factor_evaluation_report import by_chance, main_horizon

    horizon = main_horizon(frame)
    names = by_strength(frame, horizon)
    judged, large, chance = by_chance(frame, horizon)
    lines = ["| score | rank IC | t | spread | t | turnover of the highest fifth |", "|---|---|---|---|---|---|"]
    for name in names[:ROWS_SHOWN]:
        keys = [(name, measure, horizon, facts.ALL, "") for measure in (facts.IC, facts.SPREAD)]
        cells = [f"{facts.number(frame, key, column):.4f}" for key in keys for column in ("mean", "t")]
        turned = facts.number(frame, (name, facts.TURNOVER, horizon, facts.ALL, facts.TOP))
        lines.append(f"| {cell(name)} | {' | '.join(cells)} | {turned:.3f} |")
    return {
        "scores": len(names),
        f"judged at {horizon} sessions": judged,
        "beyond two errors": f"{large}, of worthless ones {chance:.1f}",
        "strongest": markdown(lines),
        "t of the rank IC": picture(strength_chart(frame, horizon)),
        "t of the spread": picture(strength_chart(frame, horizon, facts.SPREAD)),
        "decay": picture(decay_chart(frame, names)),
    }
