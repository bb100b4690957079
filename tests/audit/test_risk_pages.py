"""The risk sections of the report and the asset pages of the risk stage: facts, marks, geometry of charts, what is unknown."""

import base64
import datetime as dt
import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import replace

import pandas as pd
import pytest
from report_world import (
    IDS,
    NAMES,
    example,
    positions,
    rate_moves,
    risk_days,
    risk_numbers,
    stress,
    the_mandate,
    verdict,
)

from marketbot_assets import risk_pages
from marketbot_assets.audit.limit_marks import marks_of, used_limits, used_stresses, with_orders
from marketbot_assets.audit.report import build_report
from marketbot_assets.audit.report_facts import ReportFacts, named_by, rows_of, tickers_of
from marketbot_assets.audit.risk_charts import UsedLimit, exceptions_chart, limit_bars, waterfall
from marketbot_assets.audit.risk_numbers import (
    contributions,
    currencies,
    nearest_stress,
    parts_of,
    pieces,
    record,
    tails,
)
from marketbot_assets.audit.risk_state import breaches, rungs, state_word
from marketbot_assets.audit.scenario_words import scenario_words
from marketbot_assets.book.frames import state_frame
from marketbot_assets.book.state import BookState, Forecast, RiskDay, Rung

MANDATE = the_mandate()
SVG = "{http://www.w3.org/2000/svg}"
LIMIT, BAR, WARN = "#b3261e", "#1f5fa8", "#b97700"


@pytest.fixture(scope="module")
def facts() -> ReportFacts:
    return example()


def section(page: str, key: str) -> str:
    """The words of one section."""
    found = re.search(rf'<section id="{key}">(.*?)</section>', page, re.DOTALL)
    assert found is not None
    return " ".join(re.sub(r"<[^>]+>", " ", found.group(1)).replace("\u00a0", " ").split())


GOLDEN = (
    # 10 - 7.37 = 2.63 points; 1 - 0.9 / 0.92632 = 2.84 % of NAV
    ("state", ("ACTIVE", "REDUCE ONLY 10.00 % 2.63 % (NAV falls 2.84 %)", "SCALED 5.00 % reached here", "no breach is open")),
    ("risk", ("crash 2008", "24.11 % of 25.00 %", "R2 factors 8.58 % 3.4 standard deviations", "R1 market 8.58 % 15.2 %")),
    # 24.11 - 1.81 - 1.60 - 1.47 - 1.22 = 18.01
    ("risk", ("nearest to its limit: by name", "JPM 1.81 %", "all other parts 18.01 %", "Health Care 7.31 %", "24.11 %")),
    ("tail", ("value at risk historical 0.81 % 1.12 % 1.49 %", "filtered historical (Hull and White) 1.47 % 1.86 % 2.41 %")),
    ("tail", ("Cornish-Fisher n/a n/a n/a not used, its quantile map does not rise", "not measured: the map gives quantiles")),
    ("parts", ("AAPL 4.66 % 11.2 % 0.91 %", "market 0.412 56.6 % 6.11 %", "specific 45.3 % 2.19 %", "momentum −0.133 −1.9 %")),
    ("backtest", ("53 of 250", "Basel zone green", "Kupiec p-value 0.0985", "Christoffersen p-value 0.689", "a short record")),
    ("backtest", ("volatility, realised over forecast n/a 53 of 60 sessions", "largest loss judged 1.92 %")),
    ("limits", ("RC-07 price collar: RHNA", "RC-46 crash 2008", "27.60 % at least 1.00 %", "target of the optimizer")),
)  # fmt: skip


@pytest.mark.parametrize(("key", "words"), GOLDEN, ids=[f"{n} {key}" for n, (key, _) in enumerate(GOLDEN)])
def test_facts_of_the_example(facts: ReportFacts, key: str, words: tuple[str, ...]) -> None:
    """What the frames of the example say stands in its section, in the right unit."""
    text = section(build_report(facts), key)
    assert [word for word in words if word not in text] == []


