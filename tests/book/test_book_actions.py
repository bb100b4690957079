"""Corporate actions in the book: no split fires a stop, a lot outlives its shares, a dead name is valued and leaves."""

import datetime as dt
import math
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from marketbot_assets.book.frames import state_frame, state_of
from marketbot_assets.book.positions import Holdings
from marketbot_assets.book.roll import Held, Rolled, roll
from marketbot_assets.book.state import BookState, Lot
from marketbot_assets.book.step import opening_state, step_book
from marketbot_assets.normalization.build_window import build_window
from marketbot_resources.calendars import close_at, decision_sessions, open_at
from marketbot_resources.mandate import Mandate

DAYS = decision_sessions("XNYS", dt.date(2018, 10, 1), dt.date(2019, 3, 29))
CUTOFFS = tuple(close_at("XNYS", day) + dt.timedelta(hours=2) for day in DAYS)
NAMES = ("A", "B")
D = Decimal
ACTION_COLUMNS = ["instrument", "ex_session", "kind", "amount", "ratio", "other", "known_at"]


def table(rows: list[tuple]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=ACTION_COLUMNS)
    frame["ex_session"] = pd.to_datetime(frame["ex_session"]).astype("datetime64[ms]")
    frame["known_at"] = pd.to_datetime(frame["known_at"], utc=True).astype("datetime64[us, UTC]")
    return frame.astype({"amount": float, "ratio": float}).assign(currency="USD")


class World:
    """Two names in New York, closes by place of the session, a book that rolls and steps over them as the assets do."""

    def __init__(self, mandate: Mandate, a: list[float], b: float = 50.0, *, mic: str = "XNYS") -> None:
        self.mandate, self.mic = mandate, mic
        closes = {"A": a, "B": [b] * len(DAYS)}
        rows = [
            (name, day, value) for name in NAMES for day, value in zip(DAYS, closes[name], strict=False) if value > 0
        ]
        bars = pd.DataFrame(rows, columns=["instrument", "session", "close"])
        known = [close_at("XNYS", day) + dt.timedelta(minutes=15) for day in bars["session"]]
        bars["session"] = pd.to_datetime(bars["session"]).astype("datetime64[ms]")
        bars["known_at"] = pd.to_datetime(known, utc=True).astype("datetime64[us, UTC]")
        levels = {name: bars["close"] for name in ("open", "high", "low", "price_level")}
        self.bars = bars.assign(**levels, volume=1e6, quarantine=False, mic=mic)
        self.instruments = pd.DataFrame(
            {"instrument": NAMES, "mic": [mic, "XNYS"], "currency": "USD", "delisted_on": pd.NaT}
        )
        self.instruments["delisted_on"] = self.instruments["delisted_on"].astype("datetime64[ms]")
        self.fx = pd.DataFrame(
            {"currency": [], "session": bars["session"].iloc[:0], "rate": [], "known_at": bars["known_at"].iloc[:0]}
        )

    def run(self, actions: pd.DataFrame, until: int, shares: int = 1000) -> list[tuple[Rolled, BookState]]:
        """From `shares` of A bought at its first close; sessions 1..until. ATR20 is 1 % of the close."""
        first = float(self.bars["close"].iloc[0])
        nav = shares * first + 500_000.0
        held = Held(Holdings({"A": D(shares)}, {"USD": D(500_000)}), {"A": first}, {"USD": 1.0})
        state = opening_state(DAYS[0], nav)
        state = state_of(state_frame(state)).__class__(**{
            **{f: getattr(state, f) for f in state.__slots__}, "lots": (Lot("A", D(shares), first, first, 0.0, DAYS[0]),),
        })  # fmt: skip
        found = []
        for place in range(1, until + 1):
            window = build_window(
                self.bars, actions, self.fx, instruments=NAMES, currencies=dict.fromkeys(NAMES, "USD"), base="USD",
                sessions=DAYS[max(0, place - 3) : place + 1], cutoffs=CUTOFFS[max(0, place - 3) : place + 1],
            )  # fmt: skip
            rolled = roll(held, (), actions, window, instruments=self.instruments, base="USD",
                          after=CUTOFFS[place - 1], until=CUTOFFS[place])  # fmt: skip
            close = {
                n: float(c) if f else math.nan
                for n, c, f in zip(NAMES, window.close[-1], window.fresh[-1], strict=True)
            }
            state = step_book(
                state, session=DAYS[place], valuation=rolled.valuation, fills=(), actions=rolled.actions, close=close,
                atr20={n: 0.01 * value for n, value in close.items()}, index_vol_20d=0.15, clean=True, operator_rearm=False,
                decision_sessions=DAYS, mandate=self.mandate,
            )  # fmt: skip
            assert state_of(state_frame(state)) == state or any(math.isnan(lot.entry_price) for lot in state.lots)
            held = rolled.held
            found.append((rolled, state))
        return found


def known(place: int) -> dt.datetime:
    return CUTOFFS[place] - dt.timedelta(hours=6)


