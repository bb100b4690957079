"""What the loop keeps between sessions, and the array forms that it asks, against slow walks over frames."""

import datetime as dt
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st
from research_world import loop
from scipy.stats import ks_2samp

from marketbot_assets.features.liquidity import OWN_SESSIONS, medians
from marketbot_assets.features.past import Past, Universe
from marketbot_assets.features.scenario_memory import ScenarioMemory
from marketbot_assets.features.scenarios import scenario_returns
from marketbot_assets.insight.return_model import Samples, fit_return_model
from marketbot_assets.normalization.action_book import ActionBook, newest_versions
from marketbot_assets.normalization.bar_index import BarIndex
from marketbot_assets.normalization.currencies import Fixings
from marketbot_assets.normalization.window import Floats
from marketbot_assets.portfolio.easing import feasible
from marketbot_assets.portfolio.facts import facts_of
from marketbot_assets.portfolio.funding import Funding
from marketbot_assets.portfolio.limits import LimitSet, limit_set
from marketbot_assets.portfolio.multiples import multiples
from marketbot_assets.research.history import History, Tables
from marketbot_assets.risk.feature_drift import compared_features, section_of
from marketbot_assets.risk.operation_build import split_ratio, splits_of
from marketbot_resources.mandate import Mandate

NOON = dt.datetime(2018, 6, 1, 12, tzinfo=dt.UTC)
DAYS = [dt.date(2018, 5, 20) + dt.timedelta(days=k) for k in range(20)]
NAN = float("nan")


def rows(seed: int, count: int = 60) -> pd.DataFrame:
    """Corporate actions, bars and fixings in one frame: names, kinds and days collide, some rows are known later."""
    draws = np.random.default_rng(seed)
    known = [NOON + dt.timedelta(hours=int(h)) for h in draws.integers(-400, 200, count)]
    frame = pd.DataFrame(
        {
            "instrument": [f"MB{k}" for k in draws.integers(0, 4, count)],
            "currency": draws.choice(["EUR", "GBP", "JPY"], count),
            "kind": draws.choice(["SPLIT", "RENAME", "CASH_DIVIDEND", "DELISTING"], count),
            "known_at": pd.Series(known, dtype="datetime64[us, UTC]"),
            "ratio": draws.choice([2.0, 3.0, 0.5], count),
            "rate": draws.choice([1.1, 0.0, NAN, -2.0, 1.3], count),
        }
    )
    days = pd.to_datetime([DAYS[k] for k in draws.integers(0, len(DAYS), count)]).astype("datetime64[ms]")
    frame = frame.assign(ex_session=days, session=days)
    for name in ("open", "low", "high", "close"):
        frame[name] = draws.normal(size=count)
    return frame


@given(seed=st.integers(0, 10_000), place=st.integers(0, 19), reach=st.integers(0, 9))
@settings(max_examples=15, deadline=None)
def test_an_action_book_finds_the_rows_that_a_mask_finds(seed: int, place: int, reach: int) -> None:
    """In the frame's order, of one window and of some kinds; of an event's versions the last one known."""
    frame, kinds = rows(seed), frozenset({"SPLIT", "RENAME"})
    first, last = DAYS[place], DAYS[place] + dt.timedelta(days=reach)
    inside = (frame["ex_session"] >= pd.Timestamp(first)) & (frame["ex_session"] <= pd.Timestamp(last))
    book = ActionBook(frame)
    assert [row.place for row in book.near(first, last)] == list(np.flatnonzero(inside))
    few = book.near(first, last, kinds)
    assert [row.place for row in few] == list(np.flatnonzero(inside & frame["kind"].isin(kinds)))
    told = frame[inside & frame["kind"].isin(kinds) & (frame["known_at"] <= NOON)].sort_values(
        "known_at", kind="stable"
    )
    last_known = told.drop_duplicates(["instrument", "ex_session", "kind"], keep="last")
    assert [row.place for row in newest_versions(few, NOON)] == list(last_known.index)
    assert [row.known_at for row in few] == [frame["known_at"][row.place].to_pydatetime() for row in few]


