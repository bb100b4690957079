"""The graph as Dagster loads it: wiring only. Importing this reads the mandate's calendar and the hashes of our own source."""

from collections.abc import Mapping

import dagster as dg

from marketbot_assets.features import assets as features
from marketbot_assets.features.checks import CHECKS as FEATURE_CHECKS
from marketbot_assets.ingestion import assets as ingestion
from marketbot_assets.ingestion.checks import CHECKS as INGESTION_CHECKS
from marketbot_assets.insight import assets as insight
from marketbot_assets.insight.checks import CHECKS as INSIGHT_CHECKS
from marketbot_assets.jobs import JOBS
from marketbot_assets.normalization import assets as normalization
from marketbot_assets.normalization.checks import CHECKS as NORMALIZATION_CHECKS
from marketbot_resources.wiring import resources

ASSETS = [*ingestion.ASSETS, *normalization.ASSETS, *features.ASSETS, *insight.ASSETS]
CHECKS = [*INGESTION_CHECKS, *NORMALIZATION_CHECKS, *FEATURE_CHECKS, *INSIGHT_CHECKS]


def build_definitions(overrides: Mapping[str, dg.ConfigurableResource] | None = None) -> dg.Definitions:
    """The definitions with every port, some of them replaced by twins."""
    return dg.Definitions(
        assets=ASSETS,
        asset_checks=CHECKS,
        jobs=JOBS,
        resources={**resources(), **(overrides or {})},
        executor=dg.in_process_executor,
    )


defs = build_definitions()
