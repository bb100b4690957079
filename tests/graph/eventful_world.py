"""Homes whose market is a synthetic world full of events: splits, dividends, spin-offs, renames, delistings, four currencies.

Not here: any statement about the product.
"""

import datetime as dt
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from graph_world import ROOT

from marketbot_resources.provider import FundamentalsProvider, MacroProvider, MarketProvider, NewsProvider
from marketbot_resources.synthetic.spec import ALL_KINDS, EventSpec, WorldSpec
from marketbot_resources.wiring import Ports

if TYPE_CHECKING:
    from marketbot_resources.synthetic.provider import SyntheticWorld

MICS = ("XNYS", "XLON", "XETR", "XTKS")
FIRST, LAST = dt.date(2014, 1, 2), dt.date(2020, 12, 31)
EVENTS = EventSpec(
    kinds=ALL_KINDS, splits=0.3, special_dividends=0.2, spin_offs=0.3, renames=0.4, delistings=0.12, young=0.2
)


@lru_cache(maxsize=1)
def world() -> "SyntheticWorld":
    """Fifty names on four exchanges."""
    from marketbot_resources.synthetic.provider import SyntheticWorld

    return SyntheticWorld(WorldSpec(50, MICS, FIRST, LAST, 5, events=EVENTS))


class EventfulPorts(Ports):
    """Providers that serve the world."""

    @property
    def market(self) -> MarketProvider:
        return world().market

    @property
    def macro(self) -> MacroProvider:
        return world().macro

    @property
    def fundamentals(self) -> FundamentalsProvider:
        return world().fundamentals

    @property
    def news(self) -> NewsProvider:
        return world().news


def write_mandate(path: Path) -> Path:
    """The default mandate over everything that the world lists."""
    plain = yaml.safe_load((ROOT / "mandate.yaml").read_text(encoding="utf-8"))
    plain["universe"]["listings"] = dict.fromkeys(MICS, "all")
    path.write_text(yaml.safe_dump(plain), encoding="utf-8")
    return path
