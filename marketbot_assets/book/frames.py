"""Facts to stored rows and back, exactly: BookState <-> BOOK_STATE, POSITIONS -> Holdings and last known prices.

A number stays the same float, a decimal and a date are text. Rows named `fact.*` and `unjudged` are the session's
context for readers; the state does not depend on them. Not here: how the state moves (`step`).
"""

import datetime as dt
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

import pandas as pd

from marketbot_assets.book.positions import Holdings, Valuation, without_zeros
from marketbot_assets.book.rows import rows_frame
from marketbot_assets.book.schema import BOOK_STATE, CASH, EVENT, POSITION
from marketbot_assets.book.state import BookState, Forecast, Lot, RiskDay, Rung, Sale, StopHit
from marketbot_resources.errors import HaltError
from marketbot_resources.model import plain, utc_text

Value = float | str


@dataclass(frozen=True, slots=True)
class BookedEvent:
    """Income or change of shares that our book booked: cash in `currency`, signed; `quantity`: change in shares."""

    instrument: str
    currency: str
    amount: Decimal
    quantity: Decimal = Decimal(0)


_NUMBERS = ("nav", "inception_high", "reference_high", "drawdown", "drawdown_inception", "multiple")
_COUNTS = ("sessions_in_rung", "sessions_since_step", "sessions_since_build")
_WORDS = ("halt_class", "no_buys")
_LOT_NUMBERS = ("entry_price", "extreme", "dividends")
FACT, UNJUDGED = "fact.", "unjudged"


