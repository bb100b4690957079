"""The synthetic providers behind the ports: what is served when, and that the platform's own parsers take it."""

import datetime as dt
import itertools
from collections import defaultdict
from functools import lru_cache

import pytest
from synthetic_worlds import END, FAULTY, instant, rows_of, spec_of

from marketbot_assets.ingestion.parse import PARSERS
from marketbot_resources.provider import Delivery
from marketbot_resources.synthetic.provider import SyntheticWorld
from marketbot_resources.synthetic.spec import EventSpec

SINCE, UNTIL = (dt.datetime(2016, 3, day, 21, 15, tzinfo=dt.UTC) for day in (3, 18))


@lru_cache(maxsize=1)
def world() -> SyntheticWorld:
    return SyntheticWorld(spec_of(instruments=30, faults=FAULTY))


def ask(table: str, since: dt.datetime | None, until: dt.datetime) -> Delivery:
    made = world()
    ports = {
        "raw_prices": made.market.prices,
        "raw_corporate_actions": made.market.corporate_actions,
        "raw_fx": made.market.fx,
        "raw_macro": made.macro.series,
        "raw_fundamentals": made.fundamentals.filings,
        "raw_news": made.news.headlines,
    }
    return ports[table](since, until)


TABLES = ("raw_prices", "raw_corporate_actions", "raw_fx", "raw_macro", "raw_fundamentals", "raw_news")


@pytest.mark.parametrize("table", TABLES)
def test_serves_exactly_what_became_known(table: str) -> None:
    """since < known_at <= until: a slice is what a naive filter leaves of everything, in the same order, borders included."""
    every = rows_of(ask(table, None, END))
    known = [instant(row["known_at"]) for row in every]
    assert known == sorted(known)
    border = known[len(known) // 2]
    for since, until in ((SINCE, UNTIL), (None, SINCE), (border, END), (None, border), (border, border)):
        wanted = [row for row, at in zip(every, known, strict=True) if (since is None or at > since) and at <= until]
        assert rows_of(ask(table, since, until)) == wanted
    assert rows_of(ask(table, None, dt.datetime(2010, 1, 1, tzinfo=dt.UTC))) == []


@pytest.mark.parametrize("table", TABLES)
def test_the_parsers_take_it(table: str) -> None:
    """Every row parses into the raw table's columns, everything marked synthetic, nothing lost."""
    (body,) = ask(table, None, UNTIL).bodies
    frame = PARSERS[table](body.content, source=body.provider, blob_sha256="x", parser=body.parser, asked=body.asked)
    assert len(frame) == len(rows_of(ask(table, None, UNTIL))) > 20
    assert frame["synthetic"].all()
    assert (frame["known_at"] <= UNTIL).all()


def test_the_parser_takes_the_listings() -> None:
    """One row per listing that had begun to trade; unborn ones are not known."""
    (body,) = world().market.instruments(UNTIL).bodies
    frame = PARSERS["raw_instruments"](body.content, source="synthetic", blob_sha256="x").set_index("source_id")
    truth = world().truth.listings().to_pandas().set_index("source_id")
    begun = truth["first_session"].notna() & (truth["first_session"] <= UNTIL.date())
    assert set(frame.index) == set(truth.index[begun])
    assert 0 < begun.sum() < len(truth)
    assert (frame["listed_on"].dt.date == truth.loc[frame.index, "first_session"]).all()
    gone = truth.loc[frame.index, "last_session"].map(lambda day: day is not None and day <= UNTIL.date())
    assert (frame["delisted_on"].notna() == gone).all()


def test_shares_follow_the_splits() -> None:
    """Shares outstanding are multiplied by each split that has taken effect, served or not, and so are the filed shares."""
    truth = world().truth.actions().to_pylist()
    first = {r["source_id"]: float(r["shares_outstanding"]) for r in rows_of(world().market.instruments(END))}
    filed = defaultdict(list)
    for row in rows_of(world().fundamentals.filings(None, END)):
        if row["field"] == "SHARES":
            filed[row["source_id"]].append((row["period_end"], float(row["value"])))
    splits = [row for row in truth if row["kind"] == "SPLIT" and row["ex_session"] < dt.date(2018, 9, 30)]
    seen = 0
    for source_id, figures in filed.items():
        (start, value), (end, later) = figures[0], figures[-1]
        ratio = 1.0
        for row in splits:
            if row["source_id"] == source_id and start < row["ex_session"].isoformat() <= end:
                ratio *= row["ratio"]
        assert later == pytest.approx(value * ratio, rel=1e-4)
        seen += ratio != 1.0
        if end == "2018-09-30" and not any(
            r["source_id"] == source_id and r["kind"] == "SPLIT" and r["ex_session"] > dt.date(2018, 9, 30)
            for r in truth
        ):
            assert first[source_id] == pytest.approx(later, rel=1e-6)
    assert seen >= 5


def test_vintages_are_ordered_and_end_in_the_truth() -> None:
    """A month's price index is released after it, then revised at most three times, later each time, with another value."""
    vintages = defaultdict(list)
    for row in rows_of(world().macro.series(None, dt.datetime(2022, 1, 1, tzinfo=dt.UTC))):
        vintages[row["series"], row["period"]].append((instant(row["known_at"]), row["value"]))
    months = [key for key in vintages if key[0] == "CORE_CPI"]
    assert len(months) == 48
    for key in months:
        known, values = zip(*vintages[key], strict=True)
        assert known[0].date() > dt.date.fromisoformat(key[1]) + dt.timedelta(days=27)
        assert list(known) == sorted(set(known))
        assert all(a != b for a, b in itertools.pairwise(values))
        assert 2 <= len(values) <= 4
    single = {key[0] for key in vintages if key[0] != "CORE_CPI"}
    assert single == {"SP500", "VIX", "WTI", "AAA", "BAA", "US10Y", "US2Y", "US1M"}
    assert all(len(rows) == 1 for key, rows in vintages.items() if key[0] != "CORE_CPI")


def test_restated_figures_come_later() -> None:
    """A restatement repeats period and field with another value and a later filing; first filings come 25 to 60 days after."""
    filed = defaultdict(list)
    for row in rows_of(world().fundamentals.filings(None, dt.datetime(2020, 12, 31, tzinfo=dt.UTC))):
        filed[row["source_id"], row["field"], row["period_end"]].append(row)
    again = 0
    for (_, _, end), rows in filed.items():
        wait = instant(rows[0]["known_at"]).date() - dt.date.fromisoformat(end)
        assert 25 <= wait.days < 60
        if len(rows) > 1:
            first, second = rows
            assert instant(second["known_at"]) > instant(first["known_at"])
            assert (second["form"], second["value"] != first["value"]) == (first["form"] + "/A", True)
            again += 1
    filings = sum(key[1] == "NET_INCOME" for key in filed)
    assert max(end for _, _, end in filed) == "2018-12-31"  # filed in the year after the world's last
    assert again / filings == pytest.approx(EventSpec().restated, abs=0.04)


def test_a_probe_is_a_part_of_the_market() -> None:
    """It serves what the whole market serves of its first listings, so that asking whether bars have landed is cheap."""
    big = SyntheticWorld(spec_of(instruments=80))
    some = rows_of(big.market.probe("XTKS").prices(SINCE, UNTIL))
    every = rows_of(big.market.prices(SINCE, UNTIL))
    mics = {row["source_id"]: row["mic"] for row in rows_of(big.market.instruments(UNTIL))}
    assert 0 < len(some) < len(every)
    assert some == [row for row in every if int(row["source_id"][4:]) < 32]
    assert sum(mics[row["source_id"]] == "XTKS" for row in some) > 20
