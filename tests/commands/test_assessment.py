"""`marketbot assess` on a year written by hand, whose counts are counted by hand, and on a real home of two sessions."""

import datetime as dt
import json
import re
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from assessment_world import IDS, LATE, PLAIN, Home, make_year
from hypothesis import given, settings
from hypothesis import strategies as st
from views_world import FIRST, LAST, Command, one_line, table

from marketbot_assets.audit.assessment import Assessment, ControlCount, SessionRead
from marketbot_assets.audit.assessment_limits import controls_of, limits_of, named_tests
from marketbot_assets.audit.assessment_page import SECTIONS
from marketbot_assets.audit.assessment_rules import RULES, Compliance
from marketbot_assets.commands.assess import assess
from marketbot_assets.commands.assess_ledger import alerts_of
from marketbot_assets.commands.home import reading
from marketbot_assets.commands.views_cli import canonical_text
from marketbot_resources.alert_codes import raised
from marketbot_resources.sessions import record_cutoff
from marketbot_resources.store.lake import Lake

View = dict[str, Any]
SESSIONS = 252  # of the New York Stock Exchange in 2019
# Control -> (judged, passed, warned, fired, not computed, absent, smaller, dropped, legs, value, unvalued, last fired); every other
# one passed on all 250 verdicts.
HAND = {
    "RC-08": (250, 249, 0, 1, 0, 0, 0, 2, 0, "70030", 0, "2019-04-01"),
    "RC-10": (250, 249, 0, 1, 0, 0, 1, 1, 0, "655.55", 0, "2019-03-05"),
    "RC-18": (250, 249, 0, 1, 0, 0, 0, 0, 1, "0", 0, "2019-03-05"),
    "RC-26": (250, 249, 0, 1, 0, 0, 1, 0, 0, "0", 1, "2019-03-06"),
    "RC-30": (250, 246, 4, 0, 0, 0, 0, 0, 0, "0", 0, ""),
    "RC-32": (250, 248, 2, 0, 0, 0, 0, 0, 0, "0", 0, ""),
    "RC-52": (249, 249, 0, 0, 0, 1, 0, 0, 0, "0", 0, ""),
    "RC-60": (250, 247, 3, 0, 0, 0, 0, 0, 0, "0", 0, ""),
    "RC-67": (250, 249, 0, 1, 1, 0, 0, 0, 0, "0", 0, "2019-05-01"),
}
ALL_PASS = (250, 250, 0, 0, 0, 0, 0, 0, 0, "0", 0, "")
FIELDS = (
    *("evaluated", "passed", "warned", "fired", "not_computed", "absent"),
    *("smaller", "dropped", "legs", "value", "unvalued", "last_fired"),
)