def state_frame(
    state: BookState, *, facts: Mapping[str, float] | None = None, unjudged: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """A state as BOOK_STATE rows. `facts`: more numbers of the session; `unjudged`: name -> why no stop."""
    rows = [(item, "", value) for item, value in _book_items(state)]
    rows += list(_name_items(state))
    rows += [(FACT + name, "", float(value)) for name, value in (facts or {}).items()]
    rows += [(UNJUDGED, name, reason) for name, reason in (unjudged or {}).items()]
    return rows_frame(BOOK_STATE, [_row(*row) for row in rows])


def _row(item: str, instrument: str, value: Value) -> dict[str, object]:
    number, text = (math.nan, value) if isinstance(value, str) else (float(value), "")
    return {"item": item, "instrument": instrument, "number": number, "text": text}


def _book_items(state: BookState) -> Iterator[tuple[str, Value]]:
    yield "session", state.session.isoformat()
    yield "rung", state.rung.value
    for name in (*_NUMBERS, *_COUNTS):
        yield name, float(getattr(state, name))
    for name in _WORDS:
        yield name, str(getattr(state, name))
    yield from ((f"nav_history.{n:02d}", value) for n, value in enumerate(state.nav_history))
    yield from ((f"turnover.{n:02d}", value) for n, value in enumerate(state.turnover))
    yield from ((f"rearm.{n:02d}", day.isoformat()) for n, day in enumerate(state.rearms))
    if state.forecast is not None:
        yield "forecast.var_99", state.forecast.var_99
        yield "forecast.volatility", state.forecast.volatility
    for n, day in enumerate(state.risk_days):
        yield f"risk_loss.{n:03d}", day.loss
        yield f"risk_var_99.{n:03d}", day.forecast.var_99
        yield f"risk_volatility.{n:03d}", day.forecast.volatility


def _name_items(state: BookState) -> Iterator[tuple[str, str, Value]]:
    for lot in state.lots:
        yield "lot.quantity", lot.instrument, plain(lot.quantity)
        yield "lot.entered_on", lot.instrument, lot.entered_on.isoformat()
        yield from ((f"lot.{name}", lot.instrument, float(getattr(lot, name))) for name in _LOT_NUMBERS)
    for hit in state.stop_hits:
        yield "stop.control", hit.instrument, hit.control
        yield "stop.close", hit.instrument, hit.close
        yield "stop.level", hit.instrument, hit.level
    yield from (("blocked", name, day.isoformat()) for name, day in state.blocked)
    yield from (("passive", name, float(count)) for name, count in state.passive)
    yield from (("bought", name, day.isoformat()) for name, day in state.bought)
    yield from (("sold_at_loss", name, day.isoformat()) for name, day in state.sold_at_loss)
    for n, sale in enumerate(state.unsettled):
        text = f"{utc_text(sale.sold_at)} {sale.currency} {plain(sale.amount)}"
        yield f"sale.{n:04d}", sale.instrument, text


def state_of(frame: pd.DataFrame) -> BookState:
    """The inverse of `state_frame`. Raises HaltError when a fact is missing or unreadable."""
    numbers: dict[tuple[str, str], float] = {}
    texts: dict[tuple[str, str], str] = {}
    for item, name, number, text in zip(*(frame[c] for c in ("item", "instrument", "number", "text")), strict=True):
        numbers[item, name], texts[item, name] = float(number), str(text)
    try:
        return _state(numbers, texts)
    except (KeyError, ValueError, ArithmeticError) as error:
        raise HaltError(f"book_state: expected every fact of the state, found {error!r}") from error


def _state(numbers: Mapping[tuple[str, str], float], texts: Mapping[tuple[str, str], str]) -> BookState:
    return BookState(
        session=dt.date.fromisoformat(texts["session", ""]),
        nav=numbers["nav", ""],
        inception_high=numbers["inception_high", ""],
        reference_high=numbers["reference_high", ""],
        drawdown=numbers["drawdown", ""],
        drawdown_inception=numbers["drawdown_inception", ""],
        rung=Rung(texts["rung", ""]),
        multiple=numbers["multiple", ""],
        sessions_in_rung=_count(numbers["sessions_in_rung", ""]),
        sessions_since_step=_count(numbers["sessions_since_step", ""]),
        rearms=tuple(dt.date.fromisoformat(texts[key]) for key in _series(texts, "rearm.")),
        halt_class=texts["halt_class", ""],
        no_buys=texts["no_buys", ""],
        sessions_since_build=_count(numbers["sessions_since_build", ""]),
        nav_history=tuple(numbers[key] for key in _series(numbers, "nav_history.")),
        turnover=tuple(numbers[key] for key in _series(numbers, "turnover.")),
        lots=tuple(_lot(name, numbers, texts) for name in _names(texts, "lot.quantity")),
        stop_hits=tuple(_hit(name, numbers, texts) for name in _names(texts, "stop.control")),
        blocked=tuple((name, dt.date.fromisoformat(texts["blocked", name])) for name in _names(texts, "blocked")),
        passive=tuple((name, _count(numbers["passive", name])) for name in _names(numbers, "passive")),
        forecast=_forecast(numbers),
        risk_days=_risk_days(numbers),
        bought=_days(texts, "bought"),
        sold_at_loss=_days(texts, "sold_at_loss"),
        unsettled=tuple(_sale(name, texts[item, name]) for item, name in sorted(texts) if item.startswith("sale.")),
    )


def _forecast(numbers: Mapping[tuple[str, str], float]) -> Forecast | None:
    items = ("forecast.var_99", "forecast.volatility")
    if not any((item, "") in numbers for item in items):
        return None
    return Forecast(*(numbers[item, ""] for item in items))


def _risk_days(numbers: Mapping[tuple[str, str], float]) -> tuple[RiskDay, ...]:
    series = [_series(numbers, prefix, 3) for prefix in ("risk_loss.", "risk_var_99.", "risk_volatility.")]
    triples = ([numbers[key] for key in keys] for keys in zip(*series, strict=True))
    return tuple(RiskDay(loss, Forecast(var, volatility)) for loss, var, volatility in triples)


def _days(texts: Mapping[tuple[str, str], str], item: str) -> tuple[tuple[str, dt.date], ...]:
    return tuple((name, dt.date.fromisoformat(texts[item, name])) for name in _names(texts, item))


def _sale(name: str, text: str) -> Sale:
    sold_at, currency, amount = text.split(" ")
    return Sale(name, dt.datetime.fromisoformat(sold_at), currency, Decimal(amount))


def _count(number: float) -> int:
    if not number.is_integer():
        raise ValueError(f"expected a whole number, found {number}")
    return int(number)


def _series(keys: Iterable[tuple[str, str]], prefix: str, digits: int = 2) -> list[tuple[str, str]]:
    found = sorted(key for key in keys if key[0].startswith(prefix))
    if found != [(f"{prefix}{n:0{digits}d}", "") for n in range(len(found))]:
        raise ValueError(f"expected {prefix} numbered without gaps, found {found}")
    return found


def _names(keys: Iterable[tuple[str, str]], item: str) -> list[str]:
    return sorted(name for found, name in keys if found == item)


def _lot(name: str, numbers: Mapping[tuple[str, str], float], texts: Mapping[tuple[str, str], str]) -> Lot:
    entry, extreme, dividends = (numbers[f"lot.{field}", name] for field in _LOT_NUMBERS)
    entered_on = dt.date.fromisoformat(texts["lot.entered_on", name])
    return Lot(name, Decimal(texts["lot.quantity", name]), entry, extreme, dividends, entered_on)


def _hit(name: str, numbers: Mapping[tuple[str, str], float], texts: Mapping[tuple[str, str], str]) -> StopHit:
    return StopHit(name, texts["stop.control", name], numbers["stop.close", name], numbers["stop.level", name])


def holdings_of(positions: pd.DataFrame) -> Holdings:
    """POSITIONS rows as holdings: the inverse of `positions_frame`."""
    held, money = positions[positions["kind"] == POSITION], positions[positions["kind"] == CASH]
    shares = dict(zip(held["key"], held["quantity"], strict=True))
    return without_zeros(shares, dict(zip(money["key"], money["amount"], strict=True)))


def last_prices_of(positions: pd.DataFrame) -> dict[str, float]:
    """Instrument -> price that a POSITIONS frame used; NaN when it had none."""
    held = positions[positions["kind"] == POSITION]
    return {name: float(price) for name, price in zip(held["key"], held["price"], strict=True)}


def last_rates_of(positions: pd.DataFrame) -> dict[str, float]:
    """Currency -> base per unit that a POSITIONS frame used; NaN when it had none."""
    valued = positions[positions["kind"] != EVENT]
    return {ccy: float(fx) for ccy, fx in zip(valued["currency"], valued["fx"], strict=True)}


def booked_of(positions: pd.DataFrame) -> tuple[BookedEvent, ...]:
    """The corporate actions that a POSITIONS frame says were booked in its session."""
    rows = positions[positions["kind"] == EVENT].itertuples(index=False)
    return tuple(BookedEvent(row.instrument, row.currency, row.amount, row.quantity) for row in rows)


def valuation_of(positions: pd.DataFrame) -> Valuation:
    """The valuation that `positions_frame` wrote: the same numbers, `unpriced` where a value is unknown."""
    held, money = positions[positions["kind"] == POSITION], positions[positions["kind"] == CASH]
    values = {name: float(value) for name, value in zip(held["key"], held["value_base"], strict=True)}
    cash = {name: float(value) for name, value in zip(money["key"], money["value_base"], strict=True)}
    unpriced = [name for name, value in values.items() if math.isnan(value)]
    unpriced += [f"{CASH}:{currency}" for currency, value in cash.items() if math.isnan(value)]
    return Valuation(
        holdings=holdings_of(positions),
        currencies=dict(zip(held["key"], held["currency"], strict=True)),
        nav=math.fsum(value for value in (*values.values(), *cash.values()) if not math.isnan(value)),
        values=values,
        prices=last_prices_of(positions),
        rates=last_rates_of(positions),
        unpriced=tuple(unpriced),
    )
