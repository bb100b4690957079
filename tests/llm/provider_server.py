"""Language-model providers as one real local server: OpenAI's, Anthropic's and Bedrock's wire, recorded or scripted, with faults.

    with ProviderServer() as server:
        server.script("views as JSON text", Reply(fault="hang"), failure("rate_limit"))
        ...  # MARKETBOT_LLM_URL=server.url, or server.url + "/v1" as the address of a local model
        assert len(server.requests) == 1 and server.requests[0].body["temperature"] == 0

Which provider is asked shows in the path. A reply is a Reply, a text (the content of a well-formed answer) or a function of what
was asked that gives one of these; when the script is over, the server's own `reply` serves. Everything asked is kept.
"""

import json
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self
from urllib.parse import unquote

WIRE = Path(__file__).parents[2] / "../shared/data/wire/llm"
FAULTS = ("", "hang", "reset", "truncate", "drip")
HANG_SECONDS_MAX = 60.0
_HOP = {"connection", "content-length", "transfer-encoding", "content-encoding", "keep-alive"}


@dataclass(frozen=True)
class Asked:
    """One request as it came. `headers`: names in lower case; `body`: parsed JSON, {} when there is none."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Mapping
    content: bytes

    @property
    def provider(self) -> str:
        """Whose wire this is: openai (also local servers), anthropic or bedrock; "" for none of them."""
        if self.path.endswith("/chat/completions"):
            return "openai"
        if self.path.partition("?")[0].endswith("/v1/messages"):
            return "anthropic"
        return "bedrock" if self.path.startswith("/model/") and self.path.endswith("/converse") else ""

    @property
    def model(self) -> str:
        """The model that is asked."""
        return unquote(self.path.split("/")[2]) if self.provider == "bedrock" else str(self.body.get("model", ""))

    @property
    def system(self) -> str:
        """The system text."""
        told = self.body.get("system")
        if isinstance(told, list):
            return "".join(str(part.get("text", "")) for part in told)
        return str(told) if told else "".join(text for role, text in self.turns if role == "system")

    @property
    def turns(self) -> list[tuple[str, str]]:
        """(role, text) of each message, whatever the provider's shape."""
        return [(str(one["role"]), _text(one["content"])) for one in self.body.get("messages", ())]


def _text(content: object) -> str:
    return content if isinstance(content, str) else "".join(str(part.get("text", "")) for part in content)  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Reply:
    """What the server does with one request. `text`: content of a well-formed answer, unless `body` says all of it.

    `finish`: stop, length, content_filter, refusal or tool. `delay`: seconds before anything is sent. `fault`: hang (nothing is
    ever sent), reset, truncate (half of the body, then the connection ends), drip (one byte per `pause` seconds).
    """

    text: str = ""
    status: int = 200
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    delay: float = 0.0
    pause: float = 0.2
    fault: str = ""
    finish: str = "stop"
    model: str = ""
    fingerprint: str = "fp_test"
    tokens: tuple[int, int] | None = (100, 20)


Script = Reply | str | Callable[[Asked], "Reply | str"]
_FINISH = {
    "openai": {"stop": "stop", "length": "length", "content_filter": "content_filter", "refusal": "stop", "tool": "tool_calls"},
    "anthropic": {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal", "refusal": "refusal",
                  "tool": "tool_use"},
    "bedrock": {"stop": "end_turn", "length": "max_tokens", "content_filter": "content_filtered",
                "refusal": "guardrail_intervened", "tool": "tool_use"},
}  # fmt: skip


def well_formed(asked: Asked, reply: Reply) -> bytes:
    """The body of an answer in the shape of the provider that was asked; a path of none gets OpenAI's."""
    provider = asked.provider or "openai"
    shape = {"openai": _openai, "anthropic": _anthropic, "bedrock": _bedrock}[provider]
    body = shape(asked, reply, _FINISH[provider][reply.finish])
    if reply.tokens is None:
        del body["usage"]
    return json.dumps(body).encode()


def _openai(asked: Asked, reply: Reply, finish: str) -> dict:
    tokens_in, tokens_out = reply.tokens or (0, 0)
    call = {"id": "call_1", "type": "function", "function": {"name": "buy", "arguments": "{}"}}
    refused = reply.finish == "refusal"
    message = {
        "role": "assistant",
        "content": None if refused or reply.finish == "tool" else reply.text,
        "refusal": (reply.text or "I cannot help with that.") if refused else None,
    } | ({"tool_calls": [call]} if reply.finish == "tool" else {})
    return {
        "id": "chatcmpl-test",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": reply.model or asked.model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}],
        "usage": {"prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": tokens_in + tokens_out},
        "service_tier": "default",
        "system_fingerprint": reply.fingerprint or None,
    }


