"""When a run publishes its signals: after its last step, when the session has ended, is sealed, and nothing is left to be sent.

The run waits for the publisher, bounded by its time limit. Without MARKETBOT_SIGNALS_TABLE nothing happens. Not here: what is
published (`signals`), when a run looks for alerts (`alert_hooks`).
"""

import dagster as dg

from marketbot_assets.alert_hooks import TOLD_AFTER, tell_alerts
from marketbot_resources import settings

PUBLISHED_AFTER = "proof"


@dg.success_hook(name="publish_signals", required_resource_keys={"store"})
def publish_signals(context: dg.HookContext) -> None:
    """Puts the session's signals into the table that readers outside know."""
    if settings.signals_table() is None:
        return
    run = context.instance.get_run_by_id(context.run_id)
    part = run.tags.get("dagster/partition") if run else None
    if part is not None:
        from marketbot_assets.signals import publish_safely

        publish_safely(context.resources.store.lake, context.log, part)


def hooks_of(asset: str) -> set[dg.HookDefinition] | None:
    """What looks on after the step of an asset; None where nothing does."""
    found = {tell_alerts} if asset in TOLD_AFTER else set()
    return (found | {publish_signals} if asset == PUBLISHED_AFTER else found) or None
