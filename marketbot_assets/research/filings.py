"""The newest filings at each session of a range: every row is looked at once, when it becomes known. Pure.

What the figures say is read elsewhere (`features.build`, `features.shares`).
"""

import numpy as np
import pandas as pd

from marketbot_assets.features.build import newest_filings
from marketbot_assets.normalization.build_window import micros


class Filings:
    """FUNDAMENTALS rows of a range. A later instant costs what became known since the last one; an earlier one begins anew."""

    def __init__(self, fundamentals: pd.DataFrame) -> None:
        known = micros(fundamentals["known_at"])
        order = np.argsort(known, kind="stable")
        self._known, self._rows = known[order], fundamentals.iloc[order]
        self._seen, self._newest = 0, self._rows.iloc[:0]

    def count(self, limit: int) -> int:
        """Rows known at an instant, in microseconds."""
        return int(np.searchsorted(self._known, limit, side="right"))

    def newest(self, limit: int) -> pd.DataFrame:
        """Of each instrument and field the newest period's newest row known at an instant, in microseconds."""
        count = self.count(limit)
        if count < self._seen:
            self._seen, self._newest = 0, self._rows.iloc[:0]
        if count > self._seen:
            fresh = self._rows.iloc[self._seen : count]
            self._newest = newest_filings(pd.concat([self._newest, fresh]) if len(self._newest) else fresh)
            self._seen = count
        return self._newest