def row(control: str, key: str, limit: float, observed: float = 0.0, *, floor: bool = False) -> Mapping[str, object]:
    room = observed - limit if floor else limit - observed
    return {"control": control, "key": f"{control}|{key}", "name": "n", "limit": limit, "observed": observed,
            "headroom": room, "unit": "fraction of NAV", "status": "PASS"}  # fmt: skip


# (control, key, hard limit of the answer, kind of scenario, target, warning), from mandate.yaml by hand
MARKS = (
    ("RC-30", IDS["AAPL"], 0.05, "", 0.0475, 0.049), ("RC-32", "Energy", 0.20, "", 0.19, 0.195),
    ("RC-32", "UNKNOWN", 0.05, "", None, None), ("RC-34", "", 0.20, "", 0.19, None), ("RC-35", "EUR", 0.20, "", 0.19, 0.195),
    ("RC-35", "DE", 0.25, "", 0.24, 0.245), ("RC-35", "non-base", 0.40, "", 0.38, 0.39), ("RC-36", "", 1.0, "", 0.98, None),
    ("RC-38", "", 0.01, "", 0.02, 0.015), ("RC-40", "", 0.45, "", 0.43, 0.44), ("RC-41", "buys of the day", 0.16, "", 0.15, None),
    ("RC-41", IDS["AAPL"], 0.032, "", 0.03, None), ("RC-41", "one way, 21 sessions", 0.65, "", 0.6, 0.65),
    # a target of 8.2 % a year: hard 9.02 %, warning 1.05 of it, optimizer 0.97 of it
    ("RC-42", "upper", 0.0902, "", 0.07954, 0.0861), ("RC-42", "lower", 0.041, "", None, None),
    ("RC-43", "", 0.025, "", None, 0.0235), ("RC-44", "", 0.03, "", 0.028, 0.029), ("RC-46", "H2008L", 0.25, "crash", 0.24, 0.245),
    ("RC-46", "H2008", 0.45, "bear", 0.43, 0.44), ("RC-46", "FED", 0.5, "fed", 0.43, 0.475),
    ("RC-46", "Y5", 0.25, "instant", 0.2375, None), ("RC-46", "H2008", 0.45, "", None, None),
    # 20 % less a drawdown of 6.42 %: hard 13.58 %; warning 15 % less the same; 96 % of hard
    ("RC-46", "WORST5", 0.1358, "budget", 0.130368, 0.0858), ("RC-46", "WORST5", 0.02, "budget", 0.0192, 0.02),
    ("RC-11", "", 1.0, "", None, 0.5), ("RC-26", "", 30.0, "", None, 20.0), ("RC-61", "day", 0.02, "", None, None),
)  # fmt: skip


@pytest.mark.parametrize(
    ("control", "key", "hard", "kind", "target", "warn"),
    MARKS,
    ids=[f"{m[0]} {m[3] or m[2]} {n}" for n, m in enumerate(MARKS)],
)
def test_marks_are_those_of_the_mandate(
    control: str, key: str, hard: float, kind: str, target: float | None, warn: float | None
) -> None:
    """Target and warning of every limit that has them, in the unit of the answer."""
    found = marks_of(row(control, key, hard), MANDATE, {key: kind})
    for mark, expected in zip(found, (target, warn), strict=True):
        assert mark is None if expected is None else mark == pytest.approx(expected)


def test_marks_stand_on_the_scale_of_the_limit() -> None:
    """Shares of the hard limit: a cap of 5 % with target 4.75 and warning 4.9; a floor by what may still go."""
    cap, floor = used_limits(
        [row("RC-30", "A", 0.05, 0.025), row("RC-38", "", 0.01, 0.04, floor=True)], MANDATE, {}, str
    )
    assert (cap.used, cap.target, cap.warn) == pytest.approx((0.5, 0.95, 0.98))
    # of 4 % cash 1 % must stay: a quarter is used; at 2 % half, at 1.5 % two thirds
    assert (floor.used, floor.target, floor.warn) == pytest.approx((0.25, 0.5, 2 / 3))
    assert floor.told.replace("\u00a0", " ") == "4.00 % at least 1.00 %"


