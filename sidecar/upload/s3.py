"""The port ``ObjectStore`` over aioboto3's low-level calls. Nothing here retries."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from botocore.exceptions import ClientError

from sidecar.core.checksums import from_header, to_header
from sidecar.core.clock import Clock, RemoteClock
from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.core.model import Part, StoredObject

from . import transport
from .client import S3Config, open_client
from .deadline import Deadline
from .errors import FAULTS, due, from_disk, translate
from .payload import CHUNK_BYTES, RangePayload
from .store import Body, ListedObject, ObjectHead, ObjectSpec, OpenUpload, is_absent
from .transport import Algorithm, Scan

STALL_SECONDS = 30.0
PROBE_SECONDS = 10.0  # HEAD asks little and follows every failure: an S3 that hangs must be named soon
SLOWEST_BYTES_PER_SECOND = 8 * 1024  # a body that goes slower is dripped on purpose
COMPLETE_SECONDS = 600.0  # S3 joins thousands of parts before it answers

T = TypeVar("T")


async def _at_once(_size_bytes: int) -> None:
    """Pace nothing."""


@asynccontextmanager
async def open_store(
    config: S3Config,
    *,
    clock: Clock,
    connections: int,
    pace: Callable[[int], Awaitable[None]] | None = None,
) -> AsyncIterator[S3Store]:
    """Open the store. ``pace`` is awaited with each chunk's size before it goes (``Bandwidth.take``)."""
    async with open_client(config, connections=connections) as client:
        yield S3Store(client=client, config=config, clock=clock, pace=pace or _at_once)


