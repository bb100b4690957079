"""F46: whatever is missing, not a number, infinite, empty or stale in any input, no buy is approved."""

import dataclasses
import datetime as dt
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from risk_world import MANDATE, NAMES, batch, buys, inputs, trade

from marketbot_assets.book.state import BookState
from marketbot_assets.features.model import FactorModel
from marketbot_assets.risk.inputs import OptimizerAnswer, RiskInputs
from marketbot_assets.risk.trade_facts import Filled, NextSession, SentOrder, TradeFacts
from marketbot_assets.risk.verdict import CONTROLS, judge, run_controls
from marketbot_resources.model import Order, Side, Status

GARBAGE = (None, float("nan"), float("inf"), float("-inf"), "")
STALE = dt.date(2018, 12, 10)
# Fields that no control reads (`unsettled` reaches RC-19 through the trade facts); and sessions_since_build, which can only
# silence a note.
UNREAD_BOOK = {"sessions_in_rung", "sessions_since_step", "rearms", "sessions_since_build", "unsettled"}
UNREAD_MODEL = {"factors", "exposures", "factor_covariance", "sigma_daily", "index_vol_20d"}


def names_of(kind: type) -> list[str]:
    return [field.name for field in dataclasses.fields(kind)]


def no_buys(facts: RiskInputs, orders: tuple[Order, ...] | None = None) -> bool:
    return buys(judge(facts, orders or batch(), MANDATE).approved) == ()


def test_the_untouched_world_does_buy() -> None:
    """The matrix below proves something only because the same batch is approved without a fault."""
    assert not no_buys(inputs())


@pytest.mark.parametrize("value", GARBAGE, ids=repr)
@pytest.mark.parametrize("field", names_of(RiskInputs))
def test_a_garbage_field_never_buys(field: str, value: object) -> None:
    """G3: each field of the inputs, replaced as a whole."""
    assert no_buys(inputs(**{field: value}))


WHOLE_ARRAYS = ("price", "price_age_sessions", "adv", "adv_observations", "sigma_daily", "is_fund")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("field", WHOLE_ARRAYS)
def test_a_garbage_array_never_buys(field: str, value: float) -> None:
    """G3: each array, filled with what is no number."""
    assert no_buys(inputs(**{field: np.full(12, value)}))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("field", WHOLE_ARRAYS)
def test_a_garbage_value_of_one_name_never_buys_it(field: str, value: float) -> None:
    """G3: one NaN in a name's facts, no buy in that name."""
    array = np.array(getattr(inputs(), field), dtype=float)
    array[NAMES.index("MBD")] = value
    assert "MBD" not in {o.instrument for o in judge(inputs(**{field: array}), batch(), MANDATE).approved}


@pytest.mark.parametrize("value", [None, "", Decimal("NaN"), Decimal("Infinity"), float("nan")], ids=repr)
@pytest.mark.parametrize(
    "field", ["positions", "open_quantity", "quantity_step", "tick_size", "mic", "currency", "sector", "country"]
)
@pytest.mark.parametrize("name", ["MBD"])
def test_a_garbage_fact_of_one_name_never_buys_it(field: str, name: str, value: object) -> None:
    """G3: the same for facts that are no arrays."""
    values = tuple(value if n == name else v for n, v in zip(NAMES, getattr(inputs(), field), strict=True))
    assert name not in {o.instrument for o in judge(inputs(**{field: values}), batch(), MANDATE).approved}


@pytest.mark.parametrize("field", ["price", "positions", "open_quantity"])
def test_a_held_name_of_unknown_value_stops_all_buys(field: str) -> None:
    """G3: the book is unknown when one of its names is."""
    values = [np.nan if n == "MBB" else v for n, v in zip(NAMES, getattr(inputs(), field), strict=True)]
    assert no_buys(inputs(**{field: np.array(values, dtype=float) if field == "price" else tuple(values)}))


@pytest.mark.parametrize("value", [*GARBAGE, 0.0, -1.0], ids=repr)
@pytest.mark.parametrize("currency", ["EUR", "JPY"])
def test_a_garbage_rate_stops_all_buys(currency: str, value: object) -> None:
    """G3: a rate of a held currency."""
    assert no_buys(inputs(fx_rates={**inputs().fx_rates, currency: value}))


