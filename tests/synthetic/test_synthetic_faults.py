"""Faults on request: every altered value stands in the truth, and nothing else is altered."""

import datetime as dt
from collections import Counter, defaultdict
from functools import lru_cache

import pytest
from synthetic_worlds import BAR_FAULTS, END, FAULTY, Row, instant, rows_of, spec_of

from marketbot_resources import calendars
from marketbot_resources.synthetic.provider import SyntheticWorld

LATE = END + dt.timedelta(days=20)
NUMBERS = ("open", "high", "low", "close", "volume")


@lru_cache(maxsize=2)
def world(faulty: bool) -> SyntheticWorld:
    return SyntheticWorld(spec_of(instruments=40, faults=FAULTY if faulty else None))


@lru_cache(maxsize=2)
def served(faulty: bool) -> dict[tuple[str, str], list[Row]]:
    """Rows by key, the first known first."""
    found: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows_of(world(faulty).market.prices(None, LATE)):
        found[row["source_id"], row["session"]].append(row)
    return found


@lru_cache(maxsize=1)
def truth() -> list[dict[str, object]]:
    return world(True).truth.faults().to_pylist()


def number(text: str) -> float | None:
    return float(text) if text else None


def test_every_kind_of_fault_appears() -> None:
    """As often as asked: one bar of each kind a year and listing, give or take; halts spread, actions by their shares."""
    bars = {(row["kind"], row["source_id"], row["session"]) for row in truth()}
    counts = Counter(kind for kind, _, _ in bars)
    years = len(served(False)) / 252
    for name in BAR_FAULTS:
        low, high = (1.5, 9.0) if name == "halt" else (0.6, 1.4)
        assert low * years < counts[name.upper()] < high * years, name
    clean = Counter(row["kind"] for row in rows_of(world(False).market.corporate_actions(None, LATE)))
    assert counts["UNANNOUNCED_SPLIT"] == pytest.approx(0.4 * clean["SPLIT"], abs=2 * clean["SPLIT"] ** 0.5)
    dividends = clean["CASH_DIVIDEND"] + clean["SPECIAL_DIVIDEND"]
    assert counts["MISSING_DIVIDEND"] == pytest.approx(0.3 * dividends, abs=2 * dividends**0.5)


def test_bars_differ_exactly_where_the_truth_says() -> None:
    """A naive comparison of the clean and the faulty world, value by value, finds the rows of the truth and no other."""
    found = set()
    for key, (clean,) in served(False).items():
        rows = served(True).get(key, [])
        if not rows:
            found.add((*key, "bar", float(clean["close"]), None))
            continue
        for name in NUMBERS:
            if rows[0][name] != clean[name]:
                found.add((*key, name, float(clean[name]), number(rows[0][name])))
        if rows[0]["known_at"] != clean["known_at"]:
            times = (instant(row["known_at"]).timestamp() for row in (clean, rows[0]))
            found.add((*key, "known_at", *times))
        same = ("currency", "close_adjusted_by_source", "synthetic", "synthetic_fields")
        assert all(row[name] == clean[name] for row in rows for name in same)
        assert all(row["price_level"] == row["close"] for row in rows)
    told = {
        (r["source_id"], r["session"].isoformat(), r["field"], r["true_value"], r["served_value"])
        for r in truth()
        if r["field"] != "action"
    }
    assert found == told
    assert served(True).keys() <= served(False).keys()


def test_the_true_bars_are_the_clean_world() -> None:
    """The truth has a bar for each that a world without faults serves, with the same values, whatever the faults."""
    true = {(r["source_id"], r["session"].isoformat()): r for r in world(True).truth.bars().to_pylist()}
    assert true.keys() == served(False).keys()
    for key, (clean,) in served(False).items():
        assert [true[key][name] for name in NUMBERS] == [float(clean[name]) for name in NUMBERS]


