"""What the law where the account's owner lives and where a listing trades changes: the mandate's section jurisdiction. Pure.

A table with dates, no legal advice: `docs/choices.md` names the source of every line. A rule counts from the session that decides.
Lives here: which products may not be bought, the least transaction taxes, the least days of a holding rule. Not here: what is
done about them (`marketbot_assets.portfolio`, `marketbot_assets.risk`), withholding taxes, which nothing here estimates.
"""

import datetime as dt
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from marketbot_resources.mandate_section import Section
from marketbot_resources.market.venues import VENUES

EU = frozenset("AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK".split())
EEA = EU | {"IS", "LI", "NO"}
KID_COUNTRIES = EEA | {"GB"}
RESIDENCES = KID_COUNTRIES | {"US"}
KID_FROM = dt.date(2018, 1, 1)  # Regulation (EU) 1286/2014
CRYPTO_FROM = dt.date(2021, 1, 6)  # FCA PS20/10
CRYPTO_ON_UK_EXCHANGES_FROM = dt.date(2025, 10, 8)  # FCA, cETNs on a recognised investment exchange in the UK
LEAST_DAYS: Mapping[str, int] = {"US": 30, "GB": 30, "IE": 28}  # 26 USC 1091; TCGA 1992 s106A; TCA 1997 s581
_CRYPTO = re.compile(
    r"\b(?:crypto\w*|bitcoins?|btc|ether(?:eum)?|eth|solana|xrp|ripple|litecoin|cardano)\b", re.IGNORECASE
)
_NOTE = re.compile(r"\b(?:et[cnp]s?|exchange[- ]traded|trust|tracker|notes?|certificates?)\b", re.IGNORECASE)


class Jurisdiction(Section):
    """Whose rules bind the account: the owner's country of residence (ISO 3166) and how a broker classes the owner."""

    residence: Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
    client: Literal["retail", "professional"]

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.residence not in RESIDENCES:
            raise ValueError(
                f"residence: expected US, GB or a country of the EEA, no rules are known for {self.residence}"
            )
        return self


@dataclass(frozen=True, slots=True)
class ProductRule:
    """A rule that meets a listing. `bars`: it may not be bought; else it is only noted."""

    rule: str
    text: str
    bars: bool

    def __str__(self) -> str:
        return f"{self.rule} {self.text}"


@dataclass(frozen=True, slots=True)
class Product:
    """A listing as the rules see it. `country`: of its issuer, empty = unknown; whoever is not surely a share counts as a fund."""

    mic: str
    country: str
    name: str
    is_fund: bool

    @property
    def listed_in(self) -> str:
        """Country of its exchange; empty when no table knows it."""
        return VENUES[self.mic].country if self.mic in VENUES else ""


@dataclass(frozen=True, slots=True)
class TransactionTax:
    """Basis points of the value of shares bought and sold on an exchange, from the first day on until the next row."""

    first: dt.date
    buy: float
    sell: float


@dataclass(frozen=True, slots=True)
class TaxedExchange:
    """The rates of one exchange, oldest first. They are the highest: some shares there pay less or nothing."""

    name: str
    currency: str
    rates: tuple[TransactionTax, ...]


ALWAYS = dt.date(1990, 1, 1)
TAXES: Mapping[str, TaxedExchange] = {
    "XLON": TaxedExchange("stamp duty reserve tax", "GBP", (TransactionTax(ALWAYS, 50.0, 0.0),)),
    "XDUB": TaxedExchange("Irish stamp duty", "EUR", (TransactionTax(ALWAYS, 100.0, 0.0),)),
    "XHKG": TaxedExchange(
        "Hong Kong stamp duty",
        "HKD",
        (
            TransactionTax(ALWAYS, 10.0, 10.0),
            TransactionTax(dt.date(2021, 8, 1), 13.0, 13.0),
            TransactionTax(dt.date(2023, 11, 17), 10.0, 10.0),
        ),
    ),
    "XPAR": TaxedExchange(
        "French financial transaction tax",
        "EUR",
        (
            TransactionTax(dt.date(2012, 8, 1), 20.0, 0.0),
            TransactionTax(dt.date(2016, 12, 29), 30.0, 0.0),
            TransactionTax(dt.date(2025, 3, 28), 40.0, 0.0),
        ),
    ),
    "XMIL": TaxedExchange(
        "Italian financial transaction tax",
        "EUR",
        (
            TransactionTax(dt.date(2013, 3, 1), 12.0, 0.0),
            TransactionTax(dt.date(2014, 1, 1), 10.0, 0.0),
            TransactionTax(dt.date(2026, 1, 1), 20.0, 0.0),
        ),
    ),
    "XMAD": TaxedExchange(
        "Spanish financial transaction tax", "EUR", (TransactionTax(dt.date(2021, 1, 16), 20.0, 0.0),)
    ),
}


