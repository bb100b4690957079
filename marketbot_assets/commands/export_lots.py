"""Tax lots as CSV files: `export-lots`. No tax advice.

Not here: the arithmetic (`audit.tax_lots`), what is read of the home (`tax_facts`), an auditor's archive (`export`).
"""

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, cast

from marketbot_assets.commands.home import existing_lake
from marketbot_resources.errors import HomeError, UsageError
from marketbot_resources.jurisdictions import LEAST_DAYS
from marketbot_resources.model import plain

if TYPE_CHECKING:
    from marketbot_assets.audit.tax_check import CashCheck, ProfitCheck
    from marketbot_assets.audit.tax_lots import LotBook
    from marketbot_assets.audit.tax_moves import Move
    from marketbot_assets.audit.tax_rows import Row
    from marketbot_assets.tax_facts import TaxFacts

View = dict[str, object]
DEFAULT_METHOD: Mapping[str, str] = {"US": "fifo", "DE": "fifo", "GB": "section-104"}
OWN_CURRENCY: Mapping[str, str] = {"US": "USD", "GB": "GBP", "DE": "EUR"}
NOT_ADVICE = "not tax advice: check every line with your broker's statement and your tax office's rules"


def export_lots(year: int | None, method: str | None, out: str, dividends: str | None) -> View:
    """Writes the disposals (and the dividends) of a year, or of all, and returns where, their sums and whether they meet the book.

    Raises UsageError before the first session and for a method that the residence's rule does not go with, StoreError when the
    lots and the book hold other shares, HomeError when a file cannot be written.
    """
    from marketbot_assets.audit.tax_check import check_cash, check_profit
    from marketbot_assets.tax_facts import read_tax_facts

    lake = existing_lake()
    size, root = lake.ledger.head()
    facts = read_tax_facts(lake)
    chosen, book, moves = _lots(facts, method)
    _, checked, _ = _lots(facts, chosen, at_value=True)
    cash = check_cash(checked, moves)
    profit = check_profit(checked, moves, facts.flows, facts.attributed, facts.values)
    disposals, income = _rows(facts, book, chosen, year)
    header = _header(facts, chosen, year, size, root, cash, profit)
    files = [_write(out, "disposals", header, disposals)]
    if dividends is not None:
        files.append(_write(dividends, "dividends", header, income))
    return {
        "files": files,
        "method": chosen,
        "year": year,
        "residence": _residence(facts),
        "base_currency": facts.mandate.base_currency,
        "first": facts.first,
        "last": facts.last,
        "ledger": {"size": size, "root": root},
        "sums": _sums(disposals, income),
        "cash": [_cash_view(check) for check in cash],
        "broker_cash": _unexplained(facts, moves),
        "profit": {
            "names": profit.names,
            "left_out": list(profit.left_out),
            "attributed": profit.attributed,
            "lots": profit.told,
            "rates": profit.rates,
            "difference": profit.difference,
            "tolerance": profit.tolerance,
            "meets": profit.meets,
        },
        "meets": profit.meets and all(check.difference in (None, 0) for check in cash),
    }


def _residence(facts: "TaxFacts") -> str:
    where = facts.mandate.jurisdiction
    return "" if where is None else where.residence


def _lots(facts: "TaxFacts", method: str | None, *, at_value: bool = False) -> "tuple[str, LotBook, Sequence[Move]]":
    """(method, the lots after all moves, the moves as they were applied). `at_value`: see `LotBook`."""
    from marketbot_assets.audit.tax_lots import FIFO, SECTION_104, LotBook
    from marketbot_assets.audit.tax_matching import matches
    from marketbot_assets.audit.tax_moves import by_day

    residence, base = _residence(facts), facts.mandate.base_currency
    chosen = method or DEFAULT_METHOD.get(residence, FIFO)
    if chosen == SECTION_104:
        moves: Sequence[Move] = by_day(facts.moves)
        book = LotBook(base, chosen, matches=matches(moves), at_value=at_value).run(moves)
    else:
        moves = facts.moves
        wash = LEAST_DAYS["US"] if residence == "US" and chosen == FIFO else None
        book = LotBook(base, chosen, wash_days=wash, at_value=at_value).run(moves)
    held = book.held()
    if held != facts.shares:
        names = sorted(n for n in {*held, *facts.shares} if held.get(n) != facts.shares.get(n))
        raise UsageError(f"expected lots of the shares that the book holds, found others of {', '.join(names)}")
    return chosen, book, moves


