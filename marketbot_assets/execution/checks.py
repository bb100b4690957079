"""Checks of the execution stage."""

from marketbot_assets.checks import schema_checks
from marketbot_assets.execution.schema import TABLES

CHECKS = schema_checks(TABLES)
