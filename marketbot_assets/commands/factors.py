"""`factors`: what scores were worth over a past range. Not here: how it is measured (`research.factor_evaluation`), the page."""

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING

from marketbot_assets.commands.drift import write_page
from marketbot_assets.commands.home import existing_lake, instance
from marketbot_assets.commands.run_failure import why
from marketbot_assets.commands.sessions import QUIET
from marketbot_resources.errors import MarketbotError, UsageError
from marketbot_resources.store.index import STATIC

if TYPE_CHECKING:
    import pandas as pd

    from marketbot_resources.ledger.record import Json

ASSET, JOB = "factor_evaluation", "factor_range"
LINES_SHOWN = 40
View = dict[str, object]


def evaluate_range(first: dt.date, last: dt.date, declared: Sequence[str]) -> None:
    """Materializes the asset over a range. Raises MarketbotError with the reason when the run fails."""
    from marketbot_assets.definitions import defs

    given = {"first": first.isoformat(), "last": last.isoformat(), "declared": list(declared)}
    config = {"ops": {ASSET: {"config": given}}, **QUIET}
    with instance() as dagster:
        run = defs.resolve_job_def(JOB).execute_in_process(instance=dagster, raise_on_error=False, run_config=config)
    if not run.success:
        raise MarketbotError(f"factors: {why(run.all_events)}")


def factors_now(page: str | None) -> View:
    """The newest stored evaluation. `page`: a file for the HTML page. Raises UsageError when there is none."""
    from marketbot_assets.research.factor_evaluation_report import Range, by_chance, factor_page, main_horizon

    lake = existing_lake()
    row = lake.index.newest(ASSET, STATIC)
    if row is None:
        raise UsageError(f"no evaluation is stored in {lake.home}; give a range, like `marketbot factors A B`")
    frame, facts = lake.load(row), lake.manifest(row)
    horizon = main_horizon(frame)
    judged, large, chance = by_chance(frame, horizon)
    view: View = {
        "first": facts["first"],
        "last": facts["last"],
        "sessions": facts["sessions"],
        "synthetic": facts["synthetic"],
        "delay": facts["delay"],
        "horizon": horizon,
        "judged": judged,
        "beyond_two_errors": large,
        "by_chance": round(chance, 2),
        "scores": scores_of(frame, horizon),
        "content_sha256": row.content_sha256,
        "path": None,
    }
    if page is not None:
        about = Range(
            _day(facts["first"]), _day(facts["last"]), int(str(facts["sessions"])), int(str(facts["delay"])),
            bool(facts["synthetic"]),
        )  # fmt: skip
        view["path"] = str(write_page(page, factor_page(frame, about)))
    return view


def _day(value: "Json") -> dt.date:
    return dt.date.fromisoformat(str(value))


def scores_of(frame: "pd.DataFrame", horizon: int) -> list[View]:
    """Per score, strongest first: rank IC and spread with t at a horizon, turnover, coverage, what it resembles most."""
    from marketbot_assets.research import factor_evaluation as facts
    from marketbot_assets.research.factor_evaluation_charts import by_strength

    found: list[View] = []
    parts = {str(name): rows for name, rows in frame.groupby("factor")}
    for name in by_strength(frame, horizon):
        own = parts[name]
        ic, spread = ((name, measure, horizon, facts.ALL, "") for measure in (facts.IC, facts.SPREAD))
        other, alike = facts.crowded(own, name)
        found.append(
            {
                "score": name,
                "ic": facts.number(own, ic),
                "ic_t": facts.number(own, ic, "t"),
                "sessions": int(facts.number(own, ic, "observations")),
                "spread": facts.number(own, spread),
                "spread_t": facts.number(own, spread, "t"),
                "turnover": facts.number(own, (name, facts.TURNOVER, horizon, facts.ALL, facts.TOP)),
                "coverage": facts.number(own, (name, facts.COVERAGE, 0, facts.ALL, "")),
                "variance_share": facts.number(own, (name, facts.VARIANCE_SHARE, 1, facts.ALL, "")),
                "most_like": other,
                "correlation": alike,
            }
        )
    return found


def factors_lines(view: View) -> list[str]:
    """The scores for people."""
    scores = view["scores"]
    assert isinstance(scores, list)
    lines = [
        f"{view['first']} to {view['last']}: {view['sessions']} sessions, outcomes over {view['horizon']} from"
        f" {view['delay']} session after the score" + ("; partly simulated data" if view["synthetic"] else ""),
        "score                         rank IC       t   spread       t  turnover  coverage  most like",
    ]
    for one in scores[:LINES_SHOWN]:
        cells = (
            f"{_told(one['ic'], 4)} {_told(one['ic_t'], 2)} {_told(one['spread'], 4, 8)} {_told(one['spread_t'], 2)}"
        )
        rest = f"{_told(one['turnover'], 3, 9)} {_told(one['coverage'], 3, 9)}"
        alike = f"{one['most_like']} {_told(one['correlation'], 2, 0)}" if one["most_like"] else "not known"
        lines.append(f"{one['score']:<28}  {cells} {rest}  {alike}")
    if len(scores) > LINES_SHOWN:
        lines.append(f"and {len(scores) - LINES_SHOWN} more (--json, --html)")
    lines.append(
        f"{view['beyond_two_errors']} of {view['judged']} beyond two errors;"
        f" of worthless, unlike scores {view['by_chance']} would be"
    )
    if view["path"]:
        lines.append(f"page: {view['path']}")
    return lines


def _told(value: float, digits: int, width: int = 7) -> str:
    return f"{'n/a' if value != value else f'{value:.{digits}f}':>{width}}"
