"""The context pack: everything that a language model may know of a session, from stored rows alone. Pure.

Items in the order of the prompt: subjects (all that may be named), newest macro releases, facts of market, sectors, countries
and instruments, headlines. Every number is computed here, rounded once, and shown as `value` holds it. What is unknown has no
item; it is never a zero. Rows known after the cutoff do not exist here, whatever the caller hands over. The order of the input
changes nothing.

Headlines: those that first became known in the last `news_days` days, one per story (`stories`), newest first, at most
PER_INSTRUMENT_MAX of one instrument and `headlines_max` in all. A story about more than LINKED_MAX instruments of the universe is a
list of names that says little of each: it is shown once, as the market's.

Not here: how it is asked (`prompt`), how words of strangers become data (`quoting`).
"""

import datetime as dt
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from marketbot_assets.insight.quoting import as_data
from marketbot_assets.insight.schema import CONTEXT_PACK
from marketbot_assets.insight.stories import Story, stories_of, told_of
from marketbot_resources.cash_rates import CASH_SERIES
from marketbot_resources.mandate import Mandate
from marketbot_resources.mandate_llm import Llm

MARKET = "market"
NO_SECTOR = frozenset({"", "UNKNOWN", "FUND"})
HEADLINE_MAX, NAME_MAX, PUBLISHER_MAX, PUBLISHERS_MAX = 200, 60, 40, 5
PER_INSTRUMENT_MAX, LINKED_MAX = 5, 2
PUBLISHERS_BETWEEN = "; "
LETTERS = {"SUBJECT": "S", "MACRO": "M", "FACT": "F", "HEADLINE": "H"}


@dataclass(frozen=True, slots=True)
class Shown:
    """One feature as a fact: its words, how many decimals it is rounded to, what it is multiplied by and the unit after that."""

    feature: str
    words: str
    decimals: int = 1
    times: float = 100.0
    unit: str = "%"


OF_NAME = (
    Shown("return_5d", "return 5d"),
    Shown("return_21d", "return 21d"),
    Shown("return_63d", "return 63d"),
    Shown("volatility_21d", "volatility 21d", 0, 100.0, "% per year"),
    Shown("drawdown_252d", "below high 252d", 0),
)
RANKED = Shown("momentum_12_1", "momentum rank", 0, 1.0, "rank")
MEDIANS = (Shown("return_5d", "median return 5d"), Shown("return_21d", "median return 21d"))
BREADTH = Shown("return_63d", "names up over 63d", 0)
OF_MARKET = (
    Shown("index_trend_200d", "index against its mean of 200d"),
    Shown("term_slope", "ten-year less two-year yield", 2, 1.0, "percent"),
    Shown("credit_spread", "BAA less AAA yield", 2, 1.0, "percent"),
)
FACTS = (*OF_NAME, RANKED, *MEDIANS, BREADTH, *OF_MARKET)


@dataclass(frozen=True, slots=True)
class Item:
    """One row of the pack without its place."""

    kind: str
    subject: str
    level: str
    text: str
    known_at: dt.datetime
    source_ids: str
    synthetic: bool
    value: float = math.nan
    unit: str = ""
    publisher: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """One instrument of the universe and what is known of it. `feature`: value by name, NaN when unknown."""

    instrument: str
    ticker: str
    name: str
    sector: str
    country: str
    synthetic: bool
    feature: Mapping[str, float]


def build_pack(
    features: pd.DataFrame,
    instruments: pd.DataFrame,
    news: pd.DataFrame,
    macro: pd.DataFrame,
    cutoff: dt.datetime,
    mandate: Mandate,
) -> pd.DataFrame:
    """CONTEXT_PACK rows of what was known at the cutoff. Tables: FEATURES, INSTRUMENTS, NEWS and MACRO, rows in any order.

    Without a section llm in the mandate the sizes are that section's defaults.
    """
    listings = _listings(features, instruments[instruments["known_at"] <= cutoff])
    headlines_max, news_days = _sizes(mandate)
    told = told_of(news, cutoff - dt.timedelta(days=news_days), cutoff, [x.instrument for x in listings])
    items = [
        *_subjects(listings, cutoff),
        *_macro(macro, cutoff),
        *_facts(listings, cutoff),
        *_headlines(stories_of(told), headlines_max),
    ]
    return _frame(items)


def _sizes(mandate: Mandate) -> tuple[int, int]:
    if mandate.llm is None:
        fields = Llm.model_fields
        return int(fields["headlines_max"].default), int(fields["news_days"].default)
    return mandate.llm.headlines_max, mandate.llm.news_days


