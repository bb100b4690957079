"""L2 to L5: planted looks into the future are caught, each by the check that can see it; our own graph has none."""

import datetime as dt
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from planted_leaks import (
    CUTOFFS,
    DAYS,
    GAPPY,
    HONEST,
    LEAKS,
    NAMES,
    World,
    carried,
    closes,
    gap_bfill,
    interpolated,
    small_world,
)
from research_world import END

from marketbot_assets.features import market_inputs
from marketbot_assets.features.catalogue import declared, lookback_sessions, names
from marketbot_assets.features.declaration import BEFORE, FIGURES
from marketbot_assets.features.plan import inputs_of
from marketbot_assets.features.registry import NAMES as FEATURES
from marketbot_assets.ingestion.parse import PARSERS
from marketbot_assets.normalization.series import normalize_news
from marketbot_assets.research import leak_campaign
from marketbot_assets.research.history import NORMALIZED, History, Tables
from marketbot_assets.research.layers import Layers
from marketbot_assets.research.leakcheck import (
    CANARY_CHECK,
    ORDER,
    PERTURBATION,
    REMOVAL,
    TRUNCATION,
    WARM_UP,
    Ground,
    Result,
    Tally,
    check_future,
    check_order,
    check_removal,
    check_warm_up,
    panel,
)
from marketbot_assets.research.wide_layer import GROUP, WideLayer
from marketbot_assets.research.worlds import CANARY, event_cuts, known_by, perturbed, random_cuts, with_canaries
from marketbot_resources.calendars import computed_cutoff
from marketbot_resources.mandate import Mandate
from marketbot_resources.wiring import Ports

FIRST, LAST = DAYS[130], DAYS[-10]
CHECKS = {TRUNCATION, PERTURBATION, CANARY_CHECK}
# A canary is a huge number: scaled, ranked, split-adjusted values and logarithms show none. Who is there at all no number tells.
# A gap that is filled by the next bar shows only at a cut inside of it; other futures are tried at every sixth cut alone.
NUMBERS, ROWS = {TRUNCATION, PERTURBATION}, {TRUNCATION}
SEEN_BY = {
    "full_sample_zscore": NUMBERS,
    "full_sample_rank": NUMBERS,
    "min_max": NUMBERS,
    "whole_sample_pca": NUMBERS,
    "next_return": CHECKS,
    "centred_window": CHECKS,
    "weekly_bfill": CHECKS,
    "interpolated": ROWS,
    "gap_bfill": ROWS,
    "survivor_pick": ROWS,
    "end_anchored_price": NUMBERS,
    "reverse_ewm": CHECKS,
    "joined_on_period_end": CHECKS,
    "revised_before_release": CHECKS,
    "overlapping_label": NUMBERS,
}


def results(tally: Tally, check: str) -> dict[str, Result]:
    """Output without its group -> result of one check."""
    return {r.output.partition(".")[2]: r for r in tally.results() if r.check == check}


def cuts_of(world: World, count: int, most: int) -> list[dt.date]:
    after = event_cuts(world, DAYS, list(CUTOFFS.values()), first=FIRST, most=most, seed=1)
    usable = [day for day in DAYS if FIRST <= day <= LAST]
    return sorted({*random_cuts(usable, count, seed=1), *(day for day in after if day <= LAST)})


@pytest.fixture(scope="module")
def planted() -> Tally:
    world, tally = small_world(), Tally()
    ground = Ground(world, CUTOFFS, cuts_of(world, 60, 20), futures=6, revisions=20)
    check_future(ground, tally, make=panel({**LEAKS, **HONEST}), group="feature")
    return tally


@pytest.mark.parametrize("name", LEAKS)
def test_every_planted_leak_is_caught(planted: Tally, name: str) -> None:
    """L2, L3: fifteen ways to look ahead, each caught by every check that can see it."""
    caught = {check for check in CHECKS if results(planted, check)[name].status == "leaks"}
    assert caught >= SEEN_BY[name], f"{name}: caught by {sorted(caught)}"


@pytest.mark.parametrize("name", HONEST)
def test_no_honest_feature_is_reported(planted: Tally, name: str) -> None:
    """No false alarm: trailing statistics, carried values, joins on the filing instant and purged labels pass every check."""
    assert {results(planted, check)[name].status for check in CHECKS} == {"ok"}


