"""Assets of the portfolio stage: target weights, why, and the plan of orders."""

import dagster as dg

from marketbot_assets import cost_facts, cost_pages, explained_pages, llm_pages, pages, rebuild
from marketbot_assets.cost_facts import CALIBRATION_DEPS
from marketbot_assets.lineage import materialized, stage_asset
from marketbot_assets.portfolio import schema
from marketbot_assets.session_facts import SITUATION_DEPS
from marketbot_resources.store.resource import StoreResource

STAGE = "portfolio"
DEPS = [*SITUATION_DEPS, "protective_exits"]


@stage_asset(schema.COST_CALIBRATION, stage=STAGE, deps=CALIBRATION_DEPS, carries=True, domain="book")
def cost_calibration(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """What orders cost against the mandate's model, and the factor per currency and side that live ones put on it. bps."""
    frame = cost_facts.cost_calibration(store.reader(context), store.lake.ledger)
    return materialized(context, store, frame, schema.COST_CALIBRATION, shows=cost_pages.calibration(frame))


@stage_asset(schema.TARGET_PORTFOLIO, stage=STAGE, deps=DEPS, kinds=("parquet", "cvxpy"), domain="decision")
def target_portfolio(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """Target weight per instrument and for cash, with the method that answered and how exactly it keeps the limits."""
    read = store.reader(context)
    frame = rebuild.target_portfolio(read, store.lake.ledger)
    facts = {name: str(frame[name].iloc[0]) for name in ("method", "solver")}
    instruments = read.read("instruments")
    views = llm_pages.influence(frame, instruments, read.mandate())
    shows = {**pages.target(frame, instruments), **explained_pages.kept(frame), **views}
    return materialized(context, store, frame, schema.TARGET_PORTFOLIO, facts=facts, shows=shows)


@stage_asset(schema.TARGET_EXPLANATION, stage=STAGE, deps=[*DEPS, "target_portfolio"], domain="decision")
def target_explanation(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """What pulls each weight, what it brings and what moved it since the session before; what each limit costs: its price."""
    read = store.reader(context)
    frame = rebuild.target_explanation(read, store.lake.ledger)
    shows = {**pages.binding(frame), **explained_pages.explained(frame, read.read("instruments"))}
    return materialized(context, store, frame, schema.TARGET_EXPLANATION, shows=shows)


@stage_asset(schema.ORDER_PLAN, stage=STAGE, deps=[*DEPS, "target_portfolio"], domain="decision")
def order_plan(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """Proposed orders in whole lots with limit price, auction window, expected cost and reason; currency legs pay for them."""
    read = store.reader(context)
    frame = rebuild.order_plan(read, store.lake.ledger)
    shows = {**pages.orders(frame, read.read("instruments")), **explained_pages.tracking(frame)}
    return materialized(context, store, frame, schema.ORDER_PLAN, shows=shows)


ASSETS = [cost_calibration, target_portfolio, target_explanation, order_plan]
