"""From a wrong bar to its overlay: proposed, accepted by someone, used from the next session on, and rebuilt by the replay."""

import json
from typing import Any

import pytest
from graph_world import AFTER, NEXT, SECOND, EditedPorts, Home, command

from marketbot_assets.normalization.rules import RULES

pytestmark = pytest.mark.graph


def said(home: Home, *arguments: str) -> dict[str, Any]:
    result = command(home.path, *arguments, "--json")
    assert result.returncode == 0, result.stderr
    view: dict[str, Any] = json.loads(result.stdout)
    return view


def test_a_repair_goes_from_proposal_to_overlay_and_edits_nothing(home: Home) -> None:
    """PFE's close lands 100 times too high and MRK's bar of the session before is sent again with another price."""
    pfe, mrk = home.instrument("US-PFE"), home.instrument("US-MRK")
    old = home.frame("prices", SECOND).set_index("instrument").loc[mrk, "close"]
    edits = [["US-PFE", NEXT, "close", "*100"], ["US-MRK", NEXT, "close", "*1.01"], ["US-MRK", NEXT, "session", SECOND]]
    assert home.run(NEXT, {"ports": EditedPorts(kind="prices", edits=edits)}, job="data")
    received = home.contents()["prices", NEXT]
    bars = home.frame("prices", NEXT).set_index("instrument")
    assert bool(bars.loc[pfe, "quarantine"])
    right = pytest.approx(bars.loc[pfe, "close"] / 100)
    assert mrk not in bars.index

    told = home.frame("restatements", NEXT)
    row = told[(told["instrument"] == mrk) & (told["field"] == "close")].iloc[0]
    assert (str(row["session"].date()), row["known"]) == (SECOND, old)
    quality = home.frame("data_quality", NEXT)
    assert set(quality["rule"]) == set(RULES) - {"ends_match_last_prices", "delistings_are_told"}  # nothing ended
    assert all(out in RULES[rule].outcomes for rule, out in zip(quality["rule"], quality["outcome"], strict=True))
    restated = [item for item in said(home, "repair", "--restated")["restated"] if item["field"] == "close"]
    assert [(item["instrument"], item["session"], item["object"]) for item in restated] == [
        (mrk, SECOND, f"prices/{SECOND}")
    ]
    assert restated[0]["decisions"] == [SECOND]

    (proposal,) = [item for item in said(home, "repair")["proposals"] if item["instrument"] == pfe]
    assert (proposal["rule"], proposal["example"]["proposed"]) == ("price_in_another_unit", right)
    refused = command(home.path, "repair", "--accept", proposal["proposal"])
    assert (refused.returncode, "--author" in refused.stderr) == (2, True)
    size = home.lake.ledger.size()
    accepted = said(
        home, "repair", "--accept", proposal["proposal"][:6], "--author", "Ada", "--reason", "the exchange says 35.33"
    )
    assert accepted["entries"] == [size]
    assert pfe not in {item["instrument"] for item in said(home, "repair")["proposals"]}
    again = command(home.path, "repair", "--accept", proposal["proposal"], "--author", "Ada", "--reason", "twice")
    assert (again.returncode, "found 0" in again.stderr) == (2, True)

    assert home.run(AFTER, job="data")
    assert home.contents()["prices", NEXT] == received
    overlay = home.frame("price_overlays", AFTER)
    assert overlay[["instrument", "field", "version", "author"]].to_numpy().tolist() == [[pfe, "close", 1, "Ada"]]
    rows = home.frame("prices", AFTER)
    own = rows[rows["instrument"] == pfe].sort_values("session")
    assert [str(day.date()) for day in own["session"]] == [NEXT, AFTER]
    assert own["overlay"].tolist() == [1, 0]
    assert own["close"].iloc[0] == right
    assert not own["quarantine"].any()
    for session in (NEXT, AFTER):
        assert said(home, "replay", "--session", session)["fine"]
