"""The port to S3. One contract suite (tests/contract) runs over every implementation.

Every method raises ``SidecarError`` and nothing else (but CancelledError); no method retries; each
is bounded in time. Checksums are ours: ``crc64nvme:<base64>`` of the bytes in the body.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sidecar.core.checksum_algorithms import Algorithm
from sidecar.core.errors import STALE, ErrorKind, SidecarError
from sidecar.core.model import Part, StoredObject
from sidecar.core.ports import effect, question

_ABSENT = frozenset({"NoSuchKey", "NoSuchUpload", "404"})  # an answer to HEAD has no body, and so no code


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """A range of an open regular file. The store reads it with pread and never moves the file's offset.

    ``data`` are all its bytes, where whoever opened a small file has read them. ``checksum`` is what they
    must have, where the file was read before: a part with other bytes is refused, and raises CORRUPT.
    """

    fd: int
    offset_bytes: int
    length_bytes: int
    data: bytes | None = None
    checksum: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectSpec:
    """Everything about an object but its bytes. ``metadata`` keys are lower case, values ASCII.

    ``algorithm`` is how S3 is to check the bytes, None: as the store is set; ``storage_class`` None: as the
    bucket is.
    """

    bucket: str
    key: str
    content_type: str
    cache_control: str | None
    metadata: Mapping[str, str]
    algorithm: Algorithm | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    storage_class: str | None = None
    content_disposition: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectHead:
    """What S3 says of an object. ``checksum`` is None where the store keeps none for whole objects.

    ``is_checked``: it was compared with another checksum as it came.
    """

    stored: StoredObject
    size_bytes: int
    checksum: str | None
    metadata: Mapping[str, str]
    is_checked: bool = False
    content_type: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedObject:
    """What a listing says of an object. ``modified_ms`` is by S3's clock."""

    key: str
    size_bytes: int
    modified_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenUpload:
    """A multipart upload that is neither completed nor aborted.

    ``algorithm`` is what it was begun with, None: as the store is set. ``doubted``: ``put_part`` fails as
    ``complete`` would if S3 does not confirm the part.
    """

    key: str
    upload_id: str
    algorithm: Algorithm | None = None
    doubted: bool = False


def is_absent(error: SidecarError) -> bool:
    """Tell whether S3 says that this very object or upload is not there.

    A redirect and a missing bucket say nothing about it, though both are NOT_FOUND.
    """
    return error.kind is ErrorKind.NOT_FOUND and error.code in _ABSENT


def is_stale(error: SidecarError) -> bool:
    """Tell whether a connection that had been kept was cut under the request, before a byte of an answer.

    That is nobody's fault, and another connection may be well; whether it was carried out must be asked.
    """
    return error.code == STALE


class ObjectStore(Protocol):
    """S3 as this sidecar needs it."""

    @question
    async def probe(self) -> None:
        """HeadBucket: return if the bucket answers to our credentials; raises SidecarError."""

    @effect
    async def put(self, spec: ObjectSpec, body: Body, *, checksum: str, once: bool = False) -> StoredObject:
        """Store an object whole. Atomic: it is visible whole or not at all.

        Returns only if S3 confirmed that what it holds has ``checksum``. A body whose bytes do not
        match is refused by S3 and raises CORRUPT. ``maybe_done`` is set where the answer was lost.
        A spec for another bucket than the store's raises INVALID, here and in ``create``. ``once``, here
        and in ``complete``: where the key has an object already nothing is stored, and CONFLICT with
        ``maybe_done`` is raised; a store that knows no such condition stores it again.
        """

    @effect
    async def create(self, spec: ObjectSpec) -> str:
        """Open a multipart upload, return its upload ID. Not idempotent: a lost answer leaves one open."""

    @effect
    async def put_part(self, upload: OpenUpload, body: Body, *, number: int) -> Part:
        """Send one part (numbers 1 to 10,000), return it with the checksum of the bytes that were sent.

        Idempotent: the last one with a number counts. Raises NOT_FOUND if the upload is gone.
        """

    @question
    async def existing_parts(self, upload: OpenUpload, bodies: Mapping[int, Body]) -> list[Part]:
        """Tell which of these parts, by number, S3 holds already, byte for byte, as ``put_part`` would.

        For parts whose answer was lost with a process. A list of part numbers and sizes alone is never
        trusted: the MD5 of the bytes must be the part's ETag. Where ETags are no MD5 (KMS), none is held.
        """

    @effect
    async def complete(
        self, upload: OpenUpload, parts: Sequence[Part], *, checksum: str, once: bool = False
    ) -> StoredObject:
        """Make the object of exactly these parts; ``checksum`` is that of the whole file.

        S3 refuses, and this raises CORRUPT, if the parts do not add up to it. NOT_FOUND means that
        the upload is unknown: done before, or aborted; HEAD tells which.
        """

    @effect
    async def abort(self, upload: OpenUpload) -> None:
        """Drop an upload and its parts. An upload that is not there is success."""

    @question
    async def head(self, key: str) -> ObjectHead | None:
        """Describe an object; None if there is none."""

    @effect
    async def delete(self, key: str) -> None:
        """Delete an object (with versioning: set a delete marker). None there is success."""

    @question
    def list_objects(self, *, prefix: str) -> AsyncIterator[ListedObject]:
        """List the objects below a prefix, page by page; the order is the store's own."""

    @question
    def open_uploads(self, *, prefix: str) -> AsyncIterator[OpenUpload]:
        """List the open multipart uploads below a prefix, page by page."""
