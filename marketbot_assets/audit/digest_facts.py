"""What a digest of a session or a week is made of: numbers and short lines, from stored rows. Pure.

Rows are those of the assets of the same name, as plain mappings; what is missing stays empty, NaN or None and is said, never taken
for good. Not here: the words (`digest`), its forms (`digest_forms`), where the rows are read (`marketbot_assets.digests`).
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from marketbot_assets.audit.llm_numbers import standing, tries
from marketbot_assets.audit.report_facts import Row, named_by, number, tickers_of, total
from marketbot_assets.audit.report_parts import in_unit, percent
from marketbot_assets.audit.schema import INSTRUMENT
from marketbot_assets.book.schema import POSITION
from marketbot_resources.model import Status

Rows = Sequence[Row]
Named = Callable[[object], str]
NOT_STORED = "not stored"
AT_THE_BROKER = ("SENDING", "ACKED", "PARTIAL", "UNKNOWN")
REPORTED = (
    *("instruments", "positions", "book_state", "target_explanation", "order_plan", "risk_verdict", "orders", "submissions"),
    *("fills", "execution_costs", "attribution", "data_quality", "llm_answers", "llm_context"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class OrderLine:
    """One planned order. `approved`: shares that the verdict let pass; `value`: of the plan, base currency."""

    side: str
    quantity: float
    approved: float
    name: str
    value: float
    reason: str


@dataclass(frozen=True, slots=True)
class Day:
    """One session. Money in base currency, NaN where it is not known; drawdown: positive fraction; `cost` = slippage + fee + tax.

    `held`, `movers` (name, profit), `bound`, `warned`, `breaches`, `halts`, `data`, `unknown`: short lines, names as people call
    them. `synthetic`: None when it is not known. `versions`: what decided (mandate, model), by name.
    """

    session: str
    state: str
    reason: str = ""
    verdict: str = ""
    nav: float = math.nan
    pnl: float = math.nan
    drawdown: float = math.nan
    rung: str = ""
    cost: float = math.nan
    fee: float = math.nan
    tax: float = math.nan
    fills: int = 0
    filled_value: float = math.nan
    orders: tuple[OrderLine, ...] = ()
    approved: int = 0
    held: tuple[str, ...] = ()
    movers: tuple[tuple[str, float], ...] = ()
    bound: tuple[str, ...] = ()
    warned: tuple[str, ...] = ()
    breaches: tuple[str, ...] = ()
    cured: tuple[str, ...] = ()
    halts: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    llm: str = ""
    llm_usd: float = 0.0
    working: int = 0
    synthetic: bool | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()

    @property
    def pnl_fraction(self) -> float:
        """Profit as a fraction of NAV before; NaN without one."""
        before = self.nav - self.pnl
        return self.pnl / before if before > 0.0 else math.nan


@dataclass(frozen=True, slots=True)
class Known:
    """What the ledger and the headline numbers of the report say of a session. `summary`: of DAILY_REPORT, empty without one."""

    session: str
    state: str
    reason: str
    summary: Mapping[str, object]
    incidents: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DigestFacts:
    """Everything that a digest says. `days`: ascending, one of a daily digest; `before`: the session before them.

    `history`: (session, NAV), ascending, the last day's last; `actions`: what operators did; `alerts`: (told of these sessions, not
    acknowledged); `coming`: lines; `head`: size and root of the ledger; `live`: decided on the machine's clock; `paper`: no real
    money; `address`: of the pages, or "".
    """

    kind: str
    label: str
    base: str
    days: tuple[Day, ...]
    before: Day | None
    history: tuple[tuple[str, float], ...]
    live: bool
    paper: bool
    head: tuple[int, str]
    actions: tuple[str, ...] = ()
    alerts: tuple[int, int] = (0, 0)
    coming: tuple[str, ...] = ()
    address: str = ""


def day_of(known: Known, rows: Mapping[str, Rows]) -> Day:
    """One session from its rows; a table that is missing in `rows` was not stored."""
    named = named_by(tickers_of(rows.get("instruments", ())))
    told, verdict, costs = known.summary, rows.get("risk_verdict", ()), rows.get("execution_costs")
    book = {str(row["item"]): row for row in rows.get("book_state", ()) if row["instrument"] == ""}
    batch: Row = next((row for row in verdict if row["kind"] == "BATCH"), {})
    orders = _orders(rows.get("order_plan", ()), verdict, named)
    return Day(
        session=known.session,
        state=known.state,
        reason=named(known.reason),
        verdict=str(batch.get("verdict", "")),
        nav=number(told.get("nav", _of(book, "nav"))),
        pnl=number(told.get("pnl")),
        drawdown=number(told.get("drawdown_inception", _of(book, "drawdown_inception"))),
        rung=str(book["rung"]["text"]) if "rung" in book else "",
        cost=_sum(costs, "total_base"),
        fee=_sum(costs, "fee_base"),
        tax=_sum(costs, "tax_base"),
        fills=len(costs or ()),
        filled_value=_sum(costs, "value_base"),
        orders=orders,
        approved=sum(order.approved > 0.0 for order in orders),
        held=_held(rows.get("positions", ()), named),
        movers=_movers(rows.get("attribution", ()), named),
        bound=_bound(rows.get("target_explanation", ()), named),
        warned=_warned(verdict, named),
        breaches=_breaches(verdict, named, closed=False),
        cured=_breaches(verdict, named, closed=True),
        halts=_halts(verdict, named),
        data=_data(rows.get("data_quality", ()), named) + tuple(named(text) for text in known.incidents),
        llm=_llm(rows),
        llm_usd=float(tries(rows.get("llm_answers", ())).cost_usd),
        working=sum(str(row["state"]) in AT_THE_BROKER for row in rows.get("submissions", ())),
        synthetic=told["synthetic"] if isinstance(told.get("synthetic"), bool) else None,  # type: ignore[arg-type]
        versions=known.versions,
        unknown=_unknown(known, rows),
    )  # fmt: skip


def _of(book: Mapping[str, Row], item: str) -> object:
    return book[item]["number"] if item in book else None


def _sum(rows: Rows | None, column: str) -> float:
    """Sum of a column; NaN without a table, or when one row's number is not known: part of a cost is not the cost."""
    if rows is None:
        return math.nan
    return math.fsum(number(row[column]) for row in rows)


