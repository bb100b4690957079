"""Plants at servers: web services of prices, a broker over HTTP, language models. Not here: the others (`incident_plants`)."""

import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from incident_world import World, at_home

# isort: split
import alpaca_server
import yaml
from broker_home import at_broker, serving, write_mandate
from fetch.harness import PatientTime
from fetch.vendor_server import VendorServer
from graph_world import AFTER, FIRST, NEXT, Home
from provider_server import Asked, ProviderServer, Reply
from vendor_world import CHART, TIINGO, Services, VendorPorts, routes, vendor_mandate


def ran(world: World, home: Home, session: str = NEXT, **ports: Any) -> Home:
    world.run(home, session, ports or None)
    return home


@contextmanager
def _services(world: World) -> Iterator[Services]:
    plain = yaml.safe_load(vendor_mandate(world.new().path.parent).read_text(encoding="utf-8"))
    world.mandate(plain=plain, heartbeat={"method": "POST"})
    with VendorServer(routes()) as server:
        made = Services(server, world.new().path, PatientTime())
        VendorPorts.services = made
        yield made


def provider_down(world: World) -> Home:
    """Both web services of prices answer 503."""
    with _services(world) as services:
        services.down(CHART)
        services.down(TIINGO)
        home = Home(services.home)
        return ran(world, home, FIRST, ports=VendorPorts())


def _alpaca(world: World, faults: str, at: str, **more: Any) -> tuple[Home, Any, dict[str, Any]]:
    home = world.new()
    server = alpaca_server.open_server(
        home.path.with_suffix(".alpaca"), seed=7, faults=faults, now=at, cash="1000000", shares={}
    )
    broker = (
        f"{{name: alpaca, environment: paper, account: {alpaca_server.NUMBER}, participation_max: 0.02, "
        "dedupes_client_id: true, resend: false}"
    )
    path = write_mandate(world.folder / "broker.yaml", broker, "19:30")
    world.mandate(plain=yaml.safe_load(path.read_text(encoding="utf-8")))
    os.environ |= {
        "MARKETBOT_BROKER_URL": server.base,
        "APCA_API_KEY_ID": more.get("key", alpaca_server.KEY),
        "APCA_API_SECRET_KEY": alpaca_server.SECRET,
    }
    return home, server, at_broker(server.base)


EVENING = "2018-12-13T00:40:00+00:00"


def broker_away(world: World) -> Home:
    """Nobody listens at the broker's address any more."""
    home, server, ports = _alpaca(world, "", EVENING)
    with serving(server), socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        os.environ["MARKETBOT_BROKER_URL"] = f"http://127.0.0.1:{closed.getsockname()[1]}"
        return ran(world, home, FIRST, **ports)


def key_expired(world: World) -> Home:
    """F42: the broker's server does not know the key any more: HTTP 401 or 403."""
    home, server, ports = _alpaca(world, "", EVENING, key="PKEXPIRED00000000001")
    with serving(server):
        return ran(world, home, FIRST, **ports)


def in_doubt(world: World) -> Home:
    """The server takes nothing and answers 504; a resend is forbidden, so nobody knows."""
    home, server, ports = _alpaca(world, "lose_504=1.0", EVENING)
    with serving(server):
        return ran(world, home, FIRST, **ports)


def clock_off(world: World) -> Home:
    """The broker's clock is ten minutes from ours (RC-83)."""
    home, server, ports = _alpaca(world, "drift=600", EVENING)
    with serving(server):
        return ran(world, home, FIRST, **ports)


def left_open(world: World) -> Home:
    """Orders stay open at the broker after the close of their session; they are followed, then a tick."""
    home, server, ports = _alpaca(world, "", EVENING)
    with serving(server):
        world.run(home, FIRST, ports)
        server.control({"do": "pass_to", "at": "2018-12-13T20:50:00+00:00"})
        for order in server.truth.orders():
            server.truth.set_status(order["id"], "accepted")
        server.control({"do": "pass_to", "at": "2018-12-13T21:30:00+00:00"})
        for order in server.truth.orders():
            server.truth.set_status(order["id"], "accepted")
        world.run(home, FIRST, ports, job="order_following")
        world.tick(home)
    return home


CHEAP = {
    "provider": "openai",
    "model": "gpt-test",
    "knowledge_cutoff": "2018-10-31",
    "usd_per_million_input": 2.5,
    "usd_per_million_output": 10.0,
}


def _asking(world: World, *replies: Any, per_day: float = 0.5, kills: bool = False) -> Home:
    """A mandate that asks one model at a server of ours; the session, and with a second reply one more."""
    from marketbot_assets.commands.mandate import approve_now

    home = world.base()
    plain = yaml.safe_load((world.folder / "mandate.yaml").read_text(encoding="utf-8"))
    world.mandate(plain=plain | {"llm": {"chain": [CHEAP], "usd_per_day": per_day}})
    with ExitStack() as stack:
        server = stack.enter_context(ProviderServer(replies[0]))
        stack.enter_context(at_home(home))
        os.environ |= {"OPENAI_API_KEY": "sk-test-9f8e7d6c5b4a39281706", "MARKETBOT_LLM_URL": server.url}
        assert approve_now("ask for views")["needed"]
        for session, reply in zip((NEXT, AFTER), replies, strict=False):
            server.reply = reply
            world.run(home, session)
    return home


def _views(fingerprint: str) -> Callable[[Asked], Reply]:
    def views(asked: Asked) -> Reply:
        lines = [json.loads(line) for line in asked.turns[-1][1].splitlines() if line.startswith("{")]
        rows = [line for line in lines if line.get("facts") and "subject" in line][-10:]
        said = [{"subject": r["subject"], "score": 0.3, "confidence": 0.6, "evidence": [min(r["facts"])]} for r in rows]
        text = json.dumps({"themes": [], "sentiments": said, "risk_on": None, "quotes": []})
        return Reply(text=text, model="gpt-test-2018-09", fingerprint=fingerprint, tokens=(9000, 700))

    return views


def model_away(world: World) -> Home:
    return _asking(world, Reply(status=401, text="no such key"))


def model_refused(world: World) -> Home:
    """Answers that are no answer."""
    return _asking(world, Reply(text="buy everything"))


def model_dear(world: World) -> Home:
    return _asking(world, _views("fp_1"), per_day=0.0001)


def model_changed(world: World) -> Home:
    return _asking(world, _views("fp_1"), _views("fp_2"))
