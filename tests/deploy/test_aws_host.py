"""The scripts of deploy/aws/host run for real: UserData, units and batch in a container with systemd, AWS as moto's server."""

import hashlib
import io
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aws_template import GIVEN, Stack
from aws_world import AWS, account, client, program
from compose_runner import ROOT, no_containers
from host_machine import Machine, Metadata, build_machine, metadata_service

HOST = AWS / "host"
containers = pytest.mark.skipif(no_containers() is not None, reason=str(no_containers()))
PUT = {
    "data/FRED_API_KEY": "fred-value",
    "broker/APCA_API_KEY_ID": "broker-id",
    "broker/APCA_API_SECRET_KEY": "broker-value",
    "llm/OPENAI_API_KEY": "model-value",
    "signer/KEY": "PRIVATE+KEY+example",
}


def until(true: Callable[[], object], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.3)


def release() -> bytes:
    """What `git archive` would give of deploy/."""
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w:gz") as tar:
        tar.add(ROOT / "deploy", "deploy", filter=lambda one: None if "secrets" in one.name.split("/") else one)
    return body.getvalue()


def user_data(body: bytes, variant: str, signals: str = "on") -> str:
    stack = Stack(Variant=variant, Signals=signals, ReleaseSha256=hashlib.sha256(body).hexdigest())
    data = stack.of_type("AWS::EC2::LaunchTemplate")["MachineTemplate"]["LaunchTemplateData"]["UserData"]
    return str(data)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The account with the release and the parameters, the metadata service, the image; the machine's environment."""
    pytest.importorskip("moto")
    folder = tmp_path_factory.mktemp("image")
    try:
        build_machine(folder)
    except (RuntimeError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"no image of a machine here: {str(error)[-200:]}")
    with account() as aws, metadata_service() as metadata:
        client("s3").create_bucket(Bucket=GIVEN["ArtefactBucket"])
        for name, value in PUT.items():
            put(name, value)
        yield {
            "AWS_ENDPOINT_URL": aws,
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata,
            "COMPOSE": "/usr/local/sbin/compose",
        }


def put(name: str, value: str) -> None:
    client("ssm").put_parameter(Name=f"/marketbot/paper/{name}", Value=value, Type="SecureString", Overwrite=True)


def put_release(body: bytes) -> None:
    client("s3").put_object(Bucket=GIVEN["ArtefactBucket"], Key=GIVEN["ReleaseKey"], Body=body)


@pytest.fixture
def machine(world: dict[str, str], tmp_path: Path) -> Iterator[Machine]:
    one = Machine("mbtest-aws-host", tmp_path / "notes", world)
    try:
        until(lambda: one.run("systemctl", "is-system-running").stdout.strip() in ("running", "degraded"))
        yield one
    finally:
        one.remove()


def boot(machine: Machine, data: str) -> subprocess.CompletedProcess[str]:
    """UserData as cloud-init runs it: a file that is executed."""
    (machine.folder / "user-data").write_text(data, encoding="utf-8")
    (machine.folder / "user-data").chmod(0o755)
    return machine.run("/notes/user-data", seconds=300)


def held(machine: Machine) -> dict[str, str]:
    """File below /run/marketbot -> mode, owner, hash."""
    listing = "cd /run/marketbot && find . -type f -printf '%P %m %U ' -exec sh -c 'sha256sum < \"$1\"' _ {} ';' | sort"
    return dict(line.split(" ", 1) for line in machine.say(listing).splitlines())


