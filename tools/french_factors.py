"""Factor returns of the real names and funds against the factors of Fama and French that `arch` ships: monthly correlations.

Usage: python tools/french_factors.py [PARQUET]. Real names: 20 large US companies, 1990 to 2022; funds: two factor funds since
2014, each less the index; PARQUET: daily bars of more US names (date, symbol, close, adj_close, volume, sector). French data end in
November 2018. Exposures are renewed each month from what was known before it.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from marketbot_assets.features.factor_model import standardized
from marketbot_assets.features.factor_regression import cross_sections, sector_constraint
from marketbot_assets.normalization.window import Floats
from marketbot_resources.market.listings import real_listings

MONTHS_MIN, MOMENTUM, SKIPPED = 24, 252, 21
INDEPENDENT = 1.96  # two standard errors of a correlation of independent series are 1.96 / sqrt(months)


@dataclass(frozen=True, slots=True)
class Correlation:
    """Monthly correlation of ours with a French factor; `beyond_market`: of what the French market leaves of both."""

    ours: str
    theirs: str
    months: int
    plain: float
    beyond_market: float

    @property
    def bound(self) -> float:
        """What independent series stay below nineteen times of twenty, either sign."""
        return INDEPENDENT / float(np.sqrt(self.months))


def french() -> pd.DataFrame:
    """Mkt-RF, SMB, HML, RF as fractions per month, by month."""
    from arch.data import frenchdata

    data = frenchdata.load()
    data.index = pd.PeriodIndex([str(stamp.value)[-6:] for stamp in data.index], freq="M")
    return data / 100.0


def monthly_factors(returns: pd.DataFrame, sizes: pd.DataFrame, sectors: Sequence[str]) -> pd.DataFrame:
    """Monthly factor returns (market, size, momentum, sectors) of daily `returns`; `sizes`: logs, as known after each session.

    Size is large minus small. A month begins with the exposures of the session before it.
    """
    groups = sorted(set(sectors))
    names = ("market", "size", "momentum", *(f"sector {group}" for group in groups))
    dummies = [np.array([1.0 if own == group else 0.0 for own in sectors]) for group in groups]
    months = returns.index.to_period("M")
    out: dict[pd.Period, Floats] = {}
    for month in months.unique():
        places = np.flatnonzero(months == month)
        before = places[0]
        if before < MOMENTUM:
            continue
        size = sizes.to_numpy()[before - 1]
        past = returns.to_numpy()[before - MOMENTUM : before - SKIPPED]
        momentum = np.where(np.isfinite(past).all(axis=0), np.prod(1.0 + np.nan_to_num(past), axis=0) - 1.0, np.nan)
        exposures = np.column_stack([np.ones(len(size)), standardized(size), standardized(momentum), *dummies])
        middle = float(np.nanmedian(size))
        weights = np.clip(np.exp(0.5 * (np.where(np.isfinite(size), size, middle) - middle)), 0.2, 5.0)
        constraint = sector_constraint(names, exposures, weights**2)
        daily = cross_sections(returns.to_numpy()[places], exposures, weights, constraint).factors
        out[month] = np.prod(1.0 + daily, axis=0) - 1.0
    return pd.DataFrame.from_dict(out, orient="index", columns=list(names))


def correlation(ours: pd.Series, label: str, theirs: str, sign: float, published: pd.DataFrame) -> Correlation:
    """Over the months that both have."""
    both = pd.concat([sign * ours.rename("ours"), published], axis=1, join="inner").dropna()
    assert len(both) >= MONTHS_MIN, f"{label}: expected {MONTHS_MIN} or more months, found {len(both)}"
    mine, other, market = (both[name].to_numpy() for name in ("ours", theirs, "Mkt-RF"))
    plain = float(np.corrcoef(mine, other)[0, 1])
    if theirs == "Mkt-RF":
        return Correlation(label, theirs, len(both), plain, float("nan"))
    x = np.column_stack([np.ones(len(market)), market])
    left = [series - x @ np.linalg.lstsq(x, series, rcond=None)[0] for series in (mine, other)]
    return Correlation(label, theirs, len(both), plain, float(np.corrcoef(*left)[0, 1]))


def from_names() -> Iterator[Correlation]:
    """The market and size of the 20 real names; sizes are 2018's market values moved by prices, for share counts have no past."""
    from skfolio.datasets import load_sp500_dataset

    prices = load_sp500_dataset()
    listed = {one.ticker: one for one in real_listings() if one.kind == "EQUITY"}
    caps = np.array([listed[name].cap_usd for name in prices.columns])
    sizes = np.log(prices / prices.loc[:"2018-12-31"].iloc[-1] * caps)
    returns = prices.pct_change(fill_method=None).iloc[1:]
    found = monthly_factors(returns, sizes.iloc[1:], [listed[name].sector for name in prices.columns])
    yield correlation(found["market"], "market of 20 names", "Mkt-RF", 1.0, french())
    yield correlation(found["size"], "small minus large of 20 names", "SMB", -1.0, french())


def from_funds() -> Iterator[Correlation]:
    """Funds less the S&P 500: the size fund and the value fund."""
    from skfolio.datasets import load_factors_dataset, load_sp500_index

    funds, index = load_factors_dataset(), load_sp500_index()["SP500"]
    monthly = pd.concat([funds, index], axis=1, join="inner").groupby(lambda day: day.to_period("M")).last()
    returns = monthly.pct_change(fill_method=None)
    for fund, theirs in (("SIZE", "SMB"), ("VLUE", "HML")):
        yield correlation(returns[fund] - returns["SP500"], f"fund {fund} less index", theirs, 1.0, french())
    yield correlation(returns["SP500"], "S&P 500", "Mkt-RF", 1.0, french())


def from_bars(path: str) -> Iterator[Correlation]:
    """Market and size of more names; size is the log of the median value traded in 126 sessions, for shares are unknown."""
    bars = pd.read_parquet(path).drop_duplicates(["date", "symbol"])
    bars["traded"] = bars["close"] * bars["volume"]
    wide = {
        name: bars.pivot(index="date", columns="symbol", values=name).sort_index() for name in ("adj_close", "traded")
    }
    prices = wide["adj_close"]
    prices.index = pd.DatetimeIndex(prices.index)
    traded = wide["traded"].rolling(126, min_periods=20).median()
    sizes = np.log(traded.where(traded > 0.0))
    returns = prices.pct_change(fill_method=None).iloc[1:]
    returns = returns.where(returns.abs() < 0.6)
    sectors = bars.drop_duplicates("symbol").set_index("symbol")["sector"].loc[prices.columns].fillna("unknown")
    found = monthly_factors(returns, sizes.iloc[1:], list(sectors))
    label = f"{prices.shape[1]} names"
    yield correlation(found["market"], f"market of {label}", "Mkt-RF", 1.0, french())
    yield correlation(found["size"], f"thinly minus much traded of {label}", "SMB", -1.0, french())


def main(arguments: Sequence[str]) -> None:
    """Prints the table."""
    found = [*from_names(), *from_funds(), *(from_bars(arguments[0]) if arguments else ())]
    print("| ours | theirs | months | correlation | beyond the market | independent series stay below |")
    print("|" + " --- |" * 6)
    for one in found:
        beyond = f"{one.beyond_market:+.2f}" if np.isfinite(one.beyond_market) else ""
        print(f"| {one.ours} | {one.theirs} | {one.months} | {one.plain:+.2f} | {beyond} | {one.bound:.2f} |")


if __name__ == "__main__":
    main(sys.argv[1:])
