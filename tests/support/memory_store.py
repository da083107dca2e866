"""An ObjectStore in memory, held to the same contract suite as the real one, so that it cannot lie."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from awscrt import checksums

from sidecar.core.checksums import combine, to_text
from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.core.model import Part, StoredObject
from sidecar.upload.store import Body, ListedObject, ObjectHead, ObjectSpec, OpenUpload


@dataclass(slots=True)
class Upload:
    """An open multipart upload."""

    spec: ObjectSpec
    parts: dict[int, bytes] = field(default_factory=dict)


@dataclass(slots=True)
class MemoryStore:
    """One bucket. ``objects`` and ``uploads`` are there for tests to look at; ``log`` names the calls.

    ``shown`` holds every content that was ever visible, with its key; ``pread`` reads bodies as they go,
    also those that were read before: what changes under a PUT must be refused;
    ``forgets``: a second Complete of an upload is answered with NoSuchUpload, as some stores do.
    """

    bucket: str = "lessons"
    objects: dict[str, tuple[ObjectSpec, bytes]] = field(default_factory=dict)
    uploads: dict[str, Upload] = field(default_factory=dict)
    completed: dict[str, str] = field(default_factory=dict)  # upload ID -> key
    shown: list[tuple[str, bytes]] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    missing_bucket: bool = False
    forgets: bool = False
    now_ms: int = 1_779_900_000_000
    modified_ms: dict[str, int] = field(default_factory=dict)
    pread: Callable[[int, int, int], bytes] = os.pread

    def copy(self) -> MemoryStore:
        """Return a bucket that changes by itself."""
        return MemoryStore(
            bucket=self.bucket,
            objects=dict(self.objects),
            uploads={name: Upload(upload.spec, dict(upload.parts)) for name, upload in self.uploads.items()},
            completed=dict(self.completed),
            shown=list(self.shown),
            log=list(self.log),
            missing_bucket=self.missing_bucket,
            forgets=self.forgets,
            now_ms=self.now_ms,
            modified_ms=dict(self.modified_ms),
            pread=self.pread,
        )

    async def probe(self) -> None:
        """HeadBucket."""
        self._call("probe", self.bucket)

    async def put(self, spec: ObjectSpec, body: Body, *, checksum: str, once: bool = False) -> StoredObject:
        """Store an object whole."""
        self._call("put", spec.key)
        self._accept(spec)
        self._refuse_if_there(spec.key, once=once)
        content = self._read(body)
        if checksum_of(content) != checksum:
            raise failure(ErrorKind.CORRUPT, "BadDigest", spec.key)
        return self._show(spec, content)

    async def create(self, spec: ObjectSpec) -> str:
        """Open a multipart upload."""
        self._call("create", spec.key)
        self._accept(spec)
        upload_id = f"upload-{len(self.log)}"
        self.uploads[upload_id] = Upload(spec)
        return upload_id

    async def put_part(self, upload: OpenUpload, body: Body, *, number: int) -> Part:
        """Keep one part."""
        self._call(f"part {number}", upload.key)
        content = self._read(body)
        checksum = checksum_of(content)
        if body.checksum not in {None, checksum}:
            raise failure(ErrorKind.CORRUPT, "BadDigest", upload.key)
        self._open(upload).parts[number] = content
        return Part(number=number, size_bytes=len(content), etag=f'"{checksum}"', checksum=checksum)

    async def existing_parts(self, upload: OpenUpload, bodies: Mapping[int, Body]) -> list[Part]:
        """Compare whole contents."""
        self._call("list parts", upload.key)
        have = self._open(upload).parts
        contents = {number: self._read(body) for number, body in bodies.items()}
        return [
            Part(number=n, size_bytes=len(c), etag=f'"{checksum_of(c)}"', checksum=checksum_of(c))
            for n, c in contents.items()
            if have.get(n) == c
        ]

    async def complete(
        self, upload: OpenUpload, parts: Sequence[Part], *, checksum: str, once: bool = False
    ) -> StoredObject:
        """Join the parts."""
        self._call("complete", upload.key)
        if self.completed.get(upload.upload_id) == upload.key and not self.forgets:
            return self._stored(upload.key)
        have = self._open(upload)
        self._refuse_if_there(upload.key, once=once)
        if any(not _is_part(have.parts.get(part.number, b""), part) for part in parts):
            raise failure(ErrorKind.CORRUPT, "InvalidPart", upload.key)
        if combine((part.checksum, part.size_bytes) for part in parts) != checksum:
            raise failure(ErrorKind.CORRUPT, "BadDigest", upload.key)
        del self.uploads[upload.upload_id]
        self.completed[upload.upload_id] = upload.key
        return self._show(have.spec, b"".join(have.parts[part.number] for part in parts))

    async def abort(self, upload: OpenUpload) -> None:
        """Forget an upload."""
        self._call("abort", upload.key)
        self.uploads.pop(upload.upload_id, None)

    async def head(self, key: str) -> ObjectHead | None:
        """Describe an object."""
        self._call("head", key)
        if key not in self.objects:
            return None
        spec, content = self.objects[key]
        return ObjectHead(
            stored=self._stored(key),
            size_bytes=len(content),
            checksum=checksum_of(content),
            metadata=spec.metadata,
        )

    async def delete(self, key: str) -> None:
        """Delete an object."""
        self._call("delete", key)
        self.objects.pop(key, None)

    async def list_objects(self, *, prefix: str) -> AsyncIterator[ListedObject]:
        """List objects."""
        self._call("list objects", prefix)
        for key in sorted(self.objects, key=str.encode):
            if key.startswith(prefix) and key in self.objects:
                size_bytes = len(self.objects[key][1])
                modified_ms = self.modified_ms.get(key, self.now_ms)
                yield ListedObject(key=key, size_bytes=size_bytes, modified_ms=modified_ms)

    async def open_uploads(self, *, prefix: str) -> AsyncIterator[OpenUpload]:
        """List open uploads."""
        self._call("list", prefix)
        for upload_id, upload in list(self.uploads.items()):
            if upload.spec.key.startswith(prefix):
                yield OpenUpload(key=upload.spec.key, upload_id=upload_id)

    def _call(self, operation: str, target: str) -> None:
        self.log.append(operation)
        if self.missing_bucket:
            raise failure(ErrorKind.NOT_FOUND, "NoSuchBucket", target)

    def _refuse_if_there(self, key: str, *, once: bool) -> None:
        if once and key in self.objects:
            raise failure(ErrorKind.CONFLICT, "PreconditionFailed", key, maybe_done=True)

    def _accept(self, spec: ObjectSpec) -> None:
        if spec.bucket != self.bucket:
            raise failure(ErrorKind.INVALID, "OtherBucket", spec.key)

    def _show(self, spec: ObjectSpec, content: bytes) -> StoredObject:
        self.objects[spec.key] = (spec, content)
        self.modified_ms[spec.key] = self.now_ms
        self.shown.append((spec.key, content))
        return self._stored(spec.key)

    def _read(self, body: Body) -> bytes:
        content = body.data
        if content is None:
            content = self.pread(body.fd, body.length_bytes, body.offset_bytes)
        if len(content) != body.length_bytes:
            raise failure(ErrorKind.CORRUPT, "TruncatedError", "body")
        return content

    def _open(self, upload: OpenUpload) -> Upload:
        found = self.uploads.get(upload.upload_id)
        if found is None or found.spec.key != upload.key:
            raise failure(ErrorKind.NOT_FOUND, "NoSuchUpload", upload.key)
        return found

    def _stored(self, key: str) -> StoredObject:
        return StoredObject(bucket=self.bucket, key=key, etag=f'"{checksum_of(self.objects[key][1])}"')


def failure(kind: ErrorKind, code: str, target: str, *, maybe_done: bool = False) -> SidecarError:
    """Return an error as an adapter would raise it."""
    return SidecarError(kind, code, operation="fake", target=target, code=code, maybe_done=maybe_done)


def checksum_of(content: bytes) -> str:
    """Return our checksum of some bytes."""
    return to_text(checksums.crc64nvme(content))


def _is_part(content: bytes, part: Part) -> bool:
    """Tell whether S3 would know a part by the ETag that it is named with."""
    checksum = checksum_of(content)
    return (checksum, f'"{checksum}"') == (part.checksum, part.etag)
