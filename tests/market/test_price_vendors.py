"""What every price vendor keeps: the contract of `provider.Vendor`, for the tables of raw prices, actions and instruments."""

import datetime as dt
import json
import math
from collections.abc import Mapping, Sequence
from decimal import Decimal

import pytest
from market.price_bodies import ALL, OTHER, SECONDS, SESSIONS, TEST, UNTIL, Case, small_cases

from marketbot_assets.ingestion import schema
from marketbot_resources.errors import ProviderError
from marketbot_resources.market.question import Question, first_date
from marketbot_resources.market.vendor_rows import BarRow, bar_row, columns
from marketbot_resources.provider import Response, Subject, Window
from marketbot_resources.vendors import KEYS, MODULES, parser_of, vendors, vendors_of

CASES = small_cases()
TABLES = {table.asset: table for table in schema.TABLES}
TYPES = {"text": str, "number": float, "decimal": Decimal, "date": dt.date, "instant": dt.datetime, "flag": bool}
KINDS = {
    "raw_instruments": {"EQUITY", "FUND"},
    "raw_corporate_actions": {
        "SPLIT",
        "CASH_DIVIDEND",
        "SPECIAL_DIVIDEND",
        "SPIN_OFF",
        "MERGER",
        "RENAME",
        "DELISTING",
    },
}
each_vendor = pytest.mark.parametrize("case", CASES, ids=lambda case: case.label)
HTML = b"<html><head><script>var x;</script></head><body>Please <b>wait</b></body></html>"


def check_columns(table: str, found: Mapping[str, Sequence[object]], asked: Mapping[str, str]) -> None:
    """Columns of the table, typed and equally long, ascending unique keys, numbers finite or missing, only what was asked."""
    served = {column.name: column for column in TABLES[table].columns if column.name not in ("source", "blob_sha256")}
    assert set(found) - {"other"} == set(served) - {"other"}
    assert len({len(values) for values in found.values()}) == 1
    for name, values in found.items():
        for value in values:
            if value is None:
                assert served[name].nullable, name
                continue
            assert type(value) is TYPES[served[name].kind if name in served else "text"], (name, value)
            if isinstance(value, float):
                assert math.isfinite(value) or math.isnan(value), (name, value)
                assert served[name].nullable or name == "amount" or not math.isnan(value), name
            if isinstance(value, str):
                value.encode("utf-8")
                assert name != "kind" or value in KINDS[table]
            if isinstance(value, dt.datetime):
                assert value.utcoffset() == dt.timedelta(0)
    until = dt.datetime.fromisoformat(asked["until"])
    since = dt.datetime.fromisoformat(asked["since"]) if asked["since"] else None
    assert all(at <= until and (since is None or at > since) for at in found["known_at"])
    assert set(found["source_id"]) <= {row[0] for row in json.loads(asked["listings"])}
    keys = list(zip(*(map(str, found[name]) for name in TABLES[table].key if name != "source"), strict=True))
    assert keys == sorted(set(keys))


@each_vendor
def test_a_good_body_becomes_typed_columns_of_the_raw_table(case: Case) -> None:
    """`parse` gives every column of the raw table but `source` and `blob_sha256`, typed, as long as the others, by key."""
    found = case.vendor.parse(case.content, case.asked)
    check_columns(case.vendor.table, found, case.asked)
    assert len(found["source_id"]) > 0
    assert case.vendor.parse(case.content, case.asked) == found or any(
        isinstance(value, float) and math.isnan(value) for values in found.values() for value in values
    )


@each_vendor
def test_what_is_asked_comes_back_unchanged_and_carries_no_secret(case: Case) -> None:
    """`asked` is all that a parser knows of its request years later: listings and window survive, keys are never in it."""
    question = Question.read(case.vendor.name, case.asked)
    assert question.until == UNTIL
    assert question.since is None
    assert {listing.source_id for listing in question.listings} == {subject.source_id for subject in case.subjects}
    ((_, request),) = case.vendor.requests(case.subjects, case.window)
    assert all(isinstance(value, str) for value in request.asked.values())
    assert request.url.startswith("https://")
    secrets = [*request.secret_params.values(), *request.secret_headers.values()]
    assert not any(secret in request.url + str(request.params) for secret in secrets)


