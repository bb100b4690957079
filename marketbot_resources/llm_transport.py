"""The wire of one question to a language model: one POST to one host, nothing followed, nothing repeated, the answer bounded.

litellm and the SDKs below it may try again, follow a redirect or unpack what comes; here none of that reaches the network. What
was on the wire is kept in `wire`, which judges a failure better than the errors made of it.
"""

import json
import ssl
from collections.abc import Callable

import httpx

from marketbot_resources.llm import FailureKind
from marketbot_resources.llm_failures import Wire

BODY_BYTES_MAX = 1 << 20
_TOOLS = ("tools", "tool_choice", "functions", "function_call", "toolConfig", "tool_config")


class NotSent(BaseException):
    """A request that is not let out. No Exception, so that no library below takes it for a reason to try once more."""


class BadWire(httpx.TransportError):
    """What came back is no answer."""


class OnePost(httpx.BaseTransport):
    """Sends the first POST to `origin` (scheme, host and port); refuses everything else.

    `sending` is called just before and `received` once the whole answer is there: what lies between is the provider's time.
    """

    def __init__(self, origin: str, sending: Callable[[], None], received: Callable[[], None]) -> None:
        url = httpx.URL(origin)
        self._origin = (url.scheme, url.host, url.port)
        nobody = ssl.SSLContext(
            ssl.PROTOCOL_TLS_CLIENT
        )  # for what has no TLS: a list of authorities takes long to read
        self._inner = httpx.HTTPTransport(verify=True if url.scheme == "https" else nobody, retries=0)
        self._sending, self._received = sending, received
        self.wire = Wire()
        self.tools_refused = False

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The answer of any status, its body whole. Raises httpx.TransportError, and NotSent for what is not let out."""
        if self.wire.sent:
            raise NotSent("the question was to be sent again")
        if (request.url.scheme, request.url.host, request.url.port) != self._origin or request.method != "POST":
            raise self._refuse(f"expected a POST to {self._origin[1]}, found {request.method} {request.url.host}")
        if _holds_tools(request.read()):
            self.tools_refused = True
            raise self._refuse("expected a question without tools")
        request.headers["accept-encoding"] = "identity"
        self._sending()
        self.wire = Wire(sent=True)
        try:
            answer = self._inner.handle_request(request)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            self.wire = Wire(fault=_fault(error), why=f"no connection: {error}")
            raise
        except httpx.TransportError as error:
            self.wire = Wire(sent=True, fault=_fault(error), why=f"no answer: {type(error).__name__} {error}")
            raise
        self.wire = Wire(sent=True, status=answer.status_code)
        try:
            return self._whole(answer, request)
        finally:
            self._received()
            answer.close()

    def close(self) -> None:
        """Closes the connection."""
        self._inner.close()

    def _whole(self, answer: httpx.Response, request: httpx.Request) -> httpx.Response:
        packed = answer.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity")
        found = bytearray()
        try:
            for chunk in () if packed else answer.iter_raw():
                found += chunk
                if len(found) > BODY_BYTES_MAX:
                    raise self._spoil(answer, f"expected at most {BODY_BYTES_MAX} bytes, found more")
        except (httpx.StreamError, httpx.TransportError) as error:
            if isinstance(error, BadWire):
                raise
            why = f"the answer broke off after {len(found)} bytes: {type(error).__name__}"
            self.wire = Wire(sent=True, status=answer.status_code, fault=_fault(error), why=why)
            raise
        if packed:
            raise self._spoil(answer, "expected a plain body, found a packed one")
        if answer.is_redirect or not (answer.is_success or answer.is_error):
            raise self._spoil(answer, f"expected an answer, found status {answer.status_code}, which is not followed")
        if answer.is_success:
            self.wire = Wire(sent=True, status=answer.status_code, body=self._json(answer, bytes(found)))
        else:
            self.wire = Wire(sent=True, status=answer.status_code, code=_code(bytes(found)))
        kept = {name: value for name, value in answer.headers.items() if name in ("content-type", "x-amzn-errortype")}
        return httpx.Response(answer.status_code, headers=kept, content=bytes(found), request=request)

    def _json(self, answer: httpx.Response, found: bytes) -> str:
        """The body as text, which must be one JSON object."""
        try:
            text = found.decode("utf-8")
            value = json.loads(text, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            raise self._spoil(answer, f"expected JSON, found other bytes ({type(error).__name__})") from error
        if not isinstance(value, dict):
            raise self._spoil(answer, f"expected a JSON object, found {type(value).__name__}")
        return text

    def _refuse(self, why: str) -> NotSent:
        self.wire = Wire(fault=FailureKind.BAD_REQUEST, why=why)
        return NotSent(why)

    def _spoil(self, answer: httpx.Response, why: str) -> BadWire:
        self.wire = Wire(sent=True, status=answer.status_code, fault=FailureKind.BAD_ANSWER, why=why)
        return BadWire(why)


def _holds_tools(content: bytes) -> bool:
    asked = json.loads(content or b"{}")
    return any(asked.get(name) for name in _TOOLS)


def _code(found: bytes) -> str:
    """The code of an error in OpenAI's shape, "" for other shapes."""
    try:
        code = json.loads(found)["error"]["code"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return code if isinstance(code, str) else ""


def _fault(error: Exception) -> FailureKind:
    return FailureKind.TIMEOUT if isinstance(error, httpx.TimeoutException) else FailureKind.CONNECTION


def _no_constant(word: str) -> None:
    raise ValueError(f"no JSON number: {word}")
