"""The body of an answer, unpacked while it arrives and never larger than a bound, however well it was packed. Pure.

An answer that grows beyond the bound stops there: neither its size on the wire nor its ratio matters.
"""

import zlib
from typing import Protocol

from marketbot_resources.errors import ProviderError

_STEP = 1 << 16
_GZIP, _ZLIB, _RAW = 31, 15, -15


class _Inflater(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    @property
    def unconsumed_tail(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class BodyDecoder:
    """Takes the chunks of one body. `encoding`: its Content-Encoding, `bytes_max`: bound of what comes out and of what goes in."""

    def __init__(self, encoding: str, bytes_max: int) -> None:
        self._encoding = encoding.strip().lower()
        if self._encoding not in ("", "identity", "gzip", "x-gzip", "deflate"):
            raise ProviderError(f"expected a body as gzip, deflate or plain, found encoding {encoding[:40]!r}")
        self._packed = self._encoding not in ("", "identity")
        self._bytes_max = bytes_max
        self._body = bytearray()
        self._early = b""
        self._inflater: _Inflater | None = None
        self.bytes_in = 0

    def feed(self, chunk: bytes) -> None:
        """Adds a chunk. Raises ProviderError."""
        self.bytes_in += len(chunk)
        if self.bytes_in > self._bytes_max:
            raise self._too_large()
        if self._packed:
            try:
                self._inflate(chunk)
            except zlib.error as error:
                raise ProviderError(f"expected a body packed as {self._encoding}, found: {error}") from error
        else:
            self._body += chunk

    def finish(self) -> bytes:
        """The whole body. Raises ProviderError when its end is missing. An answer without any byte is an empty body."""
        if self._packed and self.bytes_in and (self._inflater is None or not self._inflater.eof):
            raise ProviderError(f"expected a whole body packed as {self._encoding}, found its end missing")
        return bytes(self._body)

    def _inflate(self, data: bytes) -> None:
        inflater = self._inflater
        if inflater is None:
            data, self._early = self._early + data, b""
            if len(data) < 2:
                self._early = data
                return
            inflater = self._start(data)
        while True:
            if inflater.eof and data:
                if self._encoding == "deflate":
                    raise ProviderError("expected the end of a body packed as deflate, found more bytes")
                inflater = zlib.decompressobj(_GZIP)  # the next member
            self._inflater = inflater
            piece = inflater.decompress(data, _STEP)
            self._body += piece
            if len(self._body) > self._bytes_max:
                raise self._too_large()
            data = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
            if not data and len(piece) < _STEP:
                return

    def _start(self, data: bytes) -> _Inflater:
        """Some servers send deflate without the zlib header that the standard asks for."""
        if self._encoding != "deflate":
            return zlib.decompressobj(_GZIP)
        has_header = data[0] & 0x0F == 8 and int.from_bytes(data[:2]) % 31 == 0
        return zlib.decompressobj(_ZLIB if has_header else _RAW)

    def _too_large(self) -> ProviderError:
        return ProviderError(f"expected a body of at most {self._bytes_max} bytes, found a larger one; stopped reading")
