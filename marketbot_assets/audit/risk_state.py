"""What may be sent and why, as plain texts: the trading state, the rungs of the ladder, the register of breaches. Pure.

Not here: the numbers of risk (`risk_numbers`), the rules themselves (`book.trading_state`, `book.ladder`, `risk.breaches`).
"""

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from marketbot_assets.audit.report_facts import Row, number, rows_of
from marketbot_assets.audit.report_parts import percent, plain_number
from marketbot_assets.audit.risk_numbers import Named, Table
from marketbot_assets.book.state import BookState, Rung
from marketbot_assets.book.trading_state import trading_state
from marketbot_assets.risk.breaches import BREACH, breaches_of
from marketbot_assets.risk.inputs import HALT_FLAG_OFF
from marketbot_resources.mandate import Mandate
from marketbot_resources.mandate_limits import Ladder
from marketbot_resources.model import Status

FLAG_TEXT = "the halt flag is "
UNREADABLE = "unreadable"


def flag_word(controls: Sequence[Row]) -> str:
    """The halt flag's word as the verdict saw it (RC-80); a word that halts when it gave no answer."""
    answer = next((row for row in controls if row["control"] == "RC-80"), None)
    if answer is None:
        return UNREADABLE
    if answer["status"] == Status.PASS.name:
        return HALT_FLAG_OFF
    message = str(answer["message"])
    return message.removeprefix(FLAG_TEXT) if message.startswith(FLAG_TEXT) else UNREADABLE


def state_word(book: BookState, verdict: pd.DataFrame, mandate: Mandate) -> str:
    """What may be sent after this verdict: ACTIVE, REDUCE_ONLY, FLATTEN or HALT; a register that cannot be read is HALT."""
    try:
        found, halting = breaches_of(verdict), False
    except (ValueError, TypeError):
        found, halting = (), True
    return trading_state(
        book,
        mandate.ladder,
        halt_word=flag_word([row for row in rows_of(verdict) if row["kind"] == "CONTROL"]),
        halting=halting or any(breach.halt_class for breach in found),
        overdue=any(breach.overdue for breach in found),
    ).value


RUNGS: Mapping[Rung, str] = {
    Rung.FULL: "the whole volatility target",
    Rung.SCALED: "the target falls in a line",
    Rung.REDUCE_ONLY: "no order that adds risk",
    Rung.TO_CASH: "sold to cash",
    Rung.HALT: "sold to cash, then nothing until an operator re-arms (class C)",
}


def rungs(book: BookState, ladder: Ladder) -> Table:
    """Every rung of the drawdown ladder, from which drawdown on, how far away it is, and where the book stands."""
    starts = {
        Rung.FULL: 0.0,
        Rung.SCALED: ladder.full_below,
        Rung.REDUCE_ONLY: ladder.reduce_only.at,
        Rung.TO_CASH: ladder.to_cash.at,
        Rung.HALT: ladder.halt.at,
    }
    rows = []
    for rung, start in starts.items():
        away, fall = start - book.drawdown, _fall(start, book)
        told = "reached" if away <= 0.0 else f"{percent(away)} (NAV falls {percent(fall)})"
        if not math.isfinite(away):
            told = percent(math.nan)
        here = "here" if rung is book.rung else ""
        rows.append((rung.value.replace("_", " "), percent(start), told, here, RUNGS[rung]))
    floor, fallen = ladder.absolute_floor.drawdown_from_inception_high, book.drawdown_inception
    left = "reached" if fallen >= floor else percent(floor - fallen)
    rows.append(
        ("ABSOLUTE FLOOR", percent(floor), left, "", "from the inception high: halt, class C, no re-arm forgives it")
    )
    heads = ("rung", "from a drawdown of>", "away>", "now", "what then~")
    stands = f"drawdown {percent(book.drawdown)} of its high, risk scaled by {plain_number(book.multiple, 3)}"
    caption = f"Drawdown ladder (RC-60): {stands}"
    return Table(heads, tuple(rows), caption)


def _fall(start: float, book: BookState) -> float:
    """The fall of NAV from here that reaches a drawdown, fraction."""
    left = 1.0 - book.drawdown
    return (start - book.drawdown) / left if left > 0.0 else math.nan


def breaches(verdict: pd.DataFrame, named: Named) -> Table:
    """The register of breaches after the verdict, those that it closed included."""
    rows = []
    for row in rows_of(verdict):
        if row["kind"] == BREACH:
            closed, halts = row["status"] == Status.PASS.name, str(row["halt_class"])
            state = "closed" if closed else f"halts, class {halts}" if halts else str(row["status"]).replace("_", " ")
            age, limit = number(row["observed"]), number(row["limit"])
            told = f"{plain_number(age)} of {plain_number(limit)}" if math.isfinite(limit) else plain_number(age)
            what = f"{row['control']} {named(row['name'])}".rstrip()
            rows.append((what, str(row["opened"]), str(row["cause"]), told, state, named(row["message"])))
    heads = ("control and subject", "open since", "cause", "sessions of deadline>", "state", "message~")
    return Table(heads, tuple(rows), "Register of breaches (RC-74)", "no breach is open")
