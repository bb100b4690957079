"""Lives through a month, judges it and prints how it went (`tools/month.py`)."""

import time
from collections import Counter
from pathlib import Path

from month_oracles import faults_of, summary
from month_plan import SCRIPT, Fault, script
from month_run import Driver, Month, load

HEAD = "| session | what happened | runs | end | orders | alerts | s |"
REASON_MAX = 90


def say(text: str) -> None:
    """A line at once."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def lived(folder: Path, sessions: int, seed: int, speed: float, pace: float, minutes_max: float, begin: int = 0) -> int:
    """Runs, judges, prints; 0 when nothing was found. `begin`: the place in the script of the first session, which is calm."""
    nights = script(sessions, seed, SCRIPT[begin:] + SCRIPT[:begin])
    return judged(Driver(folder, nights, speed=speed, pace=pace, say=say, minutes_max=minutes_max).run())


def again(folder: Path) -> int:
    """Judges a month that was lived through before."""
    return judged(load(folder))


def judged(month: Month) -> int:
    """Prints what a month was and what is wrong with it."""
    print("\n".join(table(month)))
    for line in summary(month):
        print(line)
    for name, at_end in month.end.items():
        begun = month.begin.get(name)
        before = f"{begun.pss // 1024} MB" if begun else "-"
        print(f"{name}: {at_end.cpu:.0f} CPU s, memory {before} at the start, {at_end.pss // 1024} MB at the end")
    found = faults_of(month)
    print("\n".join(found) if found else "every statement holds")
    return 1 if found else 0


def table(month: Month) -> list[str]:
    """A row per session, as a page shows it."""
    ends, runs = month.facts.ends(), Counter((run.session, run.status.lower()) for run in month.facts.runs())
    orders = Counter(str(order["session"]) for order in month.facts.at_broker().values())
    alerts = Counter(str(entry.body["session"]) for entry in month.facts.ledger("alert"))
    found = [HEAD, "|---" * 7 + "|"]
    for row in month.rows:
        day, fault = row.night.session.isoformat(), row.night.fault
        end = ends.get(day, {"state": "open", "reason": ""})
        why = f": {str(end['reason'])[:REASON_MAX]}" if end["state"] != "sent" or "never" in str(end["reason"]) else ""
        hit = f"{fault} (not hit)" if fault is not Fault.NOTHING and not row.fired else str(fault)
        told = ", ".join(f"{n} {status}" for (session, status), n in sorted(runs.items()) if session == day)
        cells = (day, hit, told or "none", f"{end['state']}{why}", orders[day], alerts[day], round(row.wall))
        found.append(f"| {' | '.join(map(str, cells))} |")
    return found
