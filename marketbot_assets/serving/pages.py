"""The pages for people: today's book, limits, orders, decisions, the audit search. Text in, HTML out, no scripts. Pure.

They look like the daily report and are made of its parts. Not here: who may see them (`page_routes`), what is looked at (`views`).
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import cast
from urllib.parse import quote

from marketbot_assets.audit.dossier import page
from marketbot_assets.audit.report_book import headroom_share
from marketbot_assets.audit.report_parts import (
    Markup,
    badge,
    count,
    html,
    in_unit,
    joined,
    meter,
    money,
    percent,
    plain_number,
    price,
    section,
    table,
    tag,
    tile,
)

View = Mapping[str, object]
PAGES = (
    ("/", "Book"),
    ("/limits", "Limits"),
    ("/alerts", "Alerts"),
    ("/decisions", "Decisions"),
    ("/orders", "Why this order"),
    ("/reports", "Reports"),
    ("/audit", "Audit search"),
)
_INSTRUMENT = re.compile(r"\bMB[A-Z0-9]{10}\b", re.ASCII)
_PLAIN = "padding:0;border:0;background:none;color:var(--blue);font:inherit;cursor:pointer"
_FIELD = "padding:7px 10px;border:1px solid #c9d2dc;border-radius:6px;font:inherit;min-width:min(420px,100%)"
_BUTTON = "padding:7px 16px;border:0;border-radius:6px;background:#1f5fa8;color:#fff;font:inherit;font-weight:600"


def link(address: str, text: object) -> Markup:
    """A link inside of this server."""
    return Markup(f'<a href="{html(quote(address, safe="/?=&"))}">{html(text)}</a>')


def _link_bar() -> Markup:
    links = joined([link(address, title) for address, title in PAGES], " ")
    out = f'<form method="post" action="/logout"><button style="{_PLAIN}">Log out</button></form>'
    return Markup(f'<nav style="align-items:center">{links}{out}</nav>')


def _whole(title: str, told: str, *content: object) -> str:
    head = tag(
        "header", tag("div", tag("div", "marketbot", css="eyebrow"), tag("h1", title), tag("div", told, css="soft"))
    )
    return page(f"marketbot: {title}", [head, _link_bar(), *content, _foot()])


def _foot() -> Markup:
    return tag("footer", "No investment advice. Trading can lose money.")


def with_links(text: str) -> str:
    """A finished page of the platform with the way back to the others on top."""
    return text.replace("<main>", f"<main>{_link_bar()}", 1)


def _form(action: str, label: str, field: str, button: str, *, method: str = "get") -> Markup:
    return Markup(
        f'<form method="{method}" action="{action}"><p><label>{html(label)}<br>{field}</label></p>'
        f'<p><button style="{_BUTTON}">{html(button)}</button></p></form>'
    )


def _field(name: str, value: str, *, kind: str = "search", most: int = 100) -> Markup:
    told = html(value).replace('"', "&quot;")
    return Markup(
        f'<input type="{kind}" name="{name}" value="{told}" maxlength="{most}" autocomplete="off" required style="{_FIELD}">'
    )


def login_page(problem: str = "") -> str:
    """The form that takes a token."""
    field = _field("token", "", kind="password", most=200)
    form = _form("/login", "A token of `marketbot token create`", field, "Log in", method="post")
    said = tag("p", problem, css="banner bad") if problem else ""
    head = tag("header", tag("div", tag("div", "marketbot", css="eyebrow"), tag("h1", "Log in")))
    told = "The token stays with the server: the browser gets a session of eight hours, which ends with the token."
    return page("marketbot: log in", [head, said, section("login", "Token", told, form), _foot()])


def message_page(title: str, told: str) -> str:
    """One sentence instead of a page that is not there."""
    return _whole(title, "", tag("p", told, css="sentence"))


def book_page(status: View, book: View) -> str:
    """Today's book: NAV, drawdown, positions, cash, open orders, breaches, and what to do next."""
    state, base = cast("View", status["book"] or {}), str(cast("View", status["book"] or {}).get("base_currency", ""))
    halt = cast("View", status["halt"])
    on = halt["status"] != "off"
    stopped = tag("p", tag("b", "Halted. "), f"{halt['level'] or halt['status']}: {halt['reason']}", css="banner bad")
    rows = [_position(one) for one in cast("Sequence[View]", book["positions"])]
    heads = ["instrument", "name~", "quantity>", "price>", "currency", f"value {base}>", "weight>"]
    cash = [
        [one["currency"], _number(one["amount"]), _money(one["value_base"])]
        for one in cast("Sequence[View]", book["cash"])
    ]
    return _whole(
        "Today's book",
        f"As of session {book['session']}",
        stopped if on else "",
        tag("p", f"Next: {status['next']}", css="sentence"),
        _tiles(status, state, base),
        section("positions", "Positions", "Largest first; prices in the listing currency.", table(heads, rows)),
        section("cash", "Cash", "Per currency.", table(["currency", "amount>", f"value {base}>"], cash)),
        section("orders", "Orders that have not ended", "In doubt: sent without an answer.", _orders(status)),
        section("breaches", "Breaches", "What stays beyond a limit, and why.", _breaches(status)),
    )