@pytest.mark.parametrize(
    "value", [None, "", Decimal("NaN"), Decimal("Infinity"), Decimal("-Infinity"), float("nan")], ids=repr
)
@pytest.mark.parametrize("currency", ["USD", "EUR", "CHF"])
def test_garbage_cash_stops_all_buys(currency: str, value: object) -> None:
    """G3: cash of any currency, also of one without a rate."""
    assert no_buys(inputs(cash={"USD": Decimal(860_000), currency: value}))


@pytest.mark.parametrize("value", GARBAGE, ids=repr)
@pytest.mark.parametrize("field", sorted(set(names_of(BookState)) - UNREAD_BOOK))
def test_a_garbage_book_state_never_buys(field: str, value: object) -> None:
    """G3: each field of the book's state that a control reads."""
    if value == "" and field in ("halt_class", "no_buys"):
        return
    facts = inputs(book=replace(inputs().book, **{field: value}))
    if field in ("lots", "nav_history", "turnover", "stop_hits", "blocked", "passive") and value == "":
        facts = inputs(book=replace(inputs().book, **{field: None}))
    assert no_buys(facts)


@pytest.mark.parametrize("value", GARBAGE, ids=repr)
@pytest.mark.parametrize("field", sorted(set(names_of(FactorModel)) - UNREAD_MODEL))
def test_a_garbage_factor_model_never_buys(field: str, value: object) -> None:
    """G3: each field of the factor model that a control reads."""
    model = inputs().factor_model
    try:
        broken = replace(model, **{field: value})
    except (AssertionError, TypeError, AttributeError):
        return  # the model refuses to exist
    assert no_buys(inputs(factor_model=broken))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    "field", ["returns", "beta", "specific_variance", "scenario_returns", "scenario_factor_returns"]
)
def test_a_garbage_risk_number_never_buys(field: str, value: float) -> None:
    """G3: one bad number of a held name in the factor model."""
    array = np.array(getattr(inputs().factor_model, field))
    array[..., NAMES.index("MBB")] = value
    assert no_buys(inputs(factor_model=replace(inputs().factor_model, **{field: array})))


@pytest.mark.parametrize("value", GARBAGE, ids=repr)
@pytest.mark.parametrize("field", names_of(TradeFacts))
def test_a_garbage_trade_fact_never_buys(field: str, value: object) -> None:
    """G3: each field of what the order controls know, replaced as a whole; price levels have a floor for US listings alone."""
    judged = judge(inputs(trade=trade(**{field: value})), batch(), MANDATE)
    assert [o.instrument for o in buys(judged.approved)] in ([[], ["MBH"]] if field == "price_level" else [[]])


@pytest.mark.parametrize("value", [*GARBAGE, 0.0], ids=repr)
@pytest.mark.parametrize("field", ["listed_on", "ticker", "name", "issuer"])
def test_a_garbage_listing_of_one_name_never_buys_it(field: str, value: object) -> None:
    """G3: one name whose listing cannot be read. An empty ticker or name is not restricted, an empty issuer is an unknown one."""
    if value == "" and field != "listed_on":
        return
    values = tuple(value if n == "MBD" else v for n, v in zip(NAMES, getattr(trade(), field), strict=True))
    facts = inputs(trade=trade(**{field: values}))
    assert "MBD" not in {o.instrument for o in judge(facts, batch(), MANDATE).approved}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("field", ["price_level", "history_sessions", "move", "target"])
def test_a_garbage_trade_number_of_one_name_never_buys_it(field: str, value: float) -> None:
    """G3: one bad number in a name's facts, no buy in that name."""
    array = np.array(getattr(trade(), field), dtype=float)
    array[NAMES.index("MBD")] = value
    facts = inputs(trade=trade(**{field: array}))
    assert "MBD" not in {o.instrument for o in judge(facts, batch(), MANDATE).approved}


