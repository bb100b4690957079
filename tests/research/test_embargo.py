"""L1: no table's rows may claim to be known before what they describe has happened."""

import datetime as dt

import pandas as pd
import pytest

from marketbot_assets.research.embargo import RULES, known_at_respects_embargo
from marketbot_assets.research.history import NORMALIZED, Tables

SECOND = dt.timedelta(seconds=1)


def instant(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC").as_unit("us")


def day(text: str) -> pd.Timestamp:
    return pd.Timestamp(text).as_unit("us")


# Closes are the exchanges' published hours: New York 16:00 (13:00 on the day after Thanksgiving), Tokyo 15:00 in 2018.
EARLIEST = [
    ("prices", {"session": day("2018-11-21"), "instrument": "A", "mic": "XNYS"}, instant("2018-11-21 21:00")),
    ("prices", {"session": day("2018-11-23"), "instrument": "A", "mic": "XNYS"}, instant("2018-11-23 18:00")),
    ("prices", {"session": day("2018-11-21"), "instrument": "T", "mic": "XTKS"}, instant("2018-11-21 06:00")),
    ("prices", {"session": day("2018-11-22"), "instrument": "A", "mic": "XNYS"}, instant("2018-11-23 00:00")),
    ("fx", {"session": day("2018-11-21"), "currency": "EUR", "rate": 1.1}, instant("2018-11-21 00:00")),
    ("macro", {"series": "CPI", "period": day("2018-10-01"), "value": 1.0}, instant("2018-10-01 00:00")),
    ("fundamentals", {"instrument": "A", "field": "EQUITY", "period_end": day("2018-09-30")}, instant("2018-09-30")),
    (
        "news",
        {"headline_id": "1", "instrument": "A", "headline": "x", "published_at": instant("2018-11-21 10:00")},
        instant("2018-11-21 10:00"),
    ),
]


@pytest.mark.parametrize(("table", "row", "earliest"), EARLIEST)
def test_the_earliest_instant_passes_and_a_second_before_does_not(
    table: str, row: dict[str, object], earliest: pd.Timestamp
) -> None:
    """The boundary of every rule, half days and holidays included."""
    frame = pd.DataFrame([{**row, "known_at": earliest}])
    (found,) = known_at_respects_embargo({table: frame})
    assert (found.status, found.compared) == ("ok", 1)
    (found,) = known_at_respects_embargo({table: frame.assign(known_at=earliest - SECOND)})
    assert found.status == "leaks"
    assert found.raised == f"1 rows are known too early: expected {RULES[table][0]}"


def test_a_row_that_does_not_say_when_it_was_known_is_too_early() -> None:
    """Fail closed: an unknown instant respects nothing."""
    frame = pd.DataFrame([EARLIEST[0][1]]).assign(known_at=pd.to_datetime([None], utc=True))
    (found,) = known_at_respects_embargo({"prices": frame})
    assert found.status == "leaks"


def test_the_sample_world_respects_every_embargo(world: Tables) -> None:
    """Every row of the sample providers becomes known no earlier than its rule allows; no table is left out."""
    tables = {name: getattr(world, name) for name in NORMALIZED}
    found = {result.output: result for result in known_at_respects_embargo(tables)}
    assert {name: result.status for name, result in found.items()} == {
        f"{name}.known_at": "ok" for name in RULES if name != "news"
    }
    assert all(result.compared == len(tables[name.partition(".")[0]]) for name, result in found.items())
