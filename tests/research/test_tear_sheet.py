"""The report of a backtest: its tables add up to the book, its numbers are those of slower ways, its page says what it is."""

import dataclasses
import datetime as dt
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import fields, replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from research_world import loop

from marketbot_assets.audit.attribution import attribute, exchanges
from marketbot_assets.book.positions import positions_frame, session_closes
from marketbot_assets.book.roll import session_rates
from marketbot_assets.book.rows import rows_frame
from marketbot_assets.book.schema import FILLS
from marketbot_assets.research import details as kept
from marketbot_assets.research import tear_sheet_trades as trades
from marketbot_assets.research.columns import Columns
from marketbot_assets.research.details import Details, prevented
from marketbot_assets.research.history import Tables
from marketbot_assets.research.loop import Day
from marketbot_assets.research.outcomes import outcomes
from marketbot_assets.research.tear_sheet import Sheet, beside, periods, quantiles, tear_sheet, weeks
from marketbot_assets.research.tear_sheet_charts import POINTS_MAX, histogram, month_map, thinned
from marketbot_assets.research.tear_sheet_excess import excess as excess_section
from marketbot_assets.research.tear_sheet_page import About, tear_sheet_page
from marketbot_assets.research.tested import first_line
from marketbot_resources.corporate_actions import SPLIT, CorporateAction
from marketbot_resources.mandate import Mandate
from marketbot_resources.model import Execution

COUNT = 9
EVIL = "<script>alert('x')</script>"
Rows = Sequence[tuple[object, ...]]


@pytest.fixture(scope="module")
def run(world: Tables, mandate: Mandate) -> tuple[list[Day], Sheet]:
    """Some sessions of the sample world with their details."""
    details = Details(mandate)
    days = list(details.watching(loop(world, mandate, COUNT)[0]))
    return days, tear_sheet(outcomes(days), details.frames(), "USD")


def test_profit_adds_up_to_the_change_of_nav(run: tuple[list[Day], Sheet]) -> None:
    """By part, sector and currency, over all sessions."""
    sheet = run[1]
    change = float(sheet.nav[-1] - sheet.nav[0])
    for column in (None, "sector", "currency", "instrument"):
        groups = trades.profit_parts(sheet, column)
        assert math.fsum(parts["total"] for parts in groups.values()) == pytest.approx(change, abs=1e-6)
        for parts in groups.values():
            gains = [*(parts[part] for part in kept.PARTS[:4]), parts["residual"], -parts["fee"], -parts["tax"]]
            assert math.fsum(gains) == pytest.approx(parts["total"], abs=1e-6)
    assert abs(trades.profit_parts(sheet)["book"]["residual"]) < 1.0
    assert math.fsum(float(str(row["profit"])) for row in trades.positions(sheet)) == pytest.approx(
        change - trades.profit_parts(sheet, "sector")["CASH"]["total"], abs=1e-6
    )


def execution_row(fill: Execution) -> dict[str, object]:
    """A fill as its row in FILLS."""
    told = {name: getattr(fill, name) for name in (field.name for field in fields(fill))}
    return {**told, "side": fill.side.value, "order_kind": fill.kind.value}


def test_profit_of_a_session_is_that_of_the_asset(run: tuple[list[Day], Sheet], mandate: Mandate) -> None:
    """The loop's rows without frames are those of `attribute`, which the asset `attribution` calls with frames."""
    days, sheet = run
    held = sheet.tables[kept.HOLDINGS]
    for before, day in (days[4:6], days[-2:]):
        listed, rolled = day.known.instruments, day.rolled
        dividends: Counter[str] = Counter()
        for event in rolled.events:
            dividends[event.instrument] += float(event.amount)  # type: ignore[assignment]
        frame = attribute(
            positions_frame(before.rolled.valuation),
            positions_frame(rolled.valuation, rolled.events),
            rows_frame(FILLS, [execution_row(fill) for fill in day.fills]),
            dividends=dividends,
            splits={},
            exchanged=exchanges(rolled.actions, rolled.events, before.rolled.valuation.prices),
            instruments=listed,
            base_currency=mandate.base_currency,
            closes=session_closes(day.known.window),
            rates=session_rates(day.known.window, listed["currency"].tolist(), mandate.base_currency),
        )
        theirs = frame[frame["dimension"] == "INSTRUMENT"].set_index("name")
        own = held[held["session"] == pd.Timestamp(day.state.session)].set_index("instrument")
        assert set(own.index) == set(theirs.index)
        assert len(own) > 5
        for part in (*kept.PARTS,):
            ours = own[part] * before.rolled.valuation.nav
            assert np.abs(ours - theirs[part].reindex(own.index)).max() < 1e-6