@given(seed=st.integers(0, 10_000), place=st.integers(0, 19))
@settings(max_examples=15, deadline=None)
def test_bars_fixings_and_splits_as_a_slow_walk_finds_them(seed: int, place: int) -> None:
    """Known at noon: the last row of a bar, the newest usable rate up to a day, every split in (after, until]."""
    frame, day = rows(seed), DAYS[place]
    told = frame[frame["known_at"] <= NOON]
    bars = {(r.instrument, r.session.date()): (r.open, r.low, r.high, r.close) for r in told.itertuples()}
    index = BarIndex(frame).known_by(NOON)
    for name in (*sorted(set(frame["instrument"])), "other"):
        got = index.get((name, day), (NAN,) * 4)
        np.testing.assert_array_equal(got, bars.get((name, day), (NAN,) * 4))
    newest: dict[str, dt.date] = {}
    for row in told.itertuples():
        if row.rate > 0.0 and row.session.date() <= day:
            newest[row.currency] = max(newest.get(row.currency, row.session.date()), row.session.date())
    assert Fixings(frame).known_by(NOON).newest(day) == newest
    slow = Decimal(1)
    for row in told.itertuples():
        if row.instrument == "MB1" and row.kind == "SPLIT" and DAYS[3] < row.ex_session.date() <= day:
            slow *= Decimal(repr(row.ratio))
    assert split_ratio(splits_of(frame, NOON), "MB1", DAYS[3], day) == slow


@given(seed=st.integers(0, 10_000), names=st.integers(3, 70), unknown=st.sampled_from([0.0, 0.05]))
@settings(max_examples=15, deadline=None)
def test_drift_is_scipys_to_the_bit(seed: int, names: int, unknown: float) -> None:
    """Kolmogorov-Smirnov of every feature, with ties, gaps, features without spread and ones that came later."""
    draws = np.random.default_rng(seed)

    def session() -> pd.DataFrame:
        values = draws.standard_t(3, size=(names, 4))
        values[:, 1] = np.round(values[:, 1])
        values[draws.random(values.shape) < unknown] = np.nan
        return pd.DataFrame(values, columns=list("abcd")).assign(complete=True)

    past = [session() for _ in range(4)]
    past[0] = past[0].drop(columns="d")
    now = session().assign(c=1.0)

    def scores(frame: pd.DataFrame, name: str) -> np.ndarray:
        known = frame[name].dropna().to_numpy() if name in frame else np.empty(0)
        varies = len(known) >= 3 and known.min() != known.max()
        return (known - known.mean()) / known.std() if varies else np.empty(0)

    found = {one.drift.feature: one for one in compared_features(section_of(now), [section_of(p) for p in past])}
    for name in "abcd":
        before, today = np.concatenate([scores(frame, name) for frame in past]), scores(now, name)
        if not len(before):
            assert name not in found
        elif not len(today):
            assert (found[name].ks, found[name].drift.ks_p) == (1.0, 0.0)
        else:
            test = ks_2samp(today, before, method="asymp")
            assert (found[name].ks, found[name].drift.ks_p) == (test.statistic, test.pvalue)


@given(seed=st.integers(0, 10_000), sessions=st.integers(0, 45), names=st.integers(1, 6))
@settings(max_examples=15, deadline=None)
def test_medians_of_counted_values_are_numpys(seed: int, sessions: int, names: int) -> None:
    """Column by column, to the bit; NaN of nothing."""
    draws = np.random.default_rng(seed)
    values, counted = draws.lognormal(size=(sessions, names)), draws.random((sessions, names)) < 0.4
    slow = [np.median(v[c]) if c.any() else NAN for v, c in zip(values.T, counted.T, strict=True)]
    np.testing.assert_array_equal(medians(values, counted), slow)
    assert OWN_SESSIONS == 20


def test_scenarios_with_a_memory_are_those_without(world: Tables, mandate: Mandate) -> None:
    """To the bit, over a month's end, members that change every session, sectors that change once and homes that do."""
    history = History(world, mandate, dt.date(2019, 1, 30), dt.date(2019, 2, 4))
    known = [history.at(day) for day in history.sessions]
    place = history.days.index(history.sessions[0])
    draws, memory = np.random.default_rng(1), ScenarioMemory()
    for step, day in enumerate(known):
        until, count = slice(place + step + 1), len(day.instruments)
        past = Past(
            history.days[until],
            history._returns[until],
            history._macro.series["SP500"][until],
            history._macro.series["US10Y"][until],
            history._rates[until],
        )
        sizes = draws.normal(size=(2, count))
        told = day.listings.texts("sector")
        sectors = told if step < 2 else (*told[1:], told[0])
        home = np.arange(count) % 2 == 0 if step == len(known) - 1 else np.ones(count, dtype=bool)
        universe = Universe(sectors, ~day.listings.is_fund, home, sizes[0], sizes[1])
        beta = draws.lognormal(size=count)
        kept, anew = (scenario_returns(past, beta, day.session, universe, m) for m in (memory, None))
        assert kept.names == anew.names
        for name in ("returns", "proxied", "factor_returns", "paths", "years"):
            np.testing.assert_array_equal(getattr(kept, name), getattr(anew, name))


