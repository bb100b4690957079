"""What the asset pages of the insight stage and of the target show of language models. Text of strangers is shown as code.

Not here: the same in the daily report (`audit.report_llm`), what is counted and resolved (`audit.llm_numbers`), other pages.
"""

import math
from decimal import Decimal
from typing import TYPE_CHECKING

from marketbot_assets.markdown_text import cell, fenced, quoted
from marketbot_assets.pages import Shows, markdown, picture
from marketbot_resources.model import plain

if TYPE_CHECKING:
    import pandas as pd

    from marketbot_assets.audit.llm_numbers import Named, View
    from marketbot_assets.audit.report_facts import Row
    from marketbot_resources.mandate import Mandate

HEADLINES_SHOWN, VIEWS_SHOWN, NAMES_SHOWN, EVIDENCE_SHOWN = 15, 60, 20, 3
KINDS = (("FACT", "facts"), ("MACRO", "macro releases"), ("HEADLINE", "headlines"), ("SUBJECT", "subjects"))
DIFF_CHARS = 12_000


def pack(
    frame: "pd.DataFrame", before: "pd.DataFrame | None", instruments: "pd.DataFrame", mandate: "Mandate"
) -> Shows:
    """What a model may know: items per kind, the newest headlines, where one is asked the prompt's size and what is new in it."""
    named = _named(instruments)
    counts: Shows = {told: int((frame["kind"] == kind).sum()) for kind, told in KINDS}
    headlines = frame[frame["kind"] == "HEADLINE"]
    newest = headlines.sort_values(["known_at", "place"], ascending=[False, True], kind="stable").head(HEADLINES_SHOWN)
    lines = [
        f"| {cell(row.item)} | {row.known_at:%Y-%m-%d %H:%M} | {cell(named(row.subject))} | {quoted(row.text)} |"
        f" {cell(row.publisher)} |"
        for row in newest.itertuples()
    ]
    table = ["| id | known at, UTC | about | headline | publisher |", "|---|---|---|---|---|", *lines]
    shown = markdown(table if lines else ["no headline is in the pack"])
    return {**counts, "newest headlines": shown, **_prompt(frame, before, mandate)}


def _prompt(frame: "pd.DataFrame", before: "pd.DataFrame | None", mandate: "Mandate") -> Shows:
    """The prompt's version, its size and its difference to the session before: headlines and releases first, then the rest."""
    from marketbot_assets.audit.llm_numbers import NOT_ASKED
    from marketbot_assets.insight.prompt import prompt_diff, prompt_of

    if mandate.llm is None:
        return {"prompt": NOT_ASKED}
    sessions = mandate.llm.evidence.horizon_sessions
    prompt = prompt_of(frame, sessions=sessions)
    shows: Shows = {"prompt": prompt.version, "characters of the prompt": len(prompt.system) + len(prompt.question)}
    if before is None:
        return {**shows, "prompt since the session before": markdown(["the first prompt of this home"])}
    then, now = (_parts(text) for text in (prompt_of(before).question, prompt.question))
    told = "\n".join(filter(None, (_paired(prompt_diff(then[part], now[part])) for part in (0, 1))))
    more = len(told) - DIFF_CHARS
    told = f"{told[:DIFF_CHARS]}\n... {more} more characters" if more > 0 else told
    change = fenced(told, "diff") if told else "the prompt is that of the session before"
    return {**shows, "prompt since the session before": markdown([change])}


def _paired(diff: str) -> str:
    """Where as many lines came as went, each new line under the one that it replaces, so that a cut shows both."""
    told, gone, come = list[str](), list[str](), list[str]()
    for line in [*diff.splitlines(), "@@"]:
        if line.startswith("+") and gone:
            come.append(line)
            continue
        if not line.startswith("-") or come:
            pairs = [one for pair in zip(gone, come, strict=False) for one in pair]
            told += pairs if len(gone) == len(come) else [*gone, *come]
            gone, come = [], []
        (gone if line.startswith("-") and told else told).append(line)
    return "\n".join(told[:-1])


