"""One session's question to a real model, through the real child process: an answer that the gate judges, or a typed failure."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from model_server import ModelServer
from small_world import small_pack

from marketbot_assets.insight.gate import Rejected, Views, judge_answer, schema_of
from marketbot_assets.insight.prompt import prompt_of
from marketbot_resources.llm import FailureKind, LlmAnswer, LlmFailure, LlmRequest
from marketbot_resources.llm_process import LlmProcess

pytestmark = [pytest.mark.model, pytest.mark.long]
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    """Holds the question of the small pack and a short answer, not more."""
    with ModelServer("bounded", context_tokens=1536) as server:
        yield server


def question_of(pack: pd.DataFrame, server: ModelServer) -> LlmRequest:
    """As a session asks it."""
    prompt = prompt_of(pack)
    return LlmRequest(
        provider="local",
        model=server.name,
        system=prompt.system,
        turns=(("user", prompt.question),),
        schema=schema_of(pack),
        tokens_max=300,
        address=server.address,
        timeout_seconds=240,
    )


def test_a_real_answer_is_judged(server: ModelServer, tmp_path: Path) -> None:
    """Whatever the model says, the gate has a verdict, and within its grammar one of the layers beyond JSON and shape."""
    pack = small_pack()
    said = LlmProcess(tmp_path).ask(question_of(pack, server))
    assert isinstance(said, LlmAnswer), said
    assert said.model == server.name
    assert said.tokens_in is not None
    assert 300 < said.tokens_in < 1536
    assert said.tokens_out is not None
    assert 0 < said.tokens_out <= 300
    verdict = judge_answer(said.text, pack)
    assert isinstance(verdict, Views | Rejected)
    assert said.text.startswith("{")
    assert not isinstance(verdict, Rejected) or verdict.layer not in ("size", "text", "json", "shape", "gate"), verdict


@pytest.mark.long
@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"turns": (("user", "word " * 3000),)}, FailureKind.CONTEXT_TOO_LONG),
        ({"tokens_max": 5}, FailureKind.TRUNCATED),
        ({"timeout_seconds": 1, "turns": (("user", "word " * 600),)}, FailureKind.TIMEOUT),
        ({"address": "http://127.0.0.1:9/v1"}, FailureKind.CONNECTION),
    ],
    ids=lambda value: value.value if isinstance(value, FailureKind) else "",
)
def test_what_a_real_model_cannot_do_is_typed(
    changes: dict, kind: FailureKind, server: ModelServer, tmp_path: Path
) -> None:
    """Too long a question, no room to end the answer, too slow, not there: each is a failure with its kind, never an exception."""
    said = LlmProcess(tmp_path).ask(replace(question_of(small_pack(), server), **changes))
    assert isinstance(said, LlmFailure), said
    assert said.kind is kind


@pytest.mark.long
def test_a_session_with_the_real_model_ends_as_decided() -> None:
    """The tool of the page over one session: the graph sends, tries are counted, no weight is moved."""
    words = ["--sessions", "1", "--decoding", "free", "--replayed", "1"]
    command = [sys.executable, "-W", "ignore", str(ROOT / "tools" / "small_model.py"), *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "- sessions 2018-12-24 .. 2018-12-24: 1; ends: sent, APPROVED 1" in done.stdout
    assert "- largest tilt of any expected return: 0 per year" in done.stdout
    assert "smollm2-135m-instruct-free | 1 |" in done.stdout
    assert "equal bit for bit in 1 of 1 sessions" in done.stdout
    assert "- `marketbot replay --session 2018-12-24`, exit code 0: " in done.stdout
