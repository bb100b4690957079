"""The page of brokers says what the table of capabilities says, and a sentence on every reason that a person must act on."""

import runpy
from pathlib import Path

from marketbot_resources.broker_table import BROKERS
from marketbot_resources.model import OrderType

ROOT = Path(__file__).parents[2]
brokers = runpy.run_path(str(ROOT / "tools" / "brokers.py"), run_name="brokers")


def test_the_table_is_as_its_tool_makes_it() -> None:
    """docs/brokers.md is made by `python tools/brokers.py`."""
    text = (ROOT / "docs" / "brokers.md").read_text(encoding="utf-8")
    assert text == brokers["page"](text)


def test_every_broker_and_type_has_a_cell() -> None:
    """A type or broker that is added shows up; the cells are those of the capabilities."""
    rows = [line.strip("| ").split(" | ") for line in brokers["matrix"]().splitlines()]
    assert rows[0] == ["", *BROKERS] or rows[0] == list(BROKERS)
    told = {row[0]: row[1:] for row in rows[2:]}
    for kind in OrderType:
        assert told[f"`{kind.value}`"] == ["yes" if kind in can.types else "no" for can in BROKERS.values()]
    assert told["exchanges"] == ["all" if can.mics is None else " ".join(sorted(can.mics)) for can in BROKERS.values()]
