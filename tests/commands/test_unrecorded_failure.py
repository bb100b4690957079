"""Why a run ended is told by the run itself where the ledger could not take the record, as on a disk without room."""

import sqlite3

import dagster as dg
import pytest

from marketbot_assets.commands.sessions import unrecorded
from marketbot_resources.errors import LedgerError

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def told(error: Exception | None) -> str:
    """What is said of a run whose second step raises."""

    @dg.op(out=dg.Out(dg.Nothing))
    def orders() -> None:
        return None

    @dg.op(ins={"after": dg.In(dg.Nothing)})
    def submissions() -> None:
        if error is not None:
            raise error

    @dg.job
    def daily() -> None:
        submissions(orders())

    with dg.DagsterInstance.ephemeral() as instance:
        run = daily.execute_in_process(instance=instance, raise_on_error=False, run_config=QUIET)
    return unrecorded(run.all_events)


def test_the_first_failed_step_and_its_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line, of the error that the step raised and without a secret; nothing of a run that went through."""
    monkeypatch.setenv("MARKETBOT_SMTP_PASSWORD", "correct-horse-battery")
    full = LedgerError(
        "ledger: expected to use /home/ledger.sqlite as correct-horse-battery, found: disk is full\nmore"
    )
    full.__cause__ = sqlite3.OperationalError("database or disk is full")
    said = told(full)
    assert said.startswith("run ended at submissions: ledger: expected to use /home/ledger.sqlite as ")
    assert said.endswith(", found: disk is full; it is not recorded: mend that, then give the same command again")
    assert "correct-horse" not in said
    assert told(ValueError()).startswith("run ended at submissions: ValueError; it is not recorded")
    assert told(None) == ""
