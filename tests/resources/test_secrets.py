"""S2, F42: where secrets come from, who holds which, what is refused, and that a change is seen by the next session."""

import datetime as dt
import os
import stat
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from marketbot_resources import settings
from marketbot_resources.errors import HomeError
from marketbot_resources.mandate import Mandate, parse_mandate
from marketbot_resources.redaction import redactor
from marketbot_resources.secrets import FILE_BYTES_MAX, FOLDER, OWN, PREFIX, Process, Secrets, found, owns, read_file
from marketbot_resources.secrets_needed import lacking_secrets, refuse_without_secrets
from marketbot_resources.vendors import KEYS

ROOT = Path(__file__).parents[2]
DAY = dt.date(2018, 12, 21)
EVERY = {
    "APCA_API_KEY_ID": "PKEXAMPLE00000000001",
    "FRED_API_KEY": "fred-Qw81mXz09",
    "MARKETBOT_LEDGER": "postgresql://app:pw-Zx91Lm@127.0.0.1/ledger",
    "MARKETBOT_INDEX": "postgresql://app:pw-Ii81Lm@127.0.0.1/index",
    "MARKETBOT_ADMIN_URL": "postgresql://postgres:pw-Aa71Lm@127.0.0.1/postgres",
    "MARKETBOT_LEDGER_READER": "postgresql://reader:pw-Rr61Lm@127.0.0.1/ledger",
    "DAGSTER_POSTGRES_URL": "postgresql+psycopg2://dagster:pw-Dd51Lm@127.0.0.1/dagster",
    "OPENAI_API_KEY": "sk-example-Ty67Uo",
    "ANTHROPIC_API_KEY": "sk-ant-example-Ty68",
    "MARKETBOT_LLM_CACHE": "redis://:pw-Cc33Dd@127.0.0.1:6379/0",
    "MARKETBOT_SMTP_PASSWORD": "smtp-Rr45Tt6",
    "MARKETBOT_SLACK_WEBHOOK_OPS": "https://hooks.example.org/Aa12Bb34",
    "MARKETBOT_HEARTBEAT_URL": "https://watch.example.org/Ww55Xx66",
}
# Written by hand from the design: what each process may know, of the names above.
MAY = {
    Process.RUN: {"APCA_API_KEY_ID", "FRED_API_KEY", "MARKETBOT_LEDGER", "MARKETBOT_INDEX"},
    Process.LLM: {"OPENAI_API_KEY", "ANTHROPIC_API_KEY", "MARKETBOT_LLM_CACHE"},
    Process.NOTIFIER: {"MARKETBOT_LEDGER", "MARKETBOT_SMTP_PASSWORD", "MARKETBOT_SLACK_WEBHOOK_OPS", "MARKETBOT_HEARTBEAT_URL"},
    Process.SIGNER: set(),
    Process.CODE: {"DAGSTER_POSTGRES_URL"},
    Process.WEBSERVER: {"DAGSTER_POSTGRES_URL"},
    Process.DAEMON: {"DAGSTER_POSTGRES_URL"},
    Process.API: {"MARKETBOT_LEDGER", "MARKETBOT_INDEX"},
    Process.MIGRATE: {
        "MARKETBOT_ADMIN_URL",
        *("DAGSTER_POSTGRES_URL", "MARKETBOT_LEDGER", "MARKETBOT_LEDGER_READER", "MARKETBOT_INDEX"),
    },
}  # fmt: skip


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """No secret in the environment, nowhere else either, and a process that has read nothing."""
    for name in {*EVERY, *(n for groups in OWN.values() for _, names in groups for n in names), FOLDER, PREFIX}:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(settings, "_SECRETS", Secrets())


