"""A sweep: the backtests of a grid, run by a pool, resumed where they were broken off, compared in one table.

Inputs are asked once per end of a period and kept; a later sweep of the same providers, listings and end uses the same bodies,
so its points compare with the earlier ones, until someone asks again. Not here: the grid (`sweep_grid`), running and keeping points
(`backtest_points`), rows and pictures (`research.sweep_table`, `research.sweep_page`).
"""

import datetime as dt
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from marketbot_assets import backtest
from marketbot_assets.backtest_inputs import is_complete
from marketbot_assets.backtest_points import Outcome, data_of, frames, run_points
from marketbot_assets.backtest_task import Work
from marketbot_assets.insight.model_card import canonical_bytes
from marketbot_assets.model_trials import BACKTEST, search
from marketbot_assets.sweep_grid import Point, parse_grid, points_of
from marketbot_resources import settings
from marketbot_resources.calendars import computed_cutoff
from marketbot_resources.errors import UsageError
from marketbot_resources.ledger.record import Json
from marketbot_resources.mandate import Mandate
from marketbot_resources.store.index import IndexRow, Read, read_of
from marketbot_resources.wiring import Ports

if TYPE_CHECKING:
    import pandas as pd

    from marketbot_assets.research.promotion import Search
    from marketbot_assets.research.sweep_table import Told
    from marketbot_resources.store.lake import Lake

ASSET = "sweep"
SIMULATED = ("sample", "synthetic")


@dataclass(frozen=True, slots=True)
class Swept:
    """SWEEP rows, the objects that they rest on, the files behind them, what the manifest says besides, how many points ran and how
    many were stored already.
    """

    frame: "pd.DataFrame"
    reads: list[Read]
    blobs: list[str]
    facts: dict[str, Json]
    ran: int
    stored: int


def sweep(
    lake: "Lake",
    ports: Ports,
    base: Mandate,
    grid: str,
    texts: Mapping[str, str],
    where: str,
    *,
    run_id: str,
    refetch: bool = False,
) -> Swept:
    """Runs what is missing of a grid and compares all of it. Raises UsageError for an impossible grid, WorkError."""
    from tqdm import tqdm

    from marketbot_assets.research.sweep_table import sweep_rows

    points = points_of(parse_grid(grid), base, texts)
    inputs = {last: inputs_until(lake, ports, base, last, run_id, refetch=refetch) for last in _ends(points)}
    works = [work_of_point(lake, point, inputs[point.last]) for point in points]
    ran = 0
    with tqdm(total=len(points), unit="point", desc="sweep", disable=not sys.stderr.isatty()) as bar:

        def seen(place: int, fresh: bool) -> None:
            nonlocal ran
            ran += fresh
            bar.update()

        outcomes = run_points(lake, works, where, run_id=run_id, seen=seen)
    told = _told(lake, points, works, outcomes)
    frame = sweep_rows(told, searches(lake, told))
    reads = [read_of(row) for row in outcomes if isinstance(row, IndexRow)]
    at = computed_cutoff(base.schedule, max(inputs))
    name = backtest.keep_text(lake, grid.encode(), asset=ASSET, part=hashlib.sha256(grid.encode()).hexdigest(), at=at)
    facts: dict[str, Json] = {"grid_sha256": name, "simulated": base.providers.market in SIMULATED}
    return Swept(frame, reads, [name, *sorted(set(inputs.values()))], facts, ran, len(points) - ran)


def _ends(points: Sequence[Point]) -> list[dt.date]:
    return sorted({point.last for point in points})


def inputs_until(
    lake: "Lake", ports: Ports, base: Mandate, last: dt.date, run_id: str, *, refetch: bool = False
) -> str:
    """Hash of the description of the bodies up to a session's cutoff: the stored one, else asked from the providers now."""
    told = [
        base.providers.model_dump(mode="json"),
        base.base_currency,
        base.universe.model_dump(mode="json")["listings"],
    ]
    part = f"{last} {hashlib.sha256(canonical_bytes(told)).hexdigest()[:16]}"
    known = [row.blob_sha256 for row in lake.index.blobs(ASSET, part) if row.provider == backtest.DESCRIPTION]
    if known and not refetch and is_complete(lake.objects.get_blob(known[-1])):
        return known[-1]
    until = computed_cutoff(base.schedule, last)
    return backtest.ask(lake, ports, until, asset=ASSET, part=part, run_id=run_id)


def work_of_point(lake: "Lake", point: Point, inputs: str) -> Work:
    """What a worker is told of a point."""
    home, mandate = str(lake.home.resolve()), point.mandate.canonical().decode()
    return Work(home, settings.store_url(), inputs, mandate, point.first, point.last)


def _told(lake: "Lake", points: Sequence[Point], works: Sequence[Work], outcomes: Sequence[Outcome]) -> "list[Told]":
    from marketbot_assets.research.sweep_table import Told

    return [
        Told(
            number=point.number,
            name=point.name,
            choices=dict(point.choices),
            first=point.first,
            last=point.last,
            mandate_sha256=point.mandate.sha256,
            inputs_sha256=work.inputs,
            key="" if isinstance(row, str) else row.part,
            content="" if isinstance(row, str) else row.content_sha256,
            frame=frame,
            why=row if isinstance(row, str) else "",
        )
        for point, work, row, frame in zip(points, works, outcomes, frames(lake, outcomes), strict=True)
    ]


def searches(lake: "Lake", told: "Sequence[Told]") -> "dict[str, Search]":
    """What the trials on record say of each group of points over the same data."""
    from marketbot_assets.research.sweep_table import search_key

    found: dict[str, Search] = {}
    for point in sorted((p for p in told if p.frame is not None), key=lambda p: -len(p.frame)):  # type: ignore[arg-type]
        key = search_key(point)
        if key not in found:  # the longest of a group: those that halted early do not compare
            data = data_of(lake, point.inputs_sha256, point.first.isoformat())
            found[key] = search(lake, BACKTEST, spec_sha256=point.mandate_sha256, data_sha256=data)
    return found


def ends(grid: str, base: Mandate, texts: Mapping[str, str], last: str) -> None:
    """Raises UsageError when the last period of a grid does not end at the session under which its table would be kept."""
    found = last_session(grid, base, texts)
    if found.isoformat() != last:
        raise UsageError(f"sweep: expected last: {found}, the end of the grid's last period, found {last}")


def last_session(grid: str, base: Mandate, texts: Mapping[str, str]) -> dt.date:
    """The end of the last period of a grid, its points judged on the way."""
    return max(point.last for point in points_of(parse_grid(grid), base, texts))


def texts_of(given: str) -> dict[str, str]:
    """Texts of mandate files by name, as the asset's configuration holds them. Raises UsageError for anything else."""
    try:
        found = json.loads(given or "{}")
    except ValueError as error:
        raise UsageError(f"sweep: expected mandates as JSON, name -> text, found: {error}") from error
    if not isinstance(found, dict) or not all(isinstance(text, str) for text in found.values()):
        raise UsageError("sweep: expected mandates as JSON, name -> text, found something else")
    return found