def _frame(items: Sequence[Item]) -> pd.DataFrame:
    counted: Counter[str] = Counter()
    named = []
    for item in items:
        counted[item.kind] += 1
        named.append(f"{LETTERS[item.kind]}{counted[item.kind]}")
    columns = {
        "place": np.arange(len(items), dtype=np.int64),
        "item": pd.array(named, dtype="str"),
        "value": np.array([item.value for item in items], dtype=float),
        "known_at": pd.DatetimeIndex([item.known_at for item in items], dtype="datetime64[us, UTC]"),
        "synthetic": np.array([item.synthetic for item in items], dtype=bool),
    }
    texts = ("kind", "subject", "level", "text", "unit", "publisher", "source_ids")
    columns |= {name: pd.array([getattr(item, name) for item in items], dtype="str") for name in texts}
    return pd.DataFrame({column.name: columns[column.name] for column in CONTEXT_PACK.columns})


def _listings(features: pd.DataFrame, instruments: pd.DataFrame) -> list[Listing]:
    """The universe by instrument."""
    names = sorted({shown.feature for shown in FACTS})
    values = dict(zip(features["instrument"], features[names].to_numpy(dtype=float).tolist(), strict=True))
    listed = instruments[instruments["in_universe"]]
    columns = ("instrument", "ticker", "name", "sector", "country", "synthetic")
    rows = sorted(zip(*(listed[column] for column in columns), strict=True))
    nothing = [math.nan] * len(names)
    return [
        Listing(
            str(instrument),
            as_data(str(ticker), NAME_MAX),
            as_data(str(name), NAME_MAX),
            _group(sector),
            _group(country),
            bool(synthetic),
            dict(zip(names, values.get(instrument, nothing), strict=True)),
        )
        for instrument, ticker, name, sector, country, synthetic in rows
    ]


def _group(name: str) -> str:
    """A sector or country as it may be named; one that would not pass a prompt unchanged is none."""
    return str(name) if as_data(str(name), NAME_MAX) == name else ""


def _groups(listings: Sequence[Listing]) -> Iterator[tuple[str, str, list[Listing]]]:
    """(level, subject, members) of every sector and country; funds and unknown sectors are no sector that a view could be on."""
    keys: tuple[tuple[str, Callable[[Listing], str]], ...] = (
        ("SECTOR", lambda x: "" if x.sector in NO_SECTOR else x.sector),
        ("COUNTRY", lambda x: x.country),
    )
    for level, key in keys:
        for subject in sorted({key(x) for x in listings} - {""}):
            yield level, subject, [x for x in listings if key(x) == subject]


def _subjects(listings: Sequence[Listing], cutoff: dt.datetime) -> Iterator[Item]:
    for level, subject, members in _groups(listings):
        text, simulated = (
            f"{level.lower()} of {len(members)} name{'s' * (len(members) > 1)}",
            all(x.synthetic for x in members),
        )
        yield Item("SUBJECT", subject, level, text, cutoff, f"instruments:{level.lower()}", simulated)
    for x in listings:
        text = ", ".join(part for part in (x.ticker, x.name, x.sector, x.country) if part)
        yield Item("SUBJECT", x.instrument, "INSTRUMENT", text, cutoff, f"instruments:{x.instrument}", x.synthetic)


def _macro(macro: pd.DataFrame, cutoff: dt.datetime) -> Iterator[Item]:
    """The newest period of each series by its newest release, and the change from the period before by its own newest release."""
    told = (macro["known_at"] <= cutoff) & ~macro["series"].isin(CASH_SERIES)  # rates of cash measure results only
    known = macro[told & np.isfinite(macro["value"].to_numpy(dtype=float))]
    last = _two_newest(known)
    columns = ("series", "period", "value", "unit", "known_at", "synthetic")
    before: tuple[str, float] = ("", math.nan)
    rows = list(zip(*(last[column] for column in columns), strict=True))
    for number, (series, period, value, unit, at, synthetic) in enumerate(rows):
        if number + 1 < len(rows) and rows[number + 1][0] == series:
            before = (series, float(value))
            continue
        shown, unit = _significant(float(value)), as_data(str(unit), NAME_MAX)
        text = f"{period:%Y-%m-%d}: {_plain(shown)} {unit}".rstrip()
        if before[0] == series:
            text += f", change {_plain(_significant(float(value) - before[1]), signed=True)}"
        yield Item(
            "MACRO",
            as_data(str(series), NAME_MAX),
            "SERIES",
            text,
            at.to_pydatetime(),
            f"macro:{series}",
            bool(synthetic),
            shown,
            unit,
        )


