"""The template deployed to moto's CloudFormation, every resource looked for by its own service's API.

moto says CREATE_COMPLETE for what it skipped, too; so existence is asked for, what it skips is a list here and printed, and of
that, what another API of moto takes is made from the template's own properties, whose shapes botocore checks.
"""

import ast
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aws_template import GIVEN, TEMPLATE, Stack
from aws_world import account, client

pytest.importorskip("moto")
pytestmark = [
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore"),
]
EVERYTHING = {"HeavyRun": "on", "Signals": "on", "CancelAll": "on", "MailFrom": "bot@example.org"}
# Types that moto's CloudFormation does not make (moto 5.2.5). It makes a group of subnets for a database without a physical id.
SKIPPED = {
    "AWS::Budgets::Budget",
    "AWS::CloudWatch::Alarm",
    "AWS::EC2::SecurityGroupEgress",
    "AWS::S3::BucketPolicy",
    "AWS::SES::EmailIdentity",
    "AWS::SNS::TopicPolicy",
    "AWS::Scheduler::Schedule",
}
Found = dict[str, Any]


class Deployed:
    """One stack in an account of its own: what CloudFormation says that it made, and what the template says."""

    def __init__(self, variant: str) -> None:
        s3 = client("s3")
        s3.create_bucket(Bucket=GIVEN["ArtefactBucket"])
        s3.put_object(Bucket=GIVEN["ArtefactBucket"], Key=GIVEN["FunctionsKey"], Body=b"not run here")
        given = {**GIVEN, **EVERYTHING, "Variant": variant}
        cloud = client("cloudformation")
        cloud.create_stack(
            StackName="marketbot",
            TemplateBody=TEMPLATE.read_text(encoding="utf-8"),
            Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in given.items()],
            Capabilities=["CAPABILITY_NAMED_IAM"],
        )
        self.stack = Stack(**{k: v for k, v in given.items() if k not in GIVEN})
        (told,) = cloud.describe_stacks(StackName="marketbot")["Stacks"]
        self.status = told["StackStatus"]
        self.outputs = {one["OutputKey"]: one["OutputValue"] for one in told["Outputs"]}
        rows = cloud.describe_stack_resources(StackName="marketbot")["StackResources"]
        self.made: dict[str, str] = {
            row["LogicalResourceId"]: row["PhysicalResourceId"] for row in rows if row.get("PhysicalResourceId")
        }

    def ids(self, kind: str) -> dict[str, str]:
        """Logical id -> physical id of what the template wants of a type. Raises KeyError when CloudFormation made none."""
        return {name: self.made[name] for name in self.stack.of_type(kind)}


@pytest.fixture(scope="module", params=["a", "b", "c"])
def deployed(request: pytest.FixtureRequest) -> Iterator[Deployed]:
    with account():
        yield Deployed(request.param)


