"""Which models are asked for a session's views, in which order, within which budget; every try is evidence.

Not here: how a model is called (`llm_process`), what an answer may say (`insight.gate`), what becomes of views (`insight.context`).
"""

from typing import TYPE_CHECKING

from marketbot_resources.llm import LlmPort
from marketbot_resources.provider import Delivery
from marketbot_resources.store.reader import Reader

if TYPE_CHECKING:
    from marketbot_resources.store.lake import Lake


def ask_models(read: Reader, lake: "Lake", port: LlmPort) -> Delivery:
    """One body per try, in order; none when the mandate names no model."""
    return Delivery(())
