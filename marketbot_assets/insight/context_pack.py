"""The context pack: everything that a language model may know of a session, from stored rows alone. Pure."""

import datetime as dt

import pandas as pd

from marketbot_assets.insight.schema import CONTEXT_PACK
from marketbot_resources.mandate import Mandate


def build_pack(
    features: pd.DataFrame,
    instruments: pd.DataFrame,
    news: pd.DataFrame,
    macro: pd.DataFrame,
    cutoff: dt.datetime,
    mandate: Mandate,
) -> pd.DataFrame:
    """CONTEXT_PACK rows of what was known at the cutoff."""
    return pd.DataFrame([], columns=[column.name for column in CONTEXT_PACK.columns])
