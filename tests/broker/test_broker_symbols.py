"""Listings as a broker names them, from what a home has stored."""

from types import SimpleNamespace

import pandas as pd
import pytest

from marketbot_resources.broker.symbols import Symbol, symbols_of
from marketbot_resources.errors import BrokerError


def lake(rows: list[tuple[str, str, str, str | None]], *, sessions: bool = True) -> SimpleNamespace:
    columns = ["instrument", "mic", "ticker", "delisted_on"]
    frame = pd.DataFrame(rows, columns=columns).assign(currency="USD")
    frame["delisted_on"] = pd.to_datetime(frame["delisted_on"])
    index = SimpleNamespace(
        up_to=lambda asset, until: ["instruments"] if sessions else [],
        newest=lambda asset, key: "instrument_history" if rows else None,
    )
    asked: list[str] = []
    return SimpleNamespace(index=index, load=lambda row: (asked.append(row), frame)[1], asked=asked)


def test_a_ticker_that_was_used_again_means_the_living_listing() -> None:
    """Tickers are reused; an id is not."""
    rows = [("MB2", "XNYS", "AAA", "2015-01-02"), ("MB1", "XNYS", "AAA", None), ("MB3", "XNYS", "AAA", "2019-01-02")]
    found = symbols_of(lake(rows))  # type: ignore[arg-type]
    assert list(found) == [Symbol("MB1", "XNYS", "AAA", "USD")]
    with pytest.raises(BrokerError, match="MB2"):
        found.of("MB2")


def test_of_listings_that_all_ended_it_means_the_last() -> None:
    """A position in a name that has just ended is still told by its ticker."""
    rows = [("MB2", "XNYS", "AAA", "2015-01-02"), ("MB3", "XNYS", "AAA", "2019-01-02"), ("MB4", "XNAS", "AAA", None)]
    found = symbols_of(lake(rows))  # type: ignore[arg-type]
    assert {symbol.instrument for symbol in found} == {"MB3", "MB4"}
    assert found.at("AAA", ["XNYS"]) == Symbol("MB3", "XNYS", "AAA", "USD")
    assert found.at("AAA", ["XNYS", "XNAS"]) is None


def test_before_the_first_session_the_bootstrap_knows_them() -> None:
    """The opening balance needs the listings before any session has stored them; a new home has none."""
    first = lake([("MB1", "XNYS", "AAA", None)], sessions=False)
    assert [symbol.instrument for symbol in symbols_of(first)] == ["MB1"]
    assert first.asked == ["instrument_history"]
    assert list(symbols_of(lake([], sessions=False))) == []  # type: ignore[arg-type]
