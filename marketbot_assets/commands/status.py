"""Where the book, the limits and the last run stand, and what to do next: `status`. It only reads.

Not here: what is missing in the set-up (`doctor`), the day in full (`report`).
"""

import datetime as dt
import math
from typing import TYPE_CHECKING, cast

from marketbot_assets.commands.alert_state import alert_lines, alert_state
from marketbot_assets.commands.halt_broker import progress
from marketbot_assets.commands.home import existing_lake, load_mandate
from marketbot_assets.commands.llm_state import llm_line, llm_state
from marketbot_assets.commands.reconcile import newest_row, unsettled_orders
from marketbot_assets.commands.sessions import LAST_ASSET, WAITING, next_session, waiting_for
from marketbot_resources.clock import machine_now
from marketbot_resources.errors import UsageError
from marketbot_resources.halt import OFF, HaltFlag, combined
from marketbot_resources.halt_sources import open_halt
from marketbot_resources.ledger.examine import first_fault
from marketbot_resources.model import HaltLevel, plain
from marketbot_resources.sessions import book_open, end_state, first_failure

if TYPE_CHECKING:
    import pandas as pd

    from marketbot_resources.store.lake import Lake

View = dict[str, object]
LIMITS_SHOWN = 5
WATCHED = (HaltLevel.FLATTEN.value, HaltLevel.CANCEL_ALL.value)
OPEN, NOT_RUN = "open", "not run"
NO_ANCHOR = "no external anchor: whoever has this home and its signer could rewrite all of it unseen"
BAD_ENDS = ("rejected", "halted", "failed")


def status(*, ask_broker: bool = True) -> View:
    """Everything that `status` shows. `fine` is false when someone has to act before the next session can trade.

    Without `ask_broker` the progress of a flatten is null.

    A ledger whose chain does not hold is told as such and nothing else is read from it: every other fact is null then.
    """
    lake = existing_lake()
    problem = first_fault(lake.ledger)
    size, root = lake.ledger.head()
    sources = open_halt(lake.home).each()
    flag = combined(sources)
    view: View = {
        "home": str(lake.home),
        "ledger": {"size": size, "root": root, "whole": problem is None, "problem": problem or ""},
        "signed": max((kept for kept, _ in lake.ledger.checkpoints()), default=0),
        "anchors": list(load_mandate().anchors),
        "store_objects": lake.stored(),
        "halt": {
            "status": flag.status,
            "reason": flag.reason,
            "level": flag.level.value if flag.status == "on" else "",
        },
        "halt_sources": {name: own.word for name, own in sources},
        **dict.fromkeys(("sessions", "book", "limits", "open_orders", "in_doubt_orders", "failure")),
        **dict.fromkeys(("trading_state", "breaches", "flatten", "llm", "alerts")),
    }
    if problem is None:
        orders = unsettled_orders(lake.ledger)
        view["llm"], view["alerts"] = llm_state(lake, load_mandate()), alert_state(lake)
        view["sessions"], view["failure"] = _sessions(lake), _failure(lake)
        view["book"], view["limits"] = _book(lake), _limits(lake)
        view["trading_state"], view["breaches"] = _trading_state(lake, flag)
        view["open_orders"] = [row for row in orders if not row["in_doubt"]]
        view["in_doubt_orders"] = [row for row in orders if row["in_doubt"]]
        view["flatten"] = progress(lake) if ask_broker and flag.word in WATCHED else None
    view["next"], view["fine"] = _next(view)
    return view


def _sessions(lake: "Lake") -> View:
    """First, last and next session; the last is the newest with a cutoff, `open` or `waiting` while it has no recorded end."""
    opened, cutoffs = book_open(lake.ledger), lake.ledger.entries("session_cutoff")
    last = max((entry.key for entry in cutoffs), default=None)
    ended = end_state(lake.ledger, dt.date.fromisoformat(last)) if last else None
    waiting = waiting_for(lake, last) if last and not ended else ""
    try:
        following = next_session(lake, load_mandate()).isoformat()
    except UsageError:
        following = None  # every session of the calendar was run
    return {
        "first": opened.session.isoformat() if opened else None,
        "last": last,
        "last_state": ended.state if ended else WAITING if waiting else OPEN if last else NOT_RUN,
        "last_reason": ended.reason if ended else waiting,
        "next": following,
    }


