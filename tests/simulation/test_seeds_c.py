"""Seeds 8 to 11: a storm and quiet weather each, the real code between misbehaving ports."""

import pytest
from seed_campaign import assert_a_seed_holds


@pytest.mark.parametrize("seed", range(8, 12))
def test_a_seed_holds(seed: int) -> None:
    """I1 to I8 after every step; a failure names seed, session, attempt, commit and the command that shows it again."""
    assert_a_seed_holds(seed)
