"""A sidecar's upload half on a real journal and real files, over any store, with faults on demand."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from sidecar.core.breaker import BreakerPolicy
from sidecar.core.clock import Clock, SystemClock
from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.core.ids import sidecar_tag
from sidecar.core.model import MIB, Fingerprint, Observation, Part, State, StoredObject, Transfer
from sidecar.core.retry import RetryPolicy
from sidecar.files import stat_identity
from sidecar.gate import RemoteGate
from sidecar.homes import home_of
from sidecar.journal.journal import Journal
from sidecar.journal.stores.completion import Completion
from sidecar.journal.stores.files import Files
from sidecar.journal.stores.transfers import Transfers
from sidecar.journal.writer import JournalWriter
from sidecar.metrics import Metrics
from sidecar.upload.checksum_negotiation import ChecksumNegotiation
from sidecar.upload.cleanup.earlier_objects import EarlierObjects
from sidecar.upload.cleanup.rechecks import Rechecks
from sidecar.upload.context import UploadContext
from sidecar.upload.limits import MemoryBudget
from sidecar.upload.stage import UploadStage
from sidecar.upload.store import (
    Body,
    ListedObject,
    ObjectHead,
    ObjectSpec,
    ObjectStore,
    OpenUpload,
)
from sidecar.watch.complete.fingerprint import take_open
from tests.support.journals import route
from tests.support.patience import DEADLINE_SECONDS
from tests.support.virtual import InlineWriter

SIDECAR = "rig"
PART = 5 * MIB
FILM = 3 * PART + 7  # four parts
HASTY = RetryPolicy(initial_seconds=0.01, max_seconds=0.02, attempts=3)
HASTY_BREAKER = BreakerPolicy(failures=5, reset_seconds=0.05)
Hook = Callable[[], Awaitable[None]]
T = TypeVar("T")


async def _nothing() -> None:
    """Do nothing."""


@dataclass(slots=True)
class Hooked:
    """A store that tells what it is asked, and does something first or afterwards."""

    inner: ObjectStore
    calls: list[str] = field(default_factory=list)
    before: dict[str, Hook] = field(default_factory=dict)
    after: dict[str, Hook] = field(default_factory=dict)
    flying_bytes: int = 0
    most_flying_bytes: int = 0

    async def probe(self) -> None:
        """Pass on."""
        await self._through("probe", self.inner.probe())

    async def put(self, spec: ObjectSpec, body: Body, *, checksum: str, once: bool = False) -> StoredObject:
        """Pass on."""
        call = self.inner.put(spec, body, checksum=checksum, once=once)
        return await self._through("put", call, body.length_bytes)

    async def create(self, spec: ObjectSpec) -> str:
        """Pass on."""
        return await self._through("create", self.inner.create(spec))

    async def put_part(self, upload: OpenUpload, body: Body, *, number: int) -> Part:
        """Pass on."""
        call = self.inner.put_part(upload, body, number=number)
        return await self._through(f"part {number}", call, body.length_bytes)

    async def existing_parts(self, upload: OpenUpload, bodies: Mapping[int, Body]) -> list[Part]:
        """Pass on."""
        return await self._through("existing_parts", self.inner.existing_parts(upload, bodies))

    async def complete(
        self, upload: OpenUpload, parts: Sequence[Part], *, checksum: str, once: bool = False
    ) -> StoredObject:
        """Pass on."""
        call = self.inner.complete(upload, parts, checksum=checksum, once=once)
        return await self._through("complete", call)

    async def abort(self, upload: OpenUpload) -> None:
        """Pass on."""
        await self._through("abort", self.inner.abort(upload))

    async def head(self, key: str) -> ObjectHead | None:
        """Pass on."""
        return await self._through("head", self.inner.head(key))

    async def delete(self, key: str) -> None:
        """Pass on."""
        await self._through("delete", self.inner.delete(key))

    async def list_objects(self, *, prefix: str) -> AsyncIterator[ListedObject]:
        """Pass on."""
        await self._through("list objects", _nothing())
        async for found in self.inner.list_objects(prefix=prefix):
            yield found

    async def open_uploads(self, *, prefix: str) -> AsyncIterator[OpenUpload]:
        """Pass on."""
        await self._through("list", _nothing())
        async for found in self.inner.open_uploads(prefix=prefix):
            yield found

    def parts(self) -> list[str]:
        """Return the parts that were asked for, in order."""
        return sorted(call for call in self.calls if call.startswith("part"))

    async def _through(self, name: str, call: Coroutine[Any, Any, T], size_bytes: int = 0) -> T:
        self.calls.append(name)
        self.flying_bytes += size_bytes
        self.most_flying_bytes = max(self.most_flying_bytes, self.flying_bytes)
        try:
            await self.before.get(name, _nothing)()
            answer = await call
            await self.after.get(name, _nothing)()
        finally:
            self.flying_bytes -= size_bytes
            call.close()  # a request that never left
        return answer


def lost() -> SidecarError:
    """Return the failure of a request whose answer never came."""
    return SidecarError(ErrorKind.NETWORK, "lost", operation="rig", target="k", maybe_done=True)


async def lose() -> None:
    """Lose an answer, or a request."""
    raise lost()


async def hang() -> None:
    """Never answer."""
    await asyncio.Event().wait()


@dataclass(slots=True)
class Rig:
    """One sidecar's journal, root and store."""

    folder: Path
    bucket: str
    store: Hooked
    writer: JournalWriter | InlineWriter
    budget: MemoryBudget
    part_bytes: int = PART
    checking: ChecksumNegotiation = field(default_factory=ChecksumNegotiation)

    @property
    def root(self) -> Path:
        """Where the renderer writes."""
        return self.folder / "renders"

    @property
    def journal(self) -> Journal:
        """The journal itself, to look at while nothing runs."""
        return self.writer.journal

    async def file(
        self, content: bytes, name: str = "chunk.mp4", *, scene: str = "s1", priority: int = 3
    ) -> Transfer:
        """Write a file and bring its transfer to ready."""
        path = self.root / "demo" / "lesson" / scene / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return await self.noticed(path, priority=priority)

    async def noticed(self, path: Path, *, priority: int = 3) -> Transfer:
        """Do what the watch stage does with a complete file."""
        fd = os.open(path, os.O_RDONLY)
        try:
            identity = stat_identity(fd)
            fingerprint = take_open(fd, expected=identity, part_bytes=self.part_bytes)
        finally:
            os.close(fd)
        seen = Observation(
            root=str(self.root),
            path=str(path.relative_to(self.root)),
            identity=identity,
            route=replace(route(path.name, scene=path.parent.name), priority=priority),
            home=home_of(str(self.root), str(path.parent.relative_to(self.root))),
        )
        (sighting,) = await self.writer.do(Files.observe, [seen])
        assert sighting.candidate is not None
        assert isinstance(fingerprint, Fingerprint)
        assert (
            await self.writer.do(Completion.complete, sighting.candidate.row_id, fingerprint) is State.READY
        )
        return await self.now(sighting.candidate)

    async def now(self, transfer: Transfer) -> Transfer:
        """Return the transfer as the journal has it."""
        return await self.writer.do(Transfers.one, transfer.row_id)

    async def until(self, transfer: Transfer, *states: State) -> Transfer:
        """Wait until the transfer is in one of the states."""

        async def arrived() -> bool:
            return (await self.now(transfer)).state in states

        await eventually(arrived)
        return await self.now(transfer)

    async def until_it_waits(self, transfer: Transfer) -> Transfer:
        """Wait until the transfer waits for our own disk."""

        async def waits() -> bool:
            return (await self.now(transfer)).error_kind == ErrorKind.LOCAL_IO

        await eventually(waits)
        return await self.now(transfer)

    def path(self, transfer: Transfer) -> Path:
        """Return a transfer's file."""
        return Path(transfer.display)

    def gate(
        self, clock: Clock, retry: RetryPolicy = HASTY, breaker: BreakerPolicy = HASTY_BREAKER
    ) -> RemoteGate:
        """Build the store's door."""
        return RemoteGate(
            remote="s3",
            probe=self.store.probe,
            retry=retry,
            breaker=breaker,
            clock=clock,
            jitter=lambda: 0.5,
        )

    def stage(
        self, *, clock: Clock | None = None, gate: RemoteGate | None = None, **changes: Any
    ) -> UploadStage:
        """Build a stage over the rig's store."""
        clock = clock or SystemClock()
        gate = gate or self.gate(clock)
        context = UploadContext(
            store=self.store,
            journal=self.writer,
            budget=self.budget,
            part_bytes=self.part_bytes,
            sidecar_id=SIDECAR,
            url=lambda key: f"https://cdn.example/{key}",
            rechecks=Rechecks(clock=clock),
            earlier_objects=EarlierObjects(store=self.store, tag=sidecar_tag(SIDECAR)),
            checking=self.checking,
        )
        return UploadStage(context=context, gate=gate, clock=clock, metrics=Metrics(), **changes)

    async def open_uploads(self) -> list[OpenUpload]:
        """Return what is open in the bucket, whoever asks."""
        return [found async for found in self.store.inner.open_uploads(prefix="")]


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Poll a condition until it holds; fails after half a minute."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not await condition():
        assert time.monotonic() < deadline, "it never happened"
        await asyncio.sleep(0.01)


@asynccontextmanager
async def rig_on(
    store: ObjectStore, folder: Path, *, bucket: str, memory_bytes: int = 64 * MIB
) -> AsyncIterator[Rig]:
    """Open a rig; opening another one on the same folder is what a restart is."""
    journal = Journal(folder / "journal.db", tag=sidecar_tag(SIDECAR), bucket=bucket, clock=SystemClock())
    async with JournalWriter(journal) as writer:
        yield Rig(
            folder=folder,
            bucket=bucket,
            store=Hooked(store),
            writer=writer,
            budget=MemoryBudget(memory_bytes),
        )


@asynccontextmanager
async def running(stage: UploadStage) -> AsyncIterator[UploadStage]:
    """Run a stage for the block; its own failure is the test's."""
    task = asyncio.create_task(stage.run())
    try:
        yield stage
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def content(size: int = FILM) -> bytes:
    """Return bytes that no other test has."""
    return secrets.token_bytes(size)
