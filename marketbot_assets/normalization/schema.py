"""Tables of the normalization stage: tidy, typed rows in ISO currencies, keyed by internal instrument ids.

A `*_history` asset has the same table as its daily counterpart: what was known before the home's first session.
"""

from dataclasses import replace

from marketbot_assets.ingestion.schema import KNOWN_AT, SOURCE, SOURCE_ID, SYNTHETIC
from marketbot_resources.corporate_actions import KINDS
from marketbot_resources.store.table import Column, Table

INSTRUMENT = Column("instrument", "text", "internal id, derived from (source, source id), never reused")
CURRENCY = Column("currency", "text", "ISO 4217, major unit")

INSTRUMENTS = Table(
    "instruments",
    "one listing as of the cutoff",
    ("instrument",),
    (
        INSTRUMENT,
        SOURCE,
        SOURCE_ID,
        Column("ticker", "text", "ticker on the exchange at the cutoff"),
        Column("name", "text", "name of the issuer or fund"),
        Column("mic", "text", "exchange, ISO 10383"),
        CURRENCY,
        Column("price_divisor", "number", "reported prices are divided by this: 100 for pence", at_least=1),
        Column("country", "text", "ISO 3166 alpha-2"),
        Column("sector", "text", "GICS-like sector, FUND or UNKNOWN"),
        Column("kind", "text", "EQUITY or FUND", one_of=("EQUITY", "FUND")),
        Column("issuer", "text", "ultimate issuer"),
        Column("quantity_step", "decimal", "lot, shares", at_least=0),
        Column("tick_size", "decimal", "price step in the currency (major unit)", at_least=0),
        Column("listed_on", "date", "first session"),
        Column("delisted_on", "date", "last session, null while listed", nullable=True),
        Column("shares_outstanding", "number", "shares", nullable=True, at_least=0),
        Column("named_as", "text", "ticker by which the mandate names it, as first seen; empty when it does not"),
        Column("in_universe", "flag", "named by the mandate and listed at the cutoff"),
        KNOWN_AT,
        SYNTHETIC,
    ),
)

IDENTIFIER_KINDS = ("TICKER", "MIC", "NAME", "ISSUER", "SECTOR", "SOURCE", "ISIN", "FIGI", "CIK")
IDENTIFIERS = Table(
    "identifiers",
    "one value by which one instrument was known, and from when to when",
    ("instrument", "kind", "valid_from"),
    (
        INSTRUMENT,
        Column("kind", "text", "what kind of value it is", one_of=IDENTIFIER_KINDS),
        Column("value", "text", "the value; of SOURCE the provider and its own identifier"),
        Column("valid_from", "date", "first day on which it held"),
        Column("valid_to", "date", "last day on which it held, null while it holds", nullable=True),
        KNOWN_AT,
    ),
)

PRICES = Table(
    "prices",
    "one daily bar, unadjusted, in the listing currency's major unit",
    ("session", "instrument"),
    (
        Column("session", "date", "session of the instrument's own exchange"),
        INSTRUMENT,
        SOURCE,
        Column("mic", "text", "exchange, ISO 10383"),
        CURRENCY,
        Column("open", "number", "listing currency", nullable=True),
        Column("high", "number", "listing currency", nullable=True),
        Column("low", "number", "listing currency", nullable=True),
        Column("close", "number", "listing currency", nullable=True),
        Column("volume", "number", "shares", nullable=True),
        Column("price_level", "number", "unadjusted level for rules on price levels, listing currency", nullable=True),
        Column("close_adjusted_by_source", "flag", "true when the source back-adjusted the close"),
        KNOWN_AT,
        Column("quarantine", "flag", "true when a quality rule forbids to trade on this bar"),
        Column(
            "overlay", "integer", "version of the accepted correction that this bar carries; 0: as received", at_least=0
        ),
        SYNTHETIC,
        Column("synthetic_fields", "text", "comma-separated names of the simulated fields; empty when none"),
    ),
)

OVERLAY_FIELDS = ("open", "high", "low", "close", "volume", "dividend", "split")
PRICE_OVERLAYS = Table(
    "price_overlays",
    "one value of one bar or corporate action that someone corrected, with author and reason",
    ("instrument", "session", "field", "version"),
    (
        INSTRUMENT,
        Column("session", "date", "session of the bar, or ex session"),
        Column("field", "text", "what is corrected", one_of=OVERLAY_FIELDS),
        Column("version", "integer", "counts from 1 per instrument and session; the last one holds", at_least=1),
        Column("found", "number", "value as received"),
        Column("proposed", "number", "value in its place", at_least=0),
        Column("rule", "text", "rule that proposed it"),
        Column("author", "text", "who accepted it"),
        Column("reason", "text", "why, in the author's words"),
        KNOWN_AT,
    ),
)

