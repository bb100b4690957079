"""When an order may be sent: what the broker takes x the session of the order's own exchange. Pure.

An order is for the next session of its exchange. Auctions end SEND_WINDOW ahead of the broker's own cut-off, which counts from the
actual open or close, on half days, too; continuous orders work from the open until DAY_MARGIN before the close. A broker that does
not have the exchange, the type or the auction gives no window but a reason; nothing becomes an order of another type. Not here:
sending in waves (`broker.sending`), the windows of slices (`slicing`).
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from marketbot_resources.calendars import close_at, next_open, session_at, wall_clock_at
from marketbot_resources.capabilities import AuctionTerms, Capabilities
from marketbot_resources.closures import NO_CLOSURES, Closed
from marketbot_resources.model import OrderType
from marketbot_resources.order_types import Phase, phase_of

SEND_WINDOW = dt.timedelta(minutes=5)
DAY_MARGIN = dt.timedelta(minutes=15)
_DAY = dt.timedelta(days=1)
_ONE = Decimal(1)


@dataclass(frozen=True, slots=True)
class Window:
    """Of one exchange and order type: [send_from, send_until] for the session that opens and closes then."""

    send_from: dt.datetime
    send_until: dt.datetime
    opens_at: dt.datetime
    closes_at: dt.datetime


@dataclass(frozen=True, slots=True)
class Windows:
    """(n,) per instrument; `refusal`: why the broker cannot take the type there, empty when it can (the window then is void)."""

    send_from: tuple[dt.datetime, ...]
    send_until: tuple[dt.datetime, ...]
    refusal: tuple[str, ...]


def refusal_of(kind: OrderType, mic: str, step: Decimal, terms: Capabilities) -> str:
    """Why a broker cannot take an order; empty when it can. `step`: smallest part of a share that is traded."""
    if terms.mics is not None and mic not in terms.mics:
        return f"the broker {terms.name} does not reach {mic}"
    auction = _auction(kind, terms)
    if kind not in terms.types or (phase_of(kind) is not Phase.DAY and auction is None):
        return f"the broker {terms.name} has no {kind.value}"
    if step % _ONE and not (terms.fractions and kind in terms.fraction_types):
        return f"the broker {terms.name} takes no parts of a share as {kind.value}"
    return ""


def window_of(kind: OrderType, mic: str, after: dt.datetime, terms: Capabilities, off: Closed = NO_CLOSURES) -> Window:
    """The window of the next session of an exchange. For an auction the broker does not have, as if its cut-off were the auction.

    At least SEND_WINDOW is left of it after the cutoff, else it is the session after. `off`: closures that no calendar knows.
    """
    phase, auction = phase_of(kind), _auction(kind, terms)
    ahead = auction.closes_before if auction is not None else dt.timedelta(0)
    session, opens = next_open(mic, after + 2 * SEND_WINDOW + (ahead if phase is Phase.OPEN else dt.timedelta(0)), off)
    closes = close_at(mic, session, off)
    if phase is Phase.DAY:
        return Window(after if terms.at_once else opens, closes - DAY_MARGIN, opens, closes)
    until = (opens if phase is Phase.OPEN else closes) - ahead - SEND_WINDOW
    return Window(_auction_from(mic, after, session, terms, auction, off), until, opens, closes)


def first_open(mic: str, after: dt.datetime, off: Closed = NO_CLOSURES) -> dt.datetime:
    """The open before which currency legs are done: the first with a whole send window after the cutoff."""
    return next_open(mic, after + 2 * SEND_WINDOW, off)[1]


def _auction(kind: OrderType, terms: Capabilities) -> AuctionTerms | None:
    return {Phase.OPEN: terms.open_auction, Phase.CLOSE: terms.close_auction}.get(phase_of(kind))


def _auction_from(
    mic: str, after: dt.datetime, session: dt.date, terms: Capabilities, auction: AuctionTerms | None, off: Closed
) -> dt.datetime:
    """The earliest instant: the cutoff, but not before the broker takes orders for that session."""
    if terms.at_once or auction is None:
        return after
    if auction.opens_at is not None:
        return max(after, wall_clock_at(session - _DAY, auction.opens_at, auction.timezone))
    trading = session_at(mic, after, off)
    return after if trading is None or trading == session else max(after, close_at(mic, trading, off))


def windows_of(
    kind: OrderType,
    mics: Sequence[str],
    steps: Sequence[Decimal],
    after: dt.datetime,
    terms: Capabilities,
    off: Closed = NO_CLOSURES,
) -> Windows:
    """The windows of one order type for n instruments, `mics` and `steps` (n,)."""
    found = {mic: window_of(kind, mic, after, terms, off) for mic in sorted(set(mics))}
    begins, ends = ({mic: getattr(w, name) for mic, w in found.items()} for name in ("send_from", "send_until"))
    pairs = tuple(zip(mics, steps, strict=True))
    refusals = {pair: refusal_of(kind, *pair, terms) for pair in set(pairs)}
    return Windows(
        tuple(begins[mic] for mic in mics),
        tuple(ends[mic] for mic in mics),
        tuple(refusals[pair] for pair in pairs),
    )
