"""An order's own rows in the objects on its way, each in one line: its bar, features, forecast, weight, plan, verdict.

Not here: which objects are on the way (`evidence`).
"""

import json
import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, cast

from marketbot_resources.model import plain
from marketbot_resources.store.index import STATIC

if TYPE_CHECKING:
    from marketbot_assets.commands.evidence import Evidence
    from marketbot_resources.store.index import IndexRow
    from marketbot_resources.store.lake import Lake

Row = Mapping[str, object]
CURRENCY_LEG = "FX:"


class Records:
    """Stored tables as rows: each is turned into rows once, however many orders ask."""

    def __init__(self, lake: "Lake") -> None:
        self._lake = lake
        self._tables: dict[str, list[Row]] = {}
        self._keyed: dict[tuple[str, str], dict[str, Row]] = {}

    def of(self, version: "IndexRow") -> list[Row]:
        """The rows of one version."""
        name = version.file_sha256
        if name not in self._tables:
            self._tables[name] = cast("list[Row]", self._lake.records(version))
        return self._tables[name]

    def by(self, version: "IndexRow", column: str) -> Mapping[str, Row]:
        """The rows of one version by a column, the first one where several have the same text there."""
        key = (version.file_sha256, column)
        if key not in self._keyed:
            self._keyed[key] = {str(row[column]): row for row in reversed(self.of(version))}
        return self._keyed[key]


class OwnRows:
    """What the objects of one session's chain say of an order and its instrument."""

    def __init__(self, records: Records, evidence: "Evidence") -> None:
        self._records = records
        self._versions = [
            link.row
            for link in evidence.links
            if link.row.asset in _TELL
            and link.row.part in (evidence.part, STATIC)
            and link.row.manifest_sha256 not in evidence.faults
        ]

    def of(self, order: Row) -> dict[str, str]:
        """Hash of a manifest -> the row of this order or its instrument in one line; objects without one are left out."""
        keys, found = self._keys(order), {}
        for version in self._versions:
            column, which, tell = _TELL[version.asset]
            if which in keys:
                rows = self._records.by(version, column)
                row = rows.get(keys[which]) if keys[which] else next(iter(rows.values()), None)
                told = tell(row) if row is not None else ""
                found.update({version.manifest_sha256: told} if told else {})
        return found

    def listing(self, instrument: str) -> Row | None:
        """The listing of an instrument as of the session."""
        version = next((row for row in self._versions if row.asset == "instruments"), None)
        return None if version is None else self._records.by(version, "instrument").get(instrument)

    def _keys(self, order: Row) -> dict[str, str]:
        """What the rows are found by; empty text: the only row there is."""
        name = str(order["instrument"])
        keys = {"order": str(order["client_order_id"]), "currency": str(order["currency"]), "only": ""}
        listed = self.listing(name)
        if not name.startswith(CURRENCY_LEG):
            keys["instrument"] = name
        if listed is not None:
            keys["source"] = str(listed["source_id"])
        return keys


def number(value: object, form: str = ".6g") -> str:
    """A number for people; `not known` for null and NaN."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "not known"
    return plain(value) if isinstance(value, Decimal) else format(value, form)


def _bar(row: Row) -> str:
    """A day's bar; a provider's bar has no quarantine."""
    told = ", ".join(f"{name} {number(row[name])}" for name in ("open", "high", "low", "close"))
    made = f", {len(str(row['synthetic_fields']).split(','))} simulated" if row["synthetic_fields"] else ""
    flag = ", quarantined" if row.get("quarantine") else ""
    return f"{str(row['session'])[:10]} {row['currency']}: {told}, volume {number(row['volume'], ',.0f')}{made}{flag}"


def _listing(row: Row) -> str:
    told = f"{row['mic']}:{row['ticker']} {row['name']}, {row['currency']}, {row['sector']}"
    return f"{told}, lot {number(row['quantity_step'])}, tick {number(row['tick_size'])}"


def _plan(row: Row) -> str:
    free = "at the rate" if row["kind"] == "FX" else "at the market"
    limit = free if row["limit_price"] is None else f"limit {number(row['limit_price'])}"
    told = f"{row['side']} {number(row['quantity'])}, {limit}, reference {number(row['reference_price'])}"
    return f"{told}, value {number(row['value_base'], ',.0f')}, cost {number(row['cost_bps'], '.2f')} bps, {row['purpose']}"


def _target(row: Row) -> str:
    return f"weight {number(row['weight_now'], '.4%')} -> {number(row['weight_target'], '.4%')} by {row['method']}"


def _forecast(row: Row) -> str:
    prior, tilt, score = (
        number(row[name], form) for name, form in (("prior", ".2%"), ("tilt", ".2%"), ("score", ".2f"))
    )
    told = f"excess return {number(row['expected_return'], '.2%')} a year (prior {prior}, tilt {tilt}, score {score})"
    return f"{told}, standard error {number(row['uncertainty'], '.2%')}, volatility {number(row['volatility'], '.1%')}"


def _features(row: Row) -> str:
    """What a decision reads."""
    from marketbot_assets.features.registry import REQUIRED

    return ", ".join(f"{name} {number(row[name], '.3g')}" for name in REQUIRED)


def _answer(row: Row) -> str:
    if row["kind"] != "ORDER":
        return ""
    planned, approved = number(row["planned_quantity"]), number(row["approved_quantity"])
    why = f" by {row['control']}: {row['message']}" if row["control"] else ""
    return f"{row['verdict']}, {planned} planned, {approved} approved{why}"


def _held(row: Row) -> str:
    return f"{number(row['quantity'])} shares at {number(row['price'])}, {number(row['value_base'], ',.0f')} in base currency"


def _model(row: Row) -> str:
    """The mandate's model alone; where the registry has a champion its row stands before that one."""
    if row["name"] == "champion":
        body = json.loads(str(row["model_json"]))
        fit = f"fit {str(body['fit_sha256'])[:16] or 'none'} of {str(row['fitted_on'])[:10]}"
        return f"champion {str(row['spec_sha256'])[:16]}, {fit}, weight {number(body['weight'], 'g')}: {body['why']}"
    return f"{row['name']} fitted on {str(row['fitted_on'])[:10]}, specification {str(row['spec_sha256'])[:16]}"


_TELL: Mapping[str, tuple[str, str, Callable[[Row], str]]] = {
    "mandate": ("mandate_sha256", "only", lambda row: f"canonical JSON {row['mandate_sha256']}"),
    "order_plan": ("client_order_id", "order", _plan),
    "risk_verdict": ("key", "order", _answer),
    "target_portfolio": ("instrument", "instrument", _target),
    "forecasts": ("instrument", "instrument", _forecast),
    "return_model": ("name", "only", _model),
    "features": ("instrument", "instrument", _features),
    "prices": ("instrument", "instrument", _bar),
    "raw_prices": ("source_id", "source", _bar),
    "instruments": ("instrument", "instrument", _listing),
    "positions": ("key", "instrument", _held),
    "protective_exits": ("instrument", "instrument", lambda row: f"{row['control']}: {row['reason']}"),
    "fx": (
        "currency",
        "currency",
        lambda row: f"{row['currency']} {number(row['rate'])} on {str(row['session'])[:10]}",
    ),
    "raw_fx": (
        "currency",
        "currency",
        lambda row: f"{row['currency']} {number(row['units_per_eur'])} per EUR on {str(row['session'])[:10]}",
    ),
}
