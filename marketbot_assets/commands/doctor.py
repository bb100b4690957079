"""What is missing in the set-up and how to mend it, and where the book stands: `doctor`, `status`."""

import os
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

from marketbot_assets.commands.home import existing_lake, load_mandate, writable_home
from marketbot_resources import settings
from marketbot_resources.errors import MarketbotError
from marketbot_resources.halt import HaltSwitch
from marketbot_resources.ledger.examine import first_fault
from marketbot_resources.ledger.opening import existing_ledger
from marketbot_resources.redaction import redactor
from marketbot_resources.sessions import book_open

SUPPORTED = ((3, 11), (3, 14))


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    name: str
    good: bool
    found: str
    mend: str


def examine() -> list[Finding]:
    """Every finding, good or not."""
    return [_python(), _mandate(), _home(), _instance(), _packages(), _book(), _ledger(), _halt()]


def _python() -> Finding:
    good = SUPPORTED[0] <= sys.version_info[:2] <= SUPPORTED[1]
    return Finding("python", good, platform.python_version(), "use Python 3.11 to 3.14: make install PYTHON=python3.11")


def _attempt(name: str, look: Callable[[], str], mend: str) -> Finding:
    try:
        return Finding(name, True, look(), "")
    except MarketbotError as error:
        return Finding(name, False, redactor().text(str(error)), mend)


def _mandate() -> Finding:
    path = settings.mandate_path()
    return _attempt(
        "mandate", lambda: f"{path} ({load_mandate().sha256[:12]})", f"mend the key that the line names in {path}"
    )


def _home() -> Finding:
    return _attempt("home", lambda: str(writable_home()), "make the folder writable or set MARKETBOT_HOME")


def _instance() -> Finding:
    folder = os.environ.get("DAGSTER_HOME", "")
    good = bool(folder)
    return Finding(
        "dagster instance", good, folder or "temporary: nothing is kept", "export DAGSTER_HOME=<checkout>/dagster_home"
    )


def _packages() -> Finding:
    missing = [name for name in ("skfolio", "currency_converter", "arch") if find_spec(name) is None]
    return Finding(
        "sample data packages", not missing, ", ".join(missing) + " missing" if missing else "installed", "make install"
    )


def _has_book() -> bool:
    return (settings.home() / "index.sqlite").exists()


def _book() -> Finding:
    def look() -> str:
        if not _has_book():
            return "nothing was run yet"
        opened = book_open(existing_lake().ledger)
        return f"opened with session {opened.session}" if opened else "not opened yet"

    return _attempt("book", look, "run `marketbot run`")


def _ledger() -> Finding:
    def look() -> str:
        ledger = existing_ledger(settings.home())
        if ledger is None:
            return "nothing was run yet"
        problem = first_fault(ledger)
        if problem:
            raise MarketbotError(problem)
        size, root = ledger.head()
        return f"{size} entries, root {root[:12]}, chain whole"

    mend = "restore the ledger from its backup; it is never repaired"
    return _attempt(
        "ledger", look, mend if settings.ledger_url() is None else f"start the database; if it runs, {mend}"
    )


def _halt() -> Finding:
    flag = HaltSwitch(settings.home()).read()
    return Finding(
        "halt flag",
        flag.status == "off",
        f"{flag.status} {flag.reason}".strip(),
        "find out why, then: marketbot resume --reason TEXT",
    )
