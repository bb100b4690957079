"""The tree of evidence: it leads from an order to the bytes, names every object once in full, and marks what does not hold."""

import gzip
import hashlib
import itertools
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from views_world import BODY, FIRST, LAST, Command, flip, intents, leaf, manifests, one_line, query, table

from marketbot_assets.commands.evidence_text import WIDTH, tree_lines
from marketbot_assets.commands.evidence_tree import BODIES, DEPTH_MAX, EARLIER, MORE, OBJECT, object_nodes
from marketbot_resources.store.closure import Link
from marketbot_resources.store.index import BlobRow, IndexRow

View = dict[str, Any]
DAY, BEFORE = "2018-12-13", "2018-12-12"
WAY = ("order", "order_intent", "batch_frozen", "decision", "orders", "order_plan", "target_portfolio", "forecasts",
       "features", "prices", "raw_prices", "body")  # fmt: skip


def walk(node: View) -> Iterator[View]:
    yield node
    for child in node.get("nodes", []):
        yield from walk(child)


def below(node: View, word: str) -> View:
    (found,) = [child for child in node["nodes"] if child["name"].split()[0] == word]
    return found


def in_full(tree: View) -> list[str]:
    """Manifests of every object, those that are folded included, from the top down."""
    return [node["manifest_sha256"] for node in walk(tree) if node["kind"] == OBJECT]


@pytest.mark.graph
def test_the_tree_leads_from_the_order_to_the_bytes(finished: Path, marketbot: Command) -> None:
    """Every hop stands below the one before, and every hash is that of the bytes that lie on the disk."""
    order = intents(finished)[0]["client_order_id"]
    said = marketbot(finished, "explain", order, "--json")
    tree = said.json["tree"]
    assert (said.code, said.json["faults"], said.json["fault"], tree["name"]) == (0, 0, "", f"order {order}")
    node = tree
    for word in WAY[1:]:
        node = below(node, word)
    store, records = finished / "store", query(finished / "ledger.sqlite", "select record from entry order by seq")
    for found in walk(tree):
        if found["kind"] == OBJECT:
            path = store / found["asset"] / found["partition"] / f"{found['file_sha256']}.parquet"
            assert hashlib.sha256(path.read_bytes()).hexdigest() == found["file_sha256"]
            assert manifests(finished)[found["manifest_sha256"]]["content_sha256"] == found["content_sha256"]
        if found["kind"] == "body":
            name = found["blob_sha256"]
            body = gzip.decompress((store / "blobs" / name[:2] / f"{name}.gz").read_bytes())
            assert hashlib.sha256(body).hexdigest() == name
        if found["kind"] == "entry":
            assert leaf(bytes(records[found["entry"]][0])).hex() == found["leaf_sha256"]
    assert (node["provider"], node["fetched_at"]) == ("sample", said.json["ledger"]["cutoff_at"])


@pytest.mark.graph
@pytest.mark.parametrize("session", [FIRST, LAST])
def test_every_object_behind_the_decision_stands_once(finished: Path, marketbot: Command, session: str) -> None:
    """Exactly what the manifests on the disk lead to; objects of an earlier session are named, not followed."""
    order = intents(finished, session=session)[0]["client_order_id"]
    tree = marketbot(finished, "explain", order, "--json").json["tree"]
    every, found = manifests(finished), set[str]()
    decision = below(below(below(tree, "order_intent"), "batch_frozen"), "decision")
    waiting = [node["manifest_sha256"] for node in decision["nodes"] if node["kind"] == OBJECT]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            follow = every[name]["partition"] in (session, "static")
            waiting += [item["manifest_sha256"] for item in every[name]["inputs"]] if follow else []
    assert sorted(in_full(tree)) == sorted(found)
    names = {every[name]["asset"] for name in found}
    for asset in ("orders", "risk_verdict", "target_explanation", "stress_results", "mandate", "fx_history", "raw_fx"):
        assert asset in names
    above: set[str] = set()
    for node in walk(tree):
        above |= {node["name"].split()[0]} if node["kind"] in (OBJECT, EARLIER) else set()
        assert set(node.get("nearest", [])) <= set(node.get("again", []))
        told = {child["name"].split()[0] for child in walk(node)} | above
        assert {name.split()[0] for name in node.get("again", [])} <= told


