"""Whole answers of the limits on the projected book, its exposures, tail and stresses. Every number is written out by hand.

Before the batch seven names hold 2 % each. The batch buys MBD (2 %), MBL and MBH (1 % each) and sells half of MBA.
"""

import math
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from answer_rows import BATCH, BUYS, NAN, PASS, SHRINK, WARN, D, H, L, N, holding, limits, projected, row, swings
from risk_world import NAMES, NAV, answers, batch, book_state, factor_model, inputs, order

from marketbot_assets.book.state import Rung, StopHit
from marketbot_assets.risk import book_controls as book
from marketbot_assets.risk.control import ControlResult, Rule, cap, keep_share, tightest, within, worst
from marketbot_resources.model import Status

RULE = Rule("RC-99", "a rule", SHRINK)


# The shared comparison


@pytest.mark.parametrize(
    ("seen", "limit", "expected"),
    [
        (9e-10, 0.0, True), (1e-9, 0.0, True), (1.1e-9, 0.0, False), (0.5 + 9e-10, 0.5, True), (0.5 + 1.1e-9, 0.5, False),
        (100.0 + 9e-8, 100.0, True), (100.0 + 1.1e-7, 100.0, False), (-100.0 + 9e-8, -100.0, True),
        (-100.0 + 1.1e-7, -100.0, False), (1.0, math.inf, False), (-math.inf, 1.0, False), (NAN, 1.0, False),
    ],
)  # fmt: skip
def test_the_tolerance_is_a_billionth_of_the_limit_and_of_one_at_least(
    seen: float, limit: float, expected: bool
) -> None:
    """G9."""
    assert within(seen, limit) is expected


@pytest.mark.parametrize(
    ("seen", "start", "limit", "expected"),
    [(0.5, 0.1, 0.2, 0.25), (0.5, 0.1, 0.1, 0.0), (0.5, 0.1, 0.0, 0.0), (0.5, 0.1, 0.9, 1.0), (0.1, 0.1, 0.1, 0.0)],
)
def test_the_share_that_stays_is_linear(seen: float, start: float, limit: float, expected: float) -> None:
    """(limit - start) / (seen - start), in [0, 1]."""
    assert keep_share(seen, start, limit) == pytest.approx(expected)


CAPS = [
    ((0.2, 0.1, 0.1), {}, (PASS, (), 1.0, 0.2, 0.3, 0.1)),
    ((0.2, 0.1, 0.1), {"warn": 0.2}, (PASS, (), 1.0, 0.2, 0.3, 0.1)),
    ((0.2, 0.1, 0.1), {"warn": 0.19}, (WARN, (), 1.0, 0.2, 0.3, 0.1)),
    ((0.5, 0.2, 0.1), {}, (SHRINK, BUYS, 0.5, 0.5, 0.3, -0.2)),
    ((0.5, 0.6, 0.1), {"counted": (D,)}, (SHRINK, (D,), 0.5, 0.5, 0.3, -0.2)),
    ((0.5, 0.5, 0.1), {"counted": ()}, (WARN, (), 1.0, 0.5, 0.3, -0.2)),
    ((0.5, 0.4, 0.1), {"counted": ()}, (SHRINK, (), 0.5, 0.5, 0.3, -0.2)),
    ((NAN, 0.4, 0.1), {"counted": (D,)}, (SHRINK, BUYS, 0.0, None, 0.3, None)),
    ((0.5, NAN, 0.1), {"counted": ()}, (SHRINK, (), 0.5, 0.5, 0.3, -0.2)),
]  # fmt: skip


@pytest.mark.parametrize(("seen", "options", "expected"), CAPS)
def test_a_cap_in_all_its_cases(
    seen: tuple[float, ...], options: dict[str, object], expected: tuple[object, ...]
) -> None:
    """Inside, noted, beyond, passive, made worse, unknown."""
    found = cap(RULE, projected(), seen, hard=0.3, key="k", unit="u", **options)  # type: ignore[arg-type]
    assert row(found) == expected
    assert (found.key, found.unit, found.control) == ("k", "u", "RC-99")
    assert (found.message == "") is (expected[0] is PASS)


