"""Bars, corporate actions and headlines of the synthetic world as a reader of its bodies sees them."""

import datetime as dt
import itertools
from collections import Counter, defaultdict
from functools import lru_cache

import numpy as np
import pytest
from synthetic_worlds import END, FIRST, Row, instant, rows_of, spec_of

from marketbot_resources import calendars
from marketbot_resources.synthetic.provider import SyntheticWorld
from marketbot_resources.synthetic.spec import EventSpec

PRICES = ("open", "high", "low", "close")


@lru_cache(maxsize=2)
def world(ticks: bool) -> SyntheticWorld:
    return SyntheticWorld(spec_of(ticks=ticks))


@lru_cache(maxsize=2)
def histories(ticks: bool) -> dict[str, list[Row]]:
    """Bars by listing, in the order of sessions."""
    found: dict[str, list[Row]] = defaultdict(list)
    for row in sorted(rows_of(world(ticks).market.prices(None, END)), key=lambda row: row["session"]):
        found[row["source_id"]].append(row)
    return found


@lru_cache(maxsize=2)
def actions(ticks: bool) -> list[Row]:
    return rows_of(world(ticks).market.corporate_actions(None, END))


@lru_cache(maxsize=1)
def listings() -> dict[str, Row]:
    return {row["source_id"]: row for row in rows_of(world(True).market.instruments(END))}


def naive_returns(ticks: bool) -> dict[tuple[str, str], float]:
    """Total return of each session but a listing's first, from reported closes and actions alone."""
    due: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in actions(ticks):
        due[row["source_id"], row["ex_session"]].append(row)
    found = {}
    for source_id, bars in histories(ticks).items():
        for before, now in itertools.pairwise(bars):
            paid, shares = 0.0, 1.0
            for action in due[source_id, now["session"]]:
                if action["kind"] in ("CASH_DIVIDEND", "SPECIAL_DIVIDEND", "SPIN_OFF"):
                    paid += float(action["amount"])
                if action["kind"] == "SPLIT":
                    shares *= float(action["ratio"])
            found[source_id, now["session"]] = (float(now["close"]) * shares + paid) / float(before["close"]) - 1
    return found


def true_returns(ticks: bool) -> dict[tuple[str, str], float]:
    rows = world(ticks).truth.bars().select(["source_id", "session", "total_return"]).to_pylist()
    return {(row["source_id"], row["session"].isoformat()): row["total_return"] for row in rows}


def test_reported_closes_and_actions_give_the_factor_return() -> None:
    """What a holder earned by closes, splits, dividends and spin-offs is the model's total return, to 1e-9."""
    naive, true = naive_returns(ticks=False), true_returns(ticks=False)
    kinds = Counter(row["kind"] for row in actions(False))
    assert min(kinds[kind] for kind in ("CASH_DIVIDEND", "SPECIAL_DIVIDEND", "SPLIT", "SPIN_OFF")) > 3
    assert len(naive) > 20_000
    assert max(abs(naive[key] - true[key]) for key in naive) < 1e-9


def test_ticks_move_a_return_by_a_tick_and_no_more() -> None:
    """Rounding both closes errs by half a tick each, in the units of the close before and the ratio of a split."""
    naive, true = naive_returns(ticks=True), true_returns(ticks=True)
    assert naive.keys() <= true.keys()
    for source_id, bars in histories(True).items():
        tick = float(listings()[source_id]["tick_size"])
        for before, now in itertools.pairwise(bars):
            key = source_id, now["session"]
            least = min(float(before["close"]), float(now["close"]))
            assert abs(naive[key] - true[key]) <= 5 * tick / least


def test_bars_are_in_order_and_on_ticks() -> None:
    """low <= open, close <= high; every price a whole number of ticks; volume whole; all marked synthetic; unadjusted."""
    for source_id, bars in histories(True).items():
        tick = float(listings()[source_id]["tick_size"])
        values = np.array([[float(bar[name]) for name in PRICES] for bar in bars])
        assert (values[:, 2] <= values.min(axis=1)).all()
        assert (values[:, 1] >= values.max(axis=1)).all()
        assert (values > 0).all()
        assert np.abs(values / tick - np.round(values / tick)).max() < 1e-6
        assert all(float(bar["volume"]).is_integer() and float(bar["volume"]) >= 0 for bar in bars)
    rows = [bar for bars in histories(True).values() for bar in bars]
    assert {row["synthetic"] for row in rows} == {"true"}
    assert {row["close_adjusted_by_source"] for row in rows} == {"false"}
    assert all(row["currency"] == listings()[row["source_id"]]["currency"] for row in rows)


