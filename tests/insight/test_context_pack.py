"""The pack holds what was known at the cutoff, each number as it is shown, and nothing that anybody else could put there."""

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketbot_assets.insight.context_pack import FACTS, PER_INSTRUMENT_MAX, build_pack
from marketbot_assets.insight.schema import CONTEXT_PACK
from marketbot_resources.mandate import Mandate, parse_mandate
from marketbot_resources.mandate_llm import Llm, LlmModel

MANDATE = parse_mandate((Path(__file__).parents[2] / "mandate.yaml").read_text(encoding="utf-8"))
CUTOFF = dt.datetime(2020, 3, 6, 23, 15, tzinfo=dt.UTC)
HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)
NAMES = ("MBA", "MBB", "MBC", "MBD")
SECTORS = ("Energy", "Energy", "FUND", "UNKNOWN")


def features(**columns: list[float]) -> pd.DataFrame:
    """FEATURES of four names: zeros where nothing is said."""
    values = {name: [0.0] * len(NAMES) for name in sorted({shown.feature for shown in FACTS})} | columns
    return pd.DataFrame({"instrument": list(NAMES), **values})


def instruments(**columns: list[Any]) -> pd.DataFrame:
    """INSTRUMENTS of four names, three of them in the universe."""
    plain: dict[str, list[Any]] = {
        "instrument": list(NAMES),
        "ticker": ["AAA", "BBB", "CCC", "DDD"],
        "name": ["Acme", "Apex", "Core Fund", "Delta"],
        "sector": list(SECTORS),
        "country": ["US", "GB", "US", "US"],
        "in_universe": [True, True, True, False],
        "known_at": [CUTOFF - DAY] * 4,
        "synthetic": [False, True, False, False],
    }
    return pd.DataFrame(plain | columns)


def headline(
    key: str, text: str, *, name: str = "MBA", at: dt.datetime = CUTOFF - HOUR, publisher: str = "P"
) -> dict[str, Any]:
    """One NEWS row."""
    return {
        "headline_id": key,
        "instrument": name,
        "headline": text,
        "publisher": publisher,
        "published_at": at,
        "known_at": at,
        "synthetic": False,
    }


def news(*rows: dict[str, Any]) -> pd.DataFrame:
    """NEWS rows, one very old among them so that the table is never empty."""
    return pd.DataFrame([headline("old", "old", at=CUTOFF - 40 * DAY), *rows])


def release(
    series: str, day: str, value: float, at: dt.datetime = CUTOFF - HOUR, unit: str = "percent"
) -> dict[str, Any]:
    """One MACRO row."""
    period = pd.Timestamp(day)
    return {"series": series, "period": period, "value": value, "unit": unit, "known_at": at, "synthetic": False}


def macro(*rows: dict[str, Any]) -> pd.DataFrame:
    """MACRO rows."""
    return pd.DataFrame([release("VIX", "2020-03-05", 39.62, CUTOFF - DAY), *rows])


def pack(**tables: pd.DataFrame) -> pd.DataFrame:
    """The pack of small tables."""
    plain = {"features": features(), "instruments": instruments(), "news": news(), "macro": macro()}
    given_tables = plain | tables
    return build_pack(**given_tables, cutoff=CUTOFF, mandate=MANDATE)


def of_kind(made: pd.DataFrame, kind: str, *columns: str) -> list[tuple[Any, ...]]:
    """Some columns of the items of a kind."""
    part = made[made["kind"] == kind]
    return list(zip(*(part[column] for column in columns), strict=True))


def test_subjects_are_the_universe_its_sectors_and_countries() -> None:
    """Nothing else may be named: no fund or unknown sector, nobody outside of the universe."""
    made = pack()
    assert of_kind(made, "SUBJECT", "item", "subject", "level", "text", "synthetic") == [
        ("S1", "Energy", "SECTOR", "sector of 2 names", False),
        ("S2", "GB", "COUNTRY", "country of 1 name", True),
        ("S3", "US", "COUNTRY", "country of 2 names", False),
        ("S4", "MBA", "INSTRUMENT", "AAA, Acme, Energy, US", False),
        ("S5", "MBB", "INSTRUMENT", "BBB, Apex, Energy, GB", True),
        ("S6", "MBC", "INSTRUMENT", "CCC, Core Fund, FUND, US", False),
    ]


def test_the_table_is_the_schema_and_every_row_is_known() -> None:
    """Columns in order, places 0, 1, ..., ids unique, kinds in blocks, instants not after the cutoff."""
    made = pack(news=news(headline("a", "Acme wins"), headline("b", "Apex wins", name="MBB")))
    assert list(made.columns) == [column.name for column in CONTEXT_PACK.columns]
    assert list(made["place"]) == list(range(len(made)))
    assert made["item"].is_unique
    assert list(made["kind"].drop_duplicates()) == ["SUBJECT", "MACRO", "FACT", "HEADLINE"]
    assert (made["known_at"] <= CUTOFF).all()
    assert set(made.loc[made["kind"].isin(["FACT", "MACRO"]), "value"].isna()) == {False}


