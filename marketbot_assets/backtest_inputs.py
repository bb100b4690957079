"""The bodies behind a backtest: who served them, where they lie, and the tables that follow from them. Without Dagster.

One small file, the description, names the bodies of all feeds by hash; whoever sees the store makes the same tables from it, and
asks no provider. Not here: asking and keeping (`backtest`), the loop (`research.loop`).
"""

import datetime as dt
import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from marketbot_assets.rebuild_data import ReceivedBody, rows_of
from marketbot_resources.errors import StoreError
from marketbot_resources.mandate import Mandate
from marketbot_resources.provider import Body, Delivery
from marketbot_resources.wiring import Ports

if TYPE_CHECKING:
    from marketbot_assets.research.history import Tables
    from marketbot_resources.store.port import Objects

FEEDS = ("raw_instruments", "raw_prices", "raw_corporate_actions", "raw_fx", "raw_macro", "raw_fundamentals")
Source = Callable[[str], Sequence[ReceivedBody]]


def from_providers(ports: Ports, until: dt.datetime, keep: Callable[[Body], str]) -> Source:
    """Bodies of a feed as its provider serves them today; `keep` stores one and returns its hash."""

    def source(feed: str) -> Sequence[ReceivedBody]:
        delivery = _delivery(ports, feed, until)
        return [ReceivedBody(x.content, x.provider, keep(x), x.parser, x.asked) for x in delivery.bodies]

    return source


def _delivery(ports: Ports, feed: str, until: dt.datetime) -> Delivery:
    market = ports.market
    if feed == "raw_instruments":
        return market.instruments(until)
    if feed == "raw_prices":
        return market.prices(None, until)
    if feed == "raw_corporate_actions":
        return market.corporate_actions(None, until)
    if feed == "raw_fx":
        return market.fx(None, until)
    return ports.macro.series(None, until) if feed == "raw_macro" else ports.fundamentals.filings(None, until)


def described(received: Mapping[str, Sequence[ReceivedBody]]) -> bytes:
    """The description of all feeds, canonical JSON."""
    told = {
        feed: [
            {"blob_sha256": x.sha256, "provider": x.provider, "parser": x.parser, "asked": dict(x.asked)}
            for x in bodies
        ]
        for feed, bodies in received.items()
    }
    return json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def bodies_in(description: bytes) -> list[str]:
    """Hashes of the bodies that a description names, feed by feed."""
    told = json.loads(description)
    return [str(body["blob_sha256"]) for feed in FEEDS for body in told.get(feed, ())]


def is_complete(description: bytes) -> bool:
    """Whether it names every feed that a backtest of today reads."""
    return set(json.loads(description)) == set(FEEDS)


def from_store(objects: "Objects", description: bytes) -> Source:
    """Bodies of a feed as they lie in a store. A missing one raises MissingObject, one of a feed not named StoreError."""
    told = json.loads(description)

    def source(feed: str) -> Sequence[ReceivedBody]:
        if feed not in told:
            raise StoreError(f"inputs: expected bodies of {feed}, found {sorted(told)}; ask the providers again")
        return [
            ReceivedBody(
                objects.get_blob(str(x["blob_sha256"])),
                str(x["provider"]),
                str(x["blob_sha256"]),
                x["parser"],
                x["asked"],
            )
            for x in told[feed]
        ]

    return source


def tables_of(source: Source, mandate: Mandate, until: dt.datetime) -> "Tables":
    """Everything that was known at an instant, normalized, from the bodies of every feed."""
    from marketbot_assets.normalization import series
    from marketbot_assets.normalization.identity import normalize_instruments
    from marketbot_assets.normalization.scan import flag_history
    from marketbot_assets.research.history import Tables

    instruments = normalize_instruments(
        rows_of("raw_instruments", source("raw_instruments")), mandate.universe.listings, until
    )
    bars = series.normalize_prices(rows_of("raw_prices", source("raw_prices")), instruments)
    told = rows_of("raw_corporate_actions", source("raw_corporate_actions"))
    actions = series.normalize_corporate_actions(told, instruments)
    return Tables(
        instruments=instruments,
        prices=flag_history(bars, actions),
        corporate_actions=actions,
        fx=series.normalize_fx(rows_of("raw_fx", source("raw_fx")), mandate.base_currency),
        macro=series.normalize_macro(rows_of("raw_macro", source("raw_macro"))),
        fundamentals=series.normalize_fundamentals(
            rows_of("raw_fundamentals", source("raw_fundamentals")), instruments
        ),
    )
