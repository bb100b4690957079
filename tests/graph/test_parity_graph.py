"""Live sessions of the graph against their backtest: equal bit for bit, and what was planted is found and named."""

import datetime as dt
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from graph_world import FIRST, NEXT, SECOND, Between, Home
from replay_world import newest

from marketbot_assets.cli import commands
from marketbot_assets.parity_reads import PARITY_DEPS, decided_sessions
from marketbot_assets.parity_runs import Parity
from marketbot_assets.replay import tables
from marketbot_assets.research.parity import FIELDS, Row
from marketbot_resources.mandate import Mandate, parse_mandate
from marketbot_resources.model import AccountReport
from marketbot_resources.store.index import STATIC, Origin
from marketbot_resources.wiring import BrokerResource, Ports

if TYPE_CHECKING:
    import pandas as pd

pytestmark = pytest.mark.graph
LATER = Origin("a later run", "", "2019-01-02T00:00:00Z", {})


def compared(home: Home, *days: str) -> list[Row]:
    """Rows of some sessions."""
    lake = home.lake
    chosen = [dt.date.fromisoformat(day) for day in days] or decided_sessions(lake.ledger)
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


@pytest.mark.parametrize("alone", [False, True], ids=["in one go", "each from the live book"])
def test_the_backtest_of_live_sessions_is_equal(undisturbed: Home, alone: bool) -> None:
    """L6: from the opening on, and from any session on: every field equal, orders and their ids among them."""
    days = (FIRST, SECOND, NEXT)
    rows = [row for day in days for row in compared(undisturbed, day)] if alone else compared(undisturbed)
    assert [(row.session.isoformat(), row.field) for row in rows] == [(day, name) for day in days for name in FIELDS]
    assert apart(rows) == {}
    assert all(row.live == row.backtest and row.live not in ("", "nan") for row in rows)
    assert len({row.live for row in rows if row.field == "orders"}) == len(days), "three batches, none of them empty"


def test_a_revised_bar_is_the_cause_and_is_named(home: Home) -> None:
    """A newer version of the second session's prices: that session differs for it, the first one does not."""
    frame = home.frame("prices", SECOND).copy()
    held = set(home.frame("positions", SECOND)["instrument"])
    place = int(frame.index[frame["instrument"].isin(held)][0])
    name, old = str(frame.loc[place, "instrument"]), float(frame.loc[place, "close"])
    frame.loc[place, "close"] = old * 1.01
    commit(home, "prices", SECOND, frame)
    rows = compared(home)
    found = apart(rows)
    assert {day for day, _ in found} == {SECOND}
    assert set(found.values()) == {"data"}
    assert {"positions", "features", "orders", "return"} <= {field for _, field in found}
    (reason,) = {row.reason for row in rows if row.field == "features" and not row.same}
    assert f"prices {SECOND}: 1 cells, first" in reason
    assert name in reason
    assert f"close {old!r} -> " in reason


def test_another_mandate_is_the_cause_and_names_its_keys(home: Home) -> None:
    """The mandate in force is stricter than the one that decided: both sessions differ for it."""
    frame = home.frame("mandate", STATIC).copy()
    told = json.loads(frame["canonical_json"].iloc[0])
    told["portfolio"]["risk_aversion"] = 9.0
    other = parse_mandate(json.dumps(told))
    frame["canonical_json"] = other.canonical()
    if "sha256" in frame:
        frame["sha256"] = other.sha256
    commit(home, "mandate", STATIC, frame)
    rows = compared(home)
    found = apart(rows)
    assert {(FIRST, "orders"), (SECOND, "orders"), (SECOND, "target_portfolio")} <= set(found)
    assert set(found.values()) == {"mandate"}
    assert all("portfolio.risk_aversion 5.0 -> 9.0" in row.reason for row in rows if not row.same)
    assert not any(field in ("features", "fills", "positions") for _, field in found)


class _Dearer(Between):
    """The first fill of shares costs a cent a share more than the model says, and the cash with it."""

    def report(self, since: dt.datetime, until: dt.datetime) -> AccountReport:
        told = self._broker.report(since, until)
        fills = list(told.executions)
        place = next(
            (n for n, fill in enumerate(fills) if fill.currency == "USD" and fill.instrument[:2] == "MB"), None
        )
        if place is None:
            return told
        fill = fills[place]
        cent = Decimal("0.01") * fill.side.sign
        fills[place] = replace(fill, price=fill.price + cent)
        cash = {**told.cash, "USD": told.cash["USD"] - fill.side.sign * cent * fill.quantity}
        return replace(told, executions=tuple(fills), cash=cash)


class DearerBroker(BrokerResource):
    """A broker that is not quite the model."""

    def open(self, mandate: Mandate, ports: Ports) -> Any:
        return _Dearer(super().open(mandate, ports))


@contextmanager
def at(home: Home) -> Iterator[None]:
    """The home of this process."""
    before = os.environ.get("MARKETBOT_HOME")
    os.environ["MARKETBOT_HOME"] = str(home.path)
    try:
        yield
    finally:
        os.environ.pop("MARKETBOT_HOME")
        os.environ.update({} if before is None else {"MARKETBOT_HOME": before})


def test_another_fill_is_found_told_and_changes_no_other_reason(home: Home, tmp_path: Path) -> None:
    """Fills that were made are data: only `fills` and `return` differ. The paper broker is the model: exit 1, an entry."""
    assert home.run(NEXT, {"broker": DearerBroker()})
    with at(home):
        run = CliRunner().invoke(
            commands, ["parity", "--json", "--html", str(tmp_path / "p.html")], standalone_mode=False
        )
    assert run.exception is None, run.output
    view = json.loads(run.output)
    assert run.return_value == 1
    assert {(row["session"], row["field"], row["cause"]) for row in view["differences"]} == {
        (NEXT, "fills", "unexplained"),
        (NEXT, "return", "unexplained"),
    }
    assert all("the broker is the model and filled otherwise" in row["reason"] for row in view["differences"])
    assert (view["sessions"], view["differ"], view["unexplained"], view["causes"]) == (3, 1, 1, {"unexplained": 1})
    assert view["tracking"]["mean"] < 0.0
    (entry,) = home.lake.ledger.entries("parity_difference")
    assert (entry.key, entry.body["fields"]) == (f"{NEXT}/1", ["fills", "return"])
    page = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert "filled otherwise" in page
    assert home.frame("parity_check", NEXT)["same"].sum() == 3 * len(FIELDS) - 2
