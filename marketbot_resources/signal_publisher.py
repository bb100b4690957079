"""`python -m marketbot_resources.signal_publisher`: puts a session's signals into a DynamoDB table, with its own credentials.

It reads one JSON object, `table` and `signals` (maps of texts, numbers, flags and nulls, each with `instrument` and `session`), and
says one: `put`, `newer` (left alone, since the table holds a later session), `problem`. An older session never replaces a newer
one, whoever comes last: each put has that condition. Not here: what a signal is (`marketbot_assets.signals`), who starts this
(`signal_process`).
"""

import json
import math
import re
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

Value = None | bool | float | str
Signal = Mapping[str, Value]
KEY, SESSION, HEADER = "instrument", "session", "_session"
THREADS, CONNECT_SECONDS, READ_SECONDS, ATTEMPTS = 8, 3, 5, 4
INPUT_BYTES_MAX, SIGNALS_MAX, TINY, HUGE = 64 << 20, 100_000, 1e-100, 1e100
TABLE = re.compile(r"[A-Za-z0-9_.-]{3,255}")
# Dates like 2018-12-24 compare as texts.
CONDITION = f"attribute_not_exists({KEY}) OR #session <= :session"


@dataclass(frozen=True, slots=True)
class Published:
    """How many items were put, how many were left alone for a later session, and what went wrong; "" when nothing did."""

    put: int = 0
    newer: int = 0
    problem: str = ""


def encoded(signal: Signal) -> dict[str, dict[str, object]]:
    """A signal as DynamoDB takes it. Raises ValueError for a number that is not finite or too large: null is how to say unknown."""
    return {name: _typed(name, value) for name, value in sorted(signal.items())}


def _typed(name: str, value: Value) -> dict[str, object]:
    if value is None:
        return {"NULL": True}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, str):
        return {"S": value}
    if not (math.isfinite(value) and abs(value) < HUGE):
        raise ValueError(f"expected a finite number as {name}, found another")
    return {"N": format(value, ".12g") if abs(value) >= TINY else "0"}


def publish(client: Any, table: str, signals: Sequence[Signal]) -> Published:
    """Puts every signal, the header last, so that a reader who finds it finds the rest. Stops at the first refusal, and says it."""
    if not TABLE.fullmatch(table) or len(signals) > SIGNALS_MAX:
        return Published(problem=f"expected the name of a table and at most {SIGNALS_MAX} signals, found others")
    try:
        items = [encoded(signal) for signal in signals]
    except ValueError as error:
        return Published(problem=str(error))
    body = [item for item in items if item[KEY]["S"] != HEADER]
    header = [item for item in items if item[KEY]["S"] == HEADER]
    done: list[bool] = []
    with ThreadPoolExecutor(THREADS) as pool:
        for group in (body, header):
            asked = [pool.submit(_put, client, table, item) for item in group]
            try:
                done += [one.result() for one in asked]
            except (
                Exception
            ) as error:  # the edge to AWS: what it says may name what was asked, so its code alone is told
                pool.shutdown(wait=False, cancel_futures=True)
                return Published(sum(done), len(done) - sum(done), f"the table refused an item: {_code(error)}")
    return Published(sum(done), len(done) - sum(done))


def _put(client: Any, table: str, item: Mapping[str, Mapping[str, object]]) -> bool:
    """True when the item is there now, False when a later session's is."""
    try:
        client.put_item(
            TableName=table,
            Item=item,
            ConditionExpression=CONDITION,
            ExpressionAttributeNames={"#session": SESSION},
            ExpressionAttributeValues={":session": item[SESSION]},
        )
    except client.exceptions.ConditionalCheckFailedException:
        return False
    return True


def _code(error: Exception) -> str:
    told = getattr(error, "response", None)
    code = told.get("Error", {}).get("Code", "") if isinstance(told, Mapping) else ""
    return str(code or type(error).__name__)


def _client() -> Any:
    import boto3
    from botocore.config import Config

    limits = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
        max_pool_connections=THREADS,
    )
    return boto3.session.Session().client("dynamodb", config=limits)


def main() -> int:
    """0: everything that belongs there is there; 1: something is not, and stdout says why."""
    try:
        told = json.loads(sys.stdin.buffer.read(INPUT_BYTES_MAX))
        done = publish(_client(), str(told["table"]), told["signals"])
    except Exception as error:  # no credentials, no region, no boto3: the parent tells it
        done = Published(problem=f"the publisher could not begin: {type(error).__name__}")
    print(json.dumps(asdict(done), sort_keys=True))
    return 1 if done.problem else 0


if __name__ == "__main__":
    sys.exit(main())
