"""Every broker's capabilities by the name that a mandate gives it. Pure: what the plan may know of a broker without asking it."""

from collections.abc import Mapping
from types import MappingProxyType

from marketbot_resources.alpaca_terms import ALPACA_CAPABILITIES
from marketbot_resources.capabilities import Capabilities
from marketbot_resources.ibkr_terms import IBKR_CAPABILITIES
from marketbot_resources.paper_terms import PAPER_CAPABILITIES

BROKERS: Mapping[str, Capabilities] = MappingProxyType(
    {row.name: row for row in (PAPER_CAPABILITIES, ALPACA_CAPABILITIES, IBKR_CAPABILITIES)}
)
