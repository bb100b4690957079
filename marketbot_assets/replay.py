"""Sessions rebuilt from what they rest on and compared with what is stored: the engine of `replay` and of `replay_check`.

An asset is rebuilt by the very function that made it, from exactly the versions that its manifest names. On the environment that
made it the content hashes must be equal; on another one orders must be equal and floats within the tolerance of
`audit.comparison`. Not here: which versions, and whether they are whole (`replay_versions`); code that changed since
(`commands.replay`).
"""

import datetime as dt
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, cast

from marketbot_assets import audit_facts, rebuild, rebuild_data
from marketbot_assets.replay_versions import Checked, Manifest, Mended, Version, check, find, inputs_of, versions
from marketbot_resources.errors import AlteredInput, MarketbotError, StoreError
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.store.index import STATIC, IndexRow
from marketbot_resources.store.reader import Reader

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from marketbot_assets.audit.comparison import Comparison
    from marketbot_resources.store.lake import Lake
    from marketbot_resources.store.table import Table

REBUILDS: Mapping[str, "Callable[[Reader, Ledger], pd.DataFrame]"] = {
    **rebuild_data.REBUILDS,
    **rebuild.REBUILDS,
    **audit_facts.REBUILDS,
}
RECORDS = {
    "mandate": "what the user wrote",
    "account_snapshot": "what the broker reported",
    "submissions": "what the broker acknowledged",
    "replay_check": "what the run's own replay found",
    "proof": "what the store held when the run ended",
    "parity_check": "what a later backtest found",
}
AFTERWARDS = (
    "opening_balance",
    "execution_costs",
    "shortfall",
    "intraday_exits",
    "wide_features",
)  # unpartitioned; made beside the daily check, or before
DAILY = tuple(
    x for x in (*rebuild_data.RAW, "llm_answers", *rebuild_data.REBUILDS, *rebuild.REBUILDS) if x not in AFTERWARDS
)
EXACT = frozenset({"orders"})
TO_A_USER = "; materialize it first"  # advice for a step that runs, not for what was decided without it
NOT_NUMERIC = frozenset({"lock_sha256"})
FAILURES = (MarketbotError, ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)


class Outcome(StrEnum):
    """What became of one version: the same bits, the same within rounding on another machine, another one, kept as received."""

    EQUAL = "equal"
    WITHIN = "within"
    DIFFERS = "differs"
    NOT_REBUILT = "not rebuilt"
    RECORD = "record"


GOOD = frozenset({Outcome.EQUAL, Outcome.WITHIN, Outcome.RECORD})


@dataclass(frozen=True, slots=True)
class Replayed:
    """One version and what was found. `message` is empty where there is nothing to say.

    `environment`: what has changed since, as `name then -> now`; `difference`: how the values differ, where both are at hand.
    """

    version: Version
    outcome: Outcome
    message: str = ""
    stored_content: str = ""
    rebuilt_content: str = ""
    environment: tuple[str, ...] = ()
    difference: "Comparison | None" = None

    @property
    def good(self) -> bool:
        """Whether nothing speaks against this version."""
        return self.outcome in GOOD


@lru_cache(maxsize=1)
def tables() -> "dict[str, Table]":
    """The table of every asset, in the order of the pipeline."""
    from marketbot_assets.audit import schema as audit
    from marketbot_assets.book import schema as book
    from marketbot_assets.execution import schema as execution
    from marketbot_assets.features import schema as features
    from marketbot_assets.ingestion import schema as ingestion
    from marketbot_assets.insight import schema as insight
    from marketbot_assets.normalization import schema as normalization
    from marketbot_assets.portfolio import schema as portfolio
    from marketbot_assets.research import schema as research
    from marketbot_assets.risk import schema as risk

    history = normalization.HISTORY.values()
    early = (ingestion.MANDATE, *history, research.OPENING_BALANCE)
    stages = (ingestion, normalization, features, insight, book, portfolio, risk, execution, audit, research)
    return {table.asset: table for table in (*early, *(table for stage in stages for table in stage.TABLES))}


