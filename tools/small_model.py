"""What a real language model does to the platform: sessions of the sample world with a small, poor one asked in each, as a page.

Usage: python tools/small_model.py [--sessions 20] [--last 2018-12-24] [--decoding free --decoding bounded] [--minutes 600]
The model is that of `make services`, the home is new and removed afterwards; graph, child process, gate and budget are those of the
product. Each decoding is one model of the chain, in this order.
"""

import argparse
import datetime as dt
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "llm")]

from marketbot_resources.calendars import decision_sessions  # noqa: E402
from marketbot_resources.mandate import parse_mandate  # noqa: E402

if TYPE_CHECKING:
    import pandas as pd

    from marketbot_resources.store.lake import Lake

LAST = dt.date(2018, 12, 24)
SAID_MAX = 110
WEIGHT = ("llm_weight", "llm_weight_reason", "llm_version")
HEAD = """# A small real language model in the loop

SmolLM2-135M-Instruct (98 MB, 4 bits a weight) in llama.cpp on 127.0.0.1, called as any other model: litellm in a child process, the gate, one repair try, then the next model of the chain, then the rules. It is far too small for its task, and so it is a good adversary: what is shown here is how the platform stands a model that is wrong nearly always, not what views are worth.

Printed by the command below as the run gave it; `make services` brings the model.

```
{command}
```

- *free*: the server drops the JSON schema of the request, the model says what it says.
- *constrained*: llama.cpp's grammar keeps the answer within the schema; lists have no end there, and the model seldom finds one.
- *bounded*: as constrained, with short bounds on lists, so that an answer ends and the deeper layers of the gate have work.
"""  # noqa: E501


@dataclass(frozen=True, slots=True)
class Seen:
    """One session: how it ended, wall seconds, its tables of tries, views and forecasts, characters of the question."""

    session: dt.date
    state: str
    verdict: str
    seconds: float
    answers: "pd.DataFrame"
    views: "pd.DataFrame"
    forecasts: "pd.DataFrame"
    told: dict[str, str]


def run(
    sessions: int, last: dt.date, decodings: Sequence[str], home: Path, minutes: float
) -> tuple[list[Seen], dict[str, list[float]]]:
    """(what each session left, seconds of each call by model). No session begins after so many minutes."""
    from model_server import KNOWLEDGE_CUTOFF, ModelServer
    from small_world import small_mandate

    from marketbot_assets.commands.home import prepare_environment, writable_home

    with ExitStack() as open_servers:
        servers = [open_servers.enter_context(ModelServer(name, warm=True)) for name in decodings]
        text = small_mandate([(server.address, server.name) for server in servers], KNOWLEDGE_CUTOFF)
        (home / "mandate.yaml").write_text(text, encoding="utf-8")
        os.environ |= {"MARKETBOT_HOME": str(home / "home"), "MARKETBOT_MANDATE": str(home / "mandate.yaml")}
        prepare_environment()
        writable_home()
        calendar = parse_mandate(text).calendar
        days = decision_sessions(calendar, calendar.go_live, last)[-sessions:]
        until = time.monotonic() + 60.0 * minutes
        seen = [_session(day) for day in days if time.monotonic() < until]
        return seen, {server.name: server.seconds for server in servers}


def _session(day: dt.date) -> Seen:
    from marketbot_assets.commands.home import existing_lake
    from marketbot_assets.commands.sessions import run_session

    begun = time.monotonic()
    result = run_session(day)
    spent, lake, part = time.monotonic() - begun, existing_lake(), day.isoformat()
    tables = [_table(lake, asset, part) for asset in ("llm_answers", "llm_context", "forecasts")]
    print(f"{part} {result.state} {result.verdict} {spent:.0f} s", file=sys.stderr, flush=True)
    return Seen(day, result.state, result.verdict, spent, *tables, _told(lake, part))


def _table(lake: "Lake", asset: str, part: str) -> "pd.DataFrame":
    row = lake.index.newest(asset, part)
    assert row is not None, f"{asset} of {part} is not there: the session failed before the models were asked"
    return lake.load(row)


def _told(lake: "Lake", part: str) -> dict[str, str]:
    """What the forecasts' manifest says of the views' weight."""
    row = lake.index.newest("forecasts", part)
    manifest = lake.manifest(row) if row is not None else {}
    return {name: str(manifest[name]) for name in WEIGHT if name in manifest}


def summary(seen: Sequence[Seen]) -> Iterator[str]:
    """What the run was, and who served."""
    ends = Counter(f"{one.state}, {one.verdict}" for one in seen)
    sources = Counter(str(one.views["source"].iloc[0]) for one in seen)
    moved = [float(one.forecasts["llm_tilt"].abs().max()) for one in seen]
    marked = sum(bool(one.views["contaminated"].any()) for one in seen)
    yield f"- sessions {seen[0].session} .. {seen[-1].session}: {len(seen)}; ends: {counted(ends)}"
    yield f"- views of: {counted(sources)}: the rules stood in on {share(sources['fallback'], len(seen))} of the sessions"
    yield f"- tries: {sum(len(one.answers) for one in seen)}, {sum(len(one.answers) for one in seen) / len(seen):.1f} a session"
    yield f"- largest tilt of any expected return: {max(moved):g} per year; sessions whose views are marked contaminated: {marked}"
    for key in (key for key in WEIGHT if any(key in one.told for one in seen)):
        yield f"- `{key}`: {counted(Counter(one.told.get(key, '-') for one in seen))}"
    cost = sum(float(value) for one in seen for value in one.answers["cost_usd"])
    yield f"- cost by the mandate's prices: {cost:.6f} US dollars of a budget of nothing"