RESTATEMENTS = Table(
    "restatements",
    "one value that a provider sent again for a bar that we have; an equal bar has one row for its close",
    ("instrument", "session", "field", "source"),
    (
        INSTRUMENT,
        Column("session", "date", "session of the bar"),
        Column("field", "text", "field of the bar", one_of=OVERLAY_FIELDS[:5]),
        Column("known", "number", "what we have: the first usable print or its overlay", nullable=True),
        Column("restated", "number", "what was sent now", nullable=True),
        Column("relative_difference", "number", "restated over known, minus 1; 0 when equal", nullable=True),
        Column("known_source", "text", "provider of what we have"),
        SOURCE,
        Column("corrects", "flag", "true when what we have is quarantined: the new bar then stands in its place"),
        KNOWN_AT,
    ),
)

CORPORATE_ACTIONS = Table(
    "corporate_actions",
    "one version of one corporate action",
    ("instrument", "ex_session", "kind"),
    (
        INSTRUMENT,
        Column("ex_session", "date", "first session of the own exchange that trades without the right"),
        Column("kind", "text", "what happens", one_of=KINDS),
        Column(
            "amount",
            "number",
            "listing currency per old share: paid in cash, of a spin-off the value of the new shares; null when unknown",
            nullable=True,
            at_least=0,
        ),
        Column(
            "ratio",
            "number",
            "new shares per old share; 1 for dividends and renames, 0 where there are none",
            at_least=0,
        ),
        CURRENCY,
        Column(
            "other",
            "text",
            "instrument whose shares are received (or its name), the new ticker, or the reason of a delisting; else empty",
        ),
        KNOWN_AT,
        SYNTHETIC,
    ),
)

FX = Table(
    "fx",
    "one currency's rate of one fixing date",
    ("session", "currency"),
    (
        Column("session", "date", "date of the fixing"),
        CURRENCY,
        Column("rate", "number", "base currency per unit of the currency", at_least=1e-12),
        KNOWN_AT,
        SYNTHETIC,
    ),
)

MACRO = Table(
    "macro",
    "one observation of one macro series, with the instant at which it was known",
    ("series", "period", "known_at"),
    (
        Column("series", "text", "name of the series"),
        Column("period", "date", "date that the value describes"),
        Column("value", "number", "in the series' unit"),
        Column("unit", "text", "unit of the value"),
        KNOWN_AT,
        SYNTHETIC,
    ),
)

FUNDAMENTALS = Table(
    "fundamentals",
    "one reported figure as filed",
    ("instrument", "field", "period_end", "known_at"),
    (
        INSTRUMENT,
        Column("field", "text", "name of the figure"),
        Column("period_end", "date", "end of the period"),
        Column("value", "number", "in the reporting currency, or shares"),
        Column("currency", "text", "ISO 4217; empty for shares"),
        Column("form", "text", "filing that carried it"),
        KNOWN_AT,
        SYNTHETIC,
    ),
)

NEWS = Table(
    "news",
    "one headline, linked to one instrument",
    ("headline_id", "instrument"),
    (
        Column("headline_id", "text", "source and the provider's identifier"),
        INSTRUMENT,
        Column("headline", "text", "plain text: no markup, NFKC, hidden characters removed"),
        Column("publisher", "text", "who published it"),
        Column("published_at", "instant", "the publisher's stamp, UTC"),
        KNOWN_AT,
        SYNTHETIC,
    ),
)

OUTCOMES = ("pass", "warn", "quarantine", "halt")
DATA_QUALITY = Table(
    "data_quality",
    "one quality rule applied to one instrument, or to the whole table (subject *)",
    ("rule", "subject"),
    (
        Column("rule", "text", "name of the rule, a statement that should hold"),
        Column("subject", "text", "instrument, currency, series, or *"),
        Column("outcome", "text", "worst outcome", one_of=OUTCOMES),
        Column("observed", "number", "what was measured", nullable=True),
        Column("limit", "number", "what was allowed", nullable=True),
        Column("message", "text", "one sentence; empty when passed"),
    ),
)

DAILY = (INSTRUMENTS, PRICES, CORPORATE_ACTIONS, FX, MACRO, FUNDAMENTALS, NEWS)
HISTORY = {
    "instrument_history": replace(INSTRUMENTS, asset="instrument_history"),
    "price_history": replace(PRICES, asset="price_history"),
    "corporate_action_history": replace(CORPORATE_ACTIONS, asset="corporate_action_history"),
    "fx_history": replace(FX, asset="fx_history"),
    "macro_history": replace(MACRO, asset="macro_history"),
    "fundamentals_history": replace(FUNDAMENTALS, asset="fundamentals_history"),
    "news_history": replace(NEWS, asset="news_history"),
}
TABLES = (*DAILY, IDENTIFIERS, PRICE_OVERLAYS, RESTATEMENTS, DATA_QUALITY, *HISTORY.values())
