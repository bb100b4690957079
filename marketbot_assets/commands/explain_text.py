"""What `explain` found, in lines for people. Not here: finding it (`explain`), the tree (`evidence_text`)."""

import datetime as dt
import math
from collections.abc import Sequence
from decimal import Decimal
from typing import cast

from marketbot_assets.commands.evidence_text import tree_lines
from marketbot_assets.commands.explain_views import views_lines
from marketbot_resources.model import plain, utc_text
from marketbot_resources.order_types import in_words

View = dict[str, object]
SHOWN = 16


def explain_lines(view: View) -> list[str]:
    """What and when, why, what the verdict said, what it cost, and the tree of evidence."""
    order, target = cast("View", view["order"]), cast("View | None", view["target"])
    lines = _what(order) + _when(cast("View", view["ledger"]))
    lines += _why(cast("View | None", view["plan"]), target)
    lines += _judged(cast("View", view["verdict"])) + _filled(cast("list[View]", view["fills"]), order)
    return lines + _evidence(view)


def _line(label: str, value: object) -> list[str]:
    return [f"{label:<10}{value}"]


def _number(value: object, form: str = ".6g") -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "not known"
    return plain(value) if isinstance(value, Decimal) else format(value, form)


def _what(order: View) -> list[str]:
    limit = in_words(order)
    called = " ".join(str(order[name]) for name in ("ticker", "mic", "name") if order[name])
    return [
        *_line("order", order["client_order_id"]),
        *_line("what", f"{order['side']} {order['quantity']} {called or order['instrument']} {limit}"),
        *_line(
            "", f"instrument {order['instrument']}, leg {order['leg']}, batch {order['batch_no']} of {order['session']}"
        ),
        *_line("window", f"{order['send_from']} to {order['send_until']}"),
        *_line("state", order["state"]),
    ]


def _when(ledger: View) -> list[str]:
    lines = _line("decided", f"cutoff {ledger['cutoff_at']}, ledger entry {cast('View', ledger['decision'])['seq']}")
    for event in cast("list[View]", ledger["events"]):
        told = f"{event['state']} at {event.get('at', 'an instant not recorded')} {event.get('reason', '')}".rstrip()
        lines += _line("", f"{told} (entry {event['seq']})")
    final = cast("View | None", ledger["final"])
    if final:
        lines += _line("", f"{final['state']} at the broker in the end {final['reason']}".rstrip())
    return lines


def _why(plan: View | None, target: View | None) -> list[str]:
    lines = _line("why", plan["reason"] if plan else "the plan does not hold it")
    if plan:
        told = f"purpose {plan['purpose']}, reference price {_number(plan['reference_price'])}"
        lines += _line("", f"{told}, expected cost {_number(plan['cost_bps'])} bps")
    if target is None:
        return lines
    forces, forecast = cast("View", target["forces"]), cast("View | None", target["forecast"])
    told = ", ".join(f"{name.replace('_', ' ')} {_number(value, '+.4f')}" for name, value in forces.items())
    before, after = _number(target["weight_now"], ".2%"), _number(target["weight_target"], ".2%")
    lines += _line("weight", f"{before} -> {after} of NAV by {target['method']} ({target['status']})")
    lines += _line("forces", f"{told}, utility per year and unit of weight")
    lines += _brought(target)
    if forecast:
        told = f"excess return {_number(forecast['expected_return'], '.2%')} a year"
        lines += _line("forecast", f"{told}, volatility {_number(forecast['volatility'], '.2%')}")
    told_views = views_lines(cast("View | None", target["views"]))
    lines += [line for n, text in enumerate(told_views) for line in _line("views" if n == 0 else "", text)]
    for limit in cast("list[View]", target["limits"]):
        told = f"{limit['control']} {limit['name']}: {_number(limit['left'])} against {_number(limit['limit'])}"
        lines += _line("bound by", f"{told} {limit['unit']}, dual {_number(limit['dual'])}")
        if limit["price"] is not None:
            told = f"utility {_number(limit['price'], '.4%')} and expected return {_number(limit['price_return'], '.4%')} a year"
            lines += _line("", f"price of the limit: 1 % looser it would bring {told}")
    lines += [line for text in str(target["eased"]).split("; ") if text for line in _line("eased", text)]
    return lines + [line for text in str(target["conflicts"]).split("; ") if text for line in _line("conflict", text)]


def _brought(target: View) -> list[str]:
    """What the weight brings to the book and what moved it since the session before."""
    parts = cast("View", target["contributions"])
    brings = f"expected return {_number(parts['return_contribution'], '+.3%')}, risk {_number(parts['risk_contribution'], '+.3%')}"
    lines = _line("brings", f"{brings} a year of NAV; the trade costs {_number(parts['trade_cost'], '.4%')} of NAV")
    return lines + (_line("change", target["change"]) if target["change"] else [])


def _judged(verdict: View) -> list[str]:
    planned, approved = _number(verdict["planned_quantity"]), _number(verdict["approved_quantity"])
    lines = _line(
        "verdict", f"{verdict['verdict']} in round {verdict['rounds']}, {verdict['controls']} answers of controls"
    )
    if verdict["changed_by"]:
        lines += _line("", f"{planned} -> {approved} by {verdict['changed_by']}: {verdict['message']}")
    else:
        lines += _line("", f"approved as planned: {approved}")
    loud = cast("list[View]", verdict["not_passed"])
    for row in loud[:SHOWN]:
        lines += _line("", f"{row['status']} {row['control']} {row['name']}: {row['message']}")
    if len(loud) > SHOWN:
        lines += _line("", f"and {len(loud) - SHOWN} more that did not pass")
    return lines


def _filled(fills: Sequence[View], order: View) -> list[str]:
    if not fills:
        return _line("filled", "nothing that a later session knows")
    lines = []
    for fill in fills:
        told = f"{_number(fill['quantity'])} at {_number(fill['price'])} at {utc_text(cast('dt.datetime', fill['executed_at']))}"
        fees = f"fee {_number(fill['fee'])}, tax {_number(fill['tax'])} {order['currency']}"
        lines += _line("filled", f"{told}, {fees}")
        cost = cast("View | None", fill["cost"])
        if cost:
            told = f"slippage {_number(cost['slippage_bps'], '.1f')} bps, in all {_number(cost['total_base'], '.2f')}"
            lines += _line("cost", f"{told} in base currency, expected {_number(cost['expected_bps'], '.1f')} bps")
    return lines


def _evidence(view: View) -> list[str]:
    links, blobs = cast("list[View]", view["chain"]), cast("list[str]", view["blobs"])
    told = f"{len(links)} objects and {len(blobs)} bodies as received, each read again"
    whole = "all whole" if not view["faults"] else f"{view['faults']} not whole, first: {view['fault']}"
    return _line("evidence", f"{told}: {whole}") + tree_lines(cast("View", view["tree"]))
