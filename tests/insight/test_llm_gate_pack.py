"""Pack, prompt and gate agree: who belongs to whom, which numbers may be quoted, and what a wide universe's schema holds."""

import datetime as dt
import json
from pathlib import Path

import jsonschema
import numpy as np
import pandas as pd
import pytest
from llm_gate_world import answer, sentiment, theme

from marketbot_assets.insight.context_pack import FACTS, build_pack
from marketbot_assets.insight.gate import Rejected, Views, judge_answer, schema_of
from marketbot_assets.insight.gate_pack import known_of
from marketbot_assets.insight.gate_rules import QUOTES_MAX
from marketbot_resources.mandate import parse_mandate

MANDATE = parse_mandate((Path(__file__).parents[2] / "mandate.yaml").read_text(encoding="utf-8"))
CUTOFF = dt.datetime(2018, 11, 1, 21, tzinfo=dt.UTC)
SECTORS = ("TECHNOLOGY", "ENERGY", "CONSUMER_STAPLES", "FUND")
COUNTRIES = ("US", "DE", "JP", "GB")


def instruments(count: int) -> pd.DataFrame:
    """Issuers that call themselves after a sector and a country that are not theirs."""
    return pd.DataFrame(
        {
            "instrument": [f"XNYS-I{n}" for n in range(count)],
            "ticker": [f"T{n}" for n in range(count)],
            "name": [f"Energy of Japan, JP, ENERGY No {n}" for n in range(count)],
            "sector": [SECTORS[n % 4] for n in range(count)],
            "country": [COUNTRIES[(n // 4) % 4] for n in range(count)],
            "in_universe": True,
            "synthetic": False,
            "known_at": CUTOFF - dt.timedelta(days=9),
        }
    )


def pack(count: int = 46) -> pd.DataFrame:
    """A pack of random features, three macro series and headlines of two publishers."""
    draw, listed = np.random.default_rng(7), instruments(count)
    features = pd.DataFrame({shown.feature: draw.normal(0, 0.1, count) for shown in FACTS}).assign(
        instrument=listed["instrument"]
    )
    at = pd.Timestamp(CUTOFF) - pd.Timedelta(days=1)
    macro = [("VIX", 20.1, "index points"), ("US10Y", 3.14, "percent"), ("CPI", 252.885, "index")]
    stories = [(f"n{n}", f"XNYS-I{n % 5}", f"Story number {n} about profits", f"Publisher {n % 2}") for n in range(20)]
    return build_pack(
        features,
        listed,
        pd.DataFrame(stories, columns=["headline_id", "instrument", "headline", "publisher"]).assign(
            known_at=at, synthetic=False
        ),
        pd.DataFrame(macro, columns=["series", "value", "unit"]).assign(
            period=at.tz_localize(None), known_at=at, synthetic=False
        ),
        CUTOFF,
        MANDATE,
    )


PACK = pack()
KNOWN = known_of(PACK)


def test_groups_are_those_of_the_instruments_table() -> None:
    """Sector and country by the table, whatever the issuer calls itself; a fund's sector is no subject."""
    for row in instruments(46).to_dict("records"):
        groups = {row["instrument"], row["country"]} | ({row["sector"]} - {"FUND"})
        assert KNOWN.related[row["instrument"]] == groups
    assert set(KNOWN.levels) == {*instruments(46)["instrument"], *SECTORS[:3], *COUNTRIES}


def test_every_number_of_the_pack_may_be_quoted_and_no_other() -> None:
    """As shown; and the number of each item is refused for an item with another one."""
    valued = [(item, known.value) for item, known in KNOWN.items.items() if known.value is not None]
    assert len(valued) > 250
    for first in range(0, len(valued), QUOTES_MAX):
        quotes = [{"item": item, "value": value} for item, value in valued[first : first + QUOTES_MAX]]
        said = answer(themes=[theme("growth", 1, 0, 0, "M1")], sentiments=[], risk_on=None, quotes=quotes)
        assert isinstance(judge_answer(json.dumps(said), PACK), Views)
        wrong = [{**quote, "value": quote["value"] * 1.2 + 2} for quote in quotes]
        judged = judge_answer(json.dumps({**said, "quotes": wrong}), PACK)
        assert isinstance(judged, Rejected)
        assert judged.layer == "numbers"


@pytest.mark.parametrize(("count", "item_enum"), [(46, True), (500, False)])
def test_the_schema_of_a_universe(count: int, item_enum: bool) -> None:
    """46 names: ids are an enum. 500 names: 3,500 ids are more than a provider takes; the gate alone knows them."""
    wide = pack(count)
    schema = dict(schema_of(wide))
    jsonschema.Draft202012Validator.check_schema(schema)
    items = schema["$defs"]["item"]  # type: ignore[index, call-overload]
    assert ("enum" in items) is item_enum
    said = answer(
        themes=[theme("growth", 1, 0, 0, "M1")],
        sentiments=[sentiment("XNYS-I7", 0.1, 0.5, "M1")],
        risk_on=None,
        quotes=[],
    )
    jsonschema.validate(said, schema)
    assert isinstance(judge_answer(json.dumps(said), wide), Views)
    stranger = {**said, "sentiments": [sentiment("XNYS-I9999", 0.1, 0.5, "M1")]}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(stranger, schema)
