"""The report is one self-contained page: every section, nothing unescaped, no resource, the same bytes, never an error."""

import json
import math
import re
from dataclasses import replace
from decimal import Decimal
from html.parser import HTMLParser

import pandas as pd
import pytest
from report_world import CONTROLS, IDS, PLAN, empty, example, verdict

from marketbot_assets.audit.charts import bar_chart, line_chart, paired_bars
from marketbot_assets.audit.report import BANNER, SECTIONS, build_report, summary
from marketbot_assets.audit.report_book import headroom_share
from marketbot_assets.audit.report_facts import ReportFacts
from marketbot_assets.audit.report_parts import price

EVIL = "<script>alert('x')</script> & <img src=x onerror=y> \u202e"
VOID = {"meta", "rect", "line", "circle", "path", "br"}


class Page(HTMLParser):
    """Reads a page: its tags, its text, and whether every element is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def facts() -> ReportFacts:
    return example()


def test_page_holds_every_section(facts: ReportFacts) -> None:
    """Each section stands once and is reachable from the list at the top; the page is well formed."""
    text = build_report(facts)
    page = Page(text)
    assert page.open == []
    for key, _ in SECTIONS:
        assert text.count(f'<section id="{key}">') == 1
        assert f'href="#{key}"' in text


def test_page_shows_what_the_session_did(facts: ReportFacts) -> None:
    """Verdict, orders with reason and change, fills, stops, hashes and the simulation banner are readable."""
    text = Page(build_report(facts)).text
    expected = [
        "✓ APPROVED", BANNER, "sent, 7 orders acknowledged", "213 → 130", "RC-34 fund bucket 0.2032 > 0.2000",
        "dropped", "momentum and low volatility raise it to 3.35 %", "7 ACKED", "no external anchor", "2018-12-31",
        "SCALED", "crash 2008", "0.214", "bars have no gaps", "rules, not by a language model", "Profit and loss by sector",
    ]  # fmt: skip
    assert [words for words in expected if words not in text] == []
    assert not [ticker for ticker in IDS.values() if ticker in text], "internal ids are for machines"


def test_first_limits_are_the_failed_ones_then_the_tightest(facts: ReportFacts) -> None:
    """Of the WARN rows the one with the least room (-22 % of the collar) leads, then 10 %, then 57 %; then the PASS rows."""
    text = Page(build_report(facts)).text
    table = text.partition("Limits with a number, tightest first")[2].partition("Controls without a number")[0]
    found = list(dict.fromkeys(re.findall(r"RC-\d\d(?= [a-z])", table)))
    assert found[:3] == ["RC-07", "RC-42", "RC-46"]
    # PASS rows: 2008 crash 3.6 %, position cap 6.8 %, ten largest 8.8 %
    assert [c for c in found if c in ("RC-46", "RC-30", "RC-40")] == ["RC-46", "RC-30", "RC-40"]


def test_page_needs_nothing_else(facts: ReportFacts) -> None:
    """No script, no address of a resource, no style from elsewhere."""
    text = build_report(facts)
    assert not re.search(r"https?:|<script|@import|url\(|<link|<img|<iframe", text)
    page = Page(text)
    assert all(value is None or value.startswith("#") for name, value in page.attributes if name in ("href", "src"))
    assert not [name for name, _ in page.attributes if name.startswith("on")]


def test_same_facts_give_the_same_bytes() -> None:
    """Two builds from equal facts are equal, whatever the order of rows and of the evidence."""
    first, second = example(), example()
    turned = {name: second.evidence[name] for name in reversed(list(second.evidence))}
    shuffled = replace(second, evidence=turned, risk_verdict=second.risk_verdict.iloc[::-1])
    assert build_report(first) == build_report(shuffled)


def test_untrusted_text_is_escaped(facts: ReportFacts) -> None:
    """Markup in names, reasons, messages, views and states is shown as text and adds no element."""
    clean = Page(build_report(facts)).tags
    evil = replace(
        facts,
        instruments=facts.instruments.assign(ticker=EVIL, name=EVIL, sector=EVIL),
        order_plan=facts.order_plan.assign(reason=EVIL),
        risk_verdict=facts.risk_verdict.assign(message=EVIL, name=EVIL),
        stress_results=facts.stress_results.assign(
            scenario=EVIL, worst_contributors=f"{EVIL} 0.2", by_sector=f"{EVIL} 0.1"
        ),
        risk_report=facts.risk_report.assign(key=EVIL + facts.risk_report["key"], text=EVIL),
        data_quality=facts.data_quality.assign(message=EVIL, subject=EVIL),
        llm_context=facts.llm_context.assign(subject=EVIL, kind=EVIL),
        drift=facts.drift.assign(message=EVIL),
        attribution=facts.attribution.assign(sector=EVIL, note=EVIL),
        execution_costs=facts.execution_costs.assign(reason=EVIL),
        submissions=None if facts.submissions is None else facts.submissions.assign(state=EVIL, reason=EVIL),
        end_state=EVIL,
        evidence={EVIL: EVIL},
        nav_history=[(EVIL, *point[1:]) for point in facts.nav_history],
    )
    text = build_report(evil)
    assert "<script" not in text
    assert "<img" not in text
    assert "\u202e" not in text
    assert set(Page(text).tags) <= set(clean)


def test_nothing_happened() -> None:
    """Empty frames, a first session and no submission give a page that says so."""
    text = Page(build_report(empty())).text
    for words in (
        "NO VERDICT",
        "No order was planned",
        "No fill became known",
        "nothing was submitted",
        "This is the first session",
    ):
        assert words in text
    numbers = summary(empty())
    assert (numbers["pnl"], numbers["vol_annual"], numbers["orders_planned"]) == (None, None, 0)


@pytest.mark.parametrize("word", ["REJECTED", "HALT"])
def test_refused_batch(facts: ReportFacts, word: str) -> None:
    """Without an approval no order counts as approved, and every row says that it was not sent."""
    refused = replace(
        facts, risk_verdict=verdict(word), orders=facts.orders.iloc[:0], submissions=facts.orders.iloc[:0]
    )
    text = Page(build_report(refused)).text
    assert text.count(f"not sent: the batch was {word}") == len(PLAN)
    assert summary(refused)["turnover"] == 0.0


def test_numbers_that_are_not_known(facts: ReportFacts) -> None:
    """NaN in every number column shows as n/a and never breaks the page or the summary."""
    frames = {}
    for name, frame in vars(facts).items():
        if isinstance(frame, pd.DataFrame) and name != "instruments":
            floats = {column: math.nan for column in frame.columns if frame[column].dtype == float}
            frames[name] = frame.assign(**floats)
    book = replace(facts.book, nav=math.nan, drawdown=math.nan, drawdown_inception=math.nan, multiple=math.nan)
    lost = [(session, math.nan, math.nan, math.nan) for session, *_ in facts.nav_history]
    unknown = replace(facts, book=book, nav_history=lost, **frames)
    page = Page(build_report(unknown))
    assert "n/a" in page.text
    assert "nan" not in page.text.lower().replace("finan", "")
    json.dumps(summary(unknown), allow_nan=False)


def test_no_banner_for_real_data(facts: ReportFacts) -> None:
    """The banner stands exactly when a row is simulated."""
    assert BANNER in build_report(facts)
    assert BANNER not in build_report(replace(facts, synthetic=False))


def test_summary_by_hand(facts: ReportFacts) -> None:
    """Headline numbers are the facts' own: counts of the plan, values of the controls, one-way turnover of what was approved."""
    numbers = summary(facts)
    rates = {"AMD": 1, "BAC": 1, "LLY": 1, "USMV": 1, "KO": 1, "TMSE": 1.2580, "RHNA": 1.1303}
    traded = sum(Decimal(row[6]) * Decimal(row[3]) * Decimal(str(rates[row[0]])) for row in PLAN if row[3] is not None)
    assert numbers["turnover"] == pytest.approx(float(traded) / 2 / facts.book.nav)
    assert (numbers["orders_planned"], numbers["orders_approved"], numbers["orders_changed"]) == (8, 7, 2)
    assert (numbers["vol_annual"], numbers["es_975_1d"]) == (0.0812, 0.0197)
    assert (numbers["stress_worst"], numbers["stress_worst_loss"]) == ("fed_severe", 0.395)
    assert numbers["limit_tightest_share_left"] == pytest.approx((0.05 - 0.061) / 0.05)
    assert numbers["data_findings"] == {"halt": 0, "quarantine": 1, "warn": 1, "pass": 3}
    assert numbers["invested"] + numbers["cash"] == pytest.approx(1.0, abs=1e-4)  # type: ignore[operator]
    assert json.loads(json.dumps(numbers, allow_nan=False)) == numbers
    assert len(CONTROLS) == sum(facts.risk_verdict["kind"] == "CONTROL")


