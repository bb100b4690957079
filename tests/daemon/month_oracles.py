"""What must be true after a month, each said from the files and from what the servers heard: never by the product's own reading.

`faults_of` gives every sentence that is broken. Not here: the twin that never was disturbed (`month_twin`).
"""

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from month_facts import OVER, Facts, Told
from month_plan import KILLED, LATE, POWERLESS, Fault
from month_run import Month

ENDS = frozenset({"sent", "rejected", "halted", "skipped"})
CUT = re.compile(
    r"run ended while sending; (\d+) of (\d+) orders were never sent, (\d+) never arrived, (\d+) reached the broker"
)
CALM = frozenset({*Fault} - {*LATE, *POWERLESS})  # a run that dies is started once more


def faults_of(month: Month) -> list[str]:
    """Everything that is not as it must be."""
    facts = month.facts
    return [
        *sessions_faults(month),
        *batch_faults(facts),
        *order_faults(facts),
        *run_faults(month),
        *alert_faults(month),
    ]


def sessions_faults(month: Month) -> list[str]:
    """Each session has one end; a skipped one says why; a day without a session has nothing."""
    planned = {row.night.session.isoformat() for row in month.rows}
    told = month.facts.ledger("session_end")
    ends = Counter(entry.key for entry in told)
    last = month.rows[-1].night
    still = {last.session.isoformat()} if last.fault in (Fault.TWICE, Fault.OFF) else set()
    found = [f"{day}: no end" for day in sorted(planned - set(ends) - still)]  # the next session would have ended it
    found += [f"{day}: {count} ends" for day, count in sorted(ends.items()) if count != 1]
    found += [f"{day}: an end, and no session" for day in sorted(set(ends) - planned)]
    for entry in told:
        state, reason = str(entry.body["state"]), str(entry.body["reason"])
        found += [f"{entry.key}: state {state}"] if state not in ENDS else []
        found += [f"{entry.key}: skipped without a reason"] if state == "skipped" and not reason.strip() else []
    for row in month.rows:
        state = next((entry.body["state"] for entry in told if entry.key == row.night.session.isoformat()), "none")
        late = row.night.fault in LATE
        found += [f"{row.night.session}: {row.night.fault} and still {state}"] if late and state != "skipped" else []
        calm = row.night.fault in CALM
        found += [f"{row.night.session}: {row.night.fault} and it was skipped"] if calm and state == "skipped" else []
    return found


def batch_faults(facts: Facts) -> list[str]:
    """At most one frozen batch per session."""
    count = Counter(entry.key.split("/")[1] for entry in facts.ledger("batch_frozen"))
    return [f"{day}: {n} frozen batches" for day, n in sorted(count.items()) if n > 1]


def order_faults(facts: Facts) -> list[str]:
    """What the broker took is what approved batches held, but for what the session's end says was never sent; none twice.

    An order is handed over again only after the broker was asked for it and did not know it.
    """
    ends, broker = facts.ends(), facts.at_broker()
    intents = {entry.key: entry.body for entry in facts.ledger("order_intent")}
    found = [f"order {name}: at the broker without an intent" for name in sorted(set(broker) - set(intents))]
    sending = Counter(e.key.rpartition("/")[0] for e in facts.ledger("order_event") if e.body["state"] == "SENDING")
    asked = Counter(e.key.rpartition("/")[0] for e in facts.ledger("order_lookup") if e.body["answer"] == "not known")
    found += [f"order {name}: handed over {n} times" for name, n in sorted(sending.items()) if n > 1 + asked[name]]
    for name in sorted(set(broker) & set(intents)):
        said, took = intents[name], broker[name]
        found += [
            f"order {name}: {part} {took[part]} at the broker, {said[part]} in the intent"
            for part in ("instrument", "side", "quantity", "limit_price", "session")
            if took.get(part) != said.get(part)
        ]
    newest = {e.key.rpartition("/")[0]: str(e.body["state"]) for e in facts.ledger("order_event")}
    lost = {name for name, state in newest.items() if state == "EXPIRED"} - set(broker)  # settled: it never arrived
    for batch in facts.ledger("batch_frozen"):
        found += _of_batch(batch, str(batch.key.split("/")[1]), ends, set(broker), lost)
    return found


def _of_batch(
    batch: Told, day: str, ends: Mapping[str, Mapping[str, Any]], taken: set[str], lost: set[str]
) -> list[str]:
    names = {str(order["client_order_id"]) for order in batch.body["orders"]}
    there, gone, end = names & taken, names & lost, ends.get(day, {})
    state, cut = str(end.get("state")), CUT.search(str(end.get("reason", "")))
    if state in ("rejected", "halted") or state == "skipped":
        return [f"{day}: {state}, and {len(there)} orders at the broker"] if there else []
    left = len(names) - len(there) - len(gone)
    true = (left, len(names), len(gone), len(there))
    told = tuple(map(int, cut.groups())) if cut else (0, len(names), len(gone), len(there))
    return [] if told == true else [f"{day}: never sent, all, never arrived, at the broker: {true}, told as {told}"]