@pytest.fixture(scope="module")
def year(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return make_year(tmp_path_factory.mktemp("assessed") / "home")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the page of the year is written."""
    return tmp_path_factory.mktemp("page") / "a.html"


@pytest.fixture(scope="module")
def told(year: Home, page: Path) -> str:
    """What `assess --year 2019 --json` prints."""
    with reading(year.lake):
        return canonical_text(assess(2019, None, None, str(page)))


@pytest.fixture
def view(told: str) -> View:
    found: View = json.loads(told)
    return found


def test_the_year_as_counted_by_hand(view: View) -> None:
    """Sessions, verdicts, ends, every control; a version that no decision names does not count beside the one that is named."""
    counted = view["counted"]
    assert (counted["sessions"], view["verdicts"], view["begins"], view["ends"]) == (
        252,
        250,
        "2019-01-02",
        "2019-12-31",
    )
    assert counted["verdicts"] == {"APPROVED": 248, "HALT": 1, "REJECTED": 1}
    assert counted["states"] == {"halted": 1, "nothing recorded": 2, "rejected": 1, "sent": 247, "skipped": 1}
    assert view["orders"] == 247 * 3
    found = {fact["id"]: tuple(fact["count"][field] for field in FIELDS) for fact in view["controls"]}
    assert found == {control: HAND.get(control, ALL_PASS) for control in sorted(IDS)}
    cap = next(fact for fact in view["controls"] if fact["id"] == "RC-10")
    assert (cap["count"]["last_status"], cap["count"]["last_message"]) == ("SHRINK", "participation 0.02 of the day")


def test_rules_of_the_mandate_by_session(view: View) -> None:
    """Kept, acted, eased, breached, cured, by hand; a rule that the mandate does not state is not judged."""
    hand: dict[str, dict[str, int]] = {
        "sector": {"kept": 247, "breached": 2, "cured": 1},
        "position and issuer": {"kept": 246, "breached": 4},
        "concentration": {"kept": 249, "eased": 1},
        "drawdown": {"kept": 247, "acted": 3},
    }
    for rule in view["rules"]:
        name = rule["rule"]["name"]
        if name == "product rules of the jurisdiction":
            assert (rule["binds"], rule["counts"]) == (False, {})
        else:
            assert rule["counts"] == hand.get(name, {"kept": 250}) | {"no verdict": 2}, name
    told = [(s["rule"], s["standing"], s["first"], s["last"], s["sessions"]) for s in view["stretches"]]
    assert [one for one in told if one[1] != "no verdict"] == [
        ("sector", "breached", "2019-02-04", "2019-02-05", 2),
        ("sector", "cured", "2019-02-06", "2019-02-06", 1),
        ("concentration", "eased", "2019-03-04", "2019-03-04", 1),
        ("drawdown", "acted", "2019-10-01", "2019-10-03", 3),
        ("position and issuer", "breached", LATE[0], LATE[-1], 4),
    ]


def test_breaches_gaps_people_and_alerts(view: View) -> None:
    """Start, cure and cause of each breach; sessions without verdict by name; changes, halts, drills, alerts."""
    breaches = [
        (b["control"], b["opened"], b["closed"], b["cause"], b["halt_class"], b["sessions"], b["overdue"])
        for b in view["counted"]["breaches"]
    ]
    assert breaches == [
        ("RC-32", "2019-02-04", "2019-02-06", "passive", "", 2, False),
        ("RC-67", "2019-05-01", "2019-05-02", "active", "A", 1, False),
        ("RC-30", LATE[0], "", "passive", "", 3, True),
    ]
    gaps = [(gap["session"], gap["state"], gap["has_verdict"]) for gap in view["gaps"]]
    assert gaps == [("2019-06-03", "skipped", False), ("2019-06-04", "", False), ("2019-07-01", "", True)]
    changes = [(c["direction"], c["by"], c["effective"], c["taken"], c["signed"]) for c in view["changes"]]
    assert changes == [
        ("first", "run", "2019-01-02", "2019-01-02", True),
        ("tighter", "run", "2019-09-10", "2019-09-10", True),
        ("looser", "cli", "2019-10-15", "2019-10-15", True),
        ("looser", "cli", "2019-12-31", "", False),
    ]
    assert view["changes"][2]["reason"] == "room for a larger book"
    touched = {fact["id"]: fact["touched"] for fact in view["controls"] if fact["touched"]}
    assert touched["RC-30"] == [2, 3, 4]
    acts = [(act["after"], act["action"], act["level"], act["by"], act["drill"]) for act in view["acts"]]
    assert acts == [
        ("2019-05-20", "halt", "cancel-all", "ada", True),
        ("2019-05-20", "resume", "", "ada", True),
        ("2019-05-21", "halt", "", "ada", False),
    ]
    alerts = view["alerts"]
    assert alerts["by_code"] == {"HALT_A": [1, 0], "LIMIT_BREACH": [1, 1]}
    assert (alerts["tested"], len(alerts["weeks"]), alerts["failures"]) == (["2019-W02"], 53, 1)


@pytest.mark.parametrize(
    "words",
    [
        "Sessions without a verdict: 2 (2019-06-03, 2019-06-04).",
        "Verdicts that no recorded decision names: 1 (2019-07-01).",
        "Breaches open at the end: 1 (RC-30 MB7).",
        "Breaches that stayed longer than allowed: 1 (RC-30 of 2019-12-26).",
        "Controls missing in verdicts of the period: 1 (RC-52).",
        "Controls that could not be computed and failed closed, with sessions: RC-67 1.",
        "Weeks without an acknowledged test alert, of 53: 52 (2019-W01, 2019-W03,",
        "Alerts that no channel acknowledged: 1.",
    ],
)
def test_what_is_found(view: View, words: str) -> None:
    """What is left to mend is said in words."""
    assert any(text.startswith(words) for text in view["findings"])


def test_what_regulation_asks(view: View) -> None:
    """Evidence only where every verdict holds the control's answer; what only a person can do is not covered."""
    cover = {(one["rule"], one["paragraph"]): one["cover"] for one in view["review"]}
    assert cover["RTS 6", "Art. 15(1)(a)"] == "evidence"
    assert cover["RTS 6", "Art. 17"] == "part"  # RC-67 could not be computed once
    assert cover["RTS 6", "Art. 12"] == "evidence"
    assert {cover[key] for key in (("RTS 6", "Art. 9(2)"), ("RTS 6", "Art. 9(3)"), ("SEC 15c3-5", "(e)(2)"))} == {
        "not covered"
    }


def test_the_same_records_give_the_same_bytes(
    year: Home, told: str, page: Path, marketbot: Command, tmp_path: Path
) -> None:
    """JSON in canonical form and one page that names no resource from elsewhere and runs no script."""
    days, path = ("--from", "2019-01-01", "--to", "2019-12-31"), tmp_path / "b.html"
    said = marketbot(year.path, "assess", *days, "--html", str(path), "--json")
    assert said.code == 0, said.err
    assert said.out == told.replace(str(page), str(path)) + "\n"
    plain = json.dumps(json.loads(told), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert len(plain) == len(told)
    text = path.read_text(encoding="utf-8")
    assert text == page.read_text(encoding="utf-8")
    assert not re.search(r"<script|<link|<img|src=|https?://", text)
    assert re.findall(r'<section id="(\w+)"', text) == [key for key, _ in SECTIONS]
    assert "this is not a drill" in text
    assert "70,030" in text


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--year", "2019", "--from", "2019-01-01"),
        ("--from", "2019-01-01"),
        ("--from", "2019-02-01", "--to", "2019-01-01"),
        ("--from", "soon", "--to", "2019-01-01"),
    ],
)
def test_a_period_that_is_none(year: Home, marketbot: Command, arguments: tuple[str, ...]) -> None:
    """One line, exit 2."""
    said = marketbot(year.path, "assess", *arguments)
    assert said.code == 2
    assert one_line(said)


