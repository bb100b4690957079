"""The address of a request as it is sent and kept: parameters joined to its query. Pure."""

from collections.abc import Mapping
from urllib.parse import urlencode


def full_address(url: str, *more: Mapping[str, str]) -> str:
    """The address with parameters added to its query, in the order given."""
    query = "&".join(urlencode(params) for params in more if params)
    if not query:
        return url
    bare, mark, fragment = url.partition("#")
    return f"{bare}{'&' if '?' in bare else '?'}{query}{mark}{fragment}"
