"""What must hold after every step, measured against the broker's own books: I1 to I8. A breach names the invariant and the facts.

Every number here is worked out anew from the twin's log and the world's prices; nothing is taken from our book but what is judged.
"""

import datetime as dt
import hashlib
from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal

from sim_platform import Kept, Simulated
from sim_world import LISTINGS

from marketbot_resources.ledger.examine import first_fault
from marketbot_resources.ledger.record import canonical_json
from marketbot_resources.model import AccountEvent, Execution, Kind, Order, OrderState, Side, order_record
from marketbot_resources.sessions import cutoff_of, end_state, frozen_batch, order_state

CENT = Decimal("0.01")
ORDER_MAX, BUYS_MAX, NAME_BUY_MAX, POSITION_MAX = (Decimal(x) for x in ("0.06", "0.16", "0.032", "0.05"))
ROUNDING = Decimal("1e-9")


class Violation(AssertionError):
    """An invariant does not hold."""


def demand(holds: bool, invariant: str, told: str) -> None:
    """Raises Violation unless it holds."""
    if not holds:
        raise Violation(f"{invariant}: {told}")


def replayed(
    log: Sequence[tuple[dt.datetime, Execution | AccountEvent]], opening: Decimal, until: dt.datetime | None = None
) -> tuple[dict[str, Decimal], dict[str, Decimal]]:
    """(shares, cash) that a log of fills and events leaves, each execution once; zeros left out."""
    shares: dict[str, Decimal] = {}
    cash = {"USD": opening}
    seen: set[str] = set()

    def add(book: dict[str, Decimal], key: str, amount: Decimal) -> None:
        book[key] = book.get(key, Decimal(0)) + amount

    for at, fact in log:
        if until is not None and at > until:
            continue
        if isinstance(fact, AccountEvent):
            add(cash, fact.currency, fact.amount)
            add(shares, fact.instrument, fact.quantity)
            continue
        assert fact.execution_id not in seen, "the twin books an execution once"
        seen.add(fact.execution_id)
        bought = fact.quantity if fact.side is Side.BUY else -fact.quantity
        paid = (fact.quantity * fact.price).quantize(CENT, rounding=ROUND_HALF_EVEN)
        paid = paid if fact.side is Side.BUY else -paid
        add(
            cash if fact.kind is Kind.FX else shares, fact.currency if fact.kind is Kind.FX else fact.instrument, bought
        )
        add(cash, "USD" if fact.kind is Kind.FX else fact.currency, -paid - fact.fee - fact.tax)
    return {k: v for k, v in shares.items() if v}, {k: v for k, v in cash.items() if v}


