"""Live sessions of the graph against their backtest: equal bit for bit, and what was planted is found and named."""

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from graph_world import FIRST, NEXT, SECOND, Between, Home
from replay_world import newest

from marketbot_assets.alerting import found_now
from marketbot_assets.cli import commands
from marketbot_assets.parity_reads import PARITY_DEPS
from marketbot_assets.parity_runs import Parity
from marketbot_assets.replay import tables
from marketbot_assets.research import history
from marketbot_assets.research.history import build_window
from marketbot_assets.research.parity import FIELDS, Row
from marketbot_resources.mandate import Mandate, parse_mandate
from marketbot_resources.model import AccountReport, Execution, Kind
from marketbot_resources.store.index import STATIC, Origin
from marketbot_resources.wiring import BrokerResource, Ports

if TYPE_CHECKING:
    import pandas as pd

pytestmark = pytest.mark.graph
AFTER_SECOND = dt.datetime(2018, 12, 14, 0, 0, tzinfo=dt.UTC)
ALMOST_A_DAY = dt.timedelta(hours=23, minutes=59)
LATER = Origin("a later run", "", "2019-01-02T00:00:00Z", {})


def compared(home: Home, *days: str) -> list[Row]:
    """Rows of some sessions."""
    lake = home.lake
    chosen = [dt.date.fromisoformat(day) for day in days]
    return [row for rows in Parity(lake, PARITY_DEPS).rows(chosen) for row in rows]


def apart(rows: list[Row]) -> dict[tuple[str, str], str]:
    """(session, field) -> cause of what differs."""
    return {(row.session.isoformat(), row.field): row.cause for row in rows if not row.same}


def commit(home: Home, asset: str, part: str, frame: "pd.DataFrame") -> None:
    """A newer version of an object, consistent in itself."""
    lake, row = home.lake, newest(home, asset, part)
    manifest = lake.manifest(row)
    blobs = [str(name) for name in manifest["blobs"]]  # type: ignore[union-attr]
    lake.commit(
        frame, tables()[asset], row.part, reads=[], blobs=blobs, origin=replace(LATER, code_version=row.code_version)
    )


@pytest.mark.parametrize("session", [pytest.param(SECOND, marks=pytest.mark.long), NEXT])
def test_a_session_started_from_the_live_book_is_equal(undisturbed: Home, session: str) -> None:
    """L6: with orders in flight, from the live book of the session before: every field equal, orders and their ids among them."""
    rows = compared(undisturbed, session)
    assert [row.field for row in rows] == list(FIELDS)
    assert apart(rows) == {}
    assert all(row.live == row.backtest and row.live not in ("", "nan") for row in rows)


def test_a_revised_bar_is_the_cause_and_is_named(home: Home) -> None:
    """A newer version of the second session's prices: what rests on them differs for it."""
    frame = home.frame("prices", SECOND).copy()
    held = set(home.frame("positions", SECOND)["instrument"])
    place = int(frame.index[frame["instrument"].isin(held)][0])
    name, old = str(frame.loc[place, "instrument"]), float(frame.loc[place, "close"])
    frame.loc[place, "close"] = old * 1.01
    commit(home, "prices", SECOND, frame)
    rows = compared(home, SECOND)
    found = apart(rows)
    assert set(found.values()) == {"data"}
    assert {"positions", "features", "orders", "return"} <= {field for _, field in found}
    (reason,) = {row.reason for row in rows if row.field == "features" and not row.same}
    assert f"prices {SECOND}: 1 cells, first" in reason
    assert name in reason
    assert f"close {old!r} -> " in reason


