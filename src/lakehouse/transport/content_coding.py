"""Decompresses bodies that a peer compressed although it was asked not to, within a limit.

Proxies and some hosted endpoints compress whatever the request says. The caller's limit bounds
every size here, so a small body that unpacks to gigabytes costs no more than the limit.
"""

import zlib
from typing import Final

_CODINGS_MAX: Final = 2  # applied one after the other; no real server sends more
_MEMBERS_MAX: Final = 16  # of one gzip body; each member costs another pass over the rest
_ZLIB_OR_GZIP: Final = 32 + zlib.MAX_WBITS
_RAW_DEFLATE: Final = -zlib.MAX_WBITS
_BY_ARROW: Final = {"br": "brotli", "zstd": "zstd"}


class CodingFault(ValueError):
    """A body that cannot be decompressed; the message says why."""


class OversizedBody(ValueError):
    """A body that is larger than the limit after decompression."""


def codings_of(header: str) -> tuple[str, ...]:
    """List the codings of a `Content-Encoding` header in the order in which they were applied."""
    names = (name.strip().lower() for name in header.split(","))
    return tuple(name for name in names if name not in {"", "identity"})


def opened(body: bytes, codings: tuple[str, ...], *, bytes_max: int) -> bytes:
    """Undo the codings of a body: gzip, deflate, br, zstd.

    Raises:
        CodingFault: A coding is unknown, or the body is not in that coding.
        OversizedBody: The result would exceed `bytes_max`.
    """
    if len(codings) > _CODINGS_MAX:
        raise CodingFault(f"{len(codings)} codings one over the other")
    for coding in reversed(codings):
        body = _opened(body, coding, bytes_max)
    return body


def _opened(body: bytes, coding: str, bytes_max: int) -> bytes:
    if not body:
        return body
    if coding in {"gzip", "x-gzip", "deflate"}:
        return _inflated(body, coding, bytes_max)
    if coding not in _BY_ARROW:
        raise CodingFault(f"{coding[:40]!r} is not known here")
    import pyarrow as pa  # noqa: PLC0415  the import takes 0.1 s and is rarely needed

    try:
        with pa.CompressedInputStream(pa.BufferReader(body), _BY_ARROW[coding]) as stream:
            whole: bytes = stream.read(bytes_max + 1)
    except OSError as error:
        raise CodingFault(f"not {coding}: {error}") from error
    return _within(whole, bytes_max)


def _inflated(body: bytes, coding: str, bytes_max: int) -> bytes:
    # By the RFC "deflate" is the zlib format, but some servers send raw deflate.
    raw = coding == "deflate" and (body[0] & 0x0F != 8 or int.from_bytes(body[:2], "big") % 31)
    whole = b""
    for _ in range(_MEMBERS_MAX):
        member = zlib.decompressobj(_RAW_DEFLATE if raw else _ZLIB_OR_GZIP)
        try:
            whole += member.decompress(body, bytes_max + 1 - len(whole))
        except zlib.error as error:
            raise CodingFault(f"not {coding}: {error}") from error
        _within(whole, bytes_max)
        if not member.eof:
            raise CodingFault(f"not whole as {coding}")
        body = member.unused_data  # a gzip body may have several members
        if not body:
            return whole
    raise CodingFault(f"over {_MEMBERS_MAX} members of {coding}")


def _within(whole: bytes, bytes_max: int) -> bytes:
    if len(whole) > bytes_max:
        raise OversizedBody
    return whole
