"""From a reader to the frame of each decision asset: one function per asset, which the asset calls and the replay calls again.

The reader decides which versions are read: the newest for an asset, the pinned ones of a manifest for a replay. No arithmetic
stands here; each function hands what was read to the pure modules of its stage.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from marketbot_assets import cost_facts
from marketbot_assets import session_facts as facts
from marketbot_assets.panels import last_sessions, long_past, market
from marketbot_resources.errors import HaltError
from marketbot_resources.ledger.port import Ledger
from marketbot_resources.store.reader import Reader

if TYPE_CHECKING:
    import pandas as pd

    from marketbot_assets.insight.champion import Chosen
    from marketbot_assets.insight.view_weight import ViewWeight
    from marketbot_assets.portfolio.inputs import PortfolioInputs

MODEL_SESSIONS = 760
TRAINING_SESSIONS = 1010
PLANS_WATCHED = 5
EVIDENCE_SESSIONS = 81  # the longest horizon with what days without a run leave; `drift` reads the same window


def features(read: Reader, ledger: Ledger) -> "pd.DataFrame":
    """FEATURES as known at the cutoff."""
    from marketbot_assets.features.build import build_features
    from marketbot_assets.features.registry import LOOKBACK_SESSIONS
    from marketbot_assets.features.shares import with_filed_shares

    known, filed = market(read, LOOKBACK_SESSIONS), read.as_of("fundamentals")
    listed = with_filed_shares(known.instruments, filed, read.as_of("corporate_actions"), read.session)
    return build_features(known.window, known.macro, filed, listed, read.session)


def factor_model(read: Reader, ledger: Ledger) -> "pd.DataFrame":
    """FACTOR_MODEL with every stress window that ended before the session, and how its estimator did of late."""
    import pandas as pd

    from marketbot_assets.features.factor_model import bias_frame, estimate_factor_model, shrunk_beta, to_frame
    from marketbot_assets.features.past import universe_of
    from marketbot_assets.features.scenarios import scenario_returns

    known, past = market(read, MODEL_SESSIONS), long_past(read)
    beta = shrunk_beta(known.window.base_return, known.macro.series["SP500"])
    features, instruments = read.read("features"), known.instruments
    universe = universe_of(features, instruments, known.mandate.base_currency)
    stress = scenario_returns(past, beta, read.session, universe)
    model = estimate_factor_model(known.window, known.macro, features, instruments, known.mandate, stress)
    told = bias_frame(known.window, model, features, instruments, known.mandate)
    return pd.concat([to_frame(model), told], ignore_index=True) if len(told) else to_frame(model)


def wide_features(read: Reader, ledger: Ledger) -> "pd.DataFrame":
    """WIDE_FEATURES as known at the cutoff, built in full."""
    from marketbot_assets.declared_features import in_full, work_of

    work = work_of(read, "")
    return work.frame([own for own, _ in in_full(work)])


def context_pack(read: Reader, ledger: Ledger) -> "pd.DataFrame":
    """CONTEXT_PACK of what was known at the cutoff."""
    from marketbot_assets.insight.context_pack import build_pack

    known = {name: read.as_of(name) for name in ("news", "macro")}
    return build_pack(
        read.read("features"), read.read("instruments"), known["news"], known["macro"], read.cutoff, read.mandate()
    )


def llm_context(read: Reader, ledger: Ledger) -> "pd.DataFrame":
    """LLM_CONTEXT: a model's accepted views, else those of the rules."""
    from marketbot_assets.insight.context import context_of
    from marketbot_assets.insight.heuristic import heuristic_context

    def by_rules(reason: str) -> "pd.DataFrame":
        return heuristic_context(
            read.read("features"), read.read("instruments"), read.as_of("news"), read.cutoff, reason
        )

    return context_of(read.read("context_pack"), read.read("llm_answers"), by_rules, read.session, read.mandate())


