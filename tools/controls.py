"""Writes docs/controls.md: every control with the rule it answers, formula, limit, code, tests and when it last fired.

Usage: python tools/controls.py. Everything comes from somewhere else: the rules from their modules, limits from mandate.yaml,
tests from their text, the last firing from docs/trial.md. `tests/style/test_controls.py` compares the file with this.
"""

import ast
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import yaml

from marketbot_assets.risk.accounted import LIMIT_ELSEWHERE
from marketbot_assets.risk.control import Rule
from marketbot_assets.risk.verdict import CONTROLS

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "controls.md"
ID = re.compile(r"\bRC-\d\d(?!\d)")
# A text that lists more of them than this names the numbering, not a control.
LIST_MIN = 8
# Tests that write or count answers of controls and judge none: no test stands behind a control by them.
COUNTING = ("tests/commands/test_assessment.py", "tests/commands/test_controls_view.py")
# What else keeps a control, beside the function that judges it.
ELSEWHERE: Mapping[str, tuple[str, ...]] = {
    "RC-01": ("execution/gate.py",),
    "RC-04": ("execution/gate.py",),
    "RC-05": ("execution/gate.py",),
    "RC-07": ("execution/gate.py",),
    "RC-08": ("execution/gate.py",),
    "RC-13": ("execution/gate.py",),
    "RC-14": ("execution/gate.py",),
    "RC-16": ("portfolio/rounding.py",),
    "RC-17": ("execution/gate.py",),
    "RC-20": ("execution/gate.py",),
    "RC-21": ("execution/gate.py",),
    "RC-50": ("risk/model_state.py",),
    "RC-54": ("insight/forecasts.py",),
    "RC-60": ("book/ladder.py",),
    "RC-61": ("book/step.py",),
    "RC-62": ("book/stops.py",),
    "RC-63": ("book/stops.py",),
    "RC-64": ("book/step.py",),
    "RC-67": ("book/reconciliation.py", "execution/gate.py"),
    "RC-68": ("book/reconciliation.py", "risk/operation_build.py"),
    "RC-71": ("risk/var_backtest.py", "risk/model_state.py"),
    "RC-72": ("risk/model_state.py",),
    "RC-74": ("risk/breaches.py",),
    "RC-80": ("../marketbot_resources/halt.py", "execution/gate.py"),
    "RC-82": ("execution/gate.py",),
    "RC-84": ("../marketbot_resources/ledger/sqlite.py",),
    "RC-89": ("risk/feature_drift.py",),
}
NUMBERS = {
    "RC-01": "no problem", "RC-02": "no order", "RC-04": "no order", "RC-13": "none twice",
    "RC-16": "the grid; 1 unit of base currency", "RC-17": "none of another kind", "RC-19": "settled cash",
    "RC-20": "no share below 0", "RC-21": "none", "RC-37": "0 to 1", "RC-66": "none", "RC-67": "no break",
    "RC-69": "none", "RC-80": "off", "RC-81": "none", "RC-82": "paper, or live by a record of at most 7 days",
    "RC-84": "ready", "RC-88": "equal", "RC-92": "recorded",
}  # fmt: skip
HEAD = """# Controls

Every control of the risk engine. This page is made by `python tools/controls.py`; a test compares it with the code.

- *fails with*: what it answers when its limit is broken or a fact is missing, not a number, stale or unreadable; single answers
  may be milder (`Rule.fail`, `marketbot_assets/risk/`). SHRINK makes orders smaller, REJECT_ORDER drops one, REJECT_BATCH sends
  nothing, REDUCE_ONLY sends what reduces risk, HALT sends nothing and halts.
- *rule answered*: the public rule that asks for such a control; *house*: nobody but us. marketbot is no broker-dealer and
  no investment firm: these rules bind others and served as the template.
- *formula*: what must hold; words are keys of the limit. *limit*: the default mandate's keys, without `RC-nn_`; a control that
  judges without a number says what it expects.
- *tests*: files whose tests name it. Besides these, `test_risk_matrix.py` runs every control on every input field, and
  `test_risk_boundaries.py` runs those with a limit at the limit.
- *last fired*: the newest stretch of [trial.md](trial.md) in which it said more than PASS, and on what share of ordinary days;
  `not in the trial`: built after it was recorded. In a home, `marketbot controls` names the session.

Gaps in the numbers are intended. The last-line gate looks at orders again with ceilings of its own
([gate.py](../marketbot_assets/execution/gate.py)).

| control | fails with | rule answered | formula | limit | code | tests | last fired |
|---|---|---|---|---|---|---|---|
"""