def test_what_is_told_of_many_answers() -> None:
    """Everything loud; else the tightest; else the empty answer. No answers are HALT. A result names no order by itself."""
    one, other = (RULE.result(PASS, observed=x, limit=1.0) for x in (0.5, 0.7))
    loud = [RULE.result(WARN), RULE.result(SHRINK)]
    assert tightest([one, loud[0], other, loud[1]], one) == tuple(loud)
    assert tightest([one, other], loud[0]) == (other,)
    assert tightest([], loud[0]) == (loud[0],)
    far = RULE.result(PASS, observed=2.0, limit=1.0)
    assert tightest([one, RULE.result(PASS), far], one) == (far,)
    assert tightest([one, RULE.result(PASS)], one) == (RULE.result(PASS),)
    assert (worst([one, loud[1], loud[0]]), worst([])) == (SHRINK, Status.HALT)
    bare = ControlResult("RC-99", "", "", "1", PASS, None, None, None, "", "")
    assert (bare.order_ids, bare.keep) == ((), 1.0)
    assert (RULE.result(PASS).unit, RULE.result(PASS, unit="").unit) == ("fraction of NAV", "")


# Limits on weights: (control, mandate, key -> whole answer) after the batch

WEIGHTS = [
    (book.position, [("limits.position.hard", 0.02), ("limits.position.warn", None)], {"MBB": (PASS, (), 1.0, 0.02, 0.02, 0.0)}),
    (book.position, [("limits.position.hard", 0.015), ("limits.position.warn", None)],
     {"MBD": (SHRINK, (D,), 0.75, 0.02, 0.015, -0.005), "MBB": (WARN, (), 1.0, 0.02, 0.015, -0.005)}),
    (book.position, [("limits.position.hard", 0.03), ("limits.position.warn", 0.0199)],
     {"MBD": (WARN, (), 1.0, 0.02, 0.03, 0.01), "MBB": (WARN, (), 1.0, 0.02, 0.03, 0.01)}),
    (book.sector, [("limits.sector.hard", 0.03), ("limits.sector.warn", None)],
     {"HEALTH": (SHRINK, (D,), 0.5, 0.04, 0.03, -0.01), "STAPLES": (PASS, (), 1.0, 0.03, 0.03, 0.0),
      "TECHNOLOGY": (PASS, (), 1.0, 0.03, 0.03, 0.0), "UNKNOWN": (PASS, (), 1.0, 0.0, 0.05, 0.05)}),
    (book.sector, [("limits.sector.hard", 0.05), ("limits.sector.warn", 0.039)], {"HEALTH": (WARN, (), 1.0, 0.04, 0.05, 0.01)}),
    (book.funds, [("universe.fund_bucket.hard", 0.025)], {"": (SHRINK, (L,), 0.5, 0.03, 0.025, -0.005)}),
    (book.currency, [("limits.currency.hard", 0.025), ("limits.country_ex_home.hard", 0.025), ("limits.non_base.hard", 0.0475)],
     {"EUR": (SHRINK, (H,), 0.5, 0.03, 0.025, -0.005), "DE": (SHRINK, (H,), 0.5, 0.03, 0.025, -0.005),
      "JPY": (PASS, (), 1.0, 0.02, 0.025, 0.005), "JP": (PASS, (), 1.0, 0.02, 0.025, 0.005),
      "non-base": (SHRINK, (H,), 0.75, 0.05, 0.0475, -0.0025)}),
    (book.gross, [("limits.gross.hard", 0.15), ("limits.gross.warn", None)], {"": (BATCH, BUYS, 0.5, 0.17, 0.15, -0.02)}),
    (book.gross, [("account.leverage", 0.15)], {"": (BATCH, BUYS, 0.5, 0.17, 0.15, -0.02)}),
    (book.net, [], {"net": (PASS, (), 1.0, 0.17, 1.0, 0.83)}),
    (book.concentration, [("limits.hhi.hard", 0.0026), ("limits.hhi.warn", None)],
     {"": (SHRINK, BUYS, 0.1 / 0.6, 0.0031, 0.0026, -0.0005)}),
    (book.top_ten, [("limits.top10.hard", 0.15), ("limits.top10.warn", None)], {"": (SHRINK, BUYS, 0.5, 0.17, 0.15, -0.02)}),
    (book.turnover, [("limits.turnover.buys_per_day.hard", 0.03), ("limits.turnover.name_buy_per_day.hard", 0.015)],
     {"buys of the day": (SHRINK, BUYS, 0.75, 0.04, 0.03, -0.01), "MBD": (SHRINK, (D,), 0.75, 0.02, 0.015, -0.005),
      "one way, 21 sessions": (PASS, (), 1.0, 20 * 0.01 - 0.01 * 0 + 0.025, 0.65, 0.425)}),
]  # fmt: skip


