"""The default mandate for tests of the book."""

from pathlib import Path

import pytest

from marketbot_resources.mandate import Mandate, parse_mandate


@pytest.fixture(scope="session")
def mandate() -> Mandate:
    return parse_mandate((Path(__file__).parents[2] / "mandate.yaml").read_text(encoding="utf-8"))
