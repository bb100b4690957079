"""Quality rules catch what is wrong and leave real moves alone; units, rates and text come out tidy."""

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from marketbot_assets.ingestion.parse import PARSERS
from marketbot_assets.normalization.identity import normalize_instruments
from marketbot_assets.normalization.plain_text import clean_text
from marketbot_assets.normalization.quality import bar_findings, flag_quarantine, recent_bars
from marketbot_assets.normalization.series import (
    normalize_corporate_actions,
    normalize_fx,
    normalize_prices,
)
from marketbot_resources.errors import MandateError, ProviderError
from marketbot_resources.mandate import parse_mandate
from marketbot_resources.market.sample import SampleMarket

MANDATE = parse_mandate((Path(__file__).parents[2] / "mandate.yaml").read_text(encoding="utf-8"))
START, SINCE, UNTIL = (dt.datetime(2018, *day, 23, 15, tzinfo=dt.UTC) for day in ((9, 3), (12, 20), (12, 21)))


def raw(name: str, since: dt.datetime | None = SINCE, until: dt.datetime = UNTIL) -> pd.DataFrame:
    method = {"raw_prices": "prices", "raw_corporate_actions": "corporate_actions", "raw_fx": "fx"}[name]
    body = getattr(SampleMarket(), method)(since, until)
    return PARSERS[name](body.bodies[0].content, source="sample", blob_sha256="x")


INSTRUMENTS = normalize_instruments(
    PARSERS["raw_instruments"](SampleMarket().instruments(UNTIL).bodies[0].content, source="sample", blob_sha256="x"),
    MANDATE.universe.listings,
    UNTIL,
)
BARS = normalize_prices(raw("raw_prices"), INSTRUMENTS)
RECENT = recent_bars(normalize_prices(raw("raw_prices", START, SINCE), INSTRUMENTS), dt.date(2018, 12, 21))
ACTIONS = normalize_corporate_actions(raw("raw_corporate_actions", None), INSTRUMENTS)
SESSION = dt.date(2018, 12, 21)


def broken(field: str, factor: float) -> tuple[str, pd.DataFrame]:
    bars = BARS.copy()
    bars.loc[7, field] = bars.loc[7, field] * factor
    return str(bars.loc[7, "instrument"]), bars


def test_a_clean_session_passes() -> None:
    """Nothing is flagged in a real falling market."""
    findings = bar_findings(BARS, RECENT, ACTIONS, SESSION)
    assert set(findings["outcome"]) == {"pass"}
    assert not flag_quarantine(BARS, findings)["quarantine"].any()


@pytest.mark.parametrize(
    ("field", "factor"),
    [
        ("close", 10.0),
        ("close", 0.01),
        ("close", 0.0),
        ("close", -1.0),
        ("close", np.nan),
        ("open", np.nan),
        ("close", np.inf),
    ],
)
def test_bad_ticks_are_quarantined(field: str, factor: float) -> None:
    """x10, x0.01, zero, negative, NaN, infinite: only that name is closed."""
    name, bars = broken(field, factor)
    flagged = flag_quarantine(bars, bar_findings(bars, RECENT, ACTIONS, SESSION))
    assert flagged.loc[flagged["quarantine"], "instrument"].tolist() == [name]


def test_an_unannounced_split_is_quarantined_and_an_announced_one_is_not() -> None:
    """A halved price is a split only if someone said so."""
    name, bars = broken("close", 0.5)
    bars.loc[7, ["open", "high", "low"]] *= 0.5
    event = pd.DataFrame(
        [
            {
                **ACTIONS.iloc[0].to_dict(),
                "instrument": name,
                "ex_session": pd.Timestamp(SESSION),
                "kind": "SPLIT",
                "amount": 0.0,
                "ratio": 2.0,
            }
        ]
    )
    alone = bar_findings(bars, RECENT, ACTIONS.iloc[:0], SESSION)
    told = bar_findings(bars, RECENT, event, SESSION)
    assert alone.loc[alone["outcome"] == "quarantine", "subject"].tolist() == [name]
    assert "quarantine" not in set(told["outcome"])


def test_a_repeated_bar_is_noticed() -> None:
    """Yesterday's bar again is a warning."""
    last = RECENT.sort_values("session").groupby("instrument").tail(1).assign(session=pd.Timestamp(SESSION))
    findings = bar_findings(last, RECENT, ACTIONS, SESSION)
    assert set(findings.loc[findings["rule"] == "closes_are_not_repeated", "outcome"]) == {"warn"}


def test_pence_become_pounds() -> None:
    """Prices quoted in GBX are divided by 100 and their currency is GBP."""
    source = raw("raw_prices").set_index("source_id")["close"]
    row = INSTRUMENTS[INSTRUMENTS["source_id"] == "GB-AL01"].iloc[0]
    close = BARS.set_index("instrument").loc[row["instrument"], "close"]
    assert (row["currency"], row["price_divisor"]) == ("GBP", 100.0)
    assert close == source["GB-AL01"] / 100


def test_rates_are_triangulated_within_one_date() -> None:
    """USD per GBP = (USD per EUR) / (GBP per EUR) of the same fixing."""
    source = raw("raw_fx").set_index("currency")["units_per_eur"]
    rates = normalize_fx(raw("raw_fx"), "USD").set_index("currency")["rate"]
    assert rates["GBP"] == pytest.approx(source["USD"] / source["GBP"], rel=1e-15)
    assert rates["USD"] == 1.0
    assert rates["EUR"] == pytest.approx(source["USD"], rel=1e-15)


def test_strangers_and_missing_listings_are_refused() -> None:
    """A bar of no known listing, a mandate that names what no one serves: refused, not dropped."""
    with pytest.raises(ProviderError, match="GB-AL01"):
        normalize_prices(raw("raw_prices"), INSTRUMENTS[INSTRUMENTS["source_id"] != "GB-AL01"])
    listed = PARSERS["raw_instruments"](
        SampleMarket().instruments(UNTIL).bodies[0].content, source="sample", blob_sha256="x"
    )
    with pytest.raises(MandateError, match="NOPE"):
        normalize_instruments(listed, {"XNYS": ["NOPE"]}, UNTIL)
    with pytest.raises(MandateError, match="at least one listing"):
        normalize_instruments(listed, {"XPAR": "all"}, UNTIL)


@pytest.mark.parametrize(
    ("text", "clean"),
    [("A\u200bpple", "Apple"), ("\uff21pple", "Apple"), ("a\x07b\u202ec", "abc"), (" a \n b ", "a b")],
)
def test_hidden_characters_are_removed(text: str, clean: str) -> None:
    """Zero-width, full-width, control and direction characters do not reach a reader."""
    assert clean_text(text) == clean
