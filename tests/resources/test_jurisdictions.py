"""What the owner's residence changes: product bars on both sides of every date, least taxes, and mandates that are refused."""

import datetime as dt
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from marketbot_resources.errors import MandateError
from marketbot_resources.jurisdictions import RESIDENCES, Jurisdiction, Product, least_taxes, product_rule
from marketbot_resources.mandate import Mandate, parse_mandate
from marketbot_resources.mandate_directions import Direction, compare, overall

TEXT = (Path(__file__).parents[2] / "mandate.yaml").read_text(encoding="utf-8")
TODAY = dt.date(2026, 6, 1)
DAY = dt.timedelta(days=1)
US_FUND = Product("ARCX", "US", "SPDR S&P 500 ETF Trust", is_fund=True)
UCITS = Product("XETR", "IE", "iShares Core MSCI World UCITS ETF", is_fund=True)
SHARE = Product("XNYS", "US", "Coca-Cola Company", is_fund=False)
BITCOIN_LONDON = Product("XLON", "JE", "21Shares Bitcoin Core ETP", is_fund=True)
BITCOIN_XETRA = Product("XETR", "DE", "ETC Group Physical Bitcoin", is_fund=True)
BITCOIN_NOTE = Product("XLON", "JE", "WisdomTree Physical Ethereum ETN", is_fund=False)


def of(residence: str, client: str = "retail") -> Jurisdiction:
    return Jurisdiction.model_validate({"residence": residence, "client": client})


def mandate_with(**changes: object) -> Mandate:
    """The default mandate with keys replaced; `section__key` reaches one level down."""
    plain = yaml.safe_load(TEXT)
    for path, value in changes.items():
        section, _, key = path.partition("__")
        if key:
            plain[section][key] = value
        else:
            plain[section] = value
    return parse_mandate(yaml.safe_dump(plain))


BARS = [
    ("DE", "retail", US_FUND, TODAY, "EU-KID"),
    ("IS", "retail", US_FUND, TODAY, "EU-KID"),
    ("GB", "retail", US_FUND, TODAY, "UK-KID"),
    ("DE", "professional", US_FUND, TODAY, None),
    ("GB", "professional", US_FUND, TODAY, None),
    ("DE", "retail", US_FUND, dt.date(2018, 1, 1), "EU-KID"),
    ("DE", "retail", US_FUND, dt.date(2017, 12, 31), None),
    ("GB", "retail", US_FUND, dt.date(2017, 12, 31), None),
    ("DE", "retail", UCITS, TODAY, None),
    ("GB", "retail", UCITS, TODAY, None),
    ("DE", "retail", SHARE, TODAY, None),
    ("GB", "retail", SHARE, TODAY, None),
    ("DE", "retail", Product("XTKS", "JP", "TOPIX Fund", is_fund=True), TODAY, "EU-KID"),
    ("DE", "retail", Product("XSWX", "CH", "SMI ETF", is_fund=True), TODAY, "EU-KID"),
    ("DE", "retail", Product("XETR", "US", "A fund from New York", is_fund=True), TODAY, "EU-KID"),
    ("DE", "retail", Product("XETR", "", "A fund from nobody knows where", is_fund=True), TODAY, None),
    ("DE", "retail", Product("ZZZZ", "", "A fund on an exchange that nobody knows", is_fund=True), TODAY, "EU-KID"),
    ("GB", "retail", BITCOIN_LONDON, dt.date(2021, 1, 5), None),
    ("GB", "retail", BITCOIN_LONDON, dt.date(2021, 1, 6), "UK-CRYPTO"),
    ("GB", "retail", BITCOIN_NOTE, dt.date(2021, 1, 6), "UK-CRYPTO"),
    ("GB", "retail", BITCOIN_LONDON, dt.date(2025, 10, 7), "UK-CRYPTO"),
    ("GB", "retail", BITCOIN_LONDON, dt.date(2025, 10, 8), None),
    ("GB", "retail", BITCOIN_XETRA, dt.date(2025, 10, 8), "UK-CRYPTO"),
    ("GB", "professional", BITCOIN_XETRA, dt.date(2025, 10, 8), None),
    ("DE", "retail", BITCOIN_XETRA, dt.date(2023, 1, 2), None),
    ("GB", "retail", Product("XNAS", "US", "Bitcoin Depot Inc.", is_fund=False), TODAY, None),
    ("GB", "retail", Product("XLON", "GB", "Ethernity Networks", is_fund=True), dt.date(2023, 1, 2), None),
]


@pytest.mark.parametrize(("residence", "client", "product", "session", "rule"), BARS)
def test_a_product_is_barred_by_residence_class_and_date(
    residence: str, client: str, product: Product, session: dt.date, rule: str | None
) -> None:
    """EU-KID, UK-KID, UK-CRYPTO: who may not buy what from which day on."""
    found = product_rule(of(residence, client), product, session, "avoid")
    assert (found.rule if found else None) == rule
    assert found is None or found.bars


