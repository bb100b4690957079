"""The register of breaches (RC-74): what is open, since when, by what cause, until when it must be cured, how its halt ends.

It travels from session to session in RISK_VERDICT rows: a session's verdict takes over the open ones, adds what its last round
answers and closes what is cured. Pure. Not here: what may be sent while a breach is open (`post_trade_controls`).
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from marketbot_assets.book.trading_state import RearmClass, may_rearm
from marketbot_assets.risk.control import ControlResult
from marketbot_assets.risk.inputs import ReconciliationBreak
from marketbot_assets.risk.operation_facts import Breach
from marketbot_resources.model import Status

BREACH = "BREACH"
ACTIVE, PASSIVE = "active", "passive"
PASSIVE_PREFIX = "passive"
# These carry their own state: the ladder and losses in the book, the flag in its file, RC-74 in this register.
OWN_STATE = frozenset({"RC-60", "RC-61", "RC-74", "RC-80"})
# A WARN of these is an incident; a WARN of another control is a note.
INCIDENTS = frozenset({"RC-65", "RC-68", "RC-69", "RC-70", "RC-73", "RC-89"})
# RC-31 has a cure deadline of its own.
DRIFTED = frozenset({"RC-31"})
CLASSES: Mapping[str, RearmClass] = {
    "RC-13": RearmClass.C,
    "RC-15": RearmClass.C,
    "RC-66": RearmClass.C,
    "RC-81": RearmClass.A,
    "RC-82": RearmClass.A,
    "RC-83": RearmClass.A,
    "RC-84": RearmClass.A,
}


@dataclass(frozen=True, slots=True)
class Register:
    """Breaches after a verdict, each sorted by control and key."""

    open: tuple[Breach, ...]
    closed: tuple[Breach, ...]


def class_of(result: ControlResult, breaks: Sequence[ReconciliationBreak]) -> RearmClass:
    """How a HALT of this answer ends. An answer without a number could not be computed: data were away, class A."""
    if result.observed is None:
        return RearmClass.A
    if result.control == "RC-67":
        shares = any(found.explained is not True and not found.subject.startswith("CASH:") for found in breaks)
        return RearmClass.C if shares else RearmClass.B
    return CLASSES.get(result.control, RearmClass.B)


def found_by(
    results: Sequence[ControlResult],
    *,
    session: dt.date,
    breaks: Sequence[ReconciliationBreak],
    cure_sessions: int,
) -> dict[tuple[str, str], Breach]:
    """(control, key) -> breach that the answers of one round report."""
    found = {}
    for result in results:
        halts = result.status is Status.HALT and result.control not in OWN_STATE
        drifted = result.status is Status.WARN and (
            result.message.startswith(PASSIVE_PREFIX) or result.control in DRIFTED
        )
        incident = result.status is Status.WARN and result.control in INCIDENTS
        if not (halts or drifted or incident):
            continue
        found[result.control, result.key] = Breach(
            control=result.control,
            key=result.key,
            cause=PASSIVE if drifted else ACTIVE,
            opened=session,
            sessions=0,
            cure_sessions=cure_sessions if drifted and result.control not in DRIFTED else None,
            halt_class=class_of(result, breaks).value if halts else "",
            clean=0,
            message=result.message,
        )
    return found


def next_register(
    previous: Sequence[Breach],
    results: Sequence[ControlResult],
    *,
    session: dt.date,
    breaks: Sequence[ReconciliationBreak],
    operator: bool,
    cure_sessions: int,
    clean_checks: int,
) -> Register:
    """The register after a verdict. A breach that is found again keeps its date and the stricter halt class.

    One that is no longer found closes; one that halts closes once its class lets it (`may_rearm`).
    """
    found = found_by(results, session=session, breaks=breaks, cure_sessions=cure_sessions)
    reconciled = all(one.explained is True for one in breaks)
    open_, closed = dict(found), {}
    for old in previous:
        place, again = (old.control, old.key), found.get((old.control, old.key))
        aged = replace(old, sessions=old.sessions + 1, clean=0 if again else old.clean + 1)
        if again is not None:
            open_[place] = replace(
                aged, halt_class=max(old.halt_class, again.halt_class), message=again.message, cause=again.cause
            )
        elif old.halt_class and not may_rearm(
            old.halt_class,
            clean_checks=aged.clean,
            clean_checks_needed=clean_checks,
            reconciled=reconciled,
            operator=operator,
        ):
            open_[place] = aged
        else:
            closed[place] = aged
    return Register(
        tuple(open_[place] for place in sorted(open_)),
        tuple(closed[place] for place in sorted(closed)),
    )


def breach_rows(register: Register) -> list[dict[str, object]]:
    """RISK_VERDICT rows of a register; a closed breach stands in the verdict that closed it and in none after."""
    return [_row(breach, closed=False) for breach in register.open] + [
        _row(breach, closed=True) for breach in register.closed
    ]


def _row(breach: Breach, *, closed: bool) -> dict[str, object]:
    status = Status.HALT if breach.halt_class else Status.REDUCE_ONLY if breach.overdue else Status.WARN
    return {
        "kind": BREACH,
        "key": f"{breach.control}|{breach.key}",
        "control": breach.control,
        "name": breach.key,
        "observed": float(breach.sessions),
        "limit": None if breach.cure_sessions is None else float(breach.cure_sessions),
        "headroom": None if breach.cure_sessions is None else float(breach.cure_sessions - breach.sessions),
        "unit": f"sessions open, {breach.clean} clean",
        "status": (Status.PASS if closed else status).name,
        "message": breach.message,
        "opened": breach.opened.isoformat(),
        "cause": breach.cause,
        "halt_class": breach.halt_class,
    }


def breaches_of(verdict: pd.DataFrame) -> tuple[Breach, ...]:
    """The open breaches of a RISK_VERDICT; the inverse of `breach_rows`. Raises ValueError for a row that cannot be read."""
    rows = verdict[(verdict["kind"] == BREACH) & (verdict["status"] != Status.PASS.name)]
    return tuple(
        Breach(
            control=str(row.control),
            key=str(row.name),
            cause=str(row.cause),
            opened=dt.date.fromisoformat(str(row.opened)),
            sessions=int(row.observed),
            cure_sessions=None if pd.isna(row.limit) else int(row.limit),
            halt_class=str(row.halt_class),
            clean=int(str(row.unit).removeprefix("sessions open, ").removesuffix(" clean")),
            message=str(row.message),
        )
        for row in rows.sort_values("key").itertuples(index=False)
    )
