"""What the tax lots rest on, read from a home: executions, corporate actions as booked, listings, reference rates, attribution.

Sessions that were skipped moved nothing: the next decided one counts their fills. An execution that the broker took back is left
out together with what undid it. Not here: the arithmetic (`audit.tax_lots`), the files (`commands.export_lots`).
"""

import bisect
import datetime as dt
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from marketbot_resources.calendars import local_date
from marketbot_resources.errors import StoreError, UsageError
from marketbot_resources.market.venues import VENUES
from marketbot_resources.model import Execution, Kind, to_money
from marketbot_resources.sessions import book_cutoff_before, is_skipped
from marketbot_resources.store.index import END_OF_TIME, STATIC
from marketbot_resources.store.reader import Reader

if TYPE_CHECKING:
    import pandas as pd

    from marketbot_assets.audit.tax_check import Flow
    from marketbot_assets.audit.tax_moves import Happening, Move, Rate, Trade
    from marketbot_assets.audit.tax_rows import Listed, Withheld
    from marketbot_resources.corporate_actions import CorporateAction
    from marketbot_resources.mandate import Mandate
    from marketbot_resources.store.lake import Lake

ZERO = Decimal(0)
MOVED = "the shares of {name} after {session}: expected {book} by the book, found {lots} in the lots"


@dataclass(slots=True)
class TaxFacts:
    """Everything up to the last decided session, oldest first. `flows`: cash of the moves with both rates.

    `conversions`: cash per currency that currency legs and busted executions moved; `cash_change`: of each currency since the
    opening balance; `values`: held name -> base value now; `attributed`: name -> attribution's totals.
    """

    mandate: "Mandate"
    first: dt.date
    last: dt.date
    fx_source: str
    moves: "list[Move]" = field(default_factory=list)
    flows: "list[Flow]" = field(default_factory=list)
    withheld: "list[Withheld]" = field(default_factory=list)
    conversions: dict[str, Decimal] = field(default_factory=dict)
    cash_change: dict[str, Decimal] = field(default_factory=dict)
    shares: dict[str, Decimal] = field(default_factory=dict)
    values: dict[str, float] = field(default_factory=dict)
    attributed: dict[str, float] = field(default_factory=dict)
    listings: "dict[str, list[tuple[dt.date, str, str]]]" = field(default_factory=dict)
    isins: dict[str, str] = field(default_factory=dict)

    def listed(self, instrument: str, day: dt.date) -> "Listed":
        """Ticker and exchange as of a day: of the newest session up to it, else of the first one that knows the instrument."""
        from marketbot_assets.audit.tax_rows import Listed

        known = self.listings.get(instrument, [])
        if not known:
            return Listed("", "", self.isins.get(instrument, ""))
        place = max(bisect.bisect_right(known, (day, "\uffff", "")) - 1, 0)
        return Listed(known[place][1], known[place][2], self.isins.get(instrument, ""))


class Rates:
    """Reference rates of the home, base currency per unit, by the date of their fixing."""

    def __init__(self, fx: "pd.DataFrame", base: str) -> None:
        import numpy as np

        self._base = base
        good = fx[np.isfinite(fx["rate"]) & (fx["rate"] > 0.0)].sort_values(["session", "known_at"], kind="stable")
        newest = good.drop_duplicates(["currency", "session"], keep="last")
        self._days: dict[str, tuple[list[dt.date], list[float]]] = {
            str(name): (list(rows["session"].dt.date), rows["rate"].tolist())
            for name, rows in newest.groupby("currency", sort=True)
        }

    def on(self, currency: str, day: dt.date) -> "Rate":
        """The rate of a day: its own fixing, else the newest one before it; unknown when there is none."""
        from marketbot_assets.audit.tax_moves import Rate

        if currency == self._base:
            return Rate(Decimal(1), day)
        days, rates = self._days.get(currency, ([], []))
        place = bisect.bisect_right(days, day) - 1
        return Rate(Decimal(repr(rates[place])), days[place]) if place >= 0 else Rate(None, None)


