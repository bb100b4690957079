"""S2, S3, S10: who may do what in the account, from the template itself. Everything that is not named here is denied."""

import itertools
import re
import sys
from typing import Any

import pytest
from aws_template import ACCOUNT, REGION, TEMPLATE, Stack, template
from iam_policies import Asked, allowed

TASKS = ("IngestRole", "LlmRole", "OmsRole", "SignerRole")
EVERYTHING = {"HeavyRun": "on", "Signals": "on", "CancelAll": "on", "MailFrom": "bot@example.org"}
STACKS = {
    "a": Stack(Variant="a"),
    "b": Stack(),
    "c": Stack(Variant="c"),
    "paper and all": Stack(Variant="c", **EVERYTHING),
    "live and all": Stack(Variant="a", Stage="live", LockMode="COMPLIANCE", **EVERYTHING),
}
# What AWS itself defines without resources: these actions alone may say "*".
NO_RESOURCE = {
    "ec2:DescribeInstances",
    "ec2:DescribeRouteTables",
    "ec2:DescribeSubnets",
    "ecr:GetAuthorizationToken",
    "ecs:DescribeTaskDefinition",
}
# A wildcard is allowed for the objects of one bucket and the tasks of one cluster.
CONTENTS = re.compile(r"arn:of:(Store|Anchors|Backups)/\*|arn:aws:ecs:us-east-1:123456789012:task/Cluster/\*")
APCA = ("APCA_API_KEY_ID", "APCA_API_SECRET_KEY")
MODELS = ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
CHANNELS = ("SMTP_USER", "SMTP_PASSWORD", "SLACK_WEBHOOK", "APPRISE_URLS", "HEARTBEAT_URL")
PARAMETERS = {
    "IngestRole": [f"data/{name}" for name in (*APCA, "FRED_API_KEY", "SEC_USER_AGENT", "TIINGO_API_KEY")],
    "LlmRole": [f"llm/{name}" for name in (*MODELS, "MARKETBOT_LLM_LOCAL_KEY", "MARKETBOT_LLM_CACHE")],
    "OmsRole": [
        *[f"broker/{name}" for name in APCA],
        "database/MARKETBOT_LEDGER",
        "database/MARKETBOT_INDEX",
        "halt",
        *[f"notify/MARKETBOT_{name}" for name in CHANNELS],
    ],
    "SignerRole": ["signer/KEY"],
    "DeadManRole": [f"deadman/{name}" for name in APCA],
    "MachineRole": [],
    "HeavyRunRole": [],
    "HeavyRunStarter": ["database/DAGSTER_POSTGRES_URL", "database/MARKETBOT_INDEX"],
}
FORGING = (
    "s3:DeleteObject",
    "s3:DeleteObjectVersion",
    "s3:BypassGovernanceRetention",
    "s3:PutBucketPolicy",
    "s3:DeleteBucketPolicy",
    "s3:PutBucketVersioning",
    "s3:PutBucketObjectLockConfiguration",
    "s3:PutLifecycleConfiguration",
    "s3:PutObjectRetention",
    "s3:PutObjectLegalHold",
    "s3:DeleteBucket",
)
PUT = {"s3:if-none-match": "*", "s3:ObjectCreationOperation": "true", "aws:SecureTransport": "true"}
TLS = {"aws:SecureTransport": "true"}


def parameter(name: str, stage: str = "paper") -> str:
    return f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/marketbot/{stage}/{name}"


def bucket_rules(stack: Stack, bucket: str) -> list[dict[str, Any]]:
    return [
        statement
        for one in stack.of_type("AWS::S3::BucketPolicy").values()
        if one["Bucket"] == bucket
        for statement in one["PolicyDocument"]["Statement"]
    ]


def may(stack: Stack, role: str, action: str, resource: str, keys: dict[str, str] | None = None) -> bool:
    """Whether a role may do it; what lies in a bucket, by the bucket's policy, too."""
    bucket = resource.removeprefix("arn:of:").split("/")[0]
    rules = bucket_rules(stack, bucket) if bucket in ("Store", "Anchors", "Backups") else []
    return allowed(Asked(stack.arn(role), action, resource, keys or {}), stack.statements(role), rules)


