"""The paper broker's own view of the sample world equals what normalization makes of the same bodies."""

import datetime as dt
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
from paper_world import mandate

from marketbot_assets.ingestion.parse import PARSERS
from marketbot_assets.normalization.identity import normalize_instruments
from marketbot_assets.normalization.series import normalize_corporate_actions, normalize_fx, normalize_prices
from marketbot_resources.broker.paper import PaperBroker
from marketbot_resources.broker.provider_market import provider_market
from marketbot_resources.currencies import ECB_REFERENCE_RATES
from marketbot_resources.errors import ProviderError
from marketbot_resources.market.sample import SampleMarket
from marketbot_resources.model import Kind, Order, OrderState, Side
from marketbot_resources.paper_market import TabularMarket
from marketbot_resources.provider import Delivery

MANDATE = mandate()
SINCE = dt.datetime(2018, 11, 12, 23, 15, tzinfo=dt.UTC)
UNTIL = dt.datetime(2018, 11, 13, 23, 15, tzinfo=dt.UTC)  # a London name splits 2:1 on the 13th
SPLIT_DAY = dt.date(2018, 11, 13)


def raw(name: str, delivery: Delivery) -> pd.DataFrame:
    (body,) = delivery.bodies
    return PARSERS[name](body.content, source=body.provider, blob_sha256="")


@pytest.fixture(scope="module")
def normalized() -> dict[str, pd.DataFrame]:
    """The same rows by the path that decisions take."""
    market, first = SampleMarket(), SINCE - dt.timedelta(days=90)
    listed = normalize_instruments(raw("raw_instruments", market.instruments(UNTIL)), MANDATE.universe.listings, UNTIL)
    return {
        "instruments": listed,
        "prices": normalize_prices(raw("raw_prices", market.prices(first, UNTIL)), listed),
        "actions": normalize_corporate_actions(
            raw("raw_corporate_actions", market.corporate_actions(first, UNTIL)), listed
        ),
        "fx": normalize_fx(raw("raw_fx", market.fx(first, UNTIL)), "USD"),
    }


@pytest.fixture(scope="module")
def view() -> TabularMarket:
    return provider_market(SampleMarket(), MANDATE, SINCE, UNTIL)


def test_listings(view: TabularMarket, normalized: dict[str, pd.DataFrame]) -> None:
    """Every listing with our id, ISO currency, lot, and the tick in the major unit."""
    for row in normalized["instruments"].itertuples(index=False):
        listing = view.listing(row.instrument)
        assert listing is not None
        assert (listing.mic, listing.currency, listing.is_fund) == (row.mic, row.currency, row.kind == "FUND")
        assert (listing.quantity_step, listing.tick_size) == (row.quantity_step, row.tick_size)
        if row.mic == "XLON":
            assert (listing.currency, listing.tick_size) == ("GBP", Decimal("0.001"))


def test_bars(view: TabularMarket, normalized: dict[str, pd.DataFrame]) -> None:
    """Bars of the window bit for bit, pence as pounds; one per listing that traded."""
    prices = normalized["prices"]
    window = prices[prices["session"] >= pd.Timestamp("2018-10-10")]
    assert window["instrument"].nunique() == 65
    for row in window.itertuples(index=False):
        found = view.bar(row.instrument, row.session.date())
        assert found is not None
        assert (found.open, found.high, found.low, found.close, found.volume) == (
            row.open,
            row.high,
            row.low,
            row.close,
            row.volume,
        )
    for name in normalized["instruments"]["instrument"]:
        sigma, adv = view.liquidity(name, SPLIT_DAY)
        assert sigma is not None
        assert adv is not None
        assert 0.001 < sigma < 0.2
        assert adv > 0


