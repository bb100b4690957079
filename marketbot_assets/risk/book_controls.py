"""Controls on the projected book: RC-30 position, RC-32 sector, RC-34 funds, RC-35 currency and country, RC-36 gross, RC-37
net, RC-38 cash, RC-39 concentration, RC-40 ten largest, RC-41 turnover, RC-42 volatility, RC-44 expected shortfall.

Risk-reducing orders alone bypass these (the engine says so, `verdict`). Not here: stress losses (`stress`).
"""

from collections.abc import Callable, Sequence

import numpy as np

from marketbot_assets.book.state import Rung
from marketbot_assets.risk.control import ControlResult, Rule, beyond, cap, within
from marketbot_assets.risk.inputs import Floats
from marketbot_assets.risk.model_state import model_multiple
from marketbot_assets.risk.projection import WITH, Projection, base_rate, members, number, times
from marketbot_assets.risk.state_controls import ladder_multiple
from marketbot_assets.risk.value_at_risk import ewma_weights
from marketbot_resources.model import SESSIONS_PER_YEAR, Status

POSITION = Rule("RC-30", "position cap", Status.SHRINK, formula="max |w_i| <= hard", answers="RTS 6 Art. 15(4); house")
SECTOR = Rule(
    "RC-32",
    "sector cap",
    Status.SHRINK,
    formula="sum |w_i| of a sector <= hard; unknown sector <= universe.unknown_sector_cap",
    answers="house",
)
FUNDS = Rule("RC-34", "fund bucket", Status.SHRINK, formula="sum |w_i| of all funds <= hard", answers="house")
CURRENCY = Rule(
    "RC-35",
    "currency and country",
    Status.SHRINK,
    formula="sum |w_i| per currency but the base, of all of them, per country but home <= hard",
    answers="house",
)
GROSS = Rule(
    "RC-36",
    "gross exposure",
    Status.REJECT_BATCH,
    formula="sum |w_i| <= min(hard, account.leverage)",
    answers="SEC 15c3-5(c)(1)(i); RTS 6 Art. 15(5)",
)
NET = Rule("RC-37", "net exposure", Status.REJECT_BATCH, formula="0 <= sum w_i <= 1", answers="SEC 15c3-5(c)(1)(i)")
CASH_FLOOR = Rule(
    "RC-38",
    "cash floor",
    Status.REJECT_BATCH,
    formula="cash of all currencies after the batch / NAV >= hard",
    answers="SEC 15c3-5(c)(1)(i)",
)
HHI = Rule(
    "RC-39", "concentration", Status.SHRINK, "sum of squared weights", formula="sum w_i^2 <= hard", answers="house"
)
TOP_TEN = Rule("RC-40", "ten largest", Status.SHRINK, formula="sum of the ten largest |w_i| <= hard", answers="house")
TURNOVER = Rule(
    "RC-41",
    "turnover",
    Status.SHRINK,
    formula="buys of the day / NAV, per name, one way over 21 sessions (noted)",
    answers="house",
)
VOLATILITY = Rule(
    "RC-42",
    "ex-ante volatility",
    Status.SHRINK,
    "fraction of NAV per year",
    formula="sqrt(max(EWMA, Ledoit-Wolf) * sessions per year) <= hard_multiple * target in force; below low_warn_multiple noted",
    answers="house; SR 26-2 (two estimators)",
)
SHORTFALL = Rule(
    "RC-44",
    "expected shortfall 97.5 %, one session",
    Status.SHRINK,
    formula="mean of the worst 2.5 % of today's weights on past sessions <= hard",
    answers="house",
)

UNKNOWN_SECTOR = "UNKNOWN"
FUND_SECTOR = "FUND"
TOP = 10
TAIL = 0.025
TURNOVER_SESSIONS = 21


def aligned(p: Projection) -> tuple[list[int], Floats]:
    """(columns of the factor model, their weights (k, 3)) of every name with any weight.

    Raises ValueError when the model is of another session or misses one of these names.
    """
    return p.once("aligned", lambda: _aligned(p))


def _aligned(p: Projection) -> tuple[list[int], Floats]:
    model = p.inputs.factor_model
    if model.session != p.inputs.session:
        raise ValueError(f"factor model of {model.session}, expected {p.inputs.session}")
    active = np.flatnonzero((p.weights != 0.0).any(axis=1))
    place = {name: column for column, name in enumerate(model.instruments)}
    missing = [p.inputs.instruments[row] for row in active if p.inputs.instruments[row] not in place]
    if missing:
        raise ValueError(f"factor model misses {', '.join(missing[:3])}")
    return [place[p.inputs.instruments[row]] for row in active], p.weights[active]


