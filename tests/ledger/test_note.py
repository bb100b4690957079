"""Notes, keys and checkpoints are those of C2SP: published examples, every malformed line refused, no key in any message."""

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketbot_resources.errors import LedgerError
from marketbot_resources.ledger.note import (
    COSIGNATURE_V1,
    ED25519,
    Checkpoint,
    SignKey,
    cosign,
    new_key,
    open_checkpoint,
    open_note,
    parse_checkpoint,
    parse_sign_key,
    parse_verify_key,
    proof_text,
    sign_checkpoint,
    split_note,
    with_signatures,
)

# The examples of Go's golang.org/x/mod/sumdb/note, whose format C2SP's signed-note is.
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETER_PRIVATE = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
ENOCH = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
PETER_LINE = (
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
ENOCH_LINE = (
    "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n"
)
NOTE = f"{TEXT}\n{PETER_LINE}"
SEED = base64.b64decode(PETER_PRIVATE.split("+", 4)[4])[1:]
ROOT = bytes(range(32))


def log_key(name: str = "marketbot.example/ledger") -> SignKey:
    return SignKey(name, ED25519, SEED)


def test_the_published_note_opens() -> None:
    """Text and signer of the example."""
    text, good = open_note(NOTE, [parse_verify_key(PETER)])
    assert text == TEXT
    assert [(key.name, key.key_id.hex(), key.kind) for key in good] == [("PeterNeumann", "c74f20a3", ED25519)]


def test_our_signature_is_the_published_one() -> None:
    """Ed25519 is deterministic: the example's private key gives the example's line over its text."""
    key = parse_sign_key(PETER_PRIVATE)
    assert key.public.text == PETER
    signature = base64.b64encode(key.public.key_id + key.sign(TEXT.encode())).decode()
    assert f"— PeterNeumann {signature}\n" == PETER_LINE


def test_only_known_keys_count() -> None:
    """Two signatures: each key finds its own, and nobody's stay uncounted."""
    peter, enoch = parse_verify_key(PETER), parse_verify_key(ENOCH)
    assert open_note(NOTE + ENOCH_LINE, [peter])[1] == [peter]
    assert open_note(NOTE + ENOCH_LINE, [enoch, peter])[1] == [enoch, peter]
    assert open_note(NOTE, [enoch]) == (TEXT, [])
    assert open_note(NOTE + PETER_LINE, [peter])[1] == [peter]


@pytest.mark.parametrize(
    "note",
    [
        "",
        TEXT,
        TEXT + "\n",
        NOTE[:-1],
        NOTE.replace("\n\n", "\n"),
        NOTE + "Unexpected line.\n",
        NOTE + "\n",
        "\x01" + NOTE,
        NOTE.replace("your", "yo\rur"),
        NOTE.replace("— ", "- "),
        NOTE.replace("— PeterNeumann", "— Peter Neumann"),
        NOTE.replace("— PeterNeumann", "— "),
        NOTE.replace("— PeterNeumann", "— Peter+Neumann"),
        NOTE.replace("x08go", "x08g!"),
        NOTE.replace("=\n", "\n"),
        f"{TEXT}\n— PeterNeumann x08goA==\n",
        f"{TEXT}\n" + PETER_LINE * 101,
    ],
)
def test_a_malformed_note_is_refused(note: str) -> None:
    """As Go's package refuses them, and a note of more than a hundred signatures."""
    for keys in ([], [parse_verify_key(PETER)]):
        with pytest.raises(LedgerError, match=r"^note: "):
            open_note(note, keys)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(TEXT.encode()) * 8 - 1))
def test_a_text_with_one_bit_turned_is_refused(bit: int) -> None:
    """Whatever is no text at all cannot even be a note."""
    data = bytearray(TEXT.encode())
    data[bit // 8] ^= 1 << bit % 8
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return
    with pytest.raises(LedgerError):
        open_note(f"{text}\n{PETER_LINE}", [parse_verify_key(PETER)])


@pytest.mark.parametrize("bit", range(32, 68 * 8, 7))
def test_a_signature_with_one_bit_turned_is_refused(bit: int) -> None:
    """Behind the key's id; before it, it is nobody's signature."""
    data = bytearray(base64.b64decode(PETER_LINE.split()[2]))
    data[bit // 8] ^= 1 << bit % 8
    line = f"— PeterNeumann {base64.b64encode(data).decode()}\n"
    with pytest.raises(LedgerError, match="PeterNeumann does not hold"):
        open_note(f"{TEXT}\n{line}", [parse_verify_key(PETER)])


def mangled(text: str) -> list[str]:
    """The text cut at either end, and with each of its characters the next one."""
    cut = [text[i:j] for i in range(len(text) + 1) for j in range(i, len(text) + 1) if (i, j) != (0, len(text))]
    return cut + [text[:i] + chr(ord(text[i]) + 1) + text[i + 1 :] for i in range(len(text))]


@pytest.mark.parametrize(
    "wrong",
    [
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        PETER.replace("c74f20a3", "c74f2 a3"),
        PETER.replace("PeterNeumann", "Peter Neumann"),
        PETER.replace("PeterNeumann", ""),
        PETER_PRIVATE,
    ],
)
def test_a_wrong_public_key_is_refused(wrong: str) -> None:
    """Wrong length, unknown kind, an id that is no hex number, a name that is none, a private key."""
    with pytest.raises(LedgerError, match=r"^note: "):
        parse_verify_key(wrong)


def test_every_mangled_key_is_refused_without_showing_it() -> None:
    """Part of a key, or a key with another character: one line that holds nothing of a private key."""
    for text, parse in ((PETER, parse_verify_key), (PETER_PRIVATE, parse_sign_key)):
        for wrong in mangled(text):
            with pytest.raises(LedgerError) as failure:
                parse(wrong)
            told = str(failure.value)
            assert "\n" not in told
            private = PETER_PRIVATE.split("+", 4)[4]
            assert not any(private[i : i + 6] in told for i in range(len(private) - 5)), told


def test_a_note_that_fails_shows_no_private_key() -> None:
    """Not in a message, and not in what the objects say of themselves when they are public."""
    key = parse_sign_key(PETER_PRIVATE)
    assert SEED.hex() not in repr(key.public)
    assert base64.b64encode(SEED).decode()[:10] not in repr(key.public)
    with pytest.raises(LedgerError) as failure:
        parse_sign_key(PETER_PRIVATE.replace("c74f20a3", "c74f20a4"))
    assert str(failure.value) == "note: the private key of PeterNeumann does not fit its id"


@settings(max_examples=30, deadline=None)
@given(st.text(st.characters(exclude_categories=("Cs", "Cc", "Z")), min_size=1).filter(lambda text: "+" not in text))
def test_keys_survive_their_text_form(name: str) -> None:
    """Private and public, log and witness; the id depends on name and kind."""
    for kind in (ED25519, COSIGNATURE_V1):
        key = new_key(name, kind)
        assert parse_sign_key(key.text + "\n") == key
        assert parse_verify_key(key.public.text + "\n") == key.public
    assert log_key().public.key_id != log_key("other").public.key_id


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\tb", "a\u3000b", "a\n"])
def test_a_name_without_blanks_and_plus_signs(name: str) -> None:
    """What would break the line that it stands in."""
    with pytest.raises(LedgerError, match="key name"):
        new_key(name)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32))