def test_bars_stand_on_the_sessions_of_their_exchange() -> None:
    """One bar for each session from the first to the last, known a quarter of an hour after its close; pence in London."""
    for source_id, bars in histories(True).items():
        listing = listings()[source_id]
        first, last = (dt.date.fromisoformat(bars[n]["session"]) for n in (0, -1))
        days = calendars.sessions(listing["mic"], first, last)
        assert [bar["session"] for bar in bars] == [day.isoformat() for day in days]
        lag = instant(bars[-1]["known_at"]) - calendars.close_at(listing["mic"], last)
        assert lag == dt.timedelta(minutes=15)
    assert {row["currency"] for row in listings().values() if row["mic"] == "XLON"} == {"GBX"}


def test_half_days_trade_half() -> None:
    """New York closed at 13:00 on these days; a median over the listings against the days around."""
    ratios = []
    for source_id, bars in histories(True).items():
        if listings()[source_id]["mic"] == "XNYS":
            by_day = {bar["session"]: float(bar["volume"]) for bar in bars}
            for half, usual in (
                ("2016-11-25", "2016-11-23"),
                ("2017-11-24", "2017-11-22"),
                ("2018-07-03", "2018-07-02"),
            ):
                if half in by_day:
                    ratios.append(by_day[half] / by_day[usual])
    assert 0.35 < np.median(ratios) < 0.75


def test_actions_are_known_before_they_count() -> None:
    """All are announced before the open of their ex session; what a dead share is worth, after its last close."""
    for row in actions(True):
        mic, ex = listings()[row["source_id"]]["mic"], dt.date.fromisoformat(row["ex_session"])
        known = instant(row["known_at"])
        assert known < calendars.open_at(mic, ex)
        if row["kind"] == "DELISTING":
            assert known > calendars.close_at(mic, calendars.sessions(mic, FIRST, ex)[-2])


def test_delisted_names_stop() -> None:
    """The last bar is the session before a merger or delisting takes effect, and the listing says so; the others go on."""
    ends = {row["source_id"]: row for row in actions(True) if row["kind"] in ("MERGER", "DELISTING")}
    last = {source_id: bars[-1]["session"] for source_id, bars in histories(True).items()}
    over = {source_id for source_id, row in ends.items() if row["ex_session"] <= "2018-12-31"}
    assert {ends[source_id]["kind"] for source_id in over} == {"MERGER", "DELISTING"}
    for source_id, row in listings().items():
        days = calendars.sessions(row["mic"], FIRST, END.date())
        if source_id in over:
            ex = dt.date.fromisoformat(ends[source_id]["ex_session"])
            before = days[days.index(ex) - 1].isoformat()
            assert (last[source_id], row["delisted_on"]) == (before, before)
        else:
            assert last[source_id] == max(day for day in days if day.year < 2019).isoformat()


def test_a_deal_price_is_reached() -> None:
    """A merged share closes at its offer, within a tick; a bankrupt one leaves at most 0.7 of its last close."""
    truth = {row["source_id"]: row for row in world(True).truth.listings().to_pylist()}
    seen = Counter()
    for row in actions(True):
        bars = histories(True)[row["source_id"]]
        close, tick = float(bars[-1]["close"]), float(listings()[row["source_id"]]["tick_size"])
        if row["kind"] == "MERGER" and row["ex_session"] <= "2018-12-31":
            assert abs(float(row["amount"]) - close) <= tick
            seen["MERGER"] += 1
        if row["kind"] == "DELISTING":
            kept = float(row["amount"]) / close
            reason, final = truth[row["source_id"]]["reason"], truth[row["source_id"]]["delisting_return"]
            assert kept <= (0.7 if reason == "BANKRUPTCY" else 1.0) + tick / close
            assert kept == pytest.approx(1 + final, abs=1.1 * tick / close)
            seen[reason] += 1
    assert min(seen[kind] for kind in ("MERGER", "BANKRUPTCY", "VOLUNTARY")) >= 2


