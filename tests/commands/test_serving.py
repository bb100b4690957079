"""`marketbot serve`: who gets in, that nothing but `halt` writes, that nothing secret leaves, what answers say."""

import asyncio
import datetime as dt
import hashlib
import json
import random
import shutil
import string
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from serving_world import BEGAN, HOST, Reply, Served, fingerprint, operations
from views_world import FIRST, LAST, Command, flip, intents, query, table

from marketbot_assets.serving.doors import Rules
from marketbot_assets.serving.rates import Buckets
from marketbot_resources.alerts import FAILED, KIND, SENT, Alert, Severity
from marketbot_resources.errors import HomeError, MarketbotError
from marketbot_resources.ledger import merkle
from marketbot_resources.ledger.record import record_leaf
from marketbot_resources.store.lake import Lake
from marketbot_resources.tokens import Scope, Tokens

pytestmark = pytest.mark.graph
ACCOUNT, SECRET = "du7654321", "canary-Zx81-Qv93-Lm27"
PAGES = ("/", "/limits", "/alerts", "/decisions", "/orders", "/reports", f"/reports/{FIRST}", "/audit", "/audit?q=2018")
FUZZED, FUZZED_LONG = 2_000, 10_000


@pytest.fixture(scope="module")
def served(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The interface of a copy of the home, with a canary among its secrets and another account in its mandate."""
    root = tmp_path_factory.mktemp("serving")
    shutil.copytree(finished, root / "home")
    mandate = Path(__file__).parents[2] / "mandate.yaml"
    (root / "mandate.yaml").write_text(mandate.read_text().replace("id: paper-1,", f"id: {ACCOUNT},"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MARKETBOT_HOME", str(root / "home"))
        patch.setenv("MARKETBOT_MANDATE", str(root / "mandate.yaml"))
        patch.setenv("CANARY_API_KEY", SECRET)
        patch.setenv("MARKETBOT_LIVE_ACCOUNTS", "U9182736, 55443322")
        world = Served(root / "home")
        yield world
        world.close()


@pytest.fixture
def halting(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A copy of its own, to be halted or damaged."""
    shutil.copytree(finished, tmp_path / "home")
    monkeypatch.setenv("MARKETBOT_HOME", str(tmp_path / "home"))
    world = Served(tmp_path / "home")
    yield world
    world.close()


def filled(path: str, home: Path) -> str:
    order = intents(home)[0]["client_order_id"]
    return path.replace("{session}", FIRST).replace("{order}", order) + ("?q=batch" if path == "/v1/audit" else "")


def cookie(served: Served, who: str = "reader") -> tuple[str, str]:
    reply = served.ask("POST", "/login", body=f"token={served.token[who]}".encode())
    assert reply.status == 303
    return ("cookie", reply.header("set-cookie").partition(";")[0])


READS = [
    "/v1/status",
    "/v1/metrics",
    "/v1/positions",
    "/v1/controls",
    "/v1/alerts",
    "/v1/sessions/{session}/limits",
    "/v1/decisions",
    "/v1/decisions/{session}",
    "/v1/sessions/{session}/orders",
    "/v1/orders/{order}",
    "/v1/orders/{order}/proof",
    "/v1/reports",
    "/v1/reports/{session}",
    "/v1/audit",
]


def test_the_document_lists_exactly_these_routes_and_one_that_writes(served: Served) -> None:
    """A route that is added is one that the tests below know."""
    found = [(method, path) for method, path, _ in operations(served.app)]
    assert sorted(found) == sorted([("GET", "/v1/health"), ("POST", "/v1/halt"), *(("GET", path) for path in READS)])
    assert served.get("/v1/openapi.json").json == served.app.document()
    assert served.get("/v1/openapi.json", "").status == 401


@pytest.mark.parametrize("path", ["/v1/halt", *READS])
def test_every_route_refuses_every_token_that_is_not_good_for_it(served: Served, path: str) -> None:
    """No token, a wrong one, another scheme, expired, revoked: 401 everywhere; a reader's token does not halt: 403."""
    method, at = ("POST", path) if path == "/v1/halt" else ("GET", filled(path, served.home))
    body = b'{"reason":"test"}' if method == "POST" else b""
    good = served.token["operator"]
    wrong = good[:-1] + ("0" if good[-1] != "0" else "1")
    odd = [None, "Bearer ", f"Bearer {wrong}", f"Basic {good}", f"Bearer  x{good}", "Bearer mbt_x", "old", "ended"]
    odd += [f"Bearer {good.upper()}", f"Bearer {good[:16]}_{'0' * 64}", "Bearer \xff"]
    for place, who in enumerate(odd):
        reply = served.ask(method, at, who, body=body, address=f"10.1.{len(path)}.{place}")
        assert (reply.status, "www-authenticate" in dict(reply.headers)) == (401, True), (who, reply.body)
    if method == "POST":
        assert served.ask(method, at, "reader", body=body).status == 403
    assert (
        served.ask(method, at, headers=(cookie(served, "operator"),), body=body, address=f"10.2.0.{len(path)}").status
        == 401
    )  # a cookie opens pages only
    assert not (served.home / "HALT").exists()


@pytest.mark.parametrize("path", PAGES)
def test_pages_are_behind_the_form(served: Served, path: str) -> None:
    """Without a session, with an odd one, with a token in a header: off to the form."""
    for more in ((), (("cookie", "marketbot_session=x"),), (("cookie", "marketbot_session="),)):
        reply = served.get(path, headers=more)
        assert (reply.status, reply.header("location")) == (303, "/login")


def test_a_session_ends_with_its_token_its_time_and_the_button(halting: Served) -> None:
    """Eight hours, the token's revocation, or the form that ends it."""
    own = cookie(halting)
    assert halting.get("/", "", headers=(own,)).status == 200
    assert halting.ask("POST", "/logout", headers=(own,)).status == 303
    assert halting.get("/", "", headers=(own,)).status == 303
    own = cookie(halting)
    halting.at = BEGAN + dt.timedelta(hours=8)
    assert halting.get("/", "", headers=(own,)).status == 303
    own = cookie(halting)
    Tokens(halting.home).revoke("reader", halting.at)
    assert halting.get("/", "", headers=(own,)).status == 303
    assert halting.get("/v1/status").status == 401
    halting.at = BEGAN + dt.timedelta(days=8)
    assert halting.get("/v1/status", "operator").status == 401  # nine days from two days before


def test_the_cookie_is_closed_to_scripts_and_other_sites(served: Served) -> None:
    """HttpOnly, SameSite=Strict; behind TLS also Secure; a form of another site is refused."""
    body = f"token={served.token['reader']}".encode()
    said = served.ask("POST", "/login", body=body).header("set-cookie")
    assert "HttpOnly" in said
    assert "SameSite=strict" in said
    assert served.token["reader"] not in said
    for origin in ("https://evil.test", "null", f"http://{HOST}.evil.test"):
        assert served.ask("POST", "/login", headers=(("origin", origin),), body=body).status == 403
    assert served.ask("POST", "/login", headers=(("origin", f"http://{HOST}"),), body=body).status == 303
    assert served.ask("POST", "/login", body=b"token=mbt_no", address="10.3.0.1").status == 401


def test_nothing_that_is_looked_at_changes_a_file(served: Served) -> None:
    """All routes and pages: the ledger's head and every file stay byte for byte as they were."""
    own = cookie(served)
    before = fingerprint(served.home)
    for path in READS:
        assert served.get(filled(path, served.home)).status == 200, path
    for path in (*PAGES, f"/orders/{intents(served.home)[0]['client_order_id']}"):
        assert served.get(path, "", headers=(own,)).status == 200, path
    assert fingerprint(served.home) == before


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "POST"])
def test_other_methods_are_refused(served: Served, method: str) -> None:
    """Only GET reads, only POST halts."""
    for path in [*READS, "/v1/health"]:
        assert served.ask(method, filled(path, served.home), "operator").status == 405, path
    if method != "POST":
        assert served.ask(method, "/v1/halt", "operator", body=b'{"reason":"x"}').status == 405


