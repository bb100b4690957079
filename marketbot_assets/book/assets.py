"""Assets of the book stage: what was filled, what is held, whether the broker agrees, and in which state the book is."""

import dagster as dg

from marketbot_assets import pages, rebuild
from marketbot_assets.book import schema
from marketbot_assets.lineage import materialized, stage_asset
from marketbot_assets.session_facts import ROLL_DEPS, quoted_hits
from marketbot_resources.stop_hits import record_hits, refuse_decided
from marketbot_resources.store.resource import StoreResource, session_of

STAGE = "book"
STATE_DEPS = [*ROLL_DEPS, "positions", "reconciliation", "features", "factor_model"]


@stage_asset(schema.FILLS, stage=STAGE, deps=["account_snapshot"], domain="book")
def fills(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """Executions known since the last cutoff, of orders decided earlier, each once. Source: the broker's report."""
    frame = rebuild.fills(store.reader(context), store.lake.ledger)
    return materialized(context, store, frame, schema.FILLS)


@stage_asset(schema.POSITIONS, stage=STAGE, deps=ROLL_DEPS, carries=True, domain="book")
def positions(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """Shares and cash after this session's fills and corporate actions, valued at its closes in base currency."""
    read = store.reader(context)
    frame = rebuild.positions(read, store.lake.ledger)
    return materialized(context, store, frame, schema.POSITIONS, shows=pages.holdings(frame, read.read("instruments")))


@stage_asset(
    schema.RECONCILIATION,
    stage=STAGE,
    deps=["account_snapshot", "instruments", "fills", "positions"],
    carries=True,
    domain="control",
)
def reconciliation(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """Our book against the broker's, over everything that either of them names: match, explained, locked or break."""
    frame = rebuild.reconciliation(store.reader(context), store.lake.ledger)
    return materialized(context, store, frame, schema.RECONCILIATION, shows=pages.reconciliation(frame))


@stage_asset(schema.BOOK_STATE, stage=STAGE, deps=STATE_DEPS, carries=True, domain="control")
def book_state(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """NAV, highs, drawdown, rung of the ladder, entry and extreme per lot, stops hit, names blocked and until when."""
    read = store.reader(context)
    frame = rebuild.book_state(read, store.lake.ledger)
    return materialized(context, store, frame, schema.BOOK_STATE, shows=pages.book(frame, read.session))


@stage_asset(schema.PROTECTIVE_EXITS, stage=STAGE, deps=["book_state"], domain="control")
def protective_exits(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """Positions that must be sold whole at the next open because the session's close broke their stop or trail."""
    frame = rebuild.protective_exits(store.reader(context), store.lake.ledger)
    return materialized(context, store, frame, schema.PROTECTIVE_EXITS)


@stage_asset(
    schema.INTRADAY_EXITS,
    stage=STAGE,
    deps=["intraday_quotes", "mandate", "corporate_action_history"],
    before=["book_state", "positions", "features", "corporate_actions"],
    domain="control",
)
def intraday_exits(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """Held names whose stop two quotes in a row broke today: recorded, nothing is sent; the next decision sells them whole."""
    session, ledger = session_of(context), store.lake.ledger
    refuse_decided(ledger, session)
    frame = rebuild.intraday_exits(store.reader(context), ledger)
    record_hits(ledger, session, quoted_hits(frame))
    return materialized(context, store, frame, schema.INTRADAY_EXITS)


ASSETS = [fills, positions, reconciliation, book_state, protective_exits, intraday_exits]