@pytest.mark.long
@pytest.mark.container
@containers
def test_a_machine_makes_itself_from_user_data(machine: Machine) -> None:
    """Other bytes than the release's are refused; then secrets lie in a tmpfs, one process' names in each file, and follow SSM."""
    body = release()
    data = user_data(body, "b")
    (machine.folder / "user-data").write_text(data, encoding="utf-8")
    kind = "from cloudinit.handlers import type_from_starts_with as kind; print(kind(open('/notes/user-data').read()))"
    assert machine.say(f'python3 -c "{kind}"').strip() == "text/x-shellscript"  # what cloud-init would do with it
    put_release(body + b"more")
    refused = boot(machine, data)
    assert refused.returncode != 0
    assert "checksum did NOT match" in refused.stderr
    assert machine.say("ls /opt/marketbot").split() == ["release.tar.gz"]
    put_release(body)
    done = boot(machine, data)
    assert done.returncode == 0, done.stderr[-1500:]
    assert Metadata.refused == []  # never asked without a token
    assert Metadata.served
    assert {"dnf -q -y install python3-boto3", "swapon /swapfile"} <= set(machine.words)
    files = held(machine)
    assert set(files) == {
        *(f"code/{name}.env" for name in ("run", "llm", "notifier")),
        *(f"{name}/{file}" for name in ("store", "signals") for file in ("config", "credentials.json")),
        "signer/signer.env",
    }
    assert {tuple(text.split()[:2]) for text in files.values()} == {("600", "10001")}
    mounted = machine.say("stat -fc %T /run/marketbot; stat -c '%a %u' /run/marketbot; cat /proc/mounts")
    assert mounted.splitlines()[:2] == ["tmpfs", "700 10001"]
    (line,) = [one for one in mounted.splitlines() if " /run/marketbot " in one]
    assert {"nosuid", "nodev", "noexec"} <= set(line.split()[3].split(","))
    assert machine.say("cat /run/marketbot/code/run.env").splitlines() == [
        "APCA_API_KEY_ID=broker-id",
        "APCA_API_SECRET_KEY=broker-value",
        "FRED_API_KEY=fred-value",
    ]
    told = machine.say("AWS_CONFIG_FILE=/run/marketbot/signals/config python3 -c \"import boto3; \
c = boto3.session.Session().get_credentials(); print(c.method, bool(c.token))\"")  # fmt: skip
    assert told.split() == ["custom-process", "True"]
    assert "active" in machine.say("systemctl is-active marketbot-secrets.timer run-marketbot.mount")
    put("llm/OPENAI_API_KEY", "another-value")
    machine.say("systemctl start marketbot-secrets")
    after = held(machine)
    assert after["code/run.env"] == files["code/run.env"]
    assert machine.say("cat /run/marketbot/code/llm.env") == "OPENAI_API_KEY=another-value\n"
    assert boot(machine, data).returncode == 0  # once more, as after an upgrade


@pytest.mark.long
@pytest.mark.container
@containers
@pytest.mark.parametrize("lost", ["broker/APCA_API_SECRET_KEY"])
def test_without_a_parameter_that_is_needed_nothing_starts(machine: Machine, lost: str) -> None:
    """One clear line that names it and no value; no file; what requires the secrets does not start. Put, it does."""
    client("ssm").delete_parameter(Name=f"/marketbot/paper/{lost}")
    body = release()
    put_release(body)
    try:
        failed = boot(machine, user_data(body, "c"))
        assert failed.returncode != 0
        said = machine.say("journalctl -u marketbot-secrets -o cat --no-pager").splitlines()
        (line,) = [one for one in said if one.startswith("fetch_secrets:")][-1:]
        assert line == (
            f"fetch_secrets: expected the parameters /marketbot/paper/{lost}, found none; put them, "
            "then: systemctl start marketbot-secrets"
        )
        assert not any(value in "\n".join(said) for value in PUT.values())
        assert held(machine) == {}
        started = machine.run("systemctl", "start", "marketbot-batch")
        assert started.returncode != 0
        assert "compose" not in "\n".join(machine.words)
        assert machine.running
    finally:
        put(lost, PUT[lost])
    machine.say("systemctl reset-failed marketbot-secrets; systemctl start marketbot-secrets")
    assert "code/run.env" in held(machine)


