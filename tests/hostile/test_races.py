"""Names that change between the look and the open: whatever is read was below the root, and regular."""

from __future__ import annotations

import errno
import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sidecar.core.model import Fingerprint
from sidecar.files import NotRegularError, checksum_of, open_regular
from sidecar.watch.complete.probe import ProbePolicy, ProbeRequest, ProbeResult, Unreadable, probe
from sidecar.watch.os import write_lease
from sidecar.watch.os.filesystem import Filesystems
from sidecar.watch.scan.listing import list_folder

from .attack import CANARY, swapping

RACES = 10_000
HABITS = ProbePolicy(settle_seconds=0.0, scanning=False, abandon_after_seconds=900.0)
HONEST = b"print('an honest scene')\n"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """Keep a secret in a folder that nobody watches, under a name that a rule would take."""
    path = tmp_path / "vault" / "scene.py"
    path.parent.mkdir()
    path.write_bytes(CANARY)
    return path


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """Put an honest file where a renderer would."""
    path = tmp_path / "renders" / "p" / "s" / "one" / "source" / "scene.py"
    path.parent.mkdir(parents=True)
    path.write_bytes(HONEST)
    return path


def look_at(root: Path, path: str, volumes: Filesystems) -> ProbeResult:
    """Look as the candidates do; with nothing to settle, a file is read at once."""
    request = ProbeRequest(
        row_id=1,
        root=str(root),
        path=path,
        rule_settle_seconds=None,
        check_structure=True,
        identity=None,
        quiet_since=0.0,
    )
    return probe(request, HABITS, volumes, now=100.0)


def checksum(data: bytes, folder: Path) -> str:
    """Return the stored form of some bytes' checksum."""
    path = folder / "copy"
    path.write_bytes(data)
    fd = os.open(path, os.O_RDONLY)
    try:
        return checksum_of(fd, 0, len(data))
    finally:
        os.close(fd)


@pytest.mark.parametrize("what", ["the file", "its folder", "a folder above", "a pipe", "a device"])
def test_no_race_of_ten_thousand_reads_the_canary(
    tmp_path: Path, scene: Path, secret: Path, what: str
) -> None:
    """A name is exchanged without pause; every look reads the honest file, or nothing.

    It ends when it was 10,000 looks, and the attacker came in between in 100 of them at least.
    """
    write_lease.prepare()
    root, volumes = tmp_path / "renders", Filesystems()
    aside = tmp_path / "aside"
    victim = {"its folder": scene.parent, "a folder above": scene.parent.parent}.get(what, scene)
    match what:
        case "a pipe":
            os.mkfifo(aside)
        case "a device":
            _make_device(aside)
        case "a folder above":
            (secret.parent / "source").mkdir()
            (secret.parent / "source" / "scene.py").write_bytes(CANARY)
            aside.symlink_to(secret.parent)
        case _:
            aside.symlink_to(secret.parent if what == "its folder" else secret)
    honest = checksum(HONEST, tmp_path)
    seen = Counter[str]()
    below = str(scene.relative_to(root))
    volumes.readiness(str(root), "", root.stat().st_dev)
    deadline = time.monotonic() + 60
    with swapping((victim, aside)):
        while seen["honest"] < 100 or seen.total() < max(RACES, seen["honest"] + 100):
            assert time.monotonic() < deadline, seen
            found = look_at(root, below, volumes).found
            if isinstance(found, Fingerprint):
                assert found.checksum == honest
                seen["honest"] += 1
            else:
                seen[type(found).__name__] += 1


def _make_device(path: Path) -> None:
    try:
        os.mknod(path, 0o600 | 0o020000, os.makedev(1, 5))  # /dev/zero: reading it would never end
    except PermissionError:
        pytest.skip("only root may make devices")


Swap = Callable[[Path, Path], None]


def _to_link(victim: Path, secret: Path) -> None:
    victim.rename(victim.with_name("was"))
    victim.symlink_to(secret)


def _to_pipe(victim: Path, _: Path) -> None:
    victim.rename(victim.with_name("was"))
    os.mkfifo(victim)


@pytest.mark.parametrize("swap", [_to_link, _to_pipe])
def test_a_swap_right_between_stat_and_open_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, scene: Path, secret: Path, swap: Swap
) -> None:
    """The very instant that races aim at, made certain."""
    real = os.stat

    def stat_then_swap(name: Any, **kwargs: Any) -> os.stat_result:
        found = real(name, **kwargs)
        if name == "scene.py" and not (scene.parent / "was").exists():
            swap(scene, secret)
        return found

    monkeypatch.setattr(os, "stat", stat_then_swap)
    with pytest.raises(NotRegularError):
        open_regular(str(tmp_path / "renders"), "p/s/one/source/scene.py")


def test_a_listing_follows_no_link(tmp_path: Path, scene: Path, secret: Path) -> None:
    """A linked folder is named as odd, and nothing in it is."""
    (scene.parent / "more").symlink_to(secret.parent)
    listing = list_folder(str(tmp_path / "renders"), "p/s/one/source")
    assert list(listing.files) == ["scene.py"]
    assert [odd.reason for odd in listing.special] == ["a symbolic link is never sent"]
    assert listing.folders == []


def test_a_hard_link_to_somebody_elses_file_is_refused(tmp_path: Path, scene: Path, secret: Path) -> None:
    """Code that may write into a folder cannot have us read what it may not; its own links are fine."""
    if os.geteuid() != 0:
        pytest.skip("only root may give files away")
    root = str(tmp_path / "renders")
    os.chown(scene.parent, 1234, 1234)
    os.link(secret, scene.parent / "stolen.py")
    with pytest.raises(PermissionError, match="a hard link to a file of another user") as raised:
        open_regular(root, "p/s/one/source/stolen.py")
    assert raised.value.errno == errno.EPERM
    os.chown(scene, 1234, 1234)
    os.link(scene, scene.parent / "again.py")
    os.close(open_regular(root, "p/s/one/source/again.py"))
    found = look_at(tmp_path / "renders", "p/s/one/source/stolen.py", Filesystems()).found
    assert found == Unreadable(why="it cannot be read: it is a hard link to a file of another user")
