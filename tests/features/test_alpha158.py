"""Alpha158 equals Qlib's definitions, written out here in pandas, one instrument after the other, in float64."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from marketbot_assets.features.alpha158 import WINDOWS, alpha158, plain_bars
from marketbot_assets.features.engine import build
from marketbot_assets.features.plan import plan_of

T, N = 120, 1
FEATURES = alpha158(plain_bars())
BAR_SHAPES = "KMID KLEN KMID2 KUP KUP2 KLOW KLOW2 KSFT KSFT2 OPEN0 HIGH0 LOW0 VWAP0".split()
ROLLING = (
    "ROC MA STD BETA RSQR RESI MAX MIN QTLU QTLD RANK RSV IMAX IMIN IMXD CORR CORD CNTP CNTN CNTD SUMP SUMN SUMD "
    "VMA VSTD WVMA VSUMP VSUMN VSUMD"
).split()
FIELDS = ("open", "high", "low", "close", "volume", "vwap")


def bars(seed: int) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(seed)
    close = 30 * np.exp(np.cumsum(0.02 * draw.standard_normal((T, N)), axis=0))
    opened = close * np.exp(0.006 * draw.standard_normal((T, N)))
    high = np.maximum(opened, close) * (1 + 0.006 * draw.random((T, N)))
    low = np.minimum(opened, close) * (1 - 0.006 * draw.random((T, N)))
    volume = np.round(np.exp(12 + 0.4 * draw.standard_normal((T, N))))
    return dict(zip(FIELDS, (opened, high, low, close, volume, (high + low + close) / 3), strict=True))


def polyfit(what: str) -> Callable[[np.ndarray], float]:
    """Slope, R2 or residual of Qlib's Rolling regression on 1, 2, ... of the window."""

    def answer(y: np.ndarray) -> float:
        if len(y) < 2:
            return np.nan
        time = np.arange(1.0, len(y) + 1)
        slope, start = np.polyfit(time, y, 1)
        if what == "slope":
            return slope
        return np.corrcoef(time, y)[0, 1] ** 2 if what == "r2" else y[-1] - (start + slope * time[-1])

    return answer


def qlib(b: pd.DataFrame, name: str, d: int) -> pd.Series:
    """One rolling feature of one instrument: `qlib.contrib.data.loader`, operators of `qlib.data.ops` (min_periods 1)."""
    o, h, low, c, v = b["open"], b["high"], b["low"], b["close"], b["volume"]
    del o

    def r(x: pd.Series) -> pd.api.typing.Rolling:
        return x.rolling(d, min_periods=1)

    def place(x: pd.Series, arg: Callable[[np.ndarray], int]) -> pd.Series:
        return r(x).apply(lambda w: arg(w) + 1, raw=True)

    def shares(x: pd.Series) -> tuple[pd.Series, pd.Series]:
        move = x - x.shift(1)
        gain, loss = np.maximum(move, 0.0), np.maximum(-move, 0.0)
        whole = r(move.abs()).sum() + 1e-12
        return r(gain).sum() / whole, r(loss).sum() / whole

    up, down = (c > c.shift(1)).astype(float), (c < c.shift(1)).astype(float)
    worth = (c / c.shift(1) - 1).abs() * v
    sums, volumes = shares(c), shares(v)
    table: dict[str, Callable[[], pd.Series]] = {
        "ROC": lambda: c.shift(d) / c,
        "MA": lambda: r(c).mean() / c,
        "STD": lambda: r(c).std() / c,
        "BETA": lambda: r(c).apply(polyfit("slope"), raw=True) / c,
        "RSQR": lambda: r(c).apply(polyfit("r2"), raw=True),
        "RESI": lambda: r(c).apply(polyfit("residual"), raw=True) / c,
        "MAX": lambda: r(h).max() / c,
        "MIN": lambda: r(low).min() / c,
        "QTLU": lambda: r(c).quantile(0.8) / c,
        "QTLD": lambda: r(c).quantile(0.2) / c,
        "RANK": lambda: r(c).rank(pct=True),
        "RSV": lambda: (c - r(low).min()) / (r(h).max() - r(low).min() + 1e-12),
        "IMAX": lambda: place(h, np.argmax) / d,
        "IMIN": lambda: place(low, np.argmin) / d,
        "IMXD": lambda: (place(h, np.argmax) - place(low, np.argmin)) / d,
        "CORR": lambda: r(c).corr(np.log(v + 1)),
        "CORD": lambda: r(c / c.shift(1)).corr(np.log(v / v.shift(1) + 1)),
        "CNTP": lambda: r(up).mean(),
        "CNTN": lambda: r(down).mean(),
        "CNTD": lambda: r(up).mean() - r(down).mean(),
        "SUMP": lambda: sums[0],
        "SUMN": lambda: sums[1],
        "SUMD": lambda: sums[0] - sums[1],
        "VMA": lambda: r(v).mean() / (v + 1e-12),
        "VSTD": lambda: r(v).std() / (v + 1e-12),
        "WVMA": lambda: r(worth).std() / (r(worth).mean() + 1e-12),
        "VSUMP": lambda: volumes[0],
        "VSUMN": lambda: volumes[1],
        "VSUMD": lambda: volumes[0] - volumes[1],
    }
    return table[name]()


