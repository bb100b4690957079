"""The digest: words by hand for a small week, what is not known said, every form safe with hostile names and small with many."""

import html.parser
import math
import re
from collections.abc import Mapping
from dataclasses import replace
from email.message import EmailMessage

import pandas as pd
import pytest
import report_world
from hypothesis import example, given, settings
from hypothesis import strategies as st

from marketbot_assets.audit.digest import DAILY, WEEKLY, Digest, as_text, build_digest
from marketbot_assets.audit.digest_facts import Day, DigestFacts, Known, OrderLine, day_of
from marketbot_assets.audit.digest_forms import HTML_BYTES_MAX, as_html, as_json, as_slack
from marketbot_assets.audit.report_facts import Row, rows_of
from marketbot_resources.notify.port import Message
from marketbot_resources.notify.smtp import with_content

ROOT = "ab" * 32
FRIDAY = Day(
    session="2018-12-14", state="sent", verdict="APPROVED", nav=1_000_000.0, pnl=1_000.0, drawdown=0.05, rung="NORMAL",
    cost=0.0, fee=0.0, tax=0.0, filled_value=0.0, held=("AAPL", "KO"), synthetic=False,
    versions={"mandate_sha256": "11", "model": "ridge fitted on 2018-12-10"},
)  # fmt: skip
MONDAY = Day(
    session="2018-12-17",
    state="sent",
    reason="2 orders: 2 ACKED",
    verdict="APPROVED",
    nav=990_000.0,
    pnl=-10_000.0,
    drawdown=0.0595,
    rung="SCALED",
    cost=25.0,
    fee=4.0,
    tax=1.0,
    fills=2,
    filled_value=50_000.0,
    orders=(
        OrderLine("SELL", 100.0, 100.0, "AAPL", 16_548.0, "RC-62 stop lowers it to 0.00 %"),
        OrderLine("BUY", 200.0, 150.0, "KO", 9_868.0, "RC-34 fund bucket 0.2032 > 0.2000"),
    ),
    approved=2,
    held=("KO", "MSFT"),
    movers=(("KO", 300.0), ("AAPL", -9_000.0), ("MSFT", -1_300.0)),
    bound=("volatility",),
    warned=("RC-42 WARN ex-ante volatility: 8.12 % of 9.02 %; above the warning value",),
    breaches=("RC-31 AAPL: open since 2018-12-12, session 3 of 5: 5.20 % of NAV",),
    data=("quarantine: no spike: NRD: 12 robust deviations",),
    llm="No language model is asked.",
    working=1,
    synthetic=False,
    versions={"mandate_sha256": "22", "model": "ridge fitted on 2018-12-10"},
)
TUESDAY = replace(
    MONDAY, session="2018-12-18", state="rejected", reason="RC-07", verdict="REJECTED", nav=999_900.0, pnl=9_900.0, approved=0,
    orders=(replace(MONDAY.orders[0], approved=0.0),), fills=0, cost=0.0, fee=0.0, tax=0.0, filled_value=0.0,
    movers=(("AAPL", 9_500.0), ("KO", 400.0)), warned=("RC-42 WARN ex-ante volatility: 8.20 % of 9.02 %",), breaches=(),
    cured=("RC-31 AAPL: open since 2018-12-12: 4.90 % of NAV",), data=(),
)  # fmt: skip
DAY = DigestFacts(
    kind=DAILY,
    label="2018-12-17",
    base="USD",
    days=(MONDAY,),
    before=FRIDAY,
    history=(("2018-12-14", 1_000_000.0), ("2018-12-17", 990_000.0)),
    live=True,
    paper=False,
    head=(1234, ROOT),
    actions=("ann: resume: data are back",),
    alerts=(3, 1),
    coming=("session 2018-12-18 decides at 2018-12-18T22:45:00Z and rebalances",),
)
WEEK = replace(DAY, kind=WEEKLY, label="2018-W51", days=(MONDAY, TUESDAY), actions=(), alerts=(0, 0))
GOLDEN_DAY = f"""\
marketbot daily digest, session 2018-12-17
NAV 990,000 USD, -10,000 USD (-1.00 %) on the session; 5.95 % below its high; rung SCALED
Verdict APPROVED; ended sent: 2 orders: 2 ACKED
Orders:
  2 of 2 planned orders approved
  SELL 100 AAPL, 16,548 USD: RC-62 stop lowers it to 0.00 %
  BUY 200 KO (approved 150), 9,868 USD: RC-34 fund bucket 0.2032 > 0.2000
Fills and costs: 2 fills cost 25.00 USD (5.0 bps of 50,000): fees 4.00, taxes 1.00
Best and worst: KO +300; AAPL -9,000, MSFT -1,300 USD
Limits that bound:
  the target: volatility
  RC-42 WARN ex-ante volatility: 8.12 % of 9.02 %; above the warning value
Breaches: RC-31 AAPL: open since 2018-12-12, session 3 of 5: 5.20 % of NAV
Halts: ann: resume: data are back
Data incidents:
  quarantine: no spike: NRD: 12 robust deviations
  3 alerts, 1 of them not acknowledged
Language models: No language model is asked.
What changed:
  new in the book: MSFT
  no longer held: AAPL
  rung of the drawdown ladder: NORMAL -> SCALED
  mandate_sha256: 11 -> 22
What comes next: session 2018-12-18 decides at 2018-12-18T22:45:00Z and rebalances
What is not known: fills of the newest orders become known in the next session at the earliest
Look further:
  `marketbot report --session 2018-12-17`, `marketbot status`, `marketbot explain ORDER`, `marketbot verify`
  ledger: 1234 entries, root {ROOT}"""
