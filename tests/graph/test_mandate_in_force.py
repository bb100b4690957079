"""A mandate edited in a living home: what a run takes, what it refuses, and what another mandate would have decided."""

import json
import os
from pathlib import Path

import pytest
from graph_world import AFTER, FIRST, NEXT, ROOT, SECOND, Home, command

from marketbot_assets.commands.mandate import approve_now, diff, show
from marketbot_assets.redecide import redecide
from marketbot_assets.source import versions_now
from marketbot_resources.errors import MandateError, UsageError
from marketbot_resources.governance import in_force
from marketbot_resources.mandate import parse_mandate
from marketbot_resources.market.sample import SampleMarket
from marketbot_resources.provider import MarketProvider
from marketbot_resources.wiring import Ports

TEXT = (ROOT / "mandate.yaml").read_text(encoding="utf-8")
POSITION = "RC-30_position:         {target: 0.0475, warn: 0.0490, hard: 0.0500}"
NO_ORDER = ("RC-08_order_value:      {warn: 0.050, hard: 0.060}", "RC-08_order_value: {hard: 0.000001}")


def edited(*changes: tuple[str, str]) -> str:
    text = TEXT
    for old, new in changes:
        assert text.count(old) == 1
        text = text.replace(old, new)
    return text


LOOSE = edited((POSITION, "RC-30_position: {target: 0.0575, warn: 0.0590, hard: 0.0600}"))
TIGHT = edited((POSITION, "RC-30_position: {target: 0.0375, warn: 0.0390, hard: 0.0400}"))


class EditingPorts(Ports):
    """Someone breaks the mandate file while the run is on its way."""

    @property
    def market(self) -> MarketProvider:
        Path(os.environ["MARKETBOT_MANDATE"]).write_text("no mandate at all", encoding="utf-8")
        return SampleMarket()


def taken(home: Home) -> str:
    standing = in_force(home.lake)
    assert standing is not None
    return standing.sha256


def decided_under(home: Home, session: str) -> str:
    """The mandate that the decision's entry names; every object of the session was stored under it."""
    entry = home.lake.ledger.get("decision", session)
    assert entry is not None
    facts = entry.body["facts"]
    assert isinstance(facts, dict)
    return str(facts["mandate_sha256"])


def test_loosened_refused_approved_taken_tightened(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Issue: tightening at once, loosening next session by a signed change record, pinned at the run's first step."""
    plain, loose, tight = (parse_mandate(text) for text in (TEXT, LOOSE, TIGHT))
    path = tmp_path / "mandate.yaml"
    monkeypatch.setenv("MARKETBOT_MANDATE", str(path))
    path.write_text(LOOSE, encoding="utf-8")

    refused = command(home.path, "run", "--session", NEXT, mandate=path)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert len(refused.stderr.strip().splitlines()) == 1
    assert "limits.RC-30_position.hard" in refused.stderr
    before = home.contents()
    assert not home.run(NEXT)  # as the UI and the sensors start it
    assert "without a change record" in str(home.lake.ledger.entries("run_failed", NEXT)[-1].body["reason"])
    assert (home.contents(), home.sent(NEXT), taken(home)) == (before, {}, plain.sha256)

    said = command(home.path, "mandate", "approve", "--reason", "a larger book", "--json", mandate=path)
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout)["effective_session"] == NEXT
    assert home.run(NEXT, {"ports": EditingPorts()}), home.lake.ledger.entries("run_failed")[-1].body
    assert path.read_text(encoding="utf-8") == "no mandate at all"
    assert decided_under(home, NEXT) == taken(home) == loose.sha256
    assert decided_under(home, SECOND) == plain.sha256
    content = home.contents()["mandate", "static"]
    rows = home.lake.index.of_part(NEXT).values()
    assert {home.lake.manifest(row)["mandate_content_sha256"] for row in rows} == {content}

    path.write_text(TIGHT, encoding="utf-8")
    assert home.run(AFTER, only="mandate")
    assert taken(home) == tight.sha256
    path.write_text(TEXT, encoding="utf-8")
    assert not home.run(AFTER, only="mandate"), "back to where it began is looser than now"
    monkeypatch.setenv("MARKETBOT_HOME", str(home.path))
    view = show()
    assert (view["file"], parse_mandate(str(view["text"])).sha256) == ("looser", tight.sha256)
    verified = command(home.path, "verify", "--json", mandate=path)
    assert verified.returncode == 0, verified.stdout


