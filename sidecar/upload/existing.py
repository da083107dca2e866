"""Looks in S3 for what a lost journal knew, before it is sent again (``journal/stores/recovery.py``)."""

from __future__ import annotations

from dataclasses import replace

from sidecar.core.ids import TAG_LENGTH, sidecar_tag
from sidecar.core.keys import TRANSFER_LENGTH
from sidecar.core.model import KnownContent, Transfer
from sidecar.core.routing import object_key
from sidecar.journal.stores.lookups import Lookups
from sidecar.journal.stores.uploads import Uploads

from .context import UploadContext
from .metadata import TRANSFER, is_content_of, is_ours
from .store import ObjectHead


async def find_existing(transfer: Transfer, *, context: UploadContext) -> Transfer | None:
    """Look where the content may be. Raises SidecarError.

    None: it was there, and the journal knows. Otherwise the transfer as it is to be sent: under the key
    that Convex names, where S3 has lost or spoilt the object.
    """
    if transfer.known_content is None:
        return transfer
    known = transfer.known_content if transfer.known_content.key else await _search(transfer, context)
    if known is None:
        return transfer
    moved = await _with_known_key(transfer, known, context)
    head = await context.store.head(moved.key)
    if head is None or not is_content_of(head, moved):
        return moved
    if known.version is None:
        await context.journal.do(Uploads.uploaded, moved, head.stored, context.url(moved.key))
    else:
        await context.journal.do(Lookups.adopt, transfer.row_id, head.stored)
    return None


async def _search(transfer: Transfer, context: UploadContext) -> KnownContent | None:
    """Return the newest of our objects of this slot with this content: Convex is owed the op only."""
    beginning, name, _ = transfer.key.partition(transfer.transfer_id)
    keys = {transfer.key}  # a fixed key is the only place
    if name:
        listed = await context.earlier_objects.below(beginning)
        keys = {found.key for found in listed if found.size_bytes == transfer.size_bytes}
    for key in sorted(keys, reverse=True):
        head = await context.store.head(key) if _is_like(key, beginning, transfer, context) else None
        if head is not None and _is_known(head, transfer, context):
            return KnownContent(key=key, transfer=head.metadata[TRANSFER])
    return None


async def _with_known_key(transfer: Transfer, known: KnownContent, context: UploadContext) -> Transfer:
    if known.transfer == transfer.transfer_id:
        return transfer  # this journal sent it, and had no time to see it arrive
    if (transfer.key, transfer.known_content) != (known.key, known):
        await context.journal.do(Lookups.take_over_key, transfer.row_id, known)
    return replace(
        transfer,
        key=known.key or transfer.key,
        transfer_id=known.transfer or transfer.transfer_id,
        known_content=known,
    )


def _is_like(key: str, beginning: str, transfer: Transfer, context: UploadContext) -> bool:
    """Tell whether a key is what this transfer's would be with another id of ours."""
    name = key[len(beginning) : len(beginning) + TRANSFER_LENGTH]
    ours = name[-TAG_LENGTH:] == sidecar_tag(context.sidecar_id) or not name
    return ours and object_key(transfer.route, name) == key


def _is_known(head: ObjectHead, transfer: Transfer, context: UploadContext) -> bool:
    named = bool(head.metadata.get(TRANSFER))
    ours = is_ours(head, transfer, sidecar_id=context.sidecar_id)
    return named and ours and is_content_of(head, transfer)
