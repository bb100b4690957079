"""The fold of a slot's events: what is allowed, and what holds after any sequence."""

import datetime as dt
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketbot_assets.insight.model_drift import Trust
from marketbot_assets.insight.model_states import Event, Slot, State, What, applied, fold, in_force

DAY = dt.date(2018, 12, 3)


def told(*steps: tuple[object, ...]) -> list[Event]:
    """Events by short words, numbered: ("reg", "a"), ("move", "a", State), ("fit", "a", "f1", True), ("drift", "a", Trust)."""
    made = []
    for number, (word, spec, *rest) in enumerate(steps, start=1):
        event = Event(number, What.REGISTERED, DAY + dt.timedelta(number), str(spec))
        if word == "move":
            event = replace(event, what=What.MOVED, to=rest[0])  # type: ignore[arg-type]
        elif word == "fit":
            event = replace(event, what=What.FIT, blob=str(rest[0]), accepted=rest[1] is True)
        elif word == "back":
            event = replace(event, what=What.ROLLED_BACK, blob=str(rest[0]))
        elif word == "drift":
            event = replace(event, what=What.DRIFT, trust=rest[0])  # type: ignore[arg-type]
        elif word == "evidence":
            event = replace(event, what=What.EVIDENCE, blob=str(rest[0]))
        made.append(event)
    return made


C, S, K, R = State.CANDIDATE, State.SHADOW, State.CHAMPION, State.RETIRED
A_CHAMPION = (("reg", "a"), ("fit", "a", "a1", True), ("move", "a", S), ("move", "a", K))
B_REPLACES = (
    *A_CHAMPION,
    ("fit", "a", "a2", True),
    ("reg", "b"),
    ("move", "b", S),
    ("fit", "b", "b1", True),
    ("move", "b", K),
)


def states(slot: Slot) -> dict[str, State]:
    return {name: one.state for name, one in slot.standings.items()}


def test_a_life() -> None:
    """Candidate, shadow, champion; the next champion retires it; a rollback brings it back with its own fit."""
    assert states(fold(told(*A_CHAMPION))) == {"a": K}
    slot = fold(told(*B_REPLACES))
    assert states(slot) == {"a": R, "b": K}
    assert in_force(slot).fit == "b1"
    back = fold(told(*B_REPLACES, ("back", "a", "a1")))
    assert states(back) == {"a": K, "b": R}
    assert (in_force(back).spec, in_force(back).fit) == ("a", "a1")
    assert back.standings["a"].accepted == ("a1",), "what was rolled back from is not accepted any more"
    assert back.champions == ("a", "b", "a")


def test_refused_fits_change_nothing() -> None:
    """The fit in force is the newest accepted one."""
    slot = fold(told(*A_CHAMPION, ("fit", "a", "a2", True), ("fit", "a", "a3", False)))
    assert in_force(slot).fit == "a2"
    assert slot.standings["a"].fits == (("a1", True), ("a2", True), ("a3", False))


@pytest.mark.parametrize(
    ("steps", "weight", "spec"),
    [
        ((), 0.0, ""),
        ((("reg", "a"), ("fit", "a", "a1", True)), 0.0, ""),
        ((("reg", "a"), ("fit", "a", "a1", True), ("move", "a", S)), 0.0, ""),
        (A_CHAMPION, 1.0, "a"),
        ((*A_CHAMPION, ("drift", "a", Trust.SHRINK)), 0.5, "a"),
        ((*A_CHAMPION, ("drift", "a", Trust.FALLBACK)), 0.0, ""),
        ((*A_CHAMPION, ("move", "a", R)), 0.0, ""),
        ((*B_REPLACES, ("drift", "b", Trust.FALLBACK), ("back", "a", "a1")), 1.0, "a"),
    ],
    ids=["nothing", "candidate", "shadow", "champion", "shrunk", "fallen", "retired", "watched anew"],
)
def test_what_is_in_force(steps: tuple[tuple[object, ...], ...], weight: float, spec: str) -> None:
    """Only a champion that is trusted decides; else the baseline, with the reason."""
    found = in_force(fold(told(*steps)))
    assert (found.weight, found.spec) == (weight, spec)
    assert found.why


