"""Features that look into the future, each in another way, their honest twins, and a small world with gaps, splits, revisions.

A feature is a function from a world to a frame (sessions, instruments). Not here: any statement about the product.
"""

import datetime as dt
from collections.abc import Callable

import numpy as np
import pandas as pd

from marketbot_resources.calendars import decision_sessions

World = dict[str, pd.DataFrame]
DAYS = decision_sessions("XNYS", dt.date(2016, 1, 4), dt.date(2017, 12, 29))
CUTOFFS = {day: dt.datetime(day.year, day.month, day.day, 22, tzinfo=dt.UTC) for day in DAYS}
NAMES = tuple("ABCDEFGH")
DELISTED, GAPPY = "H", "C"
GAPS = (150, 151, 290, 401)
AT = pd.Index(DAYS)


def instant(day: dt.date, hour: int = 21) -> pd.Timestamp:
    return pd.Timestamp(dt.datetime(day.year, day.month, day.day, hour, tzinfo=dt.UTC)).as_unit("us")


def small_world(seed: int = 3, gaps: tuple[int, ...] = GAPS) -> World:
    """Eight names, one of which ends and one has gaps, two splits, figures filed late and restated, a macro series revised."""
    draw = np.random.default_rng(seed)
    returns = 0.01 * draw.standard_normal((len(DAYS), 1)) + 0.01 * draw.standard_normal((len(DAYS), len(NAMES)))
    close = 50 * np.cumprod(1 + returns, axis=0)
    close[200:, 0] /= 2
    close[330:, 1] /= 3
    bars = [
        (pd.Timestamp(day), name, close[row, column], instant(day))
        for row, day in enumerate(DAYS)
        for column, name in enumerate(NAMES)
        if not (name == DELISTED and row >= 380) and not (name == GAPPY and row in gaps)
    ]
    prices = pd.DataFrame(bars, columns=["session", "instrument", "close", "known_at"])
    prices = prices.assign(**{name: prices["close"] for name in ("open", "high", "low", "price_level")}, volume=1e5)
    actions = pd.DataFrame(
        [
            ("A", pd.Timestamp(DAYS[200]), "SPLIT", 0.0, 2.0, instant(DAYS[190])),
            ("B", pd.Timestamp(DAYS[330]), "SPLIT", 0.0, 3.0, instant(DAYS[320])),
        ],
        columns=["instrument", "ex_session", "kind", "amount", "ratio", "known_at"],
    )
    ends = [day for day in pd.date_range("2016-03-31", "2017-09-30", freq="QE")]
    filed = [
        (name, "EQUITY", end, 100 * (1 + draw.random()), instant((end + pd.Timedelta(days=lag)).date()))
        for name in NAMES
        for end in ends
        for lag in (45, 80)
    ]
    months = pd.date_range("2016-01-01", "2017-11-01", freq="MS")
    told = [
        ("CPI", month, 100 + draw.standard_normal(), instant((month + pd.Timedelta(days=lag)).date()))
        for month in months
        for lag in (40, 70)
    ]
    return {
        "prices": prices,
        "corporate_actions": actions,
        "fundamentals": pd.DataFrame(filed, columns=["instrument", "field", "period_end", "value", "known_at"]),
        "macro": pd.DataFrame(told, columns=["series", "period", "value", "known_at"]),
    }


_last: list[tuple[pd.DataFrame, pd.DataFrame]] = []


def closes(world: World) -> pd.DataFrame:
    """First known close per session and name on the whole calendar; NaN where there is none."""
    if not _last or _last[0][0] is not world["prices"]:
        first = world["prices"].sort_values("known_at").drop_duplicates(["session", "instrument"])
        wide = first.pivot(index="session", columns="instrument", values="close").reindex(columns=list(NAMES))
        made = wide.set_axis(pd.Index([stamp.date() for stamp in wide.index])).reindex(AT)
        _last[:] = [(world["prices"], made)]
    return _last[0][1].copy()


def moves(world: World) -> pd.DataFrame:
    return closes(world).pct_change(fill_method=None)