def _tiles(status: View, state: View, base: str) -> Markup:
    sessions, ledger = cast("View", status["sessions"] or {}), cast("View", status["ledger"])
    return tag(
        "div",
        tile("NAV", f"{_money(state.get('nav'))} {base}", f"session {state.get('session', 'none')}"),
        tile(
            "Drawdown", _percent(state.get("drawdown")), f"from inception {_percent(state.get('drawdown_inception'))}"
        ),
        tile("Rung", state.get("rung", "n/a"), f"risk times {_plain(state.get('multiple'))}"),
        tile("Invested", _percent(state.get("invested")), f"{state.get('positions', 0)} positions"),
        tile("Last session", sessions.get("last") or "none", sessions.get("last_state", "")),
        tile("Ledger", f"{ledger['size']} entries", "whole" if ledger["whole"] else f"BROKEN: {ledger['problem']}"),
        css="tiles",
    )


def _position(one: View) -> list[object]:
    return [
        one["ticker"] or one["instrument"],
        one["name"],
        _number(one["quantity"], count),
        _number(one["price"], price),
        one["currency"],
        _money(one["value_base"]),
        _percent(one["weight"]),
    ]


def _orders(status: View) -> Markup:
    found = [
        *cast("Sequence[View]", status["open_orders"] or ()),
        *cast("Sequence[View]", status["in_doubt_orders"] or ()),
    ]
    rows = [
        [
            order_link(one["client_order_id"]),
            one.get("session", ""),
            one.get("side", ""),
            one.get("quantity", ""),
            one["state"],
        ]
        for one in found
    ]
    return table(["order<", "session<", "side", "quantity>", "state"], rows)


def _breaches(status: View) -> Markup:
    found = cast("Sequence[View]", status["breaches"] or ())
    rows = [[one["control"], one["key"], one["opened"], one["cause"], one["message"]] for one in found]
    return table(["control<", "key", "since<", "cause", "what~"], rows)


def order_link(name: object) -> Markup:
    """To the page that says why an order exists."""
    return link(f"/orders/{name}", name)


def limits_page(found: View, tickers: Mapping[str, str]) -> str:
    """Every answer of a session's verdict: what is not PASS first, then what has the least room left."""
    rows = cast("Sequence[View]", found["controls"])
    ordered = sorted(rows, key=lambda one: (one["status"] == "PASS", _room(one), str(one["key"])))
    told = [_limit(one, tickers) for one in ordered]
    heads = ["control<", "what~", "observed>", "limit>", "used", "answer", "why~"]
    lede = "Answers that are not PASS come first, then the least room; the bar shows how much of a limit is used."
    return _whole(
        "Limits",
        f"Verdict of session {found['session']}: {found['verdict']}",
        section("limits", f"{len(rows)} answers", lede, table(heads, told)),
    )


def _room(one: View) -> float:
    """Headroom as a share of the limit; infinite where that means nothing."""
    asked = {name: _float(one[name]) for name in ("observed", "limit", "headroom")}
    return headroom_share(asked) if asked["limit"] and all(map(math.isfinite, asked.values())) else math.inf


def _limit(one: View, tickers: Mapping[str, str]) -> list[object]:
    def named(text: object) -> str:
        return _INSTRUMENT.sub(lambda found: tickers.get(found.group(), found.group()), str(text))

    group = str(one["key"]).partition("|")[2]
    where = order_link(group) if group.startswith("mb1-") else named(group)
    return [
        one["control"],
        joined([one["name"], where], " "),
        in_unit(_float(one["observed"]), one["unit"]),
        in_unit(_float(one["limit"]), one["unit"]),
        meter(1.0 - _room(one)),
        badge(str(one["status"])),
        named(one["message"]),
    ]