def write(folder: Path, process: Process, values: Mapping[str, str], mode: int = 0o600) -> Path:
    path = folder / f"{process}.env"
    path.unlink(missing_ok=True)
    path.write_text(
        "# remarks\n\n" + "".join(f"{name} = {value}\n" for name, value in values.items()), encoding="utf-8"
    )
    path.chmod(mode)
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the file of each process, in force."""
    for process in Process:
        write(tmp_path, process, {name: EVERY[name] for name in sorted(MAY[process])})
    monkeypatch.setenv(FOLDER, str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("process", Process)
def test_a_process_holds_its_own_and_no_other(process: Process, folder: Path) -> None:
    """The table: process x name, every pair; a child's are handed over, not kept by its parent."""
    secrets = Secrets(process)
    assert {name for name in EVERY if secrets.value(name)} == MAY[process]
    assert {name for name in EVERY if owns(process, name)} == MAY[process]
    assert {name: secrets.value(name) for name in MAY[process]} == {name: EVERY[name] for name in MAY[process]}
    parent = Secrets()
    assert set(parent.for_child(process)) == MAY[process]
    assert {name for name in EVERY if parent.value(name)} == MAY[Process.RUN]


@pytest.mark.parametrize("process", Process)
@pytest.mark.parametrize("name", sorted(EVERY))
def test_a_file_with_the_secret_of_another_process_is_refused(process: Process, name: str, tmp_path: Path) -> None:
    """A key in the wrong file would be seen by the wrong process: the whole file is refused, and its value not said."""
    path = write(tmp_path, process, {name: EVERY[name]})
    if name in MAY[process]:
        assert read_file(path, process) == {name: EVERY[name]}
        return
    with pytest.raises(HomeError, match="line 3") as refused:
        read_file(path, process)
    assert EVERY[name] not in str(refused.value)


def test_what_the_children_are_given_comes_from_their_files(folder: Path) -> None:
    """The language model's process and the notifier: as with an environment alone, from files."""
    told = settings.llm_environment("openai", cache=True)
    assert told is not None
    assert {name for name in EVERY if name in told} == {"OPENAI_API_KEY", "MARKETBOT_LLM_CACHE"}
    assert settings.llm_environment("bedrock", cache=False) is None
    given = settings.notifier_environment()
    assert {name for name in EVERY if name in given} == MAY[Process.NOTIFIER]
    assert set(settings.bare_environment()) == {"PATH"}
    assert not {FOLDER, PREFIX} & {*told, *given}


def test_the_environment_comes_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The names of today keep working: what is exported wins, an empty variable is none."""
    monkeypatch.setenv("FRED_API_KEY", " from-environment ")
    monkeypatch.setenv("APCA_API_KEY_ID", "  ")
    assert settings.variable("FRED_API_KEY") == "from-environment"
    assert settings.variable("APCA_API_KEY_ID") == EVERY["APCA_API_KEY_ID"]
    assert settings.ledger_url() == EVERY["MARKETBOT_LEDGER"]
    assert settings.index_url() == EVERY["MARKETBOT_INDEX"]
    monkeypatch.setenv("OPENAI_API_KEY", "sk-environment-1")
    assert (settings.llm_environment("openai", cache=False) or {})["OPENAI_API_KEY"] == "sk-environment-1"


def test_without_a_folder_nothing_but_the_environment_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting, no file, no net."""
    monkeypatch.setenv("FRED_API_KEY", "x1")
    secrets = Secrets(read=lambda process: pytest.fail("nothing is read"))
    assert (secrets.value("FRED_API_KEY"), secrets.value("TIINGO_API_KEY"), secrets.value("HOME_OF")) == (
        "x1",
        None,
        None,
    )
    assert secrets.for_child(Process.LLM) == {}


