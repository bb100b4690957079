"""The listings of the sample world: 20 real US names, 5 real funds, 40 simulated names on four other exchanges."""

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

SEED = 20181001
_US = {
    # ticker: name, sector, exchange, market capitalisation at the end of 2018 in billions of dollars (rounded)
    "AAPL": ("Apple Inc.", "Information Technology", "XNAS", 750),
    "AMD": ("Advanced Micro Devices", "Information Technology", "XNAS", 18),
    "BAC": ("Bank of America", "Financials", "XNYS", 240),
    "BBY": ("Best Buy", "Consumer Discretionary", "XNYS", 14),
    "CVX": ("Chevron", "Energy", "XNYS", 205),
    "GE": ("General Electric", "Industrials", "XNYS", 65),
    "HD": ("Home Depot", "Consumer Discretionary", "XNYS", 190),
    "JNJ": ("Johnson & Johnson", "Health Care", "XNYS", 345),
    "JPM": ("JPMorgan Chase", "Financials", "XNYS", 320),
    "KO": ("Coca-Cola", "Consumer Staples", "XNYS", 200),
    "LLY": ("Eli Lilly", "Health Care", "XNYS", 120),
    "MRK": ("Merck", "Health Care", "XNYS", 200),
    "MSFT": ("Microsoft", "Information Technology", "XNAS", 780),
    "PEP": ("PepsiCo", "Consumer Staples", "XNAS", 155),
    "PFE": ("Pfizer", "Health Care", "XNYS", 250),
    "PG": ("Procter & Gamble", "Consumer Staples", "XNYS", 230),
    "RRC": ("Range Resources", "Energy", "XNYS", 3),
    "UNH": ("UnitedHealth", "Health Care", "XNYS", 240),
    "WMT": ("Walmart", "Consumer Staples", "XNYS", 270),
    "XOM": ("Exxon Mobil", "Energy", "XNYS", 290),
}
_FUNDS = {
    "MTUM": "Momentum factor fund",
    "QUAL": "Quality factor fund",
    "SIZE": "Size factor fund",
    "USMV": "Minimum volatility fund",
    "VLUE": "Value factor fund",
}
SECTORS = (
    "Communication Services",
    "Consumer Discretionary",
    "Consumer Staples",
    "Energy",
    "Financials",
    "Health Care",
    "Industrials",
    "Information Technology",
    "Materials",
    "Real Estate",
    "Utilities",
)
VENUES = {
    # exchange: quotation currency, country, tick, first word of the invented names, suffix
    "XLON": ("GBX", "GB", 0.1, "Albion", "plc"),
    "XETR": ("EUR", "DE", 0.01, "Rhein", "AG"),
    "XTKS": ("JPY", "JP", 0.5, "Nihon", "K.K."),
    "XHKG": ("HKD", "HK", 0.01, "Harbour", "Ltd"),
}
PER_VENUE = 10
NOUNS = {
    "Communication Services": "Media",
    "Consumer Discretionary": "Retail",
    "Consumer Staples": "Foods",
    "Energy": "Energy",
    "Financials": "Bank",
    "Health Care": "Pharma",
    "Industrials": "Works",
    "Information Technology": "Systems",
    "Materials": "Metals",
    "Real Estate": "Property",
    "Utilities": "Power",
}


@dataclass(frozen=True, slots=True)
class SampleListing:
    """One listing. `cap_usd` at the end of 2018; `adv_usd` average daily value traded; `start_price` in the quotation currency."""

    source_id: str
    ticker: str
    name: str
    mic: str
    currency: str
    country: str
    sector: str
    kind: str
    lot: int
    tick: float
    cap_usd: float
    adv_usd: float
    start_price: float
    real: bool
    young: bool


def generator(*names: str) -> "np.random.Generator":
    """A random stream of its own for each purpose, so that adding one never shifts another."""
    import numpy as np

    return np.random.default_rng([SEED, *(zlib.crc32(name.encode()) for name in names)])


def real_listings() -> list[SampleListing]:
    """The US names and funds whose closes are real."""
    rows = [
        SampleListing(
            f"US-{t}",
            t,
            name,
            mic,
            "USD",
            "US",
            sector,
            "EQUITY",
            1,
            0.001,
            cap * 1e9,
            max(cap * 5e6, 2.5e7),
            0.0,
            True,
            False,
        )
        for t, (name, sector, mic, cap) in _US.items()
    ]
    rows += [
        SampleListing(f"US-{t}", t, name, "BATS", "USD", "US", "FUND", "FUND", 1, 0.001, 6e9, 6e7, 0.0, True, False)
        for t, name in _FUNDS.items()
    ]
    return rows


def simulated_listings(size: int | None) -> list[SampleListing]:
    """The invented names; `size` is the wished number of all listings together, None the standard world."""
    standard = len(VENUES) * PER_VENUE
    count = standard if size is None else max(0, size - len(real_listings()))
    mics = tuple(VENUES)
    return [_simulated(mics[n % len(mics)], n // len(mics)) for n in range(count)]


def _simulated(mic: str, number: int) -> SampleListing:
    currency, country, tick, first, suffix = VENUES[mic]
    draw = generator("listing", mic, str(number))
    sector = SECTORS[(number + 3 * tuple(VENUES).index(mic)) % len(SECTORS)]
    lot = {"XTKS": 100, "XHKG": int(draw.choice([100, 200, 500, 1000]))}.get(mic, 1)
    low, high = {
        "XLON": (250.0, 2800.0),
        "XETR": (18.0, 160.0),
        "XTKS": (700.0, 2900.0),
        "XHKG": (8_000.0 / lot, 38_000.0 / lot),
    }[mic]
    thin = number == PER_VENUE - 1 and mic != "XTKS"
    adv = float(draw.uniform(2e6, 3.5e6)) if thin else float(draw.uniform(1.5e7, 9e7))
    letter = f"{number + 1:02d}"
    ticker = f"{1000 + 37 * (number + 1)}" if mic in ("XTKS", "XHKG") else f"{first[:2].upper()}{letter}"
    return SampleListing(
        source_id=f"{country}-{ticker}",
        ticker=ticker,
        name=f"{first} {NOUNS[sector]} {letter} {suffix}",
        mic=mic,
        currency=currency,
        country=country,
        sector=sector,
        kind="EQUITY",
        lot=lot,
        tick=tick,
        cap_usd=adv * float(draw.uniform(250, 600)),
        adv_usd=adv,
        start_price=float(draw.uniform(low, high)),
        real=False,
        young=number == PER_VENUE - 2 and mic in ("XETR", "XHKG"),
    )