def read_tax_facts(lake: "Lake") -> TaxFacts:
    """Reads the whole home. Raises UsageError before the first session, StoreError when something stored is missing or altered."""
    rows = [row for row in lake.index.up_to("positions", END_OF_TIME) if not is_skipped(lake.ledger, row.part)]
    if len(rows) > 1 and lake.index.newest("attribution", rows[-1].part) is None:
        rows.pop()  # a session under way
    if not rows:
        raise UsageError(f"no positions yet in {lake.home}; run `marketbot run` first")
    days = [dt.date.fromisoformat(row.part) for row in rows]
    last = Reader(lake, days[-1], allowed=None)
    mandate = last.mandate()
    facts = TaxFacts(mandate, days[0], days[-1], _fx_source(last))
    rates = Rates(last.panel("fx"), mandate.base_currency)
    stored = last.read("opening_balance")
    before = opening = stored[stored["kind"] != "STATE"].rename(columns={"item": "key"})  # rows of POSITIONS
    walk = _Walk(lake, facts, rates, _busted(lake, days))
    walk.open(opening)
    for day, row in zip(days, rows, strict=True):
        after = lake.load(row)
        walk.session(Reader(lake, day, allowed=None), before, after)
        before = after
    _finish(facts, opening, before, last)
    return facts


def _fx_source(read: Reader) -> str:
    row = read.panel("raw_fx") if read.has("raw_fx") else None
    names = [] if row is None else sorted({str(name) for name in row["source"]})
    return ", ".join(names) or "the home's own import"


def _busted(lake: "Lake", days: Iterable[dt.date]) -> frozenset[str]:
    """Executions that a later report took back, and the rows that say so."""
    from marketbot_assets.book.fills import BUST_PREFIX, is_bust

    names = set()
    for day in days:
        row = lake.index.newest("fills", day.isoformat())
        if row is not None:
            names |= {str(name) for name in lake.load(row)["execution_id"] if is_bust(str(name))}
    return frozenset(names | {name.removeprefix(BUST_PREFIX) for name in names})


