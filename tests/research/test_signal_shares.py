"""What scores brought: the mandates that are decided anew, and shares that add up to the difference of two backtests."""

import datetime as dt
from pathlib import Path

import pytest
from research_world import mandate_with, sessions

from marketbot_assets.model_trials import BACKTEST, trials
from marketbot_assets.signal_shares import played, signal_shares, with_families
from marketbot_resources.errors import UsageError
from marketbot_resources.mandate import Mandate
from marketbot_resources.store.resource import StoreResource
from marketbot_resources.wiring import Ports


def test_mandates_without_a_family(mandate: Mandate) -> None:
    """Only the score weights change; without any the tilt is zero and the weights stay, for a model needs scores."""
    weights = mandate.portfolio.score_weights
    some = with_families(mandate, ["momentum_12_1", "reversal_5d"])
    assert some.portfolio.score_weights == {name: weights[name] for name in ("momentum_12_1", "reversal_5d")}
    none = with_families(mandate, [])
    assert none.portfolio.score_weights == weights
    assert none.portfolio.forecast_tilt_per_sd_per_year == 0.0
    assert with_families(mandate, sorted(weights)) == mandate
    assert len({mandate.sha256, some.sha256, none.sha256}) == 3


def test_too_many_families_are_refused(mandate: Mandate) -> None:
    """Two to the seventh backtests are not begun."""
    weights = {f"score_{n}": 0.1 for n in range(7)}
    many = mandate_with(portfolio={"score_weights": weights})
    with pytest.raises(UsageError, match="expected 1 to 6 score weights"):
        signal_shares(None, Ports(), many, dt.date(2019, 5, 15), dt.date(2019, 5, 16))  # type: ignore[arg-type]


@pytest.mark.long
def test_shares_add_up_and_every_run_is_a_trial(tmp_path: Path, mandate: Mandate) -> None:
    """Eight backtests of five sessions: shares are the return with all less that with none; eight trials stand in the ledger."""
    from marketbot_assets.backtest import tables_until
    from marketbot_resources.calendars import computed_cutoff

    days = sessions(dt.date(2019, 5, 15), 5)
    lake = StoreResource(home=str(tmp_path)).lake
    shares = signal_shares(lake, Ports(), mandate, days[0], days[-1])
    assert sorted(shares) == sorted(mandate.portfolio.score_weights)
    tables = tables_until(Ports(), mandate, computed_cutoff(mandate.schedule, days[-1]), lambda body: "")
    ends = [played(tables, one, days[0], days[-1])["nav"] for one in (mandate, with_families(mandate, []))]
    whole, bare = (float(nav.iloc[-1] / nav.iloc[0] - 1.0) for nav in ends)
    assert sum(share for share, _ in shares.values()) == pytest.approx(whole - bare, abs=1e-15)
    rest = with_families(mandate, [name for name in shares if name != "reversal_5d"])
    left = played(tables, rest, days[0], days[-1])["nav"]
    assert shares["reversal_5d"][1] == pytest.approx(whole - float(left.iloc[-1] / left.iloc[0] - 1.0), abs=1e-15)
    assert len(trials(lake.ledger, BACKTEST)) == 8
