"""Tokens for the HTTP interface: made once, shown once, kept as salted hashes in a file that only its owner reads.

A token is `mbt_<id>_<secret>`: the id finds its record, the secret is 256 random bits. One pass of SHA-256 over salt and
secret is enough: slow hashes such as scrypt defend words that people choose and others can guess; 256 random bits are
beyond guessing, and a slow hash for every request would be a lever to keep the server busy. Not here: who may do what
(`serving.access`), the commands (`commands.token`).
"""

import datetime as dt
import hashlib
import hmac
import json
import re
import secrets
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path

from marketbot_resources.errors import HomeError, UsageError
from marketbot_resources.model import utc_text
from marketbot_resources.private_folder import PrivateFolder

FOLDER, FILE = "api", "tokens.json"
DAYS_MAX, TOKENS_MAX = 366, 100
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}", re.ASCII)
_TOKEN = re.compile(r"mbt_([0-9a-f]{12})_([0-9a-f]{64})", re.ASCII)
_NO_HASH = hashlib.sha256(b"").hexdigest()


class Scope(StrEnum):
    """What a token may do: `read` looks, `operator` may halt, too."""

    READ = "read"
    OPERATOR = "operator"

    def covers(self, needed: "Scope") -> bool:
        """Whether a token of this scope may do what asks for `needed`."""
        return self is Scope.OPERATOR or needed is Scope.READ


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it is kept: no secret of it. Instants are RFC 3339, UTC; `revoked_at` is empty while it is good."""

    id: str
    name: str
    scope: str
    salt: str
    sha256: str
    created_at: str
    expires_at: str
    revoked_at: str = ""

    def good(self, at: dt.datetime) -> bool:
        """Whether it may be used at an instant."""
        return not self.revoked_at and at < dt.datetime.fromisoformat(self.expires_at)

    def state(self, at: dt.datetime) -> str:
        """In one word, for people: good, expired or revoked."""
        return "revoked" if self.revoked_at else "good" if self.good(at) else "expired"


class Tokens:
    """The tokens of one home. Every method raises HomeError when the file cannot be used or others may read it."""

    def __init__(self, home: Path) -> None:
        self._folder = PrivateFolder(home / FOLDER, "tokens", HomeError)
        self._path = home / FOLDER / FILE
        self._seen: tuple[tuple[int, int, int], dict[str, Token]] | None = None

    def create(self, name: str, scope: Scope, days: int, at: dt.datetime) -> tuple[Token, str]:
        """(what is kept, the token itself, which nobody can show again). Raises UsageError for a name that is taken or odd."""
        if _NAME.fullmatch(name) is None:
            raise UsageError(f"token: expected a name of up to 40 letters, digits, dots and dashes, found {name!r}")
        if not 1 <= days <= DAYS_MAX:
            raise UsageError(f"token {name}: expected 1 to {DAYS_MAX} days, found {days}")
        self._folder.create()
        with self._folder.locked():
            known = self._read()
            if any(one.name == name and one.good(at) for one in known.values()):
                raise UsageError(f"token {name}: expected a new name, found one that is good; revoke it first")
            kept = {key: one for key, one in known.items() if one.good(at)} if len(known) >= TOKENS_MAX else known
            if len(kept) >= TOKENS_MAX:
                raise UsageError(f"token {name}: expected fewer than {TOKENS_MAX} tokens; revoke some first")
            secret, salt, made = secrets.token_hex(32), secrets.token_hex(16), secrets.token_hex(6)
            until = utc_text(at + dt.timedelta(days=days))
            token = Token(made, name, scope.value, salt, _hash(salt, secret), utc_text(at), until)
            self._write({**kept, made: token})
        return token, f"mbt_{made}_{secret}"

    def every(self) -> list[Token]:
        """All of them, in order of making."""
        return sorted(self._read().values(), key=lambda one: (one.created_at, one.id))

    def revoke(self, name: str, at: dt.datetime) -> list[Token]:
        """Ends the tokens of this name, for good; those that were good. Raises UsageError when there is none of that name."""
        named = [one for one in self._read().values() if name in (one.name, one.id)]
        if not named:
            raise UsageError(f"token {name}: expected one that `marketbot token list` shows, found none")
        with self._folder.locked():
            known = self._read()
            ended = [one for one in known.values() if name in (one.name, one.id) and one.good(at)]
            self._write({**known, **{one.id: replace(one, revoked_at=utc_text(at)) for one in ended}})
        return ended

    def find(self, text: str, at: dt.datetime) -> Token | None:
        """The good token that a text is; None for every other text. Compares in constant time, also with none."""
        found = _TOKEN.fullmatch(text)
        known = self._current().get(found[1]) if found else None
        salt, expected = (known.salt, known.sha256) if known else ("", _NO_HASH)
        same = hmac.compare_digest(_hash(salt, found[2] if found else ""), expected)
        return known if known is not None and same and known.good(at) else None

    def by_id(self, name: str, at: dt.datetime) -> Token | None:
        """The good token with this id: for a session that it began."""
        known = self._current().get(name)
        return known if known is not None and known.good(at) else None

    def _current(self) -> dict[str, Token]:
        """The file as it is now; read again only when it was replaced."""
        try:
            stat = self._path.stat()
        except OSError:
            return {}
        mark = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        if self._seen is None or self._seen[0] != mark:
            self._seen = (mark, self._read())
        return self._seen[1]

    def _read(self) -> dict[str, Token]:
        text = self._folder.read(FILE, secret=True)
        if text is None:
            return {}
        try:
            found = [Token(**item) for item in json.loads(text)["tokens"]]
        except (ValueError, KeyError, TypeError) as error:
            raise HomeError(f"tokens: expected a list of tokens in {self._path}, found: {error}") from error
        return {one.id: one for one in found}

    def _write(self, tokens: dict[str, Token]) -> None:
        self._folder.write(FILE, json.dumps({"tokens": [asdict(one) for one in tokens.values()]}, indent=1) + "\n")


def _hash(salt: str, secret: str) -> str:
    return hashlib.sha256(f"{salt}:{secret}".encode()).hexdigest()
