"""The one place where stages meet. It is synchronous; what a stage calls is one transaction of one store.

The daemon puts a writer thread with group commit in front (writer.py); a simulation calls it inline.
Nothing here waits, sends or reads a file of the user's.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Concatenate, cast

from sidecar.core.clock import Clock
from sidecar.core.errors import JournalLostError
from sidecar.journal.db.connection import JournalConnection
from sidecar.journal.db.open import reporting
from sidecar.journal.db.store import P, S, Store, T
from sidecar.journal.stores.answers import Answers
from sidecar.journal.stores.batches import Batches
from sidecar.journal.stores.cleanup import Cleanup
from sidecar.journal.stores.completion import Completion
from sidecar.journal.stores.counts import Counts
from sidecar.journal.stores.discovery import Discovery
from sidecar.journal.stores.files import Files
from sidecar.journal.stores.first_sight import FirstSight
from sidecar.journal.stores.local_deletion import LocalDeletion
from sidecar.journal.stores.lookups import Lookups
from sidecar.journal.stores.multipart import MultipartUploads
from sidecar.journal.stores.outbox import Outbox
from sidecar.journal.stores.pruning import Pruning
from sidecar.journal.stores.recovery import Recovery
from sidecar.journal.stores.removal_decisions import RemovalDecisions
from sidecar.journal.stores.removal_ops import RemovalOps
from sidecar.journal.stores.removals import Removals
from sidecar.journal.stores.repairs import Repairs
from sidecar.journal.stores.roots import Roots
from sidecar.journal.stores.scene_pruning import ScenePruning
from sidecar.journal.stores.scene_reports import SceneReports
from sidecar.journal.stores.scenes import Scenes
from sidecar.journal.stores.settings_change import SettingsChange
from sidecar.journal.stores.stream_pieces import StreamPieces
from sidecar.journal.stores.submissions import Submissions
from sidecar.journal.stores.takedowns import Takedowns
from sidecar.journal.stores.transfers import Transfers
from sidecar.journal.stores.upload_claims import UploadClaims
from sidecar.journal.stores.upload_delays import UploadDelays
from sidecar.journal.stores.uploads import Uploads
from sidecar.journal.stores.withholding import Withholding


class Journal:
    """One connection, and the stores over it: each takes stores that stand before it, and no other."""

    def __init__(
        self,
        path: Path,
        *,
        tag: str,
        bucket: str,
        clock: Clock,
        chance: Callable[[int], bytes] | None = None,
        lost: JournalLostError | None = None,
    ) -> None:
        """Open the journal for this process alone and void the leases that the last process left.

        Raises FatalError as ``JournalConnection`` says.
        """
        db = self.db = JournalConnection(path, tag=tag, bucket=bucket, clock=clock, chance=chance, lost=lost)
        # What all of them use.
        counts = self.counts = Counts(db)
        transfers = self.transfers = Transfers(db, counts)
        outbox = self.outbox = Outbox(db)
        scene_reports = self.scene_reports = SceneReports(db, outbox)
        scenes = self.scenes = Scenes(db, transfers, scene_reports)
        removal_ops = self.removal_ops = RemovalOps(db, transfers, outbox)
        cleanup = self.cleanup = Cleanup(db, transfers)
        discovery = self.discovery = Discovery(db, transfers, scenes, removal_ops, counts)
        completion = self.completion = Completion(db, transfers, scenes, removal_ops, cleanup)
        # The watch stage's.
        first_sight = self.first_sight = FirstSight(db, transfers, scenes, counts, discovery)
        files = self.files = Files(db, transfers, removal_ops, discovery, completion, first_sight)
        withholding = self.withholding = Withholding(db, transfers, completion)
        self.stream_pieces = StreamPieces(db, transfers, scene_reports, completion, withholding)
        self.local_deletion = LocalDeletion(db, transfers)
        self.removals = Removals(db, transfers, removal_ops)
        # The upload stage's.
        roots = self.roots = Roots(db)
        multipart = self.multipart = MultipartUploads(db, transfers, cleanup)
        self.upload_claims = UploadClaims(db, transfers, cleanup, roots)
        self.upload_delays = UploadDelays(db, transfers, cleanup)
        uploads = self.uploads = Uploads(db, transfers, outbox, cleanup, discovery)
        # The sync stage's.
        self.batches = Batches(db, roots, self.upload_claims)
        self.answers = Answers(db, transfers, removal_ops, cleanup)
        self.recovery = Recovery(db, transfers)
        self.lookups = Lookups(db, transfers, cleanup)
        # The daemon's, and the operator's.
        self.removal_decisions = RemovalDecisions(db, transfers, removal_ops, cleanup)
        self.settings_change = SettingsChange(db, transfers, completion, multipart)
        self.pruning = Pruning(db, transfers, counts)
        self.scene_pruning = ScenePruning(db)
        repairs = self.repairs = Repairs(db, transfers, outbox, cleanup, multipart)
        # The library's.
        self.submissions = Submissions(
            db, transfers, completion, files, uploads, repairs, discovery, first_sight
        )
        self.takedowns = Takedowns(db, cleanup)
        self._stores = {type(one).__name__: one for one in vars(self).values() if isinstance(one, Store)}
        try:
            with reporting(path):
                self.upload_claims.void_leases()
        except BaseException:
            self.close()
            raise

    def store_of(self, method: Callable[Concatenate[S, P], T]) -> S:
        """Return the store that a method, as its class has it (``Uploads.begin_put``), belongs to."""
        return cast("S", self._stores[method.__qualname__.partition(".")[0]])

    def beat(self) -> None:
        """Answer, and check that the journal's files still have their names. Raises JournalLostError."""
        self.db.beat()

    def close(self) -> None:
        """Close the connection and let the lock go."""
        self.db.close()
