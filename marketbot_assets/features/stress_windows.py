"""The stress library's historical windows as data. Pure.

Sources: index returns are the S&P 500 price index's, measured on the packaged index from 1990 on (close of `start` to close of
`end`). Size and value are SMB and HML of Fama and French (1993), K. R. French's monthly data, compounded over the months next to
the window; before 1990 the market is their Mkt-RF as well. Tests recompute both from the packaged data.
Not here: what instruments lose in them (`scenarios`), formulas without a date (`risk.hypothetical`).
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

CRASH, BEAR, BUDGET, INSTANT, HISTORY = "crash", "bear", "budget", "instant", "history"
MARKET, SIZE, VALUE = "market", "size", "value"


@dataclass(frozen=True, slots=True)
class Window:
    """One stress window: from the close of `start` to the close of `end`.

    `kind` names the limit: crash (three months or less), bear, instant, or history (shown without a limit). `index_return`:
    simple, of the market over the window, to three digits; stands in where our own index begins later. `published`: simple
    returns of further factors over the window, by factor.
    """

    name: str
    kind: str
    start: dt.date
    end: dt.date
    index_return: float
    published: Mapping[str, float] = field(default_factory=dict)

    @property
    def years(self) -> float:
        """Length in calendar years."""
        return (self.end - self.start).days / 365.25


def _factors(size: float, value: float) -> Mapping[str, float]:
    return {SIZE: size, VALUE: value}


WINDOWS = (
    # An 85 % fall breaks every limit of an invested book: it is shown, and the FED scenario (58 %) is the limit.
    Window("H1929", HISTORY, dt.date(1929, 8, 31), dt.date(1932, 6, 30), -0.847, _factors(0.001, -0.158)),
    Window("H1937", BEAR, dt.date(1937, 2, 27), dt.date(1938, 3, 31), -0.495, _factors(-0.232, -0.177)),
    Window("H1973", BEAR, dt.date(1972, 12, 29), dt.date(1974, 9, 30), -0.530, _factors(-0.187, 0.531)),
    Window("H1987", CRASH, dt.date(1987, 9, 30), dt.date(1987, 11, 30), -0.292, _factors(-0.059, 0.075)),
    Window("H1990", CRASH, dt.date(1990, 7, 16), dt.date(1990, 10, 11), -0.199),
    Window("H1998", CRASH, dt.date(1998, 7, 17), dt.date(1998, 8, 31), -0.193, _factors(-0.053, 0.034)),
    Window("H2000", BEAR, dt.date(2000, 3, 24), dt.date(2002, 10, 9), -0.491, _factors(0.129, 0.901)),
    Window("H2008", BEAR, dt.date(2007, 10, 9), dt.date(2009, 3, 9), -0.568, _factors(0.033, -0.176)),
    Window("H2008L", CRASH, dt.date(2008, 9, 12), dt.date(2008, 11, 20), -0.399),
    Window("H2010", CRASH, dt.date(2010, 4, 23), dt.date(2010, 7, 2), -0.16),
    Window("H2011", CRASH, dt.date(2011, 7, 22), dt.date(2011, 8, 8), -0.168),
    Window("H2015", CRASH, dt.date(2015, 8, 17), dt.date(2015, 8, 25), -0.112),
    Window("H2018F", CRASH, dt.date(2018, 1, 26), dt.date(2018, 2, 8), -0.102),
    Window("H2018Q4", CRASH, dt.date(2018, 9, 20), dt.date(2018, 12, 24), -0.198),
    Window("H2020", CRASH, dt.date(2020, 2, 19), dt.date(2020, 3, 23), -0.339),
    Window("H2022", BEAR, dt.date(2022, 1, 3), dt.date(2022, 10, 12), -0.254),
    # The broker is down for the three worst sessions in a row of H2020: nothing can be sold.
    Window("Y9 broker down", INSTANT, dt.date(2020, 3, 11), dt.date(2020, 3, 16), -0.130),
)
