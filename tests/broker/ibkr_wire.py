"""The shapes in which Interactive Brokers' gateway speaks, as recorded; from the truth behind the misbehaving server.

Keys and kinds of values are those of the recorded answers (test_ibkr_server compares them). Not here: HTTP, faults (`ibkr_server`).
"""

import datetime as dt
import json
import sqlite3
from decimal import Decimal

from broker_truth import Asked, Truth

ACCOUNT = "DU1234567"
FIRST_ORDER = 1_210_386_000
CONIDS = {"A": 111, "F": 222, "B C": 333, "EUR.USD": 12087792, "USD.JPY": 15016059}
LISTED = {"A": ("NYSE", "USD"), "F": ("BATS", "USD"), "B C": ("NYSE", "USD")}
for number in range(8):  # more names for whole batches
    CONIDS[f"S{number}"], LISTED[f"S{number}"] = 400 + number, ("NYSE", "USD")
PAIRS = {"EUR.USD": Decimal("1.25"), "USD.JPY": Decimal("150")}
RATES = {"EUR": Decimal("1.25"), "JPY": 1 / Decimal(150)}
_KINDS = {"LMT": "limit", "MKT": "market", "LOC": "limit", "MOC": "market", "STP": "stop", "STOP_LIMIT": "stop_limit"}
_STATUS = {"new": "Submitted", "partially_filled": "Submitted", "filled": "Filled", "canceled": "Cancelled",
           "expired": "Cancelled"}  # fmt: skip
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def symbol_of(conid: int) -> str:
    return next(name for name, number in CONIDS.items() if number == conid)


def asked(ticket: dict) -> Asked:
    """A ticket as the truth keeps it."""
    kind = _KINDS.get(ticket["orderType"], "trailing_stop")
    tif = "opg" if ticket["tif"] == "OPG" else "cls" if ticket["orderType"] in ("LOC", "MOC") else "day"
    price, aux = ticket.get("price"), ticket.get("auxPrice")
    limit = None if kind in ("market", "stop", "trailing_stop") else Decimal(str(price))
    stop = Decimal(str(price)) if kind == "stop" else None if aux is None else Decimal(str(aux))
    ref = ticket.get("cOID") or ticket.get("parentId", "")
    side, size = ticket["side"].lower(), Decimal(str(ticket["quantity"]))
    return Asked(ref, symbol_of(ticket["conid"]), side, size, kind, tif, limit, stop, ticket)


def status_of(row: sqlite3.Row) -> str:
    return _STATUS.get(row["status"], row["status"])


def order_id(row: sqlite3.Row) -> int:
    return FIRST_ORDER + int(row["number"])


def _left(row: sqlite3.Row) -> Decimal:
    return Decimal(row["qty"]) - Decimal(row["filled"])


def _place(symbol: str) -> tuple[str, str]:
    return LISTED.get(symbol, ("IDEALPRO", symbol[-3:]))


def live_order(row: sqlite3.Row) -> dict:
    """An entry of /iserver/account/orders."""
    exchange, currency = _place(row["symbol"])
    ticket = json.loads(row["body"])
    told = {"account": ACCOUNT, "acct": ACCOUNT, "bgColor": "#FFFFFF", "cashCcy": currency, "companyName": row["symbol"],
            "conid": CONIDS[row["symbol"]], "conidex": str(CONIDS[row["symbol"]]), "description1": row["symbol"],
            "fgColor": "#0000CC", "filledQuantity": float(row["filled"]), "lastExecutionTime": "240103201041",
            "lastExecutionTime_r": _millis(row["changed_at"]), "listingExchange": exchange, "orderDesc": "an order",
            "orderId": order_id(row), "orderType": "Limit", "order_ccp_status": status_of(row),
            "order_ref": row["client_id"], "origOrderType": "LIMIT", "outsideRTH": False,
            "remainingQuantity": float(_left(row)), "secType": "STK" if row["symbol"] in LISTED else "CASH",
            "side": row["side"].upper(), "sizeAndFills": f"{row['filled']}/{row['qty']}", "status": status_of(row),
            "supportsTaxOpt": "1", "ticker": row["symbol"], "timeInForce": ticket["tif"],
            "totalSize": float(row["qty"])}  # fmt: skip
    if row["limit_price"] is not None:
        told["price"] = f"{Decimal(row['limit_price']):,.2f}"
    return told


