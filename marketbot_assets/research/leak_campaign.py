"""Which checks are run on which layers, at which cuts: the plan of `leakcheck`, and which branches it has reached. Pure.

Cheap layers are cut often, dear ones at a part of the cuts. Not here: the checks (`leakcheck`), the layers (`layers`), where the
rows come from (`commands.leakcheck`).
"""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import pandas as pd

from marketbot_assets.book.state import Rung
from marketbot_assets.features.catalogue import lookback_sessions, names
from marketbot_assets.portfolio.target import METHODS, RISK_PARITY, VARIANTS
from marketbot_assets.research.history import MODEL_SESSIONS
from marketbot_assets.research.layers import MODEL_OUTPUTS, WARM_SESSIONS, Layers, own
from marketbot_assets.research.leakcheck import (
    ROUNDING,
    Ground,
    Make,
    Outputs,
    Result,
    Tally,
    check_future,
    check_order,
    check_removal,
    check_warm_up,
)
from marketbot_assets.research.wide_layer import GROUP, WideLayer
from marketbot_assets.research.worlds import World, event_cuts, random_cuts
from marketbot_resources.calendars import cutoffs, decision_sessions
from marketbot_resources.holidays import FIRST
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import Side

SEED = 20181224
CUT_SESSIONS, LAST_SESSIONS, HISTORY_SESSIONS = 2000, 5, 1100
MARKET_ROWS, DECISION_ROWS, FALL_SESSIONS = 3, 4, 12
FUTURES, DEAR, DEARER, FEWER_FUTURES = 3, 10, 20, 10
FALL, FALLS = 4, (0.8, 0.7, 0.6)
RARE = ("corporate_actions", "fundamentals", "news")
DECLARED = "declared"  # stands for all declared features
READ_BY_DECLARED = (
    "corporate_actions",
    "fundamentals",
    "fx",
    "instruments",
    "prices",
)  # macro series and news, which no feature reads, have a release every day
VERDICTS = ("APPROVED", "REJECTED", "HALT")
PRICES = ("open", "high", "low", "close", "price_level")


@dataclass(frozen=True, slots=True)
class Step:
    """One check of one layer over its cuts."""

    name: str
    ground: Ground
    run: Callable[[Ground, Tally], None]


@dataclass(slots=True)
class Reached:
    """Values of the decision's branches that were seen on the way."""

    seen: dict[str, dict[str, int]] = field(default_factory=dict)

    def watch(self, make: Make) -> Make:
        """The same function; what its decisions were is noted."""

        def watched(world: World, sessions: Sequence[dt.date]) -> Outputs:
            made = make(world, sessions)
            for (_, group), frame in made.items():
                for column in {"verdict": ("method", "verdict", "rung"), "plan": ("side",)}.get(group, ()):
                    counts = self.seen.setdefault(column, {})
                    for value in frame[column]:
                        counts[str(value)] = counts.get(str(value), 0) + 1
            return made

        return watched

    def results(self) -> list[Result]:
        """One result per branch; a branch that no cut reached is unverified."""
        branches = {
            "method": [method for method in METHODS if method not in VARIANTS],
            "verdict": VERDICTS,
            "rung": [r.value for r in Rung],
            "side": [s.value for s in Side],
        }
        return [
            Result("branch", f"decision.{name} {value}", 0, self.seen.get(name, {}).get(value, 0), 0.0, None, "")
            for name, values in branches.items()
            for value in values
        ]


def sessions_of(mandate: Mandate, last: dt.date) -> dict[dt.date, dt.datetime]:
    """Session -> cutoff, as far back as the calendars reach."""
    days = decision_sessions(mandate.calendar, FIRST, last)
    return dict(zip(days, cutoffs(mandate.calendar, mandate.schedule, days), strict=True))


