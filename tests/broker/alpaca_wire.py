"""The shapes of Alpaca's answers as its public clients' tests record them, filled from the truth of a test server."""

import datetime as dt
import json
import random
import sqlite3
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from pathlib import Path

from broker_truth import NEW_YORK, WORKING, Asked, Truth

Reply = tuple[int, object]
PATHS = Path(__file__).parent / "data" / "alpaca_errors.json"
OPEN_AT, OPG_UNTIL, CLS_UNTIL, QUEUE_FROM = dt.time(9, 30), dt.time(9, 28), dt.time(15, 50), dt.time(19, 0)
MULTIPLIER = 2


def error(code: int, message: str, **more: str) -> dict[str, object]:
    """Alpaca's error form."""
    return {"code": code, "message": message, **more}


ERRORS = {"rate limit": error(42910000, "rate limit exceeded")}


@lru_cache(maxsize=1)
def recorded() -> Sequence[Reply]:
    """Every error that a POST of an order was seen to answer: (status, body)."""
    rows = json.loads(PATHS.read_text(encoding="utf-8"))["errors"]
    return [(row["status"], row["body"]) for row in rows if row["body"] and "POST" in row["endpoint"]]


def route(path: str) -> str:
    """A path without ids."""
    return "/v2/orders/{id}" if path.startswith("/v2/orders/") else path


def asked(body: Mapping[str, object]) -> Asked:
    """The body of POST /v2/orders. Raises KeyError, ValueError, InvalidOperation for what Alpaca calls malformed."""
    prices = [None if body.get(name) is None else Decimal(str(body[name])) for name in ("limit_price", "stop_price")]
    texts = [str(body[name]) for name in ("client_order_id", "symbol", "side", "type", "time_in_force")]
    client_id, symbol, side, kind, force = texts
    return Asked(client_id, symbol, side, Decimal(str(body["qty"])), kind, force, prices[0], prices[1], body)


def refusal(truth: Truth, order: Asked, windows: bool) -> Reply | None:
    """Why Alpaca does not take an order, in its words; None when it does."""
    clock = truth.now.astimezone(NEW_YORK).time()
    if windows and order.tif == "opg" and OPG_UNTIL <= clock < QUEUE_FROM:
        return 422, error(42210000, "on open orders are not accepted outside of the opening window")
    if windows and order.tif == "cls" and CLS_UNTIL <= clock < QUEUE_FROM:
        return 422, error(42210000, "on close orders are not accepted outside of the closing window")
    price = order.limit_price
    if price is not None and price % (Decimal("0.01") if price >= 1 else Decimal("0.0001")):
        told = f"invalid limit_price {price}. sub-penny increment does not fulfill minimum pricing criteria"
        return 422, error(42210000, told)
    if order.side == "sell":
        available = truth.positions().get(order.symbol, Decimal(0)) - truth.offered(order.symbol)
        if order.qty > available:
            told = f"insufficient qty available for order (requested: {order.qty}, available: {available})"
            return 403, error(40310000, told, available=str(available), symbol=order.symbol)
    elif price is not None:
        working = [row for row in truth.orders(working=True) if row["side"] == "buy" and row["limit_price"]]
        taken = sum(
            (Decimal(r["limit_price"]) * (Decimal(r["qty"]) - Decimal(r["filled"])) for r in working), Decimal(0)
        )
        power = truth.cash() * MULTIPLIER - taken
        if price * order.qty > power:
            told = error(40310000, "insufficient buying power", buying_power=str(power))
            return 403, {**told, "cost_basis": str(price * order.qty)}
    return None


def order_of(row: sqlite3.Row) -> dict[str, object]:
    """An order."""
    body, filled = json.loads(row["body"]), Decimal(row["filled"])
    at, ended = _stamp(row["at"]), _stamp(row["changed_at"])
    return {
        "id": row["id"],
        "client_order_id": row["client_id"],
        "created_at": at,
        "updated_at": ended,
        "submitted_at": at,
        "filled_at": ended if row["status"] == "filled" else None,
        "expired_at": ended if row["status"] == "expired" else None,
        "canceled_at": ended if row["status"] == "canceled" else None,
        "failed_at": None,
        "replaced_at": None,
        "replaced_by": None,
        "replaces": None,
        "asset_id": "904837e3-3b76-47ec-b432-046db621571b",
        "symbol": row["symbol"],
        "asset_class": "us_equity",
        "notional": None,
        "qty": row["qty"],
        "filled_qty": row["filled"],
        "filled_avg_price": str(Decimal(row["paid"]) / filled) if filled else None,
        "order_class": body.get("order_class", ""),
        "order_type": row["kind"],
        "type": row["kind"],
        "side": row["side"],
        "time_in_force": row["tif"],
        "limit_price": row["limit_price"],
        "stop_price": row["stop_price"],
        "status": row["status"],
        "extended_hours": False,
        "legs": None,
        "trail_percent": body.get("trail_percent"),
        "trail_price": None,
        "hwm": None,
    }


