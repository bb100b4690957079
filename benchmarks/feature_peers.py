"""One competitor of the features task, from files to arrays in memory; it times itself and keeps a sample of its answers.

python feature_peers.py NAME FOLDER ANSWERS; run by `features` in the peers' environment. Imports are not timed.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from feature_task import SAMPLE, SET14, THREADS_OF_TASK

W = 20
REDIS_PORT = 6399


class Timer:
    """Wall and CPU seconds of this process and its ended children."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), self._used()

    @staticmethod
    def _used() -> float:
        own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime

    def figures(self) -> dict[str, float]:
        return {"wall": time.perf_counter() - self._wall, "cpu": self._used() - self._cpu}


def by_qlib(folder: Path, market: str, fields: list[str], expression: bool, dataset: bool) -> tuple[dict, Callable]:
    import qlib
    from qlib.data import D

    kept = {
        "expression_cache": "DiskExpressionCache" if expression else None,
        "dataset_cache": "DiskDatasetCache" if dataset else None,
    }
    where = {"redis_host": "127.0.0.1", "redis_port": REDIS_PORT}
    qlib.init(provider_uri=str(folder / "qlib"), region="cn", kernels=1, logging_level=40, **kept, **where)

    def ask() -> Any:
        days = (folder / "qlib" / "calendars" / "day.txt").read_text().split()
        return D.features(D.instruments(market), fields, days[0], days[-1], disk_cache=1 if dataset else 0)

    if expression or dataset:
        ask()  # fills the cache
    timer = Timer()
    frame = ask()
    return timer.figures(), lambda place: frame.iloc[:, place].to_numpy(dtype=np.float64)


def by_pandas(folder: Path, precision: str) -> tuple[dict, Callable]:
    import pandas as pd

    timer = Timer()
    d = pd.read_parquet(folder / "peers.parquet")
    numbers = ["open", "high", "low", "close", "volume"]
    d[numbers] = d[numbers].astype(precision)
    by = d.groupby("symbol", sort=False, observed=True)

    def r(x: Any, what: str, w: int = W, **more: Any) -> Any:
        rolled = x.groupby(d["symbol"], sort=False, observed=True).rolling(w, min_periods=1)
        return getattr(rolled, what)(**more).to_numpy()

    c, v = d["close"], d["volume"]
    before = by["close"].shift(1)
    move = c - before
    top, bottom = r(d["high"], "max"), r(d["low"], "min")
    logs, whole = np.log(v.astype(float) + 1), c.astype(float)
    mean_c, mean_l, both = r(whole, "mean"), r(logs, "mean"), r(whole * logs, "mean")
    spread = np.sqrt(r(whole, "var", ddof=0) * r(logs, "var", ddof=0))
    worth = (c / before - 1).abs() * v
    out = {
        "KMID": (c - d["open"]) / d["open"],
        "ROC20": by["close"].shift(W) / c,
        "MA5": r(c, "mean", 5) / c,
        "MA20": r(c, "mean") / c,
        "STD20": r(c, "std") / c,
        "MAX20": top / c,
        "MIN20": bottom / c,
        "RSV20": (c - bottom) / (top - bottom + 1e-12),
        "CORR20": (both - mean_c * mean_l) / spread,
        "CNTP20": r((move > 0).astype(precision), "mean"),
        "SUMP20": r(move.clip(lower=0).fillna(0), "sum") / (r(move.abs().fillna(0), "sum") + 1e-12),
        "VMA20": r(v, "mean") / (v + 1e-12),
        "VSTD20": r(v, "std") / (v + 1e-12),
        "WVMA20": r(worth, "std") / (r(worth, "mean") + 1e-12),
    }
    arrays = [np.asarray(out[name]) for name in SET14]
    figures = timer.figures()
    if precision == "float64":  # the reference: no sums of products where the correlation cancels
        pairs = pd.DataFrame({"s": d["symbol"].to_numpy(), "c": whole.to_numpy(), "l": logs.to_numpy()})
        arrays[8] = np.concatenate(
            [
                own["c"].rolling(W, min_periods=1).corr(own["l"]).to_numpy()
                for _, own in pairs.groupby("s", sort=False, observed=True)
            ]
        )
    return figures, lambda place: arrays[place]


