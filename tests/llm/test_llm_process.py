"""The process of one call: what it is given, that it has ended, and that no way for it to end is an exception."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from model_requests import KEYS, OWN, question
from provider_server import Asked, ProviderServer, Reply
from server_process import children, ended

from marketbot_resources import llm_worker, settings
from marketbot_resources.llm import FailureKind, LlmAnswer, LlmFailure
from marketbot_resources.llm_process import COMMAND, LlmProcess
from marketbot_resources.wiring import LlmResource

PLAIN = {"PATH", "SSL_CERT_FILE", "SSL_CERT_DIR"}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """All keys are there, and more secrets that are nobody's business."""
    for name, value in {
        **KEYS,
        "APCA_API_SECRET_KEY": "not-for-models-Za19",
        "MARKETBOT_LEDGER": "not-for-models-Zb28",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("MARKETBOT_LLM_URL", "MARKETBOT_LLM_CACHE", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)


def fake(script: str, seconds: float = 20.0) -> LlmProcess:
    """A process whose worker is a script."""
    return LlmProcess(Path("/nowhere"), command=(sys.executable, "-c", script), start_seconds=seconds)


def failed(found: LlmAnswer | LlmFailure) -> LlmFailure:
    """The failure that it is."""
    assert isinstance(found, LlmFailure), found
    return found


def test_a_real_worker_holds_one_key_and_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """S2: the worker's environment holds one key, its arguments none; it is gone when the answer is there."""
    seen: list[tuple[int, bytes, bytes]] = []

    def look(_: Asked) -> Reply:
        for pid in children(os.getpid()):
            folder = Path(f"/proc/{pid}")
            line = (folder / "cmdline").read_bytes()
            if b"llm_worker" in line:
                seen.append((pid, line, (folder / "environ").read_bytes()))
        return Reply(f"yes {KEYS['OPENAI_API_KEY']}")  # a provider that tells the key

    with ProviderServer(look) as server:
        monkeypatch.setenv("MARKETBOT_LLM_URL", server.url)
        answer = LlmProcess(Path("/nowhere")).ask(question("openai", seconds=30))
        assert len(server.requests) == 1
    assert isinstance(answer, LlmAnswer), answer
    assert answer.text == "yes [redacted]"
    assert KEYS["OPENAI_API_KEY"] not in answer.body
    assert json.loads(answer.body)["choices"][0]["message"]["content"] == "yes [redacted]"
    ((pid, line, environment),) = seen
    assert ended(pid)
    assert not [key for key in KEYS.values() if key.encode() in line]
    given = dict(one.split(b"=", 1) for one in environment.split(b"\0") if one)
    secrets = {
        name.decode() for name, value in given.items() if value.decode() in {*KEYS.values()} or b"not-for" in value
    }
    assert secrets == OWN["openai"]
    assert "litellm" not in sys.modules


@pytest.mark.long
def test_a_killed_worker_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """F29: SIGKILL in the middle of a call."""

    def kill(_: Asked) -> Reply:
        for pid in children(os.getpid()):
            if b"llm_worker" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, 9)
        return Reply("too late", delay=0.5)

    with ProviderServer(kill) as server:
        monkeypatch.setenv("MARKETBOT_LLM_URL", server.url)
        found = failed(LlmProcess(Path("/nowhere")).ask(question("anthropic", seconds=30)))
    assert (found.kind, found.may_cost) == (FailureKind.WORKER_DIED, True)
    assert "it ended with 9" in found.reason


