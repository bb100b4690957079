"""S8: no address of ours is ever asked, however it is written, resolved, resolved again, or redirected to."""

import asyncio
import datetime as dt
import ipaddress
import ssl
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from fetch.harness import bad, good, make_fetcher, one
from fetch.vendor_server import VendorServer
from hypothesis import given
from hypothesis import strategies as st

from marketbot_resources.errors import ProviderError
from marketbot_resources.fetch.address import AddressGuard, is_public, machine_resolve
from marketbot_resources.fetch.policy import FEED_TERMS

PUBLIC = "93.184.215.14"
BODY = b"<rss/>"
NOT_PUBLIC = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.8.8.8",
    "169.254.169.254", "169.254.0.1", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.192", "192.0.2.1", "192.88.99.1",
    "192.168.0.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.9", "224.0.0.1", "239.255.255.255", "240.0.0.1",
    "255.255.255.255", "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:93.184.215.14", "::127.0.0.1",
    "64:ff9b::7f00:1", "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::1", "2002:a9fe:a9fe::", "3fff::1",
    "fc00::1", "fd00:ec2::254", "fdff::1", "fe80::1", "fe80::1%1", "febf::1", "fec0::1", "ff02::1", "5f00::1",
    "", "localhost", "1.2.3", "1.2.3.4.5", "010.8.8.8", "0x7f.0.0.1",
]  # fmt: skip


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_these_are_not_on_the_internet(address: str) -> None:
    """IANA's special-purpose registries, multicast, what carries another address, and what is no address."""
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "8.8.8.8", PUBLIC, "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0",
     "192.167.255.255", "192.169.0.0", "223.255.255.255", "2606:4700::1111", "2a00:1450::1", "2001:4860:4860::8888"],
)  # fmt: skip
def test_these_are_on_the_internet(address: str) -> None:
    """Their neighbours."""
    assert is_public(address)


@given(st.ip_addresses())
def test_the_standard_library_agrees_on_what_is_dangerous(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    """A second opinion: whatever ipaddress calls private, loopback, link-local, multicast, reserved is not public here."""
    dangerous = (
        address.is_private,
        address.is_loopback,
        address.is_link_local,
        address.is_multicast,
        address.is_reserved,
    )
    assert not (any(dangerous) and is_public(str(address)))


def resolver(*answers: Sequence[str]):  # type: ignore[no-untyped-def]
    """Gives its answers in turn, the last one for ever; `asked` counts."""
    asked: list[str] = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return list(answers[min(len(asked), len(answers)) - 1])

    resolve.asked = asked  # type: ignore[attr-defined]
    return resolve


@pytest.mark.parametrize(
    "url",
    ["http://feeds.example/rss", "ftp://feeds.example/", "file:///etc/passwd", "gopher://feeds.example/", "//feeds.example/",
     "feeds.example", "", "https://", "https://user@feeds.example/", "https://user:pw@feeds.example/", "https://:pw@feeds.example/",
     "https://feeds.example:8443/", "https://feeds.example:22/", "https://feeds.example:80/", "javascript:alert(1)",
     "https://[::1", "https://feeds.example:99999/", "https://a\nb/", "https://\x00/", "data:text/html,x", "https://[fe80::1%25eth0]/"],
)  # fmt: skip
def test_the_form_of_an_address_is_judged_before_anything_is_resolved(tmp_path: Path, url: str) -> None:
    """https, no user, no port but 443; the fetcher says why and asks nobody."""
    stub = resolver([PUBLIC])
    failure = bad(one(make_fetcher(tmp_path, resolve=stub, local_hosts=frozenset()), url))
    assert "expected" in failure.reason
    assert "pw@" not in failure.reason
    assert stub.asked == []


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
     "169.254.169.254", "10.0.0.8", "[fd00:ec2::254]", "[fe80::1]", "0.0.0.0", "localhost", "127\uff0e1"],
)  # fmt: skip
def test_however_an_address_is_written_it_is_judged(tmp_path: Path, host: str) -> None:
    """The machine's own resolver reads decimal, octal and short forms: what it answers is judged, not the text."""
    failure = bad(one(make_fetcher(tmp_path, local_hosts=frozenset(), attempts_max=1), f"https://{host}/"))
    assert "expected" in failure.reason
    assert "expected to" not in failure.reason


@pytest.mark.parametrize("second", [*[a for a in NOT_PUBLIC if ":" in a or a.count(".") == 3][:45]])
def test_one_bad_answer_among_good_ones_is_enough(second: str) -> None:
    """A name that also points to us is refused as a whole."""
    guard = AddressGuard(resolver([PUBLIC, second]))
    with pytest.raises(ProviderError, match="on the internet"):
        asyncio.run(guard.pin(guard.parsed("https://feeds.example/rss")))
    with pytest.raises(ProviderError, match="judged"):
        guard.addresses("feeds.example")


def test_a_name_is_resolved_once(tmp_path: Path) -> None:
    """DNS rebinding: the second answer is private, and is never asked for; the next batch asks, and refuses."""
    stub = resolver(["127.0.0.1"], ["10.0.0.1"])
    with VendorServer({"/a": BODY}) as server:
        fetcher = make_fetcher(tmp_path, resolve=stub, local_hosts=frozenset({"feeds.example"}), memo_bytes_max=0)
        server.misbehave("503", times=2)
        assert good(one(fetcher, f"http://feeds.example:{server.port}/a")).content == BODY
        assert stub.asked == ["feeds.example"]
        assert {asked.headers["host"] for asked in server.requests} == {f"feeds.example:{server.port}"}
        assert "10.0.0.1" in bad(one(fetcher, f"http://feeds.example:{server.port}/a")).reason
        assert server.asked() == 3


