"""The columns that every table of orders shares. Not here: rows (`order_frame`).

LATER_COLUMNS came after the first tables were written, which stay readable: a table without them holds orders of the first type
without further prices (`order_rows`).
"""

from marketbot_resources.model import Kind, OrderType, Side
from marketbot_resources.order_slices import CLOSE_LEG, SLICE_LEG, SLICES_MAX
from marketbot_resources.order_types import STOP_LEG
from marketbot_resources.store.table import Column

LEG_NAMES = ("T", "P", "F", STOP_LEG, CLOSE_LEG, *(f"{SLICE_LEG}{number}" for number in range(1, SLICES_MAX + 1)))
LATER_COLUMNS = (
    Column("type", "text", "how the order executes", one_of=tuple(kind.value for kind in OrderType)),
    Column("stop_price", "decimal", "of a stop or a bracket's protection, listing currency", nullable=True, at_least=0),
    Column("take_profit", "decimal", "of a bracket, listing currency", nullable=True, at_least=0),
    Column("trail", "decimal", "distance of a trailing stop, fraction of the best price", nullable=True, at_least=0),
)
ORDER_COLUMNS = (
    Column("client_order_id", "text", "follows from environment, account, session, batch, instrument and leg"),
    Column("session", "date", "session that decided"),
    Column("batch_no", "integer", "batch of the session", at_least=1),
    Column(
        "leg",
        "text",
        "T target, T1, T2, ... its slices, TC what they leave for the close, P exit or cure, S protection, F currency",
        one_of=LEG_NAMES,
    ),
    Column("kind", "text", "EQUITY or FX", one_of=tuple(kind.value for kind in Kind)),
    Column("instrument", "text", "internal id; FX:<currency> for a currency leg"),
    Column("mic", "text", "exchange, ISO 10383; empty for a currency leg"),
    Column("side", "text", "BUY or SELL", one_of=tuple(side.value for side in Side)),
    Column("quantity", "decimal", "shares, or units of the currency for a currency leg", at_least=0),
    Column("limit_price", "decimal", "per share, listing currency; null at the market", nullable=True, at_least=0),
    Column("currency", "text", "ISO 4217, major unit"),
    Column("send_from", "instant", "earliest instant to send, UTC"),
    Column("send_until", "instant", "latest instant to send, UTC"),
    Column("reason", "text", "why, for people"),
    *LATER_COLUMNS,
)
