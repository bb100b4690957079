"""Live money moves only while two switches and a signed record of at most a week say so; all else is paper (RC-82)."""

import datetime as dt
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketbot_assets.commands.live import disable_now, enable_now, show
from marketbot_resources.errors import LedgerError, UsageError
from marketbot_resources.governance import is_signed
from marketbot_resources.ledger.record import Entry
from marketbot_resources.live_permission import KIND, not_recorded, permitted_environment
from marketbot_resources.mandate import Mandate, parse_mandate
from marketbot_resources.notary import Notary
from marketbot_resources.signer import SignerProcess
from marketbot_resources.store.lake import Lake

TEXT = (Path(__file__).parents[2] / "mandate.yaml").read_text(encoding="utf-8")
PAPER_LINE, CLOCK = "broker: {name: paper, ", "clock: replay"
ACCOUNT, OTHER = "U1234567", "U7654321"
SESSION = dt.date(2018, 12, 12)
AT = dt.datetime(2018, 12, 12, 23, 0, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)


def text_of(environment: str = "live", account: str = ACCOUNT, clock: str = "live", name: str = "alpaca") -> str:
    assert PAPER_LINE in TEXT
    assert CLOCK in TEXT
    told = f"broker: {{name: {name}, environment: {environment}, account: {account}, "
    return TEXT.replace(PAPER_LINE, told).replace(CLOCK, f"clock: {clock}")


LIVE = parse_mandate(text_of())
GOOD: dict[str, object] = {
    "action": "enable",
    "broker": "alpaca",
    "account": ACCOUNT,
    "effective_session": "2018-12-12",
    "since_at": "2018-12-12T10:00:00Z",
    "until_at": "2018-12-19T10:00:00Z",
    "reason": "because",
}


def entries(*bodies: dict[str, object]) -> list[Entry]:
    return [Entry(n, KIND, f"{n:06d}", body, "") for n, body in enumerate(bodies)]  # type: ignore[arg-type]


def allowed(
    *bodies: dict[str, object], mandate: Mandate = LIVE, session: dt.date = SESSION, at: dt.datetime = AT
) -> bool:
    return not_recorded(entries(*bodies), mandate, session, at) == ""


@pytest.mark.parametrize(
    ("changes", "good"),
    [
        ({}, True),
        ({"action": "disable"}, False),
        ({"action": "ENABLE"}, False),
        ({"broker": "ibkr"}, False),
        ({"account": OTHER}, False),
        ({"account": ""}, False),
        ({"effective_session": "2018-12-11"}, True),
        ({"effective_session": "2018-12-13"}, False),
        ({"since_at": "2018-12-12T23:00:00Z"}, True),
        ({"since_at": "2018-12-12T23:00:01Z"}, False),
        ({"until_at": "2018-12-12T23:00:01Z"}, True),
        ({"until_at": "2018-12-12T23:00:00Z"}, False),
        ({"until_at": "2018-12-19T10:00:00.000001Z"}, False),
        ({"until_at": "2019-12-12T23:00:00Z"}, False),
        ({"until_at": "2018-12-12T09:00:00Z"}, False),
        ({"since_at": "2018-12-12T10:00:00"}, False),
        ({"since_at": "yesterday"}, False),
        ({"since_at": None}, False),
        ({"until_at": 7}, False),
        ({"effective_session": None}, False),
    ],
    ids=str,
)
def test_a_record_counts_for_its_account_from_its_session_until_its_end(changes: dict[str, object], good: bool) -> None:
    """Seven days exactly are the most; what cannot be read is no permission."""
    assert allowed({**GOOD, **changes}) is good


@pytest.mark.parametrize("missing", sorted(GOOD))
def test_a_record_without_one_of_its_facts_is_none(missing: str) -> None:
    """But for the reason, which people read."""
    body = {key: value for key, value in GOOD.items() if key != missing}
    assert allowed(body) is (missing == "reason")


