"""What parity reads of a home: the versions a live session rests on, where the loop starts from, what was recorded of the day.

Live tables are read through readers that are bound to the versions which the session's decision names; the data of the backtest
are the newest versions there are. Not here: the comparison (`research.parity`), its run (`parity_runs`).
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from marketbot_assets import session_facts as facts
from marketbot_assets.operations import (
    DRIFT_SESSIONS,
    alerts_unheard,
    answers,
    beats_unheard,
    flight,
    permitted,
    recorded_orders,
)
from marketbot_assets.operations import model_state as state_of_model
from marketbot_assets.panels import MARKET_DEPS
from marketbot_assets.rebuild import PLANS_WATCHED, weighed_views
from marketbot_assets.replay_versions import inputs_of
from marketbot_resources.errors import StoreError
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.record import Entry
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import AccountReport, Order, OrderState, order_from_record
from marketbot_resources.sessions import (
    book_cutoff_before,
    decided_before,
    frozen_batch,
    is_skipped,
    order_events,
)
from marketbot_resources.store.reader import Reader

if TYPE_CHECKING:
    import pandas as pd

    from marketbot_assets.research.circumstances import Circumstances
    from marketbot_assets.research.history import History, Tables
    from marketbot_assets.research.loop import Running
    from marketbot_resources.paper import PaperAccount
    from marketbot_resources.store.lake import Lake

DATA = ("prices", "corporate_actions", "fx", "macro", "fundamentals")
LIVE = (
    *("account_snapshot", "fills", "positions", "reconciliation", "book_state", "data_quality", "opening_balance"),
    *("features", "return_model", "forecasts", "llm_answers", "llm_context", "llm_evidence", "cost_calibration"),
    *("target_portfolio", "order_plan", "risk_verdict", "orders"),
)
PARITY_DEPS = tuple(dict.fromkeys((*MARKET_DEPS, "instrument_history", "fundamentals", "fundamentals_history", *LIVE)))
BATCHES_KEPT = 30  # as the loop
LIVE_CLOCK, MOMENT = "live", dt.timedelta(microseconds=1)
Pins = dict[tuple[str, str], str]


def decided_sessions(ledger: Ledger) -> list[dt.date]:
    """Sessions that were decided, whatever the verdict, oldest first."""
    keys = sorted(entry.key for entry in ledger.entries("decision"))
    return [dt.date.fromisoformat(key) for key in keys if not is_skipped(ledger, key)]


def pins_of(lake: "Lake", decision: Entry) -> Pins:
    """(asset, partition) -> manifest of every version that a decision read, directly or through what its session made.

    Raises StoreError when a version or its manifest is gone: then nothing can be said of the session.
    """
    part, found = decision.key, Pins()
    named = decision.body.get("manifests")
    if not isinstance(named, Mapping) or not named:
        raise StoreError(f"session {part}: expected a decision that names its versions, found none")
    waiting = [(str(asset), str(digest)) for asset, digest in named.items()]
    while waiting:
        asset, digest = waiting.pop()
        if found.get((asset, part)) == digest:
            continue
        found[asset, part] = digest
        row = lake.index.by_manifest(asset, part, digest)
        if row is None:
            raise StoreError(f"{asset} {part}: expected the version that the decision names, found none")
        for item in inputs_of(lake.manifest(row)):
            if item["partition"] == part:
                waiting.append((item["asset"], item["manifest_sha256"]))
            else:
                found[item["asset"], item["partition"]] = item["manifest_sha256"]
    return found


def tables_of(read: Reader, listings: "Mapping[dt.date, pd.DataFrame] | None" = None) -> "Tables":
    """Everything that a reader knows of the market up to its session, whatever day it describes.

    `listings`: of each session that will be asked for; without them the reader's session alone is.
    """
    from marketbot_assets.research.history import Tables

    prices, actions, fx, macro, filed = (read.panel(name) for name in DATA)
    instruments = read.read("instruments")
    return Tables(instruments, prices, actions, fx, macro, filed, listings or {read.session: instruments})


def recorded_report(read: Reader) -> AccountReport:
    """What the broker was heard to say at the session's cutoff."""
    from marketbot_assets.book.fills import executions_of
    from marketbot_assets.book.reconciliation import broker_holdings

    snapshot = read.read("account_snapshot")
    shares, cash = broker_holdings(snapshot)
    broker = snapshot[snapshot["kind"] == "BROKER"]
    return AccountReport(
        as_of_at=read.cutoff,
        cash=cash,
        positions=shares,
        open_orders=facts.open_orders(snapshot),
        executions=executions_of(read.read("fills")),
        events=(),
        environment=str(broker["text"].iloc[0]) if len(broker) == 1 else "",
        broker_at=broker["at"].iloc[0].to_pydatetime() if len(broker) == 1 else None,
    )


