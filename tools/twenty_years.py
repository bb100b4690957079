"""Twenty years of the sample's real names under the default mandate: what was held, what fired when, every episode of the ladder.

Usage: python tools/twenty_years.py [FIRST LAST] [--gap SESSION=FRACTION ...]. The universe is the default mandate's without its
simulated listings, the book starts from cash and nothing is stored. `--gap` lets every price fall by a fraction on one session
and stay there: a planted fall, named in the output, for the rungs that the real years never reached. The run ends at a halt
of class C, which only an operator lifts.
"""

import datetime as dt
import math
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import yaml
from trial import COLUMN, FLOORS, label

from marketbot_assets.backtest import tables_until
from marketbot_assets.book.state import BookState, Rung
from marketbot_assets.research.history import History, Tables
from marketbot_assets.research.loop import Day, opening_account, run_days
from marketbot_resources.calendars import computed_cutoff
from marketbot_resources.mandate import Mandate, parse_mandate
from marketbot_resources.mandate_file import read_mandate_text
from marketbot_resources.model import SESSIONS_PER_YEAR, Kind, Side, Status
from marketbot_resources.wiring import Ports

FIRST, LAST = dt.date(2003, 1, 2), dt.date(2022, 12, 28)
SIMULATED = ("XLON", "XETR", "XTKS", "XHKG")
WINDOW = 60
CURE_SESSIONS = 2
AFTER = (20, 60)
DEPTH = (Rung.FULL, Rung.SCALED, Rung.REDUCE_ONLY, Rung.TO_CASH, Rung.HALT)
PASSIVE = "passive"
NO_BUYS, TRIM = "RC-31 above the level without buys", "RC-31 above the trim level"


@dataclass(frozen=True, slots=True)
class Turn:
    """One session as this report needs it. `fired`: row of the table -> worst column; `passive`: rows broken by drift alone.

    `extreme`: row -> (observed, limit) of the last round, the nearest to its limit; `vol` and `vol_limit`: RC-42 upper.
    """

    state: BookState
    verdict: str
    status: str
    invested: float
    bought: bool
    fired: Mapping[str, str]
    passive: frozenset[str]
    extreme: Mapping[str, tuple[float, float]]
    vol: float
    vol_limit: float


@dataclass(frozen=True, slots=True)
class Episode:
    """One stay below FULL: places of its first and last session, its deepest rung, its largest drawdown."""

    first: int
    last: int
    deepest: Rung
    drawdown: float


def real_mandate(text: str, first: dt.date) -> Mandate:
    """The default mandate without the simulated exchanges, live from `first` on."""
    plain = yaml.safe_load(text)
    listings = plain["universe"]["listings"]
    plain["universe"]["listings"] = {mic: names for mic, names in listings.items() if mic not in SIMULATED}
    plain["calendar"]["go_live"] = first
    return parse_mandate(yaml.safe_dump(plain))


def with_gaps(tables: Tables, gaps: Mapping[dt.date, float]) -> Tables:
    """The tables with every price from each session on lower by its fraction."""
    prices = tables.prices.copy()
    for session, fraction in sorted(gaps.items()):
        later = (prices["session"].dt.date >= session).to_numpy()
        for column in ("open", "high", "low", "close", "price_level"):
            prices.loc[later, column] = prices.loc[later, column] * (1.0 - fraction)
    return replace(tables, prices=prices)


