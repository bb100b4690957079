"""`blast-radius`: what used an object or a row, against a naive walk over the manifests on the disk."""

import json
import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from views_world import (
    BODY,
    FIRST,
    LAST,
    Command,
    intents,
    manifests,
    naive_dependents,
    one_line,
    query,
    table,
)

from marketbot_assets.commands.blast_radius import group_of
from marketbot_assets.definitions import defs
from marketbot_assets.execution.schema import ORDERS
from marketbot_assets.normalization.schema import FX, PRICES
from marketbot_resources.store.dependents import dependents
from marketbot_resources.store.index import Origin, Read, read_of
from marketbot_resources.store.lake import Lake
from marketbot_resources.store.table import Table

pytestmark = pytest.mark.graph


def in_groups(view: dict[str, Any]) -> set[str]:
    return {row["manifest_sha256"] for rows in view["groups"].values() for row in rows}


def newest(home: Path, asset: str, part: str) -> tuple[str, ...]:
    """(file, content, manifest) hash of the newest version, asked of the index file."""
    (row,) = query(
        home / "index.sqlite",
        "select file_sha256, content_sha256, manifest_sha256 from lake_index "
        f"where asset = '{asset}' and part = '{part}' order by seq desc limit 1",
    )
    return tuple(row)


def final_state(home: Path, order: str) -> str:
    rows = query(
        home / "ledger.sqlite",
        f"select json_extract({BODY}, '$.state') from entry "
        f"where (kind = 'order_final' and key = '{order}') or (kind = 'order_event' and key like '{order}/%') "
        "order by kind = 'order_final' desc, seq desc limit 1",
    )
    return str(rows[0][0])


@pytest.mark.parametrize(
    ("asset", "part"),
    [("raw_prices", FIRST), ("price_history", "static"), ("mandate", "static"), ("features", LAST), ("orders", FIRST)],
)
def test_it_finds_what_the_manifests_say(finished: Path, marketbot: Command, asset: str, part: str) -> None:
    """By place and by any of its hashes, beginning with 8 digits: exactly the objects of the naive walk, each in one group."""
    file, content, manifest = newest(finished, asset, part)
    same = [m for m, body in manifests(finished).items() if file == body["file_sha256"]]
    for text, starts in (
        (f"{asset}/{part}", [manifest]),
        (manifest[:8], [manifest]),
        (file, same),
        (content[:12], same),
    ):
        said = marketbot(finished, "blast-radius", text, "--json")
        view = said.json
        assert said.code == 0
        assert in_groups(view) == naive_dependents(finished, starts)
        assert view["used_by"] == len(in_groups(view)) == sum(map(len, view["groups"].values()))
        assert "upper bound" in view["bound"]
    known = group_of()
    for group, rows in view["groups"].items():
        assert {known[row["asset"]] for row in rows} <= {group}


def test_a_body_as_received_is_a_start(finished: Path, marketbot: Command) -> None:
    """The bytes of a provider: the raw table that names them and everything behind it."""
    (blob,) = next(
        m["blobs"] for m in manifests(finished).values() if (m["asset"], m["partition"]) == ("raw_fx", FIRST)
    )
    view = marketbot(finished, "blast-radius", blob[:16], "--json").json
    assert in_groups(view) == naive_dependents(finished, [blob])
    assert [row["asset"] for row in view["groups"]["data"]][:2] == ["raw_fx", "fx"]
    assert view["start"]["bodies"][0]["received"][0]["asset"] == "raw_fx"


def test_objects_stand_as_the_graph_makes_them(finished: Path, marketbot: Command) -> None:
    """By session, and after everything that they were made from."""
    _, _, manifest = newest(finished, "raw_prices", FIRST)
    found = dependents(Lake(finished), [manifest])
    names, every = [row.manifest_sha256 for row in found], manifests(finished)
    assert [row.part for row in found] == sorted(row.part for row in found)
    for place, name in enumerate(names):
        inputs = {item["manifest_sha256"] for item in every[name]["inputs"]}
        assert inputs.isdisjoint(names[place:])


