"""The sample world as tables, mandates made from the default one, and days kept small enough to hold many of them."""

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from marketbot_assets.backtest import tables_until
from marketbot_assets.ingestion.parse import PARSERS
from marketbot_assets.normalization.identity import normalize_instruments
from marketbot_assets.normalization.series import normalize_fx
from marketbot_assets.research.history import History, Tables
from marketbot_assets.research.loop import Day, opening_account, run_days
from marketbot_resources.calendars import computed_cutoff, decision_sessions
from marketbot_resources.mandate import Mandate, parse_mandate
from marketbot_resources.paper import PaperAccount
from marketbot_resources.wiring import Ports

ROOT = Path(__file__).parents[2]
MANDATE_TEXT = (ROOT / "mandate.yaml").read_text(encoding="utf-8")
END = dt.date(2019, 12, 31)
START = dt.date(2019, 5, 15)


def mandate_with(**sections: object) -> Mandate:
    """The default mandate; a mapping is merged into its section, anything else replaces the value."""
    plain = yaml.safe_load(MANDATE_TEXT)
    for key, value in sections.items():
        plain[key] = {**(plain[key] or {}), **value} if isinstance(value, dict) else value
    return parse_mandate(yaml.safe_dump(plain))


def world_until(mandate: Mandate, last: dt.date) -> Tables:
    """Everything that the sample providers tell at the cutoff of a session."""
    return tables_until(Ports(), mandate, computed_cutoff(mandate.schedule, last), lambda body: "")


def world_for(mandate: Mandate, tables: Tables) -> Tables:
    """The same world for another base currency or universe."""
    until, market = computed_cutoff(mandate.schedule, END), Ports().market

    def raw(asset: str, content: bytes) -> pd.DataFrame:
        return PARSERS[asset](content, source="sample", blob_sha256="")

    listed = raw("raw_instruments", market.instruments(until).bodies[0].content)
    rates = raw("raw_fx", market.fx(None, until).bodies[0].content)
    return replace(
        tables,
        instruments=normalize_instruments(listed, mandate.universe.listings, until),
        fx=normalize_fx(rates, mandate.base_currency),
    )


def sessions(first: dt.date, count: int) -> tuple[dt.date, ...]:
    """`count` sessions of New York from a date on."""
    return decision_sessions("XNYS", first, first + dt.timedelta(days=2 * count + 10))[:count]


def loop(
    tables: Tables, mandate: Mandate, count: int, *, first: dt.date = START
) -> tuple[Iterator[Day], History, PaperAccount]:
    """(days of the loop over `count` sessions, its history, its broker account)."""
    days = sessions(first, count)
    history = History(tables, mandate, days[0], days[-1])
    account = opening_account(mandate, history)
    return run_days(history, mandate, account), history, account


def scaled_from(tables: Tables, day: dt.date, factor: float) -> Tables:
    """Every price of every name times `factor` from a session on, without a corporate action."""
    prices = tables.prices.copy()
    later = (prices["session"] >= pd.Timestamp(day)).to_numpy()
    for column in ("open", "high", "low", "close", "price_level"):
        prices[column] = np.where(later, prices[column] * factor, prices[column])
    return replace(tables, prices=prices)


def shuffled(parser: Callable[..., pd.DataFrame], seed: int) -> Callable[..., pd.DataFrame]:
    """A parser whose rows come in random order."""

    def parse(*args: object, **kwargs: object) -> pd.DataFrame:
        return parser(*args, **kwargs).sample(frac=1.0, random_state=seed, ignore_index=True)

    return parse