def by_polars(folder: Path) -> tuple[dict, Callable]:
    import polars as pl

    timer = Timer()
    d = pl.read_parquet(folder / "peers.parquet")
    c, v, h, low, o = (pl.col(name) for name in ("close", "volume", "high", "low", "open"))
    k: dict[str, int] = {"window_size": W, "min_samples": 1}
    before = c.shift(1)
    move = c - before
    wide, logs = c.cast(pl.Float64), (v + 1).cast(pl.Float64).log()
    worth = ((c / before - 1).abs() * v).cast(pl.Float64)
    top, bottom = h.rolling_max(**k), low.rolling_min(**k)
    out = {
        "KMID": (c - o) / o,
        "ROC20": c.shift(W) / c,
        "MA5": c.rolling_mean(5, min_samples=1) / c,
        "MA20": c.rolling_mean(**k) / c,
        "STD20": wide.rolling_std(**k) / c,
        "MAX20": top / c,
        "MIN20": bottom / c,
        "RSV20": (c - bottom) / (top - bottom + 1e-12),
        "CORR20": pl.rolling_corr(wide, logs, window_size=W, min_samples=2),
        "CNTP20": (move > 0).cast(pl.Float32).fill_null(0).rolling_mean(**k),
        "SUMP20": move.clip(0).fill_null(0).rolling_sum(**k) / (move.abs().fill_null(0).rolling_sum(**k) + 1e-12),
        "VMA20": v.rolling_mean(**k) / (v + 1e-12),
        "VSTD20": v.cast(pl.Float64).rolling_std(**k) / (v + 1e-12),
        "WVMA20": worth.rolling_std(**k) / (worth.rolling_mean(**k) + 1e-12),
    }
    made = d.lazy().select([e.over("symbol").cast(pl.Float32).alias(n) for n, e in out.items()]).collect()
    return timer.figures(), lambda place: made[list(SET14)[place]].cast(pl.Float64).to_numpy()


def by_duckdb(folder: Path) -> tuple[dict, Callable]:
    import duckdb

    connection = duckdb.connect()
    connection.execute(f"set threads={os.environ.get(THREADS_OF_TASK, '1')}; set preserve_insertion_order=true")
    query = f"""
create table r as with a as (select symbol, date, open::double o, high::double h, low::double l, close::double c,
  volume::double v, lag(c) over s pc, lag(c, 20) over s c20 from '{folder}/peers.parquet'
  window s as (partition by symbol order by date)),
b as (select *, ln(v + 1) lv, c - pc dc, abs(c / pc - 1) * v wv from a)
select symbol, date, ((c-o)/o)::float KMID, (c20/c)::float ROC20, (avg(c) over w5/c)::float MA5,
  (avg(c) over w20/c)::float MA20, (stddev_samp(c) over w20/c)::float STD20, (max(h) over w20/c)::float MAX20,
  (min(l) over w20/c)::float MIN20,
  ((c - min(l) over w20) / (max(h) over w20 - min(l) over w20 + 1e-12))::float RSV20,
  (corr(c, lv) over w20)::float CORR20, (avg(case when dc > 0 then 1.0 else 0.0 end) over w20)::float CNTP20,
  (sum(greatest(coalesce(dc, 0), 0)) over w20 / (sum(abs(coalesce(dc, 0))) over w20 + 1e-12))::float SUMP20,
  (avg(v) over w20 / (v + 1e-12))::float VMA20, (stddev_samp(v) over w20 / (v + 1e-12))::float VSTD20,
  (stddev_samp(wv) over w20 / (avg(wv) over w20 + 1e-12))::float WVMA20 from b
window w5 as (partition by symbol order by date rows 4 preceding),
  w20 as (partition by symbol order by date rows 19 preceding)"""
    timer = Timer()
    connection.execute(query)
    figures = timer.figures()
    made = connection.execute("select * from r order by symbol, date").fetchnumpy()
    return figures, lambda place: np.ma.filled(made[list(SET14)[place]].astype(np.float64), np.nan)


