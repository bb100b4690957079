"""RC-68: fees, dividends and splits are explained once and booked once, session after session, to the cent."""

import datetime as dt
from pathlib import Path

import pytest
from told_account import DAYS, D, ToldBroker, ToldHome, cutoff

from marketbot_assets.book.frames import BookedEvent
from marketbot_assets.book.positions import Holdings
from marketbot_assets.book.reconciliation import adopt_explained, is_clean, reconcile
from marketbot_resources.model import AccountEvent

HOURS = dt.timedelta(hours=15)
SPLIT = AccountEvent("s1", "SPLIT", "MBA", "USD", D(0), D(100), cutoff(DAYS[2]) + HOURS)
# per session from the second on: what the broker books (at 14:15 UTC), what our corporate actions book
TOLD = (
    [AccountEvent("f1", "FEE", "", "USD", D("-12.34"), D(0), cutoff(DAYS[0]) + HOURS)],
    [AccountEvent("d1", "DIVIDEND", "MBA", "USD", D("70"), D(0), cutoff(DAYS[1]) + HOURS)],
    [SPLIT, AccountEvent("i1", "INTEREST", "", "USD", D("3.21"), D(0), cutoff(DAYS[2]) + HOURS)],
    [AccountEvent("d2", "DIVIDEND", "MBA", "USD", D("55"), D(0), cutoff(DAYS[3]) + HOURS)],
)
BOOKED = (
    [],
    [BookedEvent("MBA", "USD", D(100))],
    [BookedEvent("MBA", "USD", D(0), D(100))],
    [BookedEvent("MBA", "USD", D(55))],
)
# a fee; 30 of 100 withheld; interest; both the same. What a skipped session heard joins the next one's.
EXPECTED = {None: ["event", "event", "event", "match"], 1: ["event", "event", "match"], 2: ["event", "event", "event"]}


@pytest.mark.parametrize("skipped", EXPECTED)
def test_every_event_moves_the_book_once(tmp_path: Path, skipped: int | None) -> None:
    """After each session the book is the broker's; a skipped one's events count in the next."""
    broker = ToldBroker(cash={"USD": D("1000000")}, positions={"MBA": D(100)})
    home = ToldHome(tmp_path, broker)
    home.snapshot(DAYS[0])
    home.end(DAYS[0])
    ours, waiting, seen = Holdings(dict(broker.positions), dict(broker.cash)), [], []
    for n, day in enumerate(DAYS[1:5]):
        broker.events += TOLD[n]
        for event in TOLD[n]:
            broker.cash["USD"] += event.amount
            broker.positions["MBA"] += event.quantity
        waiting += BOOKED[n]
        snapshot = home.snapshot(day)
        home.end(day, "skipped" if n == skipped else "sent")
        if n == skipped:
            continue
        shares = {"MBA": ours.shares["MBA"] + sum(event.quantity for event in waiting)}
        cash = {"USD": ours.cash["USD"] + sum(event.amount for event in waiting)}
        rolled = Holdings(shares, cash)
        frame = reconcile(
            rolled, snapshot, nav=20_000.0, fx={"USD": 1.0}, known_instruments={"MBA"}, booked=tuple(waiting)
        )  # fmt: skip
        assert is_clean(frame)
        seen.append(frame.set_index("kind").loc["CASH", "delta"])
        ours, waiting = adopt_explained(rolled, frame), []
        assert ours == Holdings(broker.positions, broker.cash)
    assert seen == EXPECTED[skipped]
