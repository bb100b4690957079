"""Why a run failed, by its own events: what the step that failed raised, in one line without the name of its class and secrets."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from marketbot_resources.redaction import redactor

if TYPE_CHECKING:
    from dagster import DagsterEvent

UNKNOWN = "the run failed"


def first_failure_of(events: "Sequence[DagsterEvent]") -> tuple[str, str] | None:
    """(step, what it raised) of the first step that failed; None when none did."""
    for event in events:
        error = event.step_failure_data.error if event.is_step_failure else None
        if error is not None:
            said = redactor().text(
                (error.cause or error).message.strip()
            )  # before it is cut: half a secret is not recognised
            line = said.partition("\n")[0]
            return str(event.step_key), line.partition(": ")[2] or line
    return None


def why(events: "Sequence[DagsterEvent]") -> str:
    """What the first step that failed raised."""
    found = first_failure_of(events)
    return UNKNOWN if found is None else found[1]
