"""The small real model behind its server: it answers litellm, what it cannot do is typed, and it ends with the test."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from model_server import ModelServer
from server_process import ended

pytestmark = pytest.mark.model
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["subject", "score"],
    "properties": {"subject": {"enum": ["Energy", "Health"]}, "score": {"type": "number", "minimum": -1, "maximum": 1}},
}
# In a process of its own: the parent of a worker never imports litellm, and neither does a test.
ASK = """
import json, os, sys
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
import litellm
litellm.suppress_debug_info = True
address, model, cases = json.loads(sys.stdin.read())
for text, more in cases:
    try:
        said = litellm.completion(
            model="openai/" + model, api_base=address, api_key="none", temperature=0, seed=0, num_retries=0, max_retries=0,
            messages=[{"role": "user", "content": text}], **more,
        )
        choice = said.choices[0]
        print(json.dumps([choice.finish_reason, choice.message.content, said.model, said.system_fingerprint]))
    except Exception as error:
        print(json.dumps([type(error).__name__, "", "", ""]))
"""
FORMAT = {"type": "json_schema", "json_schema": {"name": "view", "strict": True, "schema": SCHEMA}}
QUESTION = 'Answer with a JSON object with "subject" (Energy or Health) and "score".'
SHORT = {"max_tokens": 40, "timeout": 60, "response_format": FORMAT}


def asked(server: ModelServer, *cases: tuple[str, dict[str, object]]) -> list[list[str]]:
    """(finish reason or error, text, model, fingerprint) of each question, through litellm."""
    command = [sys.executable, "-W", "ignore", "-c", ASK]
    told = json.dumps([server.address, server.name, cases])
    done = subprocess.run(command, input=told, capture_output=True, text=True, timeout=300, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def bound() -> Iterator[ModelServer]:
    """Answers follow the schema."""
    with ModelServer("constrained", context_tokens=512) as server:
        yield server


@pytest.mark.long
def test_what_the_model_does_is_typed(bound: ModelServer) -> None:
    """An answer within the schema, the same again; cut short; too long a question; too slow: litellm names each."""
    ask: tuple[str, dict[str, object]] = (QUESTION, SHORT)
    first, again, cut, long, slow = asked(
        bound,
        ask,
        ask,
        (QUESTION, {**SHORT, "max_tokens": 2}),
        ("word " * 600, SHORT),
        (QUESTION, {"max_tokens": 450, "timeout": 0.1}),
    )
    assert first[0] == "stop"
    view = json.loads(first[1])
    assert sorted(view) == ["score", "subject"]
    assert view["subject"] in ("Energy", "Health")
    assert first[2] == bound.name
    assert again == first
    assert cut[0] == "length"
    assert long[0] == "ContextWindowExceededError"
    assert slow[0] == "Timeout"


@pytest.mark.long
def test_free_decoding_drops_the_schema(bound: ModelServer) -> None:
    """Asked with the schema, `free` answers as the model does without one: no JSON object of that shape."""
    with ModelServer("free", context_tokens=512) as free:
        (said,) = asked(free, (QUESTION, SHORT))
        (plain,) = asked(bound, (QUESTION, {"max_tokens": 40, "timeout": 60}))
    assert said[1] == plain[1]
    assert said[1] != asked(bound, (QUESTION, SHORT))[0][1]


ORPHAN = """
import sys
sys.path[:0] = sys.argv[1:]
from model_server import ModelServer
server = ModelServer("free", context_tokens=512)
server.start()
print(server.pid, server.folder, flush=True)
sys.stdin.read()
"""


@pytest.mark.long
def test_the_model_ends_with_the_test() -> None:
    """A test process that is killed leaves no model in memory and no files."""
    here = Path(__file__).parent
    command = [sys.executable, "-c", ORPHAN, str(here), str(here.parent)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid, folder = process.stdout.readline().split()
        assert not ended(int(pid))
        process.send_signal(signal.SIGKILL)
    until = time.monotonic() + 15
    while not ended(int(pid)) or Path(folder).exists():
        assert time.monotonic() < until, f"process {pid} or {folder} is still there"
        time.sleep(0.02)
