"""The mandate's section execution: defaults are an order at a limit on open; what cannot be is refused with the key's name."""

from pathlib import Path

import pytest

from marketbot_resources.errors import MandateError
from marketbot_resources.mandate import Mandate, parse_mandate
from marketbot_resources.mandate_execution import ExecutionRules
from marketbot_resources.model import OrderType

TEXT = (Path(__file__).parents[2] / "mandate.yaml").read_text(encoding="utf-8")
LINE = next(line for line in TEXT.splitlines() if line.startswith("execution:"))


def with_rules(rules: str) -> Mandate:
    return parse_mandate(TEXT.replace(LINE, f"execution: {rules}" if rules else ""))


def test_the_shipped_section_is_the_default() -> None:
    """Without the section, and with what the file ships, orders trade as they always did."""
    assert with_rules("").execution == ExecutionRules() == parse_mandate(TEXT).execution
    assert ExecutionRules().target_type is ExecutionRules().exit_type is OrderType.LIMIT_ON_OPEN
    assert not ExecutionRules().sliced


ACCEPTED = [
    "{targets: limit_on_close}",
    "{targets: marketable_limit, exits: limit_on_open}",
    "{targets: market_on_close, exits: market_on_open, allowed: [market_on_close, market_on_open]}",
    "{targets: limit, slices: {algorithm: vwap, from_adv: 0.005, participation_max: 0.05, interval_participation_max: 0.1}}",
    "{targets: limit, slices: {algorithm: pov, from_value: 20000, count: 24, minutes: 15}}",
    "{remainder: next_session}",
    "{protective: stop, allowed: [limit_on_open, stop]}",
    "{protective: trailing, allowed: [limit_on_open, trailing_stop]}",
]


@pytest.mark.parametrize("rules", ACCEPTED)
def test_what_is_consistent_is_accepted(rules: str) -> None:
    """Types in the list, exits no later than targets, slices within the session, caps up to the ceilings."""
    assert isinstance(with_rules(rules).execution, ExecutionRules)


REFUSED = [
    ("{targets: market_on_open}", "allowed"),
    ("{exits: market_on_open}", "allowed"),
    ("{targets: limit, allowed: [limit_on_open]}", "allowed"),
    ("{allowed: []}", "allowed"),
    ("{targets: limit_on_open, exits: limit_on_close}", "exits"),
    ("{targets: limit, exits: limit_on_close}", "exits"),
    ("{targets: stop}", "targets"),
    ("{slices: {algorithm: twap, from_value: 1000}}", "slices"),
    ("{targets: limit, slices: {algorithm: twap}}", "from_value"),
    ("{targets: limit, slices: {algorithm: twap, from_value: 1, participation_max: 0.0501}}", "participation_max"),
    ("{targets: limit, slices: {algorithm: twap, from_value: 1, interval_participation_max: 0.1001}}", "participation"),
    ("{targets: limit, slices: {algorithm: twap, from_value: .nan}}", "from_value"),
    ("{targets: limit, slices: {algorithm: twap, from_value: 1, count: 25}}", "count"),
    ("{remainder: close_auction}", "slices"),
    ("{targets: limit, slices: {algorithm: twap, from_value: 1}, remainder: close_auction}", "paper broker"),
    ("{protective: stop}", "protective"),
    ("{protective: trailing, allowed: [limit_on_open, stop]}", "protective"),
    ("{protective: bracket, allowed: [limit_on_open, bracket]}", "protective: expected none, stop or trailing"),
]


@pytest.mark.parametrize(("rules", "named"), REFUSED, ids=range(len(REFUSED)))
def test_what_cannot_be_is_refused_by_name(rules: str, named: str) -> None:
    """One line that names the key; never a silent change."""
    with pytest.raises(MandateError, match=named):
        with_rules(rules)


def test_what_is_left_needs_a_plan_of_the_next_session() -> None:
    """Weekly, the next session plans no buys: what is left cannot be taken up there."""
    weekly = TEXT.replace("cadence: daily", "rebalance_weekday: friday\ncadence: weekly").replace(
        LINE, "execution: {remainder: next_session}"
    )
    with pytest.raises(MandateError, match="next_session"):
        parse_mandate(weekly)
