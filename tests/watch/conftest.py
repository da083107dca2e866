"""A watch stage over a real journal, real folders and the preset rules."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import pytest

from sidecar.core.clock import SystemClock
from sidecar.core.ids import sidecar_tag
from sidecar.core.model import AssetType, EntityType, State, Transfer
from sidecar.core.presets import LESSON
from sidecar.core.routing import Router
from sidecar.core.rules import Ids, Root, RoutingRule
from sidecar.journal.journal import Journal
from sidecar.journal.writer import JournalWriter
from sidecar.watch.ownership.fence import Fence
from sidecar.watch.root import RootSettings
from sidecar.watch.stage import WatchStage
from tests.support.patience import DEADLINE_SECONDS

IGNORE = ("**/.*", "**/*.tmp", "**/*.part", "**/*~")
FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
RESCAN_SECONDS = 3600.0  # longer than any test waits: what comes by events must come by them


@dataclass
class World:
    """A running stage and what a test asks of it."""

    root: Path
    stage: WatchStage
    writer: JournalWriter
    fence: Fence
    task: asyncio.Task[None]

    async def has_ended(self) -> bool:
        """Whether the stage runs no more."""
        return self.task.done()

    async def end(self) -> None:
        """End the stage as a drained daemon does."""
        self.task.cancel()
        await asyncio.wait({self.task})

    async def rows(self) -> list[Transfer]:
        """Every transfer in the journal, oldest first."""
        return await self.writer.run(_all_rows)

    async def states(self) -> dict[str, list[State]]:
        """States of every path's transfers, oldest first."""
        found: dict[str, list[State]] = {}
        for row in await self.rows():
            found.setdefault(row.path, []).append(row.state)
        return found

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        """Poll until a condition holds; fail after a deadline."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not await condition():
                await asyncio.sleep(0.02)

    async def until_ready(self, *paths: str) -> None:
        """Wait until each path's newest transfer is ready."""

        async def all_ready() -> bool:
            states = await self.states()
            return all(states.get(path, [None])[-1] is State.READY for path in paths)

        await self.until(all_ready)

    def put(self, path: str, content: bytes = b"print('hello')\n") -> Path:
        """Write a file below the root, with its folders."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return file


def _all_rows(journal: Journal) -> list[Transfer]:
    ids = journal.db.execute("SELECT id FROM transfers ORDER BY id").fetchall()
    return [journal.transfers.one(row["id"]) for row in ids]


def build(
    tmp_path: Path,
    writer: JournalWriter,
    fence: Fence,
    *,
    events: str = "auto",
    settle: float = 0.25,
    abandon_after: float = 900.0,
    rule: str | None = None,
    rescan: float = RESCAN_SECONDS,
    removal: str = "keep",
    more_roots: tuple[Path, ...] = (),
) -> WatchStage:
    """Build a stage over ``tmp_path/renders``; ``rule`` is a pattern of video chunks before the preset's."""
    roots = [str(tmp_path / "renders"), *map(str, more_roots)]
    rules = (
        [RoutingRule(match=rule, asset_type=AssetType.VIDEO_CHUNK, entity=EntityType.SCENE)] if rule else []
    )
    router = Router(
        roots=[Root(path=root, ignore=IGNORE) for root in roots], rules=[*rules, *LESSON], ids=Ids()
    )
    return WatchStage(
        roots=[
            RootSettings(
                path=root,
                events=events,
                settle_seconds=settle,
                rescan_seconds=rescan if root == roots[0] else RESCAN_SECONDS,
                removal=removal,
            )
            for root in roots
        ],
        router=router,
        journal=writer,
        clock=SystemClock(),
        abandon_after_seconds=abandon_after,
        sidecar_id="watch-tests",
        fence=fence,
    )


@asynccontextmanager
async def running(
    tmp_path: Path, *, make_root: bool = True, until_listed: bool = True, state: str = "state", **options: Any
) -> AsyncIterator[World]:
    """Run a stage until the block ends; its first listing is done when the block begins.

    ``state`` names the folder of its journal.
    """
    root = tmp_path / "renders"
    if make_root:
        root.mkdir(exist_ok=True)
    tag = sidecar_tag("watch-tests")
    journal = Journal(tmp_path / state / "journal.db", tag=tag, bucket="lessons", clock=SystemClock())
    async with JournalWriter(journal) as writer:
        fence = Fence()
        stage = build(tmp_path, writer, fence, **options)
        task = asyncio.create_task(stage.run())
        ready = asyncio.create_task(stage.ready.wait())
        try:
            if until_listed:
                await asyncio.wait({task, ready}, return_when="FIRST_COMPLETED", timeout=DEADLINE_SECONDS)
            if task.done():
                await task
            yield World(root=root, stage=stage, writer=writer, fence=fence, task=task)
        finally:
            ready.cancel()
            task.cancel()
            await asyncio.wait({task, ready})
    if not task.cancelled():
        task.result()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Run a stage with the default settings."""
    async with running(tmp_path) as world:
        yield world


def ffmpeg(*arguments: str | Path) -> None:
    """Run ffmpeg to its end."""
    subprocess.run(
        [FFMPEG, "-nostdin", "-loglevel", "error", "-y", *map(str, arguments)],
        check=True,
        capture_output=True,
    )


def picture(seconds: float, *, rate: int = 25, size: str = "320x180") -> list[str]:
    """Return ffmpeg's arguments for a moving picture of so many seconds."""
    return ["-f", "lavfi", "-i", f"testsrc2=duration={seconds}:rate={rate}:size={size}"]
