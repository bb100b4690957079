"""The versioned prompt: system text and question from a context pack. Pure."""

from dataclasses import dataclass

import pandas as pd

VERSION = "views-1"


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model is asked: the system text and the question, in the order of the pack's rows or in another fixed order."""

    version: str
    system: str
    question: str


def prompt_of(pack: pd.DataFrame, run: int = 1) -> Prompt:
    """The prompt of a pass: 1 in the pack's order, 2 with facts and headlines in reverse order."""
    return Prompt(VERSION, "", "")
