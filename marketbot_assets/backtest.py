"""The data of a backtest, asked from the providers and kept as bodies, and the loop over its sessions.

Backtests ask for `known_at` only: the bodies are fetched today, what a row may be used for is decided by when it was known.
Not here: the loop itself (`research.loop`), the asset (`research.assets`), the same elsewhere (`backtest_task`).
"""

import datetime as dt
import hashlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dagster as dg

from marketbot_assets.backtest_inputs import FEEDS, described, from_providers, tables_of
from marketbot_assets.lineage import keep_in, part_of
from marketbot_assets.rebuild_data import ReceivedBody
from marketbot_resources.calendars import computed_cutoff
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import utc_text
from marketbot_resources.provider import Body
from marketbot_resources.store.index import BlobRow
from marketbot_resources.store.resource import StoreResource
from marketbot_resources.wiring import Ports

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from marketbot_assets.research.details import Details
    from marketbot_assets.research.history import Tables
    from marketbot_assets.research.loop import Day
    from marketbot_resources.store.lake import Lake

ASSET, DESCRIPTION = "backtest", "marketbot"


@dataclass(frozen=True, slots=True)
class Played:
    """BACKTEST rows, the hashes of the bodies that they rest on, and the hash of the description of these (`backtest_inputs`)."""

    frame: "pd.DataFrame"
    bodies: list[str]
    inputs: str


def play(
    context: dg.AssetExecutionContext,
    store: StoreResource,
    ports: Ports,
    mandate: Mandate,
    first: dt.date,
    last: dt.date,
    *,
    details: "Details | None" = None,
) -> Played:
    """The sessions first..last, one after the other. `details` sees every day on its way."""
    from tqdm import tqdm

    from marketbot_assets.research.history import History
    from marketbot_assets.research.loop import opening_account, run_days
    from marketbot_assets.research.outcomes import mark_of, outcomes

    until, run, part = computed_cutoff(mandate.schedule, last), context.run.run_id, part_of(context, ASSET)
    keep = keeper(store.lake, ASSET, part, run, until)
    source, received = from_providers(ports, until, keep), dict[str, list[ReceivedBody]]()

    def noted(feed: str) -> "Sequence[ReceivedBody]":
        bodies = source(feed)
        received[feed] = _names(bodies)
        return bodies

    history = History(tables_of(noted, mandate, until), mandate, first, last)
    if details is not None:
        details.synthetic = bool(history.tables.prices["synthetic"].any())
        details.described_later = history.described_later
    with tqdm(total=len(history.sessions), unit="session", desc="backtest", disable=not sys.stderr.isatty()) as bar:

        def seen(day: "Day") -> None:
            bar.update()

        days = run_days(history, mandate, opening_account(mandate, history), seen=seen)
        frame = outcomes(days if details is None else details.watching(days), mark_of(mandate))
    inputs = keep_description(store.lake, ASSET, part, received, until)
    return Played(frame, [body.sha256 for feed in FEEDS for body in received[feed]], inputs)


def tables_until(ports: Ports, mandate: Mandate, until: dt.datetime, keep: Callable[[Body], str]) -> "Tables":
    """Everything that was known at an instant, normalized; `keep` stores a body and returns its hash."""
    return tables_of(from_providers(ports, until, keep), mandate, until)


def keeper(lake: "Lake", asset: str, part: str, run_id: str, until: dt.datetime) -> Callable[[Body], str]:
    """What stores a body of an asset's partition and returns its hash."""
    return lambda body: keep_in(lake, body, asset=asset, part=part, run_id=run_id, fetched_at=until)


def ask(lake: "Lake", ports: Ports, until: dt.datetime, *, asset: str, part: str, run_id: str) -> str:
    """Asks every feed up to an instant, stores the bodies and their description; returns the description's hash."""
    source = from_providers(ports, until, keeper(lake, asset, part, run_id, until))
    return keep_description(lake, asset, part, {feed: _names(source(feed)) for feed in FEEDS}, until)


def _names(bodies: "Sequence[ReceivedBody]") -> list[ReceivedBody]:
    """The bodies without their bytes."""
    return [ReceivedBody(b"", x.provider, x.sha256, x.parser, x.asked) for x in bodies]


def keep_description(
    lake: "Lake", asset: str, part: str, received: "Mapping[str, Sequence[ReceivedBody]]", until: dt.datetime
) -> str:
    """Stores the description of bodies that were kept; returns its hash."""
    return keep_text(lake, described(received), asset=asset, part=part, at=until)


def keep_text(lake: "Lake", data: bytes, *, asset: str, part: str, at: dt.datetime) -> str:
    """Stores a file of our own under the hash of its bytes and describes it, once; returns the hash."""
    name = hashlib.sha256(data).hexdigest()
    if all(row.blob_sha256 != name for row in lake.index.blobs(asset, part)):
        lake.put_blob(
            data, BlobRow(name, DESCRIPTION, "", 200, "application/json", len(data), utc_text(at), "", asset, part)
        )
    return name