def test_orders_with_state_fills_and_money(finished: Path, marketbot: Command) -> None:
    """Every order of both sessions used the first session's prices; states, fills and profit are those of the files.

    What the broker filled of the last session's orders no session knows yet.
    """
    view = marketbot(finished, "blast-radius", f"raw_prices/{FIRST}", "--json").json
    expected = {order["client_order_id"] for session in (FIRST, LAST) for kind in ("EQUITY", "FX")
                for order in intents(finished, kind, session)}  # fmt: skip
    assert {order["client_order_id"] for order in view["orders"]} == expected
    assert expected
    executions = [json.loads(row[0]) for row in query(finished / "broker.sqlite", "select body from executions")]
    for order in view["orders"]:
        name = order["client_order_id"]
        own = [body for body in executions if body["client_order_id"] == name and order["session"] == FIRST]
        assert order["frozen"]
        assert order["state"] == final_state(finished, name)
        assert [(f["execution_id"], Decimal(f["price"])) for f in order["fills"]] == [
            (body["execution_id"], Decimal(body["price"])) for body in own
        ]
    told = table(finished, "attribution", LAST)
    told = told[told["dimension"] == "INSTRUMENT"].set_index("name")["total"]
    traded = {order["instrument"] for kind in ("EQUITY", "FX") for order in intents(finished, kind)}
    names = {name.replace("FX:", "CASH:") for name in traded}
    profit = view["profit"]
    since_first = {row["instrument"]: row for row in profit["by_instrument"] if row["since"] == FIRST}
    assert set(since_first) == names
    for name, row in since_first.items():
        assert row["total"] == pytest.approx(told.get(name, 0.0))
    assert profit["total"] == pytest.approx(sum(told.get(name, 0.0) for name in names))
    assert (profit["last_session"], profit["base_currency"], profit["direct"]) == (LAST, "USD", None)


def test_a_row_marks_the_orders_in_its_instrument(finished: Path, marketbot: Command) -> None:
    """A row has the reach of its object; orders in its own instrument are told apart, also for a provider's row."""
    order = intents(finished)[0]
    listed = table(finished, "instruments", FIRST).set_index("instrument").loc[order["instrument"]]
    rows = (f"prices/{FIRST}/instrument={order['instrument']}", f"raw_prices/{FIRST}/source_id={listed['source_id']}")
    for text in rows:
        view = marketbot(finished, "blast-radius", text, "--json").json
        whole = marketbot(finished, "blast-radius", text.rsplit("/", 1)[0], "--json").json
        assert in_groups(view) == in_groups(whole)
        direct = {found["client_order_id"] for found in view["orders"] if found["direct"]}
        assert order["client_order_id"] in direct
        assert direct == {o["client_order_id"] for o in view["orders"] if o["instrument"] == order["instrument"]}
        assert not any(found["direct"] for found in whole["orders"])
        own = [row["total"] for row in view["profit"]["by_instrument"] if row["instrument"] == order["instrument"]]
        assert view["profit"]["direct"] == pytest.approx(sum(own))
        assert view["start"]["instruments"] == [order["instrument"]]
    said = marketbot(finished, "blast-radius", rows[0])
    lines = said.out.splitlines()
    first = next(n for n, line in enumerate(lines) if "directly about this instrument" in line)
    second = next(n for n, line in enumerate(lines) if "only share a table with it" in line)
    assert f"{len(direct)} directly" in lines[first]
    assert second - first == 1 + len(direct)


@pytest.mark.parametrize(
    "columns", [("close",), ("volume", "mic"), ("session", "instrument"), ("synthetic", "instrument")]
)
def test_a_row_is_found_by_the_values_that_it_has(finished: Path, marketbot: Command, columns: tuple[str, ...]) -> None:
    """Numbers by value, days as dates, flags as words, several columns at once."""
    bar = table(finished, "prices", FIRST).iloc[0]
    shown = {
        "close": repr(float(bar["close"])),
        "volume": f"{bar['volume']:.1f}0",
        "synthetic": str(bar["synthetic"]).lower(),
    }
    cells = ",".join(f"{column}={shown.get(column, bar[column])}" for column in columns)
    view = marketbot(finished, "blast-radius", f"prices/{FIRST}/{cells}", "--json").json
    assert [row["instrument"] for row in view["start"]["rows"]] == [bar["instrument"]]


def test_a_rate_is_about_orders_in_its_currency(finished: Path, marketbot: Command) -> None:
    """A row of a currency: the leg in it, and orders of listings in it."""
    leg = intents(finished, "FX")[0]
    view = marketbot(finished, "blast-radius", f"fx/{FIRST}/currency={leg['currency']}", "--json").json
    direct = {order["client_order_id"] for order in view["orders"] if order["direct"]}
    assert leg["client_order_id"] in direct
    assert direct == {o["client_order_id"] for o in view["orders"] if o["currency"] == leg["currency"]}


def restate(home: Path, schema: Table, part: str, reads: list[Read], run: str) -> Read:
    """Another version of a stored table, made from given reads."""
    lake = Lake(home)
    row = lake.index.newest(schema.asset, part)
    assert row is not None
    return read_of(lake.commit(lake.load(row), schema, part, reads=reads, blobs=[], origin=Origin(run, run, "", {})))


