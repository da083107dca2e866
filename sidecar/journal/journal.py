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

from .base import Topic, Transition
from .cleanup_tasks import CleanupTask
from .files import Known, ObserveResult
from .local_deletion import LocalDeletion
from .open import reporting
from .outbox import Outbox
from .pruning import Pruning
from .recovery import Recovery
from .removal_decisions import RemovalDecisions
from .removals import EvaluatedPage
from .repairs import Repairs
from .scenes import OpenScene
from .settings_change import SettingsChange
from .stream_pieces import Parked, PieceOutcome, StreamPieces
from .upload_delays import UploadDelays
from .uploads import Claim

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
