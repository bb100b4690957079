"""The life of one listing, drawn once: who it is, when it begins, is renamed, splits, pays and ends. Pure.

Places are numbers of sessions of its exchange since the world's first; nothing here depends on the world's last session
or on its number of instruments. Sisters are neighbours on an exchange (0 and 1, 2 and 3 ...): the second may be spun off
the first, and may take the ticker that the first gave up. Prices decide terms later (actions.py).
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from marketbot_resources.currencies import major_unit
from marketbot_resources.market.listings import NOUNS
from marketbot_resources.model import SESSIONS_PER_YEAR
from marketbot_resources.synthetic import spec as words
from marketbot_resources.synthetic.factors import STYLES
from marketbot_resources.synthetic.spec import WorldSpec
from marketbot_resources.synthetic.streams import stream
from marketbot_resources.synthetic.venues import FIRST_WORDS, SECTOR_NAMES, UNITS_PER_USD, VENUES

LEAD = 10  # sessions from announcement to ex session, and the least distance between two events that move the price
QUARTER = 63
_LETTERS, _TICKER = 26, 4
_WAITS = 8  # at most so many splits, and special dividends, in a life
_NEVER = 10**9
_REUSED_AFTER = 20
_BEYOND = 100


@dataclass(frozen=True, slots=True)
class Event:
    """Something that moves the price on a session: a kind, and the draw in (0, 1) that its terms are made of."""

    place: int
    kind: str
    draw: float


@dataclass(frozen=True, slots=True)
class Life:
    """One listing. Money in the quotation currency unless named otherwise; exposures are pure numbers."""

    number: int
    source_id: str
    mic: str
    name: str
    sector: int
    ticker: str
    renamed: int | None
    new_ticker: str
    born: int
    end: int  # last session, or a place that no world reaches
    reason: str  # MERGER, BANKRUPTCY, VOLUNTARY or empty
    announced: int | None  # first session that knows of the merger
    premium: float
    final_return: float  # of a holder after the last session of a delisting
    sister: str  # what it spins off, acquirer of a merger is unnamed
    events: tuple[Event, ...]
    beta: float
    sector_exposure: float
    country_exposure: float
    styles: tuple[float, ...]
    start_price: float
    tick: float
    shares: float  # outstanding at the start
    adv: float  # average daily value traded
    parent: str  # what it was spun off from


@dataclass(frozen=True, slots=True)
class _Fate:
    born: int
    end: int
    reason: str
    announced: int | None
    premium: float
    final_return: float
    renamed: int | None
    spin: int | None
    parent: int | None


def source_id(number: int) -> str:
    """The provider's own identifier of an instrument."""
    return f"SYN-{number:06d}"


def life_of(spec: WorldSpec, number: int) -> Life:
    """The life of instrument `number`. The range's end and the world's size do not matter."""
    draw = stream(spec.seed, "life", number).random(48)
    fate = _fate(spec, number)
    mic, place = spec.mics[number % len(spec.mics)], number // len(spec.mics)
    venue = VENUES[mic]
    sector = int(draw[0] * len(SECTOR_NAMES))
    major, minor_per_major = major_unit(venue.currency)
    units = UNITS_PER_USD[major] * float(minor_per_major)
    start = round(units * 10 ** (1.0 + 1.1 * draw[1]), 2)
    tick = round(10.0 ** (math.floor(math.log10(start)) - 3), 6)
    cap = units * 10 ** (8.3 + 2.4 * draw[2])
    return Life(
        number=number,
        source_id=source_id(number),
        mic=mic,
        name=f"{FIRST_WORDS[number % len(FIRST_WORDS)]} {NOUNS[SECTOR_NAMES[sector]]} {number}",
        sector=sector,
        ticker=_ticker(place, ""),
        renamed=fate.renamed,
        new_ticker=_new_ticker(spec, number, fate),
        born=fate.born,
        end=fate.end,
        reason=fate.reason,
        announced=fate.announced,
        premium=fate.premium,
        final_return=fate.final_return,
        sister=source_id(number + len(spec.mics)) if fate.spin is not None else "",
        events=_events(spec, number, fate),
        beta=0.6 + 0.8 * draw[3],
        sector_exposure=0.7 + 0.6 * draw[4],
        country_exposure=0.7 + 0.6 * draw[5],
        styles=tuple(math.sqrt(12) * (float(d) - 0.5) for d in draw[6 : 6 + len(STYLES)]),
        start_price=start,
        tick=tick,
        shares=float(round(cap / start)),
        adv=cap * 10 ** (-3.0 + 0.8 * draw[9]),
        parent=source_id(fate.parent) if fate.parent is not None else "",
    )


def _ticker(place: int, prefix: str) -> str:
    letters = ""
    for _ in range(_TICKER):
        place, digit = divmod(place, _LETTERS)
        letters = chr(ord("A") + digit) + letters
    return prefix + letters