def test_a_later_folder_wins_and_each_is_read_by_the_same_rules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The databases beside us from one folder, keys that a unit fetches from another; a torn one refuses both."""
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    write(first, Process.RUN, {"MARKETBOT_LEDGER": "postgresql://a@h/l", "FRED_API_KEY": "fred-old-1"})
    write(second, Process.RUN, {"FRED_API_KEY": "fred-new-2"})
    monkeypatch.setenv(FOLDER, f"{first}:{second}:{tmp_path / 'absent'}:")
    assert found(Process.RUN) == {"MARKETBOT_LEDGER": "postgresql://a@h/l", "FRED_API_KEY": "fred-new-2"}
    (second / "run.env").chmod(0o644)
    with pytest.raises(HomeError, match="0644"):
        found(Process.RUN)


def test_where_secrets_lie_is_no_secret(folder: Path) -> None:
    """A message names the file that is wrong: its folder's name is not masked."""
    settings.variable("FRED_API_KEY")
    assert redactor().text(f"expected {folder}/run.env with mode 0600") == f"expected {folder}/run.env with mode 0600"


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640, 0o604, 0o660, 0o644, 0o700, 0o606, 0o620, 0o000, 0o200])
def test_a_file_that_others_could_read_is_refused(mode: int, tmp_path: Path) -> None:
    """0600 and 0400 alone; the message says the mode and what to do."""
    path = write(tmp_path, Process.RUN, {"FRED_API_KEY": "x1"}, mode)
    if mode in (0o600, 0o400):
        assert read_file(path, Process.RUN) == {"FRED_API_KEY": "x1"}
        return
    with pytest.raises(HomeError, match=rf"{mode:04o}|Permission denied"):
        read_file(path, Process.RUN)


def test_links_and_other_kinds_of_files_are_refused(tmp_path: Path) -> None:
    """A link could be turned, a pipe would wait, a folder is no file."""
    real = write(tmp_path, Process.RUN, {"FRED_API_KEY": "x1"})
    link, pipe, place = tmp_path / "link.env", tmp_path / "pipe.env", tmp_path / "place.env"
    link.symlink_to(real)
    os.mkfifo(pipe, 0o600)
    place.mkdir(mode=0o700)
    for path in (link, pipe, place):
        with pytest.raises(HomeError, match="expected"):
            read_file(path, Process.RUN)
    assert read_file(tmp_path / "absent.env", Process.RUN) == {}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_the_file_of_another_user_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, Process.RUN, {"FRED_API_KEY": "x1"})
    os.chown(path, 65534, 65534)
    with pytest.raises(HomeError, match="owned by uid 0 or root, found 65534"):
        read_file(path, Process.RUN)


@pytest.mark.parametrize(
    "text",
    [
        "FRED_API_KEY\n",
        "=x\n",
        "FRED_API_KEY=a\nFRED_API_KEY=b\n",
        "PATH=/tmp\n",
        "LD_PRELOAD=x\n",
        "MARKETBOT_HOME=x\n",
    ],
    ids=["no value", "no name", "twice", "no secret", "a loader's", "a setting"],
)
def test_a_line_that_is_not_understood_refuses_the_file(text: str, tmp_path: Path) -> None:
    path = write(tmp_path, Process.RUN, {})
    path.write_text(text, encoding="utf-8")
    with pytest.raises(HomeError, match="line"):
        read_file(path, Process.RUN)


@pytest.mark.parametrize("body", [b"\xff\xfe", b"#" * (FILE_BYTES_MAX + 1)], ids=["no text", "too long"])
def test_what_is_no_bounded_text_is_refused(body: bytes, tmp_path: Path) -> None:
    path = write(tmp_path, Process.RUN, {})
    path.write_bytes(body)
    with pytest.raises(HomeError, match=r"UTF-8|at most"):
        read_file(path, Process.RUN)


