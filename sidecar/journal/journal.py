"""REMEMBER: the one place where stages meet. (Signatures are fixed; bodies are being written.)"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from sidecar.core.clock import Clock
from sidecar.core.errors import SidecarError
from sidecar.core.model import Fingerprint, Observation, Part, State, StatIdentity, StoredObject, Transfer
from sidecar.core.ops import Batch, OpResult, Registration


class Topic(StrEnum):
    """What a commit may have made work for; stages subscribe to it."""

    CANDIDATES = "candidates"
    UPLOADS = "uploads"
    DEBTS = "debts"
    OUTBOX = "outbox"
    SCENES = "scenes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the journal remembers of a file in a folder: enough to pass over an unchanged one."""

    name: str
    identity: StatIdentity | None  # of the newest content that was handled; None: not complete yet
    transfer_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What became of one observation."""

    candidate: Transfer | None = None  # a row in state discovered: find out when it is complete
    refused: str | None = None  # one sentence: why it is never sent as things are


@dataclass(frozen=True, slots=True, kw_only=True)
class Debt:
    """A clean-up owed to S3. ``delete_object``: delete ``key``; otherwise abort ``upload_id``."""

    id: int
    key: str
    upload_id: str | None
    transfer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Rows that are ours until released, advanced, or the process ends; else when to ask again."""

    transfers: tuple[Transfer, ...]
    next_due: float | None  # monotonic seconds of the earliest row that waits for its time


class Journal:
    """Synchronous. Every public method is one transaction (a savepoint inside a group commit)."""

    journal_id: str
    epoch: int | None  # of the last registration that this journal saw

    def __init__(self, path: Path, *, tag: str, bucket: str, clock: Clock) -> None: ...

    # -- watch ------------------------------------------------------------------------------------
    def known(self, root: str, folder: str) -> dict[str, Known]:
        """Everything remembered of one folder ("" is the root itself), by name. One range query."""

    def observe(self, observations: Sequence[Observation]) -> list[Sighting]:
        """Files that a listing or an event showed. New or changed content becomes a candidate."""

    def missing(self, root: str, paths: Sequence[str]) -> None:
        """A successful full listing did not show these remembered files."""

    def candidates(self) -> list[Transfer]:
        """All transfers in state discovered, to load at start."""

    def complete(self, transfer_id: int, fingerprint: Fingerprint) -> State | None:
        """discovered -> ready; None if nothing new (the row is dropped, the identity remembered)."""

    def vanish(self, transfer_id: int) -> None:
        """-> gone."""

    def neglect(self, transfer_id: int, why: str) -> None:
        """discovered -> abandoned; it is observed again when it changes."""

    def mark_scene(
        self,
        *,
        project_id: str,
        session_id: str,
        scene_id: str,
        marker: str,
        mtime_ns: int,
        chunks: int | None = None,
    ) -> None:
        """A `.complete` or `.cancelled` marker (``marker``: "complete" | "cancelled") was seen."""

    # -- upload -----------------------------------------------------------------------------------
    def claim_uploads(self, *, limit: int, now: float) -> Claim:
        """Lease ready transfers that are due, by priority, then by age."""

    def release(self, transfer_id: int) -> None:
        """Give a lease back (cancelled, nothing to report)."""

    def parts(self, transfer_id: int) -> list[Part]:
        """Parts whose success is journaled."""

    def begin_multipart(self, transfer_id: int, *, part_bytes: int) -> None:
        """The intent, before Create: from here on an upload under this key may exist."""

    def opened(self, transfer_id: int, upload_id: str) -> None:
        """Create answered; before the first part."""

    def part_stored(self, transfer_id: int, part: Part) -> None:
        """S3 confirmed a part; spent attempts are forgotten."""

    def forget_upload(self, transfer_id: int) -> None:
        """The multipart upload is gone at S3: drop its ID and its parts."""

    def begin_put(self, transfer_id: int) -> None:
        """The intent, before a PUT or a Complete: from here on the object may exist."""

    def uploaded(self, transfer_id: int, stored: StoredObject, *, url: str) -> State:
        """ready -> uploaded with its op in the outbox, or -> superseded with its debt."""

    def touched(self, transfer_id: int, identity: StatIdentity) -> None:
        """A second read found the same bytes under another identity (mtime, ctime)."""

    def overtaken(self, transfer_id: int, why: str) -> None:
        """The bytes changed under a ready transfer: -> superseded, debts journaled, file a candidate again."""

    def fail_upload(self, transfer_id: int, error: SidecarError, *, due: float, spent: bool) -> None:
        """Remember a failure, release the lease, come back at ``due`` (monotonic)."""

    def bury(self, transfer_id: int, error: SidecarError) -> None:
        """-> dead."""

    def claim_debts(self, *, limit: int, now: float) -> list[Debt]:
        """Clean-ups that are due."""

    def settle_debt(self, debt_id: int) -> None:
        """Done."""

    def postpone_debt(self, debt_id: int, *, due: float) -> None:
        """Not done; come back."""

    def open_uploads(self) -> dict[str, str | None]:
        """key -> upload ID (None: Create's answer is unknown) of all multipart uploads we may own."""

    # -- sync -------------------------------------------------------------------------------------
    def registered(self, registration: Registration) -> None:
        """Remember the epoch. Raises FatalError if the server knows a later seq than this journal."""

    def claim_batch(self, *, limit: int, now: float, busy: Collection[str]) -> tuple[Batch | None, float | None]:
        """The oldest due ops of one session that is not ``busy``, marked as sent; else when to ask again.

        At most one op per slot; a scene's facts only when that scene's earlier ops are settled.
        """

    def settle(self, results: Sequence[OpResult]) -> None:
        """Record outcomes: applied, unchanged, stale and duplicate -> synced, rejected -> dead."""

    def fail_ops(self, seqs: Sequence[int], error: SidecarError, *, due: float, spent: bool) -> None:
        """The call failed; the ops stay and come back at ``due``."""

    def bury_ops(self, seqs: Sequence[int], error: SidecarError) -> None:
        """Attempts spent: their transfers -> dead, the ops leave the outbox."""

    # -- operators --------------------------------------------------------------------------------
    def requeue(self, *, transfer: str | None = None, path: str | None = None, error_kind: str | None = None) -> int:
        """Dead letters that match all given filters go back to where they died; returns how many."""

    def close(self) -> None:
        """Checkpoint and close."""


def _silence(*_: Any) -> Mapping[str, Any]:  # keeps the stub importable
    return {}
