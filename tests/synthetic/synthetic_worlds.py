"""Small synthetic worlds and plain readers of what they serve, written without the product's own code."""

import csv
import datetime as dt
import io

from marketbot_resources.provider import Delivery
from marketbot_resources.synthetic.spec import ALL_KINDS, EventSpec, FaultSpec, WorldSpec

MICS = ("XNYS", "XLON", "XTKS", "XASX")
FIRST, LAST = dt.date(2015, 1, 1), dt.date(2018, 12, 31)
END = dt.datetime(2019, 1, 1, tzinfo=dt.UTC)
EVENTFUL = EventSpec(
    kinds=ALL_KINDS, splits=0.3, special_dividends=0.2, spin_offs=0.5, renames=0.4, delistings=0.25, young=0.2
)
BAR_FAULTS = ("gap", "halt", "bad_tick", "unit_error", "stale", "missing_value", "no_volume", "late", "revision")
FAULTY = FaultSpec(**dict.fromkeys(BAR_FAULTS, 1.0), unannounced_split=0.4, missing_dividend=0.3)

Row = dict[str, str]


def spec_of(
    instruments: int = 60,
    mics: tuple[str, ...] = MICS,
    last: dt.date = LAST,
    events: EventSpec = EVENTFUL,
    faults: FaultSpec | None = None,
    ticks: bool = True,
    seed: int = 11,
) -> WorldSpec:
    return WorldSpec(instruments, mics, FIRST, last, seed, events=events, faults=faults or FaultSpec(), ticks=ticks)


def rows_of(delivery: Delivery) -> list[Row]:
    """Rows of the one body as texts."""
    (body,) = delivery.bodies
    return list(csv.DictReader(io.StringIO(body.content.decode("utf-8"))))


def instant(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text.replace("Z", "+00:00"))