def test_a_lake_that_is_read_refuses_every_write(served: Served) -> None:
    """SQLite itself says no, for the ledger and the index; a home that is not there is not made."""
    lake = Lake(served.home, read_only=True)
    with pytest.raises(MarketbotError, match="readonly"):
        lake.ledger.append("operator_action", "x", {})
    with pytest.raises(MarketbotError, match="readonly"):
        lake.index.add(lake.index.all_newest()[0])
    missing = served.home.parent / "missing"
    with pytest.raises(HomeError):
        Lake(missing, read_only=True).index.size()
    assert not missing.exists()


def test_answers_say_what_the_store_holds(served: Served) -> None:
    """Positions, orders, limits and decisions against the stored tables and the ledger, read without the product."""
    held = table(served.home, "positions", LAST)
    rows = held[held["kind"] == "POSITION"]
    answer = served.get("/v1/positions").json
    assert answer["session"] == LAST
    assert {one["instrument"]: one["quantity"] for one in answer["positions"]} == {
        row.instrument: f"{row.quantity.normalize():f}" for row in rows.itertuples()
    }
    assert answer["nav"] == pytest.approx(held["value_base"].sum(), rel=1e-12)
    assert sum(one["weight"] for one in answer["positions"]) == pytest.approx(rows["value_base"].sum() / answer["nav"])
    orders = served.get(f"/v1/sessions/{FIRST}/orders").json["orders"]
    wanted = {
        one["client_order_id"]: one["quantity"] for kind in ("EQUITY", "FX") for one in intents(served.home, kind)
    }
    assert {one["client_order_id"]: one["quantity"] for one in orders} == wanted
    limits = served.get(f"/v1/sessions/{FIRST}/limits").json["controls"]
    verdict = table(served.home, "risk_verdict", FIRST)
    assert {one["key"] for one in limits} == set(verdict.loc[verdict["kind"] == "CONTROL", "key"])
    decisions = served.get("/v1/decisions?limit=1").json
    assert (decisions["more"], [one["session"] for one in decisions["decisions"]]) == (True, [LAST])
    assert [one["session"] for one in served.get(f"/v1/decisions?before={LAST}").json["decisions"]] == [FIRST]
    assert served.get(f"/v1/reports/{FIRST}").text.count("<section") > 10