def test_orders_and_scenarios_have_words() -> None:
    """An order's id is told by its name, a scenario by what it is."""
    named = with_orders(verdict(), named_by({IDS["AMD"]: "AMD"}))
    assert named(f"RC-09 mb1-{'a' * 26} adv") == "RC-09 order in AMD adv"
    assert named(f"mb1-{'z' * 26}") == f"mb1-{'z' * 26}"
    told = [scenario_words(name) for name in ("H2008", "FED", "Y3 Energy", "Y5", "Y1 -10 %", "WORST5", "crash_2008")]
    assert told == [
        "H2008: 2007-10 to 2009-03", "FED: severely adverse", "Y3 Energy -40%", "Y5: 5 largest names -50%", "Y1 -10 %",
        "WORST5: worst in 20 years", "crash 2008",
    ]  # fmt: skip


def test_tickers_that_two_exchanges_share_carry_their_exchange() -> None:
    """1185 in Tokyo is not 1185 in Hong Kong."""
    listings = [
        {"instrument": "x", "ticker": "1185", "mic": "XTKS"},
        {"instrument": "y", "ticker": "1185", "mic": "XHKG"},
    ]
    assert tickers_of([*listings, {"instrument": "z", "ticker": "KO", "mic": "XNYS"}]) == {
        "x": "1185 XTKS", "y": "1185 XHKG", "z": "KO",
    }  # fmt: skip


def bars(svg: str, *colours: str) -> list[tuple[float, float]]:
    """(left, width) of the bars in these colours, top to bottom."""
    found = [
        (e.attrib["x"], e.attrib["width"]) for e in ET.fromstring(svg).iter(f"{SVG}rect") if e.attrib["fill"] in colours
    ]
    return [(float(x), float(width)) for x, width in found]


def test_a_limit_bar_is_as_long_as_its_share() -> None:
    """40 % is half as long as 80 %; beyond 125 % the bar ends and says so; colours: calm, warned, over."""
    rows = [
        UsedLimit("a", 0.4, None, 0.9, ""),
        UsedLimit("b", 0.8, 0.7, 0.75, ""),
        UsedLimit("c", 7.0, None, None, "9 of 1", failed=True),
    ]
    svg = limit_bars("t", rows)
    (_, calm), (_, warned), (_, over) = bars(svg, BAR)[0], bars(svg, WARN)[0], bars(svg, LIMIT)[0]
    assert (warned / calm, over / calm) == pytest.approx((2.0, 1.25 / 0.4), rel=2e-3)
    assert "»" in svg
    assert "9 of 1 over" in svg
    spared = limit_bars("t", [UsedLimit("c", 7.0, None, None, "9 of 1")])
    assert "9 of 1 (!)" in spared
    assert bars(spared, LIMIT) == []


def test_what_has_no_number_is_told() -> None:
    """A limit that failed without a number is unknown; one that passed was not asked."""
    svg = limit_bars(
        "t", [UsedLimit("a", math.nan, 0.5, 0.6, "n/a", failed=True), UsedLimit("b", math.nan, None, None, "n/a")]
    )
    assert svg.count("? not known") == 1
    assert svg.count("no number in this session") == 1
    assert bars(svg, BAR, WARN, LIMIT) == []
    assert "no limit with a number" in limit_bars("t", [])


