"""The table of risk numbers: its parts add up, every kind is there, and what is unknown says why."""

import math

import numpy as np
import pandas as pd
import pytest
from risk_world import MANDATE, NAMES, batch, book_state, inputs

from marketbot_assets.book.state import Forecast, RiskDay
from marketbot_assets.risk.risk_report import risk_report
from marketbot_assets.risk.schema import RISK_KINDS, RISK_REPORT
from marketbot_resources.model import SESSIONS_PER_YEAR

YEAR = math.sqrt(SESSIONS_PER_YEAR)


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    days = tuple(RiskDay(0.02 if k < 6 else 0.001, Forecast(0.01, 0.001)) for k in range(250))
    return risk_report(inputs(book=book_state(risk_days=days)), batch(), MANDATE)


def value(frame: pd.DataFrame, kind: str, key: str) -> float:
    return float(frame.set_index(["kind", "key"]).at[(kind, key), "value"])


def test_the_table_keeps_its_contract(frame: pd.DataFrame) -> None:
    """Schema, unique keys, every kind of number, sorted."""
    RISK_REPORT.pandera_schema.validate(frame)
    assert set(frame["kind"]) == set(RISK_KINDS)
    assert not frame.duplicated(["kind", "key"]).any()
    assert frame[["kind", "key"]].apply(tuple, axis=1).is_monotonic_increasing


@pytest.mark.parametrize("kind", ["NAME", "CURRENCY"])
def test_parts_of_the_volatility_add_up_to_the_larger_estimator(frame: pd.DataFrame, kind: str) -> None:
    """Within 1e-6, shares to 1."""
    part, largest = frame[frame["kind"] == kind], max(value(frame, "VOLATILITY", e) for e in ("ewma", "ledoit-wolf"))
    assert part["value"].sum() == pytest.approx(largest, abs=1e-6)
    assert part["share"].sum() == pytest.approx(1.0, abs=1e-9)


def test_factors_and_what_is_specific_add_up_to_the_factor_model(frame: pd.DataFrame) -> None:
    """One market factor: (x' f x) and the specific part, by hand from the weights the table itself tells."""
    part = frame[frame["kind"] == "FACTOR"]
    assert part["value"].sum() == pytest.approx(value(frame, "VOLATILITY", "factor model"), abs=1e-12)
    names = frame[frame["kind"] == "NAME"]
    weights = {key: float(text.split()[1]) for key, text in zip(names["key"], names["text"], strict=True)}
    beta = dict(zip(NAMES, np.linspace(0.8, 1.2, len(NAMES)), strict=True))
    exposure = sum(weight * beta[name] for name, weight in weights.items())
    variance = 0.02 * exposure**2 + 0.04 * sum(weight**2 for weight in weights.values())
    assert value(frame, "VOLATILITY", "factor model") == pytest.approx(math.sqrt(variance), rel=1e-4)


def test_value_at_risk_and_shortfall_by_method(frame: pd.DataFrame) -> None:
    """Shortfall lies above value at risk of the same method; the normal pair stands in its fixed ratio to the volatility."""
    for method in ("historical", "filtered", "normal"):
        assert (
            value(frame, "ES", f"{method} 0.99")
            > value(frame, "VAR", f"{method} 0.99")
            > value(frame, "VAR", f"{method} 0.975")
            > value(frame, "VAR", f"{method} 0.95")
        )
    sigma = max(value(frame, "VOLATILITY", e) for e in ("ewma", "ledoit-wolf")) / YEAR
    assert value(frame, "VAR", "normal 0.99") == pytest.approx(2.32635 * sigma, rel=1e-5)
    assert value(frame, "VAR", "normal 0.975") == pytest.approx(1.95996 * sigma, rel=1e-5)
    assert value(frame, "ES", "normal 0.975") == pytest.approx(2.33780 * sigma, rel=1e-5)


def test_the_back_test_and_the_multiples(frame: pd.DataFrame) -> None:
    """Six of 250: yellow, value at risk times 1.25; losses as large as forecast: ratio 1."""
    rows = frame.set_index(["kind", "key"])
    assert (value(frame, "BACKTEST", "exceptions"), rows.at[("BACKTEST", "exceptions"), "text"]) == (6.0, "yellow")
    assert value(frame, "BACKTEST", "volatility ratio") == pytest.approx(1.0)
    assert (value(frame, "MODEL", "value-at-risk multiple"), value(frame, "MODEL", "volatility multiple")) == (
        1.25,
        1.0,
    )
    assert value(frame, "VOLATILITY", "target in force") == pytest.approx(0.10)


def test_what_cannot_be_computed_is_a_row_with_its_reason() -> None:
    """Without a factor model nothing is left but the record, and the table still keeps its contract."""
    frame = risk_report(inputs(factor_model=None), batch(), MANDATE)
    RISK_REPORT.pandera_schema.validate(frame)
    lost = frame[frame["text"].str.startswith("cannot be computed")]
    assert set(lost["kind"]) == {"VAR", "VOLATILITY", "NAME", "FACTOR", "MODEL"}
    assert lost["value"].isna().all()


def test_a_book_in_cash_has_numbers_without_risk() -> None:
    """No names, no parts; volatility and value at risk are 0 and nothing warns."""
    facts = inputs(positions=tuple(0 * q for q in inputs().positions), book=book_state(forecast=Forecast(0.0, 0.0)))
    frame = risk_report(facts, (), MANDATE)
    assert value(frame, "VOLATILITY", "ewma") == 0.0
    assert value(frame, "VAR", "historical 0.99") == 0.0
    assert frame[frame["kind"] == "NAME"].empty
