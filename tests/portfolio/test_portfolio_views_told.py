"""What is stored and told of views of a language model, and how they reach orders: through the target alone."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from tilted_world import EXACT, asking, drawn

from marketbot_assets.book.positions import Holdings, Valuation
from marketbot_assets.portfolio.change import CAUSES, change_of
from marketbot_assets.portfolio.earlier import Earlier, earlier_inputs
from marketbot_assets.portfolio.eligibility import llm_tilts
from marketbot_assets.portfolio.explanation import explain
from marketbot_assets.portfolio.facts import facts_of
from marketbot_assets.portfolio.fallback import problem_of, solve_target
from marketbot_assets.portfolio.influence import solve_with_influence
from marketbot_assets.portfolio.inputs import Floats, PlannedOrder, PortfolioInputs
from marketbot_assets.portfolio.limit_price import prices_of_target
from marketbot_assets.portfolio.order_plan import plan_orders
from marketbot_assets.portfolio.repair import tracking_of
from marketbot_assets.portfolio.schema import CASH, TARGET_EXPLANATION, TARGET_PORTFOLIO
from marketbot_assets.portfolio.target import Target
from marketbot_assets.portfolio.target_frame import explanation_frame, target_frame, target_of
from marketbot_resources.mandate import Mandate
from marketbot_resources.order_types import STOP_LEG
from marketbot_resources.store.content import canonical, to_frame

Build = Callable[..., PortfolioInputs]


def stored(inputs: PortfolioInputs, target: Target, mandate: Mandate) -> tuple[Target, pd.DataFrame]:
    frame = to_frame(canonical(target_frame(inputs, target, explain(inputs, target, mandate)), TARGET_PORTFOLIO))
    TARGET_PORTFOLIO.pandera_schema.validate(frame)
    return target_of(frame, inputs.instruments), frame


@pytest.mark.parametrize("scale", [0.0, 1e-4, 0.05])
def test_a_target_with_views_comes_back(build: Build, mandate: Mandate, scale: float) -> None:
    """Both books and the note survive the frame; the column of the influence is their difference and sums to nothing with cash."""
    inputs, rules = drawn(build(12, n=20, invested=0.4), scale), asking(mandate)
    target = solve_with_influence(inputs, rules)
    again, frame = stored(inputs, target, rules)
    np.testing.assert_array_equal(again.without_llm, target.without_llm)
    assert again.llm_note == target.llm_note
    rows = frame.set_index("instrument")
    if scale == 0.0:
        assert rows["weight_without_llm"].isna().all()
        assert (rows["llm_influence"] == 0.0).all()
        return
    np.testing.assert_allclose(rows["llm_influence"], rows["weight_target"] - rows["weight_without_llm"], atol=1e-15)
    assert rows["llm_influence"].sum() == pytest.approx(0.0, abs=1e-9)
    assert rows.loc[CASH, "weight_without_llm"] == pytest.approx(1.0 - target.without_llm.sum(), abs=1e-9)
    assert rows["llm_influence"].abs().max() > 0.0


def test_a_target_of_before_there_were_views_is_read(build: Build, mandate: Mandate) -> None:
    """An older frame lacks the three columns, and older forecasts the tilt."""
    inputs = build(13, n=20, invested=0.4)
    target = solve_target(inputs, mandate)
    frame = target_frame(inputs, target, explain(inputs, target, mandate))
    older = frame.drop(columns=["weight_without_llm", "llm_influence", "llm_note"])
    again = target_of(older, inputs.instruments)
    np.testing.assert_array_equal(again.weights, target.weights)
    assert (len(again.without_llm), again.llm_note) == (0, "")
    assert len(llm_tilts(older, inputs.instruments)) == 0


def test_tilts_are_read_by_name() -> None:
    """In the order of the inputs; a name without a forecast has no tilt."""
    frame = pd.DataFrame({"instrument": ["MBB", "MBA"], "llm_tilt": [0.02, float("nan")]})
    np.testing.assert_array_equal(llm_tilts(frame, ("MBA", "MBB", "MBC")), [np.nan, 0.02, 0.0])


@pytest.mark.parametrize(("scale", "name"), [(1e-4, 0.01), (0.05, 0.01), (0.05, 0.0)])
def test_forces_add_up_with_views(build: Build, mandate: Mandate, scale: float, name: float) -> None:
    """Expected return, views, risk, cost, limits and bounds sum to nothing; views that are left out pull nothing."""
    inputs, rules = drawn(build(14, n=20, invested=0.4), scale), asking(mandate, name)
    target = solve_with_influence(inputs, rules)
    forces = explain(inputs, target, rules)
    sums = [f.expected_return + f.views + f.risk + f.cost + f.limits + f.bound for f in forces]
    np.testing.assert_allclose(sums, 0.0, atol=1e-15)
    own = inputs.expected_return - inputs.llm_tilt
    np.testing.assert_allclose([f.expected_return for f in forces], own, atol=1e-15)
    heard = np.zeros(20) if name == 0.0 else inputs.llm_tilt
    np.testing.assert_array_equal([f.views for f in forces], heard)
    parts = [f.return_contribution for f in forces]
    np.testing.assert_allclose(parts, (own + heard) * target.weights, atol=1e-15)
    told = " ".join(f.reason for f in forces)
    assert ("(views " in told) == (name > 0.0)
    assert ("clamped by RC-52" in told) == target.views_clamped
    frame = to_frame(canonical(explanation_frame(target, forces), TARGET_EXPLANATION))
    TARGET_EXPLANATION.pandera_schema.validate(frame)


def test_at_an_optimum_the_views_are_what_holds_the_rest(build: Build, mandate: Mandate) -> None:
    """Heard in full, an inner weight's forces need no bound; taken for a book without views, the bound is the tilt."""
    inputs, rules = drawn(build(15, n=20, invested=0.4), 0.002), asking(mandate, 1.0, 1.0)
    target = solve_with_influence(inputs, rules)
    assert target.llm_note == ""
    limits = problem_of(inputs, facts_of(inputs, rules), rules).limits.bounds
    inner = (target.weights > limits.lower + 1e-4) & (target.weights < limits.upper - 1e-4)
    inner &= np.abs(target.weights - target.weights_now) > 1e-4
    assert inner.any()
    bound = np.array([f.bound for f in explain(inputs, target, rules)])
    np.testing.assert_allclose(bound[inner], 0.0, atol=2e-5)


