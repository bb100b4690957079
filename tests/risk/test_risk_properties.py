"""Properties of the verdict on random books and batches."""

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from risk_world import LISTINGS, MANDATE, NAMES, NAV, batch, book_state, drawn_down, inputs, leg, order, tweaked

from marketbot_assets.book.state import Rung
from marketbot_assets.risk.control import within
from marketbot_assets.risk.inputs import RiskInputs
from marketbot_assets.risk.projection import project
from marketbot_assets.risk.verdict import ROUNDS_MAX, Judgement, judge, run_controls
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import Kind, Order, Side, Status

RANDOM = settings(max_examples=35, deadline=None, derandomize=True)


def world(seed: int) -> tuple[RiskInputs, tuple[Order, ...]]:
    """A random long-only book of up to 7 % per name and a random batch of buys, sells and legs."""
    rng = np.random.default_rng(seed)
    shares, orders = [], []
    for name in NAMES:
        lot, price = int(LISTINGS[name][5]), LISTINGS[name][7]
        unit = NAV * 0.01 / (price * {"USD": 1.0, "EUR": 1.25, "JPY": 0.01}[LISTINGS[name][1]])
        held = int(rng.uniform(0, 7) * unit / lot) * lot if rng.random() < 0.7 else 0
        shares.append(Decimal(held))
        draw = rng.random()
        if draw < 0.4:
            orders.append(order(name, "BUY", max(lot, int(rng.uniform(0, 4) * unit / lot) * lot)))
        elif draw < 0.7 and held:
            orders.append(order(name, "SELL", max(lot, int(rng.uniform(0, held) / lot) * lot)))
    orders += [
        leg("EUR", "BUY", str(int(rng.uniform(1, 60_000)))),
        leg("JPY", "BUY", str(int(rng.uniform(1, 6_000_000)))),
    ]
    facts = inputs(
        positions=tuple(shares), cash={"USD": Decimal(int(rng.uniform(20_000, 700_000)))},
        adv=10 ** rng.uniform(5.5, 8, 12), sigma_daily=rng.uniform(0.005, 0.03, 12),
    )  # fmt: skip
    return facts, tuple(orders)


def judged_under(facts: RiskInputs, orders: tuple[Order, ...], mandate: Mandate) -> Judgement:
    return judge(replace(facts, mandate_sha256=mandate.sha256), orders, mandate)


def quantities(judged: Judgement) -> dict[str, Decimal]:
    return {o.client_order_id: o.quantity for o in judged.approved if o.kind is Kind.EQUITY}


@given(st.integers(0, 10_000))
@RANDOM
def test_the_engine_ends_and_only_makes_orders_smaller(seed: int) -> None:
    """DESIGN: at most three rounds and one of reductions; no order grows, none is added, an approved batch passes again."""
    facts, orders = world(seed)
    judged = judge(facts, orders, MANDATE)
    planned = {o.client_order_id: o for o in orders}
    assert len(judged.rounds) <= ROUNDS_MAX + 1
    for o in judged.approved:
        assert 0 < o.quantity <= planned[o.client_order_id].quantity
        assert replace(o, quantity=planned[o.client_order_id].quantity) == planned[o.client_order_id]
    if judged.verdict == "APPROVED":
        assert all(r.status <= Status.WARN for r in run_controls(facts, judged.approved, MANDATE))
    else:
        assert judged.approved == ()


@given(st.integers(0, 10_000))
@RANDOM
def test_an_approved_buy_breaks_no_linear_limit(seed: int) -> None:
    """I5: whatever was approved, names and sectors that it bought into are within their limits, counted by hand."""
    facts, orders = world(seed)
    approved = judge(facts, orders, MANDATE).approved
    bought = {o.instrument for o in approved if o.kind is Kind.EQUITY and o.side is Side.BUY}
    signed = {o.instrument: o.quantity * o.side.sign for o in approved if o.kind is Kind.EQUITY}
    rates = {"USD": 1.0, "EUR": 1.25, "JPY": 0.01}
    weight = {
        name: float(held + signed.get(name, 0)) * LISTINGS[name][7] * rates[LISTINGS[name][1]] / NAV
        for name, held in zip(NAMES, facts.positions, strict=True)
    }
    assert all(within(weight[name], 0.05) for name in bought)
    for sector in {LISTINGS[name][3] for name in bought}:
        assert within(sum(weight[n] for n in NAMES if LISTINGS[n][3] == sector), 0.20)
    spent = sum(float(q) * LISTINGS[n][7] * rates[LISTINGS[n][1]] / NAV for n, q in signed.items() if q > 0)
    assert within(spent, 0.16)


@given(st.integers(0, 10_000), st.randoms(use_true_random=False))
@RANDOM
def test_the_sequence_of_orders_changes_nothing(seed: int, random: object) -> None:
    """G1: permuted orders give the same judgement, to the byte."""
    facts, orders = world(seed)
    shuffled = list(orders)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert judge(facts, shuffled, MANDATE) == judge(facts, orders, MANDATE)


@given(st.integers(0, 10_000), st.permutations(range(12)))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_the_names_of_instruments_change_nothing(seed: int, turn: list[int]) -> None:
    """G1: instruments under other names, hence in another sequence, get the same quantities."""
    facts, orders = world(seed)
    to = {NAMES[i]: NAMES[turn[i]] for i in range(12)}
    source = [turn.index(i) for i in range(12)]
    model = facts.factor_model
    changes = {
        f: tuple(getattr(facts, f)[i] for i in source)
        for f in ("mic", "currency", "sector", "country", "quantity_step", "tick_size", "positions", "open_quantity")
    }
    arrays = {
        f: getattr(facts, f)[source]
        for f in ("is_fund", "price", "price_age_sessions", "adv", "adv_observations", "sigma_daily")
    }
    turned_model = replace(
        model, returns=model.returns[:, source], beta=model.beta[source], specific_variance=model.specific_variance[source],
        scenario_returns=model.scenario_returns[:, source], scenario_factor_returns=model.scenario_factor_returns[:, source],
    )  # fmt: skip
    turned = replace(facts, **changes, **arrays, factor_model=turned_model)
    renamed = tuple(replace(o, instrument=to.get(o.instrument, o.instrument)) for o in orders)
    assert quantities(judge(turned, renamed, MANDATE)) == quantities(judge(facts, orders, MANDATE))


