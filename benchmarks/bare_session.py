"""One later session of a home as a plain loop: the same pure functions, store, ledger and broker, and no Dagster at all.

What an asset does to be evidence is done here, too: keep the body, encode, write object and manifest, index, read back,
validate the schema. What only Dagster shows (previews, plots, metadata) is not. Not here: the first session (bootstrap).
"""

import datetime as dt
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import recorded

from marketbot_assets import audit_facts, rebuild, rebuild_data
from marketbot_assets.audit import schema as audit
from marketbot_assets.execution import schema as execution
from marketbot_assets.ingestion import schema as ingestion
from marketbot_assets.normalization import schema as normalization
from marketbot_assets.replay import AFTERWARDS, REBUILDS, replayed, tables
from marketbot_assets.research import schema as research
from marketbot_assets.source import keep_versions
from marketbot_assets.submit import Desk, submit
from marketbot_resources import settings
from marketbot_resources.clock import ReplayClock
from marketbot_resources.halt import HaltSwitch
from marketbot_resources.mandate import Mandate, parse_mandate
from marketbot_resources.model import utc_text
from marketbot_resources.notary import Notary, origin_of
from marketbot_resources.sessions import last_cutoff_before
from marketbot_resources.signer import SignerProcess
from marketbot_resources.store.index import STATIC, BlobRow, IndexRow, Origin
from marketbot_resources.store.lake import Lake, open_lake
from marketbot_resources.store.reader import UNPARTITIONED, Reader
from marketbot_resources.store.table import Table

RUN, CODE = "bare", "benchmark"


