"""The words of a digest: title, first line, sections of short lines; and its plain text. Pure.

Every line is text of one line, unescaped: the forms (`digest_forms`) escape it. Not here: the facts (`digest_facts`).
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from marketbot_assets.audit.digest_facts import Day, DigestFacts, beyond
from marketbot_assets.audit.report_facts import total
from marketbot_assets.audit.report_parts import NO_BREAK, count, money, percent

DAILY, WEEKLY = "daily", "weekly"
TEXT_LINES, LINE_CHARS, TITLE_CHARS, LINES_STORED = 40, 160, 140, 25
SIMULATED = "SIMULATED DATA: a demonstration, not a result anybody could have had."
UNSURE = "It is not known whether these data are simulated."
REPLAYED = "REPLAY: past sessions decided on a replay clock, not live trading."
PAPER = "Paper money."
NONE = "none"


@dataclass(frozen=True, slots=True)
class Section:
    """A title and its lines, the most important first; at least one."""

    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Digest:
    """What every form shows. `banner`: what a reader must know first, or ""; `days`, `history`: for tables and plots."""

    kind: str
    label: str
    title: str
    banner: str
    headline: str
    lede: tuple[str, ...]
    sections: tuple[Section, ...]
    days: tuple[Day, ...]
    history: tuple[tuple[str, float], ...]
    base: str


def build_digest(facts: DigestFacts) -> Digest:
    """The digest of its facts; the same facts give the same words. `facts.days` holds at least one session."""
    assert facts.days, "a digest is about sessions"
    last, banner = facts.days[-1], _banner(facts)
    sections = (
        Section("Sessions", _day_lines(facts)) if facts.kind == WEEKLY else None,
        Section("Orders", _orders(facts)),
        Section("Fills and costs", _costs(facts)),
        Section("Best and worst", _movers(facts)),
        Section("Limits that bound", _bound(facts)),
        Section("Breaches", _or_none(_breaches(facts))),
        Section("Halts", _or_none([*_each(facts, "halts"), *facts.actions])),
        Section("Data incidents", _or_none(_data(facts))),
        Section("Language models", _llm(facts)),
        Section("What changed", _or_none(_changes(facts))),
        Section("What comes next", facts.coming or ("not known",)),
        Section("What is not known", _unknown(facts)),
        Section("Look further", _further(facts)),
    )
    return Digest(
        kind=facts.kind,
        label=facts.label,
        title=_title(facts, last),
        banner=banner,
        headline=f"marketbot {facts.kind} digest, {'week' if facts.kind == WEEKLY else 'session'} {facts.label}",
        lede=tuple(line(text) for text in _lede(facts, last)),
        sections=tuple(_kept(one) for one in sections if one is not None),
        days=facts.days,
        history=facts.history,
        base=facts.base,
    )


def line(text: object, most: int = LINE_CHARS) -> str:
    """Text from anywhere as one line: what cannot be printed becomes a blank, a long one ends with dots."""
    told = str(text).replace(NO_BREAK, " ").replace("−", "-")
    told = " ".join("".join(c if c.isprintable() else " " for c in told).split())
    return told if len(told) <= most else told[: most - 3].rstrip() + "..."


def as_text(digest: Digest) -> str:
    """At most TEXT_LINES lines of at most LINE_CHARS characters; the longest sections give way first, and say so."""
    head = [*([digest.banner] if digest.banner else []), digest.headline, *digest.lede]
    shown = [len(section.lines) for section in digest.sections]
    while len(head) + sum(map(_height, digest.sections, shown)) > TEXT_LINES:
        longest = max(range(len(shown)), key=lambda n: (shown[n], n))
        if shown[longest] <= 1:
            break
        shown[longest] -= 1
    lines = head + [text for one, most in zip(digest.sections, shown, strict=True) for text in _block(one, most)]
    return "\n".join(line(text) if not text.startswith("  ") else "  " + line(text, LINE_CHARS - 2) for text in lines)


def _block(section: Section, most: int) -> list[str]:
    """A section of one line stands beside its title, a longer one below; what is left out is counted."""
    if len(section.lines) == 1:
        return [f"{section.title}: {section.lines[0]}"]
    left = len(section.lines) - most
    if most == 1:
        return [f"{section.title}: {section.lines[0][: LINE_CHARS - 50]} (and {left} more)"]
    if left > 0:
        return [f"{section.title} ({left} more not shown):", *(f"  {text}" for text in section.lines[:most])]
    return [f"{section.title}:", *(f"  {text}" for text in section.lines)]


def _height(section: Section, most: int) -> int:
    return len(_block(section, most))


def _kept(section: Section) -> Section:
    """Lines of one line each, as many as a mail can hold."""
    lines = tuple(line(text) for text in section.lines)
    if len(lines) > LINES_STORED:
        lines = (*lines[: LINES_STORED - 1], f"and {len(lines) - LINES_STORED + 1} more")
    return Section(section.title, lines)


def _banner(facts: DigestFacts) -> str:
    known = [day.synthetic for day in facts.days]
    parts = [SIMULATED] if any(known) else [UNSURE] if None in known else []
    parts += [] if facts.live else [REPLAYED]
    parts += [PAPER] if facts.paper else []
    return " ".join(parts)


def _mark(facts: DigestFacts) -> str:
    if any(day.synthetic for day in facts.days):
        return "marketbot SIMULATED"
    return (
        "marketbot" if facts.live and not facts.paper else "marketbot REPLAY" if not facts.live else "marketbot PAPER"
    )


def _title(facts: DigestFacts, last: Day) -> str:
    profit = math.fsum(day.pnl for day in facts.days)
    start = last.nav - profit
    moved = f", {_signed(percent(profit / start), profit)}" if start > 0.0 and math.isfinite(profit) else ""
    worst = next((s for s in ("halted", "rejected", "failed", "skipped") if any(d.state == s for d in facts.days)), "")
    nav = f"NAV {money(last.nav)} {facts.base}" if math.isfinite(last.nav) else "NAV not known"
    return line(f"[{_mark(facts)}] {facts.label}: {nav}{moved}{f', {worst.upper()}' if worst else ''}", TITLE_CHARS)


def _signed(text: str, value: float) -> str:
    return f"+{text}" if value > 0.0 else text


def _profit(day: Day, base: str) -> str:
    if not math.isfinite(day.pnl):
        return "profit and loss not known"
    return f"{_signed(money(day.pnl), day.pnl)} {base} ({_signed(percent(day.pnl_fraction), day.pnl)})"


def _lede(facts: DigestFacts, last: Day) -> list[str]:
    nav = f"NAV {money(last.nav)} {facts.base}" if math.isfinite(last.nav) else "NAV not known"
    where = f"{beyond(last.drawdown)}{f'; rung {last.rung}' if last.rung else ''}"
    if facts.kind == WEEKLY:
        profits = [day.pnl for day in facts.days]
        lines = [f"{nav}, {_week_profit(facts, last)} in {len(facts.days)} sessions; {where}"]
        known = [day for day in facts.days if math.isfinite(day.pnl)]
        if known and len(profits) > 1:
            best, worst = max(known, key=lambda day: day.pnl), min(known, key=lambda day: day.pnl)
            lines.append(
                f"Best session {best.session} {_profit(best, facts.base)}, worst {worst.session} {_profit(worst, facts.base)}"
            )
        return lines
    verdict = f"Verdict {last.verdict}" if last.verdict else "No verdict"
    ended = f"{verdict}; ended {last.state}{f': {last.reason}' if last.reason else ''}"
    return [f"{nav}, {_profit(last, facts.base)} on the session; {where}", ended]


def _week_profit(facts: DigestFacts, last: Day) -> str:
    profit = math.fsum(day.pnl for day in facts.days)
    if not math.isfinite(profit):
        return "profit and loss not known"
    start = last.nav - profit
    share = profit / start if start > 0.0 else math.nan
    return f"{_signed(money(profit), profit)} {facts.base} ({_signed(percent(share), profit)})"


def _day_lines(facts: DigestFacts) -> tuple[str, ...]:
    return tuple(
        f"{day.session} {day.verdict or 'no verdict'}, {day.state}: NAV {money(day.nav)}, {_profit(day, facts.base)}, "
        f"{day.approved} of {len(day.orders)} orders, {day.fills} fills"
        for day in facts.days
    )


def _each(facts: DigestFacts, name: str) -> list[str]:
    """Lines of every session, each once; in a week with the sessions that said it."""
    found: dict[str, list[str]] = {}
    for day in facts.days:
        for text in getattr(day, name):
            found.setdefault(str(text), []).append(day.session)
    if facts.kind == DAILY:
        return list(found)
    return [f"{days[0] if len(days) == 1 else f'{len(days)} sessions'}: {text}" for text, days in found.items()]


def _or_none(lines: Sequence[str]) -> tuple[str, ...]:
    return tuple(lines) or (NONE,)


def _orders(facts: DigestFacts) -> tuple[str, ...]:
    planned = sum(len(day.orders) for day in facts.days)
    approved = sum(day.approved for day in facts.days)
    if not planned:
        return ("none planned",)
    lines = [f"{approved} of {planned} planned orders approved"]
    if facts.kind == WEEKLY:
        counts = Counter(order.name for day in facts.days for order in day.orders if order.approved > 0.0)
        often = ", ".join(f"{name} {n}" for name, n in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:8])
        return (*lines, f"most often: {often}") if often else tuple(lines)
    for order in facts.days[-1].orders:
        cut = "" if order.approved == order.quantity else f" (approved {count(order.approved)})"
        value = f", {money(order.value)} {facts.base}" if math.isfinite(order.value) else ""
        lines.append(f"{order.side} {count(order.quantity)} {order.name}{cut}{value}: {order.reason}")
    return tuple(lines)


def _costs(facts: DigestFacts) -> tuple[str, ...]:
    fills = sum(day.fills for day in facts.days)
    if not fills and all(math.isfinite(day.cost) for day in facts.days):
        return ("no fills, no costs",)
    cost, fee, tax, value = (
        math.fsum(getattr(day, name) for day in facts.days) for name in ("cost", "fee", "tax", "filled_value")
    )
    bps = f" ({1e4 * cost / value:.1f} bps of {money(value)})" if value > 0.0 and math.isfinite(cost) else ""
    return (f"{fills} fills cost {money(cost, 2)} {facts.base}{bps}: fees {money(fee, 2)}, taxes {money(tax, 2)}",)


def _movers(facts: DigestFacts) -> tuple[str, ...]:
    sums: dict[str, float] = {}
    for name, profit in (pair for day in facts.days for pair in day.movers):
        sums[name] = sums.get(name, 0.0) + profit
    ranked = sorted(sums.items(), key=lambda pair: (-pair[1], pair[0]))
    gains, losses = [p for p in ranked if p[1] > 0.0][:3], [p for p in reversed(ranked) if p[1] < 0.0][:3]
    if not gains and not losses:
        return ("no profit or loss by name is known",)
    parts = [", ".join(f"{name} {_signed(money(x), x)}" for name, x in some) for some in (gains, losses) if some]
    return (f"{'; '.join(parts)} {facts.base}",)


def _bound(facts: DigestFacts) -> tuple[str, ...]:
    target = Counter(text for day in facts.days for text in day.bound)
    names = [text if facts.kind == DAILY else f"{text} ({n} sessions)" for text, n in target.most_common()]
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    lines = [f"the target: {', '.join(names[:6])}{more}"] if names else []
    if facts.kind == DAILY:
        return _or_none([*lines, *facts.days[-1].warned])
    spoke = Counter(text.partition(":")[0].partition(";")[0] for day in facts.days for text in day.warned)
    return _or_none([*lines, *(f"{text}: {n} of {len(facts.days)} sessions" for text, n in spoke.most_common())])


def _breaches(facts: DigestFacts) -> list[str]:
    """What is open now, and what was cured meanwhile."""
    return [*facts.days[-1].breaches, *(f"cured: {text}" for day in facts.days for text in day.cured)]


def _data(facts: DigestFacts) -> list[str]:
    told, unheard = facts.alerts
    lines = _each(facts, "data")
    if told:
        lines.append(f"{told} alerts" + (f", {unheard} of them not acknowledged" if unheard else ", all acknowledged"))
    return lines


def _llm(facts: DigestFacts) -> tuple[str, ...]:
    last = facts.days[-1].llm or "nothing is stored"
    spent = total([day.llm_usd for day in facts.days])
    return (f"{last}{f' {spent:.4f} USD in the week.' if facts.kind == WEEKLY and spent else ''}",)


def _changes(facts: DigestFacts) -> list[str]:
    """Names bought anew or sold out, rung, mandate and model, against the session before."""
    before, last = facts.before, facts.days[-1]
    if before is None:
        return ["no session before to compare with"]
    lines = []
    new, gone = sorted(set(last.held) - set(before.held)), sorted(set(before.held) - set(last.held))
    if last.held or before.held:
        lines += [f"new in the book: {_some(new)}"] if new else []
        lines += [f"no longer held: {_some(gone)}"] if gone else []
    path = [day.rung for day in (before, *facts.days) if day.rung]
    steps = [rung for n, rung in enumerate(path) if n == 0 or rung != path[n - 1]]
    lines += [f"rung of the drawdown ladder: {' -> '.join(steps)}"] if len(steps) > 1 else []
    for name in sorted(set(before.versions) & set(last.versions)):
        if before.versions[name] != last.versions[name]:
            lines.append(f"{name}: {before.versions[name][:60]} -> {last.versions[name][:60]}")
    return lines


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return ", ".join(names[:12]) + more


def _unknown(facts: DigestFacts) -> tuple[str, ...]:
    lines = [text for day in facts.days for text in day.unknown]
    if facts.before is None:
        lines.append("first session: no history to compare with")
    return (*lines, "fills of the newest orders become known in the next session at the earliest")


def _further(facts: DigestFacts) -> tuple[str, ...]:
    session = facts.days[-1].session
    size, root = facts.head
    pages = (f"{facts.address}/reports/{session}", f"{facts.address}/limits") if facts.address else ()
    return (
        f"`marketbot report --session {session}`, `marketbot status`, `marketbot explain ORDER`, `marketbot verify`",
        *((f"pages: {', '.join(pages)}",) if pages else ()),
        f"ledger: {size} entries, root {root}",
    )