def stamped(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.set_axis(pd.DatetimeIndex(pd.to_datetime(frame.index)))


def dated(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.set_axis(pd.Index([stamp.date() for stamp in frame.index]))


def full_sample_zscore(world: World) -> pd.DataFrame:
    values = moves(world)
    return (values - values.mean()) / values.std()


def full_sample_rank(world: World) -> pd.DataFrame:
    return closes(world).rank(pct=True)


def min_max(world: World) -> pd.DataFrame:
    values = closes(world)
    return (values - values.min()) / (values.max() - values.min())


def whole_sample_pca(world: World) -> pd.DataFrame:
    values = moves(world).fillna(0.0)
    _, _, loadings = np.linalg.svd(values.to_numpy() - values.to_numpy().mean(axis=0), full_matrices=False)
    first = loadings[0] * np.sign(loadings[0].sum())
    score = values.to_numpy() @ first
    return pd.DataFrame(np.outer(score, np.ones(len(NAMES))), index=AT, columns=list(NAMES))


def next_return(world: World) -> pd.DataFrame:
    return moves(world).shift(-1)


def centred_window(world: World) -> pd.DataFrame:
    return closes(world).rolling(11, center=True, min_periods=3).mean()


def weekly_bfill(world: World) -> pd.DataFrame:
    daily = stamped(closes(world))
    return dated(daily.resample("W-FRI").last().reindex(daily.index, method="bfill"))


def interpolated(world: World) -> pd.DataFrame:
    return closes(world).interpolate(limit_area="inside")


def gap_bfill(world: World) -> pd.DataFrame:
    return closes(world).bfill(limit=1)


def survivor_pick(world: World) -> pd.DataFrame:
    """The mean of the names that still trade at the end of the sample."""
    values = closes(world)
    alive = values.ffill(limit=5).loc[values.last_valid_index()].notna()
    mean = values.loc[:, alive].mean(axis=1)
    return pd.DataFrame({name: mean for name in NAMES})


def end_anchored_price(world: World) -> pd.DataFrame:
    values, actions = closes(world), world["corporate_actions"]
    for row in actions.itertuples():
        before = np.array([day < row.ex_session.date() for day in values.index])
        values.loc[before, row.instrument] /= row.ratio
    return values


def reverse_ewm(world: World) -> pd.DataFrame:
    return closes(world)[::-1].ewm(span=20).mean()[::-1]


def joined_on_period_end(world: World) -> pd.DataFrame:
    """Figures from the day on that they describe."""
    newest = world["fundamentals"].sort_values("known_at").drop_duplicates(["instrument", "period_end"], keep="last")
    wide = newest.pivot(index="period_end", columns="instrument", values="value").reindex(columns=list(NAMES))
    return dated(wide.reindex(pd.DatetimeIndex(pd.to_datetime(list(DAYS))), method="ffill"))


def revised_before_release(world: World) -> pd.DataFrame:
    """The last version of a month's number from its first release on."""
    rows = world["macro"].assign(known_at=world["macro"]["known_at"].dt.tz_localize(None)).sort_values("known_at")
    last = rows.drop_duplicates("period", keep="last").set_index("period")["value"]
    first = rows.drop_duplicates("period", keep="first").set_index("period")["known_at"]
    return _series([(at, last[period]) for period, at in first.items()])


def _series(known: list[tuple[pd.Timestamp, float]]) -> pd.DataFrame:
    """The newest value at each cutoff, the same for every name."""
    times, values = [at for at, _ in known], [value for _, value in known]
    places = np.searchsorted(np.array(times, dtype="datetime64[us]"), _cutoffs(), side="right") - 1
    column = np.where(places >= 0, np.array(values)[np.maximum(places, 0)], np.nan)
    return pd.DataFrame({name: column for name in NAMES}, index=AT)


def _cutoffs() -> np.ndarray:
    return np.array([at.replace(tzinfo=None) for at in CUTOFFS.values()], dtype="datetime64[us]")


def overlapping_label(world: World, gap: int = 0) -> pd.DataFrame:
    """A name's mean five-session return, trained on labels that end up to five sessions after the day less the gap."""
    label = np.log1p(moves(world)).rolling(5, min_periods=1).sum().shift(-5)
    return label.expanding(min_periods=20).mean().shift(gap)


LEAKS: dict[str, Callable[[World], pd.DataFrame]] = {
    function.__name__: function
    for function in (
        full_sample_zscore,
        full_sample_rank,
        min_max,
        whole_sample_pca,
        next_return,
        centred_window,
        weekly_bfill,
        interpolated,
        gap_bfill,
        survivor_pick,
        end_anchored_price,
        reverse_ewm,
        joined_on_period_end,
        revised_before_release,
        overlapping_label,
    )
}


def trailing_zscore(world: World) -> pd.DataFrame:
    values = moves(world)
    return (values - values.rolling(60, min_periods=20).mean()) / values.rolling(60, min_periods=20).std()


def expanding_rank(world: World) -> pd.DataFrame:
    return closes(world).expanding(min_periods=20).rank(pct=True)


def carried(world: World) -> pd.DataFrame:
    return closes(world).ffill()


def joined_on_filing(world: World) -> pd.DataFrame:
    """The newest figure of a name that was known at each cutoff."""
    out = {}
    for name, rows in world["fundamentals"].sort_values("known_at").groupby("instrument"):
        out[name] = _series(list(zip(rows["known_at"].dt.tz_localize(None), rows["value"], strict=True)))[NAMES[0]]
    return pd.DataFrame(out, index=AT, columns=list(NAMES))


def purged_label(world: World) -> pd.DataFrame:
    return overlapping_label(world, gap=5)


HONEST: dict[str, Callable[[World], pd.DataFrame]] = {
    function.__name__: function
    for function in (trailing_zscore, expanding_rank, carried, joined_on_filing, purged_label)
}
