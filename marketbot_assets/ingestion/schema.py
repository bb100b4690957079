"""Tables of the ingestion stage: provider-shaped rows, never repaired, each with the hash of the body it came from."""

from marketbot_resources.corporate_actions import KINDS
from marketbot_resources.store.table import Column, Table

SOURCE = Column("source", "text", "provider that served the row")
SOURCE_ID = Column("source_id", "text", "the provider's own identifier of the instrument")
KNOWN_AT = Column("known_at", "instant", "when the row became knowable, UTC")
SYNTHETIC = Column("synthetic", "flag", "true when any value of the row is simulated")
BLOB = Column("blob_sha256", "text", "SHA-256 of the body as received")

MANDATE = Table(
    "mandate",
    "the parsed, validated mandate",
    ("mandate_sha256",),
    (
        Column("mandate_sha256", "text", "SHA-256 of the canonical JSON"),
        Column("canonical_json", "text", "the whole mandate as canonical JSON"),
    ),
)

RAW_INSTRUMENTS = Table(
    "raw_instruments",
    "one listing as the provider describes it",
    ("source", "source_id"),
    (
        SOURCE,
        SOURCE_ID,
        Column("ticker", "text", "ticker on the exchange today"),
        Column("name", "text", "name of the issuer or fund"),
        Column("mic", "text", "exchange, ISO 10383"),
        Column("currency", "text", "quotation currency as reported; GBX means pence"),
        Column("country", "text", "country of the issuer, ISO 3166 alpha-2"),
        Column("sector", "text", "GICS-like sector; FUND for funds; empty when unknown"),
        Column("kind", "text", "EQUITY or FUND", one_of=("EQUITY", "FUND")),
        Column("issuer", "text", "ultimate issuer"),
        Column("quantity_step", "decimal", "smallest tradable quantity (lot), shares", at_least=0),
        Column("tick_size", "decimal", "smallest price step in the quotation currency", at_least=0),
        Column("listed_on", "date", "first session"),
        Column("delisted_on", "date", "last session, null while listed", nullable=True),
        Column("shares_outstanding", "number", "shares", nullable=True),
        KNOWN_AT,
        SYNTHETIC,
        BLOB,
    ),
)

RAW_PRICES = Table(
    "raw_prices",
    "one daily bar of one listing as the provider reports it, unadjusted unless close_adjusted_by_source",
    ("source", "source_id", "session"),
    (
        SOURCE,
        SOURCE_ID,
        Column("session", "date", "session of the instrument's own exchange"),
        Column("open", "number", "quotation currency", nullable=True),
        Column("high", "number", "quotation currency", nullable=True),
        Column("low", "number", "quotation currency", nullable=True),
        Column("close", "number", "quotation currency", nullable=True),
        Column("volume", "number", "shares", nullable=True),
        Column("price_level", "number", "unadjusted price level, for rules on price levels only", nullable=True),
        Column("currency", "text", "quotation currency as reported; GBX means pence"),
        Column("close_adjusted_by_source", "flag", "true when the source back-adjusted the close"),
        KNOWN_AT,
        SYNTHETIC,
        Column("synthetic_fields", "text", "comma-separated names of the simulated fields; empty when none"),
        BLOB,
    ),
)

RAW_CORPORATE_ACTIONS = Table(
    "raw_corporate_actions",
    "one corporate action of one listing",
    ("source", "source_id", "ex_session", "kind"),
    (
        SOURCE,
        SOURCE_ID,
        Column("ex_session", "date", "first session that trades without the right"),
        Column("kind", "text", "what happens", one_of=KINDS),
        Column(
            "amount",
            "number",
            "quotation currency per old share: paid in cash, of a spin-off the value of the new shares; null when unknown",
            nullable=True,
        ),
        Column("ratio", "number", "new shares per old share; 1 for dividends and renames, 0 where there are none"),
        Column("currency", "text", "quotation currency as reported; GBX means pence"),
        Column(
            "other",
            "text",
            "listing whose shares are received (or its name), the new ticker, or the reason of a delisting; else empty",
        ),
        KNOWN_AT,
        SYNTHETIC,
        BLOB,
    ),
)

RAW_FX = Table(
    "raw_fx",
    "one reference rate of one currency against the euro",
    ("source", "currency", "session"),
    (
        SOURCE,
        Column("currency", "text", "ISO 4217"),
        Column("session", "date", "date of the fixing"),
        Column("units_per_eur", "number", "units of the currency per euro"),
        KNOWN_AT,
        SYNTHETIC,
        BLOB,
    ),
)

RAW_MACRO = Table(
    "raw_macro",
    "one observation of one macro series as first or later published",
    ("source", "series", "period", "known_at"),
    (
        SOURCE,
        Column(
            "series", "text", "name of the series: SP500, VIX, WTI, CORE_CPI, AAA, BAA, US10Y, US2Y, and rates of cash"
        ),
        Column("period", "date", "date that the value describes"),
        Column("value", "number", "in the series' unit", nullable=True),
        Column("unit", "text", "unit of the value"),
        KNOWN_AT,
        SYNTHETIC,
        BLOB,
    ),
)

