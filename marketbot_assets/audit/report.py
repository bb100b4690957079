"""The daily report: one self-contained page without scripts, and its headline numbers as JSON values. Pure.

The same facts give the same bytes. Not here: the facts (`report_facts`), the sections (`report_alerts`, `report_book`,
`report_explained`, `report_llm`, `report_risk`, `report_measures`, `report_orders`, `report_costs`, `report_results`,
`report_evidence`), how it is stored or sent.
"""

import math

from marketbot_assets.audit.llm_numbers import book_influence, standing, tries
from marketbot_assets.audit.report_alerts import alerts_section
from marketbot_assets.audit.report_book import headroom_share, nav_section, nearest, stops_section, weights_section
from marketbot_assets.audit.report_costs import costs_section
from marketbot_assets.audit.report_evidence import (
    evidence_section,
    findings,
    quality_section,
    unknown_section,
)
from marketbot_assets.audit.report_explained import explained_section
from marketbot_assets.audit.report_facts import ReportFacts, number, rows_of
from marketbot_assets.audit.report_llm import llm_section
from marketbot_assets.audit.report_measures import backtest_section, parts_section, state_section, tail_section
from marketbot_assets.audit.report_orders import fills_section, orders_section
from marketbot_assets.audit.report_parts import (
    Markup,
    change,
    html,
    joined,
    look,
    money,
    percent,
    plain_number,
    tag,
    tile,
)
from marketbot_assets.audit.report_results import attribution_section, drift_section
from marketbot_assets.audit.report_risk import limits_section, risk_section
from marketbot_assets.audit.report_style import STYLE

BANNER = "A demonstration on partly simulated data, not a backtest"
SECTIONS = (
    ("nav", "NAV and drawdown"),
    ("weights", "Weights"),
    ("explained", "Why"),
    ("llm", "Language model"),
    ("state", "Trading state"),
    ("risk", "Risk and stress"),
    ("tail", "Value at risk"),
    ("parts", "Parts of the risk"),
    ("backtest", "Back-test"),
    ("limits", "Limits"),
    ("alerts", "Alerts"),
    ("orders", "Orders"),
    ("fills", "Fills and costs"),
    ("shortfall", "What orders cost"),
    ("stops", "Stops"),
    ("attribution", "Attribution"),
    ("drift", "Forecasts"),
    ("quality", "Data quality"),
    ("unknown", "What is not known"),
    ("evidence", "Evidence"),
)


def build_report(facts: ReportFacts) -> str:
    """The page of one session as HTML text. Every text of the facts is escaped."""
    body = joined(
        [
            _header(facts),
            tag(
                "p",
                tag("b", BANNER),
                ". What follows from that stands below under: What this report does not know.",
                css="banner",
            )
            if facts.synthetic
            else "",
            tag("p", _sentence(facts), css="sentence"),
            _tiles(facts),
            Markup("<nav>" + "".join(f'<a href="#{key}">{title}</a>' for key, title in SECTIONS) + "</nav>"),
            nav_section(facts),
            weights_section(facts),
            explained_section(facts),
            llm_section(facts),
            state_section(facts),
            risk_section(facts),
            tail_section(facts),
            parts_section(facts),
            backtest_section(facts),
            limits_section(facts),
            alerts_section(facts),
            orders_section(facts),
            fills_section(facts),
            costs_section(facts),
            stops_section(facts),
            attribution_section(facts),
            drift_section(facts),
            quality_section(facts),
            unknown_section(facts),
            evidence_section(facts),
            tag(
                "footer",
                "Amounts without a currency are in ",
                facts.base,
                ". No investment advice. Trading can lose money.",
            ),
        ],
        "\n",
    )
    title = html(f"marketbot {facts.session}: {facts.verdict}")
    head = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}</style></head>"
    )
    return f"{head}\n<body><main>\n{body}\n</main></body></html>\n"


def _header(facts: ReportFacts) -> Markup:
    mandate = facts.mandate
    where = f"Account {mandate.account.id}, {mandate.cadence}, base currency {facts.base}"
    css, sign = look(facts.verdict)
    count = f"{len(facts.orders)} of {len(facts.planned)} planned orders approved"
    verdict = tag("div", f"{sign} {facts.verdict}", tag("small", count), css=f"verdict {css}")
    left = tag(
        "div",
        tag("div", "marketbot daily report", css="eyebrow"),
        tag("h1", f"Session {facts.session}"),
        tag("div", where, ". Ended: ", facts.named(facts.end_state).rstrip(". "), ".", css="soft"),
    )
    return tag("header", left, verdict)


