"""Who was called what, and when: a ticker is a dated fact, an instrument is its id."""

import datetime as dt
import itertools
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketbot_assets.normalization.master import identifiers, instrument_at, share_classes, value_at
from marketbot_assets.normalization.schema import IDENTIFIERS
from marketbot_resources.errors import UsageError

MAPS = Path(__file__).parents[2] / "../shared/data/corporate_actions/map_files"
D = dt.date


def instruments(
    *rows: tuple[str, str, D], mic: str = "XNAS", gone: dict[str, D] | None = None, **same: str
) -> pd.DataFrame:
    """(instrument, ticker, listed on)."""
    frame = pd.DataFrame(rows, columns=["instrument", "ticker", "listed_on"])
    frame["listed_on"] = pd.to_datetime(frame["listed_on"]).astype("datetime64[ms]")
    last = [pd.Timestamp(gone[name]) if gone and name in gone else pd.NaT for name in frame["instrument"]]
    frame["delisted_on"] = pd.Series(last, dtype="datetime64[ms]")
    facts = {
        "mic": mic,
        "name": "n",
        "issuer": frame["instrument"],
        "sector": "IT",
        "source": "s",
        "source_id": frame["instrument"],
    }
    return frame.assign(**{**facts, **same})


def actions(*rows: tuple[str, str, D, str]) -> pd.DataFrame:
    """(instrument, kind, ex session, other), known nine days before."""
    frame = pd.DataFrame(rows, columns=["instrument", "kind", "ex_session", "other"])
    frame["ex_session"] = pd.to_datetime(frame["ex_session"]).astype("datetime64[ms]")
    known = frame["ex_session"].dt.tz_localize("UTC") - pd.Timedelta(days=9)
    return frame.assign(known_at=known.astype("datetime64[us, UTC]"))


def at(day: D) -> dt.datetime:
    return dt.datetime(day.year, day.month, day.day, 22, tzinfo=dt.UTC)


def through(*sessions: tuple[D, pd.DataFrame], told: pd.DataFrame | None = None) -> pd.DataFrame:
    """The table after every session in turn; of the actions each session knows what was known by then."""
    table, every = None, actions() if told is None else told
    for day, listed in sessions:
        table = identifiers(table, listed, every[every["known_at"] <= at(day)], day, at(day))
        IDENTIFIERS.pandera_schema.validate(table)
    assert table is not None
    return table


def spans(table: pd.DataFrame, instrument: str, kind: str = "TICKER") -> list[tuple[str, D, D | None]]:
    rows = table[(table["instrument"] == instrument) & (table["kind"] == kind)]
    ends = [None if pd.isna(day) else day.date() for day in rows["valid_to"]]
    return list(zip(rows["value"], [day.date() for day in rows["valid_from"]], ends, strict=True))


IPO, EVE, RENAMED = D(2012, 5, 18), D(2022, 6, 8), D(2022, 6, 9)
FB, META = instruments(("M", "FB", IPO)), instruments(("M", "META", IPO))
FACEBOOK = [("FB", IPO, EVE), ("META", RENAMED, None)]


@pytest.mark.parametrize(
    ("sessions", "told"),
    [
        (((EVE, FB), (RENAMED, META)), True),
        (((EVE, FB), (RENAMED, META)), False),  # nobody told: from when it was first seen
        (((EVE, FB), (RENAMED, FB), (D(2022, 6, 13), META)), True),  # the listing lags behind the action
        (((D(2022, 6, 7), META), (EVE, FB), (RENAMED, META)), True),  # or runs ahead of it
        (((EVE, FB), (D(2022, 6, 20), META)), True),  # sessions were skipped
    ],
)
def test_a_rename_is_one_instrument(sessions: tuple, told: bool) -> None:
    """F19: FB until the eve, META from the ex session on, whatever the listing says around it."""
    rename = actions(("M", "RENAME", RENAMED, "META")) if told else None
    table = through(*sessions, told=rename)
    assert spans(table, "M") == FACEBOOK
    assert instrument_at(table, "TICKER", "FB", EVE) == instrument_at(table, "TICKER", "META", RENAMED) == "M"
    assert instrument_at(table, "TICKER", "FB", RENAMED) is instrument_at(table, "TICKER", "META", EVE) is None
    assert (value_at(table, "M", "TICKER", EVE), value_at(table, "M", "TICKER", RENAMED)) == ("FB", "META")


def test_a_ticker_before_the_first_known_rename_is_unknown() -> None:
    """First seen after its rename: META since then; what it was called before is not made up."""
    table = through((D(2023, 1, 3), META), told=actions(("M", "RENAME", RENAMED, "META")))
    assert spans(table, "M") == [("META", RENAMED, None)]
    assert value_at(table, "M", "TICKER", EVE) is None


def test_a_ticker_that_is_used_again_is_another_instrument() -> None:
    """F19: the same letters mean who carried them on that day; a day on which two carry them is refused, an exchange decides."""
    old = instruments(("OLD", "Q", D(2001, 1, 2)), ("NEW", "Q", D(2010, 3, 1)), gone={"OLD": D(2008, 5, 30)})
    table = through((D(2010, 3, 1), old))
    assert instrument_at(table, "TICKER", "Q", D(2005, 1, 3)) == "OLD"
    assert instrument_at(table, "TICKER", "Q", D(2009, 1, 5)) is None
    assert instrument_at(table, "TICKER", "Q", D(2010, 3, 1)) == "NEW"
    both = pd.concat([instruments(("N", "AB", IPO)), instruments(("L", "AB", IPO), mic="XLON")], ignore_index=True)
    table = through((EVE, both))
    with pytest.raises(UsageError, match=r"TICKER AB .*expected one instrument, found L, N"):
        instrument_at(table, "TICKER", "AB", EVE)
    assert instrument_at(table, "TICKER", "AB", EVE, mic="XLON") == "L"


