"""The sample world of the research tests, built once."""

import pytest
from research_world import END, MANDATE_TEXT, world_until

from marketbot_assets.research.history import Tables
from marketbot_resources.mandate import Mandate, parse_mandate


@pytest.fixture(scope="session")
def mandate() -> Mandate:
    return parse_mandate(MANDATE_TEXT)


@pytest.fixture(scope="session")
def world(mandate: Mandate) -> Tables:
    """What is known at the last cutoff; histories cut their own ranges out of it."""
    return world_until(mandate, END)