@pytest.mark.graph
def test_the_order_finds_its_own_rows_on_the_way(finished: Path, marketbot: Command) -> None:
    """Its bar, target weight and plan are told beside their objects, with the values of the stored tables."""
    intent = intents(finished)[0]
    name, order = intent["instrument"], intent["client_order_id"]
    tree = marketbot(finished, "explain", order, "--json").json["tree"]
    rows = {node["asset"]: node.get("row", "") for node in walk(tree) if node["kind"] == OBJECT}
    bar = table(finished, "prices", FIRST).set_index("instrument").loc[name]
    assert f"close {bar['close']:.6g}" in rows["prices"]
    target = table(finished, "target_portfolio", FIRST).set_index("instrument").loc[name]
    assert f"-> {target['weight_target']:.4%}" in rows["target_portfolio"]
    forecast = table(finished, "forecasts", FIRST).set_index("instrument").loc[name]
    assert f"excess return {forecast['expected_return']:.2%}" in rows["forecasts"]
    features = table(finished, "features", FIRST).set_index("instrument").loc[name]
    assert f"momentum_12_1 {features['momentum_12_1']:.3g}" in rows["features"]
    assert f"{intent['side']} {intent['quantity']}" in rows["order_plan"]
    assert f"{intent['quantity']} approved" in rows["risk_verdict"]


@pytest.mark.graph
def test_the_terminal_gets_a_narrow_tree(finished: Path, marketbot: Command) -> None:
    """120 columns, a tick on every object, entry and body; earlier sessions are folded."""
    order = intents(finished, session=LAST)[0]["client_order_id"]
    said = marketbot(finished, "explain", order)
    lines = said.out.splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("· order mb1-"))
    tree = lines[start:]
    assert said.code == 0
    assert max(map(len, tree)) <= WIDTH
    assert "✗" not in said.out
    assert any(f"✓ prices {BEFORE}, of an earlier session" in line for line in tree)
    assert any("└ see above: order_plan" in line for line in tree)
    for word in ("order_intent", "decision", "orders", "features", "raw_fx", "body"):
        assert any(f"✓ {word} " in line for line in tree), word


def alter_ledger(home: Path, kind: str, old: str, new: str) -> None:
    connection = sqlite3.connect(home / "ledger.sqlite")
    connection.execute("drop trigger entry_keeps")
    text = "cast(record as text)"
    change = f"update entry set record = cast(replace({text}, ?, ?) as blob) where kind = ? and instr({text}, ?)"
    assert connection.execute(change, (old, new, kind, old)).rowcount >= 1
    connection.commit()
    connection.close()


@pytest.mark.graph
@pytest.mark.parametrize("what", ["raw_prices", "price_history", "body", "decision"])
def test_a_fault_is_marked_where_it_is(home: Path, marketbot: Command, what: str) -> None:
    """One altered byte: the node itself has the fault and nothing else has; exit 1, and one line names the way to it."""
    order = intents(home)[0]["client_order_id"]
    whole = marketbot(home, "explain", order, "--json").json["tree"]
    if what == "decision":
        alter_ledger(home, "decision", "ridge", "Ridge")
    elif what == "body":
        node = next(node for node in walk(whole) if node["kind"] == "body" and "prices" in node["url"])
        flip(home / "store" / "blobs" / node["blob_sha256"][:2] / f"{node['blob_sha256']}.gz")
    else:
        (path,) = (home / "store" / what / (FIRST if what == "raw_prices" else "static")).glob("*.parquet")
        flip(path)
    said = marketbot(home, "explain", order, "--json")
    faulty = [node for node in walk(said.json["tree"]) if node.get("fault")]
    assert (said.code, said.json["faults"], len(faulty)) == (1, 1, 1)
    assert faulty[0]["name"].split()[0] == what
    assert f"order {order} > order_intent {order} > batch_frozen" in said.err
    assert faulty[0]["fault"] in said.err
    assert len(said.err.strip().splitlines()) == 1
    said = marketbot(home, "explain", order)
    assert said.code == 1
    assert one_line(said)


@pytest.mark.graph
def test_a_batch_that_is_not_the_stored_one_is_marked(home: Path, marketbot: Command) -> None:
    """The frozen batch must have the hash of the stored orders, worked out again."""
    order = intents(home)[0]["client_order_id"]
    ((digest,),) = query(
        home / "ledger.sqlite",
        f"select json_extract({BODY}, '$.batch_sha256') from entry where kind = 'batch_frozen' and key like '%{FIRST}%'",
    )
    alter_ledger(home, "batch_frozen", digest, digest[::-1])
    view = marketbot(home, "explain", order, "--json").json
    assert view["faults"] == 1
    assert "batch_frozen" in view["fault"]