def order_status(row: sqlite3.Row) -> dict:
    """/iserver/account/order/status/{orderId}."""
    exchange, currency = _place(row["symbol"])
    ticket, conid = json.loads(row["body"]), CONIDS[row["symbol"]]
    told = {"account": ACCOUNT, "alert_active": 1, "allowed_duplicate_opposite": True, "available_chart_periods": "#R|1",
            "bg_color": "#0000CC", "cannot_cancel_order": False, "child_order_type": "3", "company_name": row["symbol"],
            "conid": conid, "conidex": str(conid), "contract_description_1": row["symbol"], "cum_fill": row["filled"],
            "currency": currency, "deactivate_order": False, "editable_fields": "\u001e",
            "exit_strategy_chart_description": "", "exit_strategy_display_price": "", "fg_color": "#FFFFFF",
            "exit_strategy_tool_availability": "1", "listing_exchange": exchange, "option_acct": "c",
            "order_ccp_status": "0", "order_clearing_account": ACCOUNT, "order_description": "an order",
            "order_description_with_contract": "an order", "order_id": order_id(row), "order_not_editable": False,
            "order_status": status_of(row), "order_status_description": "Order Submitted", "order_time": "240103201041",
            "order_type": "LIMIT", "outside_rth": False, "request_id": "37888",
            "sec_type": "STK" if row["symbol"] in LISTED else "CASH", "server_id": "0",
            "side": row["side"][0].upper(), "size": f"{float(_left(row)):,}",
            "size_and_fills": f"{row['filled']}/{row['qty']}", "sub_type": None, "symbol": row["symbol"],
            "tif": ticket["tif"], "total_size": f"{float(row['qty']):,}", "use_price_mgmt_algo": False}  # fmt: skip
    if row["limit_price"] is not None:
        told["limit_price"] = f"{Decimal(row['limit_price']):,.2f}"
    return told


def trades(truth: Truth, *, since: dt.datetime) -> list[dict]:
    """/iserver/account/trades: executions, a correction under the id of what it corrects with its last part one higher."""
    found, names, parts = [], {}, {}
    for fill in truth.fills():
        first = parts[fill["replaces"]] if fill["replaces"] else (int(fill["number"]), 0)
        parts[fill["id"]] = (first[0], first[1] + 1)
        names[fill["id"]] = execution_id(*parts[fill["id"]])
        found.append(_trade(fill, names[fill["id"]], fill["qty"], fill["at"]))
    by_id = {fill["id"]: fill for fill in truth.fills()}
    for bust in truth.busts():
        if not bust["replaced_by"]:
            number, revision = parts[bust["id"]]
            found.append(_trade(by_id[bust["id"]], execution_id(number, revision + 1), "0", bust["at"]))
    return [trade for trade in found if trade["trade_time_r"] >= _millis(since.isoformat())]


def execution_id(number: int, revision: int) -> str:
    return f"0000e0d5.{number:08x}.01.{revision:02d}"


def _trade(fill: sqlite3.Row, name: str, size: str, at: str) -> dict:
    exchange, _ = _place(fill["symbol"])
    when = dt.datetime.fromisoformat(at)
    return {"execution_id": name, "symbol": fill["symbol"], "supports_tax_opt": "1", "side": fill["side"][0].upper(),
            "order_description": "a trade", "trade_time": f"{when:%Y%m%d-%H:%M:%S}", "trade_time_r": _millis(at),
            "size": float(size), "price": fill["price"], "order_ref": fill["client_id"], "submitter": "user",
            "exchange": exchange, "commission": fill["fee"], "net_amount": float(Decimal(size) * Decimal(fill["price"])),
            "account": ACCOUNT, "accountCode": ACCOUNT, "account_allocation_name": ACCOUNT,
            "company_name": fill["symbol"], "contract_description_1": fill["symbol"],
            "sec_type": "STK" if fill["symbol"] in LISTED else "CASH", "listing_exchange": exchange,
            "conid": CONIDS[fill["symbol"]], "conidEx": str(CONIDS[fill["symbol"]]), "clearing_id": "IB",
            "clearing_name": "IB", "liquidation_trade": "0", "is_event_trading": "0"}  # fmt: skip


