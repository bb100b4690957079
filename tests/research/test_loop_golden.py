"""The loop decides what it decided when every table was a frame, day by day.

The golden file was written by that code. To write it anew after a change that is meant to change decisions, and to read the
difference: python tests/research/test_loop_golden.py
"""

import datetime as dt
from pathlib import Path

import pytest
from loop_digest import line_of
from research_world import loop

from marketbot_assets.research.history import Tables
from marketbot_resources.mandate import Mandate

GOLDEN = Path(__file__).parent / "golden" / "loop.txt"
FIRST, SHORT, LONG = dt.date(2019, 1, 2), 8, 250


def lines(tables: Tables, mandate: Mandate, count: int) -> list[str]:
    days, _, _ = loop(tables, mandate, count, first=FIRST)
    return [line_of(day) for day in days]


def expected(count: int) -> list[str]:
    return GOLDEN.read_text(encoding="utf-8").splitlines()[:count]


def test_the_first_days_are_decided_as_before(world: Tables, mandate: Mandate) -> None:
    """Law 4: one decision, however its inputs are kept in memory."""
    found = lines(world, mandate, SHORT)
    assert found == expected(SHORT)
    assert sum(int(line.split()[1]) for line in found) > 0, "some of the days must trade"


@pytest.mark.long
def test_a_year_is_decided_as_before(world: Tables, mandate: Mandate) -> None:
    """The same over 250 sessions of the sample world, through stops, dividends and refits."""
    assert lines(world, mandate, LONG) == expected(LONG)


if __name__ == "__main__":
    from research_world import END, MANDATE_TEXT, world_until

    from marketbot_resources.mandate import parse_mandate

    chosen = parse_mandate(MANDATE_TEXT)
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_text("\n".join(lines(world_until(chosen, END), chosen, LONG)) + "\n", encoding="utf-8")
