"""Secrets planted wherever the outside world can say one: after real sessions none is in any file or line of output."""

import contextlib
import gzip
import logging
import os
import sqlite3
import subprocess
import sys
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from graph_world import AFTER, NEXT, ROOT, Between, Home, Overrides

from marketbot_assets.definitions import build_definitions
from marketbot_assets.source import source_body
from marketbot_resources.broker.paper import PaperBroker
from marketbot_resources.ledger.examine import first_fault
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import AccountReport, Acknowledgement, Order, OrderState
from marketbot_resources.news.sample import SampleNews
from marketbot_resources.provider import Delivery, whole
from marketbot_resources.wiring import BrokerResource, Ports

pytestmark = pytest.mark.graph
MASK = "[redacted]"
MARK = "cAnArY7Zq"  # in every planted secret, several times: also a part of one is found
SECRET, PASSWORD = f"{MARK}/{MARK}+{MARK}", f"pw{MARK}{MARK}"
TOKEN = f"0{MARK}{MARK}{MARK}"
TOLD = f"refused {SECRET} with Authorization: Bearer {TOKEN} at https://app:{PASSWORD}@data.example/v1?apikey={TOKEN}"
LONG = f"{'x' * 470} {SECRET}"  # a reason is cut at 500 characters, in the middle of the secret


def tell() -> None:
    """Raises an error whose cause tells a secret, too, and logs it as a careless library would."""
    try:
        raise OSError(TOLD)
    except OSError as error:
        logging.getLogger("some.library").warning("retrying after %s", error, exc_info=True)
        raise RuntimeError(f"news: {TOLD}") from error


class _TellingNews:
    def __init__(self, mood: str) -> None:
        self._mood, self._news = mood, SampleNews()

    def headlines(self, *bounds: Any) -> Delivery:
        (body,) = self._news.headlines(*bounds).bodies
        if self._mood == "raises":
            tell()
        content = f'{body.content.decode()}"{SECRET}"\n'.encode() if self._mood == "echoes" else body.content
        return whole(replace(body, url=f"https://data.example/news?apikey={TOKEN}&user={SECRET}", content=content))


class TellingPorts(Ports):
    """News whose URL names a secret; `mood`: raises an error that tells one, or echoes one in its body."""

    mood: str = ""

    @property
    def news(self) -> Any:
        return _TellingNews(self.mood)


class _Telling(Between):
    def __init__(self, broker: PaperBroker, mood: str) -> None:
        super().__init__(broker)
        self._mood, self._asked = mood, 0

    def submit(self, order: Order, at: Any) -> Acknowledgement:
        self._asked += 1
        if self._asked == 1:
            return Acknowledgement(order.client_order_id, OrderState.REJECTED, "B1", TOLD)
        answer: Acknowledgement = self._broker.submit(order, at)
        if self._asked == 2:
            raise ConnectionError(LONG)
        return answer

    def report(self, *bounds: Any) -> AccountReport:
        if self._mood == "raises":
            raise ConnectionError(TOLD)
        return self._broker.report(*bounds)


class TellingBroker(BrokerResource):
    """Rejects one order and loses the answer to another, each with a secret in what it says; `mood` raises: reports nothing."""

    mood: str = ""

    def open(self, mandate: Mandate, ports: Ports) -> Any:
        return _Telling(super().open(mandate, ports), self.mood)


def run(
    home: Home, instance: dg.DagsterInstance, session: str, overrides: Overrides, steps: Sequence[str] | None = None
) -> bool:
    """One run, of these steps alone when some are named, with Dagster's own logger, whose events are kept."""
    job = build_definitions(overrides).resolve_job_def("daily")
    selection = None if steps is None else [dg.AssetKey(step) for step in steps]
    return job.execute_in_process(
        partition_key=session, instance=instance, raise_on_error=False, asset_selection=selection
    ).success


def command(*arguments: str) -> str:
    """What a command says on both its outputs, with the secrets in its environment."""
    script = [sys.executable, "-W", "ignore", "-m", "marketbot_assets.cli", *arguments]
    done = subprocess.run(script, capture_output=True, text=True, env=dict(os.environ), cwd=ROOT, check=False)
    return done.stdout + done.stderr


def contents(path: Path) -> Iterator[bytes]:
    """A file as it is and as its readers see it: unpacked, decoded, each cell of a database."""
    data = path.read_bytes()
    yield data
    if path.suffix == ".gz":
        yield gzip.decompress(data)
    elif path.suffix == ".parquet":
        for column in pq.read_table(path).columns:  # type: ignore[no-untyped-call]
            if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
                yield "\n".join(filter(None, column.unique().to_pylist())).encode()
    elif data.startswith(b"SQLite format 3"):
        yield from cells(path)