def _sentence(facts: ReportFacts) -> str:
    """The day in a few plain sentences."""
    parts = [f"NAV is {money(facts.nav)} {facts.base}"]
    if math.isfinite(facts.pnl):
        verb = "a gain" if facts.pnl > 0 else "a loss" if facts.pnl < 0 else "a change"
        parts.append(f"{verb} of {money(abs(facts.pnl))} ({percent(abs(facts.pnl_fraction))}) on the session")
    parts.append(f"{percent(facts.book.drawdown_inception)} below its high")
    text = ", ".join(parts) + ". "
    changed = [row for row in facts.planned if number(row["approved"]) != number(row["quantity"])]
    if facts.verdict == "APPROVED":
        text += f"The verdict changed {len(changed)} of {len(facts.planned)} planned orders. "
    else:
        text += "No order was approved. "
    tight = nearest(facts)
    if tight:
        row, share = tight[0], headroom_share(tight[0])
        left = "headroom not known"
        if math.isfinite(share):
            left = f"{percent(share, 1)} of its room left" if share >= 0.0 else f"{percent(-share, 1)} beyond it"
        text += f"First among the limits stands {row['control']} {row['name']}: {left}. "
    if facts.book.stop_hits:
        names = ", ".join(facts.ticker(hit.instrument) for hit in facts.book.stop_hits)
        text += f"The close broke the stop of {names}. "
    return text.strip()


def _tiles(facts: ReportFacts) -> Markup:
    book, base = facts.book, facts.base
    volatility, shortfall = facts.volatility, facts.control("RC-44")
    day = change(money(facts.pnl), facts.pnl)
    rung = book.rung.value.replace("_", " ")
    known = math.isfinite(facts.benchmark_return)
    beside = f"; benchmark {percent(facts.benchmark_return)}" if known else ""
    return tag(
        "div",
        tile("NAV", money(facts.nav), base),
        tile(
            "Profit and loss of the day", day, joined([change(percent(facts.pnl_fraction), facts.pnl_fraction), beside])
        ),
        tile("Drawdown", percent(book.drawdown_inception), f"from inception; ladder {percent(book.drawdown)}"),
        tile("Rung of the ladder", rung, f"risk scaled by {plain_number(book.multiple, 2)}"),
        tile("Invested", percent(facts.fraction(facts.held), 1), f"{len(facts.held)} positions"),
        tile("Cash", percent(facts.fraction(facts.cash), 1), f"{len(facts.cash)} currencies"),
        tile("Turnover approved", percent(facts.turnover), "one way, of NAV"),
        tile("Orders", f"{len(facts.orders)} / {len(facts.planned)}", "approved / planned"),
        tile("Volatility, per year", percent(number(volatility.get("observed"))), _against(volatility)),
        tile("Expected shortfall", percent(number(shortfall.get("observed"))), _against(shortfall)),
        tile("Fills", len(facts.fills), f"cost {money(facts.cost, 2)} {base}"),
        tile("Data findings", sum(n for k, n in findings(facts).items() if k != "pass"), "warn, quarantine or halt"),
        css="tiles",
    )


def _against(row: object) -> str:
    assert isinstance(row, dict)
    return f"limit {percent(number(row.get('limit')))}"


def summary(facts: ReportFacts) -> dict[str, object]:
    """Headline numbers as JSON values: fractions of NAV, base currency, counts; null where a number is not known."""
    volatility, shortfall, tight = facts.volatility, facts.control("RC-44"), nearest(facts)
    stressed = [row for row in rows_of(facts.stress_results) if math.isfinite(number(row["limit"]))]
    losses = [(number(row["loss"]), str(row["scenario"])) for row in stressed]
    worst = max((pair for pair in losses if math.isfinite(pair[0])), default=(math.nan, ""))
    changed = [row for row in facts.planned if number(row["approved"]) != number(row["quantity"])]
    return {
        "session": facts.session.isoformat(),
        "verdict": facts.verdict,
        "end_state": facts.end_state,
        "base_currency": facts.base,
        "nav": _json(facts.nav),
        "pnl": _json(facts.pnl),
        "pnl_fraction": _json(facts.pnl_fraction),
        "benchmark_return": _json(facts.benchmark_return),
        "benchmark_sectors": {name: list(pair) for name, pair in facts.benchmark_sectors.items()},
        "drawdown_inception": _json(facts.book.drawdown_inception),
        "drawdown": _json(facts.book.drawdown),
        "rung": facts.book.rung.value,
        "multiple": _json(facts.book.multiple),
        "invested": _json(facts.fraction(facts.held)),
        "cash": _json(facts.fraction(facts.cash)),
        "positions": len(facts.held),
        "turnover": _json(facts.turnover),
        "orders_planned": len(facts.planned),
        "orders_approved": len(facts.orders),
        "orders_changed": len(changed),
        "fills": len(facts.fills),
        "cost_base": _json(facts.cost),
        "vol_annual": _json(number(volatility.get("observed"))),
        "vol_annual_limit": _json(number(volatility.get("limit"))),
        "es_975_1d": _json(number(shortfall.get("observed"))),
        "es_975_1d_limit": _json(number(shortfall.get("limit"))),
        "stress_worst": worst[1],
        "stress_worst_loss": _json(worst[0]),
        "limit_tightest": str(tight[0]["key"]) if tight else "",
        "limit_tightest_share_left": _json(headroom_share(tight[0])) if tight else None,
        "stop_hits": len(facts.book.stop_hits),
        "blocked": len(facts.book.blocked),
        "data_findings": findings(facts),
        "llm_source": ", ".join(standing(rows_of(facts.llm_context)).sources),
        "llm_cost_usd": float(tries(rows_of(facts.llm_answers)).cost_usd),
        "llm_influence_book": book_influence(rows_of(facts.target_portfolio)),
        "synthetic": facts.synthetic,
        "anchors": len(facts.mandate.anchors),
    }


def _json(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
