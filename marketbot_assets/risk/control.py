"""What a control answers, and the one comparison that all limits share. Pure.

Lives here: `ControlResult`, the `Rule` that stamps it, the cap with its passive case, and `Judgement`, what they add up to.
Not here: the rules themselves (`order_controls`, `funding`, `book_controls`, `state_controls`, `system_controls`, `stress`)
and the engine (`verdict`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from numpy.typing import ArrayLike

from marketbot_assets.risk.inputs import Flags, Floats
from marketbot_assets.risk.projection import REDUCTIONS, WITH, WITHOUT, Projection
from marketbot_resources.model import Order, Status

TOLERANCE = 1e-9
FRACTION = "fraction of NAV"


@dataclass(frozen=True, slots=True)
class ControlResult:
    """One answer of one control. `key` says for which instrument, group or scenario; empty for the whole batch.

    `observed`, `limit`, `headroom` in `unit`; None when not computable or not a number. `order_ids`: the orders that this result
    is about; `keep`: the share of each of them that may stay (0 drops it, 1 leaves it but for whole lots).
    """

    control: str
    key: str
    name: str
    version: str
    status: Status
    observed: float | None
    limit: float | None
    headroom: float | None
    unit: str
    message: str
    order_ids: tuple[str, ...] = ()
    keep: float = 1.0


@dataclass(frozen=True, slots=True)
class Rule:
    """Identity of a control. `fail` is what it answers when its limit is broken or cannot be computed.

    For people alone (docs/controls.md): `formula` says what must hold, in the words of the mandate's keys; `answers` names the
    public rules that ask for it, or the house.
    """

    id: str
    name: str
    fail: Status
    unit: str = FRACTION
    version: str = "1"
    formula: str = ""
    answers: str = ""

    def result(
        self,
        status: Status,
        message: str = "",
        *,
        key: str = "",
        observed: float | None = None,
        limit: float | None = None,
        is_floor: bool = False,
        order_ids: tuple[str, ...] = (),
        keep: float = 1.0,
        unit: str | None = None,
    ) -> ControlResult:
        """A result of this rule. Numbers that are not finite become None."""
        seen, edge = _finite(observed), _finite(limit)
        room = None if seen is None or edge is None else (seen - edge if is_floor else edge - seen)
        return ControlResult(
            control=self.id,
            key=key,
            name=self.name,
            version=self.version,
            status=status,
            observed=seen,
            limit=edge,
            headroom=room,
            unit=self.unit if unit is None else unit,
            message=message,
            order_ids=order_ids,
            keep=keep,
        )


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def within(observed: float, limit: float) -> bool:
    """Observed <= limit with the explicit tolerance of 1e-9; NaN and infinite values are never within (G3, G9)."""
    finite = math.isfinite(observed) and math.isfinite(limit)
    return bool(finite and observed <= limit + TOLERANCE * max(1.0, abs(limit)))


def beyond(observed: Floats, limit: float) -> Flags:
    """(n,) of each number whether it is not `within` the limit."""
    if not math.isfinite(limit):
        return np.ones(len(observed), dtype=bool)
    return ~(np.isfinite(observed) & (observed <= limit + TOLERANCE * max(1.0, abs(limit))))


def keep_share(observed: float, start: float, limit: float) -> float:
    """The share s of the counted buys that brings a convex left side under its limit.

    `start` is the left side without these buys. Convexity gives f(s) <= (1 - s) f(0) + s f(1), so the linear answer is safe.
    """
    if not all(math.isfinite(x) for x in (observed, start, limit)) or observed <= start:
        return 0.0
    return min(1.0, max(0.0, (limit - start) / (observed - start)))


def cap(
    rule: Rule,
    projection: Projection,
    observed: ArrayLike,
    *,
    hard: float,
    warn: float | None = None,
    counted: tuple[str, ...] | None = None,
    key: str = "",
    unit: str | None = None,
) -> ControlResult:
    """Judges a limit on the projected book. `observed`: left side with the batch, without it, with its reductions alone.

    `counted`: the orders that raise this left side (None: every order that adds risk). Without such an order a book beyond
    the limit is WARN `passive`, as long as the batch does not make it worse; else the rule's fail status.
    """
    values = np.asarray(observed, dtype=float).tolist()
    now, before, start = values[WITH], values[WITHOUT], values[REDUCTIONS]
    if within(now, hard) and (warn is None or within(now, warn)):
        return rule.result(Status.PASS, key=key, observed=now, limit=hard, unit=unit)
    ids = projection.increasing_ids if counted is None or not math.isfinite(now) else counted
    text = f"{rule.name}{f' {key}' if key else ''}: {now:.6g} against {hard:.6g}"
    if within(now, hard):
        return rule.result(Status.WARN, text, key=key, observed=now, limit=hard, unit=unit)
    if not ids and within(now, max(hard, before)):
        return rule.result(Status.WARN, f"passive: {text}", key=key, observed=now, limit=hard, unit=unit)
    keep = keep_share(now, start, hard)
    return rule.result(rule.fail, text, key=key, observed=now, limit=hard, order_ids=ids, keep=keep, unit=unit)


def tightest(results: Sequence[ControlResult], empty: ControlResult) -> tuple[ControlResult, ...]:
    """Everything that does not pass; when all passes, the one answer with the least headroom."""
    loud = tuple(r for r in results if r.status > Status.PASS)
    return loud or (min(results, key=lambda r: r.headroom or 0.0) if results else empty,)


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on one planned batch. `verdict`: APPROVED, REJECTED or HALT; only APPROVED sends `approved`.

    `results`: answers of the last round; `rounds`: of every round. `changes`: (client order id, planned, approved quantity,
    the control that asked for it) of every order that was made smaller. `planned`: what was seen, sorted by id.
    """

    verdict: str
    results: tuple[ControlResult, ...]
    rounds: tuple[tuple[ControlResult, ...], ...]
    planned: tuple[Order, ...]
    approved: tuple[Order, ...]
    batch_seen_sha256: str
    batch_approved_sha256: str
    changes: tuple[tuple[str, Decimal, Decimal, str], ...]


def worst(results: Sequence[ControlResult]) -> Status:
    """The lattice's maximum: the order of controls never matters (G1). No answers at all count as HALT."""
    return max((result.status for result in results), default=Status.HALT)