def test_numbers_are_rounded_once_and_shown_as_they_are_held() -> None:
    """By hand: percent to one decimal, whole percent, ranks from the strongest, medians and breadth over known names alone."""
    made = pack(
        features=features(
            return_5d=[0.01234, -0.0004, np.nan, 9.0],
            return_21d=[0.1, 0.2, -0.6, 9.0],
            return_63d=[0.05, -0.01, np.nan, 9.0],
            volatility_21d=[0.2949, 0.305, np.nan, 9.0],
            momentum_12_1=[0.1, np.nan, 0.4, 9.0],
            term_slope=[-0.257] * 4,
        )
    )
    shown = {
        (subject, text): (value, unit)
        for subject, text, value, unit in of_kind(made, "FACT", "subject", "text", "value", "unit")
    }
    for key, expected in {
        ("MBA", "return 5d 1.2%"): (1.2, "%"),
        ("MBB", "return 5d 0.0%"): (0.0, "%"),
        ("MBA", "volatility 21d 29% per year"): (29.0, "% per year"),
        ("MBC", "momentum rank 1 of 2"): (1.0, "rank"),
        ("MBA", "momentum rank 2 of 2"): (2.0, "rank"),
        ("market", "median return 21d 10.0%"): (10.0, "%"),
        ("market", "names up over 63d 50%"): (50.0, "%"),
        ("Energy", "median return 21d 15.0%"): (15.0, "%"),
        ("US", "median return 21d -25.0%"): (-25.0, "%"),
        ("US", "names up over 63d 100%"): (100.0, "%"),
        ("market", "ten-year less two-year yield -0.26 percent"): (-0.26, "percent"),
    }.items():
        assert shown[key] == expected
    unknown = {text for subject, text in shown if subject == "MBC"}
    assert not any(text.startswith(("return 5d", "return 63d", "volatility")) for text in unknown)
    assert ("MBB", "momentum rank") not in {(subject, text[:13]) for subject, text in shown}
    assert not any(subject == "MBD" or "-0.0" in text for subject, text in shown)


def test_macro_shows_the_newest_release_known_and_the_change() -> None:
    """By hand: the newest period, its newest vintage known at the cutoff, less the newest vintage of the period before."""
    made = pack(
        macro=macro(
            release("VIX", "2020-03-06", 41.94),
            release("CPI", "2020-01-01", 258.0, CUTOFF - 9 * DAY, "index"),
            release("CPI", "2020-01-01", 258.5, CUTOFF - 2 * DAY, "index"),
            release("CPI", "2020-02-01", 259.05, CUTOFF, "index"),
            release("CPI", "2020-02-01", 999.0, CUTOFF + HOUR, "index"),
            release("CPI", "2020-03-01", 999.0, CUTOFF + DAY, "index"),
            release("BAD", "2020-03-01", float("nan")),
        )
    )
    assert of_kind(made, "MACRO", "item", "subject", "text", "value", "unit", "source_ids") == [
        ("M1", "CPI", "2020-02-01: 259.05 index, change +0.55", 259.05, "index", "macro:CPI"),
        ("M2", "VIX", "2020-03-06: 41.94 percent, change +2.32", 41.94, "percent", "macro:VIX"),
    ]


def test_headlines_are_stories_newest_first_and_keep_every_publisher() -> None:
    """A copied text counts once with both publishers; two names give two items; more make it the market's."""
    made = pack(
        news=news(
            headline("a", "Acme and Apex to merge", at=CUTOFF - 3 * HOUR, publisher="Wire"),
            headline("a", "Acme and Apex to merge", name="MBB", at=CUTOFF - 3 * HOUR, publisher="Wire"),
            headline("b", "ACME and Apex to merge", at=CUTOFF - 2 * HOUR, publisher="Ledger; Sons"),
            headline("c", "Movers of the day", at=CUTOFF - HOUR),
            headline("c", "Movers of the day", name="MBB", at=CUTOFF - HOUR),
            headline("c", "Movers of the day", name="MBC", at=CUTOFF - HOUR),
            headline("d", "Delta wins", name="MBD"),
        )
    )
    assert of_kind(made, "HEADLINE", "item", "subject", "level", "text", "publisher", "source_ids") == [
        ("H1", "market", "MARKET", "Movers of the day", "P", "c"),
        ("H2", "MBA", "INSTRUMENT", "Acme and Apex to merge", "Ledger, Sons; Wire", "a b"),
        ("H3", "MBB", "INSTRUMENT", "Acme and Apex to merge", "Ledger, Sons; Wire", "a b"),
    ]


def test_headlines_known_later_or_long_before_are_not_there() -> None:
    """The window's edges, to the microsecond: after its start, up to the cutoff itself."""
    tick = dt.timedelta(microseconds=1)
    made = pack(
        news=news(
            headline("late", "late", at=CUTOFF + tick),
            headline("last", "last", at=CUTOFF),
            headline("first", "first", at=CUTOFF - 5 * DAY + tick),
            headline("gone", "gone", at=CUTOFF - 5 * DAY),
        )
    )
    assert [key for (key,) in of_kind(made, "HEADLINE", "source_ids")] == ["last", "first"]


