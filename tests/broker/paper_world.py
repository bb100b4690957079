"""A market written by hand for tests of the paper broker: it implements AuctionMarket with dictionaries."""

import datetime as dt
from decimal import Decimal
from pathlib import Path

from marketbot_resources import calendars
from marketbot_resources.corporate_actions import CorporateAction
from marketbot_resources.fill_rules import Bar
from marketbot_resources.mandate import Mandate, parse_mandate
from marketbot_resources.model import Kind, Order, OrderType, Side
from marketbot_resources.paper_market import PaperListing

D = Decimal
MONDAY, TUESDAY, WEDNESDAY = dt.date(2018, 12, 10), dt.date(2018, 12, 11), dt.date(2018, 12, 12)
OPEN = dt.datetime(2018, 12, 11, 14, 30, tzinfo=dt.UTC)  # of New York on Tuesday
OPENED = dt.datetime(2018, 12, 10, 23, 15, tzinfo=dt.UTC)  # Monday's cutoff
CLOSED = dt.datetime(2018, 12, 11, 23, 15, tzinfo=dt.UTC)  # Tuesday's cutoff
MINUTE = dt.timedelta(minutes=1)
SENT = OPENED + MINUTE


def mandate() -> Mandate:
    return parse_mandate((Path(__file__).parents[2] / "mandate.yaml").read_text(encoding="utf-8"))


class HandMarket:
    """A listing A in New York (lot 1, tick 0.01), F a fund there, T in Tokyo (lot 100, tick 0.5), L in London (tick 0.001)."""

    def __init__(self) -> None:
        self.listings = {
            "A": PaperListing("A", "XNYS", "USD", False, D(1), D("0.01")),
            "F": PaperListing("F", "BATS", "USD", True, D(1), D("0.01")),
            "T": PaperListing("T", "XTKS", "JPY", False, D(100), D("0.5")),
            "L": PaperListing("L", "XLON", "GBP", False, D(1), D("0.001")),
        }
        self.bars: dict[tuple[str, dt.date], Bar] = {}
        self.closes: dict[str, float] = {}
        self.rates: dict[str, float] = {}
        self.events: list[tuple[dt.datetime, CorporateAction]] = []
        self.sigma: float | None = 0.0
        self.adv: float | None = 1_000_000.0

    def trade(self, instrument: str, session: dt.date, price: float, volume: float = 1_000_000.0) -> None:
        opened = calendars.open_at(self.listings[instrument].mic, session)
        self.bars[instrument, session] = Bar(instrument, session, price, price, price, price, volume, opened)

    def happen(self, kind: str, *, instrument: str = "A", ex: dt.date = TUESDAY, amount: float = 0.0, ratio: float = 1.0,
               known_at: dt.datetime = OPENED, other: str = "") -> CorporateAction:  # fmt: skip
        listing = self.listings[instrument]
        at = calendars.open_at(listing.mic, ex)
        action = CorporateAction(instrument, ex, kind, amount, ratio, listing.currency, at, other, listing.mic)
        self.events.append((known_at, action))
        return action

    def listing(self, instrument: str) -> PaperListing | None:
        return self.listings.get(instrument)

    def bar(self, instrument: str, session: dt.date) -> Bar | None:
        return self.bars.get((instrument, session))

    def liquidity(self, instrument: str, session: dt.date) -> tuple[float | None, float | None]:
        return self.sigma, self.adv

    def close_before(self, instrument: str, session: dt.date) -> float | None:
        return self.closes.get(instrument)

    def rate(self, currency: str, at: dt.datetime) -> float | None:
        return self.rates.get(currency)

    def actions(self, after: dt.datetime, until: dt.datetime) -> tuple[CorporateAction, ...]:
        found = [a for known_at, a in self.events if after < a.effective_at <= until and known_at <= until]
        return tuple(sorted(found, key=lambda a: a.order))


def order(
    side: Side = Side.BUY, quantity: str = "100", limit: str | None = "10.50", *, number: str = "1", instrument: str = "A",
    mic: str = "XNYS", currency: str = "USD", kind: Kind = Kind.EQUITY, send_until: dt.datetime = CLOSED,
    type: OrderType = OrderType.LIMIT_ON_OPEN,
) -> Order:  # fmt: skip
    return Order(
        client_order_id=f"o{number}",
        session=MONDAY,
        batch_no=1,
        leg="main",
        kind=kind,
        instrument=instrument,
        mic=mic,
        side=side,
        quantity=D(quantity),
        limit_price=None if limit is None else D(limit),
        currency=currency,
        send_from=OPENED,
        send_until=send_until,
        reason="test",
        type=type,
    )


def currency_order(side: Side = Side.BUY, quantity: str = "1000", *, number: str = "9", currency: str = "GBP") -> Order:
    return order(
        side, quantity, None, number=number, instrument=f"FX:{currency}", mic="", currency=currency, kind=Kind.FX
    )
