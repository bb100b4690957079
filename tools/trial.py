"""What each built control does on ordinary days: the loop over a range of the sample world, as a Markdown table.

Usage: python tools/trial.py 2018-10-01 2019-09-27. An ordinary day: the ladder is full (multiple 1) and more than 40 % of NAV
is invested. It starts from cash; nothing is stored.
"""

import datetime as dt
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from marketbot_assets.backtest import tables_until
from marketbot_assets.book.state import Rung
from marketbot_assets.research.history import History
from marketbot_assets.research.loop import Day, opening_account, run_days
from marketbot_assets.research.outcomes import row_of
from marketbot_assets.risk.control import ControlResult
from marketbot_assets.risk.verdict import CONTROLS
from marketbot_resources.calendars import computed_cutoff
from marketbot_resources.mandate import Mandate, parse_mandate
from marketbot_resources.mandate_file import read_mandate_text
from marketbot_resources.model import Side, Status
from marketbot_resources.wiring import Ports

ORDINARY_INVESTED = 0.40
HOLDING_SESSIONS = 63
COLUMNS = ("warned", "shrank", "rejected")
COLUMN = {
    Status.WARN: "warned",
    Status.SHRINK: "shrank",
    Status.REJECT_ORDER: "shrank",
    Status.REJECT_BATCH: "rejected",
    Status.REDUCE_ONLY: "rejected",
    Status.HALT: "rejected",
}
FLOORS = frozenset({"RC-38", "RC-42 lower", "RC-87 held", "RC-87 universe"})
KEYS = {"buys of the day": "buys of the day", "one way, 21 sessions": "21 sessions", "non-base": "non-base"}
SPLIT = frozenset({"RC-42", "RC-53", "RC-61", "RC-87"})


@dataclass(frozen=True, slots=True)
class Seen:
    """One session as the table needs it. `spoke`: (row, column); `extreme`: row -> (observed, limit) of the last round.

    `hits`: control of every stop that is new in this session; `untouched`: whether every planned order was sent as planned;
    `cut`: (side, control) of every order made smaller; `exits`: values over NAV of the approved sells of whole positions.
    """

    session: dt.date
    ordinary: bool
    row: Mapping[str, object]
    status: str
    untouched: bool
    held: int
    spoke: frozenset[tuple[str, str]]
    extreme: Mapping[str, tuple[float, float]]
    hits: tuple[str, ...]
    cut: frozenset[tuple[str, str]]
    exits: tuple[float, ...]


def label(result: ControlResult, kinds: Mapping[str, str]) -> str:
    """The table's row of an answer: the control, and which of its limits where it has several."""
    control, key = result.control, result.key
    if control == "RC-46":
        return f"{control} {kinds.get(key, 'fed' if key == 'FED' else 'instant')}"
    if control == "RC-41":
        return f"{control} {KEYS.get(key, 'one name')}"
    if control == "RC-35":
        return f"{control} {KEYS.get(key, 'country' if len(key) == 2 else 'currency')}"
    return f"{control} {key}" if control in SPLIT else control


def seen(day: Day, before: Day | None) -> Seen:
    """What one day leaves."""
    model, judgement, state = day.known.factor_model, day.decision.judgement, day.state
    kinds = dict(zip(model.scenarios, model.scenario_kinds, strict=True))
    every = [result for results in judgement.rounds for result in results]
    row, sides = row_of(day), {order.client_order_id: order.side.value for order in judgement.planned}
    old = {hit.instrument for hit in before.state.stop_hits} if before else set()
    full = state.rung is Rung.FULL and state.multiple == 1.0
    return Seen(
        session=state.session,
        ordinary=full and float(str(row["invested"])) > ORDINARY_INVESTED,
        row=row,
        status=day.decision.target.status,
        untouched=judgement.batch_seen_sha256 == judgement.batch_approved_sha256,
        held=len(state.lots),
        spoke=frozenset((label(r, kinds), COLUMN[r.status]) for r in every if r.status in COLUMN),
        extreme=_extremes(judgement.results, kinds),
        hits=tuple(hit.control[:5] for hit in state.stop_hits if hit.instrument not in old),
        cut=frozenset((sides[i], control) for i, _, _, control in judgement.changes),
        exits=_exits(day),
    )


def _exits(day: Day) -> tuple[float, ...]:
    held, values = day.rolled.valuation.holdings.shares, day.rolled.valuation.weights()
    sells = [o for o in day.decision.batch if o.side is Side.SELL and o.instrument in held]
    return tuple(values[o.instrument] for o in sells if o.quantity == held[o.instrument])


