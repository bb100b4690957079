"""The mandate as a one-row table. Pure."""

import pandas as pd

from marketbot_resources.mandate import Mandate


def mandate_frame(mandate: Mandate) -> pd.DataFrame:
    """One row: hash and canonical JSON."""
    return pd.DataFrame({"mandate_sha256": [mandate.sha256], "canonical_json": [mandate.canonical().decode()]})