def test_the_stack_is_complete_and_the_list_of_what_moto_skips_is_true(
    deployed: Deployed, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every resource of the template has a physical id, but for the types in the list; none of those is made unseen."""
    assert deployed.status == "CREATE_COMPLETE"
    kinds = {name: one["Type"] for name, one in deployed.stack.resources.items()}
    lost = {name for name, kind in kinds.items() if name not in deployed.made and kind != "AWS::RDS::DBSubnetGroup"}
    assert {kinds[name] for name in lost} == {kind for kind in kinds.values() if kind in SKIPPED}
    with capsys.disabled():
        print(
            f"\nmoto skips: {', '.join(f'{kind} ({n})' for kind, n in sorted(Counter(kinds[x] for x in lost).items()))}"
        )


def test_every_bucket_exists_and_its_properties_are_taken_by_s3(deployed: Deployed) -> None:
    """moto's CloudFormation makes the bucket and drops most properties: set by S3's own API as the template has them."""
    s3, wanted = client("s3"), deployed.stack.of_type("AWS::S3::Bucket")
    for name, bucket in deployed.ids("AWS::S3::Bucket").items():
        (rule,) = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
        assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
        one = wanted[name]
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=one["VersioningConfiguration"])
        s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=one["PublicAccessBlockConfiguration"])
        s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=one["OwnershipControls"])
        assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
        assert s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]["BlockPublicPolicy"]
        if "ObjectLockConfiguration" in one:
            lock = one["ObjectLockConfiguration"]
            default = lock["Rule"]["DefaultRetention"]
            locked = f"locked-{bucket}"[:60]
            s3.create_bucket(Bucket=locked, ObjectLockEnabledForBucket=one["ObjectLockEnabled"])
            rule = {"DefaultRetention": {**default, "Days": int(default["Days"])}}
            s3.put_object_lock_configuration(Bucket=locked, ObjectLockConfiguration={**lock, "Rule": rule})
            found = s3.get_object_lock_configuration(Bucket=locked)["ObjectLockConfiguration"]
            assert found["Rule"]["DefaultRetention"]["Mode"] == "GOVERNANCE"


def test_bucket_policies_are_taken_by_s3(deployed: Deployed) -> None:
    """Skipped by moto's CloudFormation: put by S3's own API as the template has them, and read back."""
    s3, stack = client("s3"), deployed.stack
    for one in stack.of_type("AWS::S3::BucketPolicy").values():
        bucket = deployed.made[one["Bucket"]]
        s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(one["PolicyDocument"]))
        assert json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"]) == one["PolicyDocument"]


def test_every_role_has_its_policies_and_the_machine_its_profile(deployed: Deployed) -> None:
    """IAM has the same statements as the offline resolver, ARNs aside: so its tests are about what is deployed."""
    iam = client("iam")
    for name, role in deployed.ids("AWS::IAM::Role").items():
        found = []
        for policy in iam.list_role_policies(RoleName=role)["PolicyNames"]:
            document = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
            found += (ast.literal_eval(document) if isinstance(document, str) else document)["Statement"]
        found = [one for one in found if one]  # moto keeps a hole where a condition leaves a statement out
        wanted = deployed.stack.statements(name)
        assert sorted(map(actions, found)) == sorted(map(actions, wanted)), name
        assert "${" not in json.dumps(found)
    (profile,) = deployed.ids("AWS::IAM::InstanceProfile").values()
    (role,) = iam.get_instance_profile(InstanceProfileName=profile)["InstanceProfile"]["Roles"]
    assert role["RoleName"] == deployed.made["MachineRole"]
    assert set(deployed.stack.of_type("AWS::IAM::Policy")) <= set(deployed.made)


def actions(statement: Found) -> str:
    """A statement's actions, however it writes them."""
    given = statement["Action"]
    return " ".join(sorted(given if isinstance(given, list) else [given]))


def test_the_network_and_the_machine(deployed: Deployed) -> None:
    ec2, ids = client("ec2"), deployed.ids
    (network,) = ids("AWS::EC2::VPC").values()
    assert ec2.describe_vpcs(VpcIds=[network])["Vpcs"][0]["CidrBlock"] == "10.70.0.0/24"
    (gateway,) = ids("AWS::EC2::InternetGateway").values()
    attached = ec2.describe_internet_gateways(InternetGatewayIds=[gateway])["InternetGateways"][0]["Attachments"]
    assert [one["VpcId"] for one in attached] == [network]
    assert ids("AWS::EC2::VPCGatewayAttachment")
    subnets = ec2.describe_subnets(SubnetIds=list(ids("AWS::EC2::Subnet").values()))["Subnets"]
    assert len({one["AvailabilityZone"] for one in subnets}) == 2
    (table,) = ec2.describe_route_tables(RouteTableIds=list(ids("AWS::EC2::RouteTable").values()))["RouteTables"]
    assert gateway in [
        one.get("GatewayId") for one in table["Routes"] if one.get("DestinationCidrBlock") == "0.0.0.0/0"
    ]
    assert ids("AWS::EC2::Route")
    assert ids("AWS::EC2::SubnetRouteTableAssociation")
    (door,) = ec2.describe_vpc_endpoints(VpcEndpointIds=list(ids("AWS::EC2::VPCEndpoint").values()))["VpcEndpoints"]
    assert (door["VpcEndpointType"], door["ServiceName"]) == ("Gateway", "com.amazonaws.us-east-1.s3")
    for name, group in ids("AWS::EC2::SecurityGroup").items():
        (one,) = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"]
        assert bool(one["IpPermissions"]) is (name == "DatabaseGroup")
    (template,) = ids("AWS::EC2::LaunchTemplate").values()
    (version,) = ec2.describe_launch_template_versions(LaunchTemplateId=template)["LaunchTemplateVersions"]
    data = version["LaunchTemplateData"]
    assert data["MetadataOptions"]["HttpTokens"] == "required"
    assert data["InstanceType"] == deployed.stack.of_type("AWS::EC2::Instance")["Machine"]["InstanceType"]
    (machine,) = ids("AWS::EC2::Instance").values()
    (found,) = ec2.describe_instances(InstanceIds=[machine])["Reservations"][0]["Instances"]
    assert (found["State"]["Name"], found["InstanceType"]) == ("running", data["InstanceType"])
    assert deployed.outputs["MachineId"] == machine


def exists_log(name: str) -> bool:
    return name in [
        one["logGroupName"] for one in client("logs").describe_log_groups()["logGroups"] if one["retentionInDays"]
    ]


def exists_database(name: str) -> bool:
    (one,) = client("rds").describe_db_instances(DBInstanceIdentifier=name)["DBInstances"]
    groups = one["DBSubnetGroup"]["Subnets"]
    return bool(one["StorageEncrypted"]) and not one.get("PubliclyAccessible") and len(groups) == 2


def exists_table(name: str) -> bool:
    table = client("dynamodb").describe_table(TableName=name)["Table"]
    return table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"


def exists_task(name: str) -> bool:
    task = client("ecs").describe_task_definition(taskDefinition=name)["taskDefinition"]
    return [one["name"] for one in task["containerDefinitions"]] == ["run"]


def exists_topic(name: str) -> bool:
    (one,) = client("sns").list_subscriptions_by_topic(TopicArn=name)["Subscriptions"]
    return bool(one["Protocol"] == "email")


LOOKS: dict[str, Callable[[str], bool]] = {
    "AWS::SSM::Parameter": lambda x: client("ssm").get_parameter(Name=x)["Parameter"]["Value"] == "off",
    "AWS::SNS::Topic": exists_topic,
    "AWS::Logs::LogGroup": exists_log,
    "AWS::Lambda::Function": lambda x: client("lambda").get_function(FunctionName=x)["Configuration"]["Timeout"] > 0,
    "AWS::RDS::DBInstance": exists_database,
    "AWS::DynamoDB::Table": exists_table,
    "AWS::ECS::Cluster": lambda x: client("ecs").describe_clusters(clusters=[x])["clusters"][0]["status"] == "ACTIVE",
    "AWS::ECS::TaskDefinition": exists_task,
}


@pytest.mark.parametrize("kind", LOOKS)
def test_the_rest_exists_by_its_own_api(deployed: Deployed, kind: str) -> None:
    for name, physical in deployed.ids(kind).items():
        assert LOOKS[kind](physical), name


def test_no_resource_is_left_without_an_assertion() -> None:
    """Every type of the template is looked for above, or made below, or named with the reason."""
    text = Path(__file__).read_text(encoding="utf-8")
    kinds = {one["Type"] for one in Stack(Variant="a", **EVERYTHING).resources.values()}
    kinds |= {one["Type"] for one in Stack(Variant="c", **EVERYTHING).resources.values()}
    body = text[text.index("class Deployed") :]
    assert {kind for kind in kinds if kind not in body and kind not in UNSEEN} == set()


UNSEEN = {
    "AWS::Budgets::Budget": "moto takes no notification with subscribers",
    "AWS::SES::EmailIdentity": "one property",
    "AWS::SNS::TopicPolicy": "moto keeps no statement with a service",
    "AWS::EC2::SecurityGroupEgress": "its rule is a test of the template",
}


def test_alarms_are_taken_by_cloudwatch(deployed: Deployed) -> None:
    """AWS::CloudWatch::Alarm: skipped by moto's CloudFormation, made by CloudWatch's own API."""
    watch, wanted = client("cloudwatch"), deployed.stack.of_type("AWS::CloudWatch::Alarm")
    for name, one in wanted.items():
        watch.put_metric_alarm(AlarmName=name, **numbers(one))
    found = {one["AlarmName"]: one for one in watch.describe_alarms()["MetricAlarms"]}
    assert set(found) == set(wanted)
    assert found["NoHeartbeat"]["TreatMissingData"] == "breaching"


def test_schedules_are_taken_by_the_scheduler(deployed: Deployed) -> None:
    """AWS::Scheduler::Schedule: skipped by moto's CloudFormation, made by the scheduler's own API."""
    scheduler, wanted = client("scheduler"), deployed.stack.of_type("AWS::Scheduler::Schedule")
    for name, one in wanted.items():
        scheduler.create_schedule(Name=name, **one)
    assert {one["Name"] for one in scheduler.list_schedules()["Schedules"]} == set(wanted)


def numbers(node: Found) -> Found:
    """A parameter of type Number is a text until CloudFormation hands it on."""
    return {key: float(v) if isinstance(v, str) and re.fullmatch(r"\d+", v) else v for key, v in node.items()}
