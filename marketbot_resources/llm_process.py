"""Calls a language model through a child process that holds its key and nothing else, and has ended when the answer is there."""

from pathlib import Path

from marketbot_resources.llm import FailureKind, LlmAnswer, LlmFailure, LlmRequest


class LlmProcess:
    """`LlmPort` over `python -m marketbot_resources.llm_worker`. `folder`: the home."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def ask(self, request: LlmRequest) -> LlmAnswer | LlmFailure:
        """The answer or why there is none."""
        return LlmFailure(FailureKind.NO_KEY, f"no worker for {request.provider}")