class Bare:
    """The session being made: the store, where providers answer, the mandate."""

    def __init__(self, home: Path, answers: Path, size: int | None, session: dt.date) -> None:
        self.lake: Lake = open_lake(home)
        self.session, self.part = session, session.isoformat()
        self.mandate: Mandate = parse_mandate(settings.mandate_path().read_text(encoding="utf-8"))
        self.clock = ReplayClock(self.mandate.schedule)
        self.market = recorded.market(answers, size)
        self.other = {
            "raw_macro": recorded.macro(answers).series,
            "raw_fundamentals": recorded.fundamentals(answers, size).filings,
            "raw_news": recorded.news(answers, size).headlines,
        }
        self.broker = self._broker(home)
        signer = SignerProcess(settings.signer_home(), settings.signer_command())
        origin = origin_of(self.mandate.account.id)
        self.notary = Notary(self.lake.ledger, self.lake.index, signer, [], origin)

    def _broker(self, home: Path) -> Any:
        from marketbot_resources.broker.paper import PaperBroker
        from marketbot_resources.broker.provider_market import provider_market

        def market(since: dt.datetime, until: dt.datetime) -> Any:
            return provider_market(self.market, self.mandate, since, until)

        return PaperBroker(home / "broker.sqlite", self.mandate, market)

    def run(self) -> None:
        """Every step in the order of the graph."""
        self._served_and_raw()
        self._account()
        for asset in (*rebuild_data.REBUILDS, *rebuild.REBUILDS):
            if asset not in AFTERWARDS:
                self._rebuilt(asset)
        self._sent()
        self._audited()

    @contextmanager
    def _reading(self) -> Iterator[Reader]:
        yield Reader(self.lake, self.session, allowed=None)

    def _keep(
        self, table: Table, frame: Any, read: Reader, blobs: tuple[str, ...] = (), facts: dict[str, Any] | None = None
    ) -> None:
        part = STATIC if table.asset in UNPARTITIONED else self.part
        cutoff = self.lake.ledger.get("session_cutoff", self.part)
        known = self.lake.index.newest("mandate", STATIC)
        extra: dict[str, Any] = {"mandate_content_sha256": known.content_sha256 if known else "", **(facts or {})}
        origin = Origin(RUN, CODE, str(cutoff.body["cutoff_at"]) if cutoff else "", extra)
        row = self.lake.commit(frame, table, part, reads=read.reads, blobs=blobs, origin=origin)
        table.pandera_schema.validate(self.lake.load(row), lazy=True)

    def _make(self, table: Table, make: Callable[[Reader], Any]) -> None:
        with self._reading() as read:
            self._keep(table, make(read), read)

    def _rebuilt(self, asset: str) -> None:
        self._make(tables()[asset], lambda read: REBUILDS[asset](read, self.lake.ledger))

    def _served_and_raw(self) -> None:
        from marketbot_assets.ingestion.parse_mandate import mandate_frame
        from marketbot_assets.research.opening import seed_of

        self._make(ingestion.MANDATE, lambda read: mandate_frame(self.mandate))
        for table in (*normalization.HISTORY.values(), research.OPENING_BALANCE):
            table.pandera_schema.validate(self.lake.load(self._newest(table.asset)), lazy=True)
        frame = self.lake.load(self._newest("opening_balance"))
        self.broker.seed(*seed_of(frame), rebuild_data.opened(self.lake.ledger).history_until)
        for table, fetch in self._sources():
            self._raw(table, fetch)

    def _newest(self, asset: str) -> IndexRow:
        row = self.lake.index.newest(asset, STATIC)
        assert row is not None, "the home has had its first session"
        return row

    def _sources(self) -> list[tuple[Table, Callable[[dt.datetime, dt.datetime], Any]]]:
        return [
            (ingestion.RAW_INSTRUMENTS, lambda since, now: self.market.instruments(now)),
            (ingestion.RAW_PRICES, self.market.prices),
            (ingestion.RAW_CORPORATE_ACTIONS, self.market.corporate_actions),
            (ingestion.RAW_FX, self.market.fx),
            (ingestion.RAW_MACRO, self.other["raw_macro"]),
            (ingestion.RAW_FUNDAMENTALS, self.other["raw_fundamentals"]),
            (ingestion.RAW_NEWS, self.other["raw_news"]),
        ]

    def _raw(self, table: Table, fetch: Callable[[dt.datetime, dt.datetime], Any]) -> None:
        since, now = last_cutoff_before(self.lake.ledger, self.session), self.clock.now(self.session)
        (body,) = fetch(since, now).bodies
        name = hashlib.sha256(body.content).hexdigest()
        told = (body.provider, body.url, body.status, body.content_type, len(body.content), utc_text(now), RUN)
        self.lake.put_blob(body.content, BlobRow(name, *told, table.asset, self.part))
        received = [rebuild_data.ReceivedBody(body.content, body.provider, name, body.parser, body.asked)]
        with self._reading() as read:
            frame = rebuild_data.FROM_BODY[table.asset](read, self.lake.ledger, received)
            self._keep(table, frame, read, (name,), rebuild_data.received_facts(received, [], []))

    def _account(self) -> None:
        from marketbot_assets.ingestion.snapshot import snapshot_frame
        from marketbot_resources.broker.account import take_account

        def make(read: Reader) -> Any:
            flag = HaltSwitch(self.lake.home).read()
            taken = take_account(self.lake.ledger, self.broker, self.clock, read.mandate(), self.session)
            return snapshot_frame(taken.report, taken.cutoff_at, flag.word, flag.reason, taken.operator)

        self._make(ingestion.ACCOUNT_SNAPSHOT, make)

    def _sent(self) -> None:
        with self._reading() as read:
            frame = audit_facts.recorded(read, self.lake.ledger)
            audit_facts.freeze(read, self.lake, frame, keep_versions(self.lake))
            self._keep(audit.DECISION_RECORD, frame, read)
        desk = Desk(self.lake.ledger, self.broker, self.clock, HaltSwitch(self.lake.home), self.notary)
        self._make(execution.SUBMISSIONS, lambda read: submit(read, desk))
        self._rebuilt("execution_costs")
        self._rebuilt("shortfall")

    def _audited(self) -> None:
        self._make(audit.REPLAY_CHECK, lambda read: replayed(read, self.lake))
        for asset in ("attribution", "drift", "shadow_book", "model_watch", "daily_report"):
            self._rebuilt(asset)
        self._make(audit.PROOF, lambda read: audit_facts.stored_objects(read, self.lake))
        self.notary.checkpoint()
