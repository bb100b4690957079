"""Pages and report tell whose views a session has, what they rest on, what they cost and moved; strangers' text stays text."""

import base64
import math
import re
from collections.abc import Mapping
from dataclasses import replace

import llm_world as world
import pandas as pd
import pytest
from report_world import IDS, example, instruments, target, the_mandate
from test_markdown_text import ACTIVE, BARE, tokens
from test_report import Page

from marketbot_assets import llm_pages
from marketbot_assets.audit.llm_numbers import CONTAMINATED, NOT_ASKED
from marketbot_assets.audit.report import SECTIONS, build_report, summary
from marketbot_assets.audit.report_llm import llm_section
from marketbot_assets.insight.context import BEFORE_CUTOFF
from marketbot_resources.mandate import Mandate

LISTED = instruments()
QUIET = the_mandate()


def told(shows: Mapping[str, object], name: str) -> str:
    return str(getattr(shows[name], "value", shows[name]))


def svg(text: str) -> str:
    """The picture inside Markdown."""
    found = re.fullmatch(r"!\[plot\]\(data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)\)", text)
    assert found
    return base64.b64decode(found.group(1)).decode()


def test_pack_page_counts_items_and_quotes_headlines() -> None:
    """Items per kind, each headline with id, time, ticker and publisher."""
    shows = llm_pages.pack(world.pack(), None, LISTED, world.mandate())
    counts = {name: shows[name] for name in ("facts", "macro releases", "headlines", "subjects")}
    assert counts == {"facts": 1, "macro releases": 1, "headlines": 2, "subjects": 1}
    assert "| H1 | 2018-12-14 20:30 | AAPL | `Apple wins record order` | Wire |" in told(shows, "newest headlines")
    assert told(shows, "prompt since the session before") == "the first prompt of this home"
    empty = llm_pages.pack(world.pack().iloc[:0], None, LISTED, QUIET)
    assert told(empty, "newest headlines") == "no headline is in the pack"


@pytest.mark.parametrize(
    ("diff", "expected"),
    [
        ("", ""),
        ("--- a\n+++ b\n@@ 1\n-1\n-2\n+3\n+4", "--- a\n+++ b\n@@ 1\n-1\n+3\n-2\n+4"),
        (
            "--- a\n+++ b\n@@ 1\n-1\n-2\n+3\n@@ 2\n+5\n+6\n@@ 3\n-7",
            "--- a\n+++ b\n@@ 1\n-1\n-2\n+3\n@@ 2\n+5\n+6\n@@ 3\n-7",
        ),
        (
            "--- a\n+++ b\n@@ 1\n-1\n+2\n-3\n-4\n+5\n+6\n... 9 more lines",
            "--- a\n+++ b\n@@ 1\n-1\n+2\n-3\n+5\n-4\n+6\n... 9 more lines",
        ),
    ],
    ids=["empty", "pairs", "unequal", "no context between"],
)
def test_a_changed_line_stands_under_the_old_one(diff: str, expected: str) -> None:
    """So a page that is cut shows what became of a line; no line is lost or shown twice."""
    assert llm_pages._paired(diff) == expected


def test_pack_page_shows_what_is_new_in_the_prompt() -> None:
    """A headline that is new stands first in the diff, before facts that change every day; no model, no prompt."""
    before = world.pack()
    now = before.assign(
        text=before["text"].replace({"return 21d -3.1%": "return 21d -4.2%", world.HEADLINE: "Apple warns"})
    )
    diff = told(llm_pages.pack(now, before, LISTED, world.mandate()), "prompt since the session before")
    assert diff.startswith("```")
    new, old, fact = (diff.index(text) for text in ("Apple warns", world.HEADLINE, "return 21d -4.2%"))
    assert max(new, old) < fact
    assert "20.65" not in diff, "what is as before is not shown"
    same = llm_pages.pack(before, before, LISTED, world.mandate())
    assert told(same, "prompt since the session before") == "the prompt is that of the session before"
    long = before.assign(text=[f"{text} {'x' * 9000}" for text in before["text"]])
    assert len(told(llm_pages.pack(long, before, LISTED, world.mandate()), "prompt since the session before")) < 12_200
    assert llm_pages.pack(now, before, LISTED, QUIET)["prompt"] == NOT_ASKED
    assert "prompt since the session before" not in llm_pages.pack(now, before, LISTED, QUIET)