GOLDEN_WEEK = f"""\
marketbot weekly digest, week 2018-W51
NAV 999,900 USD, -100 USD (-0.01 %) in 2 sessions; 5.95 % below its high; rung SCALED
Best session 2018-12-18 +9,900 USD (+1.00 %), worst 2018-12-17 -10,000 USD (-1.00 %)
Sessions:
  2018-12-17 APPROVED, sent: NAV 990,000, -10,000 USD (-1.00 %), 2 of 2 orders, 2 fills
  2018-12-18 REJECTED, rejected: NAV 999,900, +9,900 USD (+1.00 %), 0 of 1 orders, 0 fills
Orders:
  2 of 3 planned orders approved
  most often: AAPL 1, KO 1
Fills and costs: 2 fills cost 25.00 USD (5.0 bps of 50,000): fees 4.00, taxes 1.00
Best and worst: KO +700, AAPL +500; MSFT -1,300 USD
Limits that bound:
  the target: volatility (2 sessions)
  RC-42 WARN ex-ante volatility: 2 of 2 sessions
Breaches: cured: RC-31 AAPL: open since 2018-12-12: 4.90 % of NAV
Halts: none
Data incidents: 2018-12-17: quarantine: no spike: NRD: 12 robust deviations
Language models: No language model is asked.
What changed:
  new in the book: MSFT
  no longer held: AAPL
  rung of the drawdown ladder: NORMAL -> SCALED
  mandate_sha256: 11 -> 22
What comes next: session 2018-12-18 decides at 2018-12-18T22:45:00Z and rebalances
What is not known: fills of the newest orders become known in the next session at the earliest
Look further:
  `marketbot report --session 2018-12-18`, `marketbot status`, `marketbot explain ORDER`, `marketbot verify`
  ledger: 1234 entries, root {ROOT}"""


@pytest.mark.parametrize(("facts", "golden"), [(DAY, GOLDEN_DAY), (WEEK, GOLDEN_WEEK)], ids=["day", "week"])
def test_the_text_says_what_a_hand_wrote(facts: DigestFacts, golden: str) -> None:
    """P&L of the week: 999,900 - 1,000,000; cost 25 of 50,000 = 5 bps; MSFT bought, AAPL sold out."""
    assert as_text(build_digest(facts)) == golden


