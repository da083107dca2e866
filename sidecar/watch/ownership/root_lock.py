"""Keeps every other sidecar out of a root: by flock, and by a lease file where flock does not reach.

Every root is flocked (``flock.py``). Where one kernel has the volume, as with the file systems of
``LOCAL_TYPES``, that keeps out everybody. On all others, and where flock fails, a lease file is held as
well: some of them support flock across machines and some do not, and a file costs four calls a second and
needs to know neither. An overlay is local: two overlays over one folder are undefined anyway, and containers
share folders by bind mounts.

The lease rests on two properties of the volume. An open sees what was closed before it, for which NFS, SMB
and FUSE ask their server. O_EXCL and rename are atomic. A volume that caches across opens, as some FUSE
mounts of object stores do for a minute, gives neither.

A holder that died on this machine held the flock that we hold now, so nobody waits for it. A root that may
not be written holds no lease file: it is watched all the same, and ``/status`` (``watch[].lock``) says that
other machines are not kept out.
"""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from sidecar.core.clock import Clock
from sidecar.core.lease_record import LeaseRecord, LeaseTiming, LockDomain
from sidecar.watch.os.filesystem import is_local
from sidecar.watch.os.worker_threads import WorkerThreads

from .fence import Fence
from .flock import Flock
from .lease_file import LeaseFile
from .root_lease import LeaseAcquirer, RootLease, RunBlocking

log = structlog.get_logger()
BOOT = Path("/proc/sys/kernel/random/boot_id")
TIMING = LeaseTiming()
BY_FLOCK = "by flock"
BY_LEASE = "by a lease file, for other machines may have the volume too"
HERE_ONLY = "by flock, on this machine only: no lease file can be written ({error})"
BY_NOTHING = "by nothing: the volume has no locks, and no lease file can be written ({error})"
_NOT_OURS_TO_WRITE = {errno.EROFS, errno.EACCES, errno.EPERM}


@dataclass(frozen=True, slots=True, kw_only=True)
class RootLock:
    """``how`` others are kept out, for people; ``lease`` is None where there is no lease file."""

    how: str
    lease: RootLease | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RootLocker:
    """Makes claims on roots. ``sidecar_id`` tells those who wait for us who we are."""

    sidecar_id: str
    clock: Clock
    fence: Fence

    @asynccontextmanager
    async def locked(
        self, root: str, lock: Flock, kind: str | None, waiting: Callable[[str], None]
    ) -> AsyncIterator[RootLock]:
        """Hold a root that is flocked, as soon as nobody else does; ``kind`` is its file system's type.

        ``waiting`` is told for what, meanwhile. Raises OSError where the volume fails.
        """
        if lock.flocked and is_local(kind):
            yield RootLock(how=BY_FLOCK)
            return
        thread = WorkerThreads(1, name="lease")  # nothing else may hold a beat up
        try:
            async with self._leased(root, lock, thread.do, waiting) as root_lock:
                yield root_lock
        finally:
            thread.executor.shutdown(wait=False)  # a removal that hangs is not called off

    @asynccontextmanager
    async def _leased(
        self, root: str, lock: Flock, run_blocking: RunBlocking, waiting: Callable[[str], None]
    ) -> AsyncIterator[RootLock]:
        domain = await run_blocking(lambda: _lock_domain(lock.fd))
        acquirer = LeaseAcquirer(
            root=root,
            file=LeaseFile(lock.fd),
            record=self._record(lock, domain),
            domain=domain if lock.flocked and domain.boot else None,
            run_blocking=run_blocking,
            timing=TIMING,
            clock=self.clock,
            waiting=waiting,
        )
        try:
            lease = await acquirer.acquire()
        except OSError as error:
            if error.errno not in _NOT_OURS_TO_WRITE:
                raise
            how = (HERE_ONLY if lock.flocked else BY_NOTHING).format(error=error.strerror)
            log.warning("root_is_kept_weakly", root=root, how=how)
            yield RootLock(how=how)
            return
        self.fence.add(lease)
        try:
            yield RootLock(how=BY_LEASE, lease=lease)
        finally:
            self.fence.discard(lease)
            await _release(lease, root)

    def _record(self, lock: Flock, domain: LockDomain) -> LeaseRecord:
        return LeaseRecord(
            holder=secrets.token_hex(16),
            beat=0,
            sidecar=self.sidecar_id,
            host=socket.gethostname(),
            pid=os.getpid(),
            boot=domain.boot,
            device=domain.device,
            flocked=lock.flocked,
        )


async def _release(lease: RootLease, root: str) -> None:
    try:
        async with asyncio.timeout(TIMING.claim):
            await lease.release()
    except (OSError, TimeoutError) as error:  # it stands still: another one waits that out
        log.warning("lease_file_left_behind", root=root, error=str(error))


def _lock_domain(fd: int) -> LockDomain:
    try:
        boot = BOOT.read_text(encoding="ascii").strip()
    except OSError:
        boot = ""
    return LockDomain(boot=boot, device=os.fstat(fd).st_dev)
