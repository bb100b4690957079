"""Assets of the normalization stage: daily tables, and one bootstrap asset per table with what was known before the book opened."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dagster as dg

from marketbot_assets.lineage import keep_body, materialized, stage_asset, stored
from marketbot_assets.normalization import schema
from marketbot_resources.mandate import Mandate
from marketbot_resources.provider import Body
from marketbot_resources.sessions import BookOpen, last_cutoff_before, open_book
from marketbot_resources.store.reader import Reader
from marketbot_resources.store.resource import StoreResource, session_of
from marketbot_resources.store.table import Table
from marketbot_resources.wiring import Ports

if TYPE_CHECKING:
    import pandas as pd

STAGE = "normalization"
PANEL_SESSIONS = 65


@stage_asset(schema.INSTRUMENTS, stage=STAGE, deps=["mandate", "raw_instruments", "account_snapshot"])
def instruments(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """Listings as of the cutoff under our own ids, in ISO currencies, with their place in the universe."""
    from marketbot_assets.normalization.identity import normalize_instruments

    read = store.reader(context)
    frame = normalize_instruments(read.read("raw_instruments"), read.mandate().universe.listings, read.cutoff)
    return materialized(context, store, frame, schema.INSTRUMENTS)


@stage_asset(schema.CORPORATE_ACTIONS, stage=STAGE, deps=["raw_corporate_actions", "instruments"])
def corporate_actions(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """Splits and cash dividends announced since the last cutoff, per share in the listing currency."""
    from marketbot_assets.normalization.series import normalize_corporate_actions

    read = store.reader(context)
    frame = normalize_corporate_actions(read.read("raw_corporate_actions"), read.read("instruments"))
    return materialized(context, store, frame, schema.CORPORATE_ACTIONS)


@stage_asset(
    schema.PRICES,
    stage=STAGE,
    deps=["raw_prices", "instruments", "price_history", "corporate_actions", "corporate_action_history"],
    carries=True,
)
def prices(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """Daily bars known since the last cutoff, unadjusted, in the listing currency; rejected bars are flagged, not edited."""
    from marketbot_assets import pages
    from marketbot_assets.normalization.quality import bar_findings, flag_quarantine, recent_bars
    from marketbot_assets.normalization.series import normalize_prices

    read = store.reader(context)
    bars = normalize_prices(read.read("raw_prices"), read.read("instruments"))
    recent = recent_bars(read.panel("prices", PANEL_SESSIONS, with_session=False), read.session)
    findings = bar_findings(bars, recent, read.panel("corporate_actions"), read.session)
    return materialized(context, store, flag_quarantine(bars, findings), schema.PRICES, shows=pages.moves(bars, recent))


@stage_asset(schema.FX, stage=STAGE, deps=["mandate", "raw_fx"])
def fx(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """Base currency per unit of each currency, triangulated over the euro from the ECB's rates of one date."""
    from marketbot_assets.normalization.series import normalize_fx

    read = store.reader(context)
    return materialized(context, store, normalize_fx(read.read("raw_fx"), read.mandate().base_currency), schema.FX)


