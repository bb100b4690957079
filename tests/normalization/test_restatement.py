"""What a provider sends again is compared, not believed; providers that disagree or switch units close the name."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from test_overlays import CUTOFFS, bar, frame

from marketbot_assets.normalization.restatement import history_is_not_restated, providers_agree, split_bars
from marketbot_assets.normalization.schema import PRICES, RESTATEMENTS

KNOWN = frame(bar(0, 5.0), bar(1, 5.1), bar(2, 520.0, quarantine=True))
NOW = CUTOFFS[3]


def outcomes(found: list[tuple[str, str, str, float, float, str]]) -> dict[str, tuple[str, float]]:
    return {subject: (outcome, observed) for _, subject, outcome, observed, _, _ in found}


def test_new_equal_and_restated_bars_are_told_apart() -> None:
    """A new session is kept; an equal bar has one row of difference 0; another close is told of and left out."""
    bars = frame(bar(0, 5.0 * (1 + 1e-9)), bar(1, 5.151), bar(3, 5.2))
    split = split_bars(bars, KNOWN, NOW)
    assert split.fresh["session"].tolist() == [pd.Timestamp("2018-12-13")]
    assert split.fresh["known_at"].tolist() == [bars["known_at"].iloc[2]]
    RESTATEMENTS.pandera_schema.validate(split.restatements)
    rows = split.restatements.set_index(["session", "field"])["relative_difference"]
    assert rows.loc[pd.Timestamp("2018-12-10")].to_dict() == {"close": 0.0}
    assert rows.loc[pd.Timestamp("2018-12-11")].to_dict() == pytest.approx(
        dict.fromkeys(["open", "high", "low", "close"], 0.01)
    )
    assert (split.restatements["known_at"] == NOW).all()


def test_a_provider_s_correction_of_a_rejected_bar_is_kept_and_known_now() -> None:
    """The same wrong bar again is a repeat; another value stands beside the rejected one from this cutoff on."""
    again = split_bars(frame(bar(2, 520.0)), KNOWN, NOW)
    assert again.fresh.empty
    mended = split_bars(frame(bar(2, 5.2)), KNOWN, NOW)
    assert mended.fresh["close"].tolist() == [5.2]
    assert mended.fresh["known_at"].tolist() == [NOW]
    assert mended.restatements["corrects"].all()
    PRICES.pandera_schema.validate(mended.fresh)
    assert outcomes(history_is_not_restated(mended.restatements))["X"] == ("pass", 0.0)


def test_what_an_overlay_says_is_what_we_have() -> None:
    """A restated bar is compared with the accepted correction, not with the print that it replaced."""
    known = pd.concat([KNOWN, frame(bar(1, 5.2, known=2, overlay=1))], ignore_index=True)
    told = split_bars(frame(bar(1, 5.2)), known, NOW).restatements
    assert told["relative_difference"].tolist() == [0.0]


def test_nothing_known_or_nothing_received_is_no_error() -> None:
    """First session of a home; a day without bars."""
    assert len(split_bars(KNOWN, KNOWN.iloc[:0], NOW).fresh) == 3
    empty = split_bars(KNOWN.iloc[:0], KNOWN, NOW)
    assert empty.fresh.empty
    RESTATEMENTS.pandera_schema.validate(empty.restatements)


@pytest.mark.parametrize(
    ("close", "outcome"),
    [(5.1, "pass"), (5.11, "warn"), (5.1 * 1.0199, "warn"), (5.1 * 1.0201, "quarantine"), (np.nan, "quarantine")],
)
def test_severity_by_size(close: float, outcome: str) -> None:
    """Any other price warns, one more than 2 % off closes the name, so does one that is gone."""
    found = outcomes(history_is_not_restated(split_bars(frame(bar(1, close)), KNOWN, NOW).restatements))
    assert found["X"][0] == outcome


def test_a_past_changed_at_large_halts() -> None:
    """One restated bar of 24 warns, 7 of 24 halt: the provider has changed its adjustment or unit."""

    def told(changed: int) -> tuple[str, float]:
        rows = [{**bar(0, 5.0), "instrument": f"N{n:02d}"} for n in range(24)]
        moved = [{**row, "close": 5.01, "high": 5.01} if n < changed else row for n, row in enumerate(rows)]
        return outcomes(history_is_not_restated(split_bars(frame(*moved), frame(*rows), NOW).restatements))["*"]

    assert told(0) == ("pass", 0.0)
    assert told(1) == ("warn", 1 / 24)
    assert told(7) == ("halt", 7 / 24)


@pytest.mark.parametrize(
    ("bps", "outcome"), [(0.0, "pass"), (24.0, "pass"), (26.0, "warn"), (199.0, "warn"), (201.0, "quarantine")]
)
def test_two_providers_of_one_bar_are_compared(bps: float, outcome: str) -> None:
    """The bar of the provider that served the name before is kept, the other one measured in basis points."""
    other = {**bar(3, 5.2 * (1 + bps / 1e4)), "source": "a"}
    split = split_bars(frame(other, bar(3, 5.2)), KNOWN, NOW)
    assert split.fresh["source"].tolist() == ["p"]
    found = outcomes(providers_agree(split.fresh, KNOWN, split.restatements))
    assert found["X"] == (outcome, pytest.approx(bps, abs=1e-6))


def test_a_switch_of_provider_is_compared_over_the_bars_of_both() -> None:
    """A new provider that also sends an old session is compared there; 3 % apart closes the name; alone it warns."""
    bars = frame(*({**bar(day, close), "source": "q"} for day, close in ((1, 5.1 * 1.03), (3, 5.3))))
    split = split_bars(bars, KNOWN, NOW)
    assert outcomes(providers_agree(split.fresh, KNOWN, split.restatements))["X"] == (
        "quarantine",
        pytest.approx(300.0),
    )
    alone = split_bars(bars.iloc[1:], KNOWN, NOW)
    assert outcomes(providers_agree(alone.fresh, KNOWN, alone.restatements))["X"][0] == "warn"


@pytest.mark.parametrize("column", [{"currency": "GBP"}, {"close_adjusted_by_source": True}])
def test_units_never_switch_silently(column: dict[str, object]) -> None:
    """Another currency or adjustment than the bar before is quarantined even if the number looks right."""
    bars = frame({**bar(3, 5.2), **column})
    split = split_bars(bars, KNOWN, NOW)
    assert outcomes(providers_agree(split.fresh, KNOWN, split.restatements))["X"][0] == "quarantine"


def test_the_order_of_rows_changes_nothing() -> None:
    """Same bars, same bytes."""
    bars = frame(bar(1, 5.151), {**bar(3, 5.2), "source": "a"}, bar(3, 5.2), bar(2, 5.3))
    one = split_bars(bars, KNOWN, NOW)
    other = split_bars(bars.iloc[::-1].reset_index(drop=True), KNOWN.iloc[::-1].reset_index(drop=True), NOW)
    pd.testing.assert_frame_equal(one.fresh, other.fresh)
    pd.testing.assert_frame_equal(one.restatements, other.restatements)
    assert dt.date(2018, 12, 12) in {day.date() for day in one.fresh["session"]}
