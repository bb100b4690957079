"""A range of seeds as test cases; the four test files share fifty of them, so that workers share the time."""

from sim_run import BLOCK, Tally, simulate

SHORT_SESSIONS, LONG_SESSIONS = 2 * BLOCK, 36 * BLOCK


def assert_a_seed_holds(seed: int, sessions: int = SHORT_SESSIONS) -> Tally:
    """Every invariant after every step; and the simulation did something: orders were sent, verdicts approved, faults happened."""
    tally = simulate(seed, sessions)
    assert tally.orders > 0
    assert tally.fills > 0
    assert tally.ends["APPROVED"] > 0
    assert sum(tally.faults.values()) > 0
    return tally
