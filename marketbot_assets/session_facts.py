"""What the assets of book, portfolio, risk and execution read together, from the reader. Not here: any arithmetic on it.

Each function names in its `*_DEPS` what it reads; an asset that calls it declares these.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from marketbot_assets.panels import MARKET_DEPS, last_sessions, market
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import OpenOrder, QuotedHit
from marketbot_resources.order_types import PROTECTIVE_LEGS, STOP_LEG
from marketbot_resources.sessions import book_cutoff_before, decided_before
from marketbot_resources.store.reader import Reader

if TYPE_CHECKING:
    from decimal import Decimal

    import pandas as pd

    from marketbot_assets.book.reconciliation import Record
    from marketbot_assets.book.roll import Held, Rolled
    from marketbot_assets.book.state import BookState, StopHit
    from marketbot_assets.decision import Situation
    from marketbot_assets.portfolio.calibration import CostMultiples
    from marketbot_assets.portfolio.earlier import Earlier
    from marketbot_assets.portfolio.eligibility import Account
    from marketbot_assets.risk.build import Platform
    from marketbot_assets.risk.inputs import RiskInputs
    from marketbot_assets.risk.trade_facts import SentOrder
    from marketbot_resources.ledger.port import Ledger
    from marketbot_resources.model import Execution

NEAR_SESSIONS, FILLS_SESSIONS = 45, 5
DAYS_SESSIONS = 300
OPENING = "opening_balance"
ROLL_DEPS = (*MARKET_DEPS, "account_snapshot", "fills", OPENING)
MARKET_FACT_DEPS = (*MARKET_DEPS, "data_quality", "features", "factor_model", "forecasts")
ACCOUNT_DEPS = ("account_snapshot", "positions", "book_state")
PLATFORM_DEPS = ("account_snapshot", "reconciliation", "data_quality")
COSTS = "cost_calibration"
SITUATION_DEPS = tuple(dict.fromkeys((*MARKET_FACT_DEPS, *ACCOUNT_DEPS, *PLATFORM_DEPS, COSTS)))


def environment_of(mandate: Mandate) -> str:
    """The part of order ids that keeps one installation's orders apart from a simulation's."""
    return f"{mandate.providers.clock}-{mandate.broker.name}"


def rolled(read: Reader, ledger: "Ledger") -> "Rolled":
    """The book after the session: the newest positions before it (or the opening balance) + fills + corporate actions."""
    from marketbot_assets.book.fills import executions_of
    from marketbot_assets.book.roll import roll

    known = market(read, NEAR_SESSIONS)
    return roll(
        held_before(read),
        executions_of(read.read("fills")),
        read.as_of("corporate_actions"),
        known.window,
        instruments=known.instruments,
        base=known.mandate.base_currency,
        off=known.mandate.calendar.closed,
        after=book_cutoff_before(ledger, read.session),
        until=read.cutoff,
    )


def held_before(read: Reader) -> "Held":
    """What the session before left, with the broker's cash where that session's reconciliation explained the difference."""
    from marketbot_assets.book.frames import booked_of
    from marketbot_assets.book.reconciliation import adopt_explained, reconcile
    from marketbot_assets.book.roll import held_of
    from marketbot_assets.research.opening import positions_of

    previous = read.previous("positions")
    if previous is None:
        return held_of(positions_of(read.read(OPENING)))
    held, snapshot = held_of(previous), read.previous("account_snapshot")
    if snapshot is None or read.previous_session("account_snapshot") != read.previous_session("positions"):
        return held
    nav = float(previous["value_base"].sum())
    known = frozenset(held.holdings.shares) | frozenset(snapshot["instrument"])
    found = reconcile(
        held.holdings, snapshot, nav=nav, fx=held.rates, known_instruments=known, booked=booked_of(previous)
    )
    return replace(held, holdings=adopt_explained(held.holdings, found))


def order_facts(
    read: Reader, ledger: "Ledger", snapshot: "pd.DataFrame", listed: "pd.DataFrame", values: "Mapping[str, float]"
) -> "Record":
    """What the reconciliation knows of orders, fills and mean prices. `listed`: INSTRUMENTS; `values`: base value per held name."""
    from marketbot_assets.book.fills import executions_of, is_bust
    from marketbot_assets.book.reconciliation import Record, averages_of
    from marketbot_resources.model import order_from_record

    kinds = ["EXECUTION", "BUST", "OPEN_ORDER", "WORKING"]
    names = set(snapshot.loc[snapshot["kind"].isin(kinds), "client_order_id"])
    told = [
        fill for _, frame in read.each("fills", FILLS_SESSIONS, with_session=False) for fill in executions_of(frame)
    ]
    names |= {fill.client_order_id for fill in told}
    intents = {name: ledger.get("order_intent", name) for name in sorted(names)}
    gone = {fill.execution_id.split(":", 1)[1] for fill in told if is_bust(fill.execution_id)}
    before = read.previous("reconciliation")
    return Record(
        orders={name: order_from_record(entry.body) for name, entry in intents.items() if entry is not None},
        earlier=[fill for fill in told if not (is_bust(fill.execution_id) or fill.execution_id in gone)],
        fills=executions_of(read.read("fills")),
        averages={} if before is None else averages_of(before),
        traded=frozenset(listed.loc[listed["in_universe"], "instrument"]),
        values=values,
    )


def previous_state(read: Reader) -> "BookState":
    """The newest state of the book before the session, or the opening one."""
    from marketbot_assets.book.frames import state_of
    from marketbot_assets.research.opening import states_of

    previous = read.previous("book_state")
    return state_of(states_of(read.read(OPENING)) if previous is None else previous)


def protective_ids(ledger: "Ledger", fills: "pd.DataFrame") -> frozenset[str]:
    """Client order ids among the fills whose recorded intent was an exit, a cure or a protection."""
    return leg_ids(ledger, fills, PROTECTIVE_LEGS)


def leg_ids(ledger: "Ledger", fills: "pd.DataFrame", legs: frozenset[str]) -> frozenset[str]:
    """Client order ids among the fills whose recorded intent has one of these legs."""
    ids = sorted(set(fills["client_order_id"]))
    found = {name: ledger.get("order_intent", name) for name in ids}
    return frozenset(name for name, entry in found.items() if entry is not None and entry.body["leg"] in legs)


def stepped(read: Reader, ledger: "Ledger") -> "tuple[BookState, dict[str, str]]":
    """(the book's state after the session, held names whose stops could not be judged and why)."""
    from marketbot_assets.book.fills import executions_of
    from marketbot_assets.book.positions import session_closes
    from marketbot_assets.book.reconciliation import is_clean
    from marketbot_assets.book.roll import atr_levels
    from marketbot_assets.book.step import step_book
    from marketbot_assets.book.stops import unjudged_lots
    from marketbot_assets.features.factor_model import from_frame
    from marketbot_assets.risk.forecasting import with_record
    from marketbot_resources.calendars import decision_sessions

    now, known, fills = rolled(read, ledger), market(read, NEAR_SESSIONS), read.read("fills")
    snapshot, mandate = read.read("account_snapshot"), read.mandate()
    close, atr20 = session_closes(known.window), atr_levels(read.read("features"), known.window)
    previous, model = previous_state(read), from_frame(read.read("factor_model"))
    state = step_book(
        previous,
        quoted=stop_hits_of(snapshot),
        session=read.session,
        valuation=now.valuation,
        fills=executions_of(fills),
        actions=now.actions,
        close=close,
        atr20=atr20,
        index_vol_20d=model.index_vol_20d,
        clean=is_clean(read.read("reconciliation")),
        operator_rearm=bool((snapshot["kind"] == "OPERATOR").any()),
        decision_sessions=decision_sessions(mandate.calendar, read.session, read.session + dt.timedelta(days=60)),
        mandate=mandate,
        protective_ids=protective_ids(ledger, fills),
        stopped_ids=leg_ids(ledger, fills, frozenset({STOP_LEG})),
    )
    state = with_record(
        state,
        previous,
        before=held_before(read),
        rolled=now,
        model=model,
        currencies=dict(zip(known.instruments["instrument"], known.instruments["currency"], strict=True)),
        follows=read.sessions_since(mandate.calendar, previous.session) == 1,
        mandate=mandate,
    )
    return state, unjudged_lots(state.lots, close, atr20)


def stop_hits_of(snapshot: "pd.DataFrame") -> "tuple[StopHit, ...]":
    """Stops that quotes broke since the session before."""
    from marketbot_assets.book.state import StopHit

    rows = snapshot[snapshot["kind"] == "STOP_HIT"].itertuples(index=False)
    return tuple(StopHit(row.instrument, row.text, float(row.price), float(row.amount)) for row in rows)


def quoted_hits(exits: "pd.DataFrame") -> tuple[QuotedHit, ...]:
    """INTRADAY_EXITS rows as the ledger keeps them: numbers with ten decimals, as the store does."""
    rows = exits.itertuples(index=False)
    return tuple(QuotedHit(row.instrument, row.control, f"{row.bid:.10f}", f"{row.level:.10f}") for row in rows)


def held_listings(read: Reader) -> list[str]:
    """The providers' ids of what the book held after the last decided session, sorted; nothing before there is a book."""
    from marketbot_assets.book.frames import state_of

    state, listings = read.previous("book_state"), read.previous("instruments")
    if state is None or listings is None:
        return []
    held = {lot.instrument for lot in state_of(state).lots}
    return sorted(listings.loc[listings["instrument"].isin(held), "source_id"])


def open_orders(snapshot: "pd.DataFrame") -> tuple[OpenOrder, ...]:
    """Orders that the broker still worked at the cutoff."""
    from marketbot_resources.model import Side

    rows = snapshot[snapshot["kind"] == "OPEN_ORDER"]
    return tuple(
        OpenOrder(row.client_order_id, row.instrument, Side(row.side), row.quantity, row.price, row.currency)
        for row in rows.itertuples(index=False)
    )


def account(read: Reader) -> "Account":
    """What is held at the cutoff by our book, with the broker's open orders and the book's state."""
    from marketbot_assets.book.frames import state_of, valuation_of
    from marketbot_assets.portfolio.market_facts import account_facts

    state = state_of(read.read("book_state"))
    return account_facts(valuation_of(read.read("positions")), open_orders(read.read("account_snapshot")), state)


def platform(read: Reader, ledger: "Ledger") -> "Platform":
    """What broker, halt flag, ledger and quality rules say at the cutoff."""
    from marketbot_assets.book.reconciliation import locked_names
    from marketbot_assets.risk.build import Platform, breaks_of, halts_of, strangers
    from marketbot_assets.risk.trade_build import Traffic, differences

    snapshot, quality = read.read("account_snapshot"), read.read("data_quality")
    flag = str(snapshot.loc[snapshot["kind"] == "HALT_FLAG", "text"].iloc[0]).split(":")[0]
    fills, planned, sent = order_record_of(read, ledger, snapshot)
    return Platform(
        breaks=breaks_of(read.read("reconciliation")),
        locked=locked_names(read.read("reconciliation")),
        halt_flag=flag,
        ledger_ready=ledger.get("session_cutoff", read.part) is not None,
        quality_halts=halts_of(quality),
        unknown_instruments=strangers(snapshot, read.read("instruments")),
        open_orders=open_orders(snapshot),
        traffic=Traffic(fills, planned, sent, differences(quality)),
    )


def order_record_of(
    read: Reader, ledger: "Ledger", snapshot: "pd.DataFrame"
) -> "tuple[tuple[Execution, ...], dict[str, Decimal], tuple[SentOrder, ...]]":
    """(executions since the session before, planned quantity of each of their orders, orders of this session at the broker).

    The intents in the ledger say what was planned; an order that has none was planned by nobody.
    """
    from marketbot_assets.book.fills import executions_of, fills_of
    from marketbot_assets.risk.trade_build import sent_order
    from marketbot_resources.model import order_from_record

    rows = snapshot[snapshot["kind"].isin(["EXECUTION", "OPEN_ORDER"])]
    entries = {name: ledger.get("order_intent", name) for name in sorted(set(rows["client_order_id"]))}
    intents = {name: order_from_record(entry.body) for name, entry in entries.items() if entry is not None}
    planned = {name: order.quantity for name, order in intents.items()}
    sent = tuple(sent_order(order) for order in intents.values() if order.session == read.session)
    return executions_of(fills_of(snapshot)), planned, sent


def situation(read: Reader, ledger: "Ledger") -> "Situation":
    """Everything that the decision of the session may know."""
    from marketbot_assets.decision import Situation
    from marketbot_assets.features.factor_model import from_frame
    from marketbot_assets.normalization.freshness import BarAges
    from marketbot_assets.portfolio.market_facts import market_facts, quarantined_names

    known = market(read, NEAR_SESSIONS)
    rows, mandate = known.instruments, known.mandate
    days, since = last_sessions(mandate, read.session, DAYS_SESSIONS), len(read.reads)
    prices, listings = read.as_of("prices"), (tuple(rows["instrument"]), tuple(rows["mic"]))
    ages = read.remember("bar ages", since, lambda: BarAges(prices, *listings, mandate.calendar.closed))
    return Situation(
        session=read.session,
        cutoff=read.cutoff,
        environment=environment_of(mandate),
        days=days,
        market=market_facts(
            instruments=rows,
            window=known.window,
            features=read.read("features"),
            forecasts=read.read("forecasts"),
            forecasts_before=read.previous("forecasts"),
            factor_model=from_frame(read.read("factor_model")),
            ages=ages,
            quarantined=quarantined_names(read.read("data_quality"), listings[0]),
            fx=read.as_of("fx"),
            actions=read.as_of("corporate_actions"),
            mandate=mandate,
            session=read.session,
            cutoff=read.cutoff,
        ),
        account=account(read),
        platform=platform(read, ledger),
        multiples=multiples(read),
        decided=newest_decided(ledger, read.session),
    )


def multiples(read: Reader) -> "CostMultiples":
    """What live fills say of the mandate's costs. A decision made before there was a calibration named none and had none."""
    from marketbot_assets.portfolio.calibration import NO_MULTIPLES, multiples_of

    return multiples_of(read.read(COSTS)) if read.has(COSTS) or not read.is_pinned else NO_MULTIPLES


def newest_decided(ledger: "Ledger", session: dt.date) -> dt.date | None:
    """The newest session before this one that was decided, whatever the verdict; None when there is none."""
    entry = decided_before(ledger, session)
    return None if entry is None else dt.date.fromisoformat(entry.key)


def earlier(read: Reader, ledger: "Ledger") -> "Earlier | str":
    """What the session before stored of its decision, or why it cannot be compared with."""
    from marketbot_assets.book.frames import state_of, valuation_of
    from marketbot_assets.features.factor_model import from_frame
    from marketbot_assets.portfolio.earlier import Earlier

    names = ("target_portfolio", "forecasts", "factor_model", "book_state", "positions")
    frames, sessions = [read.previous(name) for name in names], {read.previous_session(name) for name in names}
    session = read.previous_session("target_portfolio")
    if session is None:
        return "no decision before this session"
    if len(sessions) > 1 or any(frame is None for frame in frames):
        return "the session before was not decided in full"
    target, forecasts, model, state, held = (frame for frame in frames if frame is not None)
    expected = {str(n): float(x) for n, x in zip(forecasts["instrument"], forecasts["expected_return"], strict=True)}
    before = newest_decided(ledger, session)
    tilts = dict(zip(forecasts["instrument"], forecasts.get("llm_tilt", []), strict="llm_tilt" in forecasts))
    return Earlier(session, target, expected, from_frame(model), state_of(state), valuation_of(held), tilts, before)


def judged(read: Reader, ledger: "Ledger") -> "RiskInputs":
    """What the risk engine judges on; of the target it takes status, method and residual alone."""
    from marketbot_assets.decision import risk_of
    from marketbot_assets.portfolio.cadence import is_rebalance
    from marketbot_assets.portfolio.target_frame import target_of

    now, mandate = situation(read, ledger), read.mandate()
    target = target_of(read.read("target_portfolio"), now.market.window.instruments)
    return risk_of(now, target, mandate, rebalance=is_rebalance(mandate, read.session, now.decided))


def rates_of(read: Reader) -> dict[str, float]:
    """Base currency per unit of every listing currency at the session, and 1 for the base."""
    from marketbot_assets.book.roll import session_rates

    known = market(read, NEAR_SESSIONS)
    return session_rates(known.window, list(known.instruments["currency"]), known.mandate.base_currency)
