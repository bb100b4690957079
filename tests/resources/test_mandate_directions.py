"""Every key of the mandate is classified, and a change of it says whether it tightens."""

import types
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from marketbot_resources.mandate import Mandate, parse_mandate
from marketbot_resources.mandate_directions import (
    Direction,
    Tighter,
    compare,
    compare_plain,
    leaves,
    overall,
    plain_of,
)

TEXT = (Path(__file__).parents[2] / "mandate.yaml").read_text(encoding="utf-8")
DEFAULT = parse_mandate(TEXT)
TABLE = dict(leaves())
# Limits of which neither direction lets less pass.
NEITHER = {
    "limits.RC-31_passive_breach.trim",
    "limits.RC-43_var_99_1d.scenarios",
    "limits.RC-44_es_975_1d.scenarios",
    "limits.RC-45_var_all_methods.on_fail",
    "limits.RC-47_factor.status",
    "limits.RC-50_correlation.sessions",
    "limits.RC-71_var_backtest.sessions",
    "limits.RC-72_vol_ratio.sessions",
    "limits.RC-73_cost_drift.fills",
}


def model_of(annotation: object) -> type[BaseModel] | None:
    """The section behind an annotation, optional or not; None for a value."""
    options = typing.get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)
    sections = [o for o in options if isinstance(o, type) and issubclass(o, BaseModel)]
    return sections[0] if sections else None


def keys_of(model: type[BaseModel], path: str = "") -> Iterator[str]:
    """Every key of the file that holds a value, from the model alone."""
    for name, field in model.model_fields.items():
        inner, key = model_of(field.annotation), f"{path}{field.alias or name}"
        if inner is None:
            yield key
        else:
            yield from keys_of(inner, f"{key}.")


def is_classified(key: str) -> bool:
    parts = key.split(".")
    return any(".".join(parts[:n]) in TABLE for n in range(1, len(parts) + 1))


def test_every_key_is_classified_and_the_table_names_no_other() -> None:
    """A new key without a direction fails here; until then any change of it counts as a loosening."""
    keys = list(keys_of(Mandate))
    assert len(keys) > 120
    assert [key for key in keys if not is_classified(key)] == []
    assert [p for p in TABLE if not any(key == p or key.startswith(f"{p}.") for key in keys)] == []


def test_every_limit_has_a_direction() -> None:
    """A limit, a rung, a loss rule and a stop is tighter in one of two directions, but for those that are neither."""
    limits = {p for p in TABLE if p.split(".")[0] in ("limits", "ladder", "loss_rules", "stops")}
    assert {p for p in limits if TABLE[p] is Tighter.UNCLEAR} == NEITHER


CASES = [
    ("hard: 0.0500}", "hard: 0.0510}", "limits.RC-30_position.hard", "looser"),
    ("{target: 0.0475, warn: 0.0490,", "{target: 0.0470, warn: 0.0490,", "limits.RC-30_position.target", "tighter"),
    ("warn: 0.015, hard: 0.01}", "warn: 0.015, hard: 0.012}", "limits.RC-38_cash_floor.hard", "tighter"),
    ("{universe: 0.98, held: 0.99}", "{universe: 0.97, held: 0.99}", "limits.RC-87_coverage.universe", "looser"),
    ("min_observations: 15", "min_observations: 16", "limits.RC-10_participation.min_observations", "tighter"),
    ("equity_loss: 0.58", "equity_loss: 0.50", "limits.RC-46_fed_severe.equity_loss", "looser"),
    ("trim: 0.0600", "trim: 0.0590", "limits.RC-31_passive_breach.trim", "unknown"),
    ("RC-64_block_sessions: 10", "RC-64_block_sessions: 9", "stops.RC-64_block_sessions", "looser"),
    ("halt: {at: 0.15}", "halt: {at: 0.14}", "ladder.halt.at", "tighter"),
    ("min_sessions: 10", "min_sessions: 12", "ladder.step_up.min_sessions", "tighter"),
    ("last_session: 2022-12-28", "last_session: 2022-12-27", "calendar.last_session", "tighter"),
    ("target_per_year: 0.10", "target_per_year: 0.11", "volatility.target_per_year", "looser"),
    ("    XHKG: all\n", "", "universe.listings", "tighter"),
    ("    XHKG: all", "    XHKG: ['0005']", "universe.listings", "tighter"),
    ("[AAPL, AMD, MSFT, PEP]", "[PEP, AAPL, AMD, MSFT]", "universe.listings", "neutral"),
    ("[AAPL, AMD, MSFT, PEP]", "[AAPL, AMD, MSFT, NVDA]", "universe.listings", "looser"),
    ("[AAPL, AMD, MSFT, PEP]", "all", "universe.listings", "looser"),
    ("anchors: []", "anchors: ['file:/mnt/heads']", "anchors", "tighter"),
    ("intraday: null", "intraday: {minutes: 5}", "intraday.minutes", "tighter"),
    ("GBP: 50,", "GBP: 40,", "costs_bps.tax_buy.GBP", "looser"),
    ("tax_sell: {HKD: 10}", "tax_sell: {HKD: 10, GBP: 1}", "costs_bps.tax_sell.GBP", "tighter"),
    ("market: sample", "market: synthetic", "providers.market", "unknown"),
    ("type: margin", "type: cash", "account.type", "unknown"),
    ("reversal_5d: 0.20", "reversal_5d: 0.21", "portfolio.score_weights", "unknown"),
    ("{hard: 0.25}", "{hard: 0.25, warn: 0.2}", "limits.RC-46_instant.warn", "tighter"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "path", "direction"), CASES)