class S3Store:
    """One bucket."""

    def __init__(
        self,
        *,
        client: Any,
        config: S3Config,
        clock: Clock,
        pace: Callable[[int], Awaitable[None]] = _at_once,
    ) -> None:
        """``client`` is aioboto3's, made by ``open_client``; the caller closes it."""
        self._client = client
        self._config = config
        self._pace = pace
        self._unconfirmed: SidecarError | None = None
        self._remote_clock = RemoteClock(clock)
        client.meta.events.register_last("before-call.s3", _expect_for_large_bodies_only)
        client.meta.events.register_last("before-parameter-build.s3", _stay_in_our_region)

    @property
    def skew_seconds(self) -> float | None:
        """Our clock minus S3's; None before its first answer."""
        return self._remote_clock.skew_seconds

    async def probe(self) -> None:
        """HeadBucket. Also fails, once, after the store did not confirm a checksum: no file is at fault."""
        unconfirmed, self._unconfirmed = self._unconfirmed, None
        if unconfirmed is not None:
            raise unconfirmed
        await self._call("head_bucket", self._config.bucket, deadline=Deadline(PROBE_SECONDS))

    async def put(self, spec: ObjectSpec, body: Body, *, checksum: str) -> StoredObject:
        """Store an object whole."""
        value = await self._checked(body, checksum, key=spec.key)
        sent = transport.sent(self._config.checksum, value)
        answer = await self._send("put_object", body, spec.key, **self._about(spec), **sent)
        due(answer, "ETag", operation="PutObject", target=spec.key)
        return await self._confirmed(answer, spec.key, self._answerable(value))

    async def create(self, spec: ObjectSpec) -> str:
        """Open a multipart upload."""
        fields: dict[str, Any] = transport.create_fields(self._config.checksum)
        answer = await self._call("create_multipart_upload", spec.key, **self._about(spec), **fields)
        return str(due(answer, "UploadId", operation="CreateMultipartUpload", target=spec.key))

    async def put_part(self, upload: OpenUpload, body: Body, *, number: int) -> Part:
        """Send one part."""
        algorithm = self._config.checksum
        found = await self._scan(body, operation="UploadPart", target=upload.key)
        answer = await self._send(
            "upload_part",
            body,
            upload.key,
            **self._upload(upload),
            PartNumber=number,
            **transport.sent(algorithm, found.transport),
        )
        self._compare(answer, upload.key, self._answerable(found.transport), optional=True)
        said = str(due(answer, "ETag", operation="UploadPart", target=upload.key))
        etag = transport.receipt(algorithm, said, found.transport)
        return Part(number=number, size_bytes=body.length_bytes, etag=etag, checksum=found.checksum)

    async def held(self, upload: OpenUpload, bodies: Mapping[int, Body]) -> list[Part]:
        """Tell which of these parts S3 holds already."""
        etags: dict[int, set[str]] = {}
        async for number, etag in self._listed_parts(upload):
            etags.setdefault(number, set()).add(etag)  # SeaweedFS lists a part that was sent twice twice
        found = [
            await self._held(upload, number, body, etags[number])
            for number, body in bodies.items()
            if number in etags
        ]
        return [part for part in found if part is not None]

    async def complete(self, upload: OpenUpload, parts: Sequence[Part], *, checksum: str) -> StoredObject:
        """Make the object of exactly these parts."""
        ready = transport.completion(self._config.checksum, parts, checksum=checksum, key=upload.key)
        answer = await self._call(
            "complete_multipart_upload",
            upload.key,
            deadline=Deadline(COMPLETE_SECONDS),
            **self._upload(upload),
            MultipartUpload={"Parts": ready.parts},
            **ready.fields,
        )
        return await self._confirmed(answer, upload.key, ready.expected)

    async def abort(self, upload: OpenUpload) -> None:
        """Drop an upload and its parts."""
        try:
            await self._call("abort_multipart_upload", upload.key, **self._upload(upload))
        except SidecarError as error:
            if not is_absent(error):
                raise

    async def head(self, key: str) -> ObjectHead | None:
        """Describe an object."""
        answer = await self._head(key)
        if answer is None:
            return None
        whole = answer.get("ChecksumCRC64NVME")
        return ObjectHead(
            stored=_stored(answer, self._config.bucket, key),
            size_bytes=int(due(answer, "ContentLength", operation="HeadObject", target=key)),
            checksum=from_header(whole) if whole else None,
            metadata={name.lower(): value for name, value in answer.get("Metadata", {}).items()},
        )

    async def delete(self, key: str) -> None:
        """Delete an object."""
        await self._call("delete_object", key, Bucket=self._config.bucket, Key=key)

    async def list_objects(self, *, prefix: str) -> AsyncIterator[ListedObject]:
        """List the objects below a prefix."""
        marker: dict[str, Any] = {}
        while True:
            page = await self._call(
                "list_objects_v2", prefix, Bucket=self._config.bucket, Prefix=prefix, **marker
            )
            for found in page.get("Contents", []):
                modified_ms = int(found["LastModified"].timestamp() * 1000)
                yield ListedObject(key=found["Key"], size_bytes=found["Size"], modified_ms=modified_ms)
            if not page.get("IsTruncated"):
                return
            token = due(page, "NextContinuationToken", operation="ListObjectsV2", target=prefix)
            marker = {"ContinuationToken": token}

    async def open_uploads(self, *, prefix: str) -> AsyncIterator[OpenUpload]:
        """List the open multipart uploads below a prefix."""
        marker: dict[str, Any] = {}
        while True:
            page = await self._call(
                "list_multipart_uploads", prefix, Bucket=self._config.bucket, Prefix=prefix, **marker
            )
            for found in page.get("Uploads", []):
                yield OpenUpload(key=found["Key"], upload_id=found["UploadId"])
            if not page.get("IsTruncated"):
                return
            marker = {
                "KeyMarker": due(page, "NextKeyMarker", operation="ListMultipartUploads", target=prefix),
                "UploadIdMarker": page.get("NextUploadIdMarker", ""),
            }

    # -- parts that are there ---------------------------------------------------------------------
    async def _listed_parts(self, upload: OpenUpload) -> AsyncIterator[tuple[int, str]]:
        marker: dict[str, Any] = {}
        while True:
            page = await self._call("list_parts", upload.key, **self._upload(upload), **marker)
            for part in page.get("Parts", []):
                yield int(part["PartNumber"]), str(part["ETag"])
            if not page.get("IsTruncated"):
                return
            after = due(page, "NextPartNumberMarker", operation="ListParts", target=upload.key)
            marker = {"PartNumberMarker": int(after)}

    async def _held(self, upload: OpenUpload, number: int, body: Body, etags: set[str]) -> Part | None:
        digest = await self._read(transport.md5_hex, body, operation="ListParts", target=upload.key)
        said = next((etag for etag in etags if etag.strip('"') == digest), None)
        if said is None:
            return None
        found = await self._scan(body, operation="ListParts", target=upload.key)
        etag = transport.receipt(self._config.checksum, said, found.transport)
        return Part(number=number, size_bytes=body.length_bytes, etag=etag, checksum=found.checksum)

    # -- confirmation -----------------------------------------------------------------------------
    async def _confirmed(self, answer: Mapping[str, Any], key: str, expected: str | None) -> StoredObject:
        """Return the object if S3 says that what it holds has our checksum, in its answer or to a HEAD."""
        if not self._compare(answer, key, expected, optional=True):
            self._compare(await self._head(key) or {}, key, expected, optional=False)
        return _stored(answer, self._config.bucket, key)

    def _compare(self, answer: Mapping[str, Any], key: str, expected: str | None, *, optional: bool) -> bool:
        """Tell whether the answer carries our checksum. Raises if it carries another, or lacks a due one."""
        said = answer.get(transport.field(self._config.checksum))
        if expected is None or said == expected:
            return True
        if said is not None:
            message = f"S3 holds {said} where {expected} was sent"
            raise SidecarError(ErrorKind.CORRUPT, message, operation="confirm", target=key)
        if not optional:
            self._unconfirmed = SidecarError(
                ErrorKind.FORBIDDEN,
                f"the store did not confirm the {self._config.checksum} checksum that it was given",
                operation="confirm",
                target=key,
                hint="set s3.checksum: md5",
                code="ChecksumNotConfirmed",
            )
            raise self._unconfirmed
        return False

    def _answerable(self, value: str) -> str | None:
        return None if self._config.checksum is Algorithm.MD5 else value

    # -- bodies -----------------------------------------------------------------------------------
    async def _checked(self, body: Body, checksum: str, *, key: str) -> str:
        """Return the transport checksum of a whole body whose crc64nvme is ``checksum``, or raise CORRUPT."""
        if self._config.checksum is Algorithm.CRC64NVME:
            return to_header(checksum)  # S3 itself compares the bytes with it
        found = await self._scan(body, operation="PutObject", target=key)
        if found.checksum != checksum:
            message = "the file's bytes are not those that were fingerprinted"
            raise SidecarError(ErrorKind.CORRUPT, message, operation="PutObject", target=key)
        return found.transport

    async def _scan(self, body: Body, *, operation: str, target: str) -> Scan:
        def scan(body: Body) -> Scan:
            return transport.scan(body, self._config.checksum)

        return await self._read(scan, body, operation=operation, target=target)

    async def _read(self, read: Callable[[Body], T], body: Body, *, operation: str, target: str) -> T:
        try:
            return await asyncio.to_thread(read, body)
        except OSError as error:
            raise from_disk(error, operation=operation, target=target) from error

    async def _send(self, method: str, body: Body, target: str, **fields: Any) -> dict[str, Any]:
        """Make a call with a body; the time limit starts anew with every chunk."""
        slowest_seconds = STALL_SECONDS + body.length_bytes / SLOWEST_BYTES_PER_SECOND
        deadline = Deadline(STALL_SECONDS, total_seconds=slowest_seconds)
        payload = RangePayload(body, pace=deadline.around(self._pace))
        try:
            return await self._call(method, target, deadline=deadline, Body=payload, **fields)
        except SidecarError as error:
            if payload.failure is None:
                raise
            raise from_disk(payload.failure, operation=error.operation, target=target) from error

    async def _call(
        self, method: str, target: str, *, deadline: Deadline | None = None, **fields: Any
    ) -> dict[str, Any]:
        """Make one call of the client; its every failure becomes a SidecarError here."""
        operation = "".join(word.capitalize() for word in method.split("_"))
        fields.setdefault("Bucket", self._config.bucket)
        try:
            async with deadline or Deadline(STALL_SECONDS):
                answer: dict[str, Any] = await getattr(self._client, method)(**fields)
        except FAULTS as error:
            self._learn(error.response if isinstance(error, ClientError) else {})
            skew = self.skew_seconds
            raise translate(error, operation=operation, target=target, skew_seconds=skew) from error
        self._learn(answer)
        return answer

    def _learn(self, answer: dict[str, Any]) -> None:
        """Take in S3's clock, of a refusal too: a clock that is wrong gets nothing else."""
        self._remote_clock.learn(answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date"))

    async def _head(self, key: str) -> dict[str, Any] | None:
        try:
            return await self._call(
                "head_object", key, deadline=Deadline(PROBE_SECONDS), Key=key, ChecksumMode="ENABLED"
            )
        except SidecarError as error:
            if is_absent(error):
                return None
            raise

    # -- fields -----------------------------------------------------------------------------------
    def _about(self, spec: ObjectSpec) -> dict[str, Any]:
        if spec.bucket != self._config.bucket:
            message = f"it was meant for the bucket {spec.bucket}, and s3.bucket is {self._config.bucket}"
            hint = "finish what is owed before s3.bucket is changed, or requeue it with the old setting"
            raise SidecarError(ErrorKind.INVALID, message, operation="send", target=spec.key, hint=hint)
        fields: dict[str, Any] = {
            "Bucket": self._config.bucket,
            "Key": spec.key,
            "ContentType": spec.content_type,
            "Metadata": dict(spec.metadata),
        }
        if spec.cache_control is not None:
            fields["CacheControl"] = spec.cache_control
        return fields | self._encryption()

    def _encryption(self) -> dict[str, str]:
        if self._config.encryption == "none":
            return {}
        if self._config.encryption == "aes256":
            return {"ServerSideEncryption": "AES256"}
        key = {"SSEKMSKeyId": self._config.kms_key_id} if self._config.kms_key_id else {}
        return {"ServerSideEncryption": "aws:kms", **key}

    def _upload(self, upload: OpenUpload) -> dict[str, Any]:
        return {"Bucket": self._config.bucket, "Key": upload.key, "UploadId": upload.upload_id}


def _stored(answer: Mapping[str, Any], bucket: str, key: str) -> StoredObject:
    # Ceph RGW answers Complete with an empty ETag; it is opaque, so nothing depends on it.
    version = answer.get("VersionId")
    return StoredObject(bucket=bucket, key=key, etag=str(answer.get("ETag", "")), version_id=version)


def _expect_for_large_bodies_only(params: dict[str, Any], **_: Any) -> None:
    """Ask S3 before sending a large body, so that a refusal is read and not lost in a reset connection.

    For a small body the question costs a round trip and saves nothing.
    """
    body = params.get("body")
    if isinstance(body, RangePayload) and len(body) <= CHUNK_BYTES:
        params["headers"].pop("Expect", None)


def _stay_in_our_region(context: dict[str, Any], **_: Any) -> None:
    """Take a redirect for an error: s3.region is set, and botocore asks a redirecting HeadBucket for ever."""
    context.setdefault("s3_redirect", {})["redirected"] = True
