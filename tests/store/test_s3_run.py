"""F33: a bucket that throttles, fails, hangs or lies during a run: nothing is sent before it is durable, and the run goes on.

A home with one session is copied to a prefix of its own per point; its next session runs through a proxy that misbehaves from one
request on, then without it. Afterwards the books are those of an undisturbed run and every object is whole.
"""

import os
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from s3_world import Door, FaultProxy, Request, seaweed
from services import S3

from marketbot_resources.store.index_sqlite import SqliteIndex

ROOT, FIRST, SECOND = Path(__file__).parents[2], "2018-12-12", "2018-12-13"
BOOKS = ("target_portfolio", "order_plan", "risk_verdict", "orders", "positions", "book_state", "fills")
REQUESTS = 114  # of an undisturbed second session
POINTS = [
    *((trouble, 1 + REQUESTS * n // 5 + k) for k, trouble in enumerate(("503", "500", "cut")) for n in range(5)),
    *(("lost", 20), ("lost", 90), ("403", 50), ("hang", 70), ("wrong", 1)),
]
SHORT = [("503", 60), ("lost", 30), ("cut", 105)]
Orders = list[tuple[str, ...]]
pytestmark = [pytest.mark.graph, pytest.mark.long]


@dataclass(frozen=True)
class Prepared:
    """A home after one session, its objects in a bucket, and what an undisturbed second session makes of it."""

    door: Door
    bucket: str
    home: Path
    sent: Orders
    books: dict[str, str]
    sent_after: Orders


def marketbot(
    words: list[str], home: Path, address: str, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(("OPENBLAS_", "OMP_", "NUMBA_", "PYTHONPATH"))
    }
    given = {"PATH": os.environ["PATH"], "MARKETBOT_HOME": str(home), "MARKETBOT_STORE": address, **kept, **environment}
    script = [sys.executable, "-W", "ignore", "-m", "marketbot_assets.cli", *words]
    return subprocess.run(script, capture_output=True, text=True, env=given, cwd=ROOT, check=False, timeout=900)


def run(
    home: Path, address: str, environment: dict[str, str], session: str = SECOND
) -> subprocess.CompletedProcess[str]:
    return marketbot(["run", "--session", session], home, address, environment)


def sent(home: Path) -> Orders:
    """Orders that the paper broker has in its own file."""
    connection = sqlite3.connect(home / "broker.sqlite")
    try:
        return sorted(tuple(map(str, row)) for row in connection.execute("select client_order_id from orders"))
    finally:
        connection.close()


def books(home: Path) -> dict[str, str]:
    """What the session decided and holds, by content."""
    rows = SqliteIndex(home / "index.sqlite").of_part(SECOND)
    return {asset: rows[asset].content_sha256 for asset in BOOKS}


def placed(prepared: Prepared, folder: Path, prefix: str) -> tuple[Path, str]:
    """A copy of the prepared home with its objects under a prefix of its own."""
    door, home = prepared.door, folder / "home"
    shutil.copytree(prepared.home, home)
    for page in door.client.get_paginator("list_objects_v2").paginate(Bucket=prepared.bucket, Prefix="first/"):
        for one in page["Contents"]:
            source = {"Bucket": prepared.bucket, "Key": one["Key"]}
            key = one["Key"].replace("first/", f"{prefix}/", 1)
            door.client.copy_object(Bucket=prepared.bucket, Key=key, CopySource=source)
    return home, f"s3://{prepared.bucket}/{prefix}"


@pytest.fixture(scope="module")
def prepared(s3: S3, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    door, folder = seaweed(s3), tmp_path_factory.mktemp("s3run")
    bucket, home = door.bucket(), folder / "first"
    done = run(home, f"s3://{bucket}/first", door.environment(), FIRST)
    assert done.returncode == 0, done.stderr[-2000:]
    begun = Prepared(door, bucket, home, sent(home), {}, [])
    undisturbed, address = placed(begun, folder / "second", "undisturbed")
    done = run(undisturbed, address, door.environment())
    assert done.returncode == 0, done.stderr[-2000:]
    return Prepared(door, bucket, home, begun.sent, books(undisturbed), sent(undisturbed))


def disturbed(prepared: Prepared, folder: Path, trouble: str, since: int) -> None:
    home, address = placed(prepared, folder, f"{trouble}-{since}")
    if trouble == "wrong":
        shutil.rmtree(home / "store-cache")

    def what(request: Request) -> str:
        lies = trouble != "wrong" or request.method == "GET"
        return trouble if request.number >= since and lies else ""

    with FaultProxy(prepared.door.endpoint, what) as proxy:
        failed = run(home, address, prepared.door.environment(proxy.endpoint))
    assert failed.returncode != 0
    assert "Traceback" not in failed.stdout + failed.stderr, failed.stderr[-3000:]
    assert prepared.door.secret not in failed.stdout + failed.stderr
    assert sent(home) in (prepared.sent, prepared.sent_after), "half a batch was sent"
    done = run(home, address, prepared.door.environment())
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert sent(home) == prepared.sent_after
    assert books(home) == prepared.books
    checked = marketbot(["verify"], home, address, prepared.door.environment())
    assert checked.returncode == 0, checked.stdout[-2000:]


@pytest.mark.parametrize(("trouble", "since"), SHORT)
def test_a_run_goes_on_where_the_bucket_failed(prepared: Prepared, tmp_path: Path, trouble: str, since: int) -> None:
    """Three points."""
    disturbed(prepared, tmp_path, trouble, since)


@pytest.mark.parametrize(("trouble", "since"), POINTS)
def test_at_no_point_is_anything_torn_or_sent_by_half(
    prepared: Prepared, tmp_path: Path, trouble: str, since: int
) -> None:
    """Twenty points."""
    disturbed(prepared, tmp_path, trouble, since)


def test_a_slow_bucket_only_costs_time(prepared: Prepared, tmp_path: Path) -> None:
    """Every answer in pieces, and every tenth request throttled once: the session ends as if nothing had been."""
    home, address = placed(prepared, tmp_path, "slow")
    shutil.rmtree(home / "store-cache")
    with FaultProxy(prepared.door.endpoint, lambda request: "503" if request.number % 10 == 0 else "slow") as proxy:
        done = run(home, address, prepared.door.environment(proxy.endpoint))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert (sent(home), books(home)) == (prepared.sent_after, prepared.books)
