"""Nothing that is a secret stays in a text, a body, a log line or an error; nothing that is ours is ever changed."""

import base64
import io
import json
import logging
import random
import re
import string
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketbot_resources.halt import HaltFlag, HaltSwitch
from marketbot_resources.ledger.examine import first_fault
from marketbot_resources.ledger.sqlite import SqliteLedger
from marketbot_resources.redaction import (
    RedactingFilter,
    Redactor,
    environment_secrets,
    install,
    redacting,
    redactor,
)

MASK = "[redacted]"
BARE = Redactor([])
ALNUM = string.ascii_letters + string.digits

TEXTS = [
    ("Authorization: Bearer abc123 failed", "Authorization: [redacted] failed"),
    ("authorization=Basic dXNlcjpwYXNz rest", "authorization=[redacted] rest"),
    ("{'Authorization': 'Bearer a b'}", "{'Authorization': '[redacted]'}"),
    ("[(b'Authorization', b'Bearer zz')]", "[(b'Authorization', b'[redacted]')]"),
    (
        "Authorization: AWS4-HMAC-SHA256 Credential=AK/1/x, SignedHeaders=host, Signature=ab12 next",
        "Authorization: [redacted] next",
    ),
    ("Cookie: sid=abc; csrf=def then", "Cookie: [redacted] then"),
    ("sent Bearer 0a1b2c3d4e5f6a7b", "sent Bearer [redacted]"),
    ("sent Basic dXNlcjpwYXNzd29yZA==", "sent Basic [redacted]"),
    ("APCA-API-KEY-ID: PKABC, APCA-API-SECRET-KEY: x/y", "APCA-API-KEY-ID: [redacted] APCA-API-SECRET-KEY: [redacted]"),
    ("key AKIAIOSFODNN7EXAMPLE was used", "key [redacted] was used"),
    ("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG", "aws_secret_access_key = [redacted]"),
    ("got eyJhbGciOi.eyJzdWIiOi.s1g-nature.", "got [redacted]."),
    ("model key sk-proj-0123456789abcdef!", "model key [redacted]!"),
    ("slack xoxb-123456-abcdef", "slack [redacted]"),
    ("POST https://hooks.example.com/services/T0/B0/xyz: 404", "POST https://hooks.example.com/[redacted] 404"),
    ("https://chat.example.com/api/webhooks/1/abc", "https://chat.example.com/api/webhooks/[redacted]"),
    ("a -----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY----- b", "a [redacted] b"),
    ("cut off: -----BEGIN RSA PRIVATE KEY-----\nMIIE\nAAAA", "cut off: [redacted]"),
    ("PRIVATE+KEY+log.example+1c6a3f44+AYEK/x+y= loaded", "[redacted] loaded"),
    ("postgresql://user:pass@host/db", "postgresql://[redacted]@host/db"),
    ("redis://:p/a:s@s@host:6379/0", "redis://[redacted]@host:6379/0"),
    ("https://ghtoken12@host/x", "https://[redacted]@host/x"),
    ("GET /v2?apikey=abc&day=2018-12-24", "GET /v2?apikey=[redacted]&day=2018-12-24"),
    ("/v1?key=onlyletters&sort_key=2018-12-24", "/v1?key=[redacted]&sort_key=2018-12-24"),
    ("/o?X-Amz-Signature=0f0f&X-Amz-Date=1", "/o?X-Amz-Signature=[redacted]&X-Amz-Date=1"),
    ("a=1&client_secret=x%2Fy&b=2", "a=1&client_secret=[redacted]&b=2"),
    ('{"api_key": "a \\" b", "n": 1}', '{"api_key": "[redacted]", "n": 1}'),
    (r"{\"password\": \"a\\\"b\", \"n\": 1}", r"{\"password\": \"[redacted]\", \"n\": 1}"),
    ("password: hunter2", "password: [redacted]"),
    ("refreshToken='abc def'", "refreshToken='[redacted]'"),
    ("key=Zq81xx73LmPq0Rt5", "key=[redacted]"),
    ("account_number: PA3XYZ123", "account_number: [redacted]"),
    ('"account_number":"123456789"', '"account_number":"[redacted]"'),
    ("account no. U1234567 is closed", "account no. [redacted] is closed"),
    ("Account Number 1234 5678 901", "Account Number [redacted]"),
]
HARMLESS = [
    "key rate duration 5.2",
    "token holders approved",
    "secret sauce: none",
    "basic materials 12-month momentum",
    "bearer securities held",
    "account paper-1: 3 breaks, first: cash USD 100.25 against 99.25",
    "RC-53_residual 0.0612 > 0.0500",
    "position_cap XNAS:AAPL 0.0612 > 0.0500",
    "no key: value that says anything",
    "run_key=daily-2018-12-24 partition_key=2018-12-24",
    "run_failed 2018-12-24/12345678-1234-4234-8234-123456789abc/raw_prices",
    "ledger: key: paper-1/2018-12-24/1 exists",
    "http://127.0.0.1:3000/locations/marketbot@head",
    "sample://prices?since=2018-12-12T22:15:00Z&until=2018-12-13T22:15:00Z",
    "risk-adjusted-return-model-of-the-year",
    "author=Smith&sigma=0.2&keyword=tax",
    "max_tokens=4000, tokens: 512",
    "secretary: Smith",
    "MBCREDENTIAL: not traded, mb1-abcdefghijklmnopqrstsecret: rejected",
]


