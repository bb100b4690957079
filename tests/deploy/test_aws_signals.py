"""The publisher of signals against a real DynamoDB protocol (moto), as a process, and with its own credentials alone."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from aws_template import Stack
from aws_world import account, client

from marketbot_resources import settings
from marketbot_resources.signal_process import put_signals
from marketbot_resources.signal_publisher import HEADER, Published, encoded, publish

pytest.importorskip("boto3")
TABLE = "marketbot-paper-signals"
OLD, NEW = "2018-12-21", "2018-12-24"


def signal(name: str, session: str, **more: Any) -> dict[str, Any]:
    return {"instrument": name, "session": session, "score": 0.25, "synthetic": True, **more}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, {"NULL": True}),
        (True, {"BOOL": True}),
        (False, {"BOOL": False}),
        ("", {"S": ""}),
        (0.1, {"N": "0.1"}),
        (-1.5e-7, {"N": "-1.5e-07"}),
        (1e-300, {"N": "0"}),  # smaller than DynamoDB has numbers for
        (65.0, {"N": "65"}),
        (-0.0, {"N": "0"}),
    ],
    ids=str,
)
def test_a_value_is_written_as_its_kind(value: Any, expected: Mapping[str, Any]) -> None:
    """A flag is no number, unknown is null."""
    assert encoded({"x": value}) == {"x": expected}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), 1e200], ids=str)
def test_a_number_that_is_none_is_refused(value: float) -> None:
    """Fail closed: nothing of such a batch is put."""
    with pytest.raises(ValueError, match="finite"):
        encoded({"score": value})
    told = publish(None, TABLE, [signal("A", NEW), signal("B", NEW, score=value)])
    assert (told.put, told.newer) == (0, 0)
    assert "finite" in told.problem


@pytest.mark.parametrize("table", ["", "no", "a b", "x" * 256, "../etc"])
def test_a_name_that_is_no_table_is_refused_before_anything_is_asked(table: str) -> None:
    assert publish(None, table, [signal("A", NEW)]).problem.startswith("expected the name of a table")


def test_the_publisher_is_given_its_own_credentials_and_none_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """S2: with a configuration of its own neither our keys nor the machine's role; never a key of a broker or a model."""
    ours = {
        "APCA_API_KEY_ID": "broker",
        "OPENAI_API_KEY": "model",
        "MARKETBOT_LEDGER": "postgresql://x:y@h/d",
        "AWS_ACCESS_KEY_ID": "ours",
        "AWS_SECRET_ACCESS_KEY": "ours",
        "AWS_SESSION_TOKEN": "ours",
        "AWS_CONFIG_FILE": "/run/marketbot/store/config",
        "AWS_DEFAULT_REGION": "us-east-1",
        "MARKETBOT_SIGNALS_CONFIG": "/run/marketbot/signals/config",
    }
    for name, value in ours.items():
        monkeypatch.setenv(name, value)
    assert settings.signals_environment() == {
        "PATH": os.environ["PATH"],
        **{name: os.environ[name] for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "AWS_REGION") if os.environ.get(name)},
        **{name: os.environ[name] for name in ("AWS_ENDPOINT_URL",) if os.environ.get(name)},
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": "/run/marketbot/signals/config",
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    monkeypatch.delenv("MARKETBOT_SIGNALS_CONFIG")
    found = settings.signals_environment()
    assert (found["AWS_ACCESS_KEY_ID"], found["AWS_CONFIG_FILE"]) == ("ours", "/run/marketbot/store/config")
    assert not {"APCA_API_KEY_ID", "OPENAI_API_KEY", "MARKETBOT_LEDGER"} & set(found)


CHILDREN = {
    "says nothing": ("pass", "the publisher ended with 0 and without a word"),
    "says something else": ("print('[]')", "the publisher ended with 0 and without a word"),
    "ends badly": ("import sys; sys.exit(3)", "the publisher ended with 3 and without a word"),
    "does not end": ("import time; time.sleep(600)", "the publisher did not end within 0.5 seconds"),
    "is killed": ("import os; os.kill(os.getpid(), 9)", "the publisher ended with -9 and without a word"),
    "lies": (
        """print('{"put": 3, "newer": 0, "problem": ""}'); raise SystemExit(1)""",
        "the publisher ended with 1",
    ),
}


@pytest.mark.parametrize("case", CHILDREN)
def test_a_publisher_that_fails_is_heard_as_a_failure(case: str) -> None:
    """Whatever becomes of the child is a problem in words, within the time limit, and never an exception."""
    code, expected = CHILDREN[case]
    told = put_signals(TABLE, [signal("A", NEW)], (sys.executable, "-S", "-c", code), 0.5 if "not end" in case else 30)
    assert told.problem == expected


@pytest.fixture(scope="module")
def cloud() -> Iterator[None]:
    """An account with the template's own table."""
    pytest.importorskip("moto")
    with account():
        yield


