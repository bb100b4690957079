"""Dagster's own launcher of runs on one machine, able to say whether a run's process still lives.

Dagster's launcher notices a killed process only through the code server that started it. When the machine went down that server is
gone, too, and the run counted as in progress until its longest run time, for hours in which no session starts. Here run
monitoring asks the server that the run was started by: one that cannot be reached, or does not know the run, has no process of it.
Neither is so for a run whose server alone died or was started anew: it goes on, and the process that it named (`name_process`) is
looked for before it is called dead. Then the run fails and is retried or left, as its tags say. `dagster.yaml` names this class.
Not here: that two processes never send for one book; that is the ledger's fence.
"""

import json

from dagster import DagsterInstance, DagsterRun
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher import CheckRunHealthResult, DefaultRunLauncher, WorkerStatus
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._grpc.client import DagsterGrpcClient
from dagster._grpc.types import CanCancelExecutionRequest, CanCancelExecutionResult
from dagster._serdes import deserialize_value

from marketbot_resources.processes import lives, myself

ANSWER_SECONDS = 20
NOBODY_LISTENS = "UNAVAILABLE"  # the code of gRPC, which Dagster's message ends with; DEADLINE_EXCEEDED is another one
PROCESS_TAG = "marketbot/process"


def name_process(instance: DagsterInstance, run: DagsterRun) -> None:
    """Writes to its run which process executes it: that of a run before, which a retry copies, is not it."""
    own = myself()
    if own and run.tags.get(PROCESS_TAG) != own:
        instance.add_run_tags(run.run_id, {PROCESS_TAG: own})


class AskingRunLauncher(DefaultRunLauncher):
    """DefaultRunLauncher that answers run monitoring."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Yes."""
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """RUNNING while the code server that started the run has its process, or that process lives; else NOT_FOUND.

        A command runs its session in its own process, which its run names. A server that is there and too slow to answer says
        nothing about the run: RUNNING, and it is asked again.
        """
        told, alive = run.tags.get(GRPC_INFO_TAG), lives(run.tags.get(PROCESS_TAG, ""))
        if told is None:
            return CheckRunHealthResult(
                WorkerStatus.NOT_FOUND if alive is False else WorkerStatus.RUNNING, "started by a command"
            )
        place = json.loads(told)
        if alive:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "its process lives, whatever its code server says")
        client = DagsterGrpcClient(
            port=place.get("port"), socket=place.get("socket"), host=place["host"], use_ssl=place.get("use_ssl", False)
        )
        try:
            answer = client.can_cancel_execution(CanCancelExecutionRequest(run_id=run.run_id), timeout=ANSWER_SECONDS)
        except DagsterUserCodeUnreachableError as error:
            if NOBODY_LISTENS not in str(error):
                return CheckRunHealthResult(WorkerStatus.RUNNING, "its code server has not answered yet")
            return CheckRunHealthResult(WorkerStatus.NOT_FOUND, "the code server that started it is gone")
        known = deserialize_value(answer, CanCancelExecutionResult).can_cancel
        if known:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.NOT_FOUND, "its code server has no process of it")
