"""`marketbot controls`: every control, its newest answer and the session in which it last said more than PASS.

Not here: the matrix with formulas, rules answered and tests (docs/controls.md, made by `tools/controls.py`).
"""

from typing import TYPE_CHECKING

from marketbot_assets.commands.home import existing_lake
from marketbot_resources.errors import UsageError
from marketbot_resources.model import Status
from marketbot_resources.store.index import END_OF_TIME

if TYPE_CHECKING:
    import pandas as pd

View = dict[str, object]
CONTROL = "CONTROL"
NEVER = "-"


def controls_now(last: int) -> View:
    """Every control with its newest status and when it last spoke within the newest `last` verdicts of this home.

    Raises UsageError before the first verdict.
    """
    from marketbot_assets.risk.verdict import CONTROLS

    lake = existing_lake()
    versions = lake.index.up_to("risk_verdict", END_OF_TIME)[-last:]
    if not versions:
        raise UsageError(f"no verdict yet in {lake.home}; run `marketbot run` first")
    spoke: dict[str, tuple[str, str, str]] = {}
    newest: dict[str, str] = {}
    for version in reversed(versions):
        worst = worst_answers(lake.load(version))
        newest = newest or {control: status for control, (status, _) in worst.items()}
        for control, (status, message) in worst.items():
            if status != Status.PASS.name:
                spoke.setdefault(control, (version.part, status, message))
        if len(spoke) == len(CONTROLS):
            break
    rows = [
        {
            "control": rule.id,
            "name": rule.name,
            "fail": rule.fail.name,
            "newest": newest.get(rule.id),
            **dict(zip(("session", "status", "message"), spoke.get(rule.id, (None, None, None)), strict=True)),
        }
        for rule, _ in CONTROLS
    ]
    return {"first": versions[0].part, "last": versions[-1].part, "verdicts": len(versions), "controls": rows}


def worst_answers(verdict: "pd.DataFrame") -> dict[str, tuple[str, str]]:
    """Control -> (its worst status, the message of the first answer that has it) of one RISK_VERDICT."""
    found: dict[str, tuple[str, str]] = {}
    for row in verdict[verdict["kind"] == CONTROL].to_dict("records"):
        control, status = str(row["control"]), str(row["status"])
        if control not in found or Status[status] > Status[found[control][0]]:
            found[control] = (status, str(row["message"]))
    return found


def controls_lines(view: View) -> list[str]:
    """One line per control: its newest status, when it last spoke and what it said."""
    rows = view["controls"]
    assert isinstance(rows, list)
    lines = [
        f"{view['verdicts']} verdicts, sessions {view['first']} .. {view['last']}; last: not PASS for the last time"
    ]
    lines.append(f"{'control':<8} {'fails with':<13} {'newest':<13} {'last':<11} {'as':<13} name: message")
    for row in rows:
        told = f"{row['name']}: {row['message']}" if row["message"] else row["name"]
        lines.append(
            f"{row['control']:<8} {row['fail']:<13} {row['newest'] or NEVER:<13} {row['session'] or NEVER:<11} "
            f"{row['status'] or NEVER:<13} {told}"
        )
    return lines
