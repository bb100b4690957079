"""The further backtests that tests against overfitting need, and what they say of one, recorded in the ledger.

Dearer markets, more cash and scores of other names are counted apart (slot `backtest_stress`): nobody picks from them. Not here:
the statistics and their rules (`research.tested`), running backtests (`backtest_points`).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from marketbot_assets.backtest_points import STRESS, Outcome, data_of, frames, run_points, slot_columns, stored_work
from marketbot_assets.backtest_task import larger
from marketbot_assets.insight.model_card import canonical_bytes
from marketbot_assets.model_trials import BACKTEST, search
from marketbot_resources.errors import LedgerError, UsageError

if TYPE_CHECKING:
    import pandas as pd

    from marketbot_assets.research.tested import Runs, Tested
    from marketbot_resources.ledger.record import Json
    from marketbot_resources.mandate import Mandate
    from marketbot_resources.store.index import IndexRow
    from marketbot_resources.store.lake import Lake

KIND = "backtest_tested"
SIZES = (10, 100)


def judged(lake: "Lake", row: "IndexRow", runs: "Runs | None" = None) -> "Tested | None":
    """What a stored backtest has been through, by the trials on record today; None when its manifest names no inputs."""
    from marketbot_assets.research.sweep_table import returns_of
    from marketbot_assets.research.tested import judge

    frame, facts = lake.load(row), lake.manifest(row)
    if not facts.get("inputs_sha256"):
        return None
    returns, first = returns_of(frame), str(frame["session"].iloc[0].date())
    data = data_of(lake, str(facts["inputs_sha256"]), first)
    found = search(lake, BACKTEST, spec_sha256=str(facts["mandate_content_sha256"]), data_sha256=data)
    columns = slot_columns(lake, BACKTEST, data, len(returns))
    llm = str(frame["llm"].iloc[0])
    return judge(returns, found, columns, backtest=row.content_sha256, llm=llm, runs=runs)


def run_tests(
    lake: "Lake", row: "IndexRow", mandate: "Mandate", where: str, *, random_runs: int, run_id: str
) -> "Tested":
    """Runs what the tests of a stored backtest need, judges it and records the answer.

    Raises UsageError when the backtest is not that of this mandate, WorkError for lost workers; what was finished is kept.
    """
    from marketbot_assets.research.sharpe_statistics import moments
    from marketbot_assets.research.sweep_table import returns_of
    from marketbot_assets.research.tested import Runs, Size

    work = stored_work(lake, row, mandate, "tests")
    works = [replace(work, costs=2.0), *(larger(work, times) for times in SIZES)]
    works += [replace(work, null=seed) for seed in range(1, random_runs + 1)]
    outcomes = run_points(lake, works, where, run_id=run_id, slot=STRESS)
    returns = [
        returns_of(_whole(outcome, frame)) for outcome, frame in zip(outcomes, frames(lake, outcomes), strict=True)
    ]
    runs = Runs(
        costly=returns[0],
        sizes=[Size(times, returns[place]) for place, times in enumerate(SIZES, start=1)],
        random=[moments(one).sharpe for one in returns[1 + len(SIZES) :]],
    )
    tested = judged(lake, row, runs)
    assert tested is not None, "its inputs were just read"
    record_tested(lake, tested)
    return tested


def _whole(outcome: Outcome, frame: "pd.DataFrame | None") -> "pd.DataFrame":
    if frame is None:
        raise UsageError(f"tests: a further backtest could not be run: {outcome}")
    return frame


def record_tested(lake: "Lake", tested: "Tested") -> None:
    """Writes an answer into the ledger, once."""
    facts: Mapping[str, Json] = tested.facts()
    digest = hashlib.sha256(canonical_bytes(facts)).hexdigest()
    lake.ledger.append(KIND, f"{tested.backtest}/{digest}", facts)


def newest_tested(lake: "Lake", content_sha256: str) -> "Tested | None":
    """The newest recorded answer for a backtest; None when it was never tested. Raises LedgerError for an entry that is none."""
    from marketbot_assets.research.tested import tested_of

    entries = lake.ledger.entries(KIND, f"{content_sha256}/")
    if not entries:
        return None
    try:
        return tested_of(entries[-1].body)
    except ValueError as error:
        raise LedgerError(f"ledger: {entries[-1].key}: {error}") from error
