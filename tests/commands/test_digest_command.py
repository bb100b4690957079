"""`marketbot digest` on a real home of two sessions, expectations from the files by other means."""

import json
from pathlib import Path

import pytest
from views_world import BODY, FIRST, LAST, NEXT, Command, one_line, query, table

from marketbot_assets.alerting import named_alerts
from marketbot_assets.commands.digest import digest_lines
from marketbot_resources.alert_codes import raised
from marketbot_resources.store.lake import Lake

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


def test_an_alert_names_what_people_trade(finished: Path) -> None:
    """The message has the ticker that the stored listing has; key and subject keep the id, by which it is told once."""
    listing = table(finished, "instruments", LAST).query("mic == 'XNAS'").iloc[0]
    alert = raised(
        "STOP_HIT", f"RC-63 {listing['instrument']}", LAST, f"RC-63: the stop of {listing['instrument']} was hit"
    )
    plain = raised("DISK_LOW", "home", LAST, "4 % are free")
    (named, same) = named_alerts(Lake(finished, read_only=True), [alert, plain])
    assert named.message == f"RC-63: the stop of {listing['ticker']} was hit"
    assert named.key == alert.key == f"STOP_HIT/RC-63 {listing['instrument']}/{LAST}"
    assert same == plain


def test_a_digest_that_was_sent_is_not_called_this_one() -> None:
    """What is printed is made now, with the ledger of now; the words that were sent are the blob's."""
    view: dict[str, object] = {
        "text": "words",
        "recorded": {"at": "2018-12-12T23:00:00Z", "blob": "ab" * 32},
        "delivery": None,
    }
    said = "made again now; recorded 2018-12-12T23:00:00Z as blob abababababab, "
    assert digest_lines(view) == ["words", f"({said}not acknowledged yet)"]
    sent = {"kind": "digest_sent", "at": "2018-12-12T23:01:00Z", "channel": "mail"}
    assert digest_lines(view | {"delivery": sent}) == ["words", f"({said}sent 2018-12-12T23:01:00Z: mail)"]
