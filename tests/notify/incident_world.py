"""A home with a mailbox, for faults planted in its surroundings: servers that misbehave, full disks, altered files.

Everything is the product's own: the run, its hooks, the sensor, the notifier's process, SMTP. Only ports are given twins.
Not here: any statement about the product.
"""

import datetime as dt
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path

import dagster as dg
import yaml

sys.path.extend(str(Path(__file__).parents[1] / folder) for folder in ("", "graph", "llm", "broker", "notify"))

from alert_servers import HookServer, MailServer
from graph_world import FIRST, NEXT, QUIET, ROOT, SECOND, Home, Overrides
from standing_clock import Standing

from marketbot_assets.automation_alerts import alert_sensor
from marketbot_assets.definitions import build_definitions
from marketbot_resources import notifier_process
from marketbot_resources.clock import Clock
from marketbot_resources.store.resource import StoreResource
from marketbot_resources.unrecorded import Unrecorded
from marketbot_resources.wiring import ClockResource, MandateResource

WAIT_SECONDS = 600.0  # of a busy machine, and of a notifier that waits to ask again
CHECKED = ("ASSET_CHECK_EVALUATION", "STEP_FAILURE")


class StandingClock(ClockResource):
    """Live, at one instant (ISO text)."""

    at: str

    def open(self) -> Clock:
        return Standing(dt.datetime.fromisoformat(self.at))


