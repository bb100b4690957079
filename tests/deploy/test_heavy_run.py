"""One heavy run on Fargate: Dagster's own launcher with the shipped configuration, and the template's task, agree.

The launcher is loaded and starts a run at moto, from the template's own task definition; nothing was run against AWS.
"""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from aws_template import ACCOUNT, REGION, Stack, template
from aws_world import account, client
from iam_policies import Asked, allowed

DEPLOY = Path(__file__).parents[2] / "deploy"
STACK = Stack(Variant="a", HeavyRun="on")
Found = dict[str, Any]


def instance() -> Found:
    loaded: Found = yaml.safe_load((DEPLOY / "dagster.ecs.yaml").read_text(encoding="utf-8"))
    return loaded


def launcher() -> Found:
    found: Found = instance()["run_launcher"]["config"]
    return found


def task() -> Found:
    return STACK.of_type("AWS::ECS::TaskDefinition")["HeavyRunTask"]


def test_the_launcher_names_the_stack_s_own_task_cluster_and_network() -> None:
    """Family, container, cluster as the template makes them; subnet and group as its outputs give them."""
    config = launcher()
    assert config["task_definition"] == task()["Family"]
    assert config["container_name"] in [one["Name"] for one in task()["ContainerDefinitions"]]
    assert config["run_task_kwargs"]["cluster"] == STACK.of_type("AWS::ECS::Cluster")["Cluster"]["ClusterName"]
    assert config["run_task_kwargs"]["launchType"] in task()["RequiresCompatibilities"]
    network = config["run_task_kwargs"]["networkConfiguration"]["awsvpcConfiguration"]
    outputs = template()["Outputs"]
    named = (*network["subnets"], *network["securityGroups"])
    assert [name.partition("-")[2] for name in named] == ["HeavyRunSubnet", "HeavyRunGroup"]
    assert {"HeavyRunSubnet", "HeavyRunGroup"} <= set(outputs)
    assert network["assignPublicIp"] == "ENABLED", (
        "the subnet has no NAT: without an address the image cannot be pulled"
    )


def test_the_instance_is_that_of_the_sessions_but_for_where_runs_start() -> None:
    """The same database; a run starts at once, since the sessions' daemon would start a queued one on its own machine."""
    ours, theirs = instance(), yaml.safe_load((DEPLOY / "dagster.postgres.yaml").read_text(encoding="utf-8"))
    assert ours["storage"] == theirs["storage"]
    assert ours["compute_logs"] == theirs["compute_logs"]
    assert ours["run_coordinator"]["class"] == "DefaultRunCoordinator"
    assert {"concurrency", "run_monitoring", "run_retries"} & set(ours) == set()


def test_the_task_is_given_what_the_run_reads_and_no_broker_s_key() -> None:
    """Database, index and store, neither ledger nor keys; the image's own entry would take the command for a role."""
    (container,) = task()["ContainerDefinitions"]
    given = {one["Name"]: one["Value"] for one in container["Environment"]}
    secrets = {one["Name"]: one["ValueFrom"] for one in container["Secrets"]}
    assert set(secrets) == {"DAGSTER_POSTGRES_URL", "MARKETBOT_INDEX"}
    assert given["MARKETBOT_STORE"] == "s3://Store/store"
    assert container["EntryPoint"] == ["/usr/bin/tini", "--"]
    assert all(
        path.startswith("/tmp") for name, path in given.items() if name in ("HOME", "MARKETBOT_HOME", "NUMBA_CACHE_DIR")
    )
    readable = [arn for arn in secrets.values() if may("HeavyRunStarter", "ssm:GetParameters", arn)]
    assert readable == list(secrets.values())
    assert not any(may("HeavyRunRole", "ssm:GetParameters", arn) for arn in secrets.values())


def may(role: str, action: str, resource: str, keys: dict[str, str] | None = None) -> bool:
    return allowed(Asked(STACK.arn(role), action, resource, keys or {}), STACK.statements(role))


@pytest.fixture
def moto() -> Iterator[None]:
    """An account that has the template's cluster and task."""
    pytest.importorskip("moto")
    with account():
        ecs, wanted = client("ecs"), task()
        ecs.create_cluster(clusterName=f"{launcher()['run_task_kwargs']['cluster']}")
        ecs.register_task_definition(
            family=wanted["Family"],
            networkMode=wanted["NetworkMode"],
            requiresCompatibilities=wanted["RequiresCompatibilities"],
            cpu=wanted["Cpu"],
            memory=wanted["Memory"],
            # moto adds up the containers' own memory, which Fargate does not ask for
            containerDefinitions=[_lower(one) | {"memory": 16_384} for one in wanted["ContainerDefinitions"]],
            volumes=[{"name": "scratch"}],
        )
        yield