def account_before(read: Reader, ledger: Ledger, mandate: Mandate, tables: "Tables") -> "PaperAccount":
    """A paper account that holds what the broker held after the session before, with the orders that it worked then."""
    from marketbot_assets.book.reconciliation import broker_holdings
    from marketbot_assets.research.loop import market_of
    from marketbot_resources.model import order_record, plain, utc_text
    from marketbot_resources.paper import PaperAccount
    from marketbot_resources.paper_order import WorkingOrder, due_in, working_record

    market = market_of(tables, mandate)
    opened, snapshot = book_cutoff_before(ledger, read.session), read.previous("account_snapshot")
    if snapshot is None:
        held = facts.held_before(read).holdings
        return PaperAccount(mandate, market, cash=held.cash, shares=held.shares, opened_at=opened)
    shares, cash = broker_holdings(snapshot)
    working, orders = {}, {}
    for open_order in facts.open_orders(snapshot):
        entry = ledger.get("order_intent", open_order.client_order_id)
        order = None if entry is None else order_from_record(entry.body)
        at = None if order is None else sent_at(ledger, order)
        if order is None or at is None:
            continue  # by nobody's intent: the recorded account has it, the model has not
        session, due = due_in(order, at, mandate.calendar.closed)
        worked = WorkingOrder(order, at, session, due)
        told = working_record(worked) | {"quantity": str(open_order.remaining)}
        told |= {} if open_order.limit_price is None else {"limit_price": str(open_order.limit_price)}
        working[order.client_order_id] = told
        orders[order.client_order_id] = {"received": order_record(order), "state": "ACKED", "reason": ""}
    record = {
        "instant": utc_text(opened),
        "cash": {name: str(amount) for name, amount in sorted(cash.items())},
        "shares": {name: plain(count) for name, count in sorted(shares.items())},
        "working": working,
        "orders": orders,
    }
    account = PaperAccount.from_record(record, mandate, market)
    before = MOMENT if mandate.providers.clock == LIVE_CLOCK else MOMENT * 0
    for at, order in sent_before(read, ledger, mandate):
        account.advance(at - before)  # the gate looks at the account, on the live clock earlier than it sends
        account.submit(order, at)
    return account


def sent_before(read: Reader, ledger: Ledger, mandate: Mandate) -> list[tuple[dt.datetime, Order]]:
    """(when, order) of what the decided session before handed to the broker, by time and then in the order of its batch."""
    before = decided_before(ledger, read.session)
    batch = None if before is None else frozen_batch(ledger, mandate.account.id, dt.date.fromisoformat(before.key))
    sent = [(sent_at(ledger, order), order) for order in orders_of(ledger, batch)]
    return sorted(((at, order) for at, order in sent if at is not None), key=lambda pair: pair[0])


def sent_at(ledger: Ledger, order: Order) -> dt.datetime | None:
    """When an order was first handed to the broker; None when it never was."""
    events = order_events(ledger, order.client_order_id)
    sent = [str(event.body["at"]) for event in events if event.body["state"] == OrderState.SENDING.value]
    return dt.datetime.fromisoformat(sent[0]) if sent else None


def orders_of(ledger: Ledger, batch: Entry | None) -> list[Order]:
    """The orders of a frozen batch, as recorded before they were sent."""
    told = [] if batch is None else batch.body["orders"]
    assert isinstance(told, Sequence)
    names = [str(order["client_order_id"]) for order in told if isinstance(order, Mapping)]
    known = recorded_orders(ledger, names)
    return [known[name] for name in names if name in known]


