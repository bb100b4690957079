"""The excess over the benchmark of a period by four views: markets and currencies, factors, and by linking method. Pure.

Every session's effects add up to its excess: what holdings, fills and costs do not explain stands in `unexplained`. Linked over
sessions they add up to the excess of the period (`linking`). A currency whose cash rate is not known counts as one of zero in the
split of Karnosky and Singer, so that a market's effect holds the local rate of cash and a currency's effect is its exchange rate
alone; `without_cash_rate` names it. Not here: one session's inputs (`compared`), the older table by sector (`excess`).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from marketbot_assets.audit.brinson import Effects, Sectors, brinson_fachler, brinson_hood_beebower, geometric
from marketbot_assets.audit.compared import SPECIFIC, Compared, Market
from marketbot_assets.audit.currency_effects import karnosky_singer
from marketbot_assets.audit.excess import COSTS_ROW, NO_WEIGHT, TOTAL_ROW, TRADING, UNEXPLAINED
from marketbot_assets.audit.linking import carino, frongello, grap, linked_effects, menchero, total_excess
from marketbot_assets.book.schema import CASH
from marketbot_assets.normalization.window import Floats

MARKET, CURRENCY, FACTOR, OTHER = "market", "currency", "factor", "other"
COMPOUNDING, REST = "compounding", "trading, costs, unexplained"
LINKS: Mapping[str, Callable[[Sequence[float], Sequence[float]], Floats]] = {
    "Carino": carino,
    "Menchero": menchero,
    "GRAP": grap,
}
Rows = list[dict[str, object]]


def is_comparable(one: Compared) -> bool:
    """Whether markets of the session can be compared: a benchmark, known moves and finite numbers throughout."""
    wanted = {key[1] for key, weight in one.weights.items() if abs(weight) > NO_WEIGHT}
    wanted |= {key[1] for key in one.benchmark}
    numbers = [one.returned, one.benchmark_returned, one.trading, one.costs, *one.weights.values(), *one.local.values()]
    numbers += [number for pair in one.benchmark.values() for number in pair]
    numbers += [one.moves.get(currency, math.nan) for currency in wanted]
    if not (one.benchmark and all(map(math.isfinite, numbers)) and one.returned > -1.0):
        return False
    sides = _sides(one, _markets([one]))
    return bool((sides.returned > -1.0).all() and (sides.benchmark_returned > -1.0).all())


def without_cash_rate(sessions: Sequence[Compared]) -> dict[str, int]:
    """Currency -> in how many sessions it was held or in the benchmark while the rate of its cash was not known; sorted."""
    found: dict[str, int] = {}
    for one in sessions:
        used = {key[1] for key, weight in one.weights.items() if abs(weight) > NO_WEIGHT}
        for currency in {one.base_currency, *used, *(key[1] for key in one.benchmark)} - one.cash.keys():
            found[currency] = found.get(currency, 0) + 1
    return dict(sorted(found.items()))


def cash_rates_told(sessions: Sequence[Compared]) -> str:
    """One sentence: which cash rates the split by currency took, and of which currencies there was none."""
    missing, count = without_cash_rate(sessions), len(sessions)
    known = sorted({currency for one in sessions for currency in one.cash})
    taken = f"cash rates of {', '.join(known)} as known at the session before" if known else "no cash rate is known"
    if not missing:
        return f"{taken}."
    gaps = ", ".join(name if n == count else f"{name} in {n} of {count} sessions" for name, n in missing.items())
    return f"{taken}; that of {gaps} counts as zero." if known else f"{taken}: they count as zero ({gaps})."


def by_market(sessions: Sequence[Compared], link: str = "Carino") -> Rows:
    """Rows of kind, name, allocation, selection, currency, total: sectors, then currencies, then what is neither's, then the total.

    Karnosky and Singer per (sector, currency), summed over the other; every session in `sessions` must be comparable.
    """
    if not sessions:
        return []
    keys, size = _markets(sessions), len(_markets(sessions))
    effects = _linked([_market_effects(one, keys) for one in sessions], sessions, link)
    split = {key: (effects[n], effects[size + n], effects[2 * size + n]) for n, key in enumerate(keys)}
    rows: Rows = []
    for sector in sorted({key[0] for key in keys}):
        parts = [split[key] for key in keys if key[0] == sector]
        allocation, selection = (math.fsum(part[n] for part in parts) for n in (0, 1))
        rows.append(_row(MARKET, sector, allocation, selection, math.nan, math.fsum([allocation, selection])))
    for currency in sorted({key[1] for key in keys}):
        effect = math.fsum(split[key][2] for key in keys if key[1] == currency)
        rows.append(_row(CURRENCY, currency, math.nan, math.nan, effect, effect))
    for name, effect in zip((COMPOUNDING, TRADING, COSTS_ROW, UNEXPLAINED), effects[3 * size :].tolist(), strict=True):
        rows.append(_row(OTHER, name, math.nan, math.nan, math.nan, effect))
    allocation, selection, exchange = (math.fsum(effects[n * size : (n + 1) * size]) for n in range(3))
    return _closed(rows, _row(OTHER, TOTAL_ROW, allocation, selection, exchange, _total(sessions)))


def by_factor(sessions: Sequence[Compared], link: str = "Carino") -> Rows:
    """Rows of kind, name, own, active (mean exposures), effect: factors, `specific`, then what is neither's, then the total.

    Of the sessions whose factors are known.
    """
    known = [one for one in sessions if one.factors is not None and is_comparable(one)]
    if not known:
        return []
    names = list(dict.fromkeys(name for one in known if one.factors for name in one.factors.factors))
    effects = _linked([_factor_effects(one, names) for one in known], known, link)
    rows: Rows = []
    for place, name in enumerate(names):
        seen = [one.factors.factors.get(name, (0.0, 0.0, 0.0)) for one in known if one.factors]
        own, active = (math.fsum(numbers[n] for numbers in seen) / len(seen) for n in (0, 1))
        rows.append({"kind": FACTOR, "name": name, "own": own, "active": active, "total": float(effects[place])})
    for name, effect in zip((SPECIFIC, TRADING, COSTS_ROW, UNEXPLAINED), effects[len(names) :].tolist(), strict=True):
        rows.append({"kind": OTHER, "name": name, "own": math.nan, "active": math.nan, "total": effect})
    total = {"kind": OTHER, "name": TOTAL_ROW, "own": math.nan, "active": math.nan, "total": _total(known)}
    return _closed(rows, total)


def by_sector(sessions: Sequence[Compared], link: str = "Carino") -> Rows:
    """Rows of name, weight, benchmark (means), allocation, hood, selection, interaction, total: sectors, the rest, the total.

    In base currency. `allocation` after Brinson and Fachler counts in the total; `hood`: that of Brinson, Hood and Beebower, which
    adds up to the same sum but rewards every sector that rose.
    """
    if not sessions:
        return []
    keys = _markets(sessions)
    size, sides = len(keys), [_sides(one, keys, base=True) for one in sessions]
    fachler, hood = ([model(side) for side in sides] for model in (brinson_fachler, brinson_hood_beebower))
    table = []
    for one, effects, other in zip(sessions, fachler, hood, strict=True):
        parts = [*effects.allocation.tolist(), *effects.selection.tolist(), *effects.interaction.tolist()]
        rest = math.fsum([one.returned, -one.benchmark_returned, *(-part for part in parts)])
        table.append([*parts, rest, *other.allocation.tolist()])
    linked = _linked(table, sessions, link)
    rows: Rows = []
    for sector in sorted({key[0] for key in keys}):
        places = [n for n, key in enumerate(keys) if key[0] == sector]
        parts = [math.fsum(linked[shift + n] for n in places) for shift in (0, size, 2 * size, 3 * size + 1)]
        weights = [
            math.fsum(float(getattr(side, name)[n]) for side in sides for n in places) / len(sides)
            for name in ("weight", "benchmark_weight")
        ]
        rows.append(_sector_row(sector, weights, parts, math.fsum(parts[:3])))
    rows.append(_sector_row(REST, [math.nan] * 2, [math.nan] * 4, float(linked[3 * size])))
    whole = [math.fsum(linked[shift : shift + size]) for shift in (0, size, 2 * size, 3 * size + 1)]
    return _closed(rows, _sector_row(TOTAL_ROW, [1.0, 1.0], whole, _total(sessions)))


def _sector_row(name: str, weights: Sequence[float], parts: Sequence[float], total: float) -> dict[str, object]:
    """`parts`: allocation, selection, interaction, and the allocation of Brinson, Hood and Beebower."""
    columns = ("allocation", "selection", "interaction", "hood")
    sides = dict(zip(("weight", "benchmark"), weights, strict=True))
    return {"name": name, **sides, **dict(zip(columns, parts, strict=True)), "total": total}


def by_method(sessions: Sequence[Compared]) -> Rows:
    """Rows of method, allocation, selection, other, total: what the choice of model and of linking does to the same sessions.

    Brinson and Fachler linked four ways, and the geometric effects, which compound to the geometric excess. `other`: trading, costs
    and what is unexplained. Returns count in base currency.
    """
    if not sessions:
        return []
    keys = _markets(sessions)
    sides = [_sides(one, keys, base=True) for one in sessions]
    rows: Rows = []
    for name in LINKS:
        rows.append(_method(f"Brinson-Fachler, {name}", sessions, [brinson_fachler(side) for side in sides], name))
    fachler = [_summed(one, brinson_fachler(side)) for one, side in zip(sessions, sides, strict=True)]
    found = frongello(fachler, *_returns(sessions)).tolist()
    rows.append(_told("Brinson-Fachler, Frongello", found, _total(sessions)))
    if all(min(side.benchmark_total, float(side.weight @ side.benchmark_returned)) > -1.0 for side in sides):
        rows.append(_geometric(sessions, sides))
    return rows


def _method(name: str, sessions: Sequence[Compared], effects: Sequence[Effects], link: str) -> dict[str, object]:
    table = [_summed(one, effect) for one, effect in zip(sessions, effects, strict=True)]
    return _told(name, _linked(table, sessions, link).tolist(), _total(sessions))


def _summed(one: Compared, effects: Effects) -> list[float]:
    """[allocation, selection with interaction, everything else] of one session."""
    parts = [math.fsum(effects.allocation), math.fsum(effects.selected)]
    return [*parts, math.fsum([one.returned, -one.benchmark_returned, *(-part for part in parts)])]


def _geometric(sessions: Sequence[Compared], sides: Sequence[Sectors]) -> dict[str, object]:
    """Products of the sessions' effects; `other` is the growth beside what the holdings earned."""
    effects = [geometric(side) for side in sides]
    allocation, selection = (
        math.prod(1.0 + math.fsum(getattr(one, part)) for one in effects) - 1.0 for part in ("allocation", "selection")
    )
    mine, theirs = _returns(sessions)
    total = math.prod((1.0 + r) / (1.0 + b) for r, b in zip(mine, theirs, strict=True)) - 1.0
    other = (1.0 + total) / ((1.0 + allocation) * (1.0 + selection)) - 1.0
    return _told("geometric, compounded", [allocation, selection, other], total)