@pytest.mark.parametrize("provider", ["openai", "anthropic", "bedrock", "local"])
@pytest.mark.parametrize("cache", [False, True])
def test_what_a_worker_is_given(provider: str, cache: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """S2: PATH, certificates, its own key and, when it is on, the cache's address; nothing else that we hold."""
    monkeypatch.setenv("MARKETBOT_LLM_CACHE", "redis://:secret-Zc37@127.0.0.1:6379/0")
    found = settings.llm_environment(provider, cache)
    assert found is not None
    inherited = {name for name, value in found.items() if os.environ.get(name) == value}
    assert inherited - PLAIN == OWN[provider] | ({"MARKETBOT_LLM_CACHE"} if cache else set())
    assert not {name for name in found if "TOKEN" in name or "KEY" in name} - OWN[provider]


@pytest.mark.parametrize(
    "missing", ["OPENAI_API_KEY", "ANTHROPIC_API_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]
)
@pytest.mark.parametrize("value", [None, "", "  "])
def test_without_a_key_nothing_is_started(
    missing: str, value: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F42: a missing key is said by its variable's name; the next model of the chain is asked."""
    provider = next(name for name, own in OWN.items() if missing in own)
    monkeypatch.delenv(missing) if value is None else monkeypatch.setenv(missing, value)
    process = fake(f"open({str(tmp_path / 'started')!r}, 'w')")
    found = failed(process.ask(question(provider)))
    assert (found.kind, found.may_cost) == (FailureKind.NO_KEY, False)
    assert missing in found.reason
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "address",
    ["http://localhost:80", "http://127.0.0.1", "https://127.0.0.1:80", "http://127.0.0.1:80@evil.test", "http://evil.test:80",
     "http://127.0.0.1:80/path", "http://127.0.0.1.evil.test:80", "127.0.0.1:80", "http://127.0.0.1:٣"],
)  # fmt: skip
def test_another_address_of_providers_is_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """S1: the variable for tests takes this machine only."""
    monkeypatch.setenv("MARKETBOT_LLM_URL", address)
    found = failed(fake("raise SystemExit(3)").ask(question("openai")))
    assert (found.kind, found.may_cost) == (FailureKind.BAD_REQUEST, False)
    assert "MARKETBOT_LLM_URL" in found.reason


ANSWER = {"text": "yes", "model": "m", "fingerprint": "", "tokens_in": 1, "tokens_out": None, "body": "{}"}
WRONG = [
    {}, [], None, 1, "x", {"answer": {}}, {"answer": None}, {"answer": []}, {"failure": {}}, {"failure": {"kind": "auth"}},
    {"failure": {"kind": "new", "reason": "", "may_cost": False}}, {"failure": {"kind": "auth", "reason": "", "may_cost": 0}},
    {"failure": {"kind": "auth", "reason": None, "may_cost": False}},
    *({"answer": {**ANSWER, name: value}} for name in ("text", "model", "fingerprint", "body") for value in (None, 1, True, [])),
    *({"answer": {**ANSWER, name: value}} for name in ("tokens_in", "tokens_out") for value in ("1", 1.0, True, -1, [])),
]  # fmt: skip


def test_what_no_worker_says_is_a_failure() -> None:
    """The worker's line is a claim: every wrong type is a dead worker, never an exception and never an answer."""
    from marketbot_resources.llm_process import _read

    good = _read(json.dumps({"answer": ANSWER}).encode(), b"", "")
    assert good == LlmAnswer("yes", "m", "", 1, None, "{}")
    for told in [*map(json.dumps, WRONG), "", "{", "[" * 100_000, '{"answer": ' * 50_000]:
        found = failed(_read(told.encode(), b"", ""))
        assert (found.kind, found.may_cost) == (FailureKind.WORKER_DIED, True), told[:200]


def test_ways_to_end_badly() -> None:
    """Exit codes, silence, too much output, a time that is over, an interpreter that is not there."""
    rows = {
        "raise SystemExit(3)": (FailureKind.WORKER_DIED, "it ended with 3"),
        "import os, sys; sys.stderr.write('first\\nlast words'); os.abort()": (FailureKind.WORKER_DIED, "last words"),
        "": (FailureKind.WORKER_DIED, "expected an answer"),
        "import os\nwhile True: os.write(1, b'x' * 1_000_000)": (FailureKind.WORKER_DIED, "it said too much"),
        "import os, sys; sys.stderr.write(os.environ['OPENAI_API_KEY']); sys.exit(1)": (
            FailureKind.WORKER_DIED,
            "[redacted]",
        ),
    }
    for script, (kind, words) in rows.items():
        found = failed(fake(script).ask(question("openai")))
        assert (found.kind, found.may_cost) == (kind, True)
        assert words in found.reason
        assert not [key for key in KEYS.values() if key in found.reason]
    gone = LlmProcess(Path("/nowhere"), command=("/nowhere/python",)).ask(question("openai"))
    assert (failed(gone).kind, failed(gone).may_cost) == (FailureKind.WORKER_DIED, False)


@pytest.mark.parametrize("reply", ["", '{"answer": 1}'])
def test_the_whole_group_ends_with_the_call(reply: str, tmp_path: Path) -> None:
    """A worker that hangs or leaves a child behind: the call returns in time and nothing of it lives."""
    pids = tmp_path / "pids"
    child = "import time; time.sleep(60)"
    waits = "" if reply else "time.sleep(60)"
    script = (
        f"import os, subprocess, sys, time\np = subprocess.Popen([sys.executable, '-c', {child!r}])\n"
        f"open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{p.pid}}')\nsys.stdout.write({reply!r})\nsys.stdout.flush()\n{waits}\n"
    )
    since = time.monotonic()
    found = failed(fake(script, seconds=3.0).ask(question("openai", seconds=1)))
    assert time.monotonic() - since < 15
    assert found.kind == (FailureKind.WORKER_DIED if reply else FailureKind.TIMEOUT)
    worker, left = map(int, pids.read_text().split())
    until = time.monotonic() + 10
    while not (ended(worker) and ended(left)):
        assert time.monotonic() < until, "a process is left"
        time.sleep(0.01)


def test_the_question_comes_on_standard_input_alone(tmp_path: Path) -> None:
    """Nothing of a question or a key is in the arguments; a question longer than a pipe arrives whole."""
    script = (
        f"import json, sys; told = sys.stdin.read(); open({str(tmp_path / 'told')!r}, 'w').write(told)\n"
        f"print(json.dumps({{'answer': {ANSWER!r}}}))"
    )
    asked = question("openai", text="long " * 100_000)
    assert isinstance(fake(script).ask(asked), LlmAnswer)
    told = json.loads((tmp_path / "told").read_text())
    assert told["turns"] == [["user", "long " * 100_000]]
    assert (told["question"], told["cache"], told["redirect"]) == (asked.sha256, False, "")
    assert not [key for key in KEYS.values() if key in json.dumps(told)]
    assert COMMAND == (sys.executable, "-m", "marketbot_resources.llm_worker")


def test_the_worker_bounds_itself() -> None:
    """Memory and CPU are bounded, no core is dumped, and no host but the named one is looked up."""
    script = """
import resource, socket
from marketbot_resources import llm_worker
llm_worker._hold_to_bounds()
llm_worker._stay_with(frozenset({"127.0.0.1"}))
for host in ("127.0.0.1", "raw.githubusercontent.com"):
    try:
        print(bool(socket.getaddrinfo(host, 80)))
    except PermissionError as error:
        print(error)
try:
    len(bytearray(2 * llm_worker.MEMORY_BYTES_MAX))
except MemoryError:
    print("bounded", resource.getrlimit(resource.RLIMIT_CORE), resource.getrlimit(resource.RLIMIT_CPU)[0])
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=settings.CHECKOUT, timeout=60
    )
    assert done.stdout.splitlines() == ["True", "a host that nobody named is not asked", "bounded (0, 0) 120"], (
        done.stderr
    )


@pytest.mark.parametrize(
    ("address", "sent"),
    [
        ("http://127.0.0.1:8080/v1", True),
        ("http://[::1]:8080/v1", True),
        ("http://localhost:8080/v1", True),
        ("https://models.example.org/v1", True),
        ("http://models.example.org/v1", False),
        ("http://127.example.org/v1", False),
        ("http://10.0.0.7:8080/v1", False),
        ("", False),
    ],
)
def test_a_local_key_does_not_leave_in_plain_text(address: str, sent: bool) -> None:
    """S2: over plain http a key stays on this machine."""
    assert (llm_worker._local_key(address) == KEYS["MARKETBOT_LLM_LOCAL_KEY"]) is sent


@pytest.mark.parametrize(("told", "cache"), [("null", False), ("none", False), ("redis", True)])
def test_the_mandate_says_whether_a_cache_may_answer(
    told: str, cache: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`llm.cache` reaches the process; no mandate section, no cache."""
    text = (settings.CHECKOUT / "mandate.yaml").read_text(encoding="utf-8")
    model = "{provider: openai, model: m, knowledge_cutoff: 2018-01-01, usd_per_million_input: 1.0, usd_per_million_output: 1.0}"
    section = "null" if told == "null" else f"{{chain: [{model}], usd_per_day: 1.0, cache: {told}}}"
    assert text.count("\nllm: null") == 1
    (tmp_path / "mandate.yaml").write_text(text.replace("\nllm: null", f"\nllm: {section}"), encoding="utf-8")
    monkeypatch.setenv("MARKETBOT_MANDATE", str(tmp_path / "mandate.yaml"))
    port = LlmResource(home=str(tmp_path)).open()
    assert isinstance(port, LlmProcess)
    assert port._cache is cache


@pytest.mark.long
def test_a_worker_ends_with_its_parent() -> None:
    """F01: a parent that is killed during a call leaves no worker that holds a key."""
    script = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from model_requests import question
from marketbot_resources.llm_process import LlmProcess
LlmProcess(Path("/nowhere")).ask(question("openai", seconds=50))
"""
    found: list[int] = []
    with ProviderServer(Reply(fault="hang")) as server:
        command = [sys.executable, "-c", script, str(Path(__file__).parent)]
        environment = {**os.environ, "MARKETBOT_LLM_URL": server.url, "PYTHONPATH": str(settings.CHECKOUT)}
        with subprocess.Popen(command, env=environment, cwd=settings.CHECKOUT) as parent:
            until = time.monotonic() + 60
            while not server.requests:
                assert time.monotonic() < until
                time.sleep(0.05)
            found = children(parent.pid)
            parent.kill()
        assert len(found) == 1
        until = time.monotonic() + 10
        while not ended(found[0]):
            assert time.monotonic() < until
            time.sleep(0.02)
