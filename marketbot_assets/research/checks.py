"""Checks of the research stage."""

from marketbot_assets.checks import schema_checks
from marketbot_assets.research.schema import OPENING_BALANCE

CHECKS = schema_checks([OPENING_BALANCE])
