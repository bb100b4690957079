"""Lives through a month: real processes, a fast clock, servers that take alerts or do not, and what the script does to them.

It ends with what was told (`Month`); whether that is right is said in `month_oracles`.
"""

import datetime as dt
import json
import sqlite3
import threading
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field
from pathlib import Path

import yaml
from alert_servers import HookServer, MailServer
from month_clock import now, set_pace
from month_facts import Facts
from month_plan import AT_SENDING, KILLED, LATE, POWERLESS, Fault, Night, mandate_of
from month_processes import CODE, DAEMON, ROOT, SECOND, WEB, Used, installation, instance_file, kill, words_of

NEW_YORK_CLOSE = dt.time(22, 45)  # UTC of 17:45 in New York in winter: when a session is decided
WINDOW = dt.timedelta(minutes=30)
AFTER = dt.timedelta(minutes=40)
EARLY = dt.timedelta(minutes=10)
SLOW = 0.5  # simulated seconds per second while processes of the machine are waited for
SECOND_RUN_SECONDS = 60.0  # after the last run's end no further one is waited for
POWER_PACE = 2.0  # a machine that comes up again takes its own time
LOCK_SECONDS = 6.0
TOLD_SECONDS = 120.0  # a heartbeat comes each half minute; the alert comes once a day
READY_SECONDS, END_SECONDS, SETTLE_SECONDS = 180.0, 700.0, 400.0
FAILING = 400


@dataclass
class Row:
    """One session as it went. `fired`: the fault hit; `wall`: seconds from decide_at to its end; `lost`: answers of the webhook."""

    night: Night
    fired: bool = False
    wall: float = 0.0
    note: str = ""
    lost: int = 0


@dataclass
class Month:
    """What a month left, and what it used."""

    facts: Facts
    rows: list[Row] = field(default_factory=list)
    begin: dict[str, Used] = field(default_factory=dict)
    end: dict[str, Used] = field(default_factory=dict)
    starts: dict[str, int] = field(default_factory=dict)
    posts: list[str] = field(default_factory=list)
    post_requests: int = 0
    mails: list[tuple[str, str]] = field(default_factory=list)
    mails_taken: int = 0
    beats: list[str] = field(default_factory=list)
    unheard: list[str] = field(default_factory=list)
    wall: float = 0.0


def save(month: Month) -> None:
    """Keeps what is on no disk yet beside the rest, so that it can be judged later."""
    told = {name: value for name, value in asdict(month).items() if name != "facts"}
    (month.facts.folder / "month.json").write_text(json.dumps(told, default=str), encoding="utf-8")


def load(folder: Path) -> Month:
    """A month that was lived through in this folder."""
    told = json.loads((folder / "month.json").read_text(encoding="utf-8"))
    rows = []
    for row in told.pop("rows"):
        night = row.pop("night")
        session, fault = dt.date.fromisoformat(night["session"]), Fault(night["fault"])
        rows.append(Row(Night(session, fault, night["after"], tuple(night["hook"])), **row))
    used = {name: {key: Used(**value) for key, value in told.pop(name).items()} for name in ("begin", "end")}
    mails = [(name, text) for name, text in told.pop("mails")]
    return Month(Facts(folder), rows, mails=mails, **used, **told)


def decided_at(session: dt.date) -> dt.datetime:
    """When a session of the month is decided. The month lies in winter time."""
    return dt.datetime.combine(session, NEW_YORK_CLOSE, tzinfo=dt.UTC)


