"""Where a listing was made: a root, and what is mounted below it."""

from __future__ import annotations

from pathlib import Path

from sidecar.watch.scan.mount_points import UNSEEN, DeviceInode, MountPoints
from sidecar.watch.scan.root_scan import Walk

ROOT, VOLUME = (1, 100), (2, 1)


def listed(
    recorded: dict[str, DeviceInode], *, root: DeviceInode = ROOT, volume: DeviceInode | None = None
) -> MountPoints:
    """List a root with the folders a, a/b and c; a volume may be mounted at a/b."""
    places = MountPoints(recorded)
    places.see("", root, device_above=None)
    places.see("a", (root[0], 101), device_above=root[0])
    places.see("a/b", volume or (root[0], 102), device_above=root[0])
    places.see("c", (root[0], 103), device_above=root[0])
    return places


def test_absence_is_clear_where_nothing_changed() -> None:
    """Also in a folder that is gone wholly, and below a volume that is still there."""
    for volume in (None, VOLUME):
        places = listed(listed({}, volume=volume).found, volume=volume)
        assert all(places.are_the_same(folder) for folder in ("", "a", "a/b", "a/b/c", "c", "gone"))
        assert places.changed() == []


def test_a_root_that_is_another_one_makes_nothing_clear() -> None:
    """By its inode or by its device, or if it was never listed before."""
    for root in ((1, 200), (9, 100)):
        places = listed(listed({}).found, root=root)
        assert not any(places.are_the_same(folder) for folder in ("", "a", "a/b", "c"))
        assert "" in places.changed()
    assert not listed({}).are_the_same("a")


def test_a_volume_that_comes_or_goes_makes_its_folder_unclear() -> None:
    """What was on it, and what it hides now; the rest is as it was."""
    without, mounted = listed({}).found, listed({}, volume=VOLUME).found
    for before, now in ((without, VOLUME), (mounted, None), (mounted, (3, 1)), (mounted, (2, 7))):
        places = listed(before, volume=now)
        assert not any(places.are_the_same(folder) for folder in ("a/b", "a/b/c"))
        assert all(places.are_the_same(folder) for folder in ("", "a", "a/bc", "c"))
        assert places.changed() == ["a/b"]


def test_a_volume_whose_folder_is_gone_makes_what_was_on_it_unclear() -> None:
    """The folder was removed after the volume was unmounted."""
    places = MountPoints(listed({}, volume=VOLUME).found)
    places.see("", ROOT, device_above=None)
    assert (places.are_the_same("a/b"), places.are_the_same("a")) == (False, True)


def test_a_folder_that_was_unreadable_is_unclear_once_it_is_not() -> None:
    """Nobody knows what was in it; the next listing knows."""
    first = MountPoints(listed({}).found)
    first.see("", ROOT, device_above=None)
    first.see("c", None, device_above=ROOT[0])
    assert first.found["c"] == UNSEEN
    second = listed(first.found)
    assert not second.are_the_same("c")
    assert listed(second.found).are_the_same("c")


def test_a_walk_tells_the_places_of_real_folders(tmp_path: Path) -> None:
    """The root's own; folders on its own device are not told."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    found = tmp_path.stat()
    places = MountPoints({})
    walk = Walk(str(tmp_path), places=places)
    listings = [listing for batch in iter(walk.next_batch, []) for listing in batch]
    assert places.found == {"": (found.st_dev, found.st_ino)}
    assert [listing.clear for listing in listings] == [False] * 3
    again = Walk(str(tmp_path), places=MountPoints(places.found))
    assert [listing.clear for listing in again.next_batch()] == [True] * 3
