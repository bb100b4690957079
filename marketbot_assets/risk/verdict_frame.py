"""The verdict as RISK_VERDICT rows, and the approved batch back from them. Pure. Not here: the columns (`schema`)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import pandas as pd

from marketbot_assets.risk.breaches import Register, breach_rows, next_register
from marketbot_assets.risk.control import ControlResult, Judgement, worst
from marketbot_assets.risk.inputs import RiskInputs
from marketbot_assets.risk.operation_facts import TradeCost
from marketbot_assets.risk.schema import APPROVED, RISK_VERDICT, VERDICTS
from marketbot_resources.errors import NoVerdict
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import Kind, Order, Status, batch_sha256

TRADE = "TRADE"
_TEXTS = ("opened", "cause", "halt_class")


def _asked(judgement: Judgement, order_id: str, control: str) -> ControlResult | None:
    named = [r for results in judgement.rounds for r in results if r.control == control and r.status > Status.WARN]
    return next((r for r in named if order_id in r.order_ids), named[0] if named else None)


def _control_rows(results: Sequence[ControlResult]) -> list[dict[str, object]]:
    return [
        {
            "kind": "CONTROL",
            "key": f"{r.control}|{r.key}",
            "control": r.control,
            "name": r.name,
            "observed": r.observed,
            "limit": r.limit,
            "headroom": r.headroom,
            "unit": r.unit,
            "status": r.status.name,
            "message": r.message,
        }
        for r in results
    ]


def _order_rows(judgement: Judgement) -> list[dict[str, object]]:
    changed = {order_id: (after, control) for order_id, _, after, control in judgement.changes}
    rows: list[dict[str, object]] = []
    seen: set[str] = set()
    for order in judgement.planned:
        if order.client_order_id in seen:
            continue
        seen.add(order.client_order_id)
        after, control = changed.get(order.client_order_id, (order.quantity, ""))
        why = _asked(judgement, order.client_order_id, control)
        rows.append(
            {
                "kind": "ORDER",
                "key": order.client_order_id,
                "control": control,
                "name": order.instrument,
                "unit": order.currency if order.kind is Kind.FX else "shares",
                "status": (why.status if why else Status.WARN if control else Status.PASS).name,
                "message": why.message if why else "",
                "planned_quantity": order.quantity,
                "approved_quantity": after,
            }
        )
    return rows


def _number_twins(rows: list[dict[str, object]]) -> None:
    """Makes keys unique: a batch that holds an order twice (RC-13) gets two answers under one key."""
    count: Counter[object] = Counter()
    for row in rows:
        count[row["key"]] += 1
        if count[row["key"]] > 1:
            row["key"] = f"{row['key']}|{count[row['key']]}"


def register_after(judgement: Judgement, inputs: RiskInputs, mandate: Mandate) -> Register:
    """The breaches after a verdict; facts that cannot be read leave those of its answers alone."""
    facts, rules = inputs.operations, mandate.limits.breaches
    return next_register(
        () if facts is None else facts.breaches,
        judgement.results,
        session=inputs.session,
        breaks=inputs.breaks,
        operator=facts is not None and facts.operator,
        cure_sessions=rules.cure_sessions,
        clean_checks=rules.clean_checks,
    )


def _carried_rows(judgement: Judgement, inputs: RiskInputs, mandate: Mandate) -> list[dict[str, object]]:
    """What the next session's verdict reads again: the register and the newest fills with their costs."""
    trades = () if inputs.operations is None else inputs.operations.trades
    return [*breach_rows(register_after(judgement, inputs, mandate)), *(_trade_row(n, t) for n, t in enumerate(trades))]


def _trade_row(place: int, trade: TradeCost) -> dict[str, object]:
    return {
        "kind": TRADE,
        "key": f"{place:04d}|{trade.execution_id}",
        "control": "RC-73",
        "name": trade.instrument,
        "observed": trade.shortfall_bps,
        "limit": trade.expected_bps,
        "headroom": trade.expected_bps - trade.shortfall_bps,
        "unit": "bps",
        "status": Status.PASS.name,
        "message": "",
    }


def trades_of(verdict: pd.DataFrame) -> tuple[TradeCost, ...]:
    """The fills with their costs that a RISK_VERDICT carries, oldest first: their keys begin with their place."""
    rows = verdict[verdict["kind"] == TRADE].sort_values("key")
    return tuple(
        TradeCost(str(row.key).partition("|")[2], str(row.name), float(row.observed), float(row.limit))
        for row in rows.itertuples(index=False)
    )