def product_rule(where: Jurisdiction | None, product: Product, session: dt.date, tax_mode: str) -> ProductRule | None:
    """The first rule that meets a buy of the product on a session; None when none does. Sales meet no rule.

    `tax_mode`: the account's; says what is done about a product that is only taxed badly (ignore, note, avoid).
    """
    if where is None:
        return None
    found = (_crypto(where, product, session), _without_kid(where, product, session), _pfic(where, product, tax_mode))
    return next((rule for rule in found if rule is not None), None)


def _crypto(where: Jurisdiction, product: Product, session: dt.date) -> ProductRule | None:
    named = _CRYPTO.search(product.name) and (product.is_fund or _NOTE.search(product.name))
    if where.residence != "GB" or where.client != "retail" or not named or session < CRYPTO_FROM:
        return None
    if session >= CRYPTO_ON_UK_EXCHANGES_FROM and product.listed_in == "GB":
        return None
    return ProductRule("UK-CRYPTO", "a note on cryptoassets that retail clients in the UK may not be sold", bars=True)


def _without_kid(where: Jurisdiction, product: Product, session: dt.date) -> ProductRule | None:
    outside = product.listed_in not in KID_COUNTRIES or product.country == "US"
    if where.residence not in KID_COUNTRIES or where.client != "retail" or session < KID_FROM:
        return None
    if not (product.is_fund and outside):
        return None
    rule, place = (
        "UK-KID" if where.residence == "GB" else "EU-KID",
        product.country or product.listed_in or "nowhere known",
    )
    return ProductRule(rule, f"a fund from {place} without a key information document for retail clients", bars=True)


def _pfic(where: Jurisdiction, product: Product, tax_mode: str) -> ProductRule | None:
    foreign = product.listed_in != "US" or product.country not in ("US", "")
    if where.residence != "US" or not (product.is_fund and foreign) or tax_mode == "ignore":
        return None
    text = "a fund from outside of the US, presumably a passive foreign investment company"
    return ProductRule("US-PFIC", text, bars=tax_mode != "note")


def least_taxes(mics: Collection[str], first: dt.date, last: dt.date) -> dict[tuple[str, str], tuple[float, str]]:
    """(`tax_buy` or `tax_sell`, currency) -> (basis points, why): the highest rate in force on any day from `first` to `last`."""
    found: dict[tuple[str, str], tuple[float, str]] = {}
    for mic in sorted(set(mics) & set(TAXES)):
        exchange = TAXES[mic]
        ends = [*(rate.first for rate in exchange.rates[1:]), dt.date.max]
        for rate, end in zip(exchange.rates, ends, strict=True):
            if rate.first > last or end <= first:
                continue
            for side, bps in (("tax_buy", rate.buy), ("tax_sell", rate.sell)):
                if bps > found.get((side, exchange.currency), (0.0, ""))[0]:
                    found[side, exchange.currency] = bps, f"{exchange.name}, {mic}, from {rate.first}"
    return found


def too_low(given: Mapping[str, Mapping[str, float]], mics: Collection[str], first: dt.date, last: dt.date) -> str:
    """The first tax of the mandate that is below the table, in one line; empty when none is. `given`: side -> currency -> bps."""
    for (side, currency), (bps, why) in sorted(least_taxes(mics, first, last).items()):
        told = given[side].get(currency, 0.0)
        if not told >= bps:
            return f"costs_bps.{side}.{currency}: expected at least {bps:g} ({why}), found {told:g}"
    return ""


def days_too_few(where: Jurisdiction, days: int, tax_mode: str) -> str:
    """Why the days of RC-22 are fewer than the residence's rule; empty when they are not, or when nobody counts them."""
    least = LEAST_DAYS.get(where.residence, 0)
    if tax_mode == "ignore" or days >= least:
        return ""
    return f"limits.RC-22_wash_sale.days: expected at least {least} for residence {where.residence}, found {days}"
