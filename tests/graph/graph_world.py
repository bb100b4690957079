"""Homes, runs and twins at the ports for tests of the whole graph. Not here: any statement about the product."""

import contextlib
import datetime as dt
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import dagster as dg
from pydantic import Field

from marketbot_assets.commands.sessions import SessionResult, result_of
from marketbot_assets.definitions import build_definitions
from marketbot_assets.lineage import REFETCH_TAG
from marketbot_resources.broker.paper import PaperBroker
from marketbot_resources.macro.sample import SampleMacro
from marketbot_resources.mandate import Mandate
from marketbot_resources.market.sample import SampleMarket
from marketbot_resources.model import AccountReport, Acknowledgement, OpenOrder, Order, Side
from marketbot_resources.provider import MacroProvider, MarketProvider
from marketbot_resources.sessions import EndState, end_state
from marketbot_resources.store.index import IndexRow
from marketbot_resources.store.lake import Lake
from marketbot_resources.store.reader import Reader
from marketbot_resources.store.resource import StoreResource, session_from_key
from marketbot_resources.wiring import BrokerResource, Ports

if TYPE_CHECKING:
    import pandas as pd

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
ROOT = Path(__file__).parents[2]
FIRST, SECOND, NEXT, AFTER = "2018-12-12", "2018-12-13", "2018-12-14", "2018-12-17"
KILLED = 9
Overrides = dict[str, dg.ConfigurableResource]  # type: ignore[type-arg]


class Killed(BaseException):
    """The process dies here: no handler of ours may catch it."""

    seen: ClassVar[list[str]] = []

    def __init__(self, where: str) -> None:
        super().__init__(where)
        Killed.seen.append(where)


def execute(
    session: str, overrides: Overrides | None = None, job: str = "daily", *, only: str = "", refetch: bool = False
) -> bool:
    """One run in this process on an instance that nothing outlives; `only`: this asset alone."""
    with dg.DagsterInstance.ephemeral() as instance:
        found = build_definitions(overrides).resolve_job_def(job)
        chosen = [dg.AssetKey(only)] if only else None
        return found.execute_in_process(
            partition_key=session,
            instance=instance,
            raise_on_error=False,
            run_config=QUIET,
            asset_selection=chosen,
            tags={REFETCH_TAG: "true"} if refetch else {},
        ).success


