"""Tables of the risk stage: the stress losses of the book after the plan, and the verdict with its way back to a batch. Pure.

Not here: how a verdict comes about (`verdict`), its rows (`verdict_frame`), how stress losses are computed (`stress`).
"""

from marketbot_resources.model import Status
from marketbot_resources.store.table import Column, Table

STATUSES = tuple(status.name for status in Status)
APPROVED = "APPROVED"
VERDICTS = ("APPROVED", "REJECTED", "HALT")

STRESS_KINDS = ("crash", "bear", "budget", "fed", "instant", "unknown")

STRESS_RESULTS = Table(
    "stress_results",
    "one stress scenario applied to the book after the order plan",
    ("scenario",),
    (
        Column("scenario", "text", "name of the window or formula"),
        Column(
            "kind",
            "text",
            "crash, bear, budget, fed or instant; unknown when it cannot be computed",
            one_of=STRESS_KINDS,
        ),
        Column(
            "loss",
            "number",
            "loss, fraction of NAV, positive is a loss; null when it cannot be computed",
            nullable=True,
        ),
        Column("limit", "number", "hard limit, fraction of NAV", nullable=True, at_least=0),
        Column(
            "proxied_share",
            "number",
            "share of the gross book replayed by beta times the index",
            nullable=True,
            at_least=0,
        ),
        Column("worst_contributors", "text", "up to five instruments with their part of the loss, fraction of NAV"),
        Column("status", "text", "what RC-46 says to it", one_of=STATUSES),
    ),
)

RISK_VERDICT = Table(
    "risk_verdict",
    "one answer of a control (CONTROL), one planned order (ORDER), the verdict on the batch (BATCH), one breach in the register"
    " (BREACH), or one of the newest fills with its cost (TRADE)",
    ("kind", "key"),
    (
        Column("kind", "text", "what the row is about", one_of=("CONTROL", "ORDER", "BATCH", "BREACH", "TRADE")),
        Column("key", "text", "control and its group, client order id, verdict, or execution id"),
        Column("control", "text", "the control; of an order: the one that made it smaller, else empty"),
        Column("name", "text", "name of the control; of an order or fill: its instrument; of a breach: its group"),
        Column(
            "observed",
            "number",
            "left side; of a breach: verdicts since it opened; of a fill: shortfall; null when not a number",
            nullable=True,
        ),
        Column(
            "limit",
            "number",
            "right side; of a breach: how long it may stay; of a fill: shortfall expected; null where there is none",
            nullable=True,
        ),
        Column("headroom", "number", "room to the limit, negative beyond it", nullable=True),
        Column("unit", "text", "unit of observed and limit"),
        Column("status", "text", "answer in the last round", one_of=STATUSES),
        Column("message", "text", "why, empty when it passes"),
        Column("planned_quantity", "decimal", "ORDER: quantity in the plan", nullable=True),
        Column("approved_quantity", "decimal", "ORDER: quantity approved, 0 when dropped", nullable=True),
        Column("batch_seen_sha256", "text", "hash of the planned batch"),
        Column("batch_approved_sha256", "text", "hash of the approved batch"),
        Column("verdict", "text", "verdict on the whole batch", one_of=VERDICTS),
        Column("mandate_sha256", "text", "hash of the mandate judged by"),
        Column("rounds", "integer", "rounds of judgement", at_least=1),
        Column("opened", "text", "BREACH: session that opened it; empty elsewhere"),
        Column("cause", "text", "BREACH: active or passive; empty elsewhere", one_of=("", "active", "passive")),
        Column("halt_class", "text", "BREACH: A, B or C when it halts; empty elsewhere", one_of=("", "A", "B", "C")),
    ),
)

TABLES = (STRESS_RESULTS, RISK_VERDICT)
