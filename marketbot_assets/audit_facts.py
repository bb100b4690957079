"""What the audit assets read together, from the reader and the ledger. Not here: the arithmetic and the page (`audit`)."""

import datetime as dt
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from marketbot_assets.champion_facts import told
from marketbot_assets.cost_facts import ended_before
from marketbot_assets.drift_facts import DRIFT_SESSIONS, HORIZON_SESSIONS, drifted
from marketbot_assets.model_watch_facts import watched
from marketbot_assets.panels import MARKET_DEPS, market, rate_moves
from marketbot_assets.session_facts import NEAR_SESSIONS, OPENING, ROLL_DEPS, rates_of, rolled
from marketbot_resources.halt import HaltSwitch
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.ledger.record import Json
from marketbot_resources.sessions import end_state
from marketbot_resources.store.reader import Reader

if TYPE_CHECKING:
    import pandas as pd

    from marketbot_assets.audit.report_facts import ReportFacts
    from marketbot_assets.pages import Shows
    from marketbot_resources.notary import NotaryPort
    from marketbot_resources.store.lake import Lake

NO_ANCHOR = "none: whoever has this home, its signer and its key could rewrite all of it unseen"
HISTORY_SESSIONS = 252
RECORD_DEPS = ("mandate", "orders", "risk_verdict", "order_plan", "target_portfolio", "return_model")
ATTRIBUTION_DEPS = (*ROLL_DEPS, "positions")
SHADOW_DEPS = (*MARKET_DEPS, "book_state", "target_portfolio", "llm_context")
TARGETS_HELD = 5
REPORTED = (
    *MARKET_DEPS,
    "positions",
    "book_state",
    "target_portfolio",
    "target_explanation",
    "order_plan",
    "risk_verdict",
    "stress_results",
    "risk_report",
    "orders",
    "submissions",
    "fills",
    "execution_costs",
    "shortfall",
    "cost_calibration",
    "attribution",
    "drift",
    "shadow_book",
    "data_quality",
    "context_pack",
    "llm_answers",
    "llm_context",
    "llm_evidence",
    "forecasts",
    "decision_record",
    "replay_check",
)


def recorded(read: Reader, ledger: Ledger) -> "pd.DataFrame":
    """DECISION_RECORD: every object behind the session's orders, by content."""
    from marketbot_assets.audit.record import record_frame
    from marketbot_assets.insight.lead import baseline_rows

    rows = [(link.row.asset, link.row.part, link.row.content_sha256) for link in read.behind("orders")]
    models, verdict = read.read("return_model"), read.read("risk_verdict")
    model = baseline_rows(models).iloc[0]
    facts = {
        "cutoff": str(read.cutoff.isoformat()),
        "mandate_sha256": read.mandate().sha256,
        "model": f"{model['name']} fitted on {model['fitted_on'].date()} {model['spec_sha256'][:16]}",
        "verdict": str(verdict["verdict"].iloc[0]),
        "method": str(read.read("target_portfolio")["method"].iloc[0]),
        "batch_sha256": str(verdict["batch_approved_sha256"].iloc[0]),
        "orders": str(len(read.read("orders"))),
        **{name: str(value) for name, value in told(models).items()},
    }
    return record_frame(sorted(set(rows)), read.part, facts)


def freeze(read: Reader, lake: "Lake", frame: "pd.DataFrame", versions: Mapping[str, str]) -> str:
    """Appends decision, batch and intents to the ledger before anything is sent; returns the hash of the decision's entry.

    Raises LedgerError or Equivocation: then no order is sent (RC-84).
    """
    from marketbot_assets.audit.record import record_body
    from marketbot_assets.portfolio.order_frame import orders_from_frame
    from marketbot_assets.risk.verdict_frame import verdict_of
    from marketbot_assets.submit import why
    from marketbot_resources.broker.sending import freeze_batch

    ledger, mandate = lake.ledger, read.mandate()
    known = ledger.get("decision", read.part)
    body = record_body(frame, read.part) if known is None else known.body
    made = {"versions": versions, "manifests": _manifests(read, lake)}
    receipt = ledger.append("decision", read.part, body if known else {**body, **made})
    orders = orders_from_frame(read.read("orders"))
    verdict = read.read("risk_verdict")
    facts: dict[str, Json] = {"session": read.part, "verdict": verdict_of(verdict), "why": why(verdict)}
    freeze_batch(ledger, mandate.account.id, read.session, orders, facts)
    return receipt.hash