def _two_newest(known: pd.DataFrame) -> pd.DataFrame:
    """The newest release of the two newest periods of each series, ascending; sorted by numbers, for there are many rows."""
    code, _ = pd.factorize(known["series"], sort=True)
    period, at = (pd.DatetimeIndex(known[name]).asi8 for name in ("period", "known_at"))
    order = np.lexsort((at, period, code))
    code, period = code[order], period[order]
    of_period = np.flatnonzero((np.diff(code, append=-1) != 0) | (np.diff(period, append=0) != 0))
    newest = np.flatnonzero(np.diff(code[of_period], append=-1) != 0)
    before = newest[np.diff(newest, prepend=-1) > 1] - 1
    return known.iloc[order[of_period[np.sort(np.concatenate([newest, before]))]]]


def _significant(value: float) -> float:
    return float(f"{value:.6g}") + 0.0


def _plain(value: float, *, signed: bool = False) -> str:
    text = f"{value:.10f}".rstrip("0").rstrip(".") or "0"
    return f"+{text}" if signed and value > 0 else text


def _facts(listings: Sequence[Listing], cutoff: dt.datetime) -> Iterator[Item]:
    for shown in OF_MARKET if listings else ():
        value = listings[0].feature[shown.feature]  # facts of the market stand in every row alike
        if math.isfinite(value):
            yield _fact(shown, value, MARKET, "MARKET", cutoff, synthetic=False)
    for level, subject, members in (("MARKET", MARKET, list(listings)), *_groups(listings)):
        yield from _group_facts(level, subject, members, cutoff)
    ranks = _ranks(listings)
    for x in listings:
        shown_values = [(shown, x.feature[shown.feature], "") for shown in OF_NAME]
        shown_values.append((RANKED, ranks.get(x.instrument, math.nan), f" of {len(ranks)}"))
        for shown, value, after in shown_values:
            if math.isfinite(value):
                yield _fact(shown, value, x.instrument, "INSTRUMENT", cutoff, synthetic=x.synthetic, after=after)


def _group_facts(level: str, subject: str, members: Sequence[Listing], cutoff: dt.datetime) -> Iterator[Item]:
    synthetic = any(x.synthetic for x in members)
    for shown in (*MEDIANS, BREADTH):
        values = sorted(v for x in members if math.isfinite(v := x.feature[shown.feature]))
        if values:
            value = sum(v > 0 for v in values) / len(values) if shown is BREADTH else float(np.median(values))
            yield _fact(shown, value, subject, level, cutoff, synthetic=synthetic)


def _ranks(listings: Sequence[Listing]) -> dict[str, float]:
    """Place of each name by momentum, 1 = strongest; equal values by instrument."""
    known = [(-x.feature[RANKED.feature], x.instrument) for x in listings if math.isfinite(x.feature[RANKED.feature])]
    return {name: float(place) for place, (_, name) in enumerate(sorted(known), start=1)}


def _fact(
    shown: Shown, value: float, subject: str, level: str, cutoff: dt.datetime, *, synthetic: bool, after: str = ""
) -> Item:
    rounded = round(value * shown.times, shown.decimals) + 0.0
    unit = "" if shown.unit == "rank" else shown.unit if shown.unit.startswith("%") else f" {shown.unit}"
    text = f"{shown.words} {rounded:.{shown.decimals}f}{after}{unit}"
    return Item("FACT", subject, level, text, cutoff, f"features:{shown.feature}", synthetic, rounded, shown.unit)


def _headlines(stories: Sequence[Story], count_max: int) -> Iterator[Item]:
    """Newest story first; stories of one instant by identifier, instrument and text."""
    ordered = sorted(stories, key=lambda s: (s.first.headline_id, s.first.instrument, s.first.text))
    ordered.sort(key=lambda s: s.first.known_at, reverse=True)
    per_name: Counter[str] = Counter()
    shown = 0
    for story in ordered:
        linked = sorted(story.instruments)
        about = [(MARKET, "MARKET")] if len(linked) > LINKED_MAX else [(name, "INSTRUMENT") for name in linked]
        text = as_data(story.first.text, HEADLINE_MAX)
        for subject, level in about if text else ():
            if shown < count_max and (per_name[subject] < PER_INSTRUMENT_MAX or level == "MARKET"):
                shown += 1
                per_name[subject] += 1
                yield _headline(story, subject, level, text)


def _headline(story: Story, subject: str, level: str, text: str) -> Item:
    publishers = sorted({as_data(p, PUBLISHER_MAX).replace(";", ",") for p in story.publishers} - {""})
    return Item(
        "HEADLINE",
        subject,
        level,
        text,
        story.first.known_at,
        " ".join("%20".join(key.split()) for key in story.ids),
        story.synthetic,
        publisher=PUBLISHERS_BETWEEN.join(publishers[:PUBLISHERS_MAX]),
    )
