"""Assets of the risk stage: stress losses of the book after the plan, the verdict, the risk numbers of what was approved."""

import dagster as dg

from marketbot_assets import rebuild, risk_pages
from marketbot_assets.lineage import materialized, stage_asset
from marketbot_assets.operations import OPERATION_DEPS
from marketbot_assets.panels import market, rate_moves
from marketbot_assets.risk import schema
from marketbot_assets.session_facts import NEAR_SESSIONS, SITUATION_DEPS
from marketbot_resources.store.resource import StoreResource

STAGE = "risk"
DEPS = [*SITUATION_DEPS, "target_portfolio", "order_plan"]
VERDICT_DEPS = list(dict.fromkeys((*DEPS, *OPERATION_DEPS)))


@stage_asset(schema.STRESS_RESULTS, stage=STAGE, deps=DEPS, domain="risk")
def stress_results(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """Loss of the book after the plan in each stress scenario, fraction of NAV, with its limit and worst contributors."""
    read = store.reader(context)
    frame = rebuild.stress_results(read, store.lake.ledger)
    shows = risk_pages.stress(frame, read.read("instruments"), read.mandate())
    return materialized(context, store, frame, schema.STRESS_RESULTS, shows=shows)


@stage_asset(schema.RISK_VERDICT, stage=STAGE, deps=VERDICT_DEPS, carries=True, domain="control")
def risk_verdict(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """Every control's observed value, limit and headroom, what became of each order, the verdict on the batch, open breaches."""
    read = store.reader(context)
    frame = rebuild.risk_verdict(read, store.lake.ledger)
    told = [read.read(name) for name in ("instruments", "book_state", "factor_model")]
    return materialized(
        context, store, frame, schema.RISK_VERDICT, shows=risk_pages.verdict(frame, *told, mandate=read.mandate())
    )


@stage_asset(schema.RISK_REPORT, stage=STAGE, deps=[*DEPS, "risk_verdict"], domain="risk")
def risk_report(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """Value at risk, shortfall and volatility by method, what they are made of, and how earlier forecasts did."""
    read = store.reader(context)
    frame = rebuild.risk_report(read, store.lake.ledger)
    told = [read.read(name) for name in ("instruments", "book_state", "positions")]
    moves = rate_moves(market(read, NEAR_SESSIONS))
    shows = risk_pages.risk(frame, *told, moves=moves, mandate=read.mandate())
    return materialized(context, store, frame, schema.RISK_REPORT, shows=shows)


ASSETS = [stress_results, risk_verdict, risk_report]