@pytest.mark.parametrize("stack", STACKS.values(), ids=list(STACKS))
def test_no_action_and_no_resource_is_a_wildcard(stack: Stack) -> None:
    """S10: exact actions; exact resources but for the contents of one bucket or cluster, and actions that know no resource."""
    bad = []
    for role in stack.of_type("AWS::IAM::Role"):
        for one in stack.statements(role):
            actions = one["Action"] if isinstance(one["Action"], list) else [one["Action"]]
            resources = one["Resource"] if isinstance(one["Resource"], list) else [one["Resource"]]
            bad += [f"{role} {action}" for action in actions if "*" in action]
            for resource in resources:
                free = resource == "*" and set(actions) <= NO_RESOURCE
                if "*" in resource and not free and not CONTENTS.fullmatch(resource):
                    bad.append(f"{role} {actions} {resource}")
            assert one["Effect"] == "Allow"
    assert bad == []


@pytest.mark.parametrize("role", PARAMETERS)
def test_a_role_reads_its_own_parameters_and_no_other(role: str) -> None:
    """S2: role x parameter, all of them; no path, no history, no writing, and nothing of the other stage."""
    stack = STACKS["paper and all"]
    every = sorted({name for names in PARAMETERS.values() for name in names} | {"database/OWNER_PASSWORD"})
    readable = [n for n in every if may(stack, role, "ssm:GetParameters", parameter(n))]
    assert readable == sorted(PARAMETERS[role])
    for name, action in itertools.product(
        every, ("ssm:GetParametersByPath", "ssm:GetParameterHistory", "ssm:PutParameter", "ssm:DeleteParameter")
    ):
        assert not may(stack, role, action, parameter(name)), (action, name)
    assert not any(may(stack, role, "ssm:GetParameter", parameter(n, "live")) for n in every)
    assert not any(
        may(stack, role, "ssm:GetParameters", parameter(n)) for n in ("", "data", "data/", "data/NEW", "other")
    )


def test_every_parameter_that_a_process_is_given_may_be_read_by_its_role_and_the_other_way_round() -> None:
    """The unit that fetches, the product and the template name the same parameters."""
    sys.path.insert(0, str(TEMPLATE.parent / "host"))
    try:
        from fetch_secrets import FETCHED  # type: ignore[import-not-found]
    finally:
        sys.path.pop(0)
    asked: dict[str, set[str]] = {}
    for parts in FETCHED.values():
        for role, group, names in parts:
            asked.setdefault(f"{role.capitalize()}Role", set()).update(f"{group}/{name}" for name in names)
    assert {role: sorted(names) for role, names in asked.items()} == {
        role: sorted(set(PARAMETERS[role]) - {"halt"}) for role in TASKS
    }


@pytest.mark.parametrize("stack", STACKS.values(), ids=list(STACKS))
def test_the_machine_may_become_four_roles_and_nothing_else(stack: Stack) -> None:
    """S2: exact ARNs; each of the four (and the publisher's) trusts the machine alone, and none may become another."""
    tasks = (*TASKS, *(("SignalsRole",) if "SignalsRole" in stack.resources else ()))
    roles = {stack.arn(name) for name in tasks}
    (statement,) = stack.statements("MachineRole")
    assert (statement["Action"], set(statement["Resource"])) == ("sts:AssumeRole", roles)
    for name in tasks:
        (trust,) = stack.of_type("AWS::IAM::Role")[name]["AssumeRolePolicyDocument"]["Statement"]
        assert trust["Principal"] == {"AWS": stack.arn("MachineRole")}
        assert not any(may(stack, name, "sts:AssumeRole", arn) for arn in roles)
    every = set(stack.of_type("AWS::IAM::Role")) - set(tasks)
    assert not any(may(stack, "MachineRole", "sts:AssumeRole", stack.arn(name)) for name in every)


