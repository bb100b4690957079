"""Assets of the insight stage."""

import dagster as dg

from marketbot_assets import rebuild
from marketbot_assets.insight import schema
from marketbot_assets.lineage import materialized, stage_asset
from marketbot_assets.panels import MARKET_DEPS
from marketbot_resources.store.resource import StoreResource

STAGE = "insight"


@stage_asset(schema.LLM_CONTEXT, stage=STAGE, deps=["features", "instruments", "news", "news_history"], domain="news")
def llm_context(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """Themes, sentiments and a risk-on score, made by rules and marked `fallback`; they influence no weight."""
    frame = rebuild.llm_context(store.reader(context), store.lake.ledger)
    return materialized(context, store, frame, schema.LLM_CONTEXT)


@stage_asset(schema.RETURN_MODEL, stage=STAGE, deps=MARKET_DEPS, carries=True, domain="model")
def return_model(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """The ridge model in force and its card; fitted anew when five sessions old or its specification changed, else handed on."""
    read = store.reader(context)
    frame = rebuild.return_model(read, store.lake.ledger)
    fitted_on = frame["fitted_on"].iloc[0].date()
    age = read.sessions_since(read.mandate().calendar, fitted_on)
    return materialized(
        context, store, frame, schema.RETURN_MODEL, shows={"refitted": str(age == 0), "sessions since fit": age}
    )


@stage_asset(
    schema.FORECASTS, stage=STAGE, deps=["mandate", "return_model", "features", "factor_model"], domain="model"
)
def forecasts(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """Expected excess return per year and risk of each instrument: an equilibrium prior tilted by the return model."""
    read = store.reader(context)
    spec = str(read.read("return_model")["spec_sha256"].iloc[0])
    frame = rebuild.forecasts(read, store.lake.ledger)
    return materialized(context, store, frame, schema.FORECASTS, facts={"model_spec_sha256": spec})


ASSETS = [llm_context, return_model, forecasts]
