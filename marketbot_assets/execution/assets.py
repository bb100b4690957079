"""Assets of the execution stage: the approved batch, what the broker acknowledged, what fills cost."""

import dagster as dg

from marketbot_assets import cost_facts, cost_pages, rebuild
from marketbot_assets.execution import schema
from marketbot_assets.lineage import materialized, stage_asset
from marketbot_assets.panels import MARKET_DEPS
from marketbot_assets.submit import SUBMIT_DEPS, Desk, submit
from marketbot_resources.store.resource import StoreResource
from marketbot_resources.wiring import BrokerResource, ClockResource, HaltResource, NotaryResource, Ports

STAGE = "execution"


@stage_asset(schema.ORDERS, stage=STAGE, deps=["order_plan", "risk_verdict"], domain="decision")
def orders(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """The approved batch, byte for byte; empty on REJECTED and HALT. Without a verdict on exactly this plan it fails."""
    frame = rebuild.orders(store.reader(context), store.lake.ledger)
    return materialized(context, store, frame, schema.ORDERS)


@stage_asset(schema.SUBMISSIONS, stage=STAGE, deps=SUBMIT_DEPS, kinds=("ledger",), domain="book")
def submissions(
    context: dg.AssetExecutionContext,
    store: StoreResource,
    broker: BrokerResource,
    clock: ClockResource,
    halt: HaltResource,
    ports: Ports,
    notary: NotaryResource,
) -> dg.MaterializeResult:
    """What the broker acknowledged, order by order, after the last-line gate. The only asset that talks to its order endpoint."""
    read, lake = store.reader(context), store.lake
    signing = notary.open(lake, read.mandate())
    desk = Desk(lake.ledger, broker.open(read.mandate(), ports), clock.open(), halt.open(), signing, lake.home)
    frame = submit(read, desk)
    shows = {str(state): int(count) for state, count in frame["state"].value_counts().items()}
    return materialized(context, store, frame, schema.SUBMISSIONS, shows=shows)


@stage_asset(schema.EXECUTION_COSTS, stage=STAGE, deps=[*MARKET_DEPS, "fills", "order_plan"], domain="book")
def execution_costs(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """What this session's fills cost against the price at their decision: slippage, fees, taxes, base currency."""
    frame = rebuild.execution_costs(store.reader(context), store.lake.ledger)
    return materialized(context, store, frame, schema.EXECUTION_COSTS)


@stage_asset(schema.SHORTFALL, stage=STAGE, deps=cost_facts.SHORTFALL_DEPS, carries=True, domain="book")
def shortfall(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """Implementation shortfall of each order that ended: delay, spread, impact, the rest, opportunity, fees, taxes."""
    read = store.reader(context)
    frame = cost_facts.shortfall(read, store.lake.ledger)
    shows = cost_pages.shortfall(frame, cost_facts.ended_before(read), read.read("instruments"), read.session)
    return materialized(context, store, frame, schema.SHORTFALL, shows=shows)


ASSETS = [orders, submissions, execution_costs, shortfall]
