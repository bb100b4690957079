"""The witness's one rule for any two sizes of any log: what continues its last head is cosigned, everything else is not."""

import tempfile
from pathlib import Path

from anchor_world import Log, cosigned_at, request, text_of
from hypothesis import given, settings
from hypothesis import strategies as st

from marketbot_resources.ledger.note import new_key
from marketbot_resources.witness import open_witness

KEY = new_key("marketbot.test/ledger")
LOG = Log(KEY, 60)
SIZES = st.integers(0, 60)
AT = 1_545_692_400


@settings(max_examples=60, deadline=None)
@given(SIZES, SIZES)
def test_any_later_head_of_the_same_log_is_cosigned(first: int, second: int) -> None:
    """For every pair of sizes: the larger after the smaller is cosigned, the smaller after the larger never."""
    old, new = sorted((first, second))
    with tempfile.TemporaryDirectory() as folder, open_witness(Path(folder) / "w", [LOG.vkey], lambda: AT) as witness:
        assert witness.add_checkpoint(request(0, [], LOG.note(old))).status == 200
        answer = witness.add_checkpoint(request(old, LOG.proof(old, new), LOG.note(new)))
        assert answer.status == 200
        assert cosigned_at(text_of(LOG.note(new)), answer.body[:-1], witness.vkey.text) == AT
        back = witness.add_checkpoint(request(new, [], LOG.note(old)))
        assert back.status == (200 if old == new else 400)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(0, 20), st.data())
def test_no_head_of_another_history_is_cosigned(old: int, more: int, data: st.DataObject) -> None:
    """A log that differs in any entry of the last head gets no cosignature, from whatever size it proves."""
    other = Log(KEY, old + more, data.draw(st.integers(0, old - 1)))
    believed = data.draw(st.one_of(st.just(old), st.integers(0, old + more)))
    with tempfile.TemporaryDirectory() as folder, open_witness(Path(folder) / "w", [LOG.vkey], lambda: AT) as witness:
        witness.add_checkpoint(request(0, [], LOG.note(old)))
        answer = witness.add_checkpoint(request(believed, other.proof(believed, old + more), other.note(old + more)))
        assert answer.status == (409 if believed != old or more == 0 else 422)
        assert answer.body == f"{old}\n" or answer.status == 422


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_damage_to_a_request_is_answered(data: st.DataObject) -> None:
    """Bytes cut, doubled or altered anywhere: some refusal, or the very same head; never an error, never another head."""
    body = request(7, LOG.proof(7, 20), LOG.note(20))
    where = data.draw(st.integers(0, len(body) - 1))
    length = data.draw(st.integers(0, 8))
    damaged = body[:where] + data.draw(st.binary(max_size=8)) + body[where + length :]
    with tempfile.TemporaryDirectory() as folder, open_witness(Path(folder) / "w", [LOG.vkey], lambda: AT) as witness:
        witness.add_checkpoint(request(0, [], LOG.note(7)))
        answer = witness.add_checkpoint(damaged)
        assert answer.status in (200, 400, 403, 404, 409, 422)
        if answer.status == 200:
            cosigned_at(text_of(LOG.note(20)), answer.body[:-1], witness.vkey.text)
