"""Sessions of a home decided again by the loop of the backtest, each beside what the live session stored.

The loop goes on from session to session by itself as long as nothing differs; where something does, it is put back to where the
live book stood, so that every session has its own reason. Not here: what is read (`parity_reads`), what a difference is
(`research.parity`).
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from marketbot_assets import parity_reads as reads
from marketbot_assets.parity_changes import changes_of, late_rows
from marketbot_assets.replay import FAILURES, tables
from marketbot_assets.research import parity
from marketbot_assets.session_facts import environment_of, previous_state
from marketbot_resources.calendars import computed_cutoff, previous_session
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import AccountReport, Acknowledgement, Order
from marketbot_resources.sessions import book_cutoff_before, decided_before
from marketbot_resources.store.index import Read
from marketbot_resources.store.reader import Reader

if TYPE_CHECKING:
    import pandas as pd

    from marketbot_assets.research.history import History, Tables
    from marketbot_assets.research.loop import Account, Day, Running
    from marketbot_resources.store.lake import Lake

FAILED = "backtest"


class Watched:
    """An account whose report is the recorded one where the model says something else: fills that were made are data."""

    def __init__(self, account: "Account", recorded: AccountReport) -> None:
        self._account, self._recorded = account, recorded
        self.modelled: AccountReport | None = None

    @property
    def same(self) -> bool:
        """Whether the model says what the broker said: fills, holdings, cash, open orders."""
        return self.modelled is not None and _compared(self.modelled) == _compared(self._recorded)

    def report(self, since: dt.datetime, until: dt.datetime) -> AccountReport:
        """As the broker said."""
        self.modelled = self._account.report(since, until)
        return self.modelled if self.same else self._recorded

    def advance(self, until: dt.datetime) -> None:
        """As the model."""
        self._account.advance(until)

    def submit(self, order: Order, at: dt.datetime) -> Acknowledgement:
        """As the model answers."""
        return self._account.submit(order, at)


def _compared(report: AccountReport) -> tuple[object, ...]:
    cash = {name: amount for name, amount in report.cash.items() if amount != 0}
    orders = sorted(report.open_orders, key=lambda order: order.client_order_id)
    return parity.fill_lines(report.executions), dict(report.positions), cash, orders


@dataclass(frozen=True, slots=True)
class Past:
    """What the backtest decides on: a mandate and the tables as known at some time."""

    mandate: Mandate
    tables: "Tables"


@dataclass(slots=True)
class Parity:
    """Compares sessions of one home. `allowed`: assets that may be read, None for any; `seen`: everything that was read."""

    lake: "Lake"
    allowed: Sequence[str] | None = None
    seen: dict[str, Read] = field(default_factory=dict)

    def rows(self, days: Sequence[dt.date]) -> Iterator[list[parity.Row]]:
        """PARITY_CHECK rows of each of some decided sessions, ascending."""
        newest = self._reader(days[-1], None)
        each = [newest, *(self._reader(day, None) for day in days[:-1])]
        listings = {read.session: read.read("instruments") for read in each}
        now = Past(newest.mandate(), reads.tables_of(newest, listings))
        for read in each:
            self._note(read)
        for block in self._blocks(days):
            yield from self._block(block, now)

    def _blocks(self, days: Sequence[dt.date]) -> Iterator[list[dt.date]]:
        """Runs of sessions that follow each other and were cut off as computed; every other session alone."""
        ledger, block = self.lake.ledger, list[dt.date]()
        for day in days:
            mandate = Reader(self.lake, day, allowed=self.allowed).mandate()
            before = decided_before(ledger, day)
            follows = before is None or before.key == previous_session(mandate.calendar, day).isoformat()
            usual = self._cutoff(day) == computed_cutoff(mandate.schedule, day)
            joins = bool(block) and usual and before is not None and before.key == block[-1].isoformat() and follows
            if block and not joins:
                yield block
                block = []
            block.append(day)
            if not (usual and follows):
                yield block
                block = []
        if block:
            yield block

    def _cutoff(self, day: dt.date) -> dt.datetime:
        return Reader(self.lake, day, allowed=self.allowed).cutoff

    def _history(self, days: Sequence[dt.date], past: Past) -> "History":
        from marketbot_assets.research.history import History

        recorded = None
        if len(days) == 1:
            recorded = (book_cutoff_before(self.lake.ledger, days[0]), self._cutoff(days[0]))
        return History(past.tables, past.mandate, days[0], days[-1], recorded)

    def _block(self, days: Sequence[dt.date], now: Past) -> Iterator[list[parity.Row]]:
        history: History | None = None
        running: tuple[Running, Account] | None = None
        for day in days:
            try:
                history = history or self._history(days, now)
                rows, running = self._session(day, history, now, running)
            except FAILURES as error:
                running, why = None, f"{type(error).__name__}: {error}".splitlines()[0]
                rows = [parity.Row(day, FAILED, "", "decided", "failed", False, parity.UNEXPLAINED, why)]
            yield rows

    def _session(
        self, session: dt.date, history: "History", now: Past, running: "tuple[Running, Account] | None"
    ) -> "tuple[list[parity.Row], tuple[Running, Account] | None]":
        decision = self.lake.ledger.get("decision", session.isoformat())
        assert decision is not None, "only decided sessions are compared"
        pins = reads.pins_of(self.lake, decision)
        read = self._reader(session, pins)
        live, (found, after) = self._live(read, pins), self._decided(read, history, now, running)

        def again(restored: frozenset[str]) -> parity.Side:
            then = Past(
                read.mandate() if parity.MANDATE in restored else now.mandate,
                reads.tables_of(read) if parity.DATA in restored else now.tables,
            )
            return self._decided(read, self._history([session], then), then, None)[0]

        apart, causes = parity.differing(live, found), dict[str, tuple[str, str]]()
        if apart:
            changes = changes_of(self.lake, decision, pins, now.mandate)
            late = "" if changes.data else late_rows(now.tables, reads.tables_of(read), read.cutoff)
            causes = parity.causes_of(live, found, replace(changes, data=changes.data or late), again)
        self._note(read)
        return parity.rows_of(session, live, found, causes), None if apart else after

    def _decided(
        self, read: Reader, history: "History", past: Past, running: "tuple[Running, Account] | None"
    ) -> "tuple[parity.Side, tuple[Running, Account]]":
        from marketbot_assets.insight.return_model import spec_sha256
        from marketbot_assets.research.loop import book_after, decide_session

        ledger, mandate = self.lake.ledger, past.mandate
        now, account = running or (
            reads.running_before(read, ledger, mandate, history),
            reads.account_before(read, ledger, mandate, past.tables),
        )
        watched, held, before = Watched(account, reads.recorded_report(read)), now.held, now.state.nav
        told = reads.circumstances_of(read, ledger, mandate, spec_sha256(mandate))
        day = decide_session(history, mandate, watched, now, read.session, environment_of(mandate), told)
        assert watched.modelled is not None
        model = day.rolled if watched.same else book_after(history, mandate, held, watched.modelled, day.known)
        return _backtest(day, now, watched.modelled, model.valuation.nav / before - 1.0, mandate), (now, account)

    def _live(self, read: Reader, pins: Mapping[tuple[str, str], str]) -> parity.Side:
        from marketbot_assets.book.fills import executions_of
        from marketbot_assets.book.frames import state_frame, state_of
        from marketbot_assets.insight.lead import baseline_rows
        from marketbot_assets.portfolio.order_frame import orders_from_frame

        fills, state = executions_of(read.read("fills")), state_of(read.read("book_state"))
        gained = state.nav / previous_state(read).nav - 1.0
        stored = ("positions", "features", "forecasts", "risk_verdict", "orders")
        fields = {name: reads.stored_content(self.lake, pins, name, read.part) for name in stored}
        fields |= {
            "fills": parity.digest_of(parity.fill_lines(fills)),
            "book_state": content_of("book_state", state_frame(state)),
            "return_model": content_of("return_model", baseline_rows(read.read("return_model"))),
            "target_portfolio": _weights(reads.weights_of(read.read("target_portfolio"))),
            "return": repr(gained),
        }
        return parity.Side(fields, fills, orders_from_frame(read.read("orders")), gained)

    def _reader(self, day: dt.date, pins: Mapping[tuple[str, str], str] | None) -> Reader:
        return Reader(self.lake, day, allowed=self.allowed, pins=pins)

    def _note(self, read: Reader) -> None:
        self.seen |= {one.manifest_sha256: one for one in read.reads}


def _weights(weights: Mapping[str, float]) -> str:
    return parity.digest_of(f"{name} {weights[name]!r}" for name in sorted(weights))


def _backtest(day: "Day", now: "Running", modelled: AccountReport, gained: float, mandate: Mandate) -> parity.Side:
    from marketbot_assets.book.frames import state_frame
    from marketbot_assets.book.positions import positions_frame
    from marketbot_assets.insight.return_model import to_frame
    from marketbot_assets.portfolio.order_frame import orders_frame
    from marketbot_assets.risk.verdict_frame import verdict_frame

    assert now.model is not None
    assert now.forecasts is not None
    decision = day.decision
    frames = {
        "positions": positions_frame(day.rolled.valuation, day.rolled.events),
        "features": day.known.features,
        "return_model": to_frame(now.model),
        "forecasts": now.forecasts,
        "risk_verdict": verdict_frame(decision.judgement, decision.risk, mandate),
        "orders": orders_frame(decision.batch),
        "book_state": state_frame(day.state),
    }
    weights = dict(zip(decision.inputs.instruments, map(float, decision.target.weights), strict=True))
    fields = {name: content_of(name, frame) for name, frame in frames.items()}
    fields |= {
        "fills": parity.digest_of(parity.fill_lines(modelled.executions)),
        "target_portfolio": _weights(weights),
        "return": repr(gained),
    }
    return parity.Side(fields, modelled.executions, decision.batch, gained)


def content_of(asset: str, frame: "pd.DataFrame") -> str:
    """Content hash that the frame would have in the store."""
    from marketbot_resources.store.content import canonical, content_sha256

    return content_sha256(canonical(frame, tables()[asset]))