@pytest.mark.parametrize(("control", "changes", "expected"), WEIGHTS)
def test_whole_answers_of_limits_on_weights(control, changes, expected) -> None:  # type: ignore[no-untyped-def]
    """Left side, limit, room, orders and the share that stays."""
    found = answers(control, inputs(), batch(), limits(*changes))
    assert {key: row(found[key]) for key in expected} == expected


SHORT = inputs(positions=holding(MBA=-300, MBG=-200, MBK=-200))


@pytest.mark.parametrize(
    ("control", "expected"),
    [
        (book.position, {"MBA": 0.03}), (book.sector, {"STAPLES": 0.02, "TECHNOLOGY": 0.03}), (book.funds, {"": 0.02}),
        (book.currency, {"EUR": 0.02, "DE": 0.02, "non-base": 0.02}), (book.gross, {"": 0.07}), (book.top_ten, {"": 0.07}),
        (book.concentration, {"": 0.0017}),
    ],
)  # fmt: skip
def test_what_is_short_counts_by_its_size(control, expected) -> None:  # type: ignore[no-untyped-def]
    """3 % and twice 2 % short."""
    found = answers(control, SHORT)
    assert {key: found[key].observed for key in expected} == pytest.approx(expected)


def test_an_empty_market_has_no_position() -> None:
    """RC-30: no instruments at all."""
    p = replace(projected(), weights=np.zeros((0, 3)))
    (found,) = book.position(p)
    assert row(found) == (PASS, (), 1.0, 0.0, 0.05, 0.05)


def test_a_held_name_without_currency_or_sector_fails_its_group() -> None:
    """RC-32, RC-35: a label that is missing; the fund's sector is not asked for, an equity that calls itself one is unknown."""
    there = inputs()
    labels = tuple("" if name == "MBA" else c for name, c in zip(NAMES, there.currency, strict=True))
    found = answers(book.currency, replace(there, currency=labels), batch())
    assert row(found["unlabelled"]) == (SHRINK, BUYS, 0.0, None, 0.0, None)
    idle = tuple("" if name == "MBJ" else c for name, c in zip(NAMES, there.currency, strict=True))
    assert "unlabelled" not in answers(book.currency, replace(there, currency=idle), batch())
    fund = tuple("FUND" if name == "MBA" else s for name, s in zip(NAMES, there.sector, strict=True))
    found = answers(book.sector, replace(there, sector=fund), batch())
    assert (sorted(found), found["UNKNOWN"].observed) == (
        ["ENERGY", "HEALTH", "INDUSTRIALS", "STAPLES", "TECHNOLOGY", "UNKNOWN"], pytest.approx(0.01),
    )  # fmt: skip