@pytest.fixture
def table(cloud: None) -> Iterator[Any]:
    """An empty table with the properties of the template."""
    dynamo = client("dynamodb")
    wanted = Stack(Signals="on").of_type("AWS::DynamoDB::Table")["SignalTable"]
    keys = ("TableName", "BillingMode", "AttributeDefinitions", "KeySchema")
    dynamo.create_table(**{key: wanted[key] for key in keys})
    yield dynamo
    dynamo.delete_table(TableName=TABLE)


def held(dynamo: Any) -> dict[str, Any]:
    pages = dynamo.get_paginator("scan").paginate(TableName=TABLE)
    return {item["instrument"]["S"]: item for page in pages for item in page["Items"]}


@pytest.mark.long
def test_an_older_session_never_replaces_a_newer_one(table: Any) -> None:
    """Newer wins whoever comes last; the same session may be put again; a name that left keeps its last session."""
    assert publish(table, TABLE, [signal(HEADER, OLD), signal("A", OLD), signal("B", OLD)]) == Published(3, 0)
    assert publish(table, TABLE, [signal(HEADER, NEW), signal("A", NEW, score=0.5)]) == Published(2, 0)
    late = publish(table, TABLE, [signal(HEADER, OLD), signal("A", OLD, score=-9.0), signal("C", OLD)])
    assert late == Published(1, 2)
    found = held(table)
    assert {name: one["session"]["S"] for name, one in found.items()} == {HEADER: NEW, "A": NEW, "B": OLD, "C": OLD}
    assert found["A"]["score"] == {"N": "0.5"}
    assert publish(table, TABLE, [signal(HEADER, NEW), signal("A", NEW, score=0.5)]) == Published(2, 0)
    assert held(table) == found


@pytest.mark.long
def test_many_publishers_at_once_leave_the_newest(table: Any) -> None:
    """40 sessions in any order, four at a time: every item is the newest session's, whole."""
    sessions = [f"2018-{month:02d}-{day:02d}" for month in range(3, 13) for day in (3, 10, 17, 24)]
    random.Random(7).shuffle(sessions)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda s: publish(table, TABLE, [signal(n, s, of=s) for n in (HEADER, "A", "B")]), sessions))
    assert {(one["session"]["S"], one["of"]["S"]) for one in held(table).values()} == {("2018-12-24",) * 2}


@pytest.mark.long
def test_the_process_puts_hundreds_and_says_so(table: Any) -> None:
    """As it is started after a session: 500 instruments and the header; without the table it is one plain problem."""
    signals = [signal(HEADER, NEW), *(signal(f"MB{n:010d}", NEW, score=n / 7) for n in range(500))]
    assert put_signals(TABLE, signals) == Published(501, 0)
    assert len(held(table)) == 501
    assert put_signals("another-table", signals[:2]).problem == "the table refused an item: ResourceNotFoundException"


@pytest.mark.long
def test_a_session_publishes_when_it_has_ended_and_ends_all_the_same_when_it_cannot(table: Any, tmp_path: Path) -> None:
    """The demo's last session with the table, then a home whose table is gone: same decision, a warning, an alert."""
    hook = {"channels": [{"name": "ops", "kind": "slack"}], "escalate_minutes": 1}
    import yaml

    root = Path(__file__).parents[2]
    mandate = yaml.safe_load((root / "mandate.yaml").read_text(encoding="utf-8")) | {"notification": hook}
    (tmp_path / "mandate.yaml").write_text(yaml.safe_dump(mandate), encoding="utf-8")
    decided = []
    for name in (TABLE, "gone-table"):
        home = tmp_path / name
        given = {"MARKETBOT_HOME": str(home), "MARKETBOT_SIGNALS_TABLE": name}
        given |= {"MARKETBOT_MANDATE": str(tmp_path / "mandate.yaml"), "PYTHONPATH": str(root)}
        command = [sys.executable, "-m", "marketbot_assets.cli"]

        def marketbot(*words: str, given: Mapping[str, str] = given, command: list[str] = command) -> Any:
            done = subprocess.run(
                [*command, *words, "--json"], env={**os.environ, **given}, cwd=root, capture_output=True, text=True
            )
            return json.loads(done.stdout)

        (told,) = marketbot("run", "--session", "2018-10-01")["sessions"]
        assert told["good"]
        decided.append(marketbot("signals")["signals"])
        alerts = marketbot("alerts", "list")["alerts"]
        if name == TABLE:
            found = held(table)
            assert set(found) == {one["instrument"] for one in decided[0]}
            assert {one["session"]["S"] for one in found.values()} == {"2018-10-01"}
            assert [one["code"] for one in alerts if one["code"] == "SIGNALS_FAILED"] == []
        else:
            (alert,) = [one for one in alerts if one["code"] == "SIGNALS_FAILED"]
            assert (alert["severity"], alert["session"]) == ("WARN", "2018-10-01")
            assert "ResourceNotFoundException" in alert["message"]
            again = marketbot("signals", "--publish")
            assert (again["fine"], again["published"]["put"]) == (False, 0)
    targets = [{one["instrument"]: (one.get("score"), one.get("weight_target")) for one in each} for each in decided]
    assert targets[0] == targets[1]
