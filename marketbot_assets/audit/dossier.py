"""An order's dossier: one self-contained page without scripts that says what, when, why, what became of it, on what it rests. Pure.

Its facts are the object that `marketbot explain ORDER --json` prints. The same facts give the same bytes. Not here: the facts
(`commands.explain`), the tree and the ledger (`dossier_tree`), where pages are written (`commands.dossiers`).
"""

import datetime as dt
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import cast

from marketbot_assets.audit.charts import bar_chart, inline
from marketbot_assets.audit.dossier_tree import TREE_STYLE, ledger_section, tree_section
from marketbot_assets.audit.dossier_views import views_table
from marketbot_assets.audit.report_facts import number, total
from marketbot_assets.audit.report_parts import (
    Markup,
    badge,
    bullets,
    count,
    grid,
    html,
    joined,
    look,
    minor_digits,
    money,
    percent,
    plain_number,
    price,
    section,
    table,
    tag,
    tile,
)
from marketbot_assets.audit.report_style import STYLE
from marketbot_resources.model import utc_text
from marketbot_resources.order_types import in_words

View = Mapping[str, object]
Names = Callable[[object], str]
SIMULATED = "Partly simulated data"
SECTIONS = (
    ("what", "What and when"),
    ("why", "Why"),
    ("verdict", "Verdict"),
    ("became", "What became of it"),
    ("evidence", "Evidence"),
    ("ledger", "Ledger"),
    ("limits", "What this does not prove"),
)
_INSTRUMENT_ID = re.compile(r"\bMB[A-Z2-7]{10}\b")


def build_dossier(view: View, tickers: Mapping[str, str]) -> str:
    """The page of one order as HTML text. `tickers`: internal id -> ticker, for people. Every text is escaped."""
    order = cast("View", view["order"])

    def names(text: object) -> str:
        return _INSTRUMENT_ID.sub(lambda match: tickers.get(match.group(), match.group()), str(text))

    body = [
        _header(order, view),
        _banners(view),
        tag("p", _sentence(view), css="sentence"),
        _tiles(view),
        Markup("<nav>" + "".join(f'<a href="#{key}">{title}</a>' for key, title in SECTIONS) + "</nav>"),
        _what_section(order, cast("View", view["ledger"])),
        _why_section(view, names),
        _verdict_section(cast("View", view["verdict"]), names),
        _became_section(view),
        tree_section(view),
        ledger_section(view),
        section("limits", SECTIONS[-1][1], "Read this before drawing conclusions.", bullets(limits_of(view))),
        tag("footer", "No investment advice. Trading can lose money."),
    ]
    return page(f"marketbot {order['client_order_id']}", body)


def page(title: str, body: Sequence[object]) -> str:
    """A whole page in the look of the daily report."""
    head = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{html(title)}</title><style>{STYLE}\n{TREE_STYLE}</style></head>"
    )
    return f"{head}\n<body><main>\n{joined(body, chr(10))}\n</main></body></html>\n"


def called(order: View) -> str:
    """What people call the traded thing: exchange and ticker, or the currency."""
    if order["ticker"]:
        return f"{order['mic']}:{order['ticker']}"
    return str(order["instrument"]).replace("FX:", "")


def _header(order: View, view: View) -> Markup:
    verdict = str(cast("View", view["verdict"])["verdict"])
    css, sign = look(verdict)
    what = f"{order['side']} {count(number(order['quantity']))} {called(order)}"
    where = f"Order {order['client_order_id']}, batch {order['batch_no']} of session {order['session']}"
    left = tag(
        "div",
        tag("div", "marketbot order dossier", css="eyebrow"),
        tag("h1", f"{what} {order['name']}".rstrip()),
        tag("div", where, css="soft"),
    )
    state = tag("small", f"newest state: {order['state']}")
    return tag("header", left, tag("div", f"{sign} {verdict}", state, css=f"verdict {css}"))


def _banners(view: View) -> Markup:
    lines = []
    if view["faults"]:
        told = f"{view['faults']} of the hashes below do not hold. The first: {view['fault']}"
        lines.append(tag("p", tag("b", "Evidence is not whole. "), told, css="banner bad"))
    if view["synthetic"]:
        rest = ". Some rows behind this order are simulated; it shows how the platform decides, not what it would earn."
        lines.append(tag("p", tag("b", SIMULATED), rest, css="banner"))
    return joined(lines, "\n")


