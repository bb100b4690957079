"""Files that leave a home together: a folder or one .tar archive, put in place whole, with a list of their hashes.

The same contents give the same bytes. What lies at the target already is replaced only when it is a parcel of ours in which
nothing was changed. Not here: what goes in (`signed_files`), checking one (`auditor`).
"""

import ast
import hashlib
import io
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from marketbot_resources import auditor, auditor_log
from marketbot_resources.auditor import SUMS, sums_text
from marketbot_resources.auditor_log import SUMMARY
from marketbot_resources.errors import HomeError, UsageError

TAR = ".tar"
_FILE_MODE = 0o644


class Parcel(Protocol):
    """Takes files one by one."""

    def add(self, name: str, data: bytes) -> None:
        """Adds a file by its path inside of the parcel; the same path again is an error of the caller."""
        ...


@contextmanager
def parcel(target: Path, top: str) -> Iterator[Parcel]:
    """A parcel that stands at `target` when the block ends well, and leaves nothing when it does not.

    `top`: the folder inside of an archive. Raises UsageError for a target that is not ours to replace, HomeError when the
    disk refuses.
    """
    _check_target(target)
    beside = target.parent
    try:
        beside.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=beside, prefix=".parcel-") as working:
            made = Path(working) / target.name
            taker = _Archive(made, top) if target.suffix == TAR else _Folder(made)
            yield taker
            taker.close()
            if target.is_dir():
                shutil.rmtree(target)
            os.replace(made, target)
    except OSError as error:
        raise HomeError(f"expected to write {target}, found: {error.strerror}; choose another --out") from error


class _Taker:
    """Remembers the hash of every file; the list comes last."""

    def __init__(self) -> None:
        self._digests: dict[str, str] = {}

    def add(self, name: str, data: bytes) -> None:
        assert name not in self._digests, name
        self._digests[name] = hashlib.sha256(data).hexdigest()
        self.write(name, data)

    def close(self) -> None:
        self.write(SUMS, sums_text(self._digests).encode())

    def write(self, name: str, data: bytes) -> None:
        raise NotImplementedError


class _Folder(_Taker):
    def __init__(self, path: Path) -> None:
        super().__init__()
        path.mkdir()
        self._path = path

    def write(self, name: str, data: bytes) -> None:
        path = self._path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


class _Archive(_Taker):
    """Without owners, times and other traces of the machine."""

    def __init__(self, path: Path, top: str) -> None:
        super().__init__()
        self._tar, self._top = tarfile.open(path, "w", format=tarfile.PAX_FORMAT), top

    def write(self, name: str, data: bytes) -> None:
        member = tarfile.TarInfo(f"{self._top}/{name}")
        member.size, member.mode = len(data), _FILE_MODE
        self._tar.addfile(member, io.BytesIO(data))

    def close(self) -> None:
        super().close()
        self._tar.close()


def _check_target(target: Path) -> None:
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    if target.is_dir() and target.suffix != TAR and _is_untouched(target):
        return
    if target.is_file() and target.suffix == TAR and _is_archive(target):
        return
    raise UsageError(f"{target}: expected a new or empty place, found other files; choose another --out")


def _is_untouched(folder: Path) -> bool:
    """Whether everything in a folder is what we once put there."""
    if not (folder / SUMMARY).is_file() or not (folder / SUMS).is_file():
        return False
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    sums = files.pop(SUMS).read_bytes()
    digests = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}
    return sums == sums_text(digests).encode()


def _is_archive(path: Path) -> bool:
    if not tarfile.is_tarfile(path):
        return False
    with tarfile.open(path) as archive:
        return any(name.partition("/")[2] == SUMMARY for name in archive.getnames())


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """The folder that a parcel is: itself, or a temporary copy of an archive's files. Raises UsageError when it is neither."""
    if path.is_dir():
        yield path
        return
    if not path.is_file() or not tarfile.is_tarfile(path):
        raise UsageError(f"{path}: expected an export or a proof, a folder or a .tar archive, found neither")
    with tempfile.TemporaryDirectory(prefix="marketbot-") as working, tarfile.open(path) as archive:
        for member in archive:
            inside = Path(member.name.partition("/")[2])
            source = archive.extractfile(member) if member.isfile() else None
            if source is None or inside.is_absolute() or ".." in inside.parts:
                continue
            place = Path(working) / inside
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(source.read())
        yield Path(working)


def verifier_source() -> str:
    """The standalone verifier as one file: both of its modules, without the import of one by the other."""
    own, log = (Path(str(module.__file__)).read_text(encoding="utf-8") for module in (auditor, auditor_log))
    lines = own.splitlines(keepends=True)
    told, *rest = ast.parse(own).body
    ours = [node for node in rest if isinstance(node, ast.ImportFrom) and node.module == auditor_log.__name__]
    assert len(ours) == 1, "the verifier imports nothing of ours but its other half"
    first, last = ours[0].lineno - 1, ours[0].end_lineno
    head, body = lines[: told.end_lineno], lines[told.end_lineno : first] + lines[last:]
    return "".join(head) + "\n" + log + "".join(body)
