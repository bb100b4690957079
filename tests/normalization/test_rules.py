"""The list of quality rules is the one that documents, heat map and findings share."""

import re
from pathlib import Path

from marketbot_assets.normalization.action_rules import ACTION_RULES
from marketbot_assets.normalization.bar_rules import BAR_RULES
from marketbot_assets.normalization.rules import RULES
from marketbot_assets.normalization.schema import OUTCOMES

REFERENCE = Path(__file__).parents[2] / "docs" / "reference.md"


def test_the_reference_lists_every_rule_as_it_is() -> None:
    """docs/reference.md, section Quality rules: name, what it judges, statement, bad outcomes and consequence."""
    part = REFERENCE.read_text(encoding="utf-8").split("## Quality rules\n")[1].split("\n## ")[0]
    rows = [
        tuple(cell.strip() for cell in line.split("|")[1:-1]) for line in re.findall(r"^\| `.*$", part, re.MULTILINE)
    ]
    expected = [(f"`{r.name}`", r.subject, r.statement, ", ".join(r.outcomes[1:]), r.leads_to) for r in RULES.values()]
    assert rows == expected


def test_every_bar_rule_is_named_and_judges_bars() -> None:
    """A rule on bars that the list does not have could not be read on the heat map."""
    names = {rule.__name__ for rule in (*BAR_RULES, *ACTION_RULES)} | {"providers_agree"}
    assert names == {rule.name for rule in RULES.values() if rule.subject == "bar"}


def test_outcomes_are_those_of_the_table_and_begin_with_pass() -> None:
    """A rule that could never pass or never fail is no rule."""
    for rule in RULES.values():
        assert rule.outcomes[0] == "pass"
        assert 2 <= len(rule.outcomes) == len(set(rule.outcomes))
        assert [OUTCOMES.index(name) for name in rule.outcomes] == sorted(
            OUTCOMES.index(name) for name in rule.outcomes
        )
