"""What is not as it was when a session was decided: newer versions of its data, another mandate, code or environment.

Words for people, and no judgement: whether a change is the reason of a difference shows when the session is decided again.
Not here: that (`parity_runs`).
"""

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from marketbot_assets.replay import environment_changes, tables
from marketbot_assets.replay_versions import inputs_of, manifest_of
from marketbot_assets.research.parity import Changes
from marketbot_assets.source import changed_files, files_of, source_body
from marketbot_resources.errors import StoreError
from marketbot_resources.ledger.record import Entry
from marketbot_resources.mandate import Mandate, parse_mandate
from marketbot_resources.mandate_directions import compare
from marketbot_resources.store.index import STATIC, IndexRow
from marketbot_resources.store.reader import HISTORY_OF

if TYPE_CHECKING:
    from marketbot_assets.research.history import Tables
    from marketbot_resources.store.lake import Lake

SHOWN = 4
DATA = frozenset({*HISTORY_OF, *HISTORY_OF.values()}) - {"news", "news_history"}


def changes_of(lake: "Lake", decision: Entry, pins: Mapping[tuple[str, str], str], mandate: Mandate) -> Changes:
    """What changed since a decision. `pins`: what it read; `mandate`: that of the backtest."""
    row = lake.index.by_manifest("orders", decision.key, pins["orders", decision.key])
    numeric = environment_changes(None if row is None else manifest_of(lake, row))
    return Changes(
        data=_few(revised(lake, pins)),
        mandate=_mandate(lake, pins, mandate),
        code=_code(lake, decision),
        environment=_few(list(numeric)),
        modelled=mandate.broker.name == "paper",
    )


def _few(told: list[str]) -> str:
    more = f" and {len(told) - SHOWN} more" if len(told) > SHOWN else ""
    return "; ".join(told[:SHOWN]) + more


def revised(lake: "Lake", pins: Mapping[tuple[str, str], str]) -> list[str]:
    """Data that have a newer version than the one read: where, how many cells, the first of them, the bodies behind."""
    found = []
    for (asset, part), digest in sorted(pins.items()):
        if asset not in DATA:
            continue
        then, now = lake.index.by_manifest(asset, part, digest), lake.index.newest(asset, part)
        if then is not None and now is not None and then.content_sha256 != now.content_sha256:
            found.append(_revision(lake, then, now))
    return found


def late_rows(now: "Tables", then: "Tables", cutoff: dt.datetime) -> str:
    """Rows that count as known by a cutoff and came to the home after it, in words; empty where there is none."""
    found = []
    for name in ("prices", "corporate_actions", "fx", "macro", "fundamentals"):
        known, read = (int((getattr(one, name)["known_at"] <= cutoff).sum()) for one in (now, then))
        if known > read:
            found.append(f"{name}: {known - read} rows known by then came later")
    return "; ".join(found)


def _revision(lake: "Lake", then: IndexRow, now: IndexRow) -> str:
    from marketbot_assets.audit.comparison import compare as compared
    from marketbot_resources.store.content import canonical

    table = tables()[then.asset]
    apart = compared(canonical(lake.load(then), table), canonical(lake.load(now), table), table.key)
    first, place = apart.first, f"{then.asset} {then.part}: {apart.cells} cells"
    if first is not None:
        place += f", first {first.key} {first.column} {first.stored} -> {first.rebuilt}".replace("  ", " ")
    old, new = _bodies(lake, then), _bodies(lake, now)
    gone, come = sorted(old - new), sorted(new - old)
    words = [" ".join(name[:12] for name in names) or "none" for names in (gone, come)]
    return place + (f" (bodies {words[0]} -> {words[1]})" if gone or come else "")


def _bodies(lake: "Lake", row: IndexRow) -> set[str]:
    """Hashes of the bodies behind a version: its own, or those of the raw table that it was made of."""
    manifest = manifest_of(lake, row)
    found = set(cast("list[str]", (manifest or {}).get("blobs", [])))
    for item in inputs_of(manifest):
        if item["asset"] == f"raw_{row.asset}":
            raw = lake.index.by_manifest(item["asset"], item["partition"], item["manifest_sha256"])
            found |= set() if raw is None else _bodies(lake, raw)
    return found


def _mandate(lake: "Lake", pins: Mapping[tuple[str, str], str], mandate: Mandate) -> str:
    digest = pins.get(("mandate", STATIC))
    row = None if digest is None else lake.index.by_manifest("mandate", STATIC, digest)
    if row is None:
        return "the mandate of then is not known"
    then = parse_mandate(str(lake.load(row)["canonical_json"].iloc[0]))
    if then.sha256 == mandate.sha256:
        return ""
    return _few([f"{change.path} {change.old} -> {change.new}" for change in compare(then, mandate)]) or "its text"


def _code(lake: "Lake", decision: Entry) -> str:
    named = cast("Mapping[str, str]", decision.body.get("versions") or {})
    now, body = source_body()
    if named.get("code") == now:
        return ""
    try:
        files = changed_files(files_of(lake.objects.get_blob(named["code"])), files_of(body))
    except (StoreError, KeyError, ValueError):
        return "the code of then is not known"
    return _few(files)
