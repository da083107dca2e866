"""crc64nvme as this sidecar writes it down: ``crc64nvme:<base64 of 8 bytes, big endian>``.

Pure computations. Reading a file is ``sidecar.files``' work.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable

from awscrt import checksums

CRC64NVME = "crc64nvme:"
UNVERIFIED = "unverified:"  # in a checksum's place, with the ETag: nobody has read the object
_BYTES = 8
_TEXT = re.compile(r"crc64nvme:[A-Za-z0-9+/]{10}[AEIMQUYcgkosw048]=")  # of 8 bytes, and nothing else


def to_text(crc: int) -> str:
    """Return the stored form of a crc64nvme value."""
    return CRC64NVME + binascii.b2a_base64(crc.to_bytes(_BYTES), newline=False).decode()


def to_int(text: str) -> int:
    """Return the value of a stored checksum. Raises ValueError for anything else."""
    if not text.startswith(CRC64NVME):
        raise ValueError(f"not a crc64nvme checksum: {text!r}")
    try:
        raw = base64.b64decode(text.removeprefix(CRC64NVME), validate=True)
    except binascii.Error as error:
        raise ValueError(f"not a crc64nvme checksum: {text!r}") from error
    if len(raw) != _BYTES:
        raise ValueError(f"not a crc64nvme checksum: {text!r}")
    return int.from_bytes(raw)


def to_header(text: str) -> str:
    """Return what S3 carries in ``x-amz-checksum-crc64nvme``. Raises ValueError."""
    if _TEXT.fullmatch(text) is None:
        to_int(text)
    return text.removeprefix(CRC64NVME)


def from_header(value: str) -> str:
    """Return the stored form of S3's ``x-amz-checksum-crc64nvme``. Raises ValueError."""
    text = CRC64NVME + value
    to_int(text)
    return text


def combine(ranges: Iterable[tuple[str, int]]) -> str:
    """Return the checksum of adjacent ranges put together; each is (its checksum, its length in bytes)."""
    crc = 0
    for text, length_bytes in ranges:
        crc = checksums.combine_crc64nvme(crc, to_int(text), length_bytes)
    return to_text(crc)
