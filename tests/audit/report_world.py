"""Fabricated, plausible facts of one session for tests of the report. All numbers follow from one seed."""

import datetime as dt
import math
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd

from marketbot_assets.audit.report_facts import ReportFacts
from marketbot_assets.audit.schema import ATTRIBUTION, DRIFT, SHADOW_BOOK
from marketbot_assets.book.rows import rows_frame
from marketbot_assets.book.schema import FILLS, POSITIONS
from marketbot_assets.book.state import BookState, Forecast, RiskDay, Rung, StopHit
from marketbot_assets.execution.schema import SHORTFALL
from marketbot_assets.insight.schema import FORECASTS, LLM_CONTEXT
from marketbot_assets.normalization.schema import DATA_QUALITY, INSTRUMENTS
from marketbot_assets.portfolio.schema import COST_CALIBRATION, ORDER_PLAN, TARGET_EXPLANATION, TARGET_PORTFOLIO
from marketbot_assets.risk.schema import RISK_REPORT, RISK_VERDICT, STRESS_RESULTS
from marketbot_resources.mandate import Mandate, parse_mandate
from marketbot_resources.model import instrument_id
from marketbot_resources.store.table import Table

SESSION = dt.date(2018, 12, 14)
RATES = {"USD": 1.0, "GBP": 1.2580, "EUR": 1.1303, "JPY": 0.00881, "HKD": 0.12797}
NAMES = (
    ("AAPL", "Apple Inc.", "XNAS", "USD", "US", "Information Technology", "EQUITY", 165.48),
    ("MSFT", "Microsoft Corporation", "XNAS", "USD", "US", "Information Technology", "EQUITY", 106.03),
    ("AMD", "Advanced Micro Devices", "XNAS", "USD", "US", "Information Technology", "EQUITY", 19.90),
    ("JPM", "JPMorgan Chase & Co.", "XNYS", "USD", "US", "Financials", "EQUITY", 100.29),
    ("BAC", "Bank of America Corp.", "XNYS", "USD", "US", "Financials", "EQUITY", 24.35),
    ("JNJ", "Johnson & Johnson", "XNYS", "USD", "US", "Health Care", "EQUITY", 133.00),
    ("LLY", "Eli Lilly and Company", "XNYS", "USD", "US", "Health Care", "EQUITY", 110.98),
    ("MRK", "Merck & Co., Inc.", "XNYS", "USD", "US", "Health Care", "EQUITY", 76.40),
    ("UNH", "UnitedHealth Group", "XNYS", "USD", "US", "Health Care", "EQUITY", 259.41),
    ("KO", "Coca-Cola Company", "XNYS", "USD", "US", "Consumer Staples", "EQUITY", 49.34),
    ("PG", "Procter & Gamble", "XNYS", "USD", "US", "Consumer Staples", "EQUITY", 96.64),
    ("WMT", "Walmart Inc.", "XNYS", "USD", "US", "Consumer Staples", "EQUITY", 91.85),
    ("HD", "Home Depot", "XNYS", "USD", "US", "Consumer Discretionary", "EQUITY", 174.95),
    ("BBY", "Best Buy Co.", "XNYS", "USD", "US", "Consumer Discretionary", "EQUITY", 55.50),
    ("XOM", "Exxon Mobil", "XNYS", "USD", "US", "Energy", "EQUITY", 75.58),
    ("GE", "General Electric", "XNYS", "USD", "US", "Industrials", "EQUITY", 7.12),
    ("USMV", "Minimum Volatility Fund", "BATS", "USD", "US", "FUND", "FUND", 53.61),
    ("QUAL", "Quality Factor Fund", "BATS", "USD", "US", "FUND", "FUND", 77.92),
    ("TMSE", "Thames Energy plc", "XLON", "GBP", "GB", "Energy", "EQUITY", 13.42),
    ("ALBN", "Albion Retail plc", "XLON", "GBP", "GB", "Consumer Staples", "EQUITY", 4.61),
    ("RHNA", "Rheinmark AG", "XETR", "EUR", "DE", "Industrials", "EQUITY", 48.15),
    ("NRD", "Nordsee Chemie SE", "XETR", "EUR", "DE", "Materials", "EQUITY", 61.90),
    ("7301", "Kanto Motors", "XTKS", "JPY", "JP", "Consumer Discretionary", "EQUITY", 6571.0),
    ("0991", "Victoria Harbour Holdings", "XHKG", "HKD", "HK", "Financials", "EQUITY", 38.25),
)
IDS = {ticker: instrument_id("sample", ticker) for ticker, *_ in NAMES}
PRICE = {ticker: price for ticker, *_, price in NAMES}
CURRENCY = {row[0]: row[3] for row in NAMES}
SECTOR = {row[0]: row[5] for row in NAMES}


BLANK = {"text": "", "number": math.nan, "integer": 0, "flag": False, "decimal": None}


