"""What the book earned over a period: `performance`. Not here: the arithmetic (`audit.performance`), the page
(`audit.report_performance`).

Only sessions of the real book are read, never the table `backtest`; a skipped session's book was overtaken and does not count.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from marketbot_assets.commands.drift import write_page
from marketbot_assets.commands.home import existing_lake
from marketbot_assets.commands.status import nearest_limits
from marketbot_assets.restated_facts import restatements_of
from marketbot_resources.errors import UsageError
from marketbot_resources.sessions import CASH, WARM_UP, book_open, is_skipped
from marketbot_resources.store.index import END_OF_TIME
from marketbot_resources.store.resource import session_from_key

if TYPE_CHECKING:
    import pandas as pd

    from marketbot_assets.audit.performance import Performance, Point
    from marketbot_resources.store.lake import Lake

View = dict[str, object]
OPENINGS = {CASH: "with cash", WARM_UP: "with what the decision makes of the sessions since go-live"}
PERCENTS = frozenset(
    (
        "time_weighted_return",
        "time_weighted_gross",
        "time_weighted_per_year",
        "money_weighted_return",
        "volatility",
        "volatility_36_months",
        "drawdown_max",
        "turnover",
    )
) | {
    "turnover_per_year",
    "benchmark_return",
    "tracking_difference",
    "tracking_error",
    "hit_rate_sessions",
    "hit_rate_names",
}


def performance_now(start: str | None, end: str | None, page: str | None) -> View:
    """The period's numbers as a plain dictionary. `start`, `end`: first and last session, inclusive; default: all there are.

    Raises UsageError when the period holds no two sessions of one environment, or a day is no date.
    """
    from marketbot_assets.audit.performance import performance

    lake = existing_lake()
    days = _days(lake, start, end)
    points = [_point(lake, days, place) for place in range(days.first, len(days.parts))]
    found = performance([points[0], *(_beside(lake, *pair) for pair in pairwise(points))])
    view = _view(lake, found, days.parts[-1])
    if page is not None:
        from marketbot_assets.audit.report_performance import performance_page

        names = _tickers(lake, days.parts[-1])
        view["path"] = str(write_page(page, performance_page(found, view, names)))
    return view


def _beside(lake: "Lake", before: "Point", point: "Point") -> "Point":
    """The point with what the market did beside it, as far as it was stored."""
    from marketbot_assets.excess_facts import market_facts_of

    facts = market_facts_of(lake, before.session.isoformat(), point.session.isoformat(), before.nav + point.flow)
    if facts is None:
        return point
    return replace(
        point,
        base_currency=facts.base_currency,
        started=facts.started,
        moves=facts.moves,
        markets=facts.benchmark,
        factors=facts.factors,
        cash=facts.cash,
    )


class _Days:
    """Sessions of the book up to the end of the period; the period's base, the session before it, stands at `first`."""

    def __init__(self, parts: list[str], start: str | None) -> None:
        self.parts = parts
        inside = [place for place, part in enumerate(parts) if start is None or part >= start]
        self.first = max(0, (inside[0] if inside else len(parts)) - 1)


def _days(lake: "Lake", start: str | None, end: str | None) -> _Days:
    for name in (start, end):
        if name is not None:
            session_from_key(name)
    if start is not None and end is not None and start > end:
        raise UsageError(f"performance: expected --from before --to, found {start} and {end}")
    rows = lake.index.up_to("book_state", end or END_OF_TIME)
    return _Days([row.part for row in rows if not is_skipped(lake.ledger, row.part)], start)


