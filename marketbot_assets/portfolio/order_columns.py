"""The columns that every table of orders shares. Not here: rows (`order_frame`)."""

from marketbot_resources.model import Kind, Side
from marketbot_resources.store.table import Column

ORDER_COLUMNS = (
    Column("client_order_id", "text", "follows from environment, account, session, batch, instrument and leg"),
    Column("session", "date", "session that decided"),
    Column("batch_no", "integer", "batch of the session", at_least=1),
    Column("leg", "text", "T target, P protective or cure, F currency", one_of=("T", "P", "F")),
    Column("kind", "text", "EQUITY or FX", one_of=tuple(kind.value for kind in Kind)),
    Column("instrument", "text", "internal id; FX:<currency> for a currency leg"),
    Column("mic", "text", "exchange, ISO 10383; empty for a currency leg"),
    Column("side", "text", "BUY or SELL", one_of=tuple(side.value for side in Side)),
    Column("quantity", "decimal", "shares, or units of the currency for a currency leg", at_least=0),
    Column("limit_price", "decimal", "per share, listing currency; null for a currency leg", nullable=True, at_least=0),
    Column("currency", "text", "ISO 4217, major unit"),
    Column("send_from", "instant", "earliest instant to send, UTC"),
    Column("send_until", "instant", "latest instant to send, UTC"),
    Column("reason", "text", "why, for people"),
)
