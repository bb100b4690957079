"""Campaigns on real data: factor returns against published ones, volatility forecasts against the sample. Bounds from theory."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
BARS = ROOT.parent / "shared" / "data" / "prices" / "us_equities_2015_2020.parquet"
pytestmark = pytest.mark.long
# Twenty names, three tenths of whose variance is common, share 1 / (1 + 0.7 / 0.3 / 20) = 0.90 of theirs with the market; weights
# by size and sectors in common cost some of that: half is asked for.
SHARED_VARIANCE = 0.5


def tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"tool_{name}", ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_factor_returns_follow_the_published_ones() -> None:
    """Beyond the market, size and value agree more than independent series do by chance; half the market's variance is shared."""
    french = tool("french_factors")
    found = {(one.ours, one.theirs): one for one in [*french.from_names(), *french.from_funds()]}
    for (ours, theirs), one in found.items():
        if theirs == "Mkt-RF":
            assert one.plain > np.sqrt(SHARED_VARIANCE), ours
        else:
            assert one.beyond_market > one.bound, ours
    assert {theirs for _, theirs in found} == {"Mkt-RF", "SMB", "HML"}
    broken = french.french().sample(frac=1.0, random_state=5).set_axis(french.french().index)
    returns = next(french.from_funds())
    assert abs(np.corrcoef(broken["SMB"], french.french()["SMB"])[0, 1]) < returns.bound  # shuffled months say nothing


@pytest.mark.shared_data
@pytest.mark.skipif(not BARS.exists(), reason="needs ../shared/data/prices beside the project")
def test_many_names_make_the_market() -> None:
    """Hundreds of names leave less than a tenth of variance to chance; traded value stands in for size, with its sign."""
    market, size = tool("french_factors").from_bars(str(BARS))
    assert market.plain > np.sqrt(0.9)
    assert size.plain > 0.0


def test_volatility_forecasts_beat_the_sample_on_the_real_index() -> None:
    """QLIKE of the next session by squared returns, over fifteen years: each model is better than 60 sessions by two errors."""
    forecasts = tool("volatility_forecasts")
    from arch.data import sp500

    walk = forecasts.walk(sp500.load(), 1, forecasts.FIT_SESSIONS)
    losses = {name: forecasts.qlike(values, walk.squares) for name, values in walk.forecasts.items()}
    for name in ("EWMA 0.94", "GARCH(1,1)", "HAR range", "combined"):
        mean, t = forecasts.diebold_mariano(losses[name], losses[forecasts.BASE], 5)
        assert mean < 0.0, name
        assert t < -2.0, name
    later = sp500.load().copy()
    later.iloc[3000:, :4] *= 7.0  # a future that is another one changes no forecast before it
    changed = forecasts.walk(later, 1, forecasts.FIT_SESSIONS)
    for name, values in walk.forecasts.items():
        np.testing.assert_array_equal(values[:1700], changed.forecasts[name][:1700], err_msg=name)
