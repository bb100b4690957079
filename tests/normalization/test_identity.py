"""Who is who, in which unit, and since when: identity is whole or refused."""

import base64
import datetime as dt
import hashlib
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from marketbot_assets.normalization.identity import instrument_ids, normalize_instruments
from marketbot_assets.normalization.schema import CORPORATE_ACTIONS, FUNDAMENTALS, INSTRUMENTS, MACRO, NEWS, PRICES
from marketbot_assets.normalization.series import (
    normalize_corporate_actions,
    normalize_fundamentals,
    normalize_fx,
    normalize_macro,
    normalize_news,
    normalize_prices,
)
from marketbot_resources.errors import MandateError, ProviderError

CUTOFF = dt.datetime(2018, 12, 21, 23, 15, tzinfo=dt.UTC)


def instant(day: str, hour: int = 21) -> pd.Timestamp:
    return pd.Timestamp(f"{day} {hour:02d}:00", tz="UTC")


def instants(frame: pd.DataFrame, *names: str) -> pd.DataFrame:
    return frame.astype({name: "datetime64[us, UTC]" for name in ("known_at", *names)})


def listing(source_id: str, **changes: object) -> dict[str, object]:
    row: dict[str, object] = {
        "source": "sample",
        "source_id": source_id,
        "ticker": source_id,
        "name": source_id,
        "mic": "XLON",
        "currency": "GBX",
        "country": "GB",
        "sector": "",
        "kind": "EQUITY",
        "issuer": source_id,
        "quantity_step": Decimal(1),
        "tick_size": Decimal("0.5"),
        "listed_on": pd.Timestamp("2010-01-04"),
        "delisted_on": pd.NaT,
        "shares_outstanding": 1e9,
        "known_at": instant("2010-01-04"),
        "synthetic": True,
        "blob_sha256": "x",
    }
    return {**row, **changes}


def raw_instruments(*rows: dict[str, object]) -> pd.DataFrame:
    frame = pd.DataFrame(list(rows)).astype({"listed_on": "datetime64[ms]", "delisted_on": "datetime64[ms]"})
    return instants(frame)


def made(*rows: dict[str, object]) -> pd.DataFrame:
    return normalize_instruments(raw_instruments(*rows), {"XLON": "all", "XNYS": "all"}, CUTOFF)


def test_an_id_is_the_hash_of_where_it_was_first_seen() -> None:
    """MB and ten base32 characters of SHA-256; no two of 40,000 listings share one, none depends on its neighbours."""
    digest = base64.b32encode(hashlib.sha256(b"sample|GB-AL01").digest()).decode()
    names = pd.Series([f"US-{n:06d}" for n in range(20_000)])
    both = [name for source in ("sample", "other") for name in instrument_ids(pd.Series([source] * 20_000), names)]
    assert instrument_ids(pd.Series(["sample"]), pd.Series(["GB-AL01"])).tolist() == ["MB" + digest[:10]]
    assert len(set(both)) == 40_000
    assert {len(name) for name in both} == {12}


@pytest.mark.parametrize(
    ("quoted", "currency", "divisor", "tick"),
    [
        ("GBX", "GBP", 100.0, "0.005"),
        ("GBp", "GBP", 100.0, "0.005"),
        ("ZAC", "ZAR", 100.0, "0.005"),
        ("ILA", "ILS", 100.0, "0.005"),
        ("USD", "USD", 1.0, "0.5"),
    ],
)
def test_minor_units_become_major(quoted: str, currency: str, divisor: float, tick: str) -> None:
    """Currency, divisor and price step change together."""
    frame = made(listing("A", currency=quoted))
    INSTRUMENTS.pandera_schema.validate(frame)
    row = frame.iloc[0]
    assert (row["currency"], row["price_divisor"], row["tick_size"]) == (currency, divisor, Decimal(tick))
    assert row["sector"] == "UNKNOWN"


@pytest.mark.parametrize(
    ("changes", "inside"),
    [
        ({}, True),
        ({"delisted_on": pd.Timestamp("2018-12-21")}, True),
        ({"delisted_on": pd.Timestamp("2018-12-20")}, False),
        ({"listed_on": pd.Timestamp("2018-12-21")}, True),
        ({"listed_on": pd.Timestamp("2018-12-24")}, False),
        ({"known_at": instant("2018-12-24")}, False),
        ({"mic": "XPAR"}, False),
    ],
)
def test_the_universe_is_what_is_listed_at_the_cutoff(changes: dict[str, object], inside: bool) -> None:
    """A dead, a future, an unknown or an unnamed listing is kept, but not traded."""
    frame = made(listing("A", **changes), listing("Z"))
    assert frame.set_index("source_id")["in_universe"].to_dict() == {"A": inside, "Z": True}