def positions(truth: Truth) -> list[dict]:
    """All positions of shares, as /portfolio/{account}/positions tells them."""
    held = {symbol: count for symbol, count in truth.positions().items() if symbol in LISTED}
    return [position(symbol, float(count)) for symbol, count in held.items()]


def position(symbol: str, count: float, conid: int | None = None) -> dict:
    exchange, currency = _place(symbol)
    return {"acctId": ACCOUNT, "assetClass": "STK", "avgCost": 1.0, "avgPrice": 1.0, "conid": conid or CONIDS[symbol],
            "contractDesc": symbol, "countryCode": "US", "currency": currency, "listingExchange": exchange,
            "mktPrice": 1.0, "mktValue": count, "name": symbol, "pageSize": 100, "position": count, "ticker": symbol,
            "type": "COMMON", "isUS": True, "multiplier": 0.0, "realizedPnl": 0.0, "unrealizedPnl": 0.0,
            "fullName": symbol, "group": None, "model": "", "strike": "0", "time": 30, "undConid": 0}  # fmt: skip


def cash(truth: Truth) -> dict[str, Decimal]:
    """Cash per currency: conversions moved the truth's USD as if the pair were a share priced in dollars."""
    found = {"USD": truth.cash()}
    for fill in truth.fills(standing=True):
        if fill["symbol"] in LISTED:
            continue
        first, second = fill["symbol"].split(".")
        sign = 1 if fill["side"] == "buy" else -1
        size, paid = Decimal(fill["qty"]), (Decimal(fill["qty"]) * Decimal(fill["price"])).quantize(Decimal("0.01"))
        found["USD"] += sign * paid
        found[first] = found.get(first, Decimal(0)) + sign * size
        found[second] = found.get(second, Decimal(0)) - sign * paid
    return found


def ledger(truth: Truth, drift: Decimal = Decimal(1)) -> dict:
    """/portfolio/{account}/ledger; `drift` makes the rates disagree with those of the exchange rate endpoint."""
    told = {}
    amounts = cash(truth)
    for currency in (*amounts, *(each for each in RATES if each not in amounts), "BASE"):
        rate = RATES.get(currency, Decimal(1)) * (drift if currency in RATES else 1)
        told[currency] = {"acctcode": ACCOUNT, "cashbalance": float(amounts.get(currency, 0)),
                          "cashbalancefxsegment": 0.0, "currency": currency, "dividends": 0.0,
                          "exchangerate": 1 if rate == 1 else float(rate), "interest": 0.0,
                          "key": "LedgerList", "netliquidationvalue": 0.0,
                          "secondkey": currency, "sessionid": 1, "settledcash": 0.0, "severity": 0,
                          "stockmarketvalue": 0.0, "timestamp": 1701198108, "unrealizedpnl": 0.0,
                          "realizedpnl": 0.0}  # fmt: skip
    return told


def stocks(symbol: str) -> dict:
    """/trsrv/stocks: the listing asked for, the same ticker elsewhere, another company under it."""
    if symbol not in LISTED:
        return {symbol: []}
    contracts = [{"conid": CONIDS[symbol], "exchange": LISTED[symbol][0], "isUS": True},
                 {"conid": 9001, "exchange": "MEXI", "isUS": False}]  # fmt: skip
    other = {"assetClass": "STK", "chineseName": None, "contracts": [{"conid": 9002, "exchange": "LSE", "isUS": False}]}
    return {symbol: [{"assetClass": "STK", "chineseName": None, "contracts": contracts, "name": symbol},
                     {**other, "name": f"{symbol} PLC"}]}  # fmt: skip


def definition(conid: int, currency: str | None = None) -> dict:
    """/trsrv/secdef."""
    symbol = symbol_of(conid)
    exchange, own = _place(symbol)
    return {"secdef": [{"conid": conid, "currency": currency or own, "listingExchange": exchange, "assetClass": "STK",
                        "ticker": symbol, "name": symbol, "countryCode": "US"}]}  # fmt: skip


def pairs(currency: str) -> dict:
    """/iserver/currency/pairs."""
    found = [{"symbol": name, "conid": CONIDS[name], "ccyPair": name.replace(currency, "").strip(".")}
             for name in PAIRS if currency in name]  # fmt: skip
    return {currency: found}


def _millis(at: str) -> int:
    return (dt.datetime.fromisoformat(at) - _EPOCH) // dt.timedelta(milliseconds=1)
