"""`marketbot digest` on a real home of two sessions, expectations from the files by other means."""

import json
from pathlib import Path

import pytest
from views_world import BODY, FIRST, LAST, NEXT, Command, one_line, query, table

pytestmark = pytest.mark.graph


def test_the_digest_of_a_session_and_of_its_week(finished: Path, marketbot: Command) -> None:
    """NAV and profit as the tables have them, the ledger's own head, and nothing recorded: looking changes nothing."""
    before = query(finished / "ledger.sqlite", "select count(*) from entry")
    navs = [float(table(finished, "positions", part)["value_base"].sum()) for part in (FIRST, LAST)]
    said = marketbot(finished, "digest", "--json").json
    (day,) = said["days"]
    assert (day["session"], day["synthetic"]) == (LAST, True)
    assert day["nav"] == pytest.approx(navs[1], abs=1e-6)
    assert day["pnl"] == pytest.approx(navs[1] - navs[0], abs=1e-6)
    assert day["orders_approved"] == len(table(finished, "orders", LAST))
    assert day["fills"] == len(table(finished, "execution_costs", LAST))
    assert f"ledger: {before[0][0]} entries, root " in said["text"]
    assert (said["recorded"], said["delivery"]) == (None, None)
    week = marketbot(finished, "digest", "--weekly", "--json").json
    assert (week["label"], [one["session"] for one in week["days"]]) == ("2018-W50", [FIRST, LAST])
    assert marketbot(finished, "digest", "--weekly", "--session", FIRST, "--json").json["days"][0]["session"] == FIRST
    assert query(finished / "ledger.sqlite", "select count(*) from entry") == before


def test_its_forms_for_people(finished: Path, marketbot: Command) -> None:
    """Text says what it is first; the page has plots and nothing from elsewhere."""
    text = marketbot(finished, "digest", "--session", LAST, "--text").out
    assert text.startswith("SIMULATED DATA: ")
    assert len(text.splitlines()) <= 41
    assert text.splitlines()[-1] == "(made now, not sent)"
    page = marketbot(finished, "digest", "--html").out
    assert page.count("<svg") == 2
    assert "http" not in page
    (end,) = query(
        finished / "ledger.sqlite", f"select {BODY} from entry where kind = 'session_end' and key = '{LAST}'"
    )
    assert f"ended {json.loads(end[0])['state']}" in page


def test_a_session_that_did_not_end_has_none(finished: Path, tmp_path: Path, marketbot: Command) -> None:
    for home, arguments in ((finished, ("--session", NEXT)), (tmp_path, ())):
        said = marketbot(home, "digest", *arguments)
        assert (said.code, one_line(said)) == (2, True)
