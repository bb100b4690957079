"""The witness as a user starts it: it cosigns what continues the last head that it cosigned, nothing else (C2SP tlog-witness)."""

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from anchor_world import ORIGIN, OTHER, ROOT, Log, WitnessProcess, cosigned_at, forked, log, request, text_of

from marketbot_resources.ledger.note import COSIGNATURE_V1, ED25519, SignKey, new_key

SIZE = "text/x.tlog.size"


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WitnessProcess]:
    """One witness for tests that each bring a log of their own, by the file `logs`."""
    state = tmp_path_factory.mktemp("witness") / "state"
    with WitnessProcess(state, log(origin="marketbot.test/first").vkey.text) as witness:
        yield witness


@pytest.fixture
def ours(busy: WitnessProcess, request: pytest.FixtureRequest) -> Log:
    """A log of this test that the witness serves."""
    made = log(origin=f"marketbot.test/{request.node.name.replace(' ', '-')}")
    serve(busy, made.vkey.text)
    return made


def serve(witness: WitnessProcess, vkey: str) -> None:
    with (witness.state / "logs").open("a") as file:
        file.write(f"{vkey}\n")


def test_growth_is_cosigned_and_a_stranger_can_check_it(busy: WitnessProcess, ours: Log) -> None:
    """Each answer is one cosignature line with the present time; the witness shows the last note with it."""
    old = 0
    for size in (1, 2, 3, 10, 10, 40):
        before = time.time()
        status, kind, body = busy.add(old, ours.proof(old, size), ours.note(size))
        assert (status, kind, body.count("\n")) == (200, "text/plain; charset=utf-8", 1)
        assert int(before) <= cosigned_at(text_of(ours.note(size)), body[:-1], busy.vkey) <= time.time()
        assert busy.last(ours.vkey.name) == (200, "text/plain; charset=utf-8", ours.note(size) + body)
        old = size


def test_an_unknown_head_begins_at_zero(busy: WitnessProcess, ours: Log) -> None:
    """A log of no entries can be cosigned; its root is the empty one or the proof is bad."""
    empty = ours.note(0)
    assert busy.add(0, [], empty)[0] == 200
    assert busy.add(0, [], ours.note(5))[0] == 200
    assert busy.last("marketbot.test/nobody")[0] == 404


def test_a_wrong_old_size_is_told_the_right_one(busy: WitnessProcess, ours: Log) -> None:
    """409 with the size and its content type, whatever the proof; nothing changes."""
    busy.add(0, [], ours.note(7))
    for old in (0, 3, 6, 8, 20):
        assert busy.add(old, ours.proof(old, 20), ours.note(20)) == (409, SIZE, "7\n")
    assert busy.add(0, [], ours.note(7)) == (409, SIZE, "7\n")
    assert busy.last(ours.vkey.name)[2].startswith(ours.note(7))


def test_a_log_with_two_histories_is_refused(busy: WitnessProcess, ours: Log) -> None:
    """A fork: whoever saw the first history will never see a cosignature of the second, at any size."""
    busy.add(0, [], ours.note(7))
    second = forked(ours, 4)
    assert busy.add(7, second.proof(7, 20), second.note(20))[0] == 422
    assert busy.add(7, [], second.note(7)) == (409, SIZE, "7\n")
    assert busy.add(4, second.proof(4, 20), second.note(20)) == (409, SIZE, "7\n")
    assert busy.add(7, [], second.note(6))[0] == 400
    assert busy.add(7, ours.proof(7, 20), ours.note(20))[0] == 200
    assert busy.comes_to_say("FORKED: another root for 7 entries"), busy.said


def test_a_log_is_never_rolled_back(busy: WitnessProcess, ours: Log) -> None:
    """A smaller head after a larger one is refused."""
    busy.add(0, [], ours.note(9))
    assert busy.add(0, [], ours.note(5)) == (409, SIZE, "9\n")
    assert busy.add(5, [], ours.note(5)) == (409, SIZE, "9\n")
    assert busy.add(9, [], ours.note(5))[0] == 400


