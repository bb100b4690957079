"""RC-46 stress losses of the projected book, and the table that shows them. Pure.

Windows and shocks that are one return per instrument come from the factor model (crash, bear, budget, instant, and history, which
has no limit): the loss is the larger of the one by replay and the one by factors, weights frozen. What a book of these weights
may lose besides for reasons of single names, and the deepest fall on the way, stand beside it and are no part of it: the limits
were set on losses at the end of a window.
Not here: how windows are replayed (`features.scenarios`), formulas (`hypothetical`), the reverse question (`reverse_stress`).
"""

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pandas as pd

from marketbot_assets.risk.book_controls import aligned
from marketbot_assets.risk.control import ControlResult, Rule, cap
from marketbot_assets.risk.hypothetical import HYPOTHETICAL
from marketbot_assets.risk.inputs import Floats, RiskInputs
from marketbot_assets.risk.projection import WITH, Projection, project
from marketbot_assets.risk.reverse_stress import reverse_shocks
from marketbot_assets.risk.scenario import BUDGET, NORMAL_99, Scenario, limits_of, spread
from marketbot_assets.risk.schema import REVERSE, STRESS_RESULTS, UNKNOWN
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import Order, Status

STRESS = Rule(
    "RC-46",
    "stress loss",
    Status.SHRINK,
    version="2",
    formula="max(replay, factors) of every window and shock <= the limit of its kind; the budget's less the drawdown",
    answers="RTS 6 Art. 10; Federal Reserve 2026 severely adverse",
)
CONTRIBUTORS = 5
FUND, UNLABELLED, SHOWN_FROM = "FUND", "UNKNOWN", 5e-5


def historical(p: Projection) -> list[Scenario]:
    """Every scenario of the factor model with frozen weights. Raises ValueError without a drawdown budget scenario."""
    model, (columns, weights) = p.inputs.factor_model, aligned(p)
    if BUDGET not in model.scenario_kinds:
        raise ValueError("no scenario for the drawdown budget")
    versions = (model.scenario_returns[:, columns], model.scenario_factor_returns[:, columns])
    replayed, by_factors = (-(moves @ weights) for moves in versions)
    known = np.isfinite(replayed) & np.isfinite(by_factors)
    losses = np.where(known, np.maximum(replayed, by_factors), np.nan)
    now = weights[:, WITH]
    size = np.abs(now)
    stand_in = model.scenario_proxied[:, columns].astype(float) @ size / max(float(size.sum()), np.finfo(float).tiny)
    own = NORMAL_99 * np.sqrt(float(now**2 @ model.specific_variance[columns]) * model.scenario_years)
    limits = {kind: limits_of(p, kind) for kind in sorted(set(model.scenario_kinds))}
    told = (column.tolist() for column in (stand_in, replayed[:, WITH], by_factors[:, WITH], own))
    found = []
    for s, (name, kind, proxied, replay, factors, idiosyncratic) in enumerate(
        zip(model.scenarios, model.scenario_kinds, *told, strict=True)
    ):
        hard, warn = limits[kind]
        found.append(
            Scenario(
                name=name,
                kind=kind,
                losses=losses[s],
                parts=partial(_replayed_parts, p, versions[int(factors > replay)][s]),
                hard=hard,
                warn=warn,
                proxied=proxied,
                replay=replay,
                factors=factors,
                idiosyncratic=idiosyncratic,
                fall=partial(_deepest, p, s),
            )
        )
    return found


def _replayed_parts(p: Projection, moves: Floats) -> Floats:
    """(n,) parts of the loss by moves (k,) of every name with any weight."""
    rows = np.flatnonzero((p.weights != 0.0).any(axis=1)).astype(float)
    return spread(p, rows, -moves * aligned(p)[1][:, WITH])


def _deepest(p: Projection, s: int) -> float:
    """The deepest fall on the way of one window."""
    columns, weights = aligned(p)
    paths = p.inputs.factor_model.scenario_paths
    return float(p.once("deepest", lambda: path_drawdown(paths[:, :, columns] @ weights[:, WITH]))[s])


def path_drawdown(gains: Floats) -> Floats:
    """(S,) largest fall from a high of 1 + gains, fraction of that high. gains: (S, P) cumulative, fraction of NAV."""
    value = np.concatenate([np.ones((len(gains), 1)), 1.0 + gains], axis=1)
    return np.asarray((1.0 - value / np.maximum.accumulate(value, axis=1)).max(axis=1))


