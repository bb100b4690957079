"""F09, RC-67: a hundred things that somebody else did to the account; each is seen before trading, and no order leaves.

Each break goes the way of a run: account taken, snapshot, fills, roll of the positions, reconciliation, verdict.
"""

import datetime as dt
import random
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
import risk_world as world
from told_account import DAYS, OPEN, D, ToldBroker, ToldHome, fill, order

from marketbot_assets.book.fills import executions_of, fills_of
from marketbot_assets.book.positions import Holdings, roll_positions
from marketbot_assets.book.reconciliation import Record, is_clean, locked_names, reconcile
from marketbot_assets.risk.build import breaks_of
from marketbot_assets.risk.control import Judgement
from marketbot_assets.risk.verdict import judge
from marketbot_resources.errors import MarketbotError
from marketbot_resources.model import Bust, OpenOrder, OrderState, Side, order_from_record

BREAKS = 100
EARLIER, SESSION = DAYS[0], DAYS[1]
HOUR = dt.timedelta(hours=1)
ORDINARY = (order("o1", quantity="100"), order("o2", Side.SELL, "40", instrument="MBB"))
BEFORE = Holdings(
    {name: D(shares) for name, shares in {**world.HELD, "MBA": 100, "MBB": 240}.items()}, {"USD": D("860600")}
)
Inject = Callable[[ToldBroker, random.Random], None]


def ordinary() -> ToldBroker:
    """What the broker says when nothing is wrong: 100 MBA bought at 10, 40 MBB sold at 10."""
    return ToldBroker(
        cash={"USD": D("860000")},
        positions={name: D(shares) for name, shares in world.HELD.items()},
        states={"o1": OrderState.FILLED, "o2": OrderState.FILLED},
        fills=[(OPEN, fill("e1")), (OPEN, fill("e2", "o2", "40", side=Side.SELL, instrument="MBB"))],
    )


def judged(path: Path, broker: ToldBroker) -> tuple[bool, dict[str, str], Judgement]:
    """(whether book and broker agree, locked names, verdict on an ordinary batch) of the session, the way of a run."""
    home = ToldHome(path, broker)
    home.send(ORDINARY)
    home.end(EARLIER)
    snapshot = home.snapshot(SESSION)
    fills = executions_of(fills_of(snapshot))
    ours, _ = roll_positions(BEFORE, fills, (), base_currency="USD", closes_before={})
    names = {fill.client_order_id for fill in fills} | set(snapshot["client_order_id"])
    intents = {name: home.ledger.get("order_intent", name) for name in sorted(names)}
    orders = {name: order_from_record(entry.body) for name, entry in intents.items() if entry is not None}
    known = frozenset(world.NAMES)
    frame = reconcile(
        ours, snapshot, nav=world.NAV, fx=world.FX, known_instruments=known,
        record=Record(orders=orders, fills=fills, traded=known - {"MBL"}, averages={"MBB": D(10)}),
    )  # fmt: skip
    facts = world.inputs(breaks=breaks_of(frame), locked=frozenset(locked_names(frame)))
    return is_clean(frame), locked_names(frame), judge(facts, world.batch(), world.MANDATE)


def some(rng: random.Random, most: int = 300) -> Decimal:
    return D(rng.randint(1, most))


def held(rng: random.Random) -> str:
    return rng.choice(sorted(world.HELD))


def wrong_quantity(broker: ToldBroker, rng: random.Random) -> None:
    broker.positions[held(rng)] += rng.choice((1, -1)) * some(rng, 150)


def missing_position(broker: ToldBroker, rng: random.Random) -> None:
    del broker.positions[held(rng)]


def unknown_symbol(broker: ToldBroker, rng: random.Random) -> None:
    broker.positions[f"MBX{rng.randint(0, 99)}"] = some(rng)


def name_never_held(broker: ToldBroker, rng: random.Random) -> None:
    broker.positions[rng.choice(sorted(set(world.NAMES) - set(world.HELD)))] = some(rng)


def cash_off(broker: ToldBroker, rng: random.Random) -> None:
    broker.cash["USD"] += rng.choice((1, -1)) * (D("50.01") + some(rng, 5000))


def cash_of_another_currency(broker: ToldBroker, rng: random.Random) -> None:
    broker.cash[rng.choice(("EUR", "CHF", "SEK"))] = D(100) + some(rng)


def foreign_order(broker: ToldBroker, rng: random.Random) -> None:
    name, side = held(rng), rng.choice(list(Side))
    broker.open_orders.append(OpenOrder(f"hand-{rng.random()}", name, side, some(rng), D(10), "USD"))