def test_a_run_without_the_mandates_step_serves_the_mandate_in_force(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the UI one asset alone: another provider in the file is not asked before the mandate that names it is in force."""
    path = tmp_path / "mandate.yaml"
    path.write_text(edited(("market: sample", "market: synthetic")), encoding="utf-8")
    monkeypatch.setenv("MARKETBOT_MANDATE", str(path))
    assert home.run(SECOND, only="raw_macro", refetch=True)
    assert home.run(SECOND, only="raw_prices", refetch=True)
    providers = {body.provider for body in home.lake.index.blobs("raw_prices", SECOND)}
    assert all("sample" in name for name in providers), providers


@pytest.fixture
def compared(undisturbed: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    """Three decided sessions; nothing is written."""
    monkeypatch.setenv("MARKETBOT_HOME", str(undisturbed.path))
    return undisturbed


def test_the_same_decision_again_is_what_is_stored(compared: Home) -> None:
    """Decided again under its own mandate, as after an update, a session has the stored orders, verdict and controls."""
    lake, own = compared.lake, parse_mandate(TEXT)
    entry = lake.ledger.get("decision", NEXT)
    assert entry is not None
    again = redecide(lake, entry, own, {"code": "another one", "environment": ""})
    kept = redecide(lake, entry, own, versions_now(lake))
    assert (again.again, kept.again) == (True, False)
    assert again.before == kept.before
    assert not kept.differs
    orders = compared.frame("orders", NEXT)
    assert {name for name, _ in again.before.orders} == set(orders["instrument"])
    quantities = sorted(float(quantity) for quantity, _ in again.before.orders.values())
    assert quantities == sorted(float(x) for x in orders["quantity"])


def test_a_mandate_under_which_every_order_is_too_large(compared: Home, tmp_path: Path) -> None:
    """No share order of one dollar is worth sending: all are gone from each session; what acts earlier is said to be as stored."""
    other = tmp_path / "other.yaml"
    other.write_text(
        edited(NO_ORDER, ("min_fraction: 0.15}\n  RC-63", "min_fraction: 0.14}\n  RC-63")), encoding="utf-8"
    )
    size = compared.lake.ledger.size()
    view = diff(str(other), 2, quiet=True)
    assert compared.lake.ledger.size() == size
    counts = [view[name] for name in ("decisions", "asked", "compared", "differ", "decided_again", "unread")]
    assert counts == [3, 2, 2, 2, 0, []]
    assert view["direction"] == "tighter"
    assert view["as_stored"] == ["stops.RC-62_stop_loss.min_fraction"]
    sessions = view["sessions"]
    assert isinstance(sessions, list)
    assert [row["session"] for row in sessions] == [SECOND, NEXT]
    for row in sessions:
        assert row["verdict"] == {"before": "APPROVED", "after": "APPROVED"}
        assert row["orders_count"]["before"] == len(compared.frame("orders", row["session"]))
        gone = {order["instrument"] for order in row["orders"] if order["after"] is None}
        assert gone >= set(compared.frame("orders", row["session"]).query("kind == 'EQUITY'")["instrument"])
        assert all(order["after"] is None or order["side"].startswith("SELL F") for order in row["orders"])


@pytest.mark.parametrize("old", ["last_session: 2022-12-28", "landing_minutes_max: 30"])
def test_a_mandate_that_decides_the_same(compared: Home, tmp_path: Path, old: str) -> None:
    """What does not touch the decision differs nowhere."""
    other = tmp_path / "other.yaml"
    other.write_text(edited((old, old[:-2] + "20")), encoding="utf-8")
    view = diff(str(other), 1, quiet=True)
    assert [view[name] for name in ("direction", "compared", "differ", "unread")] == ["tighter", 1, 0, []]


def test_a_decision_whose_evidence_is_gone_is_told(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One altered input: that session is named with the reason (exit 1), and the other one is still compared."""
    other = tmp_path / "other.yaml"
    other.write_text(TIGHT, encoding="utf-8")
    row = home.lake.index.newest("forecasts", SECOND)
    assert row is not None
    path = home.path / "store" / row.uri
    path.chmod(0o644)
    path.write_bytes(b"nothing")
    monkeypatch.setenv("MARKETBOT_HOME", str(home.path))
    view = diff(str(other), 250, quiet=True)
    unread = view["unread"]
    assert isinstance(unread, list)
    assert [(row["session"], row["reason"].split(":")[0]) for row in unread] == [(SECOND, "StoreError")]
    assert view["compared"] == 1


def test_without_a_home_the_files_alone_are_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 0 with the changes; without another file, or with an unreadable one, one line (exit 2); nothing is made."""
    other = tmp_path / "other.yaml"
    other.write_text(LOOSE, encoding="utf-8")
    home = tmp_path / "home"
    said = command(home, "mandate", "diff", str(other))
    assert said.returncode == 0, said.stderr
    assert "looser   limits.RC-30_position.hard: 0.05 -> 0.06" in said.stdout
    assert "no decisions yet" in said.stdout
    monkeypatch.setenv("MARKETBOT_HOME", str(home))
    with pytest.raises(UsageError, match="expected another mandate file"):
        diff(None, 5, quiet=True)
    with pytest.raises(MandateError, match="expected a readable file"):
        diff(str(tmp_path / "none.yaml"), 5, quiet=True)
    with pytest.raises(UsageError, match="no book yet"):
        approve_now("because")
    with pytest.raises(UsageError, match="--reason"):
        approve_now(" ")
    assert not home.exists()


@pytest.mark.long
def test_five_sessions_compared_twice(undisturbed: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five real sessions: the same answer twice, and only with fewer or smaller buys under a smaller day's budget."""
    home = undisturbed.copy(tmp_path / "home")
    for session in (AFTER, "2018-12-18"):
        assert home.run(session)
    monkeypatch.setenv("MARKETBOT_HOME", str(home.path))
    other = tmp_path / "other.yaml"
    budget = ("buys_per_day:         {target: 0.15, hard: 0.16}", "buys_per_day: {target: 0.02, hard: 0.03}")
    other.write_text(edited(budget), encoding="utf-8")
    view = diff(str(other), 250, quiet=True)
    assert view == diff(str(other), 250, quiet=True)
    assert (view["decisions"], view["compared"], view["unread"]) == (5, 5, [])
    sessions = view["sessions"]
    assert isinstance(sessions, list)
    assert [row["session"] for row in sessions][:2] == [FIRST, SECOND]
    for row in sessions:
        assert row["orders_count"]["after"] <= row["orders_count"]["before"]