RAW_FUNDAMENTALS = Table(
    "raw_fundamentals",
    "one reported figure of one issuer as filed",
    ("source", "source_id", "field", "period_end", "known_at"),
    (
        SOURCE,
        SOURCE_ID,
        Column(
            "field",
            "text",
            "EQUITY, NET_INCOME, GROSS_PROFIT, TOTAL_ASSETS, TOTAL_DEBT, SHARES (trailing year or point in time)",
        ),
        Column("period_end", "date", "end of the period"),
        Column("value", "number", "in the reporting currency, or shares", nullable=True),
        Column("currency", "text", "reporting currency, ISO 4217; empty for shares"),
        Column("form", "text", "filing that carried it"),
        KNOWN_AT,
        SYNTHETIC,
        BLOB,
    ),
)

RAW_NEWS = Table(
    "raw_news",
    "one headline, linked to one instrument",
    ("source", "headline_id", "source_id"),
    (
        SOURCE,
        Column("headline_id", "text", "the provider's identifier"),
        SOURCE_ID,
        Column("headline", "text", "text as received"),
        Column("publisher", "text", "who published it"),
        Column("published_at", "instant", "the publisher's stamp, UTC"),
        KNOWN_AT,
        SYNTHETIC,
        BLOB,
    ),
)

RAW_QUOTES = Table(
    "raw_quotes",
    "one quote as the provider serves it, in the quotation currency; kept as a body, its rows are `intraday_quotes`",
    ("source", "source_id", "quoted_at"),
    (
        SOURCE,
        SOURCE_ID,
        Column("currency", "text", "quotation currency as reported; GBX means pence"),
        Column("bid", "number", "quotation currency", nullable=True),
        Column("ask", "number", "quotation currency", nullable=True),
        Column("last", "number", "last trade, quotation currency", nullable=True),
        Column("quoted_at", "instant", "when it was quoted, UTC"),
        KNOWN_AT,
        SYNTHETIC,
        BLOB,
    ),
)

INTRADAY_QUOTES = Table(
    "intraday_quotes",
    "one quote of a held listing while its exchange traded; for protective exits only",
    ("instrument", "quoted_at", "known_at"),
    (
        Column("instrument", "text", "internal id"),
        Column("session", "date", "session of its own exchange; null outside of its hours", nullable=True),
        Column("bid", "number", "listing currency, major unit", nullable=True),
        Column("ask", "number", "listing currency, major unit", nullable=True),
        Column("last", "number", "last trade, listing currency, major unit", nullable=True),
        Column("quoted_at", "instant", "when it was quoted, UTC"),
        KNOWN_AT,
        SYNTHETIC,
        SOURCE,
        BLOB,
    ),
)

SNAPSHOT_KINDS = (
    "CUTOFF",
    "CASH",
    "POSITION",
    "OPEN_ORDER",
    "WORKING",
    "EXECUTION",
    "BUST",
    "EVENT",
    "HALT_FLAG",
    "OPERATOR",
    "STOP_HIT",
    "BROKER",
)
ACCOUNT_SNAPSHOT = Table(
    "account_snapshot",
    "one thing that the broker or the operator reports at the cutoff",
    ("kind", "key"),
    (
        Column("kind", "text", "what the row is", one_of=SNAPSHOT_KINDS),
        Column("key", "text", "currency, instrument, client order id, execution id or event id"),
        Column("instrument", "text", "internal id; FX:<currency> for currency legs; empty otherwise"),
        Column(
            "order_kind",
            "text",
            "EQUITY or FX for orders and executions, kind of a corporate action for events, else empty",
        ),
        Column("currency", "text", "ISO 4217 or empty"),
        Column("side", "text", "BUY, SELL or empty", one_of=("", "BUY", "SELL")),
        Column(
            "quantity", "decimal", "shares, or units of currency for FX; signed for positions and events", nullable=True
        ),
        Column(
            "price",
            "decimal",
            "per share in currency; base per unit for FX; of a position the broker's mean price paid, where it tells it",
            nullable=True,
        ),
        Column("amount", "decimal", "cash in currency, signed", nullable=True),
        Column("fee", "decimal", "positive; in currency, in base currency for FX", nullable=True),
        Column("tax", "decimal", "positive, in currency", nullable=True),
        Column("client_order_id", "text", "our order id or empty"),
        Column("at", "instant", "instant of the fact, UTC"),
        Column(
            "text",
            "text",
            "flag status, operator's reason, control of a stop hit, state of an order that works by our ledger (WORKING), "
            "late or withdrawn for an execution, for a BUST the execution that stands instead, or empty",
        ),
    ),
)

TABLES = (
    MANDATE,
    RAW_INSTRUMENTS,
    RAW_PRICES,
    RAW_CORPORATE_ACTIONS,
    RAW_FX,
    RAW_MACRO,
    RAW_FUNDAMENTALS,
    RAW_NEWS,
    ACCOUNT_SNAPSHOT,
    INTRADAY_QUOTES,
)
