"""How an asset becomes evidence: the decorator that every asset uses, `materialized`, `ingest`, and code versions.

`stage_asset` gives an asset its group, partitions, owners, tags, column schema and code version from its table.
`materialized` stores a frame with its manifest and returns what the asset page shows. Not here: what an asset computes.
"""

import datetime as dt
import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

import dagster as dg

from marketbot_assets.change_pages import changed
from marketbot_assets.checks import schema_check, schema_check_spec, schema_problems
from marketbot_assets.markdown_text import cell
from marketbot_assets.next_pages import onward
from marketbot_assets.partitions import sessions
from marketbot_assets.rebuild_data import FROM_BODY, ReceivedBody, received_body, received_facts
from marketbot_assets.signal_hooks import hooks_of
from marketbot_assets.statements import statement_results, statement_specs
from marketbot_resources.errors import ProviderError
from marketbot_resources.ledger.record import Json
from marketbot_resources.model import utc_text
from marketbot_resources.provider import Body, Delivery, NothingServed, Refusal
from marketbot_resources.redaction import redacting, redactor
from marketbot_resources.store.index import STATIC, BlobRow, IndexRow, Origin
from marketbot_resources.store.reader import UNPARTITIONED
from marketbot_resources.store.resource import StoreResource, session_of
from marketbot_resources.store.scratch import resting
from marketbot_resources.store.table import Column, Table

if TYPE_CHECKING:
    import pandas as pd

    from marketbot_resources.store.lake import Lake

OWNERS = ["team:marketbot"]
REFETCH_TAG = "marketbot/refetch"
Shown = dg.MetadataValue | str | int | float
PREVIEW_ROWS, REFUSALS_SHOWN = 8, 10
_ROOT = Path(__file__).parent
_RESOURCES = _ROOT.parent / "marketbot_resources"
_TYPES = {
    "text": "string",
    "number": "float64",
    "integer": "int64",
    "flag": "bool",
    "date": "date32",
    "instant": "timestamp[us, UTC]",
    "decimal": "decimal(28, 10)",
    "numbers": "list<float64>",
}


@lru_cache(maxsize=32)
def code_of(stage: str) -> str:
    """Hash of a stage's own source, of the stages' shared modules and of the resources: 16 hex digits."""
    digest = hashlib.sha256()
    files = [*(_ROOT / stage).rglob("*.py"), *_ROOT.glob("*.py"), *_RESOURCES.rglob("*.py")]
    for path in sorted(files, key=str):
        digest.update(path.relative_to(_ROOT.parent).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def stage_asset(
    table: Table,
    *,
    stage: str,
    deps: Sequence[str] = (),
    before: Sequence[str] = (),
    kinds: Sequence[str] = ("parquet",),
    carries: bool = False,
    domain: str = "market",
    description: str | None = None,
) -> Callable[[Callable[..., dg.MaterializeResult]], dg.AssetsDefinition]:
    """Decorator of every asset. `carries`: the asset reads its own previous session (state between sessions).

    `before`: assets of which it reads the session before, not its own.
    """

    def decorate(function: Callable[..., dg.MaterializeResult]) -> dg.AssetsDefinition:
        partitioned = table.asset not in UNPARTITIONED
        earlier = [*before, table.asset] if carries else before
        own = [dg.AssetDep(name, partition_mapping=_previous()) for name in earlier]
        return dg.asset(
            name=table.asset,
            group_name=stage,
            partitions_def=sessions if partitioned else None,
            deps=[*deps, *own],
            kinds=set(kinds),
            owners=OWNERS,
            tags={"domain": domain, "cadence": "session" if partitioned else "once"},
            code_version=code_of(stage),
            metadata={"dagster/column_schema": _column_schema(table.columns)},
            check_specs=[schema_check_spec(table), *statement_specs(table.asset)],
            hooks=hooks_of(table.asset),
            description=f"{(description or function.__doc__ or '').strip()}\n\nOne row: {table.row}. Key: {', '.join(table.key)}.",
        )(redacting(resting(function)))

    return decorate


def _previous() -> dg.PartitionMapping:
    from marketbot_assets.partitions import previous_session

    return previous_session


def _column_schema(columns: Sequence[Column]) -> dg.TableSchema:
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                column.name,
                _TYPES[column.kind],
                description=column.description,
                constraints=dg.TableColumnConstraints(nullable=column.nullable),
            )
            for column in columns
        ]
    )