def turn_of(day: Day, mandate: Mandate) -> Turn:
    """What one day leaves."""
    model, judgement, value = day.known.factor_model, day.decision.judgement, day.rolled.valuation
    kinds = dict(zip(model.scenarios, model.scenario_kinds, strict=True))
    fired: dict[str, Status] = {}
    for results in judgement.rounds:
        for result in results:
            if result.status in COLUMN:
                row = label(result, kinds)
                fired[row] = max(fired.get(row, Status.PASS), result.status)
    extreme: dict[str, tuple[float, float]] = {}
    passive: set[str] = set()
    drift = mandate.limits.passive_breach
    trims = ((NO_BUYS, drift.no_buys), (TRIM, drift.trim))
    for result in judgement.results:
        row = label(result, kinds)
        if result.message.startswith(PASSIVE) and result.observed is not None:
            passive.add(row)
        if result.control == "RC-31" and result.observed is not None:
            passive |= {text for text, level in trims if result.observed > level}
        if (
            result.observed is not None
            and result.limit is not None
            and row not in passive
            and result.control != "RC-31"
        ):
            seen = (result.observed, result.limit)
            nearer = row not in extreme or (seen < extreme[row] if row in FLOORS else _used(seen) > _used(extreme[row]))
            if nearer:
                extreme[row] = seen
    upper = [r for r in judgement.results if r.control == "RC-42" and r.key == "upper"]
    vol, limit = (upper[0].observed, upper[0].limit) if upper else (None, None)
    return Turn(
        state=day.state,
        verdict=judgement.verdict,
        status=day.decision.target.status,
        invested=float(np.nansum(list(value.values.values()))) / value.nav,
        bought=any(o.kind is Kind.EQUITY and o.side is Side.BUY for o in day.decision.batch),
        fired={row: COLUMN[status] for row, status in fired.items()},
        passive=frozenset(passive),
        extreme=extreme,
        vol=math.nan if vol is None else vol,
        vol_limit=math.nan if limit is None else limit,
    )


def _used(seen: tuple[float, float]) -> float:
    observed, limit = seen
    return observed / limit if limit > 0.0 else observed - limit


def episodes(turns: Sequence[Turn]) -> Iterator[Episode]:
    """Every stay below the FULL rung."""
    first: int | None = None
    for place, turn in enumerate((*turns, None)):
        low = turn is not None and turn.state.rung is not Rung.FULL
        if low and first is None:
            first = place
        if not low and first is not None:
            stay = turns[first:place]
            deepest = max((t.state.rung for t in stay), key=DEPTH.index)
            yield Episode(first, place - 1, deepest, max(t.state.drawdown for t in stay))
            first = None


def drifts(turns: Sequence[Turn]) -> dict[str, list[tuple[int, int]]]:
    """Row -> (place, sessions) of every run of sessions in which it was broken by drift alone, in time order."""
    found: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for place, turn in enumerate(turns):
        for row in sorted(turn.passive):
            runs = found[row]
            if runs and sum(runs[-1]) == place:
                runs[-1] = (runs[-1][0], runs[-1][1] + 1)
            else:
                runs.append((place, 1))
    return dict(sorted(found.items()))


def crossings(turns: Sequence[Turn], mandate: Mandate) -> Iterator[tuple[int, Rung, float, int | None]]:
    """(place, rung, overshoot beyond its edge, sessions until the plan obeys the rung's volatility) of every fall to a rung.

    The plan obeys when RC-42 is not broken, not even passively; None when the run ended before.
    """
    ladder = mandate.ladder
    edges = {Rung.REDUCE_ONLY: ladder.reduce_only.at, Rung.TO_CASH: ladder.to_cash.at, Rung.HALT: ladder.halt.at}
    before = Rung.FULL
    for place, turn in enumerate(turns):
        rung = turn.state.rung
        if DEPTH.index(rung) > DEPTH.index(before) and rung in edges:
            cured = next((k for k, later in enumerate(turns[place:]) if _obeys(later)), None)
            yield place, rung, turn.state.drawdown - edges[rung], cured
        before = rung


def _obeys(turn: Turn) -> bool:
    flat = turn.invested <= 1e-9
    return flat or (math.isfinite(turn.vol) and turn.vol <= turn.vol_limit + 1e-9)


def returns_of(turns: Sequence[Turn]) -> np.ndarray:
    """(T - 1,) simple returns of NAV."""
    nav = np.array([turn.state.nav for turn in turns])
    return nav[1:] / nav[:-1] - 1.0


