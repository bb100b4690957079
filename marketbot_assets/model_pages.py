"""What the pages of the models' assets show. Not here: what is decided."""

from typing import TYPE_CHECKING

from marketbot_assets.champion_facts import told
from marketbot_resources.store.reader import Reader

if TYPE_CHECKING:
    import pandas as pd

    from marketbot_assets.lineage import Shown


def models(frame: "pd.DataFrame", read: Reader) -> "dict[str, Shown]":
    """Of RETURN_MODEL: what became of the refit, and of the champion where there is one."""
    from marketbot_assets.insight.return_model import from_frame, refit_word

    age = read.sessions_since(read.mandate().calendar, from_frame(frame).fitted_on)
    shows: dict[str, Shown] = {"refitted": str(age == 0), "sessions since fit": age, "refit": refit_word(age)}
    return {**shows, **told(frame)}


def spec_of(frame: "pd.DataFrame") -> str:
    """The specification of the mandate's model among RETURN_MODEL rows."""
    from marketbot_assets.insight.return_model import from_frame

    return from_frame(frame).spec_sha256
