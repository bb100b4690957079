"""After days without a machine: missed sessions end as skipped, their data come late and whole, no old target is traded."""

import datetime as dt

import pytest
from graph_invariants import assert_sound
from graph_world import AFTER, NEXT, SECOND, Home

from marketbot_resources.calendars import computed_cutoff
from marketbot_resources.clock import Clock
from marketbot_resources.mandate import parse_mandate
from marketbot_resources.mandate_file import read_mandate_text
from marketbot_resources.wiring import ClockResource

pytestmark = [pytest.mark.graph, pytest.mark.long]
OF_THE_MARKET = ("instruments", "features", "factor_model", "forecasts", "llm_context")
"""What is known of the market. The model has another age in a home that missed the day of a fit: not on these days."""


class Standing:
    """A live clock that stands at the deadline of a session."""

    live = True

    def __init__(self, session: str) -> None:
        self._at = computed_cutoff(parse_mandate(read_mandate_text()).schedule, dt.date.fromisoformat(session))

    def now(self, session: dt.date) -> dt.datetime:
        return self._at

    def sending(self, session: dt.date) -> dt.datetime:
        return self._at + dt.timedelta(minutes=1)

    def wait(self, seconds: float) -> None:
        return None


class At(ClockResource):
    """Such a clock."""

    session: str

    def open(self) -> Clock:
        return Standing(self.session)


def rows_known(home: Home, asset: str, sessions: tuple[str, ...]) -> list[tuple[object, ...]]:
    """Every row of an asset in these partitions, whichever it came in."""
    found = [home.frame(asset, session) for session in sessions if home.has(asset, session)]
    return sorted((str(row.instrument), str(row.session), row.close) for frame in found for row in frame.itertuples())


def test_a_home_that_was_down_knows_what_the_other_one_knows(home: Home, undisturbed: Home, tmp_path_factory) -> None:  # type: ignore[no-untyped-def]
    """Down from Thursday night until Monday evening, over a session and a weekend."""
    always = undisturbed.copy(tmp_path_factory.mktemp("always") / "home")
    assert always.run(AFTER, {"clock": At(session=AFTER)})
    assert home.run(AFTER, {"clock": At(session=AFTER)})

    end = home.end(NEXT)
    assert (end.state, end.reason) == ("skipped", "never started; its deadline has passed")
    assert home.sent(NEXT) == {}
    assert not home.has("target_portfolio", NEXT)
    assert home.end(AFTER).state == "sent"
    assert {body["session"] for body in home.at_broker().values()} <= {"2018-12-12", SECOND, AFTER}
    assert rows_known(home, "prices", (NEXT, AFTER)) == rows_known(always, "prices", (NEXT, AFTER))
    ours, theirs = home.contents(), always.contents()
    assert [name for name in OF_THE_MARKET if ours[name, AFTER] != theirs[name, AFTER]] == []
    assert_sound(home)

    assert not home.run(NEXT, {"clock": At(session=AFTER)}), "it cannot be decided any more"
    assert home.end(NEXT) == end