@pytest.mark.long
@pytest.mark.container
@containers
@pytest.mark.parametrize("status", ["0", "1"])
def test_variant_c_runs_what_is_due_and_stops_itself(machine: Machine, status: str) -> None:
    """From the schedule's function to a machine that is off: started, due sessions run, containers down, powered off."""
    ec2, batch = client("ec2"), program("lambdas/batch_machine.py")
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    (one,) = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1)["Instances"]
    topic = client("sns").create_topic(Name="marketbot")["TopicArn"]
    environ = {"MACHINE": one["InstanceId"], "HOURS_MAX": "3", "TOPIC": topic}

    def state() -> str:
        return str(batch.described(ec2, one["InstanceId"])["State"]["Name"])

    body = release()
    put_release(body)
    assert boot(machine, user_data(body, "c")).returncode == 0
    assert machine.run("systemctl", "is-enabled", "marketbot-batch").stdout.strip() == "disabled"
    machine.say("touch /opt/marketbot/deploy/.env; systemctl enable marketbot-batch; systemctl poweroff --no-block")
    until(lambda: not machine.running)
    ec2.stop_instances(InstanceIds=[one["InstanceId"]])  # EC2's own: InstanceInitiatedShutdownBehavior is stop
    (machine.folder / "words").write_text("", encoding="ascii")
    (machine.folder / "status").write_text(status, encoding="ascii")

    assert batch.start({}, None, environ)["started"] is True
    assert state() == "running"
    machine.start()  # EC2 powers it on
    until(lambda: not machine.running)
    ec2.stop_instances(InstanceIds=[one["InstanceId"]])
    files = "--env-file .env --env-file /etc/marketbot.conf --file compose.yaml --file aws/host/compose.aws.yaml"
    assert machine.words == [
        f"compose {files} up --detach",
        f"compose {files} exec -T code marketbot run --due 60",
        f"compose {files} down",
    ]
    assert batch.stop({}, None, environ) == {"machine": one["InstanceId"], "hours": None, "stopped": False}
    ec2.terminate_instances(InstanceIds=[one["InstanceId"]])


@pytest.mark.long
@pytest.mark.container
@containers
def test_a_machine_that_somebody_looks_into_stays_and_one_that_hangs_is_stopped(machine: Machine) -> None:
    """The file keeps it up; beyond its hours the function stops it from outside, and EC2's stop takes the containers down."""
    body = release()
    put_release(body)
    assert boot(machine, user_data(body, "c")).returncode == 0
    machine.say("touch /opt/marketbot/deploy/.env /run/marketbot-stay; systemctl start --no-block marketbot-batch")
    until(lambda: any(" exec " in word for word in machine.words))
    time.sleep(2)
    assert machine.running
    assert not any(word.endswith(" down") for word in machine.words)
    ec2, batch = client("ec2"), program("lambdas/batch_machine.py")
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    (one,) = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1)["Instances"]
    topic = client("sns").create_topic(Name="marketbot")["TopicArn"]
    environ = {"MACHINE": one["InstanceId"], "HOURS_MAX": "-1", "TOPIC": topic}
    assert batch.stop({}, None, environ)["stopped"] is True
    assert batch.described(ec2, one["InstanceId"])["State"]["Name"] == "stopped"
    machine.say("systemctl poweroff --no-block")  # what EC2's stop does to the system
    until(lambda: not machine.running)
    assert machine.words[-1].endswith(" down")
    ec2.terminate_instances(InstanceIds=[one["InstanceId"]])


def test_the_scripts_of_the_host_are_plain_shell(tmp_path: Path) -> None:
    """Each parses, also what UserData holds; a command that fails ends it."""
    (tmp_path / "user-data").write_text(user_data(b"", "c"), encoding="utf-8")
    for path in (*sorted(HOST.glob("*.sh")), *sorted((ROOT / "deploy").glob("*.sh")), tmp_path / "user-data"):
        first = path.read_text(encoding="utf-8").splitlines()[0]
        shell = first.removeprefix("#!")
        assert shell in ("/bin/sh", "/bin/bash"), path
        done: Any = subprocess.run([shell, "-n", path], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, ""), path
        assert "set -eu" in path.read_text(encoding="utf-8"), path