def framed(table: Table, rows: list[dict[str, object]]) -> pd.DataFrame:
    """Rows of a table; columns that a report does not show may be left out."""
    blank = {column.name: BLANK[column.kind] for column in table.columns if column.kind in BLANK}
    return rows_frame(table, [{**blank, **row} for row in rows])


def the_mandate() -> Mandate:
    return parse_mandate((Path(__file__).parents[2] / "mandate.yaml").read_text(encoding="utf-8"))


def instruments() -> pd.DataFrame:
    stamp = pd.Timestamp("2018-12-14T22:45:00Z")
    rows = [
        {
            "instrument": IDS[ticker], "source": "sample", "source_id": ticker, "ticker": ticker, "name": name, "mic": mic,
            "currency": currency, "price_divisor": 1.0, "country": country, "sector": sector, "kind": kind, "issuer": name,
            "quantity_step": Decimal(1), "tick_size": Decimal("0.01"), "listed_on": pd.Timestamp("1990-01-02"),
            "delisted_on": pd.NaT, "shares_outstanding": 1e9, "in_universe": True, "known_at": stamp,
            "synthetic": currency != "USD",
        }
        for ticker, name, mic, currency, country, sector, kind, _ in NAMES
    ]  # fmt: skip
    return framed(INSTRUMENTS, rows)


def weights() -> dict[str, float]:
    draws = np.random.default_rng(7).uniform(0.012, 0.0475, len(NAMES))
    return {ticker: float(draws[n]) for n, (ticker, *_) in enumerate(NAMES) if ticker != "GE"}


def positions(nav: float) -> pd.DataFrame:
    rows: list[dict[str, object]] = []
    for ticker, weight in weights().items():
        fx = RATES[CURRENCY[ticker]]
        quantity = Decimal(int(weight * nav / PRICE[ticker] / fx))
        rows.append(
            {"kind": "POSITION", "key": IDS[ticker], "instrument": IDS[ticker], "currency": CURRENCY[ticker],
             "quantity": quantity, "amount": None, "price": PRICE[ticker], "fx": fx,
             "value_base": float(quantity) * PRICE[ticker] * fx}
        )  # fmt: skip
    invested = math.fsum(float(str(row["value_base"])) for row in rows)
    for currency, amount in (("GBP", "1204.55"), ("EUR", "310.02"), ("JPY", "88120"), ("USD", None)):
        value = Decimal(amount) if amount else Decimal(str(round(nav - invested - 2642.14, 2)))
        fx = RATES[currency]
        rows.append(
            {"kind": "CASH", "key": currency, "instrument": "", "currency": currency, "quantity": None,
             "amount": value, "price": math.nan, "fx": fx, "value_base": float(value) * fx}
        )  # fmt: skip
    return rows_frame(POSITIONS, rows)


def history() -> list[tuple[str, float, float, float]]:
    steps = np.random.default_rng(11).normal(-0.0009, 0.0052, 53)
    nav, high, rows = 1_000_000.0, 1_000_000.0, []
    day = dt.date(2018, 10, 2)
    for step in steps:
        while day.weekday() > 4:
            day += dt.timedelta(days=1)
        nav *= 1.0 + float(step)
        high = max(high, nav)
        rows.append((day.isoformat(), nav, 1.0 - nav / high, 1.0 - nav / high))
        day += dt.timedelta(days=1)
    return [*rows[:-1], (SESSION.isoformat(), *rows[-1][1:])]


def target() -> pd.DataFrame:
    move = {"LLY": -0.008, "AMD": -0.0301, "KO": 0.009, "USMV": 0.012, "RHNA": 0.006, "BAC": -0.011, "TMSE": 0.007}
    shared = {"method": "mean_variance", "status": "optimal", "objective": 0.0211, "residual": 2.1e-9, "failures": "",
              "no_buys": "", "solver": "CLARABEL 1e-9"}  # fmt: skip
    rows = [
        {"instrument": IDS[ticker], "weight_now": weight, "weight_target": max(round(weight + move.get(ticker, 0.0), 6), 0.0),
         "can_buy": True, "can_trade": True, "force_exit": ticker == "AMD", "reason": "no change", **shared}
        for ticker, weight in weights().items()
    ]  # fmt: skip
    cash = {"instrument": "CASH", "weight_now": 0.28, "weight_target": 0.287, "can_buy": True, "can_trade": True,
            "force_exit": False, "reason": "what is not invested", **shared}  # fmt: skip
    return framed(TARGET_PORTFOLIO, [*rows, cash])


