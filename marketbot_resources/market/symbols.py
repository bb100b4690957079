"""(MIC, ticker) -> the symbol of each price vendor, None for what a vendor does not cover. Pure.

Our ticker is the exchange's: `BRK.B`, `VOLV B`, `700`. A share class is set apart by a dot, blank, slash or hyphen there; Yahoo,
Tiingo and Stooq write a hyphen, Alpaca a dot. Yahoo pads Hong Kong's numbers to four digits. A ticker with other characters
is covered by nobody: it would end up in an address.
"""

import re

from marketbot_resources.market.venues import US, VENUES

_TICKER = re.compile(r"[A-Z0-9]+(?:[ ./&-][A-Z0-9]+)*\.?\Z")
_CLASS_MARKS = re.compile(r"[ ./-]")
_HONG_KONG_DIGITS = 4


def _hyphened(ticker: str) -> str | None:
    """Upper case, class behind a hyphen; London's closing dot (`BP.`) falls away."""
    text = ticker.strip().upper()
    return _CLASS_MARKS.sub("-", text.removesuffix(".")) if _TICKER.match(text) else None


def yahoo_symbol(mic: str, ticker: str) -> str | None:
    """`BRK-B`, `VOLV-B.ST`, `0700.HK`, `BP.L`."""
    venue, plain = VENUES.get(mic), _hyphened(ticker)
    if venue is None or plain is None:
        return None
    if mic == "XHKG" and plain.isdigit():
        plain = plain.lstrip("0").zfill(_HONG_KONG_DIGITS)
    return plain + venue.yahoo


def tiingo_symbol(mic: str, ticker: str) -> str | None:
    """`BRK-B`; listings of the US only."""
    return _hyphened(ticker) if mic in US else None


def alpaca_symbol(mic: str, ticker: str) -> str | None:
    """`BRK.B`; listings of the US only."""
    plain = _hyphened(ticker) if mic in US else None
    return None if plain is None or "&" in plain else plain.replace("-", ".")


def stooq_symbol(mic: str, ticker: str) -> str | None:
    """`brk-b.us`, `bp.uk`, `7203.jp`, `700.hk`."""
    venue, plain = VENUES.get(mic), _hyphened(ticker)
    if venue is None or venue.stooq is None or plain is None or "&" in plain:
        return None
    if mic == "XHKG" and plain.isdigit():
        plain = plain.lstrip("0") or plain
    return plain.lower() + venue.stooq
