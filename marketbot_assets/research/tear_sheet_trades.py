"""What a backtest held and traded: exposures, concentration, round trips, costs by kind, capacity, limits, controls. Pure.

All of it from the tables of `details`. Not here: returns (`tear_sheet`), the page (`tear_sheet_page`).
"""

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
import pandas as pd

from marketbot_assets.normalization.window import Floats
from marketbot_assets.research import details as kept
from marketbot_assets.research.tear_sheet import Rows, Sheet

NAN = math.nan
NEAR = 0.9
NEVER = "never"


@dataclass(frozen=True, slots=True)
class Trip:
    """Shares bought and sold again. `gain`: base currency, before fees and taxes."""

    instrument: str
    opened: pd.Timestamp
    closed: pd.Timestamp
    paid: float
    gain: float

    @property
    def fraction(self) -> float:
        """Gain over what was paid."""
        return self.gain / self.paid if self.paid > 0.0 else NAN

    @property
    def days(self) -> int:
        """Calendar days held."""
        return int((self.closed - self.opened).days)


def over_time(sheet: Sheet, column: str, most: int = 6) -> dict[str, Floats]:
    """Group -> (T,) sum of end weights per session, of the `most` groups with the largest mean. `column`: sector or currency."""
    held = sheet.tables[kept.HOLDINGS]
    shares = held[~held["instrument"].str.startswith("CASH:")]
    table = shares.pivot_table(index="session", columns=column, values="weight", aggfunc="sum")
    table = table.reindex(sheet.frame["session"]).fillna(0.0)
    order = table.mean().sort_values(ascending=False, kind="stable").index[:most]
    return {str(name): table[name].to_numpy(dtype=np.float64) for name in order}


def factors_over_time(sheet: Sheet, *, styles: bool = True) -> dict[str, Floats]:
    """Factor -> (T,) own exposure at the start of each session; NaN where it is not known. `styles`: without sectors."""
    market = sheet.tables[kept.MARKET]
    rows = market[market["kind"] == kept.FACTOR]
    if styles:
        rows = rows[~rows["item"].str.startswith("sector ")]
    table = rows.pivot_table(index="session", columns="item", values="weight", aggfunc="first")
    table = table.reindex(sheet.frame["session"])
    return {str(name): table[name].to_numpy(dtype=np.float64) for name in table.columns}


def concentration(sheet: Sheet) -> dict[str, Floats]:
    """Name -> (T,) largest weight, sum of the ten largest, Herfindahl-Hirschman index of the weights, all of NAV."""
    held = sheet.tables[kept.HOLDINGS]
    shares = held[~held["instrument"].str.startswith("CASH:")]
    groups = shares.groupby("session")["weight"]
    found = {
        "largest": groups.max(),
        "ten largest": groups.apply(lambda own: own.nlargest(10).sum()),
        "HHI": groups.apply(lambda own: float((own**2).sum())),
    }
    return {
        name: values.reindex(sheet.frame["session"]).fillna(0.0).to_numpy(dtype=np.float64)
        for name, values in found.items()
    }


def positions(sheet: Sheet) -> Rows:
    """Rows of instrument, sector, currency, sessions held, mean and largest weight, last weight, profit (base currency)."""
    held = sheet.tables[kept.HOLDINGS]
    shares = held[~held["instrument"].str.startswith("CASH:")]
    nav = dict(zip(sheet.frame["session"].iloc[1:], sheet.nav[:-1].tolist(), strict=True))
    last, found = sheet.frame["session"].iloc[-1], []
    for name, own in shares.groupby("instrument"):
        inside = own["weight"] > 0.0
        final = own.loc[own["session"] == last, "weight"]
        profit = math.fsum(t * nav[day] for day, t in zip(own["session"], own["total"].tolist(), strict=True))
        found.append({
            "instrument": str(name), "sector": str(own["sector"].iloc[-1]), "currency": str(own["currency"].iloc[-1]),
            "held": int(inside.sum()), "mean": float(own.loc[inside, "weight"].mean()) if inside.any() else 0.0,
            "largest": float(own["weight"].max()), "last": float(final.iloc[0]) if len(final) else 0.0, "profit": profit,
        })  # fmt: skip
    return sorted(found, key=lambda row: (-abs(float(str(row["profit"]))), str(row["instrument"])))