@pytest.mark.parametrize(("text", "expected"), TEXTS)
def test_what_looks_like_a_secret_is_masked(text: str, expected: str) -> None:
    """Each pattern masks the secret and leaves the words around it; a second pass changes nothing."""
    assert BARE.text(text) == expected
    assert BARE.text(expected) == expected


@pytest.mark.parametrize("text", HARMLESS)
def test_plain_reasons_stay(text: str) -> None:
    """Words that secrets are made of are none by themselves."""
    assert BARE.text(text) == text


def word(seed: random.Random, length: int, letters: str = ALNUM) -> str:
    """Random letters with at least one digit and one capital."""
    return "Q7" + "".join(seed.choice(letters) for _ in range(length - 2))


KINDS: dict[str, Callable[[random.Random], tuple[str, str]]] = {
    "bearer": lambda r: ("Authorization: Bearer {}", word(r, 24)),
    "bearer alone": lambda r: ("Bearer {}", word(r, 24)),
    "basic": lambda r: ("Authorization: Basic {}", base64.b64encode(word(r, 18).encode()).decode()),
    "apca id": lambda r: ("APCA-API-KEY-ID: {}", word(r, 20)),
    "apca secret": lambda r: ("apca-api-secret-key={}", word(r, 40, ALNUM + "/+")),
    "aws id": lambda r: ("with {} denied", "AKIA" + "".join(r.choice(string.ascii_uppercase) for _ in range(16))),
    "aws session id": lambda r: ("with {} denied", "ASIA" + "".join(r.choice(string.digits) for _ in range(16))),
    "aws secret": lambda r: ("aws_secret_access_key={}", word(r, 40, ALNUM + "/+")),
    "jwt": lambda r: ("jwt {} expired", f"eyJ{word(r, 20)}.eyJ{word(r, 30)}.{word(r, 40, ALNUM + '-_')}"),
    "model key": lambda r: ("using {} now", "sk-" + word(r, 32, ALNUM + "-_")),
    "slack": lambda r: ("slack said no to {}", f"xoxp-{word(r, 12)}-{word(r, 12)}"),
    "hook": lambda r: ("https://hooks.example.com/services/{}", f"T{word(r, 8)}/B{word(r, 8)}/{word(r, 24)}"),
    "pem": lambda r: ("-----BEGIN EC PRIVATE KEY-----\n{}\n-----END EC PRIVATE KEY-----", word(r, 64, ALNUM + "+/")),
    "note key": lambda r: ("PRIVATE+KEY+log.example+0a1b2c3d+{}", word(r, 44, ALNUM + "+/")),
    "url password": lambda r: ("postgresql://app:{}@db.example/x", word(r, 16, ALNUM + "!$*-_")),
    "query": lambda r: ("https://api.example/v1?apikey={}&x=1", word(r, 20)),
    "signature": lambda r: ("https://s.example/o?x=1&Signature={}", word(r, 20)),
    "name": lambda r: ("client_secret={}", word(r, 12, ALNUM + "!,;:/$%")),
    "named with blanks": lambda r: ('password: "{}"', f"{word(r, 6)} {word(r, 6)}, {word(r, 6)}"),
    "key": lambda r: ("key: {}", word(r, 24)),
    "account": lambda r: ("account no. {}", "U" + "".join(r.choice(string.digits) for _ in range(8))),
}
AROUND: dict[str, Callable[[str], str]] = {
    "plain": lambda text: text,
    "in a sentence": lambda text: f"503 for XNAS:AAPL: {text} at 2018-12-24T23:15:00Z",
    "in lines": lambda text: f"one\n{text}\ntwo",
    "as JSON": lambda text: json.dumps({"error": text, "n": 1}),
    "as JSON in JSON": lambda text: json.dumps({"body": json.dumps({"error": text})}),
    "as Python": lambda text: repr({"error": [text]}),
    "in a tag": lambda text: f"<p>{text}</p>",
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("around", AROUND)
def test_no_canary_of_any_kind_stays(kind: str, around: str) -> None:
    """S9: of 735 planted canaries, five per pattern and surrounding, not six characters in a row are left."""
    for n in range(5):
        frame, canary = KINDS[kind](random.Random(f"{kind} {around} {n}"))
        text = AROUND[around](frame.format(canary))
        assert canary in text.replace("\\n", "\n")
        clean = BARE.text(text)
        assert not [canary[i : i + 6] for i in range(len(canary) - 5) if canary[i : i + 6] in clean], clean
        assert MASK in clean
        assert BARE.text(clean) == clean


SECRETS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Z"]), min_size=16, max_size=40)
WRITTEN: dict[str, Callable[[str], str]] = {
    "plain": str,
    "in JSON": lambda secret: json.dumps({"x": secret}),
    "in Python": lambda secret: repr([secret]),
    "in a URL": lambda secret: quote(secret, safe=""),
    "in a form": quote_plus,
    "in a URL, small hex": lambda secret: re.sub("%..", lambda found: found.group().lower(), quote(secret)),
    "in Base64": lambda secret: base64.b64encode(secret.encode()).decode(),
    "in URL-safe Base64": lambda secret: base64.urlsafe_b64encode(secret.encode()).decode().rstrip("="),
}


@settings(deadline=None)
@given(SECRETS, st.sampled_from(sorted(WRITTEN)), st.text(max_size=20), st.text(max_size=20))
def test_a_known_secret_is_masked_however_it_is_written(secret: str, way: str, before: str, after: str) -> None:
    """A known secret is masked anywhere in any text, also quoted for a URL, JSON, Python, or coded in Base64."""
    written = WRITTEN[way](secret)
    clean = Redactor([secret]).text(before + written + after)
    assert written not in clean
    assert secret not in clean


@given(st.binary(max_size=7), st.text(st.sampled_from(ALNUM), min_size=8, max_size=30), st.binary(max_size=7))
def test_a_known_secret_inside_a_longer_base64_text_is_masked(before: bytes, secret: str, after: bytes) -> None:
    """`user:secret` as one Base64 text: no six characters in a row of what codes the secret alone are left."""
    coded = base64.b64encode(before + b":" + secret.encode() + b":" + after).decode()
    clean = Redactor([secret]).text(f"sent {coded} to it")
    first = -(-(len(before) + 1) * 8 // 6)
    last = (len(before) + 1 + len(secret)) * 8 // 6
    assert MASK in clean
    assert coded[first:last] not in clean


OURS = {
    "sha256": st.binary(min_size=32, max_size=32).map(bytes.hex),
    "git": st.binary(min_size=20, max_size=20).map(bytes.hex),
    "code": st.binary(min_size=8, max_size=8).map(bytes.hex),
    "order": st.text("abcdefghijklmnopqrstuvwxyz234567", min_size=26, max_size=26).map("mb1-{}".format),
    "run": st.uuids().map(str),
    "date": st.dates().map(lambda day: day.isoformat()),
    "instant": st.datetimes().map(lambda at: at.isoformat() + "Z"),
    "number": st.decimals(allow_nan=False, allow_infinity=False).map(str),
    "float": st.floats(allow_nan=False, allow_infinity=False).map(repr),
    "instrument": st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", min_size=10, max_size=10).map("MB{}".format),
    "root": st.binary(min_size=32, max_size=32).map(lambda data: base64.b64encode(data).decode()),
}
ONE_OF_OURS = st.one_of(*OURS.values())
SENTENCES = [
    "{}",
    "session {}: refused",
    "order {} (XNYS): 3 shares",
    "expected {}, found none",
    "limit {} > {}",
    "FX:{}|{}",
]


@given(st.sampled_from(SENTENCES), ONE_OF_OURS, ONE_OF_OURS)
def test_what_is_ours_never_changes(sentence: str, one: str, other: str) -> None:
    """Hashes, ids, numbers, dates and instants pass byte for byte, alone and in a sentence."""
    text = sentence.format(one, other)
    assert BARE.text(text) == text


@given(st.sampled_from(SENTENCES), st.sampled_from(sorted(OURS)), st.data())
def test_a_short_secret_inside_what_is_ours_changes_nothing(sentence: str, kind: str, data: st.DataObject) -> None:
    """Six or more characters of a hash, an id or a number may be somebody's secret by chance: the hash stays."""
    ours = data.draw(OURS[kind].filter(lambda text: len(text) >= 8))
    start = data.draw(st.integers(0, len(ours) - 7))
    secret = ours[start : start + data.draw(st.integers(6, min(15, len(ours) - 1)))]
    text = sentence.format(ours, ours)
    assert Redactor([secret]).text(text) == text


def test_a_short_secret_by_itself_is_masked() -> None:
    """The same six characters as a word of their own are masked; as a number or a date they stay."""
    known = Redactor(["a1b2c3", "20181224", "2018-12-24"])
    assert known.text("it said a1b2c3, twice: xa1b2c3x") == "it said [redacted], twice: x[redacted]x"
    assert known.text("20181224 shares on 2018-12-24") == "20181224 shares on 2018-12-24"
    assert known.text("password=20181224") == "password=[redacted]"


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=4), st.integers(0, 2**40))
def test_a_checkpoint_and_its_signatures_never_change(roots: list[bytes], size: int) -> None:
    """A signed checkpoint: origin, size, root in Base64, and the note's signature lines."""
    coded = [base64.b64encode(root).decode() for root in roots]
    text = f"log.example/paper-1\n{size}\n{coded[0]}\n\n" + "".join(f"— log.example/paper-1 {c}\n" for c in coded)
    assert BARE.text(text) == text
    inside = next(coded[0][n : n + 8] for n in range(30))
    assert Redactor([inside]).text(text) == text


