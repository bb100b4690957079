"""What the rules for news do on real headlines: coverage, bad dates, duplicates, and the information coefficient of their words.

Usage: python tools/headlines.py [FOLDER]. FOLDER (default ../shared/data) holds news/headlines_2009_2017.csv (title, date with its
New York offset, stock) and prices/us_equities_2015_2020.parquet. Neither is part of the project. The words, the stories and the
window are the product's own (`marketbot_assets.insight`); prints Markdown. `docs/headlines.md` holds what it printed.
"""

import datetime as dt
import hashlib
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import spearmanr

from marketbot_assets.insight.context_pack import HEADLINE_MAX
from marketbot_assets.insight.heuristic import NEWS_DAYS, VERSION, headline_views, tone
from marketbot_assets.insight.quoting import as_data
from marketbot_assets.insight.stories import EXACT, NEARLY, Told, rules_of, told_of, words_of
from marketbot_assets.normalization.plain_text import clean_text
from marketbot_resources.calendars import computed_cutoff
from marketbot_resources.mandate import parse_mandate
from marketbot_resources.mandate_file import read_mandate_text

FOLDER = Path("../shared/data")
HORIZON, BLOCK, DRAWS, SEED = 5, 20, 2000, 20171231
BAND = (0.05, 0.95)
RULES_1 = (
    frozenset({"beats", "raises", "wins", "gain", "gains", "record", "growth"}),
    frozenset({"warns", "weaker", "cuts", "loss", "probe", "faces"}),
)
ISSUERS = {"A": ("agilent",), "AAP": ("advance auto", "aap"), "ABBV": ("abbvie", "abbv"), "ABC": ("amerisource", "abc")}
SAMPLE_NAMES = "AAPL AMD BAC BBY CVX GE HD JNJ JPM KO LLY MRK MSFT PEP PFE PG RRC UNH WMT XOM".split()
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pooled:
    """Observations of all names together. `session`: place of the session; `view`: what the words said; labels: fractions."""

    session: NDArray[np.int64]
    view: Floats
    ahead: Floats
    behind: Floats


def news_of(raw: pd.DataFrame) -> pd.DataFrame:
    """NEWS rows of a file of headlines; rows whose date is no instant are left out. An identifier is the text and its instant."""
    at = pd.to_datetime(raw["date"], utc=True, errors="coerce")
    known = raw[at.notna()]
    ids = [
        hashlib.sha256(f"{d}|{t}".encode()).hexdigest()[:16] for d, t in zip(known["date"], known["title"], strict=True)
    ]
    return pd.DataFrame(
        {
            "headline_id": ids,
            "instrument": known["stock"].to_numpy(),
            "headline": [clean_text(text) for text in known["title"]],
            "publisher": "",
            "known_at": at[at.notna()].to_numpy(),
            "synthetic": False,
        }
    ).assign(known_at=lambda frame: pd.to_datetime(frame["known_at"], utc=True))


def coverage_lines(raw: pd.DataFrame, news: pd.DataFrame) -> Iterator[str]:
    """Rows, names and days."""
    days = news["known_at"].dt.tz_convert("America/New_York").dt.date
    counts = news["instrument"].value_counts()
    yield f"- {len(raw)} rows, {len(counts)} names, {days.min()} .. {days.max()}; {days.nunique()} days hold a headline"
    yield (
        f"- per name: {counts.max()} at most ({counts.idxmax()}), median {counts.median():.0f}, least {counts.min()}; "
        f"the five largest hold {counts.head(5).sum() / counts.sum():.0%}"
    )
    changed = sum(as_data(text, HEADLINE_MAX) != text for text in raw["title"])
    cut = sum(len(clean_text(text)) > HEADLINE_MAX for text in raw["title"])
    marked = sum("(?)" in as_data(text, 1000) for text in raw["title"])
    yield (
        f"- as data for a prompt {changed} texts are not the bytes received (white space, quotes, marks); {cut} are longer than "
        f"{HEADLINE_MAX} characters and cut; {marked} hold a word that is marked as unreadable"
    )