@pytest.mark.parametrize(
    "values", [[], [math.nan], [1.0], [1.0, math.nan, 2.0], [0.0, 0.0], [-1.0, -2.0], [1e-9, 2e-9]]
)
def test_charts_take_any_numbers(values: list[float]) -> None:
    """A chart of any numbers is well-formed SVG without a number that cannot be drawn."""
    labels = [f"s{n}" for n in range(len(values))]
    charts = [
        line_chart("a <b>", labels, [("x", values), ("y", values)], unit="%", marks=[("m", 0.1)], invert=True),
        line_chart("a", labels, [("x", values)], limit=3.0),
        bar_chart("a", list(zip(labels, values, strict=True)), unit="%", limits=[0.5] * len(values)),
        paired_bars("a", [(label, v, -v, None) for label, v in zip(labels, values, strict=True)]),
    ]
    for chart in charts:
        assert Page(chart).open == []
        assert "nan" not in chart
        assert "inf" not in chart
        assert chart.startswith("<svg")


@pytest.mark.parametrize(
    ("observed", "limit", "headroom", "left"),
    [
        (0.04, 0.05, 0.01, 0.2), (0.06, 0.05, -0.01, -0.2),  # a cap: a fifth left, a fifth beyond
        (0.04, 0.01, 0.03, 0.75),  # a floor of cash: three quarters of it may go
        (0.99, 0.98, 0.01, 0.5), (0.97, 0.98, -0.01, -0.5),  # a coverage: half of what may be missing, half too much
        (None, 0.05, None, math.inf),
    ],
)  # fmt: skip
def test_share_of_a_limit_left(observed: float | None, limit: float, headroom: float | None, left: float) -> None:
    """Caps, floors and coverages are compared by the room that is left of what they allow."""
    row = {"observed": observed, "limit": limit, "headroom": headroom}
    assert headroom_share(row) == pytest.approx(left)


@pytest.mark.parametrize(
    ("value", "text"),
    [(54.7, "54.70"), (6571.0, "6,571.00"), (1.250304, "1.2503"), (0.00892062, "0.00892062"), (19.9, "19.90"),
     (0.0, "0.00"), (math.nan, "n/a"), (-0.5, "−0.50")],
)  # fmt: skip
def test_price_text(value: float, text: str) -> None:
    """Prices keep two decimals at least and six significant digits at most."""
    assert price(value) == text


def test_it_says_whether_anything_outside_keeps_the_ledgers_heads(facts: ReportFacts) -> None:
    """A home without an external anchor says so; one with anchors names them."""
    assert "no external anchor" in Page(build_report(facts)).text
    anchored = replace(facts, mandate=facts.mandate.model_copy(update={"anchors": ("file:/mnt/heads",)}))
    text = Page(build_report(anchored)).text
    assert "file:/mnt/heads" in text
    assert "no external anchor" not in text