@each_vendor
def test_subjects_that_are_not_covered_are_left_out(case: Case) -> None:
    """A listing of an unknown exchange, or with characters that would end up in an address, is nobody's."""
    strangers = [Subject("listing:XXXX:A", "XXXX", "A", "USD"), Subject("x", "XNAS", "A/../B?c=1", "USD")]
    strangers += [
        Subject("y", "XNAS", "", "USD"),
        Subject("z", "XNAS", "ÄÖ", "USD"),
        Subject("q", "XNAS", "A#B", "USD"),
    ]
    assert [one for one in case.vendor.requests(strangers, ALL) if one[0] != ()] == []


@each_vendor
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b" ",
        HTML,
        b"\xff\xfe",
        b"\x1f\x8b\x08\x00",
        b"null",
        b"[" * 200_000,
        b'{"a":' * 100_000,
        b"Exceeded the daily hits limit",
        b'{"detail":"Error: You have run over your hourly request allocation."}',
        b'{"code":42910000,"message":"rate limit exceeded"}',
        b'{"finance":{"result":null,"error":{"code":"Unauthorized","description":"Invalid Crumb"}}}',
        b"x" * 20_000_001,
    ],
    ids=lambda content: content[:24].decode("latin1"),
)
def test_what_is_no_data_is_refused_with_the_providers_name(case: Case, content: bytes) -> None:
    """Error pages and quota messages arrive with status 200: they are errors, in one short printable line."""
    with pytest.raises(ProviderError) as refusal:
        case.vendor.parse(content, case.asked)
    said = str(refusal.value)
    assert said.startswith(f"{case.vendor.name}: ")
    assert said.isascii()
    assert said.isprintable()
    assert len(said) < 400


def test_a_vendors_own_words_reach_the_message() -> None:
    """Whoever reads the refusal sees what the vendor said."""
    for label, content, words in (
        ("stooq-prices", b"Exceeded the daily hits limit", "Exceeded the daily hits limit"),
        ("stooq-prices", b"No data", "No data"),
        ("tiingo-prices", b'{"detail":"Error: You have run over your hourly request allocation."}', "hourly request"),
        ("alpaca-prices", b'{"code":42910000,"message":"rate limit exceeded"}', "rate limit exceeded"),
        (
            "yahoo-prices",
            b'{"finance":{"result":null,"error":{"code":"Unauthorized","description":"Invalid Crumb"}}}',
            "Crumb",
        ),
        ("yahoo-prices", HTML, "Please wait"),
    ):
        case = next(case for case in CASES if case.label == label)
        with pytest.raises(ProviderError, match=words):
            case.vendor.parse(content, case.asked)


@each_vendor
def test_one_page_or_a_token(case: Case) -> None:
    """Only Alpaca's bars and actions have pages; the token is a parameter of the same request, and `asked` stays."""
    ((_, request),) = case.vendor.requests(case.subjects, case.window)
    assert case.vendor.following(request, Response(200, {}, case.content)) is None
    if case.label in ("alpaca-prices", "alpaca-actions"):
        more = json.dumps(json.loads(case.content) | {"next_page_token": "T0k=="}).encode()
        following = case.vendor.following(request, Response(200, {}, more))
        assert following is not None
        assert following.params == {**request.params, "page_token": "T0k=="}
        assert (following.url, following.asked, following.secret_headers) == (
            request.url,
            request.asked,
            request.secret_headers,
        )
        for bad in (b'{"next_page_token":7}', b'{"next_page_token":""}', b"{}", HTML):
            with pytest.raises(ProviderError, match=r"^alpaca: "):
                case.vendor.following(request, Response(200, {}, bad))


