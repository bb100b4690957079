"""The excess by sector: one session by hand, and what must hold for any."""

import math

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_world import framed

from marketbot_assets.audit.excess import Session, excess, session_of
from marketbot_assets.audit.schema import ATTRIBUTION

NAN = math.nan


def rows_of(found: list[dict[str, object]]) -> dict[str, tuple[float, ...]]:
    """Name -> (allocation, selection, total)."""
    return {str(row["name"]): tuple(float(str(row[c])) for c in ("allocation", "selection", "total")) for row in found}


def test_one_session_by_hand() -> None:
    """Energy 50 % earns 4 % against 2 %, Banks 30 % earn -1 % as the market's, cash 20 %; fills earn 0.1 %, costs 0.2 %.

    The benchmark, half and half, earns 0.5 %. Allocation: Energy 0, Banks -0.2 * -1.5 %, cash 0.2 * -0.5 %; selection 0.5 * 2 %.
    """
    bench = {"Banks": (0.5, -0.01), "Energy": (0.5, 0.02)}
    held = {"Energy": 0.02, "Banks": -0.003, "CASH": 0.0}
    earned = 0.02 - 0.003 + 0.001 - 0.002 + 0.0004
    one = Session(earned, 0.005, {"Energy": 0.5, "Banks": 0.3}, held, 0.001, -0.002, bench)
    found = rows_of(excess([one]))
    assert found["Banks"] == pytest.approx((0.003, 0.0, 0.003), abs=1e-15)
    assert found["CASH"] == pytest.approx((-0.001, 0.0, -0.001), abs=1e-15)
    assert found["Energy"] == pytest.approx((0.0, 0.01, 0.01), abs=1e-15)
    assert [found[name][2] for name in ("trading", "fees and taxes", "unexplained", "total")] == pytest.approx(
        [0.001, -0.002, 0.0004, 0.0114], abs=1e-15
    )
    assert found["total"][:2] == pytest.approx((0.002, 0.01), abs=1e-15)


def test_parts_of_the_stored_table() -> None:
    """Price, fx and dividend of a sector are what its holdings earned; all trading and all costs stand apart."""
    zero = dict.fromkeys(("price", "fx", "dividend", "trading", "fee", "tax", "residual", "total"), 0.0)
    table = framed(
        ATTRIBUTION,
        [
            {"dimension": "SECTOR", "name": "Energy", **zero, "price": 3.0, "fx": 2.0, "dividend": 1.0, "trading": 4.0},
            {"dimension": "SECTOR", "name": "CASH", **zero, "fx": -1.0, "fee": 0.5, "tax": 0.25},
            {"dimension": "CURRENCY", "name": "USD", **zero, "price": 99.0},
        ],
    )
    found = session_of(0.1, 0.05, 50.0, table, {"Energy": 25.0}, {"Energy": (1.0, 0.05)})
    assert found.held == pytest.approx({"Energy": 0.12, "CASH": -0.02})
    assert found.weights == {"Energy": 0.5}
    assert (found.trading, found.costs) == pytest.approx((0.08, -0.015))


unknown = [{"benchmark": {}}, {"returned": NAN}, {"benchmark_returned": NAN}, {"held": {"A": NAN}}, {"trading": NAN}]


@pytest.mark.parametrize("change", [*unknown, {"benchmark": {"A": (1.0, NAN)}}], ids=str)
def test_a_session_that_cannot_be_compared_is_left_out(change: dict[str, object]) -> None:
    """Nothing is made of a number that is not there; without any session there is no table."""
    good: dict[str, object] = {
        "returned": 0.01,
        "benchmark_returned": 0.0,
        "weights": {"A": 1.0},
        "held": {"A": 0.01},
        "trading": 0.0,
        "costs": 0.0,
        "benchmark": {"A": (1.0, 0.0)},
    }
    bad = Session(**{**good, **change})  # type: ignore[arg-type]
    assert excess([bad]) == []
    assert excess([Session(**good), bad]) == excess([Session(**good)])  # type: ignore[arg-type]


moves = st.floats(-0.1, 0.1)
sizes = st.floats(0.0, 0.5)


@st.composite
def sessions(draw: st.DrawFn) -> Session:
    share = draw(st.floats(0.0, 1.0))
    gains = [draw(moves) for _ in range(3)]
    bench = [draw(moves), draw(moves)]
    return Session(
        returned=draw(moves),
        benchmark_returned=share * bench[0] + (1.0 - share) * bench[1],
        weights={"A": draw(sizes), "B": draw(sizes), "C": draw(st.sampled_from([0.0, 1e-9, 0.2]))},
        held=dict(zip("ABC", gains, strict=True)),
        trading=draw(moves),
        costs=-abs(draw(moves)),
        benchmark={"A": (share, bench[0]), "B": (1.0 - share, bench[1])},
    )


@given(st.lists(sessions(), min_size=1, max_size=8))
def test_rows_add_up_to_the_excess(days: list[Session]) -> None:
    """Over any sessions, with any profit that no part explains."""
    *parts, total = [row["total"] for row in excess(days)]
    mine, theirs = (
        math.prod(1 + getattr(day, name) for day in days) - 1 for name in ("returned", "benchmark_returned")
    )
    assert total == pytest.approx(mine - theirs, abs=1e-12)
    assert math.fsum(float(str(part)) for part in parts) == pytest.approx(mine - theirs, abs=1e-12)
    assert pd.DataFrame(excess(days)).shape[0] == 4 + 4
