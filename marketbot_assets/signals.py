"""The signals of a session, for readers outside: per instrument its score, the weight that it shall have, and where both come from.

Read from what is stored, put into a DynamoDB table by a process of its own when the session has ended and is sealed. Nothing of a
decision depends on it: a failure is a warning and an alert, and the session is what it was. Not here: the table's protocol
(`marketbot_resources.signal_publisher`), when it happens (`signal_hooks`).
"""

import logging
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from marketbot_assets.alerting import tell_safely
from marketbot_resources import settings
from marketbot_resources.errors import UsageError
from marketbot_resources.redaction import redactor
from marketbot_resources.signal_process import put_signals
from marketbot_resources.signal_publisher import HEADER, KEY, Published, Signal, Value

if TYPE_CHECKING:
    from marketbot_resources.ledger.record import Entry
    from marketbot_resources.store.lake import Lake

CASH, UNKNOWN = "CASH", ""
FAILED = "signals_failed"
READ = ("target_portfolio", "forecasts", "instruments", "llm_context")
Rows = Sequence[Mapping[str, object]]


def signals_of(lake: "Lake", part: str) -> list[Signal]:
    """One signal per instrument of the session's target and one of CASH, by instrument, and the header first.

    Raises UsageError for a session without a recorded decision and end: there is nothing that may be told of it.
    """
    decision, ended = lake.ledger.get("decision", part), lake.ledger.get("session_end", part)
    stored = {asset: lake.index.newest(asset, part) for asset in READ}
    if decision is None or ended is None or stored["target_portfolio"] is None:
        raise UsageError(f"signals: expected a session that was decided and has ended, found {part}; see its status")
    rows: dict[str, Rows] = {name: [] if row is None else lake.records(row) for name, row in stored.items()}
    shared: dict[str, Value] = {
        "session": part,
        "state": str(ended.body.get("state", UNKNOWN)),
        "synthetic": simulated(lake, part),
        **_origin(decision),
        "llm_version": _versions(rows["llm_context"]),
    }
    forecasts = {str(row["instrument"]): row for row in rows["forecasts"]}
    listed = {str(row["instrument"]): row for row in rows["instruments"]}
    targets = sorted(rows["target_portfolio"], key=lambda row: str(row["instrument"]))
    told = [_signal(row, forecasts, listed, shared) for row in targets]
    return [{KEY: HEADER, **shared, "instruments": float(len(told))}, *told]


def _signal(
    target: Mapping[str, object],
    forecasts: Mapping[str, Mapping[str, object]],
    listed: Mapping[str, Mapping[str, object]],
    shared: Mapping[str, Value],
) -> Signal:
    name = str(target["instrument"])
    forecast, listing = forecasts.get(name, {}), listed.get(name, {})
    return {
        KEY: name,
        **shared,
        "ticker": str(listing.get("ticker", UNKNOWN)),
        "mic": str(listing.get("mic", UNKNOWN)),
        "score": _number(forecast.get("score")),
        "expected_return": _number(forecast.get("expected_return")),
        "llm_view": _number(forecast.get("llm_view")),
        "weight_now": _number(target["weight_now"]),
        "weight_target": _number(target["weight_target"]),
    }


def _origin(decision: "Entry") -> dict[str, Value]:
    """Which decision it was and the hash behind which everything stands that led to the target."""
    facts, manifests = decision.body.get("facts"), decision.body.get("manifests")
    facts, manifests = (one if isinstance(one, Mapping) else {} for one in (facts, manifests))
    return {
        "decision": decision.hash,
        "record_sha256": str(decision.body.get("record_sha256", UNKNOWN)),
        "lineage_root": str(manifests.get("target_portfolio", UNKNOWN)),
        "verdict": str(facts.get("verdict", UNKNOWN)),
        "model": str(facts.get("model", UNKNOWN)),
        "mandate_sha256": str(facts.get("mandate_sha256", UNKNOWN)),
    }


def _versions(context: Rows) -> str:
    """Who made the session's views: versions of rules or models, separated by blanks."""
    return " ".join(sorted({str(row["version"]) for row in context}))


def simulated(lake: "Lake", part: str) -> bool:
    """Whether a price that the session rests on is simulated; True when that is not known."""
    row = lake.index.newest("prices", part)
    return True if row is None else any(one["synthetic"] is not False for one in lake.records(row))


def _number(value: object) -> float | None:
    """A finite number, else None: unknown."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def publish(lake: "Lake", part: str) -> Published:
    """Puts the signals of a session into the table of MARKETBOT_SIGNALS_TABLE. Raises UsageError without one."""
    table = settings.signals_table()
    if table is None:
        raise UsageError("signals: expected MARKETBOT_SIGNALS_TABLE with the name of a table, found none; set it")
    return put_signals(table, signals_of(lake, part))


def publish_safely(lake: "Lake", log: logging.Logger, part: str) -> None:
    """`publish` at the end of a run: whatever goes wrong is a warning and an alert, and changes nothing of the session."""
    try:
        done = publish(lake, part)
        problem = done.problem
    except Exception as error:  # the edge to readers outside: a session never fails because nobody could be told
        problem = redactor().text(f"{type(error).__name__}: {error}")
    if not problem:
        log.info(f"signals of {part}: {done.put} put, {done.newer} left alone for a later session")
        return
    log.warning(f"signals of {part} are not published: {problem}")
    try:
        number = len(lake.ledger.entries(FAILED, f"{part}/")) + 1
        lake.ledger.append(FAILED, f"{part}/{number}", {"reason": problem})
    except Exception as error:  # a full disk: the log has said it, and the session has ended
        log.error(redactor().text(f"signals: the failure is not recorded: {type(error).__name__}: {error}"))
        return
    tell_safely(lake, log)
