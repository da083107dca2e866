"""The table of how journal, bucket and Convex may disagree, and what follows; the first match wins.

Pure: what was seen of one object key goes in as ``KeyEvidence``, a ``Verdict`` comes out. Nothing is ever
judged by what is not ours: the evidence is gathered from keys that carry our tag and versions we wrote.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from .model import State
from .ops import VersionStatus

WANTED = frozenset({State.DISCOVERED, State.READY, State.UPLOADED, State.SYNCED, State.DEAD, State.ABANDONED})


class InconsistencyType(StrEnum):
    """How the three may disagree about one object key."""

    LOST_OP = "lost op"  # in S3, and nobody will ever tell Convex
    MISSING_OBJECT = "missing object"  # Convex shows it, S3 does not hold it, the file is still here
    LOST_BYTES = "lost bytes"  # the same, and the file is not: nothing here can bring it back
    WRONG_SIZE = "wrong size"  # S3 holds other bytes than Convex shows; the file is still here
    MISSING_METADATA = "missing metadata"  # the journal saw it acknowledged, Convex does not know it
    DELETED_SCENE = "deleted scene"  # Convex's scene is gone, its object is not
    RETIRED = "retired"  # a superseded version beyond what retention keeps
    EXPIRED_OBJECT = "expired object"  # Convex gave it up, its deletion was lost
    ORPHAN_OBJECT = "orphan object"  # ours, and neither the journal nor Convex names it
    FORGOTTEN_OBJECT = "forgotten object"  # the same, from a time of which the journal no longer knows all
    ORPHAN_UPLOAD = "orphan upload"  # an open multipart upload of ours that the journal does not know


class Repair(StrEnum):
    """What is journaled to make them agree."""

    ENQUEUE = "tell"  # an op again: Convex is owed
    UPLOAD = "send"  # the upload again, under the same key
    EXPIRE = "expire"  # Convex marks the version, then the object is a clean-up task
    DELETE = "delete"  # the object is a clean-up task
    ABORT = "abort"  # the open upload is a clean-up task
    NONE = "none"  # only people can


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyEvidence:
    """What was seen of one object key.

    ``state`` is the journal's newest row with the key as it is now; ``settled``: that row was synced before
    the bucket and Convex were listed, so that both must show it. ``is_pending``: an op, a clean-up task or a
    lease is under way for it. ``on_disk``: the row's file is there, unchanged. ``size_bytes`` is what the
    object should have; ``other_checksum``: it has another checksum, where that was asked.
    ``object_age_seconds`` is by S3's own clock, None where clocks cannot be trusted. ``retired``: retention
    gives the version up. ``upload``: an open multipart upload. ``forgotten``: the journal has pruned rows as
    young as this object's transfer: that it has none for it says nothing.
    """

    state: State | None = None
    settled: bool = False
    is_pending: bool = False
    on_disk: bool = False
    size_bytes: int | None = None
    object_bytes: int | None = None
    other_checksum: bool = False
    object_age_seconds: float | None = None
    version: VersionStatus | None = None
    retired: bool = False
    upload: bool = False
    forgotten: bool = False

    @property
    def is_shown(self) -> bool:
        """Whether Convex still shows it to somebody."""
        return self.version is VersionStatus.CURRENT

    @property
    def is_there(self) -> bool:
        """Whether S3 holds an object."""
        return self.object_bytes is not None

    @property
    def is_other(self) -> bool:
        """Whether S3 holds something of another size, or with another checksum."""
        is_sized = self.size_bytes is not None and self.object_bytes != self.size_bytes
        return self.is_there and (is_sized or self.other_checksum)


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairRow:
    """One row of the table: evidence that fits it has this inconsistency, and gets this repair."""

    type: InconsistencyType
    repair: Repair
    applies: Callable[[KeyEvidence], bool]


ORPHAN_SECONDS = 3600.0  # younger objects may belong to an answer that is still on its way


def _is_orphan(seen: KeyEvidence) -> bool:
    is_old = seen.object_age_seconds is not None and seen.object_age_seconds >= ORPHAN_SECONDS
    is_named = seen.version is not None or seen.state in WANTED or seen.is_pending
    return seen.is_there and is_old and not is_named


TABLE = (
    RepairRow(
        type=InconsistencyType.ORPHAN_UPLOAD,
        repair=Repair.ABORT,
        applies=lambda seen: seen.upload and seen.state not in WANTED,
    ),
    RepairRow(
        type=InconsistencyType.LOST_OP,
        repair=Repair.ENQUEUE,
        applies=lambda seen: seen.state is State.UPLOADED and not seen.is_pending,
    ),
    RepairRow(
        type=InconsistencyType.MISSING_OBJECT,
        repair=Repair.UPLOAD,
        applies=lambda seen: seen.settled and seen.is_shown and not seen.is_there and seen.on_disk,
    ),
    RepairRow(
        type=InconsistencyType.WRONG_SIZE,
        repair=Repair.UPLOAD,
        applies=lambda seen: seen.settled and seen.is_shown and seen.is_other and seen.on_disk,
    ),
    RepairRow(
        type=InconsistencyType.LOST_BYTES,
        repair=Repair.NONE,
        applies=lambda seen: (
            seen.is_shown
            and not seen.is_pending
            and (not seen.is_there or seen.is_other)
            and seen.state is not State.READY
        ),
    ),
    RepairRow(
        type=InconsistencyType.MISSING_METADATA,
        repair=Repair.ENQUEUE,
        applies=lambda seen: seen.settled and seen.is_there and seen.version is None and seen.on_disk,
    ),
    RepairRow(
        type=InconsistencyType.DELETED_SCENE,
        repair=Repair.EXPIRE,
        applies=lambda seen: seen.version is VersionStatus.DELETED and seen.is_there and not seen.is_pending,
    ),
    RepairRow(
        type=InconsistencyType.RETIRED,
        repair=Repair.EXPIRE,
        applies=lambda seen: (
            seen.version is VersionStatus.SUPERSEDED and seen.retired and not seen.is_pending
        ),
    ),
    RepairRow(
        type=InconsistencyType.EXPIRED_OBJECT,
        repair=Repair.DELETE,
        applies=lambda seen: seen.version is VersionStatus.EXPIRED and seen.is_there and not seen.is_pending,
    ),
    RepairRow(
        type=InconsistencyType.FORGOTTEN_OBJECT,
        repair=Repair.NONE,  # it may be the only copy of what Convex lost
        applies=lambda seen: _is_orphan(seen) and seen.state is None and seen.forgotten,
    ),
    RepairRow(
        type=InconsistencyType.ORPHAN_OBJECT,
        repair=Repair.DELETE,
        applies=_is_orphan,
    ),
)


def judge(seen: KeyEvidence) -> RepairRow | None:
    """Return the row of the table that applies; None: all is as it should be."""
    return next((row for row in TABLE if row.applies(seen)), None)