def _extremes(results: Iterable[ControlResult], kinds: Mapping[str, str]) -> dict[str, tuple[float, float]]:
    found: dict[str, tuple[float, float]] = {}
    for result in results:
        name = label(result, kinds)
        if result.observed is None or result.limit is None:
            continue
        ahead = result.observed < found[name][0] if name in found and name in FLOORS else True
        if name not in found or (ahead if name in FLOORS else result.observed > found[name][0]):
            found[name] = (result.observed, result.limit)
    return found


def trial(mandate: Mandate, history: History) -> list[Seen]:
    """Every session of the history, from cash."""
    found: list[Seen] = []
    before: Day | None = None
    for day in run_days(history, mandate, opening_account(mandate, history)):
        found.append(seen(day, before))
        before = day
    return found


def share(days: Sequence[Seen], row: str, column: str) -> float:
    """Share of the days on which the row spoke in the column; the control's id alone stands for all its rows."""
    hit = sum(any(name.startswith(row) and said == column for name, said in day.spoke) for day in days)
    return hit / len(days) if days else 0.0


def hits_per_holding(days: Sequence[Seen], control: str) -> float:
    """New hits of a stop per 63 sessions that one name is held."""
    held = sum(day.held for day in days)
    return HOLDING_SESSIONS * sum(day.hits.count(control) for day in days) / held if held else 0.0


def build_up(days: Sequence[Seen]) -> int | None:
    """Sessions from the first decision until more than 40 % is invested; None when never."""
    return next((k for k, day in enumerate(days) if float(str(day.row["invested"])) > ORDINARY_INVESTED), None)


def _number(values: Sequence[float]) -> str:
    low, high = f"{min(values):.4g}", f"{max(values):.4g}"
    return low if low == high else f"{low} .. {high}"


def table(days: Sequence[Seen]) -> list[str]:
    """Markdown rows of every control on the ordinary days."""
    ordinary = [day for day in days if day.ordinary]
    rows = {name for day in ordinary for name in (*day.extreme, *(said for said, _ in day.spoke))}
    rows |= {rule.id for rule, _ in CONTROLS if not any(name.startswith(rule.id) for name in rows)}
    lines = ["| control | limit | warned | shrank | rejected | max seen |", "|---|---|---|---|---|---|"]
    for name in sorted(rows):
        facts = [day.extreme[name] for day in ordinary if name in day.extreme]
        most = (min if name in FLOORS else max)(observed for observed, _ in facts) if facts else None
        told = "-" if most is None else f"{most:.4g}{' (least)' if name in FLOORS else ''}"
        edge = _number([limit for _, limit in facts]) if facts else "-"
        spoke = [f"{share(ordinary, name, column):.1%}" for column in COLUMNS]
        lines.append(f"| {name} | {edge} | {' | '.join(spoke)} | {told} |")
    return lines


def summary(days: Sequence[Seen]) -> list[str]:
    """What the run was, as Markdown lines."""
    ordinary = [day for day in days if day.ordinary]

    def mean(name: str, of: Sequence[Seen]) -> float:
        return sum(float(str(day.row[name])) for day in of) / len(of) if of else float("nan")

    names = sorted(int(str(day.row["names"])) for day in ordinary)
    untouched = sum(day.untouched for day in ordinary)
    count, rungs = len(days), sorted({str(day.row["rung"]) for day in days})
    return [
        f"- sessions {days[0].session} .. {days[-1].session}: {count}, of them ordinary {len(ordinary)}; rungs seen: "
        f"{', '.join(rungs)}",
        f"- verdict APPROVED on {sum(day.row['verdict'] == 'APPROVED' for day in days)} of {count}; answer optimal on "
        f"{sum(day.status == 'optimal' for day in days)}, by mean_variance on "
        f"{sum(day.row['method'] == 'mean_variance' for day in days)}",
        f"- ordinary days: every order sent as planned on {untouched} of {len(ordinary)}; invested "
        f"{mean('invested', ordinary):.1%} on average; names {names[0] if names else '-'} to "
        f"{names[-1] if names else '-'}",
        f"- all days: invested {mean('invested', days):.1%} on average, worst drawdown "
        f"{max(float(str(day.row['drawdown'])) for day in days):.2%}; 40 % invested after {build_up(days)} sessions",
        *(
            f"- {control}: {hits_per_holding(days, control):.1%} of 63-session holdings over all days, "
            f"{hits_per_holding(ordinary, control):.1%} on ordinary days"
            for control in ("RC-62", "RC-63")
        ),
    ]


def main(first: str, last: str) -> None:
    """Prints the table of a range."""
    start, end, mandate = dt.date.fromisoformat(first), dt.date.fromisoformat(last), parse_mandate(read_mandate_text())
    tables = tables_until(Ports(), mandate, computed_cutoff(mandate.schedule, end), lambda body: "")
    days = trial(mandate, History(tables, mandate, start, end))
    print("\n".join([*summary(days), "", *table(days)]))


if __name__ == "__main__":
    main(*sys.argv[1:])
