"""What the engine makes of answers: shares, legs, bypasses, rounds, causes. Every number is written out by hand."""

import math
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest
from answer_rows import (
    BATCH,
    BUYS,
    DROP,
    HALT,
    NAN,
    PASS,
    REDUCE,
    SHRINK,
    WARN,
    D,
    H,
    L,
    holding,
    row,
)
from risk_world import MANDATE, batch, inputs, leg, order

from marketbot_assets.risk.control import ControlResult, Rule
from marketbot_assets.risk.inputs import RiskInputs
from marketbot_assets.risk.projection import Projection
from marketbot_assets.risk.verdict import CONTROLS, judge, run_controls, shrink
from marketbot_resources.model import Order, Status, batch_sha256

SALE = (order("MBA", "SELL", 100),)
LEG, SOLD = "mb1-fx-eur-buy", "mb1-mba-sell"


# The engine


RULE = Rule("RC-99", "a rule", SHRINK)


def asked(keep: float, *ids: str, status: Status = SHRINK, rule: Rule = RULE) -> ControlResult:
    return rule.result(status, order_ids=ids, keep=keep)


def left(orders: tuple[Order, ...]) -> dict[str, str]:
    return {o.client_order_id: str(o.quantity) for o in orders}


@pytest.mark.parametrize(
    ("quantity", "keep", "expected"),
    [
        (200, 0.505, "101"), (200, 0.5049, "100"), (3, 1 / 3, "1"), (200, 0.99999, "199"), (200, 1.0, "200"), (200, 0.0, None),
        (200, 0.004, None), (200, 1.5, None), (200, -0.5, None), (200, NAN, None),
    ],
)  # fmt: skip
def test_an_order_is_cut_to_whole_lots(quantity: int, keep: float, expected: str | None) -> None:
    """G4: down, a billionth of a lot aside; a share outside of [0, 1] leaves nothing; an order that stays has no cause."""
    smaller, why = shrink(inputs(), MANDATE, (order("MBD", "BUY", quantity),), [asked(keep, D)])
    assert left(smaller) == ({} if expected is None else {D: expected})
    assert why == ({} if expected == str(quantity) else {D: "RC-99"})


def test_whose_share_counts() -> None:
    """The smallest of the statuses that ask for one; lots of 100; unknown names and sizes go; `ids` names who may be cut."""
    pair = (order("MBD", "BUY", 200), order("MBL", "BUY", 100))
    other = Rule("RC-98", "another", SHRINK)
    for status, expected in (
        (WARN, "200"),
        (BATCH, "200"),
        (HALT, "200"),
        (SHRINK, "100"),
        (DROP, "100"),
        (REDUCE, "100"),
    ):
        assert left(shrink(inputs(), MANDATE, pair, [asked(0.5, D, status=status)])[0]) == {D: expected, L: "100"}
    both = [asked(0.5, D, L), asked(0.25, D, rule=other), asked(0.5, L, rule=other), asked(0.75, D)]
    assert shrink(inputs(), MANDATE, pair, both)[1] == {D: "RC-98", L: "RC-98"}
    assert left(shrink(inputs(), MANDATE, pair, both)[0]) == {D: "50", L: "50"}
    assert left(shrink(inputs(), MANDATE, pair, both, (L,))[0]) == {D: "200", L: "50"}
    lots = (order("MBJ", "BUY", 300),)
    assert left(shrink(inputs(), MANDATE, lots, [asked(0.7, "mb1-mbj-buy")])[0]) == {"mb1-mbj-buy": "200"}
    nobody = (replace(pair[0], instrument="ZZZ"), replace(pair[1], quantity=Decimal("NaN")))
    gone, why = shrink(inputs(), MANDATE, nobody, [asked(0.5, D)])
    assert (gone, why[D]) == ((), "RC-99")


EUROS = (order("MBH", "BUY", 100), leg("EUR", "BUY", "8100"))
# A hundred shares at 80 and 7.5 basis points cost 8,006; half of them 4,003.
LEGS = [
    ("8100", 0, 0.5, "4050.00"), ("7100", 1000, 0.5, "3097.00"), ("5000", 0, 0.5, "4003.00"), ("5000", 1000, 0.5, "3003.00"),
    ("9000", -500, 0.5, "4750.00"), ("6000", -500, 0.5, "4503.00"), ("9000", -500, 0.0, "500.00"), ("9000", -10000, 0.5, "9000"),
    ("8100", 0, 0.0, None), ("8006", 0, 0.5, "4003.00"), ("7006", 1000, 0.5, "3003.00"), ("8100", 5000, 0.5, "4050.00"),
    ("8100", NAN, 0.5, None), ("8100", 0, 1.0, "8100"), ("4000", 0, 0.5, "4000"), ("20000", 0, 0.5, "10000.00"),
]  # fmt: skip


