"""What `replay` found, in lines for people. Not here: finding it (`replay`)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

View = Mapping[str, object]
SHOWN = 12
EQUAL, WITHIN, RECORD = "equal", "within", "record"


def replay_lines(view: View) -> list[str]:
    """Per session one line, then whatever is not equal; in the end what was proved, or what differs first."""
    sessions = cast("Sequence[View]", view["sessions"])
    lines: list[str] = []
    told: object = None
    for session in sessions:
        code = cast("View", session["code"])
        lines += [*_session(session), *(_code(code) if code["then"] != told else ()), *_assets(session)]
        told = code["then"]
    first = cast("View | None", view["first"])
    if first is not None:
        found = next(session for session in sessions if session["first"] is not None)
        return [*lines, f"FIRST DIFFERENCE{_excuse(found)}: {first['asset']} {first['partition']}: {first['message']}"]
    what = "the session" if len(sessions) == 1 else f"the {len(sessions)} sessions"
    return [*lines, f"result: every asset of {what} is rebuilt {_proof(str(view['proved']), sessions)}"]


def _proof(proved: str, sessions: Sequence[View]) -> str:
    changes = sorted({str(change) for session in sessions for change in cast("Sequence[str]", session["environment"])})
    where = f"in another environment: {'; '.join(changes)}" if changes else "in the environment that made them"
    code = ", by code that has changed since" if any(cast("View", item["code"])["files"] for item in sessions) else ""
    how = "bit for bit" if proved == "bits" else "with equal orders and floats within 1e-9"
    return f"{how}, {where}{code}"


def _excuse(session: View) -> str:
    """What has changed since, and may be why a session differs."""
    code, environment = cast("View", session["code"]), cast("Sequence[str]", session["environment"])
    what = [*(["code"] if code["files"] else []), *(["environment"] if environment else [])]
    return f" under another {' and another '.join(what)}" if what else ""


def _session(session: View) -> Iterator[str]:
    counts = cast("Mapping[str, int]", session["counts"])
    told = [f"{number} {name}" for name, number in counts.items() if number and name != RECORD]
    told += [f"{counts[RECORD]} records as received"] if counts[RECORD] else []
    first = cast("View | None", session["first"])
    told += [f"first: {first['asset']} {first['partition']}"] if first is not None else []
    yield f"{session['session']}  {'ok     ' if session['fine'] else 'DIFFERS'}  {', '.join(told)}"


def _code(code: View) -> Iterator[str]:
    if code["problem"]:
        yield f"  code: {code['problem']}"
    files = cast("Sequence[View]", code["files"])
    if files:
        yield f"  code: {len(files)} files have changed since this was decided"
    for file in files[:SHOWN]:
        yield f"    {file['path']}: {file['state']}, {file['added']} lines added, {file['removed']} removed"
    if len(files) > SHOWN:
        yield f"    and {len(files) - SHOWN} more"


def _assets(session: View) -> Iterator[str]:
    changes = cast("Sequence[str]", session["environment"])
    if changes:
        yield f"  environment: {'; '.join(changes)}"
    for row in cast("Sequence[View]", session["assets"]):
        if row["outcome"] not in (EQUAL, RECORD):
            yield from _asset(row)


def _asset(row: View) -> Iterator[str]:
    found = cast("View | None", row["difference"])
    name = f"{row['asset']} {row['partition']}{' (stored after the decision)' if row['later'] else ''}"
    if row["outcome"] == WITHIN and found is not None:
        yield f"  within: {name}: {found['cells']} floats differ by at most {found['float_largest']:.2g} of their size"
        return
    yield f"  {row['outcome']}: {name}: {row['message']}"
    if found is None or not found["cells"]:
        return
    where = ", ".join(cast("Sequence[str]", found["columns"])) or "whole rows"
    yield f"    {found['cells']} cells in {where}; floats differ by up to {found['float_largest']:.2g} of their size"
    first = cast("View", found["first"])
    place = f"{first['column']} at {first['key']}" if first["column"] else str(first["key"])
    yield f"    first: {place}: stored {first['stored']}, rebuilt {first['rebuilt']}"