def _told(name: str, parts: Sequence[float], total: float) -> dict[str, object]:
    return {"method": name, "allocation": parts[0], "selection": parts[1], "other": parts[2], "total": total}


def _markets(sessions: Sequence[Compared]) -> list[Market]:
    found = {(CASH, one.base_currency) for one in sessions}
    return sorted(found.union(*({*one.weights, *one.benchmark} for one in sessions)))


def _sides(one: Compared, keys: Sequence[Market], *, base: bool = False) -> Sectors:
    """Weights and returns per market, local or in base currency; what is too small to earn a return counts as cash."""
    cash = (CASH, one.base_currency)
    sizes = {key: weight for key, weight in one.weights.items() if abs(weight) > NO_WEIGHT and key != cash}
    sizes[cash] = math.fsum([1.0, *(-weight for weight in sizes.values())])
    theirs = {key: weight for key, (weight, _) in one.benchmark.items() if key != cash}
    theirs[cash] = math.fsum([1.0, *(-weight for weight in theirs.values())])
    known = {key: one.local.get(key, 0.0) / weight for key, weight in sizes.items() if weight != 0.0 and key != cash}
    other = {key: move for key, (_, move) in one.benchmark.items()}
    mine, bench = (np.array([side.get(key, math.nan) for key in keys]) for side in (known, other))
    place = keys.index(cash)
    mine[place], bench[place] = 0.0, other.get(cash, 0.0)
    if base:
        rates = np.array([one.moves.get(key[1], 0.0) for key in keys])
        mine, bench = ((1.0 + side) * (1.0 + rates) - 1.0 for side in (mine, bench))
    return Sectors.of([sizes.get(key, 0.0) for key in keys], [theirs.get(key, 0.0) for key in keys], mine, bench)


