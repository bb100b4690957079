"""Currencies: ISO 4217 codes and exponents, quotation units below them, ECB's reference rates, TARGET days. Pure.

Not here: rates and their triangulation (`marketbot_assets.normalization.series`), how old a rate may be (the mandate).
"""

import bisect
import datetime as dt
from functools import lru_cache

from marketbot_resources.easter import easter_sunday
from marketbot_resources.errors import MarketbotError

_BY_DIGITS = {
    0: """BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF
        GRD TRL""",
    2: """AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW CNY
        COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR
        IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD
        NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP
        SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG
        ANG BGN CUC CYP EEK HRK LTL LVL MTL ROL SIT SKK SLL ZWL""",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
MINOR_DIGITS: dict[str, int] = {code: digits for digits, codes in _BY_DIGITS.items() for code in codes.split()}
"""ISO 4217 exponent of every code in force, then of codes that were withdrawn and still occur in rates or histories."""

MINOR_UNITS: dict[str, tuple[str, int]] = {
    **{code: ("GBP", 100) for code in ("GBX", "GBp")},  # London: pence
    **{code: ("ZAR", 100) for code in ("ZAC", "ZAc", "ZAX", "ZAr")},  # Johannesburg: cents
    **{code: ("ILS", 100) for code in ("ILA", "ILa", "ILX", "ILs")},  # Tel Aviv: agorot
    **{code: ("KWD", 1000) for code in ("KWF", "KWf")},  # Kuwait: fils
    **{code: ("USD", 100) for code in ("USX", "USd")},  # US cents
    **{code: ("EUR", 100) for code in ("EUX", "EUr")},  # euro cents
}
"""Units that vendors quote prices in and that are no currency: code as reported -> (ISO currency, how many make one of it)."""

_EVER, _SINCE_2005, _SINCE_2008 = "1999-01-04", "2005-04-01", "2008-01-02"
_PUBLISHED = {
    **dict.fromkeys("AUD CAD CHF CZK DKK GBP HKD HUF ISK JPY KRW NOK NZD PLN SEK SGD USD ZAR".split(), (_EVER, "")),
    **dict.fromkeys("CNY IDR MYR PHP THB".split(), (_SINCE_2005, "")),
    **dict.fromkeys("BRL MXN".split(), (_SINCE_2008, "")),
    "ILS": ("2011-01-03", ""),
    "INR": ("2009-01-02", ""),
    "RON": ("2005-07-01", ""),
    "TRY": ("2005-01-03", ""),
    "GRD": (_EVER, "2000-12-29"),
    "TRL": (_EVER, "2004-12-31"),
    "ROL": (_EVER, "2005-06-30"),
    "SIT": (_EVER, "2006-12-29"),
    "CYP": (_EVER, "2007-12-31"),
    "MTL": (_EVER, "2007-12-31"),
    "SKK": (_EVER, "2008-12-31"),
    "EEK": (_EVER, "2010-12-31"),
    "LVL": (_EVER, "2013-12-31"),
    "LTL": (_EVER, "2014-12-31"),
    "RUB": (_SINCE_2005, "2022-03-01"),
    "HRK": (_SINCE_2005, "2022-12-30"),
    "BGN": ("2000-07-19", "2025-12-31"),
}
ECB_REFERENCE_RATES: dict[str, tuple[dt.date, dt.date | None]] = {
    code: (dt.date.fromisoformat(first), dt.date.fromisoformat(last) if last else None)
    for code, (first, last) in sorted(_PUBLISHED.items())
}
"""Currency -> (first, last) date of its euro reference rate; last is None while it is published. ISK paused 2008-12-10 to
2018-02-01; ILS, GRD and BGN may lack older dates in downloads of today's file."""

_LAST_YEAR = 2100
_TARGET_ONCE = (dt.date(1999, 12, 31), dt.date(2001, 12, 31))


def major_unit(currency: str) -> tuple[str, int]:
    """(ISO currency, divisor) of a quotation currency: pence are a hundredth of a pound. Case matters: GBp is not GBP."""
    return MINOR_UNITS.get(currency, (currency, 1))


def minor_digits(currency: str) -> int:
    """Decimals of a currency's amounts. Raises MarketbotError for what is no currency: a guess could be off a hundredfold."""
    try:
        return MINOR_DIGITS[currency]
    except KeyError:
        raise MarketbotError(f"expected a currency of ISO 4217, found {currency!r}") from None


def is_target_day(day: dt.date) -> bool:
    """Whether the euro's payment system is open, which is when the ECB fixes reference rates."""
    return day.weekday() < 5 and day not in _closed_weekdays()[0]


def target_days(first: dt.date, last: dt.date) -> int:
    """TARGET days in (first, last]: the age of a fixing of `first` seen on `last`; 0 when `last` is not later."""
    if last <= first:
        return 0
    ordered = _closed_weekdays()[1]
    closed = bisect.bisect_right(ordered, last) - bisect.bisect_right(ordered, first)
    return _weekdays_up_to(last) - _weekdays_up_to(first) - closed


def _weekdays_up_to(day: dt.date) -> int:
    weeks, rest = divmod(day.toordinal(), 7)  # ordinal 1 was a Monday
    return 5 * weeks + min(rest, 5)


@lru_cache(maxsize=1)
def _closed_weekdays() -> tuple[frozenset[dt.date], tuple[dt.date, ...]]:
    """Weekdays on which TARGET is closed. Before 2000 only New Year and Christmas were common to all its members."""
    found = set(_TARGET_ONCE)
    for year in range(1999, _LAST_YEAR + 1):
        found |= {dt.date(year, 1, 1), dt.date(year, 12, 25)}
        if year >= 2000:
            sunday = easter_sunday(year)
            found |= {sunday - dt.timedelta(days=2), sunday + dt.timedelta(days=1)}
            found |= {dt.date(year, 5, 1), dt.date(year, 12, 26)}
    ordered = tuple(sorted(day for day in found if day.weekday() < 5))
    return frozenset(ordered), ordered