# role x bucket -> what it may do there, of everything below
BUCKETS = {
    ("OmsRole", "Store"): {"s3:GetObject", "s3:PutObject", "s3:ListBucket"},
    ("OmsRole", "Anchors"): {"s3:GetObjectVersion", "s3:PutObject", "s3:ListBucketVersions"},
    ("OmsRole", "Backups"): {"s3:GetObject", "s3:PutObject", "s3:ListBucket"},
    ("HeavyRunRole", "Store"): {"s3:GetObject", "s3:PutObject", "s3:ListBucket"},
    ("DeadManRole", "Anchors"): {"s3:ListBucket"},
}  # fmt: skip
S3_ACTIONS = ("s3:GetObject", "s3:GetObjectVersion", "s3:PutObject", "s3:ListBucket", "s3:ListBucketVersions", *FORGING)


@pytest.mark.parametrize("bucket", ["Store", "Anchors", "Backups"])
def test_who_may_do_what_in_a_bucket(bucket: str) -> None:
    """S10: every role x every action; nobody deletes, nobody passes a lock by, nobody changes a rule."""
    stack = STACKS["paper and all"]
    for role in stack.of_type("AWS::IAM::Role"):
        places = (f"arn:of:{bucket}/x", f"arn:of:{bucket}")
        found = {action for action in S3_ACTIONS if any(may(stack, role, action, place, PUT) for place in places)}
        assert found == BUCKETS.get((role, bucket), set()), role


@pytest.mark.parametrize("bucket", ["Store", "Anchors"])
@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (PUT, True),
        ({**TLS, "s3:ObjectCreationOperation": "true"}, False),  # a put that may overwrite
        ({**TLS, "s3:ObjectCreationOperation": "false"}, True),  # a part of a multipart upload has no such header
        ({**PUT, "aws:SecureTransport": "false"}, False),
    ],
    ids=["if absent", "without the header", "a part", "without TLS"],
)
def test_a_put_must_say_that_nothing_is_there(bucket: str, keys: dict[str, str], expected: bool) -> None:
    """Layer 2 of the store: what the bucket's policy lets through, with and without If-None-Match."""
    assert may(STACKS["b"], "OmsRole", "s3:PutObject", f"arn:of:{bucket}/prices/2026-11-20/x.parquet", keys) is expected


@pytest.mark.parametrize("bucket", ["Store", "Anchors"])
@pytest.mark.parametrize("action", ["s3:DeleteObject", "s3:DeleteObjectVersion", "s3:BypassGovernanceRetention"])
def test_not_even_an_administrator_deletes(bucket: str, action: str) -> None:
    """The bucket's policy denies it to everybody, whatever their own rights are."""
    stack = STACKS["b"]
    asked = Asked(f"arn:aws:iam::{ACCOUNT}:role/admin", action, f"arn:of:{bucket}/x", TLS)
    assert allowed(asked, [{"Effect": "Allow", "Action": "*", "Resource": "*"}])
    assert not allowed(asked, [{"Effect": "Allow", "Action": "*", "Resource": "*"}], bucket_rules(stack, bucket))


@pytest.mark.parametrize("bucket", ["Store", "Anchors"])
@pytest.mark.parametrize("role", TASKS)
@pytest.mark.parametrize("action", FORGING)
def test_what_runs_is_denied_even_when_somebody_grants_it(bucket: str, role: str, action: str) -> None:
    """A task role that is given everything by mistake still changes no rule of these buckets."""
    stack = STACKS["b"]
    for resource in (f"arn:of:{bucket}", f"arn:of:{bucket}/x"):
        asked = Asked(stack.arn(role), action, resource, TLS)
        rules = bucket_rules(stack, bucket)
        if resource.endswith("/x") or not action.startswith(("s3:DeleteObject", "s3:Bypass")):
            assert not allowed(asked, [{"Effect": "Allow", "Action": "*", "Resource": "*"}], rules), resource