class Driver:
    """Does what the script says. `speed`: simulated seconds per second between sessions; `pace`: within a session's window.

    After `minutes_max` of the machine the month ends with the session that it is at.
    """

    def __init__(
        self,
        folder: Path,
        nights: tuple[Night, ...],
        *,
        speed: float,
        pace: float,
        say: Callable[[str], None],
        minutes_max: float = 120.0,
        location: str = "fast_location",
    ) -> None:
        self.folder, self.nights, self.speed, self.pace, self.say = folder, nights, speed, pace, say
        self.location = location
        self.seconds_max = 60.0 * minutes_max
        self.clock, self.month = folder / "clock.json", Month(Facts(folder))
        self.facts, self.workers = self.month.facts, list[int]()

    def run(self) -> Month:
        """The whole month."""
        begun = time.monotonic()
        with ExitStack() as stack:
            self.hook, self.beat = stack.enter_context(HookServer()), stack.enter_context(HookServer())
            self.mail = stack.enter_context(MailServer())
            self._write(self.mail.port)
            self.all = stack.enter_context(installation(self.folder, self._variables(), self.location))
            self._set(0.01, decided_at(self.nights[0].session) - EARLY, start=True)
            self._start()
            self.month.begin = self.all.measured()
            for night in self.nights:
                if time.monotonic() - begun > self.seconds_max:
                    self.say(f"time is over; the month ends before {night.session}")
                    break
                self._night(night)
                self._heard()
                save(self.month)
            self._settle()
            self.month.end, self.month.starts = self.all.measured(), dict(self.all.starts)
            self._heard()
        self.month.wall = time.monotonic() - begun
        save(self.month)
        return self.month

    def _write(self, mail_port: int) -> None:
        text = yaml.safe_load((ROOT / "mandate.yaml").read_text(encoding="utf-8"))
        last = self.nights[-1].session
        told = mandate_of(text, mail_port, last)
        (self.folder / "mandate.yaml").write_text(yaml.safe_dump(told, sort_keys=False), encoding="utf-8")
        instance_file(self.folder)

    def _variables(self) -> dict[str, str]:
        return {
            "MARKETBOT_HOME": str(self.facts.home),
            "MARKETBOT_MANDATE": str(self.folder / "mandate.yaml"),
            "MARKETBOT_SLACK_WEBHOOK": self.hook.address,
            "MARKETBOT_HEARTBEAT_URL": self.beat.address,
            "MONTH_CLOCK": str(self.clock),
            "MONTH_TICK": "5",
        }

    # --- time ---

    def _set(self, speed: float, until: dt.datetime, then: float = SLOW, *, start: bool = False) -> None:
        set_pace(self.clock, speed, until, then, until if start else None)

    def _now(self) -> dt.datetime:
        return now(self.clock)

    def _until(self, true: Callable[[], object], seconds: float, pause: float = 0.2) -> bool:
        """Waits for something, at most so many seconds of the machine; whether it came."""
        end = time.monotonic() + seconds
        while not true():
            if time.monotonic() > end:
                return False
            time.sleep(pause)
        return True

    def _pass(self, until: dt.datetime, then: float) -> None:
        """Lets the time pass quickly up to an instant."""
        self._set(self.speed, until, then)
        self._until(lambda: self._now() >= until, 1200.0, 0.05)

    # --- processes ---

    def _start(self) -> None:
        self.all.start(CODE)
        self._until(self._code_is_there, READY_SECONDS)
        self.all.start(WEB, DAEMON)
        assert self._until(self._web_is_there, READY_SECONDS), "the webserver does not answer"

    def _code_is_there(self) -> bool:
        import socket

        try:
            socket.create_connection(("127.0.0.1", self.all.code_port), 1.0).close()
        except OSError:
            return False
        return True

    def _web_is_there(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.all.web_port}/server_info", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    # --- a session ---

    def _night(self, night: Night) -> None:
        row = Row(night)
        self.month.rows.append(row)
        begins = decided_at(night.session)
        self._pass(begins - EARLY, SLOW)
        row.note = self._idle()
        self.workers = []
        self._before(night)
        begun = time.monotonic()
        if night.fault in LATE:
            self._pass(begins + WINDOW + AFTER, SLOW)
            row.fired = self._after_absence(night)
        else:
            self._set(self.speed, begins, POWER_PACE if night.fault in POWERLESS else self.pace)
            self._decided(night, row)
        row.wall = time.monotonic() - begun
        self._after(night, row)
        end = self.facts.ends().get(night.session.isoformat(), {})
        said = f"{end.get('state', 'no end yet')}: {str(end.get('reason', ''))[:110]}"
        hit = night.fault if row.fired or night.fault is Fault.NOTHING else f"{night.fault} (did not hit)"
        self.say(f"{night.session} {row.wall:5.0f} s  {hit}  ->  {said} {row.note}")

    def _idle(self) -> str:
        """Runs have ended before the next session begins, as they have in the hours of a real night."""
        begun = time.monotonic()
        fine = self._until(lambda: not self.facts.in_progress(), SETTLE_SECONDS)
        waited = time.monotonic() - begun
        stuck = "" if fine else f"STUCK {[(r.job, r.session, r.status) for r in self.facts.in_progress()]}"
        return stuck or (f"(waited {waited:.0f} s for runs)" if waited > 20 else "")

    def _before(self, night: Night) -> None:
        self.hook.faults = ["hang"] if night.fault is Fault.NOTIFIER else list(night.hook)
        if night.fault is Fault.TWO:
            self.all.start(SECOND)
        elif night.fault in (Fault.MISSED, Fault.NOTIFIER):
            self.all.stop(DAEMON)
        elif night.fault is Fault.OFF:
            self.all.power_off()
        elif night.fault is Fault.CHANNELS:
            self.hook.faults, self.mail.faults = ["500"] * FAILING, ["busy rcpt"] * FAILING

    def _after_absence(self, night: Night) -> bool:
        """Everything is there again, but for a machine that stays off; whether what was to happen then did."""
        later = [one.fault for one in self.nights if one.session > night.session]
        if night.fault is Fault.OFF and later and later[0] is Fault.OFF:
            return True
        self._start()
        self._until(lambda: night.session.isoformat() in self.facts.ends(), 60.0)
        if night.fault is not Fault.NOTIFIER:
            return True
        held = self._until(lambda: not self.hook.faults, 90.0, 0.05)
        killed = held and any([kill(pid) for pid in self.all.notifiers()])
        self._until(lambda: not self._untold(), 60.0)
        return killed

    def _decided(self, night: Night, row: Row) -> None:
        """Waits until the session has its end, or its run has died; the fault hits on the way."""
        label, sent, dead = night.session.isoformat(), self.facts.sending(), 0.0
        limit, left = time.monotonic() + END_SECONDS, 2 if night.fault is Fault.TWICE else 1
        patience = SECOND_RUN_SECONDS if night.fault in KILLED else 20.0
        while time.monotonic() < limit:
            if label in self.facts.ends():
                break
            if left and self._is_time(night, sent) and self._hit(night):
                row.fired, left, sent = True, left - 1, self.facts.sending()
            runs = [run for run in self.facts.runs() if run.session == label]
            over = bool(runs) and all(run.status in ("FAILURE", "CANCELED", "SUCCESS") for run in runs)
            dead = (dead or time.monotonic()) if over else 0.0
            if dead and time.monotonic() - dead > patience:
                break
            time.sleep(0.03)
        else:
            row.note += " no end within the wait"
        self._until(lambda: not self.facts.in_progress(), 60.0)
        row.fired |= night.fault in (Fault.TWO, Fault.CHANNELS)

    def _is_time(self, night: Night, sent: int) -> bool:
        if night.fault in AT_SENDING:
            alive = [pid for pid in self.workers if words_of(pid)]
            if not alive and self.facts.has("orders", night.session):
                alive = self.all.workers()
            self.workers = alive
            return self.facts.sending() > sent
        return night.fault is not Fault.NOTHING and self.facts.has(night.after, night.session)

    def _hit(self, night: Night) -> bool:
        """The fault; False when there was nothing to hit."""
        if night.fault in POWERLESS:
            hit = any([kill(pid) for pid in self.workers or self.all.workers()])
            self.all.power_off()
            time.sleep(2.0)
            self._start()
            return hit
        if night.fault in KILLED:
            return any([kill(pid) for pid in self.workers or self.all.workers()])
        if night.fault is Fault.LOCKED:
            threading.Thread(target=self._lock, daemon=True).start()
            return True
        named = {Fault.DAEMON: DAEMON, Fault.CODE: CODE, Fault.WEB: WEB}.get(night.fault)
        if named is None:
            return True
        self.all.kill(named)
        time.sleep(2.0)  # what a service manager takes
        self.all.start(named)
        return True

    def _two_are_told(self) -> bool:
        return any(entry.body["code"] == "SECOND_DAEMON" for entry in self.facts.ledger("alert"))

    def _lock(self) -> None:
        """Somebody else writes to the ledger's file for seconds."""
        with closing(sqlite3.connect(self.facts.home / "ledger.sqlite", timeout=30.0)) as connection:
            connection.execute("begin immediate")
            time.sleep(LOCK_SECONDS)
            connection.rollback()

    def _after(self, night: Night, row: Row) -> None:
        if night.fault is Fault.TWO:
            self._until(self._two_are_told, TOLD_SECONDS)
            self.all.stop(SECOND)
        row.lost = int("drop" in night.hook and "drop" not in self.hook.faults)
        if night.fault is Fault.CHANNELS:
            time.sleep(5.0)
        self.hook.faults, self.mail.faults = [], []

    # --- the end ---

    def _settle(self) -> None:
        """Nothing is in progress and everything was told."""
        self._set(1.0, self._now(), SLOW)
        self._until(
            lambda: not self.facts.in_progress() and not self.all.notifiers() and not self._untold(), 300.0, 1.0
        )

    def _untold(self) -> set[str]:
        told = {key for entry in self.facts.ledger("alert_sent") for key in entry.body["alerts"]}
        return {entry.key for entry in self.facts.ledger("alert")} - told

    def _heard(self) -> None:
        month = self.month
        month.posts, month.post_requests = list(self.hook.posts), len(self.hook.requests)
        month.mails = [
            (str(one["Message-ID"]), str(one["Subject"]) + "\n" + one.get_content()) for one in self.mail.mails
        ]
        month.mails_taken, month.beats = len(self.mail.taken), list(self.beat.posts)
