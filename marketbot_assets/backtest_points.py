"""Backtests run by a pool and kept: each a trial in the ledger first, then an object with its manifest, then seen.

A backtest is named by everything that decides its rows: mandate, inputs, range, market, and the code and libraries that run it.
What is stored under that name is not run again, so a list of backtests that was broken off goes on where it was. Not here: which
backtests there are (`sweep`, `tested_runs`, `signal_shares`), one of them (`backtest_task`).
"""

import datetime as dt
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from marketbot_assets.backtest import DESCRIPTION, keep_text
from marketbot_assets.backtest_inputs import bodies_in
from marketbot_assets.backtest_task import Work, run_point
from marketbot_assets.checks import schema_problems
from marketbot_assets.insight.model_card import canonical_bytes
from marketbot_assets.lineage import code_of
from marketbot_assets.model_trials import BACKTEST, record_backtest, record_trial
from marketbot_resources import settings
from marketbot_resources.calendars import computed_cutoff
from marketbot_resources.errors import UsageError
from marketbot_resources.ledger.record import Json
from marketbot_resources.mandate import Mandate, mandate_of
from marketbot_resources.parallel import fingerprint, module_of, open_pool
from marketbot_resources.store.index import IndexRow, Origin
from marketbot_resources.store.scratch import parquet_frame

if TYPE_CHECKING:
    import pandas as pd

    from marketbot_resources.store.lake import Lake

ASSET, STAGE = "backtest", "research"
STRESS = "backtest_stress"  # trials nobody picks from: dearer markets, more cash, scores of other names
KEY_DIGITS = 32
Outcome = IndexRow | str


def key_of(work: Work) -> str:
    """The partition under which the rows of a piece of work are kept among the backtests."""
    told: dict[str, Json] = {
        "inputs": work.inputs,
        "mandate": hashlib.sha256(work.mandate.encode()).hexdigest(),
        "range": [work.first.isoformat(), work.last.isoformat()],
        "market": [work.costs, work.null],
        "by": dict(fingerprint(module_of(run_point))),
    }
    return hashlib.sha256(canonical_bytes(told)).hexdigest()[:KEY_DIGITS]


def stored_work(lake: "Lake", row: IndexRow, mandate: Mandate, what: str) -> Work:
    """The piece of work that gives a stored backtest again, for others like it; `what` needs it, for messages.

    Raises UsageError when the backtest is not that of this mandate or names no inputs.
    """
    facts = lake.manifest(row)
    if facts["mandate_content_sha256"] != mandate.sha256:
        raise UsageError(f"{what}: expected the backtest of this mandate, found another's; run the backtest again")
    if not facts.get("inputs_sha256"):
        raise UsageError(f"{what}: expected a backtest that names its inputs, found an older one; run it again")
    first, last = (dt.date.fromisoformat(str(facts[name])) for name in ("first", "last"))
    home, inputs = str(lake.home.resolve()), str(facts["inputs_sha256"])
    return Work(home, settings.store_url(), inputs, mandate.canonical().decode(), first, last)


def stored_points(lake: "Lake", works: Sequence[Work]) -> list[IndexRow | None]:
    """The stored rows of each piece of work, None where there are none yet."""
    return [lake.index.newest(ASSET, key_of(work)) for work in works]


def run_points(
    lake: "Lake",
    works: Sequence[Work],
    where: str,
    *,
    run_id: str,
    slot: str = BACKTEST,
    seen: Callable[[int, bool], None] = lambda place, ran: None,
) -> list[Outcome]:
    """The stored rows of each piece of work, or why it could not be run; those that are not stored are run first.

    `where`: a word of `open_pool`; `slot`: where they are counted; `seen` is called with the place of each as it is there, and
    whether it ran. Raises WorkError when workers are lost for good or have other code; what was finished by then is kept.
    """
    found: list[Outcome | None] = list(stored_points(lake, works))
    for place, row in enumerate(found):
        if isinstance(row, IndexRow):
            if slot == BACKTEST:  # a stress run's rows are a trial once somebody may pick them; twice is the same trial
                _count_stored(lake, works[place], row)
            seen(place, False)
    todo = [place for place, row in enumerate(found) if row is None]
    if todo:
        with open_pool(where) as pool:
            for number, result in pool.finished(run_point, [works[place].argument() for place in todo]):
                place = todo[number]
                found[place] = _kept(lake, works[place], result, run_id, slot)
                seen(place, True)
    return [row for row in found if row is not None]


