"""INSTRUMENTS rows as columns of plain values, each taken out of the frame once. Pure.

A loop over sessions asks the same hundred questions of the same master every day; a frame answers each in a tenth of a
millisecond, a tuple in a thousandth of that. Not here: what was known when (`identity`, `research.history`).
"""

import datetime as dt
from decimal import Decimal
from functools import cached_property

import numpy as np
import pandas as pd

from marketbot_assets.normalization.window import Flags, Floats

FUND = "FUND"


class Listings:
    """The rows of one session, n in the frame's order; `rows` must not change any more."""

    def __init__(self, rows: pd.DataFrame) -> None:
        self.rows = rows
        self._texts: dict[str, tuple[str, ...]] = {}
        self._members: dict[str, dict[str, Flags]] = {}

    def texts(self, column: str) -> tuple[str, ...]:
        """(n,) values of a column of text."""
        if column not in self._texts:
            self._texts[column] = tuple(self.rows[column].tolist())
        return self._texts[column]

    def members(self, column: str) -> dict[str, Flags]:
        """Value of a column of text -> (n,) the rows that have it; sorted by value."""
        if column not in self._members:
            values = self.texts(column)
            sorted_values = sorted(set(values))
            self._members[column] = {
                one: np.array([value == one for value in values], dtype=bool) for one in sorted_values
            }
        return self._members[column]

    @cached_property
    def instrument(self) -> tuple[str, ...]:
        """(n,) ids."""
        return self.texts("instrument")

    @cached_property
    def labels(self) -> pd.api.extensions.ExtensionArray:
        """(n,) ids as a column of text."""
        return pd.array(list(self.instrument), dtype="str")

    @cached_property
    def mics(self) -> dict[str, str]:
        """Instrument -> exchange."""
        return dict(zip(self.instrument, self.texts("mic"), strict=True))

    @cached_property
    def currencies(self) -> dict[str, str]:
        """Instrument -> currency."""
        return dict(zip(self.instrument, self.texts("currency"), strict=True))

    @cached_property
    def is_fund(self) -> Flags:
        """(n,) whether the listing is a fund."""
        return np.array([kind == FUND for kind in self.texts("kind")], dtype=bool)

    @cached_property
    def issuers(self) -> tuple[str, ...]:
        """(n,) ultimate issuer, empty where it is not known; a fund is its own issuer, its sponsor is not."""
        found = zip(self.instrument, self.texts("kind"), self.texts("issuer"), strict=True)
        return tuple(str(name) if kind == FUND else str(issuer) for name, kind, issuer in found)

    @cached_property
    def quantity_step(self) -> tuple[Decimal, ...]:
        """(n,) smallest part of a share that is traded."""
        return tuple(self.rows["quantity_step"].tolist())

    @cached_property
    def steps(self) -> Floats:
        """(n,) the quantity steps as numbers."""
        return np.array([float(step) for step in self.quantity_step])

    @cached_property
    def tick_size(self) -> tuple[Decimal, ...]:
        """(n,) smallest step of a price, listing currency."""
        return tuple(self.rows["tick_size"].tolist())

    @cached_property
    def in_universe(self) -> Flags:
        """(n,) names that the mandate's universe holds."""
        return self.rows["in_universe"].to_numpy(dtype=bool)

    @cached_property
    def shares_outstanding(self) -> Floats:
        """(n,) NaN where unknown."""
        return self.rows["shares_outstanding"].to_numpy(dtype=float)

    @cached_property
    def listed_on(self) -> tuple[dt.date, ...]:
        """(n,) first session."""
        return tuple(day.date() for day in self.rows["listed_on"])

    @cached_property
    def listed_days(self) -> np.ndarray:
        """(n,) first session as datetime64."""
        return np.asarray(self.rows["listed_on"].to_numpy())

    @cached_property
    def ends(self) -> tuple[tuple[str, dt.date], ...]:
        """(instrument, last session) of the listings whose last session is known, in the rows' order."""
        last = self.rows["delisted_on"]
        known = np.flatnonzero(last.notna().to_numpy())
        return tuple((self.instrument[k], last.iloc[k].date()) for k in known)


def listings_of(instruments: "pd.DataFrame | Listings") -> Listings:
    """The columns of a frame; those of columns themselves."""
    return instruments if isinstance(instruments, Listings) else Listings(instruments)