def profit_parts(sheet: Sheet, column: str | None = None) -> dict[str, dict[str, float]]:
    """Group -> part -> profit in base currency over the whole range; `column` None: one group `book`.

    The parts of all groups add up to the last NAV less the first.
    """
    held = sheet.tables[kept.HOLDINGS]
    nav = pd.Series(sheet.nav[:-1], index=sheet.frame["session"].iloc[1:])
    scale = nav.reindex(held["session"]).to_numpy(dtype=np.float64)
    keys = pd.Series("book", index=held.index) if column is None else held[column]
    found: dict[str, dict[str, float]] = {}
    for name, places in sorted(held.groupby(keys).indices.items()):
        found[str(name)] = {
            part: math.fsum((held[part].to_numpy(dtype=np.float64)[places] * scale[places]).tolist())
            for part in kept.PARTS
        }
    return found


def costs_by_kind(sheet: Sheet) -> dict[str, float]:
    """Kind -> base currency: fees, taxes, spread and impact (fill against auction), delay (auction against the decision's close).

    Delay is no loss by itself: it holds what the market did over night, both ways. NaN fills count as 0.
    """
    fills = sheet.tables[kept.FILLS]
    value = fills["value_base"].to_numpy(dtype=np.float64)
    slip, delay = (
        math.fsum(np.nan_to_num(fills[name].to_numpy(dtype=np.float64)) * value * 1e-4)
        for name in ("slippage_bps", "delay_bps")
    )
    return {
        "fees": math.fsum(fills["fee_base"].tolist()),
        "taxes": math.fsum(fills["tax_base"].tolist()),
        "spread and impact": slip,
        "delay": delay,
    }


def round_trips(sheet: Sheet) -> list[Trip]:
    """Shares bought and sold, first in first out, in base currency as filled, over splits in between.

    Shares of a spin-off or a merger were not bought and count for nothing. Details kept before they had `units` know no splits.
    """
    fills = sheet.tables[kept.FILLS]
    shares = fills[~fills["instrument"].str.startswith("FX:")]
    lots: dict[str, deque[list[float]]] = {}
    opened: dict[str, deque[pd.Timestamp]] = {}
    trips: list[Trip] = []
    columns = ("session", "instrument", "side", "units" if "units" in shares else "quantity", "value_base")
    for day, name, side, quantity, value in zip(*(shares[c].tolist() for c in columns), strict=True):
        own, days = lots.setdefault(name, deque()), opened.setdefault(name, deque())
        if side > 0.0:
            own.append([quantity, value])
            days.append(day)
        else:
            trips += _sold(name, day, quantity, value, own, days)
    return trips


def _sold(
    name: str, day: pd.Timestamp, quantity: float, value: float, lots: deque[list[float]], days: deque[pd.Timestamp]
) -> list[Trip]:
    """The trips that a sale ends; what was never bought (shares of a spin-off) counts as paid nothing and is left out."""
    trips, left = [], quantity
    while left > 1e-9 and lots:
        count, paid = lots[0]
        part = min(count, left)
        share = paid * part / count
        trips.append(Trip(name, days[0], day, share, value * part / quantity - share))
        left -= part
        if part >= count - 1e-9:
            lots.popleft()
            days.popleft()
        else:
            lots[0] = [count - part, paid - share]
    return trips


def trip_numbers(trips: list[Trip]) -> dict[str, float]:
    """Count, share that gained, profit factor (gains over losses), mean gain and loss, mean and longest days held."""
    gains = [trip.gain for trip in trips if trip.gain > 0.0]
    losses = [-trip.gain for trip in trips if trip.gain < 0.0]
    fractions = [trip.fraction for trip in trips if math.isfinite(trip.fraction)]
    return {
        "trips": float(len(trips)),
        "share that gained": len(gains) / len(trips) if trips else NAN,
        "profit factor": math.fsum(gains) / math.fsum(losses) if losses else NAN,
        "mean gain": math.fsum(gains) / len(gains) if gains else NAN,
        "mean loss": math.fsum(losses) / len(losses) if losses else NAN,
        "mean return": math.fsum(fractions) / len(fractions) if fractions else NAN,
        "mean days held": math.fsum(trip.days for trip in trips) / len(trips) if trips else NAN,
        "longest days held": float(max((trip.days for trip in trips), default=0)),
    }


