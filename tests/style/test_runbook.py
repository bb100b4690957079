"""The runbook: in step with the table of alerts, whole, and it names nothing that does not exist."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import runbook  # noqa: E402

from marketbot_assets.llm_incidents import CODES as LLM_CODES  # noqa: E402
from marketbot_resources.alert_codes import CODES  # noqa: E402


def test_the_page_is_what_the_code_says() -> None:
    """`python tools/runbook.py` would change nothing."""
    assert (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8") == runbook.runbook()


@pytest.mark.parametrize("code", sorted(CODES))
def test_an_entry_is_whole(code: str) -> None:
    """Meaning, where to look and what to do, each a sentence or a place, under a heading of its own."""
    page = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    assert page.count(f"\n### {code}\n") == 1
    entry = page.partition(f"\n### {code}\n")[2].partition("\n### ")[0]
    lines = [line for line in entry.splitlines() if line.startswith("- ")]
    assert [line.partition(":")[0] for line in lines] == ["- Meaning", "- Look here", "- Do this"]
    assert all(len(line) > 15 for line in lines)


def test_every_incident_of_a_language_model_has_an_entry() -> None:
    """What `llm_incidents` records can be looked up."""
    assert set(LLM_CODES) <= set(CODES)
