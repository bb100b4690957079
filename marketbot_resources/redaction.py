"""No secret in evidence or logs: bodies are redacted before they are hashed, texts from outside before they are stored.

`redactor()` knows the secrets of the environment and what secrets look like; `install` puts it in front of every log line,
`redacting` in front of every error that leaves a step. Not here: the patterns (`secret_patterns`), the environment (`settings`).
"""

import base64
import functools
import html
import json
import logging
import re
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import ParamSpec, TypeVar, cast
from urllib.parse import quote, quote_plus, unquote

from marketbot_resources import settings
from marketbot_resources.errors import MarketbotError
from marketbot_resources.secret_patterns import MASK, hide, is_ours, is_secret_name

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
LENGTH_MIN = 6
# A shorter secret may occur inside a hash or a number by chance; there it is left alone.
LENGTH_SURE = 16
_NAMES = ("KEY", "SECRET", "TOKEN", "PASSWORD", "PASSWD", "CREDENTIAL", "WEBHOOK", "APPRISE_URLS", "HEARTBEAT_URL")
_ADDRESSES = (
    "WEBHOOK",
    "APPRISE_URLS",
    "HEARTBEAT_URL",
)  # each address is a secret, and so is what stands behind its host
_PLACES = ("_FILE", "_FILES", "_PATH", "_DIR")
_URL_SAFE = str.maketrans("+/", "-_")
_URL_SECRETS = (
    re.compile(r"://[^\s/?#:@]*:(\S*)@"),
    re.compile(r"(?i)[?&][^=&\s]*(?:key|token|secret|passw)[^=&\s]*=([^&#\s]+)"),
)


class Redactor:
    """Masks known secrets and what looks like one. A secret of less than LENGTH_MIN characters is not looked for.

    A secret of less than LENGTH_SURE characters that is a number or a date is left alone where it stands as one: it cannot be
    told from the ledger's own.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        known = {secret.strip() for secret in secrets}
        known = {secret for secret in known if len(secret) >= LENGTH_MIN and secret not in MASK}
        found = {form for secret in known for form in _forms(secret)}
        self._forms = tuple(sorted(found, key=lambda form: (-len(form), form)))
        self._exact = re.compile("|".join(map(re.escape, self._forms)))
        telling = {form for secret in known if _is_telling(secret) for form in _forms(secret)}
        self._telling = tuple(map(_bytes, sorted(telling)))

    def text(self, text: str) -> str:
        """The text with every secret masked."""
        if any(form in text for form in self._forms):
            text = self._exact.sub(self._masked, text)
        return hide(text)

    def json(self, value: T) -> T:
        """A JSON value with every text masked; keys stay, a text under a key that says secret is masked as a whole."""
        return cast("T", self._value(value, secret=False))

    def error(self, error: Exception) -> Exception:
        """The same error, changed in place when it or a cause says a secret; where it cannot be, another one with its text."""
        if not self._tells(error):
            return error
        for one in _chain(error):
            one.args = self.json(one.args)
            vars(one).update(self.json(vars(one)))  # also the notes
        if not self._tells(error):
            return error
        return MarketbotError(self.text(_said(error))).with_traceback(error.__traceback__)

    def holds_secret(self, body: bytes) -> bool:
        """Whether bytes hold a known secret; short ones of letters or digits alone are not looked for, any text may hold them."""
        return any(form in body for form in self._telling)

    def _value(self, value: object, *, secret: bool) -> object:
        if isinstance(value, str):
            return MASK if secret and value else self.text(value)
        if isinstance(value, Mapping):
            return {key: self._value(item, secret=is_secret_name(str(key))) for key, item in value.items()}
        if isinstance(value, list | tuple):
            items = [self._value(item, secret=secret) for item in value]
            return tuple(items) if isinstance(value, tuple) else items
        return value

    def _masked(self, found: re.Match[str]) -> str:
        short = len(found.group()) < LENGTH_SURE
        return found.group() if short and is_ours(found.string, *found.span()) else MASK

    def _tells(self, error: Exception) -> bool:
        return any(self.text(said) != said for said in map(_said, _chain(error)))


def _forms(secret: str) -> set[str]:
    """A secret as it may be written: plain, in JSON, Python, HTML or a URL, and in Base64 at any place of a longer text."""
    forms = {secret, repr(secret)[1:-1], html.escape(secret)}
    forms |= {json.dumps(secret, ensure_ascii=plain)[1:-1] for plain in (True, False)}
    data = _bytes(secret)
    for quoted in (quote(data), quote(data, safe=""), quote_plus(data)):
        forms |= {quoted, re.sub(r"%..", lambda found: found.group().lower(), quoted)}
    for shift in range(3):
        coded = base64.b64encode(b"\0" * shift + data).decode()
        # without the characters that depend on its neighbours in a longer text
        middle = coded[(0, 2, 3)[shift] : len(coded) - (0, 3, 2)[(shift + len(data)) % 3]]
        whole = {coded, coded.rstrip("=")} if shift == 0 else set()
        forms |= {form.translate(table) for form in (middle, *whole) for table in ({}, _URL_SAFE)}
    return {form for form in forms if len(form) >= LENGTH_MIN and form not in MASK}


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _is_telling(secret: str) -> bool:
    return len(secret) >= LENGTH_SURE or not (secret.isalpha() or re.fullmatch(r"[\d.,:-]+", secret))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, its causes and the members of groups, each once."""
    seen: dict[int, BaseException] = {}
    left: list[BaseException | None] = [error]
    while left:
        one = left.pop()
        if one is not None and id(one) not in seen:
            seen[id(one)] = one
            left += [one.__cause__, one.__context__, *getattr(one, "exceptions", ())]
    yield from seen.values()