VOL = "RC-42 ex-ante volatility (ladder 0.82 lowers the volatility target)"
LOW = "an expected return of 1.10 % a year, too little for its risk, lowers it to 1.74 %"
FUNDS = "a high low-volatility score raises it to 4.02 %, held there by RC-32 sector FUND"
COLLAR = "RC-07 price collar 0.0610 > 0.0500 of the last close"
PLAN = (
    ("AMD", "SELL", 1190, "19.31", "PROTECTIVE", "RC-62 stop lowers it to 0.00 %", 1190, "", ""),
    ("BAC", "SELL", 430, "23.74", "TARGET", f"{VOL} lowers it to 2.31 %", 430, "", ""),
    ("LLY", "SELL", 69, "108.55", "TARGET", LOW, 69, "", ""),
    ("USMV", "BUY", 213, "54.70", "TARGET", FUNDS, 130, "RC-34", "RC-34 fund bucket 0.2032 > 0.2000"),
    ("KO", "BUY", 174, "50.33", "TARGET", "momentum and low volatility raise it to 3.35 %", 174, "", ""),
    ("TMSE", "BUY", 394, "13.78", "TARGET", "an expected return of 5.20 % a year raises it to 3.10 %", 394, "", ""),
    ("RHNA", "BUY", 105, "49.60", "TARGET", "an expected return of 4.90 % a year raises it to 2.60 %", 0, "RC-07", COLLAR),
    ("FX:GBP", "BUY", 5430, None, "FX", "pays for what is bought in GBP", 5430, "", ""),
)  # fmt: skip


def order_id(n: int) -> str:
    return f"mb1-{'abcdefgh'[n] * 26}"


def plan() -> pd.DataFrame:
    rows = []
    for n, (name, side, quantity, limit, purpose, reason, *_) in enumerate(PLAN):
        currency = name[3:] if name.startswith("FX:") else CURRENCY[name]
        price = RATES[currency] if limit is None else float(limit) * RATES[currency]
        rows.append(
            {"client_order_id": order_id(n), "session": pd.Timestamp(SESSION), "batch_no": 1, "leg": "F" if limit is None else "T",
             "kind": "FX" if limit is None else "EQUITY", "instrument": IDS.get(name, name), "mic": "", "side": side,
             "quantity": Decimal(quantity), "limit_price": None if limit is None else Decimal(limit), "currency": currency,
             "send_from": pd.Timestamp("2018-12-14T22:45:00Z"), "send_until": pd.Timestamp("2018-12-17T14:25:00Z"),
             "reason": reason, "reference_price": PRICE.get(name, price), "value_base": quantity * price, "cost_bps": 6.4,
             "purpose": purpose}
        )  # fmt: skip
    return framed(ORDER_PLAN, rows)


CONTROLS = (
    ("RC-42", "lower", "ex-ante volatility", 0.0812, 0.041, "fraction of NAV per year", "PASS", ""),
    ("RC-01", "", "schema and identity", 0, 0, "problems", "PASS", ""),
    (
        "RC-07",
        IDS["RHNA"],
        "price collar",
        0.061,
        0.05,
        "fraction of the last close",
        "WARN",
        "passive after the order was dropped",
    ),
    ("RC-08", "", "order value", 0.0231, 0.06, "fraction of NAV", "PASS", ""),
    ("RC-10", IDS["TMSE"], "participation", 0.0093, 0.02, "fraction of average daily value", "PASS", ""),
    ("RC-18", "USD", "cash and buying power", 0.031, 0.264, "fraction of NAV", "PASS", ""),
    ("RC-30", IDS["AAPL"], "position cap", 0.0466, 0.05, "fraction of NAV", "PASS", ""),
    ("RC-32", "Health Care", "sector cap", 0.1311, 0.20, "fraction of NAV", "PASS", ""),
    ("RC-34", "FUND", "fund bucket", 0.0742, 0.20, "fraction of NAV", "PASS", ""),
    ("RC-35", "GBP", "currency and country", 0.0533, 0.20, "fraction of NAV", "PASS", ""),
    ("RC-36", "", "gross exposure", 0.7240, 1.0, "fraction of NAV", "PASS", ""),
    ("RC-38", "", "cash floor", 0.2760, 0.01, "fraction of NAV", "PASS", ""),
    ("RC-39", "", "concentration", 0.0243, 0.05, "sum of squared weights", "PASS", ""),
    ("RC-40", "", "ten largest", 0.4103, 0.45, "fraction of NAV", "PASS", ""),
    ("RC-41", "day", "turnover", 0.0292, 0.16, "fraction of NAV", "PASS", ""),
    (
        "RC-42",
        "upper",
        "ex-ante volatility",
        0.0812,
        0.0902,
        "fraction of NAV per year",
        "WARN",
        "RC-42 above the warning value 0.0800",
    ),
    ("RC-44", "", "expected shortfall 97.5 %, one session", 0.0197, 0.03, "fraction of NAV", "PASS", ""),
    ("RC-46", "crash 2008", "stress loss", 0.2411, 0.25, "fraction of NAV", "PASS", ""),
    (
        "RC-60",
        "",
        "drawdown ladder",
        0.0642,
        0.15,
        "fraction of NAV",
        "WARN",
        "SCALED: the volatility target is scaled by 0.82",
    ),
    ("RC-62", IDS["AMD"], "stop loss", 0, 0, "exits missing", "PASS", ""),
    ("RC-67", "", "reconciliation", 0, 0, "unexplained breaks", "PASS", ""),
    ("RC-80", "", "halt flag", 0, 0, "flags not off", "PASS", ""),
    ("RC-87", "universe", "data gate", 0.9921, 0.98, "fraction of names", "PASS", ""),
)