@pytest.mark.long
def test_a_backtest_that_looks_ahead_is_no_revision(undisturbed: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A window that reads a day too far: with the data of then the live result comes back, but no data changed. No excuse."""

    def ahead(*frames: "pd.DataFrame", cutoffs: Sequence[dt.datetime], **told: Any) -> object:
        late = [at + ALMOST_A_DAY if at.date().isoformat() == SECOND else at for at in cutoffs]
        return build_window(*frames, cutoffs=late, **told)

    monkeypatch.setattr(history, "build_window", ahead)
    rows = [row for row in compared(undisturbed, SECOND, NEXT) if not row.same and row.session.isoformat() == SECOND]
    assert {"features", "orders"} <= {row.field for row in rows}
    assert {row.cause for row in rows} == {"unexplained"}
    assert all("what came later was read" in row.reason for row in rows)


@pytest.mark.long
def test_another_mandate_is_the_cause_and_names_its_keys(home: Home) -> None:
    """The mandate in force is stricter than the one that decided: the orders differ for it, what came before them does not."""
    frame = home.frame("mandate", STATIC).copy()
    told = json.loads(frame["canonical_json"].iloc[0])
    told["portfolio"]["risk_aversion"] = 9.0
    other = parse_mandate(json.dumps(told))
    frame["canonical_json"] = other.canonical()
    if "sha256" in frame:
        frame["sha256"] = other.sha256
    commit(home, "mandate", STATIC, frame)
    rows = compared(home, SECOND)
    found = apart(rows)
    assert {(SECOND, "orders"), (SECOND, "target_portfolio"), (SECOND, "risk_verdict")} <= set(found)
    assert set(found.values()) == {"mandate"}
    assert all("portfolio.risk_aversion 5.0 -> 9.0" in row.reason for row in rows if not row.same)
    assert not any(field in ("features", "fills", "positions") for _, field in found)


class _Dearer(Between):
    """One fill of shares after the second session costs a cent a share more than the model says, and the cash with it."""

    def report(self, since: dt.datetime, until: dt.datetime) -> AccountReport:
        told, recent = self._broker.report(since, until), self._broker.report(AFTER_SECOND, until).executions
        fill = min((x for x in recent if x.currency == "USD" and x.kind is Kind.EQUITY), key=_named, default=None)
        if fill is None:
            return told
        cent = Decimal("0.01") * fill.side.sign
        fills = [replace(x, price=x.price + cent) if _named(x) == _named(fill) else x for x in told.executions]
        cash = {**told.cash, "USD": told.cash["USD"] - cent * fill.quantity}
        return replace(told, executions=tuple(fills), cash=cash)


def _named(fill: Execution) -> str:
    return fill.execution_id


class DearerBroker(BrokerResource):
    """A broker that is not quite the model."""

    def open(self, mandate: Mandate, ports: Ports) -> Any:
        return _Dearer(super().open(mandate, ports))


def asked(home: Home, monkeypatch: pytest.MonkeyPatch, page: Path) -> tuple[int, dict[str, Any]]:
    """Exit code and answer of the command, in this process."""
    monkeypatch.setenv("MARKETBOT_HOME", str(home.path))
    monkeypatch.setenv("DAGSTER_HOME", str(home.path / "dagster"))
    run = CliRunner().invoke(commands, ["parity", "--json", "--html", str(page)], standalone_mode=False)
    assert run.exception is None, run.exception
    return run.return_value, json.loads(run.output)


def test_the_command_compares_what_was_never_compared(
    undisturbed: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the opening to the newest session in one go: nothing differs, the table is stored, exit 0; again: nothing to run."""
    home = undisturbed.copy(tmp_path / "home")
    code, view = asked(home, monkeypatch, tmp_path / "p.html")
    assert (code, view["sessions"], view["differ"], view["unexplained"], view["causes"]) == (0, 3, 0, 0, {})
    assert view["tracking"] == {"sessions": 3, "mean": 0.0, "error": 0.0, "errors": 0.0, "within": True}
    frame = home.frame("parity_check", NEXT)
    assert [day.date().isoformat() for day in frame["session"].unique()] == [FIRST, SECOND, NEXT]
    assert frame["same"].all()
    assert (frame["live"] == frame["backtest"]).all()
    assert sorted(set(frame["field"])) == sorted(FIELDS)
    assert "every field of every session is equal" in (tmp_path / "p.html").read_text(encoding="utf-8").lower()
    before = home.files()
    assert asked(home, monkeypatch, tmp_path / "p.html") == (0, view)
    assert home.files() == before
    assert home.lake.ledger.entries("parity_difference") == []


@pytest.mark.long
def test_another_fill_is_found_told_and_changes_no_other_reason(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fills that were made are data: only `fills` and `return` differ. The paper broker is the model: exit 1, an entry."""
    assert home.run(NEXT, {"broker": DearerBroker()})
    code, view = asked(home, monkeypatch, tmp_path / "p.html")
    assert code == 1
    assert {(row["session"], row["field"], row["cause"]) for row in view["differences"]} == {
        (NEXT, "fills", "unexplained"),
        (NEXT, "return", "unexplained"),
    }
    assert all("the broker is the model and filled otherwise" in row["reason"] for row in view["differences"])
    assert (view["sessions"], view["differ"], view["unexplained"], view["causes"]) == (3, 1, 1, {"unexplained": 1})
    assert view["tracking"]["mean"] < 0.0
    (entry,) = home.lake.ledger.entries("parity_difference")
    assert (entry.key, entry.body["fields"]) == (f"{NEXT}/1", ["fills", "return"])
    assert [alert.code for alert in found_now(home.lake)].count("PARITY_DIFFERS") == 1
    assert "filled otherwise" in (tmp_path / "p.html").read_text(encoding="utf-8")
    assert home.frame("parity_check", NEXT)["same"].sum() == 3 * len(FIELDS) - 2
