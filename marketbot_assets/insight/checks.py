"""Checks of the insight stage: a statement about views warns on the page; nothing waits for it, the rules serve meanwhile."""

import dagster as dg

from marketbot_assets.llm_pages import missing_views
from marketbot_assets.partitions import sessions
from marketbot_resources.redaction import redacting, redactor
from marketbot_resources.store.reader import Reader
from marketbot_resources.store.resource import StoreResource, session_of

READ = ("mandate", "llm_context")


@dg.asset_check(asset="llm_context", partitions_def=sessions)
@redacting
def asked_models_gave_views(context: dg.AssetCheckExecutionContext, store: StoreResource) -> dg.AssetCheckResult:
    """A language model that is asked gave accepted views; passes when the mandate names none."""
    read = Reader(store.lake, session_of(context), allowed=READ)
    problem = missing_views(read.read("llm_context"), read.mandate())
    return dg.AssetCheckResult(
        passed=not problem,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"asked": "no" if read.mandate().llm is None else "yes", "why": redactor().text(problem)},
        description=redactor().text(problem) or None,
    )


CHECKS = [asked_models_gave_views]