@pytest.mark.parametrize(("size", "cash", "keep", "expected"), LEGS)
def test_a_leg_follows_its_buys(size: str, cash: float, keep: float, expected: str | None) -> None:
    """A covered leg keeps its spare in proportion, an uncovered one what is left to pay; debts come first."""
    facts = inputs(cash={"USD": Decimal(1), "EUR": cash if math.isnan(cash) else Decimal(cash)})  # type: ignore[dict-item]
    orders = (EUROS[0], replace(EUROS[1], quantity=Decimal(size)))
    smaller, why = shrink(facts, MANDATE, orders, [asked(keep, H)])
    found = {k: Decimal(q) for k, q in left(smaller).items()}
    assert found.get(LEG) == (None if expected is None else Decimal(expected))
    assert why.get(LEG) == (None if expected == size else "RC-18")


def test_a_selling_leg_follows_its_sales() -> None:
    """8,000 to come, 4,000 less; whole yen; other currencies and sides stay; facts without cash leave no leg."""
    sale = (order("MBG", "SELL", 100), leg("EUR", "SELL", "7990"), *EUROS)
    smaller, why = shrink(inputs(), MANDATE, sale, [asked(0.5, "mb1-mbg-sell")])
    assert left(smaller) == {"mb1-mbg-sell": "50", "mb1-fx-eur-sell": "3990.00", H: "100", LEG: "8100"}
    assert why == {"mb1-mbg-sell": "RC-99", "mb1-fx-eur-sell": "RC-18"}
    short, _ = shrink(
        inputs(), MANDATE, (sale[0], replace(sale[1], quantity=Decimal(3000))), [asked(0.5, "mb1-mbg-sell")]
    )
    assert left(short) == {"mb1-mbg-sell": "50"}
    yen = (order("MBJ", "BUY", 300), leg("JPY", "BUY", "300256"))
    smaller, _ = shrink(inputs(), MANDATE, yen, [asked(0.34, "mb1-mbj-buy")])
    assert left(smaller) == {"mb1-mbj-buy": "100", "mb1-fx-jpy-buy": "100085"}
    assert left(shrink(inputs(cash=None), MANDATE, EUROS, [asked(0.5, H)])[0]) == {H: "50"}


def broken(_: Projection) -> tuple[ControlResult, ...]:
    raise ValueError("no number")


@pytest.mark.parametrize(
    ("number", "bypassed"),
    [(29, False), (30, True), (47, True), (48, False), (49, True), (50, True), (51, False), (52, True), (53, False), (54, True),
     (60, False), (71, True), (72, True), (73, False)],
)  # fmt: skip
def test_what_reductions_bypass(number: int, bypassed: bool) -> None:
    """G2, G5: a control that raises answers its fail status and names every buy; limits on the book let reductions go."""
    rule = Rule(f"RC-{number}", "a rule", SHRINK)
    *_, found = run_controls(inputs(), batch(), MANDATE, [(rule, broken)])
    assert row(found) == (SHRINK, BUYS, 0.0, None, None, None)
    assert found.message == "a rule cannot be computed: ValueError: no number"
    *_, alone = run_controls(inputs(), SALE, MANDATE, [(rule, broken)])
    assert (row(alone), alone.message.startswith("passive")) == (
        (WARN if bypassed else SHRINK, (), 0.0, None, None, None), bypassed,
    )  # fmt: skip
    for status in (PASS, WARN):
        *_, quiet = run_controls(inputs(), SALE, MANDATE, [(rule, lambda _, s=status: (rule.result(s, "m"),))])  # type: ignore[misc]
        assert (quiet.status, quiet.message) == (status, "m")


