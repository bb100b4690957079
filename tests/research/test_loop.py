"""Properties of the loop over past sessions: it repeats itself, knows no future, keeps its books and every cap."""

from decimal import ROUND_HALF_EVEN, Decimal
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from research_world import START, loop, mandate_with, sessions, shuffled, world_for, world_until

from marketbot_assets.ingestion import parse
from marketbot_assets.research.history import Tables
from marketbot_assets.research.loop import Day
from marketbot_assets.research.outcomes import outcomes
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import Kind, Side
from marketbot_resources.paper import PaperAccount

COUNT, SHORT, OTHERS = 16, 8, 13
CENT = Decimal("0.01")
DIGITS = {"JPY": Decimal(1)}
HALF = {
    "XNYS": ["BAC", "GE", "JNJ", "JPM", "KO", "PG", "WMT", "XOM"],
    "XNAS": ["AAPL", "MSFT"],
    "BATS": ["MTUM", "USMV", "VLUE"],
    "XETR": "all",
    "XTKS": "all",
}
# Limits so wide that the book is invested to its cash floor: funding (RC-18) is what binds.
FULL_BOOK = {
    "volatility": {"target_per_year": 0.30},
    "portfolio": {"risk_aversion": 1.0, "prior_excess_return_per_year": 0.20},
    "limits": {
        "RC-43_var_99_1d": {"warn": 0.058, "hard": 0.060, "scenarios": 756},
        "RC-44_es_975_1d": {"target": 0.058, "warn": 0.059, "hard": 0.060, "scenarios": 756},
        "RC-46_crash_replay": {"target": 0.58, "warn": 0.59, "hard": 0.60},
        "RC-46_bear_replay": {"target": 0.68, "warn": 0.69, "hard": 0.70},
        "RC-46_fed_severe": {"target": 0.78, "warn": 0.79, "hard": 0.80, "equity_loss": 0.58},
        "RC-46_instant": {"hard": 0.50},
        "RC-46_drawdown_budget": {"hard": 0.50, "warn": 0.45, "target_margin": 0.96, "floor": 0.02},
    },
}
VARIANTS = {
    "full book, cash account": {"account": {"type": "cash"}, **FULL_BOOK},
    "half leverage": {"account": {"leverage": 0.5}},
    "weekly": {"cadence": "weekly", "rebalance_weekday": "wednesday"},
    "risk parity": {"portfolio": {"method": "risk_parity"}},
    "base EUR": {"base_currency": "EUR"},
    "half the universe": {"universe": {"listings": HALF}},
}


@pytest.fixture(scope="module")
def run(world: Tables, mandate: Mandate) -> tuple[list[Day], PaperAccount]:
    """Some sessions from cash, and the broker's account after them."""
    days, _, account = loop(world, mandate, COUNT)
    return list(days), account


def same(ours: list[Day], theirs: list[Day]) -> None:
    """Equal rows and equal batches, bit for bit."""
    pd.testing.assert_frame_equal(outcomes(ours), outcomes(theirs), check_exact=True)
    for one, other in zip(ours, theirs, strict=True):
        assert one.decision.judgement.batch_approved_sha256 == other.decision.judgement.batch_approved_sha256
        assert one.decision.batch == other.decision.batch
        assert one.fills == other.fills
        assert one.state == other.state
        pd.testing.assert_frame_equal(one.known.features, other.known.features, check_exact=True)
        assert one.decision.target.weights.tobytes() == other.decision.target.weights.tobytes()


def test_two_runs_are_equal(run: tuple[list[Day], PaperAccount], world: Tables, mandate: Mandate) -> None:
    """Determinism: the same tables and mandate give the same rows and orders, bit for bit."""
    same(list(loop(world, mandate, COUNT)[0]), run[0])


@pytest.mark.parametrize("seed", [None, 7], ids=["cut off", "cut off and shuffled"])
def test_the_future_and_the_order_of_rows_change_nothing(
    run: tuple[list[Day], PaperAccount], mandate: Mandate, monkeypatch: pytest.MonkeyPatch, seed: int | None
) -> None:
    """No look-ahead: a world that ends at the cutoff of t gives the same decisions up to t; so do its rows in any order."""
    if seed is not None:
        for asset, parser in list(parse.PARSERS.items()):
            monkeypatch.setitem(parse.PARSERS, asset, shuffled(parser, seed))
    cut = world_until(mandate, sessions(START, SHORT)[-1])
    assert cut.prices["known_at"].max() <= run[0][SHORT - 1].known.cutoff
    same(list(loop(cut, mandate, SHORT)[0]), run[0][:SHORT])


def money(value: Decimal, currency: str) -> Decimal:
    return value.quantize(DIGITS.get(currency, CENT), rounding=ROUND_HALF_EVEN)


def last_known(frame: pd.DataFrame, key: str, value: str, day: Day) -> dict[str, float]:
    """The newest value per key among the rows that were known at a day's cutoff."""
    rows = frame[frame["known_at"] <= day.known.cutoff].sort_values(["session", "known_at"])
    return rows.groupby(key)[value].last().to_dict()


