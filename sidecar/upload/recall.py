"""Looks in S3 for content that a lost journal knew, before it is sent again (``journal/recalling.py``)."""

from __future__ import annotations

from dataclasses import replace

from sidecar.core.ids import TAG_LENGTH, sidecar_tag
from sidecar.core.keys import TRANSFER_LENGTH
from sidecar.core.model import Recall, Transfer
from sidecar.core.routing import object_key
from sidecar.journal.journal import Journal

from .describe import TRANSFER, is_content_of, is_ours
from .store import ObjectHead
from .tools import Tools


async def recall(transfer: Transfer, *, tools: Tools) -> Transfer | None:
    """Look where the content may be. Raises SidecarError.

    None: it was there, and the journal knows. Otherwise the transfer as it is to be sent: under the key
    that Convex names, where S3 has lost or spoilt the object.
    """
    if transfer.recall is None:
        return transfer
    known = transfer.recall if transfer.recall.key else await _search(transfer, tools)
    if known is None:
        return transfer
    moved = await _readdressed(transfer, known, tools)
    head = await tools.store.head(moved.key)
    if head is None or not is_content_of(head, moved):
        return moved
    if known.version is None:
        await tools.journal.do(Journal.uploaded, transfer.id, head.stored, url=tools.url(moved.key))
    else:
        await tools.journal.do(Journal.adopt, transfer.id, head.stored)
    return None


async def _search(transfer: Transfer, tools: Tools) -> Recall | None:
    """Return the newest of our objects of this slot with this content: Convex is owed the op only."""
    beginning, name, _ = transfer.key.partition(transfer.transfer)
    keys = {transfer.key}  # a fixed key is the only place
    if name:
        listed = await tools.relics.below(beginning)
        keys = {found.key for found in listed if found.size_bytes == transfer.size_bytes}
    for key in sorted(keys, reverse=True):
        head = await tools.store.head(key) if _is_like(key, beginning, transfer, tools) else None
        if head is not None and _is_known(head, transfer, tools):
            return Recall(key=key, transfer=head.metadata[TRANSFER])
    return None


async def _readdressed(transfer: Transfer, known: Recall, tools: Tools) -> Transfer:
    if known.transfer == transfer.transfer:
        return transfer  # this journal sent it, and had no time to see it arrive
    if (transfer.key, transfer.recall) != (known.key, known):
        await tools.journal.do(Journal.readdress, transfer.id, known)
    return replace(
        transfer, key=known.key or transfer.key, transfer=known.transfer or transfer.transfer, recall=known
    )


def _is_like(key: str, beginning: str, transfer: Transfer, tools: Tools) -> bool:
    """Tell whether a key is what this transfer's would be with another id of ours."""
    name = key[len(beginning) : len(beginning) + TRANSFER_LENGTH]
    ours = name[-TAG_LENGTH:] == sidecar_tag(tools.sidecar_id) or not name
    return ours and object_key(transfer.route, name) == key


def _is_known(head: ObjectHead, transfer: Transfer, tools: Tools) -> bool:
    named = bool(head.metadata.get(TRANSFER))
    ours = is_ours(head, transfer, sidecar_id=tools.sidecar_id)
    return named and ours and is_content_of(head, transfer)