def _manifests(read: Reader, lake: "Lake") -> dict[str, str]:
    """Asset -> manifest of every output of the decision: each hash stands for everything behind that output."""
    from marketbot_assets.audit.record import OUTPUTS
    from marketbot_resources.store.closure import closure

    order_row = lake.index.newest("orders", read.part)
    assert order_row is not None, "orders were materialized before their record"
    links = closure(lake, order_row)
    return {x.row.asset: x.row.manifest_sha256 for x in links if x.row.asset in OUTPUTS and x.row.part == read.part}


def halt_on_difference(frame: "pd.DataFrame", halt: HaltSwitch, ledger: Ledger) -> None:
    """Halts trading when a decision cannot be rebuilt as it was stored, and says which asset differs first."""
    different = frame[~frame["same"]]
    if different.empty:
        return
    first = different.iloc[0]
    why = f"replay of {first['partition']}: {first['asset']} differs first: {first['message']}"
    body: dict[str, Json] = {"asset": str(first["asset"]), "why": why, "differ": [str(x) for x in different["asset"]]}
    ledger.append("breach", f"replay/{first['partition']}/{first['rebuilt_content_sha256']}", body)
    halt.set(why)


def stored_objects(read: Reader, lake: "Lake") -> "pd.DataFrame":
    """PROOF: what the session stored, itself excepted."""
    import pandas as pd

    from marketbot_assets.audit.schema import PROOF

    rows = [row for asset, row in lake.index.of_part(read.part).items() if asset != PROOF.asset]
    return pd.DataFrame(
        [(row.asset, row.part, row.content_sha256) for row in rows], columns=[column.name for column in PROOF.columns]
    )


def signed(lake: "Lake", part: str, notary: "NotaryPort") -> "Shows":
    """Signs the head over everything that the session stored and writes the dossiers; what the page of `proof` shows."""
    from dagster import MetadataValue

    head = notary.checkpoint()
    anchored = {f"anchor {name}": problem or "holds this head" for name, problem in head.anchored.items()}
    note = {"signed head": MetadataValue.md(f"```\n{head.note}```")}
    told: Shows = {"size": head.size, "root": head.root, **note, **(anchored or {"anchors": NO_ANCHOR})}
    return {**told, **_dossiers(lake, part)}


def _dossiers(lake: "Lake", part: str) -> "Shows":
    """Writes the report and a page for each order of the session and says where they lie; nothing depends on them."""
    from marketbot_assets import pages
    from marketbot_assets.commands.dossiers import write_dossiers
    from marketbot_assets.commands.report import write_report

    write_report(lake, dt.date.fromisoformat(part), lake.home / "reports" / f"{part}.html")
    rows = lake.index.of_part(part)
    return pages.dossiers(write_dossiers(lake, part), lake.load(rows["orders"]), lake.load(rows["instruments"]))


def attributed(read: Reader, ledger: Ledger) -> "pd.DataFrame":
    """ATTRIBUTION of the session's profit and loss."""
    from marketbot_assets.audit.attribution import attribute, exchanges
    from marketbot_assets.book.frames import last_prices_of
    from marketbot_assets.book.positions import session_closes
    from marketbot_assets.research.opening import positions_of
    from marketbot_resources.corporate_actions import SPLIT

    now, before = rolled(read, ledger), read.previous("positions")
    opening = positions_of(read.read(OPENING)) if before is None else before
    dividends: dict[str, float] = {}
    for event in now.events:
        dividends[event.instrument] = dividends.get(event.instrument, 0.0) + float(event.amount)
    return attribute(
        opening,
        read.read("positions"),
        read.read("fills"),
        dividends=dividends,
        splits={action.instrument: action.ratio for action in now.actions if action.kind == SPLIT},
        exchanged=exchanges(now.actions, now.events, last_prices_of(opening)),
        instruments=read.read("instruments"),
        base_currency=read.mandate().base_currency,
        closes=session_closes(market(read, NEAR_SESSIONS).window),
        rates=rates_of(read),
    )