def test_rates(view: TabularMarket, normalized: dict[str, pd.DataFrame]) -> None:
    """The newest rates bit for bit, the euro included; the base is 1."""
    fx = normalized["fx"]
    newest = fx[fx["session"] == pd.Timestamp(SPLIT_DAY)]
    published = [
        name for name, (first, last) in ECB_REFERENCE_RATES.items() if first <= SPLIT_DAY <= (last or SPLIT_DAY)
    ]
    assert sorted(newest["currency"]) == sorted({"EUR", *published})
    for row in newest.itertuples(index=False):
        assert view.rate(row.currency, UNTIL) == row.rate
    assert 1.1 < (view.rate("EUR", UNTIL) or 0.0) < 1.2
    assert 1.2 < (view.rate("GBP", UNTIL) or 0.0) < 1.4


def test_actions(view: TabularMarket, normalized: dict[str, pd.DataFrame]) -> None:
    """The split of the day is known although it was announced long before; nothing else than normalization knows."""
    rows = normalized["actions"]
    expected = rows[(rows["ex_session"] == pd.Timestamp(SPLIT_DAY))]
    found = view.actions(SINCE, UNTIL)
    assert sorted((a.instrument, a.kind, a.amount, a.ratio, a.currency) for a in found) == sorted(
        zip(*(expected[name] for name in ("instrument", "kind", "amount", "ratio", "currency")), strict=True)
    )
    assert [(a.ratio, a.effective_at) for a in found if a.kind == "SPLIT"] == [
        (2.0, dt.datetime(2018, 11, 13, 8, tzinfo=dt.UTC))
    ]


def test_a_broker_over_the_sample_world(tmp_path: Path, normalized: dict[str, pd.DataFrame]) -> None:
    """Seeded with a name that splits, the broker doubles it and fills a buy of it in the auction of the same morning."""
    splits = normalized["actions"]
    name = splits.loc[
        (splits["kind"] == "SPLIT") & (splits["ex_session"] == pd.Timestamp(SPLIT_DAY)), "instrument"
    ].iloc[0]
    prices = normalized["prices"].set_index(["instrument", "session"])
    close = prices.loc[(name, pd.Timestamp("2018-11-12")), "close"]
    broker = PaperBroker(
        tmp_path / "paper.sqlite", MANDATE, lambda since, until: provider_market(SampleMarket(), MANDATE, since, until)
    )
    broker.seed({"USD": Decimal(100_000), "GBP": Decimal(50_000)}, {name: Decimal(101)}, SINCE)
    limit = (Decimal(repr(float(close))) * Decimal("1.1")).quantize(Decimal("0.001"))
    until = SINCE + dt.timedelta(hours=20)
    facts = (
        dt.date(2018, 11, 12),
        1,
        "main",
        Kind.EQUITY,
        name,
        "XLON",
        Side.BUY,
        Decimal(10),
        limit,
        "GBP",
        SINCE,
        until,
        "",
    )
    sent = Order("o1", *facts)
    assert broker.submit(sent, SINCE + dt.timedelta(minutes=1)).state is OrderState.ACKED
    report = broker.report(SINCE, UNTIL)
    (fill,) = report.executions
    assert (fill.quantity, report.positions) == (Decimal(20), {name: Decimal(222)})
    opened = prices.loc[(name, pd.Timestamp(SPLIT_DAY)), "open"]
    assert float(fill.price) == pytest.approx(opened, rel=0.005)


@pytest.mark.parametrize(
    ("kind", "damage", "message"),
    [
        ("prices", lambda b: b.replace(b"session", b"day", 1), "expected CSV with"),
        ("prices", lambda b: b + b"short,row\n", "expected CSV with"),
        ("prices", lambda b: b.replace(b"US-AAPL", b"US-OTHER", 1), "US-OTHER"),
        ("prices", lambda b: b.replace(b"GBX", b"EUR", 1), "expected the currency of the listing"),
        ("instruments", lambda b: b.replace(b"0.001", b"thin", 1), "lots and ticks"),
        ("fx", lambda b: b"", "expected CSV with"),
    ],
)
def test_bodies_that_are_not_as_expected(kind: str, damage, message: str) -> None:  # type: ignore[no-untyped-def]
    """A damaged answer is the provider's fault and never half a market."""
    market = SampleMarket(transform=lambda name, body: damage(body) if name == kind else body)
    with pytest.raises(ProviderError, match=message):
        provider_market(market, MANDATE, SINCE, UNTIL)
