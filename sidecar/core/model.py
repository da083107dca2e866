"""The plain values that stages hand to the journal and get back. Frozen; no behaviour but derivation."""

from __future__ import annotations

import hashlib
import json.encoder
from binascii import b2a_base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from functools import lru_cache
from typing import NamedTuple

from .checksum_algorithms import Algorithm
from .media_facts import MediaFacts

MIB = 1024 * 1024
_quoted = json.encoder.encode_basestring
_URL_SAFE = bytes.maketrans(b"+/", b"-_")


class AssetType(StrEnum):
    """What a render output means to the platform."""

    VIDEO_CHUNK = "video_chunk"
    SOURCE_CODE = "source_code"
    THUMBNAIL = "thumbnail"
    SUBTITLE = "subtitle"
    COMBINED_VIDEO = "combined_video"
    MANIFEST = "manifest"


VIDEOS = frozenset({AssetType.VIDEO_CHUNK, AssetType.COMBINED_VIDEO})


class Piece(IntEnum):
    """Whether a video is a piece of a stream, which waits for its playlist or for the end of its scene."""

    NONE = 0
    CHUNK = 1  # it plays alone, too: MPEG-TS, a film made for byte ranges
    FRAGMENT = 2  # it does not: it is no video for anybody who waits for one


class EntityType(StrEnum):
    """What an asset belongs to."""

    SCENE = "scene"
    SESSION = "session"


class State(StrEnum):
    """The durable facts about a transfer; "uploading now" is a lease, not a state."""

    DISCOVERED = "discovered"  # seen, perhaps still growing
    READY = "ready"  # complete and fingerprinted
    UPLOADED = "uploaded"  # S3 holds it and confirmed the checksum
    SYNCED = "synced"  # Convex acknowledged it
    SUPERSEDED = "superseded"  # newer content took over
    DEAD = "dead"  # a dead letter
    GONE = "gone"  # deleted before it could be read, or removed
    ABANDONED = "abandoned"  # incomplete, without a writer, for too long


class StatIdentity(NamedTuple):
    """What ``stat`` says of a file's content; equal before and after a read, or the read is void.

    Each file has several made and compared: a tuple is both three times as fast as a dataclass.
    """

    inode: int
    size_bytes: int
    mtime_ns: int
    ctime_ns: int


class _Digested:
    """Keeps what was made of its fields: it is no field itself."""

    __slots__ = ("_digest",)
    _digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot(_Digested):
    """The place that versions of one asset share: what a player means by "this chunk"."""

    session_id: str
    entity_type: EntityType
    entity_id: str
    asset_type: AssetType
    name: str

    @property
    def digest(self) -> str:
        """base64url (no padding) of the SHA-256 of the slot's five fields as a JSON array."""
        try:
            return self._digest
        except AttributeError:
            digest = _digest(self.session_id, self.entity_type, self.entity_id, self.asset_type, self.name)
            self.know_digest(digest)
            return digest

    def know_digest(self, digest: str) -> None:
        """Take it from a row that has it: made anew for each step of each file it would show in a burst."""
        object.__setattr__(self, "_digest", digest)


@lru_cache(maxsize=256)  # of files that come alone
def _digest(*fields: str) -> str:
    text = f"[{','.join([_quoted(field) for field in fields])}]"
    digest = b2a_base64(hashlib.sha256(text.encode()).digest(), newline=False)
    return digest.rstrip(b"=").translate(_URL_SAFE).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamKey:
    """What a video belongs to, as far as playlists go: a scene, or with "" the session itself."""

    session_id: str
    scene_id: str
    entity_folder: str | None


