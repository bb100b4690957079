"""The opening balance as a table: what the book holds before its first session, and in which state. Pure.

From cash, as what `decision.py` alone makes of the sessions since go-live (`warm_up`), or as a real broker holds it. Orders decided
on the last of those sessions are not carried over: the first session of the home decides anew. Not here: the loop (`loop`).
"""

import dataclasses
import datetime as dt
import math
from collections.abc import Mapping
from decimal import Decimal

import pandas as pd

from marketbot_assets.book.frames import state_frame
from marketbot_assets.book.positions import Holdings, Valuation, positions_frame, value_positions
from marketbot_assets.book.schema import BOOK_STATE, POSITIONS
from marketbot_assets.book.state import BookState, Lot
from marketbot_assets.book.step import opening_state
from marketbot_resources.errors import HaltError
from marketbot_resources.mandate import Mandate

STATE = "STATE"


def opening_frame(positions: pd.DataFrame, state: pd.DataFrame) -> pd.DataFrame:
    """POSITIONS rows and BOOK_STATE rows as OPENING_BALANCE rows; `place` keeps their order."""
    held = positions.drop(columns="key").assign(item=positions["key"], number=float("nan"), text="")
    names = ["currency", "quantity", "amount", "price", "fx", "value_base"]
    facts = state.assign(kind=STATE, currency="", **dict.fromkeys(names[1:3], None), price=float("nan"))
    facts = facts.assign(fx=float("nan"), value_base=float("nan"))
    columns = ["kind", "item", "instrument", *names, "number", "text"]
    rows = [*held[columns].to_dict("records"), *facts[columns].to_dict("records")]
    frame = pd.DataFrame(rows, columns=columns)
    kinds = {name: "float64" for name in ("price", "fx", "value_base", "number")}
    frame = frame.astype({**kinds, "quantity": object, "amount": object})
    for name in ("quantity", "amount"):
        frame[name] = frame[name].where(frame[name].notna(), None)
    return frame


def positions_of(opening: pd.DataFrame) -> pd.DataFrame:
    """The POSITIONS rows of an opening balance."""
    rows = opening[opening["kind"] != STATE].rename(columns={"item": "key"})
    return rows[[column.name for column in POSITIONS.columns]].reset_index(drop=True)


def states_of(opening: pd.DataFrame) -> pd.DataFrame:
    """The BOOK_STATE rows of an opening balance."""
    rows = opening[opening["kind"] == STATE]
    return rows[[column.name for column in BOOK_STATE.columns]].reset_index(drop=True)


def seed_of(opening: pd.DataFrame) -> tuple[dict[str, Decimal], dict[str, Decimal]]:
    """(cash per currency, shares per instrument) that a paper broker is opened with."""
    rows = positions_of(opening)
    cash, held = rows[rows["kind"] == "CASH"], rows[rows["kind"] == "POSITION"]
    return dict(zip(cash["key"], cash["amount"], strict=True)), dict(zip(held["key"], held["quantity"], strict=True))


def from_cash(mandate: Mandate, before: dt.date) -> pd.DataFrame:
    """An opening balance of cash alone; `before`: the session before the first one."""
    base = mandate.base_currency
    holdings = Holdings({}, {base: Decimal(mandate.opening_cash)})
    valuation = value_positions(holdings, {}, {base: 1.0}, {}, base_currency=base)
    return balance_frame(valuation, opening_state(before, valuation.nav))


def from_broker(
    mandate: Mandate,
    before: dt.date,
    *,
    cash: Mapping[str, Decimal],
    shares: Mapping[str, Decimal],
    costs: Mapping[str, Decimal],
    closes: Mapping[str, float],
    rates: Mapping[str, float],
    currencies: Mapping[str, str],
) -> pd.DataFrame:
    """An opening balance of what a broker holds; `before`: the session before the first one.

    An entry price is the broker's average cost, else the last close; the extreme is the last close, the only one known. Raises
    HaltError for what this book cannot hold: a listing that the mandate does not know, a short position, a name without price.
    """
    strange = sorted(name for name in shares if name not in currencies)
    if strange:
        raise HaltError(
            f"opening balance: expected listings of the mandate, found {', '.join(strange[:5])}; sell or list them"
        )
    for name in sorted(shares):
        price = closes.get(name, math.nan)
        if not (shares[name].is_finite() and shares[name] > 0 and math.isfinite(price) and price > 0.0):
            raise HaltError(f"{name}: expected a long position with a known close, found {shares[name]} at {price}")
    holdings = Holdings({name: shares[name] for name in sorted(shares)}, {name: cash[name] for name in sorted(cash)})
    held = {name: currencies[name] for name in holdings.shares}
    valuation = value_positions(holdings, closes, rates, held, base_currency=mandate.base_currency)
    lots = tuple(
        Lot(name, count, float(costs.get(name, Decimal(repr(closes[name])))), closes[name], 0.0, before)
        for name, count in holdings.shares.items()
    )
    return balance_frame(valuation, dataclasses.replace(opening_state(before, valuation.nav), lots=lots))


def balance_frame(valuation: Valuation, state: BookState) -> pd.DataFrame:
    """OPENING_BALANCE rows of a valued book and its state."""
    return opening_frame(positions_frame(valuation), state_frame(state))
