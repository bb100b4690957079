"""One measurement is one fresh child process: CPU seconds, wall seconds and peak memory as the kernel counted them.

The parent stays small on purpose: a child's peak starts at the size of the process that it was forked from.
Not here: what a child does, what a result means.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]
ONE_THREAD = {name: "1" for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")}
SAID = "figures: "
GROWTH = "## A backtest as instruments and years grow"  # a section of RESULTS.md beside that of a day


class ChildFailed(Exception):
    """A measured process ended with an error; the message holds the end of what it wrote."""


@dataclass(frozen=True)
class Sample:
    """One child: user plus system CPU seconds, wall seconds, peak resident MiB, and what the child said about itself."""

    cpu: float
    wall: float
    peak: float
    said: Mapping[str, object] = field(default_factory=dict)


def run_child(arguments: Sequence[str], *, log: Path, environment: Mapping[str, str]) -> Sample:
    """Runs one Python process to its end. Raises ChildFailed unless it exits with 0."""
    variables = {**os.environ, **ONE_THREAD, "PYTHONPATH": str(CHECKOUT), "PYTHONHASHSEED": "0", **environment}
    with log.open("wb") as sink:
        begun = time.monotonic()
        child = subprocess.Popen([sys.executable, *arguments], stdout=sink, stderr=sink, env=variables, cwd=CHECKOUT)
        _, status, used = os.wait4(child.pid, 0)
        wall = time.monotonic() - begun
        child.returncode = os.waitstatus_to_exitcode(status)
    text = log.read_text(encoding="utf-8", errors="replace")
    if child.returncode != 0:
        raise ChildFailed(f"{' '.join(arguments)}: exit {child.returncode}\n{text[-3000:]}")
    lines = [line for line in text.splitlines() if line.startswith(SAID)]
    said = json.loads(lines[-1].removeprefix(SAID)) if lines else {}
    return Sample(used.ru_utime + used.ru_stime, wall, used.ru_maxrss / 1024, said)


def say(figures: Mapping[str, object]) -> None:
    """What a child tells its parent, as the last line that it writes."""
    print(SAID + json.dumps(figures), flush=True)


def middle(samples: Sequence[Sample]) -> Sample:
    """The medians of CPU, wall and peak; what was said is taken from the last sample."""
    cpu, wall, peak = (statistics.median(getattr(s, name) for s in samples) for name in ("cpu", "wall", "peak"))
    return Sample(cpu, wall, peak, samples[-1].said)


def median_said(samples: Sequence[Sample], name: str) -> float:
    """The median of one figure that each child said."""
    return statistics.median(float(str(sample.said[name])) for sample in samples)


def section(file: Path, head: str) -> str:
    """The section of a Markdown file that begins with this `## ` heading, to the next one; empty where there is none."""
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    _, found, after = f"\n{text}".partition(f"\n{head}\n")
    return f"{head}\n{after.partition(chr(10) + '## ')[0]}".rstrip() + "\n" if found else ""


def with_section(file: Path, head: str, text: str) -> None:
    """Writes a section of a Markdown file in the place of its earlier self, or at the end."""
    whole, old = file.read_text(encoding="utf-8"), section(file, head)
    body = f"{head}\n\n{text.strip()}\n"
    file.write_text(whole.replace(old, body) if old else f"{whole.rstrip()}\n\n{body}", encoding="utf-8")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with aligned columns."""
    widths = [max(len(row[n]) for row in (head, *rows)) for n in range(len(head))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    top = "| " + " | ".join(cell.ljust(width) for cell, width in zip(head, widths, strict=True)) + " |"
    return "\n".join([top, "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines])