def test_answers_page_counts_tries_and_cost() -> None:
    """One failed, one refused, its repair accepted: 3,200 tokens and 0.0042 of 0.5 US dollars; plain numbers for plots."""
    shows = llm_pages.answers(world.answers(), world.mandate())
    numbers = {"cost_usd": 0.0042, "tokens": 3200, "accepted": 1, "refused": 1, "failed": 1, "repaired": 1}
    assert {name: shows[name] for name in numbers} == numbers
    assert shows["acceptance"] == pytest.approx(1 / 3)
    assert told(shows, "cost against the day's budget") == "0.0042 of 0.5 US dollars"
    lines = told(shows, "tries").splitlines()
    assert (
        lines[2]
        == "| 1 | openai:gpt-x pass 1 |  | FAILED | overloaded | `529 from <b>the</b> provider` | 0 + 0 | 0.0042 |"
    )
    assert lines[3].startswith("| 2 | local:tiny-1b pass 1 | tiny-1b | REFUSED | evidence | `H9 is not in the pack` |")
    assert lines[4].startswith("| 3 | local:tiny-1b pass 1, repair | tiny-1b | ACCEPTED |")


def test_answers_page_without_a_model() -> None:
    """A mandate that names no model: zeros, and one sentence."""
    shows = llm_pages.answers(world.answers().iloc[:0], QUIET)
    assert (shows["cost_usd"], shows["accepted"], told(shows, "tries")) == (0.0, 0, NOT_ASKED)
    assert "acceptance" not in shows


def test_context_page_shows_views_with_their_evidence_in_words() -> None:
    """Risk-on first, then themes, then the strongest sentiment; an id that the pack does not hold is shown as it is."""
    shows = llm_pages.context(world.context(), world.pack(), LISTED)
    lines = told(shows, "views").splitlines()
    assert lines[0] == f"Views of {world.VERSION}, accepted at the second try."
    assert lines[4] == "| risk-on | market |  | -0.30 | 0.60 | `M1 VIX: 2018-12-13: 20.65 index, change -0.81`; `X9` |"
    assert lines[5].startswith("| theme | volatility | 1 | -0.40 |")
    kept = "`H1: Apple wins record order (Wire)`; `F1 AAPL: return 21d -3.1%`"
    assert lines[6] == f"| sentiment | AAPL |  | +0.50 | 0.60 | {kept} |"
    assert lines[7].startswith("| sentiment | KO |")
    assert (shows["source"], shows["version"], shows["views by a model"]) == ("repaired", world.VERSION, 4)


def test_context_page_of_rules_resolves_ids_of_stored_rows() -> None:
    """Views of rules name macro series and headlines by their own ids: the page finds the item of the pack."""
    shows = llm_pages.context(world.by_rules("BUDGET: nothing is left"), world.pack(), LISTED)
    assert "those of the rules stand in" in told(shows, "whose views")
    assert "BUDGET: nothing is left" in told(shows, "whose views")
    row = told(shows, "views").splitlines()[4]
    assert "`M1 VIX: 2018-12-13: 20.65 index, change -0.81`" in row
    assert "H2: ![x]" in row
    assert shows["views by a model"] == 0
    assert told(llm_pages.context(world.by_rules(), world.pack(), LISTED), "whose views") == NOT_ASKED


def test_contaminated_stands_first_everywhere() -> None:
    """The mark is the first thing that page and report say of such views."""
    shows = llm_pages.context(world.context(contaminated=True), world.pack(), LISTED)
    assert told(shows, "whose views").startswith(f"**{CONTAMINATED}**")
    assert told(shows, "views").startswith(f"**{CONTAMINATED}**")
    assert shows["contaminated"] == "True"
    section = Page(llm_section(world.facts(contaminated=True))).text
    assert section.startswith(f"Language model {CONTAMINATED} Views of {world.VERSION}")
    clean = Page(build_report(world.facts())).text
    assert "CONTAMINATED" not in clean


