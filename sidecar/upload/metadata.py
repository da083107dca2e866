"""Describes an object in its own metadata: its type and cache, whose it is, and of which transfer.

An object whose answer was lost is ours only if its bytes were compared. Either HEAD shows our crc64nvme, or
the object's metadata (`sent-under`) names another checksum and HEAD shows one. Of an MD5 S3 shows nothing,
so the name suffices. What was sent without being confirmed is sent again, also after a kill.
"""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import quote

from sidecar.core.checksum_algorithms import Algorithm
from sidecar.core.model import Transfer

from .store import ObjectHead, ObjectSpec

SIDECAR, TRANSFER, SLOT = "sidecar-id", "transfer", "slot"
_PRINTABLE = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")


def object_spec(transfer: Transfer, *, sidecar_id: str, algorithm: Algorithm | None = None) -> ObjectSpec:
    """Return everything about a transfer's object but its bytes.

    The asset's metadata are Convex's alone: S3 takes 2 KB of it, and many clients read no object that has
    more than a hundred headers.
    """
    own = {
        SIDECAR: _ascii(sidecar_id),
        TRANSFER: transfer.transfer_id,
        SLOT: transfer.route.slot.digest,
    }
    return ObjectSpec(
        bucket=transfer.bucket,
        key=transfer.key,
        content_type=transfer.route.content_type,
        cache_control=transfer.route.cache_control,
        metadata=own,
        algorithm=algorithm,
        tags=transfer.route.tags,
        storage_class=transfer.route.storage_class,
        content_disposition=transfer.route.content_disposition,
    )


def is_ours(head: ObjectHead, transfer: Transfer, *, sidecar_id: str) -> bool:
    """Tell whether this sidecar made an object for the transfer's slot."""
    said = head.metadata.get(SIDECAR), head.metadata.get(SLOT)
    return said == (_ascii(sidecar_id), transfer.route.slot.digest)


def is_of(head: ObjectHead, transfer: Transfer) -> bool:
    """Tell whether an object is this very transfer, whole and checked: the answer to a lost answer."""
    same_bytes = head.is_checked if head.checksum is None else head.checksum == transfer.checksum
    same_size = head.size_bytes == transfer.size_bytes
    return same_bytes and same_size and head.metadata.get(TRANSFER) == transfer.transfer_id


def is_content_of(head: ObjectHead, transfer: Transfer) -> bool:
    """Tell whether an object of another journal's time holds this transfer's bytes.

    Where the store shows no crc64nvme only Convex's word for the same id lets the size suffice.
    """
    if head.size_bytes != transfer.size_bytes:
        return False
    if head.checksum is not None or not head.is_checked:
        return head.checksum == transfer.checksum
    known_content = transfer.known_content
    return (
        known_content is not None
        and known_content.key is not None
        and head.metadata.get(TRANSFER) == known_content.transfer
    )


@lru_cache(maxsize=256)  # a sidecar's, and so that of many objects
def _ascii(value: str) -> str:
    """Percent-encode what a header cannot carry, and spaces at the ends, which the signature drops."""
    encoded = quote(value, safe=_PRINTABLE)
    inner = encoded.strip(" ")
    if inner == encoded:
        return encoded
    left = len(encoded) - len(encoded.lstrip(" "))
    return "%20" * left + inner + "%20" * (len(encoded) - left - len(inner))
