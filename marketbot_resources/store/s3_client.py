"""One question to S3, asked again where that may help; boto3 is imported at the first one.

Every question here may be repeated: a put is conditional and of bytes that its name fixes. Endpoint, region and credentials are
those that boto3 finds (AWS_ENDPOINT_URL, AWS_DEFAULT_REGION, ...). Not here: what is asked (`s3_objects`).
"""

import os
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from marketbot_resources import settings
from marketbot_resources.errors import HomeError, MissingObject, StoreError

T = TypeVar("T")
REPEATABLE = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
GONE = frozenset({"NoSuchKey", "404", "NotFound"})
TEXT_MAX = 200
BROUGHT = "`marketbot store copy` brings a home's objects there"


@dataclass(frozen=True, slots=True)
class Patience:
    """Time limits of one request in seconds, and how a question is repeated: after random pauses that grow, until a total time.

    `altered`: how often bytes that are not what their name says are asked for; a line can garble them.
    """

    connect: float = 5.0
    read: float = 20.0
    attempts: int = 5
    pause: float = 0.2
    pause_max: float = 5.0
    total: float = 60.0
    altered: int = 2


class S3Client:
    """A bucket's door, for all threads of a process; a fork gets its own."""

    def __init__(self, name: str, threads: int, patience: Patience) -> None:
        self.name, self._threads, self._patience = name, threads, patience
        self._lock = threading.Lock()
        self._made: tuple[int, Any] | None = None

    def ask(self, what: str, question: Callable[[Any], T]) -> T:
        """The answer to a question, which gets the boto3 client.

        Raises MissingObject, StoreError when the question says so of every answer, HomeError for everything else.
        """
        started, altered, attempt = time.monotonic(), 0, 0
        while True:
            attempt += 1
            try:
                return question(self._client())
            except MissingObject:
                raise
            except StoreError:
                altered += 1
                if altered >= self._patience.altered:
                    raise
            except Exception as error:
                why = self._why(error, what)
                late = time.monotonic() - started >= self._patience.total
                if why is None or late or attempt >= self._patience.attempts:
                    tried = f" (asked {attempt} times)" if attempt > 1 else ""
                    raise HomeError(f"store: expected to {what} in {self.name}, found: {_said(error)}{tried}") from None
            time.sleep(self._pause(attempt))

    def _pause(self, attempt: int) -> float:
        most = min(self._patience.pause_max, self._patience.pause * 2**attempt)
        return random.uniform(0.0, most)

    def _why(self, error: Exception, what: str) -> str | None:
        """Why a question may be asked again; None when it may not. Raises MissingObject; an error that is not S3's goes on."""
        from botocore import exceptions as found
        from urllib3.exceptions import HTTPError

        if isinstance(error, found.ClientError):
            code, status = code_of(error), error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            if code in GONE:
                raise MissingObject(f"store: expected to {what} in {self.name}, found no object; {BROUGHT}") from None
            return code if status in REPEATABLE else None
        # a body that ends early or a reset while it is read come as they are from the library below
        passing = (found.HTTPClientError, found.ConnectionError, found.IncompleteReadError, HTTPError, OSError)
        if isinstance(error, passing):
            return type(error).__name__
        if not isinstance(error, found.BotoCoreError):
            raise error
        return None

    def _client(self) -> Any:
        with self._lock:
            if self._made is None or self._made[0] != os.getpid():
                self._made = os.getpid(), self._connected()
            return self._made[1]

    def _connected(self) -> Any:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        elsewhere = any(settings.variable(name) for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"))
        config = Config(
            connect_timeout=self._patience.connect,
            read_timeout=self._patience.read,
            retries={"total_max_attempts": 1, "mode": "standard"},
            max_pool_connections=self._threads,
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"addressing_style": "path" if elsewhere else "auto"},
        )
        try:
            client = boto3.session.Session().client("s3", config=config)
        except (BotoCoreError, ValueError) as error:
            raise HomeError(f"store: expected to reach {self.name}, found: {_said(error)}") from None
        return client


def code_of(error: Any) -> str:
    """The code of an S3 error answer."""
    return str(error.response.get("Error", {}).get("Code", ""))


def _said(error: Exception) -> str:
    """What went wrong, in one short line; credentials are in none of these."""
    from botocore.exceptions import ClientError

    if isinstance(error, ClientError):
        told = error.response.get("Error", {})
        text = f"{told.get('Code', '')}: {told.get('Message', '')}"
    else:
        text = str(error)
    return " ".join(text.split())[:TEXT_MAX]
