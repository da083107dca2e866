"""The port ``ObjectStore`` over aioboto3's low-level calls. Nothing here retries."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import Any

import aiohttp
from botocore.exceptions import ResponseStreamingError

from sidecar.core.checksum_algorithms import Algorithm
from sidecar.core.checksums import from_header, to_header
from sidecar.core.clock import Clock
from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.core.model import Part, StoredObject
from sidecar.upload.metadata import TRANSFER
from sidecar.upload.store import Body, ListedObject, ObjectHead, ObjectSpec, OpenUpload, is_absent, is_stale

from . import calls, checksums, listing, request_fields
from .calls import Calls, read
from .checksums import Scan
from .clients import Clients, open_clients
from .confirm import Confirmation, Expected, expected_of
from .credentials import Keys
from .endpoint import S3Config
from .errors import due
from .prepared_heads import SmallPut
from .presigned import presigned_url
from .sigv4 import STAMP
from .uplink import Uplink

READ_BYTES = 256 * 1024
_CONDITION_REFUSED = {"NotImplemented", "InvalidRequest", "InvalidArgument", "501", "400"}


@asynccontextmanager
async def open_store(
    config: S3Config,
    *,
    clock: Clock,
    connections: int,
    throttle: Callable[[int], Awaitable[None]] | None = None,
) -> AsyncIterator[S3Store]:
    """Open the store. ``throttle`` is awaited with each chunk's size before it goes (``Bandwidth.take``)."""
    async with open_clients(config, connections=connections, clock=clock) as clients:
        store = S3Store(clients=clients, config=config, clock=clock, most=connections, throttle=throttle)
        try:
            yield store
        finally:
            await store.uplink.close()


