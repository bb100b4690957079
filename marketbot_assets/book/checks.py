"""Checks of the book stage."""

from marketbot_assets.book.schema import TABLES
from marketbot_assets.checks import schema_checks

CHECKS = schema_checks(TABLES)
