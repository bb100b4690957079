"""What is on disk of a month, read with sqlite3 alone: nothing of the product helps, so that its own reading is not believed.

Read-only, at any time, also while everything runs. Not here: any statement about what was read (`month_oracles`).
"""

import datetime as dt
import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OVER = frozenset({"SUCCESS", "FAILURE", "CANCELED"})


@dataclass(frozen=True, slots=True)
class Told:
    """One entry of the ledger."""

    seq: int
    kind: str
    key: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Run:
    """One run of Dagster; `session` is empty for a job without partitions, `parent` for a run that repeats none."""

    run_id: str
    job: str
    status: str
    session: str
    seconds: float
    parent: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """The folder of Dagster's instance, and the home below it."""

    folder: Path

    @property
    def home(self) -> Path:
        """Where store, ledger and broker lie."""
        return self.folder / "home"

    def ledger(self, *kinds: str) -> list[Told]:
        """Entries of these kinds in order."""
        marks = ",".join("?" * len(kinds))
        rows = _rows(
            self.home / "ledger.sqlite", f"select seq, record from entry where kind in ({marks}) order by seq", kinds
        )
        found = []
        for seq, record in rows:
            told = json.loads(record)
            found.append(Told(int(seq), told["kind"], told["key"], told["body"]))
        return found

    def ends(self) -> dict[str, dict[str, Any]]:
        """The end of each session that has one."""
        return {entry.key: entry.body for entry in self.ledger("session_end")}

    def has(self, asset: str, session: dt.date) -> bool:
        """Whether the index names an object of an asset for a session."""
        query = "select 1 from lake_index where asset = ? and part = ? limit 1"
        return bool(_rows(self.home / "index.sqlite", query, (asset, session.isoformat())))

    def sending(self) -> int:
        """How many orders were recorded as being handed over, of all sessions."""
        query = "select count(*) from entry where kind = 'order_event' and instr(cast(record as text), '\"SENDING\"')"
        rows = _rows(self.home / "ledger.sqlite", query)
        return int(rows[0][0]) if rows else 0

    def runs(self) -> list[Run]:
        """Every run, oldest first."""
        query = (
            "select r.run_id, r.pipeline_name, r.status, coalesce(t.value, ''), r.start_time, r.end_time, "
            "coalesce(p.value, '') from runs r "
            "left join run_tags t on t.run_id = r.run_id and t.key = 'dagster/partition' "
            "left join run_tags p on p.run_id = r.run_id and p.key = 'dagster/parent_run_id' order by r.id"
        )
        rows = _rows(self.folder / "history" / "runs.db", query)
        return [Run(a, b, c, d, (e - s) if s and e else 0.0, p) for a, b, c, d, s, e, p in rows]

    def in_progress(self) -> list[Run]:
        """Runs that have not ended."""
        return [run for run in self.runs() if run.status not in OVER]

    def at_broker(self) -> dict[str, dict[str, Any]]:
        """Every order that the paper broker took."""
        rows = _rows(self.home / "broker.sqlite", "select client_order_id, body from orders")
        return {str(name): json.loads(body) for name, body in rows}

    def executions(self) -> dict[str, dict[str, Any]]:
        """Every execution at the paper broker."""
        rows = _rows(self.home / "broker.sqlite", "select execution_id, body from executions")
        return {str(name): json.loads(body) for name, body in rows}

    def account(self) -> dict[str, Any]:
        """The paper broker's newest state: cash, shares."""
        rows = _rows(self.home / "broker.sqlite", "select body from state order by seq desc limit 1")
        return json.loads(rows[0][0]) if rows else {}


def _rows(path: Path, query: str, given: Sequence[object] = ()) -> list[Any]:
    """Rows of a database that another process may be writing; none while it does not exist."""
    if not path.exists():
        return []
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30.0)) as connection:
        try:
            return connection.execute(query, tuple(given)).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return []
            raise