def _market_effects(one: Compared, keys: Sequence[Market]) -> list[float]:
    """Allocation, selection and currency per market, compounding, trading, costs, unexplained: they add up to the excess."""
    moves = [one.moves.get(key[1], 0.0) for key in keys]
    rates = np.array([move if math.isfinite(move) else 0.0 for move in moves])
    cash = np.array([one.cash.get(key[1], 0.0) for key in keys])
    sides = _sides(one, keys)
    idle = [key[0] == CASH for key in keys]  # the standard that cash is measured by is its rate
    standard = replace(sides, benchmark_returned=np.where(idle, cash, sides.benchmark_returned))
    effects = karnosky_singer(standard, rates, cash)
    traded = math.fsum([one.trading, *(one.local[key] for key in one.local if abs(one.weights[key]) <= NO_WEIGHT)])
    parts = [*effects.allocation.tolist(), *effects.selection.tolist(), *effects.currency.tolist()]
    return _with_rest(one, [*parts, effects.compounding, traded, one.costs])


def _factor_effects(one: Compared, names: Sequence[str]) -> list[float]:
    assert one.factors is not None
    moves = (one.factors.factors.get(name, (0.0, 0.0, 0.0)) for name in names)
    return _with_rest(
        one, [*(active * move for _, active, move in moves), one.factors.specific, one.trading, one.costs]
    )


def _with_rest(one: Compared, parts: list[float]) -> list[float]:
    return [*parts, math.fsum([one.returned, -one.benchmark_returned, *(-part for part in parts)])]


def _returns(sessions: Sequence[Compared]) -> tuple[list[float], list[float]]:
    return [one.returned for one in sessions], [one.benchmark_returned for one in sessions]


def _linked(table: Sequence[Sequence[float]], sessions: Sequence[Compared], link: str) -> Floats:
    return linked_effects(table, LINKS[link](*_returns(sessions)))


def _total(sessions: Sequence[Compared]) -> float:
    return total_excess(*_returns(sessions))


def _closed(rows: Rows, total: dict[str, object]) -> Rows:
    """The rows and their total; the last bits of the linked sums go to `unexplained`, the last of the rows."""
    gap = math.fsum([float(str(total["total"])), *(-float(str(row["total"])) for row in rows)])
    rows[-1]["total"] = float(str(rows[-1]["total"])) + gap
    return [*rows, total]


def _row(kind: str, name: str, allocation: float, selection: float, currency: float, total: float) -> dict[str, object]:
    numbers = {"allocation": allocation, "selection": selection, "currency": currency, "total": total}
    return {"kind": kind, "name": name, **numbers}