def _new_ticker(spec: WorldSpec, number: int, fate: _Fate) -> str:
    """The ticker after a rename: the elder sister's old one if she gave it up long enough ago, else one never used."""
    place = number // len(spec.mics)
    if fate.renamed is None:
        return ""
    if place % 2 == 1:
        elder = _fate(spec, number - len(spec.mics))
        given_up = min(elder.end + 1, elder.renamed if elder.renamed is not None else _NEVER)
        if fate.renamed >= given_up + _REUSED_AFTER:
            return _ticker(place - 1, "")
    return _ticker(place, "Z")


def _wait(draw: float, rate: float) -> int:
    """Sessions until the first event of a Poisson process with so many events a year."""
    return int(min(-math.log1p(-draw) * SESSIONS_PER_YEAR / rate, _NEVER)) if rate > 0 else _NEVER


@lru_cache(maxsize=50_000)
def _fate(spec: WorldSpec, number: int) -> _Fate:
    draw = stream(spec.seed, "fate", number).random(16)
    happens, kinds = spec.events, spec.events.kinds
    place, exchanges = number // len(spec.mics), len(spec.mics)
    born = 20 + _wait(float(draw[0]), 0.4) if draw[1] < happens.young else 0
    parent = None
    if place % 2 == 1:
        spin = _fate(spec, number - exchanges).spin
        born, parent = (spin, number - exchanges) if spin is not None else (born, None)
    end, reason = born + 80 + _wait(float(draw[2]), happens.delistings), ""
    if words.MERGER in kinds and (draw[3] < happens.merger or words.DELISTING not in kinds):
        reason = "MERGER" if draw[3] < happens.merger else ""
    elif words.DELISTING in kinds:
        reason = "BANKRUPTCY" if draw[4] < 0.4 else "VOLUNTARY"
    end = end if reason and end < _NEVER else _NEVER
    reason = reason if end < _NEVER else ""
    announced = end - 20 - int(30 * draw[5]) if reason == "MERGER" else None
    final = -1.0 + 0.7 * draw[6] if reason == "BANKRUPTCY" else -0.1 * draw[6]
    quiet = announced if announced is not None else end
    spun = born + 30 + _wait(float(draw[7]), 0.5)
    may_spin = place % 2 == 0 and words.SPIN_OFF in kinds and draw[8] < happens.spin_offs and spun < quiet - LEAD
    renamed = born + 30 + _wait(float(draw[9]), happens.renames)
    return _Fate(
        born, end, reason, announced, 0.15 + 0.3 * float(draw[10]), float(final) if reason and announced is None else 0.0,
        renamed if words.RENAME in kinds and renamed < quiet - LEAD else None, spun if may_spin else None, parent,
    )  # fmt: skip


def _events(spec: WorldSpec, number: int, fate: _Fate) -> tuple[Event, ...]:
    """Spin-off, splits, dividends of a life, by place; a lesser one within LEAD sessions of a greater one is left out."""
    draw, kinds, happens = stream(spec.seed, "events", number).random(64), spec.events.kinds, spec.events
    greater: list[Event] = []
    last = (fate.announced if fate.announced is not None else fate.end) - LEAD

    def add(place: int, kind: str, value: float) -> None:
        if fate.born + LEAD < place < last and all(abs(place - other.place) > LEAD for other in greater):
            greater.append(Event(place, kind, value))

    if fate.spin is not None:
        add(fate.spin, words.SPIN_OFF, float(draw[0]))
    for kind, rate, offset in (
        (words.SPLIT, happens.splits, 1),
        (words.SPECIAL_DIVIDEND, happens.special_dividends, 20),
    ):
        place = fate.born + LEAD
        for n in range(_WAITS if kind in kinds else 0):
            place += 1 + _wait(float(draw[offset + n]), rate)
            add(place, kind, float(draw[offset + _WAITS + n]))
    places = np.array(_quarters(spec, fate, float(draw[41]), float(draw[42]), last), dtype=np.int64)
    taken = np.array([event.place for event in greater], dtype=np.int64)
    free = (np.abs(places[:, None] - taken) > LEAD).all(axis=1)
    regular = [Event(int(place), words.CASH_DIVIDEND, float(draw[40])) for place in places[free]]
    return tuple(sorted([*greater, *regular], key=lambda event: event.place))


def _quarters(spec: WorldSpec, fate: _Fate, pays: float, offset: float, last: int) -> range:
    """Ex sessions of regular dividends, as far as the world may announce them; they crowd nothing else out."""
    if pays >= spec.events.payers or words.CASH_DIVIDEND not in spec.events.kinds:
        return range(0)
    return range(
        fate.born + LEAD + 1 + int(offset * QUARTER), min(last, (spec.last - spec.first).days + _BEYOND), QUARTER
    )