@pytest.mark.parametrize(
    ("facts", "title"),
    [
        (DAY, "[marketbot] 2018-12-17: NAV 990,000 USD, -1.00 %"),
        (WEEK, "[marketbot] 2018-W51: NAV 999,900 USD, -0.01 %, REJECTED"),
        (replace(DAY, paper=True), "[marketbot PAPER] 2018-12-17: NAV 990,000 USD, -1.00 %"),
        (replace(DAY, live=False, paper=True), "[marketbot REPLAY] 2018-12-17: NAV 990,000 USD, -1.00 %"),
        (
            replace(DAY, days=(replace(MONDAY, synthetic=True, state="halted"),)),
            "[marketbot SIMULATED] 2018-12-17: NAV 990,000 USD, -1.00 %, HALTED",
        ),
        (replace(DAY, days=(Day("2018-12-17", "skipped"),)), "[marketbot] 2018-12-17: NAV not known, SKIPPED"),
    ],
    ids=["day", "week", "paper", "replay", "simulated", "nothing"],
)
def test_the_subject_marks_what_is_no_real_money(facts: DigestFacts, title: str) -> None:
    assert build_digest(facts).title == title


def test_the_first_line_says_what_is_simulated_or_not_known() -> None:
    """One simulated session of a week is enough; what nobody stored is not taken for real."""
    simulated = build_digest(replace(WEEK, days=(MONDAY, replace(TUESDAY, synthetic=True)), live=False))
    first = as_text(simulated).splitlines()[0]
    assert first.startswith("SIMULATED DATA: a demonstration")
    assert "REPLAY" in first
    unsure = build_digest(replace(DAY, days=(replace(MONDAY, synthetic=None),)))
    assert as_text(unsure).splitlines()[0] == "It is not known whether these data are simulated."
    assert "SIMULATED DATA" in as_html(simulated, plots=False)
    assert "SIMULATED DATA" in str(as_slack(simulated)[1])


def test_what_is_not_known_is_said_and_never_a_number() -> None:
    """A session of which nothing is stored; in a week its profit and cost make those of the week unknown."""
    nothing = day_of(Known("2018-12-18", "failed", "MemoryError", {}), {})
    told = as_text(build_digest(replace(DAY, days=(nothing,), before=None)))
    assert "NAV not known, profit and loss not known on the session; distance to its high not known" in told
    assert "0 fills cost n/a USD: fees n/a, taxes n/a" in told
    assert "session 2018-12-18 has no report: profit, and whether data are simulated, are not known" in told
    assert "not stored: attribution, book_state" in told
    week = as_text(build_digest(replace(WEEK, days=(MONDAY, nothing))))
    assert "NAV not known, profit and loss not known in 2 sessions" in week
    assert "2 fills cost n/a USD" in week
    assert as_json(build_digest(replace(DAY, days=(nothing,))))["days"][0]["pnl"] is None  # type: ignore[index]


def rows_world() -> dict[str, list[Row]]:
    """The tables of the report's small world as rows."""
    facts = report_world.example()
    names = ("instruments", "positions", "target_explanation", "order_plan", "risk_verdict", "orders", "submissions",
             "fills", "execution_costs", "attribution", "data_quality", "llm_context")  # fmt: skip
    frames: Mapping[str, pd.DataFrame] = {name: getattr(facts, name) for name in names}
    return {name: rows_of(frame) for name, frame in frames.items()}