def foreign_trade(broker: ToldBroker, rng: random.Random) -> None:
    """By hand, with its execution: the shares agree, the order is not ours."""
    name, shares, price = held(rng), some(rng, 50), some(rng, 90)
    broker.fills.append(
        (OPEN + HOUR, fill("hand", "by-hand", str(shares), instrument=name, price=str(price), at=OPEN + HOUR))
    )
    broker.positions[name] += shares
    broker.cash["USD"] -= shares * price


def foreign_sale_of_more_than_we_have(broker: ToldBroker, rng: random.Random) -> None:
    name = held(rng)
    told = fill("hand", "by-hand", str(9000 + some(rng)), side=Side.SELL, instrument=name, at=OPEN + HOUR)
    broker.fills.append((OPEN + HOUR, told))


def overfill(broker: ToldBroker, rng: random.Random) -> None:
    shares = some(rng, 50)
    broker.fills.append((OPEN + HOUR, fill("e3", quantity=str(shares), at=OPEN + HOUR)))
    broker.positions["MBA"] += shares
    broker.cash["USD"] -= 10 * shares


def taken_back(broker: ToldBroker, rng: random.Random) -> None:
    """The account is as if the fill had never been, and so is the book; only an operator lets it go on (F08)."""
    broker.busts.append((OPEN + HOUR, Bust("e1", "", "erroneous", OPEN + HOUR)))
    broker.positions["MBA"] -= 100
    broker.cash["USD"] += 1000


def told_differently(broker: ToldBroker, rng: random.Random) -> None:
    """The same execution twice, of two sizes."""
    broker.fills.append((OPEN, fill("e1", quantity=str(100 + some(rng)))))


def fill_without_shares(broker: ToldBroker, rng: random.Random) -> None:
    """A fill is missing in the report that its own position shows."""
    del broker.fills[rng.randint(0, 1)]


def order_that_had_ended(broker: ToldBroker, rng: random.Random) -> None:
    broker.open_orders.append(OpenOrder("o1", "MBA", Side.BUY, some(rng), D(10), "USD"))


def not_a_number(broker: ToldBroker, rng: random.Random) -> None:
    broker.positions[held(rng)] = D("NaN")


INJECTIONS: tuple[Inject, ...] = (
    wrong_quantity, missing_position, unknown_symbol, name_never_held, cash_off, cash_of_another_currency, foreign_order,
    foreign_trade, foreign_sale_of_more_than_we_have, overfill, taken_back, told_differently, fill_without_shares,
    order_that_had_ended, not_a_number,
)  # fmt: skip


def test_an_untouched_account_trades(tmp_path: Path) -> None:
    """Without a break the very same batch is approved: it is the break that stops it below."""
    clean, locked, judgement = judged(tmp_path, ordinary())
    assert (clean, locked) == (True, {})
    assert set(judgement.approved) == set(world.batch())


def test_a_hundred_breaks_are_seen_and_nothing_is_sent(tmp_path: Path) -> None:
    """Each of the seeded breaks, of fifteen sorts: the run stops, or the verdict approves nothing."""
    seen = sent = 0
    for seed in range(BREAKS):
        broker, rng = ordinary(), random.Random(seed)
        INJECTIONS[seed % len(INJECTIONS)](broker, rng)
        try:
            clean, _, judgement = judged(tmp_path / str(seed), broker)
        except MarketbotError:
            seen += 1  # the run ends before there is a batch
            continue
        seen += not clean
        sent += len(judgement.approved)
    assert (seen, sent) == (BREAKS, 0)


LOCKS: dict[str, Inject] = {
    "MBB": lambda broker, rng: broker.average_price.update(MBB=D("12")),
    "MBL": lambda broker, rng: broker.open_orders.append(OpenOrder("hand", "MBL", Side.SELL, D(7), D(40), "USD")),
    "MBA": lambda broker, rng: broker.states.update(o1=OrderState.ACKED),
}


@pytest.mark.parametrize("name", LOCKS)
def test_what_cannot_move_money_locks_its_name_alone(tmp_path: Path, name: str) -> None:
    """RC-67: another mean price, a foreign order in a name that is not traded, a vanished order: the other names go on."""
    broker = ordinary()
    LOCKS[name](broker, random.Random(0))
    clean, locked, judgement = judged(tmp_path, broker)
    assert clean
    assert set(locked) == {name}
    assert name not in {each.instrument for each in judgement.approved}
    others = {each for each in world.batch() if each.instrument != name}
    assert set(judgement.approved) == others


def test_locks_that_cannot_be_read_approve_nothing() -> None:
    """RC-67: a text, nothing, a number in the place of the locked names."""
    for locked in (None, "MBD", 1.0):
        facts = replace(world.inputs(), locked=locked)  # type: ignore[arg-type]
        assert judge(facts, world.batch(), world.MANDATE).approved == ()