def materialized(
    context: dg.AssetExecutionContext,
    store: StoreResource,
    frame: "pd.DataFrame",
    table: Table,
    *,
    blobs: Sequence[str] = (),
    facts: Mapping[str, Json] | None = None,
    shows: Mapping[str, Shown] | None = None,
) -> dg.MaterializeResult:
    """Stores a frame as this asset's newest version and describes it for the asset page.

    `facts` go into the manifest (model, prompt, solver); `shows` are more metadata. Data version = content hash.
    """
    session, part = session_of(context), part_of(context, table.asset)
    lake = store.lake
    before = lake.index.newest(table.asset, part)
    cutoff = lake.ledger.get("session_cutoff", session.isoformat())
    mandate = lake.index.newest("mandate", STATIC)
    origin = Origin(
        run_id=context.run.run_id,
        code_version=code_of(_stage(context)),
        written_at=str(cutoff.body["cutoff_at"]) if cutoff else "",
        extra={"mandate_content_sha256": mandate.content_sha256 if mandate else "", **redactor().json(facts or {})},
    )
    row = lake.commit(
        frame,
        table,
        part,
        reads=store.reads(context),
        blobs=blobs,
        origin=origin,
        judge=lambda stored: schema_problems(stored, table),
    )
    store.forget(context)
    return _result(lake, table, row, before, _stage(context), problems=lake.schema_problems(row), shows=shows or {})


def part_of(context: dg.AssetExecutionContext, asset: str) -> str:
    """The partition under which an asset's object of this run is stored."""
    return STATIC if asset in UNPARTITIONED else session_of(context).isoformat()


def _stage(context: dg.AssetExecutionContext) -> str:
    return str(context.assets_def.group_names_by_key[context.asset_key])


def _result(
    lake: "Lake",
    table: Table,
    row: IndexRow,
    before: IndexRow | None,
    stage: str,
    *,
    problems: Sequence[str],
    shows: Mapping[str, Shown],
) -> dg.MaterializeResult:
    """What the asset's page shows of a stored version; `before`: the newest version of this partition until now."""
    frame = lake.load(row)
    if before is None:
        change = "first version of this partition"
    elif before.content_sha256 == row.content_sha256:
        change = "unchanged"
    else:
        change = f"changed: {before.rows} -> {row.rows} rows"
    return dg.MaterializeResult(
        check_results=[schema_check(problems, table), *statement_results(table.asset, frame)],
        data_version=dg.DataVersion(row.content_sha256),
        metadata={
            "dagster/row_count": row.rows,
            "change": change,
            **changed(lake, row, frame, table),
            "preview": dg.MetadataValue.md(redactor().text(preview(frame))),
            "file_sha256": row.file_sha256,
            "manifest_sha256": row.manifest_sha256,
            "object": row.uri,
            **{name: _shown(value) for name, value in shows.items()},
            **onward(lake.home, row, stage),
        },
    )


def _shown(value: Shown) -> Shown:
    if isinstance(value, dg.MarkdownMetadataValue):
        return dg.MetadataValue.md(redactor().text(value.value))
    if isinstance(value, float) and math.isfinite(value):  # cents of money, six digits of what is small
        return round(value, 2) if abs(value) >= 100 else float(f"{value:.6g}")
    return redactor().json(value)


def preview(frame: "pd.DataFrame") -> str:
    """The first rows as a Markdown table."""
    head = frame.head(PREVIEW_ROWS)
    names = [str(name) for name in head.columns]
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    for values in head.itertuples(index=False, name=None):
        lines.append("| " + " | ".join(_cell(value) for value in values) + " |")
    return "\n".join(lines)


def _cell(value: object) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else _plain(value) if isinstance(value, Decimal) else str(value)
    text = redactor().text(text) if len(text) > 60 else text  # half a secret is not recognised
    return cell(text[:60])


def _plain(value: Decimal) -> str:
    """Without exponent and without zeros at the end: 0, 45.52, 107570."""
    return f"{value.normalize():f}" if value else "0"


def asks_again(context: dg.AssetExecutionContext) -> bool:
    """Whether the run asks the world again for what is stored (`run --refetch`)."""
    return context.run.tags.get(REFETCH_TAG) == "true"


def stored(
    context: dg.AssetExecutionContext,
    store: StoreResource,
    table: Table,
    *,
    always: bool = False,
    shows: "Callable[[pd.DataFrame], Mapping[str, Shown]] | None" = None,
) -> dg.MaterializeResult | None:
    """What is stored already for a raw, bootstrap or broker asset, unless the run asks to fetch again.

    `always`: also then; for what is decided once in the life of a home. `shows`: more metadata of the frame.
    """
    if asks_again(context) and not always:
        return None
    row = store.lake.index.newest(table.asset, part_of(context, table.asset))
    if row is None:
        return None
    served, stage = store.lake.load(row), _stage(context)
    same_code = row.code_version == code_of(stage)  # what other code judged is judged again
    problems = store.lake.schema_problems(row) if same_code else schema_problems(served, table)
    told = {"served": "from the store", **(shows(served) if shows else {})}
    return _result(store.lake, table, row, row, stage, problems=problems, shows=told)


def ingest(
    context: dg.AssetExecutionContext,
    store: StoreResource,
    table: Table,
    fetch: Callable[[], Delivery],
    fetched_at: dt.datetime,
    *,
    shows: "Callable[[pd.DataFrame], Mapping[str, Shown]] | None" = None,
) -> dg.MaterializeResult:
    """Fetches bodies, stores their bytes before anyone parses them, then materializes what `rebuild_data` makes of them.

    The manifest names every body with its provider, parser and request, and what was refused, by whom and why. `shows`: more
    metadata of the frame.
    """
    served = stored(context, store, table, shows=shows)
    if served is not None:
        return served
    return _from_bodies(context, store, table, fetch, fetched_at, [], shows)