def test_a_waterfall_stacks_its_parts() -> None:
    """Each part begins where the one before ended, a gain goes back, the whole starts at zero; lengths are in proportion."""
    parts = [("a", 0.04), ("b", 0.03), ("c", -0.02), ("rest", 0.05)]
    svg = waterfall("t", parts, 0.10, limit=0.08)
    *spans, whole = bars(svg, "#c2571a", "#2b7a78", LIMIT, BAR)
    unit, zero = whole[1] / 0.10, whole[0]
    done = 0.0
    for (left, width), (_, value) in zip(spans, parts, strict=True):
        assert width == pytest.approx(abs(value) * unit, abs=0.2)
        assert left == pytest.approx(zero + min(done, done + value) * unit, abs=0.2)
        done += value
    assert "over limit" in svg
    assert "over limit" not in waterfall("t", parts, 0.10, limit=0.12)
    assert "not known" in waterfall("t", [("a", math.nan)], 0.1)


@pytest.mark.parametrize(
    ("losses", "forecasts", "crosses"),
    [
        ([0.01, 0.02, -0.03], [0.015, 0.015, 0.015], 1), ([0.015], [0.015], 0), ([math.nan], [0.015], 1),
        ([0.01], [math.nan], 1), ([0.0] * 250, [0.0] * 250, 0), ([0.02] * 250, [0.01] * 250, 250),
    ],
)  # fmt: skip
def test_exceptions_carry_a_cross(losses: list[float], forecasts: list[float], crosses: int) -> None:
    """A loss beyond the forecast, or a number that is not known; a loss at the forecast is none."""
    svg = exceptions_chart("t", losses, forecasts)
    ET.fromstring(svg)
    assert svg.count(">×</text>") == crosses
    assert "nan" not in svg.replace("finance", "")
    assert "no session was forecast" in exceptions_chart("t", [], [])


def test_contributions_are_read_back() -> None:
    """Names may hold blanks and commas; what the parts leave is named."""
    assert contributions("Oil, Gas 0.0300, A 0.0100, B -0.0050") == [("Oil, Gas", 0.03), ("A", 0.01), ("B", -0.005)]
    assert contributions("") == []
    told = {"loss": 0.05, "by_sector": "A 0.0300, B 0.0100"}
    assert pieces(told, "by_sector", str) == [("A", 0.03), ("B", 0.01), ("all other parts", pytest.approx(0.01))]
    assert pieces({"loss": 0.04, "by_sector": "A 0.0300, B 0.0100"}, "by_sector", str) == [("A", 0.03), ("B", 0.01)]


def test_the_stress_nearest_to_its_limit() -> None:
    """By share of the limit, not by loss; without limits the largest loss; none without a loss. Bars stand in that order."""
    frame = stress()
    near = nearest_stress(frame)
    assert near is not None
    assert near["scenario"] == "crash_2008"  # 0.2411 of 0.25; FED loses 0.395 of 0.50
    free = nearest_stress(frame.assign(limit=math.nan))
    assert free is not None
    assert free["scenario"] == "fed_severe"
    assert nearest_stress(frame.assign(loss=math.nan)) is None
    shares = [bar.used for bar in used_stresses(rows_of(frame[frame["kind"] != "reverse"]), MANDATE)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] == pytest.approx(0.2411 / 0.25)


def test_currencies_count_names_and_cash() -> None:
    """By hand: 15 % of all that is held in pounds, cash included; the base currency cannot move against itself."""
    frame = positions(1_000_000.0)
    rows = {cells[0]: cells for cells in currencies(risk_numbers(), frame, rate_moves(), MANDATE).rows}
    pounds = frame[frame["currency"] == "GBP"]
    whole, cash = pounds["value_base"].sum(), pounds[pounds["kind"] == "CASH"]["value_base"].sum()
    nav = frame["value_base"].sum()
    told = [f"{100 * share:.2f}\u00a0%" for share in ((whole - cash) / nav, cash / nav, whole / nav)]
    assert list(rows["GBP"][2:5]) == told
    # 1 % a session, always: 1 % times the root of 252 sessions
    assert rows["GBP"][5] == "15.87\u00a0%"
    assert rows["GBP"][7] == f"{100 * 0.15 * whole / nav:.2f}\u00a0%"
    assert rows["GBP"][1] == "13.7\u00a0%"
    assert rows["USD"][5:] == ("", "", "")
    blind = currencies(risk_numbers(), frame, {}, MANDATE)
    assert {cells[0]: cells[6] for cells in blind.rows}["GBP"] == "n/a"


