"""A witness as an anchor: someone else's process, which cosigns a head only when it continues the last one (C2SP tlog-witness).

A witness keeps the newest head alone. Its cosignature is checked with the key of the spec before it is taken. Not here: the
witness itself (`marketbot_resources.witness`).
"""

import base64
import hashlib
import http.client
import re
import time
from urllib.parse import urlsplit

from marketbot_resources.anchors.port import NOTE_BYTES_MAX, Proof, signed_head
from marketbot_resources.errors import AnchorError, Equivocation, LedgerError
from marketbot_resources.ledger.merkle import verify_consistency
from marketbot_resources.ledger.note import (
    Checkpoint,
    VerifyKey,
    open_checkpoint,
    open_note,
    split_note,
    with_signatures,
)

SOCKET_SECONDS, ANSWER_SECONDS, ATTEMPTS, PROOF_HASHES_MAX = 10.0, 30.0, 3, 63
OK, UNKNOWN, CONFLICT, BAD_PROOF, SIZE = 200, 404, 409, 422, "text/x.tlog.size"
_NUMBER = re.compile(r"(0|[1-9][0-9]{0,18})\n")


class WitnessAnchor:
    """One witness. `url`: its submission prefix; `vkey`: the key that its cosignatures must have."""

    def __init__(self, url: str, vkey: VerifyKey) -> None:
        self._url, self._vkey = url.rstrip("/"), vkey

    @property
    def name(self) -> str:
        return f"witness:{self._url}#{self._vkey.text}"

    def publish(self, note: str, key: VerifyKey, prove: Proof) -> str:
        head, old = open_checkpoint(note, key), 0
        for _ in range(ATTEMPTS):
            proof = prove(old) if 0 < old < head.size else []
            status, kind, body = self._ask("POST", "/add-checkpoint", _request(old, proof, note))
            if status == OK:
                return self._cosigned(note, body)
            known = int(body) if status == CONFLICT and kind == SIZE and _NUMBER.fullmatch(body) else None
            if known is None and status != BAD_PROOF:
                raise AnchorError(f"{self._who}: expected a cosignature, found {status} {body[:80].strip()!r}")
            if known is not None and known > head.size:
                raise AnchorError(
                    f"{self._who} has cosigned {known} entries, found only {head.size}: entries are missing"
                )
            if known is None or known == old:
                raise self._contradiction(head, old, proof, key)
            old = known
        raise AnchorError(f"{self._who}: expected an answer after {ATTEMPTS} attempts, found other heads each time")

    def notes(self, key: VerifyKey) -> list[str]:
        name = hashlib.sha256(key.name.encode()).hexdigest()
        status, _, body = self._ask("GET", f"/checkpoint/{name}", None)
        if status not in (OK, UNKNOWN):
            raise AnchorError(f"{self._who}: expected its last note, found {status} {body[:80].strip()!r}")
        return [body] if status == OK else []

    @property
    def _who(self) -> str:
        return f"witness {self._vkey.name} on {self._url}"

    def _cosigned(self, note: str, lines: str) -> str:
        """The note with the witness's cosignature. Raises AnchorError when it does not hold."""
        text, signatures = split_note(note)
        own = (self._vkey.name, self._vkey.key_id)
        plain = with_signatures(f"{text}\n", [each.line for each in signatures if (each.name, each.key_id) != own])
        try:
            _, offered = split_note(with_signatures(f"{text}\n", lines.splitlines()))
            found = with_signatures(plain, [each.line for each in offered if (each.name, each.key_id) == own][:1])
            _, good = open_note(found, [self._vkey])
        except LedgerError as error:
            raise AnchorError(f"{self._who}: expected its cosignature, found: {error}") from error
        if not good:
            raise AnchorError(f"{self._who}: expected a cosignature by {self._vkey.key_id.hex()}, found none")
        return found

    def _contradiction(self, head: Checkpoint, old: int, proof: list[bytes], key: VerifyKey) -> Exception:
        """Why the witness does not cosign: another history that the log has signed, or the witness itself."""
        for kept in self.notes(key):
            theirs = signed_head(kept, key, self._who)
            if theirs.size == old and not verify_consistency(theirs.size, head.size, theirs.root, head.root, proof):
                return Equivocation(
                    f"{self._who} has cosigned {theirs.size} entries that the log's {head.size} do not continue: "
                    "the log was changed"
                )
        return AnchorError(
            f"{self._who}: expected a cosignature of {head.size} entries, found a refusal without a reason"
        )

    def _ask(self, method: str, path: str, body: bytes | None) -> tuple[int, str, str]:
        """(status, content type, body) of one request, on a connection of its own."""
        parts = urlsplit(self._url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(str(parts.hostname), parts.port, timeout=SOCKET_SECONDS)
        try:
            connection.request(method, parts.path + path, body)
            with connection.getresponse() as answer:
                return answer.status, answer.getheader("Content-Type", ""), _read(answer)
        except (OSError, http.client.HTTPException) as error:
            raise AnchorError(f"{self._who}: expected an answer, found: {error or type(error).__name__}") from error
        finally:
            connection.close()


def _request(old: int, proof: list[bytes], note: str) -> bytes:
    assert len(proof) <= PROOF_HASHES_MAX
    lines = [f"old {old}", *(base64.b64encode(digest).decode() for digest in proof)]
    return ("\n".join(lines) + "\n\n" + note).encode()


def _read(answer: http.client.HTTPResponse) -> str:
    """The body as text. Raises OSError when it is too long or takes too long."""
    until, data = time.monotonic() + ANSWER_SECONDS, b""
    while chunk := answer.read1(NOTE_BYTES_MAX):
        data += chunk
        if len(data) > NOTE_BYTES_MAX or time.monotonic() > until:
            raise OSError("an answer that is too long")
    return data.decode(errors="replace")
