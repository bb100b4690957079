"""Easter Sundays, on which the movable closures of exchanges and payment systems hang. Pure."""

import datetime as dt

_JULIAN_LAG = dt.timedelta(days=13)  # from 1900-03-14 to 2100-03-13


def easter_sunday(year: int) -> dt.date:
    """Easter Sunday of the Gregorian calendar (anonymous algorithm, Meeus, Astronomical Algorithms, chapter 8)."""
    golden, (century, short) = year % 19, divmod(year, 100)
    leaps, odd = divmod(century, 4)
    skipped = (century - (century + 8) // 25 + 1) // 3
    epact = (19 * golden + century - leaps - skipped + 15) % 30
    quarter, rest = divmod(short, 4)
    sunday = (32 + 2 * odd + 2 * quarter - epact - rest) % 7
    late = (golden + 11 * epact + 22 * sunday) // 451
    month, day = divmod(epact + sunday - 7 * late + 114, 31)
    return dt.date(year, month, day + 1)


def orthodox_easter_sunday(year: int) -> dt.date:
    """Easter Sunday of the Julian calendar, as a Gregorian date; 1901 to 2099 (Meeus, Astronomical Algorithms, chapter 8)."""
    assert 1901 <= year <= 2099, "the two calendars are 13 days apart in these years only"
    moon = (19 * (year % 19) + 15) % 30
    sunday = (2 * (year % 4) + 4 * (year % 7) - moon + 34) % 7
    month, day = divmod(moon + sunday + 114, 31)
    return dt.date(year, month, day + 1) + _JULIAN_LAG
