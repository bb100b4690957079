"""A limit without its control, or a control without its limit, halts; an unknown id is refused when the file is read (G3)."""

import re
from pathlib import Path

import pytest
from risk_world import MANDATE, batch, inputs, tweaked

from marketbot_assets.risk.accounted import configured, unaccounted
from marketbot_assets.risk.control import ControlResult, Rule
from marketbot_assets.risk.projection import Projection
from marketbot_assets.risk.verdict import CONTROLS, judge
from marketbot_resources.errors import MandateError
from marketbot_resources.mandate import parse_mandate
from marketbot_resources.model import Status

TEXT = (Path(__file__).parents[2] / "mandate.yaml").read_text(encoding="utf-8")
IMPLEMENTED = [rule.id for rule, _ in CONTROLS]


def test_every_control_of_today_is_accounted_for() -> None:
    """The shipped mandate and the shipped controls belong together, and the ids are those that the file shows."""
    assert unaccounted(MANDATE, IMPLEMENTED) == ()
    shown = re.findall(r"^  (RC-\d+)_", TEXT, re.MULTILINE)
    assert set(configured()) == set(shown)
    assert judge(inputs(), batch(), MANDATE).verdict == "APPROVED"


@pytest.mark.parametrize("control", ["RC-05", "RC-10", "RC-18", "RC-30", "RC-46", "RC-62", "RC-87"])
def test_a_limit_without_its_control_halts(control: str) -> None:
    """A configured control that is not implemented: HALT, nothing is approved, the reason names it."""
    rest = [pair for pair in CONTROLS if pair[0].id != control]
    judged = judge(inputs(), batch(), MANDATE, rest)
    assert (judged.verdict, judged.approved) == ("HALT", ())
    said = [result.message for result in judged.results if result.control == "G3"]
    assert said == [f"{control} has a limit but no control"]


def _passes(p: Projection) -> tuple[ControlResult, ...]:
    return (Rule("RC-99", "newcomer", Status.REJECT_BATCH).result(Status.PASS),)


def test_a_control_without_limit_halts() -> None:
    """An implemented control of which no key knows anything halts, even when it passes."""
    judged = judge(inputs(), batch(), MANDATE, [*CONTROLS, (Rule("RC-99", "newcomer", Status.REJECT_BATCH), _passes)])
    assert (judged.verdict, judged.approved) == ("HALT", ())
    assert "RC-99 has a control but no limit" in [result.message for result in judged.results]


@pytest.mark.parametrize(
    ("path", "value", "control"),
    [
        ("limits.position", None, "RC-30"),
        ("limits.position.hard", None, "RC-30"),
        ("universe.fund_bucket", None, "RC-34"),
        ("ladder.halt", None, "RC-60"),
        ("loss_rules.halt_day", None, "RC-61"),
        ("stops.trailing", None, "RC-63"),
    ],
)
def test_a_limit_that_was_taken_away_halts(path: str, value: object, control: str) -> None:
    """The control is there, its number is not."""
    mandate = tweaked(MANDATE, path, value)
    problems = unaccounted(mandate, IMPLEMENTED)
    assert any(problem.startswith(f"{control} has a control but no limit at ") for problem in problems)
    assert judge(inputs(mandate_sha256=MANDATE.sha256), batch(), mandate).verdict == "HALT"


@pytest.mark.parametrize("key", ["RC-93_new", "RC-30_positions", "rc-30_position"])
def test_an_unknown_control_is_refused_when_the_file_is_read(key: str) -> None:
    """A limit that nobody knows is never ignored: one line that names it."""
    with pytest.raises(MandateError, match=re.escape(key)):
        parse_mandate(TEXT.replace("limits:\n", f"limits:\n  {key}: {{hard: 0.05}}\n"))
