"""A year of small verdicts by hand, written through the real store and ledger: what happens when is said here."""

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path

import pandas as pd

from marketbot_assets.ingestion.parse_mandate import mandate_frame
from marketbot_assets.ingestion.schema import MANDATE
from marketbot_assets.portfolio.schema import ORDER_PLAN, TARGET_PORTFOLIO
from marketbot_assets.risk.schema import RISK_VERDICT
from marketbot_assets.risk.verdict import CONTROLS
from marketbot_resources.calendars import decision_sessions
from marketbot_resources.governance import admit, approve, in_force, take
from marketbot_resources.ledger.record import Json
from marketbot_resources.mandate import Mandate, parse_mandate
from marketbot_resources.mandate_directions import compare
from marketbot_resources.notary import Notary
from marketbot_resources.sessions import open_book
from marketbot_resources.signer import SignerProcess
from marketbot_resources.store.index import STATIC, Origin
from marketbot_resources.store.lake import Lake
from marketbot_resources.store.table import Table

Row = dict[str, object]
TEXT = (Path(__file__).parents[2] / "mandate.yaml").read_text(encoding="utf-8")
ORIGIN = Origin("test", "test", "", {})
IDS = [rule.id for rule, _ in CONTROLS]


def capped(hard: float) -> Mandate:
    return parse_mandate(TEXT.replace("{target: 0.0475, warn: 0.0490, hard: 0.0500}", f"{{hard: {hard}}}"))


PLAIN, TIGHT, LOOSE = (capped(hard) for hard in (0.05, 0.04, 0.06))


def control(name: str, status: str = "PASS", message: str = "", key: str = "", seen: float = 0.5) -> Row:
    """An answer against the limit 1."""
    numbers = {"observed": seen, "limit": 1.0, "headroom": 1.0 - seen}
    return {"kind": "CONTROL", "key": f"{name}|{key}", "control": name, "name": name, "status": status, **numbers} | {
        "message": message,
        "unit": "fraction of NAV",
    }


def order(key: str, name: str, planned: int, approved: int, instrument: str = "MB1", message: str = "") -> Row:
    quantities = {"planned_quantity": Decimal(planned), "approved_quantity": Decimal(approved)}
    row = {"kind": "ORDER", "key": key, "control": name, "name": instrument, "status": "SHRINK", "message": message}
    return row | quantities | {"unit": "shares"}


def breach(name: str, key: str, opened: str, sessions: int, status: str = "WARN", **more: object) -> Row:
    row = {"kind": "BREACH", "key": f"{name}|{key}", "control": name, "name": key, "opened": opened, "cause": "passive"}
    return {**row, "observed": float(sessions), "limit": 2.0, "status": status, "message": "moved", **more}


def answers(*loud: Row, without: Sequence[str] = ()) -> list[Row]:
    """Every control passes but for those given and left out."""
    named = {str(row["control"]) for row in loud if row["kind"] == "CONTROL"}
    return [*(control(name) for name in IDS if name not in named and name not in without), *loud]


def framed(table: Table, rows: Sequence[Mapping[str, object]], verdict: str = "APPROVED") -> pd.DataFrame:
    """Rows of a table; what is not given is blank."""
    blank: dict[str, object] = {
        "text": "",
        "number": 0.0,
        "integer": 1,
        "flag": False,
        "decimal": None,
        "date": pd.Timestamp("2019-01-01"),
    }
    blank["instant"] = pd.Timestamp("2019-01-01T00:00:00Z")
    start = {
        column.name: math.nan
        if column.nullable and column.kind == "number"
        else None
        if column.nullable
        else blank[column.kind]
        for column in table.columns
    }
    start |= {"verdict": verdict} if "verdict" in start else {}
    full = [start | dict(row) for row in rows]
    return pd.DataFrame(full, columns=table.names)