def test_a_year_without_records_proves_nothing(year: Home, marketbot: Command) -> None:
    """No session, nothing judged, and no paragraph that rests on verdicts has evidence."""
    view = marketbot(year.path, "assess", "--year", "2020", "--json").json
    assert (view["counted"]["sessions"], view["verdicts"], view["counted"]["verdicts"]) == (0, 0, {})
    assert view["findings"][0] == "No session of the period is recorded: nothing is assessed."
    cover = {one["paragraph"]: one["cover"] for one in view["review"]}
    assert {cover[p] for p in ("Art. 9(1)(a)", "Art. 15(1)(a)", "Art. 17", "(c)(2)")} == {"not covered"}


def test_a_verdict_that_is_gone_is_said(marketbot: Command, tmp_path: Path) -> None:
    """A decision names a version that the store does not have: no assessment, one line."""
    day = dt.date(2019, 12, 31)
    home = Home(tmp_path / "home", day)
    home.mandate(day, PLAIN)
    home.cutoff("2019-12-31")
    home.lake.ledger.append("decision", "2019-12-31", {"manifests": {"risk_verdict": "0" * 64}})
    said = marketbot(home.path, "assess", "--year", "2019")
    assert said.code == 1
    assert one_line(said)
    assert "restore the store" in said.err


@pytest.mark.graph
def test_a_real_home(finished: Path, marketbot: Command) -> None:
    """Two sessions of the sample world: counts as in the stored verdicts, read without the store; every control has tests."""
    view = marketbot(finished, "assess", "--year", "2018", "--json").json
    expected: Counter[tuple[str, str]] = Counter()
    ranks = ("PASS", "WARN", "SHRINK", "REJECT_ORDER", "REJECT_BATCH", "REDUCE_ONLY", "HALT")
    for session in (FIRST, LAST):
        frame = table(finished, "risk_verdict", session)
        rows = frame[frame["kind"] == "CONTROL"]
        for control, statuses in rows.groupby("control")["status"]:
            expected[str(control), max(statuses, key=ranks.index)] += 1
    found: Counter[tuple[str, str]] = Counter()
    for fact in view["controls"]:
        found.update({(fact["id"], status): n for status, n in fact["count"]["by_status"].items()})
    assert found == expected
    assert (view["gaps"], view["counted"]["sessions"], view["account"]) == ([], 2, "paper-1")
    assert [fact["id"] for fact in view["controls"] if not fact["tests"]] == []
    assert {fact["owner"] for fact in view["controls"]} == {"not named"}


def test_an_alert_without_a_day_counts_where_it_stands(tmp_path: Path) -> None:
    """An operator's halt and an order left open name an entry, not a day: in the year of the cutoff before them, heard or tried."""
    ledger = Lake(tmp_path).ledger
    for day, subject in ((dt.date(2018, 12, 31), "old"), (dt.date(2019, 1, 2), "new")):
        record_cutoff(ledger, day, dt.datetime.combine(day, dt.time(23, 15), dt.UTC))
        halt = raised("HALT_FLAG", subject, f"entry {ledger.size()}", "ann: smoke")
        ledger.append("alert", halt.key, halt.body())
        answer = {"alerts": [halt.key], "channel": "ops", "at": "2019-01-03T00:00:00Z"}
        ledger.append("alert_failed", f"{halt.key}/1", {**answer, "reason": "HTTP 500", "lasting": False})
        ledger.append("alert_sent", halt.key, {**answer, "answer": "ok"})
    found = alerts_of(ledger, {}, ["2019-01-02"], "2019-01-01", "2019-12-31")
    assert (found.by_code, found.failures) == ({"HALT_FLAG": (1, 1)}, 1)


