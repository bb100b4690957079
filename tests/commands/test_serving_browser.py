"""The interface as a process of its own: a person in a real browser without scripts, and whoever sends drop by drop."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser_pipe import Browser
from serving_world import fingerprint
from views_world import FIRST, LAST, intents

from marketbot_resources.clock import machine_now
from marketbot_resources.tokens import Scope, Tokens

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.graph


@pytest.fixture(scope="module")
def address(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path, str]]:
    """(address, home, a reader's token) of a running server."""
    home = tmp_path_factory.mktemp("process") / "home"
    shutil.copytree(finished, home)
    _, token = Tokens(home).create("browser", Scope.READ, 1, machine_now())
    environment = {"PATH": os.environ["PATH"], "MARKETBOT_HOME": str(home), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "ignore", "-m", "marketbot_assets.cli", "serve", "--port", "0", "--json"]
    process = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    told = json.loads(process.stdout.readline())
    assert told["tokens"] == 1
    yield told["address"], home, token
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) in (0, -signal.SIGTERM)
    process.stdout.close()


def test_the_process_answers_and_leaves_whoever_dawdles(address: tuple[str, Path, str]) -> None:
    """Health by a real client, no server name in the answer; a head without an end is left after five seconds."""
    host, port = address[0].removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as slow:
        slow.sendall(b"GET /v1/health HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ")
        with urllib.request.urlopen(f"{address[0]}/v1/health", timeout=20) as answer:
            assert json.load(answer) == {"status": "ok"}
            assert "server" not in answer.headers
        slow.settimeout(2.0)
        for _ in range(8):
            try:
                slow.sendall(b"x")
                if slow.recv(100) == b"":
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        else:
            pytest.fail("the connection is still open")


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed; `make services` installs it")
def test_a_person_finds_the_book_the_limits_an_order_and_an_entry(
    address: tuple[str, Path, str], tmp_path: Path
) -> None:
    """Form, cookie, pages, search and Log out, without a script; nothing in the home changes."""
    where, home, token = address
    before, order = fingerprint(home), intents(home)[0]["client_order_id"]
    browser = Browser(str(CHROMIUM), tmp_path / "profile")
    try:
        assert "Log in" in browser.open(f"{where}/limits")
        assert "no token that is good" in browser.enter("input[name=token]", "mbt_wrong")
        book = browser.enter("input[name=token]", token)
        assert f"As of session {LAST}" in book
        assert "NAV" in book
        (cookie,) = browser.call("Network.getCookies")["cookies"]
        assert (cookie["httpOnly"], cookie["sameSite"], cookie["session"]) == (True, "Strict", False)
        assert token not in cookie["value"]
        browser.picture(tmp_path / "book.png")
        assert (tmp_path / "book.png").stat().st_size > 20_000
        assert "position cap" in browser.open(f"{where}/limits")
        assert order in browser.open(f"{where}/orders?session={FIRST}")
        page = browser.open(f"{where}/orders/{order}")
        assert "marketbot order dossier" in page
        assert "Audit search" in page
        browser.open(f"{where}/audit")
        assert "session_cutoff" in browser.enter("input[name=q]", "session_cut")
        assert "<script" not in browser.html()
        browser.focus("form[action='/logout'] button")
        assert "Log in" in browser.press_enter()
        assert "Log in" in browser.open(f"{where}/")
    finally:
        browser.close()
    assert fingerprint(home) == before
