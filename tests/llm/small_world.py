"""The default mandate over a few real names, and a pack of five items: questions that a small language model can hold."""

import datetime as dt
from collections.abc import Sequence

import pandas as pd
import yaml

from marketbot_assets.insight.schema import CONTEXT_PACK
from marketbot_resources.mandate_file import read_mandate_text

LISTINGS = {"XNYS": ["BAC", "JPM", "KO", "WMT"], "XNAS": ["PEP"]}
AT = dt.datetime(2018, 12, 12, 22, 45, tzinfo=dt.UTC)
ITEMS = (
    ("S1", "SUBJECT", "Energy", "SECTOR", "sector of 1 names", None, ""),
    ("S2", "SUBJECT", "A1", "INSTRUMENT", "CVX, Chevron, Energy, US", None, ""),
    ("M1", "MACRO", "VIX", "SERIES", "2018-12-12: 21.46 points", 21.46, ""),
    ("F1", "FACT", "A1", "INSTRUMENT", "return 21d -2.3%", -2.3, ""),
    ("H1", "HEADLINE", "A1", "INSTRUMENT", "Chevron raises its budget", None, "Wire"),
)


def small_mandate(
    models: Sequence[tuple[str, str]], knowledge_cutoff: str, *, answer_tokens: int = 400, timeout_seconds: int = 300
) -> str:
    """The mandate's text. `models`: (address, name) of each of the chain; without one no model is asked. They cost nothing."""
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
    plain["llm"] = {"chain": chain, "usd_per_day": 0.0, **sizes, **patience} if chain else None
    return yaml.safe_dump(plain, sort_keys=False)


def small_pack() -> pd.DataFrame:
    """Five items."""
    names = ("item", "kind", "subject", "level", "text", "value", "publisher")
    rows = [
        {
            "place": place,
            "unit": "",
            "known_at": AT,
            "source_ids": "",
            "synthetic": True,
            **dict(zip(names, row, strict=True)),
        }
        for place, row in enumerate(ITEMS)
    ]
    return pd.DataFrame(rows)[[column.name for column in CONTEXT_PACK.columns]].astype({"value": float})
