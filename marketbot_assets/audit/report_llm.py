"""Section of the report about language models: whose views, what they rest on, their cost, worth and influence. Pure.

Headlines and answers are text of strangers: all of it is escaped by `report_parts`. Not here: what is counted (`llm_numbers`).
"""

import math
from decimal import Decimal

from marketbot_assets.audit.charts import inline
from marketbot_assets.audit.llm_numbers import (
    CONTAMINATED,
    NOT_ASKED,
    View,
    book_influence,
    coefficients,
    influence_chart,
    influence_note,
    influences,
    pack_items,
    standing,
    tries,
    views,
    worths,
)
from marketbot_assets.audit.report_facts import ReportFacts, number, rows_of
from marketbot_assets.audit.report_parts import (
    Markup,
    bullets,
    grid,
    joined,
    money,
    percent,
    plain_number,
    section,
    table,
    tag,
)
from marketbot_assets.insight.view_weight import view_weight
from marketbot_resources.model import plain

TITLE = "Language model"
EVIDENCE_SHOWN, NAMES_SHOWN = 3, 20


def llm_section(facts: ReportFacts) -> Markup:
    """Views with their evidence, why these, cost, worth and weight, what they moved. One line when the mandate names no model."""
    if facts.mandate.llm is None:
        return section("llm", TITLE, NOT_ASKED)
    whose, moved = standing(rows_of(facts.llm_context)), influences(rows_of(facts.target_portfolio))
    caps, rest = facts.mandate.limits.llm_influence, facts.named(whose.sentence.removeprefix(CONTAMINATED).strip())
    charts = [Markup(inline(coefficients(rows_of(facts.llm_evidence))))]
    if moved:
        charts.append(Markup(inline(influence_chart(moved[:NAMES_SHOWN], facts.named, caps.name, caps.book))))
    notes = [_cost(facts), *_weight(facts), *_moved(facts), *_shadow(facts)]
    lede = joined([tag("b", CONTAMINATED), " ", rest]) if whose.contaminated else rest
    return section("llm", TITLE, lede, bullets(notes), _views(facts), _worth(facts), grid(*charts), _tries(facts))


def _cost(facts: ReportFacts) -> str:
    done = tries(rows_of(facts.llm_answers))
    budget = facts.mandate.llm.usd_per_day if facts.mandate.llm else math.nan
    told = f"{done.accepted} accepted ({done.repaired} at the second try), {done.refused} refused, {done.failed} failed"
    return f"{done.asked} tries: {told}; {done.tokens:,} tokens, {plain(done.cost_usd)} of {plain_number(budget)} US dollars a day."


def _weight(facts: ReportFacts) -> list[str]:
    """What the views count in the forecasts, and why: judged again from what is stored."""
    if facts.llm_answers is None or facts.llm_evidence is None:
        return []
    found = view_weight(facts.llm_context, facts.llm_answers, facts.llm_evidence, facts.mandate)
    return [f"Weight {plain_number(found.weight, 3)} of the tilt: {facts.named(found.reason)}."]


def _moved(facts: ReportFacts) -> list[str]:
    rows, caps = rows_of(facts.target_portfolio), facts.mandate.limits.llm_influence
    whole, note = book_influence(rows), influence_note(rows)
    told = f"Views moved {percent(whole)} of NAV in all; at most {percent(caps.book)} in the book, {percent(caps.name)} a name"
    return [f"{told}." if whole > 0.0 else "Views moved nothing.", *([f"{facts.named(note)}."] if note else [])]


def _shadow(facts: ReportFacts) -> list[str]:
    """The two model books, kept by one rule with and without the views: what came of the difference so far."""
    rows = rows_of(facts.shadow_book)
    if not rows:
        return []
    newest = rows[-1]
    first, ends = str(newest["opened_on"])[:10], [money(number(newest[name])) for name in ("nav_with", "nav_without")]
    return [f"Model books since {first}, no account: with the views {ends[0]}, without them {ends[1]} {facts.base}."]


def _views(facts: ReportFacts) -> Markup:
    made = views(rows_of(facts.llm_context), pack_items(rows_of(facts.context_pack)))
    rows = [
        (
            view.kind.replace("_", "-").lower(),
            facts.named(view.subject),
            view.rank or "",
            f"{view.score:+.2f}",
            f"{view.confidence:.2f}",
            _evidence(facts, view),
        )
        for view in made
    ]
    heads = ("view<", "of<", "rank>", "score>", "confidence>", "rests on~")
    return table(heads, rows, caption="Views, -1 (against) to 1 (for), with what they rest on")


def _evidence(facts: ReportFacts, view: View) -> Markup:
    lines: list[object] = [facts.named(item) for item in view.evidence[:EVIDENCE_SHOWN]]
    more = len(view.evidence) - len(lines)
    return bullets([*lines, *([f"and {more} more"] if more > 0 else [])])


def _worth(facts: ReportFacts) -> Markup:
    rows = [
        (
            version,
            worth.sessions,
            *(plain_number(x, 3) for x in (worth.mean_ic, worth.standard_error, worth.shrunk)),
            f"{plain_number(worth.low, 3)} to {plain_number(worth.high, 3)}",
            plain_number(worth.weight, 3),
            right,
            worth.reason,
        )
        for version, worth, right in worths(facts.llm_evidence, facts.mandate)
    ]
    heads = (
        "version",
        "sessions>",
        "mean IC>",
        "standard error>",
        "shrunk>",
        "band>",
        "weight>",
        "right side, by confidence",
        "why~",
    )
    return table(heads, rows, caption="What earlier views were worth: rank correlation of view and outcome")


def _tries(facts: ReportFacts) -> Markup:
    rows = [
        (
            row["attempt"],
            f"{row['provider']}:{row['model']}{', repair' if row['repair'] else ''}",
            row["answered_by"],
            row["outcome"],
            row["layer"],
            facts.named(row["reason"]),
            f"{row['tokens_in']} + {row['tokens_out']}",
            plain(Decimal(str(row["cost_usd"]))),
        )
        for row in rows_of(facts.llm_answers)
    ]
    heads = ("try>", "asked", "answered by", "outcome<", "layer or kind", "why~", "tokens in + out>", "US dollars>")
    return table(heads, rows, caption="Tries, in the order of asking")
