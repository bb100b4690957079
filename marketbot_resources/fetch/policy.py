"""How providers are asked: every bound of the fetcher in one place, with its unit; and what a failed request is. Pure.

Not here: counting and sending (`states`, `fetcher`).
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

from marketbot_resources.provider import Response

MEGABYTE = 1_000_000
REASON_MAX = 600


@dataclass(frozen=True, slots=True)
class Terms:
    """What one provider is asked at most. `per_second` and `burst` hold for each of its hosts; `per_day` None: no limit.

    `seconds_max`: one attempt from its first byte to its last; `connections` at the same time to one host.
    """

    per_second: float = 5.0
    burst: int = 5
    connections: int = 4
    per_day: int | None = None
    body_bytes_max: int = 20 * MEGABYTE
    seconds_max: float = 120.0


FEED_TERMS = Terms(per_second=1.0, burst=2, connections=2, body_bytes_max=5 * MEGABYTE, seconds_max=10.0)


@dataclass(frozen=True, slots=True)
class Policy:
    """Bounds of a fetcher. Times in seconds; `attempts_max` counts the first attempt too.

    A wait that a provider asks for (`Retry-After`) is kept when it is at most `retry_after_max`, else the request fails at once.
    The breaker of a provider opens after `breaker_failures` failed requests in a row, for `breaker_rest`. `memo_bytes_max` bounds
    the bodies that are kept to answer an equal request of the same run. `local_hosts`: for tests on one machine; these names, and
    only these, may use plain http, any port, and loopback addresses.
    """

    terms: Mapping[str, Terms] = field(default_factory=dict)
    default_terms: Terms = field(default_factory=Terms)
    batch_seconds: float = 600.0
    concurrency: int = 8
    connect_seconds: float = 10.0
    read_seconds: float = 30.0
    write_seconds: float = 10.0
    attempts_max: int = 4
    backoff_base: float = 1.0
    backoff_max: float = 30.0
    retry_after_max: float = 120.0
    redirects_max: int = 3
    breaker_failures: int = 5
    breaker_rest: dt.timedelta = dt.timedelta(minutes=5)
    memo_bytes_max: int = 64 * MEGABYTE
    user_agent: str = "marketbot"
    local_hosts: frozenset[str] = frozenset()

    def terms_of(self, provider: str) -> Terms:
        """The terms of a provider."""
        return self.terms.get(provider, self.default_terms)


def one_line(text: str) -> str:
    """A reason as it may stand in a terminal or a log: one line of printable characters, bounded."""
    return "".join(sign if sign.isprintable() else "?" for sign in " ".join(text.split()))[:REASON_MAX]


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that got no usable answer. `reason`: one line; `url` and `reason` hold no secret.

    `response`: the last answer of another status than 200, when one arrived whole: evidence.
    """

    provider: str
    url: str
    reason: str
    response: Response | None = None
