"""The session's profit and loss in base currency, split so that it adds up to NAV[D] - NAV[D-1]. Pure.

A name's profit is what its value changed by, plus the cash that it brought in, at the rate after. The order of the parts
is fixed: price at the rate before, then the rate at the price after, so that no cross term is left. Cash earns the move of
its rate; a conversion is judged against the rate after. What the parts do not explain stands in `residual`, seen by all.
Not here: what a fill cost against the decision (`execution`), the table's columns (`schema`).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import pandas as pd

from marketbot_assets.audit.schema import ATTRIBUTION, COSTS, CURRENCY, GROUP, INSTRUMENT, PARTS, SECTOR, TOTAL
from marketbot_assets.book.fills import executions_of
from marketbot_assets.book.positions import Valuation
from marketbot_assets.book.rows import rows_frame
from marketbot_assets.book.schema import CASH, POSITION
from marketbot_resources.corporate_actions import ENDS, SPIN_OFF, CorporateAction, value_received
from marketbot_resources.model import AccountEvent, Execution, Kind

UNKNOWN = "UNKNOWN"
FIRST_SESSION = "the book's first session: nothing to attribute"
NO_PRICE = "a price or rate is unknown: all of it stands in residual"
NO_PRICES: Mapping[str, float] = {}
Exchanged = Mapping[str, tuple[float, float]]
NOTHING: Exchanged = {}
Amount = float | Decimal


@dataclass(frozen=True, slots=True)
class BookSide:
    """The book before or after a session; numbers are floats, unknown ones NaN. `cash`: amounts in their own currency, `values` and
    `worth`: shares and cash in base currency, `rates`: base per unit.
    """

    shares: Mapping[str, float]
    prices: Mapping[str, float]
    values: Mapping[str, float]
    cash: Mapping[str, Decimal]
    worth: Mapping[str, float]
    rates: Mapping[str, float]
    currencies: Mapping[str, str]
    nav: float


@dataclass(slots=True)
class _Trades:
    """What the session's fills of one instrument, or conversions of one currency, add up to."""

    quantity: float = 0.0
    value: list[float] = field(default_factory=list)
    fee: list[float] = field(default_factory=list)
    tax: list[float] = field(default_factory=list)
    traded: list[float] = field(default_factory=list)

    def add(self, fill: Execution) -> None:
        """Counts one fill. `value`: signed, positive for a buy, in the currency that is paid."""
        self.quantity += fill.side.sign * float(fill.quantity)
        self.value.append(fill.side.sign * float(fill.quantity * fill.price))
        self.traded.append(float(fill.quantity))
        self.fee.append(float(fill.fee))
        self.tax.append(float(fill.tax))

    @property
    def mean_price(self) -> float:
        """Average price of the fills; NaN without one."""
        traded = math.fsum(self.traded)
        return math.fsum(abs(value) for value in self.value) / traded if traded > 0.0 else math.nan


@dataclass(frozen=True, slots=True)
class _Change:
    """Everything that happened between the two sides."""

    before: BookSide
    after: BookSide
    shares: Mapping[str, _Trades]
    conversions: Mapping[str, _Trades]
    dividends: Mapping[str, float]
    splits: Mapping[str, float]
    exchanged: Exchanged
    closes: Mapping[str, float]
    rates: Mapping[str, float]
    base_currency: str

    def rate(self, currency: str) -> float:
        """Base per unit after the session: as held, as given, as converted, or as before; 1 for the base currency."""
        if currency == self.base_currency:
            return 1.0
        converted = self.conversions.get(currency, _Trades()).mean_price
        known = (self.after.rates, self.rates, {currency: converted}, self.before.rates)
        return next((r for source in known if (r := source.get(currency, math.nan)) > 0.0), math.nan)

    def price(self, name: str) -> float:
        """Close after the session, listing currency: as held, as given, or the average fill of what was sold whole."""
        mean = self.shares.get(name, _Trades()).mean_price
        known = (self.after.prices, self.closes, {name: mean})
        return next((p for source in known if (p := source.get(name, math.nan)) > 0.0), math.nan)


