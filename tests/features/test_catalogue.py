"""The registry of features: complete, in one order, versioned by formula, code and inputs; own features equal hand-made values."""

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from marketbot_assets.features import catalogue
from marketbot_assets.features.build import build_features as build_for_decisions
from marketbot_assets.features.declaration import INPUTS, SERIES_INPUTS
from marketbot_assets.features.engine import build, features_of
from marketbot_assets.features.market_inputs import feature_inputs, strength
from marketbot_assets.features.operators.table import code_of_operator
from marketbot_assets.features.plan import plan_of
from marketbot_assets.features.registry import LOOKBACK_SESSIONS, NAMES
from marketbot_assets.features.wide_features import build_features
from marketbot_assets.normalization.window import Floats, MacroWindow, MarketWindow

T, IDS = 330, ("I0", "I1", "I2", "I3")
N = len(IDS)
DAYS = tuple(dt.date(2017, 1, 2) + dt.timedelta(days=n) for n in range(T))
CUTOFFS = tuple(dt.datetime(d.year, d.month, d.day, 22, tzinfo=dt.UTC) for d in DAYS)


def market() -> tuple[MarketWindow, MacroWindow]:
    draw = np.random.default_rng(4)
    index = 0.01 * draw.standard_normal(T)
    returns = index[:, None] * np.linspace(0.5, 1.5, N) + 0.01 * draw.standard_normal((T, N))
    close = 50 * np.cumprod(1 + returns, axis=0)
    returns[0] = np.nan
    opened = close * (1 + 0.004 * draw.standard_normal((T, N)))
    high, low = np.maximum(opened, close) * 1.01, np.minimum(opened, close) * 0.985
    volume, fx = np.round(1e5 * (1 + draw.random((T, N)))), np.ones((T, N))
    fx[:, 3] = 1.25 * np.cumprod(1 + 0.005 * draw.standard_normal(T))
    window = MarketWindow(
        DAYS, IDS, opened, high, low, close, volume, close, returns, returns, fx, np.ones((T, N), dtype=bool)
    )
    levels = {name: 3.0 + np.cumsum(0.01 * draw.standard_normal(T)) for name in sorted(SERIES_INPUTS - {"DOLLAR"})}
    return window, MacroWindow(DAYS, {**levels, "SP500": 1000 * np.cumprod(1 + index)})


WINDOW, MACRO = market()
INSTRUMENTS = pd.DataFrame(
    {
        "instrument": IDS,
        "sector": ["A", "B", "A", "B"],
        "kind": "EQUITY",
        "country": "US",
        "currency": ["USD", "USD", "USD", "GBP"],
        "shares_outstanding": [1e6, 2e6, 3e6, np.nan],
    }
)


def filing(instrument: str, field: str, end: str, value: float, known: str, currency: str = "USD") -> dict[str, object]:
    stamps = {"period_end": pd.Timestamp(end), "known_at": pd.Timestamp(known, tz="UTC")}
    return {"instrument": instrument, "field": field, "value": value, "currency": currency, **stamps}


FILED = pd.DataFrame(
    [
        filing("I0", "TOTAL_ASSETS", "2016-03-31", 80.0, "2016-05-15"),
        filing("I0", "TOTAL_ASSETS", "2017-03-31", 100.0, "2017-05-15"),
        filing("I0", "TOTAL_ASSETS", "2017-06-30", 110.0, "2017-08-15"),
        filing("I0", "NET_INCOME", "2017-06-30", 11.0, "2017-08-15"),
        filing("I0", "TOTAL_ASSETS", "2016-06-30", 88.0, "2016-08-15"),
        filing("I1", "TOTAL_ASSETS", "2017-06-30", 50.0, "2017-08-15", "EUR"),
    ]
)


@pytest.fixture(scope="module")
def made() -> dict[str, Floats]:
    """Name -> (T, n) of every declared feature."""
    inputs = feature_inputs(WINDOW, MACRO, FILED, INSTRUMENTS, CUTOFFS, "USD")
    values, _ = build_features(catalogue.declared_plan(), inputs, 1000)
    return dict(zip(catalogue.names(), values, strict=True))


def test_the_registry_is_whole() -> None:
    """158 of Alpha158 and at least 60 of our own beside those that decisions read; each says what it is and when it is known."""
    entries = catalogue.registry()
    names = [entry.name for entry in entries]
    assert len(set(names)) == len(names)
    assert names[: len(NAMES)] == list(NAMES)
    assert len(catalogue.own_names()) >= 60
    assert sum(entry.group == "alpha158" for entry in entries) == 158
    assert all(e.unit and e.description and e.known and e.inputs and 0 < e.lookback_sessions for e in entries)
    assert all(entry.formula for entry in entries[len(NAMES) :])
    assert sum(bool(entry.references) for entry in entries if entry.name in catalogue.own_names()) >= 50
    groups = {entry.group for entry in entries}
    assert groups >= {"return", "volatility", "momentum", "reversal", "liquidity", "risk", "value", "quality", "growth"}
    assert groups >= {"macro", "breadth", "size"}
    assert {name for entry in entries[len(NAMES) :] for name in entry.inputs} <= set(INPUTS)


