"""Sections of the yearly self-assessment: rules, exceptions, controls, breaches, sessions, changes, people, alerts. Pure."""

from collections.abc import Sequence

from marketbot_assets.audit.assessment import ControlCount
from marketbot_assets.audit.assessment_facts import ControlFact, Facts
from marketbot_assets.audit.assessment_rules import RuleCount, Standing, Stretch
from marketbot_assets.audit.report_parts import Markup, badge, bullets, in_unit, money, percent, section, table, tag

GROUPS = (
    ("Orders: identity, price, size", "RC-01", "RC-12"),
    ("Orders: repetition, form, funds, law", "RC-13", "RC-29"),
    ("Book: positions and groups", "RC-30", "RC-41"),
    ("Book: risk and models", "RC-42", "RC-59"),
    ("State, and after the trade", "RC-60", "RC-79"),
    ("System", "RC-80", "RC-99"),
)
LETTERS = {
    Standing.ACTED: "a",
    Standing.EASED: "e",
    Standing.CURED: "c",
    Standing.NOT_JUDGED: "n",
    Standing.BREACHED: "b",
    Standing.NO_VERDICT: "-",
}
LOOKS = {
    Standing.KEPT: ("good", "✓"),
    Standing.CURED: ("good", "✓"),
    Standing.ACTED: ("warn", "↓"),
    Standing.EASED: ("warn", "!"),
    Standing.BREACHED: ("bad", "×"),
    Standing.NOT_JUDGED: ("bad", "?"),
    Standing.NO_VERDICT: ("calm", "•"),
}
ALLOWED = {
    Standing.ACTED: "the control itself",
    Standing.EASED: "a rule of the optimizer: selling could not reach it; nobody approved",
    Standing.CURED: "the register: not found any more",
    Standing.NOT_JUDGED: "nobody: it failed closed",
    Standing.BREACHED: "nobody: what would make it worse is refused",
    Standing.NO_VERDICT: "nothing was sent by a verdict",
}


def rules_section(facts: Facts) -> Markup:
    """Sessions by standing for each rule of the mandate, in total and by month."""
    totals: list[Sequence[object]] = []
    for rule in facts.rules:
        if rule.binds:
            totals.append((rule.rule.name, ", ".join(rule.rule.keys), *(rule.counts.get(s, 0) or "" for s in Standing)))
    heads = ("rule", "keys~", *(f"{standing.value}>" for standing in Standing))
    unbound = [rule.rule.name for rule in facts.rules if not rule.binds]
    months = sorted({month for rule in facts.rules for month in rule.months})
    lede = (
        "Sessions by how each rule stood. Acted: it cut or refused orders or holds trading down. Eased: selling could not "
        "reach it, and the optimizer said so. Breached: the book is beyond it and may only come back. The worst of a rule's "
        "controls counts."
    )
    by_month: list[Sequence[object]] = [
        (rule.rule.name, *(_month(rule, month) for month in months)) for rule in facts.rules if rule.binds
    ]
    legend = "kept, and then " + ", ".join(f"{letter} {standing.value}" for standing, letter in LETTERS.items())
    return section(
        "rules",
        "Rules of the mandate",
        lede,
        table(heads, totals, caption="Sessions"),
        table(("rule", *(f"{month}>" for month in months)), by_month, caption=f"By month: {legend}") if months else "",
        tag("p", f"Not stated by the mandate: {', '.join(unbound) or 'none'}.", css="soft"),
    )


def _month(rule: RuleCount, month: str) -> str:
    counts = rule.months.get(month, {})
    others = [f"{counts[standing]}{letter}" for standing, letter in LETTERS.items() if counts.get(standing, 0)]
    return " ".join([str(counts.get(Standing.KEPT, 0)), *others])


def exceptions_section(facts: Facts) -> Markup:
    """Stretches of sessions in which a rule stood otherwise than kept."""
    rows = [_stretch(one) for one in facts.stretches if one.standing != Standing.NO_VERDICT]
    heads = ("rule", "stood<", "from<", "to<", "sessions>", "control<", "in words~", "who let it be~")
    lede = "Sessions in a row in which a rule was not simply kept, with its words on the first of them."
    return section("exceptions", "Exceptions", lede, table(heads, rows, caption="Exceptions"))


def _stretch(one: Stretch) -> Sequence[object]:
    standing = Standing(one.standing)
    css, sign = LOOKS[standing]
    mark = tag("span", f"{sign} {standing.value}", css=f"badge {css}")
    return one.rule, mark, one.first, one.last, one.sessions, one.control, one.message, ALLOWED.get(standing, "")


