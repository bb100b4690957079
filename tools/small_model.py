"""What a real language model does to the platform: sessions of the sample world with a small, poor one asked in each, as a page.

Usage: python tools/small_model.py [--sessions 20] [--last 2018-12-24] [--decoding free --decoding bounded] [--minutes 600]
The model is that of `make services`, the homes are new and removed afterwards; graph, child process, gate and budget are those of
the product. Each decoding is one model of the chain, in this order. A second home runs the same sessions under the same mandate
without a model: the run ends with an error when any decision differs. Then `marketbot replay`, the server being gone.
"""

import argparse
import datetime as dt
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

ROOT = Path(__file__).parents[1]
TESTS = ROOT / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "llm")]
for _threads in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(_threads, "1")  # as every command sets them: equal decisions, bit for bit

from marketbot_resources.calendars import decision_sessions  # noqa: E402
from marketbot_resources.mandate import parse_mandate  # noqa: E402

if TYPE_CHECKING:
    import pandas as pd

    from marketbot_resources.store.lake import Lake

LAST = dt.date(2018, 12, 24)
SAID_MAX = 110
WEIGHT = ("llm_weight", "llm_weight_reason", "llm_version")
RECORDS = ("llm_reserved", "llm_call", "llm_incident")
REPLAYED_SECONDS_MAX, BACKFILL_SECONDS_MAX = 900, 1800
# What decides and what came of it; a hash of any other input would show in none of their columns.
DECISIONS = ("target_portfolio", "order_plan", "orders", "submissions", "fills", "positions", "book_state")
HEAD = """# A small real language model in the loop

SmolLM2-135M-Instruct (98 MB, 4 bits a weight) in llama.cpp on 127.0.0.1, called as any other model: litellm in a child process, the gate, one repair try, then the next model of the chain, then the rules. It is far too small for its task, and so it is a good adversary: what is shown here is how the platform stands a model that is wrong nearly always, not what views are worth.

Printed by the command below as the run gave it; `make services` brings the model.

```
{command}
```

- *free*: the server drops the JSON schema of the request, the model says what it says.
- *constrained*: llama.cpp's grammar keeps the answer within the schema; lists have no end there, and the model seldom finds one.
- *bounded*: as constrained, with short bounds on lists, so that an answer ends and the deeper layers of the gate have work.

"Accepted alone" is a view that the gate would accept as the only one of an answer: it is well formed and rests on something, which does not make it right.
"""  # noqa: E501


@dataclass(frozen=True, slots=True)
class Seen:
    """One session: how it ended, wall seconds, tables of tries, views, forecasts and pack, hashes of all tables, what was told."""

    session: dt.date
    state: str
    verdict: str
    seconds: float
    answers: "pd.DataFrame"
    views: "pd.DataFrame"
    forecasts: "pd.DataFrame"
    pack: "pd.DataFrame"
    content: dict[str, str]
    told: dict[str, str]

    @property
    def by_rules(self) -> bool:
        """Whether no answer was accepted."""
        return str(self.views["source"].iloc[0]) == "fallback"


@dataclass(frozen=True, slots=True)
class Ran:
    """What the sessions left. `seconds` of each call by model; `records`: entries of the ledger by kind; `without`: hashes of the
    tables of the sessions without a model; `controls` that answered otherwise; `replayed`: (session, exit code, last line).
    """

    seen: list[Seen]
    seconds: dict[str, list[float]]
    records: Counter[str]
    without: dict[str, dict[str, str]]
    controls: Counter[str]
    replayed: list[tuple[str, int, str]]


def run(sessions: int, last: dt.date, decodings: Sequence[str], folder: Path, minutes: float, replayed: int) -> Ran:
    """Runs the sessions in two homes, with the models and without. No session begins after so many minutes."""
    from model_server import KNOWLEDGE_CUTOFF, ModelServer
    from small_world import small_mandate

    from marketbot_assets.commands.home import existing_lake, prepare_environment, writable_home

    with ExitStack() as open_servers:
        servers = [open_servers.enter_context(ModelServer(name, warm=True)) for name in decodings]
        chain = [(server.address, server.name) for server in servers]
        here = environment(folder / "with", small_mandate(chain, KNOWLEDGE_CUTOFF))
        there = environment(folder / "without", small_mandate([], KNOWLEDGE_CUTOFF))
        os.environ |= here
        prepare_environment()
        writable_home()
        calendar = parse_mandate(Path(here["MARKETBOT_MANDATE"]).read_text(encoding="utf-8")).calendar
        days = decision_sessions(calendar, calendar.go_live, last)[-sessions:]
        until = time.monotonic() + 60.0 * minutes
        with command(["backfill", str(days[0]), str(days[-1])], there) as other:
            seen = [_session(day) for day in days if time.monotonic() < until]
            code, said = finished(other, BACKFILL_SECONDS_MAX)
            assert code == 0, f"the sessions without a model ended with {code}: {said[-500:]}"
        seconds = {server.name: server.seconds for server in servers}
    lake, plain = existing_lake(), lake_at(there)
    without = {str(one.session): contents(plain, str(one.session)) for one in seen}
    controls = Counter(name for one in seen for name in differing(lake, plain, str(one.session)))
    records = Counter(kind for kind in RECORDS for _ in lake.ledger.entries(kind))
    return Ran(seen, seconds, records, without, controls, [replay(day, here) for day in chosen(seen, replayed)])