def test_two_logs_do_not_know_each_other(tmp_path: Path) -> None:
    """Two logs given at the start: own sizes, own notes; a head of one signed by the other is refused."""
    first, second = log(origin=ORIGIN), log(origin=OTHER)
    with WitnessProcess(tmp_path / "state", first.vkey.text, second.vkey.text) as witness:
        assert witness.started["logs"] == [ORIGIN, OTHER]
        assert witness.add(0, [], first.note(8))[0] == 200
        assert witness.add(0, [], second.note(3))[0] == 200
        assert witness.add(3, second.proof(3, 5), second.note(5))[0] == 200
        text, _, _ = first.note(9).rpartition("\n\n")
        _, _, lines = second.note(9).rpartition("\n\n")
        assert witness.add(8, first.proof(8, 9), f"{text}\n\n{lines}")[0] == 403
        assert witness.last(ORIGIN)[2].startswith(first.note(8))
        assert witness.last(OTHER)[2].startswith(second.note(5))


def bent(note: str) -> str:
    """The note with one bit of its signature changed."""
    return note[:-6] + ("A" if note[-6] != "A" else "B") + note[-5:]


def test_only_the_log_is_heard(busy: WitnessProcess, ours: Log) -> None:
    """404 for an unknown log, 403 for an unknown key or a signature that does not hold; unknown keys beside are ignored."""
    impostor = Log(new_key(ours.vkey.name), 40)
    assert busy.add(0, [], log(origin="marketbot.test/unknown").note(3))[0] == 404
    assert busy.add(0, [], impostor.note(3))[0] == 403
    assert busy.add(0, [], bent(ours.note(3)))[0] == 403
    stranger = impostor.note(3).rpartition("\n\n")[2]
    status, _, line = busy.add(0, [], ours.note(3) + stranger)
    assert status == 200
    assert busy.last(ours.vkey.name)[2] == ours.note(3) + line, "what nobody vouches for is not shown"


def test_a_new_key_of_a_log_is_heard_once_it_is_listed(busy: WitnessProcess, ours: Log) -> None:
    """A log changes its key: both sign one head, then the new key alone, which the operator has added by then."""
    busy.add(0, [], ours.note(2))
    new = Log(new_key(ours.vkey.name), 40)
    both = new.note(5) + ours.note(5).rpartition("\n\n")[2]
    assert busy.add(2, new.proof(2, 5), both)[0] == 200
    assert busy.add(5, new.proof(5, 6), new.note(6))[0] == 403
    serve(busy, new.vkey.text)
    assert busy.add(5, new.proof(5, 6), new.note(6))[0] == 200


A_HASH = b"A" * 43 + b"="
BODIES: dict[str, bytes] = {
    "nothing": b"",
    "no gap": b"old 0\n",
    "no note": b"old 0\n\n",
    "no old size": b"\n\nNOTE",
    "other word": b"new 0\n\nNOTE",
    "negative": b"old -1\n\nNOTE",
    "plus": b"old +1\n\nNOTE",
    "leading zero": b"old 00\n\nNOTE",
    "other digits": "old ١\n\nNOTE".encode(),
    "two blanks": b"old  0\n\nNOTE",
    "blank after": b"old 0 \n\nNOTE",
    "huge": b"old 9223372036854775808\n\nNOTE",
    "very huge": b"old " + b"9" * 5_000 + b"\n\nNOTE",
    "return": b"old 0\r\n\r\nNOTE",
    "zero byte": b"old 0\n\nNOTE\0",
    "no text": b"old 0\n\n\xff\xfe",
    "bad proof line": b"old 0\nnonsense!\n\nNOTE",
    "short proof line": b"old 0\nAAAA\n\nNOTE",
    "blank in proof line": b"old 0\n" + A_HASH + b" \n\nNOTE",
    "64 proof lines": b"old 0\n" + (A_HASH + b"\n") * 64 + b"\nNOTE",
    "note without signatures": b"old 0\n\nmarketbot.test/x\n1\n" + A_HASH + b"\n",
    "note with a bad signature line": b"old 0\n\nmarketbot.test/x\n1\n" + A_HASH + b"\n\n- a AAAA\n",
    "note without an end": b"old 0\n\nNOTE-",
    "note without root": "old 0\n\nmarketbot.test/x\n1\n\n\u2014 x AAAA\n".encode(),
    "short root": f"old 0\n\nmarketbot.test/x\n1\nAAAA\n\n\u2014 x {'A' * 96}\n".encode(),
    "size with zero": f"old 0\n\nmarketbot.test/x\n01\n{A_HASH.decode()}\n\n\u2014 x {'A' * 96}\n".encode(),
    "size in words": f"old 0\n\nmarketbot.test/x\none\n{A_HASH.decode()}\n\n\u2014 x {'A' * 96}\n".encode(),
    "size of 5000 digits": f"old 0\n\nm\n{'9' * 5_000}\n{A_HASH.decode()}\n\n\u2014 x {'A' * 96}\n".encode(),
    "size of 2**63": f"old 0\n\nm\n{2**63}\n{A_HASH.decode()}\n\n\u2014 x {'A' * 96}\n".encode(),
}


