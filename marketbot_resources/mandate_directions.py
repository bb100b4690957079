"""What makes a mandate tighter or looser: one table over all its keys, and the comparison of two mandates. Pure.

A tighter mandate lets no order pass that adds risk and that the looser one refuses. Not here: who may change a mandate, and from
when a change counts (`governance`); what a key means (`mandate`, `mandate_limits`).
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from marketbot_resources.errors import MandateError
from marketbot_resources.ledger.record import Json
from marketbot_resources.mandate import Mandate


class Tighter(StrEnum):
    """Which way a key becomes tighter. UNCLEAR: neither way; any change counts as a loosening.

    FEWER, MORE: of members (a list, or lists by exchange). An absent number is no limit. STATED: any value is tighter than none,
    another value is neither.
    """

    LOWER = "lower"
    HIGHER = "higher"
    FEWER = "fewer"
    MORE = "more"
    UNCLEAR = "unclear"
    STATED = "stated"


class Direction(StrEnum):
    """What a change does. UNKNOWN counts as looser."""

    TIGHTER = "tighter"
    LOOSER = "looser"
    NEUTRAL = "neutral"
    UNKNOWN = "unknown"


Rules = Mapping[str, "Tighter | Rules"]
LOWER, HIGHER, FEWER, MORE, UNCLEAR, STATED = Tighter
CAP: Rules = {"target": LOWER, "warn": LOWER, "hard": LOWER}
FLOOR: Rules = {"target": HIGHER, "warn": HIGHER, "hard": HIGHER}
STOP: Rules = {"atr20_multiple": LOWER, "min_fraction": LOWER}
MAPS = frozenset({"costs_bps.half_spread_and_fee", "costs_bps.tax_buy", "costs_bps.tax_sell"})

LIMITS: Rules = {
    "RC-05_price_freshness": {"stale_sessions": LOWER, "book_stale_hard": LOWER},
    "RC-07_collar": {"floor": LOWER, "sigma_multiple": LOWER, "ceiling": LOWER, "fund_ceiling": LOWER},
    "RC-06_price_cross_check": {"warn": LOWER, "hard": LOWER, "fund_warn": LOWER, "fund_hard": LOWER},
    "RC-08_order_value": CAP,
    "RC-09_order_quantity": {"multiple": LOWER, "adv": LOWER},
    "RC-10_participation": {"target": LOWER, "hard": LOWER, "exits_hard": LOWER, "min_observations": HIGHER},
    "RC-11_liquidation": {
        "participation": LOWER,
        "name_days_warn": LOWER,
        "name_days": LOWER,
        "book_first_day": HIGHER,
        "book_days": LOWER,
    },
    "RC-12_spread": {"warn": LOWER, "hard": LOWER},
    "RC-14_order_count": {"per_name": LOWER, "per_session": LOWER, "warn": LOWER},
    "RC-15_repeats": {"batches": LOWER, "exit_legs_per_name": LOWER, "flips": LOWER, "filled_of_planned": LOWER},
    "RC-18_cash": {"spendable": LOWER, "planned_sells_fund": LOWER},
    "RC-22_wash_sale": {"days": HIGHER},
    "RC-23_round_trips": {"maintenance": HIGHER, "pdt_equity_usd": HIGHER},
    "RC-24_event_guard": {"warn": LOWER, "jump": LOWER},
    "RC-26_expected_cost_bps": {"warn": LOWER, "hard": LOWER},
    "RC-30_position": CAP,
    # A lower trim line stops buys sooner, but lets more be sold in a day.
    "RC-31_passive_breach": {"no_buys": LOWER, "trim": UNCLEAR, "cure_sessions": LOWER},
    "RC-32_sector": CAP,
    "RC-35_currency": CAP,
    "RC-35_non_base": CAP,
    "RC-35_country_ex_home": CAP,
    "RC-36_gross": CAP,
    "RC-38_cash_floor": FLOOR,
    "RC-39_hhi": CAP,
    "RC-40_top10": CAP,
    "RC-41_turnover": {
        "buys_per_day": CAP,
        "name_buy_per_day": CAP,
        "one_way_21_sessions": CAP,
        "build_up_sessions": LOWER,
    },
    "RC-42_ex_ante_vol": {
        "target_multiple": LOWER,
        "warn_multiple": LOWER,
        "hard_multiple": LOWER,
        "low_warn_multiple": HIGHER,
    },
    "RC-43_var_99_1d": {**CAP, "scenarios": UNCLEAR},
    "RC-44_es_975_1d": {**CAP, "scenarios": UNCLEAR},
    "RC-45_var_all_methods": {"on_fail": UNCLEAR},
    "RC-46_crash_replay": CAP,
    "RC-46_bear_replay": CAP,
    "RC-46_fed_severe": {**CAP, "equity_loss": HIGHER},
    "RC-46_instant": CAP,
    "RC-46_drawdown_budget": {"hard": LOWER, "warn": LOWER, "target_margin": LOWER, "floor": LOWER},
    "RC-47_factor": {"style": LOWER, "sector": LOWER, "beta": LOWER, "status": UNCLEAR},
    "RC-49_risk_share": {"warn": LOWER, "hard": LOWER, "invested_min": LOWER},
    "RC-50_correlation": {"sessions": UNCLEAR, "mean_pairwise": LOWER, "pc1_share": LOWER, "vol_multiple": LOWER},
    "RC-52_llm_influence": {"name": LOWER, "book": LOWER},
    "RC-53_residual": {"hard": LOWER},
    "RC-54_plausibility": {"rank_corr": HIGHER, "keep": LOWER},
    "RC-65_execution_quality": {"slippage_bps": LOWER, "range": LOWER},
    "RC-68_cash_difference": {"units": LOWER, "nav_bps": LOWER, "halt_bps": LOWER},
    "RC-70_earnings": {"nav_bps": LOWER},
    "RC-71_var_backtest": {
        "sessions": UNCLEAR,
        "yellow": LOWER,
        "red": LOWER,
        "var_multiple": HIGHER,
        "vol_multiple": LOWER,
    },
    "RC-72_vol_ratio": {"sessions": UNCLEAR, "low": HIGHER, "high": LOWER},
    "RC-73_cost_drift": {
        "fills": UNCLEAR,
        "standard_errors": LOWER,
        "least_bps": LOWER,
        "participation_multiple": LOWER,
    },
    "RC-74_breaches": {"cure_sessions": LOWER, "clean_checks": HIGHER},
    "RC-83_clock_skew": {"warn_seconds": LOWER, "hard_seconds": LOWER},
    "RC-85_heartbeat": {"sessions": LOWER},
    "RC-87_coverage": {"universe": HIGHER, "held": HIGHER},
    "RC-89_drift": {"psi": LOWER, "ks_p": HIGHER, "share": LOWER, "llm_refused": LOWER},
    "RC-90_refusals": {"in_a_row": LOWER, "share": LOWER},
    "fx_stale_sessions": LOWER,
}
LADDER: Rules = {
    "full_below": LOWER,
    "scale": {"from": LOWER, "to": LOWER, "from_multiple": LOWER, "to_multiple": LOWER},
    "reduce_only": {"at": LOWER, "vol_multiple": LOWER},
    "to_cash": {"at": LOWER},
    "halt": {"at": LOWER},
    "step_up": {"min_sessions": HIGHER, "step": LOWER},
    "rearm": {
        "after_sessions": HIGHER,
        "index_vol_20d_below_per_year": LOWER,
        "reference_nav_divisor": LOWER,
        "start_multiple": LOWER,
        "halt_after_rearms": LOWER,
        "within_sessions": HIGHER,
    },
    "absolute_floor": {"drawdown_from_inception_high": LOWER},
}
RULES: Rules = {
    "mandate_version": UNCLEAR,
    "base_currency": UNCLEAR,
    "home_country": UNCLEAR,
    "opening_cash": UNCLEAR,
    "account": {"id": UNCLEAR, "type": UNCLEAR, "leverage": LOWER, "margin_regime": UNCLEAR, "tax_mode": UNCLEAR},
    "restricted": {"names": MORE, "classes": MORE, "min_days_listed": HIGHER},
    "calendar": {"mic": UNCLEAR, "go_live": UNCLEAR, "last_session": LOWER, "closures": MORE},
    "schedule": {"decide_at": UNCLEAR, "timezone": UNCLEAR, "landing_minutes_max": LOWER, "execute": UNCLEAR},
    "cadence": UNCLEAR,
    "rebalance_weekday": UNCLEAR,
    "providers": {
        **dict.fromkeys(("clock", "market", "instruments", "fx", "macro", "fundamentals", "news", "feeds"), UNCLEAR),
        "daily_requests": UNCLEAR,
        "synthetic": UNCLEAR,
    },
    "broker": {
        "name": UNCLEAR,
        "participation_max": LOWER,
        "environment": UNCLEAR,
        "account": UNCLEAR,
        "resend": UNCLEAR,
        "dedupes_client_id": UNCLEAR,
    },
    "execution": {
        **dict.fromkeys(("targets", "exits", "remainder", "protective"), UNCLEAR),
        "allowed": FEWER,
        "slices": {
            **dict.fromkeys(("algorithm", "count", "minutes"), UNCLEAR),
            **dict.fromkeys(("participation_max", "interval_participation_max", "from_value", "from_adv"), LOWER),
        },
    },
    "anchors": MORE,
    "intraday": {"minutes": LOWER},  # it only ever sells
    "llm": {
        **dict.fromkeys(("chain", "answer_tokens_max", "headlines_max", "news_days", "passes", "cache"), UNCLEAR),
        "usd_per_day": LOWER,
        "seconds_max": LOWER,
        "ask_contaminated": UNCLEAR,  # views of such a session move nothing, but they cost
        "tilt_max_per_year": LOWER,
        "evidence": {
            "horizon_sessions": UNCLEAR,
            "sessions_min": HIGHER,
            "shrink": HIGHER,
            "standard_errors": HIGHER,
            "ic_full": HIGHER,
        },
    },
    "jurisdiction": {"residence": STATED, "client": STATED},  # it only bars buys, and refuses mandates
    # More people, sooner, more tests are tighter; a channel that changes counts as one that goes.
    "notification": {
        "channels": MORE,
        "escalate_minutes": LOWER,
        "quiet_hours": FEWER,
        "weekly_test": MORE,
        "heartbeat": MORE,
        "digest": MORE,
    },
    "benchmark": UNCLEAR,
    "universe": {
        "listings": FEWER,
        "formerly": UNCLEAR,
        "floor": {
            "adv_usd": HIGHER,
            "age_sessions": HIGHER,
            "min_price_usd_us_listings": HIGHER,
            "max_lot_value_fraction": LOWER,
        },
        "fund_bucket": CAP,
        "unknown_sector_cap": LOWER,
    },
    "portfolio": {
        "method": UNCLEAR,
        "risk_aversion": HIGHER,
        "prior_excess_return_per_year": LOWER,
        "forecast_tilt_per_sd_per_year": LOWER,
        "score_weights": UNCLEAR,
        "cost_amortization_per_year": UNCLEAR,
        "risk_parity_budget_base": UNCLEAR,
        **dict.fromkeys(
            ("invested_target", "tracking_error_per_year", "black_litterman", "cvar", "multi_period", "long_short"),
            UNCLEAR,
        ),
        "min_order": {"usd": HIGHER, "fraction": HIGHER},
    },
    "costs_bps": {
        "half_spread_and_fee": HIGHER,
        "fx": HIGHER,
        "tax_buy": HIGHER,
        "tax_sell": HIGHER,
        "impact_coefficient": HIGHER,
        "calibration": {
            "enabled": UNCLEAR,
            "fills_min": UNCLEAR,
            "shrink": UNCLEAR,
            "floor": HIGHER,
            "ceiling": HIGHER,
        },
    },
    "volatility": {
        "target_per_year": LOWER,
        "ewma_halflife_sessions": UNCLEAR,
        "ledoit_wolf_sessions": UNCLEAR,
        "factor_model": UNCLEAR,
    },
    "limits": LIMITS,
    "ladder": LADDER,
    "loss_rules": {"day": LOWER, "week": LOWER, "halt_day": LOWER},
    "stops": {"RC-62_stop_loss": STOP, "RC-63_trailing": STOP, "RC-64_block_sessions": HIGHER},
}


ASKED = "llm"  # the section of what is asked beside the rules: without it nothing is asked, spent or moved


@dataclass(frozen=True, slots=True)
class Change:
    """One key that differs. `path`: as in the file, with dots; `old`, `new`: as JSON, None where absent."""

    path: str
    old: Json
    new: Json
    direction: Direction

    @property
    def loosens(self) -> bool:
        """Whether it needs a change record; what is not known to tighten does."""
        return self.direction in (Direction.LOOSER, Direction.UNKNOWN)


def leaves(rules: Rules = RULES, path: str = "") -> Iterator[tuple[str, Tighter]]:
    """(path, rule) of every key of the table."""
    for key, rule in rules.items():
        if isinstance(rule, Mapping):
            yield from leaves(rule, f"{path}{key}.")
        else:
            yield f"{path}{key}", rule


def plain_of(mandate: Mandate) -> Mapping[str, Json]:
    """The mandate as plain JSON under the keys of the file."""
    found: dict[str, Json] = json.loads(mandate.canonical())
    return found


def compare(old: Mandate, new: Mandate) -> tuple[Change, ...]:
    """Every key that differs with what its change does, in the order of the table."""
    return compare_plain(plain_of(old), plain_of(new))


def compare_plain(old: Mapping[str, Json], new: Mapping[str, Json]) -> tuple[Change, ...]:
    """The same for mandates as plain JSON: an older one need not be valid any more."""
    return tuple(_changes("", RULES, old, new))


def overall(changes: Iterable[Change]) -> Direction:
    """What all changes together do: looser when one of them loosens."""
    found = list(changes)
    if any(change.loosens for change in found):
        return Direction.LOOSER
    tighter = any(change.direction is Direction.TIGHTER for change in found)
    return Direction.TIGHTER if tighter else Direction.NEUTRAL


def previous_mandate(text: str) -> Mapping[str, Json]:
    """A stored mandate as plain JSON, defaults filled in where it is still valid. Raises MandateError when it is no JSON object."""
    from marketbot_resources.mandate import parse_mandate

    try:
        return plain_of(parse_mandate(text))
    except MandateError:
        found = json.loads(text)
        if not isinstance(found, dict):
            raise
        return found


def _changes(path: str, rules: "Tighter | Rules | None", old: Json, new: Json) -> Iterator[Change]:
    if isinstance(rules, Mapping):
        before, after = _section(old), _section(new)
        for key in dict.fromkeys((*rules, *before, *after)):
            name = f"{path}.{key}" if path else key
            found = _changes(name, rules.get(key), before.get(key), after.get(key))
            gone = name == ASKED and after.get(key) is None
            yield from (replace(change, direction=Direction.TIGHTER) for change in found) if gone else found
    elif rules is not None and path in MAPS:
        before, after = _section(old), _section(new)
        for key in sorted({*before, *after}):
            yield from _changes(f"{path}.{key}", rules, before.get(key), after.get(key))
    elif old != new:
        yield Change(path, old, new, _direction(rules, old, new))


def _section(value: Json) -> Mapping[str, Json]:
    """A section's keys. A limit without target is kept at 95 % of hard, one without warn says nothing before hard: filled in."""
    if not isinstance(value, Mapping):
        return {}
    hard = value.get("hard")
    if not isinstance(hard, int | float):
        return value
    implied = {"target": 0.95 * hard, "warn": hard}
    return {**value, **{key: number for key, number in implied.items() if key in value and value[key] is None}}


