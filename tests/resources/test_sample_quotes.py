"""The sample world quotes while its exchanges trade, within the session's own bar, and the same at every asking."""

import csv
import datetime as dt
import io

import numpy as np
import pytest

from marketbot_assets.ingestion.parse import PARSERS
from marketbot_assets.ingestion.quotes import quotes_frame
from marketbot_assets.normalization.identity import normalize_instruments
from marketbot_resources import calendars
from marketbot_resources.closures import NO_CLOSURES
from marketbot_resources.errors import ProviderError
from marketbot_resources.market.sample import SampleMarket
from marketbot_resources.market.sample_quotes import SampleQuotes
from marketbot_resources.market.sample_world import world
from marketbot_resources.model import instrument_id

AT = dt.datetime(2018, 12, 14, 15, 30, tzinfo=dt.UTC)  # New York and London trade, Tokyo and Hong Kong do not
DAY = dt.date(2018, 12, 14)
BARS = {bars.listing.source_id: bars for bars in world(None).bars}
NAMES = sorted(BARS)


def rows(at: dt.datetime) -> list[dict[str, str]]:
    (body,) = SampleQuotes().quotes(NAMES, at).bodies
    return list(csv.DictReader(io.StringIO(body.content.decode())))


def test_quotes_lie_within_the_bar_and_say_when_they_were_made() -> None:
    """Every listing whose exchange trades; bid below ask, half a spread around a price between low and high; at most 30 s old."""
    found = rows(AT)
    trading = {
        name for name in NAMES if calendars.session_at(BARS[name].listing.mic, AT) and DAY in BARS[name].sessions
    }
    assert {row["source_id"] for row in found} == trading
    assert {BARS[name].listing.mic for name in trading} == {"XNYS", "XNAS", "BATS", "XLON", "XETR"}
    for row in found:
        bars = BARS[row["source_id"]]
        place = bars.sessions.index(DAY)
        low, high = (float(column[place]) for column in (bars.low, bars.high))
        assert low - 1e-6 <= float(row["last"]) <= high + 1e-6
        assert float(row["bid"]) < float(row["last"]) < float(row["ask"])
        quoted = dt.datetime.fromisoformat(row["quoted_at"])
        assert dt.timedelta(0) <= AT - quoted < dt.timedelta(seconds=30)
        assert row["synthetic"] == "true"


def test_quotes_are_repeatable_and_move() -> None:
    """The same instant gives the same bytes in any order of names; five minutes later the prices are others."""
    first, again = (SampleQuotes().quotes(names, AT).bodies[0].content for names in (NAMES, NAMES[::-1]))
    assert first == again
    later = {row["source_id"]: row["last"] for row in rows(AT + dt.timedelta(minutes=5))}
    changed = [row["last"] != later[row["source_id"]] for row in rows(AT)]
    assert np.mean(changed) > 0.9


def test_no_exchange_trades_at_night() -> None:
    """At midnight UTC of a Saturday nobody quotes; a closed exchange has no session at the instant of its close plus a second."""
    assert rows(dt.datetime(2018, 12, 15, 0, 0, tzinfo=dt.UTC)) == []
    close = calendars.close_at("XNYS", DAY)
    assert calendars.session_at("XNYS", close) == DAY
    assert calendars.session_at("XNYS", close + dt.timedelta(seconds=1)) is None
    assert calendars.session_at("XNYS", calendars.open_at("XNYS", DAY)) == DAY
    assert calendars.session_at("XNYS", AT, {"XNYS": frozenset({DAY})}) is None


def parsed(at: dt.datetime) -> tuple[object, object]:
    (listed,), (body,) = SampleMarket().instruments(at).bodies, SampleQuotes().quotes(NAMES, at).bodies
    raw = PARSERS["raw_instruments"](listed.content, source="sample", blob_sha256="0")
    quotes = PARSERS["raw_quotes"](body.content, source="sample", blob_sha256="1")
    return quotes, normalize_instruments(raw, {"XNYS": "all"}, at)


def test_quotes_become_rows_in_the_major_unit() -> None:
    """Pence become pounds; each row has the session of its own exchange; a stranger or another currency is refused."""
    quotes, listings = parsed(AT)
    frame = quotes_frame(quotes, listings, NO_CLOSURES)  # type: ignore[arg-type]
    london = next(name for name in NAMES if BARS[name].listing.currency == "GBX")
    told = next(float(row["bid"]) for row in rows(AT) if row["source_id"] == london)
    assert float(frame.set_index("instrument").at[instrument_id("sample", london), "bid"]) == pytest.approx(told / 100)
    assert set(frame["session"].dt.date) == {DAY}
    closed = quotes_frame(quotes, listings, {"XLON": frozenset({DAY})})  # type: ignore[arg-type]
    assert closed["session"].isna().sum() == sum(BARS[row["source_id"]].listing.mic == "XLON" for row in rows(AT))
    with pytest.raises(ProviderError, match="expected quotes of known listings in their currency"):
        quotes_frame(quotes.assign(currency="CHF"), listings, NO_CLOSURES)  # type: ignore[attr-defined]
    with pytest.raises(ProviderError, match="expected quotes of known listings"):
        quotes_frame(quotes.assign(source_id="NOBODY"), listings, NO_CLOSURES)  # type: ignore[attr-defined]
    assert quotes_frame(quotes.iloc[:0], listings, NO_CLOSURES).empty  # type: ignore[attr-defined]
