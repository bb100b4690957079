"""The data of a backtest, asked from the providers and kept as bodies, and the loop over its sessions.

Backtests ask for `known_at` only: the bodies are fetched today, what a row may be used for is decided by when it was known.
Not here: the loop itself (`research.loop`), the asset (`research.assets`).
"""

import datetime as dt
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import dagster as dg

from marketbot_assets.lineage import keep_body
from marketbot_assets.rebuild_data import ReceivedBody, rows_of
from marketbot_resources.calendars import computed_cutoff
from marketbot_resources.mandate import Mandate
from marketbot_resources.provider import Body, Delivery
from marketbot_resources.store.resource import StoreResource
from marketbot_resources.wiring import Ports

if TYPE_CHECKING:
    import pandas as pd

    from marketbot_assets.research.details import Details
    from marketbot_assets.research.history import Tables
    from marketbot_assets.research.loop import Day


def play(
    context: dg.AssetExecutionContext,
    store: StoreResource,
    ports: Ports,
    mandate: Mandate,
    first: dt.date,
    last: dt.date,
    *,
    details: "Details | None" = None,
) -> "tuple[pd.DataFrame, list[str]]":
    """(BACKTEST rows of the sessions first..last, hashes of the bodies they rest on). `details` sees every day on its way."""
    from tqdm import tqdm

    from marketbot_assets.research.history import History
    from marketbot_assets.research.loop import opening_account, run_days
    from marketbot_assets.research.outcomes import mark_of, outcomes

    blobs: list[str] = []
    until = computed_cutoff(mandate.schedule, last)

    def keep(body: Body) -> str:
        blobs.append(keep_body(context, store, "backtest", body, until))
        return blobs[-1]

    history = History(tables_until(ports, mandate, until, keep), mandate, first, last)
    if details is not None:
        details.synthetic = bool(history.tables.prices["synthetic"].any())
    with tqdm(total=len(history.sessions), unit="session", desc="backtest", disable=not sys.stderr.isatty()) as bar:

        def seen(day: "Day") -> None:
            bar.update()

        days = run_days(history, mandate, opening_account(mandate, history), seen=seen)
        return outcomes(days if details is None else details.watching(days), mark_of(mandate)), blobs


def tables_until(ports: Ports, mandate: Mandate, until: dt.datetime, keep: Callable[[Body], str]) -> "Tables":
    """Everything that was known at an instant, normalized; `keep` stores a body and returns its hash."""
    from marketbot_assets.normalization import series
    from marketbot_assets.normalization.identity import normalize_instruments
    from marketbot_assets.normalization.scan import flag_history
    from marketbot_assets.research.history import Tables

    def rows(asset: str, delivery: Delivery) -> "pd.DataFrame":
        received = [ReceivedBody(x.content, x.provider, keep(x), x.parser, x.asked) for x in delivery.bodies]
        return rows_of(asset, received)

    market, listed = ports.market, mandate.universe.listings
    instruments = normalize_instruments(rows("raw_instruments", market.instruments(until)), listed, until)
    bars = series.normalize_prices(rows("raw_prices", market.prices(None, until)), instruments)
    received = rows("raw_corporate_actions", market.corporate_actions(None, until))
    actions = series.normalize_corporate_actions(received, instruments)
    return Tables(
        instruments=instruments,
        prices=flag_history(bars, actions),
        corporate_actions=actions,
        fx=series.normalize_fx(rows("raw_fx", market.fx(None, until)), mandate.base_currency),
        macro=series.normalize_macro(rows("raw_macro", ports.macro.series(None, until))),
        fundamentals=series.normalize_fundamentals(
            rows("raw_fundamentals", ports.fundamentals.filings(None, until)), instruments
        ),
    )
