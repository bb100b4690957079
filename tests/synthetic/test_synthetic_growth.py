"""A bigger or longer synthetic world only adds to a smaller one, and nothing depends on how it is cut or where it runs."""

import datetime as dt
import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_worlds import BAR_FAULTS, FAULTY, FIRST, MICS, rows_of, spec_of

from marketbot_resources.errors import UsageError
from marketbot_resources.synthetic.actions import actions_of
from marketbot_resources.synthetic.provider import SyntheticWorld, Years
from marketbot_resources.synthetic.spec import ALL_KINDS, EventSpec, FaultSpec, RiskSpec, WorldSpec
from marketbot_resources.synthetic.world import bars, blocks

ROOT = Path(__file__).parents[2]
UNTIL = dt.datetime(2016, 6, 30, 23, tzinfo=dt.UTC)
SUNK = 2  # a seed whose wild world has a price that fell too far for what was announced, across a new year


def served(spec: WorldSpec, until: dt.datetime) -> dict[str, list[str]]:
    """Every line of every table, as served up to an instant."""
    world = SyntheticWorld(spec)
    bodies = {
        "prices": world.market.prices(None, until),
        "actions": world.market.corporate_actions(None, until),
        "fx": world.market.fx(None, until),
        "instruments": world.market.instruments(until),
        "macro": world.macro.series(None, until),
        "filings": world.fundamentals.filings(None, until),
        "headlines": world.news.headlines(None, until),
    }
    return {name: delivery.bodies[0].content.decode().splitlines() for name, delivery in bodies.items()}


def numbered(lines: list[str], below: int) -> list[str]:
    """Lines of instruments with smaller numbers; the id stands within the first cells."""
    return [line for line in lines if "SYN-" in line and int(line.split("SYN-")[1][:6]) < below]


def test_a_later_end_changes_nothing_that_was_there() -> None:
    """Whatever was knowable by the old end is served alike, byte for byte: bars, actions, figures, headlines, macro, listings."""
    short = spec_of(instruments=24, last=dt.date(2016, 6, 30), faults=FAULTY)
    old, new = served(short, UNTIL), served(replace(short, last=dt.date(2017, 8, 15)), UNTIL)
    assert len(old["prices"]) > 5_000
    assert old == new


def test_more_instruments_change_none_that_were_there() -> None:
    """The first 24 of 40 are the 24: their lines are the same in the same order."""
    few = spec_of(instruments=24, last=dt.date(2016, 6, 30), faults=FAULTY)
    old, new = served(few, UNTIL), served(replace(few, instruments=40), UNTIL)
    assert len(new["prices"]) > len(old["prices"])
    for name in ("prices", "actions", "instruments", "filings", "headlines"):
        assert numbered(new[name], 24) == old[name][1:]
    assert (new["fx"], new["macro"]) == (old["fx"], old["macro"])


@pytest.mark.parametrize("chunk", [1, 3, 7])
def test_the_size_of_a_block_does_not_matter(chunk: int) -> None:
    """Bars are equal to the last bit whether a listing is made alone, with two or six others, or with all."""
    spec = spec_of(instruments=20, last=dt.date(2016, 12, 30), faults=FAULTY)
    by_mic = [[row for table in bars(spec, None, size) for row in table.to_pylist()] for size in (chunk, 250)]
    assert repr(by_mic[0]) == repr(by_mic[1])


def test_any_listings_can_be_made_alone() -> None:
    """Asking for some numbers gives their rows of the whole world."""
    spec = spec_of(instruments=20, last=dt.date(2016, 12, 30))
    chosen = (3, 6, 17)
    some = [row for table in bars(spec, chosen) for row in table.to_pylist()]
    ids = {f"SYN-{number:06d}" for number in chosen}
    every = [row for table in bars(spec) for row in table.to_pylist() if row["source_id"] in ids]
    assert sorted(map(repr, some)) == sorted(map(repr, every))


SCRIPT = """
import datetime as dt, hashlib
from synthetic_worlds import FAULTY, spec_of
from test_synthetic_growth import UNTIL, served
spec = spec_of(instruments=12, last=dt.date(2016, 6, 30), faults=FAULTY)
print(hashlib.sha256(repr(served(spec, UNTIL)).encode()).hexdigest())
"""