def llm_evidence(read: Reader, ledger: Ledger) -> "pd.DataFrame":
    """LLM_EVIDENCE: the record before, and the views whose horizon ended with this session."""
    from marketbot_assets.insight.evidence import Said, due, extended, rule_of

    mandate, before = read.mandate(), read.previous("llm_evidence")
    rule, days = rule_of(mandate), last_sessions(mandate, read.session, EVIDENCE_SESSIONS)
    wanted = due(before, days, rule)
    depth = len(days) - 1 - days.index(wanted[0]) if wanted else 0  # partitions are sessions, or fewer
    contexts, listings = (
        dict(read.each(asset, depth, with_session=False)) if depth else {} for asset in ("llm_context", "instruments")
    )
    said = [Said(day, contexts[day], listings[day]) for day in wanted if day in contexts and day in listings]
    if before is not None and not said:
        return before
    return extended(before, said, market(read, EVIDENCE_SESSIONS).window, rule.horizon_sessions)


def return_model(read: Reader, ledger: Ledger) -> "pd.DataFrame":
    """RETURN_MODEL: the mandate's model, and what the registry's champion says of the session, where there is one."""
    return models_in_force(read, ledger)[0]


def models_in_force(read: Reader, ledger: Ledger) -> "tuple[pd.DataFrame, Chosen | None]":
    """(RETURN_MODEL, what became of the champion): the model before, or a new fit when that is due; then the registry's."""
    import pandas as pd

    from marketbot_assets.champion_facts import champion
    from marketbot_assets.insight.lead import baseline_rows
    from marketbot_assets.insight.return_model import (
        fit_return_model,
        from_frame,
        model_in_force,
        spec_sha256,
        to_frame,
    )

    mandate, previous = read.mandate(), read.previous("return_model")
    known = None if previous is None else from_frame(previous)
    age = 0 if known is None else read.sessions_since(mandate.calendar, known.fitted_on)
    made = model_in_force(
        known,
        lambda: fit_return_model(market(read, TRAINING_SESSIONS).window, mandate),
        sessions_since_fit=age,
        spec=spec_sha256(mandate),
    )
    own = baseline_rows(previous) if previous is not None and made is known else to_frame(made)
    found = champion(read, ledger)
    if found is None:
        return own, None
    from marketbot_assets.insight.champion import chosen_row

    return pd.concat([own, chosen_row(found, made.fitted_on)], ignore_index=True), found


def forecasts(read: Reader, ledger: Ledger) -> "pd.DataFrame":
    """FORECASTS: the equilibrium prior tilted by the models in force, and by views as far as they have earned it."""
    from marketbot_assets.features.factor_model import from_frame as factor_model_of
    from marketbot_assets.insight.forecasts import forecast
    from marketbot_assets.insight.lead import lead_of
    from marketbot_assets.insight.return_model import from_frame as return_model_of
    from marketbot_assets.insight.view_weight import NO_LEANING, leaning_of

    models, mandate, leaning = read.read("return_model"), read.mandate(), NO_LEANING
    if mandate.llm is not None:
        weighed = weighed_views(read)
        leaning = leaning_of(weighed, read.read("llm_context"), read.read("instruments"), mandate)
    known = (read.read("features"), factor_model_of(read.read("factor_model")))
    return forecast(return_model_of(models), *known, mandate, leaning, lead_of(models))


def weighed_views(read: Reader) -> "ViewWeight":
    """What the session's views count and why. A mandate without language models reads nothing of them."""
    from marketbot_assets.insight.view_weight import NO_MODEL, ViewWeight, view_weight

    mandate = read.mandate()
    if mandate.llm is None:
        return ViewWeight(0.0, NO_MODEL)
    context, answers, evidence = (read.read(name) for name in ("llm_context", "llm_answers", "llm_evidence"))
    return view_weight(context, answers, evidence, mandate)


def fills(read: Reader, ledger: Ledger) -> "pd.DataFrame":
    """FILLS of the snapshot."""
    from marketbot_assets.book.fills import fills_of

    return fills_of(read.read("account_snapshot"))


def positions(read: Reader, ledger: Ledger) -> "pd.DataFrame":
    """POSITIONS after the session."""
    from marketbot_assets.book.positions import positions_frame

    now = facts.rolled(read, ledger)
    return positions_frame(now.valuation, now.events)


