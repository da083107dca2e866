"""A folder that was just listed is not listed again for its playlists, unless it may have changed since."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from sidecar.core.presets import LESSON
from sidecar.core.routing import Router, Routing, Withheld
from sidecar.core.rules import Ids, Root
from sidecar.local.bench.filling import path
from sidecar.watch.scan import playlists
from sidecar.watch.scan.classify import Classifier, ListingBatch, classify_listing
from sidecar.watch.scan.listing import list_folder
from sidecar.watch.scan.playlists import Playlists

FILM = path(0)
FOLDER, _, NAME = FILM.rpartition("/")


class Scene:
    """A folder with a film, which a playlist may name."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Write the film; note which folders are listed for their playlists."""
        self.folder, self.listed, self._root = root / FOLDER, list[str](), str(root)
        self.folder.mkdir(parents=True)
        (self.folder / NAME).write_bytes(b"film")
        router = Router(roots=[Root(path=self._root)], rules=LESSON, ids=Ids())
        self._known = Playlists(self._root, router, {})
        self._classifier = Classifier(root=self._root, router=router, playlists=self._known)
        listdir = os.listdir

        def noted(fd: int) -> list[str]:
            self.listed.append(Path(f"/proc/self/fd/{fd}").readlink().name)
            return listdir(fd)

        monkeypatch.setattr(os, "listdir", noted)

    def write_playlist(self) -> None:
        """Name the film, in the same tick of the folder's clock."""
        before = self.folder.stat()
        (self.folder / "index.m3u8").write_text(f"#EXTM3U\n#EXTINF:1,\n{NAME}\n")
        os.utime(self.folder, ns=(before.st_atime_ns, before.st_mtime_ns))

    def age(self) -> None:
        """Let the folder's last change be of long ago."""
        os.utime(self.folder, ns=(0, time.time_ns() - 60_000_000_000))

    def compare(self) -> None:
        """List it, as a walk does, and take in what is new."""
        list(classify_listing(self._classifier, list_folder(self._root, FOLDER), set(), ListingBatch()))

    def route(self) -> Routing:
        """Return what the film means."""
        return self._classifier.route(FILM, (self.folder / NAME).lstat())

    def is_held(self) -> bool:
        """Tell whether it is held."""
        return isinstance(self.route(), Withheld)


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """Return one that nobody looked at."""
    return Scene(tmp_path, monkeypatch)


def test_a_folder_that_is_listed_is_not_listed_for_its_playlists(scene: Scene) -> None:
    """Those above it are, which were not."""
    scene.compare()
    assert not scene.is_held()
    assert self_named(scene) == []
    assert scene.listed != []


def test_what_the_listing_showed_holds(scene: Scene) -> None:
    """A playlist that was there."""
    (scene.folder / "index.m3u8").write_text(f"#EXTM3U\n#EXTINF:1,\n{NAME}\n")
    scene.compare()
    assert scene.is_held()


def test_a_playlist_that_came_within_a_tick_is_found(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder's time says nothing then: once what is known of it is old, it is listed again."""
    monkeypatch.setattr(playlists, "_STALE_SECONDS", 0.0)
    scene.compare()
    scene.write_playlist()
    assert scene.is_held()


def test_a_folder_that_did_not_change_for_long_is_not_listed_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its time tells of every change."""
    scene.age()
    monkeypatch.setattr(playlists, "_STALE_SECONDS", 0.0)
    scene.compare()
    assert not scene.is_held()
    assert self_named(scene) == []
    (scene.folder / "index.m3u8").write_text(f"#EXTM3U\n#EXTINF:1,\n{NAME}\n")
    assert scene.is_held()


def test_a_listing_takes_back_nothing_that_was_seen_later(tmp_path: Path) -> None:
    """It was made before somebody looked."""
    root = str(tmp_path)
    (tmp_path / FOLDER).mkdir(parents=True)
    (tmp_path / FILM).touch()
    router = Router(roots=[Root(path=root)], rules=LESSON, ids=Ids())
    known = Playlists(root, router, {})
    classifier = Classifier(root=root, router=router, playlists=known)
    old = list_folder(root, FOLDER)
    (tmp_path / FOLDER / "index.m3u8").write_text(f"#EXTM3U\n#EXTINF:1,\n{NAME}\n")
    for _ in range(2):
        assert isinstance(classifier.route(FILM, (tmp_path / FILM).lstat()), Withheld)
        known.listed(old)


def self_named(scene: Scene) -> list[str]:
    """Return how often the folder itself was listed for its playlists."""
    return [name for name in scene.listed if name == scene.folder.name]