def test_loaded_once_and_seen_anew_by_the_next_session(folder: Path) -> None:
    """Rotation: within a session nothing changes, so that an id and its key belong together; the next one has the new values."""
    assert settings.variable("FRED_API_KEY") == EVERY["FRED_API_KEY"]
    write(folder, Process.RUN, {"FRED_API_KEY": "rotated-1", "APCA_API_KEY_ID": "PKROTATED"})
    assert settings.variable("APCA_API_KEY_ID") == EVERY["APCA_API_KEY_ID"]
    refuse_without_secrets(mandate(), None, DAY)  # begins a session
    assert settings.variable("FRED_API_KEY") == "rotated-1"
    assert settings.variable("APCA_API_KEY_ID") == "PKROTATED"
    write(folder, Process.LLM, {"OPENAI_API_KEY": "sk-rotated-2"})
    assert (settings.llm_environment("openai", cache=False) or {})["OPENAI_API_KEY"] == "sk-rotated-2"


def test_what_was_read_is_masked_also_after_a_rotation(folder: Path) -> None:
    """S2: every value that this process ever read is kept out of texts, a password inside an address, too."""
    settings.variable("FRED_API_KEY")
    settings.llm_environment("openai", cache=True)
    settings.renew_secrets()
    said = f"{EVERY['FRED_API_KEY']} {EVERY['OPENAI_API_KEY']} pw-Zx91Lm pw-Cc33Dd"
    shown = redactor().text(said)
    assert not any(secret in shown for secret in said.split())
    assert repr(settings._SECRETS).count("fred-") == 0


class Parameters:
    """What SSM says, as its client: it keeps what it was asked."""

    def __init__(self, values: Mapping[str, str], fails: Exception | None = None) -> None:
        self.values, self.fails, self.asked = values, fails, [["none yet"]]

    def get_parameters(self, *, Names: list[str], WithDecryption: bool) -> dict[str, list[dict[str, str]]]:
        assert WithDecryption
        self.asked.append(Names)
        if self.fails:
            raise self.fails
        return {"Parameters": [{"Name": n, "Value": self.values[n]} for n in Names if n in self.values]}


