"""L4: what rounding leaves where the terms of a feature cancel is no leak of history, and nothing larger passes for it."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from planted_leaks import CUTOFFS, DAYS, World, closes, small_world
from research_world import END

from marketbot_assets.features.alpha158 import alpha158
from marketbot_assets.features.catalogue import names, registry
from marketbot_assets.features.declaration import SERIES_INPUTS
from marketbot_assets.features.engine import build
from marketbot_assets.features.plan import plan_of
from marketbot_assets.features.price_set import adjusted_bars
from marketbot_assets.research import leak_campaign
from marketbot_assets.research.history import NORMALIZED, Tables
from marketbot_assets.research.leakcheck import ROUNDING, Ground, Result, Tally, check_warm_up, disagreement
from marketbot_assets.research.wide_layer import GROUP, WideLayer
from marketbot_resources.mandate import Mandate


@pytest.fixture(scope="module")
def tidy(world: Tables) -> World:
    return {name: getattr(world, name) for name in NORMALIZED}


def results(tally: Tally) -> dict[str, Result]:
    """Output without its group -> result of the warm-up check."""
    return {r.output.partition(".")[2]: r for r in tally.results()}


UNIT, TINY = 2.0**-30, 2.0**-28  # of a column of size 4 the second is the first


@pytest.mark.parametrize(
    ("column", "other", "rounding", "worst"),
    [
        ([4.0, -4.0, 4.0, 0.0], TINY, UNIT, UNIT),  # measured against the column's size
        ([4.0, -4.0, 4.0, 0.0], np.nextafter(TINY, 1.0), UNIT, 1.0),  # against the values themselves
        ([4.0, -4.0, 4.0, 0.0], TINY, 0.0, 1.0),
        ([4.0, -4.0, 4.0, 0.0], 0.0, UNIT, 0.0),
        ([0.0, 0.0, 4.0, 0.0], 1e-300, UNIT, 1.0),  # mostly zeros: no size
        ([1e9, 4.0, 4.0, 0.0], 2 * TINY, UNIT, 1.0),  # one huge value gives no size
        ([np.nan, np.inf, 4.0, -4.0, 0.0], TINY, UNIT, UNIT),
        ([4.0, 4.0, 4.0, np.nan], TINY, UNIT, np.inf),
        ([4.0, 4.0, 4.0, 0.0], np.nan, UNIT, np.inf),
        ([4.0, 4.0, 4.0, 0.0], np.inf, UNIT, np.inf),
        ([np.nan, np.nan, np.nan, np.nan], 0.0, UNIT, np.inf),
    ],
)
def test_what_counts_as_rounding(column: list[float], other: float, rounding: float, worst: float) -> None:
    """Up to a share of the column's median magnitude, that share included; never where only one side has a value."""
    whole = pd.DataFrame({"x": column})
    assert disagreement(whole, pd.DataFrame({"x": [*column[:-1], other]}), rounding)["x"][0] == worst


def about_zero(world: World, session: dt.date, sessions: int) -> pd.DataFrame:
    """Gain less loss of 20 moves over all movement, on a basis that begins with the window; three names end where
    they began, all were split three for one meanwhile.

    `fading` adds a billionth of an exponential mean that 60 sessions do not hold.
    """
    values = closes(world).loc[:session].iloc[-sessions:].ffill()
    values.iloc[-1, [0, 1, 3]] = values.iloc[-21, [0, 1, 3]]
    factor = 0.7 / values.iloc[0]
    levels = pd.concat([values.iloc[:-10] * factor, values.iloc[-10:] / 3 * (factor * 3)])
    moves = levels.diff().iloc[-20:]
    turn = (moves.clip(lower=0).sum() - (-moves).clip(lower=0).sum()) / moves.abs().sum()
    return pd.DataFrame({"turn": turn, "fading": turn + 1e-9 * levels.iloc[-1] / levels.ewm(span=200).mean().iloc[-1]})


