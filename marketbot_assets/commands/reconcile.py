"""Whether book and broker agree, and which orders are not settled: `reconcile`; `status` and `resume` ask here, too.

Not here: the comparison itself (`book.reconciliation`), the reconciliation of a session (the asset of that name).
"""

import datetime as dt
from typing import TYPE_CHECKING

from marketbot_assets.commands.home import existing_lake, load_mandate
from marketbot_resources.broker.order_states import IN_DOUBT
from marketbot_resources.errors import StoreError, UsageError
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.record import Entry
from marketbot_resources.model import TERMINAL_STATES, OrderState, plain
from marketbot_resources.sessions import cutoff_of
from marketbot_resources.store.index import END_OF_TIME

if TYPE_CHECKING:
    import pandas as pd

    from marketbot_resources.store.index import IndexRow
    from marketbot_resources.store.lake import Lake


def newest_row(lake: "Lake", asset: str) -> "IndexRow | None":
    """The newest version of an asset's last session."""
    rows = lake.index.up_to(asset, END_OF_TIME)
    return rows[-1] if rows else None


def unsettled_orders(ledger: Ledger) -> list[dict[str, object]]:
    """Orders that were sent and whose end the ledger does not know, by session and id; `in_doubt`: without an answer."""
    newest: dict[str, Entry] = {}
    for event in ledger.entries("order_event"):
        newest[event.key.rsplit("/", 1)[0]] = event
    final = {entry.key for entry in ledger.entries("order_final")}
    found: list[dict[str, object]] = []
    for name, event in newest.items():
        state = OrderState(str(event.body["state"]))
        if state in TERMINAL_STATES or name in final:
            continue
        intent = ledger.get("order_intent", name)
        told = {} if intent is None else {k: intent.body[k] for k in ("session", "instrument", "side", "quantity")}
        found.append({"client_order_id": name, **told, "state": state.value, "in_doubt": state in IN_DOUBT})
    return sorted(found, key=lambda row: (str(row.get("session", "")), str(row["client_order_id"])))


def reconcile_now() -> dict[str, object]:
    """Our newest positions against the broker's at their cutoff. Raises UsageError before the first session, BrokerError."""
    lake = existing_lake()
    row = newest_row(lake, "positions")
    if row is None:
        raise UsageError(f"no positions yet in {lake.home}; run `marketbot run` first")
    frame = _compared(lake, row)
    breaks = int((frame["outcome"] == "break").sum())
    at = cutoff_of(lake.ledger, dt.date.fromisoformat(row.part))
    rows = frame.to_dict("records")
    return {"session": row.part, "cutoff_at": at, "rows": rows, "breaks": breaks, "clean": breaks == 0}


def _compared(lake: "Lake", row: "IndexRow") -> "pd.DataFrame":
    from marketbot_assets.book.frames import valuation_of
    from marketbot_assets.book.reconciliation import reconcile
    from marketbot_assets.ingestion.snapshot import snapshot_frame
    from marketbot_resources.wiring import BrokerResource, Ports

    cutoff = cutoff_of(lake.ledger, dt.date.fromisoformat(row.part))
    listed = lake.index.newest("instruments", row.part)
    if cutoff is None or listed is None:
        raise StoreError(f"session {row.part}: expected its cutoff and instruments, found none; run `marketbot doctor`")
    report = BrokerResource().open(load_mandate(), Ports()).report(cutoff, cutoff)
    value = valuation_of(lake.load(row))
    frame = reconcile(
        value.holdings,
        snapshot_frame(report, cutoff, "off", "", ()),
        nav=value.nav,
        fx=value.rates,
        known_instruments=frozenset(lake.load(listed)["instrument"]),
    )
    return _with_explained(lake, row.part, frame)


def _with_explained(lake: "Lake", part: str, frame: "pd.DataFrame") -> "pd.DataFrame":
    """What the session's reconciliation explained by events of the broker stays explained while both amounts stand."""
    stored = lake.index.newest("reconciliation", part)
    if stored is None:
        return frame
    known = lake.load(stored)
    explained = {
        (row.kind, row.key, row.ours, row.broker): row.message
        for row in known[known["outcome"] == "explained"].itertuples(index=False)
    }
    keys = list(zip(frame["kind"], frame["key"], frame["ours"], frame["broker"], strict=True))
    outcomes = ["explained" if key in explained else old for key, old in zip(keys, frame["outcome"], strict=True)]
    messages = [explained.get(key, old) for key, old in zip(keys, frame["message"], strict=True)]
    return frame.assign(outcome=outcomes, message=messages)


def reconcile_lines(view: dict[str, object]) -> list[str]:
    """The comparison as a table for people."""
    rows = view["rows"]
    assert isinstance(rows, list)
    lines = [f"{'kind':<10}{'key':<14}{'ours':>16}{'broker':>16}{'difference':>14}  outcome"]
    for row in rows:
        ours, broker, difference = (plain(row[name]) for name in ("ours", "broker", "difference"))
        told = f"{row['outcome']}  {row['message']}".rstrip()
        lines.append(f"{row['kind']:<10}{row['key']:<14}{ours:>16}{broker:>16}{difference:>14}  {told}")
    word = "book and broker agree" if view["clean"] else f"{view['breaks']} breaks: compare with the broker's statement"
    return [*lines, f"session {view['session']}: {word}"]
