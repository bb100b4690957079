"""Proves that nothing at a session depends on what became known after its cutoff: `leakcheck`. It writes nothing.

The rows are a home's own, in whose objects every asset of the graph is rebuilt as well; without a home they are the sample
world's. Not here: the checks (`research.leakcheck`), which are run where (`research.leak_campaign`), a home's graph
(`leakcheck_home`), how it is told (`leakcheck_text`).
"""

import datetime as dt
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from marketbot_assets.commands.home import load_mandate
from marketbot_resources import settings
from marketbot_resources.calendars import computed_cutoff, decision_sessions
from marketbot_resources.errors import UsageError
from marketbot_resources.mandate import Mandate
from marketbot_resources.store.index_opening import has_index

if TYPE_CHECKING:
    from marketbot_assets.research.leakcheck import Result
    from marketbot_assets.research.worlds import World
    from marketbot_resources.store.lake import Lake

View = dict[str, object]


@dataclass(frozen=True, slots=True)
class Checked:
    """What is checked: rows as received, tidy rows, the mandate they were made under, the last session with data."""

    raw: "World"
    tidy: "World"
    mandate: Mandate
    last: dt.date
    lake: "Lake | None"


def leakcheck(cuts: int, feature: str | None, session: str | None, *, quiet: bool = True) -> View:
    """Everything that `leakcheck` shows. Raises UsageError for a feature or session that does not exist."""
    from tqdm import tqdm

    from marketbot_assets.commands.leakcheck_home import graph_results
    from marketbot_assets.features.catalogue import names
    from marketbot_assets.features.registry import NAMES
    from marketbot_assets.research.embargo import known_at_respects_embargo
    from marketbot_assets.research.leak_campaign import DECLARED, Reached, declared_plan_of, examine, feature_plan, plan

    every = (*NAMES, *names(), DECLARED)
    if feature is not None and feature not in every:
        raise UsageError(f"feature {feature}: expected one of {', '.join(every)}")
    found, reached = _rows(), Reached()
    day = None if session is None else _session(session, found)
    if feature is None:
        steps = plan(found.raw, found.tidy, found.mandate, found.last, reached, cuts=cuts, session=day)
    elif feature == DECLARED:
        steps = declared_plan_of(found.tidy, found.mandate, found.last, cuts=cuts, session=day)
    else:
        steps = feature_plan(found.tidy, found.mandate, found.last, feature, cuts=cuts, session=day)
    total = sum(len(step.ground.cuts) for step in steps)
    with tqdm(total=total, unit="cut", desc="leakcheck", disable=quiet or not sys.stderr.isatty()) as bar:

        def seen() -> None:
            bar.update()

        results = examine(steps, seen=seen)
    if feature is None:
        results += [*reached.results(), *known_at_respects_embargo(found.tidy)]
        results += graph_results(found.lake, day) if found.lake is not None else []
    elif feature != DECLARED:
        wanted = (f"features.{feature}", f"wide_features.{feature}", "market", "wide_features")
        results = [result for result in results if result.output in wanted]
    return view_of(results, found, feature, sorted({cut for step in steps for cut in step.ground.cuts}))


def view_of(results: "Sequence[Result]", found: Checked, feature: str | None, cuts: Sequence[dt.date]) -> View:
    """Results as a plain dictionary: one row per check and output, what leaks first."""
    order = {"leaks": 0, "unverified": 1, "ok": 2}
    ranked = sorted(results, key=lambda r: (order[r.status], r.check, r.output))
    leaks = [result for result in ranked if result.leaks]
    return {
        "fine": not leaks,
        "feature": feature,
        "world": "sample" if found.lake is None else str(found.lake.home),
        "last": found.last,
        "cuts": list(cuts),
        "counts": {status: sum(r.status == status for r in ranked) for status in ("ok", "leaks", "unverified")},
        "findings": [finding(result) for result in leaks],
        "results": [_row(result) for result in ranked],
    }


def finding(result: "Result") -> str:
    """One line: what leaks, by which check, by how much and where."""
    if result.raised:
        return (
            f"{result.output}: {result.check} at the cut after {result.cut}: expected an answer, found {result.raised}"
        )
    return (
        f"{result.output}: {result.check} at {result.cut}: {result.key} differs by {result.worst:.3g} "
        f"(allowed {result.tolerance:.3g}); it depends on rows that this cut may not see"
    )


def _row(result: "Result") -> View:
    return {
        "check": result.check,
        "output": result.output,
        "status": result.status,
        "worst": "unbounded" if result.worst == float("inf") else result.worst,
        "tolerance": result.tolerance,
        "cut": result.cut,
        "key": result.key,
        "cuts": result.cuts,
        "compared": result.compared,
        "raised": result.raised,
    }


def _session(text: str, found: Checked) -> dt.date:
    mandate = found.mandate
    try:
        day = dt.date.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"session {text}: expected a date like 2018-12-24") from error
    if not decision_sessions(mandate.calendar, day, day) or not mandate.calendar.go_live <= day <= found.last:
        raise UsageError(
            f"session {text}: expected one of {mandate.calendar.mic} from {mandate.calendar.go_live} to {found.last}"
        )
    return day


def _rows() -> Checked:
    """The home's rows if it has any, else the sample world's."""
    from marketbot_assets.commands.leakcheck_home import home_rows
    from marketbot_resources.store.lake import open_lake

    home = settings.home()
    if has_index(home):
        lake = open_lake(home)
        stored = home_rows(lake)
        if stored is not None:
            return Checked(*stored, lake)
    return _sample(load_mandate())


def _sample(mandate: Mandate) -> Checked:
    from marketbot_assets.rebuild_data import ReceivedBody, rows_of
    from marketbot_assets.research.layers import tidy
    from marketbot_resources.fundamentals.sample import SampleFundamentals
    from marketbot_resources.macro.sample import SampleMacro
    from marketbot_resources.market.sample import SampleMarket
    from marketbot_resources.news.sample import SampleNews

    market, last = SampleMarket(), mandate.calendar.last_session
    until = computed_cutoff(mandate.schedule, last)
    served = {
        "raw_instruments": market.instruments(until),
        "raw_prices": market.prices(None, until),
        "raw_corporate_actions": market.corporate_actions(None, until),
        "raw_fx": market.fx(None, until),
        "raw_macro": SampleMacro().series(None, until),
        "raw_fundamentals": SampleFundamentals().filings(None, until),
        "raw_news": SampleNews().headlines(None, until),
    }
    raw = {
        asset: rows_of(asset, [ReceivedBody(b.content, b.provider, "", b.parser, b.asked) for b in delivery.bodies])
        for asset, delivery in served.items()
    }
    return Checked(raw, tidy(raw, mandate, until), mandate, last, None)
