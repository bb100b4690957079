"""Forecasts with views of a language model in them, and a mandate that asks one."""

from dataclasses import replace

import numpy as np

from marketbot_assets.portfolio.inputs import Floats, PortfolioInputs
from marketbot_resources.mandate import Mandate
from marketbot_resources.mandate_llm import Llm
from marketbot_resources.mandate_model_limits import LlmInfluence

MODEL = {
    "provider": "local", "model": "small", "knowledge_cutoff": "2015-01-01", "usd_per_million_input": 0.0,
    "usd_per_million_output": 0.0, "address": "http://127.0.0.1:1",
}  # fmt: skip
EXACT = 1e-12


def asking(mandate: Mandate, name: float = 0.01, book: float = 0.05) -> Mandate:
    """The mandate with a language model and caps on what it moves."""
    limits = mandate.limits.model_copy(update={"llm_influence": LlmInfluence(name=name, book=book)})
    llm = Llm.model_validate({"chain": [MODEL], "usd_per_day": 0.0})
    return mandate.model_copy(update={"llm": llm, "limits": limits})


def tilted(inputs: PortfolioInputs, tilt: Floats) -> PortfolioInputs:
    """The forecasts with a tilt in them, as the table of forecasts has it."""
    return replace(inputs, expected_return=inputs.expected_return + tilt, llm_tilt=tilt)


def drawn(inputs: PortfolioInputs, scale: float, seed: int = 1) -> PortfolioInputs:
    return tilted(inputs, np.random.default_rng(seed).normal(0.0, scale, len(inputs.instruments)))