def attribute(
    before: pd.DataFrame | None,
    after: pd.DataFrame,
    fills: pd.DataFrame,
    *,
    dividends: Mapping[str, Amount],
    splits: Mapping[str, float],
    instruments: pd.DataFrame,
    base_currency: str,
    exchanged: Exchanged = NOTHING,
    closes: Mapping[str, float] = NO_PRICES,
    rates: Mapping[str, float] = NO_PRICES,
) -> pd.DataFrame:
    """ATTRIBUTION rows of one session; parts are unrounded floats in base currency.

    `before`, `after`: POSITIONS frames of the session before (None: the book's first session) and of this one; `fills`:
    FILLS of this session; `dividends`: instrument -> all cash that corporate actions paid, listing currency; `splits`:
    instrument -> new shares per old share; `exchanged`: see `exchanges`; `instruments`: INSTRUMENTS. `closes` and
    `rates` name the session's close and rate of what is no longer held; without them a name sold whole ends at its average
    fill, a currency at its conversion.
    The TOTAL row's total is the difference of the two NAVs; rows add up to it but for the last bits of their floats.
    """
    if before is None:
        note = {"note": FIRST_SESSION, "contribution": math.nan}
        return rows_frame(ATTRIBUTION, [{**_sum_row(TOTAL, TOTAL, (), math.nan), **note}])
    listings = {
        str(name): (str(sector), str(currency))
        for name, sector, currency in zip(*(instruments[c] for c in ("instrument", "sector", "currency")), strict=True)
    }
    sides = side_of(before), side_of(after)
    rows = attributed_rows(
        *sides,
        executions_of(fills),
        dividends={name: float(amount) for name, amount in dividends.items() if amount != 0},
        splits=dict(splits),
        listings=listings,
        base_currency=base_currency,
        exchanged=exchanged,
        closes=closes,
        rates=rates,
    )
    return rows_frame(ATTRIBUTION, _with_sums(rows, sides[0].nav, sides[1].nav))


def attributed_rows(
    before: BookSide,
    after: BookSide,
    fills: Sequence[Execution],
    *,
    dividends: Mapping[str, float],
    splits: Mapping[str, float],
    listings: Mapping[str, tuple[str, str]],
    base_currency: str,
    exchanged: Exchanged = NOTHING,
    closes: Mapping[str, float] = NO_PRICES,
    rates: Mapping[str, float] = NO_PRICES,
) -> list[dict[str, object]]:
    """The rows of instruments and cash of `attribute`, without a frame and without sums.

    `listings`: instrument -> (sector, currency); `fills`: executions of the session; the rest as in `attribute`.
    """
    shares, conversions = _trades(fills)
    change = _Change(before, after, shares, conversions, dividends, splits, exchanged, closes, rates, base_currency)
    currencies = {name: currency for name, (_, currency) in listings.items()}
    currencies.update({**before.currencies, **after.currencies})
    currencies.update({fill.instrument: fill.currency for fill in fills if fill.kind is Kind.EQUITY})
    names = sorted({*before.shares, *after.shares, *shares, *dividends, *exchanged})
    rows = [_name_row(change, name, listings.get(name, (UNKNOWN, ""))[0], currencies.get(name, "")) for name in names]
    flows = _flows(change, names, currencies)
    money = sorted({*before.cash, *after.cash, *flows})
    return rows + [_cash_row(change, currency, flows.get(currency, [])) for currency in money]


def exchanges(
    actions: Iterable[CorporateAction], events: Iterable[AccountEvent], closes_before: Mapping[str, float]
) -> dict[str, tuple[float, float]]:
    """Instrument -> (shares, their worth in listing currency) that spin-offs and ends brought; negative where they went.

    Who gives shares of another instrument (a spin-off, a merger) has a negative worth: it got that value in kind. A fraction that
    was paid in cash belongs to the worth of the shares received.
    """
    found: dict[str, tuple[float, float]] = {}

    def add(name: str, shares: float, worth: float) -> None:
        before = found.get(name, (0.0, 0.0))
        found[name] = (before[0] + shares, before[1] + worth)

    booked = list(events)
    for action in actions:
        if action.kind not in (SPIN_OFF, *ENDS):
            continue
        value = value_received(action, closes_before.get(action.instrument, math.nan))
        each = value / action.ratio if value > 0.0 and action.ratio > 0.0 else 0.0
        event_id = f"{action.instrument}|{action.ex_session.isoformat()}|{action.kind}"
        for event in booked:
            if event.event_id == event_id and event.quantity:
                add(action.instrument, float(event.quantity), 0.0)
            elif event.event_id == f"{event_id}|{event.instrument}":
                worth = float(event.quantity) * each + float(event.amount)
                add(event.instrument, float(event.quantity), worth)
                add(action.instrument, 0.0, -worth)
    return found


def valued_side(value: Valuation) -> BookSide:
    """A valuation as one side of a session."""
    held, cash = value.holdings.shares, value.holdings.cash
    return BookSide(
        shares={name: float(quantity) for name, quantity in held.items()},
        prices=value.prices,
        values=value.values,
        cash=cash,
        worth={currency: float(amount) * value.rates[currency] for currency, amount in cash.items()},
        rates=value.rates,
        currencies=value.currencies,
        nav=value.nav,
    )


