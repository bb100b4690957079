"""States of an order: the whole table of moves, written out by hand, and what a refused move says."""

from itertools import product

import pytest

from marketbot_resources.broker.order_states import ANSWERS, IN_DOUBT, check_move
from marketbot_resources.errors import HaltError
from marketbot_resources.model import OrderState

# Rows: before; columns: after, in the order of STATES. Only what has an x may follow.
STATES = (
    "APPROVED SENDING ACKED PARTIAL FILLED CANCELED EXPIRED DONE_FOR_DAY REPLACED REJECTED UNKNOWN".split()
)  # fmt: skip
MOVES = {
    "APPROVED": ".x....x....",
    "SENDING":  "..xxxxxxxxx",
    "UNKNOWN":  ".xxxxxxxxx.",
    "ACKED":    "...xxxxxxx.",
    "PARTIAL":  "...xxxxxx..",
}  # fmt: skip


@pytest.mark.parametrize(("before", "after"), [*product(STATES, STATES)])
def test_the_table_of_moves(before: str, after: str) -> None:
    """P5: every pair of states; an end is never left, a doubt never comes back, what was filled in part was not refused."""
    allowed = MOVES.get(before, "." * len(STATES))[STATES.index(after)] == "x"
    old, new = OrderState(before), OrderState(after)
    if allowed:
        check_move("mb1-1", old, new)
        return
    ended = before not in MOVES
    with pytest.raises(HaltError, match=f"found it {before}" if ended else f"after {before}, found {after}"):
        check_move("mb1-1", old, new)


def test_the_table_knows_every_state() -> None:
    """A new state needs its row; doubt and answers share none."""
    assert sorted(STATES) == sorted(OrderState)
    assert sorted(IN_DOUBT) == ["SENDING", "UNKNOWN"]
    assert sorted(ANSWERS) == sorted(set(STATES) - {"APPROVED", "SENDING", "UNKNOWN"})