@pytest.mark.parametrize("count", [16, pytest.param(200, marks=pytest.mark.long)])
def test_two_hundred_splits_fire_no_stop(mandate: Mandate, count: int) -> None:
    """F18: after a split the same stops are hit in the same sessions as without it, on calm and on wild paths."""
    rng, wrong, hits = np.random.default_rng(7), 0, 0
    for number in range(count):
        ratio = float(rng.choice([2.0, 3.0, 4.0, 7.0, 10.0, 1.5, 0.5, 0.2, 0.1, 0.05]))
        at = int(rng.integers(2, 9))
        path = np.round(100.0 * np.cumprod(1.0 + rng.normal(0.0, 0.06 if number % 2 else 0.008, 12)), 2)
        after = [float(p / ratio) if n >= at else float(p) for n, p in enumerate(path)]
        plain = World(mandate, [float(p) for p in path]).run(table([]), 11, shares=6000)
        split = World(mandate, after).run(
            table([("A", DAYS[at], "SPLIT", 0.0, ratio, "", known(at - 1))]), 11, shares=6000
        )
        stopped = [[bool(state.stop_hits) for _, state in days] for days in (plain, split)]
        wrong += stopped[0] != stopped[1]
        hits += any(stopped[0])
        lot = split[-1][1].lots[0]
        assert lot.quantity == 6000 * D(str(ratio))
        assert lot.extreme * ratio == pytest.approx(plain[-1][1].lots[0].extreme)
        assert split[-1][0].valuation.nav == pytest.approx(plain[-1][0].valuation.nav, rel=1e-9)
    assert wrong == 0
    assert count / 10 <= hits <= count * 9 / 10  # both kinds of path were seen


@pytest.mark.parametrize(
    ("kind", "amount", "ratio", "after"),
    [("SPECIAL_DIVIDEND", 30.0, 1.0, 70.0), ("SPIN_OFF", 30.0, 0.6, 70.0), ("CASH_DIVIDEND", 2.0, 1.0, 98.0)],
)
def test_what_is_distributed_is_no_loss(mandate: Mandate, kind: str, amount: float, ratio: float, after: float) -> None:
    """The price falls by what was paid, in cash or in shares of B: no stop, the NAV stays, and the total return is none."""
    days = World(mandate, [100.0] * 4 + [after] * 6).run(table([("A", DAYS[4], kind, amount, ratio, "B", known(2))]), 8)
    assert all(not state.stop_hits for _, state in days)
    assert [rolled.valuation.nav for rolled, _ in days] == pytest.approx([600_000.0] * 8)
    lot = {held.instrument: held for held in days[-1][1].lots}
    assert (lot["A"].dividends, lot["A"].extreme) == (amount, 100.0)
    if kind == "SPIN_OFF":
        assert (lot["B"].quantity, lot["B"].entry_price, lot["B"].extreme) == (D(600), 50.0, 50.0)


def test_shares_received_without_a_value_enter_at_their_first_close(mandate: Mandate) -> None:
    """An unknown entry is no stop that never fires: the first close sets it."""
    days = World(mandate, [100.0] * 10).run(table([("A", DAYS[4], "SPIN_OFF", math.nan, 0.6, "B", known(2))]), 6)
    lot = {held.instrument: held for held in days[-1][1].lots}["B"]
    assert (lot.quantity, lot.entry_price, lot.extreme, lot.entered_on) == (D(600), 50.0, 50.0, DAYS[4])


def test_a_merger_for_shares_goes_on_as_a_lot_of_the_acquirer(mandate: Mandate) -> None:
    """1000 at 100 become 1600 of B at 50 and 20 each in cash: entry and extreme on B's scale, the trail goes on, no stop."""
    closes = [100.0, 120.0, 110.0, 110.0]  # (110 - 30) / 1.6 = 50
    days = World(mandate, closes).run(table([("A", DAYS[4], "MERGER", 30.0, 1.6, "B", known(1))]), 6)
    (lot,) = days[-1][1].lots
    assert (lot.instrument, lot.quantity, lot.entered_on) == ("B", D(1600), DAYS[0])
    assert (lot.entry_price, lot.extreme, lot.dividends) == pytest.approx((100 / 1.6, 120 / 1.6, 30 / 1.6))
    assert not days[-1][1].stop_hits
    assert days[-1][0].valuation.holdings == Holdings({"B": D(1600)}, {"USD": D(530_000)})
    assert days[-1][0].valuation.nav == pytest.approx(610_000.0)