def test_a_root_that_ends_like_a_name_never_changes() -> None:
    """Base64 ends with =, like a name before its value: what follows is none."""
    for ending in ("pwd", "key", "token", "password", "cookie"):
        root = "A" * (43 - len(ending)) + ending + "="
        for text in (f"{root}\n\n— log.example {root}\n", f"roots {root} {root}"):
            assert BARE.text(text) == text


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from([text for text, _ in TEXTS] + HARMLESS + ["\n", " ", "=", ":", '"', "'", "\\", "&"]), max_size=6
    )
)
def test_redaction_is_idempotent(parts: list[str]) -> None:
    """What was redacted once is not changed by a second pass: the same body gives the same bytes."""
    known = Redactor(["hunter2-S3cret", "a1b2c3"])
    clean = known.text("".join(parts))
    assert known.text(clean) == clean


def test_json_keeps_keys_numbers_and_structure() -> None:
    """Texts are masked where they stand; under a key that says secret as a whole; keys, numbers, flags and null stay."""
    body = {
        "api_key": "any thing",
        "nested": [{"Authorization": "x", "apca-api-key-id": "y", "APCA-API-SECRET-KEY": "z"}, ("password=q", 5)],
        "token": ["a", {"n": 1}],
        "private_key": "",
        "x-api-key": None,
        "secret": 12345678,
        "account_number": "U1234567",
        "tokens": "512",
        "key": "mb1-abcdefghijklmnopqrstuvwxyz",
        "signature": "AAAA=",
        "quantity": "100000",
        "ratio": 0.25,
        "flag": True,
        "password=stays in a key": "plain",
    }
    assert BARE.json(body) == body | {
        "api_key": MASK,
        "nested": [
            {"Authorization": MASK, "apca-api-key-id": MASK, "APCA-API-SECRET-KEY": MASK},
            ("password=[redacted]", 5),
        ],
        "token": [MASK, {"n": 1}],
        "account_number": MASK,
    }


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | ONE_OF_OURS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "reason", "batch_sha256"]), inner)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["orders", "key", "manifest_sha256", "cutoff_at"]), JSON))
def test_a_body_of_ours_is_the_same_body(body: dict[str, object]) -> None:
    """A ledger body of hashes, ids, numbers and dates is not changed."""
    assert BARE.json(body) == body


