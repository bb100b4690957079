"""Assets of the research stage: the opening balance of the book, and backtests."""

import dagster as dg

from marketbot_assets.lineage import materialized, stage_asset, stored
from marketbot_assets.research import schema
from marketbot_resources.sessions import book_open
from marketbot_resources.store.index import STATIC
from marketbot_resources.store.reader import HISTORY_OF
from marketbot_resources.store.resource import StoreResource
from marketbot_resources.wiring import BrokerResource, Ports

STAGE = "research"
HISTORIES = sorted(HISTORY_OF.values())


@stage_asset(schema.OPENING_BALANCE, stage=STAGE, deps=["mandate", *HISTORIES], domain="book")
def opening_balance(
    context: dg.AssetExecutionContext, store: StoreResource, broker: BrokerResource, ports: Ports
) -> dg.MaterializeResult:
    """What the book holds before its first session: cash, or what the decision alone makes of the sessions since go-live."""
    from marketbot_assets.opening import opening_of
    from marketbot_assets.research.opening import seed_of

    read, opened = store.reader(context), book_open(store.lake.ledger)
    assert opened is not None, "the mandate opens the book"
    known = store.lake.index.newest("opening_balance", STATIC)
    frame = opening_of(read, opened) if known is None else store.lake.load(known)
    cash, shares = seed_of(frame)
    broker.open(read.mandate(), ports).seed(cash, shares, opened.history_until)
    served = stored(context, store, schema.OPENING_BALANCE, always=True)
    return served or materialized(context, store, frame, schema.OPENING_BALANCE)


ASSETS = [opening_balance]
