"""What `leakcheck` found, in lines for people. Not here: finding it (`leakcheck`)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

View = Mapping[str, object]


def leakcheck_lines(view: View) -> list[str]:
    """One row per check and output, the leaking ones first; what was not exercised; one line per finding in the end."""
    counts, cuts = cast("Mapping[str, int]", view["counts"]), cast("Sequence[object]", view["cuts"])
    results = cast("Sequence[View]", view["results"])
    findings = cast("Sequence[str]", view["findings"])
    head = f"{'status':<11}{'check':<14}{'output':<46}{'worst':>10}  {'cut':<11}{'compared':>9}  where"
    said = f"{counts['ok']} rows ok, {counts['leaks']} leak, {counts['unverified']} unverified"
    where = "the sample world" if view["world"] == "sample" else f"the rows of {view['world']}"
    what = "no output" if view["feature"] is None else f"feature {view['feature']}"
    lines = [head, *_rows(results), *(f"LEAK {text}" for text in findings)]
    verdict = "something depends on the future" if findings else f"{what} depends on what became known later"
    if not findings and view["feature"] is not None:
        verdict = f"{what} does not depend on what became known later"
    return [*lines, f"result: {verdict}; {said}; {len(cuts)} cuts of {where} up to {view['last']}"]


def _rows(results: Sequence[View]) -> Iterator[str]:
    for row in results:
        worst = row["worst"] if isinstance(row["worst"], str) else f"{row['worst']:.2g}"
        yield (
            f"{row['status']:<11}{row['check']:<14}{row['output']:<46}{worst:>10}  {row['cut'] or '-'!s:<11}"
            f"{row['compared']:>9}  {row['key']}"
        ).rstrip()
