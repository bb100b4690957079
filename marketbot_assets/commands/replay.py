"""Rebuilds what sessions decided, and says what is equal, what differs first and what has changed since: `replay`.

Not here: rebuilding and comparing (`marketbot_assets.replay`), how it is told to people (`replay_text`), whether the ledger and
the store are what was signed (`verify`).
"""

import difflib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from marketbot_assets.commands.home import existing_lake
from marketbot_assets.replay import Outcome, Replay, Replayed
from marketbot_assets.source import changed_files, files_of, source_body
from marketbot_resources.errors import StoreError, UsageError
from marketbot_resources.store.index import STATIC

if TYPE_CHECKING:
    from marketbot_assets.audit.comparison import Comparison
    from marketbot_resources.store.lake import Lake

View = dict[str, object]
BITS, ROUNDING = "bits", "rounding"


def replay(session: str | None) -> View:
    """Everything that `replay` shows of one session, or of all of them.

    `proved`: BITS, ROUNDING (equal orders, floats within the tolerance, in another environment) or None.
    Raises UsageError for a session of which nothing is stored.
    """
    lake = existing_lake()
    engine = Replay(lake)
    sessions = [_session(lake, engine, part) for part in _parts(lake, session)]
    first = next((item["first"] for item in sessions if item["first"] is not None), None)
    proofs = {item["proved"] for item in sessions}
    return {
        "fine": first is None,
        "first": first,
        "proved": None if None in proofs else ROUNDING if ROUNDING in proofs else BITS,
        "sessions": sessions,
        "home": str(lake.home),
    }


def _parts(lake: "Lake", session: str | None) -> list[str]:
    stored = sorted({row.part for row in lake.index.all_newest()} - {STATIC})
    if session is None and stored:
        return stored
    if session not in stored:
        found = f"sessions from {stored[0]} to {stored[-1]}" if stored else "none"
        raise UsageError(f"session {session or 'to replay'}: expected one that is stored in {lake.home}, found {found}")
    return [session]


def _session(lake: "Lake", engine: Replay, part: str) -> View:
    """One session: its versions in graph order, and what has changed since it was decided."""
    found = engine.session(part)
    code = _code(lake, part)
    environment = sorted({change for item in found for change in item.environment})
    bad = [item for item in found if not item.good]
    order = [item for item in bad if item.outcome is Outcome.DIFFERS] + bad
    first = _first(order[0], part) if order else _first_version(code, part)
    rounded = any(item.outcome is Outcome.WITHIN for item in found)
    return {
        "session": part,
        "fine": first is None,
        "first": first,
        "proved": None if first is not None else ROUNDING if rounded else BITS,
        "counts": {outcome.value: sum(item.outcome is outcome for item in found) for outcome in Outcome},
        "environment": environment,
        "code": code,
        "assets": [_row(item) for item in found],
    }


def _first(item: Replayed, part: str) -> View:
    return {"session": part, "asset": item.version.asset, "partition": item.version.part, "message": item.message}


def _first_version(code: View, part: str) -> View | None:
    """A source or environment that the decision names and that is not what it was counts as a difference as well."""
    if not code["problem"]:
        return None
    return {"session": part, "asset": "versions of the decision", "partition": part, "message": code["problem"]}


def _row(item: Replayed) -> View:
    version = item.version
    return {
        "asset": version.asset,
        "partition": version.part,
        "outcome": item.outcome.value,
        "message": item.message,
        "stored_content_sha256": item.stored_content,
        "rebuilt_content_sha256": item.rebuilt_content,
        "manifest_sha256": version.manifest_sha256,
        "decided": version.decided,
        "later": version.later,
        "environment": list(item.environment),
        "difference": None if item.difference is None else _difference(item.difference),
    }


def _difference(found: "Comparison") -> View:
    first = found.first
    place = {} if first is None else {name: getattr(first, name) for name in ("column", "key", "stored", "rebuilt")}
    return {"cells": found.cells, "columns": list(found.columns), "float_largest": found.float_largest, "first": place}


def _code(lake: "Lake", part: str) -> View:
    """Whether the source is still the one that decided; else which files have changed and by how many lines."""
    decision = lake.ledger.get("decision", part)
    named = None if decision is None else cast("Mapping[str, str] | None", decision.body.get("versions"))
    now, body = source_body()
    if named is None:
        return {"then": None, "now": now, "same": None, "files": [], "problem": ""}
    then, problem = named["code"], ""
    files: Sequence[View] = []
    try:
        lake.objects.get_blob(named["environment"])
        text = lake.objects.get_blob(then)
        files = [] if then == now else _changes(files_of(text), files_of(body))
    except (StoreError, json.JSONDecodeError) as error:
        problem = str(error)
    return {"then": then, "now": now, "same": then == now, "files": files, "problem": problem}


def _changes(then: dict[str, str], now: dict[str, str]) -> list[View]:
    """Changed files with the lines added and removed."""
    found: list[View] = []
    for path in changed_files(then, now):
        lines = list(difflib.unified_diff(then.get(path, "").splitlines(), now.get(path, "").splitlines(), n=0))[2:]
        counts = {sign: sum(line.startswith(sign) for line in lines) for sign in ("+", "-")}
        state = "new" if path not in then else "gone" if path not in now else "changed"
        found.append({"path": path, "state": state, "added": counts["+"], "removed": counts["-"]})
    return found
