"""Corrections that someone accepted: ledger entries become rows of PRICE_OVERLAYS, and these become bars and actions. Pure.

A correction edits nothing. It is a new row beside the one as received, known from the cutoff after its acceptance on: what
was decided before never saw it. A bar's overlays count from version 1; the last version holds.
Not here: what should be corrected (`repair`), who accepts it (the command `repair`), how a window uses it (`build_window`).
"""

import datetime as dt
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from marketbot_assets.normalization.schema import CORPORATE_ACTIONS, PRICE_OVERLAYS, PRICES

BAR_FIELDS = ("open", "high", "low", "close", "volume")
KIND_OF = {"dividend": "CASH_DIVIDEND", "split": "SPLIT"}
KEY = ["instrument", "session"]
Accepted = tuple[int, Mapping[str, object]]


def overlay_rows(
    accepted: Sequence[Accepted], cutoffs: Sequence[tuple[int, dt.datetime]], *, until: int
) -> pd.DataFrame:
    """PRICE_OVERLAYS: every value accepted before the cutoff with the number `until` in the ledger.

    `accepted`: (number in the ledger, body) of each entry; `cutoffs`: (number, instant) of every recorded cutoff. A value is
    known from the first cutoff that was recorded after its acceptance.
    """
    ordered = sorted(cutoffs)
    rows = []
    for number, body in accepted:
        after = [at for place, at in ordered if number < place <= until]
        if after:
            rows.append({**body, "session": pd.Timestamp(str(body["session"])), "known_at": after[0]})
    names = [column.name for column in PRICE_OVERLAYS.columns]
    frame = pd.DataFrame(rows, columns=names).astype(
        {
            **{name: "str" for name in ("instrument", "field", "rule", "author", "reason")},
            "session": "datetime64[ms]",
            "version": "int64",
            "found": "float64",
            "proposed": "float64",
        }
    )
    frame["known_at"] = pd.to_datetime(frame["known_at"], utc=True).astype("datetime64[us, UTC]")
    return frame.sort_values(list(PRICE_OVERLAYS.key), ignore_index=True)


def current_bars(panel: pd.DataFrame) -> pd.DataFrame:
    """One bar per instrument and session, the one that holds: the last usable overlay, else the first usable bar, else the last."""
    usable = ~panel["quarantine"] & np.isfinite(panel["close"]) & (panel["close"] > 0)
    rank = np.where(usable, 1 + panel["overlay"], 0)
    at = panel["known_at"].astype("int64")
    early = at.where(~usable, -at)  # of usable ones the first, of the others the last
    ordered = panel.assign(_rank=rank, _early=early).sort_values([*KEY, "_rank", "_early"], kind="stable")
    return ordered.drop_duplicates(KEY, keep="last").drop(columns=["_rank", "_early"]).reset_index(drop=True)


def corrected_bars(panel: pd.DataFrame, overlays: pd.DataFrame) -> pd.DataFrame:
    """A bar of PRICES for each one that `overlays` correct: the current one with the values of the last version in it.

    Raises AssertionError when there is no bar to correct. `price_level` moves with the close.
    """
    own = overlays[overlays["field"].isin(BAR_FIELDS)]
    names = [column.name for column in PRICES.columns]
    if own.empty:
        return panel.iloc[:0][names]
    current = current_bars(panel).set_index(KEY)
    rows = []
    for key, group in own.groupby(KEY, sort=True):
        assert key in current.index, f"overlay of {key}: expected a bar of that session, found none"
        bar = current.loc[key].to_dict()
        last = group[group["version"] == group["version"].max()]
        for field, value in zip(last["field"], last["proposed"], strict=True):
            if field == "close":
                bar["price_level"] = bar["price_level"] * value / bar["close"]
            bar[field] = float(value)
        rows.append(
            {
                **bar,
                "instrument": key[0],
                "session": key[1],
                "overlay": int(last["version"].iloc[0]),
                "known_at": last["known_at"].iloc[0],
                "quarantine": False,
            }
        )
    made = pd.DataFrame(rows)[names].astype({name: panel[name].dtype for name in names})
    return made.sort_values(list(PRICES.key), ignore_index=True)


def corrected_actions(overlays: pd.DataFrame, currencies: Mapping[str, str]) -> pd.DataFrame:
    """CORPORATE_ACTIONS rows of the overlays on dividends and splits: versions known later than what was received."""
    own = overlays[overlays["field"].isin(KIND_OF)]
    last = own.sort_values("version").drop_duplicates([*KEY, "field"], keep="last")
    split = (last["field"] == "split").to_numpy()
    value = last["proposed"].to_numpy(dtype=float)
    frame = pd.DataFrame(
        {
            "instrument": last["instrument"].astype("str"),
            "ex_session": last["session"].astype("datetime64[ms]"),
            "kind": last["field"].map(KIND_OF).astype("str"),
            "amount": np.where(split, 0.0, value),
            "ratio": np.where(split, value, 1.0),
            "currency": last["instrument"].map(dict(currencies)).astype("str"),
            "other": pd.Series("", index=last.index, dtype="str"),
            "known_at": last["known_at"],
            "synthetic": False,
        }
    )
    return frame.sort_values(list(CORPORATE_ACTIONS.key), ignore_index=True)


def with_corrected(received: pd.DataFrame, corrected: pd.DataFrame) -> pd.DataFrame:
    """CORPORATE_ACTIONS of one session: of a received event and an overlay on it the overlay."""
    if corrected.empty:
        return received
    key = list(CORPORATE_ACTIONS.key)
    both = pd.concat([frame for frame in (received, corrected) if len(frame)], ignore_index=True)
    return both.drop_duplicates(key, keep="last").sort_values(key, ignore_index=True)


def as_entries(
    proposal: pd.DataFrame, panel_overlays: pd.DataFrame, *, author: str, reason: str
) -> list[dict[str, object]]:
    """Bodies of the ledger entries that accept a proposal; each session's version is the one after its last."""
    known = panel_overlays.groupby(KEY)["version"].max().to_dict() if len(panel_overlays) else {}
    bodies: list[dict[str, object]] = []
    for row in proposal.sort_values([*KEY, "field"]).itertuples(index=False):
        bodies.append(
            {
                "instrument": str(row.instrument),
                "session": row.session.date().isoformat(),
                "field": str(row.field),
                "version": int(known.get((row.instrument, row.session), 0)) + 1,
                "found": float(row.found),
                "proposed": float(row.proposed),
                "rule": str(row.rule),
                "author": author,
                "reason": reason,
            }
        )
    return bodies
