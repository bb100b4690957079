"""Checks of the risk stage."""

from marketbot_assets.checks import schema_checks
from marketbot_assets.risk.schema import TABLES

CHECKS = schema_checks(TABLES)
