"""Providers that answer from files, so that a measured run pays for the platform and not for the simulation of a market.

An answer that is not there yet is asked of the sample provider and kept: the first, unmeasured run of a session records.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from marketbot_resources.provider import Body, Delivery, whole


class Recorded:
    """One provider behind files; every method of the real one, by name."""

    def __init__(self, folder: Path, name: str, real: Callable[[], Any]) -> None:
        self._folder, self._name, self._real = folder, name, real

    def __getattr__(self, method: str) -> Callable[..., Delivery]:
        def answer(*instants: object) -> Delivery:
            question = f"{self._name}.{method}({', '.join(str(instant) for instant in instants)})"
            path = self._folder / hashlib.sha256(question.encode()).hexdigest()
            if not path.exists():
                (body,) = getattr(self._real(), method)(*instants).bodies
                described = {name: value for name, value in asdict(body).items() if name != "content"}
                self._folder.mkdir(parents=True, exist_ok=True)
                path.write_bytes(json.dumps(described).encode() + b"\n" + body.content)
            head, _, content = path.read_bytes().partition(b"\n")
            return whole(Body(content=content, **json.loads(head)))

        return answer


def market(folder: Path, size: int | None) -> Any:
    """Listings, bars, corporate actions, rates."""

    def real() -> object:
        from marketbot_resources.market.sample import SampleMarket

        return SampleMarket(size=size)

    return Recorded(folder, "market", real)


def macro(folder: Path) -> Any:
    """Macro series."""

    def real() -> object:
        from marketbot_resources.macro.sample import SampleMacro

        return SampleMacro()

    return Recorded(folder, "macro", real)


def fundamentals(folder: Path, size: int | None) -> Any:
    """Filings."""

    def real() -> object:
        from marketbot_resources.fundamentals.sample import SampleFundamentals

        return SampleFundamentals(size=size)

    return Recorded(folder, "fundamentals", real)


def news(folder: Path, size: int | None) -> Any:
    """Headlines."""

    def real() -> object:
        from marketbot_resources.news.sample import SampleNews

        return SampleNews(size=size)

    return Recorded(folder, "news", real)
