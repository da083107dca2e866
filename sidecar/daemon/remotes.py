"""Opens the remotes: each behind the fence, with a gate before it."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from sidecar import __version__
from sidecar.core.breaker import BreakerPolicy
from sidecar.core.clock import Clock
from sidecar.core.retry import RetryPolicy
from sidecar.gate import RemoteGate
from sidecar.settings import Settings
from sidecar.sync.backend import BackendStore
from sidecar.sync.convex import open_as
from sidecar.sync.store import MetadataStore
from sidecar.upload.factory import limits_of, open_s3
from sidecar.upload.limits import MemoryBudget, UploadLimits
from sidecar.upload.s3.endpoint import S3Config
from sidecar.upload.store import ObjectStore
from sidecar.watch.ownership.fence import Fence

from .fenced_port import fenced


@dataclass(frozen=True, slots=True, kw_only=True)
class Remotes:
    """S3 and Convex. ``metadata`` is None with ``convex.sync: off``; the mappings have "s3" and "convex".

    ``budget`` bounds the bodies on their way to S3. ``skews`` are our clock minus the remote's, where known.
    ``backend`` is Convex as well, for programs whose credentials have that role.
    """

    objects: ObjectStore
    metadata: MetadataStore | None
    budget: MemoryBudget
    gates: Mapping[str, RemoteGate]
    skews: Mapping[str, Callable[[], float | None]]
    backend: BackendStore | None = None


@asynccontextmanager
async def open_remotes(
    settings: Settings,
    *,
    config: S3Config,
    sidecar_id: str,
    fence: Fence,
    clock: Clock,
    limits: UploadLimits | None = None,
) -> AsyncIterator[Remotes]:
    """Open their clients; nothing is asked before somebody does. ``limits``: None: all of them are ours."""
    limits = limits or limits_of(settings.upload, clock=clock)
    s3 = open_s3(
        config=config, s3=settings.s3, upload=settings.upload, clock=clock, bandwidth=limits.bandwidth
    )
    client: BackendStore | None = None
    convex, skews = None, dict[str, Callable[[], float | None]]()
    async with AsyncExitStack() as opened:
        store = fenced(await opened.enter_async_context(s3), fence.passable, port=ObjectStore)
        skews["s3"] = lambda: store.skew_seconds
        if settings.convex.sync == "on":
            opening = open_as(
                BackendStore, settings.convex, sidecar_id=sidecar_id, clock=clock, version=__version__
            )
            client = await opened.enter_async_context(opening)
            convex = fenced(client, fence.passable, port=MetadataStore)
            skews["convex"] = partial(_skew, client)
        retry = settings.retry
        yield Remotes(
            objects=store,
            metadata=convex,
            budget=limits.budget.behind(store.uplink.turn),
            gates=build_gates(
                store,
                convex,
                retry=RetryPolicy(
                    initial_seconds=retry.initial, max_seconds=retry.max, attempts=retry.attempts
                ),
                breaker=BreakerPolicy(failures=retry.breaker_failures, reset_seconds=retry.breaker_reset),
                clock=clock,
                jitter=random.random,
            ),
            skews=skews,
            backend=client,
        )


def _skew(convex: BackendStore) -> float | None:
    return convex.skew_seconds


def build_gates(
    objects: ObjectStore,
    metadata: MetadataStore | None,
    *,
    retry: RetryPolicy,
    breaker: BreakerPolicy,
    clock: Clock,
    jitter: Callable[[], float],
) -> dict[str, RemoteGate]:
    """Return a gate for each remote that there is."""
    probes = {"s3": objects.probe} | ({} if metadata is None else {"convex": metadata.probe})
    return {
        remote: RemoteGate(
            remote=remote, probe=probe, retry=retry, breaker=breaker, clock=clock, jitter=jitter
        )
        for remote, probe in probes.items()
    }