def by_model(seen: Sequence[Seen], seconds: dict[str, list[float]]) -> Iterator[str]:
    """Rates of each model: first tries and repair tries apart."""
    import pandas as pd

    tries = pd.concat([one.answers for one in seen], ignore_index=True)
    ends = "accepted | refused | failed"
    yield f"| model | first tries | {ends} | repair tries | {ends} | tokens in / out | seconds a call |"
    yield f"|{'---|' * 11}"
    for model, own in tries.groupby("model", sort=True):
        cells = [str(model)]
        for repair in (False, True):
            some = own[own["repair"] == repair]
            ends = Counter(str(outcome) for outcome in some["outcome"])
            cells += [str(len(some)), *(share(ends[word], len(some)) for word in ("ACCEPTED", "REFUSED", "FAILED"))]
        answered = own[own["answer_sha256"] != ""]
        tokens = [answered[name].mean() if len(answered) else 0.0 for name in ("tokens_in", "tokens_out")]
        took = sorted(seconds.get(str(model), []))
        middle = f"{median(took):.0f} (at most {took[-1]:.0f})" if took else "-"
        yield f"| {' | '.join([*cells, f'{tokens[0]:.0f} / {tokens[1]:.0f}', middle])} |"


def layers(seen: Sequence[Seen]) -> Iterator[str]:
    """Which layer of the gate refused, or which kind of failure it was, how often, with one example."""
    found: Counter[tuple[str, str, str]] = Counter()
    example: dict[tuple[str, str, str], str] = {}
    for one in seen:
        columns = (one.answers[name] for name in ("model", "outcome", "layer", "reason"))
        for model, outcome, layer, reason in zip(*columns, strict=True):
            if outcome != "ACCEPTED":
                key = (str(model), str(outcome), str(layer))
                found[key] += 1
                example.setdefault(key, str(reason))
    yield "| model | outcome | layer or kind | tries | first reason |"
    yield "|---|---|---|---|---|"
    for key, count in sorted(found.items()):
        reason = " ".join(example[key].replace("|", "/").split())
        yield f"| {' | '.join(key)} | {count} | {reason[:SAID_MAX]} |"


def accepted(seen: Sequence[Seen]) -> Iterator[str]:
    """What accepted answers said."""
    rows = [one for one in seen if str(one.views["source"].iloc[0]) != "fallback"]
    if not rows:
        yield "No answer was accepted."
        return
    yield "| session | source | themes | sentiments | risk-on | scores |"
    yield "|---|---|---|---|---|---|"
    for one in rows:
        kinds = Counter(str(kind) for kind in one.views["kind"])
        said = one.views[one.views["kind"] == "SENTIMENT"]
        scores = ", ".join(
            f"{subject} {score:+.2f}" for subject, score in zip(said["subject"], said["score"], strict=True)
        )
        numbers = [str(kinds[kind]) for kind in ("THEME", "SENTIMENT", "RISK_ON")]
        yield f"| {one.session} | {one.views['source'].iloc[0]} | {' | '.join(numbers)} | {scores[:SAID_MAX] or '-'} |"


def share(part: int, whole: int) -> str:
    """A count with its share."""
    return f"{part} ({part / whole:.0%})" if whole else "0"


def counted(counts: Counter[str]) -> str:
    """Words with their counts, most frequent first."""
    return ", ".join(f"{word} {count}" for word, count in sorted(counts.items(), key=lambda row: (-row[1], row[0])))


def main(words: Sequence[str]) -> None:
    """Prints the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--last", type=dt.date.fromisoformat, default=LAST)
    parser.add_argument("--minutes", type=float, default=600.0)
    parser.add_argument("--decoding", action="append", choices=("free", "constrained", "bounded"))
    asked = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as folder:
        seen, seconds = run(
            asked.sessions, asked.last, asked.decoding or ["free", "bounded"], Path(folder), asked.minutes
        )
    parts = [
        HEAD.format(command=" ".join(["PYTHONPATH=. .venv/bin/python tools/small_model.py", *words])),
        "\n".join(summary(seen)),
        "\n".join(["### Acceptance and repair", "", *by_model(seen, seconds)]),
        "\n".join(["### Who refused", "", *layers(seen)]),
        "\n".join(["### What was accepted", "", *accepted(seen)]),
    ]
    print("\n\n".join(part.strip() for part in parts))


if __name__ == "__main__":
    main(sys.argv[1:])