def _orders(plan: Rows, verdict: Rows, named: Named) -> tuple[OrderLine, ...]:
    """Planned orders, sells first, then by value."""
    judged = {str(row["key"]): row for row in verdict if row["kind"] == "ORDER"}
    passed = any(row["kind"] == "BATCH" and row["verdict"] == "APPROVED" for row in verdict)
    lines = []
    for row in plan:
        answer = judged.get(str(row["client_order_id"]), {})
        approved = number(answer.get("approved_quantity")) if passed else 0.0
        name = str(row["instrument"])
        lines.append(
            OrderLine(
                side=str(row["side"]),
                quantity=number(row["quantity"]),
                approved=approved if math.isfinite(approved) else 0.0,
                name=f"FX {name[3:]}" if name.startswith("FX:") else named(name),
                value=number(row["value_base"]),
                reason=named(answer.get("message") or row["reason"]),
            )
        )
    return tuple(sorted(lines, key=lambda one: (one.side != "SELL", -total([one.value]), one.name)))


def _held(positions: Rows, named: Named) -> tuple[str, ...]:
    return tuple(sorted(named(row["key"]) for row in positions if row["kind"] == POSITION))


def _movers(attribution: Rows, named: Named) -> tuple[tuple[str, float], ...]:
    """(name, profit) of instruments whose profit is known, best first."""
    found = [
        (named(row["name"]).replace("CASH:", "cash "), number(row["total"]))
        for row in attribution
        if row["dimension"] == INSTRUMENT
    ]
    known = [pair for pair in found if math.isfinite(pair[1]) and pair[1] != 0.0]
    return tuple(sorted(known, key=lambda pair: (-pair[1], pair[0])))


def _bound(explanation: Rows, named: Named) -> tuple[str, ...]:
    """Limits that held the target back, dearest first."""
    rows = [row for row in explanation if row["kind"] == "LIMIT" and row["binding"]]
    rows.sort(key=lambda row: (-total([number(row["dual"])]), number(row["place"])))
    # the name of a limit begins with its control where it has one
    return tuple(dict.fromkeys(named(row["name"] or row["subject"]) for row in rows))


def _warned(verdict: Rows, named: Named) -> tuple[str, ...]:
    """Controls that did not simply pass, the loudest first: status, what was observed and allowed, why."""
    loud = [row for row in verdict if row["kind"] == "CONTROL" and row["status"] != Status.PASS.name]
    loud.sort(key=lambda row: (-Status[str(row["status"])].value, str(row["key"])))
    return tuple(_control(row, named) for row in loud)


