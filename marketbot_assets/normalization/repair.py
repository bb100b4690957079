"""What wrong bars and dividends should have been: proposals, found in a whole history with later bars as evidence. Pure.

Numbered as it runs, per instrument: 1 a single price of a bar that is off by a unit's factor; 2 cut the closes into
stretches at jumps by a factor that errors have (a unit, or a split told of) and that the ranges of both bars allow; 3 choose
the stretch that is right: for units the one on which most bars were traded, for splits the newest; bring the others to its
scale; 4 a lasting jump like a split that no one told of, without a crash's turnover, is a missing split; 5 dividends and the
source's own adjustment (`repair_dividends`).
Nothing here changes data: a proposal becomes an overlay when someone accepts it (`overlays`).
Not here: a bad value that no factor explains; it stays in quarantine, for no one knows what it should have been.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from marketbot_assets.normalization.bar_rules import CRASH_TURNOVER, SPLITS_DOWN, SPLITS_UP, UNITS, turnover_shock
from marketbot_assets.normalization.observation import MOVE_MAX, OHLCV, VOLUME_SESSIONS, Floats, Ints
from marketbot_assets.normalization.repair_dividends import Dividend, repair_dividends

PRICES = ("open", "high", "low", "close")
COLUMNS = ("instrument", "session", "field", "found", "proposed", "rule", "reason")
RANGE_MARGIN, FIELD_MARGIN, NEAR_SPLIT_DAYS = 0.05, 0.10, 30
UNIT, SPLIT = "unit", "split"
STANDS_MIN, STANDING_MIN = 5, 3
ID_LENGTH = 12


@dataclass(frozen=True, slots=True)
class Repair:
    """One value: what was found, what is proposed, by which rule and why. `session`: days since 1970."""

    session: int
    field: str
    found: float
    proposed: float
    rule: str
    reason: str


@dataclass(frozen=True, slots=True)
class Factor:
    """A factor by which an error moves prices; `kind`: `unit` or `split`; a split changes the volume the other way."""

    kind: str
    log: float


@dataclass(frozen=True, slots=True)
class Series:
    """One instrument's usable bars, ascending. `day`: (T,), `bars`: (T, 5) `OHLCV`, `adjusted`: (T,) or None.

    `splits`: (k,) ex days and ratios; `dividends`: ex days and amounts; `split_adjusted`: the source restates all earlier
    prices at a split, so that the series shows no jump.
    """

    day: Ints
    bars: Floats
    adjusted: Floats | None
    splits: Sequence[tuple[int, float]]
    dividends: Sequence[tuple[int, float]]
    split_adjusted: bool


def propose(bars: pd.DataFrame, actions: pd.DataFrame, *, split_adjusted: bool = False) -> pd.DataFrame:
    """Proposals for a history, in COLUMNS. `bars`: instrument, session, OHLCV, perhaps `adj_close`, the source's own adjustment.

    Fields are those of a bar, `adj_close`, `dividend` (per share, on its ex session) and `split` (new shares per old).
    """
    ordered = bars.sort_values(["instrument", "session"], kind="stable")
    told = actions.sort_values(["ex_session", "known_at"]).drop_duplicates(
        ["instrument", "ex_session", "kind"], keep="last"
    )
    events = dict(iter(told.groupby("instrument")))
    rows: list[tuple[object, ...]] = []
    for name, group in ordered.groupby("instrument", sort=True):
        for item in repair_series(_series(group, events.get(name), split_adjusted=split_adjusted)):
            session = np.datetime64(item.session, "D")
            rows.append((str(name), session, item.field, item.found, item.proposed, item.rule, item.reason))
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame.astype({"session": "datetime64[ms]", "found": float, "proposed": float})


def with_ids(proposals: pd.DataFrame) -> pd.DataFrame:
    """Proposals with `proposal`: one id for all rows of one instrument that one rule repairs for one reason."""
    frame = proposals.assign(proposal="")
    for _, group in frame.groupby(["instrument", "rule", "reason"], sort=True):
        told = group[["instrument", "session", "field", "found", "proposed"]].to_csv(index=False)
        frame.loc[group.index, "proposal"] = hashlib.sha256(told.encode()).hexdigest()[:ID_LENGTH]
    return frame


def standing_jumps(bars: pd.DataFrame) -> pd.DataFrame:
    """Proposals, in COLUMNS, to take the newest bars as they are: of names whose last STANDING_MIN bars or more, all of them
    in quarantine, agree with each other. Someone who knows that the jump is true accepts it; nothing else would.
    """
    rows = []
    for name, group in bars.sort_values(["instrument", "session"], kind="stable").groupby("instrument", sort=True):
        usable = ~group["quarantine"].to_numpy(dtype=bool)
        last = np.flatnonzero(usable)[-1] if usable.any() else -1
        pending = group.iloc[last + 1 :]
        closes = pending["close"].to_numpy(dtype=float)
        if last < 0 or len(closes) < STANDING_MIN or not (np.abs(closes / closes[-1] - 1.0) <= MOVE_MAX).all():
            continue
        told = f"the last {len(closes)} bars agree with each other on a level that is not the one before"
        close = float(closes[-1])
        rows.append((str(name), pending["session"].iloc[-1], "close", close, close, "jump_is_true", told))
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame.astype({"session": "datetime64[ms]", "found": float, "proposed": float})


def _series(bars: pd.DataFrame, events: pd.DataFrame | None, *, split_adjusted: bool) -> Series:
    values = bars[OHLCV].to_numpy(dtype=float)
    good = np.isfinite(values[:, :4]).all(axis=1) & (values[:, :4] > 0).all(axis=1)
    day = bars["session"].to_numpy().astype("datetime64[D]").astype(np.int64)
    first = np.concatenate([[True], day[1:] != day[:-1]])[: len(day)]
    kept = good & first
    adjusted = bars["adj_close"].to_numpy(dtype=float)[kept] if "adj_close" in bars else None
    splits, dividends = _events(events, "SPLIT", "ratio"), _events(events, "CASH_DIVIDEND", "amount")
    return Series(day[kept], values[kept], adjusted, splits, dividends, split_adjusted)


def _events(events: pd.DataFrame | None, kind: str, value: str) -> list[tuple[int, float]]:
    if events is None:
        return []
    own = events[(events["kind"] == kind) & (events[value] > 0)]
    ex = own["ex_session"].to_numpy().astype("datetime64[D]").astype(np.int64)
    return sorted(zip(ex.tolist(), own[value].astype(float).tolist(), strict=True))


def repair_series(series: Series) -> list[Repair]:
    """Every proposal for one instrument, prices first, then dividends on the repaired prices."""
    if len(series.day) < 2:
        return []
    series, fields = _mended_fields(series)
    scale, repairs = _rescale(series)
    bars = series.bars * np.exp(scale)[:, None]
    adjusted = None if series.adjusted is None else series.adjusted * np.exp(scale)
    repairs += _missing_splits(series, bars)
    dividends = [Dividend(ex, amount) for ex, amount in series.dividends]
    found = repair_dividends(series.day, bars[:, 3], bars[:, 2], adjusted, dividends)
    return fields + repairs + [Repair(*item) for item in found]


def _mended_fields(series: Series) -> tuple[Series, list[Repair]]:
    """The series without single prices that stand in another unit than the other three of their bar, and their proposals."""
    bars, repairs = series.bars.copy(), []
    for place, field in enumerate(PRICES):
        others = np.median(np.delete(series.bars[:, :4], place, axis=1), axis=1)
        logs = np.log(series.bars[:, place] / others)
        for unit in (*UNITS, *(1.0 / unit for unit in UNITS)):
            for at in np.flatnonzero(np.abs(logs - np.log(unit)) <= FIELD_MARGIN):
                found = float(series.bars[at, place])
                reason = f"the {field} is {_times(unit)} the other prices of its bar"
                bars[at, place] = found / unit
                repairs.append(Repair(int(series.day[at]), field, found, found / unit, "price_in_another_unit", reason))
    return replace(series, bars=bars), repairs


def _rescale(series: Series) -> tuple[Floats, list[Repair]]:
    """((T,) log factors that bring each bar to the right scale, the proposals that follow)."""
    state, kinds = _stretches(series)
    if not kinds:
        return np.zeros(len(series.day)), []
    unit, split = state[UNIT], state[SPLIT]
    right_unit = _most_traded(unit, series.bars[:, 4])
    scale_unit, scale_split = right_unit - unit, split[-1] - split
    repairs: list[Repair] = []
    for at in np.flatnonzero(np.abs(scale_unit + scale_split) > 1e-9):
        price, shares = float(np.exp(scale_unit[at] + scale_split[at])), float(np.exp(-scale_split[at]))
        rule = "prices_in_another_unit" if abs(scale_unit[at]) > 1e-9 else "split_applied_wrongly"
        reason = f"prices are {_times(1.0 / price)} those of the bars around them"
        day, bar = int(series.day[at]), series.bars[at]
        for place, field in enumerate(PRICES):
            repairs.append(Repair(day, field, float(bar[place]), float(bar[place]) * price, rule, reason))
        if abs(scale_split[at]) > 1e-9 and bar[4] > 0:
            repairs.append(Repair(day, "volume", float(bar[4]), float(np.rint(bar[4] * shares)), rule, reason))
        if series.adjusted is not None and np.isfinite(series.adjusted[at]):
            found = float(series.adjusted[at])
            repairs.append(Repair(day, "adj_close", found, found * price, rule, reason))
    return scale_unit + scale_split, repairs


def _times(ratio: float) -> str:
    return f"{ratio:g} times" if ratio >= 1.0 else f"1/{1.0 / ratio:g} of"


def _stretches(series: Series) -> tuple[dict[str, Floats], set[str]]:
    """((T,) log scale of each bar by kind of factor, relative to the first bar; the kinds that occur)."""
    steps = {kind: np.zeros(len(series.day)) for kind in (UNIT, SPLIT)}
    expected = _expected_jumps(series)
    logs = np.log(series.bars[:, :4])
    moves = np.diff(logs[:, 3]) - expected[1:]
    units = [Factor(UNIT, sign * float(np.log(unit))) for unit in UNITS for sign in (1, -1)]
    kinds: set[str] = set()
    for at in np.flatnonzero(np.abs(moves) > np.log1p(MOVE_MAX)) + 1:
        told = [r for ex, r in series.splits if abs(ex - int(series.day[at])) <= NEAR_SPLIT_DAYS]
        known = [Factor(SPLIT, sign * float(np.log(ratio))) for ratio in told for sign in (1, -1)]
        factor = _best(moves[at - 1], logs[at - 1], logs[at], float(expected[at]), [*known, *units])
        if factor is not None:
            steps[factor.kind][at] = factor.log
            kinds.add(factor.kind)
    _drop_lone_tens(steps[UNIT])
    return {kind: np.cumsum(values) for kind, values in steps.items()}, kinds


def _drop_lone_tens(steps: Floats) -> None:
    """A tenth that does not come back at the next step is a split by ten or true, no unit; in place."""
    places = np.flatnonzero(steps)
    ten = np.log(UNITS[0])
    for n, at in enumerate(places):
        near = [steps[places[m]] for m in (n - 1, n + 1) if 0 <= m < len(places)]
        if np.isclose(abs(steps[at]), ten) and not any(np.isclose(other, -steps[at]) for other in near):
            steps[at] = 0.0


def _expected_jumps(series: Series) -> Floats:
    """(T,) log jumps that the splits told of bring into the closes; none where the source adjusts its history for them."""
    jumps = np.zeros(len(series.day))
    for ex, ratio in () if series.split_adjusted else series.splits:
        at = int(np.searchsorted(series.day, ex))
        if 0 < at < len(jumps):
            jumps[at] -= np.log(ratio)
    return jumps


def _best(move: float, before: Floats, now: Floats, expected: float, factors: Iterable[Factor]) -> Factor | None:
    """The factor nearest to the move of those that the ranges of both bars allow."""
    low = now.min() - before.max() - expected - RANGE_MARGIN
    high = now.max() - before.min() - expected + RANGE_MARGIN
    fits = [factor for factor in factors if low <= factor.log <= high]
    return min(fits, key=lambda factor: abs(factor.log - move)) if fits else None


def _most_traded(state: Floats, volume: Floats) -> float:
    """The scale on which most bars were traded; all bars count where none was; of equals the newest."""
    counted = volume > 0 if (volume > 0).any() else np.ones(len(volume), dtype=bool)
    levels = np.round(state, 9)
    values, counts = np.unique(levels[counted], return_counts=True)
    best = values[counts == counts.max()]
    newest = [level for level in levels[counted][::-1] if level in best]
    return float(newest[0])


def _missing_splits(series: Series, bars: Floats) -> list[Repair]:
    """A jump like a split that lasts, without an event near it and without a crash's turnover."""
    if series.split_adjusted:
        return []
    found = []
    moves = np.diff(np.log(bars[:, 3])) - _expected_jumps(series)[1:]
    for at in np.flatnonzero(np.abs(moves) > np.log1p(MOVE_MAX)) + 1:
        near = [ex for ex, _ in series.splits if abs(ex - int(series.day[at])) <= NEAR_SPLIT_DAYS]
        ratio = _split_like(float(moves[at - 1]), np.log(bars[at - 1, :4]), np.log(bars[at, :4]))
        if near or ratio is None or not _stands(np.log(bars[:, 3]), int(at)):
            continue
        if turnover_shock(bars[at], bars[max(0, at - VOLUME_SESSIONS) : at]) >= CRASH_TURNOVER:
            continue
        reason = f"the price went to {_times(float(np.exp(moves[at - 1])))} the one before and stayed"
        found.append(Repair(int(series.day[at]), SPLIT, 1.0, ratio, "split_is_missing", reason))
    return found


def _split_like(move: float, before: Floats, now: Floats) -> float | None:
    ratios = [-float(np.log(ratio)) for ratio in (*SPLITS_DOWN, UNITS[0])] + [
        float(np.log(r)) for r in (*SPLITS_UP, UNITS[0])
    ]
    factors = [Factor(SPLIT, ratio) for ratio in ratios]
    best = _best(move, before, now, 0.0, factors)
    return None if best is None or abs(best.log - move) > 2 * RANGE_MARGIN else float(np.round(np.exp(-best.log), 9))


def _stands(logs: Floats, at: int) -> bool:
    """Whether the bars after a jump stay nearer to its level than to the one before."""
    after = logs[at + 1 : at + 1 + STANDS_MIN]
    if len(after) < STANDS_MIN:
        return False
    return bool((np.abs(after - logs[at]) < np.abs(after - logs[at - 1])).all())