def test_only_named_tickers_are_in_the_universe() -> None:
    """A list of tickers is exact; a ticker that no provider lists is refused by name."""
    raw = raw_instruments(listing("A"), listing("B"))
    frame = normalize_instruments(raw, {"XLON": ["B"]}, CUTOFF).set_index("ticker")
    assert frame["in_universe"].to_dict() == {"A": False, "B": True}
    with pytest.raises(MandateError, match=r"XLON.*NOPE"):
        normalize_instruments(raw, {"XLON": ["B", "NOPE"]}, CUTOFF)


def bar(source_id: str, currency: str, close: float = 250.0) -> pd.DataFrame:
    row = {
        "source": "sample",
        "source_id": source_id,
        "session": pd.Timestamp("2018-12-21"),
        **dict.fromkeys(("open", "high", "low", "close", "price_level"), close),
        "volume": 10.0,
        "currency": currency,
        "close_adjusted_by_source": False,
        "known_at": instant("2018-12-21"),
        "synthetic": True,
        "synthetic_fields": "",
        "blob_sha256": "x",
    }
    return instants(pd.DataFrame([row]).astype({"session": "datetime64[ms]"}))


def event(source_id: str, currency: str, amount: float = 30.0) -> pd.DataFrame:
    row = {
        "source": "sample",
        "source_id": source_id,
        "ex_session": pd.Timestamp("2018-12-21"),
        "kind": "CASH_DIVIDEND",
        "amount": amount,
        "ratio": 1.0,
        "currency": currency,
        "other": "",
        "known_at": instant("2018-12-01"),
        "synthetic": True,
        "blob_sha256": "x",
    }
    return instants(pd.DataFrame([row]).astype({"ex_session": "datetime64[ms]"}))


def test_a_row_is_divided_by_its_own_unit() -> None:
    """A bar or dividend in pounds of a listing in pence is not divided a second time."""
    instruments = made(listing("A"))
    for quoted, divisor in (("GBX", 100.0), ("GBP", 1.0)):
        prices = normalize_prices(bar("A", quoted), instruments)
        actions = normalize_corporate_actions(event("A", quoted), instruments)
        PRICES.pandera_schema.validate(prices)
        CORPORATE_ACTIONS.pandera_schema.validate(actions)
        assert (prices["close"].iloc[0], actions["amount"].iloc[0]) == (250.0 / divisor, 30.0 / divisor)
        assert (prices["currency"].iloc[0], actions["currency"].iloc[0]) == ("GBP", "GBP")


def test_a_row_in_another_currency_than_its_listing_is_refused() -> None:
    """Dollars of a London listing are neither pounds nor pence."""
    instruments = made(listing("A"))
    with pytest.raises(ProviderError, match=r"raw_prices: expected GBP for A .* found USD"):
        normalize_prices(bar("A", "USD"), instruments)
    with pytest.raises(ProviderError, match=r"raw_corporate_actions: expected GBP for A .* found USD"):
        normalize_corporate_actions(event("A", "USD"), instruments)
    with pytest.raises(ProviderError, match="B, which no listing has"):
        normalize_corporate_actions(event("B", "GBX"), instruments)


def raw_fx(rows: list[tuple[str, str, float]]) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "source": "ecb",
            "currency": pd.Series([row[0] for row in rows], dtype="str"),
            "session": pd.Series([pd.Timestamp(row[1]) for row in rows], dtype="datetime64[ms]"),
            "units_per_eur": [row[2] for row in rows],
            "known_at": [instant(row[1], 15) for row in rows],
            "synthetic": False,
            "blob_sha256": "x",
        }
    )
    return instants(frame)


def test_rates_of_different_dates_are_never_crossed() -> None:
    """A pound without the dollar of the same fixing has no rate, and a base of euro needs none."""
    raw = raw_fx([("USD", "2018-12-20", 1.14), ("GBP", "2018-12-20", 0.9), ("GBP", "2018-12-21", 0.91)])
    dollars = normalize_fx(raw, "USD")
    assert set(dollars["session"].dt.strftime("%Y-%m-%d")) == {"2018-12-20"}
    assert dict(zip(dollars["currency"], dollars["rate"], strict=True)) == {
        "EUR": 1.14,
        "GBP": pytest.approx(1.14 / 0.9, rel=1e-15),
        "USD": 1.0,
    }
    euros = normalize_fx(raw, "EUR").set_index(["session", "currency"])["rate"]
    assert euros[(pd.Timestamp("2018-12-21"), "GBP")] == pytest.approx(1 / 0.91, rel=1e-15)
    assert normalize_fx(raw_fx([("GBP", "2018-12-21", 0.91)]), "USD").empty