@pytest.mark.parametrize(
    "step",
    [
        ("reg", "a"),
        ("move", "a", C),
        ("move", "a", S),
        ("move", "a", K),
        ("move", "b", S),
        ("move", "a", None),
        ("fit", "a", "a1", True),
        ("fit", "a", "", True),
        ("fit", "b", "b1", True),
        ("back", "a", "a9"),
        ("back", "b", "b1"),
        ("drift", "b", Trust.NORMAL),
        ("drift", "a", None),
        ("evidence", "a", ""),
    ],
    ids=str,
)
def test_what_a_champions_slot_does_not_allow(step: tuple[object, ...]) -> None:
    """Twice the same, a move that is none, an unknown specification or fit."""
    with pytest.raises(ValueError, match=r"expected|registered|become"):
        fold(told(*A_CHAMPION, step))


@pytest.mark.parametrize(
    "steps",
    [
        (("reg", "a"), ("move", "a", K)),
        (("reg", "a"), ("move", "a", S), ("move", "a", K)),
        (("reg", "a"), ("fit", "a", "a1", False), ("move", "a", S), ("move", "a", K)),
        (("reg", "a"), ("drift", "a", Trust.NORMAL)),
        ((*A_CHAMPION, ("move", "a", R), ("move", "a", S))),
        (("reg", "a"), ("fit", "a", "a1", True), ("back", "a", "a1")),
    ],
    ids=["no shadow", "no fit", "refused fit", "drift of a candidate", "back from retirement", "never champion"],
)
def test_no_way_around_the_shadow(steps: tuple[tuple[object, ...], ...]) -> None:
    """Nobody becomes champion without having been a shadow with an accepted fit."""
    with pytest.raises(ValueError, match=r"expected|become"):
        fold(told(*steps))


def test_numbers_and_days_go_on() -> None:
    """An event out of turn, and a second drift of one session, are refused."""
    good = told(*A_CHAMPION, ("drift", "a", Trust.NORMAL))
    with pytest.raises(ValueError, match="event 6"):
        applied(fold(good), replace(good[-1], number=7))
    with pytest.raises(ValueError, match="session after"):
        applied(fold(good), replace(good[-1], number=6))


STEP = st.one_of(
    st.tuples(st.just("reg"), st.sampled_from("abc")),
    st.tuples(st.just("move"), st.sampled_from("abc"), st.sampled_from(list(State))),
    st.tuples(st.just("fit"), st.sampled_from("abc"), st.sampled_from(["1", "2", "3"]), st.booleans()),
    st.tuples(st.just("back"), st.sampled_from("abc"), st.sampled_from(["1", "2", "3"])),
    st.tuples(st.just("drift"), st.sampled_from("abc"), st.sampled_from(list(Trust))),
)


@given(st.lists(STEP, max_size=60))
@settings(max_examples=150)
def test_what_always_holds(steps: list[tuple[object, ...]]) -> None:
    """After any events that are allowed: one champion at most, with an accepted fit; a champion was a shadow or rolled back to;
    what the past of the past was is never changed by more events.
    """
    slot, accepted, shadows = Slot(), set(), set()
    for step in steps:
        event = replace(told(step)[0], number=slot.number + 1, session=DAY + dt.timedelta(slot.number + 1))
        try:
            after = applied(slot, event)
        except ValueError:
            continue
        if step[0] == "fit" and step[3]:
            accepted.add((step[1], step[2]))
        shadows |= {name for name, one in after.standings.items() if one.state is S}
        crowned = [one for one in after.standings.values() if one.state is K]
        assert len(crowned) <= 1
        assert all(
            (one.spec, one.fit) in accepted and one.spec in shadows and one.fit in one.accepted for one in crowned
        )
        assert len(after.champions) - len(slot.champions) in (0, 1)
        assert set(slot.standings) <= set(after.standings)
        found = in_force(after)
        assert found.weight in (0.0, 0.5, 1.0)
        assert (found.weight > 0) == (found.fit != "")
        slot = after