def _lower(node: Any) -> Any:
    """CloudFormation's names as the API's; what stands under Options are names of their own."""
    if isinstance(node, dict):
        return {key[:1].lower() + key[1:]: value if key == "Options" else _lower(value) for key, value in node.items()}
    return [_lower(one) for one in node] if isinstance(node, list) else node


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("moto")
def test_the_launcher_starts_the_task_with_rights_that_the_control_plane_has() -> None:
    """Dagster validates the configuration and launches; every call that it makes to ECS is one that its role may make."""
    from dagster import DagsterInstance, DagsterRun
    from dagster._core.code_pointer import ModuleCodePointer
    from dagster._core.launcher import LaunchRunContext
    from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
    from dagster._serdes import ConfigurableClassData
    from dagster_aws.ecs import EcsRunLauncher

    ec2 = client("ec2")
    network = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    ec2.modify_vpc_attribute(VpcId=network, EnableDnsHostnames={"Value": True})  # as the template's
    subnet = ec2.create_subnet(VpcId=network, CidrBlock="10.0.0.0/24")
    config = launcher()
    config["run_task_kwargs"]["networkConfiguration"]["awsvpcConfiguration"]["subnets"] = [subnet["Subnet"]["SubnetId"]]
    made = ConfigurableClassData("dagster_aws.ecs", "EcsRunLauncher", yaml.safe_dump(config)).rehydrate(
        as_type=EcsRunLauncher
    )
    calls: list[tuple[str, Found]] = []
    for service in (made.ecs, made.secrets_manager, made.logs, made.ec2.meta.client):
        service.meta.events.register(
            "provide-client-params.*.*", lambda params, model, **_: calls.append((model.name, params))
        )
    for part in ("run_coordinator", "compute_logs"):
        named = instance()[part]
        ConfigurableClassData(named["module"], named["class"], "{}").rehydrate(as_type=object)
    origin = RepositoryPythonOrigin(
        executable_path="/app/.venv/bin/python",
        code_pointer=ModuleCodePointer("marketbot_assets.definitions", "defs"),
        entry_point=["dagster"],
    )
    run = DagsterRun(
        job_name="backtest_range", run_id=str(uuid.uuid4()), job_code_origin=JobPythonOrigin("backtest_range", origin)
    )
    with DagsterInstance.local_temp() as dagster:
        made.register_instance(dagster)
        dagster.add_run(run)
        made.launch_run(LaunchRunContext(run, workspace=None))
        (arn,) = client("ecs").list_tasks(cluster="marketbot-paper")["taskArns"]
        assert made.check_run_worker_health(dagster.get_run_by_id(run.run_id)).status.name == "RUNNING"
        assert made.terminate(run.run_id)
    (started,) = [params for name, params in calls if name == "RunTask"]
    (override,) = started["overrides"]["containerOverrides"]
    assert (override["name"], override["command"][:3]) == ("run", ["dagster", "api", "execute_run"])
    assert len(json.dumps(started["overrides"])) < 8_192, "what ECS takes"
    assert arn.startswith(f"arn:aws:ecs:{REGION}:{ACCOUNT}:task/marketbot-paper/")
    rights = {
        "DescribeTaskDefinition": ("ecs:DescribeTaskDefinition", "*", {}),
        "RunTask": ("ecs:RunTask", "HeavyRunTask", {"ecs:cluster": "arn:of:Cluster"}),
        "DescribeTasks": ("ecs:DescribeTasks", f"arn:aws:ecs:{REGION}:{ACCOUNT}:task/Cluster/1", {}),
        "StopTask": ("ecs:StopTask", f"arn:aws:ecs:{REGION}:{ACCOUNT}:task/Cluster/1", {}),
        "TagResource": (
            "ecs:TagResource",
            f"arn:aws:ecs:{REGION}:{ACCOUNT}:task/Cluster/1",
            {"ecs:CreateAction": "RunTask"},
        ),
    }
    asked = {name for name, _ in calls} | ({"TagResource"} if started.get("tags") else set())
    assert asked <= set(rights), f"the launcher also calls {asked - set(rights)}"
    assert [name for name in sorted(asked) if not may("OmsRole", *rights[name])] == []
