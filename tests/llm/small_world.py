"""The default mandate over a few real names, with one local language model: a universe whose question a small model can hold."""

from collections.abc import Sequence

import yaml

from marketbot_resources.mandate_file import read_mandate_text

LISTINGS = {"XNYS": ["BAC", "JPM", "KO", "WMT"], "XNAS": ["PEP"]}


def small_mandate(
    models: Sequence[tuple[str, str]], knowledge_cutoff: str, *, answer_tokens: int = 400, timeout_seconds: int = 300
) -> str:
    """The mandate's text. `models`: (address, name) of each of the chain. They cost nothing and the day's budget is nothing."""
    plain = yaml.safe_load(read_mandate_text())
    plain["universe"]["listings"] = LISTINGS
    chain = [
        {
            "provider": "local",
            "model": name,
            "knowledge_cutoff": knowledge_cutoff,
            "usd_per_million_input": 0.0,
            "usd_per_million_output": 0.0,
            "timeout_seconds": timeout_seconds,
            "address": address,
        }
        for address, name in models
    ]
    sizes = {"answer_tokens_max": answer_tokens, "headlines_max": 8, "news_days": 2}
    patience = {"seconds_max": 7200, "ask_contaminated": True}  # the model is slow, and it is watched, not believed
    plain["llm"] = {"chain": chain, "usd_per_day": 0.0, **sizes, **patience}
    return yaml.safe_dump(plain, sort_keys=False)
