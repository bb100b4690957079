"""Numbers that a session's report told first and otherwise later: old, new, why, and the ledger's entry for it. Pure.

A report is stored once; when it is made again and comes out different, both versions stay. Not here: where versions are read
(`restated_facts`), bars that a provider sent again (`normalization.restatement`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

Rows = list[dict[str, object]]


@dataclass(frozen=True, slots=True)
class Version:
    """One stored version. `summary`: headline numbers by name; `made_with`: code, mandate, environment -> what it was made with;
    `contents`: input -> content hashes read; `entry`: number of the ledger's entry that sealed it, None while none does.
    """

    summary: Mapping[str, object]
    made_with: Mapping[str, str]
    contents: Mapping[str, frozenset[str]]
    entry: int | None


def restated(session: str, versions: Sequence[Version]) -> Rows:
    """Rows of session, number, old, new, reason, entry: every number that a version tells otherwise than the one before."""
    found: Rows = []
    for old, new in pairwise(versions):
        why = reason(old, new)
        for name in sorted({*old.summary, *new.summary}):
            then, now = old.summary.get(name), new.summary.get(name)
            if then != now:
                told = {"session": session, "number": name, "old": then, "new": now}
                found.append({**told, "reason": why, "entry": new.entry})
    return found


def reason(old: Version, new: Version) -> str:
    """What the later version was made with that the earlier one was not."""
    parts = [name for name in sorted(new.made_with) if old.made_with.get(name) != new.made_with[name]]
    inputs = [
        name for name in sorted({*old.contents, *new.contents}) if old.contents.get(name) != new.contents.get(name)
    ]
    told = [f"other {name}" for name in parts]
    told += [f"other content of {', '.join(inputs)}"] if inputs else []
    return "; ".join(told) or "nothing that its manifest names"
