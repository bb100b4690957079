"""Where the target, the warning and the hard limit of each control stand, so that a page can draw them on one scale. Pure.

The verdict keeps the hard limit alone; what the optimizer keeps and where a warning begins are the mandate's. Not here: how much
of a limit is used (`report_book.headroom_share`), how it is drawn (`risk_charts`).
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from marketbot_assets.audit.report_book import headroom_share, nearest_of
from marketbot_assets.audit.report_facts import UNKNOWN_SECTOR, Row, number, rows_of
from marketbot_assets.audit.report_parts import in_unit
from marketbot_assets.audit.risk_charts import UsedLimit
from marketbot_assets.audit.scenario_words import scenario_words
from marketbot_assets.risk.control import FRACTION
from marketbot_assets.risk.scenario import BUDGET, INSTANT
from marketbot_assets.risk.schema import UNKNOWN
from marketbot_resources.mandate import Mandate
from marketbot_resources.mandate_section import Cap, Floor, Limit

Marks = tuple[float | None, float | None]
NONE: Marks = (None, None)
Named = Callable[[object], str]
UNIT_CHARS = 12
# Groups that say nothing without the name of their control.
ADVERBS = frozenset(
    {"upper", "lower", "day", "week", "universe", "held", "book", "scores", "answer", "share", "in a row", "names"}
)
_ORDER_ID = re.compile(r"\bmb\d+-[a-z2-7]{26}")
# Limits that the optimizer keeps as a constraint: one without a target stops at 95 % of hard.
CONSTRAINED = frozenset(
    {"RC-30", "RC-32", "RC-34", "RC-35", "RC-36", "RC-38", "RC-39", "RC-40", "RC-41", "RC-44", "RC-46"}
)


def marks_of(row: Row, mandate: Mandate, kinds: Mapping[str, str]) -> Marks:
    """(target, warning) of a control's answer, in its unit; None where there is none. `kinds`: scenario -> kind (RC-46)."""
    control, limits, hard = str(row["control"]), mandate.limits, number(row["limit"])
    key = str(row["key"]).partition("|")[2]
    if control == "RC-42":
        rule = limits.ex_ante_vol
        scale = hard / rule.hard_multiple
        return (rule.target_multiple * scale, rule.warn_multiple * scale) if key == "upper" else NONE
    if control == "RC-46" and kinds.get(key) == BUDGET:
        budget = limits.drawdown_budget
        return budget.target_margin * hard, max(budget.warn - budget.hard + hard, budget.floor)
    own = {
        "RC-11": limits.liquidation.name_days_warn if key not in ("book in one day", "whole book") else None,
        "RC-26": limits.expected_cost_bps.warn,
    }
    if control in own:
        return None, own[control]
    found = _limit_of(control, key, mandate, kinds)
    if isinstance(found, Floor):
        return found.target, found.warn
    if found is None:
        return NONE
    return found.constraint if control in CONSTRAINED else found.target, found.warn


def _limit_of(control: str, key: str, mandate: Mandate, kinds: Mapping[str, str]) -> Limit | Floor | None:
    """The mandate's limit with its three values; None where it is of another make."""
    limits = mandate.limits
    if control == "RC-32":
        return None if key == UNKNOWN_SECTOR else limits.sector
    if control == "RC-35":
        return limits.non_base if key == "non-base" else limits.currency if len(key) == 3 else limits.country_ex_home
    if control == "RC-41":
        turnover = limits.turnover
        named = {"buys of the day": turnover.buys_per_day, "one way, 21 sessions": turnover.one_way_21_sessions}
        return named.get(key, turnover.name_buy_per_day)
    if control == "RC-46":
        by_kind: dict[str, Cap] = {"crash": limits.crash_replay, "bear": limits.bear_replay, "fed": limits.fed_severe}
        return {**by_kind, INSTANT: limits.instant}.get(kinds.get(key, ""))
    plain: dict[str, Limit | Floor] = {
        "RC-08": limits.order_value,
        "RC-30": limits.position,
        "RC-34": mandate.universe.fund_bucket,
        "RC-36": limits.gross,
        "RC-38": limits.cash_floor,
        "RC-39": limits.hhi,
        "RC-40": limits.top10,
        "RC-43": limits.var,
        "RC-44": limits.es,
    }
    return plain.get(control)