def test_excess_is_that_of_the_two_series(run: tuple[list[Day], Sheet]) -> None:
    """Markets, factors and methods end at the difference of the compounded returns; the parts leave little unexplained."""
    days, sheet = run
    nav = np.array([day.rolled.valuation.nav for day in days])
    theirs = 1.0
    for day in days[1:]:
        value = (
            day.known.window.close[-2]
            * day.known.window.fx[-2]
            * day.known.instruments["shares_outstanding"].to_numpy()
        )
        known = (
            day.known.instruments["in_universe"].to_numpy()
            & np.isfinite(value)
            & np.isfinite(day.known.window.base_return[-1])
        )
        theirs *= 1.0 + float(np.average(day.known.window.base_return[-1][known], weights=value[known]))
    expected = nav[-1] / nav[0] - theirs
    assert len(sheet.sessions) == COUNT - 1
    for rows in (sheet.excess(), sheet.factors(), sheet.sectors()):
        totals = {str(row["name"]): float(str(row["total"])) for row in rows}
        assert rows[-1]["total"] == pytest.approx(expected, abs=1e-12)
        assert math.fsum(float(str(row["total"])) for row in rows[:-1]) == pytest.approx(expected, abs=1e-12)
        assert abs(totals.get("unexplained", 0.0)) < 2e-4
    assert math.fsum(float(str(row["menchero"])) for row in sheet.excess()[:-1]) == pytest.approx(expected, abs=1e-12)
    assert sheet.numbers["excess"] == pytest.approx(expected, abs=1e-12)


def test_cash_earns_the_rate_that_the_session_before_knew(run: tuple[list[Day], Sheet], world: Tables) -> None:
    """The newest bill rate released by the cutoff before, over calendar days; no other currency of the sample world has one."""
    days, sheet = run
    market = sheet.tables[kept.MARKET]
    rows = market[market["kind"] == kept.CASH_RATE]
    assert set(rows["item"]) == {"USD"}
    bills = world.macro[world.macro["series"] == "US1M"]
    for before, day, told in zip(days[:-1], days[1:], rows["returned"], strict=True):
        newest = bills[bills["known_at"] <= before.known.cutoff].sort_values("period")["value"].iloc[-1]
        held = (day.state.session - before.state.session).days
        assert told == pytest.approx(newest / 100 * held / 365, rel=1e-12)
        assert 1.0 < newest < 3.0
    assert [one.cash["USD"] for one in sheet.sessions] == rows["returned"].tolist()
    assert "cash rates of USD as known at the session before; that of EUR" in excess_section(sheet)


def test_what_was_prevented_is_what_the_verdict_took_away(run: tuple[list[Day], Sheet]) -> None:
    """Per session: planned less approved, recomputed from the judgement's orders."""
    for day in run[0]:
        rates = day.decision.risk.fx_rates
        sides = [
            math.fsum(
                float(o.quantity) * float(o.limit_price or 0) * rates[o.currency]
                for o in orders
                if o.kind.value == "EQUITY"
            )
            for orders in (day.decision.judgement.planned, day.decision.judgement.approved)
        ]
        gone = math.fsum(abs(planned) - abs(left) for _, _, planned, left in prevented(day))
        assert gone * day.state.nav == pytest.approx(sides[0] - sides[1], abs=1e-6)


def tables(**rows: Rows) -> dict[str, pd.DataFrame]:
    """Details made by hand: rows (day of January 2020, texts and numbers in the order of the layout)."""
    found = {}
    for name, (texts, numbers) in kept.LAYOUT.items():
        frame = pd.DataFrame(rows.get(name, []), columns=["session", *texts, *numbers])
        frame["session"] = pd.to_datetime([f"2020-01-{int(day):02d}" for day in frame["session"]])
        found[name] = frame.astype({**dict.fromkeys(texts, "str"), **dict.fromkeys(numbers, "float64")})
    return found


