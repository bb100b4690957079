"""Tables of the features stage: the feature matrix, the declared features and the factor model."""

from marketbot_assets.features.declared_set import declared
from marketbot_assets.features.registry import FEATURES as REGISTERED
from marketbot_resources.store.table import Column, Table

FEATURES = Table(
    "features",
    "one instrument with every registered feature as known at the cutoff",
    ("instrument",),
    (
        Column("session", "date", "decision session"),
        Column("instrument", "text", "internal id"),
        *(Column(f.name, "number", f"{f.description} [{f.unit}; {f.source}]", nullable=True) for f in REGISTERED),
        Column("complete", "flag", "every required feature has a value"),
    ),
)

FACTOR_MODEL = Table(
    "factor_model",
    "one row of one block of the factor model: exposures, covariances, returns, scenarios",
    ("block", "place", "key"),
    (
        Column("block", "text", "which part of the model"),
        Column("place", "integer", "order within the block", at_least=0),
        Column("key", "text", "instrument, factor, session or scenario; empty for scalars"),
        Column("values", "numbers", "numbers of the row, in the order of the block's axis"),
    ),
)
WIDE_FEATURES = Table(
    "wide_features",
    "one instrument with every declared feature as known at the cutoff",
    ("instrument",),
    (
        Column("session", "date", "decision session"),
        Column("instrument", "text", "internal id"),
        *(Column(f.name, "number", f"{f.description} [{f.unit}]", nullable=True) for f in declared()),
    ),
)
TABLES = (FEATURES, FACTOR_MODEL, WIDE_FEATURES)