GIVEN = bars(1)
MATRICES = dict(zip(FEATURES, build(plan_of(list(FEATURES.values()), frozenset()), GIVEN, 0).values, strict=True))


def test_the_names_are_qlibs_in_qlibs_order() -> None:
    assert list(FEATURES) == [*BAR_SHAPES, *(f"{name}{d}" for name in ROLLING for d in WINDOWS)]
    assert len(FEATURES) == 158


@pytest.mark.parametrize("name", ROLLING)
def test_a_rolling_feature_is_qlibs(name: str) -> None:
    """Largest relative error 1e-9, of features about zero against the scale of their kind."""
    for d in WINDOWS:
        for n in range(N):
            frame = pd.DataFrame({field: values[:, n] for field, values in GIVEN.items()})
            wanted, got = qlib(frame, name, d).to_numpy(dtype=float), MATRICES[f"{name}{d}"][:, n]
            assert np.array_equal(np.isnan(got), np.isnan(wanted)), (name, d)
            scale = np.maximum(np.abs(wanted), 1e-3)
            assert np.nanmax(np.abs(got - wanted) / scale) < 1e-9, (name, d)


def test_bar_shapes_are_qlibs() -> None:
    o, h, low, c = (GIVEN[name] for name in FIELDS[:4])
    body, span = np.maximum(o, c), h - low + 1e-12
    foot = np.minimum(o, c)
    wanted = [
        (c - o) / o, (h - low) / o, (c - o) / span, (h - body) / o, (h - body) / span, (foot - low) / o,
        (foot - low) / span, (2 * c - h - low) / o, (2 * c - h - low) / span, o / c, h / c, low / c, GIVEN["vwap"] / c,
    ]  # fmt: skip
    for name, matrix in zip(BAR_SHAPES, wanted, strict=True):
        assert np.allclose(MATRICES[name], matrix, rtol=1e-12, atol=1e-15), name


def test_a_session_without_a_bar_takes_no_part() -> None:
    """The stated difference: Qlib counts a session without a bar as one that did not rise; here it is not counted."""
    given = bars(2)
    for values in given.values():
        values[100] = np.nan
    got = build(plan_of([FEATURES["CNTP5"]], frozenset()), given, 0).values[0]
    close = given["close"]
    # The close before session 101 is unknown, so 101 is no rise; 100 is out of the count.
    rises = [close[t] > close[t - 1] for t in (98, 99, 102)]
    assert got[102] == pytest.approx(np.sum(rises, axis=0) / 4)
    assert np.isnan(got[100]).sum() == 0
    assert got[100] == pytest.approx(np.mean([close[t] > close[t - 1] for t in (96, 97, 98, 99)], axis=0))