class Replay:
    """Replays versions of one home; each is rebuilt once. What was altered and can be made again stands in for itself."""

    def __init__(self, lake: "Lake") -> None:
        self._lake = lake
        self._mended_lake = Mended(lake, self._mend)
        self._done: dict[str, Replayed] = {}
        self._mended: dict[str, pd.DataFrame] = {}
        self._inputs: dict[str, list[Mapping[str, str]]] = {}
        self._rank = {asset: place for place, asset in enumerate(tables())}

    def session(self, part: str) -> list[Replayed]:
        """Every version of a session in graph order, and before them what it reads of earlier sessions that is not what it was."""
        own = [self._of(version) for version in versions(self._lake, part, self._rank)]
        named = [(i["partition"], i["asset"], i["manifest_sha256"]) for x in own for i in self._read_by(x.version)]
        earlier = sorted(name for name in set(named) if name[0] not in (part, STATIC))
        bad = [self._done[digest] for _, _, digest in earlier if digest in self._done and not self._done[digest].good]
        return [*bad, *own]

    def some(self, part: str, assets: Collection[str]) -> list[Replayed]:
        """Some assets of a session in graph order; nothing that was stored after its decision took another version."""
        found = versions(self._lake, part, self._rank)
        return [self._of(x) for x in found if x.part == part and x.asset in assets and not x.later]

    def _read_by(self, version: Version) -> list[Mapping[str, str]]:
        return self._inputs.get(version.manifest_sha256, [])

    def _of(self, version: Version) -> Replayed:
        known = self._done.get(version.manifest_sha256)
        if known is None:
            known = self._done[version.manifest_sha256] = self._judge(version)
        return replace(known, version=version)

    def _mend(self, row: IndexRow) -> "pd.DataFrame":
        """What an altered version was, made again. Raises AlteredInput when it cannot be."""
        _, listed = find(self._lake, row.asset, row.part, row.manifest_sha256)
        self._of(Version(row.asset, row.part, row.manifest_sha256, row, listed))
        if row.manifest_sha256 not in self._mended:
            raise AlteredInput(f"{row.asset} {row.part}")
        return self._mended[row.manifest_sha256]

    def _judge(self, version: Version) -> Replayed:
        if version.row is None:
            return Replayed(version, Outcome.DIFFERS, "nothing is left of this version: no index row, no manifest")
        checked = check(self._lake, version.row, listed=version.listed)
        self._inputs[version.manifest_sha256] = checked.inputs()
        if checked.misled:
            self._mended_lake.suspects.add(version.manifest_sha256)
        if checked.manifest is None:
            return Replayed(version, Outcome.DIFFERS, checked.fault, version.row.content_sha256)
        content = str(checked.manifest["content_sha256"])
        if version.asset not in rebuild_data.FROM_BODY and version.asset not in REBUILDS:
            told = checked.fault or RECORDS.get(version.asset, "no function makes it from what is stored")
            return Replayed(version, Outcome.DIFFERS if checked.fault else Outcome.RECORD, told, content)
        try:
            rebuilt = self._rebuilt(version.row, checked.manifest)
        except AlteredInput as error:
            if not checked.fault:
                return Replayed(version, Outcome.NOT_REBUILT, f"its input {error} is altered", content)
            return Replayed(version, Outcome.DIFFERS, checked.fault, content)
        except FAILURES as error:
            why = f"{type(error).__name__}: {error}".splitlines()[0].removesuffix(TO_A_USER)
            told = checked.fault or f"it cannot be rebuilt: {why}"
            return Replayed(version, Outcome.DIFFERS, told, content)
        return self._compared(version, checked, rebuilt, content)

    def _compared(self, version: Version, checked: Checked, rebuilt: "pa.Table", content: str) -> Replayed:
        from marketbot_assets.audit.comparison import compare
        from marketbot_resources.store.content import content_sha256, to_frame

        made, changes = content_sha256(rebuilt), environment_changes(checked.manifest)
        if made == content and not checked.fault:
            return Replayed(version, Outcome.EQUAL, "", content, made, changes)
        if made == content:
            self._mended[version.manifest_sha256] = to_frame(rebuilt)
        key, exact = tables()[version.asset].key, version.asset in EXACT
        apart = None if checked.table is None else compare(checked.table, rebuilt, key, exact=exact)
        if checked.fault:
            told = "it can be rebuilt as it was" if made == content else "the rebuilt values are not what it was either"
            message = f"{checked.fault}; {told}"
            return Replayed(version, Outcome.DIFFERS, message, content, made, changes, apart)
        if changes and apart is not None and apart.within:
            return Replayed(version, Outcome.WITHIN, "", content, made, changes, apart)
        message = "the rebuilt values differ from the stored ones"
        return Replayed(version, Outcome.DIFFERS, message, content, made, changes, apart)

    def _rebuilt(self, row: IndexRow, manifest: Manifest) -> "pa.Table":
        from marketbot_resources.store.content import canonical

        inputs = inputs_of(manifest)
        for item in inputs:
            self._look_at(item)
        pins = {(item["asset"], item["partition"]): item["manifest_sha256"] for item in inputs}
        ledger = self._lake.ledger
        day = rebuild_data.opened(ledger).session if row.part == STATIC else dt.date.fromisoformat(row.part)
        read = Reader(self._mended_lake, day, allowed=None, pins=pins)
        if row.asset in REBUILDS:
            frame = REBUILDS[row.asset](read, ledger)
        else:
            frame = rebuild_data.FROM_BODY[row.asset](read, ledger, self._received(row, manifest))
        return canonical(frame, tables()[row.asset])

    def _look_at(self, item: Mapping[str, str]) -> None:
        """Notes an input that is gone, or whose index row is about something else; bytes are checked when they are read."""
        name = (item["asset"], item["partition"], item["manifest_sha256"])
        found = self._mended_lake.find(*name)
        if found is None:
            self._of(Version(*name, None, listed=False))
        elif (found.file_sha256, found.content_sha256) != (item["file_sha256"], item["content_sha256"]):
            self._mended_lake.suspects.add(item["manifest_sha256"])

    def _received(self, row: IndexRow, manifest: Manifest) -> list[rebuild_data.ReceivedBody]:
        """The bodies that the rows of a version came from. Raises StoreError when one or its description is gone or altered."""
        described = {(body.blob_sha256, body.provider) for body in self._lake.index.blobs(row.asset, row.part)}
        bodies = []
        for used in cast("Sequence[Mapping[str, object]]", manifest["received"]):
            name, provider = str(used["blob_sha256"]), str(used["provider"])
            if (name, provider) not in described:
                raise StoreError(f"body {name[:12]}: expected its description in the index, found none")
            asked = cast("Mapping[str, str]", used["asked"])
            content = self._lake.objects.get_blob(name)
            bodies.append(rebuild_data.ReceivedBody(content, provider, name, str(used["parser"]), asked))
        return bodies


