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

from .absences import Weighed
from .base import Topic, Transition
from .debts import Debt
from .deciding import Deciding
from .noticing import Known, Sighting
from .obstructing import Obstructing
from .opening import reporting
from .pruning import Pruning
from .recalling import Recalling
from .removing import Removing
from .repairing import Repairing
from .resettling import Resettling
from .scenes import OpenScene
from .shipping import Claim
from .telling import Telling
from .withholding import Fate, Parked, Withholding

__all__ = [
    "Claim", "Debt", "Fate", "Journal", "Known", "OpenScene", "Parked", "Sighting", "Topic", "Transition",
    "Weighed",
]  # fmt: skip


class Journal(
    Resettling, Deciding, Withholding, Obstructing, Pruning, Recalling, Removing, Repairing, Telling
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
