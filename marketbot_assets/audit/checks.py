"""Checks of the audit stage."""

from marketbot_assets.audit.schema import TABLES
from marketbot_assets.checks import schema_checks

CHECKS = schema_checks(TABLES)
