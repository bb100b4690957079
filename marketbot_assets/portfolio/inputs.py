"""What the portfolio stage decides on: arrays keyed by instrument, as of the cutoff. Named result types.

Not here: how assets and the backtest fill it (`decision` and `eligibility`), the optimizer (`optimizer`).
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from marketbot_assets.book.state import BookState
from marketbot_assets.features.model import FactorModel
from marketbot_resources.model import OrderType

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
TILT_MAX = 1e4


@dataclass(frozen=True, slots=True)
class SliceWindow:
    """One window inside a session: when a child may be sent, and the fraction of the session's volume expected in it."""

    send_from: dt.datetime
    send_until: dt.datetime
    volume: Fraction


@dataclass(frozen=True, slots=True)
class ProtectiveWindow:
    """When a protective order of one name may be sent; `refusal`: why the broker cannot take one, empty = it can."""

    send_from: dt.datetime
    send_until: dt.datetime
    refusal: str


@dataclass(frozen=True, slots=True)
class PortfolioInputs:
    """One decision's inputs for n sorted instruments: the universe and everything held.

    `price` listing currency; `fx` base per unit of the listing currency; `adv` base currency per session, median of 20;
    `sigma_daily` per session; `cost_buy` and `cost_sell` linear costs as fractions of the traded value, tax included, and the
    `calibrated` factors (buy, sell; (n,) each; None = 1), which impact is still to get.
    `expected_return` excess per year. `positions` and `open_quantity` in shares (open orders signed, buys positive).
    `cash` per currency; `fx_rates` base per unit for every currency with cash or instruments; `nav` in base currency.
    `can_buy`: may be increased; `can_trade`: may be traded at all (a False forbids sells, too); `force_exit`: a stop is due;
    `reasons`: why a name may not be bought, empty when it may. `send_from`, `send_until`: window of the next open auction.
    `issuer`: ultimate issuer, a fund's own id, empty when unknown; no issuer at all stands for one of its own each.
    `rebalance`: False on sessions on which the cadence allows protective exits and limit cures only.
    `benchmark`: (n,) weights of the mandate's benchmark, empty when unknown.
    `exit_send_from`, `exit_send_until`: window of exits and cures, empty = as that of other orders. `target_refusals`: why the
    broker cannot take orders of the target's type, empty = it can. `slice_windows`: exchange -> windows of slices in its next
    session. `protective_windows`: (n,), empty = the mandate wants no protective orders at the broker; `stop_level`: (n,) the
    higher of RC-62's and RC-63's levels, listing currency, NaN where nothing is held or it is unknown.
    `llm_tilt`: (n,) what views of a language model add per year, contained in `expected_return`; empty = nothing.
    """

    session: dt.date
    environment: str
    account: str
    batch_no: int
    instruments: tuple[str, ...]
    sector: tuple[str, ...]
    country: tuple[str, ...]
    currency: tuple[str, ...]
    mic: tuple[str, ...]
    is_fund: Flags
    quantity_step: tuple[Decimal, ...]
    tick_size: tuple[Decimal, ...]
    price: Floats
    fx: Floats
    adv: Floats
    sigma_daily: Floats
    cost_buy: Floats
    cost_sell: Floats
    expected_return: Floats
    factor_model: FactorModel
    positions: tuple[Decimal, ...]
    open_quantity: tuple[Decimal, ...]
    cash: Mapping[str, Decimal]
    fx_rates: Mapping[str, float]
    nav: float
    can_buy: Flags
    can_trade: Flags
    force_exit: Flags
    reasons: tuple[str, ...]
    send_from: tuple[dt.datetime, ...]
    send_until: tuple[dt.datetime, ...]
    fx_send_from: dt.datetime
    fx_send_until: dt.datetime
    rebalance: bool
    book: BookState
    calibrated: tuple[Floats, Floats] | None = None
    benchmark: Floats = field(default_factory=lambda: np.zeros(0))
    issuer: tuple[str, ...] = ()
    exit_send_from: tuple[dt.datetime, ...] = ()
    exit_send_until: tuple[dt.datetime, ...] = ()
    target_refusals: tuple[str, ...] = ()
    slice_windows: Mapping[str, tuple[SliceWindow, ...]] = field(default_factory=dict)
    protective_windows: tuple[ProtectiveWindow, ...] = ()
    stop_level: Floats = field(default_factory=lambda: np.zeros(0))
    llm_tilt: Floats = field(default_factory=lambda: np.zeros(0))

    def weights_now(self) -> Floats:
        """(n,) current weights with open orders counted as filled, fraction of NAV; 0 for a name without price and position."""
        shares = np.array([float(p + o) for p, o in zip(self.positions, self.open_quantity, strict=True)])
        value = shares * self.price * self.fx
        return np.asarray(np.where(shares == 0.0, 0.0, value) / self.nav)

    @property
    def tilted(self) -> bool:
        """Whether views of a language model move any expected return; a tilt that is no number counts as one that does."""
        return bool(np.any(self.llm_tilt != 0.0))

    @property
    def tilt_usable(self) -> bool:
        """Whether every tilt is a number that can be taken off again: NaN, infinite and absurd ones are not."""
        return bool(np.all(np.abs(self.llm_tilt) <= TILT_MAX))

    def views(self) -> Floats:
        """(n,) what the views add per year, 0 without any."""
        return self.llm_tilt if len(self.llm_tilt) else np.zeros(len(self.instruments))

    def without_views(self) -> "PortfolioInputs":
        """The same inputs as if no language model had said anything. A name whose tilt cannot be taken off has no forecast."""
        if not self.tilted:
            return self
        known = np.where(np.abs(self.llm_tilt) <= TILT_MAX, self.llm_tilt, np.nan)
        return replace(self, expected_return=self.expected_return - known, llm_tilt=np.zeros(0))

    def multiples(self) -> tuple[Floats, Floats]:
        """(buy, sell) factors of the cost calibration, (n,) each."""
        ones = np.ones(len(self.instruments))
        return (ones, ones) if self.calibrated is None else self.calibrated


@dataclass(frozen=True, slots=True)
class PlannedOrder:
    """One proposed order before the verdict. `reference_price` is the last close in the listing currency.

    `purpose`: TARGET, PROTECTIVE, LIMIT_CURE, FX or PROTECTION. `value_base` = quantity * limit * fx (for FX: quantity * rate).
    """

    instrument: str
    kind: str
    leg: str
    side: str
    quantity: Decimal
    limit_price: Decimal | None
    reference_price: float
    currency: str
    mic: str
    value_base: float
    cost_bps: float
    purpose: str
    reason: str
    send_from: dt.datetime
    send_until: dt.datetime
    type: OrderType = OrderType.LIMIT_ON_OPEN
    stop_price: Decimal | None = None
    trail: Decimal | None = None