def test_checkpoints_survive_their_note(size: int, root: bytes) -> None:
    """What was signed is what is opened, by its own key alone."""
    checkpoint = Checkpoint("marketbot.example/ledger", size, root)
    note = sign_checkpoint(checkpoint, log_key())
    assert note.startswith(f"marketbot.example/ledger\n{size}\n{base64.b64encode(root).decode()}\n\n— ")
    assert open_checkpoint(note, log_key().public) == checkpoint
    with pytest.raises(LedgerError, match="expected a signature of other, found none"):
        open_checkpoint(note, log_key("other").public)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "log\n",
        "log\n5\n",
        f"\n5\n{base64.b64encode(ROOT).decode()}\n",
        f"log\n-5\n{base64.b64encode(ROOT).decode()}\n",
        f"log\n05\n{base64.b64encode(ROOT).decode()}\n",
        f"log\n5 \n{base64.b64encode(ROOT).decode()}\n",
        f"log\n٥\n{base64.b64encode(ROOT).decode()}\n",
        f"log\nfive\n{base64.b64encode(ROOT).decode()}\n",
        f"log\n5\n{base64.b64encode(ROOT[:-1]).decode()}\n",
        "log\n5\nno base64!\n",
        f"log\n5\n{base64.b64encode(ROOT).decode()}",
    ],
)
def test_a_malformed_checkpoint_is_refused(text: str) -> None:
    """Origin, a plain decimal size and a root of 32 bytes, each line ended."""
    with pytest.raises(LedgerError, match=r"^note: expected"):
        parse_checkpoint(text)


def test_further_lines_of_a_checkpoint_are_ignored() -> None:
    """C2SP leaves room for extensions."""
    text = Checkpoint("log", 5, ROOT).text + "an extension\n"
    assert parse_checkpoint(text) == Checkpoint("log", 5, ROOT)


def test_a_checkpoint_of_another_log_is_refused() -> None:
    """A key signs for the log of its own name."""
    note = sign_checkpoint(Checkpoint("another log", 5, ROOT), log_key())
    with pytest.raises(
        LedgerError, match=r"expected a checkpoint of marketbot\.example/ledger, found one of another log"
    ):
        open_checkpoint(note, log_key().public)


def test_a_witness_signs_the_time_too() -> None:
    """A cosignature holds for its own time; the signed message is the one of C2SP's tlog-cosignature."""
    witness = SignKey("witness", COSIGNATURE_V1, SEED)
    note = sign_checkpoint(Checkpoint("marketbot.example/ledger", 5, ROOT), log_key())
    line = cosign(note, witness, 1_700_000_000)
    cosigned = with_signatures(note, [line])
    assert open_note(cosigned, [log_key().public, witness.public])[1] == [log_key().public, witness.public]
    data = base64.b64decode(line.split()[2])
    assert data[:4] == witness.public.key_id
    assert data[4:12] == (1_700_000_000).to_bytes(8, "big")
    body = split_note(note)[0]
    assert data[12:] == witness.sign(f"cosignature/v1\ntime 1700000000\n{body}".encode())
    later = data[:4] + (1_700_000_001).to_bytes(8, "big") + data[12:]
    with pytest.raises(LedgerError, match="the signature of witness does not hold"):
        open_note(with_signatures(note, [f"— witness {base64.b64encode(later).decode()}"]), [witness.public])


def test_a_proof_is_written_as_c2sp_writes_it() -> None:
    """Header, index, hashes, an empty line, the checkpoint's note."""
    text = proof_text(3, [ROOT, ROOT[::-1]], "note\n")
    first, second = (base64.b64encode(digest).decode() for digest in (ROOT, ROOT[::-1]))
    assert text == f"c2sp.org/tlog-proof@v1\nindex 3\n{first}\n{second}\n\nnote\n"