def command(
    home: Path,
    *arguments: str,
    mandate: Path | None = None,
    checkout: Path = ROOT,
    more: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """The command line of a checkout in a process of its own; `more`: environment variables beside the home."""
    kernels = {name: value for name, value in os.environ.items() if name.startswith(("OPENBLAS_", "OMP_"))}
    environment = {"PATH": os.environ["PATH"], "MARKETBOT_HOME": str(home), **kernels, **(more or {})}
    environment |= {"MARKETBOT_MANDATE": str(mandate)} if mandate else {}
    script = [sys.executable, "-W", "ignore", "-m", "marketbot_assets.cli", *arguments]
    return subprocess.run(script, capture_output=True, text=True, env=environment, cwd=checkout, check=False)


@dataclass(frozen=True)
class Home:
    """A home, and what a reader without Dagster sees in it."""

    path: Path

    @property
    def lake(self) -> Lake:
        """Opened anew: sees what is on disk."""
        return Lake(self.path)

    def run(
        self,
        session: str,
        overrides: Overrides | None = None,
        job: str = "daily",
        *,
        only: str = "",
        refetch: bool = False,
    ) -> bool:
        """One run in this home."""
        before = os.environ.get("MARKETBOT_HOME")
        os.environ["MARKETBOT_HOME"] = str(self.path)
        try:
            return execute(session, overrides, job, only=only, refetch=refetch)
        finally:
            os.environ.pop("MARKETBOT_HOME")
            os.environ.update({} if before is None else {"MARKETBOT_HOME": before})

    def dies(self, session: str, overrides: Overrides) -> str:
        """A run that a twin ends; returns where it died."""
        Killed.seen.clear()
        with contextlib.suppress(Killed):
            assert not self.run(session, overrides)
        (where,) = Killed.seen
        return where

    def files(self) -> set[str]:
        """Every file of the store."""
        return {path.relative_to(self.path).as_posix() for path in (self.path / "store").rglob("*") if path.is_file()}

    def has(self, asset: str, session: str) -> bool:
        """Whether an asset has an object for a session."""
        return self.lake.index.newest(asset, session) is not None

    def frame(self, asset: str, session: str) -> "pd.DataFrame":
        """The newest object of an asset."""
        lake = self.lake
        row: IndexRow | None = lake.index.newest(asset, session)
        assert row is not None, f"{asset} {session} is missing"
        return lake.load(row)

    def end(self, session: str) -> EndState:
        """The recorded end of a session."""
        found = end_state(self.lake.ledger, session_from_key(session))
        assert found is not None, f"{session} has no end"
        return found

    def verdict(self, session: str) -> str:
        """APPROVED, REJECTED or HALT."""
        return str(self.frame("risk_verdict", session)["verdict"].iloc[0])

    def said(self, session: str, control: str) -> str:
        """Status and message of every answer of one control that did not pass, in one text."""
        rows = self.frame("risk_verdict", session)
        rows = rows[(rows["control"] == control) & (rows["kind"] == "CONTROL") & (rows["status"] != "PASS")]
        return "; ".join(f"{row.status} {row.message}" for row in rows.itertuples())

    def result(self, session: str, *, failed: bool) -> SessionResult:
        """What the command `run` would say, from which it takes its exit code."""
        return result_of(self.lake, session_from_key(session), failed=failed)

    def contents(self) -> dict[tuple[str, str], str]:
        """Content hash of the newest object per asset and partition."""
        return {(row.asset, row.part): row.content_sha256 for row in self.lake.index.all_newest()}

    def instrument(self, source_id: str, session: str = SECOND) -> str:
        """Our id of a provider's listing."""
        rows = self.frame("instruments", session).set_index("source_id")
        return str(rows.loc[source_id, "instrument"])

    def at_broker(self) -> dict[str, dict[str, Any]]:
        """Every order that the paper broker ever received, by client order id, from its own file."""
        return {str(name): json.loads(body) for name, body in self._broker("select client_order_id, body from orders")}

    def filled(self) -> list[str]:
        """The client order id of every execution in the paper broker's own file."""
        return [json.loads(body)["client_order_id"] for (body,) in self._broker("select body from executions")]

    def _broker(self, query: str) -> list[Any]:
        connection = sqlite3.connect(self.path / "broker.sqlite")
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()

    def sent(self, session: str) -> dict[str, dict[str, Any]]:
        """The orders that the broker received for a session."""
        return {name: body for name, body in self.at_broker().items() if body["session"] == session}

    def trades(self, session: str) -> set[tuple[str, str]]:
        """(provider's name of the listing, side) of the shares that the broker was asked to trade for a session."""
        rows = self.frame("instruments", SECOND if self.has("instruments", SECOND) else FIRST)
        names = dict(zip(rows["instrument"], rows["source_id"], strict=True))
        bodies = self.sent(session).values()
        return {(names[body["instrument"]], body["side"]) for body in bodies if body["kind"] == "EQUITY"}

    def copy(self, path: Path) -> "Home":
        """The same home elsewhere."""
        shutil.copytree(self.path, path)
        return Home(path)


def edited(content: bytes, edits: list[list[str]]) -> bytes:
    """A CSV body with some cells changed: [first column or *, session or *, column, value]; no column drops the row.

    A value like `*0.8` multiplies. All other rows keep their bytes.
    """
    header, *lines = content.decode().splitlines()
    names = [name.strip('"') for name in header.split(",")]
    kept = [header]
    for line in lines:
        new: str | None = line
        for name, session, column, value in edits:
            if new is not None and _is_row(new, name, session):
                new = _changed(new, names.index(column), value) if column else None
        kept += [new] if new is not None else []
    return ("\n".join(kept) + "\n").encode()


def _is_row(line: str, name: str, session: str) -> bool:
    return (name == "*" or line.startswith(f'"{name}",')) and (session == "*" or f",{session}," in line)


def _changed(line: str, column: int, value: str) -> str:
    cells = line.split(",")
    cells[column] = str(round(float(cells[column]) * float(value[1:]), 4)) if value.startswith("*") else value
    return ",".join(cells)


class EditedPorts(Ports):
    """Providers that serve bodies of one kind with some cells changed (see `edited`) and lines added at the end."""

    kind: str
    edits: list[list[str]] = Field(default_factory=list)
    added: list[str] = Field(default_factory=list)

    @property
    def market(self) -> MarketProvider:
        return SampleMarket(transform=self._change)

    @property
    def macro(self) -> MacroProvider:
        return SampleMacro(transform=self._change)

    def _change(self, kind: str, content: bytes) -> bytes:
        if kind != self.kind:
            return content
        return edited(content, self.edits) + "".join(f"{line}\n" for line in self.added).encode()


class FaultyPorts(EditedPorts):
    """The same, and other fixings, too."""

    fixings: list[list[str]]

    def _change(self, kind: str, content: bytes) -> bytes:
        return edited(content, self.fixings) if kind == "fx" else super()._change(kind, content)


class Between:
    """A broker that hands everything on to the paper broker."""

    def __init__(self, broker: PaperBroker) -> None:
        self._broker = broker

    def __getattr__(self, name: str) -> Any:
        return getattr(self._broker, name)


class _WithPosition(Between):
    def report(self, since: dt.datetime, until: dt.datetime) -> AccountReport:
        told = self._broker.report(since, until)
        return replace(told, positions={**told.positions, "MBUNHEARDOF2": Decimal(7)})


class StrangeBroker(BrokerResource):
    """Its report names a position in an instrument that no one knows."""

    def open(self, mandate: Mandate, ports: Ports) -> Any:
        return _WithPosition(super().open(mandate, ports))


class _WithOrder(Between):
    def report(self, since: dt.datetime, until: dt.datetime) -> AccountReport:
        told = self._broker.report(since, until)
        order = OpenOrder("by-hand-1", "MBUNHEARDOF2", Side.SELL, Decimal(7), Decimal(10), "USD")
        return replace(told, open_orders=(*told.open_orders, order))


class StrangeOrderBroker(BrokerResource):
    """Its report names an open order in an instrument that no one knows."""

    def open(self, mandate: Mandate, ports: Ports) -> Any:
        return _WithOrder(super().open(mandate, ports))


class _Dying(Between):
    def __init__(self, broker: PaperBroker, accepts: int, *, process: bool) -> None:
        super().__init__(broker)
        self._left, self._process = accepts, process

    def submit(self, order: Order, at: dt.datetime) -> Acknowledgement:
        answer = self._broker.submit(order, at)
        self._left -= 1
        if self._left == 0 and self._process:
            os._exit(KILLED)
        if self._left == 0:
            raise Killed("submissions")
        return answer


class DyingBroker(BrokerResource):
    """Everything dies right after the broker took its `accepts`-th order, before anyone wrote that down.

    `process`: the whole process without a word, else the run.
    """

    accepts: int
    process: bool = False

    def open(self, mandate: Mandate, ports: Ports) -> Any:
        return _Dying(super().open(mandate, ports), self.accepts, process=self.process)


class DyingStore(StoreResource):
    """The process dies when this step asks for its reader."""

    step: str

    def reader(self, context: dg.AssetExecutionContext) -> Reader:
        if context.asset_key.to_user_string() == self.step:
            raise Killed(self.step)
        return super().reader(context)
