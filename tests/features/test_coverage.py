"""Fundamentals by country: the share that is known, and no bet between countries made of missing data."""

import numpy as np
import pandas as pd
import pytest

from marketbot_assets.features.build import filed_features
from marketbot_assets.features.coverage import FILED_FEATURES, coverage, within_countries
from marketbot_assets.features.factor_model import exposures_of
from marketbot_assets.pages import coverage as page

NAN = np.nan
INSTRUMENTS = pd.DataFrame(
    {
        "instrument": [f"I{n}" for n in range(7)],
        "country": ["GB", "GB", "JP", "JP", "US", "US", "US"],
        "kind": ["EQUITY", "EQUITY", "EQUITY", "EQUITY", "EQUITY", "EQUITY", "FUND"],
        "sector": ["A", "B", "A", "B", "A", "B", "FUND"],
        "currency": ["GBP", "GBP", "JPY", "JPY", "USD", "USD", "USD"],
        "shares_outstanding": [10.0] * 7,
    }
)


def features(book_to_price: list[float]) -> pd.DataFrame:
    frame = pd.DataFrame({name: [NAN] * 7 for name in FILED_FEATURES})
    frame["instrument"], frame["complete"] = INSTRUMENTS["instrument"], True
    frame["book_to_price"] = book_to_price
    frame["momentum_12_1"], frame["low_volatility_126d"] = [0.1] * 7, [-0.2] * 7
    return frame


def test_coverage_counts_equities_with_a_value_by_country() -> None:
    """GB 1 of 2, JP 0 of 2, US 2 of 2; the fund has no fundamentals and does not count."""
    found = coverage(features([0.5, NAN, NAN, NAN, 0.9, 1.1, NAN]), INSTRUMENTS)
    assert list(found["country"]) == ["GB", "JP", "US"]
    assert list(found["equities"]) == [2, 2, 2]
    assert list(found["book_to_price"]) == [0.5, 0.0, 1.0]
    assert list(found["earnings_yield"]) == [0.0, 0.0, 0.0]
    shown = page(features([0.5, NAN, NAN, NAN, 0.9, 1.1, NAN]), INSTRUMENTS)
    assert "| GB | 2 | 50% | 0% |" in shown["coverage of fundamentals"].md_str
    assert shown["complete names"] == 7


def test_a_country_without_data_is_measured_within_countries() -> None:
    """Closed form: GB 0.2, 0.4 and US 0.9, 1.3 become -0.1, 0.1 and -0.2, 0.2; Japan has none.

    Their mean is 0 and their mean square 0.025, so the z-scores are -0.1 and 0.2 over the root of 0.025, and 0 is neutral.
    """
    values = np.array([0.2, 0.4, NAN, NAN, 0.9, 1.3, NAN])
    np.testing.assert_allclose(within_countries(values, INSTRUMENTS), [-0.1, 0.1, NAN, NAN, -0.2, 0.2, NAN], atol=1e-15)
    names, exposures = exposures_of(features(list(values)), INSTRUMENTS)
    root = np.sqrt(0.025)
    expected = [-0.1 / root, 0.1 / root, 0.0, 0.0, -0.2 / root, 0.2 / root, 0.0]
    np.testing.assert_allclose(exposures[:, names.index("value")], expected, atol=1e-12)


@pytest.mark.parametrize("shift", [0.0, 5.0, -3.0])
def test_missing_data_make_no_bet_between_countries(shift: float) -> None:
    """While Japan has no data, how cheap all of Britain is changes no exposure: it could only be compared with the US."""
    values = [0.2 + shift, 0.4 + shift, NAN, NAN, 0.9, 1.3, NAN]
    names, exposures = exposures_of(features(values), INSTRUMENTS)
    same = exposures_of(features([0.2, 0.4, NAN, NAN, 0.9, 1.3, NAN]), INSTRUMENTS)[1]
    np.testing.assert_allclose(exposures[:, names.index("value")], same[:, names.index("value")], atol=1e-12)


def test_with_data_everywhere_nothing_is_neutralised() -> None:
    """One known equity per country is enough for comparisons between countries; a fund without fundamentals changes nothing."""
    values = np.array([0.2, NAN, 0.7, NAN, 0.9, 1.3, NAN])
    np.testing.assert_array_equal(within_countries(values, INSTRUMENTS), values)
    none = np.full(7, NAN)
    np.testing.assert_array_equal(within_countries(none, INSTRUMENTS), none)
    only_fund = INSTRUMENTS.assign(country=["GB", "GB", "GB", "GB", "US", "US", "IE"])
    np.testing.assert_array_equal(within_countries(values, only_fund), values)


def test_a_figure_in_another_currency_is_unknown_figure_by_figure() -> None:
    """Units never switch silently: equity in euros beside income in dollars of a listing in dollars gives the yield only."""
    filed = pd.DataFrame(
        {
            "instrument": ["I4", "I4", "I5", "I4"],
            "field": ["EQUITY", "NET_INCOME", "EQUITY", "SHARES"],
            "period_end": pd.Timestamp("2023-12-31"),
            "value": [50.0, 8.0, 30.0, 10.0],
            "currency": ["EUR", "USD", "USD", ""],
            "known_at": pd.Timestamp("2024-02-01", tz="UTC"),
        }
    )
    found = filed_features(filed, INSTRUMENTS, np.full(7, 20.0), np.ones(7))
    assert np.isnan(found["book_to_price"][4])
    assert found["earnings_yield"][4] == pytest.approx(8.0 / 200.0)
    assert found["book_to_price"][5] == pytest.approx(30.0 / 200.0)
    empty = filed_features(filed.head(0), INSTRUMENTS, np.full(7, 20.0), np.ones(7))
    assert np.isnan(empty["book_to_price"]).all()
