"""All that runs: the stages, and what is built beside them for the endpoint and for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sidecar.gate import RemoteGate
from sidecar.journal.db.reserve import Reserve
from sidecar.journal.read.reader import JournalReader
from sidecar.journal.writer import JournalWriter
from sidecar.log_lines import LineWriter
from sidecar.metrics import Metrics
from sidecar.settings import Settings
from sidecar.upload.checksum_negotiation import ChecksumNegotiation
from sidecar.watch.stage import WatchStage

from .attention import Attention
from .heartbeat import Heartbeat
from .housekeeping import Housekeeping
from .reconciling import Reconciler
from .remotes import Remotes
from .scene_completion import SceneCompletion
from .source import DaemonSource
from .stages import Shared, Stages, build_reconciler
from .stream_pieces import StreamPieceRelease


@dataclass(frozen=True, slots=True, kw_only=True)
class Components:
    """Everything that runs. ``reconciler`` is None with ``convex.sync: off``."""

    watch: WatchStage
    stages: Stages
    gates: Mapping[str, RemoteGate]
    scene_completion: SceneCompletion
    pieces: StreamPieceRelease
    heartbeat: Heartbeat
    housekeeping: Housekeeping
    source: DaemonSource
    reconciler: Reconciler | None
    metrics: Metrics
    attention: Attention


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What is open for as long as the daemon runs."""

    journal: JournalWriter
    reserve: Reserve
    reader: JournalReader
    remotes: Remotes
    checking: ChecksumNegotiation


def build_components(
    settings: Settings,
    shared: Shared,
    opened: Opened,
    stages: Stages,
    watch: WatchStage,
    lines: LineWriter | None,
) -> Components:
    """Build what runs beside the stages, and what the endpoint asks."""
    journal, clock, after = opened.journal, shared.clock, settings.entities.complete_after
    reconciler = _reconciler(settings, shared, opened.remotes, stages)
    heartbeat = Heartbeat(journal=journal, clock=clock)
    housekeeping = Housekeeping.of(
        settings,
        journal=journal,
        is_checked=journal.journal.db.is_checked,
        reader=opened.reader,
        reserve=opened.reserve,
        watch=watch,
        clock=clock,
        skew=opened.remotes.skews["s3"],
    )
    source = DaemonSource(
        shared=shared,
        journal=journal,
        journal_path=settings.journal.path,
        reader=opened.reader,
        remotes=opened.remotes,
        stages=stages,
        watch=watch,
        heartbeat=heartbeat,
        housekeeping=housekeeping,
        reconciler=reconciler,
        lines=lines,
        checking=opened.checking,
    )
    return Components(
        watch=watch,
        stages=stages,
        gates=opened.remotes.gates,
        scene_completion=SceneCompletion(journal=journal, clock=clock, complete_after_seconds=after),
        pieces=StreamPieceRelease(journal=journal, watch=watch, clock=clock, complete_after_seconds=after),
        heartbeat=heartbeat,
        housekeeping=housekeeping,
        source=source,
        reconciler=reconciler,
        metrics=shared.metrics,
        attention=Attention(watch=watch, clock=clock),
    )


def _reconciler(settings: Settings, shared: Shared, remotes: Remotes, stages: Stages) -> Reconciler | None:
    return build_reconciler(
        shared,
        remotes,
        stages.sync,
        journal_path=settings.journal.path,
        bucket=settings.s3.bucket,
        retention=settings.retention,
        every_seconds=settings.reconcile.every,
        apply=settings.reconcile.apply,
    )
