"""Assets of the features stage."""

import dagster as dg

from marketbot_assets.features import schema
from marketbot_assets.features.registry import LOOKBACK_SESSIONS
from marketbot_assets.lineage import materialized, stage_asset
from marketbot_assets.panels import MARKET_DEPS, market
from marketbot_resources.store.resource import StoreResource

STAGE = "features"
MODEL_SESSIONS = 760
ALL_SESSIONS = 7000


@stage_asset(
    schema.FEATURES,
    stage=STAGE,
    deps=[*MARKET_DEPS, "data_quality", "fundamentals", "fundamentals_history"],
    kinds=("parquet", "numpy"),
)
def features(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """Every registered feature per instrument as known at the cutoff; units and sources stand in the columns. NaN is unknown."""
    from marketbot_assets.features.build import build_features

    read = store.reader(context)
    known = market(read, LOOKBACK_SESSIONS)
    frame = build_features(known.window, known.macro, read.as_of("fundamentals"), known.instruments, read.session)
    shows: dict[str, str | int | float | dg.MetadataValue] = {"complete names": int(frame["complete"].sum())}
    return materialized(context, store, frame, schema.FEATURES, shows=shows)


@stage_asset(
    schema.FACTOR_MODEL, stage=STAGE, deps=[*MARKET_DEPS, "features"], kinds=("parquet", "numpy"), domain="risk"
)
def factor_model(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """Exposures, factor covariance, specific risk (per year), two covariance estimators, and returns in past stress windows."""
    from marketbot_assets.features.factor_model import estimate_factor_model, shrunk_beta, to_frame
    from marketbot_assets.features.scenarios import scenario_returns

    read = store.reader(context)
    known, past = market(read, MODEL_SESSIONS), market(read, ALL_SESSIONS)
    beta = shrunk_beta(known.window.base_return, known.macro.series["SP500"])
    stress = scenario_returns(
        past.window.base_return, past.window.sessions, past.macro.series["SP500"], beta, read.session
    )
    sectors = list(known.instruments["sector"])
    model = estimate_factor_model(known.window, known.macro, read.read("features"), sectors, known.mandate, stress)
    return materialized(
        context, store, to_frame(model), schema.FACTOR_MODEL, shows={"scenarios": ", ".join(model.scenarios)}
    )


ASSETS = [features, factor_model]