PFIC = [
    (UCITS, "avoid", True),
    (UCITS, "note", False),
    (UCITS, "ignore", None),
    (US_FUND, "avoid", None),
    (Product("ARCX", "", "A fund of which only the exchange is known", is_fund=True), "avoid", None),
    (Product("ARCX", "CA", "Sprott Physical Gold Trust", is_fund=True), "avoid", True),
    (Product("XETR", "DE", "Siemens", is_fund=False), "avoid", None),
]


@pytest.mark.parametrize(("product", "tax_mode", "bars"), PFIC)
@pytest.mark.parametrize("client", ["retail", "professional"])
def test_foreign_funds_of_residents_of_the_us_follow_the_tax_mode(
    product: Product, tax_mode: str, bars: bool | None, client: str
) -> None:
    """US-PFIC: avoid bars, note notes, ignore says nothing; a tax knows no class of clients."""
    found = product_rule(of("US", client), product, TODAY, tax_mode)
    assert (found.bars if found else None) == bars
    assert found is None or found.rule == "US-PFIC"


PRODUCTS = st.builds(
    Product,
    st.sampled_from(["XNYS", "ARCX", "XLON", "XETR", "XTKS", "ZZZZ"]),
    st.sampled_from(["US", "GB", "IE", "JE", "JP", ""]),
    st.sampled_from(["Coca-Cola", "Bitcoin Trust", "World UCITS ETF"]),
    st.booleans(),
)
MODES = st.sampled_from(["ignore", "note", "avoid"])


@settings(max_examples=200, deadline=None)
@given(PRODUCTS, st.dates(dt.date(2014, 1, 1), TODAY), MODES, st.sampled_from(sorted(RESIDENCES)))
def test_without_a_jurisdiction_nothing_is_barred_and_retail_never_may_more(
    product: Product, session: dt.date, mode: str, residence: str
) -> None:
    """No residence, no rule; whatever a professional may not buy, a retail client may not; a share of a company is always free."""
    assert product_rule(None, product, session, mode) is None
    retail, other = (
        product_rule(of(residence, client), product, session, mode) for client in ("retail", "professional")
    )
    assert retail is not None or other is None
    assert product.is_fund or retail is None or product.name == "Bitcoin Trust"


RATES = [
    ("XLON", dt.date(2014, 1, 2), dt.date(2014, 1, 2), {("tax_buy", "GBP"): 50.0}),
    ("XDUB", dt.date(2014, 1, 2), dt.date(2014, 1, 2), {("tax_buy", "EUR"): 100.0}),
    ("XHKG", dt.date(2018, 10, 1), dt.date(2021, 7, 31), {("tax_buy", "HKD"): 10.0, ("tax_sell", "HKD"): 10.0}),
    ("XHKG", dt.date(2018, 10, 1), dt.date(2021, 8, 1), {("tax_buy", "HKD"): 13.0, ("tax_sell", "HKD"): 13.0}),
    ("XHKG", dt.date(2023, 11, 16), dt.date(2027, 1, 1), {("tax_buy", "HKD"): 13.0, ("tax_sell", "HKD"): 13.0}),
    ("XHKG", dt.date(2023, 11, 17), dt.date(2027, 1, 1), {("tax_buy", "HKD"): 10.0, ("tax_sell", "HKD"): 10.0}),
    ("XPAR", dt.date(2010, 1, 4), dt.date(2012, 7, 31), {}),
    ("XPAR", dt.date(2010, 1, 4), dt.date(2012, 8, 1), {("tax_buy", "EUR"): 20.0}),
    ("XPAR", dt.date(2018, 1, 2), dt.date(2025, 3, 27), {("tax_buy", "EUR"): 30.0}),
    ("XPAR", dt.date(2018, 1, 2), dt.date(2025, 3, 28), {("tax_buy", "EUR"): 40.0}),
    ("XMIL", dt.date(2013, 2, 1), dt.date(2013, 2, 28), {}),
    ("XMIL", dt.date(2013, 12, 31), dt.date(2014, 6, 30), {("tax_buy", "EUR"): 12.0}),
    ("XMIL", dt.date(2014, 1, 1), dt.date(2025, 12, 31), {("tax_buy", "EUR"): 10.0}),
    ("XMIL", dt.date(2014, 1, 1), dt.date(2026, 1, 1), {("tax_buy", "EUR"): 20.0}),
    ("XMAD", dt.date(2014, 1, 1), dt.date(2021, 1, 15), {}),
    ("XMAD", dt.date(2014, 1, 1), dt.date(2021, 1, 16), {("tax_buy", "EUR"): 20.0}),
    ("XETR", dt.date(2014, 1, 1), TODAY, {}),
    ("XNYS", dt.date(2014, 1, 1), TODAY, {}),
]


