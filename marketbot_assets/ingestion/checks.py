"""Checks of the ingestion stage."""

from marketbot_assets.checks import schema_checks
from marketbot_assets.ingestion.schema import TABLES

CHECKS = schema_checks(TABLES)