@pytest.mark.parametrize("feature", [gap_bfill, interpolated])
def test_a_filled_gap_needs_the_cut_inside_of_it(feature: object) -> None:
    """L2: one gap in 500 sessions is missed by cuts elsewhere and caught by the cuts that are set at gaps."""
    world = small_world(gaps=(290,))
    inside = event_cuts({"prices": world["prices"]}, DAYS, list(CUTOFFS.values()), first=FIRST, most=200, seed=1)
    assert {DAYS[290], DAYS[291]} <= set(inside)
    elsewhere = [day for day in random_cuts(DAYS[130:-10], 20, seed=1) if abs(DAYS.index(day) - 290) > 6]
    for cuts, status in ((elsewhere, "ok"), ([DAYS[290]], "leaks")):
        tally = Tally()
        check_future(Ground(world, CUTOFFS, cuts, futures=0), tally, make=panel({"filled": feature}), group="feature")  # type: ignore[dict-item]
        assert results(tally, TRUNCATION)["filled"].status == status


def test_cuts_lie_at_gaps_releases_and_events() -> None:
    """Each kind of event gives the session at which it becomes known and the one before it, or the gap and the session after."""
    world = small_world(gaps=(290,))
    limits = list(CUTOFFS.values())
    actions = event_cuts({"corporate_actions": world["corporate_actions"]}, DAYS, limits, first=FIRST, most=99, seed=1)
    assert actions == [DAYS[189], DAYS[190], DAYS[319], DAYS[320]]
    prices = world["prices"][world["prices"]["instrument"] == GAPPY]
    assert event_cuts({"prices": prices}, DAYS, limits, first=FIRST, most=99, seed=1) == [DAYS[290], DAYS[291]]
    assert len(event_cuts(world, DAYS, limits, first=FIRST, most=7, seed=1)) == 7


def test_another_future_leaves_the_past_as_it_was() -> None:
    """L3: rows known by the cut keep every value; every later number differs; revisions of known rows come a microsecond later."""
    world, at = small_world(), CUTOFFS[DAYS[300]]
    for future in (perturbed(world, at, seed=5, revisions=20), with_canaries(world, at, seed=5, revisions=20)):
        for name, frame in known_by(future, at).items():
            was = known_by(world, at)[name].sort_values("known_at", kind="stable", ignore_index=True)
            pd.testing.assert_frame_equal(frame, was, check_exact=True)
        for name, column in (("prices", "close"), ("fundamentals", "value"), ("macro", "value")):
            frame, was = future[name], world[name]
            late, before = frame[frame["known_at"] > at], was[was["known_at"] > at]
            assert len(late) > len(before)
            assert late["known_at"].min() == pd.Timestamp(at) + pd.Timedelta(microseconds=1)
            assert not set(late[column]) & set(was[column])
    assert set(future["prices"].loc[future["prices"]["known_at"] > at, "volume"]) == {CANARY}


def test_what_was_never_compared_is_unverified() -> None:
    """L5: an output without a value in it proves nothing, and says so."""
    tally = Tally()
    nothing = panel({"nothing": lambda world: closes(world) * np.nan})
    check_future(Ground(small_world(), CUTOFFS, [DAYS[300]], revisions=5), tally, make=nothing, group="feature")
    assert {result.status for result in tally.results()} == {"unverified"}


def test_a_function_that_fails_on_a_cut_is_a_finding() -> None:
    """An output that cannot be computed without the future depends on it; the reason is told."""

    def needs_the_end(world: World) -> pd.DataFrame:
        if world["prices"]["session"].max() < pd.Timestamp(LAST):
            raise ValueError("expected prices up to the end")
        return closes(world)

    tally = Tally()
    ground = Ground(small_world(), CUTOFFS, [DAYS[300]], revisions=5)
    check_future(ground, tally, make=panel({"x": needs_the_end}), group="feature")
    (found,) = [result for result in tally.results() if result.raised]
    assert (found.check, found.status, found.cut) == (TRUNCATION, "leaks", DAYS[300])
    assert found.raised == "ValueError: expected prices up to the end"


def smoothed(world: World, session: dt.date, sessions: int) -> pd.DataFrame:
    """A mean of 50 sessions, and an exponential one that never forgets, from so many sessions of history."""
    values = closes(world).loc[:session].iloc[-sessions:].ffill()
    last = {"mean": values.rolling(50).mean().iloc[-1], "ewm": values.ewm(span=200).mean().iloc[-1]}
    return pd.DataFrame(last)


def test_a_declared_lookback_that_is_too_short_is_caught() -> None:
    """L4: from N, 2 N and 4 N sessions a mean of N is the same; an exponential mean of span 200 is not after 60, 120 and 240."""
    tally = Tally()
    ground = Ground(small_world(), CUTOFFS, [DAYS[300], DAYS[350]])
    check_warm_up(ground, tally, make=smoothed, group="feature", lookbacks={"mean": 50, "ewm": 60})
    found = results(tally, WARM_UP)
    assert (found["mean"].status, found["ewm"].status) == ("ok", "leaks")


