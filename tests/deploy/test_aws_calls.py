"""S2, S10: what the code asks of AWS is what its process's role may do: no call without a right, no right without a call."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from aws_template import ACCOUNT, REGION, Stack
from iam_policies import Asked, allowed

ROOT = Path(__file__).parents[2]
PROGRAMS = ("deploy/aws/lambdas", "deploy/aws/host", "marketbot_assets", "marketbot_resources")
ALL = Stack(Variant="c", Signals="on", CancelAll="on", HeavyRun="on")
# Operation of boto3 -> the action that IAM wants. Source: Service Authorization Reference, S3, SSM, STS, DynamoDB, EC2, SNS.
ACTIONS = {
    "put_object": "s3:PutObject",
    "get_object": "s3:GetObject",
    "head_object": "s3:GetObject",
    "list_objects_v2": "s3:ListBucket",
    "list_object_versions": "s3:ListBucketVersions",
    "get_object(VersionId)": "s3:GetObjectVersion",
    "get_parameter": "ssm:GetParameter",
    "get_parameters": "ssm:GetParameters",
    "assume_role": "sts:AssumeRole",
    "put_item": "dynamodb:PutItem",
    "publish": "sns:Publish",
    "describe_instances": "ec2:DescribeInstances",
    "start_instances": "ec2:StartInstances",
    "stop_instances": "ec2:StopInstances",
}
# What each file asks. Written by hand; the first test compares it with the code.
ASKED = {
    "marketbot_resources/store/s3_objects.py": {"put_object", "get_object", "head_object", "list_objects_v2"},
    "marketbot_resources/anchors/s3.py": {"put_object", "get_object(VersionId)", "list_object_versions"},
    "marketbot_resources/halt_sources.py": {"get_parameter"},
    "marketbot_resources/secrets.py": {"get_parameters"},
    "marketbot_resources/signal_publisher.py": {"put_item"},
    "deploy/aws/lambdas/dead_man.py": {"list_objects_v2", "get_parameters", "publish"},
    "deploy/aws/lambdas/batch_machine.py": {"describe_instances", "start_instances", "stop_instances", "publish"},
    "deploy/aws/host/fetch_secrets.py": {"assume_role", "get_parameters"},
}
# process -> role and what it runs of these files against which resource. The run and its notifier are one role: the notifier
# reads digests from the store. A task on Fargate reads and writes the store and knows neither anchors nor parameters.
STORE, ANCHORS, BACKUPS = "Store", "Anchors", "Backups"
USES = (
    ("run", "OmsRole", "marketbot_resources/store/s3_objects.py", STORE),
    ("run", "OmsRole", "marketbot_resources/anchors/s3.py", ANCHORS),
    ("notifier", "OmsRole", "marketbot_resources/store/s3_objects.py", STORE),
    ("heavy run", "HeavyRunRole", "marketbot_resources/store/s3_objects.py", STORE),
    ("dead man", "DeadManRole", "deploy/aws/lambdas/dead_man.py", ANCHORS),
    ("publisher", "SignalsRole", "marketbot_resources/signal_publisher.py", "SignalTable"),
)
BY_HAND = {
    ("OmsRole", BACKUPS): {"s3:PutObject", "s3:GetObject", "s3:ListBucket"}
}  # `aws s3 sync` of a backup, and back
KEYS = {"s3:if-none-match": "*", "s3:ObjectCreationOperation": "true", "aws:SecureTransport": "true"}
WHOLE = ("s3:ListBucket", "s3:ListBucketVersions", "dynamodb:PutItem")


def operations(text: str) -> Iterator[str]:
    """Operations of boto3 clients that a program calls, also by a paginator's name."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            name = node.func.attr
            if name == "get_paginator" and isinstance(node.args[0], ast.Constant):
                yield str(node.args[0].value)
            elif name == "publish" and not any(word.arg == "TopicArn" for word in node.keywords):
                continue  # an anchor's own verb
            elif name in ACTIONS:
                versioned = name == "get_object" and any(word.arg == "VersionId" for word in node.keywords)
                yield f"{name}(VersionId)" if versioned else name


def test_every_call_of_aws_is_known() -> None:
    """A new call, or a new file that imports boto3, is written into the table with the role that it needs."""
    texts = {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
        for place in PROGRAMS
        for path in (ROOT / place).rglob("*.py")
    }
    verbs = re.compile("|".join(name for name in ACTIONS if name.isidentifier()))
    found = {name: set(operations(text)) for name, text in texts.items() if verbs.search(text)}
    assert {name: asked for name, asked in found.items() if asked} == ASKED
    importing = {name for name, text in texts.items() if re.search(r"^\s*import boto3", text, re.MULTILINE)}
    door = {"marketbot_resources/store/s3_client.py"}  # of s3_objects
    person = {
        "marketbot_resources/publication.py"
    }  # hands an operator's own keys to the library that writes the tables
    assert importing - door - person == set(ASKED) - {"marketbot_resources/store/s3_objects.py"}


