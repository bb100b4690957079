"""What single answers carry: headroom, the orders named, the share that stays. Numbers by hand from the calm book."""

from decimal import Decimal

import pytest
from risk_world import MANDATE, NAMES, answers, batch, book_state, inputs, order, tweaked

from marketbot_assets.risk.book_controls import cash_floor, net, position, top_ten, turnover, volatility
from marketbot_assets.risk.control import Rule, keep_share
from marketbot_assets.risk.order_controls import order_value
from marketbot_assets.risk.verdict import CONTROLS
from marketbot_resources.model import Status

RULE = Rule("RC-99", "a rule", Status.SHRINK)


def holding(**shares: int) -> tuple[Decimal, ...]:
    return tuple(Decimal(shares.get(name, 0)) for name in NAMES)


def test_headroom_is_what_is_left_to_the_limit() -> None:
    """A cap: limit less observed; a floor: observed less limit; a result keeps orders whole unless it says otherwise."""
    assert RULE.result(Status.PASS, observed=0.25, limit=0.75).headroom == 0.5
    assert RULE.result(Status.PASS, observed=0.75, limit=0.25, is_floor=True).headroom == 0.5
    assert RULE.result(Status.PASS).keep == 1.0


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_no_share_of_the_buys_stays_without_three_numbers(bad: float) -> None:
    """One that is none is enough."""
    assert keep_share(0.5, 0.1, 0.3) == pytest.approx(0.5)
    assert [keep_share(bad, 0.1, 0.3), keep_share(0.5, bad, 0.3), keep_share(0.5, 0.1, bad)] == [0.0, 0.0, 0.0]


def test_a_net_short_book_fails_a_batch_with_sells_and_notes_others() -> None:
    """RC-37: 300 shares short at 100."""
    facts = inputs(positions=holding(MBA=-300))
    assert answers(net, facts, (order("MBD", "SELL", 1),))["short"].status is Status.REJECT_BATCH
    assert answers(net, facts, (order("MBD", "BUY", 1),))["short"].status is Status.WARN


def test_cash_of_other_currencies_counts_at_its_rate() -> None:
    """RC-38: 100,000 dollars and 80,000 euros at 1.25 are 20 % of a million, 19 % above the floor of 1 %."""
    found = answers(cash_floor, inputs(cash={"USD": Decimal(100_000), "EUR": Decimal(80_000)}))[""]
    assert (found.observed, found.headroom) == (pytest.approx(0.2), pytest.approx(0.19))
    low = answers(cash_floor, inputs(cash={"USD": Decimal(12_000)}))[""]
    assert low.status is Status.WARN


def test_a_position_beyond_its_cap_names_the_orders_of_that_name_alone() -> None:
    """RC-30: at 1.5 % the buy of 2 % in one name is named, the buys of 1 % in others are not."""
    mandate = tweaked(tweaked(MANDATE, "limits.position.hard", 0.015), "limits.position.warn", 0.015)
    found = answers(position, inputs(), batch(), mandate)
    assert found["MBD"].order_ids == ("mb1-mbd-buy",)
    assert {key: result.order_ids for key, result in found.items() if result.order_ids} == {"MBD": ("mb1-mbd-buy",)}


def test_the_ten_largest_are_ten() -> None:
    """RC-40: eleven names of 3 % make 30 %."""
    shares = {n: 300 for n in NAMES if n not in ("MBG", "MBH", "MBI", "MBJ", "MBL")}
    held = holding(**shares, MBG=300, MBH=300, MBI=3000, MBJ=3000)
    assert answers(top_ten, inputs(positions=held))[""].observed == pytest.approx(0.30)


def test_the_first_name_has_its_cap_of_buys_too() -> None:
    """RC-41: 4 % bought of the first instrument, 3.2 % allowed."""
    found = answers(turnover, inputs(), (order("MBA", "BUY", 400),))["MBA"]
    assert (found.status, found.order_ids, found.keep) == (Status.SHRINK, ("mb1-mba-buy",), pytest.approx(0.8))


@pytest.mark.parametrize(("sessions", "status"), [(9, Status.PASS), (10, Status.WARN)])
def test_turnover_is_noted_from_the_end_of_the_build_up_on(sessions: int, status: Status) -> None:
    """RC-41: 20 sessions of 5 % are beyond 65 %; ten sessions are the build-up."""
    facts = inputs(book=book_state(turnover=(0.05,) * 20, sessions_since_build=sessions))
    assert answers(turnover, facts)["one way, 21 sessions"].status is status


def test_the_lower_band_of_volatility_is_half_the_target() -> None:
    """RC-42: half of 10 % per year."""
    assert answers(volatility, inputs())["lower"].limit == pytest.approx(0.05)


def test_an_order_of_warned_size_is_told_and_not_named() -> None:
    """RC-08: 5.5 % of NAV is above 5 % and below 6 %; without a price it is dropped."""
    (found,) = answers(order_value, inputs(), (order("MBD", "BUY", 550),)).values()
    assert (found.status, found.order_ids) == (Status.WARN, ())
    price = inputs().price.copy()
    price[NAMES.index("MBB")] = float("nan")
    (gone,) = answers(order_value, inputs(price=price), (order("MBB", "SELL", 50),)).values()
    assert (gone.status, gone.keep, gone.order_ids) == (Status.REJECT_ORDER, 0.0, ("mb1-mbb-sell",))


FAILS = {
    Status.WARN: "47",
    Status.SHRINK: "30 31 32 34 35 39 40 41 42 43 44 45 46 49 50 52 54 62 63 71 72",
    Status.REJECT_ORDER: "64",
    Status.REJECT_BATCH: "36 37 38",
    Status.REDUCE_ONLY: "53 87",
    Status.HALT: "60 61 67 80 84",
}


@pytest.mark.parametrize(("status", "numbers"), FAILS.items(), ids=[status.name for status in FAILS])
def test_what_a_control_that_cannot_be_computed_answers(status: Status, numbers: str) -> None:
    """G3: the fail status of every control on the book, its state, the models and the platform."""
    fails = {rule.id: rule.fail for rule, _ in CONTROLS}
    assert {fails[f"RC-{number}"] for number in numbers.split()} == {status}