def test_one_change_has_one_direction(old: str, new: str, path: str, direction: str) -> None:
    """Cases by hand; the same change taken back does the opposite."""
    assert TEXT.count(old) == 1
    other = parse_mandate(TEXT.replace(old, new))
    (change,) = compare(DEFAULT, other)
    assert (change.path, change.direction.value) == (path, direction)
    assert change.loosens == (direction in ("looser", "unknown"))
    (back,) = compare(other, DEFAULT)
    opposite = {"tighter": "looser", "looser": "tighter"}
    mixed = new == "[AAPL, AMD, MSFT, NVDA]"  # one name more and one less: loosens either way
    assert back.direction.value == ("looser" if mixed else opposite.get(direction, direction))


def test_an_absent_target_is_the_one_that_the_optimizer_keeps() -> None:
    """95 % of hard: naming it changes nothing, naming a larger one loosens, lowering hard tightens both."""
    named = parse_mandate(TEXT.replace("{hard: 0.25}", "{target: 0.2375, hard: 0.25}"))
    assert compare(DEFAULT, named) == ()
    larger = parse_mandate(TEXT.replace("{hard: 0.25}", "{target: 0.24, hard: 0.25}"))
    assert [(c.path, c.direction) for c in compare(DEFAULT, larger)] == [
        ("limits.RC-46_instant.target", Direction.LOOSER)
    ]
    lower = parse_mandate(TEXT.replace("{hard: 0.25}", "{hard: 0.20}"))
    assert {c.path.rsplit(".", 1)[1] for c in compare(DEFAULT, lower)} == {"target", "warn", "hard"}
    assert overall(compare(DEFAULT, lower)) is Direction.TIGHTER


def test_models_may_be_taken_out_at_once_and_come_in_by_a_record_alone() -> None:
    """Who asks no model any more needs nobody's word for it; to ask one is a loosening."""
    text = (Path(__file__).parents[2] / "examples" / "llm" / "mandate.yaml").read_text(encoding="utf-8")
    asking = parse_mandate(text)
    out, into = compare(asking, DEFAULT), compare(DEFAULT, asking)
    assert {change.path.partition(".")[0] for change in (*out, *into)} == {"llm"}
    assert {change.direction.value for change in out} == {"tighter"}
    assert any(change.loosens for change in into)


def test_what_nobody_classified_loosens() -> None:
    """Fail closed: a key that this code does not know, new, changed or gone."""
    plain = dict(plain_of(DEFAULT))
    strange = {**plain, "novelty": 1}
    for old, new in ((plain, strange), (strange, plain), (strange, {**plain, "novelty": 2})):
        (change,) = compare_plain(old, new)
        assert (change.path, change.direction, change.loosens) == ("novelty", Direction.UNKNOWN, True)
        assert overall([change]) is Direction.LOOSER


def test_one_loosening_among_many_tightenings_loosens() -> None:
    """What all changes do together."""
    text = TEXT.replace("hard: 0.0500}", "hard: 0.0495}").replace("week: 0.04,", "week: 0.05,")
    changes = compare(DEFAULT, parse_mandate(text))
    assert {c.direction for c in changes} == {Direction.TIGHTER, Direction.LOOSER}
    assert overall(changes) is Direction.LOOSER
    assert overall(()) is Direction.NEUTRAL


NUMBERS = sorted(
    path
    for path, rule in TABLE.items()
    if rule in (Tighter.LOWER, Tighter.HIGHER) and path.split(".")[0] in ("loss_rules", "stops", "volatility")
)


@given(st.sampled_from(NUMBERS), st.floats(0.001, 1.0), st.floats(0.001, 1.0))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_two_values_are_ordered(path: str, one: float, two: float) -> None:
    """Of any two values of a key exactly one is the tighter, and comparing a mandate with itself finds nothing."""
    low, high = (_with(path, value) for value in sorted((one, two)))
    assert compare_plain(low, low) == ()
    if one != two:
        tighter = compare_plain(high, low) if TABLE[path] is Tighter.LOWER else compare_plain(low, high)
        assert [(c.path, c.direction) for c in tighter] == [(path, Direction.TIGHTER)]


def _with(path: str, value: float) -> dict[str, typing.Any]:
    plain: dict[str, typing.Any] = yaml.safe_load(DEFAULT.canonical())
    *sections, last = path.split(".")
    inner = plain
    for key in sections:
        inner = inner[key]
    inner[last] = value
    return plain
