"""Blocking schema checks, one per table, from one factory. Named statements about a stage stand in its own `checks.py`.

A blocking check guards only the run that includes it; whatever spends money checks again (`orders`, the last-line gate).
"""

import warnings
from collections.abc import Sequence

import dagster as dg

from marketbot_assets.partitions import sessions
from marketbot_resources.store.reader import UNPARTITIONED, Reader
from marketbot_resources.store.resource import StoreResource, session_of
from marketbot_resources.store.table import Table

BAD_KEYS_SHOWN = 10
warnings.filterwarnings("ignore", category=dg.PreviewWarning)  # partitions of a check: pinned by our tests


def schema_checks(tables: Sequence[Table]) -> list[dg.AssetChecksDefinition]:
    """One blocking check `matches_schema` per table."""
    return [_schema_check(table) for table in tables]


def _schema_check(table: Table) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=table.asset,
        name="matches_schema",
        blocking=True,
        partitions_def=None if table.asset in UNPARTITIONED else sessions,
        description=f"Columns, types, ranges and the key of {table.asset} are what its schema says.",
    )
    def matches_schema(context: dg.AssetCheckExecutionContext, store: StoreResource) -> dg.AssetCheckResult:
        frame = Reader(store.lake, session_of(context), allowed={table.asset}).read(table.asset)
        problems = schema_problems(frame, table)
        return dg.AssetCheckResult(
            passed=not problems,
            severity=dg.AssetCheckSeverity.ERROR,
            metadata={"rows": len(frame), "problems": len(problems), "first": "; ".join(problems[:BAD_KEYS_SHOWN])},
            description=problems[0] if problems else None,
        )

    return matches_schema


def schema_problems(frame: object, table: Table) -> list[str]:
    """What breaks the schema, one line each; empty when nothing does."""
    import pandera.errors

    try:
        table.pandera_schema.validate(frame, lazy=True)
    except pandera.errors.SchemaErrors as error:
        cases = error.failure_cases
        return [f"{row.column}: {row.check}, found {row.failure_case!s:.60}" for row in cases.itertuples()]
    return []
