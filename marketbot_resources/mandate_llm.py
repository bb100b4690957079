"""Who is asked for views, at what cost, and what its views must show before they move a weight: the mandate's section llm. Pure.

Not here: how a model is called (`llm_worker`), what an answer may say (`marketbot_assets.insight.gate`), the cap on what views move
(`limits.RC-52_llm_influence`).
"""

import datetime as dt
import re
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from marketbot_resources.mandate_section import Fraction, Section

_ADDRESS = re.compile(r"https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?")
Price = Annotated[float, Field(ge=0.0, le=1000.0, allow_inf_nan=False)]


class LlmModel(Section):
    """One language model of the chain. `knowledge_cutoff`: newest day of what it was trained on; prices per million tokens."""

    provider: Literal["openai", "anthropic", "bedrock", "local"]
    model: Annotated[str, Field(pattern=r"^[A-Za-z0-9._:/-]{1,120}$")]
    knowledge_cutoff: dt.date
    usd_per_million_input: Price
    usd_per_million_output: Price
    timeout_seconds: Annotated[int, Field(ge=1, le=600)] = 60
    address: Annotated[str, Field(max_length=200)] = ""
    region: Annotated[str, Field(pattern=r"^([a-z]{2}(-[a-z]+)+-\d)?$")] = ""

    @field_validator("address")
    @classmethod
    def _no_secret(cls, address: str) -> str:
        """What stands in it is evidence: nothing that could be a key has a place there."""
        if address and not _ADDRESS.fullmatch(address):
            raise ValueError("expected http://HOST:PORT/PATH or https, without user name, password or query")
        return address

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if (self.provider == "local") != bool(self.address):
            raise ValueError("address: expected one of a local OpenAI-compatible server, and of no other provider")
        if (self.provider == "bedrock") != bool(self.region):
            raise ValueError("region: expected an AWS region for bedrock, and for no other provider")
        return self


class Evidence(Section):
    """What views must show: information coefficients over `horizon_sessions`, shrunk by `shrink` sessions at zero, less so many
    standard errors; a remainder of `ic_full` gives them their whole weight.
    """

    horizon_sessions: Annotated[int, Field(ge=1, le=63)] = 5
    sessions_min: Annotated[int, Field(ge=20, le=1000)] = 60
    shrink: Annotated[float, Field(ge=0.0, le=10_000.0, allow_inf_nan=False)] = 120.0
    standard_errors: Annotated[float, Field(ge=1.0, le=5.0, allow_inf_nan=False)] = 2.5
    ic_full: Annotated[float, Field(ge=0.01, le=0.5, allow_inf_nan=False)] = 0.05


class Llm(Section):
    """Keys of the mandate's section llm; `docs/llm.md` says what each value does."""

    chain: Annotated[tuple[LlmModel, ...], Field(min_length=1, max_length=4)]
    usd_per_day: Annotated[float, Field(ge=0.0, le=1000.0, allow_inf_nan=False)]
    answer_tokens_max: Annotated[int, Field(ge=100, le=16_000)] = 3000
    headlines_max: Annotated[int, Field(ge=0, le=500)] = 60
    news_days: Annotated[int, Field(ge=1, le=30)] = 5
    tilt_max_per_year: Fraction = 0.02
    passes: Annotated[int, Field(ge=1, le=2)] = 1
    seconds_max: Annotated[int, Field(ge=1, le=7200)] = 300
    ask_contaminated: bool = False
    cache: Literal["none", "redis"] = "none"
    evidence: Evidence = Evidence()

    @model_validator(mode="after")
    def _no_model_twice(self) -> Self:
        names = [(model.provider, model.model, model.address) for model in self.chain]
        if len(set(names)) != len(names):
            raise ValueError("chain: a model is named twice")
        return self

    def asked_on(self, session: dt.date) -> tuple[LlmModel, ...]:
        """The models that are asked about a session: without `ask_contaminated` none that may know what came after it."""
        return tuple(model for model in self.chain if self.ask_contaminated or session > model.knowledge_cutoff)
