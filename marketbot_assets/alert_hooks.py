"""When a run looks for alerts: right after the steps that may find something, and after a failure (`jobs.note_failure`).

A hook never ends a run and waits for nobody. Not here: what is looked at (`alerting`).
"""

import dagster as dg

# What other steps find shows in these, or as a failure.
TOLD_AFTER = frozenset(
    {
        "account_snapshot",
        "llm_answers",
        "reconciliation",
        "book_state",
        "risk_verdict",
        "submissions",
        "proof",
        "parity_check",
    }
)


@dg.success_hook(name="tell_alerts", required_resource_keys={"store"})
def tell_alerts(context: dg.HookContext) -> None:
    """Records and sends what the step that just ended calls for."""
    from marketbot_assets.alerting import tell_safely

    tell_safely(context.resources.store.lake, context.log)
