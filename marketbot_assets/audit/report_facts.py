"""Everything that a daily report is made of, and the few numbers that several of its sections share. Pure.

Not here: how a section looks (`report_*`), the page (`report`).
"""

import datetime as dt
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from functools import cached_property

import pandas as pd

from marketbot_assets.book.schema import CASH, POSITION
from marketbot_assets.book.state import BookState
from marketbot_resources.mandate import Mandate

Row = Mapping[str, object]
NavPoint = tuple[str, float, float, float]
NO_VERDICT = "NO VERDICT"
UNKNOWN_SECTOR, FUND_SECTOR = "UNKNOWN", "FUND"
_INSTRUMENT_ID = re.compile(r"\bMB[A-Z2-7]{10}\b")


def rows_of(frame: pd.DataFrame | None) -> list[Row]:
    """A frame's rows as mappings; none for None."""
    if frame is None:
        return []
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def number(value: object) -> float:
    """A stored cell as a float; NaN for null, text or anything else that is no number."""
    if isinstance(value, Decimal | int | float | str):
        try:
            return float(value)
        except (ValueError, InvalidOperation, OverflowError):
            return math.nan
    return math.nan


def total(values: Sequence[float]) -> float:
    """Sum of the known values; NaN ones are left out."""
    return math.fsum(value for value in values if math.isfinite(value))


def tickers_of(listings: Sequence[Row]) -> dict[str, str]:
    """Instrument -> its ticker, with its exchange's MIC where two listings share one."""
    count = Counter(str(row["ticker"]) for row in listings)
    return {
        str(row["instrument"]): f"{row['ticker']} {row['mic']}" if count[str(row["ticker"])] > 1 else str(row["ticker"])
        for row in listings
    }


def named_by(tickers: Mapping[str, str]) -> Callable[[object], str]:
    """A function that replaces internal ids in a text by tickers; an id without one stays."""
    return lambda text: _INSTRUMENT_ID.sub(lambda match: str(tickers.get(match.group(), match.group())), str(text))