@dataclass
class World:
    """Servers, a folder, the mandate in force, and the instants at which steps were checked (step -> Unix time)."""

    folder: Path
    mail: MailServer
    hook: HookServer
    watcher: HookServer
    checked: dict[str, float] = field(default_factory=dict)
    found: dict[str, float] = field(default_factory=dict)  # code -> when the step was checked whose hook found it first
    kept: Path | None = None  # where the first home is kept for the next time
    mounts: list[Path] = field(default_factory=list)
    count: int = 0

    def section(self, **more: object) -> dict[str, object]:
        """The section notification: a mailbox for everything, then a webhook."""
        mail = {"name": "mail", "kind": "smtp", "host": "127.0.0.1", "port": self.mail.port, "security": "plain",
                "from": "bot@example.org", "to": ["me@example.org"], "severity_min": "INFO"}  # fmt: skip
        return {"channels": [mail, {"name": "ops", "kind": "slack"}], **more}

    def mandate(self, changes: Mapping[str, str] | None = None, plain: object = None, **more: object) -> Path:
        """From here on the mandate is the project's own with this notification and these changes of its text."""
        text = (ROOT / "mandate.yaml").read_text(encoding="utf-8")
        for old, new in (changes or {}).items():
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        told = yaml.safe_load(text) if plain is None else plain
        assert isinstance(told, dict)
        path = self.folder / "mandate.yaml"
        path.write_text(yaml.safe_dump(told | {"notification": self.section(**more)}), encoding="utf-8")
        os.environ["MARKETBOT_MANDATE"] = str(path)
        return path

    def new(self) -> Home:
        """A home that does not exist yet."""
        self.count += 1
        return Home(self.folder / f"home{self.count}")

    def base(self) -> Home:
        """A copy of a home of two sessions from cash, of which nobody was told; the mandate then gets its channels."""
        kept = Home(self.kept or self.folder / "base")
        if not kept.path.exists():
            os.environ.pop("MARKETBOT_MANDATE", None)
            made = self.new()
            for session in (FIRST, SECOND):
                assert self.run(made, session)
            made.copy(kept.path)
        self.mandate()
        return kept.copy(self.new().path)

    def known(self) -> Home:
        """The same, and the home knows its channels already: what the sensor reads is the mandate that is stored."""
        home = self.base()
        assert self.run(home, NEXT, only="mandate")
        self.forget()
        return home

    def run(
        self, home: Home, session: str, overrides: Overrides | None = None, job: str = "daily", only: str = ""
    ) -> bool:
        """One run; afterwards `checked` has the instant of each step's last check, or of its failure."""
        with at_home(home), dg.DagsterInstance.ephemeral() as instance:
            result = build_definitions(overrides).resolve_job_def(job).execute_in_process(
                partition_key=session if job != "order_following" else None, instance=instance, raise_on_error=False,
                run_config=QUIET, asset_selection=[dg.AssetKey(only)] if only else None,
            )  # fmt: skip
            for one in instance.all_logs(result.run_id):
                event = one.dagster_event
                if event is not None and event.event_type_value in CHECKED and event.step_key:
                    self.checked[event.step_key] = one.timestamp
                elif one.user_message.startswith("alert ") and one.step_key:
                    code = one.user_message.split()[2].partition("/")[0]
                    self.found.setdefault(code, self.checked[one.step_key])
        return result.success

    def tick(self, home: Home, clock: ClockResource | None = None) -> str:
        """One tick of the sensor; what it says."""
        with at_home(home), dg.DagsterInstance.ephemeral() as instance:
            resources = {"store": StoreResource(), "mandate_file": MandateResource(), "clock": clock or ClockResource()}
            self.checked["alert_sensor"] = time.time()
            found = alert_sensor(dg.build_sensor_context(instance=instance, resources=resources))
        assert isinstance(found, dg.SkipReason)
        return str(found.skip_message)

    def quiet(self, home: Home) -> None:
        """Waits until no notifier of this process works any more."""
        end = time.monotonic() + WAIT_SECONDS
        while any(one.poll() is None for one in notifier_process._started):
            assert time.monotonic() < end, f"a notifier goes on: {Unrecorded(home.path).lines()}"
            time.sleep(0.02)

    def told(self) -> dict[str, tuple[float, EmailMessage]]:
        """Title -> (when it arrived, the mail); a title that came twice is an error."""
        titles = [str(mail["Subject"]).strip() for mail in self.mail.mails]
        assert len(set(titles)) == len(titles), sorted(titles)
        return {str(m["Subject"]).strip(): (at, m) for m, at in zip(self.mail.mails, self.mail.at, strict=True)}

    def forget(self) -> None:
        """Empties the mailbox and the webhooks."""
        self.checked.clear()
        self.found.clear()
        for server in (self.hook, self.watcher):
            server.posts.clear()
            server.requests.clear()
            server.faults.clear()
        for kept in (self.mail.mails, self.mail.taken, self.mail.at, self.mail.faults):
            kept.clear()

    def on_disk(self, home: Home, room: int) -> Home:
        """The home on a disk of its own with so many bytes left."""
        there = self.new().path
        there.mkdir()
        used = sum(-(-path.stat().st_size // 4096) * 4096 for path in home.path.rglob("*") if path.is_file())
        size = used + room
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(there)], check=True)
        self.mounts.append(there)
        shutil.copytree(home.path, there, dirs_exist_ok=True)
        return Home(there)

    def close(self) -> None:
        """Unmounts."""
        for place in self.mounts:
            subprocess.run(["umount", "-l", str(place)], check=False)


@contextmanager
def at_home(home: Home) -> Iterator[None]:
    """MARKETBOT_HOME for a block."""
    before = os.environ.get("MARKETBOT_HOME")
    os.environ["MARKETBOT_HOME"] = str(home.path)
    try:
        yield
    finally:
        os.environ.pop("MARKETBOT_HOME")
        os.environ.update({} if before is None else {"MARKETBOT_HOME": before})


@contextmanager
def open_world(folder: Path, kept: Path | None = None) -> Iterator[World]:
    """Servers run and the environment names them, until the block ends. `kept`: where the first home is, or will be."""
    before = dict(os.environ)
    with MailServer() as mail, HookServer() as hook, HookServer() as watcher:
        os.environ["MARKETBOT_SLACK_WEBHOOK"] = hook.address
        os.environ["MARKETBOT_HEARTBEAT_URL"] = watcher.address
        world = World(folder, mail, hook, watcher, kept=kept)
        try:
            yield world
        finally:
            world.close()
            os.environ.clear()
            os.environ.update(before)
