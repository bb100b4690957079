"""One session after another through the real code: account, book, decision, verdict, frozen batch, gate, protocol.

The ports are the simulation's twins; between them stands what runs in production, but for Dagster and the frames of the store. A
run that died is started again. Not here: what goes wrong (`sim_faults`), what must hold (`sim_invariants`).
"""

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
from sim_faults import Crash, Faults, FaultyHalt, FaultyLedger, FaultyNotary, FaultyStore, VirtualClock
from sim_twin import Twin
from sim_world import LISTINGS, NAMES, World

from marketbot_assets import submit as submitting
from marketbot_assets.book.fills import executions_of, fills_of
from marketbot_assets.book.positions import Holdings, positions_frame, session_closes
from marketbot_assets.book.reconciliation import adopt_explained, is_clean, locked_names, reconcile
from marketbot_assets.book.roll import Held, Rolled, atr_levels, roll
from marketbot_assets.book.state import BookState
from marketbot_assets.book.step import opening_state, step_book
from marketbot_assets.decision import Decision, Situation, decide
from marketbot_assets.ingestion.schema import ACCOUNT_SNAPSHOT
from marketbot_assets.ingestion.snapshot import snapshot_frame
from marketbot_assets.operations import answers, flight, recorded_orders
from marketbot_assets.portfolio.market_facts import account_facts
from marketbot_assets.portfolio.order_frame import orders_frame
from marketbot_assets.risk.build import Platform, breaks_of, strangers
from marketbot_assets.risk.feature_drift import section_of
from marketbot_assets.risk.forecasting import with_record
from marketbot_assets.risk.operation_build import Sources, Traded, bars_of, operation_facts, splits_of
from marketbot_assets.risk.operation_facts import Breach, OperationFacts
from marketbot_assets.risk.trade_build import Traffic
from marketbot_assets.risk.verdict_frame import register_after, verdict_frame
from marketbot_assets.session_facts import open_orders, order_facts, order_record_of, protective_ids
from marketbot_resources.broker.account import refuse_new_run, take_account
from marketbot_resources.broker.sending import freeze_batch
from marketbot_resources.calendars import decision_sessions
from marketbot_resources.errors import MarketbotError
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.model import BrokerPort, Execution, OpenOrder, batch_sha256
from marketbot_resources.sessions import (
    book_cutoff_before,
    cutoff_of,
    decided_before,
    end_state,
    open_book,
)
from marketbot_resources.store.content import canonical, decode, encode, to_frame

FILLS_WATCHED = 5
SPEC = "0" * 64


@dataclass(frozen=True, slots=True)
class Kept:
    """What one decided session leaves for the next: `held` with explained cash taken over; `clean`: book and broker agree."""

    session: dt.date
    held: Held
    state: BookState
    fills: tuple[Execution, ...]
    decision: Decision
    clean: bool
    breaches: tuple[Breach, ...]
    fills_frame: pd.DataFrame
    reconciliation: pd.DataFrame


def same_batch(kept: Kept, made: Kept) -> None:
    """P1: a decision that is made again after a crash is the same, order by order."""
    first, again = batch_sha256(kept.decision.batch), batch_sha256(made.decision.batch)
    assert first == again, f"P1: {kept.session} decided again, found {again}, expected {first}"


def as_stored(snapshot: pd.DataFrame) -> pd.DataFrame:
    """The snapshot as it comes back from the store: cast to its schema, sorted by its key, which is unique."""
    return to_frame(decode(encode(canonical(snapshot, ACCOUNT_SNAPSHOT)), ACCOUNT_SNAPSHOT.arrow_schema))


class Reader:
    """The store's reader as sending knows it: the tables of one session."""

    def __init__(self, world: World, session: dt.date, cutoff: dt.datetime, frames: dict[str, pd.DataFrame]) -> None:
        self._world, self._frames = world, frames
        self.session, self.part, self.cutoff = session, session.isoformat(), cutoff
        self.known: Situation | None = None
        self.before: list[Kept] = []

    def mandate(self) -> Any:
        return self._world.mandate

    def read(self, asset: str) -> pd.DataFrame:
        return self._frames[asset]

    def each(self, asset: str, count: int, *, with_session: bool = True) -> list[tuple[dt.date, pd.DataFrame]]:
        """Newest tables of the sessions before, oldest first, with this session's."""
        own = [(self.session, self._frames[asset])] if with_session else []
        return [*((kept.session, kept.fills_frame) for kept in self.before[-count:]), *own][-count:]

    def previous(self, asset: str) -> pd.DataFrame | None:
        assert asset == "reconciliation"
        return self.before[-1].reconciliation if self.before else None