def _said(error: BaseException) -> str:
    return "".join(traceback.format_exception_only(error)).strip()


def environment_secrets(environ: Mapping[str, str]) -> list[str]:
    """Values of variables whose names say secret, and secrets in URLs; a variable that names a file or folder has none."""
    found = set()
    for name, value in environ.items():
        upper = name.upper()
        if any(word in upper for word in _NAMES) and not upper.endswith(_PLACES):
            found.add(value.strip())
            found |= _parts(value) if any(word in upper for word in _ADDRESSES) else set()
        for secret in (secret for pattern in _URL_SECRETS if "://" in value for secret in pattern.findall(value)):
            found |= {secret, unquote(secret)}
    return sorted(secret for secret in found if len(secret) >= LENGTH_MIN)


def _parts(value: str) -> set[str]:
    """The addresses in a value, and of each what stands behind its host, as a client may tell it."""
    addresses = set(value.split())
    return addresses | {rest for one in addresses if (rest := one.partition("://")[2].partition("/")[2])}


def redactor() -> Redactor:
    """The redactor of this process; a change of the environment is seen."""
    return _redactor(tuple(settings.secrets()))


@functools.lru_cache(maxsize=4)
def _redactor(secrets: tuple[str, ...]) -> Redactor:
    return Redactor(secrets)


def redacting(function: Callable[P, R]) -> Callable[P, R]:
    """Decorator: an error that leaves the function says no secret, nor do its causes. For what Dagster calls: it keeps errors."""

    @functools.wraps(function)
    def clean(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            found = redactor().error(error)
        raise found  # outside of the handler, which would make the first error its context

    return clean


class RedactingFilter(logging.Filter):
    """Lets every record pass, without secrets."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Masks message, arguments and traceback; True."""
        clean_record(record)
        return True


class _Factory:
    """Makes records as before, without secrets: it also serves loggers and handlers that come later."""

    def __init__(self, make: Callable[..., logging.LogRecord]) -> None:
        self._make = make

    def __call__(self, *args: object, **kwargs: object) -> logging.LogRecord:
        record = self._make(*args, **kwargs)
        clean_record(record)
        return record


def install(logger: logging.Logger | None = None) -> None:
    """Redacts every log record of the process, and once more before the handlers of a logger (default: the root logger)."""
    make = logging.getLogRecordFactory()
    if not isinstance(make, _Factory):
        logging.setLogRecordFactory(_Factory(make))
    for handler in (logger or logging.getLogger()).handlers:
        if not any(isinstance(known, RedactingFilter) for known in handler.filters):
            handler.addFilter(RedactingFilter())


def clean_record(record: logging.LogRecord) -> None:
    """Masks what the record will print. It stays as it was, arguments and all, when it holds no secret."""
    known = redactor()
    try:
        said = record.getMessage()
    except Exception as error:  # arguments that do not fit: logging would print them as they are
        said, record.args = f"{record.msg} {record.args!r} ({type(error).__name__})", None
        record.msg = said
    if known.text(said) != said:
        _clean_message(record, known, said)
    if isinstance(record.exc_info, tuple) and record.exc_info[0] is not None:
        trace = logging.Formatter().formatException(record.exc_info)
        if known.text(trace) != trace:
            record.exc_text, record.exc_info = trace, None
    for name in ("exc_text", "stack_info"):
        if text := getattr(record, name):
            setattr(record, name, known.text(text))


def _clean_message(record: logging.LogRecord, known: Redactor, said: str) -> None:
    """Masks the arguments, which some formatters read; where that is not enough, the whole message."""
    if isinstance(record.args, tuple):
        record.args = tuple(known.json(value) for value in record.args)
    elif record.args:
        record.args = known.json(record.args)
    if known.text(record.getMessage()) != record.getMessage():
        record.msg, record.args = known.text(said), None