def _control(row: Row, named: Named) -> str:
    group = str(row["key"]).partition("|")[2]
    observed, limit = number(row["observed"]), number(row["limit"])
    what = f"{row['control']} {row['status']} {named(row['name'])}{f' ({named(group)})' if group else ''}"
    numbers = (
        f": {in_unit(observed, row['unit'])} of {in_unit(limit, row['unit'])}" if math.isfinite(limit) and limit else ""
    )
    why = f"; {named(row['message'])}" if row["message"] else ""
    return f"{what}{numbers}{why}"


def _breaches(verdict: Rows, named: Named, *, closed: bool) -> tuple[str, ...]:
    """Breaches of the register: those that are open, or those that the session cured."""
    rows = [row for row in verdict if row["kind"] == "BREACH" and (row["status"] == Status.PASS.name) is closed]
    lines = []
    for row in sorted(rows, key=lambda row: str(row["key"])):
        age, limit = number(row["observed"]), number(row["limit"])
        term = f", session {age:.0f} of {limit:.0f}" if math.isfinite(age) and math.isfinite(limit) else ""
        halts = f", halts (class {row['halt_class']})" if row["halt_class"] else ""
        what = f"{row['control']} {named(row['name'])}".rstrip()
        lines.append(f"{what}: open since {row['opened']}{term}{halts}: {named(row['message'])}")
    return tuple(lines)


def _halts(verdict: Rows, named: Named) -> tuple[str, ...]:
    rows = [row for row in verdict if row["kind"] == "CONTROL" and row["status"] == Status.HALT.name]
    return tuple(f"{row['control']} {named(row['name'])}: {named(row['message'])}" for row in rows)


def _data(quality: Rows, named: Named) -> tuple[str, ...]:
    """Rules on the data that did not pass, worst first: how many subjects, and the first of them."""
    bad: dict[tuple[int, str], list[Row]] = {}
    worst = ("halt", "quarantine", "warn")
    for row in quality:
        if row["outcome"] in worst:
            bad.setdefault((worst.index(str(row["outcome"])), str(row["rule"])), []).append(row)
    lines = []
    for (place, rule), rows in sorted(bad.items()):
        first = min(rows, key=lambda row: str(row["subject"]))
        subject = "whole table" if first["subject"] == "*" else named(first["subject"])
        many = f"{len(rows)} subjects, first {subject}" if len(rows) > 1 else subject
        lines.append(f"{worst[place]}: {rule.replace('_', ' ')}: {many}: {named(first['message'])}")
    return tuple(lines)


def _llm(rows: Mapping[str, Rows]) -> str:
    """What language models did, in a sentence or two; "" when nothing is stored."""
    if "llm_context" not in rows:
        return ""
    asked = tries(rows.get("llm_answers", ()))
    counts = f" Asked {asked.asked} times, {asked.accepted} accepted, {asked.cost_usd:.4f} USD." if asked.asked else ""
    return standing(rows["llm_context"]).sentence + counts


def _unknown(known: Known, rows: Mapping[str, Rows]) -> tuple[str, ...]:
    """What these rows cannot say."""
    lines = []
    missing = sorted(set(REPORTED) - set(rows) - {"llm_answers"})
    if missing:
        lines.append(f"session {known.session}: {NOT_STORED}: {', '.join(missing)}")
    if not known.summary:
        lines.append(f"session {known.session} has no report: profit, and whether data are simulated, are not known")
    verdict = rows.get("risk_verdict", ())
    blind = [
        r
        for r in verdict
        if r["kind"] == "CONTROL" and r["status"] != "PASS" and not math.isfinite(number(r["observed"]))
    ]
    if blind:
        lines.append(f"{len(blind)} controls could not be computed and count as failed: {blind[0]['control']} first")
    doubt = Counter(str(row["state"]) for row in rows.get("submissions", ()))["UNKNOWN"]
    if doubt:
        lines.append(f"what became of {doubt} orders at the broker is not known")
    dear = [row for row in rows.get("execution_costs", ()) if not math.isfinite(number(row["total_base"]))]
    if dear:
        lines.append(f"what {len(dear)} of {len(rows['execution_costs'])} fills cost is not known")
    unpriced = [
        r for r in rows.get("positions", ()) if r["kind"] == POSITION and not math.isfinite(number(r["value_base"]))
    ]
    if unpriced:
        lines.append(f"{len(unpriced)} names are held without a known price and not counted in NAV")
    return tuple(lines)


def beyond(fraction: float) -> str:
    """A drawdown in words."""
    return f"{percent(fraction)} below its high" if math.isfinite(fraction) else "distance to its high not known"