def test_another_process_makes_the_same_bytes() -> None:
    """Neither the hash seed nor the process matters."""
    spec = spec_of(instruments=12, last=dt.date(2016, 6, 30), faults=FAULTY)
    here = hashlib.sha256(repr(served(spec, UNTIL)).encode()).hexdigest()
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={"PYTHONPATH": f"{ROOT}:{Path(__file__).parent}", "PYTHONHASHSEED": "77", "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert done.stdout.strip() == here


def test_another_seed_is_another_world() -> None:
    """The seed decides: no line of prices is shared."""
    one, two = (served(spec_of(instruments=8, last=dt.date(2015, 6, 30), seed=seed), UNTIL) for seed in (1, 2))
    assert set(one["prices"][1:]).isdisjoint(two["prices"][1:])


def test_a_provider_that_forgets_serves_the_same() -> None:
    """What a provider keeps is a matter of memory, not of what it answers: one year kept or all of them."""
    spec = spec_of(instruments=12, last=dt.date(2017, 6, 30), faults=FAULTY)
    forgetful, keeping = Years(spec, kept_rows_max=0), Years(spec)
    since = dt.datetime(2015, 9, 1, tzinfo=dt.UTC)
    for kind in ("prices", "corporate_actions", "filings", "headlines"):
        late = dt.datetime(2019, 1, 1, tzinfo=dt.UTC)
        assert forgetful.rows(kind, since, late).equals(keeping.rows(kind, since, late))
        assert keeping.rows(kind, since, late).num_rows > 10


def test_years_made_together_are_years_made_alone() -> None:
    """A price may fall so far that it cannot bear what was announced: the announcement of the old year stays as it was told."""
    wild = RiskSpec(drift=-1.0, specific_vol=1.0, jumps_per_year=50.0, jump_vol=0.3, market_vol=1.0)
    events = EventSpec(ALL_KINDS, spin_offs=1.0, special_dividends=5.0, young=0.0, delistings=0.0, headlines=0.5)
    spec = WorldSpec(60, ("XNYS",), FIRST, dt.date(2017, 6, 30), SUNK, risk=wild, events=events)
    assert any(actions_of(block) != actions_of(block, announced=True) for block in blocks(spec)), "no price fell so far"
    alone, together, until = Years(spec, kept_rows_max=0), Years(spec), dt.datetime(2017, 7, 1, tzinfo=dt.UTC)
    for kind in ("corporate_actions", "filings"):
        assert alone.rows(kind, None, until).equals(together.rows(kind, None, until))
    assert alone.splits(2016) == together.splits(2016)
    assert len(together.splits(2016)) > 3


RISKS = st.builds(
    RiskSpec,
    drift=st.floats(-1, 1),
    market_vol=st.floats(0, 1),
    sector_vol=st.floats(0, 1),
    specific_vol=st.floats(0, 1),
    log_vol_sd=st.floats(0, 1),
    vol_persistence=st.floats(0, 0.999),
    leverage=st.floats(-1, 1),
    tail_degrees=st.floats(2.5, 100),
    jumps_per_year=st.floats(0, 50),
    jump_vol=st.floats(0, 0.3),
    market_jumps_per_year=st.floats(0, 50),
    market_jump_vol=st.floats(0, 0.3),
)
EVENTS = st.builds(
    EventSpec,
    kinds=st.lists(st.sampled_from(ALL_KINDS), unique=True).map(tuple),
    payers=st.floats(0, 1),
    splits=st.floats(0, 5),
    special_dividends=st.floats(0, 5),
    spin_offs=st.floats(0, 1),
    renames=st.floats(0, 5),
    delistings=st.floats(0, 5),
    merger=st.floats(0, 1),
    young=st.floats(0, 1),
    headlines=st.floats(0, 250),
    restated=st.floats(0, 1),
)
FAULTS = st.builds(
    FaultSpec,
    **{name: st.floats(0, 10) for name in BAR_FAULTS},
    unannounced_split=st.floats(0, 1),
    missing_dividend=st.floats(0, 1),
)
SPECS = st.builds(
    WorldSpec,
    instruments=st.integers(1, 12),
    mics=st.lists(
        st.sampled_from((*MICS, "XHKG", "XETR", "XNAS", "XTSE", "XTAE")), min_size=1, max_size=4, unique=True
    ).map(tuple),
    first=st.just(FIRST),
    last=st.dates(dt.date(2015, 1, 9), dt.date(2016, 3, 31)),
    seed=st.integers(0, 2**32 - 1),
    risk=RISKS,
    events=EVENTS,
    faults=FAULTS,
    ticks=st.booleans(),
)


def check_world(spec: WorldSpec) -> None:
    """Whatever the spec: prices positive and ordered, keys unique but for revisions, growth changes nothing."""
    world = SyntheticWorld(spec)
    for row in world.truth.bars().to_pylist():
        assert 0 < row["low"] <= min(row["open"], row["close"]), (spec, row)
        assert max(row["open"], row["close"]) <= row["high"] < float("inf"), (spec, row)
        assert row["volume"] >= 0
        assert row["total_return"] > -1
    end = dt.datetime.combine(spec.last, dt.time(), tzinfo=dt.UTC)
    longer = replace(spec, last=spec.last + dt.timedelta(days=40), instruments=spec.instruments + 3)
    old, new = served(spec, end), served(longer, end)
    for name in ("prices", "actions", "instruments", "filings", "headlines"):
        assert numbered(new[name], spec.instruments) == old[name][1:], (spec, name)
    actions = rows_of(world.market.corporate_actions(None, end))
    keys = [(row["source_id"], row["ex_session"], row["kind"]) for row in actions]
    assert len(set(keys)) == len(keys)
    assert all(float(row["amount"]) >= 0 and float(row["ratio"]) >= 0 for row in actions)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(SPECS)
def test_any_spec_makes_a_sound_world(spec: WorldSpec) -> None:
    """Extremes of volatility, jumps, event rates and faults do not break the rules of bars, actions and growth."""
    check_world(spec)


@pytest.mark.long
@settings(max_examples=600, deadline=None)
@given(SPECS)
def test_any_of_many_specs_makes_a_sound_world(spec: WorldSpec) -> None:
    """The same, for long."""
    check_world(spec)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"instruments": 0}, "instruments"),
        ({"instruments": 2.5}, "instruments"),
        ({"instruments": True}, "instruments"),
        ({"seed": -1}, "seed"),
        ({"mics": ()}, "MICs"),
        ({"mics": ("XNYS", "XNYS")}, "MICs"),
        ({"mics": ("NOWHERE",)}, "NOWHERE"),
        ({"first": dt.date(1990, 1, 1)}, "first"),
        ({"last": dt.date(2014, 1, 1)}, "last"),
        ({"last": dt.date(2040, 1, 1)}, "last"),
    ],
)
def test_an_impossible_world_is_refused(changed: dict[str, object], named: str) -> None:
    """The message names what was expected and found."""
    with pytest.raises(UsageError, match=named):
        replace(spec_of(), **changed)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.1, None, "0.1", True])
@pytest.mark.parametrize(
    ("part", "name"), [(RiskSpec, "market_vol"), (EventSpec, "splits"), (FaultSpec, "gap"), (RiskSpec, "tail_degrees")]
)
def test_impossible_rates_are_refused(part: type, name: str, value: object) -> None:
    """NaN, infinities, negatives and non-numbers are no rates."""
    with pytest.raises(UsageError, match=name):
        part(**{name: value})


def test_unknown_kinds_and_too_many_faults_are_refused() -> None:
    """A kind that nobody makes; more faults than there are bars to hold them."""
    with pytest.raises(UsageError, match="SPLITS"):
        EventSpec(kinds=("SPLITS",))
    with pytest.raises(UsageError, match="100"):
        FaultSpec(gap=50, halt=50, late=1)
    closed = WorldSpec(1, ("XNYS",), dt.date(2016, 1, 1), dt.date(2016, 1, 3), 1)  # a holiday and a weekend
    with pytest.raises(UsageError, match="XNYS"):
        list(bars(closed))
