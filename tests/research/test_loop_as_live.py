"""The loop does as the live graph does where the two once differed: memory, the instant of sending, exits that wait, listings."""

import dataclasses
import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
from research_world import START, loop, sessions

from marketbot_assets.book.positions import Holdings
from marketbot_assets.book.roll import Held
from marketbot_assets.book.state import Lot
from marketbot_assets.book.step import opening_state
from marketbot_assets.features.factor_model import from_frame, to_frame
from marketbot_assets.insight.forecasts import forecast
from marketbot_assets.insight.return_model import fit_return_model
from marketbot_assets.research.history import History, Tables
from marketbot_assets.research.loop import Running, decide_session
from marketbot_assets.research.operations import Past
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import Kind, Order, OrderType, Side
from marketbot_resources.order_types import STOP_LEG
from marketbot_resources.paper import PaperAccount
from marketbot_resources.paper_market import TabularMarket

MINUTE, MOMENT = dt.timedelta(minutes=1), dt.timedelta(microseconds=1)


def test_a_model_just_estimated_gives_the_bits_of_one_read_back(world: Tables, mandate: Mandate) -> None:
    """Sums depend on the layout in memory: strides of every array and every bit of the forecasts are those of the stored model."""
    known = History(world, mandate, START, START).at(START)
    made = known.factor_model
    read = from_frame(to_frame(made))
    for field in dataclasses.fields(made):
        one, other = getattr(made, field.name), getattr(read, field.name)
        if isinstance(one, np.ndarray):
            assert one.strides == other.strides, field.name
            assert one.tobytes() == other.tobytes(), field.name
    model = fit_return_model(known.training, mandate)
    ours, theirs = (forecast(model, known.features, each, mandate) for each in (made, read))
    pd.testing.assert_frame_equal(ours, theirs, check_exact=True)


def test_currency_legs_fill_after_a_look_at_the_account(world: Tables, mandate: Mandate) -> None:
    """Live, the gate looks at the account at the instant of sending, which closes it: a leg fills a microsecond after it."""
    days = list(loop(world, mandate, 3)[0])
    legs = {order.client_order_id for day in days for order in day.decision.batch if order.kind is Kind.FX}
    sent = {fill.executed_at for day in days for fill in day.fills if fill.client_order_id in legs}
    assert sent
    assert sent <= {day.known.cutoff + MINUTE + MOMENT for day in days}


def stop_order(instrument: str, mic: str, session: dt.date, cutoff: dt.datetime) -> Order:
    """A sell for the open whose leg says that a stop was behind it."""
    return Order(
        client_order_id="mb1-waited",
        batch_no=1,
        reason="a stop was hit",
        session=session,
        kind=Kind.EQUITY,
        instrument=instrument,
        side=Side.SELL,
        quantity=Decimal(10),
        limit_price=Decimal(1),
        currency="USD",
        mic=mic,
        type=OrderType.LIMIT_ON_OPEN,
        send_from=cutoff,
        send_until=cutoff + dt.timedelta(days=2),
        leg=STOP_LEG,
    )


def test_an_exit_that_waited_for_days_blocks_its_name(world: Tables, mandate: Mandate) -> None:
    """RC-64: the order behind a fill is known by its batch, also one that is older than the session before."""
    days = sessions(START, 2)
    history = History(world, mandate, days[0], days[1])
    listed = world.instruments[(world.instruments["mic"] == "XNYS") & world.instruments["in_universe"]].iloc[0]
    name, known = str(listed["instrument"]), history.at(days[0])
    close = float(known.window.close[-1, known.window.instruments.index(name)])
    market = TabularMarket(
        world.prices, world.corporate_actions, world.fx, world.instruments, base_currency=mandate.base_currency
    )
    cash, shares, opened = {"USD": Decimal(1_000_000)}, {name: Decimal(10)}, known.previous_cutoff
    account = PaperAccount(mandate, market, cash=cash, shares=shares, opened_at=opened)
    order = stop_order(name, "XNYS", days[0] - dt.timedelta(days=5), opened)
    account.submit(order, opened + MINUTE)
    before = history.days_to(days[0])[-2]
    lot = Lot(name, Decimal(10), close, close, 0.0, before)
    state = dataclasses.replace(opening_state(before, 1_000_000.0 + 10 * close), lots=(lot,))
    held = Held(Holdings(shares, cash), {name: close}, {"USD": 1.0})
    now = Running(held, state, None, 0, {order.client_order_id: order.quantity}, past=Past(((order,), (), ())))
    day = decide_session(history, mandate, account, now, days[0], "backtest")
    assert [fill.client_order_id for fill in day.fills] == [order.client_order_id]
    assert dict(day.state.blocked)[name] > days[0]


