"""docs/deploy.md as a stranger reads it: each command, option, parameter, output, unit and file that it names exists."""

import re
import shlex
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from aws_template import Stack, template

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
SHELL = "\n".join(body for kind, body in BLOCKS if not kind)
INLINE = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", TEXT, flags=re.MULTILINE | re.DOTALL))
# Commands of the AWS command line that are no operation of an API, with their options.
CUSTOM = {
    ("s3", "cp"): set(),
    ("s3", "sync"): set(),
    ("cloudformation", "deploy"): {"--stack-name", "--template-file", "--capabilities", "--parameter-overrides"},
}
GLOBAL = {"--query", "--output"}
pytest.importorskip("botocore")


def aws_commands() -> list[list[str]]:
    """The words of every `aws` command of the page, in blocks and in running text."""
    joined = re.sub(r"\\\n\s*", " ", SHELL)
    lines = [re.sub(r"\s#.*", "", line) for line in joined.splitlines()]
    found = [match for line in [*lines, *INLINE] for match in re.findall(r"(?<![\w/-])aws [a-z0-9]+ [a-z].*", line)]
    return [shlex.split(re.split(r"[;)|>]", text)[0]) for text in found]


@lru_cache
def operations(service: str) -> dict[str, Any]:
    import botocore.session
    from botocore import xform_name

    model = botocore.session.get_session().get_service_model({"s3api": "s3"}.get(service, service))
    return {xform_name(name, "-"): model.operation_model(name) for name in model.operation_names}


@pytest.mark.parametrize("words", aws_commands(), ids=lambda words: " ".join(words[1:3]))
def test_every_command_of_aws_exists_with_its_options(words: list[str]) -> None:
    """By the models of AWS's own services: operation and arguments; `--no-x` is a flag's other value."""
    from botocore import xform_name

    _, service, name, *rest = words
    options = {word.partition("=")[0] for word in rest if word.startswith("--")}
    if (service, name) in CUSTOM:
        assert options <= CUSTOM[service, name] | GLOBAL
        return
    assert name in operations(service), f"aws {service} {name}"
    shape = operations(service)[name].input_shape
    known = {f"--{xform_name(member, '-')}" for member in shape.members} | GLOBAL
    assert {option.replace("--no-", "--") for option in options} <= known


def test_the_page_has_commands() -> None:
    """So that the test above is not empty by an error of reading."""
    assert {(words[1], words[2]) for words in aws_commands()} >= {
        ("sts", "get-caller-identity"),
        ("cloudformation", "deploy"),
        ("cloudformation", "delete-stack"),
        ("ssm", "put-parameter"),
        ("rds", "modify-db-instance"),
        ("lambda", "invoke"),
        ("s3", "sync"),
    }


def test_every_parameter_of_the_stack_exists_and_none_is_forgotten() -> None:
    """What the page gives is a parameter; those without a default are all given; what the text names is one, too."""
    (deploy,) = [words for words in aws_commands() if words[1:3] == ["cloudformation", "deploy"]]
    given = {word.partition("=")[0] for word in deploy[deploy.index("--parameter-overrides") + 1 :]}
    parameters = template()["Parameters"]
    assert given <= set(parameters)
    assert {name for name, about in parameters.items() if "Default" not in about} <= given
    named = {name for one in INLINE for name in re.findall(r"^([A-Z][a-z]+\w*)=\w+$", one)}
    assert named
    assert named <= set(parameters)
    for one in ("StartAt", "StartZone", "LockDays", "Needs", "Signals"):
        assert any(one in told for told in INLINE), one
        assert one in parameters


def test_every_secret_that_is_put_is_one_that_somebody_reads() -> None:
    """`put GROUP/NAME` names a parameter of a role, of the function, or of the database's owner."""
    stack = Stack(Variant="a", CancelAll="on")
    told = "\n".join(str(stack.statements(role)) for role in stack.of_type("AWS::IAM::Role"))
    told += str(template()["Resources"]["Database"])
    put = set(re.findall(r"put ([a-z]+/[A-Z_]+)", TEXT))
    assert len(put) > 8
    assert [name for name in sorted(put) if f"/{name}" not in told] == []


