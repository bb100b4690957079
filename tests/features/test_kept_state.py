"""A kept state is gone on from only where a full build would give it again; blocks and the newest session keep every bit."""

import datetime as dt
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from marketbot_assets import feature_blocks
from marketbot_assets.features.declaration import INPUTS
from marketbot_assets.features.engine import build
from marketbot_assets.features.kept_state import Kept, heard, listings_sha256, why_anew
from marketbot_assets.features.market_inputs import block_inputs, feature_inputs
from marketbot_assets.features.state_file import decode, encode
from marketbot_assets.features.wide_features import build_newest, follow
from marketbot_assets.normalization.window import MacroWindow, MarketWindow
from marketbot_resources.errors import StoreError, WorkError
from marketbot_resources.ledger.record import Json
from marketbot_resources.parallel import Here, open_pool

Floats = NDArray[np.float64]
T, N, NUMBER = 300, 5, 4864
NAMES = tuple(f"I{n}" for n in range(N))
AT = dt.datetime(2018, 12, 12, 21, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
KEPT = Kept("v", 4864, 5100, AT.isoformat(), "l", {"fx": 1, "prices": 2}, ("a", "b"))
THEN = [("prices", "2018-12-12", "x"), ("price_history", "static", "h")]


def known(*hours: float) -> dict[str, pd.DataFrame]:
    """Two prices and a rate, and prices that became known so many hours after the state's cutoff."""
    times = [AT - 2 * HOUR, AT - HOUR, *(AT + hour * HOUR for hour in hours)]
    return {
        "prices": pd.DataFrame({"known_at": pd.to_datetime(times)}),
        "fx": pd.DataFrame({"known_at": pd.to_datetime([AT - 2 * HOUR])}),
    }


SAME: dict[str, object] = {
    "version": "v",
    "first": 4864,
    "listings": "l",
    "computed_at": AT + HOUR,
    "frames": known(2, 30),
    "inputs_then": THEN,
    "inputs_now": THEN[::-1],
}


def test_a_state_of_equal_inputs_is_gone_on_from() -> None:
    """Later rows, and the order of the inputs, change nothing."""
    assert why_anew(KEPT, **SAME) == ""  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"version": "w"}, "another version"),
        ({"first": 5120}, "begin anew"),
        ({"listings": "m"}, "listings"),
        ({"inputs_now": [THEN[1], ("prices", "2018-12-12", "y")]}, "prices 2018-12-12 was restated"),
        ({"inputs_now": THEN[:1]}, "price_history static was restated"),
        ({"inputs_now": [*THEN, ("fx", "2018-12-12", "z")]}, "fx 2018-12-12 was restated"),
        ({"frames": known(0)}, "afterwards"),  # a row that is known to the instant
        ({"frames": known(1)}, "afterwards"),  # one that a later session counts to the state's session
        ({"computed_at": AT - 1.5 * HOUR}, "afterwards"),  # one that a later session counts to the session after it
        ({"computed_at": AT - 0.5 * HOUR, "frames": known(-0.25)}, "afterwards"),  # one that landed late
        ({"frames": {"fx": known()["fx"], "prices": known()["prices"][:1]}}, "afterwards"),
    ],
)
def test_anything_else_means_a_full_build(changed: dict[str, object], said: str) -> None:
    assert said in why_anew(KEPT, **{**SAME, **changed})  # type: ignore[arg-type]


def test_what_a_manifest_tells_of_a_state_is_heard() -> None:
    assert heard(KEPT.told()) == KEPT
    assert heard(None) is None


def test_listings_are_named_by_all_that_old_rows_take_from_them() -> None:
    """Order, currency, shares, and each rule; not the sector, which counts on the session alone."""
    frame = pd.DataFrame(
        {"instrument": ["A", "B"], "currency": ["USD", "EUR"], "shares_outstanding": [1.0, 2.0], "sector": ["x", "y"]}
    )
    other = [frame.iloc[::-1], frame.assign(currency="USD"), frame.assign(shares_outstanding=[1.0, 3.0]), frame[:1]]
    found = [listings_sha256(frame, "r"), listings_sha256(frame, "s"), *(listings_sha256(one, "r") for one in other)]
    assert len(set(found)) == len(found)
    assert listings_sha256(frame.assign(sector="z"), "r") == found[0]


def window_of(draw: np.random.Generator) -> MarketWindow:
    level = 40 * np.exp(np.cumsum(0.02 * draw.standard_normal((T, N)), axis=0))
    moves = 0.02 * draw.standard_normal((T, N))
    fx = np.broadcast_to(np.array([1.0, 1.2, 1.3, 1.2, 1.0]), (T, N)) * (1 + 0.1 * draw.random((T, 1)))
    names = ("open", "high", "low", "close", "price_level")
    levels = {name: level * (1 + 0.01 * draw.random((T, N))) for name in names}
    return MarketWindow(
        sessions=tuple(dt.date(2018, 1, 1) + dt.timedelta(days=n) for n in range(T)),
        instruments=NAMES,
        volume=1e5 * draw.random((T, N)),
        total_return=moves,
        base_return=moves,
        fx=fx,
        fresh=draw.random((T, N)) > 0.05,
        **levels,
    )