def running_before(read: Reader, ledger: Ledger, mandate: Mandate, history: "History") -> "Running":
    """The loop's state as the live book left it after the session before, or as it opened."""
    from marketbot_assets.book.fills import executions_of
    from marketbot_assets.insight.return_model import from_frame
    from marketbot_assets.research.loop import Running
    from marketbot_assets.research.operations import Past
    from marketbot_assets.risk.breaches import breaches_of
    from marketbot_assets.risk.feature_drift import section_of
    from marketbot_assets.risk.verdict_frame import trades_of

    previous, verdict = read.previous("return_model"), read.previous("risk_verdict")
    model = None if previous is None else from_frame(previous)
    age = 0 if model is None else read.sessions_since(mandate.calendar, model.fitted_on)
    frozen = [e for e in ledger.entries("batch_frozen", f"{mandate.account.id}/") if e.key.split("/")[-2] < read.part]
    newest = sorted(frozen, key=lambda entry: entry.key)[-BATCHES_KEPT:]
    batches = tuple(tuple(orders_of(ledger, entry)) for entry in newest)
    plans = read.each("order_plan", PLANS_WATCHED, with_session=False)
    told = [frame for day, frame in read.each("fills", PLANS_WATCHED) if day != read.session]
    return Running(
        held=facts.held_before(read),
        state=facts.previous_state(read),
        model=model,
        fitted=history.sessions.index(read.session) - age,
        planned={order.client_order_id: order.quantity for batch in batches for order in batch},
        forecasts=read.previous("forecasts"),
        past=Past(
            batches=batches,
            expected=tuple(
                dict(zip(plan["client_order_id"], map(float, plan["cost_bps"]), strict=True)) for _, plan in plans
            ),
            fills=tuple(executions_of(frame) for frame in told),
            answers=tuple(answers(read, ledger, mandate)),
            features=tuple(section_of(frame) for _, frame in read.each("features", DRIFT_SESSIONS, with_session=False)),
            breaches=() if verdict is None else breaches_of(verdict),
            trades=() if verdict is None else trades_of(verdict),
            days=0 if verdict is None else 1,
        ),
    )


def circumstances_of(read: Reader, ledger: Ledger, mandate: Mandate, spec_sha256: str) -> "Circumstances":
    """What was recorded of the session beside data and account. `mandate`: of the backtest; `spec_sha256`: of its model."""
    from marketbot_assets.book.reconciliation import is_clean, locked_names
    from marketbot_assets.insight.lead import lead_of
    from marketbot_assets.insight.view_weight import NO_LEANING, counted, leaning_of
    from marketbot_assets.portfolio.market_facts import quarantined_names
    from marketbot_assets.research.circumstances import Circumstances
    from marketbot_assets.risk.build import breaks_of, halts_of, strangers
    from marketbot_assets.risk.trade_build import differences

    snapshot, quality = read.read("account_snapshot"), read.read("data_quality")
    compared, listed = read.read("reconciliation"), read.read("instruments")
    others, silence = flight(read, ledger, mandate)
    lead = lead_of(read.read("return_model"))
    asks = mandate.llm is not None and read.mandate().llm is not None
    leaning = leaning_of(weighed_views(read), read.read("llm_context"), listed, mandate) if asks else NO_LEANING
    _, _, sent = facts.order_record_of(read, ledger, snapshot)
    return Circumstances(
        reconciliation=compared,
        clean=is_clean(compared),
        operator=bool((snapshot["kind"] == "OPERATOR").any()),
        quoted=facts.stop_hits_of(snapshot),
        closed=quarantined_names(quality[~quality["rule"].isin(rules_on_bars())], tuple(listed["instrument"])),
        breaks=breaks_of(compared),
        locked=locked_names(compared),
        halt_flag=str(snapshot.loc[snapshot["kind"] == "HALT_FLAG", "text"].iloc[0]).split(":")[0],
        quality_halts=halts_of(quality),
        unknown_instruments=strangers(snapshot, listed),
        sent=sent,
        price_difference=differences(quality),
        multiples=facts.multiples(read),
        leaning=leaning,
        decided=facts.newest_decided(ledger, read.session),
        other_sessions=others,
        heartbeat_sessions=silence,
        permitted_environment=permitted(read, ledger, mandate),
        llm=counted(read.read("llm_answers")) if asks else (0, 0),
        alerts_unheard=alerts_unheard(read, ledger, mandate),
        beats_unheard=beats_unheard(read, ledger, mandate),
        model_state=state_of_model(read, ledger, mandate, spec_sha256),
        lead=lead,
        champion_state=state_of_model(read, ledger, mandate, "" if lead is None else lead.spec),
    )


def rules_on_bars() -> frozenset[str]:
    """Rules whose findings a bar carries as its own flag, so that whoever has the bar knows of them."""
    from marketbot_assets.normalization.rules import RULES

    return frozenset(rule.name for rule in RULES.values() if rule.subject == "bar")


def stored_content(lake: "Lake", pins: Mapping[tuple[str, str], str], asset: str, part: str) -> str:
    """Content hash of the version that the decision read; empty when it read none."""
    row = lake.index.by_manifest(asset, part, pins[asset, part]) if (asset, part) in pins else None
    return "" if row is None else row.content_sha256


def weights_of(frame: "pd.DataFrame") -> dict[str, float]:
    """Instrument -> rounded target weight of TARGET_PORTFOLIO rows, cash left out."""
    pairs = zip(frame["instrument"], frame["weight_target"], strict=True)
    return {str(name): float(weight) for name, weight in pairs if name != "CASH"}