def collect(
    context: dg.AssetExecutionContext,
    store: StoreResource,
    table: Table,
    fetch: Callable[[], Delivery],
    fetched_at: dt.datetime,
) -> dg.MaterializeResult:
    """Asks again on every run and adds a version that is made of all bodies of the partition, the earlier ones first."""
    row = store.lake.index.newest(table.asset, part_of(context, table.asset))
    earlier = [] if row is None else _bodies_of(store, row)
    return _from_bodies(context, store, table, fetch, fetched_at, earlier)


def _bodies_of(store: StoreResource, row: IndexRow) -> list[ReceivedBody]:
    told = cast("Sequence[Mapping[str, object]]", store.lake.manifest(row)["received"])
    return [
        ReceivedBody(
            store.lake.objects.get_blob(str(used["blob_sha256"])),
            str(used["provider"]),
            str(used["blob_sha256"]),
            str(used["parser"]),
            cast("Mapping[str, str]", used["asked"]),
        )
        for used in told
    ]


def _from_bodies(
    context: dg.AssetExecutionContext,
    store: StoreResource,
    table: Table,
    fetch: Callable[[], Delivery],
    fetched_at: dt.datetime,
    earlier: Sequence[ReceivedBody],
    shows: "Callable[[pd.DataFrame], Mapping[str, Shown]] | None" = None,
) -> dg.MaterializeResult:
    try:
        delivery = fetch()
    except NothingServed as error:
        for body in error.refused:
            keep_body(context, store, table.asset, body, fetched_at)
        raise
    kept = [(keep_body(context, store, table.asset, body, fetched_at), body) for body in delivery.bodies]
    refused = [keep_body(context, store, table.asset, body, fetched_at) for body in delivery.refused]
    told = _kept_once(context, store, table.asset, delivery.kept, fetched_at)
    received = [*earlier, *(received_body(name, body) for name, body in kept)]
    count, refusals = len(kept), delivery.refusals
    del delivery, kept  # a history's body is large; what is read of it now lies in a file
    facts = received_facts(received, refused, refusals, told)
    names = sorted({*(body.sha256 for body in received), *refused, *(name for name, _ in told)})
    frame = FROM_BODY[table.asset](store.reader(context), store.lake.ledger, received)
    shown = {**_served_by(frame, count, refusals), **(shows(frame) if shows else {})}
    return materialized(context, store, frame, table, blobs=names, facts=facts, shows=shown)


def _kept_once(
    context: dg.AssetExecutionContext, store: StoreResource, asset: str, bodies: Sequence[Body], fetched_at: dt.datetime
) -> list[tuple[str, Body]]:
    """Bodies by their hash; those that were kept and described while they came are not described again."""
    known = {row.blob_sha256 for row in store.lake.index.blobs(asset, part_of(context, asset))} if bodies else set()
    named = [(hashlib.sha256(body.content).hexdigest(), body) for body in bodies]
    for name, body in named:
        if name not in known:
            keep_body(context, store, asset, body, fetched_at)
    return named


def _served_by(frame: "pd.DataFrame", bodies: int, refusals: Sequence[Refusal]) -> dict[str, Shown]:
    """Rows per provider, and the first refusals, for the asset page."""
    counts = frame["source"].value_counts().sort_index() if "source" in frame else None
    shown: dict[str, Shown] = {
        "bodies": bodies,
        "served_by": ", ".join(f"{name}: {count}" for name, count in counts.items()) if counts is not None else "",
    }
    if refusals:
        first = "; ".join(f"{x.provider} {x.subject}: {x.reason}" for x in refusals[:REFUSALS_SHOWN])
        shown |= {"refusals": len(refusals), "first_refusals": first}
    return shown


def keep_body(
    context: dg.AssetExecutionContext, store: StoreResource, asset: str, body: Body, fetched_at: dt.datetime
) -> str:
    """`keep_in` for a body of this run."""
    part, run = part_of(context, asset), context.run.run_id
    return keep_in(store.lake, body, asset=asset, part=part, run_id=run, fetched_at=fetched_at)


def keep_in(lake: "Lake", body: Body, *, asset: str, part: str, run_id: str, fetched_at: dt.datetime) -> str:
    """Stores a body as received and describes it in the blob index; returns its hash.

    Raises ProviderError for a body that holds one of our own secrets: it may not be kept, and may not be changed.
    """
    if redactor().holds_secret(body.content):
        raise ProviderError(
            f"{asset}: expected a body without our own secrets, found one in the answer of {body.provider}; it was not kept; "
            "change that secret and ask the provider why it sends it back"
        )
    name = hashlib.sha256(body.content).hexdigest()
    described = BlobRow(
        name,
        body.provider,
        redactor().text(body.url),
        body.status,
        body.content_type,
        len(body.content),
        utc_text(fetched_at),
        run_id,
        asset,
        part,
    )
    lake.put_blob(body.content, described)
    return name
