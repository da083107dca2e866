"""Opens S3 from the settings, and builds the upload stage over any store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from sidecar.core.clock import Clock
from sidecar.core.ids import sidecar_tag
from sidecar.core.upload_order import CROWD
from sidecar.gate import RemoteGate
from sidecar.journal.writer import AsyncJournal
from sidecar.metrics import Metrics
from sidecar.obstacles import Obstacles
from sidecar.settings.s3 import S3, Upload
from sidecar.upload.cleanup.earlier_objects import EarlierObjects
from sidecar.upload.cleanup.rechecks import Rechecks
from sidecar.upload.s3.endpoint import S3Config
from sidecar.upload.s3.object_store import S3Store, open_store

from .checksum_negotiation import ChecksumNegotiation
from .context import UploadContext
from .limits import Bandwidth, MemoryBudget, UploadLimits
from .stage import CONCURRENCY_AUTO, UploadStage
from .store import ObjectStore

_SPARE_CONNECTIONS = 8  # probes, HEADs and clean-up never queue behind parts


def limits_of(upload: Upload, *, clock: Clock) -> UploadLimits:
    """Return what the settings allow a process: to be made once, however many journals it works on."""
    bandwidth = Bandwidth(upload.bandwidth, clock=clock) if upload.bandwidth else None
    return UploadLimits(budget=MemoryBudget(upload.memory), bandwidth=bandwidth)


@asynccontextmanager
async def open_s3(
    *, config: S3Config, s3: S3, upload: Upload, clock: Clock, bandwidth: Bandwidth | None = None
) -> AsyncIterator[S3Store]:
    """Open the store; the gate takes its ``probe`` before the stage can be built."""
    throttle = bandwidth.take if bandwidth else None
    parts = upload.memory // s3.part_size
    connections = CROWD * concurrency(upload) + parts + _SPARE_CONNECTIONS
    async with open_store(config, clock=clock, connections=connections, throttle=throttle) as store:
        yield store


def build_stage(
    *,
    store: ObjectStore,
    journal: AsyncJournal,
    gate: RemoteGate,
    clock: Clock,
    metrics: Metrics,
    sidecar_id: str,
    url: Callable[[str], str],
    budget: MemoryBudget,
    part_bytes: int,
    concurrency: int,
    trusted: asyncio.Event | None,
    sweep_seconds: float,
    obstacles: Obstacles,
    checking: ChecksumNegotiation,
) -> UploadStage:
    """Build the stage over a store; the arguments are as ``UploadContext`` and ``UploadStage`` say."""
    context = UploadContext(
        store=store,
        journal=journal,
        budget=budget,
        part_bytes=part_bytes,
        sidecar_id=sidecar_id,
        url=url,
        rechecks=Rechecks(clock=clock),
        earlier_objects=EarlierObjects(store=store, tag=sidecar_tag(sidecar_id)),
        checking=checking,
    )
    return UploadStage(
        context=context,
        gate=gate,
        clock=clock,
        metrics=metrics,
        concurrency=concurrency,
        trusted=trusted,
        sweep_seconds=sweep_seconds,
        obstacles=obstacles,
    )


def concurrency(upload: Upload) -> int:
    """Return the transfers at once."""
    return CONCURRENCY_AUTO if upload.concurrency == "auto" else upload.concurrency