def test_evidence_page_plots_coefficients_and_leaves_contaminated_ones_out() -> None:
    """A line per version, the contaminated 0.99 in none of them."""
    shows = llm_pages.evidence(world.evidence(), world.mandate())
    assert (shows["sessions judged"], shows["contaminated sessions"]) == (4, 1)
    lines = told(shows, "worth").splitlines()
    assert lines[2].startswith(f"| {world.VERSION} | 2 | +0.040 |")
    assert "| 0.00 | 2 judged sessions of this version that it could not know, 60 are needed |" in lines[2]
    assert lines[2].endswith("| low 40% of 20, high 80% of 10 |")
    assert lines[3].startswith("| rules-1 | 1 | +0.030 |")
    assert "| 0.00 | made by rules: shown to compare with, never weighed | low 40% of 10, high 80% of 5 |" in lines[3]
    plot = svg(told(shows, "information coefficients"))
    assert "local:tiny-1b@fp_7#view…" in plot
    assert "0.99" not in plot
    assert "no data yet" in svg(told(llm_pages.evidence(world.evidence().iloc[:0], QUIET), "information coefficients"))


def test_target_page_plots_influence_per_name() -> None:
    """+40 bp and -15 bp: 55 bp in the book, the larger bar first, caps in the title, the note in words."""
    shows = llm_pages.influence(world.moved(target()), LISTED, world.mandate())
    assert shows["llm_influence_book"] == pytest.approx(0.0055)
    assert shows["llm_influence_name"] == pytest.approx(0.0040)
    assert shows["influence of views"] == "clamped to 0.8 of the views by the cap"
    plot = svg(told(shows, "influence per name"))
    assert "at most 100 a name, 500 in the book" in plot
    texts = re.findall(r">([^<>]+)</text>", plot)
    assert texts[1:] == ["AAPL", "40", "KO", "-15"]


@pytest.mark.parametrize("value", [0.0, math.nan])
def test_target_page_without_views(value: float) -> None:
    """Nothing moved, or a target of before there were views: no plot, and zero."""
    old = target().drop(columns=["weight_without_llm", "llm_influence", "llm_note"], errors="ignore")
    new = old.assign(weight_without_llm=old["weight_target"], llm_influence=value, llm_note="")
    for frame in (old, new):
        shows = llm_pages.influence(frame, LISTED, QUIET)
        assert shows == {
            "llm_influence_book": 0.0,
            "llm_influence_name": 0.0,
            "influence of views": "views moved nothing",
        }


def hostile() -> dict[str, pd.DataFrame]:
    """Every text that comes from outside is hostile."""
    return {
        "pack": world.pack().assign(text=world.EVIL, publisher=world.EVIL),
        "answers": world.answers().assign(answered_by=world.EVIL, reason=world.EVIL, layer=world.EVIL),
        "context": world.context().assign(version=world.EVIL, reason=world.EVIL),
        "evidence": world.evidence().assign(version=world.EVIL),
    }


def test_hostile_text_renders_nothing_on_a_page() -> None:
    """Links, images, HTML and broken tables: read by another Markdown reader, none of it is there; pictures are our own."""
    evil = hostile()
    shows = {
        **llm_pages.pack(evil["pack"], world.pack(), LISTED, world.mandate()),
        **llm_pages.answers(evil["answers"], world.mandate()),
        **llm_pages.context(evil["context"], evil["pack"], LISTED),
        **llm_pages.evidence(evil["evidence"], world.mandate()),
        **llm_pages.influence(world.moved(target()).assign(llm_note=world.EVIL), LISTED, world.mandate()),
    }
    for name, value in shows.items():
        text = str(getattr(value, "value", ""))
        if text.startswith("![plot]"):
            assert not re.search(r"<(?:script|img|a|foreignObject)\b", svg(text))
            continue
        found = tokens(text)
        assert {token.type for token in found} & ACTIVE == set(), name
        assert [token.content for token in found if token.type == "text" and BARE.search(token.content)] == [], name


