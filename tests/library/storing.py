"""A program of its own process that hands files over, until it is killed or has none left: run by tests.

``python -m tests.library.storing SETTINGS FOLDER SCENE wait|hand-over``. It prints a line for each file that
it was told is safe.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import sidecar
from sidecar import AssetType

SESSION = "algebra/lesson-7"
AT_ONCE = 8


async def main(settings: str, folder: str, scene: str, how: str) -> None:
    """Store all files of a folder."""
    places = asyncio.Semaphore(AT_ONCE)

    async def store(path: Path) -> None:
        async with places:
            await platform.assets.store_scene_asset(
                scene, AssetType.SOURCE_CODE, path, session_id=SESSION, wait=how == "wait"
            )
            print(path.name, flush=True)  # noqa: T201 - whoever started this reads it

    async with sidecar.open(settings) as platform:
        await asyncio.gather(*(store(path) for path in sorted(Path(folder).iterdir())))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