@lru_cache(maxsize=256)  # the files of a folder have one
def _stream_key(
    session_id: str, entity_type: EntityType, entity_id: str, entity_folder: str | None
) -> StreamKey:
    scene_id = entity_id if entity_type is EntityType.SCENE else ""
    return StreamKey(session_id=session_id, scene_id=scene_id, entity_folder=entity_folder)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """What the rules make of one path; everything about a transfer that does not need its bytes.

    ``key`` is the object key with the transfer id still open, as ``{transfer}``; ``routing.object_key``
    closes it. ``entity_folder`` is the path, below the root, through the last segment that names the
    entity, or None where no segment does. ``settle_seconds`` is the rule's own quiet time or None.
    ``heeds_playlists``: the rule does not say that none will ever name such files. ``tags``,
    ``storage_class`` and ``content_disposition`` (a whole header) are the object's.
    """

    slot: Slot
    project_id: str
    key: str
    index: int | None
    role: str | None
    content_type: str
    cache_control: str | None
    priority: int  # 0 goes first
    settle_seconds: float | None
    check_structure: bool
    entity_folder: str | None
    metadata: Mapping[str, str] = field(default_factory=dict)
    heeds_playlists: bool = True
    tags: Mapping[str, str] = field(default_factory=dict)
    storage_class: str | None = None
    content_disposition: str | None = None

    @property
    def may_be_piece(self) -> bool:
        """Whether a playlist may claim such a file."""
        return self.heeds_playlists and self.slot.asset_type in VIDEOS

    @property
    def claim(self) -> StreamKey | None:
        """Whose playlists may claim such a file; None: nobody's."""
        if not self.may_be_piece:
            return None
        slot = self.slot
        return _stream_key(slot.session_id, slot.entity_type, slot.entity_id, self.entity_folder)

    @property
    def scene_id(self) -> str | None:
        """The scene, for assets of a scene."""
        return self.slot.entity_id if self.slot.entity_type is EntityType.SCENE else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """A regular file that a listing or an event showed, and where the rules put it.

    ``root`` is the root's absolute path, ``path`` the file's below it, with ``/``. ``home`` tells on which
    volume it lies (``sidecar.homes``), None where that is not known.
    """

    root: str
    path: str
    identity: StatIdentity
    route: Route
    home: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PartChecksums:
    """The checksum of each ``part_bytes`` of a file, in order; the last one is of what remains."""

    part_bytes: int
    checksums: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """One complete state of a file: its checksum, and the identity before and after that read.

    ``parts`` are of the same read, where the file is to be sent in parts. ``media`` is what its structure
    told.
    """

    identity: StatIdentity
    checksum: str  # crc64nvme:<base64 of 8 bytes, big endian>
    parts: PartChecksums | None = None
    media: MediaFacts | None = None

    @property
    def size_bytes(self) -> int:
        """Bytes read."""
        return self.identity.size_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of a multipart upload that S3 acknowledged. Numbers begin with 1."""

    number: int
    size_bytes: int
    etag: str
    checksum: str  # crc64nvme:<base64>, of the bytes sent


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """What S3 confirmed about an object. ``etag`` is opaque, never a checksum."""

    bucket: str
    key: str
    etag: str
    version_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownContent:
    """Where content that a lost journal knew may be already. Without a key: look below the transfer's own.

    ``transfer`` is the id it had; ``version`` Convex's, None if Convex does not hold the content now.
    """

    key: str | None = None
    transfer: str | None = None
    version: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """One version of one file on its way: a row of the journal.

    ``row_id`` is the row (its order is the order of discovery); ``transfer_id`` the ULID that S3 and Convex
    see. ``awaits_lookup``: Convex is to be asked first whether it knows the content. ``known_content`` is
    there where the bytes may have been sent by a journal that was lost: look before sending. ``checksum`` and
    ``identity`` are None until the file is complete. ``failures`` counts spent attempts; a confirmed part
    sets it back to 0. ``may_upload`` and ``may_object`` say that a multipart upload, or the object, may exist
    at S3 although no answer was journaled. ``version`` is Convex's. ``home`` is where the file was seen,
    until its bytes are in S3. ``parked``: it may be a piece of a stream, and its scene is not complete.
    ``algorithm`` is the checksum that the open upload was begun with. ``media`` is what the structure of the
    complete file told.
    """

    row_id: int
    transfer_id: str
    root: str
    path: str
    route: Route
    state: State
    bucket: str
    key: str  # final, with the transfer id
    identity: StatIdentity | None
    checksum: str | None
    upload_id: str | None
    part_bytes: int | None
    may_upload: bool
    may_object: bool
    etag: str | None
    version_id: str | None
    version: int | None
    failures: int
    discovered_ms: int
    ready_ms: int | None
    uploaded_ms: int | None
    synced_ms: int | None
    error_kind: str | None
    error_message: str | None
    known_content: KnownContent | None = None
    awaits_lookup: bool = False
    home: str | None = None
    parked: bool = False
    algorithm: Algorithm | None = None
    media: MediaFacts | None = None

    @property
    def size_bytes(self) -> int:
        """The size of the complete file; 0 before it is complete."""
        return self.identity.size_bytes if self.identity else 0

    @property
    def is_removed(self) -> bool:
        """Whether Convex knew it, and gave it up because its file was removed."""
        return self.state is State.GONE and self.synced_ms is not None

    @property
    def display(self) -> str:
        """How people see it."""
        return f"{self.root.rstrip('/')}/{self.path}"
