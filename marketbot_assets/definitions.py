"""The graph as Dagster loads it: wiring only. Importing this reads the mandate's calendar and the hashes of our own source."""

from collections.abc import Mapping

import dagster as dg

from marketbot_assets.audit import assets as audit
from marketbot_assets.automation import SCHEDULES, SENSORS
from marketbot_assets.automation_afterwards import declared_sensor, parity_sensor
from marketbot_assets.automation_alerts import alert_sensor
from marketbot_assets.automation_intraday import intraday_sensor
from marketbot_assets.automation_orders import order_sensor
from marketbot_assets.book import assets as book
from marketbot_assets.execution import assets as execution
from marketbot_assets.features import assets as features
from marketbot_assets.ingestion import assets as ingestion
from marketbot_assets.insight import assets as insight
from marketbot_assets.insight import checks as insight_checks
from marketbot_assets.jobs import JOBS
from marketbot_assets.normalization import assets as normalization
from marketbot_assets.portfolio import assets as portfolio
from marketbot_assets.research import assets as research
from marketbot_assets.risk import assets as risk
from marketbot_resources.redaction import install
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
CHECKS = [*insight_checks.CHECKS]


def build_definitions(overrides: Mapping[str, dg.ConfigurableResource] | None = None) -> dg.Definitions:
    """The definitions with every port, some of them replaced by twins; every process that loads them logs no secret."""
    install()
    return dg.Definitions(
        assets=ASSETS,
        asset_checks=CHECKS,
        jobs=JOBS,
        sensors=[*SENSORS, intraday_sensor, order_sensor, alert_sensor, declared_sensor, parity_sensor],
        schedules=SCHEDULES,
        resources={**resources(), **(overrides or {})},
        executor=dg.in_process_executor,
    )


defs = build_definitions()
