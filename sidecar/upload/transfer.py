"""Brings one transfer from ``ready`` to ``uploaded``, as a recipe.

A key that holds the transfer id is written once. PUT and Complete carry `If-None-Match: *` then, so that a
request that is delivered twice, or retried before its first delivery, makes no second version in a bucket
that keeps them. A 412 is settled by HEAD. Most other stores ignore the header; one that refuses it is asked
without it from then on. Where HEAD finds something else under the key it is written unconditionally.
"""

from __future__ import annotations

from functools import partial

from sidecar.core.algorithms import Way
from sidecar.core.errors import ErrorKind, Scope, SidecarError
from sidecar.core.keys import is_unique
from sidecar.core.model import StoredObject, Transfer
from sidecar.core.parts import part_size
from sidecar.core.turns import Rank
from sidecar.journal.journal import Journal

from .checking import Try
from .describe import is_of, object_spec
from .flight import Flight
from .multipart import Multipart
from .recall import recall
from .source import Source, opened
from .tools import Tools


async def ship(transfer: Transfer, *, tools: Tools, flight: Flight) -> bool:
    """Bring a claimed transfer to S3 and record it. Raises SidecarError; the lease is the caller's then.

    False: there was nothing to send any more (vanished, overtaken), and the journal knows. S3 compares
    the bytes with the fingerprint's checksum, so that a file that changes meanwhile is never shipped
    torn: it is refused, read again, and overtaken if it did change.
    """
    async with opened(transfer, tools.journal) as source:
        if source is None:
            return False
        flight.on_open()
        if not await source.is_itself():
            return False
        known = await recall(transfer, tools=tools)
        if known is None:
            return True
        transfer = known
        try:
            stored = await _deliver(transfer, source, tools=tools, flight=flight)
        except SidecarError as error:
            if error.kind is ErrorKind.CORRUPT and not await source.is_itself(reread=True):
                return False
            raise
        if stored is None:
            return False
        await tools.journal.do(Journal.uploaded, transfer.id, stored, url=tools.url(transfer.key))
        return True


async def _deliver(
    transfer: Transfer, source: Source, *, tools: Tools, flight: Flight
) -> StoredObject | None:
    """Choose the way. A PUT or Complete of an earlier attempt may have been carried out: HEAD tells."""
    head = None
    if transfer.may_object:
        head = await tools.store.head(transfer.key)
        flight.on_step("HeadObject")
    if head is not None and is_of(head, transfer):
        return head.stored
    # A request that is delivered twice makes no second version. What is there and is not ours goes.
    is_new_key = transfer.recall is None or transfer.recall.key is None
    once = head is None and is_unique(transfer.route.key) and is_new_key
    if not transfer.may_upload and transfer.size_bytes < _part_bytes(transfer, tools):
        flight.delivered_by = "PutObject"
        put = partial(_put, transfer, source, tools=tools, rank=flight.rank, once=once)
        return await tools.checking.send(Way.PUT, put)
    flight.delivered_by = "CompleteMultipartUpload"
    multipart = Multipart(tools=tools, transfer=transfer, source=source, flight=flight, once=once)
    begun = transfer.algorithm if transfer.upload_id else None
    return await tools.checking.send(Way.MULTIPART, multipart.send, begun=begun)


async def _put(
    transfer: Transfer, source: Source, this: Try, *, tools: Tools, rank: Rank, once: bool
) -> StoredObject:
    spec = object_spec(transfer, sidecar_id=tools.sidecar_id, algorithm=this.algorithm)
    once = once and not this.is_there
    async with tools.budget.claim(transfer.size_bytes, rank):
        await tools.journal.do(Journal.begin_put, transfer.id)
        try:
            return await tools.store.put(spec, source.whole(), checksum=transfer.checksum or "", once=once)
        except SidecarError as error:
            if error.maybe_done and (stored := await tools.settled_or_none(transfer)):
                return stored
            raise


def _part_bytes(transfer: Transfer, tools: Tools) -> int:
    try:
        return part_size(transfer.size_bytes, wanted_bytes=tools.part_bytes)
    except ValueError as error:
        raise SidecarError(
            ErrorKind.INVALID, str(error), operation="plan", target=transfer.display, scope=Scope.OBJECT
        ) from error