def test_the_newest_record_alone_counts() -> None:
    """A later one for another account, or a disable, ends an earlier one; no record: no permission."""
    off = {**GOOD, "action": "disable"}
    assert [allowed(), allowed(GOOD, off), allowed(off, GOOD), allowed(GOOD, {**GOOD, "account": OTHER})] == [
        *(False, False, True, False)
    ]


@pytest.mark.parametrize(("environment", "clock"), list(product(("live", "paper"), ("live", "replay"))))
def test_the_mandate_must_say_live_on_the_live_clock(environment: str, clock: str) -> None:
    """On a replay clock no time runs out."""
    mandate = parse_mandate(text_of(environment, clock=clock))
    assert allowed(GOOD, mandate=mandate) is ((environment, clock) == ("live", "live"))


@given(st.timedeltas(min_value=-20 * DAY, max_value=20 * DAY), st.timedeltas(min_value=-2 * DAY, max_value=10 * DAY))
def test_no_record_allows_an_instant_outside_of_a_week(late: dt.timedelta, length: dt.timedelta) -> None:
    """Whatever it says: not before it begins, not after it ends, never longer than seven days."""
    since = AT - late
    body = {**GOOD, "since_at": since.isoformat(), "until_at": (since + length).isoformat()}
    expected = dt.timedelta(0) <= late < length <= 7 * DAY
    assert allowed(body) is expected


class Home:
    """A home with a ledger whose first session has a cutoff, on a live mandate, the machine's clock and two switches."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.patch = monkeypatch
        self.lake, self.path = Lake(path), path
        monkeypatch.setenv("MARKETBOT_HOME", str(path))
        monkeypatch.setenv("MARKETBOT_LIVE_ACCOUNTS", f" {OTHER}, {ACCOUNT} ")
        self.use(text_of())
        self.lake.ledger.append("session_cutoff", "2018-12-11", {"session": "2018-12-11"})

    def use(self, text: str) -> None:
        file = self.path / "mandate.yaml"
        file.write_text(text, encoding="utf-8")
        self.patch.setenv("MARKETBOT_MANDATE", str(file))
        self.mandate = parse_mandate(text)

    def word(self, at: dt.datetime | None = None, session: dt.date = SESSION, *homes: Path | None) -> str:
        now = dt.datetime.now(dt.UTC) if at is None else at
        return permitted_environment(self.lake.ledger, self.mandate, session, now, homes or [self.path])[0]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    return Home(tmp_path / "home", monkeypatch)


def test_enabled_signed_and_ended(home: Home) -> None:
    """From the next session on, for so many days of the machine's clock; disabled at once, without a signature."""
    assert home.word() == "paper"
    before = dt.datetime.now(dt.UTC)
    view = enable_now(7, "the paper year was fine")
    (entry,) = home.lake.ledger.entries(KIND)
    assert is_signed(home.lake.ledger, entry)
    assert (view["effective_session"], entry.body["reason"]) == ("2018-12-12", "the paper year was fine")
    assert entry.body["user"] != ""
    assert home.word() == "live"
    assert home.word(session=dt.date(2018, 12, 11)) == "paper"
    assert home.word(before + 7 * DAY - dt.timedelta(seconds=1)) == "live"
    assert home.word(dt.datetime.now(dt.UTC) + 7 * DAY) == "paper"
    assert home.word(before - dt.timedelta(minutes=1)) == "paper", "a clock that was set back"
    assert show()["environment"] == "live"
    disable_now("enough")
    assert home.word() == "paper"
    assert (show()["environment"], show()["why"]) == ("paper", "live trading was disabled (enough)")


