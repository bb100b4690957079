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

from marketbot_assets import audit_facts
from marketbot_assets.audit import schema as audit
from marketbot_assets.execution import schema as execution
from marketbot_assets.ingestion import schema as ingestion
from marketbot_assets.insight import schema as insight
from marketbot_assets.normalization import schema as normalization
from marketbot_assets.opening import opening_of
from marketbot_assets.rebuild import REBUILDS, tables
from marketbot_assets.research import schema as research
from marketbot_assets.submit import Desk, submit
from marketbot_resources import settings
from marketbot_resources.clock import ReplayClock
from marketbot_resources.halt import HaltSwitch
from marketbot_resources.mandate import Mandate, parse_mandate
from marketbot_resources.model import utc_text
from marketbot_resources.sessions import book_open, last_cutoff_before
from marketbot_resources.store.index import STATIC, BlobRow, Origin
from marketbot_resources.store.lake import Lake, open_lake
from marketbot_resources.store.reader import UNPARTITIONED, Reader
from marketbot_resources.store.table import Table

PANEL_SESSIONS, TRAINING_SESSIONS, PLANS_WATCHED = 65, 1010, 5
RUN, CODE = "bare", "benchmark"
BEFORE_RECORD = ("features", "factor_model")


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
        self._tidy()
        for asset in BEFORE_RECORD:
            self._rebuilt(asset)
        self._insight()
        for asset in REBUILDS:
            if asset not in (*BEFORE_RECORD, "forecasts"):
                self._rebuilt(asset)
        self._sent()
        self._audited()

    @contextmanager
    def _reading(self) -> Iterator[Reader]:
        yield Reader(self.lake, self.session, allowed=None)

    def _keep(self, table: Table, frame: Any, read: Reader, blobs: tuple[str, ...] = ()) -> None:
        part = STATIC if table.asset in UNPARTITIONED else self.part
        cutoff = self.lake.ledger.get("session_cutoff", self.part)
        known = self.lake.index.newest("mandate", STATIC)
        extra: dict[str, Any] = {"mandate_content_sha256": known.content_sha256 if known else ""}
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
            row = self.lake.index.newest(table.asset, STATIC)
            assert row is not None, "the home has had its first session"
            table.pandera_schema.validate(self.lake.load(row), lazy=True)
        opened, read = book_open(self.lake.ledger), Reader(self.lake, self.session, allowed=None)
        assert opened is not None
        known = self.lake.index.newest("opening_balance", STATIC)
        frame = opening_of(read, opened) if known is None else self.lake.load(known)
        self.broker.seed(*seed_of(frame), opened.history_until)
        for table, fetch in self._sources():
            self._raw(table, fetch)

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
        from marketbot_assets.ingestion.parse import PARSERS

        since, now = last_cutoff_before(self.lake.ledger, self.session), self.clock.now(self.session)
        body = fetch(since, now)
        name = hashlib.sha256(body.content).hexdigest()
        told = (body.provider, body.url, body.status, body.content_type, len(body.content), utc_text(now), RUN)
        self.lake.put_blob(body.content, BlobRow(name, *told, table.asset, self.part))
        frame = PARSERS[table.asset](body.content, source=body.provider, blob_sha256=name)
        with self._reading() as read:
            self._keep(table, frame, read, (name,))

    def _account(self) -> None:
        from marketbot_assets.ingestion.snapshot import snapshot_frame
        from marketbot_resources.broker.account import take_account

        def make(read: Reader) -> Any:
            flag = HaltSwitch(self.lake.home).read()
            taken = take_account(self.lake.ledger, self.broker, self.clock, read.mandate(), self.session)
            return snapshot_frame(taken.report, taken.cutoff_at, flag.status, flag.reason, taken.operator)

        self._make(ingestion.ACCOUNT_SNAPSHOT, make)

    def _tidy(self) -> None:
        from marketbot_assets.normalization import series
        from marketbot_assets.normalization.identity import normalize_instruments
        from marketbot_assets.normalization.quality import bar_findings, flag_quarantine, recent_bars

        def prices(read: Reader) -> Any:
            bars = series.normalize_prices(read.read("raw_prices"), read.read("instruments"))
            recent = recent_bars(read.panel("prices", PANEL_SESSIONS, with_session=False), read.session)
            return flag_quarantine(bars, bar_findings(bars, recent, read.panel("corporate_actions"), read.session))

        def listings(read: Reader) -> Any:
            return normalize_instruments(read.read("raw_instruments"), read.mandate().universe.listings, read.cutoff)

        def by_instrument(name: str) -> Callable[[Reader], Any]:
            return lambda read: getattr(series, f"normalize_{name}")(read.read(f"raw_{name}"), read.read("instruments"))

        self._make(normalization.INSTRUMENTS, listings)
        self._make(normalization.CORPORATE_ACTIONS, by_instrument("corporate_actions"))
        self._make(normalization.PRICES, prices)
        self._make(normalization.FX, lambda r: series.normalize_fx(r.read("raw_fx"), r.mandate().base_currency))
        self._make(normalization.MACRO, lambda r: series.normalize_macro(r.read("raw_macro")))
        self._make(normalization.FUNDAMENTALS, by_instrument("fundamentals"))
        self._make(normalization.NEWS, by_instrument("news"))
        self._make(normalization.DATA_QUALITY, self._quality)

    def _quality(self, read: Reader) -> Any:
        from marketbot_assets.normalization.quality import assess

        return assess(
            bars=read.read("prices"),
            panel=read.panel("prices", PANEL_SESSIONS, with_session=False),
            actions=read.panel("corporate_actions"),
            instruments=read.read("instruments"),
            fx=read.panel("fx", PANEL_SESSIONS),
            macro=read.panel("macro", PANEL_SESSIONS),
            session=read.session,
            cutoff=read.cutoff,
            previous_cutoff=last_cutoff_before(self.lake.ledger, read.session),
            base=read.mandate().base_currency,
        )

    def _insight(self) -> None:
        from marketbot_assets.insight.heuristic import heuristic_context

        def context(read: Reader) -> Any:
            return heuristic_context(read.read("features"), read.read("instruments"), read.as_of("news"), read.cutoff)

        self._make(insight.LLM_CONTEXT, context)
        self._make(insight.RETURN_MODEL, _model)
        self._rebuilt("forecasts")

    def _sent(self) -> None:
        from marketbot_assets.execution.costs import execution_costs
        from marketbot_assets.session_facts import rates_of

        with self._reading() as read:
            frame = audit_facts.recorded(read, self.lake)
            audit_facts.freeze(read, self.lake, frame, {"code": CODE, "environment": self.lake.environment_sha256()})
            self._keep(audit.DECISION_RECORD, frame, read)
        desk = Desk(self.lake.ledger, self.broker, self.clock, HaltSwitch(self.lake.home))
        self._make(execution.SUBMISSIONS, lambda read: submit(read, desk))

        def costs(read: Reader) -> Any:
            return execution_costs(read.read("fills"), read.panel("order_plan", PLANS_WATCHED), rates_of(read))

        self._make(execution.EXECUTION_COSTS, costs)

    def _audited(self) -> None:
        self._make(audit.REPLAY_CHECK, lambda read: audit_facts.replayed(read, self.lake))
        self._make(audit.ATTRIBUTION, lambda read: audit_facts.attributed(read, self.lake.ledger))
        self._make(audit.DRIFT, lambda read: audit_facts.drifted(read, self.lake.ledger))
        self._make(audit.DAILY_REPORT, lambda read: audit_facts.reported(read, self.lake))


def _model(read: Reader) -> Any:
    from marketbot_assets.insight.return_model import fit_return_model, from_frame, needs_refit, spec_sha256, to_frame
    from marketbot_assets.panels import market

    mandate, previous = read.mandate(), read.previous("return_model")
    assert previous is not None, "the home has had its first session"
    age = read.sessions_since(mandate.calendar.mic, previous["fitted_on"].iloc[0].date())
    refit = needs_refit(from_frame(previous), sessions_since_fit=age, spec=spec_sha256(mandate))
    return to_frame(fit_return_model(market(read, TRAINING_SESSIONS).window, mandate)) if refit else previous
