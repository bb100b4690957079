"""The declared features as a layer of `leakcheck`: from a world of tidy rows to every one of them at some sessions. Pure.

Not here: the other layers (`layers`), the checks (`leakcheck`).
"""

import datetime as dt
from collections.abc import Sequence

import pandas as pd

from marketbot_assets.features.catalogue import declared_plan, lookback_sessions, names
from marketbot_assets.features.market_inputs import feature_inputs
from marketbot_assets.features.wide_features import build_features, first_number, number_of
from marketbot_assets.normalization.build_window import build_macro, build_window
from marketbot_assets.research.leakcheck import Key, Outputs
from marketbot_assets.research.worlds import World
from marketbot_resources.calendars import cutoffs, decision_sessions
from marketbot_resources.holidays import FIRST
from marketbot_resources.mandate import Mandate

GROUP = "wide_features"


def known_by_then(frame: pd.DataFrame, at: dt.datetime) -> pd.DataFrame:
    """The rows that were known at an instant."""
    return frame[frame["known_at"] <= at]


class WideLayer:
    """The declared features under one mandate."""

    def __init__(self, mandate: Mandate) -> None:
        self._mandate, self._plan = mandate, declared_plan()

    def make(self, world: World, sessions: Sequence[dt.date]) -> Outputs:
        """Every declared feature at each session, as the asset builds it."""
        out: dict[Key, pd.DataFrame] = {}
        for day in sessions:
            number = number_of(self._mandate.calendar, day)
            count = number - first_number(number, lookback_sessions()) + 1
            out[day, GROUP] = self.warm(world, day, count)
        return out

    def warm(self, world: World, session: dt.date, sessions: int) -> pd.DataFrame:
        """The same from a window of so many sessions, at most those that there are."""
        calendar = self._mandate.calendar
        days = decision_sessions(calendar, FIRST, session)[-sessions:]
        limits = cutoffs(calendar, self._mandate.schedule, days)
        filed = known_by_then(world["fundamentals"], limits[-1])
        listed = known_by_then(world["instruments"], limits[-1]).sort_values("instrument", ignore_index=True)
        window = build_window(
            *(world[name] for name in ("prices", "corporate_actions", "fx")),
            instruments=list(listed["instrument"]),
            currencies=dict(zip(listed["instrument"], listed["currency"], strict=True)),
            base=self._mandate.base_currency,
            sessions=days,
            cutoffs=limits,
        )
        macro = build_macro(world["macro"], days, limits)
        inputs = feature_inputs(window, macro, filed, listed, limits, self._mandate.base_currency)
        values, _ = build_features(self._plan, inputs, number_of(calendar, days[0]))
        return pd.DataFrame(values[:, -1].T, index=list(window.instruments), columns=list(names()))
