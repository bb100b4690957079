"""Whether a part of a home is a file in it or a database that a variable names; a home keeps what it began with.

Another place would know nothing of what was done. Not here: the parts themselves (`ledger.opening`, `store.index_opening`).
"""

from pathlib import Path

from marketbot_resources.errors import HomeError


def refuse_another(name: str, variable: str, url: str | None, file: Path, mark: Path) -> None:
    """Raises HomeError when the home began with the other one. `mark`: the file that says which database it began with."""
    if url is None and mark.exists():
        raise HomeError(
            f"{name}: expected {variable}, because this home's {name} is in {_kept(mark)}, found none; "
            "set it, or MARKETBOT_HOME to a new folder"
        )
    if url is not None and file.exists():
        raise HomeError(
            f"{name}: expected no {variable}, because this home's {name} is {file}, found one; "
            "unset it, or set MARKETBOT_HOME to a new folder"
        )


def note_database(mark: Path, where: str) -> None:
    """Writes down once which database a home began with. Raises HomeError."""
    if mark.exists():
        return
    try:
        mark.write_text(f"{where}\n", encoding="utf-8")
    except OSError as error:
        raise HomeError(f"home: expected to write {mark}, found: {error.strerror}") from error


def _kept(mark: Path) -> str:
    try:
        return mark.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return "a database"
