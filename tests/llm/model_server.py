"""A real language model, small and poor, behind an OpenAI-compatible server on 127.0.0.1: what is built must stand what it says."""

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from model_child import SPENT
from server_process import Server
from services import MODEL, WEIGHTS

CONTEXT_TOKENS = 8192  # SmolLM2 was trained on no longer texts
CHILD = Path(__file__).with_name("model_child.py")
NAME = "smollm2-135m-instruct"
KNOWLEDGE_CUTOFF = "2024-11-01"  # the model was published in November 2024; its makers name no day


Decoding = Literal["free", "constrained", "bounded"]


class ModelServer(Server):
    """SmolLM2-135M-Instruct. `decoding`: whether its answers follow the JSON schema of the request (a grammar): not at all, as it
    stands, or with short bounds on its lists besides. `warm`: quicker, and the same only in the same order of questions.

    A question that does not fit into `context_tokens` is refused with 400 and the type `exceed_context_size_error`.
    """

    def __init__(
        self, decoding: Decoding, *, context_tokens: int = CONTEXT_TOKENS, threads: int = 1, warm: bool = False
    ) -> None:
        super().__init__("model", 1)
        self._decoding, self._context, self._threads, self._warm = decoding, context_tokens, threads, warm
        self.name = f"{NAME}-{decoding}"

    @property
    def address(self) -> str:
        """What a mandate's `llm.chain[].address` names."""
        return f"http://127.0.0.1:{self.ports[0]}/v1"

    @property
    def seconds(self) -> list[float]:
        """Wall seconds of each call so far, those that were given up as well."""
        return [float(line.removeprefix(SPENT)) for line in self.log.splitlines() if line.startswith(SPENT)]

    def command(self) -> Sequence[str | Path]:
        """The same Python in isolated mode: it sees the model's folder and nothing of the project."""
        settings = map(str, (self.ports[0], self._context, self._threads))
        return [
            sys.executable,
            "-I",
            CHILD,
            MODEL,
            WEIGHTS,
            *settings,
            self.name,
            self._decoding,
            "warm" if self._warm else "cold",
        ]

    def answers(self) -> bool:
        """Whether the model is loaded."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"{self.address}/models", timeout=5) as answer:
                return any(row.get("id") == self.name for row in json.load(answer).get("data", []))
        except (urllib.error.URLError, OSError, ValueError):
            return False