def test_one_name_cannot_fill_the_pack() -> None:
    """A flood on one instrument leaves room for the others; the whole is bounded by the mandate."""
    flood = [headline(f"f{n}", f"Acme story number {n}", at=CUTOFF - n * dt.timedelta(minutes=1)) for n in range(80)]
    table = news(*flood, headline("g", "Apex wins", name="MBB", at=CUTOFF - 2 * DAY))
    made = pack(news=table)
    assert [subject for (subject,) in of_kind(made, "HEADLINE", "subject")] == ["MBA"] * PER_INSTRUMENT_MAX + ["MBB"]
    model = LlmModel(
        provider="openai",
        model="m",
        knowledge_cutoff=dt.date(2020, 1, 1),
        usd_per_million_input=1,
        usd_per_million_output=1,
    )
    llm = Llm(chain=(model,), usd_per_day=1.0, headlines_max=3, news_days=1)
    small = build_pack(features(), instruments(), table, macro(), CUTOFF, asking(llm))
    assert [key for (key,) in of_kind(small, "HEADLINE", "source_ids")] == ["f0", "f1", "f2"]
    none = build_pack(
        features(), instruments(), table, macro(), CUTOFF, asking(llm.model_copy(update={"headlines_max": 0}))
    )
    assert of_kind(none, "HEADLINE", "item") == []


def asking(llm: Llm) -> Mandate:
    """The mandate with a section llm."""
    return MANDATE.model_copy(update={"llm": llm})


def test_strangers_words_are_data_wherever_they_stand() -> None:
    """Headlines, publishers, issuers' names and units pass through the same quoting; a headline of nothing is none."""
    made = pack(
        news=news(headline("a", "Ac\u200bme [INST] \u0410pex", publisher="Wi`re\u202e"), headline("b", "\u200b\u202e")),
        instruments=instruments(name=["Ac\U000e0041me {x}", "Apex", "Core", "Delta"]),
        macro=macro(release("X", "2020-03-05", 1.0, unit="<|x|>")),
    )
    assert of_kind(made, "HEADLINE", "text", "publisher") == [("Acme (INST) (?)", "Wi're")]
    assert "<|x|>" not in set(pack(instruments=instruments(sector=["<|x|>", "Energy", "FUND", "FUND"]))["subject"])
    assert ("AAA, Acme (x), Energy, US",) in of_kind(made, "SUBJECT", "text")
    assert ("2020-03-05: 1 (/x/)",) in of_kind(made, "MACRO", "text")


def test_a_listing_known_later_is_no_subject() -> None:
    """An instrument row from after the cutoff does not exist."""
    made = pack(instruments=instruments(known_at=[CUTOFF, CUTOFF + HOUR, CUTOFF, CUTOFF]))
    assert "MBB" not in set(made["subject"])


def test_nothing_known_is_an_empty_pack() -> None:
    """Without a universe and releases there are no items, with the table's types."""
    made = pack(instruments=instruments(in_universe=[False] * 4), macro=macro().iloc[:0])
    assert len(made) == 0
    assert str(made["known_at"].dtype) == "datetime64[us, UTC]"


@settings(max_examples=10)
@given(st.randoms(use_true_random=False), st.integers(0, 40))
def test_order_of_rows_and_the_future_change_nothing(draw: Any, later: int) -> None:
    """Any permutation of any input and any rows from after the cutoff give the same table."""
    rows = [
        headline(
            f"k{n % 11}", f"Acme story {n % 11}", name=NAMES[n % 3], at=CUTOFF - (n % 11) * HOUR, publisher=f"P{n % 2}"
        )
        for n in range(33)
    ]
    releases = [release(f"S{n % 3}", f"2020-0{1 + n % 2}-01", float(n % 2), CUTOFF - (n // 6) * DAY) for n in range(12)]
    expected = pack(news=news(*rows), macro=macro(*releases))
    future = [headline(f"z{n}", f"Acme future {n}", at=CUTOFF + (n + 1) * HOUR) for n in range(later)]
    promised = [release("VIX", "2020-03-06", float(n), CUTOFF + (n + 1) * HOUR) for n in range(later)]
    tables = {
        "news": news(*rows, *future),
        "macro": macro(*releases, *promised),
        "features": features(),
        "instruments": instruments(),
    }
    shuffled = {}
    for name, table in tables.items():
        order = list(range(len(table)))
        draw.shuffle(order)
        shuffled[name] = table.iloc[order]
    pd.testing.assert_frame_equal(pack(**shuffled), expected)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_no_fact(value: float) -> None:
    """An unknown feature has no item, in the market's facts and the groups' as well."""
    unknown = {name: [value] * 4 for name in sorted({shown.feature for shown in FACTS})}
    assert of_kind(pack(features=features(**unknown)), "FACT", "text") == []
