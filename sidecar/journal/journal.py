"""REMEMBER: the one place where stages meet. Synchronous; every public method is one transaction.

The daemon puts a writer thread with group commit in front (writer.py); a simulation calls it inline.
Nothing here waits, sends or reads a file of the user's.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from sidecar.core.clock import Clock
from sidecar.core.errors import JournalLostError
from sidecar.journal.db.connection import Topic, Transition
from sidecar.journal.db.open import reporting
from sidecar.journal.stores.cleanup_tasks import CleanupTask
from sidecar.journal.stores.files import Known, ObserveResult
from sidecar.journal.stores.local_deletion import LocalDeletion
from sidecar.journal.stores.outbox import Outbox
from sidecar.journal.stores.pruning import Pruning
from sidecar.journal.stores.recovery import Recovery
from sidecar.journal.stores.removal_decisions import RemovalDecisions
from sidecar.journal.stores.removals import EvaluatedPage
from sidecar.journal.stores.repairs import Repairs
from sidecar.journal.stores.scenes import OpenScene
from sidecar.journal.stores.settings_change import SettingsChange
from sidecar.journal.stores.stream_pieces import Parked, PieceOutcome, StreamPieces
from sidecar.journal.stores.upload_delays import UploadDelays
from sidecar.journal.stores.uploads import Claim

__all__ = [
    "Claim",
    "CleanupTask",
    "EvaluatedPage",
    "Journal",
    "Known",
    "ObserveResult",
    "OpenScene",
    "Parked",
    "PieceOutcome",
    "Topic",
    "Transition",
]  # fmt: skip


class Journal(
    SettingsChange,
    RemovalDecisions,
    StreamPieces,
    UploadDelays,
    Pruning,
    Recovery,
    LocalDeletion,
    Repairs,
    Outbox,
):
    """The journal whole: noticing (watch), shipping (upload), telling (sync), scenes, pruning."""

    def __init__(
        self,
        path: Path,
        *,
        tag: str,
        bucket: str,
        clock: Clock,
        chance: Callable[[int], bytes] = os.urandom,
        lost: JournalLostError | None = None,
    ) -> None:
        """Open the journal for this process alone and void what the last process had in hand.

        Raises FatalError as ``JournalBase`` says.
        """
        super().__init__(path, tag=tag, bucket=bucket, clock=clock, chance=chance, lost=lost)
        try:
            with reporting(path):
                self._recover()
        except BaseException:
            self.close()
            raise
