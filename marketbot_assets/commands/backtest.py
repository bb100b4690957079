"""`backtest A B`: materializes the asset `backtest` for a range and returns its table. It needs no book and opens none."""

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from marketbot_assets.commands.home import existing_lake, instance, load_mandate
from marketbot_assets.commands.sessions import QUIET
from marketbot_resources.errors import MarketbotError
from marketbot_resources.store.index import STATIC

if TYPE_CHECKING:
    import pandas as pd

    from marketbot_resources.store.index import IndexRow

ASSET, JOB = "backtest", "backtest_range"
View = dict[str, object]


@dataclass(frozen=True, slots=True)
class Further:
    """Which tests against overfitting follow: where their backtests run (`open_pool`), how many with scores of other names."""

    where: str
    random_runs: int


def backtest(first: dt.date, last: dt.date, tests: Further | None = None) -> View:
    """Runs the sessions first..last of the sample world. Raises MarketbotError with the reason when the run fails."""
    from marketbot_assets.definitions import defs
    from marketbot_assets.research.outcomes import how_often

    job = defs.resolve_job_def(JOB)
    config = {"ops": {ASSET: {"config": {"first": first.isoformat(), "last": last.isoformat()}}}, **QUIET}
    with instance() as dagster:
        run = job.execute_in_process(instance=dagster, raise_on_error=False, run_config=config)
    if not run.success:
        failures = [event for event in run.all_events if event.is_step_failure]
        data = failures[0].step_failure_data if failures else None
        raise MarketbotError(f"backtest: {data.error.message.strip() if data and data.error else 'the run failed'}")
    lake = existing_lake()
    row = lake.index.newest(ASSET, STATIC)
    assert row is not None, "the run has just stored it"
    frame, tested = lake.load(row), tested_view(row, tests, run.run_id)
    return {
        **tested,
        "sessions": _rows(frame),
        "controls": _rows(how_often(frame)),
        "summary": summary(frame, last),
        "content_sha256": row.content_sha256,
        "file_sha256": row.file_sha256,
        "synthetic": bool(lake.manifest(row).get("synthetic", True)),
    }


def tested_view(row: "IndexRow", tests: Further | None, run_id: str) -> View:
    """`first_line` of a report about a stored backtest, and the rows of its newest tests; `tests`: run them now."""
    from marketbot_assets.research.tested import first_line
    from marketbot_assets.tested_runs import newest_tested, run_tests

    lake = existing_lake()
    if tests is None:
        tested = newest_tested(lake, row.content_sha256)
    else:
        mandate = load_mandate()
        tested = run_tests(lake, row, mandate, tests.where, random_runs=tests.random_runs, run_id=run_id)
    return {"first_line": first_line(tested), "tests": [] if tested is None else tested.told()}


def _rows(frame: "pd.DataFrame") -> list[View]:
    shown = frame.assign(session=frame["session"].dt.date.astype(str)) if "session" in frame else frame
    return [{str(key): value for key, value in row.items()} for row in shown.to_dict("records")]


def summary(frame: "pd.DataFrame", last: dt.date) -> str:
    """One line: return, worst drawdown, share invested, costs; and whether the book halted before the end."""
    nav, ended = frame["nav"], frame["session"].iloc[-1].date()
    text = (
        f"NAV {nav.iloc[0]:,.0f} -> {nav.iloc[-1]:,.0f}; worst drawdown {frame['drawdown'].max():.2%}; "
        f"invested {frame['invested'].mean():.1%} on average; fees and taxes {frame['costs_base'].sum():,.0f}; "
        f"{int((frame['verdict'] == 'APPROVED').sum())} of {len(frame)} verdicts APPROVED; "
        f"language models: {frame['llm'].iloc[0]}"
    )
    return text if ended >= last else f"{text}; HALTED, class C, after {ended}: an operator must re-arm"
