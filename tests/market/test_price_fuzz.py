"""Mutated bodies of every price vendor: one error type, or typed columns of what was asked. Never anything else.

`make campaign` runs 10,000 mutations per vendor, `make test` a few of each.
"""

import random
from collections import Counter

import pytest
from market.mutations import mutations
from market.price_bodies import (
    TICKERS,
    Case,
    recorded,
    recorded_alpaca,
    recorded_tiingo,
    recorded_yahoo,
    small_cases,
    zipped,
)
from market.test_price_vendors import check_columns

from marketbot_resources.errors import ProviderError

CASES = small_cases()
VENDORS = sorted({case.vendor.name for case in CASES})
SHORT, LONG = 150, 10_000


def outcome(case: Case, content: bytes, name: str) -> str:
    """`refused` or `accepted`; fails for another exception, or for columns that break the contract."""
    try:
        found = case.vendor.parse(content, case.asked)
    except ProviderError as error:
        said = str(error)
        if not (said.startswith(f"{case.vendor.name}: ") and said.isascii() and said.isprintable() and len(said) < 600):
            raise AssertionError(f"{case.label} {name}: {said[:300]!r}") from error
        return "refused"
    except Exception as error:
        raise AssertionError(f"{case.label} {name}: {type(error).__name__} {error} for {content[:300]!r}") from error
    check_columns(case.vendor.table, found, case.asked)
    return "accepted"


def campaign(vendor: str, count: int, seed: int) -> Counter[str]:
    """Outcomes of `count` mutations, dealt out over the vendor's tables."""
    cases = [case for case in CASES if case.vendor.name == vendor]
    found: Counter[str] = Counter()
    for n, case in enumerate(cases):
        share = count // len(cases) + (n < count % len(cases))
        found.update(outcome(case, body, name) for name, body in mutations(case.content, seed + n, share))
    return found


@pytest.mark.parametrize("vendor", VENDORS)
def test_mutated_bodies_are_refused_or_harmless(vendor: str) -> None:
    """A vendor's body may be anything: the parser answers with rows that keep the contract or with a ProviderError."""
    found = campaign(vendor, SHORT, 20260105)
    assert found.total() == SHORT
    assert min(found["refused"], found["accepted"]) > 0, found


@pytest.mark.long
@pytest.mark.parametrize("vendor", VENDORS)
def test_ten_thousand_mutated_bodies(vendor: str) -> None:
    """The same, 10,000 times."""
    found = campaign(vendor, LONG, 777)
    print(vendor, dict(found))
    assert found.total() == LONG
    assert min(found["refused"], found["accepted"]) > LONG // 100, found


def test_a_mutated_file_in_an_intact_zip() -> None:
    """Tiingo's tickers once more, behind the checksum of the zip."""
    case = next(case for case in CASES if case.label == "tiingo-file")
    found = Counter(outcome(case, zipped(body), name) for name, body in mutations(TICKERS.encode(), 3, SHORT))
    assert min(found["refused"], found["accepted"]) > 0, found


@pytest.mark.shared_data
@recorded
def test_mutated_recorded_bodies() -> None:
    """Recorded bodies, mutated: they have fields that the small ones lack."""
    by_label = {case.label: case for case in CASES}
    rng = random.Random(5)
    for label, body in (
        ("yahoo-prices", recorded_yahoo("chart-AAPL-2020-08-31-to-2020-11-07").body.replace(b'"AAPL"', b'"TEST"')),
        ("yahoo-actions", recorded_yahoo("chart-AAPL-2020-08-31-to-2020-11-07").body.replace(b'"AAPL"', b'"TEST"')),
        ("tiingo-prices", recorded_tiingo("ticker_price_with_date").body),
        ("tiingo-head", recorded_tiingo("ticker_metadata").body.replace(b"GOOGL", b"TEST")),
        ("alpaca-prices", str(recorded_alpaca("test_get_bars")[0]).replace("'", '"').replace("AAPL", "TEST").encode()),
    ):
        found = Counter(
            outcome(by_label[label], one, name) for name, one in mutations(body, rng.randrange(1 << 30), 40)
        )
        assert found["refused"] > 0, label