def cells(path: Path) -> Iterator[bytes]:
    connection = sqlite3.connect(path)
    try:
        names = [name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")]
        for name in names:
            for value in (value for row in connection.execute(f'select * from "{name}"') for value in row):
                if isinstance(value, bytes):
                    yield value
                    with contextlib.suppress(zlib.error):  # what is packed is looked into
                        yield zlib.decompress(value)
                elif isinstance(value, str):
                    yield value.encode()
    finally:
        connection.close()


def everything(*folders: Path) -> dict[str, bytes]:
    files = [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path): b"\n".join(contents(path)) for path in files}


def test_what_looks_for_secrets_finds_them(tmp_path: Path) -> None:
    """A secret in a packed body, a column, a cell, a packed cell and a plain line is seen by `everything`."""
    plain = f"it is {SECRET}"
    (tmp_path / "a.gz").write_bytes(gzip.compress(plain.encode()))
    pq.write_table(pa.table({"text": [plain]}), tmp_path / "b.parquet")  # type: ignore[no-untyped-call]
    connection = sqlite3.connect(tmp_path / "c.sqlite")
    connection.execute("create table t(packed blob)")
    connection.execute("insert into t values (?)", (zlib.compress(plain.encode()),))
    connection.commit()
    connection.close()
    (tmp_path / "d.html").write_text(plain, encoding="utf-8")
    assert all(MARK.encode() in data for data in everything(tmp_path).values())
    assert len(everything(tmp_path)) == 4


def test_no_planted_secret_is_left_anywhere(
    home: Home,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """S9: secrets in the environment, a provider's URL, error and body, a broker's answers and errors, an operator's reason.

    Each place was really reached: where the secret stood, the mask stands.
    """
    monkeypatch.setenv("MARKETBOT_HOME", str(home.path))
    monkeypatch.setenv("DATA_API_KEY", SECRET)
    monkeypatch.setenv("DATABASE_URL", f"postgresql://app:{PASSWORD}@db.example/x")
    (tmp_path / "instance").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "instance")) as instance:
        assert run(home, instance, NEXT, {"ports": TellingPorts(), "broker": TellingBroker()})
        for overrides, step in (
            ({"ports": TellingPorts(mood="raises")}, "raw_news"),
            ({"ports": TellingPorts(mood="echoes")}, "raw_news"),
            ({"ports": TellingPorts(), "broker": TellingBroker(mood="raises")}, "account_snapshot"),
        ):
            assert not run(home, instance, AFTER, overrides, [step])
            assert not home.has(step, AFTER)
        said = command("halt", "--reason", TOLD)
        assert run(home, instance, AFTER, {"ports": TellingPorts()}), home.lake.ledger.entries("run_failed")[-1].body
    said += command("status") + command("explain", SECRET) + command("report", "--session", AFTER)
    out, err = capfd.readouterr()
    found = everything(home.path, tmp_path / "instance") | {
        "commands": said.encode(),
        "out": out.encode(),
        "err": err.encode(),
    }
    found["log"] = caplog.text.encode()
    assert [name for name, data in found.items() if MARK.encode() in data] == []
    assert len(found) > 100

    ledger = home.lake.ledger
    events = [str(event.body.get("reason", "")) for event in ledger.entries("order_event")]
    assert len([reason for reason in events if reason.startswith(f"refused {MASK}")]) == 1
    assert len([reason for reason in events if reason.startswith("ConnectionError: xxx")]) == 1
    failures = {entry.key.split("/")[2]: str(entry.body["reason"]) for entry in ledger.entries("run_failed", AFTER)}
    assert MASK in failures["account_snapshot"]
    assert [MASK in str(e.body["reason"]) for e in ledger.entries("run_failed", AFTER)] == [True, False, True]
    assert "own secrets" in failures["raw_news"]
    assert MASK in str(ledger.entries("operator_action")[-1].body["reason"])
    assert home.end(AFTER).state == "halted"
    assert MASK in "".join(home.frame("submissions", NEXT)["reason"])
    assert MASK in "".join(home.frame("account_snapshot", AFTER)["text"])
    assert [MASK in blob.url for blob in home.lake.index.blobs("raw_news", AFTER)] == [True]
    assert MASK in (home.path / "HALT").read_text(encoding="utf-8")
    assert all(MASK in text for text in (said, err, caplog.text))
    events_kept = b"".join(data for name, data in found.items() if "instance" in name)
    assert events_kept.count(b"RuntimeError: news: refused [redacted]") > 0
    assert events_kept.count(b"OSError: refused [redacted]") > 0
    assert first_fault(ledger) is None


def test_an_undisturbed_home_is_not_touched(undisturbed: Home) -> None:
    """Nothing that the product says by itself is taken for a secret: no mask in the evidence of its sessions."""
    masked = [name for name, data in everything(undisturbed.path).items() if MASK.encode() in data]
    assert [name for name in masked if source_body()[0] not in name] == [], (
        "our own source says the mask, nothing else does"
    )