def side_of(frame: pd.DataFrame) -> BookSide:
    """A POSITIONS frame as one side of a session."""
    held, money = frame[frame["kind"] == POSITION], frame[frame["kind"] == CASH]
    values = [float(value) for value in frame["value_base"]]

    def numbers(column: str) -> dict[str, float]:
        return {str(name): float(number) for name, number in zip(held["key"], held[column], strict=True)}

    return BookSide(
        shares=numbers("quantity"),
        prices=numbers("price"),
        values=numbers("value_base"),
        cash={str(currency): amount for currency, amount in zip(money["key"], money["amount"], strict=True)},
        worth={str(c): float(value) for c, value in zip(money["key"], money["value_base"], strict=True)},
        rates={str(c): float(rate) for c, rate in zip(frame["currency"], frame["fx"], strict=True)},
        currencies={str(name): str(c) for name, c in zip(held["key"], held["currency"], strict=True)},
        nav=math.fsum(value for value in values if not math.isnan(value)),
    )


def _trades(fills: Iterable[Execution]) -> tuple[dict[str, _Trades], dict[str, _Trades]]:
    """(per instrument, per converted currency)."""
    shares: dict[str, _Trades] = {}
    conversions: dict[str, _Trades] = {}
    for fill in fills:
        if fill.kind is Kind.FX:
            conversions.setdefault(fill.currency, _Trades()).add(fill)
        else:
            shares.setdefault(fill.instrument, _Trades()).add(fill)
    return shares, conversions


def _name_row(change: _Change, name: str, sector: str, currency: str) -> dict[str, object]:
    trades = change.shares.get(name, _Trades())
    cash = change.dividends.get(name, 0.0)
    held, left = change.before.shares.get(name, 0.0), change.after.shares.get(name, 0.0)
    price_before, rate_before = change.before.prices.get(name, math.nan), change.before.rates.get(currency, math.nan)
    price, rate = change.price(name), change.rate(currency)
    fee, tax = math.fsum(trades.fee), math.fsum(trades.tax)
    values = (change.before.values.get(name, 0.0), change.after.values.get(name, 0.0))
    was, now = (0.0 if math.isnan(value) else value for value in values)
    usable = rate if math.isfinite(rate) else 0.0
    given, worth = change.exchanged.get(name, (0.0, 0.0))
    flows = [(cash - worth) * usable, -fee * usable, -tax * usable, *(-value * usable for value in trades.value)]
    total = math.fsum([now, -was, *flows])
    ended = given < 0.0 and not left and not trades.traded
    moves = not ended and bool(held or trades.traded or given)
    needed = [*((price_before, rate_before) if held else ()), *((price,) if moves else ()), rate]
    if not all(math.isfinite(number) and number > 0.0 for number in needed) or any(map(math.isnan, values)):
        parts = dict.fromkeys((*PARTS, *COSTS), 0.0)
        return _row(name, POSITION, sector, currency, parts, total, NO_PRICE)
    if ended:  # what it was worth at the end came in cash and shares of another instrument
        final = cash - worth
        parts = {"price": (final - held * price_before) * rate_before, "fx": final * (rate - rate_before)}
        return _row(name, POSITION, sector, currency, parts, total, "")
    ratio = change.splits.get(name, 1.0)
    kept = held * ratio
    traded, gap = _as_new_shares(left - kept - given, trades.quantity, ratio)
    moved = (price - price_before / ratio) if held else 0.0
    fraction = gap * price if name in change.splits and -1.0 < gap < 0.0 else 0.0
    received = (given * price, -worth) if given else (0.0, 0.0)
    trading = [traded * price, *received, *(-value for value in trades.value)]
    in_kind = 0.0 if given else -worth
    parts = {
        "price": kept * moved * rate_before if held else 0.0,
        "fx": kept * price * (rate - rate_before) if held else 0.0,
        "dividend": (cash + fraction + in_kind) * rate,
        "trading": math.fsum(trading) * rate if trades.traded or given else 0.0,
        "fee": fee * rate,
        "tax": tax * rate,
    }
    return _row(name, POSITION, sector, currency, parts, total, "")


def _as_new_shares(change: float, traded: float, ratio: float) -> tuple[float, float]:
    """(signed fills in shares after the split, what then is missing: a fraction that was paid in cash, else 0).

    A fill of the ex session trades new shares; one before it traded old ones. What the holdings say decides.
    """
    return min(((shares, change - shares) for shares in (traded, traded * ratio)), key=lambda pair: abs(pair[1]))


