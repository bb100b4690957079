"""Vendor symbols, checked against symbols that the vendors publish."""

import datetime as dt
from zoneinfo import ZoneInfo

import pytest

from marketbot_resources.market.symbols import alpaca_symbol, stooq_symbol, tiingo_symbol, yahoo_symbol
from marketbot_resources.market.venues import US, VENUES

TABLE = [
    # MIC, ticker, Yahoo, Tiingo, Alpaca, Stooq
    ("XNYS", "BRK.B", "BRK-B", "BRK-B", "BRK.B", "brk-b.us"),
    ("XNYS", "BRK B", "BRK-B", "BRK-B", "BRK.B", "brk-b.us"),
    ("XNAS", "aapl", "AAPL", "AAPL", "AAPL", "aapl.us"),
    ("ARCX", "SPY", "SPY", "SPY", "SPY", "spy.us"),
    ("XLON", "OCDO", "OCDO.L", None, None, "ocdo.uk"),
    ("XLON", "BP.", "BP.L", None, None, "bp.uk"),
    ("XLON", "BT.A", "BT-A.L", None, None, "bt-a.uk"),
    ("XETR", "SAP", "SAP.DE", None, None, "sap.de"),
    ("XSTO", "VOLV B", "VOLV-B.ST", None, None, None),
    ("XCSE", "NOVO B", "NOVO-B.CO", None, None, None),
    ("XHKG", "700", "0700.HK", None, None, "700.hk"),
    ("XHKG", "0005", "0005.HK", None, None, "5.hk"),
    ("XHKG", "09988", "9988.HK", None, None, "9988.hk"),
    ("XTKS", "7203", "7203.T", None, None, "7203.jp"),
    ("XTSE", "BBD.B", "BBD-B.TO", None, None, None),
    ("XTSX", "PNG", "PNG.V", None, None, None),
    ("XNSE", "M&M", "M&M.NS", None, None, None),
    ("XBOM", "500325", "500325.BO", None, None, None),
    ("XKRX", "005930", "005930.KS", None, None, None),
    ("XKOS", "035720", "035720.KQ", None, None, None),
    ("XTAI", "2330", "2330.TW", None, None, None),
    ("XSES", "D05", "D05.SI", None, None, None),
    ("BVMF", "PETR4", "PETR4.SA", None, None, None),
    ("XMEX", "WALMEX", "WALMEX.MX", None, None, None),
    ("XJSE", "NPN", "NPN.JO", None, None, None),
    ("XTAE", "TEVA", "TEVA.TA", None, None, None),
    ("XPAR", "MC", "MC.PA", None, None, None),
    ("XAMS", "ASML", "ASML.AS", None, None, None),
    ("XBRU", "ABI", "ABI.BR", None, None, None),
    ("XLIS", "EDP", "EDP.LS", None, None, None),
    ("XMIL", "ENI", "ENI.MI", None, None, None),
    ("XMAD", "IBE", "IBE.MC", None, None, None),
    ("XSWX", "NESN", "NESN.SW", None, None, None),
    ("XHEL", "NOKIA", "NOKIA.HE", None, None, None),
    ("XOSL", "AZT", "AZT.OL", None, None, None),
    ("XWBO", "OMV", "OMV.VI", None, None, None),
    ("XFRA", "SAP", "SAP.F", None, None, None),
    ("XASX", "BHP", "BHP.AX", None, None, None),
    ("XNAS", "A?b=c", None, None, None, None),
    ("XNAS", "../x", None, None, None, None),
    ("XNAS", "A\n", "A", "A", "A", "a.us"),
    ("XNAS", "٣", None, None, None, None),
    ("ZZZZ", "AAPL", None, None, None, None),
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row[0]}-{row[1]!a}")
def test_symbols(row: tuple[str, str, str | None, str | None, str | None, str | None]) -> None:
    """Each vendor's own spelling; None for what it does not cover or what would not be safe in an address."""
    mic, ticker, *expected = row
    found = [symbol(mic, ticker) for symbol in (yahoo_symbol, tiingo_symbol, alpaca_symbol, stooq_symbol)]
    assert found == expected


def test_no_two_exchanges_share_a_suffix_outside_of_the_us() -> None:
    """A suffix leads back to one exchange, else one exchange's prices would pass for another's."""
    suffixes = [venue.yahoo for venue in VENUES.values() if venue.mic not in US]
    assert len(set(suffixes)) == len(suffixes)
    assert all(suffix.startswith(".") for suffix in suffixes)


@pytest.mark.parametrize("mic", sorted(VENUES))
def test_an_exchange_has_the_time_zone_of_its_calendar(mic: str) -> None:
    """Bars get their session label from the venue's zone: it is the zone in which the calendar's sessions lie."""
    import exchange_calendars

    if mic not in exchange_calendars.get_calendar_names(include_aliases=True):
        pytest.skip(f"no calendar of {mic}")
    name = exchange_calendars.calendar_utils.resolve_alias(mic)
    found = exchange_calendars.calendar_utils.global_calendar_dispatcher._calendar_factories[name]
    zone = found.tz.fget(None) if isinstance(found.tz, property) else found.tz
    for month in (1, 7):
        noon = dt.datetime(2024, month, 15, 12, tzinfo=dt.UTC)
        assert noon.astimezone(ZoneInfo(VENUES[mic].timezone)).utcoffset() == noon.astimezone(zone).utcoffset()