def _parts(question: str) -> tuple[str, str]:
    """(lines of releases and headlines, all other lines) of a prompt: facts change on every line on every day."""
    lines = question.splitlines()
    own = [line for line in lines if line.startswith('{"id":')]
    return "\n".join(own), "\n".join(line for line in lines if not line.startswith('{"id":'))


def answers(frame: "pd.DataFrame", mandate: "Mandate") -> Shows:
    """Every try, and the session's cost against the budget of its day; the plain numbers are what Dagster plots over time."""
    from marketbot_assets.audit.llm_numbers import NOT_ASKED, tries
    from marketbot_assets.audit.report_facts import rows_of

    rows = rows_of(frame)
    done = tries(rows)
    numbers: Shows = {
        "cost_usd": float(done.cost_usd),
        "tokens": done.tokens,
        "accepted": done.accepted,
        "refused": done.refused,
        "failed": done.failed,
        "repaired": done.repaired,
    }
    if mandate.llm is None:
        return {**numbers, "tries": markdown([NOT_ASKED])}
    lines = [
        f"| {row['attempt']} | {cell(_asked(row))} | {cell(row['answered_by'])} | {row['outcome']} | {cell(row['layer'])} |"
        f" {quoted(row['reason'])} | {row['tokens_in']} + {row['tokens_out']} | {plain(Decimal(str(row['cost_usd'])))} |"
        for row in rows
    ]
    heads = "| try | asked | answered by | outcome | layer or kind | why | tokens in + out | US dollars |"
    budget = mandate.llm.usd_per_day
    return {
        **numbers,
        "acceptance": done.accepted / done.asked if done.asked else math.nan,
        "cost against the day's budget": f"{plain(done.cost_usd)} of {budget:g} US dollars",
        "tries": markdown([heads, "|---" * 8 + "|", *lines] if lines else ["no model was asked"]),
    }


def _asked(row: "Row") -> str:
    marks = [mark for mark, told in (("repair", row["repair"]), ("drifted", row["drifted"])) if told]
    return f"{row['provider']}:{row['model']} pass {row['run']}{''.join(f', {mark}' for mark in marks)}"


def context(frame: "pd.DataFrame", pack: "pd.DataFrame", instruments: "pd.DataFrame") -> Shows:
    """Whose views these are, then each with what it rests on: the evidence in full text."""
    from marketbot_assets.audit.llm_numbers import pack_items, standing, views
    from marketbot_assets.audit.report_facts import rows_of

    rows, named = rows_of(frame), _named(instruments)
    used = {name for row in rows for name in str(row["evidence"]).split()}
    near = pack[pack["kind"].isin(["MACRO", "HEADLINE"]) | pack["item"].isin(used)]
    made, whose = views(rows, pack_items(rows_of(near))), standing(rows)
    lines = [
        f"| {view.kind.replace('_', '-').lower()} | {cell(named(view.subject))} | {_rank(view)} | {view.score:+.2f} |"
        f" {view.confidence:.2f} | {_evidence(view, named)} |"
        for view in made[:VIEWS_SHOWN]
    ]
    more = ["", f"{len(made) - VIEWS_SHOWN} more views are not shown."] if len(made) > VIEWS_SHOWN else []
    heads = "| view | of | rank | score | confidence | rests on |"
    table = [_sentence(whose.sentence), "", heads, "|---" * 6 + "|", *lines, *more]
    return {
        "whose views": markdown([_sentence(whose.sentence)]),
        "views": markdown(table),
        "source": ", ".join(whose.sources) or "none",
        "version": ", ".join(whose.versions) or "none",
        "contaminated": str(whose.contaminated),
        "views by a model": 0 if whose.sources in ((), ("fallback",)) else len(rows),
    }