def volatility_lines(turns: Sequence[Turn], mandate: Mandate) -> list[str]:
    """Target, ex ante, realised."""
    target, moves = mandate.volatility.target_per_year, returns_of(turns)
    year = math.sqrt(SESSIONS_PER_YEAR)
    known = [t for t in turns if math.isfinite(t.vol)]
    held = sum(_obeys(t) for t in known)
    rolling = np.array([moves[k - WINDOW : k].std() * year for k in range(WINDOW, len(moves) + 1)])
    ahead = np.array([turns[k - WINDOW].vol for k in range(WINDOW, len(moves) + 1)])
    full = np.array([t.invested > 0.40 for t in turns[: len(ahead)]])
    ratio = rolling[full] / ahead[full] if full.any() else np.array([math.nan])
    return [
        f"- volatility: target {target:.0%} a year at a full ladder; realised over the whole range {moves.std() * year:.1%}, "
        f"ex ante {np.mean([t.vol for t in known]):.1%} on average, at most {max(t.vol for t in known):.2%}",
        f"- the plan's ex-ante volatility within its hard limit (1.10 x target x ladder) on {held} of {len(known)} sessions; "
        f"realised over {WINDOW} sessions / ex ante at their start, where more than 40 % was invested: median "
        f"{np.nanmedian(ratio):.2f}, 5 % to 95 % {np.nanquantile(ratio, 0.05):.2f} .. {np.nanquantile(ratio, 0.95):.2f}",
    ]


def summary(turns: Sequence[Turn], mandate: Mandate) -> list[str]:
    """What the run was."""
    verdicts, statuses = Counter(t.verdict for t in turns), Counter(t.status for t in turns)
    ended = "" if turns[-1].state.halt_class != "C" else "; it ended at a halt of class C"
    nav = turns[-1].state.nav / turns[0].state.nav
    return [
        f"- sessions {turns[0].state.session} .. {turns[-1].state.session}: {len(turns)}{ended}",
        f"- verdicts: {_counted(verdicts)}; answers: {_counted(statuses)}",
        f"- invested {np.mean([t.invested for t in turns]):.1%} on average, at most {max(t.invested for t in turns):.1%}; "
        f"NAV x {nav:.2f}; deepest drawdown of the ladder {max(t.state.drawdown for t in turns):.2%}, since inception "
        f"{max(t.state.drawdown_inception for t in turns):.2%}",
        *volatility_lines(turns, mandate),
    ]


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))