def verdict(word: str = "APPROVED") -> pd.DataFrame:
    same = {"batch_seen_sha256": "5e" * 32, "batch_approved_sha256": "a7" * 32, "verdict": word, "mandate_sha256": "c1" * 32,
            "rounds": 2}  # fmt: skip
    rows: list[dict[str, object]] = []
    none = {"planned_quantity": None, "approved_quantity": None}
    for control, key, name, observed, limit, unit, status, message in CONTROLS:
        floor = control in ("RC-38", "RC-87") or key == "lower"
        room = observed - limit if floor else limit - observed
        rows.append(
            {"kind": "CONTROL", "key": f"{control}|{key}", "control": control, "name": name, "observed": observed,
             "limit": limit, "headroom": room, "unit": unit, "status": status, "message": message, **none, **same}
        )  # fmt: skip
    for n, (name, _, quantity, _, _, _, approved, control, message) in enumerate(PLAN):
        rows.append(
            {"kind": "ORDER", "key": order_id(n), "control": control, "name": IDS.get(name, name), "observed": math.nan,
             "limit": math.nan, "headroom": math.nan, "unit": "shares", "status": "SHRINK" if control else "PASS",
             "message": message, "planned_quantity": Decimal(quantity), "approved_quantity": Decimal(approved), **same}
        )  # fmt: skip
    rows.append(
        {"kind": "BATCH", "key": "verdict", "control": "", "name": "verdict", "observed": math.nan, "limit": math.nan,
         "headroom": math.nan, "unit": "orders", "status": "WARN", "message": "7 of 8 orders approved", **none, **same}
    )  # fmt: skip
    return framed(RISK_VERDICT, rows)


SECTORS_2008 = "Health Care 0.0731, Financials 0.0702, FUND 0.0611, Energy 0.0367"
REVERSES = (
    ("R1 market", 0.152, "-15.2 % of the market"),
    ("R2 factors", 3.41, "market -9.8 % (81 % of it), low_volatility -1.1 % (19 % of it)"),
    ("R3 largest sector", 0.6544, "-65.4 % of Health Care"),
    ("R4 largest name", 1.806, f"-180.6 % of {IDS['AAPL']}, more than all: it alone cannot break the limit"),
)


def stress() -> pd.DataFrame:
    rows = [
        ("crash_2008", "crash", 0.2411, 0.25, 0.12), ("bear_2000_2002", "bear", 0.3120, 0.45, 0.31),
        ("bear_2007_2009", "bear", 0.3877, 0.45, 0.18), ("crash_1987", "crash", 0.1640, 0.25, 1.0),
        ("fed_severe", "fed", 0.3950, 0.50, 0.0), ("instant_market", "instant", 0.1390, 0.25, 0.0),
        ("instant_currencies", "instant", 0.0310, 0.25, 0.0), ("drawdown_budget", "budget", 0.1011, 0.1358, 0.0),
    ]  # fmt: skip
    worst = f"{IDS['JPM']} 0.0181, {IDS['AAPL']} 0.0160, {IDS['BAC']} 0.0147, {IDS['HD']} 0.0122"
    return framed(
        STRESS_RESULTS,
        [
            *(
                {"scenario": name, "kind": kind, "loss": loss, "limit": limit, "proxied_share": share,
                 "worst_contributors": worst, "by_sector": SECTORS_2008 if name == "crash_2008" else "", "status": "PASS"}
                for name, kind, loss, limit, share in rows
            ),
            *(
                {"scenario": name, "kind": "reverse", "loss": 0.0858, "limit": math.nan, "shock": shock,
                 "proxied_share": math.nan, "worst_contributors": told, "by_sector": "", "status": "PASS"}
                for name, shock, told in REVERSES
            ),
        ],
    )  # fmt: skip


