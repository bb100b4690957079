"""Every configured control is implemented, and every implemented one has its limit; else nothing is sent (G3). Pure.

An id that no key of the mandate knows is refused when the file is read. Not here: the controls themselves (`*_controls`).
"""

from collections.abc import Collection, Mapping
from functools import lru_cache

from marketbot_assets.risk.control import Rule
from marketbot_resources.mandate import Mandate
from marketbot_resources.mandate_limits import Limits, Stops
from marketbot_resources.mandate_section import Cap, Section
from marketbot_resources.model import Status

ACCOUNTED = Rule("G3", "every control has its limit", Status.HALT, "controls")
# Controls whose limit stands in another section than `limits` and `stops`, and those that judge without a number.
LIMIT_ELSEWHERE: Mapping[str, tuple[str, ...]] = {
    "RC-03": ("restricted",),
    "RC-25": ("universe.floor",),
    "RC-33": ("limits.position",),
    "RC-34": ("universe.fund_bucket",),
    "RC-60": ("ladder.halt", "ladder.to_cash", "ladder.reduce_only", "ladder.absolute_floor"),
    "RC-61": ("loss_rules.day", "loss_rules.week", "loss_rules.halt_day"),
}
WITHOUT_LIMIT = frozenset(f"RC-{n}" for n in ("01 02 04 13 16 17 19 20 21 37 66 67 69 80 81 82 84 88 92").split())


@lru_cache(maxsize=16)
def _places(implemented: tuple[str, ...]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """(control, dotted places where its limits stand) of every control that judges by a limit."""
    return tuple(
        (control, (*configured().get(control, ()), *LIMIT_ELSEWHERE.get(control, ())))
        for control in implemented
        if control not in WITHOUT_LIMIT
    )


@lru_cache(maxsize=1)
def configured() -> Mapping[str, tuple[str, ...]]:
    """Control id -> where its limits stand, from the keys `RC-nn_name` of the mandate's sections."""
    found: dict[str, tuple[str, ...]] = {}
    for place, section in (("limits", Limits), ("stops", Stops)):
        for name, field in section.model_fields.items():
            if field.alias and field.alias.startswith("RC-"):
                control = field.alias.split("_", 1)[0]
                found[control] = (*found.get(control, ()), f"{place}.{name}")
    return found


def unaccounted(mandate: Mandate, implemented: Collection[str]) -> tuple[str, ...]:
    """What is wrong, one line per control, sorted: configured but not implemented, or implemented but without limit."""
    missing = [f"{control} has a limit but no control" for control in configured() if control not in implemented]
    for control, places in _places(tuple(implemented)):
        if not places:
            missing.append(f"{control} has a control but no limit")
        missing += [f"{control} has a control but no limit at {place}" for place in places if _absent(mandate, place)]
    return tuple(sorted(missing))


def _absent(mandate: Mandate, place: str) -> bool:
    """Whether there is nothing at a dotted place, or a cap without its hard value there."""
    found: object = mandate
    for name in place.split("."):
        found = getattr(found, name, None) if isinstance(found, Section) else None
    return found is None or (isinstance(found, Cap) and found.hard is None)
