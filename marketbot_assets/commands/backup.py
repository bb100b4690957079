"""`backup`: a copy of an installation that was read again and verified; `restore`: into an empty place, halted.

A backup is a home in files whatever the databases are, so it is verified without a server, and it goes back into files or into
PostgreSQL by the writer's own right: no dump's version, no administrator's right to rewrite. Ledger first, then index, then the
rest: what is newer in the store hurts nobody. Not here: which files (`backup_files`).
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from marketbot_assets.commands.backup_files import (
    HOME,
    MANDATE,
    NOTE,
    check_sums,
    copy_index,
    copy_ledger,
    copy_other,
    copy_sqlite,
    move_index,
    others,
    write_sums,
)
from marketbot_assets.commands.backup_objects import few, refuse_without_objects, store_note
from marketbot_assets.commands.home import existing_lake
from marketbot_assets.commands.signer_ahead import signer_beyond
from marketbot_resources import settings
from marketbot_resources.clock import machine_now
from marketbot_resources.errors import HomeError, LedgerError, UsageError
from marketbot_resources.halt import FILE_NAME, OFF, HaltSwitch
from marketbot_resources.halt_sources import open_halt
from marketbot_resources.ledger.opening import FILE as LEDGER_FILE
from marketbot_resources.ledger.opening import open_ledger
from marketbot_resources.ledger.sqlite import SqliteLedger
from marketbot_resources.model import utc_text
from marketbot_resources.store.index_opening import FILE as INDEX_FILE
from marketbot_resources.store.index_opening import open_index
from marketbot_resources.store.index_sqlite import SqliteIndex

View = dict[str, object]
FORMAT = 1
VERIFY_SECONDS = 3_600
_ELSEWHERE = (  # what would lead the reader of a copy to the installation's own databases
    *("MARKETBOT_LEDGER", "MARKETBOT_INDEX", "MARKETBOT_HALT_PARAMETER"),
    *("MARKETBOT_SECRET_FILES", "MARKETBOT_SECRETS_SSM", "DAGSTER_HOME"),
)


def backup(to: str) -> View:
    """Copies the installation to a new folder and verifies the copy. `fine` False: take another one. Raises SetupError."""
    lake, folder = existing_lake(), Path(to).resolve()
    if folder.is_relative_to(lake.home):
        raise UsageError(f"--to: expected a folder outside of {lake.home}, found {folder}; a backup lies elsewhere")
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"--to: expected a new or empty folder, found {folder} with files in it")
    try:
        copy = folder / HOME
        copy.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        if settings.ledger_url() is None:
            copy_sqlite(lake.home / LEDGER_FILE, copy / LEDGER_FILE)
        else:
            copy_ledger(lake.ledger, copy)
        if settings.index_url() is None:
            copy_sqlite(lake.home / INDEX_FILE, copy / INDEX_FILE)
        else:
            copy_index(lake.index, copy)
        for path in others(lake.home, settings.signer_home()):
            copy_other(path, copy)
        shutil.copyfile(settings.mandate_path(), folder / MANDATE)
        size, root = SqliteLedger(copy / LEDGER_FILE, read_only=True).head()
        halted = open_halt(lake.home).read()
        note = {
            "format": FORMAT,
            "made_at": utc_text(machine_now()),
            "home": str(lake.home),
            "ledger": {"size": size, "root": root, "from": "SQLite" if settings.ledger_url() is None else "PostgreSQL"},
            "index": {"versions": SqliteIndex(copy / INDEX_FILE, read_only=True).size(), "from": lake.index.where},
            "store": store_note(copy, lake.objects),
            "halted": "" if halted.status == OFF else f"{halted.word} {halted.reason}".strip(),
            "not_in_it": ["the signer's key and head", "Dagster's runs", "the environment and its secrets"],
        }
        (folder / NOTE).write_text(json.dumps(note, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        files = write_sums(folder)
    except OSError as error:
        raise HomeError(f"backup: expected to write {folder}, found: {error.strerror or error}") from error
    problem = _gone(note["store"]) or _verified(folder)
    return {"fine": not problem, "problem": problem, "folder": str(folder), "files": files, **note}


def _gone(store: object) -> str:
    """That the bucket lacks objects, which no copy of index and ledger makes good; "" when it has all."""
    assert isinstance(store, dict)
    if not store["gone"]:
        return ""
    return f"{store['gone']} of {store['named']} objects are not in {store['place']}: {few(store['missing_there'])}"


def _verified(folder: Path) -> str:
    """Reads the copy again, in a process that knows nothing but the copy, the mandate and the signer; "" when it is whole."""
    environment = {name: value for name, value in os.environ.items() if name not in _ELSEWHERE}
    environment |= {
        "MARKETBOT_HOME": str(folder / HOME),
        "MARKETBOT_MANDATE": str(folder / MANDATE),
        "MARKETBOT_SIGNER": str(settings.signer_home()),
    }
    command = [sys.executable, "-m", "marketbot_assets.cli", "verify", "--json"]
    done = subprocess.run(
        command, env=environment, cwd=settings.CHECKOUT, capture_output=True, text=True, timeout=VERIFY_SECONDS
    )
    if done.returncode != 0:
        told = done.stderr.strip().splitlines()
        return told[-1] if told else "verify found it altered"
    check_sums(folder)
    return ""


def backup_lines(view: View) -> list[str]:
    """What was copied, whether it is good, and what it does not hold."""
    ledger, store = view["ledger"], view["store"]
    assert isinstance(ledger, dict)
    assert isinstance(store, dict)
    lines = [
        f"{view['files']} files in {view['folder']}",
        f"ledger: {ledger['size']} entries, root {ledger['root']}",
        "not in it: the signer's key and head (keep the key where the home is not), Dagster's runs, environment, secrets",
    ]
    if not store["in_it"]:
        lines.append(
            f"THE STORE'S OBJECTS ARE NOT IN IT: {store['named']} are named and lie in {store['place']} alone; keep a copy of that "
            "bucket, or `marketbot store copy --to home` before the backup, which then holds them, too"
        )
    return [*lines, f"NOT GOOD: {view['problem']}" if view["problem"] else "verified: the copy is whole"]


def restore(source: str) -> View:
    """Puts a backup into an empty home and the databases that the environment names, and halts it. Raises before it writes.

    A database may hold a beginning of the same ledger, from a restoration that was broken off. The signer is left as it is.
    """
    folder, home = Path(source).resolve(), settings.home()
    files = check_sums(folder)
    note = json.loads((folder / NOTE).read_text(encoding="utf-8"))
    if note["format"] != FORMAT:
        raise UsageError(f"{folder}: expected a backup of format {FORMAT}, found {note['format']}; use its marketbot")
    copy = folder / HOME
    home.mkdir(parents=True, exist_ok=True)
    there = [path.name for path in others(home, settings.signer_home())]
    there += [name for name in (LEDGER_FILE, INDEX_FILE) if (home / name).exists()]
    if there:
        raise UsageError(f"restore: expected nothing but a signer in {home}, found {there[0]}; set MARKETBOT_HOME")
    objects = refuse_without_objects(copy, note)
    why = f"restored from the backup of {note['made_at']}: marketbot verify, marketbot reconcile, then resume"
    try:
        HaltSwitch(home).set(why)  # first: whatever happens from here on, nothing is sent
        _put_ledger(copy, home)
        if settings.index_url() is None:
            shutil.copyfile(copy / INDEX_FILE, home / INDEX_FILE)
        else:
            index = open_index(home)
            move_index(SqliteIndex(copy / INDEX_FILE, read_only=True), index)
        for path in others(copy, settings.signer_home()):
            if path.name != FILE_NAME:
                copy_other(path, home)
    except OSError as error:
        raise HomeError(f"restore: expected to write {home}, found: {error.strerror or error}") from error
    signer = signer_beyond(open_ledger(home))
    return {
        "home": str(home),
        "files": files,
        "ledger": note["ledger"],
        "objects": objects,
        "halted": why,
        "signer": signer,
        "was": note["halted"],
    }


def _put_ledger(copy: Path, home: Path) -> None:
    if settings.ledger_url() is None:
        shutil.copyfile(copy / LEDGER_FILE, home / LEDGER_FILE)
        return
    source, ledger = SqliteLedger(copy / LEDGER_FILE, read_only=True), open_ledger(home)
    size = ledger.size()
    if size > source.size() or ledger.root(size) != source.root(size):
        raise LedgerError(
            f"restore: expected an empty ledger or a beginning of the backup's, found {size} entries of another one; "
            "make a new database"
        )
    ledger.take_over(source.rows(size))
    for of, note in source.checkpoints():
        ledger.keep_checkpoint(of, note)
    if ledger.head() != source.head():
        raise LedgerError("restore: expected the backup's root, found another one; make a new database")


def restore_lines(view: View) -> list[str]:
    """What stands where, and what a person has to do now."""
    ledger = view["ledger"]
    assert isinstance(ledger, dict)
    lines = [
        f"{view['files']} files checked; {ledger['size']} ledger entries, root {ledger['root']}, in {view['home']}",
        f"every object that they name is in {view['objects']}",
        "halted: nothing is sent before `marketbot verify`, `marketbot reconcile` and `marketbot resume`",
    ]
    lines += [f"the backup was of a halted home: {view['was']}"] if view["was"] else []
    return lines + (
        [f"THE SIGNER REFUSES THIS LEDGER: {view['signer']}; find the newer state"] if view["signer"] else []
    )
