"""F33: a bucket that throttles, fails, hangs or lies during a run: nothing is sent before it is durable, and the run goes on.

The base's objects are copied to a prefix of its own per point; its next session runs through a proxy that misbehaves from one
request on, then without it. Afterwards the books are those of an undisturbed run and every object is whole.
"""

import contextlib
import shutil
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from command_world import Seen, command, keep_environment, seen, sent_once
from graph_invariants import assert_sound
from graph_world import NEXT, Home
from postgres_world import closing_lakes
from s3_world import Door, FaultProxy, Request, seaweed
from services import S3

from marketbot_resources.store.inspection import store_faults

# what happens to every request from one on, and after which share of the requests of an undisturbed session that begins
POINTS = [
    ("wrong", 0.0),  # first in its home: later ones read from the cache
    *((trouble, (n + k / 3 + 0.1) / 5) for k, trouble in enumerate(("503", "500", "cut")) for n in range(5)),
    *(("lost", 0.2), ("lost", 0.9), ("403", 0.5), ("hang", 0.7)),
]
HOMES = 7  # that the points are spread over, so that each sees early and late ones
SHORT = [("503", 0.5), ("lost", 0.3), ("cut", 0.95)]
PREFIX = "first/"
Trouble = Callable[[Request], str]
pytestmark = [pytest.mark.graph, pytest.mark.long]


@dataclass(frozen=True)
class Place:
    """The base's objects in a bucket, homes that use copies of them, and what an undisturbed session makes of one."""

    door: Door
    bucket: str
    base: Home
    undisturbed: Seen
    patch: pytest.MonkeyPatch

    @contextlib.contextmanager
    def home(self, folder: Path, prefix: str) -> Iterator[Home]:
        """A copy of the base, its objects under a prefix of its own."""
        for page in self.door.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=PREFIX):
            for one in page["Contents"]:
                source, key = {"Bucket": self.bucket, "Key": one["Key"]}, one["Key"].replace(PREFIX, f"{prefix}/", 1)
                self.door.client.copy_object(Bucket=self.bucket, Key=key, CopySource=source)
        shutil.copytree(self.base.path, folder / "home", ignore=shutil.ignore_patterns("store"))
        home = Home(folder / "home")
        self.patch.setenv("MARKETBOT_HOME", str(home.path))
        self.patch.setenv("MARKETBOT_STORE", f"s3://{self.bucket}/{prefix}")
        yield home

    def run(self, home: Home, trouble: Trouble) -> tuple[int, str, int]:
        """The session through a proxy: exit code, what was said, how many requests."""
        with FaultProxy(self.door.endpoint, trouble) as proxy:
            self.door.use(self.patch, proxy.endpoint)
            with closing_lakes(home):
                code, said = command(NEXT)
            self.door.use(self.patch)
        return code, said, len(proxy.requests)


@pytest.fixture
def place(s3: S3, base: Home, undisturbed: Home, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Objects in a bucket; what is wanted is what a home of files has."""
    keep_environment(monkeypatch)
    door, wanted = seaweed(s3), seen(undisturbed)
    door.use(monkeypatch)
    bucket, root = door.bucket(), base.path / "store"
    for path in root.rglob("*"):
        if path.is_file():
            key = f"{PREFIX}{path.relative_to(root).as_posix()}"
            door.client.put_object(Bucket=bucket, Key=key, Body=path.read_bytes())
    return Place(door, bucket, base, wanted, monkeypatch)


def fails(place: Place, home: Home, trouble: str, since: int) -> str:
    """A run through a bucket that misbehaves: never a half batch."""

    def what(request: Request) -> str:
        lies = trouble != "wrong" or request.method == "GET"
        return trouble if request.number >= since and lies else ""

    code, said, requests = place.run(home, what)
    if requests < since:  # what is stored already is not put again
        return ""
    assert code in (1, 2), said
    assert "Traceback" not in said
    assert place.door.secret not in said
    told, whole = len(home.at_broker()) - len(place.base.at_broker()), len(place.undisturbed.orders)
    assert told in (0, whole - len(place.base.at_broker())), "half a batch was sent"
    return f"failed with {told} orders at the broker"


def goes_on(place: Place, home: Home) -> None:
    """The same command, with a bucket that answers: the same end, and every object whole."""
    with closing_lakes(home):
        assert command(NEXT) == (0, "")
        assert seen(home) == place.undisturbed
        assert sent_once(home)
        assert_sound(home)
        assert [str(fault) for fault in store_faults(home.lake, contents=False)] == []


def points(place: Place, folder: Path, chosen: list[tuple[str, float]]) -> list[str]:
    """What became of the run at each point; a home sees several, one after the other, before its bucket answers."""
    with place.home(folder / "counted", "counted") as home:
        code, said, requests = place.run(home, lambda _: "")
        assert (code, said) == (0, "")
        assert seen(home) == place.undisturbed
    print(f"{requests} requests of an undisturbed session", flush=True)
    homes, outcomes = range(min(HOMES, len(chosen))), list[str]()
    work = deque(sorted(chosen[first::HOMES], key=lambda one: one[1]) for first in homes)
    while work:
        left = work.popleft()
        with place.home(folder / f"after-{len(outcomes)}", f"after-{len(outcomes)}") as home:
            for number, (trouble, share) in enumerate(left):
                since = 1 + int(share * requests)
                if not (told := fails(place, home, trouble, since)):
                    work.append(left[number:])
                    break
                outcomes.append(told)
                print(f"{len(outcomes)}: {trouble} from request {since} on: {told}", flush=True)
            goes_on(place, home)
    return outcomes


def test_a_run_goes_on_where_the_bucket_failed(place: Place, tmp_path: Path) -> None:
    """Three points."""
    assert len(points(place, tmp_path, SHORT)) == len(SHORT)


def test_at_twenty_points_nothing_is_torn_or_sent_by_half(place: Place, tmp_path: Path) -> None:
    """Throttled, failing, cut, silent and lying, from the first request to the last."""
    assert len(points(place, tmp_path, POINTS)) == len(POINTS) == 20


def test_a_slow_bucket_only_costs_time(place: Place, tmp_path: Path) -> None:
    """Every answer in pieces, and every tenth request throttled once: the session ends as if nothing had been."""
    with place.home(tmp_path, "slow") as home:
        code, said, _ = place.run(home, lambda request: "503" if request.number % 10 == 0 else "slow")
        assert (code, said) == (0, "")
        assert seen(home) == place.undisturbed
