"""The contract of the anchor port as numbered cases: each takes a fresh place, opened anew for every call, and a log of its own."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import pytest
from anchor_world import Log, forked, text_of

from marketbot_resources.anchors.opening import open_anchor
from marketbot_resources.anchors.port import Anchor
from marketbot_resources.errors import AnchorError, Equivocation, LedgerError
from marketbot_resources.ledger.note import new_key


class Place(Protocol):
    """Where an anchor puts notes. `keeps_all`: every note, or the newest alone."""

    keeps_all: bool

    @property
    def spec(self) -> str: ...

    def leave(self) -> None:
        """From now on nothing is there any more."""
        ...


Case = Callable[[Place, Log], None]
CASES: dict[str, Case] = {}


def case(check: Case) -> Case:
    CASES[check.__name__] = check
    return check


def anchor(place: Place) -> Anchor:
    return open_anchor(place.spec)


def publish(place: Place, log: Log, size: int) -> str:
    return anchor(place).publish(log.note(size), log.vkey, log.prove(size))


def sizes(place: Place, log: Log) -> list[int]:
    return [int(note.split("\n")[1]) for note in anchor(place).notes(log.vkey)]


@case
def a01_a_fresh_place_keeps_nothing(place: Place, log: Log) -> None:
    assert anchor(place).notes(log.vkey) == []


@case
def a02_a_note_is_kept_as_it_was_returned(place: Place, log: Log) -> None:
    kept = publish(place, log, 5)
    assert kept.startswith(log.note(5))
    assert anchor(place).notes(log.vkey) == [kept]


@case
def a03_the_same_note_again_is_one_note(place: Place, log: Log) -> None:
    first, second = publish(place, log, 5), publish(place, log, 5)
    assert text_of(first) == text_of(second) == text_of(log.note(5))
    assert anchor(place).notes(log.vkey) == [second]


@case
def a04_notes_come_by_ascending_size(place: Place, log: Log) -> None:
    for size in (0, 1, 2, 9, 10, 31):
        publish(place, log, size)
    assert sizes(place, log) == ([0, 1, 2, 9, 10, 31] if place.keeps_all else [31])


@case
def a05_another_root_for_a_size_is_an_equivocation(place: Place, log: Log) -> None:
    kept = publish(place, log, 7)
    with pytest.raises(Equivocation, match="7 entries"):
        publish(place, forked(log, 3), 7)
    assert anchor(place).notes(log.vkey) == [kept]


@case
def a06_what_the_key_did_not_sign_is_not_put(place: Place, log: Log) -> None:
    impostor = Log(new_key(log.key.name), 40)
    with pytest.raises(LedgerError, match="signature"):
        anchor(place).publish(impostor.note(5), log.vkey, log.prove(5))
    with pytest.raises(LedgerError, match="expected text"):
        anchor(place).publish("nonsense", log.vkey, log.prove(5))
    assert anchor(place).notes(log.vkey) == []


@case
def a07_four_at_once_put_one_note(place: Place, log: Log) -> None:
    publish(place, log, 3)
    with ThreadPoolExecutor(4) as pool:
        kept = list(pool.map(lambda _: publish(place, log, 9), range(4)))
    assert {text_of(note) for note in kept} == {text_of(log.note(9))}
    assert sizes(place, log) == ([3, 9] if place.keeps_all else [9])


@case
def a08_of_two_histories_at_once_one_is_kept(place: Place, log: Log) -> None:
    histories = [log, forked(log, 2)]

    def attempt(number: int) -> int | None:
        try:
            publish(place, histories[number % 2], 9)
        except Equivocation:
            return None
        return number % 2

    with ThreadPoolExecutor(4) as pool:
        won = set(pool.map(attempt, range(4))) - {None}
    assert len(won) == 1
    (note,) = anchor(place).notes(log.vkey)
    assert text_of(note) == text_of(histories[won.pop() or 0].note(9))


@case
def a09_a_new_key_of_the_log_goes_on(place: Place, log: Log) -> None:
    """Published under the new key; notes of the old one are still shown."""
    new = Log(new_key(log.key.name), 40)
    publish(place, log, 3)
    both = new.note(5) + log.note(5).rpartition("\n\n")[2]
    kept = anchor(place).publish(both, new.vkey, new.prove(5))
    assert kept.startswith(both)
    assert sizes(place, new) == sizes(place, log) == ([3, 5] if place.keeps_all else [5])


@case
def a10_the_name_is_the_spec(place: Place, log: Log) -> None:
    name = anchor(place).name
    assert open_anchor(name).name == name
    assert name.partition(":")[0] in ("file", "s3", "witness")


@case
def a11_a_place_that_is_gone_is_one_line(place: Place, log: Log) -> None:
    publish(place, log, 3)
    place.leave()
    for use in (lambda: publish(place, log, 5), lambda: anchor(place).notes(log.vkey)):
        with pytest.raises(AnchorError) as said:
            use()
        assert "\n" not in str(said.value)
        assert "expected" in str(said.value)
