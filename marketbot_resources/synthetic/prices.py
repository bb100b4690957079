"""Reported prices of a block: closes that events lower, opens, extremes and volumes, on ticks. Pure.

Between sessions a holder earns the total return exactly:
close * new shares per old + amount + spun-off shares * their reference price = close before * (1 + total return).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from marketbot_resources.synthetic import spec as words
from marketbot_resources.synthetic.grid import Grid
from marketbot_resources.synthetic.life import LEAD, Life
from marketbot_resources.synthetic.returns import Returns
from marketbot_resources.synthetic.spec import WorldSpec
from marketbot_resources.synthetic.streams import Floats

AMOUNT_DIGITS, RATIO_DIGITS, TICK_DIGITS = 4, 6, 6
_UP, _DOWN = (1.5, 2.0, 3.0, 4.0), (0.1, 0.2, 0.5)
_GAP, _OPEN_NOISE, _RANGE, _VOLUME_NOISE = 0.4, 0.5, 0.6, 0.3
_VOLUME_OF_VOLATILITY, _VOLUME_OF_MOVE, _HALF_DAY = 0.35, 0.15, 0.5
_SIGMA_MIN, _MOVE_MAX = 1e-6, 8.0  # what a move is measured in at least, and counts for at most


@dataclass(frozen=True, slots=True)
class Prices:
    """Bars, (sessions, listings), quotation currency and shares. `exact` is the close before rounding to ticks."""

    exact: Floats
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    alive: np.ndarray  # whether the listing trades on the session


@dataclass(frozen=True, slots=True)
class Terms:
    """What events do to each close, (sessions, listings): cash, spun-off value per old share, new shares per old share."""

    amount: Floats
    spun: Floats
    ratio: Floats


def dividend_amount(draw: float, special: bool, announced_close: float) -> float:
    """Cash per share, set by the close of the session of its announcement."""
    share = 0.02 + 0.06 * draw if special else 0.004 + 0.012 * draw
    return round(share * announced_close, AMOUNT_DIGITS)


def split_ratio(draw: float, announced_close: float, start_price: float) -> float:
    """New shares per old share: a dear share is split, a cheap one consolidated."""
    choices = _UP if announced_close >= start_price else _DOWN
    return choices[int(draw * len(choices))]


def spin_ratio(draw: float, announced_close: float, reference: float) -> float:
    """Shares of the sister per share; they are worth a tenth to three tenths of the share at the announcement."""
    return round((0.1 + 0.2 * draw) * announced_close / reference, RATIO_DIGITS)


def prices_of(
    spec: WorldSpec, grid: Grid, lives: Sequence[Life], references: Sequence[float], returns: Returns
) -> tuple[Prices, Terms]:
    """Bars and terms. `references`: the price at which each listing's sister begins, quotation currency."""
    growth = np.exp(returns.log_total())
    exact, terms = _closes(growth, lives, references)
    places = np.arange(grid.count)[:, None]
    born, end = (np.array([getattr(life, name) for life in lives]) for name in ("born", "end"))
    alive = (places >= born) & (places <= end)
    # the close before, after the session's events: what the open starts from
    before = np.concatenate([exact[:1], exact[1:] / growth[1:]])
    shocks = returns.shocks
    sigma = returns.sigma
    opened = before * np.exp(_GAP * np.log(growth) + _OPEN_NOISE * sigma * shocks["open"])
    tick = np.array([life.tick for life in lives]) if spec.ticks else None
    opened, close = _on_tick(opened, tick), _on_tick(exact, tick)
    high = _on_tick(np.maximum(opened, close) * (1 + _RANGE * sigma * np.abs(shocks["high"])), tick)
    low = _on_tick(np.minimum(opened, close) / (1 + _RANGE * sigma * np.abs(shocks["low"])), tick)
    high, low = np.maximum(high, np.maximum(opened, close)), np.minimum(low, np.minimum(opened, close))
    level = np.array([life.adv for life in lives]) / exact
    busy = _VOLUME_OF_VOLATILITY * returns.market_log_vol[:, None] + _VOLUME_NOISE * shocks["volume"]
    busy += _VOLUME_OF_MOVE * np.minimum(np.abs(np.log(growth)) / np.maximum(sigma, _SIGMA_MIN), _MOVE_MAX)
    volume = np.round(level * np.exp(busy) * np.where(grid.half, _HALF_DAY, 1.0)[:, None])
    return Prices(exact, opened, high, low, close, volume, alive), terms


def _on_tick(price: Floats, tick: Floats | None) -> Floats:
    if tick is None:
        return price
    return np.asarray(np.round(np.maximum(np.round(price / tick), 1.0) * tick, TICK_DIGITS))


def _closes(growth: Floats, lives: Sequence[Life], references: Sequence[float]) -> tuple[Floats, Terms]:
    """Closes session by session; the events of a session take their terms from the close LEAD sessions earlier."""
    exact = np.empty_like(growth)
    terms = Terms(np.zeros_like(growth), np.zeros_like(growth), np.ones_like(growth))
    due: dict[int, list[tuple[int, str, float]]] = {}
    for column, life in enumerate(lives):
        for event in life.events:
            due.setdefault(event.place, []).append((column, event.kind, event.draw))
    exact[0] = [life.start_price for life in lives]
    for place in range(1, len(growth)):
        exact[place] = exact[place - 1] * growth[place]
        for column, kind, draw in due.get(place, ()):
            _apply(exact, terms, place, column, kind, draw, lives[column], references[column])
    return exact, terms


def _apply(
    exact: Floats, terms: Terms, place: int, column: int, kind: str, draw: float, life: Life, reference: float
) -> None:
    announced, most = float(exact[place - LEAD, column]), 0.5 * float(exact[place, column])
    if kind == words.SPLIT:
        terms.ratio[place, column] = split_ratio(draw, announced, life.start_price)
    elif kind == words.SPIN_OFF:
        ratio = min(spin_ratio(draw, announced, reference), most / reference)
        terms.spun[place, column] = ratio * reference
    else:
        amount = dividend_amount(draw, kind == words.SPECIAL_DIVIDEND, announced)
        terms.amount[place, column] = min(amount, round(most, AMOUNT_DIGITS))
    paid = terms.amount[place, column] + terms.spun[place, column]
    exact[place, column] = (exact[place, column] - paid) / terms.ratio[place, column]
