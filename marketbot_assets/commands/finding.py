"""One thing that `doctor` looked at. Not here: what is looked at (`doctor`, `doctor_llm`)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `mend`: how to mend it when it is not good."""

    name: str
    good: bool
    found: str
    mend: str