class _Walk:
    """Session after session, in the order in which things happened."""

    def __init__(self, lake: "Lake", facts: TaxFacts, rates: Rates, busted: frozenset[str]) -> None:
        self._lake, self._facts, self._rates, self._busted = lake, facts, rates, busted
        self._base = facts.mandate.base_currency
        self._told: pd.DataFrame | None = None
        self._shares: dict[str, Decimal] = {}
        self._mics: dict[str, str] = {}

    def open(self, opening: "pd.DataFrame") -> None:
        """The shares held before the first session."""
        from marketbot_assets.audit.tax_moves import Opening
        from marketbot_assets.book.schema import POSITION

        held = opening[(opening["kind"] == POSITION) & (opening["quantity"].map(lambda number: number != 0))]
        for row in held.sort_values("key").itertuples(index=False):
            self._shares[row.key] = row.quantity
            value = float(row.quantity) * row.price
            known = math.isfinite(value) and math.isfinite(row.value_base)
            worth = (to_money(value, row.currency), to_money(row.value_base, self._base)) if known else (None, None)
            self._facts.moves.append(Opening(row.key, self._facts.first, row.quantity, row.currency, *worth))

    def session(self, read: Reader, before: "pd.DataFrame", after: "pd.DataFrame") -> None:
        """One session's executions and corporate actions."""
        from marketbot_assets.book.fills import executions_of
        from marketbot_assets.book.frames import last_rates_of
        from marketbot_assets.book.positions import timeline
        from marketbot_assets.book.schema import EVENT

        listed = read.read("instruments")
        self._list(listed, read.session)
        events = after[after["kind"] == EVENT]
        actions = self._actions(read, listed) if len(events) else ()
        booked = {row.key: (row.quantity, to_money(row.amount, row.currency)) for row in events.itertuples(index=False)}
        book_rates = {**_finite(last_rates_of(after)), self._base: 1.0}
        fills = executions_of(read.read("fills"))
        if not {fill.currency for fill in fills} <= set(book_rates):
            book_rates = {**_newest_rates(read.as_of("fx")), **book_rates}
        told = len(booked)
        for move in timeline(fills, actions):
            if isinstance(move, Execution):
                self._fill(move, book_rates)
            else:
                told -= self._happen(move, booked, before, book_rates)
        if told:
            raise StoreError(
                f"positions {read.part}: expected a corporate action for each event booked, found {told} more"
            )
        self._withheld(read)
        self._attributed(read)
        self._compare(read.session, after)

    def _list(self, listed: "pd.DataFrame", day: dt.date) -> None:
        for name, ticker, mic in zip(listed["instrument"], listed["ticker"], listed["mic"], strict=True):
            known = self._facts.listings.setdefault(str(name), [])
            self._mics[str(name)] = str(mic)
            if not known or known[-1][1:] != (ticker, mic):
                known.append((day, str(ticker), str(mic)))

    def _actions(self, read: Reader, listed: "pd.DataFrame") -> "Sequence[CorporateAction]":
        from marketbot_assets.book.positions import effective_actions

        mics = dict(zip(listed["instrument"], listed["mic"], strict=True))
        after, off = book_cutoff_before(self._lake.ledger, read.session), read.mandate().calendar.closed
        return effective_actions(self._actions_known(read), mics, after=after, until=read.cutoff, off=off)

    def _actions_known(self, read: Reader) -> "pd.DataFrame":
        """What the reader's `as_of` gives, from one frame for all sessions: a long home has many."""
        if self._told is None:
            import pandas as pd

            history = self._lake.index.newest("corporate_action_history", STATIC)
            rows = ([] if history is None else [history]) + self._lake.index.up_to("corporate_actions", END_OF_TIME)
            frames = [self._lake.load(row).assign(part="" if row.part == STATIC else row.part) for row in rows]
            self._told = pd.concat([frame for frame in frames if len(frame)] or frames[:1], ignore_index=True)
        told = self._told
        return told[(told["part"] <= read.part) & (told["known_at"] <= read.cutoff)]

    def _day(self, instrument: str, at: dt.datetime) -> dt.date:
        mic = self._mics.get(instrument, "")
        return local_date(at, VENUES[mic].timezone if mic in VENUES else "UTC")

    def _fill(self, fill: Execution, book_rates: Mapping[str, float]) -> None:
        from marketbot_assets.audit.tax_moves import Trade
        from marketbot_resources.fillmodel import cash_changes

        if fill.kind is Kind.EQUITY:
            held = self._shares.get(fill.instrument, ZERO) + fill.side.sign * fill.quantity
            self._shares[fill.instrument] = held
        if fill.kind is not Kind.EQUITY or fill.execution_id in self._busted:
            for currency, _, amount in cash_changes(fill, self._base):
                self._facts.conversions[currency] = self._facts.conversions.get(currency, ZERO) + amount
            return
        on = self._day(fill.instrument, fill.executed_at)
        amount = to_money(fill.quantity * fill.price, fill.currency)
        costs = to_money(fill.fee + fill.tax, fill.currency)
        numbers = (fill.quantity, amount, costs, fill.currency, self._rates.on(fill.currency, on))
        names = ((fill.execution_id,), (fill.client_order_id,))
        self._add(Trade(fill.instrument, fill.side, on, *numbers, *names), book_rates)

    def _add(self, move: "Trade | Happening", book_rates: Mapping[str, float]) -> None:
        from marketbot_assets.audit.tax_check import Flow, cash_of

        rate = math.nan if move.rate.value is None else float(move.rate.value)
        booked = book_rates.get(move.currency, math.nan)
        self._facts.moves.append(move)
        self._facts.flows.append(Flow(move.instrument, move.currency, cash_of(move), booked, rate))

    def _happen(
        self,
        action: "CorporateAction",
        booked: Mapping[str, tuple[Decimal, Decimal]],
        before: "pd.DataFrame",
        book_rates: Mapping[str, float],
    ) -> int:
        """Books one action; returns how many of the session's events it was."""
        from marketbot_assets.audit.tax_booked import happening
        from marketbot_assets.book.frames import last_prices_of

        held = self._shares.get(action.instrument, ZERO)
        name = f"{action.instrument}|{action.ex_session.isoformat()}|{action.kind}"
        own, other = booked.get(name), booked.get(f"{name}|{action.other}") if action.other else None
        on = self._day(action.instrument, action.effective_at)
        close, rate = last_prices_of(before).get(action.instrument, math.nan), self._rates.on(action.currency, on)
        move = happening(action, name, held, on, rate, close, own, other)
        if move is None:
            return 0
        if own is not None:
            self._shares[action.instrument] = held + own[0]
        if other is not None:
            self._shares[action.other] = self._shares.get(action.other, ZERO) + other[0]
        self._add(move, book_rates)
        return (own is not None) + (other is not None)

    def _withheld(self, read: Reader) -> None:
        from marketbot_assets.audit.tax_rows import Withheld

        told = read.read("account_snapshot")
        rows = told[(told["kind"] == "EVENT") & (told["order_kind"] == "TAX")]
        for row in rows.sort_values("key").itertuples(index=False):
            day = self._day(row.instrument, row.at.to_pydatetime())
            rate = self._rates.on(row.currency, day)
            taken = to_money(row.amount, row.currency)
            money = (taken, rate.in_base(taken, self._base), rate.fixed_on)
            self._facts.withheld.append(Withheld(row.instrument, day, row.currency, *money, row.key))

    def _attributed(self, read: Reader) -> None:
        from marketbot_assets.audit.schema import INSTRUMENT
        from marketbot_assets.book.schema import POSITION

        totals = self._facts.attributed
        if not read.has("attribution"):
            totals.update(dict.fromkeys({*totals, *self._shares}, math.nan))
            return
        frame = read.read("attribution")
        rows = frame[(frame["dimension"] == INSTRUMENT) & (frame["kind"] == POSITION)]
        for name, total in zip(rows["name"], rows["total"], strict=True):
            totals[str(name)] = math.fsum([totals.get(str(name), 0.0), float(total)])

    def _compare(self, session: dt.date, after: "pd.DataFrame") -> None:
        """The shares of the walk are the book's. Raises StoreError when they are not."""
        from marketbot_assets.book.frames import holdings_of

        book = holdings_of(after).shares
        for name in sorted({*book, *self._shares}):
            ours, theirs = self._shares.get(name, ZERO), book.get(name, ZERO)
            if ours != theirs:
                raise StoreError(MOVED.format(name=name, session=session, book=theirs, lots=ours))