def test_superseded_versions_count(home: Path, marketbot: Command) -> None:
    """What an old version was used for is told with the old one, what a new one was used for with the new one."""
    lake = Lake(home)
    old, raw = newest(home, "prices", FIRST)[2], lake.index.newest("raw_fx", FIRST)
    assert raw is not None
    new = restate(home, PRICES, FIRST, [read_of(raw)], "again")
    rate = restate(home, FX, LAST, [new], "again")
    later = restate(home, FX, LAST, [], "once more")
    view = marketbot(home, "blast-radius", old, "--json").json
    assert in_groups(view) == naive_dependents(home, [old])
    assert len(view["orders"]) > 0
    view = marketbot(home, "blast-radius", f"prices/{FIRST}", "--json").json
    assert in_groups(view) == naive_dependents(home, [new.manifest_sha256]) == {rate.manifest_sha256}
    assert view["groups"]["data"][0]["superseded"]
    assert view["orders"] == []
    view = marketbot(home, "blast-radius", f"raw_fx/{FIRST}", "--json").json
    assert {new.manifest_sha256, rate.manifest_sha256} <= in_groups(view)
    assert later.manifest_sha256 not in in_groups(view)


def test_a_batch_that_was_not_frozen_is_no_order(home: Path, marketbot: Command) -> None:
    """A later version of a session's orders is evidence: its orders are shown as not frozen and earn nothing."""
    lake = Lake(home)
    row, start = lake.index.newest("orders", FIRST), lake.index.newest("raw_news", LAST)
    assert row is not None
    assert start is not None
    changed = lake.load(row).assign(quantity=[quantity + 1 for quantity in lake.load(row)["quantity"]])
    lake.commit(changed, ORDERS, FIRST, reads=[read_of(start)], blobs=[], origin=Origin("late", "late", "", {}))
    view = marketbot(home, "blast-radius", f"raw_news/{LAST}", "--json").json
    late = [order for order in view["orders"] if order["session"] == FIRST]
    assert len(late) == len(changed)
    assert {(order["state"], order["frozen"], len(order["fills"])) for order in late} == {("NOT FROZEN", False, 0)}
    assert all(row["since"] != FIRST for row in view["profit"]["by_instrument"])


def test_a_manifest_that_cannot_be_read_is_told(home: Path, marketbot: Command) -> None:
    """What an altered manifest used is not known: the object is named, the rest is found."""
    name = newest(home, "features", LAST)[2]
    path = home / "store" / "manifests" / "features" / LAST / f"{name}.json"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b'"features"', b'"Features"'))
    view = marketbot(home, "blast-radius", f"raw_prices/{LAST}", "--json").json
    assert [row["manifest_sha256"] for row in view["unreadable"]] == [name]
    assert "whose manifest cannot be read" in marketbot(home, "blast-radius", f"raw_prices/{LAST}").out
    assert in_groups(view)


def ambiguous(home: Path) -> str:
    """Adds a body whose hash begins as another one and returns the 8 digits that both have."""
    lake = Lake(home)
    (_, known) = lake.index.numbered_blobs()[0]
    twin = known.blob_sha256[:8] + known.blob_sha256[8:][::-1]
    lake.index.add_blobs([replace(known, blob_sha256=twin)])
    return known.blob_sha256[:8]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("deadbeefdeadbeef", "none that begins like this"),
        ("abc", "at least 8 hex digits"),
        ("prices", "at least 8 hex digits"),
        ("", "at least 8 hex digits"),
        ("prices/2018-12-25", f"expected a partition of prices ({FIRST}, {LAST}), found '2018-12-25'"),
        ("prices/static", "expected a partition of prices"),
        ("price_histories/static", "expected an asset of this home"),
        (f"prices/{FIRST}/instrument=NOBODY", "expected a row of"),
        (f"prices/{FIRST}/colour=blue", "found 'colour'"),
        (f"prices/{FIRST}/instrument", "expected column=value"),
        (f"prices/{FIRST}/close=much", "expected a row of"),
    ],
)
def test_what_names_nothing_is_one_line(finished: Path, marketbot: Command, text: str, says: str) -> None:
    """Exit 2, one line that says what was expected."""
    said = marketbot(finished, "blast-radius", text)
    assert said.code == 2
    assert one_line(said)
    assert says in said.err


def test_an_ambiguous_beginning_is_one_line(home: Path, marketbot: Command) -> None:
    """Two hashes that begin alike: exit 2, both told; one digit more decides."""
    said = marketbot(home, "blast-radius", ambiguous(home))
    assert said.code == 2
    assert one_line(said)
    assert "2 hashes begin like this" in said.err


def test_nothing_used_the_last_object(finished: Path, marketbot: Command) -> None:
    """The report of the last session: exit 0, used by nothing; the text fits 120 columns."""
    said = marketbot(finished, "blast-radius", f"daily_report/{LAST}")
    assert said.code == 0
    assert "nothing in this home" in said.out
    wide = marketbot(finished, "blast-radius", "mandate/static").out
    assert max(map(len, wide.splitlines())) <= 120
    assert re.search(r"^verdicts +risk_verdict +2 ", wide, re.MULTILINE)


def test_every_asset_has_its_group() -> None:
    """The groups follow the stages' tables, so that a new asset is never left out."""
    assets = {key.to_user_string() for key in defs.resolve_asset_graph().get_all_asset_keys()}
    assert set(group_of()) == assets
