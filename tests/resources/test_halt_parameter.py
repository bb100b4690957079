"""The halt parameter of AWS, asked through boto3 over real HTTP: a local server speaks SSM's JSON, and misbehaves."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from marketbot_resources.halt import HaltFlag
from marketbot_resources.halt_sources import FRESH_SECONDS, Bounded, SsmParameter, open_halt
from marketbot_resources.model import HaltLevel

pytest.importorskip("boto3")

NAME = "/marketbot/live/halt"
JSON = "application/x-amz-json-1.1"


class Ssm(BaseHTTPRequestHandler):
    """`answer`: (status, body, seconds to wait). It keeps what it was asked."""

    answer: ClassVar[tuple[int, bytes, float]] = (200, b"", 0.0)
    asked: ClassVar[list[dict[str, Any]]] = []
    let_go: ClassVar[threading.Event] = threading.Event()

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        type(self).asked.append({"target": self.headers["X-Amz-Target"], **body})
        status, text, seconds = self.answer
        if seconds:
            self.let_go.wait(seconds)
        try:
            self.send_response(status)
            self.send_header("Content-Type", JSON)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)
        except OSError:
            pass  # who asked has gone

    def log_message(self, format: str, *args: object) -> None:
        pass


def value(text: object) -> bytes:
    """SSM's answer to GetParameter."""
    found = {"Name": NAME, "Type": "String", "Value": text, "Version": 3, "DataType": "text"}
    return json.dumps({"Parameter": found}).encode()


def refusal(kind: str) -> bytes:
    return json.dumps({"__type": kind, "message": "no"}).encode()


@pytest.fixture
def ssm(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Ssm]]:
    """The server, and the environment in which boto3 finds it."""
    Ssm.asked, Ssm.let_go = [], threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Ssm)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL_SSM", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("MARKETBOT_HALT_PARAMETER", NAME)
    yield Ssm
    Ssm.let_go.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    ("text", "flag"),
    [
        ("off", HaltFlag("off", "")),
        (" off \n", HaltFlag("off", "")),
        ("halt", HaltFlag("on", "no reason given")),
        ("halt: a doubt: two", HaltFlag("on", "a doubt: two")),
        *((f"{level.value}:why", HaltFlag("on", "why", level)) for level in HaltLevel),
    ],
)
def test_what_it_says_counts(ssm: type[Ssm], text: str, flag: HaltFlag) -> None:
    """RC-80: off, a level, or a level and why."""
    ssm.answer = 200, value(text), 0.0
    assert SsmParameter(NAME).read() == flag
    (asked,) = ssm.asked
    assert (asked["target"], asked["Name"], asked["WithDecryption"]) == ("AmazonSSM.GetParameter", NAME, False)


@pytest.mark.parametrize(
    "answer",
    [
        (200, value("on"), 0.0),
        (200, value(""), 0.0),
        (200, value(None), 0.0),
        (200, value(["off"]), 0.0),
        (200, b'{"Parameter": {}}', 0.0),
        (200, b"{}", 0.0),
        (200, b"off", 0.0),
        (200, b"\xff\xfe", 0.0),
        (200, b"", 0.0),
        (400, refusal("ParameterNotFound"), 0.0),
        (400, refusal("AccessDeniedException"), 0.0),
        (400, refusal("ThrottlingException"), 0.0),
        (500, b"broken", 0.0),
        (503, b"", 0.0),
    ],
    ids=range(14),
)
def test_what_cannot_be_read_halts(ssm: type[Ssm], tmp_path: Path, answer: tuple[int, bytes, float]) -> None:
    """RC-80: also a parameter that does not exist; asked once, and again the next time."""
    ssm.answer = answer
    switch = open_halt(tmp_path)
    assert switch.read().status == "unreadable"
    assert NAME in switch.read().reason
    assert len(ssm.asked) == 2
    ssm.answer = 200, value("off"), 0.0
    assert switch.read().status == "off"


def test_a_slow_answer_halts(ssm: type[Ssm]) -> None:
    """RC-80: two seconds are the most that anyone waits before an order; here less."""
    source = Bounded(SsmParameter(NAME), 0.2, first=10)
    ssm.answer = 200, value("off"), 0.0
    assert source.read().status == "off"
    hasty = Bounded(SsmParameter(NAME), 0.2)
    ssm.answer = 200, value("off"), 30.0
    started = time.monotonic()
    assert hasty.read().status == "unreadable"
    assert time.monotonic() - started < 5


def test_no_server_halts(ssm: type[Ssm], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """RC-80: a refused connection; no credentials."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_SSM", "http://127.0.0.1:9")
    assert open_halt(tmp_path).read().status == "unreadable"


def test_it_is_asked_at_most_every_ten_seconds(ssm: type[Ssm]) -> None:
    """200 orders in a row ask once; a halt is known at the latest FRESH_SECONDS later, a clock that jumps back asks again."""
    now = [100.0]
    source = SsmParameter(NAME, lambda: now[0])
    ssm.answer = 200, value("off"), 0.0
    assert {source.read().status for _ in range(200)} == {"off"}
    ssm.answer = 200, value("halt"), 0.0
    now[0] += FRESH_SECONDS - 0.001
    assert source.read().status == "off"
    now[0] += 0.001
    assert source.read().status == "on"
    assert len(ssm.asked) == 2
    now[0] = 5.0
    assert source.read().status == "on"
    assert len(ssm.asked) == 3
    assert FRESH_SECONDS <= 10


def test_a_parameter_once_used_is_not_lost_with_its_setting(
    ssm: type[Ssm], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """RC-80: a run notes its name; without the variable the home is halted until someone removes the note."""
    ssm.answer = 200, value("off"), 0.0
    assert open_halt(tmp_path).read().status == "off"
    assert list(tmp_path.iterdir()) == [], "a look writes nothing"
    assert open_halt(tmp_path, keep=True).read().status == "off"
    monkeypatch.delenv("MARKETBOT_HALT_PARAMETER")
    assert open_halt(tmp_path).read().status == "unreadable"
    (tmp_path / "halt.parameter").unlink()
    assert open_halt(tmp_path).read().status == "off"