def by_hand(nav: list[float], **rows: Rows) -> Sheet:
    """A sheet of sessions from January 1st 2020 on."""
    days = pd.date_range("2020-01-01", periods=len(nav))
    zero = dict.fromkeys(("buys", "sells", "costs_base", "invested", "names", "stops"), 0.0)
    frame = pd.DataFrame({"session": days, "nav": nav, "verdict": "APPROVED", **zero})
    return tear_sheet(frame, tables(**rows), "USD")


def fill(
    day: int, side: float, quantity: float, value: float, share: float = 0.01, split: float = 1.0
) -> tuple[object, ...]:
    return (day, "A", "USD", side, quantity, 1.0, value, 1.0, 0.5, 10.0, -5.0, share, quantity / split)


def test_round_trips_by_hand() -> None:
    """10 for 100 and 10 for 120 bought; 15 sold for 165: the first ten gain 10, five of the second gain -5; five stay."""
    sheet = by_hand(
        [1.0, 1.0], fills=[fill(1, 1, 10, 100), fill(3, 1, 10, 120), fill(7, -1, 15, 165), fill(9, -1, 99, 0)][:3]
    )
    trips = trades.round_trips(sheet)
    assert [(t.paid, t.days) for t in trips] == [(100.0, 6), (60.0, 4)]
    assert [t.gain for t in trips] == pytest.approx([10.0, -5.0])
    told = trades.trip_numbers(trips)
    assert (told["trips"], told["share that gained"], told["profit factor"], told["mean days held"]) == (2, 0.5, 2.0, 5)
    assert trades.trip_numbers([])["trips"] == 0


def test_round_trips_over_a_split() -> None:
    """10 for 100 bought; two for one; 20 sold for 110: all of it gained 10. Details of old know no splits."""
    sheet = by_hand([1.0, 1.0], fills=[fill(1, 1, 10, 100), fill(7, -1, 20, 110, split=2.0)])
    (trip,) = trades.round_trips(sheet)
    assert (trip.paid, trip.gain) == pytest.approx((100.0, 10.0))
    old = {**sheet.tables, kept.FILLS: sheet.tables[kept.FILLS].drop(columns="units")}
    assert len(trades.round_trips(dataclasses.replace(sheet, tables=old))) == 1


def test_units_are_shares_as_if_no_split_had_come(run: tuple[list[Day], Sheet], mandate: Mandate) -> None:
    """A split of two for one in a day: fills before its open count as they are, later ones half."""
    days = run[0]
    place = next(k for k, day in enumerate(days) if len(day.fills) > 1)
    before, day = days[place - 1 : place + 1]
    first = sorted(day.fills, key=lambda one: one.executed_at)[0]
    late = dataclasses.replace(first, executed_at=first.executed_at + dt.timedelta(hours=1), execution_id="z")
    split = CorporateAction(
        first.instrument,
        day.state.session,
        SPLIT,
        math.nan,
        2.0,
        first.currency,
        first.executed_at + dt.timedelta(minutes=1),
    )
    rolled = dataclasses.replace(day.rolled, actions=(*day.rolled.actions, split))
    details = Details(mandate)
    for one in (
        before,
        dataclasses.replace(day, rolled=rolled, fills=(first, late)),
        dataclasses.replace(day, fills=(late,)),
    ):
        details.see(one)
    units = details.frames()[kept.FILLS]["units"].tolist()[-3:]
    shares = float(first.quantity)
    assert units == [shares, shares / 2.0, shares / 2.0]


def test_costs_and_capacity_by_hand() -> None:
    """10 bps of 100 and of 300; the largest order is 4 % of a day's value: at 1 % a quarter of the NAV would do."""
    sheet = by_hand([200.0, 200.0], fills=[fill(1, 1, 1, 100, 0.02), fill(2, -1, 1, 300, 0.04)])
    assert trades.costs_by_kind(sheet) == pytest.approx(
        {"fees": 2.0, "taxes": 1.0, "spread and impact": 0.4, "delay": -0.2}
    )
    assert trades.capacity(sheet, 0.01)["NAV at which the largest reaches it"] == pytest.approx(50.0)
    assert math.isnan(trades.capacity(by_hand([1.0, 1.0]), 0.01)["NAV at which the largest reaches it"])