@dataclass(frozen=True)
class ReportFacts:
    """One session's facts. Frames are those of the assets of the same name, as the reader returns them.

    `nav_history`: (session, NAV in base currency, drawdown from inception, drawdown of the ladder), ascending, this
    session last; drawdowns are positive fractions. `submissions`: None when nothing was submitted yet. `end_state`: how
    the session ended, in words. `evidence`: asset -> content_sha256 of the object that the decision read or wrote.
    `synthetic`: whether any row that the decision rests on is simulated. `benchmark_return`: of the session, fraction;
    `benchmark_sectors`: sector -> (weight before, return). `rate_moves`: currency -> simple moves of base per unit over the last
    sessions, oldest first. `shortfall_history`: (session, SHORTFALL) of sessions before, oldest first. `context_pack`,
    `llm_answers`, `llm_evidence`: None where there is none.
    """

    session: dt.date
    mandate: Mandate
    nav_history: Sequence[NavPoint]
    book: BookState
    positions: pd.DataFrame
    instruments: pd.DataFrame
    target_portfolio: pd.DataFrame
    target_explanation: pd.DataFrame
    order_plan: pd.DataFrame
    risk_verdict: pd.DataFrame
    stress_results: pd.DataFrame
    risk_report: pd.DataFrame
    orders: pd.DataFrame
    submissions: pd.DataFrame | None
    fills: pd.DataFrame
    execution_costs: pd.DataFrame
    shortfall: pd.DataFrame
    cost_calibration: pd.DataFrame
    attribution: pd.DataFrame
    drift: pd.DataFrame
    shadow_book: pd.DataFrame
    data_quality: pd.DataFrame
    llm_context: pd.DataFrame
    forecasts: pd.DataFrame
    end_state: str
    evidence: Mapping[str, str]
    synthetic: bool
    benchmark_return: float = math.nan
    benchmark_sectors: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    rate_moves: Mapping[str, Sequence[float]] = field(default_factory=dict)
    shortfall_history: Sequence[tuple[dt.date, pd.DataFrame]] = ()
    context_pack: pd.DataFrame | None = None
    llm_answers: pd.DataFrame | None = None
    llm_evidence: pd.DataFrame | None = None

    @property
    def base(self) -> str:
        """The base currency."""
        return self.mandate.base_currency

    @property
    def nav(self) -> float:
        """NAV after the session, base currency."""
        return self.book.nav

    @cached_property
    def listings(self) -> dict[str, Row]:
        """Instrument -> its row of INSTRUMENTS."""
        return {str(row["instrument"]): row for row in rows_of(self.instruments)}

    @cached_property
    def tickers(self) -> dict[str, str]:
        """Instrument -> what people call it (`tickers_of`)."""
        return tickers_of(list(self.listings.values()))

    def ticker(self, instrument: object) -> str:
        """What people call an instrument: its ticker, `FX GBP` for a currency leg, else the id itself."""
        name = str(instrument)
        if name.startswith("FX:"):
            return f"FX {name[3:]}"
        return self.tickers.get(name, name)

    def named(self, text: object) -> str:
        """A text with internal ids replaced by tickers."""
        return named_by(self.tickers)(text)

    def sector(self, instrument: object) -> str:
        """The instrument's sector; UNKNOWN without a listing."""
        row = self.listings.get(str(instrument))
        return str(row["sector"]) if row else UNKNOWN_SECTOR

    def currency(self, instrument: object) -> str:
        """The instrument's listing currency; UNKNOWN without a listing."""
        row = self.listings.get(str(instrument))
        return str(row["currency"]) if row else UNKNOWN_SECTOR

    @cached_property
    def verdict(self) -> str:
        """APPROVED, REJECTED, HALT, or NO VERDICT."""
        return str(self.batch.get("verdict", NO_VERDICT))

    @cached_property
    def batch(self) -> Row:
        """The verdict's row on the whole batch; empty without one."""
        return next((row for row in rows_of(self.risk_verdict) if row["kind"] == "BATCH"), {})

    @cached_property
    def controls(self) -> list[Row]:
        """The last round's answers of the controls."""
        return [row for row in rows_of(self.risk_verdict) if row["kind"] == "CONTROL"]

    @property
    def volatility(self) -> Row:
        """The control that keeps ex-ante volatility from above; empty when it did not answer."""
        return self.control("RC-42", "upper")

    @cached_property
    def judged(self) -> dict[str, Row]:
        """Client order id -> what the verdict made of the planned order."""
        return {str(row["key"]): row for row in rows_of(self.risk_verdict) if row["kind"] == "ORDER"}

    def control(self, control: str, key: str = "") -> Row:
        """A control's answer for the group `key` (the whole batch by default); empty when it gave none."""
        return next((row for row in self.controls if row["key"] == f"{control}|{key}"), {})

    @cached_property
    def held(self) -> list[Row]:
        """Rows of POSITIONS that hold shares, largest value first."""
        rows = [row for row in rows_of(self.positions) if row["kind"] == POSITION]
        return sorted(rows, key=lambda row: (-_or_zero(number(row["value_base"])), str(row["key"])))

    @cached_property
    def cash(self) -> list[Row]:
        """Rows of POSITIONS that hold cash."""
        return [row for row in rows_of(self.positions) if row["kind"] == CASH]

    def fraction(self, rows: Sequence[Row]) -> float:
        """Known value of rows of POSITIONS as a fraction of NAV; NaN without a NAV."""
        return total([number(row["value_base"]) for row in rows]) / self.nav if self.nav > 0.0 else math.nan

    @cached_property
    def pnl(self) -> float:
        """Profit and loss of the session, base currency; NaN on the first session."""
        return self.nav - self.nav_history[-2][1] if len(self.nav_history) > 1 else math.nan

    @cached_property
    def pnl_fraction(self) -> float:
        """The same as a fraction of NAV before."""
        before = self.nav_history[-2][1] if len(self.nav_history) > 1 else math.nan
        return self.pnl / before if before > 0.0 else math.nan

    @cached_property
    def planned(self) -> list[Row]:
        """Planned orders with the quantity and the base value that the verdict approved; sells first, then by value."""
        rows = []
        for row in rows_of(self.order_plan):
            quantity, answer = number(row["quantity"]), self.judged.get(str(row["client_order_id"]), {})
            approved = number(answer.get("approved_quantity")) if self.verdict == "APPROVED" else 0.0
            share = approved / quantity if quantity > 0.0 and math.isfinite(approved) else 0.0
            value = number(row["value_base"])
            more = {"approved": share * quantity, "approved_value": share * value, "answer": answer}
            rows.append({**row, **more})
        return sorted(rows, key=lambda r: (str(r["side"]) != "SELL", -_or_zero(number(r["value_base"])), str(r)))

    @cached_property
    def turnover(self) -> float:
        """One-way turnover of the approved shares, fraction of NAV: half of bought and sold value; no currency legs."""
        values = [number(row["approved_value"]) for row in self.planned if row["kind"] == "EQUITY"]
        return 0.5 * total(values) / self.nav if self.nav > 0.0 else math.nan

    @cached_property
    def cost(self) -> float:
        """What the session's fills cost, base currency: slippage, fees and taxes together."""
        return total([number(row.get("total_base")) for row in rows_of(self.execution_costs)])


def _or_zero(value: float) -> float:
    return value if math.isfinite(value) else 0.0
