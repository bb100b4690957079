"""Sections of the report about trust: findings on the data, what is not known, and the hashes that prove the rest. Pure."""

import math
from collections import Counter

from marketbot_assets.audit.report_facts import ReportFacts, number, rows_of
from marketbot_assets.audit.report_parts import Markup, badge, bullets, html, percent, plain_number, section, table, tag
from marketbot_assets.audit.schema import FORECAST, TOTAL
from marketbot_assets.risk.schema import REVERSE

WHOLE = 1.0 - 1e-9
OUTCOMES = ("halt", "quarantine", "warn", "pass")


def findings(facts: ReportFacts) -> dict[str, int]:
    """Outcome -> how many rules and subjects had it."""
    counts = Counter(str(row["outcome"]) for row in rows_of(facts.data_quality))
    return {outcome: counts.get(outcome, 0) for outcome in OUTCOMES}


def quality_section(facts: ReportFacts) -> Markup:
    """Every rule on the data that did not pass, worst first."""
    counts = findings(facts)
    bad = [row for row in rows_of(facts.data_quality) if row["outcome"] in OUTCOMES[:3]]
    bad.sort(key=lambda row: (OUTCOMES.index(str(row["outcome"])), str(row["rule"]), str(row["subject"])))
    rows = [
        (
            badge(str(row["outcome"])),
            str(row["rule"]).replace("_", " "),
            "whole table" if row["subject"] == "*" else facts.ticker(row["subject"]),
            plain_number(number(row["observed"])),
            plain_number(number(row["limit"])),
            facts.named(row["message"]),
        )
        for row in bad
    ]
    lede = "; ".join(f"{counts[outcome]} {outcome}" for outcome in OUTCOMES) + "."
    heads = ("outcome<", "rule", "subject", "observed>", "allowed>", "message~")
    content = table(heads, rows) if rows else tag("p", "Every rule passed.", css="soft")
    return section("quality", "Data quality", lede, content)


def unknowns(facts: ReportFacts) -> list[str]:
    """Statements of what this report cannot know; at least one."""
    lines = []
    if facts.synthetic:
        lines.append(
            "Some rows are simulated and the real closes are back-adjusted and of survivors: results say nothing about "
            "what the strategy would have earned."
        )
    stress = [row for row in rows_of(facts.stress_results) if row["kind"] != REVERSE]
    shares = [number(row["proxied_share"]) for row in stress]
    older = sum(share >= WHOLE for share in shares)
    if older:
        lines.append(f"{older} stress windows are older than every price of the book; betas stand in for all of it.")
    if proxied := [share for share in shares if 0.0 < share < WHOLE]:
        lines.append(
            f"Up to {percent(max(proxied), 0)} of the book has no history in a later stress window; peers or beta times the "
            "index stand in."
        )
    missing = [str(row["scenario"]) for row in stress if not math.isfinite(number(row["loss"]))]
    if missing or not stress:
        lines.append(f"Stress losses that could not be computed: {', '.join(missing) or 'all'}.")
    if not any(row["kind"] == FORECAST for row in rows_of(facts.drift)):
        lines.append("No forecast's horizon has ended: whether the model has skill is not known.")
    if facts.submissions is None:
        lines.append("Orders were not submitted when this report was made; their state at the broker is not known.")
    elif any(str(row["state"]) == "UNKNOWN" for row in rows_of(facts.submissions)):
        lines.append("The broker did not say what became of at least one order.")
    unpriced = [facts.ticker(row["key"]) for row in facts.held if not math.isfinite(number(row["value_base"]))]
    if unpriced:
        lines.append(f"Held without a known price, not counted in NAV: {', '.join(unpriced)}.")
    unknown = [row for row in facts.controls if not math.isfinite(number(row["observed"])) and row["status"] != "PASS"]
    if unknown:
        lines.append(f"{len(unknown)} controls could not be computed and count as failed.")
    whole = [row for row in rows_of(facts.attribution) if row["dimension"] == TOTAL and row["note"]]
    lines += [f"Attribution: {row['note']}." for row in whole]
    if any(row["source"] == "fallback" for row in rows_of(facts.llm_context)):
        lines.append("Views on macro and news were made by rules, not by a language model.")
    if any(row["contaminated"] for row in rows_of(facts.llm_context)):
        lines.append(
            "The language model may have been trained on what happened after this session: its views prove nothing."
        )
    if len(facts.nav_history) < 2:
        lines.append("This is the first session: no profit, no history.")
    return [*lines, "Fills of this session's orders become known in the next session at the earliest."]


def unknown_section(facts: ReportFacts) -> Markup:
    """What a reader must not conclude from this page."""
    lede = "Read this before drawing conclusions."
    return section(
        "unknown", "What this report does not know", lede, bullets([facts.named(x) for x in unknowns(facts)])
    )


def evidence_section(facts: ReportFacts) -> Markup:
    """Hashes of everything that the decision read and wrote, of the batch and the mandate, and what protects the ledger."""
    batch = facts.batch
    proofs = [
        ("ledger", "its head is signed after this page: see asset proof, `marketbot verify`", anchors(facts)),
        ("mandate", "canonical bytes", code(facts.mandate.sha256)),
        ("batch judged", f"{batch.get('rounds', 'no')} rounds of judgement", code(batch.get("batch_seen_sha256", ""))),
        ("batch approved", f"{len(facts.orders)} orders", code(batch.get("batch_approved_sha256", ""))),
    ]
    assets = [(name, code(facts.evidence[name])) for name in sorted(facts.evidence)]
    lede = (
        "SHA-256 of contents. The command `marketbot explain ORDER` walks from an order to the bytes behind it; "
        "`marketbot prove ORDER` writes all of it into a folder that verifies elsewhere; "
        "the asset replay_check rebuilt the decision from what was stored."
    )
    folded = tag("details", tag("summary", f"{len(assets)} objects that the decision read or wrote"), table_of(assets))
    return section("evidence", "Evidence", lede, table(("what", "of", "hash"), proofs), folded)


def anchors(facts: ReportFacts) -> Markup:
    """Where signed heads are kept outside of this home, or that nothing outside would notice a rewritten past."""
    if not facts.mandate.anchors:
        return html("no external anchor: whoever has this home and its signer could rewrite all of it unseen")
    return html("heads kept by " + ", ".join(facts.mandate.anchors))


def table_of(assets: list[tuple[str, Markup]]) -> Markup:
    """Assets and their hashes, none folded away."""
    rows = [tag("tr", tag("td", name, css="n"), tag("td", digest)) for name, digest in assets]
    return tag("table", tag("tbody", *rows))


def code(text: object) -> Markup:
    """A hash in a fixed-width face; n/a when it is empty."""
    return tag("code", text) if str(text) else html("n/a")
