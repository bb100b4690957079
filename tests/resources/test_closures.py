"""What the user or the broker knows to be closed is closed; where they disagree, nothing is sent and no bar is missed."""

import datetime as dt
import json
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketbot_assets.book.positions import effective_actions
from marketbot_assets.normalization import table_rules
from marketbot_assets.normalization.freshness import BarAges
from marketbot_assets.portfolio.windows import window_of
from marketbot_resources import calendars
from marketbot_resources.closures import Hours, Standing, calendar_of, clock_of, expanded, merge, standing
from marketbot_resources.errors import BrokerError
from marketbot_resources.mandate import parse_calendar, parse_mandate
from marketbot_resources.model import OrderType
from marketbot_resources.paper_terms import PAPER_CAPABILITIES

DAY, UTC = dt.date, dt.UTC
TEXT = (Path(__file__).parents[2] / "mandate.yaml").read_text(encoding="utf-8")
MOURNING = "calendar: {closures: {XNYS: [2018-10-03], XLON: [2018-10-04]}, "
MANDATE = parse_mandate(TEXT.replace("calendar: {", MOURNING))
CLOSED = MANDATE.calendar.closed
WIRE = Path(__file__).parents[2] / "../shared/data/wire/alpaca-trade-api-python/exchanges.json"
EVENING = dt.datetime(2018, 10, 2, 22, 15, tzinfo=UTC)


def test_a_closure_of_the_mandate_is_no_session_anywhere() -> None:
    """Partitions, decision days, sessions, opens and ages know it; Nasdaq trades New York's sessions, London its own."""
    assert DAY(2018, 10, 3) in calendars.weekdays_off(MANDATE.calendar)
    assert DAY(2018, 10, 3) in calendars.weekdays_off(parse_calendar(TEXT.replace("calendar: {", MOURNING))[0])
    week = calendars.decision_sessions(MANDATE.calendar, DAY(2018, 10, 1), DAY(2018, 10, 5))
    assert [day.day for day in week] == [1, 2, 4, 5]
    assert calendars.previous_session(MANDATE.calendar, DAY(2018, 10, 4)) == DAY(2018, 10, 2)
    for mic in ("XNYS", "XNAS"):
        assert calendars.next_open(mic, EVENING, CLOSED)[0] == DAY(2018, 10, 4)
        assert calendars.next_open(mic, EVENING)[0] == DAY(2018, 10, 3)
        assert calendars.last_closed(mic, dt.datetime(2018, 10, 3, 22, tzinfo=UTC), CLOSED) == DAY(2018, 10, 2)
        assert calendars.sessions_between(mic, DAY(2018, 10, 1), DAY(2018, 10, 4), CLOSED) == 2
    assert calendars.next_open("XLON", EVENING, CLOSED)[0] == DAY(2018, 10, 3)
    assert calendars.is_session("XTKS", DAY(2018, 10, 3), CLOSED)


def test_no_order_waits_for_a_closed_day() -> None:
    """The send window of a New York name ends before the open of the day after."""
    kind = OrderType.LIMIT_ON_OPEN
    assert window_of(kind, "XNYS", EVENING, PAPER_CAPABILITIES, CLOSED).send_until.date() == DAY(2018, 10, 4)
    assert window_of(kind, "XNYS", EVENING, PAPER_CAPABILITIES).send_until.date() == DAY(2018, 10, 3)


def test_a_bar_that_cannot_be_is_not_missed() -> None:
    """On the evening of a closed day the bar of the day before is fresh, no gap, and none is due."""
    after, before = (dt.datetime(2018, 10, day, 22, 15, tzinfo=UTC) for day in (3, 2))
    row = {
        "instrument": "A",
        "session": pd.Timestamp("2018-10-02"),
        "close": 1.0,
        "quarantine": False,
        "known_at": before,
    }
    bars, universe = pd.DataFrame([row]), pd.DataFrame({"instrument": ["A"], "mic": ["XNYS"]})
    assert BarAges(bars, ["A"], ["XNYS"], CLOSED).at(after)[0][0] == 0.0
    assert BarAges(bars, ["A"], ["XNYS"]).at(after)[0][0] == 1.0
    assert table_rules.bars_have_no_gaps(bars, universe, after, CLOSED)[0][2] == "pass"
    assert table_rules.bars_have_no_gaps(bars, universe, after)[0][2] == "warn"
    none = bars.iloc[:0]
    assert table_rules.universe_is_covered(none, universe, after, before, CLOSED)[0][2] == "pass"
    assert table_rules.universe_is_covered(none, universe, after, before)[0][2] == "halt"


