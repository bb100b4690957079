"""What is compared, how far it may move, in which state it is and since when: rows MEASURE and FEATURE of `drift`. Pure.

Every measure has one observed number, a bound from which it is watched and one beyond which it has drifted. A number that is not
known, or rests on too little, is `unknown`, never `ok`. Not here: the numbers of each part (`drift_parts`), the forecasts'
own rows (`drift`).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from marketbot_assets.audit.drift import Row, blank
from marketbot_assets.audit.schema import DRIFT, DRIFTED, FEATURE, MEASURE, OK, UNKNOWN_STATE, WATCH
from marketbot_assets.book.rows import rows_frame

ABOVE, BELOW, EITHER, SHOWN = "above", "below", "either", ""
NAN = math.nan
NOTHING = "nothing by itself"


@dataclass(frozen=True, slots=True)
class Measure:
    """One comparison. `side`: which way is bad (ABOVE, BELOW, EITHER way from zero), SHOWN for what is told and not judged.

    `watch`, `threshold`: watched beyond the first, drifted beyond the second; equal to a bound is within it. `enough`: whether it
    rests on enough to be judged. `count`: what was compared. `answer`: what happens by itself once it has drifted.
    """

    part: str
    name: str
    observed: float
    side: str = SHOWN
    watch: float = NAN
    threshold: float = NAN
    count: int = 0
    error: float = NAN
    enough: bool = True
    message: str = ""
    answer: str = ""

    @property
    def state(self) -> str:
        """ok, watch, drifted, unknown; empty for what is only shown."""
        if self.side == SHOWN:
            return ""
        bounds = (self.observed, self.watch, self.threshold)
        if not self.enough or not all(map(math.isfinite, bounds)):
            return UNKNOWN_STATE
        sign = -1.0 if self.side == BELOW else 1.0
        value = abs(self.observed) if self.side == EITHER else sign * self.observed
        if value <= sign * self.watch and value <= sign * self.threshold:
            return OK
        return WATCH if value <= sign * self.threshold else DRIFTED


@dataclass(frozen=True, slots=True)
class FeatureMeasure:
    """One feature: PSI against its bounds, and the Kolmogorov-Smirnov numbers. `state` is that of RC-89's own rule."""

    measure: Measure
    ks: float
    ks_p: float
    state: str


def measured(
    judged: pd.DataFrame, measures: Iterable[Measure | FeatureMeasure], session: str, before: pd.DataFrame | None
) -> pd.DataFrame:
    """DRIFT: the forecasts' rows with the measures of a session. `before`: the frame of the session before, for `since`."""
    known = _states(before)
    rows: list[Row] = [{str(name): value for name, value in row.items()} for row in judged.to_dict("records")]
    for one in measures:
        row = _feature_row(one, session) if isinstance(one, FeatureMeasure) else _row(one, session, one.state, MEASURE)
        state, since = known.get((str(row["part"]), str(row["name"])), ("", ""))
        row["since"] = "" if not row["state"] else since if since and state == row["state"] else session
        rows.append(row)
    return rows_frame(DRIFT, rows)


def _states(before: pd.DataFrame | None) -> dict[tuple[str, str], tuple[str, str]]:
    """(part, name) -> (state, since) of a frame; empty for one of before there were states."""
    if before is None or "state" not in before.columns:
        return {}
    rows = before[before["kind"].isin((MEASURE, FEATURE))]
    return {
        (str(part), str(name)): (str(state), str(since))
        for part, name, state, since in zip(rows["part"], rows["name"], rows["state"], rows["since"], strict=True)
    }


def _row(one: Measure, session: str, state: str, kind: str) -> Row:
    return {
        **blank(kind, session),
        "names": one.count,
        "part": one.part,
        "name": one.name,
        "observed": _known(one.observed),
        "error": _known(one.error),
        "watch": _known(one.watch),
        "threshold": _known(one.threshold),
        "side": one.side,
        "state": state,
        "answer": one.answer,
        "message": one.message,
    }


def _feature_row(one: FeatureMeasure, session: str) -> Row:
    return {**_row(one.measure, session, one.state, FEATURE), "ks": _known(one.ks), "ks_p": _known(one.ks_p)}


def _known(value: float) -> float:
    return float(value) if math.isfinite(value) else NAN
