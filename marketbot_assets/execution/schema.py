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

TABLES = (ORDERS, SUBMISSIONS, EXECUTION_COSTS)
