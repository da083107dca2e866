"""Brings one transfer from ``ready`` to ``uploaded``, as a recipe.

A key that holds the transfer id is written once. PUT and Complete carry `If-None-Match: *` then, so that a
request that is delivered twice, or retried before its first delivery, makes no second version in a bucket
that keeps them. A 412 is settled by HEAD. Most other stores ignore the header; one that refuses it is asked
without it from then on. Where HEAD finds something else under the key it is written unconditionally.
"""

from __future__ import annotations

from functools import partial

from sidecar.core.checksum_algorithms import UploadWay
from sidecar.core.errors import ErrorKind, Scope, SidecarError
from sidecar.core.keys import is_unique
from sidecar.core.model import StoredObject, Transfer
from sidecar.core.parts import part_size
from sidecar.journal.stores.completion import Completion
from sidecar.journal.stores.upload_claims import UploadClaims
from sidecar.journal.stores.uploads import Uploads

from .checksum_negotiation import Try
from .context import UploadContext
from .existing import find_existing
from .metadata import is_of, object_spec
from .multipart import Multipart
from .progress import UploadProgress
from .source import Found, Opened, SourceFile


async def upload(
    transfer: Transfer, found: Found, *, context: UploadContext, progress: UploadProgress
) -> bool:
    """Bring a claimed transfer to S3 and record it. Raises SidecarError; the lease is the caller's then.

    ``found`` is its file, as ``open_sources`` opened it. False: there was nothing to send any more (vanished,
    overtaken), and the journal knows. S3 compares the bytes with the fingerprint's checksum, so that a file
    that changes meanwhile is never shipped torn: it is refused, read again, and overtaken if it did change.
    """
    journal = context.journal
    is_itself = isinstance(found, Opened) and found.identity == transfer.identity
    if progress.is_intended and not is_itself:  # it may not be sent at all
        await journal.do(UploadClaims.take_back_intent, transfer.row_id)
        progress.is_intended = False
    if isinstance(found, Exception):
        raise found
    if found is None:
        await journal.do(Completion.vanish, transfer.row_id)
        return False
    source = SourceFile(found, transfer=transfer, journal=journal)
    if not is_itself and not await source.is_itself(seen=found.identity):
        return False
    return await _upload(transfer, source, context=context, progress=progress)


async def _upload(
    transfer: Transfer, source: SourceFile, *, context: UploadContext, progress: UploadProgress
) -> bool:
    known = await find_existing(transfer, context=context)
    if known is None:
        return True
    transfer = known
    try:
        stored = await _deliver(transfer, source, context=context, progress=progress)
    except SidecarError as error:
        if error.kind is ErrorKind.CORRUPT and not await source.is_itself(reread=True):
            return False
        raise
    if stored is None:
        return False
    progress.stored()
    await context.journal.do(Uploads.uploaded, transfer, stored, context.url(transfer.key))
    return True


async def _deliver(
    transfer: Transfer, source: SourceFile, *, context: UploadContext, progress: UploadProgress
) -> StoredObject | None:
    """Choose the way. A PUT or Complete of an earlier attempt may have been carried out: HEAD tells."""
    head = None
    if transfer.may_object:
        head = await context.store.head(transfer.key)
        progress.stepped("HeadObject")
    if head is not None and is_of(head, transfer):
        return head.stored
    # A request that is delivered twice makes no second version. What is there and is not ours goes.
    is_new_key = transfer.known_content is None or transfer.known_content.key is None
    once = head is None and is_unique(transfer.route.key) and is_new_key
    size_bytes = transfer.size_bytes
    is_short = size_bytes < context.part_bytes or size_bytes < _part_bytes(transfer, context)
    if is_short and not transfer.may_upload:
        progress.delivered_by = "PutObject"
        put = partial(_put, transfer, source, context=context, progress=progress, once=once)
        return await context.checking.send(UploadWay.PUT, put)
    progress.delivered_by = "CompleteMultipartUpload"
    multipart = Multipart(context=context, transfer=transfer, source=source, progress=progress, once=once)
    begun = transfer.algorithm if transfer.upload_id else None
    return await context.checking.send(UploadWay.MULTIPART, multipart.send, begun=begun)


async def _put(
    transfer: Transfer,
    source: SourceFile,
    this: Try,
    *,
    context: UploadContext,
    progress: UploadProgress,
    once: bool,
) -> StoredObject:
    spec = object_spec(transfer, sidecar_id=context.sidecar_id, algorithm=this.algorithm)
    once = once and not this.is_there
    async with context.budget.claim(progress.size_bytes, progress.rank):
        if not progress.is_intended:
            await context.journal.do(Uploads.begin_put, transfer.row_id)
        progress.has_asked = True
        try:
            return await context.store.put(spec, source.whole(), checksum=transfer.checksum or "", once=once)
        except SidecarError as error:
            if error.maybe_done and (stored := await context.settled_or_none(transfer)):
                return stored
            raise


def _part_bytes(transfer: Transfer, context: UploadContext) -> int:
    try:
        return part_size(transfer.size_bytes, wanted_bytes=context.part_bytes)
    except ValueError as error:
        raise SidecarError(
            ErrorKind.INVALID, str(error), operation="plan", target=transfer.display, scope=Scope.OBJECT
        ) from error
