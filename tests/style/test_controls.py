"""The matrix of controls: in step with the code, whole, and every control has code, a rule that it answers and a test."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import controls  # noqa: E402

from marketbot_assets.risk.verdict import CONTROLS  # noqa: E402
from marketbot_resources.model import Status  # noqa: E402

# The numbered list; gaps in it are intended.
NUMBERS = (*range(1, 27), *range(30, 48), 49, 50, 52, 53, 54, *range(60, 75), *range(80, 86), *range(87, 91), 92)
WANTED = [f"RC-{number:02d}" for number in NUMBERS]
PUBLIC = (
    "SEC ",
    "RTS 6",
    "FIA ",
    "FINRA ",
    "SR 26-2",
    "Basel",
    "USC",
    "CFR",
    "GIPS",
    "exchange rules",
    "Federal Reserve",
)


def table() -> dict[str, list[str]]:
    """Control -> cells of its row, as they stand in the file."""
    lines = (ROOT / "docs" / "controls.md").read_text(encoding="utf-8").splitlines()
    rows = [line.replace("\\|", "\0").strip("|").split("|") for line in lines if line.startswith("| RC-")]
    return {cells[0].split()[0]: [cell.replace("\0", "|").strip() for cell in cells] for cells in rows}


def test_the_page_is_what_the_code_says() -> None:
    """`python tools/controls.py` would change nothing."""
    assert (ROOT / "docs" / "controls.md").read_text(encoding="utf-8") == controls.matrix()


def test_every_numbered_control_stands_in_the_page_once() -> None:
    """The whole list, each in one row, no others."""
    text = (ROOT / "docs" / "controls.md").read_text(encoding="utf-8")
    rows = [line.split()[1] for line in text.splitlines() if line.startswith("| RC-")]
    assert rows == WANTED


@pytest.mark.parametrize("control", WANTED)
def test_a_row_is_whole(control: str) -> None:
    """Eight cells, none empty; the failure class is one; a public rule or the house; code and tests are files that name it."""
    cells = table()[control]
    assert len(cells) == 8
    assert [number for number, cell in enumerate(cells) if not cell] == []
    assert cells[1] in Status.__members__
    assert cells[1] != "PASS"
    assert "house" in cells[2] or any(rule in cells[2] for rule in PUBLIC)
    places = [part.split(")")[0] for cell in (cells[5], cells[6]) for part in cell.split("](../")[1:]]
    assert places
    assert [place for place in places if not (ROOT / place).is_file()] == []
    tests = [place for place in places if place.startswith("tests/")]
    assert tests
    assert [place for place in tests if control not in (ROOT / place).read_text(encoding="utf-8")] == []


@pytest.mark.parametrize("control", WANTED)
def test_the_code_of_a_row_declares_and_judges_it(control: str) -> None:
    """The first link is the module that declares the rule, and the function that stands there judges it."""
    name, place = table()[control][5].split("](../")[0].strip("["), table()[control][5].split("](../")[1].split(")")[0]
    source = (ROOT / place).read_text(encoding="utf-8")
    assert f'"{control}"' in source
    assert f"def {name.rpartition('.')[2]}(" in source


def test_no_two_controls_share_a_name_or_a_function() -> None:
    """One control, one name, one function."""
    assert len({rule.name for rule, _ in CONTROLS}) == len(CONTROLS)
    assert len({judge for _, judge in CONTROLS}) == len(CONTROLS)