def reconciliation(read: Reader, ledger: Ledger) -> "pd.DataFrame":
    """RECONCILIATION of our book with the broker's report."""
    from marketbot_assets.book.frames import booked_of, valuation_of
    from marketbot_assets.book.reconciliation import reconcile

    frame, snapshot, listed = read.read("positions"), read.read("account_snapshot"), read.read("instruments")
    value = valuation_of(frame)
    return reconcile(
        value.holdings,
        snapshot,
        nav=value.nav,
        fx=value.rates,
        known_instruments=frozenset(listed["instrument"]),
        booked=booked_of(frame),
        record=facts.order_facts(read, ledger, snapshot, listed, value.values),
    )


def book_state(read: Reader, ledger: Ledger) -> "pd.DataFrame":
    """BOOK_STATE after the session."""
    from marketbot_assets.book.frames import state_frame

    state, unjudged = facts.stepped(read, ledger)
    return state_frame(state, unjudged=unjudged)


def protective_exits(read: Reader, ledger: Ledger) -> "pd.DataFrame":
    """PROTECTIVE_EXITS due from the session's state."""
    from marketbot_assets.book.frames import state_of
    from marketbot_assets.book.protective_exits import exits_due

    return exits_due(state_of(read.read("book_state")))


def intraday_exits(read: Reader, ledger: Ledger) -> "pd.DataFrame":
    """INTRADAY_EXITS of the day's quotes, by the levels of the last decided session."""
    from marketbot_assets.book.frames import state_of
    from marketbot_assets.book.intraday_exits import crossed_stops

    state, held, known = (read.previous(name) for name in ("book_state", "positions", "features"))
    if state is None or held is None or known is None:
        raise HaltError(f"session {read.session}: expected a decided session before it, found none")
    book, priced = state_of(state), held[held["kind"] == "POSITION"]
    close = {str(name): float(price) for name, price in zip(priced["instrument"], priced["price"], strict=True)}
    atr = dict(zip(known["instrument"], known["atr_20d"], strict=True))
    atr20 = {name: float(atr.get(name, float("nan"))) * price for name, price in close.items()}
    actions = read.panel("corporate_actions", with_session=False)
    today = set(actions.loc[actions["ex_session"].dt.date > book.session, "instrument"])
    return crossed_stops(read.read("intraday_quotes"), book.lots, close, atr20, read.mandate().stops, unjudged=today)


def inputs(read: Reader, ledger: Ledger) -> "PortfolioInputs":
    """What the optimizer and the plan read. Raises HaltError when the exits due are not those of the book's state."""
    from marketbot_assets.decision import inputs_of

    now = facts.situation(read, ledger)
    due, hits = set(read.read("protective_exits")["instrument"]), {x.instrument for x in now.account.book.stop_hits}
    if due != hits:
        raise HaltError(f"session {read.session}: expected exits of {sorted(hits)}, found {sorted(due)}")
    return inputs_of(now, read.mandate())


def target_portfolio(read: Reader, ledger: Ledger) -> "pd.DataFrame":
    """TARGET_PORTFOLIO: the optimizer's answer, with the second opinion of the other solver, or the fallback's; views capped."""
    from marketbot_assets.portfolio.explanation import explain
    from marketbot_assets.portfolio.influence import solve_with_influence
    from marketbot_assets.portfolio.target_frame import target_frame

    known, mandate = inputs(read, ledger), read.mandate()
    target = solve_with_influence(known, mandate, second_opinion=True)
    return target_frame(known, target, explain(known, target, mandate))


def target_explanation(read: Reader, ledger: Ledger) -> "pd.DataFrame":
    """TARGET_EXPLANATION of the stored target, with the price of each limit and the change since the session before."""
    from marketbot_assets.portfolio.change import change_of, unknown_change
    from marketbot_assets.portfolio.earlier import earlier_inputs
    from marketbot_assets.portfolio.explanation import explain
    from marketbot_assets.portfolio.limit_price import prices_of_target
    from marketbot_assets.portfolio.target_frame import explanation_frame, target_of

    known, mandate = inputs(read, ledger), read.mandate()
    target = target_of(read.read("target_portfolio"), known.instruments)
    before = facts.earlier(read, ledger)
    if isinstance(before, str):
        change = unknown_change(len(known.instruments), before)
    else:
        then, stored = earlier_inputs(known, before, mandate), before.weights("weight_target", known.instruments)
        change = change_of(then, known, mandate, stored=stored, target=target)
    prices = prices_of_target(known, target, mandate)
    return explanation_frame(target, explain(known, target, mandate), prices=prices, change=change)


