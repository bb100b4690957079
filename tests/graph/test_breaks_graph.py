"""F09 through the whole graph: a trade by hand halts before anything is sent, a doubtful mean price closes its own name alone."""

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any, ClassVar

import pytest
from graph_world import NEXT, SECOND, Between, Home

from marketbot_resources.mandate import Mandate
from marketbot_resources.model import AccountReport, Execution, Kind, Side
from marketbot_resources.wiring import BrokerResource, Ports

pytestmark = pytest.mark.graph
Edit = Callable[[AccountReport], AccountReport]


class _Edited(Between):
    def __init__(self, broker: Any, edit: Edit) -> None:
        super().__init__(broker)
        self._edit = edit

    def report(self, since: dt.datetime, until: dt.datetime) -> AccountReport:
        return self._edit(self._broker.report(since, until))


class EditedBroker(BrokerResource):
    """Its report is changed by the function that the test put here."""

    edit: ClassVar[Edit] = staticmethod(lambda report: report)

    def open(self, mandate: Mandate, ports: Ports) -> Any:
        return _Edited(super().open(mandate, ports), type(self).edit)


def held(home: Home) -> dict[str, Decimal]:
    rows = home.frame("positions", SECOND)
    rows = rows[rows["kind"] == "POSITION"]
    return dict(zip(rows["instrument"], rows["quantity"], strict=True))


def test_a_trade_by_hand_halts_before_anything_is_sent(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """RC-66, RC-67: shares, cash and execution agree with each other, but no order of ours asked for them."""
    name = sorted(held(home))[0]

    def by_hand(report: AccountReport) -> AccountReport:
        at = dt.datetime.fromisoformat(f"{NEXT}T16:00:00+00:00")
        if report.as_of_at < at:
            return report
        hand = Execution(
            "hand", "by-hand", Kind.EQUITY, name, Side.BUY, Decimal(5), Decimal(2), "USD", Decimal(0), Decimal(0), at
        )
        cash = {**report.cash, "USD": report.cash["USD"] - 10}
        positions = {**report.positions, name: report.positions[name] + 5}
        return replace(report, executions=(*report.executions, hand), cash=cash, positions=positions)

    monkeypatch.setattr(EditedBroker, "edit", staticmethod(by_hand))
    assert home.run(NEXT, {"broker": EditedBroker()})
    rows = home.frame("reconciliation", NEXT).set_index(["kind", "key"])
    assert (rows.loc[("FILL", "hand"), "delta"], rows.loc[("FILL", "hand"), "outcome"]) == ("unknown_fill", "break")
    assert rows.loc[("POSITION", name), "delta"] == "match", "it is booked by its id"
    assert home.verdict(NEXT) == "HALT"
    assert "by-hand" in home.said(NEXT, "RC-66")
    assert "hand" in home.said(NEXT, "RC-67")
    assert home.frame("orders", NEXT).empty
    assert home.sent(NEXT) == {}
    assert home.end(NEXT).state == "halted"


def test_a_doubtful_mean_price_closes_its_own_name_alone(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """RC-67: no order in the name, neither a buy nor a sell; the batch of the others is approved and goes."""
    name = sorted(held(home))[0]

    def dearer(report: AccountReport) -> AccountReport:
        return replace(report, average_price={name: Decimal(100_000)})

    monkeypatch.setattr(EditedBroker, "edit", staticmethod(dearer))
    assert home.run(NEXT, {"broker": EditedBroker()})
    rows = home.frame("reconciliation", NEXT)
    assert rows.loc[rows["delta"] != "match", ["kind", "key", "delta", "outcome"]].to_numpy().tolist() == [
        ["PRICE", name, "price_break", "locked"]
    ]
    assert home.verdict(NEXT) == "APPROVED"
    target = home.frame("target_portfolio", NEXT).set_index("instrument")
    assert not target.loc[name, "can_trade"]
    orders = home.sent(NEXT).values()
    assert orders
    assert name not in {order["instrument"] for order in orders}
