"""Checks of the insight stage."""

from marketbot_assets.checks import schema_checks
from marketbot_assets.insight.schema import TABLES

CHECKS = schema_checks(TABLES)
