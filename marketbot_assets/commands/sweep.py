"""`sweep GRID`: materializes the asset `sweep` for a grid file and tells what the points showed. It opens no book."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from marketbot_assets.commands.drift import write_page
from marketbot_assets.commands.home import existing_lake, instance, load_mandate
from marketbot_assets.commands.run_failure import why
from marketbot_assets.commands.sessions import QUIET
from marketbot_resources.errors import MarketbotError, UsageError
from marketbot_resources.store.index import STATIC

if TYPE_CHECKING:
    import pandas as pd

    from marketbot_assets.research.tested import Tested
    from marketbot_resources.store.lake import Lake

ASSET, JOB = "sweep", "sweep_grid"
LINES_SHOWN = 40
KEPT = "what was finished is kept"
View = dict[str, object]


def read_grid(path: str) -> tuple[str, dict[str, str]]:
    """(text of a grid file, texts of the mandate files that it names, which lie beside it). Raises UsageError."""
    from marketbot_assets.sweep_grid import parse_grid

    file = Path(path)
    text = _read(file, "grid")
    mandates = parse_grid(text).mandates
    return text, {name: _read(file.parent / own, f"grid: mandates.{name}") for name, own in mandates.items()}


def _read(path: Path, what: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{what}: expected a readable file at {path}, found: {error}") from error


def place_of(workers: int, dask: str | None) -> str:
    """Where points run, as a word of `open_pool`."""
    if dask is not None:
        if workers != 1:
            raise UsageError("sweep: expected --workers or --dask, found both")
        if not dask.startswith(("tcp://", "tls://")):
            raise UsageError(f"sweep: --dask: expected tcp://HOST:PORT or tls://HOST:PORT, found {dask[:80]!r}")
        return dask
    return "local" if workers == 1 else f"processes:{workers}"


def run_sweep(grid: str, mandates: dict[str, str], where: str, *, refetch: bool) -> None:
    """Materializes the asset. Raises MarketbotError with the reason when the run fails; what was finished is kept."""
    from marketbot_assets.definitions import defs
    from marketbot_assets.sweep import last_session

    given = {
        "grid": grid,
        "mandates": json.dumps(mandates, sort_keys=True),
        "last": last_session(grid, load_mandate(), mandates).isoformat(),
        "workers": where,
        "refetch": refetch,
    }
    config = {"ops": {ASSET: {"config": given}}, **QUIET}
    with instance() as dagster:
        run = defs.resolve_job_def(JOB).execute_in_process(instance=dagster, raise_on_error=False, run_config=config)
    if not run.success:
        told = why(run.all_events)
        kept = "" if KEPT in told else f"; {KEPT}, give the same command again"
        raise MarketbotError(f"sweep: {told}{kept}")


def sweep_now(page: str | None) -> View:
    """The newest stored sweep. `page`: a file for the HTML page. Raises UsageError when there is none."""
    from marketbot_assets.research.sweep_page import best_lines, sweep_page
    from marketbot_assets.research.sweep_table import DONE, best_of
    from marketbot_assets.research.tested import first_line

    lake = existing_lake()
    row = lake.index.newest(ASSET, STATIC)
    if row is None:
        raise UsageError(f"no sweep is stored in {lake.home}; give a grid, like `marketbot sweep GRID.yaml`")
    frame = lake.load(row)
    best, simulated = best_of(frame), bool(lake.manifest(row)["simulated"])
    tested = _tested(lake, best)
    view: View = {
        "points": [_plain(one) for one in frame.to_dict("records")],
        "done": int((frame["state"] == DONE).sum()),
        "best": None if best is None else int(best["point"]),
        "first_line": first_line(tested),
        "tested": None if tested is None else tested.facts(),
        "lines": best_lines(frame),
        "trials": int(frame["trials"].max()),
        "synthetic": simulated,
        "content_sha256": row.content_sha256,
        "manifest_sha256": row.manifest_sha256,
        "path": None,
    }
    if page is not None:
        view["path"] = str(write_page(page, sweep_page(frame, tested, synthetic=simulated)))
    return view


def _plain(row: "dict[object, object]") -> View:
    """A row as JSON: days as text, numbers that are not known as null."""
    out: View = {}
    for name, value in row.items():
        if name in ("first", "last"):
            out[str(name)] = str(value)[:10]
        else:
            out[str(name)] = None if isinstance(value, float) and value != value else value
    return out


def _tested(lake: "Lake", best: "pd.Series | None") -> "Tested | None":
    """What the best point has been through by its own returns and the trials on record."""
    if best is None:
        return None
    from marketbot_assets.tested_runs import judged

    row = lake.index.newest("backtest", str(best["backtest"]))
    return None if row is None else judged(lake, row)


def sweep_lines(view: View) -> list[str]:
    """The points for people, highest ratio first."""
    points = view["points"]
    assert isinstance(points, list)
    heads = "point  from        to          sessions  ratio/y  return/y  drawdown  turned/y  deflated  choices"
    lines = [f"best point: {view['first_line']}", heads]
    ordered = sorted(points, key=lambda p: (p["sharpe_per_year"] is None, -(p["sharpe_per_year"] or 0.0), p["point"]))
    for one in ordered[:LINES_SHOWN]:
        cells = (
            f"{one['point']:>5}  {one['first']}  {one['last']}  {one['sessions']:>8}  "
            f"{_told(one['sharpe_per_year'], '7.2f')}  {_told(one['return_per_year'], '8.2%')}  "
            f"{_told(one['drawdown_max'], '8.2%')}  {_told(one['turnover_per_year'], '8.2f')}  "
            f"{_told(one['deflated_sharpe'], '8.3f')}"
        )
        lines.append(f"{cells}  {one['name']}{': ' + one['message'] if one['message'] else ''}")
    if len(points) > LINES_SHOWN:
        lines.append(f"and {len(points) - LINES_SHOWN} more (--json, --html)")
    told = view["lines"]
    assert isinstance(told, list)
    lines += told
    if view["synthetic"]:
        lines.append("partly simulated data and survivors: a demonstration, not evidence of returns")
    if view["path"]:
        lines.append(f"page: {view['path']}")
    return lines


def _told(value: float | None, form: str) -> str:
    return f"{'n/a':>{form.partition('.')[0]}}" if value is None else f"{value:{form}}"
