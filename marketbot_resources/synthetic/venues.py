"""Exchanges of the synthetic world, their currencies, sectors and the parts of invented names. Pure.

Every stock exchange that the calendars know. Rates are round and set scales only.
"""

from dataclasses import dataclass

from marketbot_resources.market.listings import NOUNS

UNITS_PER_USD = {
    "USD": 1.0, "EUR": 0.9, "GBP": 0.75, "JPY": 110.0, "HKD": 7.8, "AUD": 1.4, "CAD": 1.3, "CHF": 0.95, "SEK": 9.0,
    "DKK": 6.5, "NOK": 8.5, "PLN": 3.8, "HUF": 290.0, "CZK": 22.0, "TRY": 6.0, "ZAR": 14.0, "INR": 70.0, "CNY": 6.7,
    "KRW": 1150.0, "TWD": 30.0, "SGD": 1.35, "MYR": 4.1, "THB": 32.0, "IDR": 14000.0, "PHP": 51.0, "NZD": 1.5,
    "BRL": 4.0, "MXN": 19.0, "CLP": 680.0, "PEN": 3.3, "COP": 3200.0, "ARS": 40.0, "RUB": 64.0, "ISK": 115.0, "PKR": 140.0,
    "RSD": 105.0, "RON": 4.2, "SAR": 3.75, "ILS": 3.6, "KZT": 400.0,
}  # fmt: skip
_EURO = {
    "XETR": "DE", "XFRA": "DE", "XDUS": "DE", "XHAM": "DE", "XSTU": "DE", "XPAR": "FR", "XAMS": "NL", "XBRU": "BE",
    "XLIS": "PT", "XDUB": "IE", "XMAD": "ES", "XMIL": "IT", "XHEL": "FI", "XWBO": "AT", "XLUX": "LU", "XBRA": "SK",
    "XLJU": "SI", "XTAL": "EE", "XRIS": "LV", "XLIT": "LT", "XZAG": "HR",
    "ASEX": "GR", "XCYS": "CY",
}  # fmt: skip
_OTHER = {
    "XNYS": ("US", "USD"), "XNAS": ("US", "USD"), "XTSE": ("CA", "CAD"), "XLON": ("GB", "GBX"), "XTKS": ("JP", "JPY"),
    "XHKG": ("HK", "HKD"), "XASX": ("AU", "AUD"), "XSWX": ("CH", "CHF"), "XSTO": ("SE", "SEK"), "XCSE": ("DK", "DKK"),
    "XOSL": ("NO", "NOK"), "XICE": ("IS", "ISK"), "XWAR": ("PL", "PLN"), "XBUD": ("HU", "HUF"), "XPRA": ("CZ", "CZK"),
    "XIST": ("TR", "TRY"), "XJSE": ("ZA", "ZAC"), "XBOM": ("IN", "INR"), "XSHG": ("CN", "CNY"), "XKRX": ("KR", "KRW"),
    "XTAI": ("TW", "TWD"), "XSES": ("SG", "SGD"), "XKLS": ("MY", "MYR"), "XBKK": ("TH", "THB"), "XIDX": ("ID", "IDR"),
    "XPHS": ("PH", "PHP"), "XNZE": ("NZ", "NZD"), "BVMF": ("BR", "BRL"), "XMEX": ("MX", "MXN"), "XSGO": ("CL", "CLP"),
    "XLIM": ("PE", "PEN"), "XBOG": ("CO", "COP"), "XBUE": ("AR", "ARS"), "XMOS": ("RU", "RUB"), "XKAR": ("PK", "PKR"),
    "XBEL": ("RS", "RSD"), "XBSE": ("RO", "RON"), "XSAU": ("SA", "SAR"), "XTAE": ("IL", "ILA"), "AIXK": ("KZ", "KZT"),
}  # fmt: skip
LOTS = {"XTKS": 100, "XHKG": 500, "XSHG": 100, "XSES": 100, "XKLS": 100, "XBKK": 100, "XIDX": 100, "XTAI": 1000}
SECTOR_NAMES = tuple(NOUNS)
FIRST_WORDS = ("Alder", "Birch", "Cedar", "Delta", "Ember", "Fjord", "Grove", "Heron", "Ivory", "Juniper", "Kestrel")


@dataclass(frozen=True, slots=True)
class Venue:
    """Country of the issuers, ISO 3166 alpha-2; quotation currency (GBX, ZAC: hundredths); lot in shares."""

    country: str
    currency: str
    lot: int


VENUES = {
    mic: Venue(country, currency, LOTS.get(mic, 1))
    for mic, (country, currency) in {**{mic: (c, "EUR") for mic, c in _EURO.items()}, **_OTHER}.items()
}
