"""What each family of signals brought: the decision is solved anew without it. Pure arithmetic over the results.

`without_each` is the marginal contribution, the last family in; where families overlap it does not add up. `shapley` is the mean
over all orders of adding them (Shapley 1953) and adds up to all less none; it needs 2^n results, so at most six families.
Not here: the solving (`research`).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

MOST_FAMILIES = 6
Subset = tuple[str, ...]


def subsets(families: Sequence[str]) -> Iterator[Subset]:
    """Every subset, sorted names, the empty one first: what has to be solved. Raises ValueError for more than six families."""
    names = sorted(set(families))
    if len(names) > MOST_FAMILIES:
        raise ValueError(f"signal attribution: expected at most {MOST_FAMILIES} families, found {len(names)}")
    for size in range(len(names) + 1):
        yield from combinations(names, size)


def without_each(families: Sequence[str], results: Mapping[Subset, float]) -> dict[str, float]:
    """Family -> result with all less result without it. `results`: sorted subset -> return or profit."""
    names = tuple(sorted(set(families)))
    whole = _known(results, names)
    return {name: whole - _known(results, tuple(n for n in names if n != name)) for name in names}


def shapley(families: Sequence[str], results: Mapping[Subset, float]) -> dict[str, float]:
    """Family -> its share; the shares add up to the result with all less the result with none."""
    names = tuple(sorted(set(families)))
    count = len(names)
    found: dict[str, float] = {}
    for name in names:
        parts = []
        for subset in subsets([n for n in names if n != name]):
            weight = math.factorial(len(subset)) * math.factorial(count - len(subset) - 1) / math.factorial(count)
            parts.append(weight * (_known(results, tuple(sorted((*subset, name)))) - _known(results, subset)))
        found[name] = math.fsum(parts)
    return found


def _known(results: Mapping[Subset, float], subset: Subset) -> float:
    value = results.get(subset, math.nan)
    if not math.isfinite(value):
        raise ValueError(f"signal attribution: expected a result for {', '.join(subset) or 'no family'}, found none")
    return value
