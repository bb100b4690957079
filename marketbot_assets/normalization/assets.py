"""Assets of the normalization stage: daily tables, and one bootstrap asset per table with what was known before the book opened."""

from collections.abc import Callable
from dataclasses import dataclass

import dagster as dg

from marketbot_assets import pages, rebuild_data
from marketbot_assets.lineage import ingest, materialized, stage_asset
from marketbot_assets.normalization import schema
from marketbot_resources.provider import Delivery
from marketbot_resources.sessions import BookOpen
from marketbot_resources.store.reader import Reader
from marketbot_resources.store.resource import StoreResource
from marketbot_resources.store.table import Table
from marketbot_resources.wiring import Ports

STAGE = "normalization"


@stage_asset(
    schema.INSTRUMENTS,
    stage=STAGE,
    deps=["mandate", "raw_instruments", "account_snapshot", "instrument_history"],
    carries=True,
)
def instruments(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """Listings as of the cutoff under our own ids, in ISO currencies, with their place in the universe; the dead stay in it."""
    frame = rebuild_data.instruments(store.reader(context), store.lake.ledger)
    return materialized(context, store, frame, schema.INSTRUMENTS)


@stage_asset(schema.PRICE_OVERLAYS, stage=STAGE, deps=["account_snapshot"], domain="control")
def price_overlays(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """Corrections of bars, dividends and splits that someone accepted before the cutoff, each with author and reason."""
    frame = rebuild_data.price_overlays(store.reader(context), store.lake.ledger)
    return materialized(context, store, frame, schema.PRICE_OVERLAYS)


@stage_asset(schema.CORPORATE_ACTIONS, stage=STAGE, deps=["raw_corporate_actions", "instruments", "price_overlays"])
def corporate_actions(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """Corporate actions announced or corrected since the last cutoff, per share in the listing currency."""
    frame = rebuild_data.corporate_actions(store.reader(context), store.lake.ledger)
    return materialized(context, store, frame, schema.CORPORATE_ACTIONS)


@stage_asset(
    schema.IDENTIFIERS,
    stage=STAGE,
    deps=["instruments", "corporate_actions", "corporate_action_history"],
    carries=True,
)
def identifiers(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """By which ticker, exchange, name, issuer and sector every instrument was known, and from when to when; nothing is dropped."""
    frame = rebuild_data.identifiers(store.reader(context), store.lake.ledger)
    return materialized(context, store, frame, schema.IDENTIFIERS)


@stage_asset(
    schema.PRICES,
    stage=STAGE,
    deps=[
        "raw_prices",
        "instruments",
        "price_overlays",
        "price_history",
        "corporate_actions",
        "corporate_action_history",
    ],
    carries=True,
)
def prices(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """Daily bars known since the last cutoff, unadjusted, in the listing currency; rejected bars are flagged, not edited.

    A bar sent again is left out, a corrected one stands beside the one as received, with the version of its overlay.
    """
    read = store.reader(context)
    frame = rebuild_data.prices(read, store.lake.ledger)
    return materialized(context, store, frame, schema.PRICES, shows=pages.moves(frame, rebuild_data.recent(read)))


@stage_asset(schema.RESTATEMENTS, stage=STAGE, deps=["raw_prices", "instruments", "prices", "price_history"])
def restatements(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """Bars that a provider sent again, compared with what we have: equal, or restated by how much."""
    frame = rebuild_data.restatements(store.reader(context), store.lake.ledger)
    return materialized(context, store, frame, schema.RESTATEMENTS, shows=pages.restated(frame))


@stage_asset(schema.FX, stage=STAGE, deps=["mandate", "raw_fx"])
def fx(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """Base currency per unit of each currency, triangulated over the euro from the ECB's rates of one date."""
    frame = rebuild_data.fx(store.reader(context), store.lake.ledger)
    return materialized(context, store, frame, schema.FX)


@stage_asset(schema.MACRO, stage=STAGE, deps=["raw_macro"], domain="macro")
def macro(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """Macro observations released since the last cutoff, each with the instant at which it was known."""
    frame = rebuild_data.macro(store.reader(context), store.lake.ledger)
    return materialized(context, store, frame, schema.MACRO)


@stage_asset(schema.FUNDAMENTALS, stage=STAGE, deps=["raw_fundamentals", "instruments"], domain="fundamentals")
def fundamentals(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """Figures filed since the last cutoff, as filed, in the reporting currency."""
    frame = rebuild_data.fundamentals(store.reader(context), store.lake.ledger)
    return materialized(context, store, frame, schema.FUNDAMENTALS)


@stage_asset(schema.NEWS, stage=STAGE, deps=["raw_news", "instruments"], domain="news")
def news(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """Headlines crawled since the last cutoff, cleaned of hidden characters, repeated texts dropped."""
    frame = rebuild_data.news(store.reader(context), store.lake.ledger)
    return materialized(context, store, frame, schema.NEWS)


@stage_asset(
    schema.DATA_QUALITY,
    stage=STAGE,
    deps=[
        "mandate",
        "instruments",
        "prices",
        "price_history",
        "restatements",
        "corporate_actions",
        "corporate_action_history",
        "raw_fx",
        "fx",
        "fx_history",
        "macro",
        "macro_history",
    ],
    domain="control",
)
def data_quality(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """Every quality rule on every instrument, currency and table: pass, warn, quarantine or halt, with what was measured."""
    read = store.reader(context)
    frame = rebuild_data.data_quality(read, store.lake.ledger)
    page = Reader(store.lake, read.session, allowed={"data_quality"})  # what the plot shows is no input of the table
    before = page.each("data_quality", pages.HISTORY_SESSIONS, with_session=False)
    shows = pages.outcomes(frame, before, read.session, read.read("instruments"))
    return materialized(context, store, frame, schema.DATA_QUALITY, shows=shows)


@dataclass(frozen=True)
class Bootstrap:
    """One bootstrap asset: the raw table that its body parses into, and how the body is fetched."""

    asset: str
    raw: str
    domain: str
    fetch: Callable[[Ports, BookOpen], Delivery]


BOOTSTRAPS = (
    Bootstrap("instrument_history", "raw_instruments", "market", lambda p, o: p.market.instruments(o.history_until)),
    Bootstrap("price_history", "raw_prices", "market", lambda p, o: p.market.prices(None, o.history_until)),
    Bootstrap(
        "corporate_action_history",
        "raw_corporate_actions",
        "market",
        lambda p, o: p.market.corporate_actions(None, o.history_until),
    ),
    Bootstrap("fx_history", "raw_fx", "market", lambda p, o: p.market.fx(None, o.history_until)),
    Bootstrap("macro_history", "raw_macro", "macro", lambda p, o: p.macro.series(None, o.history_until)),
    Bootstrap(
        "fundamentals_history",
        "raw_fundamentals",
        "fundamentals",
        lambda p, o: p.fundamentals.filings(None, o.history_until),
    ),
    Bootstrap("news_history", "raw_news", "news", lambda p, o: p.news.headlines(None, o.history_until)),
)


def bootstrap_asset(source: Bootstrap) -> dg.AssetsDefinition:
    """The bootstrap asset of one table: everything known before the home's first session, loaded once."""
    table: Table = schema.HISTORY[source.asset]
    deps = ["mandate"] if source.asset == "instrument_history" else ["mandate", "instrument_history"]
    deps += ["corporate_action_history"] if source.asset == "price_history" else []
    text = f"Rows of the table behind `{source.raw}` that were known before the home's first session; loaded once, then served."

    @stage_asset(table, stage=STAGE, deps=deps, domain=source.domain, description=text)
    def history(context: dg.AssetExecutionContext, store: StoreResource, ports: Ports) -> dg.MaterializeResult:
        opened = rebuild_data.opened(store.lake.ledger)
        return ingest(context, store, table, lambda: source.fetch(ports, opened), opened.history_until)

    return history


HISTORIES = [bootstrap_asset(source) for source in BOOTSTRAPS]
ASSETS = [
    instruments,
    price_overlays,
    corporate_actions,
    identifiers,
    prices,
    restatements,
    fx,
    macro,
    fundamentals,
    news,
    data_quality,
    *HISTORIES,
]
