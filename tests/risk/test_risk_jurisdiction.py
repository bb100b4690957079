"""RC-03: what the jurisdiction bars is not bought and may be sold; a jurisdiction never lets more pass."""

from dataclasses import replace

import numpy as np
import pytest
from risk_world import MANDATE, NAMES, answers, inputs, order, tweaked

from marketbot_assets.risk.inputs import RiskInputs
from marketbot_assets.risk.permission_controls import restricted
from marketbot_assets.risk.verdict import judge
from marketbot_resources.jurisdictions import Jurisdiction
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import Order, Status

# MBK is a fund of New York that is held, MBL one that is not, MBD a share.
BUYS = (order("MBL", "BUY", 100), order("MBK", "BUY", 50), order("MBD", "BUY", 100))
MIXED = (order("MBL", "BUY", 100), order("MBK", "SELL", 100), order("MBD", "BUY", 100))


def living_in(residence: str, client: str = "retail", tax_mode: str = "ignore") -> Mandate:
    where = Jurisdiction.model_validate({"residence": residence, "client": client})
    return tweaked(tweaked(MANDATE, "account.tax_mode", tax_mode), "jurisdiction", where)


def sent(facts: RiskInputs, orders: tuple[Order, ...], mandate: Mandate) -> list[str]:
    judged = judge(replace(facts, mandate_sha256=mandate.sha256), orders, mandate)
    assert judged.verdict == "APPROVED"
    return sorted(o.client_order_id for o in judged.approved)


def moved(name: str, mic: str, country: str) -> RiskInputs:
    """The calm book with one listing elsewhere; its orders keep their exchange."""
    facts = inputs()
    return replace(
        facts,
        mic=tuple(mic if n == name else m for n, m in zip(NAMES, facts.mic, strict=True)),
        country=tuple(country if n == name else c for n, c in zip(NAMES, facts.country, strict=True)),
    )


CASES = [
    ("DE", "retail", ["mb1-mbd-buy", "mb1-mbk-sell"]),
    ("GB", "retail", ["mb1-mbd-buy", "mb1-mbk-sell"]),
    ("DE", "professional", ["mb1-mbd-buy", "mb1-mbk-sell", "mb1-mbl-buy"]),
    ("US", "retail", ["mb1-mbd-buy", "mb1-mbk-sell", "mb1-mbl-buy"]),
]


@pytest.mark.parametrize(("residence", "client", "left"), CASES)
def test_a_barred_fund_is_not_bought_and_a_held_one_is_sold(residence: str, client: str, left: list[str]) -> None:
    """EU-KID, UK-KID: the buy of a US fund is dropped, its sale passes, and so does every share."""
    assert sent(inputs(), MIXED, living_in(residence, client)) == left


def test_the_refusal_names_the_rule() -> None:
    """The verdict's row holds the rule's id and drops that order alone."""
    found = answers(restricted, inputs(), MIXED, mandate=living_in("DE"))
    assert set(found) == {"MBL"}
    assert found["MBL"].status is Status.REJECT_ORDER
    assert found["MBL"].order_ids == ("mb1-mbl-buy",)
    assert found["MBL"].keep == 0.0
    assert "EU-KID" in found["MBL"].message


@pytest.mark.parametrize(("tax_mode", "status"), [("note", Status.WARN), ("avoid", Status.REJECT_ORDER)])
def test_a_foreign_fund_of_a_us_resident_is_noted_or_refused(tax_mode: str, status: Status) -> None:
    """US-PFIC: by the account's tax mode; the sale of one is never mentioned."""
    facts, mandate = moved("MBL", "XETR", "IE"), living_in("US", tax_mode=tax_mode)
    found = answers(restricted, facts, (order("MBL", "BUY", 10),), mandate=mandate)["MBL"]
    assert found.status is status
    assert "US-PFIC" in found.message
    assert found.order_ids == (("mb1-mbl-buy",) if status is Status.REJECT_ORDER else ())
    assert set(answers(restricted, moved("MBK", "XETR", "IE"), (order("MBK", "SELL", 10),), mandate=mandate)) == {""}


@pytest.mark.parametrize("flag", [np.nan, 2.0, 1.0])
def test_what_is_not_surely_a_share_counts_as_a_fund(flag: float) -> None:
    """Fail closed: an unreadable flag is a fund."""
    flags = np.array([flag if name == "MBD" else 0.0 for name in NAMES])
    found = answers(restricted, inputs(is_fund=flags), (order("MBD", "BUY", 10),), mandate=living_in("DE"))
    assert found["MBD"].status is Status.REJECT_ORDER


@pytest.mark.parametrize("orders", [BUYS, MIXED], ids=["buys", "mixed"])
@pytest.mark.parametrize("residence", ["US", "GB", "DE", "FR", "NO"])
def test_a_jurisdiction_never_lets_more_pass(residence: str, orders: tuple[Order, ...]) -> None:
    """Monotonic: whatever is sent with one is sent without it."""
    for client in ("retail", "professional"):
        for tax_mode in ("note", "avoid"):
            mandate = living_in(residence, client, tax_mode)
            free = tweaked(mandate, "jurisdiction", None)
            assert set(sent(inputs(), orders, mandate)) <= set(sent(inputs(), orders, free))


@pytest.mark.parametrize("where", ["DE", 5])
def test_a_jurisdiction_that_cannot_be_read_sends_nothing(where: object) -> None:
    """Fail closed: garbage in its place rejects the batch with its sales."""
    judged = judge(replace(inputs(), mandate_sha256=MANDATE.sha256), MIXED, tweaked(MANDATE, "jurisdiction", where))
    assert judged.approved == ()
