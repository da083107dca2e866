"""Sends a large file: opens or resumes, sends what is missing, completes; each effect between two facts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import structlog

from sidecar.core.checksum_algorithms import Algorithm
from sidecar.core.errors import ErrorKind, Scope, SidecarError
from sidecar.core.model import Part, StoredObject, Transfer
from sidecar.core.parts import PartRange, kept, missing, part_size, plan
from sidecar.journal.stores.cleanup import Cleanup
from sidecar.journal.stores.multipart import MultipartUploads
from sidecar.journal.stores.upload_claims import UploadClaims
from sidecar.journal.stores.uploads import Uploads
from sidecar.upload.cleanup.actions import abort_others

from .checksum_negotiation import Try
from .context import UploadContext
from .metadata import object_spec
from .progress import UploadProgress
from .source import SourceFile
from .store import OpenUpload, is_absent, is_stale

log = structlog.get_logger()


class Multipart:
    """Sends one transfer as a multipart upload."""

    def __init__(
        self,
        *,
        context: UploadContext,
        transfer: Transfer,
        source: SourceFile,
        progress: UploadProgress,
        once: bool,
    ) -> None:
        """Prepare; ``send`` does it. ``once`` as ``ObjectStore.complete`` says."""
        self._context = context
        self._store, self._journal = context.store, context.journal
        self._transfer = transfer
        self._source = source
        self._progress, self._once = progress, once
        self._wanted = True
        self._open_id = transfer.upload_id
        self._begun = transfer.algorithm
        self._try = Try(algorithm=Algorithm.CRC64NVME)

    async def send(self, this: Try) -> StoredObject | None:
        """Bring the file to S3. None: the transfer is not wanted any more, and the journal knows.

        What is open is gone on with only under the algorithm that it was begun with.

        An upload that S3 does not know was completed by a request whose answer was lost, or aborted by
        somebody: HEAD tells which. In the second case everything is sent anew, once; so it is where S3
        refuses what was begun in an earlier life, as with another s3.checksum.
        """
        self._try = this
        resumed = self._open_id
        if resumed is not None and self._begun not in {None, this.algorithm}:
            await self._journal.do(MultipartUploads.forget_upload, self._transfer.row_id)
            resumed = None
        try:
            return await self._attempt(resumed)
        except SidecarError as error:
            refused = error.kind is ErrorKind.INVALID and error.scope is Scope.BUCKET
            outdated = resumed is not None and refused
            if not (is_absent(error) or outdated):
                raise
        stored = await self._context.settled(self._transfer)
        if stored is not None:
            return stored
        await self._journal.do(MultipartUploads.forget_upload, self._transfer.row_id)
        return await self._attempt(None)

    async def _attempt(self, upload_id: str | None) -> StoredObject | None:
        part_bytes = self._part_bytes(upload_id)
        ranges = plan(self._transfer.size_bytes, part_bytes=part_bytes)
        if self._transfer.may_upload:
            await self._abort_others(keep=upload_id)
        upload = OpenUpload(
            key=self._transfer.key,
            upload_id=upload_id or await self._open(part_bytes, ranges),
            algorithm=self._try.algorithm,
            doubted=self._try.doubted,
        )
        have = await self._kept(upload, ranges) if upload_id else {}
        self._progress.resumed(
            parts=len(ranges),
            sent_parts=len(have),
            sent_bytes=sum(part.size_bytes for part in have.values()),
        )
        if upload.doubted:  # one part tells
            await self._send_parts(upload, missing(ranges, have)[:1], have)
        await self._send_parts(upload, missing(ranges, have), have)
        if not self._wanted:
            await self._journal.do(UploadClaims.release, self._transfer.row_id)
            return None
        if not await self._source.is_itself():
            return None
        return await self._complete(upload, [have[wanted.number] for wanted in ranges])

    def _part_bytes(self, upload_id: str | None) -> int:
        """Return the size of parts; a resumed upload keeps the one that it was begun with."""
        if upload_id is not None and self._transfer.part_bytes is not None:
            return self._transfer.part_bytes
        return part_size(self._transfer.size_bytes, wanted_bytes=self._context.part_bytes)

    async def _open(self, part_bytes: int, ranges: list[PartRange]) -> str:
        algorithm = self._try.algorithm
        self._open_id = None
        found = await self._journal.do(
            MultipartUploads.begin_multipart,
            self._transfer.row_id,
            part_bytes=part_bytes,
            algorithm=algorithm,
        )
        self._source.cut(ranges, found)
        try:
            upload_id = await self._create()
        except SidecarError as error:
            if not is_stale(error):
                raise
            upload_id = await self._create()  # at once, on another connection: a recheck sees to the first
        self._progress.stepped("CreateMultipartUpload")
        await self._journal.do(MultipartUploads.opened, self._transfer.row_id, upload_id)
        self._open_id, self._begun = upload_id, algorithm
        return upload_id

    async def _create(self) -> str:
        spec = object_spec(self._transfer, sidecar_id=self._context.sidecar_id, algorithm=self._try.algorithm)
        try:
            return await self._store.create(spec)
        except SidecarError as error:
            if error.maybe_done:
                self._context.rechecks.add(await self._journal.do(Cleanup.add_recheck, self._transfer.row_id))
            raise

    async def _abort_others(self, *, keep: str | None) -> None:
        """Abort what a Create whose answer was lost may have left under exactly our key."""
        try:
            await abort_others(self._transfer.key, keep=keep, store=self._store)
        except SidecarError as error:
            if error.kind is not ErrorKind.FORBIDDEN:
                raise
            log.warning("uploads_cannot_be_aborted", key=self._transfer.key, error=str(error))

    async def _kept(self, upload: OpenUpload, ranges: list[PartRange]) -> dict[int, Part]:
        """Return the parts that need not be sent again: journaled ones, and ones whose answer was lost."""
        found = await self._journal.do(MultipartUploads.part_checksums, self._transfer.row_id)
        self._source.cut(ranges, found)
        stored = {
            part.number: part
            for part in await self._journal.do(MultipartUploads.parts, self._transfer.row_id)
        }
        current = await self._source.checksums([wanted for wanted in ranges if wanted.number in stored])
        have = kept(ranges, stored, current)
        for part in await self._ask_for_parts(upload, missing(ranges, have)):
            await self._journal.do(MultipartUploads.part_stored, self._transfer.row_id, part)
            have[part.number] = part
        return have

    async def _ask_for_parts(self, upload: OpenUpload, unknown: list[PartRange]) -> list[Part]:
        """Ask S3 for parts that it took from a process that ended before it could journal the answer."""
        try:
            return await self._store.existing_parts(
                upload, {part.number: self._source.part(part) for part in unknown}
            )
        except SidecarError as error:
            if error.kind is not ErrorKind.FORBIDDEN:
                raise
            log.warning("parts_cannot_be_listed", key=self._transfer.key, error=str(error))
            return []

    async def _send_parts(self, upload: OpenUpload, wanted: list[PartRange], have: dict[int, Part]) -> None:
        """Send parts side by side, as many as the memory budget takes, in turn; ``have`` gathers them.

        A part that fails takes no other along: what is under way would have to be sent again.
        """
        queue = iter(wanted)
        workers = min(len(wanted), self._context.budget.at_once(wanted[0].length_bytes)) if wanted else 0
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._send_some(upload, queue, have)) for _ in range(workers)]
        failure = next((task.result() for task in tasks if task.result() is not None), None)
        if failure is not None:
            raise failure

    async def _send_some(
        self, upload: OpenUpload, queue: Iterator[PartRange], have: dict[int, Part]
    ) -> SidecarError | None:
        """Send until there is nothing left, or one fails: return why."""
        for wanted in queue:
            if not self._wanted:
                break
            try:
                async with self._context.budget.claim(wanted.length_bytes, self._progress.rank):
                    part = await self._store.put_part(upload, self._source.part(wanted), number=wanted.number)
            except SidecarError as error:
                return error
            have[part.number] = part
            if not await self._journal.do(MultipartUploads.part_stored, self._transfer.row_id, part):
                self._wanted = False
            self._progress.part_sent(part.size_bytes)
        return None

    async def _complete(self, upload: OpenUpload, parts: list[Part]) -> StoredObject:
        await self._journal.do(Uploads.begin_put, self._transfer.row_id)
        self._progress.has_asked = True
        checksum = self._transfer.checksum or ""
        try:
            once = self._once and not self._try.is_there
            return await self._store.complete(upload, parts, checksum=checksum, once=once)
        except SidecarError as error:
            if error.maybe_done and (stored := await self._context.settled_or_none(self._transfer)):
                return stored
            if error.kind is ErrorKind.CORRUPT:  # what S3 holds is not what it acknowledged: begin anew
                await self._journal.do(MultipartUploads.forget_upload, self._transfer.row_id)
                self._open_id = None
            raise
