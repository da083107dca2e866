"""Folders made, filled, moved away and back, renamed and removed, by a seed: nothing is left to listings."""

from __future__ import annotations

import asyncio
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import World

SEEDS = range(3)
ACTS = 300


class Renderer:
    """Does one thing after the other below a root, without waiting for anybody."""

    def __init__(self, root: Path, chance: random.Random) -> None:
        """Have done nothing yet."""
        self._root, self._away, self._chance = root, root.parent / "away", chance
        self._away.mkdir()
        self._number = 0

    def act(self) -> None:
        """Do one of them."""
        self._number += 1
        scenes = sorted(self._root.glob("p/s*/sc*"))
        if not scenes or self._chance.random() < 0.55:
            self._write(self._root / "p" / f"s{self._chance.randrange(3)}" / self._some_scene())
            return
        acts: list[Callable[[Path], object]] = [
            self._take_away,
            shutil.rmtree,
            self._rename,
            self._begin_anew,
        ]
        self._chance.choice(acts)(self._chance.choice(scenes))

    def _some_scene(self) -> str:
        return f"sc{self._chance.randrange(6)}"

    def _write(self, scene: Path) -> None:
        file = scene / "source" / f"{self._number}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"x = {self._number}\n")

    def _take_away(self, scene: Path) -> None:
        """Fill it elsewhere, and bring it back: the folder has its inode, and is told of by one event."""
        moved = scene.rename(self._away / str(self._number))
        self._write(moved)
        time.sleep(self._chance.choice([0.0, 0.02]))
        moved.rename(scene)

    def _rename(self, scene: Path) -> None:
        target = scene.with_name(self._some_scene())
        if not target.exists():
            scene.rename(target)

    def _begin_anew(self, scene: Path) -> None:
        """The new folder often gets the old one's inode."""
        shutil.rmtree(scene)
        self._write(scene)


@pytest.mark.parametrize("seed", SEEDS)
async def test_whatever_happens_to_folders_their_files_are_noticed_by_events(world: World, seed: int) -> None:
    """The next full listing is an hour away."""
    chance = random.Random(seed)
    renderer = Renderer(world.root, chance)
    for _ in range(ACTS):
        await asyncio.to_thread(renderer.act)
        await asyncio.sleep(chance.choice([0.0, 0.0, 0.001, 0.004, 0.012]))
    files = [str(file.relative_to(world.root)) for file in world.root.glob("p/**/*.py")]
    assert files
    await world.until_ready(*files)
