"""Files that are gone, from real folders to the op in the journal."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from sidecar.core.clock import SystemClock
from sidecar.core.model import StoredObject
from sidecar.journal.journal import Journal
from sidecar.journal.stores.roots import Roots
from tests.support.journals import tell

from .conftest import World, running

SCENE = "p/s/one/source/scene.py"
LOOKS = 4  # one more than it takes
BETWEEN_SECONDS = 0.02


@pytest.fixture
async def removing(tmp_path: Path) -> AsyncIterator[World]:
    """Watch with `removal: tombstone`, listing on demand."""
    async with running(tmp_path, removal="tombstone", rescan=BETWEEN_SECONDS) as world:
        yield world


async def synced(world: World, *paths: str) -> None:
    """Bring files all the way."""
    for path in paths:
        world.put(path, path.encode())
    await world.until_ready(*paths)
    await world.writer.run(_deliver)


def _deliver(journal: Journal) -> None:
    for transfer in journal.upload_claims.claim_uploads(limit=100, now=1e9).transfers:
        stored = StoredObject(bucket="lessons", key=transfer.key, etag="e")
        journal.uploads.uploaded(transfer, stored, url=f"https://cdn.example/{transfer.key}")
    tell(journal)


async def looks(world: World) -> None:
    """Take more looks at the first root than a removal needs."""
    for _ in range(LOOKS):
        began = SystemClock().monotonic()

        async def over(began: float = began) -> bool:
            return SystemClock().monotonic() - began > BETWEEN_SECONDS

        await world.until(over)
        await world.stage._roots[str(world.root)].scan()


async def removed(world: World) -> set[str]:
    """Return the names of what Convex is to remove."""
    return await world.writer.run(_removed)


def _removed(journal: Journal) -> set[str]:
    rows = journal.db.execute(
        "SELECT name FROM removals x JOIN outbox o USING (slot) WHERE o.kind = 'remove'"
    )
    return {row["name"] for row in rows}


def _present(journal: Journal) -> list[str]:
    rows = journal.db.execute(
        "SELECT path, folder, name FROM files f JOIN roots r ON r.id = f.root WHERE absent = 0"
    )
    return ["/".join(row) for row in rows]


async def test_a_file_or_a_folder_that_is_gone_is_removed(removing: World) -> None:
    """And nothing beside it."""
    other = "p/s/two/source/other.py"
    await synced(removing, SCENE, other, "p/s/one/source/stays.py")
    (removing.root / SCENE).unlink()
    shutil.rmtree(removing.root / "p" / "s" / "two")
    await looks(removing)
    assert await removed(removing) == {"scene.py", "other.py"}


@pytest.mark.parametrize(
    "replace",
    [
        lambda path: path.symlink_to("/etc/hostname"),
        lambda path: path.mkdir(),
        os.mkfifo,
    ],
    ids=["link", "folder", "pipe"],
)
async def test_a_name_that_something_else_has_is_not_absent(
    removing: World, replace: Callable[[Path], None]
) -> None:
    """It is not sent, and nothing is removed; also once that is gone, too."""
    path = removing.root / SCENE
    await synced(removing, SCENE)
    path.unlink()
    replace(path)
    await looks(removing)
    (path.rmdir if path.is_dir() else path.unlink)()
    await looks(removing)
    assert await removed(removing) == set()


async def test_a_folder_that_a_link_stands_for_is_not_absent(removing: World) -> None:
    """Somebody moved it away and left a link to it."""
    folder, away = removing.root / "p" / "s" / "one", removing.root.parent / "away"
    await synced(removing, SCENE)
    folder.rename(away)
    folder.symlink_to(away)
    await looks(removing)
    assert await removed(removing) == set()


async def test_a_file_that_is_moved_to_another_root_is_not_removed(tmp_path: Path) -> None:
    """That one is listed rarely: nothing is decided before it was."""
    other = tmp_path / "others"
    other.mkdir()
    async with running(tmp_path, removal="tombstone", rescan=BETWEEN_SECONDS, more_roots=(other,)) as world:
        await synced(world, SCENE)
        moved = other / SCENE
        moved.parent.mkdir(parents=True)
        (world.root / SCENE).rename(moved)
        await looks(world)
        assert await removed(world) == set()
        await world.stage.scan_now()
        await looks(world)
        assert await removed(world) == set()
        assert await world.writer.run(_present) == [str(moved)]


async def test_with_keep_nothing_is_counted(tmp_path: Path) -> None:
    """What was gone before the setting changed is no removal either."""
    async with running(tmp_path, rescan=BETWEEN_SECONDS) as world:
        await synced(world, SCENE)
        (world.root / SCENE).unlink()
        await looks(world)
    async with running(tmp_path, removal="delete", rescan=BETWEEN_SECONDS) as world:
        await looks(world)
        assert await removed(world) == set()


async def test_a_root_that_is_another_one_at_the_end_of_its_listing_removes_nothing(
    removing: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was unmounted half-way: what the rest of the listing did not show may be there."""
    await synced(removing, SCENE)
    await looks(removing)
    (removing.root / SCENE).unlink()
    with monkeypatch.context() as patched:
        patched.setattr("sidecar.watch.deletion.removals.device_and_inode", lambda _root: (0, 1))
        await looks(removing)
    await looks(removing)
    assert await removed(removing) == set()


async def test_a_root_that_was_replaced_after_two_listings_removes_nothing(
    removing: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They agreed, but of another folder than the one that is there now."""
    await synced(removing, SCENE)
    absences = removing.stage._roots[str(removing.root)]._removals
    with monkeypatch.context() as patched:
        patched.setattr(absences, "_others_listed", lambda _at: False)
        (removing.root / SCENE).unlink()
        await looks(removing)
        removing.root.rename(removing.root.with_name("away"))
        removing.root.mkdir()

        async def is_watched_anew() -> bool:
            await removing.stage.scan_now()
            place = (removing.root.stat().st_dev, removing.root.stat().st_ino)
            return (await removing.writer.do(Roots.places, str(removing.root))).get("") == place

        await removing.until(is_watched_anew)
    await looks(removing)
    assert await removed(removing) == set()


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Path]:
    """Mount a small volume of its own below the root."""
    place = tmp_path / "renders" / "p"
    place.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting needs root")
    yield place
    if place.is_mount():
        subprocess.run(["umount", "-l", str(place)], check=True)


async def test_a_volume_below_the_root_that_is_unmounted_removes_nothing(
    tmp_path: Path, volume: Path
) -> None:
    """Its folder is there, and empty; what is missing beside it is a removal all the same."""
    async with running(tmp_path, removal="tombstone", rescan=BETWEEN_SECONDS) as world:
        await synced(world, SCENE, "q/s/one/source/other.py")
        await looks(world)
        await asyncio.to_thread(subprocess.run, ["umount", "-l", str(volume)], check=True)
        (world.root / "q/s/one/source/other.py").unlink()
        await looks(world)
        assert await removed(world) == {"other.py"}
        assert not list(volume.iterdir())
