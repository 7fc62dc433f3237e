"""Compressed messages of a WebSocket (RFC 7692): what is agreed on, and how it is done.

Threads: owner.
"""

from __future__ import annotations

import zlib
from typing import Any

__all__ = ["NAME", "Deflate", "chosen", "described"]

NAME = "permessage-deflate"
_TAIL = b"\x00\x00\xff\xff"  # what a flush ends with, which is not sent
_FLAGS = ("client_no_context_takeover", "server_no_context_takeover")
_SIZES = ("client_max_window_bits", "server_max_window_bits")
_BITS_MIN, _BITS_MAX = 9, 15  # zlib cannot compress with 8


def chosen(offers: str) -> dict[str, dict[str, Any]]:
    """The first of a client's offers that can be accepted; {} if none can."""
    for offer in offers.split(","):
        name, *parameters = [part.strip() for part in offer.split(";")]
        if name.lower() == NAME:
            options = _options([part for part in parameters if part])
            if options is not None:
                return {NAME: options}
    return {}


def _options(parameters: list[str]) -> dict[str, Any] | None:
    """None: it cannot be accepted."""
    options: dict[str, Any] = {}
    for parameter in parameters:
        name, _, value = (part.strip() for part in parameter.lower().partition("="))
        value = value.strip('"')
        if name in options:
            return None
        if name in _FLAGS and not value:
            options[name] = True
        elif name in _SIZES:
            bits = int(value) if value.isdecimal() else _BITS_MAX if not value else 0
            if not _BITS_MIN <= bits <= _BITS_MAX:
                return None
            options[name] = bits
        else:
            return None
    return options


def described(extensions: dict[str, dict[str, Any]]) -> str:
    """As the answer to the handshake says it."""
    options = extensions[NAME].items()
    words = [name if value is True else f"{name}={value}" for name, value in options]
    return "; ".join([NAME, *words])


class Deflate:
    """The compression of one WebSocket, in both directions."""

    def __init__(self, options: dict[str, Any], is_client: bool) -> None:
        mine, theirs = ("client", "server") if is_client else ("server", "client")
        self._bits = int(options.get(f"{mine}_max_window_bits") or _BITS_MAX)
        self._their_bits = int(options.get(f"{theirs}_max_window_bits") or _BITS_MAX)
        self._forgets = bool(options.get(f"{mine}_no_context_takeover"))
        self._they_forget = bool(options.get(f"{theirs}_no_context_takeover"))
        self._compressor: Any = None
        self._decompressor: Any = None

    def deflate(self, data: bytes) -> bytes:
        """A message compressed."""
        if self._compressor is None or self._forgets:
            self._compressor = zlib.compressobj(wbits=-self._bits)
        packed: bytes = self._compressor.compress(data)
        packed += self._compressor.flush(zlib.Z_SYNC_FLUSH)
        return packed.removesuffix(_TAIL)

    def inflate(self, data: bytes, bytes_max: int) -> bytes | None:
        """A message as it was; None if it is longer than that, or was not compressed so."""
        if self._decompressor is None or self._they_forget:
            self._decompressor = zlib.decompressobj(wbits=-self._their_bits)
        try:
            plain: bytes = self._decompressor.decompress(data + _TAIL, bytes_max + 1)
        except zlib.error:
            return None
        return None if len(plain) > bytes_max else plain