def test_a_missing_value_is_no_value() -> None:
    """NaN of a macro series or a filing is dropped, what remains keeps its times."""
    common = {"source": "s", "known_at": instant("2018-12-21"), "synthetic": False, "blob_sha256": "x"}
    macro = pd.DataFrame([{**common, "series": "VIX", "value": value, "unit": "index"} for value in (np.nan, 30.1)])
    macro["period"] = pd.Series(pd.to_datetime(["2018-12-20", "2018-12-21"])).astype("datetime64[ms]")
    tidy = normalize_macro(instants(macro))
    MACRO.pandera_schema.validate(tidy)
    assert tidy["value"].tolist() == [30.1]
    filed = pd.DataFrame(
        [
            {**common, "source": "sample", "source_id": name, "field": "revenue", "value": value, "currency": "GBP"}
            for name, value in (("A", np.nan), ("A", 5.0), ("STRANGER", 7.0))
        ]
    ).assign(form="10-K")
    filed["period_end"] = pd.Series(pd.to_datetime(["2018-03-31", "2018-06-30", "2018-06-30"])).astype("datetime64[ms]")
    figures = normalize_fundamentals(instants(filed), made(listing("A")))
    FUNDAMENTALS.pandera_schema.validate(figures)
    assert figures["value"].tolist() == [5.0]


def test_of_equal_headlines_the_first_known_stays() -> None:
    """The same text on the same name, whatever its disguise, is one headline; on another name it is another."""
    texts = [
        ("2", "A", "Profit\u200b up", 12),
        ("1", "A", "Profit up", 15),
        ("3", "B", "Profit up", 16),
        ("4", "A", "x", 17),
    ]
    raw = pd.DataFrame(
        [
            {
                "source": "sample",
                "headline_id": number,
                "source_id": name,
                "headline": text,
                "publisher": "p",
                "published_at": instant("2018-12-21", 9),
                "known_at": instant("2018-12-21", hour),
                "synthetic": True,
                "blob_sha256": "x",
            }
            for number, name, text, hour in texts
        ]
    )
    tidy = normalize_news(instants(raw, "published_at").iloc[::-1], made(listing("A"), listing("B")))
    NEWS.pandera_schema.validate(tidy)
    assert tidy["headline_id"].tolist() == ["sample:2", "sample:3", "sample:4"]
    assert tidy["headline"].tolist() == ["Profit up", "Profit up", "x"]


def test_an_equal_text_is_news_again_after_some_days() -> None:
    """Known 0, 1, 5, 6, 11 days and an instant after the first: repeats up to five days after the one that stayed, then news."""
    after = {"0": 0, "1": 1, "5": 5, "6": 5 + 1e-6, "7": 10, "11": 10 + 2e-6, "90": 90}
    first = instant("2018-09-21", 12)
    raw = pd.DataFrame(
        [
            {
                "source": "sample",
                "headline_id": number,
                "source_id": "A",
                "headline": "Will report its third quarter",
                "publisher": "p",
                "published_at": first + dt.timedelta(days=days),
                "known_at": first + dt.timedelta(days=days),
                "synthetic": True,
                "blob_sha256": "x",
            }
            for number, days in after.items()
        ]
    )
    tidy = normalize_news(instants(raw, "published_at").iloc[::-1], made(listing("A")))
    assert tidy["headline_id"].tolist() == ["sample:0", "sample:11", "sample:6", "sample:90"]


def test_a_listing_is_one_instrument_whichever_source_serves_it() -> None:
    """`listing:MIC:TICKER` of two vendors is one id; bars of either land on it; ids of other sources stay what they were."""
    told = pd.Series(["listing:XLON:A", "listing:XLON:A", "A"])
    ids = instrument_ids(pd.Series(["one", "two", "two"]), told).tolist()
    digest = base64.b32encode(hashlib.sha256(b"listing|XLON:A").digest()).decode()
    assert ids[:2] == ["MB" + digest[:10]] * 2
    assert ids[2] not in ids[:2]
    rows = [listing("listing:XLON:A", source=source, ticker="A", name=source) for source in ("two", "one")]
    instruments = made(*rows)
    assert instruments[["source", "name"]].to_numpy().tolist() == [["one", "one"]]
    bars = pd.concat(
        [bar("listing:XLON:A", "GBX").assign(source=source) for source in ("one", "two")], ignore_index=True
    )
    assert normalize_prices(bars, instruments)["instrument"].tolist() == ids[:2]
    with pytest.raises(ProviderError, match="expected one currency of listing:XLON:A"):
        made(rows[0], {**rows[1], "currency": "USD"})