class Invariants:
    """Watches one simulation."""

    def __init__(self, sim: Simulated) -> None:
        self._sim, self._twin, self._ledger = sim, sim.twin, sim.ledger
        self._attempts, self._rows, self._batches = 0, 0, 0
        self._leaves: list[bytes] = []
        self._open_fees = Decimal(0)
        self._fees_seen: set[str] = set()

    # --- after every attempt ---

    def step(self, session: dt.date) -> None:
        """After every attempt, whether it ended or died."""
        self.no_duplicate()
        self.every_order_is_approved()
        self.twin_is_whole()
        self.ledger_grows()

    def no_duplicate(self) -> None:
        """I1: the broker accepted no order of one id twice."""
        twice = {name: count for name, count in self._twin.accepted.items() if count > 1}
        demand(not twice, "I1", f"orders accepted more than once: {twice}")

    def every_order_is_approved(self) -> None:
        """I4: what reached the broker stands in a frozen batch with an APPROVED verdict, field by field, and SENDING came first."""
        for order, at in self._twin.attempts[self._attempts :]:
            name = order.client_order_id
            meddled = self._sim.meddled.get(order.session)
            demand(
                meddled is None or at < meddled, "G6", f"{name} was sent after the account had moved since the decision"
            )
            demand(name not in self._twin.sent_while_halted, "HALT", f"{name} was sent while the halt flag was on")
            batch = frozen_batch(self._ledger, self._sim.mandate.account.id, order.session)
            demand(
                batch is not None and batch.body["verdict"] == "APPROVED",
                "I4",
                f"{name} sent at {at} without a verdict",
            )
            assert batch is not None
            listed = [o["client_order_id"] for o in batch.body["orders"]]  # type: ignore[union-attr, index, call-overload]
            demand(name in listed, "I4", f"{name} is not of the frozen batch of {order.session}")
            intent = self._ledger.get("order_intent", name)
            same = intent is not None and canonical_json(intent.body) == canonical_json(order_record(order))
            demand(same, "I4", f"{name} is not what its intent says")
            events = self._ledger.entries("order_event", f"{name}/")
            demand(
                any(e.body["state"] == "SENDING" for e in events), "I4", f"{name} was sent before SENDING was durable"
            )
        self._attempts = len(self._twin.attempts)

    def twin_is_whole(self) -> None:
        """I2, I3: the broker's positions and cash are the sums of its fills and events, to the cent."""
        shares, cash = replayed(self._twin.log, self._twin.opening)
        if not self._twin.wrong:
            theirs = {name: quantity for name, quantity in self._twin.shares.items() if quantity}
            demand(shares == theirs, "I2", f"fills make {shares}, the broker holds {theirs}")
        theirs = {name: amount for name, amount in self._twin.cash.items() if amount}
        demand(cash == theirs, "I3", f"fills make {cash}, the broker has {theirs}")

    def ledger_grows(self) -> None:
        """I6: every new row hashes to its leaf and nothing is missing between them."""
        for row in self._ledger.rows(self._rows):
            leaf = hashlib.sha256(b"\0" + row.record).digest()
            demand(
                row.seq == self._rows and leaf == row.leaf,
                "I6",
                f"entry {row.seq} where {self._rows} was due, or another leaf",
            )
            self._leaves.append(leaf)
            self._rows += 1

    # --- after every session ---

    def session(self, session: dt.date) -> None:
        """After the last attempt at a session."""
        kept = self._sim.store.get("book", session)
        cutoff = cutoff_of(self._ledger, session)
        sent = {o.client_order_id: o for o, _ in self._twin.attempts if o.session == session}
        if kept is None or cutoff is None:
            demand(not sent, "I4", f"orders of {session} without a decision: {sorted(sent)}")
            return
        assert isinstance(kept, Kept)
        self.monotone(kept)
        self.book_is_true(kept, cutoff, bool(sent))
        if sent:
            demand(
                set(sent.values()) <= set(kept.decision.batch), "I4", f"orders of {session} beyond the approved batch"
            )
            self.within_limits(session, list(sent.values()), cutoff)

    def monotone(self, kept: Kept) -> None:
        """I7: the verdict makes no order larger, adds none and turns none round."""
        judgement = kept.decision.judgement
        planned = {o.client_order_id: o for o in judgement.planned}
        for order in judgement.approved:
            before = planned.get(order.client_order_id)
            holds = before is not None and (before.instrument, before.side) == (order.instrument, order.side)
            demand(
                holds and 0 < order.quantity <= before.quantity,
                "I7",
                f"{order.client_order_id}: {before} became {order}",
            )  # type: ignore[union-attr]
        demand(judgement.verdict == "APPROVED" or not judgement.approved, "I7", f"{judgement.verdict} with orders")

    def book_is_true(self, kept: Kept, cutoff: dt.datetime, sent: bool) -> None:
        """I2, I3: a book that calls itself reconciled is the broker's, to the cent but for fees it has still to take.

        A book that is not the broker's sends nothing.
        """
        shares, cash = replayed(self._twin.log, self._twin.opening, cutoff)
        for at, fact in self._twin.log:
            if (
                isinstance(fact, AccountEvent)
                and fact.kind == "FEE"
                and at <= cutoff
                and fact.event_id not in self._fees_seen
            ):
                self._fees_seen.add(fact.event_id)
                self._open_fees -= fact.amount
        ours = kept.held.holdings
        difference = ours.cash.get("USD", Decimal(0)) - cash.get("USD", Decimal(0))
        same_cash = difference in (Decimal(0), self._open_fees) and _other(ours.cash) == _other(cash)
        if difference == 0:
            self._open_fees = Decimal(0)
        true = dict(ours.shares) == shares and same_cash and not self._sim.wrong_at.get(kept.session, False)
        if kept.clean:
            demand(true, "I2/I3", f"{kept.session}: reconciled, but we hold {ours}, the broker {shares} and {cash}")
        if sent:
            demand(kept.clean and true, "F09", f"{kept.session}: orders were sent on a book that is not the broker's")

    def within_limits(self, session: dt.date, orders: Sequence[Order], cutoff: dt.datetime) -> None:
        """I5: the orders that left keep the hard limits of the mandate on the broker's own account; drift may be over, buys not."""
        shares, cash = replayed(self._twin.log, self._twin.opening, cutoff)
        world = self._sim.world
        fx = {"USD": Decimal(1), "EUR": world.eur(session)}
        worth = {name: world.close(name, session) * fx[LISTINGS[name][1]] for name in LISTINGS}
        nav = sum((quantity * worth[name] for name, quantity in shares.items()), Decimal(0))
        nav += sum((amount * fx[currency] for currency, amount in cash.items()), Decimal(0))
        bought = Decimal(0)
        for order in orders:
            if order.kind is Kind.FX:
                continue
            assert order.limit_price is not None
            value = order.quantity * order.limit_price * fx[order.currency] / nav
            demand(
                value <= ORDER_MAX + ROUNDING, "I5", f"{order.client_order_id}: {value:.4f} of NAV, limit {ORDER_MAX}"
            )
            held = shares.get(order.instrument, Decimal(0))
            if order.side is Side.SELL:
                demand(order.quantity <= held, "I5", f"{order.client_order_id} sells {order.quantity} of {held}")
                continue
            at_close = order.quantity * worth[order.instrument] / nav
            after = held * worth[order.instrument] / nav + at_close
            demand(
                at_close <= NAME_BUY_MAX + ROUNDING,
                "I5",
                f"{order.client_order_id} buys {at_close:.4f} of NAV of a name",
            )
            demand(after <= POSITION_MAX + ROUNDING, "I5", f"{order.instrument} would be {after:.4f} of NAV")
            bought += at_close
        demand(bought <= BUYS_MAX + ROUNDING, "I5", f"buys of {bought:.4f} of NAV, limit {BUYS_MAX}")

    # --- in quiet weather, and at the end ---

    def alive(self, session: dt.date) -> None:
        """I8: soon after the last fault the book is reconciled, no order is in doubt, the session ended by its verdict."""
        kept, ended = self._sim.store.get("book", session), end_state(self._ledger, session)
        why = [] if not isinstance(kept, Kept) else [
            f"{r.control} {r.message}" for r in kept.decision.judgement.results if r.status > 1
        ]  # fmt: skip
        demand(
            isinstance(kept, Kept) and kept.clean, "I8", f"{session} is not reconciled: {why} {self._sim.refusals[-2:]}"
        )
        good = ended is not None and ended.state in ("sent", "rejected")
        demand(good, "I8", f"{session} ended {ended}: {why} {self._sim.refusals[-2:]}")
        frozen = self._ledger.entries("batch_frozen")
        known, self._batches = self._batches, len(frozen)
        for batch in frozen[known:]:
            for order in batch.body["orders"]:  # type: ignore[union-attr]
                state = order_state(self._ledger, str(order["client_order_id"]))  # type: ignore[index, call-overload]
                doubt = state in (OrderState.SENDING, OrderState.UNKNOWN)
                doubt = doubt and self._ledger.get("order_final", str(order["client_order_id"])) is None  # type: ignore[index, call-overload]
                demand(not doubt, "I8", f"{order} of {batch.key} is in doubt: {state}")

    def whole(self) -> None:
        """I6, at the end: every record, node and number examined, and the root by the definition of RFC 6962."""
        self.ledger_grows()
        fault = first_fault(self._ledger)
        demand(fault is None, "I6", f"the ledger does not verify: {fault}")
        size, root = self._ledger.head()
        demand(
            (size, root) == (len(self._leaves), naive_root(self._leaves).hex()),
            "I6",
            f"root of {size} entries is another",
        )


def naive_root(leaves: Sequence[bytes]) -> bytes:
    """Merkle tree hash of RFC 6962, 2.1, by its definition."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return hashlib.sha256(b"\1" + naive_root(leaves[:k]) + naive_root(leaves[k:])).digest()


def _other(cash: dict[str, Decimal]) -> dict[str, Decimal]:
    return {name: amount for name, amount in cash.items() if name != "USD" and amount}