def test_a_fit_with_the_samples_of_the_fit_before_is_the_fit_without(world: Tables, mandate: Mandate) -> None:
    """The model of each refit, and no more samples kept than one fit has."""
    history, sizes = History(world, mandate, dt.date(2019, 2, 4), dt.date(2019, 2, 11)), []
    kept: Samples = {}
    for day in history.sessions[::5]:
        training = history.at(day).training
        assert fit_return_model(training, mandate, kept) == fit_return_model(training, mandate)
        sizes.append(len(kept))
    assert len(sizes) == 2
    assert sizes[0] == sizes[1] > 0


def one_by_one(limits: LimitSet, book: Floats) -> float:
    """The largest violation, every limit measured by itself."""
    bounds, now = limits.bounds, limits.weights_now
    over = [limit.left(book, now) - limit.bound for limit in limits.limits]
    over += [*(bounds.lower - book), *(book - bounds.upper), 0.0]
    return float(max(over)) if np.isfinite(over).all() else float("inf")


def test_limits_are_eased_as_each_by_itself_would_be(world: Tables, mandate: Mandate) -> None:
    """Those that one product settles, too, in books that keep all limits and in such that cannot be sold fast enough."""
    days, _, _ = loop(world, mandate, 1)
    inputs = next(iter(days)).decision.inputs
    inputs, facts = replace(inputs, adv=inputs.adv * 1e-5), facts_of(inputs, mandate)
    eased = set()
    for held in (0.0, 0.01, 0.03, 0.3, 2.0):
        shares = np.where(np.arange(len(facts.weights_now)) % 3 == 0, held, held / 50.0)
        book = replace(facts, weights_now=shares / max(shares.sum(), 1.0), sellable=np.ones(len(shares), dtype=bool))
        limits = limit_set(inputs, book, mandate)
        for stated, kept in zip(limits.stated[:-1], limits.limits[:-1], strict=True):
            alone = feasible(stated, limits.bounds, book.weights_now)  # type: ignore[type-var]
            assert (alone.bound, alone.hard) == (kept.bound, kept.hard)
        eased.add(len(limits.eased))
    assert min(eased) == 0 < max(eased)


def test_the_tester_says_what_the_residual_says(world: Tables, mandate: Mandate) -> None:
    """Also a hair beside a bound, where one product of all rows could not tell."""
    days, _, _ = loop(world, mandate, 1)
    inputs = next(iter(days)).decision.inputs
    limits = limit_set(inputs, facts_of(inputs, mandate), mandate)
    holds, weights = limits.tester(), limits.bounds.upper.copy()
    gross = next(limit for limit in limits.limits if limit.control == "RC-36")
    weights *= gross.bound / gross.left(weights, limits.weights_now)
    said = set()
    for nudge in (0.0, 1e-12, -1e-12, 1e-6, -1e-6, NAN):
        for scale in (0.0, 0.05, 0.2, 0.5, 1.0):
            book = weights * scale * (1.0 + nudge)
            said.add(holds(book))
            assert holds(book) == (limits.residual(book) == 0.0)
            assert limits.residual(book) == one_by_one(limits, book)
    assert said == {True, False}
    own = tuple(
        limit for limit in limits.limits if not isinstance(limit, Funding) and not getattr(limit, "on_buys", False)
    )
    for kept in (limits, LimitSet(limits.bounds, own, limits.weights_now)):
        for shape in (weights, 3.0 * weights, np.where(np.arange(len(weights)) % 7 == 0, weights, 0.0)):
            assert True in multiples_are_tested_as_books(kept, shape)
    assert False in multiples_are_tested_as_books(limits, weights)


def multiples_are_tested_as_books(limits: LimitSet, shape: Floats) -> set[bool]:
    """What the left sides at one multiple settle is what the residual says at every other, to the last bit beside the edge."""
    along, said = multiples(shape, limits, 1e3), set()

    def holds(t: float) -> bool:
        return limits.residual(np.clip(t * shape, limits.bounds.lower, limits.bounds.upper)) == 0.0

    good, bad = 0.0, 1e3
    while np.nextafter(good, bad) < bad:
        middle = 0.5 * (good + bad)
        good, bad = (middle, bad) if holds(middle) else (good, middle)
    near = [good * (1.0 + k * 2.0**-52) for k in range(-40, 41)]
    for t in (0.0, 1e-9, 0.3, 0.5, 0.7, 0.999, 1.0, 1.5, 999.0, *near):
        said.add(along(t))
        assert along(t) == holds(t), t
    return said