def alerts_page(found: View) -> str:
    """The newest alerts with who took them, and what calls for one without a record."""
    recorded, unheard = (cast("Sequence[View]", found[name]) for name in ("alerts", "found"))
    heads = ["session<", "alert", "about", "what~", "told", "do~"]
    lede = "Newest first. An alert that nobody took stays due; the runbook has more on each code."
    now = "Found in the newest sessions and not recorded: without channels in the mandate nothing is."
    return _whole(
        "Alerts",
        "What went wrong and whether somebody was told",
        section("alerts", f"{len(recorded)} alerts", lede, table(heads, [_alert(one) for one in recorded])),
        section("found", f"{len(unheard)} without a record", now, table(heads, [_alert(one) for one in unheard])),
    )


def _alert(one: View) -> list[object]:
    heard = f"{one['channel']} at {one['at']}" if one["acknowledged"] else "nobody yet"
    failed = f"; {one['failures']} failures, last: {one['last_failure']}" if one["failures"] else ""
    word = joined([badge(str(one["severity"])), one["code"]], " ")
    return [one["session"], word, one["subject"], one["message"], f"{heard}{failed}", one["do"]]


def decisions_page(found: View) -> str:
    """The newest decisions."""
    rows = [
        [
            link(f"/orders?session={one['session']}", one["session"]),
            one["end_state"],
            one["cutoff_at"],
            _code(one["hash"]),
        ]
        for one in cast("Sequence[View]", found["decisions"])
    ]
    return _whole(
        "Decisions",
        "Newest first",
        section(
            "decisions",
            "Decisions",
            "Each is one entry of the ledger.",
            table(["session<", "ended", "cutoff<", "leaf"], rows),
        ),
    )


def orders_page(found: View) -> str:
    """The orders of a session; each leads to why it exists."""
    rows = [
        [
            order_link(one["client_order_id"]),
            one["side"],
            _number(one["quantity"], count),
            one["ticker"] or one["instrument"],
            one["name"],
            one["state"],
        ]
        for one in cast("Sequence[View]", found["orders"])
    ]
    search = _form("/orders", "A session, like 2018-12-24", _field("session", str(found["session"]), most=10), "Show")
    heads = ["order<", "side", "quantity>", "ticker", "name~", "state"]
    lede = "An order's page tells why it exists, what became of it, and hashes everything behind it again."
    return _whole(
        "Why this order",
        f"Session {found['session']}",
        section("orders", f"{len(rows)} orders", lede, search, table(heads, rows)),
    )


def reports_page(found: View) -> str:
    """The sessions that have a report."""
    rows = [[link(f"/reports/{one}", one)] for one in cast("Sequence[str]", found["sessions"])]
    return _whole(
        "Reports", "Newest first", section("reports", "Reports", "One page per session.", table(["session<"], rows))
    )


def audit_page(query: str, found: View | None) -> str:
    """The search form, and what was found."""
    form = _form("/audit", "A part of a kind or key, or 8 or more digits of a hash", _field("q", query), "Search")
    parts: list[object] = [section("search", "Search", "Over the ledger's entries and the store's index.", form)]
    if found is not None:
        parts += [_entries(query, found), _objects(found)]
    return _whole("Audit search", "What is recorded under a name or a hash", *parts)


def _entries(query: str, found: View) -> Markup:
    entries = cast("Sequence[View]", found["entries"])
    rows = [[one["seq"], one["kind"], _key(one), _code(one["hash"])] for one in entries]
    before = found["next_before"]
    more = link(f"/audit?q={quote(query, safe='')}&before={before}", f"look before entry {before}") if before else ""
    return section(
        "entries", f"{len(rows)} entries", "Newest first.", table(["number>", "kind<", "key", "leaf"], rows), more
    )


def _key(one: View) -> object:
    kind, key = str(one["kind"]), str(one["key"])
    return order_link(key) if kind == "order_intent" else key


def _objects(found: View) -> Markup:
    objects = [
        [one["asset"], one["partition"], _code(one["file_sha256"])] for one in cast("Sequence[View]", found["objects"])
    ]
    bodies = [
        [one["asset"], one["partition"], _code(one["blob_sha256"])] for one in cast("Sequence[View]", found["bodies"])
    ]
    heads = ["asset<", "partition<", "hash"]
    lede = "Versions of assets and bodies as received, found by a hash alone."
    return section(
        "objects", "Store", lede, table(heads, objects, caption="versions"), table(heads, bodies, caption="bodies")
    )


def _code(value: object) -> Markup:
    return tag("code", value)


def _float(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


def _money(value: object) -> str:
    return money(_float(value))


def _percent(value: object) -> str:
    return percent(_float(value))


def _plain(value: object) -> str:
    return plain_number(_float(value))


def _number(value: object, told: object = None) -> str:
    number = float(str(value)) if value is not None else math.nan
    return told(number) if callable(told) else money(number, 2)