def test_an_ex_date_on_a_closed_day_counts_from_the_next_session() -> None:
    """A split of the closed day takes effect with the first price that knows it."""
    row = {"instrument": "A", "ex_session": pd.Timestamp("2018-10-03"), "kind": "SPLIT", "amount": 0.0, "ratio": 2.0}
    actions = pd.DataFrame([{**row, "other": "", "currency": "USD", "known_at": pd.Timestamp("2018-09-03", tz="UTC")}])
    until = dt.datetime(2018, 10, 5, tzinfo=UTC)
    found = effective_actions(actions, {"A": "XNYS"}, after=EVENING, until=until, off=CLOSED)
    assert [action.effective_at.date() for action in found] == [DAY(2018, 10, 4)]


def test_a_closure_closes_exchanges_with_the_same_hours_only() -> None:
    """New York's closes Nasdaq, Nasdaq's does not close New York."""
    both = expanded({"XNYS": [DAY(2025, 1, 9)], "XNAS": [DAY(2025, 1, 10)]})
    assert both["XNYS"] == {DAY(2025, 1, 9)}
    assert both["XNAS"] == {DAY(2025, 1, 9), DAY(2025, 1, 10)}
    assert both["ARCX"] == {DAY(2025, 1, 9)}
    assert "XTSX" not in both


def test_a_mandate_without_closures_means_the_same_as_one_with_an_empty_list() -> None:
    """An optional key changes nothing until it is used."""
    assert parse_mandate(TEXT.replace("calendar: {", "calendar: {closures: {}, ")).sha256 == parse_mandate(TEXT).sha256
    assert MANDATE.sha256 != parse_mandate(TEXT).sha256


@pytest.mark.parametrize(
    ("library", "broker", "expected"),
    [
        (True, True, Standing.OPEN),
        (True, False, Standing.CLOSED),
        (False, False, Standing.CLOSED),
        (False, True, Standing.UNKNOWN),
        (True, None, Standing.UNKNOWN),
        (False, None, Standing.CLOSED),
    ],
)
def test_only_agreement_opens(library: bool, broker: bool | None, expected: Standing) -> None:
    """RC-04: the broker's word closes; its word alone, or its silence, does not open."""
    assert standing(library, broker) is expected


def hours(day: dt.date, opens: int = 14, closes: int = 21) -> Hours:
    return Hours(day, *(dt.datetime(day.year, day.month, day.day, at, tzinfo=UTC) for at in (opens, closes)))


def test_a_broker_s_calendar_is_merged() -> None:
    """Closed by the broker: closed. Open by the broker alone, or at other hours altogether: unknown. Else the common hours."""
    ours = [hours(DAY(2025, 1, day)) for day in (7, 8, 9, 10, 13)]
    theirs = [hours(DAY(2025, 1, 7)), hours(DAY(2025, 1, 8), 14, 18), hours(DAY(2025, 1, 10), 22, 23)]
    theirs += [hours(DAY(2025, 1, 11)), hours(DAY(2025, 1, 20))]
    found = merge(ours, theirs, DAY(2025, 1, 7), DAY(2025, 1, 12))
    assert found.sessions == (hours(DAY(2025, 1, 7)), hours(DAY(2025, 1, 8), 14, 18))
    assert found.closed == {DAY(2025, 1, 9)}
    assert found.unknown == {DAY(2025, 1, 10), DAY(2025, 1, 11)}
    with pytest.raises(BrokerError, match="found one twice"):
        merge(ours, [*theirs, theirs[0]], DAY(2025, 1, 7), DAY(2025, 1, 12))


