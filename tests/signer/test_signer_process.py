"""The signer as its own process: it signs what continues its own last head and refuses everything else (A6, A10, F47)."""

import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from signer_world import ORIGIN, Home, fields, naive_root, request, sign_line, signers

from marketbot_resources import settings
from marketbot_resources.errors import HomeError, SignerConflict, SignerRefused
from marketbot_resources.ledger.merkle import consistency_proof
from marketbot_resources.ledger.note import Checkpoint, parse_sign_key
from marketbot_resources.signer import Signer, SignerProcess, serve_one


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    home.signer.create(ORIGIN)
    return home


def test_growth_is_signed_and_a_stranger_can_check_it(home: Home) -> None:
    """Each growing head is signed by the key of the vkey, with the root that the entries have."""
    vkey = (home.state / "vkey").read_text().split()
    for count in (1, 1, 3, 0, 7):
        home.grow(count)
        note = home.sign()
        leaves = [row.leaf for row in home.ledger.rows()]
        assert fields(note) == (ORIGIN, len(leaves), naive_root(leaves))
        assert signers(note, vkey) == vkey
        assert home.signer.head() == note == (home.state / "head").read_text()


def test_before_create_there_is_no_key_and_no_head(tmp_path: Path) -> None:
    """A signer that was never created stands nowhere, and signs nothing."""
    home = Home(tmp_path)
    assert (home.signer.verify_keys(), home.signer.head()) == ([], None)
    with pytest.raises(SignerRefused, match="found: No such file"):
        home.sign()


def test_create_makes_one_key_once(home: Home) -> None:
    """Again, the same key; for another log, a refusal."""
    first = home.signer.verify_keys()
    assert [home.signer.create(ORIGIN)] == first == home.signer.verify_keys()
    with pytest.raises(SignerRefused, match=ORIGIN):
        home.signer.create("marketbot.test/other")


def test_an_empty_log_can_be_signed(home: Home) -> None:
    """The head of no entries has the empty root; what follows continues it."""
    assert fields(home.sign())[1:] == (0, naive_root([]))
    home.grow(2)
    assert fields(home.sign())[1] == 2


def rolled_back(home: Home) -> None:
    home.restore()
    home.grow(9, "other")


def truncated(home: Home) -> None:
    home.restore()


def rewritten(home: Home) -> None:
    home.restore()
    home.grow(4, "other")


def begun_anew(home: Home) -> None:
    (home.folder / "ledger.sqlite").unlink()
    home.reopen()
    home.grow(30, "other")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (rolled_back, "does not continue the 9 .*log was changed"),
        (truncated, "has signed 9 entries, the ledger has 5: entries are missing"),
        (rewritten, "equivocation.*another root for 9 entries"),
        (begun_anew, "does not continue the 9 .*log was changed"),
    ],
)
def test_another_history_is_refused(home: Home, change: Callable[[Home], None], said: str) -> None:
    """F47: a ledger restored from yesterday's copy, cut, rewritten or begun anew gets no signature; the head stays."""
    home.grow(5)
    home.back_up()
    home.grow(4)
    kept = home.sign()
    change(home)
    with pytest.raises(SignerRefused, match=said):
        home.sign()
    assert home.signer.head() == kept


def test_the_same_head_again_is_the_stored_note(home: Home) -> None:
    """A lost answer costs nothing: the note is the same, byte for byte, whatever proof comes with it."""
    home.grow(3)
    head, note = home.checkpoint(), home.sign()
    assert home.sign() == note
    assert request(home.state, sign_line(0, head, []))[1]["note"] == note
    assert request(home.state, sign_line(2, head, [b"x" * 32]))[1]["note"] == note


def test_a_caller_with_an_old_view_learns_the_size(home: Home) -> None:
    """A proof from another size than the head's is a conflict that names the head's; the client tries once more."""
    home.grow(8)
    home.sign(3)
    code, answer, _, _ = request(home.state, sign_line(2, home.checkpoint(), []))
    assert (code, answer["ok"], answer["conflict"]) == (1, False, 3)

    asked: list[int] = []
    head = home.checkpoint(7)

    def prove(old: int) -> list[bytes]:
        if not asked:  # another process signs while this one works out its proof
            home.sign(5)
        asked.append(old)
        return consistency_proof(old, head.size, home.ledger.node)

    assert fields(home.signer.sign(head, prove))[1] == 7
    assert asked == [3, 5]


