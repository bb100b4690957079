"""RC-67, RC-68: our book against the broker's."""

import datetime as dt
from decimal import Decimal

import pytest

from marketbot_assets.book.positions import Holdings
from marketbot_assets.book.reconciliation import adopt_explained, cash_tolerance, is_clean, reconcile
from marketbot_assets.book.schema import RECONCILIATION
from marketbot_assets.ingestion.snapshot import snapshot_frame
from marketbot_resources.errors import BrokerError
from marketbot_resources.model import AccountEvent, AccountReport

CUTOFF = dt.datetime(2018, 12, 11, 23, 15, tzinfo=dt.UTC)
OURS = Holdings({"A": Decimal(100)}, {"USD": Decimal("5000.00")})
Amounts = dict[str, str]


def event(kind: str = "DIVIDEND", amount: str = "0", quantity: str = "0", name: str = "A") -> AccountEvent:
    return AccountEvent(f"{name}{kind}", kind, name, "USD", Decimal(amount), Decimal(quantity), CUTOFF)


def compare(shares: Amounts, cash: Amounts, *, ours=OURS, events=(), booked=(), nav=100_000.0, known=("A", "B")):  # type: ignore[no-untyped-def]
    plain = ({k: Decimal(v) for k, v in book.items()} for book in (cash, shares))
    snapshot = snapshot_frame(AccountReport(CUTOFF, *plain, (), (), events), CUTOFF, "off", "", ())
    return reconcile(ours, snapshot, nav=nav, fx={"USD": 1.0, "JPY": 0.01}, known_instruments=known, booked=booked)


CASES = [
    ("equal", {"A": "100"}, {"USD": "5000"}, ["match", "match"]),
    ("stored with other digits", {"A": "100.0000000000"}, {"USD": "5000.0"}, ["match", "match"]),
    ("one share", {"A": "101"}, {"USD": "5000"}, ["match", "break"]),
    ("a billionth", {"A": "100.000000001"}, {"USD": "5000"}, ["match", "match"]),
    ("two billionths", {"A": "100.000000002"}, {"USD": "5000"}, ["match", "break"]),
    ("vanished", {}, {"USD": "5000"}, ["match", "break"]),
    ("unexpected", {"A": "100", "B": "1"}, {"USD": "5000"}, ["match", "match", "break"]),
    ("cash at the tolerance", {"A": "100"}, {"USD": "5005"}, ["match", "match"]),
    ("cash beyond it", {"A": "100"}, {"USD": "5005.01"}, ["break", "match"]),
    ("cash short", {"A": "100"}, {"USD": "4994.99"}, ["break", "match"]),
    ("other cash", {"A": "100"}, {"JPY": "501", "USD": "5000"}, ["break", "match", "match"]),
    ("other cash within", {"A": "100"}, {"JPY": "500", "USD": "5000"}, ["match", "match", "match"]),
]


@pytest.mark.parametrize(("shares", "cash", "outcomes"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_outcomes(shares: Amounts, cash: Amounts, outcomes: list[str]) -> None:
    """No tolerance in shares, half a basis point of NAV (5 USD, 500 JPY) in cash; rows sorted CASH before POSITION."""
    frame = compare(shares, cash)
    RECONCILIATION.pandera_schema.validate(frame)
    assert list(frame["outcome"]) == outcomes
    assert is_clean(frame) == ("break" not in outcomes)
    assert all(bool(m) == (o != "match") for m, o in zip(frame["message"], frame["outcome"], strict=True))


def test_a_small_book_tolerates_one_unit() -> None:
    """The tolerance is at least one unit of the currency, also when the rate is unknown."""
    assert cash_tolerance(1000.0, 1.0) == 1
    assert cash_tolerance(1e6, float("nan")) == 1
    assert cash_tolerance(1e6, 0.0) == 1
    assert cash_tolerance(float("nan"), 1.0) == 1
    assert cash_tolerance(1e6, 1.25) == 40


def test_an_unknown_instrument_is_named() -> None:
    """What our master does not know is a break even when the quantities agree."""
    frame = compare({"A": "100"}, {"USD": "5000"}, known=("B",))
    assert list(frame["outcome"]) == ["match", "break"]
    assert "not in our master" in frame["message"].iloc[1]


def test_a_dividend_that_only_the_broker_knows_is_explained() -> None:
    """The broker's event accounts for all of the difference; the next session starts with the broker's amount."""
    frame = compare({"A": "100"}, {"USD": "5085"}, events=(event(amount="85"),))
    assert list(frame["outcome"]) == ["explained", "match"]
    assert is_clean(frame)
    assert adopt_explained(OURS, frame) == Holdings(OURS.shares, {"USD": Decimal(5085)})


def test_withheld_tax_is_explained_by_the_difference_of_events() -> None:
    """We booked 100, the broker 70."""
    booked, told = (event(amount="100"),), (event(amount="70"),)
    frame = compare({"A": "100"}, {"USD": "4970"}, events=told, booked=booked)
    assert list(frame["outcome"]) == ["explained", "match"]


@pytest.mark.parametrize("cash", ["5060", "4915", "5170"])
def test_an_event_explains_only_its_own_amount(cash: str) -> None:
    """Too little, the wrong sign, twice: all breaks."""
    frame = compare({"A": "100"}, {"USD": cash}, events=(event(amount="85"),))
    assert list(frame["outcome"]) == ["break", "match"]
    assert adopt_explained(OURS, frame) == OURS


def test_an_event_that_both_booked_explains_nothing() -> None:
    """A dividend in both books leaves a difference of its size unexplained."""
    frame = compare({"A": "100"}, {"USD": "5085"}, events=(event(amount="85"),), booked=(event(amount="85"),))
    assert list(frame["outcome"]) == ["break", "match"]


def test_a_split_that_only_the_broker_knows_is_a_break() -> None:
    """Entry, extreme and prices would be in other units: shares are never taken over; the message names the split."""
    frame = compare({"A": "400"}, {"USD": "5000"}, events=(event("SPLIT", quantity="300"),))
    assert list(frame["outcome"]) == ["match", "break"]
    assert "split of 300" in frame["message"].iloc[1]


def test_no_broker_means_a_break() -> None:
    """Without a report nothing is confirmed."""
    snapshot = snapshot_frame(None, CUTOFF, "off", "", ())
    frame = reconcile(OURS, snapshot, nav=1e5, fx={"USD": 1.0}, known_instruments=("A",))
    assert list(frame["outcome"]) == ["break", "break"]


def test_a_missing_amount_stops() -> None:
    """A position without a number is no position of zero."""
    report = AccountReport(CUTOFF, {"USD": Decimal("NaN")}, {}, (), (), ())
    with pytest.raises(BrokerError, match="expected an amount"):
        reconcile(OURS, snapshot_frame(report, CUTOFF, "off", "", ()), nav=1e5, fx={}, known_instruments=())
