"""The page of `data_quality`: rule against subject, worst first, bounded to what is readable; counts of the sessions before."""

import base64
import datetime as dt
import re
import xml.etree.ElementTree as ET

import pandas as pd

from marketbot_assets import pages
from marketbot_assets.audit.charts import HEAT, heat_map
from marketbot_assets.normalization.rules import RULES

INSTRUMENTS = pd.DataFrame(
    {"instrument": [f"MB{n:02d}" for n in range(80)], "mic": "XNYS", "ticker": [f"T{n:02d}" for n in range(80)]}
)
SESSION = dt.date(2018, 12, 14)


def findings(bad: dict[tuple[str, str], str]) -> pd.DataFrame:
    """Every rule on 80 names, passed but for those given."""
    keys = [(rule, name) for rule in RULES for name in INSTRUMENTS["instrument"]]
    frame = pd.DataFrame(keys, columns=["rule", "subject"])
    frame["outcome"] = [bad.get(key, "pass") for key in keys]
    return frame.assign(message="", observed=0.0, limit=0.0)


def drawn(shown: object) -> ET.Element:
    text = re.search(r"base64,([A-Za-z0-9+/=]+)", str(getattr(shown, "value", shown)))
    assert text is not None
    return ET.fromstring(base64.b64decode(text.group(1)))


def told(svg: ET.Element) -> list[str]:
    return [str(element.text) for element in svg.iter("{http://www.w3.org/2000/svg}title")]


def test_the_worst_subjects_stand_first_and_the_rest_is_counted() -> None:
    """One halt, one quarantine and two warnings among 80 names: these four lead, 30 are drawn, 50 are told of."""
    bad = {
        ("keys_are_unique", "MB50"): "halt",
        ("closes_move_plausibly", "MB60"): "quarantine",
        ("volumes_are_present", "MB70"): "warn",
        ("closes_are_not_stale", "MB70"): "warn",
    }
    shown = pages.outcomes(findings(bad), [], SESSION, INSTRUMENTS)
    svg = drawn(shown["rule x subject"])
    assert told(svg) == [
        "keys_are_unique, XNYS:T50: halt",
        "closes_move_plausibly, XNYS:T60: quarantine",
        "closes_are_not_stale, XNYS:T70: warn",
        "volumes_are_present, XNYS:T70: warn",
    ]
    names = [str(element.text) for element in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert [name for name in names if name.startswith("XNYS")] == [f"XNYS:T{n:02d}" for n in (50, 60, 70, *range(27))]
    assert {*RULES} <= set(names)
    assert len(str(getattr(shown["rule x subject"], "value", ""))) < 20_000
    assert "50 more subjects not shown" in str(svg.attrib["aria-label"])
    assert [shown[f"{name} count"] for name in ("warn", "quarantine", "halt")] == [2, 1, 1]
    assert "XNYS:T60" in str(getattr(shown["findings"], "value", ""))


def test_the_history_draws_one_line_per_bad_outcome() -> None:
    """Counts of three sessions, the newest last."""
    before = [(SESSION - dt.timedelta(days=n), findings({})) for n in (2, 1)]
    now = findings({("closes_move_plausibly", "MB03"): "quarantine"})
    svg = drawn(pages.outcomes(now, before, SESSION, INSTRUMENTS)["history"])
    texts = [str(element.text) for element in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert {"warn", "quarantine", "halt", "2018-12-14", "2018-12-12"} <= set(texts)
    assert len(list(svg.iter("{http://www.w3.org/2000/svg}path"))) == 3


def test_a_table_without_findings_draws_nothing() -> None:
    """The first session of an empty world."""
    shown = pages.outcomes(findings({}).iloc[:0], [], SESSION, INSTRUMENTS)
    assert told(drawn(shown["rule x subject"])) == []


def test_a_heat_map_is_text_that_cannot_break_out() -> None:
    """Names from outside are escaped; a bad cell has the colour of its level; the same input gives the same bytes."""
    rows = [("<rule>", [1, 2]), ("other", [3, 4])]
    levels = ["not judged", "pass", "warn", "quarantine", "halt"]
    text = heat_map("title", rows, ["a&b", '"c"'], levels)
    svg = ET.fromstring(text)
    boxes = [box for box in svg.iter("{http://www.w3.org/2000/svg}rect") if len(box)]
    assert [box.attrib["fill"] for box in boxes] == [HEAT[level] for level in (2, 3, 4)]
    assert told(svg) == ['<rule>, "c": warn', "other, a&b: quarantine", 'other, "c": halt']
    assert text == heat_map("title", rows, ["a&b", '"c"'], levels)
