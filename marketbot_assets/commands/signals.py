"""`marketbot signals`: what a session tells readers outside, and publishing it once more. Nothing is decided here."""

from collections.abc import Sequence

from marketbot_assets.commands.home import existing_lake
from marketbot_assets.signals import publish, signals_of
from marketbot_resources import settings
from marketbot_resources.errors import UsageError
from marketbot_resources.signal_publisher import HEADER, KEY, Published

View = dict[str, object]
SHOWN_MAX = 20


def signals_now(session: str | None, publishes: bool) -> View:
    """The signals of a session, by default the newest that was decided and has ended; `publishes`: they are put into the table.

    `fine`: nothing went wrong. Raises UsageError where there is no such session, or no table to publish to.
    """
    lake = existing_lake()
    ended = {entry.key for entry in lake.ledger.entries("session_end")}
    decided = sorted(entry.key for entry in lake.ledger.entries("decision") if entry.key in ended)
    if session is None and not decided:
        raise UsageError("signals: expected a session that was decided and has ended, found none; run one first")
    part = session or decided[-1]
    signals = signals_of(lake, part)
    done = publish(lake, part) if publishes else Published()
    return {
        "session": part,
        "table": settings.signals_table(),
        "signals": signals,
        "published": {"put": done.put, "newer": done.newer} if publishes else None,
        "problem": done.problem,
        "fine": not done.problem,
    }


def signal_lines(view: View) -> list[str]:
    """The same for people: the largest targets, and what became of publishing."""
    signals = view["signals"]
    assert isinstance(signals, Sequence)
    header = next(one for one in signals if one[KEY] == HEADER)
    lines = [f"session   {view['session']}: {header['state']}, verdict {header['verdict']}"]
    lines += ["SIMULATED prices"] if header["synthetic"] else []
    lines += [f"model     {header['model']}", f"origin    {header['lineage_root']}"]
    told = [one for one in signals if one[KEY] != HEADER]
    told.sort(key=lambda one: (-(one["weight_target"] or 0.0), one[KEY]))
    for one in told[:SHOWN_MAX]:
        score, weight = one["score"], one["weight_target"]
        words = (
            one["ticker"] or one[KEY],
            "no score" if score is None else f"score {score:+.2f}",
            "no target" if weight is None else f"target {weight:.4f}",
        )
        lines.append("{:<10}{:<14}{}".format(*words))
    lines += [f"{len(told) - SHOWN_MAX} more"] if len(told) > SHOWN_MAX else []
    done = view["published"]
    if isinstance(done, dict):
        lines.append(f"table     {view['table']}: {done['put']} put, {done['newer']} left alone for a later session")
    elif view["table"] is None:
        lines.append("no table  set MARKETBOT_SIGNALS_TABLE to publish them after each session")
    return lines + ([f"NOT PUBLISHED: {view['problem']}"] if view["problem"] else [])