def test_a_caller_that_is_overtaken_twice_gives_up(home: Home) -> None:
    """One retry, not a loop."""
    home.grow(9)
    asked: list[int] = []
    head = home.checkpoint()

    def prove(old: int) -> list[bytes]:
        asked.append(old)
        home.sign(2 * len(asked))
        return consistency_proof(old, head.size, home.ledger.node)

    with pytest.raises(SignerConflict):
        home.signer.sign(head, prove)
    assert asked == [0, 2]


def test_another_log_is_refused(home: Home) -> None:
    """A signer signs one log."""
    with pytest.raises(SignerRefused, match="expected the log"):
        home.signer.sign(Checkpoint("marketbot.test/other", 0, naive_root([])), lambda old: [])


def test_a_new_key_signs_one_head_beside_the_old_one(home: Home) -> None:
    """A10: before, the old key; then both; then the new one alone. All public keys stay listed, newest first."""
    home.grow(1)
    (old,) = home.signer.verify_keys()
    before = home.sign()
    new = home.signer.rotate()
    vkeys = [new.text, old.text]
    assert home.signer.verify_keys() == [new, old]
    assert (home.state / "vkey").read_text().split() == vkeys
    assert home.sign() == before, "one size has one note"
    with pytest.raises(SignerRefused, match="sign first"):
        home.signer.rotate()
    home.grow(1)
    assert signers(home.sign(), vkeys) == [new.text, old.text]
    home.grow(1)
    assert signers(home.sign(), vkeys) == [new.text]
    assert len((home.state / "key").read_text().splitlines()) == 1
    third = home.signer.rotate()
    assert home.signer.verify_keys() == [third, new, old]


def test_rotation_before_the_first_head(home: Home) -> None:
    """The first head may carry both keys."""
    new = home.signer.rotate()
    home.grow(1)
    assert len(signers(home.sign(), [key.text for key in home.signer.verify_keys()])) == 2
    assert home.signer.verify_keys()[0] == new


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        (("head",), "no head of its own in .*restore"),
        (("key",), "no key in .*restore"),
        (("key", "vkey"), "no key in .*restore"),
        (("head", "vkey"), "no head of its own"),
    ],
)
def test_lost_state_is_never_a_fresh_start(home: Home, lost: tuple[str, ...], said: str) -> None:
    """Whoever deletes a file cannot make the signer forget what it has signed, nor replace its key in silence."""
    home.grow(3)
    home.sign()
    for name in lost:
        (home.state / name).unlink()
    code, answer, _, _ = request(home.state, sign_line(0, home.checkpoint(), []))
    assert code == 1
    assert "note" not in answer
    with pytest.raises(SignerRefused, match=said):
        home.sign()
    with pytest.raises(SignerRefused, match=r"restore|no head of its own"):
        home.signer.create(ORIGIN)


def test_a_signer_without_a_head_signs_no_proof_from_a_size(home: Home) -> None:
    """A caller that believes in an earlier head, and a signer that knows of none: refused, not signed from nothing."""
    home.grow(4)
    proof = consistency_proof(2, 4, home.ledger.node)
    code, answer, _, _ = request(home.state, sign_line(2, home.checkpoint(), proof))
    assert code == 1
    assert answer["error"].startswith("signer: no head of its own")
    assert "conflict" not in answer


