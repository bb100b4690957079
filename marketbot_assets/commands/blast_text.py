"""What `blast-radius` found, in lines for people. Not here: finding it (`blast_radius`)."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import cast

from marketbot_resources.model import plain

View = Mapping[str, object]
WIDTH, ORDERS_SHOWN, INSTRUMENTS_SHOWN = 120, 40, 20


def blast_lines(view: View) -> list[str]:
    """The start, what used it by kind, the orders with state and fills, profit and loss, and what all this is not."""
    start = cast("View", view["start"])
    lines = _line("start", start["told"])
    groups = cast("Mapping[str, Sequence[View]]", view["groups"])
    lines += _line("used by", f"{view['used_by']} objects" if view["used_by"] else "nothing in this home")
    for name, rows in groups.items():
        lines += _group(name, rows)
    unreadable = cast("Sequence[View]", view["unreadable"])
    if unreadable:
        lines += _line("unknown", f"{len(unreadable)} objects whose manifest cannot be read: {_span(unreadable)}")
    lines += _orders(cast("Sequence[View]", view["orders"]), start)
    return [*lines, *_profit(cast("View", view["profit"])), *_text("note", view["bound"])]


def _line(label: str, value: object) -> list[str]:
    return [f"{label:<11}{value}"]


def _text(label: str, value: object) -> list[str]:
    """A sentence over as many lines as it needs."""
    return textwrap.wrap(str(value), WIDTH, initial_indent=f"{label:<11}", subsequent_indent=" " * 11)


def _group(name: str, rows: Sequence[View]) -> list[str]:
    """One line per asset: how many versions, of which sessions, how many of them are superseded."""
    assets: dict[str, list[View]] = {}
    for row in rows:
        assets.setdefault(str(row["asset"]), []).append(row)
    lines = []
    for place, (asset, own) in enumerate(assets.items()):
        old = sum(bool(row["superseded"]) for row in own)
        more = f", {old} of them superseded" if old else ""
        lines += _line(name if place == 0 else "", f"{asset:<26}{len(own):>5}  {_span(own)}{more}")
    return lines


def _span(rows: Sequence[View]) -> str:
    parts = sorted({str(row["partition"]) for row in rows})
    return parts[0] if len(parts) == 1 else f"{parts[0]} .. {parts[-1]}"


def _orders(orders: Sequence[View], start: View) -> list[str]:
    if not orders:
        return _line("by order", "none")
    direct, others = ([order for order in orders if bool(order["direct"]) is flag] for flag in (True, False))
    if not start["rows"]:
        return _line("by order", f"{len(orders)} whose batch used it") + _listed(orders)
    return [
        *_line("by order", f"{len(direct)} directly about this {'currency' if start['currency'] else 'instrument'}"),
        *_listed(direct),
        *_line("", f"{len(others)} that only share a table with it"),
        *_listed(others),
    ]


def _listed(orders: Sequence[View]) -> list[str]:
    lines = []
    for order in orders[:ORDERS_SHOWN]:
        what = f"{order['side']} {_number(order['quantity'])} {order['listing'] or order['instrument']}"
        lines += _line("", f"{order['session']} {order['client_order_id']} {what}: {order['state']}{_filled(order)}")
    if len(orders) > ORDERS_SHOWN:
        lines += _line("", f"and {len(orders) - ORDERS_SHOWN} more; --json lists all")
    return lines


def _filled(order: View) -> str:
    fills = cast("Sequence[View]", order["fills"])
    return "".join(f", {_number(fill['quantity'])} at {_number(fill['price'])} in {fill['session']}" for fill in fills)


def _number(value: object) -> str:
    return plain(value)  # type: ignore[arg-type]


def _profit(profit: View) -> list[str]:
    rows = cast("Sequence[View]", profit["by_instrument"])
    if not rows:
        return []
    if not profit["last_session"]:
        return _line("profit", "not known: no session after these orders has been attributed")
    lines = _line("profit", f"{profit['total']:,.2f} {profit['base_currency']} in all up to {profit['last_session']}")
    if profit["direct"] is not None:
        lines += _line("", f"{profit['direct']:,.2f} of it in the instruments of orders directly about the row")
    known = [row for row in rows if row["sessions"]]
    largest = sorted(known, key=lambda row: (-abs(cast("float", row["total"])), str(row["instrument"])))
    for row in largest[:INSTRUMENTS_SHOWN]:
        told = f"{row['listing'] or row['instrument']} since {row['since']}, sessions: {row['sessions']}"
        lines += _line("", f"{row['total']:>14,.2f}  {told}")
    if len(known) > INSTRUMENTS_SHOWN:
        lines += _line("", f"and {len(known) - INSTRUMENTS_SHOWN} more; --json lists all")
    if len(known) < len(rows):
        lines += _line("", f"{len(rows) - len(known)} without an attributed session since")
    if profit["without_price"]:
        lines += _line("", f"{profit['without_price']} rows lack a price or rate and are not split into parts")
    return lines + _text("", profit["meaning"])
