"""`marketbot cost`: what is counted, a month by hand, and prices that say when and by whom they were told."""

import datetime as dt
import json
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner

from marketbot_assets.cli import commands
from marketbot_assets.commands import cost
from marketbot_resources.store.index import BlobRow, Index, IndexRow
from marketbot_resources.store.lake import Lake

HASH = "{:064x}"
ROOT = Path(__file__).parents[2]


def version(n: int, asset: str, part: str, size: int) -> IndexRow:
    return IndexRow(
        asset, part, HASH.format(n), HASH.format(n), "uri", 1, size, HASH.format(0), HASH.format(0), "run", "1", "at"
    )


def body(n: int, provider: str, part: str, size: int) -> BlobRow:
    return BlobRow(HASH.format(n), provider, "url", 200, "text/csv", size, "at", "run", "raw_prices", part)


ROWS = [
    version(1, "mandate", "static", 100),
    version(2, "prices", "2018-12-20", 1_000),
    version(3, "prices", "2018-12-21", 2_000),
    version(4, "fx", "2018-12-21", 500),
    version(4, "fx", "2018-12-21", 500),  # the same bytes again: one object, two commits
]
BODIES = [
    body(10, "tiingo", "2018-12-20", 10_000),
    body(11, "tiingo", "2018-12-21", 20_000),
    body(11, "tiingo", "2018-12-21", 20_000),  # asked twice, the same answer: two requests, one object
    body(12, "ecb", "2018-12-21", 400),
]
CALLS = {"2018-12-20": (2, Decimal("0.10")), "2018-12-21": (1, Decimal("0.02"))}


def test_bytes_and_objects_are_counted_once_requests_each_time() -> None:
    """By hand: 100+1000+2000+500 bytes in four tables, 10000+20000+400 in three bodies, four requests."""
    view = cost.counted(ROWS, BODIES, CALLS, 5)
    assert view["bytes"] == {"tables": 3_600, "bodies": 30_400}
    assert view["objects"] == {"tables": 4, "bodies": 3}
    assert view["bytes_by_asset"] == {"fx": 500, "mandate": 100, "prices": 3_000}
    assert view["requests_by_provider"] == {"ecb": 1, "tiingo": 3}
    assert view["llm"] == {"calls": 3, "usd": Decimal("0.12"), "days": 2}
    assert view["sessions"] == [
        {"session": "2018-12-20", "commits": 1, "bytes": 11_000, "requests": {"tiingo": 1}, "puts": 3},
        {"session": "2018-12-21", "commits": 3, "bytes": 43_400, "requests": {"ecb": 1, "tiingo": 2}, "puts": 9},
    ]


def test_a_month_by_hand() -> None:
    """21 sessions like these two: 571200 bytes, 126 puts, 42 requests, 1.26 USD of models at two days' rate."""
    month = cost.counted(ROWS, BODIES, CALLS, 5)["month"]
    assert isinstance(month, dict)
    assert (month["bytes_added"], month["puts"], month["requests"]) == (571_200, 126, 42)
    assert month["storage_usd"] == Decimal("0.0000")  # 605200 bytes at 0.023 per GB
    assert month["puts_usd"] == Decimal("0.0006")  # 126 at 0.005 per thousand
    assert month["llm_usd"] == Decimal("1.2600")


def test_the_newest_sessions_give_the_rate_and_none_says_nothing() -> None:
    """`last` bounds what is looked at; a home without a session has no month."""
    newest = cost.counted(ROWS, BODIES, {}, 1)
    assert [one["session"] for one in newest["sessions"]] == ["2018-12-21"]  # type: ignore[attr-defined]
    assert newest["month"]["bytes_added"] == 21 * 43_400  # type: ignore[index]
    empty = cost.counted(ROWS[:1], [], {}, 5)
    assert empty["month"] == {"sessions": 21, **dict.fromkeys(cost.PER_MONTH)}
    assert any("no session yet" in line for line in cost.cost_lines({**empty, "files": {}}))