def _sentence(view: View) -> str:
    """The order in a few plain sentences."""
    order, plan, target = (cast("View", view[name] or {}) for name in ("order", "plan", "target"))
    verb = "buys" if order["side"] == "BUY" else "sells"
    text = f"The decision of session {order['session']} {verb} {count(number(order['quantity']))} {called(order)} {_limit(order)}. "
    if target:
        before, after = (percent(number(target[name])) for name in ("weight_now", "weight_target"))
        text += f"Its weight goes from {before} to {after} of NAV. "
    if plan:
        text += f"Purpose: {str(plan['purpose']).replace('_', ' ').lower()}. "
    verdict = cast("View", view["verdict"])
    text += f"The verdict on its batch was {verdict['verdict']}; its newest state is {order['state']}. "
    filled = total([number(fill["quantity"]) for fill in cast("Sequence[View]", view["fills"])])
    return text + (f"{count(filled)} were filled." if filled else "No fill of it is known yet.")


def _limit(order: View) -> str:
    return in_words(order, lambda value: price(number(value)))


def _tiles(view: View) -> Markup:
    plan, target, base = cast("View", view["plan"] or {}), cast("View", view["target"] or {}), view["base_currency"]
    fills = cast("Sequence[View]", view["fills"])
    costs = [cast("View", fill["cost"]) for fill in fills if fill["cost"]]
    forecast = cast("View", target.get("forecast") or {})
    expected = number(forecast.get("expected_return"))
    before, after = (percent(number(target.get(name))) for name in ("weight_now", "weight_target"))
    note = f"of {count(number(cast('View', view['order'])['quantity']))} ordered"
    return tag(
        "div",
        tile("Value at the limit", money(number(plan.get("value_base"))), base),
        tile("Weight in the target", after, f"of NAV, now {before}"),
        tile("Expected excess return", percent(expected), "per year"),
        tile("Expected cost", plain_number(number(plan.get("cost_bps")), 3), "basis points of the value"),
        tile("Filled", count(total([number(fill["quantity"]) for fill in fills])), note),
        tile("Cost of the fills", money(total([number(c["total_base"]) for c in costs]), 2) if costs else "n/a", base),
        css="tiles",
    )


def _what_section(order: View, ledger: View) -> Markup:
    rows = [
        ("order", order["client_order_id"]),
        ("what", f"{order['side']} {count(number(order['quantity']))} {called(order)}, {_limit(order)}"),
        ("instrument", f"{order['instrument']} {order['name']}".rstrip()),
        ("leg and batch", f"leg {order['leg']}, batch {order['batch_no']} of session {order['session']}"),
        ("decided", f"on what was known at the cutoff {ledger['cutoff_at']}"),
        ("may be sent", f"from {order['send_from']} until {order['send_until']}"),
    ]
    return section("what", "What and when", "Instants are UTC.", table(("field<", "value"), rows))


def _why_section(view: View, names: Names) -> Markup:
    plan, target, base = cast("View", view["plan"] or {}), cast("View", view["target"] or {}), view["base_currency"]
    reason = names(plan.get("reason") or cast("View", view["order"])["reason"])
    told = tag("p", tag("b", reason))
    if not target:
        return section("why", "Why", "A currency leg pays for orders in its currency.", told, _plan_table(plan, base))
    forces = {name: number(value) for name, value in cast("View", target["forces"]).items()}
    known = [(name.replace("_", " "), value) for name, value in forces.items() if math.isfinite(value)]
    chart = Markup(inline(bar_chart("Forces on the weight", known))) if known else tag("p", "No forces are known.")
    pressed = f" The limit that presses most: {names(target['pressed_by'])}." if target["pressed_by"] else ""
    lede = f"Forces in utility per year and unit of weight; positive ones raise the weight.{pressed}"
    side = joined([_forecast_table(cast("View | None", target["forecast"])), _plan_table(plan, base)])
    limits = _limit_table(cast("Sequence[View]", target["limits"]), names)
    views = views_table(cast("View | None", target.get("views")), names)
    method = str(target["method"]).replace("_", " ")
    since = tag("p", f"{names(target['change'])}.", css="soft") if target["change"] else ""
    how = f"Target by {method} ({target['status']}). {names(target['no_buys'])}".rstrip()
    return section(
        "why", "Why", lede, told, tag("p", how, css="soft"), since, _brought(target), grid(chart, side), views, limits
    )