def _flows(change: _Change, names: Iterable[str], currencies: Mapping[str, str]) -> dict[str, list[float]]:
    """Currency -> signed cash that fills, conversions and corporate actions moved, not rounded."""
    flows: dict[str, list[float]] = {}
    for name in names:
        trades = change.shares.get(name, _Trades())
        moves = [change.dividends.get(name, 0.0), *(-v for v in (*trades.value, *trades.fee, *trades.tax))]
        if any(moves):
            flows.setdefault(currencies.get(name, ""), []).extend(moves)
    for currency, trades in change.conversions.items():
        paid = [-v for v in (*trades.value, *trades.fee)]
        flows.setdefault(change.base_currency, []).extend(paid)
        flows.setdefault(currency, []).extend([trades.quantity, *(-tax for tax in trades.tax)])
    return flows


def _cash_row(change: _Change, currency: str, flows: Sequence[float]) -> dict[str, object]:
    """The rate's move on the cash held before, and the conversions of this currency against the rate after."""
    was = change.before.cash.get(currency, Decimal(0))
    rate_before = change.before.rates.get(currency, math.nan)
    rate, trades = change.rate(currency), change.conversions.get(currency, _Trades())
    name = f"{CASH}:{currency}"
    values = (change.before.worth.get(currency, 0.0), change.after.worth.get(currency, 0.0))
    known = [0.0 if math.isnan(value) else value for value in values]
    usable = rate if math.isfinite(rate) else 0.0
    conversion = [trades.quantity * usable, *(-value for value in trades.value), *(-fee for fee in trades.fee)]
    total = math.fsum([known[1], -known[0], *(-flow * usable for flow in flows), *conversion])
    total = math.fsum([total, *(-tax * usable for tax in trades.tax)])
    if not math.isfinite(rate) or any(map(math.isnan, values)):
        return _row(name, CASH, CASH, currency, dict.fromkeys((*PARTS, *COSTS), 0.0), total, NO_PRICE)
    parts = {
        "price": 0.0,
        "fx": float(was) * (rate - rate_before) if was else 0.0,
        "dividend": 0.0,
        "trading": math.fsum(conversion[: 1 + len(trades.value)]),
        "fee": math.fsum(trades.fee),
        "tax": math.fsum(trades.tax) * rate,
    }
    return _row(name, CASH, CASH, currency, parts, total, "")


def _row(
    name: str, kind: str, sector: str, currency: str, parts: Mapping[str, float], total: float, note: str
) -> dict[str, object]:
    shown = {part: parts.get(part, 0.0) for part in (*PARTS, *COSTS)}
    residual = math.fsum([total, *(-shown[p] for p in PARTS if p != "residual"), *(shown[c] for c in COSTS)])
    where = {"dimension": INSTRUMENT, "name": name, "kind": kind, "sector": sector, "currency": currency}
    return {**where, **shown, "residual": residual, "total": total, "note": note}


def _with_sums(rows: Sequence[dict[str, object]], nav_before: float, nav_after: float) -> list[dict[str, object]]:
    """The rows with their contributions, and the sums by sector, by currency and of the book."""
    found = list(rows)
    for dimension, column in ((SECTOR, "sector"), (CURRENCY, "currency")):
        for name in sorted({str(row[column]) for row in rows}):
            members = [row for row in rows if row[column] == name]
            found.append(_sum_row(dimension, name, members, nav_before))
    total = _sum_row(TOTAL, TOTAL, rows, nav_before)
    change = nav_after - nav_before
    drift = math.fsum([change, -_float(total["total"])])  # the last bits of the rows' floats
    found.append({**total, "total": change, "residual": _float(total["residual"]) + drift})
    divisor = nav_before if nav_before > 0.0 else math.nan
    return [{**row, "contribution": _float(row["total"]) / divisor} for row in found]


def _sum_row(dimension: str, name: str, members: Sequence[Mapping[str, object]], nav: float) -> dict[str, object]:
    sums = {part: math.fsum(_float(row[part]) for row in members) for part in (*PARTS, *COSTS, "total")}
    unknown = sum(1 for row in members if row["note"])
    return {
        "dimension": dimension,
        "name": name,
        "kind": GROUP,
        "sector": name if dimension == SECTOR else "",
        "currency": name if dimension == CURRENCY else "",
        **sums,
        "note": f"{unknown} rows without a price or rate" if unknown else "",
    }


def _float(value: object) -> float:
    assert isinstance(value, float)
    return value