YEARLY = "fraction of NAV per year"
CURVE = "not used, its quantile map does not rise: skewness -0.31, excess kurtosis 9.8"
TAILS = (
    ("VAR", "historical", (0.0081, 0.0112, 0.0149), ""), ("VAR", "filtered", (0.0093, 0.0131, 0.0178), ""),
    ("VAR", "normal", (0.0084, 0.0100, 0.0119), ""), ("VAR", "cornish-fisher", (math.nan,) * 3, CURVE),
    ("ES", "historical", (0.0124, 0.0197, 0.0212), ""), ("ES", "filtered", (0.0147, 0.0186, 0.0241), ""),
    ("ES", "normal", (0.0105, 0.0120, 0.0136), ""),
)  # fmt: skip
PARTS = (
    ("NAME", IDS["AAPL"], 0.0091, 0.1121, "weight 0.0466"), ("NAME", IDS["JPM"], 0.0062, 0.0763, "weight 0.0312"),
    ("NAME", IDS["GE"], -0.0004, -0.0049, "weight 0.0101"), ("CURRENCY", "USD", 0.0701, 0.8633, ""),
    ("CURRENCY", "GBP", 0.0111, 0.1367, ""), ("FACTOR", "market", 0.0611, 0.5661, "exposure 0.412"),
    ("FACTOR", "momentum", -0.0021, -0.0194, "exposure -0.133"), ("FACTOR", "specific", 0.0219, 0.4533, ""),
)  # fmt: skip
RECORD = (
    ("sessions", 53.0, "sessions", "of 250"), ("exceptions", 2.0, "sessions", "green"),
    ("kupiec ratio", 2.73, "likelihood ratio", ""), ("kupiec p-value", 0.0985, "probability", ""),
    ("christoffersen ratio", 0.16, "likelihood ratio", ""), ("christoffersen p-value", 0.689, "probability", ""),
    ("volatility ratio", math.nan, "ratio", "53 of 60 sessions"),
)  # fmt: skip


def risk_numbers() -> pd.DataFrame:
    """RISK_REPORT of the example."""
    rows: list[dict[str, object]] = [
        {
            "kind": kind,
            "key": f"{method} {level}",
            "value": value,
            "share": math.nan,
            "unit": "fraction of NAV",
            "text": text,
        }
        for kind, method, values, text in TAILS
        for level, value in zip(("0.95", "0.975", "0.99"), values, strict=True)
    ]
    rows += [
        {"kind": kind, "key": key, "value": value, "share": share, "unit": YEARLY, "text": text}
        for kind, key, value, share, text in PARTS
    ]
    rows += [
        {"kind": "BACKTEST", "key": key, "value": value, "share": math.nan, "unit": unit, "text": text}
        for key, value, unit, text in RECORD
    ]
    return framed(RISK_REPORT, rows)


def rate_moves() -> dict[str, list[float]]:
    """Pounds and euros move by 1 and 0.5 % a session, together; yen by 0.4 %, on their own; dollars of Hong Kong not at all."""
    up = [1.0 if n % 2 else -1.0 for n in range(44)]
    other = [1.0 if n % 4 < 2 else -1.0 for n in range(44)]
    return {
        "GBP": [0.01 * x for x in up], "EUR": [0.005 * x for x in up], "JPY": [0.004 * x for x in other], "HKD": [0.0] * 44,
    }  # fmt: skip


def risk_days() -> tuple[RiskDay, ...]:
    """53 sessions against a forecast of 1.5 %: two of them lose more."""
    draws = np.random.default_rng(13).normal(0.0, 0.005, 53)
    losses = [0.0171 if n == 20 else 0.0192 if n == 44 else min(float(draws[n]), 0.0149) for n in range(53)]
    return tuple(RiskDay(loss, Forecast(0.015, 0.0051)) for loss in losses)


def attribution(nav_before: float, pnl: float) -> pd.DataFrame:
    draws = np.random.default_rng(3).normal(0.0, 900.0, len(NAMES))
    rows: list[dict[str, object]] = []
    zero = dict.fromkeys(("price", "fx", "dividend", "trading", "fee", "tax", "residual"), 0.0)

    def row(dimension: str, name: str, kind: str, sector: str, currency: str, **parts: float) -> dict[str, object]:
        found = {**zero, **parts}
        sums = sum(v for k, v in found.items() if k not in ("fee", "tax")) - found["fee"] - found["tax"]
        return {"dimension": dimension, "name": name, "kind": kind, "sector": sector, "currency": currency, **found,
                "total": sums, "contribution": sums / nav_before, "note": ""}  # fmt: skip

    draws += (pnl + 93.397 - draws.sum()) / len(NAMES)
    for n, ticker in enumerate(IDS):
        fx = draws[n] * 0.2 if CURRENCY[ticker] != "USD" else 0.0
        parts = {"price": float(draws[n] - fx), "fx": float(fx)}
        if ticker == "KO":
            parts |= {"dividend": 204.0, "price": parts["price"] - 204.0}
        if ticker in ("BAC", "TMSE"):
            parts |= {"trading": -38.2, "fee": 2.1, "tax": 27.0 if ticker == "TMSE" else 0.0}
        rows.append(row("INSTRUMENT", IDS[ticker], "POSITION", SECTOR[ticker], CURRENCY[ticker], **parts))
    rows.append(row("INSTRUMENT", "CASH:GBP", "CASH", "CASH", "GBP", fx=14.2, residual=0.003))
    members = list(rows)
    for dimension, column in (("SECTOR", "sector"), ("CURRENCY", "currency"), ("TOTAL", "")):
        for name in sorted({str(m[column]) for m in members}) if column else ["TOTAL"]:
            group = [m for m in members if not column or m[column] == name]
            parts = {part: math.fsum(float(str(m[part])) for m in group) for part in zero}
            rows.append(row(dimension, name, "GROUP", "", "", **parts))
    return rows_frame(ATTRIBUTION, rows)