@pytest.mark.parametrize("label", ["yahoo-prices", "tiingo-prices", "alpaca-prices", "stooq-prices"])
def test_incremental_windows_pull_five_sessions_again(label: str) -> None:
    """Late and restated bars are seen: the request starts five sessions before `since`, the holiday of 4 July not counted."""
    case = next(case for case in CASES if case.label == label)
    ((_, request),) = case.vendor.requests([TEST], Window(dt.datetime(2024, 7, 9, 22, tzinfo=dt.UTC), UNTIL))
    first = dt.date(2024, 7, 2)  # 2, 3, 5, 8, 9 July are sessions
    expected = {
        "yahoo-prices": ("period1", str(int(dt.datetime(2024, 7, 2, 4, tzinfo=dt.UTC).timestamp()))),
        "tiingo-prices": ("startDate", first.isoformat()),
        "alpaca-prices": ("start", first.isoformat()),
        "stooq-prices": ("d1", "20240702"),
    }[label]
    assert request.params[expected[0]] == expected[1]


RULE_AT = {
    # vendor: rule instants of the sessions 8 and 9 July 2024; New York closes at 20:00 UTC in summer
    "yahoo-prices": ("2024-07-08T20:15:00+00:00", "2024-07-09T20:15:00+00:00"),
    "alpaca-prices": ("2024-07-08T20:15:00+00:00", "2024-07-09T20:15:00+00:00"),
    "tiingo-prices": ("2024-07-09T00:00:00+00:00", "2024-07-10T00:00:00+00:00"),
    "stooq-prices": ("2024-07-09T02:00:00+00:00", "2024-07-10T02:00:00+00:00"),
}


@pytest.mark.parametrize("label", sorted(RULE_AT))
def test_known_at_is_the_rule_instant_for_new_sessions_and_until_for_old_ones(label: str) -> None:
    """Bootstrap: each bar at its rule instant. Increment: bars whose rule instant is not after `since` are known now only."""
    case = next(case for case in CASES if case.label == label)

    def known(window: Window) -> list[str]:
        subjects = [TEST] if label != "alpaca-prices" else [TEST, OTHER]
        ((_, request),) = case.vendor.requests(subjects, window)
        found = case.vendor.parse(case.content, request.asked)
        pairs = zip(found["source_id"], found["known_at"], strict=True)
        return [at.isoformat() for source_id, at in pairs if source_id == TEST.source_id][:2]

    assert known(ALL) == list(RULE_AT[label])
    since = dt.datetime(2024, 7, 9, 12, tzinfo=dt.UTC)
    assert known(Window(since, UNTIL)) == [UNTIL.isoformat(), RULE_AT[label][1]]
    since = dt.datetime.fromisoformat(RULE_AT[label][1])
    assert known(Window(since, UNTIL)) == [UNTIL.isoformat()] * 2
    early = since - dt.timedelta(seconds=1)
    assert known(Window(None, early)) == [RULE_AT[label][0]]
    assert known(Window(None, early + dt.timedelta(seconds=1))) == list(RULE_AT[label])


def test_an_event_without_announcement_is_known_at_the_open_of_its_ex_session() -> None:
    """Neither Yahoo nor Tiingo tells when a split was announced: nobody knows it before the exchange opens on the ex date."""
    for label in ("yahoo-actions", "tiingo-actions"):
        case = next(case for case in CASES if case.label == label)
        found = case.vendor.parse(case.content, case.asked)
        assert list(zip(found["ex_session"], found["kind"], found["amount"], found["ratio"], strict=True)) == [
            (SESSIONS[2], "SPLIT", 0.0, 2.0),
            (SESSIONS[3], "CASH_DIVIDEND", 0.5, 1.0),
        ]
        assert [at.isoformat() for at in found["known_at"]] == [
            "2024-07-10T13:30:00+00:00",
            "2024-07-11T13:30:00+00:00",
        ]
        ((_, request),) = case.vendor.requests([TEST], Window(None, dt.datetime(2024, 7, 10, 13, 29, tzinfo=dt.UTC)))
        assert case.vendor.parse(case.content, request.asked)["kind"] == []


@pytest.mark.parametrize("label", ["yahoo-prices", "alpaca-prices", "tiingo-head", "alpaca-instruments", "tiingo-file"])
def test_a_body_of_another_listing_is_refused_or_serves_nothing(label: str) -> None:
    """The symbol of the answer is the symbol asked. (Tiingo's prices and Stooq's tables name none.)"""
    case = next(case for case in CASES if case.label == label)
    subject = Subject("listing:XNAS:ELSE", "XNAS", "ELSE", "USD", TEST.more)
    ((_, request),) = case.vendor.requests([subject], ALL)
    if label == "tiingo-file":
        assert case.vendor.parse(case.content, request.asked)["source_id"] == []
        return
    with pytest.raises(ProviderError, match=r"TEST|OTHR"):
        case.vendor.parse(case.content, request.asked)


