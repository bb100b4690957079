"""The decision record: which versions of everything the session's decision rests on, and what the ledger keeps of it. Pure."""

import hashlib
import json
from collections.abc import Iterable, Mapping

import pandas as pd

from marketbot_assets.audit.schema import DECISION_RECORD, FACT, INPUT, OUTPUT
from marketbot_resources.errors import LedgerError

OUTPUTS = (
    "forecasts",
    "book_state",
    "target_portfolio",
    "target_explanation",
    "order_plan",
    "stress_results",
    "risk_verdict",
    "orders",
)


def record_frame(objects: Iterable[tuple[str, str, str]], session: str, facts: Mapping[str, str]) -> pd.DataFrame:
    """DECISION_RECORD rows. `objects`: (asset, partition, content hash); those of OUTPUTS of this session are outputs."""
    rows = [
        {
            "kind": OUTPUT if asset in OUTPUTS and part == session else INPUT,
            "asset": asset,
            "partition": part,
            "content_sha256": content,
            "text": "",
        }
        for asset, part, content in objects
    ]
    rows += [
        {"kind": FACT, "asset": name, "partition": "", "content_sha256": "", "text": text}
        for name, text in facts.items()
    ]
    frame = pd.DataFrame(rows, columns=[column.name for column in DECISION_RECORD.columns])
    return frame.sort_values(["kind", "asset", "partition"], ignore_index=True)


def record_body(frame: pd.DataFrame, session: str) -> dict[str, str | int | dict[str, str]]:
    """What the ledger keeps: the hash over all rows, the hashes of the outputs, the facts. Raises LedgerError without orders."""
    rows = [list(map(str, row)) for row in frame.itertuples(index=False)]
    digest = hashlib.sha256(json.dumps(rows, separators=(",", ":")).encode()).hexdigest()
    made = frame[frame["kind"] == OUTPUT]
    outputs = {str(a): str(c) for a, c in zip(made["asset"], made["content_sha256"], strict=True)}
    if "orders" not in outputs:
        raise LedgerError(f"session {session}: expected a record that names the orders, found {sorted(outputs)}")
    told = frame[frame["kind"] == FACT]
    return {
        "session": session,
        "record_sha256": digest,
        "inputs": int((frame["kind"] == INPUT).sum()),
        "outputs": outputs,
        "facts": {str(a): str(t) for a, t in zip(told["asset"], told["text"], strict=True)},
    }