def test_cash_after_the_batch() -> None:
    """RC-38: 860,000 less buys, costs and the conversion's cost; an open buy is paid; the floor's room and share by hand."""
    costs = 20_000 * 3.5e-4 + 10_000 * 2.5e-4 + 10_000 * 7.5e-4
    start = 860_000 - 5 * 100
    sold = 10_000 - 10_000 * 3.5e-4
    after = (start - 40_000 - costs + sold - 8_100 * 1.25 * 2e-4) / NAV
    opened = tuple(Decimal(5 if name == "MBE" else 0) for name in NAMES)
    facts = inputs(open_quantity=opened)
    assert book.cash_fraction(projected(facts)).tolist() == pytest.approx(
        [after, start / NAV, (start + sold) / NAV], abs=1e-12
    )
    assert (
        book.cash_fraction(projected(inputs(cash={"USD": Decimal(1), "XXX": Decimal(0)}), orders=())).tolist()
        == [1e-6] * 3
    )
    hard = 0.85
    found = answers(book.cash_floor, facts, batch(), limits(("limits.cash_floor.hard", hard)))[""]
    kept = ((start + sold) / NAV - hard) / ((start + sold) / NAV - after)
    assert row(found) == (BATCH, BUYS, kept, after, hard, after - hard)
    noted = limits(("limits.cash_floor.warn", 0.85))
    assert row(answers(book.cash_floor, facts, batch(), noted)[""]) == (WARN, (), 1.0, after, 0.01, after - 0.01)


def test_a_short_and_an_overfull_book() -> None:
    """RC-37: 3 % net short is 3 % below zero; a book of 101.5 % is beyond one."""
    found = answers(book.net, inputs(positions=holding(MBA=-300)), (order("MBD", "SELL", 1),))
    assert row(found["short"]) == (BATCH, (), 1.0, -0.0301, 0.0, -0.0301)
    found = answers(book.net, inputs(positions=holding(MBA=10_000)), (order("MBD", "BUY", 150),))
    assert row(found["net"]) == (BATCH, (D,), 0.0, 1.015, 1.0, -0.015)
    assert "short" not in found


def test_turnover_counts_twenty_sessions_and_half_of_today_without_stops_and_legs() -> None:
    """RC-41: of 21 past sessions the newest 20; a stopped name's sale and the conversion are free."""
    past = (0.5, *(0.01,) * 20)
    hit = StopHit("MBA", "RC-62", 1.0, 2.0)
    key = "one way, 21 sessions"
    facts = inputs(book=book_state(turnover=past))
    assert answers(book.turnover, facts, batch())[key].observed == pytest.approx(0.2 + 0.025)
    facts = inputs(book=book_state(turnover=past, stop_hits=(hit,)))
    assert answers(book.turnover, facts, batch())[key].observed == pytest.approx(0.2 + 0.02)
    hard = limits(("limits.turnover.one_way_21_sessions.hard", 0.21))
    assert row(answers(book.turnover, facts, batch(), hard)[key]) == (SHRINK, BUYS, 0.5, 0.22, 0.21, -0.01)
    lost = inputs(book=book_state(turnover=(NAN,) * 20))
    assert row(answers(book.turnover, lost, batch())[key]) == (SHRINK, BUYS, 0.0, None, None, None)
    beyond = inputs(book=book_state(turnover=(0.05,) * 20, sessions_since_build=10))
    assert row(answers(book.turnover, beyond, batch())[key]) == (WARN, (), 1.0, 1.025, 0.65, -0.375)
    noted = limits(("limits.turnover.name_buy_per_day.warn", 0.015))
    assert row(answers(book.turnover, inputs(), batch(), noted)["MBD"]) == (WARN, (), 1.0, 0.02, 0.032, 0.012)


# Volatility and tails on returns that are easy to add up