def active_returns(p: Projection) -> Floats:
    """(T, k) the factor model's returns of these names."""
    return p.once("active returns", lambda: p.inputs.factor_model.returns[:, aligned(p)[0]])


def position(p: Projection) -> tuple[ControlResult, ...]:
    """RC-30: |weight| of each name, funds included."""
    limit, weights = p.mandate.limits.position, np.abs(p.weights)
    if not len(weights):
        return (POSITION.result(Status.PASS, observed=0.0, limit=limit.hard),)
    edge = limit.hard if limit.warn is None else limit.warn
    rows = np.flatnonzero(beyond(weights[:, WITH], edge)).tolist() or [int(weights[:, WITH].argmax())]
    names = p.inputs.instruments
    return tuple(
        cap(POSITION, p, weights[row], hard=limit.hard, warn=limit.warn, key=names[row],
            counted=p.increasing_in(np.arange(len(names)) == row))
        for row in rows
    )  # fmt: skip


def _groups(
    rule: Rule, p: Projection, labels: Sequence[str], limits: dict[str, tuple[float, float | None]]
) -> tuple[ControlResult, ...]:
    """One cap per group; a name whose label is missing makes its group unknown, which fails once it has weight."""
    results, sizes = [], np.abs(p.weights)
    codes: dict[str, int] = {}
    group = np.array([codes.setdefault(label, len(codes)) for label in labels], dtype=np.int64)
    for key in sorted(limits):
        inside = group == codes.get(key, -1)
        total = sizes[inside].sum(axis=0)
        hard, warn = limits[key]
        results.append(cap(rule, p, total, hard=hard, warn=warn, key=key, counted=p.increasing_in(inside)))
    unlabelled = sizes[group == codes.get("", -1)].sum()
    if unlabelled != 0.0:
        results.append(cap(rule, p, [np.nan] * 3, hard=0.0, key="unlabelled"))
    return tuple(results)


def sector(p: Projection) -> tuple[ControlResult, ...]:
    """RC-32: each sector; names of unknown sector are a bucket of their own. Funds count in RC-34."""
    limit = p.mandate.limits.sector
    labels = [
        FUND_SECTOR if is_fund == 1.0 else UNKNOWN_SECTOR if name == FUND_SECTOR else name
        for name, is_fund in zip(p.sectors, p.fund.tolist(), strict=True)
    ]
    limits: dict[str, tuple[float, float | None]] = {
        name: (limit.hard, limit.warn) for name in {*labels} - {"", FUND_SECTOR}
    }
    limits[UNKNOWN_SECTOR] = (p.mandate.universe.unknown_sector_cap, None)
    return _groups(SECTOR, p, labels, limits)


def funds(p: Projection) -> tuple[ControlResult, ...]:
    """RC-34: all funds together; no look-through data, so each fund obeys RC-30 as well."""
    limit = p.mandate.universe.fund_bucket
    total = times(np.abs(p.weights), p.fund[:, None]).sum(axis=0)
    return (cap(FUNDS, p, total, hard=limit.hard, warn=limit.warn, counted=p.increasing_in(p.fund != 0.0)),)


def currency(p: Projection) -> tuple[ControlResult, ...]:
    """RC-35: each currency but the base, all of them together, each country but home."""
    limits, base, home = p.mandate.limits, p.mandate.base_currency, p.mandate.home_country
    one, country = limits.currency, limits.country_ex_home
    foreign = np.array([c != base for c in p.currencies], dtype=bool)
    total = np.abs(p.weights)[foreign].sum(axis=0)
    return (
        *_groups(CURRENCY, p, p.currencies, {c: (one.hard, one.warn) for c in {*p.currencies} - {"", base}}),
        *_groups(CURRENCY, p, p.countries, {c: (country.hard, country.warn) for c in {*p.countries} - {"", home}}),
        cap(CURRENCY, p, total, hard=limits.non_base.hard, warn=limits.non_base.warn, key="non-base",
            counted=p.increasing_in(foreign)),
    )  # fmt: skip


def gross(p: Projection) -> tuple[ControlResult, ...]:
    """RC-36: sum of |weights|, bounded by the limit and by the account's leverage."""
    limit = p.mandate.limits.gross
    hard = min(limit.hard, p.mandate.account.leverage)
    return (cap(GROSS, p, np.abs(p.weights).sum(axis=0), hard=hard, warn=limit.warn),)


