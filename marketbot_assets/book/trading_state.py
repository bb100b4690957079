"""What may be sent: ACTIVE, REDUCE_ONLY, FLATTEN or HALT, from the ladder's rung, the halt class and the halt level. Pure.

Each state lets go a part of what the one before it lets go, so the strictest of all causes wins and nothing is ever added by a
second cause. `TRANSITIONS` lists what moves it and what moves it back. Not here: how the rung moves (`ladder`), what a control
answers (the risk stage), the register of breaches (`risk.breaches`).
"""

import math
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from marketbot_assets.book.ladder import SEVERITY, rung_of
from marketbot_assets.book.state import BookState, Rung
from marketbot_resources.mandate_limits import Ladder
from marketbot_resources.model import HaltLevel


class TradingState(StrEnum):
    """ACTIVE: everything the verdict approves. REDUCE_ONLY: reductions. FLATTEN: sells to cash until flat. HALT: nothing."""

    ACTIVE = "ACTIVE"
    REDUCE_ONLY = "REDUCE_ONLY"
    FLATTEN = "FLATTEN"
    HALT = "HALT"


STRICTNESS = tuple(TradingState)


class RearmClass(StrEnum):
    """How a halt ends (G8). A: by itself after clean checks (data or broker were away). B: by itself in the next session whose

    reconciliation is clean. C: by an operator's recorded action, and a clean reconciliation.
    """

    A = "A"
    B = "B"
    C = "C"


@dataclass(frozen=True, slots=True)
class Transition:
    """One row of the table: what moves the state to `to`, and what moves it back."""

    cause: str
    to: TradingState
    back: str


TRANSITIONS = (
    Transition(
        "drawdown reaches `reduce_only.at`",
        TradingState.REDUCE_ONLY,
        "B: after `after_sessions`, reconciled, a calm index; then the multiple rises by `step` after `min_sessions`",
    ),
    Transition("drawdown reaches `to_cash.at`", TradingState.FLATTEN, "the same"),
    Transition("drawdown reaches `halt.at`, or the third re-arm, or the absolute floor", TradingState.FLATTEN, "C"),
    Transition("flat on rung HALT", TradingState.HALT, "C"),
    Transition("loss of the day reaches `halt_day` (RC-61)", TradingState.HALT, "B"),
    Transition("a breach of class A: data, clock or another run (RC-81, 83)", TradingState.HALT, "A"),
    Transition("a breach of class B: cash, refused orders (RC-68, 90)", TradingState.HALT, "B"),
    Transition(
        "a breach of class C: unknown or too many fills, shares that differ (RC-66, 67)", TradingState.HALT, "C"
    ),
    Transition("a breach beyond its cure deadline (RC-74)", TradingState.REDUCE_ONLY, "the breach is cured"),
    Transition("halt level reduce-only", TradingState.REDUCE_ONLY, "`resume`"),
    Transition("halt level flatten", TradingState.FLATTEN, "`resume`; HALT once flat"),
    Transition("halt level halt or cancel-all, or an unreadable flag", TradingState.HALT, "`resume`"),
)
_RUNGS = {
    Rung.FULL: TradingState.ACTIVE,
    Rung.SCALED: TradingState.ACTIVE,
    Rung.REDUCE_ONLY: TradingState.REDUCE_ONLY,
    Rung.TO_CASH: TradingState.FLATTEN,
    Rung.HALT: TradingState.FLATTEN,
}
_LEVELS = {
    "off": TradingState.ACTIVE,
    HaltLevel.NO_NEW_RUNS.value: TradingState.ACTIVE,
    HaltLevel.REDUCE_ONLY.value: TradingState.REDUCE_ONLY,
    HaltLevel.FLATTEN.value: TradingState.FLATTEN,
}


def strictest(states: Collection[TradingState]) -> TradingState:
    """The one that lets least go; HALT when there is none."""
    return max(states, key=STRICTNESS.index, default=TradingState.HALT)


def trading_state(
    book: BookState,
    ladder: Ladder,
    *,
    halt_word: str,
    halting: bool = False,
    overdue: bool = False,
) -> TradingState:
    """The state of a book under a halt flag's word (`HaltFlag.word`). `halting`: an open breach halts; `overdue`: one is uncured.

    A drawdown, a NAV or a word that cannot be read is HALT. Never less strict for a deeper drawdown.
    """
    numbers = (book.drawdown, book.drawdown_inception, book.nav)
    if not all(isinstance(x, float | int) and math.isfinite(x) for x in numbers) or not book.nav > 0.0:
        return TradingState.HALT
    holds = bool(book.lots)
    floor = ladder.absolute_floor.drawdown_from_inception_high
    reached = Rung.HALT if book.drawdown_inception >= floor else rung_of(book.drawdown, ladder)
    rung = max(book.rung, reached, key=SEVERITY.index)
    causes = [
        TradingState.HALT if rung is Rung.HALT and not holds else _RUNGS[rung],
        _of_class(book.halt_class, rung),
        _of_level(halt_word, holds=holds),
        TradingState.HALT if halting else TradingState.ACTIVE,
        TradingState.REDUCE_ONLY if overdue else TradingState.ACTIVE,
    ]
    return strictest(causes)


def _of_class(halt_class: str, rung: Rung) -> TradingState:
    """On rungs below SCALED class B names how the ladder re-arms, and on TO_CASH and HALT the sells to cash go on."""
    if halt_class == "" or (halt_class == RearmClass.B and rung in (Rung.REDUCE_ONLY, Rung.TO_CASH)):
        return TradingState.ACTIVE
    known = halt_class in (RearmClass.B, RearmClass.C)
    return TradingState.FLATTEN if known and rung in (Rung.TO_CASH, Rung.HALT) else TradingState.HALT


def _of_level(word: str, *, holds: bool) -> TradingState:
    state = _LEVELS.get(word, TradingState.HALT)
    return TradingState.HALT if state is TradingState.FLATTEN and not holds else state


def may_rearm(
    halt_class: str, *, clean_checks: int, clean_checks_needed: int, reconciled: bool, operator: bool
) -> bool:
    """Whether a halt of this class ends now. `clean_checks`: checks in a row without its cause, this one included.

    An unknown class never ends by itself.
    """
    if halt_class == RearmClass.A:
        return clean_checks >= clean_checks_needed
    if halt_class == RearmClass.B:
        return clean_checks >= 1 and reconciled is True
    return halt_class == RearmClass.C and reconciled is True and operator is True
