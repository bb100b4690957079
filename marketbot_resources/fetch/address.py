"""Which addresses may be asked: https to public hosts, resolved once, and connected to exactly what was judged.

A name that a user gives (a feed) may point into our own network, or do so on its second resolution: every address of a name
is judged before the first byte, and the connection goes to the judged address while TLS and Host keep the name.
"""

import asyncio
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Iterable

import httpcore
import httpx

from marketbot_resources.errors import ProviderError

Resolve = Callable[[str, int], Awaitable[list[str]]]
_TRIED_MAX = 3
_PORT = 443
_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}|[0-9A-Fa-f:.]{2,45}")
# Special-purpose addresses of the IANA registries, and multicast: none of them is a service on the internet.
_NOT_PUBLIC_4 = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
_GLOBAL_6 = ipaddress.IPv6Network("2000::/3")
# Inside of 2000::/3: protocol assignments with Teredo, documentation, 6to4 (it carries any IPv4 address), the AS112 sink.
_NOT_PUBLIC_6 = tuple(
    ipaddress.IPv6Network(network)
    for network in ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")
)


def host_of(url: httpx.URL) -> str:
    """The host as it is resolved and connected to: ASCII."""
    return url.raw_host.decode("ascii")


def is_public(address: str) -> bool:
    """Whether an IP address is one of the internet; False for what is no IP address."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv4Address):
        return not any(found in network for network in _NOT_PUBLIC_4)
    return found in _GLOBAL_6 and not any(found in network for network in _NOT_PUBLIC_6)


async def machine_resolve(host: str, port: int) -> list[str]:
    """The addresses of a name, as the machine's resolver orders them. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


class AddressGuard:
    """Judges addresses and remembers what a name resolved to, for the life of one batch.

    `local_hosts`: names, for tests, that may use plain http and any port and that resolve to loopback addresses.
    `relay`: the one address of our own network that https may go to; what stands there passes it on, or not, by the host's name.
    """

    def __init__(self, resolve: Resolve, local_hosts: Iterable[str] = (), relay: str | None = None) -> None:
        self._resolve, self._local, self._relay = resolve, frozenset(local_hosts), relay
        self._pins: dict[str, asyncio.Task[tuple[str, ...]]] = {}

    def parsed(self, text: str) -> httpx.URL:
        """The address, when its form may be asked. Raises ProviderError."""
        try:
            url = httpx.URL(text)
        except (httpx.InvalidURL, ValueError) as error:
            raise ProviderError("expected an address, found one that cannot be read") from error
        host = host_of(url)
        where = f"{url.scheme}://{host}"
        if not host or url.scheme not in ("https", "http"):
            raise ProviderError(f"expected an https address, found {where}")
        if not _HOST.fullmatch(host):
            raise ProviderError("expected a host name or an IP address, found other characters in it")
        if url.userinfo:
            raise ProviderError(f"expected {where} without user or password in the address")
        if host in self._local:
            return url
        if url.scheme != "https":
            raise ProviderError(f"expected https, found {where}")
        if url.port not in (None, _PORT):
            raise ProviderError(f"expected {where} at port {_PORT}, found port {url.port}")
        return url

    async def pin(self, url: httpx.URL) -> None:
        """Resolves the host, once, and judges every answer. Raises ProviderError, OSError when it has none."""
        host = host_of(url)
        if host not in self._pins:
            self._pins[host] = asyncio.ensure_future(self._judged(host, url.port or _PORT))
        task = self._pins[host]
        try:
            await asyncio.shield(task)
        except OSError:
            self._pins.pop(host, None)  # asked again with the next attempt: nothing was pinned
            raise

    def addresses(self, host: str) -> tuple[str, ...]:
        """The judged addresses of a host. Raises ProviderError when it was not judged: a bug."""
        task = self._pins.get(host)
        if task is None or not task.done() or task.cancelled() or task.exception() is not None:
            raise ProviderError(f"expected {host} to be judged before a connection")
        return task.result()

    async def _judged(self, host: str, port: int) -> tuple[str, ...]:
        found = tuple(dict.fromkeys(await self._resolve(host, port)))
        for address in found:
            allowed = is_public(address) or self._is_relay(host, address)
            if not allowed and not (host in self._local and _is_loopback(address)):
                raise ProviderError(f"expected {host} on the internet, found that it points to {address}")
        if not found:
            raise OSError(f"{host} has no address")
        return found

    def _is_relay(self, host: str, address: str) -> bool:
        """By a name alone: an address in numbers is never the relay's word."""
        return self._relay is not None and address == self._relay and host != address


class PinnedBackend(httpcore.AsyncNetworkBackend):
    """Connects to the judged addresses of a host, in their order, and to nothing else."""

    def __init__(self, guard: AddressGuard) -> None:
        self._guard, self._backend = guard, httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """A connection to the first address that takes one."""
        last: Exception | None = None
        for address in self._guard.addresses(host)[:_TRIED_MAX]:
            try:
                return await self._backend.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                last = error
        assert last is not None
        raise last

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Never."""
        raise ProviderError(f"expected an internet address, found the socket {path}")

    async def sleep(self, seconds: float) -> None:
        """Waits."""
        await self._backend.sleep(seconds)


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