def _brought(target: View) -> Markup:
    parts = cast("View", target["contributions"])
    rows = [(name.replace("_", " "), percent(number(value), 4)) for name, value in parts.items()]
    return table(("what it brings<", "of NAV>"), rows, caption="Contributions: return and risk per year, cost once")


def _forecast_table(forecast: View | None) -> Markup:
    heads = ("forecast<", "value>")
    shown = ("prior", "score", "tilt", "expected_return", "uncertainty", "volatility")
    rows = [(name.replace("_", " "), _forecast_cell(name, number((forecast or {}).get(name)))) for name in shown]
    return table(heads, rows if forecast else [], caption="Forecast, per year")


def _forecast_cell(name: str, value: float) -> str:
    return plain_number(value, 3) if name == "score" else percent(value)


def _plan_table(plan: View, base: object) -> Markup:
    if not plan:
        return tag("p", "The plan does not hold this order.", css="soft")
    rows = [
        ("purpose", str(plan["purpose"]).replace("_", " ").lower()),
        ("reference price", f"{price(number(plan['reference_price']))} {plan['currency']}"),
        ("value at the limit", f"{money(number(plan['value_base']))} {base}"),
        ("expected cost", f"{plain_number(number(plan['cost_bps']), 3)} bp"),
    ]
    return table(("plan<", "value>"), rows, caption="Plan")


def _limit_table(limits: Sequence[View], names: Names) -> Markup:
    rows = [
        (
            row["control"],
            names(row["name"]),
            plain_number(number(row["left"])),
            plain_number(number(row["limit"])),
            plain_number(number(row["hard"])),
            row["unit"],
            plain_number(number(row["dual"])),
            plain_number(1e4 * number(row.get("price")), 3),
        )
        for row in limits
    ]
    heads = ("control<", "limit", "value>", "bound>", "hard>", "unit<", "dual>", "price, bp>")
    caption = (
        "Limits that bound the target; dual = utility per year for one unit more, price = basis points of utility per year "
        "for a bound 1 % looser"
    )
    return table(heads, rows, caption=caption)


def _verdict_section(verdict: View, names: Names) -> Markup:
    planned, approved = (count(number(verdict[name])) for name in ("planned_quantity", "approved_quantity"))
    fate = f"{planned} planned, {approved} approved"
    if verdict["changed_by"]:
        fate += f": {verdict['changed_by']} {names(verdict['message'])}"
    loud = [
        (
            badge(str(row["status"])),
            f"{row['control']} {row['name']}",
            plain_number(number(row["observed"])),
            plain_number(number(row["limit"])),
            plain_number(number(row["headroom"])),
            row["unit"],
            names(row["message"]),
        )
        for row in cast("Sequence[View]", verdict["not_passed"])
    ]
    heads = ("status<", "control", "observed>", "limit>", "headroom>", "unit<", "message~")
    lede = f"{verdict['verdict']} in round {verdict['rounds']}, {verdict['controls']} answers of controls on the whole batch."
    content = table(heads, loud, caption="Every control that did not pass")
    return section("verdict", "Verdict", lede, tag("p", fate), content)


def _became_section(view: View) -> Markup:
    ledger, base = cast("View", view["ledger"]), view["base_currency"]
    states = [
        (badge(str(event["state"])), event.get("at", ""), event.get("reason", ""), event["seq"])
        for event in cast("Sequence[View]", ledger["events"])
    ]
    final = cast("View | None", ledger["final"])
    if final:
        states.append((badge(str(final["state"])), "as a later session learned", final["reason"], final["seq"]))
    fills = [_fill_row(fill) for fill in cast("Sequence[View]", view["fills"])]
    heads = ("session<", "executed at<", "quantity>", "decided at>", "filled at>", "slippage, bp>", "expected, bp>", "fee>",
             "tax>", f"total, {base}>", "remark~")  # fmt: skip
    lede = f"Slippage against the price at the decision; fee, tax and total in {base}."
    told = table(("state<", "at<", "reason~", "entry>"), states, caption="States in the ledger")
    filled = table(heads, fills, caption="Fills that later sessions know")
    return section("became", "What became of it", lede, told, filled)


