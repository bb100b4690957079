"""Makes the macro file that the example needs from the price file itself: python index_of_prices.py PRICES.parquet MACRO.csv

SP500: an equal-weighted index of the file's own names. VIX: its realized volatility over 21 sessions, percent per year; no option
market stands behind it. The column `unit` says so.
"""

import sys

import numpy as np
import pandas as pd

SESSIONS, PER_YEAR = 21, 252


def index_of(prices: pd.DataFrame) -> pd.DataFrame:
    """Rows of series, period, value, unit, known_at: a quarter of an hour after New York's close at the latest."""
    closes = prices.drop_duplicates(["date", "symbol"], keep=False).pivot(
        index="date", columns="symbol", values="adj_close"
    )
    returns = closes.pct_change(fill_method=None).where(lambda r: r.abs() < 0.5)
    market = returns.mean(axis=1).fillna(0.0)
    level = 2000.0 * (1.0 + market).cumprod()
    realized = 100.0 * np.sqrt(PER_YEAR) * market.rolling(SESSIONS, min_periods=5).std()
    parts = []
    for name, values, unit in (
        ("SP500", level, "points, equal-weighted index of the imported names"),
        ("VIX", realized.dropna(), "percent per year, realized by that index"),
    ):
        parts.append(pd.DataFrame({"series": name, "period": values.index, "value": values.to_numpy(), "unit": unit}))
    rows = pd.concat(parts, ignore_index=True)
    rows["known_at"] = pd.DatetimeIndex(rows["period"]).strftime("%Y-%m-%dT21:15:00Z")
    rows["period"] = pd.DatetimeIndex(rows["period"]).strftime("%Y-%m-%d")
    return rows


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python index_of_prices.py PRICES.parquet MACRO.csv")
    index_of(pd.read_parquet(sys.argv[1])).to_csv(sys.argv[2], index=False)