def test_keys_of_the_mandate_belong_to_controls() -> None:
    """Each key to the control whose limit it is; also those without a number in their name."""
    keys = {
        "limits.RC-30_position.hard": ("RC-30",),
        "stops.RC-62_stop_loss.min_fraction": ("RC-62",),
        "restricted.names": ("RC-03",),
        "universe.floor.adv_usd": ("RC-25",),
        "universe.listings.XNYS": (),
        "ladder.halt.at": ("RC-60",),
        "loss_rules.day": ("RC-61",),
        "jurisdiction.residence": ("RC-03",),
        "laddered": (),
    }
    assert {key: controls_of(key) for key in keys} == keys
    plain = {"limits": {"RC-30_position": {"hard": 0.05}}, "restricted": {"names": []}, "jurisdiction": None}
    assert limits_of(plain) == {
        "RC-03": {"restricted": '{"names": []}'},
        "RC-30": {"limits.RC-30_position": '{"hard": 0.05}'},
        "RC-33": {"limits.RC-30_position": '{"hard": 0.05}'},
    }


def test_tests_are_read_from_the_page_of_controls() -> None:
    """The cell of tests, also where another cell holds an escaped bar."""
    cells = [
        "RC-09 order quantity",
        "REJECT_BATCH",
        "house",
        "a \\| b",
        "none",
        "[x](../m/x.py)",
        "[t](../tests/test_t.py)",
    ]
    page = f"| control | tests |\n| {' | '.join([*cells, 'never'])} |\n"
    assert named_tests(page) == {"RC-09": ("tests/test_t.py",)}


# One answer of a control: name, status, whether its number is known.
ANSWER = st.tuples(
    st.sampled_from(["RC-30", "RC-32", "RC-60"]), st.sampled_from(["PASS", "WARN", "SHRINK", "HALT"]), st.booleans()
)
CUT = st.tuples(st.sampled_from(["RC-30", "RC-32"]), st.integers(0, 10))


@st.composite
def session_reads(draw: st.DrawFn) -> SessionRead:
    day = f"2019-{draw(st.integers(1, 12)):02d}-{draw(st.integers(1, 28)):02d}"
    rows: list[dict[str, object]] = [
        {
            "kind": "CONTROL", "key": f"{name}|{n}", "control": name, "status": status, "message": "", "unit": "NAV",
            "observed": 0.5 if known else None, "limit": 1.0, "headroom": 0.5,
        }
        for n, (name, status, known) in enumerate(draw(st.lists(ANSWER, max_size=6)))
    ]  # fmt: skip
    cuts = draw(st.lists(CUT, max_size=4))
    rows += [
        {
            "kind": "ORDER", "key": f"o{n}", "control": name, "name": "MB1", "status": "SHRINK", "message": "",
            "planned_quantity": Decimal(10), "approved_quantity": Decimal(left),
        }
        for n, (name, left) in enumerate(cuts)
    ]  # fmt: skip
    values = {f"o{n}": draw(st.floats(0, 1e6)) for n in range(len(cuts)) if draw(st.booleans())}
    return SessionRead(day, "sent", "", draw(st.sampled_from(["APPROVED", ""])), True, rows, values)


NUMBERS = (
    *("evaluated", "passed", "warned", "fired", "not_computed", "absent"),
    *("smaller", "dropped", "legs", "value", "unvalued", "unchecked"),
)


def counts(reads: list[SessionRead]) -> Counter[tuple[str, str]]:
    """(control, what) -> number, and (rule, standing) -> sessions."""
    counting, judging = Assessment(["RC-30", "RC-32", "RC-46"], "2019-01-01"), Compliance([rule.name for rule in RULES])
    for read in reads:
        counting.add(read)
        judging.add(read)
    found: Counter[tuple[str, str]] = Counter()
    for count in counting.counted().controls:
        assert isinstance(count, ControlCount)
        assert count.evaluated == count.passed + count.warned + count.fired
        found.update({(count.control, name): getattr(count, name) for name in NUMBERS})
    for rule in judging.rules():
        assert sum(rule.counts.values()) == len(reads)
        found.update({(rule.rule.name, standing): n for standing, n in rule.counts.items()})
    return found


@settings(max_examples=30, deadline=None)
@given(st.lists(session_reads(), max_size=12))
def test_months_add_up_to_the_year(reads: list[SessionRead]) -> None:
    """Every count of the year is the sum of its months."""
    ordered = sorted(reads, key=lambda read: read.session)
    total: Counter[tuple[str, str]] = Counter()
    for month in range(1, 13):
        total.update(counts([read for read in ordered if read.session.startswith(f"2019-{month:02d}")]))
    whole = counts(ordered)
    assert {key: n for key, n in total.items() if n} == {key: n for key, n in whole.items() if n}