def answer(truth: Truth, path: str, query: Mapping[str, str], settings: Mapping[str, str], number: str) -> Reply:
    """The answer to a GET."""
    if path == "/v2/clock":
        return 200, _clock(truth.now + dt.timedelta(seconds=float(settings["drift"])))
    if path == "/v2/account":
        return 200, _account(truth, number)
    if path == "/v2/positions":
        return 200, [_position(truth, symbol, count) for symbol, count in truth.positions().items()]
    if path == "/v2/orders:by_client_order_id":
        found = truth.by_client_id(query["client_order_id"])
        told = f"order not found for {query['client_order_id']}"
        return (200, order_of(found[0])) if found else (404, error(40410000, told))
    if path == "/v2/orders":
        return 200, _orders(truth, query)
    if path.startswith("/v2/orders/"):
        one = truth.order(path.removeprefix("/v2/orders/"))
        return (200, order_of(one)) if one is not None else (404, error(40410000, "order not found"))
    if path == "/v2/account/activities":
        return 200, _activities(truth, query, repeat=settings["repeat"] == "on")
    return 404, error(40410000, "endpoint not found.")


def _orders(truth: Truth, query: Mapping[str, str]) -> list[dict[str, object]]:
    rows = [row for row in truth.orders() if query.get("status") != "open" or row["status"] in WORKING]
    rows = [row for row in rows if "after" not in query or _at(row["at"]) > _at(query["after"])]
    return [order_of(row) for row in rows[: int(query.get("limit", "50"))]]


def _activities(truth: Truth, query: Mapping[str, str], *, repeat: bool) -> list[dict[str, object]]:
    rows = [_fill(row) for row in truth.fills()]
    originals = {row["id"]: row for row in truth.fills()}
    for bust in truth.busts():
        if not bust["replaced_by"]:
            of = originals[bust["id"]]
            stamp = _at(bust["at"]).astimezone(NEW_YORK).strftime("%Y%m%d%H%M%S") + "000"
            more = {"type": "trade_bust", "previous_execution_id": bust["id"], "transaction_time": _stamp(bust["at"])}
            rows.append({**_fill(of), **more, "id": f"{stamp}::bust-{bust['number']}"})
    for event in truth.events():
        rows.append(
            {
                "id": event["id"],
                "activity_type": event["kind"],
                "date": event["at"][:10],
                "net_amount": event["amount"],
                "symbol": event["symbol"],
                "qty": event["qty"],
                "status": "executed",
            }
        )
    rows.sort(key=lambda row: str(row["id"]))
    if repeat:
        rows = rows + rows
        random.Random(len(rows)).shuffle(rows)
    if "page_token" in query:
        rows = [row for row in rows if str(row["id"]) > query["page_token"]]
    return rows[: int(query.get("page_size", "100"))]


def _fill(row: sqlite3.Row) -> dict[str, object]:
    whole = Decimal(row["qty"]) == Decimal(row["order_qty"])
    told: dict[str, object] = {
        "id": row["id"],
        "activity_type": "FILL",
        "type": "fill" if whole else "partial_fill",
        "transaction_time": _stamp(row["at"]),
        "price": row["price"],
        "qty": row["qty"],
        "side": row["side"],
        "symbol": row["symbol"],
        "order_id": row["order_id"],
        "cum_qty": row["qty"],
        "leaves_qty": "0",
    }
    if row["replaces"]:
        told |= {"type": "trade_correct", "previous_execution_id": row["replaces"]}
    return told


def _clock(at: dt.datetime) -> dict[str, object]:
    local = at.astimezone(NEW_YORK)
    trading = local.weekday() < 5 and OPEN_AT <= local.time() < dt.time(16)
    later = (local + dt.timedelta(days=1)).isoformat()
    return {"timestamp": local.isoformat(), "is_open": trading, "next_open": later, "next_close": later}


def _account(truth: Truth, number: str) -> dict[str, object]:
    cash = truth.cash()
    return {
        "account_blocked": False,
        "account_number": number,
        "buying_power": str(cash * MULTIPLIER),
        "cash": str(cash),
        "created_at": "2018-06-12T22:47:07.99658Z",
        "currency": "USD",
        "daytrade_count": 0,
        "id": "e6fe16f3-64a4-4921-8928-cadf02f92f98",
        "multiplier": str(MULTIPLIER),
        "pattern_day_trader": False,
        "shorting_enabled": False,
        "status": "ACTIVE",
        "trade_suspended_by_user": False,
        "trading_blocked": False,
        "transfers_blocked": False,
    }


def _position(truth: Truth, symbol: str, count: Decimal) -> dict[str, object]:
    bought = [f for f in truth.fills(standing=True) if f["symbol"] == symbol and f["side"] == "buy"]
    shares = sum((Decimal(f["qty"]) for f in bought), Decimal(0))
    paid = sum((Decimal(f["qty"]) * Decimal(f["price"]) for f in bought), Decimal(0))
    return {
        "asset_id": "904837e3-3b76-47ec-b432-046db621571b",
        "symbol": symbol,
        "exchange": "NYSE",
        "asset_class": "us_equity",
        "qty": str(abs(count)) if count < 0 else str(count),
        "avg_entry_price": str(round(paid / shares, 6)) if shares else "8.5",
        "side": "short" if count < 0 else "long",
        "qty_available": str(count - truth.offered(symbol)),
    }


def _stamp(at: str) -> str:
    return _at(at).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).astimezone(dt.UTC)
