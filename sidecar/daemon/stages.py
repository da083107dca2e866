"""Builds the stages over a journal and the remotes, and the comparison of all three.

The daemon builds them over real remotes; the crash simulation (``tests/support/simulation``) does the same
over remotes in memory, an inline journal and a virtual clock.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sidecar.core.clock import Clock
from sidecar.core.ids import sidecar_tag
from sidecar.journal.writer import AsyncJournal
from sidecar.metrics import Metrics
from sidecar.obstacles import Obstacles
from sidecar.settings.convex import BatchSettings
from sidecar.settings.daemon import Retention
from sidecar.sync.lookup import LookupStage
from sidecar.sync.stage import SyncStage
from sidecar.upload.checksum_negotiation import ChecksumNegotiation
from sidecar.upload.cleanup.worker import SWEEP_SECONDS
from sidecar.upload.factory import build_stage as build_upload
from sidecar.upload.stage import CONCURRENCY_AUTO, UploadStage

from .reconciling import Reconciler
from .remotes import Remotes


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What all stages are built with. ``is_first`` as ``LookupStage`` says."""

    journal: AsyncJournal
    clock: Clock
    metrics: Metrics
    sidecar_id: str
    is_first: bool | None
    obstacles: Obstacles
    url: Callable[[str], str]  # an object's public address, by its key


@dataclass(frozen=True, slots=True, kw_only=True)
class Stages:
    """The stages behind the watch. ``sync`` is None with ``convex.sync: off``."""

    upload: UploadStage
    sync: SyncStage | None
    lookup: LookupStage

    def work(self) -> list[Coroutine[Any, Any, None]]:
        """Return what runs side by side."""
        sync = self.sync
        telling = [sync.run(), sync.expiry.run(), sync.scene_recovery.run()] if sync else []
        return [self.lookup.run(), self.upload.run(), *telling]

    def signs_of_life(self) -> list[Coroutine[Any, Any, None]]:
        """Return what runs beside the work and moves nothing."""
        return [self.sync.heartbeat.run()] if self.sync else []

    def is_asking(self) -> bool:
        """Tell whether Convex is yet to say which scenes are to be brought to their end."""
        return self.sync is not None and self.sync.scene_recovery.is_asking


def build_stages(
    shared: Shared,
    remotes: Remotes,
    *,
    batch: BatchSettings,
    part_bytes: int,
    checking: ChecksumNegotiation,
    concurrency: int = CONCURRENCY_AUTO,
    sweep_seconds: float = SWEEP_SECONDS,
    takes_back: bool = False,
) -> Stages:
    """Build them; nothing runs yet. ``takes_back`` as ``SyncStage`` says."""
    sync = _build_sync(shared, remotes, batch, takes_back=takes_back)
    upload = build_upload(
        store=remotes.objects,
        journal=shared.journal,
        gate=remotes.gates["s3"],
        clock=shared.clock,
        metrics=shared.metrics,
        sidecar_id=shared.sidecar_id,
        url=shared.url,
        budget=remotes.budget,
        part_bytes=part_bytes,
        concurrency=concurrency,
        trusted=sync.registered if sync else None,
        sweep_seconds=sweep_seconds,
        obstacles=shared.obstacles,
        checking=checking,
    )
    lookup = sync.lookup if sync else LookupStage(journal=shared.journal, is_first=shared.is_first)
    return Stages(upload=upload, sync=sync, lookup=lookup)


def _build_sync(
    shared: Shared, remotes: Remotes, batch: BatchSettings, *, takes_back: bool
) -> SyncStage | None:
    if remotes.metadata is None:
        return None
    return SyncStage(
        store=remotes.metadata,
        journal=shared.journal,
        gate=remotes.gates["convex"],
        batch=batch,
        sidecar_id=shared.sidecar_id,
        clock=shared.clock,
        metrics=shared.metrics,
        is_first=shared.is_first,
        takes_back=takes_back,
        backend=remotes.backend,
    )


def build_reconciler(
    shared: Shared,
    remotes: Remotes,
    sync: SyncStage | None,
    *,
    journal_path: Path,
    bucket: str,
    retention: Retention,
    every_seconds: float,
    apply: bool,
) -> Reconciler | None:
    """Build what compares journal, bucket and Convex; None where Convex is not told."""
    if sync is None or remotes.metadata is None:
        return None
    return Reconciler(
        journal=shared.journal,
        journal_path=journal_path,
        bucket=bucket,
        tag=sidecar_tag(shared.sidecar_id),
        sidecar_id=shared.sidecar_id,
        objects=remotes.objects,
        metadata=remotes.metadata,
        sync=sync,
        gates=list(remotes.gates.values()),
        url=shared.url,
        clock=shared.clock,
        skews=lambda: [skew() for skew in remotes.skews.values()],
        retention=retention,
        every_seconds=every_seconds,
        apply=apply,
        backend=remotes.backend,
    )