def test_missing_controls_and_unreadable_books() -> None:
    """A limit without its control halts; what cannot be projected fails every control."""
    some = [pair for pair in CONTROLS if pair[0].id not in ("RC-30", "RC-41")]
    halted, *_ = run_controls(inputs(), batch(), MANDATE, some)
    assert row(halted) == (HALT, (), 1.0, 2.0, 0.0, -2.0)
    found = run_controls(inputs(fx_rates=None), batch(), MANDATE)  # type: ignore[arg-type]
    assert [(r.control, r.status) for r in found] == [(rule.id, rule.fail) for rule, _ in CONTROLS]


# Rounds: every control but one answers PASS


Answer = Callable[[Projection], tuple[ControlResult, ...]]


def judged(
    answer: Answer, orders: tuple[Order, ...] = batch(), rule_id: str = "RC-41", facts: RiskInputs | None = None
):  # type: ignore[no-untyped-def]
    """The judgement, and the quantities that the one control saw in each round."""
    seen: list[dict[str, str]] = []

    def test(p: Projection) -> tuple[ControlResult, ...]:
        seen.append(left(p.orders))
        return answer(p)

    controls = [(r, test if r.id == rule_id else (lambda _, r=r: (r.result(PASS),))) for r, _ in CONTROLS]  # type: ignore[misc]
    return judge(facts or inputs(), orders, MANDATE, controls), seen


def of(rule_id: str) -> Rule:
    return next(rule for rule, _ in CONTROLS if rule.id == rule_id)


def test_three_rounds_and_the_reductions() -> None:
    """A control that always wants half: 200, 100, 50, then only the sale; each order's cause is the control."""
    rule, strict = of("RC-41"), of("RC-60")
    found, seen = judged(lambda p: (strict.result(SHRINK, order_ids=p.increasing_ids, keep=0.5),), rule_id="RC-60")
    assert [s.get(D) for s in seen] == ["200", "100", "50", None]
    assert (found.verdict, left(found.approved), len(found.rounds)) == ("REJECTED", {}, 4)
    found, seen = judged(
        lambda p: (rule.result(SHRINK if p.increasing_ids else WARN, order_ids=p.increasing_ids, keep=0.5),)
    )
    assert (found.verdict, left(found.approved), len(found.rounds)) == ("APPROVED", {SOLD: "100"}, 4)
    assert {c[0]: (str(c[1]), str(c[2]), c[3]) for c in found.changes} == {
        D: ("200", "0", "RC-41"), H: ("100", "0", "RC-41"), L: ("100", "0", "RC-41"), LEG: ("8100", "0", "RC-41"),
    }  # fmt: skip
    assert [o.client_order_id for o in found.planned] == [LEG, SOLD, D, H, L]


@pytest.mark.parametrize(
    ("status", "ids", "rounds", "verdict"),
    [
        (BATCH, (D,), 2, "APPROVED"), (SHRINK, (), 2, "APPROVED"), (HALT, (), 1, "HALT"), (WARN, (), 1, "APPROVED"),
        (REDUCE, (D,), 2, "APPROVED"), (DROP, (D,), 2, "APPROVED"),
    ],
)  # fmt: skip
def test_when_the_judging_ends(status: Status, ids: tuple[str, ...], rounds: int, verdict: str) -> None:
    """HALT at once; a rejected batch and one that cannot shrink go to their reductions; else the smaller batch is judged."""
    rule = of("RC-41")

    def answer(p: Projection) -> tuple[ControlResult, ...]:
        again = any(o.client_order_id == D for o in p.orders)
        return (rule.result(status if again else PASS, order_ids=ids, keep=0.0),)

    found, _ = judged(answer)
    assert (len(found.rounds), found.verdict) == (rounds, verdict)
    rest = {SOLD} if status in (BATCH, SHRINK) else {SOLD, H, L, LEG} | ({D} if status is WARN else set())
    assert set(left(found.approved)) == (set() if verdict == "HALT" else rest)


def test_a_corrupt_batch_loses_its_reductions_too() -> None:
    """RC-01, RC-08: REJECT_BATCH of these is final; the same answer of another control is not; less than that neither."""
    for rule_id, status, rounds in (("RC-08", BATCH, 1), ("RC-01", BATCH, 1), ("RC-41", BATCH, 2), ("RC-08", DROP, 2)):
        rule = of(rule_id)
        found, _ = judged(lambda p, r=rule, s=status: (r.result(s if p.increasing_ids else PASS),), rule_id=rule_id)  # type: ignore[misc]
        assert (len(found.rounds), found.verdict) == (rounds, "REJECTED" if rounds == 1 else "APPROVED")
    (cause,) = {c[3] for c in judged(lambda p: (of("RC-08").result(BATCH),), rule_id="RC-08")[0].changes}
    assert cause == "RC-08"


