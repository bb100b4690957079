"""What is missing in the set-up and how to mend it, and where the book stands: `doctor`, `status`."""

import os
import platform
import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING

from marketbot_assets.commands.doctor_instance import instance_finding
from marketbot_assets.commands.doctor_pages import page_findings
from marketbot_assets.commands.finding import Finding
from marketbot_assets.commands.home import existing_lake, load_mandate, writable_home
from marketbot_assets.commands.live import standing
from marketbot_assets.commands.signer_ahead import signer_finding
from marketbot_resources import settings
from marketbot_resources.clock import machine_now
from marketbot_resources.errors import MarketbotError
from marketbot_resources.halt import FILE_SOURCE, OFF, combined
from marketbot_resources.halt_sources import open_halt
from marketbot_resources.ledger.examine import first_fault
from marketbot_resources.ledger.opening import existing_ledger
from marketbot_resources.live_permission import LIVE
from marketbot_resources.redaction import redactor
from marketbot_resources.sessions import book_open
from marketbot_resources.store.index_opening import has_index

if TYPE_CHECKING:
    from marketbot_resources.fetch.states import VendorState

SUPPORTED = ((3, 11), (3, 14))


def examine() -> list[Finding]:
    """Every finding, good or not."""
    return [
        _python(),
        _mandate(),
        _home(),
        instance_finding(),
        *_daemon(),
        _packages(),
        *_store(),
        *_vendors(),
        *_broker(),
        *_models(),
        _book(),
        _ledger(),
        signer_finding(),
        *_halt(),
        *page_findings(machine_now()),
        *_alerts(),
        _money(),
    ]


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


def _daemon() -> list[Finding]:
    """Whether two of Dagster's daemons were heard of in the last minute; nothing is said of an installation without one."""
    from dagster import DagsterError
    from sqlalchemy.exc import SQLAlchemyError

    from marketbot_assets.commands.home import instance
    from marketbot_assets.daemons import beats_of, lately
    from marketbot_resources.clock import machine_now

    if not os.environ.get("DAGSTER_HOME"):
        return []
    try:
        with instance() as dagster:
            ids = lately(beats_of(dagster), machine_now().timestamp())
    except (DagsterError, SQLAlchemyError, OSError) as error:
        return [Finding("dagster daemon", False, redactor().text(str(error)), "mend DAGSTER_HOME or its dagster.yaml")]
    if not ids:
        return []
    two = "stop one of them; if you have just restarted it, look again in a minute"
    return [Finding("dagster daemon", len(ids) == 1, f"heard in the last minute: {', '.join(ids)}", two)]


def _packages() -> Finding:
    missing = [name for name in ("skfolio", "currency_converter", "arch") if find_spec(name) is None]
    return Finding(
        "sample data packages", not missing, ", ".join(missing) + " missing" if missing else "installed", "make install"
    )


def _store() -> list[Finding]:
    """Whether the bucket of the store answers; nothing for a store in the home."""
    from itertools import islice

    from marketbot_resources.store.opening import open_objects

    address = settings.store_url()
    if address is None:
        return []

    def look() -> str:
        list(islice(open_objects(settings.home(), read_only=True).listing(), 1))
        return f"{address} answers"

    mend = "check the address, the AWS_ variables and the role's rights: docs/store.md"
    return [_attempt("store", look, mend)]


def _vendors() -> list[Finding]:
    """One finding per web service of the mandate: its keys, its breaker, and what it was asked today."""
    from marketbot_resources.fetch.policy import Policy
    from marketbot_resources.fetch.states import vendor_states
    from marketbot_resources.vendors import KEYS

    try:
        named = load_mandate().providers
    except MarketbotError:
        return []
    states = vendor_states(
        settings.home(),
        machine_now(),
        keys={name: KEYS[name] for name in named.vendors()},
        per_day=dict(named.daily_requests),
        rest=Policy().breaker_rest,
        variable=settings.variable,
    )
    return [_vendor(state) for state in states]


def _vendor(state: "VendorState") -> Finding:
    name = f"provider {state.provider}"
    if state.lacking:
        return Finding(name, False, f"{', '.join(state.lacking)} not set", f"export {state.lacking[0]}=...")
    if state.rests_until is not None:
        mend = "see the refusals on the pages of the raw assets; it is asked again by itself"
        return Finding(name, False, f"not asked until {state.rests_until:%Y-%m-%d %H:%M} UTC: it failed in a row", mend)
    limit = f" of {state.requests_per_day}" if state.requests_per_day else ""
    return Finding(name, True, f"{state.requests_today}{limit} requests today, breaker {state.breaker}", "")


def _broker() -> list[Finding]:
    """Whether a real broker answers for the mandate's account; it is asked for nothing but its state."""
    try:
        mandate = load_mandate()
    except MarketbotError:
        return []
    if mandate.broker.name == "paper":
        return []

    def look() -> str:
        from marketbot_resources.broker.opening import open_broker
        from marketbot_resources.wiring import Ports

        now = machine_now()
        report = open_broker(mandate, Ports(), settings.home()).report(now, now)
        told = f"{report.environment} money, {len(report.positions)} positions, {len(report.open_orders)} open orders"
        if report.broker_at is None:
            return f"{told}, no clock"
        apart = (report.broker_at - machine_now()).total_seconds()
        most = mandate.limits.clock_skew.hard_seconds
        if mandate.providers.clock == "live" and not abs(apart) <= most:
            raise MarketbotError(
                f"RC-83: expected a clock within {most:g} s of ours, found {apart:+.0f} s; set this machine's clock"
            )
        return f"{told}, clock {apart:+.0f} s from ours"

    return [
        _attempt(
            f"broker {mandate.broker.name}", look, "see the keys and the account in section broker: docs/brokers.md"
        )
    ]


def _models() -> list[Finding]:
    """What the mandate's language models need; none when it names none."""
    from marketbot_assets.commands.doctor_llm import llm_findings

    try:
        return llm_findings(load_mandate().llm, machine_now().date())
    except MarketbotError:
        return []


def _has_book() -> bool:
    return has_index(settings.home())


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


def _halt() -> list[Finding]:
    """The halt flag, then every source that it is made of."""
    switch = open_halt(settings.home())
    flags = switch.each()
    flag = combined(flags)
    mend = "find out why, then: marketbot resume --reason TEXT"
    found = [Finding("halt flag", flag.status == OFF, f"{flag.word} {flag.reason}".strip(), mend)]
    for name, own in flags:
        told = f"{own.word} {own.reason}".strip()
        mend = f"set it to off where it stands: {name}" if name != FILE_SOURCE else "marketbot resume --reason TEXT"
        found.append(Finding(f"halt {name}", own.status == OFF, told, mend))
    return found


def _alerts() -> list[Finding]:
    """Whether people would hear of an alert; nothing is sent."""
    from marketbot_assets.commands.alert_state import alert_findings
    from marketbot_resources.clock import machine_now

    try:
        lake = existing_lake() if _has_book() else None
        return alert_findings(lake, load_mandate().notification, machine_now())
    except MarketbotError as error:
        return [Finding("alerts", False, redactor().text(str(error)), "see the findings above")]


def _money() -> Finding:
    """Whose money the next session may move; a mandate of live money without permission is told."""
    name, mend = "money", "marketbot live show"
    try:
        mandate = load_mandate()
        if mandate.broker.environment != LIVE:
            return Finding(name, True, "paper", "")
        environment, why = standing(existing_lake(), mandate)
    except MarketbotError as error:
        return Finding(name, False, redactor().text(str(error)), mend)
    return Finding(name, environment == LIVE, f"{environment} {why}".strip(), mend)