def _fill_row(fill: View) -> tuple[object, ...]:
    cost = cast("View", fill["cost"] or {})
    digits = minor_digits(fill["currency"])
    amounts = (money(number(cost.get(name)), 2) for name in ("fee_base", "tax_base", "total_base"))
    fee, tax = (money(number(fill[name]), digits) for name in ("fee", "tax"))
    at = fill["executed_at"]
    charged = f"charged: fee {fee}, tax {tax}" + (f" {fill['currency']}" if fill["order_kind"] == "EQUITY" else "")
    return (
        fill["session"],
        utc_text(at) if isinstance(at, dt.datetime) else str(at),
        count(number(fill["quantity"])),
        price(number(cost.get("decision_price"))),
        price(number(fill["price"])),
        plain_number(number(cost.get("slippage_bps")), 3),
        plain_number(number(cost.get("expected_bps")), 3),
        *amounts,
        cost.get("reason") or charged,
    )


def limits_of(view: View) -> list[str]:
    """What a reader must not conclude from the page."""
    lines = []
    if view["synthetic"]:
        lines.append(f"{SIMULATED}: nothing here says what the strategy would have earned.")
    if view["broker"] == "paper":
        lines.append("The broker was simulated, too: no order left this machine.")
    return [
        *lines,
        "A hash shows that the bytes are those that were stored, not that a provider told the truth.",
        "Whoever holds this home could rewrite all of it. That nobody did shows only by a root of the ledger kept elsewhere.",
        "Objects of earlier sessions are read again here; what stands behind them is covered by their own session's decision.",
        "That the decision follows from these inputs is shown by the asset replay_check, not by this page.",
        "Forces say what pulled at the weight and what held it, not what would have happened otherwise.",
        "What happens after this page was made is not on it; `marketbot explain ORDER --html` makes it again.",
    ]


def build_dossier_index(session: str, views: Sequence[View], tickers: Mapping[str, str]) -> str:
    """The page that lists a session's dossiers, each a file beside it. `views`: those of its orders."""

    def names(text: object) -> str:
        return _INSTRUMENT_ID.sub(lambda match: tickers.get(match.group(), match.group()), str(text))

    rows = [_index_row(view, names) for view in views]
    synthetic = any(view["synthetic"] for view in views)
    faults = sum(cast("int", view["faults"]) for view in views)
    heads = ("dossier<", "side<", "quantity>", "what<", "limit>", "purpose<", "why~", "state<", "evidence<")
    content = table(heads, rows) if rows else tag("p", "The session approved no order.", css="soft")
    whole = "every hash held" if not faults else f"{faults} hashes did not hold"
    lede = f"{len(rows)} orders. When these pages were made, {whole}."
    ledger = cast("View", views[0]["ledger"]) if views else {}
    root = tag("p", f"Ledger of {ledger['size']} entries, root ", tag("code", ledger["root"])) if ledger else ""
    eyebrow = tag("div", "marketbot order dossiers", css="eyebrow")
    body = [
        tag("header", tag("div", eyebrow, tag("h1", f"Session {session}"))),
        tag("p", tag("b", SIMULATED), ".", css="banner") if synthetic else "",
        section("orders", "Orders", lede, content, root),
        tag("footer", "No investment advice. Trading can lose money."),
    ]
    return page(f"marketbot dossiers {session}", body)


def _short_limit(order: View, limit: float) -> str:
    if math.isfinite(limit):
        return f"{price(limit)} {order['currency']}"
    return "at the rate" if order["kind"] == "FX" else "at the market"


def _index_row(view: View, names: Names) -> tuple[object, ...]:
    order, plan = cast("View", view["order"]), cast("View", view["plan"] or {})
    name = str(order["client_order_id"])
    limit = number(order["limit_price"])
    return (
        Markup(f'<a href="{html(name)}.html">{html(name)}</a>'),
        order["side"],
        count(number(order["quantity"])),
        called(order),
        _short_limit(order, limit),
        str(plan.get("purpose", "")).replace("_", " ").lower(),
        names(order["reason"]),
        badge(str(order["state"])),
        "whole" if not view["faults"] else tag("span", f"{view['faults']} faults", css="down"),
    )
