"""The whole decision in the backtest's loop, as the platform runs it: python benchmarks/backtest_decision.py LISTINGS DAYS [FIRST]

LISTINGS: 0 for the standard sample world, else so many. Every session asks what was known, rolls the book, forecasts, optimizes,
plans lots, judges all controls and lets the paper broker's rules fill: `research.loop.run_days`, nothing left out. The first
WARM_DAYS sessions are not on the clock (what is compiled, the first fit). Says: seconds of each part per session, peak memory.
"""

import datetime as dt
import resource
import sys
import time

from measure import CHECKOUT, say

WARM_DAYS = 3
FIRST = "2019-05-15"


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Builds the world and its panel, then plays the sessions."""
    from marketbot_assets.backtest import tables_until
    from marketbot_assets.research.history import History
    from marketbot_assets.research.loop import opening_account, run_days
    from marketbot_resources.calendars import computed_cutoff, decision_sessions
    from marketbot_resources.mandate import parse_mandate
    from marketbot_resources.wiring import Ports

    size, count = int(sys.argv[1]), int(sys.argv[2]) + WARM_DAYS
    first = dt.date.fromisoformat(sys.argv[3] if len(sys.argv) > 3 else FIRST)
    mandate = parse_mandate((CHECKOUT / "mandate.yaml").read_text(encoding="utf-8"))
    days = decision_sessions("XNYS", first, first + dt.timedelta(days=2 * count + 10))[:count]
    at = [time.process_time()]
    ports = Ports(size=size or None)
    tables = tables_until(ports, mandate, computed_cutoff(mandate.schedule, days[-1]), lambda body: "")
    at.append(time.process_time())
    history = History(tables, mandate, days[0], days[-1])
    account = opening_account(mandate, history)
    at.append(time.process_time())
    before, walls, cpus, orders, held, nav = (time.process_time(), time.perf_counter()), [], [], 0, 0, 0.0
    for day in run_days(history, mandate, account):
        now = (time.process_time(), time.perf_counter())
        cpus.append(now[0] - before[0])
        walls.append(now[1] - before[1])
        before, held, nav = now, len(day.rolled.valuation.holdings.shares), day.state.nav
        orders += len(day.decision.batch)
    timed = slice(WARM_DAYS, None)
    say(
        {
            "cpu": sum(cpus[timed]),
            "wall": sum(walls[timed]),
            "days": len(cpus[timed]),
            "warm": sum(cpus[:WARM_DAYS]),
            "world": at[1] - at[0],
            "panel": at[2] - at[1],
            "listings": len(tables.instruments),
            "orders": orders,
            "held": held,
            "nav": nav,
            "peak": peak_mib(),
        }
    )


if __name__ == "__main__":
    main()
