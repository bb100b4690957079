"""What a day of the loop decided, as one line of text: orders, weights, the rounds of the verdict, the state of the book."""

import hashlib

from marketbot_assets.research.loop import Day


def line_of(day: Day) -> str:
    """Session, number of orders, hashes. Weights and NAV to nine digits, so that another machine says the same."""
    orders = [
        (o.client_order_id, o.instrument, o.side.value, o.leg, format(o.quantity, "f"), str(o.limit_price), o.reason)
        for o in day.decision.batch
    ]
    weights = [f"{weight + 0.0:.9f}" for weight in day.decision.target.weights]
    rounds = [[(r.control, r.key, r.status.name) for r in results] for results in day.decision.judgement.rounds]
    state = (day.state.rung.value, f"{day.rolled.valuation.nav:.6f}", day.state.multiple, day.state.blocked)
    parts = " ".join(hashlib.sha256(repr(part).encode()).hexdigest()[:12] for part in (orders, weights, rounds, state))
    return f"{day.known.session} {len(orders)} {parts}"
