"""Which keys of the mandate belong to which control, and which tests the page of controls names. Pure.

Not here: what a limit means (`marketbot_resources.mandate_limits`), who makes the page (`tools/controls.py`).
"""

import json
import re
from collections.abc import Iterator, Mapping

from marketbot_assets.risk.accounted import LIMIT_ELSEWHERE

ID = re.compile(r"\bRC-\d\d(?!\d)")
SECTIONS = ("limits", "stops")
# Keys outside of these sections that move a control, beside its own limit.
ALSO: Mapping[str, str] = {
    "jurisdiction": "RC-03",
    "restricted": "RC-03",
    "ladder": "RC-60",
    "loss_rules": "RC-61",
    "volatility": "RC-42",
    "account.leverage": "RC-36",
    "notification": "RC-92",
}
# Cells of the page: control, fails with, rule answered, formula, limit, code, tests, last fired.
TESTS_CELL, CELLS = 6, 8
_CELL_EDGE = re.compile(r"(?<!\\)\|")
_FILE = re.compile(r"\]\(\.\./([^)]+)\)")

Plain = Mapping[str, object]


def limits_of(mandate: Plain) -> dict[str, dict[str, str]]:
    """Control -> {key of the mandate: its value as JSON text}, of a mandate as plain JSON."""
    found: dict[str, dict[str, str]] = {}
    for name in SECTIONS:
        section = mandate.get(name)
        for key, value in section.items() if isinstance(section, Mapping) else ():
            if ID.match(key):
                found.setdefault(key.partition("_")[0], {})[f"{name}.{key}"] = _text(value)
    for control, places in LIMIT_ELSEWHERE.items():
        for place in places:
            for key, value in _at(mandate, place):
                found.setdefault(control, {})[key] = _text(value)
    if mandate.get("jurisdiction") is not None:
        found.setdefault("RC-03", {})["jurisdiction"] = _text(mandate["jurisdiction"])
    return {control: dict(sorted(found[control].items())) for control in sorted(found)}


def controls_of(path: str) -> tuple[str, ...]:
    """The controls whose limit a changed key is part of."""
    named = ID.findall(path)
    if named:
        return (str(named[0]),)
    places = [(place, control) for control, all_ in LIMIT_ELSEWHERE.items() for place in all_]
    found = {control for place, control in (*places, *ALSO.items()) if path == place or path.startswith(f"{place}.")}
    return tuple(sorted(found))


def states(mandate: Plain, key: str) -> bool:
    """Whether a mandate has a value at a dotted key."""
    value: object = mandate
    for name in key.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value is not None


def named_tests(page: str) -> dict[str, tuple[str, ...]]:
    """Control -> test files, from the page of controls."""
    found = {}
    for line in page.splitlines():
        cells = [cell.strip() for cell in _CELL_EDGE.split(line)[1:-1]]
        if len(cells) == CELLS and ID.match(cells[0]):
            found[cells[0].split()[0]] = tuple(_FILE.findall(cells[TESTS_CELL]))
    return found


def _at(mandate: Plain, place: str) -> Iterator[tuple[str, object]]:
    """(key in the file, value) at a dotted place; a limit's name without its number finds its key."""
    value: object = mandate
    path: list[str] = []
    for name in place.split("."):
        if not isinstance(value, Mapping):
            return
        key = name if name in value else next((k for k in value if ID.match(k) and k.endswith(f"_{name}")), None)
        if key is None:
            return
        path.append(key)
        value = value[key]
    if value is not None:
        yield ".".join(path), value


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