def test_outputs_units_and_files_exist() -> None:
    """Whatever the page names of ours."""
    setup = (ROOT / "deploy" / "aws" / "host" / "setup.sh").read_text(encoding="utf-8")
    units = set(re.findall(r"marketbot-(?:secrets|batch)\b", TEXT))
    assert units == {"marketbot-secrets", "marketbot-batch"}
    assert all(f"/{unit}.service" in setup for unit in units)
    assert all(name in template()["Outputs"] for name in re.findall(r"output ([A-Z]\w+)", TEXT))
    files = set(re.findall(r"(?<![\w/])(?:deploy|docs|tests)/[\w./-]*\w", TEXT)) - {
        "deploy/.env",
        "deploy/aws/functions.zip",
    }
    assert len(files) > 5
    assert [name for name in sorted(files) if not (ROOT / name).exists()] == []
    assert "`marketbot-<stage>-signals`" in TEXT
    assert Stack(Signals="on").of_type("AWS::DynamoDB::Table")["SignalTable"]["TableName"] == "marketbot-paper-signals"


def test_the_schema_of_signals_is_what_is_published() -> None:
    """Every attribute has a row, every row is an attribute."""
    from marketbot_assets import signals

    part = TEXT[TEXT.index("## Signals") : TEXT.index("## One heavy run")]
    rows = re.findall(r"^\| (`[^|]+) \|", part, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    source = Path(signals.__file__).read_text(encoding="utf-8")
    body = source[source.index("def signals_of") : source.index("def _versions")]
    written = set(re.findall(r'^ +"(\w+)": ', body, re.MULTILINE)) | {"instrument", "instruments"}
    assert named == written


def test_the_budget_and_the_days_of_logs_are_asserted_of_every_variant() -> None:
    """Three mails before the money is gone: half, nine tenths, and what is forecast; each to the given address."""
    for variant in "abc":
        (budget,) = Stack(Variant=variant, BudgetUsd="12").of_type("AWS::Budgets::Budget").values()
        assert budget["Budget"]["BudgetLimit"] == {"Amount": "12", "Unit": "USD"}
        told = budget["NotificationsWithSubscribers"]
        kinds = [(n["Notification"]["NotificationType"], n["Notification"]["Threshold"]) for n in told]
        assert kinds == [("ACTUAL", 50), ("ACTUAL", 90), ("FORECASTED", 100)]
        assert {one["Address"] for n in told for one in n["Subscribers"]} == {"ops@example.org"}


def test_variant_c_starts_before_the_session_and_not_too_early() -> None:
    """StartAt in StartZone is some minutes before decide_at, in the same time zone, and within what the batch waits for."""
    import yaml

    parameters = template()["Parameters"]
    schedule = yaml.safe_load((ROOT / "mandate.yaml").read_text(encoding="utf-8"))["schedule"]
    assert parameters["StartZone"]["Default"] == schedule["timezone"]
    found = re.fullmatch(r"cron\((\d+) (\d+) \? \* MON-FRI \*\)", parameters["StartAt"]["Default"])
    assert found
    decides = [int(part) for part in schedule["decide_at"].split(":")]
    early = (decides[0] * 60 + decides[1]) - (int(found[2]) * 60 + int(found[1]))
    batch = (ROOT / "deploy" / "aws" / "host" / "batch.sh").read_text(encoding="utf-8")
    (waits,) = re.findall(r"--due \"\$\{DUE_MINUTES:-(\d+)\}\"", batch)
    assert 5 <= early < int(waits)
    assert int(waits) / 60 + 1 <= float(parameters["RunHoursMax"]["Default"])


def test_what_the_machine_adds_to_the_relay_is_the_same_on_both_sides() -> None:
    """A name that leads to the relay is one that it lets out; nothing of the account beyond S3, SSM and DynamoDB."""
    import yaml

    text = (ROOT / "deploy" / "aws" / "host" / "compose.aws.yaml").read_text(encoding="utf-8")
    relay = yaml.safe_load(text)["services"]["relay"]
    hosts = relay["environment"]["EDGE_HOSTS"].split()
    assert hosts == relay["networks"]["inside"]["aliases"]
    assert {host.split(".")[-4] for host in hosts} == {"s3", "ssm", "dynamodb"}
    assert "@MORE@" in (ROOT / "deploy" / "nginx" / "relay.conf").read_text(encoding="utf-8")
    assert "@MORE@" in (ROOT / "deploy" / "edge.sh").read_text(encoding="utf-8")