class S3Store:
    """The store over one bucket."""

    def __init__(
        self,
        *,
        clients: Clients,
        config: S3Config,
        clock: Clock,
        most: int,
        throttle: Callable[[int], Awaitable[None]] | None = None,
    ) -> None:
        """``clients`` are made by ``open_clients``; the caller closes them.

        ``most`` bodies are on their way at once at most.
        """
        self._config, self._credentials = config, clients.credentials
        self._clock = clock
        self.uplink = Uplink(most=most)
        self._calls = Calls(
            clients=clients, bucket=config.bucket, clock=clock, uplink=self.uplink, throttle=throttle
        )
        self._default = config.checksum or Algorithm.CRC64NVME
        self._confirmation = Confirmation(strict=config.checksum is not None)
        self._knows_conditions = True
        self._shows_checksums = config.checksum is not Algorithm.MD5  # to a HEAD that asks

    @property
    def skew_seconds(self) -> float | None:
        """Our clock minus S3's; None before its first answer."""
        return self._calls.skew_seconds

    async def probe(self) -> None:
        """HeadBucket. Also fails, once, after the store did not confirm a checksum: no file is at fault."""
        self._confirmation.complain()
        await self._calls.call("head_bucket", self._config.bucket, seconds=calls.PROBE_SECONDS)

    async def put(self, spec: ObjectSpec, body: Body, *, checksum: str, once: bool = False) -> StoredObject:
        """Store an object whole."""
        algorithm = spec.algorithm or self._default
        if algorithm is Algorithm.CRC64NVME:
            value = to_header(checksum)  # S3 compares the bytes with it
        else:
            found = await self._checked(body, checksum, algorithm, operation="PutObject", key=spec.key)
            value = found.transport
        send = partial(self._send, spec, body, algorithm, value)
        answer = await self._unless_there(partial(self._put, spec, send), once=once)
        due(answer, "ETag", operation="PutObject", target=spec.key)
        return await self._confirmed(answer, spec.key, expected_of(algorithm, value), operation="PutObject")

    async def create(self, spec: ObjectSpec) -> str:
        """Open a multipart upload."""
        algorithm = spec.algorithm or self._default
        answer = await self._calls.call(
            "create_multipart_upload",
            spec.key,
            **request_fields.about(spec, self._config, algorithm),
            **checksums.create_fields(algorithm),
        )
        return str(due(answer, "UploadId", operation="CreateMultipartUpload", target=spec.key))

    async def put_part(self, upload: OpenUpload, body: Body, *, number: int) -> Part:
        """Send one part."""
        algorithm = upload.algorithm or self._default
        found = await self._checked(body, body.checksum, algorithm, operation="UploadPart", key=upload.key)
        answer = await self._calls.send(
            "upload_part",
            body,
            upload.key,
            **request_fields.of(upload),
            PartNumber=number,
            **checksums.sent(algorithm, found.transport),
        )
        said = str(due(answer, "ETag", operation="UploadPart", target=upload.key))
        said = said.removeprefix("W/")  # a front weakens it; Complete wants it as S3 gave it
        check = self._confirmation.demand if upload.doubted else self._confirmation.compare
        check(answer, upload.key, expected_of(algorithm, found.transport), operation="UploadPart")
        etag = checksums.receipt(algorithm, said, found.transport)
        return Part(number=number, size_bytes=body.length_bytes, etag=etag, checksum=found.checksum)

    async def existing_parts(self, upload: OpenUpload, bodies: Mapping[int, Body]) -> list[Part]:
        """Tell which of these parts S3 holds already."""
        etags: dict[int, set[str]] = {}
        async for number, etag in listing.parts(self._calls, upload):
            etags.setdefault(number, set()).add(etag)  # SeaweedFS lists a part that was sent twice twice
        found = [
            await self._existing_part(upload, number, body, etags[number])
            for number, body in bodies.items()
            if number in etags
        ]
        return [part for part in found if part is not None]

    async def complete(
        self, upload: OpenUpload, parts: Sequence[Part], *, checksum: str, once: bool = False
    ) -> StoredObject:
        """Make the object of exactly these parts."""
        algorithm = upload.algorithm or self._default
        ready = checksums.completion(algorithm, parts, checksum=checksum, key=upload.key)
        about = request_fields.of(upload) | ready.fields | {"MultipartUpload": {"Parts": ready.parts}}
        answer = await self._unless_there(partial(self._complete, upload.key, **about), once=once)
        expected = Expected(algorithm, ready.expected)
        return await self._confirmed(answer, upload.key, expected, operation="CompleteMultipartUpload")

    async def abort(self, upload: OpenUpload) -> None:
        """Drop an upload and its parts. S3 says 204; of what says 200 the upload itself is asked for."""
        try:
            answer = await self._calls.call("abort_multipart_upload", upload.key, **request_fields.of(upload))
            if answer["ResponseMetadata"]["HTTPStatusCode"] == HTTPStatus.NO_CONTENT:
                return
            async for _ in listing.parts(self._calls, upload):
                break
        except SidecarError as error:
            if is_absent(error):
                return
            raise
        message = "it was answered, and the upload is still there"
        raise SidecarError(ErrorKind.UNKNOWN, message, operation="AbortMultipartUpload", target=upload.key)

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
            is_checked=checksums.is_checked(answer),
            content_type=answer.get("ContentType"),
        )

    async def read(self, key: str, *, etag: str) -> AsyncIterator[bytes]:
        """Yield the bytes of an object as long as it is the one with this ETag. Raises SidecarError."""
        answer = await self._calls.call("get_object", key, Key=key, IfMatch=etag)
        try:
            async with answer["Body"] as body:
                while True:
                    async with asyncio.timeout(calls.STALL_SECONDS):
                        piece = await body.content.read(READ_BYTES)
                    if not piece:
                        return
                    yield piece
        except (aiohttp.ClientError, ResponseStreamingError, TimeoutError) as error:
            message = f"the answer broke off: {type(error).__name__}"
            raise SidecarError(ErrorKind.NETWORK, message, operation="GetObject", target=key) from error

    async def delete(self, key: str) -> None:
        """Delete an object. S3 says 204; what says 200, such as a portal's page, is not believed."""
        answer = await self._calls.call("delete_object", key, Key=key)
        if answer["ResponseMetadata"]["HTTPStatusCode"] == HTTPStatus.NO_CONTENT:
            return
        if await self._head(key) is not None:
            message = "it was answered, and the object is still there"
            raise SidecarError(ErrorKind.UNKNOWN, message, operation="DeleteObject", target=key)

    def list_objects(self, *, prefix: str) -> AsyncIterator[ListedObject]:
        """List the objects below a prefix."""
        return listing.objects(self._calls, prefix=prefix)

    def open_uploads(self, *, prefix: str) -> AsyncIterator[OpenUpload]:
        """List the open multipart uploads below a prefix."""
        return listing.uploads(self._calls, prefix=prefix)

    async def _existing_part(
        self, upload: OpenUpload, number: int, body: Body, etags: set[str]
    ) -> Part | None:
        found = await self._scan(body, Algorithm.MD5, operation="ListParts", target=upload.key)
        digest = checksums.md5_hex(found)
        said = next((etag for etag in etags if etag.strip('"') == digest), None)
        if said is None or body.checksum not in {None, found.checksum}:
            return None
        algorithm = upload.algorithm or self._default
        if checksums.is_needed_again(algorithm):
            found = await self._scan(body, algorithm, operation="ListParts", target=upload.key)
        etag = checksums.receipt(algorithm, said, found.transport)
        return Part(number=number, size_bytes=body.length_bytes, etag=etag, checksum=found.checksum)

    async def _send(
        self, spec: ObjectSpec, body: Body, algorithm: Algorithm, value: str, **condition: Any
    ) -> dict[str, Any]:
        def fields() -> dict[str, Any]:
            about = request_fields.about(spec, self._config, algorithm)
            return about | checksums.sent(algorithm, value) | condition

        if body.data is not None and len(body.data) == body.length_bytes:
            put = SmallPut(spec, body.data, algorithm, value, bool(condition), fields)
            if (answer := await self._calls.put_small(put)) is not None:
                return answer
        return await self._calls.send("put_object", body, spec.key, **fields())

    async def _put(
        self, spec: ObjectSpec, call: Callable[..., Awaitable[dict[str, Any]]], **condition: Any
    ) -> dict[str, Any]:
        """PUT; again where its connection died under it, and the object is not there."""
        try:
            return await call(**condition)
        except SidecarError as error:
            if not is_stale(error):
                raise
            head = await self.head(spec.key)
            if head is not None and head.metadata.get(TRANSFER) == spec.metadata.get(TRANSFER):
                raise  # it was carried out
        return await call(**condition)

    # -- conditions -------------------------------------------------------------------------------
    async def _unless_there(
        self, call: Callable[..., Awaitable[dict[str, Any]]], *, once: bool
    ) -> dict[str, Any]:
        """Make a call that is to write ``once``. A store that refuses the condition itself is remembered."""
        if not once or not self._knows_conditions:
            return await call()
        try:
            return await call(IfNoneMatch="*")
        except SidecarError as error:
            if error.code not in _CONDITION_REFUSED:
                raise
        answer = await call()  # if this fails as well it was not the condition
        self._knows_conditions = False
        return answer

    async def _complete(self, key: str, **about: Any) -> dict[str, Any]:
        seconds = calls.COMPLETE_SECONDS
        return await self._calls.call("complete_multipart_upload", key, seconds=seconds, **about)

    async def presigned(self, key: str, *, seconds: int, answer: Mapping[str, str] | None = None) -> str:
        """Return an address that GETs an object for a while, as ``presigned_url`` says. Asks S3 nothing.

        Raises ValueError for a time that S3 does not sign for, SidecarError without usable keys.
        """
        if self._credentials is None:
            raise ValueError("these clients were made without credentials of their own")
        found = await self._credentials.get_frozen_credentials()
        keys = Keys(
            access_key_id=found.access_key, secret_access_key=found.secret_key, session_token=found.token
        )
        now_seconds = self._clock.wall_ms() / 1000 - (self.skew_seconds or 0.0)
        stamp = datetime.fromtimestamp(now_seconds, UTC).strftime(STAMP)
        return presigned_url(self._config, keys, key, seconds=seconds, stamp=stamp, answer=answer)

    # -- confirmation -----------------------------------------------------------------------------
    async def _confirmed(
        self, answer: Mapping[str, Any], key: str, expected: Expected, *, operation: str
    ) -> StoredObject:
        """Return the object if S3 says that what it holds has our checksum, in its answer or to a HEAD."""
        if self._confirmation.compare(answer, key, expected, operation=operation):
            return _stored(answer, self._config.bucket, key)
        head = await self._head(key) or {}
        self._confirmation.demand(head, key, expected, operation=operation)
        return _stored(head | {name: said for name, said in answer.items() if said}, self._config.bucket, key)

    # -- bodies -----------------------------------------------------------------------------------
    async def _checked(
        self, body: Body, checksum: str | None, algorithm: Algorithm, *, operation: str, key: str
    ) -> Scan:
        """Return the checksums of a body; raise CORRUPT where its crc64nvme is known, and is another."""
        if algorithm is Algorithm.CRC64NVME and checksum is not None:
            return Scan(checksum=checksum, transport=to_header(checksum))  # S3 compares the bytes with it
        found = await self._scan(body, algorithm, operation=operation, target=key)
        if checksum not in {None, found.checksum}:
            message = "the file's bytes are not those that were fingerprinted"
            raise SidecarError(ErrorKind.CORRUPT, message, operation=operation, target=key)
        return found

    async def _scan(self, body: Body, algorithm: Algorithm, *, operation: str, target: str) -> Scan:
        def scan(body: Body) -> Scan:
            return checksums.scan(body, algorithm)

        return await read(scan, body, operation=operation, target=target)

    async def _head(self, key: str) -> dict[str, Any] | None:
        try:
            answer = await self._described(key)
        except SidecarError as error:
            if is_absent(error):
                return None
            raise
        due(answer, "ETag", operation="HeadObject", target=key)  # a portal's page is not the object
        return answer

    async def _described(self, key: str) -> dict[str, Any]:
        """HEAD, with the question for a checksum; a store that refuses the question itself is remembered."""
        ask = partial(self._calls.call, "head_object", key, seconds=calls.PROBE_SECONDS, Key=key)
        if not self._shows_checksums:
            return await ask()
        try:
            return await ask(ChecksumMode="ENABLED")
        except SidecarError as error:
            if error.kind is not ErrorKind.INVALID:
                raise
        answer = await ask()  # if this fails as well it was not the question
        self._shows_checksums = False
        return answer


def _stored(answer: Mapping[str, Any], bucket: str, key: str) -> StoredObject:
    # Ceph RGW answers Complete with an empty ETag; it is opaque, so nothing depends on it.
    version = answer.get("VersionId")
    return StoredObject(bucket=bucket, key=key, etag=str(answer.get("ETag", "")), version_id=version)
