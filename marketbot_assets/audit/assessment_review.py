"""What two rules ask of a yearly review, paragraph by paragraph, and what of it stands in the records. Pure.

Commission Delegated Regulation (EU) 2017/589 (RTS 6) binds investment firms, 17 CFR 240.15c3-5 brokers and dealers; they serve as a
template here and bind nobody by it. The paragraphs are told in our words. Not here: the counts (`assessment`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from marketbot_assets.audit.assessment_facts import NOT_NAMED, ControlFact, Facts, findings, some
from marketbot_assets.audit.assessment_rules import Standing

RTS6, SEC = "RTS 6", "SEC 15c3-5"


class Cover(StrEnum):
    """How far records answer a paragraph. A person reads and signs in any case."""

    EVIDENCE = "evidence"
    PART = "part"
    NOT_COVERED = "not covered"


@dataclass(frozen=True, slots=True)
class Answer:
    """One paragraph with what stands in the records for it; `lacks`: what does not."""

    rule: str
    paragraph: str
    asks: str
    cover: str
    evidence: str
    lacks: str


Told = tuple[Cover, str, str]


def reviewed(facts: Facts) -> tuple[Answer, ...]:
    """Every paragraph of the template, in its order."""
    return tuple(Answer(rule, paragraph, asks, *told(facts)) for rule, paragraph, asks, told in PARAGRAPHS)


def _controls(*names: str, lacks: str = "") -> Callable[[Facts], Told]:
    """Controls that answer a paragraph: evidence when every verdict of the period holds an answer of each."""

    def told(facts: Facts) -> Told:
        found = [fact for fact in map(facts.control, names) if fact is not None]
        whole = len(found) == len(names) and all(_whole(fact, facts) for fact in found) and facts.verdicts > 0
        gaps = "" if whole else "an answer in every verdict"
        cover = Cover.EVIDENCE if whole and not lacks else Cover.PART if any(f.count.evaluated for f in found) else None
        missing = "; ".join(text for text in (lacks, gaps) if text)
        return cover or Cover.NOT_COVERED, "; ".join(_record(fact, facts) for fact in found), missing

    return told


def _whole(fact: ControlFact, facts: Facts) -> bool:
    return fact.count.evaluated == facts.verdicts and fact.count.not_computed == 0


def _record(fact: ControlFact, facts: Facts) -> str:
    count = fact.count
    cut = count.smaller + count.dropped
    prevented = f", {cut} orders prevented or cut" if cut else ""
    return f"{fact.id} {fact.name}: judged in {count.evaluated} of {facts.verdicts}, fired in {count.fired}{prevented}"


def _nothing(lacks: str) -> Callable[[Facts], Told]:
    return lambda facts: (Cover.NOT_COVERED, "", lacks)


def _systems(facts: Facts) -> Told:
    text = (
        f"{facts.verdicts} verdicts in {facts.counted.sessions} sessions by {len(facts.codes)} versions of the code; "
        f"{len(facts.replay_breaches)} decisions that could not be rebuilt"
    )
    return (Cover.PART if facts.verdicts else Cover.NOT_COVERED), text, "whether the strategy itself is sound"


def _governance(facts: Facts) -> Told:
    loose = [change for change in facts.changes if change.loosens]
    text = (
        f"{len(facts.changes)} changes of the mandate, {len(loose)} that loosen, "
        f"{sum(change.signed for change in loose)} of these signed; {len(facts.permissions)} permissions to trade live "
        "given or ended"
    )
    owners = all(fact.owner != NOT_NAMED for fact in facts.controls)
    return Cover.PART, text, "who approved beyond the operator's account" + ("" if owners else "; owners of controls")


def _continuity(facts: Facts) -> Told:
    ends = ", ".join(f"{state} {count}" for state, count in facts.counted.states.items()) or "none"
    text = f"ends of sessions: {ends}; {sum(n for _, n in facts.run_failures)} runs ended before their orders"
    return Cover.PART, text, "a record of restoring a backup, of a stand-in machine, of a drill with people"


def _compliance(facts: Facts) -> Told:
    binding = [rule for rule in facts.rules if rule.binds]
    breached = [r.rule.name for r in binding if r.counts.get(Standing.BREACHED, 0)]
    text = f"{len(binding)} rules of the mandate judged by session; beyond their limit at times: {some(breached) or 'none'}"
    return Cover.PART if facts.verdicts else Cover.NOT_COVERED, text, "rules of law that the mandate does not state"


def _scale(facts: Facts) -> Told:
    text = f"{facts.orders} orders approved in {facts.verdicts} sessions on account {facts.account or 'unknown'}"
    return Cover.PART, text, "judging nature, scale and complexity"


def _remedy(facts: Facts) -> Told:
    closed = sum(bool(breach.closed) for breach in facts.counted.breaches)
    text = (
        f"{len(findings(facts))} findings below; {closed} of {len(facts.counted.breaches)} breaches cured in the period"
    )
    return Cover.PART, text, "what was done about the findings"


def _testing(facts: Facts) -> Told:
    named = [fact for fact in facts.controls if fact.tests]
    nothing = [fact.id for fact in facts.controls if fact.proves_nothing]
    text = f"tests name {len(named)} of {len(facts.controls)} controls; never spoke and not tested: {some(nothing) or 'none'}"
    cover = Cover.PART if facts.page_sha256 else Cover.NOT_COVERED
    return cover, text if facts.page_sha256 else "", "the results of test runs; conformance tests with a venue"


def _limits(facts: Facts) -> Told:
    with_limit = sum(bool(fact.limits) for fact in facts.controls)
    text = f"{with_limit} controls have limits in the mandate in force; {len(facts.mandates)} mandates were in force"
    return (Cover.EVIDENCE if facts.mandates else Cover.NOT_COVERED), text, ""


def _kill(facts: Facts) -> Told:
    halts = [act for act in facts.acts if act.action == "halt"]
    levels = sorted({act.level or "halt" for act in halts})
    flag = _controls("RC-80")(facts)
    text = f"{len(halts)} halts by operators ({some(levels) or 'none'}), {len(facts.drills)} of them drills; {flag[1]}"
    if not facts.cancel_drills:
        return (
            Cover.PART,
            text,
            "a drill that cancels: a halt of level cancel-all or flatten whose reason begins with drill",
        )
    return flag[0], text, flag[2]


def _override(facts: Facts) -> Told:
    loose = [change for change in facts.changes if change.loosens]
    text = f"no order passes a control by hand; {len(loose)} loosenings of the mandate, each with reason and time of effect"
    unsigned = [change.n for change in loose if change.taken and not change.signed]
    return (Cover.PART if unsigned else Cover.EVIDENCE), text, "a signature on each" if unsigned else ""


def _alerts(facts: Facts) -> Told:
    alerts = facts.alerts
    raised, heard = (sum(pair[n] for pair in alerts.by_code.values()) for n in (0, 1))
    weeks = len(set(alerts.tested) & set(alerts.weeks))
    text = (
        f"{raised} alerts, {heard} acknowledged by a channel; {weeks} of {len(alerts.weeks)} weeks with an acknowledged test; "
        f"{alerts.beats} sessions whose heartbeat a watcher took"
    )
    cover = Cover.PART if alerts.channels or raised else Cover.NOT_COVERED
    return cover, text, "seconds from finding to sending; a person who watches"


def _documented(facts: Facts) -> Told:
    text = f"the page of controls, SHA-256 {facts.page_sha256[:16]}" if facts.page_sha256 else ""
    return (Cover.EVIDENCE if text else Cover.NOT_COVERED), text, "" if text else "the page of controls is not at hand"


def _yearly(facts: Facts) -> Told:
    text = f"this document, made from the ledger at {facts.ledger_size} entries, root {facts.ledger_root[:16]}"
    return Cover.PART, text, "a person's review of it, and its safe keeping"


Paragraph = tuple[str, str, str, Callable[[Facts], Told]]
PARAGRAPHS: Sequence[Paragraph] = (
    (RTS6, "Art. 9(1)(a)", "validate systems, algorithms and strategies", _systems),
    (RTS6, "Art. 9(1)(b)", "validate governance, accountability and approval", _governance),
    (RTS6, "Art. 9(1)(c)", "validate business continuity (Art. 14)", _continuity),
    (RTS6, "Art. 9(1)(d)", "validate overall compliance", _compliance),
    (RTS6, "Art. 9(1), Annex I", "analyse nature, scale and complexity", _scale),
    (RTS6, "Art. 9(2)", "drawn up by the risk function, which tells compliance", _nothing("a person draws it up")),
    (RTS6, "Art. 9(3)", "audited, and approved by senior management", _nothing("a person approves it: sign a copy")),
    (RTS6, "Art. 9(4)", "remedy what was found", _remedy),
    (RTS6, "Art. 5 to 7", "test before use and after changes", _testing),
    (RTS6, "Art. 8", "limits before an algorithm is let loose", _limits),
    (RTS6, "Art. 10", "stress test at twice the highest volume", _nothing("a test with twice the messages and volume")),
    (RTS6, "Art. 12", "cancel every order at once, and know that it works", _kill),
    (RTS6, "Art. 13", "surveillance for market manipulation", _controls("RC-21", lacks="patterns beyond self-trades")),
    (RTS6, "Art. 15(1)(a)", "price collars", _controls("RC-07")),
    (RTS6, "Art. 15(1)(b)", "largest order value", _controls("RC-08")),
    (RTS6, "Art. 15(1)(c)", "largest order volume", _controls("RC-09", "RC-10")),
    (RTS6, "Art. 15(1)(d)", "most messages", _controls("RC-14")),
    (RTS6, "Art. 15(3)", "repeated execution is stopped", _controls("RC-13", "RC-15")),
    (RTS6, "Art. 15(4) and (5)", "market and credit limits", _controls("RC-18", "RC-30", "RC-36", "RC-43", "RC-46")),
    (RTS6, "Art. 15(6)", "exceptions are documented", _override),
    (RTS6, "Art. 16", "monitoring in real time, alerts", _alerts),
    (RTS6, "Art. 17", "controls after the trade", _controls("RC-65", "RC-66", "RC-67", "RC-68", "RC-70", "RC-74")),
    (RTS6, "Art. 18", "security and access", _nothing("a review of access and of the machines")),
    (SEC, "(b)", "controls are written down and kept", _documented),
    (SEC, "(c)(1)(i)", "credit and capital thresholds before the order", _controls("RC-18", "RC-36", "RC-38")),
    (
        SEC,
        "(c)(1)(ii)",
        "no erroneous, oversized or doubled orders",
        _controls("RC-07", "RC-08", "RC-09", "RC-13", "RC-14"),
    ),
    (SEC, "(c)(2)", "regulatory checks before the order", _controls("RC-01", "RC-02", "RC-03")),
    (SEC, "(d)", "controls under one's own control", _governance),
    (SEC, "(e)(1)", "reviewed each year and documented", _yearly),
    (SEC, "(e)(2)", "certified each year by the chief executive", _nothing("a person certifies it")),
)
