"""Drift over the last sessions: `drift`. Not here: how it is measured (`audit.drift_parts`), the page (`audit.report_drift`)."""

from pathlib import Path
from typing import TYPE_CHECKING

from marketbot_assets.commands.home import existing_lake
from marketbot_resources.errors import HomeError, UsageError
from marketbot_resources.store.index import END_OF_TIME

if TYPE_CHECKING:
    import pandas as pd

    from marketbot_resources.store.lake import Lake

ASSET = "drift"
View = dict[str, object]
NUMBERS = ("observed", "error", "ks", "ks_p", "watch", "threshold")
TEXTS = ("kind", "part", "name", "side", "state", "since", "message", "answer")


def drift_now(last: int, page: str | None) -> View:
    """The newest session's measures and, of each of the last sessions, how many are in which state.

    `page`: a file for the HTML page. Raises UsageError when no session has measured anything.
    """
    from marketbot_assets.audit.report_drift import counts, drift_page, measures_of
    from marketbot_assets.audit.schema import FEATURE, MEASURE

    lake = existing_lake()
    frames = stored(lake, last)
    if not frames:
        raise UsageError(f"no session has measured drift yet in {lake.home}; run `marketbot run` first")
    day, frame = frames[-1]
    rows = [row for kind in (MEASURE, FEATURE) for row in measures_of(frame, kind)]
    view: View = {
        "session": day,
        "measures": [
            {**{n: str(row[n]) for n in TEXTS}, **{n: row[n] for n in NUMBERS}, "count": row["names"]} for row in rows
        ],
        "sessions": [{"session": name, **counts(one)} for name, one in frames],
        "path": None,
    }
    if page is not None:
        view["path"] = str(write_page(page, drift_page(frames, _synthetic(lake, day))))
    return view


def stored(lake: "Lake", last: int) -> "list[tuple[str, pd.DataFrame]]":
    """(session, DRIFT) of the last sessions, oldest first."""
    return [(row.part, lake.load(row)) for row in lake.index.up_to(ASSET, END_OF_TIME)[-last:]]


def write_page(path: str, html: str) -> Path:
    """Writes a page and returns where it lies. Raises HomeError when it cannot be written."""
    target = Path(path).resolve()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(html, encoding="utf-8")
    except OSError as error:
        raise HomeError(f"expected to write {target}, found: {error.strerror}; choose another file") from error
    return target


def _synthetic(lake: "Lake", session: str) -> bool:
    row = lake.index.newest("prices", session)
    return row is not None and bool(lake.load(row)["synthetic"].any())


def drift_lines(view: View) -> list[str]:
    """The measures and the states of the last sessions for people."""
    measures, sessions = view["measures"], view["sessions"]
    assert isinstance(measures, list)
    assert isinstance(sessions, list)
    judged = [row for row in measures if row["kind"] == "MEASURE"]
    features = [row for row in measures if row["kind"] == "FEATURE" and row["state"] in ("watch", "drifted")]
    lines = [f"session {view['session']}"]
    for row in [*judged, *features]:
        bound = f"beyond {row['threshold']:.4g}" if row["side"] and row["threshold"] == row["threshold"] else ""
        seen = "not known" if row["observed"] != row["observed"] else f"{row['observed']:.4g}"
        since = f"since {row['since']}" if row["since"] else ""
        told = f"  {row['state'] or 'shown':<8} {row['part']:<10} {row['name']:<28} {seen:>11}  {bound:<16} {since}"
        lines.append(told.rstrip())
        if row["state"] == "drifted":
            lines.append(f"           by itself: {row['answer']}")
    if not measures:
        lines.append("  it measured forecasts alone: it ran before there were measures")
    lines.append("session      drifted  watch  unknown   ok")
    for one in sessions:
        lines.append(f"{one['session']}   {one['drifted']:>7}  {one['watch']:>5}  {one['unknown']:>7}  {one['ok']:>3}")
    if view["path"]:
        lines.append(f"page: {view['path']}")
    return lines