@pytest.mark.parametrize("name", BODIES)
def test_malformed_requests_are_400(busy: WitnessProcess, ours: Log, name: str) -> None:
    """Anything but the exact form is refused as malformed, and changes nothing."""
    note = ours.note(3).encode()
    body = BODIES[name].replace(b"NOTE-", note[:-1]).replace(b"NOTE", note)
    assert busy.ask("POST", "/add-checkpoint", body)[0] == 400
    assert busy.last(ours.vkey.name)[0] == 404


def test_bad_proofs_are_422(busy: WitnessProcess, ours: Log) -> None:
    """A proof with a hash missing, added or altered, one that should be empty, and a size of zero with a root."""
    assert busy.add(0, [b"x" * 32], ours.note(7))[0] == 422
    busy.add(0, [], ours.note(7))
    proof = ours.proof(7, 20)
    for wrong in ([], proof[:-1], [*proof, b"x" * 32], [b"x" * 32, *proof[1:]], proof[::-1], ours.proof(6, 20)):
        assert busy.add(7, wrong, ours.note(20))[0] == 422
    assert busy.add(7, [b"x" * 32], ours.note(7))[0] == 422
    assert busy.add(7, [b"x" * 32] * 63, ours.note(20))[0] == 422


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/add-checkpoint", 404),
        ("GET", "/checkpoint/", 404),
        ("GET", "/checkpoint/../key", 404),
        ("GET", "/checkpoint/" + "Z" * 64, 404),
        ("GET", "/checkpoint/" + "a" * 63, 404),
        ("POST", "/", 404),
        ("POST", "/add-checkpoint/", 404),
        ("PUT", "/add-checkpoint", 501),
        ("DELETE", "/checkpoint/" + "a" * 64, 501),
    ],
)
def test_other_doors_are_shut(busy: WitnessProcess, method: str, path: str, status: int) -> None:
    """Two paths, two methods; no file of the state is reached by any."""
    found, _, body = busy.ask(method, path, b"x" if method == "POST" else None)
    assert found == status
    assert "PRIVATE" not in body