def _kept(lake: "Lake", work: Work, result: "Json | bytes", run_id: str, slot: str) -> Outcome:
    """Counts a backtest as a trial, then stores its rows. One that could not be run is a trial without a ratio."""
    mandate = mandate_of(json.loads(work.mandate))
    bodies = bodies_in(lake.objects.get_blob(work.inputs))
    if not isinstance(result, bytes):
        why = str(result["failed"]) if isinstance(result, dict) else "expected rows, found something else"
        _count_failed(lake, work, mandate, bodies, slot)
        return why
    frame = parquet_frame(result)
    _count(lake, work, frame, mandate, bodies, slot)
    return _commit(lake, work, frame, mandate, bodies, run_id)


def _count(lake: "Lake", work: Work, frame: "pd.DataFrame", mandate: Mandate, bodies: Sequence[str], slot: str) -> None:
    if slot == BACKTEST:
        record_backtest(lake, frame, bodies, mandate, code_version=code_of(STAGE))
        return
    from marketbot_assets.research.sweep_table import returns_of

    _record(lake, work, mandate, bodies, slot, returns_of(frame))


def _count_stored(lake: "Lake", work: Work, row: IndexRow) -> None:
    bodies = bodies_in(lake.objects.get_blob(work.inputs))
    _count(lake, work, lake.load(row), mandate_of(json.loads(work.mandate)), bodies, BACKTEST)


def _count_failed(lake: "Lake", work: Work, mandate: Mandate, bodies: Sequence[str], slot: str) -> None:
    _record(lake, work, mandate, bodies, slot, np.array([np.nan]))


def _record(
    lake: "Lake", work: Work, mandate: Mandate, bodies: Sequence[str], slot: str, returns: "np.ndarray"
) -> None:
    data = [f"{work.first} 00:00:00", *sorted(set(bodies))]
    plain = work.costs == 1.0 and work.null is None
    spec = (
        mandate.sha256
        if plain
        else hashlib.sha256(canonical_bytes([mandate.sha256, work.costs, work.null])).hexdigest()
    )
    record_trial(
        lake,
        slot,
        spec_sha256=spec,
        data_sha256=hashlib.sha256(canonical_bytes(data)).hexdigest(),
        code_version=code_of(STAGE),
        returns=returns,
        at=computed_cutoff(mandate.schedule, work.last),
    )


def _commit(
    lake: "Lake", work: Work, frame: "pd.DataFrame", mandate: Mandate, bodies: Sequence[str], run_id: str
) -> IndexRow:
    from marketbot_assets.research import schema

    key, at = key_of(work), computed_cutoff(mandate.schedule, work.last)
    name = keep_text(lake, mandate.canonical(), asset="sweep", part=mandate.sha256, at=at)
    facts: dict[str, Json] = {
        "mandate_content_sha256": mandate.sha256,
        "inputs_sha256": work.inputs,
        "first": work.first.isoformat(),
        "last": work.last.isoformat(),
        "costs": work.costs,
        "null": work.null,
        "fingerprint": dict(fingerprint(module_of(run_point))),
        "by": DESCRIPTION,
    }
    return lake.commit(
        frame,
        schema.BACKTEST,
        key,
        reads=(),
        blobs=[*bodies, work.inputs, name],
        origin=Origin(run_id=run_id, code_version=code_of(STAGE), written_at="", extra=facts),
        judge=lambda rows: schema_problems(rows, schema.BACKTEST),
    )


def slot_columns(lake: "Lake", slot: str, data_sha256: str, observations: int) -> "np.ndarray | None":
    """(T, N) returns of a slot's trials over some data, each record once; None without any."""
    from marketbot_assets.model_trials import trials

    names = [
        trial.returns
        for trial in trials(lake.ledger, slot)
        if trial.data_sha256 == data_sha256 and trial.observations == observations and trial.returns
    ]
    columns = [np.array(json.loads(lake.objects.get_blob(name)), dtype=np.float64) for name in dict.fromkeys(names)]
    return np.column_stack(columns) if columns else None


def data_of(lake: "Lake", inputs: str, first: str) -> str:
    """Hash of the data of a backtest as its trial names it. `first`: first session, ISO."""
    bodies = sorted(set(bodies_in(lake.objects.get_blob(inputs))))
    return hashlib.sha256(canonical_bytes([f"{first} 00:00:00", *bodies])).hexdigest()


def frames(lake: "Lake", rows: Sequence[Outcome]) -> "Iterator[pd.DataFrame | None]":
    """BACKTEST rows of each outcome, None where it failed."""
    for row in rows:
        yield None if isinstance(row, str) else lake.load(row)
