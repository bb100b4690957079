"""Checks of the normalization stage: a statement about quality warns on the page, the verdict judges it."""

import dagster as dg

from marketbot_assets.checks import BAD_KEYS_SHOWN
from marketbot_assets.partitions import sessions
from marketbot_resources.redaction import redacting, redactor
from marketbot_resources.store.reader import Reader
from marketbot_resources.store.resource import StoreResource, session_of


@dg.asset_check(asset="data_quality", partitions_def=sessions)
@redacting
def no_rule_halts(context: dg.AssetCheckExecutionContext, store: StoreResource) -> dg.AssetCheckResult:
    """No quality rule demands to halt the session."""
    frame = Reader(store.lake, session_of(context), allowed={"data_quality"}).read("data_quality")
    bad = frame[frame["outcome"] == "halt"]
    first = [f"{row.rule} {row.subject}: {row.message}" for row in bad.head(BAD_KEYS_SHOWN).itertuples()]
    return dg.AssetCheckResult(
        passed=bad.empty,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"halts": len(bad), "first": redactor().text("; ".join(first))},
    )


CHECKS = [no_rule_halts]