def _anthropic(asked: Asked, reply: Reply, finish: str) -> dict:
    tokens_in, tokens_out = reply.tokens or (0, 0)
    call = {"type": "tool_use", "id": "toolu_1", "name": "buy", "input": {}}
    text = [{"type": "text", "text": reply.text}] if reply.text else []
    return {
        "id": "msg_test",
        "type": "message",
        "role": "assistant",
        "model": reply.model or asked.model,
        "content": [call] if reply.finish == "tool" else text,
        "stop_reason": finish,
        "stop_sequence": None,
        "usage": {"input_tokens": tokens_in, "output_tokens": tokens_out},
    }


def _bedrock(asked: Asked, reply: Reply, finish: str) -> dict:
    tokens_in, tokens_out = reply.tokens or (0, 0)
    call = {"toolUse": {"toolUseId": "tooluse_1", "name": "buy", "input": {}}}
    content = [call] if reply.finish == "tool" else [{"text": reply.text}]
    return {
        "metrics": {"latencyMs": 1},
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": finish,
        "usage": {"inputTokens": tokens_in, "outputTokens": tokens_out, "totalTokens": tokens_in + tokens_out},
    }


# Status and error of each provider as its documentation gives them: (OpenAI type, code), Anthropic type, AWS exception.
_ERRORS: Mapping[str, tuple[int, str, tuple[str, str | None], str, str]] = {
    "auth": (401, "the key is not valid", ("invalid_request_error", "invalid_api_key"), "authentication_error",
             "UnrecognizedClientException"),
    "permission": (403, "no access to this model", ("permission_error", None), "permission_error", "AccessDeniedException"),
    "payment": (402, "credit is used up", ("billing_error", None), "billing_error", "ServiceQuotaExceededException"),
    "rate_limit": (429, "too many requests", ("requests", "rate_limit_exceeded"), "rate_limit_error", "ThrottlingException"),
    "quota": (429, "you exceeded your current quota", ("insufficient_quota", "insufficient_quota"), "rate_limit_error",
              "ServiceQuotaExceededException"),
    "overloaded": (529, "Overloaded", ("server_error", None), "overloaded_error", "ModelNotReadyException"),
    "unavailable": (503, "the engine is overloaded", ("server_error", None), "api_error", "ServiceUnavailableException"),
    "bad_gateway": (502, "bad gateway", ("server_error", None), "api_error", "InternalServerException"),
    "server_error": (500, "internal error", ("server_error", None), "api_error", "InternalServerException"),
    "gateway_timeout": (504, "upstream took too long", ("server_error", None), "timeout_error", "ModelTimeoutException"),
    "bad_request": (400, "a parameter is wrong", ("invalid_request_error", None), "invalid_request_error",
                    "ValidationException"),
    "unprocessable": (422, "cannot be processed", ("invalid_request_error", None), "invalid_request_error",
                      "ModelErrorException"),
    "roles": (400, "Conversation roles must alternate user/assistant", ("invalid_request_error", None),
              "invalid_request_error", "ValidationException"),
    "too_large": (413, "request exceeds the maximum size", ("invalid_request_error", None), "request_too_large",
                  "ValidationException"),
    "not_found": (404, "The model does not exist", ("invalid_request_error", "model_not_found"), "not_found_error",
                  "ResourceNotFoundException"),
    "context_too_long": (400, "prompt is too long: 250000 tokens > 200000 maximum", ("invalid_request_error",
                         "context_length_exceeded"), "invalid_request_error", "ValidationException"),
    "content_filter": (400, "rejected as a result of our safety system: content_policy_violation",
                       ("invalid_request_error", "content_policy_violation"), "invalid_request_error",
                       "ValidationException"),
}  # fmt: skip
_CONTEXT = {
    "openai": "This model's maximum context length is 128000 tokens. However, your messages resulted in 250000 tokens.",
    "bedrock": "Input is too long for requested model.",
}
ERRORS = tuple(_ERRORS)


