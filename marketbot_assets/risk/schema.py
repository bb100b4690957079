"""Tables of the risk stage: the stress losses of the book after the plan, and the verdict with its way back to a batch. Pure.

Not here: how a verdict comes about (`verdict`), its rows (`verdict_frame`), how stress losses are computed (`stress`).
"""

from marketbot_resources.model import Status
from marketbot_resources.store.table import Column, Table

STATUSES = tuple(status.name for status in Status)
APPROVED = "APPROVED"
VERDICTS = ("APPROVED", "REJECTED", "HALT")

REVERSE, UNKNOWN = "reverse", "unknown"
STRESS_KINDS = ("crash", "bear", "budget", "fed", "instant", "history", REVERSE, UNKNOWN)

STRESS_RESULTS = Table(
    "stress_results",
    "one stress scenario applied to the book after the order plan",
    ("scenario",),
    (
        Column("scenario", "text", "name of the window or formula"),
        Column(
            "kind",
            "text",
            "crash, bear, budget, fed or instant; history has no limit; reverse: the shock that just loses this much; "
            "unknown when it cannot be computed",
            one_of=STRESS_KINDS,
        ),
        Column(
            "loss",
            "number",
            "loss, fraction of NAV, positive is a loss; null when it cannot be computed",
            nullable=True,
        ),
        Column("limit", "number", "hard limit, fraction of NAV; null where there is none", nullable=True, at_least=0),
        Column(
            "replay_loss", "number", "loss by the names' own returns in the window, stand-ins included", nullable=True
        ),
        Column(
            "factor_loss", "number", "loss by betas times factor returns; the larger one is the loss", nullable=True
        ),
        Column(
            "idiosyncratic",
            "number",
            "2.33 standard deviations of single names over the window, fraction of NAV, no part of the loss",
            nullable=True,
            at_least=0,
        ),
        Column(
            "path_drawdown", "number", "deepest fall within the window at twelve dates of it", nullable=True, at_least=0
        ),
        Column(
            "proxied_share",
            "number",
            "share of the gross book replayed by its peers or by beta times the index",
            nullable=True,
            at_least=0,
        ),
        Column(
            "shock",
            "number",
            "reverse: fraction of the market, sector or name, or standard deviations of 21 sessions (factors)",
            nullable=True,
            at_least=0,
        ),
        Column(
            "worst_contributors",
            "text",
            "up to five instruments with their part of the loss, fraction of NAV; reverse: of what it is made",
        ),
        Column("by_sector", "text", "the loss by sector, largest part first, funds as FUND; reverse: empty"),
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
        Column("message", "text", "why; of a pass what was not checked, else empty"),
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

RISK_KINDS = ("VAR", "ES", "VOLATILITY", "NAME", "CURRENCY", "FACTOR", "BACKTEST", "MODEL")

RISK_REPORT = Table(
    "risk_report",
    "one risk number of the book after the approved batch, or of the record of its forecasts",
    ("kind", "key"),
    (
        Column(
            "kind",
            "text",
            "VAR, ES, VOLATILITY; NAME, CURRENCY, FACTOR: parts of the volatility; BACKTEST; MODEL",
            one_of=RISK_KINDS,
        ),
        Column("key", "text", "method and level, instrument, currency, factor or statistic; empty: why there are none"),
        Column("value", "number", "the number in its unit; null when it cannot be computed", nullable=True),
        Column("share", "number", "a part's share of the whole volatility; null elsewhere", nullable=True),
        Column("unit", "text", "unit of value"),
        Column("text", "text", "the zone in words, an exposure, or why a number is missing; often empty"),
    ),
)

TABLES = (STRESS_RESULTS, RISK_VERDICT, RISK_REPORT)