def test_inputs_of_a_block_are_those_of_the_whole() -> None:
    """Also the dollar, which is made of the first listing of each currency, wherever it stands."""
    draw = np.random.default_rng(3)
    window, at = window_of(draw), [AT + n * dt.timedelta(days=1) for n in range(T)]
    listed = pd.DataFrame(
        {"instrument": NAMES, "currency": ["USD", "EUR", "GBP", "EUR", "USD"], "sector": list("abcab")}
    )
    listed["shares_outstanding"] = [1e6, 2e6, np.nan, 4e6, 5e6]
    filed = pd.DataFrame(
        {
            "instrument": list(NAMES) * 2,
            "field": ["EQUITY"] * N + ["TOTAL_DEBT"] * N,
            "currency": list(listed["currency"]) * 2,
            "period_end": pd.Timestamp("2017-12-31"),
            "known_at": pd.to_datetime([AT + n * dt.timedelta(days=9) for n in range(2 * N)]),
            "value": draw.random(2 * N),
        }
    )
    rest = (MacroWindow(window.sessions, {"VIX": draw.random(T)}), filed, listed, at, "USD")
    whole = feature_inputs(window, *rest)
    for columns in (slice(0, 2), slice(2, 5)):
        own, expected = block_inputs(window, *rest, columns=columns), whole.block(columns)
        assert own.keys() == expected.keys()
        for name in own:
            assert np.array_equal(own[name], expected[name], equal_nan=True), name


@pytest.fixture(scope="module")
def given() -> Mapping[str, Floats]:
    draw = np.random.default_rng(0)
    return {name: 1 + 0.1 * draw.random((T, 1 if fact.series else N)) for name, fact in sorted(INPUTS.items())}


def test_the_newest_session_alone_has_the_bits_of_the_build(given: Mapping[str, Floats]) -> None:
    """In full without the other answers, and on from a state over several sessions; also the first session of all."""
    plan = feature_blocks.plan_with("s")
    whole = build(plan, given, NUMBER)
    own, state = build_newest(plan, given, NUMBER)
    assert np.array_equal(own, whole.values[:, -1], equal_nan=True)
    assert encode(state, NAMES) == encode(whole.state, NAMES)
    early = build(plan, {name: rows[:-3] for name, rows in given.items()}, NUMBER).state
    own, after = follow(plan, early, {name: rows[-3:] for name, rows in given.items()})
    assert np.array_equal(own, whole.values[:, -1], equal_nan=True)
    assert encode(after, NAMES) == encode(whole.state, NAMES)
    one = {name: rows[:1] for name, rows in given.items()}
    assert np.array_equal(build_newest(plan, one, 0)[0], build(plan, one, 0).values[:, 0], equal_nan=True)


def tasks_in(folder: Path, given: Mapping[str, Floats]) -> list[Json]:
    """Two blocks."""
    found = []
    for columns in (slice(0, 2), slice(2, N)):
        own = {
            name: rows if rows.shape[1] == 1 else np.ascontiguousarray(rows[:, columns]) for name, rows in given.items()
        }
        bodies = feature_blocks.keep_columns(folder, own, ["m"])
        found.append(feature_blocks.task_of(folder, bodies, NAMES[columns], feature_blocks.Told(["m"], NUMBER, "s")))
    return found


def same_bits(given: Mapping[str, Floats], found: list[tuple[Floats, bytes]]) -> None:
    plan = feature_blocks.plan_with("s")
    whole = build(plan, given, NUMBER)
    assert np.array_equal(np.concatenate([own for own, _ in found], axis=1), whole.values[:, -1], equal_nan=True)
    states = [decode(body, plan.version) for _, body in found]
    assert [names for _, names in states] == [NAMES[:2], NAMES[2:]]
    for place, rows in whole.state.history.items():
        own = [state.history[place] for state, _ in states]
        beside = own[0] if rows.shape[1] == 1 else np.concatenate(own, axis=1)
        assert np.array_equal(beside, rows, equal_nan=True)


def test_blocks_as_tasks_have_the_bits_of_the_build(given: Mapping[str, Floats], tmp_path: Path) -> None:
    same_bits(given, list(feature_blocks.built(Here(), tasks_in(tmp_path, given), ["m"])))


def test_a_process_of_its_own_gives_the_same_bits(given: Mapping[str, Floats], tmp_path: Path) -> None:
    with open_pool("processes:1") as pool:
        same_bits(given, list(feature_blocks.built(pool, tasks_in(tmp_path, given), ["m"])))


@pytest.mark.long
@pytest.mark.parametrize("where", ["processes:2", "dask:2"])
def test_several_processes_and_a_cluster_give_the_same_bits(
    given: Mapping[str, Floats], tmp_path: Path, where: str
) -> None:
    with open_pool(where) as pool:
        same_bits(given, list(feature_blocks.built(pool, tasks_in(tmp_path, given), ["m"])))


def test_a_column_that_is_not_what_it_was_is_refused(given: Mapping[str, Floats], tmp_path: Path) -> None:
    """One byte changed, cut short, gone, another body in its place, made from other contents: never a number from it."""
    task, beside = tasks_in(tmp_path, given)
    assert isinstance(task, dict)
    assert isinstance(beside, dict)
    names = [task["columns"]["close"], task["columns"]["open"], beside["columns"]["close"]]  # type: ignore[index, call-overload]
    path, other, of_the_other_block = (tmp_path / str(name) for name in names)
    body = path.read_bytes()
    swapped = [one.read_bytes() for one in (other, of_the_other_block)]
    for altered in (body[:999] + bytes([body[999] ^ 1]) + body[1000:], body[:-1], b"", *swapped):
        path.write_bytes(altered)
        with pytest.raises(StoreError):
            feature_blocks.build_block(task)
    path.write_bytes(body)
    with pytest.raises(StoreError, match="other contents"):
        feature_blocks.build_block({**task, "made_from": ["n"]})
    path.unlink()
    with pytest.raises(WorkError, match="every worker sees"):
        list(feature_blocks.built(Here(), [task], ["m"]))