def plan(
    raw: World,
    tidy: World,
    mandate: Mandate,
    last: dt.date,
    reached: Reached,
    *,
    cuts: int,
    session: dt.date | None = None,
) -> list[Step]:
    """Every check of the whole graph. `cuts`: random ones, half as many after gaps and events; `session`: that one alone."""
    limits = sessions_of(mandate, last)
    every = [session] if session is not None else _cuts(tidy, limits, cuts)
    fewer = _spread(every, cuts // DEARER)
    live = [session] if session is not None else _live(list(limits), mandate, max(1, cuts // DEAR)) or every[-1:]
    layers = Layers(mandate, fits=set(every))
    ground = Ground(tidy, limits, every, rows=MARKET_ROWS, futures=FUTURES, seed=SEED)
    releases = [] if session is not None else _releases(tidy, limits, live[0])
    received = Ground(raw, limits, sorted({*live, *releases}), joint=False, seed=SEED)
    ordered = partial(check_order, make=layers.normalization, group="normalization")
    return [
        Step("market", ground, partial(check_future, make=layers.market, group="market")),
        Step("market", replace(ground, cuts=fewer), partial(check_order, make=layers.market, group="market")),
        Step(
            "market",
            replace(ground, cuts=fewer),
            partial(check_removal, make=layers.market, group="market", column="instrument", own=own),
        ),
        *_warm_ups(layers, replace(ground, cuts=fewer)),
        *_wide(mandate, replace(ground, cuts=fewer, rows=1)),
        Step("normalization", received, partial(check_future, make=layers.normalization, group="normalization")),
        Step("normalization", received, ordered),
        Step(
            "quality", replace(received, cuts=live, rows=1), partial(check_future, make=layers.quality, group="quality")
        ),
        *_decisions(mandate, replace(ground, cuts=live, rows=DECISION_ROWS, joint=False, futures=1), reached),
    ]


def feature_plan(
    tidy: World, mandate: Mandate, last: dt.date, name: str, *, cuts: int, session: dt.date | None = None
) -> list[Step]:
    """The checks of the market layer that one feature needs."""
    steps = plan({}, tidy, mandate, last, Reached(), cuts=cuts, session=session)
    wanted = (GROUP,) if name in names() else ("market", f"warm-up {WARM_SESSIONS[name]}")
    return [step for step in steps if step.name in wanted]


def declared_plan_of(
    tidy: World, mandate: Mandate, last: dt.date, *, cuts: int, session: dt.date | None = None
) -> list[Step]:
    """All declared features at `cuts` random sessions and at every gap and event; order and warm-up at the random ones."""
    limits = sessions_of(mandate, last)
    if session is not None:
        drawn = every = [session]
    else:
        days = list(limits)
        usable = days[HISTORY_SESSIONS:-LAST_SESSIONS][-CUT_SESSIONS:]
        drawn, read = random_cuts(usable, cuts, SEED), {name: tidy[name] for name in READ_BY_DECLARED}
        after = event_cuts(
            read, days, list(limits.values()), first=usable[0], most=len(READ_BY_DECLARED) * len(days), seed=SEED
        )
        every = sorted({*drawn, *(day for day in after if day <= usable[-1])})
    ground = Ground(tidy, limits, every, rows=1, futures=FEWER_FUTURES, seed=SEED)
    at_all, *others = _wide(mandate, ground)
    futures = replace(at_all.ground, futures=FEWER_FUTURES)
    return [replace(at_all, ground=futures), *(replace(step, ground=replace(ground, cuts=drawn)) for step in others)]


def _cuts(tidy: World, limits: Mapping[dt.date, dt.datetime], count: int) -> list[dt.date]:
    days = list(limits)
    usable = days[HISTORY_SESSIONS:-LAST_SESSIONS][-CUT_SESSIONS:]
    most = max(1, count // 2)
    after = event_cuts(tidy, days, list(limits.values()), first=usable[0], most=most, seed=SEED)
    return sorted({*random_cuts(usable, count, SEED), *(day for day in after if day <= usable[-1])})


def _releases(tidy: World, limits: Mapping[dt.date, dt.datetime], first: dt.date) -> list[dt.date]:
    """A session after a release of each table that has rows on few days only, so that there are rows to compare."""
    days = list(limits)
    rare = {name: tidy[name] for name in RARE}
    found = event_cuts(rare, days, list(limits.values()), first=first, most=len(rare), seed=SEED)
    after = [days.index(day) + 1 for day in found]
    return [days[place] for place in after if place < len(days) - LAST_SESSIONS]


def _live(days: Sequence[dt.date], mandate: Mandate, count: int) -> list[dt.date]:
    """Sessions at which there may be a book: every listing of the mandate is served, and something can be decided."""
    return random_cuts(
        [day for day in days[HISTORY_SESSIONS:-LAST_SESSIONS] if day >= mandate.calendar.go_live], count, SEED
    )


def _warm_ups(layers: Layers, ground: Ground) -> list[Step]:
    """One step per declared lookback, and one for the factor model. A return model's window is part of what it is."""
    warm = partial(check_warm_up, make=layers.warm_features, group="features")
    declared = {
        sessions: {name: own_sessions for name, own_sessions in WARM_SESSIONS.items() if own_sessions == sessions}
        for sessions in sorted(set(WARM_SESSIONS.values()))
    }
    model = partial(check_warm_up, make=layers.warm_factor_model, group="factor_model")
    names = dict.fromkeys(MODEL_OUTPUTS, MODEL_SESSIONS)
    return [
        *(Step(f"warm-up {sessions}", ground, partial(warm, lookbacks=names)) for sessions, names in declared.items()),
        Step("warm-up model", ground, partial(model, lookbacks=names)),
    ]


def _wide(mandate: Mandate, ground: Ground) -> list[Step]:
    """The declared features: no future, any order of rows, and no more history than the longest lookback."""
    layer = WideLayer(mandate)
    warm = partial(check_warm_up, make=layer.warm, lookbacks=dict.fromkeys(names(), lookback_sessions()))
    return [
        Step(GROUP, replace(ground, futures=1), partial(check_future, make=layer.make, group=GROUP)),
        Step(GROUP, ground, partial(check_order, make=layer.make, group=GROUP)),
        Step(GROUP, ground, partial(warm, group=GROUP, rounding=ROUNDING)),
    ]


def _decisions(mandate: Mandate, ground: Ground, reached: Reached) -> list[Step]:
    """The decision under the mandate's method, under the other one, and in a world whose prices fall."""
    parity = mandate.model_copy(update={"portfolio": mandate.portfolio.model_copy(update={"method": RISK_PARITY})})
    one = replace(ground, cuts=ground.cuts[-1:])
    fallen = [_fallen(ground.world, list(ground.cutoffs), one.cuts[0], factor) for factor in FALLS]
    falls = [("decision in a fall", mandate, replace(one, world=world, rows=FALL_SESSIONS)) for world in fallen]
    cases = [("decision", mandate, ground), ("decision by parity", parity, one), *falls]
    return [
        Step(name, own_ground, partial(check_future, make=reached.watch(Layers(chosen).decision), group=name))
        for name, chosen, own_ground in cases
    ]


def _fallen(world: World, days: Sequence[dt.date], cut: dt.date, factor: float) -> World:
    """Every price times `factor` from the FALL-th session before the cut on."""
    start = pd.Timestamp(days[days.index(cut) - FALL])
    prices = world["prices"].copy()
    later = (prices["session"] >= start).to_numpy()
    for column in PRICES:
        prices[column] = prices[column].where(~later, prices[column] * factor)
    return {**world, "prices": prices}


def _spread(days: Sequence[dt.date], count: int) -> list[dt.date]:
    """`count` of the sessions, at least one, evenly spread, the last one included."""
    number = min(max(1, count), len(days))
    return [days[round((n + 1) * len(days) / number) - 1] for n in range(number)]


def examine(steps: Iterable[Step], seen: Callable[[], None] = lambda: None) -> list[Result]:
    """Runs the steps. `seen` is called after each cut."""
    tally = Tally()
    for step in steps:
        step.run(replace(step.ground, seen=seen), tally)
    return tally.results()