def test_rounding_about_zero_is_no_difference_and_a_billionth_is_one() -> None:
    """L4: a sum whose terms cancel passes, with a window too short by a billionth of its size it does not."""
    ground, found = Ground(small_world(), CUTOFFS, [DAYS[300], DAYS[350]]), {}
    for rounding in (0.0, ROUNDING):
        tally = Tally()
        lookbacks = {"turn": 60, "fading": 60}
        check_warm_up(ground, tally, make=about_zero, group="feature", lookbacks=lookbacks, rounding=rounding)
        found[rounding] = {name: result.status for name, result in results(tally).items()}
    assert found == {0.0: {"turn": "leaks", "fading": "leaks"}, ROUNDING: {"turn": "ok", "fading": "leaks"}}


def test_no_short_window_of_the_registry_hides_behind_rounding(tidy: World, mandate: Mandate) -> None:
    """L4: with 30 sessions declared for every feature the same ones are caught as by the strict comparison, by any window of 60."""
    layer, made = WideLayer(mandate), {}

    def warm(world: World, cut: dt.date, sessions: int) -> pd.DataFrame:
        if sessions not in made:
            made[sessions] = layer.warm(world, cut, sessions)
        return made[sessions]

    caught = []
    for rounding in (0.0, ROUNDING):
        tally, lookbacks = Tally(), dict.fromkeys(names(), 30)
        limits = leak_campaign.sessions_of(mandate, END)
        ground = Ground(tidy, limits, [dt.date(2018, 11, 13)], rows=1)
        check_warm_up(ground, tally, make=warm, group=GROUP, lookbacks=lookbacks, rounding=rounding)
        caught.append({name for name, result in results(tally).items() if result.leaks})
    assert caught[0] == caught[1]
    assert caught[1] >= {
        f"{name}60" for name in ("ROC", "MA", "STD", "BETA", "RSQR", "RESI", "SUMP", "SUMD", "VSUMD", "CORR")
    }
    assert not caught[1] & {entry.name for entry in registry() if entry.lookback_sessions <= 30}


@pytest.mark.long
def test_the_campaign_takes_rounding_for_what_it_is(tidy: World, mandate: Mandate) -> None:
    """A residual that is zero but for rounding, which hangs on where the basis of prices begins."""
    *_, warm = leak_campaign.declared_plan_of(tidy, mandate, END, cuts=1, session=dt.date(2017, 11, 22))
    found = {r.output: r for r in leak_campaign.examine([warm])}
    assert [r.output for r in found.values() if r.leaks] == []
    assert 0.0 < found[f"{GROUP}.RESI5"].worst < ROUNDING


def test_a_close_that_fell_by_its_dividend_has_not_moved() -> None:
    """Whatever the basis begins with: no rise and no fall in the sessions of which the return is rounding alone.

    By hand: 10.00, 9.90 after a dividend of 0.10, 9.95, no bar, 9.95 again (not compared: no close before), 9.95, 9.90.
    """
    close = np.array([10.0, 9.9, 9.95, np.nan, 9.95, 9.95, 9.9])[:, None]
    last = np.array([10.0, 9.9, 9.95, 9.95, 9.95, 9.95, 9.9])[:, None]
    for noise in (-2.2e-16, 0.0, 2.2e-16):
        moves = np.array([np.nan, noise, 0.05 / 9.9, 0.0, 0.0, 0.0, -0.05 / 9.95])[:, None]
        given = {name: close for name in ("open", "high", "low", "close")}
        given |= {"volume": close, "fresh": np.isfinite(close).astype(float), "last_close": last, "total_return": moves}
        trees = alpha158(adjusted_bars())
        rises, falls = build(plan_of([trees["CNTP5"], trees["CNTN5"]], SERIES_INPUTS), given, 0).values[:, 1:, 0]
        assert rises == pytest.approx([0, 1 / 3, 1 / 3, 1 / 4, 1 / 4, 1 / 4])
        assert falls == pytest.approx([0, 0, 0, 0, 0, 1 / 4])