def test_alerts_say_whether_somebody_was_told(halting: Served) -> None:
    """Newest first; taken, failed or neither as the ledger has it; what is not recorded yet stands apart."""
    assert halting.get("/v1/alerts").json == {"alerts": [], "found": []}
    halting.at += dt.timedelta(seconds=60)  # answers are kept for a moment
    told = [Alert("PROVIDER_FAILURE", Severity.ERROR, f"step{n}", LAST, f"it <b>broke</b> {n}") for n in range(3)]
    ledger = Lake(halting.home).ledger
    for alert in told:
        ledger.append(KIND, alert.key, alert.body())
    heard = {"alerts": [told[0].key], "channel": "mail", "at": "2018-12-24T22:00:00Z", "answer": "250 ok"}
    ledger.append(SENT, "1", heard)
    for n, reason in enumerate(("timeout", "550 no such user")):
        ledger.append(FAILED, f"{n}", {"alerts": [told[1].key], "channel": "mail", "reason": reason, "at": heard["at"]})
    ledger.append("order_incident", "mb1-x", {"what": "x"})
    answer = halting.get("/v1/alerts").json
    names = ("subject", "acknowledged", "channel", "answer", "failures", "last_failure")
    assert [tuple(one[name] for name in names) for one in answer["alerts"]] == [
        ("step2", False, None, None, 0, None),
        ("step1", False, None, None, 2, "mail: 550 no such user"),
        ("step0", True, "mail", "250 ok", 0, None),
    ]
    assert all(one["do"] for one in answer["alerts"])
    assert [(one["code"], one["acknowledged"]) for one in answer["found"]] == [("ORDER_OVERDUE", False)]
    assert [one["subject"] for one in halting.get("/v1/alerts?limit=1").json["alerts"]] == ["step2"]
    page = halting.get("/alerts", "", headers=(cookie(halting),)).text
    assert "nobody yet; 2 failures, last: mail: 550 no such user" in page
    assert "mail at 2018-12-24T22:00:00Z" in page
    assert "it &lt;b&gt;broke&lt;/b&gt; 0" in page


