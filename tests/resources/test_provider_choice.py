"""The mandate's word decides who serves; what it asks of nobody is a table without rows."""

import datetime as dt
from pathlib import Path

import pytest

from marketbot_assets.rebuild_data import RAW, rows_of
from marketbot_resources.mandate import Mandate, parse_mandate
from marketbot_resources.market.sample import SampleMarket
from marketbot_resources.provider import Delivery, Subject
from marketbot_resources.provider_choice import fundamentals_of, market_of
from marketbot_resources.vendor_ports import Asked, RatesFrom, VendorFundamentals, VendorMarket, rates_of_vendors

TEXT = (Path(__file__).parents[2] / "mandate.yaml").read_text(encoding="utf-8")
SINCE, UNTIL = (dt.datetime(2018, 12, day, 23, tzinfo=dt.UTC) for day in (20, 21))


def mandate(providers: str) -> Mandate:
    """The default mandate with other providers; web services need tickers."""
    line = next(line for line in TEXT.splitlines() if line.startswith("providers:"))
    text = TEXT.replace(line, f"providers: {{clock: replay, {providers}}}")
    start, end = text.index("    XLON: all"), text.index("  floor:")
    return parse_mandate(text[:start] + text[end:])


@pytest.mark.parametrize("fx", ["sample", "[ecb]"])
def test_rates_beside_a_whole_market_come_from_where_the_mandate_says(fx: str, tmp_path: Path) -> None:
    """A market of one's own files with the rates of somebody else: neither is dropped in silence."""
    market = market_of(
        mandate(f"market: import, fx: {fx}, macro: sample, fundamentals: none, news: none"), tmp_path, None
    )
    assert isinstance(market, RatesFrom)
    if fx == "sample":
        assert market.fx(SINCE, UNTIL) == SampleMarket().fx(SINCE, UNTIL)


def test_a_market_serves_its_own_rates_otherwise(tmp_path: Path) -> None:
    """Nothing stands between."""
    given = mandate("market: sample, macro: sample, fundamentals: sample, news: sample")
    assert isinstance(market_of(given, tmp_path, None), SampleMarket)
    web = mandate("market: [yahoo], fx: [ecb], macro: [fred], fundamentals: [sec], news: none")
    assert isinstance(market_of(web, tmp_path, None), VendorMarket)
    assert isinstance(fundamentals_of(web, tmp_path, None), VendorFundamentals)


class Recorded(Asked):
    """Keeps what was asked."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, tuple[str, ...]]] = []

    def ask(self, table, names, subjects, since, until) -> Delivery:  # type: ignore[no-untyped-def]
        self.seen.append((table, tuple(names)))
        return Delivery(())


def test_nobody_is_asked_for_filings_of_listings_that_do_not_file_there() -> None:
    """London alone: a refusal for each listing, no request, no crash."""
    asked = Recorded()
    delivery = VendorFundamentals(asked, ("sec",), [Subject("listing:XLON:AAL", "XLON", "AAL")]).filings(SINCE, UNTIL)
    assert (asked.seen, delivery.bodies) == ([], ())
    assert [(one.provider, one.subject) for one in delivery.refusals] == [("sec", "listing:XLON:AAL")]
    rates_of_vendors(asked, ("ecb", "eurofxref"))(SINCE, UNTIL)
    assert asked.seen == [("raw_fx", ("ecb", "eurofxref"))]


@pytest.mark.parametrize("raw", RAW)
def test_no_bodies_are_no_rows(raw: str) -> None:
    """The table is there, with its columns and types, and empty."""
    frame = rows_of(raw, [])
    assert len(frame) == 0
    assert "known_at" in frame
    assert str(frame["known_at"].dtype) == "datetime64[us, UTC]"