def run_faults(month: Month) -> list[str]:
    """No run is in progress at the end; a session has one run, with two daemons at most two; no run of a day without a session.

    A run whose process died has one more, which repeats it; no other run has.
    """
    planned = {row.night.session.isoformat() for row in month.rows}
    runs = month.facts.runs()
    found = [f"run {run.run_id} of {run.session or run.job}: {run.status}" for run in runs if run.status not in OVER]
    two = {row.night.session.isoformat() for row in month.rows if row.night.fault is Fault.TWO}
    daily = Counter(run.session for run in runs if run.job == "daily" and not run.parent)
    found += _second_faults(month)
    found += [f"{day}: {n} runs" for day, n in sorted(daily.items()) if n > 1 + (day in two)]  # each daemon's sensor
    found += [f"{run.session}: a run, and no session" for run in runs if run.session and run.session not in planned]
    return found


def _second_faults(month: Month) -> list[str]:
    runs = {run.run_id: run for run in month.facts.runs()}
    died = {row.night.session.isoformat() for row in month.rows if row.night.fault in KILLED and row.fired}
    second = Counter(run.parent for run in runs.values() if run.parent)
    found = [f"{runs[name].session}: run {name} was repeated {n} times" for name, n in second.items() if n > 1]
    for name in second:
        first = runs[name]
        found += [f"{first.session}: a repeated run is {first.status}"] if first.status != "FAILURE" else []
        found += [f"{first.session}: a second run, and none died"] if first.session not in died else []
        found += [f"{first.session}: a second run was repeated"] if first.parent else []
    repeated = {runs[name].session for name in second}
    return found + [f"{day}: its run died, and there is no second one" for day in sorted(died - repeated)]


def alert_faults(month: Month) -> list[str]:
    """Every recorded alert was acknowledged once, nothing else was told, and repeats come only where an answer got lost."""
    recorded = {entry.key: entry.body for entry in month.facts.ledger("alert")}
    sent = Counter(key for entry in month.facts.ledger("alert_sent") for key in entry.body["alerts"])
    found = [f"alert {key}: acknowledged {sent[key]} times" for key in sorted(recorded) if sent[key] != 1]
    heard = Counter({key: heard_of(key, body, month) for key, body in recorded.items()})
    lost = lost_answers(month)
    found += [f"alert {key}: arrived {n} times" for key, n in sorted(heard.items()) if n == 0 or n > 1 + lost]
    told = [*month.posts, *(f"{name}\n{text}" for name, text in month.mails)]
    found += [
        f"told, and no alert: {one[:80]}" for one in told if not any(_is_of(one, *pair) for pair in recorded.items())
    ]
    two = any(row.night.fault is Fault.TWO for row in month.rows)
    if two != any(body["code"] == "SECOND_DAEMON" for body in recorded.values()):
        found += [f"two daemons at once: {two}, and that was told otherwise"]
    more = sum(max(n - 1, 0) for n in heard.values())
    found += [f"{more} repeats, and {lost} answers that were lost"] if more > lost else []
    ends = month.facts.ends()
    beats = Counter(day for beat in month.beats for day in ends if f"'{day}'" in beat)
    found += [f"{day}: the watcher heard {n} times" for day, n in sorted(beats.items()) if n > 1]
    return found


def heard_of(key: str, body: Mapping[str, Any], month: Month) -> int:
    """How often the servers took an alert."""
    return sum(_is_of(one, key, body) for one in (*month.posts, *(f"{name}\n{text}" for name, text in month.mails)))


def _is_of(told: str, key: str, body: Mapping[str, Any]) -> bool:
    """By its Message-ID, or by its line of severity, code, subject and session, in a digest too."""
    line = f"{body['severity']} {body['code']} {body['subject']} {body['session']}"
    return (
        hashlib.sha256(key.encode()).hexdigest()[:32] in told
        or f"[marketbot] {line}"[:140] in told
        or f"{line}:" in told
    )


def lost_answers(month: Month) -> int:
    """Requests that a server took without an answer: what is told once more then is the documented case."""
    return sum(row.lost for row in month.rows) + (month.mails_taken - len(month.mails))


def summary(month: Month) -> Sequence[str]:
    """Numbers of a month for people."""
    facts, runs = month.facts, month.facts.runs()
    ends = Counter(str(body["state"]) for body in facts.ends().values())
    jobs = Counter(f"{run.job} {run.status}" for run in runs)
    alerts = facts.ledger("alert")
    codes = Counter(str(entry.body["code"]) for entry in alerts)
    per = Counter(run.session for run in runs if run.job == "daily")
    return (
        f"ends: {dict(sorted(ends.items()))}",
        f"runs: {dict(sorted(jobs.items()))}, most of one session {max(per.values(), default=0)}",
        f"ledger entries {len(facts.ledger(*KINDS))} of {', '.join(KINDS)}; orders at the broker {len(facts.at_broker())}, "
        f"executions {len(facts.executions())}",
        f"alerts {len(alerts)}: {dict(sorted(codes.items()))}; failed attempts {len(facts.ledger('alert_failed'))}",
        f"webhook: {month.post_requests} requests, {len(month.posts)} taken; mails {len(month.mails)}; "
        f"watcher {len(month.beats)}",
        f"starts: {month.starts}; wall {month.wall:.0f} s",
    )


KINDS = (
    "session_cutoff",
    "batch_frozen",
    "order_intent",
    "order_event",
    "session_end",
    "run_failed",
    "alert",
    "alert_sent",
)
