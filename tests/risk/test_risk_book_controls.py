"""Limits on the projected book: left sides in closed form, boundaries, the passive case."""

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from risk_world import MANDATE, NAMES, NAV, batch, book_state, factor_model, inputs, leg, order, tweaked

from marketbot_assets.risk.book_controls import shortfall
from marketbot_assets.risk.control import ControlResult
from marketbot_assets.risk.inputs import RiskInputs
from marketbot_assets.risk.verdict import judge, run_controls
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import Order, Status

EPS = 1e-6


def answer(
    facts: RiskInputs, orders: tuple[Order, ...], mandate: Mandate, control: str, key: str = ""
) -> ControlResult:
    facts = replace(facts, mandate_sha256=mandate.sha256)
    found = [r for r in run_controls(facts, orders, mandate) if r.control == control and r.key == key]
    assert len(found) == 1, [r.key for r in run_controls(facts, orders, mandate) if r.control == control]
    return found[0]


# After the batch of risk_world: A 1 %, B C D E I K 2 %, G 1.6 % (200 * 80 * 1.25 = 20,000, so 2 %), H 1 %, L 1 %.
WEIGHTS = {
    "MBA": 0.01,
    "MBB": 0.02,
    "MBC": 0.02,
    "MBD": 0.02,
    "MBE": 0.02,
    "MBG": 0.02,
    "MBH": 0.01,
    "MBI": 0.02,
    "MBK": 0.02,
    "MBL": 0.01,
}
W = np.array([WEIGHTS.get(name, 0.0) for name in NAMES])
BUY_COSTS = 20_000 * 3.5e-4 + 10_000 * 2.5e-4 + 10_000 * 7.5e-4
SELL_COSTS = 10_000 * 3.5e-4
LEG_COSTS = 8_100 * 1.25 * 2e-4
CASH_AFTER = (860_000 - 40_000 - BUY_COSTS + 10_000 - SELL_COSTS - LEG_COSTS) / NAV

