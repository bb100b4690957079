"""A folder as an anchor: another disk, a share, a write-once medium. A note is a file that is written once and then read-only.

`<origin with / as _>/<size in 12 digits>.txt`, and `vkey` beside them; a later key is `vkey-<its id>`. The folder itself is the
operator's: it is never made here, so that a disk that is not mounted is noticed. It shows tampering, it does not prevent it.
"""

import os
import re
import tempfile
from pathlib import Path

from marketbot_resources.anchors.port import NOTE_BYTES_MAX, Proof, kept_note
from marketbot_resources.errors import AnchorError
from marketbot_resources.ledger.note import VerifyKey, open_checkpoint

READ_ONLY = 0o444
_NAME = re.compile(r"([0-9]{12})\.txt")


class FileAnchor:
    """Notes in one folder, which exists."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def name(self) -> str:
        return f"file:{self._folder}"

    def publish(self, note: str, key: VerifyKey, prove: Proof) -> str:
        head, folder = open_checkpoint(note, key), self._log(key)
        try:
            folder.mkdir(exist_ok=True)
            _put_once(folder / "vkey", f"{key.text}\n")
            if _text(folder / "vkey") != f"{key.text}\n":
                _put_once(folder / f"vkey-{key.key_id.hex()}", f"{key.text}\n")
            _put_once(folder / f"{head.size:012d}.txt", note)
            kept = _text(folder / f"{head.size:012d}.txt")
        except OSError as error:
            raise AnchorError(f"{self.name}: expected to write {folder}, found: {error.strerror}") from error
        return kept_note(kept, note, key, self.name)

    def notes(self, key: VerifyKey) -> list[str]:
        folder = self._log(key)
        try:
            found = sorted(folder.iterdir()) if folder.exists() else []
            return [_text(path) for path in found if _NAME.fullmatch(path.name)]
        except OSError as error:
            raise AnchorError(f"{self.name}: expected to read {folder}, found: {error.strerror}") from error

    def _log(self, key: VerifyKey) -> Path:
        """The log's own folder. Raises AnchorError when the anchor's is missing, or holds another log under the same name."""
        if not self._folder.is_dir():
            raise AnchorError(f"{self.name}: expected a folder, found none; mount or make it")
        if key.name.startswith(".") or "\0" in key.name:
            raise AnchorError(f"{self.name}: expected an origin that names a folder, found {key.name!r}")
        folder = self._folder / key.name.replace("/", "_")
        try:
            owner = _text(folder / "vkey") if (folder / "vkey").exists() else key.text
        except OSError as error:
            raise AnchorError(f"{self.name}: expected to read {folder}, found: {error.strerror}") from error
        if owner.partition("+")[0] != key.name:
            raise AnchorError(f"{self.name}: expected the log {key.name} in {folder}, found {owner[:80].strip()!r}")
        return folder


def _text(path: Path) -> str:
    """A file as text, cut at what a note can be; bytes that are no text are shown as such and fail every signature."""
    with path.open("rb") as file:
        return file.read(NOTE_BYTES_MAX).decode(errors="replace")


def _put_once(path: Path, text: str) -> None:
    """Writes a file durably, unless one is there."""
    if path.exists():
        return
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(handle)
            os.fchmod(handle, READ_ONLY)
        try:
            os.link(temporary, path)
        except FileExistsError:
            pass
    finally:
        os.unlink(temporary)
    for folder in (path.parent, path.parent.parent):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