def name_of(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def row(asset: str, part: str, number: int) -> IndexRow:
    digest = name_of(number)
    return IndexRow(asset, part, digest, digest, f"{asset}/{part}", 1, 1, "s", digest, "run", "code", "")


def linked(asset: str, part: str, number: int, reads: list[IndexRow], blobs: tuple[str, ...] = ()) -> Link:
    own = row(asset, part, number)
    return Link(own, tuple((r.asset, r.part) for r in reads), blobs, tuple(r.manifest_sha256 for r in reads))


def tree_of(links: list[Link], *starts: IndexRow, faults: dict[str, str] | None = None) -> list[View]:
    pairs = [(link.row, name) for link in links for name in link.blobs]
    bodies = {
        (r.manifest_sha256, n): BlobRow(n, "p", "p://x", 200, "t", 1, "at", "run", r.asset, DAY) for r, n in pairs
    }
    nodes = object_nodes(links, list(starts), part=DAY, bodies=bodies, faults=faults or {})
    return [node.view() for node in nodes]


def test_a_shared_object_stands_in_full_once() -> None:
    """A diamond: the second reader names what the first one shows; what stands behind a named one is not named as near."""
    bottom = linked("raw", DAY, 1, [])
    middle = linked("prices", DAY, 2, [bottom.row])
    left, right = linked("a", DAY, 3, [middle.row]), linked("b", DAY, 4, [middle.row, bottom.row])
    top = linked("top", DAY, 5, [left.row, right.row])
    (tree,) = tree_of([bottom, middle, left, right, top], top.row)
    shown = [(node["name"], node.get("again"), node.get("nearest")) for node in walk(tree)]
    assert [name for name, *_ in shown] == [f"{asset} {DAY}" for asset in ("top", "a", "prices", "raw", "b")]
    assert shown[4][1:] == (["prices", "raw"], ["prices"])
    assert tree_lines(tree)[-1].endswith("see above: prices, 1 of what stands behind it")


def test_many_of_a_kind_are_folded() -> None:
    """253 earlier sessions are one node with their ends, 12 bodies as well; a fault inside shows on the node."""
    days = [f"2017-{month:02d}-{day:02d}" for month, day in itertools.product(range(1, 13), range(1, 24))][:253]
    earlier = [linked("prices", part, n, []) for n, part in enumerate(days)]
    bodies = tuple(name_of(1000 + n) for n in range(12))
    top = linked("features", DAY, 900, [link.row for link in earlier], bodies)
    (tree,) = tree_of([*earlier, top], top.row, faults={name_of(7): "altered"})
    folded = {node["kind"]: node for node in tree["nodes"]}
    assert set(folded) == {EARLIER, BODIES}
    panel = folded[EARLIER]
    assert (panel["objects"], panel["first_partition"], panel["last_partition"]) == (253, days[0], days[-1])
    assert (panel["first_file_sha256"], panel["last_file_sha256"]) == (name_of(0), name_of(252))
    assert [node["partition"] for node in panel["nodes"]] == days
    assert [node["blob_sha256"] for node in folded[BODIES]["nodes"]] == list(bodies)
    lines = tree_lines(tree)
    assert len(lines) == 4
    assert sum("✗ prices: 253 earlier sessions 2017-01-01 .. 2017-11-23" in line for line in lines) == 1


def test_depth_is_bounded() -> None:
    """A chain deeper than the bound ends in a node that says how much is below."""
    links = [linked("asset0", DAY, 0, [])]
    for number in range(1, DEPTH_MAX + 10):
        links.append(linked(f"asset{number}", DAY, number, [links[-1].row]))
    (tree,) = tree_of(links, links[-1].row)
    last = list(walk(tree))[-1]
    assert (last["kind"], last["name"]) == (MORE, "1 more below")
    assert len(list(walk(tree))) == DEPTH_MAX + 2
    assert max(map(len, tree_lines(tree))) <= WIDTH


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 30), max_size=6), min_size=1, max_size=30), st.data())
def test_any_graph_is_told_once(graph: list[list[int]], data: st.DataObject) -> None:
    """Whatever reads what: everything behind the start stands once, nothing else does, and no line is too wide."""
    links: list[Link] = []
    for number, reads in enumerate(graph):
        part = data.draw(st.sampled_from([DAY, BEFORE, "static"]))
        inputs = [links[n].row for n in sorted({n for n in reads if n < number})] if part != BEFORE else []
        links.append(linked(f"asset{number}", part, number, inputs))
    start = next((link for link in reversed(links) if link.row.part != BEFORE), None)
    if start is None:
        return
    (tree,) = tree_of(links, start.row)
    by_name, found, waiting = {x.row.manifest_sha256: x for x in links}, set[str](), [start.row.manifest_sha256]
    while waiting:
        name = waiting.pop()
        found.add(name)
        waiting += [other for other in by_name[name].reads if other not in found]
    assert sorted(in_full(tree)) == sorted(found)
    assert max(map(len, tree_lines(tree))) <= WIDTH
    assert json.dumps(tree)