def order_plan(read: Reader, ledger: Ledger) -> "pd.DataFrame":
    """ORDER_PLAN that moves the book to the stored target."""
    from marketbot_assets.portfolio.order_plan import plan_orders
    from marketbot_assets.portfolio.repair import tracking_of
    from marketbot_assets.portfolio.target_frame import plan_frame, target_of

    known = inputs(read, ledger)
    target = target_of(read.read("target_portfolio"), known.instruments)
    planned = plan_orders(known, target, read.mandate())
    return plan_frame(planned, known, tracking_of(known, target, planned, read.mandate()))


def stress_results(read: Reader, ledger: Ledger) -> "pd.DataFrame":
    """STRESS_RESULTS of the book after the plan."""
    from marketbot_assets.portfolio.order_frame import orders_from_frame
    from marketbot_assets.risk.stress import stress_results as apply_scenarios

    orders = orders_from_frame(read.read("order_plan"))
    return apply_scenarios(facts.judged(read, ledger), orders, read.mandate())


def risk_verdict(read: Reader, ledger: Ledger) -> "pd.DataFrame":
    """RISK_VERDICT on the plan."""
    from marketbot_assets.operations import operation_facts
    from marketbot_assets.portfolio.order_frame import orders_from_frame
    from marketbot_assets.risk.verdict import judge
    from marketbot_assets.risk.verdict_frame import verdict_frame

    known, orders = facts.judged(read, ledger), orders_from_frame(read.read("order_plan"))
    known = replace(known, operations=operation_facts(read, ledger))
    return verdict_frame(judge(known, orders, read.mandate()), known, read.mandate())


def risk_report(read: Reader, ledger: Ledger) -> "pd.DataFrame":
    """RISK_REPORT of the book after the approved batch."""
    from marketbot_assets.portfolio.order_frame import orders_from_frame
    from marketbot_assets.risk.risk_report import risk_report as measure
    from marketbot_assets.risk.schema import APPROVED
    from marketbot_assets.risk.verdict_frame import approved_from_frame, verdict_of

    verdict, planned = read.read("risk_verdict"), orders_from_frame(read.read("order_plan"))
    batch = approved_from_frame(verdict, planned) if verdict_of(verdict) == APPROVED else ()
    return measure(facts.judged(read, ledger), batch, read.mandate())


def orders(read: Reader, ledger: Ledger) -> "pd.DataFrame":
    """ORDERS: the approved batch; empty when the verdict is REJECTED or HALT. Raises NoVerdict when there is none for this plan."""
    from marketbot_assets.portfolio.order_frame import orders_frame, orders_from_frame
    from marketbot_assets.risk.schema import APPROVED
    from marketbot_assets.risk.verdict_frame import approved_from_frame, verdict_of

    verdict, planned = read.read("risk_verdict"), orders_from_frame(read.read("order_plan"))
    return orders_frame(approved_from_frame(verdict, planned) if verdict_of(verdict) == APPROVED else ())


def execution_costs(read: Reader, ledger: Ledger) -> "pd.DataFrame":
    """EXECUTION_COSTS of the session's fills against the plans of the sessions before."""
    from marketbot_assets.execution.costs import execution_costs as measure

    plans = read.panel("order_plan", PLANS_WATCHED)
    return measure(read.read("fills"), plans, facts.rates_of(read))


REBUILDS: dict[str, Callable[[Reader, Ledger], "pd.DataFrame"]] = {
    function.__name__: function
    for function in (
        features,
        factor_model,
        wide_features,
        context_pack,
        llm_context,
        llm_evidence,
        return_model,
        forecasts,
        fills,
        positions,
        reconciliation,
        book_state,
        protective_exits,
        intraday_exits,
        cost_facts.cost_calibration,
        target_portfolio,
        target_explanation,
        order_plan,
        stress_results,
        risk_verdict,
        risk_report,
        orders,
        execution_costs,
        cost_facts.shortfall,
    )
}