@given(st.sets(st.integers(1, 28)), st.sets(st.integers(1, 28)))
def test_every_day_stands_somewhere_and_trades_only_where_both_trade(ours: set[int], theirs: set[int]) -> None:
    """The merge is `standing`, day by day."""
    found = merge(
        *([hours(DAY(2025, 2, day)) for day in days] for days in (ours, theirs)), DAY(2025, 2, 1), DAY(2025, 2, 28)
    )
    trading = {one.session for one in found.sessions}
    for number in range(1, 29):
        day, what = DAY(2025, 2, number), standing(number in ours, number in theirs)
        assert (day in trading) is (what is Standing.OPEN)
        assert (day in found.unknown) is (what is Standing.UNKNOWN)
        assert (day in found.closed) is (what is Standing.CLOSED and number in ours)


def test_new_york_s_own_calendar_agrees_with_a_broker_that_says_the_same() -> None:
    """The library's hours of a week with a half day, told in the broker's words, leave nothing to hold."""
    days = calendars.sessions("XNYS", DAY(2018, 12, 17), DAY(2018, 12, 31))
    ours = [Hours(day, calendars.open_at("XNYS", day), calendars.close_at("XNYS", day)) for day in days]
    body = [
        {"date": str(day), "open": "09:30", "close": "13:00" if day == DAY(2018, 12, 24) else "1600"} for day in days
    ]
    found = merge(ours, calendar_of(json.dumps(body).encode(), "America/New_York"), days[0], days[-1])
    assert found.sessions == tuple(ours)
    assert not found.closed | found.unknown


@pytest.mark.parametrize(
    "body",
    [b"{}", b"not json", b'[{"date": "2025-01-09"}]', b'[{"date": "2025-01-09", "open": "9", "close": "16:00"}]',
     b'[{"date": "never", "open": "09:30", "close": "16:00"}]', b'[{"date": "2025-01-09", "open": "25:00", "close": "16:00"}]'],
)  # fmt: skip
def test_a_calendar_of_another_shape_is_refused(body: bytes) -> None:
    """Nothing is guessed of a broker's calendar."""
    with pytest.raises(BrokerError, match="calendar: expected rows of date, open and close"):
        calendar_of(body, "America/New_York")


@pytest.mark.parametrize(
    "body",
    [b"[]", b"{", b'{"timestamp": "2025-01-09T15:00:00", "is_open": true}', b'{"timestamp": "2025-01-09T15:00:00Z"}',
     b'{"timestamp": "2025-01-09T15:00:00Z", "is_open": "false"}', b'{"timestamp": 5, "is_open": true}'],
)  # fmt: skip
def test_a_clock_of_another_shape_is_refused(body: bytes) -> None:
    """A naive time, a word instead of a truth value: no clock."""
    with pytest.raises(BrokerError, match="clock: expected a timestamp with zone and is_open"):
        clock_of(body)


@pytest.mark.shared_data
@pytest.mark.skipif(not WIRE.is_file(), reason="needs ../shared/data/wire beside the project")
def test_bodies_of_the_wire_are_read() -> None:
    """Alpaca's own examples: a clock that says open on Easter Sunday of 2018, which the library knows better."""
    bodies = {row["url_template"]: row["body"] for row in json.loads(WIRE.read_text()) if row["test"] == "test_chronos"}
    clock, calendar = (next(body for url, body in bodies.items() if name in url) for name in ("clock", "calendar?"))
    at, is_open = clock_of(json.dumps(clock).encode())
    assert (at, is_open) == (dt.datetime(2018, 4, 1, 12, tzinfo=UTC), True)
    assert standing(calendars.is_session("XNYS", at.date()), is_open) is Standing.UNKNOWN
    day = DAY(2018, 1, 3)
    told = calendar_of(json.dumps(calendar).encode(), "America/New_York")
    assert told == (Hours(day, calendars.open_at("XNYS", day), calendars.close_at("XNYS", day)),)