def test_the_ledger_keeps_no_secret_and_stays_idempotent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A9: bodies are redacted before they are hashed; the same body with the secret in it is the same entry."""
    monkeypatch.setenv("DATA_API_KEY", "hunter2-S3cret-canary")
    ledger = SqliteLedger(tmp_path / "ledger.sqlite")
    body = {"reason": "401 for hunter2-S3cret-canary", "token": "x", "n": 5}
    first = ledger.append("run_failed", "k", body)
    assert not ledger.append("run_failed", "k", body).added
    entry = ledger.get("run_failed", "k")
    assert entry is not None
    assert entry.body == {"reason": "401 for [redacted]", "token": MASK, "n": 5}
    assert ledger.head() == (1, first.hash)
    assert first_fault(ledger) is None
    assert b"canary" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


@pytest.mark.parametrize(
    ("secret", "body", "held"),
    [
        ("hunter2-S3cret", b"x,hunter2-S3cret,y", True),
        ("hunter2/S3cret", b"u=hunter2%2FS3cret", True),
        ("hunter2-S3cret", base64.b64encode(b"user:hunter2-S3cret"), True),
        ("correcthorsebattery", b"a correcthorsebattery", True),
        ("hunter2-S3cret", b"hunter2-S3cre", False),
        ("postgres", b"a plain word like postgres", False),  # any text may hold a short word or number
        ("20181224", b"20181224,1", False),
        ("short", b"short", False),
    ],
)
def test_a_body_that_holds_a_secret_is_known(secret: str, body: bytes, held: bool) -> None:
    """Exact secrets only, in the ways in which they are written; patterns do not count."""
    assert Redactor([secret]).holds_secret(body) is held
    assert not BARE.holds_secret(b"password=x " + body)


def test_the_environment_says_what_is_secret() -> None:
    """Values of names that say secret and secrets in URLs, from six characters on; not the names of key files."""
    environ = {
        "APCA_API_KEY_ID": "PK1234567",
        "llm_token": " tok-123456 ",
        "DB_PASSWORD": "short",
        "GITHUB_CREDENTIALS": "cred-123",
        "SOME_PASSWD": "pass-123",
        "MY_SECRET": "shh-12345",
        "DATABASE_URL": "postgresql://app:p%40ss-word@db/x",
        "MARKETBOT_LEDGER": "postgresql://host/x?sslmode=require&password=query-pass",
        "PROXY": "http://127.0.0.1:3128",
        "SIGNER_KEY_FILE": "/etc/marketbot/key",
        "HOME": "/home/operator",
    }
    expected = {
        "PK1234567",
        "tok-123456",
        "cred-123",
        "pass-123",
        "shh-12345",
        "p%40ss-word",
        "p@ss-word",
        "query-pass",
    }
    assert set(environment_secrets(environ)) == expected


def test_a_changed_environment_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The redactor of the process follows the environment."""
    assert redactor().text("it is hunter2x") == "it is hunter2x"
    monkeypatch.setenv("NEW_API_KEY", "hunter2x")
    assert redactor().text("it is hunter2x") == "it is [redacted]"
    monkeypatch.delenv("NEW_API_KEY")
    assert redactor().text("it is hunter2x") == "it is hunter2x"


