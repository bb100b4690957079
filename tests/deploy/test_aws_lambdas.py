"""The dead man's switch and the starter of variant c, run here: against moto, and a broker that misbehaves (real HTTP)."""

import datetime as dt
import json
import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from aws_world import AWS, account, client, program
from hypothesis import given
from hypothesis import strategies as st

BROKER = Path(__file__).parents[1] / "broker"
UTC = dt.timezone.utc  # noqa: UP017 - as the functions write it
pytest.importorskip("boto3")


@pytest.fixture(scope="module")
def dead_man() -> ModuleType:
    return program("lambdas/dead_man.py")


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("since", "until", "hours"),
    [
        ("2026-11-23T22:00", "2026-11-24T22:00", 24.0),  # Monday to Tuesday
        ("2026-11-27T22:00", "2026-11-30T22:00", 24.0),  # Friday to Monday: the weekend does not count
        ("2026-11-28T10:00", "2026-11-29T20:00", 0.0),  # Saturday to Sunday
        ("2026-12-24T22:00", "2026-12-28T22:00", 48.0),  # Christmas on a Friday: still within twice a day
        ("2026-11-24T22:00", "2026-11-24T22:00", 0.0),
        ("2026-11-25T22:00", "2026-11-24T22:00", 0.0),  # a clock that went back
        ("2026-11-25T23:30", "2026-11-26T00:15", 0.75),
    ],
)
def test_silence_is_counted_on_weekdays(dead_man: ModuleType, since: str, until: str, hours: float) -> None:
    assert dead_man.weekday_hours(at(since), at(until)) == pytest.approx(hours)


MONDAY = dt.datetime(2026, 1, 5, tzinfo=UTC)


@given(st.integers(0, 60 * 24 * 60), st.integers(0, 60 * 24 * 60), st.integers(0, 60 * 24 * 60))
def test_silence_adds_up_and_five_of_seven_days_count(a: int, b: int, c: int) -> None:
    """Additive over time, never negative, 120 hours for every whole week."""
    first, second, third = (MONDAY + dt.timedelta(minutes=m) for m in sorted((a, b, c)))
    hours = program("lambdas/dead_man.py").weekday_hours
    assert hours(first, second) + hours(second, third) == pytest.approx(hours(first, third))
    assert hours(first, first + dt.timedelta(days=7)) == pytest.approx(120.0)


@pytest.mark.parametrize("name", ["dead_man.py", "batch_machine.py"])
def test_a_function_is_short_and_imports_what_the_runtime_has(name: str) -> None:
    """At most 150 lines; the standard library and boto3 alone."""
    text = (AWS / "lambdas" / name).read_text(encoding="utf-8")
    assert text.count("\n") <= 150
    found = set(re.findall(r"^(?:import|from) (\w+)", text, re.MULTILINE))
    assert found - set(sys.stdlib_module_names) == {"boto3"}


@contextmanager
def broker(folder: Path, orders: int, faults: str = "") -> Iterator[Any]:
    """The misbehaving Alpaca of the broker's tests, with some open orders."""
    sys.path.insert(0, str(BROKER))
    try:
        import alpaca_server
        from broker_truth import Asked
    finally:
        sys.path.remove(str(BROKER))
    server = alpaca_server.open_server(folder / "truth.sqlite", cash="100000", faults=faults)
    for n in range(orders):
        body = {"client_order_id": f"order-{n}", "symbol": "AAPL", "side": "buy", "qty": "1", "type": "limit"}
        price = alpaca_server.Decimal("10")
        server.truth.accept(
            Asked(f"order-{n}", "AAPL", "buy", alpaca_server.Decimal(1), "limit", "day", price, None, body)
        )
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def headers() -> dict[str, str]:
    import alpaca_server

    return {"APCA-API-KEY-ID": alpaca_server.KEY, "APCA-API-SECRET-KEY": alpaca_server.SECRET}