@pytest.mark.parametrize("stack", STACKS.values(), ids=list(STACKS))
def test_the_other_functions_have_what_they_use_and_no_more(stack: Stack) -> None:
    """The switch reads no key unless it cancels; variant c starts and stops one machine; the schedule invokes, nothing else."""
    keys = [parameter(n, stage) for n in PARAMETERS["DeadManRole"] for stage in ("paper", "live")]
    cancels = stack.of_type("AWS::Lambda::Function")["DeadMan"]["Environment"]["Variables"]["CANCEL_ALL"] == "on"
    assert any(may(stack, "DeadManRole", "ssm:GetParameters", key) for key in keys) is cancels
    assert may(stack, "DeadManRole", "sns:Publish", stack.arn("Topic"))
    batch = "BatchRole" in stack.of_type("AWS::IAM::Role")
    if batch:
        machine = f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/Machine"
        assert may(stack, "BatchRole", "ec2:StartInstances", machine)
        assert not may(stack, "BatchRole", "ec2:StartInstances", machine + "2")
        assert not may(stack, "BatchRole", "ec2:TerminateInstances", machine)
    invoked = {
        n
        for n in ("DeadMan", "StartMachine", "StopMachine")
        if may(stack, "Scheduler", "lambda:InvokeFunction", stack.arn(n))
    }
    assert invoked == ({"DeadMan", "StartMachine", "StopMachine"} if batch else {"DeadMan"})  # fmt: skip


def test_a_heavy_run_has_no_key_and_its_starter_one_image() -> None:
    """The task writes the store and sends no order; the control plane starts this one task on this one cluster."""
    stack = STACKS["live and all"]
    assert may(stack, "OmsRole", "ecs:RunTask", "HeavyRunTask", {"ecs:cluster": "arn:of:Cluster"})
    assert not may(stack, "OmsRole", "ecs:RunTask", "HeavyRunTask", {"ecs:cluster": "arn:of:Other"})
    assert not may(stack, "OmsRole", "ecs:RunTask", "Another", {"ecs:cluster": "arn:of:Cluster"})
    passed = {"iam:PassedToService": "ecs-tasks.amazonaws.com"}
    assert may(stack, "OmsRole", "iam:PassRole", stack.arn("HeavyRunRole"), passed)
    assert not may(stack, "OmsRole", "iam:PassRole", stack.arn("MachineRole"), passed)
    assert not may(
        stack, "OmsRole", "iam:PassRole", stack.arn("HeavyRunRole"), {"iam:PassedToService": "ec2.amazonaws.com"}
    )
    assert not may(STACKS["b"], "OmsRole", "ecs:RunTask", "HeavyRunTask", {"ecs:cluster": "arn:of:Cluster"})


@pytest.mark.parametrize("stack", STACKS.values(), ids=list(STACKS))
def test_nothing_comes_in_and_only_tls_goes_out(stack: Stack) -> None:
    """S3: no open port, no NAT, no load balancer; the metadata service needs a token and answers no container."""
    machine = stack.of_type("AWS::EC2::SecurityGroup")["MachineGroup"]
    assert "SecurityGroupIngress" not in machine
    assert [(one["FromPort"], one["ToPort"], one["IpProtocol"]) for one in machine["SecurityGroupEgress"]] == [
        (443, 443, "tcp")
    ]
    assert stack.of_type("AWS::EC2::SecurityGroupIngress") == {}
    more = stack.of_type("AWS::EC2::SecurityGroupEgress")
    assert [(one["ToPort"], one["DestinationSecurityGroupId"]) for one in more.values()] in (
        [],
        [(5432, "DatabaseGroup")],
    )
    kinds = {one["Type"] for one in stack.resources.values()}
    assert not {kind for kind in kinds if "NatGateway" in kind or "LoadBalanc" in kind or "EIP" in kind}
    data = stack.of_type("AWS::EC2::LaunchTemplate")["MachineTemplate"]["LaunchTemplateData"]
    assert data["MetadataOptions"]["HttpTokens"] == "required"
    assert data["MetadataOptions"]["HttpPutResponseHopLimit"] == 1
    assert "KeyName" not in data
    assert all(one["Ebs"]["Encrypted"] is True for one in data["BlockDeviceMappings"])
    assert data["InstanceInitiatedShutdownBehavior"] == "stop"
    for database in stack.of_type("AWS::RDS::DBInstance").values():
        assert (database["PubliclyAccessible"], database["StorageEncrypted"], database["DeletionProtection"]) == (
            False,
            True,
            True,
        )