def net(p: Projection) -> tuple[ControlResult, ...]:
    """RC-37: the net exposure lies in [0, 1]; that no single name is sold short is RC-20's."""
    total = p.weights.sum(axis=0)
    results = [cap(NET, p, total, hard=1.0, key="net")]
    if not within(0.0, float(total[WITH])):
        status = NET.fail if bool((p.signs < 0).any()) else Status.WARN
        results.append(
            NET.result(status, "net short", key="short", observed=float(total[WITH]), limit=0.0, is_floor=True)
        )
    return tuple(results)


def cash_fraction(p: Projection) -> Floats:
    """(3,) cash as a fraction of NAV with the batch, without it, with its reductions alone; open orders at the last close."""
    held = sum(number(a) * base_rate(p.inputs, p.mandate, c) for c, a in p.inputs.cash.items() if a != 0)
    opened = times(p.opened, p.price * p.rate).sum()
    moved = np.where(p.is_fx, -p.value * p.cost, -p.signs * p.value - p.value * p.cost)
    reduced = np.where(p.reducing, moved, 0.0)
    start = float(held) - float(opened)
    return np.array([start + moved.sum(), start, start + reduced.sum()]) / p.nav


def cash_floor(p: Projection) -> tuple[ControlResult, ...]:
    """RC-38: cash of all currencies after the batch."""
    limit, values = p.mandate.limits.cash_floor, cash_fraction(p)
    mirrored = cap(CASH_FLOOR, p, -values, hard=-limit.hard, warn=-limit.warn)
    text = mirrored.message and f"cash floor: {values[WITH]:.6g} against {limit.hard:.6g}"
    result = CASH_FLOOR.result(
        mirrored.status, text, observed=float(values[WITH]), limit=limit.hard, is_floor=True,
        order_ids=mirrored.order_ids, keep=mirrored.keep,
    )  # fmt: skip
    return (result,)


def concentration(p: Projection) -> tuple[ControlResult, ...]:
    """RC-39: sum of squared weights; its inverse is the effective number of names."""
    limit = p.mandate.limits.hhi
    return (cap(HHI, p, (p.weights**2).sum(axis=0), hard=limit.hard, warn=limit.warn),)


def top_ten(p: Projection) -> tuple[ControlResult, ...]:
    """RC-40: the ten largest weights together."""
    limit = p.mandate.limits.top10
    largest = np.sort(np.abs(p.weights), axis=0)[-TOP:].sum(axis=0)
    return (cap(TOP_TEN, p, largest, hard=limit.hard, warn=limit.warn),)


def turnover(p: Projection) -> tuple[ControlResult, ...]:
    """RC-41: buys of the day and per name; one-way turnover of 21 sessions without exits (only noted, not in the build-up).

    Sells are free: a limit on them could keep a book from shrinking.
    """
    limit = p.mandate.limits.turnover
    share = p.value / p.nav
    bought = np.where(p.increasing, share, 0.0)
    day = [float(bought.sum()), 0.0, 0.0]
    results = [cap(TURNOVER, p, day, hard=limit.buys_per_day.hard, warn=limit.buys_per_day.warn, key="buys of the day")]
    name_cap, known = limit.name_buy_per_day, p.increasing & (p.rows >= 0)
    edge = name_cap.hard if name_cap.warn is None else name_cap.warn
    amounts = np.asarray(np.bincount(p.rows[known], weights=bought[known], minlength=len(p.price)), dtype=float)
    for row in np.flatnonzero(beyond(amounts, edge)).tolist():
        names = np.arange(len(p.price)) == row
        values, name = [float(amounts[row]), 0.0, 0.0], p.inputs.instruments[row]
        counted = p.increasing_in(names)
        results.append(cap(TURNOVER, p, values, hard=name_cap.hard, warn=name_cap.warn, key=name, counted=counted))
    results.append(_rolling(p, share))
    return tuple(results)


def _rolling(p: Projection, share: Floats) -> ControlResult:
    rolling, book, key = p.mandate.limits.turnover.one_way_21_sessions, p.inputs.book, "one way, 21 sessions"
    stopped = {hit.instrument for hit in members(book.stop_hits)}
    free = np.array([order.instrument not in stopped for order in p.orders], dtype=bool) & ~p.is_fx
    past = float(sum(number(x) for x in list(members(book.turnover))[-(TURNOVER_SESSIONS - 1) :]))
    now = past + 0.5 * float(share[free].sum())
    warn = rolling.warn if book.sessions_since_build >= p.mandate.limits.turnover.build_up_sessions else None
    if rolling.hard is not None:
        return cap(TURNOVER, p, [now, past, past], hard=rolling.hard, warn=warn, key=key)
    if not np.isfinite(now):
        return TURNOVER.result(TURNOVER.fail, "turnover is unknown", key=key, order_ids=p.increasing_ids, keep=0.0)
    noted = warn is not None and not within(now, warn)
    text = f"turnover {key}: {now:.6g}" if noted else ""
    return TURNOVER.result(Status.WARN if noted else Status.PASS, text, key=key, observed=now, limit=rolling.warn)


