"""`marketbot import`: the user's own data come into the home. Not here: reading, keeping (`marketbot_resources.imports`)."""

from collections.abc import Sequence
from pathlib import Path

from marketbot_resources import settings
from marketbot_resources.clock import machine_now
from marketbot_resources.errors import UsageError
from marketbot_resources.imports.files import batches
from marketbot_resources.imports.keep import Kept, import_file
from marketbot_resources.imports.listings import listings_of
from marketbot_resources.imports.shape import Reading
from marketbot_resources.store.lake import Lake, open_lake


def bring(
    kind: str,
    files: Sequence[str],
    *,
    columns: Sequence[str],
    constants: Sequence[str],
    drop_closed: bool,
    drop_contradicting: bool,
    table: str | None,
    with_listings: bool,
) -> dict[str, object]:
    """Imports files of one kind, each with an entry of its own; says what was added. Raises UsageError in one line."""
    if with_listings and kind != "prices":
        raise UsageError(f"import: expected --with-listings with prices, found {kind}")
    how = Reading(_pairs("--column", columns), _pairs("--set", constants), drop_closed, drop_contradicting)
    lake = open_lake(settings.home())
    shown = []
    for name in files:
        path = Path(name)
        kept = import_file(path, kind, how, objects=lake.objects, ledger=lake.ledger, at=machine_now(), table=table)
        shown.append(_shown(kind, path, kept))
        if with_listings:
            shown.append(_shown("instruments", path, _listings(lake, path, how, table)))
    return {"imports": shown, "home": str(lake.home)}


def _listings(lake: Lake, path: Path, how: Reading, table: str | None) -> Kept:
    """Listings as the price file shows them: first session, sector where it has one."""
    rows = listings_of(batches(path, table), how)
    return import_file(
        path, "instruments", Reading(), objects=lake.objects, ledger=lake.ledger, at=machine_now(), rows=rows
    )


def _pairs(option: str, given: Sequence[str]) -> dict[str, str]:
    pairs = {}
    for text in given:
        name, found, value = text.partition("=")
        if not (found and name):
            raise UsageError(f"import: expected {option} NAME=VALUE, found {text!r}")
        if name in pairs:
            raise UsageError(f"import: expected {option} {name} once, found it twice")
        pairs[name] = value
    return pairs


def _shown(kind: str, path: Path, kept: Kept) -> dict[str, object]:
    return {
        "kind": kind,
        "file": path.name,
        "rows": kept.rows,
        "closed_days_dropped": kept.closed,
        "repeated_rows_dropped": kept.repeated,
        "contradicting_rows_dropped": kept.contradicting,
        "objects": len(kept.objects),
        "entry": kept.seq,
        "added": kept.added,
    }


def import_lines(view: dict[str, object]) -> list[str]:
    """What was imported, for people."""
    lines, shown = [], view["imports"]
    assert isinstance(shown, list)
    for one in shown:
        told = f"ledger entry {one['entry']}" if one["added"] else f"there already, ledger entry {one['entry']}"
        dropped = [
            f"{one[name]} {why}"
            for name, why in (
                ("closed_days_dropped", "on closed days"),
                ("repeated_rows_dropped", "repeated"),
                ("contradicting_rows_dropped", "contradicting another"),
            )
            if one[name]
        ]
        left = f"; left out: {', '.join(dropped)}" if dropped else ""
        lines.append(f"{one['kind']} from {one['file']}: {one['rows']} rows in {one['objects']} objects ({told}){left}")
    return lines