def verdict_frame(judgement: Judgement, inputs: RiskInputs, mandate: Mandate) -> pd.DataFrame:
    """RISK_VERDICT: the last round's answers, every planned order with what became of it, the verdict; sorted by its key."""
    batch: dict[str, object] = {
        "kind": "BATCH",
        "key": "verdict",
        "control": "",
        "name": "verdict",
        "unit": "orders",
        "status": worst(judgement.results).name,
        "message": f"{len(judgement.approved)} of {len(judgement.planned)} orders approved",
    }
    rows = [
        *_control_rows(judgement.results),
        *_order_rows(judgement),
        batch,
        *_carried_rows(judgement, inputs, mandate),
    ]
    _number_twins(rows)
    frame = pd.DataFrame(rows, columns=[column.name for column in RISK_VERDICT.columns])
    frame["batch_seen_sha256"] = judgement.batch_seen_sha256
    frame["batch_approved_sha256"] = judgement.batch_approved_sha256
    frame["verdict"] = judgement.verdict
    frame["mandate_sha256"] = str(inputs.mandate_sha256)
    frame["rounds"] = len(judgement.rounds)
    for name in _TEXTS:
        frame[name] = [value if isinstance(value, str) else "" for value in frame[name]]
    numbers = {name: float for name in ("observed", "limit", "headroom")}
    frame = frame.astype({**numbers, "planned_quantity": object, "approved_quantity": object})
    for name in ("planned_quantity", "approved_quantity"):
        frame[name] = frame[name].where(frame[name].notna(), None)
    return frame.sort_values(["kind", "key"], kind="stable", ignore_index=True)


def _batch_row(frame: pd.DataFrame) -> "pd.Series[object]":
    rows = frame.loc[frame["kind"] == "BATCH"]
    if len(rows) != 1:
        raise NoVerdict(f"expected one verdict on the batch, found {len(rows)}: no order may be sent")
    return rows.iloc[0]


def verdict_of(frame: pd.DataFrame) -> str:
    """APPROVED, REJECTED or HALT. Raises NoVerdict when the table holds no single, readable verdict."""
    verdict = str(_batch_row(frame)["verdict"])
    if verdict not in VERDICTS or set(frame["verdict"]) != {verdict}:
        raise NoVerdict(f"expected one of {', '.join(VERDICTS)}, found {sorted(map(str, set(frame['verdict'])))}")
    return verdict


def approved_from_frame(frame: pd.DataFrame, planned_orders: Sequence[Order]) -> tuple[Order, ...]:
    """The approved batch, sorted by client order id: the planned orders with their approved quantities.

    Raises NoVerdict unless the verdict is APPROVED, was given on exactly this plan, makes no order larger, and the result
    has the approved hash. Ask `verdict_of` first when REJECTED and HALT are expected.
    """
    verdict, row = verdict_of(frame), _batch_row(frame)
    if verdict != APPROVED:
        raise NoVerdict(f"expected an APPROVED verdict, found {verdict}: no order may be sent")
    if row["batch_seen_sha256"] != batch_sha256(planned_orders):
        raise NoVerdict("the verdict was given on another batch than this plan: judge again")
    orders = frame.loc[frame["kind"] == "ORDER"]
    quantities: dict[str, object] = dict(zip(orders["key"], orders["approved_quantity"], strict=True))
    approved = []
    for order in sorted(planned_orders, key=lambda o: o.client_order_id):
        quantity = quantities.pop(order.client_order_id, None)
        if not isinstance(quantity, Decimal) or not 0 <= quantity <= order.quantity:
            raise NoVerdict(
                f"{order.client_order_id}: expected an approved quantity up to {order.quantity}, found {quantity}"
            )
        if quantity > 0:
            approved.append(order if quantity == order.quantity else replace(order, quantity=quantity))
    if quantities:
        raise NoVerdict(f"the verdict names orders that the plan does not hold: {', '.join(sorted(quantities)[:3])}")
    if row["batch_approved_sha256"] != batch_sha256(approved):
        raise NoVerdict("the approved quantities do not give the approved batch: the verdict was altered")
    return tuple(approved)