def test_a_proof_leads_from_the_record_to_the_signed_head(served: Served) -> None:
    """RFC 6962 over the answer alone; the note is one of those that the ledger keeps."""
    order = intents(served.home)[0]["client_order_id"]
    proof = served.get(f"/v1/orders/{order}/proof").json
    leaf = record_leaf(proof["record"].encode())
    assert leaf.hex() == proof["leaf_sha256"]
    path = [bytes.fromhex(step) for step in proof["path"]]
    assert merkle.verify_inclusion(leaf, proof["seq"], proof["size"], path, bytes.fromhex(proof["root"]))
    assert [proof["signed_note"]] in [
        list(row) for row in query(served.home / "ledger.sqlite", "select note from checkpoint")
    ]
    assert proof["fault"] == ""
    assert len(proof["objects"]) > 20
    assert served.get(f"/v1/orders/{order[:12]}/proof").json["order"] == order


def test_the_search_finds_names_and_hashes(served: Served) -> None:
    """By a part of kind or key, by the beginning of a leaf, of an object and of a body."""
    found = served.get("/v1/audit?q=session_CUTOFF").json
    assert [one["key"] for one in found["entries"]] == [LAST, FIRST]
    ((leaf,),) = query(served.home / "ledger.sqlite", "select hex(leaf) from entry where kind = 'decision' limit 1")
    assert [one["kind"] for one in served.get(f"/v1/audit?q={leaf[:10].lower()}").json["entries"]] == ["decision"]
    for name, place in (("file_sha256", "objects"), ("manifest_sha256", "objects")):
        ((digest,),) = query(served.home / "index.sqlite", f"select {name} from lake_index limit 1")
        assert served.get(f"/v1/audit?q={digest[:12]}").json[place], name
    ((body,),) = query(served.home / "index.sqlite", "select blob_sha256 from blob_index limit 1")
    assert served.get(f"/v1/audit?q={body}").json["bodies"]
    pages, before = [], "&before=1000000"
    for _ in range(9):
        answer = served.get(f"/v1/audit?q=e{before}&x=1".replace("q=e", "q=order_")).json
        pages += [one["seq"] for one in answer["entries"]]
        if answer["next_before"] is None:
            break
        before = f"&before={answer['next_before']}"
    ((count,),) = query(
        served.home / "ledger.sqlite", "select count(*) from entry where kind like 'order\\_%' escape '\\'"
    )
    assert len(pages) == len(set(pages)) == count


def test_halt_stops_and_tells_the_ledger_and_nothing_loosens_it(halting: Served) -> None:
    """The command's own function: flag, entry with the token's name; a weaker level is refused, resume does not exist."""
    reply = halting.ask("POST", "/v1/halt", "operator", body=b'{"reason":"fat finger"}')
    assert (reply.status, reply.json["halted"], reply.json["problem"]) == (200, True, "")
    assert json.loads((halting.home / "HALT").read_text()) == {"reason": "fat finger (token operator)", "level": "halt"}
    told = query(halting.home / "ledger.sqlite", "select record from entry where kind = 'operator_action'")
    assert b"fat finger (token operator)" in told[-1][0]
    status = halting.get("/v1/status").json
    assert (status["halt"]["status"], status["fine"]) == ("on", False)
    assert "marketbot_halted 1\n" in halting.get("/v1/metrics").text
    assert "Halted." in halting.get("/", "", headers=(cookie(halting),)).text
    weaker = halting.ask("POST", "/v1/halt", "operator", body=b'{"reason":"x","level":"reduce-only"}')
    assert weaker.status == 409
    for body in (
        b"",
        b"{}",
        b"[]",
        b'{"reason":""}',
        b'{"reason":"x","level":"flatten"}',
        b'{"reason":"x","more":1}',
        b"\xff",
    ):
        assert halting.ask("POST", "/v1/halt", "operator", body=body).status in (400, 422), body
    assert halting.ask("POST", "/v1/resume", "operator").status == 404
    assert Lake(halting.home).ledger.entries("operator_action")[-1].seq == reply.json["entry"]