def date_lines(raw: pd.DataFrame) -> Iterator[str]:
    """Instants that are none, contradict New York's clock, or hold no time of day."""
    zone = ZoneInfo("America/New_York")
    bad = midnight = wrong = weekend = 0
    for text in raw["date"]:
        try:
            at = dt.datetime.fromisoformat(text)
        except ValueError:
            bad += 1
            continue
        wrong += at.utcoffset() is None or at.replace(tzinfo=zone).utcoffset() != at.utcoffset()
        midnight += at.time() == dt.time(0)
        weekend += at.weekday() >= 5
    yield (
        f"- dates: {bad} are no instant, {wrong} have an offset that New York did not have that day, {midnight} stand at midnight "
        f"sharp (a day without a time: known too early by up to a day), {weekend} on a weekend"
    )


def duplicate_lines(news: pd.DataFrame, days: int) -> Iterator[str]:
    """What each rule removes, within windows of `days` days and at any distance."""
    start, end = news["known_at"].min().to_pydatetime(), news["known_at"].max().to_pydatetime()
    told = told_of(news, start - dt.timedelta(days=1), end)
    spans: dict[int, list[Told]] = {}
    for one in told:
        spans.setdefault((one.known_at - start).days // days, []).append(one)
    near = Counter(rule for span in spans.values() for rule in rules_of(span))
    far = Counter(rules_of(told))
    yield "| rule | removed within windows of " + f"{days} days | at any distance |"
    yield "|---|---|---|"
    yield f"| served again: same text, instant and name | {len(news) - len(told)} | {len(news) - len(told)} |"
    for rule in (EXACT, NEARLY):
        yield f"| {rule} | {near[rule]} | {far[rule]} |"
    left = [len(told) - sum(counts.values()) for counts in (near, far)]
    yield f"| stories left of {len(news)} rows | {left[0]} | {left[1]} |"


def word_lines(news: pd.DataFrame) -> Iterator[str]:
    """How many headlines hold a word that the rules know."""
    words = [words_of(text) for text in news["headline"]]
    old = [len(RULES_1[0].intersection(w)) - len(RULES_1[1].intersection(w)) for w in words]
    for name, tones in (("rules-1", old), (VERSION, [tone(w) for w in words])):
        signs = Counter(int(np.sign(value)) for value in tones)
        share = (signs[1] + signs[-1]) / len(words)
        yield f"- {name}: {share:.1%} of all headlines have a direction ({signs[1]} positive, {signs[-1]} negative)"


def link_line(news: pd.DataFrame) -> str:
    """How many headlines of the names with prices name their issuer: the others are round-ups and wrong links."""
    own = news[news["instrument"].isin(ISSUERS)]
    naming = sum(
        any(word in text.casefold() for word in ISSUERS[name])
        for name, text in zip(own["instrument"], own["headline"], strict=True)
    )
    return f"- of the headlines linked to these names {naming / len(own):.0%} name their issuer ({naming} of {len(own)}, all years)"


def pooled(news: pd.DataFrame, prices: pd.DataFrame, names: Sequence[str]) -> Pooled:
    """Every session and name with a headline in the window: the words' view (score times confidence) and returns beyond the mean
    of all names, from the next open over HORIZON sessions, and over the HORIZON sessions up to the cutoff.
    """
    close, opened = (_wide(prices, column) for column in ("adj_close", "adj_open"))
    ahead = close.shift(-HORIZON) / opened.shift(-1) - 1.0
    behind = close / close.shift(HORIZON) - 1.0
    ahead, behind = (frame.sub(frame.mean(axis=1), axis=0) for frame in (ahead, behind))
    schedule = parse_mandate(read_mandate_text()).schedule
    own = news[news["instrument"].isin(names)]
    rows = []
    for place, day in enumerate(close.index):
        cutoff = computed_cutoff(schedule, day.date())
        for _, name, score, confidence, _ in headline_views(own, cutoff):
            rows.append((place, score * confidence, float(ahead.at[day, name]), float(behind.at[day, name])))
    table = np.array(rows, dtype=float)
    table = table[np.isfinite(table).all(axis=1)]
    return Pooled(table[:, 0].astype(np.int64), table[:, 1], table[:, 2], table[:, 3])


def _wide(prices: pd.DataFrame, column: str) -> pd.DataFrame:
    return prices.pivot(index="date", columns="symbol", values=column).sort_index()


def rank_correlation(view: Floats, label: Floats) -> float:
    """Spearman's; NaN where a side does not vary."""
    if len(view) < 3 or np.ptp(view) == 0 or np.ptp(label) == 0:
        return float("nan")
    return float(spearmanr(view, label).statistic)


def band(session: NDArray[np.int64], view: Floats, label: Floats) -> tuple[float, float]:
    """Quantiles BAND of the rank correlation over DRAWS resamples of blocks of BLOCK successive sessions, names kept together."""
    draw = np.random.default_rng(SEED)
    last = int(session.max()) + 1
    places = [np.flatnonzero((session >= first) & (session < first + BLOCK)) for first in range(last - BLOCK + 1)]
    values = []
    for _ in range(DRAWS):
        chosen = np.concatenate([places[k] for k in draw.integers(len(places), size=-(-last // BLOCK))])
        values.append(rank_correlation(view[chosen], label[chosen]))
    low, high = np.nanquantile(values, BAND)
    return float(low), float(high)


def coefficient_lines(found: Pooled) -> Iterator[str]:
    """The information coefficient with its band, of the future and, as a control, of the past."""
    yield "| observations | count | sessions | view against | rank correlation | 90 % band |"
    yield "|---|---|---|---|---|---|"
    for title, kept in (
        ("all with a headline", np.full(len(found.view), True)),
        ("words have a direction", found.view != 0),
    ):
        session, view = found.session[kept], found.view[kept]
        for label, values in (("the next five sessions", found.ahead), ("the five sessions before", found.behind)):
            low, high = band(session, view, values[kept])
            ic = rank_correlation(view, values[kept])
            counts = f"{len(view)} | {len(np.unique(session))}"
            yield f"| {title} | {counts} | {label} | {ic:+.3f} | {low:+.3f} .. {high:+.3f} |"


def main(words: Sequence[str]) -> None:
    """Prints the report."""
    folder = Path(words[0]) if words else FOLDER
    files = (folder / "news" / "headlines_2009_2017.csv", folder / "prices" / "us_equities_2015_2020.parquet")
    missing = [str(path) for path in files if not path.exists()]
    if missing:
        raise SystemExit(f"expected {', '.join(missing)}; found nothing there")
    raw, prices = pd.read_csv(files[0]), pd.read_parquet(files[1]).drop_duplicates(["date", "symbol"])
    prices["adj_open"] = prices["open"] * prices["adj_close"] / prices["close"]
    news = news_of(raw)
    names = sorted(set(news["instrument"]) & set(prices["symbol"]))
    after = news[news["known_at"] >= prices["date"].min().tz_localize("UTC")]
    tagged = int(after["instrument"].isin(names).sum())
    print(
        "\n".join(
            [*coverage_lines(raw, news), *date_lines(raw), "", *duplicate_lines(news, NEWS_DAYS), "", *word_lines(news)]
        )
    )
    print(
        f"- names with prices: {len(names)} of {news['instrument'].nunique()} ({', '.join(names)}), {tagged} headlines from "
        f"{prices['date'].min():%Y-%m-%d} on; of the sample's 20 US names {len(set(SAMPLE_NAMES) & set(news['instrument']))}"
    )
    print(link_line(news) + "\n")
    print("\n".join(coefficient_lines(pooled(news, prices, names))))


if __name__ == "__main__":
    main(sys.argv[1:])
