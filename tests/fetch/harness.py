"""What the tests of the fetcher share: time that passes only when somebody waits, and a fetcher of a home."""

import asyncio
import datetime as dt
import random
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from marketbot_resources.fetch.address import Resolve, machine_resolve
from marketbot_resources.fetch.fetcher import Fetcher, Time
from marketbot_resources.fetch.policy import Failure, Policy, Terms
from marketbot_resources.fetch.states import ProviderStates
from marketbot_resources.provider import Request, Response

START = dt.datetime(2026, 3, 2, 12, 0, tzinfo=dt.UTC)
LOCAL = frozenset({"127.0.0.1"})


class PatientTime:
    """Time that passes when it is waited for, at once. `waits`: every wait in seconds, in order."""

    def __init__(self) -> None:
        self.clock = 1000.0
        self.waits: list[float] = []
        self.time = Time(self.now, lambda: self.clock, self.sleep)

    def now(self) -> dt.datetime:
        return START + dt.timedelta(seconds=self.clock - 1000.0)

    def pass_by(self, seconds: float) -> None:
        self.clock += seconds

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.clock += seconds
        await asyncio.sleep(0)


def make_fetcher(
    home: Path,
    time: PatientTime | None = None,
    *,
    secrets: Mapping[str, str] | None = None,
    resolve: Resolve = machine_resolve,
    tls: ssl.SSLContext | None = None,
    seed: int = 7,
    **policy: Any,
) -> Fetcher:
    """A fetcher that may ask this machine, at any pace, unless the policy says otherwise."""
    given = {"local_hosts": LOCAL, "default_terms": Terms(per_second=1e6, burst=1000), **policy}
    return Fetcher(
        Policy(**given),
        ProviderStates(home),
        secret=dict(secrets or {}).get,
        rng=random.Random(seed),
        time=(time or PatientTime()).time,
        resolve=resolve,
        tls=tls,
    )


def one(fetcher: Fetcher, url: str, **request: Any) -> Response | Failure:
    """The answer to one request to the provider `vendor`."""
    return fetcher.fetch_all([Request(url, **request)], "vendor")[0]


def good(answer: Response | Failure) -> Response:
    assert isinstance(answer, Response), answer
    return answer


def bad(answer: Response | Failure) -> Failure:
    assert isinstance(answer, Failure), answer
    assert "\n" not in answer.reason
    return answer