def test_the_switch_knows_two_brokers_and_tests_alone_another(dead_man: ModuleType) -> None:
    """Its key never goes to an address that a setting names."""
    assert dead_man.broker_address("paper", "https://evil.example.org") == "https://paper-api.alpaca.markets"
    assert dead_man.broker_address("live", "") == "https://api.alpaca.markets"
    assert dead_man.broker_address("paper", "http://127.0.0.1:9") == "http://127.0.0.1:9"
    with pytest.raises(KeyError):
        dead_man.broker_address("other", "")


@pytest.fixture(scope="module")
def cloud() -> Iterator[None]:
    """An account with the topic, the bucket of anchors and the switch's own key."""
    pytest.importorskip("moto")
    with account(), broker_on_path():
        s3 = client("s3")
        s3.create_bucket(Bucket="anchors")
        for name, value in headers().items():
            path = f"/marketbot/paper/deadman/{name.replace('-', '_')}"
            client("ssm").put_parameter(Name=path, Value=value, Type="SecureString")
        yield


@contextmanager
def broker_on_path() -> Iterator[None]:
    sys.path.insert(0, str(BROKER))
    try:
        yield
    finally:
        sys.path.remove(str(BROKER))


Environ = dict[str, str]


@pytest.fixture
def environ(cloud: None) -> Environ:
    """The function's environment."""
    topic = client("sns").create_topic(Name="marketbot")["TopicArn"]
    return {"STAGE": "paper", "ANCHORS": "anchors", "HOURS_MAX": "50", "TOPIC": topic}


def heads(*names: str) -> None:
    s3 = client("s3")
    for found in s3.list_objects_v2(Bucket="anchors").get("Contents", ()):
        s3.delete_object(Bucket="anchors", Key=found["Key"])
    for name in names:
        s3.put_object(Bucket="anchors", Key=name, Body=b"note")


def metric(text: str) -> float:
    told = json.loads(text.splitlines()[-1])
    (group,) = told["_aws"]["CloudWatchMetrics"]
    assert (group["Namespace"], group["Dimensions"]) == ("marketbot", [["Stage"]])
    assert abs(told["_aws"]["Timestamp"] / 1000 - time.time()) < 600
    return float(told["HeartbeatAgeHours"])


@pytest.mark.long
def test_a_fresh_head_is_no_silence(dead_man: ModuleType, environ: Environ, capsys: pytest.CaptureFixture[str]) -> None:
    """The newest of all heads counts, and nothing else in the bucket; nothing is asked of the broker."""
    heads("paper/checkpoint/000000000007.txt", "paper/other.txt")
    found = dead_man.handler({}, None, environ)
    assert (found["silent"], found["cancel"]) == (False, None)
    assert metric(capsys.readouterr().out) < 0.1


@pytest.mark.long
def test_no_head_at_all_is_silence(dead_man: ModuleType, environ: Environ, capsys: pytest.CaptureFixture[str]) -> None:
    """An empty bucket, and one without heads: the metric is above the limit."""
    heads("paper/other.txt")
    assert dead_man.handler({}, None, environ) == {"age_hours": None, "silent": True, "cancel": None}
    assert metric(capsys.readouterr().out) == 100.0


@pytest.mark.long
@pytest.mark.parametrize(("limit", "silent"), [("nan", True), ("-1", True), ("50", False)])
def test_a_limit_that_is_no_number_is_silence(dead_man: ModuleType, environ: Environ, limit: str, silent: bool) -> None:
    heads("paper/checkpoint/000000000007.txt")
    assert dead_man.handler({}, None, environ | {"HOURS_MAX": limit})["silent"] is silent