AT = dt.datetime(2018, 12, 11, 15, 0, tzinfo=dt.UTC)
GARBAGE_INSIDE = {
    "a difference": {"price_difference": {"MBD": "none"}},
    "a difference NaN": {"price_difference": {"MBD": float("nan")}},
    "a quote": {"quotes": {"MBD": (None, None)}},
    "a quote NaN": {"quotes": {"MBD": (99.0, float("nan"))}},
    "a crossed quote": {"quotes": {"MBD": (101.0, 99.0)}},
    "an event": {"events": (None,)},
    "an open order": {"open_orders": (None,)},
    "a sent order": {"sent": (None,)},
    "a sent order of numbers": {"sent": (SentOrder(None, None, None, None, None),)},  # type: ignore[arg-type]
    "a fill": {"fills": (None,)},
    "a fill NaN": {"fills": (Filled("x", "MBD", Side.BUY, float("nan"), 100.0, 100.0, AT),)},
    "a plan NaN": {"fills": (Filled("x", "MBD", Side.BUY, 100.0, float("nan"), 100.0, AT),)},
    "a price NaN": {"fills": (Filled("x", "MBD", Side.BUY, 100.0, 100.0, float("nan"), AT),)},
    "an unsettled sale": {"unsettled": {"USD": None}},
    "an unsettled sale NaN": {"unsettled": {"USD": Decimal("NaN")}},
    "a session": {"next_sessions": {**trade().next_sessions, "XNYS": None}},
    "a session without hours": {"next_sessions": {**trade().next_sessions, "XNYS": NextSession(STALE, None, None)}},  # type: ignore[arg-type]
}


@pytest.mark.parametrize("case", GARBAGE_INSIDE)
def test_garbage_inside_a_trade_fact_never_buys_it(case: str) -> None:
    """G3: whatever is unreadable inside of a collection, nothing is bought in the name that it is about."""
    facts = inputs(trade=trade(**GARBAGE_INSIDE[case]))
    assert "MBD" not in {o.instrument for o in judge(facts, batch(), MANDATE).approved}


@pytest.mark.parametrize("value", GARBAGE, ids=repr)
@pytest.mark.parametrize("field", ["status", "residual", "doubts"])
def test_a_garbage_answer_never_buys(field: str, value: object) -> None:
    """G3: the optimizer's answer."""
    assert no_buys(inputs(optimizer=replace(OptimizerAnswer("optimal", "mean_variance", 0.0), **{field: value})))


def test_yesterdays_facts_never_buy() -> None:
    """G3: a book state or a factor model of another session is stale; so are a model without a name or without its budget."""
    facts, model = inputs(), inputs().factor_model
    assert no_buys(inputs(book=replace(facts.book, session=STALE)))
    assert no_buys(inputs(factor_model=replace(model, session=STALE)))
    assert no_buys(inputs(session=STALE))
    assert no_buys(inputs(factor_model=replace(model, scenario_kinds=("crash", "bear", "crash"))))
    renamed = tuple(sorted({*NAMES[:-1], "MBZ"} - {"MBD"} | {"MBY"}))
    assert no_buys(inputs(factor_model=replace(model, instruments=renamed)))


@pytest.mark.parametrize("value", [*GARBAGE, Decimal("NaN"), 0, -5, Decimal("sNaN")], ids=repr)
@pytest.mark.parametrize(
    "field", [f.name for f in dataclasses.fields(Order) if f.name not in ("reason", "leg", "batch_no")]
)
def test_a_garbage_order_sends_nothing(field: str, value: object) -> None:
    """G3, RC-01: each field of an order that decides where, when and how much; a limit on open has no other price."""
    if value is None and getattr(batch()[0], field) is None:
        return
    orders = (replace(batch()[0], **{field: value}), *batch()[1:])
    assert judge(inputs(), orders, MANDATE).approved == ()


def test_a_control_that_raises_answers_its_fail_status() -> None:
    """G2: all controls run; none is skipped when another one cannot be computed."""
    results = run_controls(inputs(factor_model=None, breaks=None), batch(), MANDATE)
    assert {r.control for r in results} == {rule.id for rule, _ in CONTROLS}
    failed = {r.control: r.status for r in results if "cannot be computed" in r.message}
    shrunk = ("RC-42", "RC-43", "RC-44", "RC-45", "RC-46", "RC-49", "RC-50")
    assert failed == {
        **dict.fromkeys(shrunk, Status.SHRINK),
        "RC-24": Status.REJECT_ORDER,
        "RC-47": Status.WARN,
        "RC-67": Status.HALT,
        "RC-74": Status.HALT,
    }
