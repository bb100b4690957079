"""What stored bars should have been, and who says so: `repair` lists proposals, or accepts one as ledger entries `price_overlay`.

`--restated` lists what providers sent again with other values, and the decisions that used what we have.
Not here: how a proposal is found (`normalization.repair`), what an overlay does (`normalization.overlays`).
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from marketbot_assets.commands.home import existing_lake
from marketbot_resources.errors import UsageError
from marketbot_resources.ledger.record import Json
from marketbot_resources.redaction import redactor
from marketbot_resources.store.dependents import all_dependents
from marketbot_resources.store.index import END_OF_TIME, STATIC
from marketbot_resources.store.reader import Reader

if TYPE_CHECKING:
    import pandas as pd

    from marketbot_resources.store.index import IndexRow
    from marketbot_resources.store.lake import Lake

View = dict[str, object]
KIND = "price_overlay"
SHOWN = 30


def proposals_now() -> View:
    """Every proposal for the bars of this home, worst instrument first. Raises UsageError before the first session."""
    lake = existing_lake()
    frame, labels = _proposals(lake), _labels(lake)
    groups = [_told(group, labels) for _, group in frame.groupby("proposal", sort=True)]
    return {
        "proposals": sorted(
            groups, key=lambda group: (str(group["instrument"]), str(group["first"]), str(group["rule"]))
        )
    }


def accept_now(proposal: str, author: str | None, reason: str | None) -> View:
    """Appends the overlays of one proposal; they count from the next cutoff on. Raises UsageError without author or reason."""
    from marketbot_assets.normalization.overlays import as_entries

    if not (author or "").strip() or not (reason or "").strip():
        raise UsageError("--accept: expected --author and --reason with it; a correction says who made it and why")
    lake = existing_lake()
    frame = _proposals(lake)
    chosen = frame[frame["proposal"].str.startswith(proposal)]
    if chosen["proposal"].nunique() != 1:
        found = chosen["proposal"].nunique()
        raise UsageError(
            f"--accept {proposal}: expected the id of one proposal, found {found}; list them: marketbot repair"
        )
    texts = {"author": redactor().text(str(author)), "reason": redactor().text(str(reason))}
    bodies = as_entries(chosen, _accepted(lake), **texts)
    named = [(KIND, _key(body), cast("Mapping[str, Json]", body)) for body in bodies]
    receipts = lake.ledger.append_all(named)
    return {
        "accepted": str(chosen["proposal"].iloc[0]),
        "values": len(bodies),
        "entries": [r.seq for r in receipts],
        **texts,
    }


def _key(body: Mapping[str, object]) -> str:
    return f"{body['instrument']}/{body['session']}/{body['field']}/{body['version']:06d}"


def _accepted(lake: "Lake") -> "pd.DataFrame":
    """Every overlay in the ledger, those of no session yet included."""
    import pandas as pd

    rows = [entry.body for entry in lake.ledger.entries(KIND)]
    frame = pd.DataFrame(rows, columns=["instrument", "session", "field", "version", "found", "proposed"])
    return frame.assign(session=pd.to_datetime(frame["session"]).astype("datetime64[ms]"))


def _proposals(lake: "Lake") -> "pd.DataFrame":
    """Proposals on what holds today, without the values that an overlay has settled already."""
    import pandas as pd

    from marketbot_assets.normalization.overlays import current_bars
    from marketbot_assets.normalization.repair import propose, standing_jumps, with_ids

    read = Reader(lake, _newest_session(lake), allowed=None)
    panel, actions = read.panel("prices"), read.panel("corporate_actions")
    bars = current_bars(panel)
    adjusted = bars.groupby("instrument")["close_adjusted_by_source"].transform("any").to_numpy(dtype=bool)
    parts = [propose(bars[adjusted == flag], actions, split_adjusted=flag) for flag in (True, False)]
    found = pd.concat([part for part in [*parts, standing_jumps(bars)] if len(part)] or parts[:1], ignore_index=True)
    settled = _accepted(lake)
    keys = ["instrument", "session", "field"]
    known = pd.MultiIndex.from_frame(settled[keys])
    return with_ids(found[~pd.MultiIndex.from_frame(found[keys]).isin(known)].reset_index(drop=True))


def _newest_session(lake: "Lake") -> dt.date:
    parts = [row.part for row in lake.index.up_to("prices", END_OF_TIME) if row.part != STATIC]
    if not parts:
        raise UsageError("repair: expected a home with prices, found none; run a session first: marketbot run")
    return dt.date.fromisoformat(max(parts))


def _labels(lake: "Lake") -> dict[str, str]:
    frame = (
        Reader(lake, _newest_session(lake), allowed=None)
        .panel("instruments")
        .drop_duplicates("instrument", keep="last")
    )
    return {str(row.instrument): f"{row.mic}:{row.ticker}" for row in frame.itertuples()}


def _told(group: "pd.DataFrame", labels: Mapping[str, str]) -> View:
    first = group.sort_values(["session", "field"]).iloc[0]
    days = [day.date().isoformat() for day in (group["session"].min(), group["session"].max())]
    return {
        "proposal": str(first["proposal"]),
        "instrument": str(first["instrument"]),
        "listing": labels.get(str(first["instrument"]), ""),
        "rule": str(first["rule"]),
        "reason": str(first["reason"]),
        "first": days[0],
        "last": days[1],
        "fields": sorted(set(group["field"])),
        "values": len(group),
        "example": {"field": str(first["field"]), "found": float(first["found"]), "proposed": float(first["proposed"])},
    }


def restated_now() -> View:
    """Every bar that was sent again with other values, and the decided sessions that had used the bar that we have."""
    lake = existing_lake()
    users: dict[str, list[str]] = {}
    told = []
    for row in lake.index.up_to("restatements", END_OF_TIME):
        frame = lake.load(row)
        for value in frame[frame["relative_difference"] != 0.0].itertuples(index=False):
            holder = _holder(lake, str(value.instrument), value.session, row.part)
            if holder is not None and holder.manifest_sha256 not in users:
                users[holder.manifest_sha256] = _decisions(lake, holder)
            told.append(
                {
                    "told_in": row.part,
                    "instrument": str(value.instrument),
                    "session": value.session.date().isoformat(),
                    "field": str(value.field),
                    "known": float(value.known),
                    "restated": float(value.restated),
                    "relative_difference": float(value.relative_difference),
                    "source": str(value.source),
                    "object": "" if holder is None else f"{holder.asset}/{holder.part}",
                    "decisions": [] if holder is None else users[holder.manifest_sha256],
                }
            )
    return {"restated": told}


def _holder(lake: "Lake", instrument: str, session: "pd.Timestamp", before: str) -> "IndexRow | None":
    """The version that holds our bar of a session: the first partition with it, or the bootstrap table."""
    candidates = [
        r for r in lake.index.up_to("prices", before, inclusive=False) if r.part >= session.date().isoformat()
    ]
    bootstrap = lake.index.newest("price_history", STATIC)
    for row in [*([bootstrap] if bootstrap else []), *candidates]:
        frame = lake.load(row)
        if bool(((frame["instrument"] == instrument) & (frame["session"] == session)).any()):
            return row
    return None


def _decisions(lake: "Lake", holder: "IndexRow") -> list[str]:
    """Sessions with a decision whose batch was made from a version, directly or through others."""
    found = all_dependents(lake, [holder.manifest_sha256]).rows
    parts = {row.part for row in found if row.asset == "orders"}
    return sorted(part for part in parts if lake.ledger.get("decision", part) is not None)


def repair_lines(view: View) -> list[str]:
    """What `repair` found or did, for people."""
    if "accepted" in view:
        entries = cast("Sequence[int]", view["entries"])
        told = f"ledger entries {entries[0]} to {entries[-1]}" if len(entries) > 1 else f"ledger entry {entries[0]}"
        return [
            f"accepted {view['accepted']}: {view['values']} values ({told}); they count from the next session's cutoff on"
        ]
    if "restated" in view:
        return _restated_lines(cast("Sequence[View]", view["restated"]))
    groups = cast("Sequence[View]", view["proposals"])
    lines = [f"{len(groups)} proposals" if groups else "nothing to repair: no error with a known remedy was found"]
    for group in groups:
        example = cast("View", group["example"])
        where = f"{group['listing'] or group['instrument']}  {group['first']} .. {group['last']}"
        what = f"{group['values']} values, {example['field']} {example['found']:g} -> {example['proposed']:g}"
        lines.append(f"{group['proposal']}  {where}  {group['rule']}: {group['reason']}; {what}")
    return lines + (["accept one: marketbot repair --accept ID --author NAME --reason TEXT"] if groups else [])


def _restated_lines(rows: Sequence[View]) -> list[str]:
    lines = [f"{len(rows)} values were sent again with another value" if rows else "nothing was restated"]
    for row in rows[:SHOWN]:
        used = cast("Sequence[str]", row["decisions"])
        by = f"used by {len(used)} decisions, {used[0]} .. {used[-1]}" if used else "used by no decision"
        what = f"{row['instrument']} {row['session']} {row['field']} {row['known']:g} -> {row['restated']:g}"
        lines.append(f"{what}, told in {row['told_in']}; {by}")
    return lines + ([f"and {len(rows) - SHOWN} more; --json lists all"] if len(rows) > SHOWN else [])
