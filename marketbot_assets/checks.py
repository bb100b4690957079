"""The blocking schema check of every asset: one spec and one result from one factory, evaluated in the asset's own step.

Being part of the step it runs whenever the asset does, and costs no step of its own (a separate check step costs more in event
storage than the check itself: measured). A blocking check still guards only the run that it is part of; whatever spends money
checks again (`orders`, the last-line gate). Named statements about a stage stand in its own `checks.py`.
"""

from collections.abc import Sequence

import dagster as dg

from marketbot_resources.redaction import redactor
from marketbot_resources.store.table import Table

BAD_KEYS_SHOWN = 10
MATCHES_SCHEMA = "matches_schema"


def schema_check_spec(table: Table) -> dg.AssetCheckSpec:
    """What the asset declares: a failed check stops everything downstream of it in the run."""
    return dg.AssetCheckSpec(
        MATCHES_SCHEMA,
        asset=table.asset,
        blocking=True,
        description=f"Columns, types, ranges and the key of {table.asset} are what its schema says.",
    )


def schema_check(problems: Sequence[str], table: Table) -> dg.AssetCheckResult:
    """The check's answer from what `schema_problems` found in the frame as the reader returns it."""
    return dg.AssetCheckResult(
        check_name=MATCHES_SCHEMA,
        asset_key=table.asset,
        passed=not problems,
        severity=dg.AssetCheckSeverity.ERROR,
        metadata={"problems": len(problems), "first": "; ".join(problems[:BAD_KEYS_SHOWN])},
        description=problems[0] if problems else None,
    )


def schema_problems(frame: object, table: Table) -> list[str]:
    """What breaks the schema, one line each; empty when nothing does."""
    import pandera.errors

    try:
        table.pandera_schema.validate(frame, lazy=True, inplace=True)  # it changes nothing, so it needs no copy
    except pandera.errors.SchemaErrors as error:
        cases = error.failure_cases
        known = redactor()
        return [
            f"{row.column}: {row.check}, found {known.text(str(row.failure_case)):.60}" for row in cases.itertuples()
        ]
    return []