def _direction(rule: Tighter | None, old: Json, new: Json) -> Direction:
    if rule in (FEWER, MORE):
        grows, shrinks = not _covers(old, new), not _covers(new, old)
        if not grows and not shrinks:
            return Direction.NEUTRAL
        loosens = grows if rule is FEWER else shrinks
        return Direction.LOOSER if loosens else Direction.TIGHTER
    if rule in (LOWER, HIGHER):
        return _ordered(old, new, higher=rule is HIGHER)
    if rule is STATED and (old is None) != (new is None):
        return Direction.TIGHTER if old is None else Direction.LOOSER
    return Direction.UNKNOWN


def _ordered(old: Json, new: Json, *, higher: bool) -> Direction:
    """Of two numbers or two dates; an absent one is no limit."""
    if old is None or new is None:
        return Direction.TIGHTER if old is None else Direction.LOOSER
    numbers = all(isinstance(x, int | float) and not isinstance(x, bool) for x in (old, new))
    if not numbers and not (isinstance(old, str) and isinstance(new, str)):
        return Direction.UNKNOWN
    return Direction.TIGHTER if (new > old) is higher else Direction.LOOSER  # type: ignore[operator]


def _covers(wide: Json, narrow: Json) -> bool:
    """Whether every member of `narrow` is in `wide`; an exchange with `all` holds each of its members."""
    known = set(_members(wide))
    return all(member in known or f"{member.split(':')[0]}:all" in known for member in _members(narrow))


def _members(value: Json) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            names: Sequence[Json] = inner if isinstance(inner, list) else [inner]
            yield from (f"{key}:{name}" for name in names)
    elif isinstance(value, list):
        yield from (f"member:{item}" for item in value)