def test_long_requests_are_refused_before_they_are_read(busy: WitnessProcess) -> None:
    """A bound on the size; a body without a length is not waited for."""
    for head, status in (
        (b"Content-Length: 99999999999\r\n", 413),
        (b"Content-Length: 262145\r\n", 413),
        (b"Content-Length: -1\r\n", 411),
        (b"", 411),
        (b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", 411),
    ):
        with socket.create_connection(("127.0.0.1", int(busy.address.rpartition(":")[2])), timeout=20) as door:
            door.sendall(b"POST /add-checkpoint HTTP/1.1\r\nHost: w\r\n" + head + b"\r\n")
            assert door.recv(64).startswith(b"HTTP/1.1 %d " % status)


def test_a_connection_stays_open_for_more(busy: WitnessProcess, ours: Log) -> None:
    """Keep-alive: several steps over one connection, refused ones between."""
    door = busy.connect()
    for old, size, status in ((0, 2, 200), (0, 3, 409), (2, 3, 200)):
        door.request("POST", "/add-checkpoint", request(old, ours.proof(old, size), ours.note(size)))
        answer = door.getresponse()
        assert answer.status == status
        answer.read()
    door.close()


def test_the_same_step_from_eight_threads_is_made_once(busy: WitnessProcess, ours: Log) -> None:
    """Exactly one advance from each size; all others hear of the conflict, or cosign the same head again."""
    busy.add(0, [], ours.note(1))
    for old, new in ((1, 9), (9, 10), (10, 31)):
        with ThreadPoolExecutor(8) as pool:
            said = list(pool.map(lambda _, o=old, n=new: busy.add(o, ours.proof(o, n), ours.note(n)), range(8)))
        assert sorted(status for status, _, _ in said) == [200] + [409] * 7
        assert {body for status, _, body in said if status == 409} == {f"{new}\n"}


def test_different_steps_from_eight_threads_never_roll_back(busy: WitnessProcess, ours: Log) -> None:
    """Eight larger heads from one size at once: one is cosigned, and it is the one that is shown."""
    busy.add(0, [], ours.note(5))
    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(lambda size: (size, busy.add(5, ours.proof(5, size), ours.note(size))), range(20, 28)))
    (won,) = [size for size, (status, _, _) in said if status == 200]
    assert {(kind, body) for _, (status, kind, body) in said if status == 409} == {(SIZE, f"{won}\n")}
    assert busy.last(ours.vkey.name)[2].startswith(ours.note(won))


def test_a_killed_witness_remembers(tmp_path: Path) -> None:
    """kill -9 after each answer, sometimes during one: what was cosigned is never taken back, nor cosigned otherwise."""
    ours = log()
    second = forked(ours, 1)
    witness = WitnessProcess(tmp_path / "state", ours.vkey.text)
    with witness:
        old = 0
        for size in (3, 9, 20):
            if size == 9:  # this time nobody waits for the answer
                door = witness.connect()
                door.request("POST", "/add-checkpoint", request(old, ours.proof(old, size), ours.note(size)))
                witness.kill()
                door.close()
            else:
                assert witness.add(old, ours.proof(old, size), ours.note(size))[0] == 200
                witness.kill()
            witness.start()
            found = witness.last()
            kept = int(found[2].split("\n")[1])
            assert kept in (old, size)
            assert witness.add(kept, second.proof(kept, 30), second.note(30))[0] == 422
            old = kept
        assert old == 20
        assert witness.stop() == 0


def test_it_stops_cleanly_and_goes_on_with_the_same_key(tmp_path: Path) -> None:
    """SIGTERM and SIGINT end it with exit 0; the key is made once; folder and key are closed to others."""
    ours = log()
    with WitnessProcess(tmp_path / "state", ours.vkey.text) as witness:
        first = witness.vkey
        assert (witness.state / "vkey").read_text() == f"{first}\n"
        assert stat.S_IMODE(witness.state.stat().st_mode) == 0o700
        assert stat.S_IMODE((witness.state / "key").stat().st_mode) == 0o600
        idle = witness.connect()
        idle.connect()
        assert witness.stop() == 0
        idle.close()
        witness.start()
        assert witness.vkey == first
        witness.process.send_signal(signal.SIGINT)
        witness.process.communicate(timeout=15)
        assert witness.process.returncode == 0
        assert "Traceback" not in witness.said


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "marketbot_assets.cli", "witness", *words],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"PATH": os.defpath, "HOME": "/nonexistent"},
        timeout=30,
        check=False,
    )