def costs_and_fills() -> tuple[pd.DataFrame, pd.DataFrame]:
    done = (("KO", "BUY", 210, 49.10, 49.16), ("XOM", "SELL", 120, 76.40, 76.11), ("NRD", "BUY", 64, 61.20, 61.28))
    fills, costs = [], []
    for n, (ticker, side, quantity, decided, price) in enumerate(done):
        fx, sign = RATES[CURRENCY[ticker]], 1 if side == "BUY" else -1
        head = {"execution_id": f"mb1-x{n}-1", "client_order_id": f"mb1-x{n}", "instrument": IDS[ticker], "side": side,
                "quantity": Decimal(quantity)}  # fmt: skip
        fills.append(
            {**head, "order_kind": "EQUITY", "price": Decimal(str(price)), "currency": CURRENCY[ticker],
             "fee": Decimal("1.44"), "tax": Decimal(0), "executed_at": pd.Timestamp("2018-12-14T14:30:00Z")}
        )  # fmt: skip
        slip = sign * (price / decided - 1.0)
        value = quantity * price * fx
        costs.append(
            {**head, "decision_price": decided, "fill_price": price, "value_base": value, "slippage_bps": slip * 1e4,
             "fee_base": 1.44 * fx, "tax_base": 0.0, "total_base": slip * value + 1.44 * fx, "expected_bps": 6.4, "reason": ""}
        )  # fmt: skip
    return rows_frame(FILLS, fills), pd.DataFrame(costs)


def ended_orders() -> pd.DataFrame:
    """Three orders filled, one in part, one that never traded, a currency leg, one still worked; KO's numbers are by hand."""
    kinds = {"decided_on": pd.Timestamp("2018-12-13"), "environment": "paper", "order_type": "LIMIT_ON_OPEN"}
    parts = ("delay", "spread", "impact", "residual", "opportunity", "fees", "taxes")
    done = (
        ("KO", "BUY", "FILLED", 210, 210, 49.10, 49.13, 49.16, (6.30, 2.17, 3.40, 0.73, 0.0, 1.44, 0.0), 7.51, 6.80),
        ("XOM", "SELL", "PARTIAL", 200, 120, 76.40, 76.20, 76.11, (24.0, 1.92, 6.6, 2.28, 65.6, 1.44, 0.0), 13.4, 12.1),
        ("NRD", "BUY", "FILLED", 64, 64, 61.20, 61.25, 61.28, (3.2, 1.76, 0.4, -0.24, 0.0, 1.44, 0.0), 8.6, 10.2),
        (
            "TMSE",
            "BUY",
            "UNFILLED",
            300,
            0,
            13.42,
            math.nan,
            math.nan,
            (0.0, 0.0, 0.0, 0.0, 21.0, 0.0, 0.0),
            math.nan,
            math.nan,
        ),
    )
    rows: list[dict[str, object]] = []
    for n, (ticker, side, state, quantity, filled, decided, arrival, mean, amounts, realised, model) in enumerate(done):
        total, rate = math.fsum(amounts), RATES[CURRENCY[ticker]]
        rows.append(
            {**kinds, "client_order_id": f"mb1-s{n}", "instrument": IDS[ticker], "currency": CURRENCY[ticker], "side": side,
             "state": state, "quantity": Decimal(quantity), "filled": float(filled), "decision_price": decided,
             "arrival_price": arrival, "arrival": "opening auction", "average_price": mean, "close_price": decided + 0.07,
             **dict(zip(parts, amounts, strict=True)), "total": total, "total_bps": total / quantity / decided * 1e4,
             "rate": rate, "total_base": total * rate, "fx_base": 0.0, "realised_bps": realised, "model_bps": model,
             "expected_bps": 6.4, "reason": ""}
        )  # fmt: skip
    rows.append(
        {**kinds, "client_order_id": "mb1-s8", "instrument": "FX:GBP", "currency": "GBP", "side": "BUY", "order_type": "FX",
         "state": "FILLED", "quantity": Decimal(10_000), "filled": 10_000.0, "decision_price": 1.258, "arrival_price": 1.258,
         "arrival": "reference rate", "average_price": 1.25825, "close_price": 1.26, "delay": 0.0, "spread": 2.52, "impact": 0.0,
         "residual": -0.02, "opportunity": 0.0, "fees": 0.0, "taxes": 0.0, "total": 2.5, "total_bps": 1.99, "rate": 1.0,
         "total_base": 2.5, "fx_base": 0.0, "realised_bps": 1.99, "model_bps": 2.0, "expected_bps": 2.0, "reason": ""}
    )  # fmt: skip
    rows.append(
        {**kinds, "client_order_id": "mb1-s9", "instrument": IDS["7301"], "currency": "JPY", "side": "BUY", "state": "WORKING",
         "quantity": Decimal(100), "reason": "still worked, or its last session has not closed"}
    )  # fmt: skip
    return framed(SHORTFALL, rows)