def test_a_spun_off_sister_begins_at_its_reference() -> None:
    """On the ex session the sister has its first bar, and closes at the value that the parent's holders were told, to a tick."""
    details = {
        (row["source_id"], row["ex_session"].isoformat()): row["other"]
        for row in world(True).truth.actions().to_pylist()
        if row["kind"] == "SPIN_OFF"
    }
    seen = 0
    for row in actions(True):
        sister = details.get((row["source_id"], row["ex_session"])) if row["kind"] == "SPIN_OFF" else None
        if sister in histories(True) and row["ex_session"] <= "2018-12-31":
            first = histories(True)[sister][0]
            assert first["session"] == row["ex_session"]
            told = float(row["amount"]) / float(row["ratio"])
            assert float(first["close"]) == pytest.approx(told, abs=float(listings()[sister]["tick_size"]))
            seen += 1
    assert seen >= 3


def test_renames_keep_the_id_and_tickers_are_reused() -> None:
    """A listing's id never changes; a ticker serves two listings of an exchange in turn, never two at a time."""
    holders: dict[tuple[str, str], set[str]] = defaultdict(set)
    tickers: dict[str, set[str]] = defaultdict(set)
    for year in range(2015, 2019):
        for month in (3, 6, 9, 12):
            rows = rows_of(world(True).market.instruments(dt.datetime(year, month, 28, 23, tzinfo=dt.UTC)))
            alive = [(row["mic"], row["ticker"]) for row in rows if not row["delisted_on"]]
            assert len(set(alive)) == len(alive)
            for row in rows:
                tickers[row["source_id"]].add(row["ticker"])
                if not row["delisted_on"]:
                    holders[row["mic"], row["ticker"]].add(row["source_id"])
    renamed = {
        row["source_id"] for row in actions(True) if row["kind"] == "RENAME" and row["ex_session"] < "2018-12-28"
    }
    assert {source_id for source_id, names in tickers.items() if len(names) > 1} <= renamed
    assert len(renamed) > 5
    assert all(source_id in histories(True) for source_id in renamed)
    assert sum(len(ids) == 2 for ids in holders.values()) >= 2
    assert max(len(ids) for ids in holders.values()) == 2


def test_only_asked_for_kinds_happen() -> None:
    """By default there are dividends and splits, and nobody is delisted, renamed or spun off."""
    usual = SyntheticWorld(spec_of(instruments=24, events=EventSpec(splits=0.3)))
    assert {row["kind"] for row in rows_of(usual.market.corporate_actions(None, END))} == {"CASH_DIVIDEND", "SPLIT"}
    rows = rows_of(usual.market.instruments(END))
    assert {row["delisted_on"] for row in rows} == {""}
    assert not any(row["ticker"].startswith("Z") for row in rows)


GOOD = {"beats", "raises", "wins", "gain", "record", "growth", "lifts", "strong"}
BAD = {"warns", "weaker", "cuts", "loss", "probe", "recalls", "fall"}


def test_the_sentiment_of_a_headline_can_be_read() -> None:
    """A small lexicon finds the true label of every text; mostly it agrees with the listing's own return of the day."""
    truth = {row["headline_id"]: row for row in world(True).truth.sentiment().to_pylist()}
    own = world(True).truth.bars().to_pandas()
    own["own"] = own["log_specific"] + own["log_jump"] + own["log_deal"]
    moves = own.set_index(["source_id", "session"])["own"].to_dict()
    agree = Counter()
    rows = rows_of(world(True).news.headlines(None, END))
    for row in rows:
        words = set(row["headline"].replace(",", "").split())
        read = (1 if words & GOOD else 0) - (1 if words & BAD else 0)
        label = truth[row["headline_id"]]
        assert read == label["sentiment"]
        move = moves[label["source_id"], label["session"]]
        agree[label["sentiment"] * (1 if move >= 0 else -1)] += 1
        assert instant(row["published_at"]) < instant(row["known_at"])
    assert len(rows) > 500
    assert agree[1] / len(rows) == pytest.approx(0.6, abs=0.08)
    assert agree[-1] / len(rows) == pytest.approx(0.15, abs=0.06)