def capacity(sheet: Sheet, participation: float) -> dict[str, float]:
    """Days to exit and share of a day's usual value, and the NAV at which the largest order would reach `participation` of it.

    Every order and every position grows with NAV; `share_max` scales, impact as modelled grows with its root.
    """
    held, fills = sheet.tables[kept.HOLDINGS], sheet.tables[kept.FILLS]
    exits = held["days_to_exit"].dropna().to_numpy(dtype=np.float64)
    share = fills["adv_share"].dropna().to_numpy(dtype=np.float64)
    most = float(share.max()) if len(share) else NAN
    usual = float(np.quantile(share, 0.99)) if len(share) else NAN
    return {
        "days to exit, median": float(np.median(exits)) if len(exits) else NAN,
        "days to exit, largest": float(exits.max()) if len(exits) else NAN,
        "order over a day's value, median": float(np.median(share)) if len(share) else NAN,
        "order over a day's value, 99 %": usual,
        "order over a day's value, largest": most,
        "NAV at which 1 % of the orders reach the limit": float(sheet.nav.mean()) * participation / usual
        if usual > 0.0
        else NAN,
        "NAV at which the largest reaches it": float(sheet.nav.mean()) * participation / most if most > 0.0 else NAN,
    }


def limits(sheet: Sheet) -> Rows:
    """Rows of control: mean and largest use of its limit, where, sessions near it (above NEAR), sessions it bound the target."""
    table = sheet.tables[kept.CONTROLS]
    used, bound = table[table["kind"] == kept.USED], table[table["kind"] == kept.BOUND]
    count = len(sheet.frame)
    bound_sessions = bound.groupby("control")["session"].nunique()
    found = []
    for control in sorted({*used["control"], *bound["control"]}):
        own = used[used["control"] == control]
        top = own.loc[own["used"].idxmax()] if len(own) else None
        found.append({
            "control": control, "mean": float(own["used"].mean()) if len(own) else NAN,
            "largest": NAN if top is None else float(top["used"]), "item": "" if top is None else str(top["item"]),
            "when": NEVER if top is None else str(top["session"].date()), "near": int((own["used"] > NEAR).sum()),
            "bound": int(bound_sessions.get(control, 0)), "sessions": count,
        })  # fmt: skip
    return sorted(found, key=lambda row: (-int(str(row["bound"])), -_known(row["mean"]), str(row["control"])))


def bound_limits(sheet: Sheet) -> Rows:
    """Rows of control, item, sessions: which limits of the target bound, most often first."""
    table = sheet.tables[kept.CONTROLS]
    rows = table[table["kind"] == kept.BOUND].groupby(["control", "item"])["session"].nunique()
    found = [
        {"control": str(control), "item": str(item), "sessions": int(count)} for (control, item), count in rows.items()
    ]
    return sorted(found, key=lambda row: (-int(str(row["sessions"])), str(row["control"]), str(row["item"])))


def prevented(sheet: Sheet) -> Rows:
    """Rows of control: orders that it made smaller or stopped, value planned, value let through, value prevented, of NAV each."""
    table = sheet.tables[kept.CONTROLS]
    found = []
    for control, own in table[table["kind"] == kept.PREVENTED].groupby("control"):
        planned, left = own["planned"].abs(), own["approved"].abs()
        found.append({
            "control": str(control), "orders": len(own), "sessions": int(own["session"].nunique()),
            "planned": float(planned.sum()), "approved": float(left.sum()), "prevented": float((planned - left).sum()),
        })  # fmt: skip
    return sorted(found, key=lambda row: (-float(str(row["prevented"])), str(row["control"])))


def _known(value: object) -> float:
    number = float(str(value))
    return number if math.isfinite(number) else 0.0