CAPS = [
    ("RC-30", "MBD", "position.hard", 0.02, Status.SHRINK),
    ("RC-32", "HEALTH", "sector.hard", 0.04, Status.SHRINK),
    ("RC-35", "EUR", "currency.hard", 0.03, Status.SHRINK),
    ("RC-35", "DE", "country_ex_home.hard", 0.03, Status.SHRINK),
    ("RC-35", "non-base", "non_base.hard", 0.05, Status.SHRINK),
    ("RC-36", "", "gross.hard", 0.17, Status.REJECT_BATCH),
    ("RC-39", "", "hhi.hard", 7 * 0.02**2 + 3 * 0.01**2, Status.SHRINK),
    ("RC-40", "", "top10.hard", 0.17, Status.SHRINK),
    ("RC-41", "buys of the day", "turnover.buys_per_day.hard", 0.04, Status.SHRINK),
    ("RC-46", "H2008L", "crash_replay.hard", float(0.3 * np.linspace(0.8, 1.2, 12) @ W), Status.SHRINK),
    ("RC-46", "H2008", "bear_replay.hard", float(0.5 * np.linspace(0.8, 1.2, 12) @ W), Status.SHRINK),
    ("RC-46", "WORST5", "drawdown_budget.hard", float(0.18 * np.linspace(0.8, 1.2, 12) @ W), Status.SHRINK),
    ("RC-46", "Y1", "instant.hard", float(0.3 * np.linspace(0.8, 1.2, 12) @ W), Status.SHRINK),
    ("RC-46", "Y3 HEALTH", "instant.hard", 0.4 * 0.04, Status.SHRINK),
    ("RC-46", "Y5", "instant.hard", 0.5 * 5 * 0.02, Status.SHRINK),
    ("RC-46", "Y7", "instant.hard", 0.15 * (0.05 + (8_100 - 8_000) * 1.25 / NAV), Status.SHRINK),
    (
        "RC-46", "FED", "fed_severe.hard",
        float(0.58 * np.linspace(0.8, 1.2, 12) @ W + 2.33 * (0.04 * 0.75 * (W**2).sum()) ** 0.5), Status.SHRINK,
    ),
    (
        "RC-46", "Y6", "instant.hard",
        float(2.33 * 2 * 0.012 * (0.1 * (W**2).sum() + 0.9 * W.sum() ** 2) ** 0.5), Status.SHRINK,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("control", "key", "path", "observed", "fail"), CAPS, ids=[f"{c[0]} {c[1]}" for c in CAPS])
def test_a_cap_holds_at_its_limit_and_breaks_beyond_it(
    control: str, key: str, path: str, observed: float, fail: Status
) -> None:
    """G9: every cap passes below and at its limit, fails beyond, and its left side is the closed form."""
    path = f"limits.{path}"
    # Without a warning line, so that only the hard limit speaks; a position is named only when it does not pass.
    mandate = (
        tweaked(MANDATE, path.replace("hard", "warn"), None)
        if "budget" not in path
        else tweaked(MANDATE, "limits.drawdown_budget.floor", 0.0)
    )
    facts, orders = inputs(), batch()
    above = tweaked(mandate, path, observed * (1.0 - EPS))
    broken = answer(facts, orders, above, control, key)
    assert broken.status is fail
    assert broken.observed == pytest.approx(observed, rel=1e-9)
    assert broken.order_ids
    for factor in (1.0, 1.0 + EPS):
        good = [
            r for r in run_controls(replace(facts, mandate_sha256=""), orders, tweaked(mandate, path, observed * factor))
            if r.control == control and r.key == key
        ]  # fmt: skip
        assert [r.status for r in good if r.status > Status.WARN] == []


def test_funds_are_a_bucket_of_their_own() -> None:
    """RC-34: funds sum to their bucket, at its edge they pass, beyond they shrink, and no sector holds them."""
    facts, orders = inputs(), batch()
    for factor, status in ((1.0 - EPS, Status.SHRINK), (1.0, Status.PASS), (1.0 + EPS, Status.PASS)):
        mandate = tweaked(
            tweaked(MANDATE, "universe.fund_bucket.hard", 0.03 * factor), "universe.fund_bucket.warn", None
        )
        result = answer(facts, orders, mandate, "RC-34")
        assert result.status is status
        assert result.observed == pytest.approx(0.03)
    assert "FUND" not in {r.key for r in run_controls(facts, orders, MANDATE) if r.control == "RC-32"}


def test_names_of_unknown_sector_have_a_small_bucket() -> None:
    """RC-32: the unknown sector is capped by the mandate's own number, a missing sector fails."""
    facts = inputs()
    sectors = tuple("UNKNOWN" if s == "HEALTH" else s for s in facts.sector)
    mandate = tweaked(MANDATE, "universe.unknown_sector_cap", 0.0399)
    assert answer(replace(facts, sector=sectors), batch(), mandate, "RC-32", "UNKNOWN").status is Status.SHRINK
    missing = tuple("" if s == "HEALTH" else s for s in facts.sector)
    assert answer(replace(facts, sector=missing), batch(), MANDATE, "RC-32", "unlabelled").status is Status.SHRINK


@pytest.mark.parametrize(("shift", "status"), [(-EPS, Status.PASS), (0.0, Status.PASS), (EPS, Status.REJECT_BATCH)])
def test_the_cash_floor_counts_costs_and_legs(shift: float, status: Status) -> None:
    """RC-38: cash after buys at limit, costs, sells and conversions, against a floor."""
    floor = MANDATE.limits.cash_floor.model_copy(
        update={"hard": CASH_AFTER + shift, "warn": CASH_AFTER + shift, "target": 0.9}
    )
    mandate = tweaked(MANDATE, "limits.cash_floor", floor)
    result = answer(inputs(), batch(), mandate, "RC-38")
    assert result.observed == pytest.approx(CASH_AFTER, abs=1e-12)
    assert result.status is status


def test_a_sell_beyond_the_holding_is_refused() -> None:
    """RC-20: long only; a batch that would leave a short rejects, and what remains is the honest part."""
    orders = (order("MBA", "SELL", 201), order("MBB", "SELL", 200))
    result = answer(inputs(), orders, MANDATE, "RC-20", "MBA")
    assert (result.status, result.observed) == (Status.REJECT_BATCH, -1.0)
    judged = judge(inputs(), orders, MANDATE)
    assert judged.verdict == "APPROVED"
    assert [o.instrument for o in judged.approved] == ["MBB"]


def test_buys_count_at_their_limit_price() -> None:
    """Projected book: a buy weighs what it may cost, not what the last close says."""
    orders = (order("MBD", "BUY", 200, "103"),)
    mandate = tweaked(MANDATE, "limits.position.warn", 0.02)
    result = answer(inputs(), orders, mandate, "RC-30", "MBD")
    assert result.observed == pytest.approx(200 * 103 / NAV)


def test_open_orders_are_part_of_the_book() -> None:
    """Projected book: open orders count as filled, at the last close."""
    opened = tuple(Decimal(300) if name == "MBD" else Decimal(0) for name in NAMES)
    mandate = tweaked(MANDATE, "limits.position.hard", 0.045)
    result = answer(inputs(open_quantity=opened), (order("MBD", "BUY", 200),), mandate, "RC-30", "MBD")
    assert (result.status, result.observed) == (Status.SHRINK, pytest.approx(0.05))


def heavy(**changes: object) -> RiskInputs:
    """A book whose technology sector drifted to 21 %: 1,050 shares of A and of B."""
    shares = tuple(Decimal(1050) if name in ("MBA", "MBB") else Decimal(0) for name in NAMES)
    return inputs(positions=shares, cash={"USD": Decimal(790_000)}, **changes)


def test_a_passive_breach_warns_without_a_buy_that_counts() -> None:
    """DESIGN: observed(with) <= max(limit, observed(without)) and no buy that this limit counts gives WARN passive."""
    assert answer(heavy(), (order("MBC", "BUY", 100),), MANDATE, "RC-32", "TECHNOLOGY").status is Status.WARN
    sold = answer(heavy(), (order("MBA", "SELL", 10),), MANDATE, "RC-32", "TECHNOLOGY")
    assert (sold.status, sold.message[:7]) == (Status.WARN, "passive")


def test_a_buy_in_a_passive_breach_is_cut_to_nothing() -> None:
    """DESIGN: beyond the limit, a buy that the limit counts goes; others stay."""
    loose = tweaked(tweaked(MANDATE, "limits.position.hard", 0.5), "limits.passive_breach.no_buys", 0.5)
    loose = tweaked(loose, "limits.hhi.hard", 0.5)
    judged = judge(heavy(mandate_sha256=loose.sha256), (order("MBA", "BUY", 10), order("MBC", "BUY", 10)), loose)
    assert judged.verdict == "APPROVED"
    assert [o.instrument for o in judged.approved] == ["MBC"]
    assert judged.changes == (("mb1-mba-buy", Decimal(10), Decimal(0), "RC-32"),)


def test_selling_room_is_lent_to_buys_of_the_same_group() -> None:
    """SHRINK: what the batch's own sells free may be bought: 21 % - 2 % sold + x <= 20 % gives x = 1 %."""
    loose = tweaked(tweaked(MANDATE, "limits.position.hard", 0.5), "limits.passive_breach.no_buys", 0.5)
    loose = tweaked(loose, "limits.hhi.hard", 0.5)
    orders = (order("MBA", "SELL", 200), order("MBB", "BUY", 300))
    judged = judge(heavy(mandate_sha256=loose.sha256), orders, loose)
    assert {o.instrument: o.quantity for o in judged.approved} == {"MBA": Decimal(200), "MBB": Decimal(100)}


def naive_volatility(w: np.ndarray, facts: RiskInputs) -> float:
    """Full covariance matrices, entry by entry."""
    model = facts.factor_model
    weights = [0.5 ** ((len(model.returns) - 1 - t) / model.ewma_halflife) for t in range(len(model.returns))]
    ewma = sum(x * np.outer(r, r) for x, r in zip(weights, model.returns, strict=True)) / sum(weights)
    window = model.returns[-model.ledoit_wolf_sessions :]
    sample = sum(np.outer(r, r) for r in window) / len(window)
    wolf = (1 - model.shrinkage) * sample + model.shrinkage * model.shrink_variance * np.eye(len(w))
    return float(max(np.sqrt(252 * w @ s @ w) for s in (ewma, wolf)))


def test_volatility_is_the_larger_of_two_estimators() -> None:
    """RC-42: both covariances by hand; at the limit it passes, beyond it shrinks, at half target it is noted."""
    facts = inputs()
    vol = naive_volatility(W, facts)
    for factor, status in ((1 - EPS, Status.SHRINK), (1.0, Status.PASS), (1 + EPS, Status.PASS)):
        mandate = tweaked(MANDATE, "limits.ex_ante_vol.hard_multiple", vol * factor / 0.10)
        mandate = tweaked(mandate, "limits.ex_ante_vol.warn_multiple", vol * 2 / 0.10)
        result = answer(facts, batch(), mandate, "RC-42", "upper")
        assert result.status is status
        assert result.observed == pytest.approx(vol, rel=1e-12)
    settled = inputs(book=book_state(sessions_since_build=30))
    assert answer(settled, batch(), MANDATE, "RC-42", "lower").status is Status.WARN
    assert answer(facts, batch(), MANDATE, "RC-42", "lower").status is Status.PASS


def test_the_volatility_limit_follows_the_ladder() -> None:
    """RC-42 and RC-60: the book's multiple scales the limit, and never more than the drawdown allows."""
    halved = inputs(book=book_state(multiple=0.5))
    assert answer(halved, batch(), MANDATE, "RC-42", "upper").limit == pytest.approx(0.055)
    careless = inputs(book=book_state(drawdown=0.075, reference_high=NAV / 0.925, multiple=1.0))
    assert answer(careless, batch(), MANDATE, "RC-42", "upper").limit == pytest.approx(0.11 * 0.75)


def test_expected_shortfall_is_the_mean_of_the_tail() -> None:
    """RC-44: 300 sessions at 2.5 % are the 7 worst losses and half of the eighth."""
    losses = np.sort(-(factor_model().returns @ W))[::-1]
    expected = (losses[:7].sum() + 0.5 * losses[7]) / 7.5
    for factor, status in ((1 - EPS, Status.SHRINK), (1.0, Status.PASS), (1 + EPS, Status.PASS)):
        mandate = tweaked(tweaked(MANDATE, "limits.es.hard", expected * factor), "limits.es.warn", None)
        result = answer(inputs(), batch(), mandate, "RC-44")
        assert result.status is status
        assert result.observed == pytest.approx(expected, rel=1e-12)


def test_expected_shortfall_of_a_normal_sample() -> None:
    """RC-44: 97.5 % of a standard normal has the published shortfall 2.3378."""
    quantiles = (np.arange(200_000) + 0.5) / 200_000
    from scipy.stats import norm

    assert shortfall(norm.ppf(quantiles)[:, None])[0] == pytest.approx(2.3378, abs=2e-3)


def test_rolling_turnover_only_warns_and_not_in_the_build_up() -> None:
    """RC-41: 60 % in 21 sessions is noted once the book is built, it never stops a sell or a buy."""
    busy = (0.04,) * 20
    late = answer(
        inputs(book=book_state(turnover=busy, sessions_since_build=11)),
        batch(),
        MANDATE,
        "RC-41",
        "one way, 21 sessions",
    )
    assert (late.status, late.observed) == (Status.WARN, pytest.approx(0.8 + 0.025))
    early = answer(inputs(book=book_state(turnover=busy)), batch(), MANDATE, "RC-41", "one way, 21 sessions")
    assert early.status is Status.PASS


@pytest.mark.parametrize(("shares", "kept"), [(319, 319), (320, 320), (321, 320)])
def test_one_name_is_bought_in_small_steps(shares: int, kept: int) -> None:
    """RC-41: at most 3.2 % of NAV in one name and day, cut to whole shares."""
    judged = judge(inputs(), (order("MBD", "BUY", shares),), MANDATE)
    assert [o.quantity for o in judged.approved] == [Decimal(kept)]


def test_a_leg_without_buys_has_no_base_exposure_left() -> None:
    """Y7: cash in other currencies counts, a conversion for its own sake shows."""
    orders = (leg("EUR", "BUY", "80000"),)
    result = answer(inputs(), orders, MANDATE, "RC-46", "Y7")
    assert result.observed == pytest.approx(0.15 * (0.04 + 0.10))