def test_a_listing_described_anew_later_was_there_before(world: Tables, mandate: Mandate) -> None:
    """With the description of each session a name is known from the start; with the newest alone from the day of that."""
    days = sessions(START, 2)
    old = world.instruments.sort_values("instrument", ignore_index=True)
    alive, told = History(world, mandate, *days).at(days[0]), old.copy()
    name = str(told["instrument"].iloc[0])
    told.loc[0, "known_at"] = pd.Timestamp(days[1]).tz_localize("UTC").as_unit("us")
    told.loc[0, "sector"] = "Renamed"
    newest = dataclasses.replace(world, instruments=told)
    assert name not in set(History(newest, mandate, *days).at(days[0]).instruments["instrument"])
    assert History(newest, mandate, *days).described_later == 1
    each = dataclasses.replace(newest, listings={days[0]: alive.instruments, days[1]: told})
    assert History(each, mandate, *days).described_later == History(world, mandate, *days).described_later == 0
    found = History(each, mandate, *days).at(days[0])
    pd.testing.assert_frame_equal(found.instruments, alive.instruments)
    pd.testing.assert_frame_equal(found.features, alive.features, check_exact=True)


def test_what_befell_a_listing_described_later_stops_nothing(world: Tables, mandate: Mandate) -> None:
    """A provider of today describes it as of its last split: before that day it does not exist, and neither do its dividends."""
    days = sessions(START, 2)
    told = world.instruments.sort_values("instrument", ignore_index=True)
    told.loc[0, "known_at"] = pd.Timestamp(days[1]).tz_localize("UTC").as_unit("us")
    paid = world.corporate_actions[world.corporate_actions["kind"] == "CASH_DIVIDEND"].iloc[:1]
    paid = paid.assign(
        instrument=told.loc[0, "instrument"], ex_session=pd.Series([days[0]], paid.index).astype("datetime64[ms]")
    )
    actions = pd.concat([world.corporate_actions, paid], ignore_index=True)
    assert actions["ex_session"].dtype == world.corporate_actions["ex_session"].dtype
    (day,) = loop(dataclasses.replace(world, instruments=told, corporate_actions=actions), mandate, 1)[0]
    assert told.loc[0, "instrument"] not in set(day.known.instruments["instrument"])


def test_a_session_knows_the_bars_rejected_since_the_one_before(world: Tables, mandate: Mandate) -> None:
    """Those known in (cutoff before, cutoff], by a mask over all rows."""
    first, last = dt.date(2019, 3, 6), dt.date(2019, 3, 8)
    near = world.prices["session"].between(pd.Timestamp(2019, 3, 4), pd.Timestamp(2019, 3, 11))
    bad = near & (np.random.default_rng(4).random(len(near)) < 0.2)
    history = History(dataclasses.replace(world, prices=world.prices.assign(quarantine=bad)), mandate, first, last)
    rejected = history.tables.prices[bad]
    for session in history.sessions:
        known = history.at(session)
        since = (rejected["known_at"] > known.previous_cutoff) & (rejected["known_at"] <= known.cutoff)
        assert known.quarantined == frozenset(rejected.loc[since, "instrument"])
        assert known.quarantined
