"""The whole decision in the backtest's loop, as the platform runs it: research.loop.run_days, nothing left out.

python benchmarks/backtest_decision.py LISTINGS DAYS [FIRST]    the sample world; LISTINGS 0: as it stands, else so many
python benchmarks/backtest_decision.py grown LISTINGS DAYS      the synthetic world from 1999 on; as many sessions as it has at most

Every session asks what was known, rolls the book, forecasts, optimizes, plans lots, judges all controls and lets the paper broker's
rules fill. The first WARM_DAYS sessions are not on the clock (what is compiled, the first fit). Says: seconds of each part, of each
year's session, peak memory. The synthetic world's sessions begin in 1997 and those of decisions in 1998, as the calendars do; a
year of history goes before the first session on the clock.
"""

import datetime as dt
import resource
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from measure import CHECKOUT, say

if TYPE_CHECKING:
    from marketbot_resources.mandate import Mandate
    from marketbot_resources.wiring import Ports

WARM_DAYS, YEAR = 3, 252
FIRST = "2019-05-15"
BEGIN, FIRST_DECISION, END = dt.date(1997, 1, 1), dt.date(1999, 1, 4), dt.date(2026, 6, 30)
MICS, SEED = ("XNYS", "XNAS", "XLON", "XTKS"), 5
ALL_ROWS = 10**9  # a provider that keeps all years makes them in one pass


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def sample(listings: int) -> "tuple[Ports, Mandate]":
    """The sample world and the default mandate."""
    from marketbot_resources.mandate import parse_mandate
    from marketbot_resources.wiring import Ports

    return Ports(size=listings or None), parse_mandate((CHECKOUT / "mandate.yaml").read_text(encoding="utf-8"))


def grown(listings: int, last: dt.date) -> "tuple[Ports, Mandate]":
    """A synthetic world of two dollar exchanges, London and Tokyo, and the default mandate over all that it lists.

    Dividends are its only events: a provider tells a listing's newest description alone, and one that changed (a split changes the
    shares outstanding) is known from that day on.
    """
    import yaml

    from marketbot_resources.mandate import parse_mandate
    from marketbot_resources.provider import FundamentalsProvider, MacroProvider, MarketProvider
    from marketbot_resources.synthetic.provider import SyntheticWorld
    from marketbot_resources.synthetic.spec import CASH_DIVIDEND, EventSpec, WorldSpec
    from marketbot_resources.wiring import Ports

    world = SyntheticWorld(
        WorldSpec(
            listings, MICS, BEGIN, last, SEED, events=EventSpec(kinds=(CASH_DIVIDEND,), young=0.0, headlines=0.0)
        ),
        ALL_ROWS,
    )

    class WorldPorts(Ports):
        @property
        def market(self) -> MarketProvider:
            return world.market

        @property
        def macro(self) -> MacroProvider:
            return world.macro

        @property
        def fundamentals(self) -> FundamentalsProvider:
            return world.fundamentals

    plain = yaml.safe_load((CHECKOUT / "mandate.yaml").read_text(encoding="utf-8"))
    plain["universe"]["listings"] = dict.fromkeys(MICS, "all")
    return WorldPorts(), parse_mandate(yaml.safe_dump(plain))


def by_year(cpus: list[float]) -> list[float]:
    """Mean CPU milliseconds of a session in each year of YEAR sessions; less than half a year belongs to the one before."""
    timed = cpus[WARM_DAYS:]
    ends = list(range(YEAR, len(timed), YEAR))
    ends = ends[:-1] if ends and len(timed) - ends[-1] < YEAR // 2 else ends
    begins = [0, *ends]
    return [1e3 * sum(timed[a:b]) / (b - a) for a, b in zip(begins, [*ends, len(timed)], strict=True) if b > a]


def played(ports: "Ports", mandate: "Mandate", days: tuple[dt.date, ...]) -> Mapping[str, object]:
    """Figures of one run over the sessions."""
    from marketbot_assets.backtest import tables_until
    from marketbot_assets.research.history import History
    from marketbot_assets.research.loop import opening_account, run_days
    from marketbot_resources.calendars import computed_cutoff

    at = [time.process_time()]
    tables = tables_until(ports, mandate, computed_cutoff(mandate.schedule, days[-1]), lambda body: "")
    at.append(time.process_time())
    history = History(tables, mandate, days[0], days[-1])
    account = opening_account(mandate, history)
    at.append(time.process_time())
    laid_out, before = peak_mib(), (time.process_time(), time.perf_counter())
    walls: list[float] = []
    cpus: list[float] = []
    orders, held, nav = 0, 0, 0.0
    for day in run_days(history, mandate, account):
        now = (time.process_time(), time.perf_counter())
        cpus.append(now[0] - before[0])
        walls.append(now[1] - before[1])
        before, held, nav = now, len(day.rolled.valuation.holdings.shares), day.state.nav
        orders += len(day.decision.batch)
    timed = slice(WARM_DAYS, None)
    return {
        "cpu": sum(cpus[timed]),
        "wall": sum(walls[timed]),
        "days": len(cpus[timed]),
        "warm": sum(cpus[:WARM_DAYS]),
        "ms by year": by_year(cpus),
        "world": at[1] - at[0],
        "panel": at[2] - at[1],
        "bars": len(tables.prices),
        "listings": len(tables.instruments),
        "orders": orders,
        "held": held,
        "nav": nav,
        "laid out": laid_out,
        "peak": peak_mib(),
    }


def main() -> None:
    """Builds the world and its panel, then plays the sessions."""
    from marketbot_resources.calendars import decision_sessions

    words = sys.argv[1:]
    if words[0] == "grown":
        days = decision_sessions("XNYS", FIRST_DECISION, END)[: int(words[2]) + WARM_DAYS]
        ports, mandate = grown(int(words[1]), days[-1])
    else:
        count = int(words[1]) + WARM_DAYS
        first = dt.date.fromisoformat(words[2] if len(words) > 2 else FIRST)
        days = decision_sessions("XNYS", first, first + dt.timedelta(days=2 * count + 10))[:count]
        ports, mandate = sample(int(words[0]))
    say(played(ports, mandate, days))


if __name__ == "__main__":
    main()