def test_a_missing_list_of_public_keys_is_made_again(home: Home) -> None:
    """The public key follows from the private one; older ones are lost with the list."""
    keys = home.signer.verify_keys()
    (home.state / "vkey").unlink()
    assert home.signer.verify_keys() == keys
    assert (home.state / "vkey").read_text() == f"{keys[0].text}\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("key", "nonsense\n"),
        ("key", ""),
        ("vkey", "nonsense\n"),
        ("head", "nonsense"),
        ("head", f"{ORIGIN}\n3\nAAAA\n\n\u2014 {ORIGIN} AAAA\n"),
        ("key", b"\xff\xfe"),
    ],
)
def test_damaged_state_is_refused_in_one_line(home: Home, name: str, content: str | bytes) -> None:
    """A damaged file is said, never mended and never a traceback."""
    (home.state / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    code, answer, _, stderr = request(home.state, b'{"op": "head"}\n')
    assert (code, answer["ok"], stderr) == (1, False, b"")
    assert str(home.state) in answer["error"]
    assert "\n" not in answer["error"]


def test_a_head_of_another_key_is_refused(home: Home, tmp_path: Path) -> None:
    """A head that someone else signed does not become the signer's own."""
    (tmp_path / "other").mkdir()
    other = Home(tmp_path / "other")
    other.signer.create(ORIGIN)
    other.grow(2, "other")
    (home.state / "head").write_text(other.sign())
    with pytest.raises(SignerRefused, match="its own signature"):
        home.signer.head()


def test_a_thief_without_the_key_signs_nothing(home: Home, tmp_path: Path) -> None:
    """A copy of all but the key is no signer; with a key of his own it is one that the real head betrays."""
    home.grow(3)
    home.sign()
    stolen = tmp_path / "stolen"
    shutil.copytree(home.state, stolen, ignore=shutil.ignore_patterns("key"))
    thief = SignerProcess(stolen)
    with pytest.raises(SignerRefused, match="no key"):
        thief.sign(home.checkpoint(), lambda old: [])
    with pytest.raises(SignerRefused, match="restore it"):
        thief.create(ORIGIN)
    own = tmp_path / "own"
    Signer(own).create(ORIGIN)
    shutil.copyfile(own / "key", stolen / "key")
    (stolen / "key").chmod(0o600)
    with pytest.raises(SignerRefused, match="its own signature"):
        thief.head()


@pytest.mark.parametrize(("name", "mode"), [("", 0o755), ("", 0o710), ("key", 0o644), ("key", 0o640), ("key", 0o604)])
def test_wide_modes_are_refused(home: Home, name: str, mode: int) -> None:
    """S2: a key that others can read is no key. One line says the file, its mode and what to do."""
    path = home.state / name
    path.chmod(mode)
    with pytest.raises(SignerRefused, match=rf"{path}.* with mode 0[67]00, found {mode:04o}; chmod"):
        home.signer.head()
    path.chmod(0o700 if path == home.state else 0o600)
    assert home.signer.verify_keys()


def test_what_is_made_is_closed_to_others(home: Home) -> None:
    """S2: folder 0700, every file 0600, whatever the umask."""
    assert stat.S_IMODE(home.state.stat().st_mode) == 0o700
    home.grow(1)
    home.sign()
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in home.state.iterdir()} == dict.fromkeys(
        ("head", "key", "vkey", "lock"), 0o600
    )


def test_create_does_not_close_a_wide_folder_in_silence(tmp_path: Path) -> None:
    """A folder that was open before may hold what others put there."""
    (tmp_path / "signer").mkdir(mode=0o755)
    (tmp_path / "signer").chmod(0o755)
    with pytest.raises(SignerRefused, match="found 0755"):
        SignerProcess(tmp_path / "signer").create(ORIGIN)
    assert list((tmp_path / "signer").iterdir()) == []


HASH = "A" * 43 + "="
MALFORMED = [
    b"",
    b"\n",
    b"nonsense\n",
    b"[]\n",
    b"null\n",
    b"{}\n",
    b'{"op": "sing"}\n',
    b'{"op": ["head"]}\n',
    b'{"op": "head", "more": 1}\n',
    b'{"op": "create"}\n',
    b'{"op": "create", "origin": 5}\n',
    b'{"op": "create", "origin": ""}\n',
    b'{"op": "create", "origin": "two words"}\n',
    b'{"op": "create", "origin": "a+b"}\n',
    b'{"op": "create", "origin": "a\\nb"}\n',
    b'{"op": "create", "origin": "a\\u0000b"}\n',
    b'{"op": "create", "origin": "\\ud800"}\n',
    b'{"op": "create", "origin": "' + b"x" * 300 + b'"}\n',
    b"\xff\xfe\n",
    b"[" * 16_000,
    b'{"op": "head"' + b" " * 20_000 + b"}\n",
    b'{"op": "sign", "origin": "o", "size": ' + b"9" * 5_000 + b"}\n",
]


def _sign(**changes: object) -> bytes:
    asked: dict[str, object] = {"op": "sign", "origin": ORIGIN, "size": 1, "root": HASH, "old_size": 0, "proof": []}
    return json.dumps(asked | changes).encode() + b"\n"


