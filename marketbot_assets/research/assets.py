"""Assets of the research stage: the opening balance of the book, backtests, sweeps, and what scores were worth."""

import dagster as dg
from pydantic import Field

from marketbot_assets import backtest_details, parity_facts, parity_pages, parity_reads, rebuild_data
from marketbot_assets.lineage import code_of, materialized, stage_asset, stored
from marketbot_assets.research import schema
from marketbot_resources.ledger.record import Json
from marketbot_resources.store.index import STATIC
from marketbot_resources.store.reader import HISTORY_OF
from marketbot_resources.store.resource import StoreResource
from marketbot_resources.wiring import BrokerResource, MandateResource, Ports

STAGE = "research"
HISTORIES = sorted(HISTORY_OF.values())


@stage_asset(schema.OPENING_BALANCE, stage=STAGE, deps=["mandate", *HISTORIES], domain="book")
def opening_balance(
    context: dg.AssetExecutionContext, store: StoreResource, broker: BrokerResource, ports: Ports
) -> dg.MaterializeResult:
    """What the book holds before its first session: cash, what the decision alone makes of the sessions since go-live, or what
    a real broker holds.
    """
    from marketbot_assets.research.opening import seed_of

    read, ledger = store.reader(context), store.lake.ledger
    known = store.lake.index.newest("opening_balance", STATIC)
    until = rebuild_data.opened(ledger).history_until
    broker.record_opening(read.mandate(), ports, ledger, until)
    frame = rebuild_data.opening_balance(read, ledger) if known is None else store.lake.load(known)
    broker.seed(read.mandate(), ports, *seed_of(frame), until)
    served = stored(context, store, schema.OPENING_BALANCE, always=True)
    return served or materialized(context, store, frame, schema.OPENING_BALANCE)


class BacktestRange(dg.Config):
    """First and last session of a backtest."""

    first: str
    last: str

    def range(self) -> dict[str, Json]:
        """As a manifest names it."""
        return {"first": self.first, "last": self.last}


@stage_asset(schema.BACKTEST, stage=STAGE, domain="research")
def backtest(
    context: dg.AssetExecutionContext,
    config: BacktestRange,
    store: StoreResource,
    mandate_file: MandateResource,
    ports: Ports,
) -> dg.MaterializeResult:
    """Every session of a past range as the same functions decide it, from cash, filled by the paper broker's rules."""
    from marketbot_assets.backtest import play
    from marketbot_assets.model_trials import record_backtest
    from marketbot_resources.store.resource import session_from_key

    first, last, mandate = session_from_key(config.first), session_from_key(config.last), mandate_file.load()
    details = backtest_details.collected(mandate)
    made = play(context, store, ports, mandate, first, last, details=details)
    record_backtest(store.lake, made.frame, made.bodies, mandate, code_version=code_of(STAGE))
    facts, shows = backtest_details.told(store.lake, made.frame, details, mandate, first, last)
    facts, blobs = {**facts, "inputs_sha256": made.inputs}, [*made.bodies, made.inputs]
    return materialized(context, store, made.frame, schema.BACKTEST, blobs=blobs, facts=facts, shows=shows)


class SweepGrid(dg.Config):
    """A grid file's text, the last session of its last period, texts of the mandate files that it names (JSON), where points run,
    and whether providers are asked again.
    """

    grid: str
    last: str
    mandates: str = "{}"
    workers: str = "local"
    refetch: bool = False


@stage_asset(schema.SWEEP, stage=STAGE, domain="research")
def sweep(
    context: dg.AssetExecutionContext,
    config: SweepGrid,
    store: StoreResource,
    mandate_file: MandateResource,
    ports: Ports,
) -> dg.MaterializeResult:
    """Many backtests side by side: every point of a grid by the same functions, each a trial on record and an object of its own."""
    from marketbot_assets import sweep as sweeps
    from marketbot_assets.sweep_pages import shown

    base, texts, run = mandate_file.load(), sweeps.texts_of(config.mandates), context.run.run_id
    sweeps.ends(config.grid, base, texts, config.last)
    made = sweeps.sweep(store.lake, ports, base, config.grid, texts, config.workers, run_id=run, refetch=config.refetch)
    store.reader(context).reads.extend(made.reads)
    facts: dict[str, Json] = {"mandate_content_sha256": base.sha256, "last": config.last, **made.facts}
    shows = shown(made.frame) | {"run now": made.ran, "stored before": made.stored}
    return materialized(context, store, made.frame, schema.SWEEP, blobs=made.blobs, facts=facts, shows=shows)


class EvaluationRange(BacktestRange):
    """First and last session of an evaluation, and which declared features are judged, too: names, groups, or `declared`."""

    declared: list[str] = Field(default_factory=list)


@stage_asset(schema.FACTOR_EVALUATION, stage=STAGE, deps=["backtest"], domain="research")
def factor_evaluation(
    context: dg.AssetExecutionContext,
    config: EvaluationRange,
    store: StoreResource,
    mandate_file: MandateResource,
    ports: Ports,
) -> dg.MaterializeResult:
    """What each score known at a session's cutoff said about returns that came after: information coefficients and their decay,
    quantile portfolios, turnover, coverage, crowding; with errors. Share of the book's variance: of the newest backtest.
    """
    from marketbot_assets.factor_pages import factors, judge
    from marketbot_assets.research.factor_evaluation import DELAY
    from marketbot_resources.store.resource import session_from_key

    days, mandate = (session_from_key(config.first), session_from_key(config.last)), mandate_file.load()
    found = judge(context, store, ports, mandate, days, config.declared)
    facts: dict[str, Json] = {"mandate_content_sha256": mandate.sha256, "first": config.first, "last": config.last}
    facts |= {"sessions": found.sessions, "synthetic": found.synthetic, "delay": DELAY}
    shows, table = factors(found.frame), schema.FACTOR_EVALUATION
    return materialized(context, store, found.frame, table, blobs=found.blobs, facts=facts, shows=shows)


class ParitySince(dg.Config):
    """First session that is compared; empty: the first that no check has compared yet."""

    since: str = ""


@stage_asset(schema.PARITY_CHECK, stage=STAGE, deps=parity_reads.PARITY_DEPS, carries=True, domain="control")
def parity_check(context: dg.AssetExecutionContext, config: ParitySince, store: StoreResource) -> dg.MaterializeResult:
    """Each live session up to this one beside what the backtest makes of the data as known now: every field equal bit for bit, or
    why not. Nothing of a decision depends on it; what nothing explains is an alert.
    """
    from marketbot_resources.store.resource import session_from_key

    read, lake = store.reader(context), store.lake
    frame = parity_facts.compared(read, lake, session_from_key(config.since) if config.since else None)
    parity_facts.tell_unexplained(frame, lake.ledger)
    shows = parity_pages.parity(frame, parity_facts.with_earlier(lake, frame))
    return materialized(context, store, frame, schema.PARITY_CHECK, shows=shows)


ASSETS = [opening_balance, backtest, sweep, factor_evaluation, parity_check]