def test_limits_are_priced_for_the_book_that_was_chosen(build: Build, mandate: Mandate) -> None:
    """Views heard in full: prices with them; left out: prices without; clamped: no optimum, no price."""
    inputs = drawn(build(7, n=25, invested=0.5), 0.02)
    inputs = replace(inputs, expected_return=inputs.expected_return + 0.1)
    for rules in (asking(mandate, 1.0, 1.0), asking(mandate, 0.0)):
        target = solve_with_influence(inputs, rules)
        chosen = inputs if target.llm_note == "" else inputs.without_views()
        expected = prices_of_target(replace(chosen, llm_tilt=np.zeros(0)), solve_target(chosen, rules), rules)
        assert prices_of_target(inputs, target, rules) == expected
        assert any(price.utility > 0.0 for price in expected)
    clamped = solve_with_influence(inputs, asking(mandate, 0.001))
    assert clamped.views_clamped
    assert prices_of_target(inputs, clamped, asking(mandate, 0.001)) == ()
    assert all(state.dual == 0.0 for state in clamped.limits)


def test_views_are_part_of_what_forecasts_changed(build: Build, mandate: Mandate) -> None:
    """Nothing but a tilt since the session before: the forecasts' part is the whole change, within the caps."""
    before, rules = build(5, n=20, invested=0.3), asking(mandate)
    after = drawn(before, 0.05)
    old, new = solve_with_influence(before, rules), solve_with_influence(after, rules)
    change = change_of(before, after, rules, stored=old.weights, target=new)
    for cause, part in zip(CAUSES, change.parts, strict=True):
        np.testing.assert_array_equal(part, new.weights - old.weights if cause == "forecast" else np.zeros(20))
    assert 0.0 < np.abs(change.parts[0]).max() <= 0.01 + EXACT


def test_the_session_before_comes_back_with_its_views(build: Build, mandate: Mandate) -> None:
    """Its tilt is its own, not today's; what it stored before there were views has none."""
    today, names = drawn(build(9, n=20, invested=0.4), 0.05), build(9, n=20).instruments
    target = solve_with_influence(today, asking(mandate))
    frame = target_frame(today, target, explain(today, target, mandate))
    value = Valuation(Holdings({}, dict(today.cash)), {}, today.nav, {}, {}, today.fx_rates, ())
    expected = dict.fromkeys(names, 0.04)
    earlier = Earlier(today.session, frame, expected, today.factor_model, today.book, value, {names[3]: 0.01})
    then = earlier_inputs(today, earlier, mandate)
    np.testing.assert_array_equal(then.llm_tilt, np.where(np.arange(20) == 3, 0.01, 0.0))
    assert len(earlier_inputs(today, replace(earlier, llm_tilt={}), mandate).llm_tilt) == 0


# Orders


def lots_of(inputs: PortfolioInputs, planned: tuple[PlannedOrder, ...]) -> Floats:
    """(n,) what a plan moves at the last closes, fractions of NAV."""
    moved, place = np.zeros(len(inputs.instruments)), {name: k for k, name in enumerate(inputs.instruments)}
    for order in planned:
        if order.kind == "EQUITY" and order.leg != STOP_LEG:
            row = place[order.instrument]
            sign = 1.0 if order.side == "BUY" else -1.0
            moved[row] += sign * float(order.quantity) * float(inputs.price[row] * inputs.fx[row]) / inputs.nav
    return moved


@pytest.mark.parametrize("seed", range(8))
def test_views_reach_orders_through_the_target_alone(build: Build, mandate: Mandate, seed: int) -> None:
    """The same target planned with and without the tilt gives the same quantities: lots and cuts listen to no view."""
    inputs = drawn(build(seed, n=30, invested=(0.0, 0.5, 0.95)[seed % 3], nav=2e5), 0.05, seed)
    target, rules = solve_with_influence(inputs, asking(mandate)), asking(mandate)
    quiet = inputs.without_views()
    one, other = (plan_orders(x, target, rules) for x in (inputs, quiet))
    assert [(p.instrument, p.side, p.quantity) for p in one] == [(p.instrument, p.side, p.quantity) for p in other]
    assert tracking_of(inputs, target, one, rules) is not None


@pytest.mark.parametrize("seed", range(8))
def test_what_views_move_in_whole_lots(build: Build, mandate: Mandate, seed: int) -> None:
    """Plans with and without views differ per name by at most the cap, one lot and the smallest order worth its cost."""
    inputs = drawn(build(seed, n=30, invested=0.5, nav=1e6), (0.02, 1e3)[seed % 2], seed)
    rules = asking(mandate)
    target, plain = solve_with_influence(inputs, rules), solve_target(inputs.without_views(), rules)
    moved = lots_of(inputs, plan_orders(inputs, target, rules)) - lots_of(inputs, plan_orders(inputs, plain, rules))
    lot = np.array([float(step) for step in inputs.quantity_step]) * inputs.price * inputs.fx / inputs.nav
    smallest = max(250.0 / inputs.nav, 0.0005)
    assert np.abs(moved).max() > 0.0
    assert (np.abs(moved) <= 0.01 + lot + smallest).all()
