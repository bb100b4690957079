"""Answers that were given before, in a Redis server that several homes may share: litellm's own cache, used by the worker alone.

It is an option that saves money. The store stays the record: an answer from here is recorded like any other, and its body says so.
litellm's automatic use of its cache needs its proxy's packages when there is a hit (1.110.2), therefore it is asked and told here.
A cache that is not there, silent or full of nonsense is no cache; what it holds is a claim and passes the same gate as any answer.
"""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from marketbot_resources.ledger.record import Json
from marketbot_resources.llm import LlmAnswer

if TYPE_CHECKING:
    from litellm.caching.caching import Cache

SECONDS_MAX = 0.5  # of one exchange with the server
KEPT_SECONDS = 7 * 86_400


class AnswerCache:
    """Answers by the hash of their question. No method raises for what the server does."""

    def __init__(self, cache: "Cache") -> None:
        self._cache = cache

    def get(self, question: str) -> LlmAnswer | None:
        """The answer to a question, marked in its body; None when there is none."""
        told = self._cache.get_cache(cache_key=_key(question))
        try:
            answer = LlmAnswer(**(told if isinstance(told, dict) else json.loads(told)))
            body = cast("dict[str, Json]", json.loads(answer.body))
            texts, counts = (answer.text, answer.model, answer.fingerprint), (answer.tokens_in, answer.tokens_out)
            if not all(isinstance(one, str) for one in texts) or not all(
                type(one) in (int, type(None)) for one in counts
            ):
                return None
            return LlmAnswer(**{**asdict(answer), "body": json.dumps({**body, "cached": True})})
        except (TypeError, ValueError, RecursionError):
            return None

    def put(self, question: str, answer: LlmAnswer) -> None:
        """Keeps an answer for some days."""
        self._cache.add_cache(json.dumps(asdict(answer)), cache_key=_key(question), cache={"ttl": KEPT_SECONDS})


def open_cache(address: str) -> AnswerCache | None:
    """The cache at a redis:// address; None when no server answers there. Raises what litellm and redis raise for nonsense."""
    told = urlsplit(address)
    if told.scheme not in ("redis", "rediss") or not told.hostname:
        return None
    from litellm.caching.caching import Cache

    cache = Cache(
        type="redis",  # type: ignore[arg-type]
        url=address,
        socket_timeout=SECONDS_MAX,
        socket_connect_timeout=SECONDS_MAX,
    )
    cache.cache.redis_client.ping()
    return AnswerCache(cache)


def _key(question: str) -> str:
    return f"marketbot:llm:{question}"
