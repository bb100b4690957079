"""Whether book and broker agree, and which orders are not settled: `reconcile`; `status` and `resume` ask here, too.

Not here: the comparison itself (`book.reconciliation`), the reconciliation of a session (the asset of that name).
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from marketbot_assets.commands.home import existing_lake, load_mandate
from marketbot_resources.broker.order_states import IN_DOUBT
from marketbot_resources.errors import StoreError, UsageError
from marketbot_resources.halt import HaltSwitch
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.record import Entry
from marketbot_resources.model import TERMINAL_STATES, OrderState, plain
from marketbot_resources.sessions import cutoff_of
from marketbot_resources.store.index import END_OF_TIME

if TYPE_CHECKING:
    import pandas as pd

    from marketbot_resources.broker.following import Followed
    from marketbot_resources.heard import Working
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
    """Follows the orders, then compares our newest positions with the broker's: at their cutoff, or on the live clock now.

    What no order of ours explains (`strays`) sets the halt flag. Raises UsageError before the first session, BrokerError when
    the broker cannot be asked.
    """
    from marketbot_resources.broker.following import follow
    from marketbot_resources.wiring import BrokerResource, ClockResource, Ports

    lake = existing_lake()
    row = newest_row(lake, "positions")
    if row is None:
        raise UsageError(f"no positions yet in {lake.home}; run `marketbot run` first")
    session, mandate, clock = dt.date.fromisoformat(row.part), load_mandate(), ClockResource().open()
    cutoff = cutoff_of(lake.ledger, session)
    if cutoff is None or lake.index.newest("instruments", row.part) is None:
        raise StoreError(f"session {row.part}: expected its cutoff and instruments, found none; run `marketbot doctor`")
    at = clock.now(session) if clock.live else cutoff
    broker, halt = BrokerResource().open(mandate, Ports()), HaltSwitch(lake.home)
    followed = follow(lake.ledger, broker, mandate.account.id, at, halt=halt, closed=mandate.calendar.closed)
    # Where time stands still, what the session itself sent comes after the instant that is compared.
    working = [one for one in followed.working if clock.live or one.order.session < session]
    frame = _compared(lake, row, followed, working, at)
    breaks = int((frame["outcome"] == "break").sum())
    return {
        "session": row.part,
        "cutoff_at": cutoff,
        "compared_at": at,
        "rows": frame.drop(columns="average").to_dict("records"),
        "breaks": breaks,
        "locked": sorted(set(frame.loc[frame["outcome"] == "locked", "instrument"])),
        "open_orders": [one.order.client_order_id for one in working],
        "in_doubt": list(followed.in_doubt),
        "overdue": list(followed.overdue),
        "strays": list(followed.strays),
        "new_fills": len(followed.fills),
        "clean": breaks == 0 and not followed.strays,
    }


def _compared(
    lake: "Lake", row: "IndexRow", followed: "Followed", working: "Sequence[Working]", at: dt.datetime
) -> "pd.DataFrame":
    """RECONCILIATION rows of the book with what was heard since its cutoff, against the account as the broker tells it."""
    from marketbot_assets.book.frames import valuation_of
    from marketbot_assets.book.positions import roll_positions
    from marketbot_assets.book.reconciliation import Record, reconcile
    from marketbot_assets.ingestion.snapshot import snapshot_frame
    from marketbot_resources.broker.hearing import fills_heard, heard_after
    from marketbot_resources.model import order_from_record

    ledger, session = lake.ledger, dt.date.fromisoformat(row.part)
    listed = lake.index.newest("instruments", row.part)
    assert listed is not None, "the caller looked"
    heard = heard_after(ledger, session, followed.since, at)
    report = replace(followed.report, executions=heard.executions, events=heard.events, busts=heard.busts)
    names = {fill.client_order_id for fill in heard.executions} | {o.client_order_id for o in report.open_orders}
    names |= {one.order.client_order_id for one in working}
    intents = {name: ledger.get("order_intent", name) for name in sorted(names)}
    orders = {name: order_from_record(entry.body) for name, entry in intents.items() if entry is not None}
    ours = [fill for fill in heard.executions if fill.client_order_id in orders]
    value, base = valuation_of(lake.load(row)), load_mandate().base_currency
    holdings, _ = roll_positions(value.holdings, ours, (), base_currency=base, closes_before={})
    new = {fill.execution_id for fill in heard.executions}
    listings = lake.load(listed)
    frame = reconcile(
        holdings,
        snapshot_frame(report, at, "off", "", (), (), heard, working),
        nav=value.nav,
        fx=value.rates,
        known_instruments=frozenset(listings["instrument"]),
        record=Record(
            orders=orders,
            earlier=[fill for fill in fills_heard(ledger, followed.since, at) if fill.execution_id not in new],
            traded=frozenset(listings.loc[listings["in_universe"], "instrument"]),
            values=value.values,
        ),
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
    changed = {"outcome": "explained", "delta": "event"}
    told = {
        name: [value if key in explained else old for key, old in zip(keys, frame[name], strict=True)]
        for name, value in changed.items()
    }
    messages = [explained.get(key, old) for key, old in zip(keys, frame["message"], strict=True)]
    return frame.assign(**told, message=messages)


def reconcile_lines(view: dict[str, object]) -> list[str]:
    """The comparison as a table for people."""
    rows = view["rows"]
    assert isinstance(rows, list)
    lines = [f"{'kind':<10}{'key':<14}{'ours':>16}{'broker':>16}{'difference':>14}  outcome"]
    for row in rows:
        ours, broker, difference = (plain(row[name]) for name in ("ours", "broker", "difference"))
        word = row["outcome"] if row["outcome"] == row["delta"] else f"{row['outcome']} ({row['delta']})"
        told = f"{word}  {row['message']}".rstrip()
        lines.append(f"{row['kind']:<10}{row['key']:<14}{ours:>16}{broker:>16}{difference:>14}  {told}")
    for name, what in (
        ("in_doubt", "sent without an answer"),
        ("overdue", "open although its session is over"),
        ("strays", "halted"),
        ("locked", "no order in this name"),
    ):
        found = view[name]
        assert isinstance(found, list)
        lines += [f"{what}: {text}" for text in found]
    open_ = view["open_orders"]
    assert isinstance(open_, list)
    if open_:
        lines.append(f"{len(open_)} orders have not ended")
    word = "book and broker agree" if view["clean"] else f"{view['breaks']} breaks: compare with the broker's statement"
    return [*lines, f"session {view['session']}: {word}"]
