"""Stop now and go on by rule: `halt`, `resume`. Each leaves entries `operator_action` in the ledger of a home that has one.

Not here: what is asked of the broker (`halt_broker`), what a session does with the flag (RC-80 and the last-line gate), how the
ladder re-arms (`book.ladder`).
"""

import sqlite3
from typing import TYPE_CHECKING

from marketbot_assets.commands.halt_broker import NOTHING, Canceled, cancel, counter, obstacle_at, told
from marketbot_assets.commands.home import existing_lake
from marketbot_assets.commands.reconcile import newest_row, unsettled_orders
from marketbot_resources import settings
from marketbot_resources.errors import Equivocation, HomeError, LedgerError, MarketbotError, UsageError
from marketbot_resources.halt import FILE_SOURCE, OFF, ON, SEVERITY, HaltFlag, HaltSwitch
from marketbot_resources.halt_sources import open_halt
from marketbot_resources.ledger.examine import first_fault
from marketbot_resources.ledger.opening import existing_ledger
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.record import Json
from marketbot_resources.model import HaltLevel
from marketbot_resources.redaction import redactor
from marketbot_resources.store.index_opening import has_index

if TYPE_CHECKING:
    from marketbot_resources.store.lake import Lake

OPERATOR, HALT, CANCEL, RESUME = "cli", "halt", "cancel", "resume"
NO_REASON = "no reason given"
APPEND_ATTEMPTS_MAX = 5
CLASS_C = "C"
CANCELS = frozenset({HaltLevel.CANCEL_ALL, HaltLevel.FLATTEN})
TOLD = {
    HaltLevel.NO_NEW_RUNS: "no session is begun until `marketbot resume`",
    HaltLevel.REDUCE_ONLY: "only sells are sent until `marketbot resume`",
    HaltLevel.FLATTEN: "the next session sells everything that has a price, then nothing is sent until `marketbot resume`",
    HaltLevel.HALT: "nothing is sent until `marketbot resume`",
    HaltLevel.CANCEL_ALL: "nothing is sent until `marketbot resume`",
}


def halt_now(reason: str | None, level: HaltLevel = HaltLevel.HALT) -> dict[str, object]:
    """Sets the flag first, then tells the ledger, then cancels what the level cancels; `problem`: what of this failed, or empty.

    `canceled`, `open_orders`: client order ids that CANCEL_ALL (every order) or FLATTEN (buys) ended, and that are left;
    `in_doubt`: orders that may still arrive. Raises HomeError when the flag can neither be written nor is set in any way,
    UsageError for a level that would loosen it.
    """
    text, switch = redactor().text(reason or NO_REASON), open_halt(settings.home())
    before, own = switch.read(), dict(switch.each())[FILE_SOURCE]
    if not may_set(before, level):
        raise UsageError(
            f"the halt flag is {before.word} ({before.reason}); level {level.value} would let more go: `marketbot resume` first"
        )
    try:
        if own != HaltFlag(ON, text, level):
            switch.set(text, level)
    except HomeError:
        if before.status == OFF:
            raise
    flag = switch.read()
    entry, problems = None, []
    try:
        entry = _tell_halt(text, level)
    except (MarketbotError, sqlite3.Error) as error:
        problems.append(f"the ledger was not told: {error}")
    done = _canceled(level)
    problems += [done.problem] if done.problem else []
    if level is HaltLevel.FLATTEN and flag.word != level.value:
        problems.append(f"nothing will be sold, because the halt flag stays {flag.word} ({flag.reason})")
    view: dict[str, object] = {"halted": flag.status != OFF, "status": flag.status, "level": level.value}
    view |= {
        "reason": text,
        "entry": entry,
        "problem": f"the halt flag is set, but {'; '.join(problems)}" if problems else "",
    }
    return view | {"canceled": list(done.canceled), "open_orders": list(done.left), "in_doubt": list(done.in_doubt)}