def test_a_session_from_its_rows() -> None:
    """By hand from the world's tables: 8 planned, RHNA dropped, USMV made smaller; three fills of 1.44 each in USD, USD, EUR."""
    day = day_of(
        Known("2018-12-14", "sent", "7 orders", {"nav": 960_000.0, "pnl": 10.0, "synthetic": True}), rows_world()
    )
    assert (day.nav, day.pnl, day.synthetic, day.verdict) == (960_000.0, 10.0, True, "APPROVED")
    assert (len(day.orders), day.approved, day.fills) == (8, 7, 3)
    assert day.fee == pytest.approx(1.44 + 1.44 + 1.44 * 1.1303)
    assert day.filled_value == pytest.approx(210 * 49.16 + 120 * 76.11 + 64 * 61.28 * 1.1303)
    assert [order.side for order in day.orders[:3]] == ["SELL"] * 3
    usmv = next(order for order in day.orders if order.name == "USMV")
    assert (usmv.quantity, usmv.approved, usmv.reason) == (213.0, 130.0, "RC-34 fund bucket 0.2032 > 0.2000")
    assert next(order for order in day.orders if order.side == "BUY" and order.name == "FX GBP").approved == 5430.0
    assert len(day.held) == 23
    assert "GE" not in day.held
    assert any(
        text.startswith("RC-42 WARN ex-ante volatility (upper): 8.12\u00a0% of 9.02\u00a0%") for text in day.warned
    )
    assert not any(
        "MB" in text for text in (*day.warned, *day.bound, *day.data) if re.search(r"\bMB[A-Z2-7]{10}\b", text)
    )
    assert any("book_state" in text for text in day.unknown)


def test_one_fill_without_a_rate_makes_the_cost_unknown() -> None:
    rows = rows_world()
    rows["execution_costs"] = [*rows["execution_costs"][1:], {**rows["execution_costs"][0], "total_base": math.nan}]
    day = day_of(Known("2018-12-14", "sent", "", {}), rows)
    assert math.isnan(day.cost)
    assert "what 1 of 3 fills cost is not known" in day.unknown


HOSTILE = (
    '<script>alert(1)</script>', "<!channel> <@U123> <http://evil|ok>", "a\r\nBcc: evil@example.org", "x\u202eevil\x00",
    '"><img src=x onerror=1>', "&lt;", "`*_~" * 50, "é" * 4000,
)  # fmt: skip
TEXTS = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=20))
NUMBERS = st.one_of(st.sampled_from([math.nan, math.inf, -math.inf, 0.0]), st.integers(-(10**11), 10**11).map(float))


def told_by(kind: str, texts: list[str], numbers: list[float], flag: bool | None) -> DigestFacts:
    """Facts in which every text and every number is one of these."""
    lines, one, x, y = tuple(texts) * 12, texts[0], numbers[0], numbers[-1]
    orders = tuple(OrderLine("BUY", x, y, text, x, text) for text in lines)
    day = Day(
        session="2018-12-17", state="halted", reason=one, verdict=one, nav=x, pnl=y, drawdown=x, rung=one, cost=y, fee=x, tax=y,
        fills=3, filled_value=x, orders=orders, held=lines, movers=tuple((text, x) for text in texts if math.isfinite(x)),
        bound=lines, warned=lines, breaches=lines, cured=lines, halts=lines, data=lines, llm=one, synthetic=flag,
        versions={"model": one}, unknown=lines,
    )  # fmt: skip
    history = (("2018-12-14", x), ("2018-12-17", y), ("2018-12-18", x))
    other = replace(day, session="2018-12-18", versions={"model": one + "x"}, held=(), rung="")
    return DigestFacts(
        kind=kind, label=one, base=texts[-1], days=(day, other), before=other, live=flag is None, paper=bool(flag), head=(9, ROOT),
        actions=lines, coming=lines, history=history,
    )  # fmt: skip


