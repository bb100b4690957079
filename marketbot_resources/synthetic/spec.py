"""What a synthetic world is made of: its size, its risk, its events, its faults. Frozen, checked when made. Pure.

Volatilities are annual fractions; rates are per instrument and year; shares are probabilities.
"""

import datetime as dt
import math
from dataclasses import dataclass, field, fields

from marketbot_resources.errors import UsageError
from marketbot_resources.synthetic.venues import VENUES

FIRST, LAST = dt.date(1997, 1, 1), dt.date(2026, 6, 30)
INSTRUMENTS_MAX = 400_000
CASH_DIVIDEND, SPECIAL_DIVIDEND, SPLIT, SPIN_OFF = "CASH_DIVIDEND", "SPECIAL_DIVIDEND", "SPLIT", "SPIN_OFF"
MERGER, RENAME, DELISTING = "MERGER", "RENAME", "DELISTING"
USUAL_KINDS = (CASH_DIVIDEND, SPLIT)
ALL_KINDS = (CASH_DIVIDEND, SPECIAL_DIVIDEND, SPLIT, SPIN_OFF, MERGER, RENAME, DELISTING)


def _within(owner: object, name: str, low: float, high: float) -> None:
    value = getattr(owner, name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise UsageError(f"synthetic world: expected {name} in [{low}, {high}], found {value!r}")


@dataclass(frozen=True, slots=True)
class RiskSpec:
    """The return model. Of a world without jumps, beta 1 and unit exposures the annual variance is the sum of the squares."""

    drift: float = 0.05
    market_vol: float = 0.15
    sector_vol: float = 0.07
    country_vol: float = 0.06
    style_vol: float = 0.03
    specific_vol: float = 0.25
    log_vol_sd: float = 0.35  # stationary standard deviation of the log of every volatility
    vol_persistence: float = 0.97  # autocorrelation of log volatility from day to day
    leverage: float = -0.6  # correlation of market return and volatility shocks
    tail_degrees: float = 5.0  # of the Student-t specific returns
    jumps_per_year: float = 2.0
    jump_vol: float = 0.06  # standard deviation of one jump, log
    market_jumps_per_year: float = 0.5
    market_jump_vol: float = 0.03

    def __post_init__(self) -> None:
        _within(self, "drift", -1.0, 1.0)
        for name in ("market_vol", "sector_vol", "country_vol", "style_vol", "specific_vol"):
            _within(self, name, 0.0, 1.0)
        _within(self, "log_vol_sd", 0.0, 1.0)
        _within(self, "vol_persistence", 0.0, 0.999)
        _within(self, "leverage", -1.0, 1.0)
        _within(self, "tail_degrees", 2.5, 100.0)
        for name in ("jumps_per_year", "market_jumps_per_year"):
            _within(self, name, 0.0, 50.0)
        for name in ("jump_vol", "market_jump_vol"):
            _within(self, name, 0.0, 0.3)


@dataclass(frozen=True, slots=True)
class EventSpec:
    """How often things happen to a listing. A kind that `kinds` does not name never happens."""

    kinds: tuple[str, ...] = USUAL_KINDS
    payers: float = 0.6  # share of listings that pay a dividend each quarter
    splits: float = 0.06
    special_dividends: float = 0.03
    spin_offs: float = 0.1  # share of listings that spin off a sister, sooner or later
    renames: float = 0.04
    delistings: float = 0.03
    merger: float = 0.5  # share of delistings that are mergers
    young: float = 0.1  # share of listings that begin to trade after the first session
    headlines: float = 6.0
    restated: float = 0.05  # share of filings that are restated

    def __post_init__(self) -> None:
        unknown = [kind for kind in self.kinds if kind not in ALL_KINDS]
        if unknown or len(set(self.kinds)) != len(self.kinds):
            raise UsageError(f"synthetic world: expected distinct kinds among {ALL_KINDS}, found {self.kinds}")
        for name in ("payers", "spin_offs", "merger", "young", "restated"):
            _within(self, name, 0.0, 1.0)
        for name in ("splits", "special_dividends", "renames", "delistings"):
            _within(self, name, 0.0, 5.0)
        _within(self, "headlines", 0.0, 250.0)


@dataclass(frozen=True, slots=True)
class FaultSpec:
    """Faults on request: bars per instrument and year, or the share of actions. All zero: the clean world is served."""

    gap: float = 0.0  # the bar is not served
    halt: float = 0.0  # no bar for 2 to 10 sessions
    bad_tick: float = 0.0  # one price is off by 30 % or more
    unit_error: float = 0.0  # all prices times or divided by 100
    stale: float = 0.0  # the bar of the session before is served again
    missing_value: float = 0.0  # no close
    no_volume: float = 0.0  # volume 0
    late: float = 0.0  # knowable one to three days later
    revision: float = 0.0  # a wrong close first, the right one a day later as a second row
    unannounced_split: float = 0.0  # share of splits that are not served
    missing_dividend: float = 0.0  # share of dividends that are not served

    def __post_init__(self) -> None:
        for each in fields(self):
            share = each.name in ("unannounced_split", "missing_dividend")
            _within(self, each.name, 0.0, 1.0 if share else 50.0)
        if math.fsum(self.of_bars().values()) > 100.0:
            raise UsageError("synthetic world: expected at most 100 faulty bars per instrument and year in sum")

    def of_bars(self) -> dict[str, float]:
        """Rate of each kind of fault that a bar can have, in a fixed order."""
        shares = ("unannounced_split", "missing_dividend")
        return {each.name.upper(): getattr(self, each.name) for each in fields(self) if each.name not in shares}


@dataclass(frozen=True, slots=True)
class WorldSpec:
    """One world. The same spec is the same world, byte for byte; more instruments or a later `last` only add to it.

    Instrument n trades on mics[n % len(mics)]. `ticks` False serves closes unrounded, so that they prove the returns.
    """

    instruments: int
    mics: tuple[str, ...]
    first: dt.date
    last: dt.date
    seed: int
    risk: RiskSpec = field(default_factory=RiskSpec)
    events: EventSpec = field(default_factory=EventSpec)
    faults: FaultSpec = field(default_factory=FaultSpec)
    ticks: bool = True

    def __post_init__(self) -> None:
        for name, low, high in (("instruments", 1, INSTRUMENTS_MAX), ("seed", 0, 2**32 - 1)):
            _within(self, name, low, high)
            if not isinstance(getattr(self, name), int):
                raise UsageError(f"synthetic world: expected {name} to be whole, found {getattr(self, name)!r}")
        unknown = [mic for mic in self.mics if mic not in VENUES]
        if not self.mics or unknown or len(set(self.mics)) != len(self.mics):
            raise UsageError(f"synthetic world: expected distinct MICs among {sorted(VENUES)}, found {self.mics}")
        if not FIRST <= self.first <= self.last <= LAST:
            raise UsageError(
                f"synthetic world: expected {FIRST} <= first <= last <= {LAST}, found {self.first} and {self.last}"
            )