def by_bottleneck(folder: Path) -> tuple[dict, Callable]:
    import bottleneck as bn
    from pyarrow import parquet

    count = len((folder / "qlib" / "instruments" / "all.txt").read_text().splitlines())
    timer = Timer()
    table = parquet.read_table(folder / "peers.parquet", use_threads=False)
    o, h, low, c, v = (table[n].to_numpy().reshape(count, -1) for n in ("open", "high", "low", "close", "volume"))
    k: dict[str, int] = {"window": W, "min_count": 1, "axis": 1}
    c, v = c.astype(float), v.astype(float)
    before, back = np.full_like(c, np.nan), np.full_like(c, np.nan)
    before[:, 1:], back[:, W:] = c[:, :-1], c[:, :-W]
    move = c - before
    top, bottom = bn.move_max(h, **k), bn.move_min(low, **k)
    logs = np.log(v + 1)
    a, b = c - c[:, :1], logs - logs[:, :1]
    covariance = bn.move_mean(a * b, **k) - bn.move_mean(a, **k) * bn.move_mean(b, **k)
    worth = np.abs(c / before - 1) * v
    rises = (move > 0).astype(float)
    move[:, 0] = 0
    out = [
        (c - o) / o, back / c, bn.move_mean(c, 5, min_count=1, axis=1) / c, bn.move_mean(c, **k) / c,
        bn.move_std(c, ddof=1, **k) / c, top / c, bottom / c, (c - bottom) / (top - bottom + 1e-12),
        covariance / np.sqrt(bn.move_var(a, **k) * bn.move_var(b, **k)), bn.move_mean(rises, **k),
        bn.move_sum(np.maximum(move, 0), **k) / (bn.move_sum(np.abs(move), **k) + 1e-12),
        bn.move_mean(v, **k) / (v + 1e-12), bn.move_std(v, ddof=1, **k) / (v + 1e-12),
        bn.move_std(worth, ddof=1, **k) / (bn.move_mean(worth, **k) + 1e-12),
    ]  # fmt: skip
    out = [np.asarray(x, dtype=np.float32) for x in out]
    return timer.figures(), lambda place: out[place].ravel().astype(np.float64)


def wide_fields() -> tuple[list[str], list[str]]:
    """(expressions, names) of Qlib's own list of Alpha158."""
    from qlib.contrib.data.loader import Alpha158DL

    fields, names = Alpha158DL.get_feature_config()
    return list(fields), list(names)


def main() -> None:
    name, folder, answers = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    fourteen = list(SET14.values())
    wide = wide_fields() if name == "qlib wide" else ([], [])
    runs: dict[str, Callable[[], tuple[dict, Callable]]] = {
        "qlib": lambda: by_qlib(folder, "all", fourteen, False, False),
        "qlib expression cache": lambda: by_qlib(folder, "all", fourteen, True, False),
        "qlib dataset cache": lambda: by_qlib(folder, "all", fourteen, False, True),
        "qlib wide": lambda: by_qlib(folder, "few", wide[0], False, False),
        "pandas": lambda: by_pandas(folder, "float32"),
        "pandas float64": lambda: by_pandas(folder, "float64"),
        "polars": lambda: by_polars(folder),
        "duckdb": lambda: by_duckdb(folder),
        "bottleneck": lambda: by_bottleneck(folder),
    }
    figures, answer = runs[name]()
    figures["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    count = len((folder / "qlib" / "instruments" / ("few.txt" if wide[0] else "all.txt")).read_text().splitlines())
    places = range(len(wide[0]) or len(fourteen))
    sample = np.stack([answer(place).reshape(count, -1)[:: SAMPLE if count > 100 else 10] for place in places])
    np.save(answers, sample)
    print("figures: " + json.dumps({**figures, "names": wide[1]}), flush=True)


if __name__ == "__main__":
    main()