FIXED = SignKey(ORIGIN, ED25519, bytes(32))
VKEY, WITNESS_VKEY = FIXED.public.text, SignKey("w", COSIGNATURE_V1, bytes(32)).public.text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "Missing option '--state'"),
        (("--state", "STATE"), "public key of at least one log"),
        (("--state", "STATE", "--log", "nonsense"), "--log, line 1: note: expected a public key"),
        (("--state", "STATE", "--log", VKEY[:-2] + "A="), "--log, line 1"),
        (("--state", "STATE", "--log", WITNESS_VKEY), "expected the key of a log"),
        (("--state", "STATE", "--log", VKEY, "--listen", "8087"), "expected --listen like 127.0.0.1:8087"),
        (("--state", "STATE", "--log", VKEY, "--listen", "127.0.0.1:99999"), "expected --listen"),
        (("--state", "STATE", "--log", VKEY, "--listen", "127.0.0.1:x"), "expected --listen"),
        (("--state", "STATE", "--log", VKEY, "--listen", "192.0.2.1:1"), "expected to listen on 192.0.2.1:1"),
        (("--state", "STATE", "--log", VKEY, "--name", "two words"), "expected a name"),
        (("--state", "/dev/null/x", "--log", VKEY), "expected to create /dev/null/x"),
        (("--state", "WIDE", "--log", VKEY), "found 0755; chmod 700 it"),
    ],
)
def test_wrong_input_is_one_line_and_exit_2(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    """Whatever is wrong at the start is said in one clear line; nothing is served."""
    (tmp_path / "wide").mkdir()
    (tmp_path / "wide").chmod(0o755)
    places = {"STATE": str(tmp_path / "state"), "WIDE": str(tmp_path / "wide")}
    done = command(*(places.get(word, word) for word in words))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("marketbot: ")
    assert said in done.stderr


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("key", "nonsense\n", "key is damaged; restore it"),
        ("key", FIXED.text, "found that of a log"),
        ("key", None, "found only its public half; restore it"),
        ("logs", "nonsense\n", "logs, line 1"),
    ],
)
def test_damaged_state_is_one_line_and_exit_2(tmp_path: Path, name: str, content: str | None, said: str) -> None:
    """A witness with another key than before is another witness: it does not start in silence."""
    with WitnessProcess(tmp_path / "state", VKEY) as witness:
        witness.stop()
    path = tmp_path / "state" / name
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    done = command("--state", str(tmp_path / "state"), "--log", VKEY)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert said in done.stderr
    assert "PRIVATE" not in done.stderr


def test_a_folder_has_one_witness(tmp_path: Path) -> None:
    """A second process with the same state would cosign from the same old head."""
    with WitnessProcess(tmp_path / "state", VKEY):
        done = command("--state", str(tmp_path / "state"), "--log", VKEY)
    assert done.returncode == 2
    assert "in use by a process" in done.stderr


def test_a_damaged_head_is_not_a_fresh_start(tmp_path: Path) -> None:
    """A note that the witness did not cosign, or a broken list of logs: 500, and its operator reads why."""
    ours = log()
    with WitnessProcess(tmp_path / "state", ours.vkey.text) as witness:
        witness.add(0, [], ours.note(5))
        (path,) = witness.state.glob("*.note")
        good = path.read_text()
        path.write_text(ours.note(5))
        assert witness.add(5, ours.proof(5, 9), ours.note(9))[0] == 500
        assert witness.comes_to_say("is damaged; restore it"), witness.said
        path.write_text(good)
        (witness.state / "logs").write_text("nonsense\n")
        assert witness.add(5, ours.proof(5, 9), ours.note(9))[0] == 500
        (witness.state / "logs").write_text("# none\n\n")
        assert witness.add(5, ours.proof(5, 9), ours.note(9))[0] == 200


def test_people_read_who_it_is_and_where(tmp_path: Path) -> None:
    """Without --json: three lines."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "marketbot_assets.cli", "witness", "--state", str(tmp_path / "s")),
            *("--log", VKEY, "--listen", "127.0.0.1:0", "--name", "witness.test/w1"),
        ],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={"PATH": os.defpath},
    )
    assert process.stdout
    lines = [process.stdout.readline() for _ in range(3)]
    process.terminate()
    assert process.communicate(timeout=15)[0] == ""
    assert process.returncode == 0
    assert lines[0].startswith("witness witness.test/w1+")
    assert lines[1].startswith("on      http://127.0.0.1:")
    assert lines[2] == f"for     {ORIGIN}\n"