def may_set(before: HaltFlag, level: HaltLevel) -> bool:
    """Whether a level replaces the flag without letting more go; FLATTEN, which only sells, replaces all that can be read."""
    if before.status == "off":
        return True
    if before.status != "on":
        return level in (HaltLevel.HALT, HaltLevel.CANCEL_ALL)
    return level is HaltLevel.FLATTEN or SEVERITY.index(level) >= SEVERITY.index(before.level)


def _canceled(level: HaltLevel) -> Canceled:
    """Cancels what the level cancels and tells the ledger what the broker said before and after."""
    home = settings.home()
    if level not in CANCELS or not has_index(home):
        return NOTHING
    try:
        lake = existing_lake()
        done = cancel(lake, level)
        if done.facts is not None:
            _append(
                lake.ledger,
                CANCEL,
                done.problem or f"cancels for level {level.value}",
                {"level": level.value, **done.facts},
            )
    except (MarketbotError, sqlite3.Error) as error:
        why = redactor().text(f"the ledger was not told what was canceled: {error}")
        return Canceled((), (), (), None, why)
    return done


def _tell_halt(reason: str, level: HaltLevel) -> int | None:
    """Number of the ledger entry that says so; None in a home without a ledger."""
    ledger = existing_ledger(settings.home())
    if ledger is None:
        return None
    last = [e for e in ledger.entries("operator_action") if e.body["action"] in (HALT, RESUME)][-1:]
    facts: dict[str, Json] = {} if level is HaltLevel.HALT else {"level": level.value}
    known = {} if not last or "level" not in last[0].body else {"level": last[0].body["level"]}
    if last and (last[0].body["action"], last[0].body["reason"]) == (HALT, reason) and known == facts:
        return last[0].seq
    return _append(ledger, HALT, reason, facts)


def _append(ledger: Ledger, action: str, reason: str, facts: dict[str, Json] | None = None) -> int:
    """Appends the action under the next free number; another command may take a number at the same time."""
    for _ in range(APPEND_ATTEMPTS_MAX):
        n = len(ledger.entries("operator_action")) + 1
        body: dict[str, Json] = {"operator": OPERATOR, "action": action, "reason": reason, "n": n}
        body |= {"user": settings.operator(), **(facts or {})}
        try:
            receipt = ledger.append("operator_action", f"{n:06d}", body)
        except Equivocation:
            continue
        if receipt.added:
            return receipt.seq
    raise LedgerError(f"ledger: expected a free number for `{action}`, found others writing; try again")


def resume_now(reason: str | None) -> dict[str, object]:
    """Clears the file when book and broker agree and no other source halts; else `resumed` is false and `why` says what does.

    It is proven by reading every source again. A book that is halted, class C, re-arms in its next session by the entry that
    this leaves; that needs a reason. Raises UsageError in a home where nothing is halted and nothing was ever run, and without a
    reason that is needed.
    """
    switch, reason = open_halt(settings.home()), redactor().text(reason or "")
    flag = switch.read()
    why = _elsewhere(switch)
    if flag.status != OFF and not has_index(settings.home()):
        if why:
            return _refused(why, flag, reason)
        switch.clear()  # nothing was ever sent from here: no book that could differ
        return _resumed(None, "", "")
    lake = existing_lake()
    class_c = halt_class(lake) == CLASS_C
    if class_c and not reason:
        raise UsageError("the book is halted, class C: say why it may trade again with --reason TEXT")
    why = obstacle(lake) or why
    facts: dict[str, Json] = {}
    if not why:
        why, facts = _broker_says(lake, flag)
    if why:
        return _refused(why, flag, reason)
    if flag.status == OFF and not class_c:
        return _resumed(None, reason, "nothing was halted")
    entry = _append(lake.ledger, RESUME, reason or NO_REASON, facts)
    switch.clear()
    after = switch.read()
    if after.status != OFF:
        return {**_refused(f"the halt flag is {after.word} again: {after.reason}", after, reason), "entry": entry}
    return _resumed(entry, reason or NO_REASON, "")


