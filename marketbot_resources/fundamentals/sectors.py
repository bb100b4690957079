"""SIC codes, as the SEC assigns them to filers, in coarse sectors with the names of GICS. Facts only.

Codes: https://www.sec.gov/search-filings/standard-industrial-classification-sic-code-list. The assignment to sectors is our own and
coarse: SIC describes what a plant makes, GICS what an investor buys. Known differences: internet portals, search and social
media (SIC 7370 to 7374) are Information Technology here and Communication Services in GICS; card networks are Industrials here.
"""

TECHNOLOGY, HEALTH = "Information Technology", "Health Care"
DISCRETIONARY, STAPLES = "Consumer Discretionary", "Consumer Staples"
INDUSTRIALS, MATERIALS, ENERGY = "Industrials", "Materials", "Energy"
UTILITIES, COMMUNICATION = "Utilities", "Communication Services"
FINANCIALS, REAL_ESTATE = "Financials", "Real Estate"
UNKNOWN = ""

# (first code, last code, sector); the first range that holds the code counts, so exceptions stand before their division
RANGES = (
    (1220, 1241, ENERGY),
    (1311, 1389, ENERGY),
    (1531, 1531, DISCRETIONARY),
    (2451, 2452, DISCRETIONARY),
    (2520, 2522, INDUSTRIALS),
    (2830, 2836, HEALTH),
    (2840, 2844, STAPLES),
    (3011, 3021, DISCRETIONARY),
    (3570, 3579, TECHNOLOGY),
    (3630, 3639, DISCRETIONARY),
    (3651, 3652, DISCRETIONARY),
    (3660, 3679, TECHNOLOGY),
    (3710, 3716, DISCRETIONARY),
    (3751, 3751, DISCRETIONARY),
    (3790, 3799, DISCRETIONARY),
    (3826, 3826, HEALTH),
    (3820, 3829, TECHNOLOGY),
    (3841, 3851, HEALTH),
    (3861, 3861, TECHNOLOGY),
    (3873, 3999, DISCRETIONARY),
    (4950, 4959, INDUSTRIALS),
    (5045, 5045, TECHNOLOGY),
    (5047, 5047, HEALTH),
    (5065, 5065, TECHNOLOGY),
    (5122, 5122, HEALTH),
    (5140, 5159, STAPLES),
    (5171, 5172, ENERGY),
    (5180, 5182, STAPLES),
    (5331, 5331, STAPLES),
    (5400, 5499, STAPLES),
    (5912, 5912, STAPLES),
    (6324, 6324, HEALTH),
    (6500, 6599, REAL_ESTATE),
    (6798, 6798, REAL_ESTATE),
    (7310, 7319, COMMUNICATION),
    (7370, 7379, TECHNOLOGY),
    (7800, 7841, COMMUNICATION),
    (8731, 8731, HEALTH),
    (100, 999, STAPLES),
    (1000, 1499, MATERIALS),
    (1500, 1799, INDUSTRIALS),
    (2000, 2199, STAPLES),
    (2200, 2399, DISCRETIONARY),
    (2400, 2499, MATERIALS),
    (2500, 2599, DISCRETIONARY),
    (2600, 2699, MATERIALS),
    (2700, 2799, COMMUNICATION),
    (2800, 2899, MATERIALS),
    (2900, 2999, ENERGY),
    (3000, 3099, MATERIALS),
    (3100, 3199, DISCRETIONARY),
    (3200, 3399, MATERIALS),
    (3400, 3899, INDUSTRIALS),
    (4000, 4799, INDUSTRIALS),
    (4800, 4899, COMMUNICATION),
    (4900, 4999, UTILITIES),
    (5000, 5199, INDUSTRIALS),
    (5200, 5999, DISCRETIONARY),
    (6000, 6799, FINANCIALS),
    (7000, 7299, DISCRETIONARY),
    (7300, 7699, INDUSTRIALS),
    (7900, 7999, DISCRETIONARY),
    (8000, 8099, HEALTH),
    (8200, 8399, DISCRETIONARY),
    (8100, 8999, INDUSTRIALS),
)


def sector_of(sic: str) -> str:
    """The sector of a SIC code of one to four digits, UNKNOWN for a code that stands in no range or no code at all."""
    code = int(sic) if sic.isascii() and sic.isdigit() and len(sic) <= 4 else -1
    return next((sector for first, last, sector in RANGES if first <= code <= last), UNKNOWN)