def environment(folder: Path, mandate: str) -> dict[str, str]:
    """The variables of a home of its own, with its mandate written."""
    folder.mkdir()
    (folder / "mandate.yaml").write_text(mandate, encoding="utf-8")
    return {"MARKETBOT_HOME": str(folder / "home"), "MARKETBOT_MANDATE": str(folder / "mandate.yaml")}


@contextmanager
def command(words: Sequence[str], variables: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """`marketbot` with these words in a process of its own, which is gone afterwards. What it says goes into one stream."""
    line = [sys.executable, "-W", "ignore", "-m", "marketbot_assets.cli", *words]
    own = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    out, err = subprocess.PIPE, subprocess.STDOUT
    with subprocess.Popen(line, cwd=ROOT, env=own, text=True, stdout=out, stderr=err) as process:
        try:
            yield process
        finally:
            process.kill()


def finished(process: subprocess.Popen[str], seconds: float) -> tuple[int, str]:
    """(exit code, what it said); raises TimeoutExpired."""
    said, _ = process.communicate(timeout=seconds)
    return process.returncode, said


def lake_at(variables: dict[str, str]) -> "Lake":
    """The store of another home."""
    from marketbot_resources.store.lake import open_lake

    return open_lake(Path(variables["MARKETBOT_HOME"]))


def contents(lake: "Lake", part: str) -> dict[str, str]:
    """Asset -> hash of its content, of one session."""
    return {asset: row.content_sha256 for asset, row in lake.index.of_part(part).items()}


def differing(lake: "Lake", other: "Lake", part: str) -> Iterator[str]:
    """Controls whose answers differ in anything that is no hash."""
    columns = ["kind", "key", "observed", "limit", "status", "planned_quantity", "approved_quantity", "verdict"]
    tables = [_table(each, "risk_verdict", part) for each in (lake, other)]
    rows = [{tuple(map(str, row)) for row in table[columns].itertuples(index=False)} for table in tables]
    yield from sorted({f"{row[0]} {row[1]}".replace("|", " ") for row in rows[0] ^ rows[1]})


def chosen(seen: Sequence[Seen], number: int) -> list[dt.date]:
    """Sessions to replay: those with accepted answers first, then the newest."""
    ranked = sorted(seen, key=lambda one: (one.by_rules, -one.session.toordinal()))
    return sorted(one.session for one in ranked[:number])


def replay(day: dt.date, variables: dict[str, str]) -> tuple[str, int, str]:
    """`marketbot replay` over one session: (session, exit code, its last line)."""
    with command(["replay", "--session", str(day)], variables) as process:
        code, said = finished(process, REPLAYED_SECONDS_MAX)
    print(f"replay {day}: {code}", file=sys.stderr, flush=True)
    return str(day), code, (said.strip().splitlines() or ["nothing was said"])[-1]


def _session(day: dt.date) -> Seen:
    from marketbot_assets.commands.home import existing_lake
    from marketbot_assets.commands.sessions import run_session

    begun = time.monotonic()
    result = run_session(day)
    spent, lake, part = time.monotonic() - begun, existing_lake(), day.isoformat()
    tables = [_table(lake, asset, part) for asset in ("llm_answers", "llm_context", "forecasts", "context_pack")]
    outcomes = counted(Counter(f"{row.outcome} {row.layer}".strip() for row in tables[0].itertuples()))
    print(f"{part} {result.state} {result.verdict} {spent:.0f} s: {outcomes}", file=sys.stderr, flush=True)
    return Seen(day, result.state, result.verdict, spent, *tables, contents(lake, part), _told(lake, part))


def _table(lake: "Lake", asset: str, part: str) -> "pd.DataFrame":
    row = lake.index.newest(asset, part)
    assert row is not None, f"{asset} of {part} is not there: the session failed before the models were asked"
    return lake.load(row)


def _told(lake: "Lake", part: str) -> dict[str, str]:
    """What the forecasts' manifest says of the views' weight."""
    row = lake.index.newest("forecasts", part)
    manifest = lake.manifest(row) if row is not None else {}
    return {name: str(manifest[name]) for name in WEIGHT if name in manifest}


def summary(ran: Ran) -> Iterator[str]:
    """What the run was, and who served."""
    seen = ran.seen
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
    yield f"- entries of the ledger: {counted(ran.records)}"
    yield f"- seconds a session: {median(one.seconds for one in seen):.0f} (at most {max(one.seconds for one in seen):.0f})"


def against(ran: Ran) -> Iterator[str]:
    """The same sessions without a model: which tables of a decision differ. Raises AssertionError when any does."""
    wrong = [
        f"{asset} of {one.session}"
        for one in ran.seen
        for asset in DECISIONS
        if asset not in one.content or one.content[asset] != ran.without[str(one.session)].get(asset)
    ]
    assert not wrong, (
        f"expected the decisions of the sessions without a model, missing or differing: {', '.join(wrong)}"
    )
    number = len(ran.seen)
    yield f"- {', '.join(f'`{name}`' for name in DECISIONS)}: equal bit for bit in {number} of {number} sessions"
    assets = sorted({name for one in ran.seen for name in one.content})
    other = Counter(
        name for name in assets for one in ran.seen if one.content.get(name) != ran.without[str(one.session)].get(name)
    )
    yield f"- tables that differ, and in how many sessions: {counted(other) or 'none'}"
    yield f"- rows of the verdict that differ in more than a hash, and in how many sessions: {counted(ran.controls) or 'none'}"


def replays(ran: Ran) -> Iterator[str]:
    """What `marketbot replay` said, no model being there."""
    for day, code, line in ran.replayed:
        yield f"- `marketbot replay --session {day}`, exit code {code}: {line}"


def deeper(seen: Sequence[Seen]) -> Iterator[str]:
    """Refused answers of right shape: is one bad view among good ones what the gate refuses?"""
    from answer_anatomy import anatomy

    from marketbot_assets.insight.gate_pack import known_of

    found = []
    for one in seen:
        known = known_of(one.pack)
        refused = one.answers[one.answers["outcome"] == "REFUSED"]
        found += [some for text in refused["answer"] if (some := anatomy(str(text), known)) is not None]
    if not found:
        yield "No refused answer had the right shape."
        return
    number, views = len(found), sum(one.views for one in found)
    yield f"- refused answers of right shape: {number}, with {views} views and {sum(one.quotes for one in found)} quotes"
    yield f"- views that would be accepted alone: {share(sum(one.standing for one in found), views)}"
    yield f"- of different subjects among these: {share(sum(one.distinct for one in found), views)}"
    yield f"- answers accepted without one view or one quote: {share(sum(one.one_away for one in found), number)}"
    yield f"- answers of which no view would be accepted alone: {share(sum(one.standing == 0 for one in found), number)}"
    yield f"- answers in which one layer alone finds faults: {share(sum(len(one.layers) == 1 for one in found), number)}"
    faults = Counter(layer for one in found for layer in one.layers)
    yield f"- answers in which a layer finds faults, were it asked first: {counted(faults)}"


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
    rows = [one for one in seen if not one.by_rules]
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
    parser.add_argument("--replayed", type=int, default=3)
    asked = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as folder:
        decodings = asked.decoding or ["free", "bounded"]
        ran = run(asked.sessions, asked.last, decodings, Path(folder), asked.minutes, asked.replayed)
    parts = [
        HEAD.format(command=" ".join(["PYTHONPATH=. .venv/bin/python tools/small_model.py", *words])),
        "\n".join(summary(ran)),
        "\n".join(["### Acceptance and repair", "", *by_model(ran.seen, ran.seconds)]),
        "\n".join(["### Who refused", "", *layers(ran.seen)]),
        "\n".join(["### Refused answers, view by view", "", *deeper(ran.seen)]),
        "\n".join(["### What was accepted", "", *accepted(ran.seen)]),
        "\n".join(["### The same sessions without a model", "", *against(ran)]),
        "\n".join(["### Replay, the server being gone", "", *replays(ran)]),
    ]
    print("\n\n".join(part.strip() for part in parts))


if __name__ == "__main__":
    main(sys.argv[1:])