KNOBS = [
    "limits.position.hard",
    "limits.sector.hard",
    "limits.currency.hard",
    "limits.non_base.hard",
    "limits.gross.hard",
    "limits.hhi.hard",
    "limits.top10.hard",
    "limits.turnover.buys_per_day.hard",
    "limits.turnover.name_buy_per_day.hard",
    "limits.participation.hard",
    "limits.participation.target",
    "limits.crash_replay.hard",
    "limits.instant.hard",
    "limits.fed_severe.hard",
    "limits.es.hard",
    "limits.ex_ante_vol.hard_multiple",
    "limits.order_value.hard",
    "limits.order_quantity.multiple",
    "limits.order_quantity.adv",
    "limits.liquidation.participation",
    "limits.liquidation.name_days",
    "limits.liquidation.book_days",
    "limits.expected_cost_bps.hard",
    "limits.event_guard.jump",
    "limits.repeats.filled_of_planned",
    "limits.collar.ceiling",
    "limits.cash.spendable",
    "limits.passive_breach.no_buys",
    "ladder.reduce_only.at",
    "limits.price_freshness.book_stale_hard",
    "universe.fund_bucket.hard",
]


def value_at(mandate: Mandate, path: str) -> float:
    found: object = mandate
    for part in path.split("."):
        found = getattr(found, part)
    assert isinstance(found, float)
    return found


@pytest.mark.parametrize("path", KNOBS)
@given(seed=st.integers(0, 10_000), factor=st.floats(0.05, 1.0))
@settings(max_examples=6, deadline=None, derandomize=True)
def test_a_tighter_limit_approves_no_more(path: str, seed: int, factor: float) -> None:
    """G7: set(approved under tight) is a subset of set(approved under loose), order by order."""
    facts, orders = world(seed)
    facts = replace(facts, book=book_state(drawdown=0.03, reference_high=NAV / 0.97))
    tight = quantities(judged_under(facts, orders, tweaked(MANDATE, path, value_at(MANDATE, path) * factor)))
    loose = quantities(judged_under(facts, orders, MANDATE))
    assert all(quantity <= loose.get(order_id, Decimal(0)) for order_id, quantity in tight.items())


@given(st.integers(0, 10_000), st.floats(0.0, 0.3), st.floats(0.0, 0.3))
@RANDOM
def test_a_deeper_drawdown_buys_no_more(seed: int, one: float, two: float) -> None:
    """RC-60: monotone in the drawdown."""
    facts, orders = world(seed)
    rungs = ((0.15, Rung.HALT), (0.125, Rung.TO_CASH), (0.10, Rung.REDUCE_ONLY), (0.05, Rung.SCALED), (0.0, Rung.FULL))
    got = []
    for depth in sorted((one, two)):
        rung = next(r for at, r in rungs if depth >= at)
        book = drawn_down(depth, rung, multiple=1.0, inception_high=NAV, drawdown_inception=0.0)
        judged = judge(replace(facts, book=book), orders, MANDATE)
        got.append(
            {o.client_order_id: o.quantity for o in judged.approved if o.side is Side.BUY and o.kind is Kind.EQUITY}
        )
    assert all(quantity <= got[0].get(order_id, Decimal(0)) for order_id, quantity in got[1].items())


@given(st.integers(0, 10_000), st.sampled_from(["quality", "optimizer", "REDUCE_ONLY", "TO_CASH", "HALT"]))
@RANDOM
def test_reductions_survive_when_buys_do_not(seed: int, why: str) -> None:
    """G5, DESIGN: with every buy refused, the batch approved is that of its risk-reducing orders alone."""
    facts, orders = world(seed)
    depth = {"REDUCE_ONLY": 0.11, "TO_CASH": 0.13, "HALT": 0.2}.get(why, 0.0)
    if depth:
        facts = replace(facts, book=drawn_down(depth, Rung(why)))
    elif why == "quality":
        facts = replace(facts, quality_halts=("gaps",))
    else:
        facts = replace(facts, optimizer=replace(facts.optimizer, status="no_answer"))
    projection = project(facts, orders, MANDATE)
    reducing = tuple(o for o, flag in zip(projection.orders, projection.reducing, strict=True) if flag)
    expected = quantities(judge(facts, reducing, MANDATE))
    judged = judge(facts, orders, MANDATE)
    assert quantities(judged) == expected
    assert (judged.verdict == "APPROVED") or not reducing


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_the_same_inputs_give_the_same_judgement(seed: int) -> None:
    """Law 4: deterministic, and the facts are not touched."""
    facts, orders = world(seed)
    before = facts.price.copy(), facts.factor_model.returns.copy()
    assert judge(facts, orders, MANDATE) == judge(facts, orders, MANDATE)
    assert np.array_equal(before[0], facts.price)
    assert np.array_equal(before[1], facts.factor_model.returns)


def test_the_ordinary_batch_is_long_enough_to_mean_something() -> None:
    """The random worlds do approve buys: most seeds leave some."""
    bought = [sum(o.side is Side.BUY for o in judge(*world(seed), MANDATE).approved) for seed in range(20)]
    assert sum(count > 0 for count in bought) >= 10
    assert len(batch()) == 5