def as_it_comes(world: World) -> pd.DataFrame:
    """The row that happens to stand last."""
    last = world["prices"].drop_duplicates("instrument", keep="last").set_index("instrument")["close"]
    return pd.DataFrame({name: np.full(len(DAYS), last.get(name, np.nan)) for name in NAMES}, index=pd.Index(DAYS))


def among_others(world: World) -> pd.DataFrame:
    return closes(world).rank(axis=1)


def test_the_order_of_rows_and_absent_names_are_seen() -> None:
    """A value that hangs on the order of rows, or on which other names there are, is caught; one that does not passes."""
    tally, ground = Tally(), Ground(small_world(), CUTOFFS, [DAYS[300], DAYS[350]])
    make = panel({"carried": carried, "as_it_comes": as_it_comes, "among_others": among_others})
    check_order(ground, tally, make=make, group="feature")
    check_removal(ground, tally, make=make, group="feature", column="instrument", own=lambda output: True)
    assert {n: r.status for n, r in results(tally, ORDER).items()} == {
        "carried": "ok",
        "as_it_comes": "leaks",
        "among_others": "ok",
    }
    found = results(tally, REMOVAL)
    assert (found["carried"].status, found["among_others"].status) == ("ok", "leaks")


@pytest.fixture(scope="module")
def tidy(world: Tables, mandate: Mandate) -> World:
    """The sample world's tables with its headlines."""
    until = computed_cutoff(mandate.schedule, END)
    raw = PARSERS["raw_news"](Ports().news.headlines(None, until).bodies[0].content, source="sample", blob_sha256="")
    tables = {name: getattr(world, name) for name in NORMALIZED}
    return {**tables, "news": normalize_news(raw, world.instruments)}


def test_our_own_graph_does_not_look_ahead(tidy: World, mandate: Mandate) -> None:
    """L2 to L5 at a few cuts: no window, feature, factor model, forecast or decision leaks; every feature was exercised."""
    steps = leak_campaign.plan({}, tidy, mandate, END, leak_campaign.Reached(), cuts=4)
    found = leak_campaign.examine(s for s in steps if s.name.startswith(("market", "warm-up")) or s.name == "decision")
    assert [(r.check, r.output, r.worst, r.raised) for r in found if r.leaks] == []
    for check in (TRUNCATION, PERTURBATION, CANARY_CHECK, ORDER, REMOVAL, WARM_UP):
        verified = {r.output for r in found if r.check == check and r.status == "ok"}
        across = {name for name in FEATURES if name.startswith("sector_")} if check == REMOVAL else set()
        assert {f"features.{name}" for name in FEATURES if name not in across} <= verified, check
    groups = {r.output.partition(".")[0] for r in found if r.check == TRUNCATION and r.status == "ok"}
    assert groups >= {"window", "macro", "features", "factor_model", "factors", "scenarios", "context", "return_model"}
    assert groups >= {"forecasts", "target", "plan", "batch", "fills", "book", "verdict"}


def wide_ground(tidy: World, mandate: Mandate, *cuts: dt.date) -> Ground:
    return Ground(tidy, leak_campaign.sessions_of(mandate, END), cuts, rows=1, joint=False, revisions=50)


def test_no_declared_feature_looks_ahead(tidy: World, mandate: Mandate) -> None:
    """Every feature of the registry at the session before filings: bit for bit without the future."""
    layer, tally = WideLayer(mandate), Tally()
    ground = wide_ground(tidy, mandate, dt.date(2018, 11, 13))
    check_future(ground, tally, make=layer.make, group=GROUP)
    check_order(ground, tally, make=layer.make, group=GROUP)
    lookbacks = dict.fromkeys(names(), lookback_sessions())
    check_warm_up(ground, tally, make=layer.warm, group=GROUP, lookbacks=lookbacks)
    found = tally.results()
    assert [(r.check, r.output, r.worst, r.raised) for r in found if r.leaks] == []
    for check in (TRUNCATION, PERTURBATION, CANARY_CHECK, ORDER, WARM_UP):
        verified = {r.output for r in found if r.check == check and r.status == "ok"}
        assert verified == {f"{GROUP}.{name}" for name in names()}, check
    of_one_bar = {f"{GROUP}.{name}" for name in ("KMID", "KLEN", "KUP2", "KSFT", "KSFT2", "OPEN0", "VWAP0")}
    assert {r.worst for r in found if r.check == WARM_UP and r.output in of_one_bar} == {0.0}


