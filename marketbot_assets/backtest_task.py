"""One backtest as a task for a pool: everything it needs is named in its argument, its inputs are read from the store by hash.

It asks no provider, writes nothing, opens neither index nor ledger, and gives the same rows wherever it runs. Not here: which
backtests there are (`sweep`), where their rows are kept (`backtest_points`), the pool (`marketbot_resources.parallel`).
"""

import datetime as dt
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from marketbot_resources.errors import HomeError, MarketbotError, StoreError
from marketbot_resources.ledger.record import Json
from marketbot_resources.mandate import Mandate, mandate_of

if TYPE_CHECKING:
    import pandas as pd

    from marketbot_assets.research.history import Tables
    from marketbot_resources.store.port import Objects

TEXT_MAX = 300


@dataclass(frozen=True, slots=True)
class Work:
    """One backtest. `home`, `bucket`: where its store lies, the bucket None for a folder; `inputs`: hash of the description of its
    bodies; `mandate`: canonical JSON; `costs`: what the market charges in multiples of the mandate's costs, which the decision does
    not know; `null`: seed of scores that changed hands, None for the true ones.
    """

    home: str
    bucket: str | None
    inputs: str
    mandate: str
    first: dt.date
    last: dt.date
    costs: float = 1.0
    null: int | None = None

    def argument(self) -> Json:
        """As JSON."""
        return {
            "home": self.home,
            "bucket": self.bucket,
            "inputs": self.inputs,
            "mandate": self.mandate,
            "first": self.first.isoformat(),
            "last": self.last.isoformat(),
            "costs": self.costs,
            "null": self.null,
        }


def work_of(argument: Json) -> Work:
    """The inverse of `Work.argument`."""
    assert isinstance(argument, dict), "a task's argument is a mapping"
    null, bucket = argument["null"], argument["bucket"]
    return Work(
        home=str(argument["home"]),
        bucket=None if bucket is None else str(bucket),
        inputs=str(argument["inputs"]),
        mandate=str(argument["mandate"]),
        first=dt.date.fromisoformat(str(argument["first"])),
        last=dt.date.fromisoformat(str(argument["last"])),
        costs=float(str(argument["costs"])),
        null=None if null is None else int(str(null)),
    )


def run_point(argument: Json) -> "Json | bytes":
    """BACKTEST rows as a file of the store, or {"failed": why} where this mandate cannot be run over this range.

    Raises StoreError or HomeError when the node does not see the bodies: that is no answer.
    """
    from marketbot_assets.research.schema import BACKTEST
    from marketbot_resources.store.content import canonical, encode

    work = work_of(argument)
    mandate = mandate_of(json.loads(work.mandate))
    try:
        tables = _tables(work, mandate)
    except (StoreError, HomeError) as error:
        what = "the same folder" if work.bucket is None else "keys and endpoint in the worker's environment"
        place = work.bucket or f"{work.home}/store"
        raise type(error)(f"every node must read {place} ({what}); on {socket.gethostname()}: {error}") from error
    try:
        frame = backtest_frame(tables, mandate, work)
    except (MarketbotError, ValueError, ArithmeticError, LookupError) as error:
        return {"failed": f"{type(error).__name__}: {' '.join(str(error).split())[:TEXT_MAX]}"}
    return encode(canonical(frame, BACKTEST))


def backtest_frame(tables: "Tables", mandate: Mandate, work: Work) -> "pd.DataFrame":
    """BACKTEST rows of the sessions of a piece of work."""
    from marketbot_assets.research.history import History
    from marketbot_assets.research.loop import opening_account, run_days
    from marketbot_assets.research.null_history import NullHistory
    from marketbot_assets.research.outcomes import mark_of, outcomes

    days = (work.first, work.last)
    history = (
        History(tables, mandate, *days) if work.null is None else NullHistory(tables, mandate, *days, seed=work.null)
    )
    market = mandate if work.costs == 1.0 else dearer(mandate, work.costs)
    return outcomes(run_days(history, mandate, opening_account(market, history)), mark_of(mandate))


def dearer(mandate: Mandate, times: float) -> Mandate:
    """The mandate with every cost of trading multiplied: half-spread and fee, conversion, taxes, impact."""
    costs = mandate.costs_bps

    def scaled(charged: Mapping[str, float]) -> dict[str, float]:
        return {name: value * times for name, value in charged.items()}

    return mandate.model_copy(
        update={
            "costs_bps": costs.model_copy(
                update={
                    "half_spread_and_fee": scaled(costs.half_spread_and_fee),
                    "fx": costs.fx * times,
                    "tax_buy": scaled(costs.tax_buy),
                    "tax_sell": scaled(costs.tax_sell),
                    "impact_coefficient": costs.impact_coefficient * times,
                }
            )
        }
    )


def larger(work: Work, times: int) -> Work:
    """The same work for a book that opens with so many times the cash."""
    plain = json.loads(work.mandate)
    cash = mandate_of(plain).opening_cash * times
    grown = mandate_of({**plain, "opening_cash": str(cash)})
    return replace(work, mandate=grown.canonical().decode())


_KEPT: "dict[tuple[str, str, str, str], Tables]" = {}


def _tables(work: Work, mandate: Mandate) -> "Tables":
    """The tables of a piece of work; those of the newest one are kept, since the next has mostly the same."""
    from marketbot_assets.backtest_inputs import from_store, tables_of
    from marketbot_resources.calendars import computed_cutoff

    listed = json.dumps(mandate.universe.listings, sort_keys=True, default=list)
    until = computed_cutoff(mandate.schedule, work.last)
    key = (work.bucket or work.home, work.inputs, listed, f"{mandate.base_currency} {until}")
    if key not in _KEPT:
        objects = _objects(work)
        made = tables_of(from_store(objects, objects.get_blob(work.inputs)), mandate, until)
        _KEPT.clear()
        _KEPT[key] = made
    return _KEPT[key]


def _objects(work: Work) -> "Objects":
    from marketbot_resources.store.objects import LocalObjects
    from marketbot_resources.store.opening import FOLDER, open_place

    home = Path(work.home)
    return LocalObjects(home / FOLDER) if work.bucket is None else open_place(work.bucket, home, read_only=True)