class Home:
    """A home of which only mandates, cutoffs, verdicts, decisions, ends and people's acts are written."""

    def __init__(self, path: Path, first: dt.date) -> None:
        self.lake, self.path = Lake(path), path
        open_book(self.lake.ledger, first, PLAIN.calendar, PLAIN.schedule)

    def mandate(self, day: dt.date, mandate: Mandate) -> None:
        admitted = admit(self.lake, day, mandate)
        self.lake.commit(mandate_frame(mandate), MANDATE, STATIC, reads=[], blobs=[], origin=ORIGIN)
        take(self.lake, admitted)

    def approve(self, mandate: Mandate, reason: str, *, signed: bool) -> None:
        standing = in_force(self.lake)
        assert standing is not None
        approve(self.lake, standing, mandate, compare(parse_mandate(standing.text), mandate), reason)
        if signed:
            signer = SignerProcess(self.path / "signer")
            Notary(self.lake.ledger, self.lake.index, signer, [], "marketbot.paper-1/ledger").checkpoint()

    def put(self, table: Table, part: str, frame: pd.DataFrame) -> str:
        return self.lake.commit(frame, table, part, reads=[], blobs=[], origin=ORIGIN).manifest_sha256

    def cutoff(self, part: str) -> None:
        self.lake.ledger.append("session_cutoff", part, {"session": part, "cutoff_at": f"{part}T22:45:00Z"})

    def end(self, part: str, state: str, reason: str = "done", orders: int = 3) -> None:
        self.lake.ledger.append("session_end", part, {"state": state, "reason": reason, "orders": orders})

    def decide(
        self,
        part: str,
        rows: Sequence[Row],
        *,
        verdict: str = "APPROVED",
        values: Mapping[str, float] | None = None,
        eased: str = "",
        decided: bool = True,
    ) -> None:
        """One session's verdict, with what it rests on where that is given, and the decision that names both."""
        worst = {"APPROVED": "WARN", "REJECTED": "REJECT_BATCH", "HALT": "HALT"}[verdict]
        batch = {"kind": "BATCH", "key": "verdict", "name": "verdict", "status": worst}
        manifests = {"risk_verdict": self.put(RISK_VERDICT, part, framed(RISK_VERDICT, [*rows, batch], verdict))}
        if values is not None:
            plan = [
                {"client_order_id": key, "value_base": value, "quantity": Decimal(1)} for key, value in values.items()
            ]
            manifests["order_plan"] = self.put(ORDER_PLAN, part, framed(ORDER_PLAN, plan))
        if eased:
            target = framed(TARGET_PORTFOLIO, [{"instrument": "CASH", "eased": eased}])
            manifests["target_portfolio"] = self.put(TARGET_PORTFOLIO, part, target)
        if decided:
            body: dict[str, Json] = {"session": part, "manifests": manifests, "versions": {"code": "c1"}}
            self.lake.ledger.append("decision", part, body)

    def act(self, n: int, action: str, reason: str, **more: Json) -> None:
        body: dict[str, Json] = {"n": n, "operator": "cli", "user": "ada", "action": action, "reason": reason, **more}
        self.lake.ledger.append("operator_action", f"{n:06d}", body)

    def alert(self, code: str, subject: str, day: str, *, heard: bool) -> None:
        key = f"{code}/{subject}/{day}"
        body: dict[str, Json] = {"code": code, "severity": "ERROR", "subject": subject, "session": day, "message": "m"}
        self.lake.ledger.append("alert", key, body)
        told: dict[str, Json] = {"alerts": [key], "channel": "ops", "at": f"{day}T23:00:00Z"}
        if heard:
            self.lake.ledger.append("alert_sent", key, {**told, "answer": "250"})
        else:
            self.lake.ledger.append("alert_failed", f"{key}/1", {**told, "reason": "refused", "lasting": False})