def _failure(lake: "Lake") -> View | None:
    """Where and why the newest run failed; None once a later session ended or that session was completed."""
    failures, ends = lake.ledger.entries("run_failed"), lake.ledger.entries("session_end")
    newest = first_failure(failures)
    if newest is None:
        return None
    part = newest.key.split("/")[0]
    ended_later = any(entry.seq > newest.seq for entry in ends)
    if ended_later or lake.index.newest(LAST_ASSET, part) is not None:
        return None
    return {"session": part, "step": str(newest.body["step"]), "reason": str(newest.body["reason"])}


def _book(lake: "Lake") -> View | None:
    """The newest state of the book with its positions; None before there is one."""
    from marketbot_assets.book.frames import state_of, valuation_of

    row = newest_row(lake, "book_state")
    held = lake.index.newest("positions", row.part) if row else None
    if row is None or held is None:
        return None
    state, positions = state_of(lake.load(row)), lake.load(held)
    value, tickers = valuation_of(positions), _tickers(lake, row.part)
    known = [number for number in value.values.values() if math.isfinite(number)]
    money = positions[positions["kind"] == "CASH"]
    return {
        "session": row.part,
        "base_currency": load_mandate().base_currency,
        "nav": state.nav,
        "drawdown": state.drawdown,
        "drawdown_inception": state.drawdown_inception,
        "rung": state.rung.value,
        "multiple": state.multiple,
        "halt_class": state.halt_class,
        "no_buys": state.no_buys,
        "invested": math.fsum(known) / state.nav,
        "positions": len(value.values),
        "unpriced": list(value.unpriced),
        "cash": money[["currency", "amount", "value_base"]].to_dict("records"),
        "stop_hits": [
            {"instrument": hit.instrument, "ticker": tickers.get(hit.instrument, ""), "control": hit.control}
            | {"close": hit.close, "level": hit.level}
            for hit in state.stop_hits
        ],
        "blocked": [
            {"instrument": name, "ticker": tickers.get(name, ""), "until": until} for name, until in state.blocked
        ],
    }


def _trading_state(lake: "Lake", flag: HaltFlag) -> tuple[str | None, list[View] | None]:
    """(what may be sent now, the register of breaches); None before there is a book, or a verdict."""
    from marketbot_assets.book.frames import state_of
    from marketbot_assets.book.trading_state import trading_state
    from marketbot_assets.risk.breaches import breaches_of

    book, verdict = newest_row(lake, "book_state"), newest_row(lake, "risk_verdict")
    found = [] if verdict is None else breaches_of(lake.load(verdict))
    told: list[View] = [
        {"control": b.control, "key": b.key, "cause": b.cause, "opened": b.opened.isoformat(), "message": b.message}
        | {"sessions": b.sessions, "cure_sessions": b.cure_sessions, "halt_class": b.halt_class}
        for b in found
    ]
    if book is None:
        return None, told
    state = trading_state(
        state_of(lake.load(book)),
        load_mandate().ladder,
        halt_word=flag.word,
        halting=any(breach.halt_class for breach in found),
        overdue=any(breach.overdue for breach in found),
    )
    return state.value, told


def _tickers(lake: "Lake", part: str) -> dict[str, str]:
    row = lake.index.newest("instruments", part)
    if row is None:
        return {}
    frame = lake.load(row)
    return dict(zip(frame["instrument"], frame["ticker"], strict=True))


def _limits(lake: "Lake") -> list[View] | None:
    """The limits nearest to their bound in the newest verdict, the most used first; None before there is a verdict."""
    row = newest_row(lake, "risk_verdict")
    return None if row is None else nearest_limits(lake.load(row))


