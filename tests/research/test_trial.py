"""The default mandate on ordinary days: what each built control may do, over a quarter and (`-m long`) over a year of the loop.

An ordinary day: ladder full and more than 40 % invested. Every bound comes from the trial on another sample world that chose
the mandate's values; where that world measured a rate, the bound is generous. The numbers of a run: `docs/trial.md`.
"""

import datetime as dt
import importlib.util
import os
import sys
from types import ModuleType

import numpy as np
import pytest
from research_world import END, ROOT

from marketbot_assets.research.history import History, Tables
from marketbot_resources.mandate import Mandate

QUARTER = (dt.date(2019, 5, 15), dt.date(2019, 9, 6))
YEAR = (dt.date(2019, 1, 2), END)
HOW = "250 sessions: pytest -m long tests/research/test_trial.py, or MARKETBOT_LONG=1"

# (row of the table, column, largest share of ordinary days, where the bound comes from)
BOUNDS = [
    *((f"RC-46 {kind}", column, 0.0, "windows split in crash, bear, FED and linear instant rows: 0 % fires")
      for kind in ("crash", "bear", "fed", "instant") for column in ("warned", "shrank", "rejected")),
    ("RC-46 budget", "warned", 0.40, "the budget of 15 % less drawdown was beyond on 20-39 % of days: WARN there"),
    *(("RC-46 budget", column, 0.0, "hard 20 % less drawdown: 0 % in all runs") for column in ("shrank", "rejected")),
    ("RC-60", "warned", 0.0, "the ladder is full on an ordinary day"),
    ("RC-60", "rejected", 0.0, "REDUCE_ONLY is for a drawdown of 10 %, never for an ordinary day"),
    ("RC-62", "shrank", 0.05, "a stop that is hit plans its exit: the engine has nothing to cut"),
    ("RC-63", "shrank", 0.05, "the same for the trailing stop"),
    ("RC-42 lower", "warned", 0.05, "5 % of ordinary days as written; noted only outside build-up and ladder"),
    *(("RC-42 lower", column, 0.0, "reverse-convex: WARN only") for column in ("shrank", "rejected")),
    ("RC-42 upper", "warned", 0.05, "a cone at 0.97 of the target below warn at 1.05"),
    *(("RC-42 upper", column, 0.0, "the same") for column in ("shrank", "rejected")),
    ("RC-30", "warned", 0.05, "warn at 4.90 %: largest seen 4.80 %"),
    ("RC-40", "warned", 0.05, "warn at 44 %: largest seen 43.2 %"),
    *((control, "shrank", 0.0, "the target lies below hard") for control in ("RC-30", "RC-40", "RC-39")),
    ("RC-39", "warned", 0.0, "never: largest seen .035 against warn .045"),
    ("RC-44", "warned", 0.05, "expected shortfall is a row of the optimizer at 2.8 %"),
    ("RC-44", "shrank", 0.01, "0.1 % beyond hard as written"),
    *((control, column, 0.0, "never") for control in ("RC-32", "RC-34", "RC-35", "RC-36", "RC-37", "RC-38")
      for column in ("warned", "shrank", "rejected")),
    ("RC-43", "warned", 0.05, "2.35 % is beyond in windows that hold a crash, hard 2.5 % on 0.9 % of days"),
    ("RC-43", "shrank", 0.01, "0.9 % of days as written"),
    *((control, "shrank", 0.0, "warn only by default") for control in ("RC-45", "RC-47", "RC-49")),
    ("RC-47", "warned", 0.0, "reported only"),
    *((control, column, 0.0, "never") for control in ("RC-50", "RC-52", "RC-54") for column in ("warned", "shrank")),
    ("RC-71", "warned", 0.0, "a calm quarter has no cluster of exceptions"),
    ("RC-72", "shrank", 0.0, "realised over expected .97 to 1.12: known on every day"),
    ("RC-08", "warned", 0.0, "a full exit is 4.75 %: warn at 5 % leaves it alone"),
    ("RC-08", "rejected", 0.0, "hard at 6 % is for size bugs"),
    ("RC-10", "shrank", 0.0, "never: at most 0.4 % of the average daily value"),
    ("RC-41", "shrank", 0.05, "only buys are limited, to a day's target the optimizer keeps"),
    ("RC-41 21 sessions", "warned", 0.30, "13-42 % of days when it was hard; 60 % a month is discretionary only"),
    *(("RC-18", column, 0.0, "never binding with 25-40 % cash") for column in ("warned", "shrank", "rejected")),
    ("RC-61", "warned", 0.03, "-2 % on 0.2-0.7 % of days, -4 % of the week on 0.3-0.7 %"),
    ("RC-61", "rejected", 0.0, "the plan knows that nothing may be bought: the engine has nothing to refuse"),
    *((control, "rejected", 0.0, "optimal on 100 % of days; complete data; a clean platform")
      for control in ("RC-01", "RC-05", "RC-13", "RC-53", "RC-67", "RC-80", "RC-84", "RC-87")),
    ("RC-87", "warned", 0.0, "the data of an ordinary day are complete"),
    *((control, "shrank", 0.0, "the plan rounds to ticks and lots and stays in the collar, blocked names are not bought")
      for control in ("RC-05", "RC-07", "RC-16", "RC-31", "RC-64")),
]  # fmt: skip
# (row, largest value on any ordinary day, where it comes from); floors are in FLOORS
PEAKS = [
    ("RC-30", 0.0490, "position: largest seen 4.80 %, warn 4.90 %"),
    ("RC-40", 0.44, "ten largest: largest seen 43.2 %, warn 44 %"),
    ("RC-39", 0.035, "sum of squares: never above .035, target .022"),
    ("RC-46 crash", 0.25, "crash windows up to three months: 25 %"),
    ("RC-46 bear", 0.45, "bear windows: 45 %"),
    ("RC-46 fed", 0.50, "severely adverse scenario: hard 50 % on the total"),
    ("RC-46 instant", 0.25, "instant shocks: 25 %"),
    ("RC-36", 1.0, "no leverage"),
    ("RC-42 upper", 0.11, "1.10 of the volatility target of 10 %"),
    ("RC-43", 0.0235, "largest seen 2.7 % with a crash in the window, warn 2.35 %"),
    ("RC-44", 0.0302, "largest seen 3.02 %"),
    ("RC-08", 0.05, "a full exit passes"),
    ("RC-53 answer", 1e-6, "residual of the answer, recomputed"),
]
FLOORS = [("RC-38", 0.10, "cash floor: 25-40 % was held"), ("RC-42 lower", 0.05, "half of the volatility target")]


