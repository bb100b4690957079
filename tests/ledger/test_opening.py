"""A home keeps the ledger that it began with; a database that cannot be reached is said in one line that shows no password."""

from pathlib import Path

import pytest
from ledger_shelves import PostgresShelf

from marketbot_assets.commands import doctor
from marketbot_assets.commands.halt import halt_now
from marketbot_resources.errors import HomeError, LedgerError, SetupError
from marketbot_resources.halt import HaltSwitch
from marketbot_resources.ledger.opening import existing_ledger, open_ledger
from marketbot_resources.ledger.postgres import PostgresLedger
from marketbot_resources.ledger.sqlite import SqliteLedger
from marketbot_resources.store.lake import Lake

NOBODY = "postgresql://ledger_writer:secret%2Fword@127.0.0.1:9/books"  # port 9 is closed on every machine of ours


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MARKETBOT_HOME", str(tmp_path))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    monkeypatch.delenv("MARKETBOT_LEDGER", raising=False)
    return tmp_path


def test_the_default_is_a_file_in_the_home(home: Path) -> None:
    """Asking whether there is one makes none."""
    assert existing_ledger(home) is None
    assert list(home.iterdir()) == []
    assert open_ledger(home).append("k", "a", {}).seq == 0
    found = existing_ledger(home)
    assert isinstance(found, SqliteLedger)
    assert found.size() == 1
    assert Lake(home).ledger.size() == 1


@pytest.mark.postgres
def test_a_database_that_the_setting_names(
    home: Path, monkeypatch: pytest.MonkeyPatch, postgres_shelf: PostgresShelf
) -> None:
    """The store of the home writes there; no file is made; the home remembers where, without the password."""
    opened = postgres_shelf.fresh()
    monkeypatch.setenv("MARKETBOT_LEDGER", postgres_shelf.address()[1])
    lake = Lake(home)
    assert lake.ledger.append("k", "a", {}).seq == 0
    assert opened().size() == 1
    assert not (home / "ledger.sqlite").exists()
    server = postgres_shelf.server
    assert (
        home / "ledger.postgres"
    ).read_text() == f"database {postgres_shelf.database} on 127.0.0.1:{server.ports[0]}\n"
    assert halt_now("stop")["entry"] == 1
    assert [finding.good for finding in doctor.examine() if finding.name == "ledger"] == [True]
    monkeypatch.delenv("MARKETBOT_LEDGER")
    for use in (open_ledger, existing_ledger):
        with pytest.raises(
            HomeError, match=f"expected MARKETBOT_LEDGER, .* in database {postgres_shelf.database} on 127"
        ):
            use(home)
    assert not (home / "ledger.sqlite").exists()
    lake.ledger.close()  # type: ignore[attr-defined]


def test_a_home_with_a_file_takes_no_database(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second ledger would know nothing of what was sent."""
    open_ledger(home).append("k", "a", {})
    monkeypatch.setenv("MARKETBOT_LEDGER", NOBODY)
    for use in (open_ledger, existing_ledger):
        with pytest.raises(HomeError, match="expected no MARKETBOT_LEDGER") as failure:
            use(home)
        assert "secret" not in str(failure.value)
    assert not (home / "ledger.postgres").exists()


@pytest.mark.parametrize(
    "address",
    [
        "sqlite:///secret",
        "secret",
        "postgresql+psycopg://ledger_writer:secret@127.0.0.1/books",
        "postgresql://ledger_writer:sec@ret@127.0.0.1/books",
        "postgresql://ledger_writer:se/cret@127.0.0.1/books",
        "postgresql://ledger_writer:5432/secret@127.0.0.1/books",
        "postgresql://ledger_writer:secret%zz@127.0.0.1/books",
        "postgresql://127.0.0.1/books?secret",
        "postgresql://127.0.0.1/books?secret=1",
        "postgresql://127.0.0.1:secret/books",
        "postgresql://[127.0.0.1/secret",
    ],
)
def test_an_address_that_cannot_be_read_is_not_shown(address: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A password may stand anywhere in it; nor does the error's cause show it."""
    monkeypatch.setenv("MARKETBOT_LEDGER", address)
    with pytest.raises(SetupError, match=r"^ledger: expected an address ") as failure:
        open_ledger(home)
    for shown in (
        failure.value,
        failure.value.__cause__,
        None if failure.value.__suppress_context__ else failure.value.__context__,
    ):
        assert "secret" not in str(shown)
        assert "cret" not in str(shown)
    assert list(home.iterdir()) == []


def test_nothing_is_asked_before_it_is_needed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home can be opened, and everything but the ledger used, while the database is down."""
    monkeypatch.setenv("MARKETBOT_LEDGER", NOBODY)
    ledger = Lake(home).ledger
    assert isinstance(ledger, PostgresLedger)
    for _ in range(2):
        with pytest.raises(LedgerError) as failure:
            ledger.append("k", "a", {})
        told = str(failure.value)
        assert told.startswith("ledger: expected to use database books on 127.0.0.1:9, found: connection failed")
        assert "\n" not in told
        assert "secret" not in told


def test_doctor_says_that_the_database_is_down(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line, and what to do; also in a home in which nothing was run yet."""
    monkeypatch.setenv("MARKETBOT_LEDGER", NOBODY)
    (finding,) = [each for each in doctor.examine() if each.name == "ledger"]
    assert not finding.good
    assert finding.found.startswith("ledger: expected to use database books on 127.0.0.1:9, found: ")
    assert "\n" not in finding.found
    assert finding.mend.startswith("start the database")


def test_a_halt_holds_while_the_database_is_down(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The flag is set first; what the ledger was not told is said."""
    monkeypatch.setenv("MARKETBOT_LEDGER", NOBODY)
    view = halt_now("stop")
    assert (view["halted"], view["entry"], HaltSwitch(home).read().status) == (True, None, "on")
    assert str(view["problem"]).startswith("the halt flag is set, but the ledger was not told: ledger: expected to use")


def test_a_halt_in_a_home_without_a_ledger(home: Path) -> None:
    """Nothing is made for it."""
    view = halt_now("stop")
    assert (view["halted"], view["entry"], view["problem"]) == (True, None, "")
    assert not (home / "ledger.sqlite").exists()


def test_an_unwritable_home_is_said(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the mark cannot be left, no ledger is used."""
    monkeypatch.setenv("MARKETBOT_LEDGER", NOBODY)
    with pytest.raises(HomeError, match="home: expected to write"):
        open_ledger(home / "missing")
