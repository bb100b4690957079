"""The graph as Dagster loads it: wiring only. Importing this reads the mandate's calendar and the hashes of our own source."""

from collections.abc import Mapping

import dagster as dg

from marketbot_assets.audit import assets as audit
from marketbot_assets.audit import checks as audit_checks
from marketbot_assets.book import assets as book
from marketbot_assets.book import checks as book_checks
from marketbot_assets.execution import assets as execution
from marketbot_assets.execution import checks as execution_checks
from marketbot_assets.features import assets as features
from marketbot_assets.features import checks as features_checks
from marketbot_assets.ingestion import assets as ingestion
from marketbot_assets.ingestion import checks as ingestion_checks
from marketbot_assets.insight import assets as insight
from marketbot_assets.insight import checks as insight_checks
from marketbot_assets.jobs import JOBS
from marketbot_assets.normalization import assets as normalization
from marketbot_assets.normalization import checks as normalization_checks
from marketbot_assets.portfolio import assets as portfolio
from marketbot_assets.portfolio import checks as portfolio_checks
from marketbot_assets.research import assets as research
from marketbot_assets.research import checks as research_checks
from marketbot_assets.risk import assets as risk
from marketbot_assets.risk import checks as risk_checks
from marketbot_resources.wiring import resources

ASSETS = [
    *ingestion.ASSETS,
    *normalization.ASSETS,
    *features.ASSETS,
    *insight.ASSETS,
    *book.ASSETS,
    *portfolio.ASSETS,
    *risk.ASSETS,
    *execution.ASSETS,
    *audit.ASSETS,
    *research.ASSETS,
]
CHECKS = [
    *ingestion_checks.CHECKS,
    *normalization_checks.CHECKS,
    *features_checks.CHECKS,
    *insight_checks.CHECKS,
    *book_checks.CHECKS,
    *portfolio_checks.CHECKS,
    *risk_checks.CHECKS,
    *execution_checks.CHECKS,
    *audit_checks.CHECKS,
    *research_checks.CHECKS,
]


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