def test_sales_are_cut_before_buys_in_the_first_round_alone() -> None:
    """How much may be bought depends on what is sold; a conversion is no sale."""
    rule, calls = of("RC-41"), []

    def answer(p: Projection) -> tuple[ControlResult, ...]:
        calls.append(p)
        return (rule.result(SHRINK if len(calls) < 3 else PASS, order_ids=(SOLD, D), keep=0.5),)

    found, seen = judged(answer)
    assert [(s[SOLD], s[D]) for s in seen] == [("100", "200"), ("50", "200"), ("25", "100")]
    assert (found.verdict, {c[0]: str(c[2]) for c in found.changes}) == ("APPROVED", {SOLD: "25", D: "100"})
    calls.clear()
    sold = leg("EUR", "SELL", "1000")

    def convert(p: Projection) -> tuple[ControlResult, ...]:
        calls.append(p)
        return (rule.result(SHRINK if len(calls) < 2 else PASS, order_ids=(sold.client_order_id, D), keep=0.5),)

    _, seen = judged(convert, (*batch()[:1], sold))
    assert seen[1] == {D: "100", sold.client_order_id: "500.00"}


def until_reduced(p: Projection) -> tuple[ControlResult, ...]:
    return (of("RC-41").result(BATCH if p.increasing_ids else PASS),)


SELL_G, SELL_LEG, BUY_YEN = "mb1-mbg-sell", "mb1-fx-eur-sell", "mb1-fx-jpy-buy"
CASH = {"USD": Decimal(860_000)}
REDUCTIONS = [
    (inputs(), (order("MBG", "SELL", 100), leg("EUR", "SELL", "7990"), *EUROS), {SELL_G: "100", SELL_LEG: "7990"}),
    (inputs(cash={**CASH, "EUR": Decimal(-500)}), (order("MBG", "SELL", 100), EUROS[0], leg("EUR", "BUY", "9000")),
     {SELL_G: "100", LEG: "500.00"}),
    (inputs(), (*SALE, batch()[0], leg("JPY", "BUY", "1000")), {SOLD: "100"}),
    (inputs(cash={**CASH, "JPY": Decimal(-1)}), (*SALE, batch()[0], leg("JPY", "BUY", "1000")), {SOLD: "100", BUY_YEN: "1000"}),
    (inputs(cash={**CASH, "JPY": Decimal(0)}), (*SALE, batch()[0], leg("JPY", "BUY", "1000")), {SOLD: "100"}),
    (inputs(cash={**CASH, "JPY": NAN}), (*SALE, batch()[0], leg("JPY", "BUY", "1000")), {SOLD: "100"}),  # type: ignore[dict-item]
    (inputs(positions=holding(MBH=-100)), (order("MBH", "BUY", 50), batch()[0], leg("EUR", "BUY", "4010")),
     {H: "50", LEG: "4010"}),
    (inputs(), (batch()[0], leg("EUR", "SELL", "100")), {}),
    (inputs(fx_rates=None), batch(), {}),  # type: ignore[arg-type]
]  # fmt: skip


@pytest.mark.parametrize(("facts", "orders", "expected"), REDUCTIONS, ids=range(len(REDUCTIONS)))
def test_reductions_take_the_legs_that_they_need(
    facts: RiskInputs, orders: tuple[Order, ...], expected: dict[str, str]
) -> None:
    """A leg pays for buys that cover a short or for a debt, or converts what is sold; alone it is nothing."""
    found, _ = judged(until_reduced, orders, facts=facts)
    assert left(found.approved) == expected
    assert found.verdict == ("APPROVED" if expected else "HALT" if facts.fx_rates is None else "REJECTED")


def test_a_batch_without_a_hash_is_not_approved() -> None:
    """Law 2: nothing could ever match it."""
    found, _ = judged(lambda p: (of("RC-41").result(PASS),), (replace(batch()[0], quantity=None),))  # type: ignore[arg-type]
    assert (found.verdict, found.approved, found.batch_seen_sha256) == ("REJECTED", (), "")
    assert found.batch_approved_sha256 == batch_sha256(())