@pytest.mark.parametrize("how", ["listing", "merger", "delisting"])
def test_the_ticker_of_a_dead_listing_ends(how: str) -> None:
    """Ticker and exchange end with the last session; who it was stays; nothing opens them again; those that died are kept."""
    day, last, listed = D(2018, 12, 11), D(2018, 12, 10), instruments(("A", "AA", IPO))
    over = instruments(("A", "AA", IPO), gone={"A": last})
    rows = {"merger": ("A", "MERGER", day, "B"), "delisting": ("A", "DELISTING", day, "UNKNOWN")}
    told = actions(rows[how]) if how != "listing" else None
    now = over if how == "listing" else listed
    table = through(
        (last, listed), (day, now), (D(2018, 12, 12), now), (D(2018, 12, 13), instruments(("Z", "ZZ", IPO))), told=told
    )
    assert spans(table, "A") == [("AA", IPO, last)]
    assert spans(table, "A", "MIC") == [("XNAS", IPO, last)]
    assert spans(table, "A", "ISSUER") == [("A", IPO, None)]


def test_a_transfer_does_not_end_the_ticker() -> None:
    """A listing that moves goes on; its new exchange counts from when it was seen."""
    moved = instruments(("A", "AA", IPO), mic="XNYS")
    told = actions(("A", "DELISTING", D(2018, 12, 11), "TRANSFER"))
    table = through((D(2018, 12, 10), instruments(("A", "AA", IPO))), (D(2018, 12, 11), moved), told=told)
    assert spans(table, "A") == [("AA", IPO, None)]
    assert spans(table, "A", "MIC") == [("XNAS", IPO, D(2018, 12, 10)), ("XNYS", D(2018, 12, 11), None)]


def test_share_classes_are_instruments_of_one_issuer() -> None:
    """Two classes of one issuer are found from either; a sector that changes is dated, too."""
    one = instruments(("A1", "X.A", IPO), ("A2", "X.B", IPO), issuer="X")
    table = through((EVE, one), (RENAMED, one.assign(sector="Energy")))
    assert share_classes(table, "A1", EVE) == share_classes(table, "A2", EVE) == ("A1", "A2")
    assert share_classes(table, "nobody", EVE) == ()
    assert spans(table, "A1", "SECTOR") == [("IT", IPO, EVE), ("Energy", RENAMED, None)]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from("PQR"), min_size=1, max_size=12))
def test_every_day_has_the_value_that_was_seen_on_it(seen: list[str]) -> None:
    """Without actions the table says of each session exactly what its listing said, and spans never overlap."""
    days = [D(2020, 1, 1) + dt.timedelta(days=n) for n in range(len(seen))]
    table = through(*((day, instruments(("A", ticker, days[0]))) for day, ticker in zip(days, seen, strict=True)))
    assert [value_at(table, "A", "TICKER", day) for day in days] == seen
    made = spans(table, "A")
    assert all(a[2] is not None and a[2] < b[1] for a, b in itertools.pairwise(made))


@pytest.mark.shared_data
@pytest.mark.skipif(not MAPS.is_dir(), reason="needs ../shared/data/corporate_actions beside the project")
def test_real_ticker_histories() -> None:
    """Map files: QQQ became QQQQ and QQQ again; GOOG meant the A shares until 2014-04-02 and the C shares since."""
    rows = {}
    for path in sorted(MAPS.glob("*.csv")):
        lines = [line.split(",") for line in path.read_text().split()]
        rows[path.stem] = [(dt.datetime.strptime(day, "%Y%m%d").date(), ticker.upper()) for day, ticker, _ in lines]  # noqa: DTZ007
    first = {name: max(lines[0][0], D(1998, 1, 2)) for name, lines in rows.items()}
    told = actions(*(
        (name, "RENAME", until + dt.timedelta(days=1), after)
        for name, lines in rows.items()
        for (until, before), (_, after) in itertools.pairwise(lines[1:])
        if before != after
    ))  # fmt: skip
    days = sorted({D(1998, 1, 2), D(2021, 3, 31), *first.values(), *(day.date() for day in told["ex_session"])})

    def listed(day: D) -> pd.DataFrame:
        known = [
            (n, next(t for until, t in lines[1:] if day <= until), first[n])
            for n, lines in rows.items()
            if first[n] <= day
        ]
        return instruments(*known)

    table = through(*((day, listed(day)) for day in days), told=told)
    assert spans(table, "qqq") == [
        ("QQQ", D(1999, 3, 10), D(2004, 11, 30)), ("QQQQ", D(2004, 12, 1), D(2011, 3, 22)), ("QQQ", D(2011, 3, 23), None),
    ]  # fmt: skip
    assert instrument_at(table, "TICKER", "GOOG", D(2010, 1, 4)) == "googl"
    assert instrument_at(table, "TICKER", "GOOG", D(2014, 4, 2)) == "googl"
    assert instrument_at(table, "TICKER", "GOOG", D(2014, 4, 3)) == "goog"
    assert instrument_at(table, "TICKER", "GOOGL", D(2014, 4, 3)) == "googl"
    assert spans(table, "goog")[0] == ("GOOCV", D(2014, 3, 27), D(2014, 4, 2))
    assert spans(table, "ibm") == [("IBM", D(1998, 1, 2), None)]