def _rows(facts: "TaxFacts", book: "LotBook", method: str, year: int | None) -> "tuple[list[Row], list[Row]]":
    from marketbot_assets.audit.tax_lots import SECTION_104
    from marketbot_assets.audit.tax_rows import dividend_rows, lot_rows

    base, us = facts.mandate.base_currency, _residence(facts) == "US"
    window = dt.timedelta(days=30) if us or method == SECTION_104 else None
    rows = lot_rows(
        book.disposals, facts.listed, base=base, terms=us, window=window, known_until=facts.last
    )  # fmt: skip
    income = dividend_rows(book.dividends, facts.withheld, facts.listed, base=base)

    def wanted(day: object) -> bool:
        return year is None or (isinstance(day, dt.date) and day.year == year)

    return [row for row in rows if wanted(row["disposed_on"])], [row for row in income if wanted(row["on"])]


def _header(
    facts: "TaxFacts",
    method: str,
    year: int | None,
    size: int,
    root: str,
    cash: "Sequence[CashCheck]",
    profit: "ProfitCheck",
) -> list[str]:
    residence, base = _residence(facts), facts.mandate.base_currency
    lines = [
        f"marketbot export-lots: {NOT_ADVICE}",
        f"sessions {facts.first} to {facts.last}, {f'disposals of the calendar year {year}' if year else 'all years'}",
        f"method {method}; residence {residence or 'not stated in the mandate'}; base currency {base}",
        "days are trade dates of the exchange (dividends: ex dates); settlement comes one or two trading days later",
        f"base currency at the ECB's euro reference rate of the day, else the newest before it (source: {facts.fx_source})",
        "fees and stamp duties are in the cost of what was bought and off the proceeds of what was sold",
        f"ledger {size} entries, root {root}",
    ]
    if residence == "US":
        word = "marked (26 USC 1091)" if method == "fifo" else "NOT marked: they go with fifo alone"
        lines.append(f"wash sales of the same instrument in this account: {word}")
    if residence == "GB" and method != "section-104":
        lines.append(
            "the same day, the 30 days after and the pool (TCGA 1992) go with section-104 alone: not applied here"
        )
    if residence in OWN_CURRENCY and OWN_CURRENCY[residence] != base:
        lines.append(
            f"the residence's tax is in {OWN_CURRENCY[residence]}: the columns in {base} are not what it asks for"
        )
    for check in cash:
        told = "a basis is unknown" if check.difference is None else f"difference {plain(check.difference)}"
        lines.append(f"cash {check.currency}: {check.moved:f} by the book's moves, lots against it: {told}")
    word = "meets" if profit.meets else "DOES NOT MEET"
    left = f", left out: {' '.join(profit.left_out)}" if profit.left_out else ""
    lines.append(f"profit {word} attribution: {profit.names} names, difference {profit.difference:.2f} {base}{left}")
    return lines


def _write(path: str, kind: str, header: Sequence[str], rows: "Sequence[Row]") -> View:
    from marketbot_assets.audit.tax_rows import DIVIDEND_COLUMNS, LOT_COLUMNS, csv_text

    data = csv_text(header, LOT_COLUMNS if kind == "disposals" else DIVIDEND_COLUMNS, rows).encode()
    target = Path(path).resolve()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    except OSError as error:
        raise HomeError(f"expected to write {target}, found: {error.strerror}; choose another file") from error
    return {"kind": kind, "path": str(target), "rows": len(rows), "sha256": hashlib.sha256(data).hexdigest()}