def test_limits_and_controls_by_hand() -> None:
    """Use, nearness and binding per control; what was prevented per control."""
    nan = math.nan
    rows = [
        (1, kept.USED, "RC-1", "a", 0.5, 1.0, 0.5, nan, nan),
        (2, kept.USED, "RC-1", "b", 0.95, 1.0, 0.95, nan, nan),
        (2, kept.BOUND, "RC-1", "cap", 1.0, 1.0, 1.0, nan, nan),
        (2, kept.BOUND, "RC-1", "other", 1.0, 1.0, 1.0, nan, nan),
        (2, kept.PREVENTED, "RC-2", "A", nan, nan, nan, -0.04, -0.01),
    ]
    sheet = by_hand([1.0, 1.0], controls=rows)
    assert trades.limits(sheet) == [
        {"control": "RC-1", "mean": 0.725, "largest": 0.95, "item": "b", "when": "2020-01-02", "near": 1, "bound": 1,
         "sessions": 2}
    ]  # fmt: skip
    assert [row["item"] for row in trades.bound_limits(sheet)] == ["cap", "other"]
    assert trades.prevented(sheet) == [
        {"control": "RC-2", "orders": 1, "sessions": 1, "planned": 0.04, "approved": 0.01, "prevented": pytest.approx(0.03)}
    ]  # fmt: skip


def test_periods_by_hand() -> None:
    """Weeks and months link their sessions; quantiles are those of the ordered returns."""
    sheet = by_hand([100.0, 110.0, 99.0, 99.0 * 1.02])  # Wednesday, Thursday, Friday, Saturday
    assert weeks(sheet) == pytest.approx([1.1 * 0.9 * 1.02 - 1.0])
    assert periods(sheet, 7)["2020-01"][0] == pytest.approx(1.1 * 0.9 * 1.02 - 1.0)
    assert quantiles(sheet)[0]["0.5"] == pytest.approx(0.02)
    assert math.isnan(sheet.numbers["benchmark_return"])


@pytest.mark.parametrize("nav", [[1.0], [1.0, 0.0], [1.0, math.nan]], ids=["one", "nothing left", "unknown"])
def test_a_sheet_needs_a_nav(nav: list[float]) -> None:
    """Nothing is reported of a NAV that is not there."""
    with pytest.raises(ValueError, match="at least two sessions with a positive NAV"):
        by_hand(nav)


def test_columns_are_a_frame_in_the_end() -> None:
    """The same rows as a frame of dictionaries, in order, also without any."""
    columns = Columns(("a", "b"), ("x",))
    assert columns.frame().dtypes.astype(str).tolist() == ["datetime64[s]", "str", "str", "float64"]
    days = [pd.Timestamp("1969-12-31"), pd.Timestamp("2020-01-02")]
    columns.add(days[0].date(), ("u", "v"), (1.0,))
    columns.add(days[1].date(), ("v", "v"), (math.nan,))
    told = pd.DataFrame({"session": days, "a": ["u", "v"], "b": ["v", "v"], "x": [1.0, math.nan]})
    pd.testing.assert_frame_equal(columns.frame(), told.astype({"session": "datetime64[s]", "a": "str", "b": "str"}))