def nearest_limits(verdict: "pd.DataFrame") -> list[View]:
    """The controls of a RISK_VERDICT whose bound is used most; `used` 1 is at the bound, more is beyond it."""
    from marketbot_assets.audit.report_book import STATES, headroom_share

    names = ["control", "key", "name", "observed", "limit", "unit", "status"]
    found = []
    limits = verdict[(verdict["kind"] == "CONTROL") & verdict["limit"].notna() & ~verdict["control"].isin(STATES)]
    for row in limits.to_dict("records"):
        used = 1.0 - headroom_share(row) if row["limit"] != 0.0 else math.nan
        if math.isfinite(used):
            found.append({**{name: row[name] for name in names}, "used": used})
    return sorted(found, key=lambda row: (-float(row["used"]), str(row["key"])))[:LIMITS_SHOWN]


def _next(view: View) -> tuple[str, bool]:
    """(what to do next, whether nothing stands against going on); the first thing that has to be done."""
    ledger, halt, sessions, failure = (view[name] for name in ("ledger", "halt", "sessions", "failure"))
    assert isinstance(ledger, dict)
    assert isinstance(halt, dict)
    if not ledger["whole"]:
        return "restore the ledger from its backup; it is never repaired", False
    assert isinstance(sessions, dict)
    if halt["status"] != "off":
        return "find out why it was halted, then: marketbot resume --reason TEXT", False
    if isinstance(failure, dict):
        return f"mend what the reason names, then: marketbot run --session {failure['session']}", False
    last, state, following = sessions["last"], sessions["last_state"], sessions["next"]
    go_on = f"marketbot run --session {following}" if following else "every session of the calendar has been run"
    if state in BAD_ENDS:
        return f"read why (marketbot report --session {last}), then: {go_on}", False
    alerts = view["alerts"]
    if isinstance(alerts, dict) and alerts["failing"]:
        return f"nobody has heard of {alerts['failing'][0]}: marketbot alerts test; then: {go_on}", False
    if view["in_doubt_orders"]:
        return "an order has no answer from the broker: marketbot reconcile; the next session settles it or halts", True
    if state == WAITING:
        return str(sessions["last_reason"]), True
    book = view["book"]
    breaches = view["breaches"]
    lifted = isinstance(breaches, list) and any(row["halt_class"] == "C" for row in breaches)
    if lifted or (isinstance(book, dict) and book["halt_class"] == "C"):
        return "the book is halted, class C; when it may trade again: marketbot resume --reason TEXT", True
    return go_on, True


def status_lines(view: View) -> list[str]:
    """The status for people: one aligned line per fact."""
    ledger, halt, failure = view["ledger"], view["halt"], view["failure"]
    assert isinstance(ledger, dict)
    assert isinstance(halt, dict)
    chain = "whole" if ledger["whole"] else f"BROKEN: {ledger['problem']}"
    lines = _line("home", view["home"])
    lines += _session_lines(view["sessions"]) + _book_lines(view["book"]) + _limit_lines(view["limits"])
    lines += _order_lines("open orders", view["open_orders"]) + _order_lines("in doubt", view["in_doubt_orders"])
    level = "" if halt["level"] in ("", "halt") else f"{halt['level']}:"
    lines += _line("halt flag", " ".join(str(part) for part in (halt["status"], level, halt["reason"]) if part))
    lines += _flatten_lines(view["halt_sources"], view["flatten"])
    lines += _line("trading", view["trading_state"]) if view["trading_state"] else []
    lines += _breach_lines(view["breaches"])
    lines += _line("ledger", f"{ledger['size']} entries, {chain}, head {ledger['size']}:{ledger['root']}")
    lines += _line("signed", f"the first {view['signed']} entries; `marketbot verify` checks everything")
    anchors = view["anchors"]
    lines += _line("anchors", ", ".join(anchors) if isinstance(anchors, list) and anchors else NO_ANCHOR)
    lines += _line("models", llm_line(cast("View | None", view["llm"]))) if ledger["whole"] else []
    if ledger["whole"]:
        told = alert_lines(cast("View | None", view["alerts"]), machine_now())
        lines += [line for n, one in enumerate(told) for line in _line("" if n else "alerts", one)]
    lines += _line("store", f"{view['store_objects']} objects")
    if isinstance(failure, dict):
        lines += _line("last failure", f"session {failure['session']}: {failure['reason']}")
    return lines + _line("next", view["next"])


