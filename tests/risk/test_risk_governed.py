"""Random pairs of mandates, one tighter than the other by the table of directions: the tighter one approves no more (G7)."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from risk_world import MANDATE, NAV, book_state, tweaked
from test_risk_properties import judged_under, quantities, world

from marketbot_assets.risk.inputs import RiskInputs
from marketbot_resources.mandate import Mandate
from marketbot_resources.mandate_directions import Direction, Tighter, compare, leaves, overall
from marketbot_resources.model import Kind, Order, Side

# Lower rungs of the ladder sell more, sooner, and an exit in a name of unknown volume goes whole (RC-10): there the claim is
# about buys alone.
SELLS_MORE = (
    "ladder.to_cash.at",
    "ladder.halt.at",
    "ladder.absolute_floor",
    "limits.RC-10_participation.min_observations",
)
SECTIONS = (
    "limits.",
    "ladder.",
    "loss_rules.",
    "universe.",
    "volatility.",
    "account.",
    "costs_bps.fx",
    "costs_bps.impact",
)


def python_path(path: str) -> str:
    """Dotted field names of a key of the file."""
    found: object = type(MANDATE)
    names = []
    for key in path.split("."):
        fields = found.model_fields  # type: ignore[attr-defined]
        name = next(n for n, f in fields.items() if key in (f.alias, n))
        names.append(name)
        found = fields[name].annotation
    return ".".join(names)


def value_at(mandate: Mandate, path: str) -> object:
    found: object = mandate
    for part in path.split("."):
        found = getattr(found, part)
    return found


def numeric() -> dict[str, tuple[str, bool]]:
    """Key of the file -> (python path, whether higher is tighter) of every classified number that the verdict may read."""
    found = {}
    for path, rule in leaves():
        if rule in (Tighter.LOWER, Tighter.HIGHER) and path.startswith(SECTIONS):
            name = python_path(path)
            if isinstance(value_at(MANDATE, name), int | float):
                found[path] = (name, rule is Tighter.HIGHER)
    return found


NUMERIC = numeric()
MOVES = st.dictionaries(st.sampled_from(sorted(NUMERIC)), st.floats(0.3, 0.99), min_size=1, max_size=6)


def moved(moves: dict[str, float]) -> Mandate:
    """The default mandate with some keys moved in their tighter direction by a factor; whole numbers by whole steps."""
    found = MANDATE
    for path, factor in sorted(moves.items()):
        name, higher = NUMERIC[path]
        value = value_at(MANDATE, name)
        assert isinstance(value, int | float)
        new = value / factor if higher else value * factor
        found = tweaked(found, name, max(1, round(new)) if isinstance(value, int) else new)
    return found


def facts_of(seed: int, depth: float) -> tuple[RiskInputs, tuple[Order, ...]]:
    facts, orders = world(seed)
    high = NAV / (1.0 - depth)
    book = book_state(drawdown=depth, reference_high=high, inception_high=high, drawdown_inception=depth)
    return replace(facts, book=book), orders


def test_the_pairs_reach_most_of_the_table() -> None:
    """Enough keys are numbers with a direction, limits above all."""
    assert len(NUMERIC) > 80
    assert {"limits.RC-30_position.hard", "limits.RC-87_coverage.held", "loss_rules.day"} <= set(NUMERIC)


@given(seed=st.integers(0, 10_000), depth=st.sampled_from([0.0, 0.03, 0.07]), moves=MOVES)
@settings(max_examples=80, deadline=None, derandomize=True)
def test_a_mandate_that_only_tightens_approves_no_more(seed: int, depth: float, moves: dict[str, float]) -> None:
    """set(approved under tight) is a subset of set(approved under loose), order by order."""
    assert_no_more(seed, depth, moves)


@pytest.mark.long
@given(seed=st.integers(0, 1_000_000), depth=st.floats(0.0, 0.14), moves=MOVES)
@settings(max_examples=4_000, deadline=None, derandomize=True)
def test_many_mandates_that_only_tighten_approve_no_more(seed: int, depth: float, moves: dict[str, float]) -> None:
    """The same, more often, at any depth of the drawdown."""
    assert_no_more(seed, depth, moves)


def assert_no_more(seed: int, depth: float, moves: dict[str, float]) -> None:
    tight = moved(moves)
    assume(tight != MANDATE)
    assert overall(compare(MANDATE, tight)) is Direction.TIGHTER
    facts, orders = facts_of(seed, depth)
    only_buys = any(path.startswith(SELLS_MORE) for path in moves)
    counted = {o.client_order_id for o in orders if o.kind is Kind.EQUITY and (o.side is Side.BUY or not only_buys)}
    less, more = (quantities(judged_under(facts, orders, mandate)) for mandate in (tight, MANDATE))
    assert all(less.get(name, Decimal(0)) <= more.get(name, Decimal(0)) for name in sorted(counted))
