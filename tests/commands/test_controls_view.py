"""`marketbot controls` on a real home of two sessions; expectations from the stored verdicts by other means."""

import re
from pathlib import Path

import pandas as pd
import pytest
from views_world import FIRST, LAST, Command, commit, one_line, table

from marketbot_assets.risk.schema import RISK_VERDICT

pytestmark = pytest.mark.graph


def loud(home: Path, session: str) -> dict[str, str]:
    """Control -> one of its answers of a session that is not PASS."""
    verdict = table(home, "risk_verdict", session)
    answers = verdict[(verdict["kind"] == "CONTROL") & (verdict["status"] != "PASS")]
    return dict(zip(answers["control"], answers["status"], strict=True))


def halted(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(
        status=frame["status"].mask((frame["kind"] == "CONTROL") & (frame["control"] == "RC-13"), "HALT"),
        message=frame["message"].mask(frame["control"] == "RC-13", "twice"),
    )


def test_controls_names_the_session_in_which_each_last_spoke(finished: Path, marketbot: Command) -> None:
    """The newest verdict in which a control said more than PASS; nothing for those that never did."""
    said = marketbot(finished, "controls", "--json")
    assert said.code == 0
    view = said.json
    assert (view["first"], view["last"], view["verdicts"]) == (FIRST, LAST, 2)
    first, last = loud(finished, FIRST), loud(finished, LAST)
    spoke = {row["control"]: row["session"] for row in view["controls"] if row["session"]}
    assert spoke == {**dict.fromkeys(first, FIRST), **dict.fromkeys(last, LAST)}
    assert {row["control"]: row["newest"] for row in view["controls"] if row["newest"] != "PASS"} == last


def test_a_control_that_fired_is_told(home: Path, marketbot: Command) -> None:
    """RC-13 halted once: the session, the status and the words; a shorter look does not see an older verdict."""
    commit(home, RISK_VERDICT, FIRST, halted)
    found = {row["control"]: row for row in marketbot(home, "controls", "--json").json["controls"]}
    assert (found["RC-13"]["session"], found["RC-13"]["status"], found["RC-13"]["message"]) == (FIRST, "HALT", "twice")
    assert found["RC-13"]["newest"] == "PASS"
    short = {row["control"]: row for row in marketbot(home, "controls", "--last", "1", "--json").json["controls"]}
    assert short["RC-13"]["session"] is None
    told = marketbot(home, "controls").out
    assert re.search(rf"^RC-13 +HALT +PASS +{FIRST} +HALT +duplicate orders: twice$", told, re.MULTILINE)


def test_controls_before_the_first_verdict_says_so(tmp_path: Path, marketbot: Command) -> None:
    """An empty home: one line, exit 2."""
    said = marketbot(tmp_path / "empty", "controls")
    assert said.code == 2
    assert one_line(said)