@pytest.mark.parametrize(("mic", "first", "last", "expected"), RATES)
def test_the_highest_rate_in_force_is_the_least(
    mic: str, first: dt.date, last: dt.date, expected: dict[tuple[str, str], float]
) -> None:
    """Stamp duties and transaction taxes on the day before and the day of each change."""
    assert {key: bps for key, (bps, _) in least_taxes([mic], first, last).items()} == expected


def test_two_exchanges_of_one_currency_ask_for_the_higher_rate() -> None:
    """A rate stands per currency in the mandate: Paris and Dublin together cost what Dublin costs."""
    found = least_taxes(["XPAR", "XDUB", "XMIL"], TODAY, TODAY)
    assert found == {("tax_buy", "EUR"): (100.0, "Irish stamp duty, XDUB, from 1990-01-01")}


HOME = {"residence": "DE", "client": "retail"}
TAXED = {"costs_bps__tax_buy": {"GBP": 50, "HKD": 13}, "costs_bps__tax_sell": {"HKD": 13}}
REFUSED = [
    ({"jurisdiction": {"residence": "CH", "client": "retail"}}, "no rules are known for ch, found {"),
    ({"jurisdiction": {"residence": "de", "client": "retail"}}, "jurisdiction.residence"),
    ({"jurisdiction": {"residence": "DE", "client": "rich"}}, "jurisdiction.client"),
    ({"jurisdiction": {"residence": "DE"}}, "jurisdiction.client"),
    ({"jurisdiction": {**HOME, "city": "Bonn"}}, "jurisdiction.city"),
    ({"jurisdiction": HOME}, "costs_bps.tax_buy.HKD: expected at least 13 (Hong Kong stamp duty, XHKG, from 2021-08-01), found 10"),
    ({"jurisdiction": HOME, "costs_bps__tax_buy": {"HKD": 13}}, "costs_bps.tax_buy.GBP: expected at least 50"),
    ({"jurisdiction": HOME, "costs_bps__tax_buy": {"GBP": 49.99, "HKD": 13}}, "costs_bps.tax_buy.GBP: expected at least 50"),
    ({"jurisdiction": HOME, **TAXED, "costs_bps__tax_sell": {}}, "costs_bps.tax_sell.HKD: expected at least 13"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "words"), REFUSED)
def test_a_mandate_below_the_rules_is_one_clear_line(changes: dict[str, object], words: str) -> None:
    """MandateError names the key, what is expected and from when."""
    with pytest.raises(MandateError) as caught:
        mandate_with(**changes)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


DAYS = [
    ("US", "note", 29, 30),
    ("US", "avoid", 30, None),
    ("US", "ignore", 1, None),
    ("GB", "note", 29, 30),
    ("IE", "note", 27, 28),
    ("IE", "note", 28, None),
    ("DE", "note", 1, None),
]


@pytest.mark.parametrize(("residence", "mode", "days", "least"), DAYS)
def test_the_days_of_wash_sales_are_at_least_the_laws(residence: str, mode: str, days: int, least: int | None) -> None:
    """RC-22: 30 days in the US and the UK, four weeks in Ireland, unless the account only counts; none known for Germany."""
    plain = yaml.safe_load(TEXT)
    limits = {**plain["limits"], "RC-22_wash_sale": {"days": days}}
    account = {**plain["account"], "tax_mode": mode}
    where = {"residence": residence, "client": "retail"}
    changes = {"jurisdiction": where, "limits": limits, "account": account, **TAXED}
    if least is None:
        assert mandate_with(**changes).limits.wash_sale.days == days
        return
    words = f"RC-22_wash_sale.days: expected at least {least} for residence {residence}, found {days}"
    with pytest.raises(MandateError, match=words):
        mandate_with(**changes)


def test_stating_a_jurisdiction_tightens_and_nothing_else_about_it_does() -> None:
    """Direction of the key: from none to one is tighter, back is looser, another one needs a record."""
    none, german, british = (
        mandate_with(jurisdiction=where, **TAXED) for where in (None, HOME, {**HOME, "residence": "GB"})
    )
    rich = mandate_with(jurisdiction={**HOME, "client": "professional"}, **TAXED)
    assert overall(compare(none, german)) is Direction.TIGHTER
    assert overall(compare(german, none)) is Direction.LOOSER
    assert overall(compare(german, german)) is Direction.NEUTRAL
    for other in (british, rich):
        assert [change.direction for change in compare(german, other)] == [Direction.UNKNOWN]
        assert overall(compare(german, other)) is Direction.LOOSER