def failure(name: str, **more: object) -> Callable[[Asked], Reply]:
    """A refusal of ERRORS in the shape of the provider that is asked; `more`: fields of Reply, such as headers."""
    status, said, (kind, code), anthropic, aws = _ERRORS[name]

    def made(asked: Asked) -> Reply:
        provider = asked.provider or "openai"
        text = _CONTEXT.get(provider, said) if name == "context_too_long" else said
        body: dict = {"message": text}
        if provider == "openai":
            body = {"error": {"message": text, "type": kind, "param": None, "code": code}}
        if provider == "anthropic":
            body = {"type": "error", "error": {"type": anthropic, "message": text}, "request_id": "req_test"}
        headers = {"x-amzn-errortype": aws} if provider == "bedrock" else {}
        headers |= {"retry-after": "1"} if status == 429 else {}
        told = {"status": status, "body": json.dumps(body).encode(), "headers": headers} | more
        return Reply(**told)  # type: ignore[arg-type]

    return made


@dataclass(frozen=True)
class Recorded:
    """One exchange of the shared recordings. `provider`: by its address; the answer without headers of the connection."""

    name: str
    provider: str
    model: str
    reply: Reply


def recorded() -> list[Recorded]:
    """Every exchange of the recordings, in order of files; needs the shared data."""
    import yaml

    found = []
    for path in sorted(WIRE.glob("*.yaml")):
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        for place, one in enumerate(yaml.load(path.read_text(encoding="utf-8"), Loader=loader)["interactions"]):
            uri, asked, told = one["request"]["uri"], one["request"], one["response"]
            headers = {name.lower(): ", ".join(map(_plain, values)) for name, values in told["headers"].items()}
            body = told["body"]["string"] if "body" in told else json.dumps(told["parsed_body"])
            provider = next((name for name in ("anthropic", "bedrock") if name in uri), "openai")
            model = unquote(uri.split("/")[4]) if provider == "bedrock" else asked["parsed_body"]["model"]
            kept = {name: value for name, value in headers.items() if name not in _HOP | {"content-type"}}
            reply = Reply(
                status=told["status"]["code"],
                body=body.encode() if isinstance(body, str) else body,
                content_type=headers.get("content-type", ""),
                headers=kept,
            )
            found.append(Recorded(f"{path.stem}-{place}", provider, model, reply))
    return found


def _plain(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


class ProviderServer:
    """The server, in threads of this process, on a free port of 127.0.0.1. `reply`: what it says without a script."""

    def __init__(self, reply: Script = '{"ok": true}') -> None:
        self.reply = reply
        self.requests: list[Asked] = []
        self._line: deque[Script] = deque()
        self._ends = threading.Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._http.daemon_threads = True
        self._http.owner = self  # type: ignore[attr-defined]
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def script(self, *replies: Script) -> None:
        """What comes next, in order; what was left of an earlier script, and what was asked, is forgotten."""
        self._line = deque(replies)
        self.requests.clear()

    def next(self, asked: Asked) -> Reply:
        """The reply to a request, which is kept."""
        self.requests.append(asked)
        said = self._line.popleft() if self._line else self.reply
        told = said(asked) if callable(said) else said
        return Reply(text=told) if isinstance(told, str) else told

    def wait(self, seconds: float) -> None:
        """Lets seconds pass, fewer when the server ends."""
        self._ends.wait(seconds)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(5)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def do_POST(self) -> None:
        size = int(self.headers.get("content-length") or 0)
        content = self.rfile.read(size)
        try:
            body = json.loads(content or b"{}")
        except ValueError:
            body = {}
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(self.command, self.path, headers, body if isinstance(body, dict) else {}, content)
        server: ProviderServer = self.server.owner  # type: ignore[attr-defined]
        reply = server.next(asked)
        assert reply.fault in FAULTS, reply.fault
        self.close_connection = True
        server.wait(HANG_SECONDS_MAX if reply.fault == "hang" else reply.delay)
        if reply.fault == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        elif reply.fault != "hang":
            self._send(reply, well_formed(asked, reply) if reply.body is None else reply.body, server)

    def do_GET(self) -> None:
        self.do_POST()

    def _send(self, reply: Reply, body: bytes, server: ProviderServer) -> None:
        self.send_response(reply.status)
        told = {"content-type": reply.content_type, "content-length": str(len(body)), "connection": "close"}
        for name, value in (told | {name.lower(): value for name, value in reply.headers.items()}).items():
            self.send_header(name, value)
        self.end_headers()
        if reply.fault == "drip":
            until = time.monotonic() + HANG_SECONDS_MAX
            for byte in body:
                self.wfile.write(bytes([byte]))
                server.wait(reply.pause)
                if time.monotonic() > until:
                    return
        else:
            self.wfile.write(body[: len(body) // 2] if reply.fault == "truncate" else body)

    def log_message(self, format: str, *args: object) -> None:
        return None