def test_every_price_has_a_date_and_a_source_or_says_that_it_has_none() -> None:
    """No price is of the future; a source is words, or the word none."""
    prices = cost.price_table()["prices"]
    assert isinstance(prices, dict)
    for name, one in prices.items():
        assert Decimal(str(one["usd"])) > 0, name
        assert dt.date(2024, 1, 1) <= one["date"] <= dt.date(2026, 12, 31), name
        assert one["source"] == "none" or len(one["source"]) > 10, name


@pytest.mark.parametrize("usd", [".nan", "-1", ".inf", "word"])
def test_a_price_that_is_no_price_is_refused(usd: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from marketbot_resources.errors import HomeError

    bad = tmp_path / "prices.yaml"
    bad.write_text(
        f"month_hours: 730\nsessions_per_month: 21\nprices:\n  x: {{usd: {usd}, date: 2026-01-01, source: someone}}\n",
        encoding="utf-8",
    )
    monkeypatch.setattr(cost, "PRICES", bad)
    cost.price_table.cache_clear()
    with pytest.raises(HomeError, match="restore the file"):
        cost.price_table()
    cost.price_table.cache_clear()


def test_the_command_reads_a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Index and ledger of a real home; the spend of models is what the ledger says."""
    monkeypatch.setenv("MARKETBOT_HOME", str(tmp_path))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    lake = Lake(tmp_path)
    assert isinstance(lake.index, Index)
    for row in ROWS:
        lake.index.add(row)
    lake.index.add_blobs(BODIES)
    for n, usd in enumerate(("0.06", "0.04"), start=1):
        lake.ledger.append("llm_call", f"{HASH.format(n)}/2018-12-20/{n}", {"cost_usd": usd})
    told = CliRunner().invoke(commands, ["cost", "--json"], standalone_mode=False)
    assert told.exception is None
    view = json.loads(told.stdout)
    assert view["bytes"] == {"tables": 3_600, "bodies": 30_400}
    assert (view["llm"]["calls"], Decimal(str(view["llm"]["usd"]))) == (2, Decimal("0.10"))
    assert view["files"]["index.sqlite"] > 0
    lines = CliRunner().invoke(commands, ["cost"], standalone_mode=False).stdout
    assert "tiingo 2" in lines
    assert "list prices" in lines


def test_the_tables_of_the_page_are_those_of_the_program() -> None:
    """docs/costs.md is what `python tools/costs.py` would write; a page without the places for tables is refused."""
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        import costs  # type: ignore[import-not-found]
    finally:
        sys.path.remove(str(ROOT / "tools"))
    text = (ROOT / "docs" / "costs.md").read_text(encoding="utf-8")
    assert costs.page(text) == text
    with pytest.raises(ValueError, match="expected the lines"):
        costs.page("# no table here")


def test_the_page_of_costs_is_what_the_prices_give() -> None:
    """docs/costs.md: the month of each variant, worked out here from the file; every price stands on the page."""
    page = (ROOT / "docs" / "costs.md").read_text(encoding="utf-8")
    hours, disk, sessions = Decimal(730), 20 * cost.price("ebs_gp3_gb_month"), Decimal(21)
    s3 = cost.price("s3_gb_month") + Decimal("2.520") * cost.price("s3_put_1000")
    rds = hours * cost.price("rds_t4g_micro_hour") + 20 * cost.price("rds_gp3_gb_month")
    a = hours * (cost.price("t3_micro_hour") + cost.price("ipv4_hour")) + disk + rds + s3
    b = hours * (cost.price("t4g_small_hour") + cost.price("ipv4_hour")) + disk + s3
    c = sessions * (cost.price("t4g_small_hour") + cost.price("ipv4_hour")) + disk + s3
    assert f"| **month** | **{a:.2f}** | **{b:.2f}** | **{c:.2f}** |" in page
    heavy = 4 * cost.price("fargate_arm_vcpu_hour") + 16 * cost.price("fargate_arm_gb_hour")
    assert f"| {heavy:.2f} | {heavy:.2f} | {heavy:.2f} |" in page
    prices = cost.price_table()["prices"]
    assert isinstance(prices, dict)
    assert [name for name, one in prices.items() if str(one["usd"]) not in page or str(one["date"]) not in page] == []
