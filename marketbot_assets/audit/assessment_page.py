"""The yearly self-assessment as one self-contained page without scripts. Pure.

The same facts give the same bytes; every text of the facts is escaped. Not here: the facts (`assessment_facts`), its tables of
controls (`assessment_tables`), what regulation asks (`assessment_review`).
"""

from collections.abc import Sequence

from marketbot_assets.audit.assessment_facts import Facts, findings
from marketbot_assets.audit.assessment_review import Answer, Cover
from marketbot_assets.audit.assessment_rules import Standing
from marketbot_assets.audit.assessment_tables import (
    breaches_section,
    catalogue_section,
    changes_section,
    controls_section,
    exceptions_section,
    people_section,
    rules_section,
    sessions_section,
)
from marketbot_assets.audit.report_parts import Markup, bullets, html, joined, money, section, table, tag, tile
from marketbot_assets.audit.report_style import STYLE

SECTIONS = (
    ("findings", "Findings"),
    ("review", "What regulation asks"),
    ("rules", "Rules of the mandate"),
    ("exceptions", "Exceptions"),
    ("controls", "Controls"),
    ("catalogue", "Limits, owners, tests"),
    ("breaches", "Breaches"),
    ("sessions", "Sessions without a verdict"),
    ("changes", "Mandate"),
    ("people", "People and alerts"),
    ("limits", "What this does not show"),
)
COVERS = {Cover.EVIDENCE: ("good", "✓"), Cover.PART: ("warn", "!"), Cover.NOT_COVERED: ("bad", "×")}
NOT_SHOWN = (
    "Counts rest on the last round of each verdict: a control that made an order smaller in an earlier round is found by the "
    "order's row, one that only warned there is not.",
    "Only the verdict's controls are counted. What the last-line gate refused stands in the asset submissions of its session.",
    "An operator's act has no date of its own in the ledger: it is placed after the session whose cutoff stands before it.",
    "A drill is a halt whose reason begins with the word drill. The ledger has no entry for a restored backup.",
    "Tests are those whose text names the control; whether they passed is not recorded here.",
    "A paragraph marked evidence has records, not an opinion: a person judges, approves and signs. No legal advice.",
)


def build_assessment(facts: Facts, review: Sequence[Answer]) -> str:
    """The page as HTML text."""
    body = joined(
        [
            _header(facts),
            tag("p", _sentence(facts), css="sentence"),
            _tiles(facts, review),
            Markup("<nav>" + "".join(f'<a href="#{key}">{title}</a>' for key, title in SECTIONS) + "</nav>"),
            section(
                "findings", "Findings", "What the period leaves to mend or to explain.", bullets(list(findings(facts)))
            ),
            _review(review),
            rules_section(facts),
            exceptions_section(facts),
            controls_section(facts),
            catalogue_section(facts),
            breaches_section(facts),
            sessions_section(facts),
            changes_section(facts),
            people_section(facts),
            section("limits", "What this does not show", "Read before anything is signed.", bullets(list(NOT_SHOWN))),
            _footer(facts),
        ],
        "\n",
    )
    title = html(f"marketbot self-assessment {facts.first} to {facts.last}")
    head = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}</style></head>"
    )
    return f"{head}\n<body><main>\n{body}\n</main></body></html>\n"


def _header(facts: Facts) -> Markup:
    found = f"sessions {facts.begins} to {facts.ends}" if facts.begins else "no session recorded"
    left = tag(
        "div",
        tag("div", "marketbot control self-assessment", css="eyebrow"),
        tag("h1", f"{facts.first} to {facts.last}"),
        tag("div", f"Account {facts.account or 'unknown'}, base currency {facts.base_currency}, {found}.", css="soft"),
    )
    told = ", ".join(f"{count} {verdict}" for verdict, count in facts.counted.verdicts.items()) or "no verdict"
    css = "good" if set(facts.counted.verdicts) == {"APPROVED"} and not facts.gaps else "warn"
    right = tag(
        "div", f"{facts.verdicts} of {facts.counted.sessions} sessions judged", tag("small", told), css=f"verdict {css}"
    )
    return tag("header", left, right)


