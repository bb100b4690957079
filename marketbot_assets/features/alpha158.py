"""Qlib's Alpha158: the 158 features of its data handler, names and formulas as theirs. Pure facts.

Source: Yang, Liu, Zhou, Bian and Liu (2020), "Qlib: An AI-oriented Quantitative Investment Platform", and the handler's list of
operators. Differences: matrices are float64; a session without a bar takes no part in a comparison, where Qlib counts it as
"no"; the place of an extreme counts from the oldest known value; infinities are unknown.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from marketbot_assets.features import expression as e
from marketbot_assets.features.expression import Node

WINDOWS = (5, 10, 20, 30, 60)
TINY = 1e-12
STILL = 1e-12  # a return that is nothing but rounding
SPREAD_MIN = 2e-5  # Qlib: no correlation and no R2 where a standard deviation is this close to zero


@dataclass(frozen=True, slots=True)
class Bars:
    """A bar's fields as formulas, on one split and dividend basis.

    `log_volume`: log(volume + 1); `spread_min`: no correlation and no R2 where a standard deviation is not above it. `move`: the
    return since the session before, which then says what rose, so that no rounding of the basis does; None: the closes say it.
    """

    open: Node
    high: Node
    low: Node
    close: Node
    volume: Node
    vwap: Node
    log_volume: Node
    spread_min: float
    move: Node | None = None


def plain_bars() -> Bars:
    """The fields as inputs of these names, with Qlib's own limit on spreads."""
    o, h, low, c, v, vwap = (e.given(name) for name in ("open", "high", "low", "close", "volume", "vwap"))
    return Bars(o, h, low, c, v, vwap, e.each("log", v + 1), SPREAD_MIN)


def alpha158(bars: Bars, windows: tuple[int, ...] = WINDOWS, *, own: Bars | None = None) -> dict[str, Node]:
    """Name -> formula, in Qlib's order. `own`: bars in a unit of their session, for the features that read one bar alone."""
    features = dict(_bar_shapes(own or bars))
    by_window = [dict(_rolling(bars, window)) for window in windows]
    names = [name.removesuffix(str(windows[0])) for name in by_window[0]]
    for name in names:
        for window, found in zip(windows, by_window, strict=True):
            features[f"{name}{window}"] = found[f"{name}{window}"]
    return features


def _bar_shapes(bars: Bars) -> Iterator[tuple[str, Node]]:
    o, h, low, c = bars.open, bars.high, bars.low, bars.close
    span = h - low + TINY
    yield "KMID", (c - o) / o
    yield "KLEN", (h - low) / o
    yield "KMID2", (c - o) / span
    yield "KUP", (h - e.each("larger", o, c)) / o
    yield "KUP2", (h - e.each("larger", o, c)) / span
    yield "KLOW", (e.each("smaller", o, c) - low) / o
    yield "KLOW2", (e.each("smaller", o, c) - low) / span
    yield "KSFT", (2 * c - h - low) / o
    yield "KSFT2", (2 * c - h - low) / span
    yield "OPEN0", o / c
    yield "HIGH0", h / c
    yield "LOW0", low / c
    yield "VWAP0", bars.vwap / c


def _rolling(bars: Bars, d: int) -> Iterator[tuple[str, Node]]:
    h, low, c, v = bars.high, bars.low, bars.close, bars.volume
    before, volume_before = e.lag(c, 1), e.lag(v, 1)
    high, bottom = e.highest(h, d, 1), e.lowest(low, d, 1)
    upper, lower = e.quantiles(c, d, 0.8, 0.2, 1)
    first_high, first_low = e.place_of_highest(h, d, 1), e.place_of_lowest(low, d, 1)
    up, down = (c > before, c < before) if bars.move is None else (bars.move > STILL, bars.move < -STILL)
    rises, falls = e.mean(up, d, 1), e.mean(down, d, 1)
    worth = e.each("absolute", c / before - 1) * v
    yield f"ROC{d}", e.lag(c, d) / c
    yield f"MA{d}", e.moment_mean(c, d, 1) / c
    yield f"STD{d}", e.deviation(c, d, 1) / c
    yield f"BETA{d}", e.slope(c, d, 1, bars.spread_min) / c
    yield f"RSQR{d}", e.rsquare(c, d, 1, bars.spread_min)
    yield f"RESI{d}", e.residual(c, d, 1, bars.spread_min) / c
    yield f"MAX{d}", high / c
    yield f"MIN{d}", bottom / c
    yield f"QTLU{d}", upper / c
    yield f"QTLD{d}", lower / c
    yield f"RANK{d}", e.rank(c, d, 1)
    yield f"RSV{d}", (c - bottom) / (high - bottom + TINY)
    yield f"IMAX{d}", first_high / d
    yield f"IMIN{d}", first_low / d
    yield f"IMXD{d}", (first_high - first_low) / d
    yield f"CORR{d}", e.corr(c, bars.log_volume, d, 1, bars.spread_min)
    yield f"CORD{d}", e.corr(c / before, e.each("log", v / volume_before + 1), d, 1, bars.spread_min)
    yield f"CNTP{d}", rises
    yield f"CNTN{d}", falls
    yield f"CNTD{d}", rises - falls
    yield from _sums("SUM", c, before, d)
    yield f"VMA{d}", e.moment_mean(v, d, 1) / (v + TINY)
    yield f"VSTD{d}", e.deviation(v, d, 1) / (v + TINY)
    yield f"WVMA{d}", e.deviation(worth, d, 1) / (e.moment_mean(worth, d, 1) + TINY)
    yield from _sums("VSUM", v, volume_before, d)


def _sums(name: str, x: Node, before: Node, d: int) -> Iterator[tuple[str, Node]]:
    """Shares of what was gained and lost in all movement, and their difference."""
    gained, lost = e.each("larger", x - before, 0.0), e.each("larger", before - x, 0.0)
    moved = e.total(e.each("absolute", x - before), d, 1) + TINY
    yield f"{name}P{d}", e.total(gained, d, 1) / moved
    yield f"{name}N{d}", e.total(lost, d, 1) / moved
    yield f"{name}D{d}", (e.total(gained, d, 1) - e.total(lost, d, 1)) / moved
