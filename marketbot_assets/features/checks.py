"""Checks of the features stage."""

from marketbot_assets.checks import schema_checks
from marketbot_assets.features.schema import TABLES

CHECKS = schema_checks(TABLES)
