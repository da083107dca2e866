"""Checks bytes on their way (``s3.checksum``); the identity of content is crc64nvme, always.

A ``Receipt`` is what S3 gave for a part: its ETag, and our transport checksum of it where Complete will
need that again. It travels through the journal in ``Part.etag``, which is opaque to everybody else.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

from awscrt import checksums

from sidecar.core.checksum_algorithms import Algorithm
from sidecar.core.checksums import combine, to_header, to_text
from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.core.model import Part
from sidecar.files import READ_BYTES, TruncatedError
from sidecar.upload.store import Body

SENT_UNDER = "sent-under"  # an object's metadata, where it is another one than crc64nvme


class _Digest(Protocol):
    def update(self, data: bytes, /) -> None: ...

    def digest(self) -> bytes: ...


class _Crc32c:
    """crc32c with hashlib's face."""

    def __init__(self) -> None:
        self._crc = 0

    def update(self, data: bytes, /) -> None:
        self._crc = checksums.crc32c(data, self._crc)

    def digest(self) -> bytes:
        return self._crc.to_bytes(4)


_DIGESTS: dict[Algorithm, Callable[[], _Digest]] = {
    Algorithm.CRC32C: _Crc32c,
    Algorithm.SHA256: hashlib.sha256,
    Algorithm.MD5: lambda: hashlib.md5(usedforsecurity=False),
}


_NAMES = {one: one.upper() for one in Algorithm}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """One read of a body: our checksum, and the transport's (base64) of the very same bytes."""

    checksum: str
    transport: str


def scan(body: Body, algorithm: Algorithm) -> Scan:
    """Read a body once. Blocking. Raises TruncatedError if the file ends before it, OSError."""
    digest = _DIGESTS[algorithm]() if algorithm in _DIGESTS else None
    crc = 0
    for piece in _pieces(body):
        crc = checksums.crc64nvme(piece, crc)
        if digest is not None:
            digest.update(piece)
    text = to_text(crc)
    return Scan(checksum=text, transport=_base64(digest.digest()) if digest is not None else to_header(text))


def _pieces(body: Body) -> Iterator[bytes]:
    if body.data is not None:
        yield body.data
        return
    offset, end = body.offset_bytes, body.offset_bytes + body.length_bytes
    while offset < end:
        piece = os.pread(body.fd, min(READ_BYTES, end - offset), offset)
        if not piece:
            raise TruncatedError(f"the file ends at {offset} bytes, before {end}")
        yield piece
        offset += len(piece)


def md5_hex(found: Scan) -> str:
    """Return the MD5 that a scan found as an ETag spells it."""
    return base64.b64decode(found.transport).hex()


@cache
def field(algorithm: Algorithm) -> str:
    """Return the name of the request's (and the answer's) field."""
    return "ContentMD5" if algorithm is Algorithm.MD5 else f"Checksum{algorithm.upper()}"


def sent(algorithm: Algorithm, value: str) -> dict[str, Any]:
    """Return what a request with a body says of it; some stores look for the algorithm's name alone."""
    name = field(algorithm)
    if algorithm is Algorithm.MD5:
        return {name: value}
    return {name: value, "ChecksumAlgorithm": _NAMES[algorithm]}


def is_checked(answer: Mapping[str, Any]) -> bool:
    """Tell whether S3 compared an object, as it came, with a checksum that HEAD does not show as crc64nvme.

    The object names the algorithm that it was sent under; of an MD5 S3 says nothing more.
    """
    sent_under = next((one for one in Algorithm if one == answer.get("Metadata", {}).get(SENT_UNDER)), None)
    return sent_under is Algorithm.MD5 or (sent_under is not None and bool(answer.get(field(sent_under))))


def create_fields(algorithm: Algorithm) -> dict[str, Any]:
    """Return what Create must say, so that Complete can be checked."""
    if algorithm is Algorithm.MD5:
        return {}
    kind = "COMPOSITE" if algorithm is Algorithm.SHA256 else "FULL_OBJECT"
    return {"ChecksumAlgorithm": algorithm.upper(), "ChecksumType": kind}


def receipt(algorithm: Algorithm, etag: str, transport: str) -> str:
    """Return what the journal keeps of a part's answer."""
    return f"{etag} {transport}" if is_needed_again(algorithm) else etag


def is_needed_again(algorithm: Algorithm) -> bool:
    """Tell whether Complete needs the transport checksum of each part."""
    return algorithm in {Algorithm.CRC32C, Algorithm.SHA256}


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What Complete must say; ``expected`` is what S3 must answer (None: it does not say)."""

    parts: list[dict[str, Any]]
    fields: dict[str, Any]
    expected: str | None


def completion(algorithm: Algorithm, parts: Sequence[Part], *, checksum: str, key: str) -> Completion:
    """Prepare Complete. ``checksum`` is the file's own, never one of the parts as they were sent.

    Only crc64nvme lets S3 compare the whole object with it. For the others S3 checked every part on
    its way, and the parts' crc64nvme, taken in the same read, must add up to it: raises CORRUPT.
    """
    listed = [_listed(algorithm, part) for part in parts]
    if algorithm is Algorithm.CRC64NVME:
        whole = to_header(checksum)
        return Completion(parts=listed, fields=_full(algorithm, whole), expected=whole)
    if combine((part.checksum, part.size_bytes) for part in parts) != checksum:
        message = "the parts that S3 holds do not add up to the file"
        raise SidecarError(ErrorKind.CORRUPT, message, operation="CompleteMultipartUpload", target=key)
    if algorithm is Algorithm.CRC32C:
        whole = _combined_crc32c(parts)
        return Completion(parts=listed, fields=_full(algorithm, whole), expected=whole)
    return Completion(
        parts=listed, fields={}, expected=_composite(parts) if algorithm is Algorithm.SHA256 else None
    )


def _full(algorithm: Algorithm, whole: str) -> dict[str, Any]:
    return {field(algorithm): whole, "ChecksumType": "FULL_OBJECT"}


def _listed(algorithm: Algorithm, part: Part) -> dict[str, Any]:
    etag, _, transport = part.etag.partition(" ")
    listed: dict[str, Any] = {"PartNumber": part.number, "ETag": etag}
    if transport:
        listed[field(algorithm)] = transport
    return listed


def _transport(part: Part) -> bytes:
    return base64.b64decode(part.etag.partition(" ")[2])


def _combined_crc32c(parts: Sequence[Part]) -> str:
    crc = 0
    for part in parts:
        crc = checksums.combine_crc32c(crc, int.from_bytes(_transport(part)), part.size_bytes)
    return _base64(crc.to_bytes(4))


def _composite(parts: Sequence[Part]) -> str:
    digest = hashlib.sha256(b"".join(_transport(part) for part in parts)).digest()
    return f"{_base64(digest)}-{len(parts)}"


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
