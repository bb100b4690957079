"""What views have been worth: information coefficients of past sessions, and the weight that they give to views. Pure."""

from dataclasses import dataclass

import pandas as pd

from marketbot_assets.insight.schema import LLM_EVIDENCE
from marketbot_resources.mandate import Mandate
from marketbot_resources.mandate_llm import Evidence


@dataclass(frozen=True, slots=True)
class Worth:
    """The record of one version of views. `low`, `high`: confidence band of the shrunk mean; `weight` in [0, 1]; `reason`: why."""

    sessions: int
    mean_ic: float
    standard_error: float
    shrunk: float
    low: float
    high: float
    weight: float
    reason: str


def extended(before: pd.DataFrame | None, mandate: Mandate) -> pd.DataFrame:
    """LLM_EVIDENCE rows: those before and the newly judged ones."""
    if before is not None:
        return before
    return pd.DataFrame([], columns=[column.name for column in LLM_EVIDENCE.columns])


def worth(frame: pd.DataFrame, version: str, rule: Evidence) -> Worth:
    """What the sessions judged of one version say of its views."""
    nan = float("nan")
    return Worth(0, nan, nan, nan, nan, nan, 0.0, "not built")
