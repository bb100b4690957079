"""Incidents planted in a real home: each arrives once at a real mailbox, with code, severity, session, and a runbook entry."""

import os
from collections.abc import Iterator

import pytest
from incident_world import World, open_world

# isort: split
from incident_plants import PLANTS
from incident_seen import seen

pytestmark = pytest.mark.graph
SOON = 5.0


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with open_world(tmp_path_factory.mktemp("incidents")) as opened:
        yield opened


@pytest.mark.long
@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_incident_is_told_once(world: World, name: str) -> None:
    """RC-92, F42: detected by the product itself, delivered, and the runbook has its entry."""
    seen(world, PLANTS[name])


def test_a_run_without_prices_is_told_in_seconds_and_gives_no_sign_of_life(world: World) -> None:
    """RC-85, RC-92: two web services are down; the failure is told once, soon, and the watcher outside hears of no end."""
    found = seen(world, PLANTS["provider_down"])
    assert found.others == ()
    assert (
        found.seconds["PROVIDER_FAILURE"] < SOON or os.getloadavg()[0] > 4
    )  # the promise is for a machine not overloaded
    assert world.watcher.requests == []
