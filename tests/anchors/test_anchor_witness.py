"""A witness as an anchor: its cosignature is checked before it is taken, and a contradiction is told from a witness that errs."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from anchor_world import ORIGIN, Log, WitnessProcess, cosigned_at, forked, log, text_of

from marketbot_resources.anchors.opening import open_anchor
from marketbot_resources.anchors.port import Anchor
from marketbot_resources.errors import AnchorError, Equivocation
from marketbot_resources.ledger.note import COSIGNATURE_V1, SignKey, cosign, new_key

SIZE = "text/x.tlog.size"


@pytest.fixture
def ours() -> Log:
    return log()


@pytest.fixture
def witness(tmp_path: Path, ours: Log) -> Iterator[WitnessProcess]:
    with WitnessProcess(tmp_path / "state", ours.vkey.text) as process:
        yield process


def put(anchor: Anchor, ours: Log, size: int) -> str:
    return anchor.publish(ours.note(size), ours.vkey, ours.prove(size))


def test_the_note_comes_back_cosigned(witness: WitnessProcess, ours: Log) -> None:
    """The note, then one line by the witness that a stranger can check; again, one line still; other lines stay."""
    anchor = open_anchor(witness.spec)
    for size in (3, 9, 9):
        kept = put(anchor, ours, size)
        assert kept.startswith(ours.note(size))
        (line,) = kept.removeprefix(ours.note(size)).splitlines()
        cosigned_at(text_of(kept), line, witness.vkey)
    other = cosign(ours.note(9), new_key("witness.test/other", COSIGNATURE_V1), 5) + "\n"
    again = anchor.publish(kept + other, ours.vkey, ours.prove(9))
    assert again.startswith(ours.note(9) + other)
    assert again.count("\n\u2014 ") == 3


def test_the_proof_is_asked_for_from_the_witnesss_own_size(witness: WitnessProcess, ours: Log) -> None:
    """The ledger knows nothing of how far a witness is: it is asked for one proof, from there."""
    anchor, asked = open_anchor(witness.spec), []
    put(anchor, ours, 4)

    def prove(old: int) -> list[bytes]:
        asked.append(old)
        return ours.proof(old, 30)

    anchor.publish(ours.note(30), ours.vkey, prove)
    assert asked == [4]


@pytest.mark.parametrize("size", [7, 8, 30])
def test_a_fork_is_an_equivocation(witness: WitnessProcess, ours: Log, size: int) -> None:
    """F47: the ledger was restored and went on otherwise; the witness knows, whatever size it has now."""
    anchor = open_anchor(witness.spec)
    kept = put(anchor, ours, 7)
    with pytest.raises(Equivocation, match=r"has cosigned 7 entries .* the log was changed"):
        put(anchor, forked(ours, 5), size)
    assert anchor.notes(ours.vkey) == [kept]


def test_a_truncated_ledger_is_refused(witness: WitnessProcess, ours: Log) -> None:
    """Fewer entries than the witness has cosigned: they are missing, or this head is an old one."""
    anchor = open_anchor(witness.spec)
    put(anchor, ours, 9)
    with pytest.raises(AnchorError, match="has cosigned 9 entries, found only 5: entries are missing"):
        put(anchor, ours, 5)


def test_a_witness_that_does_not_know_the_log_is_said(witness: WitnessProcess) -> None:
    """Its answer is passed on in one line."""
    other = log(origin="marketbot.test/other")
    with pytest.raises(AnchorError, match="found 404 'unknown log'"):
        put(open_anchor(witness.spec), other, 3)
    with pytest.raises(AnchorError, match="found 403 'no signature by a known key"):
        put(open_anchor(witness.spec), Log(new_key(ORIGIN), 9), 3)


def test_another_witness_under_the_address_is_not_believed(witness: WitnessProcess, ours: Log) -> None:
    """The key of the spec decides, not the address."""
    wrong = new_key("marketbot.witness", COSIGNATURE_V1).public.text
    with pytest.raises(AnchorError, match=r"cosignature by .* found none"):
        put(open_anchor(f"witness:{witness.address}#{wrong}"), ours, 3)


class Twin:
    """A witness that answers what a test tells it, by path; a list of answers is given one by one."""

    def __init__(self) -> None:
        self.post: list[tuple[int, str, bytes]] = []
        self.get: tuple[int, str, bytes] = (404, "text/plain", b"")
        self.key: SignKey = new_key("witness.test/twin", COSIGNATURE_V1)
        twin = self

        class Door(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.say(*(twin.post.pop(0) if len(twin.post) > 1 else twin.post[0]))

            def do_GET(self) -> None:
                self.say(*twin.get)

            def say(self, status: int, kind: str, body: bytes) -> None:
                if status == 0:  # not HTTP at all
                    self.wfile.write(body)
                    return
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.end_headers()
                try:
                    self.wfile.write(body)
                except (BrokenPipeError, ConnectionResetError):
                    pass  # whoever asked had enough

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Door)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    @property
    def anchor(self) -> Anchor:
        return open_anchor(f"witness:http://127.0.0.1:{self.server.server_port}/w/#{self.key.public.text}")

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def twin() -> Iterator[Twin]:
    made = Twin()
    yield made
    made.close()


def conflict(size: int) -> tuple[int, str, bytes]:
    return 409, SIZE, f"{size}\n".encode()


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([(200, "text/plain", b"")], "expected"),
        ([(200, "text/plain", b"nonsense\n")], "expected its cosignature"),
        ([(200, "text/plain", "\u2014 witness.test/twin AAAA\n".encode())], "expected its cosignature"),
        ([(200, "text/plain", b"\xff" * 100)], "expected its cosignature"),
        ([(200, "text/plain", b"x" * 70_000)], "too long"),
        ([(301, "text/plain", b"elsewhere")], "found 301"),
        ([(500, "text/plain", b"oh\nno")], r"found 500 'oh\\nno'"),
        ([(409, "text/plain", b"3\n")], "found 409"),
        ([(409, SIZE, b"three\n")], "found 409"),
        ([(409, SIZE, b"-3\n")], "found 409"),
        ([(409, SIZE, b"9" * 5_000 + b"\n")], "found 409"),
        ([conflict(0)], "a refusal without a reason"),
        ([conflict(3), conflict(3)], "a refusal without a reason"),
        ([conflict(3), conflict(4), conflict(5)], "after 3 attempts"),
        ([(422, "text/plain", b"bad proof\n")], "a refusal without a reason"),
        ([(0, "", b"nonsense")], "expected an answer, found: "),
        ([(0, "", b"")], "expected an answer, found: "),
    ],
)
def test_a_witness_that_errs_is_an_anchor_error(
    twin: Twin, ours: Log, answers: list[tuple[int, str, bytes]], said: str
) -> None:
    """Nothing that it says is taken without its signature; one line, never an equivocation, never a loop."""
    twin.post = answers
    with pytest.raises(AnchorError, match=said) as error:
        put(twin.anchor, ours, 9)
    assert "\n" not in str(error.value)


def test_a_refusal_is_believed_only_with_the_logs_own_signature(twin: Twin, ours: Log) -> None:
    """Only another head that the log itself has signed is an equivocation; what anyone can write is not."""
    twin.post = [conflict(9)]
    stranger = Log(new_key(ORIGIN), 20)
    for shown, said in ((stranger.note(9).encode(), "did not sign"), (b"nonsense", "did not sign")):
        twin.get = 200, "text/plain", shown
        with pytest.raises(AnchorError, match=said):
            put(twin.anchor, ours, 9)
    twin.get = 200, "text/plain", ours.note(9).encode()
    with pytest.raises(AnchorError, match="without a reason"):
        put(twin.anchor, ours, 9)
    twin.get = 200, "text/plain", forked(ours, 2).note(5).encode()  # not the head that the proof was from
    with pytest.raises(AnchorError, match="without a reason"):
        put(twin.anchor, ours, 9)
    twin.get = 200, "text/plain", forked(ours, 2).note(9).encode()
    with pytest.raises(Equivocation):
        put(twin.anchor, ours, 9)


def test_a_cosignature_of_another_head_is_not_taken(twin: Twin, ours: Log) -> None:
    """The line holds for the text that was sent, or it is refused; further lines are ignored."""
    twin.post = [(200, "text/plain", (cosign(ours.note(8), twin.key, 5) + "\n").encode())]
    with pytest.raises(AnchorError, match="does not hold"):
        put(twin.anchor, ours, 9)
    other = cosign(ours.note(9), new_key("witness.test/other", COSIGNATURE_V1), 5)
    own = cosign(ours.note(9), twin.key, 5)
    twin.post = [(200, "text/plain", f"{other}\n{own}\n{own}\n".encode())]
    assert put(twin.anchor, ours, 9) == ours.note(9) + own + "\n"


def test_what_it_shows_is_passed_on_unbelieved(twin: Twin, ours: Log) -> None:
    """`notes` reads; the caller checks."""
    twin.get = 200, "text/plain", b"\xffnonsense"
    assert twin.anchor.notes(ours.vkey) == ["\ufffdnonsense"]
    twin.get = 500, "text/plain", b"x"
    with pytest.raises(AnchorError, match="found 500"):
        twin.anchor.notes(ours.vkey)