def used_limit(row: Row, mandate: Mandate, kinds: Mapping[str, str], label: str) -> UsedLimit:
    """A control's answer as a bar; `label` names it."""
    limit, observed = number(row["limit"]), number(row["observed"])
    target, warn = (_used_at(mark, row) for mark in marks_of(row, mandate, kinds))
    known = math.isfinite(observed) and math.isfinite(limit)
    told = f"{in_unit(observed, row['unit'])} {'at least' if _is_floor(row) else 'of'} {in_unit(limit, row['unit'])}{_unit(row)}"
    used = 1.0 - headroom_share(row) if known else math.nan
    return UsedLimit(label, used, target, warn, told, failed=row["status"] != "PASS")


def _used_at(mark: float | None, row: Row) -> float | None:
    """The share of the hard limit that is used when exactly `mark` is observed."""
    limit = number(row["limit"])
    if mark is None or not all(map(math.isfinite, (mark, limit, number(row["headroom"])))):
        return None
    room = mark - limit if _is_floor(row) else limit - mark
    share = headroom_share({"observed": mark, "limit": limit, "headroom": room})
    return 1.0 - share if math.isfinite(share) else None


def _is_floor(row: Row) -> bool:
    """Whether more is better: then the headroom is what is observed less the limit."""
    return number(row["headroom"]) * (number(row["observed"]) - number(row["limit"])) > 0.0


def _unit(row: Row) -> str:
    """A short unit behind the numbers; fractions are percent already."""
    unit = str(row["unit"])
    return f" {unit}" if not unit.startswith("fraction") and unit != "NAV" and len(unit) <= UNIT_CHARS else ""


def used_limits(rows: Sequence[Row], mandate: Mandate, kinds: Mapping[str, str], named: Named) -> list[UsedLimit]:
    """Every answer with a number that has a limit, failed ones first, then the one with the least room."""
    return [used_limit(row, mandate, kinds, f"{row['control']} {subject(row, named)}") for row in nearest_of(rows)]


def subject(row: Row, named: Named) -> str:
    """What an answer is about: name, group, scenario or order in words; the control's own name for the whole batch."""
    group, control = str(row["key"]).partition("|")[2], str(row["control"])
    told = scenario_words(group) if control == "RC-46" else named(group)
    return f"{told}: {row['name']}" if told in ADVERBS else told or str(row["name"])


def with_orders(verdict: pd.DataFrame, named: Named) -> Named:
    """The same names, and `order in AAPL` for the id of an order that the verdict judged."""
    orders = {str(row["key"]): named(row["name"]) for row in rows_of(verdict) if row["kind"] == "ORDER"}
    return lambda text: _ORDER_ID.sub(
        lambda m: f"order in {orders[m.group()]}" if m.group() in orders else m.group(), named(text)
    )


def used_stresses(rows: Sequence[Row], mandate: Mandate) -> list[UsedLimit]:
    """Every stress that has a limit, largest share of it first; one whose loss is not known stands before all."""
    found = []
    for row in rows:
        limit, loss, name = number(row["limit"]), number(row["loss"]), str(row["scenario"])
        if row["kind"] != UNKNOWN and not limit > 0.0:
            continue
        facts = {"control": "RC-46", "key": f"RC-46|{name}", "observed": loss, "limit": limit, "headroom": limit - loss}
        answer = {**facts, "unit": FRACTION, "status": row["status"]}
        found.append(used_limit(answer, mandate, {name: str(row["kind"])}, scenario_words(name)))
    return sorted(found, key=lambda bar: -bar.used if math.isfinite(bar.used) else -math.inf)
