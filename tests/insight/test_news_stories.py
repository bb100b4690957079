"""Headlines of one story count once and keep every publisher; the first known stays."""

import datetime as dt
import random

import pandas as pd
import pytest

from marketbot_assets.insight.heuristic import headline_views
from marketbot_assets.insight.stories import EXACT, NEARLY, nearly_same, rules_of, stories_of, told_of, words_of

NOON = dt.datetime(2020, 3, 2, 12, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
Row = tuple[int, str, str, str, str]  # hours after noon, id, instrument, text, publisher


def news(*rows: Row) -> pd.DataFrame:
    """NEWS rows."""
    return pd.DataFrame(
        [
            {
                "headline_id": key,
                "instrument": name,
                "headline": text,
                "publisher": publisher,
                "published_at": NOON + dt.timedelta(hours=hours),
                "known_at": NOON + dt.timedelta(hours=hours),
                "synthetic": False,
            }
            for hours, key, name, text, publisher in rows
        ]
    )


def told(*rows: Row, until: dt.datetime = NOON + 5 * DAY) -> list[tuple[list[str], list[str], list[str], str]]:
    """(ids, instruments, publishers, text) of each story of the last five days."""
    found = stories_of(told_of(news(*rows), until - 5 * DAY, until))
    return [(s.ids, sorted(s.instruments), sorted(s.publishers), s.first.text) for s in found]


SAME = {
    "case and marks": ("Acme beats!", "ACME Beats", True),
    "an update's mark": ("UPDATE: Acme beats in Q3", "Acme beats in Q3", True),
    "a numbered update": ("BRIEF-Acme beats in Q3", "Acme beats in Q3", True),
    "words added": ("Bank Lowers Target On Acme To $20", "Bank Lynch Lowers Target on Acme to $20", True),
    "other figures": ("Acme sees EPS of $5.40 in the year", "Acme sees EPS of $5.50 in the year", False),
    "a figure added": ("Acme sees EPS of $5.40 in year", "Acme sees EPS of $5.40 in year 2", False),
    "opposites": ("Bank raises target on Acme to $20", "Bank cuts target on Acme to $20", False),
    "a direction added": ("Acme reports results of the second quarter", "Acme reports weak results of the second quarter", False),
    "another name": ("Acme earnings preview: what analysts expect", "Apex earnings preview: what analysts expect", False),
    "another weekday": ("Stocks moving in Monday's session today", "Stocks moving in Tuesday's session today", False),
    "a quarter of the words new": ("one two three", "one two three four", True),
    "more than a quarter new": ("one two three", "one two three four five", False),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(SAME))
@pytest.mark.parametrize("turned", [False, True])
def test_which_texts_are_one_story(name: str, turned: bool) -> None:
    """Each case, in both orders of becoming known."""
    one, other, joined = SAME[name]
    first, second = (other, one) if turned else (one, other)
    found = told((1, "a", "I1", first, "P"), (2, "b", "I1", second, "Q"))
    assert [story[3] for story in found] == ([first] if joined else [first, second])
    if joined:
        assert found[0][:3] == (["a", "b"], ["I1"], ["P", "Q"])


def test_a_copied_text_joins_instruments_but_a_near_one_does_not() -> None:
    """Equal texts are one story wherever they are linked; nearly equal ones only about one instrument."""
    texts = ("Acme to merge with Apex", "Acme to merge with Apex soon")
    assert told((1, "a", "I1", texts[0], ""), (2, "b", "I2", texts[0], ""))[0][:2] == (["a", "b"], ["I1", "I2"])
    assert len(told((1, "a", "I1", texts[0], ""), (2, "b", "I2", texts[1], ""))) == 2


def test_what_was_known_before_the_window_is_no_news() -> None:
    """The same entry served again is as old as it first was; at the window's edges: after its start, up to its end."""
    rows = (
        (-1, "a", "I1", "old", "P"),
        (30, "a", "I1", "old", "P"),
        (0, "b", "I1", "edge", "P"),
        (120, "c", "I1", "end", "P"),
    )
    assert [story[0] for story in told(*rows)] == [["c"]]
    assert [
        story[0] for story in told((1, "a", "I1", "x", "P"), (2, "a", "I1", "y", "Q"), (121, "z", "I1", "late", "P"))
    ] == [["a"]]


def test_the_order_of_rows_changes_nothing() -> None:
    """Shuffled rows give the same stories."""
    rows = [(n % 7, f"k{n}", f"I{n % 3}", f"Acme beats view {n % 5}", f"P{n % 2}") for n in range(40)]
    expected = told(*rows)
    draw = random.Random(5)
    for _ in range(20):
        draw.shuffle(rows)
        assert told(*rows) == expected


def test_rules_say_what_joined() -> None:
    """One joined by equal words, one by nearly equal ones."""
    rows = news(
        (1, "a", "I1", "Acme names head of finance", "P"),
        (2, "b", "I1", "ACME names head of finance", "P"),
        (3, "c", "I1", "Acme names new head of finance", "P"),
    )
    assert rules_of(told_of(rows, NOON, NOON + DAY)) == [EXACT, NEARLY]


def test_a_story_is_counted_once_by_the_rules() -> None:
    """Ten copies of a good headline weigh as one, so a flood of copies moves no sentiment."""
    one = headline_views(news((1, "a", "I1", "Acme beats", "P")), NOON + DAY)
    copies = [(1 + n, f"k{n}", "I1", "Acme beats!", f"P{n}") for n in range(10)]
    many = headline_views(news(*copies), NOON + DAY)
    assert [row[:4] for row in one] == [row[:4] for row in many]
    assert one[0][2] > 0


def test_words_and_empty_texts() -> None:
    """Figures stay whole, marks go, and an empty text is like no other."""
    assert words_of("UPDATE 2: Aaron\u2019s Q4 EPS $0.43 vs. $1,519.25M") == (
        "aaron's",
        "q4",
        "eps",
        "0.43",
        "vs",
        "1,519.25m",
    )
    assert not nearly_same((), ())
