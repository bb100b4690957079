"""The main job on two web services: one fails, the other serves; both fail, nothing is decided; they come back, nothing is lost."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest
from fetch.harness import PatientTime
from fetch.vendor_server import VendorServer
from graph_world import FIRST, NEXT, SECOND, Home
from vendor_world import CHART, KEY, TIINGO, Services, VendorPorts, asked, chart, routes, us_bars, vendor_mandate

from marketbot_assets.automation import has_landed
from marketbot_resources.mandate import parse_mandate
from marketbot_resources.market.sample import SampleMarket
from marketbot_resources.sessions import end_state
from marketbot_resources.store.resource import session_from_key
from marketbot_resources.vendor_ports import VendorMarket, listings

pytestmark = pytest.mark.graph
PORTS = {"ports": VendorPorts()}


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    """Both services, and a mandate that names them."""
    monkeypatch.setenv("MARKETBOT_MANDATE", str(vendor_mandate(tmp_path)))
    with VendorServer(routes()) as server:
        made = Services(server, tmp_path / "home", PatientTime())
        monkeypatch.setattr(VendorPorts, "services", made, raising=False)
        yield made


def closes(home: Home, session: str) -> dict[str, float]:
    frame = home.frame("prices", session)
    own = frame[frame["session"] == session]
    return dict(zip(own["instrument"], own["close"], strict=True))


def test_a_sensor_that_asks_again_sees_what_has_landed_since(services: Services) -> None:
    """A probe from a process that lives long is no memory of the first answer: the day's bar is seen once it is there."""
    mandate = parse_mandate((services.home.parent / "mandate.yaml").read_text(encoding="utf-8"))
    market = VendorMarket(asked(services), mandate, listings(mandate), rates=SampleMarket().fx)
    session, evening = session_from_key(FIRST), dt.datetime(2018, 12, 13, 1, 45, tzinfo=dt.UTC)
    for bars in us_bars():
        services.server.serve(CHART + bars.listing.ticker, chart(bars, session - dt.timedelta(days=1)))
        services.server.serve(f"{TIINGO}{bars.listing.ticker}/prices", b"[]")
    assert not has_landed(market, "XNYS", mandate.schedule, session, evening)
    for bars in us_bars():
        services.server.serve(CHART + bars.listing.ticker, chart(bars, session))
    assert has_landed(market, "XNYS", mandate.schedule, session, evening)


@pytest.mark.long
def test_fallback_outage_and_recovery(services: Services, tmp_path: Path) -> None:
    """Who served is recorded and switches without a word from the bars; an outage decides nothing; no bar is missing afterwards."""
    home = Home(tmp_path / "home")
    assert home.run(FIRST, PORTS), home.lake.ledger.entries("run_failed")[-1].body
    assert set(home.frame("raw_prices", FIRST)["source"]) == {"yahoo"}
    assert home.end(FIRST).state == "sent"
    services.down(CHART)
    undescribed = us_bars()[0].listing
    services.server.misbehave(
        "404", route=f"{TIINGO}{undescribed.ticker}"
    )  # its bars are served, its description is not
    assert home.run(SECOND, PORTS), home.lake.ledger.entries("run_failed")[-1].body
    assert set(home.frame("raw_prices", SECOND)["source"]) == {"tiingo"}
    today = home.frame("instruments", SECOND).set_index("ticker")
    assert (len(today), bool(today.loc[undescribed.ticker, "in_universe"])) == (20, False)  # known, held, not bought
    manifest = home.lake.manifest(home.lake.index.newest("raw_prices", SECOND))
    assert {one["provider"] for one in manifest["refusals"]} == {"yahoo"}
    quality = home.frame("data_quality", SECOND)
    assert "quarantine" not in set(quality.loc[quality["rule"] == "providers_agree", "outcome"])

    services.down(TIINGO)
    before = (home.lake.ledger.entries("batch_frozen"), home.lake.ledger.entries("order_intent"))
    assert not home.run(NEXT, PORTS)
    assert (home.lake.ledger.entries("batch_frozen"), home.lake.ledger.entries("order_intent")) == before
    assert "expected an answer of a provider, found none" in str(home.lake.ledger.entries("run_failed")[-1].body)
    assert end_state(home.lake.ledger, session_from_key(NEXT)).state == "failed"
    refused = [blob for _, blob in home.lake.index.numbered_blobs() if blob.part == NEXT and blob.provider == "tiingo"]
    assert 503 in {blob.status for blob in refused}  # what the services said is kept

    services.up()
    assert home.run(NEXT, PORTS), home.lake.ledger.entries("run_failed")[-1].body
    assert home.end(NEXT).state == "sent"
    assert set(home.frame("raw_prices", NEXT)["source"]) == {"yahoo"}
    expected = {day: {} for day in (FIRST, SECOND, NEXT)}
    for bars in us_bars():
        for day in expected:
            place = bars.sessions.index(session_from_key(day))
            name = home.instrument(f"listing:{bars.listing.mic}:{bars.listing.ticker}", day)
            expected[day][name] = float(bars.close[place])
    for day, values in expected.items():
        assert closes(home, day) == pytest.approx(values, rel=1e-12), day

    assert KEY not in "".join(path.read_text(errors="replace") for path in home.path.rglob("*.json"))
