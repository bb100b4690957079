"""What `doctor` says of the HTTP interface: whether its tokens last, and whether links of asset pages lead anywhere."""

import datetime as dt

from marketbot_assets.commands.finding import Finding
from marketbot_resources import settings
from marketbot_resources.errors import HomeError
from marketbot_resources.tokens import Scope, Token, Tokens

SOON = dt.timedelta(days=7)


def page_findings(now: dt.datetime) -> list[Finding]:
    """One line for the tokens, one for the address when there is one; none of either in a home without a token."""
    try:
        tokens = Tokens(settings.home()).every()
    except HomeError as error:
        return [
            Finding("tokens", False, str(error), "chmod 600 the file, or remove it and make tokens anew"),
            *_address(),
        ]
    return [*([_tokens(tokens, now)] if tokens else []), *_address()]


def _tokens(tokens: list[Token], now: dt.datetime) -> Finding:
    """Not good when for a scope that was used so far none lasts another week, unless its last one was revoked on purpose."""
    good = [one for one in tokens if one.good(now)]
    told, lacking = [], []
    for scope in Scope:
        ends = [
            dt.datetime.fromisoformat(one.expires_at) for one in tokens if one.scope == scope and not one.revoked_at
        ]
        last = max(ends, default=None)
        told.append(f"{sum(one.scope == scope for one in good)} {scope.value}")
        if last is not None and last < now + SOON:
            lacking.append(
                f"the last {scope.value} token {'ends' if last > now else 'ended'} {last:%Y-%m-%d %H:%M} UTC"
            )
    found = f"{', '.join(told)} good; {'; '.join(lacking) or 'none ends within a week'}"
    mend = "marketbot token create NAME --scope SCOPE, or `marketbot token revoke` what is not needed any more"
    return Finding("tokens", not lacking, found, mend)


def _address() -> list[Finding]:
    try:
        address = settings.pages_url()
    except HomeError as error:
        return [Finding("pages", False, str(error), "export MARKETBOT_PAGES_URL=https://HOST, or unset it")]
    return [Finding("pages", True, f"links of asset pages lead to {address}", "")] if address else []