def test_each_switch_alone_is_not_enough(home: Home) -> None:
    """The machine's list, the mandate's word, the installation's home: with a good record, one missing is paper."""
    enable_now(1, "a day")
    assert home.word() == "live"
    elsewhere = home.path.parent / "elsewhere"
    for homes in ((elsewhere,), (home.path, elsewhere), (home.path, None), (None,)):
        assert home.word(None, SESSION, *homes) == "paper"
    assert permitted_environment(home.lake.ledger, home.mandate, SESSION, dt.datetime.now(dt.UTC), [])[0] == "paper"
    for accounts in ("", OTHER, ACCOUNT.lower(), f"{ACCOUNT}x", f"{ACCOUNT} {OTHER}", "*"):
        home.patch.setenv("MARKETBOT_LIVE_ACCOUNTS", accounts)
        assert home.word() == "paper"
    home.patch.delenv("MARKETBOT_LIVE_ACCOUNTS")
    assert home.word() == "paper"
    home.patch.setenv("MARKETBOT_LIVE_ACCOUNTS", ACCOUNT)
    assert home.word() == "live"
    home.use(text_of("paper"))
    assert home.word() == "paper"
    home.use(text_of(account=OTHER))
    assert home.word() == "paper"


def test_a_record_that_was_not_signed_does_not_count(home: Home) -> None:
    """Appended by whoever can write the ledger; the same record under a signed head counts."""
    now = dt.datetime.now(dt.UTC)
    body = {**GOOD, "n": 1, "since_at": now.isoformat(), "until_at": (now + DAY).isoformat()}
    home.lake.ledger.append(KIND, "000001", body)  # type: ignore[arg-type]
    assert home.word() == "paper"
    Notary(home.lake.ledger, home.lake.index, SignerProcess(home.path / "signer"), [], "x/y").checkpoint()
    assert home.word() == "live"


def test_a_signer_that_refuses_leaves_paper(home: Home) -> None:
    """The record says so and does not count."""
    home.patch.setenv("MARKETBOT_SIGNER_COMMAND", "/bin/false")
    with pytest.raises(LedgerError, match="was recorded but not signed"):
        enable_now(1, "a day")
    assert home.word() == "paper"


@pytest.mark.parametrize(
    ("days", "reason", "text", "accounts", "said"),
    [
        (0, "x", text_of(), ACCOUNT, "--days: expected 1 to 7, found 0"),
        (8, "x", text_of(), ACCOUNT, "--days: expected 1 to 7, found 8"),
        (1, " ", text_of(), ACCOUNT, "--reason: expected why live money may move, found nothing"),
        (1, None, text_of(), ACCOUNT, "--reason"),
        (1, "x", text_of("paper"), ACCOUNT, "broker.environment: expected live in the mandate, found paper"),
        (1, "x", TEXT, ACCOUNT, "broker.environment: expected live in the mandate, found paper at paper"),
        (1, "x", text_of(clock="replay"), ACCOUNT, "providers.clock: expected live in the mandate, found replay"),
        (1, "x", text_of(), OTHER, "MARKETBOT_LIVE_ACCOUNTS: expected account U1234567 among its names"),
    ],
    ids=range(8),
)
def test_wrong_input_is_one_line_and_no_entry(
    home: Home, days: int, reason: str | None, text: str, accounts: str, said: str
) -> None:
    """Exit 2 at the command line."""
    home.use(text)
    home.patch.setenv("MARKETBOT_LIVE_ACCOUNTS", accounts)
    with pytest.raises(UsageError) as caught:
        enable_now(days, reason)
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)
    assert home.lake.ledger.entries(KIND) == []
    with pytest.raises(UsageError, match="--reason"):
        disable_now("")


def test_no_run_configuration_gives_a_permission() -> None:
    """RC-82, S4: the resources' configurable fields are homes and a size; another home permits paper alone."""
    from marketbot_resources.wiring import resources

    fields: Callable[[object], set[str]] = lambda resource: set(type(resource).model_fields)  # type: ignore[attr-defined]  # noqa: E731
    assert {name for resource in resources().values() for name in fields(resource)} <= {"home", "size"}
