"""The stored daily report of a session as a file: `report`. Not here: how the page is made (`audit.report`)."""

import datetime as dt
import json
from pathlib import Path
from typing import TYPE_CHECKING

from marketbot_assets.commands.home import existing_lake
from marketbot_assets.commands.reconcile import newest_row
from marketbot_resources import settings
from marketbot_resources.errors import HomeError, UsageError
from marketbot_resources.store.resource import session_from_key

if TYPE_CHECKING:
    import pandas as pd

    from marketbot_resources.store.lake import Lake

ASSET = "daily_report"
HEADLINES = (
    "verdict",
    "end_state",
    "base_currency",
    "nav",
    "pnl",
    "drawdown",
    "drawdown_inception",
    "rung",
    "multiple",
    "invested",
    "positions",
    "orders_planned",
    "orders_approved",
    "fills",
    "cost_base",
    "vol_annual",
    "es_975_1d",
    "stress_worst",
    "stress_worst_loss",
    "limit_tightest",
)


def write_report(lake: "Lake", session: "dt.date", out: Path | None = None) -> Path:
    """Writes the session's page to `out` (default: reports/<session>.html in the home) and returns where it lies.

    Raises UsageError when the session has no report, HomeError when the file cannot be written.
    """
    path = out or settings.home() / "reports" / f"{session.isoformat()}.html"
    html = str(_stored(lake, session)["html"].iloc[0])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(html, encoding="utf-8")
    except OSError as error:
        raise HomeError(f"report: expected to write {path}, found: {error.strerror}; choose another --out") from error
    return path


def _stored(lake: "Lake", session: "dt.date") -> "pd.DataFrame":
    row = lake.index.newest(ASSET, session.isoformat())
    if row is None:
        raise UsageError(f"session {session}: expected a report, found none; run it first or choose another --session")
    return lake.load(row)


def report(session: str | None, out: str | None) -> dict[str, object]:
    """Writes the report of a session (default: the newest that has one) and returns its path and headline numbers."""
    lake = existing_lake()
    newest = newest_row(lake, ASSET)
    if session is not None:
        day = session_from_key(session)
    elif newest is not None:
        day = dt.date.fromisoformat(newest.part)
    else:
        raise UsageError(f"no report yet in {lake.home}; run `marketbot run` first")
    path = write_report(lake, day, Path(out).resolve() if out else None)
    summary = json.loads(str(_stored(lake, day)["summary_json"].iloc[0]))
    return {"session": day.isoformat(), "path": str(path), "summary": summary}


def report_lines(view: dict[str, object]) -> list[str]:
    """Path and headline numbers for people."""
    summary = view["summary"]
    assert isinstance(summary, dict)
    lines = [f"session {view['session']}: {view['path']}"]
    for name in HEADLINES:
        value = summary.get(name)
        text = "not known" if value is None else f"{value:,.4f}" if isinstance(value, float) else str(value)
        lines.append(f"  {name:<20} {text}")
    return lines
