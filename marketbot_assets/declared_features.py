"""The declared features of a session from the store: on from a state that is kept, or built in full. What the asset does.

A full build and the way on from a state give the same bits, so the replay, which builds in full, checks the way on. States are
bodies of the store, described in the blob index and named by the manifest of the version that made them. Not here: the formulas
and the engine (`features`), when a state is good (`features.kept_state`), tasks on other processes (`feature_blocks`).
"""

import datetime as dt
import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, cast

from marketbot_assets import feature_blocks
from marketbot_assets.panels import Market, known_rows, market
from marketbot_resources.errors import StoreError
from marketbot_resources.ledger.record import Json
from marketbot_resources.model import utc_text
from marketbot_resources.parallel import open_pool
from marketbot_resources.store.index import STATIC, BlobRow, IndexRow, Read, read_of
from marketbot_resources.store.reader import Reader

if TYPE_CHECKING:
    import pandas as pd

    from marketbot_assets.features.kept_state import Kept
    from marketbot_assets.features.plan import Plan
    from marketbot_assets.normalization.window import Floats
    from marketbot_resources.store.lake import Lake

ASSET, PROVIDER, LOCAL = "wide_features", "marketbot", "local"
NOT_ROWS = frozenset({ASSET, "mandate", "instruments"})  # what is compared by what it says, not by its version


@dataclass(frozen=True, slots=True)
class Made:
    """WIDE_FEATURES of a session; how it was made, in words; hashes of the states that it keeps; what the manifest says."""

    frame: "pd.DataFrame"
    how: str
    blobs: list[str]
    facts: dict[str, Json]


@dataclass(frozen=True)
class Work:
    """What one session's features are made of. `first`, `number`: absolute numbers of the window's first session and of this one.

    `frames`: table -> rows known at the cutoff; `limits`: cutoffs of the window's sessions.
    """

    read: Reader
    known: Market
    frames: "Mapping[str, pd.DataFrame]"
    limits: Sequence[dt.datetime]
    first: int
    number: int
    stamp: str
    reads: Sequence[Read] = field(default_factory=list)

    @cached_property
    def plan(self) -> "Plan":
        """The plan, whose version covers formulas, operators and the code behind the inputs."""
        return feature_blocks.plan_with(self.stamp)

    @property
    def names(self) -> list[str]:
        """Instruments, sorted."""
        return list(self.known.window.instruments)

    @cached_property
    def blocks(self) -> list[slice]:
        """The universe in blocks of instruments."""
        from marketbot_assets.features.wide_features import blocks

        return blocks(len(self.names))

    @cached_property
    def listings(self) -> str:
        """Hash of what every row of the window takes from listings and mandate."""
        from marketbot_assets.features.kept_state import listings_sha256

        mandate = self.known.mandate
        rules = (mandate.calendar.model_dump_json(), mandate.schedule.model_dump_json(), mandate.base_currency)
        return listings_sha256(self.known.instruments, *rules)

    def inputs(self, columns: slice, rows: int | None = None) -> "dict[str, Floats]":
        """Input -> (T, m) of a block, the newest `rows` sessions of it."""
        from marketbot_assets.features.market_inputs import block_inputs

        filed, base = self.frames["fundamentals"], self.known.mandate.base_currency
        own = filed[filed["instrument"].isin(self.names[columns])]
        known, count = self.known, len(self.limits) if rows is None else rows
        end = len(self.limits) - 1
        window, macro, limits = known.window.upto(end, count), known.macro.upto(end, count), self.limits[-count:]
        return block_inputs(window, macro, own, known.instruments, limits, base, columns=columns)

    def frame(self, own: "Sequence[Floats]") -> "pd.DataFrame":
        """WIDE_FEATURES of the blocks' matrices."""
        from marketbot_assets.features.catalogue import names
        from marketbot_assets.features.market_inputs import sector_numbers
        from marketbot_assets.features.wide_features import frame_of

        groups = sector_numbers(self.known.instruments)
        return frame_of(self.plan, own, groups, self.read.session, self.names, names())


def work_of(read: Reader, stamp: str) -> Work:
    """What the session's features are made of. `stamp`: version of the code behind the inputs."""
    from marketbot_assets.features.catalogue import lookback_sessions
    from marketbot_assets.features.wide_features import first_number, number_of

    since = len(read.reads)
    number = number_of(read.mandate().calendar, read.session)
    first = first_number(number, lookback_sessions())
    count = number - first + 1
    rows, known, filed = known_rows(read, count), market(read, count), read.as_of("fundamentals")
    prices, actions, fx = rows.frames
    frames = {"prices": prices, "corporate_actions": actions, "fx": fx, "macro": rows.macro, "fundamentals": filed}
    return Work(read, known, frames, rows.limits, first, number, stamp, read.reads[since:])


