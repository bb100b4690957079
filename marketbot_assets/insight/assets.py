"""Assets of the insight stage."""

import dagster as dg

from marketbot_assets import rebuild
from marketbot_assets.insight import schema
from marketbot_assets.lineage import materialized, stage_asset
from marketbot_assets.panels import MARKET_DEPS, market
from marketbot_resources.store.resource import StoreResource

STAGE = "insight"
TRAINING_SESSIONS = 1010


@stage_asset(schema.LLM_CONTEXT, stage=STAGE, deps=["features", "instruments", "news", "news_history"], domain="news")
def llm_context(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """Themes, sentiments and a risk-on score, made by rules and marked `fallback`; they influence no weight."""
    from marketbot_assets.insight.heuristic import heuristic_context

    read = store.reader(context)
    frame = heuristic_context(read.read("features"), read.read("instruments"), read.as_of("news"), read.cutoff)
    return materialized(context, store, frame, schema.LLM_CONTEXT)


@stage_asset(schema.RETURN_MODEL, stage=STAGE, deps=MARKET_DEPS, carries=True, domain="model")
def return_model(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """The ridge model in force and its card; fitted anew when five sessions old or its specification changed, else handed on."""
    from marketbot_assets.insight.return_model import fit_return_model, from_frame, needs_refit, spec_sha256, to_frame

    read = store.reader(context)
    mandate, previous = read.mandate(), read.previous("return_model")
    age = 0 if previous is None else read.sessions_since(mandate.calendar.mic, previous["fitted_on"].iloc[0].date())
    known = None if previous is None else from_frame(previous)
    refit = needs_refit(known, sessions_since_fit=age, spec=spec_sha256(mandate))
    frame = (
        to_frame(fit_return_model(market(read, TRAINING_SESSIONS).window, mandate))
        if refit or previous is None
        else previous
    )
    return materialized(
        context, store, frame, schema.RETURN_MODEL, shows={"refitted": str(refit), "sessions since fit": age}
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
