"""``sidecar demo``: a lesson is drawn, shipped and announced, followed in Convex, and at the end proved."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from .child import ServerError
from .convex_reader import ConvexReader
from .lesson import LESSON
from .proof import SESSION_ID, Asset, Place, Proof, assets_by_place, place_of, prove
from .renderer import Rendered, Renderer
from .stack import Stack

_LOOK_SECONDS = 0.2
_ARRIVE_SECONDS = 90.0  # after the renderer has ended


@dataclass(slots=True, kw_only=True)
class Progress:
    """What can be seen while it runs: what is drawn, and what Convex shows of it."""

    rendered: dict[Place, Rendered] = field(default_factory=dict)
    assets: dict[Place, Asset] = field(default_factory=dict)
    statuses: dict[str, str] = field(default_factory=dict)  # of scenes and of the session
    ended: float | None = None  # when the renderer did, monotonic

    @property
    def arrived(self) -> bool:
        """Whether Convex shows everything, and everything as ready."""
        wanted = {SESSION_ID, *(picture.scene for picture in LESSON)}
        ready = all(self.statuses.get(entity) == "ready" for entity in wanted)
        return self.ended is not None and ready and self.rendered.keys() <= self.assets.keys()


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoReport:
    """The end of it. ``besides`` holds complaints that are not about one file."""

    proofs: Sequence[Proof]
    besides: Sequence[str]
    dead: int
    seconds: float

    @property
    def mismatched(self) -> int:
        """How many files and other things do not agree."""
        return sum(bool(proof.wrong) for proof in self.proofs) + len(self.besides)

    @property
    def good(self) -> bool:
        """Whether everything agrees."""
        return not self.mismatched and not self.dead

    def as_json(self) -> dict[str, Any]:
        """Return the one object of ``--json``."""
        delays = sorted(proof.delay_ms for proof in self.proofs if proof.delay_ms is not None)
        return {
            "files": len(self.proofs),
            "bytes": sum(proof.file.size_bytes for proof in self.proofs),
            "synced": sum(proof.asset is not None for proof in self.proofs),
            "mismatched": self.mismatched,
            "dead": self.dead,
            "seconds": round(self.seconds, 1),
            "close_to_synced_ms": {"p50": percentile(delays, 0.5), "p99": percentile(delays, 0.99)},
        }


def percentile(ordered: Sequence[float], part: float) -> float | None:
    """Return the smallest value that ``part`` of all values do not exceed; None where there are none."""
    return round(ordered[math.ceil(part * len(ordered)) - 1], 1) if ordered else None


async def play(stack: Stack, progress: Progress, *, seen: Callable[[], None]) -> DemoReport:
    """Draw the lesson, follow it in Convex, prove it. ``seen`` is called after every look at Convex.

    Raises ServerError when a server or ffmpeg ends before its time; what is merely wrong is reported.
    """
    began = time.monotonic()
    renderer = Renderer(stack.root, on_file=lambda file: progress.rendered.update({place_of(file): file}))
    async with stack.reader() as convex:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_follow(stack, convex, progress, seen))
            await renderer.render()
            progress.ended = time.monotonic()
        proofs, besides = await prove(stack.root, renderer.files, s3=stack.s3, convex=convex)
    status = await stack.status()
    return DemoReport(
        proofs=proofs, besides=besides, dead=status["transfers"]["dead"], seconds=time.monotonic() - began
    )


async def _follow(stack: Stack, convex: ConvexReader, progress: Progress, seen: Callable[[], None]) -> None:
    """Look at Convex until everything has arrived, or the time for it is up."""
    while not progress.arrived:
        if not stack.daemon.running:
            raise ServerError(
                f"the sidecar ended with status {stack.daemon.returncode}:\n{stack.daemon.tail()}"
            )
        if progress.ended is not None and time.monotonic() > progress.ended + _ARRIVE_SECONDS:
            return
        await _look(convex, progress)
        seen()
        await asyncio.sleep(_LOOK_SECONDS)


async def _look(convex: ConvexReader, progress: Progress) -> None:
    progress.assets = dict(await assets_by_place(convex))
    scenes = await convex.scenes(SESSION_ID)
    progress.statuses = {scene["sceneId"]: scene["assetsStatus"] for scene in scenes}
    if session := await convex.session(SESSION_ID):
        progress.statuses[SESSION_ID] = session["assetsStatus"]