def _newest_rates(fx: "pd.DataFrame") -> dict[str, float]:
    newest = fx.sort_values("session").groupby("currency", sort=True)["rate"].last()
    return _finite({str(name): float(rate) for name, rate in newest.items()})


def _finite(rates: Mapping[str, float]) -> dict[str, float]:
    return {name: float(rate) for name, rate in rates.items() if math.isfinite(rate)}


def _finish(facts: TaxFacts, opening: "pd.DataFrame", now: "pd.DataFrame", read: Reader) -> None:
    from marketbot_assets.book.frames import holdings_of
    from marketbot_assets.book.schema import POSITION

    held, was = holdings_of(now), holdings_of(opening)
    facts.shares = dict(held.shares)
    facts.cash_change = {
        name: held.cash.get(name, ZERO) - was.cash.get(name, ZERO) for name in sorted({*held.cash, *was.cash})
    }
    own = now[now["kind"] == POSITION]
    facts.values = {str(name): float(value) for name, value in zip(own["key"], own["value_base"], strict=True)}
    if read.has("identifiers"):
        rows = read.read("identifiers")
        rows = rows[(rows["kind"] == "ISIN")].sort_values("valid_from")
        facts.isins = {str(name): str(value) for name, value in zip(rows["instrument"], rows["value"], strict=True)}