def ladder_table(turns: Sequence[Turn]) -> list[str]:
    """Every stay below FULL that went deeper than a scaled target, with re-arm and re-entry, and how many did not."""
    lines = [
        "| from | to | deepest | drawdown | re-armed | reference before -> after | first buy | invested "
        + " / ".join(f"+{k}" for k in AFTER) + " |",
        "|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    shallow = 0
    for stay in episodes(turns):
        if stay.deepest is Rung.SCALED:
            shallow += 1
            continue
        lines.append(_episode_row(turns, stay))
    return [*lines, "", f"{shallow} more stays on SCALED alone (5 to 10 % drawdown)."]


def _episode_row(turns: Sequence[Turn], stay: Episode) -> str:
    span = range(stay.first, stay.last + 1)
    worst = max(place for place in span if turns[place].state.rung is stay.deepest)
    armed = next((k for k in range(stay.first + 1, stay.last + 2) if k < len(turns) and _rearmed(turns, k)), None)
    entry = next((k for k in range(worst, len(turns)) if turns[k].bought), None)
    later = [f"{turns[entry + k].invested:.0%}" if entry is not None and entry + k < len(turns) else "-" for k in AFTER]
    base = "-"
    if armed is not None:
        base = f"{turns[armed - 1].state.reference_high:,.0f} -> {turns[armed].state.reference_high:,.0f}"
    cells = (
        turns[stay.first].state.session,
        turns[stay.last].state.session,
        stay.deepest.value,
        f"{stay.drawdown:.2%}",
        "-" if armed is None else turns[armed].state.session,
        base,
        "-" if entry is None else turns[entry].state.session,
        " / ".join(later),
    )
    return f"| {' | '.join(map(str, cells))} |"


def _rearmed(turns: Sequence[Turn], place: int) -> bool:
    return turns[place].state.session in turns[place].state.rearms


def crossing_table(turns: Sequence[Turn], mandate: Mandate) -> list[str]:
    """Every fall to a rung from 10 % on."""
    lines = [
        "| session | rung | drawdown | beyond the edge | NAV that day | invested | sessions until the plan obeys |",
        "|---" * 7 + "|",
    ]
    for place, rung, over, cured in crossings(turns, mandate):
        turn, moved = turns[place], turns[place].state.nav / turns[max(place - 1, 0)].state.nav - 1.0
        told = "not within the run" if cured is None else str(cured)
        lines.append(
            f"| {turn.state.session} | {rung.value} | {turn.state.drawdown:.2%} | {over:.2%} | {moved:.2%} "
            f"| {turn.invested:.0%} | {told} |"
        )
    return lines


def drift_table(turns: Sequence[Turn]) -> list[str]:
    """Every limit that was broken by drift alone, how often and for how long."""
    lines = [
        f"| row | times | sessions | longest | longer than {CURE_SESSIONS} | the longest began |",
        "|---|---|---|---|---|---|",
    ]
    for row, runs in drifts(turns).items():
        place, most = max(runs, key=lambda run: run[1])
        late = sum(length > CURE_SESSIONS for _, length in runs)
        total = sum(length for _, length in runs)
        lines.append(f"| {row} | {len(runs)} | {total} | {most} | {late} | {turns[place].state.session} |")
    return lines


def cap_table(turns: Sequence[Turn]) -> list[str]:
    """Per row the answer nearest to its limit in the round judged last, drift alone left out."""
    lines = ["| row | nearest to its limit | limit | session |", "|---|---|---|---|"]
    rows = sorted({row for turn in turns for row in turn.extreme})
    for row in rows:
        seen = [(turn.extreme[row], turn.state.session) for turn in turns if row in turn.extreme]
        pick = min if row in FLOORS else max
        (observed, limit), session = pick(seen, key=lambda pair: pair[0][0] if row in FLOORS else _used(pair[0]))
        lines.append(f"| {row} | {observed:.4g} | {limit:.4g} | {session} |")
    return lines


def fired_table(turns: Sequence[Turn]) -> list[str]:
    """Per row and year the sessions in which it warned, shrank or rejected at worst; nothing where it was silent."""
    years = sorted({turn.state.session.year for turn in turns})
    counts: dict[str, dict[int, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for turn in turns:
        for row, column in turn.fired.items():
            counts[row][turn.state.session.year][column] += 1
    lines = [f"| row | {' | '.join(str(y) for y in years)} |", "|---" * (len(years) + 1) + "|"]
    for row in sorted(counts):
        cells = [_cell(counts[row][year]) for year in years]
        lines.append(f"| {row} | {' | '.join(cells)} |")
    return lines


def _cell(counts: Counter[str]) -> str:
    parts = [
        f"{counts[name]}{mark}" for name, mark in (("warned", "w"), ("shrank", "s"), ("rejected", "r")) if counts[name]
    ]
    return " ".join(parts)


def report(turns: Sequence[Turn], mandate: Mandate) -> list[str]:
    """The whole report as Markdown lines."""
    parts = (
        ("", summary(turns, mandate)),
        ("Falls to a rung", crossing_table(turns, mandate)),
        ("Stays below FULL", ladder_table(turns)),
        ("Broken by drift", drift_table(turns)),
        ("Nearest to the limits", cap_table(turns)),
        ("What fired when", fired_table(turns)),
    )
    return [line for title, lines in parts for line in ([f"### {title}", ""] if title else []) + lines + [""]]


def run(first: dt.date, last: dt.date, gaps: Mapping[dt.date, float]) -> tuple[list[Turn], Mandate]:
    """Every session of the range, from cash."""
    mandate = real_mandate(read_mandate_text(), first)
    tables = tables_until(Ports(), mandate, computed_cutoff(mandate.schedule, LAST), lambda body: "")
    history = History(with_gaps(tables, gaps), mandate, first, last)
    return [turn_of(day, mandate) for day in run_days(history, mandate, opening_account(mandate, history))], mandate


def main(words: Sequence[str]) -> None:
    """Prints the report."""
    marks = [word for place, word in enumerate(words) if place and words[place - 1] == "--gap"]
    dates = [word for word in words if word != "--gap" and word not in marks]
    first, last = (dt.date.fromisoformat(dates[0]), dt.date.fromisoformat(dates[1])) if dates else (FIRST, LAST)
    gaps = {dt.date.fromisoformat(day): float(size) for day, size in (mark.split("=") for mark in marks)}
    for session, fraction in sorted(gaps.items()):
        print(f"- planted: every price {fraction:.0%} lower from {session} on")
    print("\n".join(report(*run(first, last, gaps))))


if __name__ == "__main__":
    main(sys.argv[1:])