def test_the_mandate_names_whoever_carried_the_ticker_when_it_was_first_seen() -> None:
    """FB stays in the universe as META; another listing that is called FB later does not come into it."""
    named: dict[str, list[str]] = {"XLON": ["FB", "Z"]}
    first = normalize_instruments(raw_instruments(listing("1", ticker="FB"), listing("2", ticker="Z")), named, CUTOFF)
    for before in (first, first.drop(columns="named_as")):  # a table from before the column existed
        now = raw_instruments(listing("1", ticker="META"), listing("2", ticker="Z"), listing("3", ticker="FB"))
        frame = normalize_instruments(now, named, CUTOFF, before)
        INSTRUMENTS.pandera_schema.validate(frame)
        rows = frame.set_index("source_id")
        assert rows["in_universe"].to_dict() == {"1": True, "2": True, "3": False}
        assert rows["named_as"].to_dict() == {"1": "FB", "2": "Z", "3": ""}
        again = normalize_instruments(now, {"XLON": ["META"]}, CUTOFF, frame).set_index("source_id")
        assert again["in_universe"].to_dict() == {"1": True, "2": False, "3": False}
    with pytest.raises(MandateError, match="META"):  # FB keeps the instrument; nobody else is called META
        normalize_instruments(now, {"XLON": ["META", "FB"]}, CUTOFF, frame)


def test_a_listing_that_is_served_no_more_stays() -> None:
    """The dead stay in the table, outside of the universe; a mandate that names one is no error."""
    named: dict[str, list[str]] = {"XLON": ["A", "B"]}
    first = normalize_instruments(raw_instruments(listing("A"), listing("B")), named, CUTOFF)
    frame = normalize_instruments(raw_instruments(listing("B")), named, CUTOFF, first)
    INSTRUMENTS.pandera_schema.validate(frame)
    assert frame.set_index("source_id")["in_universe"].to_dict() == {"A": False, "B": True}
    back = normalize_instruments(raw_instruments(listing("A"), listing("B")), named, CUTOFF, frame)
    pd.testing.assert_frame_equal(back, first)


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "SPLIT", "ratio": 0.0},
        {"kind": "SPLIT", "ratio": float("nan")},
        {"kind": "CASH_DIVIDEND", "amount": float("nan")},
        {"kind": "SPECIAL_DIVIDEND", "amount": -1.0},
        {"kind": "MERGER", "ratio": -0.5},
        {"kind": "DELISTING", "other": "dunno"},
        {"kind": "RENAME", "other": ""},
    ],
)
def test_an_action_that_means_nothing_is_refused(changes: dict[str, object]) -> None:
    """A split without a ratio, a dividend without an amount, a delisting without a reason are never guessed."""
    raw = event("A", "GBX").assign(**changes)
    with pytest.raises(ProviderError, match=f"raw_corporate_actions: expected a {changes['kind']}"):
        normalize_corporate_actions(raw, made(listing("A")))


def test_a_counterpart_is_our_instrument_only_in_one_currency() -> None:
    """Shares of a listing in another currency cannot be valued by the action: the counterpart stays a name."""
    instruments = made(listing("A"), listing("B"), listing("U", currency="USD", mic="XNYS"))
    ids = instruments.set_index("source_id")["instrument"]
    for other, expected in (("B", ids["B"]), ("U", "U"), ("nobody", "nobody")):
        raw = event("A", "GBX").assign(kind="MERGER", ratio=0.5, other=other)
        frame = normalize_corporate_actions(raw, instruments)
        CORPORATE_ACTIONS.pandera_schema.validate(frame)
        assert frame["other"].tolist() == [expected]
    unknown = normalize_corporate_actions(
        event("A", "GBX", float("nan")).assign(kind="SPIN_OFF", other="B"), instruments
    )
    CORPORATE_ACTIONS.pandera_schema.validate(unknown)
    assert np.isnan(unknown["amount"]).all()