def _point(lake: "Lake", days: _Days, place: int) -> "Point":
    from marketbot_assets.audit.performance import Point
    from marketbot_assets.book.frames import state_of

    part = days.parts[place]
    snapshot, costs = _stored(lake, "account_snapshot", part), _stored(lake, "execution_costs", part)
    brokers = [] if snapshot is None else list(snapshot.loc[snapshot["kind"] == "BROKER", "text"])
    report = _stored(lake, "daily_report", part)
    summary = {} if report is None else json.loads(str(report["summary_json"].iloc[0]))
    state = _stored(lake, "book_state", part)
    assert state is not None, "the index names it"
    told, prices = summary.get("benchmark_return"), None if summary else _stored(lake, "prices", part)
    synthetic = bool(summary["synthetic"]) if summary else prices is None or bool(prices["synthetic"].any())
    traded = cost = 0.0
    if costs is not None:
        shares = ~costs["instrument"].str.startswith("FX:")
        traded, cost = float(costs.loc[shares, "value_base"].sum()), float(costs["total_base"].sum())
    return Point(
        session=session_from_key(part),
        nav=state_of(state).nav,
        environment=str(brokers[0]) if len(brokers) == 1 else "",
        synthetic=synthetic,
        flow=_flow(lake, days.parts[place - 1], part) if place > days.first else 0.0,
        attribution=_stored(lake, "attribution", part),
        traded=traded,
        cost=cost,
        benchmark=math.nan if told is None else float(told),
        benchmark_sectors={str(k): (float(w), float(r)) for k, (w, r) in summary.get("benchmark_sectors", {}).items()},
        held_before=_held_before(lake, days.parts[place - 1], part) if place > days.first else {},
    )


def _held_before(lake: "Lake", before: str, part: str) -> dict[str, float]:
    """Sector -> value of the positions after the session before, base currency; sectors as the session's attribution says."""
    held, rows = _stored(lake, "positions", before), _stored(lake, "attribution", part)
    if held is None or rows is None:
        return {}
    own = rows[rows["kind"] == "POSITION"]
    sectors = dict(zip(own["name"].astype(str), own["sector"].astype(str), strict=True))
    values: dict[str, list[float]] = {}
    shares = held[held["kind"] == "POSITION"]
    for name, value in zip(shares["key"].astype(str), shares["value_base"].astype(float), strict=True):
        values.setdefault(sectors.get(name, "UNKNOWN"), []).append(value)
    return {sector: math.fsum(parts) for sector, parts in sorted(values.items())}


def _stored(lake: "Lake", asset: str, part: str) -> "pd.DataFrame | None":
    row = lake.index.newest(asset, part)
    return None if row is None else lake.load(row)


def _flow(lake: "Lake", before: str, part: str) -> float:
    """Owner's cash in base currency that the session before heard of and whose reconciliation took it into this session's book.

    NaN, which refuses the period, when its rate is not known.
    """
    snapshot, compared = _stored(lake, "account_snapshot", before), _stored(lake, "reconciliation", before)
    if snapshot is None or compared is None:
        return 0.0
    moved = snapshot[(snapshot["kind"] == "EVENT") & (snapshot["order_kind"] == "TRANSFER")]
    taken = set(compared.loc[(compared["kind"] == "CASH") & (compared["outcome"] == "explained"), "key"])
    moved = moved[moved["currency"].isin(taken)]
    if moved.empty:
        return 0.0
    positions = _stored(lake, "positions", part)
    rates = {} if positions is None else dict(zip(positions["currency"], positions["fx"].astype(float), strict=True))
    pairs = zip(moved["amount"], moved["currency"], strict=True)
    return math.fsum(float(amount) * rates.get(currency, math.nan) for amount, currency in pairs)


def _tickers(lake: "Lake", part: str) -> dict[str, str]:
    from marketbot_assets.audit.report_facts import rows_of, tickers_of

    return tickers_of(rows_of(_stored(lake, "instruments", part)))


