"""Tables of the book stage: what was filled, what is held, breaks with the broker, the book's state, exits due.

Not here: how rows become frames (`rows`), how they become facts again (`frames`, `fills`).
"""

from marketbot_resources.store.table import Column, Table

POSITION, CASH, EVENT = "POSITION", "CASH", "EVENT"
ORDER, FILL, PRICE = "ORDER", "FILL", "PRICE"
MATCH, EXPLAINED, LOCKED, BREAK = "match", "explained", "locked", "break"
MISSED_FILL, UNKNOWN_FILL, OVERFILL, BUST = "missed_fill", "unknown_fill", "overfill", "bust"
ORPHAN_ORDER, VANISHED_ORDER = "orphan_order", "vanished_order"
VANISHED_POSITION, UNEXPLAINED_POSITION = "vanished_position", "unexplained_position"
CASH_BREAK, PRICE_BREAK, BY_EVENT, AMBIGUOUS = "cash_break", "price_break", "event", "ambiguous"
DELTAS = (
    *(MATCH, MISSED_FILL, UNKNOWN_FILL, OVERFILL, BUST, ORPHAN_ORDER, VANISHED_ORDER),
    *(VANISHED_POSITION, UNEXPLAINED_POSITION, CASH_BREAK, PRICE_BREAK, BY_EVENT, AMBIGUOUS),
)
STOP_LOSS, TRAILING = "RC-62", "RC-63"

FILLS = Table(
    "fills",
    "one execution that the broker reported since the session before",
    ("execution_id",),
    (
        Column("execution_id", "text", "the broker's id of the execution"),
        Column("client_order_id", "text", "our id of the order"),
        Column("order_kind", "text", "EQUITY or FX", one_of=("EQUITY", "FX")),
        Column("instrument", "text", "internal id; FX:<currency> for a currency leg"),
        Column("side", "text", "BUY or SELL", one_of=("BUY", "SELL")),
        Column("quantity", "decimal", "shares, or units of the currency for FX; positive"),
        Column("price", "decimal", "per share in the currency; base currency per unit for FX"),
        Column("currency", "text", "listing currency, or the currency converted"),
        Column("fee", "decimal", "positive; in the currency, in base currency for FX", at_least=0),
        Column("tax", "decimal", "positive, in the currency", at_least=0),
        Column("executed_at", "instant", "instant of the execution, UTC"),
    ),
)

POSITIONS = Table(
    "positions",
    "one held instrument or one currency's cash after the session, or one corporate action booked in it",
    ("kind", "key"),
    (
        Column("kind", "text", "POSITION, CASH or EVENT", one_of=(POSITION, CASH, EVENT)),
        Column("key", "text", "instrument, currency for cash, id of the event"),
        Column("instrument", "text", "internal id; empty for cash"),
        Column("currency", "text", "listing currency, or the currency of the cash"),
        Column("quantity", "decimal", "shares (of an event: change in shares); null for cash", nullable=True),
        Column(
            "amount", "decimal", "cash in the currency (of an event: what it paid); null for positions", nullable=True
        ),
        Column("price", "number", "last known close, listing currency; null for cash and events", nullable=True),
        Column("fx", "number", "base currency per unit of the currency, last known", nullable=True),
        Column("value_base", "number", "value in base currency; null when price or rate is unknown", nullable=True),
    ),
)

RECONCILIATION = Table(
    "reconciliation",
    "our book against the broker's, for one instrument, one currency, or one order, fill or mean price that differs",
    ("kind", "key"),
    (
        Column(
            "kind",
            "text",
            "POSITION and CASH always; ORDER, FILL and PRICE (mean price paid) only where something is wrong",
            one_of=(POSITION, CASH, ORDER, FILL, PRICE),
        ),
        Column("key", "text", "instrument, currency for cash, client order id, execution id"),
        Column("instrument", "text", "internal id; empty for cash"),
        Column("ours", "decimal", "shares, cash in the currency, shares left of an order, or price, by our book"),
        Column("broker", "decimal", "the same as the broker reports it"),
        Column("difference", "decimal", "ours less the broker's"),
        Column("delta", "text", "what the difference is", one_of=DELTAS),
        Column(
            "outcome",
            "text",
            "match, explained (proven and booked), locked (no order in the name) or break (trading halts)",
            one_of=(MATCH, EXPLAINED, LOCKED, BREAK),
        ),
        Column("average", "decimal", "of a position: our mean price paid per share, null when unknown", nullable=True),
        Column("message", "text", "one sentence; empty when they match"),
    ),
)

BOOK_STATE = Table(
    "book_state",
    "one fact of the book's state after the session",
    ("item", "instrument"),
    (
        Column("item", "text", "name of the fact; `.n` numbers the entries of a series, oldest first"),
        Column("instrument", "text", "internal id; empty for facts of the whole book"),
        Column("number", "number", "the value of a number: base currency, fraction, price or count", nullable=True),
        Column("text", "text", "the value of a date, decimal or word; empty for numbers"),
    ),
)

PROTECTIVE_EXITS = Table(
    "protective_exits",
    "one position that must be sold whole at the next open because a stop was hit",
    ("instrument",),
    (
        Column("instrument", "text", "internal id"),
        Column("quantity", "decimal", "shares to sell: all that are held"),
        Column("control", "text", "RC-62 (stop loss) or RC-63 (trailing stop)", one_of=(STOP_LOSS, TRAILING)),
        Column("close", "number", "close that broke the level, listing currency"),
        Column("level", "number", "the level, listing currency"),
        Column("reason", "text", "one sentence"),
    ),
)

INTRADAY_EXITS = Table(
    "intraday_exits",
    "one held name whose stop two quotes in a row broke while its exchange traded; sold whole by the next decision",
    ("instrument",),
    (
        Column("instrument", "text", "internal id"),
        Column("quantity", "decimal", "shares held at the last decided session"),
        Column("control", "text", "RC-62 (stop loss) or RC-63 (trailing stop)", one_of=(STOP_LOSS, TRAILING)),
        Column("bid", "number", "the second bid below the level, listing currency"),
        Column("level", "number", "the level, listing currency"),
        Column("first_quoted_at", "instant", "first quote below the level, UTC"),
        Column("quoted_at", "instant", "second quote below the level, UTC"),
        Column("reason", "text", "one sentence"),
    ),
)

TABLES = (FILLS, POSITIONS, RECONCILIATION, BOOK_STATE, PROTECTIVE_EXITS, INTRADAY_EXITS)
