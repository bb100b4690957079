"""What the audit must see: code that runs at every start, keys in tree and history, licences, a service that does not answer."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
import audit
import licences

KEYS = (
    "AKIA" + "ABCDEFGHIJKLMNOP",
    "gh" + "p_" + "a1" * 18,
    "xox" + "b-1234567890-abcdefghij",
    "https://hooks.slack" + ".com/services/T00000000/B00000000/" + "a" * 24,
    "sk-" + "ant-" + "a1b2c3d4e5f6g7h8i9j0",
    "-----BEGIN " + "OPENSSH PRIVATE KEY-----",
    "py" + "pi-" + "A" * 60,
    "eyJ" + "hbGciOiJIUzI1" + ".eyJ" + "zdWIiOiIxMjM0" + ".abc",
)
ORDINARY = (
    "mb1-wwgld2qc5jefjihrpwanuj2uhe",
    hashlib.sha256(b"a file").hexdigest(),
    "risk-aversion-and-its-many-consequences",
    "the header says: task-1234567890123456789012",
)


@pytest.mark.parametrize("key", KEYS, ids=range(len(KEYS)))
def test_a_key_is_found_and_not_printed(key: str) -> None:
    """Its place is told and its first letters; a log of the check must not spread it."""
    found = list(audit.judged("tree", [("deploy/notes.md", f"key: {key} ")], {}))
    assert len(found) == 1
    assert "deploy/notes.md" in found[0]
    assert key not in found[0]


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_words_are_no_keys(text: str) -> None:
    """Ids and hashes of ours fill the tree."""
    assert list(audit.judged("tree", [("docs/why.md", text)], {})) == []


def test_a_known_fake_counts_in_its_place_alone() -> None:
    """The same words beside the product are a finding."""
    digest = hashlib.sha256(KEYS[0].encode()).hexdigest()[:16]
    lines = [("tests/a.py", KEYS[0]), ("deploy/a.py", KEYS[0])]
    assert [line.split(": ")[1] for line in audit.judged("tree", lines, {digest: "tests/"})] == ["deploy/a.py"]


def test_a_key_that_was_removed_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was once committed is public for good."""

    def git(*words: str) -> None:
        who = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
        subprocess.run(["git", *who, *words], cwd=tmp_path, check=True, capture_output=True)

    git("init")
    file = tmp_path / "settings.py"
    file.write_text(f"KEY = '{KEYS[1]}'\n", encoding="utf-8")
    git("add", "settings.py")
    git("commit", "-m", "one")
    file.write_text("KEY = ''\n", encoding="utf-8")
    git("commit", "-am", "two")
    monkeypatch.setattr(audit, "ROOT", tmp_path)
    found = audit.secrets({})
    assert [line.split(":")[0] for line in found] == ["history"]


def test_start_up_files(tmp_path: Path) -> None:
    """An unknown file, a known one with other content, and code by Python's own hooks are findings; a known one is none."""
    (tmp_path / "known.pth").write_bytes(b"import known")
    known = {"known.pth": {"sha256": hashlib.sha256(b"import known").hexdigest(), "reason": "ours"}}
    assert audit.start_up(tmp_path, known) == []
    (tmp_path / "known.pth").write_bytes(b"import known; import more")
    (tmp_path / "new.pth").write_bytes(b"import new")
    (tmp_path / "sitecustomize.py").write_bytes(b"")
    found = audit.start_up(tmp_path, known)
    assert [Path(line.split(":")[0]).name for line in found] == ["known.pth", "new.pth", "sitecustomize.py"]


def project(folder: Path, *locked: str) -> Path:
    """A project whose product needs tqdm, whose development needs psycopg, with these lines in its lock."""
    text = '[project]\ndependencies = ["tqdm"]\n[project.optional-dependencies]\ndev = ["psycopg"]\n'
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")
    (folder / "requirements.lock").write_text("".join(f"{line} \\\n" for line in locked), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("name", "said", "named", "words"),
    [
        ("tqdm", "MIT", {}, None),
        ("tqdm", "GPL-3.0-only", {"tqdm": "GPL-3.0-only: no reason helps"}, "must not be part of the product"),
        ("tqdm", "GNU Affero General Public License v3", {}, "must not be part of the product"),
        ("tqdm", "GPL-2.0-or-later OR MIT", {}, "must not be part of the product"),
        ("psycopg", "GPL-3.0-only", {}, None),
        ("tqdm", "LGPL-3.0-only", {}, "needs a reason"),
        ("tqdm", "LGPL-3.0-only", {"tqdm": "LGPL-3.0-only: unchanged"}, None),
        ("tqdm", "LGPL-3.0-only", {"tqdm": "MPL-2.0: unchanged"}, "needs a reason"),
        ("no-such-package-anywhere", "", {}, "no licence known"),
    ],
)
def test_licences(tmp_path: Path, name: str, said: str, named: dict[str, str], words: str | None) -> None:
    """The GPL is never part of the product; a reason counts for the licence that it names; unknown is a finding."""
    found = licences.findings_of(project(tmp_path, f"{name}==1.0"), {"licences": {name: said}, "named_licences": named})
    assert [words in line for line in found] == ([True] if words else [])


@pytest.mark.parametrize(
    ("answers", "code", "word"),
    [
        ([([], ["pydantic: not found"], "")], audit.NOT_CHECKED, "NOT CHECKED"),
        ([([], [], "no route to host")], audit.NOT_CHECKED, "NOT CHECKED"),
        ([([], [], ""), ([], [], "")], audit.CLEAN, "clean"),
        ([([], [], ""), ([], ["a: not found"], "")], audit.NOT_CHECKED, "NOT CHECKED for 1"),
        ([([], [], ""), (["a 1: CVE"], ["b: not found"], "")], audit.FOUND, "1 findings"),
    ],
    ids=["probe skipped", "probe failed", "all asked", "one skipped", "a hole"],
)
def test_silence_is_not_clean(
    answers: list, code: int, word: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """pip-audit says that nothing was found when nobody answered."""
    line = iter(answers)
    monkeypatch.setattr(audit, "ask_holes", lambda lock: next(line))
    assert audit.known_holes() == code
    assert word in capsys.readouterr().out
