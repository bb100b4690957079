"""Contract ids of Interactive Brokers: a listing by exchange, ticker and currency, a currency pair by both its currencies.

A ticker means something else on every exchange; what does not agree in all three, or agrees twice, is refused. Learnt ids stay in
the home and are asked again after a week. Not here: what is traded under them (`ibkr_orders`).
"""

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType

from marketbot_resources.broker.ibkr_gateway import IbkrGateway, Json, listed, number, record, text
from marketbot_resources.broker.ibkr_memory import Contract, IbkrMemory
from marketbot_resources.broker.symbols import Symbol, Symbols
from marketbot_resources.errors import BrokerError

KNOWN_FOR = dt.timedelta(days=7)
RATES_APART_MAX = Decimal("0.02")
EXCHANGES: Mapping[str, str] = MappingProxyType(
    {
        **{"NYSE": "XNYS", "NASDAQ": "XNAS", "ARCA": "ARCX", "BATS": "BATS", "AMEX": "XASE", "TSE": "XTSE"},
        **{"LSE": "XLON", "LSEETF": "XLON", "IBIS": "XETR", "IBIS2": "XETR", "SBF": "XPAR", "AEB": "XAMS"},
        **{"ENEXT.BE": "XBRU", "BVME": "XMIL", "BVME.ETF": "XMIL", "BM": "XMAD", "EBS": "XSWX", "SFB": "XSTO"},
        **{"HEX": "XHEL", "CPH": "XCSE", "OSE": "XOSL", "VSE": "XWBO", "TSEJ": "XTKS", "SEHK": "XHKG", "ASX": "XASX"},
    }
)
# London's shares are shown in pence there and told in pounds here: nobody has proven in which of them a limit is taken.
PENCE = frozenset({("XLON", "GBP")})
_SPACES = str.maketrans({".": " ", "/": " ", "-": " "})


def broker_ticker(ticker: str) -> str:
    """A ticker as the broker writes it: share classes stand behind a space."""
    return ticker.translate(_SPACES)


class Contracts:
    """Looks contracts up at the gateway and remembers them. Raises BrokerError for what is unknown or ambiguous."""

    def __init__(self, gateway: IbkrGateway, memory: IbkrMemory) -> None:
        self._gateway, self._memory = gateway, memory

    def conid(self, symbol: Symbol, day: dt.date) -> int:
        """The contract id of a listing, as of a day.

        Raises BrokerError when the broker names none or several, when its currency or exchange is another, and when the same
        listing meant another contract before: tickers are reused.
        """
        if (symbol.mic, symbol.currency) in PENCE:
            raise BrokerError(
                f"{symbol.ticker} on {symbol.mic}: whether a limit is in pounds or in pence is not proven"
            )
        known = self._memory.contract(symbol.mic, symbol.ticker, symbol.currency)
        if known is not None and dt.timedelta(0) <= day - known.learnt_on <= KNOWN_FOR:
            return known.conid
        found = self._asked(symbol)
        if known is not None and known.conid != found:
            raise BrokerError(
                f"{symbol.ticker} on {symbol.mic}: meant contract {known.conid}, now {found}; see whether it is the same share"
            )
        self._memory.learn(Contract(symbol.mic, symbol.ticker, symbol.currency, found, day))
        return found

    def _asked(self, symbol: Symbol) -> int:
        ticker = broker_ticker(symbol.ticker)
        where = f"{symbol.ticker} on {symbol.mic}"
        told = self._gateway.read("/trsrv/stocks", {"symbols": ticker})
        found = listings_of(told, ticker, symbol.mic)
        fits = sorted(conid for conid in found if self._fits(conid, symbol))
        if len(fits) != 1:
            raise BrokerError(f"{where} in {symbol.currency}: expected one contract, found {len(fits)}")
        return fits[0]

    def _fits(self, conid: int, symbol: Symbol) -> bool:
        """Whether a contract's own definition agrees with our listing."""
        told = record(self._gateway.read("/trsrv/secdef", {"conids": str(conid)}), "definition")
        for each in listed(told.get("secdef"), "definitions"):
            entry = record(each, "definition")
            if int(number(entry.get("conid"), "conid")) != conid:
                continue
            return (
                text(entry.get("assetClass")) == "STK"
                and text(entry.get("currency")) == symbol.currency
                and EXCHANGES.get(text(entry.get("listingExchange"))) == symbol.mic
                and text(entry.get("ticker")) == broker_ticker(symbol.ticker)
            )
        return False

    def pair(self, base: str, currency: str) -> tuple[int, bool]:
        """The contract id of a currency against the base, and whether the pair is quoted with the currency first."""
        told = record(self._gateway.read("/iserver/currency/pairs", {"currency": base}), "pairs")
        names = {f"{currency}.{base}": True, f"{base}.{currency}": False}
        found = {}
        for each in listed(told.get(base), "pairs"):
            entry = record(each, "pair")
            if text(entry.get("symbol")) in names:
                found[int(number(entry.get("conid"), "conid"))] = names[text(entry.get("symbol"))]
        if len(found) != 1:
            raise BrokerError(f"{currency} against {base}: expected one pair, found {len(found)}")
        return next(iter(found.items()))

    def rate(self, base: str, currency: str, ledger: Mapping[str, Json]) -> Decimal:
        """Base currency per unit of a currency: the broker's rate, which the account's own ledger must confirm.

        Raises BrokerError when one of them is missing or they are more than RATES_APART_MAX apart: a rate the wrong way
        round would convert many times too much.
        """
        asked = record(
            self._gateway.read("/iserver/exchangerate", {"source": currency, "target": base}), "exchange rate"
        )
        own = ledger.get(currency)
        if own is None:
            raise BrokerError(f"{currency} against {base}: no second source of its rate; hold a little of it first")
        rates = [number(asked.get("rate"), "rate"), number(record(own, currency).get("exchangerate"), "exchangerate")]
        low, high = sorted(rates)
        if not (low > 0 and high <= low * (1 + RATES_APART_MAX)):
            raise BrokerError(f"{currency} against {base}: expected one rate, found {rates[0]} and {rates[1]}")
        return low


def listings_of(told: Json, ticker: str, mic: str) -> set[int]:
    """Contract ids of the shares under a ticker on one exchange, whatever company they are of."""
    found = set()
    for company in listed(record(told, "stocks").get(ticker, []), "stocks"):
        entry = record(company, "stock")
        if text(entry.get("assetClass")) != "STK":
            continue
        for each in listed(entry.get("contracts", []), "contracts"):
            contract = record(each, "contract")
            if EXCHANGES.get(text(contract.get("exchange"))) == mic:
                found.add(int(number(contract.get("conid"), "conid")))
    return found


def instrument_of(
    symbols: Symbols, memory: IbkrMemory, conid: str, *, ticker: str, exchange: str, currency: str
) -> str | None:
    """Our instrument behind a contract that the broker names; None when it is none of ours or not certain.

    A contract that was learnt before is that listing; another one is found by its own exchange, ticker and currency.
    """
    learnt = memory.contract_of(int(conid)) if conid.isascii() and conid.isdigit() else None
    if learnt is not None:
        found = symbols.at(learnt.ticker, [learnt.mic])
        return None if found is None or found.currency != learnt.currency else found.instrument
    mic = EXCHANGES.get(exchange)
    if mic is None:
        return None
    written = {ticker, *(ticker.replace(" ", sign) for sign in "./-")}
    fits = {
        s.instrument
        for name in sorted(written)
        if (s := symbols.at(name, [mic])) is not None and s.currency == currency
    }
    return fits.pop() if len(fits) == 1 else None