def book(**changes: object) -> BookState:
    return replace(example().book, **changes)  # type: ignore[arg-type]


def flagged(status: str, message: str) -> pd.DataFrame:
    frame = verdict()
    here = frame["control"] == "RC-80"
    return frame.assign(status=frame["status"].mask(here, status), message=frame["message"].mask(here, message))


def breach(**changes: object) -> pd.DataFrame:
    frame = verdict()
    made = {"kind": "BREACH", "key": f"RC-30|{IDS['AAPL']}", "control": "RC-30", "name": IDS["AAPL"], "observed": 1.0, "limit": 2.0,
            "headroom": 1.0, "unit": "sessions open, 0 clean", "status": "WARN", "message": "passive: position",
            "opened": "2018-12-13", "cause": "passive", "halt_class": ""}  # fmt: skip
    return pd.concat([frame, frame.iloc[:1].assign(**{**made, **changes})], ignore_index=True)


STATES = (
    ("calm", {}, verdict(), "ACTIVE"),
    ("reduce", {"rung": Rung.REDUCE_ONLY}, verdict(), "REDUCE_ONLY"),
    ("deep", {"drawdown": 0.13}, verdict(), "FLATTEN"),
    ("unknown drawdown", {"drawdown": math.nan}, verdict(), "HALT"),
    ("no verdict", {}, verdict().iloc[:0], "HALT"),
    ("flag", {}, flagged("REDUCE_ONLY", "the halt flag is reduce-only"), "REDUCE_ONLY"),
    ("halt", {}, flagged("HALT", "the halt flag is halt"), "HALT"),
    ("odd flag", {}, flagged("HALT", "something else"), "HALT"),
    ("drifted", {}, breach(), "ACTIVE"),
    ("overdue", {}, breach(observed=3.0, status="REDUCE_ONLY"), "REDUCE_ONLY"),
    ("halting breach", {}, breach(halt_class="C", status="HALT"), "HALT"),
    ("unreadable register", {}, breach(opened="soon"), "HALT"),
    ("closed", {}, breach(halt_class="C", status="PASS"), "ACTIVE"),
)


@pytest.mark.parametrize(("changes", "frame", "word"), [s[1:] for s in STATES], ids=[s[0] for s in STATES])
def test_the_state_that_is_told(changes: dict[str, object], frame: pd.DataFrame, word: str) -> None:
    """The strictest cause wins; what cannot be read is HALT."""
    assert state_word(book(**changes), frame, MANDATE) == word


def test_ladder_and_register_by_hand() -> None:
    """Distances in points of drawdown and as a fall of NAV; a breach with its age, deadline, subject and state."""
    table = rungs(book(drawdown=0.04, drawdown_inception=0.06, rung=Rung.FULL), MANDATE.ladder)
    rows = {cells[0]: [cell.replace("\u00a0", " ") for cell in cells] for cells in table.rows}
    assert rows["SCALED"][2] == "1.00 % (NAV falls 1.04 %)"  # 1 - 0.95 / 0.96
    assert rows["HALT"][2] == "11.00 % (NAV falls 11.46 %)"  # 1 - 0.85 / 0.96
    assert rows["ABSOLUTE FLOOR"][2] == "19.00 %"
    assert [cells[0] for cells in table.rows if cells[3]] == ["FULL"]
    (cells,) = breaches(breach(), named_by({IDS["AAPL"]: "AAPL"})).rows
    assert cells == ("RC-30 AAPL", "2018-12-13", "passive", "1 of 2", "WARN", "passive: position")


