"""Checks that warn: each passes on an ordinary session's rows and names the row that says otherwise."""

import dagster as dg
import pandas as pd
import pytest

from marketbot_assets.statements import STATEMENTS, statement_results, statement_specs


def control(status: str) -> dict[str, object]:
    return {"kind": "CONTROL", "key": "C-1|x", "status": status, "message": "why", "verdict": "APPROVED"}


def batch(verdict: str) -> dict[str, object]:
    return {"kind": "BATCH", "key": "verdict", "status": "PASS", "message": "3 of 3", "verdict": verdict}


def breach() -> dict[str, object]:
    told = {"kind": "BREACH", "key": "C-1|x", "status": "WARN", "message": "long", "verdict": "APPROVED"}
    return told | {"control": "C-1", "opened": "2018-12-20"}


def answer(**more: str) -> dict[str, object]:
    return {"failures": "", "doubts": "", "conflicts": "", **more}


def book(outcome: str) -> dict[str, object]:
    return {"outcome": outcome, "kind": "POSITION", "key": "MB1", "message": "ours 3, broker 2"}


def sent(state: str) -> dict[str, object]:
    return {"state": state, "client_order_id": "mb1-a", "reason": "no answer"}


def rebuilt(same: bool) -> dict[str, object]:
    return {"same": same, "asset": "target_portfolio", "partition": "2018-12-20", "message": "another"}


def finding(outcome: str) -> dict[str, object]:
    return {"outcome": outcome, "rule": "r", "subject": "s", "message": "m"}


def biased(mean: float) -> dict[str, object]:
    return {"block": "bias", "key": "random", "values": [mean, 0.8, 1.2, 0.5, 50.0]}


GOOD = [
    ("factor_model", "portfolios_move_as_forecast", [biased(1.39), biased(0.61), biased(9.0) | {"block": "factor"}]),
    ("risk_verdict", "batch_is_approved", [batch("APPROVED"), control("PASS"), control("WARN"), breach()]),
    ("risk_verdict", "no_breach_is_open", [batch("HALT"), control("HALT")]),
    ("reconciliation", "broker_agrees", [book("match"), book("explained")]),
    ("replay_check", "replays_equal", [rebuilt(True)]),
    (
        "submissions",
        "nothing_in_doubt",
        [sent("ACKED"), sent("FILLED"), sent("PARTIAL"), sent("EXPIRED"), sent("APPROVED")],
    ),
    ("target_portfolio", "optimizer_answered", [answer()]),
    ("data_quality", "no_rule_halts", [finding("pass"), finding("warn"), finding("quarantine")]),
]
BIASED = "random portfolios moved {} times their forecast in 50 stretches; the band for normal returns is 0.80 to 1.20"
BAD = [
    ("factor_model", "portfolios_move_as_forecast", [biased(1.0), biased(1.41)], BIASED.format("1.41")),
    ("factor_model", "portfolios_move_as_forecast", [biased(float("nan"))], BIASED.format("nan")),
    ("risk_verdict", "batch_is_approved", [batch("REJECTED")], "REJECTED: 3 of 3"),
    *(
        ("risk_verdict", "batch_is_approved", [batch("APPROVED"), control(status)], f"{status} C-1|x: why")
        for status in ("SHRINK", "REJECT_ORDER", "REJECT_BATCH", "REDUCE_ONLY", "HALT")
    ),
    ("risk_verdict", "no_breach_is_open", [batch("APPROVED"), breach()], "C-1 C-1|x since 2018-12-20: long"),
    ("reconciliation", "broker_agrees", [book("match"), book("break")], "break POSITION MB1: ours 3, broker 2"),
    ("reconciliation", "broker_agrees", [book("locked")], "locked POSITION MB1: ours 3, broker 2"),
    ("replay_check", "replays_equal", [rebuilt(True), rebuilt(False)], "target_portfolio 2018-12-20: another"),
    *(
        ("submissions", "nothing_in_doubt", [sent("ACKED"), sent(state)], f"{state} mb1-a: no answer")
        for state in ("UNKNOWN", "SENDING", "REJECTED")
    ),
    ("target_portfolio", "optimizer_answered", [answer(failures="Clarabel: numbers")], "failed: Clarabel: numbers"),
    ("target_portfolio", "optimizer_answered", [answer(doubts="differs")], "doubt: differs"),
    ("target_portfolio", "optimizer_answered", [answer(conflicts="a and b")], "conflict: a and b"),
    ("data_quality", "no_rule_halts", [finding("pass"), finding("halt")], "r s: m"),
]


def result(asset: str, name: str, rows: list[dict[str, object]]) -> dg.AssetCheckResult:
    columns = {"control": "", "opened": ""} if asset == "risk_verdict" else {}
    frame = pd.DataFrame([columns | row for row in rows])
    found = {one.check_name: one for one in statement_results(asset, frame)}
    return found[name]


def test_every_statement_is_tried_here() -> None:
    """A statement that is added needs an ordinary case and a bad one; none of them blocks."""
    names = {(asset, one.name) for asset, several in STATEMENTS.items() for one in several}
    assert {case[:2] for case in GOOD} == names
    assert {case[:2] for case in BAD} == names
    assert not any(spec.blocking for asset in STATEMENTS for spec in statement_specs(asset))
    assert statement_specs("prices") == []


@pytest.mark.parametrize(("asset", "name", "rows"), GOOD, ids=[case[1] for case in GOOD])
def test_an_ordinary_session_passes(asset: str, name: str, rows: list[dict[str, object]]) -> None:
    """Also warnings of controls, explained differences, orders that are worked or ended."""
    assert result(asset, name, rows).passed


@pytest.mark.parametrize(("asset", "name", "rows", "line"), BAD, ids=[f"{n}-{case[1]}" for n, case in enumerate(BAD)])
def test_what_is_not_so_warns_with_its_row(asset: str, name: str, rows: list[dict[str, object]], line: str) -> None:
    """The severity is WARN: the run goes on, and what acts on the row has acted already."""
    found = result(asset, name, rows)
    assert (found.passed, found.severity, found.description) == (False, dg.AssetCheckSeverity.WARN, line)
    assert found.metadata["problems"].value == 1


def test_secrets_and_storms_are_kept_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret in a broker's reason is masked; of a thousand rows ten are shown."""
    monkeypatch.setenv("SOME_API_KEY", "canary-Rt55-Vb31-Zz90")
    rows = [sent("REJECTED") | {"reason": "no canary-Rt55-Vb31-Zz90 " + "x" * 5_000}] * 1_000
    told = str(result("submissions", "nothing_in_doubt", rows).metadata["first"].value)
    assert "canary-Rt55" not in told
    assert len(told) < 3_000
