"""A whole decision with views of a language model: forecasts with a tilt -> target -> plan -> verdict, beside the one without."""

from dataclasses import replace

import numpy as np
import pytest
from sim_faults import Faults
from sim_platform import Simulated
from sim_world import NAMES, World

from marketbot_assets.decision import Decision, Situation, decide, risk_of
from marketbot_assets.risk.verdict import judge
from marketbot_resources.mandate import Mandate
from marketbot_resources.mandate_llm import Llm
from marketbot_resources.mandate_model_limits import LlmInfluence
from marketbot_resources.model import Side, Status

LLM = Llm.model_validate(
    {"usd_per_day": 0.0, "chain": [{
        "provider": "local", "model": "small", "knowledge_cutoff": "2015-01-01", "usd_per_million_input": 0.0,
        "usd_per_million_output": 0.0, "address": "http://127.0.0.1:1",
    }]}
)  # fmt: skip


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Situation, Mandate]:
    """The first session of a quiet world, from cash, and its mandate with a language model."""
    world = World(3, 7)
    sim = Simulated(world, tmp_path_factory.mktemp("views"), Faults(3), dedupes=True)
    session = world.sessions[0]
    situation = sim._situation(session, sim._snapshot(session))[0]
    return situation, world.mandate.model_copy(update={"llm": LLM})


def with_tilt(situation: Situation, size: float) -> Situation:
    """The same situation with views in its forecasts: every second name up, the others down."""
    tilt = size * np.where(np.arange(len(NAMES)) % 2 == 0, 1.0, -1.0)
    forecasts = situation.market.forecasts.assign(llm_view=np.sign(tilt), llm_tilt=tilt)
    forecasts["expected_return"] += tilt
    return replace(situation, market=replace(situation.market, forecasts=forecasts))


def capped(mandate: Mandate, name: float, book: float) -> Mandate:
    limits = mandate.limits.model_copy(update={"llm_influence": LlmInfluence(name=name, book=book)})
    return mandate.model_copy(update={"limits": limits})


def rc52(decision: Decision) -> dict[str, tuple[Status, float | None]]:
    return {r.key: (r.status, r.observed) for r in decision.judgement.results if r.control == "RC-52"}


def test_a_decision_with_views_stays_within_the_caps(first: tuple[Situation, Mandate]) -> None:
    """A huge tilt: approved, the verdict measures what the target stored, no weight is further than the cap from the other book."""
    situation, mandate = first
    plain, viewed = decide(situation, mandate), decide(with_tilt(situation, 1e3), mandate)
    assert viewed.judgement.verdict == plain.judgement.verdict == "APPROVED"
    np.testing.assert_allclose(viewed.target.without_llm, plain.target.weights, atol=2e-6)
    moved = np.abs(viewed.target.weights - viewed.target.without_llm)
    assert 0.0 < moved.max() <= 0.01 + 1e-12
    assert moved.sum() <= 0.05 + 1e-12
    ((status, observed),) = rc52(viewed).values()
    assert status is Status.PASS
    assert observed == pytest.approx(moved.sum(), abs=1e-12)
    assert rc52(plain) == {"book": (Status.PASS, 0.0)}


def test_without_a_tilt_the_orders_are_the_same(first: tuple[Situation, Mandate]) -> None:
    """A column of zeros changes no order; nor does a tilt under a mandate without a language model, or with caps of nothing."""
    situation, mandate = first
    batch = decide(situation, mandate).batch
    quiet = mandate.model_copy(update={"llm": None})
    assert batch
    assert decide(with_tilt(situation, 0.0), mandate).batch == batch
    for rules in (quiet, capped(mandate, 0.0, 0.05)):
        made = decide(with_tilt(situation, 0.02), rules)
        assert [(o.instrument, o.side, o.quantity) for o in made.batch] == [
            (o.instrument, o.side, o.quantity) for o in batch
        ]
        assert made.target.views_left_out


def test_a_looser_cap_is_another_book(first: tuple[Situation, Mandate]) -> None:
    """What a mandate would have decided: the wider the caps, the more the views move."""
    situation, mandate = first
    tilted = with_tilt(situation, 0.05)
    sizes = [
        np.abs(decide(tilted, capped(mandate, name, 5.0 * name)).target.llm_influence).sum()
        for name in (0.002, 0.005, 0.01)
    ]
    assert 0.0 < sizes[0] < sizes[1] < sizes[2]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_tilt_that_is_no_number_buys_nothing(first: tuple[Situation, Mandate], bad: float) -> None:
    """The target leaves the views out, and the verdict, which cannot tell what they moved, lets no buy pass."""
    situation, mandate = first
    tilted = with_tilt(situation, 0.0)
    tilted.market.forecasts.loc[0, "llm_tilt"] = bad
    made = decide(tilted, mandate)
    assert made.target.llm_note == "left out: a tilt is not a usable number"
    assert any(o.side is Side.BUY for o in made.orders)
    assert not any(o.side is Side.BUY for o in made.batch)


def test_a_tilt_that_was_solved_once_buys_nothing(first: tuple[Situation, Mandate]) -> None:
    """The verdict does not take the word of the portfolio: without the second book, with one too far away, or with one that hides
    what the views moved, nothing is bought.
    """
    situation, mandate = first
    tilted = with_tilt(situation, 0.02)
    made = decide(tilted, mandate)
    once = replace(made.target, without_llm=np.zeros(0), llm_note="")
    far = replace(made.target, without_llm=made.target.weights - 0.02)
    assert any(o.side is Side.BUY for o in made.batch)
    hidden = replace(made.target, without_llm=made.target.weights, llm_note="")
    assert np.abs(made.target.llm_influence).max() > 0.001
    for target in (once, far, hidden):
        found = judge(risk_of(tilted, target, mandate, rebalance=True), made.orders, mandate)
        assert not any(o.side is Side.BUY for o in found.approved)