def test_report_section_by_hand() -> None:
    """Counts, cost, influence, views with evidence, worth and tries, and the place in the page's list."""
    text = Page(build_report(world.facts())).text
    for words in (
        f"Language model Views of {world.VERSION}, accepted at the second try.",
        "3 tries: 1 accepted (1 at the second try), 1 refused, 1 failed; 3,200 tokens, 0.0042 of 0.5 US dollars a day.",
        "Views moved 0.55\u00a0% of NAV in all; at most 5.00\u00a0% in the book, 1.00\u00a0% a name.".replace(
            "\u00a0", " "
        ),
        "Weight 0 of the tilt",
        "the gate refused 1 of 2 answers, more than 0.05 of them.",
        "clamped to 0.8 of the views by the cap.",
        "sentiment AAPL +0.50 0.60 H1: Apple wins record order (Wire) F1 AAPL: return 21d -3.1%",
        "529 from <b>the</b> provider",
    ):
        assert words in text, words
    assert ("llm", "Language model") in SECTIONS


def test_report_section_of_a_mandate_without_models_is_one_line() -> None:
    """No model is asked: title and one line."""
    assert Page(llm_section(example())).text == f"Language model {NOT_ASKED}"


def test_report_shows_the_model_books_where_there_are_some() -> None:
    """Both books of the newest session, and since when."""
    books = pd.DataFrame({"session": pd.to_datetime(["2018-12-14"]), "opened_on": pd.to_datetime(["2018-12-13"]),
                          "nav_with": [1_001_500.4], "nav_without": [1_001_200.2]})  # fmt: skip
    text = Page(llm_section(replace(world.facts(), shadow_book=books))).text
    assert "Model books since 2018-12-13, no account: with the views 1,001,500, without them 1,001,200 USD." in text


def test_report_escapes_hostile_text() -> None:
    """The section with hostile text has no element that the clean one has not."""
    evil = hostile()
    facts = world.facts()
    clean = set(Page(llm_section(facts)).tags)
    page = llm_section(
        replace(
            facts,
            context_pack=evil["pack"],
            llm_answers=evil["answers"],
            llm_context=evil["context"],
            llm_evidence=evil["evidence"],
        )
    )
    assert set(Page(page).tags) <= clean
    assert "<img" not in page
    assert "href" not in page


def test_summary_tells_source_cost_and_influence() -> None:
    """Headline numbers of the session's views."""
    numbers = summary(world.facts())
    assert (numbers["llm_source"], numbers["llm_cost_usd"]) == ("repaired", 0.0042)
    assert numbers["llm_influence_book"] == pytest.approx(0.0055)
    assert summary(example())["llm_source"] == "fallback"


@pytest.mark.parametrize(
    ("context", "mandate", "problem"),
    [
        (world.context(), world.mandate(), ""),
        (world.by_rules("LLM_BUDGET: nothing is left"), world.mandate(), "LLM_BUDGET: nothing is left"),
        (world.by_rules(), world.mandate(), "no model gave accepted views, and no reason is stored"),
        (world.by_rules().iloc[:0], world.mandate(), "no model gave accepted views, and no reason is stored"),
        (world.by_rules(), QUIET, ""),
        (world.by_rules(f"{BEFORE_CUTOFF} of openai gpt-x (2024-01-01)"), world.mandate(), ""),
    ],
    ids=["accepted", "rules with reason", "rules without", "no rows", "not asked", "not asked about this session"],
)
def test_a_model_that_is_asked_gives_views(context: pd.DataFrame, mandate: Mandate, problem: str) -> None:
    """The check's statement: passes for accepted views and where nobody is asked, else says why."""
    assert llm_pages.missing_views(context, mandate) == problem


def test_influence_ignores_cash() -> None:
    """Cash is what the names leave; it is not counted a second time."""
    frame = world.moved(target())
    frame.loc[frame["instrument"] == "CASH", "llm_influence"] = -0.0025
    assert llm_pages.influence(frame, LISTED, world.mandate())["llm_influence_book"] == pytest.approx(0.0055)
    assert IDS["AAPL"] in set(frame["instrument"])