def volatility(p: Projection) -> tuple[ControlResult, ...]:
    """RC-42: the larger of the EWMA and the Ledoit-Wolf volatility, per year, against the volatility target in force.

    EWMA: sum of lambda_t (r_t w)^2; Ledoit-Wolf (2004): (1 - s) mean (r_t w)^2 + s m |w|^2 over its window; means are zero.
    In force: the mandate's, times the ladder's factor, times the models' (`model_state`). Below half the target it is noted,
    unless the book is being built up or one of these factors holds it back.
    """
    model, limit, book = p.inputs.factor_model, p.mandate.limits.ex_ante_vol, p.inputs.book
    _, weights = aligned(p)
    scale = (number(model.ewma_halflife), number(model.shrinkage), number(model.shrink_variance))
    if not (
        0.0 < scale[0] < np.inf
        and 0.0 <= scale[1] <= 1.0
        and 0.0 <= scale[2] < np.inf
        and model.ledoit_wolf_sessions > 0
    ):
        raise ValueError("the parameters of the covariance estimators are not usable")
    moves = active_returns(p) @ weights
    ewma = ewma_weights(len(moves), model.ewma_halflife) @ moves**2
    window = moves[-model.ledoit_wolf_sessions :]
    shrunk = (1.0 - model.shrinkage) * (window**2).mean(axis=0)
    shrunk = shrunk + model.shrinkage * model.shrink_variance * (weights**2).sum(axis=0)
    # np.maximum hands NaN on; max would drop it when it comes second.
    vol = np.sqrt(np.maximum(ewma, shrunk) * SESSIONS_PER_YEAR)
    multiple = ladder_multiple(p) * model_multiple(p)
    target = p.mandate.volatility.target_per_year * multiple
    upper = cap(VOLATILITY, p, vol, hard=limit.hard_multiple * target, warn=limit.warn_multiple * target, key="upper")
    low = limit.low_warn_multiple * target
    calm = book.rung is Rung.FULL and book.sessions_since_build >= p.mandate.limits.turnover.build_up_sessions
    noted = calm and multiple == 1.0 and not within(low, float(vol[WITH]))
    text = f"volatility {vol[WITH]:.6g} below {low:.6g}" if noted else ""
    status = Status.WARN if noted else Status.PASS
    lower = VOLATILITY.result(status, text, key="lower", observed=float(vol[WITH]), limit=low, is_floor=True)
    return (upper, lower)


def shortfall(losses: Floats, tail: float = TAIL) -> Floats:
    """Mean of the worst `tail` of the losses per column, (T, c) -> (c,); the case on the edge counts in part.

    Equals Rockafellar and Uryasev (2000) for the empirical distribution. NaN in a column gives NaN. Needs T >= 1.
    """
    ordered = np.sort(losses, axis=0)[::-1]
    size = max(tail * len(ordered), 1.0)
    share = np.clip(size - np.arange(len(ordered)), 0.0, 1.0)
    return np.asarray(share @ ordered / size)


def expected_shortfall(p: Projection) -> tuple[ControlResult, ...]:
    """RC-44: historical, one session, today's projected weights on the last `scenarios` sessions."""
    limit = p.mandate.limits.es
    columns, weights = aligned(p)
    returns = p.inputs.factor_model.returns[-limit.scenarios :, columns]
    return (cap(SHORTFALL, p, shortfall(-(returns @ weights)), hard=limit.hard, warn=limit.warn),)


BOOK_CONTROLS: tuple[tuple[Rule, Callable[[Projection], tuple[ControlResult, ...]]], ...] = (
    (POSITION, position),
    (SECTOR, sector),
    (FUNDS, funds),
    (CURRENCY, currency),
    (GROSS, gross),
    (NET, net),
    (CASH_FLOOR, cash_floor),
    (HHI, concentration),
    (TOP_TEN, top_ten),
    (TURNOVER, turnover),
    (VOLATILITY, volatility),
    (SHORTFALL, expected_shortfall),
)