MALFORMED += [
    _sign(size=-1),
    _sign(size=True),
    _sign(size=1.0),
    _sign(size="1"),
    _sign(size=2**63),
    _sign(size=None),
    _sign(old_size=-1),
    _sign(root="AAAA"),
    _sign(root=None),
    _sign(root=HASH + "\n"),
    _sign(root="*" * 44),
    _sign(proof="AAAA"),
    _sign(proof=[1]),
    _sign(proof=["AAAA"]),
    _sign(proof=[HASH] * 64),
    _sign(origin=f"{ORIGIN}\n9"),
    _sign(extra=1),
]


@pytest.mark.parametrize("line", MALFORMED, ids=[line[:60].decode(errors="replace").strip() for line in MALFORMED])
def test_malformed_requests_are_answered_in_json(tmp_path: Path, line: bytes) -> None:
    """Any input gets an answer that says what was expected, and creates nothing."""
    answer = serve_one(tmp_path / "signer", line)
    assert answer["ok"] is False
    assert str(answer["error"]).startswith(("signer: expected", "note: expected"))
    assert "\n" not in str(answer["error"])
    assert not (tmp_path / "signer" / "key").exists()


@pytest.mark.parametrize("line", [MALFORMED[0], MALFORMED[2], MALFORMED[18], MALFORMED[19], MALFORMED[20]])
def test_a_malformed_request_is_one_json_line_of_the_process(tmp_path: Path, line: bytes) -> None:
    """The same from outside: one line on stdout, nothing on stderr, exit 1."""
    code, answer, stdout, stderr = request(tmp_path / "signer", line)
    assert (code, answer["ok"], stderr, stdout.count(b"\n")) == (1, False, b"", 1)


@pytest.mark.parametrize("arguments", [("a", "b"), ("/dev/null/signer",), ("/proc/none/signer",), ("n" * 300,)])
def test_wrong_arguments_are_answered_in_json(arguments: tuple[str, ...]) -> None:
    """Also a folder that cannot be."""
    code, answer, _, stderr = request(Path("unused"), b'{"op": "create", "origin": "o"}\n', *arguments)
    assert (code, answer["ok"], stderr) == (1, False, b"")


def test_the_private_key_is_in_no_output(home: Home) -> None:
    """S2: no answer, no message and no object shown holds the seed or the key's text."""
    keys = [parse_sign_key(line) for line in (home.state / "key").read_text().splitlines()]
    spoken = b""
    home.grow(3)
    (home.state / "head").write_text("")
    for line in (
        b'{"op": "create", "origin": "%s"}' % ORIGIN.encode(),
        b'{"op": "head"}',
        sign_line(0, home.checkpoint(), []),
        sign_line(0, home.checkpoint(2), []),
        b'{"op": "rotate"}',
        b'{"op": "rotate"}',
        b"nonsense",
    ):
        _, _, stdout, stderr = request(home.state, line)
        spoken += stdout + stderr
    keys += [parse_sign_key(line) for line in (home.state / "key").read_text().splitlines()]
    (home.state / "key").write_text(keys[0].text[:-3] + "\n")
    _, _, stdout, stderr = request(home.state, b'{"op": "head"}')
    spoken += stdout + stderr + b"".join(repr(key).encode() for key in keys)
    assert len({key.seed for key in keys}) == 2
    for key in keys:
        secret = key.text.split("+", 4)[4].encode()
        assert secret[:-4] not in spoken
        assert key.seed not in spoken
        assert key.seed.hex().encode() not in spoken
        assert repr(key.seed)[2:-1].encode() not in spoken
    assert b"PRIVATE" not in spoken


def test_the_child_inherits_nothing_but_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """S2: a secret of the parent's environment does not reach the signer."""
    monkeypatch.setenv("MARKETBOT_BROKER_SECRET", "canary")
    script = "import json, os; print(json.dumps({'ok': False, 'error': ' '.join(sorted(os.environ))}))"
    with pytest.raises(SignerRefused) as refused:
        SignerProcess(tmp_path, [sys.executable, "-c", script]).head()
    assert set(str(refused.value).split()) <= {"PATH", "LC_CTYPE"}


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["/nowhere/python"], "expected to start /nowhere/python, found: No such file"),
        ([sys.executable, "-c", "import sys; sys.exit('sudo: a password is required')"], "found sudo: a password is"),
        ([sys.executable, "-c", "print('hello')"], "expected an answer, found nothing"),
        ([sys.executable, "-c", "print('{\"ok\": true}')"], "expected an answer"),
    ],
)
def test_a_signer_that_cannot_be_asked_is_one_line(tmp_path: Path, command: list[str], said: str) -> None:
    """The command line is the operator's; what goes wrong with it is said."""
    with pytest.raises(SignerRefused, match=said):
        SignerProcess(tmp_path, command).head()


