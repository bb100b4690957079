"""`backtest A B`: materializes the asset `backtest` for a range and returns its table. It needs no book and opens none."""

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from marketbot_assets.commands.home import existing_lake, instance, load_mandate
from marketbot_assets.commands.run_failure import why
from marketbot_assets.commands.sessions import QUIET
from marketbot_resources.errors import MarketbotError
from marketbot_resources.store.index import STATIC

if TYPE_CHECKING:
    import pandas as pd

    from marketbot_assets.research.tested import Tested
    from marketbot_resources.store.index import IndexRow

ASSET, JOB = "backtest", "backtest_range"
View = dict[str, object]


@dataclass(frozen=True, slots=True)
class Further:
    """Which backtests follow, and where they run (`open_pool`): of subsets of the scores, and those that tests against overfitting
    need, `random_runs` of them with scores of other names.
    """

    where: str = "local"
    signals: bool = False
    tests: bool = False
    random_runs: int = 0


ALONE = Further()


def backtest(first: dt.date, last: dt.date, further: Further = ALONE) -> View:
    """Runs the sessions first..last of the sample world. Raises MarketbotError with the reason when the run fails."""
    from marketbot_assets.definitions import defs
    from marketbot_assets.research.outcomes import how_often
    from marketbot_assets.signal_shares import families_of, signal_shares

    mandate = load_mandate()
    if further.signals:
        families_of(mandate)
    job = defs.resolve_job_def(JOB)
    config = {"ops": {ASSET: {"config": {"first": first.isoformat(), "last": last.isoformat()}}}, **QUIET}
    with instance() as dagster:
        run = job.execute_in_process(instance=dagster, raise_on_error=False, run_config=config)
    if not run.success:
        raise MarketbotError(f"backtest: {why(run.all_events)}")
    lake = existing_lake()
    row = lake.index.newest(ASSET, STATIC)
    assert row is not None, "the run has just stored it"
    frame = lake.load(row)
    shares = signal_shares(lake, row, mandate, further.where, run_id=run.run_id) if further.signals else {}
    return {
        **tested_view(row, further, run.run_id),  # after the signals, whose runs are trials, too
        "signals": shares,
        "sessions": _rows(frame),
        "controls": _rows(how_often(frame)),
        "summary": summary(frame, last),
        "content_sha256": row.content_sha256,
        "file_sha256": row.file_sha256,
        "synthetic": bool(lake.manifest(row).get("synthetic", True)),
        "described_later": int(str(lake.manifest(row).get("described_later", 0))),
    }


def tested_view(row: "IndexRow", further: Further, run_id: str) -> View:
    """`first_line` of a report about a stored backtest, and the rows of its newest tests, which run now if they shall."""
    from marketbot_assets.model_trials import BACKTEST, trials
    from marketbot_assets.research.tested import first_line
    from marketbot_assets.tested_runs import newest_tested, run_tests

    lake = existing_lake()
    if further.tests:
        tested: Tested | None = run_tests(
            lake, row, load_mandate(), further.where, random_runs=further.random_runs, run_id=run_id
        )
    else:
        tested = newest_tested(lake, row.content_sha256)
    on_record = len(trials(lake.ledger, BACKTEST))
    return {"first_line": first_line(tested, on_record), "tests": [] if tested is None else tested.told()}


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