def test_a_stop_gets_through_when_its_address_asks_too_often(finished: Path, tmp_path: Path, monkeypatch: Any) -> None:
    """Others behind the same proxy cannot keep an operator from halting."""
    shutil.copytree(finished, tmp_path / "home")
    monkeypatch.setenv("MARKETBOT_HOME", str(tmp_path / "home"))
    world = Served(tmp_path / "home", Rules(frozenset({HOST}), per_second=1.0))
    said = [world.ask("GET", "/v1/health").status for _ in range(8)]
    assert said == [200] * 4 + [429] * 4
    assert [world.ask("GET", "/v1/health", address="10.0.0.9").status for _ in range(2)] == [200, 200]
    assert world.ask("POST", "/v1/halt", "operator", body=b'{"reason":"stop"}').status == 200
    denied = [world.ask("POST", "/v1/halt", "Bearer mbt_no", address="10.0.0.8").status for _ in range(12)]
    assert denied == [401] * 10 + [429] * 2
    world.close()


def test_nothing_secret_leaves(served: Served) -> None:
    """A planted secret and account numbers, in the ledger, in a report and in what is asked for, are in no answer."""
    lake, row = Lake(served.home), None
    lake.ledger.append(
        "run_failed", f"{LAST}/{ACCOUNT}/1", {"step": "x", "reason": f"U9182736 and 55443322 of {ACCOUNT}"}
    )
    row = lake.index.newest("daily_report", LAST)
    assert row is not None
    canaries = (SECRET, ACCOUNT, ACCOUNT.upper(), "U9182736", "55443322", quote(SECRET, safe=""))
    own, paths = cookie(served), [filled(path, served.home) for path in READS]
    paths += [f"/v1/audit?q={quote(text)}" for text in canaries] + ["/v1/audit?q=run_failed"]
    replies = [served.get(path) for path in paths]
    replies += [served.get(path, "", headers=(own,)) for path in (*PAGES, f"/audit?q={ACCOUNT}", "/audit?q=run_failed")]
    replies += [served.get(f"/v1/orders/{SECRET}"), served.get(f"/v1/decisions/{ACCOUNT}"), served.get(f"/{SECRET}")]
    replies += [served.ask("POST", "/v1/halt", "reader", body=json.dumps({"reason": SECRET}).encode())]
    for reply in replies:
        said = reply.body + repr(reply.headers).encode()
        assert not [text for text in canaries if text.encode() in said]
    assert served.get("/v1/audit?q=run_failed").json["entries"][0]["key"] == f"{LAST}/[redacted]/1"
    assert served.get(f"/v1/audit?q={ACCOUNT}").json["entries"] == []  # a hit would tell that a guess is right
    assert served.get(f"/v1/audit?q={ACCOUNT[:6]}").json["entries"] == []
    assert str(served.home) not in "".join(reply.text for reply in replies)


def test_headers_hosts_and_sizes(served: Served) -> None:
    """Security headers on every answer, no CORS; other host names, long addresses and large bodies are refused."""
    for reply in (
        served.get("/v1/status"),
        served.get("/nowhere"),
        served.get("/v1/health", ""),
        served.get("/", host="evil"),
    ):
        headers = dict(reply.headers)
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "script-src" not in headers["content-security-policy"]
        assert not [name for name in headers if name.startswith("access-control")]
        assert [name for name, _ in reply.headers].count("content-length") == 1
    for host in ("evil.test", f"{HOST}.evil.test", "", f"{HOST}@evil", None, f"{HOST}, evil", "127.0.0.1"):
        assert served.get("/v1/status", host=host).status == 421, host
    assert served.get("/v1/status", headers=(("host", "evil"),)).status == 421
    assert served.get("/v1/status", host=f"{HOST.upper()}:8787").status == 200
    assert served.get("/v1/audit?q=" + "a" * 5_000).status == 414
    assert served.get("/v1/audit?q=" + "a" * 101).status == 422
    assert served.get("/v1/" + "a" * 600).status == 414
    for body in (b"x" * 20_000, [b"x" * 9_000] * 3):
        assert served.ask("POST", "/v1/halt", "operator", body=body).status == 413


