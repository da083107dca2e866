"""Disks of a test's own: a small one in memory that fills up, and one that loses its power."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

FS_IOC_SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32)
NO_LOG_FLUSH = 2  # everything that was not synced is lost, as in a power cut


def _run(*command: str | Path) -> None:
    subprocess.run([*map(str, command)], check=True, capture_output=True)


def _may_mount(*context: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can mount a disk for the test")
    for tool in ("mount", "umount", *context):
        if shutil.which(tool) is None:
            pytest.skip(f"there is no {tool}")


@contextlib.contextmanager
def small_disk(folder: Path, *, options: str) -> Iterator[Path]:
    """Mount a tmpfs, e.g. ``size=4m`` or ``nr_inodes=20``."""
    _may_mount()
    folder.mkdir()
    try:
        _run("mount", "-t", "tmpfs", "-o", options, "tmpfs", folder)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no tmpfs can be mounted: {error.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        _run("umount", "-l", folder)


class PowerDisk:
    """An ext4 image, mounted; ``cut`` is what a power cut does to it, followed by the next boot's mount."""

    def __init__(self, folder: Path, *, size_mib: int = 96) -> None:
        """Make and mount it. Skips the test where the machine cannot."""
        _may_mount("mkfs.ext4")
        self._image, self.mount = folder / "disk.img", folder / "disk"
        self.mount.mkdir()
        with self._image.open("wb") as image:
            image.truncate(size_mib << 20)
        try:
            _run("mkfs.ext4", "-q", "-F", self._image)
            self._attach()
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no ext4 image can be mounted: {error.stderr.decode().strip()}")

    def cut(self) -> None:
        """Lose everything that was not synced. Nobody may have a file open there."""
        fd = os.open(self.mount, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, FS_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        except OSError as error:
            pytest.skip(f"this ext4 cannot be shut down: {error.strerror}")
        finally:
            os.close(fd)
        _run("umount", self.mount)
        self._attach()

    def close(self) -> None:
        """Unmount."""
        with contextlib.suppress(subprocess.CalledProcessError):
            _run("umount", "-l", self.mount)

    def _attach(self) -> None:
        _run("mount", "-o", "loop", self._image, self.mount)