@pytest.fixture
def logs() -> Iterator[tuple[logging.Logger, io.StringIO]]:
    """A logger that was there before `install`, whose handler comes after it."""
    before = logging.getLogRecordFactory()
    logger, out = logging.Logger("late"), io.StringIO()
    install()
    install()
    handler = logging.StreamHandler(out)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logger.addHandler(handler)
    yield logger, out
    logging.setLogRecordFactory(before)


class Telling:
    """Says a secret when it is printed."""

    def __str__(self) -> str:
        return "password=hunter2"


@pytest.mark.parametrize(
    ("message", "args", "expected"),
    [
        ("password=hunter2 for %s", ("AAPL",), "INFO password=[redacted] for AAPL"),
        ("sent %s to %d", ("Bearer 0a1b2c3d4e5f6a7b", 5), "INFO sent Bearer [redacted] to 5"),
        ("sent %(token)s", ({"token": "abc"},), "INFO sent abc"),  # the text names no secret
        ("token=%(token)s", ({"token": "abc"},), "INFO token=[redacted]"),
        ("got %s", (Telling(),), "INFO got password=[redacted]"),
        ("password=%s", ("hunter2",), "INFO password=[redacted]"),
        ("no room for %d", ("password=hunter2",), "INFO no room for %d ('password=[redacted]',) (TypeError)"),
        ("5 of %d", (7,), "INFO 5 of 7"),
    ],
)
def test_a_log_line_holds_no_secret(
    logs: tuple[logging.Logger, io.StringIO], message: str, args: tuple[object, ...], expected: str
) -> None:
    """Message, arguments and what does not fit together: the line that is printed is clean."""
    logger, out = logs
    logger.info(message, *args)
    assert out.getvalue() == expected + "\n"


