"""What a session would have decided under another mandate, from the versions that its decision rests on.

Data, features, forecasts and the book's state are taken as stored; target, plan and verdict are decided again. What a mandate
does earlier in the pipeline (`AS_STORED`) is therefore not seen. Not here: comparing mandates (`mandate_directions`), the command.
"""

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar, cast

from marketbot_assets.replay_versions import inputs_of
from marketbot_resources.errors import LedgerError, StoreError
from marketbot_resources.ledger.record import Entry
from marketbot_resources.mandate import Mandate
from marketbot_resources.store.reader import Reader

if TYPE_CHECKING:
    import pandas as pd

    from marketbot_resources.model import Order
    from marketbot_resources.store.index import IndexRow
    from marketbot_resources.store.lake import Lake

T = TypeVar("T")
AS_STORED = (
    *(
        "base_currency",
        "opening_cash",
        "account.id",
        "calendar",
        "schedule",
        "providers",
        "broker",
        "anchors",
        "intraday",
    ),
    *("universe.listings", "universe.formerly", "volatility.ewma_halflife_sessions"),
    *("volatility.ledoit_wolf_sessions", "volatility.factor_model"),
    *("portfolio.prior_excess_return_per_year", "portfolio.forecast_tilt_per_sd_per_year", "portfolio.score_weights"),
    *("ladder.step_up", "ladder.rearm", "stops", "costs_bps.calibration", "llm"),
)
READ_BY = ("target_portfolio", "order_plan", "risk_verdict")
PASS = "PASS"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one mandate makes of a session. `orders`: (instrument, side) -> (quantity, limit price or ""), of the approved batch.

    `controls`: control and key -> status, of the last round, PASS left out.
    """

    verdict: str
    orders: Mapping[tuple[str, str], tuple[str, str]]
    controls: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Redecided:
    """One session under its own mandate and under the other one.

    `again`: its own side was decided again, too, because code or environment are not those that decided.
    """

    session: str
    mandate_sha256: str
    before: Outcome
    after: Outcome
    again: bool

    @property
    def differs(self) -> bool:
        """Whether verdict, orders or any control's status differ."""
        return self.before != self.after


class _Under(Reader):
    """A reader of pinned versions under another mandate than the stored one; what it remembers is its own."""

    other: Mandate

    def mandate(self) -> Mandate:
        return self.other

    def remember(self, name: str, since: int, make: "Callable[[], T]") -> "T":
        return super().remember(f"{name} under {self.other.sha256}", since, make)


def redecide(lake: "Lake", decision: Entry, other: Mandate, versions: Mapping[str, str]) -> Redecided:
    """A decision of the ledger under another mandate. `versions`: code and environment of this process, as decisions name them.

    Raises StoreError or LedgerError when what it rests on is missing or altered.
    """
    part = decision.key
    rows = {asset: _row(lake, decision, asset) for asset in (*READ_BY, "orders")}
    pins = {
        (item["asset"], item["partition"]): item["manifest_sha256"]
        for asset in READ_BY
        for item in inputs_of(lake.manifest(rows[asset]))
    }
    own = Reader(lake, dt.date.fromisoformat(part), allowed=None, pins=pins).mandate()
    again = decision.body.get("versions") != dict(versions)
    before = _under(lake, part, pins, own) if again else _stored(lake, rows)
    after = before if own.sha256 == other.sha256 else _under(lake, part, pins, other)
    return Redecided(part, own.sha256, before, after, again)


def _row(lake: "Lake", decision: Entry, asset: str) -> "IndexRow":
    named = cast("Mapping[str, str]", decision.body.get("manifests") or {}).get(asset)
    row = None if named is None else lake.index.by_manifest(asset, decision.key, named)
    if row is None:
        raise StoreError(f"{asset} {decision.key}: expected the version that the decision names, found none")
    return row


def _under(lake: "Lake", part: str, pins: Mapping[tuple[str, str], str], mandate: Mandate) -> Outcome:
    from marketbot_assets.decision import decide
    from marketbot_assets.operations import operation_facts
    from marketbot_assets.risk.verdict_frame import verdict_frame
    from marketbot_assets.session_facts import situation

    read = _Under(lake, dt.date.fromisoformat(part), allowed=None, pins=pins)
    read.other = mandate
    known = replace(situation(read, lake.ledger), operations=operation_facts(read, lake.ledger))
    decided = decide(known, mandate)
    frame = verdict_frame(decided.judgement, decided.risk, mandate)
    return _outcome(frame, decided.batch)


def _stored(lake: "Lake", rows: "Mapping[str, IndexRow]") -> Outcome:
    from marketbot_assets.portfolio.order_frame import orders_from_frame

    return _outcome(lake.load(rows["risk_verdict"]), orders_from_frame(lake.load(rows["orders"])))


def _outcome(verdict: "pd.DataFrame", batch: "tuple[Order, ...]") -> Outcome:
    from marketbot_assets.risk.verdict_frame import verdict_of
    from marketbot_resources.model import plain

    controls = verdict[(verdict["kind"] == "CONTROL") & (verdict["status"] != PASS)]
    orders: dict[tuple[str, str], tuple[str, str]] = {}
    for order in sorted(batch, key=lambda order: order.client_order_id):
        name = (order.instrument, f"{order.side.value} {order.leg}".strip())
        if name in orders:
            raise LedgerError(f"order {order.client_order_id}: expected one order per name, side and leg, found two")
        limit = "" if order.limit_price is None else plain(order.limit_price)
        orders[name] = (plain(order.quantity), limit)
    statuses = dict(zip(controls["key"].astype(str), controls["status"].astype(str), strict=True))
    return Outcome(verdict_of(verdict), orders, dict(sorted(statuses.items())))
