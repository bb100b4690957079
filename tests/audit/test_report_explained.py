"""The report says what each name brings, what moved it, what limits cost, what was eased and what rounding cost."""

import re
from dataclasses import replace
from html import unescape

import pandas as pd
import pytest
from report_world import IDS, example, framed

from marketbot_assets.audit.report import build_report
from marketbot_assets.audit.report_explained import explained_section
from marketbot_assets.explained_pages import explained, kept, tracking
from marketbot_assets.portfolio.schema import TARGET_EXPLANATION

CHANGES = {"forecast": 0.012, "risk": -0.001, "limits": 0.0, "holdings": -0.0004, "rest": 0.0}


def name(ticker: str, place: int, weight: float, before: float, change: str, **parts: float) -> dict[str, object]:
    moved = {f"change_{cause}": parts.get(cause, 0.0) for cause in CHANGES}
    return {"kind": "INSTRUMENT", "place": place, "subject": IDS[ticker], "name": "", "weight_after": weight,
            "return_contribution": 0.05 * weight, "risk_contribution": 0.2 * weight, "trade_cost": 1e-5, "binding": False,
            "weight_yesterday": before, **moved, "change": change, "unit": "", "reason": ""}  # fmt: skip


def limit(dual: float, price: float) -> dict[str, object]:
    return {"kind": "LIMIT", "place": 0, "subject": "RC-42", "name": "volatility ewma", "left": 0.08, "limit": 0.08, "hard": 0.09,
            "slack": 0.0, "dual": dual, "binding": True, "unit": "per year", "reason": "", "change": "", "price": price,
            "price_by_dual": 0.0002, "price_return": 0.0005}  # fmt: skip


def frame() -> pd.DataFrame:
    rows = [
        name("KO", 0, 0.04, 0.0294, "+1.06 % since the session before: forecast +1.20 %", **CHANGES),
        name("BAC", 1, 0.02, 0.02, "as in the session before"),
        limit(0.25, 0.00019),
    ]
    return framed(TARGET_EXPLANATION, rows)


def text_of(markup: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", markup)).replace("\u00a0", " ").split())


def test_the_section_by_hand() -> None:
    """KO brings 0.2 % of return and 0.8 % of risk and rose by 1.06 %; BAC did not change; the limit costs 1.9 bp a year."""
    facts = replace(example(), target_explanation=frame())
    shared = {"eased": "RC-32 sector IT: 0.19 -> 0.2 NAV", "conflicts": f"RC-32 sector IT: no more of {IDS['KO']}"}
    facts = replace(facts, target_portfolio=facts.target_portfolio.assign(**shared))
    facts = replace(facts, order_plan=facts.order_plan.assign(utility_lost_bps=0.31, active_risk_bps=4.2))
    text = text_of(explained_section(facts))
    contributions, _, rest = text.partition("Change of the target")
    assert "KO 4.00 % 0.200 % 0.800 % 0.001 %" in contributions
    assert "all 6.00 % 0.300 % 1.200 % 0.002 %" in contributions
    assert "KO 2.94 % +1.06 % +1.20 % −0.10 % 0.00 % −0.04 % 0.00 %" in rest
    assert "BAC" not in rest
    assert "RC-42 volatility ewma 1.9 2 5" in rest
    assert "Not kept as stated: RC-32 sector IT: 0.19 -> 0.2 NAV" in rest
    assert "Cannot be kept as stated: RC-32 sector IT: no more of KO" in rest
    assert "cost 0.31 bp of utility a year, 4.2 bp of active risk" in rest
    assert IDS["KO"] not in text_of(build_report(facts))


def test_a_first_session_says_so() -> None:
    """Without a session before there is no table of changes but the reason; the page of the asset says the same."""
    nothing = dict.fromkeys(CHANGES, float("nan"))
    rows = [name("KO", 0, 0.04, float("nan"), "no decision before this session", **nothing)]
    facts = replace(example(), target_explanation=framed(TARGET_EXPLANATION, rows))
    assert "Change since the session before: no decision before this session." in text_of(explained_section(facts))
    shown = explained(facts.target_explanation, facts.instruments)
    assert shown["change since the session before"].value == "no decision before this session"


def test_pages_of_the_assets() -> None:
    """Sums, the largest parts, changes, prices, what was eased and what rounding cost, as the page shows them."""
    facts = example()
    shown = explained(frame(), facts.instruments)
    assert shown["volatility per year"] == pytest.approx(0.012)
    assert shown["expected return per year"] == pytest.approx(0.003)
    told = {key: str(getattr(value, "value", value)) for key, value in shown.items()}
    assert "| 4.00% | 0.200% | 0.800% | 0.0010% |" in told["contributions"]
    assert "| +1.06% | +1.20% | -0.10% | +0.00% | -0.04% | +0.00% |" in told["change since the session before"]
    assert "| RC-42 volatility ewma | 0.01900% | 0.02000% | 0.05000% |" in told["gain per year were a limit 1 % looser"]
    target = facts.target_portfolio.assign(eased="", conflicts="RC-32 sector IT")
    assert kept(target) == {"eased limits": "none", "conflicting limits": "RC-32 sector IT"}
    plan = facts.order_plan.assign(utility_lost_bps=0.31, active_risk_bps=4.2)
    assert tracking(plan) == {"utility lost to rounding, bp": 0.31, "active risk of rounding, bp": 4.2}
    assert tracking(plan.iloc[:0]) == {"tracking loss": "no orders"}