def shadowed(read: Reader, ledger: Ledger) -> "pd.DataFrame":
    """SHADOW_BOOK: the session's row, from the one before and the targets of earlier sessions."""
    from marketbot_assets.audit.shadow_book import held_targets, shadow_row
    from marketbot_assets.book.frames import state_of
    from marketbot_assets.insight.name_views import origin_of
    from marketbot_assets.portfolio.eligibility import linear_costs

    known, before = market(read, DRIFT_SESSIONS + HORIZON_SESSIONS), read.previous("shadow_book")
    targets = read.each("target_portfolio", TARGETS_HELD, with_session=False)
    now, earlier = held_targets(targets, before)
    told = dict(read.each("llm_context", TARGETS_HELD, with_session=False))
    views = [told[now.session]] if now is not None and now.session in told else []
    rows = known.instruments
    costs = linear_costs(known.mandate, list(rows["currency"]), (rows["kind"] == "FUND").to_numpy())
    return shadow_row(
        before,
        now,
        earlier,
        known.window,
        costs=costs,
        nav=state_of(read.read("book_state")).nav,
        contaminated=any(origin_of(frame).contaminated for frame in views),
    )


def nav_history(read: Reader) -> list[tuple[str, float, float, float]]:
    """(session, NAV, drawdown since inception, drawdown of the ladder) of the last sessions, oldest first."""
    found = []
    for day, frame in read.each("book_state", HISTORY_SESSIONS):
        facts = frame[frame["instrument"] == ""].set_index("item")["number"]
        nav, inception, ladder = (float(facts[name]) for name in ("nav", "drawdown_inception", "drawdown"))
        found.append((day.isoformat(), nav, inception, ladder))
    return found


def report_facts(read: Reader, ledger: Ledger) -> "ReportFacts":
    """Everything that the daily report shows."""
    from marketbot_assets.audit.benchmark import benchmark_return, benchmark_sectors
    from marketbot_assets.audit.report_facts import ReportFacts
    from marketbot_assets.book.frames import state_of

    told = [name for name in REPORTED if name not in MARKET_DEPS and name != "book_state"]
    frames = {name: read.read(name) for name in (*told, "instruments")}
    record, replay = frames.pop("decision_record"), frames.pop("replay_check")
    ended = end_state(ledger, read.session)
    objects = record[record["kind"] != "FACT"]
    evidence = dict(zip(objects["asset"] + " " + objects["partition"], objects["content_sha256"], strict=True))
    same = int(replay["same"].sum())
    text = f"{ended.state}: {ended.reason}" if ended else "not ended"
    return ReportFacts(
        session=read.session,
        mandate=read.mandate(),
        nav_history=nav_history(read),
        book=state_of(read.read("book_state")),
        end_state=f"{text}. Replay: {same} of {len(replay)} assets rebuilt with equal hashes.",
        evidence=evidence,
        synthetic=bool(read.read("prices")["synthetic"].any()),
        benchmark_return=benchmark_return(market(read, NEAR_SESSIONS).window, frames["instruments"]),
        benchmark_sectors=benchmark_sectors(market(read, NEAR_SESSIONS).window, frames["instruments"]),
        rate_moves=rate_moves(market(read, NEAR_SESSIONS)),
        shortfall_history=ended_before(read),
        **frames,  # type: ignore[arg-type]
    )


def reported(read: Reader, ledger: Ledger) -> "pd.DataFrame":
    """DAILY_REPORT: the page and its headline numbers."""
    import json

    import pandas as pd

    from marketbot_assets.audit.report import build_report, summary

    facts = report_facts(read, ledger)
    text = json.dumps(summary(facts), sort_keys=True)
    return pd.DataFrame({"session": [read.part], "html": [build_report(facts)], "summary_json": [text]})


REBUILDS: Mapping[str, "Callable[[Reader, Ledger], pd.DataFrame]"] = {
    "decision_record": recorded,
    "attribution": attributed,
    "drift": drifted,
    "shadow_book": shadowed,
    "model_watch": lambda read, ledger: watched(read, ledger)[0],
    "daily_report": reported,
}