SECTOR = control("RC-32", "WARN", "passive: sector cap IT: 1.05 against 1", "IT", 1.05)
CAP = control("RC-30", "WARN", "passive: position cap MB7: 1.1 against 1", "MB7", 1.1)
LADDER = control("RC-60", "WARN", "drawdown 0.06, rung SCALED")
LATE = ("2019-12-26", "2019-12-27", "2019-12-30", "2019-12-31")
EVENTS: dict[str, list[Row]] = {
    "2019-02-04": answers(SECTOR, breach("RC-32", "IT", "2019-02-04", 0)),
    "2019-02-05": answers(SECTOR, breach("RC-32", "IT", "2019-02-04", 1)),
    "2019-02-06": answers(breach("RC-32", "IT", "2019-02-04", 2, "PASS")),
    "2019-03-05": answers(
        control("RC-10", "WARN", "participation 0.011"),
        order("o1", "RC-10", 100, 40, message="participation 0.02 of the day"),
        order("o2", "RC-10", 10, 0),
        order("o3", "RC-18", 100, 50, "FX:GBP"),
        order("o4", "", 7, 7),
    ),
    "2019-03-06": answers(order("o5", "RC-26", 30, 20)),
    **{day: answers(LADDER) for day in ("2019-10-01", "2019-10-02", "2019-10-03")},
    "2019-05-02": answers(breach("RC-67", "", "2019-05-01", 1, "PASS", cause="active", halt_class="A", limit=math.nan)),
    "2019-11-01": answers(without=["RC-52"]),
    **{day: answers(CAP, breach("RC-30", "MB7", LATE[0], n)) for n, day in enumerate(LATE)},
}


def make_year(path: Path) -> Home:
    """2019, session by session. Nothing is stored of 2019-06-04, a verdict but no decision and no end of 2019-07-01."""
    days = decision_sessions(PLAIN.calendar, dt.date(2019, 1, 1), dt.date(2019, 12, 31))
    home = Home(path, days[0])
    home.mandate(days[0], PLAIN)
    for day in days:
        part = day.isoformat()
        if part == "2019-09-10":
            home.mandate(day, TIGHT)
        if part == "2019-10-15":
            home.mandate(day, PLAIN)
        if part == "2019-06-04":
            continue
        if part == "2019-06-03":
            home.end(part, "skipped", "never started; its deadline has passed", orders=0)
            continue
        home.cutoff(part)
        _session(home, part)
        _people(home, part)
    home.alert("WEEKLY_TEST", "ops", "2020-01-06", heard=True)
    return home


def _session(home: Home, part: str) -> None:
    if part == "2019-04-01":
        loud = control("RC-08", "REJECT_BATCH", "order value 1.2 against 1", "o6", 1.2)
        home.decide(
            part,
            answers(loud, order("o6", "RC-08", 5, 0), order("o7", "RC-08", 5, 0)),
            verdict="REJECTED",
            values={"o6": 70_000.0, "o7": 30.005},
        )
        home.end(part, "rejected", "RC-08", orders=0)
    elif part == "2019-05-01":
        lost = control("RC-67", "HALT", "the broker's report is missing", seen=math.nan)
        opened = breach("RC-67", "", part, 0, "HALT", cause="active", halt_class="A", limit=math.nan)
        home.decide(part, answers(lost, opened), verdict="HALT")
        home.end(part, "halted", "RC-67", orders=0)
    elif part == "2019-07-01":
        home.decide(part, answers(), decided=False)
    else:
        values = {"o1": 1000.0, "o2": 55.55, "o3": 9.0, "o4": 1.0} if part == "2019-03-05" else None
        eased = "RC-40 ten largest: 0.43 -> 0.44 NAV" if part == "2019-03-04" else ""
        home.decide(part, EVENTS.get(part, answers()), values=values, eased=eased)
        home.end(part, "sent")


def _people(home: Home, part: str) -> None:
    if part == "2019-02-04":
        home.alert("LIMIT_BREACH", "RC-32", part, heard=True)
    if part == "2019-05-01":
        home.alert("HALT_A", "RC-67", part, heard=False)
    if part == "2019-01-07":
        home.alert("WEEKLY_TEST", "ops", part, heard=True)
    if part == "2019-05-20":
        home.act(1, "halt", "A drill of the kill switch", level="cancel-all")
        home.act(2, "resume", "drill over")
    if part == "2019-05-21":
        home.act(3, "halt", "this is not a drill")
    if part == "2019-09-03":  # the providers were asked again: a version that no decision names
        again = framed(RISK_VERDICT, [*answers(control("RC-13", "HALT", "twice")), {"kind": "BATCH", "key": "verdict"}])
        home.put(RISK_VERDICT, part, again.assign(status=again["status"].replace("", "HALT")))
    if part == "2019-10-14":
        home.approve(PLAIN, "room for a larger book", signed=True)
    if part == "2019-12-30":
        home.approve(LOOSE, "too tight", signed=False)