def charged() -> pd.DataFrame:
    """Factors of the calibration on a paper account: all 1."""
    why = "fills of this account are no evidence: it is not live"
    rows: list[dict[str, object]] = [
        {"kind": "BUCKET", "key": f"{bucket}/{side}", "bucket": bucket, "side": side, "environment": "paper",
         "executed_on": pd.NaT, "orders": 3, "realised_bps": 7.0, "model_bps": 6.9, "ratio": 7.0 / 6.9, "standard_error": 0.1,
         "multiple": 1.0, "reason": why}
        for bucket in ("USD", "EUR") for side in ("BUY", "SELL")
    ]  # fmt: skip
    return framed(COST_CALIBRATION, rows)


def explanation() -> pd.DataFrame:
    blank = dict.fromkeys(
        ("weight_before", "weight_after", "expected_return", "risk", "cost", "limits", "bound"), math.nan
    )
    limits = (
        ("RC-42", "volatility", 0.0795, 0.0795, 0.0902, "NAV", 0.214), ("RC-46", "crash 2008", 0.24, 0.24, 0.25, "NAV", 0.0312),
        ("RC-34", "sector FUND", 0.19, 0.19, 0.20, "NAV", 0.0088), ("RC-39", "sum of squares", 0.0171, 0.022, 0.05, "1", 0.0),
    )  # fmt: skip
    rows = [
        {"kind": "LIMIT", "place": n, "subject": control, "name": name, **blank, "left": left, "limit": limit, "hard": hard,
         "slack": limit - left, "dual": dual, "binding": dual > 0.0, "unit": unit, "reason": ""}
        for n, (control, name, left, limit, hard, unit, dual) in enumerate(limits)
    ]  # fmt: skip
    return framed(TARGET_EXPLANATION, rows)


def small_frames() -> dict[str, pd.DataFrame]:
    quality = [
        ("prices_are_fresh", IDS["0991"], "warn", 1.0, 1.0, "the last bar is one session old"),
        ("bars_have_no_gaps", IDS["GE"], "quarantine", 2.0, 0.0, "two sessions of the own exchange are missing"),
        *(
            (rule, "*", "pass", 0.0, 0.0, "")
            for rule in ("prices_are_positive", "splits_explain_jumps", "rates_are_fresh")
        ),
    ]
    views = [
        ("RISK_ON", "market", -0.42, 0.6), ("THEME", "Energy", -0.31, 0.5), ("THEME", "Health Care", 0.22, 0.5),
        ("SENTIMENT", IDS["AAPL"], -0.18, 0.4), ("SENTIMENT", IDS["KO"], 0.11, 0.4),
    ]  # fmt: skip
    draws = np.random.default_rng(5).normal(0.0, 1.0, len(NAMES))
    forecasts = [
        {"instrument": IDS[ticker], "prior": 0.04, "score": float(draws[n]), "tilt": 0.02 * float(draws[n]),
         "expected_return": 0.04 + 0.02 * float(draws[n]), "uncertainty": 0.031, "llm_tilt": 0.0, "volatility": 0.22 + 0.01 * n}
        for n, ticker in enumerate(IDS)
    ]  # fmt: skip
    drift = [
        ("FORECAST", "2018-11-14", 21, 23, 0.12, 0.57, 0.0034, -0.0121, ""),
        ("FORECAST", "2018-11-13", 21, 23, 0.09, 0.52, 0.0033, -0.0104, ""),
        ("FORECAST", "2018-11-12", 21, 23, -0.04, 0.48, 0.0033, -0.0093, ""),
        ("VOLATILITY", SESSION.isoformat(), 20, 20, math.nan, math.nan, 0.0861, 0.0827, ""),
    ]
    columns = ("kind", "session", "horizon_sessions", "names", "rank_ic", "hit_rate", "forecast", "outcome", "message")
    findings = ("rule", "subject", "outcome", "observed", "limit", "message")
    heads = ("kind", "subject", "score", "confidence")
    made = {"evidence": "DGS10 h1", "source": "fallback", "version": "1"}
    return {
        "data_quality": rows_frame(DATA_QUALITY, [dict(zip(findings, row, strict=True)) for row in quality]),
        "llm_context": framed(LLM_CONTEXT, [{**dict(zip(heads, row, strict=True)), **made} for row in views]),
        "forecasts": framed(FORECASTS, forecasts),
        "drift": framed(
            DRIFT, [*({"part": "forecasts", **dict(zip(columns, row, strict=True))} for row in drift), *measures()]
        ),
        "shadow_book": framed(
            SHADOW_BOOK,
            [
                {
                    "session": pd.Timestamp(SESSION),
                    "opened_on": pd.Timestamp(SESSION),
                    "decided_on": pd.NaT,
                    "nav_with": 1e6,
                    "nav_without": 1e6,
                }
            ],
        ),
    }