def _elsewhere(switch: HaltSwitch) -> str:
    """Sources that halt and that no command clears, and what to do; empty without one."""
    on = [(name, flag) for name, flag in switch.each() if name != FILE_SOURCE and flag.status != OFF]
    told = "; ".join(f"{name} {flag.word} ({flag.reason})" for name, flag in on)
    return f"halted elsewhere, too: {told}; set it to off where it stands" if on else ""


def _broker_says(lake: "Lake", flag: HaltFlag) -> tuple[str, dict[str, Json]]:
    """(why the broker's orders forbid to go on, or empty; what it said, for the entry)."""
    try:
        desk = counter(lake)
        if desk is None:
            return "", {}
        why = obstacle_at(desk, flag.level if flag.status == ON else None)
        return why, {"before": told(desk)}
    except (MarketbotError, sqlite3.Error) as error:
        return f"the broker could not tell what is open: {redactor().text(str(error))}", {}


def _refused(why: str, flag: HaltFlag, reason: str) -> dict[str, object]:
    return {"resumed": False, "why": why, "status": flag.status, "reason": reason, "entry": None}


def _resumed(entry: int | None, reason: str, why: str) -> dict[str, object]:
    return {"resumed": True, "why": why, "status": "off", "reason": reason, "entry": entry}


def halt_class(lake: "Lake") -> str:
    """Halt class of the newest state of the book, or C while the register holds a breach that an operator must lift."""
    from marketbot_assets.book.frames import state_of
    from marketbot_assets.risk.breaches import breaches_of

    row, verdict = newest_row(lake, "book_state"), newest_row(lake, "risk_verdict")
    if verdict is not None and any(breach.halt_class == CLASS_C for breach in breaches_of(lake.load(verdict))):
        return CLASS_C
    return "" if row is None else state_of(lake.load(row)).halt_class


def obstacle(lake: "Lake") -> str:
    """Why trading may not go on, in one line; empty when nothing stands against it."""
    problem = first_fault(lake.ledger)
    if problem:
        return f"the ledger's chain does not hold: {problem}; restore it from its backup"
    doubt = [str(row["client_order_id"]) for row in unsettled_orders(lake.ledger) if row["in_doubt"]]
    if doubt:
        return f"order {', '.join(doubt[:3])}: sent without an answer; compare with the broker's statement first"
    cutoffs = lake.ledger.entries("session_cutoff")
    if not cutoffs:
        return "no session has been reconciled yet; run one first: marketbot run"
    part = max(entry.key for entry in cutoffs)
    row = lake.index.newest("reconciliation", part)
    if row is None:
        return f"session {part} was not reconciled; run it first: marketbot run --session {part}"
    frame = lake.load(row)
    breaks = frame.loc[frame["outcome"] == "break", "message"].tolist()
    if breaks:
        return f"session {part}: {len(breaks)} breaks between book and broker, first: {breaks[0]}"
    return ""


def halt_lines(view: dict[str, object]) -> list[str]:
    """What `halt` did, for people."""
    told = "no ledger entry" if view["entry"] is None else f"ledger entry {view['entry']}"
    lines = [f"halted: {view['reason']} ({told}); {TOLD[HaltLevel(str(view['level']))]}"]
    canceled, left = view["canceled"], view["open_orders"]
    assert isinstance(canceled, list)
    assert isinstance(left, list)
    if HaltLevel(str(view["level"])) in CANCELS:
        lines.append(f"open orders: {len(canceled)} canceled, {len(left)} left, by the broker's own report")
    return lines


def resume_lines(view: dict[str, object]) -> list[str]:
    """What `resume` did, for people."""
    if view["why"]:
        return [str(view["why"])]
    told = "no ledger entry" if view["entry"] is None else f"ledger entry {view['entry']}"
    return [f"resumed ({told}); go on with `marketbot run`"]
