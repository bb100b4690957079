"""What must hold of every planted incident: it arrives once, with code, severity and session, and the runbook has its entry."""

import re
from dataclasses import dataclass
from pathlib import Path

from incident_world import World

# isort: split
from graph_world import Home
from incident_plants import Plant

from marketbot_resources.alert_codes import CODES
from marketbot_resources.alerts import SENT, told_in
from marketbot_resources.unrecorded import Unrecorded

RUNBOOK = (Path(__file__).parents[2] / "docs" / "runbook.md").read_text(encoding="utf-8")
_SEVERITY = "(INFO|WARN|ERROR|CRITICAL)"
MANY = re.compile(rf"\[marketbot\] {_SEVERITY} \d+ alerts, first [A-Z_]+")
TITLE = re.compile(rf"\[marketbot\] {_SEVERITY} ([A-Z_]+) (.+) (\S+)")
LINE = re.compile(rf"{_SEVERITY} ([A-Z_]+) (.+) (\S+): ")


@dataclass(frozen=True)
class Seen:
    """What a plant led to: code -> seconds from the check to the first arrival, and every other code that was told."""

    seconds: dict[str, float]
    others: tuple[str, ...]


@dataclass(frozen=True)
class Told:
    """One alert as a reader finds it."""

    at: float
    severity: str
    code: str
    session: str


def _messages(world: World) -> list[Told]:
    """Every alert of every mail, alone or in a digest; one that is told twice is an error."""
    found: list[tuple[str, Told]] = []
    for title, (at, mail) in world.told().items():
        text = mail.get_content().replace("\r", "")
        one, many = TITLE.fullmatch(title), MANY.fullmatch(title)
        assert one or many, title
        if many:
            lines = [LINE.match(line) for line in text.splitlines()]
            found += [(m[2] + m[3] + m[4], Told(at, m[1], m[2], m[4])) for m in lines if m]
        elif one:
            assert f"docs/runbook.md#{one[2].lower()}" in text
            assert re.search(rf"^session: (.+ )?{re.escape(one[4])}$", text, re.MULTILINE)
            found.append((one[2] + one[3] + one[4], Told(at, one[1], one[2], one[4])))
    assert len({key for key, _ in found}) == len(found), sorted(key for key, _ in found)
    return [told for _, told in found]


def _explained(home: Home) -> list[str]:
    """What the home itself knows, for a plant that led to nothing."""
    ledger = home.lake.ledger
    failed = [f"{entry.key}: {entry.body['reason']}" for entry in ledger.entries("run_failed")]
    return [*(f"{e.key} {e.body['state']}" for e in ledger.entries("session_end")), *failed]


def seen(world: World, plant: Plant) -> Seen:
    """Plants, waits, and asserts what must hold of every message."""
    world.mandate()
    world.forget()
    home = plant.plant(world)
    world.quiet(home)
    world.mandate()
    arrived: dict[str, float] = {}
    for told in _messages(world):
        assert told.severity == CODES[told.code].severity.name
        assert f"\n### {told.code}\n" in RUNBOOK
        arrived[told.code] = min(told.at, arrived.get(told.code, told.at))
    missing = set(plant.codes) - set(arrived)
    assert not missing, (missing, sorted(arrived), _explained(home))
    beside = Unrecorded(home.path).lines()
    kept = {key for entry in home.lake.ledger.entries(SENT) for key in told_in(entry)} if not beside else set()
    kept |= {key for kind, key, _ in beside if kind == SENT}
    assert {f"{code}/" for code in plant.codes} <= {f"{key.partition('/')[0]}/" for key in kept}
    seconds = {code: arrived[code] - (world.found.get(code) or world.checked["alert_sensor"]) for code in plant.codes}
    return Seen(seconds, tuple(sorted(set(arrived) - set(plant.codes))))