def test_every_vendor_is_found_by_table_and_by_the_parser_that_a_body_names() -> None:
    """A stored body is read by the parser that it names: each name is one vendor's; the mandate's order is kept."""
    known = [vendor for name in MODULES for vendor in vendors_of(name) if vendor.name == name]
    assert len({vendor.parser for vendor in known}) == len(known)
    assert {case.vendor.parser for case in CASES} <= {vendor.parser for vendor in known}
    for vendor in known:
        assert parser_of(vendor.parser).__self__ is vendor  # type: ignore[attr-defined]
    found = vendors("raw_prices", ["stooq", "ecb", "yahoo"])
    assert [vendor.parser for vendor in found] == ["stooq-daily-prices/1", "yahoo-chart-prices/1"]
    assert [vendor.parser for vendor in vendors("raw_instruments", ["tiingo"])] == ["tiingo-head/1", "tiingo-tickers/1"]
    with pytest.raises(ProviderError, match="found 'yahoo-chart-prices/0'"):
        parser_of("yahoo-chart-prices/0")
    with pytest.raises(ProviderError, match="found 'nobody'"):
        vendors("raw_prices", ["nobody"])


def test_keys_of_vendors_are_those_that_their_requests_name() -> None:
    """`marketbot doctor` asks for exactly the environment variables without which a vendor cannot be asked."""
    subject = Subject(
        "listing:XNAS:TEST", "XNAS", "TEST", "USD", {**TEST.more, "cik": "1", "feed": "https://x.example/f"}
    )
    named: dict[str, set[str]] = {name: set() for name in KEYS}
    for name in MODULES:
        for vendor in vendors_of(name):
            about = [subject] if vendor.name != "fred" else [Subject("VIX")]
            for _, request in vendor.requests(about, ALL):
                named[vendor.name] |= {*request.secret_params.values(), *request.secret_headers.values()}
    assert named == {name: set(keys) for name, keys in KEYS.items()}


def test_every_listing_is_asked_for_its_past_year_once_in_sixty_one_days() -> None:
    """Vendor drift: on its own day a year back, on the other sixty the overlap alone; a bootstrap asks for everything."""
    days = [dt.datetime(2024, 3, 1, 22, tzinfo=dt.UTC) + dt.timedelta(days=n) for n in range(61)]
    windows = [Window(day - dt.timedelta(days=1), day) for day in days]
    for name in ("listing:XNYS:A", "listing:XNAS:B"):
        back = [(window.since.date() - first_date(window, ["XNYS"], name)).days for window in windows]
        assert sorted(back)[-1] == 365
        assert max(sorted(back)[:-1]) <= 12
    assert first_date(Window(None, days[0]), ["XNYS"], "listing:XNYS:A").year == 1997


def test_two_rows_of_one_key_and_infinite_numbers_are_refused() -> None:
    """The raw table has one row per key and finite numbers, whatever a vendor's own checks let through."""
    row = bar_row("a", SESSIONS[0], (1.0,) * 5, currency="USD", adjusted=False, known_at=UNTIL)
    assert columns("v", BarRow, [row])["close"] == [1.0]
    with pytest.raises(ProviderError, match=r"^v: expected one row per source_id, session"):
        columns("v", BarRow, [row, row])
    wild = bar_row("a", SESSIONS[0], (1.0, math.inf, 1.0, 1.0, 1.0), currency="USD", adjusted=False, known_at=UNTIL)
    with pytest.raises(ProviderError, match=r"^v: high: expected a finite number"):
        columns("v", BarRow, [wild])


def test_sessions_of_the_small_bodies_are_sessions() -> None:
    """The fixture itself: 13:30 UTC is the open of New York in July."""
    assert [dt.datetime.fromtimestamp(at, dt.UTC).date() for at in SECONDS] == list(SESSIONS)