@pytest.mark.parametrize(
    "path",
    [
        "/v1/reports/../../ledger.sqlite",
        "/v1/reports/..%2f..%2fledger.sqlite",
        "/v1/reports/%2e%2e%2fapi%2ftokens.json",
        "/v1/reports/2018-12-11%00.html",
        "/v1/reports/2018-12-11%0d%0aSet-Cookie:%20a=b",
        "/v1/orders/mb1-aaaaaa%0d%0aX: y",
        "/v1/sessions/%F0%9F%92%A9/limits",
        "/v1/sessions/٢٠١٨-١٢-١١/limits".encode().decode("latin-1"),
        "//evil.test/v1/status",
        "/v1//status",
        "/v1/status/",
    ],
)
def test_odd_paths_lead_nowhere(served: Served, path: str) -> None:
    """No traversal, no header from an address, no redirect to elsewhere."""
    reply = served.get(path)
    assert reply.status in (404, 422)
    assert "set-cookie" not in dict(reply.headers)
    assert "location" not in dict(reply.headers)


def fuzz(served: Served, count: int, seed: int) -> list[Reply]:
    """Requests made from the OpenAPI document: right, nearly right and wrong values, methods, tokens, headers, bodies."""
    dice, known = random.Random(seed), operations(served.app)
    order = intents(served.home)[0]["client_order_id"]
    odd = [
        "",
        "0",
        "-1",
        "1e9",
        "null",
        "true",
        "9" * 40,
        "../..",
        "%00",
        "%ff%fe",
        "'\"<>",
        "{}",
        "[]",
        "‮",
        "a" * 90,
        LAST,
        order,
    ]
    chars = string.printable + "äß\x00\x7f"

    def text() -> str:
        made = "".join(dice.choice(chars) for _ in range(dice.randrange(12)))
        return dice.choice([dice.choice(odd), made, FIRST, order[: dice.randrange(len(order))]])

    async def run() -> list[Reply]:
        replies = []
        for _ in range(count):
            method, path, told = dice.choice(known)
            for one in told.get("parameters", []):
                if one["in"] == "path":
                    right = order if one["name"] == "order" else dice.choice([FIRST, LAST])
                    value = right if dice.random() < 0.5 else text()
                    path = path.replace("{" + one["name"] + "}", quote(value, safe=dice.choice(["", "/"])))
            names = [one["name"] for one in told.get("parameters", []) if one["in"] == "query"] + ["x"]
            pairs = [f"{dice.choice(names)}={quote(text())}" for _ in range(dice.randrange(4))]
            body = dice.choice([b"", text().encode(), json.dumps({"reason": text(), "level": text()}).encode()])
            who = dice.choice(["reader"] * 6 + ["operator", "old", None, f"Bearer {text()}".replace("\n", "")])
            if method == "POST":
                who = "reader"  # a stop would change every later answer
            method = method if dice.random() < 0.9 else dice.choice(["HEAD", "PUT", "OPTIONS", "BREW", "POST"])
            headers = ((dice.choice(["content-type", "accept", "cookie", "x-forwarded-for", "range"]), text()),)
            address = f"10.0.{dice.randrange(256)}.{dice.randrange(256)}"
            replies.append(
                await served.asked(
                    method, path + "?" + "&".join(pairs), who, headers=headers, body=body, address=address
                )
            )
        return replies

    return served.loop.run_until_complete(run())


def check_fuzzed(served: Served, count: int, seed: int) -> None:
    before = fingerprint(served.home)
    replies = fuzz(served, count, seed)
    statuses = [reply.status for reply in replies]
    assert [status for status in statuses if not 200 <= status < 500] == []
    assert 0.1 < sum(status == 200 for status in statuses) / count < 0.9  # neither all right nor all wrong
    assert {401, 404, 405, 422} <= set(statuses)
    assert fingerprint(served.home) == before


def test_fuzzed_requests_never_fail(served: Served) -> None:
    """2,000 requests: no answer of 500 or more, no file changed."""
    check_fuzzed(served, FUZZED, 1)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(5))
