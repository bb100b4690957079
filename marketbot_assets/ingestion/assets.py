"""Assets of the ingestion stage. Bytes are stored before they are parsed; a body that is there is served, not fetched again."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

import dagster as dg

from marketbot_assets.ingestion import schema
from marketbot_assets.lineage import collect, ingest, materialized, stage_asset, stored
from marketbot_assets.session_facts import held_listings
from marketbot_resources.broker.account import refuse_new_run, take_account
from marketbot_resources.governance import admit, take
from marketbot_resources.provider import Delivery
from marketbot_resources.secrets_needed import refuse_without_secrets
from marketbot_resources.sessions import check_in_time, last_cutoff_before, open_book
from marketbot_resources.stop_hits import refuse_decided
from marketbot_resources.store.resource import StoreResource, session_of
from marketbot_resources.store.table import Table
from marketbot_resources.wiring import BrokerResource, ClockResource, HaltResource, MandateResource, Ports

STAGE = "ingestion"


@stage_asset(schema.MANDATE, stage=STAGE, kinds=("yaml",), domain="control")
def mandate(
    context: dg.AssetExecutionContext, store: StoreResource, mandate_file: MandateResource, clock: ClockResource
) -> dg.MaterializeResult:
    """The parsed, validated mandate: in force already, tighter, or loosened by a signed record. Source: the user's mandate file."""
    from marketbot_assets.ingestion.parse_mandate import mandate_frame

    loaded, session = mandate_file.load(), session_of(context)
    check_in_time(store.lake.ledger, clock.open(), loaded.schedule, session)
    refuse_without_secrets(loaded, store.lake.ledger, session)
    open_book(store.lake.ledger, session, loaded.calendar, loaded.schedule)
    admitted = admit(store.lake, session, loaded)
    result = materialized(context, store, mandate_frame(loaded), schema.MANDATE)
    take(store.lake, admitted)
    return result


@dataclass(frozen=True)
class Source:
    """One raw asset: its table, what an auditor reads, and how its body is fetched for known_at in (since, now]."""

    table: Table
    domain: str
    description: str
    fetch: Callable[[Ports, dt.datetime, dt.datetime], Delivery]


SOURCES = (
    Source(
        schema.RAW_INSTRUMENTS,
        "market",
        "Listings as the provider describes them at the session. Quotation currencies as reported (GBX is pence).",
        lambda ports, since, now: ports.market.instruments(now),
    ),
    Source(
        schema.RAW_PRICES,
        "market",
        "Daily bars that became known since the last cutoff, unadjusted unless the source adjusts them, in the quotation currency.",
        lambda ports, since, now: ports.market.prices(since, now),
    ),
    Source(
        schema.RAW_CORPORATE_ACTIONS,
        "market",
        "Corporate actions announced since the last cutoff, per share in the quotation currency.",
        lambda ports, since, now: ports.market.corporate_actions(since, now),
    ),
    Source(
        schema.RAW_FX,
        "market",
        "Reference rates published since the last cutoff, units of each currency per euro. Source: ECB.",
        lambda ports, since, now: ports.market.fx(since, now),
    ),
    Source(
        schema.RAW_MACRO,
        "macro",
        "Macro observations released since the last cutoff, each in the unit of its series.",
        lambda ports, since, now: ports.macro.series(since, now),
    ),
    Source(
        schema.RAW_FUNDAMENTALS,
        "fundamentals",
        "Reported figures filed since the last cutoff, in the reporting currency.",
        lambda ports, since, now: ports.fundamentals.filings(since, now),
    ),
    Source(
        schema.RAW_NEWS,
        "news",
        "Headlines crawled since the last cutoff, linked to instruments by the provider.",
        lambda ports, since, now: ports.news.headlines(since, now),
    ),
)


def raw_asset(source: Source) -> dg.AssetsDefinition:
    """The asset of one source: fetch once, keep the bytes, parse, store."""

    @stage_asset(
        source.table,
        stage=STAGE,
        deps=["mandate"],
        kinds=("csv",),
        domain=source.domain,
        description=source.description,
    )
    def raw(
        context: dg.AssetExecutionContext, store: StoreResource, clock: ClockResource, ports: Ports
    ) -> dg.MaterializeResult:
        session = session_of(context)
        since, now = last_cutoff_before(store.lake.ledger, session), clock.open().now(session)
        return ingest(context, store, source.table, lambda: source.fetch(ports, since, now), now)

    return raw


RAW = [raw_asset(source) for source in SOURCES]
RAW_NAMES = [source.table.asset for source in SOURCES]


@stage_asset(
    schema.ACCOUNT_SNAPSHOT,
    stage=STAGE,
    deps=["mandate", "opening_balance", *RAW_NAMES],
    kinds=("ledger",),
    domain="book",
)
def account_snapshot(
    context: dg.AssetExecutionContext,
    store: StoreResource,
    clock: ClockResource,
    halt: HaltResource,
    broker: BrokerResource,
    ports: Ports,
) -> dg.MaterializeResult:
    """What the broker reports at the cutoff (recorded once): positions, cash, open orders, executions; halt flag, operators."""
    from marketbot_assets.ingestion.snapshot import snapshot_frame

    served = stored(context, store, schema.ACCOUNT_SNAPSHOT)
    if served is not None:
        return served
    mandate, flag, session = store.reader(context).mandate(), halt.open().read(), session_of(context)
    refuse_new_run(store.lake.ledger, flag, session)
    check_in_time(store.lake.ledger, clock.open(), mandate.schedule, session)
    account = take_account(store.lake.ledger, broker.open(mandate, ports), clock.open(), mandate, session)
    told = (account.operator, account.stop_hits, account.heard, account.working)
    frame = snapshot_frame(account.report, account.cutoff_at, flag.word, flag.reason, *told)
    return materialized(context, store, frame, schema.ACCOUNT_SNAPSHOT)


@stage_asset(
    schema.INTRADAY_QUOTES, stage=STAGE, deps=["mandate"], before=["instruments", "book_state"], kinds=("csv",)
)
def intraday_quotes(
    context: dg.AssetExecutionContext, store: StoreResource, clock: ClockResource, ports: Ports
) -> dg.MaterializeResult:
    """Quotes of held names while their exchanges trade; every run of job `intraday` adds a version with the day's quotes so far."""
    session, read = session_of(context), store.reader(context)
    refuse_decided(store.lake.ledger, session)
    now, held = clock.open().now(session), held_listings(read)
    return collect(context, store, schema.INTRADAY_QUOTES, lambda: ports.quotes.quotes(held, now), now)


ASSETS = [mandate, *RAW, account_snapshot, intraday_quotes]