def test_cash_and_shares_are_conserved(run: tuple[list[Day], PaperAccount], world: Tables, mandate: Mandate) -> None:
    """Opening cash, fills, fees, taxes and dividends explain every share and every cent, and the NAV of every session."""
    days, account = run
    executions, events = account.executions_and_events()
    cash, shares = {"USD": Decimal(1_000_000)}, {}
    currency = dict(zip(world.instruments["instrument"], world.instruments["currency"], strict=True))
    done = days[0].known.previous_cutoff
    for day in days:
        now = day.known.cutoff
        moves = [(x.executed_at, 1, x) for x in executions if done < x.executed_at <= now]
        moves += [(e.effective_at, 0, e) for e in events if done < e.effective_at <= now]
        assert tuple(x for _, k, x in sorted(moves, key=lambda m: m[:2]) if k) == day.fills
        for _, is_fill, move in sorted(moves, key=lambda m: m[:2]):
            if not is_fill:
                assert move.amount == dividend(world, move, shares[move.instrument])
                cash[move.currency] = cash.get(move.currency, Decimal(0)) + move.amount
                continue
            sign = 1 if move.side is Side.BUY else -1
            if move.kind is Kind.FX:
                cash[move.currency] = cash.get(move.currency, Decimal(0)) + sign * move.quantity
                cash["USD"] -= sign * money(move.quantity * move.price, "USD") + move.fee
            else:
                shares[move.instrument] = shares.get(move.instrument, Decimal(0)) + sign * move.quantity
                paid = sign * money(move.quantity * move.price, move.currency) + move.fee + move.tax
                cash[move.currency] = cash.get(move.currency, Decimal(0)) - paid
        held = day.rolled.valuation.holdings
        assert dict(held.shares) == {name: q for name, q in shares.items() if q}
        assert dict(held.cash) == {name: amount for name, amount in cash.items() if amount}
        close = last_known(world.prices, "instrument", "close", day)
        rate = {**last_known(world.fx, "currency", "rate", day), "USD": 1.0}
        value = sum(float(q) * close[n] * rate[currency[n]] for n, q in shares.items())
        value += sum(float(amount) * rate[c] for c, amount in cash.items())
        assert day.rolled.valuation.nav == pytest.approx(value, abs=0.005)
        done = now
    assert len(executions) > 100


def test_orders_fill_after_the_session_that_decided_them(run: tuple[list[Day], PaperAccount], world: Tables) -> None:
    """L7: decided on what was known at the cutoff, filled at the open of a bar that nobody knew then, and at a cost."""
    days, seen = run[0], 0
    recent = world.prices[world.prices["session"] >= pd.Timestamp(days[0].state.session)]
    names = ("instrument", "session", "open", "known_at")
    bars = {(name, day.date()): rest for name, day, *rest in zip(*(recent[c] for c in names), strict=True)}
    for before, day in pairwise(days):
        asked = {order.client_order_id: order for order in before.decision.batch}
        for fill in (fill for fill in day.fills if fill.kind is Kind.EQUITY):
            seen += 1
            assert asked[fill.client_order_id].side is fill.side
            assert before.known.cutoff < fill.executed_at <= day.known.cutoff
            opened, known_at = bars[fill.instrument, fill.executed_at.date()]
            assert before.known.cutoff < known_at <= day.known.cutoff
            worse = fill.side.sign * (float(fill.price) / opened - 1.0)
            assert 0.0 < worse < 0.01
    assert seen > 100


def dividend(world: Tables, event: object, held: Decimal) -> Decimal:
    """What the table of corporate actions pays on the shares held."""
    rows = world.corporate_actions
    mine = rows[(rows["instrument"] == event.instrument) & (rows["kind"] == "CASH_DIVIDEND")]
    day = pd.Timestamp(event.event_id.split("|")[1])
    (amount,) = mine.loc[mine["ex_session"] == day, "amount"]
    return money(held * Decimal(repr(float(amount))), event.currency)


def test_no_order_without_an_approved_verdict(run: tuple[list[Day], PaperAccount]) -> None:
    """What the broker received is what APPROVED verdicts let through, no order more."""
    days, account = run
    sent = {order.client_order_id for day in days for order in day.decision.judgement.approved}
    assert {change.answer.client_order_id for change in account.changes} == sent
    for day in days:
        assert day.decision.judgement.verdict == "APPROVED" or day.decision.batch == ()
        assert set(day.decision.batch) <= set(day.decision.orders), "nothing was cut here, so nothing was added"
        assert day.refused == 0


def weights_after(day: Day, world: Tables) -> tuple[pd.Series, float]:
    """(weights with the batch filled: buys at their limits, the rest at the last close; cash over NAV) in plain numpy."""
    names = list(world.instruments["instrument"])
    currency = list(world.instruments["currency"])
    close = last_known(world.prices, "instrument", "close", day)
    rate = {**last_known(world.fx, "currency", "rate", day), "USD": 1.0}
    held, nav = day.rolled.valuation.holdings, day.rolled.valuation.nav
    value, cash = np.zeros(len(names)), sum(float(a) * rate[c] for c, a in held.cash.items())
    for name, quantity in held.shares.items():
        row = names.index(name)
        value[row] += float(quantity) * close[name] * rate[currency[row]]
    for order in (order for order in day.decision.batch if order.kind is Kind.EQUITY):
        row = names.index(order.instrument)
        price = float(order.limit_price) if order.side is Side.BUY else close[order.instrument]
        traded = (1 if order.side is Side.BUY else -1) * float(order.quantity) * price * rate[currency[row]]
        value[row], cash = value[row] + traded, cash - traded
    return pd.Series(value / nav, index=names), cash / nav