def measures() -> list[dict[str, object]]:
    """A measure of each state, one that is only shown, and a feature that has drifted."""
    bounds = {"session": SESSION.isoformat(), "horizon_sessions": 1, "names": 23, "kind": "MEASURE"}
    told = [
        ("features", "share_drifted", 0.25, "above", 0.1, 0.2, "drifted", "2018-12-12", "RC-89 warns"),
        ("data", "priced_share", 0.97, "below", 0.98, 0.95, "watch", "2018-12-14", "a name is quarantined"),
        ("execution", "fill_ratio", 0.99, "below", 0.95, 0.8, "ok", "2018-11-14", ""),
        ("forecasts", "rank_ic", 0.02, "below", 0.0, -0.04, "unknown", "2018-11-14", ""),
        ("execution", "shortfall_bps", 6.1, "", math.nan, math.nan, "", "", ""),
    ]
    names = ("part", "name", "observed", "side", "watch", "threshold", "state", "since", "answer")
    rows = [{**bounds, **dict(zip(names, row, strict=True))} for row in told]
    moved = ("features", "momentum_12_1", 0.41, "above", 0.1, 0.25, "drifted", "2018-12-12", "RC-89 warns")
    feature = dict(zip(names, moved, strict=True))
    return [*rows, {**bounds, **feature, "kind": "FEATURE", "ks": 0.3, "ks_p": 0.002}]


def book_state(rows: list[tuple[str, float, float, float]]) -> BookState:
    nav, drawdown = rows[-1][1], rows[-1][2]
    return BookState(
        session=SESSION, nav=nav, inception_high=nav / (1 - drawdown), reference_high=nav / (1 - drawdown),
        drawdown=drawdown, drawdown_inception=drawdown, rung=Rung.SCALED, multiple=0.82, sessions_in_rung=4,
        sessions_since_step=4, rearms=(), halt_class="", no_buys="", sessions_since_build=53,
        nav_history=tuple(point[1] for point in rows[-6:]), turnover=(0.011, 0.008), lots=(),
        stop_hits=(StopHit(IDS["AMD"], "RC-62", 19.90, 20.14),),
        blocked=((IDS["AMD"], dt.date(2018, 12, 31)), (IDS["GE"], dt.date(2018, 12, 21))), passive=(),
        risk_days=risk_days(),
    )  # fmt: skip


def example() -> ReportFacts:
    rows = history()
    nav, pnl = rows[-1][1], rows[-1][1] - rows[-2][1]
    fills, costs = costs_and_fills()
    orders = plan()
    approved = [row[6] > 0 for row in PLAN]
    batch = orders[approved].reset_index(drop=True)
    sent = batch[["client_order_id", "instrument", "side", "quantity"]].assign(
        state="ACKED", broker_order_id="p1", reason="", submitted_at=pd.Timestamp("2018-12-14T22:46:00Z")
    )
    assets = (
        "mandate",
        "prices",
        "fx",
        "features",
        "factor_model",
        "forecasts",
        "positions",
        "book_state",
        "order_plan",
    )
    return ReportFacts(
        session=SESSION,
        mandate=the_mandate(),
        nav_history=rows,
        book=book_state(rows),
        positions=positions(nav),
        instruments=instruments(),
        target_portfolio=target(),
        target_explanation=explanation(),
        order_plan=orders,
        risk_verdict=verdict(),
        stress_results=stress(),
        risk_report=risk_numbers(),
        orders=batch,
        submissions=sent,
        fills=fills,
        execution_costs=costs,
        shortfall=ended_orders(),
        cost_calibration=charged(),
        attribution=attribution(rows[-2][1], pnl),
        end_state="sent, 7 orders acknowledged",
        evidence={name: f"{n:02x}" * 32 for n, name in enumerate(assets, start=17)},
        synthetic=True,
        rate_moves=rate_moves(),
        **small_frames(),
    )


def empty() -> ReportFacts:
    """A first session on which nothing was planned, judged, filled or submitted."""
    full = example()
    frames = {
        name: getattr(full, name).iloc[:0]
        for name in (
            "positions", "target_portfolio", "target_explanation", "order_plan", "risk_verdict", "stress_results", "risk_report",
            "orders", "fills", "execution_costs", "shortfall", "cost_calibration",
            "attribution", "drift", "shadow_book", "data_quality", "llm_context", "forecasts",
        )
    }  # fmt: skip
    book = replace(full.book, stop_hits=(), blocked=(), nav_history=(full.book.nav,), risk_days=())
    return replace(full, nav_history=full.nav_history[-1:], book=book, submissions=None, evidence={}, **frames)