def matrix() -> str:
    """The page."""
    limits, tests, fired = default_limits(), named_by_tests(), last_fired()
    return HEAD + "".join(
        _row(rule, judge, limits.get(rule.id, ""), tests.get(rule.id, ()), fired.get(rule.id, "not in the trial"))
        for rule, judge in CONTROLS
    )


def _row(rule: Rule, judge: Callable[..., object], limit: str, tests: tuple[str, ...], fired: str) -> str:
    module = judge.__module__.removeprefix("marketbot_assets.").replace(".", "/")
    code = [f"[{module.split('/')[-1]}.{judge.__name__}](../marketbot_assets/{module}.py)"]
    for name in ELSEWHERE.get(rule.id, ()):
        path = name.removeprefix("../") if name.startswith("../") else f"marketbot_assets/{name}"
        code.append(f"[{Path(name).stem}](../{path})")
    links = [f"[{Path(name).stem.removeprefix('test_')}](../{name})" for name in tests]
    cells = [
        f"{rule.id} {rule.name}",
        rule.fail.name,
        rule.answers,
        rule.formula,
        limit or NUMBERS.get(rule.id, ""),
        ", ".join(code),
        ", ".join(links),
        fired,
    ]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def default_limits() -> dict[str, str]:
    """Control -> its keys in the default mandate with their values."""
    mandate = yaml.safe_load((ROOT / "mandate.yaml").read_text(encoding="utf-8"))
    found: dict[str, list[str]] = {}
    for section in ("limits", "stops"):
        for key, value in mandate[section].items():
            if ID.match(key):
                control, _, name = key.partition("_")
                found.setdefault(control, []).append(f"{name}: {_plain(value)}")
    for control, places in LIMIT_ELSEWHERE.items():
        for place in places:
            found.setdefault(control, []).append(f"{place}: {_plain(_at(mandate, place))}")
    return {control: "; ".join(texts) for control, texts in found.items()}


def _at(mandate: object, place: str) -> object:
    for name in place.split("."):
        assert isinstance(mandate, Mapping)
        mandate = mandate.get(name) if name in mandate else mandate[f"RC-30_{name}"]
    return mandate


def _plain(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return " ".join(map(str, value)) or "none"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) and value >= 10_000 else str(value)


def named_by_tests() -> dict[str, tuple[str, ...]]:
    """Control -> test files (from the root, sorted) in whose texts it stands; a list of many and COUNTING name none."""
    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        if path.relative_to(ROOT).as_posix() in COUNTING:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                ids = set(ID.findall(node.value))
                for control in ids if len(ids) < LIST_MIN else ():
                    found.setdefault(control, set()).add(path.relative_to(ROOT).as_posix())
    return {control: tuple(sorted(names)) for control, names in found.items()}


def last_fired() -> dict[str, str]:
    """Control -> the newest stretch of the documented trial in which it spoke, or `never in the trial`."""
    text = (ROOT / "docs" / "trial.md").read_text(encoding="utf-8")
    newest: dict[str, tuple[str, str]] = {}
    for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        stretch = re.search(r"tools/trial\.py (\S+) (\S+)", part)
        for row in re.findall(r"^\| (RC-\d\d)[^|]*\|[^|]*\|([^|]+)\|([^|]+)\|([^|]+)\|", part, re.MULTILINE):
            assert stretch, "a table of the trial without its command"
            newest.setdefault(row[0], ("", "never in the trial"))
            share = max(float(cell.strip().rstrip("%")) for cell in row[1:])
            if share > 0.0 and stretch.group(2) > newest[row[0]][0]:
                newest[row[0]] = (stretch.group(2), f"{stretch.group(1)} .. {stretch.group(2)}, {share} %")
    return {control: told for control, (_, told) in newest.items()}


if __name__ == "__main__":
    PAGE.write_text(matrix(), encoding="utf-8")