@pytest.mark.long
@pytest.mark.parametrize("faults", ["", "get_503=0.3", "get_429=0.3", "get_truncate=0.4"])
def test_cancel_all_ends_only_when_the_broker_says_that_nothing_is_open(
    dead_man: ModuleType, environ: Environ, tmp_path: Path, faults: str
) -> None:
    """RC-80, RC-85: by its own key, cancelled one by one through refused, throttled and cut answers; people are told once.

    Proven by the broker's own list. While heads are fresh it cancels nothing, and without the switch it only looks.
    """
    with broker(tmp_path, 5, faults) as server, listener(environ["TOPIC"]) as heard:
        asked = environ | {"CANCEL_ALL": "on", "BROKER_URL": server.base}
        heads("paper/checkpoint/000000000007.txt")
        assert dead_man.handler({}, None, asked, 20.0, 0.05)["cancel"] is None
        heads()
        assert dead_man.handler({}, None, asked | {"CANCEL_ALL": "off"}, 20.0, 0.05)["cancel"] is None
        assert {order["status"] for order in server.truth.told()["orders"]} == {"new"}
        found = dead_man.handler({}, None, asked, 20.0, 0.05)
        assert found["cancel"] == {"cancelled": 5, "problem": ""}
        assert {order["status"] for order in server.truth.told()["orders"]} == {"canceled"}
        (text,) = heard()
        assert text == "no head of the ledger at all; 5 open orders were asked to be cancelled. None is open now."


@contextmanager
def listener(topic: str) -> Iterator[Any]:
    """What the topic told, by a queue that subscribes to it."""
    sqs, sns = client("sqs"), client("sns")
    url = sqs.create_queue(QueueName="heard")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    subscribed = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)["SubscriptionArn"]

    def heard() -> list[str]:
        found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        return [json.loads(one["Body"])["Message"] for one in found]

    try:
        yield heard
    finally:
        sns.unsubscribe(SubscriptionArn=subscribed)
        sqs.delete_queue(QueueUrl=url)


@pytest.mark.long
@pytest.mark.parametrize("why", ["refused", "silent", "no parameter"])
def test_orders_that_may_be_left_are_an_error(dead_man: ModuleType, environ: Environ, tmp_path: Path, why: str) -> None:
    """A wrong key, a broker that never lists, a missing parameter: it raises, and says no key."""
    heads()
    name = "/marketbot/paper/deadman/APCA_API_KEY_ID"
    asked = environ | {"CANCEL_ALL": "on"} | ({"STAGE": "live"} if why == "no parameter" else {})
    if why == "refused":
        client("ssm").put_parameter(Name=name, Value="PKOTHER", Type="SecureString", Overwrite=True)
    try:
        with broker(tmp_path, 2, "get_503=1.0" if why == "silent" else "") as server:
            with pytest.raises(RuntimeError, match="orders may be left") as raised:
                dead_man.handler({}, None, asked | {"BROKER_URL": server.base}, 1.0, 0.05)
            assert len([o for o in server.truth.told()["orders"] if o["status"] != "canceled"]) == 2
    finally:
        told = headers()["APCA-API-KEY-ID"]
        client("ssm").put_parameter(Name=name, Value=told, Type="SecureString", Overwrite=True)
    assert not any(secret in str(raised.value) for secret in (*headers().values(), "PKOTHER"))


@pytest.fixture
def machine(cloud: None) -> Iterator[Environ]:
    """A running instance of the account, as the functions are told of it."""
    ec2 = client("ec2")
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    (one,) = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1)["Instances"]
    topic = client("sns").create_topic(Name="marketbot")["TopicArn"]
    yield {"MACHINE": one["InstanceId"], "HOURS_MAX": "3", "TOPIC": topic}
    ec2.terminate_instances(InstanceIds=[one["InstanceId"]])


@pytest.mark.long
def test_the_starter_starts_what_is_stopped_and_nothing_twice(machine: Environ) -> None:
    """Running: nothing to do; stopped: started; gone: an error, so that the schedule tries again and an alarm tells."""
    batch, ec2, name = program("lambdas/batch_machine.py"), client("ec2"), machine["MACHINE"]
    assert batch.start({}, None, machine) == {"machine": name, "was": "running", "started": False}
    ec2.stop_instances(InstanceIds=[name])
    assert batch.start({}, None, machine)["started"] is True
    assert batch.described(ec2, name)["State"]["Name"] == "running"
    ec2.terminate_instances(InstanceIds=[name])
    with pytest.raises(RuntimeError, match="found terminated"):
        batch.start({}, None, machine)