def test_the_campaign_of_declared_features_cuts_at_every_gap_and_event(tidy: World, mandate: Mandate) -> None:
    """Truncation at every open or closed gap and event of what they read; order and warm-up at the random cuts."""
    future, order, warm = leak_campaign.declared_plan_of(tidy, mandate, END, cuts=3)
    limits = leak_campaign.sessions_of(mandate, END)
    days, last = list(limits), max(future.ground.cuts)
    read = {name: tidy[name] for name in ("prices", "fx", "fundamentals", "corporate_actions", "instruments")}
    start = min(future.ground.cuts)
    for name, frame in read.items():
        found = event_cuts({name: frame}, days, list(limits.values()), first=start, most=10**5, seed=0)
        assert {day for day in found if day <= last} <= set(future.ground.cuts), name
    assert order.ground.cuts == warm.ground.cuts
    assert len(order.ground.cuts) == 3
    assert set(order.ground.cuts) < set(future.ground.cuts)


def test_a_declared_feature_that_looks_ahead_is_caught(
    tidy: World, mandate: Mandate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Figures that count from two days before their filing are found, and nothing else is."""
    plain = market_inputs.cutoff_micros
    monkeypatch.setattr(market_inputs, "cutoff_micros", lambda cutoffs: plain(cutoffs) + 2 * 86_400_000_000)
    monkeypatch.setattr("marketbot_assets.research.wide_layer.known_by_then", lambda frame, at: frame)
    tally = Tally()
    ground = wide_ground(tidy, mandate, dt.date(2018, 11, 13))
    check_future(replace(ground, futures=0), tally, make=WideLayer(mandate).make, group=GROUP)
    leaking = {r.output.partition(".")[2] for r in tally.results() if r.leaks}
    assert "return_on_assets" in leaking
    assert leaking <= {
        f.name for f in declared() if set(inputs_of(f.tree)) & {*FIGURES, *(n + BEFORE for n in FIGURES)}
    }


@pytest.mark.parametrize(
    ("broken", "output"), [("next_close", "window.close"), ("late_filing", "features.book_to_price")]
)
def test_a_leak_in_the_real_path_is_caught(
    tidy: World, mandate: Mandate, monkeypatch: pytest.MonkeyPatch, broken: str, output: str
) -> None:
    """The campaign looks at the path that is really used: a window that shows tomorrow, figures of tomorrow, are found."""
    at = History.at

    def next_close(history: History, session: dt.date) -> object:
        known = at(history, session)
        later = history.days[min(history.days.index(session) + 1, len(history.days) - 1)]
        return replace(known, window=replace(at(history, later).window, sessions=known.window.sessions))

    def late_filing(history: History, session: dt.date) -> object:
        known = at(history, session)
        filed = history.tables.fundamentals.sort_values("known_at").drop_duplicates("instrument", keep="last")
        newest = known.features["instrument"].map(filed.set_index("instrument")["value"])
        return replace(known, features=known.features.assign(book_to_price=newest.to_numpy()))

    monkeypatch.setattr(History, "at", {"next_close": next_close, "late_filing": late_filing}[broken])
    tally, limits = Tally(), leak_campaign.sessions_of(mandate, END)
    ground = Ground(tidy, limits, [dt.date(2018, 11, 14), dt.date(2018, 11, 21)], rows=1, futures=0)
    check_future(ground, tally, make=Layers(mandate, fits=()).market, group="market")
    assert output in {r.output for r in tally.results() if r.check == TRUNCATION and r.leaks}


def test_a_listing_of_the_future_does_not_exist(world: Tables, mandate: Mandate) -> None:
    """L1: before a name is listed it is no column of any window or model, so it moves no shrinkage and no median."""
    before, after = dt.date(2018, 2, 28), dt.date(2018, 3, 1)
    known = {day: History(world, mandate, before, after).at(day) for day in (before, after)}
    young = set(world.instruments.loc[world.instruments["listed_on"] == pd.Timestamp(after), "instrument"])
    assert young
    for day, there in ((before, set()), (after, young)):
        names = (known[day].window.instruments, known[day].training.instruments, known[day].factor_model.instruments)
        assert all(set(columns) & young == there for columns in names)
        assert set(known[day].instruments["instrument"]) & young == there


@pytest.mark.long
def test_the_whole_campaign_finds_nothing(mandate: Mandate) -> None:
    """Every layer from raw rows to the verdict at 60 random cuts and 30 at gaps and events."""
    from marketbot_assets.commands.leakcheck import _sample

    found = _sample(mandate)
    reached = leak_campaign.Reached()
    steps = leak_campaign.plan(found.raw, found.tidy, mandate, found.last, reached, cuts=60)
    assert sum(len(step.ground.cuts) >= 60 for step in steps) == 1
    results_of = leak_campaign.examine(steps)
    assert [(r.check, r.output, r.worst, r.raised) for r in results_of if r.leaks] == []
    for group in ("prices", "fx", "macro", "fundamentals", "corporate_actions", "news", "data_quality"):
        statuses = {r.status for r in results_of if r.output.startswith(f"{group}.") and r.check == TRUNCATION}
        assert statuses == {"ok"}, group
