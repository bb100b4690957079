"""Writes the table of docs/brokers.md: what each broker can do, from `marketbot_resources/broker_table.py`.

Usage: python tools/brokers.py. `tests/style/test_brokers_page.py` compares the page with this.
"""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

from marketbot_resources.broker_table import BROKERS
from marketbot_resources.capabilities import AuctionTerms, Capabilities
from marketbot_resources.model import OrderType

PAGE = Path(__file__).parents[1] / "docs" / "brokers.md"
BY_MANDATE = frozenset({"alpaca"})  # sources disagree: its adapter believes it once the mandate does
BEGIN, END = "<!-- made by tools/brokers.py -->", "<!-- end -->"


def auction(terms: AuctionTerms | None) -> str:
    """Until when orders for an auction are taken."""
    if terms is None:
        return "no"
    until = f"until {minutes(terms.closes_before)} ahead" if terms.closes_before else "until it begins"
    return until if terms.opens_at is None else f"{until}, from {terms.opens_at:%H:%M} the day before"


def minutes(span: dt.timedelta) -> str:
    """A span in the words of a table."""
    seconds = int(span.total_seconds())
    return f"{seconds // 60} min" if seconds and seconds % 60 == 0 and seconds > 180 else f"{seconds} s"


def yes(value: bool) -> str:
    """Yes or no."""
    return "yes" if value else "no"


def once(can: Capabilities) -> str:
    """Whether an order may be sent again under its id."""
    return "if `dedupes_client_id` is set" if can.name in BY_MANDATE else yes(can.dedupes_client_id)


ROWS: dict[str, Callable[[Capabilities], str]] = {
    **{f"`{kind.value}`": lambda can, kind=kind: yes(kind in can.types) for kind in OrderType},  # type: ignore[misc]
    "opening auction": lambda can: auction(can.open_auction),
    "closing auction": lambda can: auction(can.close_auction),
    "parts of a share": lambda can: yes(can.fractions),
    "short sales": lambda can: yes(can.shorts),
    "conversions of money as orders": lambda can: yes(can.currency_legs),
    "exchanges": lambda can: "all" if can.mics is None else " ".join(sorted(can.mics)),
    "an id sent twice is one order": lambda can: once(can),
    "an order may appear after silence for": lambda can: minutes(can.lateness_max),
    "trading days until cash of a sale settles": lambda can: str(can.settlement_days),
}


def matrix() -> str:
    """The table between the page's two marks."""
    brokers = list(BROKERS.values())
    lines = ["| | " + " | ".join(can.name for can in brokers) + " |", "|---" * (len(brokers) + 1) + "|"]
    lines += [f"| {name} | " + " | ".join(cell(can) for can in brokers) + " |" for name, cell in ROWS.items()]
    return "\n".join(lines)


def page(text: str) -> str:
    """The page with a fresh table."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{matrix()}\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
