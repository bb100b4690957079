"""Sending a session's batch: what the last-line gate knows, the order protocol, the end state. Used by `submissions` alone.

Not here: the gate (`execution.gate`), the protocol (`marketbot_resources.broker.sending`), the verdict (the risk stage).
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from marketbot_assets.session_facts import SITUATION_DEPS, open_orders, situation
from marketbot_resources.broker.cancelling import cancel_open
from marketbot_resources.broker.desk import Timing
from marketbot_resources.broker.following import follow_sent
from marketbot_resources.broker.sending import SendReport, send_batch
from marketbot_resources.broker.settling import Baseline
from marketbot_resources.clock import Clock, machine_now
from marketbot_resources.errors import Equivocation, HaltError, SessionRefused, SignerRefused
from marketbot_resources.halt import HaltSwitch
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.record import Json
from marketbot_resources.live_permission import permitted_environment
from marketbot_resources.model import BrokerPort, HaltLevel, Kind, Order
from marketbot_resources.notary import NotaryPort
from marketbot_resources.order_slices import is_slice
from marketbot_resources.sessions import end_state, frozen_batch, record_end
from marketbot_resources.store.reader import Reader

if TYPE_CHECKING:
    import pandas as pd

    from marketbot_assets.execution.gate_facts import GateFacts

SUBMIT_DEPS = [*SITUATION_DEPS, "order_plan", "risk_verdict", "orders", "decision_record"]
REASONS_SHOWN = 3
ENDS = {"REJECTED": "rejected", "HALT": "halted"}


@dataclass(frozen=True, slots=True)
class Desk:
    """The ports that sending needs. `home`: of the store and its ledger; without it no live money moves."""

    ledger: Ledger
    broker: BrokerPort
    clock: Clock
    halt: HaltSwitch
    notary: NotaryPort
    home: Path | None = None


def submit(read: Reader, desk: Desk) -> "pd.DataFrame":
    """Sends what may be sent and records how the session ended; returns SUBMISSIONS rows.

    Raises HaltError when no batch of this session is frozen or the ledger's head is not signed: then nothing is sent (RC-84).
    """
    from marketbot_assets.execution.submission_frame import submission_frame
    from marketbot_assets.portfolio.order_frame import orders_from_frame
    from marketbot_assets.risk.schema import APPROVED
    from marketbot_assets.risk.verdict_frame import verdict_of

    ended = end_state(desk.ledger, read.session)
    if ended is not None and ended.state == "skipped":
        raise SessionRefused(f"session {read.session}: it was skipped ({ended.reason}); nothing is sent")
    verdict, orders = read.read("risk_verdict"), orders_from_frame(read.read("orders"))
    frozen = frozen_batch(desk.ledger, read.mandate().account.id, read.session)
    if frozen is None or read.read("decision_record").empty:
        raise HaltError(f"session {read.session}: expected a frozen batch in the ledger, found none; nothing is sent")
    if orders:
        notarize(desk)
    report = _send(read, desk, orders, str(frozen.body["batch_sha256"]))
    if orders:
        mandate, at = read.mandate(), desk.clock.sending(read.session)
        follow_sent(desk.ledger, desk.broker, mandate.account.id, at, desk.halt, closed=mandate.calendar.closed)
    all_go = desk.halt.read().word == HaltLevel.CANCEL_ALL.value
    left = cancel_everything(desk, read.session) if all_go else ""
    word = verdict_of(verdict)
    outcome = report.end_state() if word == APPROVED else (ENDS[word], why(verdict))
    if not report.waiting and desk.ledger.get("session_end", read.part) is None:
        facts: dict[str, Json] = {
            "verdict": word,
            "orders": len(orders),
            "batch_sha256": str(frozen.body["batch_sha256"]),
        }
        record_end(desk.ledger, read.session, outcome[0], outcome[1] + left, facts)
    return submission_frame(orders, report.outcomes)


def cancel_everything(desk: Desk, session: dt.date) -> str:
    """Ends every open order, within a minute, by the broker's own report; what is left and what to do, or empty."""

    def wait(seconds: float) -> dt.datetime:
        desk.clock.wait(seconds)
        return desk.clock.sending(session)

    left = cancel_open(desk.ledger, desk.broker, desk.clock.sending(session), wait=wait).left
    named = ", ".join(left[:REASONS_SHOWN])
    return f"; cancel-all: the broker still works {named}; again: marketbot halt --level cancel-all" if left else ""


def notarize(desk: Desk) -> None:
    """Signs the ledger's head before the first order leaves. A signer or anchor that knows another history halts trading."""
    try:
        desk.notary.checkpoint()
    except (SignerRefused, Equivocation) as error:
        desk.halt.set(f"the ledger's head was refused: {error}")
        raise


