"""Tax lots as a table: one row per disposal and lot, one per dividend or tax withheld, and the text of a CSV file. Pure.

Not here: which lot goes first (`tax_lots`), whether the sums meet the book's (`tax_check`).
"""

import csv
import datetime as dt
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from marketbot_assets.audit.tax_holdings import Disposal, Dividend
from marketbot_resources.model import plain

UNKNOWN_BASIS, KNOWN_BASIS = "basis unknown", "known"
LONG, SHORT = "long", "short"
Cell = str | int | Decimal | dt.date | None
Row = Mapping[str, Cell]
LOT_COLUMNS = (
    *("event", "instrument", "isin", "ticker_acquired", "mic_acquired", "ticker_disposed", "mic_disposed"),
    *("acquired_on", "disposed_on", "quantity", "currency", "proceeds", "disposal_costs", "cost", "acquisition_costs"),
    *("gain", "basis", "base_currency", "rate_acquired_on", "rate_disposed_on", "proceeds_base", "cost_base"),
    *("carried_base", "gain_base", "disallowed_base", "allowed_gain_base", "replaced_by", "holding_from", "days_held"),
    *("term", "matched", "may_change_until", "acquisition_executions", "acquisition_orders", "disposal_references"),
    *("disposal_orders", "note"),
)
DIVIDEND_COLUMNS = (
    *("event", "instrument", "isin", "ticker", "mic", "on", "shares", "currency", "amount", "base_currency"),
    *("rate_on", "amount_base", "reference"),
)


@dataclass(frozen=True, slots=True)
class Listed:
    """How an instrument was listed on a day; empty where unknown."""

    ticker: str
    mic: str
    isin: str


ListedOn = Callable[[str, dt.date], Listed]


@dataclass(frozen=True, slots=True)
class Withheld:
    """A tax that the broker's report of the account names, as it booked it: negative when it was taken."""

    instrument: str
    on: dt.date
    currency: str
    amount: Decimal
    amount_base: Decimal | None
    rate_on: dt.date | None
    reference: str


def is_long(holding_from: dt.date, disposed_on: dt.date) -> bool:
    """Whether shares were held for more than a year: the period begins on the day after they were acquired (Rev. Rul. 66-7)."""
    first = holding_from + dt.timedelta(days=1)
    leap = (first.month, first.day) == (2, 29)
    return disposed_on >= (dt.date(first.year + 1, 3, 1) if leap else first.replace(year=first.year + 1))


def lot_rows(
    disposals: Iterable[Disposal],
    listed: ListedOn,
    *,
    base: str,
    terms: bool,
    window: dt.timedelta | None,
    known_until: dt.date,
) -> list[Row]:
    """Disposals as rows of LOT_COLUMNS, in their order. `terms`: tell long from short (US).

    `window`: how long after a disposal a buy may still change its row; while `known_until` lies within it, the row says until when.
    """
    return [
        _lot_row(disposal, listed, base, terms, _open_until(disposal.on, window, known_until)) for disposal in disposals
    ]


def _open_until(on: dt.date, window: dt.timedelta | None, known_until: dt.date) -> dt.date | None:
    return on + window if window is not None and on + window > known_until else None


def _lot_row(disposal: Disposal, listed: ListedOn, base: str, terms: bool, until: dt.date | None) -> Row:
    lot, gain = disposal.lot, disposal.gain_base
    now = listed(lot.instrument, disposal.on)
    then = Listed("", "", "") if lot.acquired_on is None else listed(lot.instrument, lot.acquired_on)
    since = lot.holding_from
    term = "" if since is None or not terms else LONG if is_long(since, disposal.on) else SHORT
    other = lot.currency != disposal.currency
    return {
        "event": disposal.event,
        "instrument": lot.instrument,
        "isin": now.isin,
        "ticker_acquired": then.ticker,
        "mic_acquired": then.mic,
        "ticker_disposed": now.ticker,
        "mic_disposed": now.mic,
        "acquired_on": lot.acquired_on,
        "disposed_on": disposal.on,
        "quantity": lot.quantity,
        "currency": disposal.currency,
        "proceeds": disposal.proceeds,
        "disposal_costs": disposal.costs,
        "cost": None if other else lot.cost,
        "acquisition_costs": None if other or lot.cost is None else lot.costs,
        "gain": disposal.gain,
        "basis": UNKNOWN_BASIS if lot.cost_base is None else KNOWN_BASIS,
        "base_currency": base,
        "rate_acquired_on": lot.rate_on,
        "rate_disposed_on": disposal.rate_on,
        "proceeds_base": disposal.proceeds_base,
        "cost_base": lot.cost_base,
        "carried_base": lot.carried_base,
        "gain_base": gain,
        "disallowed_base": disposal.disallowed_base,
        "allowed_gain_base": None if gain is None else gain + disposal.disallowed_base,
        "replaced_by": "; ".join(disposal.replaced_by),
        "holding_from": since,
        "days_held": None if since is None else (disposal.on - since).days,
        "term": term,
        "matched": disposal.matched,
        "may_change_until": until,
        "acquisition_executions": " ".join(lot.executions),
        "acquisition_orders": " ".join(lot.orders),
        "disposal_references": " ".join(disposal.references),
        "disposal_orders": " ".join(disposal.orders),
        "note": lot.note,
    }


def dividend_rows(
    dividends: Iterable[Dividend], withheld: Iterable[Withheld], listed: ListedOn, *, base: str
) -> list[Row]:
    """Dividends and taxes withheld as rows of DIVIDEND_COLUMNS, by day and instrument."""
    rows: list[Row] = []
    for one in dividends:
        paid = one.happening
        rate_on = paid.rate.fixed_on
        money = (paid.currency, paid.cash, base, rate_on, one.amount_base, paid.reference)
        rows.append(_dividend(paid.kind, paid.instrument, paid.on, paid.held, listed, money))
    for tax in withheld:
        money = (tax.currency, tax.amount, base, tax.rate_on, tax.amount_base, tax.reference)
        rows.append(_dividend("WITHHELD", tax.instrument, tax.on, None, listed, money))
    return sorted(rows, key=lambda row: (str(row["on"]), str(row["instrument"]), str(row["event"])))


def _dividend(
    event: str,
    instrument: str,
    on: dt.date,
    shares: Decimal | None,
    listed: ListedOn,
    money: tuple[str, Decimal, str, dt.date | None, Decimal | None, str],
) -> Row:
    found = listed(instrument, on)
    names = (event, instrument, found.isin, found.ticker, found.mic, on, shares, *money)
    return dict(zip(DIVIDEND_COLUMNS, names, strict=True))


def csv_text(header: Sequence[str], columns: Sequence[str], rows: Iterable[Row]) -> str:
    """A CSV file: the header's lines after `# `, the names of the columns, the rows; an unknown cell is empty."""
    out = io.StringIO()
    for line in header:
        out.write(f"# {line}\n")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_text(row[name], whole=name in ("quantity", "shares")) for name in columns])
    return out.getvalue()


def _text(cell: Cell, *, whole: bool) -> str:
    if cell is None:
        return ""
    if isinstance(cell, Decimal):
        return plain(cell) if whole else format(cell, "f")
    if isinstance(cell, dt.date):
        return cell.isoformat()
    text = str(cell)
    return f"'{text}" if text[:1] in "=+-@\t\r" and text else text  # no spreadsheet takes it for a formula
