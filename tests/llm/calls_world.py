"""A store, a ledger and a context pack on disk, and models that say what a test tells them. Not here: any statement."""

import datetime as dt
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from marketbot_assets.ingestion.parse_mandate import mandate_frame
from marketbot_assets.ingestion.schema import MANDATE
from marketbot_assets.insight.exchange import answers_frame
from marketbot_assets.insight.schema import CONTEXT_PACK
from marketbot_assets.llm_calls import ask_models
from marketbot_assets.llm_golden import golden_packs
from marketbot_resources.llm import FailureKind, LlmAnswer, LlmFailure, LlmPort, LlmRequest
from marketbot_resources.llm_exchange import content_sha256
from marketbot_resources.mandate import Mandate, parse_mandate
from marketbot_resources.provider import Body, Delivery
from marketbot_resources.store.index import STATIC, BlobRow, Origin
from marketbot_resources.store.lake import Lake
from marketbot_resources.store.reader import Reader

if TYPE_CHECKING:
    import pandas as pd

ROOT = Path(__file__).parents[2]
DAY, NEXT_DAY = dt.date(2018, 12, 12), dt.date(2018, 12, 13)
PACK = golden_packs()[4]
SHARE, OTHER = "GOLD04A", "GOLD04B"
PRICES = {"usd_per_million_input": 10.0, "usd_per_million_output": 30.0}
Said = LlmAnswer | LlmFailure | BaseException
Script = Callable[[LlmRequest], Said]


def model(name: str = "one", **keys: object) -> dict[str, object]:
    """A model of the chain as the mandate writes it."""
    return {"provider": "openai", "model": name, "knowledge_cutoff": "2018-01-01", **PRICES, **keys}


def mandate_text(*chain: dict[str, object], **keys: object) -> str:
    """The project's mandate with a chain of models, one by default; `keys` of its section llm."""
    section = {"chain": list(chain) or [model()], "usd_per_day": 1.0, "answer_tokens_max": 500, **keys}
    text = (ROOT / "mandate.yaml").read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.startswith("llm: null"))
    return text.replace(line, f"llm: {json.dumps(section, default=str)}")


def mandate_of(*chain: dict[str, object], **keys: object) -> Mandate:
    """`mandate_text`, parsed."""
    return parse_mandate(mandate_text(*chain, **keys))


def views(score: float = 0.4, subject: str = SHARE) -> str:
    """An answer that the gate accepts: one view that rests on the fact of one share."""
    view = {"subject": subject, "score": score, "confidence": 0.5, "evidence": ["F1"]}
    return json.dumps({"themes": [], "sentiments": [view], "risk_on": None, "quotes": []})


BAD = views(subject="NOBODY")


def said(text: str | None = None, **keys: object) -> LlmAnswer:
    """An answer of 1,000 and 100 tokens: 0.013 US dollars at PRICES."""
    told = {"model": "one-2018", "fingerprint": "fp1", "tokens_in": 1000, "tokens_out": 100, "body": "{}", **keys}
    return LlmAnswer(text=views() if text is None else text, **told)  # type: ignore[arg-type]


def failed(kind: FailureKind = FailureKind.TIMEOUT, reason: str = "slow", *, may_cost: bool = False) -> LlmFailure:
    return LlmFailure(kind, reason, may_cost)


@dataclass
class Scripted:
    """`LlmPort`: what it says in turn, the last for ever; an exception is raised. Keeps what it was asked."""

    script: Sequence[Said | Script]
    asked: list[LlmRequest] = field(default_factory=list)

    def ask(self, request: LlmRequest) -> LlmAnswer | LlmFailure:
        step = self.script[min(len(self.asked), len(self.script) - 1)]
        self.asked.append(request)
        answer = step(request) if callable(step) else step
        if isinstance(answer, BaseException):
            raise answer
        return answer


class World:
    """A home with a mandate and the context pack of two sessions."""

    def __init__(self, folder: Path, mandate: Mandate | None = None, pack: "pd.DataFrame" = PACK) -> None:
        self.folder = folder
        self.lake = Lake(folder)
        self.mandate = mandate_of() if mandate is None else mandate
        self.pack = pack
        origin = Origin("test", "0", "", {})
        self.lake.commit(mandate_frame(self.mandate), MANDATE, STATIC, reads=[], blobs=[], origin=origin)
        for day in (DAY, NEXT_DAY):
            self.lake.commit(pack, CONTEXT_PACK, day.isoformat(), reads=[], blobs=[], origin=origin)
            at = f"{day.isoformat()}T22:45:00Z"
            self.lake.ledger.append("session_cutoff", day.isoformat(), {"cutoff_at": at})

    def keep(self, body: Body) -> str:
        name = content_sha256(body.content)
        row = BlobRow(
            name, body.provider, body.url, body.status, body.content_type, len(body.content), "", "", "llm", ""
        )
        self.lake.put_blob(body.content, row)
        return name

    def ask(self, port: LlmPort, day: dt.date = DAY, *, fresh: bool = False) -> Delivery:
        read = Reader(self.lake, day, allowed=None)
        return ask_models(read, self.lake, port, self.keep, fresh=fresh)

    def rows(self, delivery: Delivery) -> "pd.DataFrame":
        """LLM_ANSWERS of what was delivered."""
        return answers_frame([body.content for body in delivery.bodies], self.pack, self.mandate)

    def bodies(self, kind: str) -> list[dict[str, object]]:
        """What entries of a kind say, in order."""
        return [dict(entry.body) for entry in self.lake.ledger.entries(kind)]

    def incidents(self) -> list[str]:
        return [str(body["code"]) for body in self.bodies("llm_incident")]
