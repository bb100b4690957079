"""Writes docs/runbook.md: one entry per kind of alert, from the table in `marketbot_resources/alert_codes.py`.

Usage: python tools/runbook.py. `tests/style/test_runbook.py` compares the file with this.
"""

from pathlib import Path

from marketbot_resources.alert_codes import CODES
from marketbot_resources.alerts import Code, Severity

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "runbook.md"
HEAD = """# Runbook

One entry per kind of alert: what it means, where to look, what to do. This page is made by `python tools/runbook.py`; a test
compares it with the code. How alerts are sent stands in [alerts.md](alerts.md).

- CRITICAL: trading has stopped, or money may be at risk. Act now.
- ERROR: somebody has to act before the next session.
- WARN: look at it in working hours.
- INFO: nothing to do.

Stopping is always right and always possible: `marketbot halt`. Never loosen a limit to silence an alert.
"""


def runbook() -> str:
    """The page."""
    parts = [HEAD]
    for severity in sorted(Severity, reverse=True):
        codes = sorted((code for code in CODES.values() if code.severity is severity), key=lambda code: code.name)
        parts += [f"\n## {severity.name}\n", *map(_entry, codes)]
    return "".join(parts)


def _entry(code: Code) -> str:
    lines = (f"- Meaning: {code.meaning}", f"- Look here: {code.look}", f"- Do this: {code.do}")
    return f"\n### {code.name}\n\n" + "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(runbook(), encoding="utf-8")