def _sentence(text: str) -> str:
    """The mark of contamination in bold; the rest as text, or as code when a stranger's words are in it."""
    from marketbot_assets.audit.llm_numbers import CONTAMINATED

    rest = cell(text.removeprefix(CONTAMINATED).strip())
    return f"**{CONTAMINATED}** {rest}".rstrip() if text.startswith(CONTAMINATED) else rest


def _rank(view: "View") -> str:
    return str(view.rank) if view.rank else ""


def _evidence(view: "View", named: "Named") -> str:
    shown = [quoted(named(item)) for item in view.evidence[:EVIDENCE_SHOWN]]
    more = len(view.evidence) - len(shown)
    return "; ".join([*shown, *([f"and {more} more"] if more > 0 else [])])


def evidence(frame: "pd.DataFrame", mandate: "Mandate") -> Shows:
    """What each version's views have been worth, the weight that follows and why, and every information coefficient over time."""
    from marketbot_assets.audit.llm_numbers import coefficients, worths
    from marketbot_assets.audit.report_facts import rows_of

    rows = rows_of(frame)
    found = worths(frame, mandate)
    lines = [
        f"| {cell(version)} | {worth.sessions} | {_number(worth.mean_ic)} | {_number(worth.standard_error)} |"
        f" {_number(worth.shrunk)} | {_number(worth.low)} to {_number(worth.high)} | {worth.weight:.2f} | {cell(worth.reason)} |"
        f" {right} |"
        for version, worth, right in found
    ]
    heads = (
        "| version | sessions | mean IC | standard error | shrunk | band | weight | why | right side, by confidence |"
    )
    shows: Shows = {
        "sessions judged": len(rows),
        "contaminated sessions": sum(bool(row["contaminated"]) for row in rows),
    }
    return {
        **shows,
        "largest weight": max((worth.weight for _, worth, _ in found), default=0.0),
        "worth": markdown([heads, "|---" * 9 + "|", *lines] if lines else ["no views have been judged yet"]),
        "information coefficients": picture(coefficients(rows)),
    }


def influence(target: "pd.DataFrame", instruments: "pd.DataFrame", mandate: "Mandate") -> Shows:
    """What the views moved of each target weight, against the caps of RC-52."""
    from marketbot_assets.audit.llm_numbers import book_influence, influence_chart, influence_note, influences
    from marketbot_assets.audit.report_facts import rows_of

    rows, caps = rows_of(target), mandate.limits.llm_influence
    moved = influences(rows)
    shows: Shows = {
        "llm_influence_book": book_influence(rows),
        "llm_influence_name": max((abs(row.moved) for row in moved), default=0.0),
        "influence of views": cell(influence_note(rows)) or ("as solved" if moved else "views moved nothing"),
    }
    if not moved:
        return shows
    return {
        **shows,
        "influence per name": picture(influence_chart(moved[:NAMES_SHOWN], _named(instruments), caps.name, caps.book)),
    }


def missing_views(context: "pd.DataFrame", mandate: "Mandate") -> str:
    """Why a model that the mandate names gave no accepted views; empty when one did, or none is asked about the session."""
    from marketbot_assets.audit.llm_numbers import RULES, standing
    from marketbot_assets.audit.report_facts import rows_of
    from marketbot_assets.insight.context import BEFORE_CUTOFF

    whose = standing(rows_of(context))
    if mandate.llm is None or any(source != RULES for source in whose.sources):
        return ""
    if whose.reason.startswith(BEFORE_CUTOFF):
        return ""
    return whose.reason or "no model gave accepted views, and no reason is stored"


def _number(value: float) -> str:
    return f"{value:+.3f}" if math.isfinite(value) else "n/a"


def _named(instruments: "pd.DataFrame") -> "Named":
    """Replaces internal ids in a text by tickers."""
    from marketbot_assets.audit.report_facts import named_by, rows_of, tickers_of

    return named_by(tickers_of(rows_of(instruments)))
