"""Which stored state the next session may go on from: what a state was made of, and what must still be so. Pure.

A state is good for a later session when a full build for that session would give it again. Not here: the bytes of a state
(`state_file`), where they lie (`declared_features`).
"""

import datetime as dt
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import pandas as pd

KEEP_EVERY = 21  # sessions between two states that are kept; those between are worked on one after the other
LISTED = ("instrument", "currency", "shares_outstanding")  # what old rows of a build take from the newest listing


@dataclass(frozen=True, slots=True)
class Kept:
    """A state as a version of WIDE_FEATURES tells of it.

    `version`: of formulas, code and inputs; `first`, `number`: absolute numbers of the session from which it was built and of its
    newest; `cutoff_at` of that one; `listings`: hash of what `listings_sha256` says; `rows`: table -> rows known then;
    `bodies`: hashes of the blocks' states.
    """

    version: str
    first: int
    number: int
    cutoff_at: str
    listings: str
    rows: Mapping[str, int]
    bodies: tuple[str, ...]

    def told(self) -> dict[str, object]:
        """For the manifest."""
        return {
            "version": self.version,
            "first": self.first,
            "number": self.number,
            "cutoff_at": self.cutoff_at,
            "listings": self.listings,
            "rows": dict(self.rows),
            "bodies": list(self.bodies),
        }


def heard(told: object) -> Kept | None:
    """What a manifest tells; None where it tells of no state."""
    if not isinstance(told, dict):
        return None
    facts = cast("dict[str, object]", told)
    return Kept(
        version=str(facts["version"]),
        first=int(str(facts["first"])),
        number=int(str(facts["number"])),
        cutoff_at=str(facts["cutoff_at"]),
        listings=str(facts["listings"]),
        rows=cast("dict[str, int]", facts["rows"]),
        bodies=tuple(cast("list[str]", facts["bodies"])),
    )


def listings_sha256(instruments: pd.DataFrame, *rules: str) -> str:
    """SHA-256 of the listings in their order and of `rules` that decide rows of every session (calendar, base currency)."""
    columns = [[str(value) for value in instruments[name]] for name in LISTED]
    return hashlib.sha256(json.dumps([columns, list(rules)]).encode()).hexdigest()


def rows_known(frames: Mapping[str, pd.DataFrame], at: dt.datetime) -> dict[str, int]:
    """Table -> rows known at an instant."""
    return {name: int(np.count_nonzero(frame["known_at"] <= at)) for name, frame in sorted(frames.items())}


def why_anew(
    kept: Kept,
    *,
    version: str,
    first: int,
    listings: str,
    computed_at: dt.datetime,
    frames: Mapping[str, pd.DataFrame],
    inputs_then: Sequence[tuple[str, str, str]],
    inputs_now: Sequence[tuple[str, str, str]],
) -> str:
    """Why a full build would not give this state again; "" when it would.

    `computed_at`: the cutoff that a later session takes for the state's; inputs: (asset, partition, content) up to its session.
    """
    if kept.version != version:
        return "formulas, code or inputs are of another version"
    if kept.first != first:
        return "sums begin anew at a later session"
    if kept.listings != listings:
        return "the listings, their shares or the calendar are not what they were"
    if set(inputs_then) != set(inputs_now):
        changed = sorted({f"{asset} {part}" for asset, part, _ in set(inputs_then) ^ set(inputs_now)})
        return f"{changed[0]} was restated" + (f", and {len(changed) - 1} more" if len(changed) > 1 else "")
    own = dt.datetime.fromisoformat(kept.cutoff_at)
    if any(rows_known(frames, at) != dict(kept.rows) for at in (own, computed_at)):
        return "rows became known about the state's sessions afterwards"
    return ""
