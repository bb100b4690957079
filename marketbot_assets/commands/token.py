"""`token create`, `token list`, `token revoke`: what is shown of tokens. Not here: how they are kept (`tokens`)."""

from typing import TYPE_CHECKING

from marketbot_resources import settings
from marketbot_resources.clock import machine_now
from marketbot_resources.tokens import Scope, Tokens

if TYPE_CHECKING:
    from marketbot_resources.tokens import Token

View = dict[str, object]


def create_now(name: str, scope: str, days: int) -> View:
    """Makes a token; the only view that ever holds one. Raises UsageError for a name that is taken or odd."""
    at = machine_now()
    made, text = Tokens(settings.home()).create(name, Scope(scope), days, at)
    return {**_told(made, made.state(at)), "token": text}


def list_now() -> View:
    """Every token without its secret."""
    at = machine_now()
    return {"tokens": [_told(one, one.state(at)) for one in Tokens(settings.home()).every()]}


def revoke_now(name: str) -> View:
    """Ends the tokens of a name. Raises UsageError when there is none of that name."""
    at = machine_now()
    return {"revoked": [_told(one, "revoked") for one in Tokens(settings.home()).revoke(name, at)]}


def _told(one: "Token", state: str) -> View:
    names = ("id", "name", "scope", "created_at", "expires_at")
    return {**{name: getattr(one, name) for name in names}, "state": state}


def create_lines(view: View) -> list[str]:
    """The token, and that it is shown once."""
    return [
        f"token  {view['token']}",
        f"for    {view['name']}, scope {view['scope']}, until {view['expires_at']}",
        "It is shown this once: keep it where secrets are kept. `marketbot token revoke` ends it.",
    ]


def list_lines(view: View) -> list[str]:
    """One line per token."""
    rows = view["tokens"]
    assert isinstance(rows, list)
    lines = [
        f"{row['name']:<20} {row['scope']:<9} {row['state']:<8} until {row['expires_at']}  {row['id']}" for row in rows
    ]
    return lines or ["no tokens; make one: marketbot token create NAME --scope read"]


def revoke_lines(view: View) -> list[str]:
    """Which tokens ended."""
    rows = view["revoked"]
    assert isinstance(rows, list)
    return [f"revoked {row['name']} {row['id']}" for row in rows] or ["nothing to revoke: it was not good any more"]
