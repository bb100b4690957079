"""Assets of the features stage."""

import dagster as dg

from marketbot_assets import declared_pages, pages, rebuild
from marketbot_assets.features import schema
from marketbot_assets.lineage import code_of, materialized, stage_asset
from marketbot_assets.panels import MARKET_DEPS
from marketbot_resources.store.resource import StoreResource

STAGE = "features"
FEATURE_DEPS = [*MARKET_DEPS, "data_quality", "fundamentals", "fundamentals_history"]


@stage_asset(schema.FEATURES, stage=STAGE, deps=FEATURE_DEPS, kinds=("parquet", "numpy"))
def features(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """Every registered feature per instrument as known at the cutoff; units and sources stand in the columns. NaN is unknown."""
    read = store.reader(context)
    frame = rebuild.features(read, store.lake.ledger)
    shows = pages.coverage(frame, read.read("instruments"))
    return materialized(context, store, frame, schema.FEATURES, shows=shows)


@stage_asset(
    schema.FACTOR_MODEL, stage=STAGE, deps=[*MARKET_DEPS, "features"], kinds=("parquet", "numpy"), domain="risk"
)
def factor_model(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """Exposures, factor covariance, specific risk (per year), two covariance estimators, and returns in past stress windows."""
    frame = rebuild.factor_model(store.reader(context), store.lake.ledger)
    scenarios = sorted(frame.loc[frame["block"] == "scenario", "key"])
    return materialized(context, store, frame, schema.FACTOR_MODEL, shows={"scenarios": ", ".join(scenarios)})


class Workers(dg.Config):
    """Where a full build runs: local, processes:N, dask:N, tcp://HOST:PORT or tls://HOST:PORT."""

    workers: str = "local"


@stage_asset(
    schema.WIDE_FEATURES,
    stage=STAGE,
    deps=[*MARKET_DEPS, "fundamentals", "fundamentals_history"],
    kinds=("parquet", "numba"),
    carries=True,
)
def wide_features(context: dg.AssetExecutionContext, config: Workers, store: StoreResource) -> dg.MaterializeResult:
    """Every declared feature (Alpha158 and our own) per instrument as known at the cutoff, on from a kept state or built in full,
    with the same bits. Job `declared`; nothing of a decision waits for it. Units stand in the columns. NaN is unknown.
    """
    from marketbot_assets.declared_features import make

    read, stamp = store.reader(context), f"{code_of('normalization')} {code_of(STAGE)}"
    made = make(read, store.lake, run_id=context.run.run_id, stamp=stamp, where=config.workers)
    shows = declared_pages.declared(made)
    return materialized(
        context, store, made.frame, schema.WIDE_FEATURES, blobs=made.blobs, facts=made.facts, shows=shows
    )


ASSETS = [features, factor_model, wide_features]
