"""The engine: blocks, the next session and stored state give the bits of one whole build; nothing reads the future."""

import hashlib
import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from marketbot_assets.features import expression as e
from marketbot_assets.features import state_file
from marketbot_assets.features.catalogue import declared, declared_plan, lookback_sessions
from marketbot_assets.features.columns import panel_of
from marketbot_assets.features.declaration import INPUTS, SERIES_INPUTS
from marketbot_assets.features.engine import Built, Days, State, build, features_of, joined
from marketbot_assets.features.market_inputs import FeatureInputs
from marketbot_assets.features.operators.table import OPERATORS, WINDOW
from marketbot_assets.features.plan import plan_of, reach_of
from marketbot_assets.features.wide_features import build_features, first_number, next_session
from marketbot_resources.errors import StoreError

Floats = NDArray[np.float64]
T, N, NUMBER, CUT = 420, 7, 4980, 390
IDS = tuple(f"I{n}" for n in range(N))
GROUPS = np.array([0, 1, 0, 2, 1, 0, 2])
PLAN = declared_plan()


def world(seed: int = 1) -> dict[str, Floats]:
    """Every input, with gaps, a late listing and a halted name."""
    draw = np.random.default_rng(seed)
    moves = 0.02 * draw.standard_normal((T, N))
    close = np.round(40 * np.cumprod(1 + moves, axis=0), 1)
    fresh = (draw.random((T, N)) > 0.03).astype(float)
    fresh[:150, 3] = 0.0
    moves[200:300, 4] = 0.0
    returns = np.where(fresh > 0, moves, 0.0)
    returns[:151, 3] = np.nan
    returns[0] = np.nan
    bars = {
        "open": close * (1 + 0.004 * draw.standard_normal((T, N))),
        "close": close,
        "high": close * 1.02,
        "low": close * 0.98,
        "volume": np.round(1e5 * np.exp(0.4 * draw.standard_normal((T, N)))),
    }
    out = {name: np.where(fresh > 0, values, np.nan) for name, values in bars.items()}
    out |= {
        "last_close": pd.DataFrame(out["close"]).ffill().to_numpy(),
        "fresh": fresh,
        "total_return": returns,
        "base_return": returns,
        "fx": np.ones((T, N)),
    }
    for name, fact in sorted(INPUTS.items()):
        if fact.series:
            out[name] = 50 + np.cumsum(0.1 * draw.standard_normal((T, 1)), axis=0)
        elif name not in out:
            out[name] = 1e6 * (1 + np.repeat(draw.random((T // 60, N)), 60, axis=0))
    return out


WORLD = world()
INPUT = FeatureInputs(IDS, WORLD, GROUPS)


def rows(upto: int, start: int = 0) -> dict[str, Floats]:
    return {name: values[start:upto] for name, values in WORLD.items()}


@pytest.fixture(scope="module")
def whole() -> tuple[Floats, State]:
    return build_features(PLAN, INPUT, NUMBER, size=N)


def same(one: Floats, other: Floats) -> None:
    assert np.array_equal(one, other, equal_nan=True), np.argwhere((one != other) & ~(np.isnan(one) & np.isnan(other)))[
        :5
    ]


@pytest.mark.parametrize("size", [1, 3])
def test_blocks_change_no_bit(whole: tuple[Floats, State], size: int) -> None:
    values, state = build_features(PLAN, INPUT, NUMBER, size=size)
    same(values, whole[0])
    assert state_file.encode(state, IDS) == state_file.encode(whole[1], IDS)


def test_blocks_may_be_worked_on_in_any_order(whole: tuple[Floats, State]) -> None:
    """A map that works backwards and hands back in order, as a pool does."""

    def backwards(work: object, columns: list[slice]) -> list[Built]:
        return [work(one) for one in columns[::-1]][::-1]  # type: ignore[operator]

    same(build_features(PLAN, INPUT, NUMBER, size=2, over=backwards)[0], whole[0])  # type: ignore[arg-type]


def test_the_next_sessions_have_the_bits_of_the_build(whole: tuple[Floats, State]) -> None:
    """From a state that was written and read again, over a session at which sums begin anew; the last state is the build's."""
    early = build_features(PLAN, FeatureInputs(IDS, rows(CUT), GROUPS), NUMBER, size=3)[1]
    state, names = state_file.decode(state_file.encode(early, IDS), PLAN.version)
    assert names == IDS
    assert NUMBER + CUT - 1 <= 5376 < NUMBER + T  # 5376 = 21 * 256
    days = Days(PLAN, state)
    for t in range(CUT, T):
        given = FeatureInputs(IDS, {name: values[t : t + 1] for name, values in WORLD.items()}, GROUPS)
        same(next_session(PLAN, days, given), whole[0][:, t])
    assert state_file.encode(days.state(), IDS) == state_file.encode(whole[1], IDS)


@settings(max_examples=15)
@given(st.integers(1, T - 2), st.integers(0, 2**16))
def test_what_comes_later_changes_nothing(cut: int, seed: int) -> None:
    """Other rows after a session leave every value up to it as it was."""
    tree = [e.deviation(e.given("close"), 60, 1), e.ewma(e.given("volume"), 40, 5.0, 1), *chosen()]
    plan = plan_of(tree, SERIES_INPUTS)
    other = world(seed)
    changed = {name: np.vstack([values[:cut], other[name][cut:]]) for name, values in WORLD.items()}
    same(build(plan, changed, NUMBER).values[:, :cut], build(plan, WORLD, NUMBER).values[:, :cut])


def chosen() -> list[e.Node]:
    """A few declared features of each kind of operator."""
    wanted = ("CORR60", "RESI20", "QTLU30", "IMAX60", "high_52w", "beta_63d", "kurtosis_126d", "ewma_volatility")
    return [feature.tree for feature in declared() if feature.name in wanted]


def test_a_declared_lookback_is_enough() -> None:
    """From exactly its lookback a feature has the value of the whole past."""
    values, _ = build_features(PLAN, INPUT, NUMBER, size=N)
    for place, feature in enumerate(declared()):
        if feature.group == "alpha158" and not feature.name.endswith("20"):
            continue
        reach = reach_of(feature.tree)
        inputs = FeatureInputs(IDS, rows(T, T - 1 - reach), GROUPS)
        plan = plan_of([feature.tree], SERIES_INPUTS)
        got = build_features(plan, inputs, NUMBER + T - 1 - reach, size=N)[0][0, -1]
        got = np.broadcast_to(got, N)
        assert got == pytest.approx(values[place, -1], rel=1e-9, abs=1e-12, nan_ok=True), feature.name


def test_the_plan_shares_what_features_share() -> None:
    """Equal formulas are worked out once; a part is a view of its whole; the version follows inputs and formulas."""
    x = e.given("close")
    plan = plan_of([e.deviation(x, 20) / x, e.moment_mean(x, 20) / x], frozenset())
    assert sorted(step.operator.name for step in plan.steps) == ["divide", "divide", "moments"]
    assert plan.history[plan.inputs["close"]] == 20
    versions = {
        plan.version,
        plan_of([e.deviation(x, 20) / x, e.moment_mean(x, 21) / x], frozenset()).version,
        plan_of([e.deviation(x, 20) / x, e.moment_mean(x, 20) / x], frozenset(), {"close": "2"}).version,
    }
    assert len(versions) == 3


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        (e.mean(e.across("cross_rank", e.given("close")), 5), "no window over"),
        (e.Node("median", (e.given("close"),), (5, 5)), "known operator"),
        (e.Node("corr", (e.given("close"),), (5, 5)), "number of arguments"),
    ],
)
def test_a_formula_that_cannot_be_worked_out_is_refused(tree: e.Node, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        plan_of([tree], frozenset())


@pytest.mark.parametrize("span", [-1, -20, 0, 0.5, math.nan, math.inf])
@pytest.mark.parametrize("name", sorted(name for name, operator in OPERATORS.items() if operator.kind == WINDOW))
def test_no_formula_sees_the_next_session(name: str, span: float) -> None:
    """L7: perfect foresight cannot be written down: whatever reads other sessions reads earlier ones, and whole numbers of them."""
    tree = e.Node(name, (e.given("close"),) * OPERATORS[name].arguments, (span, 1, 5.0, 0.5))
    for formula in (tree, e.part(tree, 0) / e.given("close")):
        with pytest.raises(ValueError, match="looks back"):
            plan_of([formula], frozenset())


def test_inputs_of_another_shape_are_refused() -> None:
    plan = plan_of([e.given("close") / e.given("open")], frozenset())
    with pytest.raises(ValueError, match="one shape"):
        build(plan, {"close": np.ones((5, 2)), "open": np.ones((5, 3))}, 0)
    with pytest.raises(ValueError, match="expected open"):
        build(plan, {"close": np.ones((5, 2))}, 0)


def test_no_answer_is_infinite() -> None:
    plan = plan_of([1 + e.given("close") / e.given("open"), e.given("open")], frozenset())
    values = build(plan, {"close": np.ones((1, 2)), "open": np.array([[0.0, np.inf]])}, 0).values
    assert np.isnan(values[0, 0, 0])
    assert np.isnan(values[1, 0, 1])


def test_a_state_with_one_byte_changed_is_refused() -> None:
    """At every place of the body; and one of another version."""
    state = State("v", 7, 2, {3: np.ones((2, 2))}, {4: np.zeros((3, 2))})
    body = state_file.encode(state, ("A", "B"))
    back, names = state_file.decode(body, "v")
    assert (back.number, names, back.history[3].tolist()) == (7, ("A", "B"), [[1.0, 1.0], [1.0, 1.0]])
    for place in range(len(body)):
        with pytest.raises(StoreError):
            state_file.decode(body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :], "v")
    for cut in (0, 10, len(body) - 1):
        with pytest.raises(StoreError):
            state_file.decode(body[:cut], "v")
    with pytest.raises(StoreError, match="expected version"):
        state_file.decode(body, "w")


def test_a_build_begins_where_sums_begin_anew() -> None:
    """Whatever the session, the first one is a multiple of 256 and at least the lookback before."""
    need = lookback_sessions()
    for number in range(0, 1500, 7):
        start = first_number(number, need)
        assert start % 256 == 0
        assert start == 0 or number - start + 1 >= need
        assert number - start < need + 256


def test_states_of_blocks_are_joined_in_order() -> None:
    plan = plan_of([e.mean(e.given("close"), 3), e.mean(e.given("VIX"), 3)], frozenset({"VIX"}))
    given = {"close": np.arange(12.0).reshape(4, 3), "VIX": np.ones((4, 1))}
    parts = [build(plan, {**given, "close": given["close"][:, s]}, 0).state for s in (slice(0, 1), slice(1, 3))]
    one, other = joined(parts, plan), build(plan, given, 0).state
    assert state_file.encode(one, IDS[:3]) == state_file.encode(other, IDS[:3])
    got = features_of(plan, build(plan, given, 0).values, np.zeros(3, dtype=np.int64))
    assert got[0, 3].tolist() == [6.0, 7.0, 8.0]
    assert got[1, 3].tolist() == [1.0, 1.0, 1.0]
    digest = hashlib.sha256(state_file.encode(one, IDS[:3])[:-32]).digest()
    assert state_file.encode(one, IDS[:3])[-32:] == digest


def test_columns_become_matrices() -> None:
    """Rows by session and instrument, a hole is unknown; rows out of order or twice are refused."""
    frame = pd.DataFrame(
        {
            "session": pd.to_datetime(["2020-01-02", "2020-01-02", "2020-01-03"]).date,
            "instrument": ["A", "C", "B"],
            "close": [1.0, 3.0, 2.0],
        }
    )
    table = pa.Table.from_pandas(frame, preserve_index=False)
    panel = panel_of([table], 3, ["close"])
    assert panel.instruments == ("A", "B", "C")
    assert panel.sessions.tolist() == [18263, 18264]
    assert panel.given["close"] == pytest.approx(np.array([[1.0, np.nan, 3.0], [np.nan, 2.0, np.nan]]), nan_ok=True)
    pieces, chunks = [table.slice(0, 1), table.slice(1)], pa.concat_tables([table.slice(0, 2), table.slice(2)])
    for taken in (pieces, [chunks], [chunks.set_column(1, "instrument", chunks["instrument"].dictionary_encode())]):
        assert panel_of(taken, 3, ["close"]).given["close"] == pytest.approx(panel.given["close"], nan_ok=True)
    for rows_expected in (2, 4):
        with pytest.raises(ValueError, match="rows"):
            panel_of(pieces, rows_expected, ["close"])
    whole = table.take([0, 1]).set_column(0, "session", pa.array([1, 1], pa.int32()).cast(pa.date32()))
    assert panel_of([whole], 2, ["close"]).given["close"].tolist() == [[1.0, 3.0]]
    for order in ([1, 0, 2], [2, 0, 1], [0, 0, 1]):
        with pytest.raises(ValueError, match="sorted"):
            panel_of([table.take(order)], 3, ["close"])
