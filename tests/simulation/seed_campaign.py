"""A range of seeds as test cases; the four test files share sixteen of them, so that workers share the time."""

from sim_run import BLOCK, Tally, simulate

LONG_SESSIONS = 36 * BLOCK


def short_sessions(seed: int) -> int:
    """One block of storm and quiet weather; two for every fifth seed."""
    return 2 * BLOCK if seed % 5 == 0 else BLOCK


def assert_a_seed_holds(seed: int, sessions: int | None = None) -> Tally:
    """Every invariant after every step; and the simulation did something: orders were sent, verdicts approved, faults happened."""
    tally = simulate(seed, sessions or short_sessions(seed))
    assert tally.orders > 0
    assert tally.fills > 0
    assert tally.ends["APPROVED"] > 0
    assert sum(tally.faults.values()) > 0
    return tally