def controls_section(facts: Facts) -> Markup:
    """What every control answered."""
    heads = (
        "control",
        "judged>",
        "passed>",
        "warned>",
        "fired>",
        "not computed>",
        "cut>",
        "dropped>",
        "legs>",
        f"not sent, {facts.base_currency}>",
        "last fired<",
        "as<",
        "nearest to its limit",
    )
    blocks = []
    for title, first, last in GROUPS:
        rows = [_control(fact) for fact in facts.controls if first <= fact.id <= last]
        blocks.append(table(heads, rows, caption=title) if rows else "")
    others = [_control(fact) for fact in facts.controls if not fact.id.startswith("RC-")]
    quiet = [fact for fact in facts.controls if not fact.count.fired and not fact.count.warned]
    nothing = [fact.id for fact in quiet if fact.proves_nothing]
    lede = (
        f"Sessions by the worst answer of each control, of {facts.verdicts} with a verdict; orders that it made smaller (cut) or "
        "took out (dropped), currency orders (legs), and what of their value was not sent, legs left out. A control of the "
        "book's state (RC-60 to RC-64) warns while it holds trading down."
    )
    return section(
        "controls",
        "Controls",
        lede,
        *blocks,
        table(heads, others, caption="Others") if others else "",
        tag("h3", "Never spoke"),
        tag("p", ", ".join(fact.id for fact in quiet) or "none", "."),
        tag("p", "Never spoke and named by no test, so that they prove nothing: ", ", ".join(nothing) or "none", "."),
        *_unknown(facts),
    )


def _control(fact: ControlFact) -> Sequence[object]:
    count = fact.count
    named = f"{fact.id} {fact.name}"
    status = badge(count.last_status) if count.last_fired else ""
    value = money(float(count.value)) if count.smaller + count.dropped > count.unvalued else ""
    value += f" {count.unvalued} not known" if count.unvalued else ""
    return (
        named,
        count.evaluated,
        count.passed or "",
        count.warned or "",
        count.fired or "",
        count.not_computed or "",
        count.smaller or "",
        count.dropped or "",
        count.legs or "",
        value,
        count.last_fired or "never",
        status,
        _nearest(count),
    )


def _nearest(count: ControlCount) -> str:
    near = count.nearest
    if near is None:
        return ""
    where = f" {near.key}" if near.key else ""
    left = f"{percent(near.share, 0)} left" if near.share >= 0.0 else f"{percent(-near.share, 0)} beyond"
    numbers = f"{in_unit(near.observed, near.unit)} against {in_unit(near.limit, near.unit)}"
    return f"{left}: {numbers}{where}, {near.session}"


def _unknown(facts: Facts) -> list[Markup]:
    unknown = [_silence(fact, "failed closed", fact.count.not_computed_in) for fact in facts.controls]
    unknown += [_silence(fact, "no answer", [(day, "") for day in fact.count.absent_in]) for fact in facts.controls]
    remarks = [
        (f"{fact.id} {fact.name}", fact.count.unchecked, fact.count.last_unchecked)
        for fact in facts.controls
        if fact.count.unchecked
    ]
    heads = ("control", "sessions>", "its newest remark~")
    return [
        table(
            ("control", "what", "sessions>", "first<", "last<", "why, on the last~"),
            [row for row in unknown if row],
            caption="Could not be evaluated",
        ),
        table(heads, remarks, caption="Passed with a remark, mostly what was not checked"),
    ]


def _silence(fact: ControlFact, what: str, days: Sequence[tuple[str, str]]) -> Sequence[object]:
    if not days:
        return ()
    return f"{fact.id} {fact.name}", what, len(days), days[0][0], days[-1][0], days[-1][1]


def catalogue_section(facts: Facts) -> Markup:
    """What every control guards, its limit in force, owner, changes and tests."""
    blocks = []
    for title, first, last in GROUPS:
        rows = [_entry(fact) for fact in facts.controls if first <= fact.id <= last]
        heads = ("control~", "guards~", "asked by", "fails with<", "limit in force at the end~", "changes", "tests>")
        blocks.append(table(heads, rows, caption=title) if rows else "")
    owners = sorted({fact.owner for fact in facts.controls})
    lede = (
        "Limits of the mandate in force at the end of the period; changes by number; tests whose text names the control. "
        f"Owner of the controls: {', '.join(owners) or 'none'}."
    )
    return section("catalogue", "Limits, owners, tests", lede, *blocks)


