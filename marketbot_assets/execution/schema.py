"""Tables of the execution stage: the approved batch, what the broker acknowledged, what fills cost. Not here: their rows."""

from marketbot_assets.portfolio.order_columns import ORDER_COLUMNS
from marketbot_resources.model import OrderState, Side
from marketbot_resources.store.table import Column, Table

_SIDES = tuple(side.value for side in Side)

ORDERS = Table("orders", "one order of the approved batch", ("client_order_id",), ORDER_COLUMNS)

SUBMISSIONS = Table(
    "submissions",
    "one order of the approved batch as the broker acknowledged it",
    ("client_order_id",),
    (
        Column("client_order_id", "text", "our id of the order"),
        Column("instrument", "text", "internal id; FX:<currency> for a currency leg"),
        Column("side", "text", "BUY or SELL", one_of=_SIDES),
        Column("quantity", "decimal", "shares, or units of the currency for a currency leg", at_least=0),
        Column(
            "state",
            "text",
            "newest state in the ledger; APPROVED was not sent",
            one_of=tuple(state.value for state in OrderState),
        ),
        Column("broker_order_id", "text", "the broker's id of the order; empty when it gave none"),
        Column("reason", "text", "why it was refused, not sent or is unknown; else empty"),
        Column("submitted_at", "instant", "instant of the last attempt, UTC; null when never sent", nullable=True),
    ),
)

EXECUTION_COSTS = Table(
    "execution_costs",
    "one fill of the session and what it cost against its plan",
    ("execution_id",),
    (
        Column("execution_id", "text", "the broker's id of the execution"),
        Column("client_order_id", "text", "our id of the order"),
        Column("instrument", "text", "internal id; FX:<currency> for a currency leg"),
        Column("side", "text", "BUY or SELL", one_of=_SIDES),
        Column("quantity", "decimal", "shares, or units of the currency for a currency leg", at_least=0),
        Column(
            "decision_price",
            "number",
            "reference price of the plan, listing currency (leg: base per unit); null without plan",
            nullable=True,
            at_least=0,
        ),
        Column("fill_price", "number", "price of the fill, same unit", at_least=0),
        Column(
            "value_base", "number", "quantity at the fill price, base; null without rate", nullable=True, at_least=0
        ),
        Column(
            "slippage_bps",
            "number",
            "fill against decision price, basis points of the decision price, positive is worse; null without plan",
            nullable=True,
        ),
        Column("fee_base", "number", "fee in base currency; null without rate", nullable=True, at_least=0),
        Column("tax_base", "number", "tax in base currency; null without rate", nullable=True, at_least=0),
        Column("total_base", "number", "slippage, fee and tax in base currency; null when one is", nullable=True),
        Column(
            "expected_bps", "number", "cost in the plan, basis points of the value; null without plan", nullable=True
        ),
        Column("reason", "text", "why a number is missing; else empty"),
    ),
)

STATES = ("WORKING", "FILLED", "PARTIAL", "UNFILLED", "REJECTED", "NOT_SENT", "UNKNOWN")


def _part(name: str, what: str) -> Column:
    return Column(name, "number", f"{what}; null where a price that it needs is not known", nullable=True)


SHORTFALL = Table(
    "shortfall",
    "one approved order that ended since the session before, or that is still worked, and its implementation shortfall",
    ("client_order_id",),
    (
        Column("client_order_id", "text", "our id of the order"),
        Column("decided_on", "date", "session that decided"),
        Column("environment", "text", "what the broker says its account is: paper or live; the two are never mixed"),
        Column("instrument", "text", "internal id; FX:<currency> for a currency leg"),
        Column("currency", "text", "ISO 4217; a leg's prices and parts are in base currency"),
        Column("side", "text", "BUY or SELL", one_of=_SIDES),
        Column("order_type", "text", "how it executes; FX for a currency leg"),
        Column("state", "text", "what became of it; parts are null while it is worked", one_of=STATES),
        Column("quantity", "decimal", "ordered, on the fills' side of a split", at_least=0),
        Column("filled", "number", "filled", nullable=True, at_least=0),
        Column("decision_price", "number", "D: reference price of the plan", nullable=True, at_least=0),
        Column("arrival_price", "number", "A: price when it could trade first", nullable=True, at_least=0),
        Column("arrival", "text", "which price that is; empty where none is known"),
        Column("average_price", "number", "mean price of the fills; null without one", nullable=True, at_least=0),
        Column("close_price", "number", "C: close of the order's last session", nullable=True, at_least=0),
        _part("delay", "filled * (A - D), positive is worse, price currency"),
        _part("spread", "the model's spread on what was filled"),
        _part("impact", "the model's square-root impact on what was filled"),
        _part("residual", "fills against A less spread and impact: what the model does not say"),
        _part("opportunity", "(quantity - filled) * (C - D)"),
        _part("fees", "fees of the fills"),
        _part("taxes", "taxes of the fills"),
        _part("total", "the sum of the parts, price currency"),
        _part("total_bps", "total as basis points of quantity * D"),
        Column("rate", "number", "base per unit of the price currency at the decision", nullable=True, at_least=0),
        _part("total_base", "total at the rate of the decision, base currency"),
        _part("fx_base", "what the rate has moved since the decision, base currency; not in the total"),
        _part("realised_bps", "fills against A, fees and taxes, basis points of filled * A"),
        _part("model_bps", "the same as the mandate's costs say, without calibration"),
        Column("expected_bps", "number", "cost in the plan, basis points of the value", nullable=True),
        Column("reason", "text", "why a number is missing; else empty"),
    ),
)

TABLES = (ORDERS, SUBMISSIONS, EXECUTION_COSTS, SHORTFALL)