def test_a_version_follows_formula_code_and_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for the same; another for another input version or operator code, and only where those are used."""
    plain = {entry.name: entry.version for entry in catalogue.registry()}
    assert len(set(plain.values())) == len(plain)
    assert plain == {entry.name: entry.version for entry in catalogue.registry()}
    other = {entry.name: entry.version for entry in catalogue.registry({"VIX": "revised"})}
    moved = {name for name in plain if plain[name] != other[name]}
    assert moved == {"vix_change_21d", "vix_score_252d", "variance_premium"}
    code = code_of_operator("quantiles")
    changed = {"quantiles": code[::-1]}
    monkeypatch.setattr(
        "marketbot_assets.features.plan.code_of_operator", lambda name: changed.get(name) or code_of_operator(name)
    )
    newer = {entry.name: entry.version for entry in catalogue.registry()}
    assert {name for name in plain if plain[name] != newer[name]} == {
        *(f"QTL{side}{d}" for side in "UD" for d in (5, 10, 20, 30, 60)),
        "value_at_risk_252d",
        "tail_ratio_252d",
    }


def test_own_features_are_what_their_names_say(made: dict[str, Floats]) -> None:
    """Plain numpy on the last session."""
    r, market_return = WINDOW.base_return, np.diff(MACRO.series["SP500"]) / MACRO.series["SP500"][:-1]
    level = np.vstack([np.ones(N), np.cumprod(1 + r[1:], axis=0)])
    o, h, low, c = WINDOW.open, WINDOW.high, WINDOW.low, WINDOW.close
    value = c * WINDOW.volume * WINDOW.fx
    year = 252**0.5
    wanted = {
        "momentum_6_1": np.prod(1 + r[-126:-21], axis=0) - 1,
        "momentum_12_7": np.prod(1 + r[-252:-126], axis=0) - 1,
        "reversal_21d": 1 - np.prod(1 + r[-21:], axis=0),
        "high_52w": level[-1] / level[-252:].max(axis=0),
        "sessions_since_high_252d": 251.0 - level[-252:].argmax(axis=0),
        "drawdown_126d": 1 - level[-1] / level[-126:].max(axis=0),
        "over_mean_200d": level[-1] / level[-200:].mean(axis=0) - 1,
        "best_return_21d": r[-21:].max(axis=0),
        "volatility_63d": r[-63:].std(axis=0, ddof=1) * year,
        "downside_deviation_63d": np.sqrt((np.minimum(r[-63:], 0) ** 2).mean(axis=0)) * year,
        "value_at_risk_252d": -np.quantile(r[-252:], 0.05, axis=0),
        "parkinson_21d": np.sqrt((np.log(h / low)[-21:] ** 2).mean(axis=0) / (4 * np.log(2))) * year,
        "amihud_21d": (np.abs(r) / (value / 1e6))[-21:].mean(axis=0),
        "log_value_traded_63d": np.log(value[-63:].mean(axis=0)),
        "turnover_63d": (WINDOW.volume / INSTRUMENTS["shares_outstanding"].to_numpy())[-63:].mean(axis=0),
        "beta_63d": np.array([np.polyfit(market_return[-63:], own, 1)[0] for own in r[-63:].T]),
        "intraday_return_21d": np.log(c / o)[-21:].sum(axis=0),
        "zero_return_share_63d": np.zeros(N),
        "index_drawdown_252d": np.full(N, 1 - MACRO.series["SP500"][-1] / MACRO.series["SP500"][-252:].max()),
        "vix_change_21d": np.full(N, MACRO.series["VIX"][-1] - MACRO.series["VIX"][-22]),
        "dollar_change_63d": np.full(N, -np.log(WINDOW.fx[-1, 3] / WINDOW.fx[-64, 3])),
    }
    for name, values in wanted.items():
        assert made[name][-1] == pytest.approx(values, rel=1e-9, abs=1e-12, nan_ok=True), name
    gk = 0.5 * np.log(h / low) ** 2 - (2 * np.log(2) - 1) * np.log(c / o) ** 2
    assert made["garman_klass_63d"][-1] == pytest.approx(np.sqrt(gk[-63:].mean(axis=0) * 252), rel=1e-9)
    weights = 0.5 ** (np.arange(63)[::-1] / 11.2)
    ewma = np.sqrt((r[-63:] ** 2 * weights[:, None]).sum(axis=0) / weights.sum() * 252)
    assert made["ewma_volatility"][-1] == pytest.approx(ewma, rel=1e-9)


def test_figures_count_from_their_filing_on(made: dict[str, Floats]) -> None:
    """Assets of June are 25 % above those of the June before; a session before the filing it is March against March."""
    before, after = DAYS.index(dt.date(2017, 8, 14)), DAYS.index(dt.date(2017, 8, 15))
    growth = made["asset_growth_1y"]
    assert growth[before, 0] == pytest.approx(100 / 80 - 1)
    assert growth[after, 0] == pytest.approx(110 / 88 - 1)
    assert np.isnan(growth[:, 1:]).all()  # another currency than the listing's, or no filings
    assert np.isnan(made["assets_to_market"][:, 1]).all()
    assert made["assets_to_market"][after, 0] == pytest.approx(110 / (WINDOW.close[after, 0] * 1e6))
    assert made["return_on_assets"][after, 0] == pytest.approx(0.1)
    assert np.isnan(made["return_on_assets"][before, 0])


def test_sector_and_breadth(made: dict[str, Floats]) -> None:
    """The mean of the sector, what is beyond it, and the share of names above their mean."""
    half = np.prod(1 + WINDOW.base_return[-126:], axis=0) - 1
    sector = np.array([half[[0, 2]].mean(), half[[1, 3]].mean()] * 2)
    assert made["sector_mean_momentum_126d"][-1] == pytest.approx(sector)
    assert made["momentum_beyond_sector_126d"][-1] == pytest.approx(half - sector)
    assert made["momentum_rank_126d"][-1] == pytest.approx((half.argsort().argsort() + 1) / 4)
    level = np.vstack([np.ones(N), np.cumprod(1 + WINDOW.base_return[1:], axis=0)])
    above = (level[-1] > level[-200:].mean(axis=0)).mean()
    assert made["breadth_200d"][-1] == pytest.approx(np.full(N, above))


def test_the_features_of_decisions_agree_with_declared_ones() -> None:
    """Two ways to one number: what decisions read, and the same as formulas."""
    frame = build_for_decisions(
        WINDOW.upto(T - 1, LOOKBACK_SESSIONS), MACRO.upto(T - 1, LOOKBACK_SESSIONS), FILED, INSTRUMENTS, DAYS[-1]
    ).set_index("instrument")
    from marketbot_assets.features import expression as e
    from marketbot_assets.features.price_set import ANNUAL, RETURN, compound

    pairs = {
        "return_63d": compound(63),
        "momentum_12_1": compound(231, 21),
        "volatility_126d": e.deviation(RETURN, 126) * ANNUAL,
    }
    inputs = feature_inputs(WINDOW, MACRO, FILED, INSTRUMENTS, CUTOFFS, "USD")
    values = build(plan_of(list(pairs.values()), SERIES_INPUTS), inputs.given, 1000).values
    for name, matrix in zip(pairs, values, strict=True):
        assert matrix[-1] == pytest.approx(frame[name].to_numpy(), rel=1e-10), name


def test_a_split_changes_no_feature() -> None:
    """One new share for two old ones halves the count and doubles the price; what is traded and earned stays."""
    plain = feature_inputs(WINDOW, MACRO, FILED, INSTRUMENTS, CUTOFFS, "USD")
    split = {name: values.copy() for name, values in plain.given.items()}
    for name, factor in (
        ("open", 2.0),
        ("high", 2.0),
        ("low", 2.0),
        ("close", 2.0),
        ("last_close", 2.0),
        ("volume", 0.5),
    ):
        split[name][200:, 1] *= factor
    own = [f for f in catalogue.declared() if not {"shares", "EQUITY"} & set(catalogue.inputs_of(f.tree))]
    plan = plan_of([f.tree for f in own], SERIES_INPUTS)
    one_way, other_way = (
        features_of(plan, build(plan, given, 1000).values, plain.groups) for given in (plain.given, split)
    )
    for name, one, other in zip([f.name for f in own], one_way, other_way, strict=True):
        # log(volume + 1) is not quite free of the unit of volume, by Qlib's definition.
        assert np.allclose(one, other, rtol=1e-9, atol=1e-4 if name.startswith("CORR") else 1e-9, equal_nan=True), name


def test_the_currency_moves_against_the_mean_of_the_others() -> None:
    """Half of one that rose by e and one that did not move; a listing of a currency counts once."""
    fx = np.array([[1.0, 1.0, 2.0, 2.0], [1.0, np.e, 2.0, 7.0]])
    assert strength(fx, ["USD", "EUR", "GBP", "GBP"], "USD") == pytest.approx([np.nan, -0.5], nan_ok=True)
    assert np.isnan(strength(fx, ["USD"] * 4, "USD")).all()


def test_the_page_lists_every_declared_feature() -> None:
    """docs/features.md has one row per feature of our own, with its lookback."""
    text = (Path(__file__).parents[2] / "docs" / "features.md").read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| `")]
    told = {row[0].strip("| `"): row[4] for row in rows if len(row) == 6}
    entries = {entry.name: str(entry.lookback_sessions) for entry in catalogue.registry()}
    assert told == {name: entries[name] for name in catalogue.own_names()}