def _entry(fact: ControlFact) -> Sequence[object]:
    limits = "; ".join(f"{key}: {value}" for key, value in fact.limits.items()) or "judges without a number"
    touched = ", ".join(map(str, fact.touched)) or "none"
    tests = "not known" if fact.tests is None else len(fact.tests)
    return f"{fact.id} {fact.name}", fact.guards, fact.asked_by, fact.fails_with, limits, touched, tests


def breaches_section(facts: Facts) -> Markup:
    """Every breach of the register in the period."""
    rows = [
        (
            f"{b.control} {b.subject}".strip(),
            f"{b.opened} (before)" if b.began_before else b.opened,
            b.closed or "open",
            b.sessions,
            b.cause,
            b.halt_class or "",
            "yes" if b.overdue else "",
            b.message,
        )
        for b in facts.counted.breaches
    ]
    heads = ("control", "opened<", "cured<", "sessions>", "cause", "halt class", "overdue", "in words~")
    lede = "Cause passive: prices moved; active: orders, data, the broker. Open ones travel into the next period."
    return section("breaches", "Breaches", lede, table(heads, rows, caption="Breaches"))


def sessions_section(facts: Facts) -> Markup:
    """Sessions that have no verdict, or one that no decision names."""
    rows = [
        (
            gap.session,
            gap.state or "nothing recorded",
            "verdict, but no decision names it" if gap.has_verdict else "none",
            gap.reason,
        )
        for gap in facts.gaps
    ]
    failed = [f"{session}: {count} runs ended before their orders" for session, count in facts.run_failures]
    lede = "The coverage of this document: every other session of the period has a verdict that its recorded decision names."
    return section(
        "sessions",
        "Sessions without a verdict",
        lede,
        table(("session<", "ended<", "verdict", "reason~"), rows, caption="Sessions"),
        tag("h3", "Failed runs"),
        bullets(failed) if failed else tag("p", "none", css="soft"),
    )


def changes_section(facts: Facts) -> Markup:
    """Every change of the mandate that takes effect in the period, and which mandates were in force."""
    rows = []
    for change in facts.changes:
        paths = "; ".join(f"{path}: {old} to {new} ({direction})" for path, old, new, direction in change.paths)
        more = f" and {change.count - len(change.paths)} more" if change.count > len(change.paths) else ""
        rows.append(
            (
                change.n,
                change.effective,
                change.taken or "never",
                change.direction,
                change.by,
                "yes" if change.signed else "no",
                ", ".join(change.controls),
                change.reason,
                paths + more,
            )
        )
    heads = ("n>", "effective<", "taken<", "does", "by", "signed", "controls", "reason~", "keys~")
    force = [f"from {session}: {digest}" for session, digest in facts.mandates]
    lede = (
        "There are no waivers: only a change of the mandate loosens. It needs a signed record and counts from a later session on; "
        "what tightens counts at once."
    )
    return section(
        "changes", "Mandate", lede, table(heads, rows, caption="Changes"), tag("h3", "In force"), bullets(force)
    )


def people_section(facts: Facts) -> Markup:
    """What operators did, permissions to trade live, alerts and their tests."""
    acts = [
        (a.n, a.after, a.action, a.level, "drill" if a.drill else "", a.by, a.reason) for a in facts.acts
    ]  # in the order of the ledger
    heads = ("n>", "after session<", "act", "level", "kind", "by", "reason~")
    alerts = facts.alerts
    codes = [(code, raised, heard) for code, (raised, heard) in alerts.by_code.items()]
    missed = [week for week in alerts.weeks if week not in alerts.tested]
    live = [f"{action} (number {n}), after {after}" for n, action, after in facts.permissions]
    return section(
        "people",
        "People and alerts",
        f"Channels: {', '.join(alerts.channels) or 'none'}. Failed attempts to send: {alerts.failures}.",
        table(heads, acts, caption="Acts of operators"),
        table(("alert", "raised>", "acknowledged>"), codes, caption="Alerts"),
        tag("p", f"Weeks without an acknowledged test alert: {', '.join(missed) or 'none'}."),
        tag("p", f"Sessions whose heartbeat the outside watcher took: {alerts.beats}."),
        tag("p", f"Permissions to trade live: {'; '.join(live) or 'none'}."),
    )
