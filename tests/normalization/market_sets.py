"""Price histories for tests of quality rules: real sets beside the project, and 20 real closes that a package ships."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
from skfolio.datasets import load_sp500_dataset

SHARED = Path(__file__).parents[2] / "../shared/data"
MISSING = "needs ../shared/data beside the project"
NO_ACTIONS = pd.DataFrame(
    {
        "instrument": pd.Series([], dtype="str"),
        "ex_session": pd.Series([], dtype="datetime64[ms]"),
        "kind": pd.Series([], dtype="str"),
        "ratio": np.array([], dtype=float),
        "amount": np.array([], dtype=float),
        "known_at": pd.Series([], dtype="datetime64[us, UTC]"),
    }
)


def bars_of(frame: pd.DataFrame) -> pd.DataFrame:
    """Bars known at 21:00 UTC of their session, the first of doubled keys kept."""
    session = pd.Series(frame["session"].to_numpy()).astype("datetime64[ms]")
    made = frame.reset_index(drop=True).assign(session=session, quarantine=False)
    made["known_at"] = (session.dt.tz_localize("UTC") + pd.Timedelta(hours=21)).astype("datetime64[us, UTC]")
    made["volume"] = made["volume"].astype(float)
    return made.drop_duplicates(["instrument", "session"]).reset_index(drop=True)


def us_names() -> pd.DataFrame:
    """482 US names, 2015 to 2020."""
    names = {"date": "session", "symbol": "instrument"}
    return bars_of(pd.read_parquet(SHARED / "prices/us_equities_2015_2020.parquet").rename(columns=names))


def indian_names() -> pd.DataFrame:
    """50 names of the Indian exchange, 1991 to 2024, with real bad prints."""
    names = {"date": "session", "symbol": "instrument"}
    return bars_of(pd.read_parquet(SHARED / "prices/nifty50_inr.parquet").rename(columns=names))


def london_names() -> pd.DataFrame:
    """Closes of 64 London names, 2000 to 2023; volumes are made up, for the file has none."""
    wide = pd.read_csv(SHARED / "prices/ftse100_adjusted_close_gbp.csv.gz", parse_dates=["Date"]).set_index("Date")
    return closes_as_bars(wide)


def sp500_closes() -> pd.DataFrame:
    """Closes of 20 US names, 1990 to 2022, sessions down."""
    return load_sp500_dataset()


def closes_as_bars(wide: pd.DataFrame) -> pd.DataFrame:
    """Bars that are their close alone, with steady volumes. `wide`: sessions down, names across."""
    long = wide.rename_axis("session").melt(ignore_index=False, var_name="instrument", value_name="close").reset_index()
    long = long.dropna().reset_index(drop=True)
    volume = 1e6 + np.arange(len(long)) % 997
    prices = {field: long["close"] for field in ("open", "high", "low")}
    return bars_of(long.assign(instrument=long["instrument"].astype("str"), volume=volume, **prices))


def raw_bars(name: str) -> pd.DataFrame:
    """Unadjusted daily bars of one US name, 1998 to 2021."""
    with zipfile.ZipFile(SHARED / f"corporate_actions/daily/{name}.zip") as packed:
        text = packed.read(packed.namelist()[0]).decode()
    frame = pd.read_csv(io.StringIO(text), header=None, names=["at", "open", "high", "low", "close", "volume"])
    frame["session"], frame["instrument"] = pd.to_datetime(frame["at"].str[:8]), name
    return bars_of(frame.assign(**{field: frame[field] / 1e4 for field in ("open", "high", "low", "close")}))


def dirty(name: str) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """(bars with `adj_close`, dividends and splits, the table of the file by session) of one vendor file."""
    table = pd.read_csv(SHARED / f"dirty_prices/{name}.csv")
    table["session"] = pd.to_datetime(table.iloc[:, 0].str[:10]).astype("datetime64[ms]")
    table = table.sort_values("session", ignore_index=True)
    named = {f: f.title() for f in ("open", "high", "low", "close", "volume")}
    columns = {**named, "adj_close": "Adj Close", "dividend": "Dividends", "split": "Stock Splits"}
    values = pd.DataFrame({field: table[column].astype(float) for field, column in columns.items()})
    whole = values.assign(session=table["session"], instrument="X")
    bars = bars_of(whole.drop(columns=["dividend", "split"]))
    parts = []
    for field, kind, column in (("dividend", "CASH_DIVIDEND", "amount"), ("split", "SPLIT", "ratio")):
        own = whole[whole[field] > 0]
        event = pd.DataFrame(
            {"instrument": "X", "ex_session": own["session"], "kind": kind, "ratio": 1.0, "amount": 0.0}
        )
        known = (own["session"].dt.tz_localize("UTC") - pd.Timedelta(days=9)).astype("datetime64[us, UTC]")
        parts.append(event.assign(**{column: own[field]}, known_at=known))
    return bars, pd.concat(parts, ignore_index=True), whole.drop(columns="instrument").set_index("session")
