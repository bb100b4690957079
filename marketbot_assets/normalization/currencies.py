"""How old a currency's rate is, in TARGET days: what forbids to buy in it. Pure.

Not here: how rates are triangulated (`series`), whether a fixing is plausible (`table_rules`).
"""

import datetime as dt
from collections.abc import Collection

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from marketbot_assets.normalization.build_window import cutoff_micros, micros
from marketbot_resources.currencies import target_days


class Fixings:
    """The days of usable rates in FX rows, by currency; a rate that is not finite and positive is no rate.

    Built once for a whole range; `known_by` is what a cutoff knows of it.
    """

    def __init__(self, fx: pd.DataFrame) -> None:
        rate = fx["rate"].to_numpy(dtype=float)
        usable = np.flatnonzero(np.isfinite(rate) & (rate > 0.0))
        codes, names = pd.factorize(fx["currency"].iloc[usable])
        days = fx["session"].to_numpy().astype("datetime64[D]")[usable]
        known = micros(fx["known_at"])[usable] if "known_at" in fx else np.full(len(usable), np.iinfo(np.int64).min)
        self._days: dict[str, tuple[NDArray[np.datetime64], NDArray[np.int64]]] = {}
        self._limit = np.iinfo(np.int64).max
        for code, name in enumerate(names):
            own = np.flatnonzero(codes == code)
            own = own[np.argsort(days[own], kind="stable")]
            self._days[str(name)] = days[own], known[own]

    def known_by(self, cutoff: dt.datetime) -> "Fixings":
        """The rows that were known at an instant."""
        found = object.__new__(Fixings)
        found._days, found._limit = self._days, int(cutoff_micros([cutoff])[0])
        return found

    def newest(self, last: dt.date, currencies: Collection[str] | None = None) -> dict[str, dt.date]:
        """Currency -> date of its newest usable fixing up to `last`; of some currencies alone where they are given."""
        found, limit = {}, np.datetime64(last, "D")
        for name, (days, known) in self._days.items():
            if currencies is not None and name not in currencies:
                continue
            place = int(days.searchsorted(limit, side="right")) - 1
            while place >= 0 and known[place] > self._limit:
                place -= 1
            if place >= 0:
                found[name] = days[place].item()
        return found


def newest_fixings(fx: pd.DataFrame | Fixings, last: dt.date) -> dict[str, dt.date]:
    """Currency -> date of its newest usable fixing up to `last`. `fx`: FX rows known by then."""
    return (fx if isinstance(fx, Fixings) else Fixings(fx)).newest(last)


def stale_currencies(
    fx: pd.DataFrame | Fixings, currencies: Collection[str], session: dt.date, limit: int
) -> dict[str, int | None]:
    """Currencies without a rate that is at most `limit` TARGET days old, each with the age of its newest fixing.

    `fx`: FX rows known at the cutoff of `session`. The age counts the days on which the ECB fixes rates in (fixing,
    session], so that Easter and Christmas make nothing stale; None: there is no rate at all. The base currency needs no
    rate: do not ask for it.
    """
    newest = (fx if isinstance(fx, Fixings) else Fixings(fx)).newest(session, currencies)
    ages = {name: target_days(newest[name], session) if name in newest else None for name in sorted(set(currencies))}
    return {name: age for name, age in ages.items() if age is None or age > limit}