def _line(label: str, value: object) -> list[str]:
    return [f"{label:<14}{value}"]


def _flatten_lines(sources: object, found: object) -> list[str]:
    assert isinstance(sources, dict)
    on = {name: word for name, word in sources.items() if word != OFF}
    lines = _line("halted by", ", ".join(f"{name} ({word})" for name, word in on.items())) if on else []
    if not isinstance(found, dict):
        return lines
    if found["problem"]:
        return lines + _line("at the broker", f"not known: {found['problem']}")
    told = f"{found['positions']} positions, {found['open_orders']} open orders"
    return lines + _line("at the broker", f"{told}{': flat' if found['flat'] else ''}")


def _session_lines(found: object) -> list[str]:
    if not isinstance(found, dict):
        return []
    told = f"{found['last'] or 'none'}: {found['last_state']} {found['last_reason']}".rstrip()
    return [
        *_line("first session", found["first"] or "the book is not open yet"),
        *_line("last session", told),
        *_line("next session", found["next"] or "none left"),
    ]


def _book_lines(found: object) -> list[str]:
    if not isinstance(found, dict):
        return []
    base = found["base_currency"]
    cash = ", ".join(f"{plain(row['amount'])} {row['currency']}" for row in found["cash"]) or "none"
    stops = ", ".join(f"{hit['ticker'] or hit['instrument']} ({hit['control']})" for hit in found["stop_hits"])
    blocked = ", ".join(f"{row['ticker'] or row['instrument']} until {row['until']}" for row in found["blocked"])
    halted = f", halted class {found['halt_class']}" if found["halt_class"] else ""
    no_buys = f", no buys: {found['no_buys']}" if found["no_buys"] else ""
    return [
        *_line("book of", found["session"]),
        *_line("nav", f"{found['nav']:,.2f} {base}"),
        *_line("drawdown", f"{found['drawdown']:.2%} of the ladder, {found['drawdown_inception']:.2%} from inception"),
        *_line("rung", f"{found['rung']}, risk times {found['multiple']:.2f}{halted}{no_buys}"),
        *_line("invested", f"{found['invested']:.1%} in {found['positions']} positions"),
        *_line("cash", cash),
        *_line("stops hit", stops or "none"),
        *_line("blocked", blocked or "none"),
    ]


def _limit_lines(found: object) -> list[str]:
    rows = found if isinstance(found, list) else []
    lines = []
    for n, row in enumerate(rows):
        told = (
            f"{row['used']:>7.1%} of {row['key']:<38} {row['name']}: {row['observed']:.4g} against {row['limit']:.4g}"
        )
        lines += _line("limits used" if n == 0 else "", told)
    return lines


def _breach_lines(found: object) -> list[str]:
    lines = []
    for n, row in enumerate(found if isinstance(found, list) else []):
        halts = f", halts, class {row['halt_class']}" if row["halt_class"] else ""
        told = f"{row['control']} {row['key']} since {row['opened']}, {row['cause']}{halts}: {row['message']}"
        lines += _line("breaches" if n == 0 else "", told.replace("  ", " "))
    return lines


def _order_lines(label: str, found: object) -> list[str]:
    rows = found if isinstance(found, list) else []
    lines = _line(label, len(rows) if rows else "none")
    for row in rows:
        told = f"{row['client_order_id']} {row['state']} {row.get('side', '')} {row.get('quantity', '')}"
        lines += _line("", f"{told} {row.get('instrument', '')}".rstrip())
    return lines