class Simulated:
    """One installation over one world."""

    def __init__(
        self,
        world: World,
        home: Path,
        faults: Faults,
        *,
        dedupes: bool,
        clock: VirtualClock | None = None,
        broker: BrokerPort | None = None,
        ledger: Ledger | None = None,
        store: FaultyStore | None = None,
    ) -> None:
        self.world, self.faults, self.mandate = world, faults, world.mandate
        self.clock = clock or VirtualClock(world.mandate.schedule)
        self.twin = Twin(world, self.clock, faults, dedupes=dedupes)
        self.broker: BrokerPort = broker or self.twin
        self.ledger = ledger or FaultyLedger(home / "ledger.sqlite", faults)
        self.halt = FaultyHalt(home, faults)
        self.notary = FaultyNotary(self.ledger, faults)
        self.store = store or FaultyStore(faults)
        self.before_sending: Callable[[], object] = lambda: None
        self.refusals: list[str] = []
        self.wrong_at: dict[dt.date, bool] = {}
        self.fees = (Decimal("0.35"), Decimal("12.34"), Decimal("81.07"))
        self.meddled: dict[dt.date, dt.datetime] = {}
        self.twin.halted = lambda: super(FaultyHalt, self.halt).read().status != "off"
        self.twin.halt = lambda: self.halt.set("simulated operator")
        self.clock.begin(world.sessions[0])
        open_book(self.ledger, world.sessions[0], self.mandate.calendar, self.mandate.schedule)

    # --- a session ---

    def run(self, session: dt.date) -> None:
        """One attempt at a session, from where the attempts before left it."""
        ended = end_state(self.ledger, session)
        if ended is not None and ended.state == "skipped":
            return
        refuse_new_run(self.ledger, self.halt.read(), session)
        snapshot = self._snapshot(session)
        now = self._situation(session, snapshot)
        made = self._decided(session, now, snapshot)
        kept = self.store.put("book", session, made)
        same_batch(kept, made)
        if self.faults.maybe("account moves after the decision", 0.03) and self.twin.human(untold=False):
            self.meddled.setdefault(session, self.clock.at)
        self.before_sending()
        self._freeze_and_send(session, kept, now[0], snapshot)

    def _snapshot(self, session: dt.date) -> pd.DataFrame:
        stored = self.store.get("account_snapshot", session)
        if stored is not None:
            return stored  # type: ignore[return-value]
        self.wrong_at[session] = self.twin.wrong
        found = take_account(self.ledger, self.broker, self.clock, self.mandate, session)
        flag = self.halt.read()
        told = (found.operator, found.stop_hits, found.heard, found.working)
        frame = snapshot_frame(found.report, found.cutoff_at, flag.word, flag.reason, *told)
        return self.store.put("account_snapshot", session, as_stored(frame))

    def _previous(self, session: dt.date) -> Kept | None:
        before = decided_before(self.ledger, session)
        return None if before is None else self.store.get("book", dt.date.fromisoformat(before.key))  # type: ignore[return-value]

    def _before(self, session: dt.date) -> list[Kept]:
        """What decided sessions before left, oldest first."""
        found = []
        while (kept := self._previous(session)) is not None and len(found) < FILLS_WATCHED:
            found.append(kept)
            session = kept.session
        return found[::-1]

    def _situation(
        self, session: dt.date, snapshot: pd.DataFrame
    ) -> tuple[Situation, Rolled, Held, pd.DataFrame, tuple]:
        cutoff = cutoff_of(self.ledger, session)
        assert cutoff is not None
        before, market, world = self._previous(session), self.world.market(session), self.world
        cash = {"USD": Decimal(self.mandate.opening_cash)}
        held = Held(Holdings({}, cash), {}, {"USD": 1.0}) if before is None else before.held
        fills_frame = fills_of(snapshot)
        fills = executions_of(fills_frame)
        after = book_cutoff_before(self.ledger, session)
        rolled = roll(
            held, fills, world.actions, market.window, instruments=world.instruments, base="USD", after=after, until=cutoff
        )  # fmt: skip
        value = rolled.valuation
        reader = Reader(world, session, cutoff, {"account_snapshot": snapshot, "fills": fills_frame})
        reader.before = self._before(session)
        compared = reconcile(
            value.holdings,
            snapshot,
            nav=value.nav,
            fx=value.rates,
            known_instruments=NAMES,
            booked=rolled.events,
            record=order_facts(reader, self.ledger, snapshot, world.instruments, value.values),  # type: ignore[arg-type]
        )
        clean, model = is_clean(compared), market.factor_model
        previous = (
            opening_state(world.days[world.days.index(session) - 1], value.nav) if before is None else before.state
        )
        state = step_book(
            previous,
            session=session,
            valuation=value,
            fills=fills,
            actions=rolled.actions,
            close=session_closes(market.window),
            atr20=atr_levels(market.features, market.window),
            index_vol_20d=model.index_vol_20d,
            clean=clean,
            operator_rearm=bool((snapshot["kind"] == "OPERATOR").any()),
            decision_sessions=decision_sessions(self.mandate.calendar, session, session + dt.timedelta(days=60)),
            mandate=self.mandate,
            protective_ids=protective_ids(self.ledger, fills_frame),
        )
        state = with_record(
            state,
            previous,
            before=held,
            rolled=rolled,
            model=model,
            currencies={name: LISTINGS[name][1] for name in NAMES},
            follows=world.days.index(session) - world.days.index(previous.session) == 1,
            mandate=self.mandate,
        )
        opens = open_orders(snapshot)
        told, planned, sent = order_record_of(reader, self.ledger, snapshot)  # type: ignore[arg-type]
        word = str(snapshot.loc[snapshot["kind"] == "HALT_FLAG", "text"].iloc[0]).split(":")[0]
        platform = Platform(
            breaks=breaks_of(compared),
            halt_flag=word,
            ledger_ready=True,
            quality_halts=(),
            unknown_instruments=strangers(snapshot, world.instruments),
            open_orders=opens,
            traffic=Traffic(told, planned, sent),
            locked=locked_names(compared),
        )
        situation = Situation(
            session=session,
            cutoff=cutoff,
            environment="simulation",
            days=world.days[: world.days.index(session) + 1],
            market=market,
            account=account_facts(value, opens, state),
            platform=platform,
            operations=self._operations(reader, before, held, rolled, compared, fills, opens),
        )
        return situation, rolled, held, compared, fills

    def _operations(
        self,
        reader: Reader,
        before: Kept | None,
        held: Held,
        rolled: Rolled,
        compared: pd.DataFrame,
        fills: tuple[Execution, ...],
        opens: tuple[OpenOrder, ...],
    ) -> OperationFacts:
        snapshot, value = reader.read("account_snapshot"), rolled.valuation
        broker = snapshot[snapshot["kind"] == "BROKER"]
        recent = {f.execution_id: f for f in (*(before.fills if before else ()), *fills)}
        asked = {f.client_order_id for f in recent.values()} | {o.client_order_id for o in opens}
        orders, closed = recorded_orders(self.ledger, asked), self.mandate.calendar.closed
        traded = Traded(
            fills=fills,
            recent=tuple(recent.values()),
            orders=orders,
            expected_bps={},
            splits=splits_of(self.world.actions),
            bars=bars_of(self._bars(fills), fills, orders, closed),
            closed=closed,
        )
        others, silence = flight(reader, self.ledger, self.mandate)  # type: ignore[arg-type]
        sources = Sources(
            session=reader.session,
            cutoff=reader.cutoff,
            environment=str(broker["text"].iloc[0]),
            broker_at=broker["at"].iloc[0].to_pydatetime(),
            before=held,
            positions=positions_frame(value, rolled.events),
            rates=value.rates,
            reconciliation=compared,
            open_orders=opens,
            breaches=before.breaches if before else (),
            trades=(),
            operator=bool((snapshot["kind"] == "OPERATOR").any()),
            other_sessions=others,
            heartbeat_sessions=silence,
            answers=answers(reader, self.ledger, self.mandate),  # type: ignore[arg-type]
            model_spec=SPEC,
            model_scores=tuple(sorted(self.mandate.portfolio.score_weights)),
            features=section_of(self.world.market(reader.session).features),
            past_features=(),
        )
        return operation_facts(sources, traded, self.mandate, SPEC)

    def _bars(self, fills: tuple[Execution, ...]) -> pd.DataFrame:
        """PRICES rows that fills are judged by: the window's own, of the last sessions."""
        rows = [
            (pd.Timestamp(day), name, bar[0], bar[0] * 0.99, bar[0] * 1.01, float(self.world.close(name, day)))
            for name in sorted({f.instrument for f in fills if f.instrument in LISTINGS})
            for day in sorted({f.executed_at.date() for f in fills})
            if day in self.world.cutoffs and (bar := self.world.bar(name, day)) is not None
        ]
        frame = pd.DataFrame(rows, columns=["session", "instrument", "open", "low", "high", "close"])
        return frame.astype({"session": "datetime64[ms]"})

    def _decided(self, session: dt.date, now: tuple, snapshot: pd.DataFrame) -> Kept:
        situation, rolled, _, compared, fills = now
        decision = decide(situation, self.mandate)
        before = self._previous(session)
        taken = replace(rolled.held, holdings=adopt_explained(rolled.held.holdings, compared))
        return Kept(
            session=session,
            held=taken,
            state=situation.account.book,
            fills=(*(before.fills if before else ()), *fills)[-60:],
            decision=decision,
            clean=is_clean(compared),
            breaches=register_after(decision.judgement, decision.risk, self.mandate).open,
            fills_frame=fills_of(snapshot),
            reconciliation=compared,
        )

    def _freeze_and_send(self, session: dt.date, kept: Kept, situation: Situation, snapshot: pd.DataFrame) -> None:
        decision, cutoff = kept.decision, cutoff_of(self.ledger, session)
        assert cutoff is not None
        verdict = verdict_frame(decision.judgement, decision.risk, self.mandate)
        word = decision.judgement.verdict
        facts = {"session": session.isoformat(), "verdict": word, "why": submitting.why(verdict)}
        freeze_batch(self.ledger, self.mandate.account.id, session, decision.batch, facts)
        planned = [(p.instrument, float(p.reference_price)) for p in decision.planned]
        reader = Reader(
            self.world,
            session,
            cutoff,
            {
                "account_snapshot": snapshot,
                "risk_verdict": verdict,
                "orders": orders_frame(decision.batch),
                "order_plan": pd.DataFrame(planned, columns=["instrument", "reference_price"]),
                "instruments": self.world.instruments,
                "decision_record": pd.DataFrame({"asset": ["orders"]}),
            },
        )
        reader.known = situation
        desk = submitting.Desk(self.ledger, self.broker, self.clock, self.halt, self.notary)
        with handed_over():
            submitting.submit(reader, desk)  # type: ignore[arg-type]

    # --- people ---

    def operate(self, session: dt.date) -> None:
        """What an operator does the morning after: clears a halt that he understood and records that he did."""
        flag = super(FaultyHalt, self.halt).read()
        kept = self._newest()
        halted = flag.status != "off" or (kept is not None and any(b.halt_class for b in kept.breaches))
        if not halted or self.twin.wrong:
            return
        self.halt.clear()
        body = {"action": "resume", "operator": "simulation", "reason": f"looked at before {session}"}
        try:
            self.ledger.append("operator_action", f"{session.isoformat()}/resume", body)
        except MarketbotError:
            self.faults.counts["operator could not resume"] += 1
        except Crash:  # the command died right after its entry was durable
            self.faults.revive()

    def _newest(self) -> Kept | None:
        done = [day for day in self.world.sessions if self.store.get("book", day) is not None]
        return self.store.get("book", done[-1]) if done else None  # type: ignore[return-value]


@contextmanager
def handed_over() -> Iterator[None]:
    """Sending reads the situation that was decided upon; building it again from frames is the graph's test, not this one's."""
    real = submitting.situation
    submitting.situation = lambda read, ledger: read.known  # type: ignore[assignment]
    try:
        yield
    finally:
        submitting.situation = real
