"""From the tries of a session to its views: the newest accepted answer of each pass, else the rules. Pure."""

import datetime as dt
from collections.abc import Callable

import pandas as pd

from marketbot_resources.mandate import Mandate


def context_of(
    pack: pd.DataFrame,
    answers: pd.DataFrame,
    by_rules: Callable[[str], pd.DataFrame],
    session: dt.date,
    mandate: Mandate,
) -> pd.DataFrame:
    """LLM_CONTEXT rows. `by_rules`: the rules' rows with the reason why they stand in."""
    return by_rules("")