def test_fuzzed_requests_never_fail_long(served: Served, seed: int) -> None:
    """The same, five times 10,000."""
    check_fuzzed(served, FUZZED_LONG, 100 + seed)


def test_at_most_so_many_at_once_and_no_answer_takes_for_ever(halting: Served) -> None:
    """Whoever is too many is told at once; a slow answer is given up but keeps its place until it ends; a stop has its own."""
    slow = Served.__new__(Served)
    slow.__dict__ |= halting.__dict__
    from marketbot_assets.serving.doors import Doors

    async def sleepy(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0.3)
        await halting.app._app(scope, receive, send)

    rules = Rules(frozenset({HOST}), per_second=1e6, at_once=2, seconds=0.1)
    slow.app = Doors(sleepy, halting.app._desk, rules, time.monotonic)

    async def many() -> tuple[list[int], int, int]:
        said = [one.status for one in await asyncio.gather(*(slow.asked("GET", "/v1/health") for _ in range(5)))]
        kept = (await slow.asked("GET", "/v1/health")).status
        await asyncio.sleep(0.4)
        return said, kept, (await slow.asked("GET", "/v1/health")).status

    said, kept, after = halting.loop.run_until_complete(many())
    assert sorted(said) == [429, 429, 429, 503, 503]
    assert (kept, after) == (429, 503)
    halting.loop.run_until_complete(asyncio.sleep(0.4))


def test_a_damaged_home_is_told_without_its_innards(halting: Served) -> None:
    """A broken chain stays readable as such; a changed object is a 503 or a named fault, never an unforeseen error."""
    order = intents(halting.home)[0]["client_order_id"]
    for path in (halting.home / "store" / "positions" / LAST).glob("*.parquet"):
        flip(path)
    assert halting.get("/v1/positions").status == 503
    assert halting.get("/", "", headers=(cookie(halting),)).status == 503
    assert str(halting.home) not in halting.get("/v1/positions").text
    assert halting.get(f"/v1/orders/{order}").status == 200  # of the first session, which does not rest on it
    shutil.rmtree(halting.home / "store")
    halting.at += dt.timedelta(seconds=16)  # an answer is kept for fifteen
    assert halting.get(f"/v1/orders/{order[:20]}").status == 503


