"""What the broker of the mandate lets each listing do today: windows per purpose, and why some have none. Pure.

Not here: the arithmetic of one window (`windows`), windows of slices (`slicing`), every other reason (`eligibility`).
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from marketbot_assets.normalization.listings import Listings, listings_of
from marketbot_assets.portfolio.inputs import Flags, ProtectiveWindow, SliceWindow
from marketbot_assets.portfolio.slicing import slice_windows
from marketbot_assets.portfolio.windows import SEND_WINDOW, Windows, first_open, windows_of
from marketbot_resources.broker_table import BROKERS
from marketbot_resources.mandate import Mandate
from marketbot_resources.mandate_execution import CLOSE_AUCTION
from marketbot_resources.model import OrderType


@dataclass(frozen=True, slots=True)
class BrokerWindows:
    """Of n listings: windows of orders on the way to the target and of exits; reasons (n,), empty where there is none.

    `target_refusals`: the type of targets, or of what takes the rest of slices, does not exist there; `buy_refusals`: that, or a
    currency that the broker does not convert. `slices`: per exchange. `legs_until`: until when currency legs are done.
    """

    targets: Windows
    exits: Windows
    target_refusals: tuple[str, ...]
    buy_refusals: tuple[str, ...]
    slices: Mapping[str, tuple[SliceWindow, ...]]
    legs_until: dt.datetime
    protective: tuple[ProtectiveWindow, ...] = ()

    def can_exit(self) -> Flags:
        """(n,) whether an exit has a window; without one a name cannot be traded at all."""
        return np.array([not why for why in self.exits.refusal], dtype=bool)


def broker_windows(
    instruments: pd.DataFrame | Listings, currencies: Sequence[str], mandate: Mandate, cutoff: dt.datetime
) -> BrokerWindows:
    """The windows of the listings of `instruments`, in its order."""
    listed = listings_of(instruments)
    mics, steps = listed.texts("mic"), listed.quantity_step
    terms, rules, off = BROKERS[mandate.broker.name], mandate.execution, mandate.calendar.closed
    targets, exits = (
        windows_of(kind, mics, steps, cutoff, terms, off) for kind in (rules.target_type, rules.exit_type)
    )
    blocked = targets.refusal
    if rules.remainder == CLOSE_AUCTION:
        last = windows_of(OrderType.LIMIT_ON_CLOSE, mics, steps, cutoff, terms, off)
        blocked = tuple(why or more for why, more in zip(blocked, last.refusal, strict=True))
    home = [currency == mandate.base_currency or terms.currency_legs for currency in currencies]
    bought = [
        why or ("" if is_home else f"the broker {terms.name} converts no currency")
        for why, is_home in zip(blocked, home, strict=True)
    ]
    opens = [first_open(mic, cutoff, off) for mic in sorted(set(mics))]
    legs_until = min(opens, default=cutoff + 2 * SEND_WINDOW) - SEND_WINDOW
    slices = slice_windows(mics, cutoff, mandate, terms, off)
    protective: tuple[ProtectiveWindow, ...] = ()
    if rules.protective_type is not None:
        found = windows_of(rules.protective_type, mics, steps, cutoff, terms, off)
        told = zip(found.send_from, found.send_until, found.refusal, strict=True)
        protective = tuple(ProtectiveWindow(*one) for one in told)
    return BrokerWindows(targets, exits, blocked, tuple(bought), slices, legs_until, protective)
