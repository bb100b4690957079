"""Processes that spend one budget at once, and one that is killed: a program of its own, because a test process must not fork.

reserve FOLDER COUNT   reserves 0.01 of a budget of 0.25 up to COUNT times; prints how often it might
hang FOLDER            asks a model that never answers; says `asking` when the reservation is durable
"""

import datetime as dt
import sys
import time
from decimal import Decimal
from pathlib import Path

from marketbot_assets.llm_budget import Budget
from marketbot_resources.ledger.sqlite import SqliteLedger
from marketbot_resources.llm import LlmAnswer, LlmFailure, LlmRequest

DAY, USD, EACH = dt.date(2018, 12, 12), Decimal("0.25"), Decimal("0.01")


class Silent:
    """`LlmPort` that never answers."""

    def ask(self, request: LlmRequest) -> LlmAnswer | LlmFailure:
        sys.stdout.write("asking\n")
        sys.stdout.flush()
        time.sleep(600)
        raise AssertionError("nobody killed this process")


def reserve(folder: str, count: str) -> None:
    budget = Budget(SqliteLedger(Path(folder) / "ledger.sqlite"), DAY, USD)
    got = [budget.reserve(EACH, {"request_sha256": "0" * 64}) for _ in range(int(count))]
    sys.stdout.write(f"{sum(key is not None for key in got)}\n")


def hang(folder: str) -> None:
    from calls_world import World

    World(Path(folder)).ask(Silent())


if __name__ == "__main__":
    if sys.argv[1] == "reserve":
        reserve(sys.argv[2], sys.argv[3])
    else:
        hang(sys.argv[2])