def may(role: str, action: str, resource: str) -> bool:
    place = f"arn:of:{resource}" if action in WHOLE else f"arn:of:{resource}/x"
    rules = [
        statement
        for one in ALL.of_type("AWS::S3::BucketPolicy").values()
        if one["Bucket"] == resource
        for statement in one["PolicyDocument"]["Statement"]
    ]
    return allowed(Asked(ALL.arn(role), action, place, KEYS), ALL.statements(role), rules)


@pytest.mark.parametrize(("process", "role", "file", "resource"), USES, ids=[f"{p} {r}" for p, _, _, r in USES])
def test_a_process_may_do_what_its_code_asks(process: str, role: str, file: str, resource: str) -> None:
    own = {"ssm", "sns"}  # of the dead man: other resources, tested with its policy
    wanted = {ACTIONS[name] for name in ASKED[file]}
    assert [action for action in sorted(wanted) if action[:3] not in own and not may(role, action, resource)] == []


def test_no_role_has_a_right_that_no_code_asks_for() -> None:
    """Of buckets and the table: each granted action is asked by a process of that role, or by a person in the documented way."""
    granted: dict[tuple[str, str], set[str]] = {}
    for role in ALL.of_type("AWS::IAM::Role"):
        for one in ALL.statements(role):
            actions = one["Action"] if isinstance(one["Action"], list) else [one["Action"]]
            resources = one["Resource"] if isinstance(one["Resource"], list) else [one["Resource"]]
            for resource in resources:
                match = re.fullmatch(r"arn:of:(Store|Anchors|Backups|SignalTable)(/\*)?", resource)
                if match:
                    granted.setdefault((role, match[1]), set()).update(actions)
    asked: dict[tuple[str, str], set[str]] = {key: set(value) for key, value in BY_HAND.items()}
    for _, role, file, resource in USES:
        own = {ACTIONS[name] for name in ASKED[file] if not ACTIONS[name].startswith(("ssm", "sns"))}
        asked.setdefault((role, resource), set()).update(own)
    assert granted == asked


def test_the_halt_parameter_and_the_topic_are_within_reach() -> None:
    """The run reads its halt level by its exact name; the functions tell the one topic."""
    halt = f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/marketbot/paper/halt"
    assert allowed(Asked(ALL.arn("OmsRole"), "ssm:GetParameter", halt), ALL.statements("OmsRole"))
    for role in ("DeadManRole", "BatchRole"):
        assert allowed(Asked(ALL.arn(role), "sns:Publish", ALL.arn("Topic")), ALL.statements(role))
    machine = f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/Machine"
    for action, where in (("Start", machine), ("Stop", machine)):
        assert allowed(Asked(ALL.arn("BatchRole"), f"ec2:{action}Instances", where), ALL.statements("BatchRole"))
    assert allowed(Asked(ALL.arn("BatchRole"), "ec2:DescribeInstances", "*"), ALL.statements("BatchRole"))


def test_the_publisher_puts_and_reads_nothing() -> None:
    """Its role knows one table and one verb; without signals neither role nor way to it exists."""
    (statement,) = ALL.statements("SignalsRole")
    assert (statement["Action"], statement["Resource"]) == ("dynamodb:PutItem", ALL.arn("SignalTable"))
    for action in ("dynamodb:GetItem", "dynamodb:Scan", "dynamodb:DeleteItem", "dynamodb:UpdateItem", "s3:GetObject"):
        assert not may("SignalsRole", action, "SignalTable")
    assert "SignalsRole" not in Stack().of_type("AWS::IAM::Role")
    assert not any("signals" in resource for resource in Stack().statements("MachineRole")[0]["Resource"])


def test_the_notifier_finds_the_credentials_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine of AWS they stand in a file that AWS_CONFIG_FILE names; without it no digest could be read from the bucket."""
    from marketbot_resources import settings

    monkeypatch.setenv("MARKETBOT_STORE", "s3://bucket/store")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/run/marketbot/store/config")
    assert settings.notifier_environment()["AWS_CONFIG_FILE"] == "/run/marketbot/store/config"
    monkeypatch.delenv("MARKETBOT_STORE")
    assert "AWS_CONFIG_FILE" not in settings.notifier_environment()
