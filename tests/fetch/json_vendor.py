"""A vendor of an invented web service, for tests of what is asked of any vendor."""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from typing import Any

from marketbot_resources.errors import ProviderError
from marketbot_resources.provider import Columns, Request, Response, Subject, Window

WINDOW = Window(None, dt.datetime(2026, 3, 2, tzinfo=dt.UTC))


class JsonVendor:
    """A vendor whose bodies are {"rows": [[source id, value] ...], "next": address or null}; `size` subjects per request."""

    table, parser = "raw_prices", "json/1"

    def __init__(self, name: str, url: str, *, size: int = 1, covers: str = "abcdefgh", **request: Any) -> None:
        self.name, self.url, self.size, self.covers, self.request = name, url, size, covers, request

    def requests(self, subjects: Sequence[Subject], window: Window) -> list[tuple[tuple[Subject, ...], Request]]:
        mine = [subject for subject in subjects if subject.source_id in self.covers]
        groups = [tuple(mine[i : i + self.size]) for i in range(0, len(mine), self.size)]
        return [(group, self.page({"ids": ",".join(s.source_id for s in group)})) for group in groups]

    def page(self, params: Mapping[str, str]) -> Request:
        return Request(f"{self.url}/{self.name}", params, asked={"unit": "USD", **params}, **self.request)

    def following(self, request: Request, response: Response) -> Request | None:
        following = json.loads(response.content).get("next")
        if following is None or (isinstance(following, str) and "://" in following):
            return following and Request(following)
        return self.page({**request.params, "page_token": str(following)})

    def parse(self, content: bytes, asked: Mapping[str, str]) -> Columns:
        try:
            rows = json.loads(content)["rows"]
        except (ValueError, KeyError, TypeError) as error:
            raise ProviderError(f"{self.name}: expected rows, found none") from error
        assert asked["unit"] == "USD"
        return {"source_id": [row[0] for row in rows], "close": [row[1] for row in rows]}


def body(ids: str, following: object = None) -> bytes:
    return json.dumps({"rows": [[name, 1.0] for name in ids], "next": following}).encode()


def subjects(ids: str) -> list[Subject]:
    return [Subject(name) for name in ids]