@pytest.mark.parametrize(
    ("name", "kind", "database", "batch"), [("a", "t3.micro", 1, 0), ("b", "t4g.small", 0, 0), ("c", "t4g.small", 0, 2)]
)
def test_the_three_variants(name: str, kind: str, database: int, batch: int) -> None:
    """a: RDS beside a t3.micro; b: a t4g.small alone; c: the same, started and stopped by schedules."""
    stack = STACKS[name]
    assert stack.of_type("AWS::EC2::LaunchTemplate")["MachineTemplate"]["LaunchTemplateData"]["InstanceType"] == kind
    assert len(stack.of_type("AWS::RDS::DBInstance")) == database
    assert len(stack.of_type("AWS::Scheduler::Schedule")) == 1 + batch


@pytest.mark.parametrize("stack", STACKS.values(), ids=list(STACKS))
def test_what_is_watched_stays_within_what_is_free(stack: Stack) -> None:
    """At most ten alarms; every log has an end; an alarm of silence counts silence of the switch as one."""
    alarms = stack.of_type("AWS::CloudWatch::Alarm")
    assert 3 <= len(alarms) <= 10
    assert {one["Namespace"] for one in alarms.values()} <= {"marketbot", "AWS/EC2", "AWS/Lambda", "AWS/RDS"}
    assert [one["MetricName"] for one in alarms.values() if one["Namespace"] == "marketbot"] == ["HeartbeatAgeHours"]
    assert alarms["NoHeartbeat"]["TreatMissingData"] == "breaching"
    assert all(one["AlarmActions"] == [stack.arn("Topic")] for one in alarms.values())
    logs = stack.of_type("AWS::Logs::LogGroup")
    assert all(0 < int(one["RetentionInDays"]) <= 90 for one in logs.values())
    assert {one["LoggingConfig"]["LogGroup"] for one in stack.of_type("AWS::Lambda::Function").values()} <= set(logs)


@pytest.mark.parametrize("stack", STACKS.values(), ids=list(STACKS))
def test_both_buckets_of_evidence_are_locked(stack: Stack) -> None:
    """Object Lock from the first object, governance unless somebody says compliance; kept when the stack goes."""
    mode = "COMPLIANCE" if stack is STACKS["live and all"] else "GOVERNANCE"
    for name in ("Store", "Anchors"):
        one = stack.of_type("AWS::S3::Bucket")[name]
        assert one["ObjectLockEnabled"] is True
        assert one["ObjectLockConfiguration"]["Rule"]["DefaultRetention"]["Mode"] == mode
        assert stack.resources[name]["DeletionPolicy"] == stack.resources[name]["UpdateReplacePolicy"] == "Retain"
    for one in stack.of_type("AWS::S3::Bucket").values():
        assert set(one["PublicAccessBlockConfiguration"].values()) == {True}


def test_the_halt_parameter_takes_every_level_and_no_other_word() -> None:
    """RC-80: a word that is no level would be unreadable, which halts; the parameter refuses it at once."""
    from marketbot_resources.model import HaltLevel

    pattern = re.compile(template()["Resources"]["HaltParameter"]["Properties"]["AllowedPattern"])
    assert pattern.fullmatch("off")
    assert all(pattern.fullmatch(level) and pattern.fullmatch(f"{level}: because") for level in HaltLevel)
    assert not any(pattern.fullmatch(word) for word in ("", "on", "OFF", "stop", "off: why", "halted"))


def test_user_data_is_short_and_holds_no_secret() -> None:
    """It names places, checks the release's hash and hands over."""
    data = STACKS["b"].of_type("AWS::EC2::LaunchTemplate")["MachineTemplate"]["LaunchTemplateData"]["UserData"]
    assert data.count("\n") <= 40
    assert len(data) < 4096
    assert "sha256sum --check" in data
    told = re.sub(r"^NEEDS=[\w/,]*$", "", data, flags=re.MULTILINE)  # names of parameters, no value
    assert not re.search(r"(?i)secret_key|password|api_key", told)