def test_arguments_keep_their_places(logs: tuple[logging.Logger, io.StringIO]) -> None:
    """A formatter that reads the arguments still finds them all, each without secrets."""
    records: list[logging.LogRecord] = []
    logger, _ = logs
    logger.addFilter(lambda record: records.append(record) is None)
    logger.info('%s - "%s %s" %d', "127.0.0.1", "GET", "/x?token=abcdef", 200)
    assert records[0].args == ("127.0.0.1", "GET", "/x?token=[redacted]", 200)


def failing() -> None:
    try:
        raise OSError("no route for Bearer 0a1b2c3d4e5f6a7b")
    except OSError as error:
        raise ValueError("password=hunter2") from error


def test_a_logged_traceback_holds_no_secret(logs: tuple[logging.Logger, io.StringIO]) -> None:
    """Also the causes of an error; the traceback itself stays to be read, a harmless one as it was."""
    logger, out = logs
    try:
        failing()
    except ValueError:
        logger.exception("it failed")
    said = out.getvalue()
    assert "hunter2" not in said
    assert "0a1b2c3d4e5f6a7b" not in said
    assert said.count(MASK) >= 2
    assert "in failing" in said
    assert "direct cause" in said
    records: list[logging.LogRecord] = []
    logger.addFilter(lambda record: records.append(record) is None)
    try:
        raise LookupError("nothing there")
    except LookupError:
        logger.exception("harmless")
    assert records[0].exc_info is not None


