"""What vendors of several tables share: the window as strings, the status of an answer, XML bodies, dates written as text.

XML: no DOCTYPE, no entities, bounded size and depth; nothing outside of the body is ever opened. Not here: JSON (`vendor_json`).
"""

import datetime as dt
import re
from collections.abc import Mapping
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from marketbot_resources.errors import ProviderError
from marketbot_resources.market.vendor_json import SIZE_MAX, words
from marketbot_resources.provider import Response, Window

ELEMENTS_MAX, DEPTH_MAX = 1_000_000, 64
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def window_asked(window: Window) -> dict[str, str]:
    """The window as strings for `Request.asked`."""
    return {"since": window.since.isoformat() if window.since else "", "until": window.until.isoformat()}


def window_of(asked: Mapping[str, str]) -> Window:
    """The window that `window_asked` wrote."""
    since = asked["since"]
    return Window(dt.datetime.fromisoformat(since) if since else None, dt.datetime.fromisoformat(asked["until"]))


def in_window(known_at: dt.datetime, window: Window) -> bool:
    """Whether something became known in the window."""
    return (window.since is None or known_at > window.since) and known_at <= window.until


def demand_ok(provider: str, response: Response) -> None:
    """Raises ProviderError with the vendor's own words unless the status is 200."""
    if response.status != 200:
        found = f"{response.status}: {words(response.content)}"
        raise ProviderError(f"{provider}: expected status 200, found {found}; see the provider's page or try later")


def day(text: str) -> dt.date | None:
    """The date that a text writes as YYYY-MM-DD, None when it writes none."""
    try:
        return dt.date.fromisoformat(text) if _DATE.fullmatch(text) else None
    except ValueError:
        return None


def read_xml(provider: str, content: bytes) -> Element:
    """The root of an XML body, names as {namespace}name. A DOCTYPE, an entity declaration or too many elements are refused."""
    if len(content) > SIZE_MAX:
        raise ProviderError(f"{provider}: expected at most {SIZE_MAX} bytes, found {len(content)}")
    builder = TreeBuilder()
    parser = expat.ParserCreate(namespace_separator="}")
    parser.buffer_text = True
    seen, depth = 0, 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal seen, depth
        seen, depth = seen + 1, depth + 1
        if seen > ELEMENTS_MAX or depth > DEPTH_MAX:
            raise ProviderError(f"{provider}: expected at most {ELEMENTS_MAX} elements, {DEPTH_MAX} deep, found more")
        builder.start(_braced(name), {_braced(key): value for key, value in attributes.items()})

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(_braced(name))

    def refuse(*_: object) -> int:
        raise ProviderError(f"{provider}: expected XML without DOCTYPE and entities, found a declaration of one")

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.ExternalEntityRefHandler = refuse
    try:
        parser.Parse(content, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise ProviderError(f"{provider}: expected XML, found {words(content)} ({error})") from error
    return builder.close()


def _braced(name: str) -> str:
    return "{" + name if "}" in name else name