def tool() -> ModuleType:
    """The script that prints the table, loaded from its file."""
    spec = importlib.util.spec_from_file_location("trial_tool", ROOT / "tools" / "trial.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


TRIAL = tool()


def asked(config: pytest.Config) -> bool:
    """Whether the year is wanted, too."""
    return "long" in str(config.getoption("-m")) or bool(os.environ.get("MARKETBOT_LONG"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test of this module runs over the quarter; over the year when asked for."""
    if "days" in metafunc.fixturenames:
        year = [pytest.param(YEAR, marks=pytest.mark.long, id="year")] if asked(metafunc.config) else []
        metafunc.parametrize("days", [pytest.param(QUARTER, id="quarter"), *year], indirect=True, scope="module")


@pytest.mark.long
def test_the_year_is_asked_for(request: pytest.FixtureRequest) -> None:
    """The year is a campaign outside of `make test`; this line says how to run it."""
    if not asked(request.config):
        pytest.skip(HOW)


@pytest.fixture(scope="module")
def days(request: pytest.FixtureRequest, world: Tables, mandate: Mandate) -> list:
    """Every session of the range as the table sees it, from cash."""
    return TRIAL.trial(mandate, History(world, mandate, *request.param))


@pytest.fixture(scope="module")
def ordinary(days: list) -> list:
    return [day for day in days if day.ordinary]


def test_the_range_holds_ordinary_days(days: list, ordinary: list) -> None:
    """The table says something: at least 30 days have a full ladder and more than 40 % invested, by the rows themselves."""
    again = [d for d in days if d.row["rung"] == "FULL" and d.row["multiple"] == 1.0 and d.row["invested"] > 0.40]
    assert again == ordinary
    assert len(ordinary) >= 30


@pytest.mark.parametrize(("row", "column", "most", "source"), BOUNDS, ids=[f"{b[0]} {b[1]}" for b in BOUNDS])
def test_how_often_a_control_speaks(ordinary: list, row: str, column: str, most: float, source: str) -> None:
    """Table (b) of the trial: the share of ordinary days on which a control warns, shrinks or rejects stays in its bound."""
    spoke = [d for d in ordinary if any(name.startswith(row) and said == column for name, said in d.spoke)]
    assert len(spoke) / len(ordinary) <= most, f"{source}; on {[str(d.session) for d in spoke]}"


@pytest.mark.parametrize(("row", "edge", "source"), PEAKS, ids=[p[0] for p in PEAKS])
def test_what_a_control_sees_at_most(ordinary: list, row: str, edge: float, source: str) -> None:
    """Table (b) of the trial: the left side of a limit stays below its limit, and something is measured on every day."""
    values = [d.extreme[row][0] for d in ordinary if row in d.extreme]
    assert max(values) <= edge + 1e-9, source
    assert len(values) >= 0.9 * len(ordinary), "the control is measured on nearly every day"


@pytest.mark.parametrize(("row", "edge", "source"), FLOORS, ids=[p[0] for p in FLOORS])
def test_what_a_floor_sees_at_least(ordinary: list, row: str, edge: float, source: str) -> None:
    """Table (b) of the trial: cash and volatility stay above their floors on ordinary days."""
    assert min(d.extreme[row][0] for d in ordinary) >= edge, source


@pytest.mark.parametrize(("control", "measured"), [("RC-62", 0.09), ("RC-63", 0.13)])
def test_a_calm_holding_is_seldom_stopped(ordinary: list, control: str, measured: float) -> None:
    """RC-62 max(15 %, 6 ATR) and RC-63 max(15 %, 8 ATR) hit at most 30 % of 63-session holdings; in the trial 9 and 13 %."""
    held, hits = sum(d.held for d in ordinary), sum(d.hits.count(control) for d in ordinary)
    assert held > 500
    assert 63 * hits / held <= 0.30, f"the trial measured {measured}"


def test_every_ordinary_day_is_approved(ordinary: list) -> None:
    """On ordinary days the verdict is APPROVED."""
    assert [(d.session, d.row["verdict"]) for d in ordinary if d.row["verdict"] != "APPROVED"] == []


def test_every_day_is_optimal_by_mean_variance(days: list) -> None:
    """RC-53: optimal on 100 % of days, in the build-up and on every rung that rebalances; the first method answers."""
    assert {d.status for d in days} == {"optimal"}
    assert {d.row["method"] for d in days} == {"mean_variance"}


def test_what_was_planned_is_sent(ordinary: list) -> None:
    """The engine rarely has to cut what the optimizer planned: on 95 % of ordinary days the batch goes as it was planned."""
    assert np.mean([d.untouched and d.row["orders"] == d.row["planned"] for d in ordinary]) >= 0.95


def test_no_sell_is_cut_for_turnover(days: list) -> None:
    """RC-41: sells are free, on every day."""
    assert [d.session for d in days if ("SELL", "RC-41") in d.cut] == []


def test_a_full_exit_is_no_size_bug(ordinary: list, mandate: Mandate) -> None:
    """RC-08: an order of a whole position at its target of 4.75 % is below warn; sells of more than 2 % did pass."""
    assert mandate.limits.order_value.warn > 0.0475
    sells = [share for d in ordinary for share in d.exits]
    assert max(sells) > 0.02
    assert max(sells) <= 0.05


def test_the_build_up_takes_days_not_weeks(days: list) -> None:
    """The build-up reaches 40 % invested within 7 sessions, at most 15 % of NAV bought a day (16 % hard)."""
    assert max(d.row["invested"] for d in days[:8]) > 0.40
    assert max(d.row["buys"] for d in days) <= 0.16


def test_the_book_is_spread(ordinary: list) -> None:
    """Once built (10 ordinary days on) an ordinary day holds 15 to 40 names; the trial had 24 to 30."""
    names = [d.row["names"] for d in ordinary[10:]]
    assert min(names) >= 15
    assert max(names) <= 40


def test_the_cash_constraint_is_slack(ordinary: list) -> None:
    """RC-18 never binds the target with 25 to 40 % cash."""
    rich = [d for d in ordinary if 0.60 <= d.row["invested"] <= 0.75]
    assert len(rich) >= 20
    assert [d.session for d in rich if "RC-18" in d.row["binding"]] == []


def test_every_control_has_its_row(days: list) -> None:
    """The printed table names every control that the verdict runs, and its shares lie between 0 and 1."""
    lines = TRIAL.table(days)[2:]
    told = {line.split("|")[1].split()[0] for line in lines}
    from marketbot_assets.risk.verdict import CONTROLS

    assert told == {rule.id for rule, _ in CONTROLS}
    shares = [float(cell.strip(" %")) for line in lines for cell in line.split("|")[3:6]]
    assert 0.0 <= min(shares) <= max(shares) <= 100.0
