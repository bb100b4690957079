"""The long campaign: a year per seed. `make simulate SEEDS=0-499` runs the whole of it and prints the table."""

import pytest
from seed_campaign import LONG_SESSIONS, assert_a_seed_holds


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1_000, 1_020))
def test_a_year_holds(seed: int) -> None:
    """252 sessions of one seed."""
    assert_a_seed_holds(seed, LONG_SESSIONS)