def in_full(work: Work, where: str = LOCAL, home: Path | None = None) -> "list[tuple[Floats, bytes]]":
    """(own matrices of the session, body of the state) per block from all rows. `home`: where columns lie for other processes."""
    from marketbot_assets.features.state_file import encode
    from marketbot_assets.features.wide_features import build_newest

    if where == LOCAL:
        made = [build_newest(work.plan, work.inputs(columns), work.first) for columns in work.blocks]
        return [
            (own, encode(state, tuple(work.names[columns])))
            for columns, (own, state) in zip(work.blocks, made, strict=True)
        ]
    made_from = [work.listings, _digest_of(work.reads)]
    with open_pool(where) as pool, tempfile.TemporaryDirectory(prefix=".tmp-columns-", dir=home) as place:
        folder, tasks = Path(place), []
        for columns in work.blocks:
            bodies = feature_blocks.keep_columns(folder, work.inputs(columns), made_from)
            told = feature_blocks.Told(made_from, work.first, work.stamp)
            tasks.append(feature_blocks.task_of(folder, bodies, work.names[columns], told))
        return list(feature_blocks.built(pool, tasks, made_from))


def _digest_of(reads: Sequence[Read]) -> str:
    lines = sorted({f"{read.asset} {read.part} {read.content_sha256}\n" for read in reads})
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def newest_state(work: Work, lake: "Lake") -> "tuple[IndexRow, Kept] | str":
    """The version before this session that keeps a state to go on from, and the state's facts; else why there is none."""
    from marketbot_assets.features.kept_state import KEEP_EVERY, heard, why_anew

    part = work.read.part
    for row in lake.index.up_to(ASSET, part, inclusive=False)[: -KEEP_EVERY - 1 : -1]:
        manifest = lake.manifest(row)
        kept = heard(manifest.get("state"))
        if kept is None:
            continue
        if not work.first <= kept.number < work.number:
            return f"the last state is of {row.part}, before the window"
        then = cast("list[dict[str, str]]", manifest["inputs"])
        now = [read for read in work.reads if read.part in (STATIC, row.part) or read.part < row.part]
        why = why_anew(
            kept,
            version=work.plan.version,
            first=work.first,
            listings=work.listings,
            computed_at=work.limits[kept.number - work.first],
            frames=work.frames,
            inputs_then=[(x["asset"], x["partition"], x["content_sha256"]) for x in then if x["asset"] not in NOT_ROWS],
            inputs_now=[(x.asset, x.part, x.content_sha256) for x in now if x.asset not in NOT_ROWS],
        )
        return f"{why} (state of {row.part})" if why else (row, kept)
    return "no state is kept of the sessions before"


def from_state(work: Work, lake: "Lake", kept: "Kept") -> "list[tuple[Floats, bytes]]":
    """As `in_full`, from a state. Raises StoreError when one of its bodies is missing, altered or of other instruments."""
    from marketbot_assets.features.state_file import decode, encode
    from marketbot_assets.features.wide_features import follow

    ahead, start, found = work.number - kept.number, 0, []
    for digest in kept.bodies:
        state, names = decode(lake.objects.get_blob(digest), work.plan.version)
        columns = slice(start, start + len(names))
        if state.number != kept.number or list(names) != work.names[columns]:
            raise StoreError(f"state {digest[:12]}: expected another session or other instruments")
        given = {name: values[1:] for name, values in work.inputs(columns, ahead + 1).items()}
        own, after = follow(work.plan, state, given)
        found.append((own, encode(after, names)))
        start = columns.stop
    if start != len(work.names):
        raise StoreError(f"state: expected {len(work.names)} instruments, found {start}")
    return found


def make(read: Reader, lake: "Lake", *, run_id: str, stamp: str, where: str) -> Made:
    """The session's features, from a state where one is good, else in full at `where` (see `open_pool`)."""
    from marketbot_assets.features.kept_state import Kept, rows_known

    work = work_of(read, stamp)
    found = newest_state(work, lake)
    onward = found if isinstance(found, str) else _onward(work, lake, *found)
    if isinstance(onward, str):
        made, keeps, how = in_full(work, where, lake.home), True, f"in full: {onward}"
    else:
        made, keeps, how = onward
    bodies = [_kept(lake, body, read, run_id) for _, body in made] if keeps else []
    facts: dict[str, Json] = {"made": how, "features_version": work.plan.version}
    if keeps:
        rows, at = rows_known(work.frames, read.cutoff), utc_text(read.cutoff)
        state = Kept(work.plan.version, work.first, work.number, at, work.listings, rows, tuple(bodies))
        facts["state"] = cast("Json", state.told())
    return Made(work.frame([own for own, _ in made]), how, bodies, facts)


def _onward(
    work: Work, lake: "Lake", row: IndexRow, kept: "Kept"
) -> "tuple[list[tuple[Floats, bytes]], bool, str] | str":
    """(blocks, whether their states are kept, how) from the state of a version, which is then read; else why not."""
    from marketbot_assets.features.kept_state import KEEP_EVERY

    try:
        made = from_state(work, lake, kept)
    except StoreError as error:
        return str(error)
    work.read.reads.append(read_of(row))
    ahead = work.number - kept.number
    how = f"on from the state of {row.part}, {ahead} session{'s' if ahead > 1 else ''}"
    return made, work.number // KEEP_EVERY > kept.number // KEEP_EVERY, how


def _kept(lake: "Lake", body: bytes, read: Reader, run_id: str) -> str:
    """Stores a state and describes it once; returns its hash."""
    name = hashlib.sha256(body).hexdigest()
    if name not in {row.blob_sha256 for row in lake.index.blobs(ASSET, read.part)}:
        at, kind = utc_text(read.cutoff), "application/octet-stream"
        lake.put_blob(body, BlobRow(name, PROVIDER, "", 200, kind, len(body), at, run_id, ASSET, read.part))
    return name