def test_an_allowance_for_tests_allows_loopback_and_nothing_else() -> None:
    """A name of this machine may not point into the network either."""
    guard = AddressGuard(resolver(["192.168.0.1"]), ["feeds.example"])
    with pytest.raises(ProviderError, match="on the internet"):
        asyncio.run(guard.pin(guard.parsed("http://feeds.example:8080/")))
    with pytest.raises(ProviderError, match="https"):
        guard.parsed("http://feeds.example.org/")


RELAY = "172.30.57.11"


@pytest.mark.parametrize(
    ("address", "answers", "allowed"),
    [
        ("https://feeds.example/rss", [RELAY], True),
        ("https://feeds.example/rss", [PUBLIC, RELAY], True),
        ("https://feeds.example/rss", ["172.30.57.12"], False),
        ("https://feeds.example/rss", [RELAY, "172.30.57.10"], False),
        ("https://feeds.example/rss", ["169.254.169.254"], False),
        (f"https://{RELAY}/", [RELAY], False),
    ],
)
def test_a_relay_is_one_address_and_reached_by_a_name(address: str, answers: list[str], allowed: bool) -> None:
    """The relay's own network stays closed but for it; it judges by the name, so a number is not let through."""
    guard = AddressGuard(resolver(answers), relay=RELAY)
    url = guard.parsed(address)
    if allowed:
        asyncio.run(guard.pin(url))
        assert guard.addresses("feeds.example") == tuple(answers)
    else:
        with pytest.raises(ProviderError, match="on the internet"):
            asyncio.run(guard.pin(url))


def test_without_a_relay_its_address_is_like_any_other() -> None:
    """Private, and refused; plain http is refused with a relay, too."""
    guard = AddressGuard(resolver([RELAY]))
    with pytest.raises(ProviderError, match="on the internet"):
        asyncio.run(guard.pin(guard.parsed("https://feeds.example/")))
    with pytest.raises(ProviderError, match="https"):
        AddressGuard(resolver([RELAY]), relay=RELAY).parsed("http://feeds.example/")


def test_a_name_without_an_address_is_tried_again(tmp_path: Path) -> None:
    """A name server that is away is a broken connection."""

    async def away(host: str, port: int) -> list[str]:
        raise OSError("Name or service not known")

    assert "(4 attempts)" in bad(one(make_fetcher(tmp_path, resolve=away), "https://feeds.example/")).reason
    assert "(4 attempts)" in bad(one(make_fetcher(tmp_path, resolve=resolver([])), "https://feeds.example/")).reason


def test_a_name_server_that_hangs_does_not_hold_the_batch(tmp_path: Path) -> None:
    """The time of an attempt covers the resolution."""

    async def never(host: str, port: int) -> list[str]:
        await asyncio.sleep(60)
        return [PUBLIC]

    fetcher = make_fetcher(tmp_path, resolve=never, default_terms=FEED_TERMS, batch_seconds=0.2)
    assert "deadline" in bad(one(fetcher, "https://feeds.example/")).reason


def test_the_machine_resolves_numbers() -> None:
    """The default resolver, without a name server."""
    assert asyncio.run(machine_resolve("127.0.0.1", 443)) == ["127.0.0.1"]


def certificate(name: str, folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate for a name, signed by itself, and the context of a server that has its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    start = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=36500))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / f"{name}.pem", folder / f"{name}.key"
    public.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return public, context


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[tuple[VendorServer, Path, list[str]]]:
    """An https server for feeds.example, its certificate, and the names that clients asked for by SNI."""
    public, context = certificate("feeds.example", tmp_path)
    names: list[str] = []
    context.sni_callback = lambda connection, name, _: names.append(str(name))  # type: ignore[assignment]
    with VendorServer({"/rss": BODY}, tls=context) as server:
        yield server, public, names


def test_a_pinned_connection_keeps_its_name(tmp_path: Path, secure: tuple[VendorServer, Path, list[str]]) -> None:
    """TLS and Host name the feed, the connection goes to the judged address; the certificate must be the name's."""
    server, public, names = secure
    trust = ssl.create_default_context(cafile=str(public))
    hosts = frozenset({"feeds.example", "other.example"})
    fetcher = make_fetcher(tmp_path, resolve=resolver(["127.0.0.1"]), local_hosts=hosts, tls=trust)
    assert good(one(fetcher, f"https://feeds.example:{server.port}/rss")).content == BODY
    assert names == ["feeds.example"]
    assert server.requests[0].headers["host"] == f"feeds.example:{server.port}"
    wrong = bad(one(fetcher, f"https://other.example:{server.port}/rss"))
    assert "certificate" in wrong.reason.lower()
    assert "(not retried)" in wrong.reason
    assert server.asked() == 1


def test_an_unknown_authority_is_refused(tmp_path: Path, secure: tuple[VendorServer, Path, list[str]]) -> None:
    """Certificates are verified by default, and what is not trusted is not asked again."""
    server, _, _ = secure
    fetcher = make_fetcher(tmp_path, resolve=resolver(["127.0.0.1"]), local_hosts=frozenset({"feeds.example"}))
    failure = bad(one(fetcher, f"https://feeds.example:{server.port}/rss"))
    assert "certificate" in failure.reason.lower()
    assert "(not retried)" in failure.reason
    assert server.asked() == 0


def test_feeds_have_small_bounds() -> None:
    """S8: 5 MB and 10 s."""
    assert (FEED_TERMS.body_bytes_max, FEED_TERMS.seconds_max) == (5_000_000, 10.0)
