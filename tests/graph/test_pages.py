"""What people look at, in a real browser: the daily report, and the asset page of a home that has run one session."""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium")
SESSION = "2018-12-24"
pytestmark = [
    pytest.mark.browser,
    pytest.mark.graph,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed; `make services` installs it"),
]


def environment(home: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "MARKETBOT_HOME": str(home),
        "DAGSTER_HOME": str(home / "dagster"),
        "HOME": str(home),
    }


def page(address: str) -> str:
    """The page's text after its scripts have run."""
    with tempfile.TemporaryDirectory() as profile:
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
        flags += ["--disable-background-networking", "--disable-component-update", f"--user-data-dir={profile}"]
        command = [str(CHROMIUM), *flags, "--virtual-time-budget=20000", "--dump-dom", address]
        return subprocess.run(command, capture_output=True, text=True, timeout=90, check=False).stdout


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pages") / "home"
    command = [sys.executable, "-W", "ignore", "-m", "marketbot_assets.cli"]
    for arguments in (["run", "--session", SESSION], ["report"]):
        subprocess.run([*command, *arguments], env=environment(path), cwd=ROOT, check=True, capture_output=True)
    return path


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(Path(sys.executable).parent / "dagster-webserver"), "-w", "workspace.yaml", "-h", "127.0.0.1"]
    log = (home / "webserver.log").open("w")
    process = subprocess.Popen([*command, "-p", str(port)], env=environment(home), cwd=ROOT, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(90):
            try:
                urllib.request.urlopen(f"{address}/server_info", timeout=2).read()
                break
            except OSError:
                time.sleep(0.5)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=20)
        log.close()


def test_the_report_shows_its_sections(home: Path) -> None:
    """The page opens from the disk without a server, with its plots, and says that data are simulated."""
    text = page((home / "reports" / f"{SESSION}.html").as_uri())
    assert f"Session {SESSION}" in text
    assert text.count("<svg") >= 4
    for words in ("APPROVED", "demonstration on partly simulated data", "Limits", "Orders", "Attribution", "not known"):
        assert words.lower() in text.lower()
    for words in (
        "Trading state",
        "nearest to its limit: by sector",
        "R2 factors",
        "What the risk is made of",
        "Kupiec",
    ):
        assert words in text


def test_the_graph_and_an_asset_page(server: str) -> None:
    """The lineage page shows the groups; an asset page says what a row is, that its check passed, and what it holds."""
    groups = page(f"{server}/asset-groups")
    for name in (
        "ingestion",
        "normalization",
        "features",
        "insight",
        "book",
        "portfolio",
        "risk",
        "execution",
        "audit",
    ):
        assert name in groups
    asset = page(f"{server}/assets/target_portfolio?view=partitions&partition={SESSION}")
    for words in ("target_portfolio", SESSION, "Materialized", "file_sha256", "mean_variance"):
        assert words in asset
    risk = page(f"{server}/assets/risk_verdict?view=partitions&partition={SESSION}")
    for words in ("trading state", "headroom", "Drawdown ladder (RC-60)"):
        assert words in risk


def test_text_of_strangers_is_text_in_the_web_page(server: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The web page makes links and images of Markdown; of a headline shown by us it makes neither."""
    import dagster as dg

    from marketbot_assets.markdown_text import cell, quoted

    def evil(word: str) -> str:
        place = f"evil.example/{word}"
        return f"![x](http://{place}/a.png) [b](http://{place}/b) <img src='http://{place}/c'> http://{place}/d www.{place}/e"

    texts = {"control": evil("control"), "cell": cell(evil("cell")), "quoted": quoted(evil("quoted"))}
    monkeypatch.setenv("DAGSTER_HOME", str(home / "dagster"))
    told = {name: dg.MetadataValue.md(f"| a |\n|---|\n| {text} |") for name, text in texts.items()}
    with dg.DagsterInstance.get() as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization("raw_news", partition=SESSION, metadata=told))
    text = page(f"{server}/assets/raw_news?view=partitions&partition={SESSION}")
    found = re.findall(r"<(?:a|img)\b[^>]*evil\.example/(\w+)", text)  # in text a bracket is written &lt;
    assert set(found) == {"control"}
    assert "evil.example/cell/a.png" in text
    assert "evil.example/quoted/a.png" in text