def test_install_filters_the_handlers_that_are_there_once() -> None:
    """A record that was made past the factory is masked by the filter of the handler; twice installed is once installed."""
    before = logging.getLogRecordFactory()
    logger, out = logging.Logger("early"), io.StringIO()
    logger.addHandler(logging.StreamHandler(out))
    install(logger)
    made = logging.getLogRecordFactory()
    install(logger)
    assert logging.getLogRecordFactory() is made
    assert [type(known) for known in logger.handlers[0].filters] == [RedactingFilter]
    logging.setLogRecordFactory(before)
    record = logging.LogRecord("early", logging.INFO, __file__, 1, "password=%s", ("hunter2",), None)
    record.exc_text, record.stack_info = "password=hunter2", "Stack\ntoken=hunter2"
    logger.handle(record)
    assert "hunter2" not in out.getvalue()
    assert out.getvalue().count(MASK) == 3


def told(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


@redacting
def fails(error: Exception, cause: Exception | None) -> None:
    error.add_note("noted: password=hunter2")
    raise error from cause


@pytest.mark.parametrize(
    ("error", "cause", "kind"),
    [
        (ValueError("password=hunter2", 5), None, ValueError),
        (ValueError("harmless"), RuntimeError("password=hunter2"), ValueError),
        (click.UsageError("no such option: password=hunter2"), None, click.UsageError),
        (ExceptionGroup("several", [KeyError("password=hunter2")]), None, ExceptionGroup),
        (UnicodeDecodeError("utf-8", b"x", 0, 1, "password=hunter2"), None, Exception),  # cannot be changed in place
        (FileNotFoundError(2, "gone", "/x?password=hunter2"), None, Exception),
    ],
)
def test_an_error_that_leaves_says_no_secret(error: Exception, cause: Exception | None, kind: type[Exception]) -> None:
    """Nor do its causes, notes and members; it stays the same error where that is possible."""
    with pytest.raises(kind) as caught:
        fails(error, cause)
    said = told(caught.value)
    assert "hunter2" not in said
    assert MASK in said
    assert "in fails" in said, "the traceback still says where"


def test_a_harmless_error_is_left_alone() -> None:
    """The very same error, with its arguments."""
    error = ValueError("nothing", 5, "2018-12-24")

    @redacting
    def raises() -> None:
        raise error

    with pytest.raises(ValueError, match="nothing") as caught:
        raises()
    assert caught.value is error
    assert error.args == ("nothing", 5, "2018-12-24")


@pytest.mark.parametrize(
    "unit", ["://", "://a:", "key=", "https://", "token", '\\"token\\":', "bearer a1", "http://a/hooks"]
)
def test_a_long_text_takes_its_length_and_not_its_square(unit: str) -> None:
    """What a provider answers may be anything: four times the text takes about four times the time, not sixteen."""

    def seconds(length: int) -> float:
        text = unit * (length // len(unit))
        started = time.process_time()
        BARE.text(text)
        return time.process_time() - started

    once = min(seconds(5_000) for _ in range(3))
    assert min(seconds(20_000) for _ in range(3)) < 10 * once + 0.05


def test_the_halt_flag_says_no_secret(tmp_path: Path) -> None:
    """RC-80: a reason is masked when it is set; one that someone wrote by hand is masked when it is read, and halts."""
    switch = HaltSwitch(tmp_path)
    switch.set("password=hunter2 leaked")
    assert "hunter2" not in (tmp_path / "HALT").read_text(encoding="utf-8")
    assert switch.read() == HaltFlag("on", "password=[redacted] leaked")
    (tmp_path / "HALT").write_text(json.dumps({"reason": "token: hunter2"}), encoding="utf-8")
    assert switch.read() == HaltFlag("on", "token: [redacted]")
