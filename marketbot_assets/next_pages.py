"""Where to look next, on every asset page: the session's report and dossiers, and the commands that go on from an object.

With MARKETBOT_PAGES_URL links lead to the pages of `marketbot serve`; without it, to files in the home, which the session's last
step writes. Not here: those pages (`serving`) and files (`commands.report`, `commands.dossiers`).
"""

from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from marketbot_resources import settings
from marketbot_resources.errors import HomeError
from marketbot_resources.store.index import STATIC

if TYPE_CHECKING:
    from marketbot_assets.pages import Shows
    from marketbot_resources.store.index import IndexRow

# Stages whose rows are what an order rests on or became.
ABOUT_ORDERS = frozenset({"portfolio", "risk", "execution", "audit"})
HASH_SHOWN = 16


def served_at() -> str | None:
    """Where `marketbot serve` answers for people; None without the setting, or with one that is no such address."""
    try:
        return settings.pages_url()
    except HomeError:  # `doctor` tells; a link may be missing, a session may not fail for it
        return None


def onward(home: Path, row: "IndexRow", stage: str) -> "Shows":
    """Links to the session's report and dossiers, and the commands for this very object."""
    asked = [f"marketbot blast-radius {row.file_sha256[:HASH_SHOWN]}"]
    if row.part == STATIC:
        return {"next": _commands(asked)}
    asked.append(f"marketbot replay --session {row.part}")
    if stage in ABOUT_ORDERS:
        asked.append("marketbot explain ORDER")
    return {**links(home, row.part), "next": _commands(asked)}


def links(home: Path, session: str) -> "Shows":
    """Report and dossiers of a session, as addresses or as paths."""
    address = served_at()
    if address:
        told = {"report": f"/reports/{session}", "dossiers": f"/orders?session={session}"}
        return {name: dg.MetadataValue.url(address + path) for name, path in told.items()}
    files = {"report": home / "reports" / f"{session}.html", "dossiers": home / "dossiers" / session / "index.html"}
    return {name: dg.MetadataValue.path(str(path)) for name, path in files.items()}


def _commands(lines: list[str]) -> dg.MetadataValue:
    return dg.MetadataValue.md("\n".join(f"- `{line}`" for line in lines))