def _view(lake: "Lake", found: "Performance", part: str) -> View:
    verdict, mandate = _stored(lake, "risk_verdict", part), lake.index.newest("mandate", "static")
    size, root = lake.ledger.head()
    ended, opened = [entry.key for entry in lake.ledger.entries("session_end")], book_open(lake.ledger)
    base = "" if mandate is None else _base(lake.load(mandate))
    numbers = {**asdict(found), "first": found.first.isoformat(), "last": found.last.isoformat()}
    return {
        **numbers,
        "base_currency": base,
        "inception": min(ended, default=None),
        "opened": None if opened is None else f"for {opened.session.isoformat()}, {OPENINGS[opened.opening]}",
        "exposures": [] if verdict is None else nearest_limits(verdict),
        "restated": restatements_of(lake, found.first, found.last),
        "ledger": {"size": size, "root": root},
        "path": None,
    }


def _base(mandate: "pd.DataFrame") -> str:
    return str(json.loads(str(mandate["canonical_json"].iloc[0])).get("base_currency", ""))


def performance_lines(view: View) -> list[str]:
    """The headline numbers, the months, what moved the book and what it does not know, for people."""
    numbers, by, months, notes = view["numbers"], view["by"], view["months"], view["notes"]
    assert isinstance(numbers, Mapping)
    assert isinstance(by, Mapping)
    assert isinstance(months, list)
    assert isinstance(notes, list)
    synthetic = ", partly simulated data" if view["synthetic"] else ""
    lines = [f"{view['first']} to {view['last']}, {view['environment']} account, {view['base_currency']}{synthetic}"]
    lines += [f"  {name.replace('_', ' '):<26} {_told(name, value):>16}" for name, value in numbers.items()]
    lines.append("month     sessions    return  benchmark          profit")
    for row in months:
        shown = (
            f"{100 * row[name]:8.2f}%" if math.isfinite(row[name]) else "      n/a" for name in ("return", "benchmark")
        )
        lines.append(f"{row['month']}   {row['sessions']:>8} {'  '.join(shown)} {row['profit']:>15,.2f}")
    for dimension in ("SECTOR", "CURRENCY"):
        told = ", ".join(f"{row['name']} {row['total']:,.2f}" for row in by[dimension])
        lines.append(f"by {dimension.lower()}: {told or 'nothing'}")
    lines += _excess_lines(view["excess"])
    lines += _effect_lines("excess by market and currency", view["markets"]) + _effect_lines(
        "by factor", view["factors"]
    )
    lines += _restated_lines(view["restated"])
    lines += [f"not known: {note}" for note in notes]
    if view["path"]:
        lines.append(f"page: {view['path']}")
    return lines


def _restated_lines(rows: object) -> list[str]:
    """Numbers that reports of the period told otherwise at first."""
    assert isinstance(rows, list)
    return [
        f"restated: {row['session']} {row['number']} from {row['old']} to {row['new']}, {row['reason']}" for row in rows
    ]


def _excess_lines(rows: object) -> list[str]:
    """The excess over the benchmark by sector, in percent; nothing where no session could be compared."""
    assert isinstance(rows, list)
    if not rows:
        return []
    lines = [f"{'excess over the benchmark':<28}  weight   bench.   alloc.  select.    total"]
    columns = ("weight", "benchmark_weight", "allocation", "selection", "total")
    for row in rows:
        shown = (f"{100 * row[c]:8.2f}" if math.isfinite(row[c]) else f"{'':8}" for c in columns)
        lines.append(f"  {row['name']:<26} {' '.join(shown)}")
    return lines


def _effect_lines(title: str, rows: object) -> list[str]:
    """Effects in percent, one line each; nothing where no session could be compared."""
    assert isinstance(rows, list)
    lines = [f"  {row['kind']:<9} {row['name']:<30} {100 * row['total']:8.2f}" for row in rows]
    return [f"{title}, percent, linked after Carino", *lines] if rows else []


def _told(name: str, value: float) -> str:
    if not math.isfinite(value):
        return "n/a"
    if name in PERCENTS:
        return f"{100 * value:.2f} %"
    return f"{value:,.0f}" if name.endswith("sessions") else f"{value:,.2f}"
