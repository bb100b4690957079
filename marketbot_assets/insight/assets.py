"""Assets of the insight stage."""

from functools import partial

import dagster as dg

from marketbot_assets import champion_facts, llm_pages, model_pages, rebuild
from marketbot_assets.insight import schema
from marketbot_assets.lineage import asks_again, ingest, keep_body, materialized, stage_asset
from marketbot_assets.llm_calls import ask_models
from marketbot_assets.panels import MARKET_DEPS
from marketbot_resources.ledger.record import Json
from marketbot_resources.store.reader import Reader
from marketbot_resources.store.resource import StoreResource
from marketbot_resources.wiring import LlmResource

STAGE = "insight"


PACK_DEPS = ["mandate", "features", "instruments", "news", "news_history", "macro", "macro_history"]
FORECAST_DEPS = [
    "mandate",
    "instruments",
    "return_model",
    "features",
    "factor_model",
    "llm_context",
    "llm_answers",
    "llm_evidence",
]
MODEL_DEPS = [*MARKET_DEPS, "fundamentals", "fundamentals_history"]
VIEW_DEPS = ["mandate", "context_pack", "llm_answers", "features", "instruments", "news", "news_history"]


@stage_asset(schema.CONTEXT_PACK, stage=STAGE, deps=PACK_DEPS, domain="news")
def context_pack(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """What a language model may know of this session: facts, macro releases and headlines of stored rows, each with its id."""
    read = store.reader(context)
    frame = rebuild.context_pack(read, store.lake.ledger)
    page = Reader(
        store.lake, read.session, allowed={"context_pack"}
    )  # what the page compares with is no input of the pack
    shows = llm_pages.pack(frame, page.previous("context_pack"), read.read("instruments"), read.mandate())
    return materialized(context, store, frame, schema.CONTEXT_PACK, shows=shows)


@stage_asset(schema.LLM_ANSWERS, stage=STAGE, deps=["mandate", "context_pack"], kinds=("json",), domain="news")
def llm_answers(context: dg.AssetExecutionContext, store: StoreResource, llm: LlmResource) -> dg.MaterializeResult:
    """Every try of every model asked, as received: question and answer by hash, tokens, cost in US dollars, outcome."""
    read = store.reader(context)
    keep = partial(keep_body, context, store, "llm_answers", fetched_at=read.cutoff)
    asked = partial(ask_models, read, store.lake, llm.open(), keep, fresh=asks_again(context))
    shows = partial(llm_pages.answers, mandate=read.mandate())
    return ingest(context, store, schema.LLM_ANSWERS, asked, read.cutoff, shows=shows)


@stage_asset(schema.LLM_CONTEXT, stage=STAGE, deps=VIEW_DEPS, domain="news")
def llm_context(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """Themes, sentiments and a risk-on score: a model's checked views, or those of rules, marked `fallback`, with the reason."""
    read = store.reader(context)
    frame = rebuild.llm_context(read, store.lake.ledger)
    shows = llm_pages.context(frame, read.read("context_pack"), read.read("instruments"))
    return materialized(context, store, frame, schema.LLM_CONTEXT, shows=shows)


@stage_asset(schema.LLM_EVIDENCE, stage=STAGE, deps=[*MARKET_DEPS, "llm_context"], carries=True, domain="model")
def llm_evidence(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """What became of earlier views: one information coefficient per past session whose horizon has ended. It gives views weight."""
    read = store.reader(context)
    frame = rebuild.llm_evidence(read, store.lake.ledger)
    return materialized(context, store, frame, schema.LLM_EVIDENCE, shows=llm_pages.evidence(frame, read.mandate()))


@stage_asset(schema.RETURN_MODEL, stage=STAGE, deps=MODEL_DEPS, carries=True, domain="model")
def return_model(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """The mandate's ridge model, fitted every five sessions, and the registry's champion where there is one, with its forecasts."""
    read, lake = store.reader(context), store.lake
    frame, chosen = rebuild.models_in_force(read, lake.ledger)
    used = champion_facts.keep_refit(read, lake, chosen)
    shows = model_pages.models(frame, read)
    return materialized(context, store, frame, schema.RETURN_MODEL, blobs=used, shows=shows)


@stage_asset(schema.FORECASTS, stage=STAGE, deps=FORECAST_DEPS, domain="model")
def forecasts(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """Expected excess return per year and risk of each instrument: an equilibrium prior tilted by model and by proven views."""
    read = store.reader(context)
    models = read.read("return_model")
    frame, views = rebuild.forecasts(read, store.lake.ledger), rebuild.weighed_views(read).facts()
    facts: dict[str, Json] = {"model_spec_sha256": model_pages.spec_of(models), **champion_facts.told(models), **views}
    return materialized(context, store, frame, schema.FORECASTS, facts=facts, shows=views)


ASSETS = [context_pack, llm_answers, llm_context, llm_evidence, return_model, forecasts]