def why(verdict: "pd.DataFrame") -> str:
    """The controls that spoke loudest, with their reasons."""
    from marketbot_resources.model import Status

    rows = verdict[verdict["kind"] == "CONTROL"]
    loud = rows[[Status[str(name)] > Status.WARN for name in rows["status"]]]
    rank = [-int(Status[str(name)]) for name in loud["status"]]
    ordered = loud.assign(rank=rank).sort_values(["rank", "key"])
    return "; ".join(f"{row.control} {row.message}" for row in ordered.head(REASONS_SHOWN).itertuples())


def _send(read: Reader, desk: Desk, orders: Sequence[Order], frozen_sha256: str) -> SendReport:
    from marketbot_assets.execution.gate import faults

    session = read.session
    _read_what_the_gate_reads(read, desk.ledger)

    def now() -> dt.datetime:
        return desk.clock.sending(session)

    def gate(wave: Sequence[Order]) -> tuple[str, ...]:
        return faults(wave, gate_facts(read, desk, orders, frozen_sha256, now()))

    mandate, held = read.mandate(), positions_held(read)
    return send_batch(
        desk.ledger,
        desk.broker,
        orders,
        account=mandate.account.id,
        session=session,
        timing=Timing(now, desk.clock.wait, machine_now),
        halt=desk.halt.read,
        gate=gate,
        resend=Baseline(read.cutoff, held) if mandate.broker.resend else None,
    )


def positions_held(read: Reader) -> dict[str, Decimal]:
    """Shares per instrument that the session was decided upon."""
    snapshot = read.read("account_snapshot")
    held = snapshot[snapshot["kind"] == "POSITION"]
    return dict(zip(held["instrument"], held["quantity"], strict=True))


def _read_what_the_gate_reads(read: Reader, ledger: Ledger) -> None:
    """So that the manifest is the same whether something was left to send or a run before had sent it all."""
    for asset in ("risk_verdict", "order_plan", "account_snapshot", "instruments"):
        read.read(asset)
    situation(read, ledger)


def gate_facts(read: Reader, desk: Desk, orders: Sequence[Order], frozen_sha256: str, now: dt.datetime) -> "GateFacts":
    """What the last-line gate judges on: the plan's prices, the account as it was decided upon and as it is now."""
    from marketbot_assets.execution.gate_facts import GateFacts

    verdict, plan, snapshot = (read.read(name) for name in ("risk_verdict", "order_plan", "account_snapshot"))
    held = positions_held(read)
    known, rows = situation(read, desk.ledger), read.read("instruments")
    batch = verdict[verdict["kind"] == "BATCH"]
    report = desk.broker.report(read.cutoff, now)
    homes = (desk.home, desk.halt.home)
    permitted, _ = permitted_environment(desk.ledger, read.mandate(), read.session, now, homes)
    ages = dict(zip(known.market.window.instruments, map(float, known.market.price_age), strict=True))
    stale = known.market.stale_currencies
    legs = {order.instrument: float("nan") if order.currency in stale else 0.0 for order in orders if _is_leg(order)}
    own: dict[str, Decimal] = {}
    for fill in report.executions:
        if fill.kind is Kind.EQUITY and desk.ledger.get("order_intent", fill.client_order_id) is not None:
            own[fill.instrument] = own.get(fill.instrument, Decimal(0)) + fill.side.sign * fill.quantity
    return GateFacts(
        session=read.session,
        now=now,
        verdict=str(batch["verdict"].iloc[0]),
        approved_sha256=str(batch["batch_approved_sha256"].iloc[0]),
        frozen_sha256=frozen_sha256,
        halt_status=desk.halt.read().word,
        nav=known.account.nav,
        reference_price={
            str(name): float(price) for name, price in zip(plan["instrument"], plan["reference_price"], strict=True)
        },
        fx=known.market.fx_rates,
        price_age={**ages, **legs},
        decided_positions=held,
        broker_positions=dict(report.positions),
        open_orders=tuple(o for o in report.open_orders if o.client_order_id not in _whole(orders)),
        already_sent=frozenset(o.client_order_id for o in open_orders(snapshot)),
        known_instruments=frozenset(rows["instrument"]),
        own_fills=own,
        batch=tuple(orders),
        environment=report.environment,
        permitted_environment=permitted,
        broker_at=report.broker_at or report.as_of_at,
    )


def _is_leg(order: Order) -> bool:
    return order.kind is Kind.FX


def _whole(orders: Sequence[Order]) -> frozenset[str]:
    """The batch's own orders but for slices, which count against what the rest of their parent may still sell or take."""
    return frozenset(order.client_order_id for order in orders if not is_slice(order.leg))