def scenarios(p: Projection) -> list[Scenario]:
    """Every stress of the library on one projected book. Raises when one of them cannot be computed."""
    return [scenario for family in FAMILIES.values() for scenario in family(p)]


FAMILIES: dict[str, Callable[[Projection], list[Scenario]]] = {"historical windows": historical, **HYPOTHETICAL}


def stress(p: Projection) -> tuple[ControlResult, ...]:
    """RC-46: one answer per scenario that has a limit."""
    return tuple(
        cap(STRESS, p, s.losses, hard=s.hard, warn=s.warn, key=s.name) for s in scenarios(p) if s.hard is not None
    )


def _worst(names: Sequence[str], contributions: Floats) -> str:
    order = np.argsort(-contributions, kind="stable")[:CONTRIBUTORS]
    return ", ".join(f"{names[row]} {contributions[row]:.4f}" for row in order if contributions[row] > 0.0)


def _by_sector(p: Projection, contributions: Floats) -> str:
    """Every sector's part of a loss, largest first; empty without a finite part."""
    sectors = [FUND if flag == 1.0 else name for name, flag in zip(p.sectors, p.fund, strict=True)]
    groups: dict[str, list[float]] = {}
    for sector, part in zip(sectors, contributions, strict=True):
        groups.setdefault(sector or UNLABELLED, []).append(float(part))
    totals = {name: math.fsum(parts) for name, parts in groups.items()}
    told = [(name, part) for name, part in totals.items() if abs(part) >= SHOWN_FROM]  # no NaN
    return ", ".join(f"{name} {part:.4f}" for name, part in sorted(told, key=lambda pair: (-pair[1], pair[0])))


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _row(p: Projection, s: Scenario) -> dict[str, object]:
    answer = None if s.hard is None else cap(STRESS, p, s.losses, hard=s.hard, warn=s.warn, key=s.name)
    return {
        "scenario": s.name,
        "kind": s.kind,
        "loss": _finite(s.losses[WITH]),
        "limit": s.hard,
        "replay_loss": _finite(s.replay),
        "factor_loss": _finite(s.factors),
        "idiosyncratic": _finite(s.idiosyncratic),
        "path_drawdown": _finite(s.path_drawdown),
        "proxied_share": _finite(s.proxied),
        "worst_contributors": _worst(p.inputs.instruments, s.contributions),
        "by_sector": _by_sector(p, s.contributions),
        "status": Status.PASS.name if answer is None else answer.status.name,
    }


def _family_rows(p: Projection, name: str, family: Callable[[Projection], list[Scenario]]) -> list[dict[str, object]]:
    try:
        return [_row(p, scenario) for scenario in family(p)]
    # The table says what could not be computed; the verdict refuses every buy for the same reason.
    except Exception as error:
        text = f"cannot be computed: {type(error).__name__}: {error}"
        return [
            {"scenario": name, "kind": UNKNOWN, "worst_contributors": text, "by_sector": "", "status": STRESS.fail.name}
        ]


def _reverse_rows(p: Projection) -> list[dict[str, object]]:
    passed = {"kind": REVERSE, "by_sector": "", "status": Status.PASS.name}
    try:
        return [
            {"scenario": r.name, "loss": r.loss, "shock": r.shock, "worst_contributors": r.text, **passed}
            for r in reverse_shocks(p)
        ]
    # No limit hangs on these rows, so that nothing but the table says it.
    except Exception as error:
        text = f"cannot be computed: {type(error).__name__}: {error}"
        return [{"scenario": "R reverse stress", "worst_contributors": text, **passed}]


def stress_results(inputs: RiskInputs, orders: Sequence[Order], mandate: Mandate) -> pd.DataFrame:
    """STRESS_RESULTS: one row per scenario on the book after `orders` (buys at limit), sorted by name.

    A loss that is no number is null; a family of scenarios that cannot be computed is one row of kind `unknown`.
    """
    with np.errstate(all="ignore"):
        p = project(inputs, orders, mandate)
        rows = [row for name, family in FAMILIES.items() for row in _family_rows(p, name, family)]
        rows += _reverse_rows(p)
    frame = pd.DataFrame(rows, columns=[column.name for column in STRESS_RESULTS.columns])
    frame = frame.astype({column.name: float for column in STRESS_RESULTS.columns if column.kind == "number"})
    return frame.sort_values("scenario", kind="stable", ignore_index=True)


STRESS_CONTROLS: tuple[tuple[Rule, Callable[[Projection], tuple[ControlResult, ...]]], ...] = ((STRESS, stress),)