def test_revisions_bring_the_right_bar_a_day_later() -> None:
    """Exactly the revised bars are served twice: wrong, then as in the clean world."""
    revised = {(r["source_id"], r["session"].isoformat()) for r in truth() if r["kind"] == "REVISION"}
    assert {key for key, rows in served(True).items() if len(rows) > 1} == revised
    for key in revised:
        wrong, right = served(True)[key]
        (clean,) = served(False)[key]
        assert instant(right["known_at"]) - instant(wrong["known_at"]) == dt.timedelta(days=1)
        assert {**right, "known_at": ""} == {**clean, "known_at": ""}
        assert float(wrong["close"]) > float(right["close"])


def test_actions_differ_exactly_where_the_truth_says() -> None:
    """What is missing from the served actions is in the truth of faults; what is served is as in the clean world."""
    clean, faulty = (
        {(r["source_id"], r["ex_session"], r["kind"]): r for r in rows_of(w.market.corporate_actions(None, LATE))}
        for w in (world(False), world(True))
    )
    assert all(clean[key] == row for key, row in faulty.items())
    missing = {
        (key[0], key[1], float(clean[key]["ratio" if key[2] == "SPLIT" else "amount"]))
        for key in clean.keys() - faulty.keys()
    }
    told = {(r["source_id"], r["session"].isoformat(), r["true_value"]) for r in truth() if r["field"] == "action"}
    assert missing == told
    everything = world(True).truth.actions().to_pylist()
    assert {(r["source_id"], r["ex_session"].isoformat(), r["kind"]) for r in everything} == set(clean)


def test_each_fault_looks_like_its_name() -> None:
    """Unit errors by a hundred on all four prices, bad ticks by 30 % or more, stale bars repeat the day before, halts in a row."""
    by_bar: dict[tuple[str, str], list[dict[str, object]]] = defaultdict(list)
    for row in truth():
        if row["field"] != "action":
            by_bar[row["source_id"], row["session"].isoformat()].append(row)
    mics = {row["source_id"]: row["mic"] for row in rows_of(world(True).market.instruments(END))}
    for key, rows in by_bar.items():
        (kind,) = {row["kind"] for row in rows}
        ratios = [row["served_value"] / row["true_value"] for row in rows if row["served_value"] and row["true_value"]]
        if kind == "UNIT_ERROR":
            assert len(rows) == 4
            assert len({round(ratio) if ratio > 1 else round(1 / ratio) for ratio in ratios} - {100}) == 0
        if kind == "BAD_TICK":
            (ratio,) = ratios
            assert abs(ratio - 1) > 0.29
        if kind == "STALE":
            days = calendars.sessions(mics[key[0]], dt.date(2015, 1, 1), END.date())
            before = days[days.index(dt.date.fromisoformat(key[1])) - 1].isoformat()
            assert [served(True)[key][0][n] for n in NUMBERS] == [served(False)[key[0], before][0][n] for n in NUMBERS]
        if kind == "LATE":
            assert {(row["served_value"] - row["true_value"]) / 86_400 for row in rows} <= {1.0, 2.0, 3.0}
    assert {len(rows) for rows in by_bar.values()} <= {1, 2, 3, 4, 5}


def test_halts_last_two_sessions_or_more() -> None:
    """A halted listing misses at least two sessions in a row, unless its life ends first."""
    halted: dict[str, set[dt.date]] = defaultdict(set)
    for row in truth():
        if row["kind"] == "HALT":
            halted[row["source_id"]].add(row["session"])
    listings = {row["source_id"]: row for row in rows_of(world(True).market.instruments(END))}
    for source_id, days in halted.items():
        own = calendars.sessions(listings[source_id]["mic"], dt.date(2015, 1, 1), END.date() - dt.timedelta(days=1))
        last = listings[source_id]["delisted_on"] or own[-1].isoformat()
        for day in days:
            at = own.index(day)
            beside = {own[at - 1], own[at + 1]} if at + 1 < len(own) else {own[at - 1]}
            assert beside & days or day.isoformat() == last