def _sentence(facts: Facts) -> str:
    fired = [fact for fact in facts.controls if fact.count.fired]
    cut = sum(fact.count.smaller + fact.count.dropped for fact in facts.controls)
    value = sum(float(fact.count.value) for fact in facts.controls)
    beyond = [rule.rule.name for rule in facts.rules if rule.counts.get(Standing.BREACHED, 0)]
    return (
        f"{len(fired)} of {len(facts.controls)} controls fired; they cut or prevented {cut} orders worth {money(value)} "
        f"{facts.base_currency}. Beyond their limit at times: {', '.join(beyond) or 'no rule of the mandate'}. "
        f"{len(facts.counted.breaches)} breaches, {len(facts.open_breaches())} of them open at the end."
    )


def _tiles(facts: Facts, review: Sequence[Answer]) -> Markup:
    never = [fact for fact in facts.controls if not fact.count.fired and not fact.count.warned]
    covered = {cover: sum(answer.cover == cover for answer in review) for cover in Cover}
    alerts = facts.alerts
    return tag(
        "div",
        tile("Sessions judged", f"{facts.verdicts} / {facts.counted.sessions}", "with a verdict / in the period"),
        tile("Controls that fired", sum(bool(f.count.fired) for f in facts.controls), f"of {len(facts.controls)}"),
        tile("Controls that never spoke", len(never), f"{sum(f.proves_nothing for f in never)} of them in no test"),
        tile("Could not be computed", sum(f.count.not_computed for f in facts.controls), "answers, all failed closed"),
        tile("Breaches", len(facts.counted.breaches), f"{len(facts.open_breaches())} open"),
        tile("Mandate changes", len(facts.changes), f"{sum(c.loosens for c in facts.changes)} loosen"),
        tile("Kill switch", len(facts.drills), "drills"),
        tile(
            "Test alerts",
            f"{len(set(alerts.tested) & set(alerts.weeks))} / {len(alerts.weeks)}",
            "weeks with one acknowledged",
        ),
        tile(
            "Paragraphs",
            f"{covered[Cover.EVIDENCE]} / {covered[Cover.PART]} / {covered[Cover.NOT_COVERED]}",
            "evidence / part / not covered",
        ),
        css="tiles",
    )


def _review(review: Sequence[Answer]) -> Markup:
    blocks = []
    for rule in dict.fromkeys(answer.rule for answer in review):
        rows = [
            (one.paragraph, one.asks, _cover(one.cover), one.evidence or "none", one.lacks or "nothing named")
            for one in review
            if one.rule == rule
        ]
        heads = ("paragraph<", "asks~", "here<", "records~", "what they lack~")
        blocks.append(_whole_table(heads, rows, rule))
    lede = (
        "Commission Delegated Regulation (EU) 2017/589 and 17 CFR 240.15c3-5, in our words. They bind investment firms and "
        "brokers; here they serve as the template of a review."
    )
    return section("review", "What regulation asks", lede, *blocks)


def _whole_table(heads: Sequence[str], rows: Sequence[Sequence[object]], caption: str) -> Markup:
    """A table of which nothing folds away: a review is read whole."""
    most = 15
    parts = [rows[start : start + most] for start in range(0, len(rows), most)]
    return joined(table(heads, part, caption=caption if not n else "") for n, part in enumerate(parts))


def _cover(cover: str) -> Markup:
    css, sign = COVERS[Cover(cover)]
    return tag("span", f"{sign} {cover}", css=f"badge {css}")


def _footer(facts: Facts) -> Markup:
    page = f"Page of controls: SHA-256 {facts.page_sha256}. " if facts.page_sha256 else ""
    return tag(
        "footer",
        f"Made from stored verdicts and the ledger at {facts.ledger_size} entries, root ",
        tag("code", facts.ledger_root),
        f". {page}The same records give the same page. No investment advice, no legal advice.",
    )
