"""`marketbot assess`: the controls and the mandate's rules over a year, from stored verdicts and the ledger alone.

The same home gives the same bytes. Verdicts are read one after the other and none is kept. Not here: counting (`audit.assessment`),
what regulation asks (`audit.assessment_review`), the page (`audit.assessment_page`), lines for people (`commands.assess_text`).
"""

import datetime as dt
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from marketbot_assets.audit.assessment import Assessment, Counted, SessionRead, cut_orders, number
from marketbot_assets.audit.assessment_facts import NOT_NAMED, ControlFact, Facts, Gap, findings
from marketbot_assets.audit.assessment_limits import limits_of, named_tests, states
from marketbot_assets.audit.assessment_rules import RULES, Compliance
from marketbot_assets.commands import assess_ledger
from marketbot_assets.commands.home import existing_lake
from marketbot_resources import settings
from marketbot_resources.calendars import decision_sessions
from marketbot_resources.errors import HomeError, StoreError, UsageError
from marketbot_resources.ledger.record import Entry
from marketbot_resources.mandate import Calendar
from marketbot_resources.sessions import book_open
from marketbot_resources.store.index import IndexRow
from marketbot_resources.store.lake import Lake

View = dict[str, object]
VERDICT, PLAN, TARGET = "risk_verdict", "order_plan", "target_portfolio"
CONTROLS_PAGE = Path("docs") / "controls.md"


@dataclass(frozen=True, slots=True)
class Record:
    """What the ledger holds of sessions: their ends and decisions, by session."""

    ends: Mapping[str, Entry]
    decisions: Mapping[str, Entry]


def assess(year: int | None, first: str | None, last: str | None, html: str | None) -> View:
    """The assessment of a year, or of `first` to `last`, as plain values; writes the page when `html` names a file.

    Raises UsageError for a period that is none, StoreError when something that a decision names is lost.
    """
    from marketbot_assets.audit.assessment_review import reviewed

    begin, end = _period(year, first, last)
    facts = gather(existing_lake(), begin, end)
    review = reviewed(facts)
    path = None
    if html is not None:
        from marketbot_assets.audit.assessment_page import build_assessment

        path = _written(Path(html).resolve(), build_assessment(facts, review))
    view = asdict(facts) | {"verdicts": facts.verdicts}
    return view | {"findings": findings(facts), "review": [asdict(one) for one in review], "path": path}


def _period(year: int | None, first: str | None, last: str | None) -> tuple[str, str]:
    if (year is None) == (first is None and last is None):
        raise UsageError("assess: expected --year Y, or --from A and --to B, found neither or both")
    if year is not None:
        return f"{year:04d}-01-01", f"{year:04d}-12-31"
    if first is None or last is None:
        raise UsageError("assess: expected --from and --to together, found one of them")
    begin, end = _day(first), _day(last)
    if begin > end:
        raise UsageError(f"assess: expected --from before --to, found {begin} and {end}")
    return begin.isoformat(), end.isoformat()


def _day(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"assess: expected a day like 2018-12-24, found {text!r}") from error


def _written(path: Path, text: str) -> str:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise HomeError(f"assess: expected to write {path}, found: {error.strerror}; choose another --html") from error
    return str(path)


def gather(lake: Lake, first: str, last: str) -> Facts:
    """Everything that the assessment tells of a period (ISO dates, both within)."""
    from marketbot_assets.risk.verdict import CONTROLS

    ledger = lake.ledger
    size, root = ledger.head()
    record = Record(_by_session(ledger.entries("session_end")), _by_session(ledger.entries("decision")))
    mandates = assess_ledger.mandates_of(lake, first, last)
    newest = mandates[-1].plain if mandates else {}
    sessions = sessions_of(lake, record, newest, first, last)
    stated = {r.name for r in RULES if not r.when or any(states(taken.plain, r.when) for taken in mandates)}
    counts, rules, gaps = Assessment((rule.id for rule, _ in CONTROLS), first), Compliance(stated), []
    for read in reads(lake, record, sessions):
        counts.add(read)
        rules.add(read)
        if not read.bound:
            gaps.append(Gap(read.session, read.state, read.reason, bool(read.verdict)))
    changes, places = assess_ledger.changes_of(ledger, first, last), assess_ledger.Places(ledger)
    page, counted = _page(), counts.counted()
    tests = named_tests(page) if page else None
    touched = {c: tuple(x.n for x in changes if c in x.controls) for c in {c for x in changes for c in x.controls}}
    decided = [record.decisions[session] for session in sessions if session in record.decisions]
    return Facts(
        first=first,
        last=last,
        begins=sessions[0] if sessions else "",
        ends=sessions[-1] if sessions else "",
        account=_at(newest, "account", "id"),
        base_currency=str(newest.get("base_currency", "")),
        ledger_size=size,
        ledger_root=root,
        page_sha256=hashlib.sha256(page.encode()).hexdigest() if page else "",
        mandates=tuple((taken.session, taken.sha256) for taken in mandates),
        codes=tuple(sorted({_at(entry.body, "versions", "code") for entry in decided} - {""})),
        orders=sum(int(number(record.ends[s].body.get("orders", 0))) for s in sessions if s in record.ends),
        counted=counted,
        controls=_controls(counted, limits_of(newest), touched, tests),
        rules=rules.rules(),
        stretches=rules.stretches(),
        gaps=tuple(gaps),
        changes=changes,
        acts=assess_ledger.acts_of(ledger, places, first, last),
        permissions=assess_ledger.permissions_of(ledger, places, first, last),
        alerts=assess_ledger.alerts_of(ledger, newest, sessions, first, last),
        run_failures=assess_ledger.run_failures_of(ledger, first, last),
        replay_breaches=assess_ledger.replay_breaches_of(ledger, first, last),
    )


