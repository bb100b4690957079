"""What each kind of import must and may hold: the columns of its raw table, what a file must have, what is filled in. Pure.

Not here: reading files (`files`), filling (`shape`), storing (`keep`), serving (`provider`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa

TEXT, NUMBER, FLAG, DAY = pa.string(), pa.float64(), pa.bool_(), pa.date32()
INSTANT, DECIMAL = pa.timestamp("us", tz="UTC"), pa.decimal128(28, 10)
KNOWN_AT, SYNTHETIC = "known_at", "synthetic"


@dataclass(frozen=True)
class Form:
    """One kind of import.

    `types`: the columns of the raw table without source and hash, in its order; `needs`: what the file must have (after renaming);
    `fills`: what a missing column is filled with; `key`: what makes a row one of its kind.
    """

    kind: str
    types: Mapping[str, pa.DataType]
    needs: tuple[str, ...]
    key: tuple[str, ...]
    fills: Mapping[str, object] = field(default_factory=dict)


FORMS: Mapping[str, Form] = {
    form.kind: form
    for form in (
        Form(
            "instruments",
            {
                "source_id": TEXT,
                "ticker": TEXT,
                "name": TEXT,
                "mic": TEXT,
                "currency": TEXT,
                "country": TEXT,
                "sector": TEXT,
                "kind": TEXT,
                "issuer": TEXT,
                "quantity_step": DECIMAL,
                "tick_size": DECIMAL,
                "listed_on": DAY,
                "delisted_on": DAY,
                "shares_outstanding": NUMBER,
                KNOWN_AT: INSTANT,
                SYNTHETIC: FLAG,
            },
            ("ticker", "mic", "currency", "listed_on"),
            ("source_id",),
            {"sector": "", "kind": "EQUITY", "quantity_step": "1", "tick_size": "0.01", SYNTHETIC: False},
        ),
        Form(
            "prices",
            {
                "source_id": TEXT,
                "session": DAY,
                "open": NUMBER,
                "high": NUMBER,
                "low": NUMBER,
                "close": NUMBER,
                "volume": NUMBER,
                "price_level": NUMBER,
                "currency": TEXT,
                "close_adjusted_by_source": FLAG,
                KNOWN_AT: INSTANT,
                SYNTHETIC: FLAG,
                "synthetic_fields": TEXT,
            },
            ("ticker", "mic", "currency", "session", "close"),
            ("source_id", "session"),
            {"close_adjusted_by_source": False, SYNTHETIC: False, "synthetic_fields": ""},
        ),
        Form(
            "corporate_actions",
            {
                "source_id": TEXT,
                "ex_session": DAY,
                "kind": TEXT,
                "amount": NUMBER,
                "ratio": NUMBER,
                "currency": TEXT,
                "other": TEXT,
                KNOWN_AT: INSTANT,
                SYNTHETIC: FLAG,
            },
            ("ticker", "mic", "currency", "ex_session", "kind", "amount", "ratio"),
            ("source_id", "ex_session", "kind"),
            {"other": "", SYNTHETIC: False},
        ),
        Form(
            "fx",
            {"currency": TEXT, "session": DAY, "units_per_eur": NUMBER, KNOWN_AT: INSTANT, SYNTHETIC: FLAG},
            ("currency", "session", "units_per_eur"),
            ("currency", "session"),
            {SYNTHETIC: False},
        ),
        Form(
            "macro",
            {"series": TEXT, "period": DAY, "value": NUMBER, "unit": TEXT, KNOWN_AT: INSTANT, SYNTHETIC: FLAG},
            ("series", "period", "value", KNOWN_AT),
            ("series", "period", KNOWN_AT),
            {"unit": "", SYNTHETIC: False},
        ),
        Form(
            "fundamentals",
            {
                "source_id": TEXT,
                "field": TEXT,
                "period_end": DAY,
                "value": NUMBER,
                "currency": TEXT,
                "form": TEXT,
                KNOWN_AT: INSTANT,
                SYNTHETIC: FLAG,
            },
            ("ticker", "mic", "field", "period_end", "value", "currency", KNOWN_AT),
            ("source_id", "field", "period_end", KNOWN_AT),
            {"form": "", SYNTHETIC: False},
        ),
        Form(
            "news",
            {
                "headline_id": TEXT,
                "source_id": TEXT,
                "headline": TEXT,
                "publisher": TEXT,
                "published_at": INSTANT,
                KNOWN_AT: INSTANT,
                SYNTHETIC: FLAG,
            },
            ("ticker", "mic", "headline_id", "headline", "published_at", KNOWN_AT),
            ("headline_id", "source_id"),
            {"publisher": "", SYNTHETIC: False},
        ),
    )
}
