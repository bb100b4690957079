"""The questions that Interactive Brokers asks before it takes an order, and which of them are confirmed. Pure.

Confirmed is only what cannot make an order worse than it was approved: its id and its words must both be those of the table, as
the ids are not told alike by the broker's pages and by its answers. Everything else is declined, and with it the order.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from marketbot_resources.broker.http import one_line
from marketbot_resources.broker.ibkr_gateway import Json, text
from marketbot_resources.model import Kind, Order, OrderType

QUESTIONS_MAX = 3
_STOPS = frozenset({OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP, OrderType.BRACKET})
_MARKET = frozenset({OrderType.MARKET, OrderType.MARKET_ON_OPEN, OrderType.MARKET_ON_CLOSE})
_LIMITED = frozenset(
    {OrderType.LIMIT_ON_OPEN, OrderType.LIMIT_ON_CLOSE, OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.BRACKET}
)


@dataclass(frozen=True, slots=True)
class Rule:
    """One question: the ids under which it is told, words of it in lower case, what it means, for which types it is confirmed.

    `types`: of orders for shares, none = always declined; `money`: also for conversions.
    """

    ids: frozenset[str]
    words: str
    meaning: str
    types: frozenset[OrderType] = frozenset()
    money: bool = False


RULES = (
    Rule(frozenset({"o354"}), "market data", "we send without a subscription to its prices; our own limit bounds the price",
         _LIMITED),
    Rule(frozenset({"o10153", "o10223"}), "mandatory cap price", "it may cap the price: we trade less, never worse",
         frozenset(OrderType), money=True),
    Rule(frozenset({"p12"}), "not immediately executable", "a limit far from the market may be refused: we trade less",
         _LIMITED),
    Rule(frozenset({"o10151", "o10164"}), "market order", "a market order has no bound; the mandate named it", _MARKET,
         money=True),
    Rule(frozenset({"o10152", "o10331"}), "stop order", "a stop becomes a market order; the mandate named it", _STOPS),
    Rule(frozenset({"o163"}), "percentage", "the limit is far from the market: a wrong price or an old one"),
    Rule(frozenset({"o382"}), "tick size", "the limit is not on the exchange's grid"),
    Rule(frozenset({"o383"}), "size limit", "more shares than the account's own precaution allows"),
    Rule(frozenset({"o403"}), "trigger and fill immediately", "a stop that is beyond the market already"),
    Rule(frozenset({"o451"}), "total value limit", "more money than the account's own precaution allows"),
    Rule(frozenset({"o2136"}), "allocation", "an allocation among accounts: not ours"),
    Rule(frozenset({"o2137"}), "cross side", "an order of ours stands on the other side: a trade with ourselves"),
    Rule(frozenset({"o10336"}), "limited liquidity", "the position may not be closed again"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Question:
    """A question to be answered by its id before the order is taken. `declined`: why it is, empty when it is confirmed."""

    reply_id: str
    declined: str


def question_in(entry: Mapping[str, Json], order: Order) -> Question | None:
    """The question of an answer's entry, judged for this order; None when the entry is none.

    Every message must be one that is confirmed; an entry without messages or ids cannot be judged and is declined.
    """
    if "message" not in entry or "order_id" in entry:
        return None
    reply_id = text(entry.get("id"))
    messages, ids = entry["message"], entry.get("messageIds")
    if not isinstance(messages, list) or not isinstance(ids, list) or not messages or len(messages) != len(ids):
        return Question(reply_id, one_line(f"a question that cannot be judged: {messages}"))
    for message, message_id in zip(messages, ids, strict=True):
        if not _confirmed(text(message), text(message_id), order):
            return Question(reply_id, one_line(f"declined {text(message_id)}: {text(message)}"))
    return Question(reply_id, "")


def _confirmed(message: str, message_id: str, order: Order) -> bool:
    for rule in RULES:
        if message_id in rule.ids and rule.words in message.lower():
            return rule.money if order.kind is Kind.FX else order.type in rule.types
    return False