def environment_changes(manifest: Manifest | None) -> tuple[str, ...]:
    """What may change floats and has changed since a version was made: `name then -> now`. The lock file alone changes none."""
    from marketbot_resources.store.lake import environment

    then = cast("Mapping[str, str]", (manifest or {}).get("environment", {}))
    now = environment()
    names = [name for name in now if name not in NOT_NUMERIC and then.get(name) != now[name]]
    return tuple(f"{name} {then.get(name, 'unknown')} -> {now[name]}" for name in names)


def replayed(read: Reader, lake: "Lake") -> "pd.DataFrame":
    """REPLAY_CHECK of the session that has just been decided: DAILY, from the versions that the decision names.

    It runs in the process that decided and shares the panels and windows that the lake remembers, each under the hashes of its
    inputs; unpartitioned assets and those of the audit are left out. `marketbot replay` takes all of them, in a process of its own.
    """
    import pandas as pd

    from marketbot_assets.audit.schema import REPLAY_CHECK

    found: dict[str, Replayed] = {}
    for item in Replay(lake).some(read.part, DAILY):
        if item.version.asset not in found or not item.good:
            found[item.version.asset] = item
    rows = [
        {
            "asset": asset,
            "partition": item.version.part,
            "stored_content_sha256": item.stored_content,
            "rebuilt_content_sha256": item.rebuilt_content,
            "same": item.good,
            "message": "" if item.outcome is Outcome.EQUAL else item.message or "equal but for rounding",
        }
        for asset, item in found.items()
    ]
    return pd.DataFrame(rows, columns=[column.name for column in REPLAY_CHECK.columns])
