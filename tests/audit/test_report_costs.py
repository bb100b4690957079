"""What orders cost, on the page: the numbers by hand, words that claim no more than they can, charts that hold every group."""

import datetime as dt
import math
import re
from dataclasses import replace
from html import unescape

import pandas as pd
import pytest
from report_world import IDS, RATES, SESSION, charged, empty, ended_orders, example

from marketbot_assets import cost_pages
from marketbot_assets.audit.cost_charts import Mean, against_model, parts_chart
from marketbot_assets.audit.cost_numbers import (
    LIVE_SAYS,
    MIXED_SAYS,
    PAPER_SAYS,
    by_kind,
    by_name,
    ended,
    groups,
    parts_by_session,
    words,
)
from marketbot_assets.audit.report_costs import costs_section

DAY_BEFORE = dt.date(2018, 12, 13)


def text_of(markup: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", markup)).split())


def test_the_section_shows_each_order_in_its_parts() -> None:
    """KO: 6.30 + 2.17 + 3.40 + .73 + 1.44 = 14.04, 13.62 bp of 210 * 49.10; NRD in base currency: 6.56 EUR at 1.1303 = 7.41."""
    shown = text_of(costs_section(example()))
    assert "KO BUY • FILLED 210 49.10 49.13 6.30 2.17 3.40 0.73 0.00 1.44 0.00 14.04 13.6 0.00" in shown
    assert "NRD BUY • FILLED 64 61.20 61.25 3.62 1.99 0.45 −0.27 0.00 1.63 0.00 7.41 16.7 0.00" in shown
    assert "TMSE BUY • UNFILLED 0 of 300" in shown
    assert "still worked, or its last session has not closed" in shown
    assert PAPER_SAYS in shown
    assert "charged as written: fills of this account are no evidence: it is not live" in shown
    assert not [name for name in IDS.values() if name in shown]


def test_an_empty_session_says_so() -> None:
    """No order, no chart, no factor."""
    section = costs_section(empty())
    assert "No order ended this session." in section
    assert "<svg" not in section
    assert "nothing measured" in section


def test_factors_are_shown_when_they_are_charged() -> None:
    """A factor that is not 1 stands in a table with what it rests on."""
    frame = charged().assign(multiple=[1.0, 1.0, 1.4321, 1.0], reason="used")
    shown = text_of(costs_section(replace(example(), cost_calibration=frame)))
    assert "USD BUY 3 1.01 0.1 1.432 used" in shown
    assert "charged as written" not in shown


def test_groups_by_hand() -> None:
    """USD buys: KO alone, 7.51 against 6.80; its standard error needs two. The unfilled order is compared with nothing."""
    found = {group.label: group for group in groups(ended([ended_orders()]), by_kind)}
    assert set(found) == {
        ("USD", "BUY", "LIMIT_ON_OPEN"), ("USD", "SELL", "LIMIT_ON_OPEN"), ("EUR", "BUY", "LIMIT_ON_OPEN"),
        ("GBP", "BUY", "LIMIT_ON_OPEN"), ("GBP", "BUY", "FX"),
    }  # fmt: skip
    bought, unfilled = found["USD", "BUY", "LIMIT_ON_OPEN"], found["GBP", "BUY", "LIMIT_ON_OPEN"]
    assert (bought.orders, bought.compared, bought.difference) == (1, 1, pytest.approx(0.71))
    assert math.isnan(bought.error)
    assert (unfilled.orders, unfilled.unfilled, unfilled.compared) == (1, 1, 0)
    assert unfilled.total_base == pytest.approx(21.0 * RATES["GBP"])


def test_standard_error_by_hand() -> None:
    """Differences 1, 2, 6: mean 3, sd sqrt(7), standard error sqrt(7/3)."""
    one = ended_orders().iloc[[0]]
    frame = pd.concat(
        [one.assign(client_order_id=f"x{gap}", realised_bps=5.0 + gap, model_bps=5.0) for gap in (1, 2, 6)]
    )
    (group,) = groups(ended([frame]), by_name)
    assert (group.compared, group.difference) == (3, pytest.approx(3.0))
    assert group.error == pytest.approx(math.sqrt(7 / 3))


def test_paper_and_live_are_two_groups() -> None:
    """They never form one mean, and the words say which is which."""
    live = ended_orders().assign(environment="live", client_order_id=[f"live{n}" for n in range(6)])
    found = groups(ended([ended_orders(), live]), by_kind)
    assert [(group.environment, group.orders) for group in found if group.label == ("USD", "BUY", "LIMIT_ON_OPEN")] == [
        ("live", 1), ("paper", 1),
    ]  # fmt: skip
    assert words(["paper"]) == words([]) == PAPER_SAYS
    assert words(["live"]) == LIVE_SAYS
    assert words(["live", "paper"]).startswith(MIXED_SAYS)


def test_an_order_told_twice_counts_once() -> None:
    """The last row of an order counts; one that is worked is none yet."""
    assert len(ended([ended_orders(), ended_orders()])) == 5


def test_parts_per_session_are_in_base_currency() -> None:
    """Delay: 6.30 + 24 + 3.2 * 1.1303; a session whose numbers are not known adds nothing."""
    unknown = ended_orders().assign(delay=math.nan)
    days, series = parts_by_session([(DAY_BEFORE, unknown), (SESSION, ended_orders())])
    assert days == ["2018-12-13", "2018-12-14"]
    assert dict(series)["delay"] == pytest.approx([0.0, 30.3 + 3.2 * 1.1303])


def test_the_chart_marks_what_is_off_the_line() -> None:
    """More than two standard errors away: marked by a word and an edge, not by colour alone."""
    svg = against_model(
        "t",
        [(5.0, 6.0)],
        [Mean("USD BUY", 5.0, 9.0, 1.0, 20), Mean("EUR BUY", 5.0, 6.0, 1.0, 20), Mean("JPY BUY", 5.0, 9.0, 1.0, 19)],
    )
    assert "USD BUY (off)" in svg
    assert "EUR BUY (off)" not in svg
    assert "JPY BUY (off)" not in svg, "19 orders are too few"
    assert "realised = model" in svg
    assert svg.count("<circle") == 1


def test_charts_without_numbers_say_so() -> None:
    """NaN is no place on a chart."""
    assert "no filled order" in against_model("t", [(math.nan, 1.0)], [Mean("USD BUY", math.nan, 1.0, 1.0, 20)])
    assert "no order ended" in parts_chart("t", ["2018-12-14"], [("delay", [0.0])], "USD")
    assert "no order ended" in parts_chart("t", [], [], "USD")


def test_stacked_bars_are_as_high_as_their_parts() -> None:
    """Costs of 30 and 10 upwards: heights 3 to 1; a gain of 20 downwards: 2."""
    svg = parts_chart("t", ["2018-12-14"], [("delay", [30.0]), ("fees", [10.0]), ("rest", [-20.0])], "USD")
    bars = [float(x) for x in re.findall(r'width="26.0" height="([\d.]+)"', svg)]
    assert [bar / bars[1] for bar in bars] == pytest.approx([3.0, 1.0, 2.0], rel=0.01)


def test_the_asset_page_tells_the_same() -> None:
    """Count, total, words, two pictures, two tables; names as exchange and ticker."""
    facts = example()
    shows = cost_pages.shortfall(ended_orders(), [(DAY_BEFORE, ended_orders().iloc[:0])], facts.instruments, SESSION)
    assert (shows["orders ended"], shows["still worked"], shows["what it says"]) == (5, 1, PAPER_SAYS)
    expected = 14.04 + 101.84 + 6.56 * 1.1303 + 21 * 1.258 + 2.5
    assert shows["shortfall, base currency"] == pytest.approx(expected)
    table = shows["by name"].value  # type: ignore[union-attr]
    assert "| XNYS:XOM | paper | 1 | 0 | 13.40 | 12.10 | 1.30 | n/a | 101.84 |" in table
    assert "data:image/svg+xml" in shows["realised against model"].value  # type: ignore[union-attr]
    factors = cost_pages.calibration(charged())
    assert (factors["orders measured"], factors["largest factor"]) == (0, 1.0)
    assert "| USD | BUY | 3 | 7.00 | 6.90 | 1.01 | 0.10 | 1.000 |" in factors["factors"].value  # type: ignore[union-attr]