def test_volatility_of_both_estimators() -> None:
    """RC-42: one name of 2 % that moves by 1 %: 0.02 % a session; shrunk to 1.5625e-4 by half: larger; sqrt(252) a year."""
    one = inputs(positions=holding(MBA=200), factor_model=swings(), book=book_state(sessions_since_build=10))
    mandate = limits(("limits.ex_ante_vol.hard_multiple", 0.02), ("limits.ex_ante_vol.warn_multiple", 0.01))
    vol = 0.0002 * math.sqrt(252)
    found = answers(book.volatility, one, (), mandate)
    assert row(found["upper"]) == (WARN, (), 1.0, vol, 0.002, 0.002 - vol)
    assert row(found["lower"]) == (WARN, (), 1.0, vol, 0.05, vol - 0.05)
    shrunk = inputs(positions=holding(MBA=200), factor_model=swings(shrinkage=0.5, shrink_variance=2.125e-4))
    assert answers(book.volatility, shrunk)["upper"].observed == pytest.approx(0.02 * 0.0125 * math.sqrt(252))
    window = np.concatenate([np.full((252, N), 0.01), np.full((4, N), 0.03)])
    short = inputs(positions=holding(MBA=200), factor_model=swings(returns=window, ledoit_wolf_sessions=4))
    assert answers(book.volatility, short)["upper"].observed == pytest.approx(0.0006 * math.sqrt(252))
    decayed = np.zeros((3, N))
    decayed[:, 0] = (0.04, 0.02, 0.01)
    fast = inputs(
        positions=holding(MBA=200), factor_model=swings(returns=decayed, ewma_halflife=1, ledoit_wolf_sessions=1)
    )
    mean_square = (4 * 1e-4 + 2 * 4e-4 + 1 * 16e-4) / 7
    mandate = limits(("limits.correlation.sessions", 3))
    assert answers(book.volatility, fast, (), mandate)["upper"].observed == pytest.approx(
        0.02 * math.sqrt(mean_square * 252)
    )


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, WARN), ({"sessions_since_build": 9}, PASS), ({"sessions_since_build": 10}, WARN), ({"rung": Rung.SCALED}, PASS),
        ({"multiple": 0.9}, PASS),
    ],
)  # fmt: skip
def test_a_sleepy_book_is_noted_unless_something_holds_it_back(changes: dict[str, object], status: Status) -> None:
    """RC-42: build-up over, rung FULL, no factor below one."""
    facts = inputs(factor_model=swings(0.001), book=book_state(**{"sessions_since_build": 30, **changes}))
    assert answers(book.volatility, facts)["lower"].status is status


@pytest.mark.parametrize(
    "changes",
    [
        {"ewma_halflife": 0.0}, {"ewma_halflife": math.inf}, {"shrinkage": -0.1}, {"shrinkage": 1.1}, {"shrink_variance": -1.0},
        {"shrink_variance": math.inf}, {"ledoit_wolf_sessions": 0},
    ],
)  # fmt: skip
def test_unusable_estimators_raise(changes: dict[str, object]) -> None:
    """RC-42; the ends of the range themselves are usable."""
    with pytest.raises(ValueError, match="estimators"):
        answers(book.volatility, inputs(factor_model=swings(**changes)))
    for edge in ({"shrinkage": 1.0}, {"shrink_variance": 0.0}, {"ledoit_wolf_sessions": 1}):
        assert "upper" in answers(book.volatility, inputs(factor_model=swings(**edge)))


def test_expected_shortfall_counts_the_last_sessions_and_a_part_of_the_edge() -> None:
    """RC-44: 2.5 % of 100 losses are the worst two and half of the third; of the last 40 the worst alone."""
    losses = np.arange(1.0, 101.0)[:, None]
    assert book.shortfall(losses).tolist() == pytest.approx([(100 + 99 + 98 / 2) / 2.5])
    assert book.shortfall(losses[:10]).tolist() == [10.0]
    returns = np.zeros((256, N))
    returns[[0, 250]] = [[-0.5] * N, [-0.1] * N]
    facts = inputs(factor_model=swings(returns=returns))
    found = answers(
        book.expected_shortfall, facts, batch(), limits(("limits.es.scenarios", 40), ("limits.es.hard", 0.015))
    )
    assert row(found[""]) == (SHRINK, BUYS, 0.5, 0.017, 0.015, -0.002)


def test_a_model_of_another_day_or_another_market_is_refused() -> None:
    """Every control that reads the factor model."""
    with pytest.raises(ValueError, match="misses MBL"):
        book.aligned(projected(inputs(factor_model=factor_model(NAMES[:-1]))))
    with pytest.raises(ValueError, match="expected"):
        book.aligned(projected(inputs(factor_model=factor_model(session=inputs().session.replace(day=10)))))
    columns, weights = book.aligned(projected(inputs(factor_model=factor_model(("LAA", *NAMES)))))
    assert columns == [k + 1 for k in range(N) if NAMES[k] not in ("MBF", "MBJ")]
    assert weights[0].tolist() == pytest.approx([0.01, 0.02, 0.01])