class Page(HTMLParser):
    """Collects what a page would load, its anchors and its first words."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.words: list[str] = []
        self.inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.inside = self.inside or tag == "main"
        for name, value in attrs:
            if name == "id":
                self.ids.append(str(value))
            if name in ("href", "src") or str(name).startswith("on"):
                self.links.append(str(value))

    def handle_data(self, data: str) -> None:
        if self.inside and data.strip():
            self.words.append(data.strip())


def about(**changes: object) -> About:
    """Facts of a page, with a name that tries to be a script."""
    told: dict[str, object] = {
        "first_line": f"{first_line(None)} {EVIL}", "mandate": EVIL, "synthetic": True, "llm": "none",
        "volatility_target": 0.1, "participation": 0.01, "trials": 3,
        "hashes": [("backtest, content", "ab" * 32)], "names": {}, "ended": "",
    }  # fmt: skip
    return About(**{**told, **changes})  # type: ignore[arg-type]


def test_the_page_says_first_whether_it_was_tested(run: tuple[list[Day], Sheet]) -> None:
    """Untested, or how many tests passed; then that data are simulated; nothing is loaded, every link has its section."""
    names = dict.fromkeys(run[1].tables[kept.HOLDINGS]["instrument"], EVIL)
    bare = Page(tear_sheet_page(run[1], about(names=names)))
    assert bare.words[0] == "NOT TESTED against overfitting"
    assert bare.words[1].endswith(f"nothing below is evidence. {EVIL}")
    assert bare.words[2] == "Partly simulated data and survivors"
    assert bare.tags["script"] == bare.tags["img"] == bare.tags["link"] == bare.tags["iframe"] == 0
    assert sorted(bare.links) == sorted(f"#{key}" for key in bare.ids)
    assert bare.tags["svg"] >= 18
    rows = [("deflated Sharpe", "0.2", "at least 0.95", False), ("cost x2", "1", "above 0", True), (EVIL, "", "", None)]
    text = tear_sheet_page(run[1], about(first_line="FAILED 1 of 3: it.", synthetic=False, ended="a halt"), rows)
    tested = Page(text)
    assert tested.words[:2] == ["FAILED 1 of 3: it.", "Stopped early"]
    assert 'class="banner bad"' in text
    assert "7 listings" in Page(tear_sheet_page(run[1], about(described_later=7))).words
    assert "7 listings" not in tested.words
    proven = tear_sheet_page(run[1], about(first_line="PASSED", synthetic=False), rows[1:2])
    assert 'class="banner bad"' not in proven
    assert {"✓ passed", "× failed", "• not tested"} <= set(tested.words)
    assert "http" not in text
    assert "Not computed" in text
    assert tear_sheet_page(run[1], about(names=names)) == tear_sheet_page(run[1], about(names=names))


def test_the_benchmark_stands_beside_the_backtest(run: tuple[list[Day], Sheet]) -> None:
    """Both over the sessions whose benchmark is known, against pandas; without a benchmark no table, and still the ladder."""
    sheet = run[1]
    told = sheet.benchmark.copy()
    told[1] = math.nan
    found = {name: values for name, *values in beside(replace(sheet, benchmark=told))}
    for place, returns in enumerate((sheet.returns, told)):
        series = pd.Series(np.delete(returns, 1))
        grown = pd.concat([pd.Series([1.0]), (1.0 + series).cumprod()], ignore_index=True)
        assert found["return"][place] == pytest.approx(grown.iloc[-1] - 1.0, abs=1e-12)
        assert found["volatility per year"][place] == pytest.approx(series.std() * math.sqrt(252), abs=1e-12)
        assert found["Sharpe"][place] == pytest.approx(series.mean() / series.std() * math.sqrt(252), abs=1e-9)
        assert found["deepest drawdown"][place] == pytest.approx(1.0 - (grown / grown.cummax()).min(), abs=1e-12)
        assert found["value at risk 95 %"][place] == pytest.approx(-series.quantile(0.05), abs=1e-12)
        assert found["worst session"][place] == series.min()
    market = sheet.tables[kept.MARKET]
    none = replace(
        sheet,
        benchmark=np.full_like(told, math.nan),
        tables={**sheet.tables, kept.MARKET: market[market["kind"] != kept.FACTOR]},
    )
    assert beside(none) == []
    text = tear_sheet_page(none, about())
    assert "Factor of the drawdown ladder" in text
    assert "Style factors" not in text
    assert "benchmark is known" not in text


def test_charts_stay_small_and_true() -> None:
    """A long series is thinned, its last point kept; a month without data has no cell; nothing to show is said."""
    count = 10 * POINTS_MAX + 3
    labels = [f"{n:05d}" for n in range(count)]
    chart = thinned("t", labels, {"a": np.arange(count, dtype=float)})
    assert chart.count("L") <= POINTS_MAX + 5
    assert labels[-1] in chart
    assert "goal 5.0 %" in thinned("t", ["a", "b"], {"x": np.array([0.01, 0.02])}, marks=[("goal", 0.05)])
    cells = month_map("m", {"2020-02": 0.01, "2020-03": -0.02}, {"2020": -0.0102})
    assert cells.count("<rect") == 3
    assert "−0.0" not in month_map("m", {"2020-02": -0.0003}, {"2020": -0.0003})
    assert ">7</text>" in histogram("h", np.array([0.0] * 7 + [0.01, 0.02, 0.03]))
    assert "−2.0" in cells
    assert "no data yet" in month_map("m", {}, {})