def _by_session(entries: Iterable[Entry]) -> dict[str, Entry]:
    return {entry.key: entry for entry in entries}


def _at(plain: Mapping[str, object], section: str, name: str) -> str:
    found = plain.get(section)
    return str(found.get(name, "")) if isinstance(found, Mapping) else ""


def _page() -> str:
    """The page of controls; empty where it is not installed."""
    path = settings.CHECKOUT / CONTROLS_PAGE
    return path.read_text(encoding="utf-8") if path.exists() else ""


def sessions_of(lake: Lake, record: Record, mandate: Mapping[str, object], first: str, last: str) -> tuple[str, ...]:
    """Sessions of the period: those of the calendar from the book's opening to the newest record, and every recorded one."""
    opened = book_open(lake.ledger)
    recorded = {*record.ends, *record.decisions, *(e.key for e in lake.ledger.entries("session_cutoff"))}
    if opened is None or not recorded:
        return ()
    begin, end = max(first, opened.session.isoformat()), min(last, max(recorded))
    days: set[str] = {day for day in recorded if first <= day <= last}
    if begin <= end:
        calendar = Calendar.model_validate(mandate["calendar"])
        bounds = dt.date.fromisoformat(begin), dt.date.fromisoformat(end)
        days |= {day.isoformat() for day in decision_sessions(calendar, *bounds)}
    return tuple(sorted(days))


def reads(lake: Lake, record: Record, sessions: Iterable[str]) -> Iterator[SessionRead]:
    """What each session stored, oldest first, one at a time."""
    for session in sessions:
        end, decision = record.ends.get(session), record.decisions.get(session)
        state = "" if end is None else str(end.body["state"])
        reason = "" if end is None else str(end.body["reason"])
        row, bound = _version(lake, VERDICT, session, decision)
        if row is None:
            yield SessionRead(session, state, reason)
            continue
        rows = lake.records(row)
        verdict = next((str(one["verdict"]) for one in rows if one["kind"] == "BATCH"), "")
        yield SessionRead(
            session=session,
            state=state,
            reason=reason,
            verdict=verdict,
            bound=bound,
            rows=rows,
            values=_values(lake, session, decision) if cut_orders(rows) else {},
            eased=_eased(lake, session, decision),
        )


def _version(lake: Lake, asset: str, session: str, decision: Entry | None) -> tuple[IndexRow | None, bool]:
    """(the version that the decision names, True), or (the newest one, False) where no decision names one."""
    manifest = "" if decision is None else _at(decision.body, "manifests", asset)
    if not manifest:
        return lake.index.newest(asset, session), False
    row = lake.index.by_manifest(asset, session, manifest)
    if row is None:
        raise StoreError(
            f"{asset} of session {session}: expected the version that the decision names ({manifest[:12]}) in the store, "
            "found none; restore the store from its backup"
        )
    return row, True


def _values(lake: Lake, session: str, decision: Entry | None) -> dict[str, float]:
    row, _ = _version(lake, PLAN, session, decision)
    if row is None:
        return {}
    return {str(order["client_order_id"]): number(order["value_base"]) for order in lake.records(row)}


def _eased(lake: Lake, session: str, decision: Entry | None) -> tuple[str, ...]:
    row, _ = _version(lake, TARGET, session, decision)
    rows = lake.records(row) if row is not None else []
    return tuple(text for text in str(rows[0]["eased"]).split("; ") if text) if rows else ()


def _controls(
    counted: Counted,
    limits: Mapping[str, Mapping[str, str]],
    touched: Mapping[str, tuple[int, ...]],
    tests: Mapping[str, tuple[str, ...]] | None,
) -> tuple[ControlFact, ...]:
    from marketbot_assets.risk.verdict import CONTROLS

    rules = {rule.id: rule for rule, _ in CONTROLS}
    found = []
    for count in counted.controls:
        rule = rules.get(count.control)
        found.append(
            ControlFact(
                id=count.control,
                name=rule.name if rule else "of an earlier version",
                fails_with=rule.fail.name if rule else "",
                guards=rule.formula if rule else "",
                asked_by=rule.answers if rule else "",
                limits=limits.get(count.control, {}),
                owner=NOT_NAMED,
                count=count,
                touched=touched.get(count.control, ()),
                tests=None if tests is None else tests.get(count.control, ()),
            )
        )
    return tuple(found)