@stage_asset(schema.MACRO, stage=STAGE, deps=["raw_macro"], domain="macro")
def macro(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """Macro observations released since the last cutoff, each with the instant at which it was known."""
    from marketbot_assets.normalization.series import normalize_macro

    return materialized(context, store, normalize_macro(store.reader(context).read("raw_macro")), schema.MACRO)


@stage_asset(schema.FUNDAMENTALS, stage=STAGE, deps=["raw_fundamentals", "instruments"], domain="fundamentals")
def fundamentals(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """Figures filed since the last cutoff, as filed, in the reporting currency."""
    from marketbot_assets.normalization.series import normalize_fundamentals

    read = store.reader(context)
    frame = normalize_fundamentals(read.read("raw_fundamentals"), read.read("instruments"))
    return materialized(context, store, frame, schema.FUNDAMENTALS)


@stage_asset(schema.NEWS, stage=STAGE, deps=["raw_news", "instruments"], domain="news")
def news(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """Headlines crawled since the last cutoff, cleaned of hidden characters, repeated texts dropped."""
    from marketbot_assets.normalization.series import normalize_news

    read = store.reader(context)
    return materialized(context, store, normalize_news(read.read("raw_news"), read.read("instruments")), schema.NEWS)


@stage_asset(
    schema.DATA_QUALITY,
    stage=STAGE,
    deps=[
        "mandate",
        "instruments",
        "prices",
        "price_history",
        "corporate_actions",
        "corporate_action_history",
        "fx",
        "fx_history",
        "macro",
        "macro_history",
    ],
    domain="control",
)
def data_quality(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """Every quality rule on every instrument, currency and table: pass, warn, quarantine or halt, with what was measured."""
    from marketbot_assets import pages
    from marketbot_assets.normalization.quality import assess

    read = store.reader(context)
    before = last_cutoff_before(store.lake.ledger, read.session)
    frame = assess(
        bars=read.read("prices"),
        panel=read.panel("prices", PANEL_SESSIONS, with_session=False),
        actions=read.panel("corporate_actions"),
        instruments=read.read("instruments"),
        fx=read.panel("fx", PANEL_SESSIONS),
        macro=read.panel("macro", PANEL_SESSIONS),
        session=read.session,
        cutoff=read.cutoff,
        previous_cutoff=before,
        base=read.mandate().base_currency,
    )
    return materialized(context, store, frame, schema.DATA_QUALITY, shows=pages.outcomes(frame))


@dataclass(frozen=True)
class Bootstrap:
    """One bootstrap asset: the raw table that its body parses into, how the body is fetched, how rows become tidy."""

    asset: str
    raw: str
    domain: str
    fetch: Callable[[Ports, BookOpen], Body]
    tidy: "Callable[[pd.DataFrame, Reader, BookOpen], pd.DataFrame]"


def _tidy(name: str) -> "Callable[[pd.DataFrame, Reader, BookOpen], pd.DataFrame]":
    def apply(raw: "pd.DataFrame", read: Reader, opened: BookOpen) -> "pd.DataFrame":
        from marketbot_assets.normalization import series

        function = getattr(series, name)
        frame: pd.DataFrame = function(raw, read.read("instrument_history"))
        return frame

    return apply


def _tidy_instruments(raw: "pd.DataFrame", read: Reader, opened: BookOpen) -> "pd.DataFrame":
    from marketbot_assets.normalization.identity import normalize_instruments

    return normalize_instruments(raw, read.mandate().universe.listings, opened.history_until)


def _tidy_fx(raw: "pd.DataFrame", read: Reader, opened: BookOpen) -> "pd.DataFrame":
    from marketbot_assets.normalization.series import normalize_fx

    return normalize_fx(raw, read.mandate().base_currency)


def _tidy_macro(raw: "pd.DataFrame", read: Reader, opened: BookOpen) -> "pd.DataFrame":
    from marketbot_assets.normalization.series import normalize_macro

    return normalize_macro(raw)


BOOTSTRAPS = (
    Bootstrap(
        "instrument_history",
        "raw_instruments",
        "market",
        lambda p, o: p.market.instruments(o.history_until),
        _tidy_instruments,
    ),
    Bootstrap(
        "price_history",
        "raw_prices",
        "market",
        lambda p, o: p.market.prices(None, o.history_until),
        _tidy("normalize_prices"),
    ),
    Bootstrap(
        "corporate_action_history",
        "raw_corporate_actions",
        "market",
        lambda p, o: p.market.corporate_actions(None, o.history_until),
        _tidy("normalize_corporate_actions"),
    ),
    Bootstrap("fx_history", "raw_fx", "market", lambda p, o: p.market.fx(None, o.history_until), _tidy_fx),
    Bootstrap("macro_history", "raw_macro", "macro", lambda p, o: p.macro.series(None, o.history_until), _tidy_macro),
    Bootstrap(
        "fundamentals_history",
        "raw_fundamentals",
        "fundamentals",
        lambda p, o: p.fundamentals.filings(None, o.history_until),
        _tidy("normalize_fundamentals"),
    ),
    Bootstrap(
        "news_history",
        "raw_news",
        "news",
        lambda p, o: p.news.headlines(None, o.history_until),
        _tidy("normalize_news"),
    ),
)


def bootstrap_asset(source: Bootstrap) -> dg.AssetsDefinition:
    """The bootstrap asset of one table: everything known before the home's first session, loaded once."""
    table: Table = schema.HISTORY[source.asset]
    deps = ["mandate"] if source.asset == "instrument_history" else ["mandate", "instrument_history"]
    text = f"Rows of the table behind `{source.raw}` that were known before the home's first session; loaded once, then served."

    @stage_asset(table, stage=STAGE, deps=deps, domain=source.domain, description=text)
    def history(context: dg.AssetExecutionContext, store: StoreResource, ports: Ports) -> dg.MaterializeResult:
        from marketbot_assets.ingestion.parse import PARSERS

        served = stored(context, store, table)
        if served is not None:
            return served
        read = store.reader(context)
        opened = _opened(read, store, context)
        body = source.fetch(ports, opened)
        name = keep_body(context, store, source.asset, body, opened.history_until)
        rows = PARSERS[source.raw](body.content, source=body.provider, blob_sha256=name)
        return materialized(context, store, source.tidy(rows, read, opened), table, blobs=[name])

    return history


def _opened(read: Reader, store: StoreResource, context: dg.AssetExecutionContext) -> BookOpen:
    mandate: Mandate = read.mandate()
    return open_book(store.lake.ledger, session_of(context), mandate.calendar, mandate.schedule)


HISTORIES = [bootstrap_asset(source) for source in BOOTSTRAPS]
ASSETS = [instruments, corporate_actions, prices, fx, macro, fundamentals, news, data_quality, *HISTORIES]