def test_a_signer_that_hangs_is_ended(tmp_path: Path) -> None:
    """A bound on everything: no answer in time is a refusal."""
    with pytest.raises(SignerRefused, match=r"expected an answer in 0\.2 s"):
        SignerProcess(tmp_path, [sys.executable, "-c", "import time; time.sleep(60)"], seconds=0.2).head()


def test_a_signer_that_answers_another_note_is_not_believed(home: Home) -> None:
    """Whatever stands between, the client takes only its own checkpoint, signed."""
    home.grow(3)
    other = home.sign(2)
    vkeys = [key.text for key in home.signer.verify_keys()]
    head = json.dumps({"ok": True, "keys": vkeys, "size": None, "note": None})
    lie = json.dumps({"ok": True, "keys": vkeys, "size": 2, "note": other})
    script = f"import sys; print({lie!r} if 'proof' in sys.stdin.readline() else {head!r})"
    with pytest.raises(SignerRefused, match="expected this checkpoint signed"):
        SignerProcess(home.state, [sys.executable, "-c", script]).sign(home.checkpoint(), lambda old: [])


def test_the_child_loads_nothing_heavy(home: Home) -> None:
    """It is started for each request: no pandas, no dagster, no HTTP."""
    script = (
        "import sys; sys.argv = ['signer', sys.argv[1]]; from marketbot_resources.signer import main; code = main(sys.argv[1:]);"
        "print([m for m in ('pandas', 'numpy', 'pyarrow', 'dagster', 'pydantic', 'http', 'sqlite3', 'subprocess') "
        "if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(home.state)],
        input=b'{"op": "head"}\n',
        capture_output=True,
        check=True,
        cwd=settings.CHECKOUT,
    )
    assert done.stderr.strip() == b"[]"


def test_settings_say_where_the_signer_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its folder lies in the home until an operator moves it; the command line is split as a shell does."""
    monkeypatch.setenv("MARKETBOT_HOME", str(tmp_path))
    monkeypatch.delenv("MARKETBOT_SIGNER", raising=False)
    monkeypatch.delenv("MARKETBOT_SIGNER_COMMAND", raising=False)
    assert settings.signer_home() == tmp_path / "signer"
    assert settings.signer_command() is None
    monkeypatch.setenv("MARKETBOT_SIGNER", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("MARKETBOT_SIGNER_COMMAND", "sudo -n -u signer '/opt/my python' -m marketbot_resources.signer")
    assert settings.signer_home() == tmp_path / "elsewhere"
    assert settings.signer_command() == [
        "sudo", "-n", "-u", "signer", "/opt/my python", "-m", "marketbot_resources.signer",
    ]  # fmt: skip
    monkeypatch.setenv("MARKETBOT_SIGNER_COMMAND", "sudo '")
    with pytest.raises(HomeError, match="MARKETBOT_SIGNER_COMMAND"):
        settings.signer_command()


def test_two_processes_never_sign_from_the_same_old_head(home: Home) -> None:
    """Eight at once, all from the same head to different sizes: one is signed, the others are told its size."""
    home.grow(12)
    home.sign(2)
    lines = {
        size: sign_line(2, home.checkpoint(size), consistency_proof(2, size, home.ledger.node)) for size in range(4, 12)
    }
    running = {
        size: subprocess.Popen(
            [sys.executable, "-m", "marketbot_resources.signer", str(home.state)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=settings.CHECKOUT,
            env={"PATH": os.defpath},
        )
        for size in lines
    }
    answers = {size: json.loads(child.communicate(lines[size], timeout=30)[0]) for size, child in running.items()}
    signed = [size for size, answer in answers.items() if answer["ok"]]
    assert len(signed) == 1
    assert fields(str(home.signer.head()))[1] == signed[0]
    assert {a.get("conflict") for s, a in answers.items() if s > signed[0]} <= {signed[0]}
    assert all("note" not in answer for size, answer in answers.items() if size != signed[0])
