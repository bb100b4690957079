"""A process that writes to a model registry until it is killed. A program of its own, because a test process must not fork.

registry_writer.py HOME KILLS SEED   forks a writer, ends it by SIGKILL at a random moment, and again; prints what was acknowledged
"""

import datetime as dt
import json
import os
import random
import select
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from marketbot_assets.insight.fit_gate import FitJudgement
from marketbot_assets.insight.model_card import Fit, ModelCard, ModelSpec
from marketbot_assets.model_registry import ModelRegistry
from marketbot_assets.model_trials import record_trial
from marketbot_resources.store.lake import Lake

SLOT = "return_model"
DAY, AT = dt.date(2018, 12, 3), dt.datetime(2018, 12, 3, 22, tzinfo=dt.UTC)
SPEC = ModelSpec("ridge", ("a",), {"penalty": 1.0}, {"horizon_sessions": 21})
CARD = ModelCard("test", "d" * 64, 1.0, 100, ("a",), 0, "c" * 16, {"ic": 0.05}, "none")
FIRST_SECONDS_MAX, LIFE_SECONDS_MAX, CHILD_SECONDS_MAX = 30.0, 0.08, 60


def fit_number(number: int) -> Fit:
    return Fit(
        SPEC.sha256, DAY + dt.timedelta(number), {"a": 1.0 + number}, {"pad": "x" * 5000}, replace(CARD, seed=number)
    )


def write_on(home: Path, first: int, pipe: int) -> None:
    """Registers, then records a fit and a trial per step; says each step's number once both are durable."""
    registry = ModelRegistry(Lake(home), SLOT)
    registry.register(SPEC, DAY)
    number = first
    while True:
        fit = fit_number(number)
        registry.record_fit(fit, FitJudgement(()), session=fit.fitted_on, at=AT)
        record_trial(
            registry.lake,
            SLOT,
            spec_sha256=SPEC.sha256,
            data_sha256="d" * 64,
            code_version="c",
            returns=np.array([0.01, -0.02, 0.001 * number]),
            at=AT,
        )
        os.write(pipe, f"{number}\n".encode())
        number += 1


def kills(home: Path, count: int, seed: int) -> list[int]:
    """Every acknowledged number. A writer that is killed begins again at the first that was not."""
    chance, acked = random.Random(seed), []
    Lake(home)  # imports what the writers need, once
    for _ in range(count):
        ours, theirs = os.pipe()
        pid = os.fork()
        if pid == 0:
            signal.alarm(CHILD_SECONDS_MAX)  # a writer that hangs ends, and its test with it
            os.close(ours)
            write_on(home, len(acked), theirs)
            os._exit(1)
        os.close(theirs)
        if chance.random() < 0.7:  # the others die while they open the home or write their first step
            select.select([ours], [], [], FIRST_SECONDS_MAX)
        time.sleep(chance.random() * LIFE_SECONDS_MAX)
        os.kill(pid, signal.SIGKILL)
        assert os.waitpid(pid, 0)[1] == signal.SIGKILL, "the writer ended by itself"
        with os.fdopen(ours, encoding="utf-8") as stream:
            text = stream.read()
        acked += [int(line) for line in text[: text.rfind("\n") + 1].split()]
    return acked


if __name__ == "__main__":
    print(json.dumps(kills(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