def test_a_mandate_that_cannot_be_read_shows_nothing_and_still_stops(
    halting: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which account is masked is not known then: views are 503, the switch works."""
    (tmp_path / "mandate.yaml").write_text("account: [")
    monkeypatch.setenv("MARKETBOT_MANDATE", str(tmp_path / "mandate.yaml"))
    assert halting.get("/v1/health", "").status == 200
    assert {halting.get(filled(path, halting.home)).status for path in READS} == {503}
    assert halting.get("/", "", headers=(cookie(halting),)).status == 503
    assert halting.ask("POST", "/v1/halt", "operator", body=b'{"reason":"stop"}').status == 200
    assert (halting.home / "HALT").exists()


def test_a_home_without_a_book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was run: health answers, everything else says so, and nothing is made."""
    monkeypatch.setenv("MARKETBOT_HOME", str(tmp_path / "home"))
    world = Served(tmp_path / "home")
    before = fingerprint(tmp_path / "home")
    assert world.get("/v1/health", "").status == 200
    assert [world.get(path).status for path in ("/v1/status", "/v1/positions", "/v1/decisions")] == [404] * 3
    assert "no book yet" in world.get("/", "", headers=(cookie(world),)).text
    assert fingerprint(tmp_path / "home") == before
    world.close()


def test_answers_are_kept_a_moment_and_a_halt_is_told_at_once(halting: Served) -> None:
    """Two seconds beside a run, fifteen without one; the switch is never shown late."""

    def size() -> int:
        return int(halting.get("/v1/status").json["ledger"]["size"])

    ledger, first = Lake(halting.home).ledger, size()
    ledger.append("run_failed", f"{LAST}/x/1", {"step": "x", "reason": "y"})
    assert size() == first
    halting.at += dt.timedelta(seconds=2)
    assert size() == first + 1
    (halting.home / "HALT").write_text("stop")
    assert halting.get("/v1/status").json["halt"]["status"] == "unreadable"
    for path in (halting.home / "store" / "positions" / LAST).glob("*.parquet"):
        held = halting.get("/v1/positions").body
        flip(path)
    halting.at += dt.timedelta(seconds=14)
    assert halting.get("/v1/positions").body == held
    halting.at += dt.timedelta(seconds=1)
    assert halting.get("/v1/positions").status == 503


def test_buckets_let_through_what_they_say_and_forget_the_oldest() -> None:
    """Counted by hand: a burst of 3, then 2 per second; a clock that is set back gives nothing."""
    buckets = Buckets(2.0, 3.0, most=2)
    assert [buckets.take("a", 0.0) for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    assert buckets.take("a", 0.5) == 0.0
    assert buckets.take("a", 0.5) == 0.5
    assert buckets.take("a", -100.0) == 0.5
    buckets.take("b", 1.0)
    buckets.take("c", 1.0)
    assert len(buckets) == 2


def test_tokens_are_kept_as_salted_hashes_in_a_private_file(tmp_path: Path, marketbot: Command) -> None:
    """Shown once; the file is 0600, holds no secret, and is refused once others may read it; two equal names cannot be good."""
    home = tmp_path / "home"
    home.mkdir()
    made = marketbot(home, "token", "create", "grafana", "--scope", "read", "--days", "3", "--json").json
    file = home / "api" / "tokens.json"
    secret = made["token"].rpartition("_")[2]
    assert oct(file.stat().st_mode)[-3:] == "600"
    assert secret not in file.read_text()
    (kept,) = json.loads(file.read_text())["tokens"]
    assert kept["sha256"] == hashlib.sha256(f"{kept['salt']}:{secret}".encode()).hexdigest()
    assert len(secret) == 64
    again = marketbot(home, "token", "create", "grafana", "--scope", "read")
    assert (again.code, again.out) == (2, "")
    listed = marketbot(home, "token", "list", "--json").json["tokens"]
    assert [(one["name"], one["scope"], one["state"]) for one in listed] == [("grafana", "read", "good")]
    assert secret not in marketbot(home, "token", "list").out
    assert marketbot(home, "token", "revoke", "nobody").code == 2
    assert marketbot(home, "token", "revoke", "grafana").code == 0
    assert marketbot(home, "token", "list", "--json").json["tokens"][0]["state"] == "revoked"
    for name in ("", "a b", "../x", "x" * 41, "a\n"):
        assert marketbot(home, "token", "create", name, "--scope", "read").code == 2, name
    file.chmod(0o644)
    assert marketbot(home, "token", "list").code == 2
    with pytest.raises(HomeError, match="mode 0600"):
        Tokens(home).find(made["token"], BEGAN)
    file.chmod(0o600)
    file.write_text("{}")
    assert marketbot(home, "token", "list").code == 2


def test_equal_tokens_of_two_homes_do_not_open_each_other(tmp_path: Path) -> None:
    """Ids and salts are random: the same name elsewhere is another token."""
    first, second = Tokens(tmp_path / "a"), Tokens(tmp_path / "b")
    for tokens in (first, second):
        tokens._folder.path.parent.mkdir()
    _, text = first.create("x", Scope.READ, 1, BEGAN)
    second.create("x", Scope.READ, 1, BEGAN)
    assert first.find(text, BEGAN) is not None
    assert second.find(text, BEGAN) is None
    assert first.find(text, BEGAN + dt.timedelta(days=1)) is None


@pytest.mark.parametrize(
    "arguments",
    [
        ("--host", "0.0.0.0"),
        ("--host", "::"),
        ("--host", "192.0.2.1"),
        ("--host", "localhost"),
        ("--proxy", "everyone"),
        ("--name", "a/b"),
    ],
)
def test_serve_stays_on_this_machine_unless_told(
    finished: Path, marketbot: Command, arguments: tuple[str, ...]
) -> None:
    """An address that others reach needs a flag; what is no address is refused; one line, exit 2."""
    said = marketbot(finished, "serve", "--port", "0", *arguments)
    assert said.code == 2
    assert said.err.count("\n") == 1