def assert_within_caps(days: list[Day], world: Tables, base: str) -> None:
    """Caps of the mandate after every batch; 1e-6 for the rounding of the sum. Without orders a drift may pass them (RC-31)."""
    rows = world.instruments.set_index("instrument")
    for day in (day for day in days if day.decision.batch):
        weights, cash = weights_after(day, world)
        fund, foreign = rows["kind"] == "FUND", rows["currency"] != base
        assert weights.min() >= -1e-9
        assert weights.max() <= 0.05 + 1e-6
        assert weights[~fund].groupby(rows["sector"][~fund]).sum().max() <= 0.20 + 1e-6
        assert weights[fund].sum() <= 0.20 + 1e-6
        assert weights[foreign].groupby(rows["currency"][foreign]).sum().max() <= 0.20 + 1e-6
        assert weights[foreign].sum() <= 0.40 + 1e-6
        assert weights.sum() <= 1.0 + 1e-6
        assert cash >= 0.01


def test_every_batch_keeps_the_caps(run: tuple[list[Day], PaperAccount], world: Tables) -> None:
    """Position 5 %, sector, fund bucket and currency 20 %, non-base 40 %, gross 100 %, cash 1 %, by the test's own sums."""
    assert_within_caps(run[0], world, "USD")


@pytest.mark.parametrize("name", VARIANTS)
def test_other_mandates_run(world: Tables, name: str) -> None:
    """Other accounts, cadences, methods, base currencies, universes: approved, invested, nothing refused, within caps."""
    mandate = mandate_with(**VARIANTS[name])
    tables = world_for(mandate, world) if {"base_currency", "universe"} & set(VARIANTS[name]) else world
    days, _, account = loop(tables, mandate, OTHERS)
    days = list(days)
    verdicts = [day.decision.judgement.verdict for day in days]
    assert verdicts.count("APPROVED") >= 0.9 * len(days)
    assert sum(change.answer.state.value == "REJECTED" for change in account.changes) == 0
    assert np.mean([day.decision.judgement.changes == () for day in days]) >= 0.9, (
        "the engine seldom cuts what was planned"
    )
    most = max(sum(day.rolled.valuation.values.values()) / day.rolled.valuation.nav for day in days)
    assert most > {"full book, cash account": 0.90, "weekly": 0.25}.get(name, 0.40)
    if name == "weekly":
        wednesdays = {day.state.session for day in days if day.state.session.weekday() == 2}
        assert {day.state.session for day in days if day.decision.batch} <= wednesdays
        assert {day.decision.target.method for day in days if day.state.session in wednesdays} == {"mean_variance"}
    if name == "risk parity":
        assert {day.decision.target.method for day in days} == {"risk_parity"}
    if name == "half the universe":
        unlisted = set(world.instruments.loc[world.instruments["mic"].isin(["XLON", "XHKG"]), "instrument"])
        assert not unlisted & {order.instrument for day in days for order in day.decision.batch}
    if name == "half leverage":
        assert most <= 0.505
    if name == "full book, cash account":
        assert min(float(a) for day in days for a in day.rolled.valuation.holdings.cash.values()) >= 0.0
    if name != "base EUR":
        assert_within_caps(days, tables, mandate.base_currency)


def test_every_session_stands_beside_what_was_forecast_of_it(run: tuple[list[Day], PaperAccount]) -> None:
    """RC-71, RC-72: the loss of what was held at the close before, and that close's value at risk, recomputed one by one."""
    days, _ = run
    record = days[-1].state.risk_days
    held = [(before, day) for before, day in pairwise(days) if before.rolled.valuation.values]
    assert 0 < len(record) == len(held) < len(days)
    for (before, day), kept in zip(held, record, strict=True):
        names, known = before.rolled.valuation.values, before.known.factor_model
        weights = {name: value / before.state.nav for name, value in names.items()}
        move = dict(zip(day.known.window.instruments, day.known.window.base_return[-1], strict=True))
        loss = -sum(weight * (0.0 if np.isnan(move[name]) else move[name]) for name, weight in weights.items())
        assert kept.loss == pytest.approx(loss, abs=1e-12)
        columns = [known.instruments.index(name) for name in weights]
        moves = known.returns[:, columns] @ np.array(list(weights.values()))
        assert kept.forecast.var_99 >= -np.sort(moves)[int(0.01 * len(moves))] - 1e-15
        decay = 0.5 ** (np.arange(len(moves))[::-1] / known.ewma_halflife)
        assert kept.forecast.volatility >= np.sqrt((decay / decay.sum()) @ moves**2) - 1e-15
        assert kept.forecast == before.state.forecast
