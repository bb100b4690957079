"""Total returns rebuilt from raw bars and the events in factor files agree with adjusted series, a second vendor's included."""

import datetime as dt
import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from marketbot_assets.normalization.build_window import build_base_returns, build_window

FOLDER = Path(__file__).parents[2] / "../shared/data"
ACTIONS, OTHER_VENDOR = FOLDER / "corporate_actions", FOLDER / "prices" / "us_equities_2015_2020.parquet"
TICKERS = ("aapl", "goog", "googl", "ibm", "qqq", "spy")
pytestmark = [
    pytest.mark.shared_data,
    pytest.mark.skipif(not ACTIONS.is_dir(), reason="needs ../shared/data/corporate_actions beside the project"),
]


def raw_bars(ticker: str) -> pd.DataFrame:
    """Bars as they traded: session, open, high, low, close (prices are stored times 10,000), volume."""
    packed = zipfile.ZipFile(ACTIONS / "daily" / f"{ticker}.zip")
    names = ["session", "open", "high", "low", "close", "volume"]
    rows = pd.read_csv(io.BytesIO(packed.read(f"{ticker}.csv")), header=None, names=names)
    rows["session"] = pd.to_datetime(rows["session"].str[:8]).astype("datetime64[ms]")
    return rows.assign(**{name: rows[name] / 10_000 for name in names[1:5]})


def factors(ticker: str) -> pd.DataFrame:
    """Last day of validity, price factor, split factor, close of that day."""
    rows = pd.read_csv(
        ACTIONS / "factor_files" / f"{ticker}.csv", header=None, names=["day", "price", "split", "close"]
    )
    return rows.assign(day=pd.to_datetime(rows["day"].astype(str)).astype("datetime64[ms]"))


def events(ticker: str) -> pd.DataFrame:
    """A factor that changes after a day is an event of the next: a dividend per share, or a split."""
    rows, found = factors(ticker), []
    for old, new in zip(rows.itertuples(), rows.iloc[1:].itertuples(), strict=False):
        ex = old.day + pd.Timedelta(days=1)
        if new.split != old.split:
            found.append((ex, "SPLIT", 0.0, new.split / old.split))
        if new.price != old.price:
            found.append((ex, "CASH_DIVIDEND", old.close * (1.0 - old.price / new.price), 1.0))
    frame = pd.DataFrame(found, columns=["ex_session", "kind", "amount", "ratio"])
    frame["ex_session"] = frame["ex_session"].astype("datetime64[ms]")
    known = (frame["ex_session"].dt.tz_localize("UTC") - pd.Timedelta(days=9)).astype("datetime64[us, UTC]")
    return frame.assign(instrument="X", known_at=known, other="")


def rebuilt(ticker: str) -> pd.Series:
    """Total return per session, by our window over raw bars and events."""
    bars, actions = raw_bars(ticker), events(ticker)
    known = (bars["session"].dt.tz_localize("UTC") + pd.Timedelta(hours=21)).astype("datetime64[us, UTC]")
    prices = bars.assign(instrument="X", mic="XNYS", price_level=bars["close"], quarantine=False, known_at=known)
    days = [day.date() for day in bars["session"]]
    axes = {
        "instruments": ["X"], "currencies": {"X": "USD"}, "base": "USD", "sessions": days,
        "cutoffs": [dt.datetime(d.year, d.month, d.day, 22, tzinfo=dt.UTC) for d in days],
    }  # fmt: skip
    fx = pd.DataFrame({"session": bars["session"].iloc[:0], "currency": [], "rate": [], "known_at": known.iloc[:0]})
    made = build_window(prices, actions, fx, **axes)  # type: ignore[arg-type]
    np.testing.assert_array_equal(build_base_returns(prices, actions, fx, **axes), made.base_return)  # type: ignore[arg-type]
    return pd.Series(made.total_return[:, 0], index=bars["session"])


@pytest.mark.parametrize("ticker", TICKERS)
def test_total_returns_agree_with_the_adjusted_series(ticker: str) -> None:
    """To 1e-6 on every session: adjusted close = raw close times both factors, which reinvest a dividend at the close before.

    A back-adjusted series says close / (before - paid), a total return (close + paid) / before: the yield, from the price factors
    alone, leads from one to the other. Left out is one return of QQQ, over the years in which it was QQQQ and the file has no bars.
    """
    bars, table = raw_bars(ticker).set_index("session"), factors(ticker)
    valid = np.searchsorted(table["day"].to_numpy(), bars.index.to_numpy(), side="left")
    price, split = table["price"].to_numpy()[valid], table["split"].to_numpy()[valid]
    growth = pd.Series(bars["close"].to_numpy() * price * split, index=bars.index).pct_change().to_numpy() + 1.0
    paid = 1.0 - np.concatenate([[1.0], price[:-1] / price[1:]])
    expected = growth * (1.0 - paid) + paid - 1.0
    ours = rebuilt(ticker).to_numpy()
    gap = np.concatenate([[False], np.diff(bars.index.to_numpy()) > np.timedelta64(30, "D")])
    assert gap.sum() == (1 if ticker == "qqq" else 0)
    checked = ~gap[1:]
    assert np.isfinite(ours[1:]).all()
    assert np.abs(ours[1:] - expected[1:])[checked].max() < 1e-6
    assert checked.sum() > 1700


@pytest.mark.parametrize(
    ("ticker", "dividends", "doubled"), [("aapl", 20, 0), ("ibm", 22, 2), ("goog", 0, 0), ("googl", 0, 0)]
)
def test_total_returns_agree_with_another_vendor(ticker: str, dividends: int, doubled: int) -> None:
    """To 1e-6 with the adjusted closes of a vendor that knows nothing of our events, wherever both saw the same two closes.

    Left out are the sessions on which that vendor counts a dividend of the session before a second time (IBM, May 2015 and 2016).
    """
    theirs = pd.read_parquet(OTHER_VENDOR)
    theirs = theirs[theirs["symbol"] == ticker.upper()].drop_duplicates("date").set_index("date").sort_index()
    ours = rebuilt(ticker)
    both = theirs.join(ours.rename("total"), how="inner").join(
        raw_bars(ticker).set_index("session")["close"].rename("raw")
    )
    same = (both["close"] / both["raw"] - 1.0).abs() < 2e-7
    kept = both["adj_close"] / both["close"]
    paid = 1.0 - kept.shift() / kept
    paid = paid.where(paid.abs() > 1e-5, 0.0)  # the vendor prints six decimals
    expected = both["close"].pct_change() + paid
    amount = paid * both["close"].shift()
    again = (paid > 0) & ((amount - amount.shift()).abs() < 1e-3)
    checked = same & same.shift(fill_value=False) & ~again
    assert again.sum() == doubled
    assert (both["total"] - expected)[checked].abs().max() < 1e-6
    assert checked.sum() >= 700
    assert ((paid > 0) & checked).sum() >= dividends // 2
    assert (paid > 0).sum() == dividends