@pytest.mark.long
def test_a_machine_that_hangs_is_stopped_from_outside(machine: Environ) -> None:
    """Within its time it is left alone; beyond, it is stopped and told; a stopped one is no business of ours."""
    batch, ec2, name = program("lambdas/batch_machine.py"), client("ec2"), machine["MACHINE"]
    assert batch.stop({}, None, machine)["stopped"] is False
    with listener(machine["TOPIC"]) as heard:
        assert batch.stop({}, None, machine | {"HOURS_MAX": "-1"})["stopped"] is True
        (text,) = heard()
        assert name in text
        assert "stopped from outside" in text
    assert batch.described(ec2, name)["State"]["Name"] == "stopped"
    assert batch.stop({}, None, machine) == {"machine": name, "hours": None, "stopped": False}


@pytest.mark.long
def test_each_process_file_is_fetched_by_its_own_role(
    cloud: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S2: the unit becomes the four roles in turn; files are 0600, hold their own names alone, and change when a parameter does."""
    fetch = program("host/fetch_secrets.py")
    ssm, iam = client("ssm"), client("iam")
    for role in ("ingest", "llm", "oms", "signer"):
        iam.create_role(RoleName=f"marketbot-paper-{role}-us-east-1", AssumeRolePolicyDocument="{}")
    for group, name, value in (
        ("data", "FRED_API_KEY", "fred-1"),
        ("data", "APCA_API_KEY_ID", "PKDATA"),
        ("broker", "APCA_API_KEY_ID", "PKBROKER"),
        ("llm", "OPENAI_API_KEY", "sk-1"),
        ("notify", "MARKETBOT_SLACK_WEBHOOK", "https://hooks.example.org/x"),
        ("signer", "KEY", "PRIVATE+KEY+x"),
    ):
        ssm.put_parameter(Name=f"/marketbot/paper/{group}/{name}", Value=value, Type="SecureString")
    conf = tmp_path / "marketbot.conf"
    conf.write_text("STAGE=paper\nREGION=us-east-1\nACCOUNT=123456789012\nPARTITION=aws\n", encoding="utf-8")
    monkeypatch.setenv("MARKETBOT_CONF", str(conf))
    folder = tmp_path / "run"
    folder.mkdir()
    monkeypatch.setattr(sys, "argv", ["fetch_secrets.py", str(folder)])
    assert fetch.main() == 0
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    assert {name: path.stat().st_mode & 0o777 for name, path in files.items()} == dict.fromkeys(
        (
            *(f"code/{name}.env" for name in ("run", "llm", "notifier")),
            "signer/signer.env",
            "store/config",
            "store/credentials.json",
        ),
        0o600,
    )
    assert files["code/run.env"].read_text() == "APCA_API_KEY_ID=PKBROKER\nFRED_API_KEY=fred-1\n"
    assert files["code/llm.env"].read_text() == "OPENAI_API_KEY=sk-1\n"
    assert files["signer/signer.env"].read_text() == "KEY=PRIVATE+KEY+x\n"
    told = json.loads(files["store/credentials.json"].read_text())
    assert dt.datetime.fromisoformat(told["Expiration"]) > dt.datetime.now(dt.UTC)
    ssm.put_parameter(Name="/marketbot/paper/llm/OPENAI_API_KEY", Value="sk-2", Type="SecureString", Overwrite=True)
    assert fetch.main() == 0
    assert files["code/llm.env"].read_text() == "OPENAI_API_KEY=sk-2\n"


@pytest.mark.long
def test_the_product_reads_its_parameters_from_the_account(cloud: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Environment, then SSM: over real HTTP, SecureString decrypted, by exact names."""
    from marketbot_resources.secrets import PREFIX, Process, found

    client("ssm").put_parameter(Name="/marketbot/live/data/TIINGO_API_KEY", Value=" tiingo-7 ", Type="SecureString")
    client("ssm").put_parameter(Name="/marketbot/live/llm/OPENAI_API_KEY", Value="sk-7", Type="SecureString")
    monkeypatch.setenv(PREFIX, "/marketbot/live")
    assert found(Process.RUN) == {"TIINGO_API_KEY": "tiingo-7"}
    assert found(Process.LLM) == {"OPENAI_API_KEY": "sk-7"}
    assert found(Process.SIGNER) == {}