@pytest.mark.parametrize("process", Process)
def test_parameters_are_asked_for_by_exact_names_ten_at_a_time(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only this process's names, in its own groups; those that do not exist are left out; parameters win over the file."""
    known = {
        f"/marketbot/paper/{g}/{n}": f"{g}-{n}-value" for groups in OWN.values() for g, names in groups for n in names
    }
    client = Parameters({k: v for k, v in known.items() if not k.endswith("TIINGO_API_KEY")})
    monkeypatch.setattr("marketbot_resources.secrets._client", lambda: client)
    monkeypatch.setenv(PREFIX, "/marketbot/paper/")
    got = found(process)
    asked = [name for names in client.asked[1:] for name in names]
    assert sorted(asked) == sorted(f"/marketbot/paper/{g}/{n}" for g, names in OWN[process] for n in names)
    assert all(len(names) <= 10 for names in client.asked)
    assert set(got) == {n for _, names in OWN[process] for n in names} - {"TIINGO_API_KEY"}
    if process is Process.RUN:
        assert got["APCA_API_KEY_ID"] == "broker-APCA_API_KEY_ID-value"  # the broker's key, not that of the data alone


@pytest.mark.parametrize(
    "error", [TimeoutError("x"), PermissionError("AccessDenied /marketbot/paper/data/FRED_API_KEY")]
)
def test_parameters_that_cannot_be_read_are_an_error_never_none(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fail closed: a refusal of AWS is not "no key"; the line names the prefix and the kind of error."""
    monkeypatch.setattr("marketbot_resources.secrets._client", lambda: Parameters({}, error))
    monkeypatch.setenv(PREFIX, "/marketbot/paper")
    with pytest.raises(HomeError, match=f"under /marketbot/paper, found: {type(error).__name__}$"):
        settings.variable("FRED_API_KEY")


def mandate(providers: str = "", broker: str = "") -> Mandate:
    """The default mandate with other providers and another broker."""
    text = (ROOT / "mandate.yaml").read_text(encoding="utf-8")
    if providers:
        line = next(line for line in text.splitlines() if line.startswith("providers:"))
        text = text.replace(line, f"providers: {{clock: replay, {providers}}}")
        start, end = text.index("    XLON: all"), text.index("  floor:")
        text = text[:start] + text[end:]
    loaded = parse_mandate(text)
    return loaded.model_copy(update={"broker": loaded.broker.model_copy(update={"name": broker})}) if broker else loaded


VENDORS = "market: {}, instruments: {}, fx: [ecb], macro: [fred], fundamentals: none, news: none"


APCA = ("APCA_API_KEY_ID", "APCA_API_SECRET_KEY")
TWO, ONE = VENDORS.format("[tiingo, yahoo]", "[alpaca]"), VENDORS.format("[tiingo]", "[alpaca]")


@pytest.mark.parametrize(
    ("providers", "broker", "held", "lacking"),
    [
        ("", "", (), {}),
        ("", "alpaca", (), {"broker alpaca": list(APCA)}),
        ("", "alpaca", APCA[:1], {"broker alpaca": [APCA[1]]}),
        ("", "ibkr", (), {}),
        (TWO, "", ("FRED_API_KEY",), {"instruments alpaca": list(APCA)}),
        (ONE, "", ("FRED_API_KEY", *APCA), {"market tiingo": ["TIINGO_API_KEY"]}),
        (TWO, "", APCA, {"macro fred": ["FRED_API_KEY"]}),
    ],
    ids=["sample", "no broker's key", "half a key", "ibkr", "a chain of one", "no key in the chain", "macro"],
)
def test_what_a_mandate_needs_and_lacks(
    providers: str, broker: str, held: tuple[str, ...], lacking: dict[str, list[str]]
) -> None:
    """A broker's keys are needed, and those of one vendor in each chain; nothing for the embedded world."""
    assert lacking_secrets(mandate(providers, broker), dict.fromkeys(held, "x").get) == lacking


def test_a_missing_secret_stops_before_any_data_with_one_line() -> None:
    """F42: the session is refused by name of who needs what; the alert of it is SECRET_MISSING."""
    from marketbot_resources.alert_detection import code_of_failure

    with pytest.raises(HomeError) as refused:
        refuse_without_secrets(mandate(broker="alpaca"), None, DAY)
    told = str(refused.value)
    assert "\n" not in told
    assert "broker alpaca: APCA_API_KEY_ID, APCA_API_SECRET_KEY" in told
    assert code_of_failure("mandate", told) == "SECRET_MISSING"


def test_every_name_of_a_vendor_and_a_provider_is_some_process_own() -> None:
    """A key that no process may load could stand in the environment alone: the tables are in step."""
    assert all(owns(Process.RUN, name) for names in KEYS.values() for name in names)
    assert all(owns(Process.LLM, name) for names, more in settings._LLM_KEYS.values() for name in (*names, *more))
    common = (
        settings.SMTP_USER,
        settings.SMTP_PASSWORD,
        settings.SLACK_WEBHOOK,
        settings.APPRISE_URLS,
        settings.WATCHER,
    )
    assert all(owns(Process.NOTIFIER, name) for name in common)


def test_the_files_that_the_machine_fetches_are_files_that_the_product_takes(tmp_path: Path) -> None:
    """Unit and product name the same: each process's file, as the unit writes it, is read whole."""
    sys.path.insert(0, str(ROOT / "deploy" / "aws" / "host"))
    try:
        import fetch_secrets  # type: ignore[import-not-found]
    finally:
        sys.path.pop(0)
    for process in (Process.RUN, Process.LLM, Process.NOTIFIER):
        names = {name for _, _, group in fetch_secrets.FETCHED[process] for name in group}
        assert names <= {name for _, group in OWN[process] for name in group}
        path = tmp_path / process / f"{process}.env"
        fetch_secrets.write(path, "".join(f"{name}=v-{name}\n" for name in sorted(names)))
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert read_file(path, process) == {name: f"v-{name}" for name in names}
