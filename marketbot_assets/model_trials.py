"""The trials registry: every specification that was ever evaluated, one entry `model_trial` each, so that the count is true.

A trial is a specification on data by code with the returns that it showed. The same four again are the same trial; anything else
is one more. The number of a trial is its place among those of its slot. Its returns are a file of their own, so that trials over
the same data can be compared. Not here: what follows from the count (`research.promotion`).
"""

import datetime as dt
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np

from marketbot_assets.insight.model_card import canonical_bytes
from marketbot_resources.calendars import computed_cutoff
from marketbot_resources.errors import LedgerError
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.record import Entry, Json
from marketbot_resources.model import utc_text
from marketbot_resources.store.index import BlobRow

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from marketbot_assets.research.promotion import Search
    from marketbot_resources.mandate import Mandate
    from marketbot_resources.store.lake import Lake

KIND = "model_trial"
ASSET, PROVIDER = "model_registry", "marketbot"
BACKTEST = "backtest"
COMPARABLE = 0.5


@dataclass(frozen=True, slots=True)
class Trial:
    """One trial. `number`: from 1, within its slot; `sharpe`: per session, None when it cannot be computed; `returns`: hash of the
    file with its returns, empty when one of them is not finite.
    """

    number: int
    slot: str
    spec_sha256: str
    data_sha256: str
    code_version: str
    sharpe: float | None
    observations: int
    returns: str


def keep_file(lake: "Lake", data: bytes, at: dt.datetime, asset: str = ASSET, part: str = "") -> str:
    """Stores a file of the registry under the hash of its bytes, durably, and describes it; returns the hash.

    `asset`, `part`: the object that names it, where one does; a file stands under its own name otherwise.
    """
    name = hashlib.sha256(data).hexdigest()
    place = part or name
    described = BlobRow(name, PROVIDER, "", 200, "application/json", len(data), utc_text(at), "", asset, place)
    if name not in {row.blob_sha256 for row in lake.index.blobs(asset, place)}:
        lake.put_blob(data, described)
    return name


def record_trial(
    lake: "Lake",
    slot: str,
    *,
    spec_sha256: str,
    data_sha256: str,
    code_version: str,
    returns: "NDArray[np.float64]",
    at: dt.datetime,
) -> bool:
    """Records that a specification was evaluated; whether that is a new trial.

    `returns`: (T,) out of sample, after costs; `at`: instant, for the file's description.

    A record with returns that are not finite is a trial, too: it was tried.
    """
    from marketbot_assets.research.sharpe_statistics import moments

    values = [float(value) for value in returns]
    whole = bool(np.isfinite(returns).all())
    data = canonical_bytes(values) if whole else b""
    ratio = moments(returns).sharpe
    body: dict[str, Json] = {
        "slot": slot,
        "spec_sha256": spec_sha256,
        "data_sha256": data_sha256,
        "code_version": code_version,
        "sharpe": ratio if np.isfinite(ratio) else None,
        "observations": len(values),
        "returns": keep_file(lake, data, at) if whole else "",
    }
    key = f"{slot}/{hashlib.sha256(canonical_bytes(body)).hexdigest()}"
    return lake.ledger.append(KIND, key, body).added


def record_backtest(
    lake: "Lake", frame: "pd.DataFrame", bodies: Sequence[str], mandate: "Mandate", *, code_version: str
) -> bool:
    """Counts a backtest among the trials of slot `backtest`: its specification is the mandate, its data the bodies behind it.

    `frame`: BACKTEST rows; returns follow from `nav`, the first row's is 0.
    """
    nav = frame["nav"].to_numpy(dtype=np.float64)
    data = hashlib.sha256(canonical_bytes([str(frame["session"].iloc[0]), *sorted(set(bodies))])).hexdigest()
    return record_trial(
        lake,
        BACKTEST,
        spec_sha256=mandate.sha256,
        data_sha256=data,
        code_version=code_version,
        returns=np.concatenate([[0.0], nav[1:] / nav[:-1] - 1.0]),
        at=computed_cutoff(mandate.schedule, frame["session"].iloc[-1].date()),
    )


def _entries(ledger: Ledger, slot: str) -> list[Entry]:
    return ledger.entries(KIND, f"{slot}/")


def trials(ledger: Ledger, slot: str) -> list[Trial]:
    """All trials of a slot, numbered in the order in which they were recorded. Raises LedgerError for an entry that is none."""
    return [_trial(number, entry) for number, entry in enumerate(_entries(ledger, slot), start=1)]


def _trial(number: int, entry: Entry) -> Trial:
    body = entry.body
    try:
        ratio, seen = body["sharpe"], body["observations"]
        return Trial(
            number,
            str(body["slot"]),
            str(body["spec_sha256"]),
            str(body["data_sha256"]),
            str(body["code_version"]),
            None if ratio is None else float(cast("float", ratio)),
            int(cast("int", seen)),
            str(body["returns"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise LedgerError(f"ledger: expected a trial under {entry.key}, found: {error!r}") from error


def search(lake: "Lake", slot: str, *, spec_sha256: str, data_sha256: str) -> "Search":
    """What a slot's trials say about one of them: how many there are, how their ratios vary, their returns over its data.

    All count; those of less than half its length do not enter the variance: a week's ratio says nothing of a year's.
    Raises StoreError when a file of returns is missing or altered.
    """
    from marketbot_assets.research.promotion import searched
    from marketbot_assets.research.sharpe_statistics import variance_of_trials

    known = trials(lake.ledger, slot)
    own = [trial for trial in known if trial.spec_sha256 == spec_sha256 and trial.data_sha256 == data_sha256]
    least = own[-1].observations * COMPARABLE if own else 0.0
    ratios = [trial.sharpe for trial in known if trial.sharpe is not None and trial.observations >= least]
    same = (
        [] if not own else [t for t in known if t.data_sha256 == data_sha256 and t.observations == own[-1].observations]
    )
    columns = _columns(lake, list(dict.fromkeys(trial.returns for trial in same if trial.returns)))
    return searched(
        len(known),
        variance_of_trials(ratios),
        np.column_stack(columns) if columns else None,
        includes=bool(own),
        records=len({trial.returns or f"unknown {trial.number}" for trial in known}),
    )


def _columns(lake: "Lake", names: Sequence[str]) -> "list[NDArray[np.float64]]":
    import json

    return [np.array(json.loads(lake.objects.get_blob(name)), dtype=np.float64) for name in names]
