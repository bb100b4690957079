"""The features task: a made-up panel of bars, written as every competitor reads it, and the fourteen expressions.

Values are those of 32-bit floats, so that all files hold the same numbers: Qlib's binary files and the peers' Parquet (sorted by
symbol, 32 bits), the store's Parquet (sorted by session, 64 bits). Not here: who computes what (`feature_peers`, `features_own`).
"""

import datetime as dt
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

FIELDS = ("open", "high", "low", "close", "volume", "vwap")
THREADS_OF_TASK = "FEATURE_THREADS"  # variable: threads that every competitor may use
SAMPLE = 40  # every 40th name is compared
SET14 = {
    "KMID": "($close-$open)/$open",
    "ROC20": "Ref($close, 20)/$close",
    "MA5": "Mean($close, 5)/$close",
    "MA20": "Mean($close, 20)/$close",
    "STD20": "Std($close, 20)/$close",
    "MAX20": "Max($high, 20)/$close",
    "MIN20": "Min($low, 20)/$close",
    "RSV20": "($close-Min($low, 20))/(Max($high, 20)-Min($low, 20)+1e-12)",
    "CORR20": "Corr($close, Log($volume+1), 20)",
    "CNTP20": "Mean($close>Ref($close, 1), 20)",
    "SUMP20": "Sum(Greater($close-Ref($close, 1), 0), 20)/(Sum(Abs($close-Ref($close, 1)), 20)+1e-12)",
    "VMA20": "Mean($volume, 20)/($volume+1e-12)",
    "VSTD20": "Std($volume, 20)/($volume+1e-12)",
    "WVMA20": "Std(Abs($close/Ref($close, 1)-1)*$volume, 20)/(Mean(Abs($close/Ref($close, 1)-1)*$volume, 20)+1e-12)",
}


def made_up(names: int, sessions: int, seed: int = 7) -> dict[str, np.ndarray]:
    """Field -> (sessions, names): a market and own moves, gaps between close and open, log-normal volume."""
    draw = np.random.default_rng(seed)
    market = 0.011 * draw.standard_normal((sessions, 1))
    moves = (0.5 + draw.random(names)) * market + 0.018 * draw.standard_normal((sessions, names)) + 0.0002
    close = (20 + 80 * draw.random(names)) * np.exp(np.cumsum(moves, axis=0))
    opened = close * np.exp(0.006 * draw.standard_normal((sessions, names)))
    high = np.maximum(opened, close) * (1 + 0.006 * np.abs(draw.standard_normal((sessions, names))))
    low = np.minimum(opened, close) * (1 - 0.006 * np.abs(draw.standard_normal((sessions, names))))
    volume = np.round(np.exp(13 + draw.standard_normal(names) + 0.4 * draw.standard_normal((sessions, names))))
    found = dict(zip(FIELDS, (opened, high, low, close, volume, (high + low + close) / 3), strict=True))
    return {name: np.round(values, 4).astype(np.float32).astype(np.float64) for name, values in found.items()}


def weekdays(count: int) -> list[dt.date]:
    days = (dt.date(2007, 1, 1) + dt.timedelta(days=n) for n in range(2 * count))
    return [day for day in days if day.weekday() < 5][:count]


def write(folder: Path, names: int, sessions: int) -> None:
    """All files of the task."""
    panel, days = made_up(names, sessions), weekdays(sessions)
    symbols = [f"SH{600000 + n}" for n in range(names)]
    dates = np.array(days, dtype="datetime64[D]")
    long = {
        "symbol": pa.array(np.repeat(np.array(symbols, dtype=object), sessions)).dictionary_encode(),
        "date": pa.array(np.tile(dates, names)),
        **{name: pa.array(values.T.ravel().astype(np.float32)) for name, values in panel.items()},
    }
    parquet.write_table(
        pa.table(long), folder / "peers.parquet", compression="zstd", row_group_size=names * sessions // 4
    )
    stored = {
        "session": pa.array(np.repeat(dates, names)),
        "instrument": pa.array(np.tile(np.array(symbols, dtype=object), sessions)),
        **{name: pa.array(panel[name].ravel()) for name in FIELDS[:5]},
    }
    # As the store writes every object.
    parquet.write_table(
        pa.table(stored),
        folder / "store.parquet",
        compression="zstd",
        compression_level=3,
        version="2.6",
        data_page_version="1.0",
        use_dictionary=True,
        write_statistics=True,
        row_group_size=122_880,
        store_schema=False,
    )
    qlib = folder / "qlib"
    for part in ("calendars", "instruments"):
        (qlib / part).mkdir(parents=True, exist_ok=True)
    (qlib / "calendars" / "day.txt").write_text("".join(f"{day}\n" for day in days))
    (qlib / "instruments" / "all.txt").write_text("".join(f"{s}\t{days[0]}\t{days[-1]}\n" for s in symbols))
    few = "".join(f"{s}\t{days[0]}\t{days[-1]}\n" for s in symbols[:100])
    (qlib / "instruments" / "few.txt").write_text(few)
    for place, symbol in enumerate(symbols):
        own = qlib / "features" / symbol.lower()
        own.mkdir(parents=True, exist_ok=True)
        for name, values in panel.items():
            np.hstack([[0], values[:, place]]).astype("<f4").tofile(own / f"{name}.day.bin")