def _sums(disposals: "Sequence[Row]", income: "Sequence[Row]") -> View:
    """Sums in base currency; rows whose basis or rate is unknown are counted, not added."""
    gains = [row["allowed_gain_base"] for row in disposals]
    known = [gain for gain in gains if isinstance(gain, Decimal)]
    paid = [row["amount_base"] for row in income]
    return {
        "gains_base": sum((gain for gain in known if gain > 0), Decimal(0)),
        "losses_base": sum((gain for gain in known if gain < 0), Decimal(0)),
        "disallowed_base": sum((cast("Decimal", row["disallowed_base"]) for row in disposals), Decimal(0)),
        "unknown_rows": len(gains) - len(known),
        "dividends_base": sum((cash for cash in paid if isinstance(cash, Decimal)), Decimal(0)),
        "dividends_without_rate": sum(cash is None for cash in paid),
    }


def _cash_view(check: "CashCheck") -> View:
    return {"currency": check.currency, "moved": check.moved, "told": check.told, "difference": check.difference}


def _unexplained(facts: "TaxFacts", moves: "Sequence[Move]") -> dict[str, Decimal]:
    """Cash per currency that neither the lots nor currency legs moved: the broker's own fees, interest, taxes withheld."""
    from marketbot_assets.audit.tax_check import cash_of

    moved: dict[str, Decimal] = {}
    for move in moves:
        moved[move.currency] = moved.get(move.currency, Decimal(0)) + cash_of(move)
    names = sorted({*facts.cash_change, *moved, *facts.conversions})
    found = {
        name: facts.cash_change.get(name, Decimal(0)) - moved.get(name, Decimal(0)) - facts.conversions.get(name, Decimal(0))
        for name in names
    }  # fmt: skip
    return {name: amount for name, amount in found.items() if amount}


def export_lots_lines(view: View) -> list[str]:
    """Where the files are, their sums, and whether they meet the book."""
    base, sums = view["base_currency"], cast("Mapping[str, Decimal]", view["sums"])
    profit, ledger = cast("Mapping[str, object]", view["profit"]), cast("Mapping[str, object]", view["ledger"])
    lines = [
        f"{file['kind']:<12}{file['rows']} rows: {file['path']}\n{'':<12}sha256 {file['sha256']}"
        for file in cast("Sequence[Mapping[str, object]]", view["files"])
    ]
    lines += [
        f"sessions    {view['first']} to {view['last']}, method {view['method']}, {view['year'] or 'all years'}",
        f"gains       {sums['gains_base']:,.2f} {base}, losses {sums['losses_base']:,.2f}, "
        f"losses disallowed {sums['disallowed_base']:,.2f}, {sums['unknown_rows']} rows of unknown basis",
        f"dividends   {sums['dividends_base']:,.2f} {base} with taxes withheld, {sums['dividends_without_rate']} without a rate",
    ]
    for check in cast("Sequence[Mapping[str, Decimal | None]]", view["cash"]):
        gap = check["difference"]
        told = "a basis is unknown" if gap is None else f"lots and book differ by {plain(gap)}"
        lines.append(f"cash {check['currency']:<7}{check['moved']:,.2f} moved, {told}")
    for name, amount in cast("Mapping[str, Decimal]", view["broker_cash"]).items():
        lines.append(f"cash {name:<7}{amount:,.2f} more by the broker's own events (fees, interest, taxes withheld)")
    word = "meets" if profit["meets"] else "DOES NOT MEET"
    lines.append(
        f"profit      {word} attribution over {profit['names']} names: {profit['attributed']:,.2f} {base}, lots "
        f"{profit['lots']:,.2f}, rates {profit['rates']:,.2f}, difference {profit['difference']:,.2f}"
    )
    return [*lines, f"ledger      {ledger['size']} entries, root {ledger['root']}", NOT_ADVICE]
