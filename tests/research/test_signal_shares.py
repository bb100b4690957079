"""What scores brought: the mandates that are decided anew, and shares that add up to the difference of two backtests."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import pytest
from research_world import mandate_with, sessions

from marketbot_assets.backtest import ask
from marketbot_assets.backtest_points import run_points
from marketbot_assets.backtest_task import Work
from marketbot_assets.model_trials import BACKTEST, trials
from marketbot_assets.research.history import History, Tables
from marketbot_assets.research.loop import opening_account, run_days
from marketbot_assets.research.outcomes import outcomes
from marketbot_assets.signal_shares import families_of, signal_shares, with_families
from marketbot_resources.calendars import computed_cutoff
from marketbot_resources.errors import UsageError
from marketbot_resources.mandate import Mandate
from marketbot_resources.store.index import IndexRow
from marketbot_resources.store.lake import Lake
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


def test_too_many_families_are_refused() -> None:
    """Two to the seventh backtests are not begun; without a score there is nothing to share."""
    base = mandate_with()
    for weights in ({f"score_{n}": 0.1 for n in range(7)}, {}):
        portfolio = base.portfolio.model_copy(update={"score_weights": weights})
        with pytest.raises(UsageError, match="expected 1 to 6 score weights"):
            families_of(base.model_copy(update={"portfolio": portfolio}))


def stored(home: Path, mandate: Mandate, days: Sequence[dt.date]) -> tuple[Lake, IndexRow]:
    """A home with the backtest of a mandate, its bodies and its trial."""
    lake = Lake(home)
    inputs = ask(lake, Ports(), computed_cutoff(mandate.schedule, days[-1]), asset="backtest", part="t", run_id="t")
    whole = Work(str(lake.home.resolve()), None, inputs, mandate.canonical().decode(), days[0], days[-1])
    (row,) = run_points(lake, [whole], "local", run_id="t")
    assert isinstance(row, IndexRow)
    return lake, row


@pytest.mark.long
def test_shares_add_up_and_every_run_is_a_trial(
    tmp_path: Path, mandate: Mandate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seven further backtests of five sessions, on the stored inputs: shares are the return with all less that with none; eight
    trials stand in the ledger, the same with two processes, which find what is stored.
    """
    from marketbot_assets.backtest import tables_until

    days = sessions(dt.date(2019, 5, 15), 5)
    lake, row = stored(tmp_path / "home", mandate, days)
    with monkeypatch.context() as patch:
        patch.setattr("marketbot_assets.backtest_inputs._delivery", None)  # nobody asks a provider again
        shares = signal_shares(lake, row, mandate, "local", run_id="t")
        assert signal_shares(lake, row, mandate, "processes:2", run_id="t") == shares
    assert sorted(shares) == sorted(mandate.portfolio.score_weights)
    tables = tables_until(Ports(), mandate, computed_cutoff(mandate.schedule, days[-1]), lambda body: "")
    ends = [played(tables, one, days) for one in (mandate, with_families(mandate, []))]
    assert sum(share for share, _ in shares.values()) == pytest.approx(ends[0] - ends[1], abs=1e-15)
    rest = with_families(mandate, [name for name in shares if name != "reversal_5d"])
    assert shares["reversal_5d"][1] == pytest.approx(ends[0] - played(tables, rest, days), abs=1e-15)
    assert len(trials(lake.ledger, BACKTEST)) == 8


def played(tables: Tables, mandate: Mandate, days: Sequence[dt.date]) -> float:
    """The return of the loop itself over tables that are there already."""
    history = History(tables, mandate, days[0], days[-1])
    nav = outcomes(run_days(history, mandate, opening_account(mandate, history)))["nav"]
    return float(nav.iloc[-1] / nav.iloc[0] - 1.0)