def test_what_could_not_be_measured_says_why() -> None:
    """A family that failed is its reason, an empty table says so; nothing is drawn as zero."""
    failed = (
        risk_numbers().iloc[:2].assign(kind=["VAR", "FACTOR"], key="", value=math.nan, text="cannot be computed: X")
    )
    assert (tails(failed).rows, tails(failed).why) == ((), "cannot be computed: X")
    assert parts_of(failed, "FACTOR") == []
    empty = risk_numbers().iloc[:0]
    assert record(empty, (), MANDATE).why == "not measured in this session"
    page = build_report(replace(example(), risk_report=failed, book=book(risk_days=())))
    assert "cannot be computed: X" in section(page, "tail")
    assert "no session was forecast and judged yet" in section(page, "backtest")
    unknown = risk_numbers().assign(value=math.nan, share=math.nan)
    assert {cell for cells in tails(unknown).rows for cell in cells[2:5]} == {"n/a"}


def test_sessions_without_a_number_are_exceptions() -> None:
    """The back-test says how many of its sessions are not known."""
    days = (*risk_days(), RiskDay(math.nan, Forecast(0.01, 0.005)))
    text = section(build_report(replace(example(), book=book(risk_days=days))), "backtest")
    assert "Sessions without a known number, counted as exceptions: 1." in text


def plots(shows: Mapping[str, object]) -> dict[str, ET.Element]:
    """The plots of an asset page, read as XML: a browser refuses one that is not well formed."""
    found = {}
    for name, shown in shows.items():
        text = re.search(r"base64,([A-Za-z0-9+/=]+)", str(getattr(shown, "value", shown)))
        if text is not None:
            found[name] = ET.fromstring(base64.b64decode(text.group(1)))
    return found


def listed() -> pd.DataFrame:
    return example().instruments


def test_asset_pages_hold_plots_and_tables() -> None:
    """Plots are XML, tables have as many cells in every row as in the head, internal ids are told by tickers."""
    state = state_frame(book())
    shows = {
        **risk_pages.stress(stress(), listed(), MANDATE),
        **risk_pages.risk(risk_numbers(), listed(), state, positions(1e6), moves=rate_moves(), mandate=MANDATE),
    }
    assert set(plots(shows)) == {
        "against limits",
        "waterfall by name",
        "waterfall by sector",
        "names",
        "factors",
        "back-test",
    }
    assert (shows["zone"], shows["nearest to its limit"]) == ("green", "crash 2008")
    for name in (
        "scenarios",
        "reverse stress",
        "value at risk and shortfall",
        "by name",
        "by factor",
        "by currency",
        "record",
    ):
        lines = [line for line in str(getattr(shows[name], "value", "")).splitlines() if line.startswith("|")]
        assert len(lines) > 2, name
        assert len({line.count("|") for line in lines}) == 1, name
        assert not any(own in line for own in IDS.values() for line in lines), name


def test_an_asset_page_survives_hostile_names() -> None:
    """A ticker with a bar, a line break and markup breaks neither a table nor a plot."""
    evil = listed().assign(ticker=[f"<b>|{n}\n]]>" for n in range(len(NAMES))])
    shows = risk_pages.risk(
        risk_numbers(), evil, state_frame(book()), positions(1e6), moves=rate_moves(), mandate=MANDATE
    )
    plots(shows)
    lines = str(getattr(shows["by name"], "value", "")).splitlines()
    assert len({line.count("|") for line in lines if line.startswith("|")}) == 1


def test_numbers_of_the_world_are_of_its_session() -> None:
    """The example stays one whole: its record is as long as its table says, with as many exceptions."""
    days = risk_days()
    assert (len(days), sum(day.loss > day.forecast.var_99 for day in days)) == (53, 2)
    assert example().session == dt.date(2018, 12, 14)
