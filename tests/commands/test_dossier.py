"""The dossier: one page per order that needs nothing else, tells every hash in full, and costs one reading per session."""

import re
import shutil
import subprocess
from collections import Counter
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from views_world import FIRST, LAST, Command, flip, intents, one_line, query, table

from marketbot_assets import pages
from marketbot_assets.audit.dossier import SECTIONS, build_dossier, build_dossier_index
from marketbot_assets.commands.dossiers import write_dossiers
from marketbot_assets.commands.explain import explain
from marketbot_resources.store.lake import Lake
from marketbot_resources.store.objects import LocalObjects

pytestmark = pytest.mark.graph
CHROMIUM = shutil.which("chromium")
EVIL = "<script>alert('x')</script> & <img src=x onerror=y>"
VOID = {"meta", "rect", "line", "circle", "path", "br"}


class Page(HTMLParser):
    """Reads a page and holds that every element is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


class Counting(LocalObjects):
    """Counts how often each object and body is read."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.reads: Counter[str] = Counter()

    def get(self, key: str, expected_sha256: str) -> bytes:
        self.reads[key] += 1
        return super().get(key, expected_sha256)

    def check_blob(self, name: str) -> None:
        self.reads[name] += 1
        super().check_blob(name)


@pytest.fixture(scope="module")
def written(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the home with the dossiers of its first session."""
    home = tmp_path_factory.mktemp("dossiers") / "home"
    shutil.copytree(finished, home)
    assert write_dossiers(Lake(home), FIRST) == home / "dossiers" / FIRST / "index.html"
    return home


def orders(home: Path) -> list[dict[str, Any]]:
    return [*intents(home), *intents(home, "FX")]


def pages_of(home: Path) -> dict[str, str]:
    return {path.stem: path.read_text(encoding="utf-8") for path in (home / "dossiers" / FIRST).glob("*.html")}


def test_every_order_has_a_page_that_needs_nothing_else(written: Path) -> None:
    """A page per order and one that lists them; no script, no address, no style or picture from elsewhere."""
    found, names = pages_of(written), {order["client_order_id"] for order in orders(written)}
    assert names
    assert set(found) == names | {"index"}
    for name, text in found.items():
        page = Page(text)
        links = [value for key, value in page.attributes if key in ("href", "src")]
        assert not re.search(r"https?:|<script|@import|url\(|<link|<img|<iframe", text), name
        assert not [key for key, _ in page.attributes if key.startswith("on")]
        if name == "index":
            assert sorted(str(link) for link in links) == sorted(f"{order}.html" for order in names)
        else:
            assert [f'<section id="{key}">' in text for key, _ in SECTIONS] == [True] * len(SECTIONS)
            assert links == [f"#{key}" for key, _ in SECTIONS]


def test_a_page_tells_every_hash_in_full(written: Path, marketbot: Command) -> None:
    """Objects, manifests, bodies, the ledger's entries with number and leaf, its root and size."""
    order = intents(written)[0]["client_order_id"]
    view, text = marketbot(written, "explain", order, "--json").json, Page(pages_of(written)[order]).text
    hashes = {value for name, value in flat(view["tree"]) if name.endswith("sha256")}
    assert len(hashes) > 100
    assert [digest for digest in sorted(hashes) if digest not in text] == []
    ledger = view["ledger"]
    for entry in (ledger["intent"], ledger["batch"], ledger["decision"], ledger["final"], *ledger["events"]):
        assert f"{entry['seq']} {entry['hash']}" in text
    ((size,),) = query(written / "ledger.sqlite", "select count(*) from entry")
    assert f"root of the ledger {size} entries {ledger['root']}" in text


def flat(node: dict[str, Any]) -> list[tuple[str, str]]:
    own = [(name, value) for name, value in node.items() if isinstance(value, str)]
    return own + [pair for child in node.get("nodes", []) for pair in flat(child)]


def test_a_page_says_what_why_and_what_became_of_it(written: Path) -> None:
    """Quantity, reason, weights, forecast, forces, binding limits, each loud control, states, the fill and its cost."""
    intent = intents(written)[0]
    name, order = intent["instrument"], intent["client_order_id"]
    text = unescape(Page(pages_of(written)[order]).text)
    listing = table(written, "instruments", FIRST).set_index("instrument").loc[name]
    target = table(written, "target_portfolio", FIRST).set_index("instrument").loc[name]
    cost = table(written, "execution_costs", LAST).set_index("client_order_id").loc[order]
    verdict = table(written, "risk_verdict", FIRST)
    told = [
        f"{intent['side']} {int(intent['quantity']):,} {listing['mic']}:{listing['ticker']}",
        intent["reason"],
        f"to {100 * target['weight_target']:.2f} % of NAV",
        "Partly simulated data",
        "The broker was simulated, too",
        "Forces on the weight",
        "FILLED",
        "A hash shows that the bytes are those that were stored",
    ]
    assert [words for words in told if words not in text.replace("\u00a0", " ")] == []
    assert f"{cost['total_base']:,.2f}".replace("-", "−") in text
    loud = verdict[(verdict["kind"] == "CONTROL") & (verdict["status"] != "PASS")]
    limits = table(written, "target_explanation", FIRST)
    bound = limits[(limits["kind"] == "LIMIT") & limits["binding"]]
    assert len(bound) > 0
    assert all(f"{row.control} {row.name_}" in text for row in loud.rename(columns={"name": "name_"}).itertuples())
    assert all(f"{row.subject} {row.name_}" in text for row in bound.rename(columns={"name": "name_"}).itertuples())
    assert not re.search(r"\bMB[A-Z2-7]{10}\b", text.replace(name, ""))


def test_a_session_is_read_once_for_all_its_orders(written: Path) -> None:
    """However many orders: each body once, each object once again and once for its rows, each manifest for walk and hash."""
    lake, objects = Lake(written), Counting(written / "store")
    lake.objects = objects
    write_dossiers(lake, FIRST)
    assert len(orders(written)) > 3
    assert max(objects.reads.values()) <= 2
    bodies = [count for name, count in objects.reads.items() if "/" not in name]
    assert bodies
    assert set(bodies) == {1}


def test_the_same_facts_give_the_same_page_and_markup_is_text(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two builds are equal; markup in reasons, messages, names, addresses and rows adds no element."""
    monkeypatch.setenv("MARKETBOT_HOME", str(finished))
    view = explain(intents(finished)[0]["client_order_id"])
    clean = build_dossier(view, {})
    assert clean == build_dossier(explain(intents(finished)[0]["client_order_id"]), {})
    evil = poisoned(view)
    assert isinstance(evil, dict)
    page = Page(build_dossier(evil, {}))
    assert page.tags["script"] == page.tags["img"] == 0
    assert EVIL.split()[0] in page.text
    assert Page(build_dossier_index(EVIL, [evil], {})).tags["script"] == 0


KEPT = {"kind", "side", "verdict", "status"}


def poisoned(value: object, key: str = "") -> object:
    """The same facts with markup at the end of every text."""
    if isinstance(value, dict):
        return {name: poisoned(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [poisoned(item, key) for item in value]
    return f"{value}{EVIL}" if isinstance(value, str) and key not in KEPT else value


def test_explain_writes_the_page_where_it_is_told(home: Path, tmp_path: Path, marketbot: Command) -> None:
    """--html: into the home, or where --out says; --out alone, or below a file, is exit 2 in one line."""
    order = intents(home)[0]["client_order_id"]
    said = marketbot(home, "explain", order[:12], "--html")
    path = home / "dossiers" / FIRST / f"{order}.html"
    assert (said.code, said.out) == (0, f"order {order} of {FIRST}: {path}\n")
    out = tmp_path / "deep" / "page.html"
    assert marketbot(home, "explain", order, "--html", "--out", str(out), "--json").json["path"] == str(out)
    assert out.read_text(encoding="utf-8") == path.read_text(encoding="utf-8")
    (home / "HALT").write_text("x", encoding="utf-8")
    for arguments in (["--out", str(out)], ["--html", "--out", str(home / "HALT" / "page.html")]):
        said = marketbot(home, "explain", order, *arguments)
        assert said.code == 2
        assert one_line(said)


def test_a_fault_stands_on_the_page(home: Path, marketbot: Command) -> None:
    """An altered body: the page is written, says so at the top and at the node; exit 1; the session's list counts it."""
    order = intents(home)[0]["client_order_id"]
    name = marketbot(home, "explain", order, "--json").json["blobs"][0]
    flip(home / "store" / "blobs" / name[:2] / f"{name}.gz")
    said = marketbot(home, "explain", order, "--html")
    text = Page((home / "dossiers" / FIRST / f"{order}.html").read_text(encoding="utf-8")).text
    assert said.code == 1
    assert "Evidence is not whole" in text
    assert f"blob {name[:12]}" in text
    index = Page(write_dossiers(Lake(home), FIRST).read_text(encoding="utf-8")).text
    assert "did not hold" in index


def test_the_asset_page_links_the_dossiers(written: Path) -> None:
    """A path to the list, and a row per order with its file."""
    lake, index = Lake(written), written / "dossiers" / FIRST / "index.html"
    frames = [lake.load(row) for row in (lake.index.newest(a, FIRST) for a in ("orders", "instruments")) if row]
    shown = pages.dossiers(index, *frames)
    assert getattr(shown["dossiers"], "path", None) == str(index)
    told = str(getattr(shown["orders"], "md_str", ""))
    assert told.count("\n") == len(orders(written)) + 1
    for order in orders(written):
        (line,) = [line for line in told.splitlines() if order["client_order_id"] in line]
        assert f"| {order['side']} | {order['quantity']} |" in line
        assert str(index.parent / f"{order['client_order_id']}.html") in line
        assert (index.parent / f"{order['client_order_id']}.html").exists()


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed; `make services` installs it")
def test_a_page_in_a_real_browser(written: Path, tmp_path: Path) -> None:
    """It opens from the disk and shows its sections; a picture of it is taken."""
    order = intents(written)[0]["client_order_id"]
    page, picture = written / "dossiers" / FIRST / f"{order}.html", tmp_path / "dossier.png"
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    flags += [f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1200,2400", f"--screenshot={picture}"]
    command = [str(CHROMIUM), *flags, page.as_uri()]
    subprocess.run(command, capture_output=True, timeout=90, check=True)
    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    dump = subprocess.run([*command[:-2], "--dump-dom", page.as_uri()], capture_output=True, timeout=90, check=True)
    text = dump.stdout.decode()
    assert order in text
    assert text.count("<svg") == 1