# 20 ends of a name held at 100, last close 40 in session 3: exchange, versions (known in session, amount, ratio, reason or
# acquirer), then the value of the 1000 shares after session 4 and after session 8, and what is held at the end.
WAITS, NONE = "A", ""
ENDS = {
    "worthless": ("XNYS", [("DELISTING", 3, 0.0, 0.0, "BANKRUPTCY")], 0.0, 0.0, NONE),
    "worthless, told late": ("XNYS", [("DELISTING", 6, 0.0, 0.0, "BANKRUPTCY")], 40.0, 0.0, NONE),
    "pennies": ("XNYS", [("DELISTING", 3, 0.25, 0.0, "BANKRUPTCY")], 0.25, 0.25, NONE),
    "unknown, New York": ("XNYS", [("DELISTING", 3, math.nan, 0.0, "UNKNOWN")], 28.0, 28.0, WAITS),
    "unknown, Nasdaq": ("XNAS", [("DELISTING", 3, math.nan, 0.0, "UNKNOWN")], 18.0, 18.0, WAITS),
    "bankrupt, unknown": ("XNAS", [("DELISTING", 3, math.nan, 0.0, "BANKRUPTCY")], 18.0, 18.0, WAITS),
    "voluntary, unknown": ("XNYS", [("DELISTING", 3, math.nan, 0.0, "VOLUNTARY")], 28.0, 28.0, WAITS),
    "voluntary, paid": ("XNYS", [("DELISTING", 3, 39.0, 0.0, "VOLUNTARY")], 39.0, 39.0, NONE),
    "acquired, unknown": ("XNAS", [("DELISTING", 3, math.nan, 0.0, "ACQUIRED")], 40.0, 40.0, WAITS),
    "acquired, paid": ("XNYS", [("DELISTING", 3, 41.5, 0.0, "ACQUIRED")], 41.5, 41.5, NONE),
    "transfer": ("XNYS", [("DELISTING", 3, 0.0, 0.0, "TRANSFER")], 40.0, 40.0, WAITS),
    "unknown, then worthless": (
        "XNYS", [("DELISTING", 3, math.nan, 0.0, "UNKNOWN"), ("DELISTING", 6, 0.0, 0.0, "BANKRUPTCY")], 28.0, 0.0, NONE),
    "unknown, then paid": (
        "XNAS", [("DELISTING", 3, math.nan, 0.0, "UNKNOWN"), ("DELISTING", 7, 5.0, 0.0, "BANKRUPTCY")], 18.0, 5.0, NONE),
    "unknown, told twice": (
        "XNYS", [("DELISTING", 3, math.nan, 0.0, "UNKNOWN"), ("DELISTING", 5, math.nan, 0.0, "BANKRUPTCY")], 28.0, 28.0, WAITS),
    "revised before the end": (
        "XNYS", [("DELISTING", 1, 44.0, 0.0, "ACQUIRED"), ("DELISTING", 3, 42.0, 0.0, "ACQUIRED")], 42.0, 42.0, NONE),
    "merger for cash": ("XNYS", [("MERGER", 2, 42.0, 0.0, "B")], 42.0, 42.0, NONE),
    "merger for cash, told late": ("XNAS", [("MERGER", 5, 42.0, 0.0, "B")], 40.0, 42.0, NONE),
    "merger for shares": ("XNYS", [("MERGER", 2, 0.0, 0.8, "B")], 40.0, 40.0, "B"),
    "merger for both": ("XNYS", [("MERGER", 2, 10.0, 0.6, "B")], 40.0, 40.0, "B"),
    "merger with a stranger": ("XNYS", [("MERGER", 2, 10.0, 0.6, "somebody")], 40.0, 40.0, NONE),
}  # fmt: skip


@pytest.mark.parametrize("name", ENDS)
def test_twenty_ends_are_valued_and_left(mandate: Mandate, name: str) -> None:
    """F20: delisting, merger, bankruptcy: the position has the value of the rule each session, leaves when it is paid, no crash."""
    mic, versions, at_first, at_last, left = ENDS[name]
    rows = [("A", DAYS[4], kind, amount, ratio, other, known(at)) for kind, at, amount, ratio, other in versions]
    days = World(mandate, [100.0, 60.0, 50.0, 40.0], mic=mic).run(table(rows), 8)
    values = [rolled.valuation.nav - 500_000.0 for rolled, _ in days]
    assert values[3] == pytest.approx(1000 * at_first)
    assert values[7] == pytest.approx(1000 * at_last)
    assert set(days[-1][0].valuation.holdings.shares) == ({left} if left else set())
    assert [lot.instrument for lot in days[-1][1].lots] == ([left] if left else [])
    assert days[-1][0].valuation.unpriced == ()
    assert [hit.instrument for hit in days[-1][1].stop_hits if hit.instrument != left] == []


def test_there_are_twenty() -> None:
    """F20 asks for 20 fixtures."""
    assert len(ENDS) == 20


def test_a_listing_that_ends_in_silence_is_valued_by_rule(mandate: Mandate) -> None:
    """Only the listing says that its last session is over: -30 % in New York from the next open on, once."""
    world = World(mandate, [100.0, 60.0, 50.0, 40.0])
    world.instruments.loc[0, "delisted_on"] = pd.Timestamp(DAYS[3])
    values = [rolled.valuation.values["A"] for rolled, _ in world.run(table([]), 8)]
    assert values[2:] == pytest.approx([40_000.0, *[28_000.0] * 5])


def test_an_action_counts_at_the_open_of_its_ex_session() -> None:
    """The fixtures above stand on this: New York's open lies before the cutoff of the same day."""
    assert open_at("XNYS", DAYS[4]) < CUTOFFS[4]
