"""Checks of the portfolio stage."""

from marketbot_assets.checks import schema_checks
from marketbot_assets.portfolio.schema import TABLES

CHECKS = schema_checks(TABLES)
