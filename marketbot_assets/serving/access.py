"""Who asks, and whether they may: bearer tokens for the interface, sessions by cookie for the pages. Fail closed.

A cookie opens pages only, never the interface: a page elsewhere cannot make a browser pull the switch. Not here: how tokens
are kept (`tokens` of the resources).
"""

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from marketbot_assets.serving.desk import Clock
from marketbot_assets.serving.rates import Buckets
from marketbot_resources.tokens import Scope, Token, Tokens

COOKIE = "marketbot_session"
SESSION_SECONDS, SESSIONS_MAX = 8 * 3600, 200
DENIED_PER_SECOND, DENIED_BURST = 1.0, 10.0
BEARER = HTTPBearer(auto_error=False, description="A token of `marketbot token create`.")
Needs = Callable[..., object]


class Access:
    """Checks tokens, begins and ends sessions, and slows down whoever shows what is no token."""

    def __init__(self, tokens: Tokens, clock: Clock, per_second: float) -> None:
        self._tokens, self._clock = tokens, clock
        self._callers = Buckets(per_second, 2 * per_second)
        self._denied = Buckets(DENIED_PER_SECOND, DENIED_BURST)
        self._sessions: OrderedDict[str, tuple[str, float]] = OrderedDict()

    def needs(self, scope: Scope) -> Needs:
        """The dependency of a route of the interface: a good token of this scope, or 401, 403, 429."""

        async def caller(
            request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)]
        ) -> Token:
            token = self.checked(request, given.credentials if given else "")
            if not Scope(token.scope).covers(scope):
                raise HTTPException(403, f"expected a token of scope {scope.value}, found scope {token.scope}")
            return token

        return caller

    def checked(self, request: Request, text: str) -> Token:
        """The good token that a text is. Raises HTTPException 401, or 429 when it or its address asks too often."""
        at = self._clock()
        token = self._tokens.find(text, at)
        if token is None:
            address = request.client.host if request.client else ""
            self._slow(self._denied.take(address, at.timestamp()))
            raise HTTPException(401, "expected a token that is good", {"WWW-Authenticate": 'Bearer realm="marketbot"'})
        self._slow(self._callers.take(token.id, at.timestamp()))
        return token

    def begin(self, token: Token) -> str:
        """A new session of a token: what the cookie holds. Only its hash is kept, in memory."""
        made = secrets.token_urlsafe(32)
        self._sessions[_hash(made)] = (token.id, self._clock().timestamp() + SESSION_SECONDS)
        while len(self._sessions) > SESSIONS_MAX:
            self._sessions.popitem(last=False)
        return made

    def end(self, request: Request) -> None:
        """Ends the session of a request."""
        self._sessions.pop(_hash(request.cookies.get(COOKIE, "")), None)

    async def visitor(self, request: Request) -> Token:
        """The dependency of a page: a session whose token is still good, else off to the form."""
        at = self._clock()
        name, until = self._sessions.get(_hash(request.cookies.get(COOKIE, "")), ("", 0.0))
        token = self._tokens.by_id(name, at) if at.timestamp() < until else None
        if token is None:
            raise HTTPException(303, "log in", {"Location": "/login"})
        self._slow(self._callers.take(token.id, at.timestamp()))
        return token

    @staticmethod
    def _slow(wait: float) -> None:
        if wait:
            raise HTTPException(429, "too many requests", {"Retry-After": str(int(wait) + 1)})


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