class Tags(html.parser.HTMLParser):
    """Every element and attribute of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}


ELEMENTS = {"html", "head", "meta", "title", "body", "div", "p", "h1", "h2", "ul", "li", "table", "tr", "td"}
DRAWN = {"svg", "text", "line", "path", "rect", "circle"}


@settings(max_examples=10, deadline=None)
@given(
    st.sampled_from([DAILY, WEEKLY]),
    st.lists(TEXTS, min_size=1, max_size=4),
    st.lists(NUMBERS, min_size=1, max_size=2),
    st.sampled_from([True, False, None]),
)
@example(DAILY, list(HOSTILE), [1.0, -1.0], True)
@example(WEEKLY, list(HOSTILE), [math.nan, math.inf], None)
@example(WEEKLY, ["NAV before of zero"], [0.0], None)
def test_every_form_is_safe_and_bounded_whatever_it_is_told(
    kind: str, texts: list[str], numbers: list[float], flag: bool | None
) -> None:
    """No element, mention or header of a stranger; forty lines, fifty blocks, a mail that is not cut; the same words twice."""
    facts = told_by(kind, texts, numbers, flag)
    digest = build_digest(facts)
    text = as_text(digest)
    assert text == as_text(build_digest(facts))
    assert len(text.splitlines()) <= 40
    assert max(map(len, text.splitlines())) <= 160
    assert all(c.isprintable() or c == "\n" for c in text)
    assert max(map(len, mailed(digest).splitlines())) <= 998
    page, shown = as_html(digest, plots=False), Tags(as_html(digest, plots=True))
    assert Tags(page).names <= ELEMENTS
    assert Tags(page).attributes <= {"lang", "charset", "style", "cellspacing", "cellpadding"}
    assert shown.names <= ELEMENTS | DRAWN
    assert not any(name.startswith("on") or name in ("src", "href") for name in shown.attributes)
    assert len(page.encode()) <= HTML_BYTES_MAX
    blocks = as_slack(digest)
    assert len(blocks) <= 50
    for block in blocks:
        told = block["text"]
        assert isinstance(told, dict)
        assert 0 < len(told["text"]) <= (150 if block["type"] == "header" else 3000)
        assert not re.search(r"[<>]|&(?!amp;|lt;|gt;)", told["text"])
        assert told.get("verbatim", True) is True


def test_plots_fit_a_narrow_window() -> None:
    """The charts are 640 pixels wide; a telephone has 400."""
    page = as_html(build_digest(DAY), plots=True)
    assert page.count("<svg ") == page.count('<svg style="max-width:100%;height:auto" ') == 2


def mailed(digest: Digest) -> bytes:
    """The mail as the transport makes it, without its envelope."""
    message = Message(digest.title, as_text(digest), "name", as_html(digest, plots=False))
    return with_content(EmailMessage(), message).as_bytes()


def many(n: int) -> DigestFacts:
    """A session in which every one of so many names is traded, warned about, in breach and in quarantine."""
    names = [f"NAME{k:03d} XNYS" for k in range(n)]
    orders = tuple(
        OrderLine("BUY", 10.0, 10.0, name, 1e4, f"RC-42 volatility lowers it to {k} %") for k, name in enumerate(names)
    )
    lines = tuple(f"RC-30 WARN position cap ({name}): 5.10 % of 5.00 %; passive" for name in names)
    day = replace(
        MONDAY, orders=orders, approved=n, held=tuple(names), warned=lines, breaches=lines, data=lines, unknown=lines
    )
    return replace(DAY, days=(day,))


@pytest.mark.parametrize("kind", [DAILY, WEEKLY])
def test_it_stays_small_with_482_names(kind: str) -> None:
    """40 lines, a mail below 40 kB, fewer than 50 blocks; what is left out is counted."""
    facts = many(482)
    digest = build_digest(replace(facts, kind=kind, days=facts.days * 5 if kind == WEEKLY else facts.days))
    text = as_text(digest)
    assert len(text.splitlines()) == 40
    assert "more not shown)" in text
    assert "Look further:" in text
    assert len(mailed(digest)) < 40_000
    assert len(as_slack(digest)) < 30
    assert "458 more" in as_html(digest, plots=False)  # 24 of 482 warned, data and breach lines are kept


def test_links_by_command_and_by_address() -> None:
    """Without an address there is no link; with one, the pages of `marketbot serve`."""
    assert "https://" not in as_text(build_digest(DAY))
    told = as_text(build_digest(replace(DAY, address="https://bot.example.org")))
    assert "  pages: https://bot.example.org/reports/2018-12-17, https://bot.example.org/limits" in told.splitlines()
